/* SPDX-License-Identifier: MIT
 *
 * Recurrent cells that an exporter wrote out, as PyTorch does for LSTMCell, GRUCell and RNNCell:
 * products with the input and the state, gates cut out of their sum, and the state's arithmetic.
 * They are found by their shape before anything else is known, and become one node.
 */
#include "formats/onnx_internal.h"

#include <inttypes.h>
#include <string.h>

/* Inputs of a cell's node: where ONNX's LSTM has the same, the same places. */
enum {
    CELL_X, CELL_W, CELL_R, CELL_H = 5, CELL_C, CELL_BIAS_X = 8, CELL_BIAS_H, CELL_BIAS, CELL_SPLIT_X,
    CELL_SPLIT_H, CELL_FIRST, CELL_INPUTS
};

/* A Gemm or MatMul. */
struct product {
    int32_t operand, weights, bias;
    bool transposed; /* weights are [out][in] */
    float alpha, beta;
};

struct onnx_cell {
    uint32_t type, n_gates;
    uint32_t activation; /* of an rnn */
    struct import_gate_order order;
    struct product x, h;
    int32_t state, bias; /* a bias added to the sum, or ONNX_ABSENT */
    bool folded; /* the product with a first state of zeros is a constant, `state` */
    int32_t split_x, split_h; /* sizes of the gates, if a node gives them as an input */
    struct onnx_node anchor;  /* the node as it was */
    int64_t c_producer;
};

struct finder {
    struct onnx_import *import;
    const uint32_t *first_use; /* of each value, by others than Tanh */
    const struct onnx_node *anchor;
};

/* ---- looking at the graph ------------------------------------------------ */

/* The node that makes a value with this operator, in the anchor's branch; NULL if it does not. */
static const struct onnx_node *made_by(const struct finder *f, int32_t value, const char *op)
{
    const struct onnx_node *node;
    int64_t producer = value == ONNX_ABSENT ? -1 : f->import->values[value].producer;
    if (producer < 0)
        return NULL;
    node = &f->import->nodes[producer];
    if (!onnx_is_op(node, op) || node->guard != f->anchor->guard || node->branch != f->anchor->branch)
        return NULL;
    return node;
}

/* What `op` is applied to, to give this value; ONNX_ABSENT if it is not made so. */
static int32_t argument(const struct finder *f, int32_t value, const char *op)
{
    const struct onnx_node *node = made_by(f, value, op);
    return node && node->n_inputs > 0 ? node->inputs[0] : ONNX_ABSENT;
}

/* Both inputs of a node, in the order `k`. */
static bool operands(const struct onnx_node *node, uint32_t k, int32_t *a, int32_t *b)
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

static bool is_product(const struct finder *f, int32_t value, struct product *out)
{
    const struct onnx_node *node = made_by(f, value, "MatMul");
    const Onnx__AttributeProto *a;
    *out = (struct product){ONNX_ABSENT, ONNX_ABSENT, ONNX_ABSENT, false, 1, 1};
    if (!node) {
        node = made_by(f, value, "Gemm");
        if (!node || ((a = attribute(node, "transA")) && a->i != 0))
            return false;
        out->transposed = (a = attribute(node, "transB")) && a->i != 0;
        out->alpha = (a = attribute(node, "alpha")) ? a->f : 1;
        out->beta = (a = attribute(node, "beta")) ? a->f : 1;
        out->bias = node->n_inputs > 2 ? node->inputs[2] : ONNX_ABSENT;
    }
    if (node->n_inputs < 2)
        return false;
    out->operand = node->inputs[0];
    out->weights = node->inputs[1];
    return out->operand != ONNX_ABSENT && out->weights != ONNX_ABSENT;
}

/* Where a value comes from, through nodes that only pass it on. */
static int32_t root_of(const struct finder *f, int32_t value)
{
    enum { FARTHEST = 24 }; /* a hostile file has a million of them */
    for (uint32_t i = 0; i < FARTHEST; i++) {
        const struct onnx_value *at = &f->import->values[value];
        const struct onnx_node *node = at->producer < 0 ? NULL : &f->import->nodes[at->producer];
        const char *op = node && node->proto->op_type ? node->proto->op_type : "";
        if (!node || node->kind != NODE_PLAIN || !onnx_passes_on(op) ||
            node->n_inputs == 0 || node->inputs[0] == ONNX_ABSENT)
            return value;
        value = node->inputs[0];
    }
    return value;
}

static bool is_graph_input(const struct finder *f, int32_t value)
{
    return f->import->values[value].input != NULL;
}

/* Gate number *slot_out of `n` that a Split cuts out of *sum_out; its sizes, if they are an input. */
static bool gate(const struct finder *f, int32_t value, uint32_t n, int32_t *sum_out, uint32_t *slot_out,
                 int32_t *sizes_out)
{
    const struct onnx_node *node = made_by(f, value, "Split");
    const Onnx__AttributeProto *axis, *sizes;
    if (!node || node->n_outputs != n || node->n_inputs == 0 || node->inputs[0] == ONNX_ABSENT)
        return false;
    axis = attribute(node, "axis");
    sizes = attribute(node, "split");
    if (!axis || (axis->i != 1 && axis->i != -1))
        return false;
    for (size_t i = 1; sizes && i < sizes->n_ints; i++)
        if (sizes->ints[i] != sizes->ints[0])
            return false;
    if (*sum_out != ONNX_ABSENT && *sum_out != node->inputs[0])
        return false;
    *sum_out = node->inputs[0];
    *slot_out = f->import->values[value].slot;
    *sizes_out = node->n_inputs > 1 ? node->inputs[1] : ONNX_ABSENT;
    return true;
}

/* ---- which operand is the state ------------------------------------------ */

static bool is_constant(const struct finder *f, int32_t value)
{
    const struct onnx_value *v = &f->import->values[value];
    const struct onnx_node *node = v->producer < 0 ? NULL : &f->import->nodes[v->producer];
    return v->initializer || (node && (onnx_is_op(node, "Constant") || onnx_is_op(node, "ConstantOfShape") ||
                                       onnx_is_op(node, "Expand")));
}

/* From outside, a first state, or a cell before this one. What other nodes compute is no state. */
static bool may_be_state(const struct finder *f, int32_t value)
{
    int32_t root = root_of(f, value);
    int64_t producer = f->import->values[root].producer;
    return is_graph_input(f, root) || is_constant(f, root) ||
           (producer >= 0 && f->import->nodes[producer].kind == NODE_CELL);
}

/* The state of a cell comes from where its c comes from, or from an input of the graph: of two such
 * inputs from the later one, for x is named first. */
static bool second_is_state(const struct finder *f, int32_t a, int32_t b, int32_t c)
{
    int32_t root_a = root_of(f, a), root_b = root_of(f, b), root_c = c == ONNX_ABSENT ? c : root_of(f, c);
    if (root_c != ONNX_ABSENT && (root_a == root_c || root_b == root_c))
        return root_b == root_c;
    if (root_c != ONNX_ABSENT && f->import->values[root_c].producer >= 0) {
        int64_t cell = f->import->values[root_c].producer;
        if (f->import->nodes[cell].kind == NODE_CELL)
            return f->import->values[root_b].producer == cell;
    }
    if (is_constant(f, root_a) != is_constant(f, root_b))
        return is_constant(f, root_b);
    if (is_graph_input(f, root_a) != is_graph_input(f, root_b))
        return is_graph_input(f, root_b);
    return root_b > root_a;
}

/* ---- sums ---------------------------------------------------------------- */

/* Two products and at most one more term, a constant. */
static bool is_sum(const struct finder *f, int32_t value, struct onnx_cell *cell)
{
    const struct onnx_node *add = made_by(f, value, "Add");
    int32_t a, b;
    for (uint32_t k = 0; k < 2; k++) {
        if (!operands(add, k, &a, &b))
            return false;
        if (is_product(f, a, &cell->x) && is_product(f, b, &cell->h)) {
            cell->bias = ONNX_ABSENT;
            return true;
        }
        if (made_by(f, a, "Add") && is_constant(f, b)) {
            const struct onnx_node *inner = made_by(f, a, "Add");
            cell->bias = b;
            if (operands(inner, 0, &a, &b) && is_product(f, a, &cell->x) && is_product(f, b, &cell->h))
                return true;
        }
    }
    return false;
}

/* In an unrolled loop an exporter computes the first product with the state itself. */
static bool is_folded_sum(const struct finder *f, int32_t value, struct onnx_cell *cell)
{
    int32_t a, b;
    for (uint32_t k = 0; k < 2; k++) {
        if (!operands(made_by(f, value, "Add"), k, &a, &b) || !is_product(f, a, &cell->x) || !is_constant(f,
                                                                                                          b))
            continue;
        cell->h = (struct product){b, ONNX_ABSENT, ONNX_ABSENT, false, 1, 1};
        cell->bias = ONNX_ABSENT;
        cell->folded = true;
        return true;
    }
    return false;
}

static void order_products(const struct finder *f, struct onnx_cell *cell, int32_t c)
{
    struct product first = cell->x;
    if (second_is_state(f, cell->x.operand, cell->h.operand, c))
        return;
    cell->x = cell->h;
    cell->h = first;
}

/* ---- LSTM ---------------------------------------------------------------- */

struct lstm_match {
    int32_t c_before, c_after, sum, sizes;
    uint32_t slots[4]; /* i, f, g, o */
};

static bool sigmoid_gate(const struct finder *f, int32_t value, struct lstm_match *m, uint32_t which)
{
    return gate(f, argument(f, value, "Sigmoid"), 4, &m->sum, &m->slots[which], &m->sizes);
}

/* σ(i) ⊗ tanh(g) and σ(f) ⊗ c. */
static bool is_update(const struct finder *f, int32_t write, int32_t keep, struct lstm_match *m)
{
    int32_t a, b;
    bool found = false;
    for (uint32_t k = 0; !found && k < 2; k++)
        found = operands(made_by(f, write, "Mul"), k, &a, &b) && sigmoid_gate(f, a, m, 0) &&
                gate(f, argument(f, b, "Tanh"), 4, &m->sum, &m->slots[2], &m->sizes);
    for (uint32_t k = 0; found && k < 2; k++)
        if (operands(made_by(f, keep, "Mul"), k, &a, &b) && sigmoid_gate(f, a, m, 1)) {
            m->c_before = b;
            return true;
        }
    return false;
}

static bool match_lstm(const struct finder *f, struct lstm_match *m)
{
    int32_t o, squashed, a, b;
    for (uint32_t k = 0; k < 2; k++) {
        *m = (struct lstm_match){ONNX_ABSENT, ONNX_ABSENT, ONNX_ABSENT, ONNX_ABSENT, {0}};
        if (!operands(f->anchor, k, &o, &squashed) || !sigmoid_gate(f, o, m, 3))
            continue;
        m->c_after = argument(f, squashed, "Tanh");
        for (uint32_t j = 0; j < 2; j++)
            if (operands(made_by(f, m->c_after, "Add"), j, &a, &b) && is_update(f, a, b, m))
                return (1u << m->slots[0] | 1u << m->slots[1] | 1u << m->slots[2] | 1u << m->slots[3]) == 15;
    }
    return false;
}

/* ---- the new node -------------------------------------------------------- */

/* The nodes of which a cell was made, back to its products: not to be told as left out. */
static void mark(struct finder *f, int32_t value, uint32_t depth)
{
    static const char *const ops[] = {"Gemm", "MatMul", "Mul", "Add", "Sub", "Sigmoid", "Tanh", "Split"};
    struct onnx_import *import = f->import;
    const struct onnx_node *node = NULL;
    uint32_t op = 0;
    for (; !node && op < sizeof ops / sizeof *ops; op++)
        node = made_by(f, value, ops[op]);
    if (!node || node->of_cell || depth == 0)
        return;
    import->nodes[node - import->nodes].of_cell = true;
    for (uint32_t i = 0; op > 2 && i < node->n_inputs; i++)
        mark(f, node->inputs[i], depth - 1);
}

static bool replace(struct finder *f, const struct onnx_cell *found, int32_t c_before, int32_t c_after)
{
    struct onnx_import *import = f->import;
    struct onnx_node *node = &import->nodes[f->anchor - import->nodes];
    struct onnx_cell *cell = onnx_alloc(import, 1, sizeof *cell);
    int32_t h_after = node->outputs[0];
    int32_t *inputs = onnx_alloc(import, CELL_INPUTS, sizeof *inputs);
    int32_t *outputs = onnx_alloc(import, 3, sizeof *outputs);
    if (!cell || !inputs || !outputs)
        return false;
    *cell = *found;
    cell->anchor = *node;
    for (uint32_t i = 0; i < node->n_inputs; i++)
        mark(f, node->inputs[i], 8);
    for (uint32_t i = 0; i < CELL_INPUTS; i++)
        inputs[i] = ONNX_ABSENT;
    inputs[CELL_X] = cell->x.operand;
    inputs[CELL_W] = cell->x.weights;
    inputs[CELL_R] = cell->h.weights;
    inputs[CELL_H] = cell->state;
    inputs[CELL_C] = c_before;
    inputs[CELL_BIAS_X] = cell->x.bias;
    inputs[CELL_BIAS_H] = cell->h.bias;
    inputs[CELL_BIAS] = cell->bias;
    inputs[CELL_SPLIT_X] = cell->split_x;
    inputs[CELL_SPLIT_H] = cell->split_h;
    if (cell->h.operand != cell->state)
        inputs[CELL_FIRST] = cell->h.operand;
    outputs[0] = ONNX_ABSENT;
    outputs[1] = h_after;
    outputs[2] = c_after;
    import->values[h_after].slot = 1;
    if (c_after != ONNX_ABSENT) {
        struct onnx_value *c = &import->values[c_after];
        cell->c_producer = c->producer;
        import->nodes[c->producer].outputs[0] = ONNX_ABSENT;
        c->producer = f->anchor - import->nodes;
        c->slot = 2;
    }
    node->kind = NODE_CELL;
    node->cell = cell;
    node->inputs = inputs;
    node->outputs = outputs;
    node->n_inputs = CELL_INPUTS;
    node->n_outputs = 3;
    return true;
}

/* The cell before it in an unrolled loop, if there is one, takes from it what was folded away there. */
static void continue_loop(struct finder *f, const struct onnx_cell *cell, int32_t c_before)
{
    struct onnx_import *import = f->import;
    const struct onnx_value *c = &import->values[c_before];
    struct onnx_node *before = c->producer < 0 ? NULL : &import->nodes[c->producer];
    if (!before || before->kind != NODE_CELL || import->values[cell->h.operand].producer != c->producer)
        return;
    import->unrolled = true;
    if (!before->cell->folded || before->cell->h.weights != ONNX_ABSENT ||
        import->values[cell->h.weights].producer > before - import->nodes)
        return;
    before->cell->h = cell->h;
    before->inputs[CELL_R] = cell->h.weights;
    before->inputs[CELL_BIAS_H] = cell->h.bias;
}

/* An LSTM cell ends with o ⊗ tanh(c). Where c is read before that, it stays as it is. */
static bool try_lstm(struct finder *f)
{
    struct onnx_cell cell = {.type = MODEL_LSTM, .n_gates = 4};
    struct lstm_match m;
    if (!match_lstm(f, &m) || f->first_use[m.c_after] < (uint32_t)(f->anchor - f->import->nodes) ||
        !may_be_state(f, m.c_before) || !(is_sum(f, m.sum, &cell) || (is_constant(f, m.c_before) &&
                                                                      is_folded_sum(f, m.sum, &cell))))
        return true;
    if (!cell.folded)
        order_products(f, &cell, m.c_before);
    continue_loop(f, &cell, m.c_before);
    for (uint32_t i = 0; i < 4; i++)
        cell.order.of_gate[i] = (uint8_t)m.slots[i];
    cell.state = cell.h.operand;
    cell.split_x = m.sizes;
    cell.split_h = ONNX_ABSENT;
    return replace(f, &cell, m.c_before, m.c_after);
}

/* ---- GRU ----------------------------------------------------------------- */

struct gru_match {
    int32_t sums[2], sizes[2]; /* two products, each of which is cut into gates */
    uint32_t slots[2][3];      /* r, z, n */
    int32_t state;
};

/* The two inputs of a sum as gate `which` of either product; a product is known by its Split. */
static bool gate_pair(const struct finder *f, int32_t a, int32_t b, uint32_t which, struct gru_match *m)
{
    return gate(f, a, 3, &m->sums[0], &m->slots[0][which], &m->sizes[0]) &&
           gate(f, b, 3, &m->sums[1], &m->slots[1][which], &m->sizes[1]);
}

static bool sigmoid_pair(const struct finder *f, int32_t value, uint32_t which, struct gru_match *m)
{
    const struct onnx_node *add = made_by(f, argument(f, value, "Sigmoid"), "Add");
    int32_t a, b;
    for (uint32_t k = 0; k < 2; k++)
        if (operands(add, k, &a, &b) && gate_pair(f, a, b, which, m))
            return true;
    return false;
}

/* n = tanh(x part + r ⊗ h part). */
static bool is_candidate(const struct finder *f, int32_t value, struct gru_match *m)
{
    const struct onnx_node *add = made_by(f, argument(f, value, "Tanh"), "Add");
    int32_t x_part, product, r, h_part;
    for (uint32_t k = 0; k < 2; k++)
        for (uint32_t j = 0; j < 2; j++)
            if (operands(add, k, &x_part, &product) && operands(made_by(f, product, "Mul"), j, &h_part, &r) &&
                made_by(f, r, "Sigmoid") && gate_pair(f, x_part, h_part, 2, m) && sigmoid_pair(f, r, 0, m))
                return true;
    return false;
}

/* h' = (h - n) ⊗ z + n. */
static bool match_gru(const struct finder *f, struct gru_match *m)
{
    int32_t n, product, difference, z, h, same;
    for (uint32_t k = 0; k < 2; k++)
        for (uint32_t j = 0; j < 2; j++) {
            *m = (struct gru_match){{ONNX_ABSENT, ONNX_ABSENT}, {0}, {{0}}, ONNX_ABSENT};
            if (!operands(f->anchor, k, &product, &n) ||
                !operands(made_by(f, product, "Mul"), j, &difference, &z) ||
                !operands(made_by(f, difference, "Sub"), 0, &h, &same) || same != n ||
                !is_candidate(f, n, m) || !sigmoid_pair(f, z, 1, m))
                continue;
            m->state = h;
            return true;
        }
    return false;
}

static bool try_gru(struct finder *f)
{
    struct onnx_cell cell = {.type = MODEL_GRU, .n_gates = 3, .bias = ONNX_ABSENT};
    struct gru_match m;
    if (!match_gru(f, &m) || !may_be_state(f, m.state) || !is_product(f, m.sums[0], &cell.x) ||
        !is_product(f, m.sums[1], &cell.h) || memcmp(m.slots[0], m.slots[1], sizeof m.slots[0]) ||
        (cell.h.operand != m.state && !(is_constant(f, cell.h.operand) && is_constant(f, m.state))) ||
        (1u << m.slots[0][0] | 1u << m.slots[0][1] | 1u << m.slots[0][2]) != 7)
        return true;
    for (uint32_t i = 0; i < 3; i++)
        cell.order.of_gate[i] = (uint8_t)m.slots[0][i];
    cell.state = m.state;
    cell.split_x = m.sizes[0];
    cell.split_h = m.sizes[1];
    if (f->import->values[m.state].producer >= 0)
        f->import->unrolled |= f->import->nodes[f->import->values[m.state].producer].kind == NODE_CELL;
    return replace(f, &cell, ONNX_ABSENT, ONNX_ABSENT);
}

/* ---- RNN ----------------------------------------------------------------- */

/* act(product + product), one of them with an input of the graph. That alone could be anything; it
 * is a state if what comes out is an output of the graph. */
static bool try_rnn(struct finder *f, uint32_t activation)
{
    struct onnx_cell cell = {.type = MODEL_RNN, .n_gates = 1, .activation = activation};
    const Onnx__GraphProto *graph = f->import->model->graph;
    bool returned = false;
    if (!is_sum(f, f->anchor->inputs[0], &cell))
        return true;
    for (size_t i = 0; !returned && i < graph->n_output; i++)
        returned = graph->output[i]->name &&
                   strcmp(graph->output[i]->name, f->import->values[f->anchor->outputs[0]].name) == 0;
    if (!returned)
        return true;
    order_products(f, &cell, ONNX_ABSENT);
    if (!is_graph_input(f, root_of(f, cell.h.operand)))
        return true;
    cell.state = cell.h.operand;
    cell.split_x = cell.split_h = ONNX_ABSENT;
    return replace(f, &cell, ONNX_ABSENT, ONNX_ABSENT);
}

/* ---- all cells ----------------------------------------------------------- */

/* A cell whose recurrent product was folded away and that nobody continues is none. */
static void restore(struct onnx_import *import, uint32_t i)
{
    const struct onnx_cell *cell = import->nodes[i].cell;
    const int32_t *outputs = import->nodes[i].outputs;
    if (import->nodes[i].kind != NODE_CELL || !cell->folded || cell->h.weights != ONNX_ABSENT)
        return;
    import->values[outputs[1]].slot = import->values[outputs[2]].slot = 0;
    import->values[outputs[2]].producer = cell->c_producer;
    import->nodes[cell->c_producer].outputs[0] = outputs[2];
    import->nodes[i] = cell->anchor;
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

bool onnx_find_cells(struct onnx_import *import)
{
    struct finder finder = {.import = import, .first_use = find_first_uses(import)};
    if (!finder.first_use)
        return false;
    for (uint32_t i = 0; i < import->n_nodes; i++) {
        const struct onnx_node *node = finder.anchor = &import->nodes[i];
        if (node->n_outputs != 1 || node->outputs[0] == ONNX_ABSENT || node->n_inputs == 0)
            continue;
        if (onnx_is_op(node, "Mul") && !try_lstm(&finder))
            return false;
        if (onnx_is_op(node, "Add") && !try_gru(&finder))
            return false;
        if (onnx_is_op(node, "Tanh") && !try_rnn(&finder, MODEL_ACT_TANH))
            return false;
        if (onnx_is_op(node, "Relu") && !try_rnn(&finder, MODEL_ACT_RELU))
            return false;
    }
    for (uint32_t i = 0; i < import->n_nodes; i++)
        restore(import, i);
    return true;
}

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
