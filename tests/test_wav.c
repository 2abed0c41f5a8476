/* SPDX-License-Identifier: MIT
 *
 * .wav: what is written is read back with the same bits; files cut off or damaged anywhere give an error or
 * samples, never more frames than declared; every allocation of ours may fail.
 */
#define _POSIX_C_SOURCE 200809L

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "formats/wav.h"
#include "tests/failing_malloc.h"

enum { FRAMES = 50, CHANNELS = 2 };

struct file {
    size_t n_bytes;
    char bytes[4096];
};

static void make(struct file *out, float *samples)
{
    struct wav_info info = {CHANNELS, 44100, 0};
    struct io_error error;
    struct wav *wav;
    FILE *file = tmpfile();
    cr_assert_not_null(file);
    for (size_t i = 0; i < FRAMES * CHANNELS; i++)
        samples[i] = (float)i / 7.0f - 3.0f;
    cr_assert(wav_create(fileno(file), &info, &wav, &error), "%s", error.text);
    cr_assert(wav_write(wav, samples, 20, &error), "%s", error.text);
    cr_assert(wav_write(wav, samples + 20 * CHANNELS, FRAMES - 20, &error), "%s", error.text);
    cr_assert(wav_close(wav, &error), "%s", error.text);
    rewind(file);
    out->n_bytes = fread(out->bytes, 1, sizeof out->bytes, file);
    fclose(file);
}

/* Frames read, or -1 if something was refused. */
static int read_all(const char *bytes, size_t n_bytes, float *samples, size_t capacity)
{
    struct wav_info info;
    struct io_error error = {""};
    struct wav *wav;
    size_t n = 0;
    if (!wav_open(bytes, n_bytes, &wav, &info, &error)) {
        cr_expect(error.text[0] && !wav);
        return -1;
    }
    bool ok = info.channels <= CHANNELS && wav_read(wav, samples, capacity, &n, &error);
    cr_expect_leq(n, info.frames);
    wav_close(wav, &error);
    return ok ? (int)n : -1;
}

Test(wav, round_trip)
{
    struct file file;
    float samples[FRAMES * CHANNELS], found[FRAMES * CHANNELS];
    make(&file, samples);
    cr_expect_eq(read_all(file.bytes, file.n_bytes, found, FRAMES), FRAMES);
    cr_expect_arr_eq(found, samples, sizeof samples);
}

Test(wav, cut_off_anywhere)
{
    struct file file;
    float samples[FRAMES * CHANNELS], found[FRAMES * CHANNELS];
    make(&file, samples);
    for (size_t n = 0; n < file.n_bytes; n++) {
        char *bytes = malloc(n + 1);
        cr_assert_not_null(bytes);
        memcpy(bytes, file.bytes, n);
        int got = read_all(bytes, n, found, FRAMES);
        cr_expect_eq(got, -1, "%zu bytes gave %d frames", n, got);
        free(bytes);
    }
}

static void store_32(char *at, uint32_t value)
{
    for (unsigned k = 0; k < 4; k++)
        at[k] = (char)(value >> 8 * k);
}

/* Where the size of the chunk of sound is written. */
static char *find_sound_size(struct file *file)
{
    for (size_t i = 12; i + 8 < file->n_bytes; i++) {
        if (memcmp(file->bytes + i, "data", 4) == 0)
            return file->bytes + i + 4;
    }
    return NULL;
}

Test(wav, sizes_in_the_header)
{
    static const uint32_t unknown[] = {0, UINT32_MAX};
    struct file file;
    float samples[FRAMES * CHANNELS], found[FRAMES * CHANNELS];
    make(&file, samples);
    char *sound = find_sound_size(&file);
    cr_assert_not_null(sound);
    for (size_t i = 0; i < 2; i++) { /* as a pipe writes them */
        store_32(file.bytes + 4, unknown[i]);
        cr_expect_eq(read_all(file.bytes, file.n_bytes, found, FRAMES), FRAMES, "%#x", unknown[i]);
        store_32(sound, unknown[i]); /* 0 is no sound to libsndfile */
        cr_expect_eq(read_all(file.bytes, file.n_bytes, found, FRAMES), i ? FRAMES : 0, "%#x", unknown[i]);
        store_32(sound, sizeof samples);
    }
    make(&file, samples);
    store_32(sound, sizeof samples + 4);
    cr_expect_eq(read_all(file.bytes, file.n_bytes, found, FRAMES), -1, "too much sound");
    make(&file, samples);
    store_32(file.bytes + 4, (uint32_t)file.n_bytes + 100);
    cr_expect_eq(read_all(file.bytes, file.n_bytes, found, FRAMES), -1, "too much content");
    make(&file, samples);
    store_32(file.bytes + 4, (uint32_t)file.n_bytes - 7);
    cr_expect_eq(read_all(file.bytes, file.n_bytes, found, FRAMES), FRAMES, "a byte that only fills");
}

Test(wav, each_bit_of_the_header)
{
    struct file file;
    float samples[FRAMES * CHANNELS], found[FRAMES * CHANNELS];
    make(&file, samples);
    for (size_t i = 0; i < 60 * 8; i++) {
        file.bytes[i / 8] ^= (char)(1 << i % 8);
        cr_expect_leq(read_all(file.bytes, file.n_bytes, found, FRAMES), FRAMES);
        file.bytes[i / 8] ^= (char)(1 << i % 8);
    }
}

Test(wav, out_of_memory)
{
    struct file file;
    float samples[FRAMES * CHANNELS], found[FRAMES * CHANNELS];
    make(&file, samples);
    for (size_t n = 1;; n++) {
        failing_malloc_arm(n);
        int got = read_all(file.bytes, file.n_bytes, found, FRAMES);
        size_t asked = failing_malloc_disarm();
        cr_expect_eq(got, asked < n ? FRAMES : -1);
        if (asked < n)
            break;
    }
}
