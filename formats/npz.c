/* SPDX-License-Identifier: MIT
 *
 * .npz: the arrays of a zip archive, found by their names without ".npy" and unpacked one
 * at a time. See npz.h.
 */
#define _POSIX_C_SOURCE 200809L

#include "formats/npz.h"

#include <stdlib.h>
#include <string.h>

#include "formats/archive.h"
#include "formats/npy.h"

struct npz {
    struct archive *archive;
    size_t count;
    char **names; /* without ".npy" */
};

/* ---- opening ------------------------------------------------------------- */

static bool copy_name(struct npz *npz, size_t index, struct io_error *error)
{
    const char *name = archive_name(npz->archive, index);
    if (!*name)
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
    size_t n = archive_count(npz->archive);
    npz->names = calloc(n + 1, sizeof *npz->names);
    if (!npz->names)
        return io_fail(error, "out of memory");
    for (size_t i = 0; i < n; i++) {
        if (!copy_name(npz, i, error))
            return false;
    }
    return true;
}

bool npz_open(const void *bytes, size_t n_bytes, struct npz **out, struct io_error *error)
{
    /* Arrays are unpacked again each time that they are asked for. */
    static const struct archive_limits limits = {NPZ_MAX_ARRAYS, UINT64_MAX};
    *out = NULL;
    if (n_bytes == 0)
        return io_fail(error, "the file is empty, expected an npz archive");
    struct npz *npz = calloc(1, sizeof *npz);
    if (!npz)
        return io_fail(error, "out of memory");
    if (!archive_open(bytes, n_bytes, &limits, &npz->archive, error->text, sizeof error->text) ||
        !read_names(npz, error)) {
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
    archive_close(npz->archive);
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

static bool unpack(struct npz *npz, size_t index, struct tensor *out, struct io_error *error)
{
    struct archive_bytes file;
    struct io_error why;
    if (!archive_read(npz->archive, index, &file, error->text, sizeof error->text))
        return false;
    bool ok = npy_read(file.bytes, file.n_bytes, out, &why) ||
              io_fail(error, "array '%.64s': %.180s", npz->names[index], why.text);
    free(file.bytes);
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
    uint64_t mib = archive_size(npz->archive, index) >> 20;
    if (mib >= NPZ_MAX_ARRAY_MIB)
        return io_fail(error, "array '%.64s' is %llu MiB large, the limit is %d MiB", name,
                       (unsigned long long)mib, NPZ_MAX_ARRAY_MIB);
    return unpack(npz, index, out, error);
}
