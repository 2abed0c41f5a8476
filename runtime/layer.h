/* SPDX-License-Identifier: MIT
 *
 * What a layer type is: one row of the table in layers.c, written in one file,
 * layer_<family>.c. Everything the runtime does with a layer goes through its row.
 */
#ifndef LSTMRUN_RUNTIME_LAYER_H
#define LSTMRUN_RUNTIME_LAYER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "formats/model_file.h"
#include "runtime/lstmrun.h"

struct lstm_model;
struct layer_type;
struct plan_op;
struct plan_builder;
struct exec;

/* How a layer meets the frames of a run. */
enum layer_family {
    LAYER_FRAME,     /* each frame by itself */
    LAYER_RECURRENT, /* step by step, with a state */
    LAYER_SEQUENCE,  /* frames from several steps, perhaps with a history as its state */
    LAYER_REDUCER    /* one frame from all frames of a run */
};

/* One direction's state inside a stream, in floats from the state's start. */
struct layer_state {
    size_t h, n_h;
    size_t c, n_c; /* n_c 0: the type has no cell state */
};

struct layer {
    const struct layer_type *type;
    uint32_t index;
    struct model_layer spec;
    struct model_value in; /* of the first input */
    struct model_value out;
    uint32_t n_states; /* directions of recurrent layers; 1 for those with a history */
    struct layer_state state[2];
    uint32_t taps; /* of a convolution */
    float rest;    /* what a history is made of at first */
    bool whole; /* needs the whole sequence in one run (a reverse direction, a look ahead) */
    bool repaces;   /* its output has another number of steps than its input, … */
    uint64_t reach; /* … whose windows' first and last taps are so many steps apart */
};

struct layer_type {
    uint32_t code;
    const char *name;
    enum layer_family family;

    /* Does the layer hold together: inputs, words, tensors, output shape? Sets
     * layer->n_states, ->state[].n_h, ->n_c, ->whole and ->repaces where they apply. */
    lstm_status (*check)(const struct lstm_model *model, struct layer *layer, lstm_error *error);

    /* What a person wants to know beyond the shapes; may be NULL. */
    void (*describe)(const struct layer *layer, char *text, size_t n_bytes);

    /* Multiplications and additions of one step. */
    uint64_t (*flops)(const struct lstm_model *model, const struct layer *layer);

    /* Choose kernels and pack weights into `op`; NULL if there is nothing to pack. */
    lstm_status (*build)(struct plan_builder *builder, struct plan_op *op, lstm_error *error);

    /* Free what `build` made beyond the plan's memory; may be NULL. */
    void (*release)(struct plan_op *op);

    /* What each thread keeps for such a layer, and filling it in, once for each size of the
     * team: all that does not change from run to run. `prepare` may be NULL. */
    size_t prepared_bytes;
    void (*prepare)(const struct plan_op *op, struct exec *exec);

    /* FRAME: compute rows [exec->rows_begin, rows_end) of the output.
     * RECURRENT, SEQUENCE: all steps of the block. REDUCER: fold the block in. */
    void (*run)(const struct plan_op *op, struct exec *exec);

    /* REDUCER: turn what was folded into the result, after the last block; may be NULL. */
    void (*finish)(const struct plan_op *op, struct exec *exec);

    /* REDUCER: floats that an item has in the rows of the value op->kept, from block to block. */
    size_t kept;
};

/* The row of a type number, or NULL. */
const struct layer_type *layer_type_find(uint32_t code);

/* Initial state of one direction into h [n_h] and c [n_c]. */
void layer_initial_state(const struct lstm_model *model, const struct layer *layer,
                         uint32_t direction, float *h, float *c);

/* ---- shared by the check functions (layer_check.c) ---- */

/* The layer reads `least` to `most` values, all step-wise or all once, and has
 * `n_tensors` slots at the most. */
lstm_status check_arity(const struct lstm_model *model, const struct layer *layer, uint32_t least,
                        uint32_t most, uint32_t n_tensors, lstm_error *error);

/* Words from `first` on are 0. */
lstm_status check_words_unused(const struct layer *layer, uint32_t first, lstm_error *error);

/* Slot `slot` holds a tensor of exactly these dims, or is absent if that is allowed. */
lstm_status check_tensor(const struct lstm_model *model, const struct layer *layer, uint32_t slot,
                         bool required, uint32_t rank, const uint32_t *dims, lstm_error *error);

/* Input `input` is one number a frame; `what` it is. */
lstm_status check_number(const struct lstm_model *model, const struct layer *layer, uint32_t input,
                         const char *what, lstm_error *error);

/* The stored output shape is `rank`, `dims`. */
lstm_status check_output(const struct layer *layer, uint32_t rank, const uint32_t *dims,
                         lstm_error *error);

/* Output is one frame a run exactly when `once`. */
lstm_status check_once(const struct layer *layer, bool once, lstm_error *error);

/* The output has the first input's shape and is there as often. */
lstm_status check_like_input(const struct layer *layer, lstm_error *error);

/* The first input has a frame a step, and the output has one such frame a run. */
lstm_status check_reduces(const struct layer *layer, lstm_error *error);

/* Slot `slot` holds nothing. */
lstm_status check_slot_empty(const struct layer *layer, uint32_t slot, lstm_error *error);

/* An activation is known; its alpha and beta words are finite, and 0 where not used. */
lstm_status check_activation(const struct layer *layer, uint32_t code, const uint32_t *alpha_beta,
                             lstm_error *error);

/* A parameter word as the float it is. */
float layer_float(uint32_t bits);

bool layer_has(const struct layer *layer, uint32_t slot);
const char *activation_name(uint32_t code);

#endif
