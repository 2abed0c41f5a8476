/* SPDX-License-Identifier: MIT
 *
 * --plan=measure: what the planner chose and what it rejected, timed side by side.
 */
#ifndef LSTMRUN_TOOLS_PLAN_MEASURE_H
#define LSTMRUN_TOOLS_PLAN_MEASURE_H

#include "tools/session.h"

/* Print a table of all candidates for runs of the session's plan. False: a message is on stderr. */
bool plan_measure(const struct session *session);

#endif
