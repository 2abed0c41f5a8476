/* SPDX-License-Identifier: MIT
 *
 * .npy and .npz: what is written is read back; files cut off anywhere are refused; every allocation may
 * fail. (Types, orders and the sentences for damaged headers are tested through the command, in cli/.)
 */
#include <criterion/criterion.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zip.h>

#include "formats/npy.h"
#include "formats/npz.h"
#include "tests/failing_malloc.h"

enum { COUNT = 24 };

struct file {
    size_t n_bytes;
    char bytes[NPY_HEADER_BYTES + COUNT * sizeof(float)];
};

/* The numbers 0.5, 1.5 … in the shape given. */
static struct file make(uint32_t rank, const size_t *dims)
{
    struct file file;
    size_t count;
    cr_assert(tensor_count(rank, dims, &count) && count <= COUNT);
    npy_write_header(rank, dims, file.bytes);
    for (size_t i = 0; i < count; i++) {
        float value = (float)i + 0.5f;
        memcpy(file.bytes + NPY_HEADER_BYTES + i * sizeof value, &value, sizeof value);
    }
    file.n_bytes = NPY_HEADER_BYTES + count * sizeof(float);
    return file;
}

Test(npy, round_trip)
{
    static const size_t shapes[][4] = {{24, 0, 0, 0}, {6, 4, 0, 0}, {2, 3, 4, 0}, {1, 2, 3, 4}, {0, 3, 0, 0}};
    static const uint32_t ranks[] = {1, 2, 3, 4, 2};
    for (size_t k = 0; k <= sizeof ranks / sizeof *ranks; k++) {
        uint32_t rank = k ? ranks[k - 1] : 0;
        const size_t *dims = shapes[k ? k - 1 : 0];
        struct file file = make(rank, dims);
        struct io_error error;
        struct tensor tensor;
        cr_assert(npy_read(file.bytes, file.n_bytes, &tensor, &error), "%s", error.text);
        cr_expect_eq(tensor.rank, rank);
        cr_expect_arr_eq(tensor.dims, dims, rank * sizeof *dims);
        for (size_t i = 0; i < tensor.count; i++)
            cr_expect_eq(tensor.data[i], (float)i + 0.5f);
        tensor_free(&tensor);
    }
}

Test(npy, any_header_fits)
{
    size_t dims[TENSOR_MAX_RANK];
    char header[NPY_HEADER_BYTES];
    for (size_t i = 0; i < TENSOR_MAX_RANK; i++)
        dims[i] = SIZE_MAX;
    npy_write_header(TENSOR_MAX_RANK, dims, header);
    cr_expect_eq(header[NPY_HEADER_BYTES - 1], '\n');
    cr_expect_not_null(memchr(header, '}', sizeof header));
    cr_expect_null(memchr(header + 10, '\0', sizeof header - 10));
}

Test(npy, cut_off_anywhere)
{
    static const size_t dims[] = {2, 3, 4};
    struct file file = make(3, dims);
    for (size_t n = 0; n < file.n_bytes; n++) {
        /* A copy of just these bytes, so that a reader that goes beyond them is caught. */
        char *bytes = malloc(n + 1);
        struct io_error error = {""};
        struct tensor tensor;
        cr_assert_not_null(bytes);
        memcpy(bytes, file.bytes, n);
        cr_expect_not(npy_read(bytes, n, &tensor, &error), "%zu bytes", n);
        cr_expect_gt(strlen(error.text), 0u);
        cr_expect_null(tensor.data);
        free(bytes);
    }
}

Test(npy, half_floats)
{
    static const struct { unsigned half; float value; } cases[] = {
        {0x0000, 0.0f}, {0x0001, 0x1p-24f}, {0x03ff, 0x1.ff8p-15f}, {0x0400, 0x1p-14f}, {0x3c00, 1.0f},
        {0xc500, -5.0f}, {0x7bff, 65504.0f}, {0x7c00, INFINITY}, {0xfc00, -INFINITY},
    };
    struct npy_header header = {.rank = 1, .dims = {1}, .count = 1, .kind = 'f', .element_bytes = 2};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        uint8_t bytes[2] = {(uint8_t)cases[i].half, (uint8_t)(cases[i].half >> 8)};
        float value;
        npy_get(&header, bytes, 0, 1, &value);
        cr_expect_eq(value, cases[i].value, "%#x gave %a", cases[i].half, (double)value);
    }
    float nan;
    npy_get(&header, "\x01\x7e", 0, 1, &nan);
    cr_expect(isnan(nan));
}

Test(npy, doubles_beyond_floats)
{
    static const double given[] = {1e300, -1e300, 0x1.fffffefffffffp127, 0x1.ffffffp127, 1e-60, NAN};
    static const float expected[] = {INFINITY, -INFINITY, 0x1.fffffep127f, INFINITY, 0.0f};
    struct npy_header header = {.rank = 1, .dims = {6}, .count = 6, .kind = 'f', .element_bytes = 8};
    float found[6];
    npy_get(&header, given, 0, 6, found);
    for (size_t i = 0; i < 5; i++)
        cr_expect_eq(found[i], expected[i], "%a gave %a", given[i], (double)found[i]);
    cr_expect(isnan(found[5]));
    cr_expect_eq(npy_get_double(&header, given, 1), -1e300);
    struct npy_header columns = {.rank = 2, .dims = {2, 3}, .count = 6, .kind = 'f', .element_bytes = 8,
                                 .fortran = true};
    cr_expect_eq(npy_get_double(&columns, given, 1), given[2], "row 0, column 1");
}

Test(npy, out_of_memory)
{
    static const size_t dims[] = {2, 3};
    struct file file = make(2, dims);
    for (size_t n = 1;; n++) {
        struct io_error error;
        struct tensor tensor;
        failing_malloc_arm(n);
        bool ok = npy_read(file.bytes, file.n_bytes, &tensor, &error);
        size_t asked = failing_malloc_disarm();
        cr_expect_eq(ok, asked < n);
        cr_expect(ok || strstr(error.text, "out of memory"), "%s", error.text);
        tensor_free(&tensor);
        if (asked < n)
            break;
    }
}

/* ---- npz ----------------------------------------------------------------- */

struct archive {
    size_t n_bytes;
    char bytes[8192];
};

static void add(zip_t *zip, const char *name, const struct file *file, zip_int32_t method)
{
    zip_source_t *source = zip_source_buffer(zip, file->bytes, file->n_bytes, 0);
    zip_int64_t index = zip_file_add(zip, name, source, 0);
    cr_assert_geq(index, 0);
    cr_assert_eq(zip_set_file_compression(zip, (zip_uint64_t)index, method, 0), 0);
}

/* Arrays "x" (deflated) and "y" (stored). */
static void make_archive(struct archive *out)
{
    static const size_t dims[] = {2, 3, 4};
    struct file x = make(3, dims), y = make(1, dims);
    zip_error_t error;
    zip_error_init(&error);
    zip_source_t *to = zip_source_buffer_create(NULL, 0, 0, &error);
    zip_source_keep(to);
    zip_t *zip = zip_open_from_source(to, ZIP_CREATE | ZIP_TRUNCATE, &error);
    cr_assert_not_null(zip);
    add(zip, "x.npy", &x, ZIP_CM_DEFLATE);
    add(zip, "y.npy", &y, ZIP_CM_STORE);
    cr_assert_eq(zip_close(zip), 0);
    cr_assert_eq(zip_source_open(to), 0);
    zip_int64_t n = zip_source_read(to, out->bytes, sizeof out->bytes);
    cr_assert(n > 0 && n < (zip_int64_t)sizeof out->bytes);
    out->n_bytes = (size_t)n;
    zip_source_close(to);
    zip_source_free(to);
}

Test(npz, round_trip)
{
    struct archive archive;
    struct io_error error;
    struct tensor tensor;
    struct npz *npz;
    make_archive(&archive);
    cr_assert(npz_open(archive.bytes, archive.n_bytes, &npz, &error), "%s", error.text);
    cr_assert_eq(npz_count(npz), 2u);
    cr_expect_str_eq(npz_name(npz, 0), "x");
    cr_expect_str_eq(npz_name(npz, 1), "y");
    cr_assert(npz_read(npz, "x", &tensor, &error), "%s", error.text);
    cr_expect_eq(tensor.rank, 3u);
    cr_expect_eq(tensor.data[23], 23.5f);
    tensor_free(&tensor);
    cr_assert(npz_read(npz, "y", &tensor, &error), "%s", error.text);
    cr_expect_eq(tensor.count, 2u);
    tensor_free(&tensor);
    cr_expect_not(npz_read(npz, "z", &tensor, &error));
    cr_expect_str_eq(error.text, "no array is named 'z' among the 2 there");
    npz_close(npz);
    npz_close(NULL);
}

/* Opens and reads everything; true if all of it went well. */
static bool read_all(const char *bytes, size_t n_bytes)
{
    struct io_error error = {""};
    struct npz *npz;
    if (!npz_open(bytes, n_bytes, &npz, &error)) {
        cr_expect(error.text[0] && !npz);
        return false;
    }
    bool ok = true;
    for (size_t i = 0; i < npz_count(npz); i++) {
        struct tensor tensor;
        ok &= npz_read(npz, npz_name(npz, i), &tensor, &error);
        tensor_free(&tensor);
    }
    cr_expect(ok || error.text[0]);
    npz_close(npz);
    return ok;
}

Test(npz, cut_off_anywhere)
{
    struct archive archive;
    make_archive(&archive);
    cr_expect(read_all(archive.bytes, archive.n_bytes));
    for (size_t n = 0; n < archive.n_bytes; n++)
        cr_expect_not(read_all(archive.bytes, n), "%zu bytes", n);
}

/* A flipped bit in the packed data or in a length is found by the CRC or a size. */
Test(npz, each_bit)
{
    struct archive archive;
    make_archive(&archive);
    for (size_t i = 0; i < archive.n_bytes * 8; i++) {
        archive.bytes[i / 8] ^= (char)(1 << i % 8);
        read_all(archive.bytes, archive.n_bytes); /* times and rights in the zip may change unnoticed */
        archive.bytes[i / 8] ^= (char)(1 << i % 8);
    }
}

/* Where the directory at the end of the zip keeps the sizes of its first entry. */
static char *first_sizes(struct archive *archive)
{
    for (size_t i = 0; i + 46 < archive->n_bytes; i++) {
        if (memcmp(archive->bytes + i, "PK\x01\x02", 4) == 0)
            return archive->bytes + i + 20; /* packed, then unpacked, 4 bytes each */
    }
    return NULL;
}

Test(npz, declared_sizes)
{
    static const struct { uint32_t packed, size; const char *says; } cases[] = {
        {100, 0x7fffffff, "MiB large, the limit is"},
        {100, 0x3f000000, "bytes cannot come from"},
        {0x00ffffff, 500, "packed bytes, but the file has only"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct archive archive;
        struct io_error error = {""};
        struct tensor tensor;
        struct npz *npz;
        make_archive(&archive);
        char *sizes = first_sizes(&archive);
        cr_assert_not_null(sizes);
        for (unsigned k = 0; k < 4; k++) {
            sizes[k] = (char)(cases[i].packed >> 8 * k);
            sizes[4 + k] = (char)(cases[i].size >> 8 * k);
        }
        bool ok = npz_open(archive.bytes, archive.n_bytes, &npz, &error);
        if (ok)
            ok = npz_read(npz, "x", &tensor, &error);
        cr_expect_not(ok);
        cr_expect(strstr(error.text, cases[i].says), "found '%s', expected '%s'", error.text, cases[i].says);
        npz_close(npz);
    }
}

Test(npz, out_of_memory)
{
    struct archive archive;
    make_archive(&archive);
    for (size_t n = 1;; n++) {
        failing_malloc_arm(n);
        bool ok = read_all(archive.bytes, archive.n_bytes);
        size_t asked = failing_malloc_disarm();
        cr_expect_eq(ok, asked < n, "allocation %zu", n);
        if (asked < n)
            break;
    }
}
