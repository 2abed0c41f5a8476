/* SPDX-License-Identifier: MIT
 *
 * AVX2: tiles of 3 rows × 32 columns. 12 sums, the 3 inputs of one k broadcast and
 * one weight vector at a time are exactly the 16 registers. A single row takes up to
 * three panels of 32 and a narrow one: 14 sums, weights from memory.
 */
#include "simd/act_tmpl.h"
#include "simd/cell_tmpl.h"
#include "simd/gates_common.h"
#include "simd/kernels.h"

#define WIDE 32
#define ROWS 3
#define GROUP_MAX 3
#define ROW_VECS(DO) DO(0) DO(1) DO(2) DO(3)
#define TILE_ROWS(DO) DO(0) DO(1) DO(2)
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

static ALWAYS_INLINE void tile_dot(struct tile *t, const float *weights, const float *const *x,
                                   size_t begin, size_t end, const unsigned rows,
                                   const unsigned vecs)
{
    const float *x0 = x[0], *x1 = x[rows > 1 ? 1 : 0], *x2 = x[rows > 2 ? 2 : 0];
    weights += begin * vecs * VEC_LANES;
    for (size_t j = begin; j < end; j++) {
        const vec b0 = vec_set1(x0[j]), b1 = vec_set1(x1[j]), b2 = vec_set1(x2[j]);
#define COLUMN(i) \
        if (vecs > i) { \
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
        weights += vecs * VEC_LANES;
    }
}

static ALWAYS_INLINE void cell_wide(const struct row *row, float *c, float *h_out, size_t units)
{
    cell_of_four(row, c, h_out, units);
}

static ALWAYS_INLINE void cell_quarter(const struct row *row, float *c, float *h_out, size_t units)
{
    cell_of_two(row, c, h_out, units);
}

#include "simd/gates_tmpl.h"

static const struct simd_gemm_kernel gemm_kernels[] = {
    {"avx2/gemm-f32-3x32", WIDE, ROWS, gemm_run},
    {NULL, 0, 0, NULL},
};

static const struct simd_lstm_kernel lstm_kernels[] = {
    {"avx2/lstm-f32-3x8", WIDE, ROWS, lstm_step},
    {NULL, 0, 0, NULL},
};
