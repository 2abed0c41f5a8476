/* SPDX-License-Identifier: MIT
 *
 * What one core can do at the most, measured: the yardstick beside each figure.
 */
#ifndef LSTMRUN_BENCH_MACHINE_LIMITS_H
#define LSTMRUN_BENCH_MACHINE_LIMITS_H

#include <stddef.h>

struct limits {
    double clock_ghz;    /* from a chain of dependent multiplications */
    double fma_gflops;   /* from registers, at the level of the plan's instruction set */
};

/* `isa` as lstm_plan_get_isa names it. */
struct limits limits_measure(const char *isa);

/* GB/s of reading `n_bytes` again and again in alternating direction. 0 if there is no memory. */
double limits_read_gbs(size_t n_bytes);

#endif
