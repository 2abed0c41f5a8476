/* SPDX-License-Identifier: MIT
 *
 * What goes into the activations of a cell, whatever way it was written: sums in any order and
 * nesting, products by gates or for all gates at once, with x and h apart or joined.
 */
#include <string.h>

#include "formats/onnx/onnx_cell.h"

/* ---- looking at the graph ------------------------------------------------ */

const struct onnx_node *cell_made_by(const struct cell_finder *f, int32_t value, const char *op)
{
    const struct onnx_node *node;
    int64_t producer = value == ONNX_ABSENT ? -1 : f->import->values[value].producer;
    if (producer < 0 || f->owner[value] >= 0)
        return NULL;
    node = &f->import->nodes[producer];
    if (!onnx_is_op(node, op) || node->guard != f->anchor->guard || node->branch != f->anchor->branch)
        return NULL;
    return node;
}

int32_t cell_argument(const struct cell_finder *f, int32_t value, const char *op)
{
    const struct onnx_node *node = cell_made_by(f, value, op);
    return node && node->n_inputs > 0 ? node->inputs[0] : ONNX_ABSENT;
}

bool cell_operands(const struct onnx_node *node, uint32_t k, int32_t *a, int32_t *b)
{
    if (!node || node->n_inputs != 2 || node->inputs[0] == ONNX_ABSENT || node->inputs[1] == ONNX_ABSENT)
        return false;
    *a = node->inputs[k];
    *b = node->inputs[1 - k];
    return true;
}

static const Onnx__AttributeProto *attribute(const struct onnx_node *node, const char *name)
{
    for (size_t i = 0; i < node->proto->n_attribute; i++)
        if (node->proto->attribute[i]->name && strcmp(node->proto->attribute[i]->name, name) == 0)
            return node->proto->attribute[i];
    return NULL;
}

static int64_t axis_of(const struct onnx_node *node)
{
    const Onnx__AttributeProto *axis = attribute(node, "axis");
    return axis ? axis->i : 0;
}

int32_t cell_root(const struct cell_finder *f, int32_t value)
{
    enum { FARTHEST = 24 }; /* a hostile file has a million of them */
    for (uint32_t i = 0; i < FARTHEST && f->owner[value] < 0; i++) {
        const struct onnx_value *at = &f->import->values[value];
        const struct onnx_node *node = at->producer < 0 ? NULL : &f->import->nodes[at->producer];
        const char *op = node && node->proto->op_type ? node->proto->op_type : "";
        if (!node || node->kind != NODE_PLAIN || !onnx_passes_on(op) || strcmp(op, "Concat") == 0 ||
            node->n_inputs == 0 || node->inputs[0] == ONNX_ABSENT)
            return value;
        value = node->inputs[0];
    }
    return value;
}

/* ---- constants ----------------------------------------------------------- */

static const Onnx__TensorProto *tensor_of(const struct cell_finder *f, int32_t value)
{
    const struct onnx_value *v = &f->import->values[value];
    const Onnx__AttributeProto *a;
    if (v->initializer)
        return v->initializer;
    if (v->producer < 0 || !onnx_is_op(&f->import->nodes[v->producer], "Constant"))
        return NULL;
    a = attribute(&f->import->nodes[v->producer], "value");
    return a ? a->t : NULL;
}

/* The only number of a constant; false if it is none, or has several. */
static bool only_number(const struct cell_finder *f, int32_t value, double *out)
{
    const Onnx__TensorProto *tensor = tensor_of(f, value);
    struct onnx_const c = {0};
    for (size_t i = 0; tensor && i < tensor->n_dims; i++)
        if (tensor->dims[i] != 1)
            return false;
    if (!tensor || !onnx_decode(f->import, tensor, f->import->values[value].name, &c) || c.count != 1 ||
        (c.is_int && !onnx_is_plain(c.ints[0])))
        return false;
    *out = c.is_int ? (double)c.ints[0].offset : (double)c.floats[0];
    return true;
}

bool cell_is_one(const struct cell_finder *f, int32_t value)
{
    double number;
    return f->constant[value] && only_number(f, value, &number) && number == 1;
}

static bool follows_from_constants(const struct cell_finder *f, const struct onnx_node *node)
{
    if (onnx_is_op(node, "Shape") || onnx_is_op(node, "Size") || onnx_is_op(node, "Constant"))
        return true;
    if (node->kind == NODE_IF || (node->kind == NODE_PLAIN && !onnx_folds(node)) || node->n_inputs == 0)
        return false;
    for (uint32_t i = 0; i < node->n_inputs; i++)
        if (node->inputs[i] != ONNX_ABSENT && !f->constant[node->inputs[i]])
            return false;
    return true;
}

static void find_constants(struct cell_finder *f)
{
    const struct onnx_import *import = f->import;
    for (uint32_t i = 0; i < import->n_values; i++)
        f->constant[i] = import->values[i].initializer || import->values[i].is_fixed;
    for (uint32_t i = 0; i < import->n_nodes; i++) {
        const struct onnx_node *node = &import->nodes[i];
        bool constant = follows_from_constants(f, node);
        for (uint32_t k = 0; k < node->n_outputs; k++)
            if (node->outputs[k] != ONNX_ABSENT)
                f->constant[node->outputs[k]] = constant;
    }
}

static uint32_t *find_first_uses(struct onnx_import *import)
{
    uint32_t *first = onnx_alloc(import, (size_t)import->n_values + 1, sizeof *first);
    if (!first)
        return NULL;
    for (uint32_t i = 0; i < import->n_values; i++)
        first[i] = UINT32_MAX;
    for (uint32_t i = import->n_nodes; i-- > 0;)
        for (uint32_t k = 0; k < import->nodes[i].n_inputs; k++)
            if (import->nodes[i].inputs[k] != ONNX_ABSENT && !onnx_is_op(&import->nodes[i], "Tanh"))
                first[import->nodes[i].inputs[k]] = i;
    return first;
}

bool cell_finder_init(struct onnx_import *import, struct cell_finder *out)
{
    size_t n_values = (size_t)import->n_values + 1, n_nodes = (size_t)import->n_nodes + 1;
    *out = (struct cell_finder){.import = import, .first_use = find_first_uses(import)};
    out->constant = onnx_alloc(import, n_values, sizeof *out->constant);
    out->owner = onnx_alloc(import, n_values, sizeof *out->owner);
    out->part_of = onnx_alloc(import, n_nodes, sizeof *out->part_of);
    if (!out->first_use || !out->constant || !out->owner || !out->part_of)
        return false;
    memset(out->owner, 255, n_values * sizeof *out->owner);
    memset(out->part_of, 255, n_nodes * sizeof *out->part_of);
    find_constants(out);
    return true;
}

/* ---- sums ---------------------------------------------------------------- */

/* How far one has come from the activation towards the products. */
struct reach {
    float factor;
    uint32_t depth, n_cuts;
    struct cell_cut cuts[CELL_MAX_CUTS];
};

static struct cell_term *add_term(struct cell_sum *sum, const struct reach *at, enum cell_term_kind kind,
                                  int32_t value)
{
    struct cell_term *term = &sum->terms[sum->n];
    if (sum->n == CELL_MAX_TERMS)
        return NULL;
    sum->n++;
    *term = (struct cell_term){.kind = kind, .value = value, .weights = ONNX_ABSENT, .factor = at->factor,
                               .n_cuts = at->n_cuts};
    memcpy(term->cuts, at->cuts, sizeof term->cuts);
    return term;
}

static bool expand(const struct cell_finder *f, int32_t value, const struct reach *at, struct cell_sum *sum);

/* `value` with another sign, or after one more cut. */
static bool expand_signed(const struct cell_finder *f, int32_t value, float sign, const struct reach *at,
                          struct cell_sum *sum)
{
    struct reach next = *at;
    next.factor *= sign;
    next.depth++;
    return expand(f, value, &next, sum);
}

static bool expand_cut(const struct cell_finder *f, const struct onnx_node *node, int32_t value,
                       const struct reach *at, struct cell_sum *sum)
{
    struct reach next = *at;
    if (at->n_cuts == CELL_MAX_CUTS || node->n_inputs == 0 || node->inputs[0] == ONNX_ABSENT)
        return false;
    next.cuts[next.n_cuts++] = (struct cell_cut){(int32_t)(node - f->import->nodes),
                                                 f->import->values[value].slot};
    next.depth++;
    return expand(f, node->inputs[0], &next, sum);
}

/* Split and Slice cut gates unless they are known to work along the first axis. */
static const struct onnx_node *cut_of(const struct cell_finder *f, int32_t value)
{
    const struct onnx_node *node = cell_made_by(f, value, "Split");
    const Onnx__AttributeProto *axes;
    double axis = -1;
    if (node)
        return axis_of(node) != 0 ? node : NULL;
    node = cell_made_by(f, value, "Slice");
    if (!node)
        return NULL;
    axes = attribute(node, "axes");
    if (node->n_inputs > 3 && node->inputs[3] != ONNX_ABSENT)
        only_number(f, node->inputs[3], &axis);
    else
        axis = axes && axes->n_ints == 1 ? (double)axes->ints[0] : 0;
    return axis != 0 ? node : NULL;
}

/* A Gemm or MatMul with constant weights, and the Gemm's bias. */
static bool expand_product(const struct cell_finder *f, const struct onnx_node *node, const struct reach *at,
                           struct cell_sum *sum)
{
    const Onnx__AttributeProto *a;
    bool gemm = onnx_is_op(node, "Gemm");
    struct cell_term *term = add_term(sum, at, TERM_INPUT, node->inputs[0]);
    if (!term || (gemm && (a = attribute(node, "transA")) && a->i != 0))
        return false;
    term->weights = node->inputs[1];
    if (!gemm)
        return true;
    term->transposed = (a = attribute(node, "transB")) && a->i != 0;
    term->factor *= (a = attribute(node, "alpha")) ? a->f : 1;
    if (node->n_inputs < 3 || node->inputs[2] == ONNX_ABSENT)
        return true;
    term = f->constant[node->inputs[2]] ? add_term(sum, at, TERM_BIAS, node->inputs[2]) : NULL;
    if (term)
        term->factor *= (a = attribute(node, "beta")) ? a->f : 1;
    return term != NULL;
}

static const struct onnx_node *product_of(const struct cell_finder *f, int32_t value)
{
    const struct onnx_node *node = cell_made_by(f, value, "MatMul");
    if (!node)
        node = cell_made_by(f, value, "Gemm");
    return node && node->n_inputs >= 2 && node->inputs[0] != ONNX_ABSENT && node->inputs[1] != ONNX_ABSENT &&
                   f->constant[node->inputs[1]] ? node : NULL;
}

/* r ⊗ (…): at most once, and all of it. */
static bool expand_gated(const struct cell_finder *f, int32_t value, const struct reach *at,
                         struct cell_sum *sum, bool *taken)
{
    const struct onnx_node *node = cell_made_by(f, value, "Mul");
    int32_t gate, gated;
    *taken = false;
    for (uint32_t k = 0; k < 2 && !*taken; k++)
        *taken = cell_operands(node, k, &gate, &gated) && cell_made_by(f, gate, "Sigmoid");
    if (!*taken)
        return true;
    if (sum->gate != ONNX_ABSENT || at->n_cuts > 0)
        return false;
    sum->gate = gate;
    sum->gated = gated;
    sum->gated_factor = at->factor;
    return true;
}

static bool expand(const struct cell_finder *f, int32_t value, const struct reach *at, struct cell_sum *sum)
{
    enum { DEEPEST = 16 };
    const struct onnx_node *node;
    int32_t a, b;
    bool taken;
    if (at->depth == DEEPEST || value == ONNX_ABSENT)
        return false;
    if (f->constant[value])
        return add_term(sum, at, TERM_BIAS, value) != NULL;
    if (cell_operands(cell_made_by(f, value, "Add"), 0, &a, &b))
        return expand_signed(f, a, 1, at, sum) && expand_signed(f, b, 1, at, sum);
    if (cell_operands(cell_made_by(f, value, "Sub"), 0, &a, &b))
        return expand_signed(f, a, 1, at, sum) && expand_signed(f, b, -1, at, sum);
    if (cell_made_by(f, value, "Neg"))
        return expand_signed(f, cell_argument(f, value, "Neg"), -1, at, sum);
    if (cell_made_by(f, value, "Identity"))
        return expand_signed(f, cell_argument(f, value, "Identity"), 1, at, sum);
    if ((node = cut_of(f, value)))
        return expand_cut(f, node, value, at, sum);
    if ((node = product_of(f, value)))
        return expand_product(f, node, at, sum);
    if (!expand_gated(f, value, at, sum, &taken))
        return false;
    return taken || add_term(sum, at, TERM_INPUT, value);
}

bool cell_sum_of(const struct cell_finder *f, int32_t value, float factor, struct cell_sum *out)
{
    const struct reach start = {.factor = factor};
    *out = (struct cell_sum){.gate = ONNX_ABSENT, .gated = ONNX_ABSENT};
    return value != ONNX_ABSENT && expand(f, value, &start, out);
}

/* ---- terms of the state -------------------------------------------------- */

bool cell_joined(const struct cell_finder *f, int32_t value, int32_t parts[2])
{
    const struct onnx_node *node = cell_made_by(f, value, "Concat");
    return node && axis_of(node) != 0 && cell_operands(node, 0, &parts[0], &parts[1]);
}

bool cell_same_state(const struct cell_finder *f, int32_t a, int32_t b)
{
    int32_t root = cell_root(f, a);
    return a == b || (f->constant[a] && f->constant[b]) || (f->owner[root] >= 0 && root == cell_root(f, b));
}

bool cell_has_kind(const struct cell_sum *sum, enum cell_term_kind kind)
{
    for (uint32_t i = 0; i < sum->n; i++)
        if (sum->terms[i].kind == kind)
            return true;
    return false;
}

/* A product with x and the state side by side as two. */
static bool part_terms(const struct cell_finder *f, int32_t seen, struct cell_sum *sum, uint32_t i)
{
    struct cell_term *term = &sum->terms[i], *other = &sum->terms[sum->n];
    int32_t parts[2];
    if (term->weights == ONNX_ABSENT || !cell_joined(f, term->value, parts))
        return true;
    for (uint32_t k = 0; k < 2; k++) {
        if (!cell_same_state(f, parts[k], seen))
            continue;
        if (sum->n == CELL_MAX_TERMS)
            return false;
        sum->n++;
        *other = *term;
        other->value = parts[1 - k];
        term->value = parts[k];
        term->kind = TERM_STATE;
        term->joined = other->joined = true;
        term->second = k == 1;
        other->second = k == 0;
        return true;
    }
    return true;
}

bool cell_sort_terms(const struct cell_finder *f, int32_t state, int32_t seen, struct cell_sum *sum)
{
    struct cell_term sorted[CELL_MAX_TERMS];
    uint32_t n = 0, n_before = sum->n;
    for (uint32_t i = 0; i < n_before && state != ONNX_ABSENT; i++) {
        struct cell_term *term = &sum->terms[i];
        bool same = term->kind != TERM_BIAS && cell_same_state(f, term->value, seen);
        if (same && term->weights == ONNX_ABSENT)
            return false;
        if (same)
            term->kind = TERM_STATE;
        else if (term->kind != TERM_BIAS && !part_terms(f, seen, sum, i))
            return false;
        if (term->kind == TERM_STATE && seen != state)
            term->value = state;
    }
    for (uint32_t kind = TERM_INPUT; kind <= TERM_BIAS; kind++)
        for (uint32_t i = 0; i < sum->n; i++)
            if (sum->terms[i].kind == kind)
                sorted[n++] = sum->terms[i];
    memcpy(sum->terms, sorted, n * sizeof *sorted);
    return true;
}
