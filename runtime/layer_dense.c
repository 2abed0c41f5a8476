/* SPDX-License-Identifier: MIT
 *
 * dense: act(W·x + b) along the last dimension; and embedding, rows of a table.
 */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "runtime/error.h"
#include "runtime/exec.h"
#include "runtime/layer_types.h"

static lstm_status check_dense(const struct lstm_model *model, struct layer *layer,
                               lstm_error *error)
{
    const uint32_t *words = layer->spec.params;
    lstm_status status = check_arity(model, layer, 1, 1, 2, error);
    if (status == LSTM_OK)
        status = check_words_unused(layer, 3, error);
    if (status == LSTM_OK)
        status = check_activation(layer, words[0], words + 1, error);
    if (status != LSTM_OK)
        return status;
    const uint32_t last = layer->in.rank - 1;
    const uint32_t outputs = layer->out.dims[layer->out.rank - 1];
    uint32_t dims[MODEL_MAX_RANK];
    memcpy(dims, layer->in.dims, sizeof dims);
    dims[last] = outputs;
    status = check_output(layer, layer->in.rank, dims, error);
    if (status == LSTM_OK)
        status = check_once(layer, layer->in.once, error);
    if (status == LSTM_OK)
        status = check_tensor(model, layer, 0, true, 2,
                              (uint32_t[]){outputs, layer->in.dims[last]}, error);
    return status != LSTM_OK ? status : check_tensor(model, layer, 1, false, 1, &outputs, error);
}

static void describe_dense(const struct layer *layer, char *text, size_t n_bytes)
{
    if (layer->spec.params[0] != MODEL_ACT_IDENTITY)
        snprintf(text, n_bytes, "%s", activation_name(layer->spec.params[0]));
}

static size_t outputs_of(const struct layer *layer)
{
    return layer->out.dims[layer->out.rank - 1];
}

static size_t inputs_of(const struct layer *layer)
{
    return layer->in.dims[layer->in.rank - 1];
}

static uint64_t flops_dense(const struct lstm_model *model, const struct layer *layer)
{
    (void)model;
    return 2 * (uint64_t)layer->out.size * inputs_of(layer);
}

/* So few outputs leave a panel almost empty, and one chain of additions for each is
 * slow: they are summed in 16 lanes. The choice is part of the numbers, so it depends on
 * the layer's shape alone. */
static bool few_outputs(const struct layer *layer)
{
    return outputs_of(layer) <= 4 && inputs_of(layer) >= 16;
}

static lstm_status build_dense(struct plan_builder *builder, struct plan_op *op,
                               lstm_error *error)
{
    const struct layer *layer = op->layer;
    const float *w = model_tensor_data(builder->plan->model, layer, 0);
    const float *bias = model_tensor_data(builder->plan->model, layer, 1);
    struct dense_op *dense = &op->u.dense;
    dense->act = plan_act(layer->spec.params[0]);
    dense->alpha = layer_float(layer->spec.params[1]);
    dense->beta = layer_float(layer->spec.params[2]);
    dense->matrix.n = outputs_of(layer);
    dense->matrix.k = inputs_of(layer);
    bool ok;
    if (few_outputs(layer)) {
        ok = plan_copy(builder, w, dense->matrix.n * dense->matrix.k, &dense->rows) &&
             plan_copy(builder, bias, dense->matrix.n, &dense->bias);
    } else {
        const struct simd_matrix source = {w, dense->matrix.k, dense->matrix.n, 1,
                                           dense->matrix.k};
        ok = plan_pack(builder, &source, builder->plan->gemm->widest, bias, true,
                       &dense->matrix);
    }
    return ok ? LSTM_OK : error_nomem(error);
}

static void dot_rows(const struct plan_op *op, const float *const *x, float *const *out,
                     size_t rows)
{
    const struct dense_op *dense = &op->u.dense;
    const size_t k = dense->matrix.k;
    for (size_t r = 0; r < rows; r++)
        for (size_t j = 0; j < dense->matrix.n; j++)
            out[r][j] = op->plan->isa->ops->dot(dense->rows + j * k, x[r],
                                                dense->bias ? dense->bias[j] : 0, k);
}

static void dense_rows(const struct plan_op *op, const float *const *x, float *const *out,
                       size_t rows)
{
    const struct dense_op *dense = &op->u.dense;
    if (dense->rows)
        dot_rows(op, x, out, rows);
    else
        exec_product(op->plan, &dense->matrix, x, out, rows);
    if (dense->act == SIMD_ACT_IDENTITY)
        return;
    for (size_t r = 0; r < rows; r++)
        op->plan->isa->ops->act(dense->act, dense->alpha, dense->beta, out[r], out[r],
                                dense->matrix.n);
}

/* Frames of rank 2 and 3 hold `lead` rows each. */
static void dense_frame(const struct plan_op *op, struct exec_scratch *scratch, const float *x,
                        float *out, size_t lead)
{
    const struct dense_op *dense = &op->u.dense;
    for (size_t first = 0; first < lead; first += HOIST_ROWS) {
        const size_t n = lead - first < HOIST_ROWS ? lead - first : HOIST_ROWS;
        for (size_t r = 0; r < n; r++) {
            scratch->in[r] = x + (first + r) * dense->matrix.k;
            scratch->out[r] = out + (first + r) * dense->matrix.n;
        }
        dense_rows(op, scratch->in, scratch->out, n);
    }
}

static void run_dense(const struct plan_op *op, struct exec *exec)
{
    float **in = exec_rows(exec, op->layer->spec.inputs[0]);
    float **out = exec_rows(exec, op->output);
    const size_t lead = op->layer->out.size / op->u.dense.matrix.n;
    size_t begin, end;
    exec_share(exec, exec_n_rows(exec, op->output), &begin, &end);
    if (lead == 1)
        dense_rows(op, (const float *const *)in + begin, out + begin, end - begin);
    else
        for (size_t r = begin; r < end; r++)
            dense_frame(op, exec->scratch, in[r], out[r], lead);
}

const struct layer_type layer_dense = {
    .code = MODEL_DENSE, .name = "dense", .family = LAYER_FRAME, .check = check_dense,
    .describe = describe_dense, .flops = flops_dense, .build = build_dense, .run = run_dense,
};

/* ---- embedding --------------------------------------------------------------------- */

static lstm_status check_embedding(const struct lstm_model *model, struct layer *layer,
                                   lstm_error *error)
{
    lstm_status status = check_arity(model, layer, 1, 1, 1, error);
    if (status == LSTM_OK)
        status = check_words_unused(layer, 0, error);
    if (status == LSTM_OK && !layer_has(layer, 0))
        status = error_layer(error, MODEL_RULE_TENSORS, layer, "the table is missing");
    if (status != LSTM_OK)
        return status;
    struct model_tensor table;
    model_get_tensor(&model->view, layer->spec.tensors[0], &table);
    const uint32_t rule = MODEL_RULE_SHAPES + MODEL_EMBEDDING;
    if (table.rank != 2)
        return error_layer(error, rule, layer, "the table has rank %u, expected 2",
                           (unsigned)table.rank);
    if (layer->in.rank != 1)
        return error_layer(error, rule, layer, "the input has rank %u, expected 1",
                           (unsigned)layer->in.rank);
    const uint32_t dims[] = {layer->in.dims[0], table.dims[1]};
    status = layer->in.dims[0] == 1 ? check_output(layer, 1, dims + 1, error)
                                    : check_output(layer, 2, dims, error);
    return status != LSTM_OK ? status : check_once(layer, layer->in.once, error);
}

static uint64_t flops_none(const struct lstm_model *model, const struct layer *layer)
{
    (void)model;
    (void)layer;
    return 0;
}

static lstm_status build_embedding(struct plan_builder *builder, struct plan_op *op,
                                   lstm_error *error)
{
    struct model_tensor table;
    model_get_tensor(&builder->plan->model->view, op->layer->spec.tensors[0], &table);
    op->table_rows = table.dims[0];
    return plan_copy(builder, table.data, (size_t)table.count, &op->table[0])
               ? LSTM_OK
               : error_nomem(error);
}

/* A number that names no row of the table gives NaNs: loud, and never out of bounds. */
static void look_up(const struct plan_op *op, float number, float *out, size_t n)
{
    if (number >= 0 && number < (float)op->table_rows && number == floorf(number)) {
        memcpy(out, op->table[0] + (size_t)number * n, n * sizeof *out);
        return;
    }
    for (size_t i = 0; i < n; i++)
        out[i] = NAN;
}

static void run_embedding(const struct plan_op *op, struct exec *exec)
{
    float **in = exec_rows(exec, op->layer->spec.inputs[0]);
    float **out = exec_rows(exec, op->output);
    const size_t n = op->layer->in.size, width = op->layer->out.size / n;
    size_t begin, end;
    exec_share(exec, exec_n_rows(exec, op->output), &begin, &end);
    for (size_t r = begin; r < end; r++)
        for (size_t i = 0; i < n; i++)
            look_up(op, in[r][i], out[r] + i * width, width);
}

const struct layer_type layer_embedding = {
    .code = MODEL_EMBEDDING, .name = "embedding", .family = LAYER_FRAME,
    .check = check_embedding, .flops = flops_none, .build = build_embedding,
    .run = run_embedding,
};
