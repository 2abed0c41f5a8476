/* SPDX-License-Identifier: MIT
 *
 * One invocation of lstmrun, see session.h.
 */
#include "tools/session.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "tools/cleanup.h"
#include "tools/progress.h"
#include "tools/say.h"
#include "tools/state_file.h"

enum {
    CHUNK_STEPS = 1024,      /* enough for the input part to run as a matrix product */
    CHUNK_FLOATS = 1 << 22,  /* of input and output together: 16 MiB */
    PREWARM_PIECE = 64,
};

static bool model_failed(const struct session *session, const lstm_error *error)
{
    const char *path = session->args->model;
    if (error->rule)
        return complain("%s: byte %llu: %s (rule %u of FORMAT.md)", path, (unsigned long long)error->offset,
                        error->text, error->rule);
    return complain("%s: %s", path, error->text);
}

bool session_open_model(struct session *session, const struct args *args)
{
    lstm_error error;
    *session = (struct session){.args = args};
    double start = clock_wall();
    if (lstm_model_open(args->model, &session->model, &error) != LSTM_OK)
        return model_failed(session, &error);
    session->open_seconds = clock_wall() - start;
    session->info = lstm_model_get_info(session->model);
    if (!session->info->streams && args->chunk)
        args_refuse("--chunk: %s needs whole sequences and cannot run in pieces", args->model);
    if (!session->info->streams && args->show_state)
        args_refuse("--show-state: %s needs whole sequences and has no state after each step",
                    args->model);
    return true;
}

/* Samples of audio that a step takes: one channel, where there are several. */
static bool read_frame_samples(struct session *session)
{
    const char *text = lstm_model_find_metadata(session->model, "frame_samples");
    const size_t size = session->info->input.size;
    char *end = NULL;
    session->frame_samples = text ? strtoul(text, &end, 10) : 1;
    if (!text || (*text >= '1' && *text <= '9' && !*end &&
                  (session->frame_samples == 1 || session->frame_samples == size)))
        return true;
    return complain("%s: frame_samples is '%.40s' in its metadata, expected 1 or the %zu numbers that a step "
                    "takes", session->args->model, text, size);
}

/* Whether there are segments to find: FORMAT.md, "task". */
static void find_task(struct session *session, const char *rate)
{
    const char *task = lstm_model_find_metadata(session->model, "task");
    session->speech = task && strcmp(task, "speech") == 0 && session->info->output.size == 1 &&
                      !session->info->output_once && rate && strtod(rate, NULL) > 0;
    if (session->args->speech_given && !session->speech)
        args_refuse("--threshold, --min-speech, --min-silence and --pad are for models of speech: their "
                    "metadata "
                    "has the task 'speech' and a sample_rate");
}

bool session_open_input(struct session *session)
{
    const struct args *args = session->args;
    const struct source_format *format = source_find_format(args->input_format, args->input);
    if (!format && args->input_format)
        args_refuse("--input-format %s: expected %s", args->input_format, source_format_names());
    if (!format)
        args_refuse("%s: its name does not tell the format; add --input-format %s", args->input,
                    source_format_names());
    const char *rate = lstm_model_find_metadata(session->model, "sample_rate");
    if (!read_frame_samples(session))
        return false;
    find_task(session, rate);
    const struct source_model model = {&session->info->input, rate, session->frame_samples, session->speech};
    session->has_source = source_open(&session->source, format, args->input, &model);
    session->items = session->source.items;
    if (session->has_source && session->source.mixed && !args->quiet)
        complain("%s: note: %u channels are mixed to one", session->source.name, session->source.mixed);
    return session->has_source;
}

bool session_is_piecewise(const struct session *session)
{
    return session->info->streams && !session->source.batch;
}

static bool is_std(const char *path)
{
    return !path || strcmp(path, "-") == 0;
}

bool session_is_live(const struct session *session)
{
    const struct args *args = session->args;
    return session_is_piecewise(session) && args->input && strcmp(args->input, "-") == 0 &&
           is_std(args->output) && !args->time;
}

static size_t choose_chunk(const struct session *session)
{
    const struct args *args = session->args;
    if (!session->info->streams)
        return SIZE_MAX;
    if (args->chunk)
        return args->chunk;
    if (args->show_state || session_is_live(session))
        return 1;
    size_t frame = session->info->input.size + session->info->output.size;
    size_t chunk = CHUNK_FLOATS / frame;
    if (chunk > CHUNK_STEPS)
        chunk = CHUNK_STEPS;
    return chunk ? chunk : 1;
}

bool session_make_plan(struct session *session, size_t items, size_t steps)
{
    const struct args *args = session->args;
    lstm_error error;
    session->chunk = choose_chunk(session);
    lstm_plan_options options = LSTM_PLAN_OPTIONS_INIT;
    options.threads = (uint32_t)args->threads;
    options.isa = args->isa;
    options.backend = args->backend;
    options.split = args->split;
    options.items = items;
    if (!steps && args->input && session->chunk != SIZE_MAX)
        steps = session->chunk; /* a stream without a known end: each call is full */
    options.steps = steps < session->chunk ? steps : session->chunk;
    session->options = options;
    double start = clock_wall();
    lstm_status status = lstm_plan_create(session->model, &options, &session->plan, &error);
    session->plan_seconds = clock_wall() - start;
    if (status == LSTM_E_ARG)
        args_refuse("%s", error.text);
    return status == LSTM_OK || model_failed(session, &error);
}

bool session_make_streams(struct session *session)
{
    const struct args *args = session->args;
    session->streams = calloc(session->items, sizeof *session->streams);
    bool ok = session->streams != NULL;
    for (size_t i = 0; ok && i < session->items; i++)
        ok = lstm_stream_create(session->model, &session->streams[i]) == LSTM_OK;
    if (!ok)
        return complain("out of memory for the states of %zu sequences", session->items);
    return !args->load_state ||
           state_file_load(args->load_state, session->model, session->streams, session->items);
}

bool session_make_workspace(struct session *session, size_t steps)
{
    lstm_error error;
    if (steps && steps < session->info->least_steps)
        return complain("%s: %zu step%s, but the model needs at least %zu in a run", session->source.name,
                        steps, steps == 1 ? "" : "s", session->info->least_steps);
    lstm_workspace_destroy(session->workspace);
    lstm_status status =
        lstm_workspace_create(session->plan, session->items, steps, &session->workspace, &error);
    return status == LSTM_OK || complain("%s", error.text);
}

/* 0: the model asks for none. */
static bool prewarm_steps(const struct session *session, size_t *steps_out)
{
    const size_t most = 100000000;
    const char *text = lstm_model_find_metadata(session->model, "prewarm_steps");
    char *end = NULL;
    *steps_out = text ? strtoul(text, &end, 10) : 0;
    if (!text || (*text >= '0' && *text <= '9' && !*end && *steps_out <= most))
        return true;
    return complain("%s: prewarm_steps is '%.40s' in its metadata, expected a whole number up to %zu",
                    session->args->model, text, most);
}

static bool run_zeros(struct session *session, size_t steps, const float *input, float *output)
{
    for (size_t i = 0; i < session->items; i++) {
        for (size_t done = 0, n; done < steps; done += n) {
            n = steps - done < PREWARM_PIECE ? steps - done : PREWARM_PIECE;
            lstm_item item = {.stream = session->streams[i], .input = input, .output = output, .steps = n};
            if (lstm_run(session->plan, session->workspace, &item, 1) != LSTM_OK)
                return complain("the run of %zu steps is larger than its workspace", n);
        }
    }
    return true;
}

bool session_prewarm(struct session *session)
{
    const lstm_model_info *info = session->info;
    size_t steps;
    float *input, *output;
    bool ok;
    if (!session->args->prewarm)
        return true;
    if (!info->streams)
        args_refuse("--prewarm: %s needs whole sequences and cannot run in pieces", session->args->model);
    if (!prewarm_steps(session, &steps))
        return false;
    input = calloc((size_t)PREWARM_PIECE * info->input.size, sizeof *input);
    output = calloc((size_t)PREWARM_PIECE * info->output.size, sizeof *output);
    ok = (input && output) || complain("out of memory for %d steps", PREWARM_PIECE);
    ok = ok && run_zeros(session, steps, input, output);
    free(input);
    free(output);
    return ok;
}

void session_close(struct session *session)
{
    for (size_t i = 0; session->streams && i < session->items; i++)
        lstm_stream_destroy(session->streams[i]);
    free(session->streams);
    lstm_workspace_destroy(session->workspace);
    if (session->has_source)
        source_close(&session->source);
    lstm_plan_destroy(session->plan);
    lstm_model_close(session->model);
    *session = (struct session){0};
}
