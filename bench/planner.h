/* SPDX-License-Identifier: MIT
 *
 * lstmbench --planner: what each case loses by the plan that the cost model chooses.
 */
#ifndef LSTMRUN_BENCH_PLANNER_H
#define LSTMRUN_BENCH_PLANNER_H

#include "bench/job.h"

/* False: a message is on stderr. */
bool planner_cases(const struct job *job);

#endif
