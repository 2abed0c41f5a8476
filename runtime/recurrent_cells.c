/* SPDX-License-Identifier: MIT
 *
 * Every cell that the format knows, by products over all gates and then vector operations
 * on the group's first thread.
 */
#include <string.h>

#include "runtime/error.h"
#include "runtime/recurrent.h"

static const char *reject(const struct lstm_plan *plan, const struct layer *layer)
{
    (void)plan;
    (void)layer;
    return NULL;
}

static const char *kernel(const struct lstm_plan *plan)
{
    return plan->gemm->name;
}

/* ---- pack ---------------------------------------------------------------------------- */

/* Gate after gate, [G][H]. The candidate's part of a gru's R has an input of its own, so it
 * stands apart. */
static bool build_direction(struct plan_builder *builder, struct plan_op *plan_op, uint32_t d)
{
    struct recurrent_op *op = &plan_op->u.recurrent;
    struct recurrent_weights *out = &op->direction[d];
    const struct recurrent_tensors tensors = recurrent_tensors_of(plan_op, d);
    const uint32_t widest = builder->plan->gemm->widest;
    const size_t all = (size_t)op->gates * op->hidden;
    const size_t together = op->gates == 3 ? 2 * (size_t)op->hidden : all;
    const struct recurrent_pack pack = {.direction = d, .widest = widest, .x_rows = all, .h_rows = together,
                                        .gates = 1, .x = &out->x, .h = &out->h};
    const bool peephole = op->gates == 4 && tensors.peephole;
    if (!recurrent_pack(builder, plan_op, &pack) || !recurrent_pack_projection(builder, plan_op, d))
        return false;
    if (op->gates != 3)
        return plan_copy(builder, peephole ? tensors.peephole : NULL, 3 * (size_t)op->hidden,
                         &out->peephole);
    const struct simd_matrix h_new = recurrent_part(op, tensors.w, together, op->hidden, false);
    return plan_pack(builder, &h_new, widest, tensors.peephole, op->reset_after, &out->h_new);
}

/* Gate sums, then the unprojected h, or for a gru one vector more. */
static lstm_status build(struct plan_builder *builder, struct plan_op *plan_op, lstm_error *error)
{
    struct recurrent_op *op = &plan_op->u.recurrent;
    op->hoist_tile = builder->plan->gemm->tile_rows;
    for (uint32_t d = 0; d < op->n_directions; d++) {
        if (!build_direction(builder, plan_op, d))
            return error_nomem(error);
        recurrent_hoist_room(builder->plan, &op->direction[d].x);
    }
    const bool more = op->gates == 3 || op->direction[0].projection.weights;
    op->scratch_floats = (op->gates + more) * (size_t)op->hidden;
    return LSTM_OK;
}

/* ---- cells --------------------------------------------------------------------------- */

/* One item at one step, with what the cell functions work on. */
struct cell {
    const struct recurrent_op *op;
    const struct recurrent_weights *weights;
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

/* Reset and update gate; what the candidate's product reads, and where its sums go. */
static void cell_gru_gates(const struct cell *cell, const float **from, float **to)
{
    const size_t n = cell->op->hidden;
    float *r = cell->z, *z = r + n, *candidate = z + n;
    activate(cell, 0, r);
    activate(cell, 0, z);
    if (!cell->op->reset_after)
        cell->ops->mul(r, cell->h, cell->extra, n);
    *from = cell->op->reset_after ? cell->h : cell->extra;
    *to = cell->op->reset_after ? cell->extra : candidate;
}

static void cell_gru(const struct cell *cell)
{
    const size_t n = cell->op->hidden;
    float *r = cell->z, *z = r + n, *candidate = z + n;
    if (cell->op->reset_after)
        cell->ops->fma(r, cell->extra, candidate, candidate, n);
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

/* The sums over x are computed ahead or lie in the group's scratch; both are used up. */
static struct cell cell_of(const struct stepper *step, size_t item, size_t s, float *z)
{
    float *own = step->floats + item * step->rec->scratch_floats;
    return (struct cell){
        .op = step->rec, .weights = step->weights, .ops = step->op->plan->isa->ops, .z = z,
        .extra = own + (size_t)step->rec->gates * step->rec->hidden,
        .h = step_h(step, item, s), .c = step_c(step, item), .out = step_out(step, item, s),
    };
}

static void finish_cell(const struct cell *cell)
{
    switch (cell->op->gates) {
    case 4: cell_lstm(cell); break;
    case 3: cell_gru(cell); break;
    default: cell_rnn(cell);
    }
}

/* The candidate's product waits for the reset gates; a gru has no c, so its rows are free. */
static void candidates(const struct stepper *step, size_t s, size_t items)
{
    struct exec_scratch *scratch = step->scratch;
    for (size_t i = 0; i < items; i++) {
        const struct cell cell = cell_of(step, i, s, scratch->spare[i]);
        cell_gru_gates(&cell, &scratch->in[i], &scratch->c[i]);
    }
    exec_product(step->op->plan, &step->weights->h_new, scratch->in, scratch->c, items);
}

static void one(struct stepper *step, size_t s, size_t items, float *const *hoisted)
{
    const struct lstm_plan *plan = step->op->plan;
    struct exec_scratch *scratch = step->scratch;
    for (size_t i = 0; i < items; i++)
        scratch->spare[i] = hoisted ? hoisted[i] : step->floats + i * step->rec->scratch_floats;
    if (!hoisted)
        exec_product(plan, &step->weights->x, scratch->in, scratch->spare, items);
    exec_product(plan, &step->weights->h, scratch->h, scratch->spare, items);
    if (step->rec->gates == 3)
        candidates(step, s, items);
    for (size_t i = 0; i < items; i++) {
        const struct cell cell = cell_of(step, i, s, scratch->spare[i]);
        finish_cell(&cell);
        scratch->hoisted[i] = cell.extra;
    }
    if (step->weights->projection.weights)
        exec_product(plan, &step->weights->projection, scratch->hoisted, scratch->out, items);
}

const struct recurrent_method recurrent_cells = {
    .backend = "native",
    .how = "products, then vector operations",
    .behind = "gates would go through memory",
    .reject = reject,
    .kernel = kernel,
    .build = build,
    .one = one,
};
