/* SPDX-License-Identifier: MIT
 *
 * Input files that are read where they are mapped, with a message when they cannot be, or
 * when they shrink meanwhile.
 */
#ifndef LSTMRUN_TOOLS_INPUT_MAP_H
#define LSTMRUN_TOOLS_INPUT_MAP_H

#include <stdbool.h>

#include "formats/mapfile.h"

/* False: a message was printed. `path` is borrowed. */
bool input_map(const char *path, struct mapfile *file);

/* Returns `good`. */
bool input_unmap(struct mapfile *file, bool good);

#endif
