/* SPDX-License-Identifier: MIT
 *
 * Layers that work element by element: activation, add, mul, scale.
 */
#include <stdio.h>
#include <string.h>

#include "runtime/error.h"
#include "runtime/exec.h"
#include "runtime/layer_types.h"

static uint64_t flops_elements(const struct lstm_model *model, const struct layer *layer)
{
    (void)model;
    return layer->out.size * (uint64_t)layer->spec.n_inputs;
}

/* ---- activation ---------------------------------------------------------------- */

static lstm_status check_act(const struct lstm_model *model, struct layer *layer,
                             lstm_error *error)
{
    lstm_status status = check_arity(model, layer, 1, 1, 0, error);
    if (status == LSTM_OK)
        status = check_words_unused(layer, 3, error);
    if (status == LSTM_OK)
        status = check_activation(layer, layer->spec.params[0], layer->spec.params + 1, error);
    return status != LSTM_OK ? status : check_like_input(layer, error);
}

static void describe_act(const struct layer *layer, char *text, size_t n_bytes)
{
    snprintf(text, n_bytes, "%s", activation_name(layer->spec.params[0]));
}

static lstm_status build_act(struct plan_builder *builder, struct plan_op *op, lstm_error *error)
{
    (void)builder;
    (void)error;
    op->act = plan_act(op->layer->spec.params[0]);
    op->alpha = layer_float(op->layer->spec.params[1]);
    op->beta = layer_float(op->layer->spec.params[2]);
    return LSTM_OK;
}

static void run_act(const struct plan_op *op, struct exec *exec)
{
    float **in = exec_rows(exec, op->layer->spec.inputs[0]);
    float **out = exec_rows(exec, op->output);
    size_t begin, end;
    exec_share(exec, exec_n_rows(exec, op->output), &begin, &end);
    for (size_t r = begin; r < end; r++)
        op->plan->isa->ops->act(op->act, op->alpha, op->beta, in[r], out[r],
                                op->layer->out.size);
}

const struct layer_type layer_activation = {
    .code = MODEL_ACTIVATION, .name = "activation", .family = LAYER_FRAME, .check = check_act,
    .describe = describe_act, .flops = flops_elements, .build = build_act, .run = run_act,
};

/* ---- add, mul -------------------------------------------------------------------- */

static const struct model_value *input_of(const struct lstm_model *model,
                                          const struct layer *layer, uint32_t i)
{
    return &model->values[layer->spec.inputs[i]];
}

/* Two inputs, the second a single number for every element. */
static bool by_number(const struct lstm_model *model, const struct layer *layer)
{
    return layer->spec.n_inputs == 2 && input_of(model, layer, 1)->rank == 1 &&
           input_of(model, layer, 1)->size == 1;
}

static lstm_status check_pointwise(const struct lstm_model *model, struct layer *layer,
                                   lstm_error *error)
{
    lstm_status status = check_arity(model, layer, 2, MODEL_MAX_INPUTS, 0, error);
    if (status == LSTM_OK)
        status = check_words_unused(layer, 0, error);
    for (uint32_t i = 1; i < layer->spec.n_inputs && status == LSTM_OK; i++) {
        const struct model_value *other = input_of(model, layer, i);
        if (!by_number(model, layer) &&
            (other->rank != layer->in.rank ||
             memcmp(other->dims, layer->in.dims, sizeof other->dims) != 0))
            status = error_layer(error, MODEL_RULE_SHAPES + layer->spec.type, layer,
                                 "input %u has another shape than input 0", (unsigned)i);
    }
    return status != LSTM_OK ? status : check_like_input(layer, error);
}

typedef void vector_op(const float *a, const float *b, float *out, size_t n);

static void by_one_number(const struct plan_op *op, const float *a, float number, float *out)
{
    const bool add = op->layer->spec.type == MODEL_ADD;
    op->plan->isa->ops->act(SIMD_ACT_AFFINE, add ? 1 : number, add ? number : 0, a, out,
                            op->layer->out.size);
}

static void pointwise_row(const struct plan_op *op, struct exec *exec, size_t r, vector_op *fold)
{
    const struct layer *layer = op->layer;
    const struct lstm_model *model = op->plan->model;
    const float *a = exec_rows(exec, layer->spec.inputs[0])[r];
    float *out = exec_rows(exec, op->output)[r];
    if (by_number(model, layer)) {
        by_one_number(op, a, exec_rows(exec, layer->spec.inputs[1])[r][0], out);
        return;
    }
    for (uint32_t i = 1; i < layer->spec.n_inputs; i++)
        fold(i == 1 ? a : out, exec_rows(exec, layer->spec.inputs[i])[r], out, layer->out.size);
}

static void run_pointwise(const struct plan_op *op, struct exec *exec)
{
    const struct simd_vector_ops *ops = op->plan->isa->ops;
    size_t begin, end;
    exec_share(exec, exec_n_rows(exec, op->output), &begin, &end);
    for (size_t r = begin; r < end; r++)
        pointwise_row(op, exec, r, op->layer->spec.type == MODEL_ADD ? ops->add : ops->mul);
}

const struct layer_type layer_add = {
    .code = MODEL_ADD, .name = "add", .family = LAYER_FRAME, .check = check_pointwise,
    .flops = flops_elements, .run = run_pointwise,
};

const struct layer_type layer_mul = {
    .code = MODEL_MUL, .name = "mul", .family = LAYER_FRAME, .check = check_pointwise,
    .flops = flops_elements, .run = run_pointwise,
};

/* ---- scale ------------------------------------------------------------------------ */

static lstm_status check_scale(const struct lstm_model *model, struct layer *layer,
                               lstm_error *error)
{
    lstm_status status = check_arity(model, layer, 1, 1, 2, error);
    if (status == LSTM_OK)
        status = check_words_unused(layer, 0, error);
    if (status == LSTM_OK && !layer_has(layer, 0) && !layer_has(layer, 1))
        status = error_layer(error, MODEL_RULE_TENSORS, layer, "has neither scale nor shift");
    for (uint32_t slot = 0; slot < 2 && status == LSTM_OK; slot++)
        status = check_tensor(model, layer, slot, false, 1,
                              &layer->in.dims[layer->in.rank - 1], error);
    return status != LSTM_OK ? status : check_like_input(layer, error);
}

static lstm_status build_scale(struct plan_builder *builder, struct plan_op *op,
                               lstm_error *error)
{
    const size_t n = op->layer->in.dims[op->layer->in.rank - 1];
    for (uint32_t slot = 0; slot < 2; slot++)
        if (!plan_copy(builder, model_tensor_data(builder->plan->model, op->layer, slot), n,
                       &op->table[slot]))
            return error_nomem(error);
    return LSTM_OK;
}

static void scale_row(const struct plan_op *op, const float *x, float *out, size_t n)
{
    const struct simd_vector_ops *ops = op->plan->isa->ops;
    if (op->table[0] && op->table[1])
        ops->fma(x, op->table[0], op->table[1], out, n);
    else if (op->table[0])
        ops->mul(x, op->table[0], out, n);
    else
        ops->add(x, op->table[1], out, n);
}

static void run_scale(const struct plan_op *op, struct exec *exec)
{
    float **in = exec_rows(exec, op->layer->spec.inputs[0]);
    float **out = exec_rows(exec, op->output);
    const size_t n = op->layer->in.dims[op->layer->in.rank - 1];
    size_t begin, end;
    exec_share(exec, exec_n_rows(exec, op->output), &begin, &end);
    for (size_t r = begin; r < end; r++)
        for (size_t first = 0; first < op->layer->in.size; first += n)
            scale_row(op, in[r] + first, out[r] + first, n);
}

const struct layer_type layer_scale = {
    .code = MODEL_SCALE, .name = "scale", .family = LAYER_FRAME, .check = check_scale,
    .flops = flops_elements, .build = build_scale, .run = run_scale,
};
