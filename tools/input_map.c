/* SPDX-License-Identifier: MIT
 *
 * Mapped input files, see input_map.h.
 */
#include "tools/input_map.h"

#include "tools/cleanup.h"
#include "tools/say.h"

bool input_map(const char *path, struct mapfile *file)
{
    char reason[200];
    if (!mapfile_open(path, file, reason, sizeof reason))
        return complain("%s: %s", path, reason);
    cleanup_watch(file->bytes, file->n_bytes, path);
    return true;
}

bool input_unmap(struct mapfile *file, bool good)
{
    cleanup_watch(NULL, 0, NULL);
    mapfile_close(file);
    return good;
}
