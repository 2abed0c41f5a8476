/* SPDX-License-Identifier: MIT
 *
 * ONNX files: recognised, parsed within bounded memory, understood by the onnx_*.c files
 * and written to the builder in one go. onnx.proto says which fields are read.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "formats/import_rows.h"
#include "formats/onnx/onnx_internal.h"
#include "formats/spec.h"

/* What an import may take beside the file's own bytes: parsed messages, values, decoded
 * weights. Files of many tiny messages need the most. */
enum { MEMORY_PER_BYTE = 24, MEMORY_BASE = 8 << 20, NEWEST_OPSET_TRIED = 20, MAX_OUTPUTS = 1000 };

/* ---- memory -------------------------------------------------------------- */

struct onnx_chunk {
    struct onnx_chunk *next;
    size_t size, used;
    _Alignas(16) unsigned char bytes[];
};

void *onnx_arena_alloc(struct onnx_arena *arena, size_t n, size_t size)
{
    struct onnx_chunk *chunk = arena->chunks;
    size_t bytes, room;
    void *out;
    if (__builtin_mul_overflow(n, size, &bytes) || bytes > SIZE_MAX / 2)
        return NULL;
    bytes = (bytes + 15) & ~(size_t)15;
    if (!chunk || chunk->size - chunk->used < bytes) {
        room = bytes > 4096 ? bytes : 4096;
        if (room > arena->left)
            return NULL;
        chunk = calloc(1, sizeof *chunk + room);
        if (!chunk)
            return NULL;
        chunk->size = room;
        chunk->next = arena->chunks;
        arena->chunks = chunk;
        arena->left -= room;
    }
    out = chunk->bytes + chunk->used;
    chunk->used += bytes;
    return out;
}

void onnx_arena_release(struct onnx_arena *arena, struct onnx_chunk *down_to)
{
    while (arena->chunks != down_to) {
        struct onnx_chunk *chunk = arena->chunks;
        arena->chunks = chunk->next;
        arena->left += chunk->size;
        free(chunk);
    }
}

/* The parser's allocator: each block knows its size, so that freeing gives room back. */
static void *parser_alloc(void *left, size_t size)
{
    size_t *room = left, *block, bytes = size + 16;
    if (size > SIZE_MAX - 16 || bytes > *room)
        return NULL;
    block = malloc(bytes);
    if (!block)
        return NULL;
    *room -= bytes;
    *block = bytes;
    return (unsigned char *)block + 16;
}

static void parser_free(void *left, void *pointer)
{
    size_t *block;
    if (!pointer)
        return;
    block = (size_t *)((unsigned char *)pointer - 16);
    *(size_t *)left += *block;
    free(block);
}

/* ---- what handlers use --------------------------------------------------- */

bool onnx_fail(struct onnx_import *import, const char *format, ...)
{
    char text[400];
    const struct onnx_node *node = import->node;
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    if (!node)
        return import_fail(import->error, "%s", text);
    return import_fail(import->error, "node '%.80s' (%.40s): %s", node->name,
                       node->proto->op_type ? node->proto->op_type : "no operator", text);
}

bool onnx_no_memory(struct onnx_import *import)
{
    import->no_memory = true;
    return onnx_fail(import, "out of memory, or the file asks for far more memory than its size "
                     "justifies");
}

void *onnx_alloc(struct onnx_import *import, size_t n, size_t size)
{
    void *out = onnx_arena_alloc(&import->arena, n, size);
    if (!out)
        onnx_no_memory(import);
    return out;
}

static void keep_note(void *context, const char *text)
{
    struct onnx_import *import = context;
    struct onnx_text_list *note = onnx_arena_alloc(&import->arena, 1, sizeof *note);
    char *copy = onnx_arena_alloc(&import->arena, strlen(text) + 1, 1);
    if (!note || !copy) {
        import->no_memory = true;
        return;
    }
    strcpy(copy, text);
    note->text = copy;
    *import->notes_end = note;
    import->notes_end = &note->next;
}

void onnx_note(struct onnx_import *import, const char *format, ...)
{
    char text[512];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    keep_note(import, text);
}

const Onnx__AttributeProto *onnx_attribute(const struct onnx_import *import, const char *name)
{
    const Onnx__NodeProto *proto = import->node->proto;
    for (size_t i = 0; i < proto->n_attribute; i++)
        if (proto->attribute[i]->name && strcmp(proto->attribute[i]->name, name) == 0)
            return proto->attribute[i];
    return NULL;
}

int64_t onnx_attribute_int(const struct onnx_import *import, const char *name, int64_t otherwise)
{
    const Onnx__AttributeProto *attribute = onnx_attribute(import, name);
    return attribute ? attribute->i : otherwise;
}

float onnx_attribute_float(const struct onnx_import *import, const char *name, float otherwise)
{
    const Onnx__AttributeProto *attribute = onnx_attribute(import, name);
    return attribute ? attribute->f : otherwise;
}

struct onnx_value *onnx_input(const struct onnx_import *import, uint32_t i)
{
    const struct onnx_node *node = import->node;
    return i < node->n_inputs && node->inputs[i] != ONNX_ABSENT ? &import->values[node->inputs[i]] : NULL;
}

struct onnx_value *onnx_output(const struct onnx_import *import, uint32_t i)
{
    const struct onnx_node *node = import->node;
    return i < node->n_outputs && node->outputs[i] != ONNX_ABSENT ? &import->values[node->outputs[i]]
                                                                  : NULL;
}

bool onnx_used(const struct onnx_import *import, uint32_t i)
{
    const struct onnx_value *value = onnx_output(import, i);
    return value && value->n_uses > 0;
}

/* ---- the file ------------------------------------------------------------ */

/* ONNX has no magic: files begin with the IR version, a small number in field 1, and go on
 * with a field of the model, mostly the producer's name or the operator sets. */
static bool recognise(const uint8_t *bytes, size_t n_bytes)
{
    static const uint8_t next_fields[] = {0x12, 0x1a, 0x22, 0x28, 0x32, 0x3a, 0x42, 0x72};
    return n_bytes >= 3 && bytes[0] == 0x08 && bytes[1] >= 1 && bytes[1] < 64 &&
           memchr(next_fields, bytes[2], sizeof next_fields);
}

static bool read_opset(struct onnx_import *import)
{
    const Onnx__ModelProto *model = import->model;
    for (size_t i = 0; i < model->n_opset_import; i++) {
        const char *domain = model->opset_import[i]->domain;
        if (!domain || !*domain || strcmp(domain, "ai.onnx") == 0)
            import->opset = model->opset_import[i]->version;
    }
    if (import->opset < ONNX_MIN_OPSET)
        return import_fail(import->error, "the file uses operator set %" PRId64 "; %d and newer are "
                           "supported (onnx.version_converter can raise it)", import->opset,
                           ONNX_MIN_OPSET);
    if (import->opset > NEWEST_OPSET_TRIED)
        onnx_note(import, "the file uses operator set %" PRId64 ", newer than those tried (up to %d)",
                  import->opset, NEWEST_OPSET_TRIED);
    return true;
}

static bool only_known(struct onnx_import *import, const json_t *object, const char *path,
                       const char *const *known)
{
    const char *key;
    json_t *value;
    json_object_foreach((json_t *)object, key, value) {
        size_t i = 0;
        while (known[i] && strcmp(known[i], key) != 0)
            i++;
        if (!known[i])
            return spec_fail(import->error, "$.%s%.60s: means nothing for ONNX, where the graph says it",
                             path, key);
    }
    return true;
}

/* Keys of --spec that mean something here; the others describe weights without a graph. */
static bool read_spec(struct onnx_import *import, json_t *spec, const char **output_out)
{
    static const char *const known[] = {"output", "name", "author", "license", "description", "sample_rate",
                                        "labels", "metadata", "constants", "input", NULL};
    static const char *const known_of_input[] = {"size", "context", "columns", NULL};
    const json_t *input = json_object_get(spec, "input");
    int64_t size = json_integer_value(json_object_get(input, "size"));
    int64_t context = json_integer_value(json_object_get(input, "context"));
    if (!only_known(import, spec, "", known) || !only_known(import, input, "input.", known_of_input))
        return false;
    if (context > 0 && size == 0)
        return spec_fail(import->error, "$.input.context: needs also \"size\"");
    if (context > size)
        return spec_fail(import->error, "$.input.context: %" PRId64 " of frames of %" PRId64 " numbers; "
                         "expected 1 to "
                         "%" PRId64, context, size, size);
    import->input_spec = (struct onnx_input_spec){size, context};
    *output_out = json_string_value(json_object_get(spec, "output"));
    return true;
}

/* The inputs that the spec's "constants" name have these numbers from now on. */
static bool fix_inputs(struct onnx_import *import, const json_t *spec)
{
    json_t *constants = json_object_get(spec, "constants"), *number;
    size_t n_found = 0;
    const char *name;
    for (uint32_t i = 0; i < import->n_values; i++) {
        struct onnx_value *value = &import->values[i];
        if (!value->input || !(number = json_object_get(constants, value->name)))
            continue;
        value->is_fixed = true;
        value->fixed = json_number_value(number);
        n_found++;
    }
    if (n_found == json_object_size(constants))
        return true;
    json_object_foreach(constants, name, number) {
        bool found = false;
        for (uint32_t i = 0; i < import->n_values && !found; i++)
            found = import->values[i].is_fixed && strcmp(import->values[i].name, name) == 0;
        if (!found)
            onnx_note(import, "the spec's constant '%.60s' is no input of the graph", name);
    }
    return true;
}

/* What exporters call every graph tells a person nothing. */
static bool is_telling(const char *name)
{
    static const char *const usual[] = {"", "main_graph", "torch_jit", "torch-jit-export", "graph"};
    for (size_t i = 0; name && i < sizeof usual / sizeof *usual; i++)
        if (strcmp(name, usual[i]) == 0)
            return false;
    return name != NULL;
}

static bool set_metadata(struct onnx_import *import, struct model_builder *builder,
                         const struct metadata_sizes *sizes)
{
    enum { MOST = 1000, LONGEST = 1 << 16, TOGETHER = 4 << 20 };
    const Onnx__ModelProto *model = import->model;
    const char *name = model->graph->name;
    size_t used = 0;
    if (is_telling(name)) {
        name = onnx_clean_text(import, name, 200, false);
        if (!name)
            return false;
        model_set_metadata(builder, "name", name);
    }
    for (size_t i = 0; i < model->n_metadata_props; i++) {
        const Onnx__StringStringEntryProto *entry = model->metadata_props[i];
        char reason[120];
        const char *key = onnx_clean_text(import, entry->key ? entry->key : "", 200, false);
        const char *value = onnx_clean_text(import, entry->value ? entry->value : "", LONGEST, true);
        if (!key || !value)
            return false;
        used += strlen(key) + strlen(value);
        if (i >= MOST || used > TOGETHER)
            return import_fail(import->error, "metadata_props has more than %d entries or %d bytes",
                               MOST, TOGETHER);
        if (*key && metadata_check(key, value, sizes, reason, sizeof reason))
            model_set_metadata(builder, key, value);
        else if (*key)
            onnx_note(import, "metadata_props: '%.60s' is left out: %s", key, reason);
    }
    return true;
}

static bool import_model(struct onnx_import *import, json_t *spec, struct model_builder *builder)
{
    const char *output = NULL;
    const Onnx__GraphProto *graph = import->model->graph;
    struct metadata_sizes sizes;
    uint32_t last;
    if (!graph || graph->n_node == 0)
        return import_fail(import->error, "the file has no graph with nodes; it may be no ONNX model");
    if (graph->n_output > MAX_OUTPUTS)
        return import_fail(import->error, "the graph has %zu outputs; up to %d are supported",
                           graph->n_output,
                           MAX_OUTPUTS);
    if (!read_opset(import) || !read_spec(import, spec, &output) || !onnx_resolve(import) ||
        !fix_inputs(import, spec) || !onnx_find_zeros(import) || !onnx_find_cells(import) ||
        !onnx_find_roles(import, output) || !onnx_understand(import))
        return false;
    import->node = NULL;
    last = import->values[import->output].as.frames.value;
    if (!onnx_tidy(import, &last))
        return false;
    sizes = (struct metadata_sizes){onnx_frame_of(import, 0).size, onnx_frame_of(import, last).size};
    if (!set_metadata(import, builder, &sizes) || !spec_set_metadata(spec, builder, &sizes, import->error) ||
        !onnx_flush(import, builder))
        return false;
    model_set_output(builder, last);
    return !import->no_memory || onnx_no_memory(import);
}

struct parsed {
    const Onnx__ModelProto *model;
    ProtobufCAllocator *allocator;
    size_t memory; /* for what is made of it */
};

static bool with_parsed(const struct import_source *source, const struct parsed *parsed,
                        struct model_builder *builder, struct import_error *error)
{
    struct onnx_import import = {.source = *source, .error = error, .model = parsed->model,
                                 .allocator = parsed->allocator};
    json_t *spec = NULL;
    bool good;
    import.arena.left = parsed->memory;
    import.source.note = keep_note;
    import.source.note_context = &import;
    import.notes_end = &import.notes;
    good = spec_read(source->spec, source->n_spec, &spec, error) && import_model(&import, spec, builder);
    for (const struct onnx_text_list *note = import.notes; good && note; note = note->next)
        import_note(source, "%s", note->text);
    json_decref(spec);
    for (const struct onnx_subgraph *graph = import.subgraphs; graph; graph = graph->next)
        onnx__graph_proto__free_unpacked(graph->graph, import.allocator);
    onnx_arena_release(&import.arena, NULL);
    return good;
}

static bool import_file(const struct import_source *source, struct model_builder *builder,
                        struct import_error *error)
{
    size_t memory = source->n_bytes > SIZE_MAX / 4 / MEMORY_PER_BYTE
                        ? SIZE_MAX / 4 : source->n_bytes * MEMORY_PER_BYTE + MEMORY_BASE;
    size_t left = memory;
    ProtobufCAllocator allocator = {parser_alloc, parser_free, &left};
    Onnx__ModelProto *model = onnx__model_proto__unpack(&allocator, source->n_bytes, source->bytes);
    bool good;
    if (!model)
        return import_fail(error, "is no whole ONNX file: it is damaged or cut off, or memory ran out "
                           "(%zu bytes read)", source->n_bytes);
    good = with_parsed(source, &(const struct parsed){model, &allocator, memory}, builder, error);
    onnx__model_proto__free_unpacked(model, &allocator);
    return good;
}

const struct importer importer_onnx = {
    .name = "onnx", .uses_spec = true, .recognise = recognise, .import = import_file,
};
