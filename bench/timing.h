/* SPDX-License-Identifier: MIT
 *
 * Clocks and the statistics of samples.
 */
#ifndef LSTMRUN_BENCH_TIMING_H
#define LSTMRUN_BENCH_TIMING_H

#include <stddef.h>

double timing_wall_ns(void); /* monotonic */
double timing_cpu_ns(void);  /* of all threads of the process */

struct samples {
    double *ns; /* [n] */
    size_t n, cap;
};

struct summary {
    double min, median, p99, max;
};

/* 0: out of memory */
int samples_add(struct samples *samples, double ns);
struct summary samples_summary(struct samples *samples); /* sorts them */

#endif
