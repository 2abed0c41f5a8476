/* SPDX-License-Identifier: MIT
 *
 * A progress bar on stderr, when that is a terminal and the work takes over a second.
 * Also the clock of the tools.
 */
#ifndef LSTMRUN_TOOLS_PROGRESS_H
#define LSTMRUN_TOOLS_PROGRESS_H

#include <stdbool.h>
#include <stddef.h>

double clock_wall(void); /* seconds since some moment */
double clock_cpu(void);  /* processor seconds of this process, all threads */

struct progress {
    bool enabled, drawn;
    double start, last;
};

struct progress progress_begin(bool wanted);

/* `fraction` done, or negative if the end is not known; `steps` done. */
void progress_update(struct progress *progress, double fraction, size_t steps);

/* Take the bar away. */
void progress_end(struct progress *progress);

#endif
