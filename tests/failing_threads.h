/* SPDX-License-Identifier: MIT
 *
 * pthread_create that fails on command, for suites with `failing_threads` among their
 * dependencies (tests/meson.build): it wraps the calls from the program and its static libraries.
 */
#ifndef LSTMRUN_TESTS_FAILING_THREADS_H
#define LSTMRUN_TESTS_FAILING_THREADS_H

#include <stddef.h>

/* The n-th thread from now (1: the next one) cannot be made; 0: all can. */
void failing_threads_arm(size_t n);

#endif
