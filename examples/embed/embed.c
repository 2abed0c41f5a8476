/* SPDX-License-Identifier: MIT
 *
 * The smallest complete program around liblstmrun: one model, one stream, one frame at a time. Reads frames
 * as text from stdin (numbers, any of space, comma and newline between them) and prints each frame's output
 * before it reads the next.
 *
 *     make && ./embed elnino.bin < heldout.csv
 */
#include <lstmrun.h>
#include <stdio.h>
#include <stdlib.h>

struct engine {
    lstm_model *model;
    lstm_plan *plan;
    lstm_stream *stream;
    lstm_workspace *workspace;
};

/* All that can fail, fails here; each step needs the one before. */
static lstm_status engine_open(struct engine *engine, const char *path, lstm_error *error)
{
    lstm_plan_options options = LSTM_PLAN_OPTIONS_INIT;
    options.threads = 1; /* an audio callback wants no second thread */
    options.steps = 1;

    lstm_status status = lstm_model_open(path, &engine->model, error);
    if (status == LSTM_OK)
        status = lstm_plan_create(engine->model, &options, &engine->plan, error);
    if (status == LSTM_OK)
        status = lstm_workspace_create(engine->plan, 1, 1, &engine->workspace, error);
    if (status == LSTM_OK) {
        status = lstm_stream_create(engine->model, &engine->stream);
        if (status != LSTM_OK)
            snprintf(error->text, sizeof error->text, "%s", lstm_status_text(status));
    }
    return status;
}

static void engine_close(struct engine *engine)
{
    lstm_stream_destroy(engine->stream);
    lstm_workspace_destroy(engine->workspace);
    lstm_plan_destroy(engine->plan);
    lstm_model_close(engine->model);
}

static void print_frame(const float *frame, size_t size)
{
    for (size_t i = 0; i < size; i++)
        printf("%.9g%c", (double)frame[i], i + 1 < size ? ',' : '\n');
    fflush(stdout);
}

/* 1: a frame, 0: clean end of input, -1: something that is not a number, or half a frame. */
static int read_frame(float *frame, size_t size)
{
    for (size_t i = 0; i < size; i++) {
        int skipped = scanf("%*[ ,\t\r\n]"); /* 0, or EOF */
        int got = skipped == EOF ? EOF : scanf("%f", &frame[i]);
        if (got != 1)
            return got == EOF && i == 0 ? 0 : -1;
    }
    return 1;
}

static int run_all(const struct engine *engine)
{
    const lstm_model_info *info = lstm_model_get_info(engine->model);
    float *input = calloc(info->input.size, sizeof *input);
    float *output = calloc(info->output.size, sizeof *output);
    int more = input && output ? 1 : -1;

    while (more > 0 && (more = read_frame(input, info->input.size)) > 0) {
        lstm_item item = { .stream = engine->stream, .input = input, .output = output, .steps = 1 };
        lstm_run(engine->plan, engine->workspace, &item, 1);
        print_frame(output, info->output.size);
    }
    if (more < 0)
        fprintf(stderr, "embed: stdin: expected frames of %zu numbers\n", info->input.size);
    free(input);
    free(output);
    return more < 0 ? 1 : 0;
}

int main(int argc, char **argv)
{
    if (argc != 2) {
        fprintf(stderr, "usage: embed MODEL < FRAMES\n");
        return 2;
    }
    struct engine engine = { 0 };
    lstm_error error = { 0 };
    int result = 1;
    if (engine_open(&engine, argv[1], &error) != LSTM_OK)
        fprintf(stderr, "embed: %s: %s\n", argv[1], error.text);
    else if (!lstm_model_get_info(engine.model)->streams)
        fprintf(stderr, "embed: %s: needs the whole sequence, cannot run frame by frame\n", argv[1]);
    else
        result = run_all(&engine);
    engine_close(&engine);
    return result;
}
