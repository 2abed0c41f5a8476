/* SPDX-License-Identifier: MIT
 *
 * The table of layer types. A new type is a file with its row, and its line here.
 */
#include "runtime/layer_types.h"

static const struct layer_type *const types[] = {
    &layer_lstm,       &layer_gru,     &layer_rnn,       &layer_dense,     &layer_embedding,
    &layer_activation, &layer_softmax, &layer_layer_norm, &layer_add,      &layer_mul,
    &layer_concat,     &layer_slice,   &layer_reshape,   &layer_scale,     &layer_last,
    &layer_mean,       &layer_max,     &layer_conv1d,    &layer_magnitude, &layer_reverse,
    &layer_mask,       &layer_l2_norm, &layer_attention,
    &layer_temporal_conv, &layer_first,     &layer_transpose, &layer_delay,
    &layer_temporal_pool,
};

const struct layer_type *layer_type_find(uint32_t code)
{
    for (size_t i = 0; i < sizeof types / sizeof types[0]; i++)
        if (types[i]->code == code)
            return types[i];
    return NULL;
}
