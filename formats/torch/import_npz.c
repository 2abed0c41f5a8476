/* SPDX-License-Identifier: MIT
 *
 * NumPy's .npz as a weights file: each array is a tensor by its name; "rename" in the spec
 * gives them PyTorch's.
 */
#include <stdlib.h>
#include <string.h>

#include "formats/archive.h"
#include "formats/import_common.h"
#include "formats/import_rows.h"
#include "formats/npy.h"
#include "formats/spec.h"
#include "formats/torch/torch_model.h"

/* What owns names and data of the list. */
struct arrays {
    size_t n;
    struct array {
        struct archive_bytes file;
        char *name;
    } *arrays;
};

static bool is_npy(const char *name)
{
    size_t n = strlen(name);
    return n > 4 && strcmp(name + n - 4, ".npy") == 0;
}

static bool is_npz(const struct archive *archive)
{
    for (size_t i = 0; i < archive_count(archive); i++)
        if (!is_npy(archive_name(archive, i)))
            return false;
    return archive_count(archive) > 0;
}

static bool recognise(const uint8_t *bytes, size_t n_bytes)
{
    return archive_recognise(bytes, n_bytes, is_npz);
}

static void release(void *owner)
{
    struct arrays *arrays = owner;
    for (size_t i = 0; i < arrays->n; i++) {
        free(arrays->arrays[i].file.bytes);
        free(arrays->arrays[i].name);
    }
    free(arrays->arrays);
    free(arrays);
}

static bool read_type(const struct npy_header *header, struct named_tensor *out, struct import_error *error)
{
    static const struct {
        char kind;
        unsigned n_bytes;
        enum named_dtype dtype;
    } rows[] = {
        {'f', 4, NT_F32}, {'f', 8, NT_F64}, {'f', 2, NT_F16}, {'i', 8, NT_I64}, {'i', 4, NT_I32}, {'i', 2,
                                                                                                   NT_I16},
        {'i', 1, NT_I8},  {'u', 8, NT_U64}, {'u', 4, NT_U32}, {'u', 2, NT_U16}, {'u', 1, NT_U8},  {'b', 1,
                                                                                                   NT_BOOL},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        if (rows[i].kind == header->kind && rows[i].n_bytes == header->element_bytes) {
            out->dtype = rows[i].dtype;
            return true;
        }
    }
    return import_fail(error, "array '%.100s': elements of type '%c%u', which are not read", out->name,
                       header->kind,
                       header->element_bytes);
}

static void set_shape(const struct npy_header *header, struct named_tensor *out)
{
    uint64_t stride = 1;
    out->rank = header->rank;
    out->count = header->count;
    out->strided = header->fortran && header->rank > 1;
    for (uint32_t i = 0; i < header->rank; i++) {
        out->dims[i] = header->dims[i];
        out->strides[i] = stride; /* count fits, so this does */
        stride *= header->dims[i];
    }
}

static bool read_array(struct archive *archive, size_t index, struct array *array, struct named_tensor *out,
                       struct import_error *error)
{
    const char *name = archive_name(archive, index);
    size_t n = strlen(name) - strlen(".npy");
    struct npy_header header;
    struct io_error why;
    if (!archive_read(archive, index, &array->file, error->text, sizeof error->text))
        return false;
    array->name = calloc(n + 1, 1);
    if (!array->name)
        return import_fail(error, "out of memory");
    memcpy(array->name, name, n);
    out->name = array->name;
    if (!npy_read_header(array->file.bytes, array->file.n_bytes, &header, &why))
        return import_fail(error, "array '%.100s': %s", array->name, why.text);
    if (header.big_endian && header.element_bytes > 1)
        return import_fail(error, "array '%.100s': big-endian; save it in little-endian order", array->name);
    out->data = array->file.bytes + header.data_offset;
    out->n_bytes = array->file.n_bytes - header.data_offset;
    set_shape(&header, out);
    return read_type(&header, out, error);
}

static bool read_arrays(struct archive *archive, struct named_tensors *out, struct import_error *error)
{
    struct arrays *arrays = calloc(1, sizeof *arrays);
    size_t n = archive_count(archive);
    if (!arrays)
        return import_fail(error, "out of memory");
    out->owner = arrays;
    out->release = release;
    if (n > NAMED_MAX_TENSORS)
        return import_fail(error, "%zu arrays, at most %d are read", n, NAMED_MAX_TENSORS);
    arrays->arrays = calloc(n, sizeof *arrays->arrays);
    out->tensors = calloc(n, sizeof *out->tensors);
    if (!arrays->arrays || !out->tensors)
        return import_fail(error, "out of memory");
    for (size_t i = 0; i < n; i++) {
        arrays->n = out->n_tensors = i + 1;
        if (!read_array(archive, i, &arrays->arrays[i], &out->tensors[i], error))
            return false;
    }
    return true;
}

static bool import_with_spec(const struct import_source *source, const json_t *spec,
                             struct model_builder *builder, struct import_error *error)
{
    struct named_tensors tensors = {.tensors = NULL};
    struct archive *archive;
    bool good;
    if (!archive_open(source->bytes, source->n_bytes, NULL, &archive, error->text, sizeof error->text))
        return false;
    good = read_arrays(archive, &tensors, error) && torch_import(source, &tensors, spec, builder, error);
    named_tensors_free(&tensors);
    archive_close(archive);
    return good;
}

static bool import_npz(const struct import_source *source, struct model_builder *builder,
                       struct import_error *error)
{
    json_t *spec;
    bool good;
    if (!spec_read(source->spec, source->n_spec, &spec, error))
        return false;
    good = import_with_spec(source, spec, builder, error);
    json_decref(spec);
    return good;
}

const struct importer importer_npz = {
    .name = "npz",
    .uses_spec = true,
    .recognise = recognise,
    .import = import_npz,
};
