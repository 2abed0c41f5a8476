/* SPDX-License-Identifier: MIT
 *
 * The standard LSTM cell by one fused kernel call a step: each thread of the group on its
 * own hidden units, with a barrier between steps.
 */
#include "runtime/error.h"
#include "runtime/recurrent.h"

static const char *reject(const struct lstm_plan *plan, const struct layer *layer)
{
    (void)plan;
    if (layer->spec.type != MODEL_LSTM)
        return "only for lstm";
    if (!recurrent_standard_acts(layer))
        return "activations are not sigmoid, tanh, tanh";
    if (layer->spec.params[MODEL_RNN_CLIP])
        return "gate pre-activations are clipped";
    if (layer->spec.params[MODEL_RNN_FLAGS] & MODEL_FLAG_COUPLED)
        return "input and forget gate are coupled";
    for (uint32_t d = 0; d < layer->n_states; d++)
        if (layer_has(layer, d * MODEL_RNN_SLOTS + MODEL_SLOT_PEEPHOLE))
            return "peepholes";
    return NULL;
}

static const char *kernel(const struct lstm_plan *plan)
{
    return plan->lstm->name;
}

/* Gates of a unit side by side. */
static bool build_direction(struct plan_builder *builder, struct plan_op *plan_op, uint32_t d)
{
    struct recurrent_op *op = &plan_op->u.recurrent;
    struct recurrent_weights *out = &op->direction[d];
    const struct recurrent_pack pack = {
        .direction = d, .widest = builder->plan->lstm->widest, .x_rows = op->hidden, .h_rows = op->hidden,
        .gates = 4, .x = &out->x, .h = &out->h,
    };
    return recurrent_pack(builder, plan_op, &pack) && recurrent_pack_projection(builder, plan_op, d);
}

static lstm_status build(struct plan_builder *builder, struct plan_op *plan_op, lstm_error *error)
{
    struct recurrent_op *op = &plan_op->u.recurrent;
    struct lstm_plan *plan = builder->plan;
    op->tile_rows = plan->lstm->tile_rows;
    /* A product over the same panels lets the input part be computed ahead. */
    if (plan->gemm->widest == plan->lstm->widest)
        op->hoist_tile = recurrent_hoist_tile(plan, op, plan->lstm->tile_items);
    for (uint32_t d = 0; d < op->n_directions; d++) {
        if (!build_direction(builder, plan_op, d))
            return error_nomem(error);
        recurrent_hoist_room(plan, &op->direction[d].x);
    }
    op->scratch_floats = op->direction[0].projection.weights ? op->hidden : 0;
    return LSTM_OK;
}

static void one(struct stepper *step, size_t s, size_t items, float *const *hoisted)
{
    struct simd_lstm *args = &step->args.lstm;
    args->items = items;
    args->xw = (const float *const *)hoisted;
    args->backwards = step_backwards(step, s);
    step->op->plan->lstm->step(args);
}

/* The next frame waits for h, so the kernel writes it where that will look for it. */
static void frame_in_place(struct stepper *step)
{
    const struct exec_item *run = step->section->items;
    struct simd_lstm *args = &step->frame_args;
    step->frame_in = step->in[run->row];
    step->frame_h = step->frame_h_out = run->state + step->state->h;
    step->frame_c = run->state + step->state->c;
    step->frame_out = step->out[run->row] + step->column;
    args->backwards = step_backwards(step, 0);
    step->op->plan->lstm->step(args);
}

/* The kernel's h goes to the group's scratch and is projected from there. */
static void one_projected(struct stepper *step, size_t s, size_t items, float *const *hoisted)
{
    float **h = step->scratch->spare;
    for (size_t i = 0; i < items; i++)
        h[i] = step->floats + i * step->rec->scratch_floats;
    one(step, s, items, hoisted);
    step_sync(step);
    if (step->rank == 0)
        exec_product(step->op->plan, &step->weights->projection, (const float *const *)h,
                     step->scratch->out, items);
}

static void prepare_frame(struct stepper *step)
{
    step->frame = frame_in_place;
    step->frame_args = step->args.lstm;
    step->frame_args.x = &step->frame_in;
    step->frame_args.h = &step->frame_h;
    step->frame_args.c = &step->frame_c;
    step->frame_args.h_out = &step->frame_h_out;
    step->frame_args.h_copy = &step->frame_out;
}

static void prepare(struct stepper *step)
{
    const struct recurrent_weights *weights = step->weights;
    const struct exec_scratch *scratch = step->scratch;
    const struct simd_lstm_kernel *lstm = step->op->plan->lstm;
    const bool projected = weights->projection.weights;
    step->args.lstm = (struct simd_lstm){
        .wx = weights->x.weights, .wh = weights->h.weights, .bias = weights->x.bias,
        .panels = &weights->x.panels, .n_x = step->rec->n_x, .n_h = step->rec->n_r,
        .units = step->rec->hidden, .x = scratch->in, .h = scratch->h, .c = scratch->c,
        .h_out = projected ? scratch->spare : scratch->out,
        .items = 1, .panel_begin = step->panel_begin, .panel_end = step->panel_end,
    };
    if (step->size == 1 && !projected && lstm->in_place && lstm->in_place(&step->args.lstm))
        prepare_frame(step);
    if (projected)
        step->one = one_projected;
}

const struct recurrent_method recurrent_lstm = {
    .backend = "native",
    .how = "product, gates and cell in one",
    .reject = reject,
    .kernel = kernel,
    .build = build,
    .prepare = prepare,
    .one = one,
    .fused = true,
};
