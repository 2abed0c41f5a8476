/* SPDX-License-Identifier: MIT
 *
 * Opening a model: bytes are read by formats/, layers checked by their types.
 */
#include "runtime/model.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/error.h"
#include "runtime/memory.h"

static void shape_of(const struct model_value *value, lstm_shape *out)
{
    out->rank = value->rank;
    memcpy(out->dims, value->dims, sizeof out->dims);
    out->size = value->size;
}

const float *model_tensor_data(const struct lstm_model *model, const struct layer *layer,
                               uint32_t slot)
{
    if (!layer_has(layer, slot))
        return NULL;
    struct model_tensor tensor;
    model_get_tensor(&model->view, layer->spec.tensors[slot], &tensor);
    return tensor.data;
}

/* ---- paces ------------------------------------------------------------------ */

/* The number of the pace, a new one if no value has it yet. */
static uint32_t number_of(struct lstm_model *model, struct pace pace)
{
    uint32_t number = 0;
    while (number < model->n_paces && !pace_same(model->paces[number], pace))
        number++;
    if (number == model->n_paces)
        model->paces[model->n_paces++] = pace;
    return number;
}

/* A layer's inputs keep step with each other, and its output with them unless it repaces. What is there
 * once keeps step with everything. */
static lstm_status find_pace(struct lstm_model *model, const struct layer *layer, lstm_error *error)
{
    const uint32_t first = layer->spec.inputs[0];
    const uint32_t number = model->pace_of[first];
    struct pace pace = model->paces[number];
    for (uint32_t i = 1; i < layer->spec.n_inputs; i++)
        if (!layer->in.once && model->pace_of[layer->spec.inputs[i]] != number)
            return error_layer(error, MODEL_RULE_PACE, layer,
                               "values %u and %u have different numbers of steps", (unsigned)first,
                               (unsigned)layer->spec.inputs[i]);
    model->pace_of[layer->index + 1] = layer->out.once ? 0 : number;
    if (!layer->repaces)
        return LSTM_OK;
    if (!pace_of_windows(pace, layer->reach, layer->spec.params, &pace))
        return error_layer(error, MODEL_RULE_PACE, layer,
                           "more than %u steps are needed for one to come out", (unsigned)MODEL_MAX_STEPS);
    model->pace_of[layer->index + 1] = number_of(model, pace);
    if (pace.lost >= model->info.least_steps)
        model->info.least_steps = (size_t)pace.lost + 1;
    return LSTM_OK;
}

/* ---- layers --------------------------------------------------------------- */

static lstm_status check_layer(struct lstm_model *model, uint32_t index, lstm_error *error)
{
    struct layer *layer = &model->layers[index];
    layer->index = index;
    model_get_layer(&model->view, index, &layer->spec);
    layer->in = model->values[layer->spec.n_inputs ? layer->spec.inputs[0] : 0];
    layer->out = model->values[index + 1];
    layer->type = layer_type_find(layer->spec.type);
    if (!layer->type) {
        error_set(error, LSTM_E_FORMAT, "layer %u: layer type %u is unknown to this version (%s)",
                  (unsigned)index, (unsigned)layer->spec.type, lstm_version());
        if (error) {
            error->rule = MODEL_RULE_TYPE;
            error->offset = layer->spec.offset;
        }
        return LSTM_E_FORMAT;
    }
    const lstm_status status = layer->type->check(model, layer, error);
    return status != LSTM_OK ? status : find_pace(model, layer, error);
}

/* Each direction's h and c have fixed places in the stream, one after the other. */
static lstm_status place_states(struct lstm_model *model, lstm_error *error)
{
    size_t used = 0;
    for (uint32_t i = 0; i < model->view.n_layers; i++) {
        struct layer *layer = &model->layers[i];
        for (uint32_t d = 0; d < layer->n_states; d++) {
            layer->state[d].h = used;
            layer->state[d].c = used + layer->state[d].n_h;
            used = layer->state[d].c + layer->state[d].n_c;
        }
        if (used > MODEL_MAX_STATE)
            return error_layer(error, MODEL_RULE_STATE, layer,
                               "the states up to here have %zu numbers, at most %u", used,
                               (unsigned)MODEL_MAX_STATE);
    }
    model->info.state_floats = used;
    return LSTM_OK;
}

static lstm_status check_layers(struct lstm_model *model, lstm_error *error)
{
    for (uint32_t i = 0; i <= model->view.n_layers; i++)
        model_get_value(&model->view, i, &model->values[i]);
    for (uint32_t i = 0; i < model->view.n_layers; i++) {
        const lstm_status status = check_layer(model, i, error);
        if (status != LSTM_OK)
            return status;
    }
    return LSTM_OK;
}

/* The reader knows nothing of paces. */
static lstm_status check_reference(const struct lstm_model *model, lstm_error *error)
{
    struct model_tensor in, out;
    if (model->view.reference_input == MODEL_NONE)
        return LSTM_OK;
    model_get_tensor(&model->view, model->view.reference_input, &in);
    model_get_tensor(&model->view, model->view.reference_output, &out);
    const size_t frames = lstm_model_get_output_steps(model, in.dims[0]);
    if (out.dims[0] == frames)
        return LSTM_OK;
    const struct layer *last = &model->layers[model->view.output ? model->view.output - 1 : 0];
    return error_layer(error, MODEL_RULE_REFERENCE, last,
                       "the reference output has %u steps, expected %zu for %u of the input",
                       (unsigned)out.dims[0], frames, (unsigned)in.dims[0]);
}

static void fill_info(struct lstm_model *model)
{
    lstm_model_info *info = &model->info;
    const struct model_value *output = &model->values[model->view.output];
    shape_of(&model->values[0], &info->input);
    shape_of(output, &info->output);
    info->output_once = output->once;
    const struct pace *pace = &model->paces[model->pace_of[model->view.output]];
    info->output_after = (size_t)pace->lost + 1;
    info->output_every = (size_t)pace->stride;
    info->streams = !output->once;
    info->n_layers = model->view.n_layers;
    info->n_metadata = model->view.n_metadata;
    info->weight_bytes = model->view.weight_bytes;
    for (uint32_t i = 0; i < model->view.n_tensors; i++) {
        struct model_tensor tensor;
        model_get_tensor(&model->view, i, &tensor);
        if (i != model->view.reference_input && i != model->view.reference_output)
            info->n_parameters += tensor.count;
    }
    for (uint32_t i = 0; i < info->n_layers; i++) {
        const struct layer *layer = &model->layers[i];
        info->flops_per_step += layer->out.once ? 0 : layer->type->flops(model, layer);
        info->streams &= !layer->whole && layer->type->family != LAYER_REDUCER;
    }
}

/* ---- open and close -------------------------------------------------------- */

static lstm_status open_view(struct lstm_model *model, const void *bytes, size_t n_bytes,
                             lstm_error *error)
{
    struct format_error bad;
    if (!model_read(bytes, n_bytes, &model->view, &bad))
        return error_format(error, &bad);
    const size_t n = model->view.n_layers;
    model->layers = calloc(n ? n : 1, sizeof *model->layers);
    model->values = calloc(n + 1, sizeof *model->values);
    model->pace_of = calloc(n + 1, sizeof *model->pace_of);
    model->paces = calloc(n + 1, sizeof *model->paces);
    if (!model->layers || !model->values || !model->pace_of || !model->paces)
        return error_nomem(error);
    model->paces[model->n_paces++] = pace_of_input();
    model->info.least_steps = 1;
    lstm_status status = check_layers(model, error);
    if (status == LSTM_OK)
        status = place_states(model, error);
    if (status == LSTM_OK)
        status = check_reference(model, error);
    if (status != LSTM_OK)
        return status;
    fill_info(model);
    model->id = model->view.checksum;
    return LSTM_OK;
}

lstm_status lstm_model_open(const char *path, lstm_model **model_out, lstm_error *error)
{
    if (!model_out)
        return error_set(error, LSTM_E_ARG, "model_out is NULL");
    *model_out = NULL;
    if (!path)
        return error_set(error, LSTM_E_ARG, "path is NULL");
    struct lstm_model *model = calloc(1, sizeof *model);
    if (!model)
        return error_nomem(error);
    char why[160];
    lstm_status status = LSTM_OK;
    if (!mapfile_open(path, &model->file, why, sizeof why))
        status = error_set(error, LSTM_E_IO, "%s", why);
    else
        status = open_view(model, model->file.bytes, model->file.n_bytes, error);
    if (status != LSTM_OK) {
        lstm_model_close(model);
        return status;
    }
    *model_out = model;
    return LSTM_OK;
}

lstm_status lstm_model_open_memory(const void *bytes, size_t n_bytes, lstm_model **model_out,
                                   lstm_error *error)
{
    if (!model_out)
        return error_set(error, LSTM_E_ARG, "model_out is NULL");
    *model_out = NULL;
    if (!bytes && n_bytes)
        return error_set(error, LSTM_E_ARG, "bytes is NULL");
    struct lstm_model *model = calloc(1, sizeof *model);
    if (!model)
        return error_nomem(error);
    if ((uintptr_t)bytes % sizeof(float)) { /* weights are read in place as floats */
        model->copy = memory_alloc(n_bytes);
        if (!model->copy) {
            lstm_model_close(model);
            return error_nomem(error);
        }
        bytes = memcpy(model->copy, bytes, n_bytes);
    }
    const lstm_status status = open_view(model, bytes, n_bytes, error);
    if (status != LSTM_OK) {
        lstm_model_close(model);
        return status;
    }
    *model_out = model;
    return LSTM_OK;
}

void lstm_model_close(lstm_model *model)
{
    if (!model)
        return;
    if (model->file.bytes)
        mapfile_close(&model->file);
    memory_free(model->copy);
    free(model->layers);
    free(model->values);
    free(model->pace_of);
    free(model->paces);
    free(model);
}

/* ---- questions --------------------------------------------------------------- */

size_t lstm_model_get_output_steps(const lstm_model *model, size_t steps)
{
    if (steps < model->info.least_steps)
        return 0;
    const uint32_t output = model->view.output;
    return model->values[output].once
               ? 1 : (size_t)pace_steps(model->paces[model->pace_of[output]], steps);
}

const lstm_model_info *lstm_model_get_info(const lstm_model *model)
{
    return &model->info;
}

lstm_status lstm_model_get_layer(const lstm_model *model, uint32_t index,
                                 lstm_layer_info *info_out)
{
    if (!info_out)
        return LSTM_E_ARG;
    memset(info_out, 0, sizeof *info_out);
    if (index >= model->info.n_layers)
        return LSTM_E_ARG;
    const struct layer *layer = &model->layers[index];
    info_out->type = layer->type->name;
    info_out->name = layer->spec.name.text;
    shape_of(&layer->out, &info_out->output);
    info_out->output_once = layer->out.once;
    info_out->n_inputs = layer->spec.n_inputs;
    info_out->inputs = layer->spec.inputs;
    info_out->n_states = layer->type->family == LAYER_RECURRENT ? layer->n_states : 0;
    for (uint32_t i = 0; i < layer->spec.n_tensors; i++)
        if (layer_has(layer, i)) {
            struct model_tensor tensor;
            model_get_tensor(&model->view, layer->spec.tensors[i], &tensor);
            info_out->n_parameters += tensor.count;
        }
    if (layer->type->describe)
        layer->type->describe(layer, info_out->detail, sizeof info_out->detail);
    return LSTM_OK;
}

lstm_status lstm_model_get_metadata(const lstm_model *model, uint32_t index,
                                    const char **key_out, const char **value_out)
{
    if (!key_out || !value_out)
        return LSTM_E_ARG;
    *key_out = *value_out = NULL;
    if (index >= model->info.n_metadata)
        return LSTM_E_ARG;
    struct model_string key, value;
    model_get_metadata(&model->view, index, &key, &value);
    *key_out = key.text;
    *value_out = value.text;
    return LSTM_OK;
}

const char *lstm_model_find_metadata(const lstm_model *model, const char *key)
{
    for (uint32_t i = 0; i < model->info.n_metadata; i++) {
        struct model_string name, value;
        model_get_metadata(&model->view, i, &name, &value);
        if (key && strcmp(name.text, key) == 0)
            return value.text;
    }
    return NULL;
}

void lstm_model_get_reference(const lstm_model *model, size_t *steps_out,
                              const float **input_out, const float **output_out)
{
    *steps_out = 0;
    *input_out = *output_out = NULL;
    if (model->view.reference_input == MODEL_NONE)
        return;
    struct model_tensor in, out;
    model_get_tensor(&model->view, model->view.reference_input, &in);
    model_get_tensor(&model->view, model->view.reference_output, &out);
    *steps_out = in.dims[0];
    *input_out = in.data;
    *output_out = out.data;
}

static lstm_status check_finite(const struct model_tensor *tensor, lstm_error *error)
{
    const float *numbers = tensor->data;
    for (uint64_t i = 0; i < tensor->count; i++)
        if (!isfinite(numbers[i]))
            return error_set(error, LSTM_E_FORMAT,
                             "tensor \"%.80s\": element %llu is not a finite number",
                             tensor->name.text, (unsigned long long)i);
    return LSTM_OK;
}

lstm_status lstm_model_verify(const lstm_model *model, lstm_error *error)
{
    if (model->file.bytes && !mapfile_unchanged(&model->file))
        return error_set(error, LSTM_E_IO, "the file has changed since it was opened");
    struct format_error bad;
    if (!model_check_weights(&model->view, &bad))
        return error_format(error, &bad);
    lstm_status status = LSTM_OK;
    for (uint32_t i = 0; i < model->view.n_tensors && status == LSTM_OK; i++) {
        struct model_tensor tensor;
        model_get_tensor(&model->view, i, &tensor);
        status = check_finite(&tensor, error);
    }
    return status;
}

/* Numbers that index a table must be whole and in range. */
static lstm_status check_index(const struct lstm_model *model, float number, size_t step,
                               size_t column, lstm_error *error)
{
    for (uint32_t i = 0; i < model->info.n_layers; i++) {
        const struct layer *layer = &model->layers[i];
        if (layer->spec.type != MODEL_EMBEDDING || layer->spec.inputs[0] != 0)
            continue;
        struct model_tensor table;
        model_get_tensor(&model->view, layer->spec.tensors[0], &table);
        if (!(number >= 0 && number < (float)table.dims[0] && number == floorf(number)))
            return error_set(error, LSTM_E_DATA,
                             "step %zu, column %zu: %g is not a whole number from 0 to %u", step,
                             column, (double)number, (unsigned)(table.dims[0] - 1));
    }
    return LSTM_OK;
}

lstm_status lstm_model_check_input(const lstm_model *model, const float *frames, size_t steps,
                                   lstm_error *error)
{
    const size_t size = model->info.input.size;
    for (size_t t = 0; t < steps; t++)
        for (size_t i = 0; i < size; i++) {
            const float number = frames[t * size + i];
            if (!isfinite(number))
                return error_set(error, LSTM_E_DATA, "step %zu, column %zu: %s", t, i,
                                 isnan(number) ? "not a number" : "an infinite number");
            const lstm_status status = check_index(model, number, t, i, error);
            if (status != LSTM_OK)
                return status;
        }
    return LSTM_OK;
}
