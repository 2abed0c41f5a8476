/* SPDX-License-Identifier: MIT
 *
 * A barrier for threads that meet every few microseconds: each tells another that it is
 * there, by a flag in a cache line of its own, and waits until it is told. Two threads
 * exchange one flag each way; n threads do so in log2(n) rounds, over twice the distance
 * in each. Waiting spins a little and then yields the processor, so that more threads
 * than cores still move.
 */
#ifndef LSTMRUN_RUNTIME_BARRIER_H
#define LSTMRUN_RUNTIME_BARRIER_H

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

/* Two lines: processors fetch them in pairs. */
struct barrier_flag {
    _Alignas(64) _Atomic uint64_t turn;
    char unused[128 - sizeof(uint64_t)];
};

/* What one thread knows of a barrier. */
struct barrier_seat {
    struct barrier_flag *flags; /* [rounds][threads], shared; 0 at first */
    uint32_t threads;           /* most that can meet */
    uint32_t rank, size;        /* of those that meet now */
    uint64_t turn;              /* meetings so far, in a count that never goes back */
    uint64_t waited_ns;         /* for threads that were late, beyond what spinning lasts */
};

/* Flags that a barrier for so many threads has. */
size_t barrier_flags(uint32_t threads);

void barrier_meet(struct barrier_seat *seat);

/* Returns when all `size` threads have called it with equal turns. What each wrote before is
 * seen by all. A thread may take its seat for another meeting of other threads only when all
 * of the last one have left it. */
static inline void barrier_wait(struct barrier_seat *seat)
{
    if (seat->size > 1)
        barrier_meet(seat);
}

/* One turn of a loop that waits for another core: first the processor's own way to wait, and
 * after so many spins whatever else there is to run. */
enum { BARRIER_SPINS = 4096 };
void barrier_relax(unsigned spins);

#endif
