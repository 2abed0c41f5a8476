/* SPDX-License-Identifier: MIT
 *
 * Segments of speech: step by step the same as by a second implementation that sees all
 * probabilities at once, for random ones and options.
 */
#include <criterion/criterion.h>
#include <math.h>
#include <string.h>

#include "tests/rng.h"
#include "tools/speech.h"

enum { MAX_STEPS = 400, MAX_SEGMENTS = MAX_STEPS };

struct list {
    size_t n;
    struct speech_segment segments[MAX_SEGMENTS];
};

struct recording {
    struct speech_options options;
    double rate;
    size_t step_samples, n_steps;
    uint64_t n_samples;
    double probabilities[MAX_STEPS];
};

static void append(void *context, const struct speech_segment *segment)
{
    struct list *list = context;
    cr_assert_lt(list->n, MAX_SEGMENTS);
    list->segments[list->n++] = *segment;
}

static void step_by_step(const struct recording *recording, struct list *out)
{
    struct speech speech;
    out->n = 0;
    speech_begin(&speech, &recording->options, recording->rate, recording->step_samples);
    speech_tell(&speech, append, out);
    for (size_t i = 0; i < recording->n_steps; i++)
        speech_step(&speech, recording->probabilities[i]);
    speech_end(&speech, recording->n_samples);
}

/* ---- all at once --------------------------------------------------------- */

static void add_if_long(const struct recording *recording, struct list *list, size_t first, size_t end)
{
    const size_t step = recording->step_samples;
    uint64_t last = end == recording->n_steps ? recording->n_samples : (uint64_t)end * step;
    struct speech_segment segment = {(uint64_t)first * step, last, 0, 0};
    if ((double)(last - segment.start) <= recording->options.min_speech_ms * recording->rate / 1000)
        return;
    for (size_t i = first; i < end; i++) {
        segment.mean += recording->probabilities[i] / (double)(end - first);
        segment.peak = fmax(segment.peak, recording->probabilities[i]);
    }
    append(list, &segment);
}

/* Index of the step at which the segment that begins at `first` ends: that of the first low
 * step of a pause long enough; `*seen_out` is where the search goes on. */
static size_t segment_end(const struct recording *recording, size_t first, size_t *seen_out)
{
    const double low = fmax(recording->options.threshold - 0.15, 0.01);
    const double silence = recording->options.min_silence_ms * recording->rate / 1000;
    size_t pause = SIZE_MAX;
    for (size_t i = first + 1; i < recording->n_steps; i++) {
        double p = recording->probabilities[i];
        if (p >= recording->options.threshold)
            pause = SIZE_MAX;
        if (p < low && pause == SIZE_MAX)
            pause = i;
        if (p < low && (double)((i - pause) * recording->step_samples) >= silence) {
            *seen_out = i + 1;
            return pause;
        }
    }
    *seen_out = recording->n_steps;
    return recording->n_steps;
}

static void add_padding(const struct recording *recording, struct list *list)
{
    const uint64_t pad = (uint64_t)(recording->options.pad_ms * recording->rate / 1000);
    uint64_t room_before = 0;
    for (size_t i = 0; i < list->n; i++) {
        struct speech_segment *segment = &list->segments[i];
        uint64_t gap = i + 1 < list->n ? list->segments[i + 1].start - segment->end
                                       : 2 * (recording->n_samples - segment->end);
        uint64_t before = i == 0 ? segment->start : room_before;
        segment->start -= before < pad ? before : pad;
        segment->end += gap / 2 < pad ? gap / 2 : pad;
        room_before = gap - gap / 2 < pad ? gap - gap / 2 : pad;
    }
}

static void at_once(const struct recording *recording, struct list *out)
{
    out->n = 0;
    for (size_t i = 0; i < recording->n_steps;) {
        if (recording->probabilities[i] >= recording->options.threshold) {
            size_t seen, end = segment_end(recording, i, &seen);
            add_if_long(recording, out, i, end);
            i = seen;
        } else {
            i++;
        }
    }
    add_padding(recording, out);
}

/* ---- random recordings --------------------------------------------------- */

static double uniform(struct rng *rng, double most)
{
    return most * rng_below(rng, 1 << 20) / (1 << 20);
}

/* Stretches of loud, quiet and doubtful steps. */
static void make(struct rng *rng, struct recording *out)
{
    static const size_t steps[] = {1, 64, 256, 512};
    double centre = 0.5;
    out->options = (struct speech_options){0.1 + uniform(rng, 0.8), uniform(rng, 400), uniform(rng, 200),
                                           uniform(rng, rng_below(rng, 2) ? 60 : 600)};
    out->step_samples = steps[rng_below(rng, 4)];
    out->rate = rng_below(rng, 2) ? 16000 : 8000;
    if (out->step_samples == 1)
        out->rate = 50;
    out->n_steps = 1 + rng_below(rng, MAX_STEPS);
    out->n_samples = (uint64_t)out->n_steps * out->step_samples - rng_below(rng, (uint32_t)out->step_samples);
    for (size_t i = 0; i < out->n_steps; i++) {
        if (rng_below(rng, 12) == 0)
            centre = uniform(rng, 1);
        out->probabilities[i] = fmin(1, fmax(0, centre + uniform(rng, 0.4) - 0.2));
    }
}

Test(speech, as_all_at_once)
{
    static struct recording recording;
    static struct list expected, found;
    struct rng rng = {4};
    size_t n_segments = 0;
    for (unsigned round = 0; round < 5000; round++) {
        make(&rng, &recording);
        at_once(&recording, &expected);
        step_by_step(&recording, &found);
        cr_assert_eq(found.n, expected.n, "round %u: %zu segments, expected %zu", round, found.n, expected.n);
        for (size_t i = 0; i < found.n; i++) {
            const struct speech_segment *a = &found.segments[i], *b = &expected.segments[i];
            cr_assert(a->start == b->start && a->end == b->end, "round %u, segment %zu: %llu to %llu, "
                      "expected %llu "
                      "to %llu", round, i, (unsigned long long)a->start, (unsigned long long)a->end,
                      (unsigned long long)b->start, (unsigned long long)b->end);
            cr_assert(fabs(a->mean - b->mean) < 1e-9 && fabs(a->peak - b->peak) < 1e-12, "round %u, segment "
                      "%zu", round,
                      i);
            cr_assert(a->start < a->end && a->end <= recording.n_samples);
        }
        n_segments += found.n;
    }
    cr_assert_gt(n_segments, 5000, "the test has something to compare");
}

/* Figures that people who use Silero's own script can compare with. */
Test(speech, defaults)
{
    struct recording recording = {SPEECH_OPTIONS_DEFAULT, 16000, 512, 100, 51200, {0}};
    struct list found;
    for (size_t i = 20; i < 50; i++)
        recording.probabilities[i] = i == 49 ? 0.36 : 0.9; /* above 0.35 it goes on */
    step_by_step(&recording, &found);
    cr_assert_eq(found.n, 1);
    cr_expect_eq(found.segments[0].start, 20 * 512 - 480);
    cr_expect_eq(found.segments[0].end, 50 * 512 + 480);
    cr_expect_float_eq(found.segments[0].peak, 0.9, 1e-12);
}

Test(speech, no_steps)
{
    struct recording recording = {SPEECH_OPTIONS_DEFAULT, 16000, 512, 0, 0, {0}};
    struct list found;
    step_by_step(&recording, &found);
    cr_expect_eq(found.n, 0);
}
