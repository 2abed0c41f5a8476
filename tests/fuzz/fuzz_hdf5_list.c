/* SPDX-License-Identifier: MIT
 *
 * Fuzz target: what the child process that runs libhdf5 may answer, which can be anything.
 */
#include "formats/keras/hdf5_file.h"
#include "tests/fuzz/import_check.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_arrays(const struct hdf5_file *file, size_t size)
{
    for (size_t i = 0; i < file->n_arrays; i++) {
        const struct hdf5_array *array = &file->arrays[i];
        import_demand(hdf5_file_array(file, array->path) != NULL, "an array that is not found");
        import_demand(array->rank <= HDF5_MAX_RANK, "a rank above the limit");
        if (array->data && array->count)
            import_demand(array->data >= file->bytes && array->count <= size &&
                          array->data + array->count <= file->bytes + size, "an array outside");
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct hdf5_file file;
    char error[HDF5_MESSAGE] = "";
    uint8_t *copy = malloc(size + 1);
    import_demand(copy != NULL, "no memory for the fuzzer itself");
    memcpy(copy, data, size);
    if (!hdf5_list_parse(copy, size, &file, error)) {
        import_demand(error[0] != '\0', "refused without a sentence");
        return 0;
    }
    check_arrays(&file, size);
    for (size_t i = 0; i < file.n_texts; i++)
        for (uint32_t j = 0; j < file.texts[i].n_strings; j++)
            import_demand(strlen(file.texts[i].strings[j]) < size, "a string outside");
    hdf5_file_free(&file);
    return 0;
}
