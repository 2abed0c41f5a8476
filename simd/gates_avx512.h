/* SPDX-License-Identifier: MIT
 *
 * AVX-512: tiles of 4 rows × 64 columns. 16 sums, the 4 weight vectors of one k and
 * one broadcast input occupy 21 of the 32 registers, and all but 5 of the totals the rest. Long sums
 * are taken for 6 rows: 24 sums, 29 registers. A single row takes up to two panels of 64 and the
 * narrow ones behind them: 11 sums, weights from memory.
 */
#include "simd/act_tmpl.h"
#include "simd/cell_tmpl.h"
#include "simd/gates_common.h"
#include "simd/kernels.h"

#define WIDE 64
#define ROWS 4
#define FAR_ROWS 6
#define NARROW_ROWS 6
#define GRU_ROWS 6
#define GROUP_MAX 2
#define ROW_VECS(DO) DO(0) DO(1) DO(2) DO(3)
#define TILE_ROWS(DO) DO(0) DO(1) DO(2) DO(3) DO(4) DO(5)
#define EACH_ROW(DO) TILE_ROWS(DO)
#define GRU_TILE(DO) TILE_ROWS(DO)
#define GROUP_WIDES(DO) DO(0) DO(1)

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
    EACH_ROW(ROW_POINTER)
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
        EACH_ROW(ROW_FMA)
#undef ROW_FMA
        weights += vecs * VEC_LANES;
    }
}

static ALWAYS_INLINE void cell_wide(const struct row *row, struct cell_out out, size_t units)
{
    cell_of_four(row, out, units);
}

/* Eight quotients: on Intel's cores 11 cycles, where all sixteen take 18. */
static ALWAYS_INLINE vec low_div(vec a, vec b)
{
    return _mm512_castps256_ps512(_mm256_div_ps(_mm512_castps512_ps256(a), _mm512_castps512_ps256(b)));
}

static ALWAYS_INLINE vec low_tanh(vec z, vec below, struct act_exp e)
{
    return vec_or_and(low_div(act_tanh_numerator(e), below), z, vec_set1(-0.0f));
}

/* The low lanes of cell_lstm_activated. */
static ALWAYS_INLINE vec cell_low(vec i, vec f, vec g, vec o, vec c, vec *c_out)
{
    const vec c_new = vec_fma(f, c, vec_mul(i, g));
    const struct act_exp e = act_tanh_parts(c_new);
    *c_out = c_new;
    return vec_mul(o, low_tanh(c_new, act_denominator(c_new, e), e));
}

/* i | f and g | o, taken apart before they are divided. */
static ALWAYS_INLINE void cell_half(const struct row *row, struct cell_out out, size_t units)
{
    const struct act_lanes tanh_sigmoid = act_lanes_of(vec_not_first(8));
    const struct act_exp g_o = act_gate_parts(row->v[1], &tanh_sigmoid);
    const struct act_exp i_f = act_sigmoid_parts(row->v[0]);
    const vec below_g_o = act_denominator(row->v[1], g_o), below_i_f = act_denominator(row->v[0], i_f);
    const vec above_i_f = act_sigmoid_numerator(i_f.s), above_o = act_sigmoid_numerator(g_o.s);
    const vec g = low_tanh(row->v[1], below_g_o, g_o), i = low_div(above_i_f, below_i_f);
    const vec f = low_div(upper_half(above_i_f), upper_half(below_i_f));
    const vec o = low_div(upper_half(above_o), upper_half(below_g_o));
    vec c_new, h = cell_low(i, f, g, o, cell_start(out.c, units, 8), &c_new);
    cell_finish(h, c_new, out, units, 8);
}

/* i | f | g | o in one register. */
static ALWAYS_INLINE void cell_quarter(const struct row *row, struct cell_out out, size_t units)
{
    enum { SIGMOID = 0xf0ff };
    const struct act_lanes lanes = act_lanes_of(SIGMOID);
    const vec all = act_gate(row->v[0], &lanes); /* and so i */
    const vec f = _mm512_shuffle_f32x4(all, all, 0x55), g = upper_half(all);
    const vec o = _mm512_shuffle_f32x4(all, all, 0xff);
    vec c_new, h = cell_low(all, f, g, o, cell_start(out.c, units, 4), &c_new);
    cell_finish(h, c_new, out, units, 4);
}

#include "simd/gates_tmpl.h"
#include "simd/gru_tmpl.h"
#include "simd/gate_tmpl.h"

static const struct simd_gemm_kernel gemm_kernels[] = {
    {"avx512/gemm-f32-4x64", WIDE, ROWS, gemm_run},
    {NULL, 0, 0, NULL},
};

static const struct simd_lstm_kernel lstm_kernels[] = {
    {"avx512/lstm-f32-4x16", WIDE, ROWS, 0, lstm_step, lstm_in_place},
    {NULL, 0, 0, 0, NULL, NULL},
};

static const struct simd_gru_kernel gru_kernels[] = {
    {"avx512/gru-f32-6x16", GRU_WIDE, GRU_ROWS, gru_step},
    {NULL, 0, 0, NULL},
};

static const struct simd_gate_kernel gate_kernels[] = {
    {"avx512/gate-f32-4x64", WIDE, ROWS, 0, gate_step},
    {NULL, 0, 0, 0, NULL},
};
