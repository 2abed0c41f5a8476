/* SPDX-License-Identifier: MIT
 *
 * JSON from strangers: a look over the text before it is parsed, so that a small file
 * cannot make the parser build something huge or deep.
 */
#ifndef LSTMRUN_FORMATS_JSON_TEXT_H
#define LSTMRUN_FORMATS_JSON_TEXT_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

struct json_limits {
    unsigned depth;  /* [ and { inside one another */
    size_t values;
};

/* Parse one JSON value without duplicate keys. NULL: `error` (of `n_error` bytes) says
 * what is wrong and where. The caller ends the value with json_decref. Programs give
 * jansson an allocator that does not return: its scanner goes wrong where memory is out. */
json_t *json_text_parse(const char *text, size_t n_bytes, struct json_limits limits,
                        char *error, size_t n_error);

#endif
