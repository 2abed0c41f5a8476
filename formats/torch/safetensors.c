/* SPDX-License-Identifier: MIT
 *
 * Reader of safetensors files: u64 header length, JSON header, tensor data. Every
 * number of the header is checked before it is used.
 */
#include "formats/torch/safetensors.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "formats/json_text.h"

/* Header: { "name": { "shape": [ … ] } } */
static const struct json_limits header_limits = {3, (size_t)NAMED_MAX_TENSORS * 24};

struct reader {
    uint64_t n_data;
    const uint8_t *data;
    char *error;
    size_t n_error;
};

static bool refuse(const struct reader *reader, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

static bool refuse(const struct reader *reader, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    vsnprintf(reader->error, reader->n_error, format, args);
    va_end(args);
    return false;
}

static uint64_t header_length(const uint8_t *bytes)
{
    uint64_t n = 0;
    for (unsigned i = 0; i < 8; i++)
        n |= (uint64_t)bytes[i] << (8 * i);
    return n;
}

bool safetensors_recognise(const uint8_t *bytes, size_t n_bytes)
{
    return n_bytes >= 9 && header_length(bytes) <= 100000000 && bytes[8] == '{';
}

/* ---- one tensor ---------------------------------------------------------- */

static bool read_unsigned(const json_t *value, uint64_t *out)
{
    if (!json_is_integer(value) || json_integer_value(value) < 0)
        return false;
    *out = (uint64_t)json_integer_value(value);
    return true;
}

static bool read_dtype(const struct reader *reader, const json_t *value, struct named_tensor *tensor)
{
    const char *name = json_string_value(value);
    if (!name)
        return refuse(reader, "tensor '%s': \"dtype\" is missing or not a string", tensor->name);
    for (unsigned i = 0; i < NT_DTYPES; i++) {
        if (strcmp(name, named_dtype_name((enum named_dtype)i)) == 0) {
            tensor->dtype = (enum named_dtype)i;
            return true;
        }
    }
    return refuse(reader, "tensor '%s': unknown dtype \"%.40s\"", tensor->name, name);
}

static bool read_shape(const struct reader *reader, const json_t *value, struct named_tensor *tensor)
{
    size_t rank = json_array_size(value);
    if (!json_is_array(value))
        return refuse(reader, "tensor '%s': \"shape\" is missing or not a list", tensor->name);
    if (rank > NAMED_MAX_RANK)
        return refuse(reader, "tensor '%s': %zu dimensions, at most %d are read", tensor->name, rank,
                      NAMED_MAX_RANK);
    tensor->rank = (uint32_t)rank;
    tensor->count = 1;
    for (size_t i = 0; i < rank; i++) {
        if (!read_unsigned(json_array_get(value, i), &tensor->dims[i]))
            return refuse(reader, "tensor '%s': dimension %zu is not a whole number from 0 on",
                          tensor->name, i);
        if (__builtin_mul_overflow(tensor->count, tensor->dims[i], &tensor->count))
            return refuse(reader, "tensor '%s': the product of its dimensions does not fit 64 bits",
                          tensor->name);
    }
    return true;
}

static bool read_place(const struct reader *reader, const json_t *value, struct named_tensor *tensor)
{
    uint64_t begin, end, bits;
    if (json_array_size(value) != 2 || !read_unsigned(json_array_get(value, 0), &begin) ||
        !read_unsigned(json_array_get(value, 1), &end))
        return refuse(reader, "tensor '%s': \"data_offsets\" is not a list of two whole numbers",
                      tensor->name);
    if (begin > end || end > reader->n_data)
        return refuse(reader, "tensor '%s': data_offsets %llu to %llu in %llu bytes of data",
                      tensor->name, (unsigned long long)begin, (unsigned long long)end,
                      (unsigned long long)reader->n_data);
    tensor->data = reader->data + begin;
    tensor->n_bytes = end - begin;
    if (__builtin_mul_overflow(tensor->count, named_dtype_bits(tensor->dtype), &bits) || bits % 8 ||
        bits / 8 != tensor->n_bytes)
        return refuse(reader, "tensor '%s': %llu numbers of type %s do not take the %llu bytes of its "
                      "data_offsets", tensor->name, (unsigned long long)tensor->count,
                      named_dtype_name(tensor->dtype), (unsigned long long)tensor->n_bytes);
    return true;
}

static bool read_tensor(const struct reader *reader, const char *name, json_t *value,
                        struct named_tensor *tensor)
{
    const char *key;
    json_t *unused;
    tensor->name = name;
    if (!json_is_object(value))
        return refuse(reader, "tensor '%s': its header entry is not an object", name);
    json_object_foreach(value, key, unused) {
        if (strcmp(key, "dtype") != 0 && strcmp(key, "shape") != 0 && strcmp(key, "data_offsets") != 0)
            return refuse(reader, "tensor '%s': unknown key \"%.40s\" in its header entry", name, key);
    }
    return read_dtype(reader, json_object_get(value, "dtype"), tensor) &&
           read_shape(reader, json_object_get(value, "shape"), tensor) &&
           read_place(reader, json_object_get(value, "data_offsets"), tensor);
}

/* ---- the file ------------------------------------------------------------ */

static bool check_metadata(const struct reader *reader, json_t *metadata)
{
    const char *key;
    json_t *value;
    if (!json_is_object(metadata))
        return refuse(reader, "\"__metadata__\" is not an object");
    json_object_foreach(metadata, key, value) {
        if (!json_is_string(value))
            return refuse(reader, "__metadata__: the value of \"%.40s\" is not a string", key);
    }
    return true;
}

static int compare_places(const void *a, const void *b)
{
    const struct named_tensor *x = *(const struct named_tensor *const *)a;
    const struct named_tensor *y = *(const struct named_tensor *const *)b;
    if (x->data != y->data)
        return x->data < y->data ? -1 : 1;
    return x->n_bytes < y->n_bytes ? -1 : x->n_bytes > y->n_bytes;
}

static bool follow_each_other(const struct reader *reader, struct named_tensor *const *sorted, size_t n)
{
    const uint8_t *next = reader->data, *end = reader->data + reader->n_data;
    for (size_t i = 0; i < n; i++) {
        if (sorted[i]->data != next)
            return refuse(reader, "tensor '%s': its data %s at byte %zu of the data, expected %zu",
                          sorted[i]->name, sorted[i]->data < next ? "overlaps another's: it starts"
                                                                  : "leaves a gap: it starts",
                          (size_t)(sorted[i]->data - reader->data), (size_t)(next - reader->data));
        next += sorted[i]->n_bytes;
    }
    if (next != end)
        return refuse(reader, "%zu bytes of data belong to no tensor", (size_t)(end - next));
    return true;
}

static bool check_tiling(const struct reader *reader, const struct named_tensors *file)
{
    struct named_tensor **sorted = calloc(file->n_tensors + 1, sizeof *sorted);
    bool good;
    if (!sorted)
        return refuse(reader, "out of memory");
    for (size_t i = 0; i < file->n_tensors; i++)
        sorted[i] = &file->tensors[i];
    qsort(sorted, file->n_tensors, sizeof *sorted, compare_places);
    good = follow_each_other(reader, sorted, file->n_tensors);
    free(sorted);
    return good;
}

static bool read_entries(const struct reader *reader, json_t *root, struct named_tensors *file)
{
    const char *key;
    json_t *value;
    json_object_foreach(root, key, value) {
        bool good = strcmp(key, "__metadata__") == 0
                        ? check_metadata(reader, value)
                        : read_tensor(reader, key, value, &file->tensors[file->n_tensors++]);
        if (!good)
            return false;
    }
    return check_tiling(reader, file);
}

static void release_json(void *root)
{
    json_decref(root);
}

static bool read_header(const struct reader *reader, const char *text, size_t n_text,
                        struct named_tensors *file)
{
    json_t *root = json_text_parse(text, n_text, header_limits, reader->error, reader->n_error);
    if (!root)
        return false;
    file->owner = root;
    file->release = release_json;
    if (json_object_size(root) > NAMED_MAX_TENSORS)
        return refuse(reader, "%zu tensors, at most %d are read", json_object_size(root),
                      NAMED_MAX_TENSORS);
    file->tensors = calloc(json_object_size(root) + 1, sizeof *file->tensors);
    if (!file->tensors)
        return refuse(reader, "out of memory");
    return read_entries(reader, root, file);
}

bool safetensors_read(const uint8_t *bytes, size_t n_bytes, struct named_tensors *out, char *error,
                      size_t n_error)
{
    struct reader reader = {.error = error, .n_error = n_error};
    uint64_t n_header;
    memset(out, 0, sizeof *out);
    if (n_bytes < 8)
        return refuse(&reader, "%zu bytes, but the header's length alone takes 8", n_bytes);
    n_header = header_length(bytes);
    if (n_header > n_bytes - 8)
        return refuse(&reader, "the header is said to take %llu bytes, %zu are there",
                      (unsigned long long)n_header, n_bytes - 8);
    if (n_header > SAFETENSORS_MAX_HEADER)
        return refuse(&reader, "a header of %llu bytes, at most %d are read",
                      (unsigned long long)n_header, SAFETENSORS_MAX_HEADER);
    if (n_header == 0 || bytes[8] != '{')
        return refuse(&reader, "byte 8: the header does not begin with '{'");
    reader.data = bytes + 8 + n_header;
    reader.n_data = n_bytes - 8 - n_header;
    if (!read_header(&reader, (const char *)bytes + 8, (size_t)n_header, out)) {
        named_tensors_free(out);
        return false;
    }
    return true;
}
