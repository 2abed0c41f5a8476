/* SPDX-License-Identifier: MIT
 *
 * Windows that slide over frames, inside a frame or over time: what convolutions and pools share.
 * Words 0 to 3 of such a layer are stride, dilation and padding, as a conv1d's.
 */
#ifndef LSTMRUN_RUNTIME_WINDOWS_H
#define LSTMRUN_RUNTIME_WINDOWS_H

#include "runtime/exec.h"

/* Stride and dilation are 1 or more. */
lstm_status check_window_words(const struct layer *layer, lstm_error *error);

/* Over time: what follows for the numbers of steps, and for the history if the layer looks back only and
 * `streams`: then zeros, or what layer->rest says, stand before the first frame. layer->reach is set. */
lstm_status check_windows_over_time(struct layer *layer, bool streams, lstm_error *error);

/* "3 taps, causal, stride 2, padding 1 + 1" into text; returns what is left of it. */
char *describe_windows(const struct layer *layer, uint32_t taps, char *text, size_t *n_bytes);

struct windows windows_of(const struct layer *layer, uint32_t taps);

/* The frames that a position looks at, from the first that is there. */
struct track {
    const float *frames;  /* [n][in] in a row, or NULL … */
    float *const *rows;   /* … and then one by one */
    const float *history; /* of a layer that streams: the frames before the first */
    int64_t n;
};

/* Frame q of the track, or what stands for it beyond its ends; NULL: zeros. */
const float *window_frame(const struct windows *windows, const struct track *track, int64_t q);

/* Walks over all positions of a block: those inside its frames, or its steps. */
struct cursor {
    const struct plan_op *op;
    const struct windows *windows;
    const struct section *section;
    const struct exec_item *items_out; /* the items with their steps in the output */
    float **in, **out;
    struct track track;
    size_t index;  /* frame, or item */
    size_t at, n;  /* position in it, of so many */
    size_t row;    /* of position 0 in `out`, for steps */
    size_t left;   /* positions to go */
};

/* Over positions [position, end) of all. */
struct cursor cursor_over(const struct plan_op *op, const struct windows *windows, const struct exec *exec,
                          size_t position, size_t end);

/* To the track of cursor->index. */
void cursor_enter(struct cursor *cursor);

/* A position's window begins here. */
static inline int64_t cursor_start(const struct cursor *cursor)
{
    return (int64_t)(cursor->at * cursor->windows->stride) - cursor->windows->before;
}

static inline float *cursor_output(const struct cursor *cursor)
{
    if (cursor->windows->over_time)
        return cursor->out[cursor->row + cursor->at];
    return cursor->out[cursor->index] + cursor->at * cursor->windows->out;
}

static inline void cursor_step(struct cursor *cursor)
{
    cursor->left--;
    if (++cursor->at < cursor->n || !cursor->left)
        return;
    cursor->at = 0;
    cursor->index++;
    cursor_enter(cursor);
}

#endif
