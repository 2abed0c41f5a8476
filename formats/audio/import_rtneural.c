/* SPDX-License-Identifier: MIT
 *
 * RTNeural's JSON of a Keras Sequential model, with what AIDA-X adds to it: gains, a skip
 * connection, metadata and a pair of test vectors.
 */
#include <float.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "formats/audio/audio_net.h"
#include "formats/import_rows.h"

enum { PLACE_BYTES = 60 };

static bool recognise(const uint8_t *bytes, size_t n_bytes)
{
    return audio_json_has_key(bytes, n_bytes, "layers", false) ||
           audio_json_has_key(bytes, n_bytes, "in_shape", false);
}

/* ---- reading a layer ----------------------------------------------------- */

/* A layer of the file on its way into the net. */
struct entry {
    struct audio_net *net;
    const json_t *object;
    const char *place; /* "layers[2]" */
    const char *name;  /* in the model */
    const json_t *weights;
    uint32_t n_outputs;
};

/* The last number of an array of any length, as Keras has shapes, or the number itself. */
static bool last_number(const struct audio_file *file, const json_t *object, const char *place,
                        const char *key,
                        uint32_t *out)
{
    const json_t *value = json_object_get(object, key);
    const json_t *last = json_is_array(value) ? json_array_get(value, json_array_size(value) - 1) : value;
    json_int_t number = json_integer_value(last);
    if (!json_is_integer(last) || number < 1 || number > MODEL_MAX_DIM)
        return import_fail(file->error, "%s%s%s: expected a whole number from 1 to %d, alone or last in an "
                           "array",
                           place, *place ? "." : "", key, MODEL_MAX_DIM);
    *out = (uint32_t)number;
    return true;
}

static bool count_weights(const struct entry *entry, size_t expected)
{
    size_t n = json_array_size(entry->weights);
    return n == expected || import_fail(entry->net->file->error, "%s.weights: %zu arrays, expected %zu",
                                        entry->place, n, expected);
}

/* Array `index` of "weights"; unused dimensions are 0. The caller frees. */
static float *weights(const struct entry *entry, size_t index, const uint32_t dims[3])
{
    char place[PLACE_BYTES];
    uint32_t rank = dims[2] ? 3 : dims[1] ? 2 : 1;
    snprintf(place, sizeof place, "%s.weights[%zu]", entry->place, index);
    return audio_numbers(entry->net->file, json_array_get(entry->weights, index), place, rank, dims);
}

/* [rows][columns] to [columns][rows]; frees `numbers`. NULL stays NULL. */
static float *transposed(const struct entry *entry, float *numbers, uint32_t rows, uint32_t columns)
{
    float *out;
    if (!numbers)
        return NULL;
    out = calloc((size_t)rows * columns, sizeof *out);
    if (!out)
        import_fail(entry->net->file->error, "%s: out of memory", entry->place);
    for (size_t row = 0; out && row < rows; row++)
        for (size_t column = 0; column < columns; column++)
            out[column * rows + row] = numbers[row * columns + column];
    free(numbers);
    return out;
}

/* ---- activations --------------------------------------------------------- */

/* What RTNeural knows; softmax is a layer of its own. */
static bool add_activation(const struct entry *entry)
{
    static const struct {
        const char *name;
        uint32_t type, activation;
        float alpha;
    } rows[] = {{"tanh", MODEL_ACTIVATION, MODEL_ACT_TANH, 0},
                {"relu", MODEL_ACTIVATION, MODEL_ACT_RELU, 0},
                {"sigmoid", MODEL_ACTIVATION, MODEL_ACT_SIGMOID, 0},
                {"elu", MODEL_ACTIVATION, MODEL_ACT_ELU, 1},
                {"softmax", MODEL_SOFTMAX, 0, 0}};
    const json_t *value = json_object_get(entry->object, "activation");
    const char *name = json_string_value(value);
    char layer[PLACE_BYTES + 12];
    if (value && !name)
        return import_fail(entry->net->file->error, "%s.activation: expected a string", entry->place);
    if (!name || !*name || strcmp(name, "linear") == 0)
        return true;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        if (strcmp(name, rows[i].name) == 0) {
            snprintf(layer, sizeof layer, "%s_%s", entry->name, rows[i].name);
            audio_add_plain(entry->net, layer, rows[i].type, rows[i].activation, rows[i].alpha);
            return true;
        }
    }
    return import_fail(entry->net->file->error, "%s.activation: '%.60s' is not supported; tanh, relu, "
                       "sigmoid, "
                       "elu and softmax are", entry->place, name);
}

/* Cells always have tanh and sigmoid, whatever the file says, as RTNeural has it. */
static bool ignore_activation(const struct entry *entry)
{
    const char *name = json_string_value(json_object_get(entry->object, "activation"));
    if (name && *name && strcmp(name, "tanh") != 0)
        import_note(entry->net->file->source, "%s.activation: '%.60s' of a cell is passed over, as RTNeural "
                    "does",
                    entry->place, name);
    return true;
}

/* ---- layers -------------------------------------------------------------- */

static bool add_dense(const struct entry *entry)
{
    const uint32_t n = entry->net->n_current, O = entry->n_outputs;
    float *matrix = NULL, *bias = NULL;
    bool good = count_weights(entry, 2);
    if (good)
        matrix = transposed(entry, weights(entry, 0, (const uint32_t[]){n, O, 0}), n, O);
    if (matrix)
        bias = weights(entry, 1, (const uint32_t[]){O, 0, 0});
    good = bias && audio_add_dense(entry->net, entry->name, O, matrix, bias);
    free(matrix);
    free(bias);
    return good && add_activation(entry);
}

/* The two rows of a GRU's bias are those of x and of h. */
static bool add_cell(const struct entry *entry, uint32_t type)
{
    const uint32_t n_gates = import_gate_count(type), H = entry->n_outputs, I = entry->net->n_current;
    const uint64_t wide = (uint64_t)n_gates * H;
    const uint32_t columns = wide <= MODEL_MAX_DIM ? (uint32_t)wide : 0;
    float *w_x = NULL, *w_h = NULL, *bias = NULL;
    bool good = count_weights(entry, 3) &&
                (columns || import_fail(entry->net->file->error, "%s.shape: %u units are too many",
                                        entry->place, H));
    if (good)
        w_x = transposed(entry, weights(entry, 0, (const uint32_t[]){I, columns, 0}), I, columns);
    if (w_x)
        w_h = transposed(entry, weights(entry, 1, (const uint32_t[]){H, columns, 0}), H, columns);
    if (w_h)
        bias = type == MODEL_GRU ? weights(entry, 2, (const uint32_t[]){2, columns, 0})
                                 : weights(entry, 2, (const uint32_t[]){columns, 0, 0});
    if (bias) {
        struct import_cell cell = {
            .name = entry->name, .type = type, .hidden = H, .input = I, .recurrent = H,
            .reset_after = type == MODEL_GRU,
            .order = type == MODEL_GRU ? import_order_onnx_gru : import_order_torch,
            .w_input = w_x, .w_recurrent = w_h, .bias_input = bias,
            .bias_recurrent = type == MODEL_GRU ? bias + columns : NULL};
        good = audio_add_cell(entry->net, &cell) && ignore_activation(entry);
    }
    good = good && bias;
    free(w_x);
    free(w_h);
    free(bias);
    return good;
}

static bool add_lstm(const struct entry *entry)
{
    return add_cell(entry, MODEL_LSTM);
}

static bool add_gru(const struct entry *entry)
{
    return add_cell(entry, MODEL_GRU);
}

/* Keras has [taps][inputs][outputs], the oldest tap first. */
static float *conv_weights(const struct entry *entry, uint32_t n_taps, uint32_t n_in)
{
    float *numbers = weights(entry, 0, (const uint32_t[]){n_taps, n_in, entry->n_outputs});
    return transposed(entry, numbers, n_taps * n_in, entry->n_outputs);
}

static bool read_conv(const struct entry *entry, struct audio_conv *out)
{
    const struct audio_file *file = entry->net->file;
    const char *padding = json_string_value(json_object_get(entry->object, "padding"));
    uint32_t stride = 1;
    if (!last_number(file, entry->object, entry->place, "kernel_size", &out->n_taps) ||
        !last_number(file, entry->object, entry->place, "dilation", &out->dilation) ||
        (json_object_get(entry->object, "groups") &&
         !last_number(file, entry->object, entry->place, "groups", &out->groups)) ||
        (json_object_get(entry->object, "strides") &&
         !last_number(file, entry->object, entry->place, "strides", &stride)))
        return false;
    if (stride != 1)
        return import_fail(file->error, "%s.strides: %u is not supported; 1 is", entry->place, stride);
    if (padding && strcmp(padding, "causal") != 0)
        return import_fail(file->error, "%s.padding: '%.40s' is not supported; causal is", entry->place,
                           padding);
    if (entry->net->n_current % out->groups || out->n_outputs % out->groups)
        return import_fail(file->error, "%s.groups: %u do not divide %u inputs and %u outputs", entry->place,
                           out->groups, entry->net->n_current, out->n_outputs);
    return true;
}

static bool add_conv(const struct entry *entry)
{
    struct audio_conv conv = {.n_outputs = entry->n_outputs, .groups = 1};
    float *matrix = NULL, *bias = NULL;
    bool good = count_weights(entry, 2) && read_conv(entry, &conv);
    if (good)
        matrix = conv_weights(entry, conv.n_taps, entry->net->n_current / conv.groups);
    if (matrix)
        bias = weights(entry, 1, (const uint32_t[]){conv.n_outputs, 0, 0});
    conv.weights = matrix;
    conv.bias = bias;
    good = bias && audio_add_conv(entry->net, entry->name, &conv);
    free(matrix);
    free(bias);
    return good && add_activation(entry);
}

/* gamma, beta, mean, variance; or the last two alone. */
enum { GAMMA, BETA, MEAN, VARIANCE, STATISTICS };

/* (x - mean) / sqrt(variance + epsilon) · gamma + beta as x · scale + shift, each rounded once. */
static bool fold_norm(const struct entry *entry, float *const statistics[STATISTICS], double epsilon)
{
    const uint32_t n = entry->net->n_current;
    float *scale = calloc(n, sizeof *scale), *shift = calloc(n, sizeof *shift);
    bool good = (scale && shift) || import_fail(entry->net->file->error, "%s: out of memory", entry->place);
    for (uint32_t i = 0; good && i < n; i++) {
        double spread = (double)statistics[VARIANCE][i] + epsilon;
        double gamma = statistics[GAMMA] ? (double)statistics[GAMMA][i] : 1;
        double factor = gamma / sqrt(spread);
        double beta = statistics[BETA] ? (double)statistics[BETA][i] : 0;
        if (!(spread > 0))
            good = import_fail(entry->net->file->error, "%s.weights: variance %u and epsilon are %g "
                               "together, "
                               "expected more than 0", entry->place, i, spread);
        scale[i] = (float)factor;
        shift[i] = (float)(beta - (double)statistics[MEAN][i] * factor);
    }
    good = good && audio_add_scale(entry->net, entry->name, scale, shift);
    free(scale);
    free(shift);
    return good;
}

static bool add_norm(const struct entry *entry)
{
    const json_t *epsilon = json_object_get(entry->object, "epsilon");
    const size_t n_arrays = json_array_size(entry->weights), first = n_arrays == 2 ? MEAN : GAMMA;
    float *statistics[STATISTICS] = {NULL};
    bool good = n_arrays == 2 || count_weights(entry, STATISTICS);
    if (good && !(json_is_number(epsilon) && json_number_value(epsilon) >= 0))
        good = import_fail(entry->net->file->error, "%s.epsilon: expected a number from 0 on", entry->place);
    if (good && entry->n_outputs != entry->net->n_current)
        good = import_fail(entry->net->file->error, "%s.shape: %u, expected the %u of the layer before",
                           entry->place, entry->n_outputs, entry->net->n_current);
    for (size_t i = first; good && i < STATISTICS; i++) {
        statistics[i] = weights(entry, i - first, (const uint32_t[]){entry->n_outputs, 0, 0});
        good = statistics[i] != NULL;
    }
    good = good && fold_norm(entry, statistics, json_number_value(epsilon));
    for (size_t i = 0; i < STATISTICS; i++)
        free(statistics[i]);
    return good;
}

static bool add_activation_alone(const struct entry *entry)
{
    if (entry->n_outputs != entry->net->n_current)
        return import_fail(entry->net->file->error, "%s.shape: %u, expected the %u of the layer before",
                           entry->place, entry->n_outputs, entry->net->n_current);
    return count_weights(entry, 0) && add_activation(entry);
}

/* ---- the list of layers -------------------------------------------------- */

struct layer_row {
    const char *type;
    bool (*add)(const struct entry *entry);
    const char *const *keys; /* those that it may have */
};

static const char *const usual_keys[] = {"type", "activation", "shape", "weights", "name", NULL};
static const char *const conv_keys[] = {"type",    "activation", "shape",   "weights", "name", "kernel_size",
                                        "dilation", "groups",     "strides", "padding", NULL};
static const char *const norm_keys[] = {"type", "activation", "shape", "weights", "name", "epsilon", NULL};

static const struct layer_row layer_rows[] = {
    {"dense", add_dense, usual_keys},
    {"time-distributed-dense", add_dense, usual_keys},
    {"lstm", add_lstm, usual_keys},
    {"gru", add_gru, usual_keys},
    {"conv1d", add_conv, conv_keys},
    {"batchnorm", add_norm, norm_keys},
    {"activation", add_activation_alone, usual_keys},
};

static bool add_row(const struct layer_row *row, struct entry *entry)
{
    const struct audio_file *file = entry->net->file;
    if (!audio_only_keys(file, entry->object, entry->place, row->keys) ||
        !last_number(file, entry->object, entry->place, "shape", &entry->n_outputs))
        return false;
    entry->weights = audio_array(file, entry->object, entry->place, "weights");
    return entry->weights && row->add(entry);
}

static bool add_entry(struct audio_net *net, const json_t *object, size_t index)
{
    char place[PLACE_BYTES], name[PLACE_BYTES], list[160] = "";
    struct entry entry = {.net = net, .object = object, .place = place, .name = name};
    const char *type;
    snprintf(place, sizeof place, "layers[%zu]", index);
    if (!json_is_object(object))
        return import_fail(net->file->error, "%s: expected an object", place);
    type = audio_text(net->file, object, place, "type");
    if (!type)
        return false;
    for (size_t i = 0; i < sizeof layer_rows / sizeof *layer_rows; i++) {
        size_t used = strlen(list);
        snprintf(name, sizeof name, "%s%zu", layer_rows[i].type, index);
        if (strcmp(type, layer_rows[i].type) == 0)
            return add_row(&layer_rows[i], &entry);
        snprintf(list + used, sizeof list - used, "%s%s", used ? ", " : "", layer_rows[i].type);
    }
    return import_fail(net->file->error, "%s.type: '%.60s' is not supported; supported are %s", place, type,
                       list);
}

static bool add_layers(struct audio_net *net)
{
    const json_t *layers = audio_array(net->file, net->file->root, "", "layers");
    size_t i;
    json_t *object;
    if (!layers)
        return false;
    if (json_array_size(layers) == 0 || json_array_size(layers) > MODEL_MAX_LAYERS / 2 - 4)
        return import_fail(net->file->error, "layers: %zu, expected 1 to %d", json_array_size(layers),
                           MODEL_MAX_LAYERS / 2 - 4);
    json_array_foreach(layers, i, object)
        if (!add_entry(net, object, i))
            return false;
    return true;
}

/* ---- what AIDA-X adds ---------------------------------------------------- */

/* In dB; its player takes -90 and less for silence. */
static bool read_gain(const struct audio_file *file, const char *key, float *out)
{
    const double silence = -90, loudest = 200;
    const json_t *value = json_object_get(file->root, key);
    double db = json_number_value(value);
    *out = 1;
    if (!value || json_is_null(value))
        return true;
    if (!json_is_number(value) || db > loudest)
        return import_fail(file->error, "%s: expected a number of dB up to %g", key, loudest);
    *out = db > silence ? (float)pow(10, db / 20) : 0;
    return true;
}

static bool read_skip(const struct audio_file *file, uint32_t *out)
{
    if (!audio_count_or(file, file->root, "", "in_skip", 0, out))
        return false;
    return *out <= 1 || import_fail(file->error, "in_skip: %u is not supported; 0 and 1 are", *out);
}

struct player {
    float in_gain, out_gain;
    uint32_t skip;
};

/* Frames of `width` numbers: a flat list, or one of lists of `width`. NULL after a failure. */
static float *read_batch(const struct audio_net *net, const char *key, uint32_t width, uint32_t *n_out)
{
    const json_t *value = audio_array(net->file, net->file->root, "", key);
    size_t n = json_array_size(value);
    bool flat = !json_is_array(json_array_get(value, 0));
    if (!value)
        return NULL;
    if (n == 0 || n > MODEL_MAX_DIM || (flat && n % width)) {
        import_fail(net->file->error, "%s: %zu numbers, expected frames of %u", key, n, width);
        return NULL;
    }
    *n_out = (uint32_t)(flat ? n / width : n);
    return audio_numbers(net->file, value, key, flat ? 1 : 2, (const uint32_t[]){(uint32_t)n, width});
}

/* The vectors are those of the network with its skip connection, without gains: an input is
 * divided by the one and an output multiplied by the other. */
static bool apply_gains(const struct audio_net *net, const struct player *player, uint32_t n_steps,
                        float *input,
                        float *output)
{
    const size_t n_in = (size_t)n_steps * net->n_inputs, n_out = (size_t)n_steps * net->n_current;
    for (size_t i = 0; i < n_in; i += net->n_inputs)
        input[i] /= player->in_gain;
    for (size_t i = 0; i < n_out; i++)
        output[i] *= player->out_gain;
    return import_clean(net->file->source, "input_batch", input, n_in, net->file->error) &&
           import_clean(net->file->source, "output_batch", output, n_out, net->file->error);
}

static bool add_batches(const struct audio_net *net, const struct player *player)
{
    float *input, *output = NULL;
    uint32_t n_in = 0, n_out = 0;
    bool good;
    if (player->in_gain == 0) {
        import_note(net->file->source, "input_batch and output_batch are left out, as in_gain is silence");
        return true;
    }
    input = read_batch(net, "input_batch", net->n_inputs, &n_in);
    if (input)
        output = read_batch(net, "output_batch", net->n_current, &n_out);
    good = input && output;
    if (good && n_in != n_out)
        good = import_fail(net->file->error, "output_batch: %u frames, expected the %u of input_batch", n_out,
                           n_in);
    good = good && apply_gains(net, player, n_in, input, output);
    if (good)
        model_set_reference(net->builder, n_in, input, n_out, output);
    free(input);
    free(output);
    return good;
}

static bool has_batches(const struct audio_net *net)
{
    return json_object_get(net->file->root, "input_batch") ||
           json_object_get(net->file->root, "output_batch");
}

/* ---- metadata ------------------------------------------------------------ */

static const char *const free_keys[] = {"name", "author", "license", "description", "esr", "date", "version",
                                    NULL};

/* Free keys may stand beside "metadata", too. */
static bool set_free_keys(const struct audio_net *net)
{
    static const struct audio_key same[] = {{NULL, NULL}};
    json_t *found = json_object();
    bool good = found || import_fail(net->file->error, "out of memory");
    for (const char *const *key = free_keys; good && *key; key++) {
        json_t *value = json_object_get(net->file->root, *key);
        if (value && json_object_set(found, *key, value))
            good = import_fail(net->file->error, "out of memory");
    }
    good = good && audio_set_metadata(net, found, "top level", same);
    json_decref(found);
    return good;
}

static bool set_metadata(const struct audio_net *net)
{
    static const struct audio_key renamed[] = {
        {"samplerate", NULL}, {"sample_rate", NULL}, {"licence", "license"}, {NULL, NULL}};
    static const char *const rate_keys[] = {"samplerate", "sample_rate"};
    const json_t *root = net->file->root, *metadata = json_object_get(root, "metadata");
    if (metadata && !json_is_null(metadata)) {
        metadata = audio_object(net->file, root, "", "metadata");
        if (!metadata || !audio_set_metadata(net, metadata, "metadata", renamed))
            return false;
    }
    for (int i = 0; i < 2; i++) {
        char place[PLACE_BYTES];
        double rate;
        snprintf(place, sizeof place, "metadata.%s", rate_keys[i]);
        if (!audio_set_rate(net, json_object_get(metadata, rate_keys[i]), place, &rate) ||
            !audio_set_rate(net, json_object_get(root, rate_keys[i]), rate_keys[i], &rate))
            return false;
    }
    return set_free_keys(net);
}

/* ---- the importer -------------------------------------------------------- */

static bool build(const struct audio_file *file, struct model_builder *builder)
{
    static const char *const known[] = {
        "in_shape", "layers", "in_skip", "in_gain", "out_gain", "samplerate", "sample_rate", "metadata",
        "input_batch", "output_batch", "name", "author", "license", "description", "esr", "date", "version",
        NULL};
    struct audio_net net;
    struct player player;
    uint32_t n_inputs;
    if (!audio_only_keys(file, file->root, "", known) ||
        !last_number(file, file->root, "", "in_shape", &n_inputs) || !read_skip(file, &player.skip) ||
        !read_gain(file, "in_gain", &player.in_gain) || !read_gain(file, "out_gain", &player.out_gain))
        return false;
    audio_net_begin(&net, file, builder, n_inputs);
    if (!audio_add_input_gain(&net, player.in_gain) || !add_layers(&net) ||
        (player.skip && !audio_add_skip(&net, 1)) || !audio_add_output_gain(&net, player.out_gain))
        return false;
    return (!has_batches(&net) || add_batches(&net, &player)) && set_metadata(&net);
}

static bool import(const struct import_source *source, struct model_builder *builder,
                   struct import_error *error)
{
    return audio_import(source, builder, error, build);
}

const struct importer importer_rtneural = {
    .name = "rtneural", .uses_spec = false, .recognise = recognise, .import = import,
};
