/* SPDX-License-Identifier: MIT
 *
 * What the files of the ONNX importer share: the graph with its names resolved, and
 * what is known of each ONNX value while the graph is walked.
 */
#ifndef LSTMRUN_FORMATS_ONNX_INTERNAL_H
#define LSTMRUN_FORMATS_ONNX_INTERNAL_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "formats/import_common.h"
#include "onnx.pb-c.h"

enum {
    ONNX_MAX_AXES = 8,
    ONNX_MIN_OPSET = 7, /* before, broadcasting and recurrent nodes had other rules */
    ONNX_MAX_DEPTH = 16, /* of an If inside an If */
    ONNX_ABSENT = -1,   /* an input that a node leaves out */
    ONNX_MAX_PACES = 256,
};

/* Numbers of ONNX's TensorProto.DataType. */
enum onnx_dtype {
    ONNX_FLOAT = 1, ONNX_UINT8 = 2, ONNX_INT8 = 3, ONNX_UINT16 = 4, ONNX_INT16 = 5,
    ONNX_INT32 = 6, ONNX_INT64 = 7, ONNX_BOOL = 9, ONNX_FLOAT16 = 10, ONNX_DOUBLE = 11,
    ONNX_UINT32 = 12, ONNX_UINT64 = 13, ONNX_BFLOAT16 = 16,
};

/* ---- memory -------------------------------------------------------------- */

/* Everything made during an import lies here and ends with it. `left` bounds what a
 * file can make the importer ask for. */
struct onnx_arena {
    struct onnx_chunk *chunks;
    size_t left;
};

void *onnx_arena_alloc(struct onnx_arena *arena, size_t n, size_t size); /* zeroed; NULL: none left */
void onnx_arena_release(struct onnx_arena *arena, struct onnx_chunk *down_to);

/* ---- values -------------------------------------------------------------- */

/* A whole number known up to the run-time sizes: factor · T^times · B^batches + offset.
 * Plain numbers have factor 0. T is the number of steps at a pace: 0 for the input's, another one where
 * convolutions have left fewer. */
struct onnx_int {
    int64_t factor, offset;
    uint32_t times, batches, pace;
};

/* A constant. Along a dimension of run-time size all elements are equal and one of them
 * is stored. */
struct onnx_const {
    bool is_int; /* `ints` (bool too), else `floats` */
    uint32_t rank;
    struct onnx_int dims[ONNX_MAX_AXES];
    size_t count; /* stored elements */
    const float *floats;
    const struct onnx_int *ints;
};

enum onnx_axis_kind { AXIS_FEATURE, AXIS_TIME, AXIS_BATCH, AXIS_TIME_BATCH, AXIS_BATCH_TIME };

/* What a Pad node put around an axis, until the Conv behind it takes it up. */
struct onnx_padding {
    uint32_t before, after; /* `size` has them in it */
    enum model_padding kind;
};

struct onnx_axis {
    enum onnx_axis_kind kind;
    uint32_t size;  /* of a feature axis */
    uint32_t place; /* of a feature axis: lower ones come first in memory, equal ones in their order */
    uint32_t pace;  /* of an axis with time */
    struct onnx_padding padding;
};

/* What runs: frames of a model value, seen through ONNX axes. The feature axes in the order of
 * their places are the frame, row-major; where time and batch stand between them is layout only.
 * Transposing swaps axes with their places and costs nothing, until somebody needs them in order. */
struct onnx_frames {
    uint32_t value;
    bool once;   /* one frame a run */
    bool is_int; /* whole numbers: tokens */
    /* Truths, 1 where a step counts (`inverted`: where it does not): the output of a mask layer, or
     * before there is one, whether each of the numbers differs from `number`. is_int is set too. */
    bool is_mask, inverted, of_numbers;
    float number;
    bool is_step; /* one step of the value, number `step`: where a loop was unrolled */
    uint32_t step;
    bool backward;   /* the steps in the opposite order */
    bool apart;      /* a list of the steps, each without `apart_axis`, or if kept with 1 there */
    bool apart_kept;
    uint32_t apart_axis;
    uint32_t n_axes;
    struct onnx_axis axes[ONNX_MAX_AXES];
    /* A product along the last axis not yet emitted, so that its bias can join it:
     * [n_out][size of the axis]. Only the Add of a bias sees it; onnx_handle emits it before
     * anything else looks. */
    const float *weights;
    uint32_t n_out;
};

static inline struct onnx_axis onnx_feature(uint32_t size)
{
    return (struct onnx_axis){.kind = AXIS_FEATURE, .size = size};
}

static inline struct onnx_axis onnx_run_time(enum onnx_axis_kind kind, uint32_t pace)
{
    return (struct onnx_axis){.kind = kind, .pace = pace};
}

/* What cannot be computed with, only handed to the place made for it. */
enum onnx_role { ROLE_STATE, ROLE_LENGTHS, ROLE_CELL };

struct onnx_opaque {
    enum onnx_role role;
    uint32_t value, step; /* of a cell's c: its layer's value, and after which step of an unrolled loop */
    bool has_shape; /* of an input of the graph */
    bool has_rank;
    uint32_t rank;
    uint32_t n_last; /* size of the last axis, 0: not known */
    struct onnx_int dims[ONNX_MAX_AXES];
};

/* Steps of a layer or length normalisation written out, each of the frames `of`: nothing is
 * emitted until they have come together. */
enum onnx_step {
    STEP_MEAN, STEP_CENTRED, STEP_SQUARED, STEP_VARIANCE, STEP_VARIANCE_EPSILON, STEP_DEVIATION,
    STEP_LENGTH, /* not below epsilon */
};

struct onnx_statistic {
    enum onnx_step step;
    int32_t of; /* value */
    float epsilon;
};

enum onnx_kind { ONNX_UNKNOWN, ONNX_CONST, ONNX_FRAMES, ONNX_OPAQUE, ONNX_STATISTIC, ONNX_TERM };

struct onnx_value {
    const char *name;
    uint32_t scope;   /* the graph that it is in: 0 for the outermost */
    int64_t producer; /* node index, or -1 */
    uint32_t slot;    /* which output of it */
    uint32_t n_uses;  /* by live nodes and the graph's outputs */
    const Onnx__TensorProto *initializer;
    const Onnx__ValueInfoProto *input;
    bool has_role; /* an input of the graph that is no data: `role` */
    enum onnx_role role;
    bool is_fixed; /* an input that --spec makes a constant: `fixed` */
    double fixed;
    enum onnx_kind kind;
    union {
        struct onnx_const constant;
        struct onnx_frames frames;
        struct onnx_opaque opaque;
        struct onnx_statistic statistic;
        const struct onnx_term *term; /* in the body of a Loop: onnx_loop.h */
    } as;
};

/* An If with its branches lies in the list of nodes as: the If, which decides; the nodes of both
 * branches, guarded by it; its join, which hands on the outputs of the branch taken. A Loop lies in it
 * as: its beginning, which has the body's inputs as outputs; the nodes of the body, guarded by it; its
 * end, which has the body's outputs as inputs behind the number of rounds. */
enum onnx_node_kind {
    NODE_PLAIN, NODE_IF, NODE_JOIN, NODE_CELL, NODE_LOOP, NODE_LOOP_END,
    NODE_ZEROS, /* zeros for loops alone: their shape, which may follow from computed values, is not asked */
};

struct onnx_node {
    const Onnx__NodeProto *proto;
    enum onnx_node_kind kind;
    const char *name; /* its own, or its first output's */
    uint32_t n_inputs, n_outputs;
    int32_t *inputs; /* values, or ONNX_ABSENT; of a join: outputs of then, of else, the condition */
    int32_t *outputs;
    int32_t guard;   /* the NODE_IF or NODE_LOOP in whose branch it is, or -1 */
    bool branch;     /* of a guarded one: it is in `then` */
    bool taken;      /* of a NODE_IF: the branch that is run */
    bool live;       /* the model's output depends on it */
    bool of_cell;    /* part of a cell that has been recognised */
    bool active;     /* its branch is taken; known when the walk reaches it */
    int32_t decides; /* of a join: its NODE_IF; of a loop's beginning and end: the other one */
    struct onnx_cell *cell; /* of a NODE_CELL */
};

/* ---- the import ---------------------------------------------------------- */

/* A layer to be: nothing reaches the builder before the whole graph has been understood. */
struct onnx_layer {
    struct model_layer_spec spec;
    struct import_cell cells[2];
    uint32_t n_cells;
    const struct onnx_cell *made_of; /* a cell of an unrolled loop, on the frames `loops_over` */
    uint32_t loops_over;
    struct {
        const char *suffix;
        const float *data; /* NULL: absent */
        uint32_t rank, dims[3];
    } tensors[2];
    uint32_t n_tensors;
};

struct onnx_subgraph {
    Onnx__GraphProto *graph;
    struct onnx_subgraph *next;
};

/* What --spec says of the input. */
struct onnx_input_spec {
    int64_t size;    /* numbers a step; 0: not said */
    int64_t context; /* so many of the step before come first in the graph's frame */
};

struct onnx_text_list {
    const char *text;
    struct onnx_text_list *next;
};

struct onnx_import {
    struct import_source source; /* notes are kept until the import has succeeded */
    struct import_error *error;
    struct onnx_arena arena;
    const Onnx__ModelProto *model;
    ProtobufCAllocator *allocator; /* of parsed messages */
    struct onnx_subgraph *subgraphs;
    struct onnx_input_spec input_spec;
    int64_t opset;
    struct onnx_value *values;
    uint32_t n_values;
    struct onnx_node *nodes;
    uint32_t n_nodes;
    uint64_t progress; /* of this attempt: its error counts if it got furthest */
    const struct onnx_node *node; /* the one being looked at */
    int32_t input, output;        /* values */
    bool has_states;              /* the graph has inputs for recurrent states */
    bool unrolled;                /* it has cells that continue other cells */
    uint32_t n_unrolled;          /* so many at most in a row */
    bool has_loops;
    int64_t frozen_time, frozen_batch; /* sizes that the exporter wrote down; 0: none */
    struct pace paces[ONNX_MAX_PACES]; /* the numbers of steps that values have; 0 is the input's own */
    uint32_t n_paces;
    struct onnx_layer **layers;
    uint32_t n_layers;
    struct model_value input_frame;
    struct onnx_text_list *notes, **notes_end;
    bool no_memory; /* whatever else an attempt says */
};

/* "node 'x' (Gemm): " and the message. Returns false. */
bool onnx_fail(struct onnx_import *import, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
bool onnx_no_memory(struct onnx_import *import);
void onnx_note(struct onnx_import *import, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
void *onnx_alloc(struct onnx_import *import, size_t n, size_t size); /* NULL: error set */

/* Attributes; their types have been checked against the operator's row. */
const Onnx__AttributeProto *onnx_attribute(const struct onnx_import *import, const char *name);
int64_t onnx_attribute_int(const struct onnx_import *import, const char *name, int64_t otherwise);
float onnx_attribute_float(const struct onnx_import *import, const char *name, float otherwise);

/* Input `i` of the current node, NULL if absent. */
struct onnx_value *onnx_input(const struct onnx_import *import, uint32_t i);
struct onnx_value *onnx_output(const struct onnx_import *import, uint32_t i);
bool onnx_used(const struct onnx_import *import, uint32_t i); /* somebody reads output i */

/* ---- onnx_int.c ---------------------------------------------------------- */

struct onnx_int onnx_plain(int64_t value);
bool onnx_is_plain(struct onnx_int a);
bool onnx_same(struct onnx_int a, struct onnx_int b);
struct onnx_int onnx_axis_size(struct onnx_axis axis);

/* False if the result overflows or is no single term. Division must leave no rest when
 * run-time sizes take part. */
bool onnx_int_add(struct onnx_int a, struct onnx_int b, struct onnx_int *out);
bool onnx_int_sub(struct onnx_int a, struct onnx_int b, struct onnx_int *out);
bool onnx_int_mul(struct onnx_int a, struct onnx_int b, struct onnx_int *out);
bool onnx_int_div(struct onnx_int a, struct onnx_int b, struct onnx_int *out);
/* frozen_time at the pace of an axis, 0 if there is none. */
int64_t onnx_frozen_time(const struct onnx_import *import, uint32_t pace);
/* The plain number that was `a` when the graph was exported, as far as the file says. */
struct onnx_int onnx_frozen(const struct onnx_import *import, struct onnx_int a);
/* -1, 0, 1 as a is less than, equal to or greater than b; run-time sizes are at least 1. */
bool onnx_int_compare(struct onnx_int a, struct onnx_int b, int *order_out);

/* Whole numbers that a node has as constant input `i` or, before opset `since`, as attribute
 * `name`. *list_out is NULL when absent. False: error. */
bool onnx_int_list(struct onnx_import *import, uint32_t i, const char *name,
                   const struct onnx_int **list_out, uint32_t *n_out);
/* The same, each a plain number. */
bool onnx_plain_list(struct onnx_import *import, uint32_t i, const char *name,
                     const int64_t **list_out, uint32_t *n_out);

/* -rank ≤ axis < rank to an index; UINT32_MAX if it is none. */
uint32_t onnx_axis_index(int64_t axis, uint32_t rank);

/* The axes that the node at hand has as input 1 or attribute "axes", as bits. */
struct onnx_axes {
    bool given;
    uint32_t rank; /* that they count in */
    uint32_t bits;
};

/* They count in `rank` axes, and with `adds` in those that there will be with them. False:
 * one is out of range or there twice. */
bool onnx_node_axes(struct onnx_import *import, uint32_t rank, bool adds, struct onnx_axes *out);

/* ---- onnx_const.c -------------------------------------------------------- */

size_t onnx_extent(const struct onnx_const *c, uint32_t axis); /* stored elements along it */

/* An initialiser or attribute as a constant. */
bool onnx_decode(struct onnx_import *import, const Onnx__TensorProto *tensor, const char *name,
                 struct onnx_const *out);

/* Set count from dims and make room: floats or ints, whichever is_int says; NULL: error. */
void *onnx_const_alloc(struct onnx_import *import, struct onnx_const *c);

/* ---- onnx_fold.c, onnx_fold_math.c: operators on constants --------------------------------- */

typedef bool onnx_handler(struct onnx_import *import);

onnx_handler onnx_fold_constant, onnx_fold_shape, onnx_fold_size, onnx_fold_gather, onnx_fold_concat,
    onnx_fold_slice, onnx_fold_unsqueeze, onnx_fold_squeeze, onnx_fold_reshape, onnx_fold_transpose,
    onnx_fold_cast, onnx_fold_fill, onnx_fold_expand, onnx_fold_range, onnx_fold_binary,
    onnx_fold_where, onnx_fold_not, onnx_fold_neg, onnx_fold_split, onnx_fold_same, onnx_fold_unary,
    onnx_fold_pad, onnx_fold_clip, onnx_fold_dequantize, onnx_fold_product;

/* Input `i` of the current node, which is constant; NULL if absent. */
const struct onnx_const *onnx_operand(const struct onnx_import *import, uint32_t i);
bool onnx_give(struct onnx_import *import, uint32_t slot, const struct onnx_const *c); /* true */
size_t onnx_element_size(const struct onnx_const *c);
const uint8_t *onnx_bytes_of(const struct onnx_const *c);
/* Where in a constant with these strides the element of `out` with this row-major number lies. */
size_t onnx_locate(const struct onnx_const *out, size_t number, const size_t *strides);
/* The shape of a and b broadcast against each other, and `c`'s strides for walking it. */
bool onnx_broadcast(struct onnx_import *import, const struct onnx_int *a, uint32_t rank_a,
                    const struct onnx_const *b, struct onnx_const *out);
void onnx_broadcast_strides(const struct onnx_const *c, const struct onnx_const *out, size_t *strides);

/* One axis of a Slice: elements start, start + step … as plain numbers along `extent`. */
struct onnx_range {
    uint32_t axis;
    struct onnx_int start, end;
    int64_t step;
};

/* The Slice at hand as ranges, at most ONNX_MAX_AXES. */
bool onnx_slice_ranges(struct onnx_import *import, uint32_t rank, struct onnx_range *ranges,
                       uint32_t *n_out);
/* start and count (may be 0) along `extent` elements, both ends clamped as ONNX does. */
void onnx_clamp_range(int64_t start, int64_t end, int64_t step, int64_t extent,
                      int64_t *start_out, int64_t *count_out);
/* The sizes a Split at hand asks for along `extent` elements. */
bool onnx_split_sizes(struct onnx_import *import, int64_t extent, const int64_t **sizes_out);

/* ---- onnx_emit.c: layers to be ------------------------------------------- */

/* A layer on frames `in`, of the same shape and time as they; the caller changes what
 * differs and then adds it. NULL: out of memory. */
struct onnx_layer *onnx_layer_on(struct onnx_import *import, uint32_t type, uint32_t value);
/* Returns the value with the layer's output, MODEL_NONE after an error. */
uint32_t onnx_layer_add(struct onnx_import *import, struct onnx_layer *layer);
struct model_value onnx_frame_of(const struct onnx_import *import, uint32_t value);

/* Tensor `suffix` of the layer, NULL for an absent one; at most 3 dimensions. */
void onnx_add_data(struct onnx_layer *layer, const char *suffix, const float *data, uint32_t rank,
                   const uint32_t *dims);
/* Product of the feature axes from `begin` to before `end`. */
bool onnx_features(struct onnx_import *import, const struct onnx_frames *frames, uint32_t begin,
                   uint32_t end, uint32_t *size_out);
/* The frames' value with a frame of this shape: a reshape layer is added if need be. */
bool onnx_shaped(struct onnx_import *import, struct onnx_frames *frames, uint32_t rank,
                 const uint32_t *dims);
/* The frame as [n] or [before][n] or [before][n][after] around feature axis `axis`;
 * *frame_axis_out is n's place. */
bool onnx_shaped_around(struct onnx_import *import, struct onnx_frames *frames, uint32_t axis,
                        uint32_t *frame_axis_out);
/* Places of features in memory: axis indices, first to last, those of one number left out. Returns
 * how many. */
uint32_t onnx_memory_order(const struct onnx_frames *frames, uint32_t order[ONNX_MAX_AXES]);
/* Let memory have these axes in this order behind all others: a transpose layer if need be. */
bool onnx_bring_last(struct onnx_import *import, struct onnx_frames *frames, uint32_t n,
                     const uint32_t *axes);
/* Let memory have the axes in their own order. */
bool onnx_in_order(struct onnx_import *import, struct onnx_frames *frames);
/* Both in the same order in memory, which is theirs already or that of their axes. */
bool onnx_same_order(struct onnx_import *import, struct onnx_frames *a, struct onnx_frames *b);
/* False with a message if a Pad has asked for something that only a Conv can take up. */
bool onnx_refuse_padding(struct onnx_import *import, const struct onnx_value *value);
/* Emit the product that was waiting for its bias, if any: [n_out] or NULL. */
bool onnx_settle(struct onnx_import *import, struct onnx_frames *frames, const float *bias);
bool onnx_emit_slice(struct onnx_import *import, struct onnx_frames *frames, uint32_t axis,
                     const uint32_t start_count_step[3]);
bool onnx_emit_concat(struct onnx_import *import, const struct onnx_frames *parts, uint32_t n_parts,
                      uint32_t axis, struct onnx_frames *out);
bool onnx_emit_sequence(struct onnx_import *import, struct onnx_frames *frames, uint32_t type);
/* x · scale + shift for each of the frame's n last elements; either may be NULL. */
bool onnx_emit_scale(struct onnx_import *import, struct onnx_frames *frames, uint32_t n,
                     const float *scale, const float *shift);
bool onnx_emit_activation(struct onnx_import *import, struct onnx_frames *frames,
                          uint32_t activation, float alpha, float beta);
/* Everything into the builder. */
bool onnx_flush(struct onnx_import *import, struct model_builder *builder);
/* A copy of up to n_max bytes that FORMAT.md allows as a name (or with `lines` as the value
 * of metadata): what is no UTF-8 or a control character becomes '?'. NULL: out of memory. */
const char *onnx_clean_text(struct onnx_import *import, const char *text, size_t n_max, bool lines);

/* ---- layers: frames in, frames out --------------------------------------- */

void onnx_set_frames(struct onnx_value *value, const struct onnx_frames *frames);
/* The axes from `axis` on (or only it) are the last features: the frame gets the shape
 * [n] or [rows][n], *n_out their number. */
bool onnx_last_features(struct onnx_import *import, struct onnx_frames *frames, int64_t axis, bool only_one,
                        uint32_t *n_out);
/* Input `i` as `n` constant floats; NULL and true if absent. */
bool onnx_vector(struct onnx_import *import, uint32_t i, uint32_t n, const float **out);

/* onnx_layout.c */
onnx_handler onnx_lay_transpose, onnx_lay_squeeze, onnx_lay_unsqueeze, onnx_lay_reshape,
    onnx_lay_flatten, onnx_lay_expand, onnx_lay_identity, onnx_lay_cast, onnx_lay_dropout;
/* onnx_select.c. A step of an unrolled loop that somebody looks at alone: the first or the last one;
 * and what runs backward is put into its order. */
bool onnx_leave_loop(struct onnx_import *import, struct onnx_frames *frames);
/* False with a message if they are at different paces. */
bool onnx_keep_step(struct onnx_import *import, const struct onnx_frames *a, const struct onnx_frames *b);
onnx_handler onnx_lay_slice, onnx_lay_gather, onnx_lay_split, onnx_lay_concat, onnx_lay_reduce,
    onnx_lay_global_pool, onnx_lay_steps_apart, onnx_lay_step_of, onnx_lay_reverse_sequence;
/* onnx_math.c */
onnx_handler onnx_lay_gemm, onnx_lay_matmul, onnx_lay_binary, onnx_lay_activation, onnx_lay_softmax,
    onnx_lay_batch_norm, onnx_lay_neg, onnx_lay_hard_swish;
/* onnx_conv.c */
onnx_handler onnx_lay_conv, onnx_lay_pool, onnx_lay_pad, onnx_lay_pow, onnx_lay_sqrt, onnx_lay_clip;
/* onnx_norm.c: layer normalisation in one node or written out. The second one tries the
 * current node as a step of it; *taken_out tells. */
onnx_handler onnx_lay_layer_norm, onnx_lay_length;
bool onnx_lay_statistic(struct onnx_import *import, bool *taken_out);
/* onnx_rnn.c */
onnx_handler onnx_lay_rnn;

/* ---- onnx_layers.c: understand the current node, import->node ------------- */

bool onnx_handle(struct onnx_import *import);
/* Whether this is a node of ONNX itself and of this operator. */
bool onnx_is_op(const struct onnx_node *node, const char *op);
bool onnx_is_recurrent(const struct onnx_node *node);
/* The declared shape of an input of the graph; run-time sizes are taken for the batch. False: there
 * is none, or it has more than ONNX_MAX_AXES dimensions. */
bool onnx_declared_shape(const struct onnx_value *value, uint32_t *rank_out, struct onnx_int *dims);
/* Decode an initialiser that nobody has looked at yet. */
bool onnx_make_known(struct onnx_import *import, struct onnx_value *value);

/* Operators that only hand on what flows through them, for following values backward. */
bool onnx_passes_on(const char *op);
/* Constants go through this node. */
bool onnx_folds(const struct onnx_node *node);

/* ---- onnx_resolve.c ------------------------------------------------------ */

/* Names to values and nodes, those of branches too; the graph is checked to be in order. */
bool onnx_resolve(struct onnx_import *import);

/* ---- onnx_cell*.c --------------------------------------------------------- */

enum onnx_cell_use { CELL_USES_DATA, CELL_USES_STATE, CELL_USES_WEIGHTS };

/* Cells that were written out operator by operator become nodes of their own. */
bool onnx_find_cells(struct onnx_import *import);
/* What a NODE_CELL does with an input. */
enum onnx_cell_use onnx_cell_uses(const struct onnx_node *node, uint32_t input);
onnx_handler onnx_lay_cell;

/* ---- onnx_loop.c, onnx_term.c -------------------------------------------- */

onnx_handler onnx_enter_loop, onnx_leave_body;
/* The current node reads a term of a loop's body. */
onnx_handler onnx_lay_term;
/* The current node makes a number of a run-time size, or compares such numbers, for a loop's condition. */
bool onnx_lay_limit(struct onnx_import *import, bool *taken_out);
/* Nodes that make zeros for loops alone become NODE_ZEROS. */
bool onnx_find_zeros(struct onnx_import *import);
onnx_handler onnx_give_zeros;
/* Input `input` of a loop's beginning is the first of values that change from round to round. */
bool onnx_is_loop_state(const struct onnx_import *import, const struct onnx_node *begins, uint32_t input);

/* ---- onnx_mask.c ---------------------------------------------------------- */

/* The current node computes with a mask, or makes one. */
bool onnx_lay_mask(struct onnx_import *import, bool *taken_out);
/* The current node is a part of the arithmetic that lets tokens count from the end. */
bool onnx_lay_wrap(struct onnx_import *import, bool *taken_out);
onnx_handler onnx_lay_sum; /* of anything else than a mask */

/* ---- onnx_tidy.c --------------------------------------------------------- */

/* Layers joined where one can do it, and those left out that value *output does not need. */
bool onnx_tidy(struct onnx_import *import, uint32_t *output);

/* ---- onnx_graph.c -------------------------------------------------------- */

/* Choose the output (by name, or NULL) and find what it needs and what for. */
bool onnx_find_roles(struct onnx_import *import, const char *output_name);
/* Try the meanings that the input's axes may have until the graph makes sense. */
bool onnx_understand(struct onnx_import *import);

#endif
