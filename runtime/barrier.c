/* SPDX-License-Identifier: MIT
 *
 * The barrier's rounds, and how to wait for another core.
 */
#define _POSIX_C_SOURCE 200809L
#include "runtime/barrier.h"

#include <sched.h>

#include "runtime/clock.h"

#if defined(__x86_64__)
#include <immintrin.h>
#endif

void barrier_relax(unsigned spins)
{
    if (spins >= BARRIER_SPINS) {
        sched_yield();
        return;
    }
#if defined(__x86_64__)
    _mm_pause();
#elif defined(__aarch64__)
    __asm__ volatile("yield");
#endif
}

size_t barrier_flags(uint32_t threads)
{
    size_t n = 0;
    for (uint32_t reach = 1; reach < threads; reach *= 2)
        n += threads;
    return n;
}

static void wait_for(struct barrier_seat *seat, const struct barrier_flag *flag)
{
    uint64_t since = 0;
    for (unsigned spins = 0;
         atomic_load_explicit(&flag->turn, memory_order_acquire) < seat->turn; spins++) {
        if (spins == BARRIER_SPINS)
            since = clock_ns();
        barrier_relax(spins);
    }
    if (since)
        seat->waited_ns += clock_ns() - since;
}

void barrier_meet(struct barrier_seat *seat)
{
    struct barrier_flag *round = seat->flags;
    seat->turn++;
    for (uint32_t reach = 1; reach < seat->size; reach *= 2, round += seat->threads) {
        const uint32_t told = seat->rank + reach;
        struct barrier_flag *other = &round[told < seat->size ? told : told - seat->size];
        atomic_store_explicit(&other->turn, seat->turn, memory_order_release);
        wait_for(seat, &round[seat->rank]);
    }
}
