/* SPDX-License-Identifier: MIT
 *
 * Every plan that can be forced, beside the one that was chosen: they take turns in rounds on
 * random input, so that a machine whose clock drifts treats them alike.
 */
#include "tools/plan_measure.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tools/frames.h"
#include "tools/progress.h"
#include "tools/run.h"
#include "tools/say.h"

enum { MAX_CANDIDATES = 128, MAX_ROUNDS = 1000, MIN_ROUNDS = 5, MAX_CALLS = 100000 };

static const double seconds_in_all = 1.6, seconds_a_sample = 1e-4;
static const double seconds_too_long = 0.1; /* for one run of something much slower than the choice */

struct candidate {
    lstm_plan *plan;           /* NULL: refused, or would take too long to measure */
    lstm_workspace *workspace;
    const char *backend, *isa, *split;
    uint32_t threads;
    double estimate;           /* seconds of a run; 0: refused */
    size_t calls;              /* runs in one sample */
    double samples[MAX_ROUNDS]; /* seconds of a run */
    size_t n_samples;
    char why_not[240];         /* as long as lstm_error's text */
};

/* The shape of the runs, which all candidates share with their input and their streams. */
struct measuring {
    const struct session *session;
    size_t items, steps;
    struct candidate *candidates; /* the first is the plan as it was chosen */
    size_t n;
    lstm_stream **streams; /* [items] */
    lstm_item *runs;       /* [items] */
    float *input, *output;
};

/* ---- candidates ---------------------------------------------------------------------- */

static void read_plan(const struct measuring *all, struct candidate *candidate)
{
    candidate->isa = lstm_plan_get_isa(candidate->plan);
    candidate->split = lstm_plan_get_split(candidate->plan, all->items, all->steps);
    candidate->threads = lstm_plan_get_threads(candidate->plan, all->items, all->steps);
    candidate->estimate = 1e-9 * lstm_plan_get_estimate_ns(candidate->plan, all->items, all->steps);
}

static void explain(const struct measuring *all, struct candidate *candidate)
{
    const struct candidate *chosen = &all->candidates[0];
    const char *why = candidate->estimate < chosen->estimate ? "too small a gain to be sure of"
                                                             : "estimated slower";
    if (strcmp(candidate->backend, chosen->backend) != 0)
        why = "another backend was asked for";
    else if (strcmp(candidate->isa, chosen->isa) != 0)
        why = "narrower registers";
    else if (all->session->args->split)
        why = "another split was forced";
    snprintf(candidate->why_not, sizeof candidate->why_not, "%s", why);
}

static bool is_chosen(const struct measuring *all, const struct candidate *candidate)
{
    const struct candidate *chosen = &all->candidates[0];
    return strcmp(candidate->backend, chosen->backend) == 0 && strcmp(candidate->isa, chosen->isa) == 0 &&
           strcmp(candidate->split, chosen->split) == 0 && candidate->threads == chosen->threads;
}

/* Not measured: what the plan is already, and what would take the time of all others. */
static bool is_wanted(const struct measuring *all, struct candidate *candidate)
{
    char time[32];
    if (is_chosen(all, candidate))
        return false;
    explain(all, candidate);
    if (candidate->estimate < seconds_too_long || candidate->estimate < 4 * all->candidates[0].estimate)
        return true;
    snprintf(candidate->why_not + strlen(candidate->why_not),
             sizeof candidate->why_not - strlen(candidate->why_not), "; not measured, a run may take %s",
             run_time_text(candidate->estimate, time));
    lstm_plan_destroy(candidate->plan);
    candidate->plan = NULL;
    return true;
}

/* False: this CPU or this build lacks it. */
static bool add(struct measuring *all, const char *backend, const char *isa, const char *split,
                uint32_t threads)
{
    lstm_error error;
    lstm_plan_options options = all->session->options;
    if (all->n == MAX_CANDIDATES)
        return true;
    struct candidate *candidate = &all->candidates[all->n];
    *candidate = (struct candidate){.backend = backend, .isa = isa, .split = split, .threads = threads};
    options.backend = backend;
    options.isa = isa;
    options.split = split;
    options.threads = threads;
    const lstm_status status = lstm_plan_create(all->session->model, &options, &candidate->plan, &error);
    if (status == LSTM_E_UNSUPPORTED || status == LSTM_E_ARG)
        return false;
    if (status == LSTM_OK)
        read_plan(all, candidate);
    else
        snprintf(candidate->why_not, sizeof candidate->why_not, "%s", error.text);
    if (status != LSTM_OK || is_wanted(all, candidate))
        all->n++;
    else
        lstm_plan_destroy(candidate->plan);
    return true;
}

/* 2 to 8, then doubled, and `most` at the end. */
static uint32_t more_threads(uint32_t threads, uint32_t most)
{
    const uint32_t next = threads < 8 ? threads + 1 : 2 * threads;
    return threads < most && next > most ? most : next;
}

static bool add_splits(struct measuring *all, const char *backend, const char *isa, uint32_t most)
{
    if (!add(all, backend, isa, "none", 1))
        return false;
    for (uint32_t threads = 2; threads <= most; threads = more_threads(threads, most)) {
        if (threads <= all->items)
            add(all, backend, isa, "items", threads);
        add(all, backend, isa, "team", threads);
    }
    return true;
}

/* Threads that the chosen plan was allowed. */
static uint32_t most_threads(const struct session *session)
{
    lstm_plan_options options = session->options;
    lstm_plan *plan;
    uint32_t most = 1;
    options.split = "team";
    if (lstm_plan_create(session->model, &options, &plan, NULL) == LSTM_OK)
        most = lstm_plan_get_threads(plan, 1, 1);
    lstm_plan_destroy(plan);
    return most;
}

static void list_candidates(struct measuring *all)
{
    static const char *const isas[] = {"avx512", "avx2", "neon", "scalar", NULL};
    static const char *const backends[] = {"native", "onednn", NULL};
    struct candidate *chosen = &all->candidates[all->n++];
    const uint32_t most = most_threads(all->session);
    const char *backend = all->session->options.backend;
    size_t first = 0;
    *chosen = (struct candidate){.plan = all->session->plan, .backend = backend ? backend : "native"};
    read_plan(all, chosen);
    while (isas[first] && strcmp(isas[first], chosen->isa) != 0)
        first++;
    for (size_t b = 0; backends[b]; b++) {
        const bool asked = strcmp(backends[b], chosen->backend) == 0;
        for (size_t i = first; isas[i] && (asked || i == first); i++)
            add_splits(all, backends[b], isas[i], most);
    }
}

/* ---- runs ---------------------------------------------------------------------------- */

/* What a run of the plan's own length would take too long for is measured with fewer steps. */
static size_t choose_steps(const struct session *session, size_t items, size_t steps)
{
    const double seconds_a_run = 0.02;
    while (steps > 64 && 1e-9 * lstm_plan_get_estimate_ns(session->plan, items, steps) > seconds_a_run)
        steps /= 2;
    return steps < session->info->least_steps ? session->info->least_steps : steps;
}

/* Numbers in [-1, 1); zeros for a model that takes whole numbers only. */
static void fill_input(struct measuring *all)
{
    const size_t frames = all->items * all->steps, n = frames * all->session->info->input.size;
    uint64_t state = 1;
    for (size_t i = 0; i < n; i++) {
        state = state * UINT64_C(6364136223846793005) + 1442695040888963407;
        all->input[i] = (float)(state >> 40) * 0x1p-23f - 1;
    }
    if (lstm_model_check_input(all->session->model, all->input, frames, NULL) != LSTM_OK)
        memset(all->input, 0, n * sizeof *all->input);
}

static bool make_runs(struct measuring *all)
{
    const lstm_model_info *info = all->session->info;
    const size_t frames_out = lstm_model_get_output_steps(all->session->model, all->steps);
    all->input = frames_allocate("the input", all->items, all->steps, info->input.size);
    if (all->input)
        all->output = frames_allocate("the output", all->items, frames_out, info->output.size);
    if (!all->output)
        return false;
    all->streams = calloc(all->items, sizeof *all->streams);
    all->runs = calloc(all->items, sizeof *all->runs);
    bool ok = all->streams && all->runs;
    for (size_t i = 0; ok && i < all->items; i++) {
        ok = lstm_stream_create(all->session->model, &all->streams[i]) == LSTM_OK;
        all->runs[i] = (lstm_item){.stream = all->streams[i],
                                   .input = all->input + i * all->steps * info->input.size,
                                   .output = all->output + i * frames_out * info->output.size,
                                   .steps = all->steps};
    }
    if (!ok)
        return complain("out of memory for the states of %zu sequences", all->items);
    fill_input(all);
    return true;
}

static bool make_workspaces(struct measuring *all)
{
    lstm_error error;
    for (size_t i = 0; i < all->n; i++) {
        struct candidate *candidate = &all->candidates[i];
        if (candidate->plan && lstm_workspace_create(candidate->plan, all->items, all->steps,
                                                     &candidate->workspace, &error) != LSTM_OK)
            return complain("%s", error.text);
    }
    return true;
}

static void release(struct measuring *all)
{
    for (size_t i = 0; all->candidates && i < all->n; i++) {
        lstm_workspace_destroy(all->candidates[i].workspace);
        if (i > 0) /* the first is the session's */
            lstm_plan_destroy(all->candidates[i].plan);
    }
    for (size_t i = 0; all->streams && i < all->items; i++)
        lstm_stream_destroy(all->streams[i]);
    free(all->candidates);
    free(all->streams);
    free(all->runs);
    free(all->input);
    free(all->output);
}

/* ---- measuring ------------------------------------------------------------------------- */

/* Seconds of a run. Only another backend than ours can fail. */
static bool sample(const struct measuring *all, const struct candidate *candidate, double *out)
{
    const double start = clock_wall();
    for (size_t i = 0; i < candidate->calls; i++) {
        const lstm_status status =
            lstm_run(candidate->plan, candidate->workspace, all->runs, all->items);
        if (status != LSTM_OK)
            return complain("backend \"%s\": a run failed: %s", candidate->backend,
                            lstm_status_text(status));
    }
    *out = (clock_wall() - start) / (double)candidate->calls;
    return true;
}

/* As many runs in a sample as make it long enough for the clock. */
static bool calibrate(const struct measuring *all, struct candidate *candidate)
{
    for (candidate->calls = 1;; candidate->calls *= 2) {
        double seconds = 0;
        if (!sample(all, candidate, &seconds))
            return false;
        if (seconds * (double)candidate->calls >= seconds_a_sample || candidate->calls >= MAX_CALLS)
            return true;
    }
}

static bool measure(struct measuring *all)
{
    const double start = clock_wall();
    for (size_t i = 0; i < all->n; i++)
        if (all->candidates[i].plan && !calibrate(all, &all->candidates[i]))
            return false;
    for (size_t round = 0; round < MAX_ROUNDS; round++) {
        if (round >= MIN_ROUNDS && clock_wall() - start > seconds_in_all)
            break;
        for (size_t i = 0; i < all->n; i++) {
            struct candidate *candidate = &all->candidates[i];
            if (candidate->plan &&
                !sample(all, candidate, &candidate->samples[candidate->n_samples++]))
                return false;
        }
    }
    return true;
}

static int ascending(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double median(struct candidate *candidate)
{
    qsort(candidate->samples, candidate->n_samples, sizeof(double), ascending);
    return candidate->samples[candidate->n_samples / 2];
}

/* ---- the table ------------------------------------------------------------------------- */

static const char *name_of(const struct candidate *candidate, char *text, size_t n_bytes)
{
    const bool native = strcmp(candidate->backend, "native") == 0;
    char threads[32] = "one thread";
    if (candidate->threads > 1)
        snprintf(threads, sizeof threads, "%u threads, %s", (unsigned)candidate->threads, candidate->split);
    snprintf(text, n_bytes, "%s%s%s, %s", native ? "" : candidate->backend, native ? "" : " ",
             candidate->isa, threads);
    return text;
}

static void print_candidate(const struct measuring *all, struct candidate *candidate, double chosen)
{
    char name[64], estimate[32] = "-", measured[32] = "-", ratio[32] = "-";
    const char *verdict = candidate == all->candidates ? "chosen" : candidate->why_not;
    const char *but = "";
    const double steps = (double)all->steps;
    if (candidate->estimate > 0)
        run_time_text(candidate->estimate / steps, estimate);
    if (candidate->n_samples) {
        const double time = median(candidate);
        run_time_text(time / steps, measured);
        snprintf(ratio, sizeof ratio, "%.2f", time / chosen);
        but = time < 0.95 * chosen ? "; but it was faster" : "";
    }
    printf("%-32s %8s %9s %7s  %s%s\n", name_of(candidate, name, sizeof name), estimate,
           measured, ratio, verdict, but);
}

static void print_table(const struct measuring *all)
{
    const double chosen = median(&all->candidates[0]);
    printf("\nmeasured %zu item%s of %zu step%s on random input, median of %zu rounds; "
           "times of a step\n",
           all->items, all->items == 1 ? "" : "s", all->steps, all->steps == 1 ? "" : "s",
           all->candidates[0].n_samples);
    printf("%-32s %8s %9s %7s\n", "candidate", "estimate", "measured", "ratio");
    for (size_t i = 0; i < all->n; i++)
        print_candidate(all, &all->candidates[i], chosen);
}

bool plan_measure(const struct session *session)
{
    struct measuring all = {.session = session, .items = session->options.items};
    all.items = all.items ? all.items : 1;
    all.steps = session->options.steps ? session->options.steps : 100;
    all.steps = choose_steps(session, all.items, all.steps);
    all.candidates = calloc(MAX_CANDIDATES, sizeof *all.candidates);
    bool ok = all.candidates || complain("out of memory for the plans to measure");
    if (ok) {
        list_candidates(&all);
        ok = make_runs(&all) && make_workspaces(&all);
    }
    ok = ok && measure(&all);
    if (ok)
        print_table(&all);
    release(&all);
    return ok;
}
