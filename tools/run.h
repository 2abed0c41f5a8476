/* SPDX-License-Identifier: MIT
 *
 * What lstmrun does with an open session: run the input and write the result, or time it.
 */
#ifndef LSTMRUN_TOOLS_RUN_H
#define LSTMRUN_TOOLS_RUN_H

#include "tools/session.h"
#include "tools/sink.h"

/* Both print a message and return false, or end the program for bad usage. */
bool run_result(struct session *session);
bool run_timing(struct session *session);

/* The steps of one sequence after another through the model, `session->chunk` at a
 * call: [items][steps] frames in, [items][steps or 1] out. `each`, unless NULL, is
 * told after every call how many steps it ran, in which time, and how many are done. */
typedef void run_each_fn(void *context, size_t steps, double seconds, size_t done);
bool run_whole(struct session *session, const float *input, float *output, size_t steps,
               run_each_fn *each, void *context);

/* "1.23 ms" and the like; `text` holds 32 bytes. */
const char *run_time_text(double seconds, char *text);

#endif
