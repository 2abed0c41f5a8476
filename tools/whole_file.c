/* SPDX-License-Identifier: MIT
 *
 * Output files that appear whole or not at all, see whole_file.h.
 */
#define _GNU_SOURCE

#include "tools/whole_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tools/cleanup.h"
#include "tools/say.h"

static void forget(struct whole_file *file)
{
    free(file->target);
    free(file->temporary);
    *file = (struct whole_file){.slot = -1};
}

/* The file to be replaced and the access rights it has; false after a message. */
static bool find_target(struct whole_file *file, bool *special, mode_t *mode)
{
    struct stat status;
    *special = false;
    *mode = 0;
    if (stat(file->path, &status) != 0) {
        file->target = strdup(file->path);
        return file->target || complain("%s: out of memory", file->path);
    }
    if (S_ISDIR(status.st_mode))
        return complain("%s: is a directory, expected a file to write", file->path);
    if (access(file->path, W_OK) != 0)
        return complain("%s: cannot be written: %s", file->path, strerror(errno));
    *special = !S_ISREG(status.st_mode);
    if (*special)
        return true;
    *mode = status.st_mode & 0777;
    file->target = realpath(file->path, NULL);
    return file->target || complain("%s: %s", file->path, strerror(errno));
}

static bool open_beside(struct whole_file *file, mode_t mode)
{
    if (asprintf(&file->temporary, "%s.%ld.part", file->target, (long)getpid()) < 0) {
        file->temporary = NULL;
        return complain("%s: out of memory", file->path);
    }
    file->slot = cleanup_remove(file->temporary);
    if (file->slot < 0)
        return complain("%s: the path is too long", file->path);
    int fd = open(file->temporary, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    if (fd < 0) {
        cleanup_keep(file->slot);
        return complain("%s: cannot be written: %s", file->path, strerror(errno));
    }
    if (mode)
        (void)!fchmod(fd, mode); /* not possible on every file system, and no harm */
    file->file = fdopen(fd, "w+");
    if (file->file)
        return true;
    close(fd);
    unlink(file->temporary);
    cleanup_keep(file->slot);
    return complain("%s: out of memory", file->path);
}

bool whole_file_open(const char *path, struct whole_file *out)
{
    bool special, ok;
    mode_t mode;
    *out = (struct whole_file){.path = path, .slot = -1};
    ok = find_target(out, &special, &mode);
    if (ok && special) {
        out->file = fopen(path, "we");
        ok = out->file || complain("%s: cannot be written: %s", path, strerror(errno));
    } else if (ok) {
        ok = open_beside(out, mode);
    }
    if (!ok)
        forget(out);
    return ok;
}

bool whole_file_commit(struct whole_file *file)
{
    bool failed = ferror(file->file) != 0;
    errno = failed ? EIO : 0;
    failed |= fflush(file->file) != 0;
    int why = errno;
    if (fclose(file->file) != 0 && !failed) {
        failed = true;
        why = errno;
    }
    file->file = NULL;
    if (!failed && file->temporary && rename(file->temporary, file->target) != 0) {
        failed = true;
        why = errno;
    }
    if (failed)
        complain("%s: cannot be written: %s", file->path, strerror(why));
    if (failed && file->temporary)
        unlink(file->temporary);
    if (file->slot >= 0)
        cleanup_keep(file->slot);
    forget(file);
    return !failed;
}

void whole_file_abandon(struct whole_file *file)
{
    if (!file->file)
        return;
    fclose(file->file);
    if (file->temporary)
        unlink(file->temporary);
    if (file->slot >= 0)
        cleanup_keep(file->slot);
    forget(file);
}
