/* SPDX-License-Identifier: MIT
 *
 * Running a section: blocks of time, layer after layer.
 */
#include "runtime/exec.h"

#include <string.h>

#include "runtime/memory.h"
#include "runtime/stream.h"

/* ---- memory of a section ---------------------------------------------------- */

/* Offsets of everything a section holds, in one block of memory. */
struct layout {
    size_t items, threads, tables, pointers, hoist_pointers, hoist, floats, scratch;
    size_t n_bytes;
    size_t per_thread_pointers, per_thread_floats;
    size_t n_pointers;
};

static size_t value_rows(const struct value_place *value, struct section_size size)
{
    return value->once ? size.items : size.rows;
}

static struct layout layout_of(const struct lstm_plan *plan, struct section_size size)
{
    struct ledger ledger = {0};
    struct layout at = {0};
    at.n_pointers = size.items > HOIST_ROWS ? size.items : HOIST_ROWS;
    at.per_thread_pointers = 6 * at.n_pointers;
    if (!memory_mul(size.items, plan->scratch_floats, &at.per_thread_floats))
        ledger.n_bytes = SIZE_MAX;
    at.items = ledger_book(&ledger, size.items, sizeof(struct exec_item));
    at.threads = ledger_book(&ledger, size.threads, sizeof(struct exec_scratch));
    at.tables = ledger_book(&ledger, plan->n_values, sizeof(float **));
    at.pointers = ledger.n_bytes;
    for (uint32_t v = 0; v < plan->n_values; v++)
        ledger_book(&ledger, value_rows(&plan->values[v], size), sizeof(float *));
    at.hoist_pointers = ledger_book(&ledger, 2 * HOIST_ROWS, sizeof(float *));
    at.hoist = ledger_book(&ledger, 2 * HOIST_ROWS * plan->hoist_columns, sizeof(float));
    at.floats = ledger.n_bytes;
    for (uint32_t s = 0; s < plan->n_slots; s++) {
        size_t n;
        if (!memory_mul(plan->slots[s].floats, plan->slots[s].once ? size.items : size.rows, &n))
            ledger.n_bytes = SIZE_MAX;
        else
            ledger_book(&ledger, n, sizeof(float));
    }
    at.scratch = ledger.n_bytes;
    for (uint32_t t = 0; t < size.threads; t++) {
        ledger_book(&ledger, at.per_thread_pointers, sizeof(float *));
        ledger_book(&ledger, at.per_thread_floats, sizeof(float));
    }
    at.n_bytes = ledger.n_bytes;
    return at;
}

size_t section_bytes(const struct lstm_plan *plan, struct section_size size)
{
    return layout_of(plan, size).n_bytes;
}

static void place_scratch(struct exec_scratch *scratch, char **memory, const struct layout *at)
{
    struct ledger ledger = {0};
    const size_t n = at->n_pointers;
    float **pointers = (float **)(void *)*memory;
    scratch->in = (const float **)pointers;
    scratch->hoisted = (const float **)(pointers + n);
    scratch->h = (const float **)(pointers + 2 * n);
    scratch->c = pointers + 3 * n;
    scratch->out = pointers + 4 * n;
    scratch->spare = pointers + 5 * n;
    ledger_book(&ledger, at->per_thread_pointers, sizeof(float *));
    scratch->floats = (float *)(void *)(*memory + ledger.n_bytes);
    ledger_book(&ledger, at->per_thread_floats, sizeof(float));
    *memory += ledger.n_bytes;
}

/* Rows of values in our own buffers never move, so they are set once. */
static void place_rows(struct section *section, char *memory, const struct layout *at,
                       struct section_size size)
{
    const struct lstm_plan *plan = section->plan;
    struct ledger pointers = {at->pointers};
    section->rows = (float ***)(void *)(memory + at->tables);
    for (uint32_t v = 0; v < plan->n_values; v++) {
        const struct value_place *value = &plan->values[v];
        const size_t n = value_rows(value, size);
        section->rows[v] = (float **)(void *)(memory + ledger_book(&pointers, n, sizeof(float *)));
        if (value->user) {
            memset(section->rows[v], 0, n * sizeof(float *));
            continue;
        }
        struct ledger floats = {at->floats};
        for (uint32_t s = 0; s < value->slot; s++)
            ledger_book(&floats, plan->slots[s].floats * (plan->slots[s].once ? size.items : size.rows),
                        sizeof(float));
        float *base = (float *)(void *)(memory + floats.n_bytes);
        for (size_t r = 0; r < n; r++)
            section->rows[v][r] = base + r * value->size;
    }
}

void section_init(struct section *section, const struct lstm_plan *plan, struct section_size size,
                  void *memory)
{
    const struct layout at = layout_of(plan, size);
    char *base = memory;
    memset(section, 0, sizeof *section);
    section->plan = plan;
    section->cap_items = size.items;
    section->cap_rows = size.rows;
    section->n_pointers = at.n_pointers;
    section->items = (struct exec_item *)(void *)(base + at.items);
    section->threads = (struct exec_scratch *)(void *)(base + at.threads);
    section->n_threads = size.threads;
    for (uint32_t d = 0; d < 2; d++) {
        section->hoist[d] = (float *)(void *)(base + at.hoist) + d * HOIST_ROWS * plan->hoist_columns;
        section->hoist_rows[d] = (float **)(void *)(base + at.hoist_pointers) + d * HOIST_ROWS;
        for (size_t r = 0; r < HOIST_ROWS; r++)
            section->hoist_rows[d][r] = section->hoist[d] + r * plan->hoist_columns;
    }
    char *scratch = base + at.scratch;
    for (uint32_t t = 0; t < size.threads; t++)
        place_scratch(&section->threads[t], &scratch, &at);
    place_rows(section, base, &at, size);
    barrier_init(&section->all);
    barrier_init(&section->group[0]);
    barrier_init(&section->group[1]);
}

/* ---- what layers ask -------------------------------------------------------- */

float **exec_rows(const struct exec *exec, uint32_t value)
{
    return exec->section->rows[value];
}

size_t exec_n_rows(const struct exec *exec, uint32_t value)
{
    const struct section *section = exec->section;
    return section->plan->values[value].once ? section->n_items : section->n_rows;
}

void exec_share(const struct exec *exec, size_t n, size_t *begin, size_t *end)
{
    *begin = n * exec->rank / exec->size;
    *end = n * (exec->rank + 1) / exec->size;
}

void exec_product(const struct lstm_plan *plan, const struct packed_matrix *matrix,
                  const float *const *x, float *const *out, size_t rows)
{
    const struct simd_gemm args = {
        .weights = matrix->weights,
        .bias = matrix->bias,
        .panels = &matrix->panels,
        .k = matrix->k,
        .n_out = matrix->n,
        .x = x,
        .out = out,
        .rows = rows,
        .panel_begin = 0,
        .panel_end = matrix->panels.count,
        .accumulate = !matrix->bias,
    };
    plan->gemm->run(&args);
}

/* ---- blocks ------------------------------------------------------------------ */

/* Rows of the model's input or output are the caller's. */
static void place_user_steps(struct section *section, uint32_t value, bool input)
{
    const size_t size = section->plan->values[value].size;
    float **rows = section->rows[value];
    for (size_t i = 0; i < section->n_active; i++) {
        const struct exec_item *run = &section->items[i];
        const lstm_item *item = run->item;
        float *base = input ? (float *)(uintptr_t)item->input : item->output;
        const size_t given = input ? item->input_stride : item->output_stride;
        const size_t stride = given ? given : size;
        for (size_t t = 0; t < run->steps; t++)
            rows[run->row + t] = base + (run->done + t) * stride;
    }
}

static void place_user_once(struct section *section, uint32_t value)
{
    for (size_t i = 0; i < section->n_items; i++)
        section->rows[value][i] = section->items[i].item->output;
}

static size_t min_size(size_t a, size_t b)
{
    return a < b ? a : b;
}

/* The next steps of each item that has any. Without items left, n_active is 0. */
static void next_block(struct section *section)
{
    const struct lstm_plan *plan = section->plan;
    size_t active = 0;
    while (active < section->n_items &&
           section->items[active].item->steps > section->items[active].done)
        active++;
    section->n_active = active;
    section->n_rows = 0;
    if (!active)
        return;
    section->block_steps = plan->whole ? SIZE_MAX : section->cap_rows / active;
    for (size_t i = 0; i < active; i++) {
        struct exec_item *item = &section->items[i];
        item->steps = min_size(item->item->steps - item->done, section->block_steps);
        item->row = section->n_rows;
        section->n_rows += item->steps;
    }
    const uint32_t output = plan->model->view.output;
    place_user_steps(section, 0, true);
    if (!plan->values[output].once)
        place_user_steps(section, output, false);
}

static void end_block(struct section *section)
{
    section->backwards ^= section->items[0].steps & 1; /* each step has turned round */
    for (size_t i = 0; i < section->n_active; i++)
        section->items[i].done += section->items[i].steps;
}

static bool ready_in_block(const struct plan_op *op)
{
    return op->layer->type->family == LAYER_REDUCER || !op->layer->out.once;
}

static void run_block(const struct lstm_plan *plan, struct exec *exec)
{
    for (uint32_t i = 0; i < plan->n_ops; i++) {
        const struct plan_op *op = &plan->ops[i];
        if (!ready_in_block(op))
            continue;
        op->layer->type->run(op, exec);
        barrier_wait(&exec->section->all, exec->size);
    }
}

/* What is there once a run: results of reducers and what is computed from them. */
static void run_once(const struct lstm_plan *plan, struct exec *exec)
{
    for (uint32_t i = 0; i < plan->n_ops; i++) {
        const struct plan_op *op = &plan->ops[i];
        if (!op->layer->out.once)
            continue;
        if (op->layer->type->family != LAYER_REDUCER)
            op->layer->type->run(op, exec);
        else if (op->layer->type->finish)
            op->layer->type->finish(op, exec);
        barrier_wait(&exec->section->all, exec->size);
    }
}

void section_run(struct section *section, uint32_t rank, uint32_t size)
{
    const struct lstm_plan *plan = section->plan;
    struct exec exec = {section, &section->threads[rank], rank, size};
    const uint32_t output = plan->model->view.output;
    if (rank == 0 && plan->values[output].once)
        place_user_once(section, output);
    for (;;) {
        if (rank == 0)
            next_block(section);
        barrier_wait(&section->all, size);
        if (!section->n_active)
            break;
        run_block(plan, &exec);
        if (rank == 0)
            end_block(section);
    }
    if (plan->any_once)
        run_once(plan, &exec);
}
