/* SPDX-License-Identifier: MIT
 *
 * Recurrent layers when they run: the ways to step one, and what these share.
 *
 * A way to step (a method) is a row: what it cannot do, how it packs, how it steps.
 * layer_recurrent.c picks the first row of the plan's backend that does not reject the
 * layer; a new way is one new file and one line in its table.
 *
 * A direction is stepped by a group of threads. Within a group `s` counts the steps in
 * the order in which they are processed.
 */
#ifndef LSTMRUN_RUNTIME_RECURRENT_H
#define LSTMRUN_RUNTIME_RECURRENT_H

#include "runtime/barrier.h"
#include "runtime/exec.h"
#include "runtime/plan.h"

/* One direction of a layer in this block, as one thread of its group sees it. */
struct stepper {
    const struct plan_op *op;
    const struct recurrent_op *rec;
    const struct recurrent_weights *weights;
    const struct layer_state *state;
    struct section *section;
    struct exec_scratch *scratch; /* this thread's */
    float *floats;                /* the group's: [items][scratch_floats] */
    struct barrier *barrier;
    uint32_t direction, rank, size;
    bool reverse;
    float **in, **out; /* rows of the layer's input and output */
};

struct recurrent_method {
    const char *backend; /* plan option that asks for it */
    const char *how;     /* a phrase for the printed plan */
    const char *behind;  /* why it comes after the rows before it in the table */

    /* Its threads share the hidden units, and the input part is done for many steps at
     * once; else a group's first thread does all. */
    bool fused;

    /* Why it cannot do this layer (a static text), or NULL. */
    const char *(*reject)(const struct lstm_plan *plan, const struct layer *layer);

    /* Kernel that it steps with, for the printed plan. */
    const char *(*kernel)(const struct lstm_plan *plan);

    /* Fill op->u.recurrent.direction[] and .scratch_floats, or .backend. NULL: the build has
     * no such backend, and reject() says so. */
    lstm_status (*build)(struct plan_builder *builder, struct plan_op *op, lstm_error *error);

    /* Free what build made beyond the plan's memory; may be NULL. */
    void (*release)(struct plan_op *op);

    /* All steps of the block; what barriers it needs between steps is its own business. */
    void (*steps)(const struct stepper *step);
};

extern const struct recurrent_method recurrent_lstm;  /* recurrent_lstm.c */
extern const struct recurrent_method recurrent_cells; /* recurrent_cells.c */
extern const struct recurrent_method recurrent_onednn; /* recurrent_onednn.c */

/* Every way there is, best first; *n_out of them. */
const struct recurrent_method *const *recurrent_methods(size_t *n_out);

/* ---- building --------------------------------------------------------------- */

/* A direction's tensors as the file has them; NULL where there is none. */
struct recurrent_tensors {
    const float *w;          /* [gates][H][R + I], columns h then x */
    const float *bias;       /* [gates][H] */
    const float *peephole;   /* lstm: [3][H]; gru: [H], the bias inside the reset product */
    const float *projection; /* [R][H] */
};
struct recurrent_tensors recurrent_tensors_of(const struct plan_op *op, uint32_t direction);

/* `n` rows of w from row `first` on, as the part over h or over x. */
struct simd_matrix recurrent_part(const struct recurrent_op *op, const float *w, size_t first,
                                  size_t n, bool over_x);

/* Activations are those of the textbook's cell in each direction. */
bool recurrent_standard_acts(const struct layer *layer);

/* Pack the projection of a direction if it has one. False: out of memory. */
bool recurrent_pack_projection(struct plan_builder *builder, struct plan_op *op,
                               uint32_t direction);

/* ---- stepping (recurrent_step.c) --------------------------------------------- */

/* The layer's release function. */
void recurrent_release(struct plan_op *op);

/* The layer's run function: deals the directions to the team and calls method->steps. */
void recurrent_run(const struct plan_op *op, struct exec *exec);

/* All threads of the group meet. */
void step_sync(const struct stepper *step);

/* Items that have a step `s`: the first ones, lengths descend. */
size_t step_active(const struct stepper *step, size_t s, size_t active);

/* Where step `s` of an item reads its input, where h was before, where its output goes. */
const float *step_in(const struct stepper *step, size_t item, size_t s);
const float *step_h(const struct stepper *step, size_t item, size_t s);
float *step_out(const struct stepper *step, size_t item, size_t s);
float *step_c(const struct stepper *step, size_t item);

/* Pointers of one step for the active items, into scratch->in, h, c and out. */
void step_place(const struct stepper *step, size_t s, size_t active);

/* bias + W·x of the steps [s, s + n) into the hoist buffer, for the panels that this
 * thread will use. Its row for step s + j of item i is j · active + i: items that have
 * ended by then leave a gap. */
void step_hoist(const struct stepper *step, size_t s, size_t n, size_t active,
                size_t panel_begin, size_t panel_end);

#endif
