/* SPDX-License-Identifier: MIT
 *
 * Operations on tensors that stand in a Keras 3 graph without being layers: arithmetic
 * with a number or another tensor, and what computes masks, which Keras writes out. See
 * keras_internal.h.
 */
#include <math.h>
#include <string.h>

#include "formats/keras/keras_internal.h"

static bool is_one_of(const char *name, const char *const *names)
{
    for (; *names; names++)
        if (strcmp(name, *names) == 0)
            return true;
    return false;
}

/* Where .h5 files leave the module out, the class tells, but for those that are layers too:
 * keras_like_op. */
bool keras_is_op(const json_t *entry)
{
    static const char *const names[] = {"NotEqual", "LogicalOr", "Any", "Squeeze", "ExpandDims", "ZerosLike",
                                        "OnesLike", NULL};
    const char *module = json_string_value(json_object_get(entry, "module"));
    const char *class_name = json_string_value(json_object_get(entry, "class_name"));
    if (module)
        return strncmp(module, "keras", 5) == 0 && strstr(module, ".ops.") != NULL;
    return class_name && is_one_of(class_name, names);
}

bool keras_like_op(const json_t *entry, const struct keras_node *node, const struct keras_result *results)
{
    static const char *const names[] = {"Add", "Multiply", "Concatenate", NULL};
    const char *class_name = json_string_value(json_object_get(entry, "class_name"));
    if (json_object_get(entry, "module") || !class_name || !is_one_of(class_name, names))
        return false;
    for (size_t i = 0; i < node->n_arguments; i++)
        if (!node->arguments[i].is_tensor || results[node->arguments[i].layer].truth != KERAS_NO_TRUTH)
            return true;
    return false;
}

/* ---- masks --------------------------------------------------------------- */

/* Either of both. Two different masks have no common one here. */
static bool either(const struct keras_work *work, const struct keras_layer *layer,
                   const struct keras_result *more,
                   struct keras_result *out)
{
    if (more->truth == KERAS_NO_TRUTH)
        return keras_fail(work, layer, "it mixes a mask with numbers");
    if (out->truth == KERAS_TRUE || more->truth == KERAS_FALSE)
        return true;
    if (out->truth == KERAS_FALSE || more->truth == KERAS_TRUE) {
        *out = *more;
        return true;
    }
    return out->tensor.value == more->tensor.value ||
           keras_fail(work, layer, "it joins two different masks, which is not supported");
}

static bool not_equal(struct keras_work *work, const struct keras_layer *layer, const struct keras_node *node,
                      const struct keras_result *first, struct keras_result *out)
{
    double number = node->n_arguments == 2 ? node->arguments[1].number : NAN;
    if (node->n_arguments != 2 || node->arguments[1].is_tensor || !isfinite((float)number) ||
        first->truth != KERAS_NO_TRUTH || !first->tensor.has_time)
        return keras_fail(work, layer,
                          "comparisons are supported only of a sequence with a number, as masks");
    *out = *first;
    out->truth = KERAS_MASK;
    return keras_mask(work, layer, first->tensor.value, (float)number, &out->tensor.value);
}

/* What changes the shape of a truth only, or joins several. */
static bool join_truths(const struct keras_work *work, const struct keras_layer *layer,
                        const struct keras_node *node, const struct keras_result *results,
                            struct keras_result *out)
{
    out->truth = KERAS_FALSE;
    for (size_t i = 0; i < node->n_arguments; i++)
        if (node->arguments[i].is_tensor && !either(work, layer, &results[node->arguments[i].layer], out))
            return false;
    return true;
}

/* ---- arithmetic ---------------------------------------------------------- */

static bool with_number(struct keras_work *work, const struct keras_layer *layer, bool multiply,
                        double number, struct keras_result *out)
{
    struct keras_activation affine = {.code = MODEL_ACT_IDENTITY, .gain = multiply ? (float)number : 1,
                                      .offset = multiply ? 0 : (float)number};
    if (!isfinite(affine.gain) || !isfinite(affine.offset))
        return keras_fail(work, layer, "the number %g is no finite f32", number);
    return keras_emit_act(work, layer, &affine, &out->tensor.value);
}

/* Keras passes no mask on through these. */
static bool arithmetic(struct keras_work *work, const struct keras_layer *layer,
                       const struct keras_node *node,
                       const struct keras_result *results, struct keras_result *out)
{
    bool multiply = strcmp(layer->class_name, "Multiply") == 0;
    const struct keras_argument *a = node->arguments, *b = node->arguments + 1;
    const struct keras_row *row = keras_row(layer->class_name);
    struct keras_tensor both[2];
    if (node->n_arguments != 2 || (!a->is_tensor && !b->is_tensor))
        return keras_fail(work, layer, "expected two inputs");
    for (size_t i = 0; i < 2; i++)
        if (node->arguments[i].is_tensor && results[node->arguments[i].layer].truth != KERAS_NO_TRUTH)
            return keras_fail(work, layer, "it mixes a mask with numbers");
    if (a->is_tensor && b->is_tensor) {
        both[0] = results[a->layer].tensor;
        both[1] = results[b->layer].tensor;
        *out = results[a->layer];
        out->tensor.mask = MODEL_NONE;
        if (both[0].scalar || both[1].scalar)
            return keras_fail(work, layer, "it joins a sequence with what is no sequence");
        if (!keras_keep_step(work, layer, &both[0], &both[1]))
            return false;
        both[0].mask = both[1].mask = MODEL_NONE;
        return row->join(work, layer, both, 2, &out->tensor);
    }
    *out = results[a->is_tensor ? a->layer : b->layer];
    out->tensor.mask = MODEL_NONE;
    if (out->tensor.scalar)
        return keras_fail(work, layer, "it computes with numbers of words");
    return with_number(work, layer, multiply, a->is_tensor ? b->number : a->number, out);
}

/* ---- the operations ------------------------------------------------------ */

bool keras_add_op(struct keras_work *work, const struct keras_layer *layer, const struct keras_node *node,
                  const struct keras_result *results, struct keras_result *out)
{
    static const char *const shapers[] = {"LogicalOr", "Any", "Squeeze", "ExpandDims", "Concatenate", NULL};
    const char *name = layer->class_name;
    const struct keras_result *first;
    *out = (struct keras_result){.tensor = {.mask = MODEL_NONE}};
    if (node->n_arguments == 0 || (!node->arguments[0].is_tensor && strcmp(name, "Add") &&
                                   strcmp(name, "Multiply")))
        return keras_fail(work, layer, "the operation reads no tensor");
    first = &results[node->arguments[0].layer];
    if (strcmp(name, "Add") == 0 || strcmp(name, "Multiply") == 0)
        return arithmetic(work, layer, node, results, out);
    if (strcmp(name, "NotEqual") == 0)
        return not_equal(work, layer, node, first, out);
    if (strcmp(name, "ZerosLike") == 0 || strcmp(name, "OnesLike") == 0) {
        out->truth = name[0] == 'Z' ? KERAS_FALSE : KERAS_TRUE;
        return true;
    }
    if (is_one_of(name, shapers) && first->truth != KERAS_NO_TRUTH)
        return join_truths(work, layer, node, results, out);
    return keras_fail(work, layer, "this operation on tensors (%.60s) is not supported",
                      json_string_value(json_object_get(layer->config, "name"))
                          ? json_string_value(json_object_get(layer->config, "name")) : "without a name");
}
