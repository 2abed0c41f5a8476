/* SPDX-License-Identifier: MIT
 *
 * The worker of lstmrun itself, through its public header like any application.
 */
#include "bench/peers/worker.h"

#include "runtime/lstmrun.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct native {
    struct worker_case *c;
    lstm_model *model;
    lstm_plan *plan;
    lstm_workspace *workspace;
    lstm_item *items; /* [c->items] */
};

static void *start(struct worker_options *options, char version[64], struct worker_error *error)
{
    snprintf(version, 64, "%s", lstm_version());
    if (options->library == NULL)
        return options;
    worker_fail(error, "--library: this worker is linked with its runtime");
    return NULL;
}

static void native_close(void *self)
{
    struct native *n = self;
    for (uint32_t i = 0; n->items != NULL && i < n->c->items; i++)
        lstm_stream_destroy(n->items[i].stream);
    free(n->items);
    lstm_workspace_destroy(n->workspace);
    lstm_plan_destroy(n->plan);
    lstm_model_close(n->model);
    free(n);
}

static lstm_status make_items(struct native *n)
{
    struct worker_case *c = n->c;
    size_t outputs = (size_t)worker_directions(c) * c->units;
    n->items = calloc(c->items, sizeof *n->items);
    lstm_status status = n->items != NULL ? LSTM_OK : LSTM_E_NOMEM;
    for (uint32_t i = 0; status == LSTM_OK && i < c->items; i++) {
        lstm_item *item = &n->items[i];
        item->input = c->streams ? c->stream[i].input : c->input + (size_t)i * c->steps * c->inputs;
        item->output = c->streams ? c->stream[i].output : c->output + (size_t)i * c->steps * outputs;
        item->steps = c->steps;
        status = lstm_stream_create(n->model, &item->stream);
    }
    return status;
}

/* lstm_run trusts its caller with the sizes of rows. */
static bool check_shape(const struct native *n, const char *path, struct worker_error *error)
{
    const lstm_model_info *info = lstm_model_get_info(n->model);
    size_t inputs = n->c->inputs, outputs = (size_t)worker_directions(n->c) * n->c->units;
    return (info->input.size == inputs && info->output.size == outputs) ||
           worker_fail(error, "%s: %zu inputs and %zu outputs, expected %zu and %zu", path, info->input.size,
                       info->output.size, inputs, outputs);
}

static bool build(struct native *n, const struct worker_options *asked, struct worker_error *error)
{
    struct worker_case *c = n->c;
    lstm_plan_options options = LSTM_PLAN_OPTIONS_INIT;
    options.threads = asked->threads;
    options.isa = asked->isa;
    options.items = c->items;
    options.steps = c->steps;
    char path[4200];
    lstm_error why = {.status = LSTM_OK};
    if (!worker_path(c, "model.bin", path, sizeof path, error))
        return false;
    lstm_status status = lstm_model_open(path, &n->model, &why);
    if (status == LSTM_OK && !check_shape(n, path, error))
        return false;
    if (status == LSTM_OK)
        status = lstm_plan_create(n->model, &options, &n->plan, &why);
    if (status == LSTM_OK)
        status = lstm_workspace_create(n->plan, c->items, c->steps, &n->workspace, &why);
    if (status == LSTM_OK)
        status = make_items(n);
    return status == LSTM_OK ||
           worker_fail(error, "%s: %s", path, why.text[0] != '\0' ? why.text : lstm_status_text(status));
}

static void *native_open(void *started, struct worker_case *c, struct worker_error *error)
{
    struct native *n = calloc(1, sizeof *n);
    if (n == NULL) {
        worker_fail(error, "out of memory");
        return NULL;
    }
    n->c = c;
    if (!build(n, started, error)) {
        native_close(n);
        return NULL;
    }
    fprintf(stderr, "%s", lstm_plan_get_text(n->plan));
    return n;
}

static void reset(void *self)
{
    struct native *n = self;
    for (uint32_t i = 0; i < n->c->items; i++)
        lstm_stream_reset(n->model, n->items[i].stream);
}

static bool run(void *self, int set, struct worker_error *error)
{
    struct native *n = self;
    (void)set; /* streams keep their states */
    if (n->c->steps > 1)
        reset(n);
    lstm_status status = lstm_run(n->plan, n->workspace, n->items, n->c->items);
    return status == LSTM_OK || worker_fail(error, "lstm_run: %s", lstm_status_text(status));
}

const struct worker_runtime worker_runtime = {
    .name = "lstmrun",
    .notes = "C API; one lstm_item per sequence or stream; the plan knows items and steps",
    .item_major = true,
    .own_streams = true,
    .start = start,
    .open = native_open,
    .reset = reset,
    .run = run,
    .close = native_close,
};
