/* SPDX-License-Identifier: MIT
 *
 * The table of Keras's layer classes, and those without weights. See keras_internal.h.
 */
#include <stdlib.h>
#include <string.h>

#include "formats/keras/keras_internal.h"

/* ---- layers that do nothing at inference --------------------------------- */

static bool add_nothing(struct keras_work *work, const struct keras_layer *layer,
                        const struct keras_tensor *in,
                        struct keras_tensor *out)
{
    (void)work, (void)layer, (void)in, (void)out;
    return true;
}

/* ---- activations --------------------------------------------------------- */

static bool add_activation(struct keras_work *work, const struct keras_layer *layer,
                           const struct keras_tensor *in,
                           struct keras_tensor *out)
{
    struct keras_activation activation;
    bool known;
    if (!keras_activation_of_class(work, layer, &activation, &known))
        return false;
    if (strcmp(layer->class_name, "Softmax") == 0) {
        if (in->mask != MODEL_NONE)
            return keras_fail(work, layer, "its input has a mask, which Keras uses in ways of its own; not "
                              "supported");
        if (!keras_last_axis(work, layer, in, "axis"))
            return false;
    }
    return keras_emit_act(work, layer, &activation, &out->value);
}

static bool add_rescaling(struct keras_work *work, const struct keras_layer *layer,
                          const struct keras_tensor *in,
                          struct keras_tensor *out)
{
    struct keras_activation affine = {.code = MODEL_ACT_IDENTITY};
    double scale, offset;
    if (in->mask != MODEL_NONE && !work->major)
        return keras_fail(work, layer, "Keras 3 passes the mask of its input on and Keras 2 does not, and "
                          "which of them wrote this is not in the file; add \"keras_version\" to the JSON of "
                          "--spec");
    if (in->mask != MODEL_NONE && work->major < 3) {
        keras_note(work, layer, "passes no mask on, as in Keras 2");
        out->mask = MODEL_NONE;
    }
    if (!keras_number(work, layer, "scale", 1, &scale) || !keras_number(work, layer, "offset", 0, &offset))
        return false;
    affine.gain = (float)scale;
    affine.offset = (float)offset;
    return keras_emit_act(work, layer, &affine, &out->value);
}

/* ---- masks --------------------------------------------------------------- */

/* Masked frames become zeros as well. */
static bool add_masking(struct keras_work *work, const struct keras_layer *layer,
                        const struct keras_tensor *in,
                        struct keras_tensor *out)
{
    double number;
    uint32_t pair[2] = {in->value, 0};
    if (!keras_number(work, layer, "mask_value", 0, &number))
        return false;
    if (!in->has_time)
        return keras_fail(work, layer, "its input is no sequence");
    if (in->mask != MODEL_NONE)
        return keras_fail(work, layer, "its input has a mask already");
    if (!keras_mask(work, layer, in->value, (float)number, &pair[1]))
        return false;
    out->mask = pair[1];
    return keras_emit_pair(work, layer, MODEL_MUL, pair, &out->value);
}

/* ---- all steps to one ---------------------------------------------------- */

static bool check_pooling(const struct keras_work *work, const struct keras_layer *layer,
                          const struct keras_tensor *in)
{
    if (!in->has_time)
        return keras_fail(work, layer, "its input is no sequence");
    return keras_only(work, layer, "keepdims", NULL) && keras_only(work, layer, "data_format",
                                                                   "channels_last");
}

/* The mean of the frames that the mask lets pass: attention whose scores are 0 or so low
 * that e^score is 0. */
static bool masked_mean(struct keras_work *work, const struct keras_layer *layer,
                        const struct keras_tensor *in,
                        struct keras_tensor *out)
{
    const float low = 1e4f;
    struct keras_activation score = {.code = MODEL_ACT_IDENTITY, .gain = low, .offset = -low};
    struct model_layer_spec spec = keras_like(work, MODEL_ATTENTION, in->value);
    uint32_t value = in->mask;
    if (spec.rank != 1)
        return keras_fail(work, layer, "a masked mean is supported for frames of one dimension only");
    if (!keras_emit_act(work, layer, &score, &value))
        return false;
    spec.n_inputs = 2;
    spec.inputs[1] = value;
    spec.once = true;
    return keras_emit(work, layer, &spec, &out->value);
}

static bool add_mean(struct keras_work *work, const struct keras_layer *layer, const struct keras_tensor *in,
                     struct keras_tensor *out)
{
    out->has_time = false;
    out->mask = MODEL_NONE;
    if (!check_pooling(work, layer, in))
        return false;
    if (in->mask != MODEL_NONE)
        return masked_mean(work, layer, in, out);
    return keras_emit_plain(work, layer, MODEL_MEAN, in->value, &out->value);
}

static bool add_max(struct keras_work *work, const struct keras_layer *layer, const struct keras_tensor *in,
                    struct keras_tensor *out)
{
    out->has_time = false;
    if (!check_pooling(work, layer, in))
        return false;
    if (in->mask != MODEL_NONE)
        return keras_fail(work, layer,
                          "its input has a mask, which Keras drops here, so that masked steps count; "
                          "not supported");
    return keras_emit_plain(work, layer, MODEL_MAX, in->value, &out->value);
}

/* ---- shapes -------------------------------------------------------------- */

static bool add_flatten(struct keras_work *work, const struct keras_layer *layer,
                        const struct keras_tensor *in,
                        struct keras_tensor *out)
{
    uint32_t size = (uint32_t)keras_frame(work, in->value).size;
    if (in->has_time)
        return keras_fail(work, layer, "it would join all steps of a sequence into one frame; not supported");
    return keras_only(work, layer, "data_format", "channels_last") &&
           keras_emit_reshape(work, layer, 1, &size, &out->value);
}

/* Sizes of the target's axes from `first` on, of which one may be -1. */
static bool target_dims(const struct keras_work *work, const struct keras_layer *layer, const json_t *target,
                        size_t first, size_t size, uint32_t *dims)
{
    size_t rank = json_array_size(target) - first, known = 1, open = rank;
    for (size_t i = 0; i < rank; i++) {
        const json_t *item = json_array_get(target, first + i);
        json_int_t dim = json_integer_value(item);
        if (!json_is_integer(item) || dim < -1 || dim == 0 || dim > MODEL_MAX_DIM ||
            (dim == -1 && open < rank))
            return keras_fail(work, layer, "\"target_shape\" has an axis that is no size");
        if (dim == -1)
            open = i;
        else
            known *= (size_t)dim;
        if (known > MODEL_MAX_FRAME)
            return keras_fail(work, layer, "\"target_shape\" is larger than its input");
        dims[i] = dim == -1 ? 1 : (uint32_t)dim;
    }
    if (open < rank)
        dims[open] = (uint32_t)(size / known);
    if (size % known || (open == rank && known != size) || (open < rank && size < known))
        return keras_fail(work, layer, "\"target_shape\" does not keep the numbers of each step together");
    return true;
}

static bool add_reshape(struct keras_work *work, const struct keras_layer *layer,
                        const struct keras_tensor *in,
                        struct keras_tensor *out)
{
    const json_t *target = json_object_get(layer->config, "target_shape");
    size_t rank = json_array_size(target), first = in->has_time ? 1 : 0;
    uint32_t dims[MODEL_MAX_RANK] = {0};
    if (in->mask != MODEL_NONE)
        return keras_fail(work, layer, "its input has a mask; not supported");
    if (rank <= first || rank > first + MODEL_MAX_RANK)
        return keras_fail(work, layer, "\"target_shape\" has %zu axes, expected %zu to %zu", rank, first + 1,
                          first + MODEL_MAX_RANK);
    /* The steps of a sequence stay steps when each keeps its numbers. */
    if (!target_dims(work, layer, target, first, keras_frame(work, in->value).size, dims))
        return false;
    out->scalar = false;
    return keras_emit_reshape(work, layer, (uint32_t)(rank - first), dims, &out->value);
}

/* ---- several inputs ------------------------------------------------------ */

static bool check_shapes(const struct keras_work *work, const struct keras_layer *layer,
                         const struct keras_tensor *in, size_t n_in, uint32_t any_axis)
{
    struct model_value first = keras_frame(work, in[0].value);
    for (size_t i = 1; i < n_in; i++) {
        struct model_value frame = keras_frame(work, in[i].value);
        bool same = frame.rank == first.rank && frame.once == first.once;
        for (uint32_t axis = 0; same && axis < first.rank; axis++)
            same = axis == any_axis || frame.dims[axis] == first.dims[axis];
        if (!same)
            return keras_fail(work, layer, "the shapes of its inputs differ, which is not supported");
    }
    return true;
}

static bool join(struct keras_work *work, const struct keras_layer *layer, uint32_t type,
                 const struct keras_tensor *in, size_t n_in, struct keras_tensor *out)
{
    struct model_layer_spec spec = keras_like(work, type, in[0].value);
    if (!check_shapes(work, layer, in, n_in, MODEL_MAX_RANK))
        return false;
    spec.n_inputs = (uint32_t)n_in;
    for (size_t i = 0; i < n_in; i++)
        spec.inputs[i] = in[i].value;
    return keras_emit(work, layer, &spec, &out->value);
}

static bool join_add(struct keras_work *work, const struct keras_layer *layer, const struct keras_tensor *in,
                     size_t n_in, struct keras_tensor *out)
{
    return join(work, layer, MODEL_ADD, in, n_in, out);
}

/* What Keras 3 has of a product p in masked steps: with m the mask, p m + q (1 - m), where q is the product of
 * the inputs without a mask, and 0 if there are none. */
static bool unmask_product(struct keras_work *work, const struct keras_layer *layer,
                           const struct keras_tensor *in, size_t n_in, uint32_t *product)
{
    const struct keras_activation opposite = {.code = MODEL_ACT_IDENTITY, .gain = -1, .offset = 1};
    struct keras_tensor bare[MODEL_MAX_INPUTS];
    uint32_t mask = MODEL_NONE, pair[2];
    size_t n = 0;
    for (size_t i = 0; i < n_in; i++)
        if (in[i].mask != MODEL_NONE)
            mask = in[i].mask;
        else
            bare[n++] = in[i];
    pair[0] = *product;
    pair[1] = mask;
    if (!keras_emit_pair(work, layer, MODEL_MUL, pair, product))
        return false;
    if (n == 0)
        return true;
    if ((n > 1 && !join(work, layer, MODEL_MUL, bare, n, &bare[0])) ||
        !keras_emit_act(work, layer, &opposite, &mask))
        return false;
    pair[0] = bare[0].value;
    pair[1] = mask;
    if (!keras_emit_pair(work, layer, MODEL_MUL, pair, &pair[1]))
        return false;
    pair[0] = *product;
    return keras_emit_pair(work, layer, MODEL_ADD, pair, product);
}

static bool join_multiply(struct keras_work *work, const struct keras_layer *layer,
                          const struct keras_tensor *in,
                          size_t n_in, struct keras_tensor *out)
{
    bool masked = false;
    for (size_t i = 0; i < n_in; i++)
        masked = masked || in[i].mask != MODEL_NONE;
    if (masked && !work->major)
        return keras_fail(work, layer, "products of masked steps differ between Keras 2 and 3, and which of "
                          "them wrote this is not in the file; add \"keras_version\" to the JSON of --spec");
    return join(work, layer, MODEL_MUL, in, n_in, out) &&
           (!masked || work->major < 3 || unmask_product(work, layer, in, n_in, &out->value));
}

static bool join_average(struct keras_work *work, const struct keras_layer *layer,
                         const struct keras_tensor *in,
                         size_t n_in, struct keras_tensor *out)
{
    struct keras_activation part = {.code = MODEL_ACT_IDENTITY, .gain = 1.0f / (float)n_in};
    return join(work, layer, MODEL_ADD, in, n_in, out) && keras_emit_act(work, layer, &part, &out->value);
}

/* a - b */
static bool join_subtract(struct keras_work *work, const struct keras_layer *layer,
                          const struct keras_tensor *in,
                          size_t n_in, struct keras_tensor *out)
{
    struct keras_activation minus = {.code = MODEL_ACT_IDENTITY, .gain = -1};
    struct keras_tensor both[2] = {in[0], in[1]};
    if (n_in != 2)
        return keras_fail(work, layer, "it has %zu inputs, expected 2", n_in);
    return keras_emit_act(work, layer, &minus, &both[1].value) && join(work, layer, MODEL_ADD, both, 2, out);
}

static bool join_concat(struct keras_work *work, const struct keras_layer *layer,
                        const struct keras_tensor *in,
                        size_t n_in, struct keras_tensor *out)
{
    struct model_layer_spec spec = keras_like(work, MODEL_CONCAT, in[0].value);
    const json_t *axis = json_object_get(layer->config, "axis");
    json_int_t skip = in[0].has_time ? 2 : 1, given = axis ? json_integer_value(axis) : -1;
    uint64_t sum = 0;
    given = given < 0 ? given + spec.rank : given - skip;
    if ((axis && !json_is_integer(axis)) || given < 0 || given >= spec.rank)
        return keras_fail(work, layer,
                          "\"axis\" is no axis of features; joining steps or items is not supported");
    if (!check_shapes(work, layer, in, n_in, (uint32_t)given))
        return false;
    spec.n_inputs = (uint32_t)n_in;
    spec.params[0] = (uint32_t)given;
    for (size_t i = 0; i < n_in; i++) {
        spec.inputs[i] = in[i].value;
        sum += keras_frame(work, in[i].value).dims[given];
    }
    if (sum > MODEL_MAX_DIM)
        return keras_fail(work, layer, "its output is larger than %d", MODEL_MAX_DIM);
    spec.dims[given] = (uint32_t)sum;
    return keras_emit(work, layer, &spec, &out->value);
}

/* ---- wrappers ------------------------------------------------------------ */

/* The inner layer sees frames without steps. */
static bool add_time_distributed(struct keras_work *work, const struct keras_layer *layer,
                                 const struct keras_tensor *in, struct keras_tensor *out)
{
    const json_t *inner = json_object_get(layer->config, "layer");
    const char *class_name = json_string_value(json_object_get(inner, "class_name"));
    struct keras_tensor frame = *in, result;
    struct keras_place *below;
    bool good;
    if (!in->has_time)
        return keras_fail(work, layer, "its input is no sequence");
    if (class_name && in->mask != MODEL_NONE && (keras_is_model(class_name) ||
                                                 !strcmp(class_name, "Softmax")))
        return keras_fail(work, layer,
                          "its input has a mask and the inner layer is of class %.60s, which is not "
                          "supported", class_name);
    frame.has_time = false;
    frame.mask = MODEL_NONE;
    below = calloc(1, sizeof *below);
    if (!below)
        return keras_out_of_memory(work);
    good = keras_place_below(work, layer->place, "layer", below) &&
           keras_add_entry(work, inner, below, layer->nesting + 1, &frame, 1, &result);
    free(below);
    if (good && keras_frame(work, result.value).once != keras_frame(work, in->value).once)
        return keras_fail(work, layer, "the inner layer makes one frame of all steps");
    out->value = good ? result.value : 0;
    return good;
}

/* ---- the table ----------------------------------------------------------- */

static const struct keras_row rows[] = {
    {.class_name = "LSTM", .count = keras_count_rnn, .add = keras_add_rnn},
    {.class_name = "GRU", .count = keras_count_rnn, .add = keras_add_rnn},
    {.class_name = "SimpleRNN", .count = keras_count_rnn, .add = keras_add_rnn},
    {.class_name = "CuDNNLSTM", .count = keras_count_cudnn, .add = keras_add_rnn},
    {.class_name = "CuDNNGRU", .count = keras_count_cudnn, .add = keras_add_rnn},
    {.class_name = "RNN", .count = keras_count_rnn_of_cell, .add = keras_add_rnn},
    {.class_name = "Bidirectional", .add = keras_add_bidirectional, .takes_weights = true},
    {.class_name = "TimeDistributed", .add = add_time_distributed, .takes_weights = true},

    {.class_name = "Dense", .count = keras_count_bias, .add = keras_add_dense},
    {.class_name = "Embedding", .count = keras_count_one, .add = keras_add_embedding},
    {.class_name = "Conv1D", .count = keras_count_bias, .add = keras_add_conv1d},
    {.class_name = "Convolution1D", .count = keras_count_bias, .add = keras_add_conv1d},
    {.class_name = "MaxPooling1D", .add = keras_add_pool},
    {.class_name = "MaxPool1D", .add = keras_add_pool},
    {.class_name = "AveragePooling1D", .add = keras_add_pool},
    {.class_name = "AvgPool1D", .add = keras_add_pool},
    {.class_name = "AttentionWeightedAverage", .count = keras_count_one, .add = keras_add_attention_average},

    {.class_name = "BatchNormalization", .count = keras_count_batch_norm, .add = keras_add_batch_norm},
    {.class_name = "LayerNormalization", .count = keras_count_norm, .add = keras_add_layer_norm},
    {.class_name = "Normalization", .count = keras_count_normalization, .add = keras_add_normalization},
    {.class_name = "Rescaling", .add = add_rescaling},

    {.class_name = "Activation", .add = add_activation},
    {.class_name = "ReLU", .add = add_activation},
    {.class_name = "LeakyReLU", .add = add_activation},
    {.class_name = "ELU", .add = add_activation},
    {.class_name = "ThresholdedReLU", .add = add_activation},
    {.class_name = "Softmax", .add = add_activation},

    {.class_name = "Masking", .add = add_masking},
    {.class_name = "GlobalAveragePooling1D", .add = add_mean},
    {.class_name = "GlobalAvgPool1D", .add = add_mean},
    {.class_name = "GlobalMaxPooling1D", .add = add_max},
    {.class_name = "GlobalMaxPool1D", .add = add_max},
    {.class_name = "Flatten", .add = add_flatten},
    {.class_name = "Reshape", .add = add_reshape},

    {.class_name = "Add", .join = join_add},
    {.class_name = "Multiply", .join = join_multiply},
    {.class_name = "Average", .join = join_average},
    {.class_name = "Subtract", .join = join_subtract},
    {.class_name = "Concatenate", .join = join_concat},

    {.class_name = "Dropout", .add = add_nothing},
    {.class_name = "SpatialDropout1D", .add = add_nothing},
    {.class_name = "GaussianNoise", .add = add_nothing},
    {.class_name = "GaussianDropout", .add = add_nothing},
    {.class_name = "AlphaDropout", .add = add_nothing},
    {.class_name = "ActivityRegularization", .add = add_nothing},
    {.class_name = "Identity", .add = add_nothing},
};

const struct keras_row *keras_row(const char *class_name)
{
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        if (strcmp(rows[i].class_name, class_name) == 0)
            return &rows[i];
    return NULL;
}
