/* SPDX-License-Identifier: MIT
 *
 * The building blocks of random_model.h: one function a layer type, weights drawn
 * from the given generator.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/random_model.h"

static struct model_value value_of(struct model_builder *builder, uint32_t value)
{
    struct model_value out;
    if (!model_builder_value(builder, value, &out)) {
        fprintf(stderr, "random_layers: no value %u\n", value);
        abort();
    }
    return out;
}

uint32_t random_tensor(struct model_builder *builder, struct rng *rng, uint32_t rank, const uint32_t *dims,
                       float limit)
{
    size_t n = 1;
    for (uint32_t d = 0; d < rank; d++)
        n *= dims[d];
    float *data = malloc(n * sizeof *data);
    if (!data)
        abort();
    rng_fill(rng, limit, data, n);
    uint32_t tensor = model_add_tensor(builder, NULL, rank, dims, data);
    free(data);
    return tensor;
}

static uint32_t add_vector(struct model_builder *builder, struct rng *rng, uint32_t n, float limit)
{
    return random_tensor(builder, rng, 1, (uint32_t[]){n}, limit);
}

struct model_layer_spec random_same_shape(struct model_builder *builder, uint32_t type, uint32_t input)
{
    struct model_value in = value_of(builder, input);
    struct model_layer_spec spec = {.type = type, .n_inputs = 1, .inputs = {input},
                                    .rank = in.rank, .once = in.once};
    memcpy(spec.dims, in.dims, sizeof spec.dims);
    return spec;
}

/* ---- recurrent layers --------------------------------------------------------- */

static uint32_t gates_of(uint32_t type)
{
    return type == MODEL_LSTM ? 4 : type == MODEL_GRU ? 3 : 1;
}

static uint32_t acts_of(uint32_t type)
{
    return type == MODEL_LSTM ? 3 : type == MODEL_GRU ? 2 : 1;
}

static uint32_t standard_act(uint32_t type, uint32_t which)
{
    return which == 0 && type != MODEL_RNN ? MODEL_ACT_SIGMOID : MODEL_ACT_TANH;
}

static void set_acts(const struct rnn_spec *rnn, uint32_t direction, uint32_t *params)
{
    uint32_t *words = params + MODEL_RNN_ACTS + direction * MODEL_RNN_ACTS_STRIDE;
    for (uint32_t a = 0; a < acts_of(rnn->type); a++) {
        uint32_t kind = rnn->own_acts ? rnn->acts[direction][a].kind : standard_act(rnn->type, a);
        words[0] |= kind << (8 * a);
        if (rnn->own_acts) {
            words[1 + 2 * a] = model_float_bits(rnn->acts[direction][a].alpha);
            words[2 + 2 * a] = model_float_bits(rnn->acts[direction][a].beta);
        }
    }
}

static void add_rnn_tensors(struct model_builder *builder, struct rng *rng,
                            const struct rnn_spec *rnn, uint32_t n_x, uint32_t *slots)
{
    uint32_t hidden = rnn->hidden, n_h = rnn->projection ? rnn->projection : hidden;
    uint32_t gates = gates_of(rnn->type);
    /* PyTorch's range; halved where unbounded activations could make the state grow */
    float limit = 1 / sqrtf((float)hidden) * (rnn->own_acts ? 0.5f : 1.0f);
    for (uint32_t s = 0; s < MODEL_RNN_SLOTS; s++)
        slots[s] = MODEL_NONE;
    slots[MODEL_SLOT_W] = random_tensor(builder, rng, 3, (uint32_t[]){gates, hidden, n_h + n_x}, limit);
    if (rnn->bias)
        slots[MODEL_SLOT_BIAS] = random_tensor(builder, rng, 2, (uint32_t[]){gates, hidden}, limit);
    if (rnn->peepholes)
        slots[MODEL_SLOT_PEEPHOLE] = random_tensor(builder, rng, 2, (uint32_t[]){3, hidden}, limit);
    if (rnn->reset_after && rnn->bias)
        slots[MODEL_SLOT_PEEPHOLE] = random_tensor(builder, rng, 2, (uint32_t[]){1, hidden}, limit);
    if (rnn->projection)
        slots[MODEL_SLOT_PROJECTION] = random_tensor(builder, rng, 2, (uint32_t[]){n_h, hidden}, limit);
    if (rnn->initial)
        slots[MODEL_SLOT_H0] = add_vector(builder, rng, n_h, 1);
    if (rnn->initial && rnn->type == MODEL_LSTM)
        slots[MODEL_SLOT_C0] = add_vector(builder, rng, hidden, 2);
}

uint32_t build_recurrent(struct model_builder *builder, struct rng *rng, uint32_t input,
                         const struct rnn_spec *rnn)
{
    uint32_t n_x = value_of(builder, input).dims[0];
    uint32_t directions = rnn->direction == MODEL_BIDIRECTIONAL ? 2 : 1;
    struct model_layer_spec spec = {.type = rnn->type, .n_inputs = 1, .inputs = {input}, .rank = 1,
                                    .n_tensors = directions * MODEL_RNN_SLOTS};
    spec.dims[0] = directions * (rnn->projection ? rnn->projection : rnn->hidden);
    if (rnn->mask)
        spec.inputs[spec.n_inputs++] = rnn->mask;
    spec.params[MODEL_RNN_HIDDEN] = rnn->hidden;
    spec.params[MODEL_RNN_DIRECTION] = rnn->direction;
    spec.params[MODEL_RNN_FLAGS] = (rnn->coupled ? MODEL_FLAG_COUPLED : 0) |
                                   (rnn->reset_after ? MODEL_FLAG_RESET_AFTER : 0);
    spec.params[MODEL_RNN_CLIP] = model_float_bits(rnn->clip);
    for (uint32_t d = 0; d < directions; d++) {
        set_acts(rnn, d, spec.params);
        add_rnn_tensors(builder, rng, rnn, n_x, spec.tensors + d * MODEL_RNN_SLOTS);
    }
    return model_add_layer(builder, &spec);
}

/* ---- frame layers ---------------------------------------------------------------- */

void random_act_parameters(struct rng *rng, uint32_t kind, float *alpha, float *beta)
{
    static const float standard[MODEL_ACT_COUNT][2] = {
        [MODEL_ACT_LEAKY_RELU] = {0.01f, 0}, [MODEL_ACT_THRESHOLDED_RELU] = {0.1f, 0},
        [MODEL_ACT_SCALED_TANH] = {1.7f, 0.66f}, [MODEL_ACT_HARD_SIGMOID] = {0.2f, 0.5f},
        [MODEL_ACT_ELU] = {1, 0}, [MODEL_ACT_AFFINE] = {0.5f, 0.1f},
    };
    float spread = 1 + rng_float(rng, 0.3f);
    *alpha = standard[kind][0] * spread;
    *beta = standard[kind][1] * spread;
}

uint32_t build_dense(struct model_builder *builder, struct rng *rng, uint32_t input, uint32_t n_out,
                     uint32_t activation, bool bias)
{
    struct model_layer_spec spec = random_same_shape(builder, MODEL_DENSE, input);
    uint32_t n_in = spec.dims[spec.rank - 1];
    float alpha, beta, limit = 1 / sqrtf((float)n_in);
    random_act_parameters(rng, activation, &alpha, &beta);
    spec.dims[spec.rank - 1] = n_out;
    spec.params[0] = activation;
    spec.params[1] = model_float_bits(alpha);
    spec.params[2] = model_float_bits(beta);
    spec.n_tensors = 2;
    spec.tensors[0] = random_tensor(builder, rng, 2, (uint32_t[]){n_out, n_in}, limit);
    spec.tensors[1] = bias ? add_vector(builder, rng, n_out, limit) : MODEL_NONE;
    return model_add_layer(builder, &spec);
}

uint32_t build_activation(struct model_builder *builder, uint32_t input, uint32_t activation,
                          float alpha, float beta)
{
    struct model_layer_spec spec = random_same_shape(builder, MODEL_ACTIVATION, input);
    spec.params[0] = activation;
    spec.params[1] = model_float_bits(alpha);
    spec.params[2] = model_float_bits(beta);
    return model_add_layer(builder, &spec);
}

uint32_t build_embedding(struct model_builder *builder, struct rng *rng, uint32_t input,
                         uint32_t rows, uint32_t width)
{
    struct model_layer_spec spec = random_same_shape(builder, MODEL_EMBEDDING, input);
    spec.n_tensors = 1;
    spec.tensors[0] = random_tensor(builder, rng, 2, (uint32_t[]){rows, width}, 1);
    if (spec.dims[0] == 1)
        spec.dims[0] = width;
    else
        spec.dims[spec.rank++] = width;
    return model_add_layer(builder, &spec);
}

uint32_t build_softmax(struct model_builder *builder, uint32_t input)
{
    struct model_layer_spec spec = random_same_shape(builder, MODEL_SOFTMAX, input);
    return model_add_layer(builder, &spec);
}

uint32_t build_layer_norm(struct model_builder *builder, struct rng *rng, uint32_t input, bool shift)
{
    struct model_layer_spec spec = random_same_shape(builder, MODEL_LAYER_NORM, input);
    uint32_t n = spec.dims[spec.rank - 1];
    spec.params[0] = model_float_bits(1e-5f);
    spec.n_tensors = 2;
    spec.tensors[0] = add_vector(builder, rng, n, 1);
    spec.tensors[1] = shift ? add_vector(builder, rng, n, 1) : MODEL_NONE;
    return model_add_layer(builder, &spec);
}

uint32_t build_l2_norm(struct model_builder *builder, uint32_t input, float epsilon)
{
    struct model_layer_spec spec = random_same_shape(builder, MODEL_L2_NORM, input);
    spec.params[0] = model_float_bits(epsilon);
    return model_add_layer(builder, &spec);
}

uint32_t build_mask(struct model_builder *builder, uint32_t input, float nothing)
{
    struct model_layer_spec spec = random_same_shape(builder, MODEL_MASK, input);
    spec.rank = 1;
    memcpy(spec.dims, (uint32_t[MODEL_MAX_RANK]){1}, sizeof spec.dims);
    spec.params[0] = model_float_bits(nothing);
    return model_add_layer(builder, &spec);
}

uint32_t build_attention(struct model_builder *builder, uint32_t input, uint32_t score)
{
    struct model_layer_spec spec = random_same_shape(builder, MODEL_ATTENTION, input);
    spec.inputs[spec.n_inputs++] = score;
    spec.once = true;
    return model_add_layer(builder, &spec);
}

uint32_t build_scale(struct model_builder *builder, struct rng *rng, uint32_t input, uint32_t parts)
{
    struct model_layer_spec spec = random_same_shape(builder, MODEL_SCALE, input);
    uint32_t n = spec.dims[spec.rank - 1];
    spec.n_tensors = 2;
    spec.tensors[0] = parts & 1 ? add_vector(builder, rng, n, 2) : MODEL_NONE;
    spec.tensors[1] = parts & 2 ? add_vector(builder, rng, n, 1) : MODEL_NONE;
    return model_add_layer(builder, &spec);
}

uint32_t build_combine(struct model_builder *builder, uint32_t type, const uint32_t *inputs,
                       uint32_t n_inputs, uint32_t axis)
{
    struct model_layer_spec spec = random_same_shape(builder, type, inputs[0]);
    spec.n_inputs = n_inputs;
    memcpy(spec.inputs, inputs, n_inputs * sizeof *inputs);
    if (type == MODEL_CONCAT) {
        spec.params[0] = axis;
        for (uint32_t i = 1; i < n_inputs; i++)
            spec.dims[axis] += value_of(builder, inputs[i]).dims[axis];
    }
    return model_add_layer(builder, &spec);
}

uint32_t build_slice(struct model_builder *builder, uint32_t input, uint32_t axis, uint32_t start,
                     uint32_t count, uint32_t step)
{
    struct model_layer_spec spec = random_same_shape(builder, MODEL_SLICE, input);
    memcpy(spec.params, (uint32_t[]){axis, start, count, step}, 4 * sizeof(uint32_t));
    spec.dims[axis] = count;
    return model_add_layer(builder, &spec);
}

uint32_t build_reshape(struct model_builder *builder, uint32_t input, uint32_t rank,
                       const uint32_t *dims)
{
    struct model_layer_spec spec = random_same_shape(builder, MODEL_RESHAPE, input);
    spec.rank = rank;
    memset(spec.dims, 0, sizeof spec.dims);
    memcpy(spec.dims, dims, rank * sizeof *dims);
    return model_add_layer(builder, &spec);
}

uint32_t build_pooling(struct model_builder *builder, uint32_t input, uint32_t type)
{
    struct model_layer_spec spec = random_same_shape(builder, type, input);
    spec.once = true;
    return model_add_layer(builder, &spec);
}
