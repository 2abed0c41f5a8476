/* SPDX-License-Identifier: MIT
 *
 * Walking, rebuilding and comparing model files by the public interface of the reader only.
 */
#include "tests/model_walk.h"

#include <stdlib.h>
#include <string.h>

/* ---- walking -------------------------------------------------------------------------------------- */

static bool inside(const struct model_view *view, const void *start, uint64_t n_bytes)
{
    const uint8_t *p = start;
    return p >= view->bytes && (size_t)(p - view->bytes) <= view->n_bytes &&
           n_bytes <= view->n_bytes - (size_t)(p - view->bytes);
}

static bool good_string(const struct model_view *view, struct model_string string)
{
    return inside(view, string.text, (uint64_t)string.n_bytes + 1) &&
           strlen(string.text) == string.n_bytes;
}

static bool good_dims(const uint32_t *dims, uint32_t rank, uint32_t max_rank, uint64_t count)
{
    uint64_t product = 1;
    if (rank < 1 || rank > max_rank)
        return false;
    for (uint32_t i = 0; i < max_rank; i++) {
        if (i < rank ? dims[i] < 1 || dims[i] > MODEL_MAX_DIM : dims[i] != 0)
            return false;
        product *= i < rank ? dims[i] : 1;
    }
    return product == count;
}

static bool good_layer(const struct model_view *view, uint32_t index)
{
    struct model_layer layer;
    model_get_layer(view, index, &layer);
    if (!good_string(view, layer.name) || layer.n_inputs < 1 || layer.n_inputs > MODEL_MAX_INPUTS ||
        layer.n_tensors > MODEL_MAX_LAYER_TENSORS)
        return false;
    for (uint32_t i = 0; i < layer.n_inputs; i++)
        if (layer.inputs[i] > index)
            return false;
    for (uint32_t i = 0; i < MODEL_MAX_LAYER_TENSORS; i++) {
        bool absent = layer.tensors[i] == MODEL_NONE;
        if (!absent && (i >= layer.n_tensors || layer.tensors[i] >= view->n_tensors))
            return false;
    }
    return true;
}

static bool good_value(const struct model_view *view, uint32_t index)
{
    struct model_value value;
    model_get_value(view, index, &value);
    return good_string(view, value.name) && value.size <= MODEL_MAX_FRAME && !(index == 0 && value.once) &&
           good_dims(value.dims, value.rank, MODEL_MAX_RANK, value.size);
}

/* Adds up the bytes so that each is really read. */
static bool good_tensor(const struct model_view *view, uint32_t index, uint64_t *sum)
{
    struct model_tensor tensor;
    model_get_tensor(view, index, &tensor);
    const uint8_t *data = tensor.data;
    if (!good_string(view, tensor.name) || tensor.dtype != MODEL_F32 || tensor.scales != MODEL_NONE ||
        tensor.n_bytes != tensor.count * sizeof(float) || !inside(view, data, tensor.n_bytes) ||
        (data - view->bytes) % 64 != 0 ||
        !good_dims(tensor.dims, tensor.rank, MODEL_MAX_TENSOR_RANK, tensor.count))
        return false;
    for (uint64_t i = 0; i < tensor.n_bytes; i++)
        *sum += data[i];
    return true;
}

static bool good_references(const struct model_view *view)
{
    if (view->reference_input == MODEL_NONE || view->reference_output == MODEL_NONE)
        return view->reference_input == view->reference_output;
    return view->reference_input < view->n_tensors && view->reference_output < view->n_tensors;
}

const char *model_walk(const struct model_view *view)
{
    uint64_t sum = 0;
    for (uint32_t i = 0; i < view->n_metadata; i++) {
        struct model_string key, value;
        model_get_metadata(view, i, &key, &value);
        if (!good_string(view, key) || !good_string(view, value) || key.n_bytes == 0)
            return "metadata";
    }
    for (uint32_t i = 0; i < view->n_layers; i++)
        if (!good_layer(view, i))
            return "a layer";
    for (uint32_t i = 0; i <= view->n_layers; i++)
        if (!good_value(view, i))
            return "a value";
    for (uint32_t i = 0; i < view->n_tensors; i++)
        if (!good_tensor(view, i, &sum))
            return "a tensor";
    if (sum > view->n_bytes * UINT64_C(255) || view->output > view->n_layers)
        return "the output";
    return good_references(view) ? NULL : "the reference tensors";
}

/* ---- rebuilding ------------------------------------------------------------------------------------- */

/* A copy, because the file may lie at any address and floats may not. */
static float *copy_floats(const struct model_tensor *tensor)
{
    float *copy = malloc((size_t)tensor->n_bytes);
    if (copy)
        memcpy(copy, tensor->data, (size_t)tensor->n_bytes);
    return copy;
}

static void add_tensors(const struct model_view *view, struct model_builder *builder)
{
    uint32_t n = view->reference_input == MODEL_NONE ? view->n_tensors : view->reference_input;
    for (uint32_t i = 0; i < n; i++) {
        struct model_tensor tensor;
        model_get_tensor(view, i, &tensor);
        float *data = copy_floats(&tensor);
        if (data)
            model_add_tensor(builder, tensor.name.text, tensor.rank, tensor.dims, data);
        free(data);
    }
}

static void add_layers(const struct model_view *view, struct model_builder *builder)
{
    for (uint32_t i = 0; i < view->n_layers; i++) {
        struct model_layer layer;
        struct model_value value;
        struct model_layer_spec spec = { 0 };
        model_get_layer(view, i, &layer);
        model_get_value(view, i + 1, &value);
        spec.type = layer.type;
        spec.name = layer.name.text;
        spec.n_inputs = layer.n_inputs;
        spec.n_tensors = layer.n_tensors;
        memcpy(spec.inputs, layer.inputs, sizeof spec.inputs);
        memcpy(spec.tensors, layer.tensors, sizeof spec.tensors);
        memcpy(spec.params, layer.params, sizeof spec.params);
        spec.rank = value.rank;
        memcpy(spec.dims, value.dims, sizeof spec.dims);
        spec.once = value.once;
        model_add_layer(builder, &spec);
    }
}

static void add_reference(const struct model_view *view, struct model_builder *builder)
{
    struct model_tensor input, output;
    if (view->reference_input == MODEL_NONE)
        return;
    model_get_tensor(view, view->reference_input, &input);
    model_get_tensor(view, view->reference_output, &output);
    float *in = copy_floats(&input), *out = copy_floats(&output);
    if (in && out)
        model_set_reference(builder, input.dims[0], in, output.dims[0], out);
    free(in);
    free(out);
}

bool model_rebuild(const struct model_view *view, void **bytes_out, size_t *n_bytes_out,
                   struct format_error *error)
{
    struct model_value input;
    struct model_builder *builder = model_builder_create();
    memset(error, 0, sizeof *error);
    if (!builder)
        return false;
    for (uint32_t i = 0; i < view->n_metadata; i++) {
        struct model_string key, value;
        model_get_metadata(view, i, &key, &value);
        model_set_metadata(builder, key.text, value.text);
    }
    model_get_value(view, 0, &input);
    model_set_input(builder, input.name.text, input.rank, input.dims);
    add_tensors(view, builder);
    add_layers(view, builder);
    model_set_output(builder, view->output);
    add_reference(view, builder);
    bool made = model_finish(builder, bytes_out, n_bytes_out, error);
    model_builder_destroy(builder);
    return made;
}

/* ---- comparing -------------------------------------------------------------------------------------- */

static bool same_string(struct model_string a, struct model_string b)
{
    return a.n_bytes == b.n_bytes && memcmp(a.text, b.text, a.n_bytes) == 0;
}

static bool same_layer(const struct model_view *a, const struct model_view *b, uint32_t index)
{
    struct model_layer x, y;
    model_get_layer(a, index, &x);
    model_get_layer(b, index, &y);
    return x.type == y.type && same_string(x.name, y.name) && x.n_inputs == y.n_inputs &&
           x.n_tensors == y.n_tensors && memcmp(x.inputs, y.inputs, sizeof x.inputs) == 0 &&
           memcmp(x.tensors, y.tensors, sizeof x.tensors) == 0 &&
           memcmp(x.params, y.params, sizeof x.params) == 0;
}

/* Names of values but the input's are not the writer's to set. */
static bool same_value(const struct model_view *a, const struct model_view *b, uint32_t index)
{
    struct model_value x, y;
    model_get_value(a, index, &x);
    model_get_value(b, index, &y);
    return x.rank == y.rank && memcmp(x.dims, y.dims, sizeof x.dims) == 0 && x.once == y.once &&
           (index > 0 || same_string(x.name, y.name));
}

/* The reference tensors get their names from the writer. */
static bool same_tensor(const struct model_view *a, const struct model_view *b, uint32_t index)
{
    struct model_tensor x, y;
    model_get_tensor(a, index, &x);
    model_get_tensor(b, index, &y);
    bool reference = a->reference_input != MODEL_NONE && index >= a->reference_input;
    return x.rank == y.rank && memcmp(x.dims, y.dims, sizeof x.dims) == 0 && x.n_bytes == y.n_bytes &&
           memcmp(x.data, y.data, (size_t)x.n_bytes) == 0 && (reference || same_string(x.name, y.name));
}

static bool same_metadata(const struct model_view *a, const struct model_view *b, uint32_t index)
{
    struct model_string keys[2], values[2];
    model_get_metadata(a, index, &keys[0], &values[0]);
    model_get_metadata(b, index, &keys[1], &values[1]);
    return same_string(keys[0], keys[1]) && same_string(values[0], values[1]);
}

const char *model_difference(const struct model_view *a, const struct model_view *b)
{
    if (a->n_layers != b->n_layers || a->n_tensors != b->n_tensors || a->n_metadata != b->n_metadata ||
        a->output != b->output || a->reference_input != b->reference_input ||
        a->weight_bytes != b->weight_bytes)
        return "the counts";
    for (uint32_t i = 0; i < a->n_metadata; i++)
        if (!same_metadata(a, b, i))
            return "metadata";
    for (uint32_t i = 0; i < a->n_layers; i++)
        if (!same_layer(a, b, i))
            return "a layer";
    for (uint32_t i = 0; i <= a->n_layers; i++)
        if (!same_value(a, b, i))
            return "a value";
    for (uint32_t i = 0; i < a->n_tensors; i++)
        if (!same_tensor(a, b, i))
            return "a tensor";
    return NULL;
}
