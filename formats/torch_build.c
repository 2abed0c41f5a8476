/* SPDX-License-Identifier: MIT
 *
 * One layer of a model under construction after the other: modules with their weights,
 * and layers without weights that only the spec can ask for.
 */
#include "formats/torch_build.h"

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
    enum import_dtype dtype = tensor->dtype == NT_F64    ? IMPORT_F64
                              : tensor->dtype == NT_F16  ? IMPORT_F16
                              : tensor->dtype == NT_BF16 ? IMPORT_BF16
                                                         : IMPORT_F32;
    float *numbers = calloc((size_t)tensor->count, sizeof *numbers);
    if (!numbers) {
        torch_out_of_memory(work);
        return NULL;
    }
    if (!import_numbers(work->source, tensor->name, dtype, tensor->data, (size_t)tensor->count, numbers,
                        work->error)) {
        free(numbers);
        return NULL;
    }
    return numbers;
}

static bool add_weights(const struct torch_work *work, const struct named_tensor *tensor, uint32_t *slot_out)
{
    uint32_t dims[2];
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
    uint32_t value;
    json_t *number;
    if (layer->dims[0] == 0)
        return import_fail(work->error, "layer '%s': its output would be empty", layer->name);
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

/* The current value must have `size` numbers for the layer called `name`. */
static bool expect_input(const struct torch_work *work, const char *name, uint32_t size,
                         struct model_value *value_out)
{
    if (!torch_value(work, work->current, value_out))
        return false;
    if (value_out->size == size)
        return true;
    return import_fail(work->error, "'%s' reads %u numbers a step, but '%s' before it gives %zu; if "
                       "another order is meant, give it with \"order\" or \"layers\" in --spec", name,
                       size, work->current_name, value_out->size);
}

static struct model_layer_spec one_input_layer(const struct torch_work *work, uint32_t type, const char *name,
                                               const struct model_value *input)
{
    struct model_layer_spec layer = {.type = type, .name = name, .n_inputs = 1, .rank = 1};
    layer.inputs[0] = work->current;
    layer.dims[0] = (uint32_t)input->size;
    layer.once = input->once;
    return layer;
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

static bool has_activation(const json_t *from)
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

static bool check_activation(const struct torch_work *work, const json_t *from, const char *name,
                             uint32_t *words)
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

static const json_t *module_hints(const struct torch_work *work, const struct torch_module *module)
{
    return json_object_get(json_object_get(work->spec, "modules"), module->prefix);
}

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
    const json_t *after = json_object_get(module_hints(work, module), "reset_after");
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
    const json_t *hints = module_hints(work, module);
    uint32_t words[3];
    if (module->type != MODEL_RNN || !has_activation(hints))
        return true;
    if (!check_activation(work, hints, torch_module_name(module), words))
        return false;
    memcpy(params + MODEL_RNN_ACTS, words, sizeof words);
    if (module->n_directions == 2)
        memcpy(params + MODEL_RNN_ACTS + MODEL_RNN_ACTS_STRIDE, words, sizeof words);
    return true;
}

static bool add_recurrent_layer(struct torch_work *work, const struct torch_module *module, uint32_t index,
                                const char *name)
{
    const json_t *after = json_object_get(module_hints(work, module), "reset_after");
    uint32_t direction = module->n_directions == 2 ? MODEL_BIDIRECTIONAL : MODEL_FORWARD;
    uint32_t flags = module->type == MODEL_GRU && !json_is_false(after) ? MODEL_FLAG_RESET_AFTER : 0;
    struct model_value input;
    struct model_layer_spec layer;
    if (!torch_value(work, work->current, &input))
        return false;
    if (input.once)
        return spec_fail(work->error, "'%s' needs a frame at each step, but '%s' before it gives one a "
                         "run", name, work->current_name);
    layer = one_input_layer(work, module->type, name, &input);
    layer.dims[0] = module->output;
    import_rnn_params(layer.params, module->type, module->hidden, direction, flags);
    return set_rnn_activation(work, module, layer.params) && add_cells(work, module, index, &layer) &&
           torch_add_layer(work, &layer);
}

static bool add_recurrent(struct torch_work *work, const struct torch_module *module, const char *name)
{
    struct model_value input;
    if (!expect_input(work, name, module->input, &input))
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

static bool set_norm(const struct torch_work *work, const struct torch_module *module,
                     struct model_layer_spec *layer)
{
    const json_t *epsilon = json_object_get(module_hints(work, module), "epsilon");
    layer->params[0] = model_float_bits(epsilon ? (float)json_number_value(epsilon) : 1e-5f);
    layer->n_tensors = 2;
    return add_weights(work, module->weight, &layer->tensors[0]) &&
           add_weights(work, module->bias, &layer->tensors[1]);
}

static bool set_dense(const struct torch_work *work, const struct torch_module *module, const json_t *entry,
                      struct model_layer_spec *layer)
{
    const json_t *from = has_activation(entry) ? entry : module_hints(work, module);
    layer->n_tensors = 2;
    return check_activation(work, from, layer->name, layer->params) &&
           add_weights(work, module->weight, &layer->tensors[0]) &&
           add_weights(work, module->bias, &layer->tensors[1]);
}

static bool add_frame_module(struct torch_work *work, const struct torch_module *module, const json_t *entry,
                             const char *name)
{
    struct model_value input;
    struct model_layer_spec layer;
    bool good;
    if (!expect_input(work, name, module->input, &input))
        return false;
    layer = one_input_layer(work, module->type, name, &input);
    layer.dims[0] = module->output;
    if (module->type == MODEL_DENSE) {
        good = set_dense(work, module, entry, &layer);
    } else if (module->type == MODEL_LAYER_NORM) {
        good = set_norm(work, module, &layer);
    } else {
        layer.n_tensors = 1;
        good = add_weights(work, module->weight, &layer.tensors[0]);
    }
    return good && torch_add_layer(work, &layer);
}

static bool add_module(struct torch_work *work, const struct torch_module *module, const json_t *entry)
{
    const char *name = json_string_value(json_object_get(entry, "name"));
    if (has_activation(entry) && module->type != MODEL_DENSE)
        return spec_fail(work->error, "an activation for the module '%s', which is no dense "
                         "layer; add a layer of type \"activation\"", module->prefix);
    if (!name)
        name = torch_module_name(module);
    return torch_is_recurrent(module) ? add_recurrent(work, module, name)
                                      : add_frame_module(work, module, entry, name);
}

/* ---- layers without weights ---------------------------------------------- */

static bool add_plain(struct torch_work *work, const json_t *entry, uint32_t type, const char *name)
{
    struct model_value input;
    struct model_layer_spec layer;
    (void)entry;
    if (!torch_value(work, work->current, &input))
        return false;
    layer = one_input_layer(work, type, name, &input);
    return torch_add_layer(work, &layer);
}

static bool add_take(struct torch_work *work, const json_t *entry, uint32_t type, const char *name)
{
    struct model_value input;
    struct model_layer_spec layer;
    (void)entry;
    if (!torch_value(work, work->current, &input))
        return false;
    if (input.once)
        return spec_fail(work->error, "'%s' takes one frame of a run, but '%s' before it gives only "
                         "one", name, work->current_name);
    layer = one_input_layer(work, type, name, &input);
    layer.once = true;
    return torch_add_layer(work, &layer);
}

static bool add_activation(struct torch_work *work, const json_t *entry, uint32_t type, const char *name)
{
    struct model_value input;
    struct model_layer_spec layer;
    if (!json_object_get(entry, "activation"))
        return spec_fail(work->error, "'%s' of type \"activation\" needs an \"activation\"", name);
    if (!torch_value(work, work->current, &input))
        return false;
    layer = one_input_layer(work, type, name, &input);
    return check_activation(work, entry, name, layer.params) && torch_add_layer(work, &layer);
}

static uint32_t count_of(const json_t *entry, const char *key, uint32_t otherwise)
{
    const json_t *value = json_object_get(entry, key);
    return value ? (uint32_t)json_integer_value(value) : otherwise;
}

static bool add_slice(struct torch_work *work, const json_t *entry, uint32_t type, const char *name)
{
    uint32_t start = count_of(entry, "start", 0), count = count_of(entry, "count", 0);
    uint32_t step = count_of(entry, "step", 1);
    struct model_value input;
    struct model_layer_spec layer;
    if (!torch_value(work, work->current, &input))
        return false;
    if (count == 0 || step == 0 || start + (uint64_t)(count - 1) * step >= input.size)
        return spec_fail(work->error, "'%s' takes %u numbers from %u on in steps of %u, but '%s' "
                         "has %zu; \"count\" and \"step\" must be 1 or more", name, count, start, step,
                         work->current_name, input.size);
    layer = one_input_layer(work, type, name, &input);
    layer.params[1] = start;
    layer.params[2] = count;
    layer.params[3] = step;
    layer.dims[0] = count;
    return torch_add_layer(work, &layer);
}

bool torch_add_row(const struct torch_work *work, const json_t *value, const char *name, uint32_t n,
                    uint32_t *slot_out)
{
    float *row;
    bool good;
    *slot_out = MODEL_NONE;
    if (!value)
        return true;
    row = spec_numbers(value, name, n, work->error);
    if (!row)
        return false;
    good = import_clean(work->source, name, row, n, work->error);
    *slot_out = good ? model_add_tensor(work->builder, name, 1, &n, row) : MODEL_NONE;
    free(row);
    return good;
}

static bool add_scale(struct torch_work *work, const json_t *entry, uint32_t type, const char *name)
{
    const json_t *scale = json_object_get(entry, "scale"), *shift = json_object_get(entry, "shift");
    struct model_value input;
    struct model_layer_spec layer;
    if (!scale && !shift)
        return spec_fail(work->error, "'%s' of type \"scale\" needs \"scale\", \"shift\" or both",
                         name);
    if (!torch_value(work, work->current, &input))
        return false;
    layer = one_input_layer(work, type, name, &input);
    layer.n_tensors = 2;
    return torch_add_row(work, scale, "scale", (uint32_t)input.size, &layer.tensors[0]) &&
           torch_add_row(work, shift, "shift", (uint32_t)input.size, &layer.tensors[1]) &&
           torch_add_layer(work, &layer);
}

/* The values that "inputs" names. */
static bool read_inputs(const struct torch_work *work, const json_t *names, const char *name,
                        struct model_layer_spec *layer)
{
    size_t i;
    json_t *input;
    if (json_array_size(names) < 2 || json_array_size(names) > MODEL_MAX_INPUTS)
        return spec_fail(work->error, "'%s' needs 2 to %d \"inputs\"", name, MODEL_MAX_INPUTS);
    json_array_foreach(names, i, input) {
        const json_t *value = json_object_get(work->names, json_string_value(input));
        if (!value)
            return spec_fail(work->error, "'%s': no layer before it is named '%s'", name,
                             json_string_value(input));
        layer->inputs[layer->n_inputs++] = (uint32_t)json_integer_value(value);
    }
    return true;
}

/* Whether frame `i` of `n` may join the first one: add and mul take equal frames, or two of
 * which the second is one number. */
static bool fits(uint32_t type, const struct model_value *first, const struct model_value *other,
                 uint32_t n)
{
    if (first->once != other->once)
        return false;
    return type == MODEL_CONCAT || first->size == other->size || (n == 2 && other->size == 1);
}

static bool add_joint(struct torch_work *work, const json_t *entry, uint32_t type, const char *name)
{
    struct model_layer_spec layer = {.type = type, .name = name, .rank = 1};
    struct model_value first, other;
    uint64_t sum = 0;
    if (!read_inputs(work, json_object_get(entry, "inputs"), name, &layer) ||
        !torch_value(work, layer.inputs[0], &first))
        return false;
    for (uint32_t i = 0; i < layer.n_inputs; i++) {
        if (!torch_value(work, layer.inputs[i], &other))
            return false;
        if (!fits(type, &first, &other, layer.n_inputs))
            return spec_fail(work->error, "'%s': input %u gives %zu numbers %s, the first one %zu "
                             "%s", name, i, other.size, other.once ? "a run" : "a step", first.size,
                             first.once ? "a run" : "a step");
        sum += other.size;
    }
    if (type == MODEL_CONCAT && sum > MODEL_MAX_FRAME)
        return spec_fail(work->error, "'%s' would give more than %d numbers", name,
                         MODEL_MAX_FRAME);
    layer.dims[0] = type == MODEL_CONCAT ? (uint32_t)sum : (uint32_t)first.size;
    layer.once = first.once;
    return torch_add_layer(work, &layer);
}

struct layer_row {
    const char *name;
    uint32_t type;
    bool joint; /* reads several inputs */
    bool (*add)(struct torch_work *work, const json_t *entry, uint32_t type, const char *name);
    const char *keys[4]; /* that mean something to it, besides type, name, inputs */
};

static const struct layer_row layer_rows[] = {
    {"activation", MODEL_ACTIVATION, false, add_activation, {"activation", "alpha", "beta", NULL}},
    {"softmax", MODEL_SOFTMAX, false, add_plain, {NULL}},
    {"last", MODEL_LAST, false, add_take, {NULL}},
    {"mean", MODEL_MEAN, false, add_take, {NULL}},
    {"max", MODEL_MAX, false, add_take, {NULL}},
    {"first", MODEL_FIRST, false, add_take, {NULL}},
    {"add", MODEL_ADD, true, add_joint, {NULL}},
    {"mul", MODEL_MUL, true, add_joint, {NULL}},
    {"concat", MODEL_CONCAT, true, add_joint, {NULL}},
    {"slice", MODEL_SLICE, false, add_slice, {"start", "count", "step", NULL}},
    {"scale", MODEL_SCALE, false, add_scale, {"scale", "shift", NULL}},
};

static const struct layer_row module_row = {"module", 0, false, NULL,
                                            {"activation", "alpha", "beta", NULL}};

static const struct layer_row *find_row(const char *type)
{
    for (size_t i = 0; i < sizeof layer_rows / sizeof *layer_rows; i++)
        if (strcmp(layer_rows[i].name, type) == 0)
            return &layer_rows[i];
    return NULL;
}

static bool is_one_of(const char *key, const char *const *keys)
{
    for (; *keys; keys++)
        if (strcmp(key, *keys) == 0)
            return true;
    return false;
}

static bool check_entry_keys(const struct torch_work *work, json_t *entry, size_t index,
                             const struct layer_row *row)
{
    static const char *const always[] = {"type", "module", "name", "inputs", NULL};
    const char *key;
    json_t *unused;
    json_object_foreach(entry, key, unused) {
        if (!is_one_of(key, always) && !is_one_of(key, row->keys))
            return spec_fail(work->error, "$.layers[%zu].%s: means nothing to a %s layer", index,
                             key, row->name);
    }
    return true;
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

bool torch_add_entry(struct torch_work *work, json_t *entry, size_t index)
{
    const char *prefix = json_string_value(json_object_get(entry, "module"));
    const char *type = json_string_value(json_object_get(entry, "type"));
    const char *name = json_string_value(json_object_get(entry, "name"));
    const json_t *inputs = json_object_get(entry, "inputs");
    const struct layer_row *row = prefix ? &module_row : type ? find_row(type) : NULL;
    const struct torch_module *module = prefix ? torch_modules_get(work->modules, prefix) : NULL;
    char numbered[40];
    if (!prefix == !type || !row)
        return spec_fail(work->error, "$.layers[%zu]: expected either \"module\" or \"type\"",
                         index);
    if (prefix && !module)
        return spec_fail(work->error, "$.layers[%zu].module: the file has no module '%s'", index,
                         prefix);
    if (!check_entry_keys(work, entry, index, row) ||
        (!row->joint && !choose_input(work, inputs, index)))
        return false;
    if (module)
        return add_module(work, module, entry);
    snprintf(numbered, sizeof numbered, "%s_%zu", row->name, index);
    return row->add(work, entry, row->type, name ? name : numbered);
}

bool torch_add_softmax(struct torch_work *work)
{
    return add_plain(work, NULL, MODEL_SOFTMAX, "softmax");
}
