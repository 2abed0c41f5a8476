/* SPDX-License-Identifier: MIT
 *
 * The reader of pickles: what each opcode makes, what is refused and where, and that no
 * pickle costs more than its limits allow.
 */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "formats/torch/pickle.h"
#include "tests/cheap.h"

static const struct pickle_callee callees[] = {{"collections", "OrderedDict"}, {"numpy", "dtype"}, {NULL,
                                                                                                    NULL}};

static bool read_bytes(const void *bytes, size_t n, struct pickle *pickle, char error[300])
{
    error[0] = '\0';
    return pickle_read(bytes, n, callees, pickle, error, 300);
}

#define READ(literal) must_read(literal, sizeof(literal) - 1)

/* What READ read last; the next READ ends it. */
static struct pickle current;

static const struct pickle_value *must_read(const char *bytes, size_t n)
{
    char error[300];
    pickle_free(&current);
    cr_assert(read_bytes(bytes, n, &current, error), "%s", error);
    cr_assert_eq(current.n_bytes, n);
    return pickle_get(&current, current.root);
}

static void expect_int(const struct pickle_value *value, int64_t number)
{
    cr_assert(value && value->type == PICKLE_INT);
    cr_expect_eq(value->as.integer, number);
}

static void expect_bytes(const struct pickle_value *value, enum pickle_type type, const char *text)
{
    cr_assert(value && value->type == type);
    cr_assert_eq(value->as.bytes.n, strlen(text));
    cr_expect_arr_eq(value->as.bytes.start, text, strlen(text));
}

Test(pickle, single_values)
{
    cr_expect_eq(READ("\x80\2N.")->type, PICKLE_NONE);
    cr_expect(READ("\x88.")->type == PICKLE_BOOL && READ("\x88.")->as.integer == 1);
    cr_expect(READ("\x89.")->type == PICKLE_BOOL && READ("\x89.")->as.integer == 0);
    expect_int(READ("K\xff."), 255);
    expect_int(READ("M\x01\x02."), 513);
    expect_int(READ("J\xff\xff\xff\xff."), -1);
    expect_int(READ("\x8a\0."), 0);
    expect_int(READ("\x8a\1\x80."), -128);
    expect_int(READ("\x8a\2\xff\0."), 255);
    expect_int(READ("\x8b\x08\0\0\0\0\0\0\0\0\0\0\x80."), INT64_MIN);
    cr_expect_eq(READ("\x8a\x09\0\0\0\0\0\0\0\0\1.")->type, PICKLE_LONG);
    cr_expect_eq(READ("G\x3f\xf8\0\0\0\0\0\0.")->as.number, 1.5);
    cr_expect(pickle_is_global(READ("cos\nsystem\n."), "os", "system"));
    cr_expect(pickle_is_global(READ("\x8c\2os\x8c\6system\x93."), "os", "system"));
}

Test(pickle, texts_and_bytes)
{
    expect_bytes(READ("U\2ab."), PICKLE_TEXT, "ab");
    expect_bytes(READ("T\2\0\0\0ab."), PICKLE_TEXT, "ab");
    expect_bytes(READ("\x8c\2ab."), PICKLE_TEXT, "ab");
    expect_bytes(READ("X\2\0\0\0ab."), PICKLE_TEXT, "ab");
    expect_bytes(READ("\x8d\2\0\0\0\0\0\0\0ab."), PICKLE_TEXT, "ab");
    expect_bytes(READ("C\2ab."), PICKLE_BYTES, "ab");
    expect_bytes(READ("B\2\0\0\0ab."), PICKLE_BYTES, "ab");
    expect_bytes(READ("\x8e\2\0\0\0\0\0\0\0ab."), PICKLE_BYTES, "ab");
    expect_bytes(READ("\x96\2\0\0\0\0\0\0\0ab."), PICKLE_BYTES, "ab");
}

/* The items as digits, "123", after the type's number. */
static void expect_items(const struct pickle_value *value, enum pickle_type type, const char *digits)
{
    cr_assert(value && value->type == type, "type %d", value->type);
    cr_assert_eq(value->n_items, strlen(digits));
    for (uint32_t i = 0; i < value->n_items; i++)
        expect_int(pickle_item(&current, value, i), digits[i] - '0');
    cr_expect_null(pickle_item(&current, value, value->n_items));
}

Test(pickle, containers)
{
    expect_items(READ(")."), PICKLE_TUPLE, "");
    expect_items(READ("]."), PICKLE_LIST, "");
    expect_items(READ("}."), PICKLE_DICT, "");
    expect_items(READ("\x8f."), PICKLE_SET, "");
    expect_items(READ("K\1\x85."), PICKLE_TUPLE, "1");
    expect_items(READ("K\1K\2\x86."), PICKLE_TUPLE, "12");
    expect_items(READ("K\1K\2K\3\x87."), PICKLE_TUPLE, "123");
    expect_items(READ("(K\1K\2K\3K\4t."), PICKLE_TUPLE, "1234");
    expect_items(READ("(K\1K\2l."), PICKLE_LIST, "12");
    expect_items(READ("(K\1K\2d."), PICKLE_DICT, "12");
    expect_items(READ("(K\1\x91."), PICKLE_SET, "1");
    expect_items(READ("]K\1a(K\2K\3e."), PICKLE_LIST, "123");
    expect_items(READ("\x8f(K\1K\2\x90."), PICKLE_SET, "12");
    expect_items(READ("}K\1K\2s(K\3K\4u."), PICKLE_DICT, "1234");
    expect_items(READ("(K\7K\1\x85""0(K\2t1K\1\x85."), PICKLE_TUPLE, "1");
}

Test(pickle, memo_and_stack)
{
    expect_items(READ("K\5q\0""0h\0h\0\x86."), PICKLE_TUPLE, "55");
    expect_items(READ("K\5r\0\1\0\0""0j\0\1\0\0\x85."), PICKLE_TUPLE, "5");
    expect_items(READ("K\1\x94K\2\x94""00h\1h\0\x86."), PICKLE_TUPLE, "21");
    expect_items(READ("K\3""2\x86."), PICKLE_TUPLE, "33");
    expect_items(READ("\x80\4\x95\4\0\0\0\0\0\0\0K\3\x85."), PICKLE_TUPLE, "3");
}

Test(pickle, records_are_written_down)
{
    const struct pickle_value *value = READ("ccollections\nOrderedDict\n)RU\1aK\1s.");
    cr_assert_eq(value->type, PICKLE_RECORD);
    cr_expect(pickle_is_global(pickle_callee_of(&current, value), "collections", "OrderedDict"));
    expect_int(pickle_lookup(&current, value, "a"), 1);
    value = READ("cmine\nThing\n)\x81}U\1bK\2sb.");
    expect_int(pickle_lookup(&current, value, "b"), 2);
    cr_expect_null(pickle_lookup(&current, value, "c"));
    value = READ("cmine\nThing\n)}\x92.");
    cr_expect_eq(value->type, PICKLE_RECORD);
    value = READ("(U\7storagetQ.");
    cr_assert_eq(value->type, PICKLE_PERSISTENT);
    value = pickle_get(&current, value->as.record.arguments);
    expect_bytes(pickle_item(&current, value, 0), PICKLE_TEXT, "storage");
}

Test(pickle, of_equal_keys_the_last_counts)
{
    const struct pickle_value *value = READ("}(U\1aK\1U\1aK\2u.");
    expect_int(pickle_lookup(&current, value, "a"), 2);
}

struct refusal {
    const char *bytes;
    size_t n;
    const char *says;
};

#define BAD(literal, says) {literal, sizeof(literal) - 1, says}

static const struct refusal refusals[] = {
    BAD("", "byte 0: the pickle ends without STOP"),
    BAD("N", "byte 1: the pickle ends without STOP"),
    BAD("\x80\6N.", "opcode PROTO: protocol 6"),
    BAD("\x80\2~.", "byte 2: opcode 0x7e is unknown"),
    BAD("I1\n.", "byte 0, opcode INT: is not read"),
    BAD("L1L\n.", "opcode LONG: is not read"),
    BAD("F1\n.", "opcode FLOAT: is not read"),
    BAD("S'a'\n.", "opcode STRING: is not read"),
    BAD("Va\n.", "opcode UNICODE: is not read"),
    BAD("Np0\n.", "opcode PUT: is not read"),
    BAD("g0\n.", "opcode GET: is not read"),
    BAD("Pa\n.", "opcode PERSID: is not read"),
    BAD("(ios\nsystem\n.", "opcode INST: is not read"),
    BAD("(cos\nsystem\no.", "opcode OBJ: is not read"),
    BAD("\x82\1.", "opcode EXT1: is not read"),
    BAD("\x83\1\0.", "opcode EXT2: is not read"),
    BAD("\x84\1\0\0\0.", "opcode EXT4: is not read"),
    BAD("\x97.", "opcode NEXT_BUFFER: is not read"),
    BAD("\x98.", "opcode READONLY_BUFFER: is not read"),
    BAD("\x80\2cos\nsystem\nU\2ls\x85R.", "byte 18, opcode REDUCE: would call os.system, which no weights "
                                          "need"),
    BAD("\x80\4\x8c\5posix\x8c\6system\x93\x8c\2ls\x85R.", "would call posix.system"),
    BAD("cbuiltins\neval\nU\1a\x85R.", "would call builtins.eval"),
    BAD("NN\x85R.", "would call None"),
    BAD("cnumpy\ndtype\nNR.", "not a tuple"),
    BAD("cnumpy\ndtype\n)R)R.", "would call numpy.dtype"),
    BAD("N)\x81.", "opcode NEWOBJ: needs a class, found None"),
    BAD("NNb.", "opcode BUILD: puts a state into something that is no object"),
    BAD(".", "opcode STOP: needs a value"),
    BAD("(.", "opcode STOP: needs a value"),
    BAD("0.", "opcode POP: the stack is empty"),
    BAD("2.", "opcode DUP: needs a value"),
    BAD("1.", "opcode POP_MARK: there is no mark"),
    BAD("t.", "opcode TUPLE: there is no mark"),
    BAD("K\1\x86.", "opcode TUPLE2: needs 2 values"),
    BAD("(K\1\x86.", "opcode TUPLE2: needs 2 values"),
    BAD("(K\1d.", "opcode DICT: a key without a value"),
    BAD("}(K\1u.", "opcode SETITEMS: a key without a value"),
    BAD("](K\1K\2u.", "takes no such items"),
    BAD("}K\1a.", "opcode APPEND: the value takes no such items"),
    BAD("K\1a.", "opcode APPEND: needs 2 values"),
    BAD("(K\1e.", "opcode APPENDS: the mark stands on nothing"),
    BAD("((K\1e.", "the mark stands on nothing"),
    BAD("q\0.", "opcode BINPUT: needs a value"),
    BAD("h\0.", "nothing was kept as memo 0"),
    BAD("Nr\xff\xff\xff\xff.", "memo 4294967295, at most"),
    BAD("U\5ab.", "5 bytes should follow, 3 are there"),
    BAD("\x8d\xff\xff\xff\xff\xff\xff\xff\xff.", "18446744073709551615 bytes should follow"),
    BAD("\x95\xff\xff\0\0\0\0\0\0N.", "opcode FRAME: 65535 bytes should follow"),
    BAD("\x8a\5\1.", "opcode LONG1: 5 bytes should follow"),
    BAD("G\1.", "opcode BINFLOAT: 8 bytes should follow"),
    BAD("cos\n", "the line that follows does not end"),
    BAD("K\1K\2\x93.", "opcode STACK_GLOBAL: needs the texts"),
};

Test(pickle, refused_by_name_and_place)
{
    for (size_t i = 0; i < sizeof refusals / sizeof *refusals; i++) {
        struct pickle pickle;
        char error[300];
        cr_expect(!read_bytes(refusals[i].bytes, refusals[i].n, &pickle, error), "refusal %zu was read", i);
        cr_expect(strstr(error, refusals[i].says), "'%s' does not say '%s'", error, refusals[i].says);
    }
}

/* `unit` `count` times, between `before` and `after`. */
static uint8_t *repeat(const char *before, const char *unit, size_t n_unit, size_t count, const char *after,
                       size_t *n_out)
{
    size_t n_before = strlen(before);
    uint8_t *bytes = malloc(n_before + n_unit * count + strlen(after));
    cr_assert_not_null(bytes);
    memcpy(bytes, before, n_before);
    for (size_t i = 0; i < count; i++)
        memcpy(bytes + n_before + i * n_unit, unit, n_unit);
    memcpy(bytes + n_before + n_unit * count, after, strlen(after));
    *n_out = n_before + n_unit * count + strlen(after);
    return bytes;
}

/* Refused with `says`, and cheaply. */
static void expect_cheap_refusal(uint8_t *bytes, size_t n, const char *says)
{
    struct pickle pickle;
    char error[300];
    const double began = cheap_now();
    cr_expect(!read_bytes(bytes, n, &pickle, error), "was read");
    cheap_expect(began, says);
    cr_expect(strstr(error, says), "'%s' does not say '%s'", error, says);
    free(bytes);
}

Test(pickle, nesting_has_an_end)
{
    size_t n;
    uint8_t *bytes = repeat("N", "\x85", 1, 1000000, ".", &n);
    expect_cheap_refusal(bytes, n, "values are nested more than 1000 deep");
}

Test(pickle, values_have_an_end)
{
    size_t n;
    uint8_t *bytes = repeat("(", "]", 1, 20000000, "t.", &n);
    expect_cheap_refusal(bytes, n, "more than 1048576 values");
}

Test(pickle, the_stack_has_an_end)
{
    size_t n;
    uint8_t *bytes = repeat("N", "2", 1, 20000000, ".", &n);
    expect_cheap_refusal(bytes, n, "more than 1048576 values on the stack");
}

Test(pickle, items_have_an_end)
{
    size_t n;
    uint8_t *bytes = repeat("]Nq\1""0", "h\1a", 3, 20000000, ".", &n);
    expect_cheap_refusal(bytes, n, "more than 4194304 items");
}

/* A tuple of two of the one before, a thousand times: 2^1000 values if anybody counted them. */
Test(pickle, laughs_cost_nothing)
{
    struct pickle pickle;
    char error[300];
    size_t n;
    uint8_t *bytes = repeat("N", "2\x86", 2, PICKLE_MAX_DEPTH, ".", &n);
    cr_assert(read_bytes(bytes, n, &pickle, error), "%s", error);
    cr_expect_eq(pickle.n_values, PICKLE_MAX_DEPTH + 1);
    pickle_free(&pickle);
    free(bytes);
}

Test(pickle, cut_off_anywhere)
{
    static const char whole[] = "\x80\2ccollections\nOrderedDict\nq\0)Rq\1(X\1\0\0\0aK\1X\1\0\0\0b(J\1"
                                "\0\0\0G\0\0\0\0\0\0\0\0\x8a\1\5tu}X\1\0\0\0cU\1dsb.";
    struct pickle pickle;
    char error[300];
    for (size_t n = 0; n < sizeof whole - 1; n++)
        cr_expect(!read_bytes(whole, n, &pickle, error) && *error, "%zu bytes were read", n);
    cr_assert(read_bytes(whole, sizeof whole - 1, &pickle, error), "%s", error);
    pickle_free(&pickle);
}
