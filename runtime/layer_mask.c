/* SPDX-License-Identifier: MIT
 *
 * mask: whether a frame says anything, for the recurrent layers that pass over those that do
 * not.
 */
#include <math.h>

#include "runtime/error.h"
#include "runtime/exec.h"
#include "runtime/layer_types.h"

static lstm_status check(const struct lstm_model *model, struct layer *layer, lstm_error *error)
{
    const float nothing = layer_float(layer->spec.params[0]);
    const uint32_t one = 1;
    lstm_status status = check_arity(model, layer, 1, 1, 0, error);
    if (status == LSTM_OK)
        status = check_words_unused(layer, 1, error);
    if (status == LSTM_OK && !isfinite(nothing))
        status = error_layer(error, MODEL_RULE_WORDS + MODEL_MASK, layer,
                             "the number to compare with is %g, expected a finite one",
                             (double)nothing);
    if (status == LSTM_OK)
        status = check_output(layer, 1, &one, error);
    return status != LSTM_OK ? status : check_once(layer, layer->in.once, error);
}

static uint64_t flops(const struct lstm_model *model, const struct layer *layer)
{
    (void)model;
    return layer->in.size;
}

/* True for a NaN too. */
static bool differs(const float *x, float nothing, size_t n)
{
    size_t j = 0;
    while (j < n && x[j] == nothing)
        j++;
    return j < n;
}

static void run(const struct plan_op *op, struct exec *exec)
{
    float **in = exec_rows(exec, op->layer->spec.inputs[0]);
    float **out = exec_rows(exec, op->output);
    const float nothing = layer_float(op->layer->spec.params[0]);
    size_t begin, end;
    exec_share(exec, exec_n_rows(exec, op->output), &begin, &end);
    for (size_t r = begin; r < end; r++)
        out[r][0] = differs(in[r], nothing, op->layer->in.size) ? 1.0f : 0.0f;
}

const struct layer_type layer_mask = {
    .code = MODEL_MASK, .name = "mask", .family = LAYER_FRAME, .check = check,
    .flops = flops, .run = run,
};
