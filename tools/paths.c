/* SPDX-License-Identifier: MIT
 *
 * Questions about paths, see paths.h.
 */
#define _POSIX_C_SOURCE 200809L

#include "tools/paths.h"

#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

bool path_has_extension(const char *path, const char *const *extensions)
{
    const char *slash = strrchr(path, '/'), *dot = strrchr(slash ? slash : path, '.');
    if (!dot)
        return false;
    for (size_t i = 0; extensions[i]; i++) {
        if (strcasecmp(dot + 1, extensions[i]) == 0)
            return true;
    }
    return false;
}

/* A file that exists, or the folder of one that does not and its name there. */
struct identity {
    dev_t device;
    ino_t inode;
    const char *name; /* "" for a file that exists */
};

static bool identify(const char *path, struct identity *out)
{
    struct stat status;
    char folder[PATH_MAX];
    if (!path || strcmp(path, "-") == 0)
        return false;
    out->name = "";
    if (stat(path, &status) == 0) {
        if (!S_ISREG(status.st_mode))
            return false;
    } else {
        const char *slash = strrchr(path, '/');
        int n = slash ? (int)(slash - path) + 1 : 1;
        out->name = slash ? slash + 1 : path;
        if (strlen(path) >= sizeof folder)
            return false;
        snprintf(folder, sizeof folder, "%.*s", n, slash ? path : ".");
        if (stat(folder, &status) != 0)
            return false;
    }
    out->device = status.st_dev;
    out->inode = status.st_ino;
    return true;
}

bool path_same_file(const char *a, const char *b)
{
    struct identity one, other;
    return identify(a, &one) && identify(b, &other) && one.device == other.device &&
           one.inode == other.inode && strcmp(one.name, other.name) == 0;
}

bool path_is_special(const char *path)
{
    struct stat status;
    return stat(path, &status) == 0 && !S_ISREG(status.st_mode) && !S_ISDIR(status.st_mode);
}

bool path_is_terminal(const char *path)
{
    struct stat status;
    /* Opening a pipe would disturb whoever waits at its other end. */
    if (stat(path, &status) != 0 || !S_ISCHR(status.st_mode))
        return false;
    int fd = open(path, O_WRONLY | O_NOCTTY | O_NONBLOCK | O_CLOEXEC);
    if (fd < 0)
        return false;
    bool terminal = isatty(fd);
    close(fd);
    return terminal;
}
