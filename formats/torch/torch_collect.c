/* SPDX-License-Identifier: MIT
 *
 * From a pickle's values to a list of named tensors: which of its dicts or modules is the
 * model, and the tensors in it with the names that state_dict() gives them.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "formats/torch/torch_collect.h"
#include "formats/utf8.h"

enum {
    MAX_SEARCH_DEPTH = 8,  /* dicts inside dicts, when the model is looked for */
    MAX_SEARCH = 1 << 23,  /* values and their items looked at */
    MAX_LISTED = 64,       /* longest list or tuple that is searched */
    MAX_CANDIDATES = 16,
    MAX_KEY = 200,
};

bool torch_key_text(const struct pickle_value *key, char *text, size_t n_text)
{
    size_t at;
    if (!key || key->type != PICKLE_TEXT || key->as.bytes.n >= n_text)
        return false;
    memcpy(text, key->as.bytes.start, key->as.bytes.n);
    text[key->as.bytes.n] = '\0';
    return utf8_check((const uint8_t *)text, key->as.bytes.n, false, &at) == UTF8_OK;
}

/* ---- the list ------------------------------------------------------------ */

static void release(void *owner)
{
    struct torch_names *names = owner;
    for (size_t i = 0; i < names->n; i++)
        free(names->texts[i]);
    free(names->texts);
    free(names);
}

static bool make_room(struct torch_collector *work)
{
    size_t room = work->room ? 2 * work->room : 64;
    struct named_tensor *tensors;
    char **texts;
    if (work->out->n_tensors < work->room)
        return true;
    if (work->room >= NAMED_MAX_TENSORS)
        return import_fail(work->error, "more than %d tensors", NAMED_MAX_TENSORS);
    tensors = realloc(work->out->tensors, room * sizeof *tensors);
    if (tensors)
        work->out->tensors = tensors;
    texts = tensors ? realloc(work->names->texts, room * sizeof *texts) : NULL;
    if (texts)
        work->names->texts = texts;
    if (!texts)
        return import_fail(work->error, "out of memory");
    work->room = room;
    return true;
}

/* A model cannot have more numbers than its file has bytes, unless tensors of a hostile file all
 * lie in one storage. */
static bool check_sum(struct torch_collector *work, const struct named_tensor *tensor)
{
    enum { SPARE = 1 << 16 };
    uint64_t most = 4 * (uint64_t)work->file->n_bytes + SPARE;
    if (!__builtin_add_overflow(work->n_numbers, tensor->count, &work->n_numbers) && work->n_numbers <= most)
        return true;
    return import_fail(work->error, "tensor '%s': with it the tensors have more than %llu numbers together, "
                                    "too "
                       "many for a file of %zu bytes", tensor->name, (unsigned long long)most,
                       work->file->n_bytes);
}

bool torch_collect_tensor(struct torch_collector *work, const char *name, const struct pickle_value *value)
{
    struct named_tensor *tensor;
    char *copy;
    if (!make_room(work))
        return false;
    copy = malloc(strlen(name) + 1);
    if (!copy)
        return import_fail(work->error, "out of memory");
    strcpy(copy, name);
    work->names->texts[work->names->n++] = copy;
    tensor = &work->out->tensors[work->out->n_tensors++];
    return torch_tensor_of(work->file, value, copy, tensor, work->error) && check_sum(work, tensor);
}

static bool collect_dict(struct torch_collector *work, const struct pickle_value *dict)
{
    const struct pickle *pickle = &work->file->pickle;
    for (uint32_t i = 0; i + 1 < dict->n_items; i += 2) {
        char name[TORCH_MAX_NAME];
        if (!torch_key_text(pickle_item(pickle, dict, i), name, sizeof name))
            return import_fail(work->error, "the dict at byte %zu of the pickle has a key that is no name",
                               dict->offset);
        if (!torch_collect_tensor(work, name, pickle_item(pickle, dict, i + 1)))
            return false;
    }
    return true;
}

/* ---- which dict ---------------------------------------------------------- */

static bool has_pairs(const struct pickle_value *value)
{
    return value && (value->type == PICKLE_DICT || (value->type == PICKLE_RECORD && value->pairs));
}

/* All of them, and at least one. */
static bool holds_only_tensors(const struct torch_file *file, const struct pickle_value *value)
{
    if (!has_pairs(value) || value->n_items < 2)
        return false;
    for (uint32_t i = 0; i + 1 < value->n_items; i += 2)
        if (pickle_item(&file->pickle, value, i)->type != PICKLE_TEXT ||
            !torch_is_tensor(file, pickle_item(&file->pickle, value, i + 1)))
            return false;
    return true;
}

struct search {
    const struct torch_file *file;
    size_t n_seen;
    size_t n_found;
    const struct pickle_value *found;
    char keys[MAX_CANDIDATES][MAX_KEY];
};

static void search(struct search *work, const struct pickle_value *value, const char *key, unsigned depth);

static void search_inside(struct search *work, const struct pickle_value *value, const char *key,
                          unsigned depth)
{
    const struct pickle *pickle = &work->file->pickle;
    bool pairs = has_pairs(value);
    bool listed = (value->type == PICKLE_LIST || value->type == PICKLE_TUPLE) && value->n_items <= MAX_LISTED;
    for (uint32_t i = 0; (pairs || listed) && i < value->n_items; i += 1 + pairs) {
        char name[MAX_KEY / 2], path[MAX_KEY];
        if (!pairs)
            snprintf(name, sizeof name, "%u", i);
        else if (!torch_key_text(pickle_item(pickle, value, i), name, sizeof name))
            continue;
        if (snprintf(path, sizeof path, "%s%s%s", key, *key ? "." : "", name) >= (int)sizeof path)
            continue;
        search(work, pickle_item(pickle, value, i + pairs), path, depth + 1);
    }
}

static void search(struct search *work, const struct pickle_value *value, const char *key, unsigned depth)
{
    if (!value || depth > MAX_SEARCH_DEPTH || work->n_seen > MAX_SEARCH)
        return;
    work->n_seen += 1 + value->n_items;
    if (!holds_only_tensors(work->file, value) && !torch_is_module(work->file, value)) {
        search_inside(work, value, key, depth);
        return;
    }
    if (value == work->found)
        return; /* the same under another key */
    if (work->n_found < MAX_CANDIDATES)
        snprintf(work->keys[work->n_found], MAX_KEY, "%s", key);
    work->found = value;
    work->n_found++;
}

static bool refuse_many(const struct search *work, struct import_error *error)
{
    char list[400] = "";
    size_t used = 0;
    for (size_t i = 0; i < work->n_found && i < MAX_CANDIDATES && used < sizeof list; i++)
        used += (size_t)snprintf(list + used, sizeof list - used, "%s%s", i ? ", " : "", work->keys[i]);
    return import_fail(error, "several dicts in the file have tensors; choose one with --key: %.350s%s", list,
                       work->n_found > MAX_CANDIDATES ? ", …" : "");
}

/* What a dict without a model does have. */
static bool refuse_none(const struct torch_file *file, const struct pickle_value *root,
                        struct import_error *error)
{
    char list[300] = "", text[80];
    size_t used = 0;
    for (uint32_t i = 0; has_pairs(root) && i + 1 < root->n_items && used < sizeof list - 100; i += 2) {
        char name[60];
        if (torch_key_text(pickle_item(&file->pickle, root, i), name, sizeof name))
            used += (size_t)snprintf(list + used, sizeof list - used, "%s%s (%s)", used ? ", " : "; it has ",
                                     name,
                                     pickle_describe(&file->pickle, pickle_item(&file->pickle, root, i + 1),
                                                     text,
                                                     sizeof text));
    }
    return import_fail(error, "no dict in the file has tensors for all its values, and none is a module; "
                              "found %s%s",
                       pickle_describe(&file->pickle, root, text, sizeof text), list);
}

static bool find_model(const struct torch_file *file, const struct pickle_value *root,
                       const struct pickle_value **out, struct import_error *error)
{
    struct search work = {.file = file};
    search(&work, root, "", 0);
    if (work.n_found > 1)
        return refuse_many(&work, error);
    *out = work.found;
    return work.n_found == 1 || refuse_none(file, root, error);
}

/* ---- --key --------------------------------------------------------------- */

/* The longest key of the dict that `path` begins with; *n_out of its bytes. */
static const struct pickle_value *follow(const struct torch_file *file, const struct pickle_value *value,
                                         const char *path, size_t *n_out)
{
    const struct pickle *pickle = &file->pickle;
    const struct pickle_value *found = NULL, *inside = value;
    *n_out = 0;
    if (value->type == PICKLE_LIST || value->type == PICKLE_TUPLE) {
        char *end;
        unsigned long index = strtoul(path, &end, 10);
        *n_out = (size_t)(end - path);
        return *n_out && index < value->n_items ? pickle_item(pickle, value, (uint32_t)index) : NULL;
    }
    if (!has_pairs(value))
        inside = value->type == PICKLE_RECORD ? torch_attributes(file, value) : NULL;
    for (uint32_t i = 0; has_pairs(inside) && i + 1 < inside->n_items; i += 2) {
        char name[TORCH_MAX_NAME];
        size_t n;
        if (!torch_key_text(pickle_item(pickle, inside, i), name, sizeof name))
            continue;
        n = strlen(name);
        if (n > *n_out && strncmp(path, name, n) == 0 && (path[n] == '\0' || path[n] == '.')) {
            *n_out = n;
            found = pickle_item(pickle, inside, i + 1);
        }
    }
    return found ? found : torch_submodule(file, value, path, n_out);
}

static bool follow_key(const struct torch_file *file, const struct pickle_value *root, const char *key,
                       const struct pickle_value **out, struct import_error *error)
{
    const char *path = key;
    size_t n;
    *out = root;
    while (*path) {
        *out = follow(file, *out, path, &n);
        if (!*out)
            return import_fail(error, "--key %.100s: nothing in the file has the key '%.100s'", key, path);
        path += n;
        path += *path == '.';
    }
    return true;
}

/* ---- common prefixes ----------------------------------------------------- */

/* What wrappers of a model put before all names. */
static const char *const wrappers[] = {"module.", "_orig_mod.", "model."};

static bool all_begin_with(const struct named_tensors *tensors, const char *prefix)
{
    for (size_t i = 0; i < tensors->n_tensors; i++)
        if (strncmp(tensors->tensors[i].name, prefix, strlen(prefix)) != 0)
            return false;
    return tensors->n_tensors > 0;
}

static void strip_wrappers(struct named_tensors *tensors)
{
    for (size_t i = 0; i < sizeof wrappers / sizeof *wrappers; i++) {
        if (!all_begin_with(tensors, wrappers[i]))
            continue;
        for (size_t j = 0; j < tensors->n_tensors; j++)
            tensors->tensors[j].name += strlen(wrappers[i]);
        i = (size_t)-1; /* a wrapper may be wrapped: from the start again */
    }
}

/* The file's order of definition: modules as their tensors come. */
static bool set_order(const struct named_tensors *tensors, struct torch_collector *work)
{
    json_t *order = json_array(), *seen = json_object();
    bool good = order && seen;
    for (size_t i = 0; good && i < tensors->n_tensors; i++) {
        const char *name = tensors->tensors[i].name, *dot = strrchr(name, '.');
        json_t *prefix = json_stringn(name, dot ? (size_t)(dot - name) : 0);
        good = prefix != NULL;
        if (good && !json_object_get(seen, json_string_value(prefix)))
            good = json_object_set_new(seen, json_string_value(prefix), json_true()) == 0 &&
                   json_array_append(order, prefix) == 0;
        json_decref(prefix);
    }
    good = good && json_object_set(work->out->facts, "order", order) == 0;
    json_decref(order);
    json_decref(seen);
    return good || import_fail(work->error, "out of memory");
}

/* ---- the whole ----------------------------------------------------------- */

static bool check_twice(const struct named_tensors *tensors, struct import_error *error)
{
    json_t *seen = json_object();
    bool good = seen != NULL;
    for (size_t i = 0; good && i < tensors->n_tensors; i++) {
        const char *name = tensors->tensors[i].name;
        if (json_object_get(seen, name)) {
            json_decref(seen);
            return import_fail(error, "two tensors are named '%s'", name);
        }
        good = json_object_set_new(seen, name, json_true()) == 0;
    }
    json_decref(seen);
    return good || import_fail(error, "out of memory");
}

static bool collect(struct torch_collector *work, const struct pickle_value *model)
{
    bool module = torch_is_module(work->file, model);
    if (!(module ? torch_collect_module(work, model) : collect_dict(work, model)) ||
        !check_twice(work->out, work->error))
        return false;
    if (!module)
        strip_wrappers(work->out);
    return work->file->form == TORCH_PICKLE || set_order(work->out, work);
}

bool torch_collect(struct torch_file *file, const char *key, struct named_tensors *out,
                   struct import_error *error)
{
    const struct pickle_value *model = pickle_get(&file->pickle, file->pickle.root);
    struct torch_collector work = {.file = file, .out = out, .error = error};
    bool good;
    memset(out, 0, sizeof *out);
    work.names = calloc(1, sizeof *work.names);
    if (!work.names)
        return import_fail(error, "out of memory");
    out->owner = work.names;
    out->release = release;
    out->facts = json_pack("{s:{}, s:{}, s:[]}", "modules", "behind", "unplaced");
    good = out->facts ? true : import_fail(error, "out of memory");
    good = good && (!key || follow_key(file, model, key, &model, error)) &&
           find_model(file, model, &model, error) && collect(&work, model);
    if (!good)
        named_tensors_free(out);
    return good;
}
