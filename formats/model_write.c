/* SPDX-License-Identifier: MIT
 *
 * Writer of FORMAT.md: collects a model, numbers its tensors in the order of their
 * use (F26) and lays the file out. The reader has the last word on what it made.
 */
#include "formats/model_write.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "formats/bytes.h"
#include "formats/crc32c.h"
#include "formats/utf8.h"

enum {
    HEADER_BYTES = 128,
    METADATA_BYTES = 16,
    LAYER_BYTES = 128,
    VALUE_BYTES = 32,
    TENSOR_BYTES = 64,
    CHECKSUM_AT = 12,
    DATA_CHECKSUM_AT = 64,
    ALIGNMENT = 64,
};


struct pair {
    char *key, *value;
};

struct tensor {
    char *name;
    uint32_t rank, dims[MODEL_MAX_TENSOR_RANK];
    float *data;
    size_t count;
};

struct layer {
    char *name;
    struct model_layer_spec spec; /* spec.name is not used */
    struct pace pace;             /* of its output */
};

struct value {
    char *name;
    uint32_t rank, dims[MODEL_MAX_RANK];
    bool once;
};

struct model_builder {
    struct format_error error; /* the first failure */
    bool failed;
    struct pair *metadata; /* keys ascending */
    struct layer *layers;
    struct tensor *tensors;
    struct value input;
    size_t n_metadata, n_layers, n_tensors;
    size_t room_metadata, room_layers, room_tensors;
    bool has_input, has_output, has_reference;
    uint32_t output;
    struct tensor reference[2]; /* input, output */
};

static void __attribute__((format(printf, 3, 4)))
refuse(struct model_builder *builder, uint32_t rule, const char *format, ...)
{
    va_list args;
    if (builder->failed)
        return;
    builder->failed = true;
    builder->error.rule = rule;
    va_start(args, format);
    vsnprintf(builder->error.text, sizeof builder->error.text, format, args);
    va_end(args);
    utf8_trim(builder->error.text);
}

static void refuse_memory(struct model_builder *builder)
{
    refuse(builder, 0, "out of memory");
}

/* Room for one more element in an array of `size`-byte elements. */
static bool make_room(struct model_builder *builder, void **array, size_t *room, size_t count,
                      size_t size)
{
    if (count < *room)
        return true;
    size_t wanted = *room == 0 ? 8 : *room * 2;
    void *grown = realloc(*array, wanted * size);
    if (!grown) {
        refuse_memory(builder);
        return false;
    }
    *array = grown;
    *room = wanted;
    return true;
}

static const char *or_empty(const char *name)
{
    return name ? name : "";
}

/* A copy of `text` (NULL: empty), or NULL after a refusal. */
static char *copy_text(struct model_builder *builder, const char *text, bool lines,
                       const char *what)
{
    size_t at = 0;
    text = or_empty(text);
    size_t n = strlen(text);
    enum utf8_fault fault = utf8_check((const uint8_t *)text, n, lines, &at);
    if (fault != UTF8_OK) {
        refuse(builder, fault == UTF8_MALFORMED ? 13 : 14, "a %s %s at its byte %zu", what,
               fault == UTF8_MALFORMED ? "is not valid UTF-8" : "has a control character", at);
        return NULL;
    }
    char *copy = malloc(n + 1);
    if (!copy) {
        refuse_memory(builder);
        return NULL;
    }
    memcpy(copy, text, n + 1);
    return copy;
}

/* ---- collecting -------------------------------------------------------------- */

struct model_builder *model_builder_create(void)
{
    return calloc(1, sizeof(struct model_builder));
}

static void free_tensor(struct tensor *tensor)
{
    free(tensor->name);
    free(tensor->data);
}

void model_builder_destroy(struct model_builder *builder)
{
    if (!builder)
        return;
    for (size_t i = 0; i < builder->n_metadata; i++) {
        free(builder->metadata[i].key);
        free(builder->metadata[i].value);
    }
    for (size_t i = 0; i < builder->n_layers; i++)
        free(builder->layers[i].name);
    for (size_t i = 0; i < builder->n_tensors; i++)
        free_tensor(&builder->tensors[i]);
    free_tensor(&builder->reference[0]);
    free_tensor(&builder->reference[1]);
    free(builder->input.name);
    free(builder->metadata);
    free(builder->layers);
    free(builder->tensors);
    free(builder);
}

/* Rank and dimensions within the limits, for the thing named. */
static bool check_shape(struct model_builder *builder, uint32_t rank, const uint32_t *dims,
                        bool frame, const char *name)
{
    uint32_t max_rank = frame ? MODEL_MAX_RANK : MODEL_MAX_TENSOR_RANK;
    const char *what = frame ? "frame" : "tensor";
    uint64_t count = 1;
    if (rank < 1 || rank > max_rank) {
        refuse(builder, frame ? 17 : 30, "%s of rank %u, allowed are 1 to %u: %s", what,
               (unsigned)rank, (unsigned)max_rank, name);
        return false;
    }
    for (uint32_t i = 0; i < rank; i++) {
        if (dims[i] < 1 || dims[i] > MODEL_MAX_DIM) {
            refuse(builder, frame ? 18 : 31, "%s has a dimension of %u, allowed are 1 to %d: %s",
                   what, (unsigned)dims[i], MODEL_MAX_DIM, name);
            return false;
        }
        if (!checked_mul(count, dims[i], &count) || count > (frame ? MODEL_MAX_FRAME : SIZE_MAX / 8)) {
            refuse(builder, frame ? 19 : 32, "%s has too many numbers: %s", what, name);
            return false;
        }
    }
    return true;
}

void model_set_input(struct model_builder *builder, const char *name, uint32_t rank,
                     const uint32_t *dims)
{
    if (builder->failed || !check_shape(builder, rank, dims, true, or_empty(name)))
        return;
    if (builder->has_input) {
        refuse(builder, 25, "the model's input is set twice");
        return;
    }
    builder->input.name = copy_text(builder, name, false, "name of the input");
    builder->input.rank = rank;
    memcpy(builder->input.dims, dims, rank * sizeof *dims);
    builder->has_input = builder->input.name != NULL;
}

/* Fill a zeroed tensor; false after a refusal (then it has nothing to free). */
static bool fill_tensor(struct model_builder *builder, struct tensor *tensor, const char *name,
                        const float *data)
{
    tensor->count = 1;
    for (uint32_t i = 0; i < tensor->rank; i++)
        tensor->count *= tensor->dims[i];
    tensor->name = copy_text(builder, name, false, "tensor's name");
    if (!tensor->name)
        return false;
    tensor->data = malloc(tensor->count * sizeof *data);
    if (!tensor->data) {
        refuse_memory(builder);
        free(tensor->name);
        tensor->name = NULL;
        return false;
    }
    memcpy(tensor->data, data, tensor->count * sizeof *data);
    return true;
}

uint32_t model_add_tensor(struct model_builder *builder, const char *name, uint32_t rank,
                          const uint32_t *dims, const float *data)
{
    struct tensor tensor = { .rank = rank };
    if (builder->failed || !check_shape(builder, rank, dims, false, or_empty(name)))
        return MODEL_NONE;
    if (builder->n_tensors >= MODEL_MAX_TENSORS) {
        refuse(builder, 7, "more than %d tensors", MODEL_MAX_TENSORS);
        return MODEL_NONE;
    }
    memcpy(tensor.dims, dims, rank * sizeof *dims);
    if (!make_room(builder, (void **)&builder->tensors, &builder->room_tensors,
                   builder->n_tensors, sizeof tensor) ||
        !fill_tensor(builder, &tensor, name, data))
        return MODEL_NONE;
    builder->tensors[builder->n_tensors] = tensor;
    return (uint32_t)builder->n_tensors++;
}

static bool check_layer(struct model_builder *builder, const struct model_layer_spec *spec)
{
    const char *name = or_empty(spec->name);
    if (!builder->has_input)
        refuse(builder, 25, "layer added before the model's input is set: %s", name);
    else if (builder->n_layers >= MODEL_MAX_LAYERS)
        refuse(builder, 7, "more than %d layers", MODEL_MAX_LAYERS);
    else if (spec->n_inputs < 1 || spec->n_inputs > MODEL_MAX_INPUTS ||
             spec->n_tensors > MODEL_MAX_LAYER_TENSORS)
        refuse(builder, 22, "layer with %u inputs and %u tensors, allowed are 1 to %d and %d: %s",
               (unsigned)spec->n_inputs, (unsigned)spec->n_tensors, MODEL_MAX_INPUTS,
               MODEL_MAX_LAYER_TENSORS, name);
    else
        check_shape(builder, spec->rank, spec->dims, true, name);
    for (uint32_t i = 0; !builder->failed && i < spec->n_inputs; i++) {
        if (spec->inputs[i] > builder->n_layers)
            refuse(builder, 25, "layer reads value %u, which is not made before it: %s",
                   (unsigned)spec->inputs[i], name);
    }
    for (uint32_t i = 0; !builder->failed && i < spec->n_tensors; i++) {
        if (spec->tensors[i] != MODEL_NONE && spec->tensors[i] >= builder->n_tensors)
            refuse(builder, 26, "layer uses tensor %u of %zu: %s", (unsigned)spec->tensors[i],
                   builder->n_tensors, name);
    }
    return !builder->failed;
}

struct pace model_builder_pace(const struct model_builder *builder, uint32_t value)
{
    return value == 0 || value > builder->n_layers ? pace_of_input() : builder->layers[value - 1].pace;
}

/* Steps between a window's first and last tap. */
static uint64_t reach_of(const struct model_builder *builder, const struct model_layer_spec *spec)
{
    uint32_t taps = 1;
    if (spec->type == MODEL_TEMPORAL_POOL)
        taps = spec->params[MODEL_POOL_TAPS];
    else if (spec->n_tensors && spec->tensors[0] != MODEL_NONE)
        taps = builder->tensors[spec->tensors[0]].dims[1];
    return (uint64_t)spec->params[MODEL_CONV_DILATION] * (taps - 1);
}

/* What breaks a rule of the layer's own is not looked at here. */
static struct pace pace_of(const struct model_builder *builder, const struct model_layer_spec *spec)
{
    struct pace pace = model_builder_pace(builder, spec->inputs[0]);
    if (spec->once)
        return pace_of_input();
    if (spec->type == MODEL_TEMPORAL_CONV || spec->type == MODEL_TEMPORAL_POOL)
        pace_of_windows(pace, reach_of(builder, spec), spec->params, &pace);
    return pace;
}

uint32_t model_add_layer(struct model_builder *builder, const struct model_layer_spec *spec)
{
    if (builder->failed || !check_layer(builder, spec) ||
        !make_room(builder, (void **)&builder->layers, &builder->room_layers, builder->n_layers,
                   sizeof *builder->layers))
        return MODEL_NONE;
    struct layer *layer = &builder->layers[builder->n_layers];
    layer->spec = *spec;
    layer->spec.name = NULL;
    layer->pace = pace_of(builder, spec);
    layer->name = copy_text(builder, spec->name, false, "layer's name");
    if (!layer->name)
        return MODEL_NONE;
    return (uint32_t)++builder->n_layers;
}

/* The first pair whose key is not before `key`. */
static size_t find_key(const struct model_builder *builder, const char *key)
{
    size_t low = 0, high = builder->n_metadata;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (strcmp(builder->metadata[middle].key, key) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static void insert_pair(struct model_builder *builder, size_t at, struct pair pair)
{
    memmove(builder->metadata + at + 1, builder->metadata + at,
            (builder->n_metadata - at) * sizeof pair);
    builder->metadata[at] = pair;
    builder->n_metadata++;
}

void model_set_metadata(struct model_builder *builder, const char *key, const char *value)
{
    struct pair pair;
    if (builder->failed)
        return;
    size_t at = find_key(builder, or_empty(key));
    bool there = at < builder->n_metadata && strcmp(builder->metadata[at].key, or_empty(key)) == 0;
    if (or_empty(key)[0] == '\0')
        refuse(builder, 15, "a metadata key is empty");
    else if (!there && builder->n_metadata >= MODEL_MAX_METADATA)
        refuse(builder, 7, "more than %d metadata records", MODEL_MAX_METADATA);
    else if (!make_room(builder, (void **)&builder->metadata, &builder->room_metadata,
                        builder->n_metadata, sizeof pair))
        return;
    if (builder->failed || !(pair.value = copy_text(builder, value, true, "metadata value")))
        return;
    if (there) {
        free(builder->metadata[at].value);
        builder->metadata[at].value = pair.value;
    } else if ((pair.key = copy_text(builder, key, false, "metadata key"))) {
        insert_pair(builder, at, pair);
    } else {
        free(pair.value);
    }
}

void model_set_output(struct model_builder *builder, uint32_t value)
{
    if (builder->failed)
        return;
    if (value > builder->n_layers) {
        refuse(builder, 21, "the output is value %u, there are %zu", (unsigned)value,
               builder->n_layers + 1);
        return;
    }
    builder->output = value;
    builder->has_output = true;
}

static uint32_t output_of(const struct model_builder *builder)
{
    return builder->has_output ? builder->output : (uint32_t)builder->n_layers;
}

bool model_builder_value(const struct model_builder *builder, uint32_t value,
                         struct model_value *out)
{
    memset(out, 0, sizeof *out);
    if (!builder->has_input || value > builder->n_layers)
        return false;
    const char *name = value == 0 ? builder->input.name : "";
    const struct model_layer_spec *spec = value == 0 ? NULL : &builder->layers[value - 1].spec;
    const uint32_t *dims = spec ? spec->dims : builder->input.dims;
    out->name.text = name;
    out->name.n_bytes = (uint32_t)strlen(name);
    out->rank = spec ? spec->rank : builder->input.rank;
    out->once = spec && spec->once;
    out->size = 1;
    for (uint32_t i = 0; i < out->rank; i++) {
        out->dims[i] = dims[i];
        out->size *= dims[i];
    }
    return true;
}

static bool set_one_reference(struct model_builder *builder, int which, uint32_t steps,
                              uint32_t value_index, const float *data)
{
    struct model_value value;
    struct tensor tensor = { .rank = 2 };
    if (!model_builder_value(builder, value_index, &value)) {
        refuse(builder, 38, "reference vectors are set before the model's input");
        return false;
    }
    tensor.dims[0] = steps;
    tensor.dims[1] = (uint32_t)value.size;
    if (!check_shape(builder, 2, tensor.dims, false, "reference") ||
        !fill_tensor(builder, &tensor, which == 0 ? "reference input" : "reference output", data))
        return false;
    free_tensor(&builder->reference[which]);
    builder->reference[which] = tensor;
    return true;
}

void model_set_reference(struct model_builder *builder, uint32_t steps, const float *input,
                         uint32_t output_steps, const float *output)
{
    struct model_value value;
    if (builder->failed)
        return;
    if (model_builder_value(builder, output_of(builder), &value) &&
        (value.once ? output_steps != 1 : output_steps == 0)) {
        refuse(builder, 38, "reference output of %u steps, expected %s", (unsigned)output_steps,
               value.once ? "1" : "1 or more");
        return;
    }
    builder->has_reference = set_one_reference(builder, 0, steps, 0, input) &&
                             set_one_reference(builder, 1, output_steps, output_of(builder), output);
}

/* ---- laying out ------------------------------------------------------------------ */

/* What the file will be: tensors in their order, sizes of the parts, and while
 * writing, where the next string goes. */
struct layout {
    const struct tensor **order; /* [n_tensors], reference tensors last */
    uint32_t *numbers;           /* builder's tensor → number in the file */
    uint32_t n_tensors, n_edges;
    uint64_t string_bytes, strings_at, data_at, file_bytes;
    uint8_t *out;
    uint32_t next_string;
};

static uint64_t align_up(uint64_t n)
{
    return (n + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
}

/* Number the tensors as the layers first name them. */
static void number_tensors(struct model_builder *builder, struct layout *layout)
{
    for (size_t i = 0; i < builder->n_tensors; i++)
        layout->numbers[i] = MODEL_NONE;
    for (size_t i = 0; i < builder->n_layers; i++) {
        const struct model_layer_spec *spec = &builder->layers[i].spec;
        layout->n_edges += spec->n_inputs + spec->n_tensors;
        for (uint32_t slot = 0; slot < spec->n_tensors; slot++) {
            uint32_t tensor = spec->tensors[slot];
            if (tensor == MODEL_NONE || layout->numbers[tensor] != MODEL_NONE)
                continue;
            layout->numbers[tensor] = layout->n_tensors;
            layout->order[layout->n_tensors++] = &builder->tensors[tensor];
        }
    }
    for (size_t i = 0; i < builder->n_tensors; i++) {
        if (layout->numbers[i] == MODEL_NONE)
            refuse(builder, 27, "tensor %zu is used by no layer: %s", i,
                   builder->tensors[i].name);
    }
    for (int i = 0; builder->has_reference && i < 2; i++)
        layout->order[layout->n_tensors++] = &builder->reference[i];
}

static uint64_t pool_bytes(const char *text)
{
    return strlen(text) + 1;
}

static void count_strings(const struct model_builder *builder, struct layout *layout)
{
    uint64_t sum = pool_bytes(builder->input.name);
    for (size_t i = 0; i < builder->n_metadata; i++)
        sum += pool_bytes(builder->metadata[i].key) + pool_bytes(builder->metadata[i].value);
    for (size_t i = 0; i < builder->n_layers; i++)
        sum += pool_bytes(builder->layers[i].name) + pool_bytes("");
    for (uint32_t i = 0; i < layout->n_tensors; i++)
        sum += pool_bytes(layout->order[i]->name);
    layout->string_bytes = sum;
}

/* Sizes of all parts; refuses what is over the limits of a whole file. */
static void place(struct model_builder *builder, struct layout *layout)
{
    count_strings(builder, layout);
    if (layout->n_tensors > MODEL_MAX_TENSORS)
        refuse(builder, 7, "%u tensors, allowed are %d", (unsigned)layout->n_tensors,
               MODEL_MAX_TENSORS);
    if (layout->string_bytes > MODEL_MAX_STRING_BYTES)
        refuse(builder, 7, "%ju bytes of names and metadata, allowed are %d",
               (uintmax_t)layout->string_bytes, MODEL_MAX_STRING_BYTES);
    uint64_t at = HEADER_BYTES + builder->n_metadata * METADATA_BYTES +
                  builder->n_layers * LAYER_BYTES + (builder->n_layers + 1) * VALUE_BYTES +
                  (uint64_t)layout->n_tensors * TENSOR_BYTES + (uint64_t)layout->n_edges * 4;
    layout->strings_at = at;
    at = layout->data_at = align_up(at + layout->string_bytes);
    for (uint32_t i = 0; i < layout->n_tensors; i++) {
        if (!checked_add(at, align_up(layout->order[i]->count * 4), &at) || at > SIZE_MAX / 2)
            refuse(builder, 32, "the model is too large");
    }
    layout->file_bytes = at;
}

/* ---- writing ------------------------------------------------------------------------ */

static uint8_t *put_u32(uint8_t *p, uint32_t value)
{
    store_u32(p, value);
    return p + 4;
}

/* The reference to the next string of the pool; its text goes there. */
static uint8_t *put_string(uint8_t *p, struct layout *layout, const char *text)
{
    uint32_t n = (uint32_t)strlen(text);
    memcpy(layout->out + layout->strings_at + layout->next_string, text, n);
    p = put_u32(p, layout->next_string);
    layout->next_string += n + 1;
    return put_u32(p, n);
}

static uint8_t *put_metadata(uint8_t *p, const struct model_builder *builder,
                             struct layout *layout)
{
    for (size_t i = 0; i < builder->n_metadata; i++) {
        p = put_string(p, layout, builder->metadata[i].key);
        p = put_string(p, layout, builder->metadata[i].value);
    }
    return p;
}

static uint8_t *put_layers(uint8_t *p, const struct model_builder *builder, struct layout *layout)
{
    uint32_t edge = 0;
    for (size_t i = 0; i < builder->n_layers; i++) {
        const struct model_layer_spec *spec = &builder->layers[i].spec;
        p = put_u32(p, spec->type);
        p = put_string(p, layout, builder->layers[i].name);
        p = put_u32(p, edge);
        p = put_u32(p, spec->n_inputs);
        p = put_u32(p, spec->n_tensors);
        p += 8;
        for (uint32_t word = 0; word < MODEL_PARAMS; word++)
            p = put_u32(p, spec->params[word]);
        edge += spec->n_inputs + spec->n_tensors;
    }
    return p;
}

static uint8_t *put_values(uint8_t *p, const struct model_builder *builder, struct layout *layout)
{
    for (uint32_t i = 0; i <= builder->n_layers; i++) {
        struct model_value value;
        model_builder_value(builder, i, &value);
        p = put_string(p, layout, value.name.text);
        p = put_u32(p, value.rank);
        p = put_u32(p, value.once ? 1 : 0);
        for (uint32_t axis = 0; axis < MODEL_MAX_RANK; axis++)
            p = put_u32(p, value.dims[axis]);
        p += 4;
    }
    return p;
}

static void put_floats(uint8_t *p, const float *data, size_t count)
{
    for (size_t i = 0; i < count; i++)
        store_u32(p + 4 * i, model_float_bits(data[i]));
}

static uint8_t *put_tensors(uint8_t *p, struct layout *layout)
{
    uint64_t at = layout->data_at;
    for (uint32_t i = 0; i < layout->n_tensors; i++) {
        const struct tensor *tensor = layout->order[i];
        p = put_string(p, layout, tensor->name);
        p = put_u32(p, MODEL_F32);
        p = put_u32(p, tensor->rank);
        for (uint32_t axis = 0; axis < MODEL_MAX_TENSOR_RANK; axis++)
            p = put_u32(p, tensor->dims[axis]);
        store_u64(p, at);
        store_u64(p + 8, (uint64_t)tensor->count * 4);
        p = put_u32(p + 16, MODEL_NONE) + 12;
        put_floats(layout->out + at, tensor->data, tensor->count);
        at = align_up(at + (uint64_t)tensor->count * 4);
    }
    return p;
}

static void put_edges(uint8_t *p, const struct model_builder *builder, const struct layout *layout)
{
    for (size_t i = 0; i < builder->n_layers; i++) {
        const struct model_layer_spec *spec = &builder->layers[i].spec;
        for (uint32_t input = 0; input < spec->n_inputs; input++)
            p = put_u32(p, spec->inputs[input]);
        for (uint32_t slot = 0; slot < spec->n_tensors; slot++) {
            uint32_t tensor = spec->tensors[slot];
            p = put_u32(p, tensor == MODEL_NONE ? MODEL_NONE : layout->numbers[tensor]);
        }
    }
}

static void put_header(const struct model_builder *builder, const struct layout *layout)
{
    uint8_t *out = layout->out;
    uint32_t reference = builder->has_reference ? layout->n_tensors - 2 : MODEL_NONE;
    memcpy(out, MODEL_MAGIC, MODEL_MAGIC_BYTES);
    store_u16(out + 8, MODEL_VERSION_MAJOR);
    store_u16(out + 10, MODEL_VERSION_MINOR);
    store_u64(out + 24, layout->file_bytes);
    store_u32(out + 32, (uint32_t)builder->n_metadata);
    store_u32(out + 36, (uint32_t)builder->n_layers);
    store_u32(out + 40, layout->n_tensors);
    store_u32(out + 44, layout->n_edges);
    store_u32(out + 48, (uint32_t)layout->string_bytes);
    store_u32(out + 52, output_of(builder));
    store_u32(out + 56, reference);
    store_u32(out + 60, builder->has_reference ? reference + 1 : MODEL_NONE);
}

/* The tables' checksum includes that of the data, so it comes last; its own field is
 * still 0 then, as it has to be. */
static void put_checksums(const struct layout *layout)
{
    uint8_t *out = layout->out;
    size_t data_at = (size_t)layout->data_at;
    store_u32(out + DATA_CHECKSUM_AT,
              crc32c(0, out + data_at, (size_t)layout->file_bytes - data_at));
    store_u32(out + CHECKSUM_AT, crc32c(0, out, data_at));
}

static void write_file(const struct model_builder *builder, struct layout *layout)
{
    uint8_t *p = layout->out + HEADER_BYTES;
    put_header(builder, layout);
    p = put_metadata(p, builder, layout);
    p = put_layers(p, builder, layout);
    p = put_values(p, builder, layout);
    p = put_tensors(p, layout);
    put_edges(p, builder, layout);
    put_checksums(layout);
}

static void finish(struct model_builder *builder, struct layout *layout)
{
    struct model_view view;
    size_t n = builder->n_tensors + 2;
    layout->order = malloc(n * sizeof *layout->order);
    layout->numbers = malloc(n * sizeof *layout->numbers);
    if (!layout->order || !layout->numbers) {
        refuse_memory(builder);
        return;
    }
    number_tensors(builder, layout);
    place(builder, layout);
    if (builder->failed)
        return;
    layout->out = calloc(1, (size_t)layout->file_bytes);
    if (!layout->out) {
        refuse_memory(builder);
        return;
    }
    write_file(builder, layout);
    if (!model_read(layout->out, (size_t)layout->file_bytes, &view, &builder->error))
        builder->failed = true;
}

bool model_finish(struct model_builder *builder, void **bytes_out, size_t *n_bytes_out,
                  struct format_error *error)
{
    struct layout layout = { 0 };
    *bytes_out = NULL;
    *n_bytes_out = 0;
    if (builder->n_layers == 0)
        refuse(builder, 7, "the model has no layers");
    if (!builder->failed)
        finish(builder, &layout);
    free(layout.order);
    free(layout.numbers);
    *error = builder->error;
    if (builder->failed) {
        free(layout.out);
        return false;
    }
    *bytes_out = layout.out;
    *n_bytes_out = (size_t)layout.file_bytes;
    return true;
}

uint32_t model_float_bits(float value)
{
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    return bits;
}

float model_bits_float(uint32_t bits)
{
    float value;
    memcpy(&value, &bits, sizeof value);
    return value;
}
