/* SPDX-License-Identifier: MIT
 *
 * The linker's --wrap, as in failing_malloc.c.
 */
#include "tests/failing_threads.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>

int __real_pthread_create(pthread_t *thread, const pthread_attr_t *attributes,
                          void *(*body)(void *), void *argument);
int __wrap_pthread_create(pthread_t *thread, const pthread_attr_t *attributes,
                          void *(*body)(void *), void *argument);

static atomic_size_t left;

void failing_threads_arm(size_t n)
{
    atomic_store(&left, n);
}

int __wrap_pthread_create(pthread_t *thread, const pthread_attr_t *attributes,
                          void *(*body)(void *), void *argument)
{
    if (atomic_load(&left) > 0 && atomic_fetch_sub(&left, 1) == 1)
        return EAGAIN;
    return __real_pthread_create(thread, attributes, body, argument);
}
