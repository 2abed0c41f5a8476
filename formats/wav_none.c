/* SPDX-License-Identifier: MIT
 *
 * .wav in a build without libsndfile: refused by name. See wav.h.
 */
#include "formats/wav.h"

static bool refuse(struct io_error *error)
{
    return io_fail(error, "this build reads and writes no .wav files (it was made without libsndfile)");
}

bool wav_open(const void *bytes, size_t n_bytes, struct wav **out, struct wav_info *info,
              struct io_error *error)
{
    (void)bytes, (void)n_bytes;
    *out = NULL;
    *info = (struct wav_info){0};
    return refuse(error);
}

bool wav_read(struct wav *wav, float *out, size_t frames, size_t *n_out, struct io_error *error)
{
    (void)wav, (void)out, (void)frames;
    *n_out = 0;
    return refuse(error);
}

bool wav_create(int fd, const struct wav_info *info, struct wav **out, struct io_error *error)
{
    (void)fd, (void)info;
    *out = NULL;
    return refuse(error);
}

bool wav_write(struct wav *wav, const float *in, size_t frames, struct io_error *error)
{
    (void)wav, (void)in, (void)frames;
    return refuse(error);
}

bool wav_close(struct wav *wav, struct io_error *error)
{
    (void)error;
    return wav == NULL;
}
