/* SPDX-License-Identifier: MIT
 *
 * What is known of a value inside the body of a Loop: a term in the step, the states and the weights,
 * until all terms together make a recurrent cell.
 */
#ifndef LSTMRUN_FORMATS_ONNX_LOOP_H
#define LSTMRUN_FORMATS_ONNX_LOOP_H

#include "formats/onnx/onnx_internal.h"

enum term_kind {
    TERM_COUNT,   /* number of the round + offset */
    TERM_SIZE,    /* a run-time size as a number of any type */
    TERM_GOES_ON, /* whether number of the round + offset < size */
    TERM_X,       /* this step of the frames of `x` */
    TERM_STATE,   /* what output `state` of the loop's first node carries */
    TERM_BOTH,    /* a, then b, as one vector */
    TERM_SUM,     /* products with weights, and biases */
    TERM_ACT,     /* activation(a) */
    TERM_AFFINE,  /* alpha · a + beta */
    TERM_CLIP,    /* a between alpha and beta */
    TERM_MUL,     /* a ⊗ b */
    TERM_ADD,     /* a + b */
    TERM_MASK,    /* whether this step of the mask `x` counts; `inverted`: does not */
    TERM_CHOICE,  /* a where the mask `x` says so, else b */
    TERM_ZEROS,
    TERM_BELOW,   /* of tokens `x`: whether they are below zero; `inverted`: are not */
    TERM_WRAPPED, /* x + a number */
    TERM_TOKENS,  /* [below zero] · wrapped; `inverted`: [not below zero] · x */
};

struct term_product {
    const struct onnx_term *of;
    uint32_t n_in;
    const float *weights; /* [n][n_in] */
    const float *bias;    /* [n] or NULL */
};

struct onnx_term {
    enum term_kind kind;
    const struct onnx_node *loop; /* in whose body it has a meaning; NULL: anywhere */
    int64_t offset;
    struct onnx_int size;
    const struct onnx_value *x;
    bool inverted;
    uint32_t state;
    const struct onnx_term *a, *b;
    uint32_t activation;
    float alpha, beta;
    uint32_t n, n_products; /* of a sum; n of a TERM_X too */
    struct term_product products[2];
};

/* A term of the loop that the current node is in, given to its output `slot`. NULL: out of memory. */
struct onnx_term *onnx_new_term(struct onnx_import *import, enum term_kind kind);
bool onnx_give_term(struct onnx_import *import, uint32_t slot, const struct onnx_term *term);

#endif
