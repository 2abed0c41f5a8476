/* SPDX-License-Identifier: MIT
 *
 * lstmbench: time plans, beside what the machine can do at the most; measure the machine;
 * measure what the planner's choices cost. Only the command line is here.
 */
#define _GNU_SOURCE
#include <argp.h>
#include <errno.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench/job.h"
#include "bench/machine_table.h"
#include "bench/planner.h"
#include "bench/problem.h"
#include "bench/report.h"

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
    {"split", 'k', "HOW", 0, "Force how threads divide the work: none, items or team", 3},
    {"pin", 'p', "CPUS", 0, "Run on these processors only, as 0 or 0,1", 3},
    {"seconds", 'd', "S", 0, "Time for each case, or with --planner for each plan of a case (0.5)", 4},
    {"rounds", 'r', "N", 0, "Rounds in which the cases take turns (5), or with --planner the plans of a "
     "case (20), or with --limits all that is measured (4)", 4},
    {"no-check", 'x', NULL, 0, "Do not compare with the scalar level first", 4},
    {"limits", 'l', NULL, 0, "Measure the machine: clock, fma peaks, read bandwidths", 5},
    {"planner", 'P', NULL, 0, "For each case, time the default plan and every forced split over 1 to "
     "--threads threads, and tell what the default loses", 5},
    {"json", 'o', "FILE", 0, "Write the figures as JSON too, or with - only, to standard output", 5},
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

static const char *const isa_names[] = {"scalar", "avx2", "avx512", "neon", NULL};
static const char *const split_names[] = {"none", "items", "team", NULL};

static const char *take_name(struct argp_state *state, const char *option, const char *text,
                             const char *const *names)
{
    size_t i = 0;
    while (names[i] && strcmp(names[i], text) != 0)
        i++;
    if (!names[i])
        argp_error(state, "%s %s: expected one of %s, %s, %s%s%s", option, text, names[0], names[1],
                   names[2], names[3] ? ", " : "", names[3] ? names[3] : "");
    return names[i];
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
    case 'i': job->options.isa = take_name(state, "--isa", argument, isa_names); break;
    case 'k': job->options.split = take_name(state, "--split", argument, split_names); break;
    case 'p': pin(state, argument); break;
    case 'd':
        job->seconds = strtod(argument, &end);
        if (*end || !(job->seconds > 0 && job->seconds < 3600))
            argp_error(state, "\"%s\" is not a number of seconds", argument);
        break;
    case 'r': job->rounds = (unsigned)take_number(state, argument, 1000); break;
    case 'x': job->check = false; break;
    case 'l': job->limits = true; break;
    case 'P': job->planner = true; break;
    case 'o': job->json = argument; break;
    case ARGP_KEY_ARG: add_name(state, job, argument, 0); break;
    case ARGP_KEY_END:
        if (!job->n && (job->planner || !job->limits))
            argp_error(state, "nothing to time: give a model file or --shape");
        if (job->limits && job->n)
            argp_error(state, "--limits measures the machine only: it goes with no case");
        if (job->planner && job->options.split)
            argp_error(state, "--planner tries every split: it goes with no --split");
        break;
    default: return ARGP_ERR_UNKNOWN;
    }
    return 0;
}

/* ---- what to do --------------------------------------------------------------------- */

static bool show_limits(const struct job *job)
{
    struct machine_table table;
    if (!machine_table_measure(&table, job->options.isa, job->rounds)) {
        fprintf(stderr, "lstmbench: --limits: out of memory for the sets to read\n");
        return false;
    }
    if (job_prints(job))
        machine_table_print(&table);
    return job_write_json(job, machine_table_json(&table));
}

static bool run(const struct job *job)
{
    if (job->limits && !show_limits(job))
        return false;
    if (job->planner)
        return planner_cases(job);
    return !job->n || report_cases(job);
}

int main(int argc, char **argv)
{
    static const struct argp argp = {
        option_table, parse, "[MODEL...]",
        "Time models: median, spread, GFLOP/s, share of what the machine allows, CPU time.\v"
        "GB/s counts all weights once a step. Limit is the time that the measured fma peak "
        "or the reading of weights leaves, over the median.\n\n"
        "Example: lstmbench --pin 0 --shape lstm-t1n1c40h64 --shape lstm-t100n1c40h64",
        NULL, NULL, NULL};
    struct job job = {.options = {.threads = 1}, .seconds = 0.5, .check = true};
    argp_err_exit_status = 2;
    argp_parse(&argp, argc, argv, 0, NULL, &job);
    if (!job.rounds)
        job.rounds = job.planner ? 20 : job.limits ? 4 : 5;
    const bool ok = run(&job);
    free(job.lines);
    return ok && fflush(stdout) == 0 ? 0 : 1;
}
