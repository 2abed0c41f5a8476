/* SPDX-License-Identifier: MIT
 *
 * AVX-512: tiles of 6 rows × 64 columns. 24 sums, the 4 weight vectors of one k and
 * one broadcast input occupy 29 of the 32 registers. A single row takes up to three
 * panels of 64 and the narrow ones behind them: 15 sums, weights from memory.
 */
#include "simd/act_tmpl.h"
#include "simd/cell_tmpl.h"
#include "simd/gates_common.h"
#include "simd/kernels.h"

#define WIDE 64
#define ROWS 6
#define GROUP_MAX 3
#define ROW_VECS(DO) DO(0) DO(1) DO(2) DO(3)
#define TILE_ROWS(DO) DO(0) DO(1) DO(2) DO(3) DO(4) DO(5)
#define GROUP_WIDES(DO) DO(0) DO(1) DO(2)

/* Lanes that are not the first n; the upper half of a register in its low lanes. */
static ALWAYS_INLINE vec_mask vec_not_first(unsigned n)
{
    return (vec_mask)~vec_mask_first(n);
}

static ALWAYS_INLINE vec upper_half(vec x)
{
    return _mm512_shuffle_f32x4(x, x, 0xee);
}

/* `n` of 16, 8 or 4 low lanes. */
static ALWAYS_INLINE vec low_load(const float *p, const unsigned n)
{
    if (n == 16)
        return vec_load(p);
    return n == 8 ? _mm512_zextps256_ps512(_mm256_loadu_ps(p)) : _mm512_zextps128_ps512(_mm_loadu_ps(p));
}

static ALWAYS_INLINE void low_store(float *p, vec x, const unsigned n)
{
    if (n == 16)
        vec_store(p, x);
    else if (n == 8)
        _mm256_storeu_ps(p, _mm512_castps512_ps256(x));
    else
        _mm_storeu_ps(p, _mm512_castps512_ps128(x));
}

#include "simd/gates_x86.h"

static ALWAYS_INLINE void row_fma(struct row *row, const struct row *weights, float x,
                                  const unsigned vecs)
{
    const vec b = vec_set1(x);
#define FMA(i) \
    if (vecs > i) \
        row->v[i] = vec_fma(weights->v[i], b, row->v[i]);
    ROW_VECS(FMA)
#undef FMA
}

static ALWAYS_INLINE void tile_dot(struct tile *t, const float *weights, const float *const *x,
                                   size_t begin, size_t end, const unsigned rows,
                                   const unsigned vecs)
{
#define ROW_POINTER(i) const float *x##i = x[rows > i ? i : 0];
    TILE_ROWS(ROW_POINTER)
#undef ROW_POINTER
    weights += begin * vecs * VEC_LANES;
    for (size_t j = begin; j < end; j++) {
        struct row w;
#define LOAD(i) \
        if (vecs > i) { \
            w.v[i] = vec_load(weights + i * VEC_LANES); \
            if (rows > 1) \
                KEEP_IN_REGISTER(w.v[i]); \
        }
        ROW_VECS(LOAD)
#undef LOAD
#define ROW_FMA(i) \
        if (rows > i) \
            row_fma(&t->r[i], &w, x##i[j], vecs);
        TILE_ROWS(ROW_FMA)
#undef ROW_FMA
        weights += vecs * VEC_LANES;
    }
}

static ALWAYS_INLINE void cell_wide(const struct row *row, float *c, float *h_out, size_t units)
{
    cell_of_four(row, c, h_out, units);
}

static ALWAYS_INLINE void cell_half(const struct row *row, float *c, float *h_out, size_t units)
{
    cell_of_two(row, c, h_out, units);
}

/* i | f | g | o in one register. */
static ALWAYS_INLINE void cell_quarter(const struct row *row, float *c, float *h_out, size_t units)
{
    enum { SIGMOID = 0xf0ff };
    const struct act_lanes lanes = act_lanes_of(SIGMOID);
    const vec all = act_gate(row->v[0], &lanes); /* and so i */
    const vec f = _mm512_shuffle_f32x4(all, all, 0x55), g = upper_half(all);
    const vec o = _mm512_shuffle_f32x4(all, all, 0xff);
    vec c_new, h = cell_lstm_activated(all, f, g, o, cell_start(c, units, 4), &c_new);
    cell_finish(h, c_new, c, h_out, units, 4);
}

#include "simd/gates_tmpl.h"

static const struct simd_gemm_kernel gemm_kernels[] = {
    {"avx512/gemm-f32-6x64", WIDE, ROWS, gemm_run},
    {NULL, 0, 0, NULL},
};

static const struct simd_lstm_kernel lstm_kernels[] = {
    {"avx512/lstm-f32-6x16", WIDE, ROWS, lstm_step},
    {NULL, 0, 0, NULL},
};
