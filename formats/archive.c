/* SPDX-License-Identifier: MIT
 *
 * Zip archives through libzip, from memory. See archive.h.
 */
#include "formats/archive.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zip.h>

/* Deflate cannot pack better than 1032 : 1. */
enum { DEFLATE_RATIO = 1032 };

struct archive {
    zip_t *zip;
    size_t n_entries;
    uint64_t n_bytes; /* of the archive */
    uint64_t together; /* bytes that may be unpacked … */
    uint64_t unpacked; /* … and have been so far */
};

struct answer {
    char *text;
    size_t n_text;
};

__attribute__((format(printf, 2, 3)))
static bool refuse(const struct answer *answer, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    vsnprintf(answer->text, answer->n_text, format, args);
    va_end(args);
    return false;
}

static zip_t *open_zip(const uint8_t *bytes, size_t n_bytes, const struct answer *answer)
{
    zip_error_t why;
    zip_source_t *source;
    zip_t *zip;
    zip_error_init(&why);
    source = zip_source_buffer_create(bytes, n_bytes, 0, &why);
    zip = source ? zip_open_from_source(source, ZIP_RDONLY, &why) : NULL;
    if (!zip) {
        refuse(answer, "the zip archive cannot be read: %s", zip_error_strerror(&why));
        if (source)
            zip_source_free(source);
    }
    zip_error_fini(&why);
    return zip;
}

uint64_t archive_reach(size_t n_bytes)
{
    return 4 * (uint64_t)n_bytes + ARCHIVE_SPARE;
}

bool archive_open(const uint8_t *bytes, size_t n_bytes, const struct archive_limits *limits,
                  struct archive **out, char *error, size_t n_error)
{
    const struct answer answer = {error, n_error};
    const size_t most = limits ? limits->entries : ARCHIVE_MAX_ENTRIES;
    struct archive *archive = calloc(1, sizeof *archive);
    zip_int64_t n;
    *out = NULL;
    if (!archive)
        return refuse(&answer, "out of memory");
    archive->n_bytes = n_bytes;
    archive->together = limits ? limits->together : archive_reach(n_bytes);
    archive->zip = open_zip(bytes, n_bytes, &answer);
    if (!archive->zip) {
        archive_close(archive);
        return false;
    }
    n = zip_get_num_entries(archive->zip, 0);
    if (n < 0 || (uint64_t)n > most) {
        archive_close(archive);
        return refuse(&answer, "the zip archive has %lld entries, at most %zu are read", (long long)n, most);
    }
    archive->n_entries = (size_t)n;
    *out = archive;
    return true;
}

void archive_close(struct archive *archive)
{
    if (archive && archive->zip)
        zip_discard(archive->zip);
    free(archive);
}

size_t archive_count(const struct archive *archive)
{
    return archive->n_entries;
}

const char *archive_name(const struct archive *archive, size_t index)
{
    const char *name = zip_get_name(archive->zip, index, ZIP_FL_ENC_GUESS);
    return name ? name : "";
}

bool archive_find(const struct archive *archive, const char *name, size_t *index_out)
{
    zip_int64_t index = zip_name_locate(archive->zip, name, 0);
    *index_out = index < 0 ? 0 : (size_t)index;
    return index >= 0;
}

uint64_t archive_size(const struct archive *archive, size_t index)
{
    zip_stat_t stat;
    zip_stat_init(&stat);
    return zip_stat_index(archive->zip, index, 0, &stat) == 0 && stat.valid & ZIP_STAT_SIZE ? stat.size : 0;
}

/* Whether the entry's declared sizes can be true and are within bounds. */
static bool check_sizes(const struct archive *archive, const char *name, const zip_stat_t *stat,
                        const struct answer *answer)
{
    zip_uint64_t needed = ZIP_STAT_SIZE | ZIP_STAT_COMP_SIZE | ZIP_STAT_COMP_METHOD;
    bool stored = stat->comp_method == ZIP_CM_STORE;
    if ((stat->valid & needed) != needed)
        return refuse(answer, "entry '%.100s': the zip archive does not say its size", name);
    if (stat->valid & ZIP_STAT_ENCRYPTION_METHOD && stat->encryption_method != ZIP_EM_NONE)
        return refuse(answer, "entry '%.100s' is encrypted", name);
    if (!stored && stat->comp_method != ZIP_CM_DEFLATE)
        return refuse(answer, "entry '%.100s': zip method %u, expected stored (0) or deflated (8)", name,
                      stat->comp_method);
    if (stat->comp_size > archive->n_bytes)
        return refuse(answer, "entry '%.100s': %llu packed bytes, but the file has only %llu", name,
                      (unsigned long long)stat->comp_size, (unsigned long long)archive->n_bytes);
    if (stat->size > stat->comp_size * (stored ? 1 : DEFLATE_RATIO))
        return refuse(answer, "entry '%.100s': %llu bytes cannot come from %llu packed ones", name,
                      (unsigned long long)stat->size, (unsigned long long)stat->comp_size);
    if (stat->size > archive->together - archive->unpacked)
        return refuse(answer, "entry '%.100s' of %llu bytes: unpacked the archive would take more than %llu, "
                              "the most for a file of its size", name, (unsigned long long)stat->size,
                      (unsigned long long)archive->together);
    return true;
}

/* Read exactly n bytes and find the end after them, which also checks the zip's CRC. */
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

bool archive_read(struct archive *archive, size_t index, struct archive_bytes *out, char *error,
                  size_t n_error)
{
    const struct answer answer = {error, n_error};
    const char *name = archive_name(archive, index);
    zip_file_t *file;
    zip_stat_t stat;
    bool good;
    zip_stat_init(&stat);
    *out = (struct archive_bytes){NULL, 0};
    if (zip_stat_index(archive->zip, index, 0, &stat) != 0)
        return refuse(&answer, "entry '%.100s': %s", name, zip_strerror(archive->zip));
    if (!check_sizes(archive, name, &stat, &answer))
        return false;
    out->n_bytes = (size_t)stat.size;
    out->bytes = malloc(out->n_bytes + 1);
    file = out->bytes ? zip_fopen_index(archive->zip, index, 0) : NULL;
    good = file && read_exactly(file, out->bytes, out->n_bytes);
    if (!out->bytes)
        refuse(&answer, "out of memory");
    else if (!file)
        refuse(&answer, "entry '%.100s': %s", name, zip_strerror(archive->zip));
    else if (!good)
        refuse(&answer, "entry '%.100s': damaged, its packed data do not give the %zu bytes declared", name,
               out->n_bytes);
    if (file)
        zip_fclose(file);
    if (!good) {
        free(out->bytes);
        *out = (struct archive_bytes){NULL, 0};
    }
    archive->unpacked += good ? stat.size : 0;
    return good;
}

bool archive_recognise(const uint8_t *bytes, size_t n_bytes, bool (*accept)(const struct archive *archive))
{
    struct archive *archive;
    char error[1];
    bool good;
    if (n_bytes < 4 || memcmp(bytes, "PK\3\4", 4) != 0 ||
        !archive_open(bytes, n_bytes, NULL, &archive, error, sizeof error))
        return false;
    good = accept(archive);
    archive_close(archive);
    return good;
}
