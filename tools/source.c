/* SPDX-License-Identifier: MIT
 *
 * Input formats, one row each, see source.h.
 */
#define _POSIX_C_SOURCE 200809L

#include "tools/source.h"

#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "formats/model_file.h"
#include "tools/cleanup.h"
#include "tools/paths.h"
#include "tools/say.h"

struct source_format {
    const char *name;
    const char *extensions[5];
    bool (*open)(struct source *source);
    bool (*read)(struct source *source, float *frames, size_t steps, size_t *n_out);
};

/* ---- files read as they come: bin and csv -------------------------------- */

/* The easiest mistake: the model given twice. */
static bool is_model_file(const struct source *source)
{
    char start[MODEL_MAGIC_BYTES];
    return pread(source->fd, start, sizeof start, 0) == (ssize_t)sizeof start &&
           memcmp(start, MODEL_MAGIC, sizeof start) == 0;
}

static bool open_descriptor(struct source *source)
{
    struct stat status;
    source->fd = strcmp(source->path, "-") == 0 ? STDIN_FILENO : open(source->path, O_RDONLY | O_CLOEXEC);
    if (source->fd < 0 || fstat(source->fd, &status) != 0)
        return complain("%s: cannot be read: %s", source->name, strerror(errno));
    if (S_ISDIR(status.st_mode))
        return complain("%s: is a directory, expected a file of frames", source->name);
    if (!S_ISREG(status.st_mode))
        return true;
    if (status.st_size == 0)
        return complain("%s: the file is empty, expected frames of %zu numbers", source->name,
                        source->frame.size);
    /* Standard input may be a file that was read in part. */
    off_t start = lseek(source->fd, 0, SEEK_CUR);
    if (start < status.st_size)
        source->file_bytes = (size_t)(status.st_size - (start > 0 ? start : 0));
    return !is_model_file(source) ||
           complain("%s: is a model file, expected a file of frames", source->name);
}

static ptrdiff_t read_some(void *context, void *bytes, size_t n)
{
    struct source *source = context;
    ssize_t got = read(source->fd, bytes, n);
    if (got > 0)
        source->bytes_read += (size_t)got;
    return got;
}

/* At the end: whether a file of known size has become shorter since it was opened. */
static bool is_cut(const struct source *source)
{
    return source->bytes_read < source->file_bytes;
}

static bool fail_changed(const struct source *source)
{
    return complain("%s: changed while it was being read", source->name);
}

/* Where a step is a stretch of audio, the last one may be incomplete. */
static bool pads(const struct source *source)
{
    return source->frame_samples > 1;
}

/* Fill up the step that holds the last of `n` samples; the number of steps. */
static size_t pad(struct source *source, float *samples, size_t n)
{
    size_t size = source->frame_samples, steps = n / size + (n % size != 0);
    source->padded = steps * size - n;
    for (size_t i = n; i < steps * size; i++)
        samples[i] = 0;
    return steps;
}

static bool bin_open(struct source *source)
{
    if (!open_descriptor(source))
        return false;
    size_t frame_bytes = source->frame.size * sizeof(float);
    if (!source->file_bytes || source->fd == STDIN_FILENO)
        return true;
    source->steps = source->file_bytes / frame_bytes;
    if (pads(source) && source->file_bytes % sizeof(float) == 0)
        source->steps += source->file_bytes % frame_bytes != 0;
    else if (source->file_bytes % frame_bytes)
        return complain("%s: %zu bytes, expected a multiple of %zu (frames of %zu 32-bit floats)",
                        source->name, source->file_bytes, frame_bytes, source->frame.size);
    return true;
}

static bool bin_read(struct source *source, float *frames, size_t steps, size_t *n_out)
{
    size_t frame_bytes = source->frame.size * sizeof(float);
    /* A file that grows is as long as it was when it was opened. */
    if (steps > source->steps - source->done)
        steps = source->steps - source->done;
    size_t wanted = steps * frame_bytes, have = 0;
    while (have < wanted) {
        ptrdiff_t got = read_some(source, (char *)frames + have, wanted - have);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return complain("%s: cannot be read: %s", source->name, strerror(errno));
        if (got == 0)
            break;
        have += (size_t)got;
    }
    if (have < wanted && is_cut(source))
        return fail_changed(source);
    *n_out = have / frame_bytes;
    if (pads(source) && have % sizeof(float) == 0)
        *n_out = pad(source, frames, have / sizeof(float));
    else if (have % frame_bytes)
        return complain("%s: step %zu: ends after %zu bytes, expected %zu (%zu 32-bit floats)", source->name,
                        source->done + *n_out, have % frame_bytes, frame_bytes, source->frame.size);
    return true;
}

static bool csv_begin(struct source *source)
{
    if (!open_descriptor(source))
        return false;
    csv_open(&source->csv, read_some, source);
    return true;
}

static bool csv_read_frames(struct source *source, float *frames, size_t steps, size_t *n_out)
{
    size_t size = source->frame.size;
    for (*n_out = 0; *n_out < steps; ++*n_out) {
        struct io_error error;
        size_t n;
        int got = csv_read_row(&source->csv, frames + *n_out * size, size, &n, &error);
        if (got < 0)
            return complain("%s:%s", source->name, error.text);
        if (got == 0 && is_cut(source))
            return fail_changed(source);
        if (got == 0)
            break;
        if (n != size)
            return complain("%s:%zu:1: %zu number%s, expected %zu (the model's input)", source->name,
                            source->csv.line, n, n == 1 ? "" : "s", size);
    }
    return true;
}

/* ---- mapped files: npy and wav ------------------------------------------- */

static bool open_map(struct source *source)
{
    char error[160];
    if (strcmp(source->path, "-") == 0)
        return complain("standard input can be bin or csv, not %s", source->format->name);
    if (!mapfile_open(source->path, &source->map, error, sizeof error))
        return complain("%s: %s", source->name, error);
    cleanup_watch(source->map.bytes, source->map.n_bytes, source->path);
    return true;
}

/* Whether `dims` are the model's frame. */
static bool is_frame(const struct source *source, const size_t *dims)
{
    for (uint32_t i = 0; i < source->frame.rank; i++) {
        if (dims[i] != source->frame.dims[i])
            return false;
    }
    return true;
}

static bool npy_fail_shape(const struct source *source)
{
    char found[TENSOR_SHAPE_TEXT], text[TENSOR_SHAPE_TEXT];
    size_t dims[LSTM_MAX_RANK] = {0};
    for (uint32_t i = 0; i < source->frame.rank; i++)
        dims[i] = source->frame.dims[i];
    tensor_shape_text(source->frame.rank, dims, text);
    const char *inner = text + 1; /* "4, 3]" of "[4, 3]" */
    return complain("%s: shape %s, expected [steps, %s or [items, steps, %s", source->name,
                    tensor_shape_text(source->npy.rank, source->npy.dims, found), inner, inner);
}

static bool npy_open(struct source *source)
{
    struct io_error error;
    if (!open_map(source))
        return false;
    if (!npy_read_header(source->map.bytes, source->map.n_bytes, &source->npy, &error))
        return complain("%s: %s", source->name, error.text);
    const struct npy_header *npy = &source->npy;
    uint32_t rank = source->frame.rank;
    if (npy->rank == 1 && source->frame.size == 1) {
        source->steps = npy->dims[0]; /* one number a step needs no second dimension */
    } else if (npy->rank == rank + 1 && is_frame(source, npy->dims + 1)) {
        source->steps = npy->dims[0];
    } else if (npy->rank == rank + 2 && is_frame(source, npy->dims + 2)) {
        source->batch = true;
        source->items = npy->dims[0];
        source->steps = npy->dims[1];
    } else {
        return npy_fail_shape(source);
    }
    if (!npy->count)
        return complain("%s: there are no frames in it", source->name);
    return true;
}

/* Numbers of 64 bits that are finite in the file but not in 32 bits. */
static bool npy_check_range(const struct source *source, const float *frames, size_t n)
{
    size_t size = source->frame.size;
    if (source->npy.kind != 'f' || source->npy.element_bytes < 8)
        return true;
    for (size_t i = 0; i < n; i++) {
        if (!isinf(frames[i]))
            continue;
        double value = npy_get_double(&source->npy, source->map.bytes, source->done * size + i);
        size_t frame = source->done + i / size;
        char item[40] = "";
        if (isinf(value))
            continue;
        if (source->batch)
            snprintf(item, sizeof item, "item %zu, ", frame / source->steps);
        return complain("%s: %sstep %zu, column %zu: %g is too large for 32-bit floating point", source->name,
                        item, frame % source->steps, i % size, value);
    }
    return true;
}

static bool npy_read_frames(struct source *source, float *frames, size_t steps, size_t *n_out)
{
    size_t size = source->frame.size, left = source->items * source->steps - source->done;
    *n_out = steps < left ? steps : left;
    npy_get(&source->npy, source->map.bytes, source->done * size, *n_out * size, frames);
    return npy_check_range(source, frames, *n_out * size);
}

static bool wav_begin(struct source *source)
{
    struct io_error error;
    struct wav_info info;
    if (!source->rate)
        return complain("%s: the model has no 'sample_rate' in its metadata: it is not made for sound",
                        source->name);
    if (!open_map(source))
        return false;
    if (!wav_open(source->map.bytes, source->map.n_bytes, &source->wav, &info, &error))
        return complain("%s: %s", source->name, error.text);
    double rate = strtod(source->rate, NULL);
    if (fabs(rate - info.rate) > 1e-6 * rate)
        return complain("%s: %u frames a second, expected %s (the model's sample_rate); resample it first, "
                        "for "
                        "example: sox %s -r %s resampled.wav", source->name, info.rate, source->rate,
                        source->path, source->rate);
    size_t channels = source->frame.size / source->frame_samples;
    if (source->mix && channels == 1 && info.channels > 1)
        source->mixed = info.channels;
    else if (info.channels != channels)
        return complain("%s: %u channel%s, expected %zu (the model's input)", source->name, info.channels,
                        info.channels == 1 ? "" : "s", channels);
    if (!info.frames)
        return complain("%s: the file holds no sound", source->name);
    source->steps = info.frames / source->frame_samples + (info.frames % source->frame_samples != 0);
    return true;
}

/* The mean of all channels, a stretch at a time. */
static bool wav_read_mixed(struct source *source, float *out, size_t n, size_t *n_out)
{
    enum { MOST_CHANNELS = 1024, BUFFER = 4096 };
    float buffer[BUFFER];
    struct io_error error;
    size_t channels = source->mixed, got = 1;
    if (channels > MOST_CHANNELS)
        return complain("%s: %zu channels, at most %d can be mixed", source->name, channels, MOST_CHANNELS);
    for (*n_out = 0; *n_out < n && got > 0; *n_out += got) {
        size_t wanted = n - *n_out < BUFFER / channels ? n - *n_out : BUFFER / channels;
        if (!wav_read(source->wav, buffer, wanted, &got, &error))
            return complain("%s: %s", source->name, error.text);
        for (size_t i = 0; i < got; i++) {
            float sum = 0;
            for (size_t c = 0; c < channels; c++)
                sum += buffer[i * channels + c];
            out[*n_out + i] = sum / (float)channels;
        }
    }
    return true;
}

static bool wav_read_frames(struct source *source, float *frames, size_t steps, size_t *n_out)
{
    struct io_error error;
    size_t got, wanted = steps * source->frame_samples;
    if (source->mixed) {
        if (!wav_read_mixed(source, frames, wanted, &got))
            return false;
    } else if (!wav_read(source->wav, frames, wanted, &got, &error)) {
        return complain("%s: %s", source->name, error.text);
    }
    *n_out = pads(source) ? pad(source, frames, got) : got;
    return true;
}

/* ---- the table ----------------------------------------------------------- */

static const struct source_format formats[] = {
    {"bin", {"bin", "raw", "f32", NULL}, bin_open, bin_read},
    {"npy", {"npy", NULL}, npy_open, npy_read_frames},
    {"csv", {"csv", "tsv", "txt", "dat", NULL}, csv_begin, csv_read_frames},
    {"wav", {"wav", NULL}, wav_begin, wav_read_frames},
};

const struct source_format *source_find_format(const char *name, const char *path)
{
    if (!name && strcmp(path, "-") == 0)
        name = "bin";
    for (size_t i = 0; i < sizeof formats / sizeof *formats; i++) {
        if (name ? strcmp(name, formats[i].name) == 0 : path_has_extension(path, formats[i].extensions))
            return &formats[i];
    }
    return NULL;
}

const char *source_format_names(void)
{
    return "bin, npy, csv or wav";
}

bool source_open(struct source *source, const struct source_format *format, const char *path,
                 const struct source_model *model)
{
    *source = (struct source){.format = format, .path = path, .frame = *model->frame, .rate = model->rate,
                              .frame_samples = model->frame_samples, .mix = model->mix, .fd = -1};
    source->items = 1;
    source->steps = SOURCE_UNKNOWN;
    source->name = strcmp(path, "-") == 0 ? "standard input" : path;
    if (format->open(source))
        return true;
    source_close(source);
    return false;
}

void source_close(struct source *source)
{
    struct io_error ignored;
    wav_close(source->wav, &ignored);
    csv_close(&source->csv);
    if (source->map.handle)
        mapfile_close(&source->map);
    if (source->fd > STDIN_FILENO)
        close(source->fd);
    source->wav = NULL;
    source->map.handle = NULL;
    source->fd = -1;
}

bool source_read(struct source *source, float *frames, size_t steps, size_t *n_out)
{
    bool ok;
    source->padded = 0;
    ok = source->format->read(source, frames, steps, n_out);
    if (ok) {
        source->done += *n_out;
        source->samples += (uint64_t)*n_out * source->frame_samples - source->padded;
    }
    return ok;
}

double source_fraction(const struct source *source)
{
    if (source->steps != SOURCE_UNKNOWN)
        return (double)source->done / ((double)source->steps * (double)source->items);
    return source->file_bytes ? (double)source->bytes_read / (double)source->file_bytes : -1;
}
