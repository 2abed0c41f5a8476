/* SPDX-License-Identifier: MIT
 *
 * Segments of speech, see speech.h.
 */
#include "tools/speech.h"

#include <math.h>
#include <stdint.h>

static const double hysteresis = 0.15, least_end_threshold = 0.01;

void speech_begin(struct speech *speech, const struct speech_options *options, double rate,
                  size_t step_samples)
{
    const double per_ms = rate / 1000;
    *speech = (struct speech){
        .threshold = options->threshold,
        .end_threshold = fmax(options->threshold - hysteresis, least_end_threshold),
        .min_speech = options->min_speech_ms * per_ms,
        .min_silence = options->min_silence_ms * per_ms,
        .pad = (uint64_t)(options->pad_ms * per_ms),
        .step_samples = step_samples};
}

void speech_tell(struct speech *speech, speech_found_fn *found, void *context)
{
    speech->found = found;
    speech->context = context;
}

static void count(struct speech_sum *sum, double probability)
{
    sum->n++;
    sum->sum += probability;
    sum->peak = fmax(sum->peak, probability);
}

/* Where a segment's padding may begin: not before 0, nor in the one before. */
static uint64_t padded_start(const struct speech *speech)
{
    uint64_t room = speech->start - speech->earliest;
    return speech->start - (room < speech->pad ? room : speech->pad);
}

/* The complete segment's end, now that nothing begins before `next`. */
static void release(struct speech *speech, uint64_t next)
{
    struct speech_segment *segment = &speech->segment;
    const uint64_t gap = next - segment->end;
    if (!speech->waiting)
        return;
    speech->waiting = false;
    segment->end += gap < 2 * speech->pad ? gap / 2 : speech->pad;
    speech->earliest = segment->end;
    speech->found(speech->context, segment);
}

/* The segment that began at `start` is known to be one; the one before it can go. */
static void confirm(struct speech *speech)
{
    release(speech, speech->start);
}

static bool is_long(const struct speech *speech, uint64_t end)
{
    return (double)(end - speech->start) > speech->min_speech;
}

static void finish(struct speech *speech, uint64_t end, const struct speech_sum *sum)
{
    speech->inside = speech->pausing = false;
    if (!is_long(speech, end))
        return;
    confirm(speech);
    speech->waiting = true;
    speech->segment = (struct speech_segment){
        .start = padded_start(speech), .end = end, .mean = sum->sum / (double)sum->n, .peak = sum->peak};
}

static void begin_segment(struct speech *speech, double probability)
{
    speech->inside = true;
    speech->pausing = false;
    speech->start = speech->at;
    speech->all = (struct speech_sum){0};
    count(&speech->all, probability);
}

static void go_on(struct speech *speech, double probability)
{
    if (probability >= speech->threshold)
        speech->pausing = false;
    if (probability < speech->end_threshold && !speech->pausing) {
        speech->pausing = true;
        speech->pause = speech->at;
        speech->before_pause = speech->all;
    }
    count(&speech->all, probability);
    if (probability < speech->end_threshold && (double)(speech->at - speech->pause) >= speech->min_silence)
        finish(speech, speech->pause, &speech->before_pause);
    else if (is_long(speech, speech->pausing ? speech->pause : speech->at))
        confirm(speech);
}

void speech_step(struct speech *speech, double probability)
{
    if (speech->inside)
        go_on(speech, probability);
    else if (probability >= speech->threshold)
        begin_segment(speech, probability);
    speech->at += speech->step_samples;
    if (!speech->inside && speech->waiting && speech->at - speech->segment.end >= 2 * speech->pad)
        release(speech, speech->at);
}

void speech_end(struct speech *speech, uint64_t n_samples)
{
    uint64_t end = n_samples < speech->at ? n_samples : speech->at;
    if (speech->inside)
        finish(speech, end > speech->start ? end : speech->start, &speech->all);
    if (!speech->waiting)
        return;
    speech->waiting = false;
    if (speech->segment.end < end) {
        uint64_t room = end - speech->segment.end;
        speech->segment.end += room < speech->pad ? room : speech->pad;
    }
    speech->found(speech->context, &speech->segment);
}
