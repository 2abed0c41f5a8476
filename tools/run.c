/* SPDX-License-Identifier: MIT
 *
 * Run the input and write the result, see run.h. Two ways: a sequence for a model that
 * streams goes piece by piece, everything else is read, run and written as a whole.
 */
#define _POSIX_C_SOURCE 200809L

#include "tools/run.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tools/frames.h"
#include "tools/paths.h"
#include "tools/progress.h"
#include "tools/say.h"
#include "tools/state_file.h"

/* ---- talk ---------------------------------------------------------------- */

const char *run_time_text(double seconds, char *text)
{
    static const struct { double unit; const char *name; } units[] = {
        {1, "s"}, {1e-3, "ms"}, {1e-6, "us"}, {1e-9, "ns"}};
    size_t i = 0;
    while (i < 3 && seconds < units[i].unit)
        i++;
    snprintf(text, 32, "%.3g %s", seconds / units[i].unit, units[i].name);
    return text;
}

/* " 12 x real time" for audio. */
static const char *real_time_text(const struct session *session, double steps, double seconds, char *text)
{
    const char *rate = lstm_model_find_metadata(session->model, "sample_rate");
    double per_second = rate ? strtod(rate, NULL) : 0;
    text[0] = '\0';
    if (per_second > 0 && seconds > 0)
        snprintf(text, 32, ", %.3g x real time",
                 steps * (double)session->frame_samples / per_second / seconds);
    return text;
}

/* What a run did, and the seconds inside lstm_run. */
struct total {
    size_t steps;
    double seconds;
};

static void report(const struct session *session, struct total done)
{
    char all[32], one[32], opened[32], planned[32], real[32], batch[32] = "";
    if (session->args->quiet)
        return;
    size_t a_call = session->chunk < done.steps ? session->chunk : done.steps;
    uint32_t threads = lstm_plan_get_threads(session->plan, session->items, a_call);
    if (session->items > 1)
        snprintf(batch, sizeof batch, "%zu x ", session->items);
    double steps = (double)session->items * (double)done.steps;
    fprintf(stderr, "%s%zu step%s in %s, %s a step%s; opened in %s, planned in %s; %s, %u thread%s\n", batch,
            done.steps, done.steps == 1 ? "" : "s", run_time_text(done.seconds, all),
            run_time_text(done.seconds / steps, one), real_time_text(session, steps, done.seconds, real),
            run_time_text(session->open_seconds, opened),
            run_time_text(session->plan_seconds, planned), lstm_plan_get_isa(session->plan),
            threads, threads == 1 ? "" : "s");
}

/* ---- the sink ------------------------------------------------------------ */

/* Labels only if there is one for each output. */
static const char *fitting_labels(const struct session *session)
{
    const char *labels = lstm_model_find_metadata(session->model, "labels");
    if (!labels)
        return NULL;
    size_t n = 1;
    for (const char *c = labels; *c; c++)
        n += *c == '\n' && c[1];
    if (n == session->info->output.size)
        return labels;
    complain("%s: has %zu labels for %zu outputs; they are not used", session->args->model, n,
             session->info->output.size);
    return NULL;
}

static const struct sink_format *choose_format(const struct session *session)
{
    const struct args *args = session->args;
    bool to_stdout = !args->output || strcmp(args->output, "-") == 0;
    const struct sink_format *format;
    if (args->format || !to_stdout)
        format = sink_find_format(args->format, args->output);
    else if (session->speech || args->show_state || isatty(STDOUT_FILENO) || (!args->output &&
                                                                              strcmp(args->input, "-") != 0))
        format = sink_find_format("text", NULL);
    else
        format = sink_find_format("bin", NULL);
    if (!format && !args->format && path_is_special(args->output))
        format = sink_find_format(path_is_terminal(args->output) ? "text" : "bin", NULL);
    if (!format && args->format)
        args_refuse("--format %s: expected %s", args->format, sink_format_names());
    if (!format)
        args_refuse("%s: its name does not tell the format; add --format %s", args->output,
                    sink_format_names());
    if (sink_is_binary(format) && (to_stdout ? isatty(STDOUT_FILENO) : path_is_terminal(args->output)))
        args_refuse("binary data will not be written to a terminal; use -o FILE or --format text");
    if (args->show_state && !sink_is_text(format))
        args_refuse("--show-state is for text output only");
    return session->speech && !args->show_state ? sink_of_speech(format) : format;
}

static bool open_sink(const struct session *session, struct sink *sink, size_t steps)
{
    const struct sink_format *format = choose_format(session);
    struct sink_setup setup = {
        .path = session->args->output,
        .model = session->args->model,
        .frame = session->info->output,
        .batch = session->source.batch,
        .once = session->info->output_once,
        .items = session->items,
        .steps = session->info->output_once ? 1
                 : steps == SINK_UNKNOWN     ? steps
                                             : lstm_model_get_output_steps(session->model, steps),
        .rate = lstm_model_find_metadata(session->model, "sample_rate"),
        .labels = fitting_labels(session),
        .flush = session_is_live(session),
        .states = session->args->show_state,
        .frame_samples = session->frame_samples,
        .samples = &session->source.samples,
        .input = session->source.name,
        .speech = &session->args->speech,
    };
    return sink_open(sink, format, &setup);
}

/* ---- states for a person ------------------------------------------------- */

static void show_state(const struct session *session, struct sink *sink, uint32_t index,
                       const lstm_layer_info *layer)
{
    static const char *const names[2][2] = {{"h", "c"}, {"h reverse", "c reverse"}};
    char name[64];
    if (layer->name[0])
        snprintf(name, sizeof name, "%.60s", layer->name);
    else
        snprintf(name, sizeof name, "%.50s %u", layer->type, index);
    for (uint32_t direction = 0; direction < 2; direction++) {
        for (int which = LSTM_STATE_H; which <= LSTM_STATE_C; which++) {
            struct sink_state state = {.layer = name, .which = names[direction][which]};
            state.values = lstm_stream_get_state(session->model, session->streams[0], index, direction,
                                                 (lstm_state)which, &state.n);
            if (state.values)
                sink_write_state(sink, &state);
        }
    }
}

static void show_states(const struct session *session, struct sink *sink)
{
    lstm_layer_info layer;
    for (uint32_t i = 0; i < session->info->n_layers; i++) {
        if (lstm_model_get_layer(session->model, i, &layer) == LSTM_OK && layer.n_states)
            show_state(session, sink, i, &layer);
    }
}

/* ---- piece by piece ------------------------------------------------------ */

struct pieces {
    float *input, *output;
    struct total done;
    struct progress progress;
};

/* Run and write `n` steps that were just read into pieces->input. */
static bool run_piece(struct session *session, struct sink *sink, struct pieces *pieces, size_t n)
{
    if (!frames_check(session, pieces->input, n, pieces->done.steps, 0))
        return false;
    lstm_item item = {
        .stream = session->streams[0], .input = pieces->input, .output = pieces->output, .steps = n};
    double start = clock_wall();
    if (lstm_run(session->plan, session->workspace, &item, 1) != LSTM_OK)
        return complain("the run of %zu steps is larger than its workspace", n);
    pieces->done.seconds += clock_wall() - start;
    pieces->done.steps += n;
    if (!sink_write(sink, pieces->output, n))
        return false;
    if (session->args->show_state)
        show_states(session, sink);
    progress_update(&pieces->progress, source_fraction(&session->source), pieces->done.steps);
    return true;
}

static bool run_pieces(struct session *session, struct sink *sink, struct pieces *pieces)
{
    bool ok = true;
    for (size_t n = 1; ok && n > 0;) {
        ok = source_read(&session->source, pieces->input, session->chunk, &n);
        if (ok && n > 0)
            ok = run_piece(session, sink, pieces, n);
    }
    progress_end(&pieces->progress);
    if (ok && pieces->done.steps == 0)
        return complain("%s: there are no frames in it", session->source.name);
    return ok;
}

static bool piecewise(struct session *session, struct sink *sink, struct total *total)
{
    struct pieces pieces = {0};
    size_t known = session->source.steps;
    if (known < session->chunk)
        session->chunk = known;
    pieces.input = frames_allocate("the input", 1, session->chunk, session->info->input.size);
    if (pieces.input)
        pieces.output = frames_allocate("the output", 1, session->chunk, session->info->output.size);
    bool ok = pieces.output && session_make_workspace(session, session->chunk) && session_prewarm(session) &&
              open_sink(session, sink, known);
    if (ok) {
        pieces.progress = progress_begin(!session->args->quiet && !session_is_live(session));
        ok = run_pieces(session, sink, &pieces);
    }
    free(pieces.input);
    free(pieces.output);
    *total = pieces.done;
    return ok;
}

/* ---- as a whole ---------------------------------------------------------- */

bool run_whole(struct session *session, const float *input, float *output, size_t steps, run_each_fn *each,
               void *context)
{
    size_t in = session->info->input.size, out = session->info->output.size;
    size_t frames_out = lstm_model_get_output_steps(session->model, steps);
    lstm_item *items = calloc(session->items, sizeof *items);
    bool ok = items || complain("out of memory for %zu items", session->items);
    for (size_t done = 0, n; ok && done < steps; done += n) {
        n = steps - done < session->chunk ? steps - done : session->chunk;
        for (size_t i = 0; i < session->items; i++) {
            items[i] = (lstm_item){.stream = session->streams[i],
                                   .input = input + (i * steps + done) * in,
                                   .output = output + (i * frames_out + done) * out,
                                   .steps = n};
        }
        double start = clock_wall();
        if (lstm_run(session->plan, session->workspace, items, session->items) != LSTM_OK)
            ok = complain("the run of %zu steps is larger than its workspace", n);
        if (ok && each)
            each(context, n, clock_wall() - start, done + n);
    }
    free(items);
    return ok;
}

struct whole {
    struct total done;
    size_t steps; /* to do */
    struct progress progress;
};

static void count_call(void *context, size_t steps, double seconds, size_t done)
{
    struct whole *whole = context;
    whole->done.seconds += seconds;
    whole->done.steps += steps;
    progress_update(&whole->progress, (double)done / (double)whole->steps, done);
}

static bool write_whole(const struct session *session, struct sink *sink, const float *output, size_t frames)
{
    bool ok = true;
    for (size_t i = 0; ok && i < session->items; i++) {
        ok = (i == 0 || sink_next_item(sink)) &&
             sink_write(sink, output + i * frames * session->info->output.size, frames);
    }
    return ok;
}

static bool at_once(struct session *session, struct sink *sink, struct total *total)
{
    struct whole whole = {0};
    float *output = NULL, *input = frames_read_all(session, &whole.steps);
    size_t frames = lstm_model_get_output_steps(session->model, whole.steps);
    bool ok = input != NULL;
    if (ok) {
        output = frames_allocate("the output", session->items, frames, session->info->output.size);
        ok = output && session_make_workspace(session, whole.steps) && session_prewarm(session) &&
             open_sink(session, sink, whole.steps);
    }
    if (ok) {
        whole.progress = progress_begin(!session->args->quiet);
        ok = run_whole(session, input, output, whole.steps, count_call, &whole);
        progress_end(&whole.progress);
    }
    ok = ok && write_whole(session, sink, output, frames);
    free(input);
    free(output);
    *total = whole.done;
    return ok;
}

/* ---- both ---------------------------------------------------------------- */

static bool run_to_sink(struct session *session)
{
    struct sink sink = {0};
    struct total total;
    if (!(session_is_piecewise(session) ? piecewise : at_once)(session, &sink, &total)) {
        sink_abandon(&sink);
        return false;
    }
    if (!sink_finish(&sink))
        return false;
    report(session, total);
    return true;
}

bool run_result(struct session *session)
{
    const struct args *args = session->args;
    struct whole_file state = {.slot = -1};
    choose_format(session); /* refuses before anything is written */
    if (args->save_state && !whole_file_open(args->save_state, &state))
        return false;
    if (!run_to_sink(session)) {
        whole_file_abandon(&state);
        return false;
    }
    if (!args->save_state)
        return true;
    state_file_save(state.file, session->model, session->streams, session->items);
    return whole_file_commit(&state);
}
