/* SPDX-License-Identifier: MIT
 *
 * The vector vocabulary on one float: the reference that every other vec_<isa>.h
 * must equal bit for bit. KERNELS.md, "Vocabulary", states each function.
 */
#ifndef LSTMRUN_SIMD_VEC_SCALAR_H
#define LSTMRUN_SIMD_VEC_SCALAR_H

#include <math.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define VEC_ISA scalar
#define VEC_LANES 1

typedef float vec;
typedef bool vec_mask;

static inline uint32_t vec_to_bits(vec x)
{
    uint32_t bits;
    memcpy(&bits, &x, sizeof bits);
    return bits;
}

static inline vec vec_from_bits(uint32_t bits)
{
    vec x;
    memcpy(&x, &bits, sizeof x);
    return x;
}

/* ---- memory ---- */

static inline vec vec_load(const float *p) { return *p; }
static inline void vec_store(float *p, vec x) { *p = x; }
static inline vec vec_load_n(const float *p, size_t n) { return n > 0 ? *p : 0.0f; }

static inline void vec_store_n(float *p, vec x, size_t n)
{
    if (n > 0)
        *p = x;
}

static inline vec vec_set1(float x) { return x; }

/* ---- arithmetic ---- */

static inline vec vec_add(vec a, vec b) { return a + b; }
static inline vec vec_sub(vec a, vec b) { return a - b; }
static inline vec vec_mul(vec a, vec b) { return a * b; }
static inline vec vec_div(vec a, vec b) { return a / b; }
static inline vec vec_sqrt(vec a) { return sqrtf(a); }
static inline vec vec_fma(vec a, vec b, vec c) { return fmaf(a, b, c); }
static inline vec vec_fnma(vec a, vec b, vec c) { return fmaf(-a, b, c); }
static inline vec vec_min(vec a, vec b) { return a < b ? a : b; }
static inline vec vec_max(vec a, vec b) { return a > b ? a : b; }

/* ---- masks ---- */

static inline vec_mask vec_mask_first(size_t n) { return n > 0; }
static inline vec_mask vec_eq(vec a, vec b) { return a == b; }
static inline vec_mask vec_lt(vec a, vec b) { return a < b; }
static inline vec_mask vec_gt(vec a, vec b) { return a > b; }
static inline vec vec_select(vec_mask m, vec a, vec b) { return m ? a : b; }
static inline vec vec_nan_where_nan(vec x, vec value) { return x != x ? x : value; }

/* ---- bits ---- */

static inline vec vec_neg(vec a) { return vec_from_bits(vec_to_bits(a) ^ 0x80000000u); }
static inline vec vec_abs(vec a) { return vec_from_bits(vec_to_bits(a) & 0x7fffffffu); }

static inline vec vec_or_and(vec x, vec y, vec keep)
{
    return vec_from_bits(vec_to_bits(x) | (vec_to_bits(y) & vec_to_bits(keep)));
}

static inline vec vec_abs_below(vec x, vec limit)
{
    uint32_t a = vec_to_bits(x) & 0x7fffffffu, b = vec_to_bits(limit);
    return vec_from_bits(a < b ? a : b);
}

static inline vec vec_pow2(vec biased) { return vec_from_bits(vec_to_bits(biased) << 23); }

#endif
