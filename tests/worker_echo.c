/* SPDX-License-Identifier: MIT
 *
 * A worker (bench/peers) whose runtime only adds up, for worker_check.py: what comes out tells which state
 * set, which row of a batch and which layout the loop gave it. A NaN in the input makes a call fail.
 */
#include "bench/peers/worker.h"

#include <math.h>
#include <stdio.h>

static void *start(struct worker_options *options, char version[64], struct worker_error *error)
{
    snprintf(version, 64, "%u threads", options->threads);
    if (options->isa == NULL)
        return options;
    worker_fail(error, "--isa: nothing to hold here");
    return NULL;
}

static void *echo_open(void *started, struct worker_case *c, struct worker_error *error)
{
    (void)started;
    if (c->inputs == worker_directions(c) * c->units)
        return c;
    worker_fail(error, "%s: as many outputs as inputs", c->dir);
    return NULL;
}

/* h = h + x, c = c + 2 h of every layer; y = h + c of the last. */
static void step(struct worker_case *c, int set)
{
    size_t n = worker_layer_state(c);
    for (size_t i = 0; i < c->layers * n; i++) {
        float h = c->state[set][0][i] + c->input[i % n];
        float sum = c->state[set][1][i] + 2 * h;
        c->state[1 - set][0][i] = h;
        c->state[1 - set][1][i] = sum;
        c->output[i % n] = c->gru ? h : h + sum;
    }
}

static bool run(void *self, int set, struct worker_error *error)
{
    struct worker_case *c = self;
    size_t n = worker_case_inputs_size(c);
    for (size_t i = 0; i < n; i++)
        if (isnan(c->input[i]))
            return worker_fail(error, "number %zu is \"not a number\"", i);
    if (c->steps == 1)
        step(c, set);
    else
        for (size_t i = 0; i < n; i++)
            c->output[i] = (float)i * c->input[i];
    return true;
}

static void echo_close(void *self)
{
    (void)self;
}

const struct worker_runtime worker_runtime = {
    .name = "echo",
    .notes = "adds up",
    .start = start,
    .open = echo_open,
    .run = run,
    .close = echo_close,
};
