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

struct stepper;

/* Step `s` of the first `items` items, whose pointers are in step->scratch, with rows of
 * bias + W·x, which it may overwrite, or NULL. */
typedef void step_one_fn(struct stepper *step, size_t s, size_t items, float *const *hoisted);

/* One direction of a layer, as one thread of its group sees it. It is made once for each
 * size of the team; only `args` changes while it steps. */
struct stepper {
    const struct plan_op *op;
    const struct recurrent_op *rec;
    const struct recurrent_weights *weights;
    const struct layer_state *state;
    struct section *section;
    struct exec_scratch *scratch; /* this thread's */
    float *floats;                /* the group's: [items][scratch_floats] */
    struct barrier_seat *seat;    /* in the group */
    uint32_t direction, rank, size; /* size: of those that step it together */
    size_t panel_begin, panel_end;  /* of the weights: this thread's */
    bool reverse;
    step_one_fn *one; /* the method's, or what its prepare has put here */
    void (*frame)(struct stepper *step); /* the same for the only step of the only item, its
                                            pointers and the stream's h included; or NULL */
    float **in, **out; /* rows of the layer's input and output … */
    size_t column;     /* … where this direction's part of an output row begins */
    union {
        struct simd_lstm lstm;
        struct simd_gru gru;
        struct simd_gate gate[3];
    } args; /* of the method's kernel */
    struct simd_lstm frame_args;           /* of `frame`, and … */
    const float *frame_in, *frame_h;       /* … what these point to */
    float *frame_c, *frame_out, *frame_h_out;
};

struct recurrent_method {
    const char *backend; /* plan option that asks for it */
    const char *how;     /* a phrase for the printed plan */
    const char *behind;  /* why it comes after the rows before it in the table */

    /* Why it cannot do this layer (a static text), or NULL. */
    const char *(*reject)(const struct lstm_plan *plan, const struct layer *layer);

    /* Kernel that it steps with, for the printed plan. */
    const char *(*kernel)(const struct lstm_plan *plan);

    /* Fill op->u.recurrent.direction[] and .scratch_floats, or .backend. NULL: the build has
     * no such backend, and reject() says so. */
    lstm_status (*build)(struct plan_builder *builder, struct plan_op *op, lstm_error *error);

    /* Free what build made beyond the plan's memory; may be NULL. */
    void (*release)(struct plan_op *op);

    /* Fill in step->args; may be NULL. */
    void (*prepare)(struct stepper *step);

    /* Steps are done one by one, and threads share the hidden units if it is fused: they meet
     * after each step. Else a group's first thread does all. */
    step_one_fn *one;
    bool fused;

    /* Instead of `one`: all steps of the block, by a group's first thread. */
    void (*steps)(const struct stepper *step);
};

extern const struct recurrent_method recurrent_lstm;  /* recurrent_lstm.c */
extern const struct recurrent_method recurrent_gru;   /* recurrent_gru.c */
extern const struct recurrent_method recurrent_gates; /* recurrent_gates.c */
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

/* Rows of a direction's w that are packed together, as its parts over x and over h. */
struct recurrent_pack {
    uint32_t direction, widest;
    size_t first, x_rows, h_rows; /* both from row `first` on … */
    size_t gates;                 /* … and of so many gates the rows of each unit side by side */
    const float *bias_h;          /* added to the part over h; NULL: nothing */
    struct packed_matrix *x, *h;
};

/* The file's bias goes to the part over x. False: out of memory. */
bool recurrent_pack(struct plan_builder *builder, const struct plan_op *op,
                    const struct recurrent_pack *pack);

/* Activations are those of the textbook's cell in each direction. */
bool recurrent_standard_acts(const struct layer *layer);

/* Items that make it pointless to compute the input part ahead, with a kernel whose tiles these many fill. */
size_t recurrent_hoist_tile(const struct lstm_plan *plan, const struct recurrent_op *op, size_t tile_items);

/* Room for the input part of a matrix, computed ahead. */
void recurrent_hoist_room(struct lstm_plan *plan, const struct packed_matrix *x);

/* Pack the projection of a direction if it has one. False: out of memory. */
bool recurrent_pack_projection(struct plan_builder *builder, struct plan_op *op,
                               uint32_t direction);

/* ---- stepping (recurrent_step.c) --------------------------------------------- */

/* The layer's release function. */
void recurrent_release(struct plan_op *op);

/* The layer type's prepare, which deals the directions to the team, its run, which calls
 * method->steps for them, and the bytes that it keeps for that. */
void recurrent_prepare(const struct plan_op *op, struct exec *exec);
void recurrent_run(const struct plan_op *op, struct exec *exec);

/* All steps of the block, by this thread and its group. */
void recurrent_steps(struct stepper *step);

/* The run of a layer with a mask (recurrent_mask.c). */
void recurrent_run_masked(const struct plan_op *op, struct exec *exec);

struct recurrent_prepared {
    uint32_t n;             /* directions that this thread steps, alone or with others */
    bool met;               /* the last step ends with a meeting of the whole team */
    struct stepper step[2]; /* [n] */
};

/* All threads of the group meet. */
static inline void step_sync(const struct stepper *step)
{
    if (step->size > 1)
        barrier_meet(step->seat);
}

/* Panels go backwards in every other step: what the step before left in the cache comes first. */
static inline bool step_backwards(const struct stepper *step, size_t s)
{
    return step->section->backwards ^ (s & 1);
}

/* Items that have a step `s`: the first ones, lengths descend. */
static inline size_t step_active(const struct stepper *step, size_t s, size_t active)
{
    while (active && step->section->items[active - 1].steps <= s)
        active--;
    return active;
}

/* Where step `s` of an item reads its input, where h was before, where its output goes. */
const float *step_in(const struct stepper *step, size_t item, size_t s);
const float *step_h(const struct stepper *step, size_t item, size_t s);
float *step_out(const struct stepper *step, size_t item, size_t s);
float *step_c(const struct stepper *step, size_t item);

/* Pointers of one step for the active items, into scratch->in, h, c and out. */
static inline void step_place(const struct stepper *step, size_t s, size_t active)
{
    struct exec_scratch *scratch = step->scratch;
    const struct exec_item *items = step->section->items;
    for (size_t i = 0; i < active; i++) {
        const size_t row = items[i].row + (step->reverse ? items[i].steps - 1 - s : s);
        const size_t before = step->reverse ? row + 1 : row - 1;
        scratch->in[i] = step->in[row];
        scratch->h[i] = s ? step->out[before] + step->column : items[i].state + step->state->h;
        scratch->c[i] = items[i].state + step->state->c;
        scratch->out[i] = step->out[row] + step->column;
    }
}

#endif
