/* SPDX-License-Identifier: MIT
 *
 * conv1d and temporal_conv: one product for each position, over the window of frames that
 * it sees. Frames have their channels last, so a window without dilation is K·C numbers in a
 * row already: those at the edges, and what else is not in a row, are gathered first.
 */
#include <stdio.h>
#include <string.h>

#include "runtime/error.h"
#include "runtime/exec.h"
#include "runtime/layer_types.h"
#include "runtime/memory.h"

enum { WORDS = 9, GATHER_FLOATS = 1 << 17 };

static bool is_temporal(const struct layer *layer)
{
    return layer->spec.type == MODEL_TEMPORAL_CONV;
}

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
    if (!words[MODEL_CONV_STRIDE])
        return error_layer(error, rule, layer, "stride 0, expected 1 or more");
    if (!words[MODEL_CONV_DILATION])
        return error_layer(error, rule, layer, "dilation 0, expected 1 or more");
    if (words[MODEL_CONV_PADDING] > MODEL_PAD_EDGE)
        return error_layer(error, rule, layer, "padding of kind %u, expected 0, 1 or 2",
                           (unsigned)words[MODEL_CONV_PADDING]);
    if (!groups || in % groups || out % groups)
        return error_layer(error, rule, layer, "%u groups do not divide %u and %u channels",
                           (unsigned)groups, in, out);
    const lstm_status status = check_words_unused(layer, WORDS, error);
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

/* A step out for each step in, of steps up to the one at hand, and zeros before the first: it
 * streams. */
static bool is_causal(const struct layer *layer, uint64_t reach)
{
    const uint32_t *words = layer->spec.params;
    return !words[MODEL_CONV_PAD_AFTER] && words[MODEL_CONV_PAD_BEFORE] == reach &&
           words[MODEL_CONV_STRIDE] == 1 && (!reach || words[MODEL_CONV_PADDING] == MODEL_PAD_ZEROS);
}

static lstm_status check_temporal(const struct lstm_model *model, struct layer *layer,
                                  lstm_error *error)
{
    const uint32_t *words = layer->spec.params;
    const lstm_status status = check_common(model, layer, 1, error);
    if (status != LSTM_OK)
        return status;
    const uint64_t reach = reach_of(layer);
    if (layer->in.once)
        return error_layer(error, MODEL_RULE_ONCE, layer, "the input has one frame a run");
    const uint32_t channels = channels_out(layer);
    const lstm_status shape = check_output(layer, 1, &channels, error);
    if (shape != LSTM_OK)
        return shape;
    const uint64_t padding = (uint64_t)words[MODEL_CONV_PAD_BEFORE] + words[MODEL_CONV_PAD_AFTER];
    if (padding > reach)
        return error_layer(error, MODEL_RULE_WORDS + MODEL_TEMPORAL_CONV, layer,
                           "%u steps before and %u after, at most %llu together",
                           (unsigned)words[MODEL_CONV_PAD_BEFORE],
                           (unsigned)words[MODEL_CONV_PAD_AFTER], (unsigned long long)reach);
    layer->whole = !is_causal(layer, reach);
    layer->repaces = padding < reach || words[MODEL_CONV_STRIDE] != 1;
    layer->reach = reach;
    const lstm_status state = layer->whole || !reach ? LSTM_OK : check_history(layer, reach, error);
    return state != LSTM_OK ? state : check_once(layer, false, error);
}

/* ---- for a person ------------------------------------------------------------------ */

static void append(char *text, size_t n_bytes, const char *format, unsigned a, unsigned b)
{
    const size_t used = strlen(text);
    snprintf(text + used, n_bytes - used, format, a, b);
}

static void describe(const struct layer *layer, char *text, size_t n_bytes)
{
    static const char *const kinds[] = {"", " reflected", " of the edges"};
    const uint32_t *words = layer->spec.params;
    const uint32_t before = words[MODEL_CONV_PAD_BEFORE], after = words[MODEL_CONV_PAD_AFTER];
    text[0] = 0;
    append(text, n_bytes, layer->taps == 1 ? "%u tap" : "%u taps", layer->taps, 0);
    if (is_temporal(layer))
        append(text, n_bytes, layer->whole ? ", whole runs" : ", causal", 0, 0);
    if (words[MODEL_CONV_STRIDE] > 1)
        append(text, n_bytes, ", stride %u", words[MODEL_CONV_STRIDE], 0);
    if (words[MODEL_CONV_DILATION] > 1)
        append(text, n_bytes, ", dilation %u", words[MODEL_CONV_DILATION], 0);
    if (before || after) {
        append(text, n_bytes, ", padding %u + %u", before, after);
        append(text, n_bytes, kinds[words[MODEL_CONV_PADDING]], 0, 0);
    }
    if (words[MODEL_CONV_GROUPS] > 1)
        append(text, n_bytes, ", %u groups", words[MODEL_CONV_GROUPS], 0);
    const size_t used = strlen(text);
    if (words[MODEL_CONV_ACT] != MODEL_ACT_IDENTITY)
        snprintf(text + used, n_bytes - used, ", %s", activation_name(words[MODEL_CONV_ACT]));
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
    const size_t channels = conv->groups, taps = conv->taps;
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
    const size_t n = conv->out / conv->groups, k = conv->k;
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
        .groups = words[MODEL_CONV_GROUPS], .taps = layer->taps,
        .stride = words[MODEL_CONV_STRIDE], .dilation = words[MODEL_CONV_DILATION],
        .before = words[MODEL_CONV_PAD_BEFORE],
        .padding = (enum model_padding)words[MODEL_CONV_PADDING],
        .in = channels_in(layer), .out = channels_out(layer),
        .positions = layer->out.size / channels_out(layer),
        .act = plan_act(words[MODEL_CONV_ACT]),
        .alpha = layer_float(words[MODEL_CONV_ACT + 1]),
        .beta = layer_float(words[MODEL_CONV_ACT + 2]),
    };
    conv->each = conv->in / conv->groups;
    conv->k = conv->taps * conv->each;
    conv->chunk = chunk_of(plan, conv->k);
    const bool depthwise = conv->groups > 1 && conv->each == 1 && conv->out == conv->groups;
    const size_t gather = depthwise ? 0 : conv->chunk * conv->k;
    plan->gather_floats = gather > plan->gather_floats ? gather : plan->gather_floats;
    const bool ok = depthwise ? build_depthwise(builder, conv, w, bias)
                              : build_groups(builder, conv, w, bias);
    return ok ? LSTM_OK : error_nomem(error);
}

/* ---- windows ------------------------------------------------------------------------- */

/* The frames that a position looks at, from the first that is there. */
struct track {
    const float *frames;  /* [n][C] in a row, or NULL … */
    float *const *rows;   /* … and then one by one */
    const float *history; /* of a causal convolution: the frames before the first */
    int64_t n;
};

/* Position `q` of the input beyond its ends. A run may be shorter than what it is padded
 * with: then it is reflected to and fro. */
static int64_t reflected(int64_t q, int64_t n)
{
    const int64_t period = 2 * (n - 1);
    if (period == 0)
        return 0;
    q %= period;
    q = q < 0 ? q + period : q;
    return q < n ? q : period - q;
}

/* NULL: zeros. */
static const float *frame_at(const struct conv_op *conv, const struct track *track, int64_t q)
{
    if (q < 0 && track->history)
        return track->history + (conv->before + q) * (int64_t)conv->in;
    if (q < 0 || q >= track->n) {
        if (conv->padding == MODEL_PAD_ZEROS)
            return NULL;
        if (conv->padding == MODEL_PAD_REFLECT)
            q = reflected(q, track->n);
        else
            q = q < 0 ? 0 : track->n - 1;
    }
    return track->frames ? track->frames + q * (int64_t)conv->in : track->rows[q];
}

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
        const float *frame = frame_at(conv, track, start + (int64_t)(k * conv->dilation));
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
    const int64_t taps = (int64_t)conv->taps;
    if (taps == 1) {
        const float *frame = frame_at(conv, track, start);
        if (frame)
            return frame + group * conv->each;
    }
    if (conv->dilation != 1 || conv->groups != 1 || !track->frames) {
        gather_taps(conv, track, start, group, 0, conv->taps, to);
        return to;
    }
    if (start >= 0 && start + taps <= track->n)
        return track->frames + start * (int64_t)conv->in;
    int64_t begin = start < 0 ? -start : 0, end = track->n - start;
    begin = begin < taps ? begin : taps;
    end = end < begin ? begin : end < taps ? end : taps;
    gather_taps(conv, track, start, 0, 0, (size_t)begin, to);
    if (begin < end)
        memcpy(to + begin * (int64_t)conv->in,
               track->frames + (start + begin) * (int64_t)conv->in,
               (size_t)(end - begin) * conv->in * sizeof *to);
    gather_taps(conv, track, start, 0, (size_t)end, conv->taps, to);
    return to;
}

/* ---- positions ------------------------------------------------------------------------- */

/* Walks over all positions of a block: those inside its frames, or its steps. */
struct cursor {
    const struct plan_op *op;
    const struct section *section;
    const struct exec_item *items_out; /* the items with their steps in the output */
    float **in, **out;
    struct track track;
    size_t index;  /* frame, or item */
    size_t at, n;  /* position in it, of so many */
    size_t row;    /* of position 0 in `out`, for steps */
    size_t left;   /* positions to go */
};

static void enter_frame(struct cursor *cursor)
{
    cursor->track = (struct track){.frames = cursor->in[cursor->index],
                                   .n = cursor->op->layer->in.dims[0]};
    cursor->n = cursor->op->u.conv.positions;
}

static void enter_item(struct cursor *cursor)
{
    const struct layer *layer = cursor->op->layer;
    const struct exec_item *item = &cursor->section->items[cursor->index];
    const struct exec_item *made = &cursor->items_out[cursor->index];
    float *const *rows = cursor->in + item->row;
    const bool in_a_row = item->steps == 1 || rows[1] == rows[0] + cursor->op->u.conv.in;
    cursor->track = (struct track){.frames = in_a_row ? rows[0] : NULL, .rows = rows,
                                   .history = layer->n_states ? item->state + layer->state[0].h
                                                              : NULL,
                                   .n = (int64_t)item->steps};
    cursor->row = made->row;
    cursor->n = made->steps;
}

static void enter(struct cursor *cursor)
{
    if (is_temporal(cursor->op->layer))
        enter_item(cursor);
    else
        enter_frame(cursor);
}

/* A position's window begins here. */
static int64_t start_of(const struct cursor *cursor)
{
    const struct conv_op *conv = &cursor->op->u.conv;
    return (int64_t)(cursor->at * conv->stride) - conv->before;
}

static float *output_of(const struct cursor *cursor)
{
    if (is_temporal(cursor->op->layer))
        return cursor->out[cursor->row + cursor->at];
    return cursor->out[cursor->index] + cursor->at * cursor->op->u.conv.out;
}

static void step_on(struct cursor *cursor)
{
    cursor->left--;
    if (++cursor->at < cursor->n || !cursor->left)
        return;
    cursor->at = 0;
    cursor->index++;
    enter(cursor);
}

/* Over positions [position, end) of all. */
static struct cursor cursor_over(const struct plan_op *op, const struct exec *exec, size_t position,
                                 size_t end)
{
    struct cursor cursor = {.op = op, .section = exec->section, .left = end - position,
                            .items_out = exec_items(exec, op->output),
                            .in = exec_rows(exec, op->layer->spec.inputs[0]),
                            .out = exec_rows(exec, op->output)};
    if (is_temporal(op->layer)) {
        while (position >= cursor.items_out[cursor.index].steps)
            position -= cursor.items_out[cursor.index++].steps;
        cursor.at = position;
    } else {
        cursor.index = position / op->u.conv.positions;
        cursor.at = position % op->u.conv.positions;
    }
    enter(&cursor);
    return cursor;
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
        for (end = r + 1; end < n && columns == conv->out && rows[end] == rows[end - 1] + columns;)
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
        activate(op, scratch->spare, n, 0, conv->out);
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
            scratch->in[r] = window_of(conv, &cursor->track, start_of(cursor), group,
                                       scratch->gather + r * conv->k);
            scratch->spare[r] = output_of(cursor);
            step_on(cursor);
        }
        run_group(op, scratch, group, n,
                  part->panel_begin > base ? part->panel_begin - base : 0,
                  part->panel_end < base + panels ? part->panel_end - base : panels);
    }
}

static void run_products(const struct plan_op *op, struct exec *exec, const struct part *part)
{
    const size_t chunk = op->u.conv.chunk;
    struct cursor cursor = cursor_over(op, exec, part->begin, part->end);
    while (cursor.left)
        run_chunk(op, exec->scratch, &cursor, cursor.left < chunk ? cursor.left : chunk, part);
}

/* Tap by tap, all channels at once. */
static void run_depthwise(const struct plan_op *op, struct exec *exec, const struct part *part)
{
    const struct conv_op *conv = &op->u.conv;
    const size_t n = conv->out;
    struct cursor cursor = cursor_over(op, exec, part->begin, part->end);
    for (; cursor.left; step_on(&cursor)) {
        float *out = output_of(&cursor);
        memcpy(out, conv->start, n * sizeof *out);
        for (size_t k = 0; k < conv->taps; k++) {
            const float *frame = frame_at(conv, &cursor.track,
                                          start_of(&cursor) + (int64_t)(k * conv->dilation));
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
    const struct part part = part_of(op, exec, frames * op->u.conv.positions);
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
