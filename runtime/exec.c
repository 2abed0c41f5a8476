/* SPDX-License-Identifier: MIT
 *
 * Running a section: blocks of time, layer after layer.
 */
#include "runtime/exec.h"

#include <string.h>

#include "runtime/memory.h"
#include "runtime/stream.h"
#include "simd/fpenv.h"

/* ---- memory of sections ------------------------------------------------------- */

enum { BARRIERS = 3 }; /* all, and one for each direction */

/* Offsets of everything that sections hold, in one block of memory: what they share, then
 * what each has to itself. */
struct layout {
    size_t threads, pointers, hoist_pointers, hoist, flags, floats;
    size_t first, each; /* sections' own parts */
    size_t items, given, order, place, tables, user, prepared, scratch_pointers, scratch; /* there */
    size_t gather, taken, taken_rows, paces, paced;
    size_t n_bytes;
    size_t n_pointers;
};

/* Values of another pace than the input's have no more rows than that. */
static size_t value_rows(const struct value_place *value, struct section_size size)
{
    return value->once ? size.items : size.rows;
}

static size_t slot_floats(const struct value_slot *slot, struct section_size size)
{
    size_t n;
    return memory_mul(slot->floats, slot->once ? size.items : size.rows, &n) ? n : SIZE_MAX;
}

static void book_own(struct layout *at, const struct lstm_plan *plan, struct section_size size)
{
    struct ledger own = {0};
    at->items = ledger_book(&own, size.items, sizeof(struct exec_item));
    at->paces = ledger_book(&own, plan->model->n_paces, sizeof(struct exec_pace));
    at->paced = own.n_bytes;
    for (uint32_t p = 1; p < plan->model->n_paces; p++)
        ledger_book(&own, size.items, sizeof(struct exec_item));
    at->given = ledger_book(&own, size.items, sizeof(size_t));
    at->order = ledger_book(&own, size.items, sizeof(size_t));
    at->place = ledger_book(&own, size.items, sizeof(size_t));
    at->prepared = ledger_book(&own, plan->prepared_bytes, 1);
    at->taken = ledger_book(&own, plan->any_mask ? size.items : 0, sizeof(struct exec_item));
    at->taken_rows = ledger_book(&own, plan->any_mask ? size.rows : 0, 2 * sizeof(float *));
    at->tables = ledger_book(&own, plan->n_values, sizeof(float **));
    at->user = own.n_bytes;
    for (uint32_t v = 0; v < plan->n_values; v++)
        if (plan->values[v].user)
            ledger_book(&own, value_rows(&plan->values[v], size), sizeof(float *));
    at->scratch_pointers = ledger_book(&own, 6 * at->n_pointers, sizeof(float *));
    at->scratch = own.n_bytes;
    if (plan->scratch_floats)
        ledger_book(&own, size.items, plan->scratch_floats * sizeof(float));
    at->gather = ledger_book(&own, plan->gather_floats, sizeof(float));
    at->each = own.n_bytes;
}

static struct layout layout_of(const struct lstm_plan *plan, struct section_size size)
{
    struct ledger ledger = {0};
    struct layout at = {0};
    at.n_pointers = size.items > HOIST_ROWS ? size.items : HOIST_ROWS;
    at.threads = ledger_book(&ledger, size.threads, sizeof(struct exec_scratch));
    at.pointers = ledger.n_bytes;
    for (uint32_t v = 0; v < plan->n_values; v++)
        if (!plan->values[v].user)
            ledger_book(&ledger, value_rows(&plan->values[v], size), sizeof(float *));
    at.hoist_pointers = ledger_book(&ledger, 2 * HOIST_ROWS, sizeof(float *));
    at.hoist = ledger_book(&ledger, 2 * HOIST_ROWS * plan->hoist_columns, sizeof(float));
    at.flags = ledger_book(&ledger, BARRIERS * barrier_flags(size.threads),
                           sizeof(struct barrier_flag));
    at.floats = ledger.n_bytes;
    for (uint32_t s = 0; s < plan->n_slots; s++)
        ledger_book(&ledger, slot_floats(&plan->slots[s], size), sizeof(float));
    book_own(&at, plan, size);
    at.first = ledger_book(&ledger, size.threads, at.each);
    at.n_bytes = ledger.n_bytes;
    return at;
}

size_t section_bytes(const struct lstm_plan *plan, struct section_size size)
{
    return layout_of(plan, size).n_bytes;
}

static void place_scratch(struct exec_scratch *scratch, char *own, const struct layout *at)
{
    const size_t n = at->n_pointers;
    float **pointers = (float **)(void *)(own + at->scratch_pointers);
    scratch->in = (const float **)pointers;
    scratch->hoisted = (const float **)(pointers + n);
    scratch->h = (const float **)(pointers + 2 * n);
    scratch->c = pointers + 3 * n;
    scratch->out = pointers + 4 * n;
    scratch->spare = pointers + 5 * n;
    scratch->floats = (float *)(void *)(own + at->scratch);
    scratch->gather = (float *)(void *)(own + at->gather);
}

static float *slot_base(const struct lstm_plan *plan, char *memory, const struct layout *at,
                        struct section_size size, uint32_t slot)
{
    struct ledger floats = {at->floats};
    for (uint32_t s = 0; s < slot; s++)
        ledger_book(&floats, slot_floats(&plan->slots[s], size), sizeof(float));
    return (float *)(void *)(memory + floats.n_bytes);
}

/* Rows of values in our own buffers never move, so they are set once, for all sections;
 * those of the caller's memory are each section's own. */
static void place_rows(struct section *section, char *memory, char *own, const struct layout *at,
                       struct section_size size)
{
    const struct lstm_plan *plan = section->plan;
    struct ledger pointers = {at->pointers}, user = {at->user};
    const struct value_place *out = &plan->values[plan->output];
    section->rows = (float ***)(void *)(own + at->tables);
    for (uint32_t v = 0; v < plan->n_values; v++) {
        const struct value_place *value = &plan->values[v];
        const size_t n = value_rows(value, size);
        if (value->user) {
            section->rows[v] = (float **)(void *)(own + ledger_book(&user, n, sizeof(float *)));
            memset(section->rows[v], 0, n * sizeof(float *));
            continue;
        }
        section->rows[v] = (float **)(void *)(memory + ledger_book(&pointers, n, sizeof(float *)));
        float *base = slot_base(plan, memory, at, size, value->slot);
        for (size_t r = 0; r < n; r++)
            section->rows[v][r] = base + r * value->size;
    }
    section->x_rows = section->rows[0];
    section->y_rows = out->once || out->pace ? NULL : section->rows[plan->output];
    section->x_size = plan->values[0].size;
    section->y_size = out->size;
}

static void place_hoist(struct section *section, char *memory, const struct layout *at)
{
    const size_t columns = section->plan->hoist_columns;
    for (uint32_t d = 0; d < 2; d++) {
        section->hoist[d] = (float *)(void *)(memory + at->hoist) + d * HOIST_ROWS * columns;
        section->hoist_rows[d] = (float **)(void *)(memory + at->hoist_pointers) + d * HOIST_ROWS;
        for (size_t r = 0; r < HOIST_ROWS; r++)
            section->hoist_rows[d][r] = section->hoist[d] + r * columns;
    }
}

static void place_seats(struct section *section, char *memory, const struct layout *at,
                        uint32_t threads)
{
    struct barrier_flag *flags = (struct barrier_flag *)(void *)(memory + at->flags);
    const size_t each = barrier_flags(threads);
    section->all = (struct barrier_seat){.flags = flags, .threads = threads};
    for (uint32_t d = 0; d < 2; d++)
        section->group[d] = (struct barrier_seat){.flags = flags + (d + 1) * each,
                                                  .threads = threads};
}

static void place_paces(struct section *section, char *own, const struct layout *at, size_t items)
{
    struct ledger paced = {at->paced};
    section->items = (struct exec_item *)(void *)(own + at->items);
    section->paces[0].items = section->items;
    for (uint32_t p = 1; p < section->plan->model->n_paces; p++)
        section->paces[p].items = (struct exec_item *)(void *)(
            own + ledger_book(&paced, items, sizeof(struct exec_item)));
}

void section_init(struct section *sections, const struct lstm_plan *plan, struct section_size size,
                  void *memory)
{
    const struct layout at = layout_of(plan, size);
    char *base = memory;
    memset(base + at.flags, 0, BARRIERS * barrier_flags(size.threads) * sizeof(struct barrier_flag));
    for (uint32_t t = 0; t < size.threads; t++) {
        struct section *section = &sections[t];
        char *own = base + at.first + t * at.each;
        memset(section, 0, sizeof *section);
        section->plan = plan;
        section->model_id = plan->model->id;
        section->n_state = plan->model->info.state_floats;
        section->cap_items = size.items;
        section->cap_steps = size.steps;
        section->cap_rows = size.rows;
        section->n_pointers = at.n_pointers;
        section->given = (size_t *)(void *)(own + at.given);
        section->order = (size_t *)(void *)(own + at.order);
        section->place = (size_t *)(void *)(own + at.place);
        section->prepared = own + at.prepared;
        section->n_given = SIZE_MAX;
        section->paces = (struct exec_pace *)(void *)(own + at.paces);
        place_paces(section, own, &at, size.items);
        section->taken = (struct exec_item *)(void *)(own + at.taken);
        section->taken_rows[0] = (float **)(void *)(own + at.taken_rows);
        section->taken_rows[1] = section->taken_rows[0] + (plan->any_mask ? size.rows : 0);
        section->threads = (struct exec_scratch *)(void *)(base + at.threads);
        section->n_threads = size.threads;
        place_scratch(&section->threads[t], own, &at);
        place_hoist(section, base, &at);
        place_rows(section, base, own, &at, size);
        place_seats(section, base, &at, size.threads);
    }
}

/* ---- what layers ask -------------------------------------------------------- */

size_t exec_n_rows(const struct exec *exec, uint32_t value)
{
    const struct section *section = exec->section;
    const struct value_place *place = &section->plan->values[value];
    return place->once ? section->n_items : section->paces[place->pace].n_rows;
}

const struct exec_item *exec_items(const struct exec *exec, uint32_t value)
{
    return exec->section->paces[exec->section->plan->values[value].pace].items;
}

void exec_run_paced(const struct plan_op *op, struct exec *exec)
{
    struct section *section = exec->section;
    section->items = section->paces[op->pace].items;
    op->paced_run(op, exec);
    section->items = section->paces[0].items;
}

void exec_share(const struct exec *exec, size_t n, size_t *begin, size_t *end)
{
    *begin = exec->size == 1 ? 0 : n * exec->rank / exec->size;
    *end = exec->size == 1 ? n : n * (exec->rank + 1) / exec->size;
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

/* ---- items -------------------------------------------------------------------- */

/* Shell sort: no memory, no recursion, and one pass when all lengths are equal. */
static void sort_by_steps(size_t *order, const lstm_item *items, size_t n)
{
    for (size_t gap = n / 2; gap > 0; gap /= 2)
        for (size_t i = gap; i < n; i++) {
            const size_t item = order[i];
            size_t j = i;
            for (; j >= gap && items[order[j - gap]].steps < items[item].steps; j -= gap)
                order[j] = order[j - gap];
            order[j] = item;
        }
}

/* Rows of the model's input and output are the caller's. */
static void place_frames(const struct section *section, const struct exec_item *run)
{
    const lstm_item *item = run->item;
    const size_t x_stride = item->input_stride ? item->input_stride : section->x_size;
    const size_t y_stride = item->output_stride ? item->output_stride : section->y_size;
    const float *x = item->input + run->done * x_stride;
    float **rows = section->x_rows + run->row;
    for (size_t s = 0; s < run->steps; s++, x += x_stride)
        rows[s] = (float *)(uintptr_t)x;
    if (!section->y_rows)
        return;
    float *y = item->output + run->done * y_stride;
    rows = section->y_rows + run->row;
    for (size_t s = 0; s < run->steps; s++, y += y_stride)
        rows[s] = y;
}

/* The same for an item of one frame. */
static inline void place_frame(const struct section *section, const struct exec_item *run)
{
    section->x_rows[run->row] = (float *)(uintptr_t)run->item->input;
    section->y_rows[run->row] = run->item->output;
}

static inline void place_item(const struct section *section, const struct exec_item *run)
{
    if (run->item->steps == 1 && section->y_rows)
        place_frame(section, run);
    else
        place_frames(section, run);
}

static void set_item(struct exec_item *run, const lstm_item *item)
{
    run->item = item;
    run->state = item->stream->state;
}

static void find_order(struct section *section, const lstm_item *items, size_t n_items)
{
    size_t n = 0;
    bool sorted = true;
    for (size_t i = 0; i < n_items; i++) {
        section->given[i] = items[i].steps;
        if (!items[i].steps)
            continue;
        sorted &= n == 0 || items[section->order[n - 1]].steps >= items[i].steps;
        section->order[n++] = i;
    }
    if (!sorted)
        sort_by_steps(section->order, items, n);
    for (size_t k = 0; k < n; k++)
        section->place[section->order[k]] = k;
    section->n_given = n_items;
    section->n_items = section->n_ordered = n;
    section->placed = section->frame = false;
}

static bool is_good(const struct section *section, const lstm_item *item)
{
    return section_is_whole(section, item) &&
           (!section->plan->whole || (item->steps <= section->cap_steps &&
                                      item->steps >= section->plan->model->info.least_steps));
}

/* How many items are as long as in the last run and good, up to the first that is not. */
static size_t take_again(struct section *section, const lstm_item *items, size_t n_items)
{
    const bool placed = section->placed;
    size_t i = 0;
    for (; i < n_items && items[i].steps == section->given[i]; i++) {
        if (!items[i].steps)
            continue;
        if (!is_good(section, &items[i]))
            break;
        struct exec_item *run = &section->items[section->place[i]];
        set_item(run, &items[i]);
        if (placed)
            place_item(section, run);
    }
    return i;
}

/* What is in place of the last run is no use if that was a share. */
static void take_all(struct section *section)
{
    if (section->n_items == section->n_ordered)
        return;
    section->n_items = section->n_ordered;
    section->placed = false;
}

/* Most callers give items of the same lengths again and again. */
bool section_take(struct section *section, const lstm_item *items, size_t n_items)
{
    take_all(section);
    if (n_items == section->n_given && take_again(section, items, n_items) == n_items)
        return true;
    find_order(section, items, n_items);
    return take_again(section, items, n_items) == n_items;
}

void section_share(struct section *section, const lstm_item *items, const size_t *order,
                   size_t first, size_t stride, size_t n)
{
    section->n_items = 0;
    for (size_t i = first; i < n; i += stride)
        set_item(&section->items[section->n_items++], &items[order[i]]);
    section->placed = section->frame = false;
}

/* ---- blocks ------------------------------------------------------------------ */

static void place_user_once(const struct section *section, uint32_t value)
{
    for (size_t i = 0; i < section->n_items; i++)
        section->rows[value][i] = section->items[i].item->output;
}

/* Longest an item may have in a block. */
static size_t block_steps(const struct section *section, size_t rest)
{
    const size_t cap = section->cap_rows, active = section->n_active;
    if (section->plan->whole || (rest <= cap && rest * active <= cap))
        return rest;
    return cap / active;
}

static void place_output(const struct section *section, const struct exec_item *run)
{
    const lstm_item *item = run->item;
    const size_t stride = item->output_stride ? item->output_stride : section->y_size;
    float **rows = section->rows[section->plan->output] + run->row;
    for (size_t s = 0; s < run->steps; s++)
        rows[s] = item->output + s * stride;
}

/* The same items with the steps that values of another pace have. */
static void place_pace(struct section *section, uint32_t number)
{
    const struct pace steps = section->plan->model->paces[number];
    const struct value_place *output = &section->plan->values[section->plan->output];
    struct exec_pace *pace = &section->paces[number];
    pace->n_rows = 0;
    for (size_t i = 0; i < section->n_active; i++) {
        struct exec_item *run = &pace->items[i];
        *run = section->items[i];
        run->steps = (size_t)pace_steps(steps, run->steps);
        run->row = pace->n_rows;
        pace->n_rows += run->steps;
        if (number == output->pace)
            place_output(section, run);
    }
}

/* The next steps of each item that has any. */
static void place_block(struct section *section)
{
    struct exec_item *items = section->items;
    while (items[section->n_active - 1].done == items[section->n_active - 1].item->steps)
        section->n_active--;
    const size_t rest = items[0].item->steps - items[0].done;
    const size_t most = block_steps(section, rest);
    size_t row = 0;
    for (size_t i = 0; i < section->n_active; i++) {
        const size_t left = items[i].item->steps - items[i].done;
        items[i].steps = left < most ? left : most;
        items[i].row = row;
        row += items[i].steps;
    }
    section->paces[0].n_rows = row;
    section->last = most == rest;
    for (size_t i = 0; i < section->n_active; i++)
        place_item(section, &items[i]);
    for (uint32_t p = 1; p < section->plan->model->n_paces; p++)
        place_pace(section, p);
}

static OUT_OF_LINE void place_first_block(struct section *section)
{
    for (size_t i = 0; i < section->n_items; i++)
        section->items[i].done = 0;
    section->n_active = section->n_items;
    place_block(section);
    section->placed = section->plan->model->n_paces == 1; /* others would have to be placed again */
    section->frame = section->placed && section->n_given == 1 && section->given[0] == 1 &&
                     section->self.size == 1 && !section->plan->any_once &&
                     plan_split(section->plan, 1, 1).mode == SPLIT_NONE;
}

static void place_next_block(struct section *section)
{
    for (size_t i = 0; i < section->n_active; i++)
        section->items[i].done += section->items[i].steps;
    place_block(section);
    section->placed = false;
}

/* After each layer all threads meet: what it made may be read, what it read written again. */
static inline void run_op(const struct plan_op *op, struct exec *exec,
                          void (*run)(const struct plan_op *op, struct exec *exec))
{
    exec->met = false;
    if (run)
        run(op, exec);
    if (!exec->met)
        barrier_wait(&exec->section->all);
}

static inline void run_block(const struct lstm_plan *plan, struct exec *exec)
{
    struct section *section = exec->section;
    const struct plan_op *end = plan->ops + plan->n_ops;
    for (const struct plan_op *op = plan->ops; op < end; op++)
        if (op->each_block)
            run_op(op, exec, op->run);
    section->backwards ^= section->items[0].steps & 1; /* each step has turned round */
}

/* What is there once a run: results of reducers and what is computed from them. */
static OUT_OF_LINE void run_once(const struct lstm_plan *plan, struct exec *exec)
{
    for (uint32_t i = 0; i < plan->n_ops; i++) {
        const struct plan_op *op = &plan->ops[i];
        exec->section->items = exec->section->paces[op->pace].items;
        if (op->once)
            run_op(op, exec, op->reducer ? op->layer->type->finish : op->run);
    }
    exec->section->items = exec->section->paces[0].items;
}

static OUT_OF_LINE void prepare(struct section *section, uint32_t rank, uint32_t size)
{
    const struct lstm_plan *plan = section->plan;
    section->self = (struct exec){section, &section->threads[rank], rank, size, false};
    section->all.rank = rank;
    section->all.size = size;
    for (uint32_t i = 0; i < plan->n_ops; i++)
        if (plan->ops[i].layer->type->prepare)
            plan->ops[i].layer->type->prepare(&plan->ops[i], &section->self);
}

static void take_seats(struct section *section, uint64_t number)
{
    section->all.turn = section->group[0].turn = section->group[1].turn = number << 32;
    section->all.waited_ns = section->group[0].waited_ns = section->group[1].waited_ns = 0;
}

static OUT_OF_LINE void run_more_blocks(struct section *section)
{
    do {
        place_next_block(section);
        barrier_wait(&section->all); /* streams have their new states */
        run_block(section->plan, &section->self);
    } while (!section->last);
}

lstm_status section_run_frame(struct section *section, const lstm_item *item)
{
    const struct lstm_plan *plan = section->plan;
    const struct plan_op *end = plan->ops + plan->n_ops;
    struct simd_fpenv saved;
    simd_fpenv_enter(&saved);
    set_item(section->items, item);
    place_frame(section, section->items);
    section->failed = false;
    for (const struct plan_op *op = plan->ops; op < end; op++)
        if (op->each_block && op->run)
            op->run(op, &section->self);
    section->backwards = !section->backwards;
    simd_fpenv_leave(&saved);
    return section->failed ? LSTM_E_BACKEND : LSTM_OK;
}

void section_run(struct section *section, uint32_t rank, uint32_t size, uint64_t number)
{
    const struct lstm_plan *plan = section->plan;
    if (section->self.size != size)
        prepare(section, rank, size);
    if (size > 1)
        take_seats(section, number);
    if (plan->any_once && plan->values[plan->output].once)
        place_user_once(section, plan->output);
    if (!section->placed)
        place_first_block(section);
    run_block(plan, &section->self);
    if (!section->last)
        run_more_blocks(section);
    if (plan->any_once)
        run_once(plan, &section->self);
}
