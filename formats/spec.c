/* SPDX-License-Identifier: MIT
 *
 * The JSON of --spec: a table of its keys and a check against the table.
 */
#include "formats/spec.h"

#include <float.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "formats/import_common.h"
#include "formats/json_text.h"

enum spec_type {
    SPEC_TEXT,       /* string; lines allowed */
    SPEC_NAME,       /* string on one line */
    SPEC_ACTIVATION, /* string that import_activation knows */
    SPEC_WORD,       /* one of `words` */
    SPEC_NUMBER,     /* f32 */
    SPEC_POSITIVE,   /* f32 > 0 */
    SPEC_NOT_NEGATIVE,
    SPEC_COUNT,      /* whole number 0 … 2^24 */
    SPEC_BOOL,
    SPEC_NUMBERS,    /* number or list of them */
    SPEC_COUNTS,     /* SPEC_COUNT or list of them */
    SPEC_NAMES,      /* list of SPEC_NAME */
    SPEC_OBJECT,     /* with the keys `inner` */
    SPEC_MAP,        /* free keys; values as the one row `inner` */
    SPEC_LIST,       /* of values as the one row `inner` */
};

struct spec_key {
    const char *name;
    enum spec_type type;
    const struct spec_key *inner;
    const char *const *words;
};

static const char *const takes[] = {"last", "mean", "max", "first", NULL};
static const char *const module_types[] = {"lstm", "gru", "rnn", "dense", "embedding", "layer_norm",
                                           "batch_norm", "conv1d", "temporal_conv", NULL};
static const char *const layer_types[] = {"activation", "softmax", "last", "mean", "max", "first", "add",
                                          "mul", "concat", "slice", "scale", "conv1d", "temporal_conv",
                                          "magnitude", "l2_norm", "transpose", "reshape", "reverse", "delay",
                                          "max_pool", "mean_pool", NULL};
static const char *const padding_modes[] = {"zeros", "reflect", "replicate", NULL};

static const struct spec_key module_keys[] = {
    {"type", SPEC_WORD, NULL, module_types}, {"activation", SPEC_ACTIVATION, NULL, NULL},
    {"alpha", SPEC_NUMBER, NULL, NULL},      {"beta", SPEC_NUMBER, NULL, NULL},
    {"epsilon", SPEC_NOT_NEGATIVE, NULL, NULL}, {"hidden_size", SPEC_COUNT, NULL, NULL},
    {"reset_after", SPEC_BOOL, NULL, NULL},  {"stride", SPEC_COUNT, NULL, NULL},
    {"dilation", SPEC_COUNT, NULL, NULL},    {"padding", SPEC_COUNTS, NULL, NULL},
    {"groups", SPEC_COUNT, NULL, NULL},
    {"padding_mode", SPEC_WORD, NULL, padding_modes}, {NULL, SPEC_TEXT, NULL, NULL},
};

static const struct spec_key layer_keys[] = {
    {"module", SPEC_NAME, NULL, NULL},   {"type", SPEC_WORD, NULL, layer_types},
    {"name", SPEC_NAME, NULL, NULL},     {"inputs", SPEC_NAMES, NULL, NULL},
    {"activation", SPEC_ACTIVATION, NULL, NULL}, {"alpha", SPEC_NUMBER, NULL, NULL},
    {"beta", SPEC_NUMBER, NULL, NULL},   {"start", SPEC_COUNT, NULL, NULL},
    {"count", SPEC_COUNT, NULL, NULL},   {"step", SPEC_COUNT, NULL, NULL},
    {"scale", SPEC_NUMBERS, NULL, NULL}, {"shift", SPEC_NUMBERS, NULL, NULL},
    {"axis", SPEC_COUNT, NULL, NULL},    {"axes", SPEC_COUNTS, NULL, NULL},
    {"shape", SPEC_COUNTS, NULL, NULL},  {"steps", SPEC_COUNT, NULL, NULL},
    {"stride", SPEC_COUNT, NULL, NULL},  {"dilation", SPEC_COUNT, NULL, NULL},
    {"padding", SPEC_COUNTS, NULL, NULL}, {"padding_mode", SPEC_WORD, NULL, padding_modes},
    {"groups", SPEC_COUNT, NULL, NULL},  {"taps", SPEC_COUNT, NULL, NULL},
    {"ceil", SPEC_BOOL, NULL, NULL},     {"count_padding", SPEC_BOOL, NULL, NULL},
    {"epsilon", SPEC_NOT_NEGATIVE, NULL, NULL}, {NULL, SPEC_TEXT, NULL, NULL},
};

static const struct spec_key input_keys[] = {
    {"name", SPEC_NAME, NULL, NULL},     {"size", SPEC_COUNT, NULL, NULL},
    {"columns", SPEC_NAMES, NULL, NULL}, {"mean", SPEC_NUMBERS, NULL, NULL},
    {"std", SPEC_NUMBERS, NULL, NULL},   {"scale", SPEC_NUMBERS, NULL, NULL},
    {"shift", SPEC_NUMBERS, NULL, NULL}, {"context", SPEC_COUNT, NULL, NULL},
    {NULL, SPEC_TEXT, NULL, NULL},
};

static const struct spec_key any_name = {"", SPEC_NAME, NULL, NULL};
static const struct spec_key any_text = {"", SPEC_TEXT, NULL, NULL};
static const struct spec_key any_number = {"", SPEC_NUMBER, NULL, NULL};
static const struct spec_key any_module = {"", SPEC_OBJECT, module_keys, NULL};
static const struct spec_key any_layer = {"", SPEC_OBJECT, layer_keys, NULL};

static const struct spec_key root_keys[] = {
    {"name", SPEC_NAME, NULL, NULL},        {"author", SPEC_NAME, NULL, NULL},
    {"license", SPEC_NAME, NULL, NULL},     {"description", SPEC_TEXT, NULL, NULL},
    {"sample_rate", SPEC_POSITIVE, NULL, NULL}, {"labels", SPEC_NAMES, NULL, NULL},
    {"metadata", SPEC_MAP, &any_text, NULL}, {"input", SPEC_OBJECT, input_keys, NULL},
    {"modules", SPEC_MAP, &any_module, NULL}, {"ignore", SPEC_NAMES, NULL, NULL},
    {"order", SPEC_NAMES, NULL, NULL},      {"take", SPEC_WORD, NULL, takes},
    {"take_after", SPEC_NAME, NULL, NULL},  {"residual", SPEC_BOOL, NULL, NULL},
    {"softmax", SPEC_BOOL, NULL, NULL},     {"layers", SPEC_LIST, &any_layer, NULL},
    {"output", SPEC_NAME, NULL, NULL},      {"rename", SPEC_MAP, &any_name, NULL},
    {"constants", SPEC_MAP, &any_number, NULL},
    {NULL, SPEC_TEXT, NULL, NULL},
};

/* Where the check is, outermost first; a chain on the stack, written out on error only. */
struct path {
    const struct path *parent;
    const char *key; /* or NULL: an index */
    size_t index;
};

static void path_text(const struct path *path, char *text, size_t n_text)
{
    size_t used;
    if (!path) {
        snprintf(text, n_text, "$");
        return;
    }
    path_text(path->parent, text, n_text);
    used = strlen(text);
    if (path->key)
        snprintf(text + used, n_text - used, ".%.60s", path->key);
    else
        snprintf(text + used, n_text - used, "[%zu]", path->index);
}

static bool refuse(const struct path *path, const char *expected, struct import_error *error)
{
    char text[200];
    path_text(path, text, sizeof text);
    return spec_fail(error, "%s: expected %s", text, expected);
}

bool spec_clean_text(const char *text, bool lines)
{
    const unsigned char *c = (const unsigned char *)text;
    for (; *c; c++) {
        bool line_end = *c == '\t' || *c == '\n' || *c == '\r';
        if ((*c < 32 && !(lines && line_end)) || *c == 127)
            return false;
        if (*c == 0xc2 && c[1] >= 0x80 && c[1] <= 0x9f) /* U+0080 to U+009F */
            return false;
    }
    return true;
}

/* ---- the check ----------------------------------------------------------- */

static bool check_value(const struct spec_key *key, json_t *value, const struct path *path,
                        struct import_error *error);

static bool is_f32(const json_t *value)
{
    return json_is_number(value) && fabs(json_number_value(value)) <= (double)FLT_MAX;
}

static void list_keys(const struct spec_key *keys, char *text, size_t n_text)
{
    size_t used = 0;
    for (; keys->name && used < n_text; keys++)
        used += (size_t)snprintf(text + used, n_text - used, "%s%s", used ? ", " : "", keys->name);
}

/* The row of an object's member at `path`; NULL: refused. */
static const struct spec_key *find_key(const struct spec_key *keys, const struct path *path,
                                       struct import_error *error)
{
    char where[200], known[300];
    for (const struct spec_key *key = keys; key->name; key++)
        if (strcmp(key->name, path->key) == 0)
            return key;
    path_text(path, where, sizeof where);
    list_keys(keys, known, sizeof known);
    spec_fail(error, "%s: unknown key; known are %s", where, known);
    return NULL;
}

/* The one row of a map's values, whatever their key. */
static const struct spec_key *any_key(const struct spec_key *inner, const struct path *path,
                                      struct import_error *error)
{
    if (spec_clean_text(path->key, false))
        return inner;
    refuse(path, "a key without control characters", error);
    return NULL;
}

static bool check_members(const struct spec_key *row, json_t *object, const struct path *path,
                          struct import_error *error)
{
    const char *name;
    json_t *value;
    if (!json_is_object(object))
        return refuse(path, "an object", error);
    json_object_foreach(object, name, value) {
        const struct path here = {path, name, 0};
        const struct spec_key *member = row->type == SPEC_MAP ? any_key(row->inner, &here, error)
                                                              : find_key(row->inner, &here, error);
        if (!member || !check_value(member, value, &here, error))
            return false;
    }
    return true;
}

static bool check_list(const struct spec_key *inner, json_t *list, const struct path *path,
                       struct import_error *error)
{
    size_t i;
    json_t *value;
    if (!json_is_array(list))
        return refuse(path, "a list", error);
    json_array_foreach(list, i, value) {
        const struct path here = {path, NULL, i};
        if (!check_value(inner, value, &here, error))
            return false;
    }
    return true;
}

static bool check_word(const struct spec_key *key, const json_t *value, const struct path *path,
                       struct import_error *error)
{
    const char *given = json_string_value(value);
    char expected[320] = "one of";
    for (const char *const *word = key->words; *word; word++) {
        size_t used = strlen(expected);
        if (given && strcmp(given, *word) == 0)
            return true;
        snprintf(expected + used, sizeof expected - used, " \"%s\"", *word);
    }
    return refuse(path, expected, error);
}

static bool check_text(const struct spec_key *key, const json_t *value, const struct path *path,
                       struct import_error *error)
{
    bool lines = key->type == SPEC_TEXT;
    if (json_is_string(value) && spec_clean_text(json_string_value(value), lines))
        return true;
    return refuse(path, lines ? "a string without control characters but for line ends"
                              : "a string without control characters", error);
}

static bool check_number(const struct spec_key *key, const json_t *value, const struct path *path,
                         struct import_error *error)
{
    double number = json_number_value(value);
    bool whole = json_is_integer(value) && number >= 0 && number <= MODEL_MAX_DIM;
    if (key->type == SPEC_COUNT)
        return whole || refuse(path, "a whole number from 0 to 16777216", error);
    if (!is_f32(value))
        return refuse(path, "a number that f32 can hold", error);
    if (key->type == SPEC_POSITIVE && !(number > 0))
        return refuse(path, "a number above 0", error);
    if (key->type == SPEC_NOT_NEGATIVE && !(number >= 0))
        return refuse(path, "a number from 0 on", error);
    return true;
}

static bool check_activation(const json_t *value, const struct path *path, struct import_error *error)
{
    uint32_t activation;
    if (json_is_string(value) && import_activation(json_string_value(value), &activation))
        return true;
    return refuse(path, "an activation: identity, sigmoid, tanh, relu, leaky_relu, thresholded_relu, "
                  "scaled_tanh, hard_sigmoid, elu, softsign, softplus or affine", error);
}

static bool check_value(const struct spec_key *key, json_t *value, const struct path *path,
                        struct import_error *error)
{
    static const struct spec_key number = {"", SPEC_NUMBER, NULL, NULL};
    static const struct spec_key count = {"", SPEC_COUNT, NULL, NULL};
    switch (key->type) {
    case SPEC_OBJECT:
    case SPEC_MAP: return check_members(key, value, path, error);
    case SPEC_LIST: return check_list(key->inner, value, path, error);
    case SPEC_NAMES: return check_list(&any_name, value, path, error);
    case SPEC_NUMBERS:
    case SPEC_COUNTS: {
        const struct spec_key *one = key->type == SPEC_COUNTS ? &count : &number;
        return json_is_array(value) ? check_list(one, value, path, error)
                                    : check_number(one, value, path, error);
    }
    case SPEC_WORD: return check_word(key, value, path, error);
    case SPEC_ACTIVATION: return check_activation(value, path, error);
    case SPEC_BOOL: return json_is_boolean(value) || refuse(path, "true or false", error);
    case SPEC_TEXT:
    case SPEC_NAME: return check_text(key, value, path, error);
    default: return check_number(key, value, path, error);
    }
}

/* ---- keys that exclude or need each other -------------------------------- */

struct spec_rule {
    const char *key, *other;
    bool needed; /* `key` needs `other`; else they exclude each other */
};

static bool check_rules(const json_t *object, const char *path, const struct spec_rule *rules,
                        struct import_error *error)
{
    for (; rules->key; rules++) {
        bool other = json_object_get(object, rules->other) != NULL;
        if (json_object_get(object, rules->key) && other != rules->needed)
            return spec_fail(error, "%s.%s: %s \"%s\"", path, rules->key,
                             rules->needed ? "needs also" : "cannot be given together with",
                             rules->other);
    }
    return true;
}

static bool check_together(const json_t *spec, struct import_error *error)
{
    static const struct spec_rule root_rules[] = {
        {"layers", "order", false},    {"layers", "take", false}, {"layers", "residual", false},
        {"layers", "softmax", false},  {"take_after", "take", true}, {NULL, NULL, false}};
    static const struct spec_rule input_rules[] = {
        {"mean", "scale", false}, {"mean", "shift", false}, {"std", "scale", false},
        {"std", "shift", false},  {NULL, NULL, false}};
    return check_rules(spec, "$", root_rules, error) &&
           check_rules(json_object_get(spec, "input"), "$.input", input_rules, error);
}

bool spec_read(const char *text, size_t n_bytes, json_t **spec_out, struct import_error *error)
{
    static const struct spec_key root = {"", SPEC_OBJECT, root_keys, NULL};
    static const struct json_limits limits = {8, 1 << 20};
    char reason[160];
    json_t *spec = text ? json_text_parse(text, n_bytes, limits, reason, sizeof reason) : json_object();
    *spec_out = NULL;
    if (!spec)
        return text ? spec_fail(error, "%s", reason) : import_fail(error, "out of memory");
    if (!check_value(&root, spec, NULL, error) || !check_together(spec, error)) {
        json_decref(spec);
        return false;
    }
    *spec_out = spec;
    return true;
}

/* ---- what the importers take from it ------------------------------------- */

/* Where metadata goes, and the sizes that it must fit. */
struct target {
    struct model_builder *builder;
    struct metadata_sizes sizes;
    struct import_error *error;
};

/* `place` is the value's in the spec. */
static bool set_text(const struct target *target, const char *place, const char *key, const char *text)
{
    char reason[120];
    if (!metadata_check(key, text, &target->sizes, reason, sizeof reason))
        return spec_fail(target->error, "%.100s: %s", place, reason);
    model_set_metadata(target->builder, key, text);
    return true;
}

/* Names one a line, as FORMAT.md has "labels". */
static bool set_lines(const struct target *target, const char *place, const char *key, const json_t *names)
{
    size_t i, n_bytes = 1;
    json_t *name;
    char *lines, *end;
    bool good;
    if (!names)
        return true;
    json_array_foreach(names, i, name)
        n_bytes += json_string_length(name) + 1;
    lines = end = calloc(n_bytes, 1);
    if (!lines)
        return import_fail(target->error, "out of memory");
    json_array_foreach(names, i, name)
        end += sprintf(end, "%s%s", i ? "\n" : "", json_string_value(name));
    good = set_text(target, place, key, lines);
    free(lines);
    return good;
}

static bool set_map(const struct target *target, json_t *map)
{
    const char *key;
    json_t *value;
    json_object_foreach(map, key, value) {
        char place[100];
        if (!*key)
            return spec_fail(target->error, "$.metadata: a key is empty");
        snprintf(place, sizeof place, "$.metadata.%.60s", key);
        if (!set_text(target, place, key, json_string_value(value)))
            return false;
    }
    return true;
}

bool spec_set_metadata(const json_t *spec, struct model_builder *builder,
                       const struct metadata_sizes *sizes, struct import_error *error)
{
    static const char *const texts[] = {"name", "author", "license", "description"};
    const struct target target = {builder, *sizes, error};
    const json_t *rate = json_object_get(spec, "sample_rate");
    char number[40];
    if (!set_map(&target, json_object_get(spec, "metadata")))
        return false;
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        const char *text = json_string_value(json_object_get(spec, texts[i]));
        if (text)
            model_set_metadata(builder, texts[i], text);
    }
    snprintf(number, sizeof number, "%.9g", json_number_value(rate));
    return (!rate || set_text(&target, "$.sample_rate", "sample_rate", number)) &&
           set_lines(&target, "$.labels", "labels", json_object_get(spec, "labels")) &&
           set_lines(&target, "$.input.columns", "input_names",
                     json_object_get(json_object_get(spec, "input"), "columns"));
}

float *spec_numbers(const json_t *value, const char *path, uint32_t count, struct import_error *error)
{
    float *numbers;
    if (json_is_array(value) && json_array_size(value) != count) {
        spec_fail(error, "%s: %zu numbers, expected %u", path, json_array_size(value), count);
        return NULL;
    }
    numbers = calloc(count, sizeof *numbers);
    if (!numbers) {
        import_fail(error, "out of memory");
        return NULL;
    }
    for (uint32_t i = 0; i < count; i++)
        numbers[i] = (float)json_number_value(json_is_array(value) ? json_array_get(value, i) : value);
    return numbers;
}
