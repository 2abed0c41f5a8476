/* SPDX-License-Identifier: MIT
 *
 * A recurrent cell that was written out operator by operator, between those who find it in the graph
 * (onnx_cell_sum.c: sums of products; onnx_cell.c: the cells' equations) and those who make a layer
 * of it (onnx_cell_layer.c).
 */
#ifndef LSTMRUN_FORMATS_ONNX_CELL_H
#define LSTMRUN_FORMATS_ONNX_CELL_H

#include "formats/onnx/onnx_internal.h"

enum { CELL_MAX_TERMS = 8, CELL_MAX_CUTS = 2, CELL_MAX_SUMS = 4 };

/* ---- what goes into an activation ---------------------------------------- */

enum cell_term_kind { TERM_INPUT, TERM_STATE, TERM_BIAS };

/* Output `slot` of a Split or Slice: some of the rows of what it cuts. */
struct cell_cut {
    int32_t node;
    uint32_t slot;
};

/* factor · weights · value, or factor · value, of it the rows that the cuts leave; the innermost cut
 * is the last one. */
struct cell_term {
    enum cell_term_kind kind;
    int32_t value;
    int32_t weights; /* ONNX_ABSENT: the value itself */
    bool transposed; /* weights are [out][in] */
    bool joined;     /* the weights also take the cell's other operand, which comes … */
    bool second;     /* … before it */
    float factor;
    uint32_t n_cuts;
    struct cell_cut cuts[CELL_MAX_CUTS];
    /* Known when it is laid out: */
    uint32_t source;       /* model value that `value` is or comes from */
    uint32_t start, count; /* rows of it */
};

/* Terms in the order of their kinds once they are known. */
struct cell_sum {
    uint32_t n;
    struct cell_term terms[CELL_MAX_TERMS];
    /* One more term, gate ⊗ gated, of a GRU; or ONNX_ABSENT. */
    int32_t gate, gated;
    float gated_factor;
};

/* ---- the cell ------------------------------------------------------------ */

/* Sums of an LSTM: i, f, g, o. Of a GRU: r, z, n, and of one with the reset after the product what
 * r is multiplied with. Of an RNN: one. */
struct onnx_cell {
    uint32_t type, activation; /* of an rnn */
    bool reset_after;
    uint32_t n_sums;
    struct cell_sum *sums;
    int32_t state, c_before; /* values, or ONNX_ABSENT */
    int32_t h_after, c_after;
    uint32_t anchor; /* its last node */
    /* The product with its first state was computed by the exporter and is one of the biases here;
     * `sums` then have the product of the next step. */
    struct cell_sum *folded;
    int32_t before, after; /* cells of other steps, or -1 */
    bool may_be_other;     /* than a cell, unless another step follows */
    uint32_t step;         /* so many are before it */
    uint8_t *uses;         /* enum onnx_cell_use of each input of its node */
};

/* ---- onnx_cell_sum.c ----------------------------------------------------- */

struct cell_finder {
    struct onnx_import *import;
    const struct onnx_node *anchor; /* only what is in its branch is looked at */
    const uint32_t *first_use;      /* of each value, by others than Tanh */
    bool *constant;                 /* values that follow from constants and shapes */
    int32_t *owner;                 /* of each value: the cell whose h or c it is, or -1 */
    int32_t *part_of;               /* of each node: the LSTM or GRU that it is in, or -1 */
    struct onnx_cell **cells;
    uint32_t n_cells, n_room;
};

bool cell_finder_init(struct onnx_import *import, struct cell_finder *out);

/* The node that makes a value with this operator, in the anchor's branch; NULL if it does not. */
const struct onnx_node *cell_made_by(const struct cell_finder *f, int32_t value, const char *op);
/* What `op` is applied to, to give this value; ONNX_ABSENT if it is not made so. */
int32_t cell_argument(const struct cell_finder *f, int32_t value, const char *op);
/* Both inputs of a node, in the order `k`. */
bool cell_operands(const struct onnx_node *node, uint32_t k, int32_t *a, int32_t *b);
/* Where a value comes from, through nodes that only pass it on. */
int32_t cell_root(const struct cell_finder *f, int32_t value);
/* A constant with the one number 1. */
bool cell_is_one(const struct cell_finder *f, int32_t value);

/* A value as a sum of products with constant weights, constants and other values; every term's kind
 * is TERM_INPUT or TERM_BIAS. False: it is none, or has too many terms. */
bool cell_sum_of(const struct cell_finder *f, int32_t value, float factor, struct cell_sum *out);
/* Find the terms with `state` (of which `seen` is what the products take), and order terms by kind. */
bool cell_sort_terms(const struct cell_finder *f, int32_t state, int32_t seen, struct cell_sum *sum);
/* Inputs 0 and 1 of the Concat along features that makes a value. */
bool cell_joined(const struct cell_finder *f, int32_t value, int32_t parts[2]);
/* Both are the same state, maybe with axes of 1 between; first states of zeros may have been
 * written down twice. */
bool cell_same_state(const struct cell_finder *f, int32_t a, int32_t b);
bool cell_has_kind(const struct cell_sum *sum, enum cell_term_kind kind);

#endif
