/* SPDX-License-Identifier: MIT
 *
 * Networks of audio plugins, see audio_net.h.
 */
#include "formats/audio/audio_net.h"

#include <float.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "formats/spec.h"

enum { MAX_HISTORY = 1 << 22 }; /* numbers that a convolution carries in a stream's state */

/* ---- layers -------------------------------------------------------------- */

void audio_net_begin(struct audio_net *net, const struct audio_file *file, struct model_builder *builder,
                     uint32_t n_inputs)
{
    *net = (struct audio_net){.file = file, .builder = builder, .n_inputs = n_inputs, .n_current = n_inputs};
    model_set_input(builder, "input", 1, &n_inputs);
}

/* Adds the layer behind the current value; its output has `n` numbers. */
static void add_layer(struct audio_net *net, struct model_layer_spec *layer, uint32_t n)
{
    if (layer->n_inputs == 0) {
        layer->n_inputs = 1;
        layer->inputs[0] = net->current;
    }
    layer->rank = 1;
    layer->dims[0] = n;
    net->current = model_add_layer(net->builder, layer);
    net->n_current = n;
}

void audio_add_plain(struct audio_net *net, const char *name, uint32_t type, uint32_t activation, float alpha)
{
    struct model_layer_spec layer = {.type = type, .name = name};
    layer.params[0] = activation;
    layer.params[1] = model_float_bits(alpha);
    add_layer(net, &layer, net->n_current);
}

bool audio_add_cell(struct audio_net *net, const struct import_cell *cell)
{
    struct model_layer_spec layer = {.type = cell->type, .name = cell->name, .n_tensors = MODEL_RNN_SLOTS};
    import_rnn_params(layer.params, cell->type, cell->hidden, MODEL_FORWARD,
                      cell->reset_after ? MODEL_FLAG_RESET_AFTER : 0);
    if (!import_add_cell(net->file->source, net->builder, cell, layer.tensors, net->file->error))
        return false;
    add_layer(net, &layer, cell->recurrent);
    return true;
}

static uint32_t add_tensor(struct audio_net *net, const char *layer, const char *suffix, uint32_t rank,
                           const uint32_t *dims, const float *data)
{
    char name[120];
    snprintf(name, sizeof name, "%.90s.%s", layer, suffix);
    return data ? model_add_tensor(net->builder, name, rank, dims, data) : MODEL_NONE;
}

bool audio_add_dense(struct audio_net *net, const char *name, uint32_t n_outputs, const float *weights,
                     const float *bias)
{
    const uint32_t dims[2] = {n_outputs, net->n_current};
    struct model_layer_spec layer = {.type = MODEL_DENSE, .name = name, .n_tensors = 2};
    layer.tensors[0] = add_tensor(net, name, "weight", 2, dims, weights);
    layer.tensors[1] = add_tensor(net, name, "bias", 1, dims, bias);
    add_layer(net, &layer, n_outputs);
    return true;
}

bool audio_add_conv(struct audio_net *net, const char *name, const struct audio_conv *conv)
{
    const uint32_t dims[3] = {conv->n_outputs, conv->n_taps, net->n_current / conv->groups};
    const uint64_t history = (uint64_t)conv->dilation * (conv->n_taps - 1);
    struct model_layer_spec layer = {.type = MODEL_TEMPORAL_CONV, .name = name, .n_tensors = 2};
    if (history > MAX_HISTORY / net->n_current)
        return import_fail(net->file->error, "%s: %u taps with dilation %u reach back %llu steps of %u "
                           "numbers, at "
                           "most %d numbers are supported", name, conv->n_taps, conv->dilation,
                           (unsigned long long)history, net->n_current, MAX_HISTORY);
    layer.params[MODEL_CONV_STRIDE] = 1;
    layer.params[MODEL_CONV_DILATION] = conv->dilation;
    layer.params[MODEL_CONV_PAD_BEFORE] = (uint32_t)history;
    layer.params[MODEL_CONV_GROUPS] = conv->groups;
    layer.tensors[0] = add_tensor(net, name, "weight", 3, dims, conv->weights);
    layer.tensors[1] = add_tensor(net, name, "bias", 1, dims, conv->bias);
    add_layer(net, &layer, conv->n_outputs);
    return true;
}

bool audio_add_scale(struct audio_net *net, const char *name, float *scale, float *shift)
{
    const uint32_t n = net->n_current;
    struct model_layer_spec layer = {.type = MODEL_SCALE, .name = name, .n_tensors = 2};
    if (!import_clean(net->file->source, name, scale, n, net->file->error) ||
        (shift && !import_clean(net->file->source, name, shift, n, net->file->error)))
        return false;
    layer.tensors[0] = add_tensor(net, name, "scale", 1, &n, scale);
    layer.tensors[1] = add_tensor(net, name, "shift", 1, &n, shift);
    add_layer(net, &layer, n);
    return true;
}

/* Of the first `n_scaled` numbers. A gain of 1 is no layer. */
static bool add_gain(struct audio_net *net, const char *name, float gain, uint32_t n_scaled)
{
    float *scale;
    bool good;
    if (gain == 1)
        return true;
    scale = calloc(net->n_current, sizeof *scale);
    if (!scale)
        return import_fail(net->file->error, "%s: out of memory", name);
    for (uint32_t i = 0; i < net->n_current; i++)
        scale[i] = i < n_scaled ? gain : 1;
    good = audio_add_scale(net, name, scale, NULL);
    free(scale);
    return good;
}

bool audio_add_input_gain(struct audio_net *net, float gain)
{
    bool good = add_gain(net, "in_gain", gain, 1);
    net->dry = net->current;
    return good;
}

bool audio_add_output_gain(struct audio_net *net, float gain)
{
    return add_gain(net, "out_gain", gain, net->n_current);
}

bool audio_add_skip(struct audio_net *net, uint32_t count)
{
    struct model_layer_spec slice = {.type = MODEL_SLICE, .name = "skip_input", .n_inputs = 1};
    struct model_layer_spec add = {.type = MODEL_ADD, .name = "skip", .n_inputs = 2};
    const uint32_t n_wet = net->n_current;
    add.inputs[0] = net->current;
    add.inputs[1] = net->dry;
    if (count > net->n_inputs || (count != 1 && count != n_wet))
        return import_fail(net->file->error, "a skip connection of %u inputs does not fit %u inputs and %u "
                           "outputs", count, net->n_inputs, n_wet);
    if (count < net->n_inputs) {
        slice.inputs[0] = net->dry;
        slice.params[2] = count;
        slice.params[3] = 1;
        add_layer(net, &slice, count);
        add.inputs[1] = net->current;
    }
    add_layer(net, &add, n_wet);
    return true;
}

/* ---- metadata ------------------------------------------------------------ */

enum { MAX_ENTRIES = 256, MAX_VALUE_BYTES = 4096, KEY_BYTES = 200, NUMBER_BYTES = 40 };

/* Keys of FORMAT.md that programs obey or lstmconvert writes itself. */
static bool is_taken(const char *key)
{
    static const char *const keys[] = {
        "source",  "source_sha256", "converter",     "sample_rate",    "frame_samples",
        "task",    "labels",        "input_names",   "prewarm_steps",  "loudness_db",
        "input_level_dbu", "output_level_dbu"};
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++)
        if (strcmp(keys[i], key) == 0)
            return true;
    return false;
}

static void number_text(const json_t *value, char text[NUMBER_BYTES])
{
    if (json_is_integer(value))
        snprintf(text, NUMBER_BYTES, "%" JSON_INTEGER_FORMAT, json_integer_value(value));
    else
        snprintf(text, NUMBER_BYTES, "%.9g", json_real_value(value));
}

struct metadata {
    const struct audio_net *net;
    const char *place;
    const struct audio_key *renamed;
    size_t n_entries;
};

/* NULL: not to be kept. */
static const char *our_name(const struct metadata *metadata, const char *key, char text[KEY_BYTES])
{
    for (const struct audio_key *row = metadata->renamed; row->theirs; row++)
        if (strcmp(row->theirs, key) == 0)
            return row->ours;
    snprintf(text, KEY_BYTES, "%s%s", is_taken(key) ? "original_" : "", key);
    return text;
}

static bool set_entry(struct metadata *metadata, const char *key, const char *value)
{
    struct import_error *error = metadata->net->file->error;
    char text[KEY_BYTES];
    const char *name = our_name(metadata, key, text);
    if (metadata->n_entries++ == MAX_ENTRIES)
        return import_fail(error, "%s: more than %d entries", metadata->place, MAX_ENTRIES);
    if (!*key || !spec_clean_text(key, false))
        return import_fail(error, "%s: a key is empty or has control characters", metadata->place);
    if (strlen(value) > MAX_VALUE_BYTES || !spec_clean_text(value, true))
        return import_fail(error, "%s.%s: has more than %d bytes or control characters", metadata->place, key,
                           MAX_VALUE_BYTES);
    if (name)
        model_set_metadata(metadata->net->builder, name, value);
    return true;
}

/* Arrays stay JSON. */
static bool set_array(struct metadata *metadata, const char *key, const json_t *value)
{
    char text[MAX_VALUE_BYTES];
    size_t n = json_dumpb(value, text, sizeof text, JSON_COMPACT);
    if (n >= sizeof text)
        return import_fail(metadata->net->file->error, "%s.%s: an array of more than %d bytes",
                           metadata->place,
                           key, MAX_VALUE_BYTES);
    text[n] = '\0';
    return set_entry(metadata, key, text);
}

static bool set_members(struct metadata *metadata, const json_t *object, const char *prefix);

static bool set_value(struct metadata *metadata, const char *key, const json_t *value)
{
    char number[NUMBER_BYTES];
    switch (json_typeof(value)) {
    case JSON_NULL: return true;
    case JSON_OBJECT: return set_members(metadata, value, key);
    case JSON_ARRAY: return set_array(metadata, key, value);
    case JSON_STRING: return set_entry(metadata, key, json_string_value(value));
    case JSON_TRUE: return set_entry(metadata, key, "true");
    case JSON_FALSE: return set_entry(metadata, key, "false");
    default: number_text(value, number); return set_entry(metadata, key, number);
    }
}

static bool set_members(struct metadata *metadata, const json_t *object, const char *prefix)
{
    const char *key;
    json_t *value;
    json_object_foreach((json_t *)object, key, value) {
        char whole[KEY_BYTES - sizeof "original_"];
        int n = snprintf(whole, sizeof whole, "%s%s%s", prefix, *prefix ? "." : "", key);
        if ((size_t)n >= sizeof whole)
            return import_fail(metadata->net->file->error, "%s: a key has more than %zu bytes",
                               metadata->place, sizeof whole - 1);
        if (!set_value(metadata, whole, value))
            return false;
    }
    return true;
}

bool audio_set_metadata(const struct audio_net *net, const json_t *object, const char *place,
                        const struct audio_key *renamed)
{
    struct metadata metadata = {net, place, renamed, 0};
    return set_members(&metadata, object, "");
}

bool audio_set_rate(const struct audio_net *net, const json_t *value, const char *place, double *rate_out)
{
    const char *text = json_string_value(value);
    char number[NUMBER_BYTES], *end = NULL;
    double rate = text ? strtod(text, &end) : json_number_value(value);
    *rate_out = 0;
    if (!value || json_is_null(value))
        return true;
    if (text ? !*text || *end || strspn(text, "0123456789.eE+-") != strlen(text) : !json_is_number(value))
        return import_fail(net->file->error, "%s: expected a number, or one in a string", place);
    if (!(rate > 0))
        return true;
    if (rate > (double)FLT_MAX)
        return import_fail(net->file->error, "%s: %g, expected samples per second", place, rate);
    snprintf(number, sizeof number, "%.9g", rate);
    model_set_metadata(net->builder, "sample_rate", number);
    *rate_out = rate;
    return true;
}
