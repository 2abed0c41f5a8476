/* SPDX-License-Identifier: MIT
 *
 * Python's pickles, read and never obeyed: what a pickle would import, call or build
 * becomes inert records. For weights files; whoever reads one decides what records mean.
 */
#ifndef LSTMRUN_FORMATS_PICKLE_H
#define LSTMRUN_FORMATS_PICKLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    PICKLE_MAX_VALUES = 1 << 20,
    PICKLE_MAX_ITEMS = 1 << 22, /* of all tuples, lists, dicts and sets together */
    PICKLE_MAX_STACK = 1 << 20,
    PICKLE_MAX_MEMO = 1 << 20,
    PICKLE_MAX_DEPTH = 1000,    /* values inside values, as they are built */
};

enum pickle_type {
    PICKLE_NONE,
    PICKLE_BOOL,       /* integer */
    PICKLE_INT,        /* integer */
    PICKLE_LONG,       /* an integer beyond 64 bits: bytes, little-endian two's complement */
    PICKLE_FLOAT,      /* number */
    PICKLE_TEXT,       /* bytes: UTF-8, unchecked; of old Pythons any bytes */
    PICKLE_BYTES,      /* bytes */
    PICKLE_TUPLE,      /* items */
    PICKLE_LIST,       /* items */
    PICKLE_SET,        /* items */
    PICKLE_DICT,       /* items: key, value, key, value … */
    PICKLE_GLOBAL,     /* the name of something in a Python module */
    PICKLE_RECORD,     /* a call not made: callee, arguments, then state and items put into it */
    PICKLE_PERSISTENT, /* what the file keeps elsewhere: arguments is its id */
};

/* Values are known by their number in the pickle. */
#define PICKLE_NOTHING UINT32_MAX

struct pickle_bytes {
    const char *start; /* inside the pickle */
    size_t n;
};

struct pickle_value {
    uint8_t type;
    bool pairs;      /* a record whose items are key, value, … */
    uint16_t depth;
    uint32_t n_items, room;
    uint32_t *items;
    size_t offset;   /* where in the pickle it was made */
    union {
        int64_t integer;
        double number;
        struct pickle_bytes bytes;
        struct { const char *module, *name; uint32_t n_module, n_name; } global;
        struct { uint32_t callee, arguments, state; } record; /* state: or PICKLE_NOTHING */
    } as;
};

/* What a pickle may call, that is: what its reader understands. */
struct pickle_callee {
    const char *module, *name; /* the last row's are NULL */
};

struct pickle {
    struct pickle_value *values;
    uint32_t n_values, room;
    uint32_t n_items; /* of all values */
    uint32_t root;
    size_t n_bytes;   /* from PROTO to STOP */
};

/* Read one pickle at the start of `bytes`, which must stay. False: `error` (of `n_error`
 * bytes) names the opcode and its offset; nothing is left to free. */
bool pickle_read(const uint8_t *bytes, size_t n_bytes, const struct pickle_callee *callees,
                 struct pickle *out, char *error, size_t n_error);
void pickle_free(struct pickle *pickle);

const struct pickle_value *pickle_get(const struct pickle *pickle, uint32_t index);

/* Item i of a tuple, list or set; a value with fewer items: NULL. */
const struct pickle_value *pickle_item(const struct pickle *pickle, const struct pickle_value *value,
                                       uint32_t i);

/* What a dict, or the pairs or the state of a record, has under the text `key`; NULL: nothing. */
const struct pickle_value *pickle_lookup(const struct pickle *pickle, const struct pickle_value *value,
                                         const char *key);

bool pickle_is_text(const struct pickle_value *value, const char *text);
bool pickle_is_global(const struct pickle_value *value, const char *module, const char *name);

/* The callee of a record; NULL for other values. */
const struct pickle_value *pickle_callee_of(const struct pickle *pickle, const struct pickle_value *value);

/* For people: "a tuple", "torch.nn.modules.rnn.LSTM". */
const char *pickle_describe(const struct pickle *pickle, const struct pickle_value *value, char *text,
                            size_t n_text);

#endif
