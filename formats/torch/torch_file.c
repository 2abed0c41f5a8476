/* SPDX-License-Identifier: MIT
 *
 * The two containers that PyTorch has had, a zip archive and before it a row of pickles
 * with raw data behind, and the storages in them. See torch_file.h.
 */
#include "formats/torch/torch_file.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* PROTO 2, LONG1 10 and the magic number of a legacy file; STOP follows. */
static const uint8_t legacy_start[] = {0x80, 2, 0x8a, 10, 0x6c, 0xfc, 0x9c, 0x46, 0xf9, 0x20, 0x6a, 0xa8,
                                       0x50, 0x19, '.'};

/* All that pickles of weights call. What each means is told where it is looked at; most only
 * stand beside the weights in checkpoints and are never looked at. */
static const struct pickle_callee callees[] = {
    {"collections", "OrderedDict"},
    {"collections", "defaultdict"},
    {"collections", "Counter"},
    {"torch._utils", "_rebuild_tensor"},
    {"torch._utils", "_rebuild_tensor_v2"},
    {"torch._utils", "_rebuild_tensor_v3"},
    {"torch._utils", "_rebuild_parameter"},
    {"torch._utils", "_rebuild_parameter_with_state"},
    {"torch._utils", "_rebuild_qtensor"},
    {"torch._utils", "_rebuild_sparse_tensor"},
    {"torch._utils", "_rebuild_device_tensor_from_numpy"},
    {"torch._utils", "_rebuild_meta_tensor_no_storage"},
    {"torch._tensor", "_rebuild_from_type_v2"},
    {"torch.nn.parameter", "_rebuild_from_type_v2"},
    {"torch.storage", "_load_from_bytes"},
    {"torch", "Size"},
    {"torch", "device"},
    {"torch.jit._pickle", "build_tensorlist"},
    {"torch.jit._pickle", "build_intlist"},
    {"torch.jit._pickle", "build_doublelist"},
    {"torch.jit._pickle", "build_boollist"},
    {"torch.jit._pickle", "build_tensor_from_id"},
    {"torch.jit._pickle", "restore_type_tag"},
    {"numpy.core.multiarray", "_reconstruct"},
    {"numpy._core.multiarray", "_reconstruct"},
    {"numpy.core.multiarray", "scalar"},
    {"numpy._core.multiarray", "scalar"},
    {"numpy.core.numeric", "_frombuffer"},
    {"numpy._core.numeric", "_frombuffer"},
    {"numpy", "dtype"},
    {"_codecs", "encode"},
    {"copy_reg", "_reconstructor"},
    {"copyreg", "_reconstructor"},
    {"__builtin__", "set"},
    {"builtins", "set"},
    {"__builtin__", "frozenset"},
    {"builtins", "frozenset"},
    {"__builtin__", "bytearray"},
    {"builtins", "bytearray"},
    {"__builtin__", "complex"},
    {"builtins", "complex"},
    {"__builtin__", "slice"},
    {"builtins", "slice"},
    {"pathlib", "PosixPath"},
    {"pathlib", "WindowsPath"},
    {"pathlib._local", "PosixPath"},
    {"pathlib._local", "WindowsPath"},
    {"datetime", "datetime"},
    {"datetime", "date"},
    {"datetime", "timedelta"},
    {NULL, NULL},
};

bool torch_file_recognise_pickle(const uint8_t *bytes, size_t n_bytes)
{
    return n_bytes > 3 && bytes[0] == 0x80 && bytes[1] >= 2 && bytes[1] <= 5;
}

static bool is_legacy(const uint8_t *bytes, size_t n_bytes)
{
    return n_bytes >= sizeof legacy_start && memcmp(bytes, legacy_start, sizeof legacy_start) == 0;
}

/* ---- zip ----------------------------------------------------------------- */

/* "archive" of "archive/data.pkl"; the entry with the shortest such name. */
static bool find_pickle(const struct archive *archive, char *prefix, size_t n_prefix, size_t *index_out)
{
    static const char name[] = "/data.pkl";
    size_t shortest = n_prefix;
    for (size_t i = 0; i < archive_count(archive); i++) {
        const char *entry = archive_name(archive, i);
        size_t n = strlen(entry);
        if (n <= strlen(name) || n >= shortest || strcmp(entry + n - strlen(name), name) != 0)
            continue;
        shortest = n;
        *index_out = i;
        snprintf(prefix, n_prefix, "%.*s", (int)(n - strlen("data.pkl")), entry);
    }
    return shortest < n_prefix;
}

static bool has_pickle(const struct archive *archive)
{
    char prefix[300];
    size_t index;
    return find_pickle(archive, prefix, sizeof prefix, &index);
}

bool torch_file_recognise(const uint8_t *bytes, size_t n_bytes)
{
    return is_legacy(bytes, n_bytes) || archive_recognise(bytes, n_bytes, has_pickle);
}

/* An entry "NAME/word". */
static bool find_entry(const struct torch_file *file, const char *word, size_t *index_out)
{
    char name[600];
    snprintf(name, sizeof name, "%s%s", file->prefix, word);
    return archive_find(file->archive, name, index_out);
}

static bool check_byte_order(struct torch_file *file, struct import_error *error)
{
    struct archive_bytes order;
    size_t index;
    bool good;
    if (!find_entry(file, "byteorder", &index))
        return true;
    if (!archive_read(file->archive, index, &order, error->text, sizeof error->text))
        return false;
    good = order.n_bytes == 6 && memcmp(order.bytes, "little", 6) == 0;
    free(order.bytes);
    return good || import_fail(error, "entry '%sbyteorder' is not \"little\"; save the file on a machine "
                                      "with that byte order", file->prefix);
}

static bool open_zip(struct torch_file *file, struct import_error *error)
{
    size_t index = 0, unused;
    if (!archive_open(file->bytes, file->n_bytes, NULL, &file->archive, error->text, sizeof error->text))
        return false;
    file->unpacked = calloc(archive_count(file->archive) + 1, sizeof *file->unpacked);
    if (!file->unpacked)
        return import_fail(error, "out of memory");
    if (!find_pickle(file->archive, file->prefix, sizeof file->prefix, &index))
        return import_fail(error, "the zip archive has no NAME/data.pkl");
    file->form = find_entry(file, "constants.pkl", &unused) ? TORCH_SCRIPT : TORCH_ZIP;
    return check_byte_order(file, error) &&
           archive_read(file->archive, index, &file->data, error->text, sizeof error->text) &&
           pickle_read(file->data.bytes, file->data.n_bytes, callees, &file->pickle, error->text,
                       sizeof error->text);
}

/* ---- storages ------------------------------------------------------------ */

static const struct {
    const char *name;
    enum named_dtype dtype;
} storage_types[] = {
    {"FloatStorage", NT_F32}, {"DoubleStorage", NT_F64}, {"HalfStorage", NT_F16},
    {"BFloat16Storage", NT_BF16}, {"LongStorage", NT_I64}, {"IntStorage", NT_I32},
    {"ShortStorage", NT_I16}, {"CharStorage", NT_I8}, {"ByteStorage", NT_U8},
    {"BoolStorage", NT_BOOL}, {"ComplexFloatStorage", NT_C64},
};

static bool read_storage_type(const struct torch_file *file, const struct pickle_value *class,
                              const char *tensor,
                              struct torch_storage *out, struct import_error *error)
{
    char text[120];
    out->untyped = pickle_is_global(class, "torch.storage", "UntypedStorage") ||
                   pickle_is_global(class, "torch", "UntypedStorage");
    if (out->untyped) {
        out->dtype = NT_U8;
        return true;
    }
    for (size_t i = 0; i < sizeof storage_types / sizeof *storage_types; i++) {
        if (pickle_is_global(class, "torch", storage_types[i].name) ||
            pickle_is_global(class, "torch.cuda", storage_types[i].name)) {
            out->dtype = storage_types[i].dtype;
            return true;
        }
    }
    return import_fail(error, "tensor '%s': it lies in %s, which is no storage of numbers known here", tensor,
                       pickle_describe(&file->pickle, class, text, sizeof text));
}

/* A storage's id taken apart. */
struct storage_id {
    struct pickle_bytes key;
    uint64_t count;          /* elements */
    uint64_t offset;         /* of a legacy view's first element */
};

static bool read_count(const struct pickle_value *value, uint64_t *out)
{
    if (!value || value->type != PICKLE_INT || value->as.integer < 0)
        return false;
    *out = (uint64_t)value->as.integer;
    return true;
}

/* ("storage", class, key, location, count), in legacy files with a sixth item: None, or (key, offset,
 * count) of a view. */
static bool read_id(const struct torch_file *file, const struct pickle_value *value, const char *tensor,
                    struct storage_id *id, struct torch_storage *out, struct import_error *error)
{
    const struct pickle *pickle = &file->pickle;
    const struct pickle_value *tuple =
        value && value->type == PICKLE_PERSISTENT ? pickle_get(pickle, value->as.record.arguments) : NULL;
    const struct pickle_value *key = pickle_item(pickle, tuple, 2), *view = pickle_item(pickle, tuple, 5);
    *id = (struct storage_id){{NULL, 0}, 0, 0};
    if (!tuple || tuple->type != PICKLE_TUPLE || !pickle_is_text(pickle_item(pickle, tuple, 0), "storage") ||
        !key ||
        key->type != PICKLE_TEXT || key->as.bytes.n == 0 || !read_count(pickle_item(pickle, tuple, 4),
                                                                        &id->count))
        return import_fail(error, "tensor '%s': its storage is not described as (\"storage\", type, key, "
                                  "location, count)", tensor);
    id->key = key->as.bytes;
    if (view && view->type == PICKLE_TUPLE &&
        (!read_count(pickle_item(pickle, view, 1), &id->offset) || !read_count(pickle_item(pickle, view, 2),
                                                                               &id->count)))
        return import_fail(error, "tensor '%s': the view of its storage is not described as (key, offset, "
                                  "count)",
                           tensor);
    return read_storage_type(file, pickle_item(pickle, tuple, 1), tensor, out, error);
}

/* The storage's bytes: [first, first + n) of what is there, `have` bytes at `data`. */
static bool set_bytes(const struct storage_id *id, const uint8_t *data, uint64_t have, const char *tensor,
                      struct torch_storage *out, struct import_error *error)
{
    uint64_t size = named_dtype_bits(out->dtype) / 8, first, end;
    if (__builtin_mul_overflow(id->count, size, &out->n_bytes) ||
        __builtin_mul_overflow(id->offset, size, &first) || __builtin_add_overflow(first, out->n_bytes,
                                                                                   &end) ||
        end > have)
        return import_fail(error, "tensor '%s': storage '%.*s' is said to have %llu numbers of type %s, but "
                                  "its data "
                           "have %llu bytes", tensor, (int)(id->key.n > 60 ? 60 : id->key.n), id->key.start,
                           (unsigned long long)id->count, named_dtype_name(out->dtype),
                           (unsigned long long)have);
    out->data = data + first;
    return true;
}

static bool storage_of_zip(struct torch_file *file, const struct storage_id *id, const char *tensor,
                           struct torch_storage *out, struct import_error *error)
{
    char word[200];
    size_t index;
    snprintf(word, sizeof word, "data/%.*s", (int)(id->key.n > 100 ? 100 : id->key.n), id->key.start);
    if (!find_entry(file, word, &index))
        return import_fail(error, "tensor '%s': the archive has no entry '%s%s' with its storage", tensor,
                           file->prefix, word);
    if (!file->unpacked[index].bytes &&
        !archive_read(file->archive, index, &file->unpacked[index], error->text, sizeof error->text))
        return false;
    return set_bytes(id, file->unpacked[index].bytes, file->unpacked[index].n_bytes, tensor, out, error);
}

static bool storage_of_legacy(struct torch_file *file, const struct storage_id *id, const char *tensor,
                              struct torch_storage *out, struct import_error *error)
{
    char key[101];
    const json_t *place;
    snprintf(key, sizeof key, "%.*s", (int)(id->key.n > 100 ? 100 : id->key.n), id->key.start);
    place = json_object_get(file->places, key);
    if (!place)
        return import_fail(error, "tensor '%s': the file has no storage '%s'", tensor, key);
    return set_bytes(id, file->bytes + json_integer_value(json_array_get(place, 0)),
                     (uint64_t)json_integer_value(json_array_get(place, 1)), tensor, out, error);
}

bool torch_file_storage(struct torch_file *file, const struct pickle_value *value, const char *tensor,
                        struct torch_storage *out, struct import_error *error)
{
    struct storage_id id;
    memset(out, 0, sizeof *out);
    if (!read_id(file, value, tensor, &id, out, error))
        return false;
    if (file->form == TORCH_PICKLE)
        return import_fail(error, "tensor '%s': its storage is not in this file", tensor);
    return file->form == TORCH_LEGACY ? storage_of_legacy(file, &id, tensor, out, error)
                                      : storage_of_zip(file, &id, tensor, out, error);
}

/* ---- legacy -------------------------------------------------------------- */

/* A pickle at *at, which moves behind it. */
static bool next_pickle(const struct torch_file *file, size_t *at, struct pickle *out,
                        struct import_error *error)
{
    char reason[400];
    if (!pickle_read(file->bytes + *at, file->n_bytes - *at, callees, out, reason, sizeof reason))
        return import_fail(error, "at byte %zu: %s", *at, reason);
    *at += out->n_bytes;
    return true;
}

/* The third pickle, {"little_endian": True, …}. */
static bool check_system(const struct torch_file *file, size_t *at, struct import_error *error)
{
    struct pickle system;
    const struct pickle_value *little;
    bool good;
    if (!next_pickle(file, at, &system, error))
        return false;
    little = pickle_lookup(&system, pickle_get(&system, system.root), "little_endian");
    good = !little || (little->type == PICKLE_BOOL && little->as.integer);
    pickle_free(&system);
    return good || import_fail(error, "the file was saved on a machine of the other byte order");
}

/* The sizes of elements, by storage key, as the object pickle has them. */
static bool read_sizes(const struct torch_file *file, json_t *sizes, struct import_error *error)
{
    for (uint32_t i = 0; i < file->pickle.n_values; i++) {
        const struct pickle_value *value = &file->pickle.values[i];
        struct torch_storage storage = {0};
        struct storage_id id;
        struct import_error unused;
        if (value->type != PICKLE_PERSISTENT || !read_id(file, value, "", &id, &storage, &unused))
            continue; /* a module's source text, say; looked at where it is used */
        json_t *key = json_stringn_nocheck(id.key.start, id.key.n > 100 ? 100 : id.key.n);
        int bad = key ? json_object_set_new_nocheck(sizes, json_string_value(key),
                                                    json_integer(named_dtype_bits(storage.dtype) / 8)) : -1;
        json_decref(key);
        if (bad)
            return import_fail(error, "out of memory");
    }
    return true;
}

/* One storage at *at: its count, then its elements. */
static bool place_storage(struct torch_file *file, const struct pickle_value *key, const json_t *sizes,
                          size_t *at,
                          struct import_error *error)
{
    char name[101];
    uint64_t count = 0, n_bytes;
    if (!key || key->type != PICKLE_TEXT)
        return import_fail(error, "the list of storages has an item that is no key");
    snprintf(name, sizeof name, "%.*s", (int)(key->as.bytes.n > 100 ? 100 : key->as.bytes.n),
             key->as.bytes.start);
    if (file->n_bytes - *at < 8)
        return import_fail(error, "byte %zu: the file ends before storage '%s'", *at, name);
    for (unsigned i = 0; i < 8; i++)
        count |= (uint64_t)file->bytes[*at + i] << 8 * i;
    *at += 8;
    n_bytes = (uint64_t)json_integer_value(json_object_get(sizes, name));
    if (__builtin_mul_overflow(n_bytes, count, &n_bytes) || n_bytes > file->n_bytes - *at)
        return import_fail(error, "byte %zu: storage '%s' is said to have %llu numbers, %zu bytes are left",
                           *at - 8,
                           name, (unsigned long long)count, file->n_bytes - *at);
    if (json_object_set_new_nocheck(file->places, name,
                                    json_pack("[I,I]", (json_int_t)*at, (json_int_t)n_bytes)))
        return import_fail(error, "out of memory");
    *at += (size_t)n_bytes;
    return true;
}

static bool place_storages(struct torch_file *file, size_t at, struct import_error *error)
{
    struct pickle keys;
    const struct pickle_value *list;
    json_t *sizes = json_object();
    bool good;
    if (!next_pickle(file, &at, &keys, error)) {
        json_decref(sizes);
        return false;
    }
    file->places = json_object();
    list = pickle_get(&keys, keys.root);
    good = sizes && file->places ? read_sizes(file, sizes, error) : import_fail(error, "out of memory");
    if (good && list->type != PICKLE_LIST)
        good = import_fail(error, "the last pickle is no list of storages");
    for (uint32_t i = 0; good && i < list->n_items; i++)
        good = place_storage(file, pickle_item(&keys, list, i), sizes, &at, error);
    pickle_free(&keys);
    json_decref(sizes);
    return good;
}

static bool open_legacy(struct torch_file *file, struct import_error *error)
{
    struct pickle protocol;
    size_t at = sizeof legacy_start;
    bool known;
    file->form = TORCH_LEGACY;
    if (!next_pickle(file, &at, &protocol, error))
        return false;
    const struct pickle_value *version = pickle_get(&protocol, protocol.root);
    known = version->type == PICKLE_INT && version->as.integer == 1001;
    pickle_free(&protocol);
    if (!known)
        return import_fail(error, "the legacy file is not of PyTorch's protocol 1001");
    return check_system(file, &at, error) && next_pickle(file, &at, &file->pickle, error) &&
           place_storages(file, at, error);
}

/* ---- all forms ----------------------------------------------------------- */

bool torch_file_open(const uint8_t *bytes, size_t n_bytes, struct torch_file *out, struct import_error *error)
{
    *out = (struct torch_file){.form = TORCH_PICKLE, .bytes = bytes, .n_bytes = n_bytes};
    if (is_legacy(bytes, n_bytes))
        return open_legacy(out, error);
    if (torch_file_recognise_pickle(bytes, n_bytes))
        return pickle_read(bytes, n_bytes, callees, &out->pickle, error->text, sizeof error->text);
    return open_zip(out, error);
}

void torch_file_close(struct torch_file *file)
{
    size_t n_entries = file->archive ? archive_count(file->archive) : 0;
    for (size_t i = 0; file->unpacked && i < n_entries; i++)
        free(file->unpacked[i].bytes);
    for (uint32_t i = 0; file->decoded && i < file->pickle.n_values; i++)
        free(file->decoded[i]);
    free(file->unpacked);
    free(file->decoded);
    pickle_free(&file->pickle);
    free(file->data.bytes);
    archive_close(file->archive);
    json_decref(file->places);
    memset(file, 0, sizeof *file);
}
