/* SPDX-License-Identifier: MIT
 *
 * CRC-32C (Castagnoli), the checksum of the model file: reflected polynomial
 * 0x82f63b78, initial value and final xor all ones.
 */
#ifndef LSTMRUN_FORMATS_CRC32C_H
#define LSTMRUN_FORMATS_CRC32C_H

#include <stddef.h>
#include <stdint.h>

/* Start with crc = 0; feed the result back in to go on with more bytes. */
uint32_t crc32c(uint32_t crc, const void *bytes, size_t n_bytes);

#endif
