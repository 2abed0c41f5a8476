/* SPDX-License-Identifier: MIT
 *
 * The library in one call for tests.
 */
#include "tests/session.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const char *const test_isa_names[] = {"avx512", "avx2", "neon", "scalar", NULL};

static void must(lstm_status status, const struct session *session, const char *what,
                 const lstm_error *error)
{
    if (status == LSTM_OK)
        return;
    fprintf(stderr, "%s: %s: %s%s%s\n", session->source->text, what, lstm_status_text(status),
            error ? ": " : "", error ? error->text : "");
    abort();
}

struct session session_open(const struct test_model *source, const lstm_plan_options *options,
                            size_t items, size_t steps)
{
    struct session s = {.source = source};
    lstm_error error;
    must(lstm_model_open_memory(source->bytes, source->n_bytes, &s.model, &error), &s, "open", &error);
    must(lstm_plan_create(s.model, options, &s.plan, &error), &s, "plan", &error);
    must(lstm_workspace_create(s.plan, items, steps, &s.workspace, &error), &s, "workspace", &error);
    const lstm_model_info *info = lstm_model_get_info(s.model);
    s.n_in = info->input.size;
    s.n_out = info->output.size;
    s.n_states = info->state_floats;
    s.once = info->output_once;
    return s;
}

void session_close(struct session *s)
{
    lstm_workspace_destroy(s->workspace);
    lstm_plan_destroy(s->plan);
    lstm_model_close(s->model);
    *s = (struct session){0};
}

lstm_stream *session_stream(const struct session *s)
{
    lstm_stream *stream;
    must(lstm_stream_create(s->model, &stream), s, "stream", NULL);
    return stream;
}

size_t session_frames(const struct session *s, size_t steps)
{
    return lstm_model_get_output_steps(s->model, steps);
}

static void copy_states(const struct session *s, lstm_stream *stream, float *row, int set)
{
    size_t used = 0;
    for (uint32_t layer = 0; layer < lstm_model_get_info(s->model)->n_layers; layer++)
        for (uint32_t which = 0; which < 4; which++) {
            size_t n;
            float *state = lstm_stream_get_state(s->model, stream, layer, which / 2,
                                                 which % 2 ? LSTM_STATE_C : LSTM_STATE_H, &n);
            if (n)
                memcpy(set ? state : row + used, set ? row + used : state, n * sizeof *row);
            used += n;
        }
    if (used != s->n_states) {
        fprintf(stderr, "%s: %zu states reached of %zu\n", s->source->text, used, s->n_states);
        abort();
    }
}

void session_get_states(const struct session *s, lstm_stream *stream, float *out)
{
    copy_states(s, stream, out, 0);
}

void session_set_states(const struct session *s, lstm_stream *stream, const float *states)
{
    copy_states(s, stream, (float *)states, 1);
}

void session_run_items(const struct session *s, const lstm_item *items, size_t n_items)
{
    must(lstm_run(s->plan, s->workspace, items, n_items), s, "run", NULL);
}

void session_run(const struct session *s, lstm_stream *stream, const float *input, size_t steps,
                 float *output)
{
    lstm_item item = {.stream = stream, .input = input, .output = output, .steps = steps};
    session_run_items(s, &item, 1);
}

uint32_t test_rounds(uint32_t n)
{
    const char *quick = getenv("LSTMRUN_QUICK");
    return quick && *quick ? (n + 4) / 5 : n;
}

float *test_floats(size_t n)
{
    float *out = calloc(n ? n : 1, sizeof *out);
    if (!out) {
        fputs("test: out of memory\n", stderr);
        abort();
    }
    return out;
}

int test_same_bits(const float *a, const float *b, size_t n, size_t *where)
{
    for (size_t j = 0; j < n; j++)
        if (memcmp(&a[j], &b[j], sizeof *a) != 0 && !(isnan(a[j]) && isnan(b[j]))) {
            *where = j;
            return 0;
        }
    return 1;
}

static int can_plan(const struct test_model *source, const lstm_plan_options *options)
{
    lstm_model *model;
    lstm_plan *plan = NULL;
    if (lstm_model_open_memory(source->bytes, source->n_bytes, &model, NULL) != LSTM_OK)
        abort();
    lstm_status status = lstm_plan_create(model, options, &plan, NULL);
    lstm_plan_destroy(plan);
    lstm_model_close(model);
    return status == LSTM_OK;
}

int test_has_isa(const struct test_model *source, const char *isa)
{
    lstm_plan_options options = LSTM_PLAN_OPTIONS_INIT;
    options.isa = isa;
    return can_plan(source, &options);
}

int test_has_threads(const struct test_model *source)
{
    lstm_plan_options options = LSTM_PLAN_OPTIONS_INIT;
    options.threads = 2;
    options.split = "team";
    return can_plan(source, &options);
}
