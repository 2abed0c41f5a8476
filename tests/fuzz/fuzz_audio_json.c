/* SPDX-License-Identifier: MIT
 *
 * Fuzz target: files of audio plugins. What is accepted runs, and a file's own count of
 * numbers bounds the weights of the model that is made of it.
 */
#include "tests/fuzz/import_check.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Every weight stands in the file with a digit of its own, but for gains and padding. */
static void check_weights(const uint8_t *data, size_t size)
{
    struct imported imported;
    size_t most = 1024;
    import_bytes(data, size, NULL, &imported);
    for (size_t i = 0; i < size; i++)
        most += data[i] >= '0' && data[i] <= '9';
    import_demand(!imported.good || imported.view.weight_bytes / sizeof(float) <= 4 * most,
                  "more weights than the file has numbers");
    imported_free(&imported);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    import_check(data, size, NULL);
    check_weights(data, size);
    return 0;
}
