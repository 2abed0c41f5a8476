/* SPDX-License-Identifier: MIT
 *
 * A run in progress, as the layers see it.
 *
 * A workspace has sections. A section runs the whole model on some items, with one
 * thread or with a team that shares each layer. Time is cut into blocks, so memory
 * does not grow with it; within a block each value has a row for each (item, step),
 * item by item. Items are in descending order of steps, so those that still have a
 * step to do are always the first ones.
 */
#ifndef LSTMRUN_RUNTIME_EXEC_H
#define LSTMRUN_RUNTIME_EXEC_H

#include "runtime/barrier.h"
#include "runtime/plan.h"

/* An item while it runs. */
struct exec_item {
    const lstm_item *item;
    float *state;  /* the stream's floats */
    size_t done;   /* steps of earlier blocks */
    size_t steps;  /* steps of this block */
    size_t row;    /* of its first step in this block */
};

/* What one thread needs for itself. */
struct exec_scratch {
    const float **in, **hoisted, **h; /* [n_pointers] each: arguments of the kernels */
    float **c, **out, **spare;
    float *floats; /* [items][plan->scratch_floats] */
};

struct section {
    const struct lstm_plan *plan;
    size_t cap_items, cap_rows, n_pointers;
    struct exec_item *items;  /* [cap_items] */
    size_t n_items;           /* of this run */
    size_t n_active;          /* of this block: the first ones */
    size_t n_rows;            /* of this block */
    size_t block_steps;       /* longest an item may have in a block */
    bool backwards;           /* order of panels in a block's first step: what the step before
                                 it, perhaps of another run, left in the cache comes first */
    bool failed;              /* by another backend than ours, since the run's start */
    float ***rows;            /* [value][row], or [value][item] for values that are there once */
    float *hoist[2];          /* by direction: [HOIST_ROWS][hoist_columns] */
    float **hoist_rows[2];    /* their rows */
    struct exec_scratch *threads; /* [n_threads] */
    uint32_t n_threads;
    struct barrier all, group[2]; /* of the team; of each direction's share of it */
};

/* One thread of a section at work. */
struct exec {
    struct section *section;
    struct exec_scratch *scratch;
    uint32_t rank, size;
};

/* Bytes of a section, and the section itself at 64-byte aligned `memory`. */
struct section_size {
    size_t items, rows;
    uint32_t threads;
};
size_t section_bytes(const struct lstm_plan *plan, struct section_size size);
void section_init(struct section *section, const struct lstm_plan *plan, struct section_size size,
                  void *memory);

/* Run the section's items to their end; each thread of the team calls it. */
void section_run(struct section *section, uint32_t rank, uint32_t size);

/* Rows of a value and how many there are in this block. */
float **exec_rows(const struct exec *exec, uint32_t value);
size_t exec_n_rows(const struct exec *exec, uint32_t value);

/* This thread's share [*begin, *end) of n things. */
void exec_share(const struct exec *exec, size_t n, size_t *begin, size_t *end);

/* out[r][j] for this thread's share of `rows` rows of packed products. */
void exec_product(const struct lstm_plan *plan, const struct packed_matrix *matrix,
                  const float *const *x, float *const *out, size_t rows);

#endif
