/* SPDX-License-Identifier: MIT
 *
 * The standard GRU cell whose reset gate acts after the product, by one fused kernel call a
 * step: each thread of the group on its own hidden units, with a barrier between steps.
 */
#include <stdlib.h>
#include <string.h>

#include "runtime/error.h"
#include "runtime/recurrent.h"

static const char *reject(const struct lstm_plan *plan, const struct layer *layer)
{
    (void)plan;
    if (layer->spec.type != MODEL_GRU)
        return "only for gru";
    if (!(layer->spec.params[MODEL_RNN_FLAGS] & MODEL_FLAG_RESET_AFTER))
        return "the reset gate acts before the product";
    if (!recurrent_standard_acts(layer))
        return "activations are not sigmoid, tanh";
    return layer->spec.params[MODEL_RNN_CLIP] ? "gate pre-activations are clipped" : NULL;
}

static const char *kernel(const struct lstm_plan *plan)
{
    return plan->gru->name;
}

/* Gates of a unit side by side. The bias over h is the candidate's alone, if there is one. */
static bool build_direction(struct plan_builder *builder, struct plan_op *plan_op, uint32_t d)
{
    struct recurrent_op *op = &plan_op->u.recurrent;
    struct recurrent_weights *out = &op->direction[d];
    const float *of_candidate = recurrent_tensors_of(plan_op, d).peephole;
    const size_t n = op->hidden;
    float *bias = calloc(3 * n, sizeof *bias);
    if (bias && of_candidate)
        memcpy(bias + 2 * n, of_candidate, n * sizeof *bias);
    const struct recurrent_pack pack = {.direction = d, .widest = builder->plan->gru->widest, .x_rows = n,
                                        .h_rows = n, .gates = 3, .bias_h = bias, .x = &out->x, .h = &out->h};
    const bool done = bias && recurrent_pack(builder, plan_op, &pack);
    free(bias);
    return done;
}

static lstm_status build(struct plan_builder *builder, struct plan_op *plan_op, lstm_error *error)
{
    struct recurrent_op *op = &plan_op->u.recurrent;
    struct lstm_plan *plan = builder->plan;
    op->hoist_tile = recurrent_hoist_tile(plan, op, plan->gru->tile_items);
    for (uint32_t d = 0; d < op->n_directions; d++) {
        if (!build_direction(builder, plan_op, d))
            return error_nomem(error);
        recurrent_hoist_room(plan, &op->direction[d].x);
    }
    return LSTM_OK;
}

static void prepare(struct stepper *step)
{
    const struct recurrent_weights *weights = step->weights;
    const struct exec_scratch *scratch = step->scratch;
    step->args.gru = (struct simd_gru){
        .wx = weights->x.weights, .wh = weights->h.weights, .bias = weights->x.bias,
        .bias_h = weights->h.bias, .panels = &weights->x.panels, .n_x = step->rec->n_x,
        .units = step->rec->hidden, .x = scratch->in, .h = scratch->h, .h_out = scratch->out,
        .panel_begin = step->panel_begin, .panel_end = step->panel_end,
    };
}

static void one(struct stepper *step, size_t s, size_t items, float *const *hoisted)
{
    struct simd_gru *args = &step->args.gru;
    args->items = items;
    args->xw = (const float *const *)hoisted;
    args->backwards = step_backwards(step, s);
    step->op->plan->gru->step(args);
}

const struct recurrent_method recurrent_gru = {
    .backend = "native",
    .how = "product, gates and cell in one",
    .reject = reject,
    .kernel = kernel,
    .build = build,
    .prepare = prepare,
    .one = one,
    .fused = true,
};
