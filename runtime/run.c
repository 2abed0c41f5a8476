/* SPDX-License-Identifier: MIT
 *
 * Workspaces and lstm_run: items are sorted, dealt to sections, and run.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/error.h"
#include "runtime/exec.h"
#include "runtime/memory.h"
#include "runtime/parallel.h"
#include "runtime/run.h"
#include "runtime/stream.h"
#include "runtime/team.h"
#include "simd/fpenv.h"

struct lstm_workspace {
    const struct lstm_plan *plan;
    size_t max_items, max_steps;
    uint32_t n_shares;
    struct section *sections; /* [threads of a team]: those of a team, its first alone too */
    struct section *shares;   /* [n_shares - 1]: for further shares of the items */
    const size_t *order;      /* the first section's; here, as other threads read it while that is busy */
    struct team *team;        /* NULL if no run may use one */
    void *memory;
};

/* Enough rows to keep the kernels' tiles full, few enough to stay in a core's cache. */
static size_t block_rows(const struct lstm_plan *plan, size_t items, size_t steps)
{
    enum { FLOATS = 1 << 19 };
    size_t rows, widest = 1;
    if (plan->whole)
        return memory_mul(items, steps, &rows) ? rows : SIZE_MAX;
    for (uint32_t v = 0; v < plan->n_values; v++)
        if (plan->values[v].size > widest)
            widest = plan->values[v].size;
    rows = FLOATS / widest < BLOCK_ROWS ? FLOATS / widest : BLOCK_ROWS;
    return rows > items ? rows : items;
}

static struct section_size size_of(const struct lstm_plan *plan, uint32_t share, size_t items,
                                   size_t steps)
{
    struct section_size size;
    size.items = (items + share) / (share + 1); /* used with `share` others beside it */
    size.steps = steps;
    size.rows = block_rows(plan, size.items, steps);
    size.threads = share ? 1 : split_team(&plan->splits);
    return size;
}

/* Items on threads of their own need a section each; a single item never does. */
static uint32_t shares_of(const struct lstm_plan *plan, size_t items)
{
    return items < plan->threads ? (uint32_t)items : plan->threads;
}

struct places {
    size_t sections, first;
    size_t n_bytes;
};

static struct places places_of(const struct lstm_plan *plan, size_t items, size_t steps)
{
    struct ledger ledger = {0};
    struct places at;
    const uint32_t n = shares_of(plan, items);
    at.sections = ledger_book(&ledger, split_team(&plan->splits) + n - 1, sizeof(struct section));
    at.first = ledger.n_bytes;
    for (uint32_t i = 0; i < n; i++)
        ledger_book(&ledger, section_bytes(plan, size_of(plan, i, items, steps)), 1);
    at.n_bytes = ledger.n_bytes;
    return at;
}

size_t lstm_workspace_bytes(const lstm_plan *plan, size_t items, size_t steps)
{
    const size_t n = places_of(plan, items ? items : 1, steps).n_bytes;
    size_t all;
    return n == SIZE_MAX || !memory_add(n, sizeof(struct lstm_workspace), &all) ? SIZE_MAX : all;
}

static void place_sections(struct lstm_workspace *workspace, const struct places *at)
{
    const struct lstm_plan *plan = workspace->plan;
    const size_t items = workspace->max_items, steps = workspace->max_steps;
    char *memory = workspace->memory;
    struct ledger ledger = {at->first};
    workspace->n_shares = shares_of(plan, items);
    workspace->sections = (struct section *)(void *)(memory + at->sections);
    workspace->shares = workspace->sections + split_team(&plan->splits);
    for (uint32_t i = 0; i < workspace->n_shares; i++) {
        const struct section_size size = size_of(plan, i, items, steps);
        char *place = memory + ledger_book(&ledger, section_bytes(plan, size), 1);
        section_init(i ? &workspace->shares[i - 1] : workspace->sections, plan, size, place);
    }
    workspace->order = workspace->sections->order;
}

static lstm_status start_team(struct lstm_workspace *workspace, lstm_error *error)
{
    const struct lstm_plan *plan = workspace->plan;
    const uint32_t workers = split_own(&plan->splits) - 1;
    const struct team_patience patience = {.look_out_ns = 30000, .claim_ns = 1500,
                                           .wake_ns = plan->machine.wake_ns};
    const int failure = workers ? team_create(workers, patience, &workspace->team) : 0;
    return !failure ? LSTM_OK
                    : error_set(error, LSTM_E_NOMEM, "cannot start %u thread%s for a workspace: %s",
                                (unsigned)workers, workers == 1 ? "" : "s", strerror(failure));
}

lstm_status lstm_workspace_create(const lstm_plan *plan, size_t items, size_t steps,
                                  lstm_workspace **workspace_out, lstm_error *error)
{
    if (!workspace_out)
        return error_set(error, LSTM_E_ARG, "workspace_out is NULL");
    *workspace_out = NULL;
    if (!plan)
        return error_set(error, LSTM_E_ARG, "plan is NULL");
    items = items ? items : 1;
    const struct places at = places_of(plan, items, steps);
    struct lstm_workspace *workspace = calloc(1, sizeof *workspace);
    char *memory = at.n_bytes == SIZE_MAX ? NULL : memory_alloc(at.n_bytes);
    if (!workspace || !memory) {
        free(workspace);
        memory_free(memory);
        return error_set(error, LSTM_E_NOMEM,
                         "out of memory for a workspace of %zu items of %zu steps", items, steps);
    }
    workspace->plan = plan;
    workspace->max_items = items;
    workspace->max_steps = steps;
    workspace->memory = memory;
    place_sections(workspace, &at);
    const lstm_status status = start_team(workspace, error);
    if (status != LSTM_OK) {
        lstm_workspace_destroy(workspace);
        return status;
    }
    *workspace_out = workspace;
    return LSTM_OK;
}

void lstm_workspace_destroy(lstm_workspace *workspace)
{
    if (!workspace)
        return;
    team_destroy(workspace->team);
    memory_free(workspace->memory);
    free(workspace);
}

struct team *workspace_team(lstm_workspace *workspace)
{
    return workspace->team;
}

/* ---- run ---------------------------------------------------------------------- */

struct share_job {
    const lstm_workspace *workspace;
    const lstm_item *items;
    size_t n; /* items with steps, in the first section's order */
    uint32_t shares;
};

/* Each share has its own section: nobody waits for another. */
static void run_share(const struct share_job *job, uint32_t share)
{
    const lstm_workspace *workspace = job->workspace;
    struct section *section = share ? &workspace->shares[share - 1] : workspace->sections;
    section_share(section, job->items, workspace->order, share, job->shares, job->n);
    section_run(section, 0, 1, 0);
}

static void run_shares(void *argument, uint32_t rank, uint32_t size)
{
    const struct share_job *job = argument;
    struct simd_fpenv saved;
    simd_fpenv_enter(&saved);
    for (uint32_t i = rank; i < job->shares; i += size)
        run_share(job, i);
    simd_fpenv_leave(&saved);
}

static void run_apart(const lstm_workspace *workspace, const lstm_item *items, uint32_t threads)
{
    const size_t n = workspace->sections->n_items;
    struct share_job job = {workspace, items, n, threads < n ? threads : (uint32_t)n};
    parallel_run(job.shares, run_shares, &job);
}

/* The caller, alone or as the first of a team. */
static void run_first(const lstm_workspace *workspace, uint32_t size, uint64_t number)
{
    struct simd_fpenv saved;
    simd_fpenv_enter(&saved);
    section_run(workspace->sections, 0, size, number);
    simd_fpenv_leave(&saved);
}

static void run_member(const struct team_job *job, uint32_t rank, uint32_t size)
{
    const lstm_workspace *workspace = job->object;
    struct section *section = &workspace->sections[rank];
    (void)section_take(section, job->items, job->n_items);
    section_run(section, rank, size, job->number);
}

/* What a team is worth to this run. A split that the caller forced is worth any wait. */
static struct team_gain gain_of(const struct lstm_plan *plan, size_t n, size_t steps)
{
    const struct split_gain gain = split_gain_lookup(&plan->splits, n, steps);
    return (struct team_gain){gain.alone_ns * (double)steps,
                              plan->split_forced ? INFINITY : gain.gain_ns * (double)steps};
}

static void run_together(const lstm_workspace *workspace, const lstm_item *items, size_t n_items,
                         uint32_t threads, struct team_gain gain)
{
    const struct section *first = workspace->sections;
    struct team_job job = {run_member, workspace, items, n_items, 0};
    const uint32_t size = parallel_nested() ? 1 : team_start(workspace->team, threads, gain, &job);
    run_first(workspace, size, job.number);
    if (size > 1 && (first->all.waited_ns || first->group[0].waited_ns))
        team_waited(workspace->team, gain, first->all.waited_ns + first->group[0].waited_ns);
}

static void run_own_share(const struct team_job *job, uint32_t rank, uint32_t size)
{
    const struct share_job shares = {job->object, job->items, job->n_items, size};
    run_share(&shares, rank);
}

/* As many shares as threads have come. */
static void run_own_shares(const lstm_workspace *workspace, const lstm_item *items,
                           uint32_t threads, struct team_gain gain)
{
    struct team_job job = {run_own_share, workspace, items, workspace->sections->n_items, 0};
    const uint32_t size = parallel_nested() ? 1 : team_start(workspace->team, threads, gain, &job);
    if (size == 1) {
        run_first(workspace, 1, 0);
        return;
    }
    struct simd_fpenv saved;
    simd_fpenv_enter(&saved);
    run_own_share(&job, 0, size);
    simd_fpenv_leave(&saved);
    team_finish(workspace->team, gain);
}

static void run_split(const lstm_workspace *workspace, const lstm_item *items, size_t n_items)
{
    const struct lstm_plan *plan = workspace->plan;
    const size_t n = workspace->sections->n_items, steps = workspace->sections->items->item->steps;
    const struct split split = plan_split(plan, n, steps);
    switch (split.mode) {
    case SPLIT_NONE: run_first(workspace, 1, 0); break;
    case SPLIT_ITEMS: run_apart(workspace, items, split.threads); break;
    case SPLIT_OWN_ITEMS:
        run_own_shares(workspace, items, split.threads, gain_of(plan, n, steps));
        break;
    case SPLIT_TEAM:
        run_together(workspace, items, n_items, split.threads, gain_of(plan, n, steps));
        break;
    }
}

static OUT_OF_LINE lstm_status run_items(lstm_workspace *workspace, const lstm_item *items,
                                         size_t n_items)
{
    struct section *first = workspace->sections;
    if (!section_take(first, items, n_items))
        return LSTM_E_ARG;
    if (!first->n_items)
        return LSTM_OK;
    first->failed = false; /* other backends run in the first section */
    if (workspace->plan->threads == 1)
        run_first(workspace, 1, 0);
    else
        run_split(workspace, items, n_items);
    return first->failed ? LSTM_E_BACKEND : LSTM_OK;
}

/* The shortest runs are the most frequent ones: one frame of one item, and what a call costs is a
 * good part of their time. What a function saves on the stack counts: a processor has room for 64
 * stores that wait for the arithmetic before them. */
lstm_status lstm_run(const lstm_plan *plan, lstm_workspace *workspace, const lstm_item *items,
                     size_t n_items)
{
    if (!plan || !workspace || workspace->plan != plan || n_items > workspace->max_items ||
        (!items && n_items))
        return LSTM_E_ARG;
    if (n_items == 1 && section_is_frame(workspace->sections, items))
        return section_run_frame(workspace->sections, items);
    return run_items(workspace, items, n_items);
}
