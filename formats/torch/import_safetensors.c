/* SPDX-License-Identifier: MIT
 *
 * The safetensors importer: the file's tensors are modules by their names.
 */
#include "formats/import_common.h"
#include "formats/import_rows.h"
#include "formats/torch/safetensors.h"
#include "formats/spec.h"
#include "formats/torch/torch_model.h"

static bool import_safetensors(const struct import_source *source, struct model_builder *builder,
                               struct import_error *error)
{
    struct named_tensors tensors;
    json_t *spec;
    bool good;
    if (!spec_read(source->spec, source->n_spec, &spec, error))
        return false;
    good = safetensors_read(source->bytes, source->n_bytes, &tensors, error->text, sizeof error->text);
    if (good) {
        good = torch_import(source, &tensors, spec, builder, error);
        named_tensors_free(&tensors);
    }
    json_decref(spec);
    return good;
}

const struct importer importer_safetensors = {
    .name = "safetensors",
    .uses_spec = true,
    .recognise = safetensors_recognise,
    .import = import_safetensors,
};
