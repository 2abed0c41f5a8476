/* SPDX-License-Identifier: MIT
 *
 * The spec's "rename": tensors of other names under those that PyTorch would give them.
 */
#ifndef LSTMRUN_FORMATS_TORCH_NAMES_H
#define LSTMRUN_FORMATS_TORCH_NAMES_H

#include "formats/import.h"
#include "formats/named_tensors.h"

/* The same tensors, whose data stay `in`'s, and the same facts by the new names. `out` is
 * for named_tensors_free; on failure it is empty. */
bool torch_rename(const struct named_tensors *in, const json_t *rename, struct named_tensors *out,
                  struct import_error *error);

#endif
