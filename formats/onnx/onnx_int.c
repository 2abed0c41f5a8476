/* SPDX-License-Identifier: MIT
 *
 * Whole numbers that may stand for the run-time sizes of batch and time, and lists of
 * them. What cannot be said in one term factor · T^a · B^b + offset is refused.
 */
#include "formats/onnx/onnx_internal.h"

#include <inttypes.h>

struct onnx_int onnx_plain(int64_t value)
{
    return (struct onnx_int){.offset = value};
}

bool onnx_is_plain(struct onnx_int a)
{
    return a.factor == 0;
}

bool onnx_same(struct onnx_int a, struct onnx_int b)
{
    return a.factor == b.factor && a.offset == b.offset && a.times == b.times &&
           a.batches == b.batches && a.pace == b.pace;
}

struct onnx_int onnx_axis_size(struct onnx_axis axis)
{
    int64_t padding = (int64_t)axis.padding.before + axis.padding.after;
    switch (axis.kind) {
    case AXIS_TIME: return (struct onnx_int){.factor = 1, .times = 1, .offset = padding, .pace = axis.pace};
    case AXIS_BATCH: return (struct onnx_int){.factor = 1, .batches = 1};
    case AXIS_FEATURE: return onnx_plain(axis.size);
    default: return (struct onnx_int){.factor = 1, .times = 1, .batches = 1, .pace = axis.pace};
    }
}

/* ---- arithmetic ----------------------------------------------------------- */

static struct onnx_int normal(struct onnx_int a)
{
    if (a.factor == 0)
        a.times = a.batches = 0;
    if (a.times == 0)
        a.pace = 0;
    return a;
}

bool onnx_int_add(struct onnx_int a, struct onnx_int b, struct onnx_int *out)
{
    if (a.factor && b.factor && (a.times != b.times || a.batches != b.batches || a.pace != b.pace))
        return false;
    *out = a.factor ? a : b;
    if (__builtin_add_overflow(a.factor, b.factor, &out->factor) ||
        __builtin_add_overflow(a.offset, b.offset, &out->offset))
        return false;
    *out = normal(*out);
    return true;
}

bool onnx_int_mul(struct onnx_int a, struct onnx_int b, struct onnx_int *out)
{
    struct onnx_int c = {0};
    if (a.factor && b.factor) {
        if (a.offset || b.offset || a.times + b.times > 8 || a.batches + b.batches > 8 ||
            (a.times && b.times && a.pace != b.pace))
            return false;
        c.pace = a.times ? a.pace : b.pace;
        c.times = a.times + b.times;
        c.batches = a.batches + b.batches;
        *out = c;
        return !__builtin_mul_overflow(a.factor, b.factor, &out->factor);
    }
    if (!a.factor) {
        struct onnx_int swap = a;
        a = b;
        b = swap;
    }
    c = a;
    if (__builtin_mul_overflow(a.factor, b.offset, &c.factor) ||
        __builtin_mul_overflow(a.offset, b.offset, &c.offset))
        return false;
    *out = normal(c);
    return true;
}

bool onnx_int_sub(struct onnx_int a, struct onnx_int b, struct onnx_int *out)
{
    return onnx_int_mul(b, onnx_plain(-1), &b) && onnx_int_add(a, b, out);
}

bool onnx_int_div(struct onnx_int a, struct onnx_int b, struct onnx_int *out)
{
    struct onnx_int c = a;
    if (b.factor) {
        if (a.offset || b.offset || !a.factor || a.times < b.times || a.batches < b.batches ||
            (b.factor == -1 && a.factor == INT64_MIN) || a.factor % b.factor ||
            (b.times && a.pace != b.pace))
            return false;
        c.factor = a.factor / b.factor;
        c.times -= b.times;
        c.batches -= b.batches;
        if (!c.times && !c.batches)
            c = onnx_plain(c.factor);
        *out = normal(c);
        return true;
    }
    if (b.offset == 0 || (b.offset == -1 && (a.offset == INT64_MIN || a.factor == INT64_MIN)))
        return false;
    if (a.factor && (a.factor % b.offset || a.offset % b.offset))
        return false;
    c.factor = a.factor / b.offset;
    c.offset = a.offset / b.offset;
    *out = c;
    return true;
}

static struct onnx_int power(int64_t base, uint32_t n)
{
    struct onnx_int out = onnx_plain(1);
    for (uint32_t i = 0; i < n; i++)
        if (!onnx_int_mul(out, onnx_plain(base), &out))
            return onnx_plain(0);
    return out;
}

int64_t onnx_frozen_time(const struct onnx_import *import, uint32_t pace)
{
    return (int64_t)pace_steps(import->paces[pace], (uint64_t)import->frozen_time);
}

struct onnx_int onnx_frozen(const struct onnx_import *import, struct onnx_int a)
{
    struct onnx_int time = power(onnx_frozen_time(import, a.pace), a.times);
    struct onnx_int batch = power(import->frozen_batch, a.batches), out;
    if (onnx_is_plain(a) || time.offset == 0 || batch.offset == 0 ||
        !onnx_int_mul(time, batch, &out) || !onnx_int_mul(out, onnx_plain(a.factor), &out) ||
        !onnx_int_add(out, onnx_plain(a.offset), &out))
        return a;
    return out;
}

/* -1, 0, 1 as a is less than, equal to or greater than b; run-time sizes are at least 1. */
bool onnx_int_compare(struct onnx_int a, struct onnx_int b, int *order_out)
{
    struct onnx_int d;
    if (!onnx_int_sub(a, b, &d))
        return false;
    if (onnx_is_plain(d)) {
        *order_out = (d.offset > 0) - (d.offset < 0);
        return true;
    }
    *order_out = d.factor > 0 ? 1 : -1;
    return d.factor > 0 ? d.offset >= 0 || d.factor > -d.offset
                        : d.offset <= 0 || d.offset < -d.factor;
}

/* ---- lists of whole numbers ---------------------------------------------- */

static bool list_of_attribute(struct onnx_import *import, const Onnx__AttributeProto *attribute,
                              const struct onnx_int **list_out, uint32_t *n_out)
{
    struct onnx_int *list = onnx_alloc(import, attribute->n_ints + 1, sizeof *list);
    if (!list)
        return false;
    for (size_t i = 0; i < attribute->n_ints; i++)
        list[i] = onnx_plain(attribute->ints[i]);
    *list_out = list;
    *n_out = (uint32_t)attribute->n_ints;
    return true;
}

bool onnx_int_list(struct onnx_import *import, uint32_t i, const char *name,
                   const struct onnx_int **list_out, uint32_t *n_out)
{
    const struct onnx_value *value = onnx_input(import, i);
    const Onnx__AttributeProto *attribute = onnx_attribute(import, name);
    *list_out = NULL;
    *n_out = 0;
    if (!value)
        return !attribute || list_of_attribute(import, attribute, list_out, n_out);
    if (value->kind != ONNX_CONST || !value->as.constant.is_int || value->as.constant.rank > 1)
        return onnx_fail(import, "%s ('%s') is not known when converting: only whole numbers that "
                         "follow from constants and shapes are supported", name, value->name);
    if (value->as.constant.rank == 1 && !onnx_is_plain(value->as.constant.dims[0]))
        return onnx_fail(import, "%s ('%s') has as many elements as the batch or the sequence, "
                         "which is not supported", name, value->name);
    *list_out = value->as.constant.ints;
    *n_out = (uint32_t)value->as.constant.count;
    return true;
}

bool onnx_plain_list(struct onnx_import *import, uint32_t i, const char *name,
                     const int64_t **list_out, uint32_t *n_out)
{
    const struct onnx_int *list;
    int64_t *plain;
    *list_out = NULL;
    if (!onnx_int_list(import, i, name, &list, n_out))
        return false;
    if (!list)
        return true;
    plain = onnx_alloc(import, (size_t)*n_out + 1, sizeof *plain);
    if (!plain)
        return false;
    for (uint32_t k = 0; k < *n_out; k++) {
        if (!onnx_is_plain(list[k]))
            return onnx_fail(import, "%s depends on the length of the batch or the sequence, "
                             "which is not supported", name);
        plain[k] = list[k].offset;
    }
    *list_out = plain;
    return true;
}

uint32_t onnx_axis_index(int64_t axis, uint32_t rank)
{
    if (axis < -(int64_t)rank || axis >= (int64_t)rank)
        return UINT32_MAX;
    return (uint32_t)(axis < 0 ? axis + rank : axis);
}

bool onnx_node_axes(struct onnx_import *import, uint32_t rank, bool adds, struct onnx_axes *out)
{
    const int64_t *axes;
    uint32_t n;
    if (!onnx_plain_list(import, 1, "axes", &axes, &n))
        return false;
    *out = (struct onnx_axes){.given = axes != NULL, .rank = rank};
    if (adds && (!axes || n > ONNX_MAX_AXES - rank))
        return onnx_fail(import, "needs axes, giving up to %d dimensions", ONNX_MAX_AXES);
    if (adds)
        out->rank += n;
    for (uint32_t i = 0; i < n; i++) {
        uint32_t axis = onnx_axis_index(axes[i], out->rank);
        if (axis == UINT32_MAX || out->bits >> axis & 1)
            return onnx_fail(import, "axes has %" PRId64 ", out of range or twice", axes[i]);
        out->bits |= UINT32_C(1) << axis;
    }
    return true;
}
