/* SPDX-License-Identifier: MIT
 *
 * The same work on several processors at once, timed from the first start to the last
 * end: what one core reaches alone, two need not reach together.
 */
#ifndef LSTMRUN_BENCH_TOGETHER_H
#define LSTMRUN_BENCH_TOGETHER_H

#include <stdint.h>

typedef void together_work(void *context, unsigned rank);

/* Nanoseconds of the fastest of `tries`, after one that is not timed. Each thread is
 * pinned to a processor of its own, as far as this process may use as many. 0: no
 * threads to be had. */
double together_ns(unsigned threads, unsigned tries, together_work *work, void *context);

#endif
