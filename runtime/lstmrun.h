/* SPDX-License-Identifier: MIT
 *
 * lstmrun: run trained recurrent networks (LSTM, GRU, plain RNN) on a CPU.
 *
 * Four things with four lifetimes:
 *
 *   model      a validated view of a model file. Immutable; any number of
 *              threads may use one at the same time.
 *   plan       model + options + this CPU: chosen kernels, packed weights,
 *              thread split. Immutable; shared between threads.
 *   stream     one caller's state (h and c of every recurrent layer, earlier frames of
 *              causal convolutions and delays). Flat memory; one user at a time.
 *   workspace  scratch of one running thread, reused from call to call.
 *
 * A model must outlive its plans and streams; a plan must outlive its
 * workspaces. Objects made by *_create or *_open belong to the caller, who ends
 * them with the matching *_destroy or *_close; these accept NULL.
 *
 * Pointers must not be NULL unless their function says otherwise. Where a NULL would be
 * an easy mistake (an object that was never made) the answer is LSTM_E_ARG.
 *
 * Functions that can fail return a status and, when `error` is not NULL, fill it
 * with a sentence for a person. Out parameters come last but for `error` and are
 * NULL after a failure. Strings returned belong to the object asked.
 *
 * The library keeps no global state, reads no environment variable and prints
 * nothing. Default results are the same bits on every instruction set with fused
 * multiply-add, for every number of threads, batch size, position in the batch
 * and way of cutting a sequence into calls. (NaNs compare as NaNs: their sign and
 * payload are not promised.)
 */
#ifndef LSTMRUN_H
#define LSTMRUN_H

#include <stddef.h>
#include <stdint.h>

#define LSTMRUN_VERSION_MAJOR 0
#define LSTMRUN_VERSION_MINOR 1
#define LSTMRUN_VERSION_PATCH 0

#if defined(LSTMRUN_BUILD) && defined(__GNUC__)
#define LSTMRUN_API __attribute__((visibility("default")))
#else
#define LSTMRUN_API
#endif

#ifdef __cplusplus
extern "C" {
#endif

/* ---- status ------------------------------------------------------------ */

typedef enum lstm_status {
    LSTM_OK = 0,
    LSTM_E_ARG,         /* an argument breaks this header's rules */
    LSTM_E_NOMEM,       /* out of memory */
    LSTM_E_IO,          /* the operating system could not read the file */
    LSTM_E_FORMAT,      /* the bytes break a rule of formats/FORMAT.md */
    LSTM_E_UNSUPPORTED, /* well-formed, but not what this build can run */
    LSTM_E_DATA,        /* input values or a saved state are not usable */
    LSTM_E_BACKEND      /* a backend other than "native" failed */
} lstm_status;

typedef struct lstm_error {
    lstm_status status;
    uint32_t rule;       /* number of the broken FORMAT.md rule, 0 if none */
    uint64_t offset;     /* byte offset in the file, when a rule is broken */
    char text[240];      /* one sentence without newline, UTF-8 */
} lstm_error;

/* "invalid argument", "out of memory", …; never NULL. */
LSTMRUN_API const char *lstm_status_text(lstm_status status);

/* Version of the library that runs, for example "0.1.0". */
LSTMRUN_API const char *lstm_version(void);

/* ---- model ------------------------------------------------------------- */

typedef struct lstm_model lstm_model;

enum { LSTM_MAX_RANK = 3 };

/* What a sequence of frames looks like. `size` is the product of `dims`. */
typedef struct lstm_shape {
    uint32_t rank; /* 1 to LSTM_MAX_RANK */
    uint32_t dims[LSTM_MAX_RANK];
    size_t size; /* floats in one frame */
} lstm_shape;

typedef struct lstm_model_info {
    lstm_shape input;
    lstm_shape output;
    int output_once;     /* 1: one output frame a run (last, mean, max …) */
    int streams;         /* 1: any cut of a sequence into runs gives the same bits */
    uint32_t n_layers;
    uint32_t n_metadata;
    uint64_t n_parameters;  /* numbers in the weights */
    uint64_t weight_bytes;  /* as stored in the file */
    uint64_t flops_per_step; /* multiplications and additions of one step */
    size_t state_floats;    /* numbers a stream carries */
    size_t least_steps;     /* a run of fewer is refused: 1, or more with convolutions or pools */
    size_t output_after;    /* the first frame of output takes so many steps of a run … */
    size_t output_every;    /* … and each other one so many more: 1 and 1, but for such layers */
} lstm_model_info;

typedef struct lstm_layer_info {
    const char *type; /* "lstm", "dense" … */
    const char *name; /* as the file names it; may be "" */
    lstm_shape output;
    int output_once;
    uint32_t n_inputs;
    const uint32_t *inputs; /* value read: 0 is the model's input, i + 1 the output of layer i */
    uint64_t n_parameters;
    uint32_t n_states; /* directions of a recurrent layer; 0 for all others */
    char detail[96];   /* "bidirectional, projection 20, peepholes" … */
} lstm_layer_info;

/* Map a model file and validate it. Time does not depend on the weights' size.
 * Truncating the file while the model is open is detected when a plan is made,
 * if the size has changed by then. LSTM_E_IO: it cannot be read; LSTM_E_FORMAT: it is no model
 * file, a damaged one, or one of a later version. */
LSTMRUN_API lstm_status lstm_model_open(const char *path, lstm_model **model_out,
                                        lstm_error *error);

/* The same from memory. `bytes` is borrowed and must stay unchanged and readable
 * until lstm_model_close; any alignment. */
LSTMRUN_API lstm_status lstm_model_open_memory(const void *bytes, size_t n_bytes,
                                               lstm_model **model_out, lstm_error *error);

LSTMRUN_API void lstm_model_close(lstm_model *model);

/* Read all weights: their checksum and that each is finite (LSTM_E_FORMAT). LSTM_E_IO if the file has
 * another size than when it was opened. */
LSTMRUN_API lstm_status lstm_model_verify(const lstm_model *model, lstm_error *error);

/* Owned by the model. */
LSTMRUN_API const lstm_model_info *lstm_model_get_info(const lstm_model *model);

/* Layer `index` < info->n_layers. LSTM_E_ARG when out of range. What *info_out points to is the model's. */
LSTMRUN_API lstm_status lstm_model_get_layer(const lstm_model *model, uint32_t index,
                                             lstm_layer_info *info_out);

/* Metadata pair `index` < info->n_metadata, in file order, in UTF-8. LSTM_E_ARG when out of range. */
LSTMRUN_API lstm_status lstm_model_get_metadata(const lstm_model *model, uint32_t index,
                                                const char **key_out, const char **value_out);

/* Value of a metadata key, or NULL. Well-known keys are in formats/FORMAT.md:
 * "name", "author", "license", "sample_rate", "labels" … */
LSTMRUN_API const char *lstm_model_find_metadata(const lstm_model *model, const char *key);

/* Reference vectors stored in the file for self-tests: `input` is
 * [steps][input size], `output` [output steps][output size]. Owned by the model;
 * steps is 0 when there are none. */
LSTMRUN_API void lstm_model_get_reference(const lstm_model *model, size_t *steps_out,
                                          const float **input_out, const float **output_out);

/* Frames of output that a run of `steps` steps writes: 1 if info->output_once, else `steps`, unless
 * convolutions or pools over time make fewer of them. 0: fewer than info->least_steps. */
LSTMRUN_API size_t lstm_model_get_output_steps(const lstm_model *model, size_t steps);

/* Check `frames`, [steps][input size]: NaN or infinity anywhere, and for a model
 * that starts with an embedding, whole numbers in range. LSTM_E_DATA names step
 * and column. Running does not check: such values give NaN, never a crash. */
LSTMRUN_API lstm_status lstm_model_check_input(const lstm_model *model, const float *frames,
                                               size_t steps, lstm_error *error);

/* ---- plan -------------------------------------------------------------- */

typedef struct lstm_plan lstm_plan;

/* All zero but for struct_size means: all defaults. Results do not depend on `threads`, `isa`,
 * `items`, `steps` or `split`, speed does. */
typedef struct lstm_plan_options {
    size_t struct_size;  /* sizeof(lstm_plan_options) */
    uint32_t threads;    /* upper limit; 0: as many as the cost model can justify */
    const char *isa;     /* highest level: "scalar", "avx2", "avx512", "neon"; NULL: the best here */
    const char *backend; /* "native" or NULL; "onednn" if built in: recurrent layers by oneDNN,
                            with its threads and its rounding, and a run may fail */
    size_t items;        /* expected items of a run; 0: 1 */
    size_t steps;        /* expected steps of an item; 0: 100 */
    const char *split;   /* how runs are split over `threads`; NULL: the planner chooses. "none": not;
                            "items": each thread takes a share of the items; "team": all threads share
                            each layer. The latter two use all of `threads` (a share needs an item), and
                            are refused (LSTM_E_ARG) where the plan may have only one */
} lstm_plan_options;

#define LSTM_PLAN_OPTIONS_INIT { sizeof(lstm_plan_options), 0, NULL, NULL, 0, 0, NULL }

/* Choose kernels and pack the weights. Everything that can be refused is refused
 * here. `options` may be NULL. LSTM_E_UNSUPPORTED: an instruction set or backend that this computer
 * or build does not have; LSTM_E_ARG: options that contradict each other;
 * LSTM_E_IO: the file has another size than when it was opened. */
LSTMRUN_API lstm_status lstm_plan_create(const lstm_model *model,
                                         const lstm_plan_options *options,
                                         lstm_plan **plan_out, lstm_error *error);

LSTMRUN_API void lstm_plan_destroy(lstm_plan *plan);

/* The plan in words, several lines, for a person. Owned by the plan. */
LSTMRUN_API const char *lstm_plan_get_text(const lstm_plan *plan);

/* Threads that a run of `items` items, the longest of `steps` steps, uses at the most: a team
 * that would have to be woken is left asleep where that does not pay (see lstm_run). */
LSTMRUN_API uint32_t lstm_plan_get_threads(const lstm_plan *plan, size_t items, size_t steps);

/* How they divide the work of such a run, as in lstm_plan_options: "none", "items" or "team". */
LSTMRUN_API const char *lstm_plan_get_split(const lstm_plan *plan, size_t items, size_t steps);

/* Nanoseconds that the cost model expects such a run to take. It is good for comparing
 * plans; lstmbench and `lstmrun --plan=measure` measure. */
LSTMRUN_API double lstm_plan_get_estimate_ns(const lstm_plan *plan, size_t items, size_t steps);

/* Instruction set chosen: "avx512", "avx2", "neon" or "scalar". */
LSTMRUN_API const char *lstm_plan_get_isa(const lstm_plan *plan);

/* ---- stream ------------------------------------------------------------ */

/* Flat memory without pointers: a byte copy of lstm_stream_bytes() bytes is a
 * second stream in the same state, and may be written to a file and read back on
 * a machine of the same byte order. */
typedef struct lstm_stream lstm_stream;

LSTMRUN_API size_t lstm_stream_bytes(const lstm_model *model);

/* A new stream in the model's initial state. It fits all plans of the model. */
LSTMRUN_API lstm_status lstm_stream_create(const lstm_model *model, lstm_stream **stream_out);
LSTMRUN_API void lstm_stream_destroy(lstm_stream *stream);

/* The same in the caller's memory: lstm_stream_bytes() bytes, 64-byte aligned.
 * Not to be passed to lstm_stream_destroy. Returns NULL if misaligned. */
LSTMRUN_API lstm_stream *lstm_stream_init(const lstm_model *model, void *memory);

/* Back to the model's initial state. */
LSTMRUN_API void lstm_stream_reset(const lstm_model *model, lstm_stream *stream);

/* Take over a state saved by copying lstm_stream_bytes() bytes. Bytes that are not
 * a state of this very model are refused (LSTM_E_DATA) and leave `stream` as it was. */
LSTMRUN_API lstm_status lstm_stream_load(const lstm_model *model, lstm_stream *stream,
                                         const void *bytes, size_t n_bytes, lstm_error *error);

typedef enum lstm_state { LSTM_STATE_H, LSTM_STATE_C } lstm_state;

/* State of one direction (0 or 1) of a recurrent layer: [*n_out] floats inside the
 * stream, to read or to set. A causal convolution or a delay has the last frames that it has
 * read, oldest first, as h of direction 0. NULL and 0 if there is no such state. */
LSTMRUN_API float *lstm_stream_get_state(const lstm_model *model, lstm_stream *stream,
                                         uint32_t layer, uint32_t direction,
                                         lstm_state which, size_t *n_out);

/* ---- run --------------------------------------------------------------- */

/* One run at a time uses it. */
typedef struct lstm_workspace lstm_workspace;

/* Scratch for runs of up to `items` items. `steps` is the longest item of a run;
 * models that stream need no more memory for more steps and ignore it. If the plan may share
 * layers or short runs among threads, these are started here and joined by lstm_workspace_destroy
 * (LSTM_E_NOMEM if the system has none); they block all signals. A child process made by
 * fork() may go on to use the workspace and has to destroy it, but runs there are alone. */
LSTMRUN_API lstm_status lstm_workspace_create(const lstm_plan *plan, size_t items, size_t steps,
                                              lstm_workspace **workspace_out, lstm_error *error);
LSTMRUN_API void lstm_workspace_destroy(lstm_workspace *workspace);

/* Bytes that lstm_workspace_create would ask for; SIZE_MAX if not representable. */
LSTMRUN_API size_t lstm_workspace_bytes(const lstm_plan *plan, size_t items, size_t steps);

/* One sequence, or the next piece of one. Rows may lie anywhere: step t of the
 * input is `input + t * input_stride`. Items of one run may differ in `steps`.
 * 0 steps is legal, writes no output and leaves the state alone. */
typedef struct lstm_item {
    lstm_stream *stream;
    const float *input;   /* [steps][input size] */
    float *output;        /* [lstm_model_get_output_steps()][output size] */
    size_t steps;
    size_t input_stride;  /* floats from step to step; 0: input size */
    size_t output_stride; /* the same for the output; 0: output size */
} lstm_item;

/* Run a batch. Each item continues from its stream's state and leaves the new
 * state there. Layers that need the whole sequence (reverse, bidirectional, mean …)
 * take each run as one whole sequence; reset the stream between two of them.
 *
 * Outputs must not overlap inputs, each other or streams; each stream appears once.
 * Allocates nothing, takes no lock and, with a plan of one thread, has nothing to do with
 * any other: fit for an audio callback. Denormals are flushed to zero during the call.
 *
 * With a plan of more threads, long batches whose items are dealt out run on OpenMP's threads;
 * how these wait for the next call (spinning for a while, or asleep at once) is OpenMP's to say,
 * through OMP_WAIT_POLICY. Short ones (streams with a frame each), and runs whose layers are
 * shared, use threads of the workspace's own, which spin after a run, for some 30 us or up to two
 * such runs where these are longer, and then sleep. Only a run that gains several times what
 * waking takes wakes them and waits; others use them while they are awake, and wake them for the
 * next ones only when calls have come back to back for a while: a caller with a short frame every
 * few milliseconds has one thread, and nothing spins. Threads that other work on the computer
 * keeps from coming are not waited for.
 * LSTM_E_ARG (and nothing done) if the run is larger than the workspace was made
 * for, the workspace is another plan's, or an item with steps lacks a pointer, has a
 * stream of another model or too few steps for the model to make an output.
 * LSTM_E_BACKEND, with outputs and states of the run undefined, if another backend than
 * "native" fails. Otherwise LSTM_OK. */
LSTMRUN_API lstm_status lstm_run(const lstm_plan *plan, lstm_workspace *workspace,
                                 const lstm_item *items, size_t n_items);

#ifdef __cplusplus
}
#endif

#endif
