/* SPDX-License-Identifier: MIT
 *
 * Layers that the ONNX importer is going to add: kept in a list with their shapes until
 * the whole graph has been understood, then given to the builder.
 */
#include "formats/onnx/onnx_internal.h"

#include <stdio.h>
#include <string.h>

#include "formats/utf8.h"

/* ---- names --------------------------------------------------------------- */

const char *onnx_clean_text(struct onnx_import *import, const char *text, size_t n_max, bool lines)
{
    size_t n_text = strlen(text), n = n_text < n_max ? n_text : n_max, at = 0, fault;
    char *clean = onnx_alloc(import, n + 1, 1);
    if (!clean)
        return NULL;
    memcpy(clean, text, n);
    while (utf8_check((const uint8_t *)clean + at, n - at, lines, &fault) != UTF8_OK) {
        at += fault;
        clean[at++] = '?';
    }
    return clean;
}

/* ---- layers -------------------------------------------------------------- */

struct model_value onnx_frame_of(const struct onnx_import *import, uint32_t value)
{
    const struct model_layer_spec *spec;
    struct model_value frame = {.size = 1};
    if (value == 0)
        return import->input_frame;
    spec = &import->layers[value - 1]->spec;
    frame.rank = spec->rank;
    frame.once = spec->once;
    memcpy(frame.dims, spec->dims, sizeof frame.dims);
    for (uint32_t i = 0; i < spec->rank; i++)
        frame.size *= spec->dims[i];
    return frame;
}

struct onnx_layer *onnx_layer_on(struct onnx_import *import, uint32_t type, uint32_t value)
{
    struct onnx_layer *layer = onnx_alloc(import, 1, sizeof *layer);
    struct model_value frame = onnx_frame_of(import, value);
    if (!layer)
        return NULL;
    layer->spec.type = type;
    layer->spec.n_inputs = 1;
    layer->spec.inputs[0] = value;
    layer->spec.rank = frame.rank;
    layer->spec.once = frame.once;
    memcpy(layer->spec.dims, frame.dims, sizeof frame.dims);
    return layer;
}

uint32_t onnx_layer_add(struct onnx_import *import, struct onnx_layer *layer)
{
    uint64_t size = 1;
    for (uint32_t i = 0; i < layer->spec.rank; i++) {
        uint32_t dim = layer->spec.dims[i];
        size = dim == 0 || dim > MODEL_MAX_DIM ? UINT64_MAX : size * dim;
        if (size > MODEL_MAX_FRAME) {
            onnx_fail(import, "a frame of its result has no element or more than %d", MODEL_MAX_FRAME);
            return MODEL_NONE;
        }
    }
    if (import->n_layers == MODEL_MAX_LAYERS) {
        onnx_fail(import, "the model needs more than %d layers", MODEL_MAX_LAYERS);
        return MODEL_NONE;
    }
    layer->spec.name = onnx_clean_text(import, import->node ? import->node->name : "context", 200,
                                       false);
    if (!layer->spec.name)
        return MODEL_NONE;
    import->layers[import->n_layers++] = layer;
    return import->n_layers;
}

/* Add the layer and let the frames be its output; false if it could not be. */
static bool put(struct onnx_import *import, struct onnx_layer *layer, struct onnx_frames *frames)
{
    uint32_t value = onnx_layer_add(import, layer);
    frames->value = value;
    return value != MODEL_NONE;
}

/* ---- shapes of frames ---------------------------------------------------- */

bool onnx_features(struct onnx_import *import, const struct onnx_frames *frames, uint32_t begin,
                   uint32_t end, uint32_t *size_out)
{
    uint64_t size = 1;
    for (uint32_t i = begin; i < end; i++) {
        if (frames->axes[i].kind == AXIS_FEATURE)
            size *= frames->axes[i].size;
        if (size > MODEL_MAX_FRAME || size == 0)
            return onnx_fail(import, "a frame has no element or more than %d", MODEL_MAX_FRAME);
    }
    *size_out = (uint32_t)size;
    return true;
}

bool onnx_shaped(struct onnx_import *import, struct onnx_frames *frames, uint32_t rank,
                 const uint32_t *dims)
{
    struct model_value frame = onnx_frame_of(import, frames->value);
    struct onnx_layer *layer;
    if (frame.rank == rank && memcmp(frame.dims, dims, rank * sizeof *dims) == 0)
        return true;
    layer = onnx_layer_on(import, MODEL_RESHAPE, frames->value);
    if (!layer)
        return false;
    layer->spec.rank = rank;
    memset(layer->spec.dims, 0, sizeof layer->spec.dims);
    memcpy(layer->spec.dims, dims, rank * sizeof *dims);
    return put(import, layer, frames);
}

bool onnx_shaped_around(struct onnx_import *import, struct onnx_frames *frames, uint32_t axis,
                        uint32_t *frame_axis_out)
{
    uint32_t before = 1, after = 1, dims[3], rank = 0, whole;
    if (!onnx_features(import, frames, 0, frames->n_axes, &whole))
        return false;
    for (uint32_t i = 0; i < frames->n_axes; i++) {
        const struct onnx_axis *other = &frames->axes[i];
        uint32_t place = frames->axes[axis].place;
        if (i == axis || other->kind != AXIS_FEATURE)
            continue;
        if (other->place != place ? other->place < place : i < axis)
            before *= other->size;
        else
            after *= other->size;
    }
    if (before > 1)
        dims[rank++] = before;
    *frame_axis_out = rank;
    dims[rank++] = frames->axes[axis].size;
    if (after > 1)
        dims[rank++] = after;
    return onnx_shaped(import, frames, rank, dims);
}

/* ---- the order of features in memory ------------------------------------- */

uint32_t onnx_memory_order(const struct onnx_frames *frames, uint32_t order[ONNX_MAX_AXES])
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < frames->n_axes; i++) {
        uint32_t k = n;
        if (frames->axes[i].kind != AXIS_FEATURE || frames->axes[i].size == 1)
            continue;
        for (; k > 0 && frames->axes[order[k - 1]].place > frames->axes[i].place; k--)
            order[k] = order[k - 1];
        order[k] = i;
        n++;
    }
    return n;
}

/* Memory from the order `from` to the order `to` of the same n axes. */
static bool reorder(struct onnx_import *import, struct onnx_frames *frames, uint32_t n, const uint32_t *from,
                    const uint32_t *to)
{
    uint32_t dims[MODEL_MAX_RANK] = {0};
    struct onnx_layer *layer;
    if (memcmp(from, to, n * sizeof *from) != 0) {
        if (n > MODEL_MAX_RANK)
            return onnx_fail(import, "needs more than %d dimensions of features in another order, which is "
                             "not "
                             "supported", MODEL_MAX_RANK);
        for (uint32_t i = 0; i < n; i++)
            dims[i] = frames->axes[from[i]].size;
        if (!onnx_shaped(import, frames, n, dims))
            return false;
        layer = onnx_layer_on(import, MODEL_TRANSPOSE, frames->value);
        for (uint32_t i = 0; layer && i < n; i++) {
            uint32_t k = 0;
            while (from[k] != to[i])
                k++;
            layer->spec.params[i] = k;
            layer->spec.dims[i] = dims[k];
        }
        if (!layer || !put(import, layer, frames))
            return false;
    }
    for (uint32_t i = 0; i < n; i++)
        frames->axes[to[i]].place = i;
    return true;
}

bool onnx_bring_last(struct onnx_import *import, struct onnx_frames *frames, uint32_t n_axes,
                     const uint32_t *axes)
{
    uint32_t from[ONNX_MAX_AXES], to[ONNX_MAX_AXES], n_to = 0, n = onnx_memory_order(frames, from);
    uint32_t last = 0;
    for (uint32_t i = 0; i < n_axes; i++)
        last |= UINT32_C(1) << axes[i];
    for (uint32_t i = 0; i < n; i++)
        if (!(last >> from[i] & 1))
            to[n_to++] = from[i];
    for (uint32_t i = 0; i < n_axes; i++)
        if (frames->axes[axes[i]].kind == AXIS_FEATURE && frames->axes[axes[i]].size != 1)
            to[n_to++] = axes[i];
    return reorder(import, frames, n, from, to);
}

bool onnx_in_order(struct onnx_import *import, struct onnx_frames *frames)
{
    uint32_t from[ONNX_MAX_AXES], to[ONNX_MAX_AXES], n_to = 0, n = onnx_memory_order(frames, from);
    for (uint32_t i = 0; i < frames->n_axes; i++)
        if (frames->axes[i].kind == AXIS_FEATURE && frames->axes[i].size != 1)
            to[n_to++] = i;
    if (!reorder(import, frames, n, from, to))
        return false;
    for (uint32_t i = 0; i < frames->n_axes; i++)
        frames->axes[i].place = 0;
    return true;
}

bool onnx_same_order(struct onnx_import *import, struct onnx_frames *a, struct onnx_frames *b)
{
    uint32_t order_a[ONNX_MAX_AXES], order_b[ONNX_MAX_AXES];
    uint32_t n_a = onnx_memory_order(a, order_a), n_b = onnx_memory_order(b, order_b);
    if (n_a == n_b && memcmp(order_a, order_b, n_a * sizeof *order_a) == 0)
        return true;
    if (n_a < 2)
        return n_b < 2 || onnx_in_order(import, b);
    return onnx_in_order(import, a) && onnx_in_order(import, b);
}

bool onnx_refuse_padding(struct onnx_import *import, const struct onnx_value *value)
{
    const struct onnx_frames *frames = &value->as.frames;
    for (uint32_t i = 0; i < frames->n_axes; i++)
        if (frames->axes[i].padding.before || frames->axes[i].padding.after)
            return onnx_fail(import, "works on '%s', which a Pad has made longer; that is supported only "
                             "right "
                             "before a Conv", value->name);
    return true;
}

/* ---- kinds of layers ----------------------------------------------------- */

/* Rows before the last feature axis are one dimension of the frame. */
static bool shaped_rows(struct onnx_import *import, struct onnx_frames *frames, uint32_t n)
{
    uint32_t size = n;
    if (!onnx_features(import, frames, 0, frames->n_axes, &size))
        return false;
    return size == n ? onnx_shaped(import, frames, 1, &n)
                     : onnx_shaped(import, frames, 2, (const uint32_t[2]){size / n, n});
}

void onnx_add_data(struct onnx_layer *layer, const char *suffix, const float *data, uint32_t rank,
                   const uint32_t *dims)
{
    uint32_t i = layer->n_tensors++;
    layer->tensors[i].suffix = suffix;
    layer->tensors[i].data = data;
    layer->tensors[i].rank = rank;
    memcpy(layer->tensors[i].dims, dims, rank * sizeof *dims);
}

bool onnx_settle(struct onnx_import *import, struct onnx_frames *frames, const float *bias)
{
    struct onnx_layer *layer;
    uint32_t axis, n_in, n_out = frames->n_out;
    const float *weights = frames->weights;
    if (!weights)
        return true;
    frames->weights = NULL;
    frames->n_out = 0;
    axis = frames->n_axes - 1;
    n_in = frames->axes[axis].size;
    if (!shaped_rows(import, frames, n_in))
        return false;
    layer = onnx_layer_on(import, MODEL_DENSE, frames->value);
    if (!layer)
        return false;
    onnx_add_data(layer, "weight", weights, 2, (const uint32_t[2]){n_out, n_in});
    onnx_add_data(layer, "bias", bias, 1, (const uint32_t[2]){n_out, 0});
    layer->spec.dims[layer->spec.rank - 1] = n_out;
    frames->axes[axis].size = n_out;
    return put(import, layer, frames);
}

bool onnx_emit_slice(struct onnx_import *import, struct onnx_frames *frames, uint32_t axis,
                     const uint32_t start_count_step[3])
{
    struct onnx_layer *layer;
    uint32_t frame_axis;
    if (!onnx_shaped_around(import, frames, axis, &frame_axis))
        return false;
    layer = onnx_layer_on(import, MODEL_SLICE, frames->value);
    if (!layer)
        return false;
    layer->spec.params[0] = frame_axis;
    memcpy(layer->spec.params + 1, start_count_step, 3 * sizeof *start_count_step);
    layer->spec.dims[frame_axis] = start_count_step[1];
    frames->axes[axis].size = start_count_step[1];
    return put(import, layer, frames);
}

static bool same_places(const struct onnx_frames *a, const struct onnx_frames *b)
{
    for (uint32_t i = 0; i < a->n_axes; i++)
        if (a->axes[i].place != b->axes[i].place)
            return false;
    return true;
}

bool onnx_emit_concat(struct onnx_import *import, const struct onnx_frames *parts, uint32_t n_parts,
                      uint32_t axis, struct onnx_frames *out)
{
    struct onnx_layer *layer = NULL;
    uint32_t frame_axis;
    bool mixed = false;
    uint64_t sum = 0;
    if (n_parts > MODEL_MAX_INPUTS)
        return onnx_fail(import, "joins %u values; up to %d are supported", n_parts, MODEL_MAX_INPUTS);
    if (n_parts == 1) {
        *out = parts[0];
        return true;
    }
    for (uint32_t i = 1; i < n_parts; i++)
        mixed |= !same_places(&parts[0], &parts[i]);
    for (uint32_t i = 0; i < n_parts; i++) {
        struct onnx_frames part = parts[i];
        if (mixed && !onnx_in_order(import, &part))
            return false;
        if (!onnx_shaped_around(import, &part, axis, &frame_axis))
            return false;
        if (i == 0) {
            *out = part;
            layer = onnx_layer_on(import, MODEL_CONCAT, part.value);
            if (!layer)
                return false;
            layer->spec.params[0] = frame_axis;
        }
        layer->spec.inputs[i] = part.value;
        sum += part.axes[axis].size;
    }
    if (sum > MODEL_MAX_DIM)
        return onnx_fail(import, "its result is too large");
    layer->spec.n_inputs = n_parts;
    layer->spec.dims[frame_axis] = out->axes[axis].size = (uint32_t)sum;
    return put(import, layer, out);
}

bool onnx_emit_sequence(struct onnx_import *import, struct onnx_frames *frames, uint32_t type)
{
    struct onnx_layer *layer;
    if (frames->once)
        return onnx_fail(import, "there is one frame only, the sequence is gone already");
    layer = onnx_layer_on(import, type, frames->value);
    if (!layer)
        return false;
    layer->spec.once = frames->once = true;
    return put(import, layer, frames);
}

bool onnx_emit_scale(struct onnx_import *import, struct onnx_frames *frames, uint32_t n,
                     const float *scale, const float *shift)
{
    struct onnx_layer *layer;
    if (!shaped_rows(import, frames, n))
        return false;
    layer = onnx_layer_on(import, MODEL_SCALE, frames->value);
    if (!layer)
        return false;
    onnx_add_data(layer, "scale", scale, 1, (const uint32_t[2]){n, 0});
    onnx_add_data(layer, "shift", shift, 1, (const uint32_t[2]){n, 0});
    return put(import, layer, frames);
}

bool onnx_emit_activation(struct onnx_import *import, struct onnx_frames *frames,
                          uint32_t activation, float alpha, float beta)
{
    struct onnx_layer *layer = onnx_layer_on(import, MODEL_ACTIVATION, frames->value);
    if (!layer)
        return false;
    layer->spec.params[0] = activation;
    layer->spec.params[1] = model_float_bits(alpha);
    layer->spec.params[2] = model_float_bits(beta);
    return put(import, layer, frames);
}

/* ---- into the builder ---------------------------------------------------- */

static bool flush_tensors(struct onnx_import *import, struct model_builder *builder,
                          struct onnx_layer *layer)
{
    for (uint32_t i = 0; i < layer->n_tensors; i++) {
        size_t count = 1;
        float *clean;
        char name[256];
        layer->spec.tensors[i] = MODEL_NONE;
        if (!layer->tensors[i].data)
            continue;
        for (uint32_t k = 0; k < layer->tensors[i].rank; k++)
            count *= layer->tensors[i].dims[k];
        clean = onnx_alloc(import, count, sizeof *clean);
        if (!clean)
            return false;
        memcpy(clean, layer->tensors[i].data, count * sizeof *clean);
        snprintf(name, sizeof name, "%s.%s", layer->spec.name, layer->tensors[i].suffix);
        if (!import_clean(&import->source, name, clean, count, import->error))
            return false;
        layer->spec.tensors[i] = model_add_tensor(builder, name, layer->tensors[i].rank,
                                                  layer->tensors[i].dims, clean);
    }
    layer->spec.n_tensors = layer->n_tensors;
    return true;
}

static bool flush_cells(struct onnx_import *import, struct model_builder *builder,
                        struct onnx_layer *layer)
{
    for (uint32_t i = 0; i < layer->n_cells; i++) {
        char name[256];
        snprintf(name, sizeof name, "%s%s", layer->spec.name,
                 i || layer->spec.params[MODEL_RNN_DIRECTION] == MODEL_REVERSED ? ".reverse" : "");
        layer->cells[i].name = name;
        if (!import_add_cell(&import->source, builder, &layer->cells[i],
                             layer->spec.tensors + i * MODEL_RNN_SLOTS, import->error))
            return false;
    }
    layer->spec.n_tensors = layer->n_cells * MODEL_RNN_SLOTS;
    return true;
}

bool onnx_flush(struct onnx_import *import, struct model_builder *builder)
{
    const struct model_value *in = &import->input_frame;
    const char *name = onnx_clean_text(import, import->values[import->input].name, 200, false);
    if (!name)
        return false;
    model_set_input(builder, name, in->rank, in->dims);
    for (uint32_t i = 0; i < import->n_layers; i++) {
        struct onnx_layer *layer = import->layers[i];
        if (layer->n_cells ? !flush_cells(import, builder, layer)
                           : !flush_tensors(import, builder, layer))
            return false;
        model_add_layer(builder, &layer->spec);
    }
    return true;
}
