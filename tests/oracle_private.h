/* SPDX-License-Identifier: MIT
 *
 * What oracle.c (graph, frame layers) and oracle_cells.c (recurrent cells) share.
 * No test includes this.
 */
#ifndef LSTMRUN_TESTS_ORACLE_PRIVATE_H
#define LSTMRUN_TESTS_ORACLE_PRIVATE_H

#include "tests/oracle.h"

struct oracle_act {
    uint32_t kind; /* enum model_activation */
    double alpha, beta;
};

/* One direction of a recurrent layer. Weights belong to the layer. */
struct oracle_cell {
    uint32_t type, flags;
    bool reversed;
    size_t hidden, n_h, n_x;
    double clip; /* 0: none */
    struct oracle_act acts[3];
    const double *weights, *bias, *peephole, *projection, *h0, *c0;
    double *h, *c; /* c: lstm only */
    double rest;   /* what h is made of at first, without h0 */
};

struct oracle_layer {
    struct model_layer layer;
    struct model_value in[MODEL_MAX_INPUTS], out;
    struct model_tensor shapes[MODEL_MAX_LAYER_TENSORS];
    double *tensors[MODEL_MAX_LAYER_TENSORS]; /* NULL: absent */
    uint32_t n_cells;                         /* 0 for layers without a state */
    struct oracle_cell cells[2];
};

struct oracle {
    const struct model_view *view;
    uint32_t n_layers;
    struct oracle_layer *layers;
    struct model_value input, output;
    bool noisy;
    uint64_t noise;
};

void *oracle_alloc(size_t n, size_t size);

/* The value as a float operation might have rounded it; itself without noise. */
double oracle_round(struct oracle *oracle, double value);

double oracle_dot(struct oracle *oracle, double start, const double *a, const double *b, size_t n);
double oracle_activate(struct oracle *oracle, const struct oracle_act *act, double x);

/* Parameter word as a float. */
double oracle_param(const struct oracle_layer *layer, uint32_t word);

/* oracle_conv.c: frame layers … */
void oracle_conv1d(struct oracle *oracle, const struct oracle_layer *layer, const double *const *in,
                   double *out);
void oracle_magnitude(struct oracle *oracle, const struct oracle_layer *layer,
                      const double *const *in, double *out);
void oracle_transpose(struct oracle *oracle, const struct oracle_layer *layer,
                      const double *const *in, double *out);

/* … and layers over time. A history is the h of a cell. */
void oracle_load_history(struct oracle_layer *layer);
/* Frames that a convolution over time makes of `frames`. */
size_t oracle_temporal_frames(const struct oracle_layer *layer, size_t frames);
void oracle_run_temporal(struct oracle *oracle, struct oracle_layer *layer, const double *in,
                         size_t frames, double *out);
void oracle_run_pool(struct oracle *oracle, struct oracle_layer *layer, const double *in, size_t frames,
                     double *out);
void oracle_run_delay(struct oracle_layer *layer, const double *in, size_t frames, double *out);
void oracle_run_reverse(const struct oracle_layer *layer, const double *in, size_t frames,
                        double *out);

/* Fill cells of a recurrent layer; does nothing for others. */
void oracle_load_cells(struct oracle_layer *layer);
void oracle_reset_cell(struct oracle_cell *cell);

/* All directions over all frames: in [frames][n_x], out [frames][n_cells · n_h]. Frames at which
 * mask [frames] is 0 are passed over; it may be NULL. */
void oracle_run_recurrent(struct oracle *oracle, struct oracle_layer *layer, const double *in,
                          const double *mask, size_t frames, double *out);

#endif
