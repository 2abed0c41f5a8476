/* SPDX-License-Identifier: MIT
 *
 * Clock and fma peaks by small loops. Each keeps enough independent chains in flight that
 * only the unit under test can be the brake.
 */
#include "bench/machine_limits.h"

#include <math.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "bench/together.h"
#include "simd/cpu.h"

#if defined(__x86_64__)
#include <immintrin.h>
#elif defined(__aarch64__)
#include <arm_neon.h>
#endif

enum { TRIES = 20 };

/* ---- clock ----------------------------------------------------------------------- */

enum { CLOCK_ROUNDS = 1000000 };

static void multiply_chain(void *context, unsigned rank)
{
    uint64_t x = 3;
    (void)context;
    (void)rank;
    for (int r = 0; r < CLOCK_ROUNDS; r++) {
        x *= UINT64_C(0x9e3779b97f4a7c15);
        __asm__ volatile("" : "+r"(x));
    }
}

/* An integer multiplication takes three cycles on all cores of note. */
double limits_clock_ghz(void)
{
    enum { LATENCY = 3 };
    const double ns = together_ns(1, TRIES, multiply_chain, NULL);
    return ns > 0 ? (double)LATENCY * CLOCK_ROUNDS / ns : 0;
}

/* ---- fma ------------------------------------------------------------------------- */

enum {
    CHAINS = 12,
    ROUNDS = 200000,
    SET_FLOATS = 4096,          /* stays in L1; a power of two, to be gone round without a branch */
    MOST_A_ROUND = CHAINS * 16  /* floats that a round reads, from any place in the set on */
};

/* Twelve chains by name: an array of them would be left in memory by some compilers. KEEP
 * hides where they start, or chains that start alike would be computed once. */
#define EACH(DO, ...)                                                                    \
    DO(0, __VA_ARGS__) DO(1, __VA_ARGS__) DO(2, __VA_ARGS__) DO(3, __VA_ARGS__)          \
    DO(4, __VA_ARGS__) DO(5, __VA_ARGS__) DO(6, __VA_ARGS__) DO(7, __VA_ARGS__)          \
    DO(8, __VA_ARGS__) DO(9, __VA_ARGS__) DO(10, __VA_ARGS__) DO(11, __VA_ARGS__)

#define START(i, VECTOR) VECTOR a##i = x;
#define KEEP(i, REGISTER) __asm__ volatile("" : REGISTER(a##i));
#define STEP(i, FMADD) a##i = FMADD(a##i, x, y);
#define STEP_L1(i, LOAD, LANES, FMADD) a##i = FMADD(LOAD(floats + at + (i) * (LANES)), x, a##i);

/* FMADD(a, b, c): a * b + c */
#define LOOPS(isa, attribute, VECTOR, LANES, REGISTER, SPLAT, LOAD, FMADD)               \
    attribute static void fma_##isa(void *set, unsigned rank)                            \
    {                                                                                    \
        const VECTOR x = SPLAT(0.999f), y = SPLAT(0.001f);                               \
        (void)set;                                                                       \
        (void)rank;                                                                      \
        EACH(START, VECTOR)                                                              \
        EACH(KEEP, REGISTER)                                                             \
        for (int r = 0; r < ROUNDS; r++) {                                               \
            EACH(STEP, FMADD)                                                            \
        }                                                                                \
        EACH(KEEP, REGISTER)                                                             \
    }                                                                                    \
    attribute static void fma_l1_##isa(void *set, unsigned rank)                         \
    {                                                                                    \
        const VECTOR x = SPLAT(0.999f);                                                  \
        const float *const floats = set;                                                 \
        size_t at = 0;                                                                   \
        (void)rank;                                                                      \
        EACH(START, VECTOR)                                                              \
        EACH(KEEP, REGISTER)                                                             \
        for (int r = 0; r < ROUNDS; r++) {                                               \
            EACH(STEP_L1, LOAD, LANES, FMADD)                                            \
            at = (at + CHAINS * (LANES)) % SET_FLOATS;                                   \
        }                                                                                \
        EACH(KEEP, REGISTER)                                                             \
    }

#if defined(__x86_64__)
#define TARGET_AVX512 __attribute__((target("avx512f")))
#define TARGET_AVX2 __attribute__((target("avx2,fma")))
LOOPS(avx512, TARGET_AVX512, __m512, 16, "+v", _mm512_set1_ps, _mm512_load_ps, _mm512_fmadd_ps)
LOOPS(avx2, TARGET_AVX2, __m256, 8, "+x", _mm256_set1_ps, _mm256_load_ps, _mm256_fmadd_ps)
#elif defined(__aarch64__)
#define FMADD_NEON(a, b, c) vfmaq_f32(c, a, b)
LOOPS(neon, , float32x4_t, 4, "+w", vdupq_n_f32, vld1q_f32, FMADD_NEON)
#endif

/* A call for each fma on most baselines: fewer rounds. */
enum { ROUNDS_SCALAR = ROUNDS / 50 };

#define START_SCALAR(i, TYPE) volatile TYPE start##i = 1; TYPE a##i = start##i;
#define STEP_SCALAR(i, FMADD) a##i = FMADD(a##i, 0.999f, 0.001f);
#define KEEP_SCALAR(i, TYPE) start##i = (TYPE)a##i;

static void fma_scalar(void *set, unsigned rank)
{
    (void)set;
    (void)rank;
    EACH(START_SCALAR, float)
    for (int r = 0; r < ROUNDS_SCALAR; r++) {
        EACH(STEP_SCALAR, fmaf)
    }
    EACH(KEEP_SCALAR, float)
}

static const struct fma_row {
    const char *isa;
    uint32_t needs; /* simd_cpu_bit */
    double lanes, rounds;
    together_work *run[2]; /* by enum limits_fma */
} fma_rows[] = {
#if defined(__x86_64__)
    {"avx512", SIMD_CPU_AVX512, 16, ROUNDS, {fma_avx512, fma_l1_avx512}},
    {"avx2", SIMD_CPU_AVX2, 8, ROUNDS, {fma_avx2, fma_l1_avx2}},
#elif defined(__aarch64__)
    {"neon", SIMD_CPU_NEON, 4, ROUNDS, {fma_neon, fma_l1_neon}},
#endif
    {"scalar", 0, 1, ROUNDS_SCALAR, {fma_scalar, NULL}},
};

enum { FMA_ROWS = sizeof fma_rows / sizeof fma_rows[0] };

static size_t find_row(const char *isa)
{
    size_t row = 0;
    while (row + 1 < FMA_ROWS && strcmp(fma_rows[row].isa, isa) != 0)
        row++;
    return row;
}

unsigned limits_isas(const char *most, const char *names[LIMITS_ISAS])
{
    const uint32_t bits = simd_cpu_detect().bits;
    unsigned n = 0;
    for (size_t i = most ? find_row(most) : 0; i < FMA_ROWS; i++)
        if ((bits & fma_rows[i].needs) == fma_rows[i].needs && (fma_rows[i].needs || n == 0))
            names[n++] = fma_rows[i].isa;
    return n;
}

double limits_fma_gflops(const char *isa, unsigned threads, enum limits_fma from)
{
    _Alignas(64) float set[SET_FLOATS + MOST_A_ROUND];
    const struct fma_row *row = &fma_rows[find_row(isa)];
    if (!row->run[from])
        return 0;
    for (size_t i = 0; i < SET_FLOATS + MOST_A_ROUND; i++)
        set[i] = 0.001f;
    const double ns = together_ns(threads, TRIES, row->run[from], set);
    return ns > 0 ? 2 * row->lanes * CHAINS * row->rounds * threads / ns : 0;
}
