/* SPDX-License-Identifier: MIT
 *
 * The reference: plain loops with fmaf, for panels of any width. Slow, and the one
 * place where the order of operations can be read off directly.
 */
#include "simd/act_tmpl.h"
#include "simd/cell_tmpl.h"
#include "simd/kernels.h"

/* total + Σ weights[k · width] · x[k], each block summed from zero */
static float sum_from(float total, const float *weights, uint32_t width, const float *x, size_t k)
{
    const size_t block = simd_block(k);
    for (size_t begin = 0; begin < k; begin += block) {
        const size_t end = k - begin < block ? k : begin + block;
        float sum = 0.0f;
        for (size_t j = begin; j < end; j++)
            sum = fmaf(weights[j * width], x[j], sum);
        total += sum;
    }
    return total;
}

static void gemm_panel(const struct simd_gemm *a, size_t row, size_t first, uint32_t width)
{
    const size_t left = a->n_out - first;
    float *out = a->out[row] + first;
    for (size_t j = 0; j < width && j < left; j++)
        out[j] = sum_from(a->accumulate ? out[j] : a->bias[first + j],
                          a->weights + first * a->k + j, width, a->x[row], a->k);
}

static void gemm_run(const struct simd_gemm *a)
{
    for (size_t p = a->panel_begin; p < a->panel_end; p++) {
        size_t first;
        uint32_t width;
        simd_panel_at(a->panels, p, &first, &width);
        for (size_t row = 0; row < a->rows; row++)
            gemm_panel(a, row, first, width);
    }
}

static float lstm_gate(const struct simd_lstm *a, size_t item, size_t first, uint32_t width,
                       size_t column)
{
    const size_t at = first + column;
    float z = a->xw ? a->xw[item][at] : a->bias[at];
    if (!a->xw)
        z = sum_from(z, a->wx + first * a->n_x + column, width, a->x[item], a->n_x);
    return sum_from(z, a->wh + first * a->n_h + column, width, a->h[item], a->n_h);
}

static void lstm_panel(const struct simd_lstm *a, size_t item, size_t first, uint32_t width)
{
    const size_t unit = first / 4, each = width / 4;
    for (size_t u = 0; u < each && unit + u < a->units; u++) {
        float *c = &a->c[item][unit + u];
        a->h_out[item][unit + u] = cell_lstm(lstm_gate(a, item, first, width, u),
                                             lstm_gate(a, item, first, width, each + u),
                                             lstm_gate(a, item, first, width, 2 * each + u),
                                             lstm_gate(a, item, first, width, 3 * each + u), *c, c);
    }
}

static void lstm_step(const struct simd_lstm *a)
{
    for (size_t i = a->panel_begin; i < a->panel_end; i++) {
        const size_t p = simd_panel_turn(a->panel_begin, a->panel_end, a->backwards, i);
        size_t first;
        uint32_t width;
        simd_panel_at(a->panels, p, &first, &width);
        for (size_t item = 0; item < a->items; item++)
            lstm_panel(a, item, first, width);
    }
}

static float gru_sum_x(const struct simd_gru *a, size_t item, size_t first, uint32_t width,
                       size_t column)
{
    if (a->xw)
        return a->xw[item][first + column];
    return sum_from(a->bias[first + column], a->wx + first * a->n_x + column, width, a->x[item],
                    a->n_x);
}

static float gru_sum_h(const struct simd_gru *a, float start, size_t item, size_t first,
                       uint32_t width, size_t column)
{
    return sum_from(start, a->wh + first * a->units + column, width, a->h[item], a->units);
}

static void gru_panel(const struct simd_gru *a, size_t item, size_t first, uint32_t width)
{
    const size_t unit = first / 3, each = width % 3 ? width / 4 : width / 3;
    for (size_t u = 0; u < each && unit + u < a->units; u++) {
        const size_t z = each + u, new = 2 * each + u;
        const float zr = gru_sum_h(a, gru_sum_x(a, item, first, width, u), item, first, width, u);
        const float zz = gru_sum_h(a, gru_sum_x(a, item, first, width, z), item, first, width, z);
        const float nx = gru_sum_x(a, item, first, width, new);
        const float nh = gru_sum_h(a, a->bias_h[first + new], item, first, width, new);
        a->h_out[item][unit + u] = cell_gru(zr, zz, nx, nh, a->h[item][unit + u]);
    }
}

static void gru_step(const struct simd_gru *a)
{
    for (size_t i = a->panel_begin; i < a->panel_end; i++) {
        const size_t p = simd_panel_turn(a->panel_begin, a->panel_end, a->backwards, i);
        size_t first;
        uint32_t width;
        simd_panel_at(a->panels, p, &first, &width);
        for (size_t item = 0; item < a->items; item++)
            gru_panel(a, item, first, width);
    }
}

static float gate_sums(const struct simd_gate *a, size_t item, size_t first, uint32_t width, size_t column)
{
    const size_t at = first + column;
    float z = a->xw ? a->xw[item][a->xw_at + at] : a->bias[at];
    if (!a->xw)
        z = sum_from(z, a->wx + first * a->n_x + column, width, a->x[item], a->n_x);
    return sum_from(z, a->wh + first * a->n_h + column, width, a->state[item], a->n_h);
}

static void gate_finish(const struct simd_gate *a, float z, size_t item, size_t unit)
{
    static const enum simd_act acts[] = {
        [SIMD_GATE_TANH] = SIMD_ACT_TANH, [SIMD_GATE_RELU] = SIMD_ACT_RELU,
        [SIMD_GATE_RESET] = SIMD_ACT_SIGMOID, [SIMD_GATE_UPDATE] = SIMD_ACT_SIGMOID,
        [SIMD_GATE_NEW] = SIMD_ACT_TANH,
    };
    float y, *out = &a->out[item][unit];
    ops_act(acts[a->use], 0, 0, &z, &y, 1);
    if (a->use == SIMD_GATE_RESET)
        y *= a->h[item][unit];
    else if (a->use == SIMD_GATE_NEW)
        y = fmaf(*out, a->h[item][unit], (1.0f - *out) * y);
    *out = y;
}

static void gate_step(const struct simd_gate *a)
{
    for (size_t i = a->panel_begin; i < a->panel_end; i++) {
        const size_t p = simd_panel_turn(a->panel_begin, a->panel_end, a->backwards, i);
        size_t first;
        uint32_t width;
        simd_panel_at(a->panels, p, &first, &width);
        for (size_t item = 0; item < a->items; item++)
            for (size_t u = 0; u < width && first + u < a->units; u++)
                gate_finish(a, gate_sums(a, item, first, width, u), item, first + u);
    }
}

/* 16 columns: the least padding. */
static const struct simd_gemm_kernel gemm_kernels[] = {
    {"scalar/gemm-f32-1x16", 16, 1, gemm_run},
    {NULL, 0, 0, NULL},
};

static const struct simd_lstm_kernel lstm_kernels[] = {
    {"scalar/lstm-f32-1x4", 16, 1, 0, lstm_step, NULL},
    {NULL, 0, 0, 0, NULL, NULL},
};

static const struct simd_gru_kernel gru_kernels[] = {
    {"scalar/gru-f32-1x8", 24, 1, gru_step},
    {NULL, 0, 0, NULL},
};

static const struct simd_gate_kernel gate_kernels[] = {
    {"scalar/gate-f32-1x16", 16, 1, 0, gate_step},
    {NULL, 0, 0, 0, NULL},
};
