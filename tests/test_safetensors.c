/* SPDX-License-Identifier: MIT
 *
 * The safetensors reader: what it accepts, and that each break of the format is refused
 * with a sentence that says so.
 */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "formats/torch/safetensors.h"
#include "tests/safetensors_writer.h"

static bool read_text(const char *header, size_t n_data, char *error, size_t n_error)
{
    struct named_tensors file;
    size_t n_bytes;
    uint8_t *bytes = st_of_text(header, n_data, &n_bytes);
    bool good = safetensors_read(bytes, n_bytes, &file, error, n_error);
    if (good)
        named_tensors_free(&file);
    free(bytes);
    return good;
}

Test(safetensors, reads_names_shapes_and_data)
{
    struct st_writer writer = {0};
    struct named_tensors file;
    char error[300];
    size_t n_bytes;
    const float numbers[6] = {1, -2, 0.5f, 0, 3, 100};
    st_add(&writer, "b.weight", NT_F32, 2, (const uint64_t[]){2, 3}, numbers);
    st_add(&writer, "a", NT_F16, 1, (const uint64_t[]){6}, numbers);
    st_add(&writer, "scalar", NT_F64, 0, NULL, numbers);
    st_add(&writer, "none", NT_F32, 2, (const uint64_t[]){0, 7}, numbers);
    uint8_t *bytes = st_finish(&writer, &n_bytes);
    cr_assert(safetensors_recognise(bytes, n_bytes));
    cr_assert(safetensors_read(bytes, n_bytes, &file, error, sizeof error), "%s", error);
    cr_assert_eq(file.n_tensors, 4);
    const struct named_tensor *t = file.tensors;
    cr_assert_str_eq(t[0].name, "b.weight");
    cr_assert(t[0].rank == 2 && t[0].dims[0] == 2 && t[0].dims[1] == 3 && t[0].n_bytes == 24);
    cr_assert_arr_eq(t[0].data, (const uint8_t *)numbers, 24);
    cr_assert(t[1].dtype == NT_F16 && t[1].count == 6 && t[1].n_bytes == 12);
    cr_assert(t[2].rank == 0 && t[2].count == 1 && t[2].n_bytes == 8);
    cr_assert(t[3].count == 0 && t[3].n_bytes == 0);
    named_tensors_free(&file);
    free(bytes);
}

Test(safetensors, accepts_what_the_format_allows)
{
    static const struct { const char *header; size_t n_data; } rows[] = {
        {"{}", 0},
        {"{}      ", 0},
        {"{\"__metadata__\":{\"format\":\"pt\"}}", 0},
        {"{\"y\":{\"dtype\":\"U8\",\"shape\":[2],\"data_offsets\":[3,5]},"
         "\"x\":{\"data_offsets\":[0,3],\"shape\":[3,1],\"dtype\":\"BOOL\"}}", 5},
        {"{\"x\":{\"dtype\":\"F4\",\"shape\":[4],\"data_offsets\":[0,2]}}", 2},
        {"{\"x\":{\"dtype\":\"F8_E4M3\",\"shape\":[3],\"data_offsets\":[0,3]}}", 3},
        {"{\"e\":{\"dtype\":\"F32\",\"shape\":[0],\"data_offsets\":[4,4]},"
         "\"x\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4]},"
         "\"f\":{\"dtype\":\"F32\",\"shape\":[0,9],\"data_offsets\":[0,0]}}", 4},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        char error[300] = "";
        cr_expect(read_text(rows[i].header, rows[i].n_data, error, sizeof error), "%s: %s", rows[i].header,
                  error);
    }
}

struct bad {
    const char *header;
    size_t n_data;
    const char *says;
};

#define ENTRY(dtype, shape, offsets) \
    "{\"x\":{\"dtype\":" dtype ",\"shape\":" shape ",\"data_offsets\":" offsets "}}"

static const struct bad bad_rows[] = {
    {"[]", 0, "does not begin with '{'"},
    {" {}", 0, "does not begin with '{'"},
    {"", 0, "does not begin with '{'"},
    {"{", 0, "JSON"},
    {"{} x", 0, "JSON"},
    {"{}{}", 0, "JSON"},
    {"{\"x\":1,}", 0, "JSON"},
    {"{\"\xff\":1}", 0, "JSON"},
    {"{\"x\":3}", 0, "not an object"},
    {"{\"x\":{}}", 0, "\"dtype\" is missing"},
    {"{\"__metadata__\":3}", 0, "__metadata__"},
    {"{\"__metadata__\":{\"a\":1}}", 0, "not a string"},
    {"{\"x\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4],\"more\":1}}", 4,
     "unknown key \"more\""},
    {"{\"x\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[0,1]},"
     "\"x\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[0,1]}}", 1, "duplicate"},
    {"{\"x\":{\"dtype\":\"U8\",\"shape\":[1],\"shape\":[1],\"data_offsets\":[0,1]}}", 1, "duplicate"},
    {ENTRY("\"F31\"", "[1]", "[0,4]"), 4, "unknown dtype \"F31\""},
    {ENTRY("7", "[1]", "[0,4]"), 4, "\"dtype\" is missing or not a string"},
    {ENTRY("\"F32\"", "4", "[0,4]"), 4, "\"shape\" is missing or not a list"},
    {ENTRY("\"F32\"", "[1,1,1,1,1,1,1,1,1]", "[0,4]"), 4, "9 dimensions"},
    {ENTRY("\"F32\"", "[-1]", "[0,4]"), 4, "dimension 0 is not a whole number"},
    {ENTRY("\"F32\"", "[1.0]", "[0,4]"), 4, "dimension 0 is not a whole number"},
    {ENTRY("\"F32\"", "[1,\"1\"]", "[0,4]"), 4, "dimension 1 is not a whole number"},
    {ENTRY("\"F32\"", "[9223372036854775807,4]", "[0,4]"), 4, "does not fit 64 bits"},
    {ENTRY("\"F32\"", "[4611686018427387904]", "[0,0]"), 0, "do not take"},
    {ENTRY("\"F32\"", "[99999999999999999999]", "[0,4]"), 4, "JSON"},
    {ENTRY("\"F32\"", "[1]", "[0]"), 4, "not a list of two"},
    {ENTRY("\"F32\"", "[1]", "[0,4,8]"), 4, "not a list of two"},
    {ENTRY("\"F32\"", "[1]", "[-4,0]"), 4, "not a list of two"},
    {ENTRY("\"F32\"", "[1]", "[4,0]"), 4, "data_offsets 4 to 0"},
    {ENTRY("\"F32\"", "[1]", "[0,4]"), 3, "data_offsets 0 to 4 in 3 bytes"},
    {ENTRY("\"F32\"", "[1]", "[0,4]"), 5, "1 bytes of data belong to no tensor"},
    {ENTRY("\"F32\"", "[1]", "[1,5]"), 5, "leaves a gap"},
    {ENTRY("\"F32\"", "[2]", "[0,4]"), 4, "do not take the 4 bytes"},
    {ENTRY("\"F64\"", "[1]", "[0,4]"), 4, "do not take the 4 bytes"},
    {ENTRY("\"F4\"", "[3]", "[0,2]"), 2, "do not take the 2 bytes"},
    {"{\"x\":{\"dtype\":\"U8\",\"shape\":[2],\"data_offsets\":[0,2]},"
     "\"y\":{\"dtype\":\"U8\",\"shape\":[2],\"data_offsets\":[1,3]}}", 3, "overlaps"},
    {"{\"x\":{\"dtype\":\"U8\",\"shape\":[2],\"data_offsets\":[0,2]},"
     "\"y\":{\"dtype\":\"U8\",\"shape\":[2],\"data_offsets\":[0,2]}}", 2, "overlaps"},
    {"{\"x\":{\"dtype\":\"U8\",\"shape\":[2],\"data_offsets\":[0,2]},"
     "\"y\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[3,4]}}", 4, "leaves a gap"},
};

Test(safetensors, refuses_each_break_by_name)
{
    for (size_t i = 0; i < sizeof bad_rows / sizeof *bad_rows; i++) {
        char error[300] = "";
        cr_expect(!read_text(bad_rows[i].header, bad_rows[i].n_data, error, sizeof error), "accepted: %s",
                  bad_rows[i].header);
        cr_expect(strstr(error, bad_rows[i].says), "%s: '%s' does not say '%s'", bad_rows[i].header, error,
                  bad_rows[i].says);
    }
}

Test(safetensors, refuses_bad_header_lengths)
{
    uint8_t bytes[20] = {2, 0, 0, 0, 0, 0, 0, 0, '{', '}'};
    struct named_tensors file;
    char error[300];
    cr_assert(safetensors_read(bytes, 10, &file, error, sizeof error), "%s", error);
    named_tensors_free(&file);
    for (size_t n = 0; n < 10; n++)
        cr_expect(!safetensors_read(bytes, n, &file, error, sizeof error), "%zu bytes", n);
    for (unsigned i = 1; i < 8; i++) { /* 256 bytes, 64 KiB … 2^63 */
        bytes[i] = 0x80;
        cr_expect(!safetensors_read(bytes, sizeof bytes, &file, error, sizeof error));
        cr_expect(strstr(error, "20") || strstr(error, "12"), "%s", error);
        bytes[i] = 0;
    }
    cr_expect(!safetensors_recognise(bytes, 8));
}

Test(safetensors, every_truncation_is_refused)
{
    struct st_writer writer = {0};
    struct named_tensors file;
    char error[300];
    size_t n_bytes;
    const float numbers[6] = {1, 2, 3, 4, 5, 6};
    st_add(&writer, "a.weight", NT_F32, 2, (const uint64_t[]){2, 3}, numbers);
    st_add(&writer, "a.bias", NT_F32, 1, (const uint64_t[]){2}, numbers);
    uint8_t *bytes = st_finish(&writer, &n_bytes);
    for (size_t n = 0; n < n_bytes; n++) {
        uint8_t *cut = malloc(n + 1); /* its own block: a read too far is seen */
        memcpy(cut, bytes, n);
        cr_expect(!safetensors_read(cut, n, &file, error, sizeof error), "%zu bytes of %zu", n, n_bytes);
        free(cut);
    }
    free(bytes);
}

/* Headers made to hurt: they must be refused within a blink. */
static void expect_quick_refusal(char *header, const char *says)
{
    char error[300] = "";
    clock_t start = clock();
    cr_expect(!read_text(header, 0, error, sizeof error));
    cr_expect(strstr(error, says), "'%s' does not say '%s'", error, says);
    cr_expect_lt(clock() - start, 2 * TESTS_SLOWDOWN * CLOCKS_PER_SEC);
    free(header);
}

static char *repeated(const char *start, const char *unit, size_t count)
{
    size_t n_unit = strlen(unit), n_start = strlen(start);
    char *text = malloc(n_start + n_unit * count + 1);
    strcpy(text, start);
    for (size_t i = 0; i < count; i++)
        memcpy(text + n_start + i * n_unit, unit, n_unit);
    text[n_start + n_unit * count] = '\0';
    return text;
}

Test(safetensors, hostile_json_is_refused_fast)
{
    expect_quick_refusal(repeated("{\"a\":", "[", 1000000), "nested deeper");
    expect_quick_refusal(repeated("", "{\"a\":", 1000000), "nested deeper");
    expect_quick_refusal(repeated("{\"a\":[0", ",0", 8000000), "more than");
    expect_quick_refusal(repeated("{\"a\":\"", "\\\"", 8000000), "JSON");
    expect_quick_refusal(repeated("{", " ", SAFETENSORS_MAX_HEADER), "a header of");
}

Test(safetensors, too_many_tensors_are_refused)
{
    char *header = malloc(70000 * 24);
    char error[300] = "";
    size_t used = 0;
    for (unsigned i = 0; i <= NAMED_MAX_TENSORS; i++)
        used += (size_t)sprintf(header + used, "%s\"%u\":0", i ? "," : "{", i);
    strcpy(header + used, "}");
    cr_expect(!read_text(header, 0, error, sizeof error));
    cr_expect(strstr(error, "65537 tensors"), "%s", error);
    free(header);
}
