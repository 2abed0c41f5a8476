/* SPDX-License-Identifier: MIT
 *
 * What the command line of lstmbench asks for, and where its figures go.
 */
#ifndef LSTMRUN_BENCH_JOB_H
#define LSTMRUN_BENCH_JOB_H

#include <jansson.h>
#include <stdbool.h>

#include "bench/case.h"

enum { MAX_CASES = 256 };

struct job {
    struct case_options options;
    const char *names[MAX_CASES];
    char is_problem[MAX_CASES];
    size_t n;
    double seconds;   /* for each case in all */
    unsigned rounds;
    const char *json; /* NULL: none; "-": standard output */
    bool check, limits, planner;
    char *lines;      /* text of --shapes */
};

/* Whether figures are printed for a person: not where JSON takes standard output. */
bool job_prints(const struct job *job);

/* Write `figures`, if JSON is asked for, whole or not at all, and release it. False: a message is on
 * stderr. */
bool job_write_json(const struct job *job, json_t *figures);

#endif
