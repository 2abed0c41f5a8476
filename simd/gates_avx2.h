/* SPDX-License-Identifier: MIT
 *
 * AVX2: tiles of 3 rows × 32 columns. 12 sums, the 3 inputs of one k broadcast and
 * one weight vector at a time are exactly the 16 registers. The last panel of 16 takes
 * 6 rows: 12 sums, 2 weights, one input at a time. A single row takes up to three panels
 * of 32 and a narrow one: 14 sums, weights from memory.
 */
#include "simd/act_tmpl.h"
#include "simd/cell_tmpl.h"
#include "simd/gates_common.h"
#include "simd/kernels.h"

#define WIDE 32
#define ROWS 3
#define FAR_ROWS ROWS
#define NARROW_ROWS 6
#define GRU_ROWS 4
#define FETCH_AHEAD
#define GROUP_MAX 3
#define ROW_VECS(DO) DO(0) DO(1) DO(2) DO(3)
#define TILE_ROWS(DO) DO(0) DO(1) DO(2)
#define EACH_ROW(DO) DO(0) DO(1) DO(2) DO(3) DO(4) DO(5)
#define GRU_TILE(DO) DO(0) DO(1) DO(2) DO(3)
#define GROUP_WIDES(DO) DO(0) DO(1) DO(2)

/* Lanes that are not the first n; the upper half of a register in its low lanes. */
static ALWAYS_INLINE vec_mask vec_not_first(unsigned n)
{
    return _mm256_xor_ps(vec_mask_first(n), vec_mask_first(VEC_LANES));
}

static ALWAYS_INLINE vec upper_half(vec x)
{
    return _mm256_permute2f128_ps(x, x, 0x11);
}

/* `n` of 8 or 4 low lanes. */
static ALWAYS_INLINE vec low_load(const float *p, const unsigned n)
{
    return n == 8 ? vec_load(p) : _mm256_zextps128_ps256(_mm_loadu_ps(p));
}

static ALWAYS_INLINE void low_store(float *p, vec x, const unsigned n)
{
    if (n == 8)
        vec_store(p, x);
    else
        _mm_storeu_ps(p, _mm256_castps256_ps128(x));
}

#include "simd/gates_x86.h"

/* All inputs of a k stay in registers, weights come one by one. */
static ALWAYS_INLINE void tile_dot_wide(struct tile *t, const float *weights,
                                        const float *const *x, size_t begin, size_t end,
                                        const unsigned rows)
{
    const float *x0 = x[0], *x1 = x[rows > 1 ? 1 : 0], *x2 = x[rows > 2 ? 2 : 0];
    weights += begin * WIDE;
    for (size_t j = begin; j < end; j++) {
        const vec b0 = vec_set1(x0[j]), b1 = vec_set1(x1[j]), b2 = vec_set1(x2[j]);
#define COLUMN(i) \
        { \
            vec w = vec_load(weights + i * VEC_LANES); \
            if (rows > 1) \
                KEEP_IN_REGISTER(w); \
            t->r[0].v[i] = vec_fma(w, b0, t->r[0].v[i]); \
            if (rows > 1) \
                t->r[1].v[i] = vec_fma(w, b1, t->r[1].v[i]); \
            if (rows > 2) \
                t->r[2].v[i] = vec_fma(w, b2, t->r[2].v[i]); \
        }
        ROW_VECS(COLUMN)
#undef COLUMN
        weights += WIDE;
    }
}

/* The two or three weights of a k stay in registers, inputs come one by one. */
static ALWAYS_INLINE void tile_dot_narrow(struct tile *t, const float *weights,
                                          const float *const *x, size_t begin, size_t end,
                                          const unsigned rows, const unsigned vecs)
{
#define ROW_POINTER(i) const float *x##i = x[rows > i ? i : 0];
    EACH_ROW(ROW_POINTER)
#undef ROW_POINTER
    weights += begin * vecs * VEC_LANES;
    for (size_t j = begin; j < end; j++) {
        vec w0 = vec_load(weights), w1 = vec_load(weights + VEC_LANES);
        vec w2 = vecs > 2 ? vec_load(weights + 2 * VEC_LANES) : w1;
        KEEP_IN_REGISTER(w0);
        KEEP_IN_REGISTER(w1);
        if (vecs > 2)
            KEEP_IN_REGISTER(w2);
#define ROW_FMA(i) \
        if (rows > i) { \
            const vec b = vec_set1(x##i[j]); \
            t->r[i].v[0] = vec_fma(w0, b, t->r[i].v[0]); \
            t->r[i].v[1] = vec_fma(w1, b, t->r[i].v[1]); \
            if (vecs > 2) \
                t->r[i].v[2] = vec_fma(w2, b, t->r[i].v[2]); \
        }
        EACH_ROW(ROW_FMA)
#undef ROW_FMA
        weights += vecs * VEC_LANES;
    }
}

static ALWAYS_INLINE void tile_dot(struct tile *t, const float *weights, const float *const *x,
                                   size_t begin, size_t end, const unsigned rows,
                                   const unsigned vecs)
{
    if (vecs == WIDE / VEC_LANES)
        tile_dot_wide(t, weights, x, begin, end, rows);
    else
        tile_dot_narrow(t, weights, x, begin, end, rows, vecs);
}

static ALWAYS_INLINE void cell_wide(const struct row *row, struct cell_out out, size_t units)
{
    cell_of_four(row, out, units);
}

static ALWAYS_INLINE void cell_quarter(const struct row *row, struct cell_out out, size_t units)
{
    cell_of_two(row, out, units);
}

#include "simd/gates_tmpl.h"
#include "simd/gru_tmpl.h"
#include "simd/gate_tmpl.h"

static const struct simd_gemm_kernel gemm_kernels[] = {
    {"avx2/gemm-f32-3x32", WIDE, ROWS, gemm_run},
    {NULL, 0, 0, NULL},
};

/* Up to two tiles of items are better off with their input part computed ahead: 4 run as 2 and
 * 2, each at three quarters of a whole tile's speed. */
static const struct simd_lstm_kernel lstm_kernels[] = {
    {"avx2/lstm-f32-3x8", WIDE, 2 * ROWS, ROWS, lstm_step, lstm_in_place},
    {NULL, 0, 0, 0, NULL, NULL},
};

static const struct simd_gru_kernel gru_kernels[] = {
    {"avx2/gru-f32-4x8", GRU_WIDE, GRU_ROWS, gru_step},
    {NULL, 0, 0, NULL},
};

static const struct simd_gate_kernel gate_kernels[] = {
    {"avx2/gate-f32-3x32", WIDE, 2 * ROWS, ROWS, gate_step},
    {NULL, 0, 0, 0, NULL},
};
