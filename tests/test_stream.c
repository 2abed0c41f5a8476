/* SPDX-License-Identifier: MIT
 *
 * Streams as flat memory: save, restore, copy, reset, and bytes that are no state of
 * this model.
 */
#include <criterion/criterion.h>
#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "tests/session.h"

enum { STEPS = 9 };

struct trial {
    struct test_model model;
    struct session session;
    size_t n_bytes;
    float *input, *output[2];
};

static void trial_begin(struct trial *t, uint64_t seed)
{
    struct rng rng = {seed};
    t->model = random_model(seed, RANDOM_STREAMS);
    t->session = session_open(&t->model, NULL, 1, STEPS);
    t->n_bytes = lstm_stream_bytes(t->session.model);
    t->input = test_floats(2 * STEPS * t->session.n_in);
    t->output[0] = test_floats(STEPS * t->session.n_out);
    t->output[1] = test_floats(STEPS * t->session.n_out);
    random_input(&rng, &t->model, 2 * STEPS, t->input);
}

static void trial_end(struct trial *t)
{
    free(t->input);
    free(t->output[0]);
    free(t->output[1]);
    session_close(&t->session);
    test_model_free(&t->model);
}

static const float *second_half(const struct trial *t)
{
    return t->input + STEPS * t->session.n_in;
}

static void expect_same(const struct trial *t, const char *what)
{
    size_t where = 0;
    cr_assert(test_same_bits(t->output[0], t->output[1], STEPS * t->session.n_out, &where),
              "%s: %s: element %zu differs", t->model.text, what, where);
}

Test(stream, saved_copied_and_reset)
{
    for (uint64_t seed = 1; seed <= 60; seed++) {
        struct trial t;
        trial_begin(&t, seed);
        lstm_stream *first = session_stream(&t.session), *second = session_stream(&t.session);
        char *saved = malloc(t.n_bytes + 1);
        session_run(&t.session, first, t.input, STEPS, t.output[0]);
        memcpy(saved + 1, first, t.n_bytes); /* a saved state may lie at any address */
        session_run(&t.session, first, second_half(&t), STEPS, t.output[0]);

        lstm_error error;
        cr_assert_eq(lstm_stream_load(t.session.model, second, saved + 1, t.n_bytes, &error), LSTM_OK,
                     "%s", error.text);
        session_run(&t.session, second, second_half(&t), STEPS, t.output[1]);
        expect_same(&t, "restored");

        memcpy(second, saved + 1, t.n_bytes);
        session_run(&t.session, second, second_half(&t), STEPS, t.output[1]);
        expect_same(&t, "copied");

        lstm_stream *fresh = session_stream(&t.session);
        lstm_stream_reset(t.session.model, second);
        session_run(&t.session, fresh, t.input, STEPS, t.output[0]);
        session_run(&t.session, second, t.input, STEPS, t.output[1]);
        expect_same(&t, "reset");

        free(saved);
        lstm_stream_destroy(first);
        lstm_stream_destroy(second);
        lstm_stream_destroy(fresh);
        trial_end(&t);
    }
}

Test(stream, in_the_callers_memory)
{
    struct trial t;
    trial_begin(&t, 3);
    char *memory = aligned_alloc(64, (t.n_bytes + 127) / 64 * 64);
    cr_assert_null(lstm_stream_init(t.session.model, memory + 4));
    cr_assert_null(lstm_stream_init(t.session.model, NULL));
    lstm_stream *stream = lstm_stream_init(t.session.model, memory);
    cr_assert_eq((void *)stream, (void *)memory);
    lstm_stream *other = session_stream(&t.session);
    session_run(&t.session, stream, t.input, STEPS, t.output[0]);
    session_run(&t.session, other, t.input, STEPS, t.output[1]);
    expect_same(&t, "in own memory");
    cr_assert_eq(lstm_stream_create(t.session.model, NULL), LSTM_E_ARG);
    lstm_stream_destroy(other);
    lstm_stream_destroy(NULL);
    free(memory);
    trial_end(&t);
}

/* A refusal leaves the stream as it was. */
static void expect_refused(const struct trial *t, const void *bytes, size_t n_bytes, const char *what)
{
    lstm_error error;
    lstm_stream *stream = session_stream(&t->session);
    char *before = malloc(t->n_bytes);
    memcpy(before, stream, t->n_bytes);
    cr_assert_eq(lstm_stream_load(t->session.model, stream, bytes, n_bytes, &error), LSTM_E_DATA,
                 "%s: accepted", what);
    cr_assert(error.status == LSTM_E_DATA && error.text[0], "%s: no reason", what);
    cr_assert_eq(lstm_stream_load(t->session.model, stream, bytes, n_bytes, NULL), LSTM_E_DATA);
    cr_assert_arr_eq(before, stream, t->n_bytes, "%s: the stream has changed", what);
    free(before);
    lstm_stream_destroy(stream);
}

static struct test_model two_weights(float weight)
{
    struct model_builder *builder = model_builder_create();
    struct rng rng = {1};
    uint32_t width = 2;
    model_set_input(builder, NULL, 1, &width);
    struct rnn_spec rnn = {.type = MODEL_LSTM, .hidden = 4};
    uint32_t value = build_recurrent(builder, &rng, 0, &rnn);
    struct model_layer_spec dense = {.type = MODEL_DENSE, .n_inputs = 1, .inputs = {value},
                                     .n_tensors = 2, .rank = 1, .dims = {1}};
    float weights[4] = {weight, 1, 1, 1};
    dense.tensors[0] = model_add_tensor(builder, NULL, 2, (uint32_t[]){1, 4}, weights);
    dense.tensors[1] = MODEL_NONE;
    model_add_layer(builder, &dense);
    return test_model_finish(builder, "two models that differ in one weight");
}

Test(stream, foreign_and_damaged_states_are_refused)
{
    struct trial t = {.model = two_weights(1)};
    t.session = session_open(&t.model, NULL, 1, STEPS);
    t.n_bytes = lstm_stream_bytes(t.session.model);
    struct test_model other = two_weights(2);
    struct session foreign = session_open(&other, NULL, 1, 1);
    lstm_stream *mine = session_stream(&t.session), *theirs = session_stream(&foreign);
    char *bytes = calloc(1, t.n_bytes + 64);
    cr_assert_eq(lstm_stream_bytes(foreign.model), t.n_bytes);
    expect_refused(&t, theirs, t.n_bytes, "a state of the same shape, other weights");
    expect_refused(&t, bytes, t.n_bytes, "zeros");
    expect_refused(&t, NULL, 0, "nothing");
    memcpy(bytes, mine, t.n_bytes);
    for (size_t n = 0; n < t.n_bytes + 64; n++)
        if (n != t.n_bytes)
            expect_refused(&t, bytes, n, "another length");
    bytes[0] ^= 1;
    expect_refused(&t, bytes, t.n_bytes, "another magic");
    bytes[0] ^= 1;
    float nan = NAN;
    memcpy(bytes + t.n_bytes - sizeof nan, &nan, sizeof nan);
    expect_refused(&t, bytes, t.n_bytes, "NaN in a state");
    free(bytes);
    lstm_stream_destroy(mine);
    lstm_stream_destroy(theirs);
    session_close(&foreign);
    test_model_free(&other);
    session_close(&t.session);
    test_model_free(&t.model);
}

/* A thousand live streams with one new frame each, as a server has them. */
Test(stream, a_thousand_at_once)
{
    enum { MANY = 1000, FRAMES = 3 };
    struct test_model model = random_model(17, RANDOM_STREAMS | RANDOM_PLAIN);
    struct session s = session_open(&model, NULL, MANY, 1);
    struct rng rng = {5};
    float *input = test_floats(MANY * FRAMES * s.n_in), *output = test_floats(MANY * FRAMES * s.n_out);
    float *alone = test_floats(FRAMES * s.n_out);
    lstm_item *items = calloc(MANY, sizeof *items);
    random_input(&rng, &model, MANY * FRAMES, input);
    for (size_t i = 0; i < MANY; i++)
        items[i] = (lstm_item){.stream = session_stream(&s), .steps = 1};
    for (size_t t = 0; t < FRAMES; t++) {
        for (size_t i = 0; i < MANY; i++) {
            items[i].input = input + (i * FRAMES + t) * s.n_in;
            items[i].output = output + (i * FRAMES + t) * s.n_out;
        }
        session_run_items(&s, items, MANY);
    }
    for (size_t i = 0; i < MANY; i++) {
        size_t where;
        lstm_stream_reset(s.model, items[i].stream);
        session_run(&s, items[i].stream, input + i * FRAMES * s.n_in, FRAMES, alone);
        cr_assert(test_same_bits(alone, output + i * FRAMES * s.n_out, FRAMES * s.n_out, &where),
                  "stream %zu", i);
        lstm_stream_destroy(items[i].stream);
    }
    free(input), free(output), free(alone), free(items);
    session_close(&s);
    test_model_free(&model);
}
