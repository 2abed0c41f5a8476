/* SPDX-License-Identifier: MIT
 *
 * The members of a .keras file. A small file cannot ask for much: each is unpacked only if
 * it is no larger than texts or weights of such a file can be. See keras_archive.h.
 */
#include "formats/keras/keras_archive.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

enum {
    MAX_TEXT = 16 << 20, /* bytes of config.json, of metadata.json */
    MAX_MEMBERS = 4096,
};

__attribute__((format(printf, 2, 3)))
static bool fail(char *error, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    vsnprintf(error, KERAS_ARCHIVE_MESSAGE, format, args);
    va_end(args);
    return false;
}

static bool has(const struct archive *archive, const char *name)
{
    size_t index;
    return archive_find(archive, name, &index);
}

static bool has_other_weights(const struct archive *archive)
{
    return has(archive, "model.weights.npz") || has(archive, "model.weights.json");
}

static bool is_keras(const struct archive *archive)
{
    return has(archive, "config.json") && (has(archive, "model.weights.h5") || has_other_weights(archive));
}

bool keras_archive_recognise(const uint8_t *bytes, size_t n_bytes)
{
    return archive_recognise(bytes, n_bytes, is_keras);
}

struct request {
    const char *name;
    bool needed;
    uint64_t most; /* bytes */
    struct archive_bytes *out;
};

static bool read_member(struct archive *archive, const struct request *request, char *error)
{
    size_t index;
    if (!archive_find(archive, request->name, &index))
        return !request->needed || fail(error,
                                        "there is no %s in this zip; as a .keras file it should have one",
                                        request->name);
    uint64_t size = archive_size(archive, index);
    if (size > request->most)
        return fail(error,
                    "member %s would be %llu bytes large, at most %llu are taken from a file of this size",
                    request->name, (unsigned long long)size, (unsigned long long)request->most);
    return archive_read(archive, index, request->out, error, KERAS_ARCHIVE_MESSAGE);
}

static bool read_all(struct archive *archive, size_t n_bytes, struct keras_archive *out, char *error)
{
    const struct request requests[] = {
        {"config.json", true, MAX_TEXT, &out->config},
        {"metadata.json", false, MAX_TEXT, &out->metadata},
        {"model.weights.h5", true, archive_reach(n_bytes), &out->weights},
    };
    if (has_other_weights(archive))
        return fail(error,
                    "its weights are in model.weights.npz or in several files, which is not supported; "
                    "expected is model.weights.h5 (save where h5py is installed, without shards)");
    for (size_t i = 0; i < sizeof requests / sizeof *requests; i++)
        if (!read_member(archive, &requests[i], error))
            return false;
    return true;
}

bool keras_archive_read(const uint8_t *bytes, size_t n_bytes, struct keras_archive *out, char *error)
{
    static const struct archive_limits limits = {MAX_MEMBERS, UINT64_MAX};
    struct archive *archive;
    bool good;
    *out = (struct keras_archive){{0}, {0}, {0}};
    if (!archive_open(bytes, n_bytes, &limits, &archive, error, KERAS_ARCHIVE_MESSAGE))
        return false;
    good = read_all(archive, n_bytes, out, error);
    archive_close(archive);
    if (!good)
        keras_archive_free(out);
    return good;
}

void keras_archive_free(struct keras_archive *archive)
{
    free(archive->config.bytes);
    free(archive->metadata.bytes);
    free(archive->weights.bytes);
    *archive = (struct keras_archive){{0}, {0}, {0}};
}
