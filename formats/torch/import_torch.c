/* SPDX-License-Identifier: MIT
 *
 * The importers of torch.save and torch.jit.save, and of pickled dicts of NumPy arrays.
 */
#include "formats/import_common.h"
#include "formats/import_rows.h"
#include "formats/spec.h"
#include "formats/torch/torch_file.h"
#include "formats/torch/torch_model.h"

static bool import_collected(const struct import_source *source, struct torch_file *file, const json_t *spec,
                             struct model_builder *builder, struct import_error *error)
{
    struct named_tensors tensors;
    bool good;
    if (!torch_collect(file, source->key, &tensors, error))
        return false;
    good = torch_import(source, &tensors, spec, builder, error);
    named_tensors_free(&tensors);
    return good;
}

static bool import_file(const struct import_source *source, struct model_builder *builder,
                        struct import_error *error)
{
    struct torch_file file;
    json_t *spec;
    bool good;
    if (!spec_read(source->spec, source->n_spec, &spec, error))
        return false;
    good = torch_file_open(source->bytes, source->n_bytes, &file, error) &&
           import_collected(source, &file, spec, builder, error);
    torch_file_close(&file);
    json_decref(spec);
    return good;
}

const struct importer importer_torch = {
    .name = "PyTorch",
    .uses_spec = true,
    .uses_key = true,
    .recognise = torch_file_recognise,
    .import = import_file,
};

const struct importer importer_pickle = {
    .name = "pickle",
    .uses_spec = true,
    .uses_key = true,
    .recognise = torch_file_recognise_pickle,
    .import = import_file,
};
