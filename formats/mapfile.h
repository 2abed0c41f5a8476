/* SPDX-License-Identifier: MIT
 *
 * The only file-system calls of the library: a whole file as read-only bytes.
 */
#ifndef LSTMRUN_FORMATS_MAPFILE_H
#define LSTMRUN_FORMATS_MAPFILE_H

#include <stdbool.h>
#include <stddef.h>

struct mapfile {
    const void *bytes;
    size_t n_bytes;
    void *handle; /* private */
};

/* Map a regular file (anything else, a pipe or a directory, is refused with a
 * reason). False: `error` (of `n_error` bytes) says why, without naming the file.
 * Empty files give 0 bytes. */
bool mapfile_open(const char *path, struct mapfile *out, char *error, size_t n_error);
void mapfile_close(struct mapfile *file);

/* True if the file still has the size it had when it was mapped. */
bool mapfile_unchanged(const struct mapfile *file);

/* The bytes will not be needed soon: let the system take the memory. They stay
 * readable and come back from the file when they are. */
void mapfile_release(const struct mapfile *file);

#endif
