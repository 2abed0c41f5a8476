/* SPDX-License-Identifier: MIT
 *
 * Convolutions over one axis, which is time or lies inside a frame, with the Pad before them; and
 * what stands around them in speech models: the magnitude of a spectrum, clipping.
 */
#include "formats/onnx/onnx_internal.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

/* ---- Pad ----------------------------------------------------------------- */

static bool read_mode(struct onnx_import *import, enum model_padding *out)
{
    static const struct {
        const char *name;
        enum model_padding kind;
    } modes[] = {{"constant", MODEL_PAD_ZEROS}, {"reflect", MODEL_PAD_REFLECT}, {"edge", MODEL_PAD_EDGE}};
    const Onnx__AttributeProto *a = onnx_attribute(import, "mode");
    *out = MODEL_PAD_ZEROS;
    if (!a)
        return true;
    for (size_t i = 0; i < sizeof modes / sizeof *modes; i++) {
        *out = modes[i].kind;
        if (a->s.len == strlen(modes[i].name) && memcmp(a->s.data, modes[i].name, a->s.len) == 0)
            return true;
    }
    return onnx_fail(import, "mode = '%.*s'; constant, reflect and edge are supported",
                     (int)(a->s.len < 40 ? a->s.len : 40), (const char *)a->s.data);
}

/* The pads as [begin of each axis, end of each axis]; axes that are not named have none. */
static bool read_pads(struct onnx_import *import, uint32_t rank, int64_t pads[2 * ONNX_MAX_AXES])
{
    const int64_t *given, *axes;
    uint32_t n, n_axes;
    memset(pads, 0, 2 * ONNX_MAX_AXES * sizeof *pads);
    if (!onnx_plain_list(import, 1, "pads", &given, &n) || !onnx_plain_list(import, 3, "", &axes, &n_axes))
        return false;
    if (!axes)
        n_axes = rank;
    if (!given || n != 2 * n_axes || n_axes > rank)
        return onnx_fail(import, "has %u pads for %u dimensions", given ? n : 0, n_axes);
    for (uint32_t i = 0; i < n_axes; i++) {
        uint32_t axis = axes ? onnx_axis_index(axes[i], rank) : i;
        if (axis == UINT32_MAX)
            return onnx_fail(import, "axis %" PRId64 " is out of range", axes[i]);
        pads[axis] = given[i];
        pads[rank + axis] = given[n_axes + i];
    }
    return true;
}

static bool is_zero(const struct onnx_value *value)
{
    const struct onnx_const *c = &value->as.constant;
    return value->kind == ONNX_CONST && c->count == 1 &&
           (c->is_int ? onnx_same(c->ints[0], onnx_plain(0)) : c->floats[0] == 0);
}

static bool pad_axis(struct onnx_import *import, struct onnx_axis *axis, int64_t before, int64_t after,
                     enum model_padding kind)
{
    if (axis->kind != AXIS_FEATURE && axis->kind != AXIS_TIME)
        return onnx_fail(import, "pads the batch, which is not supported");
    if (before < 0 || after < 0 || before > MODEL_MAX_DIM || after > MODEL_MAX_DIM)
        return onnx_fail(import, "pads of %" PRId64 " and %" PRId64 "; 0 to %d are supported", before, after,
                         MODEL_MAX_DIM);
    if (axis->padding.before || axis->padding.after)
        return onnx_fail(import, "pads an axis that is padded already, which is not supported");
    if (axis->kind == AXIS_FEATURE && kind == MODEL_PAD_REFLECT &&
        (before >= axis->size || after >= axis->size))
        return onnx_fail(import, "reflects %" PRId64 " and %" PRId64 " of %u numbers; pads must be smaller",
                         before,
                         after, axis->size);
    axis->padding = (struct onnx_padding){(uint32_t)before, (uint32_t)after, kind};
    if (axis->kind == AXIS_FEATURE)
        axis->size += (uint32_t)(before + after);
    return axis->size <= MODEL_MAX_FRAME || onnx_fail(import, "makes an axis longer than %d",
                                                      MODEL_MAX_FRAME);
}

bool onnx_lay_pad(struct onnx_import *import)
{
    struct onnx_frames out = onnx_input(import, 0)->as.frames;
    int64_t pads[2 * ONNX_MAX_AXES];
    enum model_padding kind;
    if (!read_mode(import, &kind) || !read_pads(import, out.n_axes, pads))
        return false;
    if (kind == MODEL_PAD_ZEROS && (onnx_attribute_float(import, "value", 0) != 0 ||
                                    (onnx_input(import, 2) && !is_zero(onnx_input(import, 2)))))
        return onnx_fail(import, "pads with another constant than 0, which is not supported");
    for (uint32_t i = 0; i < out.n_axes; i++)
        if ((pads[i] || pads[out.n_axes + i]) &&
            !pad_axis(import, &out.axes[i], pads[i], pads[out.n_axes + i], kind))
            return false;
    onnx_set_frames(onnx_output(import, 0), &out);
    return true;
}

/* ---- Conv ---------------------------------------------------------------- */

struct conv {
    uint32_t axis; /* the one it goes along; axis 1 has the channels */
    bool in_time;
    uint32_t n_in, n_out, groups, length; /* length: without padding, inside a frame */
    uint32_t kernel, stride, dilation;
    struct onnx_padding padding;
    const float *weights; /* [n_out][kernel][n_in / groups] */
    const float *bias;
};

/* Element i of a list attribute with an element for each axis that a convolution may go along. */
static bool spatial(struct onnx_import *import, const char *name, uint32_t n, uint32_t i, int64_t otherwise,
                    int64_t *out)
{
    const Onnx__AttributeProto *a = onnx_attribute(import, name);
    *out = otherwise;
    if (!a)
        return true;
    if (a->n_ints != n)
        return onnx_fail(import, "%s has %zu entries, not %u", name, a->n_ints, n);
    *out = a->ints[i];
    return *out >= 0 && *out <= MODEL_MAX_DIM ? true
           : onnx_fail(import, "%s has %" PRId64 "; 0 to %d are supported", name, *out, MODEL_MAX_DIM);
}

static bool text_is(const Onnx__AttributeProto *a, const char *text)
{
    return a->s.len == strlen(text) && memcmp(a->s.data, text, a->s.len) == 0;
}

/* Padding as auto_pad wants it: as many positions as ceil(length / stride). Over time with a stride it
 * would depend on the number of steps, unless there is none. */
static bool auto_padding(struct onnx_import *import, struct conv *conv, int64_t *before, int64_t *after)
{
    const Onnx__AttributeProto *a = onnx_attribute(import, "auto_pad");
    int64_t reach = (int64_t)conv->dilation * (conv->kernel - 1), total = reach, last;
    bool upper = a && text_is(a, "SAME_UPPER"), lower = a && text_is(a, "SAME_LOWER");
    if (!a || a->s.len == 0 || text_is(a, "NOTSET"))
        return true;
    if (!upper && !lower && !text_is(a, "VALID"))
        return onnx_fail(import, "auto_pad = '%.*s' is not known", (int)(a->s.len < 40 ? a->s.len : 40),
                         (const char *)a->s.data);
    *before = *after = 0;
    if (!upper && !lower)
        return true;
    if (conv->in_time && conv->stride > 1 && reach > upper)
        return onnx_fail(import, "auto_pad = %.10s with strides = %u along the sequence pads by what the "
                         "number of steps is, which is not supported; pads that are written down are",
                         (const char *)a->s.data, conv->stride);
    if (!conv->in_time) {
        last = (int64_t)(conv->length - 1) / conv->stride * conv->stride;
        total = last + reach + 1 - conv->length > 0 ? last + reach + 1 - conv->length : 0;
    }
    *before = upper ? total / 2 : total - total / 2;
    *after = total - *before;
    return true;
}

/* What the Pad before it asked for and what the node asks for itself. */
static bool join_padding(struct onnx_import *import, struct conv *conv, const struct onnx_axis *axis,
                         uint32_t n_spatial, uint32_t i)
{
    const Onnx__AttributeProto *pads = onnx_attribute(import, "pads");
    int64_t own[2] = {0, 0};
    if (pads && pads->n_ints != 2 * (size_t)n_spatial)
        return onnx_fail(import, "pads has %zu entries, not %u", pads->n_ints, 2 * n_spatial);
    for (uint32_t k = 0; pads && k < 2; k++)
        own[k] = pads->ints[k * n_spatial + i];
    if (own[0] < 0 || own[1] < 0 || own[0] > MODEL_MAX_DIM || own[1] > MODEL_MAX_DIM)
        return onnx_fail(import, "pads of %" PRId64 " and %" PRId64 "; 0 to %d are supported", own[0], own[1],
                         MODEL_MAX_DIM);
    if (!auto_padding(import, conv, &own[0], &own[1]))
        return false;
    conv->padding = axis->padding;
    if (!own[0] && !own[1])
        return true;
    if ((axis->padding.before || axis->padding.after) && axis->padding.kind != MODEL_PAD_ZEROS)
        return onnx_fail(import, "pads what a Pad that reflects or repeats has padded, which is not "
                         "supported");
    conv->padding.kind = MODEL_PAD_ZEROS;
    conv->padding.before += (uint32_t)own[0];
    conv->padding.after += (uint32_t)own[1];
    return true;
}

/* The one axis along which something happens; all other spatial ones are of size 1. */
static bool find_axis(struct onnx_import *import, struct conv *conv, const struct onnx_frames *in,
                      const struct onnx_const *w)
{
    uint32_t n_spatial = in->n_axes - 2, found = UINT32_MAX;
    for (uint32_t i = 0; i < n_spatial; i++) {
        const struct onnx_axis *axis = &in->axes[2 + i];
        int64_t kernel = w->dims[2 + i].offset, said;
        if (!spatial(import, "kernel_shape", n_spatial, i, kernel, &said))
            return false;
        if (said != kernel)
            return onnx_fail(import, "kernel_shape has %" PRId64 ", its weights %" PRId64, said, kernel);
        if (kernel == 1 && axis->kind == AXIS_FEATURE && axis->size == 1 && (n_spatial > 1 || i > 0))
            continue;
        if (found != UINT32_MAX)
            return onnx_fail(import, "goes along two axes (a 2-D convolution), which is not supported");
        found = i;
    }
    if (found == UINT32_MAX)
        found = n_spatial - 1;
    conv->axis = 2 + found;
    conv->kernel = (uint32_t)w->dims[conv->axis].offset;
    return true;
}

static bool read_steps(struct onnx_import *import, struct conv *conv, const struct onnx_frames *in)
{
    const struct onnx_axis *axis = &in->axes[conv->axis];
    uint32_t n_spatial = in->n_axes - 2, i = conv->axis - 2;
    int64_t stride, dilation;
    if (!spatial(import, "strides", n_spatial, i, 1, &stride) ||
        !spatial(import, "dilations", n_spatial, i, 1, &dilation))
        return false;
    if (stride < 1 || dilation < 1 || (uint64_t)dilation * (conv->kernel - 1) > MODEL_MAX_DIM)
        return onnx_fail(import, "strides or dilations are 0, or its kernel reaches too far");
    conv->stride = (uint32_t)stride;
    conv->dilation = (uint32_t)dilation;
    conv->in_time = axis->kind == AXIS_TIME;
    if (!conv->in_time && axis->kind != AXIS_FEATURE)
        return onnx_fail(import, "goes along the batch, which is not supported");
    conv->length = conv->in_time ? 1 : axis->size - axis->padding.before - axis->padding.after;
    return join_padding(import, conv, axis, n_spatial, i);
}

/* [O][C / G][K] to [O][K][C / G]. */
static const float *arrange(struct onnx_import *import, const struct onnx_const *w, uint32_t kernel)
{
    size_t rows = (size_t)w->dims[0].offset, channels = (size_t)w->dims[1].offset;
    float *out = onnx_alloc(import, w->count, sizeof *out);
    for (size_t o = 0; out && o < rows; o++)
        for (size_t c = 0; c < channels; c++)
            for (size_t k = 0; k < kernel; k++)
                out[(o * kernel + k) * channels + c] = w->floats[(o * channels + c) * kernel + k];
    return out;
}

static bool read_weights(struct onnx_import *import, struct conv *conv, const struct onnx_frames *in)
{
    const struct onnx_value *value = onnx_input(import, 1);
    const struct onnx_const *w = value ? &value->as.constant : NULL;
    int64_t groups = onnx_attribute_int(import, "group", 1);
    if (!value || value->kind != ONNX_CONST || w->is_int || w->rank != in->n_axes || w->count == 0)
        return onnx_fail(import, "W ('%s') is no constant of %u dimensions", value ? value->name : "",
                         in->n_axes);
    for (uint32_t i = 0; i < w->rank; i++)
        if (!onnx_is_plain(w->dims[i]) || w->dims[i].offset > MODEL_MAX_DIM)
            return onnx_fail(import, "W ('%s') has a dimension that is not supported", value->name);
    if (groups < 1 || groups > MODEL_MAX_DIM ||
        conv->n_in != (uint64_t)groups * (uint64_t)w->dims[1].offset ||
        w->dims[0].offset % groups)
        return onnx_fail(import, "W ('%s') is for %" PRId64 " groups of %" PRId64 " channels, '%s' has %u",
                         value->name,
                         groups, w->dims[1].offset, onnx_input(import, 0)->name, conv->n_in);
    conv->groups = (uint32_t)groups;
    conv->n_out = (uint32_t)w->dims[0].offset;
    if (!find_axis(import, conv, in, w) || !read_steps(import, conv, in) ||
        !onnx_vector(import, 2, conv->n_out, &conv->bias))
        return false;
    conv->weights = arrange(import, w, conv->kernel);
    return conv->weights != NULL;
}

/* How many positions come out, 0 if the kernel is longer than what there is. */
static uint32_t positions(const struct conv *conv)
{
    int64_t room = (int64_t)conv->length + conv->padding.before + conv->padding.after -
                   (int64_t)conv->dilation * (conv->kernel - 1) - 1;
    return room < 0 ? 0 : (uint32_t)(room / conv->stride) + 1;
}

/* Taps that only ever meet zeros of the padding are left out: with short frames that is most of a
 * kernel. The first and the last ones, one by one, unless the shorter kernel would find more positions. */
static bool trim(struct onnx_import *import, struct conv *conv, uint32_t n_positions)
{
    int64_t d = conv->dilation, last = (int64_t)(n_positions - 1) * conv->stride, after;
    uint32_t first = 0, end = conv->kernel, n = conv->n_in / conv->groups;
    struct conv trimmed = *conv;
    if (conv->padding.kind != MODEL_PAD_ZEROS || conv->in_time)
        return true;
    while (first + 1 < end && last + first * d - conv->padding.before < 0)
        first++;
    while (end > first + 1 && (end - 1) * d - conv->padding.before >= conv->length)
        end--;
    if ((int64_t)conv->padding.before < first * d || end - first == conv->kernel)
        return true;
    trimmed.kernel = end - first;
    trimmed.padding.before -= (uint32_t)(first * d);
    after = last + (int64_t)(trimmed.kernel - 1) * d + 1 - trimmed.padding.before - conv->length;
    trimmed.padding.after = after > 0 ? (uint32_t)after : 0;
    if (positions(&trimmed) != n_positions)
        return true;
    float *kept = onnx_alloc(import, (size_t)conv->n_out * trimmed.kernel * n, sizeof *kept);
    for (size_t o = 0; kept && o < conv->n_out; o++)
        memcpy(kept + o * trimmed.kernel * n, conv->weights + (o * conv->kernel + first) * n,
               (size_t)trimmed.kernel * n * sizeof *kept);
    trimmed.weights = kept;
    *conv = trimmed;
    return kept != NULL;
}

static bool is_dense(const struct conv *conv)
{
    return conv->kernel == 1 && conv->stride == 1 && conv->groups == 1 && !conv->padding.before &&
           !conv->padding.after;
}

static void fill_windows(uint32_t *words, const struct conv *conv)
{
    words[MODEL_CONV_STRIDE] = conv->stride;
    words[MODEL_CONV_DILATION] = conv->dilation;
    words[MODEL_CONV_PAD_BEFORE] = conv->padding.before;
    words[MODEL_CONV_PAD_AFTER] = conv->padding.after;
}

static void fill_params(struct onnx_layer *layer, const struct conv *conv)
{
    uint32_t *params = layer->spec.params;
    fill_windows(params, conv);
    if (conv->padding.before || conv->padding.after)
        params[MODEL_CONV_PADDING] = conv->padding.kind;
    params[MODEL_CONV_GROUPS] = conv->groups;
}

static bool emit(struct onnx_import *import, struct onnx_frames *frames, const struct conv *conv,
                 uint32_t n_positions)
{
    bool dense = is_dense(conv), flat = conv->in_time || (dense && conv->length == 1);
    uint32_t type = dense ? MODEL_DENSE : conv->in_time ? MODEL_TEMPORAL_CONV : MODEL_CONV1D;
    struct onnx_layer *layer;
    if (!(flat ? onnx_shaped(import, frames, 1, &conv->n_in)
               : onnx_shaped(import, frames, 2, (const uint32_t[2]){conv->length, conv->n_in})))
        return false;
    layer = onnx_layer_on(import, type, frames->value);
    if (!layer)
        return false;
    if (!dense)
        fill_params(layer, conv);
    if (dense)
        onnx_add_data(layer, "weight", conv->weights, 2, (const uint32_t[]){conv->n_out, conv->n_in});
    else
        onnx_add_data(layer, "weight", conv->weights, 3,
                      (const uint32_t[]){conv->n_out, conv->kernel, conv->n_in / conv->groups});
    onnx_add_data(layer, "bias", conv->bias, 1, &conv->n_out);
    if (!flat)
        layer->spec.dims[0] = n_positions;
    layer->spec.dims[!flat] = conv->n_out;
    frames->value = onnx_layer_add(import, layer);
    return frames->value != MODEL_NONE;
}

static bool check_batch(struct onnx_import *import, const struct onnx_frames *in)
{
    if (in->n_axes < 3)
        return onnx_fail(import, "X ('%s') has %u dimensions; at least 3 are needed",
                         onnx_input(import, 0)->name,
                         in->n_axes);
    if (in->is_int || in->axes[1].kind != AXIS_FEATURE || in->axes[1].padding.before ||
        in->axes[1].padding.after)
        return onnx_fail(import, "axis 1 of X ('%s') is not the channels, or they are padded or tokens",
                         onnx_input(import, 0)->name);
    if (in->axes[0].kind == AXIS_FEATURE && in->axes[0].size != 1)
        return onnx_fail(import, "axis 0 of X ('%s') is neither the batch nor the sequence",
                         onnx_input(import, 0)->name);
    return true;
}

/* From here on there are fewer steps: *number is their pace's. */
static bool new_pace(struct onnx_import *import, const struct conv *conv, uint64_t reach, uint32_t *number)
{
    struct pace pace;
    uint32_t words[MODEL_CONV_PADDING];
    fill_windows(words, conv);
    if (import->frozen_time == 1 && import->has_states)
        return onnx_fail(import, "leaves fewer steps than it reads, in a graph that is called step by step, "
                         "which is not supported");
    if (!pace_of_windows(import->paces[*number], reach, words, &pace))
        return onnx_fail(import, "needs more than %d steps for one to come out", MODEL_MAX_STEPS);
    if (import->frozen_time && !pace_steps(pace, (uint64_t)import->frozen_time))
        return onnx_fail(import, "its kernel is longer than the %" PRId64 " steps that the graph was "
                         "exported for", onnx_frozen_time(import, *number));
    for (*number = 0; *number < import->n_paces; ++*number)
        if (pace_same(import->paces[*number], pace))
            return true;
    if (import->n_paces == ONNX_MAX_PACES)
        return onnx_fail(import, "makes more than %d different numbers of steps, which is not supported",
                         ONNX_MAX_PACES);
    import->paces[import->n_paces++] = pace;
    return true;
}

/* Steps may become fewer, not more. */
static bool set_time(struct onnx_import *import, struct onnx_frames *frames, const struct conv *conv)
{
    uint64_t reach = (uint64_t)conv->dilation * (conv->kernel - 1);
    uint64_t padding = (uint64_t)conv->padding.before + conv->padding.after;
    if (!conv->in_time)
        return true;
    import->progress++; /* the input's axes have been understood */
    if (frames->once)
        return onnx_fail(import, "there is one frame only, the sequence is gone already");
    if (padding > reach)
        return onnx_fail(import, "pads %u and %u along the sequence, where the kernel of %u reaches over "
                         "%" PRIu64 "; the output must not have more steps than the input",
                         conv->padding.before, conv->padding.after, conv->kernel, reach);
    return (padding == reach && conv->stride == 1) ||
           new_pace(import, conv, reach, &frames->axes[conv->axis].pace);
}

bool onnx_lay_conv(struct onnx_import *import)
{
    struct onnx_frames out = onnx_input(import, 0)->as.frames;
    struct conv conv = {0};
    uint32_t n_positions = 1;
    if (!onnx_settle(import, &out, NULL) || !check_batch(import, &out))
        return false;
    conv.n_in = out.axes[1].size;
    if (!read_weights(import, &conv, &out) || !set_time(import, &out, &conv))
        return false;
    for (uint32_t i = 2; i < out.n_axes; i++)
        if (i != conv.axis && (out.axes[i].padding.before || out.axes[i].padding.after))
            return onnx_fail(import, "axis %u of X is padded, which is not supported", i);
    if (!conv.in_time) {
        out.axes[conv.axis].size = conv.length;
        n_positions = positions(&conv);
        if (n_positions == 0)
            return onnx_fail(import, "its kernel is longer than the %u positions of X", conv.length);
        if (!trim(import, &conv, n_positions))
            return false;
    }
    out.axes[conv.axis].padding = (struct onnx_padding){0, 0, MODEL_PAD_ZEROS};
    if (!onnx_bring_last(import, &out, 2, (const uint32_t[2]){conv.axis, 1}) ||
        !emit(import, &out, &conv, n_positions))
        return false;
    for (uint32_t i = 0; i < out.n_axes; i++)
        out.axes[i].place = 0;
    out.axes[1] = onnx_feature(conv.n_out);
    out.axes[1].place = 1;
    if (!conv.in_time)
        out.axes[conv.axis].size = n_positions;
    onnx_set_frames(onnx_output(import, 0), &out);
    return true;
}

/* ---- MaxPool, AveragePool ------------------------------------------------- */

/* The one axis that it goes along, which must be the sequence. */
static bool find_pool_axis(struct onnx_import *import, struct conv *conv, const struct onnx_frames *in)
{
    uint32_t n_spatial = in->n_axes - 2;
    conv->kernel = 0;
    for (uint32_t i = 0; i < n_spatial; i++) {
        const struct onnx_axis *axis = &in->axes[2 + i];
        int64_t kernel;
        if (!spatial(import, "kernel_shape", n_spatial, i, 0, &kernel))
            return false;
        if (kernel == 1 && axis->kind == AXIS_FEATURE && !axis->padding.before && !axis->padding.after)
            continue;
        if (axis->kind != AXIS_TIME || kernel < 1)
            return onnx_fail(import, "kernel_shape has %" PRId64 " along axis %u; pools are supported along "
                             "the sequence only", kernel, 2 + i);
        conv->axis = 2 + i;
        conv->kernel = (uint32_t)kernel;
    }
    return conv->kernel > 0 || onnx_fail(import, "does not go along the sequence, which is not supported");
}

/* ceil_mode lets a last window look beyond the end: as padding there, where that can be said. */
static bool round_up(struct onnx_import *import, struct conv *conv, bool counts_padding)
{
    uint64_t padding = (uint64_t)conv->padding.before + conv->padding.after;
    if (!onnx_attribute_int(import, "ceil_mode", 0) || conv->stride == 1)
        return true;
    if ((counts_padding && padding) || conv->dilation > 1 || padding + conv->stride > conv->kernel)
        return onnx_fail(import, "ceil_mode with a kernel of %u, strides of %u and pads of %u and %u%s, "
                         "which is not supported", conv->kernel, conv->stride, conv->padding.before,
                         conv->padding.after, counts_padding ? " that are counted" : "");
    conv->padding.after += conv->stride - 1;
    return true;
}

static bool emit_pool(struct onnx_import *import, struct onnx_frames *frames, const struct conv *conv,
                      enum model_pool kind)
{
    struct onnx_layer *layer = onnx_layer_on(import, MODEL_TEMPORAL_POOL, frames->value);
    if (!layer)
        return false;
    fill_windows(layer->spec.params, conv);
    layer->spec.params[MODEL_POOL_KIND] = kind;
    layer->spec.params[MODEL_POOL_TAPS] = conv->kernel;
    frames->value = onnx_layer_add(import, layer);
    return frames->value != MODEL_NONE;
}

bool onnx_lay_pool(struct onnx_import *import)
{
    struct onnx_frames out = onnx_input(import, 0)->as.frames;
    struct conv conv = {0};
    const bool greatest = onnx_is_op(import->node, "MaxPool");
    const bool counts = !greatest && onnx_attribute_int(import, "count_include_pad", 0);
    if (!onnx_settle(import, &out, NULL) || !check_batch(import, &out) ||
        !find_pool_axis(import, &conv, &out))
        return false;
    if (import->node->n_outputs > 1 && onnx_used(import, 1))
        return onnx_fail(import, "gives indices too, which is not supported");
    if (!read_steps(import, &conv, &out) || !round_up(import, &conv, counts))
        return false;
    if (conv.dilation > 1 && (conv.padding.before || conv.padding.after))
        return onnx_fail(import, "has pads and dilations, which is not supported together");
    if (!set_time(import, &out, &conv) ||
        !emit_pool(import, &out, &conv, greatest ? MODEL_POOL_MAX : counts ? MODEL_POOL_MEAN_OF_ALL
                                                                           : MODEL_POOL_MEAN))
        return false;
    onnx_set_frames(onnx_output(import, 0), &out);
    return true;
}

/* ---- magnitude ----------------------------------------------------------- */

/* The value before its reshapes. */
static uint32_t unshaped(const struct onnx_import *import, uint32_t value)
{
    while (value > 0 && import->layers[value - 1]->spec.type == MODEL_RESHAPE)
        value = import->layers[value - 1]->spec.inputs[0];
    return value;
}

/* The layer that makes a value, looking through reshapes; NULL for the model's input. */
static const struct onnx_layer *maker(const struct onnx_import *import, uint32_t value)
{
    value = unshaped(import, value);
    return value > 0 ? import->layers[value - 1] : NULL;
}

/* The slice that a value is the square of. */
static const struct onnx_layer *squared_slice(const struct onnx_import *import, uint32_t value)
{
    const struct onnx_layer *mul = maker(import, value), *slice;
    if (!mul || mul->spec.type != MODEL_MUL || mul->spec.n_inputs != 2 ||
        unshaped(import, mul->spec.inputs[0]) != unshaped(import, mul->spec.inputs[1]))
        return NULL;
    slice = maker(import, mul->spec.inputs[0]);
    return slice && slice->spec.type == MODEL_SLICE ? slice : NULL;
}

/* The value whose last dimension's halves are a and b, in either order; MODEL_NONE: there is none. */
static uint32_t halves_of(const struct onnx_import *import, const struct onnx_layer *a,
                          const struct onnx_layer *b)
{
    const uint32_t *p = a->spec.params, *q = b->spec.params;
    uint32_t value = a->spec.inputs[0];
    struct model_value frame = onnx_frame_of(import, value);
    if (p[1] != 0)
        return q[1] == 0 ? halves_of(import, b, a) : MODEL_NONE;
    if (unshaped(import, value) != unshaped(import, b->spec.inputs[0]) || p[0] != frame.rank - 1 || q[0] !=
        p[0] || p[3] != 1 || q[3] != 1 ||
        p[2] != q[1] || q[2] != p[2] || 2 * p[2] != frame.dims[p[0]])
        return MODEL_NONE;
    return value;
}

/* The same where both halves were cut along the dimension before, too: that is done first. */
static uint32_t cut_halves_of(struct onnx_import *import, const struct onnx_layer *a,
                              const struct onnx_layer *b)
{
    const struct onnx_layer *inner_a = maker(import, a->spec.inputs[0]);
    const struct onnx_layer *inner_b = maker(import, b->spec.inputs[0]);
    struct onnx_layer *cut;
    uint32_t value;
    if (!inner_a || !inner_b || inner_a->spec.type != MODEL_SLICE || inner_b->spec.type != MODEL_SLICE ||
        memcmp(a->spec.params, b->spec.params, sizeof a->spec.params) || a->spec.rank < 2 ||
        a->spec.params[0] != a->spec.rank - 2)
        return MODEL_NONE;
    value = halves_of(import, inner_a, inner_b);
    if (value == MODEL_NONE || onnx_frame_of(import, value).rank != a->spec.rank)
        return MODEL_NONE;
    cut = onnx_layer_on(import, MODEL_SLICE, value);
    if (!cut)
        return MODEL_NONE;
    memcpy(cut->spec.params, a->spec.params, sizeof cut->spec.params);
    cut->spec.dims[a->spec.params[0]] = a->spec.params[2];
    return onnx_layer_add(import, cut);
}

/* sqrt(a² + b²) with a and b the halves of one value; the layers of the steps are left without a use. */
bool onnx_lay_sqrt(struct onnx_import *import)
{
    struct onnx_frames out = onnx_input(import, 0)->as.frames;
    const struct onnx_layer *add = maker(import, out.value), *a = NULL, *b = NULL;
    struct onnx_layer *layer;
    uint32_t value = MODEL_NONE;
    if (add && add->spec.type == MODEL_ADD && add->spec.n_inputs == 2) {
        a = squared_slice(import, add->spec.inputs[0]);
        b = squared_slice(import, add->spec.inputs[1]);
    }
    if (a && b && (value = halves_of(import, a, b)) == MODEL_NONE)
        value = cut_halves_of(import, a, b);
    if (value == MODEL_NONE)
        return onnx_fail(import, "is supported only as a step of a layer normalisation, or over the sum of "
                         "the "
                         "squares of the two halves of a value (a magnitude)");
    layer = onnx_layer_on(import, MODEL_MAGNITUDE, value);
    if (!layer)
        return false;
    layer->spec.dims[layer->spec.rank - 1] /= 2;
    out.value = onnx_layer_add(import, layer);
    onnx_set_frames(onnx_output(import, 0), &out);
    return out.value != MODEL_NONE;
}

/* x² only. */
bool onnx_lay_pow(struct onnx_import *import)
{
    struct onnx_frames out = onnx_input(import, 0)->as.frames;
    const struct onnx_value *power = onnx_input(import, 1);
    const struct onnx_const *c = power ? &power->as.constant : NULL;
    struct onnx_layer *layer;
    if (!power || power->kind != ONNX_CONST || c->count != 1 || out.is_int ||
        (c->is_int ? !onnx_same(c->ints[0], onnx_plain(2)) : c->floats[0] != 2))
        return onnx_fail(import, "the exponent is not the constant 2, which alone is supported");
    layer = onnx_layer_on(import, MODEL_MUL, out.value);
    if (!layer)
        return false;
    layer->spec.n_inputs = 2;
    layer->spec.inputs[1] = out.value;
    out.value = onnx_layer_add(import, layer);
    onnx_set_frames(onnx_output(import, 0), &out);
    return out.value != MODEL_NONE;
}

/* ---- Clip ---------------------------------------------------------------- */

/* A bound as input `i` or, before opset 11, attribute; `none` if it is absent or has no effect. */
static bool bound(struct onnx_import *import, uint32_t i, const char *name, float none, float *out)
{
    const struct onnx_value *value = onnx_input(import, i);
    *out = onnx_attribute_float(import, name, none);
    if (!value)
        return true;
    if (value->kind != ONNX_CONST || value->as.constant.is_int || value->as.constant.count != 1)
        return onnx_fail(import, "%s ('%s') is no constant number", name, value->name);
    *out = value->as.constant.floats[0];
    return true;
}

/* 0 and up is a relu, 0 to 1 the middle of a hard sigmoid. */
bool onnx_lay_clip(struct onnx_import *import)
{
    struct onnx_frames out = onnx_input(import, 0)->as.frames;
    float low, high;
    if (!bound(import, 1, "min", -INFINITY, &low) || !bound(import, 2, "max", INFINITY, &high))
        return false;
    if (low != 0 || (high != 1 && high < 0x1p127f))
        return onnx_fail(import, "to %g … %g; 0 to 1, and 0 with no upper bound, are supported on computed "
                         "values",
                         (double)low, (double)high);
    if (!onnx_emit_activation(import, &out, high == 1 ? MODEL_ACT_HARD_SIGMOID : MODEL_ACT_RELU,
                              high == 1 ? 1 : 0, 0))
        return false;
    onnx_set_frames(onnx_output(import, 0), &out);
    return true;
}
