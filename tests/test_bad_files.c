/* SPDX-License-Identifier: MIT
 *
 * Bad model files: for each rule of FORMAT.md, those of the reader and those of layers; a good one cut off
 * at each byte, and with each bit flipped, once as damage (checksums as they were) and once as malice
 * (checksums put right).
 */
#include <criterion/criterion.h>
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "formats/bytes.h"
#include "formats/crc32c.h"
#include "formats/mapfile.h"
#include "runtime/lstmrun.h"
#include "tests/model_walk.h"

/* Rules WEIGHTS to READER are found by reading all weights; those beyond READER are not the reader's. */
enum { WEIGHTS = 39, READER = 40, LAST = 256 };

static const char *folder(char *path, size_t n)
{
    const char *source = getenv("LSTMRUN_SOURCE");
    cr_assert_not_null(source, "LSTMRUN_SOURCE must name the source folder");
    snprintf(path, n, "%s/tests/golden-bad", source);
    return path;
}

static struct mapfile map(const char *name)
{
    char in[3072], path[4096], reason[256];
    struct mapfile file;
    snprintf(path, sizeof path, "%s/%s", folder(in, sizeof in), name);
    cr_assert(mapfile_open(path, &file, reason, sizeof reason), "%s: %s", path, reason);
    return file;
}

/* As in "F101-no-units.bin"; 0: a good file. */
static unsigned rule_of(const char *name)
{
    return name[0] == 'F' ? (unsigned)strtoul(name + 1, NULL, 10) : 0;
}

static void expect_reader(const char *name, const struct mapfile *file)
{
    struct model_view view;
    struct format_error error;
    unsigned rule = rule_of(name) <= READER ? rule_of(name) : 0;
    bool read = model_read(file->bytes, file->n_bytes, &view, &error);
    bool whole = read && model_check_weights(&view, &error);
    cr_expect_eq(whole, rule == 0, "%s: %s", name, error.text);
    cr_expect_eq(error.rule, rule, "%s: F%u, %s", name, (unsigned)error.rule, error.text);
    cr_expect_eq(read, rule == 0 || rule >= WEIGHTS, "%s", name);
    cr_expect(error.offset <= file->n_bytes, "%s: offset %ju", name, (uintmax_t)error.offset);
    cr_expect_eq(error.text[0] == '\0', rule == 0, "%s: a sentence is expected", name);
}

/* The place of a broken rule of layers is the layer's record, which begins with the type's number. */
static void expect_place(const char *name, const struct mapfile *file, const lstm_error *error)
{
    unsigned rule = rule_of(name);
    bool layer = error->offset >= 128 && error->offset % 128 == 0 && error->offset + 128 <= file->n_bytes;
    cr_expect(layer, "%s: offset %ju", name, (uintmax_t)error->offset);
    if (layer && rule > 100)
        cr_expect_eq(load_u32((const uint8_t *)file->bytes + error->offset), rule % 100,
                     "%s: offset %ju", name, (uintmax_t)error->offset);
}

static void expect_runtime(const char *name, const struct mapfile *file)
{
    unsigned rule = rule_of(name);
    lstm_model *model;
    lstm_error error = { .rule = 0 };
    lstm_status status = lstm_model_open_memory(file->bytes, file->n_bytes, &model, &error);
    bool opens = rule == 0 || rule == WEIGHTS || rule == READER;
    cr_expect_eq(status, opens ? LSTM_OK : LSTM_E_FORMAT, "%s: status %d, %s", name, status, error.text);
    if (opens && model)
        status = lstm_model_verify(model, &error);
    cr_expect_eq(status, rule ? LSTM_E_FORMAT : LSTM_OK, "%s: status %d, %s", name, status, error.text);
    cr_expect_eq(error.rule, rule, "%s: F%u, %s", name, error.rule, error.text);
    cr_expect_eq(error.text[0] == '\0', rule == 0, "%s: a sentence is expected", name);
    if (rule > READER)
        expect_place(name, file, &error);
    lstm_model_close(model);
}

/* The rules that a file can break; the other numbers up to LAST are no rules of version 1.0. */
static bool is_rule(unsigned rule)
{
    static const struct { unsigned first, last; } rules[] = {
        { 1, 40 }, { 60, 69 }, { 101, 103 }, { 120, 120 }, { 123, 124 }, { 201, 203 }, { 216, 226 },
        { 248, 250 }, { 253, 254 },
        { 130, 131 }, { 230, 231 }, /* masks, lengths */
        { 127, 127 }, { 129, 129 }, { 152, 152 }, { 155, 156 }, /* convolutions, pools */
        { 227, 229 }, { 251, 252 }, { 255, LAST },
    };
    for (size_t i = 0; i < sizeof rules / sizeof *rules; i++)
        if (rule >= rules[i].first && rule <= rules[i].last)
            return true;
    return false;
}

Test(bad_files, each_rule)
{
    char path[3072];
    bool seen[LAST + 1] = { false };
    DIR *files = opendir(folder(path, sizeof path));
    cr_assert_not_null(files, "%s", path);
    for (struct dirent *entry; (entry = readdir(files)) != NULL;) {
        const char *name = entry->d_name;
        size_t n = strlen(name);
        if (n < 4 || strcmp(name + n - 4, ".bin") != 0)
            continue;
        cr_assert(rule_of(name) == 0 || is_rule(rule_of(name)), "%s", name);
        seen[rule_of(name)] = true;
        struct mapfile file = map(name);
        expect_reader(name, &file);
        expect_runtime(name, &file);
        mapfile_close(&file);
    }
    closedir(files);
    for (unsigned rule = 0; rule <= LAST; rule++)
        cr_expect(seen[rule] == (rule == 0 || is_rule(rule)), "no file for rule F%u (0: a good one)", rule);
}

/* The good file in memory of exactly its size, so that a sanitizer sees each byte too many. */
struct copy {
    uint8_t *bytes;
    size_t n_bytes, data_at;
    struct model_view view; /* of the file as it was */
};

static struct copy copy_good(void)
{
    struct mapfile file = map("good.bin");
    struct copy copy = { .n_bytes = file.n_bytes };
    struct format_error error;
    copy.bytes = malloc(file.n_bytes);
    cr_assert_not_null(copy.bytes);
    memcpy(copy.bytes, file.bytes, file.n_bytes);
    mapfile_close(&file);
    cr_assert(model_read(copy.bytes, copy.n_bytes, &copy.view, &error), "%s", error.text);
    copy.data_at = (size_t)copy.view.data_offset;
    return copy;
}

Test(bad_files, each_truncation)
{
    struct copy good = copy_good();
    for (size_t n = 0; n < good.n_bytes; n++) {
        struct model_view view;
        struct format_error error;
        uint8_t *cut = malloc(n ? n : 1);
        cr_assert_not_null(cut);
        memcpy(cut, good.bytes, n);
        cr_assert_not(model_read(cut, n, &view, &error), "cut at %zu", n);
        cr_assert_eq(error.rule, n < 128 ? 2 : 6, "cut at %zu: F%u", n, (unsigned)error.rule);
        cr_assert(error.offset <= n, "cut at %zu", n);
        free(cut);
    }
    free(good.bytes);
}

/* Damage in the tables shows at opening; in the data area when the weights are checked. */
Test(bad_files, each_bit_flipped)
{
    struct copy good = copy_good();
    for (size_t bit = 0; bit < good.n_bytes * 8; bit++) {
        struct model_view view;
        struct format_error error;
        good.bytes[bit / 8] ^= (uint8_t)(1 << bit % 8);
        bool read = model_read(good.bytes, good.n_bytes, &view, &error);
        cr_assert_eq(read, bit / 8 >= good.data_at, "bit %zu of byte %zu", bit % 8, bit / 8);
        cr_assert(!read || !model_check_weights(&view, &error), "bit %zu of byte %zu", bit % 8, bit / 8);
        cr_assert(error.rule != 0 && error.offset <= good.n_bytes);
        good.bytes[bit / 8] ^= (uint8_t)(1 << bit % 8);
    }
    free(good.bytes);
}

static uint64_t strings_end(const uint8_t *bytes)
{
    return 128 + 16 * (uint64_t)load_u32(bytes + 32) + 128 * (uint64_t)load_u32(bytes + 36) +
           32 * ((uint64_t)load_u32(bytes + 36) + 1) + 64 * (uint64_t)load_u32(bytes + 40) +
           4 * (uint64_t)load_u32(bytes + 44) + load_u32(bytes + 48);
}

/* The checksum of the tables, as far as the counts let them be inside the file. */
static void seal(const struct copy *copy)
{
    uint64_t data_at = (strings_end(copy->bytes) + 63) / 64 * 64;
    store_u32(copy->bytes + 12, 0);
    if (data_at <= copy->n_bytes)
        store_u32(copy->bytes + 12, crc32c(0, copy->bytes, (size_t)data_at));
}

/* Whether the format has another meaning, or none, for another number at this byte of the tables; then a
 * changed file may be right. Everything else is fixed by a rule. */
static bool may_vary(const struct copy *good, size_t at)
{
    const struct model_view *view = &good->view;
    enum { LAYERS = 1, VALUES, TENSORS, EDGES };
    size_t layers = (size_t)view->tables_offset[LAYERS], values = (size_t)view->tables_offset[VALUES];
    size_t tensors = (size_t)view->tables_offset[TENSORS], edges = (size_t)view->tables_offset[EDGES];
    if (at < 128)
        return (at >= 10 && at < 20) || (at >= 52 && at < 56) || (at >= 64 && at < 96);
    if (at >= layers && at < values)
        return (at - layers) % 128 < 4 || (at - layers) % 128 >= 32; /* type, words */
    if (at >= values && at < tensors)
        return (at - values) % 32 >= 8 && (at - values) % 32 < 28;   /* rank, flags, dimensions */
    return at >= edges && at < strings_end(good->bytes);             /* values read, tensors; letters */
}

Test(bad_files, each_bit_flipped_and_sealed)
{
    struct copy good = copy_good();
    size_t accepted = 0;
    for (size_t bit = 0; bit < good.data_at * 8; bit++) {
        struct model_view view;
        struct format_error error;
        good.bytes[bit / 8] ^= (uint8_t)(1 << bit % 8);
        seal(&good);
        if (model_read(good.bytes, good.n_bytes, &view, &error)) {
            const char *wrong = model_walk(&view);
            accepted++;
            cr_assert_null(wrong, "bit %zu of byte %zu: %s", bit % 8, bit / 8, wrong);
            cr_assert(may_vary(&good, bit / 8), "bit %zu of byte %zu is not looked at", bit % 8, bit / 8);
        } else {
            cr_assert(error.rule != 9 && error.offset <= good.n_bytes, "bit %zu of byte %zu: F%u",
                      bit % 8, bit / 8, (unsigned)error.rule);
        }
        good.bytes[bit / 8] ^= (uint8_t)(1 << bit % 8);
    }
    cr_assert(accepted > 0);
    free(good.bytes);
}

/* These have no meaning yet: any bit of them may be set and the file is read all the same. */
Test(bad_files, ignorable_places)
{
    struct copy good = copy_good();
    static const struct { size_t begin, end; } places[] = { { 10, 12 }, { 16, 20 }, { 68, 96 } };
    for (size_t i = 0; i < sizeof places / sizeof *places; i++) {
        for (size_t bit = places[i].begin * 8; bit < places[i].end * 8; bit++) {
            struct model_view view;
            struct format_error error;
            good.bytes[bit / 8] ^= (uint8_t)(1 << bit % 8);
            seal(&good);
            cr_assert(model_read(good.bytes, good.n_bytes, &view, &error), "byte %zu: %s", bit / 8,
                      error.text);
            cr_assert(model_check_weights(&view, &error), "byte %zu: %s", bit / 8, error.text);
            good.bytes[bit / 8] ^= (uint8_t)(1 << bit % 8);
        }
    }
    free(good.bytes);
}
