/* SPDX-License-Identifier: MIT
 *
 * Makes a mutated model file look whole: its checksum would stop nearly every input
 * of a fuzzer before anything interesting is read.
 */
#ifndef LSTMRUN_TESTS_FUZZ_SEAL_H
#define LSTMRUN_TESTS_FUZZ_SEAL_H

#include "formats/bytes.h"
#include "formats/crc32c.h"

/* File size and checksum as the reader wants them, if the counts leave the tables
 * inside. At least 128 bytes. */
static inline void seal(uint8_t *bytes, size_t size)
{
    uint64_t tables = 128 + 16 * (uint64_t)load_u32(bytes + 32) + 128 * (uint64_t)load_u32(bytes + 36) +
                      32 * ((uint64_t)load_u32(bytes + 36) + 1) + 64 * (uint64_t)load_u32(bytes + 40) +
                      4 * (uint64_t)load_u32(bytes + 44) + load_u32(bytes + 48);
    uint64_t data_at = (tables + 63) / 64 * 64;
    store_u64(bytes + 24, size);
    store_u32(bytes + 12, 0);
    if (data_at <= size)
        store_u32(bytes + 12, crc32c(0, bytes, (size_t)data_at));
}

#endif
