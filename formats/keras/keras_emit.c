/* SPDX-License-Identifier: MIT
 *
 * Layers and tensors for the model file: sizes and counts are checked before the builder
 * sees them. See keras_internal.h.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "formats/import_common.h"
#include "formats/keras/keras_internal.h"
#include "formats/utf8.h"

const char *keras_name(const struct keras_layer *layer, char text[KERAS_MAX_NAME + 1])
{
    size_t n = strlen(layer->name), at = 0, fault;
    n = n < KERAS_MAX_NAME ? n : KERAS_MAX_NAME;
    memcpy(text, layer->name, n);
    text[n] = '\0';
    while (utf8_check((const uint8_t *)text + at, n - at, false, &fault) != UTF8_OK) {
        at += fault;
        text[at++] = '?';
    }
    return text;
}

struct model_value keras_frame(const struct keras_work *work, uint32_t value)
{
    struct model_value frame = {.rank = 1, .dims = {1}, .size = 1};
    model_builder_value(work->builder, value, &frame);
    return frame;
}

/* ---- layers -------------------------------------------------------------- */

bool keras_emit(struct keras_work *work, const struct keras_layer *layer, struct model_layer_spec *spec,
                uint32_t *value_out)
{
    char name[KERAS_MAX_NAME + 1];
    uint64_t size = 1;
    for (uint32_t i = 0; i < spec->rank; i++) {
        size = spec->dims[i] == 0 || spec->dims[i] > MODEL_MAX_DIM ? UINT64_MAX : size * spec->dims[i];
        if (size > MODEL_MAX_FRAME)
            return keras_fail(work, layer, "a frame of its output has no number or more than %d",
                              MODEL_MAX_FRAME);
    }
    if (++work->n_layers > MODEL_MAX_LAYERS)
        return keras_fail(work, layer, "the model needs more than %d layers", MODEL_MAX_LAYERS);
    spec->name = keras_name(layer, name);
    *value_out = model_add_layer(work->builder, spec);
    return true;
}

struct model_layer_spec keras_like(const struct keras_work *work, uint32_t type, uint32_t value)
{
    struct model_value frame = keras_frame(work, value);
    struct model_layer_spec spec = {.type = type, .n_inputs = 1, .inputs = {value}, .rank = frame.rank,
                                    .once = frame.once};
    memcpy(spec.dims, frame.dims, sizeof spec.dims);
    return spec;
}

bool keras_emit_plain(struct keras_work *work, const struct keras_layer *layer, uint32_t type, uint32_t value,
                      uint32_t *value_out)
{
    struct model_layer_spec spec = keras_like(work, type, value);
    spec.once = spec.once || type == MODEL_LAST || type == MODEL_FIRST || type == MODEL_MEAN ||
        type == MODEL_MAX;
    return keras_emit(work, layer, &spec, value_out);
}

bool keras_emit_pair(struct keras_work *work, const struct keras_layer *layer, uint32_t type,
                     const uint32_t values[2], uint32_t *value_out)
{
    struct model_layer_spec spec = keras_like(work, type, values[0]);
    spec.n_inputs = 2;
    spec.inputs[1] = values[1];
    return keras_emit(work, layer, &spec, value_out);
}

bool keras_emit_reshape(struct keras_work *work, const struct keras_layer *layer, uint32_t rank,
                        const uint32_t *dims, uint32_t *value)
{
    struct model_layer_spec spec = keras_like(work, MODEL_RESHAPE, *value);
    if (spec.rank == rank && memcmp(spec.dims, dims, rank * sizeof *dims) == 0)
        return true;
    spec.rank = rank;
    memset(spec.dims, 0, sizeof spec.dims);
    memcpy(spec.dims, dims, rank * sizeof *dims);
    return keras_emit(work, layer, &spec, value);
}

/* ---- activations --------------------------------------------------------- */

static bool emit_code(struct keras_work *work, const struct keras_layer *layer, uint32_t code, float alpha,
                      float beta, uint32_t *value)
{
    struct model_layer_spec spec = keras_like(work, MODEL_ACTIVATION, *value);
    spec.params[0] = code;
    spec.params[1] = model_float_bits(alpha);
    spec.params[2] = model_float_bits(beta);
    return keras_emit(work, layer, &spec, value);
}

bool keras_emit_rest(struct keras_work *work, const struct keras_layer *layer,
                     const struct keras_activation *activation, uint32_t before, uint32_t *value)
{
    const uint32_t pair[2] = {*value, before};
    if (activation->softmax)
        return keras_emit_plain(work, layer, MODEL_SOFTMAX, *value, value);
    if (activation->times_x && !keras_emit_pair(work, layer, MODEL_MUL, pair, value))
        return false;
    if (activation->gain != 1 || activation->offset != 0)
        return emit_code(work, layer, MODEL_ACT_AFFINE, activation->gain, activation->offset, value);
    return true;
}

bool keras_emit_act(struct keras_work *work, const struct keras_layer *layer,
                    const struct keras_activation *activation, uint32_t *value)
{
    uint32_t before = *value;
    if (activation->code != MODEL_ACT_IDENTITY &&
        !emit_code(work, layer, activation->code, activation->alpha, activation->beta, value))
        return false;
    return keras_emit_rest(work, layer, activation, before, value);
}

/* ---- masks --------------------------------------------------------------- */

bool keras_mask(struct keras_work *work, const struct keras_layer *layer, uint32_t source, float number,
                uint32_t *value_out)
{
    uint32_t bits = model_float_bits(number == 0 ? 0.0f : number); /* -0 is 0 */
    struct model_layer_spec spec = keras_like(work, MODEL_MASK, source);
    for (uint32_t i = 0; i < work->n_masks; i++) {
        if (work->masks[i].source == source && work->masks[i].bits == bits) {
            *value_out = work->masks[i].value;
            return true;
        }
    }
    if (work->n_masks == KERAS_MAX_MASKS)
        return keras_fail(work, layer, "the model has more than %d masks", KERAS_MAX_MASKS);
    if (spec.rank != 1 || spec.once)
        return keras_fail(work, layer, "masks are supported for inputs [batch, steps] and [batch, steps, "
                          "features] only");
    spec.params[0] = bits;
    spec.dims[0] = 1;
    if (!keras_emit(work, layer, &spec, value_out))
        return false;
    work->masks[work->n_masks++] = (struct keras_made_mask){source, bits, *value_out};
    return true;
}

/* ---- weights ------------------------------------------------------------- */

static const char *shape_text(uint32_t rank, const uint32_t *dims, char text[64])
{
    size_t used = 0;
    text[0] = '\0';
    for (uint32_t i = 0; i < rank && used < 50; i++)
        used += (size_t)snprintf(text + used, 64 - used, "%s%u", i ? ", " : "", (unsigned)dims[i]);
    return text;
}

/* keras_weight's checks; *count_out is the number of numbers. */
static bool check_weight(const struct keras_work *work, const struct keras_layer *layer,
                         const struct hdf5_array *array, uint32_t rank, const uint32_t *dims)
{
    char found[64], expected[64];
    bool same = array->rank == rank;
    for (uint32_t i = 0; same && i < rank; i++)
        same = array->dims[i] == dims[i];
    if (!same)
        return keras_fail(work, layer, "the weight '%.150s' has shape [%s], expected [%s]", array->path,
                          shape_text(array->rank, array->dims, found), shape_text(rank, dims, expected));
    if (array->dtype == HDF5_OTHER)
        return keras_fail(work, layer, "the weight '%.150s' is of another type than f16, bf16, f32, f64",
                          array->path);
    if (array->count == 0)
        return keras_fail(work, layer, "the weight '%.150s' has no numbers", array->path);
    return true;
}

float *keras_weight(struct keras_work *work, const struct keras_layer *layer, uint32_t index, uint32_t rank,
                    const uint32_t *dims)
{
    static const enum import_dtype dtypes[] = {[HDF5_F32] = IMPORT_F32, [HDF5_F64] = IMPORT_F64,
                                               [HDF5_F16] = IMPORT_F16, [HDF5_BF16] = IMPORT_BF16};
    const struct hdf5_array *array = layer->weights[index];
    float *numbers;
    if (!check_weight(work, layer, array, rank, dims))
        return NULL;
    numbers = calloc(array->count, sizeof *numbers);
    if (!numbers) {
        keras_out_of_memory(work);
        return NULL;
    }
    if (!import_numbers(work->source, array->path, dtypes[array->dtype], array->data, array->count, numbers,
                        work->error)) {
        free(numbers);
        return NULL;
    }
    work->used[array - work->file->arrays] = true;
    return numbers;
}

bool keras_add_tensor(struct keras_work *work, const struct keras_layer *layer, const char *suffix,
                      uint32_t rank,
                      const uint32_t *dims, float *data, uint32_t *index_out)
{
    char name[KERAS_MAX_NAME + 1], whole[KERAS_MAX_NAME + 40];
    size_t count = 1;
    snprintf(whole, sizeof whole, "%s.%s", keras_name(layer, name), suffix);
    for (uint32_t i = 0; i < rank; i++)
        count *= dims[i];
    if (++work->n_tensors > MODEL_MAX_TENSORS)
        return keras_fail(work, layer, "the model needs more than %d tensors", MODEL_MAX_TENSORS);
    if (!import_clean(work->source, whole, data, count, work->error))
        return false;
    *index_out = model_add_tensor(work->builder, whole, rank, dims, data);
    return true;
}
