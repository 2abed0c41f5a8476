/* SPDX-License-Identifier: MIT
 *
 * Names replaced as the spec's "rename" says, whole or by their beginnings; what the file
 * says of modules follows them.
 */
#include "formats/torch/torch_names.h"

#include <stdlib.h>
#include <string.h>

enum { MAX_RENAME = 4096, MAX_PATTERNS = 256 /* each is tried on each tensor */ };

struct renaming {
    json_t *rename;
    json_t *used;     /* keys that met a tensor */
    json_t *prefixes; /* module before → module after */
    json_t *names;    /* names after, which own the texts of the new list */
    struct import_error *error;
};

static bool ends_in_star(const char *text)
{
    size_t n = strlen(text);
    return n && text[n - 1] == '*';
}

static bool check_rename(json_t *rename, struct import_error *error)
{
    const char *key;
    json_t *value;
    size_t n_patterns = 0;
    json_object_foreach(rename, key, value) {
        n_patterns += ends_in_star(key);
        if (ends_in_star(key) != ends_in_star(json_string_value(value)))
            return spec_fail(error, "$.rename.%.60s: a '*' must end both names or none", key);
    }
    if (json_object_size(rename) > MAX_RENAME || n_patterns > MAX_PATTERNS)
        return spec_fail(error, "$.rename: at most %d names are read, %d of them with a '*'", MAX_RENAME,
                         MAX_PATTERNS);
    return true;
}

/* The key that fits the name best: the name itself, else the longest beginning; NULL: none. */
static const char *find_key(const struct renaming *work, const char *name)
{
    const char *key, *best = NULL;
    json_t *unused;
    if (json_object_get(work->rename, name))
        return name;
    json_object_foreach(work->rename, key, unused) {
        size_t n = strlen(key) - 1;
        if (ends_in_star(key) && strncmp(key, name, n) == 0 && (!best || strlen(best) < n + 1))
            best = key;
    }
    return best;
}

/* The new name as a JSON string. */
static json_t *new_name(const struct renaming *work, const char *name)
{
    const char *key = find_key(work, name), *to;
    if (!key)
        return json_string(name);
    if (json_object_set_new(work->used, key, json_true()))
        return NULL;
    to = json_string_value(json_object_get(work->rename, key));
    if (!ends_in_star(key))
        return json_string(to);
    return json_sprintf("%.*s%s", (int)strlen(to) - 1, to, name + strlen(key) - 1);
}

static size_t prefix_length(const char *name)
{
    const char *dot = strrchr(name, '.');
    return dot ? (size_t)(dot - name) : 0;
}

static bool note_prefix(const struct renaming *work, const char *before, const char *after)
{
    json_t *from = json_stringn(before, prefix_length(before));
    json_t *to = json_stringn(after, prefix_length(after));
    bool good = from && to && json_object_set(work->prefixes, json_string_value(from), to) == 0;
    json_decref(from);
    json_decref(to);
    return good;
}

static bool rename_one(const struct renaming *work, struct named_tensor *tensor)
{
    json_t *name = new_name(work, tensor->name);
    const char *text = json_string_value(name);
    bool good;
    if (!name || !note_prefix(work, tensor->name, text)) {
        json_decref(name);
        return import_fail(work->error, "out of memory");
    }
    if (json_object_get(work->names, text)) {
        spec_fail(work->error, "$.rename: two tensors would be named '%.100s'", text);
        json_decref(name);
        return false;
    }
    good = json_object_set(work->names, text, name) == 0;
    tensor->name = json_string_value(json_object_get(work->names, text));
    json_decref(name); /* the object holds it */
    return good || import_fail(work->error, "out of memory");
}

static bool check_used(const struct renaming *work)
{
    const char *key;
    json_t *unused;
    json_object_foreach(work->rename, key, unused)
        if (!json_object_get(work->used, key))
            return spec_fail(work->error, "$.rename.%.60s: no tensor has that name", key);
    return true;
}

/* ---- facts --------------------------------------------------------------- */

static const char *module_after(const struct renaming *work, const char *module)
{
    const char *after = json_string_value(json_object_get(work->prefixes, module));
    return after ? after : module;
}

/* An object by module, under the modules' new names. */
static json_t *rename_keys(const struct renaming *work, json_t *object)
{
    json_t *out = json_object(), *value;
    const char *key;
    json_object_foreach(object, key, value) {
        if (out && json_object_set(out, module_after(work, key), value)) {
            json_decref(out);
            return NULL;
        }
    }
    return out;
}

static json_t *rename_list(const struct renaming *work, const json_t *list)
{
    json_t *out = json_array(), *name;
    size_t i;
    json_array_foreach(list, i, name) {
        if (out && json_array_append_new(out, json_string(module_after(work, json_string_value(name))))) {
            json_decref(out);
            return NULL;
        }
    }
    return out;
}

static bool rename_facts(const struct renaming *work, const json_t *facts, json_t **out)
{
    const json_t *order = json_object_get(facts, "order");
    *out = NULL;
    if (!facts)
        return true;
    *out = json_copy((json_t *)(uintptr_t)facts);
    return (*out &&
            !json_object_set_new(*out, "modules", rename_keys(work, json_object_get(facts, "modules"))) &&
            !json_object_set_new(*out, "behind", rename_keys(work, json_object_get(facts, "behind"))) &&
            (!order || !json_object_set_new(*out, "order", rename_list(work, order)))) ||
           import_fail(work->error, "out of memory");
}

/* ---- the list ------------------------------------------------------------ */

static void release_json(void *names)
{
    json_decref(names);
}

static bool rename_all(const struct renaming *work, const struct named_tensors *in, struct named_tensors *out)
{
    if (!check_rename(work->rename, work->error))
        return false;
    out->tensors = calloc(in->n_tensors + 1, sizeof *out->tensors);
    if (!out->tensors || !work->used || !work->prefixes || !work->names)
        return import_fail(work->error, "out of memory");
    out->n_tensors = in->n_tensors;
    for (size_t i = 0; i < in->n_tensors; i++) {
        out->tensors[i] = in->tensors[i];
        if (!rename_one(work, &out->tensors[i]))
            return false;
    }
    return check_used(work) && rename_facts(work, in->facts, &out->facts);
}

bool torch_rename(const struct named_tensors *in, const json_t *rename, struct named_tensors *out,
                  struct import_error *error)
{
    struct renaming work = {(json_t *)(uintptr_t)rename, json_object(), json_object(), json_object(), error};
    bool good;
    memset(out, 0, sizeof *out);
    out->owner = work.names;
    out->release = release_json;
    good = rename_all(&work, in, out);
    json_decref(work.used);
    json_decref(work.prefixes);
    if (!good)
        named_tensors_free(out);
    return good;
}
