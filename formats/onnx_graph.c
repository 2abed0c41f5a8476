/* SPDX-License-Identifier: MIT
 *
 * An ONNX graph as a whole: names resolved, what the output needs and what for, and the
 * walk through its nodes under each meaning that the input's axes may have.
 */
#include "formats/onnx_internal.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- names --------------------------------------------------------------- */

static int compare_names(const void *a, const void *b)
{
    const struct onnx_value *const *x = a, *const *y = b;
    return strcmp((*x)->name, (*y)->name);
}

static int compare_key(const void *key, const void *value)
{
    return strcmp(key, (*(struct onnx_value *const *)value)->name);
}

static struct onnx_value *new_value(struct onnx_import *import, const char *name)
{
    struct onnx_value *value = &import->values[import->n_values++];
    value->name = name ? name : "";
    value->producer = -1;
    return value;
}

static size_t count_values(const Onnx__GraphProto *graph)
{
    size_t n = graph->n_input + graph->n_initializer;
    for (size_t i = 0; i < graph->n_node; i++)
        n += graph->node[i]->n_output;
    return n;
}

/* Old files list initialisers among the inputs too: one value, and no input to feed. */
static bool add_inputs(struct onnx_import *import, const Onnx__GraphProto *graph)
{
    uint32_t n_initializers = import->n_values;
    struct onnx_value **sorted = onnx_alloc(import, n_initializers + 1, sizeof *sorted);
    if (!sorted)
        return false;
    for (uint32_t i = 0; i < n_initializers; i++)
        sorted[i] = &import->values[i];
    qsort(sorted, n_initializers, sizeof *sorted, compare_names);
    for (size_t i = 0; i < graph->n_input; i++) {
        const char *name = graph->input[i]->name ? graph->input[i]->name : "";
        if (!bsearch(name, sorted, n_initializers, sizeof *sorted, compare_key))
            new_value(import, name)->input = graph->input[i];
    }
    return true;
}

static bool add_node(struct onnx_import *import, uint32_t index, const Onnx__NodeProto *proto)
{
    struct onnx_node *node = &import->nodes[index];
    node->proto = proto;
    node->name = proto->name ? proto->name : "";
    node->n_inputs = (uint32_t)proto->n_input;
    node->n_outputs = (uint32_t)proto->n_output;
    node->inputs = onnx_alloc(import, (size_t)node->n_inputs + 1, sizeof *node->inputs);
    node->outputs = onnx_alloc(import, (size_t)node->n_outputs + 1, sizeof *node->outputs);
    if (!node->inputs || !node->outputs)
        return false;
    for (uint32_t i = 0; i < node->n_outputs; i++) {
        const char *name = proto->output[i];
        node->outputs[i] = ONNX_ABSENT;
        if (!*name)
            continue;
        node->outputs[i] = (int32_t)import->n_values;
        new_value(import, name)->producer = index;
        import->values[import->n_values - 1].slot = i;
        if (!*node->name)
            node->name = name;
    }
    return true;
}

static bool sort_values(struct onnx_import *import, struct onnx_value ***sorted_out)
{
    struct onnx_value **sorted = onnx_alloc(import, (size_t)import->n_values + 1, sizeof *sorted);
    if (!sorted)
        return false;
    for (uint32_t i = 0; i < import->n_values; i++)
        sorted[i] = &import->values[i];
    qsort(sorted, import->n_values, sizeof *sorted, compare_names);
    for (uint32_t i = 1; i < import->n_values; i++)
        if (strcmp(sorted[i - 1]->name, sorted[i]->name) == 0)
            return import_fail(import->error, "the value '%.80s' is defined twice", sorted[i]->name);
    *sorted_out = sorted;
    return true;
}

static bool resolve_inputs(struct onnx_import *import, uint32_t index, struct onnx_value **sorted)
{
    struct onnx_node *node = &import->nodes[index];
    import->node = node;
    for (uint32_t i = 0; i < node->n_inputs; i++) {
        const char *name = node->proto->input[i];
        struct onnx_value **found;
        node->inputs[i] = ONNX_ABSENT;
        if (!*name)
            continue;
        found = bsearch(name, sorted, import->n_values, sizeof *sorted, compare_key);
        if (!found || (*found)->producer >= (int64_t)index)
            return onnx_fail(import, "its input '%.80s' is %s", name,
                             found ? "made after it: the nodes must be in order" : "not in the graph");
        node->inputs[i] = (int32_t)(*found - import->values);
    }
    import->node = NULL;
    return true;
}

bool onnx_resolve(struct onnx_import *import)
{
    const Onnx__GraphProto *graph = import->model->graph;
    struct onnx_value **sorted = NULL;
    size_t n = count_values(graph);
    if (n > INT32_MAX || graph->n_node > INT32_MAX)
        return import_fail(import->error, "the graph has too many values");
    import->values = onnx_alloc(import, n + 1, sizeof *import->values);
    import->nodes = onnx_alloc(import, graph->n_node + 1, sizeof *import->nodes);
    if (!import->values || !import->nodes)
        return false;
    import->n_nodes = (uint32_t)graph->n_node;
    for (size_t i = 0; i < graph->n_initializer; i++)
        new_value(import, graph->initializer[i]->name)->initializer = graph->initializer[i];
    if (!add_inputs(import, graph))
        return false;
    for (uint32_t i = 0; i < import->n_nodes; i++)
        if (!add_node(import, i, graph->node[i]))
            return false;
    if (!sort_values(import, &sorted))
        return false;
    for (uint32_t i = 0; i < import->n_nodes; i++)
        if (!resolve_inputs(import, i, sorted))
            return false;
    return true;
}

/* ---- the output ---------------------------------------------------------- */

static bool is_recurrent(const struct onnx_node *node)
{
    const char *op = node->proto->op_type ? node->proto->op_type : "";
    return strcmp(op, "LSTM") == 0 || strcmp(op, "GRU") == 0 || strcmp(op, "RNN") == 0;
}

static int32_t find_value(const struct onnx_import *import, const char *name)
{
    for (uint32_t i = 0; i < import->n_values; i++)
        if (strcmp(import->values[i].name, name) == 0)
            return (int32_t)i;
    return ONNX_ABSENT;
}

/* For each value whether it is a recurrent node's final state, maybe rearranged. */
static bool *find_states(struct onnx_import *import)
{
    bool *is_state = onnx_alloc(import, (size_t)import->n_values + 1, sizeof *is_state);
    for (uint32_t i = 0; is_state && i < import->n_nodes; i++) {
        const struct onnx_node *node = &import->nodes[i];
        bool recurrent = is_recurrent(node), passes = false;
        if (!recurrent && onnx_passes_on(node->proto->op_type ? node->proto->op_type : ""))
            passes = node->n_inputs > 0 && node->inputs[0] != ONNX_ABSENT && is_state[node->inputs[0]];
        for (uint32_t k = 0; k < node->n_outputs; k++)
            if (node->outputs[k] != ONNX_ABSENT)
                is_state[node->outputs[k]] = recurrent ? k > 0 : passes;
    }
    return is_state;
}

/* The outputs' names as "'a', 'b'" for a message. */
static void list_outputs(const struct onnx_import *import, char *text, size_t n_text)
{
    const Onnx__GraphProto *graph = import->model->graph;
    size_t used = 0;
    *text = 0;
    for (size_t i = 0; i < graph->n_output && used + 1 < n_text; i++)
        used += (size_t)snprintf(text + used, n_text - used, "%s'%.40s'", i ? ", " : "",
                                 graph->output[i]->name ? graph->output[i]->name : "");
}

static bool choose_output(struct onnx_import *import, const char *wanted)
{
    const Onnx__GraphProto *graph = import->model->graph;
    bool *is_state = find_states(import);
    uint32_t n_real = 0;
    char names[200];
    list_outputs(import, names, sizeof names);
    import->output = ONNX_ABSENT;
    for (size_t i = 0; is_state && i < graph->n_output; i++) {
        const char *name = graph->output[i]->name ? graph->output[i]->name : "";
        int32_t value = find_value(import, name);
        bool real = value != ONNX_ABSENT && !is_state[value];
        if (value == ONNX_ABSENT)
            return import_fail(import->error, "the output '%.80s' is not in the graph", name);
        if (wanted ? strcmp(wanted, name) == 0 : import->output == ONNX_ABSENT || (real && n_real == 0))
            import->output = value;
        n_real += real;
        if (!real && !wanted && graph->n_output > 1)
            onnx_note(import, "the output '%.80s' is the final state of a recurrent node: in lstmrun "
                      "that is in the stream", name);
    }
    if (!is_state)
        return false;
    if (import->output == ONNX_ABSENT && wanted)
        return spec_fail(import->error, "$.output: the graph has no output '%.80s'; its outputs: %s", wanted,
                         names);
    if (import->output == ONNX_ABSENT)
        return import_fail(import->error, "the graph has no output");
    if (!wanted && n_real > 1)
        return import_fail(import->error, "the graph has several outputs: %s; a model has one, choose it "
                           "with --spec {\"output\": \"NAME\"}", names);
    if (wanted && n_real > 1)
        onnx_note(import, "of the graph's outputs (%s) the model has '%.80s' only", names, wanted);
    return true;
}

/* ---- what values are for ------------------------------------------------- */

enum purpose { FOR_DATA = 1, FOR_STATE = 2, FOR_LENGTHS = 4, FOR_WEIGHTS = 8 };

static unsigned purpose_of(const struct onnx_node *node, uint32_t input, unsigned purposes)
{
    static const unsigned recurrent[] = {FOR_DATA, FOR_WEIGHTS, FOR_WEIGHTS, FOR_WEIGHTS,
                                         FOR_LENGTHS, FOR_STATE, FOR_STATE, FOR_WEIGHTS};
    return !is_recurrent(node) ? purposes : input < 8 ? recurrent[input] : FOR_DATA;
}

/* Backward from the output: which nodes are needed, how often values are read, what for. */
static unsigned *trace_purposes(struct onnx_import *import)
{
    unsigned *purposes = onnx_alloc(import, (size_t)import->n_values + 1, sizeof *purposes);
    if (!purposes)
        return NULL;
    purposes[import->output] = FOR_DATA;
    import->values[import->output].n_uses = 1;
    for (uint32_t i = import->n_nodes; i-- > 0;) {
        struct onnx_node *node = &import->nodes[i];
        unsigned of_outputs = 0;
        for (uint32_t k = 0; k < node->n_outputs; k++)
            if (node->outputs[k] != ONNX_ABSENT)
                of_outputs |= purposes[node->outputs[k]];
        node->live = of_outputs != 0;
        for (uint32_t k = 0; node->live && k < node->n_inputs; k++) {
            if (node->inputs[k] == ONNX_ABSENT)
                continue;
            purposes[node->inputs[k]] |= purpose_of(node, k, of_outputs);
            import->values[node->inputs[k]].n_uses++;
        }
    }
    return purposes;
}

static bool set_input_role(struct onnx_import *import, uint32_t i, unsigned purposes)
{
    struct onnx_value *value = &import->values[i];
    if (purposes & FOR_DATA) {
        if (import->input != ONNX_ABSENT)
            return import_fail(import->error, "the graph has several inputs for data, '%.80s' and "
                               "'%.80s'; a model has one", import->values[import->input].name,
                               value->name);
        import->input = (int32_t)i;
    } else if (purposes == FOR_STATE) {
        value->has_role = import->has_states = true;
        value->role = ROLE_STATE;
        onnx_note(import, "the input '%.80s' is the initial state of a recurrent node: in lstmrun it is "
                  "in the stream and begins with zeros", value->name);
    } else if (purposes == FOR_LENGTHS) {
        value->has_role = true;
        value->role = ROLE_LENGTHS;
        onnx_note(import, "the input '%.80s' is the lengths of sequences: in lstmrun each item of a run "
                  "has its own number of steps, and nothing follows its last one", value->name);
    } else if (purposes == 0) {
        onnx_note(import, "the input '%.80s' is not used by the output", value->name);
    }
    return true;
}

static void note_unused_nodes(struct onnx_import *import)
{
    char names[160];
    size_t used = 0;
    uint32_t n = 0;
    for (uint32_t i = 0; i < import->n_nodes; i++) {
        const struct onnx_node *node = &import->nodes[i];
        if (node->live)
            continue;
        if (n++ < 4 && used < sizeof names)
            used += (size_t)snprintf(names + used, sizeof names - used, "%s'%.30s' (%.20s)",
                                     used ? ", " : "", node->name,
                                     node->proto->op_type ? node->proto->op_type : "");
    }
    if (n)
        onnx_note(import, "%u node%s left out, the output does not need %s: %s%s", n, n == 1 ? "" : "s",
                  n == 1 ? "it" : "them", names, n > 4 ? " …" : "");
}

bool onnx_find_roles(struct onnx_import *import, const char *output_name)
{
    unsigned *purposes;
    if (!choose_output(import, output_name) || !(purposes = trace_purposes(import)))
        return false;
    import->input = ONNX_ABSENT;
    for (uint32_t i = 0; i < import->n_values; i++) {
        struct onnx_value *value = &import->values[i];
        if (value->input && !set_input_role(import, i, purposes[i]))
            return false;
    }
    if (import->input == ONNX_ABSENT)
        return import_fail(import->error, "no input of the graph reaches the output '%.80s' as data",
                           import->values[import->output].name);
    note_unused_nodes(import);
    return true;
}

/* ---- the input's axes ---------------------------------------------------- */

struct declared {
    bool is_int;
    uint32_t rank;
    int64_t sizes[ONNX_MAX_AXES]; /* 0: run-time */
};

static bool read_declared(struct onnx_import *import, struct declared *out)
{
    const struct onnx_value *value = &import->values[import->input];
    const Onnx__TypeProto *type = value->input->type;
    const Onnx__TypeProto__Tensor *tensor = type ? type->tensor_type : NULL;
    int32_t element = tensor ? tensor->elem_type : 0;
    if (!tensor || !tensor->shape)
        return import_fail(import->error, "the input '%.80s' is declared without a shape, or is no "
                           "tensor", value->name);
    if (element != ONNX_FLOAT && element != ONNX_DOUBLE && element != ONNX_INT32 && element != ONNX_INT64)
        return import_fail(import->error, "the input '%.80s' has element type %d of the ONNX "
                           "specification; float, double, int32 and int64 are supported", value->name,
                           (int)element);
    if (element == ONNX_DOUBLE)
        onnx_note(import, "the graph computes with doubles, lstmrun with f32");
    out->is_int = element == ONNX_INT32 || element == ONNX_INT64;
    if (tensor->shape->n_dim < 1 || tensor->shape->n_dim > 4)
        return import_fail(import->error, "the input '%.80s' has %zu dimensions; 1 to 4 are supported",
                           value->name, tensor->shape->n_dim);
    out->rank = (uint32_t)tensor->shape->n_dim;
    for (uint32_t i = 0; i < out->rank; i++) {
        const Onnx__TensorShapeProto__Dimension *dim = tensor->shape->dim[i];
        out->sizes[i] = dim->has_dim_value && dim->dim_value > 0 && dim->dim_value <= MODEL_MAX_DIM
                            ? dim->dim_value : 0;
    }
    return true;
}

/* What the axes can be, likeliest first: T time, B batch, F features. */
static const char *const float_axes[][4] = {
    {"T"},
    {"BF", "TF", "BT", "TB"},
    {"BTF", "TBF", "BFT"},
    {"BTFF", "TBFF"},
};
static const char *const int_axes[][4] = {
    {"T"},
    {"BT", "TB", "BF", "TF"},
    {"BTF", "TBF"},
    {"BTFF", "TBFF"},
};

/* Begin an attempt: the input with these axes and nothing else known. False: they cannot
 * be meant, since a size of features is missing; no error is set. */
static bool set_input(struct onnx_import *import, const struct declared *declared, const char *axes)
{
    struct onnx_value *value = &import->values[import->input];
    struct onnx_frames frames = {.is_int = declared->is_int, .n_axes = declared->rank};
    struct model_value *frame = &import->input_frame;
    *frame = (struct model_value){.size = 1};
    import->frozen_time = import->frozen_batch = 0;
    for (uint32_t i = 0; i < declared->rank; i++) {
        int64_t size = declared->sizes[i];
        if (axes[i] == 'T') {
            frames.axes[i].kind = AXIS_TIME;
            import->frozen_time = size;
        } else if (axes[i] == 'B') {
            frames.axes[i].kind = AXIS_BATCH;
            import->frozen_batch = size;
        } else {
            frames.axes[i] = (struct onnx_axis){AXIS_FEATURE, (uint32_t)size};
            frame->dims[frame->rank++] = (uint32_t)size;
            frame->size *= (size_t)size;
            if (size == 0 || frame->size > MODEL_MAX_FRAME)
                return false;
        }
    }
    if (frame->rank == 0)
        frame->dims[frame->rank++] = 1;
    onnx_set_frames(value, &frames);
    return true;
}

static void forget(struct onnx_import *import)
{
    for (uint32_t i = 0; i < import->n_values; i++) {
        struct onnx_value *value = &import->values[i];
        value->kind = value->has_role ? ONNX_OPAQUE : ONNX_UNKNOWN;
        if (value->has_role)
            value->as.role = value->role;
    }
    import->n_layers = 0;
    import->progress = 0;
    import->layers = NULL;
}

/* The output's frame: its features without those of size 1, as far as rank 3 goes. */
static bool finish_output(struct onnx_import *import)
{
    struct onnx_value *value = &import->values[import->output];
    struct onnx_frames *frames = &value->as.frames;
    uint32_t dims[ONNX_MAX_AXES], rank = 0, size;
    import->node = value->producer >= 0 ? &import->nodes[value->producer] : NULL;
    if (value->kind != ONNX_FRAMES)
        return import_fail(import->error, "the output '%.80s' does not depend on the input", value->name);
    if (!onnx_settle(import, frames, NULL) ||
        !onnx_features(import, frames, 0, frames->n_axes, &size))
        return false;
    for (uint32_t i = 0; i < frames->n_axes; i++)
        if (frames->axes[i].kind == AXIS_FEATURE && frames->axes[i].size > 1)
            dims[rank++] = frames->axes[i].size;
    if (rank == 0 || rank > MODEL_MAX_RANK) {
        rank = 1;
        dims[0] = size;
    }
    if (!onnx_shaped(import, frames, rank, dims))
        return false;
    return import->n_layers > 0 || import_fail(import->error, "the graph has no layer: the output is "
                                               "the input");
}

static bool walk(struct onnx_import *import)
{
    import->layers = onnx_alloc(import, MODEL_MAX_LAYERS, sizeof *import->layers);
    if (!import->layers)
        return false;
    for (uint32_t i = 0; i < import->n_nodes; i++) {
        import->node = &import->nodes[i];
        import->progress = UINT64_C(2) * (i + 1);
        if (import->node->live && !onnx_handle(import))
            return false;
    }
    return finish_output(import);
}

bool onnx_understand(struct onnx_import *import)
{
    struct onnx_chunk *mark = import->arena.chunks;
    struct onnx_text_list **notes_end = import->notes_end;
    struct import_error best;
    struct declared declared = {0};
    uint64_t furthest = 0;
    if (!read_declared(import, &declared))
        return false;
    import_fail(&best, "the input '%.80s' must be declared with the number of its "
                "features (its last dimension)", import->values[import->input].name);
    for (uint32_t i = 0; i < 4; i++) {
        const char *axes = (declared.is_int ? int_axes : float_axes)[declared.rank - 1][i];
        onnx_arena_release(&import->arena, mark);
        import->notes_end = notes_end;
        *notes_end = NULL;
        forget(import);
        if (!axes || !set_input(import, &declared, axes))
            continue;
        if (walk(import))
            return true;
        if (import->no_memory)
            return false;
        if (import->progress > furthest) {
            furthest = import->progress;
            best = *import->error;
        }
    }
    *import->error = best;
    return false;
}
