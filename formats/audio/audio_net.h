/* SPDX-License-Identifier: MIT
 *
 * What the networks of audio plugins are made of: recurrent layers, dense ones, gains, a
 * skip connection around all of them, and metadata about the captured device.
 */
#ifndef LSTMRUN_FORMATS_AUDIO_NET_H
#define LSTMRUN_FORMATS_AUDIO_NET_H

#include "formats/audio/audio_json.h"
#include "formats/import_common.h"

/* The model under construction: layers are added at its end. */
struct audio_net {
    const struct audio_file *file;
    struct model_builder *builder;
    uint32_t n_inputs;           /* numbers of an input frame: the sample, then the knobs */
    uint32_t dry;                /* the value that a skip connection adds */
    uint32_t current, n_current; /* the value that the next layer reads, and its frame's size */
};

/* All return false after a failure, with a sentence in file->error. */

void audio_net_begin(struct audio_net *net, const struct audio_file *file, struct model_builder *builder,
                     uint32_t n_inputs);

/* The cell's type, sizes, order, weights and name are the caller's; what it reads must be
 * n_current numbers. */
bool audio_add_cell(struct audio_net *net, const struct import_cell *cell);

/* Weights are [outputs][n_current]; `bias` [outputs] or NULL. */
bool audio_add_dense(struct audio_net *net, const char *name, uint32_t n_outputs, const float *weights,
                     const float *bias);

struct audio_conv {
    uint32_t n_outputs, n_taps, dilation, groups;
    const float *weights; /* [n_outputs][n_taps][n_current / groups] */
    const float *bias;    /* [n_outputs] */
};
/* Over time, causal. */
bool audio_add_conv(struct audio_net *net, const char *name, const struct audio_conv *conv);

/* x · scale + shift; `shift` may be NULL. */
bool audio_add_scale(struct audio_net *net, const char *name, float *scale, float *shift);

/* The sample alone is multiplied, not the knobs. Later skips add what comes out. */
bool audio_add_input_gain(struct audio_net *net, float gain);
bool audio_add_output_gain(struct audio_net *net, float gain);

/* The first `count` numbers of the dry value are added to the output. */
bool audio_add_skip(struct audio_net *net, uint32_t count);

/* A layer without tensors that keeps the frame's shape. */
void audio_add_plain(struct audio_net *net, const char *name, uint32_t type, uint32_t activation,
                     float alpha);

/* ---- metadata ------------------------------------------------------------ */

struct audio_key {
    const char *theirs, *ours; /* ours NULL: left out, as somebody else takes care of it */
};

/* Strings, numbers and truth values of an object become metadata, those of objects in it too,
 * as "outer.inner". `renamed` ends with NULL; keys that programs obey or that lstmconvert sets
 * are kept as "original_KEY" unless `renamed` leads to them. null is left out. */
bool audio_set_metadata(const struct audio_net *net, const json_t *object, const char *place,
                        const struct audio_key *renamed);

/* A number, or a number in a string, as "sample_rate"; null and numbers up to 0 mean that it is
 * not known. *rate_out is 0 then, too. */
bool audio_set_rate(const struct audio_net *net, const json_t *value, const char *place, double *rate_out);

#endif
