/* SPDX-License-Identifier: MIT
 *
 * A worker that answers "clock" with the clock rate, from a chain of multiplications each of which waits for
 * the one before: cycles a step are only worth something with the clock of that very moment. And with how
 * many instructions that do nothing it gets through in a cycle: about half as many as else while the other
 * thread of its core is busy, be it with another guest of the host or with this program's twin on what the
 * system believes to be another core.
 */
#define _POSIX_C_SOURCE 199309L
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

enum { CHAIN = 16, ROUNDS = 20000, TRIES = 5 };

static double now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return 1e9 * (double)now.tv_sec + (double)now.tv_nsec;
}

#if defined(__x86_64__)
/* A 64-bit imul takes 3 cycles on all x86-64 processors of Intel since 2008 and of AMD since 2017. */
enum { CYCLES = 3 };

static void chain(void)
{
    uint64_t x = 3;
    for (int i = 0; i < ROUNDS; i++)
        __asm__ volatile(".rept %c1\n\timul %0, %0\n\t.endr" : "+r"(x) : "i"(CHAIN));
}

static void crowd(void)
{
    for (int i = 0; i < ROUNDS; i++)
        __asm__ volatile(".rept %c0\n\tnopl (%%rax)\n\t.endr" : : "i"(CHAIN));
}
#else
/* Latencies of other processors differ from one to the next. */
enum { CYCLES = 0 };

static void chain(void)
{
}

static void crowd(void)
{
}
#endif

/* Instructions a ns, by the fastest of a few tries of about a millisecond in all. */
static double best_rate(void (*work)(void))
{
    double best = 0;
    for (int i = 0; i < TRIES; i++) {
        const double start = now_ns();
        work();
        const double rate = (double)CHAIN * ROUNDS / (now_ns() - start);
        best = rate > best ? rate : best;
    }
    return best;
}

int main(void)
{
    char line[64];
    double best_ghz = 0; /* a chain that was interrupted each time would make the core look wide */
    printf("{\"runtime\": \"clock\"}\n");
    fflush(stdout);
    while (fgets(line, sizeof line, stdin)) {
        const double ghz = CYCLES > 0 && strcmp(line, "clock\n") == 0 ? CYCLES * best_rate(chain) : 0;
        best_ghz = ghz > best_ghz ? ghz : best_ghz;
        if (ghz > 0)
            printf("{\"ghz\": %.4f, \"width\": %.3f}\n", ghz, best_rate(crowd) / best_ghz);
        else
            printf("{\"ghz\": null}\n");
        fflush(stdout);
    }
    return 0;
}
