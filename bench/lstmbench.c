/* SPDX-License-Identifier: MIT
 *
 * lstmbench: time plans, beside what the machine can do at the most. Cases take turns
 * in rounds, so that a machine whose clock drifts treats them alike; each is checked
 * bit for bit against the scalar level before it is timed.
 */
#define _GNU_SOURCE
#include <limits.h>

#include <argp.h>
#include <errno.h>
#include <jansson.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "bench/case.h"
#include "bench/machine_limits.h"
#include "bench/problem.h"

enum { MAX_CASES = 256 };

struct job {
    struct case_options options;
    const char *names[MAX_CASES];
    char is_problem[MAX_CASES];
    size_t n;
    double seconds;
    unsigned rounds;
    const char *json;
    int check, limits_only;
    char *lines; /* text of --shapes */
};

/* ---- command line ----------------------------------------------------------------- */

const char *argp_program_version = "lstmbench " PROJECT_VERSION;

static const struct argp_option option_table[] = {
    {"shape", 's', "WORD", 0, "A problem instead of a model file, as lstm-t100n1c40h64: "
     "TYPE-tSTEPSnITEMScINPUTShUNITS[lLAYERS][b]; may be given again", 1},
    {"shapes", 'S', "FILE", 0, "Problems from a file, one a line; # starts a comment", 1},
    {"items", 'n', "N", 0, "Items of a run, for model files (1)", 2},
    {"steps", 't', "N", 0, "Steps of an item, for model files (100)", 2},
    {"threads", 'j', "N", 0, "Threads at the most (1)", 3},
    {"isa", 'i', "NAME", 0, "Highest instruction set: scalar, avx2, avx512, neon", 3},
    {"pin", 'p', "CPUS", 0, "Run on these processors only, as 0 or 0,1", 3},
    {"seconds", 'd', "S", 0, "Time for each case in all (0.5)", 4},
    {"rounds", 'r', "N", 0, "Rounds in which the cases take turns (5)", 4},
    {"no-check", 'x', NULL, 0, "Do not compare with the scalar level first", 4},
    {"limits", 'l', NULL, 0, "Only measure the machine", 5},
    {"json", 'o', "FILE", 0, "Write the figures as JSON too; - is standard output", 5},
    {0},
};

static unsigned long take_number(struct argp_state *state, const char *text, unsigned long most)
{
    char *end;
    errno = 0;
    const unsigned long n = strtoul(text, &end, 10);
    if (errno || *end || end == text || *text == '-' || !n || n > most)
        argp_error(state, "\"%s\" is not a whole number from 1 to %lu", text, most);
    return n;
}

static void add_name(struct argp_state *state, struct job *job, const char *name, int is_problem)
{
    struct problem problem;
    const char *end;
    if (is_problem && !problem_parse(name, &problem, &end))
        argp_error(state, "\"%s\" is no problem from \"%s\" on; expected TYPE-tSTEPSnITEMScINPUTShUNITS"
                   "[lLAYERS][b], as lstm-t100n1c40h64", name, end);
    if (job->n == MAX_CASES)
        argp_error(state, "more than %d cases", MAX_CASES);
    job->is_problem[job->n] = (char)is_problem;
    job->names[job->n++] = name;
}

static void add_file(struct argp_state *state, struct job *job, const char *path)
{
    enum { MOST = 1 << 16 };
    FILE *file = fopen(path, "r");
    job->lines = calloc(1, MOST + 1);
    if (!file || !job->lines)
        argp_failure(state, 1, errno, "%s", path);
    const size_t n = fread(job->lines, 1, MOST, file);
    fclose(file);
    if (n == MOST)
        argp_failure(state, 1, 0, "%s: longer than %d bytes", path, MOST);
    char *rest = job->lines;
    for (char *line; (line = strsep(&rest, "\n"));) {
        line[strcspn(line, "#")] = 0;
        char *word = strtok(line, " \t\r");
        if (word)
            add_name(state, job, word, 1);
    }
}

static void pin(struct argp_state *state, const char *list)
{
    cpu_set_t set;
    CPU_ZERO(&set);
    for (const char *at = list; *at;) {
        char *end;
        const unsigned long cpu = strtoul(at, &end, 10);
        if (end == at || cpu >= CPU_SETSIZE || (*end && *end != ','))
            argp_error(state, "\"%s\" is not a list of processors as 0,1", list);
        CPU_SET(cpu, &set);
        at = *end ? end + 1 : end;
    }
    if (sched_setaffinity(0, sizeof set, &set) != 0)
        argp_error(state, "--pin %s: %s", list, strerror(errno));
}

static error_t parse(int key, char *argument, struct argp_state *state)
{
    struct job *job = state->input;
    char *end;
    switch (key) {
    case 's': add_name(state, job, argument, 1); break;
    case 'S': add_file(state, job, argument); break;
    case 'n': job->options.items = take_number(state, argument, 1 << 20); break;
    case 't': job->options.steps = take_number(state, argument, 1 << 24); break;
    case 'j': job->options.threads = (uint32_t)take_number(state, argument, 1024); break;
    case 'i': job->options.isa = argument; break;
    case 'p': pin(state, argument); break;
    case 'd':
        job->seconds = strtod(argument, &end);
        if (*end || !(job->seconds > 0 && job->seconds < 3600))
            argp_error(state, "\"%s\" is not a number of seconds", argument);
        break;
    case 'r': job->rounds = (unsigned)take_number(state, argument, 1000); break;
    case 'x': job->check = 0; break;
    case 'l': job->limits_only = 1; break;
    case 'o': job->json = argument; break;
    case ARGP_KEY_ARG: add_name(state, job, argument, 0); break;
    case ARGP_KEY_END:
        if (!job->n && !job->limits_only)
            argp_error(state, "nothing to time: give a model file or --shape");
        break;
    default: return ARGP_ERR_UNKNOWN;
    }
    return 0;
}

/* ---- figures -------------------------------------------------------------------------- */

struct figures {
    struct summary run; /* ns of one run */
    double steps, flops, gflops, weights_gbs, limit_ns, cpu;
    uint32_t threads;
};

/* Bytes of weights that every step has to read again: with more than one step the input
 * part of a recurrent layer can be done for many at once. */
static double bytes_a_step(const struct bench_case *bench)
{
    const lstm_model_info *info = lstm_model_get_info(bench->model);
    double bytes = 0;
    for (uint32_t i = 0; i < info->n_layers; i++) {
        lstm_layer_info layer;
        size_t width;
        lstm_model_get_layer(bench->model, i, &layer);
        if (bench->steps == 1)
            bytes += 4.0 * (double)layer.n_parameters;
        else if (layer.n_states) {
            lstm_stream_get_state(bench->model, bench->streams[0], i, 0, LSTM_STATE_H, &width);
            const double gates = !strcmp(layer.type, "lstm") ? 4 : !strcmp(layer.type, "gru") ? 3 : 1;
            bytes += 4 * gates * layer.n_states * (double)width * (double)width;
        }
    }
    return bytes;
}

/* The least time that arithmetic and reading weights allow on these threads. */
static double limit_of(const struct bench_case *bench, const struct limits *limits,
                       double flops, uint32_t threads)
{
    const double bytes = bytes_a_step(bench);
    const double compute = flops / (limits->fma_gflops * threads);
    const double gbs = limits_read_gbs((size_t)(bytes / threads));
    const double memory = gbs > 0 ? (double)bench->steps * bytes / (gbs * threads) : 0;
    return compute > memory ? compute : memory;
}

static struct figures figures_of(struct bench_case *bench, const struct limits *limits)
{
    struct figures figures;
    const lstm_model_info *info = lstm_model_get_info(bench->model);
    figures.threads = lstm_plan_get_threads(bench->plan, bench->n_items, bench->steps);
    figures.steps = (double)bench->steps;
    figures.flops = (double)info->flops_per_step * figures.steps * (double)bench->n_items;
    figures.run = samples_summary(&bench->samples);
    figures.gflops = figures.flops / figures.run.median;
    figures.weights_gbs = (double)info->weight_bytes * figures.steps / figures.run.median;
    figures.limit_ns = limit_of(bench, limits, figures.flops, figures.threads);
    figures.cpu = bench->cpu_ns / bench->wall_ns;
    return figures;
}

static void print_head(const struct limits *limits, const char *isa)
{
    printf("%s: %.2f GHz, fma peak %.0f GFLOP/s on one core\n", isa, limits->clock_ghz,
           limits->fma_gflops);
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

static int time_all(struct bench_case *cases, const struct job *job)
{
    for (size_t i = 0; i < job->n; i++)
        if (!case_open(&cases[i], job->names[i], job->is_problem[i], &job->options) ||
            (job->check && !case_check(&cases[i])))
            return 0;
    for (unsigned r = 0; r < job->rounds; r++)
        for (size_t i = 0; i < job->n; i++)
            case_time(&cases[i], job->seconds * 1e9 / job->rounds);
    return 1;
}

/* Under another name first, so that a file is there whole or not at all. */
static int write_json(json_t *all, const char *path)
{
    char *beside = NULL;
    int ok;
    if (strcmp(path, "-") == 0)
        return json_dumpf(all, stdout, JSON_INDENT(1)) == 0;
    if (asprintf(&beside, "%s.%ld.tmp", path, (long)getpid()) < 0)
        return 0;
    errno = 0;
    ok = json_dump_file(all, beside, JSON_INDENT(1)) == 0 && rename(beside, path) == 0;
    if (!ok) {
        fprintf(stderr, "lstmbench: %s: cannot be written: %s\n", path, strerror(errno));
        remove(beside);
    }
    free(beside);
    return ok;
}

static int report(struct bench_case *cases, const struct job *job)
{
    const char *isa = lstm_plan_get_isa(cases[0].plan);
    const struct limits limits = limits_measure(isa);
    json_t *rows = json_array();
    print_head(&limits, isa);
    for (size_t i = 0; i < job->n; i++) {
        const struct figures figures = figures_of(&cases[i], &limits);
        print_case(&cases[i], &figures);
        json_array_append_new(rows, case_json(&cases[i], &figures));
    }
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    printf("peak memory %.1f MiB\n", (double)usage.ru_maxrss / 1024);
    json_t *all = json_pack("{s:s,s:s,s:f,s:f,s:o}", "version", lstm_version(), "isa", isa,
                            "clock_ghz", limits.clock_ghz, "fma_gflops", limits.fma_gflops,
                            "cases", rows);
    const int ok = !job->json || write_json(all, job->json);
    json_decref(all);
    return ok;
}

static void print_limits(const char *isa)
{
    const struct limits limits = limits_measure(isa ? isa : "");
    printf("clock       %8.2f GHz\nfma %-7s %8.1f GFLOP/s\n", limits.clock_ghz,
           isa ? isa : "scalar", limits.fma_gflops);
    for (size_t kib = 16; kib <= (size_t)256 << 10; kib *= 2)
        printf("read %6zu KiB %8.1f GB/s\n", kib, limits_read_gbs(kib << 10));
}

int main(int argc, char **argv)
{
    static const struct argp argp = {
        option_table, parse, "[MODEL...]",
        "Time models: median, spread, GFLOP/s, share of what the machine allows, CPU time.\v"
        "GB/s counts all weights once a step. Limit is the time that the measured fma peak "
        "or the reading of recurrent weights leaves, over the median.\n\n"
        "Example: lstmbench --pin 0 --shape lstm-t1n1c40h64 --shape lstm-t100n1c40h64",
        NULL, NULL, NULL};
    struct job job = {.options = {.threads = 1}, .seconds = 0.5, .rounds = 5, .check = 1};
    argp_err_exit_status = 2;
    argp_parse(&argp, argc, argv, 0, NULL, &job);
    struct bench_case *cases = calloc(job.n ? job.n : 1, sizeof *cases);
    int ok = cases != NULL;
    if (job.limits_only)
        print_limits(job.options.isa);
    if (ok && job.n)
        ok = time_all(cases, &job) && report(cases, &job);
    for (size_t i = 0; cases && i < job.n; i++)
        case_close(&cases[i]);
    free(cases);
    free(job.lines);
    return ok ? 0 : 1;
}
