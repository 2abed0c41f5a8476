/* SPDX-License-Identifier: MIT
 *
 * Processors of threads, by the system's means.
 */
#define _GNU_SOURCE
#include "runtime/processor.h"

#if defined(__linux__)

#include <pthread.h>
#include <sched.h>
#include <stddef.h>

int processor_current(void)
{
    return sched_getcpu();
}

bool processor_avoid(int processor)
{
    cpu_set_t all, others;
    if (processor < 0 || sched_getcpu() != processor ||
        pthread_getaffinity_np(pthread_self(), sizeof all, &all) != 0)
        return true;
    others = all;
    CPU_CLR((size_t)processor, &others);
    if (CPU_COUNT(&others) == 0)
        return false;
    if (pthread_setaffinity_np(pthread_self(), sizeof others, &others) == 0)
        pthread_setaffinity_np(pthread_self(), sizeof all, &all);
    return true;
}

#else

int processor_current(void)
{
    return -1;
}

bool processor_avoid(int processor)
{
    (void)processor;
    return true;
}

#endif
