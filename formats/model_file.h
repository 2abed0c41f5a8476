/* SPDX-License-Identifier: MIT
 *
 * The model file as a view over bytes. FORMAT.md is the specification; the rule
 * numbers below are its. Knows nothing of what layers compute: to this reader a
 * layer is a type number, inputs, parameter words and tensors.
 *
 * Reading allocates nothing and never trusts a number: the view points into the
 * caller's bytes, which must stay as they are while it is used. Any alignment.
 */
#ifndef LSTMRUN_FORMATS_MODEL_FILE_H
#define LSTMRUN_FORMATS_MODEL_FILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The first eight bytes of a model file. */
#define MODEL_MAGIC "\x8c" "LST\r\n\x1a\n"

enum {
    MODEL_MAGIC_BYTES = sizeof MODEL_MAGIC - 1,

    MODEL_VERSION_MAJOR = 1,
    MODEL_VERSION_MINOR = 0,

    /* Limits of the format (FORMAT.md states the same numbers). */
    MODEL_MAX_LAYERS = 4096,
    MODEL_MAX_TENSORS = 65536,
    MODEL_MAX_METADATA = 4096,
    MODEL_MAX_INPUTS = 64,         /* values one layer reads */
    MODEL_MAX_LAYER_TENSORS = 16,  /* tensor slots of one layer */
    MODEL_MAX_EDGES = 4096 * (64 + 16),
    MODEL_MAX_RANK = 3,            /* of a frame */
    MODEL_MAX_TENSOR_RANK = 4,
    MODEL_MAX_DIM = 1 << 24,
    MODEL_MAX_FRAME = 1 << 24,     /* numbers in one frame */
    MODEL_MAX_STRING_BYTES = 1 << 24,
    MODEL_MAX_STATE = 1 << 24,     /* numbers that a stream carries */
    MODEL_MAX_STEPS = 1 << 24,     /* that a run needs at the least */
    MODEL_PARAMS = 24,             /* parameter words of a layer */
};

#define MODEL_NONE UINT32_C(0xffffffff) /* an absent tensor */

/* Rules of FORMAT.md that others than the reader check. The parameter words of a layer
 * of type n are rule MODEL_RULE_WORDS + n, its tensors and frames MODEL_RULE_SHAPES + n. */
enum model_rule {
    MODEL_RULE_TYPE = 60,       /* a type of the table */
    MODEL_RULE_INPUTS = 61,     /* the type's number of inputs */
    MODEL_RULE_SLOTS = 62,      /* the type's number of tensor slots */
    MODEL_RULE_TENSORS = 63,    /* needed tensors there, useless ones not */
    MODEL_RULE_UNUSED = 64,     /* unused words, bits and bytes are 0 */
    MODEL_RULE_ACTIVATION = 65, /* number known, alpha and beta finite */
    MODEL_RULE_ONCE = 66,       /* "once" follows from the inputs */
    MODEL_RULE_STATE = 67,      /* what a stream carries keeps the limit */
    MODEL_RULE_PACE = 68,       /* values read together have the same number of steps */
    MODEL_RULE_REFERENCE = 69,  /* the reference output has the steps that the input makes */
    MODEL_RULE_WORDS = 100,
    MODEL_RULE_SHAPES = 200,
};

enum model_dtype { MODEL_F32 = 1, MODEL_BF16 = 2, MODEL_F16 = 3, MODEL_I8 = 4 };

/* Layer types, as numbered in FORMAT.md. The runtime says which it can run. */
enum model_layer_type {
    MODEL_LSTM = 1,
    MODEL_GRU = 2,
    MODEL_RNN = 3,
    MODEL_DENSE = 16,
    MODEL_EMBEDDING = 17,
    MODEL_ACTIVATION = 18,
    MODEL_SOFTMAX = 19,
    MODEL_LAYER_NORM = 20,
    MODEL_ADD = 21,
    MODEL_MUL = 22,
    MODEL_CONCAT = 23,
    MODEL_SLICE = 24,
    MODEL_RESHAPE = 25,
    MODEL_SCALE = 26,
    MODEL_LAST = 48,
    MODEL_MEAN = 49,
    MODEL_MAX = 50,
    MODEL_FIRST = 53,
    MODEL_CONV1D = 27,
    MODEL_MAGNITUDE = 28,
    MODEL_TRANSPOSE = 29,
    MODEL_MASK = 30,
    MODEL_L2_NORM = 31,
    MODEL_REVERSE = 51,
    MODEL_TEMPORAL_CONV = 52,
    MODEL_ATTENTION = 54,
    MODEL_DELAY = 55,
    MODEL_TEMPORAL_POOL = 56,
};

/* What stands beyond the ends of a convolution's input. */
enum model_padding { MODEL_PAD_ZEROS = 0, MODEL_PAD_REFLECT = 1, MODEL_PAD_EDGE = 2 };

/* What a pool makes of a window: the greatest, the mean of the frames that are there, or the sum divided
 * by the number of taps, padding included. */
enum model_pool { MODEL_POOL_MAX = 0, MODEL_POOL_MEAN = 1, MODEL_POOL_MEAN_OF_ALL = 2 };

/* Activation numbers in parameter words; alpha and beta as in ONNX. */
enum model_activation {
    MODEL_ACT_IDENTITY = 0,
    MODEL_ACT_SIGMOID = 1,
    MODEL_ACT_TANH = 2,
    MODEL_ACT_RELU = 3,
    MODEL_ACT_LEAKY_RELU = 4,
    MODEL_ACT_THRESHOLDED_RELU = 5,
    MODEL_ACT_SCALED_TANH = 6,
    MODEL_ACT_HARD_SIGMOID = 7,
    MODEL_ACT_ELU = 8,
    MODEL_ACT_SOFTSIGN = 9,
    MODEL_ACT_SOFTPLUS = 10,
    MODEL_ACT_AFFINE = 11,
    MODEL_ACT_COUNT
};

/* ---- parameter words and tensor slots ------------------------------------
 *
 * Words a type does not use are 0. Floats are their IEEE bits.
 *
 * lstm, gru, rnn
 *   word 0   hidden units H
 *   word 1   direction: 0 forward, 1 reverse, 2 bidirectional (D = 2, else D = 1)
 *   word 2   flags: 1 coupled input/forget gate, f = 1 - i (lstm)
 *                   2 reset after the product (gru: PyTorch, cuDNN)
 *   word 3   clip (float): gate pre-activations go to [-clip, clip]; 0: no clip
 *   word 4   D = 0's activations, one byte each: f | g << 8 | h << 16
 *            (lstm f, g, h; gru f, g; rnn f in the lowest byte; unused bytes 0)
 *   5..10    alpha, beta of f, of g, of h (floats)
 *   11..17   the same seven words for D = 1
 *   tensors, six slots for each direction:
 *     W          [G][H][R + I]  columns h, then x; R = P with a projection, else H
 *                G = 4: i, f, g, o (lstm);  3: r, z, n (gru);  1 (rnn)
 *     bias       [G][H]         absent: zeros
 *     peephole   [3][H]         i, f, o (lstm), absent: none
 *                [1][H]         gru with flag 2: the bias of n's h part, inside r ⊗ ( )
 *     projection [P][H]         lstm, absent: none
 *     h0         [R]            absent: zeros
 *     c0         [H]            lstm, absent: zeros
 *   inputs: one value of rank 1, [I]; output [D · R]: forward, then reverse,
 *   both in input order of time. A second input [1] is a mask: where it is 0 the step
 *   is passed over, see FORMAT.md.
 *
 * dense      word 0 activation, 1 alpha, 2 beta; tensors W [O][I], bias [O] (may be
 *            absent). Acts on the last dimension of the frame.
 * embedding  tensors table [V][E]. Input [n] of whole numbers, output [n][E], or [E]
 *            when n = 1.
 * activation word 0 activation, 1 alpha, 2 beta
 * softmax    over the last dimension
 * layer_norm word 0 epsilon (float); tensors scale [n], shift [n] (may be absent);
 *            over the last dimension
 * add, mul   two or more inputs of one shape; or two inputs, the second [1], whose
 *            number is used for every element of the first
 * concat     word 0 axis; inputs agree in all other dimensions
 * slice      word 0 axis, 1 start, 2 count, 3 step (≥ 1)
 * reshape    the output shape is the value's; the number of elements is the same
 * scale      y = x · scale + shift over the last dimension; tensors scale [n] or
 *            absent (1), shift [n] or absent (0), at least one of them
 * conv1d     words 0 stride, 1 dilation, 2 pad before, 3 pad after, 4 enum model_padding,
 *            5 groups G, 6 activation, 7 alpha, 8 beta; tensors W [O][K][C/G], bias [O] or
 *            absent. Input frame [L][C], output [L'][O]: over the positions inside a frame
 * temporal_conv  the same over the steps of a run: frames [C] to frames [O],
 *            perhaps fewer of them
 * temporal_pool  words 0 stride, 1 dilation, 2 pad before, 3 pad after, 4 enum model_pool, 5 taps K:
 *            over the steps of a run, element by element; perhaps fewer steps
 * magnitude  the last dimension 2n to n: sqrt(x_i² + x_(n+i)²)
 * transpose  words 0..2: axis i of the output is axis word[i] of the input
 * mask       word 0 a float v: [1], 1 if any number of the frame differs from v, else 0
 * l2_norm    word 0 epsilon (float): x / max(|x|, epsilon) over the last dimension
 * reverse    the frames of a run in reverse order
 * delay      word 0 steps n ≥ 1: the frame n steps ago; zeros before the first
 * last, mean, max, first   one frame from all frames of a run
 * attention  inputs x and a score [1]: Σ_t softmax over time of the scores · x_t, one frame
 */
enum {
    MODEL_RNN_HIDDEN = 0, MODEL_RNN_DIRECTION = 1, MODEL_RNN_FLAGS = 2, MODEL_RNN_CLIP = 3,
    MODEL_RNN_ACTS = 4, MODEL_RNN_ACTS_STRIDE = 7,

    MODEL_FORWARD = 0, MODEL_REVERSED = 1, MODEL_BIDIRECTIONAL = 2,
    MODEL_FLAG_COUPLED = 1, MODEL_FLAG_RESET_AFTER = 2,

    MODEL_CONV_STRIDE = 0, MODEL_CONV_DILATION = 1, MODEL_CONV_PAD_BEFORE = 2,
    MODEL_CONV_PAD_AFTER = 3, MODEL_CONV_PADDING = 4, MODEL_CONV_GROUPS = 5, MODEL_CONV_ACT = 6,
    MODEL_POOL_KIND = 4, MODEL_POOL_TAPS = 5, /* and 0 to 3 as a convolution's */

    MODEL_SLOT_W = 0, MODEL_SLOT_BIAS = 1, MODEL_SLOT_PEEPHOLE = 2,
    MODEL_SLOT_PROJECTION = 3, MODEL_SLOT_H0 = 4, MODEL_SLOT_C0 = 5, MODEL_RNN_SLOTS = 6,
};

/* ---- reading -------------------------------------------------------------- */

/* Strings are UTF-8 without NUL inside, and a NUL follows them in the file. */
struct model_string {
    const char *text;
    uint32_t n_bytes;
};

struct model_value {
    struct model_string name;
    uint32_t rank;
    uint32_t dims[MODEL_MAX_RANK];
    size_t size; /* product of dims */
    bool once;   /* one frame a run, not one a step */
};

struct model_tensor {
    struct model_string name;
    enum model_dtype dtype;
    uint32_t rank;
    uint32_t dims[MODEL_MAX_TENSOR_RANK];
    uint64_t count;        /* product of dims */
    const void *data;      /* 64-byte aligned from the file's start */
    uint64_t n_bytes;
    uint32_t scales;       /* i8: the f32 tensor of its rows' scales; else MODEL_NONE */
};

struct model_layer {
    uint64_t offset; /* of its record in the file, for messages */
    struct model_string name;
    uint32_t type;
    uint32_t n_inputs, n_tensors;
    uint32_t inputs[MODEL_MAX_INPUTS];         /* value 0: the model's input; i + 1: layer i's output */
    uint32_t tensors[MODEL_MAX_LAYER_TENSORS]; /* MODEL_NONE: absent */
    uint32_t params[MODEL_PARAMS];
};

struct model_view {
    const uint8_t *bytes;
    size_t n_bytes;
    uint32_t n_layers, n_tensors, n_metadata;
    uint32_t output;              /* the value that is the model's output */
    uint32_t reference_input;     /* tensor [steps][…] or MODEL_NONE: vectors for self-tests */
    uint32_t reference_output;
    uint32_t checksum;            /* of the tables, which hold that of the weights */
    uint64_t tables_offset[6];    /* private to model_read.c */
    uint64_t data_offset;
    uint64_t weight_bytes;        /* sum of the tensors' n_bytes, reference tensors left out */
};

struct format_error {
    uint32_t rule;   /* FORMAT.md rule number */
    uint64_t offset; /* byte offset where it shows */
    char text[160];
};

/* Validate `bytes` and fill `view`. False: `error` says which rule broke and where. */
bool model_read(const void *bytes, size_t n_bytes, struct model_view *view,
                struct format_error *error);

/* Decode one record; the index must be below the view's count (n_layers + 1 values). */
void model_get_value(const struct model_view *view, uint32_t index, struct model_value *out);
void model_get_layer(const struct model_view *view, uint32_t index, struct model_layer *out);
void model_get_tensor(const struct model_view *view, uint32_t index, struct model_tensor *out);
void model_get_metadata(const struct model_view *view, uint32_t index,
                        struct model_string *key_out, struct model_string *value_out);

/* Read all weights against their checksum. */
bool model_check_weights(const struct model_view *view, struct format_error *error);

#endif
