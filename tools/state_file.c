/* SPDX-License-Identifier: MIT
 *
 * Saved states of streams, see state_file.h.
 */
#include "tools/state_file.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "formats/crc32c.h"
#include "formats/mapfile.h"
#include "tools/say.h"

enum { HEADER_BYTES = 32, VERSION = 1 };

static void store(uint8_t *at, unsigned n, uint64_t value)
{
    for (unsigned i = 0; i < n; i++)
        at[i] = (uint8_t)(value >> 8 * i);
}

static uint64_t load(const uint8_t *at, unsigned n)
{
    uint64_t value = 0;
    for (unsigned i = 0; i < n; i++)
        value |= (uint64_t)at[i] << 8 * i;
    return value;
}

static bool check_header(const char *path, const struct mapfile *map, size_t n_streams, size_t stream_bytes)
{
    const uint8_t *b = map->bytes;
    if (map->n_bytes < HEADER_BYTES || memcmp(b, "LSTMSTAT", 8) != 0)
        return complain("%s: not a state saved by --save-state", path);
    if (load(b + 8, 4) != VERSION)
        return complain("%s: state of version %u, expected %d", path, (unsigned)load(b + 8, 4), VERSION);
    uint64_t saved = load(b + 12, 4), each = load(b + 16, 8);
    if (each != stream_bytes)
        return complain("%s: a state of %llu bytes, expected %zu: it belongs to another model", path,
                        (unsigned long long)each, stream_bytes);
    if (saved != n_streams)
        return complain("%s: states of %llu sequences, expected %zu (the items of the input)", path,
                        (unsigned long long)saved, n_streams);
    if (map->n_bytes - HEADER_BYTES != n_streams * stream_bytes)
        return complain("%s: %zu bytes, expected %zu: cut short or damaged", path, map->n_bytes,
                        HEADER_BYTES + n_streams * stream_bytes);
    if (load(b + 24, 4) != crc32c(0, b + HEADER_BYTES, map->n_bytes - HEADER_BYTES))
        return complain("%s: damaged, its checksum does not fit", path);
    return true;
}

bool state_file_load(const char *path, const lstm_model *model, lstm_stream *const *streams,
                     size_t n_streams)
{
    char why[160];
    struct mapfile map;
    size_t stream_bytes = lstm_stream_bytes(model);
    if (!mapfile_open(path, &map, why, sizeof why))
        return complain("%s: %s", path, why);
    bool ok = check_header(path, &map, n_streams, stream_bytes);
    for (size_t i = 0; ok && i < n_streams; i++) {
        lstm_error error;
        const uint8_t *bytes = (const uint8_t *)map.bytes + HEADER_BYTES + i * stream_bytes;
        if (lstm_stream_load(model, streams[i], bytes, stream_bytes, &error) != LSTM_OK)
            ok = complain("%s: %s", path, error.text);
    }
    mapfile_close(&map);
    return ok;
}

void state_file_save(FILE *file, const lstm_model *model, lstm_stream *const *streams, size_t n_streams)
{
    uint8_t header[HEADER_BYTES] = "LSTMSTAT";
    size_t stream_bytes = lstm_stream_bytes(model);
    uint32_t crc = 0;
    for (size_t i = 0; i < n_streams; i++)
        crc = crc32c(crc, streams[i], stream_bytes);
    store(header + 8, 4, VERSION);
    store(header + 12, 4, n_streams);
    store(header + 16, 8, stream_bytes);
    store(header + 24, 4, crc);
    fwrite(header, 1, sizeof header, file);
    for (size_t i = 0; i < n_streams; i++)
        fwrite(streams[i], 1, stream_bytes, file);
}
