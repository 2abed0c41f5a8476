/* SPDX-License-Identifier: MIT
 *
 * Constants of an ONNX graph: its tensors, checked against the bytes that are there and
 * decoded.
 */
#include "formats/onnx/onnx_internal.h"

#include <inttypes.h>
#include <string.h>

size_t onnx_extent(const struct onnx_const *c, uint32_t axis)
{
    return onnx_is_plain(c->dims[axis]) ? (size_t)c->dims[axis].offset : 1;
}

void *onnx_const_alloc(struct onnx_import *import, struct onnx_const *c)
{
    size_t count = 1, size = c->is_int ? sizeof *c->ints : sizeof *c->floats;
    void *data;
    for (uint32_t i = 0; i < c->rank; i++) {
        if (onnx_is_plain(c->dims[i]) && c->dims[i].offset < 0) {
            onnx_fail(import, "a constant's dimension is negative");
            return NULL;
        }
        if (__builtin_mul_overflow(count, onnx_extent(c, i), &count)) {
            onnx_fail(import, "a constant's dimensions are too large");
            return NULL;
        }
    }
    c->count = count;
    data = onnx_alloc(import, count + (count == 0), size);
    if (c->is_int)
        c->ints = data;
    else
        c->floats = data;
    return data;
}

/* ---- tensors ------------------------------------------------------------- */

struct dtype_row {
    enum onnx_dtype dtype;
    const char *name;
    unsigned n_bytes; /* in raw_data */
    bool is_int;
    bool is_signed;
    enum import_dtype float_type;
};

static const struct dtype_row dtype_rows[] = {
    {ONNX_FLOAT, "float", 4, false, true, IMPORT_F32},
    {ONNX_DOUBLE, "double", 8, false, true, IMPORT_F64},
    {ONNX_FLOAT16, "float16", 2, false, true, IMPORT_F16},
    {ONNX_BFLOAT16, "bfloat16", 2, false, true, IMPORT_BF16},
    {ONNX_INT64, "int64", 8, true, true, 0},
    {ONNX_INT32, "int32", 4, true, true, 0},
    {ONNX_INT16, "int16", 2, true, true, 0},
    {ONNX_INT8, "int8", 1, true, true, 0},
    {ONNX_UINT8, "uint8", 1, true, false, 0},
    {ONNX_UINT16, "uint16", 2, true, false, 0},
    {ONNX_UINT32, "uint32", 4, true, false, 0},
    {ONNX_BOOL, "bool", 1, true, false, 0},
};

static const struct dtype_row *find_dtype(int32_t dtype)
{
    for (size_t i = 0; i < sizeof dtype_rows / sizeof *dtype_rows; i++)
        if (dtype_rows[i].dtype == (enum onnx_dtype)dtype)
            return &dtype_rows[i];
    return NULL;
}

static int64_t load_int(const uint8_t *bytes, const struct dtype_row *row)
{
    uint64_t value = 0;
    unsigned n_bits = 8 * row->n_bytes;
    for (unsigned i = 0; i < row->n_bytes; i++)
        value |= (uint64_t)bytes[i] << (8 * i);
    if (row->is_signed && n_bits < 64 && value >> (n_bits - 1) & 1)
        value |= ~UINT64_C(0) << n_bits;
    return (int64_t)value;
}

/* The numbers lie in raw_data or in the field of their type. */
struct payload {
    const void *bytes; /* little-endian; NULL: in int32_data, one element each */
    size_t count;
    bool raw;
};

static struct payload find_payload(const Onnx__TensorProto *tensor, const struct dtype_row *row)
{
    if (tensor->has_raw_data)
        return (struct payload){tensor->raw_data.data, tensor->raw_data.len / row->n_bytes, true};
    switch (row->dtype) {
    case ONNX_FLOAT: return (struct payload){tensor->float_data, tensor->n_float_data, false};
    case ONNX_DOUBLE: return (struct payload){tensor->double_data, tensor->n_double_data, false};
    case ONNX_INT64: return (struct payload){tensor->int64_data, tensor->n_int64_data, false};
    case ONNX_UINT32: return (struct payload){tensor->uint64_data, tensor->n_uint64_data, false};
    default: return (struct payload){NULL, tensor->n_int32_data, false};
    }
}

static void decode_ints(const Onnx__TensorProto *tensor, const struct dtype_row *row,
                        struct payload from, size_t count, struct onnx_int *out)
{
    for (size_t i = 0; i < count; i++) {
        if (from.raw)
            out[i] = onnx_plain(load_int((const uint8_t *)from.bytes + i * row->n_bytes, row));
        else if (row->dtype == ONNX_INT64)
            out[i] = onnx_plain(tensor->int64_data[i]);
        else if (row->dtype == ONNX_UINT32)
            out[i] = onnx_plain((int64_t)tensor->uint64_data[i]);
        else
            out[i] = onnx_plain(tensor->int32_data[i]);
    }
}

/* Halves outside raw_data are the low 16 bits of an int32 each. */
static bool decode_halves(struct onnx_import *import, const Onnx__TensorProto *tensor,
                          const struct dtype_row *row, const char *name, float *out)
{
    for (size_t i = 0; i < tensor->n_int32_data; i++) {
        uint32_t bits = (uint32_t)tensor->int32_data[i];
        uint8_t bytes[2] = {(uint8_t)bits, (uint8_t)(bits >> 8)};
        if (!import_numbers(&import->source, name, row->float_type, bytes, 1, &out[i],
                            import->error))
            return false;
    }
    return true;
}

static bool decode_floats(struct onnx_import *import, const Onnx__TensorProto *tensor,
                          const struct dtype_row *row, const char *name, float *out)
{
    struct payload from = find_payload(tensor, row);
    if (!from.raw && (row->dtype == ONNX_FLOAT16 || row->dtype == ONNX_BFLOAT16))
        return decode_halves(import, tensor, row, name, out);
    if (from.raw || __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__)
        return import_numbers(&import->source, name, row->float_type, from.bytes, from.count, out,
                              import->error);
    return import_fail(import->error, "tensor '%s': numbers outside raw_data are read on "
                       "little-endian machines only", name);
}

static bool check_stored_here(struct onnx_import *import, const Onnx__TensorProto *tensor,
                              const char *name)
{
    if (tensor->data_location == 1 || tensor->n_external_data) {
        const char *file = "?";
        for (size_t i = 0; i < tensor->n_external_data; i++)
            if (tensor->external_data[i]->key && tensor->external_data[i]->value &&
                strcmp(tensor->external_data[i]->key, "location") == 0)
                file = tensor->external_data[i]->value;
        return import_fail(import->error, "tensor '%s' is stored in another file, '%s'; save the "
                           "model with its weights inside (onnx.save without external data, "
                           "torch.onnx.export with external_data=False)", name, file);
    }
    if (tensor->has_segment)
        return import_fail(import->error, "tensor '%s' is stored in segments, which are not "
                           "supported", name);
    return true;
}

static bool read_dims(struct onnx_import *import, const Onnx__TensorProto *tensor,
                      const char *name, struct onnx_const *out)
{
    if (tensor->n_dims > ONNX_MAX_AXES)
        return import_fail(import->error, "tensor '%s' has %zu dimensions; up to %d are supported",
                           name, tensor->n_dims, ONNX_MAX_AXES);
    out->rank = (uint32_t)tensor->n_dims;
    for (uint32_t i = 0; i < out->rank; i++) {
        if (tensor->dims[i] < 0 || tensor->dims[i] > INT32_MAX)
            return import_fail(import->error, "tensor '%s' has a dimension of %" PRId64, name,
                               tensor->dims[i]);
        out->dims[i] = onnx_plain(tensor->dims[i]);
    }
    return true;
}

/* Against the bytes that are there, before anything is made. */
static bool check_count(struct onnx_import *import, const Onnx__TensorProto *tensor,
                        const struct dtype_row *row, const char *name,
                        const struct onnx_const *shape)
{
    struct payload from = find_payload(tensor, row);
    uint64_t count = 1;
    for (uint32_t i = 0; i < shape->rank; i++)
        if (__builtin_mul_overflow(count, (uint64_t)shape->dims[i].offset, &count))
            count = UINT64_MAX;
    if (count != from.count || (from.raw && tensor->raw_data.len % row->n_bytes))
        return import_fail(import->error, "tensor '%s': its dimensions ask for %" PRIu64
                           " numbers of type %s, the file has %zu", name, count, row->name,
                           from.count);
    return true;
}

bool onnx_decode(struct onnx_import *import, const Onnx__TensorProto *tensor, const char *name,
                 struct onnx_const *out)
{
    const struct dtype_row *row = find_dtype(tensor->data_type);
    void *data;
    *out = (struct onnx_const){0};
    if (!check_stored_here(import, tensor, name))
        return false;
    if (!row)
        return import_fail(import->error, "tensor '%s' has element type %d of the ONNX "
                           "specification, which is not supported", name, (int)tensor->data_type);
    if (!read_dims(import, tensor, name, out) || !check_count(import, tensor, row, name, out))
        return false;
    out->is_int = row->is_int;
    data = onnx_const_alloc(import, out);
    if (!data)
        return false;
    if (!row->is_int)
        return out->count == 0 || decode_floats(import, tensor, row, name, data);
    decode_ints(tensor, row, find_payload(tensor, row), out->count, data);
    return true;
}
