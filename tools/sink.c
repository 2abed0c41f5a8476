/* SPDX-License-Identifier: MIT
 *
 * Output formats, one row each, see sink.h. Here are those for machines; json and the
 * one for a person have files of their own.
 */
#define _POSIX_C_SOURCE 200809L

#include "tools/sink.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "formats/npy.h"
#include "tools/paths.h"
#include "tools/say.h"

/* ---- bin ----------------------------------------------------------------- */

static bool nothing(struct sink *sink)
{
    (void)sink;
    return true;
}

static void no_release(struct sink *sink)
{
    (void)sink;
}

static bool bin_frames(struct sink *sink, const float *frames, size_t n)
{
    fwrite(frames, sizeof(float), n * sink->setup.frame.size, sink->file);
    return true;
}

/* ---- npy ----------------------------------------------------------------- */

static void npy_header(struct sink *sink, size_t steps)
{
    const struct sink_setup *setup = &sink->setup;
    size_t dims[TENSOR_MAX_RANK];
    uint32_t rank = 0;
    char header[NPY_HEADER_BYTES];
    if (setup->batch)
        dims[rank++] = setup->items;
    if (!setup->once)
        dims[rank++] = steps;
    for (uint32_t i = 0; i < setup->frame.rank; i++)
        dims[rank++] = setup->frame.dims[i];
    npy_write_header(rank, dims, header);
    fwrite(header, 1, sizeof header, sink->file);
}

static bool npy_begin(struct sink *sink)
{
    if (sink->setup.steps == SINK_UNKNOWN && fseek(sink->file, 0, SEEK_CUR) != 0)
        return complain("%s: npy needs to know the number of steps first; write it to a file", sink->name);
    npy_header(sink, sink->setup.steps == SINK_UNKNOWN ? 0 : sink->setup.steps);
    return true;
}

static bool npy_end(struct sink *sink)
{
    if (sink->setup.steps != SINK_UNKNOWN)
        return true;
    if (fseek(sink->file, 0, SEEK_SET) != 0)
        return complain("%s: cannot be written: %s", sink->name, strerror(errno));
    npy_header(sink, sink->item_frames);
    return true;
}

/* ---- csv ----------------------------------------------------------------- */

static bool csv_frames(struct sink *sink, const float *frames, size_t n)
{
    size_t size = sink->setup.frame.size;
    for (size_t i = 0; i < n * size; i++)
        fprintf(sink->file, "%.9g%c", (double)frames[i], (i + 1) % size ? ',' : '\n');
    return true;
}

/* Readers of numbers skip empty lines, plotters see blocks. */
static bool csv_next_item(struct sink *sink)
{
    fputc('\n', sink->file);
    return true;
}

/* ---- wav ----------------------------------------------------------------- */

enum { WAV_MAX_CHANNELS = 1024, WAV_MAX_RATE = 655350 };

static bool wav_begin(struct sink *sink)
{
    const struct sink_setup *setup = &sink->setup;
    struct io_error error;
    if (!setup->rate)
        return complain("%s: the model has no 'sample_rate' in its metadata: its output is no sound",
                        sink->name);
    if (setup->batch || setup->once)
        return complain("%s: wav holds one sequence of frames, not %s", sink->name,
                        setup->batch ? "several" : "one frame");
    double rate = strtod(setup->rate, NULL);
    if (!(rate >= 1 && rate <= WAV_MAX_RATE) || rate != floor(rate))
        return complain("%s: the model's sample_rate %s, expected a whole number from 1 to %d for wav",
                        sink->name, setup->rate, WAV_MAX_RATE);
    if (setup->frame_samples > 1 && setup->frame.size != setup->frame_samples)
        return complain("%s: %zu outputs a step of %zu samples are no sound", sink->name, setup->frame.size,
                        setup->frame_samples);
    if (setup->frame_samples == 1 && setup->frame.size > WAV_MAX_CHANNELS)
        return complain("%s: %zu outputs a step, but wav holds at most %d channels", sink->name,
                        setup->frame.size, WAV_MAX_CHANNELS);
    if (fseek(sink->file, 0, SEEK_CUR) != 0)
        return complain("%s: wav cannot be written to a pipe; write it to a file", sink->name);
    struct wav_info info = {(unsigned)(setup->frame.size / setup->frame_samples), (unsigned)rate, 0};
    return wav_create(fileno(sink->file), &info, &sink->wav, &error) ||
           complain("%s: cannot be written: %s", sink->name, error.text);
}

/* A step may be several samples; those that the input was padded with are left out again. */
static bool wav_frames(struct sink *sink, const float *frames, size_t n)
{
    struct io_error error;
    uint64_t samples = (uint64_t)n * sink->setup.frame_samples, left = *sink->setup.samples - sink->samples;
    if (samples > left)
        samples = left;
    sink->samples += samples;
    return wav_write(sink->wav, frames, (size_t)samples, &error) ||
           complain("%s: cannot be written: %s", sink->name, error.text);
}

static bool wav_end(struct sink *sink)
{
    struct io_error error;
    struct wav *wav = sink->wav;
    sink->wav = NULL;
    return wav_close(wav, &error) || complain("%s: cannot be written: %s", sink->name, error.text);
}

static void wav_release(struct sink *sink)
{
    struct io_error ignored;
    wav_close(sink->wav, &ignored);
}

/* ---- the table ----------------------------------------------------------- */

static const struct sink_format format_bin = {
    "bin", {"bin", "raw", "f32", NULL}, true, nothing, bin_frames, nothing, nothing, no_release};
static const struct sink_format format_npy = {
    "npy", {"npy", NULL}, true, npy_begin, bin_frames, nothing, npy_end, no_release};
const struct sink_format sink_format_csv = {
    "csv", {"csv", NULL}, false, nothing, csv_frames, csv_next_item, nothing, no_release};
static const struct sink_format format_wav = {
    "wav", {"wav", NULL}, true, wav_begin, wav_frames, nothing, wav_end, wav_release};

static const struct sink_format *const formats[] = {&format_bin, &format_npy,       &sink_format_csv,
                                                    &format_wav, &sink_format_json, &sink_format_text};

const struct sink_format *sink_find_format(const char *name, const char *path)
{
    for (size_t i = 0; i < sizeof formats / sizeof *formats; i++) {
        if (name ? strcmp(name, formats[i]->name) == 0 : path_has_extension(path, formats[i]->extensions))
            return formats[i];
    }
    return NULL;
}

const char *sink_format_names(void)
{
    return "bin, npy, csv, json, wav or text";
}

const struct sink_format *sink_of_speech(const struct sink_format *format)
{
    static const struct sink_format *const pairs[][2] = {{&sink_format_text, &sink_format_speech_text},
                                                         {&sink_format_csv, &sink_format_speech_csv},
                                                         {&sink_format_json, &sink_format_speech_json}};
    for (size_t i = 0; i < sizeof pairs / sizeof *pairs; i++)
        if (format == pairs[i][0])
            return pairs[i][1];
    return format;
}

bool sink_is_binary(const struct sink_format *format)
{
    return format->binary;
}

bool sink_is_text(const struct sink_format *format)
{
    return format == &sink_format_text;
}

/* ---- writing ------------------------------------------------------------- */

static bool flushed(struct sink *sink)
{
    if (ferror(sink->file) == 0 && fflush(sink->file) == 0)
        return true;
    return complain("%s: cannot be written: %s", sink->name, strerror(errno));
}

bool sink_open(struct sink *sink, const struct sink_format *format, const struct sink_setup *setup)
{
    bool to_stdout = !setup->path || strcmp(setup->path, "-") == 0;
    *sink = (struct sink){.format = format, .setup = *setup};
    sink->name = to_stdout ? "standard output" : setup->path;
    if (!to_stdout && !whole_file_open(setup->path, &sink->whole))
        return false;
    sink->file = to_stdout ? stdout : sink->whole.file;
    if (format->begin(sink))
        return true;
    sink_abandon(sink);
    return false;
}

bool sink_write(struct sink *sink, const float *frames, size_t n)
{
    errno = 0;
    if (!sink->format->frames(sink, frames, n))
        return false;
    sink->frames += n;
    sink->item_frames += n;
    if (sink->setup.flush)
        return flushed(sink);
    return !ferror(sink->file) || complain("%s: cannot be written: %s", sink->name, strerror(errno));
}

bool sink_next_item(struct sink *sink)
{
    bool ok = sink->format->next_item(sink);
    sink->item++;
    sink->item_frames = 0;
    return ok;
}

bool sink_finish(struct sink *sink)
{
    errno = 0;
    bool ok = sink->format->end(sink) && flushed(sink);
    if (!ok) {
        sink_abandon(sink);
        return false;
    }
    sink->format->release(sink);
    return !sink->whole.file || whole_file_commit(&sink->whole);
}

void sink_abandon(struct sink *sink)
{
    if (!sink->format)
        return;
    sink->format->release(sink);
    whole_file_abandon(&sink->whole);
    sink->format = NULL;
}
