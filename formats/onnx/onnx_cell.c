/* SPDX-License-Identifier: MIT
 *
 * Recurrent cells that an exporter wrote out, as PyTorch does for LSTMCell, GRUCell and RNNCell:
 * products with the input and the state, gates cut out of their sum, and the state's arithmetic.
 * They are found by their shape before anything else is known, and become one node.
 */
#include "formats/onnx/onnx_cell.h"

#include <string.h>

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
