/* SPDX-License-Identifier: MIT
 *
 * Activations: their error against a double-precision reference over a sweep of all
 * exponents (all finite floats with LSTMRUN_TEST_ALL=1), the same bits from every
 * instruction set of this machine, and the values at the edges.
 */
#include <criterion/criterion.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "simd/cpu.h"
#include "simd/fpenv.h"
#include "simd/kernels.h"
#include "simd/vec_scalar.h"

#include "simd/act_tmpl.h"
#include "tests/each_isa.h"

enum { BLOCK = 4096 };

static float from_bits(uint32_t bits)
{
    float x;
    memcpy(&x, &bits, sizeof x);
    return x;
}

static uint32_t to_bits(float x)
{
    uint32_t bits;
    memcpy(&bits, &x, sizeof bits);
    return bits;
}

/* ---- what is measured ---- */

struct activation {
    const char *name;
    enum simd_act act;
    float alpha, beta;
    double (*reference)(double x);
    double most_ulp;
    bool only_negative; /* the rest is not this function's domain */
};

static double ref_sigmoid(double x) { return 1.0 / (1.0 + exp(-x)); }
static double ref_softplus(double x) { return fmax(x, 0.0) + log1p(exp(-fabs(x))); }

static const struct activation activations[] = {
    {"sigmoid", SIMD_ACT_SIGMOID, 0.0f, 0.0f, ref_sigmoid, 1.95, false},
    {"tanh", SIMD_ACT_TANH, 0.0f, 0.0f, tanh, 1.94, false},
    {"softplus", SIMD_ACT_SOFTPLUS, 0.0f, 0.0f, ref_softplus, 3.0, false},
    {"elu (expm1)", SIMD_ACT_ELU, 1.0f, 0.0f, expm1, 1.5, true},
};

enum { N_ACTIVATIONS = sizeof activations / sizeof activations[0] };

/* ---- the sweep ---- */

/* Mantissas of each sign and exponent. Fewer where it takes long: under a sanitizer,
 * and on other architectures, which run this suite in an emulator and have the hash
 * below to lean on. */
#if defined(__x86_64__) && !defined(__SANITIZE_ADDRESS__)
enum { DENSE = 1 << 16 };
#else
enum { DENSE = 1 << 12 };
#endif
enum { HASHED = 1 << 9, ALL = 1 << 23 };

static uint32_t dense_default(void)
{
    return getenv("LSTMRUN_TEST_ALL") ? ALL : DENSE;
}

/* The index-th of `count` mantissas, evenly spread, their low bits not all zero. */
static uint32_t mantissa_at(uint32_t index, uint32_t count)
{
    const uint32_t step = (1u << 23) / count;
    return index * step + (index * 2654435761u) % step;
}

typedef void block_fn(const float *x, size_t n, void *context);

static void for_each_finite(uint32_t count, block_fn *fn, void *context)
{
    static float x[BLOCK];
    for (uint32_t sign = 0; sign < 2; sign++)
        for (uint32_t exponent = 0; exponent < 255; exponent++)
            for (uint32_t index = 0; index < count;) {
                size_t n = 0;
                for (; n < BLOCK && index < count; index++)
                    x[n++] = from_bits(sign << 31 | exponent << 23 | mantissa_at(index, count));
                fn(x, n, context);
            }
}

static void apply(const struct simd_isa *isa, const struct activation *a, const float *x,
                  float *out, size_t n)
{
    struct simd_fpenv saved;
    simd_fpenv_enter(&saved);
    isa->ops->act(a->act, a->alpha, a->beta, x, out, n);
    simd_fpenv_leave(&saved);
}

static const struct simd_isa *fastest(void)
{
    return simd_find(simd_cpu_detect().bits, NULL);
}

/* ---- accuracy ---- */

/* Distance of adjacent floats at |x|; x is in the normal range. */
static double ulp_at(double x)
{
    int exponent;
    frexp(x, &exponent);
    return ldexp(1.0, exponent - 24);
}

static double flushed(double x)
{
    return fabs(x) < 0x1p-126 ? 0.0 : x;
}

/* In units of the reference's last place. Under the normal range anything counts as
 * 0, as it does for all that reads it; the reference may be on one side of that edge
 * and the rounded result on the other. */
static double error_ulp(double got, double reference)
{
    if (flushed(reference) == 0.0)
        return fabs(got) <= 0x1p-126 ? 0.0 : HUGE_VAL;
    return fabs(got - reference) / ulp_at(reference);
}

struct worst {
    const struct activation *activation;
    const struct simd_isa *isa;
    double ulp;
    float at;
};

static void measure(const float *x, size_t n, void *context)
{
    static float out[BLOCK];
    struct worst *worst = context;
    if (worst->activation->only_negative && x[0] > 0.0f)
        return;
    apply(worst->isa, worst->activation, x, out, n);
    for (size_t j = 0; j < n; j++) {
        double ulp = error_ulp((double)out[j], worst->activation->reference(flushed((double)x[j])));
        if (!(ulp <= worst->ulp)) {
            worst->ulp = ulp;
            worst->at = x[j];
        }
    }
}

Test(act, error_is_as_stated, .timeout = 3600)
{
    for (size_t i = 0; i < N_ACTIVATIONS; i++) {
        struct worst worst = {&activations[i], fastest(), 0.0, 0.0f};
        for_each_finite(dense_default(), measure, &worst);
        printf("%s/%s: at most %.3f ulp, at %a\n", worst.isa->name, activations[i].name, worst.ulp,
               (double)worst.at);
        cr_assert(worst.ulp <= activations[i].most_ulp, "%s: %.3f ulp at %a, expected at most %.2f",
                  activations[i].name, worst.ulp, (double)worst.at, activations[i].most_ulp);
        cr_assert(worst.ulp > 0.4, "%s: the sweep measured nothing", activations[i].name);
    }
}

/* ---- the same bits everywhere ---- */

struct comparison {
    const struct activation *activation;
    uint32_t cpu_bits;
};

static void compare(const float *x, size_t n, void *context)
{
    static float expected[BLOCK], out[BLOCK];
    const struct comparison *c = context;
    size_t n_isas;
    const struct simd_isa *const *isas = simd_all(&n_isas);
    apply(isas[n_isas - 1], c->activation, x, expected, n);
    for (size_t s = 0; s + 1 < n_isas; s++) {
        if (isas[s]->needs & ~c->cpu_bits)
            continue;
        apply(isas[s], c->activation, x, out, n);
        if (memcmp(out, expected, n * sizeof out[0]) == 0)
            continue;
        for (size_t j = 0; j < n; j++)
            cr_assert_eq(to_bits(out[j]), to_bits(expected[j]), "%s/%s(%a) is %a, scalar gives %a",
                         isas[s]->name, c->activation->name, (double)x[j], (double)out[j],
                         (double)expected[j]);
    }
}

Test(act, every_isa_gives_the_same_bits, .timeout = 3600)
{
    for (size_t i = 0; i < N_ACTIVATIONS; i++) {
        struct comparison c = {&activations[i], simd_cpu_detect().bits};
        for_each_finite(dense_default(), compare, &c);
    }
}

/* FNV-1a over the results of one sweep, little-endian. */
struct hashing {
    const struct activation *activation;
    const struct simd_isa *isa;
    uint64_t hash;
};

static void hash_block(const float *x, size_t n, void *context)
{
    static float out[BLOCK];
    struct hashing *h = context;
    apply(h->isa, h->activation, x, out, n);
    for (size_t j = 0; j < n; j++)
        for (unsigned shift = 0; shift < 32; shift += 8)
            h->hash = (h->hash ^ (to_bits(out[j]) >> shift & 0xff)) * UINT64_C(0x100000001b3);
}

/* The fastest set of every architecture must come to these. */
static const uint64_t sweep_hash[N_ACTIVATIONS] = {
    UINT64_C(0x3670e39955960ad2), UINT64_C(0x55c7c45483c03635), UINT64_C(0xf3f35d7e3f32b8d3),
    UINT64_C(0x66fe2f8916061f48)};

Test(act, every_architecture_gives_the_same_bits, .timeout = 600)
{
    for (size_t i = 0; i < N_ACTIVATIONS; i++) {
        struct hashing h = {&activations[i], fastest(), UINT64_C(0xcbf29ce484222325)};
        for_each_finite(HASHED, hash_block, &h);
        cr_expect_eq(h.hash, sweep_hash[i], "%s/%s: the sweep's hash is %#llx, expected %#llx",
                     h.isa->name, activations[i].name, (unsigned long long)h.hash,
                     (unsigned long long)sweep_hash[i]);
    }
}

/* A register of mixed gates against the functions of one kind, on the scalar
 * vocabulary; the panels of 8 and 4 units in check_kernels show it for the others. */
static void compare_gate(const float *x, size_t n, void *context)
{
    const struct act_lanes sigmoid = act_lanes_of(true), tanh_lanes = act_lanes_of(false);
    (void)context;
    struct simd_fpenv saved;
    simd_fpenv_enter(&saved);
    size_t wrong = 0;
    for (size_t j = 0; j < n; j++)
        wrong += to_bits(act_gate(x[j], &sigmoid)) != to_bits(act_sigmoid(x[j])) ||
                 to_bits(act_gate(x[j], &tanh_lanes)) != to_bits(act_tanh(x[j]));
    simd_fpenv_leave(&saved);
    cr_assert_eq(wrong, 0, "%zu of %zu values from %a on", wrong, n, (double)x[0]);
}

Test(act, lanes_of_both_kinds_give_the_same_bits)
{
    for_each_finite(HASHED, compare_gate, NULL);
}

/* ---- edges ---- */

static float one(const struct simd_isa *isa, enum simd_act act, float x)
{
    const struct activation a = {"", act, 1.0f, 1.0f, NULL, 0.0, false};
    float out;
    apply(isa, &a, &x, &out, 1);
    return out;
}

static void check_saturation(const struct simd_isa *isa)
{
    const float huge[] = {100.0f, 1e10f, 3.4e38f, INFINITY};
    for (size_t j = 0; j < sizeof huge / sizeof huge[0]; j++) {
        cr_expect_eq(to_bits(one(isa, SIMD_ACT_SIGMOID, huge[j])), to_bits(1.0f), "%s", isa->name);
        cr_expect_eq(to_bits(one(isa, SIMD_ACT_SIGMOID, -huge[j])), to_bits(0.0f), "%s", isa->name);
        cr_expect_eq(to_bits(one(isa, SIMD_ACT_TANH, huge[j])), to_bits(1.0f), "%s", isa->name);
        cr_expect_eq(to_bits(one(isa, SIMD_ACT_TANH, -huge[j])), to_bits(-1.0f), "%s", isa->name);
        cr_expect_eq(to_bits(one(isa, SIMD_ACT_ELU, -huge[j])), to_bits(-1.0f), "%s", isa->name);
        cr_expect_eq(to_bits(one(isa, SIMD_ACT_SOFTPLUS, huge[j])), to_bits(huge[j]), "%s",
                     isa->name);
        cr_expect_eq(to_bits(one(isa, SIMD_ACT_SOFTPLUS, -huge[j])), to_bits(0.0f), "%s",
                     isa->name);
    }
}

Test(act, saturates)
{
    for_each_isa(check_saturation);
}

static void check_nan(const struct simd_isa *isa)
{
    const uint32_t nans[] = {0x7fc00000u, 0xffc00000u, 0x7fffffffu, 0xff800001u, 0x7f800001u};
    for (int act = 0; act < SIMD_ACT_COUNT; act++)
        for (size_t j = 0; j < sizeof nans / sizeof nans[0]; j++)
            cr_expect(isnan(one(isa, (enum simd_act)act, from_bits(nans[j]))), "%s, activation %d",
                      isa->name, act);
}

Test(act, passes_nan_on)
{
    for_each_isa(check_nan);
}

static void check_odd(const struct simd_isa *isa)
{
    cr_expect_eq(to_bits(one(isa, SIMD_ACT_TANH, 0.0f)), 0u, "%s", isa->name);
    cr_expect_eq(to_bits(one(isa, SIMD_ACT_TANH, -0.0f)), 0x80000000u, "%s", isa->name);
    cr_expect_eq(to_bits(one(isa, SIMD_ACT_SIGMOID, -0.0f)), to_bits(0.5f), "%s", isa->name);
    for (uint32_t bits = 0; bits < 0x7f800000u; bits += 99991) {
        uint32_t plus = to_bits(one(isa, SIMD_ACT_TANH, from_bits(bits)));
        uint32_t minus = to_bits(one(isa, SIMD_ACT_TANH, from_bits(bits | 0x80000000u)));
        cr_assert_eq(minus, plus | 0x80000000u, "%s: tanh(%a) is not odd", isa->name,
                     (double)from_bits(bits));
    }
}

Test(act, tanh_is_odd)
{
    for_each_isa(check_odd);
}

/* x86 flushes what is tiny after rounding, ARM what is tiny before. They differ for an
 * exact value just under 2^-126 that rounds up to it; sigmoid never produces one:
 * 1 / d with d > 2^126 is at most 2^-126 · (1 - 2^-24). */
static void check_flush_edge(const struct simd_isa *isa)
{
    const uint32_t edge = to_bits(-87.33655f);
    for (uint32_t bits = edge - 300; bits < edge + 300; bits++) {
        float y = one(isa, SIMD_ACT_SIGMOID, from_bits(bits));
        double exact = ref_sigmoid((double)from_bits(bits));
        cr_assert(y == 0.0f || y >= 0x1p-126f, "%s: sigmoid(%a) is denormal", isa->name,
                  (double)from_bits(bits));
        cr_assert(error_ulp((double)y, exact) <= 1.95, "%s: sigmoid(%a) is %a", isa->name,
                  (double)from_bits(bits), (double)y);
    }
}

Test(act, sigmoid_leaves_the_normal_range_cleanly)
{
    for_each_isa(check_flush_edge);
}
