/* SPDX-License-Identifier: MIT
 *
 * A pickle is a program for a stack machine. This is the machine without its dangerous
 * half: calls, imports and objects are only written down. See pickle.h.
 */
#include "formats/torch/pickle.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MARK PICKLE_NOTHING /* on the stack */

struct machine {
    const uint8_t *bytes;
    size_t n_bytes, at;
    size_t opcode_at;
    const struct opcode *opcode;
    const struct pickle_callee *callees;
    struct pickle *pickle;
    uint32_t *stack, n_stack, stack_room;
    uint32_t *memo, memo_room, n_memoized;
    bool stopped;
    char *error;
    size_t n_error;
};

struct opcode {
    const char *name;
    bool (*run)(struct machine *machine, unsigned n); /* NULL: known, but not read */
    uint8_t n;                                        /* bytes of a length or number, or items */
};

static bool refuse(struct machine *machine, const char *format, ...) __attribute__((format(printf, 2, 3)));

static bool refuse(struct machine *machine, const char *format, ...)
{
    const char *name = machine->opcode ? machine->opcode->name : NULL;
    size_t used = (size_t)snprintf(machine->error, machine->n_error, "pickle, byte %zu%s%s: ",
                                   machine->opcode_at, name ? ", opcode " : "", name ? name : "");
    va_list args;
    va_start(args, format);
    if (used < machine->n_error)
        vsnprintf(machine->error + used, machine->n_error - used, format, args);
    va_end(args);
    return false;
}

/* ---- memory -------------------------------------------------------------- */

/* Room for `wanted` words, at most `limit`. */
static bool grow(struct machine *machine, uint32_t **words, uint32_t *room, uint32_t wanted, uint32_t limit)
{
    uint32_t new_room = *room ? *room : 4;
    uint32_t *moved;
    if (wanted <= *room)
        return true;
    while (new_room < wanted)
        new_room *= 2;
    if (new_room > limit)
        new_room = limit;
    moved = realloc(*words, (size_t)new_room * sizeof *moved);
    if (!moved)
        return refuse(machine, "out of memory");
    *words = moved;
    *room = new_room;
    return true;
}

static bool push(struct machine *machine, uint32_t index)
{
    if (machine->n_stack == PICKLE_MAX_STACK)
        return refuse(machine, "more than %d values on the stack", PICKLE_MAX_STACK);
    if (!grow(machine, &machine->stack, &machine->stack_room, machine->n_stack + 1, PICKLE_MAX_STACK))
        return false;
    machine->stack[machine->n_stack++] = index;
    return true;
}

static bool pop(struct machine *machine, uint32_t *index_out)
{
    *index_out = MARK;
    if (machine->n_stack == 0 || machine->stack[machine->n_stack - 1] == MARK)
        return refuse(machine, "needs a value, but the stack has none");
    *index_out = machine->stack[--machine->n_stack];
    return true;
}

static struct pickle_value *value_at(struct machine *machine, uint32_t index)
{
    return &machine->pickle->values[index];
}

static bool top(struct machine *machine, struct pickle_value **out)
{
    *out = NULL;
    if (machine->n_stack == 0 || machine->stack[machine->n_stack - 1] == MARK)
        return refuse(machine, "needs a value, but the stack has none");
    *out = value_at(machine, machine->stack[machine->n_stack - 1]);
    return true;
}

/* A new value on the stack. */
static struct pickle_value *make(struct machine *machine, enum pickle_type type)
{
    struct pickle *pickle = machine->pickle;
    struct pickle_value *value;
    if (pickle->n_values == PICKLE_MAX_VALUES) {
        refuse(machine, "more than %d values", PICKLE_MAX_VALUES);
        return NULL;
    }
    if (pickle->n_values == pickle->room) {
        uint32_t room = pickle->room ? 2 * pickle->room : 64;
        value = realloc(pickle->values, room * sizeof *value);
        if (!value) {
            refuse(machine, "out of memory");
            return NULL;
        }
        pickle->values = value;
        pickle->room = room;
    }
    if (!push(machine, pickle->n_values))
        return NULL;
    value = value_at(machine, pickle->n_values++);
    memset(value, 0, sizeof *value);
    value->type = (uint8_t)type;
    value->offset = machine->opcode_at;
    return value;
}

/* `outer` now holds `inner`. */
static bool nest(struct machine *machine, struct pickle_value *outer, uint32_t inner)
{
    unsigned depth = value_at(machine, inner)->depth + 1u;
    if (depth > PICKLE_MAX_DEPTH)
        return refuse(machine, "values are nested more than %d deep", PICKLE_MAX_DEPTH);
    if (depth > outer->depth)
        outer->depth = (uint16_t)depth;
    return true;
}

static bool add_items(struct machine *machine, struct pickle_value *to, const uint32_t *items, uint32_t n)
{
    if (n > PICKLE_MAX_ITEMS - machine->pickle->n_items)
        return refuse(machine, "more than %d items", PICKLE_MAX_ITEMS);
    if (!grow(machine, &to->items, &to->room, to->n_items + n, PICKLE_MAX_ITEMS))
        return false;
    for (uint32_t i = 0; i < n; i++) {
        if (!nest(machine, to, items[i]))
            return false;
        to->items[to->n_items++] = items[i];
    }
    machine->pickle->n_items += n;
    return true;
}

/* ---- what follows an opcode ---------------------------------------------- */

static bool need(struct machine *machine, uint64_t n)
{
    size_t left = machine->n_bytes - machine->at;
    return n <= left || refuse(machine, "%llu bytes should follow, %zu are there", (unsigned long long)n,
                               left);
}

/* A little-endian number of n bytes. */
static bool take_number(struct machine *machine, unsigned n, uint64_t *out)
{
    *out = 0;
    if (!need(machine, n))
        return false;
    for (unsigned i = 0; i < n; i++)
        *out |= (uint64_t)machine->bytes[machine->at++] << 8 * i;
    return true;
}

static bool take_bytes(struct machine *machine, uint64_t n, struct pickle_bytes *out)
{
    *out = (struct pickle_bytes){"", 0};
    if (!need(machine, n))
        return false;
    out->start = (const char *)machine->bytes + machine->at;
    out->n = (size_t)n;
    machine->at += (size_t)n;
    return true;
}

static bool take_line(struct machine *machine, struct pickle_bytes *out)
{
    const uint8_t *start = machine->bytes + machine->at;
    const uint8_t *end = memchr(start, '\n', machine->n_bytes - machine->at);
    *out = (struct pickle_bytes){"", 0};
    if (!end)
        return refuse(machine, "the line that follows does not end");
    return take_bytes(machine, (uint64_t)(end - start), out) && (machine->at++, true);
}

/* ---- single values ------------------------------------------------------- */

static bool run_proto(struct machine *machine, unsigned n)
{
    uint64_t version;
    return take_number(machine, n, &version) &&
           (version <= 5 || refuse(machine, "protocol %llu, known are 0 to 5", (unsigned long long)version));
}

static bool run_frame(struct machine *machine, unsigned n)
{
    uint64_t length;
    return take_number(machine, n, &length) && need(machine, length);
}

static bool run_none(struct machine *machine, unsigned n)
{
    (void)n;
    return make(machine, PICKLE_NONE) != NULL;
}

static bool run_bool(struct machine *machine, unsigned n)
{
    struct pickle_value *value = make(machine, PICKLE_BOOL);
    if (value)
        value->as.integer = n;
    return value != NULL;
}

static bool run_int(struct machine *machine, unsigned n)
{
    struct pickle_value *value = make(machine, PICKLE_INT);
    uint64_t number;
    if (!value || !take_number(machine, n, &number))
        return false;
    value->as.integer = n == 4 ? (int32_t)(uint32_t)number : (int64_t)number; /* only BININT has a sign */
    return true;
}

static bool run_long(struct machine *machine, unsigned n)
{
    struct pickle_value *value = make(machine, PICKLE_LONG);
    uint64_t length, number = 0;
    if (!value || !take_number(machine, n, &length) || !take_bytes(machine, length, &value->as.bytes))
        return false;
    if (length > 8)
        return true;
    const uint8_t *digits = (const uint8_t *)value->as.bytes.start;
    for (unsigned i = 0; i < 8; i++) {
        bool negative = length && digits[length - 1] & 0x80;
        number |= (uint64_t)(i < length ? digits[i] : negative ? 0xff : 0) << 8 * i;
    }
    value->type = PICKLE_INT;
    value->as.integer = (int64_t)number;
    return true;
}

static bool run_float(struct machine *machine, unsigned n)
{
    struct pickle_value *value = make(machine, PICKLE_FLOAT);
    uint64_t bits = 0;
    if (!value || !need(machine, n))
        return false;
    for (unsigned i = 0; i < n; i++) /* big-endian, unlike everything else */
        bits = bits << 8 | machine->bytes[machine->at++];
    memcpy(&value->as.number, &bits, sizeof bits);
    return true;
}

static bool run_string(struct machine *machine, enum pickle_type type, unsigned n)
{
    struct pickle_value *value = make(machine, type);
    uint64_t length;
    return value && take_number(machine, n, &length) && take_bytes(machine, length, &value->as.bytes);
}

static bool run_text(struct machine *machine, unsigned n)
{
    return run_string(machine, PICKLE_TEXT, n);
}

static bool run_bytes(struct machine *machine, unsigned n)
{
    return run_string(machine, PICKLE_BYTES, n);
}

/* ---- containers ---------------------------------------------------------- */

/* The place right above the topmost mark. */
static bool find_mark(struct machine *machine, uint32_t *above_out)
{
    uint32_t at = machine->n_stack;
    while (at > 0 && machine->stack[at - 1] != MARK)
        at--;
    *above_out = at;
    return at > 0 || refuse(machine, "there is no mark on the stack");
}

static bool run_mark(struct machine *machine, unsigned n)
{
    (void)n;
    return push(machine, MARK);
}

static bool run_pop(struct machine *machine, unsigned n)
{
    (void)n;
    if (machine->n_stack == 0)
        return refuse(machine, "the stack is empty");
    machine->n_stack--;
    return true;
}

static bool run_pop_mark(struct machine *machine, unsigned n)
{
    uint32_t above;
    (void)n;
    if (!find_mark(machine, &above))
        return false;
    machine->n_stack = above - 1;
    return true;
}

static bool run_dup(struct machine *machine, unsigned n)
{
    struct pickle_value *unused;
    (void)n;
    return top(machine, &unused) && push(machine, machine->stack[machine->n_stack - 1]);
}

/* The values from stack place `first` on, and the marks below down to `keep`, become a new value. */
static bool collect(struct machine *machine, enum pickle_type type, uint32_t first, uint32_t keep)
{
    uint32_t n = machine->n_stack - first;
    struct pickle_value *value;
    if (type == PICKLE_DICT && n % 2)
        return refuse(machine, "a key without a value");
    value = make(machine, type); /* behind the items, so that they stay on the stack until it has them */
    if (!value || !add_items(machine, value, machine->stack + first, n))
        return false;
    machine->stack[keep] = machine->stack[machine->n_stack - 1];
    machine->n_stack = keep + 1;
    return true;
}

static bool run_empty(struct machine *machine, unsigned n)
{
    return make(machine, (enum pickle_type)n) != NULL;
}

/* All above the mark. */
static bool run_collect(struct machine *machine, unsigned n)
{
    uint32_t above;
    return find_mark(machine, &above) && collect(machine, (enum pickle_type)n, above, above - 1);
}

/* The topmost n. */
static bool run_tuple(struct machine *machine, unsigned n)
{
    for (unsigned i = 0; i < n; i++)
        if (machine->n_stack < n || machine->stack[machine->n_stack - 1 - i] == MARK)
            return refuse(machine, "needs %u values, but the stack has fewer", n);
    return collect(machine, PICKLE_TUPLE, machine->n_stack - n, machine->n_stack - n);
}

static bool takes_items(const struct pickle_value *value, bool pairs)
{
    if (value->type == PICKLE_RECORD)
        return value->n_items == 0 || value->pairs == pairs;
    return pairs ? value->type == PICKLE_DICT : value->type == PICKLE_LIST || value->type == PICKLE_SET;
}

/* The values from place `first` on go into the one at place `target` of the stack. */
static bool put_items(struct machine *machine, uint32_t target, uint32_t first, bool pairs)
{
    struct pickle_value *value;
    uint32_t n = machine->n_stack - first;
    if (machine->stack[target] == MARK)
        return refuse(machine, "the mark stands on nothing that could take items");
    value = value_at(machine, machine->stack[target]);
    if (!takes_items(value, pairs) || (pairs && n % 2))
        return refuse(machine, "%s", pairs && n % 2 ? "a key without a value" : "the value takes no such "
                                                                                "items");
    if (!add_items(machine, value, machine->stack + first, n))
        return false;
    value->pairs = pairs;
    machine->n_stack = target + 1;
    return true;
}

/* One item, or one key and its value: n. */
static bool run_put_one(struct machine *machine, unsigned n)
{
    for (unsigned i = 0; i <= n; i++)
        if (machine->n_stack <= n || machine->stack[machine->n_stack - 1 - i] == MARK)
            return refuse(machine, "needs %u values, but the stack has fewer", n + 1);
    return put_items(machine, machine->n_stack - 1 - n, machine->n_stack - n, n == 2);
}

static bool run_put_all(struct machine *machine, unsigned n)
{
    uint32_t above;
    if (!find_mark(machine, &above))
        return false;
    if (above < 2)
        return refuse(machine, "the mark stands on nothing that could take items");
    return put_items(machine, above - 2, above, n == 2);
}

/* ---- the memo ------------------------------------------------------------ */

static bool memoize(struct machine *machine, uint64_t key)
{
    struct pickle_value *unused;
    uint32_t before = machine->memo_room;
    if (!top(machine, &unused))
        return false;
    if (key >= PICKLE_MAX_MEMO)
        return refuse(machine, "memo %llu, at most %d are kept", (unsigned long long)key, PICKLE_MAX_MEMO);
    if (!grow(machine, &machine->memo, &machine->memo_room, (uint32_t)key + 1, PICKLE_MAX_MEMO))
        return false;
    for (uint32_t i = before; i < machine->memo_room; i++)
        machine->memo[i] = PICKLE_NOTHING;
    machine->n_memoized += machine->memo[key] == PICKLE_NOTHING;
    machine->memo[key] = machine->stack[machine->n_stack - 1];
    return true;
}

static bool run_put(struct machine *machine, unsigned n)
{
    uint64_t key;
    return take_number(machine, n, &key) && memoize(machine, key);
}

static bool run_memoize(struct machine *machine, unsigned n)
{
    (void)n;
    return memoize(machine, machine->n_memoized);
}

static bool run_get(struct machine *machine, unsigned n)
{
    uint64_t key;
    if (!take_number(machine, n, &key))
        return false;
    if (key >= machine->memo_room || machine->memo[key] == PICKLE_NOTHING)
        return refuse(machine, "nothing was kept as memo %llu", (unsigned long long)key);
    return push(machine, machine->memo[key]);
}

/* ---- names and records --------------------------------------------------- */

static bool make_global(struct machine *machine, struct pickle_bytes module, struct pickle_bytes name)
{
    enum { LONGEST = 1000 };
    struct pickle_value *value;
    if (module.n > LONGEST || name.n > LONGEST)
        return refuse(machine, "a name of more than %d bytes", LONGEST);
    value = make(machine, PICKLE_GLOBAL);
    if (!value)
        return false;
    value->as.global.module = module.start;
    value->as.global.name = name.start;
    value->as.global.n_module = (uint32_t)module.n;
    value->as.global.n_name = (uint32_t)name.n;
    return true;
}

static bool run_global(struct machine *machine, unsigned n)
{
    struct pickle_bytes module, name;
    (void)n;
    return take_line(machine, &module) && take_line(machine, &name) && make_global(machine, module, name);
}

static bool run_stack_global(struct machine *machine, unsigned n)
{
    uint32_t module, name;
    (void)n;
    if (!pop(machine, &name) || !pop(machine, &module))
        return false;
    if (value_at(machine, module)->type != PICKLE_TEXT || value_at(machine, name)->type != PICKLE_TEXT)
        return refuse(machine, "needs the texts of a module and a name");
    return make_global(machine, value_at(machine, module)->as.bytes, value_at(machine, name)->as.bytes);
}

static bool make_record(struct machine *machine, enum pickle_type type, uint32_t callee, uint32_t arguments)
{
    struct pickle_value *value = make(machine, type);
    if (!value)
        return false;
    value->as.record.callee = callee;
    value->as.record.arguments = arguments;
    value->as.record.state = PICKLE_NOTHING;
    return nest(machine, value, arguments) && (callee == PICKLE_NOTHING || nest(machine, value, callee));
}

static bool may_call(const struct machine *machine, const struct pickle_value *callee)
{
    for (const struct pickle_callee *row = machine->callees; row->module; row++)
        if (pickle_is_global(callee, row->module, row->name))
            return true;
    return false;
}

static bool run_reduce(struct machine *machine, unsigned n)
{
    uint32_t callee, arguments;
    char text[200];
    (void)n;
    if (!pop(machine, &arguments) || !pop(machine, &callee))
        return false;
    if (value_at(machine, arguments)->type != PICKLE_TUPLE)
        return refuse(machine, "the arguments of a call are not a tuple");
    if (!may_call(machine, value_at(machine, callee)))
        return refuse(machine, "would call %s, which no weights need and is not done",
                      pickle_describe(machine->pickle, value_at(machine, callee), text, sizeof text));
    return make_record(machine, PICKLE_RECORD, callee, arguments);
}

/* An object of a class, n further things on the stack: its arguments, perhaps some by name. */
static bool run_new_object(struct machine *machine, unsigned n)
{
    uint32_t class, arguments, by_name;
    char text[200];
    if ((n == 2 && !pop(machine, &by_name)) || !pop(machine, &arguments) || !pop(machine, &class))
        return false;
    if (value_at(machine, class)->type != PICKLE_GLOBAL && value_at(machine,
                                                                    class)->type != PICKLE_PERSISTENT)
        return refuse(machine, "needs a class, found %s",
                      pickle_describe(machine->pickle, value_at(machine, class), text, sizeof text));
    return make_record(machine, PICKLE_RECORD, class, arguments);
}

static bool run_build(struct machine *machine, unsigned n)
{
    struct pickle_value *value;
    uint32_t state;
    (void)n;
    if (!pop(machine, &state) || !top(machine, &value))
        return false;
    if (value->type != PICKLE_RECORD)
        return refuse(machine, "puts a state into something that is no object");
    value->as.record.state = state;
    return nest(machine, value, state);
}

static bool run_persistent(struct machine *machine, unsigned n)
{
    uint32_t id;
    (void)n;
    return pop(machine, &id) && make_record(machine, PICKLE_PERSISTENT, PICKLE_NOTHING, id);
}

static bool run_stop(struct machine *machine, unsigned n)
{
    (void)n;
    machine->stopped = true;
    return pop(machine, &machine->pickle->root);
}

/* ---- the machine --------------------------------------------------------- */

static const struct opcode opcodes[256] = {
    [0x80] = {"PROTO", run_proto, 1},
    [0x95] = {"FRAME", run_frame, 8},
    ['.'] = {"STOP", run_stop, 0},
    ['N'] = {"NONE", run_none, 0},
    [0x88] = {"NEWTRUE", run_bool, 1},
    [0x89] = {"NEWFALSE", run_bool, 0},
    ['K'] = {"BININT1", run_int, 1},
    ['M'] = {"BININT2", run_int, 2},
    ['J'] = {"BININT", run_int, 4},
    [0x8a] = {"LONG1", run_long, 1},
    [0x8b] = {"LONG4", run_long, 4},
    ['G'] = {"BINFLOAT", run_float, 8},
    ['U'] = {"SHORT_BINSTRING", run_text, 1},
    ['T'] = {"BINSTRING", run_text, 4},
    [0x8c] = {"SHORT_BINUNICODE", run_text, 1},
    ['X'] = {"BINUNICODE", run_text, 4},
    [0x8d] = {"BINUNICODE8", run_text, 8},
    ['C'] = {"SHORT_BINBYTES", run_bytes, 1},
    ['B'] = {"BINBYTES", run_bytes, 4},
    [0x8e] = {"BINBYTES8", run_bytes, 8},
    [0x96] = {"BYTEARRAY8", run_bytes, 8},
    ['('] = {"MARK", run_mark, 0},
    ['0'] = {"POP", run_pop, 0},
    ['1'] = {"POP_MARK", run_pop_mark, 0},
    ['2'] = {"DUP", run_dup, 0},
    [')'] = {"EMPTY_TUPLE", run_empty, PICKLE_TUPLE},
    [']'] = {"EMPTY_LIST", run_empty, PICKLE_LIST},
    ['}'] = {"EMPTY_DICT", run_empty, PICKLE_DICT},
    [0x8f] = {"EMPTY_SET", run_empty, PICKLE_SET},
    ['t'] = {"TUPLE", run_collect, PICKLE_TUPLE},
    ['l'] = {"LIST", run_collect, PICKLE_LIST},
    ['d'] = {"DICT", run_collect, PICKLE_DICT},
    [0x91] = {"FROZENSET", run_collect, PICKLE_SET},
    [0x85] = {"TUPLE1", run_tuple, 1},
    [0x86] = {"TUPLE2", run_tuple, 2},
    [0x87] = {"TUPLE3", run_tuple, 3},
    ['a'] = {"APPEND", run_put_one, 1},
    ['s'] = {"SETITEM", run_put_one, 2},
    ['e'] = {"APPENDS", run_put_all, 1},
    [0x90] = {"ADDITEMS", run_put_all, 1},
    ['u'] = {"SETITEMS", run_put_all, 2},
    ['q'] = {"BINPUT", run_put, 1},
    ['r'] = {"LONG_BINPUT", run_put, 4},
    [0x94] = {"MEMOIZE", run_memoize, 0},
    ['h'] = {"BINGET", run_get, 1},
    ['j'] = {"LONG_BINGET", run_get, 4},
    ['c'] = {"GLOBAL", run_global, 0},
    [0x93] = {"STACK_GLOBAL", run_stack_global, 0},
    ['R'] = {"REDUCE", run_reduce, 0},
    [0x81] = {"NEWOBJ", run_new_object, 1},
    [0x92] = {"NEWOBJ_EX", run_new_object, 2},
    ['b'] = {"BUILD", run_build, 0},
    ['Q'] = {"BINPERSID", run_persistent, 0},
    ['I'] = {"INT", NULL, 0},
    ['L'] = {"LONG", NULL, 0},
    ['F'] = {"FLOAT", NULL, 0},
    ['S'] = {"STRING", NULL, 0},
    ['V'] = {"UNICODE", NULL, 0},
    ['p'] = {"PUT", NULL, 0},
    ['g'] = {"GET", NULL, 0},
    ['P'] = {"PERSID", NULL, 0},
    ['i'] = {"INST", NULL, 0},
    ['o'] = {"OBJ", NULL, 0},
    [0x82] = {"EXT1", NULL, 0},
    [0x83] = {"EXT2", NULL, 0},
    [0x84] = {"EXT4", NULL, 0},
    [0x97] = {"NEXT_BUFFER", NULL, 0},
    [0x98] = {"READONLY_BUFFER", NULL, 0},
};

static bool step(struct machine *machine)
{
    unsigned code;
    machine->opcode = NULL;
    machine->opcode_at = machine->at;
    if (machine->at == machine->n_bytes)
        return refuse(machine, "the pickle ends without STOP");
    code = machine->bytes[machine->at++];
    if (!opcodes[code].name)
        return refuse(machine, "opcode 0x%02x is unknown", code);
    machine->opcode = &opcodes[code];
    if (!machine->opcode->run)
        return refuse(machine, "is not read: no weights file needs it");
    return machine->opcode->run(machine, machine->opcode->n);
}

bool pickle_read(const uint8_t *bytes, size_t n_bytes, const struct pickle_callee *callees,
                 struct pickle *out, char *error, size_t n_error)
{
    struct machine machine = {.bytes = bytes, .n_bytes = n_bytes, .callees = callees, .pickle = out,
                              .error = error, .n_error = n_error};
    bool good = true;
    memset(out, 0, sizeof *out);
    while (good && !machine.stopped)
        good = step(&machine);
    free(machine.stack);
    free(machine.memo);
    out->n_bytes = machine.at;
    if (!good)
        pickle_free(out);
    return good;
}

void pickle_free(struct pickle *pickle)
{
    for (uint32_t i = 0; i < pickle->n_values; i++)
        free(pickle->values[i].items);
    free(pickle->values);
    memset(pickle, 0, sizeof *pickle);
}
