/* SPDX-License-Identifier: MIT
 *
 * The choice of an instruction set as a table, what detection may say, and that
 * flush-to-zero is set for a run and restored after it.
 */
#include <criterion/criterion.h>
#include <fenv.h>
#include <string.h>

#include "simd/cpu.h"
#include "simd/fpenv.h"
#include "simd/kernels.h"

/* ---- simd_find ---- */

static bool built(const char *name)
{
    size_t n;
    const struct simd_isa *const *isas = simd_all(&n);
    for (size_t s = 0; s < n; s++)
        if (strcmp(isas[s]->name, name) == 0)
            return true;
    return false;
}

struct choice {
    uint32_t bits;
    const char *limit, *expected; /* NULL: none */
};

static void check_choices(const struct choice *choices, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        const struct choice *c = &choices[i];
        const struct simd_isa *isa = simd_find(c->bits, c->limit);
        const char *got = isa ? isa->name : "none", *expected = c->expected ? c->expected : "none";
        cr_expect_str_eq(got, expected, "bits %#x, limit %s: %s, expected %s", c->bits,
                         c->limit ? c->limit : "(no limit)", got, expected);
    }
}

Test(cpu, find_is_a_table)
{
    const struct choice everywhere[] = {
        {0, NULL, "scalar"},      {0, "scalar", "scalar"},       {~0u, "scalar", "scalar"},
        {~0u, "sse9", NULL},      {~0u, "", NULL},               {~0u, "AVX2", NULL},
        {0, "avx2", NULL},        {0, "avx512", NULL},           {0, "neon", NULL},
    };
    check_choices(everywhere, sizeof everywhere / sizeof everywhere[0]);

    const uint32_t both = SIMD_CPU_AVX2 | SIMD_CPU_AVX512;
    const struct choice x86[] = {
        {both, NULL, "avx512"},        {both, "avx512", "avx512"},
        {both, "avx2", "avx2"},        {SIMD_CPU_AVX2, NULL, "avx2"},
        {SIMD_CPU_AVX2, "avx512", NULL}, {both, "neon", NULL},
    };
    if (built("avx2"))
        check_choices(x86, sizeof x86 / sizeof x86[0]);

    const struct choice arm[] = {
        {SIMD_CPU_NEON, NULL, "neon"}, {SIMD_CPU_NEON, "neon", "neon"}, {both, NULL, "scalar"}};
    if (built("neon"))
        check_choices(arm, sizeof arm / sizeof arm[0]);
}

Test(cpu, sets_are_complete_and_scalar_is_last)
{
    size_t n;
    const struct simd_isa *const *isas = simd_all(&n);
    cr_assert_gt(n, 0);
    cr_expect_str_eq(isas[n - 1]->name, "scalar");
    cr_expect_eq(isas[n - 1]->needs, 0);
    for (size_t s = 0; s < n; s++) {
        cr_assert(isas[s]->gemm && isas[s]->gemm[0].name, "%s has no gemm kernel", isas[s]->name);
        cr_assert(isas[s]->lstm && isas[s]->lstm[0].name, "%s has no lstm kernel", isas[s]->name);
        cr_assert(isas[s]->ops && isas[s]->ops->dot, "%s has no operations", isas[s]->name);
        cr_expect(s + 1 == n || isas[s]->needs, "%s needs nothing", isas[s]->name);
        cr_expect(s == 0 || isas[s]->lanes <= isas[s - 1]->lanes, "not best first");
    }
}

/* ---- detection ---- */

Test(cpu, detection_is_plausible)
{
    struct simd_cpu cpu = simd_cpu_detect(), again = simd_cpu_detect();
    cr_expect_eq(memcmp(&cpu, &again, sizeof cpu), 0, "two answers");
    cr_expect(cpu.cores >= 1 && cpu.cores < 1u << 16, "%u cores", cpu.cores);
    cr_expect(cpu.l1d >= 4096 && cpu.l1d <= 1u << 20, "l1d %zu", cpu.l1d);
    cr_expect(cpu.l2 >= cpu.l1d && cpu.l2 <= 1u << 30, "l2 %zu", cpu.l2);
    cr_expect(cpu.l3 == 0 || cpu.l3 >= cpu.l2, "l3 %zu", cpu.l3);
    cr_expect(cpu.name[0] != '\0' && memchr(cpu.name, '\0', sizeof cpu.name));
    cr_expect(!(cpu.bits & SIMD_CPU_AVX512) || (cpu.bits & SIMD_CPU_AVX2), "AVX-512 without AVX2");
    cr_expect(!cpu.split_zmm || cpu.near_l3, "both are AMD's");
#if defined(__x86_64__)
    cr_expect(!cpu.near_l3 || __builtin_cpu_is("amd"));
    cr_expect_eq((cpu.bits & SIMD_CPU_AVX2) != 0,
                 __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"));
    cr_expect_eq((cpu.bits & SIMD_CPU_AVX512) != 0,
                 __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
                     __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl"));
#elif defined(__aarch64__)
    cr_expect_eq(cpu.bits, SIMD_CPU_NEON);
#endif
}

Test(cpu, bits_text_lists_names_and_stays_in_its_buffer)
{
    char text[32];
    simd_cpu_bits_text(0, text, sizeof text);
    cr_expect_str_eq(text, "");
    simd_cpu_bits_text(SIMD_CPU_NEON, text, sizeof text);
    cr_expect_str_eq(text, "neon");
    simd_cpu_bits_text(SIMD_CPU_AVX2 | SIMD_CPU_AVX512, text, sizeof text);
    cr_expect_str_eq(text, "avx2 avx512");
    for (size_t n = 0; n < 12; n++) {
        memset(text, '#', sizeof text);
        simd_cpu_bits_text(SIMD_CPU_AVX2 | SIMD_CPU_AVX512, text, n);
        cr_expect(n == 0 || memchr(text, '\0', n), "no end within %zu bytes", n);
        cr_expect_eq(text[n], '#', "wrote beyond %zu bytes", n);
    }
}

/* ---- flush-to-zero ---- */

#if defined(__x86_64__) || defined(__aarch64__)

/* Kept from the compiler, which would compute with denormals. */
static volatile float tiny = 0x1p-126f, half = 0.5f, denormal = 0x1p-130f, large = 0x1p100f;

Test(cpu, denormals_are_flushed_between_enter_and_leave)
{
    cr_assert_neq(tiny * half, 0.0f);
    struct simd_fpenv saved;
    simd_fpenv_enter(&saved);
    float result = tiny * half, operand = denormal * large;
    simd_fpenv_leave(&saved);
    cr_expect_eq(result, 0.0f, "a denormal result survives");
    cr_expect_eq(operand, 0.0f, "a denormal operand survives");
    cr_expect_neq(tiny * half, 0.0f, "flushing outlives the run");
    cr_expect_neq(denormal * large, 0.0f, "flushing outlives the run");
}

Test(cpu, the_callers_rounding_is_set_aside_and_restored)
{
    volatile float one = 1.0f, small = 0x1p-30f;
    fesetround(FE_UPWARD);
    struct simd_fpenv saved;
    simd_fpenv_enter(&saved);
    float inside = one + small;
    simd_fpenv_leave(&saved);
    int after = fegetround();
    fesetround(FE_TONEAREST);
    cr_expect_eq(inside, 1.0f, "rounds upward during a run");
    cr_expect_eq(after, FE_UPWARD, "the caller's rounding is lost");
}

Test(cpu, enter_nests)
{
    struct simd_fpenv outer, inner;
    simd_fpenv_enter(&outer);
    simd_fpenv_enter(&inner);
    simd_fpenv_leave(&inner);
    float result = tiny * half;
    simd_fpenv_leave(&outer);
    cr_expect_eq(result, 0.0f, "the inner leave ended the outer run's flushing");
}

#endif
