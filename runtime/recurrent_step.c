/* SPDX-License-Identifier: MIT
 *
 * What all ways to step a recurrent layer share: directions dealt to threads, rows of a
 * step, the input part ahead of time, and the state at the end of a block.
 */
#include <string.h>

#include "runtime/recurrent.h"

void step_sync(const struct stepper *step)
{
    barrier_wait(step->barrier, step->size);
}

size_t step_active(const struct stepper *step, size_t s, size_t active)
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

const float *step_in(const struct stepper *step, size_t item, size_t s)
{
    return step->in[row_at(step, item, s)];
}

float *step_out(const struct stepper *step, size_t item, size_t s)
{
    return step->out[row_at(step, item, s)] + step->direction * step->rec->n_r;
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

void step_place(const struct stepper *step, size_t s, size_t active)
{
    struct exec_scratch *scratch = step->scratch;
    for (size_t i = 0; i < active; i++) {
        scratch->in[i] = step_in(step, i, s);
        scratch->h[i] = step_h(step, i, s);
        scratch->c[i] = step_c(step, i);
        scratch->out[i] = step_out(step, i, s);
    }
}

void step_hoist(const struct stepper *step, size_t s, size_t n, size_t active,
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

/* After the last step of the block each stream gets its h; c is there already. */
static void keep_h(const struct stepper *step)
{
    const size_t n = step->state->n_h * sizeof(float);
    for (size_t i = 0; i < step->section->n_active; i++) {
        const size_t steps = step->section->items[i].steps;
        memcpy(state_h(step, i), step_out(step, i, steps - 1), n);
    }
}

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
    if (step.rec->method->fused || step.rank == 0)
        step.rec->method->steps(&step);
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
