/* SPDX-License-Identifier: MIT
 *
 * Reader of FORMAT.md. One pass over the tables, in file order; running counters do
 * for strings, edges and tensors what would otherwise need memory: each must begin
 * where the one before ended, so nothing overlaps and nothing is left over.
 */
#include "formats/model_file.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "formats/bytes.h"
#include "formats/crc32c.h"
#include "formats/utf8.h"

/* Tensors are used where they lie in the file. */
#if defined(__BYTE_ORDER__) && __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "model files are read in place, which needs a little-endian machine"
#endif

enum {
    HEADER_BYTES = 128,
    CHECKSUM_AT = 12,
    UNUSED_BYTES = 28,
    RESERVED_BYTES = 32,
    DATA_CHECKSUM_AT = 64,
    ALIGNMENT = 64,
};

enum table { METADATA, LAYERS, VALUES, TENSORS, EDGES, STRINGS, TABLES };

static const uint32_t record_bytes[TABLES] = { 16, 128, 32, 64, 4, 1 };


struct header {
    uint32_t major, required_flags;
    uint64_t file_size;
    uint32_t counts[TABLES]; /* records of each table */
};

struct reader {
    struct model_view *view;
    struct format_error *error;
    uint32_t counts[TABLES];
    uint32_t next_string; /* where the next string must begin, in the pool */
    uint32_t next_edge;
    uint32_t next_tensor; /* lowest tensor that no edge has named */
    uint64_t next_data;   /* where the next tensor must begin, in the file */
};

/* Numbers named in a string as the file has them. */
struct string_ref {
    uint32_t offset, n_bytes;
    uint64_t at; /* of the reference itself */
};

static bool __attribute__((format(printf, 4, 5)))
fail(struct format_error *error, uint32_t rule, uint64_t offset, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    error->rule = rule;
    error->offset = offset;
    vsnprintf(error->text, sizeof error->text, format, args);
    va_end(args);
    return false;
}

static uint64_t align_up(uint64_t n)
{
    return (n + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
}

static bool all_zero(const uint8_t *bytes, size_t n, size_t *at_out)
{
    for (size_t i = 0; i < n; i++) {
        *at_out = i;
        if (bytes[i] != 0)
            return false;
    }
    return true;
}

static struct cursor record(const struct model_view *view, enum table table, uint32_t index)
{
    uint64_t at = view->tables_offset[table] + (uint64_t)index * record_bytes[table];
    return cursor_at(view->bytes, view->n_bytes, at);
}

static struct string_ref take_string(struct cursor *cursor)
{
    struct string_ref ref = { .at = cursor->at };
    ref.offset = cursor_u32(cursor);
    ref.n_bytes = cursor_u32(cursor);
    return ref;
}

static struct model_string string_at(const struct model_view *view, struct string_ref ref)
{
    const uint8_t *pool = view->bytes + view->tables_offset[STRINGS];
    struct model_string string = { (const char *)pool + ref.offset, ref.n_bytes };
    return string;
}

static bool check_reserved(struct reader *reader, struct cursor *cursor, size_t n,
                           uint32_t rule, const char *what)
{
    size_t at = 0, start = cursor->at;
    const uint8_t *bytes = cursor_take(cursor, n);
    if (bytes && all_zero(bytes, n, &at))
        return true;
    return fail(reader->error, rule, start + at, "reserved bytes of %s are not 0", what);
}

/* ---- header ---------------------------------------------------------------- */

static bool check_magic(const uint8_t *bytes, size_t n_bytes, struct format_error *error)
{
    size_t n = n_bytes < MODEL_MAGIC_BYTES ? n_bytes : MODEL_MAGIC_BYTES;
    if (n_bytes == 0)
        return fail(error, 2, 0, "the file is empty");
    if (memcmp(bytes, MODEL_MAGIC, n) != 0) {
        bool damaged = n_bytes >= 4 && memcmp(bytes, MODEL_MAGIC, 4) == 0;
        return fail(error, 1, 0, "%s",
                    damaged ? "damaged by a transfer as text: send it as binary"
                            : "this is no lstmrun model file: it does not begin with the magic");
    }
    if (n_bytes < HEADER_BYTES)
        return fail(error, 2, n_bytes, "the file ends within the header of %d bytes",
                    HEADER_BYTES);
    return true;
}

static void take_header(struct cursor *cursor, struct header *header, struct model_view *view)
{
    (void)cursor_take(cursor, MODEL_MAGIC_BYTES);
    header->major = cursor_u16(cursor);
    (void)cursor_u16(cursor); /* minor: read as far as the flags allow */
    view->checksum = cursor_u32(cursor);
    (void)cursor_u32(cursor); /* optional flags */
    header->required_flags = cursor_u32(cursor);
    header->file_size = cursor_u64(cursor);
    view->n_metadata = header->counts[METADATA] = cursor_u32(cursor);
    view->n_layers = header->counts[LAYERS] = cursor_u32(cursor);
    view->n_tensors = header->counts[TENSORS] = cursor_u32(cursor);
    header->counts[EDGES] = cursor_u32(cursor);
    header->counts[STRINGS] = cursor_u32(cursor);
    view->output = cursor_u32(cursor);
    view->reference_input = cursor_u32(cursor);
    view->reference_output = cursor_u32(cursor);
    (void)cursor_u32(cursor); /* checksum of the data: model_check_weights */
    (void)cursor_take(cursor, UNUSED_BYTES);
}

static bool check_counts(const uint32_t *counts, struct format_error *error)
{
    static const struct {
        enum table table;
        uint32_t least, most;
        uint64_t at;
        const char *name;
    } limits[] = {
        { METADATA, 0, MODEL_MAX_METADATA, 32, "metadata records" },
        { LAYERS, 1, MODEL_MAX_LAYERS, 36, "layers" },
        { TENSORS, 0, MODEL_MAX_TENSORS, 40, "tensors" },
        { EDGES, 0, MODEL_MAX_EDGES, 44, "edges" },
        { STRINGS, 0, MODEL_MAX_STRING_BYTES, 48, "bytes of strings" },
    };
    for (size_t i = 0; i < sizeof limits / sizeof *limits; i++) {
        uint32_t count = counts[limits[i].table];
        if (count < limits[i].least || count > limits[i].most)
            return fail(error, 7, limits[i].at, "%u %s, allowed are %u to %u", (unsigned)count,
                        limits[i].name, (unsigned)limits[i].least, (unsigned)limits[i].most);
    }
    return true;
}

/* The counts are within the limits, so nothing here can overflow. */
static bool place_tables(struct reader *reader)
{
    struct model_view *view = reader->view;
    uint64_t at = HEADER_BYTES;
    reader->counts[VALUES] = reader->counts[LAYERS] + 1;
    for (int table = 0; table < TABLES; table++) {
        view->tables_offset[table] = at;
        at += (uint64_t)reader->counts[table] * record_bytes[table];
    }
    view->data_offset = align_up(at);
    if (view->data_offset > view->n_bytes)
        return fail(reader->error, 8, view->n_bytes,
                    "the tables end at byte %ju, beyond the end of the file at %ju",
                    (uintmax_t)view->data_offset, (uintmax_t)view->n_bytes);
    return true;
}

static bool check_tables_sum(struct reader *reader, uint32_t expected)
{
    static const uint8_t zeros[4];
    const struct model_view *view = reader->view;
    uint32_t sum = crc32c(0, view->bytes, CHECKSUM_AT);
    sum = crc32c(sum, zeros, sizeof zeros);
    sum = crc32c(sum, view->bytes + CHECKSUM_AT + 4, (size_t)view->data_offset - CHECKSUM_AT - 4);
    if (sum != expected)
        return fail(reader->error, 9, CHECKSUM_AT,
                    "checksum of the tables is %08x, the header says %08x: the file is damaged",
                    (unsigned)sum, (unsigned)expected);
    return true;
}

static bool check_pool_padding(struct reader *reader)
{
    const struct model_view *view = reader->view;
    size_t at = 0;
    size_t end = (size_t)view->tables_offset[STRINGS] + reader->counts[STRINGS];
    if (all_zero(view->bytes + end, (size_t)view->data_offset - end, &at))
        return true;
    return fail(reader->error, 10, end + at, "padding after the string pool is not 0");
}

static bool read_header(struct reader *reader)
{
    struct model_view *view = reader->view;
    struct format_error *error = reader->error;
    struct header header = { 0 };
    struct cursor cursor = cursor_at(view->bytes, view->n_bytes, 0);
    if (!check_magic(view->bytes, view->n_bytes, error))
        return false;
    take_header(&cursor, &header, view);
    if (header.major != MODEL_VERSION_MAJOR)
        return fail(error, 3, 8, "format version %u, this program reads version %d",
                    (unsigned)header.major, MODEL_VERSION_MAJOR);
    if (header.required_flags != 0)
        return fail(error, 4, 20, "the file needs features (flags %08x) of a newer program",
                    (unsigned)header.required_flags);
    if (!check_reserved(reader, &cursor, RESERVED_BYTES, 5, "the header"))
        return false;
    if (header.file_size != view->n_bytes)
        return fail(error, 6, 24, "the file has %ju bytes, its header says %ju: %s",
                    (uintmax_t)view->n_bytes, (uintmax_t)header.file_size,
                    view->n_bytes < header.file_size ? "it was cut off"
                                                     : "something was added");
    memcpy(reader->counts, header.counts, sizeof reader->counts);
    return check_counts(reader->counts, error) && place_tables(reader) &&
           check_tables_sum(reader, view->checksum) && check_pool_padding(reader);
}

/* ---- strings and metadata ---------------------------------------------------- */

static bool check_string(struct reader *reader, struct string_ref ref, bool lines)
{
    uint32_t pool_bytes = reader->counts[STRINGS];
    if (ref.offset != reader->next_string)
        return fail(reader->error, 11, ref.at, "string begins at %u of the pool, not at %u",
                    (unsigned)ref.offset, (unsigned)reader->next_string);
    if (ref.offset >= pool_bytes || ref.n_bytes >= pool_bytes - ref.offset)
        return fail(reader->error, 11, ref.at + 4,
                    "string of %u bytes at %u ends beyond the pool of %u",
                    (unsigned)ref.n_bytes, (unsigned)ref.offset, (unsigned)pool_bytes);
    uint64_t start = reader->view->tables_offset[STRINGS] + ref.offset;
    const uint8_t *text = reader->view->bytes + start;
    if (text[ref.n_bytes] != 0)
        return fail(reader->error, 12, start + ref.n_bytes, "no NUL after the string");
    size_t at = 0;
    enum utf8_fault fault = utf8_check(text, ref.n_bytes, lines, &at);
    if (fault == UTF8_MALFORMED)
        return fail(reader->error, 13, start + at, "a string is not valid UTF-8");
    if (fault == UTF8_CONTROL)
        return fail(reader->error, 14, start + at, "a string has a control character");
    reader->next_string = ref.offset + ref.n_bytes + 1;
    return true;
}

static int compare_strings(struct model_string a, struct model_string b)
{
    uint32_t n = a.n_bytes < b.n_bytes ? a.n_bytes : b.n_bytes;
    int order = memcmp(a.text, b.text, n);
    return order != 0 ? order : (a.n_bytes > b.n_bytes) - (a.n_bytes < b.n_bytes);
}

static bool read_metadata(struct reader *reader)
{
    struct model_string last = { "", 0 };
    for (uint32_t i = 0; i < reader->counts[METADATA]; i++) {
        struct cursor cursor = record(reader->view, METADATA, i);
        struct string_ref key = take_string(&cursor);
        struct string_ref value = take_string(&cursor);
        if (!check_string(reader, key, false) || !check_string(reader, value, true))
            return false;
        if (key.n_bytes == 0)
            return fail(reader->error, 15, key.at, "metadata key %u is empty", (unsigned)i);
        struct model_string name = string_at(reader->view, key);
        if (compare_strings(last, name) >= 0)
            return fail(reader->error, 16, key.at,
                        "metadata key %u is not after the key before it", (unsigned)i);
        last = name;
    }
    return true;
}

/* ---- layers -------------------------------------------------------------------- */

static bool check_edges(struct reader *reader, uint32_t layer, uint32_t n_inputs, uint32_t n_slots)
{
    struct cursor cursor = record(reader->view, EDGES, reader->next_edge);
    for (uint32_t i = 0; i < n_inputs; i++) {
        uint32_t value = cursor_u32(&cursor);
        if (value > layer)
            return fail(reader->error, 25, cursor.at - 4,
                        "layer %u reads value %u, which is not made before it", (unsigned)layer,
                        (unsigned)value);
    }
    for (uint32_t i = 0; i < n_slots; i++) {
        uint32_t tensor = cursor_u32(&cursor);
        if (tensor == MODEL_NONE)
            continue;
        if (tensor > reader->next_tensor || tensor >= reader->counts[TENSORS])
            return fail(reader->error, 26, cursor.at - 4,
                        "slot %u of layer %u names tensor %u, the next unused of %u is %u",
                        (unsigned)i, (unsigned)layer, (unsigned)tensor,
                        (unsigned)reader->counts[TENSORS], (unsigned)reader->next_tensor);
        reader->next_tensor += tensor == reader->next_tensor;
    }
    reader->next_edge += n_inputs + n_slots;
    return true;
}

static bool read_layer(struct reader *reader, uint32_t index)
{
    struct cursor cursor = record(reader->view, LAYERS, index);
    size_t at = cursor.at;
    (void)cursor_u32(&cursor); /* type: for who runs the layer */
    struct string_ref name = take_string(&cursor);
    uint32_t first = cursor_u32(&cursor);
    uint32_t n_inputs = cursor_u32(&cursor), n_slots = cursor_u32(&cursor);
    if (!check_string(reader, name, false))
        return false;
    if (n_inputs < 1 || n_inputs > MODEL_MAX_INPUTS || n_slots > MODEL_MAX_LAYER_TENSORS)
        return fail(reader->error, 22, at + 16,
                    "layer %u has %u inputs and %u tensor slots, allowed are 1 to %d and %d",
                    (unsigned)index, (unsigned)n_inputs, (unsigned)n_slots, MODEL_MAX_INPUTS,
                    MODEL_MAX_LAYER_TENSORS);
    if (first != reader->next_edge || n_inputs + n_slots > reader->counts[EDGES] - first)
        return fail(reader->error, 23, at + 12,
                    "edges of layer %u begin at %u and are %u, expected at %u of %u",
                    (unsigned)index, (unsigned)first, (unsigned)(n_inputs + n_slots),
                    (unsigned)reader->next_edge, (unsigned)reader->counts[EDGES]);
    return check_reserved(reader, &cursor, 8, 24, "a layer") &&
           check_edges(reader, index, n_inputs, n_slots);
}

static bool read_layers(struct reader *reader)
{
    for (uint32_t i = 0; i < reader->counts[LAYERS]; i++) {
        if (!read_layer(reader, i))
            return false;
    }
    if (reader->next_edge != reader->counts[EDGES])
        return fail(reader->error, 23, 44, "%u edges, the layers use %u",
                    (unsigned)reader->counts[EDGES], (unsigned)reader->next_edge);
    return true;
}

/* ---- values --------------------------------------------------------------------- */

static bool check_dims(struct reader *reader, const uint32_t *dims, uint32_t rank,
                       uint32_t max_rank, uint64_t at, uint32_t rule)
{
    for (uint32_t i = 0; i < max_rank; i++) {
        if (i >= rank && dims[i] != 0)
            return fail(reader->error, rule, at + 4 * i, "dimension %u is %u, expected 0 for rank %u",
                        (unsigned)i, (unsigned)dims[i], (unsigned)rank);
        if (i < rank && (dims[i] < 1 || dims[i] > MODEL_MAX_DIM))
            return fail(reader->error, rule, at + 4 * i, "dimension %u is %u, allowed are 1 to %d",
                        (unsigned)i, (unsigned)dims[i], MODEL_MAX_DIM);
    }
    return true;
}

static uint64_t frame_size(const uint32_t *dims, uint32_t rank)
{
    uint64_t size = 1;
    for (uint32_t i = 0; i < rank && size <= MODEL_MAX_FRAME; i++)
        size *= dims[i];
    return size;
}

static bool read_value(struct reader *reader, uint32_t index)
{
    struct cursor cursor = record(reader->view, VALUES, index);
    size_t at = cursor.at;
    struct string_ref name = take_string(&cursor);
    uint32_t rank = cursor_u32(&cursor), flags = cursor_u32(&cursor);
    uint32_t dims[MODEL_MAX_RANK];
    for (uint32_t i = 0; i < MODEL_MAX_RANK; i++)
        dims[i] = cursor_u32(&cursor);
    if (!check_string(reader, name, false))
        return false;
    if (rank < 1 || rank > MODEL_MAX_RANK)
        return fail(reader->error, 17, at + 8, "value %u has rank %u, allowed are 1 to %d",
                    (unsigned)index, (unsigned)rank, MODEL_MAX_RANK);
    if (!check_dims(reader, dims, rank, MODEL_MAX_RANK, at + 16, 18))
        return false;
    if (frame_size(dims, rank) > MODEL_MAX_FRAME)
        return fail(reader->error, 19, at + 16, "a frame of value %u has more than %d numbers",
                    (unsigned)index, MODEL_MAX_FRAME);
    if (flags > 1 || (index == 0 && flags != 0))
        return fail(reader->error, 20, at + 12, "flags of value %u are %08x, allowed are 0%s",
                    (unsigned)index, (unsigned)flags, index == 0 ? "" : " and 1");
    return check_reserved(reader, &cursor, 4, 20, "a value");
}

static bool read_values(struct reader *reader)
{
    for (uint32_t i = 0; i < reader->counts[VALUES]; i++) {
        if (!read_value(reader, i))
            return false;
    }
    if (reader->view->output > reader->counts[LAYERS])
        return fail(reader->error, 21, 52, "the output is value %u of %u",
                    (unsigned)reader->view->output, (unsigned)reader->counts[VALUES]);
    return true;
}

/* ---- tensors ---------------------------------------------------------------------- */

static bool check_dtype(struct reader *reader, uint32_t index, uint32_t dtype, uint64_t at)
{
    static const char *const names[] = { "?", "f32", "bf16", "f16", "i8" };
    if (dtype < MODEL_F32 || dtype > MODEL_I8)
        return fail(reader->error, 28, at, "tensor %u has element type %u, known are 1 to 4",
                    (unsigned)index, (unsigned)dtype);
    if (dtype != MODEL_F32)
        return fail(reader->error, 29, at,
                    "tensor %u is of type %s, which version 1 cannot hold: it needs f32",
                    (unsigned)index, names[dtype]);
    return true;
}

static bool check_bytes(struct reader *reader, uint32_t index, const struct model_tensor *tensor,
                        uint64_t at)
{
    uint64_t expected = sizeof(float);
    for (uint32_t i = 0; i < tensor->rank; i++) {
        if (!checked_mul(expected, tensor->dims[i], &expected) || expected > INT64_MAX)
            return fail(reader->error, 32, at, "the size of tensor %u overflows", (unsigned)index);
    }
    if (tensor->n_bytes != expected)
        return fail(reader->error, 32, at, "tensor %u has %ju bytes, its dimensions need %ju",
                    (unsigned)index, (uintmax_t)tensor->n_bytes, (uintmax_t)expected);
    return true;
}

/* Both numbers are below 2^63, so the sum fits. */
static bool check_place(struct reader *reader, uint32_t index, uint64_t offset, uint64_t n_bytes,
                        uint64_t at)
{
    if (offset != reader->next_data)
        return fail(reader->error, 35, at, "tensor %u begins at byte %ju, expected is %ju",
                    (unsigned)index, (uintmax_t)offset, (uintmax_t)reader->next_data);
    if (offset + n_bytes > reader->view->n_bytes)
        return fail(reader->error, 35, at, "tensor %u ends at byte %ju, the file at %ju",
                    (unsigned)index, (uintmax_t)(offset + n_bytes),
                    (uintmax_t)reader->view->n_bytes);
    reader->next_data = align_up(offset + n_bytes);
    return true;
}

static bool read_tensor(struct reader *reader, uint32_t index)
{
    struct cursor cursor = record(reader->view, TENSORS, index);
    size_t at = cursor.at;
    struct model_tensor tensor;
    struct string_ref name = take_string(&cursor);
    uint32_t dtype = cursor_u32(&cursor);
    tensor.rank = cursor_u32(&cursor);
    for (uint32_t i = 0; i < MODEL_MAX_TENSOR_RANK; i++)
        tensor.dims[i] = cursor_u32(&cursor);
    uint64_t offset = cursor_u64(&cursor);
    tensor.n_bytes = cursor_u64(&cursor);
    tensor.scales = cursor_u32(&cursor);
    if (!check_string(reader, name, false) || !check_dtype(reader, index, dtype, at + 8))
        return false;
    if (tensor.rank < 1 || tensor.rank > MODEL_MAX_TENSOR_RANK)
        return fail(reader->error, 30, at + 12, "tensor %u has rank %u, allowed are 1 to %d",
                    (unsigned)index, (unsigned)tensor.rank, MODEL_MAX_TENSOR_RANK);
    if (!check_dims(reader, tensor.dims, tensor.rank, MODEL_MAX_TENSOR_RANK, at + 16, 31) ||
        !check_bytes(reader, index, &tensor, at + 40))
        return false;
    if (tensor.scales != MODEL_NONE)
        return fail(reader->error, 33, at + 48, "tensor %u of type f32 has scales",
                    (unsigned)index);
    return check_reserved(reader, &cursor, 12, 34, "a tensor") &&
           check_place(reader, index, offset, tensor.n_bytes, at + 32);
}

static bool read_tensors(struct reader *reader)
{
    struct model_view *view = reader->view;
    reader->next_data = view->data_offset;
    for (uint32_t i = 0; i < reader->counts[TENSORS]; i++) {
        if (!read_tensor(reader, i))
            return false;
    }
    if (reader->next_data != view->n_bytes)
        return fail(reader->error, 36, 24, "the last tensor and its padding end at byte %ju, "
                    "the file at %ju", (uintmax_t)reader->next_data, (uintmax_t)view->n_bytes);
    if (reader->next_string != reader->counts[STRINGS])
        return fail(reader->error, 11, 48, "%u bytes of strings, the records use %u",
                    (unsigned)reader->counts[STRINGS], (unsigned)reader->next_string);
    return true;
}

/* ---- reference vectors -------------------------------------------------------------- */

static bool check_references_place(struct reader *reader)
{
    const struct model_view *view = reader->view;
    uint32_t input = view->reference_input, output = view->reference_output;
    uint32_t n = view->n_tensors, used = reader->next_tensor;
    bool none = input == MODEL_NONE && output == MODEL_NONE;
    bool last = n >= 2 && input == n - 2 && output == n - 1 && used <= input;
    if (!none && !last)
        return fail(reader->error, 37, 56,
                    "reference tensors %u and %u are not the last two of %u, used by no layer",
                    (unsigned)input, (unsigned)output, (unsigned)n);
    used += none ? 0 : 2;
    if (used != n)
        return fail(reader->error, 27, 40, "%u tensors, of which layers and references use %u",
                    (unsigned)n, (unsigned)used);
    return true;
}

static bool check_reference(struct reader *reader, uint32_t tensor_index, uint32_t value_index)
{
    struct model_value value;
    struct model_tensor tensor;
    model_get_value(reader->view, value_index, &value);
    model_get_tensor(reader->view, tensor_index, &tensor);
    const uint32_t steps = value.once ? 1 : tensor.dims[0]; /* how many, layers say */
    if (tensor.rank != 2 || tensor.dims[0] != steps || tensor.dims[1] != value.size)
        return fail(reader->error, 38, record(reader->view, TENSORS, tensor_index).at + 12,
                    "reference tensor %u is [%u][%u] of rank %u, expected [%u][%zu] of rank 2",
                    (unsigned)tensor_index, (unsigned)tensor.dims[0], (unsigned)tensor.dims[1],
                    (unsigned)tensor.rank, (unsigned)steps, value.size);
    return true;
}

static bool read_references(struct reader *reader)
{
    const struct model_view *view = reader->view;
    if (!check_references_place(reader))
        return false;
    return view->reference_input == MODEL_NONE ||
           (check_reference(reader, view->reference_input, 0) &&
            check_reference(reader, view->reference_output, view->output));
}

/* ---- interface ------------------------------------------------------------------------ */

static uint64_t sum_weight_bytes(const struct model_view *view)
{
    uint32_t n = view->n_tensors - (view->reference_input == MODEL_NONE ? 0 : 2);
    uint64_t sum = 0;
    for (uint32_t i = 0; i < n; i++) {
        struct model_tensor tensor;
        model_get_tensor(view, i, &tensor);
        sum += tensor.n_bytes;
    }
    return sum;
}

bool model_read(const void *bytes, size_t n_bytes, struct model_view *view,
                struct format_error *error)
{
    struct reader reader = { .view = view, .error = error };
    memset(view, 0, sizeof *view);
    memset(error, 0, sizeof *error);
    view->bytes = bytes;
    view->n_bytes = n_bytes;
    if (!read_header(&reader) || !read_metadata(&reader) || !read_layers(&reader) ||
        !read_values(&reader) || !read_tensors(&reader) || !read_references(&reader))
        return false;
    view->weight_bytes = sum_weight_bytes(view);
    return true;
}

void model_get_value(const struct model_view *view, uint32_t index, struct model_value *out)
{
    struct cursor cursor = record(view, VALUES, index);
    out->name = string_at(view, take_string(&cursor));
    out->rank = cursor_u32(&cursor);
    out->once = cursor_u32(&cursor) != 0;
    for (uint32_t i = 0; i < MODEL_MAX_RANK; i++)
        out->dims[i] = cursor_u32(&cursor);
    out->size = (size_t)frame_size(out->dims, out->rank);
}

void model_get_layer(const struct model_view *view, uint32_t index, struct model_layer *out)
{
    struct cursor cursor = record(view, LAYERS, index);
    memset(out, 0, sizeof *out);
    out->offset = cursor.at;
    out->type = cursor_u32(&cursor);
    out->name = string_at(view, take_string(&cursor));
    struct cursor edges = record(view, EDGES, cursor_u32(&cursor));
    out->n_inputs = cursor_u32(&cursor);
    out->n_tensors = cursor_u32(&cursor);
    (void)cursor_take(&cursor, 8);
    for (uint32_t i = 0; i < MODEL_PARAMS; i++)
        out->params[i] = cursor_u32(&cursor);
    for (uint32_t i = 0; i < out->n_inputs; i++)
        out->inputs[i] = cursor_u32(&edges);
    for (uint32_t i = 0; i < MODEL_MAX_LAYER_TENSORS; i++)
        out->tensors[i] = i < out->n_tensors ? cursor_u32(&edges) : MODEL_NONE;
}

void model_get_tensor(const struct model_view *view, uint32_t index, struct model_tensor *out)
{
    struct cursor cursor = record(view, TENSORS, index);
    out->name = string_at(view, take_string(&cursor));
    out->dtype = (enum model_dtype)cursor_u32(&cursor);
    out->rank = cursor_u32(&cursor);
    out->count = 1;
    for (uint32_t i = 0; i < MODEL_MAX_TENSOR_RANK; i++) {
        out->dims[i] = cursor_u32(&cursor);
        out->count *= i < out->rank ? out->dims[i] : 1;
    }
    out->data = view->bytes + cursor_u64(&cursor);
    out->n_bytes = cursor_u64(&cursor);
    out->scales = cursor_u32(&cursor);
}

void model_get_metadata(const struct model_view *view, uint32_t index,
                        struct model_string *key_out, struct model_string *value_out)
{
    struct cursor cursor = record(view, METADATA, index);
    *key_out = string_at(view, take_string(&cursor));
    *value_out = string_at(view, take_string(&cursor));
}

/* ---- the data area ----------------------------------------------------------------------- */

static bool check_data_padding(const struct model_view *view, struct format_error *error)
{
    for (uint32_t i = 0; i < view->n_tensors; i++) {
        struct model_tensor tensor;
        size_t at = 0;
        model_get_tensor(view, i, &tensor);
        const uint8_t *end = (const uint8_t *)tensor.data + tensor.n_bytes;
        uint64_t offset = (uint64_t)(end - view->bytes);
        if (!all_zero(end, (size_t)(align_up(offset) - offset), &at))
            return fail(error, 40, offset + at, "padding after tensor %u is not 0", (unsigned)i);
    }
    return true;
}

bool model_check_weights(const struct model_view *view, struct format_error *error)
{
    uint32_t expected = load_u32(view->bytes + DATA_CHECKSUM_AT);
    uint32_t sum = crc32c(0, view->bytes + view->data_offset,
                          view->n_bytes - (size_t)view->data_offset);
    memset(error, 0, sizeof *error);
    if (sum != expected)
        return fail(error, 39, DATA_CHECKSUM_AT,
                    "checksum of the weights is %08x, the header says %08x: the file is damaged",
                    (unsigned)sum, (unsigned)expected);
    return check_data_padding(view, error);
}
