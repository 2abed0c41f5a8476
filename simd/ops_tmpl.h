/* SPDX-License-Identifier: MIT
 *
 * struct simd_vector_ops on the vector vocabulary, the same source for every
 * instruction set. Include one vec_<isa>.h and act_tmpl.h first.
 */
#ifndef LSTMRUN_SIMD_OPS_TMPL_H
#define LSTMRUN_SIMD_OPS_TMPL_H

#include <math.h>

#include "simd/kernels.h"

/* ---- element-wise ---- */

/* A function of up to three vectors; what it does not take is passed as zero. The
 * walkers are forced inline so that the call disappears. */
typedef vec ops_fn(vec a, vec b, vec c);

#define OPS_INLINE static inline __attribute__((always_inline))

/* out[j] = fn(x[j], b, c) */
OPS_INLINE void ops_map(ops_fn *fn, vec b, vec c, const float *x, float *out, size_t n)
{
    size_t j = 0;
    for (; j + VEC_LANES <= n; j += VEC_LANES)
        vec_store(out + j, fn(vec_load(x + j), b, c));
    if (j < n)
        vec_store_n(out + j, fn(vec_load_n(x + j, n - j), b, c), n - j);
}

/* out[j] = fn(a[j], b[j], 0) */
OPS_INLINE void ops_map2(ops_fn *fn, const float *a, const float *b, float *out, size_t n)
{
    const vec zero = vec_set1(0.0f);
    size_t j = 0;
    for (; j + VEC_LANES <= n; j += VEC_LANES)
        vec_store(out + j, fn(vec_load(a + j), vec_load(b + j), zero));
    if (j < n)
        vec_store_n(out + j, fn(vec_load_n(a + j, n - j), vec_load_n(b + j, n - j), zero), n - j);
}

/* Unused arguments are named so that every function has the one type. */
#define OPS_FN(name, expression)                \
    static inline vec name(vec a, vec b, vec c) \
    {                                           \
        (void)a, (void)b, (void)c;              \
        return expression;                      \
    }

/* Whether a choice between two numbers hands a denormal on or flushes it depends on
 * the instruction, and so on the compiler; adding 0 settles it (and makes -0 into 0). */
static inline vec ops_settled(vec x)
{
    return vec_add(x, vec_set1(0.0f));
}

OPS_FN(ops_identity, a)
OPS_FN(ops_sigmoid, act_sigmoid(a))
OPS_FN(ops_tanh, act_tanh(a))
OPS_FN(ops_relu, ops_settled(vec_max(vec_set1(0.0f), a)))
OPS_FN(ops_leaky_relu,
       ops_settled(vec_select(vec_lt(a, vec_set1(0.0f)), vec_mul(b, a), a)))
OPS_FN(ops_thresholded_relu,
       ops_settled(vec_nan_where_nan(a, vec_select(vec_gt(a, b), a, vec_set1(0.0f)))))
OPS_FN(ops_scaled_tanh, vec_mul(b, act_tanh(vec_mul(c, a))))
OPS_FN(ops_hard_sigmoid, act_hard_sigmoid(a, b, c))
OPS_FN(ops_elu, ops_settled(act_elu(a, b)))
OPS_FN(ops_softsign, act_softsign(a))
OPS_FN(ops_softplus, act_softplus(a))
OPS_FN(ops_affine, vec_fma(b, a, c))
OPS_FN(ops_clip_fn, ops_settled(vec_max(vec_neg(b), vec_min(b, a))))
OPS_FN(ops_add_fn, vec_add(a, b))
OPS_FN(ops_mul_fn, vec_mul(a, b))
OPS_FN(ops_max_fn, ops_settled(vec_nan_where_nan(a, vec_max(a, b))))
OPS_FN(ops_magnitude_fn, vec_sqrt(vec_fma(a, a, vec_mul(b, b))))
OPS_FN(ops_one_minus_fn, vec_sub(vec_set1(1.0f), a))
OPS_FN(ops_div_fn, vec_div(a, b))

static void ops_act(enum simd_act act, float alpha, float beta, const float *x, float *out,
                    size_t n)
{
    const vec b = vec_set1(alpha), c = vec_set1(beta);
    switch (act) {
    case SIMD_ACT_IDENTITY: ops_map(ops_identity, b, c, x, out, n); return;
    case SIMD_ACT_SIGMOID: ops_map(ops_sigmoid, b, c, x, out, n); return;
    case SIMD_ACT_TANH: ops_map(ops_tanh, b, c, x, out, n); return;
    case SIMD_ACT_RELU: ops_map(ops_relu, b, c, x, out, n); return;
    case SIMD_ACT_LEAKY_RELU: ops_map(ops_leaky_relu, b, c, x, out, n); return;
    case SIMD_ACT_THRESHOLDED_RELU: ops_map(ops_thresholded_relu, b, c, x, out, n); return;
    case SIMD_ACT_SCALED_TANH: ops_map(ops_scaled_tanh, b, c, x, out, n); return;
    case SIMD_ACT_HARD_SIGMOID: ops_map(ops_hard_sigmoid, b, c, x, out, n); return;
    case SIMD_ACT_ELU: ops_map(ops_elu, b, c, x, out, n); return;
    case SIMD_ACT_SOFTSIGN: ops_map(ops_softsign, b, c, x, out, n); return;
    case SIMD_ACT_SOFTPLUS: ops_map(ops_softplus, b, c, x, out, n); return;
    case SIMD_ACT_AFFINE: ops_map(ops_affine, b, c, x, out, n); return;
    case SIMD_ACT_COUNT: return;
    }
}

static void ops_clip(float limit, const float *x, float *out, size_t n)
{
    ops_map(ops_clip_fn, vec_set1(limit), vec_set1(0.0f), x, out, n);
}

static void ops_add(const float *a, const float *b, float *out, size_t n)
{
    ops_map2(ops_add_fn, a, b, out, n);
}

static void ops_mul(const float *a, const float *b, float *out, size_t n)
{
    ops_map2(ops_mul_fn, a, b, out, n);
}

static void ops_max(const float *a, const float *b, float *out, size_t n)
{
    ops_map2(ops_max_fn, a, b, out, n);
}

static void ops_magnitude(const float *a, const float *b, float *out, size_t n)
{
    ops_map2(ops_magnitude_fn, a, b, out, n);
}

static void ops_fma(const float *a, const float *b, const float *c, float *out, size_t n)
{
    size_t j = 0;
    for (; j + VEC_LANES <= n; j += VEC_LANES)
        vec_store(out + j, vec_fma(vec_load(a + j), vec_load(b + j), vec_load(c + j)));
    size_t rest = n - j;
    if (rest > 0) {
        vec last = vec_load_n(c + j, rest);
        last = vec_fma(vec_load_n(a + j, rest), vec_load_n(b + j, rest), last);
        vec_store_n(out + j, last, rest);
    }
}

static void ops_scale_add(float a, const float *x, const float *y, float *out, size_t n)
{
    const vec scale = vec_set1(a);
    size_t j = 0;
    for (; j + VEC_LANES <= n; j += VEC_LANES)
        vec_store(out + j, vec_fma(scale, vec_load(x + j), vec_load(y + j)));
    if (j < n)
        vec_store_n(out + j, vec_fma(scale, vec_load_n(x + j, n - j), vec_load_n(y + j, n - j)), n - j);
}

static void ops_one_minus(const float *x, float *out, size_t n)
{
    ops_map(ops_one_minus_fn, vec_set1(0.0f), vec_set1(0.0f), x, out, n);
}

static void ops_div_by(float divisor, const float *x, float *out, size_t n)
{
    ops_map(ops_div_fn, vec_set1(divisor), vec_set1(0.0f), x, out, n);
}

/* ---- reductions ---- */

enum { OPS_SUM_LANES = 16, OPS_PARTS = OPS_SUM_LANES / VEC_LANES };

/* The 16 lanes of a sum, in as many registers as the instruction set needs. */
struct ops_lanes {
    vec part[OPS_PARTS];
};

static inline struct ops_lanes ops_lanes_set1(float x)
{
    struct ops_lanes lanes;
    for (size_t p = 0; p < OPS_PARTS; p++)
        lanes.part[p] = vec_set1(x);
    return lanes;
}

/* How many of `n` elements fall into part `p`. */
static inline size_t ops_part_count(size_t n, size_t p)
{
    size_t before = p * VEC_LANES;
    size_t left = n > before ? n - before : 0;
    return left < VEC_LANES ? left : VEC_LANES;
}

/* 8 with 8, 4 with 4, 2, 1. */
static inline float ops_lanes_sum(const struct ops_lanes *lanes)
{
    float sum[OPS_SUM_LANES];
    for (size_t p = 0; p < OPS_PARTS; p++)
        vec_store(sum + p * VEC_LANES, lanes->part[p]);
    for (size_t half = OPS_SUM_LANES / 2; half > 0; half /= 2)
        for (size_t j = 0; j < half; j++)
            sum[j] += sum[j + half];
    return sum[0];
}

static float ops_dot(const float *a, const float *b, float bias, size_t n)
{
    struct ops_lanes sum = ops_lanes_set1(0.0f);
    size_t j = 0;
    for (; j + OPS_SUM_LANES <= n; j += OPS_SUM_LANES)
        for (size_t p = 0; p < OPS_PARTS; p++) {
            size_t at = j + p * VEC_LANES;
            sum.part[p] = vec_fma(vec_load(a + at), vec_load(b + at), sum.part[p]);
        }
    /* Every part takes part in the tail, with zeros where nothing is left, so that
     * a zero's sign cannot depend on the number of lanes. */
    if (j < n)
        for (size_t p = 0; p < OPS_PARTS; p++) {
            size_t at = j + p * VEC_LANES, count = ops_part_count(n - j, p);
            size_t from = count > 0 ? at : j;
            sum.part[p] = vec_fma(vec_load_n(a + from, count), vec_load_n(b + from, count),
                                  sum.part[p]);
        }
    return bias + ops_lanes_sum(&sum);
}

/* Largest of x, or any number if there is a NaN: the caller's sum shows that. */
static float ops_largest(const float *x, size_t n)
{
    const vec lowest = vec_set1(-INFINITY);
    vec most = lowest;
    size_t j = 0;
    for (; j + VEC_LANES <= n; j += VEC_LANES)
        most = vec_max(vec_load(x + j), most);
    if (j < n)
        most = vec_max(vec_select(vec_mask_first(n - j), vec_load_n(x + j, n - j), lowest), most);

    float lanes[VEC_LANES], largest = -INFINITY;
    vec_store(lanes, most);
    for (size_t l = 0; l < VEC_LANES; l++)
        largest = lanes[l] > largest ? lanes[l] : largest;
    return largest;
}

/* Σ of out[], in the 16-lane order. */
static float ops_sum(const float *x, size_t n)
{
    struct ops_lanes sum = ops_lanes_set1(0.0f);
    size_t j = 0;
    for (; j + OPS_SUM_LANES <= n; j += OPS_SUM_LANES)
        for (size_t p = 0; p < OPS_PARTS; p++)
            sum.part[p] = vec_add(sum.part[p], vec_load(x + j + p * VEC_LANES));
    if (j < n)
        for (size_t p = 0; p < OPS_PARTS; p++) {
            size_t count = ops_part_count(n - j, p);
            const float *from = x + j + (count > 0 ? p * VEC_LANES : 0);
            sum.part[p] = vec_add(sum.part[p], vec_load_n(from, count));
        }
    return ops_lanes_sum(&sum);
}

OPS_FN(ops_exp_from, act_exp_negative(vec_sub(a, b)))
OPS_FN(ops_sub_fn, vec_sub(a, b))

/* One copy for its row of the table and for softmax. */
static __attribute__((noinline)) void ops_exp_below(float most, const float *x, float *out, size_t n)
{
    ops_map(ops_exp_from, vec_set1(most), vec_set1(0.0f), x, out, n);
}

static void ops_softmax(const float *x, float *out, size_t n)
{
    if (n == 0)
        return;
    const vec none = vec_set1(0.0f);
    ops_exp_below(ops_largest(x, n), x, out, n);
    ops_map(ops_div_fn, vec_set1(ops_sum(out, n)), none, out, out, n);
}

static void ops_layer_norm(float epsilon, const float *scale, const float *shift, const float *x,
                           float *out, size_t n)
{
    if (n == 0)
        return;
    const vec none = vec_set1(0.0f);
    float mean = ops_sum(x, n) / (float)n;
    ops_map(ops_sub_fn, vec_set1(mean), none, x, out, n);
    float variance = ops_dot(out, out, 0.0f, n) / (float)n;
    ops_map(ops_div_fn, vec_set1(sqrtf(variance + epsilon)), none, out, out, n);
    if (scale && shift)
        ops_fma(out, scale, shift, out, n);
    else if (scale)
        ops_mul(out, scale, out, n);
    else if (shift)
        ops_add(out, shift, out, n);
}

static const struct simd_vector_ops vector_ops = {
    .act = ops_act,
    .clip = ops_clip,
    .add = ops_add,
    .mul = ops_mul,
    .max = ops_max,
    .fma = ops_fma,
    .magnitude = ops_magnitude,
    .one_minus = ops_one_minus,
    .div_by = ops_div_by,
    .scale_add = ops_scale_add,
    .exp_below = ops_exp_below,
    .softmax = ops_softmax,
    .layer_norm = ops_layer_norm,
    .dot = ops_dot,
};

#endif
