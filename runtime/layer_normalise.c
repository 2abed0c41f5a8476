/* SPDX-License-Identifier: MIT
 *
 * softmax, layer_norm and l2_norm, along the last dimension of a frame.
 */
#include <math.h>

#include "runtime/error.h"
#include "runtime/exec.h"
#include "runtime/layer_types.h"

static size_t last_dim(const struct layer *layer)
{
    return layer->in.dims[layer->in.rank - 1];
}

static uint64_t flops_of(const struct lstm_model *model, const struct layer *layer)
{
    (void)model;
    return 8 * (uint64_t)layer->out.size;
}

static lstm_status check_softmax(const struct lstm_model *model, struct layer *layer,
                                 lstm_error *error)
{
    lstm_status status = check_arity(model, layer, 1, 1, 0, error);
    if (status == LSTM_OK)
        status = check_words_unused(layer, 0, error);
    return status != LSTM_OK ? status : check_like_input(layer, error);
}

/* Of layer_norm, with two optional tensors, and l2_norm, with none. */
static lstm_status check_norm(const struct lstm_model *model, struct layer *layer,
                              lstm_error *error)
{
    const uint32_t n = layer->in.dims[layer->in.rank - 1];
    const uint32_t slots = layer->spec.type == MODEL_LAYER_NORM ? 2 : 0;
    const float epsilon = layer_float(layer->spec.params[0]);
    lstm_status status = check_arity(model, layer, 1, 1, slots, error);
    if (status == LSTM_OK)
        status = check_words_unused(layer, 1, error);
    if (status == LSTM_OK && !(isfinite(epsilon) && epsilon >= 0))
        status = error_layer(error, MODEL_RULE_WORDS + layer->spec.type, layer,
                             "epsilon is %g, expected a finite number ≥ 0", (double)epsilon);
    for (uint32_t slot = 0; slot < slots && status == LSTM_OK; slot++)
        status = check_tensor(model, layer, slot, false, 1, &n, error);
    return status != LSTM_OK ? status : check_like_input(layer, error);
}

static lstm_status build_norm(struct plan_builder *builder, struct plan_op *op,
                              lstm_error *error)
{
    op->alpha = layer_float(op->layer->spec.params[0]);
    for (uint32_t slot = 0; slot < op->layer->spec.n_tensors; slot++)
        if (!plan_copy(builder, model_tensor_data(builder->plan->model, op->layer, slot),
                       last_dim(op->layer), &op->table[slot]))
            return error_nomem(error);
    return LSTM_OK;
}

/* A length that is no number makes all of the row none. */
static void l2_normalise(const struct simd_vector_ops *ops, float epsilon, const float *x, float *out,
                         size_t n)
{
    const float length = sqrtf(ops->dot(x, x, 0, n));
    ops->div_by(length < epsilon ? epsilon : length, x, out, n);
}

static void normalise(const struct plan_op *op, const float *x, float *out, size_t n)
{
    const struct simd_vector_ops *ops = op->plan->isa->ops;
    if (op->layer->spec.type == MODEL_SOFTMAX)
        ops->softmax(x, out, n);
    else if (op->layer->spec.type == MODEL_L2_NORM)
        l2_normalise(ops, op->alpha, x, out, n);
    else
        ops->layer_norm(op->alpha, op->table[0], op->table[1], x, out, n);
}

static void run(const struct plan_op *op, struct exec *exec)
{
    float **in = exec_rows(exec, op->layer->spec.inputs[0]);
    float **out = exec_rows(exec, op->output);
    const size_t n = last_dim(op->layer);
    size_t begin, end;
    exec_share(exec, exec_n_rows(exec, op->output), &begin, &end);
    for (size_t r = begin; r < end; r++)
        for (size_t first = 0; first < op->layer->in.size; first += n)
            normalise(op, in[r] + first, out[r] + first, n);
}

const struct layer_type layer_softmax = {
    .code = MODEL_SOFTMAX, .name = "softmax", .family = LAYER_FRAME, .check = check_softmax,
    .flops = flops_of, .run = run,
};

const struct layer_type layer_layer_norm = {
    .code = MODEL_LAYER_NORM, .name = "layer_norm", .family = LAYER_FRAME, .check = check_norm,
    .flops = flops_of, .build = build_norm, .run = run,
};

const struct layer_type layer_l2_norm = {
    .code = MODEL_L2_NORM, .name = "l2_norm", .family = LAYER_FRAME, .check = check_norm,
    .flops = flops_of, .build = build_norm, .run = run,
};
