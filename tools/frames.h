/* SPDX-License-Identifier: MIT
 *
 * Frames in memory: allocated with checked sizes, read whole, and checked for values
 * that a model cannot use.
 */
#ifndef LSTMRUN_TOOLS_FRAMES_H
#define LSTMRUN_TOOLS_FRAMES_H

#include "tools/session.h"

/* [items][steps][size] floats; NULL after a message. */
float *frames_allocate(const char *what, size_t items, size_t steps, size_t size);

/* The whole input, [items][*steps_out][input size], checked; NULL after a message. */
float *frames_read_all(struct session *session, size_t *steps_out);

/* Check frames that the source has just given. False: a message names file, item,
 * step and column. */
bool frames_check(const struct session *session, const float *frames, size_t steps,
                  size_t first_step, size_t item);

#endif
