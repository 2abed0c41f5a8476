/* SPDX-License-Identifier: MIT
 *
 * A plan made concrete: one op for each layer with its packed weights, places for
 * every value, and the split over threads.
 */
#ifndef LSTMRUN_RUNTIME_PLAN_H
#define LSTMRUN_RUNTIME_PLAN_H

#include "runtime/choose.h"
#include "runtime/model.h"
#include "simd/kernels.h"

/* A packed weight matrix with its bias. */
struct packed_matrix {
    struct simd_panels panels;
    size_t n, k;
    float *weights; /* [panels.columns][k], packed */
    float *bias;    /* [panels.columns], or NULL where the product adds to its output */
};

/* One direction of a recurrent layer. */
struct recurrent_weights {
    struct packed_matrix x, h;  /* h: with a bias for a fused gru only */
    struct packed_matrix h_new; /* gru: the candidate's part of R, kept apart */
    struct packed_matrix more_x[2], more_h[2]; /* z and n, where x and h are r's alone */
    struct packed_matrix projection;
    const float *peephole; /* [3][H], or NULL; aligned copy in the plan */
    enum simd_act act[3];
    float alpha[3], beta[3];
};

struct recurrent_op {
    struct recurrent_weights direction[2];
    uint32_t n_directions, hidden, gates;
    size_t n_x, n_r, n_out; /* inputs, recurrent width, floats of an output row */
    float clip;             /* 0: none */
    bool coupled, reset_after;
    const struct recurrent_method *method; /* way to step it */
    struct recurrent_backend *backend;     /* of a method that is not ours; it frees it */
    size_t scratch_floats;  /* an item needs while stepping */
    size_t hoist_tile;      /* items that make hoisting pointless; 0: never hoist */
    size_t tile_rows;       /* of the kernel: items of a tile that is slower with fewer; or 0 */
};

struct dense_op {
    struct packed_matrix matrix;
    const float *rows; /* [n][k] as in the file: few outputs, summed in 16 lanes; or NULL */
    const float *bias; /* [n] or NULL, with `rows` */
    enum simd_act act;
    float alpha, beta;
};

/* How a layer's windows slide (windows.h). */
struct windows {
    bool over_time;          /* else over the positions inside a frame */
    uint32_t taps, stride, dilation;
    int64_t before;          /* positions of padding */
    enum model_padding padding;
    size_t in, out;          /* numbers of a position */
    size_t positions;        /* of an output frame; 1 over time */
};

struct pool_op {
    struct windows windows;
    enum model_pool kind;
};

/* conv1d and temporal_conv. */
struct conv_op {
    struct windows windows;
    struct packed_matrix matrix; /* of the first group; the others' lie behind it, equally far apart */
    const float *by_tap, *start; /* depthwise: [taps][out], and [out] for the bias; else NULL */
    uint32_t groups;
    size_t each, k;              /* input channels of a group; taps · each */
    size_t chunk;                /* positions of one product */
    enum simd_act act;
    float alpha, beta;
};

struct plan_op {
    const struct layer *layer;
    const struct lstm_plan *plan;
    uint32_t output;  /* value it makes: layer index + 1 */
    uint32_t kept;    /* value beyond the layers': what a reducer keeps for its items */
    void (*run)(const struct plan_op *op, struct exec *exec); /* the layer type's */
    void (*paced_run)(const struct plan_op *op, struct exec *exec); /* what exec_run_paced runs */
    uint32_t pace;      /* of its inputs, see model.h */
    bool reducer, once; /* its family; its result is there once a run */
    bool each_block;    /* it runs for each block of time, else at the end */
    size_t prepared;    /* bytes before its own in a thread's prepared memory */
    union {
        struct recurrent_op recurrent;
        struct dense_op dense;
        struct conv_op conv;
        struct pool_op pool;
    } u;
    const float *table[2]; /* layer_norm and scale: scale, shift; embedding: the table */
    uint32_t table_rows;   /* embedding */
    enum simd_act act;     /* activation */
    float alpha, beta;     /* activation; layer_norm: alpha is epsilon */
    size_t packed_bytes;
};

/* Where a value's rows live. */
struct value_place {
    size_t size;    /* floats of a row */
    bool once;
    uint32_t pace;  /* of the model: how many rows a run has */
    bool user;      /* the caller's memory: model input, model output */
    uint32_t slot;  /* else: buffer of this number */
    uint32_t last_use; /* last op that reads it, or the one after that which makes it */
};

/* A buffer that values use one after the other. */
struct value_slot {
    size_t floats;      /* of a row */
    bool once;          /* a row an item, kept to the end of the run */
    uint32_t free_from; /* op that may write it again */
};

struct lstm_plan {
    const struct lstm_model *model;
    struct simd_cpu cpu; /* asked once: that can take as long as all the rest */
    const struct simd_isa *isa;
    const struct simd_gemm_kernel *gemm;
    const struct simd_lstm_kernel *lstm;
    const struct simd_gru_kernel *gru;
    const struct simd_gate_kernel *gate;
    const char *backend; /* "native" or another one of this build */
    struct plan_problem problem;
    struct machine machine;
    struct plan_op *ops;         /* [n_ops] */
    uint32_t n_ops, n_values;
    uint32_t n_kept;             /* the last ones of the values: of reducers, in order */
    uint32_t output;             /* value that goes to the caller */
    struct value_place *values;  /* [n_values] */
    struct value_slot *slots;    /* [n_slots] */
    uint32_t n_slots;
    struct layer_cost *costs;    /* [n_ops] */
    struct split_table splits;
    bool split_forced;           /* by the caller's options, whatever the cost model says */
    enum split_mode forced_mode;
    uint32_t threads;            /* room for a run's threads: the caller's limit */
    bool whole;                  /* some layer needs the whole sequence in one block */
    bool any_once;
    bool any_mask;               /* some recurrent layer passes over steps */
    size_t hoist_columns;        /* padded columns of the widest hoisted product */
    size_t scratch_floats;       /* most that an item of any op needs */
    size_t gather_floats;        /* that a thread needs for the inputs of a product */
    size_t prepared_bytes;       /* that a thread keeps for all ops */
    size_t packed_bytes;
    void **blocks;               /* [n_blocks], memory owned by the plan */
    size_t n_blocks, n_room;
    char *room;                  /* n_room bytes at the end of the last block, not in use yet */
    char *text;
};

struct plan_builder {
    struct lstm_plan *plan;
};

/* Memory that ends with the plan; NULL: out of memory. */
void *plan_memory(struct lstm_plan *plan, size_t n_bytes);

/* Pack rows of a matrix: `source.data` may be NULL for no weights. `bias` may be NULL with
 * `with_bias` for zeros. False: out of memory. */
bool plan_pack(struct plan_builder *builder, const struct simd_matrix *source,
               uint32_t widest, const float *bias, bool with_bias,
               struct packed_matrix *out);

/* The kernels' name of a file's activation number. */
enum simd_act plan_act(uint32_t code);

/* An aligned copy with denormals as zeros; *out is NULL if `data` is. False: out of memory. */
bool plan_copy(struct plan_builder *builder, const float *data, size_t n, const float **out);

/* How a run of `items` items, the longest of `steps` steps, is split. */
struct split plan_split(const struct lstm_plan *plan, size_t items, size_t steps);

/* The words of `plan`, into plan->text. False: out of memory. */
bool plan_write_text(struct lstm_plan *plan);

#endif
