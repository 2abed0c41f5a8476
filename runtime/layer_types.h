/* SPDX-License-Identifier: MIT
 *
 * The rows of the layer table and what two files of one layer type share.
 */
#ifndef LSTMRUN_RUNTIME_LAYER_TYPES_H
#define LSTMRUN_RUNTIME_LAYER_TYPES_H

#include "runtime/layer.h"

/* layer_recurrent.c */
extern const struct layer_type layer_lstm, layer_gru, layer_rnn;

/* layer_dense.c */
extern const struct layer_type layer_dense, layer_embedding;

/* layer_elementwise.c */
extern const struct layer_type layer_activation, layer_add, layer_mul, layer_scale;

/* layer_normalise.c */
extern const struct layer_type layer_softmax, layer_layer_norm, layer_l2_norm;

/* layer_mask.c */
extern const struct layer_type layer_mask;

/* layer_rearrange.c */
extern const struct layer_type layer_concat, layer_slice, layer_reshape, layer_transpose;

/* layer_magnitude.c */
extern const struct layer_type layer_magnitude;

/* layer_conv.c */
extern const struct layer_type layer_conv1d, layer_temporal_conv;

/* layer_pool.c */
extern const struct layer_type layer_temporal_pool;

/* layer_sequence.c */
extern const struct layer_type layer_reverse, layer_delay;

/* Give the layer a state of so many of its input frames, oldest first … */
lstm_status check_history(struct layer *layer, uint64_t frames, lstm_error *error);

/* … and bring it up to date with this block, when all threads have done with the old one. */
void history_keep(const struct plan_op *op, struct exec *exec);

/* layer_reduce.c */
extern const struct layer_type layer_last, layer_mean, layer_max, layer_first;

/* layer_attention.c */
extern const struct layer_type layer_attention;

#endif
