/* SPDX-License-Identifier: MIT
 *
 * SHA-256 (FIPS 180-4), to record which file a model was converted from.
 */
#ifndef LSTMRUN_FORMATS_SHA256_H
#define LSTMRUN_FORMATS_SHA256_H

#include <stddef.h>

enum { SHA256_TEXT = 65 };

/* The digest of `n_bytes` bytes as 64 hexadecimal digits and a NUL. */
void sha256_text(const void *bytes, size_t n_bytes, char text[SHA256_TEXT]);

#endif
