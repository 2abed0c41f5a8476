/* SPDX-License-Identifier: MIT
 *
 * The JSON of --spec: what a weights file cannot say about its model. spec.schema.json
 * is the schema, tools/CONVERT.md the description.
 */
#ifndef LSTMRUN_FORMATS_SPEC_H
#define LSTMRUN_FORMATS_SPEC_H

#include <jansson.h>

#include "formats/import.h"
#include "formats/metadata.h"

/* Parse and check: every key known, every value of its type, no two keys at odds. What
 * this accepts can be read without looking at types again. `text` NULL gives an empty
 * object. The caller ends *spec_out with json_decref. False: `error` names the JSON path. */
bool spec_read(const char *text, size_t n_bytes, json_t **spec_out, struct import_error *error);

/* name, author, license, description, sample_rate, labels, input.columns, metadata. */
bool spec_set_metadata(const json_t *spec, struct model_builder *builder,
                       const struct metadata_sizes *sizes, struct import_error *error);

/* No control characters; `lines` allows tab and line ends. */
bool spec_clean_text(const char *text, bool lines);

/* [count] numbers from a number (the same for each) or a list of `count`; malloc'd. NULL:
 * `error` says why, calling them `path`. */
float *spec_numbers(const json_t *value, const char *path, uint32_t count,
                    struct import_error *error);

#endif
