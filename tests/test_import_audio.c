/* SPDX-License-Identifier: MIT
 *
 * Files of audio plugins: what each format's weights must become, the metadata that
 * travels, and what is refused, with its place.
 */
#include <criterion/criterion.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/cheap.h"
#include "tests/importing.h"

/* One unit, one layer: W 4 x (x, h), bias 4, h, c, head. */
static const char nam[] =
    "{\"version\": \"0.5.4\", \"architecture\": \"LSTM\", \"metadata\": {\"name\": \"Amp\", \"modeled_by\": "
    "\"Ann\", \"loudness\": -18.5, \"input_level_dbu\": 12, \"output_level_dbu\": null, \"gear_type\": "
    "\"amp\", "
    "\"source\": \"x\", \"training\": {\"validation_esr\": 0.25, \"passed\": true, \"delays\": [-16, 2]}}, "
    "\"config\": {\"input_size\": 1, \"hidden_size\": 1, \"num_layers\": 1}, "
    "\"weights\": [1,2,3,4,5,6,7,8,9,10,11,12,0.5,-0.25,15,16], \"sample_rate\": 48000}";

static const char guitarml[] =
    "{\"model_data\": {\"model\": \"SimpleRNN\", \"input_size\": 2, \"skip\": 1, \"output_size\": 1, "
    "\"unit_type\": \"GRU\", \"num_layers\": 1, \"hidden_size\": 1, \"bias_fl\": true}, \"state_dict\": {"
    "\"rec.weight_ih_l0\": [[1,2],[3,4],[5,6]], \"rec.weight_hh_l0\": [[7],[8],[9]], "
    "\"rec.bias_ih_l0\": [1,2,3], \"rec.bias_hh_l0\": [10,20,30], "
    "\"lin.weight\": [[4]], \"lin.bias\": [5]}}";

static const char rtneural[] =
    "{\"in_shape\": [null, null, 2], \"layers\": ["
    "{\"type\": \"time-distributed-dense\", \"activation\": \"tanh\", \"shape\": [null, null, 3], "
    "\"weights\": [[[1,2,3],[4,5,6]], [7,8,9]]}, "
    "{\"type\": \"conv1d\", \"activation\": \"elu\", \"shape\": [null, null, 2], \"kernel_size\": [2], "
    "\"dilation\": [3], \"groups\": 1, "
    "\"weights\": [[[[1,2],[3,4],[5,6]],[[7,8],[9,10],[11,12]]], [13,14]]}, "
    "{\"type\": \"batchnorm\", \"activation\": \"\", \"shape\": [null, null, 2], \"epsilon\": 0.5, "
    "\"weights\": [[1,2],[3,4],[5,6],[0.5,3.5]]}, "
    "{\"type\": \"activation\", \"activation\": \"softmax\", \"shape\": [null, null, 2], \"weights\": []}, "
    "{\"type\": \"gru\", \"activation\": \"tanh\", \"shape\": [null, null, 1], "
    "\"weights\": [[[1,2,3],[4,5,6]], [[7,8,9]], [[1,2,3],[10,20,30]]]}]}";

static const char aidax[] =
    "{\"in_shape\": [null, null, 1], \"in_skip\": 1, \"in_gain\": 20, \"out_gain\": -20, \"layers\": ["
    "{\"type\": \"lstm\", \"activation\": \"\", \"shape\": [null, null, 1], "
    "\"weights\": [[[1,2,3,4]], [[5,6,7,8]], [9,10,11,12]]}, "
    "{\"type\": \"dense\", \"activation\": \"\", \"shape\": [null, null, 1], \"weights\": [[[2]],[3]]}], "
    "\"input_batch\": [1, 0.5], \"output_batch\": [0.25, 0.125], "
    "\"metadata\": {\"name\": \"Clean\", \"samplerate\": \"48000\", \"license\": \"CC0-1.0\", \"esr\": "
        "0.125, "
    "\"source\": \"original\"}}";

static const char state_dict[] =
    "{\"lstm.weight_ih_l0\": [[1],[2],[3],[4]], \"lstm.weight_hh_l0\": [[5],[6],[7],[8]], "
    "\"lstm.bias_ih_l0\": [1,2,3,4], \"lstm.bias_hh_l0\": [1,1,1,1], \"dense.weight\": [[3]], "
    "\"dense.bias\": [4]}";

/* ---- looking at models --------------------------------------------------- */

static void import_text(const char *text, struct imported *out)
{
    import_bytes((const uint8_t *)text, strlen(text), NULL, out);
}

static void import_good(const char *text, struct imported *out)
{
    import_text(text, out);
    cr_assert(out->good, "%s", out->error);
}

static void expect_type(const struct imported *model, uint32_t index, uint32_t type)
{
    struct model_layer layer;
    cr_assert_lt(index, model->view.n_layers);
    model_get_layer(&model->view, index, &layer);
    cr_assert_eq(layer.type, type, "layer %u has type %u, expected %u", index, layer.type, type);
}

/* Slot `slot` of layer `index` holds these numbers. */
static void expect_slot(const struct imported *model, uint32_t index, uint32_t slot, size_t n,
                        const float *numbers)
{
    struct model_layer layer;
    struct model_tensor tensor;
    model_get_layer(&model->view, index, &layer);
    cr_assert_neq(layer.tensors[slot], MODEL_NONE, "layer %u, slot %u", index, slot);
    model_get_tensor(&model->view, layer.tensors[slot], &tensor);
    cr_assert_eq(tensor.count, n, "layer %u, slot %u: %llu numbers", index, slot,
                 (unsigned long long)tensor.count);
    for (size_t i = 0; i < n; i++)
        cr_expect_float_eq(((const float *)tensor.data)[i], numbers[i], 1e-6, "layer %u, slot %u, number "
                           "%zu: %g",
                           index, slot, i, (double)((const float *)tensor.data)[i]);
}

static const char *metadata(const struct imported *model, const char *key)
{
    for (uint32_t i = 0; i < model->view.n_metadata; i++) {
        struct model_string found, value;
        model_get_metadata(&model->view, i, &found, &value);
        if (strcmp(found.text, key) == 0)
            return value.text;
    }
    return "";
}

#define FLOATS(...) sizeof((const float[]){__VA_ARGS__}) / sizeof(float), (const float[]){__VA_ARGS__}

/* ---- each format --------------------------------------------------------- */

Test(import_audio, nam)
{
    struct imported model;
    import_good(nam, &model);
    cr_assert_eq(model.view.n_layers, 2);
    expect_type(&model, 0, MODEL_LSTM);
    expect_type(&model, 1, MODEL_DENSE);
    expect_slot(&model, 0, MODEL_SLOT_W, FLOATS(2, 1, 4, 3, 6, 5, 8, 7)); /* h, then x */
    expect_slot(&model, 0, MODEL_SLOT_BIAS, FLOATS(9, 10, 11, 12));
    expect_slot(&model, 0, MODEL_SLOT_H0, FLOATS(0.5f));
    expect_slot(&model, 0, MODEL_SLOT_C0, FLOATS(-0.25f));
    expect_slot(&model, 1, 0, FLOATS(15));
    expect_slot(&model, 1, 1, FLOATS(16));
    imported_free(&model);
}

Test(import_audio, nam_metadata)
{
    static const char *const expected[][2] = {
        {"name", "Amp"}, {"author", "Ann"}, {"loudness_db", "-18.5"}, {"input_level_dbu", "12"},
        {"output_level_dbu", ""}, {"gear_type", "amp"}, {"original_source", "x"}, {"esr", "0.25"},
        {"training.passed", "true"}, {"training.delays", "[-16,2]"}, {"sample_rate", "48000"},
        {"prewarm_steps", "24000"}, {"nam_version", "0.5.4"}};
    struct imported model;
    import_good(nam, &model);
    for (size_t i = 0; i < sizeof expected / sizeof *expected; i++)
        cr_expect_str_eq(metadata(&model, expected[i][0]), expected[i][1], "%s is '%s'", expected[i][0],
                         metadata(&model, expected[i][0]));
    imported_free(&model);
}

Test(import_audio, guitarml)
{
    struct imported model;
    struct model_layer layer;
    import_good(guitarml, &model);
    cr_assert_eq(model.view.n_layers, 4);
    expect_type(&model, 0, MODEL_GRU);
    expect_type(&model, 1, MODEL_DENSE);
    expect_type(&model, 2, MODEL_SLICE); /* the sample, without the knob */
    expect_type(&model, 3, MODEL_ADD);
    expect_slot(&model, 0, MODEL_SLOT_W, FLOATS(7, 1, 2, 8, 3, 4, 9, 5, 6));
    expect_slot(&model, 0, MODEL_SLOT_BIAS, FLOATS(11, 22, 3));
    expect_slot(&model, 0, MODEL_SLOT_PEEPHOLE, FLOATS(30));
    model_get_layer(&model.view, 2, &layer);
    cr_expect_eq(layer.inputs[0], 0);
    model_get_layer(&model.view, 3, &layer);
    cr_expect(layer.inputs[0] == 2 && layer.inputs[1] == 3);
    cr_expect_str_eq(metadata(&model, "sample_rate"), "44100");
    cr_expect(strstr(model.notes, "44100"), "%s", model.notes);
    imported_free(&model);
}

Test(import_audio, rtneural)
{
    struct imported model;
    struct model_layer layer;
    import_good(rtneural, &model);
    cr_assert_eq(model.view.n_layers, 7);
    expect_type(&model, 0, MODEL_DENSE);
    expect_slot(&model, 0, 0, FLOATS(1, 4, 2, 5, 3, 6));
    expect_type(&model, 1, MODEL_ACTIVATION);
    expect_type(&model, 2, MODEL_TEMPORAL_CONV);
    expect_slot(&model, 2, 0, FLOATS(1, 3, 5, 7, 9, 11, 2, 4, 6, 8, 10, 12)); /* [out][tap][in] */
    model_get_layer(&model.view, 2, &layer);
    cr_expect(layer.params[MODEL_CONV_DILATION] == 3 && layer.params[MODEL_CONV_PAD_BEFORE] == 3 &&
              layer.params[MODEL_CONV_STRIDE] == 1 && layer.params[MODEL_CONV_GROUPS] == 1);
    expect_type(&model, 3, MODEL_ACTIVATION);
    expect_type(&model, 4, MODEL_SCALE);
    expect_slot(&model, 4, 0, FLOATS(1, 1));  /* 1 / sqrt(0.5 + 0.5), 2 / sqrt(3.5 + 0.5) */
    expect_slot(&model, 4, 1, FLOATS(-2, -2)); /* 3 - 5, 4 - 6 */
    expect_type(&model, 5, MODEL_SOFTMAX);
    expect_type(&model, 6, MODEL_GRU);
    expect_slot(&model, 6, MODEL_SLOT_W, FLOATS(8, 2, 5, 7, 1, 4, 9, 3, 6)); /* r, z, n from z, r, h */
    expect_slot(&model, 6, MODEL_SLOT_BIAS, FLOATS(22, 11, 3));
    expect_slot(&model, 6, MODEL_SLOT_PEEPHOLE, FLOATS(30));
    imported_free(&model);
}

Test(import_audio, aidax)
{
    struct imported model;
    struct model_layer layer;
    struct model_tensor tensor;
    import_good(aidax, &model);
    cr_assert_eq(model.view.n_layers, 5);
    expect_type(&model, 0, MODEL_SCALE);
    expect_slot(&model, 0, 0, FLOATS(10));
    expect_type(&model, 3, MODEL_ADD);
    model_get_layer(&model.view, 3, &layer);
    cr_expect(layer.inputs[0] == 3 && layer.inputs[1] == 1, "the skip adds the sample behind in_gain");
    expect_type(&model, 4, MODEL_SCALE);
    expect_slot(&model, 4, 0, FLOATS(0.1f));
    cr_assert_neq(model.view.reference_input, MODEL_NONE);
    model_get_tensor(&model.view, model.view.reference_input, &tensor);
    cr_expect_arr_eq(tensor.data, ((const float[]){0.1f, 0.05f}), 2 * sizeof(float));
    model_get_tensor(&model.view, model.view.reference_output, &tensor);
    cr_expect_float_eq(((const float *)tensor.data)[0], 0.025, 1e-8);
    cr_expect_str_eq(metadata(&model, "sample_rate"), "48000");
    cr_expect_str_eq(metadata(&model, "license"), "CC0-1.0");
    cr_expect_str_eq(metadata(&model, "original_source"), "original");
    imported_free(&model);
}

Test(import_audio, state_dict)
{
    struct imported model;
    import_good(state_dict, &model);
    cr_assert_eq(model.view.n_layers, 2);
    expect_slot(&model, 0, MODEL_SLOT_W, FLOATS(5, 1, 6, 2, 7, 3, 8, 4));
    expect_slot(&model, 0, MODEL_SLOT_BIAS, FLOATS(2, 3, 4, 5));
    expect_slot(&model, 1, 0, FLOATS(3));
    imported_free(&model);
}

/* ---- the same, with something else in it --------------------------------- */

/* `text` with the first `from` replaced; the caller frees. */
static char *edited(const char *text, const char *from, const char *to)
{
    const char *at = strstr(text, from);
    size_t n = strlen(text) + strlen(to) + 1;
    char *out = malloc(n);
    cr_assert(at, "no %s to replace", from);
    cr_assert(out);
    snprintf(out, n, "%.*s%s%s", (int)(at - text), text, to, at + strlen(from));
    return out;
}

struct edit {
    const char *base, *from, *to, *expected;
};

/* Each file is taken with such a note, or refused with such a sentence. */
static void check_edits(const struct edit *edits, size_t n, bool good)
{
    for (const struct edit *edit = edits; edit < edits + n; edit++) {
        char *text = edited(edit->base, edit->from, edit->to);
        struct imported model;
        import_text(text, &model);
        const char *said = good ? model.notes : model.error;
        cr_expect_eq(model.good, good, "%s instead of %s: %s", edit->to, edit->from, model.error);
        cr_expect(strstr(said, edit->expected), "%s instead of %s: '%s', expected '%s'", edit->to, edit->from,
                  said, edit->expected);
        imported_free(&model);
        free(text);
    }
}

Test(import_audio, refusals)
{
    static const struct edit edits[] = {
        {nam, "LSTM", "WaveNet", "architecture: 'WaveNet' is not supported; LSTM is"},
        {nam, "LSTM", "ConvNet", "'ConvNet' is not supported"},
        {nam, "LSTM", "Linear", "'Linear' is not supported"},
        {nam, "LSTM", "SlimmableContainer", "'SlimmableContainer' is not supported"},
        {nam, "0.5.4", "0.8.0", "version: 0.8.0; 0.5.0 to 0.7.0 are supported"},
        {nam, "0.5.4", "1.5.4", "version: 1.5.4"},
        {nam, "0.5.4", "0.5", "expected three numbers"},
        {nam, "\"0.5.4\"", "5", "version: expected a string, found a number"},
        {nam, "15,16]", "15]", "weights: 15 numbers; 1 layer of 1 units with 1 input and 1 output have 16"},
        {nam, "\"hidden_size\": 1", "\"hidden_size\": 16777216", "are too many"},
        {nam, "\"hidden_size\": 1", "\"hidden_size\": 1e3", "config.hidden_size: expected a whole number"},
        {nam, "\"hidden_size\": 1", "\"hidden_size\": \"1\"", "expected a whole number, found a string"},
        {nam, "\"hidden_size\": 1", "\"hidden_size\": 0", "config.hidden_size: 0, expected 1 to"},
        {nam, "\"num_layers\": 1", "\"num_layers\": 1, \"dropout\": 1", "unknown key 'config.dropout'; "
         "known are"},
        {nam, "\"num_layers\": 1", "\"num_layers\": 1, \"in_channels\": 2", "config.in_channels: 2, "
         "expected"},
        {nam, "[1,2,3", "[1,\"2\",3", "weights[1]: expected a number, found a string"},
        {nam, "[1,2,3", "[1,NaN,3", "JSON line 1"},
        {nam, "[1,2,3", "[1,Infinity,3", "JSON line 1"},
        {nam, "[1,2,3", "[1,1e400,3", "JSON line 1"},
        {nam, "[1,2,3", "[1,1e39,3", "number 1 is inf"},
        {nam, "[1,2,3", "[1,[2],3", "weights[1]: expected a number, found an array"},
        {nam, "48000", "48000, \"gain\": 3", "unknown key 'gain'; known are"},
        {nam, "48000", "48000, \"sample_rate\": 1", "duplicate"},
        {nam, "48000", "\"fast\"", "sample_rate: expected a number, or one in a string"},
        {nam, "\"Amp\"", "\"A\\u0001\"", "metadata.name: "},
        {nam, "\"Amp\"", "\"A\\u0000\"", "JSON line 1"},
        {nam, "\"name\"", "\"\"", "metadata: a key is empty"},
        {nam, "48000}", "48000", "JSON line 1"},
        {guitarml, "SimpleRNN", "GatedConvNet", "model_data.model: 'GatedConvNet' is not supported"},
        {guitarml, "\"GRU\"", "\"MGU\"", "unit_type: 'MGU' is not supported"},
        {guitarml, "\"GRU\"", "\"LSTM\"", "state_dict.rec.weight_ih_l0: 3 rows, expected 4"},
        {guitarml, "\"skip\": 1", "\"skip\": 3", "a skip connection of 3 inputs does not fit"},
        {guitarml, "\"num_layers\": 1", "\"num_layers\": 2", "state_dict.rec.weight_ih_l1: is not there"},
        {guitarml, "lin.bias", "lin.gain", "state_dict.lin.bias: is not there"},
        {guitarml, "\"bias_fl\": true", "\"bias_fl\": false", "state_dict.lin.bias: a network of this kind"},
        {guitarml, "\"bias_fl\": true", "\"bias_fl\": 2", "model_data.bias_fl"},
        {guitarml, "[1,2],", "[1,2,3],", "state_dict.rec.weight_ih_l0[0]: 3 numbers, expected 2"},
        {guitarml, "{\"model_data", "{\"extra\": 1, \"model_data", "unknown key 'extra'; known are"},
        {rtneural, "\"conv1d\"", "\"conv2d\"", "layers[1].type: 'conv2d' is not supported"},
        {rtneural, "\"conv1d\"", "\"prelu\"", "layers[1].type: 'prelu' is not supported"},
        {rtneural, "\"batchnorm\"", "\"batchnorm2d\"", "layers[2].type: 'batchnorm2d' is not supported"},
        {rtneural, "\"elu\"", "\"selu\"", "layers[1].activation: 'selu' is not supported"},
        {rtneural, "[7,8,9]]", "[7,8]]", "layers[0].weights[1]: 2 numbers, expected 3"},
        {rtneural, "[4,5,6]], [7,8,9]", "[4,5]], [7,8,9]", "layers[0].weights[0][1]: 2 numbers, expected 3"},
        {rtneural, ", [7,8,9]]}", "]}", "layers[0].weights: 1 arrays, expected 2"},
        {rtneural, "\"groups\": 1", "\"groups\": 2", "layers[1].groups: 2 do not divide"},
        {rtneural, "\"groups\": 1", "\"strides\": 2", "layers[1].strides: 2 is not supported"},
        {rtneural, "\"groups\": 1", "\"padding\": \"same\"", "layers[1].padding: 'same' is not supported"},
        {rtneural, "\"dilation\": [3]", "\"dilation\": [16777216]", "reach back"},
        {rtneural, "\"kernel_size\": [2]", "\"kernel_size\": [0]", "layers[1].kernel_size: expected"},
        {rtneural, "0.5,3.5", "-0.5,3.5", "layers[2].weights: variance 0 and epsilon are 0"},
        {rtneural, "\"epsilon\": 0.5", "\"epsilon\": -1", "layers[2].epsilon"},
        {rtneural, "\"shape\": [null, null, 3]", "\"shape\": []", "layers[0].shape: expected a whole number"},
        {rtneural, "null, null, 2], \"layers\"", "null], \"layers\"", "in_shape: expected a whole number"},
        {rtneural, "[[1,2,3],[10,20,30]]", "[1,2,3]", "layers[4].weights[2]: 3 rows, expected 2"},
        {aidax, "\"in_skip\": 1", "\"in_skip\": 2", "in_skip: 2 is not supported; 0 and 1 are"},
        {aidax, "\"in_gain\": 20", "\"in_gain\": \"20\"", "in_gain: expected a number of dB"},
        {aidax, "\"out_gain\": -20", "\"out_gain\": 1e6", "out_gain: expected a number of dB"},
        {aidax, "[0.25, 0.125]", "[0.25]", "output_batch: 1 frames, expected the 2 of input_batch"},
        {aidax, "\"output_batch\"", "\"date\"", "output_batch: expected an array, found nothing"},
        {aidax, "\"48000\"", "\"48 kHz\"", "metadata.samplerate: expected a number"},
        {aidax, "\"in_skip\"", "\"in_skp\"", "unknown key 'in_skp'; known are"},
        {state_dict, "[[3]]", "[[3],[4,5]]", "state_dict.dense.weight[1]: 2 numbers, expected 1"},
        {state_dict, "[[3]]", "[[[[[3]]]]]", "up to 4 levels"},
        {state_dict, "[[3]]", "[]", "state_dict.dense.weight: an array of 0"},
        {state_dict, "[[3]]", "\"3\"", "state_dict.dense.weight: expected a number, found a string"},
    };
    check_edits(edits, sizeof edits / sizeof *edits, false);
}

Test(import_audio, also_accepted)
{
    static const struct edit edits[] = {
        {nam, "0.5.4", "0.7.2", "is newer than those known"},
        {nam, "48000", "-1", "the sample rate is not known"},
        {nam, ", \"sample_rate\": 48000", "", "the sample rate is not known"},
        {nam, "[1,2,3", "[1,1e-40,3", "too small"},
        {rtneural, "\"gru\", \"activation\": \"tanh\"", "\"gru\", \"activation\": \"relu\"", "is passed "
         "over"},
        {rtneural, "[1,2],[3,4],[5,6],[0.5,3.5]", "[5,6],[0.5,3.5]", ""},
        {aidax, "\"in_gain\": 20", "\"in_gain\": -120", "are left out"},
        {aidax, "\"in_gain\": 20, \"out_gain\": -20", "\"samplerate\": 44100", ""},
        {guitarml, "\"skip\": 1", "\"skip\": 0", ""},
        {state_dict, state_dict, "{\"state_dict\": {\"fc.weight\": [[1, 2]], \"fc.bias\": [3]}}", ""},
    };
    check_edits(edits, sizeof edits / sizeof *edits, true);
}

Test(import_audio, gains_in_db)
{
    char *text = edited(aidax, "\"in_gain\": 20, \"out_gain\": -20", "\"in_gain\": 0, \"out_gain\": 0");
    struct imported model;
    import_good(text, &model);
    cr_expect_eq(model.view.n_layers, 3, "0 dB is no layer");
    imported_free(&model);
    free(text);
}

/* ---- hostile files ------------------------------------------------------- */

/* `start`, `n` times `piece`. The file is refused with `expected`, and cheaply. */
static void expect_refused(const char *start, const char *piece, size_t n, const char *expected)
{
    const size_t n_start = strlen(start), n_piece = strlen(piece), n_bytes = n_start + n * n_piece;
    struct imported model;
    char *text = malloc(n_bytes);
    double began;
    cr_assert(text);
    memcpy(text, start, n_start);
    for (size_t i = 0; i < n; i++)
        memcpy(text + n_start + i * n_piece, piece, n_piece);
    began = cheap_now();
    import_bytes((const uint8_t *)text, n_bytes, NULL, &model);
    cheap_expect(began, expected);
    cr_expect(!model.good && strstr(model.error, expected), "%s…: '%s', expected '%s'", piece, model.error,
              expected);
    imported_free(&model);
    free(text);
}

Test(import_audio, hostile_sizes)
{
    static const char start[] = "{\"architecture\": \"LSTM\", \"weights\": ";
    expect_refused(start, "[", 1000000, "more than 262144 arrays");
    expect_refused(start, "[", 1000, "nested deeper than 16");
    expect_refused(start, "{\"a\":", 1000000, "more than 32768 objects");
    expect_refused("{\"architecture\": 1", ",\"a\":1", 1000000, "more than 65536 members");
    expect_refused("{\"architecture\": 1, \"weights\": [0", ",0", 3000000, "more than 1048576 values");
    expect_refused("{\"architecture\": \"", "a", 40 << 20, "bytes of JSON, at most");
    expect_refused("{\"architecture\": \"", "a", 1 << 20, "JSON line 1");
    expect_refused("{\"a.weight\": [[1", ",1", 1000000, "JSON line 1");
    expect_refused("{\"a", "a", 1000, "not recognised");
    expect_refused("{}", " ", 10, "not recognised");
    expect_refused("[{\"architecture\": 1", "}", 1, "not recognised");
}

/* A file cut off anywhere is refused, not crashed on. */
Test(import_audio, cut_anywhere)
{
    const char *const files[] = {nam, guitarml, rtneural, aidax, state_dict};
    for (size_t f = 0; f < sizeof files / sizeof *files; f++) {
        for (size_t n = 0; n < strlen(files[f]); n++) {
            struct imported model;
            import_bytes((const uint8_t *)files[f], n, NULL, &model);
            cr_expect(!model.good && model.error[0], "file %zu cut to %zu bytes", f, n);
            imported_free(&model);
        }
    }
}

/* Two layers, two inputs, two outputs: the count alone says whether the order of parts is right. */
Test(import_audio, nam_counts)
{
    static const struct {
        unsigned inputs, hidden, layers, outputs, count;
    } rows[] = {{1, 3, 1, 1, 70}, {1, 16, 1, 1, 1201}, {1, 8, 2, 1, 905}, {3, 2, 2, 2, 102}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct imported model;
        char *text = malloc(16 * rows[i].count + 400);
        size_t used;
        cr_assert(text);
        used = (size_t)sprintf(text, "{\"version\": \"0.5.0\", \"architecture\": \"LSTM\", \"config\": "
                               "{\"input_size\": "
                               "%u, \"hidden_size\": %u, \"num_layers\": %u, \"out_channels\": %u}, "
                                   "\"weights\": [0",
                               rows[i].inputs, rows[i].hidden, rows[i].layers, rows[i].outputs);
        for (unsigned k = 1; k < rows[i].count; k++)
            used += (size_t)sprintf(text + used, ",%u", k);
        sprintf(text + used, "]}");
        import_good(text, &model);
        cr_expect_eq(model.view.n_layers, rows[i].layers + 1);
        imported_free(&model);
        free(text);
    }
}
