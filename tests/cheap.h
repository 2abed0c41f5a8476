/* SPDX-License-Identifier: MIT
 *
 * What refusing a hostile file may cost: a second of the processor, and 256 MiB. Sanitizers take ten times as
 * long, and memory of their own, emulators TESTS_SLOWDOWN times.
 */
#ifndef LSTMRUN_TESTS_CHEAP_H
#define LSTMRUN_TESTS_CHEAP_H

#include <criterion/criterion.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <time.h>

/* Of the processor, in seconds: other programs do not count. */
static inline double cheap_now(void)
{
    return (double)clock() / CLOCKS_PER_SEC;
}

/* What began at `began` was cheap; `what` names it. */
static inline void cheap_expect(double began, const char *what)
{
    const char *quick = getenv("LSTMRUN_QUICK");
    const bool slow = quick && *quick;
    const double spent = cheap_now() - began;
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    cr_expect_lt(spent, 1.0 * TESTS_SLOWDOWN * (slow ? 10 : 1), "%s: took %g s", what, spent);
    cr_expect(slow || usage.ru_maxrss < 256 << 10, "%s: took %ld KiB", what, usage.ru_maxrss);
}

#endif
