/* SPDX-License-Identifier: MIT
 *
 * A worker that answers "clock" with the clock rate, from a chain of multiplications each of which waits for
 * the one before: cycles a step are only worth something with the clock of that very moment.
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
#else
/* Latencies of other processors differ from one to the next. */
enum { CYCLES = 0 };

static void chain(void)
{
}
#endif

/* Cycles a ns, by the fastest of a few tries of about a millisecond in all; 0 where it is not known. */
static double clock_ghz(void)
{
    double best = 0;
    for (int i = 0; i < TRIES && CYCLES > 0; i++) {
        const double start = now_ns();
        chain();
        const double ghz = (double)CYCLES * CHAIN * ROUNDS / (now_ns() - start);
        best = ghz > best ? ghz : best;
    }
    return best;
}

int main(void)
{
    char line[64];
    printf("{\"runtime\": \"clock\"}\n");
    fflush(stdout);
    while (fgets(line, sizeof line, stdin)) {
        const double ghz = strcmp(line, "clock\n") == 0 ? clock_ghz() : 0;
        if (ghz > 0)
            printf("{\"ghz\": %.4f}\n", ghz);
        else
            printf("{\"ghz\": null}\n");
        fflush(stdout);
    }
    return 0;
}
