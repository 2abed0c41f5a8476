/* SPDX-License-Identifier: MIT
 *
 * Fuzz target: .wav. There are never more frames than the header says, and reading in small pieces gives the
 * same samples as reading at once.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "formats/wav.h"

enum { MAX_SAMPLES = 1 << 16 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void demand(bool holds, const char *what)
{
    if (!holds) {
        fprintf(stderr, "fuzz_wav: %s\n", what);
        abort();
    }
}

/* Frames read in pieces of `piece`, into `samples`. */
static size_t read_pieces(const uint8_t *data, size_t size, float *samples, size_t piece)
{
    struct wav_info info;
    struct io_error error = {""};
    struct wav *wav;
    if (!wav_open(data, size, &wav, &info, &error)) {
        demand(error.text[0] && !wav, "a refusal has a sentence");
        return 0;
    }
    demand(info.channels > 0 && info.rate > 0, "channels and rate");
    size_t done = 0, n = 1, most = MAX_SAMPLES / info.channels;
    for (bool ok = true; ok && n > 0 && done < most; done += n) {
        size_t wanted = piece < most - done ? piece : most - done;
        ok = wav_read(wav, samples + done * info.channels, wanted, &n, &error);
        demand(n <= wanted && done + n <= info.frames, "no more frames than asked for and declared");
    }
    wav_close(wav, &error);
    return done * info.channels;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static float whole[MAX_SAMPLES], pieces[MAX_SAMPLES];
    size_t n = read_pieces(data, size, whole, MAX_SAMPLES);
    demand(read_pieces(data, size, pieces, 1000) == n, "as many samples in pieces");
    demand(memcmp(whole, pieces, n * sizeof(float)) == 0, "the same samples in pieces");
    return 0;
}
