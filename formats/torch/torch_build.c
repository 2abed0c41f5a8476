/* SPDX-License-Identifier: MIT
 *
 * One layer of a model under construction after the other: modules with their weights,
 * and layers without weights that only the spec can ask for.
 */
#include "formats/torch/torch_build.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "formats/import_common.h"
#include "formats/spec.h"

bool torch_out_of_memory(const struct torch_work *work)
{
    return import_fail(work->error, "out of memory");
}

/* ---- weights ------------------------------------------------------------- */

/* A tensor's numbers as f32, malloc'd; NULL and error->text on failure. */
static float *read_weights(const struct torch_work *work, const struct named_tensor *tensor)
{
    size_t n_bytes = (size_t)tensor->count * (named_dtype_bits(tensor->dtype) / 8);
    enum import_dtype dtype = tensor->dtype == NT_F64    ? IMPORT_F64
                              : tensor->dtype == NT_F16  ? IMPORT_F16
                              : tensor->dtype == NT_BF16 ? IMPORT_BF16
                                                         : IMPORT_F32;
    float *numbers = calloc((size_t)tensor->count, sizeof *numbers);
    uint8_t *gathered = tensor->strided ? malloc(n_bytes) : NULL;
    bool good = numbers && (gathered || !tensor->strided) ? true : torch_out_of_memory(work);
    if (good && gathered)
        named_tensor_gather(tensor, gathered);
    good = good && import_numbers(work->source, tensor->name, dtype, gathered ? gathered : tensor->data,
                                  (size_t)tensor->count, numbers, work->error);
    free(gathered);
    if (good)
        return numbers;
    free(numbers);
    return NULL;
}

bool torch_add_weights(const struct torch_work *work, const struct named_tensor *tensor, uint32_t *slot_out)
{
    uint32_t dims[NAMED_MAX_RANK];
    float *numbers;
    *slot_out = MODEL_NONE;
    if (!tensor)
        return true;
    numbers = read_weights(work, tensor);
    if (!numbers)
        return false;
    for (uint32_t i = 0; i < tensor->rank; i++)
        dims[i] = (uint32_t)tensor->dims[i];
    *slot_out = model_add_tensor(work->builder, tensor->name, tensor->rank, dims, numbers);
    free(numbers);
    return true;
}

/* ---- adding a layer ------------------------------------------------------ */

/* Why the builder takes nothing any more: it keeps its first refusal. */
static bool builder_refused(const struct torch_work *work)
{
    struct format_error reason;
    void *bytes;
    size_t n_bytes;
    if (model_finish(work->builder, &bytes, &n_bytes, &reason)) {
        free(bytes);
        return import_fail(work->error, "the layer before '%s' has no output", work->current_name);
    }
    return import_fail(work->error, "%s", reason.text);
}

bool torch_value(const struct torch_work *work, uint32_t value, struct model_value *out)
{
    return model_builder_value(work->builder, value, out) || builder_refused(work);
}

bool torch_add_layer(struct torch_work *work, struct model_layer_spec *layer)
{
    uint64_t size = layer->dims[0];
    uint32_t value;
    json_t *number;
    for (uint32_t i = 1; i < layer->rank && size <= MODEL_MAX_FRAME; i++)
        size *= layer->dims[i];
    if (size == 0 || size > MODEL_MAX_FRAME)
        return import_fail(work->error, "layer '%s': its output would %s", layer->name,
                           size ? "have more than 16777216 numbers" : "be empty");
    if (json_object_get(work->names, layer->name))
        return import_fail(work->error, "layer '%s': there is one of that name already; give a \"name\"",
                           layer->name);
    value = model_add_layer(work->builder, layer);
    number = json_integer(value);
    if (!number || json_object_set_new(work->names, layer->name, number))
        return torch_out_of_memory(work);
    work->current = value;
    work->current_name = json_object_iter_key(json_object_iter_at(work->names, layer->name));
    return true;
}

bool torch_layer_of(const struct torch_work *work, uint32_t type, const char *name,
                    struct model_layer_spec *out)
{
    struct model_value input;
    *out = (struct model_layer_spec){.type = type, .name = name, .n_inputs = 1};
    if (!torch_value(work, work->current, &input))
        return false;
    out->inputs[0] = work->current;
    out->rank = input.rank;
    memcpy(out->dims, input.dims, sizeof out->dims);
    out->once = input.once;
    return true;
}

/* The current frames must be rows of `size` numbers for the layer called `name`. */
static bool expect_row(const struct torch_work *work, const char *name, uint32_t size)
{
    struct model_value value;
    char shape[TORCH_SHAPE_TEXT];
    if (!torch_value(work, work->current, &value))
        return false;
    if (value.dims[value.rank - 1] == size)
        return true;
    if (value.rank == 1)
        return import_fail(work->error, "'%s' reads %u numbers a step, but '%s' before it gives %zu; if "
                           "another order is meant, give it with \"order\" or \"layers\" in --spec", name,
                           size, work->current_name, value.size);
    return import_fail(work->error, "'%s' reads rows of %u numbers, but the frames of '%s' before it are %s",
                       name, size, work->current_name, torch_shape_text(&value, shape));
}

/* The same where the frame must be one row. */
static bool expect_frame(const struct torch_work *work, const char *name, uint32_t size)
{
    struct model_value value;
    char shape[TORCH_SHAPE_TEXT];
    if (!expect_row(work, name, size) || !torch_value(work, work->current, &value))
        return false;
    if (value.rank == 1)
        return true;
    return import_fail(work->error, "'%s' reads frames of one dimension, those of '%s' before it are %s",
                       name, work->current_name, torch_shape_text(&value, shape));
}

/* Activation with alpha and beta from a spec object into three parameter words. */
static void activation_words(const json_t *from, uint32_t *words)
{
    const char *name = json_string_value(json_object_get(from, "activation"));
    const json_t *alpha = json_object_get(from, "alpha"), *beta = json_object_get(from, "beta");
    words[0] = MODEL_ACT_IDENTITY;
    if (name)
        import_activation(name, &words[0]);
    words[1] = alpha ? model_float_bits((float)json_number_value(alpha)) : 0;
    words[2] = beta ? model_float_bits((float)json_number_value(beta)) : 0;
}

bool torch_has_activation(const json_t *from)
{
    return json_object_get(from, "activation") || json_object_get(from, "alpha") ||
           json_object_get(from, "beta");
}

/* Which of alpha and beta an activation has, and what PyTorch takes when none is given. */
struct activation_row {
    bool alpha, beta, defaults;
    float alpha_default, beta_default;
};

static const struct activation_row activation_rows[MODEL_ACT_COUNT] = {
    [MODEL_ACT_LEAKY_RELU] = {true, false, true, 0.01f, 0},
    [MODEL_ACT_THRESHOLDED_RELU] = {true, false, false, 0, 0},
    [MODEL_ACT_SCALED_TANH] = {true, true, false, 0, 0},
    [MODEL_ACT_HARD_SIGMOID] = {true, true, true, 1.0f / 6, 0.5f},
    [MODEL_ACT_ELU] = {true, false, true, 1, 0},
    [MODEL_ACT_AFFINE] = {true, true, false, 0, 0},
};

bool torch_activation(const struct torch_work *work, const json_t *from, const char *name, uint32_t *words)
{
    const json_t *alpha = json_object_get(from, "alpha"), *beta = json_object_get(from, "beta");
    const struct activation_row *row;
    activation_words(from, words);
    row = &activation_rows[words[0]];
    if ((alpha && !row->alpha) || (beta && !row->beta))
        return spec_fail(work->error, "'%s' has %s, but its activation takes none", name,
                         alpha && !row->alpha ? "alpha" : "beta");
    if (!row->defaults && ((row->alpha && !alpha) || (row->beta && !beta)))
        return spec_fail(work->error, "'%s': its activation needs a number for %s", name,
                         row->beta ? "alpha and beta" : "alpha");
    if (row->alpha && !alpha)
        words[1] = model_float_bits(row->alpha_default);
    if (row->beta && !beta)
        words[2] = model_float_bits(row->beta_default);
    return true;
}

/* ---- modules ------------------------------------------------------------- */

static bool add_cell(const struct torch_work *work, const struct torch_module *module,
                     const struct torch_cell *tensors, struct import_cell *cell, uint32_t *slots)
{
    float *weights[5] = {NULL};
    bool good = true;
    for (unsigned role = 0; role < 5 && good; role++) {
        if (tensors->tensors[role]) {
            weights[role] = read_weights(work, tensors->tensors[role]);
            good = weights[role] != NULL;
        }
    }
    cell->type = module->type;
    cell->hidden = module->hidden;
    cell->recurrent = module->recurrent;
    cell->order = import_order_torch;
    cell->w_input = weights[TORCH_W_IH];
    cell->w_recurrent = weights[TORCH_W_HH];
    cell->bias_input = weights[TORCH_B_IH];
    cell->bias_recurrent = weights[TORCH_B_HH];
    cell->projection = weights[TORCH_W_HR];
    good = good && import_add_cell(work->source, work->builder, cell, slots, work->error);
    for (unsigned role = 0; role < 5; role++)
        free(weights[role]);
    return good;
}

static bool add_cells(const struct torch_work *work, const struct torch_module *module, uint32_t index,
                      struct model_layer_spec *layer)
{
    const json_t *after = json_object_get(module->hints, "reset_after");
    char name[300];
    struct import_cell cell = {
        .name = name,
        .input = index ? module->output : module->input,
        .reset_after = module->type == MODEL_GRU && !json_is_false(after),
    };
    for (uint32_t d = 0; d < module->n_directions; d++) {
        const struct torch_cell *tensors = &module->cells[2 * index + d];
        snprintf(name, sizeof name, "%s%s", layer->name, d ? ".reverse" : "");
        if (!add_cell(work, module, tensors, &cell, layer->tensors + d * MODEL_RNN_SLOTS))
            return false;
    }
    layer->n_tensors = module->n_directions * MODEL_RNN_SLOTS;
    return true;
}

/* A plain rnn's activation is tanh unless the spec says otherwise. */
static bool set_rnn_activation(const struct torch_work *work, const struct torch_module *module,
                               uint32_t *params)
{
    const json_t *hints = module->hints;
    uint32_t words[3];
    if (module->type != MODEL_RNN || !torch_has_activation(hints))
        return true;
    if (!torch_activation(work, hints, torch_module_name(module), words))
        return false;
    memcpy(params + MODEL_RNN_ACTS, words, sizeof words);
    if (module->n_directions == 2)
        memcpy(params + MODEL_RNN_ACTS + MODEL_RNN_ACTS_STRIDE, words, sizeof words);
    return true;
}

static bool add_recurrent_layer(struct torch_work *work, const struct torch_module *module, uint32_t index,
                                const char *name)
{
    const json_t *after = json_object_get(module->hints, "reset_after");
    uint32_t direction = module->n_directions == 2 ? MODEL_BIDIRECTIONAL : MODEL_FORWARD;
    uint32_t flags = module->type == MODEL_GRU && !json_is_false(after) ? MODEL_FLAG_RESET_AFTER : 0;
    struct model_layer_spec layer;
    if (!torch_layer_of(work, module->type, name, &layer))
        return false;
    if (layer.once)
        return spec_fail(work->error, "'%s' needs a frame at each step, but '%s' before it gives one a "
                         "run", name, work->current_name);
    layer.dims[0] = module->output;
    import_rnn_params(layer.params, module->type, module->hidden, direction, flags);
    return set_rnn_activation(work, module, layer.params) && add_cells(work, module, index, &layer) &&
           torch_add_layer(work, &layer);
}

static bool add_recurrent(struct torch_work *work, const struct torch_module *module, const char *name)
{
    if (!expect_frame(work, name, module->input))
        return false;
    for (uint32_t index = 0; index < module->n_layers; index++) {
        char layer_name[300];
        if (index + 1 == module->n_layers) /* the stack's output bears the module's name */
            snprintf(layer_name, sizeof layer_name, "%s", name);
        else
            snprintf(layer_name, sizeof layer_name, "%s.l%u", name, index);
        if (!add_recurrent_layer(work, module, index, layer_name))
            return false;
    }
    return true;
}

/* Of a norm: what the spec or the file says, else PyTorch's own default, which is told. */
static double epsilon_of(const struct torch_work *work, const struct torch_module *module)
{
    const json_t *epsilon = json_object_get(module->hints, "epsilon");
    if (epsilon)
        return json_number_value(epsilon);
    import_note(work->source, "'%s' (%s): its epsilon is not in the file; PyTorch's default of 1e-5 is "
                              "taken, unless --spec says \"epsilon\"", torch_module_name(module),
                torch_type_name(module));
    return 1e-5;
}

static bool set_norm(const struct torch_work *work, const struct torch_module *module,
                     struct model_layer_spec *layer)
{
    layer->params[0] = model_float_bits((float)epsilon_of(work, module));
    layer->n_tensors = 2;
    return torch_add_weights(work, module->weight, &layer->tensors[0]) &&
           torch_add_weights(work, module->bias, &layer->tensors[1]);
}

/* A Conv1d with one tap has a third dimension of 1. */
static bool add_dense_weights(const struct torch_work *work, const struct torch_module *module,
                              uint32_t *slot)
{
    struct named_tensor matrix = *module->weight;
    matrix.rank = 2;
    return torch_add_weights(work, &matrix, slot);
}

static bool set_dense(const struct torch_work *work, const struct torch_module *module, const json_t *entry,
                      struct model_layer_spec *layer)
{
    const json_t *from = torch_has_activation(entry) ? entry : module->hints;
    layer->n_tensors = 2;
    return torch_activation(work, from, layer->name, layer->params) &&
           add_dense_weights(work, module, &layer->tensors[0]) &&
           torch_add_weights(work, module->bias, &layer->tensors[1]);
}

/* A batch_norm at rest: (x - mean) / sqrt(variance + epsilon) · weight + bias as one product and one
 * sum, whose numbers are rounded once. */
static bool fold_batch_norm(const struct torch_work *work, const struct torch_module *module, float *scale,
                            float *shift)
{
    double least = epsilon_of(work, module);
    float *mean = read_weights(work, module->mean);
    float *variance = mean ? read_weights(work, module->variance) : NULL;
    bool good = variance != NULL;
    for (uint32_t i = 0; good && i < module->output; i++) {
        double factor = (double)scale[i] / sqrt((double)variance[i] + least);
        scale[i] = (float)factor;
        shift[i] = (float)((double)shift[i] - factor * (double)mean[i]);
    }
    free(mean);
    free(variance);
    return good && import_clean(work->source, module->prefix, scale, module->output, work->error) &&
           import_clean(work->source, module->prefix, shift, module->output, work->error);
}

/* `n` numbers of the tensor, or `otherwise` for each where there is none. */
static float *read_or_fill(const struct torch_work *work, const struct named_tensor *tensor, uint32_t n,
                           float otherwise)
{
    float *numbers;
    if (tensor)
        return read_weights(work, tensor);
    numbers = calloc(n, sizeof *numbers);
    if (!numbers)
        torch_out_of_memory(work);
    for (uint32_t i = 0; numbers && i < n; i++)
        numbers[i] = otherwise;
    return numbers;
}

static bool set_batch_norm(const struct torch_work *work, const struct torch_module *module,
                           struct model_layer_spec *layer)
{
    uint32_t n = module->output;
    float *scale = read_or_fill(work, module->weight, n, 1);
    float *shift = scale ? read_or_fill(work, module->bias, n, 0) : NULL;
    bool good = shift && fold_batch_norm(work, module, scale, shift);
    layer->n_tensors = 2;
    if (good) {
        char name[300];
        snprintf(name, sizeof name, "%s.scale", layer->name);
        layer->tensors[0] = model_add_tensor(work->builder, name, 1, &n, scale);
        snprintf(name, sizeof name, "%s.shift", layer->name);
        layer->tensors[1] = model_add_tensor(work->builder, name, 1, &n, shift);
    }
    free(scale);
    free(shift);
    return good;
}

static bool set_embedding(const struct torch_work *work, const struct torch_module *module,
                          struct model_layer_spec *layer)
{
    layer->n_tensors = 1;
    layer->rank = 1;
    return torch_add_weights(work, module->weight, &layer->tensors[0]);
}

static bool add_frame_module(struct torch_work *work, const struct torch_module *module, const json_t *entry,
                             const char *name)
{
    struct model_layer_spec layer;
    bool good, one_row = module->type == MODEL_EMBEDDING;
    if (one_row ? !expect_frame(work, name, module->input) : !expect_row(work, name, module->input))
        return false;
    if (!torch_layer_of(work, module->type, name, &layer))
        return false;
    layer.dims[layer.rank - 1] = module->output;
    switch (module->type) {
    case MODEL_DENSE: good = set_dense(work, module, entry, &layer); break;
    case MODEL_LAYER_NORM: good = set_norm(work, module, &layer); break;
    case MODEL_SCALE: good = set_batch_norm(work, module, &layer); break;
    default: good = set_embedding(work, module, &layer); break;
    }
    return good && torch_add_layer(work, &layer);
}

static bool add_module(struct torch_work *work, const struct torch_module *module, const json_t *entry)
{
    const char *name = json_string_value(json_object_get(entry, "name"));
    bool conv = module->type == MODEL_CONV1D;
    if (torch_has_activation(entry) && module->type != MODEL_DENSE && !conv)
        return spec_fail(work->error, "an activation for the module '%s', which is no dense "
                         "layer; add a layer of type \"activation\"", module->prefix);
    if (!name)
        name = torch_module_name(module);
    if (conv)
        return torch_add_conv(work, module, entry, name);
    return torch_is_recurrent(module) ? add_recurrent(work, module, name)
                                      : add_frame_module(work, module, entry, name);
}

/* ---- entries of "layers" ------------------------------------------------- */

static bool is_one_of(const char *key, const char *const *keys)
{
    for (; *keys; keys++)
        if (strcmp(key, *keys) == 0)
            return true;
    return false;
}

/* Make the one input that "inputs" names the current value. */
static bool choose_input(struct torch_work *work, const json_t *inputs, size_t index)
{
    const char *name = json_string_value(json_array_get(inputs, 0));
    void *place;
    if (!inputs)
        return true;
    if (json_array_size(inputs) != 1)
        return spec_fail(work->error, "$.layers[%zu].inputs: expected one name", index);
    place = json_object_iter_at(work->names, name);
    if (!place)
        return spec_fail(work->error, "$.layers[%zu].inputs: no layer before it is named '%s'",
                         index, name);
    work->current = (uint32_t)json_integer_value(json_object_iter_value(place));
    work->current_name = json_object_iter_key(place);
    return true;
}

/* What "module" and "type" say together: a conv's type may stand beside its module. */
static const struct torch_layer_type *entry_type(const json_t *entry)
{
    static const struct torch_layer_type module_type = {"module", 0, false, NULL,
                                                        {"activation", "alpha", "beta", NULL}};
    static const struct torch_layer_type conv_type = {"conv", 0, false, NULL, {NULL}};
    const char *type = json_string_value(json_object_get(entry, "type"));
    bool conv = type && (strcmp(type, "conv1d") == 0 || strcmp(type, "temporal_conv") == 0);
    if (json_object_get(entry, "module"))
        return conv ? &conv_type : type ? NULL : &module_type;
    return type ? torch_layer_type(type) : NULL;
}

static bool check_entry_keys(const struct torch_work *work, json_t *entry, size_t index,
                             const struct torch_layer_type *row, const struct torch_module *module)
{
    static const char *const always[] = {"type", "module", "name", "inputs", NULL};
    static const char *const of_conv[] = {"activation", "alpha", "beta", "stride", "dilation", "padding",
                                          "padding_mode", "groups", NULL};
    bool conv = module && module->type == MODEL_CONV1D;
    const char *key;
    json_t *unused;
    json_object_foreach(entry, key, unused) {
        if (!is_one_of(key, always) && !is_one_of(key, row->keys) && !(conv && is_one_of(key, of_conv)))
            return spec_fail(work->error, "$.layers[%zu].%s: means nothing to a %s layer", index,
                             key, row->name);
    }
    return true;
}

bool torch_add_entry(struct torch_work *work, json_t *entry, size_t index)
{
    const char *prefix = json_string_value(json_object_get(entry, "module"));
    const char *name = json_string_value(json_object_get(entry, "name"));
    const json_t *inputs = json_object_get(entry, "inputs");
    const struct torch_layer_type *row = entry_type(entry);
    const struct torch_module *module = prefix ? torch_modules_get(work->modules, prefix) : NULL;
    char numbered[40];
    if (!row)
        return spec_fail(work->error, "$.layers[%zu]: expected either \"module\" or \"type\"; only conv1d "
                                      "and temporal_conv take both", index);
    if (prefix && !module)
        return spec_fail(work->error, "$.layers[%zu].module: the file has no module '%s'", index,
                         prefix);
    if (!check_entry_keys(work, entry, index, row, module) ||
        (!row->joint && !choose_input(work, inputs, index)))
        return false;
    if (module)
        return add_module(work, module, entry);
    snprintf(numbered, sizeof numbered, "%s_%zu", row->name, index);
    return row->add(work, entry, row->type, name ? name : numbered);
}
