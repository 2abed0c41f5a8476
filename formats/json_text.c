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
static bool within_limits(const char *text, size_t n_bytes, struct json_limits limits,
                          char *error, size_t n_error)
{
    size_t n_values = 1;
    unsigned depth = 0;
    for (size_t i = 0; i < n_bytes; i++) {
        char c = text[i];
        if (c == '"') {
            i = skip_string(text, n_bytes, i);
            continue;
        }
        if (c == '[' || c == '{')
            depth++;
        else if ((c == ']' || c == '}') && depth > 0)
            depth--;
        if (strchr("[{,:", c) && c)
            n_values++;
        if (depth > limits.depth) {
            snprintf(error, n_error, "JSON byte %zu: nested deeper than %u", i, limits.depth);
            return false;
        }
        if (n_values > limits.values) {
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
