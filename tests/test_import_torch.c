/* SPDX-License-Identifier: MIT
 *
 * The importer of PyTorch's files: tensors of every kind of storage
 * and stride, which dict is taken, what modules tell, and what is refused.
 */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/cheap.h"
#include "tests/expect_weights.h"
#include "tests/failing_malloc.h"
#include "tests/importing.h"
#include "tests/torch_writer.h"

static const float numbers[12] = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12};
static const struct storage floats = {"0", numbers, sizeof numbers, 12};

/* Begin a dict, add tensors, end it. */
static void begin(struct bytes *pickle)
{
    *pickle = (struct bytes){NULL, 0};
    put_line(pickle, "}(");
}

static void add(struct bytes *pickle, const char *name, struct pickled_tensor tensor)
{
    if (!tensor.numel && tensor.rank)
        tensor.numel = 12;
    put_text(pickle, name);
    put_tensor(pickle, &tensor);
}

static const struct pickled_tensor two_by_three = {.rank = 2, .dims = {2, 3}};

/* Import what was put, in a zip with `floats`. */
static void import(struct bytes *pickle, const char *spec, const char *key, struct imported *out)
{
    size_t n;
    uint8_t *file = torch_zip(pickle, &floats, 1, NULL, ZIP_STORED, &n);
    import_bytes_of_key(file, n, spec, key, out);
    free(file);
    free(pickle->data);
}

/* ---- tensors ------------------------------------------------------------- */

Test(import_torch, both_containers)
{
    for (unsigned form = 0; form < 3; form++) {
        struct bytes pickle;
        struct imported model;
        size_t n;
        begin(&pickle);
        add(&pickle, "fc.weight", two_by_three);
        put_line(&pickle, "u");
        uint8_t *file = form == 2 ? torch_legacy(&pickle, &floats, 1, &n)
                                  : torch_zip(&pickle, &floats, 1, NULL, form ? ZIP_DEFLATED : ZIP_STORED,
                                              &n);
        import_bytes(file, n, NULL, &model);
        expect_weights(&model, 2, 3, numbers);
        imported_free(&model);
        free(file);
        free(pickle.data);
    }
}

Test(import_torch, every_type_of_storage)
{
    static const double doubles[2] = {1.5, -2};
    static const uint16_t halves[2] = {0x3e00, 0xc000}, brains[2] = {0x3fc0, 0xc000};
    static const float singles[2] = {1.5f, -2};
    static const struct { const char *name; struct storage storage; } rows[] = {
        {"FloatStorage", {"0", singles, 8, 2}}, {"DoubleStorage", {"0", doubles, 16, 2}},
        {"HalfStorage", {"0", halves, 4, 2}}, {"BFloat16Storage", {"0", brains, 4, 2}}};
    for (size_t i = 0; i < 2 * (sizeof rows / sizeof *rows); i++) {
        struct bytes pickle;
        struct imported model;
        size_t n;
        begin(&pickle);
        add(&pickle, "fc.weight", (struct pickled_tensor){.storage = rows[i / 2].name, .rank = 2,
                                                          .dims = {1, 2}, .numel = 2});
        put_line(&pickle, "u");
        uint8_t *file = i % 2 ? torch_legacy(&pickle, &rows[i / 2].storage, 1, &n)
                              : torch_zip(&pickle, &rows[i / 2].storage, 1, NULL, ZIP_STORED, &n);
        import_bytes(file, n, NULL, &model);
        expect_weights(&model, 1, 2, singles);
        imported_free(&model);
        free(file);
        free(pickle.data);
    }
}

Test(import_torch, strides_offsets_and_shared_storages)
{
    static const float turned[6] = {1, 4, 2, 5, 3, 6}, apart[6] = {2, 4, 6, 8, 10, 12};
    static const float same[6] = {3, 4, 3, 4, 3, 4};
    static const struct { struct pickled_tensor tensor; const float *expected; } rows[] = {
        {{.rank = 2, .dims = {3, 2}, .strides = {1, 3}}, turned},
        {{.rank = 2, .dims = {3, 2}, .strides = {4, 2}, .offset = 1}, apart},
        {{.rank = 2, .dims = {3, 2}, .strides = {2, 1}, .offset = 6}, numbers + 6},
        {{.rank = 2, .dims = {3, 2}, .strides = {0, 1}, .offset = 2}, same},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct pickled_tensor tensor = rows[i].tensor;
        struct bytes pickle;
        struct imported model;
        begin(&pickle);
        add(&pickle, "fc1.weight", tensor);
        add(&pickle, "fc2.weight", (struct pickled_tensor){.rank = 2, .dims = {1, 3}}); /* the same storage */
        put_line(&pickle, "u");
        import(&pickle, NULL, NULL, &model);
        expect_weights(&model, 3, 2, rows[i].expected);
        imported_free(&model);
    }
}

/* ---- which dict ---------------------------------------------------------- */

/* {"step": 3, "a": {"fc.weight"}, "b": {"c": {"fc.weight"}}} */
static void put_checkpoint(struct bytes *pickle, bool both)
{
    begin(pickle);
    put_text(pickle, "step");
    put_int(pickle, 3);
    put_text(pickle, "b");
    put_line(pickle, "}(");
    put_text(pickle, "c");
    put_line(pickle, "}(");
    add(pickle, "fc.weight", (struct pickled_tensor){.rank = 2, .dims = {2, 3}, .offset = 6});
    put_line(pickle, "uu");
    if (both) {
        put_text(pickle, "a");
        put_line(pickle, "}(");
        add(pickle, "fc.weight", two_by_three);
        put_line(pickle, "u");
    }
    put_line(pickle, "u");
}

Test(import_torch, the_dict_that_has_only_tensors)
{
    static const struct { bool both; const char *key; const float *expected; const char *says; } rows[] = {
        {false, NULL, numbers + 6, NULL},
        {false, "b", numbers + 6, NULL},
        {true, "b.c", numbers + 6, NULL},
        {true, "a", numbers, NULL},
        {true, NULL, NULL, "several dicts in the file have tensors; choose one with --key: b.c, a"},
        {true, "z", NULL, "--key z: nothing in the file has the key 'z'"},
        {true, "b.z", NULL, "--key b.z: nothing in the file has the key 'z'"},
        {true, "step", NULL, "found a whole number"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct bytes pickle;
        struct imported model;
        put_checkpoint(&pickle, rows[i].both);
        import(&pickle, NULL, rows[i].key, &model);
        if (rows[i].expected)
            expect_weights(&model, 2, 3, rows[i].expected);
        else
            cr_expect(!model.good && strstr(model.error, rows[i].says), "%zu: %s", i, model.error);
        imported_free(&model);
    }
}

static void expect_layer_name(const struct imported *model, uint32_t index, const char *name)
{
    struct model_layer layer;
    cr_assert(model->good, "%s", model->error);
    cr_assert_lt(index, model->view.n_layers);
    model_get_layer(&model->view, index, &layer);
    cr_expect_str_eq(layer.name.text, name);
}

Test(import_torch, wrappers_and_the_order_of_definition)
{
    struct bytes pickle;
    struct imported model;
    begin(&pickle);
    add(&pickle, "module._orig_mod.second.weight", two_by_three);
    add(&pickle, "module._orig_mod.first.weight", (struct pickled_tensor){.rank = 2, .dims = {3, 2}});
    put_line(&pickle, "u");
    import(&pickle, NULL, NULL, &model);
    expect_layer_name(&model, 0, "second");
    expect_layer_name(&model, 1, "first");
    cr_expect(strstr(model.notes, "in the order of their definition: second, first"), "%s", model.notes);
    imported_free(&model);
}

Test(import_torch, renamed_tensors)
{
    static const struct { const char *spec, *says; } rows[] = {
        {"{\"rename\":{\"w\":\"fc.weight\"}}", NULL},
        {"{\"rename\":{\"w*\":\"fc.weight*\"}}", NULL},
        {"{\"rename\":{\"v\":\"fc.weight\"}}", "spec $.rename.v: no tensor has that name"},
        {"{\"rename\":{\"w\":\"fc.weight*\"}}", "spec $.rename.w: a '*' must end both names or none"},
        {"{\"rename\":{\"w\":3}}", "spec $.rename.w: expected a string"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct bytes pickle;
        struct imported model;
        begin(&pickle);
        add(&pickle, "w", two_by_three);
        put_line(&pickle, "u");
        import(&pickle, rows[i].spec, NULL, &model);
        if (!rows[i].says)
            expect_layer_name(&model, 0, "fc");
        else
            cr_expect(!model.good && strstr(model.error, rows[i].says), "%s", model.error);
        imported_free(&model);
    }
}

Test(import_torch, two_names_do_not_become_one)
{
    struct bytes pickle;
    struct imported model;
    begin(&pickle);
    add(&pickle, "a.weight", two_by_three);
    add(&pickle, "b.weight", two_by_three);
    put_line(&pickle, "u");
    import(&pickle, "{\"rename\":{\"a.weight\":\"b.weight\"}}", NULL, &model);
    cr_expect(!model.good && strstr(model.error, "two tensors would be named 'b.weight'"), "%s", model.error);
}

/* ---- modules ------------------------------------------------------------- */

/* An object of a class whose attributes are those put until end_object. */
static void begin_object(struct bytes *pickle, const char *module, const char *name)
{
    put_global(pickle, module, name);
    put_line(pickle, ")\x81}(");
}

static void end_object(struct bytes *pickle)
{
    put_line(pickle, "ub");
}

static void put_linear(struct bytes *pickle, const char *name, int64_t rows, int64_t columns)
{
    put_text(pickle, name);
    begin_object(pickle, "torch.nn.modules.linear", "Linear");
    put_text(pickle, "_parameters");
    put_line(pickle, "}(");
    add(pickle, "weight", (struct pickled_tensor){.rank = 2, .dims = {rows, columns}});
    put_text(pickle, "bias");
    put_line(pickle, "Nu"); /* None: no bias */
    put_text(pickle, "_modules");
    put_line(pickle, "}");
    end_object(pickle);
}

static void put_weightless(struct bytes *pickle, const char *name, const char *class, const char *attribute,
                           double number)
{
    put_text(pickle, name);
    begin_object(pickle, "torch.nn.modules.activation", class);
    put_text(pickle, "_parameters");
    put_line(pickle, "}");
    put_text(pickle, "_modules");
    put_line(pickle, "}");
    if (attribute) {
        put_text(pickle, attribute);
        put_float(pickle, number);
    }
    end_object(pickle);
}

static void begin_module(struct bytes *pickle, const char *module, const char *name)
{
    begin_object(pickle, module, name);
    put_text(pickle, "_parameters");
    put_line(pickle, "}");
    put_text(pickle, "_modules");
    put_line(pickle, "}(");
}

static void end_module(struct bytes *pickle)
{
    put_line(pickle, "u");
    end_object(pickle);
}

Test(import_torch, a_sequential_tells_everything)
{
    struct bytes pickle = {NULL, 0};
    struct imported model;
    struct model_layer layer;
    begin_module(&pickle, "torch.nn.modules.container", "Sequential");
    put_linear(&pickle, "z", 2, 3);
    put_weightless(&pickle, "slope", "LeakyReLU", "negative_slope", 0.25);
    put_weightless(&pickle, "drop", "Identity", NULL, 0);
    put_linear(&pickle, "a", 1, 2);
    put_weightless(&pickle, "end", "Sigmoid", NULL, 0);
    end_module(&pickle);
    import(&pickle, NULL, NULL, &model);
    cr_assert(model.good, "%s", model.error);
    cr_assert_eq(model.view.n_layers, 4);
    expect_layer_name(&model, 0, "z");
    expect_layer_name(&model, 2, "a");
    model_get_layer(&model.view, 1, &layer);
    cr_expect(layer.type == MODEL_ACTIVATION && layer.params[0] == MODEL_ACT_LEAKY_RELU &&
              layer.params[1] == model_float_bits(0.25f));
    model_get_layer(&model.view, 3, &layer);
    cr_expect(layer.type == MODEL_ACTIVATION && layer.params[0] == MODEL_ACT_SIGMOID);
    imported_free(&model);
}

struct class_refusal {
    const char *module, *name, *says;
};

Test(import_torch, modules_that_say_too_little)
{
    static const struct class_refusal rows[] = {
        {"torch.nn.modules.activation", "ReLU", "'act' (torch.nn.modules.activation.ReLU): what it computes "
                                                "or where"},
        {"torch.nn.modules.activation", "GELU", "'act' (torch.nn.modules.activation.GELU)"},
        {"mine", "Swish", "'act' (mine.Swish)"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct bytes pickle = {NULL, 0};
        struct imported model;
        begin_module(&pickle, "mine", "Net");
        put_linear(&pickle, "fc", 2, 3);
        put_text(&pickle, "act");
        begin_module(&pickle, rows[i].module, rows[i].name);
        end_module(&pickle);
        end_module(&pickle);
        import(&pickle, NULL, NULL, &model);
        cr_expect(!model.good && strstr(model.error, rows[i].says), "%s", model.error);
        imported_free(&model);
    }
}

Test(import_torch, unknown_classes_with_weights_are_not_guessed)
{
    struct bytes pickle = {NULL, 0};
    struct imported model;
    begin_module(&pickle, "mine", "Net");
    put_text(&pickle, "n");
    begin_object(&pickle, "torch.nn.modules.normalization", "GroupNorm");
    put_text(&pickle, "_parameters");
    put_line(&pickle, "}(");
    add(&pickle, "weight", (struct pickled_tensor){.rank = 1, .dims = {3}});
    add(&pickle, "bias", (struct pickled_tensor){.rank = 1, .dims = {3}});
    put_line(&pickle, "u");
    put_text(&pickle, "_modules");
    put_line(&pickle, "}");
    end_object(&pickle);
    end_module(&pickle);
    import(&pickle, NULL, NULL, &model);
    cr_expect(!model.good && strstr(model.error, "module 'n' is a torch.nn.modules.normalization.GroupNorm, "
                                                 "which is not supported"), "%s", model.error);
}

/* ---- refusals ------------------------------------------------------------ */

struct tensor_refusal {
    struct pickled_tensor tensor;
    const char *says;
};

static const struct tensor_refusal tensor_refusals[] = {
    {{.rank = 2, .dims = {4, 4}}, "'fc.weight': it reaches to number 16 of its storage, which has 12"},
    {{.rank = 2, .dims = {2, 3}, .offset = 7}, "it reaches to number 13 of its storage, which has 12"},
    {{.rank = 2, .dims = {2, 3}, .strides = {10, 1}}, "it reaches to number 13"},
    {{.rank = 2, .dims = {2, 3}, .offset = INT64_MAX}, "it reaches to number 9223372036854775813 of its"},
    {{.rank = 2, .dims = {INT64_MAX, INT64_MAX}, .strides = {1, 1}}, "do not fit 64 bits"},
    {{.rank = 2, .dims = {INT64_MAX, 2}, .strides = {4, 1}}, "do not fit 64 bits"},
    {{.rank = 2, .dims = {-1, 2}, .strides = {1, 1}}, "item 0 of its shape is no whole number from 0 on"},
    {{.rank = 2, .dims = {2, 2}, .strides = {-1, 1}}, "item 0 of its stride is no whole number from 0 on"},
    {{.rank = 2, .dims = {2, 2}, .offset = -1}, "its offset is no whole number from 0 on"},
    {{.rank = 9, .dims = {1, 1, 1, 1, 1, 1, 1, 1, 1}}, "9 dimensions, at most 8 are read"},
    {{.rank = 2, .dims = {0, 3}, .strides = {3, 1}}, "dimensions must be from 1"},
    {{.rank = 2, .dims = {1, 1}, .numel = 13}, "storage '0' is said to have 13 numbers of type F32, but its "
                                               "data have 48 bytes"},
    {{.rank = 2, .dims = {1, 1}, .numel = INT64_MAX}, "but its data have 48 bytes"},
    {{.rank = 2, .dims = {1, 1}, .key = "7"}, "the archive has no entry 'archive/data/7'"},
    {{.rank = 2, .dims = {1, 1}, .key = "../data.pkl"}, "the archive has no entry "
                                                        "'archive/data/../data.pkl'"},
    {{.rank = 2, .dims = {1, 1}, .storage = "QInt8Storage"}, "it lies in torch.QInt8Storage, which is no "
                                                             "storage"},
    {{.rank = 2, .dims = {1, 1}, .storage = "LongStorage", .numel = 6}, "its type is not F32"},
    {{.rank = 2, .dims = {1 << 20, 1 << 4}, .strides = {0, 1}, .numel = 0}, "with it the tensors have more "
                                                                            "than"},
};

Test(import_torch, tensors_that_lie_are_refused)
{
    for (size_t i = 0; i < sizeof tensor_refusals / sizeof *tensor_refusals; i++) {
        struct pickled_tensor tensor = tensor_refusals[i].tensor;
        struct bytes pickle;
        struct imported model;
        begin(&pickle);
        if (i == sizeof tensor_refusals / sizeof *tensor_refusals - 1)
            tensor.dims[1] = 12;
        add(&pickle, "fc.weight", tensor);
        put_line(&pickle, "u");
        import(&pickle, NULL, NULL, &model);
        cr_expect(!model.good && strstr(model.error, tensor_refusals[i].says), "%zu: '%s' does not say '%s'",
                  i, model.error, tensor_refusals[i].says);
        imported_free(&model);
    }
}

struct pickle_refusal {
    const char *pickle;
    size_t n;
    const char *says;
};

#define BAD(literal, says) {literal, sizeof(literal) - 1, says}

static const struct pickle_refusal pickle_refusals[] = {
    BAD("cposix\nsystem\nX\2\0\0\0ls\x85R", "opcode REDUCE: would call posix.system"),
    BAD("}", "no dict in the file has tensors for all its values, and none is a module; found a dict"),
    BAD("N", "found None"),
    BAD("}I5\n", "opcode INT: is not read"),
    BAD("}U\4stepK\1s", "found a dict; it has step (a whole number)"),
    BAD("}U\1wctorch._utils\n_rebuild_qtensor\n)Rs", "rebuilt by torch._utils._rebuild_qtensor, which is "
                                                     "not"),
    BAD("}U\1wctorch._utils\n_rebuild_tensor_v2\n)Rs", "its storage is not described"),
    BAD("}U\1wctorch._utils\n_rebuild_parameter\n)Rs", "expected a tensor, found nothing"),
    BAD("}U\1wcnumpy.core.multiarray\n_reconstruct\n)Rs", "its state is not"),
    BAD("}U\1wcnumpy.core.numeric\n_frombuffer\n)Rs", "its shape is no tuple"),
    BAD("}K\1ctorch._utils\n_rebuild_tensor_v2\n)Rs", "no dict in the file has tensors"),
};

Test(import_torch, pickles_that_are_no_weights)
{
    for (size_t i = 0; i < sizeof pickle_refusals / sizeof *pickle_refusals; i++) {
        struct bytes pickle = {NULL, 0};
        struct imported model;
        put(&pickle, pickle_refusals[i].pickle, pickle_refusals[i].n);
        import(&pickle, NULL, NULL, &model);
        cr_expect(!model.good && strstr(model.error, pickle_refusals[i].says), "%zu: '%s' does not say '%s'",
                  i, model.error, pickle_refusals[i].says);
        imported_free(&model);
    }
}

/* Refused with `says`, and cheaply; frees `file`. */
static void expect_cheap_refusal(uint8_t *file, size_t n, const char *says)
{
    struct imported model;
    const double began = cheap_now();
    import_bytes(file, n, NULL, &model);
    cheap_expect(began, says);
    cr_expect(!model.good && strstr(model.error, says), "'%s' does not say '%s'", model.error, says);
    imported_free(&model);
    free(file);
}

/* A deflated data.pkl of 100 MB in 100 KB. */
Test(import_torch, a_bomb_for_a_pickle)
{
    enum { BOMB = 100 << 20 };
    struct storage entry = {"archive/data.pkl", calloc(BOMB, 1), BOMB, 0};
    size_t n;
    cr_assert_not_null(entry.data);
    uint8_t *file = make_zip(&entry, 1, ZIP_DEFLATED, &n);
    free((void *)(uintptr_t)entry.data);
    expect_cheap_refusal(file, n, "entry 'archive/data.pkl' of 104857600 bytes: unpacked the archive would "
                                  "take more");
}

/* The place of the entry's record in the central directory, by its signature. */
static uint8_t *central_record(uint8_t *file, size_t n, const char *name)
{
    for (size_t i = 0; i + 46 + strlen(name) <= n; i++)
        if (memcmp(file + i, "PK\1\2", 4) == 0 && memcmp(file + i + 46, name, strlen(name)) == 0)
            return file + i;
    cr_assert_fail("no entry %s", name);
    return NULL;
}

struct lie {
    size_t at, n; /* bytes of the central record to be overwritten */
    uint8_t with;
    const char *says;
};

Test(import_torch, entries_that_lie_about_themselves)
{
    static const struct lie lies[] = {
        {16, 4, 0x11, "'archive/data/0': damaged"},                       /* CRC */
        {24, 4, 0x7e, "'archive/data/0'"},                                /* size */
        {20, 4, 0x7e, "'archive/data/0': 2122219134 packed bytes, but the file has only"}, /* packed size */
        {10, 1, 9, "'archive/data/0': zip method 9"},
        {42, 4, 0x7e, "'archive/data/0'"},                                /* place of the data */
    };
    for (size_t i = 0; i < sizeof lies / sizeof *lies; i++) {
        struct bytes pickle;
        size_t n;
        begin(&pickle);
        add(&pickle, "fc.weight", two_by_three);
        put_line(&pickle, "u");
        uint8_t *file = torch_zip(&pickle, &floats, 1, NULL, ZIP_STORED, &n);
        memset(central_record(file, n, "archive/data/0") + lies[i].at, lies[i].with, lies[i].n);
        expect_cheap_refusal(file, n, lies[i].says);
        free(pickle.data);
    }
}

Test(import_torch, other_byte_orders)
{
    static const struct storage big = {"byteorder", "big", 3, 0}, little = {"byteorder", "little", 6, 0};
    for (unsigned i = 0; i < 2; i++) {
        struct bytes pickle;
        struct imported model;
        size_t n;
        begin(&pickle);
        add(&pickle, "fc.weight", two_by_three);
        put_line(&pickle, "u");
        uint8_t *file = torch_zip(&pickle, &floats, 1, i ? &big : &little, ZIP_STORED, &n);
        import_bytes(file, n, NULL, &model);
        cr_expect(i ? !model.good && strstr(model.error, "byteorder' is not") != NULL : model.good, "%s",
                  model.error);
        imported_free(&model);
        free(file);
        free(pickle.data);
    }
}

Test(import_torch, legacy_storages_that_lie)
{
    static const struct { size_t numel; const char *says; } rows[] = {
        {13, "storage '0' is said to have 13 numbers, 48 bytes are left"},
        {(size_t)-1, "storage '0' is said to have"},
        {5, "storage '0' is said to have 12 numbers of type F32, but its data have 20 bytes"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct storage storage = floats;
        struct bytes pickle;
        size_t n;
        storage.numel = rows[i].numel;
        begin(&pickle);
        add(&pickle, "fc.weight", two_by_three);
        put_line(&pickle, "u");
        uint8_t *file = torch_legacy(&pickle, &storage, 1, &n);
        expect_cheap_refusal(file, n, rows[i].says);
        free(pickle.data);
    }
}

Test(import_torch, cut_off_anywhere)
{
    for (unsigned legacy = 0; legacy < 2; legacy++) {
        struct bytes pickle;
        size_t n;
        begin(&pickle);
        add(&pickle, "fc.weight", two_by_three);
        put_line(&pickle, "u");
        uint8_t *file = legacy ? torch_legacy(&pickle, &floats, 1, &n)
                               : torch_zip(&pickle, &floats, 1, NULL, ZIP_STORED, &n);
        for (size_t left = 0; left < n; left++) {
            uint8_t *part = malloc(left + 1); /* of its own, so that reading on is found */
            struct imported model;
            cr_assert_not_null(part);
            memcpy(part, file, left);
            import_bytes(part, left, NULL, &model);
            cr_expect(!model.good && *model.error, "%zu bytes of %zu", left, n);
            imported_free(&model);
            free(part);
        }
        free(file);
        free(pickle.data);
    }
}

/* A module that is its own child. */
Test(import_torch, circles)
{
    struct bytes pickle = {NULL, 0};
    struct imported model;
    put_global(&pickle, "mine", "Net");
    put_line(&pickle, ")\x81q\1}(");
    put_text(&pickle, "_parameters");
    put_line(&pickle, "}");
    put_text(&pickle, "_modules");
    put_line(&pickle, "}(");
    put_text(&pickle, "me");
    put_line(&pickle, "h\1uub");
    import(&pickle, NULL, NULL, &model);
    cr_expect(!model.good && strstr(model.error, "more than 64 inside each other"), "%s", model.error);
}

/* ---- what specs ask of these files --------------------------------------- */

struct spec_case {
    const char *layers; /* of the spec's */
    const char *says;   /* NULL: accepted */
};

#define ROW_OF_THREE \
    "{\"type\":\"slice\",\"axis\":0,\"count\":1},{\"type\":\"reshape\",\"shape\":[3],\"name\":\"s\"},"

/* The convolution over time twice, and the sum of both. */
#define TWO_CONVS(a, b) ROW_OF_THREE \
    "{\"module\":\"conv\",\"type\":\"temporal_conv\",\"name\":\"a\"," a "}," \
    "{\"module\":\"conv\",\"type\":\"temporal_conv\",\"name\":\"b\",\"inputs\":[\"s\"]," b "}," \
    "{\"type\":\"add\",\"name\":\"sum\",\"inputs\":[\"a\",\"b\"]}"

/* The file has fc [2, 3] and conv [2, 3, 2]; frames come in as [6] and are [2,
                                                                             3] for the first layer here. */
static const struct spec_case spec_cases[] = {
    {"{\"module\":\"conv\",\"type\":\"conv1d\"}", NULL},
    {"{\"module\":\"conv\",\"type\":\"conv1d\",\"padding\":1,\"stride\":2,\"activation\":\"relu\"}", NULL},
    {"{\"module\":\"conv\",\"type\":\"conv1d\",\"padding\":[0,1],\"padding_mode\":\"reflect\"}", NULL},
    {"{\"module\":\"conv\"}", "'conv' is a convolution; say with \"type\""},
    {"{\"module\":\"conv\",\"type\":\"softmax\"}", "expected either \"module\" or \"type\""},
    {"{\"type\":\"conv1d\"}", "expected either \"module\" or \"type\""},
    {"{\"module\":\"conv\",\"type\":\"temporal_conv\"}", "reads a frame [channels] at each step"},
    {"{\"module\":\"conv\",\"type\":\"conv1d\",\"stride\":0}", "must be 1 or more"},
    {"{\"module\":\"conv\",\"type\":\"conv1d\",\"dilation\":2}", "2 taps do not fit 2 positions"},
    {"{\"module\":\"conv\",\"type\":\"conv1d\",\"padding\":[1]}", "one number, or two for before and after"},
    {"{\"module\":\"conv\",\"type\":\"conv1d\",\"groups\":3}", "does not fit the 3 channels of"},
    {"{\"module\":\"conv\",\"type\":\"conv1d\",\"padding\":2,\"padding_mode\":\"reflect\"}", "reflection by "
                                                                                             "2 and 2"},
    {"{\"module\":\"conv\",\"type\":\"conv1d\",\"padding_mode\":\"circular\"}", "expected one of \"zeros\""},
    {"{\"type\":\"transpose\"},{\"module\":\"conv\",\"type\":\"conv1d\"}", "does not fit the 2 channels of"},
    {"{\"type\":\"transpose\",\"axes\":[0,0]}", "must list the 2 axes of a frame, each once"},
    {"{\"type\":\"transpose\",\"axes\":[0]}", "must list the 2 axes of a frame, each once"},
    {"{\"type\":\"reshape\",\"shape\":[4]}", "before it are [2, 3], which \"shape\" does not hold"},
    {"{\"type\":\"reshape\"}", "needs a \"shape\" of 1 to 3 numbers"},
    {"{\"type\":\"reshape\",\"shape\":[1,2,3,1]}", "needs a \"shape\" of 1 to 3 numbers"},
    {"{\"type\":\"magnitude\"}", "the last dimension of"},
    {"{\"type\":\"delay\",\"steps\":0}", "a delay of 0 steps"},
    {"{\"type\":\"delay\",\"steps\":16777216}", "a delay of 16777216 steps"},
    {"{\"type\":\"delay\",\"steps\":2},{\"type\":\"reverse\"},{\"type\":\"l2_norm\"}", NULL},
    {"{\"type\":\"last\"},{\"type\":\"delay\"}", "needs a frame at each step"},
    {"{\"type\":\"last\"},{\"type\":\"reverse\"}", "needs a frame at each step"},
    {"{\"type\":\"slice\",\"axis\":2,\"count\":1}", "axis 2 of frames with 2 dimensions"},
    {"{\"type\":\"slice\",\"axis\":0,\"count\":3}", "takes 3 numbers from 0 on"},
    {"{\"type\":\"slice\",\"axis\":0,\"count\":1}", NULL},
    {"{\"type\":\"softmax\",\"steps\":1}", "$.layers[1].steps: means nothing to a softmax layer"},
    {"{\"type\":\"slice\",\"count\":2,\"name\":\"s\"},{\"type\":\"concat\",\"inputs\":[\"s\",\"s\"]}", NULL},
    {"{\"type\":\"slice\",\"count\":2,\"name\":\"s\"},{\"type\":\"concat\",\"inputs\":[\"s\",\"input\"]}",
     "input 1 gives frames [6] a step, the first one [2, 2] a step"},
    {TWO_CONVS("\"dilation\":2", "\"padding\":[0,1],\"dilation\":3"), NULL},
    {TWO_CONVS("\"stride\":2", "\"padding\":1"), "'b': a \"padding\" of 2 steps together"},
    {TWO_CONVS("\"stride\":2", "\"dilation\":1"), "'sum' joins values with different numbers of steps"},
    {ROW_OF_THREE "{\"type\":\"max_pool\",\"taps\":2}", NULL},
    {ROW_OF_THREE "{\"type\":\"max_pool\",\"taps\":4,\"stride\":3,\"padding\":1,\"dilation\":1}", NULL},
    {ROW_OF_THREE "{\"type\":\"mean_pool\",\"taps\":3,\"ceil\":true}", NULL},
    {ROW_OF_THREE "{\"type\":\"mean_pool\",\"taps\":4,\"stride\":1,\"padding\":1,\"count_padding\":false}",
     NULL},
    {ROW_OF_THREE "{\"type\":\"max_pool\"}", "needs \"taps\""},
    {ROW_OF_THREE "{\"type\":\"max_pool\",\"taps\":2,\"stride\":0}", "must be 1 or more"},
    {ROW_OF_THREE "{\"type\":\"max_pool\",\"taps\":2,\"padding\":1}", "a \"padding\" of 1 on both sides"},
    {ROW_OF_THREE "{\"type\":\"max_pool\",\"taps\":5,\"padding\":1,\"dilation\":2}",
     "can have 0 with a dilation"},
    {ROW_OF_THREE "{\"type\":\"max_pool\",\"taps\":5,\"padding\":[1,1]}", "is one number"},
    {ROW_OF_THREE "{\"type\":\"max_pool\",\"taps\":2,\"stride\":3,\"ceil\":true}",
     "\"ceil\" with 2 taps, a stride of 3"},
    {ROW_OF_THREE "{\"type\":\"mean_pool\",\"taps\":9,\"stride\":2,\"padding\":1,\"ceil\":true}",
     "that is counted"},
    {ROW_OF_THREE "{\"type\":\"mean_pool\",\"taps\":2,\"dilation\":2}",
     "dilation: means nothing to a mean_pool layer"},
    {ROW_OF_THREE "{\"type\":\"last\"},{\"type\":\"max_pool\",\"taps\":2}", "needs a frame at each step"},
    {"{\"type\":\"slice\",\"count\":2},{\"module\":\"fc\"}", "'fc' reads rows of 3 numbers"},
    {"{\"module\":\"fc\"}", NULL},
};

Test(import_torch, layers_of_a_spec)
{
    for (size_t i = 0; i < sizeof spec_cases / sizeof *spec_cases; i++) {
        char spec[600];
        bool fc = strstr(spec_cases[i].layers, "\"fc\"") != NULL;
        bool conv = strstr(spec_cases[i].layers, "\"conv\"") != NULL;
        struct bytes pickle;
        struct imported model;
        begin(&pickle);
        add(&pickle, "fc.weight", two_by_three);
        add(&pickle, "conv.weight", (struct pickled_tensor){.rank = 3, .dims = {2, 3, 2}});
        put_line(&pickle, "u");
        snprintf(spec, sizeof spec,
                 "{\"input\":{\"size\":6},\"ignore\":[%s%s%s],\"layers\":[{\"type\":\"reshape\","
                 "\"shape\":[2,3],\"name\":\"r\"},%s]}", fc ? "" : "\"fc*\"", fc || conv ? "" : ",",
                 conv ? "" : "\"conv*\"", spec_cases[i].layers);
        import(&pickle, spec, NULL, &model);
        if (spec_cases[i].says)
            cr_expect(!model.good && strstr(model.error, spec_cases[i].says), "%s: '%s' does not say '%s'",
                      spec_cases[i].layers, model.error, spec_cases[i].says);
        else
            cr_expect(model.good, "%s: %s", spec_cases[i].layers, model.error);
        imported_free(&model);
    }
}

/* What is added to the output must be there as often. */
Test(import_torch, residual_of_fewer_steps)
{
    static const char *const paddings[] = {"[1,0]", "0"};
    for (size_t i = 0; i < 2; i++) {
        char spec[200];
        struct bytes pickle;
        struct imported model;
        begin(&pickle);
        add(&pickle, "conv.weight", (struct pickled_tensor){.rank = 3, .dims = {2, 3, 2}});
        put_line(&pickle, "u");
        snprintf(spec, sizeof spec, "{\"modules\":{\"conv\":{\"type\":\"temporal_conv\",\"padding\":%s}},"
                 "\"residual\":true}", paddings[i]);
        import(&pickle, spec, NULL, &model);
        cr_expect_eq(model.good, i == 0, "%s", model.error);
        if (i)
            cr_expect(strstr(model.error, "'residual' joins values with different numbers of steps"), "%s",
                      model.error);
        imported_free(&model);
    }
}

/* fc reads three numbers: the last one of the frame before and two new ones. */
Test(import_torch, context)
{
    static const struct { const char *input, *says; } rows[] = {
        {"{\"context\":1}", NULL},
        {"{\"context\":2}", "$.input.context: 2 of frames of 1 numbers; expected 1 to 1"},
        {"{\"context\":3}", "$.input.context: 3 of the 3 numbers that 'fc' reads"},
        {"{\"context\":0}", "$.input.context: 0 of frames of 3 numbers"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        char spec[200];
        struct bytes pickle;
        struct imported model;
        struct model_value input;
        begin(&pickle);
        add(&pickle, "fc.weight", two_by_three);
        put_line(&pickle, "u");
        snprintf(spec, sizeof spec, "{\"input\":%s}", rows[i].input);
        import(&pickle, spec, NULL, &model);
        if (rows[i].says) {
            cr_expect(!model.good && strstr(model.error, rows[i].says), "%s", model.error);
        } else {
            expect_layer_name(&model, 2, "input_context");
            expect_layer_name(&model, 3, "fc");
            model_get_value(&model.view, 0, &input);
            cr_expect_eq(input.size, 2);
        }
        imported_free(&model);
    }
}

/* ---- memory -------------------------------------------------------------- */

Test(import_torch, any_allocation_may_fail)
{
    for (unsigned legacy = 0; legacy < 2; legacy++) {
        struct bytes pickle;
        size_t n_bytes;
        begin(&pickle);
        add(&pickle, "fc.weight", (struct pickled_tensor){.rank = 2, .dims = {3, 2}, .strides = {1, 3}});
        put_line(&pickle, "u");
        uint8_t *file = legacy ? torch_legacy(&pickle, &floats, 1, &n_bytes)
                               : torch_zip(&pickle, &floats, 1, NULL, ZIP_STORED, &n_bytes);
        for (size_t n = 1;; n++) {
            struct imported model;
            failing_malloc_arm(n);
            import_bytes(file, n_bytes, "{\"rename\":{\"fc.*\":\"out.*\"}}", &model);
            bool asked = failing_malloc_disarm() >= n;
            cr_expect(model.good || *model.error, "allocation %zu", n);
            imported_free(&model);
            if (!asked) {
                cr_expect(model.good, "%s", model.error);
                break;
            }
        }
        free(file);
        free(pickle.data);
    }
}
