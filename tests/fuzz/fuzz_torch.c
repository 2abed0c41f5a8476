/* SPDX-License-Identifier: MIT
 *
 * Fuzz target: files of torch.save, pickles of arrays and npz. The checksums of a zip stop
 * mutations at the door, so the input is also tried as the body of a legacy file, which has none.
 */
#include "tests/fuzz/import_check.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* What stands before the object pickle: the magic number, the protocol, the system. */
static const uint8_t before[] = {
    0x80, 2, 0x8a, 10, 0x6c, 0xfc, 0x9c, 0x46, 0xf9, 0x20, 0x6a, 0xa8, 0x50, 0x19, '.',
    0x80, 2, 'M', 0xe9, 0x03, '.', 0x80, 2, '}', '.',
};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char spec[] = "{\"rename\": {\"w\": \"fc.weight\"}, \"ignore\": [\"x.*\"]}";
    uint8_t *whole = malloc(sizeof before + size);
    import_demand(whole != NULL, "no memory for the fuzzer itself");
    memcpy(whole, before, sizeof before);
    if (size)
        memcpy(whole + sizeof before, data, size);
    import_check(whole, sizeof before + size, NULL);
    import_check(data, size, NULL);
    import_check(data, size, spec);
    free(whole);
    return 0;
}
