/* SPDX-License-Identifier: MIT
 *
 * Time for those who wait for another thread. A file that includes this first defines
 * _POSIX_C_SOURCE.
 */
#ifndef LSTMRUN_RUNTIME_CLOCK_H
#define LSTMRUN_RUNTIME_CLOCK_H

#include <stdint.h>
#include <time.h>

/* Nanoseconds from some fixed moment; never goes back. */
static inline uint64_t clock_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

#endif
