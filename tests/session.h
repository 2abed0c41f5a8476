/* SPDX-License-Identifier: MIT
 *
 * The library in one call for tests: model, plan and workspace together. A failure
 * that the test does not ask about aborts with the library's own sentence.
 */
#ifndef LSTMRUN_TESTS_SESSION_H
#define LSTMRUN_TESTS_SESSION_H

#include "runtime/lstmrun.h"
#include "tests/random_model.h"

struct session {
    const struct test_model *source;
    lstm_model *model;
    lstm_plan *plan;
    lstm_workspace *workspace;
    size_t n_in, n_out, n_states;
    int once;
};

/* The workspace is made for `items` items of up to `steps` steps. */
struct session session_open(const struct test_model *source, const lstm_plan_options *options,
                            size_t items, size_t steps);
void session_close(struct session *session);

lstm_stream *session_stream(const struct session *session);

/* Frames of output for an item of this many steps. */
size_t session_frames(const struct session *session, size_t steps);

/* All states of a stream in stream order; `out` has n_states floats. */
void session_get_states(const struct session *session, lstm_stream *stream, float *out);
void session_set_states(const struct session *session, lstm_stream *stream, const float *states);

/* One item from rows without gaps; aborts unless the run says LSTM_OK. */
void session_run(const struct session *session, lstm_stream *stream, const float *input,
                 size_t steps, float *output);
void session_run_items(const struct session *session, const lstm_item *items, size_t n_items);

/* How many of `n` random trials to do: a fifth where $LSTMRUN_QUICK is set, as it is for
 * emulators and sanitizers (tests/meson.build). */
uint32_t test_rounds(uint32_t n);

/* calloc that aborts: [n] floats, at least one. */
float *test_floats(size_t n);

/* Same bits, except that any NaN equals any NaN. */
int test_same_bits(const float *a, const float *b, size_t n, size_t *where);

/* Names of the instruction sets that this machine can run, best first; NULL ends. */
extern const char *const test_isa_names[];
int test_has_isa(const struct test_model *source, const char *isa);

/* Whether runs can be split over threads at all: not without OpenMP. */
int test_has_threads(const struct test_model *source);

#endif
