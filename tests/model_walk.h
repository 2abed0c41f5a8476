/* SPDX-License-Identifier: MIT
 *
 * Use everything that an accepted model file offers, for tests and fuzzers: what is not as the reader
 * promised shows here, or under a sanitizer.
 */
#ifndef LSTMRUN_TESTS_MODEL_WALK_H
#define LSTMRUN_TESTS_MODEL_WALK_H

#include "formats/model_write.h"

/* Read every string, number and weight of the view; NULL, or what is not as promised. */
const char *model_walk(const struct model_view *view);

/* Build the same model anew with the writer (f32 tensors only). False: `error` says why not. */
bool model_rebuild(const struct model_view *view, void **bytes_out, size_t *n_bytes_out,
                   struct format_error *error);

/* NULL if both hold the same model, else what differs. */
const char *model_difference(const struct model_view *a, const struct model_view *b);

#endif
