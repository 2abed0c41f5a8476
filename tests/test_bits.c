/* SPDX-License-Identifier: MIT
 *
 * The promise of bits: the scalar instruction set, one thread, one item and one run
 * of all steps are the reference; every other way to get the result must give the
 * same bits, for outputs and states.
 */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/plan.h"
#include "tests/session.h"
#include "tests/tolerance.h"

enum { MAX_ITEMS = 33 };

/* A batch of sequences and what the reference made of them. */
struct batch {
    struct test_model model;
    size_t n, n_in, n_out, n_states;
    size_t steps[MAX_ITEMS], frames[MAX_ITEMS]; /* of input and output */
    float *input[MAX_ITEMS], *output[MAX_ITEMS], *states[MAX_ITEMS];
    bool openmp; /* deals out the items, however short the run */
    bool far;    /* layers are stepped as if the L3 did not keep their weights */
};

static lstm_plan_options options_of(const char *isa, uint32_t threads, size_t items, size_t steps)
{
    lstm_plan_options options = LSTM_PLAN_OPTIONS_INIT;
    options.isa = isa;
    options.threads = threads;
    options.items = items;
    options.steps = steps;
    return options;
}

/* Override the cost model, which on a small machine or for a small model would choose
 * one thread. */
static lstm_plan_options forced_options(const struct test_model *model, const char *isa, bool team,
                                        uint32_t threads)
{
    lstm_plan_options options = options_of(isa, threads, 0, 0);
    options.split = threads < 2 || !test_has_threads(model) ? "none" : team ? "team" : "items";
    return options;
}

/* Runs too short for OpenMP deal out items to the workspace's own threads; here OpenMP does. */
static void use_openmp(struct lstm_plan *plan)
{
    for (size_t i = 0; i < SPLIT_ITEM_CLASSES; i++)
        for (size_t s = 0; s < SPLIT_STEP_CLASSES; s++)
            if (plan->splits.of[i][s].mode == SPLIT_OWN_ITEMS)
                plan->splits.of[i][s].mode = SPLIT_ITEMS;
}

/* Of layers of that size, for which a test has no time, the input part is computed ahead for more items. */
static void use_far(struct lstm_plan *plan)
{
    const struct machine small = {.l3 = 1};
    for (uint32_t i = 0; i < plan->n_ops; i++) {
        struct recurrent_op *op = &plan->ops[i].u.recurrent;
        if (plan->ops[i].layer->type->family == LAYER_RECURRENT && op->hoist_tile)
            op->hoist_tile = choose_hoist_tile(&small, 2, op->hoist_tile);
    }
}

static struct batch batch_make(struct test_model model, uint64_t seed, size_t n, size_t most_steps)
{
    struct batch b = {.model = model, .n = n};
    struct rng rng = {seed};
    lstm_plan_options options = options_of("scalar", 1, 1, most_steps);
    struct session s = session_open(&model, &options, 1, most_steps);
    b.n_in = s.n_in, b.n_out = s.n_out, b.n_states = s.n_states;
    const size_t least = lstm_model_get_info(s.model)->least_steps;
    for (size_t i = 0; i < n; i++) {
        lstm_stream *stream = session_stream(&s);
        b.steps[i] = rng_chance(&rng, 20) ? 0 : least + rng_below(&rng, (uint32_t)(most_steps + 1 - least));
        b.frames[i] = session_frames(&s, b.steps[i]);
        b.input[i] = test_floats(b.steps[i] * b.n_in);
        b.output[i] = test_floats(b.frames[i] * b.n_out);
        b.states[i] = test_floats(b.n_states);
        random_input(&rng, &model, b.steps[i], b.input[i]);
        session_run(&s, stream, b.input[i], b.steps[i], b.output[i]);
        session_get_states(&s, stream, b.states[i]);
        lstm_stream_destroy(stream);
    }
    session_close(&s);
    return b;
}

static void batch_free(struct batch *b)
{
    for (size_t i = 0; i < b->n; i++) {
        free(b->input[i]);
        free(b->output[i]);
        free(b->states[i]);
    }
    test_model_free(&b->model);
}

static size_t most_steps_of(const struct batch *b)
{
    size_t most = 1;
    for (size_t i = 0; i < b->n; i++)
        most = b->steps[i] > most ? b->steps[i] : most;
    return most;
}

static void compare_item(const struct batch *b, size_t item, const float *output,
                         const float *states, const char *how)
{
    size_t where = 0, n = b->frames[item] * b->n_out;
    cr_assert(test_same_bits(output, b->output[item], n, &where),
              "%s: %s: item %zu: output %zu is %a, the reference has %a", b->model.text, how, item,
              where, (double)output[where], (double)b->output[item][where]);
    cr_assert(test_same_bits(states, b->states[item], b->n_states, &where),
              "%s: %s: item %zu: state %zu is %a, the reference has %a", b->model.text, how, item,
              where, (double)states[where], (double)b->states[item][where]);
}

/* One run of the items `order[0 … n)`, each in one piece. */
static void check_batch(const struct batch *b, const lstm_plan_options *options,
                        const size_t *order, size_t n, const char *how)
{
    struct session s = session_open(&b->model, options, n, most_steps_of(b));
    lstm_item items[MAX_ITEMS];
    if (b->openmp)
        use_openmp(s.plan);
    if (b->far)
        use_far(s.plan);
    float *states = test_floats(b->n_states);
    for (size_t i = 0; i < n; i++) {
        size_t from = order[i];
        items[i] = (lstm_item){.stream = session_stream(&s), .input = b->input[from],
                               .output = test_floats(b->frames[from] * b->n_out),
                               .steps = b->steps[from]};
    }
    session_run_items(&s, items, n);
    for (size_t i = 0; i < n; i++) {
        session_get_states(&s, items[i].stream, states);
        compare_item(b, order[i], items[i].output, states, how);
        free(items[i].output);
        lstm_stream_destroy(items[i].stream);
    }
    free(states);
    session_close(&s);
}

/* `n` items from position `shift` on, so that each item sees every position. */
static void check_rotated(const struct batch *b, const lstm_plan_options *options, size_t n,
                          size_t shift)
{
    char how[200];
    size_t order[MAX_ITEMS];
    for (size_t i = 0; i < n; i++)
        order[i] = (i + shift) % b->n;
    snprintf(how, sizeof how, "isa %s, %u threads, split %s, batch %zu from item %zu, "
             "hints %zu x %zu", options->isa ? options->isa : "best", options->threads,
             options->split ? options->split : "as planned", n, shift, options->items,
             options->steps);
    check_batch(b, options, order, n, how);
}

/* ---- instruction sets, threads, hints -------------------------------------------- */

static size_t next_isa(const struct test_model *model, size_t i)
{
    while (test_isa_names[i] && !test_has_isa(model, test_isa_names[i]))
        i++;
    return i;
}

Test(bits, instruction_sets)
{
    for (uint64_t seed = 1; seed < 1 + test_rounds(150); seed++) {
        struct batch b = batch_make(random_model(seed, 0), seed, 1 + seed % 9, 12);
        for (size_t i = next_isa(&b.model, 0); test_isa_names[i]; i = next_isa(&b.model, i + 1)) {
            lstm_plan_options options = options_of(test_isa_names[i], 1, b.n, 12);
            check_rotated(&b, &options, b.n, 0);
            check_rotated(&b, &options, 1, seed % b.n);
        }
        batch_free(&b);
    }
}

Test(bits, threads_and_hints)
{
    static const size_t hints[][2] = {{0, 0}, {1, 1}, {1, 1000}, {32, 50}, {1000, 1}, {4096, 4096}};
    for (uint64_t seed = 201; seed < 201 + test_rounds(40); seed++) {
        struct batch b = batch_make(random_model(seed, 0), seed, 7, 10);
        for (uint32_t threads = 1; threads <= 4; threads++)
            for (size_t h = 0; h < sizeof hints / sizeof *hints; h++) {
                lstm_plan_options options = options_of(NULL, threads, hints[h][0], hints[h][1]);
                check_rotated(&b, &options, 1 + (seed + h) % 7, h);
            }
        batch_free(&b);
    }
}

/* Layers large enough that the cost model gives them more than one thread, on every
 * instruction set. */
static struct test_model large_model(uint32_t hidden, uint32_t direction, uint32_t type,
                                     bool reset_after)
{
    char text[64];
    struct rng rng = {hidden};
    struct model_builder *builder = model_builder_create();
    struct rnn_spec rnn = {.type = type, .hidden = hidden, .direction = direction, .bias = true,
                           .reset_after = reset_after};
    uint32_t width = 40;
    model_set_input(builder, NULL, 1, &width);
    uint32_t value = build_recurrent(builder, &rng, 0, &rnn);
    value = build_recurrent(builder, &rng, value, &rnn);
    build_dense(builder, &rng, value, 300, MODEL_ACT_TANH, true);
    snprintf(text, sizeof text, "large: type %u h%u direction %u", type, hidden, direction);
    return test_model_finish(builder, text);
}

static uint32_t threads_of(const struct test_model *model, const lstm_plan_options *options)
{
    struct session s = session_open(model, options, 1, 1);
    uint32_t threads = lstm_plan_get_threads(s.plan, options->items, options->steps);
    session_close(&s);
    return threads;
}

Test(bits, large_layers_on_threads)
{
    static const uint32_t shapes[][4] = {
        {330, MODEL_FORWARD, MODEL_LSTM, 0}, {200, MODEL_BIDIRECTIONAL, MODEL_LSTM, 0},
        {256, MODEL_FORWARD, MODEL_GRU, 0},  {250, MODEL_FORWARD, MODEL_GRU, 1},
        {213, MODEL_BIDIRECTIONAL, MODEL_GRU, 1}, {275, MODEL_BIDIRECTIONAL, MODEL_RNN, 0},
    };
    uint32_t most_threads = 0;
    for (size_t i = 0; i < test_rounds(sizeof shapes / sizeof *shapes); i++) {
        struct test_model model = large_model(shapes[i][0], shapes[i][1], shapes[i][2], shapes[i][3]);
        struct batch b = batch_make(model, i + 1, 9, 12);
        for (uint32_t threads = 1; threads <= 4; threads++)
            for (size_t n = 1; n <= 9; n += 8) {
                lstm_plan_options options = options_of(NULL, threads, n, 100);
                uint32_t used = threads_of(&model, &options);
                cr_assert_leq(used, threads, "the caller's limit wins");
                most_threads = used > most_threads ? used : most_threads;
                check_rotated(&b, &options, n, n % 3);
            }
        batch_free(&b);
    }
    printf("large layers: plans of up to %u threads\n", most_threads);
}

/* Every way to split over 1 to 4 threads, whatever the cost model thinks of it, on
 * models of all kinds and each instruction set. */
Test(bits, forced_threads)
{
    for (uint64_t seed = 601; seed < 601 + test_rounds(40); seed++) {
        struct batch b = batch_make(random_model(seed, 0), seed, 1 + seed % 7, 9);
        size_t isa = next_isa(&b.model, 0);
        for (uint32_t threads = 1; threads <= 4; threads++)
            for (int way = 0; way < 3; way++) {
                lstm_plan_options options = forced_options(&b.model, test_isa_names[isa], way == 1, threads);
                b.openmp = way == 2;
                check_rotated(&b, &options, b.n, 0);
                isa = next_isa(&b.model, isa + 1);
                isa = test_isa_names[isa] ? isa : next_isa(&b.model, 0);
            }
        batch_free(&b);
    }
}

Test(bits, layers_that_the_caches_do_not_keep)
{
    static const uint32_t shapes[][4] = {
        {3, MODEL_FORWARD, MODEL_LSTM, 0},    {20, MODEL_BIDIRECTIONAL, MODEL_LSTM, 0},
        {45, MODEL_FORWARD, MODEL_LSTM, 0},   {12, MODEL_FORWARD, MODEL_GRU, 0},
        {45, MODEL_BIDIRECTIONAL, MODEL_GRU, 1}, {40, MODEL_BIDIRECTIONAL, MODEL_RNN, 0},
    };
    for (size_t i = 0; i < test_rounds(sizeof shapes / sizeof *shapes); i++) {
        struct test_model model = large_model(shapes[i][0], shapes[i][1], shapes[i][2], shapes[i][3]);
        struct batch b = batch_make(model, 801 + i, 21, 9);
        b.far = true;
        for (size_t isa = next_isa(&b.model, 0); test_isa_names[isa]; isa = next_isa(&b.model, isa + 1))
            for (uint32_t threads = 1; threads <= 2; threads++)
                for (size_t n = 7; n <= 21; n += 4) {
                    lstm_plan_options options = forced_options(&b.model, test_isa_names[isa], true, threads);
                    check_rotated(&b, &options, n, i);
                }
        batch_free(&b);
    }
}

/* Convolutions over time that leave fewer steps, two of them equally few, with layers of every family
 * behind them. */
static struct test_model paced_model(uint64_t seed)
{
    struct rng rng = {seed};
    struct model_builder *builder = model_builder_create();
    const uint32_t width = 6, reducers[] = {MODEL_LAST, MODEL_MEAN, MODEL_MAX, MODEL_FIRST};
    const struct conv_spec first = {.out = 9, .taps = 3, .stride = 2, .before = 1, .after = seed % 2},
                           beside = {.out = 4, .taps = 5, .stride = 2, .before = 2, .after = 1 + seed % 2},
                           second = {.out = 9, .taps = 2, .stride = 1 + (uint32_t)seed % 3},
                           causal = {.out = 9, .taps = 4, .before = 3};
    struct rnn_spec rnn = {.type = MODEL_LSTM, .hidden = 11, .direction = seed % 3, .bias = true};
    model_set_input(builder, NULL, 1, &width);
    uint32_t value = build_dense(builder, &rng, 0, 8, MODEL_ACT_TANH, true), deep;
    deep = build_conv(builder, &rng, value, MODEL_TEMPORAL_CONV, &beside);
    value = build_conv(builder, &rng, value, MODEL_TEMPORAL_CONV, &first);
    value = build_combine(builder, MODEL_CONCAT, (uint32_t[]){value, deep}, 2, 0);
    value = build_dense(builder, &rng, value, 9, MODEL_ACT_IDENTITY, true);
    uint32_t gate = build_dense(builder, &rng, value, 1, MODEL_ACT_IDENTITY, true);
    rnn.mask = seed % 2 ? build_mask(builder, build_activation(builder, gate, MODEL_ACT_RELU, 0, 0), 0) : 0;
    deep = build_recurrent(builder, &rng, value, &rnn);
    deep = build_dense(builder, &rng, deep, 9, MODEL_ACT_TANH, true);
    deep = build_conv(builder, &rng, deep, MODEL_TEMPORAL_CONV, &causal);
    value = build_combine(builder, MODEL_ADD, (uint32_t[]){value, deep}, 2, 0);
    const struct pool_spec pool = {.stride = 1 + seed % 2, .dilation = 1, .taps = 3, .before = 1,
                                   .kind = seed % 3};
    value = build_temporal_pool(builder, build_reverse(builder, value), &pool);
    value = build_conv(builder, &rng, value, MODEL_TEMPORAL_CONV, &second);
    rnn = (struct rnn_spec){.type = MODEL_GRU, .hidden = 7, .bias = true, .reset_after = true};
    value = build_recurrent(builder, &rng, value, &rnn);
    if (seed % 5 == 4)
        value = build_attention(builder, value, build_dense(builder, &rng, value, 1, 0, true));
    else if (seed % 2)
        value = build_pooling(builder, value, reducers[seed / 2 % 4]);
    build_dense(builder, &rng, value, 3, MODEL_ACT_IDENTITY, true);
    return test_model_finish(builder, "other numbers of steps");
}

static void check_oracle(const struct batch *b)
{
    struct model_view view;
    struct format_error error;
    char text[200];
    double worst = 0;
    cr_assert(model_read(b->model.bytes, b->model.n_bytes, &view, &error), "%s", error.text);
    struct oracle *oracle = oracle_create(&view);
    for (size_t i = 0; i < b->n; i++) {
        if (!b->steps[i])
            continue;
        oracle_reset(oracle);
        struct reference r = reference_make(oracle, b->input[i], b->steps[i]);
        cr_assert_eq(r.frames, b->frames[i]);
        cr_assert(reference_check_output(&r, b->output[i], &worst, text, sizeof text), "%s", text);
        reference_free(&r);
    }
    oracle_destroy(oracle);
}

Test(bits, other_numbers_of_steps)
{
    for (uint64_t seed = 0; seed < test_rounds(30); seed++) {
        struct batch b = batch_make(paced_model(seed), seed, 1 + seed % 7, 20);
        check_oracle(&b);
        for (size_t i = next_isa(&b.model, 0); test_isa_names[i]; i = next_isa(&b.model, i + 1))
            for (uint32_t threads = 1; threads <= 3; threads++) {
                lstm_plan_options options = forced_options(&b.model, test_isa_names[i], seed % 2, threads);
                check_rotated(&b, &options, b.n, seed % b.n);
            }
        batch_free(&b);
    }
}

/* ---- batches ------------------------------------------------------------------------ */

Test(bits, every_batch_size)
{
    for (uint64_t seed = 301; seed < 301 + test_rounds(6); seed++) {
        struct batch b = batch_make(random_model(seed, seed % 2 ? RANDOM_PLAIN : 0), seed, MAX_ITEMS, 9);
        for (size_t n = 1; n <= MAX_ITEMS; n++) {
            lstm_plan_options options = options_of(NULL, 1 + n % 2, n, 9);
            check_rotated(&b, &options, n, 0);
        }
        batch_free(&b);
    }
}

Test(bits, every_position)
{
    for (uint64_t seed = 311; seed < 311 + test_rounds(4); seed++) {
        struct batch b = batch_make(random_model(seed, seed % 2 ? RANDOM_PLAIN : 0), seed, MAX_ITEMS, 7);
        for (size_t shift = 0; shift < MAX_ITEMS; shift++) {
            lstm_plan_options options = options_of(NULL, 1, 13, 7);
            check_rotated(&b, &options, 13, shift);
            check_rotated(&b, &options, MAX_ITEMS, shift);
        }
        batch_free(&b);
    }
}

/* ---- pieces ---------------------------------------------------------------------------- */

/* All items at once, each cut into its own random pieces, zeros among them. */
static void check_pieces(const struct batch *b, const lstm_plan_options *options,
                         uint64_t seed)
{
    struct session s = session_open(&b->model, options, b->n, 4);
    struct rng rng = {seed};
    lstm_item items[MAX_ITEMS];
    size_t done[MAX_ITEMS] = {0}, left = 0;
    float *states = test_floats(b->n_states), *output[MAX_ITEMS];
    for (size_t i = 0; i < b->n; i++) {
        items[i].stream = session_stream(&s);
        output[i] = test_floats(b->steps[i] * b->n_out);
        left += b->steps[i];
    }
    while (left > 0) {
        for (size_t i = 0; i < b->n; i++) {
            size_t piece = rng_below(&rng, 5), rest = b->steps[i] - done[i];
            piece = piece < rest ? piece : rest;
            items[i] = (lstm_item){.stream = items[i].stream, .input = b->input[i] + done[i] * b->n_in,
                                   .output = output[i] + done[i] * b->n_out, .steps = piece};
            done[i] += piece;
            left -= piece;
        }
        session_run_items(&s, items, b->n);
    }
    for (size_t i = 0; i < b->n; i++) {
        session_get_states(&s, items[i].stream, states);
        compare_item(b, i, output[i], states, "in pieces");
        lstm_stream_destroy(items[i].stream);
        free(output[i]);
    }
    free(states);
    session_close(&s);
}

Test(bits, pieces_of_streams)
{
    for (uint64_t seed = 401; seed < 401 + test_rounds(50); seed++) {
        struct batch b = batch_make(random_model(seed, RANDOM_STREAMS), seed, 1 + seed % 8, 40);
        for (size_t isa = next_isa(&b.model, 0); test_isa_names[isa];
             isa = next_isa(&b.model, isa + 1)) {
            lstm_plan_options options = options_of(test_isa_names[isa], 1 + seed % 3, 0, 1 + seed % 64);
            check_pieces(&b, &options, seed);
        }
        batch_free(&b);
    }
}

/* One long sequence crosses every block that the library works in. */
Test(bits, long_sequences)
{
    for (uint64_t seed = 501; seed < 501 + test_rounds(6); seed++) {
        struct batch b = batch_make(random_model(seed, RANDOM_STREAMS), seed, 3, 700);
        lstm_plan_options options = options_of(NULL, 2, 3, 700);
        check_rotated(&b, &options, 3, 0);
        check_rotated(&b, &options, 1, 1);
        check_pieces(&b, &options, seed);
        batch_free(&b);
    }
}

Test(bits, pieces_on_forced_threads)
{
    for (uint64_t seed = 511; seed < 511 + test_rounds(20); seed++) {
        struct batch b = batch_make(random_model(seed, RANDOM_STREAMS), seed, 1 + seed % 5, 20);
        for (uint32_t threads = 2; threads <= 4; threads++) {
            lstm_plan_options options = forced_options(&b.model, NULL, seed % 2, threads);
            check_pieces(&b, &options, seed);
        }
        batch_free(&b);
    }
}

/* A large streaming layer, cut differently by plans of different thread counts. */
Test(bits, pieces_of_large_layers_on_threads)
{
    struct batch b = batch_make(large_model(310, MODEL_FORWARD, MODEL_LSTM, false), 9, 3, 30);
    for (uint32_t threads = 1; threads <= 3; threads++) {
        lstm_plan_options options = forced_options(&b.model, NULL, true, threads);
        check_pieces(&b, &options, threads);
    }
    batch_free(&b);
}
