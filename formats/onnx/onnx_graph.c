/* SPDX-License-Identifier: MIT
 *
 * An ONNX graph as a whole: names resolved, what the output needs and what for, and the
 * walk through its nodes under each meaning that the input's axes may have.
 */
#include "formats/onnx/onnx_internal.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

/* ---- the output ---------------------------------------------------------- */

static int32_t find_value(const struct onnx_import *import, const char *name)
{
    for (uint32_t i = 0; i < import->n_values; i++)
        if (import->values[i].scope == 0 && strcmp(import->values[i].name, name) == 0)
            return (int32_t)i;
    return ONNX_ABSENT;
}

/* Whether a value is a recurrent node's final h, maybe rearranged, or follows from its final c. */
enum state_kind { NO_STATE, STATE_H, STATE_C };

static enum state_kind state_of_output(const struct onnx_node *node, uint32_t output, const uint8_t *kinds)
{
    enum state_kind first = NO_STATE;
    uint32_t n_of_branches = 2 * node->n_outputs;
    if (onnx_is_recurrent(node))
        return output == 0 ? NO_STATE : output == 1 ? STATE_H : STATE_C;
    if (node->kind == NODE_JOIN) {
        for (uint32_t i = output; i < n_of_branches; i += node->n_outputs)
            if (node->inputs[i] != ONNX_ABSENT && kinds[node->inputs[i]] > first)
                first = kinds[node->inputs[i]];
        return first;
    }
    for (uint32_t i = 0; i < node->n_inputs; i++) {
        enum state_kind kind = node->inputs[i] == ONNX_ABSENT ? NO_STATE : kinds[node->inputs[i]];
        if (kind == STATE_C)
            return STATE_C;
        if (i == 0)
            first = kind;
    }
    return first && onnx_passes_on(node->proto->op_type ? node->proto->op_type : "") ? STATE_H : NO_STATE;
}

static uint8_t *find_states(struct onnx_import *import)
{
    uint8_t *kinds = onnx_alloc(import, (size_t)import->n_values + 1, sizeof *kinds);
    for (uint32_t i = 0; kinds && i < import->n_nodes; i++) {
        const struct onnx_node *node = &import->nodes[i];
        for (uint32_t k = 0; k < node->n_outputs; k++)
            if (node->outputs[k] != ONNX_ABSENT)
                kinds[node->outputs[k]] = (uint8_t)state_of_output(node, k, kinds);
    }
    return kinds;
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
    uint8_t *is_state = find_states(import);
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

enum purpose {
    FOR_DATA = 1, FOR_STATE = 2, FOR_LENGTHS = 4, FOR_WEIGHTS = 8, FOR_SHAPE = 16, FOR_CONDITION = 32
};

static unsigned purpose_of(const struct onnx_import *import, const struct onnx_node *node, uint32_t input,
                           unsigned purposes)
{
    static const unsigned recurrent[] = {FOR_DATA, FOR_WEIGHTS, FOR_WEIGHTS, FOR_WEIGHTS,
                                         FOR_LENGTHS, FOR_STATE, FOR_STATE, FOR_WEIGHTS};
    static const unsigned of_cell[] = {FOR_DATA, FOR_STATE, FOR_WEIGHTS};
    if (onnx_is_op(node, "Shape") || onnx_is_op(node, "Size"))
        return FOR_SHAPE;
    if (node->kind == NODE_CELL)
        return of_cell[onnx_cell_uses(node, input)];
    if (node->kind == NODE_LOOP && onnx_is_loop_state(import, node, input))
        return FOR_STATE;
    return !onnx_is_recurrent(node) ? purposes : input < 8 ? recurrent[input] : FOR_WEIGHTS;
}

static void trace_input(struct onnx_import *import, int32_t input, unsigned purpose, unsigned *purposes)
{
    if (input == ONNX_ABSENT)
        return;
    purposes[input] |= purpose;
    import->values[input].n_uses++;
}

/* Each output needs the value that either branch has for it. */
static void trace_join(struct onnx_import *import, const struct onnx_node *join, unsigned *purposes)
{
    uint32_t n = join->n_outputs;
    for (uint32_t i = 0; i < 2 * n; i++) {
        int32_t output = join->outputs[i % n];
        if (output != ONNX_ABSENT && purposes[output])
            trace_input(import, join->inputs[i], purposes[output], purposes);
    }
    trace_input(import, join->inputs[2 * n], FOR_CONDITION, purposes);
    import->nodes[join->decides].live = true;
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
        node->live |= of_outputs != 0;
        if (node->kind == NODE_LOOP_END && node->live)
            import->nodes[node->decides].live = true;
        if (node->kind == NODE_JOIN && node->live)
            trace_join(import, node, purposes);
        else if (node->kind != NODE_IF)
            for (uint32_t k = 0; node->live && k < node->n_inputs; k++)
                trace_input(import, node->inputs[k], purpose_of(import, node, k, of_outputs), purposes);
    }
    return purposes;
}

static bool set_input_role(struct onnx_import *import, uint32_t i, unsigned purposes)
{
    struct onnx_value *value = &import->values[i];
    if (value->is_fixed)
        return true;
    purposes &= ~(unsigned)FOR_SHAPE;
    if (purposes & FOR_DATA && purposes & FOR_LENGTHS)
        return import_fail(import->error, "the input '%.80s' is the lengths of sequences and is computed "
                           "with, as "
                           "packed sequences do; that is not supported: export the network without packing",
                           value->name);
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
    } else if (purposes == FOR_CONDITION) {
        return import_fail(import->error, "the input '%.80s' decides which branch of an If is run; fix it "
                           "with --spec {\"constants\": {\"%.80s\": NUMBER}}", value->name, value->name);
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
        if (node->live || node->of_cell || node->kind == NODE_IF ||
            (node->guard >= 0 && import->nodes[node->guard].kind == NODE_LOOP))
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
enum { MAX_MEANINGS = 5 };

static const char *const float_axes[][MAX_MEANINGS] = {
    {"T"},
    {"BF", "TF", "BT", "TB"},
    {"BTF", "TBF", "BFT", "BFF", "TFF"},
    {"BTFF", "TBFF"},
};
static const char *const int_axes[][MAX_MEANINGS] = {
    {"T"},
    {"BT", "TB", "BF", "TF"},
    {"BTF", "TBF"},
    {"BTFF", "TBFF"},
};

/* What --spec says of the one size of features that the file leaves open; 0: nothing. */
static int64_t said_size(const struct onnx_import *import, const struct declared *declared, const char *axes)
{
    int64_t known = 1, all = import->input_spec.size + import->input_spec.context;
    uint32_t n_open = 0;
    for (uint32_t i = 0; i < declared->rank; i++) {
        n_open += axes[i] == 'F' && declared->sizes[i] == 0;
        if (axes[i] == 'F' && declared->sizes[i] && __builtin_mul_overflow(known, declared->sizes[i], &known))
            return 0;
    }
    return n_open == 1 && all % known == 0 ? all / known : 0;
}

/* Begin an attempt: the input with these axes and nothing else known. False: they cannot
 * be meant, since a size of features is missing; no error is set. */
static bool set_input(struct onnx_import *import, const struct declared *declared, const char *axes)
{
    struct onnx_value *value = &import->values[import->input];
    struct onnx_frames frames = {.is_int = declared->is_int, .n_axes = declared->rank};
    struct model_value *frame = &import->input_frame;
    int64_t said = said_size(import, declared, axes);
    *frame = (struct model_value){.size = 1};
    import->frozen_time = import->frozen_batch = 0;
    import->paces[0] = pace_of_input();
    import->n_paces = 1;
    for (uint32_t i = 0; i < declared->rank; i++) {
        int64_t size = declared->sizes[i] || axes[i] != 'F' ? declared->sizes[i] : said;
        if (axes[i] == 'T') {
            frames.axes[i].kind = AXIS_TIME;
            import->frozen_time = size;
        } else if (axes[i] == 'B') {
            frames.axes[i].kind = AXIS_BATCH;
            import->frozen_batch = size;
        } else {
            frames.axes[i] = onnx_feature((uint32_t)size);
            frame->dims[frame->rank++] = (uint32_t)size;
            frame->size *= (size_t)size;
            if (size == 0 || frame->size > MODEL_MAX_FRAME)
                return false;
        }
    }
    if (import->input_spec.size && frame->size !=
        (size_t)(import->input_spec.size + import->input_spec.context))
        return false;
    if (frame->rank == 0)
        frame->dims[frame->rank++] = 1;
    onnx_set_frames(value, &frames);
    return true;
}

/* The last numbers of the frame before, then the new ones: what the graph takes as its frame. */
static bool put_context(struct onnx_import *import)
{
    uint32_t context = (uint32_t)import->input_spec.context, axis = 0;
    uint32_t n_new = (uint32_t)import->input_spec.size;
    struct model_value *frame = &import->input_frame;
    struct onnx_frames *frames = &import->values[import->input].as.frames;
    struct onnx_frames parts[2];
    struct onnx_layer *delay;
    if (context == 0)
        return true;
    if (frame->rank != 1)
        return spec_fail(import->error, "$.input.context: the frames of '%.80s' have more than one dimension",
                         import->values[import->input].name);
    while (frames->axes[axis].kind != AXIS_FEATURE)
        axis++;
    frame->size = frame->dims[0] = frames->axes[axis].size = n_new;
    parts[0] = parts[1] = *frames;
    if (!onnx_emit_slice(import, &parts[0], axis, (const uint32_t[3]){n_new - context, context, 1}))
        return false;
    delay = onnx_layer_on(import, MODEL_DELAY, parts[0].value);
    if (!delay)
        return false;
    delay->spec.params[0] = 1;
    parts[0].value = onnx_layer_add(import, delay);
    return parts[0].value != MODEL_NONE && onnx_emit_concat(import, parts, 2, axis, frames);
}

/* An input that --spec fixes: its number all over its declared shape. */
static bool make_fixed(struct onnx_import *import, struct onnx_value *value)
{
    const Onnx__TypeProto__Tensor *tensor = value->input->type ? value->input->type->tensor_type : NULL;
    struct onnx_const c = {0};
    int32_t type = tensor ? tensor->elem_type : 0;
    void *data;
    if (!onnx_declared_shape(value, &c.rank, c.dims))
        return import_fail(import->error, "the input '%.80s' is declared without a shape", value->name);
    c.is_int = type != ONNX_FLOAT && type != ONNX_DOUBLE && type != ONNX_FLOAT16 && type != ONNX_BFLOAT16;
    data = onnx_const_alloc(import, &c);
    for (size_t i = 0; data && i < c.count; i++) {
        if (c.is_int)
            ((struct onnx_int *)data)[i] = onnx_plain((int64_t)value->fixed);
        else
            ((float *)data)[i] = (float)value->fixed;
    }
    value->kind = ONNX_CONST;
    value->as.constant = c;
    return data != NULL;
}

static bool forget(struct onnx_import *import)
{
    import->n_layers = 0;
    import->progress = 0;
    import->layers = NULL;
    for (uint32_t i = 0; i < import->n_values; i++) {
        struct onnx_value *value = &import->values[i];
        value->kind = value->has_role ? ONNX_OPAQUE : ONNX_UNKNOWN;
        if (value->has_role) {
            struct onnx_opaque *opaque = &value->as.opaque;
            *opaque = (struct onnx_opaque){.role = value->role};
            opaque->has_shape = opaque->has_rank = onnx_declared_shape(value, &opaque->rank, opaque->dims);
            if (opaque->has_shape && opaque->rank > 0 && onnx_is_plain(opaque->dims[opaque->rank - 1]))
                opaque->n_last = (uint32_t)opaque->dims[opaque->rank - 1].offset;
        }
        if (value->is_fixed && !make_fixed(import, value))
            return false;
    }
    return true;
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
    if (!onnx_settle(import, frames, NULL) || !onnx_leave_loop(import, frames) ||
        !onnx_refuse_padding(import, value) ||
        !onnx_in_order(import, frames) || !onnx_features(import, frames, 0, frames->n_axes, &size))
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
    import->node = NULL;
    if (!import->layers || !put_context(import))
        return false;
    for (uint32_t i = 0; i < import->n_nodes; i++) {
        struct onnx_node *node = &import->nodes[i];
        const struct onnx_node *guard = node->guard >= 0 ? &import->nodes[node->guard] : NULL;
        node->active = node->live && (!guard || (guard->active && guard->taken == node->branch));
        import->node = node;
        import->progress = UINT64_C(2) * (i + 1);
        if (node->active && !onnx_handle(import))
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
    for (uint32_t i = 0; i < MAX_MEANINGS; i++) {
        const char *axes = (declared.is_int ? int_axes : float_axes)[declared.rank - 1][i];
        onnx_arena_release(&import->arena, mark);
        import->notes_end = notes_end;
        *notes_end = NULL;
        if (!forget(import))
            return false;
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
