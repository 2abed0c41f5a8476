/* SPDX-License-Identifier: MIT
 *
 * One thing to time: a model, a plan for a shape of runs, and everything a run needs.
 */
#ifndef LSTMRUN_BENCH_CASE_H
#define LSTMRUN_BENCH_CASE_H

#include <stdint.h>

#include "bench/timing.h"
#include "runtime/lstmrun.h"

struct case_options {
    uint32_t threads;
    const char *isa;
    size_t items, steps;
    const char *split; /* as lstm_plan_options has it */
};

struct bench_case {
    char name[256];
    void *bytes; /* the model file if it was made here, else NULL */
    lstm_model *model;
    lstm_plan *plan;
    lstm_workspace *workspace;
    lstm_stream **streams; /* [items] */
    lstm_item *items;      /* [n_items] */
    float *input, *output;
    size_t n_items, steps, output_floats;
    double open_ns, plan_ns;
    size_t calls;          /* runs in one sample, so that a sample is long enough to time */
    struct samples samples; /* wall time of one run */
    double cpu_ns, wall_ns; /* of all samples together */
    int bits;               /* 1: equal to the scalar level, bit for bit; 0: not; -1: not compared */
};

/* Open `path`, or a model made for the problem word `path`. False: a message is on stderr. */
int case_open(struct bench_case *bench, const char *path, int is_problem,
              const struct case_options *options);
void case_close(struct bench_case *bench);

/* Compare a few steps with the scalar level. False: a message is on stderr. */
int case_check(struct bench_case *bench);

/* Take samples for about `ns`. */
void case_time(struct bench_case *bench, double ns);

#endif
