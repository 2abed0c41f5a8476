/* SPDX-License-Identifier: MIT
 *
 * Every GRU kernel that this CPU can run, and the product that computes its input part
 * ahead: bits must equal a plain reference written here, and stay near a double-precision
 * one.
 */
#define _DEFAULT_SOURCE /* MAP_ANONYMOUS */

#include "tests/kernel_cases.h"

#include <math.h>
#include <stdio.h>

struct gru_case {
    struct step_shape shape;
    char name[64];
    struct weights wx, wh; /* wh.bias: only the new value's is used */
    struct rows *x, *h, *xw, *xw_got, *h_want, *h_got;
};

enum { GATE_R, GATE_Z, GATE_N };

/* ---- references -------------------------------------------------------------- */

static float sum_over_x(const struct gru_case *c, size_t item, size_t row)
{
    return block_sum(c->wx.bias[row], c->wx.clean + row * c->shape.n_x, c->x->at[item], c->shape.n_x);
}

static float sum_over_h(const struct gru_case *c, float start, size_t item, size_t row)
{
    return block_sum(start, c->wh.clean + row * c->shape.units, c->h->at[item], c->shape.units);
}

static void reference(const struct run *run, struct gru_case *c)
{
    const size_t n = c->shape.units;
    rows_shape(c->h_want, c->shape.items, n);
    for (size_t item = 0; item < c->shape.items; item++) {
        for (size_t u = 0; u < n; u++) {
            const size_t row_z = GATE_Z * n + u, row_n = GATE_N * n + u;
            const float zr = sum_over_h(c, sum_over_x(c, item, u), item, u);
            const float zz = sum_over_h(c, sum_over_x(c, item, row_z), item, row_z);
            const float q = sum_over_h(c, c->wh.bias[row_n], item, row_n);
            const float r = scalar_act(run, SIMD_ACT_SIGMOID, zr);
            const float z = scalar_act(run, SIMD_ACT_SIGMOID, zz);
            const float new =
                scalar_act(run, SIMD_ACT_TANH, fmaf(r, q, sum_over_x(c, item, row_n)));
            c->h_want->at[item][u] = fmaf(z, c->h->at[item][u], (1.0f - z) * new);
        }
    }
}

static double dot(const float *a, const float *b, size_t n)
{
    double sum = 0;
    for (size_t k = 0; k < n; k++)
        sum += (double)a[k] * b[k];
    return sum;
}

static double double_x(const struct gru_case *c, size_t item, size_t row)
{
    return c->wx.bias[row] + dot(c->wx.clean + row * c->shape.n_x, c->x->at[item], c->shape.n_x);
}

static double double_h(const struct gru_case *c, size_t item, size_t row)
{
    return dot(c->wh.clean + row * c->shape.units, c->h->at[item], c->shape.units);
}

/* As for the LSTM: sums are off by (k + 1) half ulps of a few units, and slopes are at most
 * 1, but for the reset gate's on a candidate of a few units. */
static void near_double(struct run *run, const struct gru_case *c)
{
    const size_t n = c->shape.units;
    const double tolerance = (double)(c->shape.n_x + n + 8) * 8 * 0x1p-24;
    run->n_checks++;
    for (size_t item = c->shape.nan; item < c->shape.items; item++) {
        for (size_t u = 0; u < n; u++) {
            const size_t row_z = GATE_Z * n + u, row_n = GATE_N * n + u;
            const double r = logistic(double_x(c, item, u) + double_h(c, item, u));
            const double z = logistic(double_x(c, item, row_z) + double_h(c, item, row_z));
            const double q = c->wh.bias[row_n] + double_h(c, item, row_n);
            const double new = tanh(double_x(c, item, row_n) + r * q);
            const double want = (1 - z) * new + z * c->h->at[item][u];
            if (fabs(want - c->h_want->at[item][u]) > tolerance) {
                failed(run, "reference", c->name, "far from the double-precision result");
                return;
            }
        }
    }
}

/* ---- one kernel ----------------------------------------------------------------- */

/* The input part in packed order, `padding` in padding columns. */
static void fill_xw(const struct gru_case *c, uint32_t widest, float padding, struct rows *xw)
{
    static long row_of[MAX_COLUMNS];
    size_t count;
    const size_t columns = walk_panels(c->shape.units, 3, widest, row_of, &count);
    rows_shape(xw, c->shape.items, columns);
    for (size_t item = 0; item < c->shape.items; item++)
        for (size_t j = 0; j < columns; j++)
            xw->at[item][j] = row_of[j] < 0 ? padding : sum_over_x(c, item, (size_t)row_of[j]);
}

/* The product must take a GRU's panels. */
static void check_product(struct run *run, struct gru_case *c, const struct simd_gemm_kernel *kernel,
                          const struct simd_panels *panels, uint32_t widest)
{
    fill_xw(c, widest, 0.0f, c->xw);
    rows_shape(c->xw_got, c->shape.items, panels->columns);
    now_running(run, kernel->name, c->name);
    for (size_t part = 0; part < 2; part++) {
        const struct simd_gemm args = {
            .weights = c->wx.packed, .bias = c->wx.packed_bias, .panels = panels, .k = c->shape.n_x,
            .n_out = panels->columns, .x = (const float *const *)c->x->at, .out = c->xw_got->at,
            .rows = c->shape.items, .panel_begin = part ? panels->count / 2 : 0,
            .panel_end = part ? panels->count : panels->count / 2,
        };
        kernel->run(&args);
    }
    check_rows(run, kernel->name, c->name, "xw", c->xw_got, c->xw);
}

static void run_range(const struct gru_case *c, const struct simd_gru_kernel *kernel,
                      const struct simd_panels *panels, size_t begin, size_t end, bool backwards)
{
    const struct simd_gru args = {
        .wx = c->wx.packed, .wh = c->wh.packed, .bias = c->wx.packed_bias,
        .bias_h = c->wh.packed_bias, .panels = panels, .n_x = c->shape.n_x, .units = c->shape.units,
        .x = c->shape.hoisted ? NULL : (const float *const *)c->x->at,
        .xw = c->shape.hoisted ? (const float *const *)c->xw->at : NULL,
        .h = (const float *const *)c->h->at, .h_out = c->h_got->at,
        .items = c->shape.items, .panel_begin = begin, .panel_end = end, .backwards = backwards,
    };
    kernel->step(&args);
}

/* Forwards and backwards, whole and cut in two at every panel. */
static void check_kernel(struct run *run, struct gru_case *c, const struct simd_gru_kernel *kernel,
                         const struct simd_panels *panels, uint32_t widest)
{
    fill_xw(c, widest, NAN, c->xw);
    now_running(run, kernel->name, c->name);
    for (size_t cut = 0; cut <= panels->count; cut++) {
        rows_shape(c->h_got, c->shape.items, c->shape.units);
        run_range(c, kernel, panels, cut, panels->count, cut % 2);
        run_range(c, kernel, panels, 0, cut, cut % 2);
        check_rows(run, kernel->name, c->name, "h", c->h_got, c->h_want);
        if (c->shape.items > 2 && cut == 1)
            break;
    }
}

static void check_isa(struct run *run, struct gru_case *c, const struct simd_isa *isa)
{
    for (const struct simd_gru_kernel *kernel = isa->gru; kernel->name; kernel++) {
        if (!wanted(run->options.kernel, kernel->name))
            continue;
        /* The scalar kernel takes either width. */
        const bool either = isa == run->scalar && (c->shape.units + c->shape.items + c->shape.n_x) % 2;
        const uint32_t widest = either ? 48 : kernel->widest;
        const struct simd_panels panels = simd_panels_of(c->shape.units, 3, widest);
        weights_pack(&c->wx, &panels, false);
        weights_pack(&c->wh, &panels, true);
        run->n_checks++;
        if (!packing_is_right(&c->wx, &panels, widest) || !packing_is_right(&c->wh, &panels, widest))
            failed(run, kernel->name, c->name, "simd_pack put a weight or a panel in the wrong place");
        check_product(run, c, &isa->gemm[0], &panels, widest);
        check_kernel(run, c, kernel, &panels, widest);
        weights_unpack(&c->wx);
        weights_unpack(&c->wh);
    }
}

/* ---- cases ------------------------------------------------------------------------ */

static void case_run(struct run *run, void *context, const struct step_shape *shape)
{
    struct gru_case *c = context;
    c->shape = *shape;
    snprintf(c->name, sizeof c->name, "gru-t1n%zuc%zuh%zu%s%s", c->shape.items, c->shape.n_x, c->shape.units,
             c->shape.hoisted ? "+xw" : "", c->shape.nan ? "+nan" : "");
    if (!wanted(run->options.name, c->name))
        return;
    struct rng rng = case_rng(run, c->name);
    weights_create(&c->wx, &rng, c->shape.units, 3, c->shape.n_x);
    weights_create(&c->wh, &rng, c->shape.units, 3, c->shape.units);
    rows_shape(c->x, c->shape.items, c->shape.n_x);
    rows_random(c->x, &rng, 1.0f);
    rows_shape(c->h, c->shape.items, c->shape.units);
    rows_random(c->h, &rng, 1.0f);
    if (c->shape.nan)
        c->h->at[0][c->shape.units / 2] = NAN;
    reference(run, c);
    near_double(run, c);

    size_t n_isas;
    const struct simd_isa *const *isas = simd_all(&n_isas);
    for (size_t i = 0; i < n_isas; i++)
        if (isa_runs(run, isas[i]))
            check_isa(run, c, isas[i]);
    weights_destroy(&c->wx);
    weights_destroy(&c->wh);
}

void gru_cases(struct run *run)
{
    struct gru_case c = {.x = rows_create(MAX_INPUT), .h = rows_create(MAX_UNITS),
                         .xw = rows_create(MAX_COLUMNS), .xw_got = rows_create(MAX_COLUMNS),
                         .h_want = rows_create(MAX_UNITS), .h_got = rows_create(MAX_UNITS)};
    each_step_shape(run, &c, case_run);
    struct rows *all[] = {c.x, c.h, c.xw, c.xw_got, c.h_want, c.h_got};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        rows_destroy(all[i]);
}
