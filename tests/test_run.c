/* SPDX-License-Identifier: MIT
 *
 * What lstmrun.h promises about runs beside the numbers: zero steps, strides, states
 * that are read and set, and arguments that break the rules.
 */
#include <criterion/criterion.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/session.h"
#include "tests/tolerance.h"

/* lstm 3→n, then dense to 4; perhaps a pooling layer at the end. */
static struct test_model small_model(uint32_t hidden, uint32_t direction, uint32_t pooling)
{
    struct rng rng = {hidden};
    struct model_builder *builder = model_builder_create();
    struct rnn_spec rnn = {.type = MODEL_LSTM, .hidden = hidden, .direction = direction,
                           .bias = true, .initial = true};
    uint32_t width = 3;
    model_set_input(builder, NULL, 1, &width);
    uint32_t value = build_recurrent(builder, &rng, 0, &rnn);
    value = build_dense(builder, &rng, value, 4, MODEL_ACT_IDENTITY, true);
    if (pooling)
        build_pooling(builder, value, pooling);
    return test_model_finish(builder, "small");
}

/* ---- zero steps -------------------------------------------------------------- */

Test(run, zero_steps_touch_nothing)
{
    static const uint32_t poolings[] = {0, MODEL_LAST, MODEL_MEAN, MODEL_MAX, MODEL_FIRST};
    for (int p = 0; p < 4; p++)
        for (uint32_t direction = 0; direction < 3; direction++) {
            struct test_model model = small_model(10, direction, poolings[p]);
            struct session s = session_open(&model, NULL, 2, 3);
            lstm_stream *stream = session_stream(&s);
            size_t n = lstm_stream_bytes(s.model);
            void *before = malloc(n);
            float output[4] = {7, 7, 7, 7}, input[3] = {1, 2, 3};
            memcpy(before, stream, n);
            session_run(&s, stream, input, 0, output);
            cr_assert_arr_eq(stream, before, n);
            for (int j = 0; j < 4; j++)
                cr_assert_float_eq(output[j], 7, 0);
            lstm_item nothing = {.stream = stream};
            cr_assert_eq(lstm_run(s.plan, s.workspace, &nothing, 1), LSTM_OK);
            cr_assert_eq(lstm_run(s.plan, s.workspace, NULL, 0), LSTM_OK);
            free(before);
            lstm_stream_destroy(stream);
            session_close(&s);
            test_model_free(&model);
        }
}

/* ---- strides -------------------------------------------------------------------- */

enum { STEPS = 6, IN = 3, OUT = 4, IN_STRIDE = 7, OUT_STRIDE = 9 };

Test(run, strides_reach_rows_and_leave_the_gaps)
{
    for (uint32_t direction = 0; direction < 3; direction++) {
        struct test_model model = small_model(18, direction, 0);
        struct session s = session_open(&model, NULL, 1, STEPS);
        lstm_stream *stream = session_stream(&s);
        float tight_in[STEPS * IN], tight_out[STEPS * OUT];
        float wide_in[STEPS * IN_STRIDE], wide_out[STEPS * OUT_STRIDE];
        struct rng rng = {3};
        size_t where;
        rng_fill(&rng, 1, tight_in, STEPS * IN);
        for (int j = 0; j < STEPS * IN_STRIDE; j++)
            wide_in[j] = NAN;
        for (int j = 0; j < STEPS * OUT_STRIDE; j++)
            wide_out[j] = 7;
        for (int t = 0; t < STEPS; t++)
            memcpy(wide_in + t * IN_STRIDE, tight_in + t * IN, IN * sizeof(float));
        session_run(&s, stream, tight_in, STEPS, tight_out);
        lstm_stream_reset(s.model, stream);
        lstm_item item = {.stream = stream, .input = wide_in, .output = wide_out, .steps = STEPS,
                          .input_stride = IN_STRIDE, .output_stride = OUT_STRIDE};
        session_run_items(&s, &item, 1);
        for (int t = 0; t < STEPS; t++) {
            cr_assert(test_same_bits(wide_out + t * OUT_STRIDE, tight_out + t * OUT, OUT, &where));
            for (int j = OUT; j < OUT_STRIDE; j++)
                cr_assert_float_eq(wide_out[t * OUT_STRIDE + j], 7, 0, "gap of step %d", t);
        }
        lstm_stream_destroy(stream);
        session_close(&s);
        test_model_free(&model);
    }
}

/* Items of one batch with different strides, rows shared between inputs. */
Test(run, items_of_a_batch_have_their_own_strides)
{
    struct test_model model = small_model(18, 0, 0);
    struct session s = session_open(&model, NULL, 2, STEPS);
    float rows[STEPS * IN_STRIDE], outputs[2][STEPS * OUT_STRIDE], expected[STEPS * OUT];
    struct rng rng = {4};
    size_t where;
    rng_fill(&rng, 1, rows, STEPS * IN_STRIDE);
    lstm_stream *streams[2] = {session_stream(&s), session_stream(&s)};
    lstm_item items[2] = {
        {streams[0], rows, outputs[0], STEPS, IN_STRIDE, 0},
        {streams[1], rows, outputs[1], STEPS, 0, OUT_STRIDE},
    };
    session_run_items(&s, items, 2);
    lstm_stream_reset(s.model, streams[0]);
    session_run(&s, streams[0], rows, STEPS, expected);
    for (int t = 0; t < STEPS; t++)
        cr_assert(test_same_bits(outputs[1] + t * OUT_STRIDE, expected + t * OUT, OUT, &where));
    lstm_stream_reset(s.model, streams[0]);
    for (int t = 0; t < STEPS; t++) {
        session_run(&s, streams[0], rows + t * IN_STRIDE, 1, expected);
        cr_assert(test_same_bits(outputs[0] + t * OUT, expected, OUT, &where));
    }
    for (int i = 0; i < 2; i++)
        lstm_stream_destroy(streams[i]);
    session_close(&s);
    test_model_free(&model);
}

/* ---- states --------------------------------------------------------------------- */

/* Random states set through lstm_stream_get_state: the run goes on from them. */
Test(run, states_can_be_set)
{
    for (uint64_t seed = 1; seed <= 60; seed++) {
        struct test_model model = random_model(seed, 0);
        struct session s = session_open(&model, NULL, 1, 5);
        struct model_view view;
        struct format_error error;
        struct rng rng = {seed};
        char why[200];
        double worst = 0;
        cr_assert(model_read(model.bytes, model.n_bytes, &view, &error));
        struct oracle *oracle = oracle_create(&view);
        lstm_stream *stream = session_stream(&s);
        float *states = test_floats(s.n_states), *input = test_floats(5 * s.n_in);
        float *output = test_floats(5 * s.n_out);
        double *exact = calloc(s.n_states + 1, sizeof *exact);
        rng_fill(&rng, 1, states, s.n_states);
        for (size_t j = 0; j < s.n_states; j++)
            exact[j] = states[j];
        random_input(&rng, &model, 5, input);
        session_set_states(&s, stream, states);
        oracle_set_states(oracle, exact);
        struct reference r = reference_make(oracle, input, 5);
        session_run(&s, stream, input, 5, output);
        session_get_states(&s, stream, states);
        cr_assert(reference_check_output(&r, output, &worst, why, sizeof why), "%s: output %s",
                  model.text, why);
        cr_assert(reference_check_states(&r, states, &worst, why, sizeof why), "%s: state %s",
                  model.text, why);
        reference_free(&r);
        free(exact), free(states), free(input), free(output);
        oracle_destroy(oracle);
        lstm_stream_destroy(stream);
        session_close(&s);
        test_model_free(&model);
    }
}

Test(run, states_that_are_not_there)
{
    struct test_model model = small_model(5, 0, 0);
    struct session s = session_open(&model, NULL, 1, 1);
    lstm_stream *stream = session_stream(&s);
    size_t n = 9;
    cr_assert_not_null(lstm_stream_get_state(s.model, stream, 0, 0, LSTM_STATE_C, &n));
    cr_assert_eq(n, 5);
    cr_assert_null(lstm_stream_get_state(s.model, stream, 0, 1, LSTM_STATE_C, &n));
    cr_assert_eq(n, 0);
    n = 9;
    cr_assert_null(lstm_stream_get_state(s.model, stream, 1, 0, LSTM_STATE_H, &n));
    cr_assert_eq(n, 0);
    n = 9;
    cr_assert_null(lstm_stream_get_state(s.model, stream, 2, 0, LSTM_STATE_H, &n));
    cr_assert_eq(n, 0);
    lstm_stream_destroy(stream);
    session_close(&s);
    test_model_free(&model);
}

/* ---- arguments that break the rules ------------------------------------------------ */

static void expect(lstm_status got, lstm_status want, const lstm_error *error, const char *what)
{
    cr_assert_eq(got, want, "%s: status %d (%s)", what, got, lstm_status_text(got));
    cr_assert_eq(error->status, want, "%s: error->status %d", what, error->status);
    cr_assert(error->text[0] && !strchr(error->text, '\n'), "%s: text \"%s\"", what, error->text);
}

Test(run, bad_open_arguments)
{
    lstm_error error;
    lstm_model *model = (lstm_model *)&error;
    char byte = 0;
    expect(lstm_model_open("/nowhere/model.bin", &model, &error), LSTM_E_IO, &error, "no such file");
    cr_assert_null(model);
    expect(lstm_model_open(".", &model, &error), LSTM_E_IO, &error, "a directory");
    expect(lstm_model_open(NULL, &model, &error), LSTM_E_ARG, &error, "no path");
    expect(lstm_model_open("x", NULL, &error), LSTM_E_ARG, &error, "no model_out");
    expect(lstm_model_open_memory(&byte, 1, &model, &error), LSTM_E_FORMAT, &error, "one byte");
    cr_assert_null(model);
    expect(lstm_model_open_memory(NULL, 0, &model, &error), LSTM_E_FORMAT, &error, "no bytes");
    expect(lstm_model_open_memory(NULL, 5, &model, &error), LSTM_E_ARG, &error, "NULL bytes");
    expect(lstm_model_open_memory(&byte, 1, NULL, &error), LSTM_E_ARG, &error, "no model_out");
    cr_assert_eq(lstm_model_open_memory(&byte, 1, &model, NULL), LSTM_E_FORMAT);
    lstm_model_close(NULL);
}

static void expect_no_plan(const lstm_model *model, lstm_plan_options options, lstm_status want,
                           const char *what)
{
    lstm_error error;
    lstm_plan *plan = (lstm_plan *)&error;
    expect(lstm_plan_create(model, &options, &plan, &error), want, &error, what);
    cr_assert_null(plan, "%s", what);
}

Test(run, bad_plan_options)
{
    struct test_model model = small_model(5, 0, 0);
    struct session s = session_open(&model, NULL, 1, 1);
    lstm_plan_options options = LSTM_PLAN_OPTIONS_INIT;
    lstm_error error;
    options.isa = "avx1024";
    expect_no_plan(s.model, options, LSTM_E_UNSUPPORTED, "unknown isa");
    options.isa = NULL;
    options.backend = "abacus";
    expect_no_plan(s.model, options, LSTM_E_UNSUPPORTED, "unknown backend");
    options.backend = NULL;
    options.split = "halves";
    expect_no_plan(s.model, options, LSTM_E_ARG, "unknown split");
    options.threads = 1;
    options.split = "team";
    expect_no_plan(s.model, options, LSTM_E_ARG, "a team of one thread");
    options.split = "items";
    expect_no_plan(s.model, options, LSTM_E_ARG, "shares for one thread");
    options.split = NULL;
    options.struct_size = 0;
    expect_no_plan(s.model, options, LSTM_E_ARG, "struct_size 0");
    expect(lstm_plan_create(s.model, NULL, NULL, &error), LSTM_E_ARG, &error, "no plan_out");
    lstm_plan_destroy(NULL);
    session_close(&s);
    test_model_free(&model);
}

/* Built in or not is Meson's choice; a build without it says how to get it. */
Test(run, onednn_runs_or_is_refused)
{
    struct test_model model = small_model(5, 0, 0);
    struct session s = session_open(&model, NULL, 1, 1);
    lstm_plan_options options = LSTM_PLAN_OPTIONS_INIT;
    lstm_error error = {0};
    lstm_plan *plan = NULL;
    options.backend = "onednn";
    if (lstm_plan_create(s.model, &options, &plan, &error) != LSTM_OK) {
        cr_assert_eq(error.status, LSTM_E_UNSUPPORTED);
        cr_assert(strstr(error.text, "onednn") && strstr(error.text, "-Donednn=enabled"), "%s", error.text);
    }
    lstm_plan_destroy(plan);
    session_close(&s);
    test_model_free(&model);
}

/* A small model for which the cost model chooses one thread. */
Test(run, forced_splits)
{
    static const struct {
        const char *split;
        size_t items;
        uint32_t threads;
    } rows[] = {{NULL, 1, 1}, {"none", 5, 1}, {"items", 1, 1}, {"items", 2, 2},
                {"items", 5, 2}, {"team", 1, 2}, {"team", 5, 2}};
    struct test_model model = small_model(5, 0, 0);
    lstm_plan_options options = LSTM_PLAN_OPTIONS_INIT;
    options.threads = 2;
    if (!test_has_threads(&model))
        cr_skip_test("this build has no threads");
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        options.split = rows[i].split;
        options.items = rows[i].items;
        struct session s = session_open(&model, &options, 5, 1);
        const char *text = lstm_plan_get_text(s.plan);
        const char *split = lstm_plan_get_split(s.plan, rows[i].items, 100);
        cr_expect_eq(lstm_plan_get_threads(s.plan, rows[i].items, 100), rows[i].threads, "row %zu", i);
        cr_expect_str_eq(split, rows[i].threads == 1 ? "none" : rows[i].split, "row %zu: %s", i, split);
        cr_expect_eq(strstr(text, "forced by the caller") != NULL, rows[i].split != NULL,
                     "row %zu: %s", i, text);
        session_close(&s);
    }
    test_model_free(&model);
}

Test(run, estimates_follow_the_split)
{
    struct test_model model = small_model(5, 0, 0);
    lstm_plan_options options = LSTM_PLAN_OPTIONS_INIT;
    options.threads = 2;
    if (!test_has_threads(&model))
        cr_skip_test("this build has no threads");
    struct session chosen = session_open(&model, &options, 1, 1);
    options.split = "team";
    struct session forced = session_open(&model, &options, 1, 1);
    const double least = lstm_plan_get_estimate_ns(chosen.plan, 1, 100);
    cr_expect_gt(least, 0);
    cr_expect_gt(lstm_plan_get_estimate_ns(forced.plan, 1, 100), least);
    cr_expect_gt(lstm_plan_get_estimate_ns(chosen.plan, 1, 1000), 5 * least);
    session_close(&chosen);
    session_close(&forced);
    test_model_free(&model);
}

/* A layer of one panel leaves the other thread of a team nothing to do but to meet. */
Test(run, frames_of_a_small_layer_by_a_team, .timeout = 60)
{
    struct test_model model = small_model(5, 0, 0);
    lstm_plan_options options = LSTM_PLAN_OPTIONS_INIT;
    options.threads = 2;
    if (!test_has_threads(&model))
        cr_skip_test("this build has no threads");
    float input[3] = {0}, outputs[2][4 * 5];
    struct session sessions[2];
    lstm_item items[2];
    for (int i = 0; i < 2; i++) {
        options.split = i ? "team" : "none";
        sessions[i] = session_open(&model, &options, 1, 1);
        items[i] = (lstm_item){session_stream(&sessions[i]), input, outputs[i], 1, 0, 0};
    }
    for (int frame = 0; frame < 200; frame++) {
        input[frame % 3] = (float)frame / 200;
        memset(outputs, 0, sizeof outputs);
        for (int i = 0; i < 2; i++)
            cr_assert_eq(lstm_run(sessions[i].plan, sessions[i].workspace, &items[i], 1), LSTM_OK);
        cr_assert_arr_eq(outputs[0], outputs[1], sizeof outputs[0], "frame %d", frame);
    }
    for (int i = 0; i < 2; i++) {
        lstm_stream_destroy(items[i].stream);
        session_close(&sessions[i]);
    }
    test_model_free(&model);
}

Test(run, workspaces_have_limits)
{
    for (int pooling = 0; pooling < 2; pooling++) {
        struct test_model model = small_model(5, MODEL_BIDIRECTIONAL, pooling ? MODEL_MEAN : 0);
        struct session s = session_open(&model, NULL, 1, 4);
        lstm_stream *streams[2] = {session_stream(&s), session_stream(&s)};
        float input[3 * 5] = {0}, outputs[2][4 * 5];
        lstm_item items[2] = {{streams[0], input, outputs[0], 4, 0, 0},
                              {streams[1], input, outputs[1], 4, 0, 0}};
        cr_assert_eq(lstm_run(s.plan, s.workspace, items, 2), LSTM_E_ARG, "more items");
        items[0].steps = 5;
        cr_assert_eq(lstm_run(s.plan, s.workspace, items, 1), LSTM_E_ARG, "more steps");
        items[0].steps = 4;
        cr_assert_eq(lstm_run(s.plan, s.workspace, items, 1), LSTM_OK);
        for (int i = 0; i < 2; i++)
            lstm_stream_destroy(streams[i]);
        session_close(&s);
        test_model_free(&model);
    }
}

Test(run, streaming_models_take_any_number_of_steps)
{
    struct test_model model = small_model(5, 0, 0);
    struct session s = session_open(&model, NULL, 1, 1);
    lstm_stream *stream = session_stream(&s);
    enum { MANY = 1000 };
    float *input = test_floats(MANY * 3), *output = test_floats(MANY * 4);
    session_run(&s, stream, input, MANY, output);
    cr_assert_eq(lstm_workspace_bytes(s.plan, 1, 1), lstm_workspace_bytes(s.plan, 1, 1000000));
    free(input);
    free(output);
    lstm_stream_destroy(stream);
    session_close(&s);
    test_model_free(&model);
}

Test(run, absurd_workspaces)
{
    struct test_model model = small_model(5, MODEL_BIDIRECTIONAL, 0);
    struct session s = session_open(&model, NULL, 1, 1);
    lstm_workspace *workspace = (lstm_workspace *)&s;
    lstm_error error;
    cr_assert_eq(lstm_workspace_bytes(s.plan, SIZE_MAX / 2, SIZE_MAX / 2), SIZE_MAX);
    expect(lstm_workspace_create(s.plan, SIZE_MAX / 2, SIZE_MAX / 2, &workspace, &error),
           LSTM_E_NOMEM, &error, "absurd workspace");
    cr_assert_null(workspace);
    expect(lstm_workspace_create(s.plan, 1, 1, NULL, &error), LSTM_E_ARG, &error, "no out");
    lstm_workspace_destroy(NULL);
    session_close(&s);
    test_model_free(&model);
}

/* ---- what a model tells ------------------------------------------------------------- */

Test(run, info_matches_the_file)
{
    struct test_model model = small_model(10, MODEL_BIDIRECTIONAL, MODEL_LAST);
    struct session s = session_open(&model, NULL, 1, 1);
    const lstm_model_info *info = lstm_model_get_info(s.model);
    lstm_layer_info layer;
    cr_assert_eq(info->input.size, 3);
    cr_assert_eq(info->output.size, 4);
    cr_assert_eq(info->output_once, 1);
    cr_assert_eq(info->streams, 0);
    cr_assert_eq(info->n_layers, 3);
    cr_assert_eq(info->state_floats, 40);
    /* two directions of 4 gates, 10 units, 13 columns, bias, h0, c0; then 4 of 20 and bias */
    cr_assert_eq(info->n_parameters, 2 * (4 * 10 * 13 + 40 + 10 + 10) + 4 * 20 + 4);
    cr_assert_eq(lstm_model_get_layer(s.model, 0, &layer), LSTM_OK);
    cr_assert_str_eq(layer.type, "lstm");
    cr_assert_eq(layer.n_states, 2);
    cr_assert_eq(layer.output.size, 20);
    cr_assert_eq(lstm_model_get_layer(s.model, 2, &layer), LSTM_OK);
    cr_assert_str_eq(layer.type, "last");
    cr_assert_eq(layer.inputs[0], 2);
    cr_assert_eq(layer.output_once, 1);
    cr_assert_eq(lstm_model_get_layer(s.model, 3, &layer), LSTM_E_ARG);
    session_close(&s);
    test_model_free(&model);
}

Test(run, input_check_names_step_and_column)
{
    struct test_model model = small_model(10, 0, 0);
    struct session s = session_open(&model, NULL, 1, 1);
    float input[9] = {0};
    lstm_error error;
    cr_assert_eq(lstm_model_check_input(s.model, input, 3, &error), LSTM_OK);
    input[7] = NAN;
    expect(lstm_model_check_input(s.model, input, 3, &error), LSTM_E_DATA, &error, "NaN");
    cr_assert(strstr(error.text, "2") && strstr(error.text, "1"), "%s", error.text);
    input[7] = INFINITY;
    expect(lstm_model_check_input(s.model, input, 3, &error), LSTM_E_DATA, &error, "infinity");
    session_close(&s);
    test_model_free(&model);
}
