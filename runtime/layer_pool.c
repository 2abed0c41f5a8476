/* SPDX-License-Identifier: MIT
 *
 * temporal_pool: the greatest or the mean of the frames that a window over the steps holds,
 * element by element, in order of time.
 */
#include <float.h>
#include <stdio.h>
#include <string.h>

#include "runtime/error.h"
#include "runtime/layer_types.h"
#include "runtime/windows.h"

enum { WORDS = 6 };

static uint32_t taps_of(const struct layer *layer)
{
    return layer->spec.params[MODEL_POOL_TAPS];
}

static lstm_status check_words(const struct layer *layer, lstm_error *error)
{
    const uint32_t *words = layer->spec.params;
    const uint32_t rule = MODEL_RULE_WORDS + MODEL_TEMPORAL_POOL;
    const lstm_status status = check_window_words(layer, error);
    if (status != LSTM_OK)
        return status;
    if (words[MODEL_POOL_KIND] > MODEL_POOL_MEAN_OF_ALL)
        return error_layer(error, rule, layer, "pool of kind %u, expected 0, 1 or 2",
                           (unsigned)words[MODEL_POOL_KIND]);
    if (!taps_of(layer) || taps_of(layer) > MODEL_MAX_DIM)
        return error_layer(error, rule, layer, "%u taps, expected 1 to %u", (unsigned)taps_of(layer),
                           (unsigned)MODEL_MAX_DIM);
    if (words[MODEL_CONV_DILATION] > 1 && (words[MODEL_CONV_PAD_BEFORE] || words[MODEL_CONV_PAD_AFTER]))
        return error_layer(error, rule, layer, "padding and a dilation");
    return check_words_unused(layer, WORDS, error);
}

static lstm_status check(const struct lstm_model *model, struct layer *layer, lstm_error *error)
{
    const uint32_t kind = layer->spec.params[MODEL_POOL_KIND];
    lstm_status status = check_arity(model, layer, 1, 1, 0, error);
    if (status == LSTM_OK)
        status = check_words(layer, error);
    if (status == LSTM_OK)
        status = check_like_input(layer, error);
    if (status != LSTM_OK)
        return status;
    layer->reach = (uint64_t)layer->spec.params[MODEL_CONV_DILATION] * (taps_of(layer) - 1);
    layer->rest = kind == MODEL_POOL_MAX ? -FLT_MAX : 0;
    return check_windows_over_time(layer, kind != MODEL_POOL_MEAN, error);
}

static void describe(const struct layer *layer, char *text, size_t n_bytes)
{
    static const char *const kinds[] = {"greatest", "mean", "mean with the padding"};
    text = describe_windows(layer, taps_of(layer), text, &n_bytes);
    snprintf(text, n_bytes, ", %s", kinds[layer->spec.params[MODEL_POOL_KIND]]);
}

static uint64_t flops(const struct lstm_model *model, const struct layer *layer)
{
    (void)model;
    return (uint64_t)layer->out.size * taps_of(layer);
}

static lstm_status build(struct plan_builder *builder, struct plan_op *op, lstm_error *error)
{
    (void)builder;
    (void)error;
    op->u.pool = (struct pool_op){windows_of(op->layer, taps_of(op->layer)),
                                  (enum model_pool)op->layer->spec.params[MODEL_POOL_KIND]};
    return LSTM_OK;
}

/* Taps beyond the run's ends are passed over, not looked at: there may be very many. Where there is
 * padding there is no dilation. */
static void fold(const struct plan_op *op, const struct cursor *cursor)
{
    const struct windows *windows = cursor->windows;
    const struct track *track = &cursor->track;
    const struct simd_vector_ops *ops = op->plan->isa->ops;
    const int64_t start = cursor_start(cursor);
    const int64_t begin = start < 0 && !track->history ? -start : 0;
    const int64_t rest = windows->dilation == 1 ? track->n - start : windows->taps;
    const int64_t end = rest < windows->taps ? rest : windows->taps;
    float *out = cursor_output(cursor);
    for (int64_t k = begin; k < end; k++) {
        const float *frame = window_frame(windows, track, start + k * windows->dilation);
        if (k == begin)
            memcpy(out, frame, windows->out * sizeof *out);
        else
            (op->u.pool.kind == MODEL_POOL_MAX ? ops->max : ops->add)(out, frame, out, windows->out);
    }
    const int64_t count = op->u.pool.kind == MODEL_POOL_MEAN ? end - begin : windows->taps;
    if (op->u.pool.kind != MODEL_POOL_MAX)
        ops->div_by((float)count, out, out, windows->out);
}

static void run(const struct plan_op *op, struct exec *exec)
{
    size_t begin, end;
    exec_share(exec, exec_n_rows(exec, op->output), &begin, &end);
    if (begin < end)
        for (struct cursor cursor = cursor_over(op, &op->u.pool.windows, exec, begin, end); cursor.left;
             cursor_step(&cursor))
            fold(op, &cursor);
    if (op->layer->n_states)
        history_keep(op, exec);
}

const struct layer_type layer_temporal_pool = {
    .code = MODEL_TEMPORAL_POOL, .name = "temporal_pool", .family = LAYER_SEQUENCE, .check = check,
    .describe = describe, .flops = flops, .build = build, .run = run,
};
