/* SPDX-License-Identifier: MIT
 *
 * Fuzz target: the Keras importer behind libhdf5. The input is a configuration, a NUL and a
 * list of arrays as in keras_parts.h.
 */
#include "tests/fuzz/import_check.h"
#include "tests/keras_parts.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(const uint8_t *data, size_t size, const char *version)
{
    const uint8_t *end = size ? memchr(data, '\0', size) : NULL;
    const char *list = end ? (const char *)end + 1 : "";
    struct imported imported;
    keras_parts_import((const char *)data, end ? (size_t)(end - data) : size, list,
                       end ? size - (size_t)(end - data) - 1 : 0, version, &imported);
    import_checked(&imported);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    check(data, size, "3.15.1");
    check(data, size, "2.4.3");
    return 0;
}
