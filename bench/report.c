/* SPDX-License-Identifier: MIT
 *
 * Figures of cases: medians, and the share of them that the machine's limits explain. Cases
 * take turns in rounds, so that a machine whose clock drifts treats them alike.
 */
#include "bench/report.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "bench/machine_limits.h"
#include "bench/machine_read.h"

/* ---- figures -------------------------------------------------------------------------- */

struct figures {
    struct summary run; /* ns of one run */
    double steps, flops, gflops, weights_gbs, limit_ns, cpu;
    uint32_t threads;
};

/* Time to read sets of weights again and again, one after the other. */
static double sweep_ns(const struct bench_case *bench, double bytes, uint32_t threads)
{
    const double gbs = read_once_gbs(lstm_plan_get_isa(bench->plan), threads, (size_t)(bytes / threads));
    return gbs > 0 ? bytes / gbs : 0;
}

/* Recurrent weights of one direction. */
static double recurrent_bytes(const struct bench_case *bench, uint32_t index, const lstm_layer_info *layer)
{
    const double gates = !strcmp(layer->type, "lstm") ? 4 : !strcmp(layer->type, "gru") ? 3 : 1;
    size_t width, hidden;
    lstm_stream_get_state(bench->model, bench->streams[0], index, 0, LSTM_STATE_H, &width);
    lstm_stream_get_state(bench->model, bench->streams[0], index, 0, LSTM_STATE_C, &hidden);
    hidden = hidden ? hidden : width;
    const double projection = hidden == width ? 0 : (double)hidden * (double)width;
    return 4 * (gates * (double)hidden * (double)width + projection);
}

static double layer_ns(const struct bench_case *bench, uint32_t index, const lstm_layer_info *layer,
                       uint32_t threads)
{
    return layer->n_states
               ? layer->n_states * sweep_ns(bench, recurrent_bytes(bench, index, layer), threads)
               : 0;
}

/* The least time of reading weights. A run of one step reads all of them (but of tables only rows), so
 * they are one set. With more steps the input part of a recurrent layer can be done for many at once, and
 * each direction's recurrent weights are a set of their own, read for all steps before the next one's
 * turn. */
static double reading_ns(const struct bench_case *bench, uint32_t threads)
{
    const lstm_model_info *info = lstm_model_get_info(bench->model);
    double ns = 0, parameters = 0;
    for (uint32_t i = 0; i < info->n_layers; i++) {
        lstm_layer_info layer;
        lstm_model_get_layer(bench->model, i, &layer);
        parameters += strcmp(layer.type, "embedding") ? (double)layer.n_parameters : 0;
        ns += bench->steps > 1 ? layer_ns(bench, i, &layer, threads) : 0;
    }
    return bench->steps > 1 ? (double)bench->steps * ns : sweep_ns(bench, 4 * parameters, threads);
}

/* The least time that arithmetic and reading weights allow on these threads. */
static double limit_ns(const struct bench_case *bench, double flops, uint32_t threads)
{
    const double gflops = limits_fma_gflops(lstm_plan_get_isa(bench->plan), threads, FMA_REGISTERS);
    const double compute = gflops > 0 ? flops / gflops : 0;
    const double reading = reading_ns(bench, threads);
    return compute > reading ? compute : reading;
}

static struct figures figures_of(struct bench_case *bench)
{
    struct figures figures;
    const lstm_model_info *info = lstm_model_get_info(bench->model);
    figures.threads = lstm_plan_get_threads(bench->plan, bench->n_items, bench->steps);
    figures.steps = (double)bench->steps;
    figures.flops = (double)info->flops_per_step * figures.steps * (double)bench->n_items;
    figures.run = samples_summary(&bench->samples);
    figures.gflops = figures.flops / figures.run.median;
    figures.weights_gbs = (double)info->weight_bytes * figures.steps / figures.run.median;
    figures.limit_ns = limit_ns(bench, figures.flops, figures.threads);
    figures.cpu = bench->cpu_ns / bench->wall_ns;
    return figures;
}

struct machine {
    const char *isa;
    double clock_ghz, fma_gflops; /* of one core */
};

static void print_head(const struct machine *machine)
{
    printf("%s: %.2f GHz, fma peak %.0f GFLOP/s on one core\n", machine->isa, machine->clock_ghz,
           machine->fma_gflops);
    printf("%-28s %4s %12s %12s %12s %9s %7s %6s %5s %6s %9s %9s\n", "case", "thr", "ns/step", "min",
           "p99", "GFLOP/s", "GB/s", "limit", "CPU", "bits", "open us", "plan us");
}

static void print_case(const struct bench_case *bench, const struct figures *figures)
{
    const char *bits = bench->bits < 0 ? "-" : bench->bits ? "same" : "DIFFER";
    printf("%-28s %4u %12.1f %12.1f %12.1f %9.1f %7.1f %5.0f%% %5.2f %6s %9.1f %9.1f\n", bench->name,
           (unsigned)figures->threads, figures->run.median / figures->steps,
           figures->run.min / figures->steps, figures->run.p99 / figures->steps, figures->gflops,
           figures->weights_gbs, 100 * figures->limit_ns / figures->run.median, figures->cpu,
           bits, bench->open_ns / 1e3, bench->plan_ns / 1e3);
}

static json_t *case_json(const struct bench_case *bench, const struct figures *figures)
{
    return json_pack("{s:s,s:i,s:I,s:I,s:f,s:f,s:f,s:f,s:f,s:f,s:f,s:f,s:f,s:b}", "case",
                     bench->name, "threads", (int)figures->threads, "items",
                     (json_int_t)bench->n_items, "steps", (json_int_t)bench->steps, "median_ns",
                     figures->run.median, "min_ns", figures->run.min, "p99_ns", figures->run.p99,
                     "gflops", figures->gflops, "weights_gbs", figures->weights_gbs, "limit_ns",
                     figures->limit_ns, "cpu_per_wall", figures->cpu, "open_ns", bench->open_ns,
                     "plan_ns", bench->plan_ns, "bits_checked", bench->bits == 1);
}

/* ---- runs --------------------------------------------------------------------------------- */

static bool time_all(struct bench_case *cases, const struct job *job)
{
    for (size_t i = 0; i < job->n; i++)
        if (!case_open(&cases[i], job->names[i], job->is_problem[i], &job->options) ||
            (job->check && !case_check(&cases[i])))
            return false;
    for (unsigned r = 0; r < job->rounds; r++)
        for (size_t i = 0; i < job->n; i++)
            case_time(&cases[i], job->seconds * 1e9 / job->rounds);
    return true;
}

static bool report(struct bench_case *cases, const struct job *job)
{
    const char *isa = lstm_plan_get_isa(cases[0].plan);
    const struct machine machine = {isa, limits_clock_ghz(), limits_fma_gflops(isa, 1, FMA_REGISTERS)};
    const bool prints = job_prints(job);
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage); /* before memory is swept */
    json_t *rows = json_array();
    if (prints)
        print_head(&machine);
    for (size_t i = 0; i < job->n; i++) {
        const struct figures figures = figures_of(&cases[i]);
        if (prints)
            print_case(&cases[i], &figures);
        json_array_append_new(rows, case_json(&cases[i], &figures));
    }
    if (prints)
        printf("peak memory %.1f MiB\n", (double)usage.ru_maxrss / 1024);
    return job_write_json(job, json_pack("{s:s,s:s,s:f,s:f,s:o}", "version", lstm_version(), "isa", isa,
                                         "clock_ghz", machine.clock_ghz, "fma_gflops",
                                         machine.fma_gflops, "cases", rows));
}

bool report_cases(const struct job *job)
{
    struct bench_case *cases = calloc(job->n, sizeof *cases);
    if (!cases) {
        fprintf(stderr, "lstmbench: out of memory\n");
        return false;
    }
    const bool ok = time_all(cases, job) && report(cases, job);
    for (size_t i = 0; i < job->n; i++)
        case_close(&cases[i]);
    free(cases);
    return ok;
}
