/* SPDX-License-Identifier: MIT
 *
 * Fuzz target: the ONNX importer. Whatever it accepts becomes a model file that the
 * reader takes, with an output chosen by --spec or not, inputs fixed and frames joined or not.
 */
#include "tests/fuzz/import_check.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    import_check(data, size, NULL);
    import_check(data, size, "{\"output\": \"y\", \"constants\": {\"sr\": 16000}, \"input\": "
                             "{\"size\": 2}}");
    import_check(data, size, "{\"constants\": {\"sr\": 8000}, \"input\": {\"size\": 6, \"context\": 3}}");
    return 0;
}
