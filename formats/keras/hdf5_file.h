/* SPDX-License-Identifier: MIT
 *
 * What an HDF5 file holds, as a bounded list: arrays of numbers and texts (attributes) by
 * path. The HDF5 library is not made for hostile files, so it runs in a child process
 * (hdf5_process.c) that sends this list through a pipe; what comes out is checked here.
 */
#ifndef LSTMRUN_FORMATS_HDF5_FILE_H
#define LSTMRUN_FORMATS_HDF5_FILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    HDF5_MAX_ITEMS = 65536, /* arrays and texts together */
    HDF5_MAX_RANK = 4,
    HDF5_MAX_DEPTH = 32,    /* groups inside one another */
    HDF5_MAX_PATH = 4096,
    HDF5_MAX_TEXT_MIB = 16, /* all texts together */
    HDF5_MESSAGE = 400,
};

enum hdf5_dtype { HDF5_F32, HDF5_F64, HDF5_F16, HDF5_BF16, HDF5_OTHER /* no numbers are kept */ };

/* Paths have no slash at either end. Numbers are little-endian at any alignment. */
struct hdf5_array {
    const char *path;
    enum hdf5_dtype dtype;
    uint32_t rank;
    uint32_t dims[HDF5_MAX_RANK];
    size_t count;
    const uint8_t *data; /* NULL for HDF5_OTHER */
};

/* An attribute of one or more strings; `path` is its object's ("" for the root). */
struct hdf5_text {
    const char *path, *name;
    uint32_t n_strings;
    const char *const *strings;
};

struct hdf5_file {
    struct hdf5_array *arrays; /* sorted by path */
    struct hdf5_text *texts;   /* sorted by path, then name */
    size_t n_arrays, n_texts;
    uint8_t *bytes; /* what the pointers above point into */
    const char **strings;
};

/* Read a file in memory. Groups of the root named in `skip` (NULL-terminated) are passed
 * over. False: `error` (HDF5_MESSAGE bytes) has one sentence. */
bool hdf5_file_read(const uint8_t *bytes, size_t n_bytes, const char *const *skip, struct hdf5_file *out,
                    char *error);
void hdf5_file_free(struct hdf5_file *file);

/* NULL: there is none. */
const struct hdf5_array *hdf5_file_array(const struct hdf5_file *file, const char *path);
const struct hdf5_text *hdf5_file_text(const struct hdf5_file *file, const char *path, const char *name);

/* Whether any array lies in the group. */
bool hdf5_file_has_group(const struct hdf5_file *file, const char *path);

bool hdf5_fail(char *error, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* ---- the list as bytes, for the two processes and the tests ----------------
 *
 * Records, integers in the machine's order; a string is a u32 and that many bytes, of
 * which the last is NUL:
 *   u32 HDF5_RECORD_ARRAY, string path, u32 dtype, u32 rank, rank u32, u64 n_bytes, data
 *   u32 HDF5_RECORD_TEXT, string path, string name, u32 n, n strings
 *   u32 HDF5_RECORD_FAILED, string why: ends the list
 *   u32 HDF5_RECORD_END
 */
enum { HDF5_RECORD_ARRAY = 1, HDF5_RECORD_TEXT = 2, HDF5_RECORD_FAILED = 3, HDF5_RECORD_END = 4 };

/* Takes over `bytes` (malloc'd), also when it fails. */
bool hdf5_list_parse(uint8_t *bytes, size_t n_bytes, struct hdf5_file *out, char *error);

/* The child's part: write the list of the HDF5 file in memory to `fd`. Does not return. */
struct hdf5_job {
    const uint8_t *bytes;
    size_t n_bytes;
    const char *const *skip;
    uint64_t n_max; /* bytes of all numbers */
};
_Noreturn void hdf5_child_run(const struct hdf5_job *job, int fd);

/* Whether this build can read HDF5 at all. */
extern const bool hdf5_supported;

#endif
