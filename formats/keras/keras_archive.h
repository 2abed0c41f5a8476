/* SPDX-License-Identifier: MIT
 *
 * A .keras file: a zip of config.json, metadata.json and model.weights.h5. Members are
 * unpacked into memory, within limits that the size of the file sets.
 */
#ifndef LSTMRUN_FORMATS_KERAS_ARCHIVE_H
#define LSTMRUN_FORMATS_KERAS_ARCHIVE_H

#include "formats/archive.h"

enum { KERAS_ARCHIVE_MESSAGE = 300 };

struct keras_archive {
    struct archive_bytes config, metadata, weights; /* bytes NULL: not there */
};

/* Whether it is a zip with a member config.json and weights of Keras's. */
bool keras_archive_recognise(const uint8_t *bytes, size_t n_bytes);

/* Unpack. False: `error` (KERAS_ARCHIVE_MESSAGE bytes) has one sentence. */
bool keras_archive_read(const uint8_t *bytes, size_t n_bytes, struct keras_archive *out, char *error);
void keras_archive_free(struct keras_archive *archive);

#endif
