/* SPDX-License-Identifier: MIT
 *
 * Every layer type and many combinations against the double-precision oracle, for
 * outputs and final states, at 0, 1, 2 and 100 steps.
 */
#include <criterion/criterion.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/session.h"
#include "tests/tolerance.h"

/* ---- one model against the oracle ---------------------------------------------- */

struct check {
    struct session session;
    struct model_view view;
    struct oracle *oracle;
    struct rng rng;
    double worst; /* greatest error in units of the noise drawn */
};

static struct check check_begin(const struct test_model *model, uint64_t seed)
{
    struct check c = {.session = session_open(model, NULL, 1, 100), .rng = {seed}};
    struct format_error error;
    cr_assert(model_read(model->bytes, model->n_bytes, &c.view, &error), "%s", error.text);
    c.oracle = oracle_create(&c.view);
    return c;
}

static void check_end(struct check *c)
{
    oracle_destroy(c->oracle);
    session_close(&c->session);
}

/* One run from the model's initial state. */
static void check_steps(struct check *c, size_t steps)
{
    const struct session *s = &c->session;
    char why[200];
    float *input = test_floats(steps * s->n_in), *states = test_floats(s->n_states);
    float *output = test_floats(session_frames(s, steps) * s->n_out);
    lstm_stream *stream = session_stream(s);
    random_input(&c->rng, s->source, steps, input);
    oracle_reset(c->oracle);
    struct reference r = reference_make(c->oracle, input, steps);
    session_run(s, stream, input, steps, output);
    session_get_states(s, stream, states);
    cr_assert_eq(r.frames, session_frames(s, steps));
    cr_assert_eq(r.n_states, s->n_states);
    cr_assert(reference_check_output(&r, output, &c->worst, why, sizeof why),
              "%s, %zu steps: output %s", s->source->text, steps, why);
    cr_assert(reference_check_states(&r, states, &c->worst, why, sizeof why),
              "%s, %zu steps: state %s", s->source->text, steps, why);
    reference_free(&r);
    lstm_stream_destroy(stream);
    free(input);
    free(output);
    free(states);
}

static double check_model(struct test_model model, const size_t *steps, size_t n_steps)
{
    struct check c = check_begin(&model, model.n_bytes);
    for (size_t i = 0; i < n_steps; i++)
        check_steps(&c, steps[i]);
    check_end(&c);
    test_model_free(&model);
    return c.worst;
}

static const size_t few_steps[] = {0, 1, 2, 19};
static const size_t many_steps[] = {100};

/* ---- recurrent layers ------------------------------------------------------------ */

static struct test_model rnn_model(const struct rnn_spec *rnn, uint32_t n_in, uint64_t seed)
{
    static const char *const types[] = {"", "lstm", "gru", "rnn"};
    char text[200];
    struct rng rng = {seed};
    struct model_builder *builder = model_builder_create();
    snprintf(text, sizeof text,
             "%s-c%uh%u direction %u projection %u bias %d peepholes %d initial %d coupled %d "
             "after %d clip %g acts %u %u %u", types[rnn->type], n_in, rnn->hidden,
             rnn->direction, rnn->projection, rnn->bias, rnn->peepholes, rnn->initial,
             rnn->coupled, rnn->reset_after, (double)rnn->clip, rnn->acts[0][0].kind,
             rnn->acts[0][1].kind, rnn->acts[0][2].kind);
    model_set_input(builder, NULL, 1, &n_in);
    build_recurrent(builder, &rng, 0, rnn);
    return test_model_finish(builder, text);
}

static double check_rnn(const struct rnn_spec *rnn, uint32_t n_in)
{
    return check_model(rnn_model(rnn, n_in, rnn->hidden * 100 + n_in), few_steps, 4);
}

Test(exec, plain_cells_of_all_widths)
{
    double worst = 0;
    for (uint32_t type = MODEL_LSTM; type <= MODEL_RNN; type++)
        for (uint32_t hidden = 1; hidden <= 70; hidden++) {
            struct rnn_spec rnn = {.type = type, .hidden = hidden, .bias = hidden % 5 != 0};
            worst = fmax(worst, check_rnn(&rnn, 1 + hidden * 7 % 11));
        }
    printf("plain cells: greatest error %.2f of the noise drawn\n", worst);
}

Test(exec, input_widths)
{
    for (uint32_t n_in = 1; n_in <= test_rounds(70); n_in++) {
        struct rnn_spec rnn = {.type = MODEL_LSTM, .hidden = 5 + n_in % 20, .bias = true};
        check_rnn(&rnn, n_in);
    }
}

/* Every combination of the on-off options at hidden sizes of each kind of tail. */
static void check_options(uint32_t type, uint32_t n_options, void (*set)(struct rnn_spec *, uint32_t))
{
    static const uint32_t widths[] = {3, 12, 20, 40};
    for (uint32_t options = 0; options < 1u << n_options; options++)
        for (uint32_t direction = 0; direction < 3; direction++) {
            struct rnn_spec rnn = {.type = type, .direction = direction};
            rnn.hidden = widths[(options + direction) % 4];
            set(&rnn, options);
            check_rnn(&rnn, 6);
        }
}

static void set_lstm_options(struct rnn_spec *rnn, uint32_t options)
{
    rnn->bias = options & 1;
    rnn->peepholes = options >> 1 & 1;
    rnn->initial = options >> 2 & 1;
    rnn->coupled = options >> 3 & 1;
    rnn->clip = options >> 4 & 1 ? 0.3f : 0;
    rnn->projection = options >> 5 & 1 ? 1 + rnn->hidden / 2 : 0;
}

Test(exec, lstm_options)
{
    check_options(MODEL_LSTM, 6, set_lstm_options);
}

static void set_gru_options(struct rnn_spec *rnn, uint32_t options)
{
    rnn->bias = options & 1;
    rnn->reset_after = options >> 1 & 1;
    rnn->initial = options >> 2 & 1;
    rnn->clip = options >> 3 & 1 ? 0.3f : 0;
}

Test(exec, gru_options)
{
    check_options(MODEL_GRU, 4, set_gru_options);
}

static void set_rnn_options(struct rnn_spec *rnn, uint32_t options)
{
    rnn->bias = options & 1;
    rnn->initial = options >> 1 & 1;
    rnn->clip = options >> 2 & 1 ? 0.3f : 0;
}

Test(exec, rnn_options)
{
    check_options(MODEL_RNN, 3, set_rnn_options);
}

/* Each activation in each place, with a different one in the second direction. */
Test(exec, cell_activations)
{
    struct rng rng = {11};
    for (uint32_t type = MODEL_LSTM; type <= MODEL_RNN; type++)
        for (uint32_t kind = 0; kind < MODEL_ACT_COUNT; kind++)
            for (uint32_t place = 0; place < (type == MODEL_LSTM ? 3 : type == MODEL_GRU ? 2 : 1);
                 place++) {
                struct rnn_spec rnn = {.type = type, .hidden = 9, .bias = true, .own_acts = true,
                                       .direction = MODEL_BIDIRECTIONAL};
                for (uint32_t d = 0; d < 2; d++)
                    for (uint32_t a = 0; a < 3; a++) {
                        uint32_t other = a ? MODEL_ACT_TANH : MODEL_ACT_SIGMOID;
                        rnn.acts[d][a].kind = a == place && d == kind % 2 ? kind : other;
                        random_act_parameters(&rng, rnn.acts[d][a].kind, &rnn.acts[d][a].alpha,
                                              &rnn.acts[d][a].beta);
                    }
                check_rnn(&rnn, 4);
            }
}

/* A mask made of the input, with every way to step and each option that another way may take. */
static struct test_model masked_model(const struct rnn_spec *rnn, uint32_t n_in)
{
    static const char *const types[] = {"", "lstm", "gru", "rnn"};
    char text[100];
    struct rnn_spec masked = *rnn;
    struct rng rng = {rnn->hidden};
    struct model_builder *builder = model_builder_create();
    model_set_input(builder, NULL, 1, &n_in);
    uint32_t first = build_slice(builder, 0, 0, 0, 1, 1);
    masked.mask = build_mask(builder, build_activation(builder, first, MODEL_ACT_RELU, 0, 0), 0);
    build_recurrent(builder, &rng, 0, &masked);
    snprintf(text, sizeof text, "masked %s%u direction %u projection %u peepholes %d after %d",
             types[rnn->type], rnn->hidden, rnn->direction, rnn->projection, rnn->peepholes,
             rnn->reset_after);
    return test_model_finish(builder, text);
}

Test(exec, masked_cells)
{
    static const size_t steps[] = {0, 1, 2, 3, 40};
    for (uint32_t direction = 0; direction < 3; direction++)
        for (uint32_t type = MODEL_LSTM; type <= MODEL_RNN; type++)
            for (uint32_t variant = 0; variant < 4; variant++) {
                const bool lstm = type == MODEL_LSTM;
                struct rnn_spec rnn = {.type = type, .hidden = 5 + 9 * variant, .direction = direction,
                                       .bias = true, .initial = variant % 2,
                                       .reset_after = type == MODEL_GRU && variant > 1,
                                       .peepholes = lstm && variant == 2,
                                       .projection = lstm && variant == 3 ? 4 : 0};
                check_model(masked_model(&rnn, 3), steps, 5);
            }
}

/* What is passed over might as well not be there, and shows the h that stands. */
Test(exec, masked_steps_are_passed_over)
{
    enum { HIDDEN = 24, IN = 3, STEPS = 30 };
    struct rnn_spec rnn = {.type = MODEL_LSTM, .hidden = HIDDEN, .bias = true, .initial = true};
    struct test_model model = masked_model(&rnn, IN);
    struct session s = session_open(&model, NULL, 1, STEPS);
    lstm_stream *all = session_stream(&s), *taken = session_stream(&s);
    float input[STEPS * IN], output[STEPS * HIDDEN], expected[HIDDEN];
    size_t n_h;
    struct rng rng = {5};
    random_input(&rng, &model, STEPS, input);
    input[0] = -1;
    session_run(&s, all, input, STEPS, output);
    memcpy(expected, lstm_stream_get_state(s.model, taken, 3, 0, LSTM_STATE_H, &n_h), sizeof expected);
    for (size_t t = 0; t < STEPS; t++) {
        if (input[t * IN] > 0)
            session_run(&s, taken, input + t * IN, 1, expected);
        cr_assert(memcmp(output + t * HIDDEN, expected, sizeof expected) == 0, "step %zu", t);
    }
    lstm_stream_destroy(all);
    lstm_stream_destroy(taken);
    session_close(&s);
    test_model_free(&model);
}

Test(exec, hundred_steps)
{
    for (uint32_t type = MODEL_LSTM; type <= MODEL_RNN; type++)
        for (uint32_t direction = 0; direction < 3; direction++) {
            struct rnn_spec rnn = {.type = type, .hidden = 33, .direction = direction, .bias = true};
            check_model(rnn_model(&rnn, 10, 5), many_steps, 1);
        }
}

/* ---- other layers -------------------------------------------------------------------- */

/* Builds one layer onto an input [rows][columns] (or [columns] when rows is 0). */
typedef uint32_t layer_builder(struct model_builder *, struct rng *, uint32_t rows, uint32_t columns,
                               uint32_t variant);

static void check_layer(const char *name, layer_builder *build, uint32_t rows, uint32_t columns,
                        uint32_t variant)
{
    char text[100];
    struct rng rng = {columns * 31 + rows};
    struct model_builder *builder = model_builder_create();
    uint32_t dims[2] = {rows ? rows : columns, columns};
    snprintf(text, sizeof text, "%s [%u][%u] variant %u", name, rows, columns, variant);
    model_set_input(builder, NULL, rows ? 2 : 1, dims);
    build(builder, &rng, rows, columns, variant);
    check_model(test_model_finish(builder, text), few_steps, 4);
}

static uint32_t dense_layer(struct model_builder *builder, struct rng *rng, uint32_t rows,
                            uint32_t columns, uint32_t variant)
{
    static const uint32_t outs[] = {1, 2, 3, 4, 5, 15, 16, 17, 33, 64, 70, 200};
    (void)rows, (void)columns;
    return build_dense(builder, rng, 0, outs[variant], variant % MODEL_ACT_COUNT, variant % 3 != 0);
}

static uint32_t activation_layer(struct model_builder *builder, struct rng *rng, uint32_t rows,
                                 uint32_t columns, uint32_t variant)
{
    float alpha, beta;
    (void)rows, (void)columns;
    random_act_parameters(rng, variant, &alpha, &beta);
    return build_activation(builder, 0, variant, alpha, beta);
}

static uint32_t row_layer(struct model_builder *builder, struct rng *rng, uint32_t rows,
                          uint32_t columns, uint32_t variant)
{
    (void)rows, (void)columns;
    if (variant == 0)
        return build_softmax(builder, 0);
    if (variant < 3)
        return build_layer_norm(builder, rng, 0, variant == 2);
    if (variant < 6)
        return build_scale(builder, rng, 0, variant - 2);
    return build_l2_norm(builder, 0, variant == 6 ? 1e-12f : 1.5f);
}

static uint32_t combine_layer(struct model_builder *builder, struct rng *rng, uint32_t rows,
                              uint32_t columns, uint32_t variant)
{
    static const uint32_t types[] = {MODEL_ADD, MODEL_MUL, MODEL_CONCAT, MODEL_CONCAT};
    uint32_t axis = variant == 3 && rows ? 1 : 0;
    uint32_t other = build_dense(builder, rng, 0, columns, MODEL_ACT_TANH, true);
    return build_combine(builder, types[variant], (uint32_t[]){0, other, 0}, 2 + columns % 2, axis);
}

/* One number for every element. */
static uint32_t gain_layer(struct model_builder *builder, struct rng *rng, uint32_t rows,
                           uint32_t columns, uint32_t variant)
{
    uint32_t flat = build_reshape(builder, 0, 1, (uint32_t[]){(rows ? rows : 1) * columns});
    uint32_t one = build_slice(builder, flat, 0, columns - 1, 1, 1);
    (void)rng;
    return build_combine(builder, variant ? MODEL_MUL : MODEL_ADD, (uint32_t[]){0, one}, 2, 0);
}

static uint32_t slice_layer(struct model_builder *builder, struct rng *rng, uint32_t rows,
                            uint32_t columns, uint32_t variant)
{
    uint32_t axis = rows ? variant % 2 : 0, n = rows && axis == 0 ? rows : columns;
    uint32_t start = rng_below(rng, n), step = 1 + variant / 2;
    return build_slice(builder, 0, axis, start, (n - 1 - start) / step + 1, step);
}

static uint32_t reshape_layer(struct model_builder *builder, struct rng *rng, uint32_t rows,
                              uint32_t columns, uint32_t variant)
{
    uint32_t all = (rows ? rows : 1) * columns;
    (void)rng;
    if (variant == 0)
        return build_reshape(builder, 0, 1, (uint32_t[]){all});
    return build_reshape(builder, 0, 3, (uint32_t[]){1, columns, all / columns});
}

static uint32_t pooling_layer(struct model_builder *builder, struct rng *rng, uint32_t rows,
                              uint32_t columns, uint32_t variant)
{
    static const uint32_t types[] = {MODEL_LAST, MODEL_MEAN, MODEL_MAX, MODEL_FIRST};
    uint32_t pooled = build_pooling(builder, 0, types[variant % 4]);
    (void)rows, (void)columns;
    return variant < 4 ? pooled : build_dense(builder, rng, pooled, 7, MODEL_ACT_SIGMOID, true);
}

static uint32_t attention_layer(struct model_builder *builder, struct rng *rng, uint32_t rows,
                                uint32_t columns, uint32_t variant)
{
    const uint32_t flat = build_reshape(builder, 0, 1, (uint32_t[]){(rows ? rows : 1) * columns});
    const uint32_t one = build_slice(builder, flat, 0, columns / 2, 1, 1);
    const float alpha = (float[]){1, -20, 60}[variant];
    (void)rng;
    return build_attention(builder, 0, build_activation(builder, one, MODEL_ACT_AFFINE, alpha, 0.5f));
}

/* Inputs that a mask can meet: relu makes zeros of half of them. */
static uint32_t mask_layer(struct model_builder *builder, struct rng *rng, uint32_t rows,
                           uint32_t columns, uint32_t variant)
{
    (void)rng, (void)rows, (void)columns;
    const float beta = variant ? 0.25f : 0;
    const uint32_t zeros = build_activation(builder, 0, MODEL_ACT_RELU, 0, 0);
    return build_mask(builder, build_activation(builder, zeros, MODEL_ACT_AFFINE, 1, beta), beta);
}

Test(exec, frame_and_pooling_layers)
{
    static const struct {
        const char *name;
        layer_builder *build;
        uint32_t variants;
    } layers[] = {
        {"dense", dense_layer, 12}, {"activation", activation_layer, MODEL_ACT_COUNT},
        {"row", row_layer, 8},      {"combine", combine_layer, 4},
        {"gain", gain_layer, 2},    {"slice", slice_layer, 6},
        {"reshape", reshape_layer, 2}, {"pooling", pooling_layer, 8},
        {"attention", attention_layer, 3}, {"mask", mask_layer, 2},
    };
    static const uint32_t columns[] = {17, 1, 33, 2, 3, 7, 8, 15, 16, 31, 64, 70};
    for (size_t l = 0; l < sizeof layers / sizeof *layers; l++)
        for (uint32_t variant = 0; variant < layers[l].variants; variant++)
            for (size_t i = 0; i < test_rounds(sizeof columns / sizeof *columns); i++) {
                check_layer(layers[l].name, layers[l].build, 0, columns[i], variant);
                check_layer(layers[l].name, layers[l].build, 1 + i % 4, columns[i], variant);
            }
}

/* What is folded over time goes on from block to block, for items of different lengths. */
static struct test_model folding_model(void)
{
    struct rng rng = {3};
    struct model_builder *builder = model_builder_create();
    struct rnn_spec rnn = {.type = MODEL_LSTM, .hidden = 12, .bias = true};
    uint32_t width = 3, parts[4];
    model_set_input(builder, NULL, 1, &width);
    parts[0] = build_pooling(builder, 0, MODEL_MEAN);
    parts[1] = build_attention(builder, 0, build_dense(builder, &rng, 0, 1, MODEL_ACT_AFFINE, true));
    rnn.mask = build_mask(builder, build_activation(builder, 0, MODEL_ACT_RELU, 0, 0), 0);
    uint32_t h = build_recurrent(builder, &rng, 0, &rnn);
    parts[2] = build_attention(builder, h, build_dense(builder, &rng, h, 1, MODEL_ACT_TANH, true));
    parts[3] = build_pooling(builder, h, MODEL_MAX);
    build_combine(builder, MODEL_CONCAT, parts, 4, 0);
    return test_model_finish(builder, "mean, attention, attention of lstm12, max");
}

Test(exec, folding_over_blocks)
{
    check_model(folding_model(), (size_t[]){1, 255, 256, 257, 700}, 5);
}

Test(exec, folding_items_of_different_lengths)
{
    static const size_t steps[] = {700, 20, 300, 1, 256};
    enum { N = 5, MOST = 700, IN = 3 };
    struct test_model model = folding_model();
    struct session s = session_open(&model, NULL, N, MOST);
    lstm_item items[N];
    float *input = test_floats(N * MOST * IN), *alone = test_floats(s.n_out);
    struct rng rng = {4};
    random_input(&rng, &model, N * MOST, input);
    for (size_t i = 0; i < N; i++)
        items[i] = (lstm_item){.stream = session_stream(&s), .input = input + i * MOST * IN,
                               .output = test_floats(s.n_out), .steps = steps[i]};
    session_run_items(&s, items, N);
    for (size_t i = 0; i < N; i++) {
        lstm_stream_reset(s.model, items[i].stream);
        session_run(&s, items[i].stream, items[i].input, steps[i], alone);
        cr_assert(memcmp(items[i].output, alone, s.n_out * sizeof *alone) == 0, "item %zu", i);
        free(items[i].output);
        lstm_stream_destroy(items[i].stream);
    }
    free(input);
    free(alone);
    session_close(&s);
    test_model_free(&model);
}

static struct test_model embedding_model(uint32_t symbols, uint32_t rows, uint32_t width)
{
    char text[100];
    struct rng rng = {rows};
    struct model_builder *builder = model_builder_create();
    snprintf(text, sizeof text, "embedding [%u] of [%u][%u]", symbols, rows, width);
    model_set_input(builder, NULL, 1, &symbols);
    build_embedding(builder, &rng, 0, rows, width);
    struct test_model model = test_model_finish(builder, text);
    model.vocabulary = rows;
    return model;
}

Test(exec, embedding)
{
    for (uint32_t symbols = 1; symbols < 4; symbols++)
        for (uint32_t width = 1; width < 40; width += 6)
            check_model(embedding_model(symbols, 1 + width * 3, width), few_steps, 4);
}

Test(exec, unknown_symbols_become_nan)
{
    static const float bad[] = {-1, 5, 0.5f, 1e30f, -1e30f, INFINITY, -INFINITY, NAN};
    struct test_model model = embedding_model(1, 5, 20);
    struct session s = session_open(&model, NULL, 1, 1);
    lstm_stream *stream = session_stream(&s);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        float output[20] = {0};
        session_run(&s, stream, &bad[i], 1, output);
        for (int j = 0; j < 20; j++)
            cr_assert(isnan(output[j]), "symbol %g gives %g", (double)bad[i], (double)output[j]);
        cr_assert_eq(lstm_model_check_input(s.model, &bad[i], 1, NULL), LSTM_E_DATA);
    }
    lstm_stream_destroy(stream);
    session_close(&s);
    test_model_free(&model);
}

/* ---- whole models ----------------------------------------------------------------------- */

Test(exec, random_models)
{
    double worst = 0;
    for (uint64_t seed = 1; seed < 1 + test_rounds(300); seed++)
        worst = fmax(worst, check_model(random_model(seed, 0), few_steps, 4));
    printf("random models: greatest error %.2f of the noise drawn\n", worst);
}

Test(exec, random_models_of_a_hundred_steps)
{
    for (uint64_t seed = 1001; seed < 1001 + test_rounds(20); seed++)
        check_model(random_model(seed, 0), many_steps, 1);
}

/* Far outside of the usual range the gates saturate: exactly, without NaN. */
Test(exec, huge_inputs_saturate)
{
    for (uint32_t type = MODEL_LSTM; type <= MODEL_RNN; type++) {
        struct rnn_spec rnn = {.type = type, .hidden = 21, .bias = true};
        struct test_model model = rnn_model(&rnn, 3, 3);
        struct session s = session_open(&model, NULL, 1, 8);
        lstm_stream *stream = session_stream(&s);
        float output[8 * 21], input[8 * 3];
        for (int j = 0; j < 24; j++)
            input[j] = (j * 7 % 3 - 1) * (j < 12 ? 1e30f : 3e38f);
        session_run(&s, stream, input, 8, output);
        for (int j = 0; j < 8 * 21; j++)
            cr_assert(fabsf(output[j]) <= 1, "%s: %g", model.text, (double)output[j]);
        lstm_stream_destroy(stream);
        session_close(&s);
        test_model_free(&model);
    }
}

Test(exec, nan_spoils_only_what_follows)
{
    for (uint32_t type = MODEL_LSTM; type <= MODEL_RNN; type++) {
        struct rnn_spec rnn = {.type = type, .hidden = 37, .bias = true};
        struct test_model model = rnn_model(&rnn, 2, 3);
        struct session s = session_open(&model, NULL, 2, 4);
        lstm_stream *streams[2] = {session_stream(&s), session_stream(&s)};
        float output[2][4 * 37], input[2][4 * 2] = {{1, 1, 1, NAN, 1, 1, 1, 1}, {0}};
        lstm_item items[2];
        for (int i = 0; i < 2; i++)
            items[i] = (lstm_item){.stream = streams[i], .input = input[i], .output = output[i],
                                   .steps = 4};
        session_run_items(&s, items, 2);
        for (int j = 0; j < 4 * 37; j++) {
            cr_assert_eq(!!isnan(output[0][j]), j >= 37, "%s: element %d", model.text, j);
            cr_assert(!isnan(output[1][j]), "%s: NaN went from item to item", model.text);
        }
        for (int i = 0; i < 2; i++)
            lstm_stream_destroy(streams[i]);
        session_close(&s);
        test_model_free(&model);
    }
}
