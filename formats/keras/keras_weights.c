/* SPDX-License-Identifier: MIT
 *
 * Where the weights of each Keras layer are: by path (Keras 3, and the .keras files of
 * Keras 2) or in the lists that .h5 files have. See keras_internal.h.
 */
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "formats/keras/keras_internal.h"

/* ---- names --------------------------------------------------------------- */

void keras_snake_case(const char *class_name, char *out, size_t n_out)
{
    size_t n = 0;
    for (const char *at = class_name; *at && n + 2 < n_out; at++) {
        unsigned char c = (unsigned char)*at;
        bool begins = isupper(c) && at > class_name &&
                      (islower((unsigned char)at[-1]) || islower((unsigned char)at[1]));
        if (!isalnum(c) && c != '_')
            continue;
        if (begins)
            out[n++] = '_';
        out[n++] = (char)tolower(c);
    }
    out[n] = '\0';
}

static bool join(const struct keras_work *work, const char *above, const char *name, char out[KERAS_PATH])
{
    int n = snprintf(out, KERAS_PATH, "%s%s%s", above, *above ? "/" : "", name);
    if (n < 0 || n >= KERAS_PATH)
        return import_fail(work->error, "the path of '%.100s' is longer than %d bytes", name, KERAS_PATH);
    return true;
}

bool keras_place_below(const struct keras_work *work, const struct keras_place *place, const char *name,
                       struct keras_place *out)
{
    *out = *place;
    return place->list || join(work, place->path, name, out->path);
}

/* ---- counting ------------------------------------------------------------ */

static const json_t *entry_config(const json_t *entry)
{
    return json_object_get(entry, "config");
}

static const char *entry_class(const json_t *entry)
{
    const char *name = json_string_value(json_object_get(entry, "class_name"));
    return name ? name : "";
}

static void count_model(const json_t *config, unsigned nesting, unsigned *trained, unsigned *frozen)
{
    const json_t *layers = json_is_array(config) ? config : json_object_get(config, "layers");
    for (size_t i = 0; i < json_array_size(layers); i++)
        keras_count_weights(json_array_get(layers, i), nesting + 1, trained, frozen);
}

static void count_bidirectional(const json_t *config, unsigned nesting, unsigned *trained, unsigned *frozen)
{
    const json_t *forward = json_object_get(config, "layer");
    const json_t *backward = keras_has(config, "backward_layer") ? json_object_get(config, "backward_layer")
                                                                 : forward;
    keras_count_weights(forward, nesting + 1, trained, frozen);
    keras_count_weights(backward, nesting + 1, trained, frozen);
}

void keras_count_weights(const json_t *entry, unsigned nesting, unsigned *trained, unsigned *frozen)
{
    const char *class_name = entry_class(entry);
    const json_t *config = entry_config(entry);
    const struct keras_row *row = keras_row(class_name);
    unsigned more = 0, more_frozen = 0;
    if (nesting > KERAS_MAX_NESTING)
        return;
    if (keras_is_model(class_name))
        count_model(config, nesting, &more, &more_frozen);
    else if (strcmp(class_name, "Bidirectional") == 0)
        count_bidirectional(config, nesting, &more, &more_frozen);
    else if (strcmp(class_name, "TimeDistributed") == 0)
        keras_count_weights(json_object_get(config, "layer"), nesting + 1, &more, &more_frozen);
    else if (row && row->count)
        row->count(config, &more, &more_frozen);
    if (!keras_is_on(config, "trainable", true)) {
        more_frozen += more;
        more = 0;
    }
    *trained += more;
    *frozen += more_frozen;
}

/* ---- one layer ----------------------------------------------------------- */

static bool add_weight(const struct keras_work *work, struct keras_layer *layer,
                       const struct hdf5_array *array)
{
    if (layer->n_weights == KERAS_MAX_WEIGHTS)
        return keras_fail(work, layer, "it has more than %d weights", KERAS_MAX_WEIGHTS);
    layer->weights[layer->n_weights++] = array;
    return true;
}

/* PATH/vars/0, 1 … */
static bool add_vars(const struct keras_work *work, struct keras_layer *layer, const char *below)
{
    char path[KERAS_PATH + 40];
    for (unsigned i = 0;; i++) {
        const struct hdf5_array *array;
        snprintf(path, sizeof path, "%s/%s/%u", layer->place->path, below, i);
        array = hdf5_file_array(work->file, path);
        if (!array)
            return true;
        if (!add_weight(work, layer, array))
            return false;
    }
}

/* Files that Keras wrote as a whole say which layer a group is of. */
static bool check_name(const struct keras_work *work, const struct keras_layer *layer)
{
    char path[KERAS_PATH + 8];
    const struct hdf5_text *text;
    snprintf(path, sizeof path, "%s/vars", layer->place->path);
    text = hdf5_file_text(work->file, path, "name");
    if (!work->in_order || !text || text->n_strings != 1 || strcmp(text->strings[0], layer->name) == 0)
        return true;
    return keras_fail(work, layer, "its place in the weights, '%.120s', is that of '%.80s'",
                      layer->place->path,
                      text->strings[0]);
}

/* The next weights of a list: `n` of either kind. */
static bool take_listed(const struct keras_work *work, struct keras_layer *layer, size_t n, size_t *next,
                        size_t end)
{
    if (*next > end || n > end - *next)
        return keras_fail(work, layer, "the file has fewer weights for it than its configuration asks for");
    for (size_t i = 0; i < n; i++)
        if (!add_weight(work, layer, layer->place->list[(*next)++]))
            return false;
    return true;
}

static bool find_listed(const struct keras_work *work, struct keras_layer *layer, unsigned trained,
                        unsigned frozen)
{
    const struct keras_place *place = layer->place;
    if (!keras_is_on(layer->config, "trainable", true)) {
        frozen += trained;
        trained = 0;
    }
    return take_listed(work, layer, trained, place->next, place->n_list) &&
           take_listed(work, layer, frozen, place->next_frozen, place->n_list);
}

bool keras_find_weights(struct keras_work *work, const struct keras_row *row, struct keras_layer *layer)
{
    unsigned trained = 0, frozen = 0;
    layer->n_weights = 0;
    if (row->count)
        row->count(layer->config, &trained, &frozen);
    if (layer->place->list)
        return find_listed(work, layer, trained, frozen);
    if (!add_vars(work, layer, "vars") || !add_vars(work, layer, "cell/vars") || !check_name(work, layer))
        return false;
    if (layer->n_weights != trained + frozen)
        return keras_fail(work, layer,
                          "the file has %u weights for it (in '%.150s'), its configuration asks for "
                          "%u", layer->n_weights, layer->place->path, trained + frozen);
    return true;
}

/* ---- the outermost model ------------------------------------------------- */

static const char *const containers[] = {"layers", "_layer_checkpoint_dependencies"};

bool keras_find_top(const struct keras_work *work, struct keras_top *top)
{
    *top = (struct keras_top){.root = ""};
    if (hdf5_file_has_group(work->file, "model_weights"))
        top->root = "model_weights";
    top->lists = *top->root || hdf5_file_text(work->file, "", "layer_names") ||
                 hdf5_file_text(work->file, "", "layer_names0");
    for (size_t i = 0; !top->lists && i < sizeof containers / sizeof *containers; i++) {
        if (hdf5_file_has_group(work->file, containers[i])) {
            top->root = containers[i];
            return true;
        }
    }
    return top->lists || work->file->n_arrays == 0 ||
           import_fail(work->error,
                       "the HDF5 file has arrays ('%.100s' …), but neither the list layer_names nor "
                       "a group 'layers': Keras did not make it", work->file->arrays[0].path);
}

/* The names in weight_names, or in weight_names0, weight_names1 … where it was too long. */
static const struct hdf5_text *names_part(const struct keras_work *work, const char *path, unsigned part)
{
    char name[40];
    const struct hdf5_text *text = part ? NULL : hdf5_file_text(work->file, path, "weight_names");
    if (text)
        return text;
    if (part && hdf5_file_text(work->file, path, "weight_names"))
        return NULL;
    snprintf(name, sizeof name, "weight_names%u", part);
    return hdf5_file_text(work->file, path, name);
}

static bool list_weights(const struct keras_work *work, const char *path, struct keras_place *out)
{
    const struct hdf5_text *text;
    for (unsigned part = 0; (text = names_part(work, path, part)) != NULL; part++) {
        const struct hdf5_array **list = realloc(out->list,
                                                 (out->n_list + text->n_strings + 1) * sizeof *list);
        if (!list)
            return keras_out_of_memory(work);
        out->list = list;
        for (uint32_t i = 0; i < text->n_strings; i++) {
            char whole[KERAS_PATH];
            if (!join(work, path, text->strings[i], whole))
                return false;
            list[out->n_list] = hdf5_file_array(work->file, whole);
            if (!list[out->n_list++])
                return import_fail(work->error, "'%.150s' is in the list of weights, but not in the file",
                                   whole);
        }
    }
    return true;
}

bool keras_top_place(const struct keras_work *work, struct keras_top *top, const json_t *entry,
                     struct keras_place *out)
{
    const char *name = json_string_value(json_object_get(entry_config(entry), "name"));
    unsigned trained = 0, frozen = 0;
    if (!name)
        name = json_string_value(json_object_get(entry, "name"));
    *out = (struct keras_place){.path = ""};
    if (!join(work, top->root, name ? name : "", out->path) || !list_weights(work, out->path, out))
        return free(out->list), false;
    if (!out->list && !(out->list = calloc(1, sizeof *out->list)))
        return keras_out_of_memory(work);
    keras_count_weights(entry, 0, &trained, &frozen);
    top->list = out->list;
    top->next = 0;
    top->next_frozen = trained;
    out->next = &top->next;
    out->next_frozen = &top->next_frozen;
    if (out->n_list == (size_t)trained + frozen)
        return true;
    import_fail(work->error,
                "layer '%.80s' (%.60s): the file has %zu weights for it, its configuration asks for "
                "%u%s", name ? name : "", entry_class(entry), out->n_list, trained + frozen,
                out->n_list == 12 ? " (12 are what Keras 1 wrote, which is not supported)" : "");
    free(out->list);
    return false;
}

/* ---- nothing is left out ------------------------------------------------- */

bool keras_check_all_used(const struct keras_work *work)
{
    for (size_t i = 0; i < work->file->n_arrays; i++) {
        const struct hdf5_array *array = &work->file->arrays[i];
        /* The states of random generators, which only training uses. */
        if (!work->used[i] && !strstr(array->path, "seed_generator"))
            return import_fail(work->error,
                               "the array '%.200s' is in the file, but belongs to no layer of the "
                               "model", array->path);
    }
    return true;
}
