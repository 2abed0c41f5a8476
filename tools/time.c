/* SPDX-License-Identifier: MIT
 *
 * --time: the whole input again and again from the same state, for a second.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tools/frames.h"
#include "tools/progress.h"
#include "tools/run.h"
#include "tools/say.h"

enum { MAX_RUNS = 100000, MAX_CALLS = 1000000, MIN_RUNS = 10 };

static const double time_to_spend = 1.0; /* seconds */

struct samples {
    double *runs, *steps; /* seconds; of steps: of each call, for one step */
    size_t n_runs, n_steps;
    double run;  /* the calls of the run at hand */
    double cpu;  /* of all runs */
};

static void take_call(void *context, size_t steps, double seconds, size_t done)
{
    struct samples *samples = context;
    (void)done;
    samples->run += seconds;
    if (samples->n_steps < MAX_CALLS)
        samples->steps[samples->n_steps++] = seconds / (double)steps;
}

static int ascending(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* Every run starts from the same states: the memory of streams is flat. */
static char *keep_states(const struct session *session)
{
    size_t each = lstm_stream_bytes(session->model);
    char *states = calloc(session->items, each);
    for (size_t i = 0; states && i < session->items; i++)
        memcpy(states + i * each, session->streams[i], each);
    if (!states)
        complain("out of memory for the states of %zu sequences", session->items);
    return states;
}

static bool repeat(struct session *session, const float *input, float *output, size_t steps,
                   struct samples *samples)
{
    size_t each = lstm_stream_bytes(session->model);
    char *states = keep_states(session);
    bool ok = states != NULL;
    struct progress progress = progress_begin(!session->args->quiet);
    double start = clock_wall();
    while (ok && samples->n_runs < MAX_RUNS &&
           (samples->n_runs < MIN_RUNS || clock_wall() - start < time_to_spend)) {
        for (size_t i = 0; i < session->items; i++)
            memcpy(session->streams[i], states + i * each, each);
        double cpu = clock_cpu();
        samples->run = 0;
        ok = run_whole(session, input, output, steps, take_call, samples);
        samples->cpu += clock_cpu() - cpu;
        samples->runs[samples->n_runs++] = samples->run;
        progress_update(&progress, (double)samples->n_runs / MIN_RUNS, samples->n_runs * steps);
    }
    progress_end(&progress);
    free(states);
    return ok;
}

static void print_line(const char *what, double *sorted, size_t n)
{
    char median[32], high[32], best[32];
    qsort(sorted, n, sizeof *sorted, ascending);
    printf("%-11s median %s, 99 %% within %s, best %s (%zu measured)\n", what,
           run_time_text(sorted[n / 2], median), run_time_text(sorted[n - 1 - n / 100], high),
           run_time_text(sorted[0], best), n);
}

static void print_timing(const struct session *session, struct samples *samples, size_t steps)
{
    char opened[32], planned[32], cpu[32];
    const char *rate = lstm_model_find_metadata(session->model, "sample_rate");
    size_t a_call = session->chunk < steps ? session->chunk : steps;
    uint32_t threads = lstm_plan_get_threads(session->plan, session->items, a_call);
    double total = 0, run_cpu = samples->cpu / (double)samples->n_runs;
    for (size_t i = 0; i < samples->n_runs; i++)
        total += samples->runs[i];
    printf("%-11s opened in %s, planned in %s\n", "model", run_time_text(session->open_seconds, opened),
           run_time_text(session->plan_seconds, planned));
    printf("%-11s %zu item%s of %zu step%s", "input", session->items, session->items == 1 ? "" : "s", steps,
           steps == 1 ? "" : "s");
    if (session->chunk < steps)
        printf(", %zu step%s a call", session->chunk, session->chunk == 1 ? "" : "s");
    fputc('\n', stdout);
    print_line("run", samples->runs, samples->n_runs);
    print_line(session->items > 1 ? "all's step" : "step", samples->steps, samples->n_steps);
    double median = samples->runs[samples->n_runs / 2];
    double all_steps = (double)session->items * (double)steps;
    printf("%-11s %s a run, %.2f processors busy\n", "CPU time", run_time_text(run_cpu, cpu),
           samples->cpu / total);
    printf("%-11s %.3g GFLOP/s, %.4g steps a second; %s, %u thread%s\n", "speed",
           1e-9 * (double)session->info->flops_per_step * all_steps / median, all_steps / median,
           lstm_plan_get_isa(session->plan), threads, threads == 1 ? "" : "s");
    if (rate && strtod(rate, NULL) > 0)
        printf("%-11s %.4g times as fast as real time\n", "", all_steps / median / strtod(rate, NULL));
}

static bool time_input(struct session *session, const float *input, size_t steps)
{
    struct samples samples = {.runs = malloc(MAX_RUNS * sizeof(double)),
                              .steps = malloc(MAX_CALLS * sizeof(double))};
    size_t frames = lstm_model_get_output_steps(session->model, steps);
    float *output = frames_allocate("the output", session->items, frames, session->info->output.size);
    bool ok = output && session_make_workspace(session, steps < session->chunk ? steps : session->chunk);
    if (ok && (!samples.runs || !samples.steps))
        ok = complain("out of memory for measured times");
    ok = ok && repeat(session, input, output, steps, &samples);
    if (ok)
        print_timing(session, &samples, steps);
    free(samples.runs);
    free(samples.steps);
    free(output);
    return ok;
}

bool run_timing(struct session *session)
{
    size_t steps;
    float *input = frames_read_all(session, &steps);
    bool ok = input && time_input(session, input, steps);
    free(input);
    return ok;
}
