/* SPDX-License-Identifier: MIT
 *
 * The files of a case (case.txt, input.bin, weights.bin), its buffers, and the gather and scatter of
 * independent streams.
 */
#include "bench/peers/worker.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

/* No dimension of a benchmark comes near; products of four of them still fit size_t. */
enum { DIMENSION_MAX = 65536 - 1 };

bool worker_fail(struct worker_error *error, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    vsnprintf(error->text, sizeof error->text, format, args);
    va_end(args);
    return false;
}

float *worker_floats(size_t n)
{
    size_t bytes = (n * sizeof(float) + 63) / 64 * 64;
    float *out = aligned_alloc(64, bytes > 0 ? bytes : 64);
    if (out != NULL)
        memset(out, 0, bytes > 0 ? bytes : 64);
    return out;
}

bool worker_path(const struct worker_case *c, const char *name, char *out, size_t n_out,
                 struct worker_error *error)
{
    int n = snprintf(out, n_out, "%s/%s", c->dir, name);
    return (n >= 0 && (size_t)n < n_out) || worker_fail(error, "%s/%s: path too long", c->dir, name);
}

/* Before anything is allocated for them. */
static bool has_floats(FILE *file, const char *path, size_t n, struct worker_error *error)
{
    struct stat status;
    if (fstat(fileno(file), &status) != 0)
        return worker_fail(error, "%s: %s", path, strerror(errno));
    return (uintmax_t)status.st_size == (uintmax_t)n * sizeof(float) ||
           worker_fail(error, "%s: %jd bytes, expected %zu floats", path, (intmax_t)status.st_size, n);
}

static float *read_all(FILE *file, const char *path, size_t n, struct worker_error *error)
{
    if (!has_floats(file, path, n, error))
        return NULL;
    float *out = worker_floats(n);
    bool ok = (out != NULL || worker_fail(error, "%s: out of memory for %zu floats", path, n)) &&
              (fread(out, sizeof *out, n, file) == n || worker_fail(error, "%s: cannot be read whole", path));
    if (!ok)
        free(out);
    return ok ? out : NULL;
}

float *worker_read_floats(const struct worker_case *c, const char *name, size_t n, struct worker_error *error)
{
    char path[4200];
    if (!worker_path(c, name, path, sizeof path, error))
        return NULL;
    FILE *file = fopen(path, "rb");
    if (file == NULL) {
        worker_fail(error, "%s: %s", path, strerror(errno));
        return NULL;
    }
    float *out = read_all(file, path, n, error);
    fclose(file);
    return out;
}

/* ---- case.txt ------------------------------------------------------------ */

struct field {
    const char *key;
    uint32_t least, most;
    uint32_t value;
    bool seen;
};

enum { LAYERS, BIDIRECTIONAL, INPUTS, UNITS, STEPS, ITEMS, THREADS, STREAMS, CALLS, N_FIELDS };

static bool read_number(struct field *field, const char *text, const char *path, struct worker_error *error)
{
    char *end;
    unsigned long value = strtoul(text, &end, 10);
    if (end == text || *end != '\0' || value < field->least || value > field->most)
        return worker_fail(error, "%s: %s is \"%s\", expected a number from %u to %u", path, field->key, text,
                           field->least, field->most);
    field->value = (uint32_t)value;
    field->seen = true;
    return true;
}

static bool read_line(const char *line, const char *path, struct field *fields, char type[8],
                      struct worker_error *error)
{
    char key[32], value[32];
    if (sscanf(line, "%31s %31s", key, value) != 2)
        return worker_fail(error, "%s: \"%.80s\" is no \"key value\"", path, line);
    if (strcmp(key, "type") == 0) {
        snprintf(type, 8, "%.7s", value);
        return true;
    }
    for (int i = 0; i < N_FIELDS; i++)
        if (strcmp(key, fields[i].key) == 0)
            return read_number(&fields[i], value, path, error);
    return worker_fail(error, "%s: unknown key \"%s\"", path, key);
}

static bool read_fields(const char *path, struct field *fields, char type[8], struct worker_error *error)
{
    FILE *file = fopen(path, "r");
    if (file == NULL)
        return worker_fail(error, "%s: %s", path, strerror(errno));
    char line[256];
    bool ok = true;
    while (ok && fgets(line, sizeof line, file) != NULL) {
        line[strcspn(line, "\r\n")] = '\0';
        ok = line[0] == '\0' || read_line(line, path, fields, type, error);
    }
    fclose(file);
    for (int i = 0; ok && i < N_FIELDS; i++)
        ok = fields[i].seen || worker_fail(error, "%s: no key \"%s\"", path, fields[i].key);
    return ok;
}

static bool read_case(struct worker_case *c, struct worker_error *error)
{
    struct field fields[N_FIELDS] = {
        [LAYERS] = {"layers", 1, 64, 0, false},
        [BIDIRECTIONAL] = {"bidirectional", 0, 1, 0, false},
        [INPUTS] = {"inputs", 1, DIMENSION_MAX, 0, false},
        [UNITS] = {"units", 1, DIMENSION_MAX, 0, false},
        [STEPS] = {"steps", 1, DIMENSION_MAX, 0, false},
        [ITEMS] = {"items", 1, DIMENSION_MAX, 0, false},
        [THREADS] = {"threads", 1, 1024, 0, false},
        [STREAMS] = {"streams", 0, 1, 0, false},
        [CALLS] = {"calls", 1, DIMENSION_MAX, 0, false},
    };
    char path[4200], type[8] = "";
    if (!worker_path(c, "case.txt", path, sizeof path, error) || !read_fields(path, fields, type, error))
        return false;
    c->gru = strcmp(type, "gru") == 0;
    if (!c->gru && strcmp(type, "lstm") != 0)
        return worker_fail(error, "%s: type is \"%s\", expected lstm or gru", path, type);
    c->layers = fields[LAYERS].value;
    c->bidirectional = fields[BIDIRECTIONAL].value != 0;
    c->inputs = fields[INPUTS].value;
    c->units = fields[UNITS].value;
    c->steps = fields[STEPS].value;
    c->items = fields[ITEMS].value;
    c->threads = fields[THREADS].value;
    c->streams = fields[STREAMS].value != 0;
    c->calls = fields[CALLS].value;
    if (c->steps == 1 && c->bidirectional)
        return worker_fail(error, "%s: a bidirectional model cannot go step by step", path);
    return c->steps == 1 || (!c->streams && c->calls == 1) ||
           worker_fail(error, "%s: streams 1 and several calls need steps 1", path);
}

/* ---- buffers ------------------------------------------------------------- */

size_t worker_case_inputs_size(const struct worker_case *c)
{
    return (size_t)c->steps * c->items * c->inputs;
}

size_t worker_case_outputs_size(const struct worker_case *c)
{
    return (size_t)c->steps * c->items * worker_directions(c) * c->units;
}

static bool make_states(struct worker_case *c)
{
    for (int set = 0; set < 2; set++)
        for (int which = 0; which < 2; which++) {
            c->state[set][which] = worker_floats(c->layers * worker_layer_state(c));
            if (c->state[set][which] == NULL)
                return false;
        }
    return true;
}

static bool make_streams(struct worker_case *c)
{
    size_t width = (size_t)worker_directions(c) * c->units;
    c->stream = calloc(c->items, sizeof *c->stream);
    for (uint32_t i = 0; c->stream != NULL && i < c->items; i++) {
        struct worker_stream *s = &c->stream[i];
        s->input = worker_floats(c->inputs);
        s->output = worker_floats(width);
        s->state[0] = worker_floats(c->layers * width);
        s->state[1] = worker_floats(c->layers * width);
        if (s->input == NULL || s->output == NULL || s->state[0] == NULL || s->state[1] == NULL)
            return false;
    }
    return c->stream != NULL;
}

static bool make_buffers(struct worker_case *c, struct worker_error *error)
{
    c->input = worker_floats(worker_case_inputs_size(c));
    c->output = worker_floats(worker_case_outputs_size(c));
    bool ok = c->input != NULL && c->output != NULL;
    ok = ok && (c->steps > 1 || make_states(c));
    ok = ok && (!c->streams || make_streams(c));
    return ok || worker_fail(error, "%s: out of memory", c->dir);
}

bool worker_case_open(const char *dir, bool item_major, struct worker_case *out, struct worker_error *error)
{
    memset(out, 0, sizeof *out);
    if (strlen(dir) >= sizeof out->dir)
        return worker_fail(error, "path of the case too long");
    strcpy(out->dir, dir);
    if (!read_case(out, error))
        return false;
    float *numbers = worker_read_floats(out, "input.bin", worker_case_inputs_size(out) * out->calls, error);
    bool ok = numbers != NULL && make_buffers(out, error);
    if (ok)
        worker_case_put_input(out, item_major, numbers);
    else
        worker_case_close(out);
    free(numbers);
    return ok;
}

void worker_case_close(struct worker_case *c)
{
    for (uint32_t i = 0; c->stream != NULL && i < c->items; i++) {
        free(c->stream[i].input);
        free(c->stream[i].output);
        free(c->stream[i].state[0]);
        free(c->stream[i].state[1]);
    }
    free(c->stream);
    for (int set = 0; set < 2; set++)
        for (int which = 0; which < 2; which++)
            free(c->state[set][which]);
    free(c->input);
    free(c->output);
    memset(c, 0, sizeof *c);
}

/* [a][b][width] to [b][a][width] */
static void swap_outer(const float *in, size_t a, size_t b, size_t width, float *out)
{
    for (size_t i = 0; i < a; i++)
        for (size_t j = 0; j < b; j++)
            memcpy(&out[(j * a + i) * width], &in[(i * b + j) * width], width * sizeof *out);
}

void worker_case_put_input(struct worker_case *c, bool item_major, const float *numbers)
{
    if (c->streams)
        for (uint32_t i = 0; i < c->items; i++)
            memcpy(c->stream[i].input, &numbers[(size_t)i * c->inputs], c->inputs * sizeof *numbers);
    else
        swap_outer(numbers, item_major ? 1 : c->items, item_major ? (size_t)c->items * c->steps : c->steps,
                   c->inputs, c->input);
}

void worker_case_get_output(const struct worker_case *c, bool item_major, float *numbers)
{
    size_t width = (size_t)worker_directions(c) * c->units;
    if (c->streams)
        for (uint32_t i = 0; i < c->items; i++)
            memcpy(&numbers[i * width], c->stream[i].output, width * sizeof *numbers);
    else
        swap_outer(c->output, item_major ? 1 : c->steps, item_major ? (size_t)c->items * c->steps : c->items,
                   width, numbers);
}

void worker_case_zero_state(struct worker_case *c)
{
    size_t n = c->layers * worker_layer_state(c) * sizeof(float);
    for (int which = 0; which < 2 && c->state[0][0] != NULL; which++) {
        memset(c->state[0][which], 0, n);
        memset(c->state[1][which], 0, n);
    }
    for (uint32_t i = 0; c->stream != NULL && i < c->items; i++)
        for (int which = 0; which < 2; which++)
            memset(c->stream[i].state[which], 0, n / c->items);
}

/* ---- independent streams ------------------------------------------------- */

/* Between stream `i`'s own state and its rows in the batch. */
static void copy_state(struct worker_case *c, uint32_t i, int set, bool to_batch)
{
    uint32_t blocks = c->layers * worker_directions(c);
    for (int which = 0; which < (c->gru ? 1 : 2); which++)
        for (uint32_t k = 0; k < blocks; k++) {
            float *row = &c->state[set][which][((size_t)k * c->items + i) * c->units];
            float *own = &c->stream[i].state[which][(size_t)k * c->units];
            memcpy(to_batch ? row : own, to_batch ? own : row, c->units * sizeof *row);
        }
}

void worker_case_gather(struct worker_case *c)
{
    for (uint32_t i = 0; i < c->items; i++) {
        memcpy(&c->input[(size_t)i * c->inputs], c->stream[i].input, c->inputs * sizeof(float));
        copy_state(c, i, 0, true);
    }
}

void worker_case_scatter(struct worker_case *c)
{
    size_t width = (size_t)worker_directions(c) * c->units;
    for (uint32_t i = 0; i < c->items; i++) {
        memcpy(c->stream[i].output, &c->output[i * width], width * sizeof(float));
        copy_state(c, i, 1, false);
    }
}

/* ---- tensors of model.onnx ----------------------------------------------- */

static size_t state_kinds(const struct worker_case *c)
{
    return c->gru ? 1 : 2;
}

size_t worker_n_places(const struct worker_case *c)
{
    return c->steps == 1 ? 1 + c->layers * state_kinds(c) : 1;
}

struct worker_place worker_place_of(const struct worker_case *c, int set, bool output, size_t index)
{
    if (index == 0 && !output)
        return (struct worker_place){false, 0, c->input, 3, {c->steps, c->items, c->inputs}};
    if (index == 0 && c->bidirectional)
        return (struct worker_place){true, 0, c->output, 3, {c->steps, c->items, 2 * c->units}};
    if (index == 0)
        return (struct worker_place){true, 0, c->output, 4, {c->steps, 1, c->items, c->units}};
    size_t layer = (index - 1) / state_kinds(c), which = (index - 1) % state_kinds(c);
    float *state = c->state[output ? 1 - set : set][which] + layer * worker_layer_state(c);
    return (struct worker_place){output, index, state, 3, {worker_directions(c), c->items, c->units}};
}
