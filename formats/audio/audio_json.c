/* SPDX-License-Identifier: MIT
 *
 * JSON of audio plugins, see audio_json.h.
 */
#include "formats/audio/audio_json.h"

#include <float.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "formats/import_common.h"
#include "formats/json_text.h"

/* What a parsed file may take: some 50 bytes a number, 130 an array, 250 an object. Together with
 * the text they keep an import below 256 MiB. Captures of amplifiers have a few thousand numbers. */
enum {
    MAX_BYTES = 32 << 20,
    MAX_VALUES = 1 << 20,
    MAX_ARRAYS = 1 << 18,
    MAX_OBJECTS = 1 << 15,
    MAX_MEMBERS = 1 << 16, /* of all objects; duplicate keys are looked for */
    MAX_DEPTH = 16,
};

/* ---- before parsing ------------------------------------------------------ */

static bool is_space(uint8_t c)
{
    return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

static size_t skip_spaces(const uint8_t *bytes, size_t n_bytes, size_t i)
{
    while (i < n_bytes && is_space(bytes[i]))
        i++;
    return i;
}

/* Position of the quote that ends the string whose opening quote is at `i`. */
static size_t string_end(const uint8_t *bytes, size_t n_bytes, size_t i)
{
    for (i++; i < n_bytes && bytes[i] != '"'; i++)
        if (bytes[i] == '\\')
            i++;
    return i;
}

static bool is_wanted(const uint8_t *text, size_t n_text, const char *key, bool ending)
{
    size_t n_key = strlen(key);
    return (ending ? n_text >= n_key : n_text == n_key) && memcmp(text + n_text - n_key, key, n_key) == 0;
}

bool audio_json_has_key(const uint8_t *bytes, size_t n_bytes, const char *key, bool ending)
{
    size_t i = skip_spaces(bytes, n_bytes, 0), depth = 0;
    if (i == n_bytes || bytes[i] != '{')
        return false;
    if (n_bytes > MAX_BYTES)
        n_bytes = MAX_BYTES;
    for (; i < n_bytes; i++) {
        if (bytes[i] == '{' || bytes[i] == '[') {
            depth++;
        } else if (bytes[i] == '}' || bytes[i] == ']') {
            depth--;
            if (depth == 0)
                return false;
        } else if (bytes[i] == '"') {
            size_t end = string_end(bytes, n_bytes, i), next = skip_spaces(bytes, n_bytes, end + 1);
            if (depth == 1 && next < n_bytes && bytes[next] == ':' &&
                is_wanted(bytes + i + 1, end - i - 1, key, ending))
                return true;
            i = end;
        }
    }
    return false;
}

struct census {
    size_t arrays, objects, members;
};

static void count(struct census *census, uint8_t c)
{
    census->arrays += c == '[';
    census->objects += c == '{';
    census->members += c == ':';
}

/* Containers cost more than numbers, so that they are counted apart from what json_text counts. */
static bool check_containers(const struct import_source *source, struct import_error *error)
{
    struct census census = {0};
    for (size_t i = 0; i < source->n_bytes; i++) {
        if (source->bytes[i] == '"')
            i = string_end(source->bytes, source->n_bytes, i);
        else
            count(&census, source->bytes[i]);
        if (census.arrays > MAX_ARRAYS)
            return import_fail(error, "JSON byte %zu: more than %d arrays", i, MAX_ARRAYS);
        if (census.objects > MAX_OBJECTS)
            return import_fail(error, "JSON byte %zu: more than %d objects", i, MAX_OBJECTS);
        if (census.members > MAX_MEMBERS)
            return import_fail(error, "JSON byte %zu: more than %d members of objects", i, MAX_MEMBERS);
    }
    return true;
}

bool audio_file_open(struct audio_file *file, const struct import_source *source, struct import_error *error)
{
    static const struct json_limits limits = {MAX_DEPTH, MAX_VALUES};
    char reason[200];
    *file = (struct audio_file){source, error, NULL};
    if (source->n_bytes > MAX_BYTES)
        return import_fail(error, "%zu bytes of JSON, at most %d are read", source->n_bytes, MAX_BYTES);
    if (!check_containers(source, error))
        return false;
    file->root = json_text_parse((const char *)source->bytes, source->n_bytes, limits, reason, sizeof reason);
    if (!file->root)
        return import_fail(error, "%s", reason);
    if (json_is_object(file->root))
        return true;
    audio_file_close(file);
    return import_fail(error, "is no JSON object");
}

void audio_file_close(struct audio_file *file)
{
    json_decref(file->root);
    file->root = NULL;
}

bool audio_import(const struct import_source *source, struct model_builder *builder,
                  struct import_error *error,
                  bool (*build)(const struct audio_file *file, struct model_builder *builder))
{
    struct audio_file file;
    bool good;
    if (!audio_file_open(&file, source, error))
        return false;
    good = build(&file, builder);
    audio_file_close(&file);
    return good;
}

/* ---- members ------------------------------------------------------------- */

/* What stands between the place of an object and the name of a member. */
static const char *dot(const char *place, const char *key)
{
    return *place && *key ? "." : "";
}

static const char *type_name(const json_t *value)
{
    static const char *const names[] = {
        [JSON_OBJECT] = "an object",  [JSON_ARRAY] = "an array", [JSON_STRING] = "a string",
        [JSON_INTEGER] = "a number",  [JSON_REAL] = "a number",  [JSON_TRUE] = "true",
        [JSON_FALSE] = "false",       [JSON_NULL] = "null"};
    return value ? names[json_typeof(value)] : "nothing";
}

bool audio_only_keys(const struct audio_file *file, const json_t *object, const char *place,
                     const char *const *known)
{
    const char *key;
    json_t *value;
    json_object_foreach((json_t *)object, key, value) {
        char list[200] = "";
        size_t i = 0;
        while (known[i] && strcmp(known[i], key) != 0)
            i++;
        if (known[i])
            continue;
        for (i = 0; known[i]; i++) {
            size_t used = strlen(list);
            snprintf(list + used, sizeof list - used, "%s%s", used ? ", " : "", known[i]);
        }
        return import_fail(file->error, "unknown key '%s%s%.60s'; known are %s", place, dot(place, key), key,
                           list);
    }
    return true;
}

static bool expected(const struct audio_file *file, const char *place, const char *key, const char *what,
                     const json_t *found)
{
    return import_fail(file->error, "%s%s%s: expected %s, found %s", place, dot(place, key), key, what,
                       type_name(found));
}

const json_t *audio_object(const struct audio_file *file, const json_t *object, const char *place,
                           const char *key)
{
    const json_t *value = json_object_get(object, key);
    if (json_is_object(value))
        return value;
    expected(file, place, key, "an object", value);
    return NULL;
}

const json_t *audio_array(const struct audio_file *file, const json_t *object, const char *place,
                          const char *key)
{
    const json_t *value = json_object_get(object, key);
    if (json_is_array(value))
        return value;
    expected(file, place, key, "an array", value);
    return NULL;
}

const char *audio_text(const struct audio_file *file, const json_t *object, const char *place,
                       const char *key)
{
    const json_t *value = json_object_get(object, key);
    if (json_is_string(value))
        return json_string_value(value);
    expected(file, place, key, "a string", value);
    return NULL;
}

bool audio_count(const struct audio_file *file, const json_t *object, const char *place, const char *key,
                 uint32_t least, uint32_t *out)
{
    const json_t *value = json_object_get(object, key);
    json_int_t number = json_integer_value(value);
    if (!json_is_integer(value))
        return expected(file, place, key, "a whole number", value);
    if (number < (json_int_t)least || number > MODEL_MAX_DIM)
        return import_fail(file->error, "%s%s%s: %" JSON_INTEGER_FORMAT ", expected %u to %d", place,
                           dot(place, key),
                           key, number, least, MODEL_MAX_DIM);
    *out = (uint32_t)number;
    return true;
}

bool audio_count_or(const struct audio_file *file, const json_t *object, const char *place, const char *key,
                    uint32_t otherwise, uint32_t *out)
{
    *out = otherwise;
    return !json_object_get(object, key) || audio_count(file, object, place, key, 0, out);
}

/* ---- arrays of numbers --------------------------------------------------- */

/* A level of nested arrays while it is walked; written out on error only. */
struct level {
    const struct level *outer;
    const char *place; /* of the outermost */
    size_t index;
};

static void level_text(const struct level *level, char *text, size_t n_text)
{
    size_t used;
    if (!level->outer) {
        snprintf(text, n_text, "%s", level->place);
        return;
    }
    level_text(level->outer, text, n_text);
    used = strlen(text);
    snprintf(text + used, n_text - used, "[%zu]", level->index);
}

/* The sizes of all arrays, before anything is allocated by them. */
static bool check_shape(const struct audio_file *file, const json_t *value, const struct level *level,
                        uint32_t rank, const uint32_t *dims)
{
    char place[160];
    if (rank == 0 && json_is_number(value))
        return true;
    if (rank > 0 && json_is_array(value) && json_array_size(value) == dims[0]) {
        for (size_t i = 0; i < dims[0]; i++) {
            const struct level inner = {level, NULL, i};
            if (!check_shape(file, json_array_get(value, i), &inner, rank - 1, dims + 1))
                return false;
        }
        return true;
    }
    level_text(level, place, sizeof place);
    if (rank == 0)
        return expected(file, place, "", "a number", value);
    if (!json_is_array(value))
        return expected(file, place, "", "an array", value);
    return import_fail(file->error, "%s: %zu %s, expected %u", place, json_array_size(value),
                       rank == 1 ? "numbers" : "rows", dims[0]);
}

static float *copy_numbers(const json_t *value, uint32_t rank, float *out)
{
    if (rank == 0) {
        *out = (float)json_number_value(value);
        return out + 1;
    }
    for (size_t i = 0; i < json_array_size(value); i++)
        out = copy_numbers(json_array_get(value, i), rank - 1, out);
    return out;
}

float *audio_numbers(const struct audio_file *file, const json_t *value, const char *place, uint32_t rank,
                     const uint32_t *dims)
{
    const struct level outermost = {NULL, place, 0};
    size_t count = 1;
    float *numbers;
    if (!check_shape(file, value, &outermost, rank, dims))
        return NULL;
    for (uint32_t i = 0; i < rank; i++)
        count *= dims[i];
    numbers = calloc(count, sizeof *numbers);
    if (!numbers) {
        import_fail(file->error, "%s: out of memory", place);
        return NULL;
    }
    copy_numbers(value, rank, numbers);
    if (import_clean(file->source, place, numbers, count, file->error))
        return numbers;
    free(numbers);
    return NULL;
}
