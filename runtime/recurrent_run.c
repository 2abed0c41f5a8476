/* SPDX-License-Identifier: MIT
 *
 * Stepping recurrent layers. A direction is stepped by a group of threads: by one
 * fused kernel call a step, each thread on its own hidden units, with a barrier
 * between steps; or, for cells that the kernel does not know, by products and vector
 * operations on the group's first thread.
 *
 * Within a group: `s` counts the steps in the order in which they are processed.
 */
#include <string.h>

#include "runtime/layer_types.h"
#include "runtime/plan.h"
#include "runtime/exec.h"

struct stepper {
    const struct plan_op *op;
    const struct recurrent_op *rec;
    const struct recurrent_weights *weights;
    const struct layer_state *state;
    struct section *section;
    struct exec_scratch *scratch; /* this thread's */
    float *floats;                /* the group's */
    struct barrier *barrier;
    uint32_t direction, rank, size;
    bool reverse;
    float **in, **out; /* rows of the layer's input and output */
};

static void sync(const struct stepper *step)
{
    barrier_wait(step->barrier, step->size);
}

/* Items that have a step `s`: the first ones, lengths descend. */
static size_t active_at(const struct stepper *step, size_t s, size_t active)
{
    while (active && step->section->items[active - 1].steps <= s)
        active--;
    return active;
}

static size_t row_at(const struct stepper *step, size_t item, size_t s)
{
    const struct exec_item *run = &step->section->items[item];
    return run->row + (step->reverse ? run->steps - 1 - s : s);
}

static float *out_at(const struct stepper *step, size_t item, size_t s)
{
    return step->out[row_at(step, item, s)] + step->direction * step->rec->n_r;
}

static float *state_h(const struct stepper *step, size_t item)
{
    return step->section->items[item].state + step->state->h;
}

/* h before step s: what step s - 1 wrote, or the stream's. */
static const float *h_before(const struct stepper *step, size_t item, size_t s)
{
    return s ? out_at(step, item, s - 1) : state_h(step, item);
}

/* Pointers of one step for all active items. */
static void place_step(const struct stepper *step, size_t s, size_t active)
{
    struct exec_scratch *scratch = step->scratch;
    for (size_t i = 0; i < active; i++) {
        scratch->in[i] = step->in[row_at(step, i, s)];
        scratch->h[i] = h_before(step, i, s);
        scratch->c[i] = step->section->items[i].state + step->state->c;
        scratch->out[i] = out_at(step, i, s);
    }
}

/* After the last step of the block each stream gets its h; c is there already. */
static void keep_h(const struct stepper *step)
{
    const size_t n = step->state->n_h * sizeof(float);
    for (size_t i = 0; i < step->section->n_active; i++) {
        const size_t steps = step->section->items[i].steps;
        memcpy(state_h(step, i), out_at(step, i, steps - 1), n);
    }
}

/* ---- the input part, ahead of time --------------------------------------------- */

/* bias + W·x of the steps [s, s + n) into the hoist buffer, for the panels that this
 * thread will use. Its row for step s + j of item i is j · active + i: items that have
 * ended by then leave a gap. */
static void hoist(const struct stepper *step, size_t s, size_t n, size_t active,
                  size_t panel_begin, size_t panel_end)
{
    const struct packed_matrix *x = &step->weights->x;
    struct exec_scratch *scratch = step->scratch;
    size_t rows = 0;
    for (size_t j = 0; j < n; j++)
        for (size_t i = 0; i < active && step->section->items[i].steps > s + j; i++) {
            scratch->in[rows] = step->in[row_at(step, i, s + j)];
            scratch->spare[rows++] = step->section->hoist_rows[step->direction][j * active + i];
        }
    const struct simd_gemm args = {
        .weights = x->weights, .bias = x->bias, .panels = &x->panels, .k = x->k,
        .n_out = x->panels.columns, .x = scratch->in, .out = scratch->spare, .rows = rows,
        .panel_begin = panel_begin, .panel_end = panel_end,
    };
    step->op->plan->gemm->run(&args);
}

/* ---- the fused kernel ------------------------------------------------------------ */

static void project(const struct stepper *step, size_t active)
{
    if (step->rank == 0)
        exec_product(step->op->plan, &step->weights->projection,
                     (const float *const *)step->scratch->spare, step->scratch->out, active);
}

/* With a projection the kernel's h goes to the group's scratch and is projected from there. */
static void step_fused(const struct stepper *step, struct simd_lstm *args, size_t s,
                       const float *const *hoisted)
{
    struct exec_scratch *scratch = step->scratch;
    const bool projected = step->weights->projection.weights;
    place_step(step, s, args->items);
    args->xw = hoisted;
    if (projected)
        for (size_t i = 0; i < args->items; i++)
            scratch->spare[i] = step->floats + i * step->rec->scratch_floats;
    args->h_out = projected ? scratch->spare : scratch->out;
    step->op->plan->lstm->step(args);
    args->backwards = !args->backwards;
    sync(step);
    if (projected) {
        project(step, args->items);
        sync(step);
    }
}

static void run_fused(const struct stepper *step)
{
    const struct recurrent_weights *weights = step->weights;
    const struct simd_panels *panels = &weights->x.panels;
    struct exec_scratch *scratch = step->scratch;
    const size_t steps = step->section->items[0].steps;
    size_t active = step->section->n_active;
    struct simd_lstm args = {
        .wx = weights->x.weights, .wh = weights->h.weights, .bias = weights->x.bias,
        .panels = panels, .n_x = step->rec->n_x, .n_h = step->rec->n_r,
        .units = step->rec->hidden, .x = scratch->in, .h = scratch->h, .c = scratch->c,
        .panel_begin = panels->count * step->rank / step->size,
        .panel_end = panels->count * (step->rank + 1) / step->size,
        .backwards = step->section->backwards,
    };
    for (size_t s = 0; s < steps;) {
        active = active_at(step, s, active);
        const size_t ahead = choose_hoist(active, steps - s, step->op->plan->hoist_tile);
        if (ahead)
            hoist(step, s, ahead, active, args.panel_begin, args.panel_end);
        float **rows = step->section->hoist_rows[step->direction];
        for (size_t end = s + (ahead ? ahead : 1); s < end; s++, rows += active) {
            args.items = active_at(step, s, active);
            step_fused(step, &args, s, ahead ? (const float *const *)rows : NULL);
        }
    }
}

/* ---- all other cells --------------------------------------------------------------- */

/* One item at one step, with what the cell functions work on. */
struct cell {
    const struct recurrent_op *op;
    const struct recurrent_weights *weights;
    const struct lstm_plan *plan;
    const struct simd_vector_ops *ops;
    float *z;       /* [gates][hidden] pre-activations */
    float *extra;   /* [hidden] */
    const float *h; /* before the step */
    float *c, *out;
};

static void activate(const struct cell *cell, uint32_t act, float *z)
{
    const struct recurrent_weights *weights = cell->weights;
    const size_t n = cell->op->hidden;
    if (cell->op->clip > 0)
        cell->ops->clip(cell->op->clip, z, z, n);
    cell->ops->act(weights->act[act], weights->alpha[act], weights->beta[act], z, z, n);
}

static void peep(const struct cell *cell, uint32_t which, float *z)
{
    const size_t n = cell->op->hidden;
    if (cell->weights->peephole)
        cell->ops->fma(cell->weights->peephole + which * n, cell->c, z, z, n);
}

static void cell_lstm(const struct cell *cell)
{
    const size_t n = cell->op->hidden;
    const struct recurrent_weights *weights = cell->weights;
    float *i = cell->z, *f = i + n, *g = f + n, *o = g + n;
    float *h = weights->projection.weights ? cell->extra : cell->out;
    peep(cell, 0, i);
    activate(cell, 0, i);
    if (cell->op->coupled) {
        cell->ops->one_minus(i, f, n);
    } else {
        peep(cell, 1, f);
        activate(cell, 0, f);
    }
    activate(cell, 1, g);
    cell->ops->mul(i, g, i, n);
    cell->ops->fma(f, cell->c, i, cell->c, n);
    peep(cell, 2, o);
    activate(cell, 0, o);
    cell->ops->act(weights->act[2], weights->alpha[2], weights->beta[2], cell->c, h, n);
    cell->ops->mul(o, h, h, n);
}

static void cell_gru(const struct cell *cell)
{
    const size_t n = cell->op->hidden;
    float *r = cell->z, *z = r + n, *candidate = z + n;
    const float *const h_rows[] = {cell->h}, *const reset_rows[] = {cell->extra};
    float *const extra_rows[] = {cell->extra}, *const candidate_rows[] = {candidate};
    activate(cell, 0, r);
    activate(cell, 0, z);
    if (cell->op->reset_after) {
        exec_product(cell->plan, &cell->weights->h_new, h_rows, extra_rows, 1);
        cell->ops->fma(r, cell->extra, candidate, candidate, n);
    } else {
        cell->ops->mul(r, cell->h, cell->extra, n);
        exec_product(cell->plan, &cell->weights->h_new, reset_rows, candidate_rows, 1);
    }
    activate(cell, 1, candidate);
    cell->ops->one_minus(z, r, n);
    cell->ops->mul(r, candidate, candidate, n);
    cell->ops->fma(z, cell->h, candidate, cell->out, n);
}

static void cell_rnn(const struct cell *cell)
{
    activate(cell, 0, cell->z);
    memcpy(cell->out, cell->z, cell->op->hidden * sizeof *cell->out);
}

static void step_cell(const struct stepper *step, size_t item, size_t s)
{
    float *z = step->floats + item * step->rec->scratch_floats;
    const struct cell cell = {
        .op = step->rec, .weights = step->weights, .plan = step->op->plan,
        .ops = step->op->plan->isa->ops, .z = z,
        .extra = z + (size_t)step->rec->gates * step->rec->hidden,
        .h = h_before(step, item, s),
        .c = step->section->items[item].state + step->state->c, .out = out_at(step, item, s),
    };
    switch (step->rec->gates) {
    case 4: cell_lstm(&cell); break;
    case 3: cell_gru(&cell); break;
    default: cell_rnn(&cell);
    }
    step->scratch->hoisted[item] = cell.extra;
}

static void run_general(const struct stepper *step)
{
    const struct lstm_plan *plan = step->op->plan;
    struct exec_scratch *scratch = step->scratch;
    const size_t steps = step->section->items[0].steps;
    size_t active = step->section->n_active;
    for (size_t s = 0; s < steps; s++) {
        active = active_at(step, s, active);
        place_step(step, s, active);
        for (size_t i = 0; i < active; i++)
            scratch->spare[i] = step->floats + i * step->rec->scratch_floats;
        exec_product(plan, &step->weights->x, scratch->in, scratch->spare, active);
        exec_product(plan, &step->weights->h, scratch->h, scratch->spare, active);
        for (size_t i = 0; i < active; i++)
            step_cell(step, i, s);
        if (step->weights->projection.weights)
            exec_product(plan, &step->weights->projection, scratch->hoisted, scratch->out, active);
    }
}

/* ---- a layer -------------------------------------------------------------------------- */

static void run_direction(const struct plan_op *op, struct exec *exec, uint32_t direction,
                          uint32_t leader, uint32_t size)
{
    const struct stepper step = {
        .op = op, .rec = &op->u.recurrent, .weights = &op->u.recurrent.direction[direction],
        .state = &op->layer->state[direction], .section = exec->section,
        .scratch = exec->scratch, .floats = exec->section->threads[leader].floats,
        .barrier = &exec->section->group[direction], .direction = direction,
        .rank = exec->rank - leader, .size = size,
        .reverse = op->layer->spec.params[MODEL_RNN_DIRECTION] == MODEL_REVERSED || direction == 1,
        .in = exec_rows(exec, op->layer->spec.inputs[0]), .out = exec_rows(exec, op->output),
    };
    if (step.rec->fused)
        run_fused(&step);
    else if (step.rank == 0)
        run_general(&step);
    if (step.rank == 0)
        keep_h(&step);
}

/* Two directions go to two halves of the team, or one after the other to one thread. */
void recurrent_run(const struct plan_op *op, struct exec *exec)
{
    const uint32_t first = (exec->size + 1) / 2;
    if (op->u.recurrent.n_directions == 1) {
        run_direction(op, exec, 0, 0, exec->size);
    } else if (exec->size == 1) {
        run_direction(op, exec, 0, 0, 1);
        run_direction(op, exec, 1, 0, 1);
    } else if (exec->rank < first) {
        run_direction(op, exec, 0, 0, first);
    } else {
        run_direction(op, exec, 1, first, exec->size - first);
    }
}
