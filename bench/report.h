/* SPDX-License-Identifier: MIT
 *
 * Timing cases and reporting each beside what the machine allows.
 */
#ifndef LSTMRUN_BENCH_REPORT_H
#define LSTMRUN_BENCH_REPORT_H

#include "bench/job.h"

/* False: a message is on stderr. */
bool report_cases(const struct job *job);

#endif
