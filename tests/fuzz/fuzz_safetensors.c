/* SPDX-License-Identifier: MIT
 *
 * Fuzz target: the safetensors reader and importer. The input is a file; so that headers
 * survive mutation of their length, the length is also tried put right.
 */
#include "formats/torch/safetensors.h"
#include "tests/fuzz/import_check.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* The tensors of an accepted file cover its data area, no byte twice. */
static void check_tiling(const struct named_tensors *file, const uint8_t *data, size_t size)
{
    size_t sum = 0, header = 0;
    for (unsigned i = 0; i < 8; i++)
        header |= (size_t)data[i] << 8 * i;
    for (size_t i = 0; i < file->n_tensors; i++) {
        const struct named_tensor *tensor = &file->tensors[i];
        import_demand(tensor->data >= data + 8 + header && tensor->data <= data + size &&
                      tensor->n_bytes <= (size_t)(data + size - tensor->data), "a tensor outside");
        sum += tensor->n_bytes;
    }
    import_demand(sum == size - 8 - header, "bytes that belong to no tensor");
}

static void try_file(const uint8_t *data, size_t size)
{
    struct named_tensors file;
    char error[300] = "";
    if (safetensors_read(data, size, &file, error, sizeof error)) {
        check_tiling(&file, data, size);
        named_tensors_free(&file);
    } else {
        import_demand(error[0] != '\0', "refused without a sentence");
    }
    import_check(data, size, NULL);
}

/* Length that ends the header behind the first line end, which a writer never has inside. */
static void try_repaired(const uint8_t *data, size_t size)
{
    const uint8_t *end = size > 9 ? memchr(data + 9, '\n', size - 9) : NULL;
    uint8_t *copy;
    if (!end)
        return;
    copy = malloc(size);
    import_demand(copy != NULL, "no memory for the fuzzer itself");
    memcpy(copy, data, size);
    for (unsigned i = 0; i < 8; i++)
        copy[i] = (uint8_t)((size_t)(end + 1 - data - 8) >> 8 * i);
    try_file(copy, size);
    free(copy);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    try_file(data, size);
    try_repaired(data, size);
    return 0;
}
