/* SPDX-License-Identifier: MIT
 *
 * The vector vocabulary on the 8 floats of an AVX2 register. KERNELS.md,
 * "Vocabulary", states each function; vec_scalar.h is the reference.
 */
#ifndef LSTMRUN_SIMD_VEC_AVX2_H
#define LSTMRUN_SIMD_VEC_AVX2_H

#include <immintrin.h>
#include <stddef.h>
#include <stdint.h>

#define VEC_ISA avx2
#define VEC_LANES 8

typedef __m256 vec;
typedef __m256 vec_mask; /* all bits of a lane, or none */

/* Lanes 0 … n - 1. */
static inline __m256i vec_first_lanes(size_t n)
{
    static const int32_t window[16] = {-1, -1, -1, -1, -1, -1, -1, -1, 0, 0, 0, 0, 0, 0, 0, 0};
    return _mm256_loadu_si256((const __m256i *)(window + 8 - n));
}

/* ---- memory ---- */

static inline vec vec_load(const float *p) { return _mm256_loadu_ps(p); }
static inline void vec_store(float *p, vec x) { _mm256_storeu_ps(p, x); }

static inline vec vec_load_n(const float *p, size_t n)
{
    return _mm256_maskload_ps(p, vec_first_lanes(n));
}

static inline void vec_store_n(float *p, vec x, size_t n)
{
    _mm256_maskstore_ps(p, vec_first_lanes(n), x);
}

static inline vec vec_set1(float x) { return _mm256_set1_ps(x); }

/* ---- arithmetic ---- */

static inline vec vec_add(vec a, vec b) { return _mm256_add_ps(a, b); }
static inline vec vec_sub(vec a, vec b) { return _mm256_sub_ps(a, b); }
static inline vec vec_mul(vec a, vec b) { return _mm256_mul_ps(a, b); }
static inline vec vec_div(vec a, vec b) { return _mm256_div_ps(a, b); }
static inline vec vec_sqrt(vec a) { return _mm256_sqrt_ps(a); }
static inline vec vec_fma(vec a, vec b, vec c) { return _mm256_fmadd_ps(a, b, c); }
static inline vec vec_fnma(vec a, vec b, vec c) { return _mm256_fnmadd_ps(a, b, c); }
static inline vec vec_min(vec a, vec b) { return _mm256_min_ps(a, b); }
static inline vec vec_max(vec a, vec b) { return _mm256_max_ps(a, b); }

/* ---- masks ---- */

static inline vec_mask vec_mask_first(size_t n) { return _mm256_castsi256_ps(vec_first_lanes(n)); }
static inline vec_mask vec_eq(vec a, vec b) { return _mm256_cmp_ps(a, b, _CMP_EQ_OQ); }
static inline vec_mask vec_lt(vec a, vec b) { return _mm256_cmp_ps(a, b, _CMP_LT_OQ); }
static inline vec_mask vec_gt(vec a, vec b) { return _mm256_cmp_ps(a, b, _CMP_GT_OQ); }
static inline vec vec_select(vec_mask m, vec a, vec b) { return _mm256_blendv_ps(b, a, m); }

/* A lane of all ones is a NaN. */
static inline vec vec_nan_where_nan(vec x, vec value)
{
    return _mm256_or_ps(value, _mm256_cmp_ps(x, x, _CMP_UNORD_Q));
}

/* ---- bits ---- */

static inline vec vec_neg(vec a) { return _mm256_xor_ps(a, _mm256_set1_ps(-0.0f)); }
static inline vec vec_abs(vec a) { return _mm256_andnot_ps(_mm256_set1_ps(-0.0f), a); }

static inline vec vec_or_and(vec x, vec y, vec keep)
{
    return _mm256_or_ps(x, _mm256_and_ps(y, keep));
}

static inline vec vec_abs_below(vec x, vec limit)
{
    __m256i a = _mm256_castps_si256(vec_abs(x));
    return _mm256_castsi256_ps(_mm256_min_epu32(a, _mm256_castps_si256(limit)));
}

static inline vec vec_pow2(vec biased)
{
    return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_castps_si256(biased), 23));
}

#endif
