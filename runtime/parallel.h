/* SPDX-License-Identifier: MIT
 *
 * Threads by OpenMP, for shares of a batch, and OpenMP's limits, for all. The only file that
 * knows it; without it there is one thread.
 */
#ifndef LSTMRUN_RUNTIME_PARALLEL_H
#define LSTMRUN_RUNTIME_PARALLEL_H

#include <stdbool.h>
#include <stdint.h>

typedef void parallel_body(void *argument, uint32_t rank, uint32_t size);

/* Call `body` from `threads` threads at once, or from as many as there are to be had:
 * `size` tells. Returns when all have. */
void parallel_run(uint32_t threads, parallel_body *body, void *argument);

/* Threads that the process is set up for (OMP_NUM_THREADS, processors), and the most it
 * allows (OMP_THREAD_LIMIT). Both 1 without OpenMP. */
uint32_t parallel_default(void);
uint32_t parallel_most(void);

/* The caller is inside of a parallel region that must not hold another one. */
bool parallel_nested(void);

#endif
