/* SPDX-License-Identifier: MIT
 *
 * Files as memory, on POSIX systems. The descriptor stays open so that a change of
 * the very file that is mapped, not of one of the same name, is noticed.
 */
#define _DEFAULT_SOURCE 1

#include "formats/mapfile.h"

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

/* The handle is the descriptor plus 1, so that it is not NULL for an open file. */
static int descriptor_of(const struct mapfile *file)
{
    return (int)(intptr_t)file->handle - 1;
}

static bool fail_errno(int code, char *error, size_t n_error)
{
    char reason[128];
    if (strerror_r(code, reason, sizeof reason) != 0)
        snprintf(reason, sizeof reason, "error %d", code);
    snprintf(error, n_error, "%s", reason);
    return false;
}

static const char *kind_of(mode_t mode)
{
    if (S_ISDIR(mode))
        return "a directory";
    if (S_ISFIFO(mode))
        return "a pipe";
    if (S_ISSOCK(mode))
        return "a socket";
    return "a device";
}

static bool map_descriptor(int fd, struct mapfile *out, char *error, size_t n_error)
{
    struct stat status;
    if (fstat(fd, &status) != 0)
        return fail_errno(errno, error, n_error);
    if (!S_ISREG(status.st_mode)) {
        snprintf(error, n_error, "it is %s, a regular file is needed", kind_of(status.st_mode));
        return false;
    }
    if ((uintmax_t)status.st_size > SIZE_MAX) {
        snprintf(error, n_error, "%jd bytes are more than this machine can map",
                 (intmax_t)status.st_size);
        return false;
    }
    out->n_bytes = (size_t)status.st_size;
    out->bytes = "";
    if (out->n_bytes > 0) {
        void *mapped = mmap(NULL, out->n_bytes, PROT_READ, MAP_PRIVATE, fd, 0);
        if (mapped == MAP_FAILED)
            return fail_errno(errno, error, n_error);
        out->bytes = mapped;
    }
    out->handle = (void *)(intptr_t)(fd + 1);
    return true;
}

bool mapfile_open(const char *path, struct mapfile *out, char *error, size_t n_error)
{
    memset(out, 0, sizeof *out);
    /* A pipe without a writer must be refused, not waited for. */
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    if (fd < 0)
        return fail_errno(errno, error, n_error);
    if (map_descriptor(fd, out, error, n_error))
        return true;
    close(fd);
    memset(out, 0, sizeof *out);
    return false;
}

static void *mapped_address(const struct mapfile *file)
{
    return (void *)(uintptr_t)file->bytes;
}

void mapfile_close(struct mapfile *file)
{
    if (!file->handle)
        return;
    if (file->n_bytes > 0)
        munmap(mapped_address(file), file->n_bytes);
    close(descriptor_of(file));
    memset(file, 0, sizeof *file);
}

bool mapfile_unchanged(const struct mapfile *file)
{
    struct stat status;
    return file->handle && fstat(descriptor_of(file), &status) == 0 &&
           (uintmax_t)status.st_size == file->n_bytes;
}

void mapfile_release(const struct mapfile *file)
{
    if (file->handle && file->n_bytes > 0)
        (void)madvise(mapped_address(file), file->n_bytes, MADV_DONTNEED);
}
