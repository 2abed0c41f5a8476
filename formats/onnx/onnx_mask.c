/* SPDX-License-Identifier: MIT
 *
 * Masks of steps, as Masking and Embedding(mask_zero) of Keras compute them from the input: which steps
 * differ from a number. They become mask layers and are read by recurrent layers only. Also the
 * arithmetic by which Keras lets tokens below zero count from the end.
 */
#include "formats/onnx/onnx_loop.h"

#include <math.h>
#include <string.h>

/* ---- tokens -------------------------------------------------------------- */

static const struct onnx_value *frames_at(const struct onnx_import *import, uint32_t i)
{
    const struct onnx_value *value = onnx_input(import, i);
    return value && value->kind == ONNX_FRAMES ? value : NULL;
}

static const struct onnx_term *tokens_at(const struct onnx_import *import, uint32_t i, enum term_kind kind)
{
    const struct onnx_value *value = onnx_input(import, i);
    return value && value->kind == ONNX_TERM && value->as.term->kind == kind ? value->as.term : NULL;
}

static bool give_tokens(struct onnx_import *import, enum term_kind kind, const struct onnx_value *x,
                        bool inverted)
{
    struct onnx_term *term = onnx_new_term(import, kind);
    if (!term)
        return false;
    term->x = x;
    term->inverted = inverted;
    return onnx_give_term(import, 0, term);
}

static bool is_number(const struct onnx_value *value, bool positive)
{
    const struct onnx_const *c = &value->as.constant;
    double number;
    if (value->kind != ONNX_CONST || c->count != 1 || (c->is_int && !onnx_is_plain(c->ints[0])))
        return false;
    number = c->is_int ? (double)c->ints[0].offset : (double)c->floats[0];
    return positive ? number > 0 : number == 0;
}

/* The model's input, of tokens, whatever type they have been cast to. */
static bool is_tokens(const struct onnx_import *import, const struct onnx_value *x)
{
    return x && x->as.frames.value == 0 && !x->as.frames.is_mask && !x->as.frames.is_step &&
           import->values[import->input].as.frames.is_int;
}

static bool same_tokens(const struct onnx_value *a, const struct onnx_value *b)
{
    const struct onnx_frames *x = &a->as.frames, *y = &b->as.frames;
    bool same = x->value == y->value && x->n_axes == y->n_axes;
    for (uint32_t i = 0; same && i < x->n_axes; i++)
        same = x->axes[i].kind == y->axes[i].kind;
    return same;
}

/* x < 0 and x + n of tokens; anything else is computing with them. */
static bool begin_wrap(struct onnx_import *import, const struct onnx_value *x, bool *taken_out)
{
    const struct onnx_value *other = onnx_input(import, 1);
    bool less = onnx_is_op(import->node, "Less"), add = onnx_is_op(import->node, "Add");
    *taken_out = is_tokens(import, x) && other && (less || add) && is_number(other, add);
    return !*taken_out || give_tokens(import, less ? TERM_BELOW : TERM_WRAPPED, x, false);
}

/* [does not count] · 0, the other half of covering: x + that is x. */
static bool add_nothing(struct onnx_import *import, bool *taken_out)
{
    const struct onnx_value *a = frames_at(import, 0), *b = frames_at(import, 1), *x = a ? a : b;
    *taken_out = x && tokens_at(import, a ? 1 : 0, TERM_ZEROS) && onnx_is_op(import->node, "Add");
    if (*taken_out)
        onnx_set_frames(onnx_output(import, 0), &x->as.frames);
    return true;
}

/* What stays of a wrap: [x < 0] · (x + n) + [x ≥ 0] · x, or the same by Where, is x for all tokens. */
bool onnx_lay_wrap(struct onnx_import *import, bool *taken_out)
{
    const struct onnx_term *below = tokens_at(import, 0, TERM_BELOW), *a, *b;
    const struct onnx_value *x;
    bool second = !below;
    *taken_out = true;
    if (!below)
        below = tokens_at(import, 1, TERM_BELOW);
    if (below && (onnx_is_op(import->node, "Cast") || onnx_is_op(import->node, "Identity")))
        return give_tokens(import, TERM_BELOW, below->x, below->inverted);
    if (below && onnx_is_op(import->node, "Not"))
        return give_tokens(import, TERM_BELOW, below->x, !below->inverted);
    if (below && onnx_is_op(import->node, "Mul")) {
        a = tokens_at(import, !second, TERM_WRAPPED);
        x = frames_at(import, !second);
        if ((a && same_tokens(a->x, below->x) && !below->inverted) ||
            (x && same_tokens(x, below->x) && below->inverted))
            return give_tokens(import, TERM_TOKENS, below->x, below->inverted);
    }
    if (below && onnx_is_op(import->node, "Where") && !below->inverted) {
        a = tokens_at(import, 1, TERM_WRAPPED);
        x = frames_at(import, 2);
        if (a && x && same_tokens(a->x, below->x) && same_tokens(x, below->x)) {
            onnx_set_frames(onnx_output(import, 0), &x->as.frames);
            onnx_output(import, 0)->as.frames.is_int = true;
            return true;
        }
    }
    a = tokens_at(import, 0, TERM_TOKENS);
    b = tokens_at(import, 1, TERM_TOKENS);
    if (a && b && same_tokens(a->x, b->x) && a->inverted != b->inverted && onnx_is_op(import->node, "Add")) {
        onnx_set_frames(onnx_output(import, 0), &a->x->as.frames);
        onnx_output(import, 0)->as.frames.is_int = true;
        return true;
    }
    return add_nothing(import, taken_out);
}

/* ---- masks --------------------------------------------------------------- */

static bool refuse(struct onnx_import *import, const struct onnx_value *mask)
{
    return onnx_fail(import, "computes with '%s', which tells the steps that count: only recurrent layers "
                     "may read that", mask->name);
}

/* Whether any number of a step differs from the frames' number. */
static bool emit_mask(struct onnx_import *import, struct onnx_frames *frames)
{
    struct onnx_layer *layer;
    const struct model_value frame = onnx_frame_of(import, frames->value);
    if (frames->once || frame.rank != 1)
        return onnx_fail(import, "asks which of something else than the steps count, which is not supported");
    layer = onnx_layer_on(import, MODEL_MASK, frames->value);
    if (!layer)
        return false;
    layer->spec.params[0] = model_float_bits(frames->number);
    layer->spec.rank = 1;
    layer->spec.dims[0] = 1;
    frames->of_numbers = false;
    frames->value = onnx_layer_add(import, layer);
    return frames->value != MODEL_NONE;
}

/* x == number */
static bool compare(struct onnx_import *import, const struct onnx_value *x, const struct onnx_const *c)
{
    struct onnx_frames out = x->as.frames;
    double number = c->count == 0 ? NAN : c->is_int ? (double)c->ints[0].offset : (double)c->floats[0];
    bool has_features = false;
    if (c->count != 1 || (c->is_int && !onnx_is_plain(c->ints[0])) || !(fabs(number) < 1e30) ||
        (double)(float)number != number)
        return onnx_fail(import, "compares computed values, which is supported with one number only");
    if (out.is_mask)
        return refuse(import, x);
    if (!onnx_in_order(import, &out))
        return false;
    for (uint32_t i = 0; i < out.n_axes; i++)
        has_features |= out.axes[i].kind == AXIS_FEATURE;
    out.is_mask = out.is_int = out.inverted = out.of_numbers = true;
    out.number = number == 0 ? 0.0f : (float)number;
    if (!has_features && !emit_mask(import, &out))
        return false;
    onnx_set_frames(onnx_output(import, 0), &out);
    return true;
}

/* any(x != number) over the features, as a sum of ones or their maximum. */
static bool any(struct onnx_import *import, const struct onnx_value *mask)
{
    struct onnx_frames out = mask->as.frames;
    bool keep = onnx_attribute_int(import, "keepdims", 1) != 0;
    struct onnx_axes over;
    uint32_t axis;
    if (!onnx_node_axes(import, out.n_axes, false, &over))
        return false;
    axis = out.n_axes - 1;
    if (!out.of_numbers || out.inverted || over.bits != UINT32_C(1) << axis ||
        out.axes[axis].kind != AXIS_FEATURE)
        return refuse(import, mask);
    if (!emit_mask(import, &out))
        return false;
    out.axes[axis] = onnx_feature(1);
    out.n_axes -= !keep;
    onnx_set_frames(onnx_output(import, 0), &out);
    return true;
}

/* x where it counts, zeros elsewhere. */
static bool cover(struct onnx_import *import, const struct onnx_value *x, const struct onnx_value *mask)
{
    struct onnx_frames out = x->as.frames, by = mask->as.frames;
    uint32_t from = by.value ? import->layers[by.value - 1]->spec.inputs[0] : 0;
    struct onnx_layer *layer;
    if (by.inverted || by.of_numbers || by.value == 0 || out.n_axes != by.n_axes)
        return refuse(import, mask);
    for (uint32_t i = 0; i + 1 < out.n_axes; i++)
        if (out.axes[i].kind != by.axes[i].kind || out.axes[i].size != by.axes[i].size)
            return refuse(import, mask);
    if (by.axes[by.n_axes - 1].kind != AXIS_FEATURE || out.once || !onnx_keep_step(import, &out, &by))
        return refuse(import, mask);
    if (from == out.value && import->layers[by.value - 1]->spec.params[0] == 0) {
        onnx_set_frames(onnx_output(import, 0), &out); /* they are zeros there already */
        return true;
    }
    layer = onnx_layer_on(import, MODEL_MUL, out.value);
    if (!layer)
        return false;
    layer->spec.inputs[layer->spec.n_inputs++] = by.value;
    out.value = onnx_layer_add(import, layer);
    onnx_set_frames(onnx_output(import, 0), &out);
    return out.value != MODEL_NONE;
}

bool onnx_lay_sum(struct onnx_import *import)
{
    return onnx_fail(import, "a sum of computed values is not supported");
}

static bool is_zero(const struct onnx_value *value)
{
    const struct onnx_const *c = value && value->kind == ONNX_CONST ? &value->as.constant : NULL;
    return c && c->count == 1 && (c->is_int ? onnx_same(c->ints[0], onnx_plain(0)) : c->floats[0] == 0);
}

static bool pass_on(struct onnx_import *import, const struct onnx_value *mask)
{
    struct onnx_frames out = mask->as.frames;
    out.inverted ^= onnx_is_op(import->node, "Not");
    onnx_set_frames(onnx_output(import, 0), &out);
    return true;
}

bool onnx_lay_mask(struct onnx_import *import, bool *taken_out)
{
    const struct onnx_value *a = frames_at(import, 0), *b = frames_at(import, 1);
    const struct onnx_value *mask = a && a->as.frames.is_mask ? a : b && b->as.frames.is_mask ? b : NULL;
    const struct onnx_node *node = import->node;
    *taken_out = true;
    if (onnx_is_op(node, "Equal") && a && onnx_input(import, 1) && onnx_input(import, 1)->kind == ONNX_CONST)
        return compare(import, a, &onnx_input(import, 1)->as.constant);
    if (!mask)
        return begin_wrap(import, a, taken_out);
    if (onnx_is_op(node, "Not") || onnx_is_op(node, "Cast") ||
        (onnx_is_op(node, "Greater") && mask == a && is_zero(onnx_input(import, 1))))
        return pass_on(import, mask);
    if (onnx_is_op(node, "ReduceSum") || onnx_is_op(node, "ReduceMax"))
        return any(import, mask);
    if (onnx_is_op(node, "Mul") && is_zero(onnx_input(import, mask == a)))
        return onnx_give_zeros(import);
    if (onnx_is_op(node, "Mul") && a && b)
        return cover(import, mask == a ? b : a, mask);
    if (onnx_is_op(node, "Transpose") || onnx_is_op(node, "Squeeze") || onnx_is_op(node, "Unsqueeze") ||
        onnx_is_op(node, "Identity") || onnx_is_op(node, "Shape")) {
        *taken_out = false;
        return true;
    }
    return refuse(import, mask);
}
