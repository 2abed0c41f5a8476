/* SPDX-License-Identifier: MIT
 *
 * Every kernel of one gate that this CPU can run, for each use of its sums: bits must equal a
 * plain reference written here, and stay near a double-precision one.
 */
#define _DEFAULT_SOURCE /* MAP_ANONYMOUS */

#include "tests/kernel_cases.h"

#include <math.h>
#include <stdio.h>

/* Columns of other gates before this one's in a row of sums that were computed ahead. */
enum { BEFORE_XW = 5, N_USES = SIMD_GATE_NEW + 1 };

struct gate_case {
    struct step_shape shape;
    enum simd_gate_use use;
    char name[64];
    struct weights wx, wh;
    struct rows *x, *state, *h, *xw, *start, *want, *got;
};

/* ---- references -------------------------------------------------------------- */

static float sum_over_x(const struct gate_case *c, size_t item, size_t unit)
{
    return block_sum(c->wx.bias[unit], c->wx.clean + unit * c->shape.n_x, c->x->at[item], c->shape.n_x);
}

static float reference_unit(const struct run *run, const struct gate_case *c, size_t item, size_t unit)
{
    const float h = c->h->at[item][unit], before = c->start->at[item][unit];
    const float z = block_sum(sum_over_x(c, item, unit), c->wh.clean + unit * c->shape.units,
                              c->state->at[item], c->shape.units);
    switch (c->use) {
    case SIMD_GATE_TANH: return scalar_act(run, SIMD_ACT_TANH, z);
    case SIMD_GATE_RELU: return scalar_act(run, SIMD_ACT_RELU, z);
    case SIMD_GATE_RESET: return scalar_act(run, SIMD_ACT_SIGMOID, z) * h;
    case SIMD_GATE_UPDATE: return scalar_act(run, SIMD_ACT_SIGMOID, z);
    case SIMD_GATE_NEW: break;
    }
    return fmaf(before, h, (1.0f - before) * scalar_act(run, SIMD_ACT_TANH, z));
}

static double double_unit(const struct gate_case *c, size_t item, size_t unit)
{
    const double h = c->h->at[item][unit], before = c->start->at[item][unit];
    double z = c->wx.bias[unit];
    for (size_t k = 0; k < c->shape.n_x; k++)
        z += (double)c->wx.clean[unit * c->shape.n_x + k] * c->x->at[item][k];
    for (size_t k = 0; k < c->shape.units; k++)
        z += (double)c->wh.clean[unit * c->shape.units + k] * c->state->at[item][k];
    switch (c->use) {
    case SIMD_GATE_TANH: return tanh(z);
    case SIMD_GATE_RELU: return fmax(z, 0);
    case SIMD_GATE_RESET: return logistic(z) * h;
    case SIMD_GATE_UPDATE: return logistic(z);
    case SIMD_GATE_NEW: break;
    }
    return before * h + (1 - before) * tanh(z);
}

/* As for the LSTM. */
static void reference(struct run *run, const struct gate_case *c)
{
    const double tolerance = (double)(c->shape.n_x + c->shape.units + 8) * 4 * 0x1p-24;
    bool near = true;
    rows_shape(c->want, c->shape.items, c->shape.units);
    for (size_t item = 0; item < c->shape.items; item++)
        for (size_t u = 0; u < c->shape.units; u++) {
            const float y = c->want->at[item][u] = reference_unit(run, c, item, u);
            if (item >= c->shape.nan)
                near &= fabs(double_unit(c, item, u) - y) <= tolerance;
        }
    run->n_checks++;
    if (!near)
        failed(run, "reference", c->name, "far from the double-precision result");
}

/* ---- one kernel ----------------------------------------------------------------- */

/* Padding is NaN to show that it reaches nothing. */
static void fill_xw(const struct gate_case *c, const struct simd_panels *panels)
{
    rows_shape(c->xw, c->shape.items, BEFORE_XW + panels->columns);
    for (size_t item = 0; item < c->shape.items; item++)
        for (size_t j = 0; j < BEFORE_XW + panels->columns; j++)
            c->xw->at[item][j] = j < BEFORE_XW || j >= BEFORE_XW + c->shape.units
                                     ? NAN
                                     : sum_over_x(c, item, j - BEFORE_XW);
}

static void run_range(const struct gate_case *c, const struct simd_gate_kernel *kernel,
                      const struct simd_panels *panels, size_t begin, size_t end, bool backwards)
{
    const struct simd_gate args = {
        .use = c->use, .wx = c->wx.packed, .wh = c->wh.packed, .bias = c->wx.packed_bias,
        .panels = panels, .n_x = c->shape.n_x, .n_h = c->shape.units, .units = c->shape.units,
        .x = c->shape.hoisted ? NULL : (const float *const *)c->x->at,
        .xw = c->shape.hoisted ? (const float *const *)c->xw->at : NULL, .xw_at = BEFORE_XW,
        .state = (const float *const *)c->state->at, .h = (const float *const *)c->h->at,
        .out = c->got->at, .items = c->shape.items, .panel_begin = begin, .panel_end = end,
        .backwards = backwards,
    };
    kernel->step(&args);
}

/* Forwards and backwards, whole and cut in two at every panel. */
static void check_kernel(struct run *run, struct gate_case *c, const struct simd_gate_kernel *kernel)
{
    const struct simd_panels panels = simd_panels_of(c->shape.units, 1, kernel->widest);
    now_running(run, kernel->name, c->name);
    weights_pack(&c->wx, &panels, false);
    weights_pack(&c->wh, &panels, true);
    fill_xw(c, &panels);
    for (size_t cut = 0; cut <= panels.count; cut++) {
        rows_copy(c->got, c->start);
        run_range(c, kernel, &panels, cut, panels.count, cut % 2);
        run_range(c, kernel, &panels, 0, cut, cut % 2);
        check_rows(run, kernel->name, c->name, "out", c->got, c->want);
        if (c->shape.items > 2 && cut == 1)
            break;
    }
    weights_unpack(&c->wx);
    weights_unpack(&c->wh);
}

/* ---- cases ------------------------------------------------------------------------ */

static void random_rows(struct rows *rows, struct rng *rng, size_t n, size_t width)
{
    rows_shape(rows, n, width);
    rows_random(rows, rng, 1.0f);
}

static void case_use(struct run *run, struct gate_case *c)
{
    static const char *const uses[N_USES] = {"tanh", "relu", "reset", "update", "new"};
    const size_t n = c->shape.units, items = c->shape.items;
    snprintf(c->name, sizeof c->name, "gate-%s-t1n%zuc%zuh%zu%s%s", uses[c->use], items, c->shape.n_x, n,
             c->shape.hoisted ? "+xw" : "", c->shape.nan ? "+nan" : "");
    if (!wanted(run->options.name, c->name))
        return;
    struct rng rng = case_rng(run, c->name);
    weights_create(&c->wx, &rng, n, 1, c->shape.n_x);
    weights_create(&c->wh, &rng, n, 1, n);
    random_rows(c->x, &rng, items, c->shape.n_x);
    random_rows(c->state, &rng, items, n);
    random_rows(c->h, &rng, items, n);
    random_rows(c->start, &rng, items, n);
    if (c->shape.nan)
        c->state->at[0][n / 2] = c->h->at[0][n / 2] = NAN;
    reference(run, c);
    size_t n_isas;
    const struct simd_isa *const *isas = simd_all(&n_isas);
    for (size_t i = 0; i < n_isas; i++)
        for (const struct simd_gate_kernel *k = isas[i]->gate; isa_runs(run, isas[i]) && k->name; k++)
            if (wanted(run->options.kernel, k->name))
                check_kernel(run, c, k);
    weights_destroy(&c->wx);
    weights_destroy(&c->wh);
}

/* Small steps in every use, the others in turn. */
static void case_run(struct run *run, void *context, const struct step_shape *shape)
{
    struct gate_case *c = context;
    c->shape = *shape;
    for (unsigned use = 0; use < N_USES; use++) {
        c->use = (enum simd_gate_use)use;
        if ((shape->items < 3 && shape->n_x < 4) ||
            (shape->units + shape->items + shape->n_x) % N_USES == use)
            case_use(run, c);
    }
}

void gate_cases(struct run *run)
{
    struct gate_case c = {.x = rows_create(MAX_INPUT), .state = rows_create(MAX_UNITS),
                          .h = rows_create(MAX_UNITS), .xw = rows_create(MAX_COLUMNS),
                          .start = rows_create(MAX_UNITS), .want = rows_create(MAX_UNITS),
                          .got = rows_create(MAX_UNITS)};
    each_step_shape(run, &c, case_run);
    struct rows *all[] = {c.x, c.state, c.h, c.xw, c.start, c.want, c.got};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        rows_destroy(all[i]);
}
