/* SPDX-License-Identifier: MIT
 *
 * One invocation of lstmrun: the model, its input, the plan and the streams, opened in
 * this order and closed together.
 */
#ifndef LSTMRUN_TOOLS_SESSION_H
#define LSTMRUN_TOOLS_SESSION_H

#include "runtime/lstmrun.h"
#include "tools/args.h"
#include "tools/source.h"

struct session {
    const struct args *args;
    lstm_model *model;
    const lstm_model_info *info;
    lstm_plan_options options; /* of the plan */
    lstm_plan *plan;
    lstm_workspace *workspace;
    struct source source;
    bool has_source;
    size_t frame_samples;  /* of audio a step takes */
    bool speech;           /* the output is the probability of speech */
    size_t chunk;          /* steps a call; SIZE_MAX: the whole sequence */
    size_t items;
    lstm_stream **streams; /* [items] */
    double open_seconds, plan_seconds;
};

/* All print a message and return false, or end the program for bad usage. */
bool session_open_model(struct session *session, const struct args *args);
bool session_open_input(struct session *session);
bool session_make_plan(struct session *session, size_t items, size_t steps);
bool session_make_streams(struct session *session); /* --load-state included */

/* The workspace grows to hold runs of `steps` steps of all items. */
bool session_make_workspace(struct session *session, size_t steps);

/* --prewarm: zeros through every stream, as many as the model asks for. */
bool session_prewarm(struct session *session);

/* Accepts a session that was opened in part. */
void session_close(struct session *session);

/* The sequence goes through the model piece by piece, in constant memory. */
bool session_is_piecewise(const struct session *session);

/* From standard input to standard output: each frame is answered at once. */
bool session_is_live(const struct session *session);

#endif
