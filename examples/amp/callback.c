/* SPDX-License-Identifier: MIT
 *
 * A model in an audio callback: blocks of 64 samples, in real time. Reads raw 32-bit floats from
 * stdin as a sound card would hand them over, writes what comes out to stdout, and tells on stderr
 * how long a block took and how often anything was allocated while the sound ran (never).
 *
 *     make && ./callback amp.bin < guitar.f32 > out.f32
 */
#define _POSIX_C_SOURCE 200809L

#include <lstmrun.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { BLOCK = 64, MAX_BLOCKS = 1 << 20 };

/* ---- the proof: every allocation of the whole process comes by here ------- */

#ifdef __GLIBC__
void *__libc_malloc(size_t n_bytes);
static atomic_ulong allocations;

void *malloc(size_t n_bytes)
{
    allocations++;
    return __libc_malloc(n_bytes);
}
#else
static atomic_ulong allocations;
#endif

/* ---- the plugin ---------------------------------------------------------- */

struct plugin {
    lstm_model *model;
    lstm_plan *plan;
    lstm_stream *stream;
    lstm_workspace *workspace;
};

/* When the plugin is loaded: here it may take its time, allocate and fail. */
static lstm_status plugin_open(struct plugin *plugin, const char *path, lstm_error *error)
{
    lstm_plan_options options = LSTM_PLAN_OPTIONS_INIT;
    options.threads = 1;
    options.steps = BLOCK;

    lstm_status status = lstm_model_open(path, &plugin->model, error);
    if (status == LSTM_OK)
        status = lstm_plan_create(plugin->model, &options, &plugin->plan, error);
    if (status == LSTM_OK)
        status = lstm_workspace_create(plugin->plan, 1, BLOCK, &plugin->workspace, error);
    if (status == LSTM_OK) {
        status = lstm_stream_create(plugin->model, &plugin->stream);
        if (status != LSTM_OK)
            snprintf(error->text, sizeof error->text, "%s", lstm_status_text(status));
    }
    return status;
}

static void plugin_close(struct plugin *plugin)
{
    lstm_stream_destroy(plugin->stream);
    lstm_workspace_destroy(plugin->workspace);
    lstm_plan_destroy(plugin->plan);
    lstm_model_close(plugin->model);
}

/* What the sound card's thread calls. It cannot fail, allocates nothing and takes no lock; sample t
 * of the output follows from sample t of the input and those before, so there is no latency. */
static void plugin_process(struct plugin *plugin, const float *input, float *output, size_t n_samples)
{
    lstm_item item = { .stream = plugin->stream, .input = input, .output = output, .steps = n_samples };
    lstm_run(plugin->plan, plugin->workspace, &item, 1);
}

/* ---- a sound card made of files ------------------------------------------- */

static double now_us(void)
{
    struct timespec at;
    clock_gettime(CLOCK_MONOTONIC, &at);
    return 1e6 * (double)at.tv_sec + 1e-3 * (double)at.tv_nsec;
}

static int ascending(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static void report(double *times, size_t n_blocks, double rate, unsigned long allocated)
{
    qsort(times, n_blocks, sizeof *times, ascending);
    fprintf(stderr, "%zu blocks of %d samples, %.0f us of sound each\n", n_blocks, BLOCK, 1e6 * BLOCK / rate);
    fprintf(stderr, "time of a block: median %.1f us, 99 of 100 below %.1f us\n", times[n_blocks / 2],
            times[n_blocks * 99 / 100]);
    fprintf(stderr, "allocations while the sound ran: %lu\n", allocated);
}

static int play(struct plugin *plugin)
{
    static float input[BLOCK], output[BLOCK];
    static double times[MAX_BLOCKS];
    const char *rate = lstm_model_find_metadata(plugin->model, "sample_rate");
    unsigned long allocated = 0;
    size_t n_blocks = 0, n;
    while (n_blocks < MAX_BLOCKS && (n = fread(input, sizeof *input, BLOCK, stdin)) > 0) {
        unsigned long before = allocations;
        double start = now_us();
        plugin_process(plugin, input, output, n);
        times[n_blocks++] = now_us() - start;
        allocated += allocations - before;
        if (fwrite(output, sizeof *output, n, stdout) != n)
            return 1;
    }
    if (n_blocks == 0)
        return fprintf(stderr, "callback: stdin: expected 32-bit floats\n"), 1;
    report(times, n_blocks, rate ? strtod(rate, NULL) : 48000, allocated);
    return allocated != 0;
}

int main(int argc, char **argv)
{
    struct plugin plugin = { 0 };
    lstm_error error = { 0 };
    int result = 1;
    if (argc != 2) {
        fprintf(stderr, "usage: callback MODEL < IN.f32 > OUT.f32\n");
        return 2;
    }
    if (plugin_open(&plugin, argv[1], &error) != LSTM_OK)
        fprintf(stderr, "callback: %s: %s\n", argv[1], error.text);
    else if (lstm_model_get_info(plugin.model)->input.size != 1 ||
             lstm_model_get_info(plugin.model)->output.size != 1)
        fprintf(stderr, "callback: %s: expected one sample in and one out\n", argv[1]);
    else if (!lstm_model_get_info(plugin.model)->streams)
        fprintf(stderr, "callback: %s: needs the whole sequence, cannot run in blocks\n", argv[1]);
    else
        result = play(&plugin);
    plugin_close(&plugin);
    return result;
}
