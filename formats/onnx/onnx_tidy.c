/* SPDX-License-Identifier: MIT
 *
 * A last look at the layers to be: activations join the layer before them, and what the output does
 * not need is left out.
 */
#include "formats/onnx/onnx_internal.h"

#include <string.h>

static void count_uses(const struct onnx_import *import, uint32_t output, uint32_t *uses)
{
    memset(uses, 0, ((size_t)import->n_layers + 1) * sizeof *uses);
    uses[output] = 1;
    for (uint32_t i = import->n_layers; i-- > 0;) {
        const struct model_layer_spec *spec = &import->layers[i]->spec;
        for (uint32_t k = 0; uses[i + 1] && k < spec->n_inputs; k++)
            uses[spec->inputs[k]]++;
    }
}

/* Where a type keeps its activation with alpha and beta; UINT32_MAX: it has none. */
static uint32_t activation_word(uint32_t type)
{
    return type == MODEL_DENSE ? 0
           : type == MODEL_CONV1D || type == MODEL_TEMPORAL_CONV ? MODEL_CONV_ACT : UINT32_MAX;
}

/* The activation becomes its layer's, and what stood there a reshape to the same shape. */
static void join_activation(const struct onnx_import *import, struct onnx_layer *layer, const uint32_t *uses)
{
    uint32_t value = layer->spec.inputs[0], word;
    struct model_layer_spec *before;
    if (layer->spec.type != MODEL_ACTIVATION)
        return;
    while (value > 0 && uses[value] == 1 && import->layers[value - 1]->spec.type == MODEL_RESHAPE)
        value = import->layers[value - 1]->spec.inputs[0];
    if (value == 0 || uses[value] != 1)
        return;
    before = &import->layers[value - 1]->spec;
    word = activation_word(before->type);
    if (word == UINT32_MAX || before->params[word] != MODEL_ACT_IDENTITY)
        return;
    memcpy(before->params + word, layer->spec.params, 3 * sizeof *before->params);
    layer->spec.type = MODEL_RESHAPE;
    memset(layer->spec.params, 0, sizeof layer->spec.params);
}

/* Positions of a convolution that are cut off right behind it need not be computed: those before
 * lie in the padding, or nothing is done. */
static void join_cut(const struct onnx_import *import, struct onnx_layer *layer, const uint32_t *uses)
{
    const uint32_t *cut = layer->spec.params; /* axis, start, count, step */
    uint32_t value = layer->spec.inputs[0], *words, kernel;
    struct onnx_layer *conv = value > 0 && uses[value] == 1 ? import->layers[value - 1] : NULL;
    uint64_t skipped, reach;
    int64_t after;
    if (layer->spec.type != MODEL_SLICE || !conv || conv->spec.type != MODEL_CONV1D || cut[0] != 0 ||
        cut[3] != 1)
        return;
    words = conv->spec.params;
    kernel = conv->tensors[0].dims[1];
    skipped = (uint64_t)cut[1] * words[MODEL_CONV_STRIDE];
    reach = (uint64_t)(cut[2] - 1) * words[MODEL_CONV_STRIDE] +
            (uint64_t)words[MODEL_CONV_DILATION] * (kernel - 1) + 1;
    if (skipped > words[MODEL_CONV_PAD_BEFORE])
        return;
    words[MODEL_CONV_PAD_BEFORE] -= (uint32_t)skipped;
    after = (int64_t)reach - words[MODEL_CONV_PAD_BEFORE] -
            onnx_frame_of(import, conv->spec.inputs[0]).dims[0];
    words[MODEL_CONV_PAD_AFTER] = after > 0 ? (uint32_t)after : 0;
    if (!words[MODEL_CONV_PAD_BEFORE] && !words[MODEL_CONV_PAD_AFTER])
        words[MODEL_CONV_PADDING] = MODEL_PAD_ZEROS;
    conv->spec.dims[0] = cut[2];
    layer->spec.type = MODEL_RESHAPE;
    memset(layer->spec.params, 0, sizeof layer->spec.params);
}

/* Chains of reshapes become one or none: each reads what the first one read. */
static void skip_reshapes(const struct onnx_import *import, uint32_t *input,
                          const struct model_layer_spec *reader)
{
    while (*input > 0 && import->layers[*input - 1]->spec.type == MODEL_RESHAPE) {
        uint32_t before = import->layers[*input - 1]->spec.inputs[0];
        struct model_value frame = onnx_frame_of(import, *input), from = onnx_frame_of(import, before);
        bool same = frame.rank == from.rank &&
                    memcmp(frame.dims, from.dims, frame.rank * sizeof *frame.dims) == 0;
        if (!same && reader->type != MODEL_RESHAPE)
            return;
        *input = before;
    }
}

bool onnx_tidy(struct onnx_import *import, uint32_t *output)
{
    static const struct model_layer_spec outside = {.type = 0};
    uint32_t *uses = onnx_alloc(import, (size_t)import->n_layers + 1, sizeof *uses), n = 0;
    uint32_t *numbers = onnx_alloc(import, (size_t)import->n_layers + 1, sizeof *numbers);
    if (!uses || !numbers)
        return false;
    count_uses(import, *output, uses);
    for (uint32_t i = 0; i < import->n_layers; i++)
        if (uses[i + 1]) {
            join_activation(import, import->layers[i], uses);
            join_cut(import, import->layers[i], uses);
        }
    for (uint32_t i = 0; i < import->n_layers; i++)
        for (uint32_t k = 0; k < import->layers[i]->spec.n_inputs; k++)
            skip_reshapes(import, &import->layers[i]->spec.inputs[k], &import->layers[i]->spec);
    skip_reshapes(import, output, &outside);
    count_uses(import, *output, uses);
    for (uint32_t i = 0; i < import->n_layers; i++) {
        struct onnx_layer *layer = import->layers[i];
        if (!uses[i + 1])
            continue;
        for (uint32_t k = 0; k < layer->spec.n_inputs; k++)
            layer->spec.inputs[k] = numbers[layer->spec.inputs[k]];
        import->layers[n++] = layer;
        numbers[i + 1] = n;
    }
    import->n_layers = n;
    *output = numbers[*output];
    return n > 0 || import_fail(import->error, "the graph has no layer: the output is the input");
}
