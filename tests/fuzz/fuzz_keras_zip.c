/* SPDX-License-Identifier: MIT
 *
 * Fuzz target: the zip layer of .keras files. What is unpacked stays within the limits.
 */
#include "formats/keras/keras_archive.h"
#include "tests/fuzz/import_check.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_member(const struct archive_bytes *member, size_t size)
{
    size_t sum = 0;
    import_demand(member->n_bytes <= 4 * size + ((size_t)64 << 20), "more than the limit");
    for (size_t i = 0; i < member->n_bytes; i++)
        sum += member->bytes[i];
    import_demand(sum <= 255 * member->n_bytes, "bytes that cannot be");
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct keras_archive archive;
    char error[KERAS_ARCHIVE_MESSAGE] = "";
    keras_archive_recognise(data, size);
    if (keras_archive_read(data, size, &archive, error)) {
        import_demand(archive.config.bytes && archive.weights.bytes, "a member is missing");
        check_member(&archive.config, size);
        check_member(&archive.metadata, size);
        check_member(&archive.weights, size);
        keras_archive_free(&archive);
    } else {
        import_demand(error[0] != '\0', "refused without a sentence");
    }
    return 0;
}
