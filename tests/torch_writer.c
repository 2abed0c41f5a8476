/* SPDX-License-Identifier: MIT
 *
 * PyTorch files made in memory, see torch_writer.h.
 */
#include "tests/torch_writer.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zip.h>

static void demand(bool holds)
{
    if (!holds) {
        fprintf(stderr, "torch_writer: no memory or a mistake of the test\n");
        abort();
    }
}

/* ---- pickles ------------------------------------------------------------- */

void put(struct bytes *to, const void *data, size_t n)
{
    to->data = realloc(to->data, to->n + n + 1);
    demand(to->data != NULL);
    memcpy(to->data + to->n, data, n);
    to->n += n;
}

void put_line(struct bytes *to, const char *opcodes)
{
    put(to, opcodes, strlen(opcodes));
}

static void put_length(struct bytes *to, uint64_t number, unsigned n)
{
    uint8_t bytes[8];
    for (unsigned i = 0; i < n; i++)
        bytes[i] = (uint8_t)(number >> 8 * i);
    put(to, bytes, n);
}

void put_text(struct bytes *to, const char *text)
{
    put_line(to, "X");
    put_length(to, strlen(text), 4);
    put_line(to, text);
}

void put_int(struct bytes *to, int64_t number)
{
    put_line(to, "\x8a\x08");
    put_length(to, (uint64_t)number, 8);
}

void put_float(struct bytes *to, double number)
{
    uint64_t bits;
    memcpy(&bits, &number, sizeof bits);
    put_line(to, "G");
    for (unsigned i = 8; i-- > 0;)
        put_length(to, bits >> 8 * i & 0xff, 1);
}

void put_global(struct bytes *to, const char *module, const char *name)
{
    put_line(to, "c");
    put_line(to, module);
    put_line(to, "\n");
    put_line(to, name);
    put_line(to, "\n");
}

static void put_tuple(struct bytes *to, const int64_t *items, unsigned n)
{
    put_line(to, "(");
    for (unsigned i = 0; i < n; i++)
        put_int(to, items[i]);
    put_line(to, "t");
}

void put_tensor(struct bytes *to, const struct pickled_tensor *tensor)
{
    uint64_t count = 1; /* may wrap around: tests ask for shapes that nothing could have */
    int64_t strides[9];
    bool given = false;
    for (unsigned i = tensor->rank; i-- > 0; count *= (uint64_t)tensor->dims[i]) {
        strides[i] = (int64_t)count;
        given |= tensor->strides[i] != 0;
    }
    put_global(to, "torch._utils", "_rebuild_tensor_v2");
    put_line(to, "((");
    put_text(to, "storage");
    put_global(to, "torch", tensor->storage ? tensor->storage : "FloatStorage");
    put_text(to, tensor->key ? tensor->key : "0");
    put_text(to, "cpu");
    put_int(to, tensor->numel ? tensor->numel : (int64_t)count);
    put_line(to, "tQ");
    put_int(to, tensor->offset);
    put_tuple(to, tensor->dims, tensor->rank);
    put_tuple(to, given ? tensor->strides : strides, tensor->rank);
    put_line(to, "\x89");
    put_global(to, "collections", "OrderedDict");
    put_line(to, ")RtR");
}

static struct bytes whole(const struct bytes *pickle)
{
    struct bytes out = {NULL, 0};
    put(&out, "\x80\2", 2);
    put(&out, pickle->data, pickle->n);
    put_line(&out, ".");
    return out;
}

/* ---- zip ----------------------------------------------------------------- */

uint8_t *make_zip(const struct storage *entries, size_t n_entries, enum zip_how how, size_t *n_out)
{
    zip_error_t error;
    zip_error_init(&error);
    zip_source_t *place = zip_source_buffer_create(NULL, 0, 0, &error);
    zip_t *zip = place ? zip_open_from_source(place, ZIP_CREATE | ZIP_TRUNCATE, &error) : NULL;
    demand(zip != NULL);
    zip_source_keep(place);
    for (size_t i = 0; i < n_entries; i++) {
        zip_source_t *data = zip_source_buffer(zip, entries[i].data, entries[i].n, 0);
        zip_int64_t index = zip_file_add(zip, entries[i].key, data, ZIP_FL_ENC_UTF_8);
        demand(index >= 0);
        zip_set_file_compression(zip, (zip_uint64_t)index, how == ZIP_STORED ? ZIP_CM_STORE : ZIP_CM_DEFLATE,
                                 1);
    }
    demand(zip_close(zip) == 0);
    zip_stat_t stat;
    zip_stat_init(&stat);
    demand(zip_source_stat(place, &stat) == 0 && zip_source_open(place) == 0);
    uint8_t *out = malloc(stat.size + 1);
    demand(out && zip_source_read(place, out, stat.size) == (zip_int64_t)stat.size);
    zip_source_close(place);
    zip_source_free(place);
    zip_error_fini(&error);
    *n_out = (size_t)stat.size;
    return out;
}

uint8_t *torch_zip(const struct bytes *pickle, const struct storage *storages, size_t n_storages,
                   const struct storage *more, enum zip_how how, size_t *n_out)
{
    enum { MOST = 20 };
    struct storage entries[MOST + 2];
    char names[MOST + 1][100];
    struct bytes object = whole(pickle);
    size_t n = 0;
    demand(n_storages <= MOST);
    entries[n++] = (struct storage){"archive/data.pkl", object.data, object.n, 0};
    for (size_t i = 0; i < n_storages; i++) {
        snprintf(names[i], sizeof names[i], "archive/data/%s", storages[i].key);
        entries[n++] = (struct storage){names[i], storages[i].data, storages[i].n, 0};
    }
    if (more) {
        snprintf(names[MOST], sizeof names[MOST], "archive/%s", more->key);
        entries[n++] = (struct storage){names[MOST], more->data, more->n, 0};
    }
    uint8_t *out = make_zip(entries, n, how, n_out);
    free(object.data);
    return out;
}

/* ---- legacy -------------------------------------------------------------- */

uint8_t *torch_legacy(const struct bytes *pickle, const struct storage *storages, size_t n_storages,
                      size_t *n_out)
{
    static const char before[] = "\x80\2\x8a\x0al\xfc\x9c\x46\xf9 "
                                 "j\xa8P\x19.\x80\2M\xe9\3.\x80\2}(X\x0d\0\0\0little_endian\x88u.";
    struct bytes out = {NULL, 0}, object = whole(pickle);
    put(&out, before, sizeof before - 1);
    put(&out, object.data, object.n);
    put(&out, "\x80\2](", 4);
    for (size_t i = 0; i < n_storages; i++)
        put_text(&out, storages[i].key);
    put_line(&out, "e.");
    for (size_t i = 0; i < n_storages; i++) {
        put_length(&out, storages[i].numel, 8);
        put(&out, storages[i].data, storages[i].n);
    }
    free(object.data);
    *n_out = out.n;
    return out.data;
}
