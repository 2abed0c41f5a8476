/* SPDX-License-Identifier: MIT
 *
 * The vector vocabulary on the 4 floats of an aarch64 Advanced SIMD register.
 * KERNELS.md, "Vocabulary", states each function; vec_scalar.h is the reference.
 */
#ifndef LSTMRUN_SIMD_VEC_NEON_H
#define LSTMRUN_SIMD_VEC_NEON_H

#include <arm_neon.h>
#include <stddef.h>
#include <stdint.h>

#define VEC_ISA neon
#define VEC_LANES 4

typedef float32x4_t vec;
typedef uint32x4_t vec_mask; /* all bits of a lane, or none */

/* ---- memory ---- */

static inline vec vec_load(const float *p) { return vld1q_f32(p); }
static inline void vec_store(float *p, vec x) { vst1q_f32(p, x); }

static inline vec vec_load_n(const float *p, size_t n)
{
    vec x = vdupq_n_f32(0.0f);
    if (n > 0)
        x = vld1q_lane_f32(p, x, 0);
    if (n > 1)
        x = vld1q_lane_f32(p + 1, x, 1);
    if (n > 2)
        x = vld1q_lane_f32(p + 2, x, 2);
    if (n > 3)
        x = vld1q_lane_f32(p + 3, x, 3);
    return x;
}

static inline void vec_store_n(float *p, vec x, size_t n)
{
    if (n > 0)
        vst1q_lane_f32(p, x, 0);
    if (n > 1)
        vst1q_lane_f32(p + 1, x, 1);
    if (n > 2)
        vst1q_lane_f32(p + 2, x, 2);
    if (n > 3)
        vst1q_lane_f32(p + 3, x, 3);
}

static inline vec vec_set1(float x) { return vdupq_n_f32(x); }

/* ---- masks ---- */

static inline vec_mask vec_mask_first(size_t n)
{
    static const uint32_t lane[4] = {0, 1, 2, 3};
    return vcltq_u32(vld1q_u32(lane), vdupq_n_u32((uint32_t)n));
}

static inline vec_mask vec_eq(vec a, vec b) { return vceqq_f32(a, b); }
static inline vec_mask vec_lt(vec a, vec b) { return vcltq_f32(a, b); }
static inline vec_mask vec_gt(vec a, vec b) { return vcgtq_f32(a, b); }
static inline vec vec_select(vec_mask m, vec a, vec b) { return vbslq_f32(m, a, b); }
static inline vec vec_nan_where_nan(vec x, vec value) { return vbslq_f32(vceqq_f32(x, x), value, x); }

/* ---- arithmetic ---- */

static inline vec vec_add(vec a, vec b) { return vaddq_f32(a, b); }
static inline vec vec_sub(vec a, vec b) { return vsubq_f32(a, b); }
static inline vec vec_mul(vec a, vec b) { return vmulq_f32(a, b); }
static inline vec vec_div(vec a, vec b) { return vdivq_f32(a, b); }
static inline vec vec_sqrt(vec a) { return vsqrtq_f32(a); }
static inline vec vec_fma(vec a, vec b, vec c) { return vfmaq_f32(c, a, b); }
static inline vec vec_fnma(vec a, vec b, vec c) { return vfmsq_f32(c, a, b); }

/* FMIN and FMAX treat NaN and the two zeros unlike the reference. */
static inline vec vec_min(vec a, vec b) { return vbslq_f32(vcltq_f32(a, b), a, b); }
static inline vec vec_max(vec a, vec b) { return vbslq_f32(vcgtq_f32(a, b), a, b); }

/* ---- bits ---- */

static inline vec vec_neg(vec a) { return vnegq_f32(a); }
static inline vec vec_abs(vec a) { return vabsq_f32(a); }

static inline vec vec_or_and(vec x, vec y, vec keep)
{
    uint32x4_t kept = vandq_u32(vreinterpretq_u32_f32(y), vreinterpretq_u32_f32(keep));
    return vreinterpretq_f32_u32(vorrq_u32(vreinterpretq_u32_f32(x), kept));
}

static inline vec vec_abs_below(vec x, vec limit)
{
    return vreinterpretq_f32_u32(
        vminq_u32(vreinterpretq_u32_f32(vabsq_f32(x)), vreinterpretq_u32_f32(limit)));
}

static inline vec vec_pow2(vec biased)
{
    return vreinterpretq_f32_u32(vshlq_n_u32(vreinterpretq_u32_f32(biased), 23));
}

#endif
