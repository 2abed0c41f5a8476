/* SPDX-License-Identifier: MIT
 *
 * Convolutions against the order of sums that is promised, bit for bit: with plain loops, on
 * each instruction set, in pieces, in ragged batches, from rows with gaps between them, and
 * shared among threads by positions or by columns.
 */
#include <criterion/criterion.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "simd/kernels.h"
#include "tests/session.h"

enum { ITEMS = 3, MOST_STEPS = 41, GAP = 3 };

/* length 0: over time */
struct shape {
    uint32_t length, channels;
    struct conv_spec conv;
};

struct trial {
    struct shape shape;
    struct test_model model;
    struct model_view view;
    struct model_value in, out;
    const float *w, *bias;
    size_t steps[ITEMS], made[ITEMS]; /* of input and output */
    float *input[ITEMS], *expected[ITEMS];
};

/* ---- the promised order ---------------------------------------------------------- */

/* Position of the padded input that stands for q of n, or -1 for zeros. */
static long source_of(const struct conv_spec *conv, long q, long n)
{
    if (q >= 0 && q < n)
        return q;
    if (conv->padding == MODEL_PAD_ZEROS)
        return -1;
    if (conv->padding == MODEL_PAD_EDGE || n == 1)
        return q < 0 ? 0 : n - 1;
    while (q < 0 || q >= n)
        q = q < 0 ? -q : 2 * (n - 1) - q;
    return q;
}

/* Terms in ascending order of taps, then channels: of one output they are w and x side by side. */
static size_t gather(const struct trial *t, const float *frames, long n, long start, uint32_t output,
                     float *w, float *x)
{
    const struct conv_spec *conv = &t->shape.conv;
    const uint32_t each = t->shape.channels / conv->groups;
    const uint32_t first = output / (conv->out / conv->groups) * each;
    size_t terms = 0;
    for (uint32_t k = 0; k < conv->taps; k++) {
        long q = source_of(conv, start + (long)(k * conv->dilation), n);
        for (uint32_t c = 0; c < each; c++, terms++) {
            w[terms] = t->w[output * conv->taps * each + terms];
            x[terms] = q < 0 ? 0 : frames[(size_t)q * t->shape.channels + first + c];
        }
    }
    return terms;
}

static float expected_sum(const struct trial *t, const float *frames, long n, long start,
                          uint32_t output)
{
    float w[1024], x[1024], sum = t->bias ? t->bias[output] : 0;
    const struct conv_spec *conv = &t->shape.conv;
    const size_t terms = gather(t, frames, n, start, output, w, x);
    const bool depthwise = conv->groups > 1 && conv->groups == conv->out &&
                           conv->groups == t->shape.channels;
    for (size_t begin = 0; begin < terms; begin += simd_block(terms)) {
        float block = depthwise ? sum : 0;
        for (size_t k = begin; k < terms && k < begin + simd_block(terms); k++)
            block = fmaf(w[k], x[k], block);
        sum = depthwise ? block : sum + block;
    }
    return conv->act == MODEL_ACT_RELU && !(sum > 0) ? 0 : sum;
}

/* All positions of `n` frames in a row. */
static void expected_run(const struct trial *t, const float *frames, long n, size_t positions,
                         float *out)
{
    const struct conv_spec *conv = &t->shape.conv;
    for (size_t p = 0; p < positions; p++)
        for (uint32_t o = 0; o < conv->out; o++)
            *out++ = expected_sum(t, frames, n, (long)(p * conv->stride) - (long)conv->before, o);
}

/* ---- trials -------------------------------------------------------------------------- */

static size_t reach_of(const struct shape *shape)
{
    return (shape->conv.dilation ? shape->conv.dilation : 1) * (shape->conv.taps - 1);
}

/* Fewest steps that give one over time. */
static size_t least_steps(const struct shape *shape)
{
    const size_t padding = shape->conv.before + shape->conv.after;
    return shape->length || padding >= reach_of(shape) ? 1 : 1 + reach_of(shape) - padding;
}

static size_t made_of(const struct shape *shape, size_t steps)
{
    const size_t padded = steps + shape->conv.before + shape->conv.after;
    return shape->length ? steps : (padded - reach_of(shape) - 1) / shape->conv.stride + 1;
}

static void trial_begin(struct trial *t, const struct shape *shape, uint64_t seed)
{
    char text[160];
    struct rng rng = {seed};
    struct format_error error;
    struct model_layer layer;
    struct model_tensor tensor;
    struct model_builder *builder = model_builder_create();
    *t = (struct trial){.shape = *shape};
    t->shape.conv.stride += !t->shape.conv.stride;
    t->shape.conv.dilation += !t->shape.conv.dilation;
    t->shape.conv.groups += !t->shape.conv.groups;
    const struct conv_spec *conv = &t->shape.conv;
    snprintf(text, sizeof text, "conv [%u][%u] to %u, K %u s %u d %u G %u pad %u + %u kind %u",
             shape->length, shape->channels, conv->out, conv->taps, conv->stride, conv->dilation,
             conv->groups, conv->before, conv->after, conv->padding);
    const uint32_t dims[] = {shape->length ? shape->length : shape->channels, shape->channels};
    model_set_input(builder, NULL, shape->length ? 2 : 1, dims);
    build_conv(builder, &rng, 0, shape->length ? MODEL_CONV1D : MODEL_TEMPORAL_CONV, conv);
    t->model = test_model_finish(builder, text);
    cr_assert(model_read(t->model.bytes, t->model.n_bytes, &t->view, &error), "%s", error.text);
    model_get_value(&t->view, 0, &t->in);
    model_get_value(&t->view, 1, &t->out);
    model_get_layer(&t->view, 0, &layer);
    model_get_tensor(&t->view, layer.tensors[0], &tensor);
    t->w = tensor.data;
    if (layer.tensors[1] != MODEL_NONE) {
        model_get_tensor(&t->view, layer.tensors[1], &tensor);
        t->bias = tensor.data;
    }
    for (size_t i = 0; i < ITEMS; i++) {
        const size_t least = least_steps(shape);
        t->steps[i] = i ? least + rng_below(&rng, (uint32_t)(MOST_STEPS - least)) : MOST_STEPS;
        t->made[i] = made_of(&t->shape, t->steps[i]);
        t->input[i] = test_floats(t->steps[i] * t->in.size);
        t->expected[i] = test_floats(t->steps[i] * t->out.size);
        rng_fill(&rng, 1, t->input[i], t->steps[i] * t->in.size);
        if (!shape->length)
            expected_run(t, t->input[i], (long)t->steps[i], t->made[i], t->expected[i]);
        for (size_t s = 0; shape->length && s < t->steps[i]; s++)
            expected_run(t, t->input[i] + s * t->in.size, shape->length, t->out.dims[0],
                         t->expected[i] + s * t->out.size);
    }
}

static void trial_end(struct trial *t)
{
    for (size_t i = 0; i < ITEMS; i++) {
        free(t->input[i]);
        free(t->expected[i]);
    }
    test_model_free(&t->model);
}

static void expect_rows(const struct trial *t, size_t item, const float *output, size_t stride,
                        const char *how)
{
    for (size_t s = 0; s < t->made[item]; s++) {
        size_t where = 0;
        const float *want = t->expected[item] + s * t->out.size, *got = output + s * stride;
        cr_assert(test_same_bits(got, want, t->out.size, &where),
                  "%s, %s: item %zu, step %zu, number %zu is %a, expected %a", t->model.text, how,
                  item, s, where, (double)got[where], (double)want[where]);
    }
}

/* The history after all is what the last frames were, zeros before there were any. */
static void expect_history(const struct trial *t, const struct session *s, lstm_stream *stream,
                           size_t item)
{
    size_t n;
    const float *state = lstm_stream_get_state(s->model, stream, 0, 0, LSTM_STATE_H, &n);
    cr_assert_eq(n, s->n_states);
    for (size_t j = 0; j < n; j++) {
        const size_t all = t->steps[item] * t->in.size;
        const float want = all + j >= n ? t->input[item][all + j - n] : 0;
        cr_assert(memcmp(&state[j], &want, sizeof want) == 0, "%s: history %zu of item %zu",
                  t->model.text, j, item);
    }
}

/* All items at once, their rows apart, in pieces where that may be. */
static void run_trial(const struct trial *t, const lstm_plan_options *options, size_t piece)
{
    char how[120];
    struct session s = session_open(&t->model, options, ITEMS, MOST_STEPS);
    const int whole = !lstm_model_get_info(s.model)->streams;
    for (size_t i = 0; i < ITEMS; i++)
        cr_assert_eq(lstm_model_get_output_steps(s.model, t->steps[i]), t->made[i], "%s", t->model.text);
    const size_t in_stride = t->in.size + (piece % 2 ? GAP : 0), out_stride = t->out.size + GAP;
    lstm_item items[ITEMS] = {{0}};
    float *input[ITEMS], *output[ITEMS];
    snprintf(how, sizeof how, "isa %s, %u threads, split %s, pieces of %zu",
             options->isa ? options->isa : "best", options->threads,
             options->split ? options->split : "as planned", whole ? (size_t)MOST_STEPS : piece);
    for (size_t i = 0; i < ITEMS; i++) {
        input[i] = test_floats(t->steps[i] * in_stride);
        output[i] = test_floats(t->steps[i] * out_stride);
        for (size_t j = 0; j < t->steps[i]; j++)
            memcpy(input[i] + j * in_stride, t->input[i] + j * t->in.size, t->in.size * sizeof(float));
        items[i] = (lstm_item){session_stream(&s), input[i], output[i], 0, in_stride, out_stride};
    }
    for (size_t done = 0; done < MOST_STEPS; done += whole ? MOST_STEPS : piece) {
        for (size_t i = 0; i < ITEMS; i++) {
            const size_t rest = t->steps[i] > done ? t->steps[i] - done : 0;
            items[i].steps = whole || rest < piece ? rest : piece;
            items[i].input = input[i] + done * in_stride;
            items[i].output = output[i] + done * out_stride;
        }
        session_run_items(&s, items, ITEMS);
    }
    for (size_t i = 0; i < ITEMS; i++) {
        expect_rows(t, i, output[i], out_stride, how);
        expect_history(t, &s, items[i].stream, i);
        lstm_stream_destroy(items[i].stream);
        free(input[i]);
        free(output[i]);
    }
    session_close(&s);
}

static void try_shape(const struct shape *shape, uint64_t seed)
{
    static const size_t pieces[] = {1, 2, 5, 7, 40, MOST_STEPS};
    struct trial t;
    trial_begin(&t, shape, seed);
    for (size_t i = 0; test_isa_names[i]; i++) {
        lstm_plan_options options = LSTM_PLAN_OPTIONS_INIT;
        if (!test_has_isa(&t.model, test_isa_names[i]))
            continue;
        options.isa = test_isa_names[i];
        options.threads = 1;
        for (size_t p = 0; p < sizeof pieces / sizeof *pieces; p++)
            run_trial(&t, &options, pieces[p]);
        for (options.threads = 2; options.threads < 5 && test_has_threads(&t.model); options.threads++) {
            options.split = options.threads % 2 ? "items" : "team";
            run_trial(&t, &options, pieces[options.threads % 4]);
            options.split = "team";
            run_trial(&t, &options, pieces[options.threads]);
        }
    }
    trial_end(&t);
}

/* ---- tests ------------------------------------------------------------------------------ */

Test(conv, inside_frames)
{
    static const struct shape shapes[] = {
        {9, 4, {.out = 5, .taps = 3, .bias = true}},
        {9, 1, {.out = 18, .taps = 4, .stride = 2, .after = 3, .padding = MODEL_PAD_REFLECT}},
        {12, 7, {.out = 70, .taps = 3, .before = 1, .after = 1, .bias = true, .act = MODEL_ACT_RELU}},
        {12, 6, {.out = 33, .taps = 5, .dilation = 2, .before = 4, .after = 4,
                 .padding = MODEL_PAD_EDGE, .bias = true}},
        {5, 3, {.out = 130, .taps = 1, .stride = 2, .bias = true}},
        {5, 3, {.out = 8, .taps = 1, .before = 2, .after = 9, .bias = true}},
        {7, 6, {.out = 9, .taps = 3, .groups = 3, .before = 6, .after = 6, .bias = true,
                .padding = MODEL_PAD_REFLECT}},
        {7, 8, {.out = 136, .taps = 2, .groups = 2, .stride = 3}},
        {10, 20, {.out = 20, .taps = 3, .groups = 20, .before = 2, .bias = true}},
        {10, 20, {.out = 20, .taps = 3, .groups = 20, .dilation = 3, .act = MODEL_ACT_RELU}},
        {1, 40, {.out = 12, .taps = 25, .before = 30, .after = 3, .bias = true}},
        {40, 2, {.out = 3, .taps = 90, .stride = 4, .before = 39, .after = 39,
                 .padding = MODEL_PAD_REFLECT}},
        {1, 5, {.out = 6, .taps = 4, .before = 3, .after = 2, .padding = MODEL_PAD_EDGE}},
    };
    for (size_t i = 0; i < test_rounds(sizeof shapes / sizeof *shapes); i++)
        try_shape(&shapes[i], i + 1);
}

Test(conv, over_time_with_a_history)
{
    static const struct shape shapes[] = {
        {0, 4, {.out = 5, .taps = 3, .before = 2, .bias = true}},
        {0, 1, {.out = 16, .taps = 9, .before = 8, .act = MODEL_ACT_RELU}},
        {0, 6, {.out = 70, .taps = 3, .dilation = 8, .before = 16, .bias = true}},
        {0, 6, {.out = 9, .taps = 2, .dilation = 60, .before = 60, .groups = 3, .bias = true}},
        {0, 17, {.out = 17, .taps = 4, .dilation = 3, .before = 9, .groups = 17, .bias = true}},
        {0, 5, {.out = 130, .taps = 1, .bias = true}},
        {0, 40, {.out = 3, .taps = 5, .before = 4, .bias = true}},
    };
    for (size_t i = 0; i < test_rounds(sizeof shapes / sizeof *shapes); i++)
        try_shape(&shapes[i], i + 20);
}

/* Runs as long as they are, some of them shorter than what is padded. */
Test(conv, over_time_of_whole_runs)
{
    static const struct shape shapes[] = {
        {0, 4, {.out = 5, .taps = 3, .before = 1, .after = 1, .bias = true}},
        {0, 4, {.out = 5, .taps = 9, .before = 4, .after = 4, .padding = MODEL_PAD_EDGE}},
        {0, 3, {.out = 70, .taps = 3, .dilation = 40, .before = 60, .after = 20,
                .padding = MODEL_PAD_REFLECT, .bias = true}},
        {0, 3, {.out = 6, .taps = 5, .dilation = 2, .after = 8, .groups = 3, .bias = true}},
        {0, 9, {.out = 9, .taps = 4, .before = 3, .groups = 9, .padding = MODEL_PAD_REFLECT}},
        {0, 9, {.out = 9, .taps = 5, .before = 2, .after = 2, .groups = 9}},
    };
    for (size_t i = 0; i < test_rounds(sizeof shapes / sizeof *shapes); i++)
        try_shape(&shapes[i], i + 40);
}

/* Fewer steps come out than went in. */
Test(conv, over_time_with_other_steps)
{
    static const struct shape shapes[] = {
        {0, 4, {.out = 5, .taps = 3, .bias = true}},
        {0, 4, {.out = 5, .taps = 2, .stride = 2, .bias = true}},
        {0, 6, {.out = 70, .taps = 4, .stride = 3, .before = 1, .after = 1, .padding = MODEL_PAD_REFLECT}},
        {0, 5, {.out = 3, .taps = 5, .dilation = 2, .stride = 2, .before = 4, .groups = 1, .bias = true}},
        {0, 9, {.out = 9, .taps = 4, .stride = 4, .groups = 9, .after = 2, .padding = MODEL_PAD_EDGE}},
        {0, 3, {.out = 8, .taps = 1, .stride = 5, .bias = true, .act = MODEL_ACT_RELU}},
        {0, 2, {.out = 4, .taps = 3, .stride = 50, .before = 2}},
    };
    for (size_t i = 0; i < test_rounds(sizeof shapes / sizeof *shapes); i++)
        try_shape(&shapes[i], i + 60);
}

Test(conv, too_few_steps_are_refused)
{
    struct rng rng = {5};
    const struct conv_spec conv = {.out = 2, .taps = 4, .stride = 3, .bias = true};
    struct model_builder *builder = model_builder_create();
    const uint32_t width = 3;
    float input[7 * 3] = {1}, output[2 * 2];
    model_set_input(builder, NULL, 1, &width);
    build_conv(builder, &rng, 0, MODEL_TEMPORAL_CONV, &conv);
    struct test_model model = test_model_finish(builder, "four taps");
    struct session s = session_open(&model, NULL, 1, 7);
    lstm_item item = {.stream = session_stream(&s), .input = input, .output = output};
    cr_assert_eq(lstm_model_get_info(s.model)->least_steps, 4);
    static const size_t made[] = {0, 0, 0, 0, 1, 1, 1, 2};
    for (item.steps = 0; item.steps < 8; item.steps++) {
        cr_assert_eq(lstm_model_get_output_steps(s.model, item.steps), made[item.steps]);
        cr_assert_eq(lstm_run(s.plan, s.workspace, &item, 1),
                     item.steps && item.steps < 4 ? LSTM_E_ARG : LSTM_OK, "%zu steps", item.steps);
    }
    lstm_stream_destroy(item.stream);
    session_close(&s);
    test_model_free(&model);
}

/* ---- two ways to the same steps ---------------------------------------------------------- */

enum { MOST_LAYERS = 3, RUNS = 300 };

/* A chain of convolutions, and the steps that come out of each number of them. */
static uint32_t random_chain(struct model_builder *builder, struct rng *rng, size_t made[RUNS])
{
    uint32_t value = 0;
    for (size_t n = 0; n < RUNS; n++)
        made[n] = n;
    for (uint32_t i = 1 + rng_below(rng, MOST_LAYERS); i > 0; i--) {
        struct shape shape = {.channels = 2, .conv = {.out = 2, .stride = 1 + rng_below(rng, 3)}};
        shape.conv.taps = 1 + rng_below(rng, 4);
        shape.conv.after = rng_below(rng, shape.conv.taps);
        shape.conv.before = rng_below(rng, shape.conv.taps - shape.conv.after);
        value = build_conv(builder, rng, value, MODEL_TEMPORAL_CONV, &shape.conv);
        for (size_t n = 0; n < RUNS; n++)
            made[n] = made[n] < least_steps(&shape) ? 0 : made_of(&shape, made[n]);
    }
    return value;
}

static bool check_joint(uint64_t seed)
{
    struct rng rng = {seed};
    struct model_builder *builder = model_builder_create();
    const uint32_t width = 2;
    size_t made[2][RUNS];
    uint32_t values[2];
    lstm_model *model = NULL;
    lstm_error error;
    model_set_input(builder, NULL, 1, &width);
    for (int i = 0; i < 2; i++)
        values[i] = random_chain(builder, &rng, made[i]);
    build_combine(builder, MODEL_ADD, values, 2, 0);
    struct test_model test = test_model_finish(builder, "two chains");
    const bool same = memcmp(made[0], made[1], sizeof made[0]) == 0;
    const lstm_status status = lstm_model_open_memory(test.bytes, test.n_bytes, &model, &error);
    cr_assert_eq(status, same ? LSTM_OK : LSTM_E_FORMAT, "seed %d", (int)seed);
    if (!same)
        cr_assert_eq(error.rule, MODEL_RULE_PACE, "seed %d: %s", (int)seed, error.text);
    for (size_t n = 0; same && n < RUNS; n++)
        cr_assert_eq(lstm_model_get_output_steps(model, n), made[0][n], "seed %d, %zu steps", (int)seed, n);
    lstm_model_close(model);
    test_model_free(&test);
    return same;
}

/* They may be joined exactly where their numbers of steps are the same in every run. */
Test(conv, joins_what_keeps_step)
{
    size_t joined = 0;
    for (uint64_t seed = 1; seed <= 3000; seed++)
        joined += check_joint(seed);
    cr_assert_gt(joined, 50, "%zu of 3000 pairs keep step", joined);
}

/* Far taps of a hostile file cost neither time nor memory. */
Test(conv, padding_is_never_made)
{
    static const uint32_t far = 0x7fffffff;
    struct rng rng = {1};
    struct conv_spec conv = {.out = 2, .taps = 2, .dilation = far, .before = far / 2,
                             .after = far - far / 2, .padding = MODEL_PAD_EDGE, .bias = true};
    struct model_builder *builder = model_builder_create();
    const uint32_t width = 3;
    float input[4 * 3] = {1, 2, 3}, output[4 * 2];
    model_set_input(builder, NULL, 1, &width);
    uint32_t value = build_conv(builder, &rng, 0, MODEL_TEMPORAL_CONV, &conv);
    conv.padding = MODEL_PAD_REFLECT;
    build_conv(builder, &rng, value, MODEL_TEMPORAL_CONV, &conv);
    struct test_model model = test_model_finish(builder, "far taps");
    struct session s = session_open(&model, NULL, 1, 4);
    lstm_stream *stream = session_stream(&s);
    cr_assert_lt(lstm_workspace_bytes(s.plan, 1, 4), (size_t)1 << 20);
    session_run(&s, stream, input, 4, output);
    for (int j = 0; j < 8; j++)
        cr_assert(isfinite(output[j]));
    lstm_stream_destroy(stream);
    session_close(&s);
    test_model_free(&model);
}
