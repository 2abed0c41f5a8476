/* SPDX-License-Identifier: MIT
 *
 * A run in progress, as the layers see it.
 *
 * A workspace has sections. A section is what one thread needs to run the whole model on
 * some items. Alone it has its values to itself; in a team that shares each layer each
 * thread has a section, and these have the memory of the values in common. What follows from
 * the items alone each thread works out for itself: that is less than waiting for another.
 *
 * Time is cut into blocks, so memory does not grow with it; within a block each value has
 * a row for each (item, step), item by item. Items are in descending order of steps, so
 * those that still have a step to do are always the first ones.
 */
#ifndef LSTMRUN_RUNTIME_EXEC_H
#define LSTMRUN_RUNTIME_EXEC_H

#include "runtime/barrier.h"
#include "runtime/plan.h"
#include "runtime/stream.h"

/* Most rows of a block that need not hold the whole sequence, unless there are more items. */
enum { BLOCK_ROWS = 256 };

/* Out of a function that the shortest runs pass through: its registers need not be saved there. */
#define OUT_OF_LINE __attribute__((noinline))

/* An item while it runs. */
struct exec_item {
    const lstm_item *item;
    float *state;  /* the stream's floats */
    size_t done;   /* steps of earlier blocks */
    size_t steps;  /* steps of this block */
    size_t row;    /* of its first step in this block */
};

/* The items with the steps that values of one pace have (see model.h). */
struct exec_pace {
    struct exec_item *items; /* [cap_items], in the section's order */
    size_t n_rows;           /* of this block */
};

/* What one thread needs for itself. */
struct exec_scratch {
    const float **in, **hoisted, **h; /* [n_pointers] each: arguments of the kernels */
    float **c, **out, **spare;
    float *floats; /* [items][plan->scratch_floats] */
    float *gather; /* [plan->gather_floats] */
};

struct section;

/* One thread of a team, or the only one, at work. */
struct exec {
    struct section *section;
    struct exec_scratch *scratch;
    uint32_t rank, size;
    bool met; /* the layer has ended with a meeting of the whole team */
};

struct section {
    _Alignas(64) const struct lstm_plan *plan; /* no line that another thread's section has */
    size_t cap_items, cap_steps, cap_rows, n_pointers;
    uint32_t model_id;        /* of the plan's model, and the floats of its streams' states */
    size_t n_state;
    float **x_rows, **y_rows; /* of the caller's memory; y_rows: NULL if the output is there once */
    size_t x_size, y_size;    /* floats of a frame there */
    size_t *given;            /* [cap_items]: steps of the items given to the last run … */
    size_t n_given;           /* … as long as their order and first block hold, else SIZE_MAX */
    size_t *order;            /* [n_ordered]: numbers of the items with steps, longest first */
    size_t *place;            /* [n_given]: where in that order, for items with steps */
    size_t n_ordered;         /* of the run: those with steps */
    size_t n_items;           /* of this section's share of it: fewer, or all */
    struct exec_pace *paces;  /* [plan->model->n_paces] */
    struct exec_item *items;  /* those of the pace of the layer at work; the first pace's between layers */
    bool placed;              /* the block in place is the first one of such a run */
    bool frame;               /* and that was one frame of one item, by one thread */
    size_t n_active;          /* of this block: the first ones */
    bool last;                /* no block comes after this one */
    bool backwards;           /* order of panels in a block's first step: what the step before
                                 it, perhaps of another run, left in the cache comes first */
    bool failed;              /* by another backend than ours, since the run's start */
    struct exec self;         /* of the last run; its size is 0 at first */
    char *prepared;           /* [plan->prepared_bytes]: the layers', for a team of that size */
    float ***rows;            /* [value][row], or [value][item] for values that are there once */
    float *hoist[2];          /* by direction: [HOIST_ROWS][hoist_columns] */
    float **hoist_rows[2];    /* their rows */
    struct exec_scratch *threads; /* [n_threads]: of the team, by rank */
    uint32_t n_threads;
    struct exec_item *taken;  /* [cap_items]: the items without their masked steps … */
    float **taken_rows[2];    /* [cap_rows]: … and those steps' rows of a layer's input and output */
    struct barrier_seat all, group[2]; /* in the team; in each direction's share of it */
};

/* Bytes of the sections of a team (or of one thread), and those sections themselves at
 * 64-byte aligned `memory`. */
struct section_size {
    size_t items, steps, rows;
    uint32_t threads;
};
size_t section_bytes(const struct lstm_plan *plan, struct section_size size);
void section_init(struct section *sections, const struct lstm_plan *plan, struct section_size size,
                  void *memory);

/* Take the items of a run. False: one lacks something, or its stream is another model's, or
 * it has too many steps … */
bool section_take(struct section *section, const lstm_item *items, size_t n_items);

/* … or of the n that another section has put in order, every `stride`th from `first` on: so
 * shares of a ragged batch come out alike. */
void section_share(struct section *section, const lstm_item *items, const size_t *order,
                   size_t first, size_t stride, size_t n);

/* A stream of another model would be written beyond its end. */
static inline bool section_is_whole(const struct section *section, const lstm_item *item)
{
    return item->stream && item->stream->model_id == section->model_id &&
           item->stream->n_floats == section->n_state && item->input && item->output;
}

/* One frame of one item, as in the last run, can be taken and run in short, with the modes of the
 * floating-point unit set. */
static inline bool section_is_frame(const struct section *section, const lstm_item *item)
{
    return section->frame && item->steps == 1 && section_is_whole(section, item);
}
lstm_status section_run_frame(struct section *section, const lstm_item *item);

/* Run them to their end; each thread of the team calls it with its own section and the same
 * number, greater than that of any run before. Threads but the first must then touch the run
 * no more: it is over. */
void section_run(struct section *section, uint32_t rank, uint32_t size, uint64_t number);

/* What the layer has prepared. */
static inline void *exec_prepared(const struct exec *exec, const struct plan_op *op)
{
    return exec->section->prepared + op->prepared;
}

/* Rows of a value and how many there are in this block. */
static inline float **exec_rows(const struct exec *exec, uint32_t value)
{
    return exec->section->rows[value];
}
size_t exec_n_rows(const struct exec *exec, uint32_t value);

/* The items with their steps and rows in that value. */
const struct exec_item *exec_items(const struct exec *exec, uint32_t value);

/* op->run of layers that read values of another pace than the input's. */
void exec_run_paced(const struct plan_op *op, struct exec *exec);

/* This thread's share [*begin, *end) of n things. */
void exec_share(const struct exec *exec, size_t n, size_t *begin, size_t *end);

/* out[r][j] for this thread's share of `rows` rows of packed products. */
void exec_product(const struct lstm_plan *plan, const struct packed_matrix *matrix,
                  const float *const *x, float *const *out, size_t rows);

#endif
