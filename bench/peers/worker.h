/* SPDX-License-Identifier: MIT
 *
 * A worker: one runtime behind a line protocol, so that bench/compare can time several runtimes in turns.
 * PROTOCOL.md beside this file has the commands and the files of a case. worker.c is the loop, worker_case.c
 * the files; each program adds one `worker_runtime`.
 */
#ifndef LSTMRUN_BENCH_WORKER_H
#define LSTMRUN_BENCH_WORKER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct worker_error {
    char text[1024];
};

/* Always false, so that a function that fails can return it. */
bool worker_fail(struct worker_error *error, const char *format, ...) __attribute__((format(printf, 2, 3)));

struct worker_options {
    uint32_t threads;
    const char *isa;     /* NULL: the best here */
    const char *library; /* shared library to load, for runtimes that are not linked; else NULL */
};

/* One of the independent streams of a `streams 1` case. Each array is an allocation of its own. */
struct worker_stream {
    float *input;    /* [inputs] */
    float *output;   /* [directions * units] */
    float *state[2]; /* h, c: [layers][directions][units] */
};

struct worker_case {
    char dir[4096];
    bool gru, bidirectional, streams;
    uint32_t layers, inputs, units, steps, items, threads, calls;

    /* What one call reads and writes. Time-major [steps][items][…], or [items][steps][…] for a runtime
     * that is item_major. */
    float *input, *output;
    /* [set][h, c], each [layers][directions][items][units]: a call reads set s and writes set 1 - s.
     * NULL when steps > 1: such a call starts from zero. c is there for a GRU too, unused. */
    float *state[2][2];
    struct worker_stream *stream; /* [items] when streams, else NULL */
};

static inline uint32_t worker_directions(const struct worker_case *c)
{
    return c->bidirectional ? 2 : 1;
}

/* Width of what layer `layer` reads. */
static inline uint32_t worker_layer_inputs(const struct worker_case *c, uint32_t layer)
{
    return layer == 0 ? c->inputs : worker_directions(c) * c->units;
}

/* Floats of one layer's part of a state array. */
static inline size_t worker_layer_state(const struct worker_case *c)
{
    return (size_t)worker_directions(c) * c->items * c->units;
}

/* A tensor of model.onnx over the case's buffers: its input or output number `index`. */
struct worker_place {
    bool output;
    size_t index;
    float *data;
    uint32_t rank;
    int64_t dims[4];
};

/* Inputs of model.onnx, and outputs: x or y, then h and, for an LSTM, c of each layer when steps == 1. */
size_t worker_n_places(const struct worker_case *c);

/* Input `index`, or output `index`, of a call that reads state set `set`. */
struct worker_place worker_place_of(const struct worker_case *c, int set, bool output, size_t index);

/* Read DIR/case.txt and allocate the buffers. */
bool worker_case_open(const char *dir, bool item_major, struct worker_case *out, struct worker_error *error);
void worker_case_close(struct worker_case *c);
size_t worker_case_inputs_size(const struct worker_case *c);  /* floats of one call's input */
size_t worker_case_outputs_size(const struct worker_case *c); /* the same for its output */

/* Between a call's numbers as files have them, [items][steps][width], and the buffers above. */
void worker_case_put_input(struct worker_case *c, bool item_major, const float *numbers);
void worker_case_get_output(const struct worker_case *c, bool item_major, float *numbers);
void worker_case_zero_state(struct worker_case *c);

/* Inputs and states of all streams into the batch (set 0); outputs and states (set 1) back. */
void worker_case_gather(struct worker_case *c);
void worker_case_scatter(struct worker_case *c);

/* The whole of DIR/name, which must hold exactly n floats; malloc'd. NULL: failed. */
float *worker_read_floats(const struct worker_case *c, const char *name, size_t n,
                          struct worker_error *error);
bool worker_path(const struct worker_case *c, const char *name, char *out, size_t n_out,
                 struct worker_error *error);

/* Zeroed, 64-byte aligned, to be freed with free; NULL: out of memory. */
float *worker_floats(size_t n);

struct worker_runtime {
    const char *name;
    const char *notes;
    bool item_major;  /* sequences lie one after the other, not frame by frame */
    bool own_streams; /* takes streams as they lie: nothing to gather */

    /* Load the library, obey the options (which live as long as the program), say the version. Answers what
     * `open` gets as its first argument; NULL: failed. */
    void *(*start)(struct worker_options *options, char version[64], struct worker_error *error);
    /* From the case's model or weights on disk to ready to run. NULL: failed. The case outlives it. */
    void *(*open)(void *started, struct worker_case *c, struct worker_error *error);
    /* Streams back to zero, for a runtime that keeps states itself; else NULL. */
    void (*reset)(void *self);
    /* One call: reads c->input and state set `set`, writes c->output and the other set. */
    bool (*run)(void *self, int set, struct worker_error *error);
    void (*close)(void *self); /* not NULL */
    void (*end)(void *started); /* NULL: nothing to do */
};

extern const struct worker_runtime worker_runtime;

#endif
