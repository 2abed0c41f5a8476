/* SPDX-License-Identifier: MIT
 *
 * What all importers of named tensors share: tensors with PyTorch's names and a spec in,
 * a model out.
 */
#ifndef LSTMRUN_FORMATS_TORCH_MODEL_H
#define LSTMRUN_FORMATS_TORCH_MODEL_H

#include "formats/import.h"
#include "formats/named_tensors.h"

/* `spec` is what spec_read gave. */
bool torch_import(const struct import_source *source, const struct named_tensors *tensors,
                  const json_t *spec, struct model_builder *builder, struct import_error *error);

#endif
