/* SPDX-License-Identifier: MIT
 *
 * A barrier for a handful of threads that meet every few microseconds. Waiting spins
 * a little and then yields the processor, so that more threads than cores still move.
 */
#ifndef LSTMRUN_RUNTIME_BARRIER_H
#define LSTMRUN_RUNTIME_BARRIER_H

#include <stdatomic.h>
#include <stdint.h>

struct barrier {
    _Alignas(64) atomic_uint arrived;
    _Alignas(64) atomic_uint phase;
};

void barrier_init(struct barrier *barrier);

/* Returns when `size` threads have called it. What each wrote before is seen by all. */
void barrier_wait(struct barrier *barrier, uint32_t size);

#endif
