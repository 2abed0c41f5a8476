/* SPDX-License-Identifier: MIT
 *
 * Activations on the vector vocabulary: one sequence of IEEE operations, so every
 * instruction set gives the same bits. Include one vec_<isa>.h first. KERNELS.md,
 * "Activations", gives the derivation; simd/fit_expm1.py made the constants.
 *
 * Largest error in units in the last place of the exact result, flush-to-zero set;
 * tests/test_act.c (error_is_as_stated) enforces the numbers:
 *     sigmoid  1.95   measured over all finite floats: 1.946, at -17.334
 *     tanh     1.94   measured over all finite floats: 1.933, at 0.51746
 *     expm1    1.5    x ≤ 0; 0.91 over the test's sweep, 2^16 mantissas an exponent
 *     softplus 3.0    2.71 over the same sweep
 * and, for x ≤ 0, exp 1.1, which tests/test_ops.c sees through softmax.
 */
#ifndef LSTMRUN_SIMD_ACT_TMPL_H
#define LSTMRUN_SIMD_ACT_TMPL_H

#ifndef VEC_WITHIN
/* x, but no further from 0 than `limit`; NaN gives limit or -limit. */
static inline vec vec_within(vec x, vec limit)
{
    return vec_or_and(vec_abs_below(x, limit), x, vec_set1(-0.0f));
}
#endif

/* e^t = s · (1 + p), s a power of two, p = expm1 of what is left of t. */
struct act_exp {
    vec s, p;
};

/* t = x · scale, where scale is a power of two and scale_log2e = scale · log2(e);
 * |t| must stay below 88.5. The coefficients leave 0.007 of a unit in the last place;
 * 7 operations wait for one another. */
static inline struct act_exp act_exp_parts(vec x, vec scale, vec scale_log2e)
{
    /* Adding 1.5 · 2^23 rounds to an integer; 127 makes it the exponent's bits. */
    const vec magic = vec_set1(0x1.8p23f + 127.0f);
    const vec ln2_high = vec_set1(0x1.62e43p-1f), ln2_low = vec_set1(-0x1.05c61p-29f);
    vec biased = vec_fma(x, scale_log2e, magic);
    vec k = vec_sub(biased, magic);
    vec rough = vec_fnma(k, ln2_high, vec_mul(x, scale));
    vec f = vec_fnma(k, ln2_low, rough);

    /* The inner terms need no more than `rough`: one operation less to wait for. */
    vec r2 = vec_mul(rough, rough);
    vec c67 = vec_fma(vec_set1(0x1.9fbdeap-13f), rough, vec_set1(0x1.6d408p-10f));
    vec c45 = vec_fma(vec_set1(0x1.1111cap-7f), rough, vec_set1(0x1.5554f2p-5f));
    vec c23 = vec_fma(vec_set1(0x1.555554p-3f), rough, vec_set1(0x1p-1f));
    vec q = vec_fma(vec_fma(c67, r2, c45), r2, c23);
    struct act_exp e = {vec_pow2(biased), vec_fma(vec_mul(f, f), q, f)};
    return e;
}

/* What differs from lane to lane in a register that holds several gates. Build it
 * once before the loop. */
struct act_lanes {
    vec_mask sigmoid; /* the other lanes are tanh */
    vec limit;        /* of |z|: beyond it the function is constant */
    vec scale, scale_log2e;
    vec sign_in, sign_out; /* sign bit where z's sign goes into e^t, or onto the result */
};

static inline struct act_lanes act_lanes_of(vec_mask sigmoid)
{
    const vec zero = vec_set1(0.0f), sign = vec_set1(-0.0f);
    struct act_lanes lanes = {
        sigmoid,
        vec_select(sigmoid, vec_set1(88.0f), vec_set1(16.0f)),
        vec_select(sigmoid, vec_set1(-1.0f), vec_set1(-2.0f)),
        vec_select(sigmoid, vec_set1(-0x1.715476p+0f), vec_set1(-0x1.715476p+1f)),
        vec_select(sigmoid, sign, zero),
        vec_select(sigmoid, zero, sign),
    };
    return lanes;
}

/* With E = e^-z:  sigmoid(z) = 1 / (1 + E).  With E = e^(-2|z|):
 * tanh(z) = ±(1 - E) / (1 + E). So one division serves lanes of both kinds. */

/* Numerator of sigmoid. 1 + s drops the 1 from s = 2^24 on, which is still seen
 * there (the sum is too small by up to one unit) but not beyond. */
static inline vec act_sigmoid_numerator(vec s)
{
    return vec_select(vec_eq(s, vec_set1(0x1p24f)), vec_set1(0x1.fffffep-1f), vec_set1(1.0f));
}

/* 1 + E, or NaN where z is. */
static inline vec act_denominator(vec z, struct act_exp e)
{
    return vec_fma(e.p, e.s, vec_nan_where_nan(z, vec_add(vec_set1(1.0f), e.s)));
}

/* 1 - E */
static inline vec act_tanh_numerator(struct act_exp e)
{
    return vec_fnma(e.p, e.s, vec_sub(vec_set1(1.0f), e.s));
}

static inline struct act_exp act_gate_parts(vec z, const struct act_lanes *lanes)
{
    vec x = vec_or_and(vec_abs_below(z, lanes->limit), z, lanes->sign_in);
    return act_exp_parts(x, lanes->scale, lanes->scale_log2e);
}

static inline vec act_gate(vec z, const struct act_lanes *lanes)
{
    struct act_exp e = act_gate_parts(z, lanes);
    vec numerator =
        vec_select(lanes->sigmoid, act_sigmoid_numerator(e.s), act_tanh_numerator(e));
    return vec_or_and(vec_div(numerator, act_denominator(z, e)), z, lanes->sign_out);
}

static inline struct act_exp act_sigmoid_parts(vec z)
{
    return act_exp_parts(vec_within(z, vec_set1(88.0f)), vec_set1(-1.0f),
                         vec_set1(-0x1.715476p+0f));
}

static inline struct act_exp act_tanh_parts(vec z)
{
    return act_exp_parts(vec_abs_below(z, vec_set1(16.0f)), vec_set1(-2.0f),
                         vec_set1(-0x1.715476p+1f));
}

static inline vec act_sigmoid(vec z)
{
    struct act_exp e = act_sigmoid_parts(z);
    return vec_div(act_sigmoid_numerator(e.s), act_denominator(z, e));
}

static inline vec act_tanh(vec z)
{
    struct act_exp e = act_tanh_parts(z);
    vec magnitude = vec_div(act_tanh_numerator(e), act_denominator(z, e));
    return vec_or_and(magnitude, z, vec_set1(-0.0f));
}

/* ---- the other activations ---- */

/* e^x for x ≤ 0, the shape that softmax has. Exactly 0 where the result would fall
 * under the smallest normal number, e^-87.336545. */
static inline vec act_exp_negative(vec x)
{
    const vec lowest = vec_set1(-87.33654f);
    struct act_exp e = act_exp_parts(vec_abs_below(x, vec_set1(88.0f)), vec_set1(-1.0f),
                                     vec_set1(-0x1.715476p+0f));
    vec y = vec_fma(e.p, e.s, e.s);
    return vec_nan_where_nan(x, vec_select(vec_lt(x, lowest), vec_set1(0.0f), y));
}

/* e^x - 1 for x ≤ 0. */
static inline vec act_expm1_negative(vec x)
{
    struct act_exp e = act_exp_parts(vec_abs_below(x, vec_set1(18.0f)), vec_set1(-1.0f),
                                     vec_set1(-0x1.715476p+0f));
    return vec_fma(e.p, e.s, vec_sub(e.s, vec_set1(1.0f)));
}

static inline vec act_elu(vec x, vec alpha)
{
    vec below = vec_mul(alpha, act_expm1_negative(x));
    return vec_select(vec_lt(x, vec_set1(0.0f)), below, x);
}

/* log(1 + e) for 0 ≤ e ≤ 1, as 2·artanh(e / (2 + e)): odd in t = 2e / (2 + e). */
static inline vec act_log1p_unit(vec e)
{
    vec t = vec_div(vec_add(e, e), vec_add(vec_set1(2.0f), e));
    vec t2 = vec_mul(t, t);
    vec r = vec_set1(0x1.1ed7bap-11f);
    r = vec_fma(r, t2, vec_set1(0x1.1ebd0ep-9f));
    r = vec_fma(r, t2, vec_set1(0x1.99d208p-7f));
    r = vec_fma(r, t2, vec_set1(0x1.555502p-4f));
    return vec_fma(t, vec_mul(t2, r), t);
}

/* log(1 + e^x) = max(x, 0) + log(1 + e^-|x|) */
static inline vec act_softplus(vec x)
{
    vec tail = act_log1p_unit(act_exp_negative(vec_neg(vec_abs(x))));
    return vec_add(vec_max(vec_set1(0.0f), x), tail);
}

static inline vec act_softsign(vec x)
{
    return vec_div(x, vec_add(vec_set1(1.0f), vec_abs(x)));
}

static inline vec act_hard_sigmoid(vec x, vec alpha, vec beta)
{
    vec y = vec_max(vec_set1(0.0f), vec_fma(alpha, x, beta));
    return vec_min(vec_set1(1.0f), y);
}

#endif
