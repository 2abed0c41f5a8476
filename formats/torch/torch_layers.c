/* SPDX-License-Identifier: MIT
 *
 * Layers without weights, which only a spec can ask for: a table of their types, and what
 * each makes of an entry of the spec's "layers".
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "formats/import_common.h"
#include "formats/spec.h"
#include "formats/torch/torch_build.h"

const char *torch_shape_text(const struct model_value *value, char *text)
{
    size_t used = 0;
    for (uint32_t i = 0; i < value->rank && used < TORCH_SHAPE_TEXT; i++)
        used += (size_t)snprintf(text + used, TORCH_SHAPE_TEXT - used, "%s%u", i ? ", " : "[",
                                 value->dims[i]);
    snprintf(text + used, TORCH_SHAPE_TEXT - used, "]");
    return text;
}

static uint32_t count_of(const json_t *entry, const char *key, uint32_t otherwise)
{
    const json_t *value = json_object_get(entry, key);
    return value ? (uint32_t)json_integer_value(value) : otherwise;
}

static uint32_t epsilon_bits(const json_t *entry, float otherwise)
{
    const json_t *epsilon = json_object_get(entry, "epsilon");
    return model_float_bits(epsilon ? (float)json_number_value(epsilon) : otherwise);
}

/* ---- one input, one frame of the same shape ------------------------------ */

static bool add_plain(struct torch_work *work, const json_t *entry, uint32_t type, const char *name)
{
    struct model_layer_spec layer;
    (void)entry;
    return torch_layer_of(work, type, name, &layer) && torch_add_layer(work, &layer);
}

bool torch_add_softmax(struct torch_work *work)
{
    return add_plain(work, NULL, MODEL_SOFTMAX, "softmax");
}

static bool add_activation(struct torch_work *work, const json_t *entry, uint32_t type, const char *name)
{
    struct model_layer_spec layer;
    if (!json_object_get(entry, "activation"))
        return spec_fail(work->error, "'%s' of type \"activation\" needs an \"activation\"", name);
    return torch_layer_of(work, type, name, &layer) &&
           torch_activation(work, entry, name, layer.params) && torch_add_layer(work, &layer);
}

/* torch.nn.functional.normalize divides by no less than 1e-12. */
static bool add_l2_norm(struct torch_work *work, const json_t *entry, uint32_t type, const char *name)
{
    struct model_layer_spec layer;
    if (!torch_layer_of(work, type, name, &layer))
        return false;
    layer.params[0] = epsilon_bits(entry, 1e-12f);
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
    struct model_layer_spec layer;
    uint32_t n;
    if (!scale && !shift)
        return spec_fail(work->error, "'%s' of type \"scale\" needs \"scale\", \"shift\" or both", name);
    if (!torch_layer_of(work, type, name, &layer))
        return false;
    n = layer.dims[layer.rank - 1];
    layer.n_tensors = 2;
    return torch_add_row(work, scale, "scale", n, &layer.tensors[0]) &&
           torch_add_row(work, shift, "shift", n, &layer.tensors[1]) && torch_add_layer(work, &layer);
}

/* ---- over the frames of a run -------------------------------------------- */

static bool needs_steps(const struct torch_work *work, const char *name, const struct model_layer_spec *layer)
{
    if (!layer->once)
        return true;
    return spec_fail(work->error, "'%s' needs a frame at each step, but '%s' before it gives one a run", name,
                     work->current_name);
}

static bool add_take(struct torch_work *work, const json_t *entry, uint32_t type, const char *name)
{
    struct model_layer_spec layer;
    (void)entry;
    if (!torch_layer_of(work, type, name, &layer))
        return false;
    if (layer.once)
        return spec_fail(work->error, "'%s' takes one frame of a run, but '%s' before it gives only "
                         "one", name, work->current_name);
    layer.once = true;
    return torch_add_layer(work, &layer);
}

static bool add_reverse(struct torch_work *work, const json_t *entry, uint32_t type, const char *name)
{
    struct model_layer_spec layer;
    (void)entry;
    return torch_layer_of(work, type, name, &layer) && needs_steps(work, name, &layer) &&
           torch_add_layer(work, &layer);
}

static bool add_delay(struct torch_work *work, const json_t *entry, uint32_t type, const char *name)
{
    struct model_layer_spec layer;
    struct model_value input;
    if (!torch_layer_of(work, type, name, &layer) || !torch_value(work, work->current, &input) ||
        !needs_steps(work, name, &layer))
        return false;
    layer.params[0] = count_of(entry, "steps", 1);
    if (layer.params[0] == 0 || layer.params[0] * (uint64_t)input.size > MODEL_MAX_FRAME)
        return spec_fail(work->error, "'%s': a delay of %u steps; expected 1 or more, and at most %d numbers "
                         "under way", name, layer.params[0], MODEL_MAX_FRAME);
    return torch_add_layer(work, &layer);
}

/* nn.MaxPool1d and nn.AvgPool1d, with PyTorch's defaults. Rounding up is padding behind the end that does
 * not count, where there is room for it. */
static bool read_pool(const struct torch_work *work, const json_t *entry, const char *name, uint32_t *words)
{
    uint32_t taps = count_of(entry, "taps", 0), stride = count_of(entry, "stride", taps);
    uint32_t padding = count_of(entry, "padding", 0), dilation = count_of(entry, "dilation", 1), room;
    bool ceil = json_is_true(json_object_get(entry, "ceil")), counts = words[MODEL_POOL_KIND] && padding &&
                !json_is_false(json_object_get(entry, "count_padding"));
    if (json_is_array(json_object_get(entry, "padding")))
        return spec_fail(work->error, "'%s': \"padding\" of a pool is one number", name);
    if (taps == 0 || stride == 0 || dilation == 0)
        return spec_fail(work->error, "'%s' needs \"taps\"; it, \"stride\" and \"dilation\" must be 1 or "
                         "more", name);
    if (padding > (taps - 1) / 2 || (padding && dilation > 1))
        return spec_fail(work->error, "'%s': a \"padding\" of %u on both sides; over the steps of a run a "
                         "pool of %u taps can have %u%s", name, padding, taps, dilation > 1 ? 0 : (taps - 1) / 2,
                         dilation > 1 ? " with a dilation" : "");
    room = taps - 1 - 2 * padding;
    if (ceil && stride > 1 && (stride - 1 > room || counts || dilation > 1))
        return spec_fail(work->error, "'%s': \"ceil\" with %u taps, a stride of %u and a padding of %u%s is "
                         "not supported", name, taps, stride, padding, counts ? " that is counted" : "");
    words[MODEL_CONV_STRIDE] = stride;
    words[MODEL_CONV_DILATION] = dilation;
    words[MODEL_CONV_PAD_BEFORE] = padding;
    words[MODEL_CONV_PAD_AFTER] = padding + (ceil ? stride - 1 : 0);
    words[MODEL_POOL_TAPS] = taps;
    if (counts)
        words[MODEL_POOL_KIND] = MODEL_POOL_MEAN_OF_ALL;
    return true;
}

static bool add_pool(struct torch_work *work, const json_t *entry, enum model_pool kind, const char *name)
{
    struct model_layer_spec layer;
    if (!torch_layer_of(work, MODEL_TEMPORAL_POOL, name, &layer) || !needs_steps(work, name, &layer))
        return false;
    layer.params[MODEL_POOL_KIND] = kind;
    return read_pool(work, entry, name, layer.params) && torch_add_layer(work, &layer);
}

static bool add_max_pool(struct torch_work *work, const json_t *entry, uint32_t type, const char *name)
{
    (void)type;
    return add_pool(work, entry, MODEL_POOL_MAX, name);
}

static bool add_mean_pool(struct torch_work *work, const json_t *entry, uint32_t type, const char *name)
{
    (void)type;
    return add_pool(work, entry, MODEL_POOL_MEAN, name);
}

/* ---- other shapes -------------------------------------------------------- */

/* The axis that the entry names; default: the last one. */
static bool read_axis(const struct torch_work *work, const json_t *entry, const char *name, uint32_t rank,
                      uint32_t *axis_out)
{
    *axis_out = count_of(entry, "axis", rank - 1);
    if (*axis_out < rank)
        return true;
    return spec_fail(work->error, "'%s': axis %u of frames with %u dimension%s", name, *axis_out, rank,
                     rank == 1 ? "" : "s");
}

static bool add_slice(struct torch_work *work, const json_t *entry, uint32_t type, const char *name)
{
    uint32_t start = count_of(entry, "start", 0), count = count_of(entry, "count", 0);
    uint32_t step = count_of(entry, "step", 1), axis;
    struct model_layer_spec layer;
    if (!torch_layer_of(work, type, name, &layer) || !read_axis(work, entry, name, layer.rank, &axis))
        return false;
    if (count == 0 || step == 0 || start + (uint64_t)(count - 1) * step >= layer.dims[axis])
        return spec_fail(work->error, "'%s' takes %u numbers from %u on in steps of %u, but '%s' "
                         "has %u; \"count\" and \"step\" must be 1 or more", name, count, start, step,
                         work->current_name, layer.dims[axis]);
    layer.params[0] = axis;
    layer.params[1] = start;
    layer.params[2] = count;
    layer.params[3] = step;
    layer.dims[axis] = count;
    return torch_add_layer(work, &layer);
}

static bool add_magnitude(struct torch_work *work, const json_t *entry, uint32_t type, const char *name)
{
    struct model_layer_spec layer;
    uint32_t *n;
    (void)entry;
    if (!torch_layer_of(work, type, name, &layer))
        return false;
    n = &layer.dims[layer.rank - 1];
    if (*n % 2)
        return spec_fail(work->error, "'%s' joins the halves of a frame, but the last dimension of '%s' is "
                                      "%u",
                         name, work->current_name, *n);
    *n /= 2;
    return torch_add_layer(work, &layer);
}

/* "axes" must be a permutation of the frame's. */
static bool read_axes(const struct torch_work *work, const json_t *axes, const char *name, uint32_t rank,
                      uint32_t *words)
{
    unsigned seen = 0;
    for (uint32_t i = 0; i < rank; i++) {
        uint32_t axis = (uint32_t)json_integer_value(json_array_get(axes, i));
        if (json_array_size(axes) != rank || axis >= rank || seen >> axis & 1)
            return spec_fail(work->error, "'%s': \"axes\" must list the %u axes of a frame, each once", name,
                             rank);
        seen |= 1u << axis;
        words[i] = axis;
    }
    return true;
}

static bool add_transpose(struct torch_work *work, const json_t *entry, uint32_t type, const char *name)
{
    const json_t *axes = json_object_get(entry, "axes");
    struct model_layer_spec layer;
    struct model_value input;
    if (!torch_layer_of(work, type, name, &layer) || !torch_value(work, work->current, &input))
        return false;
    for (uint32_t i = 0; i < layer.rank; i++)
        layer.params[i] = layer.rank - 1 - i;
    if (axes && !read_axes(work, axes, name, layer.rank, layer.params))
        return false;
    for (uint32_t i = 0; i < layer.rank; i++)
        layer.dims[i] = input.dims[layer.params[i]];
    return torch_add_layer(work, &layer);
}

static bool add_reshape(struct torch_work *work, const json_t *entry, uint32_t type, const char *name)
{
    const json_t *shape = json_object_get(entry, "shape");
    struct model_layer_spec layer;
    struct model_value input;
    char text[TORCH_SHAPE_TEXT];
    uint64_t size = 1;
    if (!torch_value(work, work->current, &input) || !torch_layer_of(work, type, name, &layer))
        return false;
    if (json_array_size(shape) < 1 || json_array_size(shape) > MODEL_MAX_RANK)
        return spec_fail(work->error, "'%s' of type \"reshape\" needs a \"shape\" of 1 to %d numbers", name,
                         MODEL_MAX_RANK);
    layer.rank = (uint32_t)json_array_size(shape);
    memset(layer.dims, 0, sizeof layer.dims);
    for (uint32_t i = 0; i < layer.rank; i++) {
        layer.dims[i] = (uint32_t)json_integer_value(json_array_get(shape, i));
        size = size <= MODEL_MAX_FRAME ? size * layer.dims[i] : size;
    }
    if (size != input.size)
        return spec_fail(work->error, "'%s': the frames of '%s' before it are %s, which \"shape\" does not "
                                      "hold",
                         name, work->current_name, torch_shape_text(&input, text));
    return torch_add_layer(work, &layer);
}

/* ---- several inputs ------------------------------------------------------ */

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

static bool same_but_axis(const struct model_value *a, const struct model_value *b, uint32_t axis)
{
    for (uint32_t i = 0; i < a->rank; i++)
        if (i != axis && a->dims[i] != b->dims[i])
            return false;
    return a->rank == b->rank;
}

/* Whether frame `i` of `n` may join the first one: add and mul take equal frames, or two of
 * which the second is one number; concat takes frames that agree in all axes but one. */
static bool fits(const struct model_layer_spec *layer, const struct model_value *first,
                 const struct model_value *other)
{
    if (first->once != other->once)
        return false;
    if (layer->type == MODEL_CONCAT)
        return same_but_axis(first, other, layer->params[0]);
    return same_but_axis(first, other, MODEL_MAX_RANK) ||
           (layer->n_inputs == 2 && other->rank == 1 && other->size == 1);
}

static bool refuse_joint(const struct torch_work *work, const char *name, uint32_t i,
                         const struct model_value *first, const struct model_value *other)
{
    char a[TORCH_SHAPE_TEXT], b[TORCH_SHAPE_TEXT];
    if (first->rank == 1 && other->rank == 1)
        return spec_fail(work->error, "'%s': input %u gives %zu numbers %s, the first one %zu "
                         "%s", name, i, other->size, other->once ? "a run" : "a step", first->size,
                         first->once ? "a run" : "a step");
    return spec_fail(work->error, "'%s': input %u gives frames %s %s, the first one %s %s", name, i,
                     torch_shape_text(other, a), other->once ? "a run" : "a step",
                     torch_shape_text(first, b), first->once ? "a run" : "a step");
}

bool torch_keep_step(const struct torch_work *work, const char *name, uint32_t a, uint32_t b)
{
    return pace_same(model_builder_pace(work->builder, a), model_builder_pace(work->builder, b)) ||
           spec_fail(work->error, "'%s' joins values with different numbers of steps", name);
}

static bool add_joint(struct torch_work *work, const json_t *entry, uint32_t type, const char *name)
{
    struct model_layer_spec layer = {.type = type, .name = name};
    struct model_value first, other;
    uint64_t along = 0, size = 0;
    uint32_t axis = 0;
    if (!read_inputs(work, json_object_get(entry, "inputs"), name, &layer) ||
        !torch_value(work, layer.inputs[0], &first) ||
        (type == MODEL_CONCAT && !read_axis(work, entry, name, first.rank, &axis)))
        return false;
    layer.rank = first.rank;
    layer.once = first.once;
    layer.params[0] = axis;
    memcpy(layer.dims, first.dims, sizeof layer.dims);
    for (uint32_t i = 0; i < layer.n_inputs; i++) {
        if (!torch_value(work, layer.inputs[i], &other))
            return false;
        if (!fits(&layer, &first, &other))
            return refuse_joint(work, name, i, &first, &other);
        if (!torch_keep_step(work, name, layer.inputs[0], layer.inputs[i]))
            return false;
        along += other.dims[axis];
        size += other.size;
    }
    if (type == MODEL_CONCAT && size > MODEL_MAX_FRAME)
        return spec_fail(work->error, "'%s' would give more than %d numbers", name, MODEL_MAX_FRAME);
    if (type == MODEL_CONCAT)
        layer.dims[axis] = (uint32_t)along;
    return torch_add_layer(work, &layer);
}

/* ---- the table ----------------------------------------------------------- */

static const struct torch_layer_type layer_types[] = {
    {"activation", MODEL_ACTIVATION, false, add_activation, {"activation", "alpha", "beta", NULL}},
    {"softmax", MODEL_SOFTMAX, false, add_plain, {NULL}},
    {"l2_norm", MODEL_L2_NORM, false, add_l2_norm, {"epsilon", NULL}},
    {"magnitude", MODEL_MAGNITUDE, false, add_magnitude, {NULL}},
    {"transpose", MODEL_TRANSPOSE, false, add_transpose, {"axes", NULL}},
    {"reshape", MODEL_RESHAPE, false, add_reshape, {"shape", NULL}},
    {"last", MODEL_LAST, false, add_take, {NULL}},
    {"mean", MODEL_MEAN, false, add_take, {NULL}},
    {"max", MODEL_MAX, false, add_take, {NULL}},
    {"first", MODEL_FIRST, false, add_take, {NULL}},
    {"reverse", MODEL_REVERSE, false, add_reverse, {NULL}},
    {"delay", MODEL_DELAY, false, add_delay, {"steps", NULL}},
    {"max_pool", MODEL_TEMPORAL_POOL, false, add_max_pool,
     {"taps", "stride", "padding", "dilation", "ceil", NULL}},
    {"mean_pool", MODEL_TEMPORAL_POOL, false, add_mean_pool,
     {"taps", "stride", "padding", "ceil", "count_padding", NULL}},
    {"add", MODEL_ADD, true, add_joint, {NULL}},
    {"mul", MODEL_MUL, true, add_joint, {NULL}},
    {"concat", MODEL_CONCAT, true, add_joint, {"axis", NULL}},
    {"slice", MODEL_SLICE, false, add_slice, {"start", "count", "step", "axis", NULL}},
    {"scale", MODEL_SCALE, false, add_scale, {"scale", "shift", NULL}},
};

const struct torch_layer_type *torch_layer_type(const char *name)
{
    for (size_t i = 0; i < sizeof layer_types / sizeof *layer_types; i++)
        if (strcmp(layer_types[i].name, name) == 0)
            return &layer_types[i];
    return NULL;
}
