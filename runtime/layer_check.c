/* SPDX-License-Identifier: MIT
 *
 * What the check functions of all layer types share. The rule a layer breaks is its
 * type's in FORMAT.md; the sentence says which part of it.
 */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "formats/model_file.h"
#include "runtime/error.h"
#include "runtime/layer.h"
#include "runtime/model.h"

static const char *const activation_names[MODEL_ACT_COUNT] = {
    [MODEL_ACT_IDENTITY] = "identity",       [MODEL_ACT_SIGMOID] = "sigmoid",
    [MODEL_ACT_TANH] = "tanh",               [MODEL_ACT_RELU] = "relu",
    [MODEL_ACT_LEAKY_RELU] = "leaky_relu",   [MODEL_ACT_THRESHOLDED_RELU] = "thresholded_relu",
    [MODEL_ACT_SCALED_TANH] = "scaled_tanh", [MODEL_ACT_HARD_SIGMOID] = "hard_sigmoid",
    [MODEL_ACT_ELU] = "elu",                 [MODEL_ACT_SOFTSIGN] = "softsign",
    [MODEL_ACT_SOFTPLUS] = "softplus",       [MODEL_ACT_AFFINE] = "affine",
};

const char *activation_name(uint32_t code)
{
    return code < MODEL_ACT_COUNT ? activation_names[code] : "unknown";
}

bool layer_has(const struct layer *layer, uint32_t slot)
{
    return slot < layer->spec.n_tensors && layer->spec.tensors[slot] != MODEL_NONE;
}

/* "[4][3][7]" */
static void shape_text(uint32_t rank, const uint32_t *dims, char *text, size_t n_bytes)
{
    size_t used = 0;
    text[0] = 0;
    for (uint32_t i = 0; i < rank && used < n_bytes; i++) {
        const int n = snprintf(text + used, n_bytes - used, "[%u]", (unsigned)dims[i]);
        used += n > 0 ? (size_t)n : 0;
    }
}

static bool shape_equal(uint32_t rank, const uint32_t *dims, uint32_t other_rank,
                        const uint32_t *other)
{
    return rank == other_rank && memcmp(dims, other, rank * sizeof *dims) == 0;
}

static lstm_status fail_shape(const struct layer *layer, lstm_error *error, const char *what,
                              uint32_t rank, const uint32_t *dims, uint32_t found_rank,
                              const uint32_t *found)
{
    char want[64], have[64];
    shape_text(rank, dims, want, sizeof want);
    shape_text(found_rank, found, have, sizeof have);
    return error_layer(error, MODEL_RULE_SHAPES + layer->spec.type, layer,
                       "%s is %s, expected %s", what, have, want);
}

lstm_status check_arity(const struct lstm_model *model, const struct layer *layer, uint32_t least,
                        uint32_t most, uint32_t n_tensors, lstm_error *error)
{
    if (layer->spec.n_inputs < least || layer->spec.n_inputs > most)
        return error_layer(error, MODEL_RULE_INPUTS, layer,
                           "reads %u values, expected %u to %u", (unsigned)layer->spec.n_inputs,
                           (unsigned)least, (unsigned)most);
    if (layer->spec.n_tensors != n_tensors)
        return error_layer(error, MODEL_RULE_SLOTS, layer,
                           "has %u tensor slots, expected %u", (unsigned)layer->spec.n_tensors,
                           (unsigned)n_tensors);
    for (uint32_t i = 1; i < layer->spec.n_inputs; i++)
        if (model->values[layer->spec.inputs[i]].once != layer->in.once)
            return error_layer(error, MODEL_RULE_ONCE, layer,
                               "mixes a value of every step with one of the whole run");
    return LSTM_OK;
}

lstm_status check_words_unused(const struct layer *layer, uint32_t first, lstm_error *error)
{
    for (uint32_t i = first; i < MODEL_PARAMS; i++)
        if (layer->spec.params[i])
            return error_layer(error, MODEL_RULE_UNUSED, layer,
                               "parameter word %u is not used and must be 0", (unsigned)i);
    return LSTM_OK;
}

lstm_status check_tensor(const struct lstm_model *model, const struct layer *layer, uint32_t slot,
                         bool required, uint32_t rank, const uint32_t *dims, lstm_error *error)
{
    char what[32];
    snprintf(what, sizeof what, "tensor slot %u", (unsigned)slot);
    if (!layer_has(layer, slot))
        return required ? error_layer(error, MODEL_RULE_TENSORS, layer, "%s is empty", what)
                        : LSTM_OK;
    struct model_tensor tensor;
    model_get_tensor(&model->view, layer->spec.tensors[slot], &tensor);
    if (!shape_equal(tensor.rank, tensor.dims, rank, dims))
        return fail_shape(layer, error, what, rank, dims, tensor.rank, tensor.dims);
    return LSTM_OK;
}

lstm_status check_output(const struct layer *layer, uint32_t rank, const uint32_t *dims,
                         lstm_error *error)
{
    if (!shape_equal(layer->out.rank, layer->out.dims, rank, dims))
        return fail_shape(layer, error, "the output", rank, dims, layer->out.rank,
                          layer->out.dims);
    return LSTM_OK;
}

lstm_status check_number(const struct lstm_model *model, const struct layer *layer, uint32_t input,
                         const char *what, lstm_error *error)
{
    const struct model_value *value = &model->values[layer->spec.inputs[input]];
    const uint32_t one = 1;
    return shape_equal(value->rank, value->dims, 1, &one)
               ? LSTM_OK
               : fail_shape(layer, error, what, 1, &one, value->rank, value->dims);
}

lstm_status check_once(const struct layer *layer, bool once, lstm_error *error)
{
    if (layer->out.once == once)
        return LSTM_OK;
    return error_layer(error, MODEL_RULE_ONCE, layer, "the output must be marked as one frame a %s",
                       once ? "run" : "step");
}

lstm_status check_like_input(const struct layer *layer, lstm_error *error)
{
    const lstm_status status = check_output(layer, layer->in.rank, layer->in.dims, error);
    return status != LSTM_OK ? status : check_once(layer, layer->in.once, error);
}

lstm_status check_reduces(const struct layer *layer, lstm_error *error)
{
    if (layer->in.once)
        return error_layer(error, MODEL_RULE_ONCE, layer, "the input is one frame a run already");
    const lstm_status status = check_output(layer, layer->in.rank, layer->in.dims, error);
    return status != LSTM_OK ? status : check_once(layer, true, error);
}

lstm_status check_slot_empty(const struct layer *layer, uint32_t slot, lstm_error *error)
{
    if (!layer_has(layer, slot))
        return LSTM_OK;
    return error_layer(error, MODEL_RULE_TENSORS, layer, "tensor slot %u must be empty", (unsigned)slot);
}

lstm_status check_activation(const struct layer *layer, uint32_t code, const uint32_t *alpha_beta,
                             lstm_error *error)
{
    /* bit 0: alpha is used, bit 1: beta */
    static const uint8_t uses[MODEL_ACT_COUNT] = {
        [MODEL_ACT_LEAKY_RELU] = 1,  [MODEL_ACT_THRESHOLDED_RELU] = 1,
        [MODEL_ACT_SCALED_TANH] = 3, [MODEL_ACT_HARD_SIGMOID] = 3,
        [MODEL_ACT_ELU] = 1,         [MODEL_ACT_AFFINE] = 3,
    };
    if (code >= MODEL_ACT_COUNT)
        return error_layer(error, MODEL_RULE_ACTIVATION, layer, "activation %u is unknown",
                           (unsigned)code);
    for (uint32_t i = 0; i < 2; i++) {
        const char *name = i ? "beta" : "alpha";
        if (!isfinite(layer_float(alpha_beta[i])))
            return error_layer(error, MODEL_RULE_ACTIVATION, layer, "%s of %s is not a finite number",
                               name, activation_names[code]);
        if (alpha_beta[i] && !(uses[code] >> i & 1))
            return error_layer(error, MODEL_RULE_ACTIVATION, layer, "%s has no %s, which must be 0",
                               activation_names[code], name);
    }
    return LSTM_OK;
}

float layer_float(uint32_t bits)
{
    float number;
    memcpy(&number, &bits, sizeof number);
    return number;
}
