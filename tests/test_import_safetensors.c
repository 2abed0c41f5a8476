/* SPDX-License-Identifier: MIT
 *
 * The safetensors importer: every kind of recurrent stack against what its weights must
 * become, the order of layers, what a spec changes, and what is refused.
 */
#include <criterion/criterion.h>
#include <float.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/failing_malloc.h"
#include "tests/importing.h"
#include "tests/rng.h"
#include "tests/safetensors_writer.h"

/* Weights that every element type holds exactly and whose sums are exact. */
static void fill(struct rng *rng, float *out, size_t n)
{
    for (size_t i = 0; i < n; i++)
        out[i] = (float)((int)rng_below(rng, 128) - 64) / 16;
}

/* ---- stacks -------------------------------------------------------------- */

struct stack {
    uint32_t gates, layers, directions, input, hidden, projection;
    bool bias;
    enum named_dtype dtype;
    const char *prefix;
};

enum { W_IH, W_HH, B_IH, B_HH, W_HR, ROLES, MAX_CELLS = 6, MAX_COUNT = 4 * 8 * 32 };

/* What was put into the file, kept for the comparison. */
struct stack_weights {
    float numbers[MAX_CELLS][ROLES][MAX_COUNT];
};

static uint32_t state_size(const struct stack *s)
{
    return s->projection ? s->projection : s->hidden;
}

static uint32_t layer_input(const struct stack *s, uint32_t layer)
{
    return layer ? s->directions * state_size(s) : s->input;
}

static void add_stack(struct st_writer *writer, const struct stack *s, struct rng *rng,
                      struct stack_weights *weights)
{
    static const char *const names[ROLES] = {"weight_ih", "weight_hh", "bias_ih", "bias_hh", "weight_hr"};
    for (uint32_t cell = 0; cell < s->layers * s->directions; cell++) {
        uint32_t layer = cell / s->directions;
        bool reverse = cell % s->directions;
        uint64_t rows = (uint64_t)s->gates * s->hidden, R = state_size(s);
        const uint64_t dims[ROLES][2] = {
            {rows, layer_input(s, layer)}, {rows, R}, {rows, 1}, {rows, 1}, {R, s->hidden}};
        for (unsigned role = 0; role < ROLES; role++) {
            char name[100];
            bool is_bias = role == B_IH || role == B_HH;
            if ((is_bias && !s->bias) || (role == W_HR && !s->projection))
                continue;
            fill(rng, weights->numbers[cell][role], dims[role][0] * dims[role][1]);
            snprintf(name, sizeof name, "%s%s%s_l%u%s", s->prefix, *s->prefix ? "." : "", names[role], layer,
                     reverse ? "_reverse" : "");
            st_add(writer, name, s->dtype, is_bias ? 1 : 2, dims[role], weights->numbers[cell][role]);
        }
    }
}

/* Compare a tensor of the model with `expected`. */
static void expect_tensor(const struct imported *model, uint32_t index, uint32_t rank,
                          const uint32_t *dims, const float *expected)
{
    struct model_tensor tensor;
    cr_assert_neq(index, MODEL_NONE);
    model_get_tensor(&model->view, index, &tensor);
    cr_assert_eq(tensor.rank, rank, "%s", tensor.name.text);
    for (uint32_t i = 0; i < rank; i++)
        cr_assert_eq(tensor.dims[i], dims[i], "%s: dimension %u", tensor.name.text, i);
    cr_assert_arr_eq(tensor.data, expected, tensor.count * sizeof *expected, "%s", tensor.name.text);
}

/* The row-by-row meaning of FORMAT.md's W: columns of h, then of x. */
static void expect_weights(const struct imported *model, const struct stack *s, uint32_t index,
                           const float (*w)[MAX_COUNT], uint32_t input)
{
    float expected[MAX_COUNT * 2];
    uint32_t R = state_size(s), columns = R + input;
    for (uint32_t row = 0; row < s->gates * s->hidden; row++)
        for (uint32_t column = 0; column < columns; column++)
            expected[row * columns + column] =
                column < R ? w[W_HH][row * R + column] : w[W_IH][row * input + column - R];
    expect_tensor(model, index, 3, (const uint32_t[]){s->gates, s->hidden, columns}, expected);
}

static void expect_biases(const struct imported *model, const struct stack *s, const uint32_t *slots,
                          const float (*w)[MAX_COUNT])
{
    float expected[MAX_COUNT];
    if (!s->bias) {
        cr_expect_eq(slots[MODEL_SLOT_BIAS], MODEL_NONE);
        cr_expect_eq(slots[MODEL_SLOT_PEEPHOLE], MODEL_NONE);
        return;
    }
    for (uint32_t row = 0; row < s->gates * s->hidden; row++) {
        bool apart = s->gates == 3 && row >= 2 * s->hidden; /* n of a gru */
        expected[row] = w[B_IH][row] + (apart ? 0 : w[B_HH][row]);
    }
    expect_tensor(model, slots[MODEL_SLOT_BIAS], 2, (const uint32_t[]){s->gates, s->hidden}, expected);
    if (s->gates == 3)
        expect_tensor(model, slots[MODEL_SLOT_PEEPHOLE], 2, (const uint32_t[]){1, s->hidden},
                      w[B_HH] + 2 * s->hidden);
    else
        cr_expect_eq(slots[MODEL_SLOT_PEEPHOLE], MODEL_NONE);
}

static void expect_words(const struct stack *s, const struct model_layer *layer)
{
    static const uint32_t acts[5] = {0, MODEL_ACT_TANH, 0, MODEL_ACT_SIGMOID | MODEL_ACT_TANH << 8,
                                     MODEL_ACT_SIGMOID | MODEL_ACT_TANH << 8 | MODEL_ACT_TANH << 16};
    uint32_t words[MODEL_PARAMS] = {s->hidden};
    words[1] = s->directions == 2 ? MODEL_BIDIRECTIONAL : MODEL_FORWARD;
    words[2] = s->gates == 3 ? MODEL_FLAG_RESET_AFTER : 0;
    words[4] = acts[s->gates];
    words[11] = s->directions == 2 ? acts[s->gates] : 0;
    cr_expect_arr_eq(layer->params, words, sizeof words);
}

static void expect_layer(const struct imported *model, const struct stack *s, uint32_t index,
                         const struct stack_weights *weights)
{
    static const uint32_t types[5] = {0, MODEL_RNN, 0, MODEL_GRU, MODEL_LSTM};
    struct model_layer layer;
    struct model_value value;
    model_get_layer(&model->view, index, &layer);
    model_get_value(&model->view, index + 1, &value);
    cr_assert_eq(layer.type, types[s->gates]);
    cr_assert_eq(layer.inputs[0], index);
    cr_assert(value.rank == 1 && value.dims[0] == s->directions * state_size(s) && !value.once);
    cr_assert_eq(layer.n_tensors, s->directions * MODEL_RNN_SLOTS);
    expect_words(s, &layer);
    for (uint32_t d = 0; d < s->directions; d++) {
        const uint32_t *slots = layer.tensors + d * MODEL_RNN_SLOTS;
        const float (*w)[MAX_COUNT] = weights->numbers[index * s->directions + d];
        expect_weights(model, s, slots[MODEL_SLOT_W], w, layer_input(s, index));
        expect_biases(model, s, slots, w);
        if (s->projection)
            expect_tensor(model, slots[MODEL_SLOT_PROJECTION], 2,
                          (const uint32_t[]){s->projection, s->hidden}, w[W_HR]);
        else
            cr_expect_eq(slots[MODEL_SLOT_PROJECTION], MODEL_NONE);
        cr_expect(slots[MODEL_SLOT_H0] == MODEL_NONE && slots[MODEL_SLOT_C0] == MODEL_NONE);
    }
}

static void check_stack(const struct stack *s, struct rng *rng)
{
    static struct stack_weights weights;
    struct st_writer writer = {0};
    struct imported model;
    struct model_value input;
    size_t n_bytes;
    add_stack(&writer, s, rng, &weights);
    uint8_t *bytes = st_finish(&writer, &n_bytes);
    import_bytes(bytes, n_bytes, NULL, &model);
    cr_assert(model.good, "gates %u layers %u directions %u bias %d projection %u dtype %d: %s", s->gates,
              s->layers, s->directions, s->bias, s->projection, s->dtype, model.error);
    cr_assert_eq(model.view.n_layers, s->layers);
    model_get_value(&model.view, 0, &input);
    cr_assert(input.rank == 1 && input.dims[0] == s->input);
    for (uint32_t i = 0; i < s->layers; i++)
        expect_layer(&model, s, i, &weights);
    imported_free(&model);
    free(bytes);
}

Test(import_safetensors, every_kind_of_stack)
{
    static const enum named_dtype dtypes[] = {NT_F32, NT_F64, NT_F16, NT_BF16};
    static const char *const prefixes[] = {"", "lstm", "module.encoder.rnn", "0"};
    struct rng rng = {1};
    for (unsigned n = 0; n < 3 * 3 * 2 * 2 * 2 * 4; n++) {
        struct stack s = {
            .gates = (const uint32_t[]){4, 3, 1}[n % 3], .layers = 1 + n / 3 % 3,
            .directions = 1 + n / 9 % 2, .bias = n / 18 % 2, .dtype = dtypes[n / 72],
            .prefix = prefixes[rng_below(&rng, 4)],
            .input = 1 + rng_below(&rng, 9), .hidden = 2 + rng_below(&rng, 5)};
        if (n / 36 % 2 && s.gates == 4)
            s.projection = 1 + rng_below(&rng, s.hidden - 1);
        check_stack(&s, &rng);
    }
}

/* ---- small models, written tensor by tensor ------------------------------ */

/* "name:2x3" tensors, ends with NULL; numbers are 1, 2, 3 … sixteenths. */
static uint8_t *model_of(const char *const *tensors, size_t *n_bytes)
{
    struct st_writer writer = {0};
    float numbers[2000];
    for (unsigned i = 0; i < 2000; i++)
        numbers[i] = (float)(i % 64 + 1) / 16;
    for (; *tensors; tensors++) {
        char name[200];
        uint64_t dims[3] = {0};
        const char *colon = strrchr(*tensors, ':');
        unsigned long long a, b, c;
        int rank = sscanf(colon + 1, "%llux%llux%llu", &a, &b, &c);
        dims[0] = a;
        dims[1] = rank > 1 ? b : 0;
        dims[2] = rank > 2 ? c : 0;
        snprintf(name, sizeof name, "%.*s", (int)(colon - *tensors), *tensors);
        st_add(&writer, name, NT_F32, (uint32_t)rank, dims, numbers);
    }
    return st_finish(&writer, n_bytes);
}

static void import_model(const char *const *tensors, const char *spec, struct imported *out)
{
    size_t n_bytes;
    uint8_t *bytes = model_of(tensors, &n_bytes);
    import_bytes(bytes, n_bytes, spec, out);
    free(bytes);
}

/* "rnn 4 | dense 2 once" of the layers made. */
static void describe(const struct imported *model, char *text, size_t n_text)
{
    text[0] = '\0';
    for (uint32_t i = 0; i < model->view.n_layers; i++) {
        struct model_layer layer;
        struct model_value value;
        size_t used = strlen(text);
        model_get_layer(&model->view, i, &layer);
        model_get_value(&model->view, i + 1, &value);
        snprintf(text + used, n_text - used, "%s%s %u%s", i ? " | " : "", layer.name.text, value.dims[0],
                 value.once ? " once" : "");
    }
}

static void expect_layers(const char *const *tensors, const char *spec, const char *expected)
{
    struct imported model;
    char text[500];
    import_model(tensors, spec, &model);
    cr_assert(model.good, "%s: %s", spec ? spec : "no spec", model.error);
    describe(&model, text, sizeof text);
    cr_expect_str_eq(text, expected, "%s: '%s', expected '%s'", spec ? spec : "no spec", text, expected);
    imported_free(&model);
}

static void expect_refusal(const char *const *tensors, const char *spec, const char *says)
{
    struct imported model;
    import_model(tensors, spec, &model);
    cr_expect(!model.good, "accepted with %s; expected '%s'", spec ? spec : "no spec", says);
    cr_expect(strstr(model.error, says), "%s: '%s' does not say '%s'", spec ? spec : "no spec", model.error,
              says);
    imported_free(&model);
}

static const char *const lstm_fc[] = {"lstm.weight_ih_l0:8x3", "lstm.weight_hh_l0:8x2",
                                      "lstm.bias_ih_l0:8", "lstm.bias_hh_l0:8", "fc.weight:3x2",
                                      "fc.bias:3", NULL};
static const char *const two_heads[] = {"rnn.weight_ih_l0:2x2", "rnn.weight_hh_l0:2x2",
                                        "fc10.weight:1x4", "fc2.weight:4x2", NULL};
static const char *const normed[] = {"gru.weight_ih_l0:6x2", "gru.weight_hh_l0:6x2", "norm.weight:2",
                                     "norm.bias:2", "out.weight:2x2", NULL};
static const char *const embedded[] = {"emb.weight:9x3", "lstm.weight_ih_l0:8x3", "lstm.weight_hh_l0:8x2",
                                       "fc.weight:9x2", NULL};
static const char *const cell[] = {"cell.weight_ih:8x3", "cell.weight_hh:8x2", "cell.bias_ih:8",
                                   "cell.bias_hh:8", NULL};

Test(import_safetensors, order_follows_names)
{
    static const char *const head[] = {"net.0.weight:4x2", "net.0.bias:4", "net.2.weight:4", "net.2.bias:4",
                                       "net.10.weight:3x4", "rnn.weight_ih_l0:2x2", "rnn.weight_hh_l0:2x2",
                                       NULL};
    static const char *const stacks[] = {"b.weight_ih_l0:3x2", "b.weight_hh_l0:3x3", "a.weight_ih_l0:8x5",
                                         "a.weight_hh_l0:8x2", NULL};
    expect_layers(lstm_fc, NULL, "lstm 2 | fc 3");
    expect_layers(two_heads, NULL, "rnn 2 | fc2 4 | fc10 1");
    expect_layers(embedded, NULL, "emb 3 | lstm 2 | fc 9");
    expect_layers(cell, NULL, "cell 2");
    expect_layers(head, NULL, "rnn 2 | net.0 4 | net.2 4 | net.10 3");
    expect_layers(stacks, NULL, "a 2 | b 3");
}

Test(import_safetensors, the_spec_says_the_rest)
{
    expect_layers(lstm_fc, "{\"take\":\"last\"}", "lstm 2 | last 2 once | fc 3 once");
    expect_layers(lstm_fc, "{\"take\":\"mean\",\"take_after\":\"fc\"}", "lstm 2 | fc 3 | mean 3 once");
    expect_layers(lstm_fc, "{\"take\":\"first\"}", "lstm 2 | first 2 once | fc 3 once");
    expect_layers(lstm_fc, "{\"ignore\":[\"fc.*\"],\"layers\":[{\"module\":\"lstm\"},"
                  "{\"type\":\"first\"}]}",
                  "lstm 2 | first_1 2 once");
    expect_layers(lstm_fc, "{\"softmax\":true}", "lstm 2 | fc 3 | softmax 3");
    expect_layers(lstm_fc, "{\"residual\":true}", "lstm 2 | fc 3 | residual 3");
    expect_layers(two_heads, "{\"residual\":true}", "rnn 2 | fc2 4 | fc10 1 | residual_input 1 | residual 1");
    expect_layers(lstm_fc, "{\"input\":{\"mean\":1,\"std\":[1,2,4]}}", "input_scaled 3 | lstm 2 | fc 3");
    expect_layers(normed, "{\"order\":[\"norm\",\"gru\",\"out\"]}", "norm 2 | gru 2 | out 2");
    expect_layers(lstm_fc, "{\"ignore\":[\"fc.*\"]}", "lstm 2");
    expect_layers(lstm_fc, "{\"layers\":[{\"module\":\"lstm\"},{\"type\":\"max\",\"name\":\"m\"},"
                  "{\"module\":\"fc\",\"activation\":\"relu\"},{\"type\":\"softmax\",\"name\":\"p\"}]}",
                  "lstm 2 | m 2 once | fc 3 once | p 3 once");
    expect_layers(lstm_fc, "{\"layers\":[{\"module\":\"lstm\"},{\"module\":\"fc\"},"
                  "{\"type\":\"concat\",\"inputs\":[\"input\",\"fc\",\"lstm\"],\"name\":\"all\"},"
                  "{\"type\":\"slice\",\"start\":1,\"count\":3,\"step\":2,\"name\":\"some\"},"
                  "{\"type\":\"mul\",\"inputs\":[\"some\",\"fc\"],\"name\":\"gated\"},"
                  "{\"type\":\"scale\",\"scale\":2,\"shift\":[1,2,3],\"name\":\"end\"}]}",
                  "lstm 2 | fc 3 | all 8 | some 3 | gated 3 | end 3");
}

static void expect_metadata(const struct imported *model, const char *key, const char *value)
{
    for (uint32_t i = 0; i < model->view.n_metadata; i++) {
        struct model_string k, v;
        model_get_metadata(&model->view, i, &k, &v);
        if (strcmp(k.text, key) == 0) {
            cr_expect_str_eq(v.text, value, "%s: '%s'", key, v.text);
            return;
        }
    }
    cr_expect(false, "no %s", key);
}

Test(import_safetensors, metadata_and_words_from_the_spec)
{
    struct imported model;
    struct model_layer layer;
    struct model_tensor tensor;
    import_model(lstm_fc, "{\"name\":\"n\",\"sample_rate\":44100,\"labels\":[\"a\",\"b b\",\"\xc3\xa4\"],"
                 "\"metadata\":{\"k\":\"v\"},\"input\":{\"columns\":[\"x\",\"y\",\"z\"],\"mean\":[1,2,3],"
                 "\"std\":[1,2,4]},\"modules\":{\"fc\":{\"activation\":\"leaky_relu\",\"alpha\":0.25}}}",
                 &model);
    cr_assert(model.good, "%s", model.error);
    expect_metadata(&model, "name", "n");
    expect_metadata(&model, "sample_rate", "44100");
    expect_metadata(&model, "labels", "a\nb b\n\xc3\xa4");
    expect_metadata(&model, "input_names", "x\ny\nz");
    expect_metadata(&model, "k", "v");
    model_get_layer(&model.view, 0, &layer);
    cr_assert_eq(layer.type, MODEL_SCALE);
    model_get_tensor(&model.view, layer.tensors[0], &tensor);
    cr_assert_arr_eq(tensor.data, ((const float[]){1, 0.5f, 0.25f}), 12);
    model_get_tensor(&model.view, layer.tensors[1], &tensor);
    cr_assert_arr_eq(tensor.data, ((const float[]){-1, -1, -0.75f}), 12);
    model_get_layer(&model.view, 2, &layer);
    cr_assert(layer.params[0] == MODEL_ACT_LEAKY_RELU && layer.params[1] == model_float_bits(0.25f));
    imported_free(&model);
}

Test(import_safetensors, hints_for_recurrent_modules)
{
    static const char *const gru[] = {"g.weight_ih_l0:6x1", "g.weight_hh_l0:6x2", "g.bias_ih_l0:6",
                                      "g.bias_hh_l0:6", NULL};
    static const char *const rnn[] = {"r.weight_ih_l0:2x1", "r.weight_hh_l0:2x2",
                                      "r.weight_ih_l0_reverse:2x1", "r.weight_hh_l0_reverse:2x2", NULL};
    struct imported model;
    struct model_layer layer;
    import_model(gru, "{\"modules\":{\"g\":{\"type\":\"gru\",\"hidden_size\":2,\"reset_after\":false}}}",
                 &model);
    cr_assert(model.good, "%s", model.error);
    model_get_layer(&model.view, 0, &layer);
    cr_expect(layer.params[MODEL_RNN_FLAGS] == 0 && layer.tensors[MODEL_SLOT_PEEPHOLE] == MODEL_NONE);
    expect_tensor(&model, layer.tensors[MODEL_SLOT_BIAS], 2, (const uint32_t[]){3, 2},
                  (const float[]){0.125f, 0.25f, 0.375f, 0.5f, 0.625f, 0.75f});
    imported_free(&model);
    import_model(rnn, "{\"modules\":{\"r\":{\"activation\":\"relu\"}}}", &model);
    cr_assert(model.good, "%s", model.error);
    model_get_layer(&model.view, 0, &layer);
    cr_expect(layer.params[4] == MODEL_ACT_RELU && layer.params[11] == MODEL_ACT_RELU);
    imported_free(&model);
}

/* PyTorch keeps the epsilon of a norm in no tensor. */
Test(import_safetensors, an_epsilon_taken_is_noted)
{
    static const char *const batch[] = {"bn.weight:2", "bn.bias:2", "bn.running_mean:2", "bn.running_var:2",
                                        "fc.weight:2x2", NULL};
    static const struct { const char *const *tensors; const char *spec, *note; } rows[] = {
        {normed, "{\"order\":[\"norm\",\"gru\",\"out\"]}", "'norm' (layer_norm): its epsilon"},
        {batch, "{\"order\":[\"fc\",\"bn\"]}", "'bn' (batch_norm): its epsilon"},
        {normed, "{\"order\":[\"norm\",\"gru\",\"out\"],\"modules\":{\"norm\":{\"epsilon\":1e-5}}}", NULL},
        {batch, "{\"order\":[\"fc\",\"bn\"],\"modules\":{\"bn\":{\"epsilon\":0.5}}}", NULL},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct imported model;
        import_model(rows[i].tensors, rows[i].spec, &model);
        cr_assert(model.good, "row %zu: %s", i, model.error);
        if (rows[i].note) {
            cr_expect(strstr(model.notes, rows[i].note), "row %zu: %s", i, model.notes);
            cr_expect(strstr(model.notes, "1e-5 is taken"), "row %zu: %s", i, model.notes);
        } else {
            cr_expect_str_eq(model.notes, "", "row %zu: %s", i, model.notes);
        }
        imported_free(&model);
    }
}

Test(import_safetensors, an_order_by_names_alone_is_noted)
{
    static const char *const heads[] = {"rnn.weight_ih_l0:2x2", "rnn.weight_hh_l0:2x2", "b.weight:2x2",
                                        "a.weight:2x2", NULL};
    struct imported model;
    import_model(heads, NULL, &model);
    cr_assert(model.good, "%s", model.error);
    cr_expect(strstr(model.notes, "order of their names"), "%s", model.notes);
    imported_free(&model);
    import_model(lstm_fc, NULL, &model);
    cr_expect_str_eq(model.notes, "");
    imported_free(&model);
}

/* ---- refusals ------------------------------------------------------------ */

struct refusal {
    const char *tensors[8];
    const char *says;
};

static const struct refusal refusals[] = {
    {{"lstm.weight_ih_l0:8x3", NULL}, "weight_hh of layer 0 is missing"},
    {{"lstm.weight_hh_l0:8x2", NULL}, "weight_ih of layer 0 is missing"},
    {{"weight_hh_l0:8x2", NULL}, "module '(no name)': weight_ih of layer 0 is missing"},
    {{"weight_ih_l1:8x2", "weight_hh_l1:8x2", NULL}, "module '(no name)': weight_ih of layer 0 is missing"},
    {{"l.weight_ih_l0_reverse:8x3", "l.weight_hh_l0_reverse:8x2", NULL},
     "module 'l': the forward direction of layer 0 is missing"},
    {{"lstm.weight_ih_l0:8x3", "lstm.weight_hh_l0:10x2", NULL}, "rows are not 4"},
    {{"lstm.weight_ih_l0:8x3", "lstm.weight_hh_l0:8x3", NULL}, "expected [gates"},
    {{"lstm.weight_ih_l0:8", "lstm.weight_hh_l0:8x2", NULL}, "lstm.weight_ih_l0"},
    {{"lstm.weight_ih_l0:8x3", "lstm.weight_hh_l0:8", NULL}, "lstm.weight_hh_l0"},
    {{"lstm.weight_ih_l0:9x3", "lstm.weight_hh_l0:8x2", NULL}, "'lstm.weight_ih_l0' (F32 [9, 3])"},
    {{"lstm.weight_ih_l0:8x3", "lstm.weight_hh_l0:8x2", "lstm.bias_ih_l0:8", NULL}, "one of bias_ih"},
    {{"lstm.weight_ih_l0:8x3", "lstm.weight_hh_l0:8x2", "lstm.bias_ih_l0:8", "lstm.bias_hh_l0:7", NULL},
     "'lstm.bias_hh_l0' (F32 [7]): expected the shape [8]"},
    {{"g.weight_ih_l0:6x3", "g.weight_hh_l0:6x1", "g.weight_hr_l0:1x2", NULL}, "only an lstm"},
    {{"l.weight_ih_l0:8x3", "l.weight_hh_l0:8x1", "l.weight_hr_l0:2x2", NULL}, "expected the shape [1, 2]"},
    {{"l.weight_ih_l0:8x3", "l.weight_hh_l0:8x2", "l.weight_ih_l1:8x3", "l.weight_hh_l1:8x2", NULL},
     "'l.weight_ih_l1' (F32 [8, 3]): expected the shape [8, 2]"},
    {{"l.weight_ih_l0:8x3", "l.weight_hh_l0:8x2", "l.weight_ih_l9:8x2", "l.weight_hh_l9:8x2", NULL},
     "names go up to layer 9"},
    {{"l.weight_ih_l0:8x3", "l.weight_hh_l0:8x2", "l.weight_ih_l2:8x2", "l.weight_hh_l2:8x2",
      "l.bias_ih_l0:8", "l.bias_hh_l0:8", NULL}, "weight_ih of layer 1 is missing"},
    {{"l.weight_ih_l0:8x3", "l.weight_hh_l0:8x2", "l.weight_ih_l0_reverse:8x3", NULL},
     "weight_hh of layer 0 (reverse) is missing"},
    {{"l.weight_ih_l0:8x3", "l.weight_hh_l0:8x2", "l.bias_ih_l0:8", "l.bias_hh_l0:8",
      "l.weight_ih_l0_reverse:8x3", "l.weight_hh_l0_reverse:8x2", NULL}, "bias_ih of layer 0 (reverse)"},
    {{"l.weight_ih_l0:8x3", "l.weight_hh_l0:8x2", "l.weight_ih:8x3", "l.weight_hh:8x2", NULL},
     "under another name"},
    {{"l.weight_ih_l0:8x3", "l.weight_hh_l0:8x2", "l.weight:8x3", NULL}, "not a weight of the recurrent"},
    {{"l.weight_ih_l0:8x3", "l.weight_hh_l0:8x2", "l.weight_ih_l01:8x3", NULL}, "l.weight_ih_l01"},
    {{"l.weight_ih_l4294967296:8x3", NULL}, "not part of any layer"},
    {{"bn.weight:4", "bn.bias:4", "bn.running_mean:4", NULL}, "'bn.running_mean'"},
    {{"conv.weight:4x3x2", NULL}, "'conv' is a convolution; say with \"type\""},
    {{"fc.bias:4", NULL}, "a bias without a weight"},
    {{"fc.weight:4x3", "fc.bias:3", NULL}, "expected the shape [4]"},
    {{"prelu.weight:1", NULL}, "without a bias"},
    {{"fc.weight:4x3", "fc2.weight:2x5", NULL}, "'fc2' reads 5 numbers a step, but 'fc' before it gives 4"},
    {{"emb.weight:4x3", "emb2.weight:4x3", "embedding.weight:4x3", "embed.weight:1x1", NULL},
     "embeddings: which of them"},
    {{"emb.weight:4x3", "emb.bias:4", NULL}, "an embedding has no bias"},
    {{"rnn.weight_ih_l0:2x2", "rnn.weight_hh_l0:2x2", "norm.weight:2", "norm.bias:2", NULL},
     "place of a layer_norm"},
    {{"fc.weight:0x3", NULL}, "dimensions must be from 1"},
    {{NULL}, "no layer with weights"},
};

Test(import_safetensors, what_does_not_fit_is_refused_by_name)
{
    for (size_t i = 0; i < sizeof refusals / sizeof *refusals; i++)
        expect_refusal(refusals[i].tensors, NULL, refusals[i].says);
}

Test(import_safetensors, other_element_types_are_refused_by_name)
{
    struct st_writer writer = {0};
    struct imported model;
    size_t n_bytes;
    st_add(&writer, "fc.weight", NT_F32, 2, (const uint64_t[]){1, 1}, (const float[]){1});
    st_add_zeros(&writer, "bn.num_batches_tracked", NT_I64, 1, 8);
    uint8_t *bytes = st_finish(&writer, &n_bytes);
    import_bytes(bytes, n_bytes, NULL, &model);
    cr_expect(!model.good && strstr(model.error, "'bn.num_batches_tracked' (I64 [1])"), "%s", model.error);
    import_bytes(bytes, n_bytes, "{\"ignore\":[\"bn.num_batches_tracked\"]}", &model);
    cr_expect(model.good, "%s", model.error);
    imported_free(&model);
    free(bytes);
}

static void import_one(float number, enum named_dtype dtype, struct imported *model)
{
    struct st_writer writer = {0};
    size_t n_bytes;
    st_add(&writer, "fc.weight", dtype, 2, (const uint64_t[]){1, 2}, (const float[]){1, number});
    uint8_t *bytes = st_finish(&writer, &n_bytes);
    import_bytes(bytes, n_bytes, NULL, model);
    free(bytes);
}

Test(import_safetensors, weights_that_are_no_numbers)
{
    struct imported model;
    struct model_tensor tensor;
    import_one(NAN, NT_F32, &model);
    cr_expect(!model.good && strstr(model.error, "'fc.weight': number 1 is"), "%s", model.error);
    import_one(-INFINITY, NT_F64, &model);
    cr_expect(!model.good && strstr(model.error, "'fc.weight': number 1 is -inf"), "%s", model.error);
    import_one(FLT_MIN / 2, NT_F32, &model);
    cr_assert(model.good, "%s", model.error);
    cr_expect(strstr(model.notes, "'fc.weight': 1 number"), "%s", model.notes);
    model_get_tensor(&model.view, 0, &tensor);
    cr_expect_arr_eq(tensor.data, ((const float[]){1, 0}), 8);
    imported_free(&model);
}

struct spec_refusal {
    const char *const *tensors;
    const char *spec, *says;
};

static const struct spec_refusal spec_refusals[] = {
    {lstm_fc, "", "spec JSON"},
    {lstm_fc, "[]", "spec $: expected an object"},
    {lstm_fc, "{\"take\":1}", "spec $.take: expected one of \"last\" \"mean\" \"max\" \"first\""},
    {lstm_fc, "{\"take\":\"third\"}", "spec $.take: expected one of"},
    {lstm_fc, "{\"taek\":\"last\"}", "spec $.taek: unknown key; known are name,"},
    {lstm_fc, "{\"modules\":{\"fc\":{\"activaton\":\"relu\"}}}", "spec $.modules.fc.activaton: unknown key"},
    {lstm_fc, "{\"modules\":{\"fc\":{\"activation\":\"swish\"}}}",
     "spec $.modules.fc.activation: expected an"},
    {lstm_fc, "{\"modules\":{\"fd\":{\"activation\":\"relu\"}}}", "no module of that name"},
    {lstm_fc, "{\"modules\":{\"fc\":{\"type\":\"embedding\"}}}", "'fc.bias'"},
    {lstm_fc, "{\"modules\":{\"lstm\":{\"type\":\"gru\"}}}",
     "\"gru\", but its tensors are those of type lstm"},
    {lstm_fc, "{\"modules\":{\"lstm\":{\"activation\":\"relu\"}}}", "means nothing to type lstm"},
    {lstm_fc, "{\"modules\":{\"lstm\":{\"hidden_size\":3}}}", "have 2 hidden units"},
    {lstm_fc, "{\"modules\":{\"fc\":{\"epsilon\":1}}}", "means nothing to type dense"},
    {lstm_fc, "{\"modules\":{\"fc\":{\"activation\":\"relu\",\"alpha\":1}}}", "takes none"},
    {lstm_fc, "{\"modules\":{\"fc\":{\"activation\":\"affine\",\"alpha\":1}}}",
     "needs a number for alpha and"},
    {lstm_fc, "{\"modules\":{\"fc\":{\"alpha\":1}}}", "takes none"},
    {two_heads, "{\"modules\":{\"rnn\":{\"beta\":1}}}", "'rnn' has beta"},
    {lstm_fc, "{\"sample_rate\":0}", "$.sample_rate: expected a number above 0"},
    {lstm_fc, "{\"sample_rate\":1e39}", "$.sample_rate: expected a number that f32"},
    {lstm_fc, "{\"labels\":[\"a\"]}", "spec $.labels: 1 name for 3 outputs"},
    {lstm_fc, "{\"labels\":[]}", "spec $.labels: 0 names for 3 outputs"},
    {lstm_fc, "{\"metadata\":{\"labels\":\"a\\nb\"}}", "spec $.metadata.labels: 2 names for 3 outputs"},
    {lstm_fc, "{\"metadata\":{\"sample_rate\":\"abc\"}}", "spec $.metadata.sample_rate: 'abc', expected"},
    {lstm_fc, "{\"labels\":[\"a\",\"b\",\"c\\nd\"]}", "$.labels[2]: expected a string without"},
    {lstm_fc, "{\"labels\":[\"a\",2,\"c\"]}", "$.labels[1]: expected a string"},
    {lstm_fc, "{\"name\":\"\\u0007\"}", "$.name: expected"},
    {lstm_fc, "{\"metadata\":{\"\":\"x\"}}", "a key is empty"},
    {lstm_fc, "{\"metadata\":{\"a\":1}}", "$.metadata.a: expected a string"},
    {lstm_fc, "{\"order\":[\"lstm\"]}", "'fc' is in the file, but not"},
    {lstm_fc, "{\"order\":[\"lstm\",\"fc\",\"fc\"]}", "'fc' reads 2 numbers a step, but 'fc' before"},
    {lstm_fc, "{\"order\":[\"lstm\",\"fd\"]}", "$.order[1]: the file has no module 'fd'"},
    {lstm_fc, "{\"take_after\":\"fc\"}", "$.take_after: needs also \"take\""},
    {lstm_fc, "{\"take\":\"last\",\"take_after\":\"x\"}", "$.take_after: the file has no module 'x'"},
    {lstm_fc, "{\"take\":\"last\",\"residual\":true}", "$.residual: an output of 3 numbers a run"},
    {lstm_fc, "{\"layers\":[],\"softmax\":true}", "$.layers: cannot be given together with \"softmax\""},
    {lstm_fc, "{\"layers\":[]}", "'fc' is in the file, but not"},
    {lstm_fc, "{\"layers\":[{}]}", "'fc' is in the file"},
    {lstm_fc, "{\"ignore\":[\"fc.*\"],\"layers\":[{\"module\":\"lstm\"},{}]}",
     "$.layers[1]: expected either"},
    {lstm_fc, "{\"ignore\":[\"fc.*\"],\"layers\":[{\"module\":\"lstm\",\"type\":\"last\"}]}",
     "expected either"},
    {lstm_fc, "{\"ignore\":[\"fd.*\"]}", "$.ignore[0]: no tensor is named 'fd.*'"},
    {lstm_fc, "{\"ignore\":[\"*\"]}", "no layer with weights"},
    {lstm_fc, "{\"input\":{\"std\":0}}", "$.input.std[0]: 0, expected a number above 0"},
    {lstm_fc, "{\"input\":{\"std\":[1,2]}}", "$.input.std: 2 numbers, expected 3"},
    {lstm_fc, "{\"input\":{\"std\":1e-44}}", "spec tensor 'input.s"},
    {lstm_fc, "{\"input\":{\"mean\":1,\"scale\":1}}",
     "$.input.mean: cannot be given together with \"scale\""},
    {lstm_fc, "{\"input\":{\"columns\":[\"a\"]}}", "spec $.input.columns: 1 name for 3 numbers"},
    {lstm_fc, "{\"input\":{\"size\":4}}", "'lstm' reads 3 numbers a step, but 'input' before it gives 4"},
    {embedded, "{\"input\":{\"mean\":4}}", "cannot be normalised"},
    {normed, NULL, "place of a layer_norm"},
    {two_heads, "{\"modules\":{\"fc2\":{\"type\":\"layer_norm\"}}}", "has one dimension"},
};

Test(import_safetensors, specs_are_refused_with_their_place)
{
    for (size_t i = 0; i < sizeof spec_refusals / sizeof *spec_refusals; i++)
        expect_refusal(spec_refusals[i].tensors, spec_refusals[i].spec, spec_refusals[i].says);
    expect_layers(lstm_fc, "{\"order\":[\"fc\",\"lstm\"]}", "fc 3 | lstm 2"); /* both orders fit */
}

static const char *const bad_layers[][2] = {
    {"{\"module\":\"fc\",\"inputs\":[\"lstm\",\"input\"]}", "$.layers[1].inputs: expected one name"},
    {"{\"module\":\"fc\",\"inputs\":[\"nobody\"]}", "no layer before it is named 'nobody'"},
    {"{\"module\":\"fc\",\"start\":1}", "$.layers[1].start: means nothing to a module layer"},
    {"{\"module\":\"fc\",\"beta\":1}", "takes none"},
    {"{\"module\":\"lstm\",\"alpha\":1}", "an activation for the module 'lstm', which is no dense"},
    {"{\"module\":\"fc\",\"name\":\"lstm\"}", "there is one of that name already"},
    {"{\"type\":\"activation\"}", "needs an \"activation\""},
    {"{\"type\":\"last\",\"activation\":\"relu\"}", "means nothing to a last layer"},
    {"{\"type\":\"add\"}", "needs 2 to 64 \"inputs\""},
    {"{\"type\":\"add\",\"inputs\":[\"lstm\"]}", "needs 2 to 64 \"inputs\""},
    {"{\"type\":\"add\",\"inputs\":[\"lstm\",\"x\"]}", "no layer before it is named 'x'"},
    {"{\"type\":\"add\",\"inputs\":[\"lstm\",\"input\"]}", "input 1 gives 3 numbers a step, the first one 2"},
    {"{\"type\":\"slice\"}", "\"count\" and \"step\" must be 1 or more"},
    {"{\"type\":\"slice\",\"count\":2,\"start\":1}",
     "takes 2 numbers from 1 on in steps of 1, but 'lstm' has 2"},
    {"{\"type\":\"slice\",\"count\":2,\"step\":0}", "must be 1 or more"},
    {"{\"type\":\"slice\",\"count\":16777216,\"step\":16777216}", "takes 16777216 numbers"},
    {"{\"type\":\"scale\"}", "needs \"scale\", \"shift\" or both"},
    {"{\"type\":\"scale\",\"scale\":[1]}", "1 numbers, expected 2"},
};

Test(import_safetensors, bad_layer_lists_are_refused)
{
    for (size_t i = 0; i < sizeof bad_layers / sizeof *bad_layers; i++) {
        char spec[400];
        snprintf(spec, sizeof spec,
                 "{\"layers\":[{\"module\":\"lstm\"},%s,{\"module\":\"fc\",\"name\":\"z\"}]}",
                 bad_layers[i][0]);
        expect_refusal(lstm_fc, spec, bad_layers[i][1]);
    }
    expect_refusal(lstm_fc, "{\"layers\":[{\"type\":\"last\"},{\"module\":\"lstm\"},{\"module\":\"fc\"}]}",
                   "needs a frame at each step, but 'last_0' before it gives one a run");
    expect_refusal(lstm_fc, "{\"layers\":[{\"module\":\"lstm\"},{\"type\":\"last\"},{\"type\":\"max\"},"
                   "{\"module\":\"fc\"}]}", "gives only one");
}

/* ---- out of memory ------------------------------------------------------- */

/* Ours, that is: those inside jansson do not fail here (lstmconvert ends when one does). */
Test(import_safetensors, every_failed_allocation_is_reported)
{
    static const char spec[] = "{\"take\":\"last\",\"input\":{\"mean\":1,\"std\":2},"
                               "\"labels\":[\"a\",\"b\",\"c\"],\"name\":\"n\",\"softmax\":true,"
                               "\"ignore\":[\"lstm.bias_*\"]}";
    size_t n_bytes;
    uint8_t *bytes = model_of(lstm_fc, &n_bytes);
    for (size_t n = 1;; n++) {
        struct imported model;
        failing_malloc_arm(n);
        import_bytes(bytes, n_bytes, spec, &model);
        bool asked = failing_malloc_disarm() >= n;
        cr_assert_eq(model.good, !asked, "allocation %zu: %s", n, model.error);
        if (asked)
            cr_expect(strstr(model.error, "out of memory"), "allocation %zu: %s", n, model.error);
        imported_free(&model);
        if (!asked)
            break;
        cr_assert_lt(n, 10000);
    }
    free(bytes);
}
