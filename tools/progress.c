/* SPDX-License-Identifier: MIT
 *
 * The progress bar and the clock, see progress.h.
 */
#define _POSIX_C_SOURCE 200809L

#include "tools/progress.h"

#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { BAR_WIDTH = 40 };

static const double patience = 1.0; /* seconds before the bar shows */
static const double refresh = 0.1;

static double seconds(clockid_t clock)
{
    struct timespec now;
    clock_gettime(clock, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

double clock_wall(void)
{
    return seconds(CLOCK_MONOTONIC);
}

double clock_cpu(void)
{
    return seconds(CLOCK_PROCESS_CPUTIME_ID);
}

struct progress progress_begin(bool wanted)
{
    double now = clock_wall();
    return (struct progress){.enabled = wanted && isatty(STDERR_FILENO), .start = now, .last = now};
}

void progress_update(struct progress *progress, double fraction, size_t steps)
{
    if (!progress->enabled)
        return;
    double now = clock_wall(), spent = now - progress->start;
    if (spent < patience || now - progress->last < refresh)
        return;
    progress->last = now;
    progress->drawn = true;
    if (fraction < 0) {
        fprintf(stderr, "\r\033[K%zu steps, %.0f s", steps, spent);
    } else {
        char bar[BAR_WIDTH + 1];
        int full = (int)(fraction * BAR_WIDTH);
        memset(bar, '.', BAR_WIDTH);
        memset(bar, '#', (size_t)(full > BAR_WIDTH ? BAR_WIDTH : full));
        bar[BAR_WIDTH] = '\0';
        fprintf(stderr, "\r\033[K[%s] %3.0f %%, %.0f s left", bar, 100 * fraction,
                fraction > 0 ? spent * (1 - fraction) / fraction : 0.0);
    }
    fflush(stderr);
}

void progress_end(struct progress *progress)
{
    if (progress->drawn)
        fputs("\r\033[K", stderr);
    progress->drawn = false;
}
