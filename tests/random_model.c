/* SPDX-License-Identifier: MIT
 *
 * The generator of whole random models: an input (numbers or symbols), a chain of
 * one to five steps with residual edges into it, perhaps a layer that pools over
 * time, perhaps a head.
 */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/random_model.h"

struct draft {
    struct model_builder *builder;
    struct rng rng;
    uint32_t flags;
    uint32_t value;        /* the chain's end: always of rank 1 */
    uint32_t earlier[8];   /* values of rank 1 with every step's frame */
    uint32_t n_earlier;
    char *text;
    size_t n_text, room;
};

static void note(struct draft *draft, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    int n = vsnprintf(draft->text + draft->n_text, draft->room - draft->n_text, format, args);
    va_end(args);
    draft->n_text += (size_t)n;
    if (draft->n_text >= draft->room)
        draft->n_text = draft->room - 1;
}

static struct model_value shape_of(const struct draft *draft, uint32_t value)
{
    struct model_value out;
    if (!model_builder_value(draft->builder, value, &out)) {
        fprintf(stderr, "random_model: no value %u in %s\n", value, draft->text);
        abort();
    }
    return out;
}

static uint32_t width_of(const struct draft *draft)
{
    return shape_of(draft, draft->value).dims[0];
}

static uint32_t random_width(struct rng *rng)
{
    static const uint32_t favourites[] = {1, 3, 4, 5, 8, 12, 16, 20, 32, 40, 64};
    if (rng_chance(rng, 60))
        return favourites[rng_below(rng, sizeof favourites / sizeof *favourites)];
    return 1 + rng_below(rng, 70);
}

/* ---- one step of the chain --------------------------------------------------- */

/* Gates stay between -1 and 1, else states grow without end; and no thresholded relu in a
 * loop, whose jump makes tiny differences large ones. */
static void random_acts(struct rng *rng, struct rnn_spec *rnn)
{
    static const uint32_t gates[] = {MODEL_ACT_SIGMOID, MODEL_ACT_HARD_SIGMOID, MODEL_ACT_SOFTSIGN};
    rnn->own_acts = true;
    for (uint32_t d = 0; d < 2; d++)
        for (uint32_t a = 0; a < 3; a++) {
            uint32_t kind = rng_below(rng, MODEL_ACT_COUNT);
            if (a == 0 && rnn->type != MODEL_RNN)
                kind = gates[rng_below(rng, 3)];
            rnn->acts[d][a].kind = kind == MODEL_ACT_THRESHOLDED_RELU ? MODEL_ACT_TANH : kind;
            random_act_parameters(rng, rnn->acts[d][a].kind, &rnn->acts[d][a].alpha,
                                  &rnn->acts[d][a].beta);
        }
}

static struct rnn_spec random_rnn(struct rng *rng, uint32_t flags)
{
    static const uint32_t types[] = {MODEL_LSTM, MODEL_LSTM, MODEL_GRU, MODEL_RNN};
    struct rnn_spec rnn = {.type = MODEL_LSTM, .hidden = random_width(rng)};
    if (!(flags & RANDOM_STREAMS) && rng_chance(rng, 40))
        rnn.direction = 1 + rng_below(rng, 2);
    rnn.bias = rng_chance(rng, 80);
    rnn.initial = rng_chance(rng, 25);
    if (flags & RANDOM_PLAIN)
        return rnn;
    rnn.type = types[rng_below(rng, 4)];
    if (rnn.type == MODEL_LSTM) {
        rnn.peepholes = rng_chance(rng, 20);
        rnn.coupled = rng_chance(rng, 15);
        rnn.projection = rng_chance(rng, 20) ? 1 + rng_below(rng, rnn.hidden) : 0;
    }
    rnn.reset_after = rnn.type == MODEL_GRU && rng_chance(rng, 50);
    rnn.clip = rng_chance(rng, 20) ? 0.5f : 0;
    if (rng_chance(rng, 20))
        random_acts(rng, &rnn);
    return rnn;
}

/* Frames whose first number is not positive are passed over; of symbols, those that are 0. Made
 * of the input, as a number of which rounding decides whether it is 0 makes no fair test. */
static uint32_t random_mask(struct draft *draft)
{
    const uint32_t first = build_slice(draft->builder, 0, 0, 0, 1, 1);
    return build_mask(draft->builder,
                      build_activation(draft->builder, first, MODEL_ACT_RELU, 0, 0), 0);
}

static void step_recurrent(struct draft *draft)
{
    static const char *const types[] = {"", "lstm", "gru", "rnn"};
    struct rnn_spec rnn = random_rnn(&draft->rng, draft->flags);
    if (!(draft->flags & RANDOM_PLAIN) && rng_chance(&draft->rng, 20))
        rnn.mask = random_mask(draft);
    note(draft, " %s%s%u%s%s%s%s%s%s", rnn.mask ? "masked-" : "", types[rnn.type], rnn.hidden,
         rnn.direction == MODEL_BIDIRECTIONAL ? "b" : rnn.direction == MODEL_REVERSED ? "r" : "",
         rnn.projection ? "+proj" : "", rnn.peepholes ? "+peep" : "", rnn.coupled ? "+cifg" : "",
         rnn.clip > 0 ? "+clip" : "", rnn.own_acts ? "+acts" : rnn.reset_after ? "+after" : "");
    draft->value = build_recurrent(draft->builder, &draft->rng, draft->value, &rnn);
}

static void step_dense(struct draft *draft)
{
    uint32_t n_out = random_width(&draft->rng), kind = rng_below(&draft->rng, MODEL_ACT_COUNT);
    note(draft, " dense%u", n_out);
    draft->value = build_dense(draft->builder, &draft->rng, draft->value, n_out, kind,
                               rng_chance(&draft->rng, 80));
}

static void step_activation(struct draft *draft)
{
    float alpha, beta;
    uint32_t kind = rng_below(&draft->rng, MODEL_ACT_COUNT);
    random_act_parameters(&draft->rng, kind, &alpha, &beta);
    note(draft, " act%u", kind);
    draft->value = build_activation(draft->builder, draft->value, kind, alpha, beta);
}

static void step_norm(struct draft *draft)
{
    if (rng_chance(&draft->rng, 30)) {
        note(draft, " l2");
        draft->value = build_l2_norm(draft->builder, draft->value, 0.1f);
        return;
    }
    note(draft, " norm");
    draft->value = build_layer_norm(draft->builder, &draft->rng, draft->value,
                                    rng_chance(&draft->rng, 70));
}

static void step_softmax(struct draft *draft)
{
    note(draft, " softmax");
    draft->value = build_softmax(draft->builder, draft->value);
}

static void step_scale(struct draft *draft)
{
    note(draft, " scale");
    draft->value = build_scale(draft->builder, &draft->rng, draft->value,
                               1 + rng_below(&draft->rng, 3));
}

/* A residual edge: bring the chain to the width of an earlier value and join them. */
static void step_join(struct draft *draft)
{
    static const char *const names[] = {"add", "mul", "concat"};
    static const uint32_t types[] = {MODEL_ADD, MODEL_MUL, MODEL_CONCAT};
    uint32_t which = rng_below(&draft->rng, 3);
    uint32_t other = draft->earlier[rng_below(&draft->rng, draft->n_earlier)];
    uint32_t width = shape_of(draft, other).dims[0];
    if (types[which] != MODEL_CONCAT && width != width_of(draft))
        draft->value = build_dense(draft->builder, &draft->rng, draft->value, width,
                                   MODEL_ACT_IDENTITY, true);
    note(draft, " %s", names[which]);
    draft->value = build_combine(draft->builder, types[which],
                                 (uint32_t[]){draft->value, other}, 2, 0);
}

/* One number for all elements. */
static void step_gain(struct draft *draft)
{
    note(draft, " gain");
    uint32_t one = build_slice(draft->builder, draft->value, 0, 0, 1, 1);
    draft->value = build_combine(draft->builder, rng_chance(&draft->rng, 50) ? MODEL_ADD : MODEL_MUL,
                                 (uint32_t[]){draft->value, one}, 2, 0);
}

static void step_slice(struct draft *draft)
{
    uint32_t width = width_of(draft);
    uint32_t start = rng_below(&draft->rng, width), step = 1 + rng_below(&draft->rng, 3);
    uint32_t count = 1 + rng_below(&draft->rng, (width - 1 - start) / step + 1);
    note(draft, " slice");
    draft->value = build_slice(draft->builder, draft->value, 0, start, count, step);
}

/* Through a frame of rank 2 and back. */
static void step_matrix(struct draft *draft)
{
    uint32_t rows = 1 + rng_below(&draft->rng, 3), columns = 1 + rng_below(&draft->rng, 12);
    uint32_t out = 1 + rng_below(&draft->rng, 12);
    note(draft, " matrix%ux%u", rows, columns);
    uint32_t value = build_dense(draft->builder, &draft->rng, draft->value, rows * columns,
                                 MODEL_ACT_IDENTITY, true);
    value = build_reshape(draft->builder, value, 2, (uint32_t[]){rows, columns});
    value = build_dense(draft->builder, &draft->rng, value, out, MODEL_ACT_TANH, true);
    value = build_combine(draft->builder, MODEL_CONCAT, (uint32_t[]){value, value}, 2,
                          rng_below(&draft->rng, 2));
    draft->value = build_reshape(draft->builder, value, 1, (uint32_t[]){2 * rows * out});
}

/* ---- convolutions ---- */

/* Of channels that both sides can be divided into; often as many groups as channels. */
static uint32_t random_groups(struct rng *rng, uint32_t in, uint32_t *out)
{
    if (rng_chance(rng, 60))
        return 1;
    uint32_t groups = rng_chance(rng, 50) ? in : 1 + rng_below(rng, in);
    while (in % groups)
        groups--;
    *out = groups * (rng_chance(rng, 50) ? 1 : 1 + rng_below(rng, 4));
    return groups;
}

static struct conv_spec random_conv(struct rng *rng, uint32_t channels)
{
    struct conv_spec conv = {.out = random_width(rng), .taps = 1 + rng_below(rng, 5),
                             .dilation = 1 + rng_below(rng, 3), .bias = rng_chance(rng, 70)};
    conv.act = rng_below(rng, MODEL_ACT_COUNT);
    conv.act = conv.act == MODEL_ACT_THRESHOLDED_RELU ? MODEL_ACT_RELU : conv.act;
    conv.dilation = rng_chance(rng, 50) ? 1 : conv.dilation;
    conv.groups = random_groups(rng, channels, &conv.out);
    return conv;
}

/* Inside a frame of rank 2 and back, by way of its transpose or of magnitudes. */
static void step_conv1d(struct draft *draft)
{
    uint32_t length = 1 + rng_below(&draft->rng, 12), channels = 1 + rng_below(&draft->rng, 8);
    struct conv_spec conv = random_conv(&draft->rng, channels);
    uint32_t reach = conv.dilation * (conv.taps - 1), axes = rng_below(&draft->rng, 2);
    conv.stride = 1 + rng_below(&draft->rng, 3);
    conv.padding = rng_below(&draft->rng, 3);
    conv.before = rng_below(&draft->rng, length);
    conv.after = rng_below(&draft->rng, length);
    if (length + conv.before + conv.after <= reach)
        conv.taps = 1;
    note(draft, " conv%ux%u:%u/%u", length, channels, conv.taps, conv.groups);
    uint32_t value = build_dense(draft->builder, &draft->rng, draft->value, length * channels,
                                 MODEL_ACT_IDENTITY, true);
    value = build_reshape(draft->builder, value, 2, (uint32_t[]){length, channels});
    value = build_conv(draft->builder, &draft->rng, value, MODEL_CONV1D, &conv);
    value = build_transpose(draft->builder, value, (uint32_t[]){axes, 1 - axes});
    struct model_value out = shape_of(draft, value);
    if (out.dims[1] % 2 == 0)
        value = build_magnitude(draft->builder, value);
    uint32_t size = (uint32_t)shape_of(draft, value).size;
    draft->value = build_reshape(draft->builder, value, 1, &size);
}

static void step_temporal(struct draft *draft)
{
    struct conv_spec conv = random_conv(&draft->rng, width_of(draft));
    uint32_t reach = conv.dilation * (conv.taps - 1);
    conv.before = reach;
    if (!(draft->flags & RANDOM_STREAMS) && rng_chance(&draft->rng, 60)) {
        conv.before = rng_below(&draft->rng, reach + 1);
        conv.padding = rng_below(&draft->rng, 3);
    }
    conv.after = reach - conv.before;
    note(draft, " temporal%u:%u*%u/%u", conv.out, conv.taps, conv.dilation, conv.groups);
    draft->value = build_conv(draft->builder, &draft->rng, draft->value, MODEL_TEMPORAL_CONV, &conv);
}

/* As many steps come out as go in. */
static void step_pool(struct draft *draft)
{
    const bool streams = draft->flags & RANDOM_STREAMS;
    const uint32_t taps = 1 + rng_below(&draft->rng, 5);
    const uint32_t before = streams ? taps - 1 : rng_below(&draft->rng, taps);
    const uint32_t kind = streams ? 2 * rng_below(&draft->rng, 2) : rng_below(&draft->rng, 3);
    note(draft, " pool%u:%u", kind, taps);
    draft->value = build_temporal_pool(draft->builder, draft->value,
                                       &(struct pool_spec){1, 1, before, taps - 1 - before, kind, taps});
}

static void step_delay(struct draft *draft)
{
    uint32_t steps = 1 + rng_below(&draft->rng, 6);
    note(draft, " delay%u", steps);
    draft->value = build_delay(draft->builder, draft->value, steps);
}

static void step_reverse(struct draft *draft)
{
    if (draft->flags & RANDOM_STREAMS)
        return;
    note(draft, " reverse");
    draft->value = build_reverse(draft->builder, draft->value);
}

static void random_step(struct draft *draft)
{
    static const struct {
        uint32_t weight;
        void (*step)(struct draft *);
    } steps[] = {
        {36, step_recurrent}, {8, step_dense},  {4, step_activation}, {4, step_norm},
        {3, step_softmax},    {4, step_scale},  {8, step_join},       {4, step_gain},
        {4, step_slice},      {4, step_matrix}, {7, step_conv1d},     {5, step_temporal},
        {3, step_delay},      {3, step_reverse}, {3, step_pool},
    };
    uint32_t at = rng_below(&draft->rng, 100), i = 0;
    while (at >= steps[i].weight)
        at -= steps[i++].weight;
    steps[i].step(draft);
    if (draft->n_earlier < sizeof draft->earlier / sizeof *draft->earlier)
        draft->earlier[draft->n_earlier++] = draft->value;
}

/* ---- whole models ------------------------------------------------------------------ */

static uint32_t random_front(struct draft *draft)
{
    uint32_t width = random_width(&draft->rng), vocabulary = 0;
    if (rng_chance(&draft->rng, 15)) {
        uint32_t symbols = 1 + rng_below(&draft->rng, 3);
        vocabulary = 1 + rng_below(&draft->rng, 50);
        model_set_input(draft->builder, "symbols", 1, &symbols);
        draft->value = build_embedding(draft->builder, &draft->rng, 0, vocabulary, width);
        if (symbols > 1)
            draft->value = build_reshape(draft->builder, draft->value, 1,
                                         (uint32_t[]){symbols * width});
        note(draft, " embedding%u", vocabulary);
    } else {
        model_set_input(draft->builder, "frames", 1, &width);
        note(draft, " i%u", width);
    }
    draft->earlier[draft->n_earlier++] = draft->value;
    return vocabulary;
}

static void random_back(struct draft *draft)
{
    if (!(draft->flags & RANDOM_STREAMS) && rng_chance(&draft->rng, 30)) {
        static const uint32_t types[] = {MODEL_LAST, MODEL_MEAN, MODEL_MAX, MODEL_FIRST};
        static const char *const names[] = {"last", "mean", "max", "first"};
        const uint32_t which = rng_below(&draft->rng, 5);
        note(draft, " %s", which < 4 ? names[which] : "attention");
        if (which < 4)
            draft->value = build_pooling(draft->builder, draft->value, types[which]);
        else
            draft->value = build_attention(draft->builder, draft->value,
                                           build_dense(draft->builder, &draft->rng, draft->value, 1,
                                                       MODEL_ACT_TANH, true));
    }
    if (rng_chance(&draft->rng, 50))
        step_dense(draft);
    if (rng_chance(&draft->rng, 15))
        step_softmax(draft);
}

static void *must(void *pointer)
{
    if (!pointer) {
        fputs("random_model: out of memory\n", stderr);
        abort();
    }
    return pointer;
}

struct test_model test_model_finish(struct model_builder *builder, const char *text)
{
    struct test_model out = {0};
    struct format_error error;
    struct model_view view;
    struct model_value value;
    snprintf(out.text, sizeof out.text, "%s", text);
    if (!model_finish(builder, &out.bytes, &out.n_bytes, &error) ||
        !model_read(out.bytes, out.n_bytes, &view, &error)) {
        fprintf(stderr, "%s: rule %u: %s\n", text, error.rule, error.text);
        abort();
    }
    model_get_value(&view, 0, &value);
    out.n_in = value.size;
    model_get_value(&view, view.output, &value);
    out.n_out = value.size;
    model_builder_destroy(builder);
    return out;
}

struct test_model random_model(uint64_t seed, uint32_t flags)
{
    char text[256];
    struct draft draft = {.builder = must(model_builder_create()), .rng = {seed}, .flags = flags,
                          .text = text, .room = sizeof text};
    note(&draft, "seed %llu:", (unsigned long long)seed);
    uint32_t vocabulary = random_front(&draft);
    for (uint32_t n = 1 + rng_below(&draft.rng, 5); n > 0; n--)
        random_step(&draft);
    random_back(&draft);
    if (draft.value == 0) /* a model needs a layer */
        step_dense(&draft);
    struct test_model out = test_model_finish(draft.builder, text);
    out.vocabulary = vocabulary;
    return out;
}

void test_model_free(struct test_model *model)
{
    free(model->bytes);
    *model = (struct test_model){0};
}

void random_input(struct rng *rng, const struct test_model *model, size_t steps, float *out)
{
    for (size_t j = 0; j < steps * model->n_in; j++)
        out[j] = model->vocabulary ? (float)rng_below(rng, model->vocabulary) : rng_float(rng, 2);
}
