/* SPDX-License-Identifier: MIT
 *
 * Workspaces and lstm_run: items are sorted, dealt to sections, and run.
 */
#include <stdlib.h>
#include <string.h>

#include "runtime/error.h"
#include "runtime/exec.h"
#include "runtime/memory.h"
#include "runtime/parallel.h"
#include "runtime/stream.h"
#include "simd/fpenv.h"

struct lstm_workspace {
    const struct lstm_plan *plan;
    size_t max_items, max_steps;
    uint32_t n_sections;
    const lstm_item **order;   /* [max_items]: those with steps, longest first */
    struct section *sections;  /* [n_sections]; only the first takes all items */
    void *memory;
};

/* Enough rows to keep the kernels' tiles full, few enough to stay in a core's cache. */
static size_t block_rows(const struct lstm_plan *plan, size_t items, size_t steps)
{
    enum { ROWS = 256, FLOATS = 1 << 19 };
    size_t rows, widest = 1;
    if (plan->whole)
        return memory_mul(items, steps, &rows) ? rows : SIZE_MAX;
    for (uint32_t v = 0; v < plan->n_values; v++)
        if (plan->values[v].size > widest)
            widest = plan->values[v].size;
    rows = FLOATS / widest < ROWS ? FLOATS / widest : ROWS;
    return rows > items ? rows : items;
}

static struct section_size size_of(const struct lstm_plan *plan, uint32_t index, size_t items,
                                   size_t steps)
{
    struct section_size size;
    size.items = (items + index) / (index + 1); /* used with `index` others beside it */
    size.rows = block_rows(plan, size.items, steps);
    size.threads = index ? 1 : plan->threads;
    return size;
}

/* Items on threads of their own need a section each; a single item never does. */
static uint32_t sections_of(const struct lstm_plan *plan, size_t items)
{
    return items < plan->threads ? (uint32_t)items : plan->threads;
}

struct places {
    size_t order, sections, first;
    size_t n_bytes;
};

static struct places places_of(const struct lstm_plan *plan, size_t items, size_t steps)
{
    struct ledger ledger = {0};
    struct places at;
    const uint32_t n = sections_of(plan, items);
    at.order = ledger_book(&ledger, items, sizeof(lstm_item *));
    at.sections = ledger_book(&ledger, n, sizeof(struct section));
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
    *workspace = (struct lstm_workspace){plan, items, steps, sections_of(plan, items),
                                         (const lstm_item **)(void *)(memory + at.order),
                                         (struct section *)(void *)(memory + at.sections), memory};
    struct ledger ledger = {at.first};
    for (uint32_t i = 0; i < workspace->n_sections; i++) {
        const struct section_size size = size_of(plan, i, items, steps);
        char *place = memory + ledger_book(&ledger, section_bytes(plan, size), 1);
        section_init(&workspace->sections[i], plan, size, place);
    }
    *workspace_out = workspace;
    return LSTM_OK;
}

void lstm_workspace_destroy(lstm_workspace *workspace)
{
    if (!workspace)
        return;
    memory_free(workspace->memory);
    free(workspace);
}

/* ---- run ---------------------------------------------------------------------- */

/* Shell sort: no memory, no recursion, and one pass when all lengths are equal. */
static void sort_by_steps(const lstm_item **order, size_t n)
{
    for (size_t gap = n / 2; gap > 0; gap /= 2)
        for (size_t i = gap; i < n; i++) {
            const lstm_item *item = order[i];
            size_t j = i;
            for (; j >= gap && order[j - gap]->steps < item->steps; j -= gap)
                order[j] = order[j - gap];
            order[j] = item;
        }
}

static size_t take_items(lstm_workspace *workspace, const lstm_item *items, size_t n_items)
{
    size_t n = 0;
    bool sorted = true;
    for (size_t i = 0; i < n_items; i++) {
        if (!items[i].steps)
            continue;
        sorted &= n == 0 || workspace->order[n - 1]->steps >= items[i].steps;
        workspace->order[n++] = &items[i];
    }
    if (!sorted)
        sort_by_steps(workspace->order, n);
    return n;
}

/* Every `stride`th item from `first` on: shares of a ragged batch come out alike. */
static void deal(lstm_workspace *workspace, uint32_t index, size_t first, size_t stride, size_t n)
{
    struct section *section = &workspace->sections[index];
    section->n_items = 0;
    for (size_t i = first; i < n; i += stride) {
        struct exec_item *item = &section->items[section->n_items++];
        item->item = workspace->order[i];
        item->state = workspace->order[i]->stream->state;
        item->done = item->steps = item->row = 0;
    }
}

struct job {
    lstm_workspace *workspace;
    size_t n_items;
    uint32_t shares; /* SPLIT_ITEMS: sections to run */
};

static void run_shares(void *argument, uint32_t rank, uint32_t size)
{
    const struct job *job = argument;
    const uint64_t saved = simd_fpenv_enter();
    for (uint32_t i = rank; i < job->shares; i += size) {
        deal(job->workspace, i, i, job->shares, job->n_items);
        section_run(&job->workspace->sections[i], 0, 1);
    }
    simd_fpenv_leave(saved);
}

static void run_team(void *argument, uint32_t rank, uint32_t size)
{
    const struct job *job = argument;
    const uint64_t saved = simd_fpenv_enter();
    section_run(&job->workspace->sections[0], rank, size);
    simd_fpenv_leave(saved);
}

/* A stream of another model would be written beyond its end. */
static bool item_is_good(const lstm_plan *plan, const lstm_workspace *workspace,
                         const lstm_item *item)
{
    return !item->steps || (item->stream && item->stream->model_id == plan->model->id &&
                            item->stream->n_floats == plan->model->info.state_floats &&
                            item->input && item->output &&
                            (!plan->whole || item->steps <= workspace->max_steps));
}

lstm_status lstm_run(const lstm_plan *plan, lstm_workspace *workspace, const lstm_item *items,
                     size_t n_items)
{
    if (!plan || !workspace || workspace->plan != plan || n_items > workspace->max_items ||
        (!items && n_items))
        return LSTM_E_ARG;
    for (size_t i = 0; i < n_items; i++)
        if (!item_is_good(plan, workspace, &items[i]))
            return LSTM_E_ARG;
    const size_t n = take_items(workspace, items, n_items);
    if (!n)
        return LSTM_OK;
    const struct split split = plan->threads == 1
                                   ? (struct split){SPLIT_NONE, 1}
                                   : split_lookup(&plan->splits, n, workspace->order[0]->steps);
    struct job job = {workspace, n, 1};
    workspace->sections[0].failed = false; /* other backends run in the first section */
    if (split.mode == SPLIT_ITEMS) {
        job.shares = split.threads < n ? split.threads : (uint32_t)n;
        parallel_run(job.shares, run_shares, &job);
    } else {
        deal(workspace, 0, 0, 1, n);
        parallel_run(split.mode == SPLIT_TEAM ? split.threads : 1, run_team, &job);
    }
    return workspace->sections[0].failed ? LSTM_E_BACKEND : LSTM_OK;
}
