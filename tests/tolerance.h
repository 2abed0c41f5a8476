/* SPDX-License-Identifier: MIT
 *
 * How far a float result may be from the double-precision oracle, and why.
 */
#ifndef LSTMRUN_TESTS_TOLERANCE_H
#define LSTMRUN_TESTS_TOLERANCE_H

#include "tests/oracle.h"

/* A bound that only knows the shapes must assume that a recurrent net amplifies every
 * error in every step, and would accept anything after a few of them. So the error is
 * sampled for the very model and input: the oracle runs again with a random relative
 * error of up to half an ulp in each operation (two ulps in each transcendental
 * function), four times. The largest difference from the exact run, over all outputs
 * and draws, is what an honest float implementation gets: the library is one more
 * draw of the same kind. */
enum { TOLERANCE_DRAWS = 4 };

/* The greatest error of one draw scatters around that of the others. Where an output
 * has few numbers the scatter is widest: for a single one, uniform errors, the chance
 * that four draws all stay below 1/8 of a fifth's limit is (1/8)^4. A wrong formula is
 * off by thousands of times this. */
#define TOLERANCE_FACTOR 8.0

/* The result itself is rounded to a float, and the few sums that the library forms in
 * another order (16 lanes) round at other places: some units of the largest number. */
#define TOLERANCE_UNITS 4.0
#define TOLERANCE_UNIT 0x1p-24

/* Numbers below 2^-126 are flushed to zero; a thousand such losses may add up. */
#define TOLERANCE_FLUSH 0x1p-116

/* What a run from the oracle's present states should give. */
struct reference {
    double *output;   /* [frames][width] */
    size_t frames, width;
    double output_tolerance;
    double *states;   /* h, then c, of each direction of each layer, in stream order */
    size_t n_states;
    double state_tolerance;
    double noise;     /* the largest error drawn, outputs and states */
};

/* Leaves the oracle in the exact run's final states. */
struct reference reference_make(struct oracle *oracle, const float *input, size_t steps);
void reference_free(struct reference *reference);

/* Compare; false: `text` says what is off by how much. NaN equals NaN. `*worst` becomes
 * the greatest error in units of the noise drawn, if it was less. */
bool reference_check_output(const struct reference *reference, const float *output, double *worst,
                            char *text, size_t n_text);
bool reference_check_states(const struct reference *reference, const float *states, double *worst,
                            char *text, size_t n_text);

/* All states of an oracle, flat, in stream order: read them, or set them from floats. */
size_t oracle_count_states(struct oracle *oracle);
void oracle_get_states(struct oracle *oracle, double *out);
void oracle_set_states(struct oracle *oracle, const double *states);

#endif
