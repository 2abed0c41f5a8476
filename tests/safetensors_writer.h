/* SPDX-License-Identifier: MIT
 *
 * Safetensors files made in memory, for the suites of the reader and the importer.
 */
#ifndef LSTMRUN_TESTS_SAFETENSORS_WRITER_H
#define LSTMRUN_TESTS_SAFETENSORS_WRITER_H

#include "formats/torch/safetensors.h"

struct st_writer {
    char *header; /* entries so far, without the outer braces */
    size_t n_header;
    uint8_t *data;
    size_t n_data;
};

/* Add a tensor whose numbers f32, f64, f16 and bf16 hold exactly. */
void st_add(struct st_writer *writer, const char *name, enum named_dtype dtype, uint32_t rank,
            const uint64_t *dims, const float *numbers);

/* Add `n_bytes` zero bytes as a tensor of any type. */
void st_add_zeros(struct st_writer *writer, const char *name, enum named_dtype dtype,
                  uint64_t count, size_t n_bytes);

/* The file's bytes, malloc'd; the writer starts anew. */
uint8_t *st_finish(struct st_writer *writer, size_t *n_bytes_out);

/* A file of this header text and `n_data` zero bytes. */
uint8_t *st_of_text(const char *header, size_t n_data, size_t *n_bytes_out);

#endif
