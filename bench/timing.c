/* SPDX-License-Identifier: MIT
 *
 * Clocks and the statistics of samples.
 */
#define _POSIX_C_SOURCE 200809L
#include "bench/timing.h"

#include <stdlib.h>
#include <time.h>

static double clock_ns(clockid_t clock)
{
    struct timespec now;
    clock_gettime(clock, &now);
    return (double)now.tv_sec * 1e9 + (double)now.tv_nsec;
}

double timing_wall_ns(void)
{
    return clock_ns(CLOCK_MONOTONIC);
}

double timing_cpu_ns(void)
{
    return clock_ns(CLOCK_PROCESS_CPUTIME_ID);
}

int samples_add(struct samples *samples, double ns)
{
    if (samples->n == samples->cap) {
        const size_t cap = samples->cap ? 2 * samples->cap : 256;
        double *more = realloc(samples->ns, cap * sizeof *more);
        if (!more)
            return 0;
        samples->ns = more;
        samples->cap = cap;
    }
    samples->ns[samples->n++] = ns;
    return 1;
}

static int ascending(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

struct summary samples_summary(struct samples *samples)
{
    const size_t n = samples->n;
    struct summary summary = {0, 0, 0, 0};
    if (!n)
        return summary;
    qsort(samples->ns, n, sizeof *samples->ns, ascending);
    summary.min = samples->ns[0];
    summary.median = samples->ns[n / 2];
    summary.p99 = samples->ns[(n * 99) / 100];
    summary.max = samples->ns[n - 1];
    return summary;
}
