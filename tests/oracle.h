/* SPDX-License-Identifier: MIT
 *
 * A second, naive implementation of every layer in double precision with libm and
 * textbook loops. The tests hold the library against it; it shares no code with
 * simd/ or runtime/. Aborts when memory runs out: it only ever runs inside tests.
 */
#ifndef LSTMRUN_TESTS_ORACLE_H
#define LSTMRUN_TESTS_ORACLE_H

#include "formats/model_file.h"

struct oracle;

/* The view's bytes must outlive the oracle. */
struct oracle *oracle_create(const struct model_view *view);
void oracle_destroy(struct oracle *oracle);

/* Back to the model's initial states. */
void oracle_reset(struct oracle *oracle);

enum oracle_which { ORACLE_H, ORACLE_C };

/* State of one direction of a recurrent layer, to read or to set; NULL if none. */
double *oracle_state(struct oracle *oracle, uint32_t layer, uint32_t direction,
                     enum oracle_which which, size_t *n_out);

/* Frames that oracle_run writes for `steps` input frames. */
size_t oracle_output_frames(const struct oracle *oracle, size_t steps);

/* Numbers in one output frame. */
size_t oracle_output_size(const struct oracle *oracle);

/* Continue from the present states over `steps` frames, as lstm_run does with one
 * item; 0 steps change nothing. */
void oracle_run(struct oracle *oracle, const float *input, size_t steps, double *output);

/* From now on disturb every operation by a random relative error of up to one float
 * rounding (two ulps for transcendental functions): what a float implementation may
 * honestly get. tolerance.h builds on it. Seed 0: exact again. */
void oracle_set_noise(struct oracle *oracle, uint64_t seed);

#endif
