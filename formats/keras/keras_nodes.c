/* SPDX-License-Identifier: MIT
 *
 * The edges of a functional Keras model: who reads whose output, as Keras 2 and Keras 3
 * write it ("inbound_nodes"). See keras_internal.h.
 */
#include <stdlib.h>
#include <string.h>

#include "formats/keras/keras_internal.h"

enum { MAX_ARGUMENTS = 64, MAX_LIST_DEPTH = 4 };

struct reader {
    const struct keras_work *work;
    json_t *indices; /* name of a layer: its index */
    const json_t *layers;
    const struct keras_layer *layer; /* whose node is read, for sentences */
    struct keras_node *node;
    bool sees_mask; /* what is read now is the argument "mask" */
};

/* ---- arguments ----------------------------------------------------------- */

static bool add_argument(struct reader *reader, struct keras_argument argument)
{
    struct keras_node *node = reader->node;
    struct keras_argument *more;
    if (reader->sees_mask) {
        if (!argument.is_tensor || node->has_mask)
            return keras_fail(reader->work, reader->layer, "its mask is no single tensor");
        node->has_mask = true;
        node->mask = argument.layer;
        return true;
    }
    if (node->n_arguments == MAX_ARGUMENTS)
        return keras_fail(reader->work, reader->layer, "it has more than %d inputs", MAX_ARGUMENTS);
    more = realloc(node->arguments, (node->n_arguments + 1) * sizeof *more);
    if (!more)
        return keras_out_of_memory(reader->work);
    node->arguments = more;
    more[node->n_arguments++] = argument;
    return true;
}

/* The number of a layer's first call: Keras 2 counts a model's making of itself as a call. */
static bool is_first_call(const json_t *entry, json_int_t call)
{
    const char *class_name = json_string_value(json_object_get(entry, "class_name"));
    return call == 0 || (call == 1 && class_name && keras_is_model(class_name));
}

/* ["name", which call, which output]: always the first of both. */
static bool find_source(const struct keras_work *work, const struct keras_layer *layer, const json_t *indices,
                        const json_t *layers, const json_t *history, size_t *index_out)
{
    const char *name = json_string_value(json_array_get(history, 0));
    const json_t *index = name ? json_object_get(indices, name) : NULL;
    const json_t *call = json_array_get(history, 1);
    if (!index)
        return keras_fail(work, layer, "reads from '%.80s', which is no layer of the model",
                          name ? name : "(no name)");
    if (!is_first_call(json_array_get(layers, (size_t)json_integer_value(index)), json_integer_value(call)))
        return keras_fail(work, layer, "'%.80s' is used more than once; shared layers are not supported",
                          name);
    if (json_integer_value(json_array_get(history, 2)) != 0)
        return keras_fail(work, layer, "reads output %d of '%.80s' (a state, as a rule); only the first is "
                          "supported", (int)json_integer_value(json_array_get(history, 2)), name);
    *index_out = (size_t)json_integer_value(index);
    return true;
}

static bool add_source(struct reader *reader, const json_t *history)
{
    struct keras_argument argument = {.is_tensor = true};
    return find_source(reader->work, reader->layer, reader->indices, reader->layers, history,
                       &argument.layer) &&
           add_argument(reader, argument);
}

static bool add_value(struct reader *reader, const json_t *value, unsigned depth)
{
    const char *class_name = json_string_value(json_object_get(value, "class_name"));
    size_t i;
    json_t *item;
    if (json_is_null(value) || json_is_boolean(value)) /* training=…, mask=None */
        return true;
    if (json_is_number(value))
        return add_argument(reader, (struct keras_argument){.number = json_number_value(value)});
    if (class_name && strcmp(class_name, "__keras_tensor__") == 0)
        return add_source(reader, json_object_get(json_object_get(value, "config"), "keras_history"));
    if (!json_is_array(value) || depth > MAX_LIST_DEPTH)
        return keras_fail(reader->work, reader->layer, "it is called with something that is no tensor and no "
                          "number");
    json_array_foreach(value, i, item)
        if (!add_value(reader, item, depth + 1))
            return false;
    return true;
}

/* Arguments by name: a mask is read; "training" has no effect; what shapes results of
 * operations is looked at by those. */
static bool add_named(struct reader *reader, const json_t *named)
{
    const char *key;
    json_t *value;
    bool good = true;
    json_object_foreach((json_t *)named, key, value) {
        if (strcmp(key, "mask") == 0 && json_is_null(value))
            reader->node->no_mask = true;
        if (json_is_null(value) || json_is_boolean(value) || strcmp(key, "axis") == 0)
            continue;
        if (strcmp(key, "mask") != 0)
            return keras_fail(reader->work, reader->layer,
                              "it is called with \"%.60s\", which is not supported",
                              key);
        reader->sees_mask = true;
        good = json_is_string(json_array_get(value, 0)) ? add_source(reader, value) : add_value(reader,
                                                                                                value, 0);
        reader->sees_mask = false;
        if (!good)
            return false;
    }
    return true;
}

/* Keras 2: [["name", 0, 0, {…}], …]. */
static bool read_list(struct reader *reader, const json_t *node)
{
    size_t i;
    json_t *source;
    if (json_is_string(json_array_get(node, 0)))
        return add_source(reader, node) && add_named(reader, json_array_get(node, 3));
    json_array_foreach(node, i, source)
        if (!json_is_array(source) || !add_source(reader, source) ||
            !add_named(reader, json_array_get(source, 3)))
            return json_is_array(source) ? false : keras_fail(reader->work, reader->layer,
                                                              "its inbound_nodes are "
                                                              "no list of tensors");
    return true;
}

static bool read_node(struct reader *reader, const json_t *entry)
{
    const json_t *nodes = json_object_get(entry, "inbound_nodes");
    const json_t *node = json_array_get(nodes, 0);
    if (json_array_size(nodes) > 1)
        return keras_fail(reader->work, reader->layer,
                          "it is used %zu times; shared layers are not supported",
                          json_array_size(nodes));
    if (!node)
        return true;
    if (json_is_array(node))
        return read_list(reader, node);
    return add_value(reader, json_object_get(node, "args") ? json_object_get(node, "args") : json_null(),
                     0) &&
           add_named(reader, json_object_get(node, "kwargs"));
}

/* ---- all layers ---------------------------------------------------------- */

static const char *entry_name(const json_t *entry)
{
    const char *name = json_string_value(json_object_get(entry, "name"));
    return name ? name : json_string_value(json_object_get(json_object_get(entry, "config"), "name"));
}

static json_t *index_names(const struct keras_work *work, const json_t *layers)
{
    json_t *indices = json_object();
    for (size_t i = 0; indices && i < json_array_size(layers); i++) {
        const char *name = entry_name(json_array_get(layers, i));
        if (!name || json_object_get(indices, name)) {
            import_fail(work->error, "$.config.layers[%zu]: %s", i,
                        name ? "two layers have its name" : "a layer without a name");
            json_decref(indices);
            return NULL;
        }
        json_object_set_new(indices, name, json_integer((json_int_t)i));
    }
    if (!indices)
        keras_out_of_memory(work);
    return indices;
}

bool keras_read_nodes(const struct keras_work *work, const json_t *layers, struct keras_node **nodes_out)
{
    size_t n = json_array_size(layers);
    struct keras_node *nodes = calloc(n + 1, sizeof *nodes);
    json_t *indices = index_names(work, layers);
    bool good = indices && (nodes || keras_out_of_memory(work));
    for (size_t i = 0; good && i < n; i++) {
        const json_t *entry = json_array_get(layers, i);
        const char *class_name = json_string_value(json_object_get(entry, "class_name"));
        struct keras_layer layer = {.class_name = class_name ? class_name : "?", .name = entry_name(entry)};
        struct reader reader = {.work = work, .indices = indices, .layers = layers, .layer = &layer,
                                .node = &nodes[i]};
        good = read_node(&reader, entry);
    }
    json_decref(indices);
    if (!good) {
        keras_free_nodes(nodes, n);
        return false;
    }
    *nodes_out = nodes;
    return true;
}

void keras_free_nodes(struct keras_node *nodes, size_t n)
{
    for (size_t i = 0; nodes && i < n; i++)
        free(nodes[i].arguments);
    free(nodes);
}

bool keras_one_layer(const struct keras_work *work, const json_t *layers, const json_t *config,
                     const char *key,
                     size_t *index_out)
{
    const json_t *list = json_object_get(config, key);
    json_t *indices;
    bool good;
    if (json_is_array(json_array_get(list, 0))) {
        if (json_array_size(list) != 1)
            return import_fail(work->error, "the model has %zu %s, expected one%s", json_array_size(list),
                               key,
                               strcmp(key, "output_layers") == 0 ?
                               "; choose one in --spec with {\"output\": \"NAME OF ITS LAYER\"}" : "");
        list = json_array_get(list, 0);
    }
    if (!json_is_string(json_array_get(list, 0)))
        return import_fail(work->error, "$.config.%s: expected one tensor, [\"name\", 0, 0]", key);
    indices = index_names(work, layers);
    good = indices && find_source(work, NULL, indices, layers, list, index_out);
    json_decref(indices);
    return good;
}
