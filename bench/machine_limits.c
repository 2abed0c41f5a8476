/* SPDX-License-Identifier: MIT
 *
 * Machine limits by small loops. Each keeps enough independent chains in flight that
 * only the unit under test can be the brake.
 */
#define _DEFAULT_SOURCE
#include "bench/machine_limits.h"

#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "bench/timing.h"

#if defined(__linux__)
#include <sys/mman.h>
#endif

#if defined(__x86_64__)
#include <immintrin.h>
#elif defined(__aarch64__)
#include <arm_neon.h>
#endif

enum { TRIES = 7, CHAINS = 12, FMA_ROUNDS = 200000 };

static double smaller(double a, double b)
{
    return a < b ? a : b;
}

/* ---- clock ----------------------------------------------------------------------- */

/* An integer multiplication takes three cycles on all cores of note. */
static double clock_ghz(void)
{
    enum { ROUNDS = 4000000, LATENCY = 3 };
    double best = INFINITY;
    for (int i = 0; i < TRIES; i++) {
        uint64_t x = 3;
        const double start = timing_wall_ns();
        for (int r = 0; r < ROUNDS; r++) {
            x *= UINT64_C(0x9e3779b97f4a7c15);
            __asm__ volatile("" : "+r"(x));
        }
        best = smaller(best, timing_wall_ns() - start);
    }
    return (double)LATENCY * ROUNDS / best;
}

/* ---- fma ------------------------------------------------------------------------- */

/* Twelve chains by name: an array of them would be left in memory by some compilers. KEEP
 * hides where they start, or chains that start alike would be computed once. */
#define EACH_CHAIN(DO) DO(0) DO(1) DO(2) DO(3) DO(4) DO(5) DO(6) DO(7) DO(8) DO(9) DO(10) DO(11)

#if defined(__x86_64__)
#define KEEP(i) __asm__ volatile("" : "+x"(a##i));
#define START_512(i) __m512 a##i = x;
#define STEP_512(i) a##i = _mm512_fmadd_ps(a##i, x, y);
#define START_256(i) __m256 a##i = x;
#define STEP_256(i) a##i = _mm256_fmadd_ps(a##i, x, y);
#define KEEP_512(i) __asm__ volatile("" : "+v"(a##i));

__attribute__((target("avx512f"))) static void fma_avx512(void)
{
    const __m512 x = _mm512_set1_ps(0.999f), y = _mm512_set1_ps(0.001f);
    EACH_CHAIN(START_512)
    EACH_CHAIN(KEEP_512)
    for (int r = 0; r < FMA_ROUNDS; r++) {
        EACH_CHAIN(STEP_512)
    }
    EACH_CHAIN(KEEP_512)
}

__attribute__((target("avx2,fma"))) static void fma_avx2(void)
{
    const __m256 x = _mm256_set1_ps(0.999f), y = _mm256_set1_ps(0.001f);
    EACH_CHAIN(START_256)
    EACH_CHAIN(KEEP)
    for (int r = 0; r < FMA_ROUNDS; r++) {
        EACH_CHAIN(STEP_256)
    }
    EACH_CHAIN(KEEP)
}
#elif defined(__aarch64__)
#define KEEP(i) __asm__ volatile("" : "+w"(a##i));
#define START_128(i) float32x4_t a##i = x;
#define STEP_128(i) a##i = vfmaq_f32(y, a##i, x);

static void fma_neon(void)
{
    const float32x4_t x = vdupq_n_f32(0.999f), y = vdupq_n_f32(0.001f);
    EACH_CHAIN(START_128)
    EACH_CHAIN(KEEP)
    for (int r = 0; r < FMA_ROUNDS; r++) {
        EACH_CHAIN(STEP_128)
    }
    EACH_CHAIN(KEEP)
}
#endif

#define START_1(i) volatile float start##i = 1; float a##i = start##i;
#define STEP_1(i) a##i = fmaf(a##i, 0.999f, 0.001f);
#define KEEP_1(i) start##i = a##i;

static void fma_scalar(void)
{
    EACH_CHAIN(START_1)
    for (int r = 0; r < FMA_ROUNDS / 50; r++) {
        EACH_CHAIN(STEP_1)
    }
    EACH_CHAIN(KEEP_1)
}

static const struct {
    const char *isa;
    double lanes, rounds;
    void (*run)(void);
} fma_loops[] = {
#if defined(__x86_64__)
    {"avx512", 16, FMA_ROUNDS, fma_avx512},
    {"avx2", 8, FMA_ROUNDS, fma_avx2},
#elif defined(__aarch64__)
    {"neon", 4, FMA_ROUNDS, fma_neon},
#endif
    {"scalar", 1, FMA_ROUNDS / 50.0, fma_scalar},
};

static double fma_gflops(const char *isa)
{
    size_t row = 0;
    while (row + 1 < sizeof fma_loops / sizeof fma_loops[0] &&
           strcmp(fma_loops[row].isa, isa) != 0)
        row++;
    double best = INFINITY;
    for (int i = 0; i < TRIES; i++) {
        const double start = timing_wall_ns();
        fma_loops[row].run();
        best = smaller(best, timing_wall_ns() - start);
    }
    return 2 * fma_loops[row].lanes * CHAINS * fma_loops[row].rounds / best;
}

/* ---- reading ------------------------------------------------------------------------ */

/* Four lines at a time in pieces of `bytes`, so that the load ports are the limit and not
 * the instructions; in ascending or descending order. */
#define SWEEP(name, bytes, attribute)                                                         \
    typedef uint64_t name##_part __attribute__((vector_size(bytes)));                         \
    attribute static void name(const void *memory, size_t n_fours, int backwards)             \
    {                                                                                         \
        enum { PARTS = 256 / bytes };                                                         \
        name##_part sum[PARTS] = {0};                                                         \
        for (size_t i = 0; i < n_fours; i++) {                                                \
            const name##_part *line =                                                         \
                (const name##_part *)memory + PARTS * (backwards ? n_fours - 1 - i : i);      \
            for (int part = 0; part < PARTS; part++)                                          \
                sum[part] |= line[part];                                                      \
        }                                                                                     \
        __asm__ volatile("" : : "m"(sum) : "memory");                                         \
    }

SWEEP(sweep_16, 16, )
#if defined(__x86_64__)
SWEEP(sweep_32, 32, __attribute__((target("avx2"))))
SWEEP(sweep_64, 64, __attribute__((target("avx512f"))))
#endif

typedef void sweep_function(const void *memory, size_t n_fours, int backwards);

static sweep_function *widest_sweep(void)
{
#if defined(__x86_64__)
    if (__builtin_cpu_supports("avx512f"))
        return sweep_64;
    if (__builtin_cpu_supports("avx2"))
        return sweep_32;
#endif
    return sweep_16;
}

/* On huge pages where there are any, as weights are: else address translation would be
 * the limit that is measured. */
static void *sweep_memory(size_t n_bytes)
{
    const size_t huge = (size_t)2 << 20;
    void *memory = NULL;
    if (posix_memalign(&memory, n_bytes < huge ? 64 : huge, n_bytes) != 0)
        return NULL;
#if defined(__linux__) && defined(MADV_HUGEPAGE)
    if (n_bytes >= huge)
        (void)madvise(memory, n_bytes, MADV_HUGEPAGE);
#endif
    memset(memory, 1, n_bytes);
    return memory;
}

double limits_read_gbs(size_t n_bytes)
{
    const size_t n_fours = n_bytes / 256 ? n_bytes / 256 : 1;
    const int passes = (int)(((size_t)64 << 20) / (n_fours * 256)) | 1;
    sweep_function *sweep = widest_sweep();
    void *lines = sweep_memory(n_fours * 256);
    double best = INFINITY;
    if (!lines)
        return 0;
    for (int i = 0; i < TRIES; i++) {
        const double start = timing_wall_ns();
        for (int pass = 0; pass < passes; pass++)
            sweep(lines, n_fours, pass & 1);
        best = smaller(best, timing_wall_ns() - start);
    }
    free(lines);
    return (double)n_fours * 256 * passes / best;
}

struct limits limits_measure(const char *isa)
{
    struct limits limits;
    limits.clock_ghz = clock_ghz();
    limits.fma_gflops = fma_gflops(isa);
    return limits;
}
