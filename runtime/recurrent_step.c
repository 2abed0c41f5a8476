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

/* Pointers of step `s` of an item into scratch->in, h, c and out. */
static inline void place_one(const struct stepper *step, size_t s, size_t item)
{
    struct exec_scratch *scratch = step->scratch;
    const struct exec_item *run = &step->section->items[item];
    const size_t row = run->row + (step->reverse ? run->steps - 1 - s : s);
    const size_t before = step->reverse ? row + 1 : row - 1;
    scratch->in[item] = step->in[row];
    scratch->h[item] = s ? step->out[before] + step->column : run->state + step->state->h;
    scratch->c[item] = run->state + step->state->c;
    scratch->out[item] = step->out[row] + step->column;
}

static inline void one_step(struct stepper *step, size_t s, size_t items, float *const *hoisted)
{
    for (size_t i = 0; i < items; i++)
        place_one(step, s, i);
    step->one(step, s, items, hoisted);
    step_sync(step);
}

static void hoist_product(const struct stepper *step, const struct packed_matrix *x, size_t rows)
{
    const struct simd_gemm args = {
        .weights = x->weights, .bias = x->bias, .panels = &x->panels, .k = x->k,
        .n_out = x->panels.columns, .x = step->scratch->in, .out = step->scratch->spare, .rows = rows,
        .panel_begin = step->panel_begin, .panel_end = step->panel_end,
    };
    step->op->plan->gemm->run(&args);
}

/* bias + W·x of the steps [s, s + n) into the hoist buffer, for the thread's panels. Its row for
 * step s + j of item i is j · active + i: items that have ended by then leave a gap. */
static void hoist(const struct stepper *step, size_t s, size_t n, size_t active)
{
    const struct packed_matrix *x = &step->weights->x;
    struct exec_scratch *scratch = step->scratch;
    size_t rows = 0;
    for (size_t j = 0; j < n; j++)
        for (size_t i = 0; i < active && step->section->items[i].steps > s + j; i++) {
            scratch->in[rows] = step->in[row_at(step, i, s + j)];
            scratch->spare[rows++] = step->section->hoist_rows[step->direction][j * active + i];
        }
    hoist_product(step, x, rows);
    for (uint32_t g = 0; g < 2 && step->weights->more_x[g].weights; g++) {
        for (size_t r = 0; r < rows; r++)
            scratch->spare[r] += x->panels.columns;
        hoist_product(step, &step->weights->more_x[g], rows);
    }
}

/* The input part of as many steps as pays is computed ahead. */
static void all_steps(struct stepper *step)
{
    const size_t n_steps = step->section->items[0].steps;
    size_t items = step->section->n_active;
    for (size_t s = 0; s < n_steps;) {
        const size_t active = items;
        const size_t ahead = choose_hoist(active, n_steps - s, step->rec->hoist_tile);
        float **rows = ahead ? step->section->hoist_rows[step->direction] : NULL;
        if (ahead)
            hoist(step, s, ahead, active);
        const size_t end = s + (ahead ? ahead : 1);
        do {
            one_step(step, s++, items, rows);
            items = step_active(step, s, items);
            rows = rows ? rows + active : NULL;
        } while (s < end);
    }
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
    struct stepper *step = &prepared->step[prepared->n];
    struct section *section = exec->section;
    const struct recurrent_method *method = op->u.recurrent.method;
    const bool shared = method->fused;
    struct barrier_seat *seat =
        op->u.recurrent.n_directions == 1 ? &section->all : &section->group[direction];
    *step = (struct stepper){
        .op = op, .rec = &op->u.recurrent, .weights = &op->u.recurrent.direction[direction],
        .state = &op->layer->state[direction], .section = section, .scratch = exec->scratch,
        .floats = section->threads[leader].floats, .seat = seat, .direction = direction,
        .rank = seat->rank, .size = shared ? seat->size : 1, .one = method->one,
        .reverse = op->layer->spec.params[MODEL_RNN_DIRECTION] == MODEL_REVERSED || direction == 1,
        .in = exec_rows(exec, op->layer->spec.inputs[0]), .out = exec_rows(exec, op->output),
        .column = direction * op->u.recurrent.n_r,
    };
    prepared->n += shared || step->rank == 0;
    const size_t panels = step->weights->x.panels.count;
    step->panel_begin = shared ? panels * step->rank / step->size : 0;
    step->panel_end = shared ? panels * (step->rank + 1) / step->size : panels;
    if (method->prepare)
        method->prepare(step);
}

/* Two directions go to two halves of the team, or one after the other to one thread. */
void recurrent_prepare(const struct plan_op *op, struct exec *exec)
{
    struct recurrent_prepared *prepared = exec_prepared(exec, op);
    struct section *section = exec->section;
    const uint32_t first = (exec->size + 1) / 2, direction = exec->rank >= first;
    prepared->n = 0;
    prepared->met = op->u.recurrent.method->fused && op->u.recurrent.n_directions == 1;
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

void recurrent_steps(struct stepper *step)
{
    if (step->one)
        all_steps(step);
    else
        step->rec->method->steps(step);
}

static OUT_OF_LINE void run_steps(struct stepper *step)
{
    recurrent_steps(step);
    if (step->rank == 0)
        keep_h(step);
}

/* One step of one item, as the shortest runs have it, in short. */
static inline void run_frame(struct stepper *step)
{
    place_one(step, 0, 0);
    step->one(step, 0, 1, NULL);
    step_sync(step);
    if (step->rank == 0)
        memcpy(state_h(step, 0), step->scratch->out[0], step->state->n_h * sizeof(float));
}

static OUT_OF_LINE void run_directions(struct recurrent_prepared *prepared, bool frame)
{
    for (struct stepper *step = prepared->step; step < prepared->step + prepared->n; step++)
        if (frame && step->frame)
            step->frame(step);
        else if (frame && step->one)
            run_frame(step);
        else
            run_steps(step);
}

void recurrent_run(const struct plan_op *op, struct exec *exec)
{
    struct recurrent_prepared *prepared = exec_prepared(exec, op);
    const struct section *section = exec->section;
    const bool frame = section->n_active == 1 && section->items[0].steps == 1;
    exec->met = prepared->met;
    if (frame && prepared->n == 1 && prepared->step[0].frame)
        prepared->step[0].frame(&prepared->step[0]);
    else
        run_directions(prepared, frame);
}
