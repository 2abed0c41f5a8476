/* SPDX-License-Identifier: MIT
 *
 * Captures of GuitarML's trainers (NeuralPi, Proteus, …): JSON of a PyTorch state_dict, with
 * the sizes of its one stack and one linear layer beside it.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "formats/audio/audio_net.h"
#include "formats/import_rows.h"

/* Not stored in the files, but what the trainers ask their recordings to have. */
static const char usual_rate[] = "44100";

static bool recognise(const uint8_t *bytes, size_t n_bytes)
{
    return audio_json_has_key(bytes, n_bytes, "model_data", false);
}

struct config {
    uint32_t type, n_gates, n_inputs, n_hidden, n_layers, n_outputs, skip;
    bool bias;
};

/* ---- model_data ---------------------------------------------------------- */

static bool read_unit(const struct audio_file *file, const json_t *data, struct config *out)
{
    static const struct {
        const char *name;
        uint32_t type;
    } units[] = {{"LSTM", MODEL_LSTM}, {"GRU", MODEL_GRU}, {"RNN", MODEL_RNN}};
    const char *unit = audio_text(file, data, "model_data", "unit_type");
    for (size_t i = 0; unit && i < sizeof units / sizeof *units; i++) {
        if (strcmp(unit, units[i].name) == 0) {
            out->type = units[i].type;
            out->n_gates = import_gate_count(out->type);
            return true;
        }
    }
    return unit && import_fail(file->error, "model_data.unit_type: '%.60s' is not supported; LSTM, GRU and "
                               "RNN "
                               "are", unit);
}

static bool read_bias(const struct audio_file *file, const json_t *data, bool *out)
{
    const json_t *bias = json_object_get(data, "bias_fl");
    *out = !bias || json_is_true(bias) || json_integer_value(bias) == 1;
    if (!bias || json_is_boolean(bias) || (json_is_integer(bias) && json_integer_value(bias) / 2 == 0))
        return true;
    return import_fail(file->error, "model_data.bias_fl: expected true or false");
}

static bool read_config(const struct audio_file *file, struct config *out)
{
    static const char *const known[] = {"model",     "input_size", "skip",        "output_size", "unit_type",
                                        "num_layers", "hidden_size", "bias_fl", NULL};
    const json_t *data = audio_object(file, file->root, "", "model_data");
    const char *model;
    if (!data || !audio_only_keys(file, data, "model_data", known))
        return false;
    model = audio_text(file, data, "model_data", "model");
    if (!model)
        return false;
    if (strcmp(model, "SimpleRNN") != 0)
        return import_fail(file->error, "model_data.model: '%.60s' is not supported; SimpleRNN is", model);
    if (!read_unit(file, data, out) || !read_bias(file, data, &out->bias) ||
        !audio_count(file, data, "model_data", "input_size", 1, &out->n_inputs) ||
        !audio_count(file, data, "model_data", "hidden_size", 1, &out->n_hidden) ||
        !audio_count(file, data, "model_data", "output_size", 1, &out->n_outputs) ||
        !audio_count_or(file, data, "model_data", "num_layers", 1, &out->n_layers) ||
        !audio_count_or(file, data, "model_data", "skip", 0, &out->skip))
        return false;
    if (out->n_layers == 0 || out->n_layers >= MODEL_MAX_LAYERS / 2)
        return import_fail(file->error, "model_data.num_layers: %u, expected 1 to %d", out->n_layers,
                           MODEL_MAX_LAYERS / 2 - 1);
    return true;
}

/* ---- state_dict ---------------------------------------------------------- */

enum { W_IH, W_HH, B_IH, B_HH, ROLES, NAME_BYTES = 40, PLACE_BYTES = 60 };

/* A tensor of the state_dict, of rank 1 if dims[1] is 0. */
static float *tensor(const struct audio_net *net, const char *name, const uint32_t dims[2])
{
    char place[PLACE_BYTES];
    const json_t *value = json_object_get(json_object_get(net->file->root, "state_dict"), name);
    snprintf(place, sizeof place, "state_dict.%s", name);
    if (!value) {
        import_fail(net->file->error, "%s: is not there", place);
        return NULL;
    }
    return audio_numbers(net->file, value, place, dims[1] ? 2 : 1, dims);
}

static bool read_cell(const struct audio_net *net, const struct config *config, uint32_t layer,
                      float *tensors[ROLES])
{
    static const char *const roles[ROLES] = {"weight_ih", "weight_hh", "bias_ih", "bias_hh"};
    const uint64_t rows = (uint64_t)config->n_gates * config->n_hidden;
    const uint32_t columns[ROLES] = {net->n_current, config->n_hidden, 0, 0};
    if (rows > MODEL_MAX_DIM)
        return import_fail(net->file->error, "model_data.hidden_size: %u is too large", config->n_hidden);
    for (int role = 0; role < ROLES; role++) {
        char name[NAME_BYTES];
        snprintf(name, sizeof name, "rec.%s_l%u", roles[role], layer);
        tensors[role] = tensor(net, name, (const uint32_t[]){(uint32_t)rows, columns[role]});
        if (!tensors[role])
            return false;
    }
    return true;
}

static bool add_layer(struct audio_net *net, const struct config *config, uint32_t layer)
{
    float *tensors[ROLES] = {NULL};
    char name[NAME_BYTES];
    bool good = read_cell(net, config, layer, tensors);
    struct import_cell cell = {
        .name = name, .type = config->type, .hidden = config->n_hidden, .input = net->n_current,
        .recurrent = config->n_hidden, .reset_after = config->type == MODEL_GRU, .order = import_order_torch,
        .w_input = tensors[W_IH], .w_recurrent = tensors[W_HH], .bias_input = tensors[B_IH],
        .bias_recurrent = tensors[B_HH]};
    snprintf(name, sizeof name, "rec%u", layer);
    good = good && audio_add_cell(net, &cell);
    for (int role = 0; role < ROLES; role++)
        free(tensors[role]);
    return good;
}

static bool add_linear(struct audio_net *net, const struct config *config)
{
    float *weight = tensor(net, "lin.weight", (const uint32_t[]){config->n_outputs, config->n_hidden});
    float *bias = NULL;
    bool good = weight != NULL;
    if (good && config->bias) {
        bias = tensor(net, "lin.bias", (const uint32_t[]){config->n_outputs, 0});
        good = bias != NULL;
    }
    good = good && audio_add_dense(net, "lin", config->n_outputs, weight, bias);
    free(weight);
    free(bias);
    return good;
}

/* All that the network needs has been found, so that anything more has another meaning. */
static bool check_count(const struct audio_net *net, const struct config *config)
{
    const size_t expected = (size_t)ROLES * config->n_layers + 1 + config->bias;
    const char *key;
    json_t *value, *dict = json_object_get(net->file->root, "state_dict");
    if (json_object_size(dict) == expected)
        return true;
    json_object_foreach(dict, key, value) {
        char last[NAME_BYTES];
        uint32_t layer = 0;
        snprintf(last, sizeof last, "_l%u", layer);
        while (layer < config->n_layers && !strstr(key, last))
            snprintf(last, sizeof last, "_l%u", ++layer);
        if (layer == config->n_layers && strcmp(key, "lin.weight") != 0 &&
            !(config->bias && strcmp(key, "lin.bias") == 0))
            return import_fail(net->file->error, "state_dict.%.60s: a network of this kind has no such "
                               "tensor",
                               key);
    }
    return import_fail(net->file->error, "state_dict: %zu tensors, expected %zu", json_object_size(dict),
                       expected);
}

static bool build(const struct audio_file *file, struct model_builder *builder)
{
    static const char *const known[] = {"model_data", "state_dict", NULL};
    struct config config = {0};
    struct audio_net net;
    if (!audio_only_keys(file, file->root, "", known) || !read_config(file, &config) ||
        !audio_object(file, file->root, "", "state_dict"))
        return false;
    audio_net_begin(&net, file, builder, config.n_inputs);
    for (uint32_t layer = 0; layer < config.n_layers; layer++)
        if (!add_layer(&net, &config, layer))
            return false;
    if (!add_linear(&net, &config) || !check_count(&net, &config) ||
        (config.skip && !audio_add_skip(&net, config.skip)))
        return false;
    model_set_metadata(builder, "sample_rate", usual_rate);
    import_note(file->source, "the sample rate is taken to be %s, as such files do not say it", usual_rate);
    return true;
}

static bool import(const struct import_source *source, struct model_builder *builder,
                   struct import_error *error)
{
    return audio_import(source, builder, error, build);
}

const struct importer importer_guitarml = {
    .name = "guitarml", .uses_spec = false, .recognise = recognise, .import = import,
};
