/* SPDX-License-Identifier: MIT
 *
 * Operators that take parts of values or join them: along features anything, along time
 * the whole, the first or last step, the mean or the maximum.
 */
#include "formats/onnx/onnx_internal.h"

#include <inttypes.h>
#include <string.h>

static void remove_axis(struct onnx_frames *frames, uint32_t axis)
{
    frames->n_axes--;
    memmove(&frames->axes[axis], &frames->axes[axis + 1],
            (frames->n_axes - axis) * sizeof *frames->axes);
}

/* An axis of time or batch that has come down to one. */
static void reduce_axis(struct onnx_frames *frames, uint32_t axis, bool keep)
{
    if (keep)
        frames->axes[axis] = onnx_feature(1);
    else
        remove_axis(frames, axis);
}

static bool is_last_step(const struct onnx_import *import, uint32_t pace, struct onnx_int index)
{
    int64_t frozen = onnx_frozen_time(import, pace);
    return onnx_same(index, onnx_plain(-1)) ||
           onnx_same(index, (struct onnx_int){.factor = 1, .times = 1, .offset = -1, .pace = pace}) ||
           (frozen && onnx_same(index, onnx_plain(frozen - 1)));
}

static bool is_first_step(const struct onnx_import *import, uint32_t pace, struct onnx_int index)
{
    int64_t frozen = onnx_frozen_time(import, pace);
    return onnx_same(index, onnx_plain(0)) ||
           onnx_same(index, (struct onnx_int){.factor = -1, .times = 1, .pace = pace}) ||
           (frozen && onnx_same(index, onnx_plain(-frozen)));
}

/* With inputs for the states, a sequence of 1 is how a graph that is called step by step
 * was exported: its only step is every step. */
static bool runs_step_by_step(const struct onnx_import *import)
{
    return import->frozen_time == 1 && import->has_states;
}

static bool refuse_steps(struct onnx_import *import)
{
    return onnx_fail(import, "takes some steps of the sequence; only all of them, the first or the last one "
                     "are supported (a graph with a node for each step was unrolled by its exporter: "
                     "torch.onnx.export with dynamo=False keeps the recurrent node)");
}

/* In an unrolled loop a step is only noted down: the whole may come together again. */
static bool is_step_of_loop(const struct onnx_import *import, struct onnx_frames *frames, int64_t index)
{
    index += index < 0 ? import->frozen_time : 0;
    if (index < 0 || index >= import->frozen_time || frames->is_step || frames->once)
        return false;
    frames->is_step = true;
    frames->step = (uint32_t)(frames->backward ? import->frozen_time - 1 - index : index);
    frames->backward = false;
    return true;
}

static bool put_in_order(struct onnx_import *import, struct onnx_frames *frames)
{
    struct onnx_layer *layer = onnx_layer_on(import, MODEL_REVERSE, frames->value);
    if (!layer)
        return false;
    frames->backward = false;
    frames->value = onnx_layer_add(import, layer);
    return frames->value != MODEL_NONE;
}

bool onnx_leave_loop(struct onnx_import *import, struct onnx_frames *frames)
{
    if (frames->apart)
        return onnx_fail(import, "works on a list of the steps, which is not supported");
    if (frames->backward)
        return put_in_order(import, frames);
    if (!frames->is_step)
        return true;
    if (frames->step != 0 && (int64_t)frames->step != import->frozen_time - 1)
        return refuse_steps(import);
    frames->is_step = false;
    return onnx_emit_sequence(import, frames, frames->step == 0 ? MODEL_FIRST : MODEL_LAST);
}

static bool take_step(struct onnx_import *import, struct onnx_frames *frames, uint32_t axis,
                      struct onnx_int index, bool keep)
{
    uint32_t pace = frames->axes[axis].pace;
    bool last = is_last_step(import, pace, index);
    if (import->unrolled && pace)
        return onnx_fail(import, "takes a step behind a convolution that leaves fewer steps, in a graph with "
                         "loops that its exporter unrolled, which is not supported");
    if (import->unrolled && onnx_is_plain(index) && is_step_of_loop(import, frames, index.offset)) {
        reduce_axis(frames, axis, keep);
        return true;
    }
    if (import->unrolled && import->frozen_time == 0)
        return onnx_fail(import, "takes a step of the input, which is declared with any number of steps, in a "
                         "graph whose loop was unrolled for %u: export it without a dynamic number of steps, "
                         "lstmrun takes any", import->n_unrolled);
    if (!onnx_leave_loop(import, frames))
        return false;
    if (!last && !is_first_step(import, pace, index))
        return refuse_steps(import);
    if (!runs_step_by_step(import)) {
        if (last && onnx_same(index, onnx_plain(0)))
            onnx_note(import, "the graph was exported for sequences of one step%s: step 0 is taken for the "
                      "last one of any sequence", pace ? " at this place" : "");
        if (!onnx_emit_sequence(import, frames, last ? MODEL_LAST : MODEL_FIRST))
            return false;
    }
    reduce_axis(frames, axis, keep);
    return true;
}

/* ---- slice --------------------------------------------------------------- */

/* Start and end as a Slice gives them cover everything. */
static bool is_whole(const struct onnx_range *r, struct onnx_int size, int64_t frozen)
{
    return onnx_same(r->start, onnx_plain(0)) && r->step == 1 &&
           (onnx_same(r->end, size) || (frozen && onnx_same(r->end, onnx_plain(frozen))) ||
            (onnx_is_plain(r->end) && r->end.offset >= INT32_MAX));
}

/* All steps, from the last one down to the first. */
static bool is_backward(const struct onnx_import *import, const struct onnx_range *r, struct onnx_int size,
                        int64_t frozen)
{
    struct onnx_int last, start = r->start;
    bool from_last = onnx_int_sub(size, onnx_plain(1), &last) && onnx_same(start, last);
    if (onnx_is_plain(start))
        from_last = start.offset == -1 || start.offset >= INT32_MAX || (frozen && start.offset == frozen - 1);
    return r->step == -1 && from_last && onnx_is_plain(r->end) &&
           (r->end.offset <= INT32_MIN || (frozen && r->end.offset < -frozen)) && !import->input_spec.context;
}

static bool slice_time(struct onnx_import *import, struct onnx_frames *frames,
                       const struct onnx_range *r)
{
    struct onnx_range to_end = *r;
    struct onnx_int length, size = onnx_axis_size(frames->axes[r->axis]);
    uint32_t pace = frames->axes[r->axis].pace;
    int64_t frozen = onnx_frozen_time(import, pace);
    bool one, first, last;
    to_end.start = onnx_plain(0);
    if (is_whole(r, size, frozen))
        return true;
    if (is_backward(import, r, size, frozen)) {
        frames->backward = !frames->backward && !runs_step_by_step(import);
        return true;
    }
    one = onnx_int_sub(r->end, r->start, &length) && onnx_same(length, onnx_plain(1)) &&
          !onnx_same(r->end, onnx_plain(0)); /* from -1 to 0 is nothing */
    first = one && onnx_same(r->start, onnx_plain(0)) && r->step > 0;
    last = is_last_step(import, pace, r->start) && is_whole(&to_end, size, frozen);
    if (import->unrolled && one && onnx_is_plain(r->start))
        return take_step(import, frames, r->axis, r->start, true);
    if (!first && !last)
        return refuse_steps(import);
    return take_step(import, frames, r->axis, r->start, true);
}

static bool slice_features(struct onnx_import *import, struct onnx_frames *frames,
                           const struct onnx_range *r)
{
    int64_t start, count, size = frames->axes[r->axis].size;
    if (!onnx_is_plain(r->start) || !onnx_is_plain(r->end))
        return onnx_fail(import, "starts or ends of features depend on the batch or the sequence");
    onnx_clamp_range(r->start.offset, r->end.offset, r->step, size, &start, &count);
    if (start == 0 && count == size && r->step == 1)
        return true;
    if (r->step < 1 || count < 1)
        return onnx_fail(import, "takes features backwards or none (step %" PRId64 "), which is not "
                         "supported", r->step);
    return onnx_emit_slice(import, frames, r->axis,
                           (const uint32_t[3]){(uint32_t)start, (uint32_t)count,
                                               count == 1 ? 1 : (uint32_t)r->step});
}

static bool slice_batch(struct onnx_import *import, const struct onnx_frames *frames,
                        const struct onnx_range *r)
{
    if (frames->axes[r->axis].kind == AXIS_BATCH &&
        is_whole(r, onnx_axis_size(frames->axes[r->axis]), import->frozen_batch))
        return true;
    return onnx_fail(import, "takes a part of the batch (axis %u), which is not supported", r->axis);
}

/* The frames at hand, out of a loop if they were in one. */
static bool left_loop(struct onnx_import *import, struct onnx_value *value, struct onnx_frames *out)
{
    if (value->as.frames.is_step && !onnx_leave_loop(import, &value->as.frames))
        return false;
    *out = value->as.frames;
    return true;
}

bool onnx_lay_slice(struct onnx_import *import)
{
    struct onnx_frames out;
    struct onnx_range ranges[ONNX_MAX_AXES];
    uint32_t n;
    if (!left_loop(import, onnx_input(import, 0), &out) || !onnx_slice_ranges(import, out.n_axes, ranges, &n))
        return false;
    for (uint32_t i = 0; i < n; i++) {
        enum onnx_axis_kind kind = out.axes[ranges[i].axis].kind;
        if (kind == AXIS_FEATURE && !onnx_leave_loop(import, &out))
            return false;
        if (!(kind == AXIS_FEATURE ? slice_features(import, &out, &ranges[i])
              : kind == AXIS_TIME ? slice_time(import, &out, &ranges[i])
                                  : slice_batch(import, &out, &ranges[i])))
            return false;
    }
    onnx_set_frames(onnx_output(import, 0), &out);
    return true;
}

/* ---- gather -------------------------------------------------------------- */

static bool gather_embedding(struct onnx_import *import)
{
    const struct onnx_value *table = onnx_input(import, 0);
    struct onnx_frames out;
    struct onnx_layer *layer;
    const struct onnx_const *c = &table->as.constant;
    uint32_t n;
    if (!onnx_leave_loop(import, &onnx_input(import, 1)->as.frames))
        return false;
    out = onnx_input(import, 1)->as.frames;
    if (c->is_int || c->rank != 2 || onnx_attribute_int(import, "axis", 0) != 0 || c->count == 0 ||
        !onnx_is_plain(c->dims[0]) || !onnx_is_plain(c->dims[1]))
        return onnx_fail(import, "looks up '%s', which is not a table of embeddings [words][numbers] "
                         "along axis 0", table->name);
    if (!out.is_int || out.n_axes == ONNX_MAX_AXES)
        return onnx_fail(import, "its indices are computed numbers, which is not supported");
    if (!onnx_features(import, &out, 0, out.n_axes, &n) || !onnx_shaped(import, &out, 1, &n))
        return false;
    layer = onnx_layer_on(import, MODEL_EMBEDDING, out.value);
    if (!layer)
        return false;
    layer->n_tensors = 1;
    layer->tensors[0].suffix = "table";
    layer->tensors[0].data = c->floats;
    layer->tensors[0].rank = 2;
    for (uint32_t i = 0; i < 2; i++)
        layer->tensors[0].dims[i] = (uint32_t)c->dims[i].offset;
    layer->spec.rank = n == 1 ? 1 : 2;
    layer->spec.dims[layer->spec.rank - 1] = (uint32_t)c->dims[1].offset;
    out.axes[out.n_axes++] = onnx_feature((uint32_t)c->dims[1].offset);
    out.is_int = false;
    out.value = onnx_layer_add(import, layer);
    onnx_set_frames(onnx_output(import, 0), &out);
    return out.value != MODEL_NONE;
}

/* Indices start, start + step … as start and step; false if they are not of this kind. */
static bool is_progression(const struct onnx_const *c, int64_t size, uint32_t out[3])
{
    int64_t first = 0, before = 0, step = 1;
    for (size_t i = 0; i < c->count; i++) {
        int64_t at = c->ints[i].offset;
        if (!onnx_is_plain(c->ints[i]) || at < -size || at >= size)
            return false;
        at += at < 0 ? size : 0;
        if (i == 0)
            first = at;
        else if (i == 1)
            step = at - before;
        else if (at - before != step)
            return false;
        before = at;
    }
    out[0] = (uint32_t)first;
    out[1] = (uint32_t)c->count;
    out[2] = (uint32_t)step;
    return c->count > 0 && step > 0;
}

static bool gather_features(struct onnx_import *import, struct onnx_frames *frames, uint32_t axis,
                            const struct onnx_const *indices)
{
    uint32_t part[3], size = frames->axes[axis].size;
    if (!is_progression(indices, size, part))
        return onnx_fail(import, "its indices along axis %u are not in even steps upwards within 0 to "
                         "%u; others are not supported", axis, size - 1);
    if (part[1] != size && !onnx_emit_slice(import, frames, axis, part))
        return false;
    if (indices->rank == 0)
        remove_axis(frames, axis);
    return true;
}

bool onnx_lay_gather(struct onnx_import *import)
{
    struct onnx_value *from = onnx_input(import, 0), *by = onnx_input(import, 1);
    const struct onnx_const *indices;
    struct onnx_frames out;
    uint32_t axis;
    if (from && from->kind == ONNX_CONST && by && by->kind == ONNX_FRAMES)
        return gather_embedding(import);
    if (!from || from->kind != ONNX_FRAMES || !by || by->kind != ONNX_CONST)
        return onnx_fail(import, "looks up computed values by computed indices, which is not supported");
    if (!left_loop(import, from, &out))
        return false;
    indices = &by->as.constant;
    axis = onnx_axis_index(onnx_attribute_int(import, "axis", 0), out.n_axes);
    if (axis == UINT32_MAX || !indices->is_int || indices->rank > 1 ||
        (indices->rank == 1 && !onnx_is_plain(indices->dims[0])))
        return onnx_fail(import, "axis is out of range, or the indices have more than one dimension");
    if (out.axes[axis].kind == AXIS_FEATURE) {
        if (!onnx_leave_loop(import, &out) || !gather_features(import, &out, axis, indices))
            return false;
    } else if (indices->count != 1) {
        return refuse_steps(import);
    } else if (out.axes[axis].kind == AXIS_TIME) {
        if (!take_step(import, &out, axis, indices->ints[0], indices->rank == 1))
            return false;
    } else if (out.axes[axis].kind == AXIS_BATCH && import->frozen_batch == 1 &&
               onnx_is_plain(indices->ints[0])) {
        reduce_axis(&out, axis, indices->rank == 1);
    } else {
        return onnx_fail(import, "takes one item of the batch (axis %u), which is not supported", axis);
    }
    onnx_set_frames(onnx_output(import, 0), &out);
    return true;
}

/* ---- lists of steps ------------------------------------------------------ */

/* SplitToSequence over time, which an exporter writes where it unrolls a loop over steps whose number
 * it leaves open; it was that of the loop, as a list in a program has one length. */
bool onnx_lay_steps_apart(struct onnx_import *import)
{
    struct onnx_frames out;
    uint32_t axis;
    if (!left_loop(import, onnx_input(import, 0), &out))
        return false;
    axis = onnx_axis_index(onnx_attribute_int(import, "axis", 0), out.n_axes);
    if (axis == UINT32_MAX || out.axes[axis].kind != AXIS_TIME || onnx_input(import, 1))
        return onnx_fail(import, "makes a list of something else than single steps, which is not "
                         "supported");
    if (import->frozen_time == 0 && import->unrolled) {
        import->frozen_time = import->n_unrolled;
        onnx_note(import, "the graph was exported for %u steps only: it is taken for a loop over all steps",
                  import->n_unrolled);
    }
    out.apart = true;
    out.apart_axis = axis;
    out.apart_kept = onnx_attribute_int(import, "keepdims", 1) != 0;
    onnx_set_frames(onnx_output(import, 0), &out);
    return true;
}

bool onnx_lay_step_of(struct onnx_import *import)
{
    struct onnx_frames out = onnx_input(import, 0)->as.frames;
    const struct onnx_value *at = onnx_input(import, 1);
    if (!out.apart || !at || at->kind != ONNX_CONST || !at->as.constant.is_int || at->as.constant.count != 1)
        return onnx_fail(import, "takes something else than one step out of a list of all");
    out.apart = false;
    if (!take_step(import, &out, out.apart_axis, at->as.constant.ints[0], out.apart_kept))
        return false;
    onnx_set_frames(onnx_output(import, 0), &out);
    return true;
}

/* ---- split and concat ---------------------------------------------------- */

/* Into the single steps, where a loop over them was unrolled. */
static bool split_steps(struct onnx_import *import, const struct onnx_frames *in, uint32_t axis)
{
    const int64_t *sizes;
    if (!onnx_split_sizes(import, import->frozen_time, &sizes))
        return false;
    for (uint32_t i = 0; i < import->node->n_outputs; i++) {
        struct onnx_frames out = *in;
        if (sizes[i] != 1)
            return refuse_steps(import);
        if (!onnx_used(import, i))
            continue;
        if (!take_step(import, &out, axis, onnx_plain(i), true))
            return false;
        onnx_set_frames(onnx_output(import, i), &out);
    }
    return true;
}

bool onnx_lay_split(struct onnx_import *import)
{
    struct onnx_value *value = onnx_input(import, 0);
    const struct onnx_frames *in = &value->as.frames;
    uint32_t axis = onnx_axis_index(onnx_attribute_int(import, "axis", 0), in->n_axes), start = 0;
    const int64_t *sizes;
    if (axis != UINT32_MAX && in->axes[axis].kind == AXIS_TIME && import->unrolled && import->frozen_time > 0)
        return split_steps(import, in, axis);
    if (!onnx_leave_loop(import, &value->as.frames))
        return false;
    if (axis == UINT32_MAX || in->axes[axis].kind != AXIS_FEATURE)
        return onnx_fail(import, "axis is out of range or splits the batch or the sequence, which is "
                         "not supported");
    if (!onnx_split_sizes(import, in->axes[axis].size, &sizes))
        return false;
    for (uint32_t i = 0; i < import->node->n_outputs; i++) {
        struct onnx_frames out = *in;
        uint32_t count = (uint32_t)sizes[i];
        if (onnx_used(import, i)) {
            if (!onnx_emit_slice(import, &out, axis, (const uint32_t[3]){start, count, 1}))
                return false;
            onnx_set_frames(onnx_output(import, i), &out);
        }
        start += count;
    }
    return true;
}

static uint32_t pace_of(const struct onnx_frames *frames)
{
    for (uint32_t i = 0; i < frames->n_axes; i++)
        if (frames->axes[i].pace)
            return frames->axes[i].pace;
    return 0;
}

bool onnx_keep_step(struct onnx_import *import, const struct onnx_frames *a, const struct onnx_frames *b)
{
    return a->once || b->once || pace_of(a) == pace_of(b) ||
           onnx_fail(import, "joins values with different numbers of steps, which is not supported");
}

static bool same_axes_but(const struct onnx_frames *a, const struct onnx_frames *b, uint32_t axis)
{
    if (a->n_axes != b->n_axes || a->once != b->once)
        return false;
    for (uint32_t i = 0; i < a->n_axes; i++)
        if (a->axes[i].kind != b->axes[i].kind || (i != axis && a->axes[i].size != b->axes[i].size))
            return false;
    return true;
}

/* All steps of one loop, in order, beside each other: the sequence again. */
static bool closes_loop(const struct onnx_import *import)
{
    const struct onnx_value *first = onnx_input(import, 0), *value;
    const struct onnx_frames *frames = first ? &first->as.frames : NULL;
    uint32_t n = import->node->n_inputs, axis;
    if (!first || first->kind != ONNX_FRAMES || !frames->is_step || (int64_t)n != import->frozen_time)
        return false;
    axis = onnx_axis_index(onnx_attribute_int(import, "axis", 0), frames->n_axes);
    for (uint32_t i = 0; i < n; i++) {
        value = onnx_input(import, i);
        if (!value || value->kind != ONNX_FRAMES || !value->as.frames.is_step || value->as.frames.step != i ||
            value->as.frames.value != frames->value || value->as.frames.n_axes != frames->n_axes)
            return false;
    }
    return axis != UINT32_MAX && frames->axes[axis].kind == AXIS_FEATURE && frames->axes[axis].size == 1;
}

static bool close_loop(struct onnx_import *import)
{
    struct onnx_frames out = onnx_input(import, 0)->as.frames;
    uint32_t axis = onnx_axis_index(onnx_attribute_int(import, "axis", 0), out.n_axes);
    out.axes[axis] = onnx_run_time(AXIS_TIME, 0);
    out.is_step = false;
    onnx_set_frames(onnx_output(import, 0), &out);
    return true;
}

bool onnx_lay_concat(struct onnx_import *import)
{
    uint32_t n = import->node->n_inputs, axis = 0;
    struct onnx_frames *parts = onnx_alloc(import, n, sizeof *parts), out;
    if (!parts)
        return false;
    if (closes_loop(import))
        return close_loop(import);
    for (uint32_t i = 0; i < n; i++) {
        const struct onnx_value *value = onnx_input(import, i);
        if (!value || value->kind != ONNX_FRAMES)
            return onnx_fail(import, "joins '%s', a constant, with computed values, which is not "
                             "supported", value ? value->name : "");
        parts[i] = value->as.frames;
        if (!onnx_leave_loop(import, &parts[i]) || !onnx_keep_step(import, &parts[0], &parts[i]))
            return false;
        if (i == 0) {
            axis = onnx_axis_index(onnx_attribute_int(import, "axis", 0), parts[0].n_axes);
            if (axis == UINT32_MAX || parts[0].axes[axis].kind != AXIS_FEATURE)
                return onnx_fail(import, "axis is out of range or joins along the batch or the "
                                 "sequence, which is not supported");
        }
        if (!same_axes_but(&parts[i], &parts[0], axis))
            return onnx_fail(import, "its inputs '%s' and '%s' differ in more than axis %u, or one is "
                             "of every step and one of the whole sequence", onnx_input(import, 0)->name,
                             value->name, axis);
    }
    if (!onnx_emit_concat(import, parts, n, axis, &out))
        return false;
    onnx_set_frames(onnx_output(import, 0), &out);
    return true;
}

/* ---- mean and max over time ---------------------------------------------- */

static bool reduce_one(struct onnx_import *import, struct onnx_frames *frames, uint32_t axis)
{
    bool mean = strstr(import->node->proto->op_type, "Max") == NULL;
    if (frames->axes[axis].kind == AXIS_FEATURE && frames->axes[axis].size == 1)
        return true;
    if (frames->axes[axis].kind != AXIS_TIME)
        return onnx_fail(import, "works along axis %u, which is not the sequence; that is not supported",
                         axis);
    frames->axes[axis] = onnx_feature(1);
    return runs_step_by_step(import) ||
           onnx_emit_sequence(import, frames, mean ? MODEL_MEAN : MODEL_MAX);
}

bool onnx_lay_reduce(struct onnx_import *import)
{
    struct onnx_frames out = onnx_input(import, 0)->as.frames;
    bool keep = onnx_attribute_int(import, "keepdims", 1) != 0;
    struct onnx_axes gone;
    if (!onnx_node_axes(import, out.n_axes, false, &gone))
        return false;
    if (gone.bits == 0)
        return onnx_fail(import, "needs axes: over everything is not supported");
    for (uint32_t i = 0; i < out.n_axes; i++)
        if (gone.bits >> i & 1 && !reduce_one(import, &out, i))
            return false;
    for (uint32_t i = out.n_axes; i-- > 0 && !keep;)
        if (gone.bits >> i & 1)
            remove_axis(&out, i);
    onnx_set_frames(onnx_output(import, 0), &out);
    return true;
}

/* Over all axes after batch and channels. */
bool onnx_lay_global_pool(struct onnx_import *import)
{
    struct onnx_frames out = onnx_input(import, 0)->as.frames;
    for (uint32_t i = 2; i < out.n_axes; i++)
        if (!reduce_one(import, &out, i))
            return false;
    onnx_set_frames(onnx_output(import, 0), &out);
    return true;
}

/* ---- reversal ------------------------------------------------------------ */

/* The steps backward, all of them: what tf2onnx writes for go_backwards. */
bool onnx_lay_reverse_sequence(struct onnx_import *import)
{
    struct onnx_frames out = onnx_input(import, 0)->as.frames;
    const struct onnx_value *lengths = onnx_input(import, 1);
    const struct onnx_const *c = lengths && lengths->kind == ONNX_CONST ? &lengths->as.constant : NULL;
    int64_t time = onnx_attribute_int(import, "time_axis", 0), frozen;
    int64_t batch = onnx_attribute_int(import, "batch_axis", 1);
    struct onnx_layer *layer;
    if (time < 0 || time >= out.n_axes || batch < 0 || batch >= out.n_axes ||
        out.axes[time].kind != AXIS_TIME || out.axes[batch].kind != AXIS_BATCH || out.once)
        return onnx_fail(import, "reverses something else than the steps of the sequence, which is not "
                         "supported");
    frozen = onnx_frozen_time(import, out.axes[time].pace);
    for (size_t i = 0; c && i < c->count; i++)
        if (!c->is_int || (!onnx_same(c->ints[i], onnx_axis_size(out.axes[time])) &&
                           !(frozen && onnx_same(c->ints[i], onnx_plain(frozen)))))
            c = NULL;
    if (!c)
        return onnx_fail(import, "its lengths ('%s') are not known to be the whole sequence",
                         lengths ? lengths->name : "");
    layer = onnx_layer_on(import, MODEL_REVERSE, out.value);
    if (!layer)
        return false;
    out.value = onnx_layer_add(import, layer);
    onnx_set_frames(onnx_output(import, 0), &out);
    return out.value != MODEL_NONE;
}
