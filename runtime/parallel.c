/* SPDX-License-Identifier: MIT
 *
 * Teams by OpenMP, and the barrier inside them.
 */
#define _POSIX_C_SOURCE 200809L
#include "runtime/parallel.h"

#include <sched.h>

#include "runtime/barrier.h"

#ifdef _OPENMP
#include <omp.h>
#endif

#if defined(__x86_64__)
#include <immintrin.h>
#endif

uint32_t parallel_most(void)
{
#ifdef _OPENMP
    const int most = omp_get_thread_limit();
    return most > 1 ? (uint32_t)most : 1;
#else
    return 1;
#endif
}

uint32_t parallel_default(void)
{
#ifdef _OPENMP
    const int threads = omp_get_max_threads();
    const uint32_t most = parallel_most();
    return threads < 2 ? 1 : (uint32_t)threads < most ? (uint32_t)threads : most;
#else
    return 1;
#endif
}

void parallel_run(uint32_t threads, parallel_body *body, void *argument)
{
#ifdef _OPENMP
    if (threads > 1) {
#pragma omp parallel num_threads((int)threads)
        body(argument, (uint32_t)omp_get_thread_num(), (uint32_t)omp_get_num_threads());
        return;
    }
#else
    (void)threads;
#endif
    body(argument, 0, 1);
}

void barrier_init(struct barrier *barrier)
{
    atomic_init(&barrier->arrived, 0);
    atomic_init(&barrier->phase, 0);
}

static void relax(void)
{
#if defined(__x86_64__)
    _mm_pause();
#elif defined(__aarch64__)
    __asm__ volatile("yield");
#endif
}

void barrier_wait(struct barrier *barrier, uint32_t size)
{
    enum { SPINS = 4096 };
    if (size < 2)
        return;
    const unsigned phase = atomic_load_explicit(&barrier->phase, memory_order_relaxed);
    if (atomic_fetch_add_explicit(&barrier->arrived, 1, memory_order_acq_rel) + 1 == size) {
        atomic_store_explicit(&barrier->arrived, 0, memory_order_relaxed);
        atomic_store_explicit(&barrier->phase, phase + 1, memory_order_release);
        return;
    }
    for (unsigned spins = 0;
         atomic_load_explicit(&barrier->phase, memory_order_acquire) == phase; spins++) {
        if (spins < SPINS)
            relax();
        else
            sched_yield();
    }
}
