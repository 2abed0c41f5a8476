/* SPDX-License-Identifier: MIT
 *
 * Named tensors to a model: modules found by name (torch_modules.c) become layers
 * (torch_build.c), in the order of their names, their definition or --spec.
 */
#include "formats/torch/torch_model.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "formats/import_common.h"
#include "formats/spec.h"
#include "formats/torch/torch_build.h"
#include "formats/torch/torch_modules.h"
#include "formats/torch/torch_names.h"

/* ---- the list of layers when the spec has none --------------------------- */

/* A module, and what the file says runs right behind it. */
static bool append(const struct torch_work *work, json_t *layers, const char *prefix)
{
    json_t *behind = json_object_get(json_object_get(work->facts, "behind"), prefix);
    json_t *entry = json_pack("{s:s}", "module", prefix);
    if (!entry || json_array_append_new(layers, entry) || (behind && json_array_extend(layers, behind)))
        return torch_out_of_memory(work);
    return true;
}

/* "fc1" and "fc2", "head.0" and "head.3": their numbers tell their order. */
static bool numbered_alike(const char *a, const char *b)
{
    size_t n_a = strlen(a), n_b = strlen(b);
    size_t whole_a = n_a, whole_b = n_b;
    while (n_a && isdigit((unsigned char)a[n_a - 1]))
        n_a--;
    while (n_b && isdigit((unsigned char)b[n_b - 1]))
        n_b--;
    return n_a < whole_a && n_b < whole_b && n_a == n_b && memcmp(a, b, n_a) == 0;
}

static bool is_frame_module(const struct torch_module *module)
{
    return module->type != MODEL_EMBEDDING && !torch_is_recurrent(module);
}

/* Whether its place does not follow from what it is. (A convolution of unknown kind has more to be
 * asked about than its place.) */
static bool is_placeless(const struct torch_module *module)
{
    bool unknown = module->type == MODEL_CONV1D && !json_object_get(module->hints, "type");
    return is_frame_module(module) && module->type != MODEL_DENSE && !unknown;
}

/* Names tell the order of dense layers and layer_norms when they are numbered alike. Dense
 * layers alone go by their names all the same, but the person is told. */
static bool check_order_by_name(const struct torch_work *work)
{
    const struct torch_module *last = NULL;
    const struct torch_module *placeless = NULL;
    bool numbered = true;
    size_t n_frame = 0;
    for (size_t i = 0; i < work->modules->n_modules; i++) {
        const struct torch_module *module = &work->modules->modules[i];
        if (!is_frame_module(module))
            continue;
        if (is_placeless(module))
            placeless = module;
        numbered = numbered && (!last || numbered_alike(last->prefix, module->prefix));
        last = module;
        n_frame++;
    }
    if (placeless && !(numbered && n_frame > 1))
        return import_fail(work->error, "the place of a %s does not follow from its name; give "
                           "all modules in \"order\" in --spec", torch_type_name(placeless));
    if (!numbered)
        import_note(work->source, "dense layers run in the order of their names; give \"order\" in --spec "
                    "if it is another");
    return true;
}

static bool append_kind(const struct torch_work *work, json_t *layers,
                        bool (*wanted)(const struct torch_module *module), size_t *n_out)
{
    for (size_t i = 0; i < work->modules->n_modules; i++) {
        const struct torch_module *module = &work->modules->modules[i];
        if (!wanted(module))
            continue;
        ++*n_out;
        if (!append(work, layers, module->prefix))
            return false;
    }
    return true;
}

static bool is_embedding(const struct torch_module *module)
{
    return module->type == MODEL_EMBEDDING;
}

static bool order_by_name(const struct torch_work *work, json_t *layers)
{
    size_t n_embeddings = 0, n_stacks = 0, n_frame = 0;
    if (!check_order_by_name(work) || !append_kind(work, layers, is_embedding, &n_embeddings) ||
        !append_kind(work, layers, torch_is_recurrent, &n_stacks) ||
        !append_kind(work, layers, is_frame_module, &n_frame))
        return false;
    if (n_embeddings > 1)
        return import_fail(work->error, "%zu embeddings: which of them reads the input does not follow "
                           "from their names; give \"layers\" in --spec", n_embeddings);
    if (n_stacks > 1)
        import_note(work->source, "%zu recurrent modules run in the order of their names; give \"order\" "
                    "in --spec if it is another", n_stacks);
    return true;
}

static bool order_by_spec(const struct torch_work *work, const json_t *order, json_t *layers)
{
    size_t i;
    json_t *prefix;
    json_array_foreach(order, i, prefix) {
        if (!torch_modules_get(work->modules, json_string_value(prefix)))
            return spec_fail(work->error, "$.order[%zu]: the file has no module '%s'", i,
                             json_string_value(prefix));
        if (!append(work, layers, json_string_value(prefix)))
            return false;
    }
    return true;
}

/* Files that keep the order of definition: nearly always that of use, but who knows. */
static bool order_by_definition(const struct torch_work *work, const json_t *order, json_t *layers)
{
    size_t i, used = 0;
    json_t *prefix;
    char list[300] = "";
    json_array_foreach(order, i, prefix) {
        const char *text = json_string_value(prefix);
        if (!torch_modules_get(work->modules, text))
            continue; /* in "ignore" */
        if (!append(work, layers, text))
            return false;
        if (used < sizeof list)
            used += (size_t)snprintf(list + used, sizeof list - used, "%s%s", used ? ", " : "",
                                     *text ? text : "(no name)");
    }
    if (work->modules->n_modules > 1)
        import_note(work->source, "modules run in the order of their definition: %s; give \"order\" in "
                                  "--spec if it is another", list);
    return true;
}

/* A layer that the file names but does not place cannot be left out. */
static bool check_unplaced(const struct torch_work *work)
{
    const json_t *unplaced = json_object_get(work->facts, "unplaced");
    if (json_array_size(unplaced) == 0)
        return true;
    return import_fail(work->error, "%s: what it computes or where it runs is not in the file; give "
                                    "\"layers\" in --spec",
                       json_string_value(json_array_get(unplaced, 0)));
}

/* Where "take" goes: behind the module of "take_after", else the last recurrent one, else
 * the last one. */
static bool take_place(const struct torch_work *work, const json_t *layers, size_t *place_out)
{
    const char *after = json_string_value(json_object_get(work->spec, "take_after"));
    size_t i, n = json_array_size(layers);
    json_t *entry;
    bool found = false;
    *place_out = n;
    json_array_foreach(layers, i, entry) {
        const char *prefix = json_string_value(json_object_get(entry, "module"));
        const struct torch_module *module = prefix ? torch_modules_get(work->modules, prefix) : NULL;
        if (!module)
            continue;
        if (after ? strcmp(prefix, after) == 0 : torch_is_recurrent(module)) {
            *place_out = i + 1;
            found = true;
        }
    }
    if (after && !found)
        return spec_fail(work->error, "$.take_after: the file has no module '%s'", after);
    return true;
}

static bool insert_take(const struct torch_work *work, json_t *layers)
{
    const char *take = json_string_value(json_object_get(work->spec, "take"));
    size_t place;
    json_t *entry;
    if (!take)
        return true;
    if (!take_place(work, layers, &place))
        return false;
    entry = json_pack("{s:s, s:s}", "type", take, "name", take);
    return entry && json_array_insert_new(layers, place, entry) == 0 ? true : torch_out_of_memory(work);
}

/* Fill `layers` from the shorter keys of the spec. */
static bool make_layers(const struct torch_work *work, json_t *layers)
{
    const json_t *order = json_object_get(work->spec, "order");
    const json_t *defined = json_object_get(work->facts, "order");
    bool good = check_unplaced(work);
    if (good && order)
        good = order_by_spec(work, order, layers);
    else if (good)
        good = defined ? order_by_definition(work, defined, layers) : order_by_name(work, layers);
    return good && insert_take(work, layers);
}

/* No module may be left out. */
static bool check_all_used(const struct torch_work *work, const json_t *layers)
{
    json_t *used = json_object(), *entry;
    bool good = used != NULL;
    size_t i;
    json_array_foreach(layers, i, entry) {
        const char *prefix = json_string_value(json_object_get(entry, "module"));
        good = good && (!prefix || json_object_set_new(used, prefix, json_true()) == 0);
    }
    if (!good)
        torch_out_of_memory(work);
    for (i = 0; good && i < work->modules->n_modules; i++) {
        const char *prefix = work->modules->modules[i].prefix;
        if (!json_object_get(used, prefix))
            good = spec_fail(work->error, "the module '%s' is in the file, but not in the list of "
                             "layers; use it, or name its tensors in \"ignore\"", prefix);
    }
    json_decref(used);
    return good;
}

/* ---- the model's ends ---------------------------------------------------- */

static const struct torch_module *first_module(const struct torch_work *work, const json_t *layers)
{
    size_t i;
    json_t *entry;
    json_array_foreach(layers, i, entry) {
        const char *prefix = json_string_value(json_object_get(entry, "module"));
        if (prefix)
            return torch_modules_get(work->modules, prefix);
    }
    return NULL;
}

/* Numbers of an input frame: as the spec says, else what the first module reads. */
static bool input_size(const struct torch_work *work, const struct torch_module *first,
                       uint32_t *size_out)
{
    const json_t *input = json_object_get(work->spec, "input"), *size = json_object_get(input, "size");
    json_int_t context = json_integer_value(json_object_get(input, "context"));
    if (!size && first && context >= first->input)
        return spec_fail(work->error, "$.input.context: %lld of the %u numbers that '%s' reads; expected "
                                      "fewer",
                         (long long)context, first->input, first->prefix);
    if (!size && !first)
        return import_fail(work->error, "no layer with weights was found; expected names like "
                           "'lstm.weight_ih_l0' and 'fc.weight'");
    *size_out = size ? (uint32_t)json_integer_value(size) : first->input - (uint32_t)context;
    if (*size_out == 0)
        return spec_fail(work->error, "$.input.size: 0, expected 1 or more");
    return true;
}

/* (x - mean) / std as x · (1 / std) - mean / std, each number rounded once. */
static bool scale_of_mean(const struct torch_work *work, const float *mean, const float *std, uint32_t n,
                          uint32_t slots[2])
{
    float *scale = calloc(n, sizeof *scale), *shift = calloc(n, sizeof *shift);
    bool good = scale && shift ? true : torch_out_of_memory(work);
    for (uint32_t i = 0; good && i < n; i++) {
        if (std[i] <= 0)
            good = spec_fail(work->error, "$.input.std[%u]: %g, expected a number above 0", i,
                             (double)std[i]);
        else
            scale[i] = (float)(1.0 / (double)std[i]), shift[i] = (float)(-(double)mean[i] / (double)std[i]);
    }
    good = good && import_clean(work->source, "input.scale", scale, n, work->error) &&
           import_clean(work->source, "input.shift", shift, n, work->error);
    work->error->of_spec = !good;
    if (good) {
        slots[0] = model_add_tensor(work->builder, "input.scale", 1, &n, scale);
        slots[1] = model_add_tensor(work->builder, "input.shift", 1, &n, shift);
    }
    free(scale);
    free(shift);
    return good;
}

static bool normalise_by_mean(const struct torch_work *work, const json_t *input, uint32_t n,
                              uint32_t slots[2])
{
    const json_t *mean_json = json_object_get(input, "mean"), *std_json = json_object_get(input, "std");
    json_t *zero = json_integer(0), *one = json_integer(1);
    float *mean = NULL, *std = NULL;
    bool good = zero && one ? true : torch_out_of_memory(work);
    if (good)
        mean = spec_numbers(mean_json ? mean_json : zero, "$.input.mean", n, work->error);
    if (mean)
        std = spec_numbers(std_json ? std_json : one, "$.input.std", n, work->error);
    good = mean && std && scale_of_mean(work, mean, std, n, slots);
    free(mean);
    free(std);
    json_decref(zero);
    json_decref(one);
    return good;
}

/* The spec's normalisation of the input as a scale layer. */
static bool add_normalisation(struct torch_work *work, uint32_t n)
{
    const json_t *input = json_object_get(work->spec, "input");
    const json_t *scale = json_object_get(input, "scale"), *shift = json_object_get(input, "shift");
    struct model_layer_spec layer = {
        .type = MODEL_SCALE, .name = "input_scaled", .n_inputs = 1, .n_tensors = 2, .rank = 1};
    layer.inputs[0] = work->current;
    layer.dims[0] = n;
    if (json_object_get(input, "mean") || json_object_get(input, "std")) {
        if (!normalise_by_mean(work, input, n, layer.tensors))
            return false;
    } else if (scale || shift) {
        if (!torch_add_row(work, scale, "$.input.scale", n, &layer.tensors[0]) ||
            !torch_add_row(work, shift, "$.input.shift", n, &layer.tensors[1]))
            return false;
    } else {
        return true;
    }
    return torch_add_layer(work, &layer);
}

/* "context": the last numbers of the frame before, then the frame. */
static bool add_context(struct torch_work *work, uint32_t *size)
{
    const json_t *given = json_object_get(json_object_get(work->spec, "input"), "context");
    uint32_t n = (uint32_t)json_integer_value(given);
    struct model_layer_spec end = {.type = MODEL_SLICE, .name = "input_end", .n_inputs = 1, .rank = 1};
    struct model_layer_spec late = {.type = MODEL_DELAY, .name = "input_before", .n_inputs = 1, .rank = 1};
    struct model_layer_spec both = {.type = MODEL_CONCAT, .name = "input_context", .n_inputs = 2, .rank = 1};
    if (!given)
        return true;
    if (n == 0 || n > *size)
        return spec_fail(work->error, "$.input.context: %u of frames of %u numbers; expected 1 to %u", n,
                         *size,
                         *size);
    end.params[1] = *size - n;
    end.params[2] = end.dims[0] = late.dims[0] = n;
    end.params[3] = late.params[0] = 1;
    both.dims[0] = *size += n;
    if (!torch_add_layer(work, &end))
        return false;
    late.inputs[0] = work->current;
    if (!torch_add_layer(work, &late))
        return false;
    both.inputs[0] = work->current;
    return torch_add_layer(work, &both);
}

static bool is_normalised(const json_t *input)
{
    return json_object_get(input, "mean") || json_object_get(input, "std") ||
           json_object_get(input, "scale") || json_object_get(input, "shift");
}

static bool add_input(struct torch_work *work, const json_t *layers)
{
    const json_t *input = json_object_get(work->spec, "input");
    const char *name = json_string_value(json_object_get(input, "name"));
    const struct torch_module *first = first_module(work, layers);
    uint32_t size;
    if (!input_size(work, first, &size))
        return false;
    if (first && first->type == MODEL_EMBEDDING && is_normalised(input))
        return spec_fail(work->error, "$.input: the embedding '%s' reads whole numbers, which "
                         "cannot be normalised", first->prefix);
    model_set_input(work->builder, name ? name : "input", 1, &size);
    if (json_object_set_new(work->names, "input", json_integer(0)))
        return torch_out_of_memory(work);
    work->current_name = "input";
    return add_context(work, &size) && add_normalisation(work, size);
}

/* "residual": the first numbers of the model's input, as it came in, are added to the
 * output. */
static bool add_residual(struct torch_work *work)
{
    struct model_value input, output;
    struct model_layer_spec slice = {.type = MODEL_SLICE, .name = "residual_input", .n_inputs = 1, .rank = 1};
    struct model_layer_spec add = {.type = MODEL_ADD, .name = "residual", .n_inputs = 2, .rank = 1};
    if (!json_is_true(json_object_get(work->spec, "residual")))
        return true;
    if (!torch_value(work, 0, &input) || !torch_value(work, work->current, &output))
        return false;
    if (output.once || output.size > input.size)
        return spec_fail(work->error, "$.residual: an output of %zu numbers %s cannot be joined by "
                         "an input of %zu a step", output.size, output.once ? "a run" : "a step",
                         input.size);
    if (!torch_keep_step(work, "residual", 0, work->current))
        return false;
    add.inputs[0] = work->current;
    add.dims[0] = slice.dims[0] = (uint32_t)output.size;
    if (output.size < input.size) {
        slice.params[2] = slice.dims[0];
        slice.params[3] = 1;
        if (!torch_add_layer(work, &slice))
            return false;
        add.inputs[1] = work->current;
    }
    return torch_add_layer(work, &add);
}

static bool add_softmax(struct torch_work *work)
{
    if (!json_is_true(json_object_get(work->spec, "softmax")))
        return true;
    return torch_add_softmax(work);
}

static bool set_metadata(const struct torch_work *work)
{
    struct model_value input, output;
    if (!torch_value(work, 0, &input) || !torch_value(work, work->current, &output))
        return false;
    return spec_set_metadata(work->spec, work->builder, &(struct metadata_sizes){input.size, output.size},
                             work->error);
}

/* ---- the whole ----------------------------------------------------------- */

static bool build(struct torch_work *work, const json_t *layers)
{
    size_t i;
    json_t *entry;
    if (json_array_size(layers) > MODEL_MAX_LAYERS)
        return import_fail(work->error, "%zu layers, at most %d can be in a model",
                           json_array_size(layers), MODEL_MAX_LAYERS);
    if (!check_all_used(work, layers) || !add_input(work, layers))
        return false;
    json_array_foreach(layers, i, entry)
        if (!torch_add_entry(work, entry, i))
            return false;
    return add_residual(work) && add_softmax(work) && set_metadata(work);
}

static bool build_from_modules(struct torch_work *work)
{
    json_t *given = json_object_get(work->spec, "layers");
    json_t *layers = given ? json_incref(given) : json_array();
    bool good;
    work->names = json_object();
    good = layers && work->names ? true : torch_out_of_memory(work);
    good = good && (given || make_layers(work, layers)) && build(work, layers);
    json_decref(layers);
    json_decref(work->names);
    return good;
}

static bool import_renamed(const struct import_source *source, const struct named_tensors *tensors,
                           const json_t *spec, struct model_builder *builder, struct import_error *error)
{
    struct torch_modules modules;
    struct torch_work work = {.source = source, .builder = builder, .error = error, .spec = spec,
                              .facts = tensors->facts, .modules = &modules};
    bool good;
    if (!torch_modules_find(tensors, spec, &modules, error))
        return false;
    good = build_from_modules(&work);
    torch_modules_free(&modules);
    return good;
}

bool torch_import(const struct import_source *source, const struct named_tensors *tensors,
                  const json_t *spec, struct model_builder *builder, struct import_error *error)
{
    const json_t *rename = json_object_get(spec, "rename");
    struct named_tensors renamed;
    bool good;
    if (json_object_get(spec, "output"))
        return spec_fail(error, "$.output: chooses an output of an ONNX graph; here the last layer "
                         "is the output");
    if (!rename)
        return import_renamed(source, tensors, spec, builder, error);
    if (!torch_rename(tensors, rename, &renamed, error))
        return false;
    good = import_renamed(source, &renamed, spec, builder, error);
    named_tensors_free(&renamed);
    return good;
}
