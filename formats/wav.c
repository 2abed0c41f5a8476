/* SPDX-License-Identifier: MIT
 *
 * .wav through libsndfile's virtual files, so that reading needs nothing but bytes and
 * writing reports the system's own error. See wav.h.
 */
#define _POSIX_C_SOURCE 200809L

#include "formats/wav.h"

#include <errno.h>
#include <sndfile.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "formats/bytes.h"

struct wav {
    SNDFILE *file;
    const uint8_t *bytes; /* reading; NULL when writing */
    size_t n_bytes;
    size_t at;
    int fd;
    int error;            /* errno of the first failed write, 0 if none */
    size_t frames_left;
    unsigned channels;
};

/* ---- libsndfile's view of memory and of a descriptor ---------------------- */

static sf_count_t file_length(void *context)
{
    struct wav *wav = context;
    if (wav->bytes)
        return (sf_count_t)wav->n_bytes;
    off_t here = lseek(wav->fd, 0, SEEK_CUR), end = lseek(wav->fd, 0, SEEK_END);
    lseek(wav->fd, here, SEEK_SET);
    return end;
}

static sf_count_t file_seek(sf_count_t offset, int whence, void *context)
{
    struct wav *wav = context;
    if (!wav->bytes)
        return lseek(wav->fd, offset, whence);
    sf_count_t n = (sf_count_t)wav->n_bytes;
    sf_count_t base = whence == SEEK_SET ? 0 : whence == SEEK_CUR ? (sf_count_t)wav->at : n;
    if (offset < -base || offset > n - base)
        return -1;
    wav->at = (size_t)(base + offset);
    return base + offset;
}

static sf_count_t file_read(void *to, sf_count_t count, void *context)
{
    struct wav *wav = context;
    if (count <= 0)
        return 0;
    if (!wav->bytes)
        return read(wav->fd, to, (size_t)count);
    size_t n = wav->n_bytes - wav->at;
    if (n > (size_t)count)
        n = (size_t)count;
    memcpy(to, wav->bytes + wav->at, n);
    wav->at += n;
    return (sf_count_t)n;
}

static sf_count_t file_write(const void *from, sf_count_t count, void *context)
{
    struct wav *wav = context;
    sf_count_t done = 0;
    while (done < count) {
        ssize_t put = write(wav->fd, (const char *)from + done, (size_t)(count - done));
        if (put < 0 && errno == EINTR)
            continue;
        if (put < 0 && !wav->error)
            wav->error = errno;
        if (put <= 0)
            break;
        done += put;
    }
    return done;
}

static sf_count_t file_tell(void *context)
{
    struct wav *wav = context;
    return wav->bytes ? (sf_count_t)wav->at : lseek(wav->fd, 0, SEEK_CUR);
}

static SF_VIRTUAL_IO virtual_io(void)
{
    return (SF_VIRTUAL_IO){file_length, file_seek, file_read, file_write, file_tell};
}

/* ---- reading ------------------------------------------------------------- */

static bool check_kind(const SF_INFO *sf, struct io_error *error)
{
    int kind = sf->format & SF_FORMAT_TYPEMASK;
    if (kind != SF_FORMAT_WAV && kind != SF_FORMAT_WAVEX && kind != SF_FORMAT_RF64)
        return io_fail(error, "a sound file of another kind than wav");
    if (sf->channels < 1 || sf->samplerate < 1 || sf->frames < 0)
        return io_fail(error, "damaged wav header: %d channels, %d Hz, %lld frames", sf->channels,
                       sf->samplerate, (long long)sf->frames);
    return true;
}

/* libsndfile takes what there is of a file that was cut off. Here it is refused: what
 * the headers say must be there. Who writes into a pipe does not know the sizes and
 * puts 0 (which libsndfile takes as no sound) or all ones. */

static uint32_t load_size(const uint8_t *at, bool big_endian)
{
    uint32_t size = load_u32(at);
    return big_endian ? __builtin_bswap32(size) : size;
}

static bool is_tag(const uint8_t *at, const char *tag)
{
    return memcmp(at, tag, 4) == 0;
}

static bool check_size(const char *what, uint64_t size, size_t there, struct io_error *error)
{
    if (size == UINT32_MAX || size == UINT64_MAX || size <= there)
        return true;
    return io_fail(error, "cut off: its %s has %llu bytes, but only %zu are there", what,
                   (unsigned long long)size, there);
}

enum { CHUNK_HEAD = 8, FIRST_CHUNK = 12 }; /* bytes: tag and size; "RIFF", size and "WAVE" */

static bool check_length(const uint8_t *bytes, size_t n_bytes, struct io_error *error)
{
    if (n_bytes < FIRST_CHUNK || !(is_tag(bytes, "RIFF") || is_tag(bytes, "RIFX") || is_tag(bytes, "RF64")))
        return true;
    bool big_endian = is_tag(bytes, "RIFX");
    uint64_t whole = load_size(bytes + 4, big_endian), large_data = UINT32_MAX;
    for (size_t at = FIRST_CHUNK; n_bytes - at >= CHUNK_HEAD;) {
        uint64_t size = load_size(bytes + at + 4, big_endian);
        size_t there = n_bytes - at - CHUNK_HEAD;
        if (is_tag(bytes + at, "ds64") && there >= 16) {
            whole = load_u64(bytes + at + CHUNK_HEAD);
            large_data = load_u64(bytes + at + CHUNK_HEAD + 8);
        }
        if (is_tag(bytes + at, "data")) {
            if (!check_size("sound", size == UINT32_MAX ? large_data : size, there, error))
                return false;
            break;
        }
        if (size + size % 2 > there)
            break;
        at += CHUNK_HEAD + (size_t)(size + size % 2);
    }
    /* Some count the byte behind an odd number of bytes but do not write it. */
    return check_size("content", whole, n_bytes - CHUNK_HEAD + 1, error);
}

bool wav_open(const void *bytes, size_t n_bytes, struct wav **out, struct wav_info *info,
              struct io_error *error)
{
    *out = NULL;
    if (n_bytes == 0)
        return io_fail(error, "the file is empty, expected a wav file");
    if (!check_length(bytes, n_bytes, error))
        return false;
    struct wav *wav = calloc(1, sizeof *wav);
    if (!wav)
        return io_fail(error, "out of memory");
    *wav = (struct wav){.bytes = bytes, .n_bytes = n_bytes, .fd = -1};
    SF_VIRTUAL_IO io = virtual_io();
    SF_INFO sf = {0};
    wav->file = sf_open_virtual(&io, SFM_READ, &sf, wav);
    bool ok = wav->file ? check_kind(&sf, error)
                        : io_fail(error, "not a readable wav file: %s", sf_strerror(NULL));
    if (!ok) {
        struct io_error ignored;
        wav_close(wav, &ignored);
        return false;
    }
    wav->channels = (unsigned)sf.channels;
    wav->frames_left = (size_t)sf.frames;
    *info = (struct wav_info){wav->channels, (unsigned)sf.samplerate, (size_t)sf.frames};
    *out = wav;
    return true;
}

bool wav_read(struct wav *wav, float *out, size_t frames, size_t *n_out, struct io_error *error)
{
    if (frames > wav->frames_left)
        frames = wav->frames_left;
    sf_count_t got = sf_readf_float(wav->file, out, (sf_count_t)frames);
    *n_out = got < 0 ? 0 : (size_t)got;
    wav->frames_left -= *n_out;
    if (*n_out < frames)
        return io_fail(error, "the file ends %zu frames before its header says", wav->frames_left);
    return true;
}

/* ---- writing ------------------------------------------------------------- */

static bool write_failed(const struct wav *wav, struct io_error *error)
{
    return io_fail(error, "%s", wav->error ? strerror(wav->error) : sf_strerror(wav->file));
}

bool wav_create(int fd, const struct wav_info *info, struct wav **out, struct io_error *error)
{
    *out = NULL;
    struct wav *wav = calloc(1, sizeof *wav);
    if (!wav)
        return io_fail(error, "out of memory");
    *wav = (struct wav){.fd = fd, .channels = info->channels};
    SF_VIRTUAL_IO io = virtual_io();
    SF_INFO sf = {.samplerate = (int)info->rate,
                  .channels = (int)info->channels,
                  .format = SF_FORMAT_WAV | SF_FORMAT_FLOAT};
    wav->file = sf_open_virtual(&io, SFM_WRITE, &sf, wav);
    if (!wav->file) {
        write_failed(wav, error);
        free(wav);
        return false;
    }
    /* The peak chunk holds the time of day: the same run would give other bytes. */
    sf_command(wav->file, SFC_SET_ADD_PEAK_CHUNK, NULL, SF_FALSE);
    *out = wav;
    return true;
}

bool wav_write(struct wav *wav, const float *in, size_t frames, struct io_error *error)
{
    sf_count_t put = sf_writef_float(wav->file, in, (sf_count_t)frames);
    return (put == (sf_count_t)frames && !wav->error) || write_failed(wav, error);
}

bool wav_close(struct wav *wav, struct io_error *error)
{
    if (!wav)
        return true;
    int status = wav->file ? sf_close(wav->file) : 0;
    int system_error = wav->error;
    free(wav);
    if (!status && !system_error)
        return true;
    return io_fail(error, "%s", system_error ? strerror(system_error) : sf_error_number(status));
}
