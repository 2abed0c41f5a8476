/* SPDX-License-Identifier: MIT
 *
 * Layers that the ONNX importer is going to add: kept in a list with their shapes until
 * the whole graph has been understood, then given to the builder.
 */
#include "formats/onnx_internal.h"

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
    layer->spec.name = onnx_clean_text(import, import->node ? import->node->name : "", 200,
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
    uint32_t before = 1, after = 1, dims[3], rank = 0;
    if (!onnx_features(import, frames, 0, axis, &before) ||
        !onnx_features(import, frames, axis + 1, frames->n_axes, &after))
        return false;
    if (before > 1)
        dims[rank++] = before;
    *frame_axis_out = rank;
    dims[rank++] = frames->axes[axis].size;
    if (after > 1)
        dims[rank++] = after;
    return onnx_shaped(import, frames, rank, dims);
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

static void add_data(struct onnx_layer *layer, const char *suffix, const float *data, uint32_t rank,
                     const uint32_t dims[2])
{
    uint32_t i = layer->n_tensors++;
    layer->tensors[i].suffix = suffix;
    layer->tensors[i].data = data;
    layer->tensors[i].rank = rank;
    layer->tensors[i].dims[0] = dims[0];
    layer->tensors[i].dims[1] = dims[1];
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
    add_data(layer, "weight", weights, 2, (const uint32_t[2]){n_out, n_in});
    add_data(layer, "bias", bias, 1, (const uint32_t[2]){n_out, 0});
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

bool onnx_emit_concat(struct onnx_import *import, const struct onnx_frames *parts, uint32_t n_parts,
                      uint32_t axis, struct onnx_frames *out)
{
    struct onnx_layer *layer = NULL;
    uint32_t frame_axis;
    uint64_t sum = 0;
    if (n_parts > MODEL_MAX_INPUTS)
        return onnx_fail(import, "joins %u values; up to %d are supported", n_parts, MODEL_MAX_INPUTS);
    if (n_parts == 1) {
        *out = parts[0];
        return true;
    }
    for (uint32_t i = 0; i < n_parts; i++) {
        struct onnx_frames part = parts[i];
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
    add_data(layer, "scale", scale, 1, (const uint32_t[2]){n, 0});
    add_data(layer, "shift", shift, 1, (const uint32_t[2]){n, 0});
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
