/* SPDX-License-Identifier: MIT
 *
 * Every matrix-product, LSTM and GRU kernel that this CPU can run, over many shapes: bits
 * must equal a plain reference written here, and stay near a double-precision one.
 * Every row ends at a guard page. A failing line ends with the command to repeat it.
 */
#define _DEFAULT_SOURCE /* MAP_ANONYMOUS */

#include "simd/fpenv.h"
#include "tests/kernel_cases.h"

#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Panel width to try. The scalar kernels take any, so they get another one each time. */
static uint32_t width_for(const struct run *run, const struct simd_isa *isa, uint32_t widest,
                          size_t nth)
{
    return isa == run->scalar ? 16u << nth % 3 : widest;
}

/* ---- matrix product -------------------------------------------------------------- */

struct gemm_case {
    size_t rows, k, n;
    bool accumulate;
    char name[64];
    struct weights w;
    struct rows *x, *start, *want, *got;
};

static void gemm_reference(struct gemm_case *c)
{
    rows_copy(c->want, c->start);
    for (size_t r = 0; r < c->rows; r++) {
        for (size_t j = 0; j < c->n; j++) {
            const float start = c->accumulate ? c->start->at[r][j] : c->w.bias[j];
            c->want->at[r][j] = block_sum(start, c->w.clean + j * c->k, c->x->at[r], c->k);
        }
    }
}

/* Σ|terms| · (k + 1) half ulps bounds any order of the sum. */
static void gemm_near_double(struct run *run, const struct gemm_case *c)
{
    run->n_checks++;
    for (size_t r = 0; r < c->rows; r++) {
        for (size_t j = 0; j < c->n; j++) {
            double sum = c->accumulate ? c->start->at[r][j] : c->w.bias[j], size = fabs(sum);
            for (size_t k = 0; k < c->k; k++) {
                const double term = (double)c->w.clean[j * c->k + k] * c->x->at[r][k];
                sum += term;
                size += fabs(term);
            }
            if (fabs(sum - c->want->at[r][j]) > size * ((double)c->k + 1) * 0x1p-24) {
                failed(run, "reference", c->name, "far from the double-precision result");
                return;
            }
        }
    }
}

static void gemm_run_range(struct gemm_case *c, const struct simd_gemm_kernel *kernel,
                           const struct simd_panels *panels, size_t begin, size_t end)
{
    const struct simd_gemm args = {
        .weights = c->w.packed, .bias = c->w.packed_bias, .panels = panels, .k = c->k, .n_out = c->n,
        .x = (const float *const *)c->x->at, .out = c->got->at, .rows = c->rows,
        .panel_begin = begin, .panel_end = end, .accumulate = c->accumulate,
    };
    kernel->run(&args);
}

/* All panels at once; then in two calls cut at every panel, later part first. */
static void gemm_check(struct run *run, struct gemm_case *c, const struct simd_gemm_kernel *kernel,
                       uint32_t widest)
{
    const struct simd_panels panels = simd_panels_of(c->n, 1, widest);
    now_running(run, kernel->name, c->name);
    weights_pack(&c->w, &panels, c->rows % 2);
    run->n_checks++;
    if (!packing_is_right(&c->w, &panels, widest))
        failed(run, kernel->name, c->name, "simd_pack put a weight or a panel in the wrong place");
    for (size_t cut = 0; cut <= panels.count; cut++) {
        rows_copy(c->got, c->start);
        gemm_run_range(c, kernel, &panels, cut, panels.count);
        gemm_run_range(c, kernel, &panels, 0, cut);
        check_rows(run, kernel->name, c->name, "out", c->got, c->want);
        if (c->rows > 2 && cut == 1)
            break;
    }
    weights_unpack(&c->w);
}

static void gemm_case_run(struct run *run, struct gemm_case *c)
{
    snprintf(c->name, sizeof c->name, "gemm-m%zuk%zun%zu%s", c->rows, c->k, c->n,
             c->accumulate ? "+acc" : "");
    if (!wanted(run->options.name, c->name))
        return;
    struct rng rng = case_rng(run, c->name);
    weights_create(&c->w, &rng, c->n, 1, c->k);
    rows_shape(c->x, c->rows, c->k);
    rows_random(c->x, &rng, 1.0f);
    rows_shape(c->start, c->rows, c->n);
    if (c->accumulate)
        rows_random(c->start, &rng, 1.0f);
    gemm_reference(c);
    gemm_near_double(run, c);

    size_t n_isas;
    const struct simd_isa *const *isas = simd_all(&n_isas);
    for (size_t i = 0; i < n_isas; i++) {
        if (!isa_runs(run, isas[i]))
            continue;
        for (const struct simd_gemm_kernel *kernel = isas[i]->gemm; kernel->name; kernel++) {
            if (wanted(run->options.kernel, kernel->name))
                gemm_check(run, c, kernel,
                           width_for(run, isas[i], kernel->widest, c->n + c->rows + c->k));
        }
    }
    weights_destroy(&c->w);
}

/* ---- LSTM step --------------------------------------------------------------------- */

struct lstm_case {
    struct step_shape shape;
    char name[64];
    struct weights wx, wh;
    struct rows *x, *h, *xw, *c_start, *c_want, *c_got, *h_want, *h_got, *h_copy;
};

static float lstm_gate(const struct lstm_case *c, size_t item, size_t row)
{
    const float z = block_sum(c->wx.bias[row], c->wx.clean + row * c->shape.n_x, c->x->at[item],
                              c->shape.n_x);
    return block_sum(z, c->wh.clean + row * c->shape.units, c->h->at[item], c->shape.units);
}

static void lstm_reference(const struct run *run, struct lstm_case *c)
{
    rows_copy(c->c_want, c->c_start);
    rows_shape(c->h_want, c->shape.items, c->shape.units);
    for (size_t item = 0; item < c->shape.items; item++) {
        for (size_t u = 0; u < c->shape.units; u++) {
            const float i = scalar_act(run, SIMD_ACT_SIGMOID, lstm_gate(c, item, u));
            const float f = scalar_act(run, SIMD_ACT_SIGMOID, lstm_gate(c, item, c->shape.units + u));
            const float g = scalar_act(run, SIMD_ACT_TANH, lstm_gate(c, item, 2 * c->shape.units + u));
            const float o = scalar_act(run, SIMD_ACT_SIGMOID, lstm_gate(c, item, 3 * c->shape.units + u));
            float *cell = &c->c_want->at[item][u];
            *cell = fmaf(f, *cell, i * g);
            c->h_want->at[item][u] = o * scalar_act(run, SIMD_ACT_TANH, *cell);
        }
    }
}

static double lstm_gate_double(const struct lstm_case *c, size_t item, size_t row)
{
    double z = c->wx.bias[row];
    for (size_t k = 0; k < c->shape.n_x; k++)
        z += (double)c->wx.clean[row * c->shape.n_x + k] * c->x->at[item][k];
    for (size_t k = 0; k < c->shape.units; k++)
        z += (double)c->wh.clean[row * c->shape.units + k] * c->h->at[item][k];
    return z;
}

/* Inputs are within ±1 and weights within ±2/√k, so a gate's sum is off by little
 * more than (k + 1) half ulps of a few units, and every function here has a slope of
 * at most 1. */
static void lstm_near_double(struct run *run, const struct lstm_case *c)
{
    const size_t n = c->shape.units;
    const double tolerance = (double)(c->shape.n_x + n + 8) * 4 * 0x1p-24;
    run->n_checks++;
    for (size_t item = c->shape.nan; item < c->shape.items; item++) {
        for (size_t u = 0; u < n; u++) {
            const double i = logistic(lstm_gate_double(c, item, u));
            const double f = logistic(lstm_gate_double(c, item, n + u));
            const double g = tanh(lstm_gate_double(c, item, 2 * n + u));
            const double o = logistic(lstm_gate_double(c, item, 3 * n + u));
            const double cell = f * c->c_start->at[item][u] + i * g;
            if (fabs(cell - c->c_want->at[item][u]) > tolerance ||
                fabs(o * tanh(cell) - c->h_want->at[item][u]) > tolerance) {
                failed(run, "reference", c->name, "far from the double-precision result");
                return;
            }
        }
    }
}

/* The input part as the runtime hoists it, in packed order; padding columns are NaN to
 * show that they reach nothing. */
static void lstm_fill_xw(struct lstm_case *c, const struct simd_panels *panels, uint32_t widest)
{
    static long row_of[MAX_COLUMNS];
    size_t count;
    walk_panels(c->shape.units, 4, widest, row_of, &count);
    rows_shape(c->xw, c->shape.items, panels->columns);
    for (size_t item = 0; item < c->shape.items; item++) {
        for (size_t j = 0; j < panels->columns; j++) {
            float z = NAN;
            if (row_of[j] >= 0) {
                const size_t row = (size_t)row_of[j];
                z = block_sum(c->wx.bias[row], c->wx.clean + row * c->shape.n_x, c->x->at[item],
                              c->shape.n_x);
            }
            c->xw->at[item][j] = z;
        }
    }
}

static struct simd_lstm lstm_args(struct lstm_case *c, const struct simd_panels *panels)
{
    return (struct simd_lstm){
        .wx = c->wx.packed, .wh = c->wh.packed, .bias = c->wx.packed_bias, .panels = panels,
        .n_x = c->shape.n_x, .n_h = c->shape.units, .units = c->shape.units,
        .x = c->shape.hoisted ? NULL : (const float *const *)c->x->at,
        .xw = c->shape.hoisted ? (const float *const *)c->xw->at : NULL,
        .h = (const float *const *)c->h->at, .c = c->c_got->at, .h_out = c->h_got->at,
        .items = c->shape.items, .panel_end = panels->count,
    };
}

static void lstm_run_range(struct lstm_case *c, const struct simd_lstm_kernel *kernel,
                           const struct simd_panels *panels, size_t begin, size_t end, bool backwards)
{
    struct simd_lstm args = lstm_args(c, panels);
    args.panel_begin = begin;
    args.panel_end = end;
    args.backwards = backwards;
    kernel->step(&args);
}

/* h written over the h that is read, and to another place, where the kernel says it can. */
static void lstm_in_place(struct run *run, struct lstm_case *c, const struct simd_lstm_kernel *kernel,
                          const struct simd_panels *panels)
{
    struct simd_lstm args = lstm_args(c, panels);
    if (!kernel->in_place || !kernel->in_place(&args))
        return;
    run->n_checks++;
    rows_copy(c->c_got, c->c_start);
    rows_copy(c->h_got, c->h);
    rows_shape(c->h_copy, c->shape.items, c->shape.units);
    args.h = (const float *const *)c->h_got->at;
    args.h_copy = c->h_copy->at;
    kernel->step(&args);
    check_rows(run, kernel->name, c->name, "c in place", c->c_got, c->c_want);
    check_rows(run, kernel->name, c->name, "h in place", c->h_got, c->h_want);
    check_rows(run, kernel->name, c->name, "copy of h", c->h_copy, c->h_want);
}

/* Forwards and backwards, whole and cut in two at every panel. */
static void lstm_check(struct run *run, struct lstm_case *c, const struct simd_lstm_kernel *kernel,
                       uint32_t widest)
{
    const struct simd_panels panels = simd_panels_of(c->shape.units, 4, widest);
    now_running(run, kernel->name, c->name);
    weights_pack(&c->wx, &panels, false);
    weights_pack(&c->wh, &panels, true);
    run->n_checks++;
    if (!packing_is_right(&c->wx, &panels, widest) || !packing_is_right(&c->wh, &panels, widest))
        failed(run, kernel->name, c->name, "simd_pack put a weight or a panel in the wrong place");
    if (c->shape.hoisted)
        lstm_fill_xw(c, &panels, widest);
    for (size_t cut = 0; cut <= panels.count; cut++) {
        rows_copy(c->c_got, c->c_start);
        rows_shape(c->h_got, c->shape.items, c->shape.units);
        lstm_run_range(c, kernel, &panels, cut, panels.count, cut % 2);
        lstm_run_range(c, kernel, &panels, 0, cut, cut % 2);
        check_rows(run, kernel->name, c->name, "c", c->c_got, c->c_want);
        check_rows(run, kernel->name, c->name, "h", c->h_got, c->h_want);
        if (c->shape.items > 2 && cut == 1)
            break;
    }
    lstm_in_place(run, c, kernel, &panels);
    weights_unpack(&c->wx);
    weights_unpack(&c->wh);
}

static void lstm_case_prepare(const struct run *run, struct lstm_case *c)
{
    struct rng rng = case_rng(run, c->name);
    weights_create(&c->wx, &rng, c->shape.units, 4, c->shape.n_x);
    weights_create(&c->wh, &rng, c->shape.units, 4, c->shape.units);
    rows_shape(c->x, c->shape.items, c->shape.n_x);
    rows_random(c->x, &rng, 1.0f);
    rows_shape(c->h, c->shape.items, c->shape.units);
    rows_random(c->h, &rng, 1.0f);
    if (c->shape.nan)
        c->h->at[0][c->shape.units / 2] = NAN;
    rows_shape(c->c_start, c->shape.items, c->shape.units);
    rows_random(c->c_start, &rng, 2.0f);
    lstm_reference(run, c);
}

static void lstm_case_run(struct run *run, void *context, const struct step_shape *shape)
{
    struct lstm_case *c = context;
    c->shape = *shape;
    snprintf(c->name, sizeof c->name, "lstm-t1n%zuc%zuh%zu%s%s", c->shape.items, c->shape.n_x, c->shape.units,
             c->shape.hoisted ? "+xw" : "", c->shape.nan ? "+nan" : "");
    if (!wanted(run->options.name, c->name))
        return;
    lstm_case_prepare(run, c);
    lstm_near_double(run, c);

    size_t n_isas;
    const struct simd_isa *const *isas = simd_all(&n_isas);
    for (size_t i = 0; i < n_isas; i++) {
        if (!isa_runs(run, isas[i]))
            continue;
        for (const struct simd_lstm_kernel *kernel = isas[i]->lstm; kernel->name; kernel++) {
            if (wanted(run->options.kernel, kernel->name))
                lstm_check(run, c, kernel,
                           width_for(run, isas[i], kernel->widest,
                                     c->shape.units + c->shape.items + c->shape.n_x));
        }
    }
    weights_destroy(&c->wx);
    weights_destroy(&c->wh);
}

/* ---- shapes -------------------------------------------------------------------------- */

static void gemm_cases(struct run *run)
{
    struct gemm_case c = {.x = rows_create(MAX_INPUT), .start = rows_create(MAX_COLUMNS),
                          .want = rows_create(MAX_COLUMNS), .got = rows_create(MAX_COLUMNS)};
    for (size_t size = 0; size < N_SIZES; size++) {
        for (size_t m = 0; m < N_ROW_COUNTS; m++) {
            for (size_t k = 0; k < N_INPUTS; k++) {
                c.n = size_of(size);
                c.rows = row_count(m);
                c.k = case_inputs[k];
                c.accumulate = (size + m + k) % 2;
                gemm_case_run(run, &c);
            }
        }
    }
    rows_destroy(c.x);
    rows_destroy(c.start);
    rows_destroy(c.want);
    rows_destroy(c.got);
}

static void lstm_cases(struct run *run)
{
    struct lstm_case c = {.x = rows_create(MAX_INPUT), .h = rows_create(MAX_UNITS),
                          .xw = rows_create(MAX_COLUMNS), .c_start = rows_create(MAX_UNITS),
                          .c_want = rows_create(MAX_UNITS), .c_got = rows_create(MAX_UNITS),
                          .h_want = rows_create(MAX_UNITS), .h_got = rows_create(MAX_UNITS),
                          .h_copy = rows_create(MAX_UNITS)};
    each_step_shape(run, &c, lstm_case_run);
    struct rows *all[] = {c.x, c.h, c.xw, c.c_start, c.c_want, c.c_got, c.h_want, c.h_got, c.h_copy};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        rows_destroy(all[i]);
}

/* ---- command line ---------------------------------------------------------------------- */

static void list_kernels(const struct run *run)
{
    size_t n_isas;
    const struct simd_isa *const *isas = simd_all(&n_isas);
    for (size_t i = 0; i < n_isas; i++) {
        const char *runs = (isas[i]->needs & ~run->cpu_bits) == 0 ? "" : " (not on this CPU)";
        for (const struct simd_gemm_kernel *k = isas[i]->gemm; k->name; k++)
            printf("%s%s\n", k->name, runs);
        for (const struct simd_lstm_kernel *k = isas[i]->lstm; k->name; k++)
            printf("%s%s\n", k->name, runs);
        for (const struct simd_gru_kernel *k = isas[i]->gru; k->name; k++)
            printf("%s%s\n", k->name, runs);
        for (const struct simd_gate_kernel *k = isas[i]->gate; k->name; k++)
            printf("%s%s\n", k->name, runs);
    }
}

static void usage(FILE *to)
{
    fprintf(to, "usage: check_kernels [--list] [--isa NAME] [--kernel NAME] [--seed N] [--case NAME]\n");
}

static void parse(int argc, char **argv, struct options *options)
{
    for (int i = 1; i < argc; i++) {
        const char *value = i + 1 < argc ? argv[i + 1] : NULL;
        if (strcmp(argv[i], "--list") == 0) {
            options->list = true;
            continue;
        }
        if (strcmp(argv[i], "--help") == 0) {
            usage(stdout);
            exit(0);
        }
        if (value && strcmp(argv[i], "--isa") == 0)
            options->isa = value;
        else if (value && strcmp(argv[i], "--kernel") == 0)
            options->kernel = value;
        else if (value && strcmp(argv[i], "--case") == 0)
            options->name = value;
        else if (value && strcmp(argv[i], "--seed") == 0)
            options->seed = strtoull(value, NULL, 0);
        else {
            usage(stderr);
            exit(2);
        }
        i++;
    }
}

int main(int argc, char **argv)
{
    struct run run = {.options = {.seed = 1}, .cpu_bits = simd_cpu_detect().bits};
    parse(argc, argv, &run.options);
    size_t n_isas;
    run.scalar = simd_all(&n_isas)[n_isas - 1];
    if (run.options.list) {
        list_kernels(&run);
        return 0;
    }
    setvbuf(stdout, NULL, _IOLBF, 0);
    signal(SIGSEGV, on_fault);
    signal(SIGBUS, on_fault);
    struct simd_fpenv saved;
    simd_fpenv_enter(&saved);
    gemm_cases(&run);
    lstm_cases(&run);
    gru_cases(&run);
    gate_cases(&run);
    simd_fpenv_leave(&saved);
    printf("%llu checks, %llu failed\n", run.n_checks, run.n_failed);
    if (run.n_checks == 0)
        fprintf(stderr, "check_kernels: no kernel or case has that name\n");
    return run.n_failed > 0 || run.n_checks == 0;
}
