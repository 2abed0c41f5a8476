/* SPDX-License-Identifier: MIT
 *
 * Fuzz target: from a model file's bytes to a run. What opens and is small enough
 * gets a plan on every instruction set; all must give the same bits, for a batch and
 * frame by frame, whatever the weights are.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/lstmrun.h"
#include "tests/fuzz/seal.h"
#include "tests/session.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { STEPS = 4, ITEMS = 2, MAX_FLOATS = 1 << 14, MAX_FLOPS = 1 << 21 };

static void demand(bool holds, const char *what, const char *detail)
{
    if (!holds) {
        fprintf(stderr, "fuzz_run: %s: %s\n", what, detail);
        abort();
    }
}

/* What a run of STEPS steps leaves behind. */
struct result {
    size_t n_output, n_states;
    float *output, *states;
};

static struct result result_make(const lstm_model *model)
{
    const lstm_model_info *info = lstm_model_get_info(model);
    struct result r = {.n_output = lstm_model_get_output_steps(model, STEPS) * info->output.size,
                       .n_states = info->state_floats};
    r.output = test_floats(r.n_output);
    r.states = test_floats(r.n_states);
    return r;
}

static void result_free(struct result *r)
{
    free(r->output);
    free(r->states);
}

static void demand_same(const struct result *a, const struct result *b, const char *isa)
{
    size_t where;
    demand(test_same_bits(a->output, b->output, a->n_output, &where), "outputs differ", isa);
    demand(test_same_bits(a->states, b->states, a->n_states, &where), "states differ", isa);
}

static bool small_enough(const lstm_model *model)
{
    const lstm_model_info *info = lstm_model_get_info(model);
    lstm_layer_info layer;
    if (info->least_steps > STEPS || info->n_layers > 64 || info->input.size > MAX_FLOATS ||
        info->state_floats > MAX_FLOATS || info->flops_per_step > MAX_FLOPS)
        return false;
    for (uint32_t i = 0; i < info->n_layers; i++) {
        demand(lstm_model_get_layer(model, i, &layer) == LSTM_OK, "no layer", "");
        if (layer.output.size > MAX_FLOATS)
            return false;
    }
    return true;
}

/* Symbols as well as numbers, some of them out of any table's range. */
static void fill_input(float *input, size_t n)
{
    for (size_t j = 0; j < n; j++)
        input[j] = j % 3 ? (float)(j % 7) - 1 : 0.37f * (float)(j % 11) - 2;
}

static void run_batch(const struct session *s, const float *input, struct result *results)
{
    lstm_item items[ITEMS];
    for (size_t i = 0; i < ITEMS; i++)
        items[i] = (lstm_item){.stream = session_stream(s), .input = input,
                               .output = results[i].output, .steps = STEPS};
    session_run_items(s, items, ITEMS);
    for (size_t i = 0; i < ITEMS; i++) {
        session_get_states(s, items[i].stream, results[i].states);
        lstm_stream_destroy(items[i].stream);
    }
}

static void run_frames(const struct session *s, const float *input, struct result *result)
{
    lstm_stream *stream = session_stream(s);
    for (size_t t = 0; t < STEPS; t++)
        session_run(s, stream, input + t * s->n_in, 1, result->output + t * s->n_out);
    session_get_states(s, stream, result->states);
    lstm_stream_destroy(stream);
}

static void check_isa(const struct test_model *source, const char *isa, const float *input,
                      const struct result *expected)
{
    lstm_plan_options options = LSTM_PLAN_OPTIONS_INIT;
    options.isa = isa;
    struct session s = session_open(source, &options, ITEMS, STEPS);
    const lstm_model_info *info = lstm_model_get_info(s.model);
    struct result results[ITEMS] = {result_make(s.model), result_make(s.model)};
    run_batch(&s, input, results);
    demand_same(&results[0], expected, isa);
    demand_same(&results[1], expected, isa);
    if (info->streams) {
        run_frames(&s, input, &results[0]);
        demand_same(&results[0], expected, "frame by frame");
    }
    result_free(&results[0]);
    result_free(&results[1]);
    session_close(&s);
}

static void check_runs(const struct test_model *source, const lstm_model *model)
{
    const lstm_model_info *info = lstm_model_get_info(model);
    float *input = test_floats(STEPS * info->input.size);
    fill_input(input, STEPS * info->input.size);
    struct result expected[ITEMS] = {result_make(model), result_make(model)};
    lstm_plan_options options = LSTM_PLAN_OPTIONS_INIT;
    options.isa = "scalar";
    struct session s = session_open(source, &options, ITEMS, STEPS);
    run_batch(&s, input, expected);
    session_close(&s);
    for (size_t i = 0; test_isa_names[i]; i++)
        if (test_has_isa(source, test_isa_names[i]))
            check_isa(source, test_isa_names[i], input, &expected[0]);
    result_free(&expected[0]);
    result_free(&expected[1]);
    free(input);
}

static void open_once(uint8_t *bytes, size_t size)
{
    struct test_model source = {.bytes = bytes, .n_bytes = size, .text = "fuzz"};
    lstm_model *model = NULL;
    lstm_error error = {0};
    lstm_status status = lstm_model_open_memory(bytes, size, &model, &error);
    demand((status == LSTM_OK) == (model != NULL), "status and model disagree", error.text);
    if (status != LSTM_OK) {
        demand(error.status == status && error.text[0], "no sentence", lstm_status_text(status));
        demand(error.offset <= size, "an offset beyond the file", error.text);
        return;
    }
    if (small_enough(model))
        check_runs(&source, model);
    lstm_model_close(model);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    uint8_t *copy = malloc(size ? size : 1);
    demand(copy != NULL, "no memory for the fuzzer itself", "");
    if (size)
        memcpy(copy, data, size);
    if (size >= 128)
        seal(copy, size);
    open_once(copy, size);
    free(copy);
    return 0;
}
