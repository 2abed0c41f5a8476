/* SPDX-License-Identifier: MIT
 *
 * Operators that only arrange axes. Where batch and time stand is layout without any
 * effect on the frames; features in another order are transposed when somebody needs them so.
 */
#include "formats/onnx/onnx_internal.h"

#include <inttypes.h>
#include <string.h>

void onnx_set_frames(struct onnx_value *value, const struct onnx_frames *frames)
{
    if (!value)
        return;
    value->kind = ONNX_FRAMES;
    value->as.frames = *frames;
}

static bool is_feature(const struct onnx_axis *axis)
{
    return axis->kind == AXIS_FEATURE;
}

/* Sizes of 1 that the exporter wrote down let an axis of batch or time go. */
static bool may_drop(const struct onnx_import *import, const struct onnx_axis *axis)
{
    return is_feature(axis) ? axis->size == 1
           : axis->kind == AXIS_BATCH ? import->frozen_batch == 1
           : axis->kind == AXIS_TIME ? axis->pace == 0 && import->frozen_time == 1
                                     : false;
}

bool onnx_lay_identity(struct onnx_import *import)
{
    onnx_set_frames(onnx_output(import, 0), &onnx_input(import, 0)->as.frames);
    return true;
}

bool onnx_lay_dropout(struct onnx_import *import)
{
    const struct onnx_value *training = onnx_input(import, 2);
    if (training && (training->kind != ONNX_CONST || !training->as.constant.is_int ||
                     training->as.constant.count != 1 ||
                     !onnx_same(training->as.constant.ints[0], onnx_plain(0))))
        return onnx_fail(import, "training_mode must be false");
    if (onnx_used(import, 1))
        return onnx_fail(import, "its second output (mask) is used, which is not supported");
    return onnx_lay_identity(import);
}

bool onnx_lay_cast(struct onnx_import *import)
{
    struct onnx_frames out = onnx_input(import, 0)->as.frames;
    int64_t to = onnx_attribute_int(import, "to", 0);
    switch (to) {
    case ONNX_FLOAT:
    case ONNX_DOUBLE:
        out.is_int = false;
        break;
    case ONNX_INT32:
    case ONNX_INT64:
        if (!out.is_int && out.value != 0)
            return onnx_fail(import, "to = %" PRId64 " rounds computed numbers to whole ones, which "
                             "is not supported", to);
        if (!out.is_int)
            onnx_note(import, "the input '%s' must hold whole numbers: they are not rounded",
                      import->values[import->input].name);
        out.is_int = true;
        break;
    default:
        return onnx_fail(import, "to = %" PRId64 " is not supported here (float, double, int32 and "
                         "int64 are)", to);
    }
    onnx_set_frames(onnx_output(import, 0), &out);
    return true;
}

bool onnx_lay_transpose(struct onnx_import *import)
{
    const struct onnx_frames *in = &onnx_input(import, 0)->as.frames;
    const Onnx__AttributeProto *perm = onnx_attribute(import, "perm");
    struct onnx_frames out = *in;
    struct onnx_axis moved[ONNX_MAX_AXES];
    uint32_t taken = 0, order[ONNX_MAX_AXES], n = onnx_memory_order(in, order);
    if (perm && perm->n_ints != in->n_axes)
        return onnx_fail(import, "perm has %zu entries for %u dimensions", perm->n_ints, in->n_axes);
    for (uint32_t i = 0; i < n; i++)
        out.axes[order[i]].place = i;
    for (uint32_t i = 0; i < in->n_axes; i++) {
        int64_t from = perm ? perm->ints[i] : in->n_axes - 1 - i;
        if (from < 0 || from >= in->n_axes || taken >> from & 1)
            return onnx_fail(import, "perm is not a permutation");
        taken |= UINT32_C(1) << from;
        moved[i] = out.axes[from];
    }
    memcpy(out.axes, moved, in->n_axes * sizeof *moved);
    onnx_set_frames(onnx_output(import, 0), &out);
    return true;
}

bool onnx_lay_unsqueeze(struct onnx_import *import)
{
    const struct onnx_frames *in = &onnx_input(import, 0)->as.frames;
    struct onnx_frames out = *in;
    struct onnx_axes added;
    if (!onnx_node_axes(import, in->n_axes, true, &added))
        return false;
    out.n_axes = added.rank;
    for (uint32_t i = 0, k = 0; i < out.n_axes; i++)
        out.axes[i] = added.bits >> i & 1 ? onnx_feature(1) : in->axes[k++];
    onnx_set_frames(onnx_output(import, 0), &out);
    return true;
}

bool onnx_lay_squeeze(struct onnx_import *import)
{
    const struct onnx_frames *in = &onnx_input(import, 0)->as.frames;
    struct onnx_frames out = *in;
    struct onnx_axes gone;
    if (!onnx_node_axes(import, in->n_axes, false, &gone))
        return false;
    out.n_axes = 0;
    for (uint32_t i = 0; i < in->n_axes; i++) {
        bool droppable = may_drop(import, &in->axes[i]);
        if (!droppable && gone.bits >> i & 1)
            return onnx_fail(import, "axes has %u, which is larger than 1, or the batch or time at a size "
                             "that is not fixed to 1", i);
        if (gone.given ? !(gone.bits >> i & 1) : !droppable)
            out.axes[out.n_axes++] = in->axes[i];
    }
    onnx_set_frames(onnx_output(import, 0), &out);
    return true;
}

bool onnx_lay_expand(struct onnx_import *import)
{
    const struct onnx_frames *in = &onnx_input(import, 0)->as.frames;
    const struct onnx_int *asked;
    uint32_t n;
    if (!onnx_int_list(import, 1, "shape", &asked, &n))
        return false;
    if (!asked || n != in->n_axes)
        return onnx_fail(import, "changes the number of dimensions of computed values, which is not "
                         "supported");
    for (uint32_t i = 0; i < n; i++)
        if (!onnx_same(asked[i], onnx_axis_size(in->axes[i])) && !onnx_same(asked[i], onnx_plain(1)))
            return onnx_fail(import, "repeats computed values along axis %u, which is not supported", i);
    return onnx_lay_identity(import);
}

/* ---- reshape ------------------------------------------------------------- */

/* Matching the axes of a value against the sizes a Reshape asks for. Sizes that the
 * exporter froze stand for batch and time; in a second, lenient try any number does. */
struct matching {
    const struct onnx_import *import;
    const struct onnx_axis *in;
    const struct onnx_int *asked;
    uint32_t n_in, n_asked, n_out;
    struct onnx_axis out[ONNX_MAX_AXES];
    bool lenient, was_lenient;
    uint32_t tries_left; /* hostile shapes must not cost time */
};

static bool asks_rest(struct onnx_int asked)
{
    return onnx_same(asked, onnx_plain(-1));
}

static bool fits_axis(struct matching *m, const struct onnx_axis *axis, struct onnx_int asked)
{
    int64_t time = onnx_frozen_time(m->import, axis->pace), batch = m->import->frozen_batch;
    int64_t frozen = axis->kind == AXIS_TIME ? time : axis->kind == AXIS_BATCH ? batch : time * batch;
    if (asks_rest(asked) || onnx_same(asked, onnx_axis_size(*axis)))
        return true;
    if (!onnx_is_plain(asked) || asked.offset < 1)
        return false;
    if (frozen == asked.offset)
        return true;
    if (m->lenient && frozen == 0) {
        m->was_lenient = true;
        return true;
    }
    return false;
}

static bool match(struct matching *m, uint32_t i, uint32_t k);

static bool match_with(struct matching *m, struct onnx_axis axis, uint32_t i, uint32_t k)
{
    m->out[m->n_out++] = axis;
    if (match(m, i, k))
        return true;
    m->n_out--;
    return false;
}

/* Axes of batch and time: kept, merged, split, or dropped at a frozen size of 1. */
static bool match_run_time(struct matching *m, uint32_t i, uint32_t k)
{
    const struct onnx_axis *axis = &m->in[i];
    if (k < m->n_asked && fits_axis(m, axis, m->asked[k]) && match_with(m, *axis, i + 1, k + 1))
        return true;
    if (k < m->n_asked && i + 1 < m->n_in &&
        ((axis->kind == AXIS_TIME && axis[1].kind == AXIS_BATCH) ||
         (axis->kind == AXIS_BATCH && axis[1].kind == AXIS_TIME))) {
        bool time_first = axis->kind == AXIS_TIME;
        struct onnx_axis merged = onnx_run_time(time_first ? AXIS_TIME_BATCH : AXIS_BATCH_TIME,
                                                axis[!time_first].pace);
        if (fits_axis(m, &merged, m->asked[k]) && match_with(m, merged, i + 2, k + 1))
            return true;
    }
    if (k + 1 < m->n_asked && (axis->kind == AXIS_TIME_BATCH || axis->kind == AXIS_BATCH_TIME)) {
        struct onnx_axis time = onnx_run_time(AXIS_TIME, axis->pace), batch = onnx_run_time(AXIS_BATCH, 0);
        const struct onnx_axis *first = axis->kind == AXIS_TIME_BATCH ? &time : &batch;
        const struct onnx_axis *second = first == &time ? &batch : &time;
        if (fits_axis(m, first, m->asked[k]) && fits_axis(m, second, m->asked[k + 1])) {
            m->out[m->n_out++] = *first;
            if (match_with(m, *second, i + 1, k + 2))
                return true;
            m->n_out--;
        }
    }
    return may_drop(m->import, axis) && match(m, i + 1, k);
}

/* A run of features as any sizes with the same product, here asked[k] to before `end`. */
static bool match_features(struct matching *m, uint32_t i, uint32_t k, uint32_t end, int64_t product)
{
    int64_t known = 1, rest = UINT32_MAX;
    uint32_t n_before = m->n_out;
    for (uint32_t j = k; j < end; j++) {
        if (asks_rest(m->asked[j]))
            rest = j;
        else if (!onnx_is_plain(m->asked[j]) || m->asked[j].offset < 1 ||
                 __builtin_mul_overflow(known, m->asked[j].offset, &known) || known > product)
            return false;
    }
    if (rest == UINT32_MAX ? known != product : product % known != 0)
        return false;
    for (uint32_t j = k; j < end; j++)
        m->out[m->n_out++] = onnx_feature((uint32_t)(j == rest ? product / known : m->asked[j].offset));
    if (match(m, i, end))
        return true;
    m->n_out = n_before;
    return false;
}

static bool match(struct matching *m, uint32_t i, uint32_t k)
{
    int64_t product = 1;
    uint32_t run = i;
    if (i == m->n_in && k == m->n_asked)
        return true;
    if (m->tries_left == 0)
        return false;
    m->tries_left--;
    while (run < m->n_in && is_feature(&m->in[run]))
        product *= m->in[run++].size;
    if (run == i && i < m->n_in && match_run_time(m, i, k))
        return true;
    for (uint32_t end = k + (run == i); end <= m->n_asked; end++)
        if (match_features(m, run, k, end, product))
            return true;
    return false;
}

static bool regroup(struct onnx_import *import, const struct onnx_frames *in,
                    const struct onnx_int *asked, uint32_t n_asked)
{
    struct onnx_frames out = *in;
    struct matching m = {.import = import, .in = in->axes, .asked = asked, .n_in = in->n_axes,
                         .n_asked = n_asked, .tries_left = 10000};
    bool good = match(&m, 0, 0);
    if (!good) {
        m.lenient = true;
        m.n_out = 0;
        m.tries_left = 10000;
        good = match(&m, 0, 0);
        if (good && m.was_lenient)
            onnx_note(import, "%s '%s' has a fixed size for the batch or the sequence; it stays a "
                      "run-time size", import->node->proto->op_type, import->node->name);
    }
    if (!good)
        return onnx_fail(import, "the shape asked for mixes the batch or the sequence with features "
                         "or does not fit the value '%s'", onnx_input(import, 0)->name);
    out.n_axes = m.n_out;
    memcpy(out.axes, m.out, sizeof out.axes);
    onnx_set_frames(onnx_output(import, 0), &out);
    return true;
}

bool onnx_lay_reshape(struct onnx_import *import)
{
    const struct onnx_frames *in = &onnx_input(import, 0)->as.frames;
    bool copies = onnx_attribute_int(import, "allowzero", 0) == 0;
    struct onnx_int dims[ONNX_MAX_AXES];
    const struct onnx_int *asked;
    uint32_t n, whole;
    if (!onnx_int_list(import, 1, "shape", &asked, &n) ||
        !onnx_features(import, in, 0, in->n_axes, &whole))
        return false;
    if (!asked || n > ONNX_MAX_AXES)
        return onnx_fail(import, "needs a shape of up to %d dimensions", ONNX_MAX_AXES);
    for (uint32_t i = 0; i < n; i++)
        dims[i] = copies && onnx_same(asked[i], onnx_plain(0)) && i < in->n_axes
                      ? onnx_axis_size(in->axes[i]) : asked[i];
    return regroup(import, in, dims, n);
}

/* The size of axes `begin` to before `end` as one, as far as it can be said. */
static bool merged_size(struct onnx_import *import, const struct onnx_frames *in, uint32_t begin,
                        uint32_t end, struct onnx_int *out)
{
    uint32_t features;
    *out = (struct onnx_int){0};
    if (!onnx_features(import, in, begin, end, &features))
        return false;
    for (uint32_t i = begin; i < end; i++) {
        struct onnx_int size = onnx_axis_size(in->axes[i]);
        out->times += size.times;
        out->pace = size.times ? size.pace : out->pace;
        out->batches += size.batches;
    }
    if (out->times || out->batches)
        out->factor = features;
    else
        out->offset = features;
    return true;
}

bool onnx_lay_flatten(struct onnx_import *import)
{
    const struct onnx_frames *in = &onnx_input(import, 0)->as.frames;
    int64_t axis = onnx_attribute_int(import, "axis", 1);
    struct onnx_int dims[2];
    uint32_t at = axis == in->n_axes ? in->n_axes : onnx_axis_index(axis, in->n_axes);
    if (at == UINT32_MAX)
        return onnx_fail(import, "axis = %" PRId64 " is out of range", axis);
    return merged_size(import, in, 0, at, &dims[0]) &&
           merged_size(import, in, at, in->n_axes, &dims[1]) && regroup(import, in, dims, 2);
}
