/* SPDX-License-Identifier: MIT
 *
 * Layers that move numbers and compute none: concat, slice, reshape, transpose.
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

/* A frame around an axis: [outer][along][inner]. */
static size_t outer_of(const struct model_value *value, uint32_t axis)
{
    size_t n = 1;
    for (uint32_t i = 0; i < axis; i++)
        n *= value->dims[i];
    return n;
}

static size_t inner_of(const struct model_value *value, uint32_t axis)
{
    size_t n = 1;
    for (uint32_t i = axis + 1; i < value->rank; i++)
        n *= value->dims[i];
    return n;
}

static lstm_status check_axis(const struct layer *layer, lstm_error *error)
{
    if (layer->spec.params[0] < layer->in.rank)
        return LSTM_OK;
    return error_layer(error, MODEL_RULE_WORDS + layer->spec.type, layer,
                       "axis %u of a frame of rank %u", (unsigned)layer->spec.params[0],
                       (unsigned)layer->in.rank);
}

/* ---- concat -------------------------------------------------------------------- */

static bool agrees(const struct model_value *a, const struct model_value *b, uint32_t axis)
{
    for (uint32_t i = 0; i < a->rank; i++)
        if (i != axis && a->dims[i] != b->dims[i])
            return false;
    return a->rank == b->rank;
}

static lstm_status check_concat(const struct lstm_model *model, struct layer *layer,
                                lstm_error *error)
{
    const uint32_t axis = layer->spec.params[0];
    lstm_status status = check_arity(model, layer, 2, MODEL_MAX_INPUTS, 0, error);
    if (status == LSTM_OK)
        status = check_words_unused(layer, 1, error);
    if (status == LSTM_OK)
        status = check_axis(layer, error);
    if (status != LSTM_OK)
        return status;
    uint32_t dims[MODEL_MAX_RANK];
    memcpy(dims, layer->in.dims, sizeof dims);
    for (uint32_t i = 1; i < layer->spec.n_inputs; i++) {
        const struct model_value *other = &model->values[layer->spec.inputs[i]];
        if (!agrees(&layer->in, other, axis))
            return error_layer(error, MODEL_RULE_SHAPES + MODEL_CONCAT, layer,
                               "input %u does not fit input 0", (unsigned)i);
        dims[axis] += other->dims[axis]; /* at most 64 times 2^24: no overflow */
    }
    status = check_output(layer, layer->in.rank, dims, error);
    return status != LSTM_OK ? status : check_once(layer, layer->in.once, error);
}

static void concat_row(const struct plan_op *op, struct exec *exec, size_t r)
{
    const struct layer *layer = op->layer;
    const uint32_t axis = layer->spec.params[0];
    const size_t outer = outer_of(&layer->out, axis), inner = inner_of(&layer->out, axis);
    const size_t stride = layer->out.dims[axis] * inner;
    float *out = exec_rows(exec, op->output)[r];
    for (uint32_t i = 0; i < layer->spec.n_inputs; i++) {
        const uint32_t value = layer->spec.inputs[i];
        const size_t n = op->plan->model->values[value].dims[axis] * inner;
        const float *in = exec_rows(exec, value)[r];
        for (size_t o = 0; o < outer; o++)
            memcpy(out + o * stride, in + o * n, n * sizeof *out);
        out += n;
    }
}

static void run_concat(const struct plan_op *op, struct exec *exec)
{
    size_t begin, end;
    exec_share(exec, exec_n_rows(exec, op->output), &begin, &end);
    for (size_t r = begin; r < end; r++)
        concat_row(op, exec, r);
}

static void describe_axis(const struct layer *layer, char *text, size_t n_bytes)
{
    snprintf(text, n_bytes, "axis %u", (unsigned)layer->spec.params[0]);
}

const struct layer_type layer_concat = {
    .code = MODEL_CONCAT, .name = "concat", .family = LAYER_FRAME, .check = check_concat,
    .describe = describe_axis, .flops = flops_none, .run = run_concat,
};

/* ---- slice ----------------------------------------------------------------------- */

static lstm_status check_slice(const struct lstm_model *model, struct layer *layer,
                               lstm_error *error)
{
    const uint32_t *words = layer->spec.params;
    lstm_status status = check_arity(model, layer, 1, 1, 0, error);
    if (status == LSTM_OK)
        status = check_words_unused(layer, 4, error);
    if (status == LSTM_OK)
        status = check_axis(layer, error);
    if (status != LSTM_OK)
        return status;
    const uint32_t axis = words[0];
    const uint64_t last = (uint64_t)words[1] + ((uint64_t)words[2] - 1) * words[3];
    if (!words[2] || !words[3] || last >= layer->in.dims[axis])
        return error_layer(error, MODEL_RULE_WORDS + MODEL_SLICE, layer,
                           "%u elements from %u in steps of %u do not lie in 0 to %u",
                           (unsigned)words[2], (unsigned)words[1], (unsigned)words[3],
                           (unsigned)(layer->in.dims[axis] - 1));
    uint32_t dims[MODEL_MAX_RANK];
    memcpy(dims, layer->in.dims, sizeof dims);
    dims[axis] = words[2];
    status = check_output(layer, layer->in.rank, dims, error);
    return status != LSTM_OK ? status : check_once(layer, layer->in.once, error);
}

/* A thread's share of the frames, one by one. */
static void each_row(const struct plan_op *op, struct exec *exec,
                     void (*row)(const struct layer *layer, const float *in, float *out))
{
    float **in = exec_rows(exec, op->layer->spec.inputs[0]);
    float **out = exec_rows(exec, op->output);
    size_t begin, end;
    exec_share(exec, exec_n_rows(exec, op->output), &begin, &end);
    for (size_t r = begin; r < end; r++)
        row(op->layer, in[r], out[r]);
}

static void slice_row(const struct layer *layer, const float *in, float *out)
{
    const uint32_t *words = layer->spec.params;
    const uint32_t axis = words[0];
    const size_t outer = outer_of(&layer->in, axis), inner = inner_of(&layer->in, axis);
    for (size_t o = 0; o < outer; o++)
        for (size_t i = 0; i < words[2]; i++, out += inner) {
            const size_t from = o * layer->in.dims[axis] + words[1] + i * words[3];
            memcpy(out, in + from * inner, inner * sizeof *out);
        }
}

static void run_slice(const struct plan_op *op, struct exec *exec)
{
    each_row(op, exec, slice_row);
}

static void describe_slice(const struct layer *layer, char *text, size_t n_bytes)
{
    const uint32_t *words = layer->spec.params;
    snprintf(text, n_bytes, "axis %u: %u from %u, step %u", (unsigned)words[0],
             (unsigned)words[2], (unsigned)words[1], (unsigned)words[3]);
}

const struct layer_type layer_slice = {
    .code = MODEL_SLICE, .name = "slice", .family = LAYER_FRAME, .check = check_slice,
    .describe = describe_slice, .flops = flops_none, .run = run_slice,
};

/* ---- reshape ----------------------------------------------------------------------- */

static lstm_status check_reshape(const struct lstm_model *model, struct layer *layer,
                                 lstm_error *error)
{
    lstm_status status = check_arity(model, layer, 1, 1, 0, error);
    if (status == LSTM_OK)
        status = check_words_unused(layer, 0, error);
    if (status == LSTM_OK && layer->in.size != layer->out.size)
        status = error_layer(error, MODEL_RULE_SHAPES + MODEL_RESHAPE, layer,
                             "%zu numbers cannot become %zu", layer->in.size, layer->out.size);
    return status != LSTM_OK ? status : check_once(layer, layer->in.once, error);
}

static void run_reshape(const struct plan_op *op, struct exec *exec)
{
    float **in = exec_rows(exec, op->layer->spec.inputs[0]);
    float **out = exec_rows(exec, op->output);
    size_t begin, end;
    exec_share(exec, exec_n_rows(exec, op->output), &begin, &end);
    for (size_t r = begin; r < end; r++)
        memcpy(out[r], in[r], op->layer->in.size * sizeof(float));
}

const struct layer_type layer_reshape = {
    .code = MODEL_RESHAPE, .name = "reshape", .family = LAYER_FRAME, .check = check_reshape,
    .flops = flops_none, .run = run_reshape,
};

/* ---- transpose ----------------------------------------------------------------------- */

static lstm_status check_transpose(const struct lstm_model *model, struct layer *layer,
                                   lstm_error *error)
{
    const uint32_t *words = layer->spec.params, rank = layer->in.rank;
    lstm_status status = check_arity(model, layer, 1, 1, 0, error);
    if (status == LSTM_OK)
        status = check_words_unused(layer, rank, error);
    if (status != LSTM_OK)
        return status;
    uint32_t dims[MODEL_MAX_RANK] = {0}, seen = 0;
    for (uint32_t i = 0; i < rank; i++) {
        if (words[i] >= rank || seen >> words[i] & 1)
            return error_layer(error, MODEL_RULE_WORDS + MODEL_TRANSPOSE, layer,
                               "axis %u of the input as axis %u, expected each of 0 to %u once",
                               (unsigned)words[i], (unsigned)i, (unsigned)(rank - 1));
        seen |= UINT32_C(1) << words[i];
        dims[i] = layer->in.dims[words[i]];
    }
    status = check_output(layer, rank, dims, error);
    return status != LSTM_OK ? status : check_once(layer, layer->in.once, error);
}

/* As [n][n][n]: the axes that a frame of a smaller rank lacks stand first and have length 1. */
static void transpose_row(const struct layer *layer, const float *in, float *out)
{
    size_t n[MODEL_MAX_RANK] = {1, 1, 1}, stride[MODEL_MAX_RANK] = {0};
    const uint32_t rank = layer->in.rank, first = MODEL_MAX_RANK - rank;
    for (uint32_t i = 0; i < rank; i++) {
        n[first + i] = layer->out.dims[i];
        stride[first + i] = inner_of(&layer->in, layer->spec.params[i]);
    }
    for (size_t a = 0; a < n[0]; a++)
        for (size_t b = 0; b < n[1]; b++)
            for (size_t c = 0; c < n[2]; c++)
                *out++ = in[a * stride[0] + b * stride[1] + c * stride[2]];
}

static void run_transpose(const struct plan_op *op, struct exec *exec)
{
    each_row(op, exec, transpose_row);
}

static void describe_transpose(const struct layer *layer, char *text, size_t n_bytes)
{
    const uint32_t *words = layer->spec.params;
    if (layer->in.rank == 3)
        snprintf(text, n_bytes, "axes %u %u %u", (unsigned)words[0], (unsigned)words[1],
                 (unsigned)words[2]);
    else if (layer->in.rank == 2)
        snprintf(text, n_bytes, "axes %u %u", (unsigned)words[0], (unsigned)words[1]);
}

const struct layer_type layer_transpose = {
    .code = MODEL_TRANSPOSE, .name = "transpose", .family = LAYER_FRAME,
    .check = check_transpose, .describe = describe_transpose, .flops = flops_none,
    .run = run_transpose,
};
