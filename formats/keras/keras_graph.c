/* SPDX-License-Identifier: MIT
 *
 * The layers of a Keras model in the order in which they run: Sequential and functional
 * models, also inside one another. See keras_internal.h.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "formats/keras/keras_internal.h"

bool keras_is_model(const char *class_name)
{
    return strcmp(class_name, "Sequential") == 0 || strcmp(class_name, "Functional") == 0 ||
           strcmp(class_name, "Model") == 0;
}

static const char *class_of(const json_t *entry)
{
    const char *name = json_string_value(json_object_get(entry, "class_name"));
    return name ? name : "?";
}

static bool is_input(const json_t *entry)
{
    return strcmp(class_of(entry), "InputLayer") == 0;
}

static const json_t *layers_of(const json_t *config)
{
    return json_is_array(config) ? config : json_object_get(config, "layers");
}

static struct keras_layer layer_of(const json_t *entry, unsigned nesting)
{
    const json_t *config = json_object_get(entry, "config");
    const char *name = json_string_value(json_object_get(config, "name"));
    if (!name)
        name = json_string_value(json_object_get(entry, "name"));
    return (struct keras_layer){.class_name = class_of(entry), .name = name ? name : "", .config = config,
                                .nesting = nesting};
}

/* ---- one layer ----------------------------------------------------------- */

bool keras_keep_step(const struct keras_work *work, const struct keras_layer *layer,
                     const struct keras_tensor *a, const struct keras_tensor *b)
{
    if (a->has_time != b->has_time)
        return keras_fail(work, layer, "it joins a sequence with what is no sequence");
    return !a->has_time || pace_same(model_builder_pace(work->builder, a->value),
                                     model_builder_pace(work->builder, b->value)) ||
           keras_fail(work, layer, "it joins sequences with different numbers of steps");
}

static bool join_layer(struct keras_work *work, const struct keras_row *row, const struct keras_layer *layer,
                       const struct keras_tensor *in, size_t n_in, struct keras_tensor *out)
{
    uint32_t mask = in[0].mask;
    bool all = true;
    for (size_t i = 0; i < n_in; i++) {
        all = all && in[i].mask != MODEL_NONE;
        if (!keras_keep_step(work, layer, &in[i], &in[0]))
            return false;
        if (in[i].mask != MODEL_NONE && mask != MODEL_NONE && in[i].mask != mask)
            return keras_fail(work, layer, "its inputs have different masks, which is not supported");
    }
    if (n_in < 2 || n_in > MODEL_MAX_INPUTS)
        return keras_fail(work, layer, "it has %zu inputs, expected 2 to %d", n_in, MODEL_MAX_INPUTS);
    *out = in[0];
    out->mask = all ? mask : MODEL_NONE;
    return row->join(work, layer, in, n_in, out);
}

static bool add_known(struct keras_work *work, const struct keras_row *row, struct keras_layer *layer,
                      const struct keras_tensor *in, size_t n_in, struct keras_tensor *out)
{
    for (size_t i = 0; i < n_in; i++)
        if (in[i].scalar && strcmp(row->class_name, "Embedding") != 0 &&
            strcmp(row->class_name, "Reshape") != 0)
            return keras_fail(work, layer,
                              "it reads the model's input of shape [batch, steps], which is taken "
                              "for numbers of words, since an Embedding reads it too");
    if (!row->takes_weights && !keras_find_weights(work, row, layer))
        return false;
    if (row->join)
        return join_layer(work, row, layer, in, n_in, out);
    if (n_in != 1)
        return keras_fail(work, layer, "it is called with %zu tensors, supported is one (no initial states)",
                          n_in);
    *out = *in;
    return row->add(work, layer, in, out);
}

bool keras_add_entry(struct keras_work *work, const json_t *entry, const struct keras_place *place,
                     unsigned nesting, const struct keras_tensor *in, size_t n_in, struct keras_tensor *out)
{
    struct keras_layer layer = layer_of(entry, nesting);
    const struct keras_row *row = keras_row(layer.class_name);
    struct keras_model inner = {layer.class_name, layer.config, place, nesting};
    layer.place = place;
    if (nesting > KERAS_MAX_NESTING)
        return keras_fail(work, &layer, "models and wrappers are nested deeper than %d", KERAS_MAX_NESTING);
    if (keras_is_model(layer.class_name)) {
        if (n_in != 1)
            return keras_fail(work, &layer, "it is called with %zu tensors, supported is one", n_in);
        if (in->mask != MODEL_NONE)
            return keras_fail(work, &layer,
                              "a mask goes into a model inside the model, which is not supported");
        return keras_add_model(work, &inner, in, out);
    }
    if (!json_is_object(layer.config))
        return keras_fail(work, &layer, "its config is no object");
    if (!row || (!row->add && !row->join))
        return keras_fail(work, &layer, "layers of this class are not supported");
    return add_known(work, row, &layer, in, n_in, out);
}

/* ---- the input ----------------------------------------------------------- */

/* Whether whole numbers [batch, steps] are what the layer reads: it makes frames of them. */
static bool reads_scalars(const json_t *entry, unsigned nesting)
{
    const json_t *config = json_object_get(entry, "config"), *target = json_object_get(config,
                                                                                       "target_shape");
    const json_t *layers = layers_of(config);
    if (strcmp(class_of(entry), "Embedding") == 0)
        return true;
    if (strcmp(class_of(entry), "Reshape") == 0)
        return json_array_size(target) == 2 && json_integer_value(json_array_get(target, 1)) == 1;
    if (nesting > KERAS_MAX_NESTING || !keras_is_model(class_of(entry)))
        return false;
    for (size_t i = 0; i < json_array_size(layers); i++)
        if (!is_input(json_array_get(layers, i)))
            return reads_scalars(json_array_get(layers, i), nesting + 1);
    return false;
}

/* [batch, …] to a frame: without steps, if `scalars` or from rank 3 on. */
static bool frame_of_shape(const struct keras_work *work, const json_t *shape, bool scalars,
                           struct keras_tensor *tensor, uint32_t *rank_out, uint32_t *dims_out)
{
    size_t rank = json_array_size(shape);
    *tensor = (struct keras_tensor){.mask = MODEL_NONE, .has_time = rank > 2 || scalars};
    tensor->scalar = rank == 2 && scalars;
    *rank_out = 1;
    dims_out[0] = 1;
    if (rank < 2 || rank > 2 + MODEL_MAX_RANK)
        return import_fail(work->error,
                           "the model's input has %zu dimensions with the batch, expected 2 to %d",
                           rank, 2 + MODEL_MAX_RANK);
    if (tensor->scalar)
        return true;
    *rank_out = (uint32_t)(rank == 2 ? 1 : rank - 2);
    for (uint32_t i = 0; i < *rank_out; i++) {
        const json_t *size = json_array_get(shape, rank - *rank_out + i);
        if (!json_is_integer(size) || json_integer_value(size) < 1 ||
            json_integer_value(size) > MODEL_MAX_DIM)
            return import_fail(work->error,
                               "the model's input: dimension %zu is unknown; only batch and steps "
                               "may be open", rank - *rank_out + i);
        dims_out[i] = (uint32_t)json_integer_value(size);
    }
    return true;
}

static bool set_input(struct keras_work *work, const char *name, const json_t *shape, bool scalars,
                      struct keras_tensor *out)
{
    struct keras_layer layer = {.name = name, .class_name = "InputLayer"};
    char clean[KERAS_MAX_NAME + 1];
    uint32_t rank, dims[MODEL_MAX_RANK] = {0};
    uint64_t size = 1;
    if (work->has_input)
        return keras_fail(work, &layer, "the model has a second input; supported is one");
    if (!frame_of_shape(work, shape, scalars, out, &rank, dims))
        return false;
    for (uint32_t i = 0; i < rank; i++)
        size *= dims[i];
    if (size > MODEL_MAX_FRAME)
        return keras_fail(work, &layer, "a frame of the input has more than %d numbers", MODEL_MAX_FRAME);
    work->has_input = true;
    model_set_input(work->builder, keras_name(&layer, clean), rank, dims);
    return true;
}

/* The shape under one of the keys of three generations of Keras. */
static const json_t *given_shape(const json_t *config)
{
    static const char *const keys[] = {"batch_shape", "batch_input_shape", "build_input_shape"};
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++)
        if (json_is_array(json_object_get(config, keys[i])))
            return json_object_get(config, keys[i]);
    return NULL;
}

/* Of a sequential model without an InputLayer, or of one with. */
static bool sequential_input(struct keras_work *work, const struct keras_model *model, const json_t *layers,
                             struct keras_tensor *out)
{
    const json_t *first = json_array_get(layers, 0), *reader = first;
    const json_t *shape = given_shape(json_object_get(first, "config"));
    const char *name = is_input(first) ? layer_of(first, 0).name : "input";
    if (is_input(first))
        reader = json_array_get(layers, 1);
    if (!shape && json_is_object(model->config))
        shape = given_shape(model->config);
    if (!shape)
        shape = json_object_get(json_object_get(first, "build_config"), "input_shape");
    if (!json_is_array(shape))
        return import_fail(work->error,
                           "the shape of the model's input is not in the file: the first layer has "
                           "no \"batch_shape\" or \"batch_input_shape\"");
    return set_input(work, name, shape, reads_scalars(reader, 0), out);
}

/* ---- groups -------------------------------------------------------------- */

/* One model while its layers are added. */
struct walk {
    struct keras_work *work;
    const struct keras_model *model;
    const json_t *layers;
    json_t *groups; /* of each layer's weights, as Keras 3 counts them */
    struct keras_top top;
};

/* "lstm", "lstm_1", … for each layer. */
static json_t *name_groups(const json_t *layers)
{
    json_t *seen = json_object(), *groups = json_array();
    for (size_t i = 0; i < json_array_size(layers); i++) {
        char snake[200], name[240];
        json_t *entry = json_array_get(layers, i), *count;
        keras_snake_case(class_of(entry), snake, sizeof snake);
        count = json_object_get(seen, snake);
        snprintf(name, sizeof name, "%s", snake);
        if (count)
            snprintf(name, sizeof name, "%s_%d", snake, (int)json_integer_value(count));
        if (!keras_is_op(entry))
            json_object_set_new(seen, snake, json_integer(json_integer_value(count) + 1));
        json_array_append_new(groups, json_string(name));
    }
    json_decref(seen);
    return groups;
}

static bool has_weights(const struct keras_work *work, const char *path)
{
    return hdf5_file_has_group(work->file, path);
}

/* PATH/layers of a model inside the model. */
static bool container(const struct walk *walk, struct keras_place *out)
{
    if (!keras_place_below(walk->work, walk->model->place, "layers", out))
        return false;
    if (has_weights(walk->work, out->path))
        return true;
    return keras_place_below(walk->work, walk->model->place, "_layer_checkpoint_dependencies", out);
}

/* Where the weights of layer `index` are; the caller frees the list of an outermost one. */
static bool find_place(struct walk *walk, size_t index, struct keras_place *out)
{
    const json_t *entry = json_array_get(walk->layers, index);
    struct keras_place *above;
    bool good;
    if (walk->model->place && walk->model->place->list) {
        *out = *walk->model->place;
        return true;
    }
    if (!walk->model->place && walk->top.lists)
        return keras_top_place(walk->work, &walk->top, entry, out);
    above = calloc(1, sizeof *above);
    if (!above)
        return keras_out_of_memory(walk->work);
    if (walk->model->place)
        good = container(walk, above);
    else
        good = (snprintf(above->path, sizeof above->path, "%s", walk->top.root), true);
    good = good && keras_place_below(walk->work, above, json_string_value(json_array_get(walk->groups,
                                                                                         index)), out);
    if (good && !has_weights(walk->work, out->path)) {
        struct keras_place named = *out; /* what some versions on Windows wrote */
        if (keras_place_below(walk->work, above, layer_of(entry, 0).name, &named) &&
            has_weights(walk->work, named.path))
            *out = named;
    }
    free(above);
    return good;
}

static bool add_layer(struct walk *walk, size_t index, const struct keras_tensor *in, size_t n_in,
                      struct keras_tensor *out)
{
    const json_t *entry = json_array_get(walk->layers, index);
    struct keras_place *place = calloc(1, sizeof *place);
    bool good = place ? find_place(walk, index, place) : keras_out_of_memory(walk->work);
    if (good) {
        good = keras_add_entry(walk->work, entry, place, walk->model->nesting + 1, in, n_in, out);
        if (!walk->model->place)
            free(place->list);
    }
    free(place);
    return good;
}

/* ---- sequential models --------------------------------------------------- */

static bool add_sequential(struct walk *walk, const struct keras_tensor *in, struct keras_tensor *out)
{
    const char *last = walk->model->place ? NULL : walk->work->output;
    size_t n = json_array_size(walk->layers);
    if (in)
        *out = *in;
    else if (!sequential_input(walk->work, walk->model, walk->layers, out))
        return false;
    for (size_t i = 0; i < n; i++) {
        const json_t *entry = json_array_get(walk->layers, i);
        struct keras_tensor before = *out;
        if (!is_input(entry) && !add_layer(walk, i, &before, 1, out))
            return false;
        if (last && strcmp(layer_of(entry, 0).name, last) == 0)
            return true;
    }
    return !last || spec_fail(walk->work->error, "$.output: no layer of the model is named '%.100s'", last);
}

/* ---- functional models --------------------------------------------------- */

struct functional {
    struct walk *walk;
    const struct keras_tensor *in; /* NULL: the outermost model */
    struct keras_node *nodes;
    struct keras_result *results;
    unsigned char *states; /* of each layer */
    size_t *stack;
    size_t n_stack;
    size_t input; /* layer */
};

enum { NODE_NEW, NODE_WAITING, NODE_DONE };

static bool is_scalar_input(const struct functional *f, size_t input)
{
    for (size_t i = 0; i < json_array_size(f->walk->layers); i++)
        for (size_t j = 0; j < f->nodes[i].n_arguments; j++)
            if (f->nodes[i].arguments[j].is_tensor && f->nodes[i].arguments[j].layer == input &&
                reads_scalars(json_array_get(f->walk->layers, i), 0))
                return true;
    return false;
}

static bool do_input(struct functional *f, size_t index)
{
    const json_t *entry = json_array_get(f->walk->layers, index);
    const json_t *shape = given_shape(json_object_get(entry, "config"));
    struct keras_layer layer = layer_of(entry, 0);
    if (f->in) {
        if (index != f->input)
            return keras_fail(f->walk->work, &layer, "the model inside the model has a second input");
        f->results[index].tensor = *f->in;
        return true;
    }
    if (!shape)
        return keras_fail(f->walk->work, &layer, "it has no \"batch_shape\" or \"batch_input_shape\"");
    return set_input(f->walk->work, layer.name, shape, is_scalar_input(f, index), &f->results[index].tensor);
}

/* What Keras wrote down as the mask must be what the layers before pass on. */
static bool check_mask(const struct functional *f, const struct keras_layer *layer,
                       const struct keras_node *node,
                       const struct keras_tensor *in)
{
    const struct keras_result *mask = &f->results[node->mask];
    uint32_t given = mask->truth == KERAS_MASK ? mask->tensor.value : MODEL_NONE;
    if (!node->has_mask && (!node->no_mask || in->mask == MODEL_NONE))
        return true;
    if (node->has_mask && (mask->truth == KERAS_MASK || mask->truth == KERAS_TRUE) && given == in->mask)
        return true;
    return keras_fail(f->walk->work, layer,
                      "it is given a mask that is not the one of its input, which is not "
                      "supported");
}

static bool do_layer(struct functional *f, size_t index)
{
    struct walk *walk = f->walk;
    const json_t *entry = json_array_get(walk->layers, index);
    const struct keras_node *node = &f->nodes[index];
    struct keras_layer layer = layer_of(entry, walk->model->nesting);
    struct keras_tensor in[MODEL_MAX_INPUTS];
    if (is_input(entry))
        return do_input(f, index);
    if (keras_is_op(entry) || keras_like_op(entry, node, f->results))
        return keras_add_op(walk->work, &layer, node, f->results, &f->results[index]);
    if (node->n_arguments == 0)
        return keras_fail(walk->work, &layer, "it reads nothing");
    for (size_t i = 0; i < node->n_arguments; i++) {
        const struct keras_argument *argument = &node->arguments[i];
        if (!argument->is_tensor || f->results[argument->layer].truth != KERAS_NO_TRUTH)
            return keras_fail(walk->work, &layer, "its input %zu is no tensor of numbers", i);
        in[i] = f->results[argument->layer].tensor;
    }
    return check_mask(f, &layer, node, &in[0]) &&
           add_layer(walk, index, in, node->n_arguments, &f->results[index].tensor);
}

/* The first thing that the layer on top of the stack waits for; false: nothing. */
static bool find_missing(const struct functional *f, size_t *missing_out)
{
    const struct keras_node *node = &f->nodes[f->stack[f->n_stack - 1]];
    for (size_t i = 0; i < node->n_arguments + node->has_mask; i++) {
        size_t source = i == node->n_arguments ? node->mask : node->arguments[i].layer;
        if (i < node->n_arguments && !node->arguments[i].is_tensor)
            continue;
        if (f->states[source] != NODE_DONE) {
            *missing_out = source;
            return true;
        }
    }
    return false;
}

/* All that the output needs, in order; without recursion, since chains can be long. */
static bool run_nodes(struct functional *f, size_t output)
{
    f->stack[f->n_stack++] = output;
    f->states[output] = NODE_WAITING;
    while (f->n_stack) {
        size_t top = f->stack[f->n_stack - 1], missing;
        if (find_missing(f, &missing)) {
            if (f->states[missing] == NODE_WAITING)
                return import_fail(f->walk->work->error,
                                   "the layers of the model read each other in a circle, "
                                   "by way of '%.80s'", layer_of(json_array_get(f->walk->layers, missing),
                                                                 0).name);
            f->states[missing] = NODE_WAITING;
            f->stack[f->n_stack++] = missing;
            continue;
        }
        if (!do_layer(f, top))
            return false;
        f->states[top] = NODE_DONE;
        f->n_stack--;
    }
    return true;
}

static bool find_output(const struct functional *f, size_t *index_out)
{
    const struct walk *walk = f->walk;
    const char *wanted = f->in ? NULL : walk->work->output;
    for (size_t i = 0; wanted && i < json_array_size(walk->layers); i++) {
        if (strcmp(layer_of(json_array_get(walk->layers, i), 0).name, wanted) == 0) {
            *index_out = i;
            return true;
        }
    }
    if (wanted)
        return spec_fail(walk->work->error, "$.output: no layer of the model is named '%.100s'", wanted);
    return keras_one_layer(walk->work, walk->layers, walk->model->config, "output_layers", index_out);
}

static bool run_functional(struct functional *f, struct keras_tensor *out)
{
    struct walk *walk = f->walk;
    size_t output;
    if (!keras_read_nodes(walk->work, walk->layers, &f->nodes))
        return false;
    if ((f->in && !keras_one_layer(walk->work, walk->layers, walk->model->config, "input_layers",
                                   &f->input)) ||
        !find_output(f, &output) || !run_nodes(f, output))
        return false;
    if (f->results[output].truth != KERAS_NO_TRUTH)
        return import_fail(walk->work->error, "the output of the model is a mask");
    *out = f->results[output].tensor;
    return true;
}

static bool add_functional(struct walk *walk, const struct keras_tensor *in, struct keras_tensor *out)
{
    size_t n = json_array_size(walk->layers);
    struct functional f = {.walk = walk, .in = in};
    bool good;
    f.results = calloc(n + 1, sizeof *f.results);
    f.states = calloc(n + 1, 1);
    f.stack = calloc(n + 1, sizeof *f.stack);
    good = f.results && f.states && f.stack ? run_functional(&f, out) : keras_out_of_memory(walk->work);
    keras_free_nodes(f.nodes, n);
    free(f.results);
    free(f.states);
    free(f.stack);
    return good;
}

/* ---- either -------------------------------------------------------------- */

bool keras_add_model(struct keras_work *work, const struct keras_model *model, const struct keras_tensor *in,
                     struct keras_tensor *out)
{
    struct walk walk = {.work = work, .model = model, .layers = layers_of(model->config)};
    struct keras_layer layer = {.name = model->nesting ? "inner model" : "model",
                                .class_name = model->class_name};
    bool good;
    if (!json_is_array(walk.layers) || json_array_size(walk.layers) == 0)
        return keras_fail(work, &layer, "its config has no list of layers");
    if (json_array_size(walk.layers) > MODEL_MAX_LAYERS)
        return keras_fail(work, &layer, "%zu layers, at most %d can be in a model",
                          json_array_size(walk.layers),
                          MODEL_MAX_LAYERS);
    if (!model->place && !keras_find_top(work, &walk.top))
        return false;
    walk.groups = name_groups(walk.layers);
    good = strcmp(model->class_name, "Sequential") == 0 ? add_sequential(&walk, in, out)
                                                        : add_functional(&walk, in, out);
    json_decref(walk.groups);
    if (good && in && out->mask != MODEL_NONE)
        return keras_fail(work, &layer,
                          "a mask comes out of a model inside the model, which is not supported");
    return good;
}
