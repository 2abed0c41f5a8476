/* SPDX-License-Identifier: MIT
 *
 * Loops over the steps of a sequence, as tf2onnx writes them for layers of Keras that it does not know:
 * where one round is an LSTM, GRU or plain RNN cell, the Loop is a recurrent layer.
 */
#include "formats/onnx/onnx_loop.h"

#include <string.h>

enum { FIRST_CARRIED = 2, MOST_CARRIED = 64 };

/* ---- into the body ------------------------------------------------------- */

static bool makes_zeros(struct onnx_import *import, const struct onnx_node *node)
{
    const Onnx__AttributeProto *a = node->proto->n_attribute ? node->proto->attribute[0] : NULL;
    struct onnx_const c;
    if (!onnx_is_op(node, "ConstantOfShape"))
        return false;
    return !a || (a->t && onnx_decode(import, a->t, "value", &c) && !c.is_int && c.count == 1 &&
                  c.floats[0] == 0);
}

bool onnx_find_zeros(struct onnx_import *import)
{
    bool *elsewhere;
    if (!import->has_loops)
        return true;
    elsewhere = onnx_alloc(import, (size_t)import->n_values + 1, sizeof *elsewhere);
    if (!elsewhere)
        return false;
    for (uint32_t i = 0; i < import->n_nodes; i++) {
        const struct onnx_node *node = &import->nodes[i];
        bool of_loop = node->kind == NODE_LOOP ||
                       (node->guard >= 0 && import->nodes[node->guard].kind == NODE_LOOP);
        for (uint32_t k = 0; !of_loop && k < node->n_inputs; k++)
            if (node->inputs[k] != ONNX_ABSENT)
                elsewhere[node->inputs[k]] = true;
    }
    for (size_t i = 0; i < import->model->graph->n_output; i++)
        for (uint32_t k = 0; k < import->n_values; k++)
            if (import->model->graph->output[i]->name &&
                strcmp(import->values[k].name, import->model->graph->output[i]->name) == 0)
                elsewhere[k] = true;
    for (uint32_t i = 0; i < import->n_nodes; i++) {
        struct onnx_node *node = &import->nodes[i];
        if (node->kind != NODE_PLAIN || node->n_outputs != 1 || node->outputs[0] == ONNX_ABSENT ||
            elsewhere[node->outputs[0]] || !makes_zeros(import, node))
            continue;
        node->kind = NODE_ZEROS;
        node->n_inputs = 0;
    }
    return true;
}

bool onnx_give_zeros(struct onnx_import *import)
{
    struct onnx_term *term = onnx_new_term(import, TERM_ZEROS);
    if (!term)
        return false;
    term->loop = NULL;
    return onnx_give_term(import, 0, term);
}

static bool is_zeros(const struct onnx_value *value)
{
    return value->kind == ONNX_TERM && value->as.term->kind == TERM_ZEROS;
}

/* Whether the body hands on what it gets as carried value k, without a change. */
static bool is_invariant(const struct onnx_import *import, const struct onnx_node *begins, uint32_t k)
{
    enum { FARTHEST = 24 };
    const struct onnx_node *end = &import->nodes[begins->decides];
    int32_t value = end->inputs[FIRST_CARRIED + k], in = begins->outputs[FIRST_CARRIED + k];
    for (uint32_t i = 0; i < FARTHEST && value != ONNX_ABSENT && value != in; i++) {
        int64_t producer = import->values[value].producer;
        if (producer < 0 || !onnx_is_op(&import->nodes[producer], "Identity"))
            return false;
        value = import->nodes[producer].inputs[0];
    }
    return value == in;
}

bool onnx_is_loop_state(const struct onnx_import *import, const struct onnx_node *begins, uint32_t input)
{
    return input >= FIRST_CARRIED && !is_invariant(import, begins, input - FIRST_CARRIED);
}

static bool give_carried(struct onnx_import *import, uint32_t k)
{
    const struct onnx_node *node = import->node;
    struct onnx_value *from = onnx_input(import, FIRST_CARRIED + k);
    struct onnx_value *to = onnx_output(import, FIRST_CARRIED + k);
    const struct onnx_const *c = from && from->kind == ONNX_CONST ? &from->as.constant : NULL;
    bool counts = c && c->is_int && c->count == 1 && onnx_is_plain(c->ints[0]);
    struct onnx_term *term;
    if (from && is_invariant(import, node, k)) {
        to->kind = from->kind;
        to->as = from->as;
        return true;
    }
    if (c && c->is_int && !counts)
        return onnx_fail(import, "carries '%s', whole numbers that are no count of its rounds", to->name);
    if (from && from->kind != ONNX_CONST && from->kind != ONNX_OPAQUE && !is_zeros(from))
        return onnx_fail(import, "begins with a state ('%s') that is computed at run time, which is not "
                         "supported; it may be a constant or an input of the graph", from->name);
    term = onnx_new_term(import, counts ? TERM_COUNT : TERM_STATE);
    if (!term)
        return false;
    term->offset = counts ? c->ints[0].offset : 0;
    term->state = k;
    return onnx_give_term(import, FIRST_CARRIED + k, term);
}

bool onnx_enter_loop(struct onnx_import *import)
{
    struct onnx_value *condition = onnx_input(import, 1);
    const struct onnx_const *c = condition ? &condition->as.constant : NULL;
    for (uint32_t i = 0; i < import->node->n_inputs; i++)
        if (onnx_input(import, i) && !onnx_make_known(import, onnx_input(import, i)))
            return false;
    if (condition && (condition->kind != ONNX_CONST || !c->is_int || c->count != 1 ||
                      onnx_same(c->ints[0], onnx_plain(0))))
        return onnx_fail(import, "whether it begins at all ('%s') is not known when converting",
                         condition->name);
    if (import->node->n_inputs - FIRST_CARRIED > MOST_CARRIED)
        return onnx_fail(import, "carries more than %d values", MOST_CARRIED);
    if (!onnx_give_term(import, 0, onnx_new_term(import, TERM_COUNT)))
        return false;
    for (uint32_t k = 0; k + FIRST_CARRIED < import->node->n_inputs; k++)
        if (!give_carried(import, k))
            return false;
    return true;
}

/* ---- recognising the cell ------------------------------------------------ */

/* activation(products + bias + shift) */
struct gate {
    uint32_t activation;
    float alpha, beta, shift;
    const struct onnx_term *sum;
};

struct found {
    uint32_t type, h, c; /* which carried values are the states */
    uint32_t n_gates;
    struct gate gates[4];      /* i, f, g, o or r, z, n */
    struct gate of_c;          /* an LSTM's activation of c */
    const struct onnx_term *n_h; /* with reset after the product: h's part of n */
    const struct onnx_value *x, *mask; /* a step that the mask leaves out keeps the states */
    bool reset_after;
};

static struct gate function(const struct onnx_term *term)
{
    struct gate gate = {.activation = MODEL_ACT_IDENTITY, .sum = term};
    if (term && term->kind == TERM_ACT) {
        gate = (struct gate){term->activation, term->alpha, term->beta, 0, term->a};
        if (gate.sum->kind == TERM_AFFINE && gate.sum->alpha == 1) {
            gate.shift = gate.sum->beta;
            gate.sum = gate.sum->a;
        }
    }
    return gate;
}

static bool is_sum(const struct onnx_term *term)
{
    return term && term->kind == TERM_SUM;
}

static bool read_gate(const struct onnx_term *term, struct gate *out)
{
    *out = function(term);
    return is_sum(out->sum);
}

static bool is_state(const struct onnx_term *term, uint32_t state)
{
    return term && term->kind == TERM_STATE && term->state == state;
}

static bool pair(const struct onnx_term *term, enum term_kind kind, uint32_t k, const struct onnx_term **a,
                 const struct onnx_term **b)
{
    if (!term || term->kind != kind)
        return false;
    *a = k ? term->b : term->a;
    *b = k ? term->a : term->b;
    return true;
}

static bool match_rnn(const struct onnx_term *h, struct found *f)
{
    f->type = MODEL_RNN;
    f->n_gates = 1;
    return read_gate(h, &f->gates[0]);
}

/* c' = f ⊗ c + i ⊗ g */
static bool match_update(const struct onnx_term *c, struct found *f)
{
    const struct onnx_term *keep, *write, *a, *b;
    for (uint32_t k = 0; k < 8; k++)
        if (pair(c, TERM_ADD, k & 1, &keep, &write) && pair(keep, TERM_MUL, k >> 1 & 1, &a, &b) &&
            is_state(b, f->c) && read_gate(a, &f->gates[1]) && pair(write, TERM_MUL, k >> 2, &a, &b) &&
            read_gate(a, &f->gates[0]) && read_gate(b, &f->gates[2])) {
            /* Which of both factors is g does not show where the activations are the same; then the
             * one whose activation is f's is i. */
            if (f->gates[0].activation == f->gates[1].activation)
                return true;
        }
    return false;
}

/* h' = o ⊗ act(c') */
static bool match_lstm(const struct onnx_term *h, const struct onnx_term *c, struct found *f)
{
    const struct onnx_term *o, *squashed;
    f->type = MODEL_LSTM;
    f->n_gates = 4;
    for (uint32_t k = 0; k < 2; k++) {
        if (!pair(h, TERM_MUL, k, &o, &squashed) || !read_gate(o, &f->gates[3]))
            continue;
        f->of_c = function(squashed);
        if (f->of_c.sum == c && f->of_c.shift == 0)
            return match_update(c, f);
    }
    return false;
}

/* n = act(x part + r ⊗ h part), or act(x part + product with r ⊗ h) */
static bool match_candidate(const struct onnx_term *term, struct found *f)
{
    const struct onnx_term *product, *r;
    f->gates[2] = function(term);
    if (is_sum(f->gates[2].sum)) {
        const struct onnx_term *sum = f->gates[2].sum;
        for (uint32_t i = 0; i < sum->n_products; i++)
            for (uint32_t k = 0; k < 2; k++)
                if (pair(sum->products[i].of, TERM_MUL, k, &r, &product) && is_state(product, f->h))
                    return read_gate(r, &f->gates[0]);
        return false;
    }
    f->reset_after = true;
    for (uint32_t k = 0; k < 4; k++) {
        const struct onnx_term *x_part;
        if (pair(f->gates[2].sum, TERM_ADD, k & 1, &x_part, &product) && is_sum(x_part) &&
            pair(product, TERM_MUL, k >> 1, &r, &f->n_h) && is_sum(f->n_h) && read_gate(r, &f->gates[0])) {
            f->gates[2].sum = x_part;
            return true;
        }
    }
    return false;
}

/* h' = z ⊗ h + (1 - z) ⊗ n */
static bool match_gru(const struct onnx_term *h, struct found *f)
{
    const struct onnx_term *keep, *write, *z, *state, *other, *n;
    f->type = MODEL_GRU;
    f->n_gates = 3;
    for (uint32_t k = 0; k < 8; k++)
        if (pair(h, TERM_ADD, k & 1, &keep, &write) && pair(keep, TERM_MUL, k >> 1 & 1, &z, &state) &&
            is_state(state, f->h) && pair(write, TERM_MUL, k >> 2, &other, &n) &&
            other->kind == TERM_AFFINE && other->alpha == -1 && other->beta == 1 && other->a == z &&
            read_gate(z, &f->gates[1]))
            return match_candidate(n, f);
    return false;
}

/* ---- the cell's weights -------------------------------------------------- */

enum part { PART_X, PART_H };

/* The gate's product with x, or with the state. */
static const struct term_product *part_of(const struct found *f, uint32_t gate, enum part part)
{
    bool after = f->reset_after && gate == 2 && part == PART_H;
    const struct onnx_term *sum = after ? f->n_h : f->gates[gate].sum;
    for (uint32_t i = 0; i < sum->n_products; i++)
        if ((sum->products[i].of->kind == TERM_X) == (part == PART_X))
            return &sum->products[i];
    return NULL;
}

/* Of x one sequence, of the state h or r ⊗ h; all of one size. */
static bool check_parts(struct onnx_import *import, struct found *f, uint32_t hidden)
{
    for (uint32_t g = 0; g < f->n_gates; g++) {
        const struct term_product *x = part_of(f, g, PART_X), *h = part_of(f, g, PART_H);
        uint32_t n_products = f->gates[g].sum->n_products;
        if (!x || !h || (f->x && x->of->x != f->x) || f->gates[g].sum->n != hidden || h->n_in != hidden)
            return onnx_fail(import, "is no recurrent cell: gate %u is not computed from a step of the "
                             "input and %u numbers of state", g, hidden);
        if (f->reset_after && g == 2 ? n_products != 1 || f->n_h->n_products != 1 || f->n_h->n != hidden
                                     : n_products != 2)
            return onnx_fail(import, "is no recurrent cell: gate %u is a sum of other things", g);
        f->x = x->of->x;
    }
    return true;
}

static void copy_gate(const struct found *f, uint32_t g, enum part part, float *weights, float *bias)
{
    const struct term_product *product = part_of(f, g, part);
    size_t hidden = f->gates[g].sum->n;
    memcpy(weights + g * hidden * product->n_in, product->weights,
           hidden * product->n_in * sizeof *weights);
    for (size_t i = 0; i < hidden; i++)
        bias[g * hidden + i] = (product->bias ? product->bias[i] : 0) +
                               (part == PART_X ? f->gates[g].shift : 0);
}

static bool fill_part(struct onnx_import *import, const struct found *f, enum part part,
                      const float **weights_out, const float **bias_out)
{
    size_t n = (size_t)f->n_gates * f->gates[0].sum->n;
    float *weights = onnx_alloc(import, n * part_of(f, 0, part)->n_in, sizeof *weights);
    float *bias = onnx_alloc(import, n, sizeof *bias);
    for (uint32_t g = 0; weights && bias && g < f->n_gates; g++)
        copy_gate(f, g, part, weights, bias);
    *weights_out = weights;
    *bias_out = bias;
    return weights && bias;
}

static bool same_function(const struct gate *a, const struct gate *b)
{
    return a->activation == b->activation && a->alpha == b->alpha && a->beta == b->beta;
}

static void set_function(uint32_t *params, uint32_t k, const struct gate *gate)
{
    uint32_t *words = params + MODEL_RNN_ACTS;
    words[0] = (words[0] & ~(UINT32_C(255) << 8 * k)) | gate->activation << 8 * k;
    words[1 + 2 * k] = model_float_bits(gate->alpha);
    words[2 + 2 * k] = model_float_bits(gate->beta);
}

static bool set_functions(struct onnx_import *import, const struct found *f, uint32_t *params)
{
    const struct gate *g = f->gates;
    bool same = f->type == MODEL_RNN || same_function(&g[0], &g[1]);
    if (f->type == MODEL_LSTM)
        same = same && same_function(&g[0], &g[3]);
    if (!same)
        return onnx_fail(import, "is a cell whose gates have different activations, which is not supported");
    set_function(params, 0, &g[0]);
    if (f->type != MODEL_RNN)
        set_function(params, 1, &g[2]);
    if (f->type == MODEL_LSTM)
        set_function(params, 2, &f->of_c);
    return true;
}

/* ---- states -------------------------------------------------------------- */

/* What the loop begins with: NULL for zeros and for what is an input of the graph. */
static bool first_state(struct onnx_import *import, uint32_t k, uint32_t hidden, const float **out)
{
    const struct onnx_node *begins = &import->nodes[import->node->decides];
    int32_t index = begins->inputs[FIRST_CARRIED + k];
    const struct onnx_value *value = index == ONNX_ABSENT ? NULL : &import->values[index];
    const struct onnx_const *c = value ? &value->as.constant : NULL;
    float *state;
    *out = NULL;
    if (!value || is_zeros(value) || (value->kind == ONNX_OPAQUE && value->as.opaque.role == ROLE_STATE))
        return true;
    if (value->kind != ONNX_CONST || c->is_int || c->count == 0 || (c->count != 1 && c->count % hidden))
        return onnx_fail(import, "its first state '%s' is no constant of %u numbers an item", value->name,
                         hidden);
    state = onnx_alloc(import, hidden, sizeof *state);
    for (size_t i = 0; state && i < c->count; i++) {
        if (i >= hidden && c->floats[i] != state[i % hidden])
            return onnx_fail(import, "its first state '%s' differs between the items of the batch",
                             value->name);
        for (uint32_t n = 0; n < (c->count == 1 ? hidden : 1); n++)
            state[c->count == 1 ? n : i % hidden] = c->floats[i];
        *out = c->floats[i] != 0 ? state : *out;
    }
    return state &&
           (!*out || import_clean(&import->source, import->node->name, state, hidden, import->error));
}

/* ---- the layer ----------------------------------------------------------- */

static bool read_x(struct onnx_import *import, const struct found *f, uint32_t n_in, struct onnx_frames *x)
{
    *x = f->x->as.frames;
    if (!onnx_settle(import, x, NULL) || !onnx_leave_loop(import, x) || !onnx_refuse_padding(import, f->x) ||
        !onnx_in_order(import, x))
        return false;
    if (x->n_axes != 3 || x->axes[2].kind != AXIS_FEATURE || x->axes[2].size != n_in || x->once || x->is_int)
        return onnx_fail(import, "'%s' is no sequence of %u numbers a step", f->x->name, n_in);
    return onnx_shaped(import, x, 1, &n_in);
}

static bool emit(struct onnx_import *import, struct found *f, struct onnx_frames *out)
{
    uint32_t hidden = f->gates[0].sum->n;
    struct import_cell cell = {.type = f->type, .hidden = hidden, .recurrent = hidden,
                               .reset_after = f->reset_after, .order = import_order_torch};
    struct onnx_layer *layer;
    if (!check_parts(import, f, hidden))
        return false;
    cell.input = part_of(f, 0, PART_X)->n_in;
    if (!read_x(import, f, cell.input, out) ||
        !fill_part(import, f, PART_X, &cell.w_input, &cell.bias_input) ||
        !fill_part(import, f, PART_H, &cell.w_recurrent, &cell.bias_recurrent) ||
        !first_state(import, f->h, hidden, &cell.h0) ||
        (f->type == MODEL_LSTM && !first_state(import, f->c, hidden, &cell.c0)) ||
        !(layer = onnx_layer_on(import, f->type, out->value)))
        return false;
    import_rnn_params(layer->spec.params, f->type, hidden, MODEL_FORWARD,
                      (f->reset_after ? MODEL_FLAG_RESET_AFTER : 0));
    if (!set_functions(import, f, layer->spec.params))
        return false;
    if (f->mask && (f->mask->as.frames.of_numbers || f->mask->as.frames.inverted || f->mask->as.frames.once ||
                    !onnx_keep_step(import, &f->mask->as.frames, out)))
        return onnx_fail(import, "is masked by '%s', which is not computed from the steps of the input",
                         f->mask->name);
    if (f->mask)
        layer->spec.inputs[layer->spec.n_inputs++] = f->mask->as.frames.value;
    layer->cells[0] = cell;
    layer->n_cells = 1;
    layer->spec.dims[0] = hidden;
    out->axes[2] = onnx_feature(hidden);
    out->value = onnx_layer_add(import, layer);
    return out->value != MODEL_NONE;
}

/* ---- out of the body ----------------------------------------------------- */

/* Result number i of the body, as ONNX counts them: 0 is the condition. */
static const struct onnx_term *result(const struct onnx_import *import, uint32_t i)
{
    const struct onnx_value *value = onnx_input(import, 1 + i);
    return value && value->kind == ONNX_TERM ? value->as.term : NULL;
}

/* As many rounds as there are steps in x. */
static bool check_rounds(struct onnx_import *import, const struct onnx_value *x)
{
    const struct onnx_value *most = onnx_input(import, 0), *goes_on = onnx_input(import, 1);
    const struct onnx_axis *axis = &x->as.frames.axes[0];
    struct onnx_int steps = onnx_axis_size(*axis), frozen = onnx_plain(onnx_frozen_time(import, axis->pace));
    const struct onnx_const *c = most && most->kind == ONNX_CONST ? &most->as.constant : NULL;
    const struct onnx_term *term = result(import, 0);
    bool bounded = c && c->is_int && c->count == 1 &&
                   (onnx_same(c->ints[0], steps) || (frozen.offset && onnx_same(c->ints[0], frozen)));
    bool forever = goes_on && goes_on->kind == ONNX_CONST && goes_on->as.constant.is_int &&
                   goes_on->as.constant.count == 1 && !onnx_same(goes_on->as.constant.ints[0], onnx_plain(0));
    bool counted = term && term->kind == TERM_GOES_ON &&
                   (onnx_same(term->size, steps) || (frozen.offset && onnx_same(term->size, frozen)));
    if ((counted && (term->offset == 1 || (bounded && term->offset < 1))) || (forever && bounded))
        return !most || bounded || onnx_fail(import, "its number of rounds ('%s') is not known to be that of "
                                             "the steps", most->name);
    return onnx_fail(import, "is not known to make one round for each step of '%s'", x->name);
}

static uint32_t n_carried(const struct onnx_import *import)
{
    return import->nodes[import->node->decides].n_inputs - FIRST_CARRIED;
}

static const struct onnx_term *carried_in(const struct onnx_import *import, uint32_t k)
{
    const struct onnx_node *begins = &import->nodes[import->node->decides];
    const struct onnx_value *value = &import->values[begins->outputs[FIRST_CARRIED + k]];
    return value->kind == ONNX_TERM ? value->as.term : NULL;
}

static bool check_counts(struct onnx_import *import)
{
    for (uint32_t k = 0; k < n_carried(import); k++) {
        const struct onnx_term *in = carried_in(import, k), *out = result(import, 1 + k);
        int64_t more;
        if (in && in->kind == TERM_COUNT &&
            (!out || out->kind != TERM_COUNT || __builtin_sub_overflow(out->offset, in->offset, &more) ||
             more != 1))
            return onnx_fail(import, "carries a whole number that is no count of its rounds");
    }
    return true;
}

static bool is_carried_state(const struct onnx_import *import, uint32_t k)
{
    const struct onnx_term *in = carried_in(import, k);
    return in && in->kind == TERM_STATE && in->state == k && result(import, 1 + k);
}

/* The gates read the state h that they were matched for. */
static bool reads_h(const struct found *f)
{
    for (uint32_t g = 0; g < f->n_gates; g++) {
        const struct term_product *h = part_of(f, g, PART_H);
        bool reset = f->type == MODEL_GRU && g == 2 && !f->reset_after;
        if (!h || (!reset && !is_state(h->of, f->h)))
            return false;
    }
    return true;
}

/* What becomes of state k in a step that counts; all states have one mask, or none. */
static const struct onnx_term *after_step(const struct onnx_import *import, struct found *f, uint32_t k)
{
    const struct onnx_term *out = result(import, 1 + k);
    if (!is_carried_state(import, k))
        return NULL;
    if (out->kind != TERM_CHOICE)
        return f->mask ? NULL : out;
    if (!is_state(out->b, k) || (f->mask && f->mask != out->x))
        return NULL;
    f->mask = out->x;
    return out->a;
}

/* A state that follows from itself in the way of one of the cells. */
static bool match(struct onnx_import *import, struct found *f)
{
    uint32_t n = n_carried(import);
    for (uint32_t h = 0; h < n; h++) {
        for (uint32_t c = 0; c < n; c++) {
            *f = (struct found){.h = h, .c = c};
            if (c != h && after_step(import, f, h) &&
                match_lstm(after_step(import, f, h), after_step(import, f, c), f) && reads_h(f))
                return true;
        }
        *f = (struct found){.h = h};
        if (match_gru(after_step(import, f, h), f) && reads_h(f))
            return true;
        *f = (struct found){.h = h};
        if (after_step(import, f, h) && match_rnn(after_step(import, f, h), f) && reads_h(f))
            return true;
    }
    return onnx_fail(import, "is not supported: only Loops that are an LSTM, GRU or plain RNN over all steps "
                     "become a layer");
}

/* In a step that does not count the output before it again, or zeros. */
static bool is_repeated(const struct onnx_import *import, const struct onnx_term *out)
{
    const struct onnx_term *before = out->b;
    return before->kind == TERM_STATE && result(import, 1 + before->state) == out;
}

/* What result i of the body gives of each step. */
static bool give_steps(struct onnx_import *import, const struct found *f, uint32_t i,
                       const struct onnx_frames *steps)
{
    const struct onnx_term *out = result(import, 1 + i), *h = result(import, 1 + f->h);
    struct onnx_frames frames = *steps;
    struct onnx_layer *layer;
    bool zeroed = f->mask && out && out->kind == TERM_CHOICE && out->x == f->mask && out->a == h->a &&
                  out->b->kind == TERM_ZEROS;
    bool kept = f->mask && out && out->kind == TERM_CHOICE && out->x == f->mask && out->a == h->a &&
                is_repeated(import, out);
    if (out != h && !zeroed && !kept)
        return onnx_fail(import, "gives something else of each step ('%s') than its state h, which is not "
                         "supported", onnx_output(import, i)->name);
    if (zeroed) {
        layer = onnx_layer_on(import, MODEL_MUL, steps->value);
        if (!layer)
            return false;
        layer->spec.inputs[layer->spec.n_inputs++] = f->mask->as.frames.value;
        frames.value = onnx_layer_add(import, layer);
    }
    onnx_set_frames(onnx_output(import, i), &frames);
    return frames.value != MODEL_NONE;
}

static bool give_results(struct onnx_import *import, const struct found *f, const struct onnx_frames *steps)
{
    uint32_t n = n_carried(import);
    struct onnx_value *last = onnx_output(import, f->h), *c = onnx_output(import, f->c);
    for (uint32_t i = n; i < import->node->n_outputs; i++) {
        if (onnx_used(import, i) && !give_steps(import, f, i, steps))
            return false;
    }
    if (last && last->n_uses > 0) {
        struct onnx_frames out = *steps;
        out.n_axes = 2;
        out.axes[0] = steps->axes[1];
        out.axes[1] = steps->axes[2];
        if (!onnx_emit_sequence(import, &out, MODEL_LAST))
            return false;
        onnx_set_frames(last, &out);
    }
    if (f->type == MODEL_LSTM && c) {
        c->kind = ONNX_OPAQUE;
        c->as.opaque = (struct onnx_opaque){.role = ROLE_CELL};
    }
    return true;
}

bool onnx_leave_body(struct onnx_import *import)
{
    struct found found;
    struct onnx_frames steps;
    for (uint32_t i = 0; i < import->node->n_inputs; i++)
        if (onnx_input(import, i) && !onnx_make_known(import, onnx_input(import, i)))
            return false;
    return check_counts(import) && match(import, &found) && emit(import, &found, &steps) &&
           check_rounds(import, found.x) && give_results(import, &found, &steps);
}
