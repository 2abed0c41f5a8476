/* SPDX-License-Identifier: MIT
 *
 * The default plan of a case beside every forced one, in turns of one run: the regret is how
 * much longer the default takes than the best of all.
 */
#include "bench/planner.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The first one is the default: no split is forced. */
struct choice {
    struct bench_case bench;
    bool planned;       /* by the cost model, not forced */
    const char *split;  /* how runs are split, */
    uint32_t threads;   /* over how many threads */
    double estimate_ns;
    struct summary run; /* ns of one run */
};

struct choices {
    struct choice *all;
    size_t n, best;
};

/* ---- measuring ---------------------------------------------------------------------- */

static bool add(struct choices *choices, const struct job *job, size_t index, const char *split,
                uint32_t threads)
{
    struct choice *choice = &choices->all[choices->n];
    struct case_options options = job->options;
    options.split = split;
    options.threads = threads;
    *choice = (struct choice){.planned = !split};
    choices->n++; /* to be closed, however far it came */
    if (!case_open(&choice->bench, job->names[index], job->is_problem[index], &options))
        return false;
    const struct bench_case *bench = &choice->bench;
    choice->split = lstm_plan_get_split(bench->plan, bench->n_items, bench->steps);
    choice->threads = lstm_plan_get_threads(bench->plan, bench->n_items, bench->steps);
    choice->estimate_ns = lstm_plan_get_estimate_ns(bench->plan, bench->n_items, bench->steps);
    return true;
}

/* The default, one thread, and both splits over each number of threads; a share needs an item. */
static bool add_all(struct choices *choices, const struct job *job, size_t index)
{
    const uint32_t most = job->options.threads;
    bool ok = add(choices, job, index, NULL, most) && add(choices, job, index, "none", 1);
    for (uint32_t threads = 2; ok && threads <= most; threads++) {
        if (threads <= choices->all[0].bench.n_items)
            ok = add(choices, job, index, "items", threads);
        ok = ok && add(choices, job, index, "team", threads);
    }
    return ok;
}

static void time_choices(struct choices *choices, const struct job *job)
{
    for (unsigned r = 0; r < job->rounds; r++)
        for (size_t i = 0; i < choices->n; i++)
            case_time(&choices->all[i].bench, job->seconds * 1e9 / job->rounds);
    for (size_t i = 0; i < choices->n; i++) {
        choices->all[i].run = samples_summary(&choices->all[i].bench.samples);
        if (choices->all[i].run.median < choices->all[choices->best].run.median)
            choices->best = i;
    }
}

static double regret_percent(const struct choices *choices)
{
    return 100 * (choices->all[0].run.median / choices->all[choices->best].run.median - 1);
}

/* ---- telling ------------------------------------------------------------------------ */

/* "team 2" */
static const char *split_text(const struct choice *choice, char text[16])
{
    snprintf(text, 16, "%s %u", choice->split, (unsigned)choice->threads);
    return text;
}

static void print_head(void)
{
    printf("%-28s %12s %-8s %12s %-8s %7s   %s\n", "case", "default ns", "split", "best ns", "split",
           "regret", "ns a step of each choice");
}

static void print_case(const struct choices *choices)
{
    const struct choice *chosen = &choices->all[0], *best = &choices->all[choices->best];
    const double steps = (double)chosen->bench.steps;
    char chosen_text[16], best_text[16];
    printf("%-28s %12.1f %-8s %12.1f %-8s %6.1f%%  ", chosen->bench.name, chosen->run.median / steps,
           split_text(chosen, chosen_text), best->run.median / steps, split_text(best, best_text),
           regret_percent(choices));
    for (size_t i = 1; i < choices->n; i++)
        printf(" %s: %.1f", split_text(&choices->all[i], best_text), choices->all[i].run.median / steps);
    putchar('\n');
}

static json_t *choice_json(const struct choice *choice)
{
    return json_pack("{s:b,s:s,s:i,s:f,s:f,s:f}", "planned", (int)choice->planned, "split", choice->split,
                     "threads", (int)choice->threads, "median_ns", choice->run.median, "min_ns",
                     choice->run.min, "estimate_ns", choice->estimate_ns);
}

static json_t *case_json(const struct choices *choices)
{
    const struct bench_case *bench = &choices->all[0].bench;
    json_t *rows = json_array();
    for (size_t i = 1; i < choices->n; i++)
        json_array_append_new(rows, choice_json(&choices->all[i]));
    return json_pack("{s:s,s:I,s:I,s:o,s:o,s:f,s:o}", "case", bench->name, "items",
                     (json_int_t)bench->n_items, "steps", (json_int_t)bench->steps, "default",
                     choice_json(&choices->all[0]), "best", choice_json(&choices->all[choices->best]),
                     "regret_percent", regret_percent(choices), "choices", rows);
}

/* ---- all cases ---------------------------------------------------------------------- */

static json_t *planner_case(const struct job *job, size_t index)
{
    struct choices choices = {calloc(2 * (size_t)job->options.threads + 1, sizeof *choices.all), 0, 0};
    json_t *row = NULL;
    if (!choices.all) {
        fprintf(stderr, "lstmbench: out of memory\n");
        return NULL;
    }
    if (add_all(&choices, job, index) && (!job->check || case_check(&choices.all[0].bench))) {
        time_choices(&choices, job);
        if (job_prints(job))
            print_case(&choices);
        row = case_json(&choices);
    }
    for (size_t i = 0; i < choices.n; i++)
        case_close(&choices.all[i].bench);
    free(choices.all);
    return row;
}

bool planner_cases(const struct job *job)
{
    json_t *rows = json_array();
    double worst = 0;
    if (job_prints(job))
        print_head();
    for (size_t i = 0; i < job->n; i++) {
        json_t *row = planner_case(job, i);
        if (!row) {
            json_decref(rows);
            return false;
        }
        const double regret = json_number_value(json_object_get(row, "regret_percent"));
        worst = regret > worst ? regret : worst;
        json_array_append_new(rows, row);
    }
    if (job_prints(job))
        printf("worst regret %.1f%%\n", worst);
    return job_write_json(job, json_pack("{s:s,s:i,s:f,s:o}", "version", lstm_version(), "threads",
                                         (int)job->options.threads, "worst_regret_percent", worst,
                                         "cases", rows));
}
