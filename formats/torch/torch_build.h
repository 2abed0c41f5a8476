/* SPDX-License-Identifier: MIT
 *
 * From modules of PyTorch's names to layers of a model: what one entry of the spec's
 * "layers" makes, and the state that goes from one entry to the next.
 */
#ifndef LSTMRUN_FORMATS_TORCH_BUILD_H
#define LSTMRUN_FORMATS_TORCH_BUILD_H

#include <jansson.h>

#include "formats/import.h"
#include "formats/torch/torch_modules.h"

/* The model under construction. */
struct torch_work {
    const struct import_source *source;
    struct model_builder *builder;
    struct import_error *error;
    const json_t *spec;
    const json_t *facts; /* of the file, see named_tensors.h; or NULL */
    const struct torch_modules *modules;
    json_t *names;    /* layer name → value, for "inputs" in the spec */
    uint32_t current; /* the value that the next layer reads if it does not say */
    const char *current_name;
};

/* These return false after a failure, with a sentence in work->error. */

bool torch_out_of_memory(const struct torch_work *work);

/* The shape of a value. */
bool torch_value(const struct torch_work *work, uint32_t value, struct model_value *out);

/* Add `layer`, make it the current value and remember its name. */
bool torch_add_layer(struct torch_work *work, struct model_layer_spec *layer);

/* A layer that reads the current value and gives frames of the same shape. */
bool torch_layer_of(const struct torch_work *work, uint32_t type, const char *name,
                    struct model_layer_spec *out);

/* What an entry of "layers" says; `index` is its place, for names and messages. */
bool torch_add_entry(struct torch_work *work, json_t *entry, size_t index);

/* False with a message if they are at different paces. */
bool torch_keep_step(const struct torch_work *work, const char *name, uint32_t a, uint32_t b);

/* A softmax over the current value. */
bool torch_add_softmax(struct torch_work *work);

/* The tensor's numbers as f32; no `tensor`: MODEL_NONE. */
bool torch_add_weights(const struct torch_work *work, const struct named_tensor *tensor, uint32_t *slot_out);

/* A tensor of `n` numbers from a number or a list; no `value`: MODEL_NONE. */
bool torch_add_row(const struct torch_work *work, const json_t *value, const char *name, uint32_t n,
                   uint32_t *slot_out);

/* A Conv1d as the entry or its hints say. */
bool torch_add_conv(struct torch_work *work, const struct torch_module *module, const json_t *entry,
                    const char *name);

/* Activation, alpha and beta of the entry or hints `from` into three parameter words. */
bool torch_activation(const struct torch_work *work, const json_t *from, const char *name, uint32_t *words);
bool torch_has_activation(const json_t *from);

/* "[4, 258]"; `text` holds at least TORCH_SHAPE_TEXT bytes. */
enum { TORCH_SHAPE_TEXT = 48 };
const char *torch_shape_text(const struct model_value *value, char *text);

/* Types of layers without weights, by the name that the spec has for them. */
struct torch_layer_type {
    const char *name;
    uint32_t type;
    bool joint; /* reads several inputs */
    bool (*add)(struct torch_work *work, const json_t *entry, uint32_t type, const char *name);
    const char *keys[7]; /* that mean something to it, besides type, name, inputs */
};

const struct torch_layer_type *torch_layer_type(const char *name); /* NULL: none */

#endif
