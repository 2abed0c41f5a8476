/* SPDX-License-Identifier: MIT
 *
 * Keras models from text, see keras_parts.h.
 */
#define _POSIX_C_SOURCE 200809L

#include "tests/keras_parts.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "formats/json_text.h"
#include "formats/keras/keras_internal.h"

enum { MAX_NUMBERS = 1 << 16, MAX_TOTAL = 1 << 20, MAX_WORDS = 64 };

struct list {
    uint8_t *bytes;
    size_t n_bytes, room, total;
};

static void put(struct list *list, const void *bytes, size_t n)
{
    if (list->n_bytes + n >= list->room) { /* a realloc for each number would take seconds under ASan */
        list->room = 2 * (list->n_bytes + n) + 1;
        list->bytes = realloc(list->bytes, list->room);
    }
    if (!list->bytes)
        abort();
    memcpy(list->bytes + list->n_bytes, bytes, n);
    list->n_bytes += n;
}

static void put_u32(struct list *list, uint32_t value)
{
    put(list, &value, sizeof value);
}

static void put_string(struct list *list, const char *text)
{
    put_u32(list, (uint32_t)strlen(text) + 1);
    put(list, text, strlen(text) + 1);
}

/* Exact in every type; variances are positive. */
float keras_parts_number(const char *path, size_t index)
{
    float number = (float)((int)(index * 7 % 23) - 11) / 16;
    return strstr(path, "variance") || strstr(path, "vars/3") ? number * number + 0.25f : number;
}

static void put_numbers(struct list *list, const char *path, uint32_t dtype, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        float number = keras_parts_number(path, i);
        double wide = number;
        uint16_t half = (uint16_t)(i * 31 % 0x3c00), upper;
        memcpy(&upper, (const char *)&number + 2, 2);
        if (dtype == HDF5_F32)
            put(list, &number, 4);
        else if (dtype == HDF5_F64)
            put(list, &wide, 8);
        else if (dtype != HDF5_OTHER)
            put(list, dtype == HDF5_BF16 ? &upper : &half, 2);
    }
}

static void put_array(struct list *list, char *const *words, size_t n_words)
{
    static const unsigned sizes[] = {4, 8, 2, 2, 0};
    uint32_t dtype = (uint32_t)strtoul(words[2], NULL, 10), rank = (uint32_t)n_words - 3;
    uint64_t count = 1, n_bytes;
    if (rank > HDF5_MAX_RANK || dtype > HDF5_OTHER)
        return;
    for (uint32_t i = 0; i < rank; i++) {
        uint64_t dim = strtoul(words[3 + i], NULL, 10);
        count = dim > MAX_NUMBERS ? MAX_NUMBERS + 1u : count * dim;
        if (count > MAX_NUMBERS)
            return;
    }
    list->total += (size_t)count;
    if (list->total > MAX_TOTAL)
        return;
    put_u32(list, HDF5_RECORD_ARRAY);
    put_string(list, words[1]);
    put_u32(list, dtype);
    put_u32(list, rank);
    for (uint32_t i = 0; i < rank; i++)
        put_u32(list, (uint32_t)strtoul(words[3 + i], NULL, 10));
    n_bytes = count * sizes[dtype];
    put(list, &n_bytes, sizeof n_bytes);
    put_numbers(list, words[1], dtype, (size_t)count);
}

static void put_text(struct list *list, char *const *words, size_t n_words)
{
    put_u32(list, HDF5_RECORD_TEXT);
    put_string(list, strcmp(words[1], ".") == 0 ? "" : words[1]);
    put_string(list, words[2]);
    put_u32(list, (uint32_t)n_words - 3);
    for (size_t i = 3; i < n_words; i++)
        put_string(list, words[i]);
}

static void put_line(struct list *list, char *line)
{
    char *words[MAX_WORDS], *rest;
    size_t n = 0;
    for (char *word = strtok_r(line, " ", &rest); word && n < MAX_WORDS; word = strtok_r(NULL, " ", &rest))
        words[n++] = word;
    if (n >= 3 && strcmp(words[0], "array") == 0)
        put_array(list, words, n);
    else if (n >= 3 && strcmp(words[0], "text") == 0)
        put_text(list, words, n);
}

bool keras_parts_list(const char *list, size_t n_list, struct hdf5_file *out, char *error)
{
    char *copy = calloc(n_list + 1, 1), *rest;
    struct list made = {NULL, 0, 0, 0};
    bool good;
    if (!copy)
        abort();
    memcpy(copy, list, n_list);
    for (char *line = strtok_r(copy, "\n", &rest); line; line = strtok_r(NULL, "\n", &rest))
        put_line(&made, line);
    put_u32(&made, HDF5_RECORD_END);
    good = hdf5_list_parse(made.bytes, made.n_bytes, out, error);
    free(copy);
    return good;
}

static bool build(const struct hdf5_file *file, const char *config, size_t n_config, const char *version,
                  struct imported *out)
{
    struct import_source source = {.path = "test", .note = importing_note, .note_context = out};
    struct import_error error = {.text = ""};
    struct keras_parts parts = {.version = version, .weights = file, .in_order = true};
    struct model_builder *builder = model_builder_create();
    char why[300] = "";
    uint32_t value;
    bool good;
    parts.model = json_text_parse(config, n_config, (struct json_limits){100, 100000}, why, sizeof why);
    if (!parts.model)
        snprintf(out->error, sizeof out->error, "JSON: %s", why);
    good = builder && parts.model && keras_build(&source, &parts, builder, &value, &error);
    if (!good && parts.model)
        snprintf(out->error, sizeof out->error, "%s", builder ? error.text : "out of memory");
    good = good && importing_finish(builder, out);
    json_decref(parts.model);
    model_builder_destroy(builder);
    return good;
}

void keras_parts_import(const char *config, size_t n_config, const char *list, size_t n_list,
                        const char *version, struct imported *out)
{
    struct hdf5_file file;
    char error[HDF5_MESSAGE] = "";
    memset(out, 0, sizeof *out);
    if (keras_parts_list(list, n_list, &file, error)) {
        out->good = build(&file, config, n_config, version, out);
        hdf5_file_free(&file);
    } else {
        snprintf(out->error, sizeof out->error, "list: %s", error);
    }
}
