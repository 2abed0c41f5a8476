/* SPDX-License-Identifier: MIT
 *
 * A zip archive in memory, whose entries are unpacked only as far as a file of its size can
 * be honest about: sizes are checked before memory is asked for.
 */
#ifndef LSTMRUN_FORMATS_ARCHIVE_H
#define LSTMRUN_FORMATS_ARCHIVE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    ARCHIVE_MAX_ENTRIES = 200000,
    /* Weights are hardly packed: they may take four times the archive's bytes, and this on top. */
    ARCHIVE_SPARE = 64 << 20,
};

struct archive_limits {
    size_t entries;
    uint64_t together; /* bytes, of all that is unpacked; UINT64_MAX: the caller bounds each entry */
};

struct archive;

struct archive_bytes {
    uint8_t *bytes; /* malloc'd */
    size_t n_bytes;
};

/* What a file of that size with weights in it may unpack to. */
uint64_t archive_reach(size_t n_bytes);

/* `bytes` stay until archive_close. `limits` NULL: ARCHIVE_MAX_ENTRIES and archive_reach. False:
 * `error` (of `n_error` bytes) says why. */
bool archive_open(const uint8_t *bytes, size_t n_bytes, const struct archive_limits *limits,
                  struct archive **out, char *error, size_t n_error);
void archive_close(struct archive *archive); /* accepts NULL */

size_t archive_count(const struct archive *archive);
const char *archive_name(const struct archive *archive, size_t index); /* never NULL */
bool archive_find(const struct archive *archive, const char *name, size_t *index_out);

/* Bytes that the entry claims to unpack to; 0 where it does not say, and archive_read refuses it. */
uint64_t archive_size(const struct archive *archive, size_t index);

/* Unpack an entry whole, its checksum verified. */
bool archive_read(struct archive *archive, size_t index, struct archive_bytes *out, char *error,
                  size_t n_error);

/* Whether the bytes are a zip archive that `accept` takes. */
bool archive_recognise(const uint8_t *bytes, size_t n_bytes, bool (*accept)(const struct archive *archive));

#endif
