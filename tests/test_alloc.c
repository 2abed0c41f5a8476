/* SPDX-License-Identifier: MIT
 *
 * Out of memory at every allocation: each call says LSTM_E_NOMEM, gives NULL and
 * leaks nothing (an address sanitizer's build looks). And a run allocates nothing.
 */
#include <criterion/criterion.h>
#include <stdlib.h>

#include "tests/failing_malloc.h"
#include "tests/session.h"

/* Open, plan, stream, workspace and one run, as far as memory goes. */
static lstm_status try_all(const struct test_model *source, const float *input, float *output)
{
    lstm_model *model = NULL;
    lstm_plan *plan = NULL;
    lstm_stream *stream = NULL;
    lstm_workspace *workspace = NULL;
    lstm_error error;
    lstm_status status = lstm_model_open_memory(source->bytes, source->n_bytes, &model, &error);
    if (status == LSTM_OK)
        status = lstm_plan_create(model, NULL, &plan, &error);
    if (status == LSTM_OK)
        status = lstm_workspace_create(plan, 2, 3, &workspace, &error);
    if (status == LSTM_OK) {
        status = lstm_stream_create(model, &stream);
        error = (lstm_error){.status = status};
    }
    if (status == LSTM_OK) {
        lstm_item item = {.stream = stream, .input = input, .output = output, .steps = 3};
        status = lstm_run(plan, workspace, &item, 1);
        error = (lstm_error){.status = status};
    }
    if (status != LSTM_OK && error.status != status)
        status = LSTM_E_ARG; /* told something else than it returned */
    lstm_stream_destroy(stream);
    lstm_workspace_destroy(workspace);
    lstm_plan_destroy(plan);
    lstm_model_close(model);
    return status;
}

#if defined(__has_feature)
#if __has_feature(address_sanitizer)
#define WITH_LEAK_CHECK 1
#endif
#elif defined(__SANITIZE_ADDRESS__)
#define WITH_LEAK_CHECK 1
#endif

#ifdef WITH_LEAK_CHECK
int __lsan_do_recoverable_leak_check(void);
#endif

/* Test processes may end without the sanitizer's own check at exit. */
static void expect_no_leak(void)
{
#ifdef WITH_LEAK_CHECK
    cr_assert_eq(__lsan_do_recoverable_leak_check(), 0);
#endif
}

static size_t walk(const struct test_model *source, const float *input, float *output)
{
    for (size_t n = 1;; n++) {
        failing_malloc_arm(n);
        lstm_status status = try_all(source, input, output);
        size_t asked = failing_malloc_disarm();
        if (asked < n) {
            cr_assert_eq(status, LSTM_OK, "%s: %s", source->text, lstm_status_text(status));
            return asked;
        }
        cr_assert_eq(status, LSTM_E_NOMEM, "%s: allocation %zu fails: %s", source->text, n,
                     lstm_status_text(status));
    }
}

Test(alloc, every_allocation_may_fail)
{
    for (uint64_t seed = 1; seed <= 40; seed++) {
        struct test_model model = random_model(seed, 0);
        struct rng rng = {seed};
        float *input = test_floats(3 * model.n_in), *output = test_floats(3 * model.n_out);
        random_input(&rng, &model, 3, input);
        cr_assert_geq(walk(&model, input, output), 4, "wrapping does not work");
        free(input);
        free(output);
        test_model_free(&model);
    }
    expect_no_leak();
}

/* A model at an odd address is copied first: that may fail as well. */
Test(alloc, misaligned_memory)
{
    struct test_model model = random_model(5, RANDOM_STREAMS), shifted = model;
    char *room = malloc(model.n_bytes + 1);
    float *input = test_floats(3 * model.n_in), *output = test_floats(3 * model.n_out);
    shifted.bytes = room + 1;
    for (size_t j = 0; j < model.n_bytes; j++)
        room[j + 1] = ((char *)model.bytes)[j];
    walk(&shifted, input, output);
    free(room);
    free(input);
    free(output);
    test_model_free(&model);
    expect_no_leak();
}

/* The first run may wake OpenMP, which allocates for itself; the library does not, however a run is split. */
Test(alloc, runs_allocate_nothing)
{
    static const char *const splits[] = {NULL, "items", "team"};
    for (uint64_t seed = 1; seed <= 60; seed++) {
        struct test_model model = random_model(seed, 0);
        lstm_plan_options options = LSTM_PLAN_OPTIONS_INIT;
        options.threads = 1 + seed % 2;
        if (options.threads > 1 && test_has_threads(&model))
            options.split = splits[seed % 3];
        struct session s = session_open(&model, &options, 3, 20);
        struct rng rng = {seed};
        lstm_item items[3];
        for (int i = 0; i < 3; i++) {
            items[i] = (lstm_item){.stream = session_stream(&s), .input = test_floats(20 * s.n_in),
                                   .output = test_floats(20 * s.n_out),
                                   .steps = 5 + rng_below(&rng, 15)};
            random_input(&rng, &model, 20, (float *)items[i].input);
        }
        failing_malloc_arm(1);
        lstm_status status = lstm_run(s.plan, s.workspace, items, 3);
        cr_assert_eq(failing_malloc_disarm(), 0, "%s: a run allocates", model.text);
        cr_assert_eq(status, LSTM_OK);
        for (int i = 0; i < 3; i++) {
            free((float *)items[i].input);
            free(items[i].output);
            lstm_stream_destroy(items[i].stream);
        }
        session_close(&s);
        test_model_free(&model);
    }
}
