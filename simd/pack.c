/* SPDX-License-Identifier: MIT
 *
 * Panels: where they lie, and weights and biases put into them. Runs once when a
 * plan is made, in baseline instructions; a matrix of tens of megabytes should
 * cost little more than reading and writing it.
 */
#include "simd/kernels.h"

#include <float.h>
#include <math.h>
#include <string.h>

enum {
    STRIP = 16 /* columns handled together: every panel width is a multiple of it */
};

struct simd_panels simd_panels_of(size_t n, uint32_t columns_each, uint32_t widest)
{
    const size_t columns = n * columns_each;
    struct simd_panels panels = {.n_wide = columns / widest, .widest = widest};
    const size_t left = columns % widest;
    if (left > 0 && (left > 48 || (left > 16 && widest == 32) || widest == 16))
        panels.n_wide++;
    else if (left > 0) {
        panels.half = left > 16;
        panels.quarter = left <= 16 || left > 32;
    }
    panels.count = panels.n_wide + panels.half + panels.quarter;
    panels.columns = panels.n_wide * widest + (panels.half ? 32 : 0) + (panels.quarter ? 16 : 0);
    return panels;
}

void simd_panel_at(const struct simd_panels *panels, size_t p, size_t *first_out,
                   uint32_t *width_out)
{
    const size_t wide = p < panels->n_wide ? p : panels->n_wide;
    const bool after_half = panels->half && p > panels->n_wide;
    *first_out = wide * panels->widest + (after_half ? 32 : 0);
    if (p < panels->n_wide)
        *width_out = panels->widest;
    else
        *width_out = panels->half && !after_half ? 32 : 16;
}

/* Row of the canonical matrix that column `column` of a panel holds; `rows` (one
 * past the last) for a padding column. */
static size_t source_row(size_t n, uint32_t columns_each, size_t first, uint32_t width,
                         uint32_t column)
{
    const uint32_t each = width / columns_each;
    const size_t unit = first / columns_each + column % each;
    return unit < n ? column / each * n + unit : n * columns_each;
}

static float without_denormals(float x)
{
    return fabsf(x) < FLT_MIN ? 0.0f : x;
}

/* STRIP source rows × `n` values of k, transposed into a panel of `width` columns.
 * Reading whole cache lines into a block of fixed size first lets the compiler
 * vectorise that part, and the transposition then works inside L1. */
static void pack_block(const float *const rows[STRIP], size_t k, size_t n, float *out,
                       uint32_t width)
{
    float block[STRIP][STRIP];
    for (size_t j = 0; j < STRIP; j++) {
        if (rows[j] && n == STRIP) {
            for (size_t i = 0; i < STRIP; i++)
                block[j][i] = without_denormals(rows[j][k + i]);
        } else {
            for (size_t i = 0; i < n; i++)
                block[j][i] = rows[j] ? without_denormals(rows[j][k + i]) : 0.0f;
        }
    }
    for (size_t i = 0; i < n; i++)
        for (size_t j = 0; j < STRIP; j++)
            out[i * width + j] = block[j][i];
}

static void pack_panel(const struct simd_matrix *matrix, size_t first, uint32_t width,
                       float *out)
{
    const size_t end = matrix->n * matrix->columns_each;
    for (uint32_t strip = 0; strip < width; strip += STRIP) {
        const float *rows[STRIP];
        for (uint32_t j = 0; j < STRIP; j++) {
            const size_t row = source_row(matrix->n, matrix->columns_each, first, width,
                                          strip + j);
            rows[j] = row < end ? matrix->data + row * matrix->stride : NULL;
        }
        for (size_t k = 0; k < matrix->k; k += STRIP) {
            const size_t left = matrix->k - k;
            pack_block(rows, k, left < STRIP ? left : STRIP, out + k * width + strip, width);
        }
    }
}

void simd_pack(const struct simd_matrix *matrix, const struct simd_panels *panels,
               size_t begin, size_t end, float *packed)
{
    for (size_t p = begin; p < end; p++) {
        size_t first;
        uint32_t width;
        simd_panel_at(panels, p, &first, &width);
        pack_panel(matrix, first, width, packed + first * matrix->k);
    }
}

void simd_pack_bias(const float *bias, size_t n, uint32_t columns_each,
                    const struct simd_panels *panels, float *packed)
{
    memset(packed, 0, panels->columns * sizeof *packed);
    for (size_t p = 0; bias && p < panels->count; p++) {
        size_t first;
        uint32_t width;
        simd_panel_at(panels, p, &first, &width);
        for (uint32_t j = 0; j < width; j++) {
            const size_t row = source_row(n, columns_each, first, width, j);
            if (row < n * columns_each)
                packed[first + j] = without_denormals(bias[row]);
        }
    }
}
