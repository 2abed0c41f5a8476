/* SPDX-License-Identifier: MIT
 *
 * What the tools ask about paths: extensions, and which names mean one file.
 */
#ifndef LSTMRUN_TOOLS_PATHS_H
#define LSTMRUN_TOOLS_PATHS_H

#include <stdbool.h>

/* Whether the name ends with a point and one of `extensions` (the last one NULL), in
 * either case. */
bool path_has_extension(const char *path, const char *const *extensions);

/* Whether both are the same regular file, or would be once written, by whatever names
 * and links. Never for NULL, for "-", and for devices, which nothing replaces. */
bool path_same_file(const char *a, const char *b);

/* Whether something exists there that is neither a regular file nor a directory. */
bool path_is_special(const char *path);

bool path_is_terminal(const char *path);

#endif
