/* SPDX-License-Identifier: MIT
 *
 * Output frames to a file or standard output, whatever the format.
 */
#ifndef LSTMRUN_TOOLS_SINK_H
#define LSTMRUN_TOOLS_SINK_H

#include <stdbool.h>
#include <stddef.h>

#include "formats/wav.h"
#include "runtime/lstmrun.h"
#include "tools/speech.h"
#include "tools/whole_file.h"

#define SINK_UNKNOWN SIZE_MAX

struct sink_format;
struct sink_text;
struct sink_speech;

/* What will be written; strings are borrowed. */
struct sink_setup {
    const char *path;       /* NULL or "-": standard output */
    const char *model;      /* its path */
    lstm_shape frame;
    bool batch;             /* the result has a dimension of items */
    bool once;              /* one frame an item, no dimension of steps */
    size_t items;
    size_t steps;           /* frames of each item; SINK_UNKNOWN: known at the end */
    const char *rate;       /* the model's sample_rate, or NULL */
    const char *labels;     /* one a line, or NULL */
    bool flush;             /* each frame out at once */
    bool states;            /* sink_write_state will be called after each frame */
    size_t frame_samples;   /* of audio a step; 1: a step is a sample of each channel */
    const uint64_t *samples; /* of the input so far, without padding of its last step */
    const char *input;      /* its name */
    const struct speech_options *speech; /* segments are wanted, not probabilities; or NULL */
};

struct sink {
    const struct sink_format *format;
    struct sink_setup setup;
    const char *name;       /* for messages */
    struct whole_file whole;
    FILE *file;             /* where to write: whole.file or stdout */
    size_t frames;          /* written so far, of all items together */
    size_t item_frames;     /* of this item */
    size_t item;            /* the number of this item */
    struct wav *wav;
    uint64_t samples;       /* of the wav */
    struct sink_text *text;
    struct sink_speech *speech;
};

/* What a person should see of one layer's state. */
struct sink_state {
    const char *layer;
    const char *which; /* "h", "c", "h reverse" … */
    const float *values;
    size_t n;
};

const struct sink_format *sink_find_format(const char *name, const char *path);

/* The format that writes segments of speech where the given one writes probabilities for a
 * person or a table; the same one if there is none. */
const struct sink_format *sink_of_speech(const struct sink_format *format);
const char *sink_format_names(void);
bool sink_is_binary(const struct sink_format *format);
bool sink_is_text(const struct sink_format *format); /* the one for a person */

/* All return false after a message. After sink_open, sink_finish or sink_abandon is
 * due. Frames come item after item, with sink_next_item between two items. */
bool sink_open(struct sink *sink, const struct sink_format *format, const struct sink_setup *setup);
bool sink_write(struct sink *sink, const float *frames, size_t n);
bool sink_next_item(struct sink *sink);
bool sink_write_state(struct sink *sink, const struct sink_state *state); /* text only */
bool sink_finish(struct sink *sink);
void sink_abandon(struct sink *sink);

/* ---- private to sink*.c --------------------------------------------------- */

struct sink_format {
    const char *name;
    const char *extensions[5];
    bool binary;
    bool (*begin)(struct sink *sink);
    bool (*frames)(struct sink *sink, const float *frames, size_t n);
    bool (*next_item)(struct sink *sink); /* item and item_frames are still the old one's */
    bool (*end)(struct sink *sink);
    void (*release)(struct sink *sink); /* memory, after end or instead of it */
};

extern const struct sink_format sink_format_csv, sink_format_json, sink_format_text;
extern const struct sink_format sink_format_speech_csv, sink_format_speech_json, sink_format_speech_text;

#endif
