/* SPDX-License-Identifier: MIT
 *
 * A list of named tensors: what a weights file of any format comes down to. Readers fill
 * it, torch_model.c makes a model of it, and neither knows of the other.
 */
#ifndef LSTMRUN_FORMATS_NAMED_TENSORS_H
#define LSTMRUN_FORMATS_NAMED_TENSORS_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { NAMED_MAX_RANK = 8, NAMED_MAX_TENSORS = 65536 };

enum named_dtype {
    NT_BOOL, NT_F4, NT_F6_E2M3, NT_F6_E3M2, NT_U8, NT_I8, NT_F8_E5M2, NT_F8_E4M3, NT_F8_E8M0,
    NT_I16, NT_U16, NT_F16, NT_BF16, NT_I32, NT_U32, NT_F32, NT_C64, NT_F64, NT_I64, NT_U64,
    NT_DTYPES
};

struct named_tensor {
    const char *name;
    enum named_dtype dtype;
    uint32_t rank;
    uint64_t dims[NAMED_MAX_RANK];
    uint64_t count;      /* product of dims */
    const uint8_t *data; /* the first element; little-endian, any alignment */
    uint64_t n_bytes;    /* from the first element to the end of the last */
    bool strided;        /* else row-major without gaps */
    uint64_t strides[NAMED_MAX_RANK]; /* if strided: elements from one index to the next */
};

struct named_tensors {
    struct named_tensor *tensors; /* malloc'd; in the file's order */
    size_t n_tensors;
    /* What the file says of its modules besides their tensors, or NULL. An object of
     *   "modules"  hints in the form of the spec's "modules", which go before these
     *   "order"    all modules in the order of their definition
     *   "behind"   {module: [entries of the spec's "layers"]} that run right after it
     *   "unplaced" [names of layers without weights whose place only a spec can tell] */
    json_t *facts;
    void *owner; /* of names and data, ended by release(owner) */
    void (*release)(void *owner);
};

void named_tensors_free(struct named_tensors *tensors);

/* "F32"; the name that safetensors files have for it. */
const char *named_dtype_name(enum named_dtype dtype);
unsigned named_dtype_bits(enum named_dtype dtype);

/* Copy the tensor's elements, of whole bytes each, to `out` in row-major order. */
void named_tensor_gather(const struct named_tensor *tensor, uint8_t *out);

#endif
