/* SPDX-License-Identifier: MIT
 *
 * The oneDNN backend: agrees with ours to rounding, in every shape of run, and refuses by
 * name what it cannot do. Only in builds that have it.
 */
#include <criterion/criterion.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/session.h"

enum { MAX_ITEMS = 7, MAX_STEPS = 13 };

static lstm_plan_options with_onednn(uint32_t threads)
{
    lstm_plan_options options = LSTM_PLAN_OPTIONS_INIT;
    options.backend = "onednn";
    options.threads = threads;
    options.items = 3;
    options.steps = 5;
    return options;
}

static struct test_model recurrent_model(uint64_t seed, struct rnn_spec spec, uint32_t width)
{
    struct rng rng = {seed};
    struct model_builder *builder = model_builder_create();
    char text[64];
    snprintf(text, sizeof text, "type %u h%u c%u", (unsigned)spec.type, (unsigned)spec.hidden,
             (unsigned)width);
    model_set_input(builder, "", 1, &width);
    build_dense(builder, &rng, build_recurrent(builder, &rng, 0, &spec), 3, MODEL_ACT_TANH, true);
    return test_model_finish(builder, text);
}

/* The sentence that asking for oneDNN with this model is refused with; empty: it is not. */
static lstm_error refusal(const struct test_model *source)
{
    lstm_error error = {0};
    lstm_model *model = NULL;
    lstm_plan *plan = NULL;
    const lstm_plan_options options = with_onednn(1);
    cr_assert_eq(lstm_model_open_memory(source->bytes, source->n_bytes, &model, &error), LSTM_OK);
    memset(&error, 0, sizeof error);
    if (lstm_plan_create(model, &options, &plan, &error) != LSTM_OK)
        cr_assert(error.text[0] && !plan);
    lstm_plan_destroy(plan);
    lstm_model_close(model);
    return error;
}

/* Ragged items, one of no steps, in one call; then one frame more each. */
static void run_both_parts(const struct session *s, const float *input, float *output, float *states)
{
    size_t lengths[MAX_ITEMS] = {5, MAX_STEPS - 1, 0, 5, 1, 2, 5};
    const size_t in = MAX_STEPS * s->n_in, out = MAX_STEPS * s->n_out;
    const bool streams = lstm_model_get_info(s->model)->streams;
    const size_t least = lstm_model_get_info(s->model)->least_steps;
    lstm_item items[MAX_ITEMS];
    for (size_t i = 0; i < MAX_ITEMS; i++)
        lengths[i] = lengths[i] && lengths[i] < least ? least : lengths[i];
    for (size_t i = 0; i < MAX_ITEMS; i++)
        items[i] = (lstm_item){session_stream(s), input + i * in, output + i * out, lengths[i], 0, 0};
    session_run_items(s, items, MAX_ITEMS);
    for (size_t i = 0; streams && i < MAX_ITEMS; i++) {
        items[i].input += lengths[i] * s->n_in;
        items[i].output += lengths[i] * s->n_out;
        items[i].steps = 1;
    }
    if (streams)
        session_run_items(s, items, MAX_ITEMS);
    for (size_t i = 0; i < MAX_ITEMS; i++) {
        session_get_states(s, items[i].stream, states + i * s->n_states);
        lstm_stream_destroy(items[i].stream);
    }
}

static double largest_difference(const float *a, const float *b, size_t n)
{
    double largest = 0;
    for (size_t i = 0; i < n; i++)
        largest = fmax(largest, fabs((double)a[i] - (double)b[i]));
    return largest;
}

static void compare_both(struct test_model model, uint32_t threads)
{
    struct rng rng = {model.n_bytes};
    const lstm_plan_options options = with_onednn(threads);
    struct session ours = session_open(&model, NULL, MAX_ITEMS, MAX_STEPS);
    struct session theirs = session_open(&model, &options, MAX_ITEMS, MAX_STEPS);
    const size_t n_out = MAX_ITEMS * MAX_STEPS * ours.n_out, n_states = MAX_ITEMS * ours.n_states;
    float *input = test_floats(MAX_ITEMS * MAX_STEPS * ours.n_in);
    float *output[2] = {test_floats(n_out), test_floats(n_out)};
    float *states[2] = {test_floats(n_states), test_floats(n_states)};
    random_input(&rng, &model, MAX_ITEMS * MAX_STEPS, input);
    run_both_parts(&ours, input, output[0], states[0]);
    run_both_parts(&theirs, input, output[1], states[1]);
    cr_assert_lt(largest_difference(output[0], output[1], n_out), 5e-6, "%s", model.text);
    cr_assert_lt(largest_difference(states[0], states[1], n_states), 5e-6, "%s", model.text);
    cr_assert(strstr(lstm_plan_get_text(theirs.plan), "backend  onednn"), "%s",
              lstm_plan_get_text(theirs.plan));
    for (int i = 0; i < 2; i++) {
        free(output[i]);
        free(states[i]);
    }
    free(input);
    session_close(&ours);
    session_close(&theirs);
    test_model_free(&model);
}

static void compare(struct rnn_spec spec, uint32_t width, uint32_t threads)
{
    compare_both(recurrent_model(spec.hidden + width, spec, width), threads);
}

Test(onednn, agrees_with_ours)
{
    static const uint32_t sizes[] = {1, 3, 5, 12, 20, 40, 64};
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++)
        for (uint32_t direction = MODEL_FORWARD; direction <= MODEL_BIDIRECTIONAL; direction++) {
            struct rnn_spec spec = {.type = MODEL_LSTM, .hidden = sizes[i], .direction = direction,
                                    .bias = i % 2, .initial = true};
            compare(spec, 1 + 7 * (uint32_t)i, 1 + i % 2);
            spec.type = MODEL_GRU;
            compare(spec, 1 + 7 * (uint32_t)i, 1);
            spec.reset_after = true;
            spec.bias = true;
            compare(spec, 1 + 7 * (uint32_t)i, 2);
        }
}

/* Behind convolutions that leave fewer steps each item is as long as they leave it. */
static struct test_model paced_model(uint64_t seed, uint32_t direction)
{
    struct rng rng = {seed};
    struct model_builder *builder = model_builder_create();
    const uint32_t width = 5;
    const struct conv_spec a = {.out = 6, .taps = 3, .stride = 2, .before = 1, .after = 1, .bias = true},
                           b = {.out = 3, .taps = 5, .stride = 2, .before = 4}, c = {.out = 7, .taps = 2};
    const struct rnn_spec lstm = {.type = MODEL_LSTM, .hidden = 11, .direction = direction, .bias = true},
                          gru = {.type = MODEL_GRU, .hidden = 8, .direction = direction, .bias = true};
    model_set_input(builder, "", 1, &width);
    const uint32_t both[2] = {build_conv(builder, &rng, 0, MODEL_TEMPORAL_CONV, &a),
                              build_conv(builder, &rng, 0, MODEL_TEMPORAL_CONV, &b)};
    uint32_t value = build_combine(builder, MODEL_CONCAT, both, 2, 0);
    value = build_recurrent(builder, &rng, value, &lstm);
    value = build_conv(builder, &rng, value, MODEL_TEMPORAL_CONV, &c);
    value = build_recurrent(builder, &rng, value, &gru);
    if (seed % 2)
        value = build_pooling(builder, value, MODEL_MEAN);
    build_dense(builder, &rng, value, 3, MODEL_ACT_TANH, true);
    return test_model_finish(builder, "other numbers of steps");
}

Test(onednn, other_numbers_of_steps)
{
    for (uint64_t seed = 1; seed <= 12; seed++)
        compare_both(paced_model(seed, seed % 3), 1 + seed % 2);
}

/* More shapes than are kept: some are made again. */
Test(onednn, many_shapes)
{
    struct test_model model =
        recurrent_model(5, (struct rnn_spec){.type = MODEL_LSTM, .hidden = 9, .bias = true}, 4);
    const lstm_plan_options options = with_onednn(1);
    struct session ours = session_open(&model, NULL, 1, 50), theirs = session_open(&model, &options, 1, 50);
    float *input = test_floats(50 * 4), *output[2] = {test_floats(50 * 3), test_floats(50 * 3)};
    lstm_stream *stream[2] = {session_stream(&ours), session_stream(&theirs)};
    struct rng rng = {3};
    random_input(&rng, &model, 50, input);
    for (int round = 0; round < 2; round++)
        for (size_t steps = 1; steps <= 50; steps++) {
            session_run(&ours, stream[0], input, steps, output[0]);
            session_run(&theirs, stream[1], input, steps, output[1]);
            cr_assert_lt(largest_difference(output[0], output[1], steps * 3), 5e-6);
        }
    for (int i = 0; i < 2; i++) {
        free(output[i]);
        lstm_stream_destroy(stream[i]);
    }
    free(input);
    session_close(&ours);
    session_close(&theirs);
    test_model_free(&model);
}

/* What a plan expects is no size of anything: a run takes its steps in blocks. */
Test(onednn, a_plan_for_a_very_long_sequence)
{
    struct test_model model =
        recurrent_model(2, (struct rnn_spec){.type = MODEL_LSTM, .hidden = 20, .bias = true}, 300);
    lstm_plan_options options = with_onednn(1);
    options.items = 1;
    options.steps = (size_t)1 << 40;
    struct session ours = session_open(&model, NULL, 1, 3), theirs = session_open(&model, &options, 1, 3);
    float *input = test_floats(3 * 300), *output[2] = {test_floats(3 * 3), test_floats(3 * 3)};
    lstm_stream *stream[2] = {session_stream(&ours), session_stream(&theirs)};
    struct rng rng = {5};
    random_input(&rng, &model, 3, input);
    session_run(&ours, stream[0], input, 3, output[0]);
    session_run(&theirs, stream[1], input, 3, output[1]);
    cr_assert_lt(largest_difference(output[0], output[1], 3 * 3), 5e-6);
    for (int i = 0; i < 2; i++) {
        free(output[i]);
        lstm_stream_destroy(stream[i]);
    }
    free(input);
    session_close(&ours);
    session_close(&theirs);
    test_model_free(&model);
}

Test(onednn, refuses_by_name)
{
    const struct {
        struct rnn_spec spec;
        const char *word;
    } cases[] = {
        {{.type = MODEL_RNN, .hidden = 4}, "only lstm and gru"},
        {{.type = MODEL_LSTM, .hidden = 4, .peepholes = true}, "peepholes"},
        {{.type = MODEL_LSTM, .hidden = 4, .projection = 2}, "projections"},
        {{.type = MODEL_LSTM, .hidden = 4, .coupled = true}, "coupled"},
        {{.type = MODEL_GRU, .hidden = 4, .clip = 1}, "clip"},
        {{.type = MODEL_LSTM, .hidden = 4, .own_acts = true,
           .acts = {{{.kind = MODEL_ACT_RELU}, {.kind = MODEL_ACT_TANH}, {.kind = MODEL_ACT_TANH}}}},
         "sigmoid and tanh"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct test_model model = recurrent_model(i, cases[i].spec, 3);
        const lstm_error error = refusal(&model);
        cr_assert_eq(error.status, LSTM_E_UNSUPPORTED, "%s", cases[i].word);
        cr_assert(strstr(error.text, cases[i].word) && strstr(error.text, "layer 0"), "%s", error.text);
        test_model_free(&model);
    }
}
