/* SPDX-License-Identifier: MIT
 *
 * Output files that appear whole or not at all: written beside under another name,
 * renamed when complete, removed on failure and when a signal ends the program.
 */
#ifndef LSTMRUN_TOOLS_WHOLE_FILE_H
#define LSTMRUN_TOOLS_WHOLE_FILE_H

#include <stdbool.h>
#include <stdio.h>

struct whole_file {
    FILE *file;      /* to write to; NULL when not open */
    const char *path; /* as the user gave it, borrowed */
    char *target;    /* what will be replaced: `path` with symbolic links followed */
    char *temporary; /* NULL: a device or pipe, written directly */
    int slot;        /* of cleanup.h */
};

/* False: a message was printed. */
bool whole_file_open(const char *path, struct whole_file *out);

/* Put it in place, and close. False: a message was printed and nothing is left. */
bool whole_file_commit(struct whole_file *file);

/* Remove what was written. Harmless when not open. */
void whole_file_abandon(struct whole_file *file);

#endif
