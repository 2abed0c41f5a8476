/* SPDX-License-Identifier: MIT
 *
 * PyTorch files made in memory, well-formed or not: pickles written opcode by opcode, and
 * the two containers around them.
 */
#ifndef LSTMRUN_TESTS_TORCH_WRITER_H
#define LSTMRUN_TESTS_TORCH_WRITER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct bytes {
    uint8_t *data;
    size_t n;
};

void put(struct bytes *to, const void *data, size_t n);
void put_line(struct bytes *to, const char *opcodes); /* a C string */
void put_text(struct bytes *to, const char *text);
void put_int(struct bytes *to, int64_t number);
void put_float(struct bytes *to, double number);
void put_global(struct bytes *to, const char *module, const char *name);

/* A tensor as torch.save has it. Zero-initialise: storage "0" of FloatStorage. */
struct pickled_tensor {
    const char *storage, *key; /* "HalfStorage", "3" */
    int64_t numel;             /* of the storage; 0: as many as the dimensions need */
    int64_t offset;
    unsigned rank;
    int64_t dims[9];
    int64_t strides[9]; /* all 0: row-major */
};

void put_tensor(struct bytes *to, const struct pickled_tensor *tensor);

/* A storage of the archive. */
struct storage {
    const char *key;
    const void *data;
    size_t n;       /* bytes */
    size_t numel;   /* for the legacy form */
};

enum zip_how { ZIP_STORED, ZIP_DEFLATED };

/* archive/data.pkl with PROTO, `pickle` and STOP, and archive/data/KEY; ended by free. `more` is one
 * further entry, its name under archive/; NULL: none. */
uint8_t *torch_zip(const struct bytes *pickle, const struct storage *storages, size_t n_storages,
                   const struct storage *more, enum zip_how how, size_t *n_out);
uint8_t *torch_legacy(const struct bytes *pickle, const struct storage *storages, size_t n_storages,
                      size_t *n_out);

/* Any zip archive of these entries. */
uint8_t *make_zip(const struct storage *entries, size_t n_entries, enum zip_how how, size_t *n_out);

#endif
