/* SPDX-License-Identifier: MIT
 *
 * NumPy's .npy files: every version of the header, whole and floating types of either
 * byte order, C and Fortran order, all converted to f32; f32 is written.
 */
#ifndef LSTMRUN_FORMATS_NPY_H
#define LSTMRUN_FORMATS_NPY_H

#include "formats/tensor.h"

struct npy_header {
    uint32_t rank;
    size_t dims[TENSOR_MAX_RANK];
    size_t count;           /* product of dims */
    char kind;              /* 'f', 'i', 'u' or 'b' as in NumPy's type strings */
    unsigned element_bytes; /* 1, 2, 4 or 8 */
    bool big_endian;
    bool fortran;
    size_t data_offset;     /* where the elements start */
};

/* Read and check the header of a whole file: afterwards count · element_bytes is just
 * what follows data_offset. */
bool npy_read_header(const void *bytes, size_t n_bytes, struct npy_header *out,
                     struct io_error *error);

/* Elements [first, first + n) in row-major order as f32 (round to nearest). `bytes` is
 * the whole file that the header came from. */
void npy_get(const struct npy_header *header, const void *bytes, size_t first, size_t n,
             float *out);

/* Element `index` with all its digits, to tell a number that f32 cannot hold from an
 * infinity; of an array of kind 'f' and 8 bytes. */
double npy_get_double(const struct npy_header *header, const void *bytes, size_t index);

/* A whole file at once. */
bool npy_read(const void *bytes, size_t n_bytes, struct tensor *out, struct io_error *error);

/* The header of a row-major f32 file. Its length does not depend on the numbers in
 * `dims`, so a file of unknown length can be started with a 0 and corrected at the end. */
enum { NPY_HEADER_BYTES = 320 };
void npy_write_header(uint32_t rank, const size_t *dims, char out[NPY_HEADER_BYTES]);

#endif
