/* SPDX-License-Identifier: MIT
 *
 * Allocations that fail on command, to walk through every "out of memory". For suites with
 * `failing_malloc` among their dependencies (tests/meson.build): it wraps the allocation functions
 * that the program and the static libraries in it call. The loop of such a test:
 *
 *     for (size_t n = 1;; n++) {
 *         failing_malloc_arm(n);
 *         … do it; all went well or it was refused for lack of memory, and nothing leaks …
 *         if (failing_malloc_disarm() < n)
 *             break;     no n-th allocation was asked for: this time all had to go well
 *     }
 */
#ifndef LSTMRUN_TESTS_FAILING_MALLOC_H
#define LSTMRUN_TESTS_FAILING_MALLOC_H

#include <stddef.h>

/* The n-th allocation from now (1: the next one) fails, those around it do not. */
void failing_malloc_arm(size_t n);

/* Nothing fails any more; returns how many allocations were asked for since arming. */
size_t failing_malloc_disarm(void);

#endif
