/* SPDX-License-Identifier: MIT
 *
 * The table of operators: a row says which attributes an operator has, and who handles
 * it on constants and on values that are computed at run time.
 */
#include "formats/onnx/onnx_internal.h"

#include <string.h>

enum {
    FIRST_RUNS = 1, /* at run time, input 0 is the computed one */
    PASSES_ON = 2,  /* hands on states and lengths without change */
    KNOWS_SHAPE = 4, /* asks for shapes only: `fold` takes computed values too */
    JOINS_BIAS = 8, /* wants to see a product before it is emitted */
    NO_INPUT = 16,
    ANY_ORDER = 32, /* takes features in whatever order they have in memory */
    ANY_PADDING = 64, /* passes on what a Pad has asked for */
    ANY_STEP = 128, /* takes single steps of an unrolled loop */
    ANY_LIST = 256, /* takes lists of steps */
    ARRANGES = ANY_ORDER | ANY_PADDING | ANY_STEP,
};

struct operator_row {
    const char *op;
    const char *attributes; /* "name:type …": i, f, s, t, or I, F, S for lists */
    onnx_handler *fold, *layer;
    unsigned flags;
};

#define RNN_ATTRIBUTES "activation_alpha:F activation_beta:F activations:S clip:f direction:s " \
                       "hidden_size:i layout:i "

static const struct operator_row rows[] = {
    {"LSTM", RNN_ATTRIBUTES "input_forget:i", NULL, onnx_lay_rnn, 0},
    {"GRU", RNN_ATTRIBUTES "linear_before_reset:i", NULL, onnx_lay_rnn, 0},
    {"RNN", RNN_ATTRIBUTES, NULL, onnx_lay_rnn, 0},

    {"Gemm", "alpha:f beta:f transA:i transB:i", NULL, onnx_lay_gemm, 0},
    {"MatMul", "", NULL, onnx_lay_matmul, 0},
    {"Add", "", onnx_fold_binary, onnx_lay_binary, JOINS_BIAS | ANY_ORDER},
    {"Sub", "", onnx_fold_binary, onnx_lay_binary, ANY_ORDER},
    {"Mul", "", onnx_fold_binary, onnx_lay_binary, ANY_ORDER},
    {"Div", "", onnx_fold_binary, onnx_lay_binary, ANY_ORDER},
    {"Pow", "", onnx_fold_binary, onnx_lay_pow, FIRST_RUNS | ANY_ORDER},
    {"Sqrt", "", onnx_fold_unary, onnx_lay_sqrt, FIRST_RUNS | ANY_ORDER},
    {"Neg", "", onnx_fold_neg, onnx_lay_neg, FIRST_RUNS | ANY_ORDER},

    {"Conv", "auto_pad:s dilations:I group:i kernel_shape:I pads:I strides:I", NULL, onnx_lay_conv,
     FIRST_RUNS | ANY_ORDER | ANY_PADDING},
    {"MaxPool", "auto_pad:s ceil_mode:i dilations:I kernel_shape:I pads:I storage_order:i strides:I", NULL,
     onnx_lay_pool, FIRST_RUNS | ANY_ORDER},
    {"AveragePool", "auto_pad:s ceil_mode:i count_include_pad:i dilations:I kernel_shape:I pads:I strides:I",
     NULL, onnx_lay_pool, FIRST_RUNS | ANY_ORDER},
    {"Pad", "mode:s pads:I value:f", onnx_fold_pad, onnx_lay_pad, FIRST_RUNS | ANY_ORDER | ANY_PADDING},
    {"Clip", "min:f max:f", onnx_fold_clip, onnx_lay_clip, FIRST_RUNS | ANY_ORDER},
    {"ReduceL2", "axes:I keepdims:i noop_with_empty_axes:i", NULL, onnx_lay_length, FIRST_RUNS},
    {"DequantizeLinear", "axis:i block_size:i output_dtype:i", onnx_fold_dequantize, NULL, 0},

    {"Sigmoid", "", NULL, onnx_lay_activation, FIRST_RUNS | ANY_ORDER},
    {"Tanh", "", NULL, onnx_lay_activation, FIRST_RUNS | ANY_ORDER},
    {"Relu", "", NULL, onnx_lay_activation, FIRST_RUNS | ANY_ORDER},
    {"LeakyRelu", "alpha:f", NULL, onnx_lay_activation, FIRST_RUNS | ANY_ORDER},
    {"ThresholdedRelu", "alpha:f", NULL, onnx_lay_activation, FIRST_RUNS | ANY_ORDER},
    {"HardSigmoid", "alpha:f beta:f", NULL, onnx_lay_activation, FIRST_RUNS | ANY_ORDER},
    {"HardSwish", "", NULL, onnx_lay_hard_swish, FIRST_RUNS},
    {"Elu", "alpha:f", NULL, onnx_lay_activation, FIRST_RUNS | ANY_ORDER},
    {"Softsign", "", NULL, onnx_lay_activation, FIRST_RUNS | ANY_ORDER},
    {"Softplus", "", NULL, onnx_lay_activation, FIRST_RUNS | ANY_ORDER},
    {"Softmax", "axis:i", NULL, onnx_lay_softmax, FIRST_RUNS | ANY_ORDER},
    {"LayerNormalization", "axis:i epsilon:f stash_type:i", NULL, onnx_lay_layer_norm, FIRST_RUNS},
    {"BatchNormalization", "epsilon:f momentum:f training_mode:i", NULL, onnx_lay_batch_norm,
     FIRST_RUNS | ANY_ORDER},

    {"ReduceMean", "axes:I keepdims:i noop_with_empty_axes:i", NULL, onnx_lay_reduce, FIRST_RUNS},
    {"ReduceSum", "axes:I keepdims:i noop_with_empty_axes:i", NULL, onnx_lay_sum, FIRST_RUNS},
    {"ReverseSequence", "batch_axis:i time_axis:i", NULL, onnx_lay_reverse_sequence, FIRST_RUNS},
    {"ReduceMax", "axes:I keepdims:i noop_with_empty_axes:i", NULL, onnx_lay_reduce, FIRST_RUNS},
    {"GlobalAveragePool", "", NULL, onnx_lay_global_pool, FIRST_RUNS},
    {"GlobalMaxPool", "", NULL, onnx_lay_global_pool, FIRST_RUNS},

    {"Identity", "", onnx_fold_same, onnx_lay_identity, FIRST_RUNS | PASSES_ON | ARRANGES},
    {"Dropout", "ratio:f seed:i", onnx_fold_same, onnx_lay_dropout, FIRST_RUNS | PASSES_ON | ARRANGES},
    {"Cast", "to:i saturate:i", onnx_fold_cast, onnx_lay_cast, FIRST_RUNS | PASSES_ON | ARRANGES},
    {"Transpose", "perm:I", onnx_fold_transpose, onnx_lay_transpose, FIRST_RUNS | PASSES_ON | ARRANGES},
    {"Squeeze", "axes:I", onnx_fold_squeeze, onnx_lay_squeeze, FIRST_RUNS | PASSES_ON | ARRANGES},
    {"Unsqueeze", "axes:I", onnx_fold_unsqueeze, onnx_lay_unsqueeze, FIRST_RUNS | PASSES_ON | ARRANGES},
    {"Reshape", "allowzero:i", onnx_fold_reshape, onnx_lay_reshape, FIRST_RUNS | PASSES_ON},
    {"Flatten", "axis:i", NULL, onnx_lay_flatten, FIRST_RUNS},
    {"Expand", "", onnx_fold_expand, onnx_lay_expand, FIRST_RUNS},
    {"Gather", "axis:i", onnx_fold_gather, onnx_lay_gather, PASSES_ON | ANY_ORDER | ANY_STEP},
    {"Slice", "starts:I ends:I axes:I", onnx_fold_slice, onnx_lay_slice,
     FIRST_RUNS | PASSES_ON | ANY_ORDER | ANY_STEP},
    {"SplitToSequence", "axis:i keepdims:i", NULL, onnx_lay_steps_apart, FIRST_RUNS | ANY_ORDER | ANY_STEP},
    {"SequenceAt", "", NULL, onnx_lay_step_of, FIRST_RUNS | ANY_ORDER | ANY_STEP | ANY_LIST},
    {"Split", "axis:i split:I num_outputs:i", onnx_fold_split, onnx_lay_split,
     FIRST_RUNS | PASSES_ON | ANY_ORDER | ANY_STEP},
    {"Concat", "axis:i", onnx_fold_concat, onnx_lay_concat, PASSES_ON | ANY_ORDER | ANY_STEP},

    {"Constant", "value:t value_float:f value_int:i value_floats:F value_ints:I", onnx_fold_constant,
     NULL, NO_INPUT},
    {"ConstantOfShape", "value:t", onnx_fold_fill, NULL, 0},
    {"Range", "", onnx_fold_range, NULL, 0},
    {"Shape", "start:i end:i", onnx_fold_shape, NULL, KNOWS_SHAPE | ARRANGES},
    {"Size", "", onnx_fold_size, NULL, KNOWS_SHAPE | ARRANGES},
    {"Equal", "", onnx_fold_binary, NULL, 0},
    {"LessOrEqual", "", onnx_fold_binary, NULL, 0},
    {"GreaterOrEqual", "", onnx_fold_binary, NULL, 0},
    {"And", "", onnx_fold_binary, NULL, 0},
    {"Or", "", onnx_fold_binary, NULL, 0},
    {"Min", "", onnx_fold_binary, NULL, 0},
    {"Max", "", onnx_fold_binary, NULL, 0},
    {"Less", "", onnx_fold_binary, NULL, 0},
    {"Greater", "", onnx_fold_binary, NULL, 0},
    {"Not", "", onnx_fold_not, NULL, 0},
    {"ReduceProd", "axes:I keepdims:i noop_with_empty_axes:i", onnx_fold_product, NULL, 0},
    {"Where", "", onnx_fold_where, NULL, 0},
};

static const struct operator_row *find_row(const char *op)
{
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        if (strcmp(rows[i].op, op) == 0)
            return &rows[i];
    return NULL;
}

bool onnx_is_op(const struct onnx_node *node, const char *op)
{
    const char *domain = node->proto->domain;
    return node->kind == NODE_PLAIN && node->proto->op_type && strcmp(node->proto->op_type, op) == 0 &&
           (!domain || !*domain || strcmp(domain, "ai.onnx") == 0);
}

bool onnx_is_recurrent(const struct onnx_node *node)
{
    return node->kind == NODE_CELL || onnx_is_op(node, "LSTM") || onnx_is_op(node, "GRU") ||
           onnx_is_op(node, "RNN");
}

bool onnx_declared_shape(const struct onnx_value *value, uint32_t *rank_out, struct onnx_int *dims)
{
    const Onnx__TypeProto *type = value->input ? value->input->type : NULL;
    const Onnx__TensorShapeProto *shape = type && type->tensor_type ? type->tensor_type->shape : NULL;
    if (!shape || shape->n_dim > ONNX_MAX_AXES)
        return false;
    *rank_out = (uint32_t)shape->n_dim;
    for (uint32_t i = 0; i < *rank_out; i++) {
        const Onnx__TensorShapeProto__Dimension *dim = shape->dim[i];
        bool fixed = dim->has_dim_value && dim->dim_value > 0 && dim->dim_value <= MODEL_MAX_DIM;
        dims[i] = fixed ? onnx_plain(dim->dim_value) : onnx_axis_size(onnx_run_time(AXIS_BATCH, 0));
    }
    return true;
}

bool onnx_passes_on(const char *op)
{
    const struct operator_row *row = find_row(op);
    return row && row->flags & PASSES_ON;
}

bool onnx_folds(const struct onnx_node *node)
{
    const struct operator_row *row = find_row(node->proto->op_type ? node->proto->op_type : "");
    return row && row->fold && node->kind == NODE_PLAIN;
}

/* ---- attributes ---------------------------------------------------------- */

/* The type that the row gives this attribute, 0 if it has none of the name. */
static char attribute_type(const struct operator_row *row, const char *name)
{
    size_t n = strlen(name);
    for (const char *at = row->attributes; *at;) {
        size_t n_word = strcspn(at, " ");
        if (n_word == n + 2 && memcmp(at, name, n) == 0)
            return at[n + 1];
        at += n_word;
        at += strspn(at, " ");
    }
    return 0;
}

/* The numbers of ONNX's AttributeProto.AttributeType; old files have none. */
static bool has_type(const Onnx__AttributeProto *a, char type)
{
    static const char types[] = " fist FIS"; /* 1 float, 2 int, 3 string, 4 tensor, 6 to 8 lists */
    switch (type) {
    case 't':
        return a->t != NULL;
    case 's':
        if (!a->has_s)
            return false;
        break;
    default:
        break;
    }
    if (a->has_type && a->type != 0)
        return a->type > 0 && a->type < (int)sizeof types - 1 && types[a->type] == type;
    return type == 'f' ? a->has_f : type == 'i' ? a->has_i : true;
}

static bool check_attributes(struct onnx_import *import, const struct operator_row *row)
{
    const Onnx__NodeProto *proto = import->node->proto;
    for (size_t i = 0; i < proto->n_attribute; i++) {
        const Onnx__AttributeProto *a = proto->attribute[i];
        const char *name = a->name ? a->name : "";
        char type = attribute_type(row, name);
        if (!type)
            return onnx_fail(import, "attribute '%.60s' is not supported", name);
        if (a->ref_attr_name || !has_type(a, type))
            return onnx_fail(import, "attribute '%.60s' is not of the type that the operator has", name);
    }
    return true;
}

/* ---- inputs -------------------------------------------------------------- */

bool onnx_make_known(struct onnx_import *import, struct onnx_value *value)
{
    if (value->kind == ONNX_UNKNOWN && value->initializer) {
        if (!onnx_decode(import, value->initializer, value->name, &value->as.constant))
            return false;
        value->kind = ONNX_CONST;
    }
    return true;
}

static const char *role_text(enum onnx_role role)
{
    return role == ROLE_STATE     ? "an input for recurrent states"
           : role == ROLE_LENGTHS ? "an input for the lengths of sequences"
                                  : "the cell state of a recurrent node";
}

struct inputs {
    uint32_t n_frames, n_statistics, n_terms;
    const struct onnx_value *opaque;
};

static bool look_at_inputs(struct onnx_import *import, const struct operator_row *row,
                           struct inputs *out)
{
    bool recurrent = row->layer == onnx_lay_rnn; /* which says more about what it misses */
    for (uint32_t i = 0; i < import->node->n_inputs; i++) {
        struct onnx_value *value = onnx_input(import, i);
        if (!value)
            continue;
        if (!onnx_make_known(import, value))
            return false;
        if (value->kind == ONNX_FRAMES) {
            out->n_frames++;
            if (!(row->flags & JOINS_BIAS) && !onnx_settle(import, &value->as.frames, NULL))
                return false;
            if ((!(row->flags & ANY_STEP) || (value->as.frames.apart && !(row->flags & ANY_LIST))) &&
                !onnx_leave_loop(import, &value->as.frames))
                return false;
            if (!(row->flags & ANY_PADDING) && !onnx_refuse_padding(import, value))
                return false;
            if (!(row->flags & ANY_ORDER) && !onnx_in_order(import, &value->as.frames))
                return false;
        } else if (value->kind == ONNX_STATISTIC) {
            out->n_statistics++;
        } else if (value->kind == ONNX_TERM) {
            out->n_terms++;
        } else if (value->kind == ONNX_OPAQUE) {
            out->opaque = value;
        } else if (value->kind == ONNX_UNKNOWN && !recurrent) {
            return onnx_fail(import, "its input '%s' is %s", value->name,
                             value->input ? "an input of the graph for something else than data, "
                                            "states or lengths"
                                          : "an output that its operator does not give");
        }
    }
    return true;
}

/* Axes of a state that the current node cuts, takes away or puts in front; as bits. */
static bool touched_axes(struct onnx_import *import, uint32_t rank, uint32_t *bits)
{
    const struct onnx_node *node = import->node;
    struct onnx_range ranges[ONNX_MAX_AXES];
    struct onnx_axes axes;
    uint32_t n, axis = onnx_axis_index(onnx_attribute_int(import, "axis", 0), rank);
    *bits = 0;
    if (onnx_is_op(node, "Gather") || onnx_is_op(node, "Split")) {
        *bits = axis == UINT32_MAX ? 0 : UINT32_C(1) << axis;
        return axis != UINT32_MAX;
    }
    if (onnx_is_op(node, "Slice")) {
        if (!onnx_slice_ranges(import, rank, ranges, &n))
            return false;
        for (uint32_t i = 0; i < n; i++)
            *bits |= UINT32_C(1) << ranges[i].axis;
        return true;
    }
    if (onnx_is_op(node, "Transpose")) {
        *bits = UINT32_MAX;
        return true;
    }
    if (!onnx_is_op(node, "Squeeze") && !onnx_is_op(node, "Unsqueeze"))
        return onnx_is_op(node, "Identity") || onnx_is_op(node, "Cast") || onnx_is_op(node, "Dropout");
    if (!onnx_node_axes(import, rank, onnx_is_op(node, "Unsqueeze"), &axes) || !axes.given)
        return false;
    *bits = axes.bits;
    return true;
}

/* A state behind the current node, which only arranges it: what can be said of its shape. */
static void pass_shape(struct onnx_import *import, const struct onnx_opaque *in, struct onnx_opaque *out)
{
    const struct onnx_node *node = import->node;
    const struct onnx_value *by = onnx_input(import, 1);
    uint32_t bits, n;
    if (!in->has_rank || in->rank == 0 || !touched_axes(import, in->rank, &bits))
        return;
    n = (uint32_t)__builtin_popcount(bits);
    out->rank = in->rank;
    if (onnx_is_op(node, "Gather"))
        out->rank += by && by->kind == ONNX_CONST ? by->as.constant.rank - 1 : 0;
    else if (onnx_is_op(node, "Squeeze"))
        out->rank -= n;
    else if (onnx_is_op(node, "Unsqueeze"))
        out->rank += n;
    out->has_rank = out->rank <= ONNX_MAX_AXES;
    n = onnx_is_op(node, "Unsqueeze") ? out->rank : in->rank;
    if (!(bits >> (n - 1) & 1))
        out->n_last = in->n_last;
}

static bool pass_on(struct onnx_import *import, const struct operator_row *row,
                    const struct onnx_value *opaque)
{
    const struct onnx_opaque in = opaque->as.opaque;
    if (row->flags & KNOWS_SHAPE && opaque->as.opaque.has_shape)
        return row->fold(import);
    if (!(row->flags & PASSES_ON) || opaque != onnx_input(import, 0))
        return onnx_fail(import, "computes with '%s', %s, which is not supported", opaque->name,
                         role_text(opaque->as.opaque.role));
    for (uint32_t i = 0; i < import->node->n_outputs; i++) {
        struct onnx_value *value = onnx_output(import, i);
        if (value) {
            value->kind = ONNX_OPAQUE;
            value->as.opaque = (struct onnx_opaque){.role = opaque->as.opaque.role};
            pass_shape(import, &in, &value->as.opaque);
        }
    }
    return true;
}

/* ---- If ------------------------------------------------------------------ */

static bool decide(struct onnx_import *import)
{
    struct onnx_value *value = onnx_input(import, 0);
    const struct onnx_const *c = value ? &value->as.constant : NULL;
    if (value && !onnx_make_known(import, value))
        return false;
    if (!value || value->kind != ONNX_CONST || !c->is_int || c->count != 1 ||
        (!onnx_is_plain(c->ints[0]) && c->ints[0].offset < 0))
        return onnx_fail(import, "its condition ('%s') is not known when converting; only conditions that "
                         "follow "
                         "from constants and shapes are supported", value ? value->name : "");
    /* A run-time size is at least 1. */
    import->nodes[import->node - import->nodes].taken = !onnx_same(c->ints[0], onnx_plain(0));
    return true;
}

static bool join(struct onnx_import *import)
{
    uint32_t n = import->node->n_outputs, first = import->nodes[import->node->decides].taken ? 0 : n;
    for (uint32_t i = 0; i < n; i++) {
        struct onnx_value *from = onnx_input(import, first + i), *to = onnx_output(import, i);
        if (!to || !from)
            continue;
        if (!onnx_make_known(import, from))
            return false;
        to->kind = from->kind;
        to->as = from->as;
    }
    return true;
}

/* ---- any node ------------------------------------------------------------ */

static bool handle_plain(struct onnx_import *import)
{
    const Onnx__NodeProto *proto = import->node->proto;
    const char *domain = proto->domain ? proto->domain : "";
    const struct operator_row *row;
    struct inputs inputs = {0};
    if (strcmp(proto->op_type ? proto->op_type : "", "DynamicQuantizeLSTM") == 0)
        return onnx_fail(import, "quantises its activations at run time, which is not supported; quantise "
                         "weights "
                         "only (DequantizeLinear), or convert the model in floats");
    if (*domain && strcmp(domain, "ai.onnx") != 0)
        return onnx_fail(import, "the operator belongs to the domain '%.60s', which is not supported",
                         domain);
    row = find_row(proto->op_type ? proto->op_type : "");
    if (!row)
        return onnx_fail(import, "the operator is not supported");
    if (!check_attributes(import, row) || !look_at_inputs(import, row, &inputs))
        return false;
    if (!(row->flags & NO_INPUT) && !onnx_input(import, 0))
        return onnx_fail(import, "has no first input");
    if (inputs.n_terms) {
        bool taken;
        if (!onnx_lay_wrap(import, &taken))
            return false;
        return taken || onnx_lay_term(import);
    }
    if (row->layer == onnx_lay_rnn)
        return onnx_lay_rnn(import);
    if (inputs.opaque)
        return pass_on(import, row, inputs.opaque);
    if (inputs.n_frames + inputs.n_statistics > 0) {
        bool taken;
        if (!onnx_lay_mask(import, &taken))
            return false;
        if (taken)
            return true;
        if (!onnx_lay_statistic(import, &taken))
            return false;
        if (taken)
            return true;
    }
    if (inputs.n_statistics)
        return onnx_fail(import, "takes part in a mean or variance over features that is no layer "
                         "normalisation, which is not supported");
    if (inputs.n_frames == 0) {
        bool taken;
        if (!onnx_lay_limit(import, &taken))
            return false;
        if (taken)
            return true;
    }
    if (inputs.n_frames == 0 || row->flags & KNOWS_SHAPE)
        return row->fold ? row->fold(import)
                         : onnx_fail(import, "is not supported on constants only");
    if (!row->layer)
        return onnx_fail(import, "is supported %s only", row->fold ? "on constants and shapes"
                                                                   : "as a step of a layer normalisation");
    if (row->flags & FIRST_RUNS && onnx_input(import, 0)->kind != ONNX_FRAMES)
        return onnx_fail(import, "has a constant as first input and a computed value after it, which is "
                         "not supported");
    return row->layer(import);
}

bool onnx_handle(struct onnx_import *import)
{
    switch (import->node->kind) {
    case NODE_IF: return decide(import);
    case NODE_JOIN: return join(import);
    case NODE_CELL: return onnx_lay_cell(import);
    case NODE_ZEROS: return onnx_give_zeros(import);
    case NODE_LOOP: return onnx_enter_loop(import);
    case NODE_LOOP_END: return onnx_leave_body(import);
    default: return handle_plain(import);
    }
}
