/* SPDX-License-Identifier: MIT
 *
 * Operators on constants, done while converting: what exporters write to compute shapes,
 * initial states and re-ordered weights.
 */
#include "formats/onnx/onnx_internal.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

/* ---- strided copies ------------------------------------------------------ */

const struct onnx_const *onnx_operand(const struct onnx_import *import, uint32_t i)
{
    const struct onnx_value *value = onnx_input(import, i);
    return value ? &value->as.constant : NULL;
}

bool onnx_give(struct onnx_import *import, uint32_t slot, const struct onnx_const *c)
{
    struct onnx_value *value = onnx_output(import, slot);
    if (value) {
        value->kind = ONNX_CONST;
        value->as.constant = *c;
    }
    return true;
}

static void strides_of(const struct onnx_const *c, size_t *strides)
{
    size_t stride = 1;
    for (uint32_t i = c->rank; i-- > 0;) {
        strides[i] = onnx_extent(c, i) == 1 ? 0 : stride;
        stride *= onnx_extent(c, i);
    }
}

size_t onnx_element_size(const struct onnx_const *c)
{
    return c->is_int ? sizeof *c->ints : sizeof *c->floats;
}

const uint8_t *onnx_bytes_of(const struct onnx_const *c)
{
    return c->is_int ? (const uint8_t *)c->ints : (const uint8_t *)c->floats;
}

/* Where in `from` the element of `out` with this row-major number lies. */
size_t onnx_locate(const struct onnx_const *out, size_t number, const size_t *strides)
{
    size_t at = 0;
    for (uint32_t i = out->rank; i-- > 0;) {
        size_t extent = onnx_extent(out, i);
        at += number % extent * strides[i];
        number /= extent;
    }
    return at;
}

/* Fill `out` (shape given) with from[base + Σ index · stride]. */
static bool pick(struct onnx_import *import, struct onnx_const *out, const struct onnx_const *from,
                 size_t base, const size_t *strides)
{
    size_t size = onnx_element_size(from), inner = out->rank ? onnx_extent(out, out->rank - 1) : 1;
    size_t step = out->rank ? strides[out->rank - 1] : 0;
    uint8_t *to;
    out->is_int = from->is_int;
    to = onnx_const_alloc(import, out);
    if (!to)
        return false;
    for (size_t k = 0; k < out->count; k += inner) {
        size_t at = base + onnx_locate(out, k, strides);
        for (size_t i = 0; i < inner; i++, at += step, to += size)
            memcpy(to, onnx_bytes_of(from) + at * size, size);
    }
    return true;
}

/* ---- sources ------------------------------------------------------------- */

static bool one_number(struct onnx_import *import, struct onnx_const *out, bool is_int, float f,
                       int64_t i)
{
    void *data;
    out->is_int = is_int;
    data = onnx_const_alloc(import, out);
    if (data && is_int)
        *(struct onnx_int *)data = onnx_plain(i);
    else if (data)
        *(float *)data = f;
    return data != NULL;
}

bool onnx_fold_constant(struct onnx_import *import)
{
    const Onnx__AttributeProto *a;
    struct onnx_const out = {0};
    bool good;
    if ((a = onnx_attribute(import, "value"))) {
        good = onnx_decode(import, a->t, import->node->name, &out);
    } else if ((a = onnx_attribute(import, "value_float"))) {
        good = one_number(import, &out, false, a->f, 0);
    } else if ((a = onnx_attribute(import, "value_int"))) {
        good = one_number(import, &out, true, 0, a->i);
    } else if ((a = onnx_attribute(import, "value_floats"))) {
        out = (struct onnx_const){.rank = 1, .dims[0] = onnx_plain((int64_t)a->n_floats),
                                  .count = a->n_floats, .floats = a->floats};
        good = true;
    } else if ((a = onnx_attribute(import, "value_ints"))) {
        uint32_t n;
        out = (struct onnx_const){.is_int = true, .rank = 1,
                                  .dims[0] = onnx_plain((int64_t)a->n_ints), .count = a->n_ints};
        good = onnx_int_list(import, UINT32_MAX, "value_ints", &out.ints, &n);
    } else {
        return onnx_fail(import, "has no value attribute that is supported (value, value_float, "
                         "value_int, value_floats, value_ints)");
    }
    return good && onnx_give(import, 0, &out);
}

/* The run-time shape of input 0, constant or frames. */
static uint32_t shape_of(const struct onnx_value *value, struct onnx_int *dims)
{
    if (value->kind == ONNX_CONST) {
        memcpy(dims, value->as.constant.dims, sizeof value->as.constant.dims);
        return value->as.constant.rank;
    }
    if (value->kind == ONNX_OPAQUE) {
        memcpy(dims, value->as.opaque.dims, sizeof value->as.opaque.dims);
        return value->as.opaque.rank;
    }
    for (uint32_t i = 0; i < value->as.frames.n_axes; i++)
        dims[i] = onnx_axis_size(value->as.frames.axes[i]);
    return value->as.frames.n_axes;
}

bool onnx_fold_shape(struct onnx_import *import)
{
    struct onnx_int dims[ONNX_MAX_AXES], *data;
    int64_t rank = shape_of(onnx_input(import, 0), dims), begin, count;
    struct onnx_const out = {.is_int = true, .rank = 1};
    onnx_clamp_range(onnx_attribute_int(import, "start", 0),
                     onnx_attribute_int(import, "end", INT64_MAX), 1, rank, &begin, &count);
    out.dims[0] = onnx_plain(count);
    data = onnx_const_alloc(import, &out);
    if (!data)
        return false;
    if (count)
        memcpy(data, dims + begin, (size_t)count * sizeof *data);
    return onnx_give(import, 0, &out);
}

bool onnx_fold_size(struct onnx_import *import)
{
    struct onnx_int dims[ONNX_MAX_AXES], product = onnx_plain(1);
    uint32_t rank = shape_of(onnx_input(import, 0), dims);
    struct onnx_const out = {.is_int = true};
    struct onnx_int *data = onnx_const_alloc(import, &out);
    for (uint32_t i = 0; i < rank; i++)
        if (!onnx_int_mul(product, dims[i], &product))
            return onnx_fail(import, "the size is too complicated");
    if (!data)
        return false;
    *data = product;
    return onnx_give(import, 0, &out);
}

/* ---- shapes -------------------------------------------------------------- */

bool onnx_fold_same(struct onnx_import *import)
{
    return onnx_give(import, 0, onnx_operand(import, 0));
}

bool onnx_fold_unsqueeze(struct onnx_import *import)
{
    const struct onnx_const *in = onnx_operand(import, 0);
    struct onnx_const out = *in;
    struct onnx_axes added;
    if (!onnx_node_axes(import, in->rank, true, &added))
        return false;
    out.rank = added.rank;
    for (uint32_t i = 0, k = 0; i < out.rank; i++)
        out.dims[i] = added.bits >> i & 1 ? onnx_plain(1) : in->dims[k++];
    return onnx_give(import, 0, &out);
}

bool onnx_fold_squeeze(struct onnx_import *import)
{
    const struct onnx_const *in = onnx_operand(import, 0);
    struct onnx_const out = *in;
    struct onnx_axes gone;
    if (!onnx_node_axes(import, in->rank, false, &gone))
        return false;
    out.rank = 0;
    for (uint32_t i = 0; i < in->rank; i++) {
        bool one = onnx_same(in->dims[i], onnx_plain(1));
        if (!one && gone.bits >> i & 1)
            return onnx_fail(import, "axis %u does not have the size 1", i);
        if (gone.given ? !(gone.bits >> i & 1) : !one)
            out.dims[out.rank++] = in->dims[i];
    }
    return onnx_give(import, 0, &out);
}

bool onnx_fold_transpose(struct onnx_import *import)
{
    const struct onnx_const *in = onnx_operand(import, 0);
    const Onnx__AttributeProto *perm = onnx_attribute(import, "perm");
    struct onnx_const out = {.rank = in->rank};
    size_t from[ONNX_MAX_AXES], strides[ONNX_MAX_AXES];
    uint32_t taken = 0;
    if (perm && perm->n_ints != in->rank)
        return onnx_fail(import, "perm has %zu entries for %u dimensions", perm->n_ints, in->rank);
    strides_of(in, from);
    for (uint32_t i = 0; i < in->rank; i++) {
        int64_t axis = perm ? perm->ints[i] : in->rank - 1 - i;
        if (axis < 0 || axis >= in->rank || taken >> axis & 1)
            return onnx_fail(import, "perm is not a permutation");
        taken |= UINT32_C(1) << axis;
        out.dims[i] = in->dims[axis];
        strides[i] = from[axis];
    }
    return pick(import, &out, in, 0, strides) && onnx_give(import, 0, &out);
}

/* True if putting the stored elements into the new shape in the same order is right:
 * run-time dimensions stand between the same numbers of stored elements. */
static bool same_order(const struct onnx_const *a, const struct onnx_const *b)
{
    uint32_t i = 0, k = 0;
    for (;;) {
        size_t n_a = 1, n_b = 1;
        while (i < a->rank && onnx_is_plain(a->dims[i]))
            n_a *= (size_t)a->dims[i++].offset;
        while (k < b->rank && onnx_is_plain(b->dims[k]))
            n_b *= (size_t)b->dims[k++].offset;
        if (n_a != n_b)
            return false;
        if (i == a->rank || k == b->rank)
            return i == a->rank && k == b->rank;
        if (!onnx_same(a->dims[i++], b->dims[k++]))
            return false;
    }
}

static bool all_equal(const struct onnx_const *c)
{
    size_t size = onnx_element_size(c);
    for (size_t i = 1; i < c->count; i++)
        if (memcmp(onnx_bytes_of(c), onnx_bytes_of(c) + i * size, size))
            return false;
    return c->count > 0;
}

/* `dims` with 0 and -1 replaced by what they stand for. */
static bool resolve_shape(struct onnx_import *import, const struct onnx_const *in,
                          const struct onnx_int *asked, struct onnx_const *out)
{
    struct onnx_int total = onnx_plain(1), known = onnx_plain(1);
    bool copies = onnx_attribute_int(import, "allowzero", 0) == 0;
    uint32_t open = UINT32_MAX;
    for (uint32_t i = 0; i < in->rank; i++)
        if (!onnx_int_mul(total, in->dims[i], &total))
            return onnx_fail(import, "the shape is too complicated");
    for (uint32_t i = 0; i < out->rank; i++) {
        out->dims[i] = asked[i];
        if (onnx_same(asked[i], onnx_plain(0)) && copies && i < in->rank)
            out->dims[i] = in->dims[i];
        if (onnx_same(asked[i], onnx_plain(-1)) && open == UINT32_MAX)
            open = i;
        else if ((onnx_is_plain(out->dims[i]) && out->dims[i].offset < 0) ||
                 !onnx_int_mul(known, out->dims[i], &known))
            return onnx_fail(import, "the shape is negative or too complicated");
    }
    if (open != UINT32_MAX && (!onnx_int_div(total, known, &out->dims[open]) ||
                               !onnx_int_mul(known, out->dims[open], &known)))
        return onnx_fail(import, "-1 in the shape has no whole value");
    return onnx_same(total, known) ||
           onnx_fail(import, "the constant '%s' does not have as many numbers as the shape asks for",
                     onnx_input(import, 0)->name);
}

bool onnx_fold_reshape(struct onnx_import *import)
{
    const struct onnx_const *in = onnx_operand(import, 0);
    struct onnx_const out = *in;
    const struct onnx_int *asked;
    if (!onnx_int_list(import, 1, "shape", &asked, &out.rank))
        return false;
    if (!asked || out.rank > ONNX_MAX_AXES)
        return onnx_fail(import, "needs a shape of up to %d dimensions", ONNX_MAX_AXES);
    if (!resolve_shape(import, in, asked, &out))
        return false;
    if (same_order(in, &out))
        return onnx_give(import, 0, &out);
    if (!all_equal(in))
        return onnx_fail(import, "takes the constant '%s' across the batch or the sequence",
                         onnx_input(import, 0)->name);
    return pick(import, &out, in, 0, (const size_t[ONNX_MAX_AXES]){0}) && onnx_give(import, 0, &out);
}

/* ---- selections ---------------------------------------------------------- */

bool onnx_fold_gather(struct onnx_import *import)
{
    const struct onnx_const *in = onnx_operand(import, 0), *indices = onnx_operand(import, 1);
    uint32_t axis = onnx_axis_index(onnx_attribute_int(import, "axis", 0), in->rank);
    struct onnx_const out = {.is_int = in->is_int};
    size_t inner = 1, outer = 1, size = onnx_element_size(in), extent, n;
    uint8_t *to;
    if (axis == UINT32_MAX || !indices || !indices->is_int)
        return onnx_fail(import, "axis is out of range or the indices are no whole numbers");
    if (in->rank - 1 + indices->rank > ONNX_MAX_AXES)
        return onnx_fail(import, "gives more than %d dimensions", ONNX_MAX_AXES);
    for (uint32_t i = 0; i < axis; outer *= onnx_extent(in, i), i++)
        out.dims[out.rank++] = in->dims[i];
    for (uint32_t i = 0; i < indices->rank; i++)
        out.dims[out.rank++] = indices->dims[i];
    for (uint32_t i = axis + 1; i < in->rank; inner *= onnx_extent(in, i), i++)
        out.dims[out.rank++] = in->dims[i];
    to = onnx_const_alloc(import, &out);
    if (!to)
        return false;
    extent = onnx_extent(in, axis);
    n = indices->count;
    if (out.count == 0)
        return onnx_give(import, 0, &out);
    for (size_t k = 0; k < outer * n; k++) {
        struct onnx_int index = indices->ints[k % n];
        bool fixed = onnx_is_plain(in->dims[axis]); /* else all along the axis are equal */
        int64_t at = index.offset < 0 ? index.offset + (int64_t)extent : index.offset;
        if (fixed && (!onnx_is_plain(index) || at < 0 || at >= (int64_t)extent))
            return onnx_fail(import, "index %" PRId64 " is not among the %zu along axis %u",
                             index.offset, extent, axis);
        memcpy(to + k * inner * size,
               onnx_bytes_of(in) + (k / n * extent + (fixed ? (size_t)at : 0)) * inner * size, inner * size);
    }
    return onnx_give(import, 0, &out);
}

bool onnx_fold_concat(struct onnx_import *import)
{
    const struct onnx_const *first = onnx_operand(import, 0);
    struct onnx_const out = *first;
    uint32_t axis = onnx_axis_index(onnx_attribute_int(import, "axis", 0), first->rank);
    size_t row = 0, outer = 1, size = onnx_element_size(first);
    uint8_t *to;
    if (axis == UINT32_MAX)
        return onnx_fail(import, "axis is out of range");
    out.dims[axis] = onnx_plain(0);
    for (uint32_t i = 0; i < import->node->n_inputs; i++) {
        const struct onnx_const *in = onnx_operand(import, i);
        if (!in || in->is_int != first->is_int || in->rank != first->rank ||
            !onnx_is_plain(in->dims[axis]))
            return onnx_fail(import, "its constants do not fit together");
        for (uint32_t k = 0; k < in->rank; k++)
            if (k != axis && !onnx_same(in->dims[k], first->dims[k]))
                return onnx_fail(import, "its constants differ along axis %u", k);
        out.dims[axis].offset += in->dims[axis].offset;
    }
    to = onnx_const_alloc(import, &out);
    if (!to)
        return false;
    for (uint32_t k = 0; k < axis; k++)
        outer *= onnx_extent(&out, k);
    for (size_t o = 0; o < outer && out.count; o++) {
        for (uint32_t i = 0; i < import->node->n_inputs; i++) {
            const struct onnx_const *in = onnx_operand(import, i);
            row = in->count / outer * size;
            if (row)
                memcpy(to, onnx_bytes_of(in) + o * row, row);
            to += row;
        }
    }
    return onnx_give(import, 0, &out);
}

static int64_t clamp(int64_t x, int64_t low, int64_t high)
{
    return x < low ? low : x > high ? high : x;
}

void onnx_clamp_range(int64_t start, int64_t end, int64_t step, int64_t extent,
                      int64_t *start_out, int64_t *count_out)
{
    int64_t span, stride = step > 0 ? step : step == INT64_MIN ? INT64_MAX : -step;
    if (start < 0)
        start = start < -extent ? -1 : start + extent;
    if (end < 0)
        end = end < -extent ? -1 : end + extent;
    start = clamp(start, 0, step > 0 ? extent : extent - 1);
    end = step > 0 ? clamp(end, 0, extent) : clamp(end, -1, extent - 1);
    span = step > 0 ? end - start : start - end;
    *start_out = start < 0 ? 0 : start;
    *count_out = span > 0 ? span / stride + (span % stride != 0) : 0;
}

bool onnx_slice_ranges(struct onnx_import *import, uint32_t rank, struct onnx_range *ranges,
                       uint32_t *n_out)
{
    const struct onnx_int *starts, *ends;
    const int64_t *axes, *steps;
    uint32_t n_ends, n_axes, n_steps;
    if (!onnx_int_list(import, 1, "starts", &starts, n_out) ||
        !onnx_int_list(import, 2, "ends", &ends, &n_ends) ||
        !onnx_plain_list(import, 3, "axes", &axes, &n_axes) ||
        !onnx_plain_list(import, 4, "steps", &steps, &n_steps))
        return false;
    if (!starts || !ends || n_ends != *n_out || *n_out > rank || (axes && n_axes != *n_out) ||
        (steps && n_steps != *n_out))
        return onnx_fail(import, "starts, ends, axes and steps do not fit each other or the %u "
                         "dimensions", rank);
    for (uint32_t i = 0; i < *n_out; i++) {
        ranges[i] = (struct onnx_range){onnx_axis_index(axes ? axes[i] : i, rank), starts[i],
                                        ends[i], steps ? steps[i] : 1};
        if (ranges[i].axis == UINT32_MAX || ranges[i].step == 0)
            return onnx_fail(import, "an axis is out of range or a step is 0");
    }
    return true;
}

bool onnx_fold_slice(struct onnx_import *import)
{
    const struct onnx_const *in = onnx_operand(import, 0);
    struct onnx_const out = *in;
    struct onnx_range ranges[ONNX_MAX_AXES];
    size_t strides[ONNX_MAX_AXES], base = 0;
    uint32_t n;
    if (!onnx_slice_ranges(import, in->rank, ranges, &n))
        return false;
    strides_of(in, strides);
    for (uint32_t i = 0; i < n; i++) {
        struct onnx_range *r = &ranges[i];
        int64_t start, count;
        if (!onnx_is_plain(in->dims[r->axis])) {
            if (r->start.offset != 0 || !onnx_is_plain(r->start) || r->step != 1 ||
                !(onnx_same(r->end, in->dims[r->axis]) || r->end.offset >= INT32_MAX))
                return onnx_fail(import, "cuts a constant along the batch or the sequence");
            continue;
        }
        if (!onnx_is_plain(r->start) || !onnx_is_plain(r->end))
            return onnx_fail(import, "starts or ends depend on the batch or the sequence");
        onnx_clamp_range(r->start.offset, r->end.offset, r->step, in->dims[r->axis].offset, &start,
                         &count);
        base += (size_t)start * strides[r->axis];
        strides[r->axis] *= (size_t)r->step; /* wraps for negative steps, and back in onnx_locate() */
        out.dims[r->axis] = onnx_plain(count);
    }
    return pick(import, &out, in, base, strides) && onnx_give(import, 0, &out);
}

bool onnx_split_sizes(struct onnx_import *import, int64_t extent, const int64_t **sizes_out)
{
    const int64_t *asked;
    int64_t *sizes, sum = 0;
    uint32_t n, n_parts = import->node->n_outputs;
    if (!onnx_plain_list(import, 1, "split", &asked, &n))
        return false;
    if (asked && n != n_parts)
        return onnx_fail(import, "split has %u sizes for %u outputs", n, n_parts);
    sizes = onnx_alloc(import, n_parts, sizeof *sizes);
    if (!sizes)
        return false;
    for (uint32_t i = 0; i < n_parts; i++) {
        int64_t even = (extent + n_parts - 1) / n_parts, left = extent - sum;
        sizes[i] = asked ? asked[i] : left < even ? left : even;
        if (sizes[i] < 0 || sizes[i] > left)
            return onnx_fail(import, "split asks for more than the %" PRId64 " elements", extent);
        sum += sizes[i];
    }
    *sizes_out = sizes;
    return sum == extent || onnx_fail(import, "split gives %" PRId64 " of %" PRId64 " elements", sum,
                                      extent);
}

bool onnx_fold_split(struct onnx_import *import)
{
    const struct onnx_const *in = onnx_operand(import, 0);
    uint32_t axis = onnx_axis_index(onnx_attribute_int(import, "axis", 0), in->rank);
    size_t strides[ONNX_MAX_AXES], base = 0;
    const int64_t *sizes;
    if (axis == UINT32_MAX || !onnx_is_plain(in->dims[axis]))
        return onnx_fail(import, "axis is out of range");
    if (!onnx_split_sizes(import, in->dims[axis].offset, &sizes))
        return false;
    strides_of(in, strides);
    for (uint32_t i = 0; i < import->node->n_outputs; i++) {
        struct onnx_const out = {.rank = in->rank};
        memcpy(out.dims, in->dims, sizeof out.dims);
        out.dims[axis] = onnx_plain(sizes[i]);
        if (!pick(import, &out, in, base, strides))
            return false;
        onnx_give(import, i, &out);
        base += (size_t)sizes[i] * strides[axis];
    }
    return true;
}

/* ---- fills --------------------------------------------------------------- */

bool onnx_fold_fill(struct onnx_import *import)
{
    const Onnx__AttributeProto *value = onnx_attribute(import, "value");
    struct onnx_const one = {0}, out = {0};
    const struct onnx_int *dims;
    if (value ? !onnx_decode(import, value->t, import->node->name, &one)
              : !one_number(import, &one, false, 0, 0))
        return false;
    if (!onnx_int_list(import, 0, "input", &dims, &out.rank))
        return false;
    if (!dims || out.rank > ONNX_MAX_AXES || one.count != 1)
        return onnx_fail(import, "needs a shape of up to %d dimensions and one value", ONNX_MAX_AXES);
    memcpy(out.dims, dims, out.rank * sizeof *dims);
    return pick(import, &out, &one, 0, (const size_t[ONNX_MAX_AXES]){0}) && onnx_give(import, 0, &out);
}

/* The shape of a and b broadcast against each other. */
bool onnx_broadcast(struct onnx_import *import, const struct onnx_int *a, uint32_t rank_a,
                      const struct onnx_const *b, struct onnx_const *out)
{
    uint32_t rank = rank_a > b->rank ? rank_a : b->rank;
    struct onnx_int dims[ONNX_MAX_AXES];
    for (uint32_t i = 0; i < rank; i++) {
        struct onnx_int x = i + rank_a < rank ? onnx_plain(1) : a[i + rank_a - rank];
        struct onnx_int y = i + b->rank < rank ? onnx_plain(1) : b->dims[i + b->rank - rank];
        dims[i] = onnx_same(x, onnx_plain(1)) ? y : x;
        if (onnx_same(onnx_frozen(import, x), y)) /* what the exporter froze meets its run-time size */
            dims[i] = y;
        else if (!onnx_same(dims[i], onnx_frozen(import, y)) && !onnx_same(dims[i], y) &&
                 !onnx_same(y, onnx_plain(1)))
            return onnx_fail(import, "its shapes do not fit each other");
    }
    memcpy(out->dims, dims, rank * sizeof *dims);
    out->rank = rank;
    return true;
}

/* Strides of `c` for walking the larger shape `out`. */
void onnx_broadcast_strides(const struct onnx_const *c, const struct onnx_const *out,
                              size_t *strides)
{
    size_t own[ONNX_MAX_AXES];
    strides_of(c, own);
    for (uint32_t i = 0; i < out->rank; i++)
        strides[i] = i + c->rank < out->rank ? 0 : own[i + c->rank - out->rank];
}

bool onnx_fold_expand(struct onnx_import *import)
{
    const struct onnx_const *in = onnx_operand(import, 0);
    const struct onnx_int *asked;
    struct onnx_const out = {0};
    size_t strides[ONNX_MAX_AXES];
    uint32_t n;
    if (!onnx_int_list(import, 1, "shape", &asked, &n))
        return false;
    if (!asked || n > ONNX_MAX_AXES)
        return onnx_fail(import, "needs a shape of up to %d dimensions", ONNX_MAX_AXES);
    if (!onnx_broadcast(import, asked, n, in, &out))
        return false;
    onnx_broadcast_strides(in, &out, strides);
    return pick(import, &out, in, 0, strides) && onnx_give(import, 0, &out);
}

bool onnx_fold_range(struct onnx_import *import)
{
    int64_t at[3], start, count;
    struct onnx_const out = {.is_int = true, .rank = 1};
    struct onnx_int *data;
    for (uint32_t i = 0; i < 3; i++) {
        const struct onnx_const *c = onnx_operand(import, i);
        if (!c || !c->is_int || c->count != 1 || !onnx_is_plain(c->ints[0]))
            return onnx_fail(import, "start, limit and delta must be plain whole numbers");
        at[i] = c->ints[0].offset;
        if (at[i] < INT32_MIN || at[i] > INT32_MAX)
            return onnx_fail(import, "%" PRId64 " is too large", at[i]);
    }
    if (at[2] == 0)
        return onnx_fail(import, "delta is 0");
    start = at[0];
    count = at[2] > 0 ? (at[1] - start + at[2] - 1) / at[2] : (start - at[1] - at[2] - 1) / -at[2];
    out.dims[0] = onnx_plain(count > 0 ? count : 0);
    data = onnx_const_alloc(import, &out);
    for (size_t i = 0; data && i < out.count; i++)
        data[i] = onnx_plain(start + (int64_t)i * at[2]);
    return data && onnx_give(import, 0, &out);
}
