/* SPDX-License-Identifier: MIT
 *
 * What libFuzzer does to ONNX files: half of the time edits of the graph, which stays a well-formed message and mostly
 * a graph. Changed bytes alone seldom get behind the parser: lengths stand in front of everything.
 */
#define _POSIX_C_SOURCE 200809L
#include <stdlib.h>
#include <string.h>

#include "onnx.pb-c.h"
#include "tests/rng.h"

size_t LLVMFuzzerMutate(uint8_t *data, size_t size, size_t max_size);
size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max_size, unsigned seed);

enum { MAX_EDITS = 4, MAX_DEPTH = 3, MAX_BYTES = 4096, FLOAT = 1, INT64 = 7 };

static int64_t any_int(struct rng *rng)
{
    static const int64_t known[] = {-2, -1, 0, 1, 2, 3, 4, 6, 8, 16000, INT32_MAX, INT64_MAX, INT64_MIN};
    return known[rng_below(rng, sizeof known / sizeof *known)];
}

static float any_float(struct rng *rng)
{
    static const uint32_t known[] = {0, 0x80000000, 0x3f800000, 0xbf800000, 0x7f800000, 0x7fc00000, 1, 0x7f7fffff};
    uint32_t bits = known[rng_below(rng, sizeof known / sizeof *known)];
    float out;
    memcpy(&out, &bits, sizeof out);
    return rng_chance(rng, 30) ? rng_float(rng, 4) : out;
}

/* NULL, a field that is not there, as "". */
static void set_text(char **text, const char *to)
{
    char *copy = strdup(to ? to : "");
    if (!copy)
        return;
    free(*text);
    *text = copy;
}

/* ---- tensors ------------------------------------------------------------- */

static size_t element_bytes(const Onnx__TensorProto *tensor)
{
    return tensor->data_type == FLOAT ? 4 : tensor->data_type == INT64 ? 8 : 0;
}

/* As many bytes as the dimensions ask for; more are zeros. */
static void fit_data(Onnx__TensorProto *tensor)
{
    size_t n_bytes = element_bytes(tensor);
    uint8_t *bytes;
    for (size_t i = 0; i < tensor->n_dims; i++) {
        if (tensor->dims[i] < 0 || tensor->dims[i] > MAX_BYTES || n_bytes * (size_t)tensor->dims[i] > MAX_BYTES)
            return;
        n_bytes *= (size_t)tensor->dims[i];
    }
    bytes = calloc(n_bytes + 1, 1);
    if (!bytes)
        return;
    if (tensor->raw_data.len)
        memcpy(bytes, tensor->raw_data.data, n_bytes < tensor->raw_data.len ? n_bytes : tensor->raw_data.len);
    free(tensor->raw_data.data);
    tensor->raw_data = (ProtobufCBinaryData){n_bytes, bytes};
    tensor->has_raw_data = 1;
}

static void edit_tensor(struct rng *rng, Onnx__TensorProto *tensor)
{
    size_t size = element_bytes(tensor), n = size ? tensor->raw_data.len / size : 0;
    if (tensor->n_dims > 0 && rng_chance(rng, 50)) {
        int64_t *dim = &tensor->dims[rng_below(rng, (uint32_t)tensor->n_dims)];
        *dim = rng_chance(rng, 80) ? (int64_t)rng_below(rng, 14) : any_int(rng);
        if (rng_chance(rng, 90))
            fit_data(tensor);
    } else if (n > 0) {
        float x = any_float(rng);
        int64_t i = any_int(rng);
        memcpy(tensor->raw_data.data + size * rng_below(rng, (uint32_t)n), size == 4 ? (void *)&x : (void *)&i, size);
    }
}

/* ---- names --------------------------------------------------------------- */

/* Of a value of the graph, or none. */
static const char *any_value(struct rng *rng, const Onnx__GraphProto *graph)
{
    uint32_t kind = rng_below(rng, 10);
    const Onnx__NodeProto *node;
    if (kind < 6 && graph->n_node) {
        node = graph->node[rng_below(rng, (uint32_t)graph->n_node)];
        return node->n_output ? node->output[rng_below(rng, (uint32_t)node->n_output)] : "";
    }
    if (kind < 8 && graph->n_initializer)
        return graph->initializer[rng_below(rng, (uint32_t)graph->n_initializer)]->name;
    if (kind < 9 && graph->n_input)
        return graph->input[rng_below(rng, (uint32_t)graph->n_input)]->name;
    return "";
}

static void edit_shape(struct rng *rng, Onnx__ValueInfoProto *value)
{
    Onnx__TensorShapeProto *shape = value->type && value->type->tensor_type ? value->type->tensor_type->shape : NULL;
    Onnx__TensorShapeProto__Dimension *dim;
    if (!shape || !shape->n_dim)
        return;
    if (rng_chance(rng, 10)) {
        protobuf_c_message_free_unpacked(&shape->dim[--shape->n_dim]->base, NULL);
        return;
    }
    dim = shape->dim[rng_below(rng, (uint32_t)shape->n_dim)];
    dim->has_dim_value = rng_chance(rng, 70);
    dim->dim_value = rng_chance(rng, 80) ? (int64_t)rng_below(rng, 8) : any_int(rng);
}

/* ---- nodes --------------------------------------------------------------- */

static void edit_graph(struct rng *rng, Onnx__GraphProto *graph, unsigned depth);

static void edit_subgraph(struct rng *rng, ProtobufCBinaryData *bytes, unsigned depth)
{
    Onnx__GraphProto *graph = depth ? onnx__graph_proto__unpack(NULL, bytes->len, bytes->data) : NULL;
    uint8_t *packed;
    if (!graph)
        return;
    edit_graph(rng, graph, depth - 1);
    packed = malloc(onnx__graph_proto__get_packed_size(graph) + 1);
    if (packed) {
        free(bytes->data);
        bytes->len = onnx__graph_proto__pack(graph, packed);
        bytes->data = packed;
    }
    onnx__graph_proto__free_unpacked(graph, NULL);
}

static void edit_attribute(struct rng *rng, Onnx__AttributeProto *attribute, unsigned depth)
{
    if (attribute->has_g)
        edit_subgraph(rng, &attribute->g, depth);
    else if (attribute->t)
        edit_tensor(rng, attribute->t);
    else if (attribute->n_ints)
        attribute->ints[rng_below(rng, (uint32_t)attribute->n_ints)] = any_int(rng);
    else if (attribute->n_floats)
        attribute->floats[rng_below(rng, (uint32_t)attribute->n_floats)] = any_float(rng);
    else if (attribute->has_i)
        attribute->i = any_int(rng);
    else if (attribute->has_f)
        attribute->f = any_float(rng);
}

static void edit_operator(struct rng *rng, const Onnx__GraphProto *graph, Onnx__NodeProto *node)
{
    static const char *const known[] = {
        "Add", "Sub", "Mul", "Div", "Neg", "Relu", "Tanh", "Sigmoid", "Identity", "Cast", "Not", "Slice", "Gather",
        "Concat", "Split", "Squeeze", "Unsqueeze", "Reshape", "Transpose", "Flatten", "Expand", "Shape", "MatMul",
        "Gemm", "ReduceSum", "ReduceMean", "Where", "Equal", "Softmax", "Pad", "Conv", "MaxPool", "LSTM", "GRU", "RNN",
        "Clip", "Pow", "Sqrt", "ConstantOfShape", "Range", "Tile", "ScatterElements", "SplitToSequence", "SequenceAt"};
    const char *to = rng_chance(rng, 60) ? known[rng_below(rng, sizeof known / sizeof *known)]
                                         : graph->node[rng_below(rng, (uint32_t)graph->n_node)]->op_type;
    set_text(&node->op_type, to);
}

static void swap_nodes(struct rng *rng, Onnx__GraphProto *graph)
{
    Onnx__NodeProto **a = &graph->node[rng_below(rng, (uint32_t)graph->n_node)];
    Onnx__NodeProto **b = &graph->node[rng_below(rng, (uint32_t)graph->n_node)], *node = *a;
    *a = *b;
    *b = node;
}

static void edit_node(struct rng *rng, Onnx__GraphProto *graph, unsigned depth)
{
    Onnx__NodeProto *node = graph->node[rng_below(rng, (uint32_t)graph->n_node)];
    uint32_t kind = rng_below(rng, 12);
    if (kind < 5 && node->n_input)
        set_text(&node->input[rng_below(rng, (uint32_t)node->n_input)], any_value(rng, graph));
    else if (kind < 7)
        edit_operator(rng, graph, node);
    else if (kind < 10 && node->n_attribute)
        edit_attribute(rng, node->attribute[rng_below(rng, (uint32_t)node->n_attribute)], depth);
    else if (kind == 10 && node->n_attribute)
        onnx__attribute_proto__free_unpacked(node->attribute[--node->n_attribute], NULL);
    else if (kind == 11 && node->n_input)
        free(node->input[--node->n_input]);
    else
        swap_nodes(rng, graph);
}

static void edit_graph(struct rng *rng, Onnx__GraphProto *graph, unsigned depth)
{
    uint32_t kind = rng_below(rng, 12);
    if (kind < 4 && graph->n_initializer)
        edit_tensor(rng, graph->initializer[rng_below(rng, (uint32_t)graph->n_initializer)]);
    else if (kind == 4 && graph->n_input)
        edit_shape(rng, graph->input[rng_below(rng, (uint32_t)graph->n_input)]);
    else if (kind == 5 && graph->n_output)
        set_text(&graph->output[rng_below(rng, (uint32_t)graph->n_output)]->name, any_value(rng, graph));
    else if (graph->n_node)
        edit_node(rng, graph, depth);
}

/* ---- files --------------------------------------------------------------- */

size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max_size, unsigned seed)
{
    struct rng rng = {seed};
    Onnx__ModelProto *model = rng_chance(&rng, 50) ? onnx__model_proto__unpack(NULL, size, data) : NULL;
    size_t packed = 0;
    if (model && model->graph) {
        for (uint32_t n = 1 + rng_below(&rng, MAX_EDITS); n-- > 0;)
            edit_graph(&rng, model->graph, MAX_DEPTH);
        packed = onnx__model_proto__get_packed_size(model);
        packed = packed <= max_size ? onnx__model_proto__pack(model, data) : 0;
    }
    if (model)
        onnx__model_proto__free_unpacked(model, NULL);
    return packed ? packed : LLVMFuzzerMutate(data, size, max_size);
}
