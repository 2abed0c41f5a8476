/* SPDX-License-Identifier: MIT
 *
 * Frames in memory, see frames.h.
 */
#include "tools/frames.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "tools/say.h"

float *frames_allocate(const char *what, size_t items, size_t steps, size_t size)
{
    size_t dims[3] = {items, steps, size}, count;
    float *frames = NULL;
    if (tensor_count(3, dims, &count) && count <= SIZE_MAX / sizeof(float))
        frames = malloc(count ? count * sizeof(float) : 1);
    if (!frames)
        complain("out of memory for %s: %zu x %zu frames of %zu numbers", what, items, steps, size);
    return frames;
}

bool frames_check(const struct session *session, const float *frames, size_t steps, size_t first_step,
                  size_t item)
{
    lstm_error error;
    size_t size = session->info->input.size;
    if (lstm_model_check_input(session->model, frames, steps, &error) == LSTM_OK)
        return true;
    /* The library counts steps from the start of this piece. */
    size_t step = 0;
    while (lstm_model_check_input(session->model, frames + step * size, 1, &error) == LSTM_OK)
        step++;
    const char *what = strncmp(error.text, "step 0, ", 8) == 0 ? error.text + 8 : error.text;
    if (session->source.batch)
        return complain("%s: item %zu, step %zu, %s", session->source.name, item, first_step + step, what);
    return complain("%s: step %zu, %s", session->source.name, first_step + step, what);
}

/* Read a sequence of unknown length; the buffer doubles as frames arrive. */
static float *read_growing(struct session *session, size_t *steps_out)
{
    size_t size = session->info->input.size, capacity = 1024, n = 0;
    float *frames = frames_allocate("the input", 1, capacity, size);
    bool ok = frames != NULL;
    for (size_t got = 1; ok && got > 0; n += got) {
        if (n == capacity) {
            capacity *= 2;
            float *larger = capacity <= SIZE_MAX / sizeof(float) / size
                                ? realloc(frames, capacity * size * sizeof(float))
                                : NULL;
            ok = larger || complain("%s: out of memory for %zu steps", session->source.name, capacity);
            frames = larger ? larger : frames;
        }
        ok = ok && source_read(&session->source, frames + n * size, capacity - n, &got);
        if (!ok)
            break;
    }
    if (ok && n == 0)
        ok = complain("%s: there are no frames in it", session->source.name);
    if (!ok) {
        free(frames);
        return NULL;
    }
    *steps_out = n;
    return frames;
}

static float *read_known(struct session *session)
{
    struct source *source = &session->source;
    size_t total = source->items * source->steps, got;
    float *frames = frames_allocate("the input", source->items, source->steps, session->info->input.size);
    if (!frames)
        return NULL;
    if (source_read(source, frames, total, &got) &&
        (got == total || complain("%s: ends after %zu steps, expected %zu", source->name, got, total)))
        return frames;
    free(frames);
    return NULL;
}

float *frames_read_all(struct session *session, size_t *steps_out)
{
    struct source *source = &session->source;
    bool known = source->steps != SOURCE_UNKNOWN;
    *steps_out = source->steps;
    float *frames = known ? read_known(session) : read_growing(session, steps_out);
    bool ok = frames != NULL;
    for (size_t i = 0; ok && i < source->items; i++)
        ok = frames_check(session, frames + i * *steps_out * session->info->input.size, *steps_out, 0, i);
    if (ok)
        return frames;
    free(frames);
    return NULL;
}
