/* SPDX-License-Identifier: MIT
 *
 * A recurrent cell that an exporter wrote out, between those who find it in the graph and those who
 * make a layer of it.
 */
#ifndef LSTMRUN_FORMATS_ONNX_CELL_H
#define LSTMRUN_FORMATS_ONNX_CELL_H

#include "formats/onnx/onnx_internal.h"

/* Inputs of a cell's node: where ONNX's LSTM has the same, the same places. */
enum {
    CELL_X, CELL_W, CELL_R, CELL_H = 5, CELL_C, CELL_BIAS_X = 8, CELL_BIAS_H, CELL_BIAS, CELL_SPLIT_X,
    CELL_SPLIT_H, CELL_FIRST, CELL_INPUTS
};

/* A Gemm or MatMul. */
struct product {
    int32_t operand, weights, bias;
    bool transposed; /* weights are [out][in] */
    float alpha, beta;
};

struct onnx_cell {
    uint32_t type, n_gates;
    uint32_t activation; /* of an rnn */
    struct import_gate_order order;
    struct product x, h;
    int32_t state, bias; /* a bias added to the sum, or ONNX_ABSENT */
    bool folded; /* the product with a first state of zeros is a constant, `state` */
    int32_t split_x, split_h; /* sizes of the gates, if a node gives them as an input */
    struct onnx_node anchor;  /* the node as it was */
    int64_t c_producer;
};

#endif
