/* SPDX-License-Identifier: MIT
 *
 * Setting up, checking and timing one case.
 */
#include "bench/case.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench/problem.h"

static int complain(const char *name, const char *what)
{
    fprintf(stderr, "lstmbench: %s: %s\n", name, what);
    return 0;
}

static int open_problem(struct bench_case *bench, const char *word, lstm_error *error)
{
    struct problem problem;
    const char *end;
    size_t n_bytes;
    if (!problem_parse(word, &problem, &end))
        return complain(word, "not a problem");
    problem_print(&problem, bench->name, sizeof bench->name);
    bench->n_items = problem.items;
    bench->steps = problem.steps;
    if (!problem_model(&problem, &bench->bytes, &n_bytes))
        return complain(word, "out of memory");
    const double start = timing_wall_ns();
    if (lstm_model_open_memory(bench->bytes, n_bytes, &bench->model, error) != LSTM_OK)
        return complain(word, error->text);
    bench->open_ns = timing_wall_ns() - start;
    return 1;
}

static int open_file(struct bench_case *bench, const char *path,
                     const struct case_options *options, lstm_error *error)
{
    snprintf(bench->name, sizeof bench->name, "%s", path);
    bench->n_items = options->items ? options->items : 1;
    bench->steps = options->steps ? options->steps : 100;
    const double start = timing_wall_ns();
    if (lstm_model_open(path, &bench->model, error) != LSTM_OK)
        return complain(path, error->text);
    bench->open_ns = timing_wall_ns() - start;
    const size_t least = lstm_model_get_info(bench->model)->least_steps;
    bench->steps = bench->steps < least ? least : bench->steps;
    return 1;
}

static lstm_plan_options plan_options(const struct bench_case *bench,
                                      const struct case_options *options)
{
    lstm_plan_options plan = LSTM_PLAN_OPTIONS_INIT;
    plan.threads = options->threads;
    plan.isa = options->isa;
    plan.items = bench->n_items;
    plan.steps = bench->steps;
    plan.split = options->split;
    return plan;
}

/* Whole numbers where a model starts with an embedding: such a model takes nothing else. */
static void fill_input(struct bench_case *bench, size_t n)
{
    lstm_error error;
    problem_numbers(7, 1, bench->input, n);
    const size_t frames = n / lstm_model_get_info(bench->model)->input.size;
    if (lstm_model_check_input(bench->model, bench->input, frames, &error) != LSTM_OK)
        memset(bench->input, 0, n * sizeof *bench->input);
}

static int make_items(struct bench_case *bench)
{
    const lstm_model_info *info = lstm_model_get_info(bench->model);
    const size_t n = bench->n_items;
    const size_t in = bench->steps * info->input.size;
    const size_t out = lstm_model_get_output_steps(bench->model, bench->steps) * info->output.size;
    bench->output_floats = n * out;
    bench->streams = calloc(n, sizeof *bench->streams);
    bench->items = calloc(n, sizeof *bench->items);
    bench->input = malloc(n * in * sizeof(float));
    bench->output = calloc(n * out, sizeof(float));
    if (!bench->streams || !bench->items || !bench->input || !bench->output)
        return 0;
    fill_input(bench, n * in);
    for (size_t i = 0; i < n; i++) {
        if (lstm_stream_create(bench->model, &bench->streams[i]) != LSTM_OK)
            return 0;
        bench->items[i] = (lstm_item){bench->streams[i], bench->input + i * in,
                                      bench->output + i * out, bench->steps, 0, 0};
    }
    return 1;
}

int case_open(struct bench_case *bench, const char *path, int is_problem,
              const struct case_options *options)
{
    lstm_error error = {0};
    memset(bench, 0, sizeof *bench);
    bench->bits = -1;
    bench->calls = 1;
    if (!(is_problem ? open_problem(bench, path, &error)
                     : open_file(bench, path, options, &error)))
        return 0;
    const lstm_plan_options plan = plan_options(bench, options);
    const double start = timing_wall_ns();
    if (lstm_plan_create(bench->model, &plan, &bench->plan, &error) != LSTM_OK)
        return complain(path, error.text);
    bench->plan_ns = timing_wall_ns() - start;
    if (lstm_workspace_create(bench->plan, bench->n_items, bench->steps, &bench->workspace,
                              &error) != LSTM_OK)
        return complain(path, error.text);
    return make_items(bench) ? 1 : complain(path, "out of memory");
}

void case_close(struct bench_case *bench)
{
    for (size_t i = 0; bench->streams && i < bench->n_items; i++)
        lstm_stream_destroy(bench->streams[i]);
    free(bench->streams);
    free(bench->items);
    free(bench->input);
    free(bench->output);
    free(bench->samples.ns);
    lstm_workspace_destroy(bench->workspace);
    lstm_plan_destroy(bench->plan);
    lstm_model_close(bench->model);
    free(bench->bytes);
    memset(bench, 0, sizeof *bench);
}

/* ---- check ------------------------------------------------------------------------ */

static void reset_streams(struct bench_case *bench)
{
    for (size_t i = 0; i < bench->n_items; i++)
        lstm_stream_reset(bench->model, bench->streams[i]);
}

static int run_scalar(struct bench_case *bench, lstm_item *items, size_t n, lstm_error *error)
{
    const struct case_options options = {.threads = 1, .isa = "scalar"};
    const lstm_plan_options given = plan_options(bench, &options);
    lstm_plan *plan = NULL;
    lstm_workspace *workspace = NULL;
    int ok = lstm_plan_create(bench->model, &given, &plan, error) == LSTM_OK &&
             lstm_workspace_create(plan, n, bench->steps, &workspace, error) == LSTM_OK;
    if (ok)
        lstm_run(plan, workspace, items, n);
    lstm_workspace_destroy(workspace);
    lstm_plan_destroy(plan);
    return ok;
}

int case_check(struct bench_case *bench)
{
    enum { STEPS = 3, ITEMS = 8 };
    const size_t n = bench->n_items < ITEMS ? bench->n_items : ITEMS;
    lstm_error error = {0};
    lstm_item items[ITEMS];
    float *expected = malloc(bench->output_floats * sizeof *expected);
    if (!expected)
        return complain(bench->name, "out of memory");
    for (size_t i = 0; i < n; i++) {
        items[i] = bench->items[i];
        items[i].steps = bench->steps < STEPS ? bench->steps : STEPS;
    }
    reset_streams(bench);
    const int ok = run_scalar(bench, items, n, &error);
    memcpy(expected, bench->output, bench->output_floats * sizeof *expected);
    memset(bench->output, 0, bench->output_floats * sizeof *bench->output);
    reset_streams(bench);
    lstm_run(bench->plan, bench->workspace, items, n);
    bench->bits = memcmp(expected, bench->output, bench->output_floats * sizeof *expected) == 0;
    free(expected);
    if (!ok)
        return complain(bench->name, error.text);
    return bench->bits ? 1 : complain(bench->name, "results differ from the scalar level");
}

/* ---- time -------------------------------------------------------------------------- */

static double run_calls(struct bench_case *bench)
{
    const double start = timing_wall_ns();
    for (size_t i = 0; i < bench->calls; i++)
        lstm_run(bench->plan, bench->workspace, bench->items, bench->n_items);
    return timing_wall_ns() - start;
}

/* A sample of a few microseconds at least: the clock itself takes tens of nanoseconds. */
static void calibrate(struct bench_case *bench)
{
    const double least = 20000;
    while (run_calls(bench) < least && bench->calls < 100000)
        bench->calls *= 2;
}

void case_time(struct bench_case *bench, double ns)
{
    calibrate(bench);
    const double cpu = timing_cpu_ns(), start = timing_wall_ns();
    do {
        if (!samples_add(&bench->samples, run_calls(bench) / (double)bench->calls))
            return;
    } while (timing_wall_ns() - start < ns);
    bench->cpu_ns += timing_cpu_ns() - cpu;
    bench->wall_ns += timing_wall_ns() - start;
}
