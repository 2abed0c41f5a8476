/* SPDX-License-Identifier: MIT
 *
 * Layers that move frames in time, reverse and delay; and the history of earlier frames that a
 * stream keeps for those layers that look back.
 */
#include <stdio.h>
#include <string.h>

#include "runtime/error.h"
#include "runtime/exec.h"
#include "runtime/layer_types.h"

static uint64_t flops_none(const struct lstm_model *model, const struct layer *layer)
{
    (void)model;
    (void)layer;
    return 0;
}

/* Frames as they are, step by step. */
static lstm_status check_frames(const struct lstm_model *model, const struct layer *layer,
                                uint32_t words, lstm_error *error)
{
    lstm_status status = check_arity(model, layer, 1, 1, 0, error);
    if (status == LSTM_OK)
        status = check_words_unused(layer, words, error);
    if (status == LSTM_OK && layer->in.once)
        status = error_layer(error, MODEL_RULE_ONCE, layer, "the input is one frame a run");
    return status != LSTM_OK ? status : check_like_input(layer, error);
}

/* ---- history -------------------------------------------------------------------- */

lstm_status check_history(struct layer *layer, uint64_t frames, lstm_error *error)
{
    if (frames > MODEL_MAX_STATE / layer->in.size)
        return error_layer(error, MODEL_RULE_STATE, layer,
                           "a history of %llu frames of %zu numbers, at most %u numbers",
                           (unsigned long long)frames, layer->in.size, (unsigned)MODEL_MAX_STATE);
    layer->n_states = 1;
    layer->state[0].n_h = (size_t)frames * layer->in.size;
    layer->state[0].n_c = 0;
    return LSTM_OK;
}

/* The oldest frame comes first, whatever the pieces a sequence was cut into. */
static void keep_item(const struct plan_op *op, const struct exec *exec, size_t i)
{
    const struct layer *layer = op->layer;
    const struct exec_item *item = &exec->section->items[i];
    float *const *rows = exec_rows(exec, layer->spec.inputs[0]) + item->row;
    const size_t n = layer->in.size, all = layer->state[0].n_h / n;
    const size_t fresh = item->steps < all ? item->steps : all, old = all - fresh;
    float *history = item->state + layer->state[0].h;
    memmove(history, history + fresh * n, old * n * sizeof *history);
    for (size_t t = 0; t < fresh; t++)
        memcpy(history + (old + t) * n, rows[item->steps - fresh + t], n * sizeof *history);
}

void history_keep(const struct plan_op *op, struct exec *exec)
{
    size_t begin, end;
    barrier_wait(&exec->section->all); /* nobody reads the old one any more */
    exec_share(exec, exec->section->n_active, &begin, &end);
    for (size_t i = begin; i < end; i++)
        keep_item(op, exec, i);
}

/* ---- delay ---------------------------------------------------------------------- */

static lstm_status check_delay(const struct lstm_model *model, struct layer *layer,
                               lstm_error *error)
{
    const uint32_t steps = layer->spec.params[0];
    const lstm_status status = check_frames(model, layer, 1, error);
    if (status != LSTM_OK)
        return status;
    if (!steps)
        return error_layer(error, MODEL_RULE_WORDS + MODEL_DELAY, layer,
                           "a delay of 0 steps, expected 1 or more");
    return check_history(layer, steps, error);
}

static void describe_delay(const struct layer *layer, char *text, size_t n_bytes)
{
    const unsigned steps = layer->spec.params[0];
    snprintf(text, n_bytes, "%u step%s", steps, steps == 1 ? "" : "s");
}

static void delay_item(const struct plan_op *op, const struct exec *exec, size_t i)
{
    const struct layer *layer = op->layer;
    const struct exec_item *item = &exec->section->items[i];
    float *const *in = exec_rows(exec, layer->spec.inputs[0]) + item->row;
    float *const *out = exec_rows(exec, op->output) + item->row;
    const float *history = item->state + layer->state[0].h;
    const size_t n = layer->in.size, late = layer->spec.params[0];
    for (size_t t = 0; t < item->steps; t++)
        memcpy(out[t], t < late ? history + t * n : in[t - late], n * sizeof **out);
}

static void run_delay(const struct plan_op *op, struct exec *exec)
{
    size_t begin, end;
    exec_share(exec, exec->section->n_active, &begin, &end);
    for (size_t i = begin; i < end; i++)
        delay_item(op, exec, i);
    history_keep(op, exec);
}

const struct layer_type layer_delay = {
    .code = MODEL_DELAY, .name = "delay", .family = LAYER_SEQUENCE, .check = check_delay,
    .describe = describe_delay, .flops = flops_none, .run = run_delay,
};

/* ---- reverse ---------------------------------------------------------------------- */

static lstm_status check_reverse(const struct lstm_model *model, struct layer *layer,
                                 lstm_error *error)
{
    layer->whole = true;
    return check_frames(model, layer, 0, error);
}

static void run_reverse(const struct plan_op *op, struct exec *exec)
{
    const struct section *section = exec->section;
    float **in = exec_rows(exec, op->layer->spec.inputs[0]);
    float **out = exec_rows(exec, op->output);
    size_t begin, end;
    exec_share(exec, section->n_active, &begin, &end);
    for (size_t i = begin; i < end; i++) {
        const size_t first = section->items[i].row, last = first + section->items[i].steps - 1;
        for (size_t r = first; r <= last; r++)
            memcpy(out[r], in[first + last - r], op->layer->in.size * sizeof **out);
    }
}

const struct layer_type layer_reverse = {
    .code = MODEL_REVERSE, .name = "reverse", .family = LAYER_SEQUENCE, .check = check_reverse,
    .flops = flops_none, .run = run_reverse,
};
