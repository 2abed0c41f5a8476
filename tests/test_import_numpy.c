/* SPDX-License-Identifier: MIT
 *
 * The importers of NumPy's arrays as weights: pickled dicts of every protocol's making, and npz.
 */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "formats/npy.h"
#include "tests/expect_weights.h"
#include "tests/importing.h"
#include "tests/torch_writer.h"

static const float numbers[6] = {1, 2, 3, 4, 5, 6};

/* "w" as pickle.dump of protocol 2 and 3 has an array of f4. */
static void put_array(struct bytes *pickle, bool fortran, bool latin, const char *type, const char *order)
{
    uint8_t n_text = 0;
    put_text(pickle, "fc.weight");
    put_global(pickle, "numpy.core.multiarray", "_reconstruct");
    put_global(pickle, "numpy", "ndarray");
    put_line(pickle, "K");
    put(pickle, "\0", 1);
    put_line(pickle, "\x85U\1b\x87R(K\1K\2K\3\x86");
    put_global(pickle, "numpy", "dtype");
    put_text(pickle, type);
    put_line(pickle, "\x89\x88\x87R(K\3");
    put_text(pickle, order);
    put_line(pickle, "NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK");
    put(pickle, "\0", 1);
    put_line(pickle, fortran ? "tb\x88" : "tb\x89");
    if (latin) {
        char text[49] = "";
        for (unsigned i = 0, at = 0; i < 24; i++) {
            uint8_t byte = ((const uint8_t *)numbers)[i];
            if (byte >= 0x80)
                text[at++] = (char)(0xc0 | byte >> 6);
            text[at++] = (char)(byte < 0x80 ? byte + 0 : 0x80 | (byte & 0x3f));
            n_text = at;
        }
        put_global(pickle, "_codecs", "encode");
        put(pickle, (const uint8_t[]){'X', n_text, 0, 0, 0}, 5);
        put(pickle, text, n_text);
        put_text(pickle, "latin1");
        put_line(pickle, "\x86R");
    } else {
        put_line(pickle, "B");
        put(pickle, "\x18\0\0\0", 4);
        put(pickle, numbers, 24);
    }
    put_line(pickle, "tb");
}

Test(import_numpy, pickled_arrays)
{
    static const float turned[6] = {1, 3, 5, 2, 4, 6};
    static const struct { bool fortran, latin; const char *type, *order, *says; } rows[] = {
        {false, false, "f4", "<", NULL}, {true, false, "f4", "<", NULL}, {false, true, "f4", "<", NULL},
        {false, false, "f4", ">", "'fc.weight': big-endian"}, {false, false, "O8", "|", "elements of type "
                                                                                        "'O8'"},
        {false, false, "f8", "<", "it reaches to number 6 of its storage, which has 3"},
        {false, false, "i4", "<", "its type is not F32"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct bytes pickle = {NULL, 0};
        struct imported model;
        put(&pickle, "\x80\2", 2);
        put_line(&pickle, "}(");
        put_array(&pickle, rows[i].fortran, rows[i].latin, rows[i].type, rows[i].order);
        put_line(&pickle, "u.");
        import_bytes(pickle.data, pickle.n, NULL, &model);
        if (rows[i].says)
            cr_expect(!model.good && strstr(model.error, rows[i].says), "%zu: %s", i, model.error);
        else
            expect_weights(&model, 2, 3, rows[i].fortran ? turned : numbers);
        imported_free(&model);
        free(pickle.data);
    }
}

/* A .npy file of `numbers`, 2 by 3. */
static struct bytes npy(bool fortran)
{
    struct bytes out = {NULL, 0};
    char header[NPY_HEADER_BYTES], *found;
    npy_write_header(2, (const size_t[]){2, 3}, header);
    found = strstr(header + 10, "False");
    if (fortran && found)
        memcpy(found, "True ", 5);
    put(&out, header, sizeof header);
    put(&out, numbers, 24);
    return out;
}

Test(import_numpy, npz_of_weights)
{
    static const float turned[6] = {1, 3, 5, 2, 4, 6};
    for (unsigned i = 0; i < 4; i++) {
        struct bytes array = npy(i & 1);
        struct storage entry = {"w.npy", array.data, array.n, 0};
        struct imported model;
        size_t n;
        uint8_t *file = make_zip(&entry, 1, i & 2 ? ZIP_DEFLATED : ZIP_STORED, &n);
        import_bytes(file, n, "{\"rename\":{\"w\":\"fc.weight\"}}", &model);
        expect_weights(&model, 2, 3, i & 1 ? turned : numbers);
        imported_free(&model);
        free(file);
        free(array.data);
    }
}

Test(import_numpy, a_zip_of_other_things)
{
    struct storage entries[] = {{"w.npy", "no array", 8, 0}, {"readme.txt", "hello", 5, 0}};
    struct imported model;
    size_t n;
    uint8_t *file = make_zip(entries, 1, ZIP_STORED, &n);
    import_bytes(file, n, NULL, &model);
    cr_expect(!model.good && strstr(model.error, "array 'w': "), "%s", model.error);
    free(file);
    file = make_zip(entries, 2, ZIP_STORED, &n);
    import_bytes(file, n, NULL, &model);
    cr_expect(!model.good && strcmp(model.error, "not recognised") == 0, "%s", model.error);
    free(file);
}
