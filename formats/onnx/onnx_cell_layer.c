/* SPDX-License-Identifier: MIT
 *
 * Layers of cells that were written out: one for a cell that is called step by step, and one for all
 * cells of an unrolled loop, each of which is shown to do what the first one does.
 */
#include "formats/onnx/onnx_cell.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

/* What is known of the cell at hand. */
struct laying {
    struct onnx_import *import;
    struct onnx_cell *cell;
    struct onnx_frames x;  /* as the cell's gates see it */
    uint32_t source;       /* model value that its input is … */
    uint32_t input, hidden; /* … with so many features */
    uint32_t rank;         /* of the state that comes out */
    bool has_bias[2];      /* beside the state's product: [1] inside of r ⊗ (…) */
    struct import_cell parts;
};

/* ---- x ------------------------------------------------------------------- */

static struct onnx_value *value_of(const struct laying *l, int32_t value)
{
    return value == ONNX_ABSENT ? NULL : &l->import->values[value];
}

/* All inputs are looked at here, as other nodes' are before they are handled. */
static bool know_inputs(struct onnx_import *import)
{
    for (uint32_t i = 0; i < import->node->n_inputs; i++)
        if (!onnx_make_known(import, onnx_input(import, i)))
            return false;
    return true;
}

/* The layer of a product with all steps at once, which then belongs to the cell: NULL if it is none. */
static const struct onnx_layer *hoisted(const struct onnx_import *import, const struct cell_term *term,
                                        uint32_t value)
{
    const struct onnx_layer *layer = value > 0 ? import->layers[value - 1] : NULL;
    if (!layer || term->weights != ONNX_ABSENT || layer->spec.type != MODEL_DENSE || layer->spec.rank != 1 ||
        layer->spec.params[0] != MODEL_ACT_IDENTITY || layer->spec.once ||
        onnx_frame_of(import, layer->spec.inputs[0]).rank != 1)
        return NULL;
    return layer;
}

static bool check_x(struct onnx_import *import, struct onnx_value *value)
{
    struct onnx_frames *x = &value->as.frames;
    if (value->kind != ONNX_FRAMES)
        return onnx_fail(import, "the input '%s' of a cell does not depend on the model's input",
                         value->name);
    if (!onnx_settle(import, x, NULL) || !onnx_refuse_padding(import, value) || !onnx_in_order(import, x))
        return false;
    if (x->n_axes < 1 || x->axes[x->n_axes - 1].kind != AXIS_FEATURE)
        return onnx_fail(import, "the last axis of the input '%s' of a cell is no features", value->name);
    for (uint32_t i = 0; i + 1 < x->n_axes; i++)
        if (x->axes[i].kind != AXIS_BATCH && (x->axes[i].kind != AXIS_FEATURE || x->axes[i].size != 1))
            return onnx_fail(import, "axis %u of the input '%s' of a cell is not the batch", i, value->name);
    if (x->once || x->is_int || x->backward || x->apart)
        return onnx_fail(import, "the input '%s' of a cell is no frame of each step: if this is a loop that "
                         "was unrolled, its steps are not all the same cell", value->name);
    return true;
}

/* Every term with x must have the same one. */
static bool find_x(struct laying *l)
{
    bool first = true;
    for (uint32_t s = 0; s < l->cell->n_sums; s++)
        for (uint32_t i = 0; i < l->cell->sums[s].n; i++) {
            struct cell_term *term = &l->cell->sums[s].terms[i];
            struct onnx_value *value = value_of(l, term->value);
            const struct onnx_layer *layer;
            const struct onnx_frames *x;
            uint32_t source, n_in;
            if (term->kind != TERM_INPUT)
                continue;
            if (!check_x(l->import, value))
                return false;
            x = &value->as.frames;
            term->source = x->value;
            layer = hoisted(l->import, term, x->value);
            source = layer ? layer->spec.inputs[0] : x->value;
            n_in = layer ? onnx_frame_of(l->import, source).dims[0] : x->axes[x->n_axes - 1].size;
            if (first) {
                l->x = *x;
                l->source = source;
                l->input = n_in;
            }
            first = false;
            if (source != l->source || n_in != l->input || x->is_step != l->x.is_step ||
                x->step != l->x.step || x->n_axes != l->x.n_axes)
                return onnx_fail(l->import, "the gates of a cell have different inputs, '%s' and another one",
                                 value->name);
        }
    return true;
}

/* ---- terms as numbers ---------------------------------------------------- */

/* A term's matrix before its cuts: NULL in `numbers` for that of ones. */
struct matrix {
    const float *numbers, *bias;
    uint32_t n_out, n_in;
    bool transposed; /* [out][in] */
};

static bool view_weights(struct laying *l, const struct cell_term *term, struct matrix *out)
{
    const struct onnx_value *value = value_of(l, term->weights);
    const struct onnx_const *c = &value->as.constant;
    if (value->kind != ONNX_CONST || c->is_int || c->rank != 2 || !onnx_is_plain(c->dims[0]) ||
        !onnx_is_plain(c->dims[1]) || c->count == 0 || c->dims[0].offset > MODEL_MAX_DIM ||
        c->dims[1].offset > MODEL_MAX_DIM)
        return onnx_fail(l->import, "the weights '%s' of a cell are no constant of two dimensions",
                         value->name);
    *out = (struct matrix){c->floats, NULL, (uint32_t)c->dims[!term->transposed].offset,
                           (uint32_t)c->dims[term->transposed].offset, term->transposed};
    return true;
}

static bool view_term(struct laying *l, const struct cell_term *term, struct matrix *out)
{
    const struct onnx_layer *layer = hoisted(l->import, term, term->source);
    if (term->weights != ONNX_ABSENT)
        return view_weights(l, term, out);
    *out = (struct matrix){NULL, NULL, l->input, l->input, true};
    if (layer) {
        out->numbers = layer->tensors[0].data;
        out->bias = layer->tensors[1].data;
        out->n_out = layer->tensors[0].dims[0];
    }
    return true;
}

static bool find_hidden(struct laying *l)
{
    struct matrix m;
    for (uint32_t s = 0; s < l->cell->n_sums; s++)
        for (uint32_t i = 0; i < l->cell->sums[s].n; i++) {
            const struct cell_term *term = &l->cell->sums[s].terms[i];
            if (term->kind != TERM_STATE)
                continue;
            if (!view_weights(l, term, &m))
                return false;
            if (term->joined && m.n_in <= l->input)
                return onnx_fail(l->import, "the weights '%s' of a cell take %u features, its input has %u",
                                 value_of(l, term->weights)->name, m.n_in, l->input);
            l->hidden = m.n_in - (term->joined ? l->input : 0);
            return true;
        }
    return onnx_fail(l->import, "a cell has no recurrent weights");
}

static bool is_all_items(const struct onnx_range *range, uint32_t rank)
{
    return range->axis != rank - 1 && range->step == 1 && onnx_same(range->start, onnx_plain(0)) &&
           onnx_is_plain(range->end) && range->end.offset >= INT32_MAX;
}

/* What a Slice leaves of `count` rows. */
static bool slice_rows(struct onnx_import *import, uint32_t rank, int64_t *start, int64_t *count)
{
    struct onnx_range range[ONNX_MAX_AXES];
    const struct onnx_range *cut = range;
    uint32_t n;
    if (!onnx_slice_ranges(import, rank, range, &n))
        return false;
    while (cut + 1 < range + n && is_all_items(cut, rank))
        cut++;
    if (cut + 1 != range + n || cut->axis != rank - 1 || cut->step != 1 || !onnx_is_plain(cut->start) ||
        !onnx_is_plain(cut->end))
        return onnx_fail(import, "cuts gates of a cell along another axis than the last one of %u, or with "
                         "steps", rank);
    onnx_clamp_range(cut->start.offset, cut->end.offset, 1, *count, start, count);
    return true;
}

static bool split_rows(struct onnx_import *import, uint32_t rank, uint32_t slot, int64_t *start,
                       int64_t *count)
{
    const int64_t *sizes;
    if (onnx_axis_index(onnx_attribute_int(import, "axis", 0), rank) != rank - 1)
        return onnx_fail(import, "cuts gates of a cell along another axis than the last one of %u", rank);
    if (!onnx_split_sizes(import, *count, &sizes))
        return false;
    *start = 0;
    for (uint32_t i = 0; i < slot; i++)
        *start += sizes[i];
    *count = sizes[slot];
    return true;
}

/* The rows that the cuts leave of n: as many as there are hidden units. */
static bool find_rows(struct laying *l, struct cell_term *term, uint32_t n)
{
    const struct onnx_node *cell = l->import->node;
    int64_t start = 0, count = n, first;
    bool good = true;
    for (uint32_t i = term->n_cuts; good && i-- > 0;) {
        l->import->node = &l->import->nodes[term->cuts[i].node];
        good = onnx_is_op(l->import->node, "Slice")
                   ? slice_rows(l->import, l->rank, &first, &count)
                   : split_rows(l->import, l->rank, term->cuts[i].slot, &first, &count);
        start += good ? first : 0;
    }
    l->import->node = cell;
    term->start = (uint32_t)start;
    term->count = (uint32_t)count;
    return good && (count == l->hidden ||
                    onnx_fail(l->import, "a gate has %" PRId64 " numbers of '%s', for %u hidden units", count,
                              term->weights == ONNX_ABSENT ? value_of(l, term->value)->name
                                                           : value_of(l, term->weights)->name, l->hidden));
}

/* ---- biases -------------------------------------------------------------- */

/* A constant in a sum as n numbers, which are the same for each item: or 1. */
static bool view_bias(struct laying *l, const struct cell_term *term, const float **out, uint32_t *n_out)
{
    const struct onnx_value *value = value_of(l, term->value);
    const struct onnx_const *c = &value->as.constant;
    size_t n = 1;
    if (value->kind == ONNX_CONST && c->rank > 0)
        n = onnx_extent(c, c->rank - 1);
    if (value->kind != ONNX_CONST || c->is_int || c->count == 0 || n == 0 || n > MODEL_MAX_DIM)
        return onnx_fail(l->import, "'%s', which is added in a cell, is no constant", value->name);
    for (size_t i = n; i < c->count; i++)
        if (c->floats[i] != c->floats[i - n])
            return onnx_fail(l->import, "'%s', which is added in a cell, differs between the items of the "
                             "batch", value->name);
    *out = c->floats;
    *n_out = (uint32_t)n;
    return true;
}

static bool add_bias(struct laying *l, struct cell_term *term, float *sum)
{
    const float *numbers = NULL;
    uint32_t n = 0;
    if (!view_bias(l, term, &numbers, &n))
        return false;
    if (n > 1 || l->hidden == 1) {
        if (!find_rows(l, term, n))
            return false;
    } else if (term->n_cuts > 0) {
        return onnx_fail(l->import, "cuts gates out of '%s', a single number",
                         value_of(l, term->value)->name);
    }
    for (uint32_t i = 0; i < l->hidden; i++)
        sum[i] += term->factor * numbers[n == 1 ? 0 : term->start + i];
    return true;
}

/* ---- weights ------------------------------------------------------------- */

static bool add_weights(struct laying *l, struct cell_term *term, float *out, float *bias, bool *has_bias)
{
    bool input = term->kind == TERM_INPUT;
    uint32_t width = input ? l->input : l->hidden, column;
    struct matrix m = {0};
    if (!view_term(l, term, &m) || !find_rows(l, term, m.n_out))
        return false;
    column = term->joined && term->second ? (input ? l->hidden : l->input) : 0;
    if (m.n_in != (term->joined ? l->input + l->hidden : width))
        return onnx_fail(l->import, "the weights '%s' of a cell take %u features, not %u",
                         term->weights == ONNX_ABSENT ? "" : value_of(l, term->weights)->name, m.n_in, width);
    for (uint32_t o = 0; o < l->hidden; o++) {
        size_t row = term->start + o;
        for (uint32_t i = 0; i < width; i++) {
            size_t at = m.transposed ? row * m.n_in + column + i : (column + i) * (size_t)m.n_out + row;
            out[o * (size_t)width + i] += term->factor * (m.numbers ? m.numbers[at] : row == i);
        }
        if (m.bias)
            bias[o] += term->factor * m.bias[row];
    }
    *has_bias |= m.bias != NULL;
    return true;
}

/* The weights and biases of all gates; of a GRU with the reset behind the product its inner sum is the
 * recurrent part of the third one. */
static bool fill_parts(struct laying *l)
{
    const struct onnx_cell *cell = l->cell;
    size_t H = l->hidden, n_gates = cell->n_sums == 4 && cell->type == MODEL_GRU ? 3 : cell->n_sums;
    float *w, *r, *bias[2];
    if (H > MODEL_MAX_DIM || l->input > MODEL_MAX_DIM)
        return onnx_fail(l->import, "a cell is too large");
    w = onnx_alloc(l->import, n_gates * H * l->input, sizeof *w);
    r = onnx_alloc(l->import, n_gates * H * H, sizeof *r);
    for (uint32_t k = 0; k < 2; k++)
        bias[k] = onnx_alloc(l->import, n_gates * H, sizeof *w);
    if (!w || !r || !bias[0] || !bias[1])
        return false;
    for (uint32_t s = 0; s < cell->n_sums; s++) {
        bool inner = s == n_gates;
        size_t gate = inner ? 2 : s;
        for (uint32_t i = 0; i < cell->sums[s].n; i++) {
            struct cell_term *term = &cell->sums[s].terms[i];
            float *to = bias[inner] + gate * H;
            if (term->kind == TERM_BIAS ? !add_bias(l, term, to)
                : term->kind == TERM_INPUT
                    ? !add_weights(l, term, w + gate * H * l->input, to, &l->has_bias[inner])
                    : !add_weights(l, term, r + gate * H * H, to, &l->has_bias[inner]))
                return false;
            l->has_bias[inner] |= term->kind == TERM_BIAS;
        }
    }
    l->parts = (struct import_cell){.type = cell->type, .hidden = l->hidden, .input = l->input,
                                    .recurrent = l->hidden, .reset_after = cell->reset_after,
                                    .order = import_order_torch, .w_input = w, .w_recurrent = r,
                                    .bias_input = l->has_bias[0] ? bias[0] : NULL,
                                    .bias_recurrent = l->has_bias[1] ? bias[1] : NULL};
    return true;
}

/* ---- first states -------------------------------------------------------- */

static bool is_state(const struct onnx_value *value)
{
    return value && value->kind == ONNX_OPAQUE && value->as.opaque.role == ROLE_STATE;
}

/* A constant first state, the same for each item, in *out; NULL for zeros. */
static bool first_state(struct laying *l, int32_t at, const float **out)
{
    const struct onnx_value *value = value_of(l, at);
    const struct onnx_const *c = &value->as.constant;
    uint32_t hidden = l->hidden;
    float *state;
    *out = NULL;
    if (value->kind != ONNX_CONST || c->is_int || c->count == 0 || c->count % hidden)
        return onnx_fail(l->import, "the first state '%s' of a loop is no constant of %u numbers an item",
                         value->name, hidden);
    state = onnx_alloc(l->import, hidden, sizeof *state);
    for (size_t i = 0; state && i < c->count; i++) {
        if (i >= hidden && c->floats[i] != state[i % hidden])
            return onnx_fail(l->import, "the first state '%s' of a loop differs between the items of the "
                             "batch", value->name);
        state[i % hidden] = c->floats[i];
        *out = state[i % hidden] != 0 ? state : *out;
    }
    return state != NULL;
}

/* The states that the products take are the one that the cell keeps a part of. */
static bool same_states(struct laying *l)
{
    const struct onnx_cell *cell = l->cell;
    for (uint32_t s = 0; s < cell->n_sums; s++)
        for (uint32_t i = 0; i < cell->sums[s].n; i++) {
            const struct cell_term *term = &cell->sums[s].terms[i];
            const float *other;
            if (term->kind != TERM_STATE || term->value == cell->state || term->value == ONNX_ABSENT)
                continue;
            if (value_of(l, term->value)->kind == ONNX_CONST) {
                if (!first_state(l, term->value, &other))
                    return false;
                if (!l->parts.h0 != !other ||
                    (other && memcmp(l->parts.h0, other, l->hidden * sizeof *other)))
                    return onnx_fail(l->import, "reads two different first states");
            } else if (value_of(l, term->value)->kind != ONNX_FRAMES) {
                return onnx_fail(l->import, "the products of a cell take different states");
            }
        }
    return true;
}

/* What the first state gave when the exporter computed its product: the biases, and R · h0. */
static bool check_folded(struct laying *l)
{
    const struct onnx_cell *cell = l->cell;
    size_t H = l->hidden;
    float *sum = onnx_alloc(l->import, 2 * H, sizeof *sum);
    for (uint32_t s = 0; sum && s < cell->n_sums; s++) {
        const char *name = "";
        size_t gate = s == 3 && cell->type == MODEL_GRU ? 2 : s;
        memset(sum, 0, 2 * H * sizeof *sum);
        for (uint32_t i = 0; i < cell->sums[s].n; i++)
            if (cell->sums[s].terms[i].kind == TERM_BIAS && !add_bias(l, &cell->sums[s].terms[i], sum))
                return false;
        for (uint32_t i = 0; i < cell->folded[s].n; i++) {
            struct cell_term *term = &cell->folded[s].terms[i];
            if (term->kind != TERM_BIAS)
                continue;
            if (!add_bias(l, term, sum + H))
                return false;
            if (term->value != cell->sums[s].terms[cell->sums[s].n - 1].value)
                name = value_of(l, term->value)->name;
        }
        for (size_t o = 0; o < H; o++) {
            double expected = sum[o];
            bool outer = s == 2 && cell->reset_after;
            for (size_t k = 0; l->parts.h0 && !outer && k < H; k++)
                expected += (double)l->parts.w_recurrent[(gate * H + o) * H + k] * l->parts.h0[k];
            if (!(fabs(expected - sum[H + o]) <= 4e-6 * (1 + fabs(expected))))
                return onnx_fail(l->import, "'%s' is not what a cell's first state of %s gives", name,
                                 l->parts.h0 ? "these numbers" : "zeros");
        }
    }
    return sum != NULL;
}

/* ---- loops --------------------------------------------------------------- */

static bool same_constant(const struct laying *l, int32_t a, int32_t b)
{
    const struct onnx_value *x = value_of(l, a), *y = value_of(l, b);
    if (a == b)
        return true;
    return x && y && x->kind == ONNX_CONST && y->kind == ONNX_CONST && !x->as.constant.is_int &&
           !y->as.constant.is_int && x->as.constant.count == y->as.constant.count &&
           x->as.constant.rank == y->as.constant.rank &&
           memcmp(x->as.constant.dims, y->as.constant.dims,
                  x->as.constant.rank * sizeof *x->as.constant.dims) == 0 &&
           memcmp(x->as.constant.floats, y->as.constant.floats, x->as.constant.count * sizeof(float)) == 0;
}

static bool same_term(const struct laying *l, const struct cell_term *a, const struct cell_term *b)
{
    return a->kind == b->kind && same_constant(l, a->weights, b->weights) && a->transposed == b->transposed &&
           a->joined == b->joined && a->second == b->second && a->factor == b->factor &&
           a->start == b->start && a->count == b->count &&
           (a->kind != TERM_INPUT || a->source == b->source) &&
           (a->kind != TERM_BIAS || same_constant(l, a->value, b->value));
}

static bool same_sums(const struct laying *l, const struct onnx_cell *a, const struct onnx_cell *b)
{
    if (a->type != b->type || a->n_sums != b->n_sums || a->activation != b->activation ||
        a->reset_after != b->reset_after)
        return false;
    for (uint32_t s = 0; s < a->n_sums; s++) {
        if (a->sums[s].n != b->sums[s].n)
            return false;
        for (uint32_t i = 0; i < a->sums[s].n; i++)
            if (!same_term(l, &a->sums[s].terms[i], &b->sums[s].terms[i]))
                return false;
    }
    return true;
}

/* Rows of the terms, for a cell whose numbers are another one's. */
static bool find_all_rows(struct laying *l)
{
    const float *numbers = NULL;
    struct matrix m = {0};
    for (uint32_t s = 0; s < l->cell->n_sums; s++)
        for (uint32_t i = 0; i < l->cell->sums[s].n; i++) {
            struct cell_term *term = &l->cell->sums[s].terms[i];
            bool bias = term->kind == TERM_BIAS;
            if (bias ? !view_bias(l, term, &numbers, &m.n_out) : !view_term(l, term, &m))
                return false;
            if ((!bias || m.n_out > 1 || l->hidden == 1) && !find_rows(l, term, m.n_out))
                return false;
        }
    return true;
}

/* The value is what the layer gives at this step. */
static bool follows(const struct onnx_value *value, uint32_t layer_value, uint32_t step)
{
    return value && value->kind == ONNX_FRAMES && value->as.frames.is_step &&
           value->as.frames.value == layer_value && value->as.frames.step == step;
}

/* The cell continues the loop whose layer its states come from; *value_out is that layer's. */
static bool continue_loop(struct laying *l, uint32_t *value_out)
{
    const struct onnx_cell *cell = l->cell;
    const struct onnx_frames *h = &value_of(l, cell->state)->as.frames;
    const struct onnx_value *c = value_of(l, cell->c_before);
    const struct onnx_layer *layer = h->value > 0 && h->is_step ? l->import->layers[h->value - 1] : NULL;
    uint32_t step = l->x.step, before;
    if (!layer || !layer->made_of || !l->x.is_step)
        return onnx_fail(l->import, "the state of a cell, '%s', is neither an input of the graph nor carried "
                         "on in a loop over all steps", value_of(l, cell->state)->name);
    before = layer->spec.params[MODEL_RNN_DIRECTION] == MODEL_REVERSED ? step + 1 : step - 1;
    if (h->step != before)
        return onnx_fail(l->import, "step %u of a loop does not continue the step before it, but step %u",
                         step, h->step);
    if (!find_all_rows(l))
        return false;
    if (layer->loops_over != l->source || !same_sums(l, layer->made_of, cell))
        return onnx_fail(l->import, "step %u of a loop has another input or other weights than those before "
                         "it", step);
    for (uint32_t s = 0; s < cell->n_sums; s++)
        for (uint32_t i = 0; i < cell->sums[s].n; i++)
            if (cell->sums[s].terms[i].kind == TERM_STATE &&
                !follows(value_of(l, cell->sums[s].terms[i].value), h->value, before))
                return onnx_fail(l->import, "step %u of a loop multiplies something else than the state of "
                                 "the step before it", step);
    if (cell->type == MODEL_LSTM &&
        (!c || c->kind != ONNX_OPAQUE || c->as.opaque.role != ROLE_CELL || c->as.opaque.value != h->value ||
         c->as.opaque.step != before))
        return onnx_fail(l->import, "the c of step %u of a loop is not that of the step before it", step);
    *value_out = h->value;
    return true;
}

static bool check_state(struct laying *l, const struct onnx_value *value)
{
    uint32_t n = is_state(value) ? value->as.opaque.n_last : 0;
    return n == 0 || n == l->hidden ||
           onnx_fail(l->import, "the state '%s' has %u numbers an item, the cell %u hidden units", value->name, n,
                     l->hidden);
}

/* Where a loop begins: at the first step, or backward at the last. */
static bool begin_loop(struct laying *l, uint32_t *direction)
{
    const struct onnx_cell *cell = l->cell;
    const struct onnx_value *h = value_of(l, cell->state), *c = value_of(l, cell->c_before);
    bool lstm = cell->type == MODEL_LSTM;
    if (!check_state(l, h) || !check_state(l, c))
        return false;
    if (!l->x.is_step)
        return (is_state(h) && (!lstm || is_state(c))) ||
               onnx_fail(l->import, "a cell whose states are neither inputs of the graph nor carried on in a "
                         "loop over all steps is not supported");
    if (l->x.step != 0 && (int64_t)l->x.step != l->import->frozen_time - 1)
        return onnx_fail(l->import, "a loop begins at step %u, neither the first nor the last one",
                         l->x.step);
    *direction = l->x.step == 0 ? MODEL_FORWARD : MODEL_REVERSED;
    return (!h || is_state(h) || first_state(l, cell->state, &l->parts.h0)) &&
           (!lstm || is_state(c) || first_state(l, cell->c_before, &l->parts.c0)) &&
           (!cell->folded || check_folded(l));
}

/* ---- the layer ----------------------------------------------------------- */

static uint32_t rank_of(const struct laying *l, int32_t at)
{
    const struct onnx_value *value = value_of(l, at);
    return !value                                                  ? 0
           : value->kind == ONNX_FRAMES                            ? value->as.frames.n_axes
           : value->kind == ONNX_CONST                             ? value->as.constant.rank
           : value->kind == ONNX_OPAQUE && value->as.opaque.has_rank ? value->as.opaque.rank
                                                                   : 0;
}

/* A state may have more axes of 1 in front than x. */
static void find_rank(struct laying *l)
{
    uint32_t state = rank_of(l, l->cell->state);
    l->rank = state > l->x.n_axes ? state : l->x.n_axes;
    for (uint32_t s = 0; l->cell->folded && s < l->cell->n_sums; s++)
        for (uint32_t i = 0; i < l->cell->folded[s].n; i++) {
            const struct cell_term *term = &l->cell->folded[s].terms[i];
            uint32_t rank = term->kind == TERM_BIAS ? rank_of(l, term->value) : 0;
            l->rank = rank > l->rank ? rank : l->rank;
        }
}

/* h and c of this step. */
static void give(const struct laying *l, uint32_t value)
{
    struct onnx_import *import = l->import;
    struct onnx_frames h = l->x;
    uint32_t more = l->rank - h.n_axes;
    h.axes[h.n_axes - 1] = onnx_feature(l->hidden);
    memmove(h.axes + more, h.axes, h.n_axes * sizeof *h.axes);
    for (uint32_t i = 0; i < more; i++)
        h.axes[i] = onnx_feature(1);
    h.n_axes = l->rank;
    h.value = value;
    onnx_set_frames(onnx_output(import, 1), &h);
    if (!onnx_output(import, 2))
        return;
    onnx_output(import, 2)->kind = ONNX_OPAQUE;
    onnx_output(import, 2)->as.opaque = (struct onnx_opaque){
        .role = ROLE_CELL, .value = value, .step = h.step, .has_rank = true, .rank = l->rank,
        .n_last = l->hidden};
}

static bool add_layer(struct laying *l, uint32_t direction, uint32_t *value_out)
{
    struct onnx_frames source = l->x;
    const struct onnx_cell *cell = l->cell;
    struct onnx_layer *layer;
    source.value = l->source;
    if (!onnx_shaped(l->import, &source, 1, &l->input))
        return false;
    layer = onnx_layer_on(l->import, cell->type, source.value);
    if (!layer)
        return false;
    import_rnn_params(layer->spec.params, cell->type, l->hidden, direction,
                      cell->reset_after ? MODEL_FLAG_RESET_AFTER : 0);
    if (cell->type == MODEL_RNN)
        layer->spec.params[MODEL_RNN_ACTS] = cell->activation;
    layer->cells[0] = l->parts;
    layer->n_cells = 1;
    layer->made_of = cell;
    layer->loops_over = l->source;
    layer->spec.dims[0] = l->hidden;
    *value_out = onnx_layer_add(l->import, layer);
    return *value_out != MODEL_NONE;
}

bool onnx_lay_cell(struct onnx_import *import)
{
    struct laying l = {.import = import, .cell = import->node->cell};
    const struct onnx_value *h = value_of(&l, l.cell->state);
    uint32_t direction = MODEL_FORWARD, value = MODEL_NONE;
    if (!know_inputs(import) || !find_x(&l) || !find_hidden(&l))
        return false;
    find_rank(&l);
    if (h && h->kind == ONNX_FRAMES) {
        if (!continue_loop(&l, &value))
            return false;
    } else if (!fill_parts(&l) || !begin_loop(&l, &direction) || !same_states(&l) ||
               !add_layer(&l, direction, &value)) {
        return false;
    }
    give(&l, value);
    return true;
}
