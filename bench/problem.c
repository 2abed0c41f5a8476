/* SPDX-License-Identifier: MIT
 *
 * Problems as words, and models for them.
 */
#include "bench/problem.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "formats/model_write.h"

static const struct {
    const char *name;
    uint32_t type, gates;
} types[] = {{"lstm", MODEL_LSTM, 4}, {"gru", MODEL_GRU, 3}, {"rnn", MODEL_RNN, 1}};

enum { N_TYPES = sizeof types / sizeof types[0] };

/* "t100": the letter and a number from 1 to 2^24 */
static bool take_number(const char **at, char letter, uint32_t *out)
{
    uint32_t number = 0;
    const char *p = *at;
    if (*p++ != letter || *p < '1' || *p > '9')
        return false;
    for (; *p >= '0' && *p <= '9'; p++) {
        number = number * 10 + (uint32_t)(*p - '0');
        if (number > MODEL_MAX_DIM)
            return false;
    }
    *out = number;
    *at = p;
    return true;
}

static bool take_type(const char **at, uint32_t *out)
{
    for (size_t i = 0; i < N_TYPES; i++) {
        const size_t n = strlen(types[i].name);
        if (strncmp(*at, types[i].name, n) == 0 && (*at)[n] == '-') {
            *at += n + 1;
            *out = types[i].type;
            return true;
        }
    }
    return false;
}

bool problem_parse(const char *text, struct problem *out, const char **end_out)
{
    struct problem problem = {.layers = 1};
    const char *at = text;
    bool ok = take_type(&at, &problem.type) && take_number(&at, 't', &problem.steps) &&
              take_number(&at, 'n', &problem.items) && take_number(&at, 'c', &problem.inputs) &&
              take_number(&at, 'h', &problem.units);
    if (ok && *at == 'l')
        ok = take_number(&at, 'l', &problem.layers) && problem.layers <= 64;
    if (ok && *at == 'b') {
        problem.bidirectional = true;
        at++;
    }
    *end_out = at;
    if (!ok || *at)
        return false;
    *out = problem;
    return true;
}

static size_t type_row(uint32_t type)
{
    size_t i = 0;
    while (i + 1 < N_TYPES && types[i].type != type)
        i++;
    return i;
}

void problem_print(const struct problem *problem, char *text, size_t n_bytes)
{
    char layers[16] = "";
    if (problem->layers > 1)
        snprintf(layers, sizeof layers, "l%" PRIu32, problem->layers);
    snprintf(text, n_bytes, "%s-t%" PRIu32 "n%" PRIu32 "c%" PRIu32 "h%" PRIu32 "%s%s",
             types[type_row(problem->type)].name, problem->steps, problem->items,
             problem->inputs, problem->units, layers, problem->bidirectional ? "b" : "");
}

/* splitmix64 (Steele, Lea, Flood 2014) */
static uint64_t next_random(uint64_t *state)
{
    uint64_t z = *state += UINT64_C(0x9e3779b97f4a7c15);
    z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
    return z ^ z >> 31;
}

void problem_numbers(uint64_t seed, float scale, float *out, size_t n)
{
    for (size_t i = 0; i < n; i++)
        out[i] = scale * ((float)(next_random(&seed) >> 40) * 0x1p-23f - 1);
}

static uint32_t random_tensor(struct model_builder *builder, uint32_t rank, const uint32_t *dims,
                              float scale, uint64_t seed)
{
    size_t n = 1;
    for (uint32_t i = 0; i < rank; i++)
        n *= dims[i];
    float *numbers = malloc(n * sizeof *numbers);
    if (!numbers)
        return MODEL_NONE;
    problem_numbers(seed, scale, numbers, n);
    const uint32_t tensor = model_add_tensor(builder, "", rank, dims, numbers);
    free(numbers);
    return tensor;
}

static uint32_t add_layer(struct model_builder *builder, const struct problem *problem,
                          uint32_t input, uint32_t width, uint32_t index)
{
    const uint32_t gates = types[type_row(problem->type)].gates, units = problem->units;
    const uint32_t directions = problem->bidirectional ? 2 : 1;
    const uint32_t acts = problem->type == MODEL_LSTM ? 0x020201
                          : problem->type == MODEL_GRU ? 0x0201 : 0x02;
    const float scale = 1 / sqrtf((float)units);
    struct model_layer_spec spec = {.type = problem->type, .name = "", .n_inputs = 1,
                                    .inputs = {input}, .n_tensors = directions * MODEL_RNN_SLOTS,
                                    .rank = 1, .dims = {directions * units}};
    spec.params[MODEL_RNN_HIDDEN] = units;
    spec.params[MODEL_RNN_DIRECTION] =
        problem->bidirectional ? MODEL_BIDIRECTIONAL : MODEL_FORWARD;
    spec.params[MODEL_RNN_FLAGS] = problem->type == MODEL_GRU ? MODEL_FLAG_RESET_AFTER : 0;
    for (uint32_t d = 0; d < directions; d++) {
        uint32_t *slots = spec.tensors + d * MODEL_RNN_SLOTS;
        spec.params[MODEL_RNN_ACTS + d * MODEL_RNN_ACTS_STRIDE] = acts;
        for (uint32_t s = 0; s < MODEL_RNN_SLOTS; s++)
            slots[s] = MODEL_NONE;
        slots[MODEL_SLOT_W] = random_tensor(builder, 3, (uint32_t[]){gates, units, units + width},
                                            scale, 2 * index + d + 1);
        slots[MODEL_SLOT_BIAS] = random_tensor(builder, 2, (uint32_t[]){gates, units}, scale,
                                               1000 + 2 * index + d);
        if (problem->type == MODEL_GRU)
            slots[MODEL_SLOT_PEEPHOLE] = random_tensor(builder, 2, (uint32_t[]){1, units}, scale,
                                                       2000 + 2 * index + d);
    }
    return model_add_layer(builder, &spec);
}

bool problem_model(const struct problem *problem, void **bytes_out, size_t *n_bytes_out)
{
    struct model_builder *builder = model_builder_create();
    struct format_error error;
    uint32_t value = 0, width = problem->inputs;
    if (!builder)
        return false;
    model_set_input(builder, "", 1, &width);
    for (uint32_t i = 0; i < problem->layers; i++) {
        value = add_layer(builder, problem, value, width, i);
        width = problem->units * (problem->bidirectional ? 2 : 1);
    }
    const bool ok = model_finish(builder, bytes_out, n_bytes_out, &error);
    model_builder_destroy(builder);
    return ok;
}
