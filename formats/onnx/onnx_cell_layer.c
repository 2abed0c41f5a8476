/* SPDX-License-Identifier: MIT
 *
 * Layers of cells that were written out: one for a cell that is called step by step, and one for all
 * cells of an unrolled loop.
 */
#include "formats/onnx/onnx_cell.h"

#include <inttypes.h>
#include <string.h>

/* ---- the layer ----------------------------------------------------------- */

/* Weights as [rows][columns], times alpha. `rows` 0: any, to be found out. */
static const float *read_weights(struct onnx_import *import, uint32_t input, const struct product *product,
                                 uint32_t *rows, uint32_t *columns)
{
    const struct onnx_value *value = onnx_input(import, input);
    const struct onnx_const *c = value ? &value->as.constant : NULL;
    uint32_t out_axis = !product->transposed;
    size_t n_out, n_in;
    float *out;
    if (!value) {
        onnx_fail(import, "a cell has no recurrent weights");
        return NULL;
    }
    if (value->kind != ONNX_CONST || c->is_int || c->rank != 2 || !onnx_is_plain(c->dims[0]) ||
        !onnx_is_plain(c->dims[1]) || c->count == 0 || c->dims[0].offset > MODEL_MAX_DIM ||
        c->dims[1].offset > MODEL_MAX_DIM) {
        onnx_fail(import, "the weights '%s' of a cell are no constant of two dimensions", value->name);
        return NULL;
    }
    n_out = (size_t)c->dims[out_axis].offset;
    n_in = (size_t)c->dims[!out_axis].offset;
    if ((*rows && n_out != *rows) || (*columns && n_in != *columns)) {
        onnx_fail(import, "the weights '%s' of a cell have the shape [%zu][%zu]; [%u][%u] was expected",
                  value->name, n_out, n_in, *rows, *columns);
        return NULL;
    }
    out = onnx_alloc(import, c->count, sizeof *out);
    for (size_t o = 0; out && o < n_out; o++)
        for (size_t i = 0; i < n_in; i++)
            out[o * n_in + i] =
                product->alpha * c->floats[product->transposed ? o * n_in + i : i * n_out + o];
    *rows = (uint32_t)n_out;
    *columns = (uint32_t)n_in;
    return out;
}

/* A bias of n numbers (or 1), times beta, added to `sum`, which is made if it is NULL. */
static bool add_bias(struct onnx_import *import, uint32_t input, float beta, uint32_t n, float **sum)
{
    const struct onnx_value *value = onnx_input(import, input);
    const struct onnx_const *c = value ? &value->as.constant : NULL;
    if (!value)
        return true;
    if (value->kind != ONNX_CONST || c->is_int || (c->count != n && c->count != 1))
        return onnx_fail(import, "the bias '%s' of a cell is no constant of %u numbers", value->name, n);
    if (!*sum && !(*sum = onnx_alloc(import, n, sizeof **sum)))
        return false;
    for (uint32_t i = 0; i < n; i++)
        (*sum)[i] += beta * c->floats[c->count == 1 ? 0 : i];
    return true;
}

static bool check_split(struct onnx_import *import, uint32_t input, uint32_t hidden)
{
    const int64_t *sizes;
    uint32_t n;
    if (!onnx_input(import, input))
        return true;
    if (!onnx_plain_list(import, input, "split", &sizes, &n))
        return false;
    for (uint32_t i = 0; i < n; i++)
        if (sizes[i] != hidden)
            return onnx_fail(import, "cuts gates of %" PRId64 " and more out of a sum, for %u hidden units",
                             sizes[i],
                             hidden);
    return true;
}

static bool fill_cell(struct onnx_import *import, struct import_cell *out)
{
    const struct onnx_cell *cell = import->node->cell;
    uint32_t rows = 0, columns = 0;
    float *bias_x = NULL, *bias_h = NULL;
    out->type = cell->type;
    out->w_recurrent = read_weights(import, CELL_R, &cell->h, &rows, &columns);
    if (!out->w_recurrent)
        return false;
    if (rows != cell->n_gates * (uint64_t)columns)
        return onnx_fail(import, "the recurrent weights '%s' of a cell have the shape [%u][%u], not [%u · "
                         "n][n]",
                         onnx_input(import, CELL_R)->name, rows, columns, cell->n_gates);
    out->hidden = out->recurrent = columns;
    columns = 0;
    out->w_input = read_weights(import, CELL_W, &cell->x, &rows, &columns);
    if (!out->w_input || !add_bias(import, CELL_BIAS_X, cell->x.beta, rows, &bias_x) ||
        !add_bias(import, CELL_BIAS, 1, rows, &bias_x) ||
        !add_bias(import, CELL_BIAS_H, cell->h.beta, rows, &bias_h) ||
        !check_split(import, CELL_SPLIT_X, out->hidden) || !check_split(import, CELL_SPLIT_H, out->hidden))
        return false;
    out->input = columns;
    out->order = cell->order;
    out->reset_after = cell->type == MODEL_GRU;
    out->bias_input = bias_x;
    out->bias_recurrent = bias_h;
    return true;
}

static bool is_state(const struct onnx_value *value)
{
    return value && value->kind == ONNX_OPAQUE && value->as.opaque.role == ROLE_STATE;
}

/* All inputs are looked at here, as other nodes' are before they are handled. */
static bool know_inputs(struct onnx_import *import)
{
    for (uint32_t i = 0; i < import->node->n_inputs; i++)
        if (onnx_input(import, i) && !onnx_make_known(import, onnx_input(import, i)))
            return false;
    return true;
}

static bool read_x(struct onnx_import *import, struct onnx_frames *x, uint32_t n_in)
{
    const struct onnx_value *value = onnx_input(import, CELL_X);
    if (value->kind != ONNX_FRAMES)
        return onnx_fail(import, "the input '%s' of a cell does not depend on the model's input",
                         value->name);
    *x = value->as.frames;
    if (!onnx_settle(import, x, NULL) || !onnx_refuse_padding(import, value) || !onnx_in_order(import, x))
        return false;
    if (x->n_axes < 1 || x->axes[x->n_axes - 1].kind != AXIS_FEATURE || x->axes[x->n_axes - 1].size != n_in)
        return onnx_fail(import, "the last axis of the input '%s' of a cell is not %u features", value->name,
                         n_in);
    for (uint32_t i = 0; i + 1 < x->n_axes; i++)
        if (x->axes[i].kind != AXIS_BATCH && (x->axes[i].kind != AXIS_FEATURE || x->axes[i].size != 1))
            return onnx_fail(import, "axis %u of the input '%s' of a cell is not the batch", i, value->name);
    if (x->once || x->is_int)
        return onnx_fail(import, "the input '%s' of a cell is no frame of each step", value->name);
    return true;
}

/* A constant first state, the same for each item, in *out; NULL for zeros. */
static bool first_state(struct onnx_import *import, uint32_t input, uint32_t hidden, const float **out)
{
    const struct onnx_value *value = onnx_input(import, input);
    const struct onnx_const *c = &value->as.constant;
    float *state;
    *out = NULL;
    if (value->kind != ONNX_CONST || c->is_int || c->count == 0 || c->count % hidden)
        return onnx_fail(import, "the first state '%s' of a loop is no constant of %u numbers an item",
                         value->name,
                         hidden);
    state = onnx_alloc(import, hidden, sizeof *state);
    for (size_t i = 0; state && i < c->count; i++) {
        if (i >= hidden && c->floats[i] != state[i % hidden])
            return onnx_fail(import, "the first state '%s' of a loop differs between the items of the batch",
                             value->name);
        state[i % hidden] = c->floats[i];
        *out = state[i % hidden] != 0 ? state : *out;
    }
    return state != NULL;
}

/* The product with a first state of zeros is the bias alone. */
static bool check_folded(struct onnx_import *import, const struct import_cell *parts)
{
    const struct onnx_value *value = onnx_input(import, CELL_H);
    const struct onnx_const *c = &value->as.constant;
    size_t n = (size_t)parts->hidden * import->node->cell->n_gates;
    bool good = value->kind == ONNX_CONST && !c->is_int && c->count % n == 0;
    for (size_t i = 0; good && i < c->count; i++)
        good = c->floats[i] == (parts->bias_recurrent ? parts->bias_recurrent[i % n] : 0);
    return good || onnx_fail(import, "'%s' is not what a cell's first state of zeros gives", value->name);
}

static bool same_product(const struct product *a, const struct product *b)
{
    return a->weights == b->weights && a->bias == b->bias && a->transposed == b->transposed &&
           a->alpha == b->alpha && a->beta == b->beta;
}

/* The cell continues the loop whose layer its states come from; *value_out is that layer's. */
static bool continues(struct onnx_import *import, const struct onnx_frames *x, uint32_t *value_out)
{
    const struct onnx_cell *cell = import->node->cell, *made_of;
    const struct onnx_value *h = onnx_input(import, CELL_H), *c = onnx_input(import, CELL_C);
    const struct onnx_layer *layer;
    if (!h || h->kind != ONNX_FRAMES || !h->as.frames.is_step || h->as.frames.step + 1 != x->step ||
        h->as.frames.value == 0)
        return onnx_fail(import, "step %u of a loop does not continue the step before it", x->step);
    *value_out = h->as.frames.value;
    layer = import->layers[h->as.frames.value - 1];
    made_of = layer->made_of;
    if (!made_of || layer->loops_over != x->value || made_of->type != cell->type ||
        !same_product(&made_of->x, &cell->x) || !same_product(&made_of->h, &cell->h) ||
        made_of->bias != cell->bias || memcmp(&made_of->order, &cell->order, sizeof cell->order))
        return onnx_fail(import, "step %u of a loop has another input or other weights than those before it",
                         x->step);
    if (cell->type == MODEL_LSTM &&
        (!c || c->kind != ONNX_OPAQUE || c->as.opaque.role != ROLE_CELL ||
         c->as.opaque.value != h->as.frames.value || c->as.opaque.step + 1 != x->step))
        return onnx_fail(import, "the c of step %u of a loop is not that of the step before it", x->step);
    return true;
}

static void give(struct onnx_import *import, const struct onnx_frames *h)
{
    onnx_set_frames(onnx_output(import, 1), h);
    if (!onnx_output(import, 2))
        return;
    onnx_output(import, 2)->kind = ONNX_OPAQUE;
    onnx_output(import, 2)->as.opaque = (struct onnx_opaque){.role = ROLE_CELL, .value = h->value, .step =
                                                             h->step};
}

/* The state in the product is the one that the cell reads elsewhere. */
static bool same_state(struct onnx_import *import, const struct import_cell *parts)
{
    size_t n = parts->hidden * sizeof *parts->h0;
    const float *other = NULL;
    if (!onnx_input(import, CELL_FIRST))
        return true;
    if (!first_state(import, CELL_FIRST, parts->hidden, &other))
        return false;
    if (parts->h0 ? other && memcmp(parts->h0, other, n) == 0 : !other)
        return true;
    return onnx_fail(import, "reads two different first states");
}

/* States from outside, or the first ones of a loop. */
static bool read_states(struct onnx_import *import, const struct onnx_frames *x, struct import_cell *parts)
{
    const struct onnx_cell *cell = import->node->cell;
    bool lstm = cell->type == MODEL_LSTM;
    if (x->is_step)
        return (cell->folded ? check_folded(import, parts)
                             : first_state(import, CELL_H, parts->hidden, &parts->h0)) &&
               (!lstm || first_state(import, CELL_C, parts->hidden, &parts->c0)) && same_state(import, parts);
    return (is_state(onnx_input(import, CELL_H)) && (!lstm || is_state(onnx_input(import, CELL_C)))) ||
           onnx_fail(import, "a cell whose states are neither inputs of the graph nor carried on in a loop "
                     "over all "
                     "steps is not supported");
}

bool onnx_lay_cell(struct onnx_import *import)
{
    const struct onnx_cell *cell = import->node->cell;
    struct import_cell parts = {0};
    struct onnx_layer *layer;
    struct onnx_frames x;
    uint32_t before;
    if (!know_inputs(import) || !fill_cell(import, &parts) || !read_x(import, &x, parts.input))
        return false;
    x.axes[x.n_axes - 1] = onnx_feature(parts.hidden);
    before = x.value;
    if (x.is_step && x.step > 0) {
        if (!continues(import, &x, &before))
            return false;
        x.value = before;
        give(import, &x);
        return true;
    }
    if (!read_states(import, &x, &parts) || !onnx_shaped(import, &x, 1, &parts.input))
        return false;
    layer = onnx_layer_on(import, cell->type, x.value);
    if (!layer)
        return false;
    import_rnn_params(layer->spec.params, cell->type, parts.hidden, MODEL_FORWARD,
                      cell->type == MODEL_GRU ? MODEL_FLAG_RESET_AFTER : 0);
    if (cell->type == MODEL_RNN)
        layer->spec.params[MODEL_RNN_ACTS] = cell->activation;
    layer->cells[0] = parts;
    layer->n_cells = 1;
    layer->made_of = cell;
    layer->loops_over = before;
    layer->spec.dims[0] = parts.hidden;
    x.value = onnx_layer_add(import, layer);
    give(import, &x);
    return x.value != MODEL_NONE;
}
