/* SPDX-License-Identifier: MIT
 *
 * .npz through libzip, from memory. A declared size is believed only as far as deflate
 * could reach it from the packed bytes that are there. See npz.h.
 */
#define _POSIX_C_SOURCE 200809L

#include "formats/npz.h"

#include <stdlib.h>
#include <string.h>
#include <zip.h>

#include "formats/npy.h"

/* Deflate cannot pack better than 1032 : 1. */
enum { DEFLATE_RATIO = 1032 };

struct npz {
    zip_t *zip;
    size_t n_bytes;
    size_t count;
    char **names; /* without ".npy" */
};

/* ---- opening ------------------------------------------------------------- */

static zip_t *open_zip(const void *bytes, size_t n_bytes, struct io_error *error)
{
    zip_error_t why;
    zip_error_init(&why);
    zip_source_t *source = zip_source_buffer_create(bytes, n_bytes, 0, &why);
    zip_t *zip = source ? zip_open_from_source(source, ZIP_RDONLY, &why) : NULL;
    if (!zip) {
        io_fail(error, "not a readable npz (zip) file: %s", zip_error_strerror(&why));
        if (source)
            zip_source_free(source);
    }
    zip_error_fini(&why);
    return zip;
}

static bool copy_name(struct npz *npz, size_t index, struct io_error *error)
{
    const char *name = zip_get_name(npz->zip, index, ZIP_FL_ENC_GUESS);
    if (!name)
        return io_fail(error, "the name of entry %zu of the zip cannot be read", index);
    size_t n = strlen(name);
    if (n > 4 && strcmp(name + n - 4, ".npy") == 0)
        n -= 4;
    npz->names[index] = strndup(name, n);
    if (!npz->names[index])
        return io_fail(error, "out of memory");
    npz->count = index + 1;
    return true;
}

static bool read_names(struct npz *npz, struct io_error *error)
{
    zip_int64_t n = zip_get_num_entries(npz->zip, 0);
    if (n < 0 || n > NPZ_MAX_ARRAYS)
        return io_fail(error, "the zip has %lld entries, expected at most %d", (long long)n, NPZ_MAX_ARRAYS);
    npz->names = calloc((size_t)n + 1, sizeof *npz->names);
    if (!npz->names)
        return io_fail(error, "out of memory");
    for (size_t i = 0; i < (size_t)n; i++) {
        if (!copy_name(npz, i, error))
            return false;
    }
    return true;
}

bool npz_open(const void *bytes, size_t n_bytes, struct npz **out, struct io_error *error)
{
    *out = NULL;
    if (n_bytes == 0)
        return io_fail(error, "the file is empty, expected an npz archive");
    struct npz *npz = calloc(1, sizeof *npz);
    if (!npz)
        return io_fail(error, "out of memory");
    npz->n_bytes = n_bytes;
    npz->zip = open_zip(bytes, n_bytes, error);
    if (!npz->zip || !read_names(npz, error)) {
        npz_close(npz);
        return false;
    }
    *out = npz;
    return true;
}

void npz_close(struct npz *npz)
{
    if (!npz)
        return;
    for (size_t i = 0; i < npz->count; i++)
        free(npz->names[i]);
    free(npz->names);
    if (npz->zip)
        zip_discard(npz->zip);
    free(npz);
}

size_t npz_count(const struct npz *npz)
{
    return npz->count;
}

const char *npz_name(const struct npz *npz, size_t index)
{
    return npz->names[index];
}

/* ---- one array ----------------------------------------------------------- */

/* Whether the entry's declared sizes can be true and are within bounds. */
static bool check_sizes(const struct npz *npz, const char *name, const zip_stat_t *stat,
                        struct io_error *error)
{
    zip_uint64_t needed = ZIP_STAT_SIZE | ZIP_STAT_COMP_SIZE | ZIP_STAT_COMP_METHOD;
    if ((stat->valid & needed) != needed)
        return io_fail(error, "array '%.64s': the zip does not say its size", name);
    if (stat->valid & ZIP_STAT_ENCRYPTION_METHOD && stat->encryption_method != ZIP_EM_NONE)
        return io_fail(error, "array '%.64s' is encrypted, expected a plain npz", name);
    if (stat->comp_method != ZIP_CM_STORE && stat->comp_method != ZIP_CM_DEFLATE)
        return io_fail(error, "array '%.64s': zip method %u, expected stored (0) or deflated (8)", name,
                       stat->comp_method);
    if (stat->comp_size > npz->n_bytes)
        return io_fail(error, "array '%.64s': %llu packed bytes, but the file has only %zu", name,
                       (unsigned long long)stat->comp_size, npz->n_bytes);
    if (stat->size >> 20 >= NPZ_MAX_ARRAY_MIB)
        return io_fail(error, "array '%.64s' is %llu MiB large, the limit is %d MiB", name,
                       (unsigned long long)(stat->size >> 20), NPZ_MAX_ARRAY_MIB);
    zip_uint64_t reach = stat->comp_size * (stat->comp_method == ZIP_CM_STORE ? 1 : DEFLATE_RATIO);
    if (stat->size > reach)
        return io_fail(error, "array '%.64s': %llu bytes cannot come from %llu packed ones", name,
                       (unsigned long long)stat->size, (unsigned long long)stat->comp_size);
    return true;
}

/* Read exactly n bytes and find the end after them, which also checks the zip's CRC. */
static bool read_exactly(zip_file_t *file, uint8_t *bytes, size_t n)
{
    for (size_t done = 0; done < n;) {
        zip_int64_t got = zip_fread(file, bytes + done, n - done);
        if (got <= 0)
            return false;
        done += (size_t)got;
    }
    uint8_t extra;
    return zip_fread(file, &extra, 1) == 0;
}

static bool unpack(struct npz *npz, size_t index, const zip_stat_t *stat, struct tensor *out,
                   struct io_error *error)
{
    const char *name = npz->names[index];
    size_t n = (size_t)stat->size;
    uint8_t *bytes = malloc(n + 1);
    if (!bytes)
        return io_fail(error, "array '%.64s': out of memory for %zu bytes", name, n);
    bool ok = false;
    zip_file_t *file = zip_fopen_index(npz->zip, index, 0);
    if (!file) {
        io_fail(error, "array '%.64s': %s", name, zip_strerror(npz->zip));
    } else if (!read_exactly(file, bytes, n)) {
        io_fail(error, "array '%.64s': damaged, the packed data do not give the %zu bytes declared", name, n);
    } else {
        struct io_error why;
        ok = npy_read(bytes, n, out, &why) || io_fail(error, "array '%.64s': %.180s", name, why.text);
    }
    if (file)
        zip_fclose(file);
    free(bytes);
    return ok;
}

bool npz_read(struct npz *npz, const char *name, struct tensor *out, struct io_error *error)
{
    *out = (struct tensor){0};
    size_t index = 0;
    while (index < npz->count && strcmp(npz->names[index], name) != 0)
        index++;
    if (index == npz->count)
        return io_fail(error, "no array is named '%.64s' among the %zu there", name, npz->count);
    zip_stat_t stat;
    zip_stat_init(&stat);
    if (zip_stat_index(npz->zip, index, 0, &stat) != 0)
        return io_fail(error, "array '%.64s': %s", name, zip_strerror(npz->zip));
    return check_sizes(npz, name, &stat, error) && unpack(npz, index, &stat, out, error);
}
