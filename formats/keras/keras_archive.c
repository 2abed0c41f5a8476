/* SPDX-License-Identifier: MIT
 *
 * A .keras file through libzip, from memory. What a zip declares is believed only as far
 * as weights can be packed, so that a small file cannot ask for much. See keras_archive.h.
 */
#include "formats/keras/keras_archive.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zip.h>

enum {
    MAX_TEXT_MIB = 16,      /* of config.json and metadata.json */
    EXPANSION = 4,          /* weights may be so many times the file, and … */
    EXPANSION_MIB = 64,     /* … so much more */
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

static zip_t *open_zip(const uint8_t *bytes, size_t n_bytes)
{
    zip_error_t why;
    zip_source_t *source;
    zip_t *zip;
    zip_error_init(&why);
    source = zip_source_buffer_create(bytes, n_bytes, 0, &why);
    zip = source ? zip_open_from_source(source, ZIP_RDONLY, &why) : NULL;
    if (!zip && source)
        zip_source_free(source);
    zip_error_fini(&why);
    return zip;
}

static bool is_zip(const uint8_t *bytes, size_t n_bytes)
{
    return n_bytes > 4 && memcmp(bytes, "PK\3\4", 4) == 0;
}

bool keras_archive_recognise(const uint8_t *bytes, size_t n_bytes)
{
    static const char *const weights[] = {"model.weights.h5", "model.weights.npz", "model.weights.json"};
    zip_t *zip = is_zip(bytes, n_bytes) ? open_zip(bytes, n_bytes) : NULL;
    bool known = false;
    if (!zip)
        return false;
    for (size_t i = 0; i < sizeof weights / sizeof *weights; i++)
        known = known || zip_name_locate(zip, weights[i], 0) >= 0;
    known = known && zip_name_locate(zip, "config.json", 0) >= 0;
    zip_discard(zip);
    return known;
}

/* ---- one member ---------------------------------------------------------- */

struct request {
    const char *name;
    bool needed;
    uint64_t most; /* bytes */
    struct keras_member *out;
};

static bool check_sizes(const struct request *request, const zip_stat_t *stat, size_t n_file, char *error)
{
    zip_uint64_t needed = ZIP_STAT_SIZE | ZIP_STAT_COMP_SIZE | ZIP_STAT_COMP_METHOD;
    if ((stat->valid & needed) != needed)
        return fail(error, "member %s: the zip does not say its size", request->name);
    if (stat->valid & ZIP_STAT_ENCRYPTION_METHOD && stat->encryption_method != ZIP_EM_NONE)
        return fail(error, "member %s is encrypted", request->name);
    if (stat->comp_method != ZIP_CM_STORE && stat->comp_method != ZIP_CM_DEFLATE)
        return fail(error, "member %s: zip method %u, expected stored (0) or deflated (8)", request->name,
                    stat->comp_method);
    if (stat->comp_size > n_file)
        return fail(error, "member %s: %llu packed bytes, but the file has only %zu", request->name,
                    (unsigned long long)stat->comp_size, n_file);
    if (stat->size > request->most)
        return fail(error,
                    "member %s would be %llu bytes large, at most %llu are taken from a file of this size",
                    request->name, (unsigned long long)stat->size, (unsigned long long)request->most);
    return true;
}

/* Exactly n bytes and the end after them, which also checks the zip's CRC. */
static bool read_exactly(zip_file_t *file, uint8_t *bytes, size_t n)
{
    uint8_t extra;
    for (size_t done = 0; done < n;) {
        zip_int64_t got = zip_fread(file, bytes + done, n - done);
        if (got <= 0)
            return false;
        done += (size_t)got;
    }
    return zip_fread(file, &extra, 1) == 0;
}

static bool unpack(zip_t *zip, zip_uint64_t index, size_t n, const struct request *request, char *error)
{
    zip_file_t *file;
    bool good;
    request->out->bytes = malloc(n + 1);
    if (!request->out->bytes)
        return fail(error, "member %s: out of memory for %zu bytes", request->name, n);
    request->out->n_bytes = n;
    file = zip_fopen_index(zip, index, 0);
    good = file && read_exactly(file, request->out->bytes, n);
    if (file)
        zip_fclose(file);
    return good || fail(error, "member %s is damaged: its packed data do not give the %zu bytes declared",
                        request->name, n);
}

static bool read_member(zip_t *zip, const struct request *request, size_t n_file, char *error)
{
    zip_int64_t index = zip_name_locate(zip, request->name, 0);
    zip_stat_t stat;
    zip_stat_init(&stat);
    if (index < 0)
        return !request->needed || fail(error,
                                        "there is no %s in this zip; as a .keras file it should have one",
                                        request->name);
    if (zip_stat_index(zip, (zip_uint64_t)index, 0, &stat) != 0)
        return fail(error, "member %s: %s", request->name, zip_strerror(zip));
    return check_sizes(request, &stat, n_file, error) &&
           unpack(zip, (zip_uint64_t)index, (size_t)stat.size, request, error);
}

/* ---- all ----------------------------------------------------------------- */

static bool read_all(zip_t *zip, size_t n_bytes, struct keras_archive *out, char *error)
{
    const uint64_t text = (uint64_t)MAX_TEXT_MIB << 20;
    const struct request requests[] = {
        {"config.json", true, text, &out->config},
        {"metadata.json", false, text, &out->metadata},
        {"model.weights.h5", true, (uint64_t)EXPANSION * n_bytes + ((uint64_t)EXPANSION_MIB << 20),
         &out->weights},
    };
    zip_int64_t n = zip_get_num_entries(zip, 0);
    if (n > MAX_MEMBERS)
        return fail(error, "the zip has %lld members, expected at most %d", (long long)n, MAX_MEMBERS);
    if (zip_name_locate(zip, "model.weights.npz", 0) >= 0 || zip_name_locate(zip, "model.weights.json",
                                                                             0) >= 0)
        return fail(error,
                    "its weights are in model.weights.npz or in several files, which is not supported; "
                    "expected is model.weights.h5 (save where h5py is installed, without shards)");
    for (size_t i = 0; i < sizeof requests / sizeof *requests; i++)
        if (!read_member(zip, &requests[i], n_bytes, error))
            return false;
    return true;
}

bool keras_archive_read(const uint8_t *bytes, size_t n_bytes, struct keras_archive *out, char *error)
{
    zip_t *zip = is_zip(bytes, n_bytes) ? open_zip(bytes, n_bytes) : NULL;
    bool good;
    *out = (struct keras_archive){{0}, {0}, {0}};
    if (!zip)
        return fail(error, "not a readable zip file");
    good = read_all(zip, n_bytes, out, error);
    zip_discard(zip);
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
