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
    STRIP = 16,  /* columns handled together */
    LINE = 16,   /* floats of a cache line */
    PIECE = 512, /* of k, before the next strip: what is written stays in the near cache */
    AHEAD = 4    /* lines, from fetching one to using it */
};

/* Things (outputs or units) that a panel has room for. A GRU's narrower panels have a
 * fourth column for each, of padding. */
static size_t room_of(uint32_t width, uint32_t columns_each)
{
    return columns_each == 3 && width % 3 ? width / 4 : width / columns_each;
}

struct simd_panels simd_panels_of(size_t n, uint32_t columns_each, uint32_t widest)
{
    const size_t room = room_of(widest, columns_each), quarter = room_of(16, columns_each);
    struct simd_panels panels = {.n_wide = n / room, .widest = widest};
    const size_t quarters = (n % room + quarter - 1) / quarter;
    if (quarters * 16 >= widest) {
        panels.n_wide++;
    } else {
        panels.half = quarters >= 2;
        panels.quarter = quarters % 2;
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
    const size_t room = room_of(width, columns_each);
    const size_t gate = column / room, unit = first / columns_each + column % room;
    return unit < n && gate < columns_each ? gate * n + unit : n * columns_each;
}

/* ---- transposition ------------------------------------------------------- */

/* Four floats as their bits: moving them can then neither trap nor change a NaN.
 * Every compiler target has this type, with or without registers for it. */
typedef uint32_t quad __attribute__((vector_size(16)));

#if defined(__clang__)
#define PICK(a, b, ...) __builtin_shufflevector(a, b, __VA_ARGS__)
#else
#define PICK(a, b, ...) __builtin_shuffle(a, b, (quad){__VA_ARGS__})
#endif

/* Denormals and both zeros become +0. */
static float without_denormals(float x)
{
    return fabsf(x) < FLT_MIN ? 0.0f : x;
}

static quad load_quad(const float *floats)
{
    const quad exponent = {0x7f800000, 0x7f800000, 0x7f800000, 0x7f800000};
    quad bits;
    memcpy(&bits, floats, sizeof bits);
    return bits & (quad)((bits & exponent) != 0);
}

/* 4 rows × 4 of k. */
static void pack_quad(const float *const *rows, size_t k, float *out, uint32_t width)
{
    const quad a = load_quad(rows[0] + k), b = load_quad(rows[1] + k);
    const quad c = load_quad(rows[2] + k), d = load_quad(rows[3] + k);
    const quad ab_low = PICK(a, b, 0, 4, 1, 5), ab_high = PICK(a, b, 2, 6, 3, 7);
    const quad cd_low = PICK(c, d, 0, 4, 1, 5), cd_high = PICK(c, d, 2, 6, 3, 7);
    const quad columns[4] = {PICK(ab_low, cd_low, 0, 1, 4, 5), PICK(ab_low, cd_low, 2, 3, 6, 7),
                             PICK(ab_high, cd_high, 0, 1, 4, 5),
                             PICK(ab_high, cd_high, 2, 3, 6, 7)};
    for (size_t i = 0; i < 4; i++)
        memcpy(out + i * width, &columns[i], sizeof columns[i]);
}

/* STRIP rows × LINE of k, four rows at a time: a line is read whole at once, as rows
 * of a power of two share so few places in the first cache that it might not stay. */
static void pack_lines(const float *const rows[STRIP], size_t k, float *out, uint32_t width)
{
    for (size_t j = 0; j < STRIP; j += 4)
        for (size_t i = 0; i < LINE; i += 4)
            pack_quad(rows + j, k + i, out + i * width + j, width);
}

/* STRIP rows × any [k, end); rows that are not there (NULL) give zeros. */
static void pack_rest(const float *const rows[STRIP], size_t k, size_t end, float *out,
                      uint32_t width)
{
    for (; k < end; k++, out += width)
        for (size_t j = 0; j < STRIP; j++)
            out[j] = rows[j] ? without_denormals(rows[j][k]) : 0.0f;
}

/* ---- panels ---------------------------------------------------------------- */

/* Rows and lines far apart, too many of them for the hardware to foresee. */
static void fetch_lines(const float *const rows[STRIP], size_t k, const float *out,
                        uint32_t width)
{
    for (size_t j = 0; j < STRIP; j++) {
        __builtin_prefetch(rows[j] + k, 0, 2);
        __builtin_prefetch(out + j * width, 1, 2);
    }
}

/* STRIP rows × the whole lines of [k, end); gives the k behind them. */
static size_t pack_whole(const float *const rows[STRIP], size_t k, size_t end, float *out,
                         uint32_t width)
{
    size_t fetched = k;
    for (; k + LINE <= end; k += LINE, out += LINE * width) {
        for (; fetched + LINE <= end && fetched <= k + AHEAD * LINE; fetched += LINE)
            fetch_lines(rows, fetched, out + (fetched - k) * width, width);
        pack_lines(rows, k, out, width);
    }
    return k;
}

static bool all_there(const float *const rows[STRIP])
{
    for (size_t j = 0; j < STRIP; j++)
        if (!rows[j])
            return false;
    return true;
}

static void pack_strip(const float *const rows[STRIP], size_t k, size_t end, float *out,
                       uint32_t width)
{
    const size_t rest = all_there(rows) ? pack_whole(rows, k, end, out, width) : k;
    pack_rest(rows, rest, end, out + (rest - k) * width, width);
}

static void pack_panel(const struct simd_matrix *matrix, size_t first, uint32_t width,
                       float *out)
{
    const size_t n_rows = matrix->n * matrix->columns_each;
    const float *rows[64];
    for (uint32_t j = 0; j < width; j++) {
        const size_t row = source_row(matrix->n, matrix->columns_each, first, width, j);
        rows[j] = row < n_rows ? matrix->data + row * matrix->stride : NULL;
    }
    for (size_t k = 0; k < matrix->k; k += PIECE) {
        const size_t end = matrix->k - k < PIECE ? matrix->k : k + PIECE;
        for (uint32_t strip = 0; strip < width; strip += STRIP) {
            /* The second strip of a panel of 24 starts in the first. */
            const uint32_t at = strip + STRIP <= width ? strip : width - STRIP;
            pack_strip(rows + at, k, end, out + k * width + at, width);
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
