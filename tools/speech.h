/* SPDX-License-Identifier: MIT
 *
 * From probabilities of speech, one a step, to segments of speech: two thresholds, least
 * lengths and padding, step by step and in constant memory.
 */
#ifndef LSTMRUN_TOOLS_SPEECH_H
#define LSTMRUN_TOOLS_SPEECH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Defaults are those that Silero's users know. */
struct speech_options {
    double threshold;      /* speech begins at this probability, and ends below it - 0.15 */
    double min_speech_ms;  /* shorter segments are left out */
    double min_silence_ms; /* shorter pauses do not end a segment */
    double pad_ms;         /* added before and after each segment, where there is room */
};
#define SPEECH_OPTIONS_DEFAULT {0.5, 250, 100, 30}

/* From sample `start` on, up to but not `end`. Mean and peak are of the steps without padding. */
struct speech_segment {
    uint64_t start, end;
    double mean, peak;
};

typedef void speech_found_fn(void *context, const struct speech_segment *segment);

/* Steps that count for a segment's figures. */
struct speech_sum {
    uint64_t n;
    double sum, peak;
};

struct speech {
    double threshold, end_threshold;
    double min_speech, min_silence; /* samples */
    uint64_t pad, step_samples;
    speech_found_fn *found;
    void *context;

    uint64_t at;            /* first sample of the next step */
    bool inside;            /* a segment has begun … */
    uint64_t start;         /* … here */
    bool pausing;           /* and its probability is low since … */
    uint64_t pause;
    struct speech_sum all, before_pause;
    bool waiting;           /* a complete segment, whose end may still meet the next one's start */
    struct speech_segment segment;
    uint64_t earliest;      /* where the next segment's padding may begin */
};

void speech_begin(struct speech *speech, const struct speech_options *options, double rate,
                  size_t step_samples);

/* `found` is called for each segment as soon as it cannot change any more. */
void speech_tell(struct speech *speech, speech_found_fn *found, void *context);

void speech_step(struct speech *speech, double probability);

/* `n_samples` is the length of it all, up to which segments may be padded. */
void speech_end(struct speech *speech, uint64_t n_samples);

#endif
