/* SPDX-License-Identifier: MIT
 *
 * Memory whose last byte lies right before a page that must not be touched: whatever
 * reads or writes beyond it dies there. Needs _DEFAULT_SOURCE.
 */
#ifndef LSTMRUN_TESTS_GUARD_H
#define LSTMRUN_TESTS_GUARD_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/mman.h>
#include <unistd.h>

struct guard {
    unsigned char *base;
    size_t usable, mapped; /* bytes before the guard page; all */
};

/* Room for n_bytes at least; false when the system has no memory for it. */
static inline bool guard_open(struct guard *guard, size_t n_bytes)
{
    const size_t page = (size_t)sysconf(_SC_PAGESIZE);
    guard->usable = (n_bytes + page - 1) / page * page;
    guard->mapped = guard->usable + page;
    guard->base = mmap(NULL, guard->mapped, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    return guard->base != MAP_FAILED &&
           mprotect(guard->base + guard->usable, page, PROT_NONE) == 0;
}

/* The last n_bytes before the guard page. */
static inline void *guard_at_end(const struct guard *guard, size_t n_bytes)
{
    return guard->base + guard->usable - n_bytes;
}

static inline void guard_close(struct guard *guard)
{
    munmap(guard->base, guard->mapped);
}

#endif
