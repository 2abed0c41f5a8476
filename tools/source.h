/* SPDX-License-Identifier: MIT
 *
 * Input frames from a file or standard input, whatever the format: opened once, read
 * in order, never held in memory as a whole.
 */
#ifndef LSTMRUN_TOOLS_SOURCE_H
#define LSTMRUN_TOOLS_SOURCE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "formats/csv.h"
#include "formats/mapfile.h"
#include "formats/npy.h"
#include "formats/wav.h"
#include "runtime/lstmrun.h"

#define SOURCE_UNKNOWN SIZE_MAX

struct source_format;

/* What the model says of its input; pointers are borrowed. */
struct source_model {
    const lstm_shape *frame;
    const char *rate;     /* its sample_rate, or NULL */
    size_t frame_samples; /* of audio a step, one channel if there are several; else 1 */
    bool mix;             /* channels of a recording may be mixed to one */
};

struct source {
    const struct source_format *format;
    const char *path;     /* "-": standard input */
    const char *name;     /* for messages */
    lstm_shape frame;     /* what the model expects */
    const char *rate;     /* the model's sample_rate, or NULL */
    size_t frame_samples;
    bool mix;
    unsigned mixed;       /* channels that are mixed to one; 0: none are */
    uint64_t samples;     /* read so far, of audio or else steps, without padding of the last step */
    size_t padded;        /* samples added by the read at hand */
    bool batch;           /* the input has a dimension of items */
    size_t items;         /* sequences, read one after the other; 1 unless batch */
    size_t steps;         /* of each item; SOURCE_UNKNOWN: known at the end */
    size_t done;          /* frames read so far, of all items together */

    int fd;               /* bin, csv */
    size_t file_bytes;    /* of a regular file, else 0 */
    size_t bytes_read;
    struct csv csv;
    struct mapfile map;   /* npy, wav */
    struct npy_header npy;
    struct wav *wav;
};

/* The format of that name, or of the extension of `path`; NULL if there is none. */
const struct source_format *source_find_format(const char *name, const char *path);

/* All of them, for messages. */
const char *source_format_names(void);

/* Open and check everything that can be known before the first frame. `path` is
 * borrowed. False: a message was printed. */
bool source_open(struct source *source, const struct source_format *format, const char *path,
                 const struct source_model *model);
void source_close(struct source *source);

/* Read up to `steps` frames, and return only when there are that many or the input is
 * at its end. False: a message was printed. */
bool source_read(struct source *source, float *frames, size_t steps, size_t *n_out);

/* How much of the input has been read, 0 to 1; negative if that cannot be known. */
double source_fraction(const struct source *source);

#endif
