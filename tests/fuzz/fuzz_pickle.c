/* SPDX-License-Identifier: MIT
 *
 * Fuzz target: the reader of pickles. What it accepts holds together: every value that
 * another names is there, every text lies inside the input, and the limits were kept.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "formats/torch/pickle.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const struct pickle_callee callees[] = {
    {"collections", "OrderedDict"}, {"torch._utils", "_rebuild_tensor_v2"}, {"numpy", "dtype"}, {NULL, NULL}};

static void demand(bool holds, const char *what)
{
    if (!holds) {
        fprintf(stderr, "pickle: %s\n", what);
        abort();
    }
}

static void check_value(const struct pickle *pickle, const struct pickle_value *value, const uint8_t *data,
                        size_t size)
{
    const char *first = (const char *)data, *end = first + size;
    char text[40];
    for (uint32_t i = 0; i < value->n_items; i++)
        demand(value->items[i] < pickle->n_values, "an item that is not there");
    if (value->type == PICKLE_TEXT || value->type == PICKLE_BYTES || value->type == PICKLE_LONG)
        demand(value->as.bytes.start >= first && value->as.bytes.n <= (size_t)(end - value->as.bytes.start),
               "a text outside");
    if (value->type == PICKLE_RECORD || value->type == PICKLE_PERSISTENT)
        demand(value->as.record.arguments < pickle->n_values, "arguments that are not there");
    if (value->type == PICKLE_RECORD)
        demand(pickle_callee_of(pickle, value) != NULL, "a record of nothing");
    demand(value->depth <= PICKLE_MAX_DEPTH && value->type <= PICKLE_PERSISTENT, "a limit was not kept");
    pickle_lookup(pickle, value, "storage");
    demand(*pickle_describe(pickle, value, text, sizeof text) != '\0', "nothing to say of a value");
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct pickle pickle;
    char error[300] = "";
    if (!pickle_read(data, size, callees, &pickle, error, sizeof error)) {
        demand(error[0] != '\0', "refused without a sentence");
        return 0;
    }
    demand(pickle.n_bytes <= size && pickle.root < pickle.n_values, "an end beyond the end");
    demand(pickle.n_values <= PICKLE_MAX_VALUES && pickle.n_items <= PICKLE_MAX_ITEMS, "too many values");
    for (uint32_t i = 0; i < pickle.n_values; i++)
        check_value(&pickle, &pickle.values[i], data, size);
    pickle_free(&pickle);
    return 0;
}
