/* SPDX-License-Identifier: MIT
 *
 * last, mean, max, first: one frame from all frames of a run. Frames are folded in one by one
 * in order of time, so the result does not depend on how a run is cut into blocks.
 */
#include <string.h>

#include "runtime/exec.h"
#include "runtime/layer_types.h"

static lstm_status check(const struct lstm_model *model, struct layer *layer, lstm_error *error)
{
    lstm_status status = check_arity(model, layer, 1, 1, 0, error);
    if (status == LSTM_OK)
        status = check_words_unused(layer, 0, error);
    return status != LSTM_OK ? status : check_reduces(layer, error);
}

static uint64_t flops(const struct lstm_model *model, const struct layer *layer)
{
    (void)model;
    return layer->out.size;
}

static void fold_item(const struct plan_op *op, struct exec *exec, size_t item)
{
    const struct exec_item *run = &exec->section->items[item];
    const struct simd_vector_ops *ops = op->plan->isa->ops;
    float **in = exec_rows(exec, op->layer->spec.inputs[0]) + run->row;
    float *out = exec_rows(exec, op->output)[item];
    const size_t n = op->layer->in.size;
    const uint32_t type = op->layer->spec.type;
    if (type == MODEL_LAST) {
        memcpy(out, in[run->steps - 1], n * sizeof *out);
        return;
    }
    if (type == MODEL_FIRST) {
        if (run->done == 0)
            memcpy(out, in[0], n * sizeof *out);
        return;
    }
    for (size_t t = 0; t < run->steps; t++) {
        if (run->done + t == 0)
            memcpy(out, in[t], n * sizeof *out);
        else if (type == MODEL_MEAN)
            ops->add(out, in[t], out, n);
        else
            ops->max(out, in[t], out, n);
    }
}

static void run(const struct plan_op *op, struct exec *exec)
{
    size_t begin, end;
    exec_share(exec, exec->section->n_active, &begin, &end);
    for (size_t i = begin; i < end; i++)
        fold_item(op, exec, i);
}

/* Of the whole run: with a pace of its own it is one block. */
static size_t steps_of(const struct plan_op *op, const struct exec_item *run)
{
    return op->pace ? run->steps : run->item->steps;
}

static void finish_mean(const struct plan_op *op, struct exec *exec)
{
    float **out = exec_rows(exec, op->output);
    size_t begin, end;
    exec_share(exec, exec->section->n_items, &begin, &end);
    for (size_t i = begin; i < end; i++)
        op->plan->isa->ops->div_by((float)steps_of(op, &exec->section->items[i]), out[i], out[i],
                                   op->layer->in.size);
}

const struct layer_type layer_last = {
    .code = MODEL_LAST, .name = "last", .family = LAYER_REDUCER, .check = check,
    .flops = flops, .run = run,
};

const struct layer_type layer_mean = {
    .code = MODEL_MEAN, .name = "mean", .family = LAYER_REDUCER, .check = check,
    .flops = flops, .run = run, .finish = finish_mean,
};

const struct layer_type layer_max = {
    .code = MODEL_MAX, .name = "max", .family = LAYER_REDUCER, .check = check,
    .flops = flops, .run = run,
};

const struct layer_type layer_first = {
    .code = MODEL_FIRST, .name = "first", .family = LAYER_REDUCER, .check = check,
    .flops = flops, .run = run,
};
