/* SPDX-License-Identifier: MIT
 *
 * A PyTorch state_dict as JSON of nested lists, which RTNeural's helpers read: imported as
 * other files of named tensors are, with the same names, order and --spec.
 */
#include <stdio.h>
#include <stdlib.h>

#include "formats/audio/audio_json.h"
#include "formats/import_rows.h"
#include "formats/named_tensors.h"
#include "formats/spec.h"
#include "formats/torch/torch_model.h"

enum { MAX_RANK = 4, MAX_TENSORS = 4096 };

static bool recognise(const uint8_t *bytes, size_t n_bytes)
{
    static const char *const endings[] = {"weight_ih_l0", "weight_ih", ".weight", ".bias"};
    for (size_t i = 0; i < sizeof endings / sizeof *endings; i++)
        if (audio_json_has_key(bytes, n_bytes, endings[i], true))
            return true;
    return audio_json_has_key(bytes, n_bytes, "state_dict", false);
}

/* As the first elements have it; audio_numbers finds out whether the others agree. */
static bool shape_of(const struct audio_file *file, const json_t *value, struct named_tensor *out)
{
    out->count = 1;
    for (; json_is_array(value); value = json_array_get(value, 0)) {
        size_t n = json_array_size(value);
        if (out->rank == MAX_RANK || n == 0 || n > MODEL_MAX_DIM)
            return import_fail(file->error, "state_dict.%.100s: an array of %zu in level %u; up to %d levels "
                               "with 1 to %d in each are supported", out->name, n, out->rank, MAX_RANK,
                               MODEL_MAX_DIM);
        out->dims[out->rank++] = n;
        out->count = out->count > SIZE_MAX / n ? SIZE_MAX : out->count * n; /* a lie is found below */
    }
    return true;
}

static bool read_tensor(const struct audio_file *file, const char *name, const json_t *value,
                        struct named_tensor *out)
{
    uint32_t dims[MAX_RANK];
    char place[120];
    snprintf(place, sizeof place, "state_dict.%.100s", name);
    *out = (struct named_tensor){.name = name, .dtype = NT_F32};
    if (!shape_of(file, value, out))
        return false;
    for (uint32_t i = 0; i < out->rank; i++)
        dims[i] = (uint32_t)out->dims[i];
    out->data = (const uint8_t *)audio_numbers(file, value, place, out->rank, dims);
    out->n_bytes = out->count * sizeof(float);
    return out->data != NULL;
}

static void free_tensors(struct named_tensors *tensors)
{
    for (size_t i = 0; i < tensors->n_tensors; i++)
        free((void *)(uintptr_t)tensors->tensors[i].data);
    free(tensors->tensors);
}

static bool read_tensors(const struct audio_file *file, struct named_tensors *out)
{
    json_t *inner = json_object_get(file->root, "state_dict");
    json_t *dict = json_is_object(inner) && json_object_size(file->root) == 1 ? inner : file->root;
    const size_t n = json_object_size(dict);
    const char *name;
    json_t *value;
    *out = (struct named_tensors){0};
    if (n == 0 || n > MAX_TENSORS)
        return import_fail(file->error, "%zu tensors, expected 1 to %d", n, MAX_TENSORS);
    out->tensors = calloc(n, sizeof *out->tensors);
    if (!out->tensors)
        return import_fail(file->error, "out of memory");
    json_object_foreach(dict, name, value)
        if (!read_tensor(file, name, value, &out->tensors[out->n_tensors++]))
            return false;
    return true;
}

static bool import_dict(const struct audio_file *file, struct model_builder *builder, const json_t *spec)
{
    struct named_tensors tensors;
    bool good = read_tensors(file, &tensors) &&
                torch_import(file->source, &tensors, spec, builder, file->error);
    free_tensors(&tensors);
    return good;
}

static bool import(const struct import_source *source, struct model_builder *builder,
                   struct import_error *error)
{
    struct audio_file file;
    json_t *spec;
    bool good;
    if (!spec_read(source->spec, source->n_spec, &spec, error))
        return false;
    good = audio_file_open(&file, source, error);
    if (good) {
        good = import_dict(&file, builder, spec);
        audio_file_close(&file);
    }
    json_decref(spec);
    return good;
}

const struct importer importer_torch_json = {
    .name = "state_dict JSON", .uses_spec = true, .recognise = recognise, .import = import,
};
