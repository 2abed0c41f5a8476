/* SPDX-License-Identifier: MIT
 *
 * What all ways to step a recurrent layer share: directions dealt to threads, rows of a
 * step, the input part ahead of time, and the state at the end of a block.
 */
#include <string.h>

#include "runtime/recurrent.h"

static size_t row_at(const struct stepper *step, size_t item, size_t s)
{
    const struct exec_item *run = &step->section->items[item];
    return run->row + (step->reverse ? run->steps - 1 - s : s);
}

const float *step_in(const struct stepper *step, size_t item, size_t s)
{
    return step->in[row_at(step, item, s)];
}

float *step_out(const struct stepper *step, size_t item, size_t s)
{
    return step->out[row_at(step, item, s)] + step->column;
}

static float *state_h(const struct stepper *step, size_t item)
{
    return step->section->items[item].state + step->state->h;
}

const float *step_h(const struct stepper *step, size_t item, size_t s)
{
    return s ? step_out(step, item, s - 1) : state_h(step, item);
}

float *step_c(const struct stepper *step, size_t item)
{
    return step->section->items[item].state + step->state->c;
}

void step_hoist(const struct stepper *step, struct step_share share, size_t s, size_t n,
                size_t active)
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
        .panel_begin = share.panel_begin, .panel_end = share.panel_end,
    };
    step->op->plan->gemm->run(&args);
}

struct step_share step_share_of(const struct stepper *step)
{
    const size_t count = step->weights->x.panels.count;
    return (struct step_share){count * step->rank / step->size,
                               count * (step->rank + 1) / step->size};
}

/* After the last step of the block each stream gets its h; c is there already. */
static void keep_h(const struct stepper *step)
{
    const size_t n = step->state->n_h * sizeof(float);
    for (size_t i = 0; i < step->section->n_active; i++) {
        const size_t steps = step->section->items[i].steps;
        memcpy(state_h(step, i), step_out(step, i, steps - 1), n);
    }
}

/* ---- directions -------------------------------------------------------------- */

static void add_direction(struct recurrent_prepared *prepared, const struct plan_op *op,
                          const struct exec *exec, uint32_t direction, uint32_t leader)
{
    struct stepper *step = &prepared->step[prepared->n++];
    struct section *section = exec->section;
    struct barrier_seat *seat =
        op->u.recurrent.n_directions == 1 ? &section->all : &section->group[direction];
    *step = (struct stepper){
        .op = op, .rec = &op->u.recurrent, .weights = &op->u.recurrent.direction[direction],
        .state = &op->layer->state[direction], .section = section, .scratch = exec->scratch,
        .floats = section->threads[leader].floats, .seat = seat, .direction = direction,
        .rank = seat->rank, .size = seat->size,
        .reverse = op->layer->spec.params[MODEL_RNN_DIRECTION] == MODEL_REVERSED || direction == 1,
        .in = exec_rows(exec, op->layer->spec.inputs[0]), .out = exec_rows(exec, op->output),
        .column = direction * op->u.recurrent.n_r,
    };
    if (step->rec->method->prepare)
        step->rec->method->prepare(step);
}

/* Two directions go to two halves of the team, or one after the other to one thread. */
void recurrent_prepare(const struct plan_op *op, struct exec *exec)
{
    struct recurrent_prepared *prepared = exec_prepared(exec, op);
    struct section *section = exec->section;
    const uint32_t first = (exec->size + 1) / 2, direction = exec->rank >= first;
    prepared->n = 0;
    section->group[0].rank = exec->rank;
    section->group[0].size = first;
    section->group[1].rank = exec->size == 1 ? 0 : exec->rank - first;
    section->group[1].size = exec->size == 1 ? 1 : exec->size - first;
    if (op->u.recurrent.n_directions == 1) {
        add_direction(prepared, op, exec, 0, 0);
    } else if (exec->size == 1) {
        add_direction(prepared, op, exec, 0, 0);
        add_direction(prepared, op, exec, 1, 0);
    } else {
        add_direction(prepared, op, exec, direction, direction ? first : 0);
    }
}

void recurrent_run(const struct plan_op *op, struct exec *exec)
{
    const struct recurrent_prepared *prepared = exec_prepared(exec, op);
    const struct recurrent_method *method = op->u.recurrent.method;
    for (uint32_t i = 0; i < prepared->n; i++) {
        const struct stepper *step = &prepared->step[i];
        if (method->fused || step->rank == 0)
            method->steps(step);
        if (step->rank == 0)
            keep_h(step);
    }
    exec->met = method->fused && op->u.recurrent.n_directions == 1;
}
