/* SPDX-License-Identifier: MIT
 *
 * ONNX files in tests: the seeds, as bytes and as messages that a test edits and packs again.
 */
#include "tests/onnx_files.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct file read_seed(const char *name)
{
    struct file file = {malloc(1 << 16), 0};
    const char *source = getenv("LSTMRUN_SOURCE");
    char path[500];
    FILE *stream;
    snprintf(path, sizeof path, "%s/tests/seeds/onnx/%s.onnx", source ? source : ".", name);
    stream = fopen(path, "rb");
    cr_assert(stream && file.bytes, "%s cannot be read", path);
    file.n_bytes = fread(file.bytes, 1, 1 << 16, stream);
    fclose(stream);
    return file;
}

Onnx__ModelProto *unpack_seed(const char *name)
{
    struct file file = read_seed(name);
    Onnx__ModelProto *model = onnx__model_proto__unpack(NULL, file.n_bytes, file.bytes);
    cr_assert(model, "%s", name);
    free(file.bytes);
    return model;
}

struct file pack(const Onnx__ModelProto *model)
{
    struct file file = {malloc(onnx__model_proto__get_packed_size(model) + 1), 0};
    cr_assert(file.bytes);
    file.n_bytes = onnx__model_proto__pack(model, file.bytes);
    return file;
}

Onnx__TensorProto *find_tensor(Onnx__ModelProto *model, const char *name)
{
    for (size_t i = 0; i < model->graph->n_initializer; i++)
        if (strcmp(model->graph->initializer[i]->name, name) == 0)
            return model->graph->initializer[i];
    cr_assert(false, "no tensor %s", name);
    return NULL;
}

Onnx__NodeProto *find_output(Onnx__ModelProto *model, const char *output)
{
    for (size_t i = 0; i < model->graph->n_node; i++)
        if (strcmp(model->graph->node[i]->output[0], output) == 0)
            return model->graph->node[i];
    cr_assert(false, "no node for %s", output);
    return NULL;
}

/* Strings of unpacked messages are on the heap. */
void rename_to(char **text, const char *to)
{
    free(*text);
    *text = malloc(strlen(to) + 1);
    strcpy(*text, to);
}

void expect_types(const struct imported *imported, uint32_t n, const uint32_t *types)
{
    cr_assert_eq(imported->view.n_layers, n, "%u layers", imported->view.n_layers);
    for (uint32_t i = 0; i < n; i++) {
        struct model_layer layer;
        model_get_layer(&imported->view, i, &layer);
        cr_assert_eq(layer.type, types[i], "layer %u is of type %u", i, layer.type);
    }
}

struct imported import_seed(const char *name, const char *spec)
{
    struct file file = read_seed(name);
    struct imported imported;
    import_bytes(file.bytes, file.n_bytes, spec, &imported);
    free(file.bytes);
    cr_assert(imported.good, "%s: %s", name, imported.error);
    return imported;
}

/* Number k of a tensor in make_onnx_seeds.py. */
float seed_number(size_t k)
{
    return (float)((int)(k * 7 % 23) - 11) / 16;
}
