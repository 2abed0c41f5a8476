/* SPDX-License-Identifier: MIT
 *
 * The Keras importer: .keras archives and HDF5 files. Here configuration and weights are
 * found; keras_graph.c makes layers of them.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "formats/import_common.h"
#include "formats/import_rows.h"
#include "formats/json_text.h"
#include "formats/keras/keras_archive.h"
#include "formats/keras/keras_internal.h"
#include "formats/spec.h"

enum { CONFIG_DEPTH = 200, CONFIG_VALUES = 500000 };

#define HDF5_MAGIC "\x89HDF\r\n\x1a\n"

static bool is_hdf5(const uint8_t *bytes, size_t n_bytes)
{
    return n_bytes >= 8 && memcmp(bytes, HDF5_MAGIC, 8) == 0;
}

static bool recognise(const uint8_t *bytes, size_t n_bytes)
{
    return is_hdf5(bytes, n_bytes) || keras_archive_recognise(bytes, n_bytes);
}

/* ---- parsing ------------------------------------------------------------- */

static bool parse(const char *text, size_t n_bytes, const char *what, json_t **out,
                  struct import_error *error)
{
    const struct json_limits limits = {CONFIG_DEPTH, CONFIG_VALUES};
    char why[300];
    *out = json_text_parse(text, n_bytes, limits, why, sizeof why);
    if (!*out)
        return import_fail(error, "%s: %s", what, why);
    return json_is_object(*out) || import_fail(error, "%s: expected an object", what);
}

/* "3.15.1" to 3; 0: not known. */
static int major_of(const char *version)
{
    int major = version ? atoi(version) : 0;
    return major >= 1 && major <= 9 ? major : 0;
}

/* ---- building ------------------------------------------------------------ */

/* The outermost object: {"class_name", "config"}, or the config alone. */
static bool find_model(const struct keras_work *work, const json_t *root, struct keras_model *out)
{
    const char *class_name = json_string_value(json_object_get(root, "class_name"));
    const json_t *layers = json_object_get(root, "layers");
    *out = (struct keras_model){.class_name = class_name, .config = json_object_get(root, "config")};
    if (!class_name && json_is_array(layers)) {
        out->config = root;
        out->class_name = json_object_get(root, "output_layers") ? "Functional" : "Sequential";
        return true;
    }
    if (!class_name)
        return import_fail(work->error, "the model's configuration has no \"class_name\"");
    if (!keras_is_model(class_name))
        return import_fail(work->error,
                           "the model is of class %.100s; a class of one's own keeps its graph in "
                           "Python. Supported are Sequential and functional models", class_name);
    return true;
}

/* Keras's own names ("sequential_3", "model") tell nobody anything. */
static void set_name(const struct keras_work *work, const json_t *config)
{
    const char *name = json_string_value(json_object_get(config, "name"));
    static const char *const usual[] = {"sequential", "functional", "model"};
    char text[KERAS_MAX_NAME + 1];
    struct keras_layer layer = {.name = name};
    for (size_t i = 0; name && i < sizeof usual / sizeof *usual; i++) {
        size_t n = strlen(usual[i]);
        if (strncmp(name, usual[i], n) == 0 && strspn(name + n, "_0123456789") == strlen(name + n))
            name = NULL;
    }
    if (name && *name)
        model_set_metadata(work->builder, "name", keras_name(&layer, text));
}

static bool build(struct keras_work *work, const struct keras_parts *parts, uint32_t *value_out)
{
    struct keras_model model;
    struct keras_tensor out = {0};
    if (!find_model(work, parts->model, &model))
        return false;
    if (work->major == 1)
        return import_fail(work->error, "it was written by Keras 1 (%.40s); supported are 2 and 3",
                           parts->version);
    if (!keras_add_model(work, &model, NULL, &out))
        return false;
    if (work->n_layers == 0)
        return import_fail(work->error, "the model has no layer that does anything");
    if (out.value == 0)
        return import_fail(work->error, "the model's output is its input");
    if (!work->output && !keras_check_all_used(work))
        return false;
    set_name(work, model.config);
    model_set_output(work->builder, out.value);
    *value_out = out.value;
    return true;
}

bool keras_build(const struct import_source *source, const struct keras_parts *parts,
                 struct model_builder *builder, uint32_t *value_out, struct import_error *error)
{
    struct keras_work work = {.source = source, .builder = builder, .error = error, .file = parts->weights,
                              .output = parts->output, .major = major_of(parts->version),
                              .in_order = parts->in_order};
    const char *version = json_string_value(json_object_get(parts->model, "keras_version"));
    bool good;
    if (version)
        work.major = major_of(version);
    else if (!work.major && json_object_get(parts->model, "module"))
        work.major = 3;
    work.used = calloc(parts->weights->n_arrays + 1, sizeof *work.used);
    good = work.used ? build(&work, parts, value_out) : import_fail(error, "out of memory");
    free(work.used);
    return good;
}

/* ---- the spec ------------------------------------------------------------ */

static bool check_spec(const json_t *spec, struct import_error *error)
{
    static const char *const known[] = {"name", "author", "license", "description", "sample_rate", "labels",
                                        "metadata", "output"};
    const char *key;
    json_t *value;
    json_object_foreach((json_t *)spec, key, value) {
        bool found = false;
        for (size_t i = 0; i < sizeof known / sizeof *known; i++)
            found = found || strcmp(key, known[i]) == 0;
        if (!found)
            return spec_fail(error,
                             "$.%s: a Keras file holds its whole model; it takes only name, author, license, "
                             "description, sample_rate, labels, metadata and output from a spec", key);
    }
    return true;
}

/* Of a file that holds its configuration: metadata, and which output. */
static bool build_with_spec(const struct import_source *source, struct keras_parts *parts,
                            struct model_builder *builder, struct import_error *error)
{
    struct model_value input, output;
    json_t *spec;
    uint32_t value;
    bool good;
    if (!spec_read(source->spec, source->n_spec, &spec, error))
        return false;
    parts->output = json_string_value(json_object_get(spec, "output"));
    good = check_spec(spec, error) && keras_build(source, parts, builder, &value, error);
    if (good && json_object_size(spec) && model_builder_value(builder, 0, &input) &&
        model_builder_value(builder, value, &output))
        good = spec_set_metadata(spec, builder, &(struct metadata_sizes){input.size, output.size}, error);
    json_decref(spec);
    return good;
}

/* Of weights alone: the configuration, as model.to_json() gives it. */
static bool build_from_weights(const struct import_source *source, const struct hdf5_file *file,
                               const char *version, struct model_builder *builder, struct import_error *error)
{
    struct keras_parts parts = {.version = version, .weights = file};
    uint32_t value;
    bool good;
    if (!source->spec)
        return import_fail(error, "an HDF5 file of weights without the model's configuration; give what "
                           "model.to_json() returns with --spec");
    good = parse(source->spec, source->n_spec, "--spec", &parts.model, error) &&
           keras_build(source, &parts, builder, &value, error);
    error->of_spec = false;
    json_decref(parts.model);
    return good;
}

/* ---- the two kinds of files ---------------------------------------------- */

static const char *one_string(const struct hdf5_file *file, const char *path, const char *name)
{
    const struct hdf5_text *text = hdf5_file_text(file, path, name);
    return text && text->n_strings == 1 ? text->strings[0] : NULL;
}

static bool import_listed(const struct import_source *source, const struct hdf5_file *file,
                          struct model_builder *builder, struct import_error *error)
{
    const char *config = one_string(file, "", "model_config");
    struct keras_parts parts = {.version = one_string(file, "", "keras_version"), .weights = file};
    bool good;
    if (!parts.version)
        parts.version = one_string(file, "model_weights", "keras_version");
    if (!config)
        return build_from_weights(source, file, parts.version, builder, error);
    good = parse(config, strlen(config), "model_config", &parts.model, error) &&
           build_with_spec(source, &parts, builder, error);
    json_decref(parts.model);
    return good;
}

/* What training needs and running does not. */
static const char *const skipped[] = {"optimizer_weights", "optimizer", "metrics", "compile_metrics", NULL};

static bool import_hdf5(const struct import_source *source, struct model_builder *builder,
                        struct import_error *error)
{
    struct hdf5_file file;
    char why[HDF5_MESSAGE];
    bool good;
    if (!hdf5_file_read(source->bytes, source->n_bytes, skipped, &file, why))
        return import_fail(error, "%s", why);
    good = import_listed(source, &file, builder, error);
    hdf5_file_free(&file);
    return good;
}

static bool import_parts(const struct import_source *source, const struct keras_archive *archive,
                         const struct hdf5_file *file, struct model_builder *builder,
                             struct import_error *error)
{
    struct keras_parts parts = {.weights = file, .in_order = true};
    json_t *metadata = NULL;
    bool good = parse((const char *)archive->config.bytes, archive->config.n_bytes, "config.json",
                      &parts.model,
                      error);
    if (good && archive->metadata.bytes)
        good = parse((const char *)archive->metadata.bytes, archive->metadata.n_bytes, "metadata.json",
                     &metadata,
                     error);
    parts.version = json_string_value(json_object_get(metadata, "keras_version"));
    good = good && build_with_spec(source, &parts, builder, error);
    json_decref(parts.model);
    json_decref(metadata);
    return good;
}

static bool import_archive(const struct import_source *source, struct model_builder *builder,
                           struct import_error *error)
{
    struct keras_archive archive;
    struct hdf5_file file;
    char why[HDF5_MESSAGE];
    bool good;
    if (!keras_archive_read(source->bytes, source->n_bytes, &archive, why))
        return import_fail(error, "%s", why);
    good = is_hdf5(archive.weights.bytes, archive.weights.n_bytes) ||
           import_fail(error, "model.weights.h5 is no HDF5 file");
    if (good && !hdf5_file_read(archive.weights.bytes, archive.weights.n_bytes, skipped, &file, why))
        good = import_fail(error, "model.weights.h5: %s", why);
    else if (good) {
        good = import_parts(source, &archive, &file, builder, error);
        hdf5_file_free(&file);
    }
    keras_archive_free(&archive);
    return good;
}

static bool import_keras(const struct import_source *source, struct model_builder *builder,
                         struct import_error *error)
{
    if (is_hdf5(source->bytes, source->n_bytes))
        return import_hdf5(source, builder, error);
    return import_archive(source, builder, error);
}

const struct importer importer_keras = {
    .name = "Keras", .uses_spec = true, .recognise = recognise, .import = import_keras,
};
