/* SPDX-License-Identifier: MIT
 *
 * magnitude: real and imaginary parts, one after the other along the last dimension, to the
 * length of each pair.
 */
#include "runtime/error.h"
#include "runtime/exec.h"
#include "runtime/layer_types.h"

static size_t pairs_of(const struct layer *layer)
{
    return layer->in.dims[layer->in.rank - 1] / 2;
}

static lstm_status check(const struct lstm_model *model, struct layer *layer, lstm_error *error)
{
    lstm_status status = check_arity(model, layer, 1, 1, 0, error);
    if (status == LSTM_OK)
        status = check_words_unused(layer, 0, error);
    if (status != LSTM_OK)
        return status;
    const uint32_t last = layer->in.rank - 1;
    struct model_value want = layer->in;
    if (want.dims[last] % 2)
        return error_layer(error, MODEL_RULE_SHAPES + MODEL_MAGNITUDE, layer,
                           "the last dimension is %u, expected an even number",
                           (unsigned)want.dims[last]);
    want.dims[last] /= 2;
    status = check_output(layer, want.rank, want.dims, error);
    return status != LSTM_OK ? status : check_once(layer, want.once, error);
}

/* Two products, a sum and a root. */
static uint64_t flops(const struct lstm_model *model, const struct layer *layer)
{
    (void)model;
    return 4 * (uint64_t)layer->out.size;
}

static void run(const struct plan_op *op, struct exec *exec)
{
    float **in = exec_rows(exec, op->layer->spec.inputs[0]);
    float **out = exec_rows(exec, op->output);
    const size_t n = pairs_of(op->layer), lead = op->layer->out.size / n;
    size_t begin, end;
    exec_share(exec, exec_n_rows(exec, op->output), &begin, &end);
    for (size_t r = begin; r < end; r++)
        for (size_t i = 0; i < lead; i++)
            op->plan->isa->ops->magnitude(in[r] + 2 * i * n, in[r] + (2 * i + 1) * n,
                                          out[r] + i * n, n);
}

const struct layer_type layer_magnitude = {
    .code = MODEL_MAGNITUDE, .name = "magnitude", .family = LAYER_FRAME, .check = check,
    .flops = flops, .run = run,
};
