/* SPDX-License-Identifier: MIT
 *
 * Fuzz target: .npy. What is accepted has as many numbers as its shape says and as the file has bytes for,
 * each of them the same when read alone, and is equal after writing and reading it again.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "formats/npy.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void demand(bool holds, const char *what)
{
    if (!holds) {
        fprintf(stderr, "fuzz_npy: %s\n", what);
        abort();
    }
}

static void check_elements(const uint8_t *data, size_t size, const struct tensor *tensor)
{
    struct npy_header header;
    struct io_error error;
    size_t count;
    demand(npy_read_header(data, size, &header, &error), "the header is accepted as the file was");
    demand(tensor_count(tensor->rank, tensor->dims, &count) && count == tensor->count, "shape and count");
    demand(header.count == count && header.count * header.element_bytes == size - header.data_offset,
           "count and bytes");
    for (size_t i = 0; i < count; i += 1 + count / 64) {
        float alone;
        npy_get(&header, data, i, 1, &alone);
        demand(memcmp(&alone, &tensor->data[i], sizeof alone) == 0, "an element read alone");
    }
}

static void check_again(const struct tensor *tensor)
{
    struct io_error error;
    struct tensor again;
    size_t n_bytes = NPY_HEADER_BYTES + tensor->count * sizeof(float);
    char *bytes = malloc(n_bytes);
    demand(bytes != NULL, "memory");
    npy_write_header(tensor->rank, tensor->dims, bytes);
    if (tensor->count)
        memcpy(bytes + NPY_HEADER_BYTES, tensor->data, tensor->count * sizeof(float));
    demand(npy_read(bytes, n_bytes, &again, &error), error.text);
    demand(again.rank == tensor->rank && memcmp(again.dims, tensor->dims, sizeof again.dims) == 0,
           "same shape");
    demand(!tensor->count || memcmp(again.data, tensor->data, tensor->count * sizeof(float)) == 0,
           "same numbers");
    tensor_free(&again);
    free(bytes);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct io_error error = {""};
    struct tensor tensor;
    if (npy_read(data, size, &tensor, &error)) {
        check_elements(data, size, &tensor);
        check_again(&tensor);
        tensor_free(&tensor);
    } else {
        demand(error.text[0] && !tensor.data, "a refusal has a sentence and no data");
    }
    return 0;
}
