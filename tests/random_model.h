/* SPDX-License-Identifier: MIT
 *
 * Models for the tests: building blocks that add one layer with random weights, and
 * a generator of whole random models. All through formats/model_write.h.
 */
#ifndef LSTMRUN_TESTS_RANDOM_MODEL_H
#define LSTMRUN_TESTS_RANDOM_MODEL_H

#include "formats/model_write.h"
#include "tests/rng.h"

/* A recurrent layer. Zero-initialised it is a forward cell with the type's standard
 * activations and nothing optional; `hidden` must be set. */
struct rnn_spec {
    uint32_t type; /* MODEL_LSTM, MODEL_GRU, MODEL_RNN */
    uint32_t hidden;
    uint32_t direction;  /* MODEL_FORWARD … */
    uint32_t projection; /* P, 0: none (lstm) */
    uint32_t mask;       /* a value; 0: none */
    bool bias, peepholes, initial, coupled, reset_after;
    float clip;
    bool own_acts;       /* use acts[direction], else the standard ones */
    struct {
        uint32_t kind;
        float alpha, beta;
    } acts[2][3];
};

/* Each returns the new value. Weights are scaled so that states stay bounded even
 * where the activations are not. */
uint32_t build_recurrent(struct model_builder *builder, struct rng *rng, uint32_t input,
                         const struct rnn_spec *spec);
uint32_t build_dense(struct model_builder *builder, struct rng *rng, uint32_t input, uint32_t n_out,
                     uint32_t activation, bool bias);
uint32_t build_activation(struct model_builder *builder, uint32_t input, uint32_t activation,
                          float alpha, float beta);
uint32_t build_embedding(struct model_builder *builder, struct rng *rng, uint32_t input,
                         uint32_t rows, uint32_t width);
uint32_t build_softmax(struct model_builder *builder, uint32_t input);
uint32_t build_layer_norm(struct model_builder *builder, struct rng *rng, uint32_t input, bool shift);
uint32_t build_l2_norm(struct model_builder *builder, uint32_t input, float epsilon);
uint32_t build_mask(struct model_builder *builder, uint32_t input, float nothing);
/* Weights over time for `input`, from a score. */
uint32_t build_attention(struct model_builder *builder, uint32_t input, uint32_t score);
/* `parts` 1: scale, 2: shift, 3: both */
uint32_t build_scale(struct model_builder *builder, struct rng *rng, uint32_t input, uint32_t parts);
/* MODEL_ADD or MODEL_MUL of n values, MODEL_CONCAT along `axis` */
uint32_t build_combine(struct model_builder *builder, uint32_t type, const uint32_t *inputs,
                       uint32_t n_inputs, uint32_t axis);
uint32_t build_slice(struct model_builder *builder, uint32_t input, uint32_t axis, uint32_t start,
                     uint32_t count, uint32_t step);
uint32_t build_reshape(struct model_builder *builder, uint32_t input, uint32_t rank,
                       const uint32_t *dims);
/* MODEL_LAST, MODEL_MEAN, MODEL_MAX, MODEL_FIRST */
uint32_t build_pooling(struct model_builder *builder, uint32_t input, uint32_t type);

/* What the blocks are made of: a tensor of numbers within ±limit, and a layer with one input whose
 * output has the input's shape. */
uint32_t random_tensor(struct model_builder *builder, struct rng *rng, uint32_t rank, const uint32_t *dims,
                       float limit);
struct model_layer_spec random_same_shape(struct model_builder *builder, uint32_t type, uint32_t input);

/* random_conv.c */
struct conv_spec {
    uint32_t out, taps;
    uint32_t stride, dilation, groups; /* 0: 1 */
    uint32_t before, after, padding;
    uint32_t act;
    bool bias;
};

/* MODEL_CONV1D over a frame [L][C], MODEL_TEMPORAL_CONV over frames [C] */
uint32_t build_conv(struct model_builder *builder, struct rng *rng, uint32_t input, uint32_t type,
                    const struct conv_spec *conv);

struct pool_spec {
    uint32_t stride, dilation, before, after, kind, taps;
};
uint32_t build_temporal_pool(struct model_builder *builder, uint32_t input, const struct pool_spec *pool);
uint32_t build_magnitude(struct model_builder *builder, uint32_t input);
uint32_t build_transpose(struct model_builder *builder, uint32_t input, const uint32_t *axes);
uint32_t build_delay(struct model_builder *builder, uint32_t input, uint32_t steps);
uint32_t build_reverse(struct model_builder *builder, uint32_t input);

/* Standard and plausible alpha, beta for an activation. */
void random_act_parameters(struct rng *rng, uint32_t kind, float *alpha, float *beta);

/* A finished file in memory and how to feed it. */
struct test_model {
    void *bytes;
    size_t n_bytes;
    size_t n_in, n_out; /* floats in a frame */
    uint32_t vocabulary; /* > 0: the input is whole numbers below this */
    char text[256];     /* "seed 7: embedding lstm64b2 dense add" */
};

enum {
    RANDOM_STREAMS = 1, /* only layers that stream */
    RANDOM_PLAIN = 2,   /* only the standard LSTM as recurrent layer */
};

struct test_model random_model(uint64_t seed, uint32_t flags);
void test_model_free(struct test_model *model);

/* Finish `builder` (which is destroyed) into a test_model; aborts with the builder's
 * error, for a test that cannot build its model is wrong. */
struct test_model test_model_finish(struct model_builder *builder, const char *text);

/* Frames this model can be fed: [steps][n_in]. */
void random_input(struct rng *rng, const struct test_model *model, size_t steps, float *out);

#endif
