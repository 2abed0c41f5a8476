/* SPDX-License-Identifier: MIT
 *
 * Where figures go.
 */
#define _GNU_SOURCE
#include "bench/job.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static bool to_stdout(const struct job *job)
{
    return job->json && strcmp(job->json, "-") == 0;
}

bool job_prints(const struct job *job)
{
    return !to_stdout(job);
}

/* Under another name first, so that a file is there whole or not at all. */
static bool write_file(const json_t *figures, const char *path)
{
    char *beside = NULL;
    if (asprintf(&beside, "%s.%ld.tmp", path, (long)getpid()) < 0)
        return false;
    errno = 0;
    const bool ok = json_dump_file(figures, beside, JSON_INDENT(1)) == 0 && rename(beside, path) == 0;
    if (!ok) {
        fprintf(stderr, "lstmbench: %s: cannot be written: %s\n", path, strerror(errno));
        remove(beside);
    }
    free(beside);
    return ok;
}

bool job_write_json(const struct job *job, json_t *figures)
{
    bool ok = true;
    if (to_stdout(job)) {
        ok = json_dumpf(figures, stdout, JSON_INDENT(1)) == 0 && putchar('\n') != EOF;
    } else if (job->json) {
        ok = write_file(figures, job->json);
    }
    json_decref(figures);
    return ok;
}
