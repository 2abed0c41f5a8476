/* SPDX-License-Identifier: MIT
 *
 * Reading a Keras layer's configuration: typed keys, activations, and sentences that name
 * the layer. See keras_internal.h.
 */
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "formats/import_common.h"
#include "formats/keras/keras_internal.h"
#include "formats/utf8.h"

/* ---- sentences ----------------------------------------------------------- */

/* "layer 'lstm_1' (LSTM): " */
static void say_where(const struct keras_layer *layer, char *text, size_t n)
{
    char name[81], class_name[61];
    text[0] = '\0';
    if (!layer)
        return;
    snprintf(name, sizeof name, "%s", layer->name);
    snprintf(class_name, sizeof class_name, "%s", layer->class_name);
    utf8_trim(name);
    utf8_trim(class_name);
    snprintf(text, n, "layer '%s' (%s): ", name, class_name);
}

bool keras_fail(const struct keras_work *work, const struct keras_layer *layer, const char *format, ...)
{
    char where[180], why[400];
    va_list args;
    va_start(args, format);
    vsnprintf(why, sizeof why, format, args);
    va_end(args);
    say_where(layer, where, sizeof where);
    return import_fail(work->error, "%s%s", where, why);
}

bool keras_out_of_memory(const struct keras_work *work)
{
    return import_fail(work->error, "out of memory");
}

void keras_note(const struct keras_work *work, const struct keras_layer *layer, const char *format, ...)
{
    char where[180], what[300];
    va_list args;
    va_start(args, format);
    vsnprintf(what, sizeof what, format, args);
    va_end(args);
    say_where(layer, where, sizeof where);
    import_note(work->source, "%s%s", where, what);
}

/* ---- keys ---------------------------------------------------------------- */

static const json_t *get(const json_t *config, const char *key)
{
    const json_t *value = json_object_get(config, key);
    return json_is_null(value) ? NULL : value;
}

bool keras_has(const json_t *config, const char *key)
{
    return get(config, key) != NULL;
}

bool keras_is_on(const json_t *config, const char *key, bool otherwise)
{
    const json_t *value = get(config, key);
    return value ? json_is_true(value) : otherwise;
}

bool keras_flag(const struct keras_work *work, const struct keras_layer *layer, const char *key,
                bool otherwise,
                bool *out)
{
    const json_t *value = get(layer->config, key);
    *out = value ? json_is_true(value) : otherwise;
    if (value && !json_is_boolean(value))
        return keras_fail(work, layer, "\"%s\" is no true or false", key);
    return true;
}

bool keras_number(const struct keras_work *work, const struct keras_layer *layer, const char *key,
                  double otherwise, double *out)
{
    const json_t *value = get(layer->config, key);
    *out = value ? json_number_value(value) : otherwise;
    if ((value && !json_is_number(value)) || !isfinite((float)*out))
        return keras_fail(work, layer, "\"%s\" is no number that fits into an f32", key);
    return true;
}

bool keras_count(const struct keras_work *work, const struct keras_layer *layer, const char *key,
                 uint32_t *out)
{
    const json_t *value = get(layer->config, key);
    json_int_t number = json_integer_value(value);
    if (!json_is_integer(value) || number < 1 || number > MODEL_MAX_DIM)
        return keras_fail(work, layer, "\"%s\" is no whole number from 1 to %d", key, MODEL_MAX_DIM);
    *out = (uint32_t)number;
    return true;
}

bool keras_one_of_list(const struct keras_work *work, const struct keras_layer *layer, const char *key,
                       uint32_t otherwise, uint32_t *out)
{
    const json_t *value = get(layer->config, key);
    json_int_t number;
    *out = otherwise;
    if (!value)
        return true;
    if (json_is_array(value) && json_array_size(value) == 1)
        value = json_array_get(value, 0);
    number = json_integer_value(value);
    if (!json_is_integer(value) || number < 1 || number > MODEL_MAX_DIM)
        return keras_fail(work, layer, "\"%s\" is no whole number from 1 to %d", key, MODEL_MAX_DIM);
    *out = (uint32_t)number;
    return true;
}

bool keras_only(const struct keras_work *work, const struct keras_layer *layer, const char *key,
                const char *word)
{
    const json_t *value = get(layer->config, key);
    const char *text = json_string_value(value);
    if (!value || json_is_false(value) || (text && word && strcmp(text, word) == 0))
        return true;
    if (text)
        return keras_fail(work, layer, "\"%s\" is \"%.60s\", supported is %s", key, text,
                          word ? word : "false");
    return keras_fail(work, layer, "\"%s\" is given, which is not supported", key);
}

bool keras_last_axis(const struct keras_work *work, const struct keras_layer *layer,
                     const struct keras_tensor *in, const char *key)
{
    const json_t *value = get(layer->config, key);
    struct model_value frame = keras_frame(work, in->value);
    json_int_t last = (json_int_t)frame.rank + (in->has_time ? 1 : 0), axis;
    if (json_is_array(value) && json_array_size(value) == 1)
        value = json_array_get(value, 0);
    axis = json_integer_value(value);
    if (value && (!json_is_integer(value) || (axis != -1 && axis != last)))
        return keras_fail(work, layer, "\"%s\" is not the last axis (-1 or %d), the only one supported", key,
                          (int)last);
    return true;
}

/* ---- activations --------------------------------------------------------- */

struct activation_row {
    const char *name;
    struct keras_activation what;
};

/* hard_sigmoid depends on the version. */
static const struct activation_row activation_rows[] = {
    {"linear", {.code = MODEL_ACT_IDENTITY, .gain = 1}},
    {"sigmoid", {.code = MODEL_ACT_SIGMOID, .gain = 1}},
    {"tanh", {.code = MODEL_ACT_TANH, .gain = 1}},
    {"relu", {.code = MODEL_ACT_RELU, .gain = 1}},
    {"softplus", {.code = MODEL_ACT_SOFTPLUS, .gain = 1}},
    {"softsign", {.code = MODEL_ACT_SOFTSIGN, .gain = 1}},
    {"elu", {.code = MODEL_ACT_ELU, .alpha = 1, .gain = 1}},
    {"celu", {.code = MODEL_ACT_ELU, .alpha = 1, .gain = 1}},
    {"selu", {.code = MODEL_ACT_ELU, .alpha = 1.67326324235437728f, .gain = 1.05070098735548049f}},
    {"leaky_relu", {.code = MODEL_ACT_LEAKY_RELU, .alpha = 0.2f, .gain = 1}},
    {"relu6", {.code = MODEL_ACT_HARD_SIGMOID, .alpha = 1.0f / 6, .gain = 6}},
    {"hard_tanh", {.code = MODEL_ACT_HARD_SIGMOID, .alpha = 0.5f, .beta = 0.5f, .gain = 2, .offset = -1}},
    {"silu", {.code = MODEL_ACT_SIGMOID, .gain = 1, .times_x = true}},
    {"swish", {.code = MODEL_ACT_SIGMOID, .gain = 1, .times_x = true}},
    {"hard_silu",
     {.code = MODEL_ACT_HARD_SIGMOID, .alpha = 1.0f / 6, .beta = 0.5f, .gain = 1, .times_x = true}},
    {"hard_swish",
     {.code = MODEL_ACT_HARD_SIGMOID, .alpha = 1.0f / 6, .beta = 0.5f, .gain = 1, .times_x = true}},
    {"softmax", {.code = MODEL_ACT_IDENTITY, .gain = 1, .softmax = true}},
};

/* Keras 2: clip(0.2 x + 0.5), Keras 3: clip(x / 6 + 0.5). */
static bool hard_sigmoid(const struct keras_work *work, const struct keras_layer *layer,
                         struct keras_activation *out)
{
    if (!work->major)
        return keras_fail(work, layer, "hard_sigmoid differs between Keras 2 and 3, and which of them wrote "
                          "this is not in the file; add \"keras_version\" to the JSON of --spec");
    *out = (struct keras_activation){.code = MODEL_ACT_HARD_SIGMOID,
                                     .alpha = work->major >= 3 ? 1.0f / 6 : 0.2f,
                                     .beta = 0.5f, .gain = 1};
    return true;
}

static bool activation_by_name(const struct keras_work *work, const struct keras_layer *layer,
                               const char *key,
                               const char *name, struct keras_activation *out)
{
    if (strcmp(name, "hard_sigmoid") == 0)
        return hard_sigmoid(work, layer, out);
    for (size_t i = 0; i < sizeof activation_rows / sizeof *activation_rows; i++) {
        if (strcmp(activation_rows[i].name, name) == 0) {
            *out = activation_rows[i].what;
            return true;
        }
    }
    return keras_fail(work, layer, "the activation \"%.60s\" (\"%s\") is not supported", name, key);
}

bool keras_is_plain(const struct keras_activation *activation)
{
    return activation->gain == 1 && activation->offset == 0 && !activation->times_x && !activation->softmax;
}

/* max(x, 0) and its relatives: "max_value", "negative_slope", "threshold". */
static bool relu_of_layer(const struct keras_work *work, const struct keras_layer *layer,
                          struct keras_activation *out)
{
    double most, slope, threshold;
    bool bounded = keras_has(layer->config, "max_value");
    if (!keras_number(work, layer, "max_value", 0, &most) ||
        !keras_number(work, layer, "negative_slope", 0, &slope) ||
        !keras_number(work, layer, "threshold", 0, &threshold))
        return false;
    if ((bounded && (slope != 0 || threshold != 0 || most <= 0)) || (slope != 0 && threshold != 0))
        return keras_fail(work, layer, "max_value %g, negative_slope %g and threshold %g together are not "
                          "supported", most, slope, threshold);
    if (bounded)
        *out = (struct keras_activation){.code = MODEL_ACT_HARD_SIGMOID, .alpha = (float)(1 / most),
                                         .gain = (float)most};
    else if (slope != 0)
        *out = (struct keras_activation){.code = MODEL_ACT_LEAKY_RELU, .alpha = (float)slope, .gain = 1};
    else if (threshold != 0)
        *out = (struct keras_activation){.code = MODEL_ACT_THRESHOLDED_RELU, .alpha = (float)threshold,
                                         .gain = 1};
    else
        *out = (struct keras_activation){.code = MODEL_ACT_RELU, .gain = 1};
    return isfinite(out->alpha) || keras_fail(work, layer, "max_value %g is too small", most);
}

/* A class with one number under one of two keys. */
static bool one_number(const struct keras_work *work, const struct keras_layer *layer, const char *key,
                       const char *old_key, double otherwise, uint32_t code, struct keras_activation *out)
{
    double number;
    if (!keras_number(work, layer, keras_has(layer->config, key) ? key : old_key, otherwise, &number))
        return false;
    *out = (struct keras_activation){.code = code, .alpha = (float)number, .gain = 1};
    return true;
}

bool keras_activation_of_class(const struct keras_work *work, const struct keras_layer *layer,
                               struct keras_activation *out, bool *known_out)
{
    const char *name = layer->class_name;
    *known_out = true;
    if (strcmp(name, "Activation") == 0)
        return keras_activation(work, layer, "activation", "linear", out);
    if (strcmp(name, "ReLU") == 0)
        return relu_of_layer(work, layer, out);
    if (strcmp(name, "LeakyReLU") == 0)
        return one_number(work, layer, "negative_slope", "alpha", 0.3, MODEL_ACT_LEAKY_RELU, out);
    if (strcmp(name, "ELU") == 0)
        return one_number(work, layer, "alpha", "alpha", 1, MODEL_ACT_ELU, out);
    if (strcmp(name, "ThresholdedReLU") == 0)
        return one_number(work, layer, "theta", "theta", 1, MODEL_ACT_THRESHOLDED_RELU, out);
    if (strcmp(name, "Softmax") == 0)
        return activation_by_name(work, layer, "class_name", "softmax", out);
    *known_out = false;
    return true;
}

/* {"class_name": "function", "config": "relu"} or a whole layer. */
static bool activation_object(const struct keras_work *work, const struct keras_layer *layer, const char *key,
                              const json_t *object, struct keras_activation *out)
{
    const char *class_name = json_string_value(json_object_get(object, "class_name"));
    const json_t *config = json_object_get(object, "config");
    bool known = false;
    if (class_name && json_is_object(config) && strcmp(class_name, "Activation") != 0) {
        struct keras_layer inner = *layer;
        inner.class_name = class_name;
        inner.config = config;
        if (strcmp(class_name, "Softmax") == 0 && keras_has(config, "axis") &&
            json_integer_value(json_object_get(config, "axis")) != -1)
            return keras_fail(work, layer, "\"%s\" is a softmax over another axis than the last", key);
        if (!keras_activation_of_class(work, &inner, out, &known))
            return false;
    } else if (class_name && json_is_string(config) && strcmp(class_name, "function") == 0) {
        return activation_by_name(work, layer, key, json_string_value(config), out);
    }
    return known || keras_fail(work, layer,
                               "the activation \"%s\" is of class %.60s, which is not supported", key,
                               class_name ? class_name : "(none)");
}

bool keras_activation(const struct keras_work *work, const struct keras_layer *layer, const char *key,
                      const char *otherwise, struct keras_activation *out)
{
    const json_t *value = json_object_get(layer->config, key);
    *out = (struct keras_activation){.gain = 1};
    if (!value)
        return activation_by_name(work, layer, key, otherwise, out);
    if (json_is_null(value))
        return true;
    if (json_is_object(value))
        return activation_object(work, layer, key, value, out);
    if (!json_is_string(value))
        return keras_fail(work, layer, "\"%s\" is no name of an activation", key);
    return activation_by_name(work, layer, key, json_string_value(value), out);
}
