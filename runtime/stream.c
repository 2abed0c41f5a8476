/* SPDX-License-Identifier: MIT
 *
 * Streams: create, reset, restore, look inside.
 */
#include "runtime/stream.h"

#include <math.h>
#include <string.h>

#include "runtime/error.h"
#include "runtime/memory.h"

static const char stream_magic[8] = "LSTMst1";

size_t lstm_stream_bytes(const lstm_model *model)
{
    return sizeof(struct lstm_stream) + model->info.state_floats * sizeof(float);
}

void lstm_stream_reset(const lstm_model *model, lstm_stream *stream)
{
    for (uint32_t i = 0; i < model->view.n_layers; i++) {
        const struct layer *layer = &model->layers[i];
        for (uint32_t d = 0; d < layer->n_states; d++)
            layer_initial_state(model, layer, d, stream->state + layer->state[d].h,
                                stream->state + layer->state[d].c);
    }
}

lstm_stream *lstm_stream_init(const lstm_model *model, void *memory)
{
    if (!memory || (uintptr_t)memory % MEMORY_ALIGN)
        return NULL;
    struct lstm_stream *stream = memory;
    memset(stream, 0, sizeof *stream);
    memcpy(stream->magic, stream_magic, sizeof stream->magic);
    stream->model_id = model->id;
    stream->n_floats = model->info.state_floats;
    lstm_stream_reset(model, stream);
    return stream;
}

lstm_status lstm_stream_create(const lstm_model *model, lstm_stream **stream_out)
{
    if (!stream_out)
        return LSTM_E_ARG;
    *stream_out = NULL;
    if (!model)
        return LSTM_E_ARG;
    void *memory = memory_alloc(lstm_stream_bytes(model));
    if (!memory)
        return LSTM_E_NOMEM;
    *stream_out = lstm_stream_init(model, memory);
    return LSTM_OK;
}

void lstm_stream_destroy(lstm_stream *stream)
{
    memory_free(stream);
}

lstm_status lstm_stream_load(const lstm_model *model, lstm_stream *stream, const void *bytes,
                             size_t n_bytes, lstm_error *error)
{
    struct lstm_stream head;
    if (!bytes || n_bytes < sizeof head ||
        memcmp(bytes, stream_magic, sizeof stream_magic) != 0)
        return error_set(error, LSTM_E_DATA, "not a saved stream state");
    memcpy(&head, bytes, sizeof head);
    if (head.model_id != model->id || head.n_floats != model->info.state_floats)
        return error_set(error, LSTM_E_DATA, "the state was saved from another model");
    if (n_bytes != lstm_stream_bytes(model))
        return error_set(error, LSTM_E_DATA, "the state has %zu bytes, expected %zu", n_bytes,
                         lstm_stream_bytes(model));
    const unsigned char *numbers = (const unsigned char *)bytes + sizeof head;
    for (size_t i = 0; i < model->info.state_floats; i++) {
        float number;
        memcpy(&number, numbers + i * sizeof number, sizeof number);
        if (!isfinite(number))
            return error_set(error, LSTM_E_DATA, "number %zu of the state is not finite", i);
    }
    memcpy(stream->state, numbers, model->info.state_floats * sizeof(float));
    return LSTM_OK;
}

float *lstm_stream_get_state(const lstm_model *model, lstm_stream *stream, uint32_t layer,
                             uint32_t direction, lstm_state which, size_t *n_out)
{
    if (n_out)
        *n_out = 0;
    if (layer >= model->info.n_layers || direction >= model->layers[layer].n_states)
        return NULL;
    const struct layer_state *state = &model->layers[layer].state[direction];
    const size_t n = which == LSTM_STATE_C ? state->n_c : state->n_h;
    if (n_out)
        *n_out = n;
    return n ? stream->state + (which == LSTM_STATE_C ? state->c : state->h) : NULL;
}
