/* SPDX-License-Identifier: MIT
 *
 * The Keras importer: what configurations become, layer by layer; what is refused; zip and
 * HDF5 files that lie. Models are texts (keras_parts.h) and the fuzzers' seeds.
 */
#define _POSIX_C_SOURCE 200809L

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "formats/keras/keras_archive.h"
#include "formats/keras/keras_internal.h"
#include "tests/keras_parts.h"

static char *read_seed(const char *folder, const char *name, size_t *n_out)
{
    char path[4200], *bytes = calloc(1, 65536);
    FILE *file;
    snprintf(path, sizeof path, "%s/tests/seeds/%s/%s", getenv("LSTMRUN_SOURCE"), folder, name);
    file = fopen(path, "rb");
    cr_assert(file && bytes, "%s", path);
    *n_out = fread(bytes, 1, 65535, file);
    fclose(file);
    return bytes;
}

static void import_text(const char *config, const char *list, const char *version, struct imported *out)
{
    keras_parts_import(config, strlen(config), list, strlen(list), version, out);
}

static void import_seed(const char *name, const char *version, struct imported *out)
{
    size_t n;
    char *text = read_seed("keras", name, &n);
    import_text(text, text + strlen(text) + 1, version, out);
    cr_assert(out->good, "%s: %s", name, out->error);
    free(text);
}

/* ---- structure ----------------------------------------------------------- */

static void expect_types(const struct imported *model, const uint32_t *types, uint32_t n)
{
    cr_assert_eq(model->view.n_layers, n, "%u layers", model->view.n_layers);
    for (uint32_t i = 0; i < n; i++) {
        struct model_layer layer;
        model_get_layer(&model->view, i, &layer);
        cr_expect_eq(layer.type, types[i], "layer %u is of type %u, expected %u", i, layer.type, types[i]);
    }
}

#define N_TYPES(...) (sizeof((const uint32_t[]){__VA_ARGS__}) / sizeof(uint32_t))
#define EXPECT_TYPES(model, ...) expect_types(model, (const uint32_t[]){__VA_ARGS__}, N_TYPES(__VA_ARGS__))

Test(import_keras, seeds_become_these_layers)
{
    struct imported model;
    import_seed("lstm", "3.15.1", &model);
    EXPECT_TYPES(&model, MODEL_LSTM, MODEL_REVERSE, MODEL_DENSE, MODEL_ACTIVATION, MODEL_GRU, MODEL_LAST,
                 MODEL_SCALE, MODEL_DENSE, MODEL_SOFTMAX);
    imported_free(&model);
    import_seed("words", "3.15.1", &model);
    EXPECT_TYPES(&model, MODEL_EMBEDDING, MODEL_MASK, MODEL_RNN, MODEL_RNN, MODEL_ADD, MODEL_ACTIVATION,
                 MODEL_MUL,
                 MODEL_ACTIVATION, MODEL_ATTENTION, MODEL_LAYER_NORM);
    imported_free(&model);
    import_seed("graph", "3.15.1", &model);
    EXPECT_TYPES(&model, MODEL_MASK, MODEL_MUL, MODEL_LSTM, MODEL_ADD, MODEL_CONCAT, MODEL_TEMPORAL_CONV,
                 MODEL_ACTIVATION, MODEL_RESHAPE);
    imported_free(&model);
    import_seed("lists", NULL, &model);
    EXPECT_TYPES(&model, MODEL_EMBEDDING, MODEL_LSTM, MODEL_SCALE, MODEL_DENSE, MODEL_ATTENTION);
    imported_free(&model);
}

static const float *tensor_of(const struct imported *model, uint32_t layer_index, uint32_t slot)
{
    struct model_layer layer;
    struct model_tensor tensor;
    model_get_layer(&model->view, layer_index, &layer);
    cr_assert(slot < layer.n_tensors && layer.tensors[slot] != MODEL_NONE);
    model_get_tensor(&model->view, layer.tensors[slot], &tensor);
    return tensor.data;
}

#define INPUT \
    "{\"class_name\": \"InputLayer\", \"config\": {\"name\": \"x\", \"batch_shape\": [null, null, 3]}}"
#define SEQUENTIAL(layers) \
    "{\"class_name\": \"Sequential\", \"config\": {\"layers\": [" INPUT ", " layers "]}}"
#define LAYER(class_name, config) \
    "{\"class_name\": \"" class_name "\", \"config\": {\"name\": \"" "it" "\", " config "}}"

/* Keras's [in][4 H], i f c o, to [gates][H][H + in]. */
Test(import_keras, lstm_weights_are_turned)
{
    enum { I = 3, H = 2, G = 4 };
    struct imported model;
    const float *w;
    import_text(SEQUENTIAL(LAYER("LSTM", "\"units\": 2")),
                "array layers/lstm/cell/vars/0 0 3 8\narray layers/lstm/cell/vars/1 0 2 8\n"
                "array layers/lstm/cell/vars/2 0 8\n", "3.0", &model);
    cr_assert(model.good, "%s", model.error);
    w = tensor_of(&model, 0, MODEL_SLOT_W);
    for (unsigned gate = 0; gate < G; gate++)
        for (unsigned unit = 0; unit < H; unit++)
            for (unsigned column = 0; column < H + I; column++) {
                unsigned row = column < H ? column : column - H;
                float expected = keras_parts_number("", row * G * H + gate * H + unit);
                cr_expect_eq(w[(gate * H + unit) * (H + I) + column], expected);
            }
    cr_expect_eq(tensor_of(&model, 0, MODEL_SLOT_BIAS)[5], keras_parts_number("", 5));
    imported_free(&model);
}

/* z r h to r z n; the recurrent bias of n stays apart. */
Test(import_keras, gru_gates_change_places)
{
    struct imported model;
    const float *bias;
    import_text(SEQUENTIAL(LAYER("GRU", "\"units\": 2, \"reset_after\": true")),
                "array layers/gru/cell/vars/0 0 3 6\narray layers/gru/cell/vars/1 0 2 6\n"
                "array layers/gru/cell/vars/2 0 2 6\n", "3.0", &model);
    cr_assert(model.good, "%s", model.error);
    cr_expect_eq(tensor_of(&model, 0, MODEL_SLOT_W)[0], keras_parts_number("", 2),
                 "r is Keras's second block");
    bias = tensor_of(&model, 0, MODEL_SLOT_BIAS);
    cr_expect_eq(bias[0], keras_parts_number("", 2) + keras_parts_number("", 8));
    cr_expect_eq(bias[4], keras_parts_number("", 4));
    cr_expect_eq(tensor_of(&model, 0, MODEL_SLOT_PEEPHOLE)[0], keras_parts_number("", 10));
    imported_free(&model);
}

/* A block of cuDNN's kernel holds [units][inputs] in the place of [inputs][units]. */
Test(import_keras, cudnn_layout_is_known_by_the_bias)
{
    struct imported model;
    const float *w;
    import_text(SEQUENTIAL(LAYER("LSTM", "\"units\": 2")),
                "array layers/lstm/cell/vars/0 0 3 8\narray layers/lstm/cell/vars/1 0 2 8\n"
                "array layers/lstm/cell/vars/2 0 16\n", "2.1.5", &model);
    cr_assert(model.good, "%s", model.error);
    w = tensor_of(&model, 0, MODEL_SLOT_W);
    /* gate i, unit 1: elements 3, 4, 5 of its block [3][2], which is rows 1, 2, 2 of columns 1, 0, 1 */
    cr_expect_eq(w[5 + 2], keras_parts_number("", 1 * 8 + 1));
    cr_expect_eq(w[5 + 3], keras_parts_number("", 2 * 8 + 0));
    cr_expect_eq(w[5 + 4], keras_parts_number("", 2 * 8 + 1));
    /* recurrent: unit 1 reads row 1 */
    cr_expect_eq(w[5 + 0], keras_parts_number("", 1 * 8 + 0));
    cr_expect_eq(tensor_of(&model, 0, MODEL_SLOT_BIAS)[3],
                 keras_parts_number("", 3) + keras_parts_number("", 11));
    imported_free(&model);
}

static uint32_t hard_alpha(const char *version)
{
    struct imported model;
    struct model_layer layer;
    import_text(SEQUENTIAL(LAYER("Activation", "\"activation\": \"hard_sigmoid\"")), "", version, &model);
    cr_assert(model.good, "%s", model.error);
    model_get_layer(&model.view, 0, &layer);
    imported_free(&model);
    return layer.params[1];
}

Test(import_keras, hard_sigmoid_depends_on_the_version)
{
    cr_expect_eq(hard_alpha("2.15.0"), model_float_bits(0.2f));
    cr_expect_eq(hard_alpha("3.0.0"), model_float_bits(1.0f / 6));
}

Test(import_keras, convolutions_over_the_steps)
{
    static const struct {
        const char *padding;
        uint32_t stride, before, after;
    } rows[] = {{"causal", 1, 6, 0}, {"same", 1, 3, 3}, {"causal", 2, 6, 0},
                {"valid", 1, 0, 0}, {"valid", 3, 0, 0}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct imported model;
        struct model_layer layer;
        char config[600];
        snprintf(config, sizeof config, SEQUENTIAL(LAYER("Conv1D", "\"filters\": 2, \"kernel_size\": [4], "
                 "\"dilation_rate\": [2], \"padding\": \"%s\", \"strides\": %u")), rows[i].padding,
                 (unsigned)rows[i].stride);
        import_text(config, "array layers/conv1d/vars/0 0 4 3 2\narray layers/conv1d/vars/1 0 2\n", "3.0",
                    &model);
        cr_assert(model.good, "%s", model.error);
        model_get_layer(&model.view, 0, &layer);
        cr_expect_eq(layer.type, MODEL_TEMPORAL_CONV);
        cr_expect_eq(layer.params[MODEL_CONV_STRIDE], rows[i].stride);
        cr_expect_eq(layer.params[MODEL_CONV_PAD_BEFORE], rows[i].before);
        cr_expect_eq(layer.params[MODEL_CONV_PAD_AFTER], rows[i].after);
        imported_free(&model);
    }
}

Test(import_keras, names_become_groups_as_keras_writes_them)
{
    static const char *const rows[][2] = {
        {"LSTM", "lstm"}, {"SimpleRNN", "simple_rnn"}, {"Conv1D", "conv1d"}, {"ReLU", "re_lu"},
        {"LeakyReLU", "leaky_re_lu"}, {"TimeDistributed", "time_distributed"}, {"InputLayer", "input_layer"},
        {"GlobalAveragePooling1D", "global_average_pooling1d"}, {"SpatialDropout1D", "spatial_dropout1d"}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        char name[80];
        keras_snake_case(rows[i][0], name, sizeof name);
        cr_expect_str_eq(name, rows[i][1]);
    }
}

/* ---- refusals ------------------------------------------------------------ */

#define DENSE_ARRAYS "array layers/dense/vars/0 0 3 2\narray layers/dense/vars/1 0 2\n"
#define LSTM_ARRAYS \
    "array layers/lstm/cell/vars/0 0 3 8\narray layers/lstm/cell/vars/1 0 2 8\n" \
    "array layers/lstm/cell/vars/2 0 8\n"
#define DENSE LAYER("Dense", "\"units\": 2")

#define CONV_ARRAYS "array layers/conv1d/vars/0 0 2 3 2\narray layers/conv1d/vars/1 0 2\n"
#define CONV(options) LAYER("Conv1D", "\"filters\": 2, \"kernel_size\": 2, " options)

static const struct refusal {
    const char *config, *list, *words;
} refusals[] = {
    {"[]", "", "no \"class_name\""},
    {"{\"class_name\": \"Own\", \"config\": {}}", "", "class Own"},
    {"{\"class_name\": \"Sequential\", \"config\": {}}", "", "no list of layers"},
    {"{\"class_name\": \"Sequential\", \"keras_version\": \"1.2\", \"config\": [" DENSE "]}", DENSE_ARRAYS,
     "Keras 1"},
    {"{\"class_name\": \"Sequential\", \"config\": [" DENSE "]}", DENSE_ARRAYS, "shape of the model's input"},
    {SEQUENTIAL("{\"class_name\": \"Dense\"}"), DENSE_ARRAYS, "config is no object"},
    {SEQUENTIAL("{\"class_name\": \"Own\", \"config\": {\"name\": \"a\"}}"), "",
     "(Own): layers of this class"},
    {SEQUENTIAL(DENSE), "", "0 weights"},
    {SEQUENTIAL(DENSE), "array layers/dense/vars/0 0 3 2\n", "1 weights"},
    {SEQUENTIAL(DENSE), DENSE_ARRAYS "array layers/dense/vars/2 0 2\n", "3 weights"},
    {SEQUENTIAL(DENSE), DENSE_ARRAYS "array layers/other/vars/0 0 2\n",
     "'layers/other/vars/0' is in the file"},
    {SEQUENTIAL(DENSE), DENSE_ARRAYS "text layers/dense/vars name that\n", "is that of 'that'"},
    {SEQUENTIAL(DENSE), "array layers/dense/vars/0 0 2 3\narray layers/dense/vars/1 0 2\n",
     "has shape [2, 3]"},
    {SEQUENTIAL(DENSE), "array layers/dense/vars/0 4 3 2\narray layers/dense/vars/1 0 2\n", "another type"},
    {SEQUENTIAL(DENSE), "array a/b 0 3 2\n", "Keras did not make it"},
    {SEQUENTIAL(DENSE), "text . layer_names it\ntext it weight_names k b\narray it/k 0 3 2\n",
     "not in the file"},
    {SEQUENTIAL(DENSE), "text . layer_names it\ntext it weight_names k\narray it/k 0 3 2\n",
     "1 weights for it"},
    {SEQUENTIAL(LAYER("Dense", "\"units\": 0")), DENSE_ARRAYS, "\"units\" is no whole number"},
    {SEQUENTIAL(LAYER("Dense", "\"units\": 2, \"activation\": 7")), DENSE_ARRAYS, "no name of an activation"},
    {SEQUENTIAL(LAYER("Dense", "\"units\": 2, \"activation\": \"gelu\"")), DENSE_ARRAYS, "\"gelu\""},
    {SEQUENTIAL(LAYER("Dense", "\"units\": 2, \"lora_rank\": 4")), DENSE_ARRAYS, "\"lora_rank\""},
    {SEQUENTIAL(LAYER("LSTM", "\"units\": 2, \"time_major\": true")), LSTM_ARRAYS, "\"time_major\""},
    {SEQUENTIAL(LAYER("LSTM", "\"units\": 2, \"go_backwards\": \"yes\"")), LSTM_ARRAYS,
     "\"go_backwards\" is no true"},
    {SEQUENTIAL(LAYER("LSTM", "\"units\": 2, \"activation\": \"swish\"")), LSTM_ARRAYS,
     "inside a recurrent layer"},
    {SEQUENTIAL(LAYER("RNN", "\"cell\": {\"class_name\": \"OwnCell\"}")), "", "cells of this class"},
    {SEQUENTIAL(LAYER("Bidirectional", "\"merge_mode\": null, \"layer\": {}")), "", "two outputs"},
    {SEQUENTIAL(LAYER("Bidirectional", "\"layer\": {\"class_name\": \"Dense\"}")), "",
     "inner layer is of class Dense"},
    {SEQUENTIAL(LAYER("TimeDistributed", "\"layer\": {\"class_name\": \"Own\", \"config\": {}}")), "",
     "(Own)"},
    {SEQUENTIAL(LAYER("Embedding", "\"input_dim\": 2, \"output_dim\": 2, \"mask_zero\": true")),
     "array layers/embedding/vars/0 0 2 2\n", "mask_zero"},
    {SEQUENTIAL(LAYER("Masking", "\"mask_value\": [1]")), "", "\"mask_value\""},
    {SEQUENTIAL(LAYER("Rescaling", "\"scale\": 1e300")), "", "\"scale\""},
    {SEQUENTIAL(LAYER("BatchNormalization", "\"epsilon\": -9")),
     "array layers/batch_normalization/vars/0 0 3\narray layers/batch_normalization/vars/1 0 3\n"
     "array layers/batch_normalization/vars/2 0 3\narray layers/batch_normalization/vars/3 0 3\n",
         "variance 0"},
    {SEQUENTIAL(LAYER("Dropout", "\"rate\": 0.5")), "", "no layer that does anything"},
    {SEQUENTIAL(CONV("\"strides\": 2, \"dilation_rate\": 2, \"padding\": \"same\"")), CONV_ARRAYS,
     "\"same\" with strides 2"},
    {SEQUENTIAL(LAYER("MaxPooling1D", "\"pool_size\": 3, \"padding\": \"same\"")), "",
     "\"same\" with strides 3"},
    {SEQUENTIAL(LAYER("AveragePooling1D", "\"padding\": \"causal\"")), "", "\"causal\" is not supported"},
    {SEQUENTIAL(CONV("\"padding\": \"full\"")), CONV_ARRAYS, "\"full\" is not supported"},
    {SEQUENTIAL(LAYER("Masking", "\"mask_value\": 0") ", " CONV("\"padding\": \"valid\"")), CONV_ARRAYS,
     "fewer steps than the mask"},
    {SEQUENTIAL(LAYER("Masking", "\"mask_value\": 0") ", " CONV("\"strides\": 2, \"padding\": \"causal\"")),
     CONV_ARRAYS, "fewer steps than the mask"},
};

Test(import_keras, refusals_name_what_was_found)
{
    for (size_t i = 0; i < sizeof refusals / sizeof *refusals; i++) {
        struct imported model;
        import_text(refusals[i].config, refusals[i].list, "3.15.1", &model);
        cr_expect(!model.good, "refusal %zu was accepted: %s", i, refusals[i].words);
        cr_expect(strstr(model.error, refusals[i].words), "refusal %zu: \"%s\" is not in: %s", i,
                  refusals[i].words, model.error);
        imported_free(&model);
    }
}

#define X \
    "{\"class_name\": \"InputLayer\", \"name\": \"x\", \"config\": {\"batch_shape\": [null, null, 3]}, " \
    "\"inbound_nodes\": []}"
#define NODE(name, source) \
    "{\"class_name\": \"ReLU\", \"name\": \"" name "\", \"config\": {}, \"inbound_nodes\": [[[" source "]]]}"
#define GRAPH(nodes, output) \
    "{\"class_name\": \"Model\", \"config\": {\"layers\": [" X ", " nodes "], " \
    "\"input_layers\": [[\"x\", 0, 0]], " \
    "\"output_layers\": [" output "]}}"
#define OUT "[\"a\", 0, 0]"

Test(import_keras, graphs_that_make_no_sense)
{
    static const char *const rows[][2] = {
        {GRAPH(NODE("a", "\"b\", 0, 0") ", " NODE("b", "\"a\", 0, 0"), OUT), "in a circle"},
        {GRAPH(NODE("a", "\"a\", 0, 0"), OUT), "in a circle"},
        {GRAPH(NODE("a", "\"c\", 0, 0"), OUT), "'c', which is no layer"},
        {GRAPH(NODE("a", "\"x\", 1, 0"), OUT), "more than once"},
        {GRAPH(NODE("a", "\"x\", 0, 1"), OUT), "reads output 1"},
        {GRAPH(NODE("a", "\"x\", 0, 0") ", " NODE("a", "\"x\", 0, 0"), OUT), "two layers have its name"},
        {GRAPH(NODE("a", "\"x\", 0, 0"), "[\"a\", 0, 0], [\"x\", 0, 0]"), "2 output_layers"},
        {GRAPH(NODE("a", "\"x\", 0, 0"), "[\"x\", 0, 0]"), "no layer that does anything"},
        {GRAPH(NODE("a", "\"x\", 0, 0, {\"initial_state\": [\"x\", 0, 0]}"), OUT), "\"initial_state\""},
        {GRAPH(NODE("a", "\"x\", 0, 0], [\"x\", 0, 0"), OUT), "2 tensors"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct imported model;
        import_text(rows[i][0], "", "2.4", &model);
        cr_expect(!model.good && strstr(model.error, rows[i][1]), "\"%s\" is not in: %s", rows[i][1],
                  model.error);
        imported_free(&model);
    }
}

/* Of a file that does not say which Keras wrote it. */
static void expect_version_wanted(const char *text, const char *words)
{
    struct imported model;
    import_text(text, "", NULL, &model);
    cr_expect(!model.good && strstr(model.error, words) && strstr(model.error, "keras_version"), "%s",
              model.error);
    imported_free(&model);
}

/* Keras 2 multiplies what masked steps hold; Keras 3 has 0 there, or the product of inputs without a mask. */
Test(import_keras, products_of_masked_steps_depend_on_the_version)
{
    static const char factors[] = GRAPH(
        "{\"class_name\": \"Masking\", \"name\": \"m\", \"config\": {\"mask_value\": 0}, "
        "\"inbound_nodes\": [[[\"x\", 0, 0]]]}, " NODE("r", "\"m\", 0, 0") ", "
        "{\"class_name\": \"Multiply\", \"name\": \"a\", \"config\": {}, "
        "\"inbound_nodes\": [[[\"m\", 0, 0], [\"%s\", 0, 0]]]}", OUT);
    char both[sizeof factors], one[sizeof factors];
    struct imported model;
    sprintf(both, factors, "r");
    sprintf(one, factors, "x");
    import_text(both, "", "2.4", &model);
    EXPECT_TYPES(&model, MODEL_MASK, MODEL_MUL, MODEL_ACTIVATION, MODEL_MUL);
    imported_free(&model);
    import_text(both, "", "3.15.1", &model);
    EXPECT_TYPES(&model, MODEL_MASK, MODEL_MUL, MODEL_ACTIVATION, MODEL_MUL, MODEL_MUL);
    imported_free(&model);
    import_text(one, "", "3.15.1", &model);
    EXPECT_TYPES(&model, MODEL_MASK, MODEL_MUL, MODEL_MUL, MODEL_MUL, MODEL_ACTIVATION, MODEL_MUL, MODEL_ADD);
    imported_free(&model);
    expect_version_wanted(both, "differ between Keras 2 and 3");
}

/* Rescaling passes a mask on in Keras 3 only, so a mean behind it is one of all steps in Keras 2. */
Test(import_keras, rescaled_masked_steps_depend_on_the_version)
{
    static const char text[] = SEQUENTIAL(
        LAYER("Masking", "\"mask_value\": 0") ", " LAYER("Rescaling", "\"scale\": 2") ", "
        LAYER("GlobalAveragePooling1D", "\"keepdims\": false"));
    struct imported model;
    import_text(text, "", "2.4", &model);
    EXPECT_TYPES(&model, MODEL_MASK, MODEL_MUL, MODEL_ACTIVATION, MODEL_MEAN);
    imported_free(&model);
    import_text(text, "", "3.15.1", &model);
    EXPECT_TYPES(&model, MODEL_MASK, MODEL_MUL, MODEL_ACTIVATION, MODEL_ACTIVATION, MODEL_ATTENTION);
    imported_free(&model);
    expect_version_wanted(text, "Keras 2 does not");
}

/* A chain as long as a model may be, listed from its end: no recursion, no hang. */
Test(import_keras, long_chains)
{
    enum { N = 4000 };
    char *text = malloc(N * 160 + 1000), *at = text;
    struct imported model;
    cr_assert_not_null(text);
    at += sprintf(at, "{\"class_name\": \"Model\", \"config\": {\"layers\": [" X);
    for (int i = N; i > 0; i--)
        at += sprintf(at,
                      ", {\"class_name\": \"ReLU\", \"name\": \"r%d\", \"config\": {}, \"inbound_nodes\": "
                      "[[[\"%s%.0d\", 0, 0]]]}", i, i > 1 ? "r" : "x", i - 1);
    sprintf(at, "], \"input_layers\": [[\"x\", 0, 0]], \"output_layers\": [[\"r%d\", 0, 0]]}}", N);
    import_text(text, "", "2.4", &model);
    cr_expect(model.good, "%s", model.error);
    cr_expect_eq(model.view.n_layers, N);
    imported_free(&model);
    free(text);
}

/* ---- zip ----------------------------------------------------------------- */

static uint8_t *find(uint8_t *bytes, size_t n, const char *what, size_t n_what, int nth)
{
    for (size_t i = 0; i + n_what <= n; i++)
        if (memcmp(bytes + i, what, n_what) == 0 && nth-- == 0)
            return bytes + i;
    return NULL;
}

Test(import_keras, zips_that_lie)
{
    struct keras_archive archive;
    char error[KERAS_ARCHIVE_MESSAGE] = "";
    size_t n;
    uint8_t *bytes = (uint8_t *)read_seed("keras_zip", "deflated", &n), *entry;
    cr_assert(keras_archive_recognise(bytes, n));
    cr_assert(keras_archive_read(bytes, n, &archive, error), "%s", error);
    cr_expect_eq(archive.config.n_bytes, 80);
    cr_expect_eq(archive.weights.n_bytes, 98);
    keras_archive_free(&archive);
    entry = find(bytes, n, "PK\1\2", 4, 2); /* the third in the directory: the weights, 1.5 GiB */
    cr_assert_not_null(entry);
    memcpy(entry + 24, "\0\0\0\x60", 4);
    cr_expect_not(keras_archive_read(bytes, n, &archive, error));
    cr_expect(strstr(error, "model.weights.h5 would be 1610612736 bytes"), "%s", error);
    memcpy(entry + 24, "\0\1\0\0", 4); /* more than there is */
    cr_expect_not(keras_archive_read(bytes, n, &archive, error));
    cr_expect(strstr(error, "damaged"), "%s", error);
    memcpy(entry + 46, "model.weights.h6", 16);
    cr_expect_not(keras_archive_recognise(bytes, n));
    cr_expect_not(keras_archive_read(bytes, n, &archive, error));
    cr_expect(strstr(error, "there is no model.weights.h5"), "%s", error);
    free(bytes);
}

/* ---- HDF5 ---------------------------------------------------------------- */

Test(import_keras, answers_of_a_child_gone_mad)
{
    size_t n;
    uint8_t *seed = (uint8_t *)read_seed("hdf5_list", "list", &n);
    char error[HDF5_MESSAGE];
    for (size_t length = 0; length <= n; length++) {
        struct hdf5_file file;
        uint8_t *copy = malloc(length + 1);
        cr_assert_not_null(copy);
        memcpy(copy, seed, length);
        error[0] = '\0';
        cr_expect_eq(hdf5_list_parse(copy, length, &file, error), length == n, "%zu bytes: %s", length,
                     error);
        cr_expect(length == n || strstr(error, "failed on this file"), "%s", error);
        hdf5_file_free(&file);
    }
    free(seed);
}

#ifdef TESTS_HDF5

static double now(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + 1e-9 * (double)time.tv_nsec;
}

/* Files that are none: the child says so, or dies; never more than its time. */
Test(import_keras, damaged_hdf5_files, .timeout = 120)
{
    for (unsigned seed = 0; seed < 12; seed++) {
        uint8_t bytes[4096] = "\x89HDF\r\n\x1a\n";
        struct imported model;
        double began = now();
        for (size_t i = 8; i < sizeof bytes; i++)
            bytes[i] = (uint8_t)(seed < 6 ? seed : (i * 2654435761u >> 7) * seed);
        import_bytes(bytes, seed ? sizeof bytes : 8, NULL, &model);
        cr_expect(!model.good && strstr(model.error, "HDF5"), "%s", model.error);
        cr_expect_lt(now() - began, 10.0);
        imported_free(&model);
    }
}

#else

Test(import_keras, without_libhdf5_files_are_refused_by_name)
{
    struct imported model;
    import_bytes((const uint8_t *)"\x89HDF\r\n\x1a\n", 8, NULL, &model);
    cr_expect(!model.good && strstr(model.error, "made without libhdf5"), "%s", model.error);
    imported_free(&model);
}

#endif
