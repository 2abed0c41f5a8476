/* SPDX-License-Identifier: MIT
 *
 * Segments of speech in the place of probabilities: for a person, as CSV and as JSON. Each
 * is written as soon as it is complete.
 */
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "tools/say.h"
#include "tools/sink.h"

struct sink_speech {
    struct speech speech;
    struct sink *sink;
    double rate;
    size_t n_segments;
    uint64_t samples; /* in segments */
};

static double seconds(const struct sink_speech *state, uint64_t samples)
{
    return (double)samples / state->rate;
}

static bool begin(struct sink *sink, speech_found_fn *found)
{
    const struct sink_setup *setup = &sink->setup;
    struct sink_speech *state;
    if (setup->batch)
        return complain("%s: segments are of one recording, not of several items; use --format npy",
                        sink->name);
    state = calloc(1, sizeof *state);
    if (!state)
        return complain("%s: out of memory", sink->name);
    sink->speech = state;
    state->sink = sink;
    state->rate = strtod(setup->rate, NULL);
    speech_begin(&state->speech, setup->speech, state->rate, setup->frame_samples);
    speech_tell(&state->speech, found, state);
    return true;
}

static bool frames(struct sink *sink, const float *values, size_t n)
{
    for (size_t i = 0; i < n; i++)
        speech_step(&sink->speech->speech, (double)values[i]);
    return true;
}

static bool next_item(struct sink *sink)
{
    (void)sink;
    return true;
}

static void end_segments(struct sink *sink)
{
    speech_end(&sink->speech->speech, *sink->setup.samples);
}

static void release(struct sink *sink)
{
    free(sink->speech);
    sink->speech = NULL;
}

static void count(struct sink_speech *state, const struct speech_segment *segment)
{
    state->n_segments++;
    state->samples += segment->end - segment->start;
}

/* ---- for a person -------------------------------------------------------- */

static void found_text(void *context, const struct speech_segment *segment)
{
    struct sink_speech *state = context;
    if (state->n_segments == 0)
        fprintf(state->sink->file, "%10s %10s %10s %7s %7s\n", "start s", "end s", "length s", "mean",
                "peak");
    count(state, segment);
    fprintf(state->sink->file, "%10.2f %10.2f %10.2f %7.2f %7.2f\n", seconds(state, segment->start),
            seconds(state, segment->end), seconds(state, segment->end - segment->start), segment->mean,
            segment->peak);
}

static bool begin_text(struct sink *sink)
{
    return begin(sink, found_text);
}

static bool end_text(struct sink *sink)
{
    const struct sink_speech *state = sink->speech;
    const double all = seconds(state, *sink->setup.samples);
    double spoken;
    end_segments(sink);
    spoken = seconds(state, state->samples);
    fprintf(sink->file, "%s: %zu segment%s of speech, %.2f s of %.2f s (%.0f %%)\n", sink->setup.input,
            state->n_segments, state->n_segments == 1 ? "" : "s", spoken, all, all > 0 ? 100 * spoken / all
                : 0);
    return true;
}

const struct sink_format sink_format_speech_text = {
    "text", {NULL}, false, begin_text, frames, next_item, end_text, release};

/* ---- csv ----------------------------------------------------------------- */

static void found_csv(void *context, const struct speech_segment *segment)
{
    struct sink_speech *state = context;
    count(state, segment);
    fprintf(state->sink->file, "%.6f,%.6f,%.6f,%.6f\n", seconds(state, segment->start),
            seconds(state, segment->end), segment->mean, segment->peak);
}

static bool begin_csv(struct sink *sink)
{
    fputs("start,end,mean,peak\n", sink->file);
    return begin(sink, found_csv);
}

static bool end_plain(struct sink *sink)
{
    end_segments(sink);
    return true;
}

const struct sink_format sink_format_speech_csv = {
    "csv", {NULL}, false, begin_csv, frames, next_item, end_plain, release};

/* ---- json ---------------------------------------------------------------- */

static void found_json(void *context, const struct speech_segment *segment)
{
    struct sink_speech *state = context;
    fprintf(state->sink->file, "%s\n  {\"start\": %.6f, \"end\": %.6f, \"mean\": %.6f, \"peak\": %.6f}",
            state->n_segments ? "," : "", seconds(state, segment->start), seconds(state, segment->end),
            segment->mean, segment->peak);
    count(state, segment);
}

static bool begin_json(struct sink *sink)
{
    json_t *name = json_string(sink->setup.model); /* NULL where it is no UTF-8 */
    char *text = name ? json_dumps(name, JSON_ENCODE_ANY) : NULL;
    fprintf(sink->file, "{\"model\": %s,\n \"threshold\": %.9g,\n \"segments\": [", text ? text : "null",
            sink->setup.speech->threshold);
    free(text);
    json_decref(name);
    return begin(sink, found_json);
}

static bool end_json(struct sink *sink)
{
    end_segments(sink);
    fprintf(sink->file, "],\n \"seconds\": %.6f}\n", seconds(sink->speech, *sink->setup.samples));
    return true;
}

const struct sink_format sink_format_speech_json = {
    "json", {NULL}, false, begin_json, frames, next_item, end_json, release};
