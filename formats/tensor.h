/* SPDX-License-Identifier: MIT
 *
 * An array of f32 as the tensor files (npy, npz, csv, wav) give it to tools and
 * tests, and how their readers report what is wrong. Not part of the library.
 */
#ifndef LSTMRUN_FORMATS_TENSOR_H
#define LSTMRUN_FORMATS_TENSOR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { TENSOR_MAX_RANK = 8 };

/* Row-major; a number alone has rank 0 and count 1. */
struct tensor {
    uint32_t rank;
    size_t dims[TENSOR_MAX_RANK];
    size_t count; /* product of dims */
    float *data;  /* malloc'd; NULL when count is 0 */
};

/* One sentence without newline and without the file's name: the caller puts it in front. */
struct io_error {
    char text[256];
};

/* printf into error->text; returns false so that callers can `return io_fail(…)`.
 * What a file holds may be put in: control characters become '?'. */
bool io_fail(struct io_error *error, const char *format, ...) __attribute__((format(printf, 2, 3)));

void tensor_free(struct tensor *tensor);

/* "[3, 4]" for messages; `text` holds at least TENSOR_SHAPE_TEXT bytes. */
enum { TENSOR_SHAPE_TEXT = 24 * TENSOR_MAX_RANK };
const char *tensor_shape_text(uint32_t rank, const size_t *dims, char *text);

/* Product of dims; false if it does not fit. */
bool tensor_count(uint32_t rank, const size_t *dims, size_t *count_out);

#endif
