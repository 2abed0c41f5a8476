/* SPDX-License-Identifier: MIT
 *
 * conv1d and temporal_conv: one product for each position, over the window of frames that
 * it sees. Frames have their channels last, so a window without dilation is K·C numbers in a
 * row already: those at the edges, and what else is not in a row, are gathered first.
 */
#include <stdio.h>
#include <string.h>

#include "runtime/error.h"
#include "runtime/layer_types.h"
#include "runtime/memory.h"
#include "runtime/windows.h"

enum { WORDS = 9, GATHER_FLOATS = 1 << 17 };

static uint32_t channels_in(const struct layer *layer)
{
    return layer->in.dims[layer->in.rank - 1];
}

static uint32_t channels_out(const struct layer *layer)
{
    return layer->out.dims[layer->out.rank - 1];
}

/* Positions from the first tap's to the last one's. */
static uint64_t reach_of(const struct layer *layer)
{
    return (uint64_t)layer->spec.params[MODEL_CONV_DILATION] * (layer->taps - 1);
}

/* ---- check -------------------------------------------------------------------- */

static lstm_status check_words(const struct layer *layer, lstm_error *error)
{
    const uint32_t *words = layer->spec.params;
    const uint32_t rule = MODEL_RULE_WORDS + layer->spec.type;
    const uint32_t groups = words[MODEL_CONV_GROUPS];
    const unsigned in = channels_in(layer), out = channels_out(layer);
    lstm_status status = check_window_words(layer, error);
    if (status != LSTM_OK)
        return status;
    if (words[MODEL_CONV_PADDING] > MODEL_PAD_EDGE)
        return error_layer(error, rule, layer, "padding of kind %u, expected 0, 1 or 2",
                           (unsigned)words[MODEL_CONV_PADDING]);
    if (!groups || in % groups || out % groups)
        return error_layer(error, rule, layer, "%u groups do not divide %u and %u channels",
                           (unsigned)groups, in, out);
    status = check_words_unused(layer, WORDS, error);
    return status != LSTM_OK ? status
                             : check_activation(layer, words[MODEL_CONV_ACT],
                                                words + MODEL_CONV_ACT + 1, error);
}

/* How many taps there are is known from the weights alone. */
static lstm_status check_tensors(const struct lstm_model *model, struct layer *layer,
                                 lstm_error *error)
{
    const uint32_t out = channels_out(layer);
    struct model_tensor w = {.dims = {0}};
    if (layer_has(layer, 0))
        model_get_tensor(&model->view, layer->spec.tensors[0], &w);
    layer->taps = w.dims[1] ? w.dims[1] : 1;
    const uint32_t dims[] = {out, layer->taps,
                             channels_in(layer) / layer->spec.params[MODEL_CONV_GROUPS]};
    const lstm_status status = check_tensor(model, layer, 0, true, 3, dims, error);
    return status != LSTM_OK ? status : check_tensor(model, layer, 1, false, 1, &out, error);
}

static lstm_status check_common(const struct lstm_model *model, struct layer *layer, uint32_t rank,
                                lstm_error *error)
{
    lstm_status status = check_arity(model, layer, 1, 1, 2, error);
    if (status == LSTM_OK && layer->in.rank != rank)
        status = error_layer(error, MODEL_RULE_SHAPES + layer->spec.type, layer,
                             "the input has rank %u, expected %u", (unsigned)layer->in.rank,
                             (unsigned)rank);
    if (status == LSTM_OK)
        status = check_words(layer, error);
    return status != LSTM_OK ? status : check_tensors(model, layer, error);
}

static lstm_status check_conv1d(const struct lstm_model *model, struct layer *layer,
                                lstm_error *error)
{
    const uint32_t *words = layer->spec.params;
    const lstm_status status = check_common(model, layer, 2, error);
    if (status != LSTM_OK)
        return status;
    const uint64_t length = layer->in.dims[0], reach = reach_of(layer);
    const uint64_t before = words[MODEL_CONV_PAD_BEFORE], after = words[MODEL_CONV_PAD_AFTER];
    if (words[MODEL_CONV_PADDING] == MODEL_PAD_REFLECT && (before >= length || after >= length))
        return error_layer(error, MODEL_RULE_WORDS + MODEL_CONV1D, layer,
                           "%u positions cannot be reflected to %u before and %u after them",
                           (unsigned)length, (unsigned)before, (unsigned)after);
    if (length + before + after <= reach)
        return error_layer(error, MODEL_RULE_SHAPES + MODEL_CONV1D, layer,
                           "taps reach over %llu of %llu positions",
                           (unsigned long long)reach + 1,
                           (unsigned long long)(length + before + after));
    const uint64_t n = (length + before + after - reach - 1) / words[MODEL_CONV_STRIDE] + 1;
    if (n > MODEL_MAX_DIM)
        return error_layer(error, MODEL_RULE_SHAPES + MODEL_CONV1D, layer,
                           "%llu positions, at most %u", (unsigned long long)n,
                           (unsigned)MODEL_MAX_DIM);
    const uint32_t dims[] = {(uint32_t)n, channels_out(layer)};
    const lstm_status shape = check_output(layer, 2, dims, error);
    return shape != LSTM_OK ? shape : check_once(layer, layer->in.once, error);
}

static lstm_status check_temporal(const struct lstm_model *model, struct layer *layer,
                                  lstm_error *error)
{
    lstm_status status = check_common(model, layer, 1, error);
    if (status != LSTM_OK)
        return status;
    const uint32_t channels = channels_out(layer);
    layer->reach = reach_of(layer);
    status = check_output(layer, 1, &channels, error);
    return status != LSTM_OK ? status
                             : check_windows_over_time(
                                   layer, layer->spec.params[MODEL_CONV_PADDING] == MODEL_PAD_ZEROS, error);
}

/* ---- for a person ------------------------------------------------------------------ */

static void describe(const struct layer *layer, char *text, size_t n_bytes)
{
    static const char *const kinds[] = {"", " reflected", " of the edges"};
    const uint32_t *words = layer->spec.params, groups = words[MODEL_CONV_GROUPS];
    const bool padded = words[MODEL_CONV_PAD_BEFORE] || words[MODEL_CONV_PAD_AFTER];
    char some[24] = "";
    text = describe_windows(layer, layer->taps, text, &n_bytes);
    if (groups > 1)
        snprintf(some, sizeof some, ", %u groups", (unsigned)groups);
    snprintf(text, n_bytes, "%s%s%s%s", padded ? kinds[words[MODEL_CONV_PADDING]] : "", some,
             words[MODEL_CONV_ACT] != MODEL_ACT_IDENTITY ? ", " : "",
             words[MODEL_CONV_ACT] != MODEL_ACT_IDENTITY ? activation_name(words[MODEL_CONV_ACT]) : "");
}

static uint64_t flops(const struct lstm_model *model, const struct layer *layer)
{
    (void)model;
    const uint32_t each = channels_in(layer) / layer->spec.params[MODEL_CONV_GROUPS];
    return 2 * (uint64_t)layer->out.size * layer->taps * each;
}

/* ---- build -------------------------------------------------------------------------- */

/* One channel in and one out for each group: a product of so few columns would be nothing but
 * padding, so channels go side by side in the lanes instead. */
static bool build_depthwise(struct plan_builder *builder, struct conv_op *conv, const float *w,
                            const float *bias)
{
    const size_t channels = conv->groups, taps = conv->windows.taps;
    float *turned = plan_memory(builder->plan, channels * taps * sizeof *turned);
    const float *copy;
    if (!turned || !plan_copy(builder, w, channels * taps, &copy))
        return false;
    for (size_t c = 0; c < channels; c++)
        for (size_t k = 0; k < taps; k++)
            turned[k * channels + c] = copy[c * taps + k];
    conv->by_tap = turned;
    float *start = plan_memory(builder->plan, channels * sizeof *start);
    if (!start || !plan_copy(builder, bias, channels, &copy))
        return false;
    for (size_t c = 0; c < channels; c++)
        start[c] = copy ? copy[c] : 0;
    conv->start = start;
    return true;
}

/* All groups have one shape, so their packed weights lie at equal distances. */
static bool build_groups(struct plan_builder *builder, struct conv_op *conv, const float *w,
                         const float *bias)
{
    struct packed_matrix *matrix = &conv->matrix;
    const size_t n = conv->windows.out / conv->groups, k = conv->k;
    size_t floats;
    matrix->panels = simd_panels_of(n, 1, builder->plan->gemm->widest);
    matrix->n = n;
    matrix->k = k;
    if (!memory_mul(matrix->panels.columns, k, &floats) ||
        !memory_mul(floats, conv->groups * sizeof(float), &floats))
        return false;
    matrix->weights = plan_memory(builder->plan, floats);
    matrix->bias = plan_memory(builder->plan,
                               conv->groups * matrix->panels.columns * sizeof(float));
    if (!matrix->weights || !matrix->bias)
        return false;
    for (size_t g = 0; g < conv->groups; g++) {
        const struct simd_matrix source = {w + g * n * k, k, n, 1, k};
        simd_pack(&source, &matrix->panels, 0, matrix->panels.count,
                  matrix->weights + g * matrix->panels.columns * k);
        simd_pack_bias(bias ? bias + g * n : NULL, n, 1, &matrix->panels,
                       matrix->bias + g * matrix->panels.columns);
    }
    return true;
}

/* Positions of one call of the product: as many as fit the second cache beside the weights. */
static size_t chunk_of(const struct lstm_plan *plan, size_t k)
{
    const size_t tile = plan->gemm->tile_rows, fit = GATHER_FLOATS / k;
    return fit < tile ? tile : fit < HOIST_ROWS ? fit : HOIST_ROWS;
}

static lstm_status build(struct plan_builder *builder, struct plan_op *op, lstm_error *error)
{
    const struct layer *layer = op->layer;
    const uint32_t *words = layer->spec.params;
    struct lstm_plan *plan = builder->plan;
    struct conv_op *conv = &op->u.conv;
    const float *w = model_tensor_data(plan->model, layer, 0);
    const float *bias = model_tensor_data(plan->model, layer, 1);
    *conv = (struct conv_op){
        .windows = windows_of(layer, layer->taps), .groups = words[MODEL_CONV_GROUPS],
        .act = plan_act(words[MODEL_CONV_ACT]),
        .alpha = layer_float(words[MODEL_CONV_ACT + 1]),
        .beta = layer_float(words[MODEL_CONV_ACT + 2]),
    };
    conv->windows.padding = (enum model_padding)words[MODEL_CONV_PADDING];
    conv->each = conv->windows.in / conv->groups;
    conv->k = conv->windows.taps * conv->each;
    conv->chunk = chunk_of(plan, conv->k);
    const bool depthwise = conv->groups > 1 && conv->each == 1 && conv->windows.out == conv->groups;
    const size_t gather = depthwise ? 0 : conv->chunk * conv->k;
    plan->gather_floats = gather > plan->gather_floats ? gather : plan->gather_floats;
    const bool ok = depthwise ? build_depthwise(builder, conv, w, bias)
                              : build_groups(builder, conv, w, bias);
    return ok ? LSTM_OK : error_nomem(error);
}

/* ---- windows ------------------------------------------------------------------------- */

static void copy_numbers(const float *from, float *to, size_t n)
{
    if (n == 1)
        *to = *from;
    else
        memcpy(to, from, n * sizeof *to);
}

static void gather_taps(const struct conv_op *conv, const struct track *track, int64_t start,
                        size_t group, size_t begin, size_t end, float *to)
{
    const size_t n = conv->each;
    for (size_t k = begin; k < end; k++) {
        const float *frame = window_frame(&conv->windows, track,
                                          start + (int64_t)(k * conv->windows.dilation));
        if (frame)
            copy_numbers(frame + group * n, to + k * n, n);
        else
            memset(to + k * n, 0, n * sizeof *to);
    }
}

/* The numbers in a row that the product reads, gathered into `to` where they are not. */
static const float *window_of(const struct conv_op *conv, const struct track *track, int64_t start,
                              size_t group, float *to)
{
    const int64_t taps = (int64_t)conv->windows.taps;
    if (taps == 1) {
        const float *frame = window_frame(&conv->windows, track, start);
        if (frame)
            return frame + group * conv->each;
    }
    if (conv->windows.dilation != 1 || conv->groups != 1 || !track->frames) {
        gather_taps(conv, track, start, group, 0, conv->windows.taps, to);
        return to;
    }
    if (start >= 0 && start + taps <= track->n)
        return track->frames + start * (int64_t)conv->windows.in;
    int64_t begin = start < 0 ? -start : 0, end = track->n - start;
    begin = begin < taps ? begin : taps;
    end = end < begin ? begin : end < taps ? end : taps;
    gather_taps(conv, track, start, 0, 0, (size_t)begin, to);
    if (begin < end)
        memcpy(to + begin * (int64_t)conv->windows.in,
               track->frames + (start + begin) * (int64_t)conv->windows.in,
               (size_t)(end - begin) * conv->windows.in * sizeof *to);
    gather_taps(conv, track, start, 0, (size_t)end, conv->windows.taps, to);
    return to;
}

/* ---- run --------------------------------------------------------------------------------- */

/* One thread's work: some positions, and some panels of all groups' one after the other. */
struct part {
    size_t begin, end;
    size_t panel_begin, panel_end;
};

/* Rows in a row are one vector to an activation. */
static void activate(const struct plan_op *op, float *const *rows, size_t n, size_t first,
                     size_t columns)
{
    const struct conv_op *conv = &op->u.conv;
    size_t end;
    for (size_t r = 0; conv->act != SIMD_ACT_IDENTITY && r < n; r = end) {
        float *from = rows[r] + first;
        for (end = r + 1; end < n && columns == conv->windows.out && rows[end] == rows[end - 1] + columns;)
            end++;
        op->plan->isa->ops->act(conv->act, conv->alpha, conv->beta, from, from,
                                (end - r) * columns);
    }
}

/* Columns [*first, *first + columns) of a group that these panels hold. */
static size_t columns_of(const struct packed_matrix *matrix, size_t begin, size_t end, size_t *first)
{
    size_t last;
    uint32_t width;
    simd_panel_at(&matrix->panels, begin, first, &width);
    simd_panel_at(&matrix->panels, end - 1, &last, &width);
    last += width;
    return (last < matrix->n ? last : matrix->n) - *first;
}

/* Panels [begin, end) of one group, for the n positions whose rows are in scratch->spare. */
static void run_group(const struct plan_op *op, const struct exec_scratch *scratch, size_t group,
                      size_t n, size_t begin, size_t end)
{
    const struct conv_op *conv = &op->u.conv;
    const struct packed_matrix *matrix = &conv->matrix;
    const size_t columns = matrix->panels.columns;
    for (size_t r = 0; r < n; r++)
        scratch->out[r] = scratch->spare[r] + group * matrix->n;
    const struct simd_gemm args = {
        .weights = matrix->weights + group * columns * matrix->k,
        .bias = matrix->bias + group * columns, .panels = &matrix->panels, .k = matrix->k,
        .n_out = matrix->n, .x = scratch->in, .out = scratch->out, .rows = n,
        .panel_begin = begin, .panel_end = end,
    };
    op->plan->gemm->run(&args);
    if (end - begin < matrix->panels.count || conv->groups > 1) {
        size_t first;
        const size_t some = columns_of(matrix, begin, end, &first);
        activate(op, scratch->out, n, first, some);
    } else {
        activate(op, scratch->spare, n, 0, conv->windows.out);
    }
}

/* n positions from the cursor's on, which it has passed afterwards. */
static void run_chunk(const struct plan_op *op, const struct exec_scratch *scratch,
                      struct cursor *cursor, size_t n, const struct part *part)
{
    const struct conv_op *conv = &op->u.conv;
    const size_t panels = conv->matrix.panels.count;
    const struct cursor first = *cursor;
    for (size_t group = part->panel_begin / panels; group * panels < part->panel_end; group++) {
        const size_t base = group * panels;
        *cursor = first;
        for (size_t r = 0; r < n; r++) {
            scratch->in[r] = window_of(conv, &cursor->track, cursor_start(cursor), group,
                                       scratch->gather + r * conv->k);
            scratch->spare[r] = cursor_output(cursor);
            cursor_step(cursor);
        }
        run_group(op, scratch, group, n,
                  part->panel_begin > base ? part->panel_begin - base : 0,
                  part->panel_end < base + panels ? part->panel_end - base : panels);
    }
}

static void run_products(const struct plan_op *op, struct exec *exec, const struct part *part)
{
    const size_t chunk = op->u.conv.chunk;
    struct cursor cursor = cursor_over(op, &op->u.conv.windows, exec, part->begin, part->end);
    while (cursor.left)
        run_chunk(op, exec->scratch, &cursor, cursor.left < chunk ? cursor.left : chunk, part);
}

/* Tap by tap, all channels at once. */
static void run_depthwise(const struct plan_op *op, struct exec *exec, const struct part *part)
{
    const struct conv_op *conv = &op->u.conv;
    const size_t n = conv->windows.out;
    struct cursor cursor = cursor_over(op, &op->u.conv.windows, exec, part->begin, part->end);
    for (; cursor.left; cursor_step(&cursor)) {
        float *out = cursor_output(&cursor);
        memcpy(out, conv->start, n * sizeof *out);
        for (size_t k = 0; k < conv->windows.taps; k++) {
            const float *frame = window_frame(&conv->windows, &cursor.track,
                                          cursor_start(&cursor) + (int64_t)(k * conv->windows.dilation));
            if (frame)
                op->plan->isa->ops->fma(frame, conv->by_tap + k * n, out, out, n);
        }
        activate(op, &out, 1, 0, n);
    }
}

/* Positions are shared where there are enough to keep each thread's tiles full, else columns. */
static struct part part_of(const struct plan_op *op, const struct exec *exec, size_t positions)
{
    const struct conv_op *conv = &op->u.conv;
    const size_t panels = conv->groups * conv->matrix.panels.count;
    struct part part = {.end = positions, .panel_end = panels};
    if (conv->by_tap || positions >= (size_t)exec->size * op->plan->gemm->tile_rows)
        exec_share(exec, positions, &part.begin, &part.end);
    else
        exec_share(exec, panels, &part.panel_begin, &part.panel_end);
    return part;
}

static void run(const struct plan_op *op, struct exec *exec)
{
    const size_t frames = exec_n_rows(exec, op->output);
    const struct part part = part_of(op, exec, frames * op->u.conv.windows.positions);
    if (part.begin < part.end && op->u.conv.by_tap)
        run_depthwise(op, exec, &part);
    else if (part.begin < part.end && part.panel_begin < part.panel_end)
        run_products(op, exec, &part);
    if (op->layer->n_states)
        history_keep(op, exec);
}

const struct layer_type layer_conv1d = {
    .code = MODEL_CONV1D, .name = "conv1d", .family = LAYER_FRAME, .check = check_conv1d,
    .describe = describe, .flops = flops, .build = build, .run = run,
};

const struct layer_type layer_temporal_conv = {
    .code = MODEL_TEMPORAL_CONV, .name = "temporal_conv", .family = LAYER_SEQUENCE,
    .check = check_temporal, .describe = describe, .flops = flops, .build = build, .run = run,
};
