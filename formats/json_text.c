/* SPDX-License-Identifier: MIT
 *
 * JSON from strangers: bounded before it is parsed.
 */
#include "formats/json_text.h"

#include <stdio.h>
#include <string.h>

/* Position behind the string that starts at `i`; its escapes matter only where they
 * hide a quote. */
static size_t skip_string(const char *text, size_t n_bytes, size_t i)
{
    for (i++; i < n_bytes && text[i] != '"'; i++)
        if (text[i] == '\\')
            i++;
    return i;
}

/* Every value but the first follows one of [ { , : so counting them bounds the values. */
struct census {
    unsigned depth;
    size_t values;
};

static void count_char(struct census *census, char c)
{
    if (c == '[' || c == '{')
        census->depth++;
    else if ((c == ']' || c == '}') && census->depth > 0)
        census->depth--;
    if (c == '[' || c == '{' || c == ',' || c == ':')
        census->values++;
}

static bool within_limits(const char *text, size_t n_bytes, struct json_limits limits,
                          char *error, size_t n_error)
{
    struct census census = {0, 1};
    for (size_t i = 0; i < n_bytes; i++) {
        if (text[i] == '"') {
            i = skip_string(text, n_bytes, i);
            continue;
        }
        count_char(&census, text[i]);
        if (census.depth > limits.depth) {
            snprintf(error, n_error, "JSON byte %zu: nested deeper than %u", i, limits.depth);
            return false;
        }
        if (census.values > limits.values) {
            snprintf(error, n_error, "JSON byte %zu: more than %zu values", i, limits.values);
            return false;
        }
    }
    return true;
}

json_t *json_text_parse(const char *text, size_t n_bytes, struct json_limits limits,
                        char *error, size_t n_error)
{
    json_error_t failure;
    json_t *root;
    if (!within_limits(text, n_bytes, limits, error, n_error))
        return NULL;
    root = json_loadb(text, n_bytes, JSON_REJECT_DUPLICATES, &failure);
    if (!root && !failure.text[0]) /* it has words for all else */
        snprintf(error, n_error, "out of memory");
    else if (!root)
        snprintf(error, n_error, "JSON line %d, column %d: %s", failure.line, failure.column,
                 failure.text);
    return root;
}
