/* SPDX-License-Identifier: MIT
 *
 * Reference vectors of lstmconvert --verify: inputs and the outputs another framework
 * computed from them, from .npz, .npy or the model file itself.
 */
#ifndef LSTMRUN_TOOLS_REFERENCE_H
#define LSTMRUN_TOOLS_REFERENCE_H

#include "formats/tensor.h"
#include "runtime/lstmrun.h"

enum reference_state { REFERENCE_H0, REFERENCE_C0, REFERENCE_HN, REFERENCE_CN, REFERENCE_STATES };

struct reference {
    const char *name; /* for messages, borrowed */
    struct tensor input, output;
    struct tensor states[REFERENCE_STATES]; /* [layers · directions, items, units] */
    bool has_state[REFERENCE_STATES];
};

/* "FILE.npz" with the arrays input and output (h0, c0, hn, cn if wanted), or
 * "IN.npy,OUT.npy". False: a message was printed, nothing is left to free. */
bool reference_load(const char *text, struct reference *out);

/* The vectors stored in the model file called `name`; the same. */
bool reference_of_model(const lstm_model *model, const char *name, struct reference *out);

void reference_free(struct reference *reference);

#endif
