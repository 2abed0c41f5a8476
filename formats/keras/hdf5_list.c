/* SPDX-License-Identifier: MIT
 *
 * The list of an HDF5 file's arrays and texts as the child process sent it. The child may
 * have gone mad over a hostile file, so no number in it is trusted. See hdf5_file.h.
 */
#include "formats/keras/hdf5_file.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "formats/utf8.h"

bool hdf5_fail(char *error, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    vsnprintf(error, HDF5_MESSAGE, format, args);
    va_end(args);
    return false;
}

static bool broken(char *error)
{
    return hdf5_fail(error, "the HDF5 library failed on this file: its answer makes no sense");
}

/* ---- a cursor over the list ---------------------------------------------- */

struct cursor {
    uint8_t *at;
    size_t left;
};

static bool take(struct cursor *cursor, void *out, size_t n)
{
    if (cursor->left < n)
        return false;
    memcpy(out, cursor->at, n);
    cursor->at += n;
    cursor->left -= n;
    return true;
}

/* What the library gives need not be text: bytes that are none become '?'. */
static void clean(uint8_t *text, size_t n)
{
    size_t fault;
    while (utf8_check(text, n, true, &fault) != UTF8_OK) {
        text[fault] = '?';
        text += fault;
        n -= fault;
    }
}

static bool take_string(struct cursor *cursor, const char **out)
{
    uint32_t n;
    if (!take(cursor, &n, sizeof n) || n == 0 || n > cursor->left ||
        memchr(cursor->at, '\0', n) != cursor->at + n - 1)
        return false;
    clean(cursor->at, n - 1);
    *out = (const char *)cursor->at;
    cursor->at += n;
    cursor->left -= n;
    return true;
}

static size_t number_bytes(uint32_t dtype)
{
    switch (dtype) {
    case HDF5_F32: return 4;
    case HDF5_F64: return 8;
    case HDF5_F16:
    case HDF5_BF16: return 2;
    default: return 0;
    }
}

static bool take_shape(struct cursor *cursor, struct hdf5_array *array)
{
    uint64_t count = 1;
    if (!take(cursor, &array->rank, sizeof array->rank) || array->rank > HDF5_MAX_RANK)
        return false;
    for (uint32_t i = 0; i < array->rank; i++) {
        if (!take(cursor, &array->dims[i], sizeof array->dims[i]))
            return false;
        if (array->dims[i] && count > (UINT64_C(1) << 40) / array->dims[i])
            return false;
        count *= array->dims[i];
    }
    array->count = (size_t)count;
    return true;
}

static bool take_array(struct cursor *cursor, struct hdf5_array *array)
{
    uint32_t dtype;
    uint64_t n_bytes;
    if (!take_string(cursor, &array->path) || !take(cursor, &dtype, sizeof dtype) || dtype > HDF5_OTHER ||
        !take_shape(cursor, array) || !take(cursor, &n_bytes, sizeof n_bytes) || n_bytes > cursor->left ||
        n_bytes != (uint64_t)array->count * number_bytes(dtype))
        return false;
    array->dtype = (enum hdf5_dtype)dtype;
    array->data = dtype == HDF5_OTHER ? NULL : cursor->at;
    cursor->at += n_bytes;
    cursor->left -= (size_t)n_bytes;
    return true;
}

/* ---- two passes: count, then fill ---------------------------------------- */

struct counts {
    size_t arrays, texts, strings;
};

static bool take_text(struct cursor *cursor, struct hdf5_text *text, const char **strings)
{
    if (!take_string(cursor, &text->path) || !take_string(cursor, &text->name) ||
        !take(cursor, &text->n_strings, sizeof text->n_strings))
        return false;
    for (uint32_t i = 0; i < text->n_strings; i++) {
        const char *string;
        if (!take_string(cursor, &string))
            return false;
        if (strings)
            strings[i] = string;
    }
    text->strings = strings;
    return true;
}

/* One pass over all records; `out` NULL only counts. */
static bool walk(struct cursor cursor, struct counts *counts, struct hdf5_file *out, char *error)
{
    for (;;) {
        uint32_t kind;
        const char *why;
        struct hdf5_array array = {0};
        struct hdf5_text text = {0};
        if (!take(&cursor, &kind, sizeof kind) || counts->arrays + counts->texts > HDF5_MAX_ITEMS)
            return broken(error);
        if (kind == HDF5_RECORD_END)
            return cursor.left == 0 || broken(error);
        if (kind == HDF5_RECORD_FAILED)
            return take_string(&cursor, &why) && *why ? hdf5_fail(error, "%s", why) : broken(error);
        if (kind == HDF5_RECORD_ARRAY && take_array(&cursor, &array)) {
            if (out)
                out->arrays[counts->arrays] = array;
            counts->arrays++;
        } else if (kind == HDF5_RECORD_TEXT &&
                   take_text(&cursor, &text, out ? out->strings + counts->strings : NULL)) {
            if (out)
                out->texts[counts->texts] = text;
            counts->texts++;
            counts->strings += text.n_strings;
        } else {
            return broken(error);
        }
    }
}

static int compare_arrays(const void *a, const void *b)
{
    return strcmp(((const struct hdf5_array *)a)->path, ((const struct hdf5_array *)b)->path);
}

static int compare_texts(const void *a, const void *b)
{
    const struct hdf5_text *one = a, *two = b;
    int order = strcmp(one->path, two->path);
    return order ? order : strcmp(one->name, two->name);
}

static bool allocate(const struct counts *counts, struct hdf5_file *out)
{
    out->arrays = calloc(counts->arrays + 1, sizeof *out->arrays);
    out->texts = calloc(counts->texts + 1, sizeof *out->texts);
    out->strings = calloc(counts->strings + 1, sizeof *out->strings);
    return out->arrays && out->texts && out->strings;
}

bool hdf5_list_parse(uint8_t *bytes, size_t n_bytes, struct hdf5_file *out, char *error)
{
    struct cursor cursor = {bytes, n_bytes};
    struct counts counts = {0}, filled = {0};
    *out = (struct hdf5_file){.bytes = bytes};
    if (!walk(cursor, &counts, NULL, error) ||
        !(allocate(&counts, out) || hdf5_fail(error, "out of memory")) ||
        !walk(cursor, &filled, out, error)) {
        hdf5_file_free(out);
        return false;
    }
    out->n_arrays = counts.arrays;
    out->n_texts = counts.texts;
    qsort(out->arrays, out->n_arrays, sizeof *out->arrays, compare_arrays);
    qsort(out->texts, out->n_texts, sizeof *out->texts, compare_texts);
    return true;
}

void hdf5_file_free(struct hdf5_file *file)
{
    free(file->arrays);
    free(file->texts);
    free(file->strings);
    free(file->bytes);
    *file = (struct hdf5_file){0};
}

/* ---- looking up ---------------------------------------------------------- */

const struct hdf5_array *hdf5_file_array(const struct hdf5_file *file, const char *path)
{
    struct hdf5_array key = {.path = path};
    if (!file->n_arrays)
        return NULL;
    return bsearch(&key, file->arrays, file->n_arrays, sizeof *file->arrays, compare_arrays);
}

const struct hdf5_text *hdf5_file_text(const struct hdf5_file *file, const char *path, const char *name)
{
    struct hdf5_text key = {.path = path, .name = name};
    if (!file->n_texts)
        return NULL;
    return bsearch(&key, file->texts, file->n_texts, sizeof *file->texts, compare_texts);
}

bool hdf5_file_has_group(const struct hdf5_file *file, const char *path)
{
    size_t n = strlen(path);
    for (size_t i = 0; i < file->n_arrays; i++)
        if (strncmp(file->arrays[i].path, path, n) == 0 && file->arrays[i].path[n] == '/')
            return true;
    return false;
}
