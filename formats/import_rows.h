/* SPDX-License-Identifier: MIT
 *
 * The importers that import.c lists. Each is defined in its own file; nobody but
 * the table needs their names.
 */
#ifndef LSTMRUN_FORMATS_IMPORT_ROWS_H
#define LSTMRUN_FORMATS_IMPORT_ROWS_H

#include "formats/import.h"

extern const struct importer importer_keras;
extern const struct importer importer_npz;
extern const struct importer importer_onnx;
extern const struct importer importer_pickle;
extern const struct importer importer_safetensors;
extern const struct importer importer_torch;

/* Audio plugins. */
extern const struct importer importer_guitarml;
extern const struct importer importer_nam;
extern const struct importer importer_rtneural;
extern const struct importer importer_torch_json;

#endif
