/* SPDX-License-Identifier: MIT
 *
 * A safetensors file as a list of named tensors inside the caller's bytes. Strict: what
 * the format's description forbids is refused, whatever other readers do.
 */
#ifndef LSTMRUN_FORMATS_SAFETENSORS_H
#define LSTMRUN_FORMATS_SAFETENSORS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    SAFETENSORS_MAX_RANK = 8,
    SAFETENSORS_MAX_TENSORS = 65536,
    /* The format allows 100,000,000; a header that long lists no weights of use here. */
    SAFETENSORS_MAX_HEADER = 1 << 25,
};

enum safetensors_dtype {
    ST_BOOL, ST_F4, ST_F6_E2M3, ST_F6_E3M2, ST_U8, ST_I8, ST_F8_E5M2, ST_F8_E4M3, ST_F8_E8M0,
    ST_I16, ST_U16, ST_F16, ST_BF16, ST_I32, ST_U32, ST_F32, ST_C64, ST_F64, ST_I64, ST_U64,
    ST_DTYPES
};

struct safetensor {
    const char *name;
    enum safetensors_dtype dtype;
    uint32_t rank;
    uint64_t dims[SAFETENSORS_MAX_RANK];
    uint64_t count; /* product of dims */
    const uint8_t *data;
    uint64_t n_bytes;
};

struct safetensors {
    struct safetensor *tensors; /* in the header's order */
    size_t n_tensors;
    void *json; /* private: owns the names */
};

/* Whether the bytes begin as a safetensors file does. */
bool safetensors_recognise(const uint8_t *bytes, size_t n_bytes);

/* False: `error` (of `n_error` bytes) says what is wrong and where; nothing is left to free. */
bool safetensors_read(const uint8_t *bytes, size_t n_bytes, struct safetensors *out, char *error,
                      size_t n_error);
void safetensors_free(struct safetensors *file);

const char *safetensors_dtype_name(enum safetensors_dtype dtype);

#endif
