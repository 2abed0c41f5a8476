/* SPDX-License-Identifier: MIT
 *
 * Teams of threads. The only file that knows OpenMP; without it a team is one thread.
 */
#ifndef LSTMRUN_RUNTIME_PARALLEL_H
#define LSTMRUN_RUNTIME_PARALLEL_H

#include <stdint.h>

typedef void parallel_body(void *argument, uint32_t rank, uint32_t size);

/* Call `body` from `threads` threads at once, or from as many as there are to be had:
 * `size` tells. Returns when all have. */
void parallel_run(uint32_t threads, parallel_body *body, void *argument);

/* Threads that the process is set up for (OMP_NUM_THREADS, processors), and the most it
 * allows (OMP_THREAD_LIMIT). Both 1 without OpenMP. */
uint32_t parallel_default(void);
uint32_t parallel_most(void);

#endif
