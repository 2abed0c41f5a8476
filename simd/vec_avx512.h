/* SPDX-License-Identifier: MIT
 *
 * The vector vocabulary on the 16 floats of an AVX-512 register. KERNELS.md,
 * "Vocabulary", states each function; vec_scalar.h is the reference.
 */
#ifndef LSTMRUN_SIMD_VEC_AVX512_H
#define LSTMRUN_SIMD_VEC_AVX512_H

#include <immintrin.h>
#include <stddef.h>
#include <stdint.h>

#define VEC_ISA avx512
#define VEC_LANES 16

typedef __m512 vec;
typedef __mmask16 vec_mask;

/* ---- memory ---- */

static inline vec_mask vec_mask_first(size_t n) { return (vec_mask)((1u << n) - 1u); }
static inline vec vec_load(const float *p) { return _mm512_loadu_ps(p); }
static inline void vec_store(float *p, vec x) { _mm512_storeu_ps(p, x); }

static inline vec vec_load_n(const float *p, size_t n)
{
    return _mm512_maskz_loadu_ps(vec_mask_first(n), p);
}

static inline void vec_store_n(float *p, vec x, size_t n)
{
    _mm512_mask_storeu_ps(p, vec_mask_first(n), x);
}

static inline vec vec_set1(float x) { return _mm512_set1_ps(x); }

/* ---- arithmetic ---- */

static inline vec vec_add(vec a, vec b) { return _mm512_add_ps(a, b); }
static inline vec vec_sub(vec a, vec b) { return _mm512_sub_ps(a, b); }
static inline vec vec_mul(vec a, vec b) { return _mm512_mul_ps(a, b); }
static inline vec vec_div(vec a, vec b) { return _mm512_div_ps(a, b); }
static inline vec vec_sqrt(vec a) { return _mm512_sqrt_ps(a); }
static inline vec vec_fma(vec a, vec b, vec c) { return _mm512_fmadd_ps(a, b, c); }
static inline vec vec_fnma(vec a, vec b, vec c) { return _mm512_fnmadd_ps(a, b, c); }
static inline vec vec_min(vec a, vec b) { return _mm512_min_ps(a, b); }
static inline vec vec_max(vec a, vec b) { return _mm512_max_ps(a, b); }

/* ---- masks ---- */

static inline vec_mask vec_eq(vec a, vec b) { return _mm512_cmp_ps_mask(a, b, _CMP_EQ_OQ); }
static inline vec_mask vec_lt(vec a, vec b) { return _mm512_cmp_ps_mask(a, b, _CMP_LT_OQ); }
static inline vec_mask vec_gt(vec a, vec b) { return _mm512_cmp_ps_mask(a, b, _CMP_GT_OQ); }
static inline vec vec_select(vec_mask m, vec a, vec b) { return _mm512_mask_blend_ps(m, b, a); }

static inline vec vec_nan_where_nan(vec x, vec value)
{
    return _mm512_mask_blend_ps(_mm512_cmp_ps_mask(x, x, _CMP_UNORD_Q), value, x);
}

/* ---- bits ---- */

static inline vec vec_neg(vec a) { return _mm512_xor_ps(a, _mm512_set1_ps(-0.0f)); }
static inline vec vec_abs(vec a) { return _mm512_andnot_ps(_mm512_set1_ps(-0.0f), a); }

static inline vec vec_or_and(vec x, vec y, vec keep)
{
    enum { X_OR_Y_AND_Z = 0xf8 }; /* truth table of the three operands' bits */
    return _mm512_castsi512_ps(_mm512_ternarylogic_epi32(
        _mm512_castps_si512(x), _mm512_castps_si512(y), _mm512_castps_si512(keep), X_OR_Y_AND_Z));
}

static inline vec vec_abs_below(vec x, vec limit)
{
    __m512i a = _mm512_castps_si512(vec_abs(x));
    return _mm512_castsi512_ps(_mm512_min_epu32(a, _mm512_castps_si512(limit)));
}

/* One instruction instead of three. */
#define VEC_WITHIN
static inline vec vec_within(vec x, vec limit)
{
    enum { SMALLER_MAGNITUDE_SIGN_OF_X = 2 };
    return _mm512_range_ps(x, limit, SMALLER_MAGNITUDE_SIGN_OF_X);
}

static inline vec vec_pow2(vec biased)
{
    return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_castps_si512(biased), 23));
}

#endif
