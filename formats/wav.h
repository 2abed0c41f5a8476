/* SPDX-License-Identifier: MIT
 *
 * .wav files through libsndfile: channels as columns, samples as f32 in [-1, 1). In a
 * build without libsndfile every call fails and says so.
 */
#ifndef LSTMRUN_FORMATS_WAV_H
#define LSTMRUN_FORMATS_WAV_H

#include "formats/tensor.h"

struct wav;

struct wav_info {
    unsigned channels;
    unsigned rate;  /* frames per second */
    size_t frames;
};

/* Read from memory; `bytes` is borrowed until wav_close. */
bool wav_open(const void *bytes, size_t n_bytes, struct wav **out, struct wav_info *info,
              struct io_error *error);

/* The next frames, [frames][channels]: as many as there are up to `frames`. */
bool wav_read(struct wav *wav, float *out, size_t frames, size_t *n_out, struct io_error *error);

/* Write 32-bit float samples to an open file descriptor, which stays the caller's. */
bool wav_create(int fd, const struct wav_info *info, struct wav **out, struct io_error *error);
bool wav_write(struct wav *wav, const float *in, size_t frames, struct io_error *error);

/* Also completes a file that was written; NULL is accepted. */
bool wav_close(struct wav *wav, struct io_error *error);

#endif
