/* SPDX-License-Identifier: MIT
 *
 * lstm, gru and rnn: what the file must say of them, their cost, and the table of ways to
 * step them.
 */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "runtime/error.h"
#include "runtime/layer_types.h"
#include "runtime/model.h"
#include "runtime/recurrent.h"

static uint32_t gates_of(uint32_t type)
{
    return type == MODEL_LSTM ? 4 : type == MODEL_GRU ? 3 : 1;
}

static uint32_t acts_of(uint32_t type)
{
    return type == MODEL_LSTM ? 3 : type == MODEL_GRU ? 2 : 1;
}

static uint32_t directions_of(const struct layer *layer)
{
    return layer->spec.params[MODEL_RNN_DIRECTION] == MODEL_BIDIRECTIONAL ? 2 : 1;
}

/* ---- check ------------------------------------------------------------------ */

static lstm_status check_flags(const struct layer *layer, lstm_error *error)
{
    const uint32_t flags = layer->spec.params[MODEL_RNN_FLAGS];
    const uint32_t known = layer->spec.type == MODEL_LSTM  ? MODEL_FLAG_COUPLED
                           : layer->spec.type == MODEL_GRU ? MODEL_FLAG_RESET_AFTER
                                                           : 0;
    if (flags & ~known)
        return error_layer(error, MODEL_RULE_UNUSED, layer, "flags 0x%x are not known for this type",
                           (unsigned)(flags & ~known));
    return LSTM_OK;
}

static lstm_status check_words(const struct layer *layer, lstm_error *error)
{
    const uint32_t *words = layer->spec.params;
    const uint32_t rule = MODEL_RULE_WORDS + layer->spec.type;
    const float clip = layer_float(words[MODEL_RNN_CLIP]);
    if (!words[MODEL_RNN_HIDDEN] || words[MODEL_RNN_HIDDEN] > MODEL_MAX_DIM)
        return error_layer(error, rule, layer, "%u hidden units, expected 1 to %u",
                           (unsigned)words[MODEL_RNN_HIDDEN], (unsigned)MODEL_MAX_DIM);
    if (words[MODEL_RNN_DIRECTION] > MODEL_BIDIRECTIONAL)
        return error_layer(error, rule, layer, "direction %u, expected 0, 1 or 2",
                           (unsigned)words[MODEL_RNN_DIRECTION]);
    if (words[MODEL_RNN_CLIP] && !(isfinite(clip) && clip > 0))
        return error_layer(error, rule, layer, "clip %g, expected 0 or a positive number",
                           (double)clip);
    const lstm_status status = check_flags(layer, error);
    return status != LSTM_OK
               ? status
               : check_words_unused(layer,
                                    MODEL_RNN_ACTS + directions_of(layer) * MODEL_RNN_ACTS_STRIDE,
                                    error);
}

static lstm_status check_acts(const struct layer *layer, uint32_t direction, lstm_error *error)
{
    const uint32_t *words =
        layer->spec.params + MODEL_RNN_ACTS + direction * MODEL_RNN_ACTS_STRIDE;
    const uint32_t n = acts_of(layer->spec.type);
    if (words[0] >> (8 * n))
        return error_layer(error, MODEL_RULE_UNUSED, layer, "unused activation bytes must be 0");
    for (uint32_t i = 0; i < 3; i++) {
        const uint32_t *alpha_beta = words + 1 + 2 * i;
        if (i >= n && (alpha_beta[0] || alpha_beta[1]))
            return error_layer(error, MODEL_RULE_UNUSED, layer, "unused alpha and beta must be 0");
        if (i >= n)
            continue;
        const lstm_status status =
            check_activation(layer, words[0] >> (8 * i) & 0xff, alpha_beta, error);
        if (status != LSTM_OK)
            return status;
    }
    return LSTM_OK;
}

/* R: the first dimension of the first direction's projection, else H. */
static uint32_t recurrent_width(const struct lstm_model *model, const struct layer *layer)
{
    if (layer->spec.type != MODEL_LSTM || !layer_has(layer, MODEL_SLOT_PROJECTION))
        return layer->spec.params[MODEL_RNN_HIDDEN];
    struct model_tensor projection;
    model_get_tensor(&model->view, layer->spec.tensors[MODEL_SLOT_PROJECTION], &projection);
    return projection.dims[0];
}

static lstm_status check_peephole(const struct lstm_model *model, const struct layer *layer,
                                  uint32_t slot, lstm_error *error)
{
    const uint32_t hidden = layer->spec.params[MODEL_RNN_HIDDEN];
    const bool after = layer->spec.params[MODEL_RNN_FLAGS] & MODEL_FLAG_RESET_AFTER;
    if (layer->spec.type == MODEL_LSTM)
        return check_tensor(model, layer, slot, false, 2, (uint32_t[]){3, hidden}, error);
    if (layer->spec.type == MODEL_GRU && after)
        return check_tensor(model, layer, slot, false, 2, (uint32_t[]){1, hidden}, error);
    return check_slot_empty(layer, slot, error);
}

static lstm_status check_direction(const struct lstm_model *model, struct layer *layer,
                                   uint32_t direction, lstm_error *error)
{
    const uint32_t hidden = layer->spec.params[MODEL_RNN_HIDDEN];
    const uint32_t gates = gates_of(layer->spec.type);
    const uint32_t width = recurrent_width(model, layer);
    const uint32_t first = direction * MODEL_RNN_SLOTS;
    const bool lstm = layer->spec.type == MODEL_LSTM;
    const bool projected = lstm && layer_has(layer, MODEL_SLOT_PROJECTION);
    if (width > MODEL_MAX_DIM - layer->in.dims[0])
        return error_layer(error, MODEL_RULE_SHAPES + layer->spec.type, layer, "too many columns");
    const uint32_t columns = width + layer->in.dims[0];
    lstm_status status = check_acts(layer, direction, error);
    if (status == LSTM_OK)
        status = check_tensor(model, layer, first + MODEL_SLOT_W, true, 3,
                              (uint32_t[]){gates, hidden, columns}, error);
    if (status == LSTM_OK)
        status = check_tensor(model, layer, first + MODEL_SLOT_BIAS, false, 2,
                              (uint32_t[]){gates, hidden}, error);
    if (status == LSTM_OK)
        status = check_peephole(model, layer, first + MODEL_SLOT_PEEPHOLE, error);
    if (status == LSTM_OK)
        status = projected ? check_tensor(model, layer, first + MODEL_SLOT_PROJECTION, true, 2,
                                          (uint32_t[]){width, hidden}, error)
                           : check_slot_empty(layer, first + MODEL_SLOT_PROJECTION, error);
    if (status == LSTM_OK)
        status = check_tensor(model, layer, first + MODEL_SLOT_H0, false, 1, &width, error);
    if (status == LSTM_OK)
        status = lstm ? check_tensor(model, layer, first + MODEL_SLOT_C0, false, 1, &hidden, error)
                      : check_slot_empty(layer, first + MODEL_SLOT_C0, error);
    layer->state[direction].n_h = width;
    layer->state[direction].n_c = lstm ? hidden : 0;
    return status;
}

static lstm_status check(const struct lstm_model *model, struct layer *layer, lstm_error *error)
{
    lstm_status status = check_words(layer, error);
    const uint32_t n = directions_of(layer);
    if (status == LSTM_OK)
        status = check_arity(model, layer, 1, 2, n * MODEL_RNN_SLOTS, error);
    if (status == LSTM_OK && layer->in.rank != 1)
        status = error_layer(error, MODEL_RULE_SHAPES + layer->spec.type, layer,
                             "the input has rank %u, expected 1", (unsigned)layer->in.rank);
    if (status == LSTM_OK && layer->in.once)
        status = error_layer(error, MODEL_RULE_ONCE, layer, "the input has one frame a run");
    if (status == LSTM_OK && layer->spec.n_inputs > 1)
        status = check_number(model, layer, 1, "the mask", error);
    for (uint32_t d = 0; d < n && status == LSTM_OK; d++)
        status = check_direction(model, layer, d, error);
    if (status != LSTM_OK)
        return status;
    layer->n_states = n;
    layer->whole = layer->spec.params[MODEL_RNN_DIRECTION] != MODEL_FORWARD;
    const uint32_t out = n * recurrent_width(model, layer);
    status = check_output(layer, 1, &out, error);
    return status != LSTM_OK ? status : check_once(layer, false, error);
}

/* ---- for a person -------------------------------------------------------------- */

static void append(char *text, size_t n_bytes, const char *more)
{
    const size_t used = strlen(text);
    snprintf(text + used, n_bytes - used, "%s%s", used ? ", " : "", more);
}

bool recurrent_standard_acts(const struct layer *layer)
{
    static const uint32_t standard[] = {
        [MODEL_LSTM] = MODEL_ACT_SIGMOID | MODEL_ACT_TANH << 8 | MODEL_ACT_TANH << 16,
        [MODEL_GRU] = MODEL_ACT_SIGMOID | MODEL_ACT_TANH << 8,
        [MODEL_RNN] = MODEL_ACT_TANH,
    };
    for (uint32_t d = 0; d < directions_of(layer); d++)
        if (layer->spec.params[MODEL_RNN_ACTS + d * MODEL_RNN_ACTS_STRIDE] !=
            standard[layer->spec.type])
            return false;
    return true;
}

static void describe_acts(const struct layer *layer, char *text, size_t n_bytes)
{
    char acts[80] = "";
    const uint32_t word = layer->spec.params[MODEL_RNN_ACTS];
    for (uint32_t i = 0; i < acts_of(layer->spec.type); i++) {
        const size_t used = strlen(acts);
        snprintf(acts + used, sizeof acts - used, "%s%s", i ? "/" : "",
                 activation_name(word >> (8 * i) & 0xff));
    }
    append(text, n_bytes, acts);
}

static void describe(const struct layer *layer, char *text, size_t n_bytes)
{
    static const char *const directions[] = {"", "reverse", "bidirectional"};
    const uint32_t *words = layer->spec.params;
    char part[48];
    text[0] = 0;
    const unsigned units = words[MODEL_RNN_HIDDEN];
    snprintf(part, sizeof part, "%u unit%s", units, units == 1 ? "" : "s");
    append(text, n_bytes, part);
    if (words[MODEL_RNN_DIRECTION])
        append(text, n_bytes, directions[words[MODEL_RNN_DIRECTION]]);
    if (layer->spec.type == MODEL_GRU)
        append(text, n_bytes, words[MODEL_RNN_FLAGS] & MODEL_FLAG_RESET_AFTER ? "reset after"
                                                                            : "reset before");
    if (layer->spec.n_inputs > 1)
        append(text, n_bytes, "masked");
    if (layer_has(layer, MODEL_SLOT_PROJECTION)) {
        snprintf(part, sizeof part, "projection to %zu", layer->state[0].n_h);
        append(text, n_bytes, part);
    }
    if (layer->spec.type == MODEL_LSTM && layer_has(layer, MODEL_SLOT_PEEPHOLE))
        append(text, n_bytes, "peepholes");
    if (words[MODEL_RNN_FLAGS] & MODEL_FLAG_COUPLED && layer->spec.type == MODEL_LSTM)
        append(text, n_bytes, "coupled gates");
    if (words[MODEL_RNN_CLIP]) {
        snprintf(part, sizeof part, "clip %g", (double)layer_float(words[MODEL_RNN_CLIP]));
        append(text, n_bytes, part);
    }
    if (!recurrent_standard_acts(layer))
        describe_acts(layer, text, n_bytes);
}

static uint64_t flops(const struct lstm_model *model, const struct layer *layer)
{
    const uint64_t hidden = layer->spec.params[MODEL_RNN_HIDDEN];
    const uint64_t width = layer->state[0].n_h;
    uint64_t each = 2 * gates_of(layer->spec.type) * hidden * (width + layer->in.size);
    if (layer_has(layer, MODEL_SLOT_PROJECTION))
        each += 2 * width * hidden;
    (void)model;
    return directions_of(layer) * each;
}

void layer_initial_state(const struct lstm_model *model, const struct layer *layer,
                         uint32_t direction, float *h, float *c)
{
    const uint32_t first = direction * MODEL_RNN_SLOTS;
    const float *h0 = model_tensor_data(model, layer, first + MODEL_SLOT_H0);
    const float *c0 = model_tensor_data(model, layer, first + MODEL_SLOT_C0);
    for (size_t i = 0; i < layer->state[direction].n_h; i++)
        h[i] = h0 ? h0[i] : layer->rest;
    for (size_t i = 0; i < layer->state[direction].n_c; i++)
        c[i] = c0 ? c0[i] : 0;
}

/* ---- ways to step ----------------------------------------------------------------- */

static const struct recurrent_method *const methods[] = {&recurrent_lstm, &recurrent_gru,
                                                          &recurrent_gates, &recurrent_cells,
                                                          &recurrent_onednn};

const struct recurrent_method *const *recurrent_methods(size_t *n_out)
{
    *n_out = sizeof methods / sizeof methods[0];
    return methods;
}

struct recurrent_tensors recurrent_tensors_of(const struct plan_op *op, uint32_t direction)
{
    const struct lstm_model *model = op->plan->model;
    const uint32_t first = direction * MODEL_RNN_SLOTS;
    return (struct recurrent_tensors){
        .w = model_tensor_data(model, op->layer, first + MODEL_SLOT_W),
        .bias = model_tensor_data(model, op->layer, first + MODEL_SLOT_BIAS),
        .peephole = model_tensor_data(model, op->layer, first + MODEL_SLOT_PEEPHOLE),
        .projection = model_tensor_data(model, op->layer, first + MODEL_SLOT_PROJECTION),
    };
}

struct simd_matrix recurrent_part(const struct recurrent_op *op, const float *w, size_t first,
                                  size_t n, bool over_x)
{
    const size_t stride = op->n_r + op->n_x;
    return (struct simd_matrix){w + first * stride + (over_x ? op->n_r : 0), stride, n, 1,
                                over_x ? op->n_x : op->n_r};
}

bool recurrent_pack(struct plan_builder *builder, const struct plan_op *plan_op,
                    const struct recurrent_pack *pack)
{
    const struct recurrent_op *op = &plan_op->u.recurrent;
    const struct recurrent_tensors tensors = recurrent_tensors_of(plan_op, pack->direction);
    const float *bias = tensors.bias ? tensors.bias + pack->first : NULL;
    struct simd_matrix x = recurrent_part(op, tensors.w, pack->first, pack->x_rows, true);
    struct simd_matrix h = recurrent_part(op, tensors.w, pack->first, pack->h_rows, false);
    x.columns_each = h.columns_each = pack->gates;
    return plan_pack(builder, &x, pack->widest, bias, true, pack->x) &&
           plan_pack(builder, &h, pack->widest, pack->bias_h, pack->bias_h, pack->h);
}

size_t recurrent_hoist_tile(const struct lstm_plan *plan, const struct recurrent_op *op, size_t tile_items)
{
    const double weights = (double)op->n_directions * op->gates * op->hidden * (double)(op->n_x + op->n_r);
    return choose_hoist_tile(&plan->machine, weights * sizeof(float), tile_items);
}

void recurrent_hoist_room(struct lstm_plan *plan, const struct packed_matrix *x)
{
    if (x->panels.columns > plan->hoist_columns)
        plan->hoist_columns = x->panels.columns;
}

bool recurrent_pack_projection(struct plan_builder *builder, struct plan_op *plan_op,
                               uint32_t direction)
{
    struct recurrent_op *op = &plan_op->u.recurrent;
    const float *projection = recurrent_tensors_of(plan_op, direction).projection;
    const struct simd_matrix matrix = {projection, op->hidden, op->n_r, 1, op->hidden};
    return !projection || plan_pack(builder, &matrix, builder->plan->gemm->widest, NULL, true,
                                    &op->direction[direction].projection);
}

static void read_acts(const struct layer *layer, uint32_t direction, struct recurrent_weights *out)
{
    const uint32_t *words =
        layer->spec.params + MODEL_RNN_ACTS + direction * MODEL_RNN_ACTS_STRIDE;
    for (uint32_t i = 0; i < 3; i++) {
        out->act[i] = plan_act(words[0] >> (8 * i) & 0xff);
        out->alpha[i] = layer_float(words[1 + 2 * i]);
        out->beta[i] = layer_float(words[2 + 2 * i]);
    }
}

/* The first row of the plan's backend that takes the layer; else the last reason. */
static const struct recurrent_method *find_method(const struct lstm_plan *plan,
                                                  const struct layer *layer, const char **reason)
{
    size_t n;
    const struct recurrent_method *const *all = recurrent_methods(&n);
    for (size_t i = 0; i < n; i++) {
        if (strcmp(all[i]->backend, plan->backend) != 0)
            continue;
        *reason = all[i]->reject(plan, layer);
        if (!*reason)
            return all[i];
    }
    return NULL;
}

static lstm_status build(struct plan_builder *builder, struct plan_op *plan_op, lstm_error *error)
{
    const struct layer *layer = plan_op->layer;
    struct recurrent_op *op = &plan_op->u.recurrent;
    struct lstm_plan *plan = builder->plan;
    const uint32_t flags = layer->spec.params[MODEL_RNN_FLAGS];
    const char *reason = "";
    op->method = find_method(plan, layer, &reason);
    if (!op->method)
        return error_set(error, LSTM_E_UNSUPPORTED, "backend \"%.40s\" cannot run layer %u (%s): %s",
                         plan->backend, (unsigned)layer->index, layer->type->name, reason);
    if (layer->spec.n_inputs > 1) {
        plan_op->run = recurrent_run_masked;
        plan->any_mask = true;
    }
    op->n_directions = directions_of(layer);
    op->hidden = layer->spec.params[MODEL_RNN_HIDDEN];
    op->gates = gates_of(layer->spec.type);
    op->n_x = layer->in.size;
    op->n_r = layer->state[0].n_h;
    op->n_out = layer->out.size;
    op->clip = layer_float(layer->spec.params[MODEL_RNN_CLIP]);
    op->coupled = flags & MODEL_FLAG_COUPLED && op->gates == 4;
    op->reset_after = flags & MODEL_FLAG_RESET_AFTER && op->gates == 3;
    for (uint32_t d = 0; d < op->n_directions; d++)
        read_acts(layer, d, &op->direction[d]);
    const lstm_status status = op->method->build(builder, plan_op, error);
    if (op->scratch_floats > plan->scratch_floats)
        plan->scratch_floats = op->scratch_floats;
    return status;
}

void recurrent_release(struct plan_op *op)
{
    const struct recurrent_method *method = op->u.recurrent.method;
    if (method && method->release)
        method->release(op);
}

#define RECURRENT_ROW(code_, name_)                                                             \
    {                                                                                           \
        .code = code_, .name = name_, .family = LAYER_RECURRENT, .check = check,                \
        .describe = describe, .flops = flops, .build = build, .run = recurrent_run,             \
        .release = recurrent_release, .prepare = recurrent_prepare,                             \
        .prepared_bytes = (sizeof(struct recurrent_prepared) + 63) / 64 * 64,                   \
    }

const struct layer_type layer_lstm = RECURRENT_ROW(MODEL_LSTM, "lstm");
const struct layer_type layer_gru = RECURRENT_ROW(MODEL_GRU, "gru");
const struct layer_type layer_rnn = RECURRENT_ROW(MODEL_RNN, "rnn");
