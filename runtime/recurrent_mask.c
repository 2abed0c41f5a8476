/* SPDX-License-Identifier: MIT
 *
 * Recurrent layers with a mask. Every way to step reaches rows through pointers and takes items
 * of different lengths, so it is given a section that has only the steps to take; the outputs of
 * those passed over are filled in when it is done.
 */
#include <string.h>

#include "runtime/recurrent.h"

static bool is_taken(const struct section *section, const struct plan_op *op, size_t row)
{
    return section->rows[op->layer->spec.inputs[1]][row][0] != 0;
}

/* Shell sort, as in exec.c: lengths that descend are asked for. */
static void sort_by_steps(struct exec_item *items, size_t n)
{
    for (size_t gap = n / 2; gap > 0; gap /= 2)
        for (size_t i = gap; i < n; i++) {
            const struct exec_item item = items[i];
            size_t j = i;
            for (; j >= gap && items[j - gap].steps < item.steps; j -= gap)
                items[j] = items[j - gap];
            items[j] = item;
        }
}

/* `taken` becomes the section with nothing but the steps to take. */
static void take(const struct section *section, const struct plan_op *op, struct section *taken)
{
    float **in = section->rows[op->layer->spec.inputs[0]], **out = section->rows[op->output];
    size_t n = 0;
    *taken = *section;
    taken->items = section->taken;
    for (size_t i = 0; i < section->n_active; i++) {
        const struct exec_item *all = &section->items[i];
        struct exec_item *item = &taken->items[i];
        *item = *all;
        item->row = n;
        for (size_t row = all->row; row < all->row + all->steps; row++)
            if (is_taken(section, op, row)) {
                section->taken_rows[0][n] = in[row];
                section->taken_rows[1][n++] = out[row];
            }
        item->steps = n - item->row;
    }
    sort_by_steps(taken->items, taken->n_active);
    while (taken->n_active && !taken->items[taken->n_active - 1].steps)
        taken->n_active--;
}

/* Outputs of the steps passed over, and the streams' h. */
static void fill(const struct stepper *step)
{
    const struct section *section = step->section;
    const size_t n = step->state->n_h * sizeof(float);
    for (size_t i = 0; i < section->n_active; i++) {
        const struct exec_item *item = &section->items[i];
        float *state = item->state + step->state->h;
        const float *h = state;
        for (size_t s = 0; s < item->steps; s++) {
            const size_t row = item->row + (step->reverse ? item->steps - 1 - s : s);
            float *out = step->out[row] + step->column;
            if (!is_taken(section, step->op, row))
                memcpy(out, h, n);
            h = out;
        }
        memcpy(state, h, n);
    }
}

void recurrent_run_masked(const struct plan_op *op, struct exec *exec)
{
    const struct recurrent_prepared *prepared = exec_prepared(exec, op);
    struct section taken;
    take(exec->section, op, &taken);
    for (uint32_t i = 0; i < prepared->n; i++) {
        struct stepper step = prepared->step[i];
        step.section = &taken;
        step.in = taken.taken_rows[0];
        step.out = taken.taken_rows[1];
        if (taken.n_active)
            recurrent_steps(&step);
        if (step.rank == 0)
            fill(&prepared->step[i]);
    }
}
