/* SPDX-License-Identifier: MIT
 *
 * Arithmetic on constants, element by element, with ONNX's broadcasting.
 */
#include "formats/onnx/onnx_internal.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

static bool int_equal(struct onnx_int a, struct onnx_int b, struct onnx_int *out)
{
    int order;
    if (!onnx_int_compare(a, b, &order))
        return false;
    *out = onnx_plain(order == 0);
    return true;
}

static bool int_less(struct onnx_int a, struct onnx_int b, struct onnx_int *out)
{
    int order;
    if (!onnx_int_compare(a, b, &order))
        return false;
    *out = onnx_plain(order < 0);
    return true;
}

static bool int_greater(struct onnx_int a, struct onnx_int b, struct onnx_int *out)
{
    return int_less(b, a, out);
}

static bool int_less_equal(struct onnx_int a, struct onnx_int b, struct onnx_int *out)
{
    if (!int_less(b, a, out))
        return false;
    *out = onnx_plain(!out->offset);
    return true;
}

static bool int_greater_equal(struct onnx_int a, struct onnx_int b, struct onnx_int *out)
{
    return int_less_equal(b, a, out);
}

static bool int_and(struct onnx_int a, struct onnx_int b, struct onnx_int *out)
{
    *out = onnx_plain(!onnx_same(a, onnx_plain(0)) && !onnx_same(b, onnx_plain(0)));
    return true;
}

static bool int_or(struct onnx_int a, struct onnx_int b, struct onnx_int *out)
{
    *out = onnx_plain(!onnx_same(a, onnx_plain(0)) || !onnx_same(b, onnx_plain(0)));
    return true;
}

static bool int_min(struct onnx_int a, struct onnx_int b, struct onnx_int *out)
{
    int order;
    if (!onnx_int_compare(a, b, &order))
        return false;
    *out = order < 0 ? a : b;
    return true;
}

static bool int_max(struct onnx_int a, struct onnx_int b, struct onnx_int *out)
{
    int order;
    if (!onnx_int_compare(a, b, &order))
        return false;
    *out = order > 0 ? a : b;
    return true;
}

static float float_add(float a, float b) { return a + b; }
static float float_sub(float a, float b) { return a - b; }
static float float_mul(float a, float b) { return a * b; }
static float float_div(float a, float b) { return a / b; }
static float float_min(float a, float b) { return a < b ? a : b; }
static float float_max(float a, float b) { return a > b ? a : b; }

struct binary_row {
    const char *op;
    bool (*ints)(struct onnx_int a, struct onnx_int b, struct onnx_int *out);
    float (*floats)(float a, float b);
};

static const struct binary_row binary_rows[] = {
    {"Add", onnx_int_add, float_add}, {"Sub", onnx_int_sub, float_sub}, {"Mul", onnx_int_mul, float_mul},
    {"Div", onnx_int_div, float_div}, {"Equal", int_equal, NULL},  {"Less", int_less, NULL},
    {"Greater", int_greater, NULL}, {"LessOrEqual", int_less_equal, NULL},
    {"GreaterOrEqual", int_greater_equal, NULL}, {"And", int_and, NULL}, {"Or", int_or, NULL},
    {"Min", int_min, float_min}, {"Max", int_max, float_max}, {"Pow", NULL, powf},
};

static const struct binary_row *binary_row_of(const struct onnx_import *import)
{
    const struct binary_row *row = binary_rows;
    while (strcmp(row->op, import->node->proto->op_type) != 0)
        row++;
    return row;
}

bool onnx_fold_binary(struct onnx_import *import)
{
    const struct binary_row *row = binary_row_of(import);
    const struct onnx_const *a = onnx_operand(import, 0), *b = onnx_operand(import, 1);
    struct onnx_const out = {0};
    size_t at_a[ONNX_MAX_AXES], at_b[ONNX_MAX_AXES];
    void *data;
    if (!a || !b || import->node->n_inputs != 2 || a->is_int != b->is_int ||
        (a->is_int ? !row->ints : !row->floats))
        return onnx_fail(import, "its constants are of types that do not fit");
    if (!onnx_broadcast(import, a->dims, a->rank, b, &out))
        return false;
    onnx_broadcast_strides(a, &out, at_a);
    onnx_broadcast_strides(b, &out, at_b);
    out.is_int = a->is_int;
    data = onnx_const_alloc(import, &out);
    if (!data)
        return false;
    for (size_t k = 0; k < out.count; k++) {
        size_t i = onnx_locate(&out, k, at_a), j = onnx_locate(&out, k, at_b);
        if (!out.is_int)
            ((float *)data)[k] = row->floats(a->floats[i], b->floats[j]);
        else if (!row->ints(a->ints[i], b->ints[j], (struct onnx_int *)data + k))
            return onnx_fail(import, "its result depends on the length of the batch or the "
                             "sequence in a way that is not supported");
    }
    return onnx_give(import, 0, &out);
}

bool onnx_fold_where(struct onnx_import *import)
{
    const struct onnx_const *c = onnx_operand(import, 0), *a = onnx_operand(import, 1);
    const struct onnx_const *b = onnx_operand(import, 2);
    struct onnx_const out = {0};
    size_t at[3][ONNX_MAX_AXES];
    uint8_t *data;
    if (!c || !a || !b || !c->is_int || a->is_int != b->is_int)
        return onnx_fail(import, "its constants are of types that do not fit");
    if (!onnx_broadcast(import, a->dims, a->rank, b, &out) ||
        !onnx_broadcast(import, out.dims, out.rank, c, &out))
        return false;
    onnx_broadcast_strides(c, &out, at[0]);
    onnx_broadcast_strides(a, &out, at[1]);
    onnx_broadcast_strides(b, &out, at[2]);
    out.is_int = a->is_int;
    data = onnx_const_alloc(import, &out);
    for (size_t k = 0; data && k < out.count; k++) {
        bool chosen = !onnx_same(c->ints[onnx_locate(&out, k, at[0])], onnx_plain(0));
        const struct onnx_const *from = chosen ? a : b;
        size_t size = onnx_element_size(from);
        memcpy(data + k * size, onnx_bytes_of(from) + onnx_locate(&out, k, at[chosen ? 1 : 2]) * size, size);
    }
    return data && onnx_give(import, 0, &out);
}

bool onnx_fold_not(struct onnx_import *import)
{
    const struct onnx_const *in = onnx_operand(import, 0);
    struct onnx_const out = *in;
    struct onnx_int *data;
    if (!in->is_int)
        return onnx_fail(import, "its constant is not boolean");
    data = onnx_const_alloc(import, &out);
    for (size_t k = 0; data && k < out.count; k++)
        data[k] = onnx_plain(onnx_same(in->ints[k], onnx_plain(0)));
    return data && onnx_give(import, 0, &out);
}

bool onnx_fold_neg(struct onnx_import *import)
{
    const struct onnx_const *in = onnx_operand(import, 0);
    struct onnx_const out = *in;
    void *data = onnx_const_alloc(import, &out);
    for (size_t k = 0; data && k < out.count; k++) {
        if (!in->is_int)
            ((float *)data)[k] = -in->floats[k];
        else if (!onnx_int_mul(in->ints[k], onnx_plain(-1), (struct onnx_int *)data + k))
            return onnx_fail(import, "its constant is too large");
    }
    return data && onnx_give(import, 0, &out);
}

/* Sqrt alone. */
bool onnx_fold_unary(struct onnx_import *import)
{
    const struct onnx_const *in = onnx_operand(import, 0);
    struct onnx_const out = *in;
    float *data;
    if (in->is_int)
        return onnx_fail(import, "its constant is of whole numbers");
    data = onnx_const_alloc(import, &out);
    for (size_t k = 0; data && k < out.count; k++)
        data[k] = sqrtf(in->floats[k]);
    return data && onnx_give(import, 0, &out);
}

/* ---- Clip, Pad, DequantizeLinear ----------------------------------------- */

static bool one_bound(struct onnx_import *import, uint32_t i, const char *name, const struct onnx_const *in,
                      struct onnx_const *out)
{
    const struct onnx_const *given = onnx_operand(import, i);
    const Onnx__AttributeProto *a = onnx_attribute(import, name);
    *out = (struct onnx_const){.is_int = in->is_int};
    if (given && (given->count != 1 || given->is_int != in->is_int))
        return onnx_fail(import, "%s is not one number of its constant's type", name);
    if (given)
        *out = *given;
    else if (a && !in->is_int)
        *out = (struct onnx_const){.count = 1, .floats = &a->f};
    return true;
}

bool onnx_fold_clip(struct onnx_import *import)
{
    const struct onnx_const *in = onnx_operand(import, 0);
    struct onnx_const out = *in, low, high;
    void *data;
    if (!one_bound(import, 1, "min", in, &low) || !one_bound(import, 2, "max", in, &high))
        return false;
    data = onnx_const_alloc(import, &out);
    for (size_t k = 0; data && k < out.count; k++) {
        if (!in->is_int) {
            float x = in->floats[k];
            x = low.count && x < low.floats[0] ? low.floats[0] : x;
            ((float *)data)[k] = high.count && x > high.floats[0] ? high.floats[0] : x;
        } else {
            struct onnx_int x = in->ints[k];
            if ((low.count && !int_max(x, low.ints[0], &x)) || (high.count && !int_min(x, high.ints[0], &x)))
                return onnx_fail(import, "clips the length of the batch or the sequence, which is not "
                                 "supported");
            ((struct onnx_int *)data)[k] = x;
        }
    }
    return data && onnx_give(import, 0, &out);
}

/* Lists of one dimension, with zeros: how exporters make shapes longer. */
bool onnx_fold_pad(struct onnx_import *import)
{
    const struct onnx_const *in = onnx_operand(import, 0), *value = onnx_operand(import, 2);
    const Onnx__AttributeProto *mode = onnx_attribute(import, "mode");
    struct onnx_const out = *in;
    size_t size = onnx_element_size(in);
    const int64_t *pads;
    uint32_t n;
    uint8_t *data;
    if (!onnx_plain_list(import, 1, "pads", &pads, &n))
        return false;
    if (in->rank != 1 || !onnx_is_plain(in->dims[0]) || !pads || n != 2 || pads[0] < 0 || pads[1] < 0 ||
        pads[0] > MODEL_MAX_DIM || pads[1] > MODEL_MAX_DIM || onnx_operand(import, 3) ||
        (mode && (mode->s.len != 8 || memcmp(mode->s.data, "constant", 8))) ||
        (value && (value->is_int != in->is_int || value->count != 1)))
        return onnx_fail(import, "on constants is supported for one dimension with a constant value only");
    out.dims[0].offset += pads[0] + pads[1];
    data = onnx_const_alloc(import, &out);
    if (!data)
        return false;
    if (in->count)
        memcpy(data + (size_t)pads[0] * size, onnx_bytes_of(in), in->count * size);
    for (size_t k = 0; value && k < out.count; k++)
        if (k < (size_t)pads[0] || k >= (size_t)pads[0] + in->count)
            memcpy(data + k * size, onnx_bytes_of(value), size);
    return onnx_give(import, 0, &out);
}

/* (x - zero point) · scale, both for all of it or for each index along an axis. */
bool onnx_fold_dequantize(struct onnx_import *import)
{
    const struct onnx_const *in = onnx_operand(import, 0), *scale = onnx_operand(import, 1);
    const struct onnx_const *zero = onnx_operand(import, 2);
    uint32_t axis = onnx_axis_index(onnx_attribute_int(import, "axis", 1), in->rank);
    struct onnx_const out = *in;
    size_t inner = 1, extent = 1;
    float *data;
    if (onnx_attribute_int(import, "block_size", 0) != 0)
        return onnx_fail(import, "block_size is not supported: scales must be for all of the tensor or for "
                         "an axis");
    if (!in->is_int || !scale || scale->is_int || scale->count < 1 ||
        (zero && (!zero->is_int || zero->count != scale->count)))
        return onnx_fail(import, "needs constants: whole numbers, scales, and as many zero points if any");
    if (scale->count > 1) {
        if (axis == UINT32_MAX || scale->rank != 1 || scale->count != onnx_extent(in, axis))
            return onnx_fail(import, "has %zu scales, which do not fit its axis", scale->count);
        extent = scale->count;
        for (uint32_t i = axis + 1; i < in->rank; i++)
            inner *= onnx_extent(in, i);
    }
    out.is_int = false;
    data = onnx_const_alloc(import, &out);
    for (size_t k = 0; data && k < out.count; k++) {
        size_t at = k / inner % extent;
        struct onnx_int x = in->ints[k];
        if (!onnx_is_plain(x) || (zero && !onnx_is_plain(zero->ints[at])))
            return onnx_fail(import, "its numbers depend on the length of the batch or the sequence");
        data[k] = (float)(x.offset - (zero ? zero->ints[at].offset : 0)) * scale->floats[at];
    }
    return data && onnx_give(import, 0, &out);
}

static bool int_of(const struct onnx_const *in, size_t k, struct onnx_int *out)
{
    if (in->is_int)
        *out = in->ints[k];
    else if (fabsf(in->floats[k]) < 0x1p62f)
        *out = onnx_plain((int64_t)in->floats[k]);
    else
        return false;
    return true;
}

static bool is_zero(const struct onnx_const *in, size_t k)
{
    return in->is_int ? onnx_same(in->ints[k], onnx_plain(0)) : in->floats[k] == 0;
}

static bool cast_to_int(struct onnx_import *import, const struct onnx_const *in, bool to_bool,
                        struct onnx_int *data)
{
    for (size_t k = 0; k < in->count; k++) {
        if (to_bool)
            data[k] = onnx_plain(!is_zero(in, k));
        else if (!int_of(in, k, &data[k]))
            return onnx_fail(import, "its constant is no whole number of 64 bits");
    }
    return true;
}

static bool cast_to_float(struct onnx_import *import, const struct onnx_const *in, float *data)
{
    for (size_t k = 0; k < in->count; k++) {
        if (!onnx_is_plain(in->ints[k]))
            return onnx_fail(import, "a size of the batch or the sequence becomes a number of the "
                             "computation, which is not supported");
        data[k] = (float)in->ints[k].offset;
    }
    return true;
}

bool onnx_fold_cast(struct onnx_import *import)
{
    const struct onnx_const *in = onnx_operand(import, 0);
    int64_t to = onnx_attribute_int(import, "to", 0);
    struct onnx_const out = *in;
    void *data;
    if (to < ONNX_FLOAT || to > ONNX_BFLOAT16 || to == 8 || to == 14 || to == 15)
        return onnx_fail(import, "to = %" PRId64 " is no supported type", to);
    out.is_int = !(to == ONNX_FLOAT || to == ONNX_DOUBLE || to == ONNX_FLOAT16 || to == ONNX_BFLOAT16);
    if (out.is_int == in->is_int && to != ONNX_BOOL)
        return onnx_give(import, 0, in);
    data = onnx_const_alloc(import, &out);
    return data &&
           (out.is_int ? cast_to_int(import, in, to == ONNX_BOOL, data)
                       : cast_to_float(import, in, data)) &&
           onnx_give(import, 0, &out);
}

/* The product of all numbers of a list: of a shape, how many there are. */
bool onnx_fold_product(struct onnx_import *import)
{
    const struct onnx_const *in = onnx_operand(import, 0);
    struct onnx_const out = {.is_int = true, .rank = onnx_attribute_int(import, "keepdims", 1) != 0};
    struct onnx_axes axes;
    struct onnx_int product = onnx_plain(1), *data;
    if (!onnx_node_axes(import, in->rank, false, &axes))
        return false;
    if (!in->is_int || in->rank != 1 || !onnx_is_plain(in->dims[0]) || (axes.given && axes.bits != 1))
        return onnx_fail(import, "is supported over a list of whole numbers only");
    for (size_t i = 0; i < in->count; i++)
        if (!onnx_int_mul(product, in->ints[i], &product))
            return onnx_fail(import, "its product is no size that can be known");
    out.dims[0] = onnx_plain(1);
    data = onnx_const_alloc(import, &out);
    if (!data)
        return false;
    data[0] = product;
    return onnx_give(import, 0, &out);
}
