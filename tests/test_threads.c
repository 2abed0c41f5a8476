/* SPDX-License-Identifier: MIT
 *
 * One plan, many threads at once, each with its own workspace and streams: the
 * results are those of serial runs. Worth running under a thread sanitizer, too.
 */
#include <criterion/criterion.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/session.h"

enum { THREADS = 6, ITEMS = 5, STEPS = 8, ROUNDS = 6 };

struct work {
    const struct session *shared;
    const float *input;    /* [ITEMS][STEPS][n_in] */
    const float *expected; /* [ITEMS][frames][n_out] */
    int failures;
};

static size_t item_floats(const struct session *s)
{
    return session_frames(s, STEPS) * s->n_out;
}

/* All items from their initial states with the workspace given. */
static lstm_status run_items(const struct session *s, lstm_workspace *workspace, const float *input,
                             float *output)
{
    lstm_item items[ITEMS];
    for (size_t i = 0; i < ITEMS; i++)
        items[i] = (lstm_item){.stream = session_stream(s), .input = input + i * STEPS * s->n_in,
                               .output = output + i * item_floats(s), .steps = STEPS};
    lstm_status status = lstm_run(s->plan, workspace, items, ITEMS);
    for (size_t i = 0; i < ITEMS; i++)
        lstm_stream_destroy(items[i].stream);
    return status;
}

static void *worker(void *argument)
{
    struct work *work = argument;
    const struct session *s = work->shared;
    float *output = test_floats(ITEMS * item_floats(s));
    lstm_workspace *workspace;
    size_t where;
    if (lstm_workspace_create(s->plan, ITEMS, STEPS, &workspace, NULL) != LSTM_OK) {
        work->failures = ROUNDS;
        free(output);
        return NULL;
    }
    for (int round = 0; round < ROUNDS; round++)
        work->failures += run_items(s, workspace, work->input, output) != LSTM_OK ||
                          !test_same_bits(output, work->expected, ITEMS * item_floats(s), &where);
    lstm_workspace_destroy(workspace);
    free(output);
    return NULL;
}

/* THREADS times `does` at once with a session of the model, which this ends. */
static void check_at_once(struct test_model model, const lstm_plan_options *options, uint64_t seed,
                          void *(*does)(void *))
{
    struct session s = session_open(&model, options, ITEMS, STEPS);
    struct rng rng = {seed};
    float *input = test_floats(ITEMS * STEPS * s.n_in), *expected = test_floats(ITEMS * item_floats(&s));
    struct work works[THREADS];
    pthread_t ids[THREADS];
    random_input(&rng, &model, ITEMS * STEPS, input);
    cr_assert_eq(run_items(&s, s.workspace, input, expected), LSTM_OK);
    for (int i = 0; i < THREADS; i++) {
        works[i] = (struct work){&s, input, expected, 0};
        cr_assert_eq(pthread_create(&ids[i], NULL, does, &works[i]), 0);
    }
    for (int i = 0; i < THREADS; i++) {
        pthread_join(ids[i], NULL);
        cr_assert_eq(works[i].failures, 0, "%s: thread %d: %d rounds differ", model.text, i,
                     works[i].failures);
    }
    free(input);
    free(expected);
    session_close(&s);
    test_model_free(&model);
}

static void check_shared_plan(struct test_model model, uint32_t threads)
{
    lstm_plan_options options = LSTM_PLAN_OPTIONS_INIT;
    options.threads = threads;
    options.items = ITEMS;
    check_at_once(model, &options, threads, worker);
}

Test(threads, one_plan_many_callers)
{
    for (uint64_t seed = 1; seed <= 25; seed++)
        check_shared_plan(random_model(seed, 0), 1);
}

/* Large enough that each run wants threads of its own beside the callers'. */
Test(threads, callers_whose_runs_use_threads)
{
    for (uint32_t direction = 0; direction < 3; direction += 2) {
        struct rng rng = {direction + 1};
        struct model_builder *builder = model_builder_create();
        struct rnn_spec rnn = {.type = MODEL_LSTM, .hidden = 260, .direction = direction, .bias = true};
        uint32_t width = 30;
        model_set_input(builder, NULL, 1, &width);
        build_recurrent(builder, &rng, 0, &rnn);
        check_shared_plan(test_model_finish(builder, "lstm h260"), 2);
    }
}

/* One model, many plans made and run at once. */
static void *planner(void *argument)
{
    struct work *work = argument;
    struct session own = *work->shared;
    float *output = test_floats(ITEMS * item_floats(&own));
    lstm_workspace *workspace = NULL;
    size_t where;
    if (lstm_plan_create(own.model, NULL, &own.plan, NULL) != LSTM_OK ||
        lstm_workspace_create(own.plan, ITEMS, STEPS, &workspace, NULL) != LSTM_OK ||
        run_items(&own, workspace, work->input, output) != LSTM_OK ||
        !test_same_bits(output, work->expected, ITEMS * item_floats(&own), &where))
        work->failures++;
    lstm_workspace_destroy(workspace);
    lstm_plan_destroy(own.plan);
    free(output);
    return NULL;
}

Test(threads, one_model_many_plans)
{
    for (uint64_t seed = 31; seed <= 40; seed++)
        check_at_once(random_model(seed, 0), NULL, seed, planner);
}
