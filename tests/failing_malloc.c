/* SPDX-License-Identifier: MIT
 *
 * The linker's --wrap=f sends calls of f to __wrap_f and those of __real_f to f. The counter is the one
 * thing here that must be global: the C library's interface has no place for a context.
 */
#include "tests/failing_malloc.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

void *__real_malloc(size_t size);
void *__real_calloc(size_t count, size_t size);
void *__real_realloc(void *old, size_t size);
void *__real_aligned_alloc(size_t alignment, size_t size);
int __real_posix_memalign(void **out, size_t alignment, size_t size);

void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t count, size_t size);
void *__wrap_realloc(void *old, size_t size);
void *__wrap_aligned_alloc(size_t alignment, size_t size);
int __wrap_posix_memalign(void **out, size_t alignment, size_t size);

static atomic_size_t asked;
static atomic_size_t failing = SIZE_MAX;

void failing_malloc_arm(size_t n)
{
    atomic_store(&asked, 0);
    atomic_store(&failing, n);
}

size_t failing_malloc_disarm(void)
{
    atomic_store(&failing, SIZE_MAX);
    return atomic_load(&asked);
}

static bool must_fail(void)
{
    if (atomic_fetch_add(&asked, 1) + 1 != atomic_load(&failing))
        return false;
    errno = ENOMEM;
    return true;
}

void *__wrap_malloc(size_t size)
{
    return must_fail() ? NULL : __real_malloc(size);
}

void *__wrap_calloc(size_t count, size_t size)
{
    return must_fail() ? NULL : __real_calloc(count, size);
}

void *__wrap_realloc(void *old, size_t size)
{
    return must_fail() ? NULL : __real_realloc(old, size);
}

void *__wrap_aligned_alloc(size_t alignment, size_t size)
{
    return must_fail() ? NULL : __real_aligned_alloc(alignment, size);
}

int __wrap_posix_memalign(void **out, size_t alignment, size_t size)
{
    return must_fail() ? ENOMEM : __real_posix_memalign(out, alignment, size);
}
