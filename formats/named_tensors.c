/* SPDX-License-Identifier: MIT
 *
 * What all lists of named tensors share: names and sizes of element types, strides.
 */
#include "formats/named_tensors.h"

#include <stdlib.h>
#include <string.h>

struct dtype_row {
    const char *name;
    unsigned bits;
};

static const struct dtype_row dtype_rows[NT_DTYPES] = {
    [NT_BOOL] = {"BOOL", 8},       [NT_F4] = {"F4", 4},
    [NT_F6_E2M3] = {"F6_E2M3", 6}, [NT_F6_E3M2] = {"F6_E3M2", 6},
    [NT_U8] = {"U8", 8},           [NT_I8] = {"I8", 8},
    [NT_F8_E5M2] = {"F8_E5M2", 8}, [NT_F8_E4M3] = {"F8_E4M3", 8},
    [NT_F8_E8M0] = {"F8_E8M0", 8}, [NT_I16] = {"I16", 16},
    [NT_U16] = {"U16", 16},        [NT_F16] = {"F16", 16},
    [NT_BF16] = {"BF16", 16},      [NT_I32] = {"I32", 32},
    [NT_U32] = {"U32", 32},        [NT_F32] = {"F32", 32},
    [NT_C64] = {"C64", 64},        [NT_F64] = {"F64", 64},
    [NT_I64] = {"I64", 64},        [NT_U64] = {"U64", 64},
};

const char *named_dtype_name(enum named_dtype dtype)
{
    return dtype_rows[dtype].name;
}

unsigned named_dtype_bits(enum named_dtype dtype)
{
    return dtype_rows[dtype].bits;
}

void named_tensors_free(struct named_tensors *tensors)
{
    free(tensors->tensors);
    json_decref(tensors->facts);
    if (tensors->release)
        tensors->release(tensors->owner);
    memset(tensors, 0, sizeof *tensors);
}

/* The next index in row-major order, and the offset in elements that belongs to it. */
static void advance(const struct named_tensor *tensor, uint64_t *index, uint64_t *offset)
{
    for (uint32_t axis = tensor->rank; axis-- > 0;) {
        *offset += tensor->strides[axis];
        if (++index[axis] < tensor->dims[axis])
            return;
        *offset -= tensor->strides[axis] * tensor->dims[axis];
        index[axis] = 0;
    }
}

void named_tensor_gather(const struct named_tensor *tensor, uint8_t *out)
{
    size_t size = named_dtype_bits(tensor->dtype) / 8;
    uint64_t index[NAMED_MAX_RANK] = {0}, offset = 0;
    if (!tensor->strided) {
        memcpy(out, tensor->data, (size_t)tensor->count * size);
        return;
    }
    for (uint64_t i = 0; i < tensor->count; i++, out += size) {
        memcpy(out, tensor->data + offset * size, size);
        advance(tensor, index, &offset);
    }
}
