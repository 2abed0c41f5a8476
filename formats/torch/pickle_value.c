/* SPDX-License-Identifier: MIT
 *
 * Looking at what a pickle gave, see pickle.h.
 */
#include <stdio.h>
#include <string.h>

#include "formats/torch/pickle.h"

const struct pickle_value *pickle_get(const struct pickle *pickle, uint32_t index)
{
    return index < pickle->n_values ? &pickle->values[index] : NULL;
}

const struct pickle_value *pickle_item(const struct pickle *pickle, const struct pickle_value *value,
                                       uint32_t i)
{
    return value && i < value->n_items ? pickle_get(pickle, value->items[i]) : NULL;
}

static const struct pickle_value *find_pair(const struct pickle *pickle, const struct pickle_value *value,
                                            const char *key)
{
    for (uint32_t i = value->n_items / 2; i-- > 0;) /* as in Python the last one counts */
        if (pickle_is_text(pickle_item(pickle, value, 2 * i), key))
            return pickle_item(pickle, value, 2 * i + 1);
    return NULL;
}

const struct pickle_value *pickle_lookup(const struct pickle *pickle, const struct pickle_value *value,
                                         const char *key)
{
    const struct pickle_value *found = NULL, *state;
    if (!value)
        return NULL;
    if (value->type == PICKLE_DICT || (value->type == PICKLE_RECORD && value->pairs))
        found = find_pair(pickle, value, key);
    if (found || value->type != PICKLE_RECORD)
        return found;
    state = pickle_get(pickle, value->as.record.state);
    return state && state->type == PICKLE_DICT ? find_pair(pickle, state, key) : NULL;
}

bool pickle_is_text(const struct pickle_value *value, const char *text)
{
    size_t n = strlen(text);
    return value && value->type == PICKLE_TEXT && value->as.bytes.n == n &&
           memcmp(value->as.bytes.start, text, n) == 0;
}

bool pickle_is_global(const struct pickle_value *value, const char *module, const char *name)
{
    if (!value || value->type != PICKLE_GLOBAL)
        return false;
    return value->as.global.n_module == strlen(module) && value->as.global.n_name == strlen(name) &&
           memcmp(value->as.global.module, module, strlen(module)) == 0 &&
           memcmp(value->as.global.name, name, strlen(name)) == 0;
}

const struct pickle_value *pickle_callee_of(const struct pickle *pickle, const struct pickle_value *value)
{
    return value && value->type == PICKLE_RECORD ? pickle_get(pickle, value->as.record.callee) : NULL;
}

const char *pickle_describe(const struct pickle *pickle, const struct pickle_value *value, char *text,
                            size_t n_text)
{
    static const char *const names[] = {
        [PICKLE_NONE] = "None",        [PICKLE_BOOL] = "a truth value",   [PICKLE_INT] = "a whole number",
        [PICKLE_LONG] = "a whole number", [PICKLE_FLOAT] = "a number",    [PICKLE_TEXT] = "a text",
        [PICKLE_BYTES] = "bytes",      [PICKLE_TUPLE] = "a tuple",        [PICKLE_LIST] = "a list",
        [PICKLE_SET] = "a set",        [PICKLE_DICT] = "a dict",          [PICKLE_PERSISTENT] = "a storage",
    };
    if (value && value->type == PICKLE_RECORD)
        value = pickle_callee_of(pickle, value);
    if (!value)
        snprintf(text, n_text, "nothing");
    else if (value->type == PICKLE_GLOBAL)
        snprintf(text, n_text, "%.*s.%.*s", (int)value->as.global.n_module, value->as.global.module,
                 (int)value->as.global.n_name, value->as.global.name);
    else
        snprintf(text, n_text, "%s", value->type == PICKLE_RECORD ? "an object" : names[value->type]);
    return text;
}
