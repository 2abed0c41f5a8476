/* SPDX-License-Identifier: MIT
 *
 * Values of those keys of metadata that programs obey: what FORMAT.md 4.2 says of them,
 * checked wherever a person gives them.
 */
#ifndef LSTMRUN_FORMATS_METADATA_H
#define LSTMRUN_FORMATS_METADATA_H

#include <stdbool.h>
#include <stddef.h>

/* Numbers of an input and of an output frame. */
struct metadata_sizes {
    size_t input, output;
};

/* False: `value` cannot be that of `key`, and `reason` says what it is and what was
 * expected. Keys that mean nothing to a program take any value. */
bool metadata_check(const char *key, const char *value, const struct metadata_sizes *sizes, char *reason,
                    size_t n_reason);

#endif
