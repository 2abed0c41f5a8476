/* SPDX-License-Identifier: MIT
 *
 * Making a plan: options and CPU are looked at, weights packed, values placed.
 */
#include "runtime/plan.h"

#include <float.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/error.h"
#include "runtime/layer_types.h"
#include "runtime/memory.h"
#include "runtime/parallel.h"
#include "runtime/recurrent.h"

/* ---- memory and packing, for the layers -------------------------------------- */

static bool add_block(struct lstm_plan *plan, size_t n_bytes)
{
    void **blocks = realloc(plan->blocks, (plan->n_blocks + 1) * sizeof *blocks);
    if (!blocks)
        return false;
    plan->blocks = blocks;
    plan->room = memory_alloc(n_bytes);
    plan->n_room = plan->room ? n_bytes : 0;
    if (plan->room)
        plan->blocks[plan->n_blocks++] = plan->room;
    return plan->room;
}

/* Room for all weights that may still come: small matrices side by side fill huge pages
 * that none would fill alone. Some padding is foreseen; for more there is another block. */
static size_t room_for(const struct lstm_plan *plan, size_t n_bytes)
{
    const struct model_view *view = &plan->model->view;
    const size_t all = (size_t)view->weight_bytes + view->n_tensors * (size_t)(4 * MEMORY_ALIGN);
    const size_t left = all > plan->packed_bytes ? all - plan->packed_bytes : 0;
    return left > n_bytes ? left : n_bytes;
}

void *plan_memory(struct lstm_plan *plan, size_t n_bytes)
{
    size_t padded;
    if (!memory_add(n_bytes ? n_bytes : 1, MEMORY_ALIGN - 1, &padded))
        return NULL;
    padded -= padded % MEMORY_ALIGN;
    if (padded > plan->n_room && !add_block(plan, room_for(plan, padded)))
        return NULL;
    void *piece = plan->room;
    plan->room += padded;
    plan->n_room -= padded;
    plan->packed_bytes += n_bytes;
    return piece;
}

static float *plan_floats(struct lstm_plan *plan, size_t rows, size_t columns)
{
    size_t n;
    if (!memory_mul(rows, columns, &n) || !memory_mul(n, sizeof(float), &n))
        return NULL;
    return plan_memory(plan, n);
}

bool plan_pack(struct plan_builder *builder, const struct simd_matrix *source, uint32_t widest,
               const float *bias, bool with_bias, struct packed_matrix *out)
{
    out->panels = simd_panels_of(source->n, source->columns_each, widest);
    out->n = source->n * source->columns_each;
    out->k = source->k;
    out->weights = plan_floats(builder->plan, out->panels.columns, source->k);
    if (!out->weights)
        return false;
    simd_pack(source, &out->panels, 0, out->panels.count, out->weights);
    if (!with_bias)
        return true;
    out->bias = plan_floats(builder->plan, out->panels.columns, 1);
    if (out->bias)
        simd_pack_bias(bias, source->n, source->columns_each, &out->panels, out->bias);
    return out->bias;
}

bool plan_copy(struct plan_builder *builder, const float *data, size_t n, const float **out)
{
    *out = NULL;
    if (!data)
        return true;
    float *copy = plan_floats(builder->plan, n, 1);
    for (size_t i = 0; copy && i < n; i++)
        copy[i] = fabsf(data[i]) < FLT_MIN ? 0 : data[i];
    *out = copy;
    return copy;
}

enum simd_act plan_act(uint32_t code)
{
    static const enum simd_act acts[MODEL_ACT_COUNT] = {
        [MODEL_ACT_IDENTITY] = SIMD_ACT_IDENTITY,
        [MODEL_ACT_SIGMOID] = SIMD_ACT_SIGMOID,
        [MODEL_ACT_TANH] = SIMD_ACT_TANH,
        [MODEL_ACT_RELU] = SIMD_ACT_RELU,
        [MODEL_ACT_LEAKY_RELU] = SIMD_ACT_LEAKY_RELU,
        [MODEL_ACT_THRESHOLDED_RELU] = SIMD_ACT_THRESHOLDED_RELU,
        [MODEL_ACT_SCALED_TANH] = SIMD_ACT_SCALED_TANH,
        [MODEL_ACT_HARD_SIGMOID] = SIMD_ACT_HARD_SIGMOID,
        [MODEL_ACT_ELU] = SIMD_ACT_ELU,
        [MODEL_ACT_SOFTSIGN] = SIMD_ACT_SOFTSIGN,
        [MODEL_ACT_SOFTPLUS] = SIMD_ACT_SOFTPLUS,
        [MODEL_ACT_AFFINE] = SIMD_ACT_AFFINE,
    };
    return acts[code];
}

/* ---- places of values -------------------------------------------------------------- */

/* A value that nobody reads lasts for one op more too: in a team one thread may still copy a
 * state from it while others go on. */
static void find_last_uses(struct lstm_plan *plan)
{
    const struct lstm_model *model = plan->model;
    for (uint32_t i = 0; i < model->view.n_layers; i++) {
        plan->values[i + 1].last_use = i + 1;
        for (uint32_t j = 0; j < model->layers[i].spec.n_inputs; j++)
            plan->values[model->layers[i].spec.inputs[j]].last_use = i;
    }
}

/* A buffer that nobody reads any more when op `op` runs, or a new one. Values that are
 * there once live to the end of the run and keep theirs. */
static uint32_t take_slot(struct lstm_plan *plan, uint32_t op, const struct value_place *value)
{
    uint32_t s = value->once ? plan->n_slots : 0;
    while (s < plan->n_slots && (plan->slots[s].once || plan->slots[s].free_from > op))
        s++;
    if (s == plan->n_slots)
        plan->slots[plan->n_slots++] = (struct value_slot){0, value->once, 0};
    struct value_slot *slot = &plan->slots[s];
    slot->floats = value->size > slot->floats ? value->size : slot->floats;
    slot->free_from = value->last_use + 1;
    return s;
}

static void place_kept(struct lstm_plan *plan)
{
    for (uint32_t i = 0; i < plan->n_ops; i++) {
        const struct plan_op *op = &plan->ops[i];
        struct value_place *place = &plan->values[op->kept];
        if (!op->layer->type->kept)
            continue;
        place->size = op->layer->type->kept;
        place->once = true;
        place->slot = take_slot(plan, i, place);
    }
}

static bool place_values(struct lstm_plan *plan)
{
    const struct lstm_model *model = plan->model;
    const uint32_t n_values = model->view.n_layers + 1;
    plan->n_values = n_values + plan->n_kept;
    plan->output = model->view.output;
    plan->values = calloc(plan->n_values, sizeof *plan->values);
    plan->slots = calloc(plan->n_values, sizeof *plan->slots);
    if (!plan->values || !plan->slots)
        return false;
    find_last_uses(plan);
    for (uint32_t v = 0; v < n_values; v++) {
        struct value_place *place = &plan->values[v];
        place->size = model->values[v].size;
        place->once = model->values[v].once;
        place->pace = model->pace_of[v];
        place->user = v == 0 || v == plan->output;
        plan->any_once |= place->once;
        if (!place->user)
            place->slot = take_slot(plan, v - 1, place);
    }
    place_kept(plan);
    return true;
}

/* ---- options ---------------------------------------------------------------------- */

enum { MAX_THREADS = 1024 };

static uint32_t smaller(uint32_t a, uint32_t b)
{
    return a < b ? a : b;
}

/* By its name in the table of ways to step a recurrent layer. */
static lstm_status find_backend(struct lstm_plan *plan, const char *name, lstm_error *error)
{
    size_t n;
    const struct recurrent_method *const *all = recurrent_methods(&n);
    for (size_t i = 0; i < n; i++) {
        if (strcmp(all[i]->backend, name) != 0)
            continue;
        plan->backend = all[i]->backend;
        return all[i]->build ? LSTM_OK
                             : error_set(error, LSTM_E_UNSUPPORTED, "backend \"%s\": %s", name,
                                         all[i]->reject(plan, NULL));
    }
    return error_set(error, LSTM_E_UNSUPPORTED, "backend \"%.40s\" is not known, only \"native\" and "
                     "\"onednn\"", name);
}

/* A backend that is not ours has threads of its own. */
static bool own_threads(const struct lstm_plan *plan)
{
    return strcmp(plan->backend, "native") != 0;
}

enum { N_SPLITS = SPLIT_TEAM + 1 };

static const char *const split_names[N_SPLITS] = {
    [SPLIT_NONE] = "none", [SPLIT_ITEMS] = "items", [SPLIT_OWN_ITEMS] = "items",
    [SPLIT_TEAM] = "team"};

static lstm_status read_split(struct lstm_plan *plan, const char *name, lstm_error *error)
{
    size_t mode = 0;
    if (!name)
        return LSTM_OK;
    while (mode < N_SPLITS && strcmp(split_names[mode], name) != 0)
        mode++;
    if (mode == N_SPLITS)
        return error_set(error, LSTM_E_ARG,
                         "options.split is \"%.40s\", expected \"none\", \"items\" or \"team\"", name);
    if (own_threads(plan))
        return error_set(error, LSTM_E_ARG, "options.split is for the native backend; \"%s\" has "
                         "threads of its own", plan->backend);
    if (mode != SPLIT_NONE && plan->threads < 2)
        return error_set(error, LSTM_E_ARG,
                         "options.split is \"%s\", which needs at least two threads; this plan may use "
                         "one", name);
    plan->split_forced = true;
    plan->forced_mode = (enum split_mode)mode;
    if (mode == SPLIT_NONE)
        plan->threads = 1;
    return LSTM_OK;
}

static lstm_status read_options(struct lstm_plan *plan, const lstm_plan_options *given,
                                lstm_error *error)
{
    lstm_plan_options options = LSTM_PLAN_OPTIONS_INIT;
    if (given && given->struct_size != sizeof options)
        return error_set(error, LSTM_E_ARG, "options.struct_size is %zu, expected %zu",
                         given->struct_size, sizeof options);
    if (given)
        options = *given;
    const lstm_status status =
        find_backend(plan, options.backend ? options.backend : "native", error);
    if (status != LSTM_OK)
        return status;
    plan->isa = simd_find(plan->cpu.bits, options.isa);
    if (!plan->isa)
        return error_set(error, LSTM_E_UNSUPPORTED,
                         "instruction set \"%.40s\" is not one that this build and this CPU have",
                         options.isa ? options.isa : "");
    if (options.threads > MAX_THREADS)
        return error_set(error, LSTM_E_ARG, "options.threads is %u, at most %d",
                         (unsigned)options.threads, MAX_THREADS);
    plan->threads = options.threads ? smaller(options.threads, parallel_most())
                                    : smaller(parallel_default(), plan->cpu.cores);
    plan->threads = smaller(plan->threads, MAX_THREADS);
    plan->problem.items = options.items ? options.items : 1;
    plan->problem.steps = options.steps ? options.steps : 100;
    plan->problem.threads = plan->threads;
    return read_split(plan, options.split, error);
}

static void choose_kernels(struct lstm_plan *plan)
{
    plan->gemm = &plan->isa->gemm[0];
    plan->lstm = &plan->isa->lstm[0];
    plan->gru = &plan->isa->gru[0];
    plan->gate = &plan->isa->gate[0];
}

/* ---- ops --------------------------------------------------------------------------- */

static lstm_status build_ops(struct lstm_plan *plan, lstm_error *error)
{
    struct plan_builder builder = {plan};
    plan->n_ops = plan->model->view.n_layers;
    plan->ops = calloc(plan->n_ops ? plan->n_ops : 1, sizeof *plan->ops);
    if (!plan->ops)
        return error_nomem(error);
    for (uint32_t i = 0; i < plan->n_ops; i++) {
        struct plan_op *op = &plan->ops[i];
        const size_t before = plan->packed_bytes;
        op->layer = &plan->model->layers[i];
        op->plan = plan;
        op->output = i + 1;
        op->run = op->layer->type->run;
        op->reducer = op->layer->type->family == LAYER_REDUCER;
        op->once = op->layer->out.once;
        op->pace = plan->model->pace_of[op->layer->spec.inputs[0]];
        op->kept = plan->n_ops + 1 + plan->n_kept;
        plan->n_kept += op->layer->type->kept > 0;
        op->each_block = op->reducer || !op->once;
        op->prepared = plan->prepared_bytes;
        plan->prepared_bytes += op->layer->type->prepared_bytes;
        plan->whole |= op->layer->whole;
        const lstm_status status =
            op->layer->type->build ? op->layer->type->build(&builder, op, error) : LSTM_OK;
        if (status != LSTM_OK)
            return status;
        op->packed_bytes = plan->packed_bytes - before;
        if (op->pace) {
            op->paced_run = op->run;
            op->run = exec_run_paced;
        }
        if (plan->model->file.bytes) /* the packed copy is what runs from here on */
            mapfile_release(&plan->model->file);
    }
    return LSTM_OK;
}

static struct layer_cost cost_of(const struct plan_op *op)
{
    const struct layer *layer = op->layer;
    struct layer_cost cost = {.directions = 1};
    if (layer->type->family != LAYER_RECURRENT) {
        cost.flops_x = (double)layer->type->flops(op->plan->model, layer);
        cost.weight_bytes_x = (double)op->packed_bytes;
        cost.units = (double)layer->out.size;
        return cost;
    }
    const struct recurrent_op *rec = &op->u.recurrent;
    const double columns = (double)rec->gates * rec->hidden;
    cost.directions = rec->n_directions;
    cost.fused = rec->method->fused;
    cost.flops_x = 2 * columns * (double)rec->n_x;
    cost.flops_h = 2 * columns * (double)rec->n_r;
    cost.weight_bytes_x = 4 * columns * (double)rec->n_x;
    cost.weight_bytes_h = 4 * columns * (double)rec->n_r;
    if (rec->direction[0].projection.weights) {
        const double projection = (double)rec->n_r * rec->hidden;
        cost.flops_h += 2 * projection;
        cost.weight_bytes_h += 4 * projection;
    }
    cost.chain_x = (double)rec->n_x;
    cost.chain_h = (double)rec->n_r;
    cost.units = rec->hidden;
    cost.hoist_tile = rec->hoist_tile;
    cost.tile_rows = rec->tile_rows;
    return cost;
}

static bool choose_splits(struct lstm_plan *plan)
{
    plan->costs = calloc(plan->n_ops, sizeof *plan->costs);
    if (!plan->costs)
        return false;
    for (uint32_t i = 0; i < plan->n_ops; i++)
        plan->costs[i] = cost_of(&plan->ops[i]);
    if (plan->split_forced)
        split_force(&plan->splits, &plan->machine, plan->costs, plan->n_ops,
                    (struct split){plan->forced_mode, plan->threads});
    else
        split_fill(&plan->splits, &plan->machine, plan->costs, plan->n_ops,
                   own_threads(plan) ? 1 : plan->threads);
    return true;
}

/* ---- create, destroy, ask ------------------------------------------------------------- */

static lstm_status fill_plan(struct lstm_plan *plan, const lstm_plan_options *options,
                             lstm_error *error)
{
    const struct lstm_model *model = plan->model;
    const struct simd_cpu *cpu = &plan->cpu;
    plan->cpu = simd_cpu_detect();
    lstm_status status = read_options(plan, options, error);
    if (status != LSTM_OK)
        return status;
    if (model->file.bytes && !mapfile_unchanged(&model->file))
        return error_set(error, LSTM_E_IO, "the model file has changed since it was opened");
    choose_kernels(plan);
    plan->machine = machine_of(cpu, plan->isa->lanes);
    status = build_ops(plan, error);
    if (status != LSTM_OK)
        return status;
    if (!place_values(plan) || !choose_splits(plan) || !plan_write_text(plan))
        return error_nomem(error);
    return LSTM_OK;
}

lstm_status lstm_plan_create(const lstm_model *model, const lstm_plan_options *options,
                             lstm_plan **plan_out, lstm_error *error)
{
    if (!plan_out)
        return error_set(error, LSTM_E_ARG, "plan_out is NULL");
    *plan_out = NULL;
    if (!model)
        return error_set(error, LSTM_E_ARG, "model is NULL");
    struct lstm_plan *plan = calloc(1, sizeof *plan);
    if (!plan)
        return error_nomem(error);
    plan->model = model;
    const lstm_status status = fill_plan(plan, options, error);
    if (status != LSTM_OK) {
        lstm_plan_destroy(plan);
        return status;
    }
    *plan_out = plan;
    return LSTM_OK;
}

void lstm_plan_destroy(lstm_plan *plan)
{
    if (!plan)
        return;
    for (uint32_t i = 0; plan->ops && i < plan->n_ops; i++)
        if (plan->ops[i].layer && plan->ops[i].layer->type->release)
            plan->ops[i].layer->type->release(&plan->ops[i]);
    for (size_t i = 0; i < plan->n_blocks; i++)
        memory_free(plan->blocks[i]);
    free(plan->blocks);
    free(plan->ops);
    free(plan->values);
    free(plan->slots);
    free(plan->costs);
    free(plan->text);
    free(plan);
}

const char *lstm_plan_get_text(const lstm_plan *plan)
{
    return plan->text;
}

struct split plan_split(const struct lstm_plan *plan, size_t items, size_t steps)
{
    if (plan->threads == 1)
        return (struct split){SPLIT_NONE, 1};
    struct split split = split_lookup(&plan->splits, items, steps);
    if (split_of_items(split.mode) && split.threads > items)
        split.threads = (uint32_t)items;
    return split.threads > 1 ? split : (struct split){SPLIT_NONE, 1};
}

uint32_t lstm_plan_get_threads(const lstm_plan *plan, size_t items, size_t steps)
{
    return own_threads(plan) ? plan->threads : plan_split(plan, items, steps).threads;
}

const char *lstm_plan_get_split(const lstm_plan *plan, size_t items, size_t steps)
{
    return split_names[plan_split(plan, items, steps).mode];
}

double lstm_plan_get_estimate_ns(const lstm_plan *plan, size_t items, size_t steps)
{
    return cost_model(&plan->machine, plan->costs, plan->n_ops, items, steps,
                      plan_split(plan, items, steps));
}

const char *lstm_plan_get_isa(const lstm_plan *plan)
{
    return plan->isa->name;
}
