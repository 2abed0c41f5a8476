/* SPDX-License-Identifier: MIT
 *
 * See windows.h.
 */
#include "runtime/windows.h"

#include <stdio.h>
#include <string.h>

#include "runtime/error.h"
#include "runtime/layer_types.h"

static bool over_time(const struct layer *layer)
{
    return layer->type->family == LAYER_SEQUENCE;
}

/* ---- check -------------------------------------------------------------------- */

lstm_status check_window_words(const struct layer *layer, lstm_error *error)
{
    const uint32_t *words = layer->spec.params;
    const uint32_t rule = MODEL_RULE_WORDS + layer->spec.type;
    if (!words[MODEL_CONV_STRIDE])
        return error_layer(error, rule, layer, "stride 0, expected 1 or more");
    if (!words[MODEL_CONV_DILATION])
        return error_layer(error, rule, layer, "dilation 0, expected 1 or more");
    return LSTM_OK;
}

lstm_status check_windows_over_time(struct layer *layer, bool streams, lstm_error *error)
{
    const uint32_t *words = layer->spec.params;
    const uint64_t reach = layer->reach;
    const uint64_t padding = (uint64_t)words[MODEL_CONV_PAD_BEFORE] + words[MODEL_CONV_PAD_AFTER];
    if (layer->in.once)
        return error_layer(error, MODEL_RULE_ONCE, layer, "the input has one frame a run");
    if (padding > reach)
        return error_layer(error, MODEL_RULE_WORDS + layer->spec.type, layer,
                           "%u steps before and %u after, at most %llu together",
                           (unsigned)words[MODEL_CONV_PAD_BEFORE],
                           (unsigned)words[MODEL_CONV_PAD_AFTER], (unsigned long long)reach);
    /* A step out for each step in, of steps up to the one at hand. */
    const bool causal = !words[MODEL_CONV_PAD_AFTER] && padding == reach && words[MODEL_CONV_STRIDE] == 1;
    layer->whole = !causal || (reach && !streams);
    layer->repaces = padding < reach || words[MODEL_CONV_STRIDE] != 1;
    const lstm_status state = layer->whole || !reach ? LSTM_OK : check_history(layer, reach, error);
    return state != LSTM_OK ? state : check_once(layer, false, error);
}

/* ---- for a person ------------------------------------------------------------------ */

char *describe_windows(const struct layer *layer, uint32_t taps, char *text, size_t *n_bytes)
{
    const uint32_t *words = layer->spec.params;
    const uint32_t before = words[MODEL_CONV_PAD_BEFORE], after = words[MODEL_CONV_PAD_AFTER];
    char stride[24] = "", dilation[24] = "", padding[40] = "";
    if (words[MODEL_CONV_STRIDE] > 1)
        snprintf(stride, sizeof stride, ", stride %u", words[MODEL_CONV_STRIDE]);
    if (words[MODEL_CONV_DILATION] > 1)
        snprintf(dilation, sizeof dilation, ", dilation %u", words[MODEL_CONV_DILATION]);
    if (before || after)
        snprintf(padding, sizeof padding, ", padding %u + %u", before, after);
    snprintf(text, *n_bytes, "%u tap%s%s%s%s%s", taps, taps == 1 ? "" : "s",
             !over_time(layer) ? "" : layer->whole ? ", whole runs" : ", causal", stride, dilation, padding);
    const size_t used = strlen(text);
    *n_bytes -= used;
    return text + used;
}

/* ---- frames ------------------------------------------------------------------------- */

struct windows windows_of(const struct layer *layer, uint32_t taps)
{
    const uint32_t *words = layer->spec.params;
    const uint32_t in = layer->in.dims[layer->in.rank - 1], out = layer->out.dims[layer->out.rank - 1];
    const bool steps = over_time(layer);
    return (struct windows){
        .over_time = steps, .taps = taps,
        .stride = words[MODEL_CONV_STRIDE], .dilation = words[MODEL_CONV_DILATION],
        .before = words[MODEL_CONV_PAD_BEFORE],
        .in = steps ? layer->in.size : in, .out = steps ? layer->out.size : out,
        .positions = steps ? 1 : layer->out.size / out,
    };
}

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

const float *window_frame(const struct windows *windows, const struct track *track, int64_t q)
{
    if (q < 0 && track->history)
        return track->history + (windows->before + q) * (int64_t)windows->in;
    if (q < 0 || q >= track->n) {
        if (windows->padding == MODEL_PAD_ZEROS)
            return NULL;
        if (windows->padding == MODEL_PAD_REFLECT)
            q = reflected(q, track->n);
        else
            q = q < 0 ? 0 : track->n - 1;
    }
    return track->frames ? track->frames + q * (int64_t)windows->in : track->rows[q];
}

/* ---- positions ------------------------------------------------------------------------- */

static void enter_item(struct cursor *cursor)
{
    const struct layer *layer = cursor->op->layer;
    const struct exec_item *item = &cursor->section->items[cursor->index];
    const struct exec_item *made = &cursor->items_out[cursor->index];
    float *const *rows = cursor->in + item->row;
    const bool in_a_row = item->steps == 1 || rows[1] == rows[0] + cursor->windows->in;
    cursor->track = (struct track){.frames = in_a_row ? rows[0] : NULL, .rows = rows,
                                   .history = layer->n_states ? item->state + layer->state[0].h
                                                              : NULL,
                                   .n = (int64_t)item->steps};
    cursor->row = made->row;
    cursor->n = made->steps;
}

void cursor_enter(struct cursor *cursor)
{
    if (cursor->windows->over_time) {
        enter_item(cursor);
        return;
    }
    cursor->track = (struct track){.frames = cursor->in[cursor->index],
                                   .n = cursor->op->layer->in.dims[0]};
    cursor->n = cursor->windows->positions;
}

struct cursor cursor_over(const struct plan_op *op, const struct windows *windows, const struct exec *exec,
                          size_t position, size_t end)
{
    struct cursor cursor = {.op = op, .windows = windows, .section = exec->section, .left = end - position,
                            .items_out = exec_items(exec, op->output),
                            .in = exec_rows(exec, op->layer->spec.inputs[0]),
                            .out = exec_rows(exec, op->output)};
    if (windows->over_time) {
        while (position >= cursor.items_out[cursor.index].steps)
            position -= cursor.items_out[cursor.index++].steps;
        cursor.at = position;
    } else {
        cursor.index = position / windows->positions;
        cursor.at = position % windows->positions;
    }
    cursor_enter(&cursor);
    return cursor;
}
