/* SPDX-License-Identifier: MIT
 *
 * A safetensors file as a list of named tensors inside the caller's bytes. Strict: what
 * the format's description forbids is refused, whatever other readers do.
 */
#ifndef LSTMRUN_FORMATS_SAFETENSORS_H
#define LSTMRUN_FORMATS_SAFETENSORS_H

#include "formats/named_tensors.h"

enum {
    /* The format allows 100,000,000; a header that long lists no weights of use here. */
    SAFETENSORS_MAX_HEADER = 1 << 25,
};

/* Whether the bytes begin as a safetensors file does. */
bool safetensors_recognise(const uint8_t *bytes, size_t n_bytes);

/* For named_tensors_free. False: `error` (of `n_error` bytes) says what is wrong and where; nothing
 * is left to free. */
bool safetensors_read(const uint8_t *bytes, size_t n_bytes, struct named_tensors *out, char *error,
                      size_t n_error);
#endif
