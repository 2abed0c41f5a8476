/* SPDX-License-Identifier: MIT
 *
 * Building blocks of random_model.h: convolutions and the layers that go with them.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/random_model.h"

uint32_t build_conv(struct model_builder *builder, struct rng *rng, uint32_t input, uint32_t type,
                    const struct conv_spec *conv)
{
    struct model_layer_spec spec = random_same_shape(builder, type, input);
    uint32_t *channels = &spec.dims[spec.rank - 1];
    uint32_t groups = conv->groups ? conv->groups : 1, each = *channels / groups;
    float limit = 1 / sqrtf((float)(each * conv->taps)), alpha, beta;
    uint32_t words[] = {conv->stride ? conv->stride : 1, conv->dilation ? conv->dilation : 1,
                        conv->before, conv->after, conv->padding, groups, conv->act};
    random_act_parameters(rng, conv->act, &alpha, &beta);
    memcpy(spec.params, words, sizeof words);
    spec.params[MODEL_CONV_ACT + 1] = model_float_bits(alpha);
    spec.params[MODEL_CONV_ACT + 2] = model_float_bits(beta);
    if (type == MODEL_CONV1D)
        spec.dims[0] = (spec.dims[0] + conv->before + conv->after - words[1] * (conv->taps - 1) - 1) /
                           words[0] + 1;
    *channels = conv->out;
    spec.n_tensors = 2;
    spec.tensors[0] = random_tensor(builder, rng, 3, (uint32_t[]){conv->out, conv->taps, each}, limit);
    spec.tensors[1] = conv->bias ? random_tensor(builder, rng, 1, &conv->out, limit) : MODEL_NONE;
    return model_add_layer(builder, &spec);
}

uint32_t build_temporal_pool(struct model_builder *builder, uint32_t input, const struct pool_spec *pool)
{
    struct model_layer_spec spec = random_same_shape(builder, MODEL_TEMPORAL_POOL, input);
    const uint32_t words[] = {pool->stride, pool->dilation, pool->before,
                              pool->after,  pool->kind,     pool->taps};
    memcpy(spec.params, words, sizeof words);
    return model_add_layer(builder, &spec);
}

uint32_t build_magnitude(struct model_builder *builder, uint32_t input)
{
    struct model_layer_spec spec = random_same_shape(builder, MODEL_MAGNITUDE, input);
    spec.dims[spec.rank - 1] /= 2;
    return model_add_layer(builder, &spec);
}

uint32_t build_transpose(struct model_builder *builder, uint32_t input, const uint32_t *axes)
{
    struct model_layer_spec spec = random_same_shape(builder, MODEL_TRANSPOSE, input);
    uint32_t dims[MODEL_MAX_RANK];
    memcpy(dims, spec.dims, sizeof dims);
    for (uint32_t i = 0; i < spec.rank; i++) {
        spec.params[i] = axes[i];
        spec.dims[i] = dims[axes[i]];
    }
    return model_add_layer(builder, &spec);
}

uint32_t build_delay(struct model_builder *builder, uint32_t input, uint32_t steps)
{
    struct model_layer_spec spec = random_same_shape(builder, MODEL_DELAY, input);
    spec.params[0] = steps;
    return model_add_layer(builder, &spec);
}

uint32_t build_reverse(struct model_builder *builder, uint32_t input)
{
    struct model_layer_spec spec = random_same_shape(builder, MODEL_REVERSE, input);
    return model_add_layer(builder, &spec);
}
