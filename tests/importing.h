/* SPDX-License-Identifier: MIT
 *
 * Importing bytes in a test: the whole way to a model file that the reader takes, or
 * the sentence of the refusal.
 */
#ifndef LSTMRUN_TESTS_IMPORTING_H
#define LSTMRUN_TESTS_IMPORTING_H

#include "formats/import.h"

struct imported {
    bool good;
    char error[600];
    char notes[2000]; /* one a line */
    void *bytes;      /* the model file */
    size_t n_bytes;
    struct model_view view;
};

/* The first importer that recognises the bytes imports them. `spec` may be NULL. */
void import_bytes(const uint8_t *bytes, size_t n_bytes, const char *spec, struct imported *out);
void import_bytes_of_key(const uint8_t *bytes, size_t n_bytes, const char *spec, const char *key,
                         struct imported *out);

/* For imports by another way: the `note` of a source whose note_context is a struct imported, and
 * the end, from what the importer has built to `view`. */
void importing_note(void *context, const char *text);
bool importing_finish(struct model_builder *builder, struct imported *out);

void imported_free(struct imported *imported);

#endif
