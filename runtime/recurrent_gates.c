/* SPDX-License-Identifier: MIT
 *
 * Cells that take one gate at a time, each by one fused kernel call a step: the plain one, and
 * the GRU whose reset gate acts before the product. Each thread of the group does its own
 * hidden units; the GRU's threads meet before the candidate's sums too.
 */
#include "runtime/error.h"
#include "runtime/recurrent.h"

static bool plain_acts(const struct layer *layer)
{
    for (uint32_t d = 0; d < layer->n_states; d++) {
        const uint32_t act = layer->spec.params[MODEL_RNN_ACTS + d * MODEL_RNN_ACTS_STRIDE];
        if (act != MODEL_ACT_TANH && act != MODEL_ACT_RELU)
            return false;
    }
    return true;
}

static const char *reject(const struct lstm_plan *plan, const struct layer *layer)
{
    (void)plan;
    if (layer->spec.type == MODEL_LSTM)
        return "only for rnn and gru";
    if (layer->spec.type == MODEL_RNN && !plain_acts(layer))
        return "the activation is not tanh or relu";
    if (layer->spec.type == MODEL_GRU && layer->spec.params[MODEL_RNN_FLAGS] & MODEL_FLAG_RESET_AFTER)
        return "the reset gate acts after the product";
    if (layer->spec.type == MODEL_GRU && !recurrent_standard_acts(layer))
        return "activations are not sigmoid, tanh";
    return layer->spec.params[MODEL_RNN_CLIP] ? "gate pre-activations are clipped" : NULL;
}

static const char *kernel(const struct lstm_plan *plan)
{
    return plan->gate->name;
}

static bool build_gate(struct plan_builder *builder, struct plan_op *plan_op, uint32_t d, uint32_t gate)
{
    struct recurrent_op *op = &plan_op->u.recurrent;
    struct recurrent_weights *out = &op->direction[d];
    const size_t n = op->hidden;
    const struct recurrent_pack pack = {
        .direction = d, .widest = builder->plan->gate->widest, .first = gate * n, .x_rows = n, .h_rows = n,
        .gates = 1, .x = gate ? &out->more_x[gate - 1] : &out->x,
        .h = gate ? &out->more_h[gate - 1] : &out->h,
    };
    return recurrent_pack(builder, plan_op, &pack);
}

static lstm_status build(struct plan_builder *builder, struct plan_op *plan_op, lstm_error *error)
{
    struct recurrent_op *op = &plan_op->u.recurrent;
    struct lstm_plan *plan = builder->plan;
    op->tile_rows = plan->gate->tile_rows;
    op->hoist_tile = recurrent_hoist_tile(plan, op, plan->gate->tile_items);
    for (uint32_t d = 0; d < op->n_directions; d++) {
        for (uint32_t gate = 0; gate < op->gates; gate++)
            if (!build_gate(builder, plan_op, d, gate))
                return error_nomem(error);
        const size_t columns = op->gates * op->direction[d].x.panels.columns;
        if (columns > plan->hoist_columns)
            plan->hoist_columns = columns;
    }
    op->scratch_floats = op->gates == 3 ? op->hidden : 0;
    return LSTM_OK;
}

static enum simd_gate_use use_of(const struct stepper *step, uint32_t gate)
{
    static const enum simd_gate_use gru[] = {SIMD_GATE_RESET, SIMD_GATE_UPDATE, SIMD_GATE_NEW};
    if (step->rec->gates == 3)
        return gru[gate];
    return step->weights->act[0] == SIMD_ACT_RELU ? SIMD_GATE_RELU : SIMD_GATE_TANH;
}

static void run_gate(struct stepper *step, uint32_t gate, size_t s, size_t items, float *const *hoisted)
{
    struct simd_gate *args = &step->args.gate[gate];
    args->items = items;
    args->xw = (const float *const *)hoisted;
    args->backwards = step_backwards(step, s);
    step->op->plan->gate->step(args);
}

static void one_plain(struct stepper *step, size_t s, size_t items, float *const *hoisted)
{
    run_gate(step, 0, s, items, hoisted);
}

static void one_gru(struct stepper *step, size_t s, size_t items, float *const *hoisted)
{
    const bool backwards = step_backwards(step, s);
    for (size_t i = 0; i < items; i++)
        step->scratch->spare[i] = step->floats + i * step->rec->scratch_floats;
    run_gate(step, backwards, s, items, hoisted);
    run_gate(step, !backwards, s, items, hoisted);
    step_sync(step);
    run_gate(step, 2, s, items, hoisted);
}

/* What the reset gate leaves of h goes to the group's scratch, the update gate to the output. */
static void prepare(struct stepper *step)
{
    const struct recurrent_weights *weights = step->weights;
    const struct exec_scratch *scratch = step->scratch;
    for (uint32_t g = 0; g < step->rec->gates; g++) {
        const struct packed_matrix *x = g ? &weights->more_x[g - 1] : &weights->x;
        const struct packed_matrix *h = g ? &weights->more_h[g - 1] : &weights->h;
        const enum simd_gate_use use = use_of(step, g);
        step->args.gate[g] = (struct simd_gate){
            .use = use, .wx = x->weights, .wh = h->weights, .bias = x->bias, .panels = &x->panels,
            .n_x = step->rec->n_x, .n_h = step->rec->n_r, .units = step->rec->hidden, .x = scratch->in,
            .xw_at = g * x->panels.columns, .h = scratch->h,
            .state = use == SIMD_GATE_NEW ? (const float *const *)scratch->spare : scratch->h,
            .out = use == SIMD_GATE_RESET ? scratch->spare : scratch->out,
            .panel_begin = step->panel_begin, .panel_end = step->panel_end,
        };
    }
    if (step->rec->gates == 3)
        step->one = one_gru;
}

const struct recurrent_method recurrent_gates = {
    .backend = "native",
    .how = "product and gate in one, gate by gate",
    .reject = reject,
    .kernel = kernel,
    .build = build,
    .prepare = prepare,
    .one = one_plain,
    .fused = true,
};
