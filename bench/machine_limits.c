/* SPDX-License-Identifier: MIT
 *
 * Machine limits by small loops. Each keeps enough independent chains in flight that
 * only the unit under test can be the brake.
 */
#include "bench/machine_limits.h"

#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "bench/timing.h"

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

/* Twelve chains by name: an array of them would be left in memory by some compilers. */
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
    for (int r = 0; r < FMA_ROUNDS; r++) {
        EACH_CHAIN(STEP_512)
    }
    EACH_CHAIN(KEEP_512)
}

__attribute__((target("avx2,fma"))) static void fma_avx2(void)
{
    const __m256 x = _mm256_set1_ps(0.999f), y = _mm256_set1_ps(0.001f);
    EACH_CHAIN(START_256)
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
    for (int r = 0; r < FMA_ROUNDS; r++) {
        EACH_CHAIN(STEP_128)
    }
    EACH_CHAIN(KEEP)
}
#endif

static void fma_scalar(void)
{
    float a[CHAINS];
    for (int i = 0; i < CHAINS; i++)
        a[i] = 1;
    for (int r = 0; r < FMA_ROUNDS / 50; r++)
        for (int i = 0; i < CHAINS; i++)
            a[i] = fmaf(a[i], 0.999f, 0.001f);
    for (int i = 0; i < CHAINS; i++)
        __asm__ volatile("" : : "g"(a[i]));
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

typedef uint64_t line_part __attribute__((vector_size(16)));

/* Sixteen bytes at a time from four places of a line: the load ports are the limit, not
 * the instructions. Lines in ascending or descending order. */
static line_part sweep(const line_part *lines, size_t n_lines, int backwards)
{
    line_part a = {0}, b = {0}, c = {0}, d = {0};
    for (size_t i = 0; i < n_lines; i++) {
        const line_part *line = lines + 4 * (backwards ? n_lines - 1 - i : i);
        a |= line[0];
        b |= line[1];
        c |= line[2];
        d |= line[3];
    }
    return a | b | c | d;
}

double limits_read_gbs(size_t n_bytes)
{
    const size_t n_lines = n_bytes / 64 ? n_bytes / 64 : 1;
    const int passes = (int)(((size_t)64 << 20) / (n_lines * 64)) | 1;
    line_part *lines = aligned_alloc(64, n_lines * 64);
    double best = INFINITY;
    if (!lines)
        return 0;
    memset(lines, 1, n_lines * 64);
    for (int i = 0; i < TRIES; i++) {
        const double start = timing_wall_ns();
        for (int pass = 0; pass < passes; pass++) {
            line_part sum = sweep(lines, n_lines, pass & 1);
            __asm__ volatile("" : : "m"(sum) : "memory");
        }
        best = smaller(best, timing_wall_ns() - start);
    }
    free(lines);
    return (double)n_lines * 64 * passes / best;
}

struct limits limits_measure(const char *isa)
{
    struct limits limits;
    limits.clock_ghz = clock_ghz();
    limits.fma_gflops = fma_gflops(isa);
    return limits;
}
