/* SPDX-License-Identifier: MIT
 *
 * struct simd_vector_ops of every instruction set: the scalar set's bits for all
 * lengths up to four registers and a bit, in place too, and not one byte read or
 * written beyond the end. Sums and activations also against plain formulas.
 */
#ifndef _DEFAULT_SOURCE
#define _DEFAULT_SOURCE /* guard.h */
#endif
#include <criterion/criterion.h>
#include <math.h>
#include <string.h>

#include "simd/cpu.h"
#include "simd/fpenv.h"
#include "simd/kernels.h"
#include "tests/each_isa.h"
#include "tests/guard.h"
#include "tests/rng.h"

enum { MAX_N = 67 };

/* ---- one call, any operation ---- */

enum op {
    OP_CLIP,
    OP_ADD,
    OP_MUL,
    OP_MAX,
    OP_FMA,
    OP_MAGNITUDE,
    OP_ONE_MINUS,
    OP_DIV_BY,
    OP_SCALE_ADD,
    OP_EXP_BELOW,
    OP_SOFTMAX,
    OP_LAYER_NORM,
    OP_LAYER_NORM_PLAIN,
    OP_LAYER_NORM_SCALE,
    OP_LAYER_NORM_SHIFT,
    OP_DOT,
    OP_ACT, /* OP_ACT + enum simd_act */
    OP_COUNT = OP_ACT + SIMD_ACT_COUNT
};

struct operands {
    float *a, *b, *c, *out;
    size_t n;
};

static void call(const struct simd_vector_ops *ops, int op, const struct operands *v)
{
    const size_t n = v->n;
    struct simd_fpenv saved;
    simd_fpenv_enter(&saved);
    switch (op) {
    case OP_CLIP: ops->clip(1.5f, v->a, v->out, n); break;
    case OP_ADD: ops->add(v->a, v->b, v->out, n); break;
    case OP_MUL: ops->mul(v->a, v->b, v->out, n); break;
    case OP_MAX: ops->max(v->a, v->b, v->out, n); break;
    case OP_FMA: ops->fma(v->a, v->b, v->c, v->out, n); break;
    case OP_MAGNITUDE: ops->magnitude(v->a, v->b, v->out, n); break;
    case OP_ONE_MINUS: ops->one_minus(v->a, v->out, n); break;
    case OP_DIV_BY: ops->div_by(3.0f, v->a, v->out, n); break;
    case OP_SCALE_ADD: ops->scale_add(-0.75f, v->a, v->b, v->out, n); break;
    case OP_EXP_BELOW: ops->exp_below(3.0f, v->a, v->out, n); break;
    case OP_SOFTMAX: ops->softmax(v->a, v->out, n); break;
    case OP_LAYER_NORM: ops->layer_norm(1e-5f, v->b, v->c, v->a, v->out, n); break;
    case OP_LAYER_NORM_PLAIN: ops->layer_norm(1e-5f, NULL, NULL, v->a, v->out, n); break;
    case OP_LAYER_NORM_SCALE: ops->layer_norm(1e-5f, v->b, NULL, v->a, v->out, n); break;
    case OP_LAYER_NORM_SHIFT: ops->layer_norm(1e-5f, NULL, v->c, v->a, v->out, n); break;
    case OP_DOT:
        if (n > 0)
            v->out[0] = ops->dot(v->a, v->b, 0.25f, n);
        break;
    default: ops->act((enum simd_act)(op - OP_ACT), 0.75f, 1.25f, v->a, v->out, n); break;
    }
    simd_fpenv_leave(&saved);
}

/* ---- operands right before a forbidden page ---- */

struct arena {
    struct guard guard[4];
};

static struct arena arena_open(void)
{
    struct arena arena;
    for (size_t i = 0; i < 4; i++)
        cr_assert(guard_open(&arena.guard[i], (MAX_N + 1) * sizeof(float)), "no memory");
    return arena;
}

static void arena_close(struct arena *arena)
{
    for (size_t i = 0; i < 4; i++)
        guard_close(&arena->guard[i]);
}

static struct operands operands_at_end(const struct arena *arena, size_t n)
{
    float *p[4];
    for (size_t i = 0; i < 4; i++)
        p[i] = guard_at_end(&arena->guard[i], n * sizeof(float));
    struct operands v = {p[0], p[1], p[2], p[3], n};
    return v;
}

/* Values that a kernel could treat unlike another: zeros of both signs, denormals,
 * numbers near the ends of the range, infinities. */
static float special(struct rng *rng)
{
    static const float values[] = {0.0f, -0.0f, 1e-40f, -1e-40f, 0x1p-126f, -0x1p-126f, 1e-30f,
                                   3e38f, -3e38f, 1.0f, -1.0f, 88.0f, -87.4f, INFINITY, -INFINITY};
    return values[rng_below(rng, sizeof values / sizeof values[0])];
}

static void fill(struct rng *rng, bool with_specials, const struct operands *v)
{
    float *arrays[] = {v->a, v->b, v->c, v->out};
    for (size_t i = 0; i < 4; i++)
        for (size_t j = 0; j < v->n; j++)
            arrays[i][j] =
                with_specials && rng_chance(rng, 30) ? special(rng) : rng_float(rng, 3.0f);
}

/* ---- the same bits ---- */

/* NaNs are equal to each other: their payload is not promised. */
static void check_equal(const char *isa, int op, const float *got, const float *expected, size_t n)
{
    for (size_t j = 0; j < n; j++) {
        bool same = memcmp(&got[j], &expected[j], sizeof *got) == 0 ||
                    (isnan(got[j]) && isnan(expected[j]));
        cr_assert(same, "%s, operation %d, n = %zu, element %zu: %a, scalar gives %a", isa, op, n,
                  j, (double)got[j], (double)expected[j]);
    }
}

/* In place is worked out on copies of the same operands, `out` being `a`. */
static void check_one(const struct simd_isa *isa, int op, const struct operands *v)
{
    size_t n_isas;
    const struct simd_isa *const *isas = simd_all(&n_isas);
    float expected[MAX_N], before[MAX_N];
    memcpy(expected, v->out, v->n * sizeof(float));
    memcpy(before, v->a, v->n * sizeof(float));

    struct operands plain = {v->a, v->b, v->c, expected, v->n};
    call(isas[n_isas - 1]->ops, op, &plain);
    call(isa->ops, op, v);
    check_equal(isa->name, op, v->out, expected, v->n);
    cr_assert(memcmp(before, v->a, v->n * sizeof(float)) == 0, "an input was written");
    if (op == OP_DOT)
        return;
    struct operands in_place = {v->a, v->b, v->c, v->a, v->n};
    call(isa->ops, op, &in_place);
    check_equal(isa->name, op, v->a, expected, v->n);
}

static void check_bits(const struct simd_isa *isa)
{
    struct arena arena = arena_open();
    struct rng rng = {20260101};
    for (size_t n = 0; n <= MAX_N; n++)
        for (int op = 0; op < OP_COUNT; op++)
            for (int round = 0; round < 6; round++) {
                struct operands v = operands_at_end(&arena, n);
                fill(&rng, round % 2 == 1, &v);
                check_one(isa, op, &v);
            }
    arena_close(&arena);
}

Test(ops, scalar_bits_in_place_and_within_bounds)
{
    for_each_isa(check_bits);
}

/* ---- the order of sums ---- */

static float sum_in_lanes(const float *a, const float *b, size_t n)
{
    float lane[16] = {0.0f};
    for (size_t j = 0; j < n; j++)
        lane[j % 16] = fmaf(a[j], b[j], lane[j % 16]);
    for (size_t half = 8; half > 0; half /= 2)
        for (size_t j = 0; j < half; j++)
            lane[j] += lane[j + half];
    return lane[0];
}

static void check_dot_order(const struct simd_isa *isa)
{
    struct rng rng = {7};
    float a[200], b[200];
    rng_fill(&rng, 2.0f, a, 200);
    rng_fill(&rng, 2.0f, b, 200);
    for (size_t n = 0; n <= 200; n++) {
        float got = isa->ops->dot(a, b, -0.5f, n), expected = -0.5f + sum_in_lanes(a, b, n);
        cr_assert_eq(got, expected, "%s, n = %zu: %a, expected %a", isa->name, n, (double)got,
                     (double)expected);
    }
}

Test(ops, dot_sums_in_sixteen_lanes)
{
    for_each_isa(check_dot_order);
}

/* ---- against formulas in double ---- */

static double reference_act(int act, double x)
{
    const double alpha = 0.75, beta = 1.25;
    switch (act) {
    case SIMD_ACT_SIGMOID: return 1.0 / (1.0 + exp(-x));
    case SIMD_ACT_TANH: return tanh(x);
    case SIMD_ACT_RELU: return fmax(0.0, x);
    case SIMD_ACT_LEAKY_RELU: return x < 0.0 ? alpha * x : x;
    case SIMD_ACT_THRESHOLDED_RELU: return x > alpha ? x : 0.0;
    case SIMD_ACT_SCALED_TANH: return alpha * tanh(beta * x);
    case SIMD_ACT_HARD_SIGMOID: return fmin(fmax(alpha * x + beta, 0.0), 1.0);
    case SIMD_ACT_ELU: return x < 0.0 ? alpha * expm1(x) : x;
    case SIMD_ACT_SOFTSIGN: return x / (1.0 + fabs(x));
    case SIMD_ACT_SOFTPLUS: return log1p(exp(x));
    case SIMD_ACT_AFFINE: return alpha * x + beta;
    default: return x;
    }
}

static void check_act_values(const struct simd_isa *isa)
{
    struct rng rng = {11};
    float x[MAX_N], out[MAX_N];
    rng_fill(&rng, 6.0f, x, MAX_N);
    for (int act = 0; act < SIMD_ACT_COUNT; act++) {
        isa->ops->act((enum simd_act)act, 0.75f, 1.25f, x, out, MAX_N);
        for (size_t j = 0; j < MAX_N; j++) {
            double expected = reference_act(act, (double)x[j]);
            cr_assert(fabs((double)out[j] - expected) <= 4e-7 * fmax(1.0, fabs(expected)),
                      "%s, activation %d of %a: %a, expected %a", isa->name, act, (double)x[j],
                      (double)out[j], expected);
        }
    }
}

Test(ops, activations_follow_their_formulas)
{
    for_each_isa(check_act_values);
}

static void check_softmax(const struct simd_isa *isa)
{
    struct rng rng = {13};
    float x[MAX_N], out[MAX_N];
    for (size_t n = 1; n <= MAX_N; n++) {
        rng_fill(&rng, 20.0f, x, n);
        double sum = 0.0, largest = -HUGE_VAL;
        for (size_t j = 0; j < n; j++)
            largest = fmax(largest, (double)x[j]);
        for (size_t j = 0; j < n; j++)
            sum += exp((double)x[j] - largest);
        isa->ops->softmax(x, out, n);
        for (size_t j = 0; j < n; j++) {
            double expected = exp((double)x[j] - largest) / sum;
            cr_assert(fabs((double)out[j] - expected) <= 3e-6 * expected, "%s: %a, expected %a",
                      isa->name, (double)out[j], expected);
        }
    }
}

static void check_softmax_edges(const struct simd_isa *isa)
{
    float x[5] = {1000.0f, 0.0f, -1000.0f, 1000.0f, -INFINITY}, out[5];
    isa->ops->softmax(x, out, 5);
    const float expected[5] = {0.5f, 0.0f, 0.0f, 0.5f, 0.0f};
    cr_expect(memcmp(out, expected, sizeof out) == 0, "%s", isa->name);
    for (size_t at = 0; at < 5; at++) {
        float y[5] = {1.0f, 2.0f, 3.0f, 4.0f, 5.0f};
        y[at] = NAN;
        isa->ops->softmax(y, out, 5);
        for (size_t j = 0; j < 5; j++)
            cr_expect(isnan(out[j]), "%s: NaN at %zu does not reach %zu", isa->name, at, j);
    }
}

Test(ops, softmax_is_a_distribution)
{
    for_each_isa(check_softmax);
    for_each_isa(check_softmax_edges);
}

static void check_layer_norm(const struct simd_isa *isa)
{
    struct rng rng = {17};
    float x[MAX_N], scale[MAX_N], shift[MAX_N], out[MAX_N];
    for (size_t n = 2; n <= MAX_N; n++) {
        rng_fill(&rng, 4.0f, x, n);
        rng_fill(&rng, 2.0f, scale, n);
        rng_fill(&rng, 1.0f, shift, n);
        double mean = 0.0, variance = 0.0;
        for (size_t j = 0; j < n; j++)
            mean += (double)x[j] / (double)n;
        for (size_t j = 0; j < n; j++)
            variance += ((double)x[j] - mean) * ((double)x[j] - mean) / (double)n;
        isa->ops->layer_norm(1e-5f, scale, shift, x, out, n);
        for (size_t j = 0; j < n; j++) {
            double y = ((double)x[j] - mean) / sqrt(variance + 1e-5);
            double expected = y * (double)scale[j] + (double)shift[j];
            cr_assert(fabs((double)out[j] - expected) <= 1e-5, "%s, n = %zu: %a, expected %a",
                      isa->name, n, (double)out[j], expected);
        }
    }
}

Test(ops, layer_norm_follows_its_formula)
{
    for_each_isa(check_layer_norm);
}

static void check_max_nan(const struct simd_isa *isa)
{
    const float a[4] = {NAN, 1.0f, 2.0f, -INFINITY}, b[4] = {1.0f, NAN, 3.0f, INFINITY};
    float out[4];
    isa->ops->max(a, b, out, 4);
    cr_expect(isnan(out[0]) && isnan(out[1]), "%s: max drops a NaN", isa->name);
    cr_expect(out[2] == 3.0f && out[3] == INFINITY, "%s", isa->name);
}

Test(ops, max_keeps_nan)
{
    for_each_isa(check_max_nan);
}

static void check_magnitude(const struct simd_isa *isa)
{
    const float a[6] = {3, -5, 0, 1e-30f, NAN, 1}, b[6] = {4, 12, -7, 0, 1, INFINITY};
    const float expected[4] = {5, 13, 7, 0}; /* a square that vanishes is 0 */
    float out[6];
    struct simd_fpenv saved;
    simd_fpenv_enter(&saved);
    isa->ops->magnitude(a, b, out, 6);
    simd_fpenv_leave(&saved);
    for (size_t j = 0; j < 4; j++)
        cr_expect_eq(out[j], expected[j], "%s: %a, expected %a", isa->name, (double)out[j],
                     (double)expected[j]);
    cr_expect(isnan(out[4]) && isinf(out[5]), "%s", isa->name);
}

Test(ops, magnitude_is_a_length)
{
    for_each_isa(check_magnitude);
}
