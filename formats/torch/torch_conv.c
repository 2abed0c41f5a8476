/* SPDX-License-Identifier: MIT
 *
 * nn.Conv1d to a conv1d layer, over the positions inside a frame, or a temporal_conv, over
 * the steps of a run: which of them only a spec can tell.
 */
#include <stdlib.h>
#include <string.h>

#include "formats/import_common.h"
#include "formats/torch/torch_build.h"

/* A convolution under construction. */
struct conv {
    const struct torch_module *module;
    const json_t *entry;
    const char *name;
    uint32_t taps, per_group, channels; /* K, C / G, C */
};

/* What the entry says of `key`, else the module's hints. */
static const json_t *said(const struct conv *conv, const char *key)
{
    const json_t *value = json_object_get(conv->entry, key);
    return value ? value : json_object_get(conv->module->hints, key);
}

static uint32_t count_of(const struct conv *conv, const char *key)
{
    const json_t *value = said(conv, key);
    return value ? (uint32_t)json_integer_value(value) : 1;
}

/* One number for both sides, or [before, after]. */
static bool read_padding(const struct torch_work *work, const struct conv *conv, uint32_t *words)
{
    const json_t *padding = said(conv, "padding");
    const char *mode = json_string_value(said(conv, "padding_mode"));
    if (json_is_array(padding) && json_array_size(padding) != 2)
        return spec_fail(work->error, "'%s': \"padding\" is one number, or two for before and after",
                         conv->name);
    for (size_t side = 0; padding && side < 2; side++)
        words[MODEL_CONV_PAD_BEFORE + side] = (uint32_t)json_integer_value(
            json_is_array(padding) ? json_array_get(padding, side) : padding);
    words[MODEL_CONV_PADDING] = !mode || strcmp(mode, "zeros") == 0 ? MODEL_PAD_ZEROS
                                : strcmp(mode, "reflect") == 0      ? MODEL_PAD_REFLECT
                                                                    : MODEL_PAD_EDGE;
    return true;
}

static bool read_words(const struct torch_work *work, struct conv *conv, struct model_layer_spec *layer)
{
    const json_t *from = torch_has_activation(conv->entry) ? conv->entry : conv->module->hints;
    uint32_t *words = layer->params;
    words[MODEL_CONV_STRIDE] = count_of(conv, "stride");
    words[MODEL_CONV_DILATION] = count_of(conv, "dilation");
    words[MODEL_CONV_GROUPS] = conv->channels / conv->per_group;
    if (words[MODEL_CONV_STRIDE] == 0 || words[MODEL_CONV_DILATION] == 0)
        return spec_fail(work->error, "'%s': \"stride\" and \"dilation\" must be 1 or more", conv->name);
    return read_padding(work, conv, words) &&
           torch_activation(work, from, conv->name, words + MODEL_CONV_ACT);
}

/* The file's [O][C / G][K] as the model's [O][K][C / G]: the same numbers seen with other strides. */
static struct named_tensor turned(const struct named_tensor *weight)
{
    struct named_tensor out = *weight;
    if (!weight->strided) {
        out.strides[2] = 1;
        out.strides[1] = weight->dims[2];
        out.strides[0] = weight->dims[1] * weight->dims[2];
    }
    uint64_t stride = out.strides[1];
    out.strided = true;
    out.strides[1] = out.strides[2];
    out.strides[2] = stride;
    out.dims[1] = weight->dims[2];
    out.dims[2] = weight->dims[1];
    return out;
}

static bool add_tensors(const struct torch_work *work, const struct conv *conv,
                        struct model_layer_spec *layer)
{
    struct named_tensor weight = turned(conv->module->weight);
    layer->n_tensors = 2;
    return torch_add_weights(work, &weight, &layer->tensors[0]) &&
           torch_add_weights(work, conv->module->bias, &layer->tensors[1]);
}

/* Like PyTorch's own: one group unless said otherwise. */
static bool check_channels(const struct torch_work *work, struct conv *conv, uint32_t channels)
{
    uint32_t outputs = conv->module->output, groups = count_of(conv, "groups");
    conv->channels = channels;
    if (groups && channels / groups == conv->per_group && channels % groups == 0 && outputs % groups == 0)
        return true;
    return import_fail(work->error, "'%s' reads %u channels in each of %u group%s and gives %u, which does "
                                    "not fit the %u channels of '%s' before it; \"groups\" in --spec says "
                                    "how many there are",
                       conv->name,
                       conv->per_group, groups, groups == 1 ? "" : "s", outputs, channels,
                       work->current_name);
}

/* How far the taps reach beyond the first. */
static uint64_t reach(const struct conv *conv, const uint32_t *words)
{
    return (uint64_t)words[MODEL_CONV_DILATION] * (conv->taps - 1);
}

static bool add_in_frame(struct torch_work *work, struct conv *conv)
{
    struct model_layer_spec layer;
    uint64_t padded, before, after;
    if (!torch_layer_of(work, MODEL_CONV1D, conv->name, &layer))
        return false;
    if (layer.rank != 2)
        return spec_fail(work->error, "'%s' of type \"conv1d\" reads frames [positions, channels]; put a "
                                      "layer of type \"reshape\" or \"transpose\" before it", conv->name);
    if (!check_channels(work, conv, layer.dims[1]) || !read_words(work, conv, &layer))
        return false;
    before = layer.params[MODEL_CONV_PAD_BEFORE];
    after = layer.params[MODEL_CONV_PAD_AFTER];
    padded = layer.dims[0] + before + after;
    if (layer.params[MODEL_CONV_PADDING] == MODEL_PAD_REFLECT &&
        (before >= layer.dims[0] || after >= layer.dims[0]))
        return spec_fail(work->error, "'%s': reflection by %u and %u of only %u positions", conv->name,
                         (unsigned)before, (unsigned)after, layer.dims[0]);
    if (padded < reach(conv, layer.params) + 1)
        return spec_fail(work->error, "'%s': %u taps do not fit %u positions with their padding", conv->name,
                         conv->taps, layer.dims[0]);
    padded -= reach(conv, layer.params);
    layer.dims[0] = (uint32_t)((padded - 1) / layer.params[MODEL_CONV_STRIDE] + 1);
    layer.dims[1] = conv->module->output;
    if (layer.dims[0] * (uint64_t)layer.dims[1] > MODEL_MAX_FRAME)
        return spec_fail(work->error, "'%s' would give more than %d numbers", conv->name, MODEL_MAX_FRAME);
    return add_tensors(work, conv, &layer) && torch_add_layer(work, &layer);
}

static bool add_over_time(struct torch_work *work, struct conv *conv)
{
    struct model_layer_spec layer;
    uint64_t padding;
    if (!torch_layer_of(work, MODEL_TEMPORAL_CONV, conv->name, &layer))
        return false;
    if (layer.rank != 1 || layer.once)
        return spec_fail(work->error, "'%s' of type \"temporal_conv\" reads a frame [channels] at each step",
                         conv->name);
    if (!check_channels(work, conv, layer.dims[0]) || !read_words(work, conv, &layer))
        return false;
    padding = (uint64_t)layer.params[MODEL_CONV_PAD_BEFORE] + layer.params[MODEL_CONV_PAD_AFTER];
    if (padding > reach(conv, layer.params))
        return spec_fail(work->error, "'%s': a \"padding\" of %llu steps together; over the steps of a run "
                                      "at most %llu can be, which leaves as many steps as before", conv->name,
                         (unsigned long long)padding, (unsigned long long)reach(conv, layer.params));
    if (reach(conv, layer.params) * layer.dims[0] > MODEL_MAX_FRAME)
        return spec_fail(work->error, "'%s' would look at more than %d numbers", conv->name, MODEL_MAX_FRAME);
    layer.dims[0] = conv->module->output;
    return add_tensors(work, conv, &layer) && torch_add_layer(work, &layer);
}

bool torch_add_conv(struct torch_work *work, const struct torch_module *module, const json_t *entry,
                    const char *name)
{
    struct conv conv = {.module = module, .entry = entry, .name = name,
                        .taps = (uint32_t)module->weight->dims[2],
                        .per_group = (uint32_t)module->weight->dims[1]};
    const char *type = json_string_value(said(&conv, "type"));
    if (!type)
        return import_fail(work->error, "'%s' is a convolution; say with \"type\" in --spec whether it runs "
                                        "over the steps (temporal_conv) or over the positions inside a frame "
                                        "(conv1d)", name);
    return strcmp(type, "temporal_conv") == 0 ? add_over_time(work, &conv) : add_in_frame(work, &conv);
}
