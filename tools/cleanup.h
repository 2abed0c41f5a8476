/* SPDX-License-Identifier: MIT
 *
 * What must happen when a signal ends the program: unfinished outputs are removed, and
 * a mapped file that shrank is reported instead of a crash.
 */
#ifndef LSTMRUN_TOOLS_CLEANUP_H
#define LSTMRUN_TOOLS_CLEANUP_H

#include <stdbool.h>
#include <stddef.h>

/* Install the handlers. `model_path` is what a bus error is blamed on unless its
 * address lies in a range of cleanup_watch; both paths are borrowed. */
void cleanup_install(const char *model_path);

/* Remove `path` if a signal comes. Returns a slot for cleanup_keep, or -1 if the path
 * is too long or all slots are taken. */
int cleanup_remove(const char *path);
void cleanup_keep(int slot);

/* These mapped bytes belong to the input file `path`. One range at a time. */
void cleanup_watch(const void *bytes, size_t n_bytes, const char *path);

#endif
