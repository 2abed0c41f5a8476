/* SPDX-License-Identifier: MIT
 *
 * What importers share: numbers of all element types, gate orders, biases, names, and
 * the digest of the source.
 */
#include <criterion/criterion.h>
#include <float.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "formats/import_common.h"
#include "formats/sha256.h"

static const struct import_source nobody = {.path = "test"};

/* ---- numbers ------------------------------------------------------------- */

/* By the definition of binary16: (-1)^s · 2^(e - 15) · (1 + f / 1024). */
static double f16_value(unsigned bits)
{
    double sign = bits & 0x8000 ? -1 : 1;
    int exponent = (int)(bits >> 10 & 31);
    double fraction = (bits & 1023) / 1024.0;
    return sign * (exponent ? pow(2, exponent - 15) * (1 + fraction) : pow(2, -14) * fraction);
}

Test(import_common, every_f16)
{
    for (unsigned bits = 0; bits < 65536; bits++) {
        struct import_error error;
        uint8_t bytes[2] = {(uint8_t)bits, (uint8_t)(bits >> 8)};
        float got = -7;
        bool finite = (bits >> 10 & 31) != 31;
        bool good = import_numbers(&nobody, "x", IMPORT_F16, bytes, 1, &got, &error);
        cr_assert_eq(good, finite, "%04x", bits);
        if (good)
            cr_assert(got == (float)f16_value(bits) && !signbit(got) == !(bits >> 15), "%04x: %g", bits,
                      (double)got);
    }
}

Test(import_common, every_bf16)
{
    for (unsigned bits = 0; bits < 65536; bits++) {
        struct import_error error;
        uint8_t bytes[2] = {(uint8_t)bits, (uint8_t)(bits >> 8)};
        uint32_t wide = bits << 16;
        float expected, got = -7;
        memcpy(&expected, &wide, sizeof wide);
        bool good = import_numbers(&nobody, "x", IMPORT_BF16, bytes, 1, &got, &error);
        cr_assert_eq(good, isfinite(expected) != 0, "%04x", bits);
        if (fpclassify(expected) == FP_SUBNORMAL)
            expected = 0;
        cr_assert(!good || got == expected, "%04x: %g", bits, (double)got);
    }
}

Test(import_common, f64_is_rounded_and_checked)
{
    static const struct { double given; float expected; bool good; } rows[] = {
        {1.0 + 0x1p-24, 1, true},          {1.0 + 0x1.8p-23, 1 + 0x1p-22f, true},
        {(double)FLT_MAX, FLT_MAX, true},  {(double)FLT_MAX * 1.0000001, 0, false},
        {1e300, 0, false},                 {(double)INFINITY, 0, false},
        {(double)NAN, 0, false},           {(double)FLT_MIN, FLT_MIN, true},
        {(double)FLT_MIN / 2, 0, true},    {-5e-324, 0, true},
        {-0.0, -0.0f, true},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct import_error error = {.text = ""};
        float got = -7;
        bool good = import_numbers(&nobody, "the tensor", IMPORT_F64, &rows[i].given, 1, &got, &error);
        cr_expect_eq(good, rows[i].good, "%g", rows[i].given);
        cr_expect(good ? got == rows[i].expected : strstr(error.text, "'the tensor': number 0") != NULL,
                  "%g: %g %s", rows[i].given, (double)got, error.text);
    }
}

static void keep_note(void *context, const char *text)
{
    snprintf(context, 200, "%s", text);
}

Test(import_common, denormals_are_counted_in_a_note)
{
    char note[200] = "";
    const struct import_source source = {.path = "test", .note = keep_note, .note_context = note};
    const float given[4] = {1, FLT_MIN / 4, -FLT_TRUE_MIN, FLT_MIN};
    float got[4];
    struct import_error error;
    cr_assert(import_numbers(&source, "w", IMPORT_F32, given, 4, got, &error));
    cr_expect(got[0] == 1 && got[1] == 0 && got[2] == 0 && got[3] == FLT_MIN);
    cr_expect(strstr(note, "tensor 'w': 2 numbers"), "%s", note);
    note[0] = '\0';
    cr_assert(import_numbers(&source, "w", IMPORT_F32, given, 1, got, &error));
    cr_expect_str_eq(note, "");
}

/* ---- cells --------------------------------------------------------------- */

static void expect_numbers(const struct model_view *view, uint32_t index, const float *expected, size_t n)
{
    struct model_tensor tensor;
    cr_assert_neq(index, MODEL_NONE);
    model_get_tensor(view, index, &tensor);
    cr_assert_eq(tensor.count, n);
    cr_assert_arr_eq(tensor.data, expected, n * sizeof *expected, "%s", tensor.name.text);
}

/* One layer of this cell as a model file; its first six slots. */
static void *model_of(const struct import_cell *cell, struct model_view *view, uint32_t *slots)
{
    struct model_builder *builder = model_builder_create();
    struct model_layer_spec layer = {.type = cell->type, .n_inputs = 1, .n_tensors = MODEL_RNN_SLOTS,
                                     .rank = 1, .dims = {cell->recurrent}};
    struct import_error error = {.text = ""};
    struct format_error format_error;
    struct model_layer made;
    void *bytes;
    size_t n_bytes;
    model_set_input(builder, "x", 1, &cell->input);
    cr_assert(import_add_cell(&nobody, builder, cell, layer.tensors, &error), "%s", error.text);
    import_rnn_params(layer.params, cell->type, cell->hidden, MODEL_FORWARD, 0);
    model_add_layer(builder, &layer);
    cr_assert(model_finish(builder, &bytes, &n_bytes, &format_error), "%s", format_error.text);
    cr_assert(model_read(bytes, n_bytes, view, &format_error), "%s", format_error.text);
    model_builder_destroy(builder);
    model_get_layer(view, 0, &made);
    memcpy(slots, made.tensors, MODEL_RNN_SLOTS * sizeof *slots);
    return bytes;
}

Test(import_common, onnx_lstm_order)
{
    /* H = I = R = 1; each gate's numbers tell which gate they are: i 1, o 2, f 3, c 4 */
    const float w[4] = {1, 2, 3, 4}, r[4] = {10, 20, 30, 40}, wb[4] = {100, 200, 300, 400};
    const float rb[4] = {.5f, .25f, .125f, .0625f}, peephole[3] = {7, 8, 9}, h0 = 5, c0 = 6;
    const struct import_cell cell = {
        .name = "l", .type = MODEL_LSTM, .hidden = 1, .input = 1, .recurrent = 1,
        .order = import_order_onnx_lstm, .w_input = w, .w_recurrent = r, .bias_input = wb,
        .bias_recurrent = rb, .peephole = peephole, .h0 = &h0, .c0 = &c0};
    uint32_t slots[MODEL_RNN_SLOTS];
    struct model_view view;
    void *bytes = model_of(&cell, &view, slots);
    expect_numbers(&view, slots[MODEL_SLOT_W], (const float[]){10, 1, 30, 3, 40, 4, 20, 2}, 8);
    expect_numbers(&view, slots[MODEL_SLOT_BIAS],
                   (const float[]){100.5f, 300.125f, 400.0625f, 200.25f}, 4);
    expect_numbers(&view, slots[MODEL_SLOT_PEEPHOLE], peephole, 3);
    expect_numbers(&view, slots[MODEL_SLOT_H0], &h0, 1);
    expect_numbers(&view, slots[MODEL_SLOT_C0], &c0, 1);
    cr_expect_eq(slots[MODEL_SLOT_PROJECTION], MODEL_NONE);
    free(bytes);
}

Test(import_common, onnx_gru_order_and_its_biases)
{
    const float w[3] = {1, 2, 3}, r[3] = {10, 20, 30}, wb[3] = {100, 200, 300}; /* z, r, h */
    const float rb[3] = {.5f, .25f, .125f};
    struct import_cell cell = {
        .name = "g", .type = MODEL_GRU, .hidden = 1, .input = 1, .recurrent = 1, .reset_after = true,
        .order = import_order_onnx_gru, .w_input = w, .w_recurrent = r, .bias_input = wb,
        .bias_recurrent = rb};
    uint32_t slots[MODEL_RNN_SLOTS];
    struct model_view view;
    void *bytes = model_of(&cell, &view, slots);
    expect_numbers(&view, slots[MODEL_SLOT_W], (const float[]){20, 2, 10, 1, 30, 3}, 6);
    expect_numbers(&view, slots[MODEL_SLOT_BIAS], (const float[]){200.25f, 100.5f, 300}, 3);
    expect_numbers(&view, slots[MODEL_SLOT_PEEPHOLE], (const float[]){.125f}, 1);
    free(bytes);
    cell.reset_after = false;
    bytes = model_of(&cell, &view, slots);
    expect_numbers(&view, slots[MODEL_SLOT_BIAS], (const float[]){200.25f, 100.5f, 300.125f}, 3);
    cr_expect_eq(slots[MODEL_SLOT_PEEPHOLE], MODEL_NONE);
    free(bytes);
}

Test(import_common, a_sum_of_biases_beyond_f32_is_refused)
{
    const float w[1] = {1}, big[1] = {3e38f};
    const struct import_cell cell = {.name = "the rnn", .type = MODEL_RNN, .hidden = 1, .input = 1,
                                     .recurrent = 1, .w_input = w, .w_recurrent = w, .bias_input = big,
                                     .bias_recurrent = big};
    struct model_builder *builder = model_builder_create();
    struct import_error error = {.text = ""};
    uint32_t slots[MODEL_RNN_SLOTS];
    cr_expect(!import_add_cell(&nobody, builder, &cell, slots, &error));
    cr_expect(strstr(error.text, "the rnn"), "%s", error.text);
    model_builder_destroy(builder);
}

/* ---- names --------------------------------------------------------------- */

Test(import_common, names_in_the_order_of_people)
{
    static const char *const sorted[] = {"",   "a",   "a.1", "a.2", "a.10", "a1",
                                         "a01", "a2b", "a2c", "a10", "b"};
    size_t n = sizeof sorted / sizeof *sorted;
    for (size_t i = 0; i < n; i++) {
        for (size_t j = 0; j < n; j++) {
            int order = import_compare_names(sorted[i], sorted[j]);
            bool tie = strcmp(sorted[i], "a1") == 0 && strcmp(sorted[j], "a01") == 0;
            bool tied = strcmp(sorted[j], "a1") == 0 && strcmp(sorted[i], "a01") == 0;
            if (tie || tied) /* some order, but the same both ways */
                cr_expect((order < 0) == (import_compare_names(sorted[j], sorted[i]) > 0) && order);
            else
                cr_expect((order < 0) == (i < j) && (order > 0) == (i > j), "'%s' '%s': %d", sorted[i],
                          sorted[j], order);
        }
    }
}

Test(import_common, activation_names)
{
    static const struct { const char *name; bool known; uint32_t activation; } rows[] = {
        {"relu", true, MODEL_ACT_RELU},           {"LeakyRelu", true, MODEL_ACT_LEAKY_RELU},
        {"hard-sigmoid", true, MODEL_ACT_HARD_SIGMOID}, {"Linear", true, MODEL_ACT_IDENTITY},
        {"none", true, MODEL_ACT_IDENTITY},       {"ThresholdedRelu", true, MODEL_ACT_THRESHOLDED_RELU},
        {"rel", false, 0},                        {"relus", false, 0},
        {"", false, 0},                           {"gelu", false, 0},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        uint32_t got = 99;
        cr_expect_eq(import_activation(rows[i].name, &got), rows[i].known, "%s", rows[i].name);
        cr_expect(!rows[i].known || got == rows[i].activation, "%s: %u", rows[i].name, got);
    }
}

/* ---- SHA-256 ------------------------------------------------------------- */

/* The examples of FIPS 180-2's appendix B, and the empty message. */
Test(import_common, sha256_of_the_standards_examples)
{
    char text[SHA256_TEXT];
    char *million = malloc(1000000);
    memset(million, 'a', 1000000);
    sha256_text("abc", 3, text);
    cr_expect_str_eq(text, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    sha256_text("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq", 56, text);
    cr_expect_str_eq(text, "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1");
    sha256_text(million, 1000000, text);
    cr_expect_str_eq(text, "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
    sha256_text(NULL, 0, text);
    cr_expect_str_eq(text, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    free(million);
}
