/* SPDX-License-Identifier: MIT
 *
 * Captures of the Neural Amp Modeler (.nam) with the LSTM architecture: one flat list of
 * weights, whose meaning follows from the sizes in "config".
 */
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "formats/audio/audio_net.h"
#include "formats/import_rows.h"

enum {
    NEWEST_MINOR = 7, NEWEST_PATCH = 0, OLDEST_MINOR = 5, /* file versions 0.5.0 to 0.7.0 */
    MAX_SIZE = 1 << 20,                                   /* keeps the count of weights below 2^63 */
};
static const double prewarm_seconds = 0.5; /* what the player runs before the first sample */

static const struct audio_key renamed[] = {
    {"modeled_by", "author"},
    {"loudness", "loudness_db"},
    {"input_level_dbu", "input_level_dbu"},
    {"output_level_dbu", "output_level_dbu"},
    {"training.validation_esr", "esr"},
    {NULL, NULL}};

static bool recognise(const uint8_t *bytes, size_t n_bytes)
{
    return audio_json_has_key(bytes, n_bytes, "architecture", false);
}

/* ---- what the file says of itself ---------------------------------------- */

/* As the player has it: later patches are read with a warning, other versions are not. */
static bool check_version(const struct audio_file *file)
{
    const char *version = audio_text(file, file->root, "", "version");
    unsigned major, minor, patch;
    char rest;
    if (!version)
        return false;
    if (sscanf(version, "%9u.%9u.%9u%c", &major, &minor, &patch, &rest) != 3)
        return import_fail(file->error, "version: '%.40s', expected three numbers like 0.5.4", version);
    if (major != 0 || minor < OLDEST_MINOR || minor > NEWEST_MINOR)
        return import_fail(file->error, "version: %u.%u.%u; 0.%d.0 to 0.%d.%d are supported", major, minor,
                           patch, OLDEST_MINOR, NEWEST_MINOR, NEWEST_PATCH);
    if (minor == NEWEST_MINOR && patch > NEWEST_PATCH)
        import_note(file->source, "version %u.%u.%u is newer than those known (up to 0.%d.%d)", major, minor,
                    patch, NEWEST_MINOR, NEWEST_PATCH);
    return true;
}

static bool check_architecture(const struct audio_file *file)
{
    const char *architecture = audio_text(file, file->root, "", "architecture");
    if (!architecture)
        return false;
    return strcmp(architecture, "LSTM") == 0 ||
           import_fail(file->error, "architecture: '%.60s' is not supported; LSTM is", architecture);
}

struct config {
    uint32_t n_inputs, n_hidden, n_layers, n_outputs;
};

static bool read_config(const struct audio_file *file, struct config *out)
{
    static const char *const known[] = {"input_size", "hidden_size", "num_layers", "in_channels",
                                        "out_channels",
                                        NULL};
    const json_t *config = audio_object(file, file->root, "", "config");
    uint32_t n_channels;
    if (!config || !audio_only_keys(file, config, "config", known) ||
        !audio_count(file, config, "config", "input_size", 1, &out->n_inputs) ||
        !audio_count(file, config, "config", "hidden_size", 1, &out->n_hidden) ||
        !audio_count(file, config, "config", "num_layers", 1, &out->n_layers) ||
        !audio_count_or(file, config, "config", "in_channels", out->n_inputs, &n_channels) ||
        !audio_count_or(file, config, "config", "out_channels", 1, &out->n_outputs))
        return false;
    if (n_channels != out->n_inputs)
        return import_fail(file->error, "config.in_channels: %u, expected the %u of input_size", n_channels,
                           out->n_inputs);
    if (out->n_outputs == 0)
        return import_fail(file->error, "config.out_channels: 0, expected 1 or more");
    if (out->n_layers >= MODEL_MAX_LAYERS || out->n_hidden > MAX_SIZE || out->n_inputs > MAX_SIZE)
        return import_fail(file->error, "config: %u layers of %u units with %u inputs are too many",
                           out->n_layers, out->n_hidden, out->n_inputs);
    return true;
}

static uint32_t layer_inputs(const struct config *config, uint32_t layer)
{
    return layer ? config->n_hidden : config->n_inputs;
}

/* Matrix, bias, h and c before the first sample. */
static uint64_t count_of_layer(const struct config *config, uint32_t layer)
{
    uint64_t H = config->n_hidden;
    return 4 * H * (layer_inputs(config, layer) + H) + 4 * H + 2 * H;
}

static uint64_t count_of_all(const struct config *config)
{
    uint64_t deeper = config->n_layers - 1;
    return count_of_layer(config, 0) + deeper * count_of_layer(config, 1) +
           (uint64_t)config->n_outputs * (config->n_hidden + (uint64_t)1);
}

static float *read_weights(const struct audio_file *file, const struct config *config)
{
    const json_t *weights = audio_array(file, file->root, "", "weights");
    uint64_t count = count_of_all(config);
    if (!weights)
        return NULL;
    if (json_array_size(weights) != count) {
        import_fail(file->error, "weights: %zu numbers; %u layer%s of %u units with %u input%s and %u "
                    "output%s "
                    "have %" PRIu64, json_array_size(weights), config->n_layers,
                    config->n_layers == 1 ? "" : "s", config->n_hidden, config->n_inputs,
                    config->n_inputs == 1 ? "" : "s", config->n_outputs, config->n_outputs == 1 ? "" : "s",
                    count);
        return NULL;
    }
    return audio_numbers(file, weights, "weights", 1, (const uint32_t[]){(uint32_t)count});
}

/* ---- layers -------------------------------------------------------------- */

/* Columns of x, then of h, into matrices of their own. */
static void split_columns(const float *joined, uint32_t n_rows, uint32_t n_x, uint32_t n_h, float *x,
                          float *h)
{
    for (uint32_t row = 0; row < n_rows; row++) {
        memcpy(x + (size_t)row * n_x, joined, n_x * sizeof *x);
        memcpy(h + (size_t)row * n_h, joined + n_x, n_h * sizeof *h);
        joined += n_x + n_h;
    }
}

static bool all_zero(const float *numbers, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++)
        if (numbers[i] != 0)
            return false;
    return true;
}

static bool add_layer(struct audio_net *net, const struct config *config, uint32_t layer,
                      const float *weights)
{
    const uint32_t H = config->n_hidden, I = layer_inputs(config, layer);
    const float *bias = weights + (size_t)4 * H * (I + H), *h0 = bias + (size_t)4 * H, *c0 = h0 + H;
    float *w_x = calloc((size_t)4 * H * I, sizeof *w_x), *w_h = calloc((size_t)4 * H * H, sizeof *w_h);
    char name[32];
    struct import_cell cell = {
        .name = name, .type = MODEL_LSTM, .hidden = H, .input = I, .recurrent = H,
        .order = import_order_torch,
        .w_input = w_x, .w_recurrent = w_h, .bias_input = bias,
        .h0 = all_zero(h0, H) ? NULL : h0, .c0 = all_zero(c0, H) ? NULL : c0};
    bool good = (w_x && w_h) || import_fail(net->file->error, "out of memory");
    snprintf(name, sizeof name, "lstm%u", layer);
    if (good) {
        split_columns(weights, 4 * H, I, H, w_x, w_h);
        good = audio_add_cell(net, &cell);
    }
    free(w_x);
    free(w_h);
    return good;
}

static bool add_layers(struct audio_net *net, const struct config *config, const float *weights)
{
    for (uint32_t layer = 0; layer < config->n_layers; layer++) {
        if (!add_layer(net, config, layer, weights))
            return false;
        weights += count_of_layer(config, layer);
    }
    return audio_add_dense(net, "head", config->n_outputs, weights,
                           weights + (size_t)config->n_outputs * config->n_hidden);
}

/* ---- metadata ------------------------------------------------------------ */

static bool set_rate(const struct audio_net *net)
{
    double rate;
    char steps[40];
    if (!audio_set_rate(net, json_object_get(net->file->root, "sample_rate"), "sample_rate", &rate))
        return false;
    if (rate == 0) {
        import_note(net->file->source, "the sample rate is not known; captures have 48000 as a rule: --set "
                    "sample_rate=48000");
        return true;
    }
    snprintf(steps, sizeof steps, "%.0f", floor(prewarm_seconds * rate));
    model_set_metadata(net->builder, "prewarm_steps", steps);
    return true;
}

static bool set_metadata(const struct audio_net *net)
{
    const json_t *metadata = json_object_get(net->file->root, "metadata");
    model_set_metadata(net->builder, "nam_version",
                       json_string_value(json_object_get(net->file->root, "version")));
    if (metadata && !json_is_null(metadata)) {
        metadata = audio_object(net->file, net->file->root, "", "metadata");
        if (!metadata || !audio_set_metadata(net, metadata, "metadata", renamed))
            return false;
    }
    return set_rate(net);
}

static bool build(const struct audio_file *file, struct model_builder *builder)
{
    static const char *const known[] = {"version", "metadata", "architecture", "config", "weights",
                                        "sample_rate",
                                        NULL};
    struct config config;
    struct audio_net net;
    float *weights;
    bool good;
    if (!check_version(file) || !check_architecture(file) || !audio_only_keys(file, file->root, "", known) ||
        !read_config(file, &config))
        return false;
    weights = read_weights(file, &config);
    if (!weights)
        return false;
    audio_net_begin(&net, file, builder, config.n_inputs);
    good = add_layers(&net, &config, weights) && set_metadata(&net);
    free(weights);
    return good;
}

static bool import(const struct import_source *source, struct model_builder *builder,
                   struct import_error *error)
{
    return audio_import(source, builder, error, build);
}

const struct importer importer_nam = {
    .name = "nam", .uses_spec = false, .recognise = recognise, .import = import,
};
