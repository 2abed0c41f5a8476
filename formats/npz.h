/* SPDX-License-Identifier: MIT
 *
 * NumPy's .npz files: a zip of .npy arrays, stored or deflated.
 */
#ifndef LSTMRUN_FORMATS_NPZ_H
#define LSTMRUN_FORMATS_NPZ_H

#include "formats/tensor.h"

struct npz;

enum {
    NPZ_MAX_ARRAYS = 4096,
    NPZ_MAX_ARRAY_MIB = 1024, /* of one array, unpacked */
};

/* `bytes` is borrowed and must stay unchanged until npz_close. */
bool npz_open(const void *bytes, size_t n_bytes, struct npz **out, struct io_error *error);
void npz_close(struct npz *npz); /* accepts NULL */

/* Arrays in file order; names as given to numpy.savez, without ".npy". */
size_t npz_count(const struct npz *npz);
const char *npz_name(const struct npz *npz, size_t index);

/* Unpack one array; refused if there is none of that name. */
bool npz_read(struct npz *npz, const char *name, struct tensor *out, struct io_error *error);

#endif
