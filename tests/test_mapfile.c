/* SPDX-License-Identifier: MIT
 *
 * Mapping files: what is refused and how it is said, and noticing that a file changed.
 */
#define _DEFAULT_SOURCE 1

#include <criterion/criterion.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "formats/mapfile.h"

enum { PATH_BYTES = 4096, ERROR_BYTES = PATH_BYTES + 256 };

static void join(char *out, const char *folder, const char *name)
{
    const int n = snprintf(out, PATH_BYTES, "%s/%s", folder, name);
    cr_assert(n >= 0 && n < PATH_BYTES, "%s/%s: longer than %d bytes", folder, name, PATH_BYTES - 1);
}

/* A new folder for one test, where mktemp would make it: in TMPDIR, or where that is not set or empty in the
 * system's. */
static void make_folder(char *path)
{
    const char *base = getenv("TMPDIR");
    join(path, base && *base ? base : P_tmpdir, "lstmrun-test-XXXXXX");
    cr_assert_not_null(mkdtemp(path), "%s: %s", path, strerror(errno));
}

static void write_text(const char *path, const char *text)
{
    FILE *file = fopen(path, "wb");
    cr_assert_not_null(file);
    cr_assert_eq(fwrite(text, 1, strlen(text), file), strlen(text));
    cr_assert_eq(fclose(file), 0);
}

static void expect_refused(const char *path, const char *reason)
{
    struct mapfile file;
    char error[ERROR_BYTES] = "";
    cr_expect_not(mapfile_open(path, &file, error, sizeof error), "%s", path);
    cr_expect_not_null(strstr(error, reason), "%s: '%s', expected '%s'", path, error, reason);
    cr_expect_null(file.handle);
    cr_expect_eq(file.n_bytes, 0);
    mapfile_close(&file);
}

Test(mapfile, refused_with_a_reason)
{
    char folder[PATH_BYTES], path[PATH_BYTES];
    make_folder(folder);
    expect_refused(folder, "a directory");
    join(path, folder, "missing");
    expect_refused(path, strerror(ENOENT));
    expect_refused("", strerror(ENOENT));
    expect_refused("/dev/null", "a device");
    join(path, folder, "pipe");
    cr_assert_eq(mkfifo(path, 0600), 0);
    expect_refused(path, "a pipe");
    unlink(path);
    rmdir(folder);
}

Test(mapfile, short_error_buffer)
{
    struct mapfile file;
    char error[8] = "xxxxxxx";
    cr_expect_not(mapfile_open("/", &file, error, sizeof error));
    cr_expect_eq(strlen(error), sizeof error - 1);
}

Test(mapfile, empty_file)
{
    char folder[PATH_BYTES], path[PATH_BYTES], error[256];
    struct mapfile file;
    make_folder(folder);
    join(path, folder, "empty");
    write_text(path, "");
    cr_assert(mapfile_open(path, &file, error, sizeof error), "%s", error);
    cr_expect_eq(file.n_bytes, 0);
    cr_expect_not_null(file.bytes);
    cr_expect(mapfile_unchanged(&file));
    mapfile_release(&file);
    mapfile_close(&file);
    mapfile_close(&file);
    cr_expect_not(mapfile_unchanged(&file));
    unlink(path);
    rmdir(folder);
}

Test(mapfile, bytes_stay_after_release_and_unlink)
{
    char folder[PATH_BYTES], path[PATH_BYTES], error[256];
    struct mapfile file;
    make_folder(folder);
    join(path, folder, "some");
    write_text(path, "some bytes");
    cr_assert(mapfile_open(path, &file, error, sizeof error), "%s", error);
    cr_assert_eq(file.n_bytes, 10);
    cr_expect_arr_eq(file.bytes, "some bytes", 10);
    mapfile_release(&file);
    cr_expect_arr_eq(file.bytes, "some bytes", 10);
    unlink(path);
    cr_expect(mapfile_unchanged(&file));
    cr_expect_arr_eq(file.bytes, "some bytes", 10);
    mapfile_close(&file);
    rmdir(folder);
}

Test(mapfile, changed_size)
{
    char folder[PATH_BYTES], path[PATH_BYTES], other[PATH_BYTES], error[256];
    struct mapfile file;
    make_folder(folder);
    join(path, folder, "some");
    join(other, folder, "other");
    write_text(path, "some bytes");
    cr_assert(mapfile_open(path, &file, error, sizeof error), "%s", error);
    cr_expect(mapfile_unchanged(&file));
    cr_assert_eq(truncate(path, 3), 0);
    cr_expect_not(mapfile_unchanged(&file), "shorter");
    cr_assert_eq(truncate(path, 10), 0);
    cr_expect(mapfile_unchanged(&file), "only the size is looked at");
    write_text(other, "another file");
    cr_assert_eq(rename(other, path), 0);
    cr_expect(mapfile_unchanged(&file), "another file of the same name is none of our business");
    mapfile_close(&file);
    unlink(path);
    rmdir(folder);
}
