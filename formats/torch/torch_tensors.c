/* SPDX-License-Identifier: MIT
 *
 * What pickles say of a tensor: PyTorch's calls that rebuild one from a storage, and
 * NumPy's that rebuild an array from bytes. See torch_file.h.
 */
#include <stdlib.h>
#include <string.h>

#include "formats/torch/torch_file.h"

/* A tensor under construction. */
struct rebuilding {
    struct torch_file *file;
    const char *name;
    struct named_tensor *out;
    struct import_error *error;
};

static bool is_call(const struct torch_file *file, const struct pickle_value *value, const char *module,
                    const char *name)
{
    return pickle_is_global(pickle_callee_of(&file->pickle, value), module, name);
}

static const struct pickle_value *argument(const struct torch_file *file, const struct pickle_value *call,
                                           uint32_t i)
{
    return pickle_item(&file->pickle, pickle_get(&file->pickle, call->as.record.arguments), i);
}

static bool is_array(const struct torch_file *file, const struct pickle_value *value)
{
    return is_call(file, value, "numpy.core.multiarray", "_reconstruct") ||
           is_call(file, value, "numpy._core.multiarray", "_reconstruct") ||
           is_call(file, value, "numpy.core.numeric", "_frombuffer") ||
           is_call(file, value, "numpy._core.numeric", "_frombuffer");
}

static bool is_parameter(const struct torch_file *file, const struct pickle_value *value)
{
    return is_call(file, value, "torch._utils", "_rebuild_parameter") ||
           is_call(file, value, "torch._utils", "_rebuild_parameter_with_state");
}

static bool is_subclass(const struct torch_file *file, const struct pickle_value *value)
{
    return is_call(file, value, "torch._tensor", "_rebuild_from_type_v2");
}

bool torch_is_tensor(const struct torch_file *file, const struct pickle_value *value)
{
    const struct pickle_value *callee = pickle_callee_of(&file->pickle, value);
    if (!callee || callee->type != PICKLE_GLOBAL)
        return false;
    return is_array(file, value) || is_subclass(file, value) ||
           (callee->as.global.n_module == strlen("torch._utils") &&
            memcmp(callee->as.global.module, "torch._utils", callee->as.global.n_module) == 0 &&
            callee->as.global.n_name > 9 && memcmp(callee->as.global.name, "_rebuild_", 9) == 0);
}

/* ---- shapes -------------------------------------------------------------- */

static bool read_dims(const struct rebuilding *work, const struct pickle_value *tuple, const char *what,
                      uint64_t *dims)
{
    if (!tuple || tuple->type != PICKLE_TUPLE)
        return import_fail(work->error, "tensor '%s': its %s is no tuple", work->name, what);
    if (tuple->n_items > NAMED_MAX_RANK)
        return import_fail(work->error, "tensor '%s': %u dimensions, at most %d are read", work->name,
                           tuple->n_items,
                           NAMED_MAX_RANK);
    for (uint32_t i = 0; i < tuple->n_items; i++) {
        const struct pickle_value *item = pickle_item(&work->file->pickle, tuple, i);
        if (item->type != PICKLE_INT || item->as.integer < 0)
            return import_fail(work->error, "tensor '%s': item %u of its %s is no whole number from 0 on",
                               work->name,
                               i, what);
        dims[i] = (uint64_t)item->as.integer;
    }
    work->out->rank = tuple->n_items;
    return true;
}

static bool too_large(const struct rebuilding *work)
{
    return import_fail(work->error, "tensor '%s': the numbers of its shape and strides do not fit 64 bits",
                       work->name);
}

/* count, and the elements from the first to the end of the last one. */
static bool read_extent(const struct rebuilding *work, uint64_t *extent_out)
{
    struct named_tensor *out = work->out;
    uint64_t extent = 1, step;
    out->count = 1;
    for (uint32_t i = 0; i < out->rank; i++)
        if (__builtin_mul_overflow(out->count, out->dims[i], &out->count))
            return too_large(work);
    for (uint32_t i = 0; i < out->rank && out->count; i++)
        if (__builtin_mul_overflow(out->dims[i] - 1, out->strides[i], &step) ||
            __builtin_add_overflow(extent, step, &extent))
            return too_large(work);
    *extent_out = out->count ? extent : 0;
    return true;
}

static bool is_row_major(const struct named_tensor *tensor)
{
    uint64_t expected = 1;
    for (uint32_t i = tensor->rank; i-- > 0;) {
        if (tensor->dims[i] > 1 && tensor->strides[i] != expected)
            return false;
        expected *= tensor->dims[i];
    }
    return true;
}

/* `offset` elements into `n_bytes` of elements at `data`. */
static bool place(const struct rebuilding *work, const uint8_t *data, uint64_t n_bytes, uint64_t offset)
{
    struct named_tensor *out = work->out;
    uint64_t size = named_dtype_bits(out->dtype) / 8, extent = 0, end;
    if (!read_extent(work, &extent))
        return false;
    if (__builtin_add_overflow(offset, extent, &end))
        return too_large(work);
    if (end > n_bytes / size)
        return import_fail(work->error, "tensor '%s': it reaches to number %llu of its storage, which has "
                                        "%llu",
                           work->name, (unsigned long long)end, (unsigned long long)(n_bytes / size));
    out->strided = !is_row_major(out);
    out->data = data + offset * size;
    out->n_bytes = extent * size;
    return true;
}

/* ---- PyTorch ------------------------------------------------------------- */

static const struct {
    const char *name;
    enum named_dtype dtype;
} torch_types[] = {
    {"float32", NT_F32}, {"float64", NT_F64}, {"float16", NT_F16}, {"bfloat16", NT_BF16},
    {"int64", NT_I64},   {"int32", NT_I32},   {"int16", NT_I16},   {"int8", NT_I8},
    {"uint8", NT_U8},    {"uint16", NT_U16},  {"uint32", NT_U32},  {"uint64", NT_U64},
    {"bool", NT_BOOL},   {"complex64", NT_C64},
};

static bool read_torch_type(const struct rebuilding *work, const struct pickle_value *value)
{
    char text[120];
    for (size_t i = 0; i < sizeof torch_types / sizeof *torch_types; i++) {
        if (pickle_is_global(value, "torch", torch_types[i].name)) {
            work->out->dtype = torch_types[i].dtype;
            return true;
        }
    }
    return import_fail(work->error, "tensor '%s': its type is %s, which is not known here", work->name,
                       pickle_describe(&work->file->pickle, value, text, sizeof text));
}

/* Views that mean other numbers than those stored. */
static bool check_bits(const struct rebuilding *work, const struct pickle_value *metadata)
{
    static const char *const bits[] = {"neg", "conj"};
    for (size_t i = 0; i < sizeof bits / sizeof *bits; i++) {
        const struct pickle_value *bit = pickle_lookup(&work->file->pickle, metadata, bits[i]);
        if (bit && bit->as.integer)
            return import_fail(work->error, "tensor '%s': a lazy view (%s); save it resolved", work->name,
                               bits[i]);
    }
    return true;
}

/* (storage, offset, size, stride, requires_grad, hooks, metadata), v3 with a type before the metadata. */
static bool rebuild(const struct rebuilding *work, const struct pickle_value *call, bool with_type)
{
    const struct torch_file *file = work->file;
    const struct pickle_value *offset = argument(file, call, 1);
    struct torch_storage storage;
    if (!torch_file_storage(work->file, argument(file, call, 0), work->name, &storage, work->error))
        return false;
    work->out->dtype = storage.dtype;
    if (with_type && !read_torch_type(work, argument(file, call, 6)))
        return false;
    if (storage.untyped && !with_type)
        return import_fail(work->error, "tensor '%s': its storage does not say the type of its numbers",
                           work->name);
    if (!offset || offset->type != PICKLE_INT || offset->as.integer < 0)
        return import_fail(work->error, "tensor '%s': its offset is no whole number from 0 on", work->name);
    if (!read_dims(work, argument(file, call, 3), "stride", work->out->strides))
        return false;
    uint32_t n_strides = work->out->rank;
    if (!read_dims(work, argument(file, call, 2), "shape", work->out->dims))
        return false;
    if (n_strides != work->out->rank)
        return import_fail(work->error, "tensor '%s': %u strides for %u dimensions", work->name, n_strides,
                           work->out->rank);
    return check_bits(work, argument(file, call, with_type ? 7 : 6)) &&
           place(work, storage.data, storage.n_bytes, (uint64_t)offset->as.integer);
}

/* _rebuild_from_type_v2(function, class, arguments, state): the same call with a class around it. */
static bool rebuild_subclass(const struct rebuilding *work, const struct pickle_value *call)
{
    const struct torch_file *file = work->file;
    const struct pickle_value *function = argument(file, call, 0), *arguments = argument(file, call, 2);
    struct pickle_value inner = *call;
    char text[120];
    bool v3 = pickle_is_global(function, "torch._utils", "_rebuild_tensor_v3");
    if (!arguments || (!v3 && !pickle_is_global(function, "torch._utils", "_rebuild_tensor_v2")))
        return import_fail(work->error, "tensor '%s': it is rebuilt by %s, which is not known here",
                           work->name,
                           pickle_describe(&file->pickle, function, text, sizeof text));
    inner.as.record.arguments = (uint32_t)(arguments - file->pickle.values);
    return rebuild(work, &inner, v3);
}

/* ---- NumPy --------------------------------------------------------------- */

static const struct {
    const char *name;
    enum named_dtype dtype;
} numpy_types[] = {
    {"f4", NT_F32}, {"f8", NT_F64}, {"f2", NT_F16}, {"i8", NT_I64}, {"i4", NT_I32}, {"i2", NT_I16},
    {"i1", NT_I8},  {"u8", NT_U64}, {"u4", NT_U32}, {"u2", NT_U16}, {"u1", NT_U8},  {"b1", NT_BOOL},
};

/* dtype("f4", …) with the state (3, "<", …). */
static bool read_numpy_type(const struct rebuilding *work, const struct pickle_value *value)
{
    const struct torch_file *file = work->file;
    const struct pickle_value *name, *state, *order;
    if (!is_call(file, value, "numpy", "dtype"))
        return import_fail(work->error, "array '%s': its type is not described by numpy.dtype", work->name);
    name = argument(file, value, 0);
    state = pickle_get(&file->pickle, value->as.record.state);
    order = pickle_item(&file->pickle, state, 1);
    if (pickle_is_text(order, ">"))
        return import_fail(work->error, "array '%s': big-endian; save it in little-endian order", work->name);
    for (size_t i = 0; i < sizeof numpy_types / sizeof *numpy_types; i++) {
        if (pickle_is_text(name, numpy_types[i].name)) {
            work->out->dtype = numpy_types[i].dtype;
            return true;
        }
    }
    return import_fail(work->error, "array '%s': elements of type '%.*s', which are no numbers known here",
                       work->name,
                       name &&
                       name->type == PICKLE_TEXT ? (int)(name->as.bytes.n > 20 ? 20 : name->as.bytes.n) : 1,
                       name && name->type == PICKLE_TEXT ? name->as.bytes.start : "?");
}

static bool set_strides(const struct rebuilding *work, bool fortran)
{
    struct named_tensor *out = work->out;
    uint64_t stride = 1;
    for (uint32_t i = 0; i < out->rank; i++) {
        uint32_t axis = fortran ? i : out->rank - 1 - i;
        out->strides[axis] = stride;
        if (__builtin_mul_overflow(stride, out->dims[axis], &stride))
            return too_large(work);
    }
    return true;
}

static bool place_array(const struct rebuilding *work, const struct pickle_value *shape,
                        const struct pickle_value *type, bool fortran, const struct pickle_value *data)
{
    struct pickle_bytes bytes;
    return read_dims(work, shape, "shape", work->out->dims) && read_numpy_type(work, type) &&
           set_strides(work, fortran) && torch_file_bytes(work->file, data, work->name, &bytes,
                                                          work->error) &&
           place(work, (const uint8_t *)bytes.start, bytes.n, 0);
}

/* _reconstruct(ndarray, (0,), b"b") with the state (version, shape, type, fortran order, bytes); or
 * _frombuffer(bytes, type, shape, order). */
static bool rebuild_array(const struct rebuilding *work, const struct pickle_value *call)
{
    const struct torch_file *file = work->file;
    const struct pickle *pickle = &file->pickle;
    const struct pickle_value *state = pickle_get(pickle, call->as.record.state), *fortran;
    if (!is_call(file, call, "numpy.core.multiarray", "_reconstruct") &&
        !is_call(file, call, "numpy._core.multiarray", "_reconstruct"))
        return place_array(work, argument(file, call, 2), argument(file, call, 1),
                           pickle_is_text(argument(file, call, 3), "F"), argument(file, call, 0));
    if (!state || state->type != PICKLE_TUPLE || state->n_items != 5)
        return import_fail(work->error, "array '%s': its state is not (version, shape, type, order, bytes)",
                           work->name);
    fortran = pickle_item(pickle, state, 3);
    return place_array(work, pickle_item(pickle, state, 1), pickle_item(pickle, state, 2),
                       (fortran->type == PICKLE_BOOL || fortran->type == PICKLE_INT) && fortran->as.integer,
                       pickle_item(pickle, state, 4));
}

/* Latin-1 text in UTF-8, as Python 3 writes bytes for protocol 2, back to bytes; malloc'd. */
static uint8_t *decode(const struct pickle_value *text, size_t *n_out)
{
    const uint8_t *from = (const uint8_t *)text->as.bytes.start, *end = from + text->as.bytes.n;
    uint8_t *bytes = malloc(text->as.bytes.n + 1);
    *n_out = 0;
    while (bytes && from < end) {
        bool two = from + 1 < end && (from[0] == 0xc2 || from[0] == 0xc3) && (from[1] & 0xc0) == 0x80;
        if (!two && *from >= 0x80) {
            free(bytes);
            return NULL;
        }
        bytes[(*n_out)++] = two ? (uint8_t)(from[0] << 6 | (from[1] & 0x3f)) : *from;
        from += 1 + two;
    }
    return bytes;
}

static bool decode_once(struct torch_file *file, const struct pickle_value *text, const char *tensor,
                        struct pickle_bytes *out, struct import_error *error)
{
    size_t index = (size_t)(text - file->pickle.values), n;
    if (!file->decoded)
        file->decoded = calloc(file->pickle.n_values, sizeof *file->decoded);
    if (!file->decoded)
        return import_fail(error, "out of memory");
    if (!file->decoded[index]) {
        uint8_t *bytes = decode(text, &n);
        uint8_t *kept = bytes ? malloc(n + sizeof n) : NULL;
        if (kept) { /* their number, then the bytes */
            memcpy(kept, &n, sizeof n);
            memcpy(kept + sizeof n, bytes, n);
        }
        free(bytes);
        file->decoded[index] = kept;
        if (!kept)
            return import_fail(error, "array '%s': its text is not of bytes in latin1", tensor);
    }
    memcpy(&n, file->decoded[index], sizeof n);
    *out = (struct pickle_bytes){(const char *)file->decoded[index] + sizeof n, n};
    return true;
}

bool torch_file_bytes(struct torch_file *file, const struct pickle_value *value, const char *tensor,
                      struct pickle_bytes *out, struct import_error *error)
{
    if (is_call(file, value, "_codecs", "encode")) {
        const struct pickle_value *text = argument(file, value, 0), *coding = argument(file, value, 1);
        if (text && text->type == PICKLE_TEXT && pickle_is_text(coding, "latin1"))
            return decode_once(file, text, tensor, out, error);
    }
    if (is_call(file, value, "builtins", "bytearray") || is_call(file, value, "__builtin__", "bytearray"))
        value = argument(file, value, 0);
    if (!value || (value->type != PICKLE_BYTES && value->type != PICKLE_TEXT))
        return import_fail(error, "array '%s': its data are no bytes", tensor);
    *out = value->as.bytes;
    return true;
}

/* ---- all ----------------------------------------------------------------- */

bool torch_tensor_of(struct torch_file *file, const struct pickle_value *value, const char *name,
                     struct named_tensor *out, struct import_error *error)
{
    const struct rebuilding work = {file, name, out, error};
    char text[120];
    memset(out, 0, sizeof *out);
    out->name = name;
    for (unsigned wrapped = 0; wrapped < 4 && is_parameter(file, value); wrapped++)
        value = argument(file, value, 0);
    if (!value || !torch_is_tensor(file, value))
        return import_fail(error, "tensor '%s': expected a tensor, found %s", name,
                           pickle_describe(&file->pickle, value, text, sizeof text));
    if (is_array(file, value))
        return rebuild_array(&work, value);
    if (is_subclass(file, value))
        return rebuild_subclass(&work, value);
    if (is_call(file, value, "torch._utils", "_rebuild_tensor") ||
        is_call(file, value, "torch._utils", "_rebuild_tensor_v2"))
        return rebuild(&work, value, false);
    if (is_call(file, value, "torch._utils", "_rebuild_tensor_v3"))
        return rebuild(&work, value, true);
    return import_fail(error, "tensor '%s': it is rebuilt by %s, which is not supported", name,
                       pickle_describe(&file->pickle, value, text, sizeof text));
}
