/* SPDX-License-Identifier: MIT
 *
 * lstmconvert --verify: run reference inputs through a model and measure how far its
 * outputs are from the reference outputs.
 */
#ifndef LSTMRUN_TOOLS_VERIFY_H
#define LSTMRUN_TOOLS_VERIFY_H

#include "runtime/lstmrun.h"
#include "tools/reference.h"

/* How a reference's arrays fit a model. */
struct reference_shape {
    size_t items, steps; /* of the input */
    size_t output_steps; /* 1 if the model gives one frame a run */
};

/* Whether the shapes fit the model called `name`; false after a message. */
bool verify_shapes(const lstm_model *model, const char *name, const struct reference *reference,
                   struct reference_shape *out);

/* Print the errors. False: one is above `tolerance` (of the reference value, or absolute
 * where that is below 1), or nothing could be run and a message was printed. */
bool verify_model(const lstm_model *model, const char *name, const struct reference *reference,
                  double tolerance);

#endif
