/* SPDX-License-Identifier: MIT
 *
 * Model files that are right: what the writer makes and the reader shows, the limits of both, memory that
 * runs out, and that opening leaves the weights alone.
 */
#define _DEFAULT_SOURCE 1

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "formats/bytes.h"
#include "formats/crc32c.h"
#include "formats/mapfile.h"
#include "formats/utf8.h"
#include "tests/failing_malloc.h"
#include "tests/model_walk.h"

#define NONE MODEL_NONE

struct made {
    void *bytes;
    size_t n_bytes;
    struct model_view view;
};

static struct made finish(struct model_builder *builder)
{
    struct made made;
    struct format_error error;
    cr_assert(model_finish(builder, &made.bytes, &made.n_bytes, &error), "F%u %s",
              (unsigned)error.rule, error.text);
    model_builder_destroy(builder);
    cr_assert(model_read(made.bytes, made.n_bytes, &made.view, &error), "%s", error.text);
    cr_assert(model_check_weights(&made.view, &error), "%s", error.text);
    const char *wrong = model_walk(&made.view);
    cr_assert_null(wrong, "%s", wrong);
    return made;
}

static struct model_builder *create(void)
{
    struct model_builder *builder = model_builder_create();
    cr_assert_not_null(builder);
    return builder;
}

/* A builder with an input of three numbers. */
static struct model_builder *create_with_input(void)
{
    struct model_builder *builder = create();
    model_set_input(builder, "x", 1, (uint32_t[]){ 3 });
    return builder;
}

/* A layer that keeps the shape of the input [3]. */
static struct model_layer_spec plain_layer(void)
{
    struct model_layer_spec spec = { .type = MODEL_ACTIVATION, .n_inputs = 1, .rank = 1, .dims = { 3 } };
    return spec;
}

/* ---- the same model as good_model() of golden-bad/make.py ------------------------------------------- */

/* With a builder that has failed, it does nothing. */
static void build_good(struct model_builder *builder)
{
    static const float bias[4][2] = { { 0.5f, -0.25f }, { 1, 1 }, { 0, 0.125f }, { -0.5f, 2 } };
    float weights[4][2][5];
    for (int gate = 0; gate < 4; gate++)
        for (int unit = 0; unit < 2; unit++)
            for (int k = 0; k < 5; k++)
                weights[gate][unit][k] = (float)(gate * 10 + unit * 5 + k) / 16 - 1;
    model_set_input(builder, "frame", 1, (uint32_t[]){ 3 });
    uint32_t head = model_add_tensor(builder, "head.weight", 2, (uint32_t[]){ 1, 2 },
                                     (float[]){ 1.5f, -2 });
    uint32_t w = model_add_tensor(builder, "cell.W", 3, (uint32_t[]){ 4, 2, 5 }, &weights[0][0][0]);
    uint32_t b = model_add_tensor(builder, "cell.bias", 2, (uint32_t[]){ 4, 2 }, &bias[0][0]);
    struct model_layer_spec cell = {
        .type = MODEL_LSTM, .name = "cell", .n_inputs = 1, .n_tensors = 6,
        .tensors = { w, b, NONE, NONE, NONE, NONE }, .params = { 2, 0, 0, 0, 1 | 2 << 8 | 2 << 16 },
        .rank = 1, .dims = { 2 },
    };
    uint32_t h = model_add_layer(builder, &cell);
    struct model_layer_spec dense = {
        .type = MODEL_DENSE, .name = "head", .n_inputs = 1, .inputs = { h }, .n_tensors = 2,
        .tensors = { head, NONE }, .params = { MODEL_ACT_SIGMOID }, .rank = 1, .dims = { 1 },
    };
    model_add_layer(builder, &dense);
    model_set_metadata(builder, "name", "wird ersetzt");
    model_set_metadata(builder, "labels", "one\ntwo");
    model_set_metadata(builder, "author", "tests");
    model_set_metadata(builder, "name", "gut f\xc3\xbcr Pr\xc3\xbc" "fungen");
    model_set_reference(builder, 2, (float[]){ 1, 2, 3, 4, 5, 6 }, 2, (float[]){ 0.25f, 0.75f });
}

static struct made make_good(void)
{
    struct model_builder *builder = create();
    build_good(builder);
    return finish(builder);
}

static struct mapfile map_good(void)
{
    char path[4096], reason[256];
    struct mapfile file;
    const char *source = getenv("LSTMRUN_SOURCE");
    cr_assert_not_null(source, "LSTMRUN_SOURCE must name the source folder");
    snprintf(path, sizeof path, "%s/tests/golden-bad/good.bin", source);
    cr_assert(mapfile_open(path, &file, reason, sizeof reason), "%s: %s", path, reason);
    return file;
}

Test(model_file, same_bytes_as_the_python_writer)
{
    struct made made = make_good();
    struct mapfile file = map_good();
    cr_assert_eq(made.n_bytes, file.n_bytes);
    for (size_t i = 0; i < made.n_bytes; i++)
        cr_assert_eq(((const uint8_t *)made.bytes)[i], ((const uint8_t *)file.bytes)[i], "byte %zu", i);
    mapfile_close(&file);
    free(made.bytes);
}

static void expect_string(struct model_string string, const char *text)
{
    cr_expect_eq(string.n_bytes, strlen(text));
    cr_expect_str_eq(string.text, text);
}

static void expect_pair(const struct model_view *view, uint32_t index, const char *key, const char *value)
{
    struct model_string k, v;
    model_get_metadata(view, index, &k, &v);
    expect_string(k, key);
    expect_string(v, value);
}

Test(model_file, contents_of_a_view)
{
    struct made made = make_good();
    const struct model_view *view = &made.view;
    struct model_layer layer;
    struct model_tensor tensor;
    struct model_value value;
    cr_assert_eq(view->n_layers, 2);
    cr_assert_eq(view->n_tensors, 5);
    cr_assert_eq(view->n_metadata, 3);
    cr_expect_eq(view->output, 2);
    cr_expect_eq(view->weight_bytes, 4 * (40 + 8 + 2));
    expect_pair(view, 0, "author", "tests");
    expect_pair(view, 1, "labels", "one\ntwo");
    expect_pair(view, 2, "name", "gut f\xc3\xbcr Pr\xc3\xbc" "fungen");
    model_get_layer(view, 1, &layer);
    expect_string(layer.name, "head");
    cr_expect(layer.type == MODEL_DENSE && layer.n_inputs == 1 && layer.inputs[0] == 1);
    cr_expect(layer.n_tensors == 2 && layer.tensors[0] == 2 && layer.tensors[1] == NONE);
    cr_expect(layer.params[0] == MODEL_ACT_SIGMOID && layer.params[1] == 0);
    model_get_tensor(view, layer.tensors[0], &tensor);
    expect_string(tensor.name, "head.weight");
    cr_expect(tensor.dtype == MODEL_F32 && tensor.rank == 2 && tensor.dims[0] == 1 && tensor.dims[1] == 2);
    cr_expect(tensor.count == 2 && tensor.n_bytes == 8 && tensor.scales == NONE);
    cr_expect_arr_eq(tensor.data, ((float[]){ 1.5f, -2 }), 8);
    model_get_value(view, 0, &value);
    expect_string(value.name, "frame");
    cr_expect(value.rank == 1 && value.dims[0] == 3 && value.size == 3 && !value.once);
    model_get_tensor(view, view->reference_output, &tensor);
    cr_expect_arr_eq(tensor.data, ((float[]){ 0.25f, 0.75f }), 8);
    free(made.bytes);
}

Test(model_file, rebuilt_equal)
{
    struct made made = make_good(), again;
    struct format_error error;
    cr_assert(model_rebuild(&made.view, &again.bytes, &again.n_bytes, &error), "%s", error.text);
    cr_assert_eq(again.n_bytes, made.n_bytes);
    cr_expect_arr_eq(again.bytes, made.bytes, made.n_bytes);
    free(again.bytes);
    free(made.bytes);
}

Test(model_file, any_alignment_of_memory)
{
    struct made made = make_good();
    for (size_t shift = 0; shift < 16; shift++) {
        struct model_view view;
        struct format_error error;
        uint8_t *memory = malloc(made.n_bytes + shift);
        cr_assert_not_null(memory);
        memcpy(memory + shift, made.bytes, made.n_bytes);
        cr_assert(model_read(memory + shift, made.n_bytes, &view, &error), "%s", error.text);
        cr_assert_null(model_walk(&view));
        cr_assert(model_check_weights(&view, &error));
        cr_assert_null(model_difference(&view, &made.view));
        free(memory);
    }
    free(made.bytes);
}

/* Two tensors for four slots: shared weights stay shared. */
Test(model_file, shared_tensors)
{
    struct model_builder *builder = create_with_input();
    uint32_t second = model_add_tensor(builder, "second", 1, (uint32_t[]){ 3 }, (float[]){ 4, 5, 6 });
    uint32_t first = model_add_tensor(builder, "first", 1, (uint32_t[]){ 3 }, (float[]){ 1, 2, 3 });
    struct model_layer_spec spec = plain_layer();
    spec.type = MODEL_SCALE;
    spec.n_tensors = 2;
    spec.tensors[0] = first;
    spec.tensors[1] = second;
    model_add_layer(builder, &spec);
    spec.inputs[0] = 1;
    spec.tensors[0] = second;
    spec.tensors[1] = first;
    model_add_layer(builder, &spec);
    struct made made = finish(builder);
    struct model_layer layers[2];
    struct model_tensor tensor;
    cr_assert_eq(made.view.n_tensors, 2);
    model_get_layer(&made.view, 0, &layers[0]);
    model_get_layer(&made.view, 1, &layers[1]);
    cr_expect(layers[0].tensors[0] == 0 && layers[0].tensors[1] == 1);
    cr_expect(layers[1].tensors[0] == 1 && layers[1].tensors[1] == 0);
    model_get_tensor(&made.view, 0, &tensor);
    expect_string(tensor.name, "first");
    free(made.bytes);
}

/* A model whose output has one frame a run, with that frame as its reference output. */
static struct model_builder *build_once(uint32_t output_steps)
{
    struct model_builder *builder = create_with_input();
    struct model_layer_spec spec = plain_layer();
    spec.type = MODEL_LAST;
    spec.once = true;
    model_add_layer(builder, &spec);
    model_set_reference(builder, 2, (float[]){ 1, 2, 3, 4, 5, 6 }, output_steps,
                        (float[]){ 4, 5, 6, 0, 0, 0 });
    return builder;
}

Test(model_file, one_frame_a_run)
{
    struct made made = finish(build_once(1));
    struct model_value value;
    struct model_tensor tensor;
    struct format_error error;
    void *bytes;
    size_t n_bytes;
    model_get_value(&made.view, 0, &value);
    cr_expect_not(value.once);
    model_get_value(&made.view, 1, &value);
    cr_expect(value.once);
    cr_expect_eq(made.view.weight_bytes, 0);
    model_get_tensor(&made.view, made.view.reference_output, &tensor);
    cr_expect(tensor.dims[0] == 1 && tensor.dims[1] == 3);
    cr_expect_arr_eq(tensor.data, ((float[]){ 4, 5, 6 }), 12);
    struct model_builder *builder = build_once(2);
    cr_expect_not(model_finish(builder, &bytes, &n_bytes, &error));
    cr_expect_eq(error.rule, 38);
    cr_expect_not_null(strstr(error.text, "expected 1"), "%s", error.text);
    model_builder_destroy(builder);
    free(made.bytes);
}

Test(model_file, output_that_is_not_the_last)
{
    struct model_builder *builder = create_with_input();
    struct model_layer_spec spec = plain_layer();
    uint32_t first = model_add_layer(builder, &spec);
    model_add_layer(builder, &spec);
    model_set_output(builder, first);
    struct made made = finish(builder);
    cr_expect_eq(made.view.output, 1);
    cr_expect(made.view.reference_input == NONE && made.view.reference_output == NONE);
    free(made.bytes);
}

Test(model_file, all_bits_of_floats_survive)
{
    static const uint32_t bits[] = { 0, 0x80000000, 1, 0x807fffff, 0x7f800000, 0xff800000, 0x7fc00001,
                                     0x7f800001, 0x3f800000 };
    enum { N = sizeof bits / sizeof *bits };
    float data[N];
    struct model_builder *builder = create_with_input();
    memcpy(data, bits, sizeof bits);
    struct model_layer_spec spec = plain_layer();
    spec.n_tensors = 1;
    spec.tensors[0] = model_add_tensor(builder, NULL, 1, (uint32_t[]){ N }, data);
    model_add_layer(builder, &spec);
    struct made made = finish(builder);
    struct model_tensor tensor;
    model_get_tensor(&made.view, 0, &tensor);
    cr_expect_arr_eq(tensor.data, bits, sizeof bits);
    for (int i = 0; i < N; i++)
        cr_expect(i == 7 || model_float_bits(model_bits_float(bits[i])) == bits[i]);
    free(made.bytes);
}

/* ---- opening ------------------------------------------------------------------------------------------ */

/* The data area is made unreadable: opening must not touch it, or it crashes. */
Test(model_file, opening_reads_no_weights)
{
    enum { PAGE = 65536, COUNT = 3 * PAGE / 4 };
    struct model_builder *builder = create_with_input();
    struct model_layer_spec spec = plain_layer();
    float *data = calloc(COUNT, sizeof *data);
    cr_assert_not_null(data);
    spec.n_tensors = 1;
    spec.tensors[0] = model_add_tensor(builder, "w", 1, (uint32_t[]){ COUNT }, data);
    model_add_layer(builder, &spec);
    struct made made = finish(builder);
    uint8_t *memory = mmap(NULL, 6 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    cr_assert(memory != MAP_FAILED);
    uint8_t *start = memory + PAGE - made.view.data_offset;
    memcpy(start, made.bytes, made.n_bytes);
    cr_assert_eq(mprotect(memory + PAGE, 5 * PAGE, PROT_NONE), 0);
    struct model_view view;
    struct format_error error;
    cr_assert(model_read(start, made.n_bytes, &view, &error), "%s", error.text);
    munmap(memory, 6 * PAGE);
    free(made.bytes);
    free(data);
}

Test(model_file, checksum_known_values)
{
    static const char numbers[] = "123456789";
    uint8_t bytes[67];
    cr_expect_eq(crc32c(0, numbers, 9), 0xe3069283);
    cr_expect_eq(crc32c(0, "", 0), 0);
    memset(bytes, 0, 32);
    cr_expect_eq(crc32c(0, bytes, 32), 0x8a9136aa);
    memset(bytes, 0xff, 32);
    cr_expect_eq(crc32c(0, bytes, 32), 0x62a8ab43);
    for (unsigned i = 0; i < sizeof bytes; i++)
        bytes[i] = (uint8_t)i;
    cr_expect_eq(crc32c(0, bytes, 32), 0x46dd794e);
    for (size_t cut = 0; cut <= sizeof bytes; cut++)
        cr_expect_eq(crc32c(crc32c(0, bytes, cut), bytes + cut, sizeof bytes - cut),
                     crc32c(0, bytes, sizeof bytes), "cut at %zu", cut);
}

Test(model_file, cut_messages_stay_text)
{
    char cut[] = "Gr\xc3\xb6\xc3\x9f" "e \xe2\x82";
    char whole[] = "Gr\xc3\xb6\xc3\x9f" "e";
    utf8_trim(cut);
    utf8_trim(whole);
    cr_expect_str_eq(cut, "Gr\xc3\xb6\xc3\x9f" "e ");
    cr_expect_str_eq(whole, "Gr\xc3\xb6\xc3\x9f" "e");
}

Test(model_file, sizes_that_overflow)
{
    uint64_t out = 7;
    cr_expect(checked_add(UINT64_MAX - 1, 1, &out) && out == UINT64_MAX);
    cr_expect(!checked_add(UINT64_MAX, 1, &out) && out == UINT64_MAX);
    cr_expect(checked_mul(UINT32_MAX, UINT32_MAX, &out) && out == UINT64_C(0xfffffffe00000001));
    cr_expect(!checked_mul(UINT64_C(1) << 32, UINT64_C(1) << 32, &out));
    cr_expect(checked_mul(UINT64_MAX, 0, &out) && out == 0);
    struct cursor cursor = cursor_at((const uint8_t *)"\1\2\3\4\5", 5, 1);
    cr_expect(cursor_u16(&cursor) == 0x0302 && cursor_u32(&cursor) == 0 && cursor.failed);
    cr_expect(cursor_u16(&cursor) == 0 && cursor.at == 5);
    cursor = cursor_at((const uint8_t *)"", 0, UINT64_MAX);
    cr_expect(cursor.failed && cursor_u64(&cursor) == 0);
}

/* ---- what the writer refuses ------------------------------------------------------------------------- */

static void expect_refused(struct model_builder *builder, uint32_t rule, const char *what)
{
    void *bytes;
    size_t n_bytes;
    struct format_error error;
    struct model_layer_spec spec = plain_layer();
    model_add_layer(builder, &spec);
    cr_expect_not(model_finish(builder, &bytes, &n_bytes, &error), "%s", what);
    cr_expect_eq(error.rule, rule, "%s: F%u, %s", what, (unsigned)error.rule, error.text);
    cr_expect(error.text[0] != '\0' && bytes == NULL && n_bytes == 0, "%s", what);
    model_builder_destroy(builder);
}

static void expect_layer_refused(struct model_layer_spec spec, uint32_t rule, const char *what)
{
    struct model_builder *builder = create_with_input();
    cr_expect_eq(model_add_layer(builder, &spec), NONE, "%s", what);
    expect_refused(builder, rule, what);
}

Test(model_file, refused_layers)
{
    struct model_layer_spec spec = plain_layer();
    expect_refused(create(), 25, "no input");
    spec.n_inputs = 0;
    expect_layer_refused(spec, 22, "no inputs");
    spec.n_inputs = MODEL_MAX_INPUTS + 1;
    expect_layer_refused(spec, 22, "too many inputs");
    spec = plain_layer();
    spec.n_tensors = MODEL_MAX_LAYER_TENSORS + 1;
    expect_layer_refused(spec, 22, "too many tensors");
    spec = plain_layer();
    spec.inputs[0] = 1;
    expect_layer_refused(spec, 25, "reads its own output");
    spec = plain_layer();
    spec.n_tensors = 1;
    expect_layer_refused(spec, 26, "no such tensor");
    spec = plain_layer();
    spec.rank = 4;
    expect_layer_refused(spec, 17, "rank 4");
    spec = plain_layer();
    spec.dims[0] = 0;
    expect_layer_refused(spec, 18, "dimension 0");
    spec = plain_layer();
    spec.rank = 2;
    spec.dims[0] = spec.dims[1] = 4097;
    expect_layer_refused(spec, 19, "frame too large");
    spec = plain_layer();
    spec.name = "a\nb";
    expect_layer_refused(spec, 14, "control character");
    spec.name = "\xff";
    expect_layer_refused(spec, 13, "not UTF-8");
}

static void expect_tensor_refused(uint32_t rank, const uint32_t *dims, uint32_t rule, const char *what)
{
    struct model_builder *builder = create_with_input();
    float number = 0;
    cr_expect_eq(model_add_tensor(builder, what, rank, dims, &number), NONE, "%s", what);
    expect_refused(builder, rule, what);
}

Test(model_file, refused_tensors)
{
    const uint32_t large = MODEL_MAX_DIM;
    expect_tensor_refused(0, (uint32_t[]){ 1 }, 30, "rank 0");
    expect_tensor_refused(5, (uint32_t[]){ 1, 1, 1, 1, 1 }, 30, "rank 5");
    expect_tensor_refused(2, (uint32_t[]){ 1, 0 }, 31, "dimension 0");
    expect_tensor_refused(1, (uint32_t[]){ large + 1 }, 31, "dimension too large");
    expect_tensor_refused(4, (uint32_t[]){ large, large, large, large }, 32, "too many numbers");
    struct model_builder *builder = create_with_input();
    float number = 0;
    cr_expect_eq(model_add_tensor(builder, "unused", 1, (uint32_t[]){ 1 }, &number), 0);
    expect_refused(builder, 27, "a tensor of no layer");
}

Test(model_file, refused_metadata_and_whole)
{
    struct model_builder *builder = create_with_input();
    model_set_metadata(builder, "", "x");
    expect_refused(builder, 15, "empty key");
    builder = create_with_input();
    model_set_metadata(builder, "key", "\x1b[31m");
    expect_refused(builder, 14, "escape sequence");
    builder = create_with_input();
    model_set_input(builder, "x", 1, (uint32_t[]){ 3 });
    expect_refused(builder, 25, "input set twice");
    builder = create_with_input();
    model_set_output(builder, 1);
    expect_refused(builder, 21, "output that is not there yet");
    builder = create_with_input();
    model_set_reference(builder, 2, (float[]){ 0, 0, 0, 0, 0, 0 }, 0, (float[]){ 0, 0, 0 });
    expect_refused(builder, 38, "reference output of no steps");
    builder = create();
    model_set_reference(builder, 1, (float[]){ 0 }, 1, (float[]){ 0 });
    expect_refused(builder, 38, "reference before the input");
    builder = create_with_input();
    struct model_layer_spec wide = plain_layer();
    wide.dims[0] = 4;
    model_set_reference(builder, 1, (float[]){ 0, 0, 0 }, 1, (float[]){ 0, 0, 0 });
    model_add_layer(builder, &wide);
    model_set_output(builder, 1);
    expect_refused(builder, 38, "output of another size than its reference");
    struct format_error error;
    void *bytes;
    size_t n_bytes;
    builder = create_with_input();
    cr_expect_not(model_finish(builder, &bytes, &n_bytes, &error));
    cr_expect_eq(error.rule, 7);
    model_builder_destroy(builder);
}

Test(model_file, first_refusal_stays)
{
    struct model_builder *builder = create_with_input();
    float number = 0;
    struct model_value value;
    model_set_metadata(builder, "", "x");
    cr_expect_eq(model_add_tensor(builder, "", 9, NULL, &number), NONE);
    model_set_output(builder, 77);
    cr_expect(model_builder_value(builder, 0, &value) && value.size == 3);
    cr_expect_not(model_builder_value(builder, 1, &value));
    expect_refused(builder, 15, "the first of three");
}

/* ---- at the limits ----------------------------------------------------------------------------------- */

Test(model_file, most_layers_and_tensors)
{
    struct model_builder *builder = create_with_input();
    for (uint32_t i = 0; i < MODEL_MAX_LAYERS; i++) {
        struct model_layer_spec spec = plain_layer();
        spec.n_inputs = MODEL_MAX_INPUTS;
        for (uint32_t k = 0; k < MODEL_MAX_INPUTS; k++)
            spec.inputs[k] = k < i ? i - k : 0;
        spec.n_tensors = MODEL_MAX_LAYER_TENSORS;
        for (uint32_t k = 0; k < MODEL_MAX_LAYER_TENSORS; k++) {
            float number = (float)(i * MODEL_MAX_LAYER_TENSORS + k);
            spec.tensors[k] = model_add_tensor(builder, NULL, 1, (uint32_t[]){ 1 }, &number);
        }
        cr_assert_eq(model_add_layer(builder, &spec), i + 1);
    }
    struct made made = finish(builder);
    struct model_tensor tensor;
    cr_assert(made.view.n_layers == MODEL_MAX_LAYERS && made.view.n_tensors == MODEL_MAX_TENSORS);
    model_get_tensor(&made.view, MODEL_MAX_TENSORS - 1, &tensor);
    cr_expect_arr_eq(tensor.data, &(float){ MODEL_MAX_TENSORS - 1 }, 4);
    free(made.bytes);
}

Test(model_file, one_too_many)
{
    struct model_builder *builder = create_with_input();
    struct model_layer_spec spec = plain_layer();
    float number = 0;
    for (uint32_t i = 0; i < MODEL_MAX_LAYERS; i++)
        model_add_layer(builder, &spec);
    cr_expect_eq(model_add_layer(builder, &spec), NONE);
    expect_refused(builder, 7, "layers");
    builder = create_with_input();
    for (uint32_t i = 0; i < MODEL_MAX_TENSORS; i++)
        model_add_tensor(builder, NULL, 1, (uint32_t[]){ 1 }, &number);
    cr_expect_eq(model_add_tensor(builder, NULL, 1, (uint32_t[]){ 1 }, &number), NONE);
    expect_refused(builder, 7, "tensors");
    builder = create_with_input();
    for (int i = 0; i <= MODEL_MAX_METADATA; i++) {
        char key[16];
        snprintf(key, sizeof key, "%d", i);
        model_set_metadata(builder, key, "");
    }
    expect_refused(builder, 7, "metadata");
}

/* The pool also holds "key", "x" and "", the layer's, twice; each with its NUL. */
Test(model_file, most_text)
{
    const size_t most = MODEL_MAX_STRING_BYTES - 9;
    char *text = malloc(most + 2);
    cr_assert_not_null(text);
    memset(text, 'a', most + 1);
    for (size_t extra = 0; extra < 2; extra++) {
        struct model_builder *builder = create_with_input();
        struct model_layer_spec spec = plain_layer();
        text[most + extra] = '\0';
        model_set_metadata(builder, "key", text);
        text[most + extra] = 'a';
        if (extra == 1) {
            expect_refused(builder, 7, "text");
        } else {
            model_add_layer(builder, &spec);
            free(finish(builder).bytes);
        }
    }
    free(text);
}

/* ---- out of memory ----------------------------------------------------------------------------------- */

Test(model_file, out_of_memory_everywhere)
{
    struct made good = make_good();
    for (size_t n = 1;; n++) {
        void *bytes = NULL;
        size_t n_bytes = 0;
        struct format_error error = { 0 };
        failing_malloc_arm(n);
        struct model_builder *builder = model_builder_create();
        bool made = false;
        if (builder) {
            build_good(builder);
            made = model_finish(builder, &bytes, &n_bytes, &error);
        }
        bool enough = failing_malloc_disarm() < n;
        model_builder_destroy(builder);
        cr_assert_eq(made, enough, "allocation %zu: F%u %s", n, (unsigned)error.rule, error.text);
        cr_assert(made || !builder || strcmp(error.text, "out of memory") == 0, "allocation %zu: %s", n,
                  error.text);
        cr_assert_eq(error.rule, 0);
        if (made) {
            cr_assert_arr_eq(bytes, good.bytes, good.n_bytes);
            cr_assert(n > 15, "only %zu allocations", n);
            free(bytes);
            break;
        }
    }
    free(good.bytes);
}
