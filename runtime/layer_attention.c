/* SPDX-License-Identifier: MIT
 *
 * attention: one frame from all frames of a run, weighed by the softmax of their scores over
 * time. Frames are folded in one by one in order of time, with weights relative to the greatest
 * score so far, so the result does not depend on how a run is cut into blocks.
 */
#include <math.h>
#include <string.h>

#include "runtime/exec.h"
#include "runtime/layer_types.h"

/* What an item keeps from frame to frame, beside the weighted sum. */
enum { GREATEST, WEIGHTS, KEPT };

static lstm_status check(const struct lstm_model *model, struct layer *layer, lstm_error *error)
{
    lstm_status status = check_arity(model, layer, 2, 2, 0, error);
    if (status == LSTM_OK)
        status = check_words_unused(layer, 0, error);
    if (status == LSTM_OK)
        status = check_number(model, layer, 1, "the score", error);
    return status != LSTM_OK ? status : check_reduces(layer, error);
}

static uint64_t flops(const struct lstm_model *model, const struct layer *layer)
{
    (void)model;
    return 2 * (uint64_t)layer->out.size;
}

/* A score of -infinity weighs nothing, even before there is a greater one. */
static void fold(const struct simd_vector_ops *ops, float score, const float *x, float *kept, float *sum,
                 size_t n)
{
    float weight;
    if (score > kept[GREATEST]) {
        ops->exp_below(score, &kept[GREATEST], &weight, 1);
        ops->scale_add(weight, sum, x, sum, n);
        kept[WEIGHTS] = weight * kept[WEIGHTS] + 1;
        kept[GREATEST] = score;
    } else if (score != -INFINITY) {
        ops->exp_below(kept[GREATEST], &score, &weight, 1);
        ops->scale_add(weight, x, sum, sum, n);
        kept[WEIGHTS] += weight;
    }
}

static void fold_item(const struct plan_op *op, struct exec *exec, size_t item)
{
    const struct exec_item *run = &exec->section->items[item];
    float **x = exec_rows(exec, op->layer->spec.inputs[0]) + run->row;
    float **score = exec_rows(exec, op->layer->spec.inputs[1]) + run->row;
    float *kept = exec_rows(exec, op->kept)[item], *sum = exec_rows(exec, op->output)[item];
    const size_t n = op->layer->in.size;
    if (run->done == 0) {
        kept[GREATEST] = -INFINITY;
        kept[WEIGHTS] = 0;
        memset(sum, 0, n * sizeof *sum);
    }
    for (size_t t = 0; t < run->steps; t++)
        fold(op->plan->isa->ops, score[t][0], x[t], kept, sum, n);
}

static void run(const struct plan_op *op, struct exec *exec)
{
    size_t begin, end;
    exec_share(exec, exec->section->n_active, &begin, &end);
    for (size_t i = begin; i < end; i++)
        fold_item(op, exec, i);
}

static void finish(const struct plan_op *op, struct exec *exec)
{
    float **out = exec_rows(exec, op->output), **kept = exec_rows(exec, op->kept);
    size_t begin, end;
    exec_share(exec, exec->section->n_items, &begin, &end);
    for (size_t i = begin; i < end; i++)
        op->plan->isa->ops->div_by(kept[i][WEIGHTS], out[i], out[i], op->layer->in.size);
}

const struct layer_type layer_attention = {
    .code = MODEL_ATTENTION, .name = "attention", .family = LAYER_REDUCER, .check = check,
    .flops = flops, .run = run, .finish = finish, .kept = KEPT,
};
