/* SPDX-License-Identifier: MIT
 *
 * What an importer is: bytes of a foreign file in, a model under construction out.
 * One file and one row in import.c for each format.
 */
#ifndef LSTMRUN_FORMATS_IMPORT_H
#define LSTMRUN_FORMATS_IMPORT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "formats/model_write.h"

struct import_error {
    char text[512]; /* names the place in the file and what was expected */
    bool of_spec;   /* the file to name is the one of --spec */
};

struct import_source {
    const char *path; /* for messages only */
    const uint8_t *bytes;
    size_t n_bytes;
    const char *spec; /* the --spec JSON text, n_spec bytes, or NULL */
    size_t n_spec;
    const char *key; /* --key: which of the file's dicts is the model; or NULL */
    /* Told things a person should know that are no errors ("3 denormal weights became
     * 0"); may be NULL. */
    void (*note)(void *context, const char *text);
    void *note_context;
};

struct importer {
    const char *name;        /* "safetensors", "onnx" */
    bool uses_spec;          /* whether --spec means anything to it */
    bool uses_key;           /* whether --key does */
    bool (*recognise)(const uint8_t *bytes, size_t n_bytes);
    bool (*import)(const struct import_source *source, struct model_builder *builder,
                   struct import_error *error);
};

/* NULL-terminated. */
extern const struct importer *const importers[];

/* printf into error->text; returns false so that callers can `return import_fail(…)`. */
bool import_fail(struct import_error *error, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* The same where the mistake is in the spec. */
bool spec_fail(struct import_error *error, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

#endif
