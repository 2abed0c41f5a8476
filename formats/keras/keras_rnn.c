/* SPDX-License-Identifier: MIT
 *
 * Keras's recurrent layers: LSTM, GRU, SimpleRNN, RNN of a cell, their cuDNN forms, and
 * Bidirectional. See keras_internal.h.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "formats/import_common.h"
#include "formats/keras/keras_internal.h"

/* ---- counting weights ---------------------------------------------------- */

void keras_count_rnn(const json_t *config, unsigned *trained, unsigned *frozen)
{
    (void)frozen;
    *trained += 2 + keras_is_on(config, "use_bias", true);
}

void keras_count_cudnn(const json_t *config, unsigned *trained, unsigned *frozen)
{
    (void)config, (void)frozen;
    *trained += 3;
}

/* ---- configuration ------------------------------------------------------- */

struct rnn {
    struct keras_layer cell; /* class and configuration of the cell, weights of the layer */
    uint32_t type, gates, hidden, input;
    bool sequences, backwards, zero_masked, reset_after, has_bias, cudnn;
    uint32_t acts[7]; /* words of one direction */
};

struct class_row {
    const char *class_name;
    uint32_t type;
};

static const struct class_row classes[] = {
    {"LSTM", MODEL_LSTM},     {"GRU", MODEL_GRU},     {"SimpleRNN", MODEL_RNN},     {"CuDNNLSTM", MODEL_LSTM},
    {"CuDNNGRU", MODEL_GRU},  {"LSTMCell", MODEL_LSTM}, {"GRUCell", MODEL_GRU}, {"SimpleRNNCell", MODEL_RNN},
};

static uint32_t type_of(const char *class_name)
{
    for (size_t i = 0; class_name && i < sizeof classes / sizeof *classes; i++)
        if (strcmp(classes[i].class_name, class_name) == 0)
            return classes[i].type;
    return 0;
}

void keras_count_rnn_of_cell(const json_t *config, unsigned *trained, unsigned *frozen)
{
    const json_t *cell = json_object_get(config, "cell");
    if (type_of(json_string_value(json_object_get(cell, "class_name"))))
        keras_count_rnn(json_object_get(cell, "config"), trained, frozen);
}

static bool find_type(const struct keras_work *work, struct rnn *rnn)
{
    rnn->type = type_of(rnn->cell.class_name);
    if (!rnn->type)
        return keras_fail(work, &rnn->cell, "cells of this class are not supported");
    rnn->gates = import_gate_count(rnn->type);
    return true;
}

/* An activation inside a cell must be one that the model file has. */
static bool set_act(const struct keras_work *work, struct rnn *rnn, const char *key, const char *otherwise,
                    unsigned first, unsigned last)
{
    struct keras_activation activation;
    if (!keras_activation(work, &rnn->cell, key, otherwise, &activation))
        return false;
    if (!keras_is_plain(&activation))
        return keras_fail(work, &rnn->cell,
                          "\"%s\": this activation is not supported inside a recurrent layer", key);
    for (unsigned place = first; place <= last; place++) {
        rnn->acts[0] |= activation.code << (8 * place);
        rnn->acts[1 + 2 * place] = model_float_bits(activation.alpha);
        rnn->acts[2 + 2 * place] = model_float_bits(activation.beta);
    }
    return true;
}

static bool set_acts(const struct keras_work *work, struct rnn *rnn)
{
    if (rnn->type == MODEL_RNN)
        return set_act(work, rnn, "activation", "tanh", 0, 0);
    return set_act(work, rnn, "recurrent_activation", "sigmoid", 0, 0) &&
           set_act(work, rnn, "activation", "tanh", 1, rnn->type == MODEL_LSTM ? 2 : 1);
}

/* Where the key is missing, as before Keras 2.2, the bias tells. */
static bool set_reset(const struct keras_work *work, struct rnn *rnn)
{
    const struct hdf5_array *bias = rnn->has_bias ? rnn->cell.weights[2] : NULL;
    bool otherwise = bias ? bias->rank == 2 || rnn->cudnn : work->major != 2;
    return rnn->type != MODEL_GRU ||
           keras_flag(work, &rnn->cell, "reset_after", otherwise, &rnn->reset_after);
}

/* What is set on the layer, whatever its cell. */
static bool read_layer(const struct keras_work *work, const struct keras_layer *layer, struct rnn *rnn)
{
    return keras_flag(work, layer, "return_sequences", false, &rnn->sequences) &&
           keras_flag(work, layer, "go_backwards", false, &rnn->backwards) &&
           keras_flag(work, layer, "zero_output_for_mask", false, &rnn->zero_masked) &&
           keras_only(work, layer, "time_major", NULL);
}

static bool read_rnn(const struct keras_work *work, const struct keras_layer *layer,
                     const struct keras_tensor *in,
                     struct rnn *rnn)
{
    struct model_value frame = keras_frame(work, in->value);
    const json_t *cell = json_object_get(layer->config, "cell");
    const struct hdf5_array *bias;
    *rnn = (struct rnn){.cell = *layer};
    if (!in->has_time)
        return keras_fail(work, layer, "its input is no sequence");
    if (strcmp(layer->class_name, "RNN") == 0) {
        const char *class_name = json_string_value(json_object_get(cell, "class_name"));
        rnn->cell.class_name = class_name ? class_name : "?";
        rnn->cell.config = json_object_get(cell, "config");
    }
    if (frame.rank != 1)
        return keras_fail(work, layer, "its input has %u dimensions a step, expected 1",
                          (unsigned)frame.rank);
    rnn->input = frame.dims[0];
    if (!find_type(work, rnn) || !keras_count(work, &rnn->cell, "units", &rnn->hidden) ||
        !keras_flag(work, &rnn->cell, "use_bias", true, &rnn->has_bias))
        return false;
    if (layer->n_weights != 2u + rnn->has_bias)
        return keras_fail(work, layer, "it has %u weights, expected %u", layer->n_weights,
                          2u + rnn->has_bias);
    bias = rnn->has_bias ? layer->weights[2] : NULL;
    rnn->cudnn = bias && bias->rank == 1 && rnn->type != MODEL_RNN &&
                 bias->dims[0] == 2 * (uint64_t)rnn->gates * rnn->hidden;
    return set_reset(work, rnn) && set_acts(work, rnn) && read_layer(work, layer, rnn);
}

/* ---- weights ------------------------------------------------------------- */

/* [rows][gates · H] to [gates · H][rows]. In cuDNN's layout each gate's block of the input
 * kernel holds [H][rows] in place of [rows][H], that of the recurrent one is transposed. */
static float *turn(const struct rnn *rnn, const float *kernel, uint32_t rows, bool recurrent)
{
    size_t H = rnn->hidden, columns = rnn->gates * H;
    float *out = calloc(rows * columns, sizeof *out);
    for (size_t column = 0; out && column < columns; column++) {
        for (size_t row = 0; row < rows; row++) {
            size_t unit = column % H, first = column - unit, at = row, of = unit;
            if (rnn->cudnn && recurrent)
                at = unit, of = row;
            else if (rnn->cudnn)
                at = (unit * rows + row) / H, of = (unit * rows + row) % H;
            out[column * rows + row] = kernel[at * columns + first + of];
        }
    }
    return out;
}

static float *turned_weight(struct keras_work *work, const struct rnn *rnn, uint32_t index, uint32_t rows)
{
    uint64_t columns = (uint64_t)rnn->gates * rnn->hidden;
    float *numbers = keras_weight(work, &rnn->cell, index, 2, (const uint32_t[]){rows, (uint32_t)columns});
    float *turned = numbers ? turn(rnn, numbers, rows, index == 1) : NULL;
    if (numbers && !turned)
        keras_out_of_memory(work);
    free(numbers);
    return turned;
}

/* [gates · H], or twice that where the biases of both products are kept apart. */
static float *bias_of(struct keras_work *work, const struct rnn *rnn, bool *two_out)
{
    uint32_t columns = rnn->gates * rnn->hidden;
    *two_out = rnn->cudnn || rnn->reset_after;
    if (rnn->cudnn)
        return keras_weight(work, &rnn->cell, 2, 1, (const uint32_t[]){2 * columns});
    if (rnn->reset_after)
        return keras_weight(work, &rnn->cell, 2, 2, (const uint32_t[]){2, columns});
    return keras_weight(work, &rnn->cell, 2, 1, &columns);
}

static bool add_cell(struct keras_work *work, const struct rnn *rnn, const char *suffix, uint32_t *slots)
{
    char name[KERAS_MAX_NAME + 1], whole[KERAS_MAX_NAME + 20];
    struct import_cell cell = {.type = rnn->type, .hidden = rnn->hidden, .input = rnn->input,
                               .recurrent = rnn->hidden, .reset_after = rnn->reset_after,
                               .order = rnn->type == MODEL_GRU ? import_order_onnx_gru : import_order_torch};
    float *kernel = turned_weight(work, rnn, 0, rnn->input);
    float *recurrent = kernel ? turned_weight(work, rnn, 1, rnn->hidden) : NULL;
    bool two = false, good;
    float *bias = recurrent && rnn->has_bias ? bias_of(work, rnn, &two) : NULL;
    snprintf(whole, sizeof whole, "%s%s", keras_name(&rnn->cell, name), suffix);
    cell.name = whole;
    cell.w_input = kernel;
    cell.w_recurrent = recurrent;
    cell.bias_input = bias;
    cell.bias_recurrent = two && bias ? bias + rnn->gates * (size_t)rnn->hidden : NULL;
    work->n_tensors += 3;
    good = recurrent && (bias || !rnn->has_bias);
    if (good && work->n_tensors > MODEL_MAX_TENSORS)
        good = keras_fail(work, &rnn->cell, "the model needs more than %d tensors", MODEL_MAX_TENSORS);
    good = good && import_add_cell(work->source, work->builder, &cell, slots, work->error);
    free(kernel);
    free(recurrent);
    free(bias);
    return good;
}

/* ---- layers -------------------------------------------------------------- */

/* One recurrent layer; with `second` of both directions. */
static bool emit_rnn(struct keras_work *work, const struct rnn *rnn, const struct rnn *second,
                     const struct keras_tensor *in, uint32_t *value_out)
{
    struct model_layer_spec spec = keras_like(work, rnn->type, in->value);
    uint32_t direction = second ? MODEL_BIDIRECTIONAL : rnn->backwards ? MODEL_REVERSED : MODEL_FORWARD;
    spec.n_tensors = second ? 2 * MODEL_RNN_SLOTS : MODEL_RNN_SLOTS;
    spec.dims[0] = (second ? 2 : 1) * rnn->hidden;
    spec.params[MODEL_RNN_HIDDEN] = rnn->hidden;
    spec.params[MODEL_RNN_DIRECTION] = direction;
    spec.params[MODEL_RNN_FLAGS] = rnn->reset_after ? MODEL_FLAG_RESET_AFTER : 0;
    memcpy(spec.params + MODEL_RNN_ACTS, rnn->acts, sizeof rnn->acts);
    if (second)
        memcpy(spec.params + MODEL_RNN_ACTS + MODEL_RNN_ACTS_STRIDE, second->acts, sizeof second->acts);
    if (in->mask != MODEL_NONE) {
        spec.n_inputs = 2;
        spec.inputs[1] = in->mask;
    }
    return add_cell(work, rnn, second ? ".forward" : "", spec.tensors) &&
           (!second || add_cell(work, second, ".backward", spec.tensors + MODEL_RNN_SLOTS)) &&
           keras_emit(work, &rnn->cell, &spec, value_out);
}

/* Zeros where the mask passes over a step. */
static bool zero_masked(struct keras_work *work, const struct keras_layer *layer,
                        const struct keras_tensor *in,
                        uint32_t *value)
{
    const uint32_t pair[2] = {*value, in->mask};
    return in->mask == MODEL_NONE || keras_emit_pair(work, layer, MODEL_MUL, pair, value);
}

/* The step that a layer without return_sequences gives: the last one it took. */
static bool take_step(struct keras_work *work, const struct rnn *rnn, uint32_t *value)
{
    return keras_emit_plain(work, &rnn->cell, rnn->backwards ? MODEL_FIRST : MODEL_LAST, *value, value);
}

static void finish(const struct rnn *rnn, struct keras_tensor *out)
{
    if (rnn->sequences)
        return;
    out->has_time = false;
    out->mask = MODEL_NONE;
}

bool keras_add_rnn(struct keras_work *work, const struct keras_layer *layer, const struct keras_tensor *in,
                   struct keras_tensor *out)
{
    struct rnn rnn;
    if (!read_rnn(work, layer, in, &rnn) || !emit_rnn(work, &rnn, NULL, in, &out->value) ||
        (rnn.zero_masked && !zero_masked(work, layer, in, &out->value)))
        return false;
    finish(&rnn, out);
    if (!rnn.sequences)
        return take_step(work, &rnn, &out->value);
    /* Keras leaves the outputs in the order in which they were made. */
    return !rnn.backwards || keras_emit_plain(work, layer, MODEL_REVERSE, out->value, &out->value);
}

/* ---- both directions ----------------------------------------------------- */

struct half {
    const char *key, *group;
    bool backwards;
};

static bool read_half(struct keras_work *work, const struct keras_layer *layer, const struct keras_tensor *in,
                      const struct half *half, struct rnn *rnn)
{
    bool given = keras_has(layer->config, half->key);
    const json_t *entry = json_object_get(layer->config, given ? half->key : "layer");
    const char *class_name = json_string_value(json_object_get(entry, "class_name"));
    const struct keras_row *row = class_name ? keras_row(class_name) : NULL;
    const char *name = json_string_value(json_object_get(json_object_get(entry, "config"), "name"));
    struct keras_layer inner = {.class_name = class_name ? class_name : "?",
                                .name = name ? name : layer->name,
                                .config = json_object_get(entry, "config"), .nesting = layer->nesting + 1};
    struct keras_place *below;
    bool good;
    if (!row || row->add != keras_add_rnn)
        return keras_fail(work, layer, "the inner layer is of class %.60s, which is not supported",
                          inner.class_name);
    below = calloc(1, sizeof *below);
    if (!below)
        return keras_out_of_memory(work);
    inner.place = below;
    good = keras_place_below(work, layer->place, half->group, below) &&
        keras_find_weights(work, row, &inner) &&
           read_rnn(work, &inner, in, rnn);
    free(below);
    if (good && rnn->backwards != half->backwards && given)
        return keras_fail(work, layer, "\"%s\" goes %s, which is not supported", half->key,
                          rnn->backwards ? "backwards" : "forwards");
    rnn->backwards = half->backwards;
    rnn->cell.name = layer->name;
    return good;
}

static bool merge(struct keras_work *work, const struct keras_layer *layer, const char *mode,
                  const uint32_t values[2], uint32_t *value_out)
{
    struct keras_activation half = {.code = MODEL_ACT_IDENTITY, .gain = 0.5f};
    struct model_value first = keras_frame(work, values[0]), second = keras_frame(work, values[1]);
    struct model_layer_spec spec = keras_like(work, MODEL_CONCAT, values[0]);
    if (strcmp(mode, "concat") == 0) {
        spec.n_inputs = 2;
        spec.inputs[1] = values[1];
        spec.dims[0] = first.dims[0] + second.dims[0];
        return keras_emit(work, layer, &spec, value_out);
    }
    if (first.dims[0] != second.dims[0])
        return keras_fail(work, layer,
                          "its directions have %u and %u units, which cannot be merged by \"%.20s\"",
                          (unsigned)first.dims[0], (unsigned)second.dims[0], mode);
    if (strcmp(mode, "mul") == 0)
        return keras_emit_pair(work, layer, MODEL_MUL, values, value_out);
    if (strcmp(mode, "sum") == 0)
        return keras_emit_pair(work, layer, MODEL_ADD, values, value_out);
    if (strcmp(mode, "ave") == 0)
        return keras_emit_pair(work, layer, MODEL_ADD, values, value_out) &&
               keras_emit_act(work, layer, &half, value_out);
    return keras_fail(work, layer, "\"merge_mode\" is \"%.40s\", supported are concat, sum, mul and ave",
                      mode);
}

static bool emit_both(struct keras_work *work, const struct rnn rnns[2], const char *mode,
                      const struct keras_tensor *in, uint32_t *value_out)
{
    uint32_t values[2];
    bool one = rnns[0].sequences && strcmp(mode, "concat") == 0 && rnns[0].type == rnns[1].type &&
               rnns[0].hidden == rnns[1].hidden && rnns[0].reset_after == rnns[1].reset_after;
    if (one)
        return emit_rnn(work, &rnns[0], &rnns[1], in, value_out);
    for (unsigned i = 0; i < 2; i++)
        if (!emit_rnn(work, &rnns[i], NULL, in, &values[i]) ||
            (!rnns[i].sequences && !take_step(work, &rnns[i], &values[i])))
            return false;
    return merge(work, &rnns[0].cell, mode, values, value_out);
}

bool keras_add_bidirectional(struct keras_work *work, const struct keras_layer *layer,
                             const struct keras_tensor *in, struct keras_tensor *out)
{
    static const struct half halves[2] = {{"layer", "forward_layer", false},
                                          {"backward_layer", "backward_layer", true}};
    const json_t *given = json_object_get(layer->config, "merge_mode");
    const char *mode = given ? json_string_value(given) : "concat";
    struct rnn rnns[2];
    if (!mode)
        return keras_fail(work, layer, "\"merge_mode\" is none, which gives two outputs; not supported");
    for (unsigned i = 0; i < 2; i++)
        if (!read_half(work, layer, in, &halves[i], &rnns[i]))
            return false;
    if (rnns[0].sequences != rnns[1].sequences)
        return keras_fail(work, layer, "return_sequences differs between its directions");
    if (!emit_both(work, rnns, mode, in, &out->value))
        return false;
    finish(&rnns[0], out);
    /* Keras sets zero_output_for_mask of both to return_sequences. */
    return !rnns[0].sequences || zero_masked(work, layer, in, &out->value);
}
