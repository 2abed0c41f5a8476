/* SPDX-License-Identifier: MIT
 *
 * Recurrent cells that somebody wrote out, found by their equations before anything else is known:
 * what comes out of a cell, as a polynomial of what its activations give and of the state before, is
 * that of an LSTM, a GRU or a plain RNN. Each becomes one node.
 */
#include "formats/onnx/onnx_cell.h"

#include <stdlib.h>
#include <string.h>

/* ---- polynomials --------------------------------------------------------- */

enum { MAX_MONOMIALS = 4, MAX_ATOMS = 2 };

struct monomial {
    float sign;
    uint32_t n;
    int32_t atoms[MAX_ATOMS]; /* values: activations, states … */
};

struct poly {
    uint32_t n;
    struct monomial of[MAX_MONOMIALS];
};

static bool poly_of(const struct cell_finder *f, int32_t value, uint32_t depth, struct poly *out);

static bool poly_add(struct poly *a, const struct poly *b, float sign)
{
    if (a->n + b->n > MAX_MONOMIALS)
        return false;
    for (uint32_t i = 0; i < b->n; i++) {
        a->of[a->n] = b->of[i];
        a->of[a->n++].sign *= sign;
    }
    return true;
}

static bool poly_mul(const struct poly *a, const struct poly *b, struct poly *out)
{
    *out = (struct poly){0};
    for (uint32_t i = 0; i < a->n; i++)
        for (uint32_t k = 0; k < b->n; k++) {
            struct monomial *m = &out->of[out->n];
            if (out->n == MAX_MONOMIALS || a->of[i].n + b->of[k].n > MAX_ATOMS)
                return false;
            *m = a->of[i];
            memcpy(m->atoms + m->n, b->of[k].atoms, b->of[k].n * sizeof *m->atoms);
            m->n += b->of[k].n;
            m->sign *= b->of[k].sign;
            out->n++;
        }
    return true;
}

static bool poly_of_two(const struct cell_finder *f, const struct onnx_node *node, uint32_t depth,
                        struct poly *out)
{
    struct poly a, b;
    int32_t left, right;
    if (!cell_operands(node, 0, &left, &right) || !poly_of(f, left, depth + 1, &a) ||
        !poly_of(f, right, depth + 1, &b))
        return false;
    if (onnx_is_op(node, "Mul"))
        return poly_mul(&a, &b, out);
    *out = a;
    return poly_add(out, &b, onnx_is_op(node, "Sub") ? -1 : 1);
}

static bool poly_of(const struct cell_finder *f, int32_t value, uint32_t depth, struct poly *out)
{
    enum { DEEPEST = 6 };
    static const char *const ops[] = {"Add", "Sub", "Mul"};
    const struct onnx_node *node = NULL;
    for (uint32_t i = 0; depth < DEEPEST && !node && i < 3; i++)
        node = cell_made_by(f, value, ops[i]);
    if (node)
        return poly_of_two(f, node, depth, out);
    *out = (struct poly){.n = 1, .of = {{.sign = 1}}};
    if (!cell_is_one(f, value))
        out->of[0].atoms[out->of[0].n++] = value;
    return true;
}

/* The atom of a product of two beside `atom`, or ONNX_ABSENT. */
static int32_t beside(const struct monomial *m, int32_t atom)
{
    return m->n != 2               ? ONNX_ABSENT
           : m->atoms[0] == atom   ? m->atoms[1]
           : m->atoms[1] == atom   ? m->atoms[0]
                                   : ONNX_ABSENT;
}

/* ---- which operand is the state ------------------------------------------ */

static bool is_constant(const struct cell_finder *f, int32_t value)
{
    return f->constant[value];
}

static bool is_graph_input(const struct cell_finder *f, int32_t value)
{
    return f->import->values[value].input != NULL;
}

/* From outside, a first state, or a cell before this one. What other nodes compute is no state. */
static bool may_be_state(const struct cell_finder *f, int32_t value)
{
    int32_t root = cell_root(f, value);
    return is_graph_input(f, root) || is_constant(f, value) || f->owner[root] >= 0;
}

/* The state of a cell comes from where its c comes from, or from an input of the graph: of two such
 * inputs from the later one, for x is named first. */
static bool second_is_state(const struct cell_finder *f, int32_t a, int32_t b, int32_t c)
{
    int32_t root_a = cell_root(f, a), root_b = cell_root(f, b);
    int32_t root_c = c == ONNX_ABSENT ? c : cell_root(f, c);
    if (root_c != ONNX_ABSENT && (root_a == root_c || root_b == root_c))
        return root_b == root_c;
    if (root_c != ONNX_ABSENT && f->owner[root_c] >= 0)
        return f->owner[root_b] == f->owner[root_c];
    if (is_constant(f, a) != is_constant(f, b))
        return is_constant(f, b);
    if (is_graph_input(f, root_a) != is_graph_input(f, root_b))
        return is_graph_input(f, root_b);
    return root_b > root_a;
}

/* What the products of a cell take, parts of joined operands apart. */
enum { MAX_OPERANDS = 8 };

struct operands {
    uint32_t n;
    int32_t of[MAX_OPERANDS];
    bool has_others; /* terms that are no product */
};

static void add_operand(struct operands *all, int32_t value)
{
    for (uint32_t i = 0; i < all->n; i++)
        if (all->of[i] == value)
            return;
    if (all->n < MAX_OPERANDS)
        all->of[all->n++] = value;
}

static struct operands operands_of(const struct cell_finder *f, const struct cell_sum *sums, uint32_t n)
{
    struct operands all = {0};
    for (uint32_t s = 0; s < n; s++)
        for (uint32_t i = 0; i < sums[s].n; i++) {
            const struct cell_term *term = &sums[s].terms[i];
            int32_t parts[2];
            if (term->weights == ONNX_ABSENT) {
                all.has_others |= term->kind != TERM_BIAS;
            } else if (cell_joined(f, term->value, parts)) {
                add_operand(&all, parts[0]);
                add_operand(&all, parts[1]);
            } else {
                add_operand(&all, term->value);
            }
        }
    return all;
}

/* ---- cells --------------------------------------------------------------- */

static struct onnx_cell *new_cell(struct cell_finder *f, const struct onnx_cell *made,
                                  const struct cell_sum *sums)
{
    struct onnx_cell *cell = onnx_alloc(f->import, 1, sizeof *cell), **grown;
    if (cell)
        *cell = *made;
    if (!cell || !(cell->sums = onnx_alloc(f->import, made->n_sums, sizeof *sums)))
        return NULL;
    memcpy(cell->sums, sums, made->n_sums * sizeof *sums);
    if (f->n_cells == f->n_room) {
        f->n_room = 2 * f->n_room + 16;
        grown = onnx_alloc(f->import, f->n_room, sizeof *grown);
        if (!grown)
            return NULL;
        if (f->n_cells)
            memcpy(grown, f->cells, f->n_cells * sizeof *grown);
        f->cells = grown;
    }
    f->cells[f->n_cells] = cell;
    return cell;
}

/* A product's operand that was made for it: x beside h, or what a reset leaves of h. */
static bool is_made_for_product(const struct cell_finder *f, int32_t operand)
{
    const struct onnx_node *mul = cell_made_by(f, operand, "Mul");
    int32_t a, b;
    return cell_made_by(f, operand, "Concat") ||
           (cell_operands(mul, 0, &a, &b) && (cell_made_by(f, a, "Sigmoid") || cell_made_by(f, b, "Sigmoid")));
}

/* The nodes of which a cell is made, back to its products. */
static void mark(struct cell_finder *f, int32_t value, uint32_t depth)
{
    static const char *const ops[] = {"Gemm", "MatMul", "Concat", "Mul",  "Add",  "Sub",
                                      "Sigmoid", "Tanh", "Split", "Relu", "Slice", "Neg"};
    const struct onnx_node *node = NULL;
    uint32_t op = 0;
    for (uint32_t i = 0; !node && i < sizeof ops / sizeof *ops; i++) {
        node = cell_made_by(f, value, ops[i]);
        op = i;
    }
    if (!node || depth == 0 || f->part_of[node - f->import->nodes] >= 0)
        return;
    f->part_of[node - f->import->nodes] = (int32_t)f->n_cells;
    for (uint32_t i = 0; op > 2 && i < node->n_inputs; i++)
        mark(f, node->inputs[i], depth - 1);
    if (op < 2 && node->n_inputs > 0 && node->inputs[0] != ONNX_ABSENT &&
        is_made_for_product(f, node->inputs[0]))
        mark(f, node->inputs[0], depth - 1);
}

/* A cell that continues an earlier one does so for the product with the state. */
static bool keep_cell(struct cell_finder *f, const struct onnx_cell *made, const struct cell_sum *sums)
{
    struct onnx_cell *cell = new_cell(f, made, sums);
    int32_t before = made->state == ONNX_ABSENT ? -1 : f->owner[cell_root(f, made->state)];
    if (!cell)
        return false;
    mark(f, cell->h_after, 20);
    cell->anchor = (uint32_t)(f->anchor - f->import->nodes);
    cell->before = before >= 0 && f->cells[before]->type == cell->type ? before : -1;
    cell->after = -1;
    if (cell->before >= 0) {
        if (f->cells[before]->after < 0)
            f->cells[before]->after = (int32_t)f->n_cells;
        cell->step = f->cells[before]->step + 1;
    }
    f->owner[cell->h_after] = (int32_t)f->n_cells;
    if (cell->c_after != ONNX_ABSENT)
        f->owner[cell->c_after] = (int32_t)f->n_cells;
    f->n_cells++;
    return true;
}

/* All sums have x, and all or none the state; *folded: none, but constants instead. */
static bool has_both(const struct cell_sum *sums, uint32_t n, bool *folded)
{
    uint32_t n_state = 0, n_bias = 0;
    for (uint32_t s = 0; s < n; s++) {
        if (!cell_has_kind(&sums[s], TERM_INPUT))
            return false;
        n_state += cell_has_kind(&sums[s], TERM_STATE);
        n_bias += cell_has_kind(&sums[s], TERM_BIAS);
    }
    *folded = n_state == 0;
    return n_state == n || (n_state == 0 && n_bias == n);
}

/* ---- LSTM ---------------------------------------------------------------- */

/* The state for a cell with this c; ONNX_ABSENT if there is none among its operands. */
static int32_t state_for(const struct cell_finder *f, const struct operands *all, int32_t c)
{
    int32_t best = ONNX_ABSENT, root_c = cell_root(f, c);
    if (all->n + all->has_others < 2)
        return ONNX_ABSENT;
    for (uint32_t i = 0; i < all->n; i++) {
        int32_t root = cell_root(f, all->of[i]);
        bool fits = f->owner[root_c] >= 0 ? f->owner[root] == f->owner[root_c]
                    : is_constant(f, c)   ? is_constant(f, all->of[i])
                                          : is_graph_input(f, root);
        if (fits && (best == ONNX_ABSENT || second_is_state(f, best, all->of[i], c)))
            best = all->of[i];
    }
    return best;
}

struct lstm_match {
    int32_t gates[4], c_before, c_after; /* i, f, g, o: what the activations are applied to */
};

/* σ(f) ⊗ c + σ(i) ⊗ tanh(g), in any order. */
static bool is_update(const struct cell_finder *f, int32_t c_after, struct lstm_match *m)
{
    struct poly p;
    if (!cell_made_by(f, c_after, "Add") || !poly_of(f, c_after, 0, &p) || p.n != 2)
        return false;
    for (uint32_t k = 0; k < 8; k++) {
        const struct monomial *write = &p.of[k & 1], *keep = &p.of[!(k & 1)];
        uint32_t w = k >> 1 & 1, s = k >> 2;
        if (write->n != 2 || keep->n != 2 || write->sign != 1 || keep->sign != 1)
            return false;
        m->gates[0] = cell_argument(f, write->atoms[w], "Sigmoid");
        m->gates[2] = cell_argument(f, write->atoms[1 - w], "Tanh");
        m->gates[1] = cell_argument(f, keep->atoms[s], "Sigmoid");
        m->c_before = keep->atoms[1 - s];
        if (m->gates[0] != ONNX_ABSENT && m->gates[2] != ONNX_ABSENT && m->gates[1] != ONNX_ABSENT &&
            may_be_state(f, m->c_before))
            return true;
    }
    return false;
}

static bool match_lstm(const struct cell_finder *f, struct lstm_match *m)
{
    int32_t o, squashed;
    for (uint32_t k = 0; k < 2; k++) {
        if (!cell_operands(f->anchor, k, &o, &squashed))
            return false;
        m->gates[3] = cell_argument(f, o, "Sigmoid");
        m->c_after = cell_argument(f, squashed, "Tanh");
        if (m->gates[3] != ONNX_ABSENT && m->c_after != ONNX_ABSENT && is_update(f, m->c_after, m))
            return true;
    }
    return false;
}

/* An LSTM cell ends with o ⊗ tanh(c). Where c is read before that, it stays as it is. */
static bool try_lstm(struct cell_finder *f)
{
    struct onnx_cell cell = {.type = MODEL_LSTM, .n_sums = 4, .h_after = f->anchor->outputs[0]};
    struct cell_sum sums[4];
    struct lstm_match m;
    struct operands all;
    if (!match_lstm(f, &m) || f->first_use[m.c_after] < (uint32_t)(f->anchor - f->import->nodes))
        return true;
    for (uint32_t i = 0; i < 4; i++)
        if (!cell_sum_of(f, m.gates[i], 1, &sums[i]) || sums[i].gate != ONNX_ABSENT)
            return true;
    all = operands_of(f, sums, 4);
    cell.state = state_for(f, &all, m.c_before);
    for (uint32_t i = 0; i < 4; i++)
        if (!cell_sort_terms(f, cell.state, cell.state, &sums[i]))
            return true;
    if (!has_both(sums, 4, &cell.may_be_other) || (cell.may_be_other && !is_constant(f, m.c_before)))
        return true;
    cell.c_before = m.c_before;
    cell.c_after = m.c_after;
    return keep_cell(f, &cell, sums);
}

/* ---- GRU ----------------------------------------------------------------- */

/* a + z ⊗ (b - a). */
struct mixture {
    int32_t a, b, z;
};

static bool is_mixture(const struct cell_finder *f, int32_t value, struct mixture *out)
{
    struct poly p;
    if (!poly_of(f, value, 0, &p) || p.n != 3)
        return false;
    for (uint32_t k = 0; k < 6; k++) {
        const struct monomial *one = &p.of[k % 3], *less = &p.of[(k + 1 + k / 3) % 3];
        const struct monomial *more = &p.of[(k + 2 - k / 3) % 3];
        if (one->n != 1 || one->sign != 1 || less->sign != -1 || more->sign != 1)
            continue;
        out->a = one->atoms[0];
        out->z = beside(less, out->a);
        out->b = out->z == ONNX_ABSENT ? ONNX_ABSENT : beside(more, out->z);
        if (out->b != ONNX_ABSENT && cell_made_by(f, out->z, "Sigmoid"))
            return true;
    }
    return false;
}

/* What r ⊗ h is called, if a product takes it: the reset is before that product. */
static int32_t reset_before(const struct cell_finder *f, const struct cell_sum *n, int32_t h, int32_t *r)
{
    struct operands all = operands_of(f, n, 1);
    int32_t state;
    for (uint32_t i = 0; i < all.n; i++)
        for (uint32_t k = 0; k < 2; k++)
            if (cell_operands(cell_made_by(f, all.of[i], "Mul"), k, r, &state) &&
                cell_made_by(f, *r, "Sigmoid") && cell_same_state(f, state, h))
                return all.of[i];
    return ONNX_ABSENT;
}

/* The sums of r, z, n and for the reset behind the product of what r is multiplied with. */
static bool gru_sums(const struct cell_finder *f, const struct mixture *mix, bool n_first,
                     struct onnx_cell *cell, struct cell_sum *sums)
{
    int32_t n = n_first ? mix->a : mix->b, reset = ONNX_ABSENT, seen = cell->state;
    if (!cell_sum_of(f, cell_argument(f, n, "Tanh"), 1, &sums[2]) ||
        !cell_sum_of(f, cell_argument(f, mix->z, "Sigmoid"), n_first ? 1 : -1, &sums[1]))
        return false;
    cell->reset_after = sums[2].gate != ONNX_ABSENT;
    if (cell->reset_after) {
        reset = sums[2].gate;
        if (!cell_sum_of(f, sums[2].gated, sums[2].gated_factor, &sums[3]) || sums[3].gate != ONNX_ABSENT)
            return false;
    } else if ((seen = reset_before(f, &sums[2], cell->state, &reset)) == ONNX_ABSENT) {
        return false;
    }
    cell->n_sums = 3 + cell->reset_after;
    if (!cell_sum_of(f, cell_argument(f, reset, "Sigmoid"), 1, &sums[0]) || sums[0].gate != ONNX_ABSENT ||
        sums[1].gate != ONNX_ABSENT)
        return false;
    for (uint32_t i = 0; i < cell->n_sums; i++)
        if (!cell_sort_terms(f, cell->state, i == 2 ? seen : cell->state, &sums[i]))
            return false;
    return !cell->reset_after ||
           (!cell_has_kind(&sums[2], TERM_STATE) && !cell_has_kind(&sums[3], TERM_INPUT));
}

static bool has_gru_terms(const struct cell_sum *sums, struct onnx_cell *cell)
{
    uint32_t n_state = 0;
    for (uint32_t i = 0; i < cell->n_sums; i++) {
        bool inner = i == 3, outer = i == 2 && cell->reset_after;
        bool state = cell_has_kind(&sums[i], TERM_STATE);
        if (!inner && !cell_has_kind(&sums[i], TERM_INPUT))
            return false;
        if (!outer && !state && !cell_has_kind(&sums[i], TERM_BIAS))
            return false;
        n_state += state;
    }
    cell->may_be_other = n_state == 0;
    return n_state == 0 || n_state == 3;
}

/* h' = n + z ⊗ (h - n), or with 1 - z for z. */
static bool try_gru(struct cell_finder *f)
{
    struct cell_sum sums[4];
    struct mixture mix;
    if (!is_mixture(f, f->anchor->outputs[0], &mix))
        return true;
    for (uint32_t k = 0; k < 2; k++) {
        struct onnx_cell cell = {.type = MODEL_GRU, .h_after = f->anchor->outputs[0],
                                 .c_before = ONNX_ABSENT, .c_after = ONNX_ABSENT};
        cell.state = k == 0 ? mix.b : mix.a;
        if (may_be_state(f, cell.state) && gru_sums(f, &mix, k == 0, &cell, sums) &&
            has_gru_terms(sums, &cell) && (!cell.may_be_other || is_constant(f, cell.state)))
            return keep_cell(f, &cell, sums);
    }
    return true;
}

/* ---- RNN ----------------------------------------------------------------- */

/* Both multiply what is no state with the same weights. */
static bool same_input(const struct cell_sum *a, const struct cell_sum *b)
{
    uint32_t i = 0;
    for (; i < a->n && a->terms[i].kind == TERM_INPUT; i++)
        if (i == b->n || b->terms[i].kind != TERM_INPUT || a->terms[i].weights != b->terms[i].weights)
            return false;
    return i == b->n || b->terms[i].kind != TERM_INPUT;
}

/* The sum with `state` among its operands continues the RNN that has this state. */
static bool continues_rnn(const struct cell_finder *f, const struct cell_sum *sum, int32_t state)
{
    int32_t owner = f->owner[cell_root(f, state)];
    struct cell_sum sorted = *sum;
    return owner >= 0 && f->cells[owner]->type == MODEL_RNN && cell_sort_terms(f, state, state, &sorted) &&
           same_input(&sorted, f->cells[owner]->sums);
}

static bool first_input(const struct cell_finder *f, int32_t value)
{
    const Onnx__GraphProto *graph = f->import->model->graph;
    return graph->n_input > 0 && graph->input[0] == f->import->values[value].input;
}

static int32_t rnn_state(const struct cell_finder *f, const struct cell_sum *sum)
{
    struct operands all = operands_of(f, sum, 1);
    int32_t best = ONNX_ABSENT;
    for (uint32_t i = 0; i < all.n; i++)
        if (continues_rnn(f, sum, all.of[i]))
            return all.of[i];
    if (all.n + all.has_others < 2)
        return ONNX_ABSENT;
    for (uint32_t i = 0; i < all.n; i++) {
        int32_t root = cell_root(f, all.of[i]);
        bool is_data = all.has_others && first_input(f, root);
        if (!is_constant(f, all.of[i]) && (!is_graph_input(f, root) || is_data))
            continue;
        if (best == ONNX_ABSENT || second_is_state(f, best, all.of[i], ONNX_ABSENT))
            best = all.of[i];
    }
    return best;
}

/* act(sum). That alone could be anything; it is a cell if its state comes from outside and goes out
 * again, or if another step follows. */
static bool try_rnn(struct cell_finder *f, uint32_t activation, const bool *returned)
{
    struct onnx_cell cell = {.type = MODEL_RNN, .activation = activation, .n_sums = 1,
                             .h_after = f->anchor->outputs[0], .c_before = ONNX_ABSENT,
                             .c_after = ONNX_ABSENT};
    struct cell_sum sum;
    bool folded, taken = f->part_of[f->anchor - f->import->nodes] >= 0;
    if (taken || !cell_sum_of(f, f->anchor->inputs[0], 1, &sum) || sum.gate != ONNX_ABSENT)
        return true;
    cell.state = rnn_state(f, &sum);
    if (!cell_sort_terms(f, cell.state, cell.state, &sum) || !has_both(&sum, 1, &folded))
        return true;
    cell.may_be_other = folded || is_constant(f, cell.state) ||
                        (is_graph_input(f, cell_root(f, cell.state)) && !returned[cell.h_after]);
    return keep_cell(f, &cell, &sum);
}

static int compare_names(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* The outputs' names in order, so that a million values can be looked for among a thousand. */
static const char **sorted_outputs(struct onnx_import *import, size_t *n_out)
{
    const Onnx__GraphProto *graph = import->model->graph;
    const char **names = onnx_alloc(import, graph->n_output + 1, sizeof *names);
    size_t n = 0;
    for (size_t i = 0; names && i < graph->n_output; i++)
        if (graph->output[i]->name)
            names[n++] = graph->output[i]->name;
    if (n)
        qsort(names, n, sizeof *names, compare_names);
    *n_out = n;
    return names;
}

/* Values that outputs of the graph are, maybe rearranged or beside others. */
static bool *find_returned(const struct cell_finder *f)
{
    const struct onnx_import *import = f->import;
    bool *returned = onnx_alloc(f->import, (size_t)import->n_values + 1, sizeof *returned);
    size_t n_names = 0;
    const char **names = returned ? sorted_outputs(f->import, &n_names) : NULL;
    if (!names)
        return NULL;
    for (uint32_t v = 0; v < import->n_values; v++)
        returned[v] = import->values[v].scope == 0 &&
                      bsearch(&import->values[v].name, names, n_names, sizeof *names, compare_names);
    for (uint32_t i = import->n_nodes; i-- > 0;) {
        const struct onnx_node *node = &import->nodes[i];
        bool all = onnx_is_op(node, "Concat"), any = false;
        for (uint32_t k = 0; k < node->n_outputs; k++)
            any |= node->outputs[k] != ONNX_ABSENT && returned[node->outputs[k]];
        any &= node->kind == NODE_PLAIN && node->proto->op_type && onnx_passes_on(node->proto->op_type);
        for (uint32_t k = 0; any && k < (all ? node->n_inputs : 1) && k < node->n_inputs; k++)
            if (node->inputs[k] != ONNX_ABSENT)
                returned[node->inputs[k]] = true;
    }
    return returned;
}

/* ---- the nodes ----------------------------------------------------------- */

struct wiring {
    struct onnx_cell *cell;
    struct onnx_node *node;
    uint32_t room;
};

static void wire(struct wiring *w, int32_t value, enum onnx_cell_use use)
{
    if (value == ONNX_ABSENT || w->node->n_inputs == w->room)
        return;
    w->cell->uses[w->node->n_inputs] = (uint8_t)use;
    w->node->inputs[w->node->n_inputs++] = value;
}

static void wire_term(const struct cell_finder *f, struct wiring *w, const struct cell_term *term)
{
    static const enum onnx_cell_use uses[] = {CELL_USES_DATA, CELL_USES_STATE, CELL_USES_WEIGHTS};
    wire(w, term->value, uses[term->kind]);
    wire(w, term->weights, CELL_USES_WEIGHTS);
    for (uint32_t i = 0; i < term->n_cuts; i++) {
        const struct onnx_node *cut = &f->import->nodes[term->cuts[i].node];
        for (uint32_t k = 1; k < cut->n_inputs && k < 5; k++)
            wire(w, cut->inputs[k], CELL_USES_WEIGHTS);
    }
}

static bool replace(struct cell_finder *f, struct onnx_cell *cell)
{
    struct onnx_import *import = f->import;
    struct onnx_node *node = &import->nodes[cell->anchor];
    struct wiring w = {cell, node, 2};
    for (uint32_t s = 0; s < cell->n_sums; s++)
        w.room += (cell->sums[s].n + (cell->folded ? cell->folded[s].n : 0)) * (2 + 4 * CELL_MAX_CUTS);
    node->inputs = onnx_alloc(import, w.room, sizeof *node->inputs);
    node->outputs = onnx_alloc(import, 3, sizeof *node->outputs);
    cell->uses = onnx_alloc(import, w.room, sizeof *cell->uses);
    if (!node->inputs || !node->outputs || !cell->uses)
        return false;
    node->kind = NODE_CELL;
    node->cell = cell;
    node->n_inputs = 0;
    node->n_outputs = 3;
    wire(&w, cell->state, CELL_USES_STATE);
    wire(&w, cell->c_before, CELL_USES_STATE);
    for (uint32_t s = 0; s < cell->n_sums; s++) {
        for (uint32_t i = 0; i < cell->sums[s].n; i++)
            wire_term(f, &w, &cell->sums[s].terms[i]);
        for (uint32_t i = 0; cell->folded && i < cell->folded[s].n; i++)
            wire_term(f, &w, &cell->folded[s].terms[i]);
    }
    node->outputs[0] = ONNX_ABSENT;
    node->outputs[1] = cell->h_after;
    node->outputs[2] = cell->c_after;
    import->values[cell->h_after].slot = 1;
    if (cell->c_after != ONNX_ABSENT) {
        struct onnx_value *c = &import->values[cell->c_after];
        import->nodes[c->producer].outputs[0] = ONNX_ABSENT;
        c->producer = cell->anchor;
        c->slot = 2;
    }
    return true;
}

/* ---- loops --------------------------------------------------------------- */

/* Whether all that the product with the state and the biases take is known at node `anchor`. */
static bool known_at(const struct cell_finder *f, const struct cell_sum *sum, uint32_t anchor)
{
    for (uint32_t i = 0; i < sum->n; i++) {
        const struct cell_term *term = &sum->terms[i];
        int32_t values[2 + 4 * CELL_MAX_CUTS] = {term->kind == TERM_BIAS ? term->value : ONNX_ABSENT,
                                                 term->weights};
        uint32_t n = 2;
        if (term->kind == TERM_INPUT)
            continue;
        for (uint32_t k = 0; k < term->n_cuts; k++) {
            const struct onnx_node *cut = &f->import->nodes[term->cuts[k].node];
            for (uint32_t j = 1; j < cut->n_inputs && j < 5; j++)
                values[n++] = cut->inputs[j];
        }
        for (uint32_t k = 0; k < n; k++)
            if (values[k] != ONNX_ABSENT && f->import->values[values[k]].producer > (int64_t)anchor)
                return false;
    }
    return true;
}

/* The product with the state and the biases of the step that follows, for a cell without: */
static bool borrow(struct cell_finder *f, struct onnx_cell *cell)
{
    const struct onnx_cell *after = f->cells[cell->after];
    struct cell_sum *own = cell->sums;
    if (after->type != cell->type || after->n_sums != cell->n_sums)
        return true;
    for (uint32_t s = 0; s < cell->n_sums; s++)
        if (!known_at(f, &after->sums[s], cell->anchor))
            return true;
    cell->sums = onnx_alloc(f->import, cell->n_sums, sizeof *cell->sums);
    for (uint32_t s = 0; cell->sums && s < cell->n_sums; s++) {
        struct cell_sum *sum = &cell->sums[s];
        for (uint32_t i = 0; i < own[s].n; i++)
            if (own[s].terms[i].kind == TERM_INPUT)
                sum->terms[sum->n++] = own[s].terms[i];
        for (uint32_t i = 0; i < after->sums[s].n; i++)
            if (after->sums[s].terms[i].kind != TERM_INPUT && sum->n < CELL_MAX_TERMS)
                sum->terms[sum->n++] = after->sums[s].terms[i];
        for (uint32_t i = 0; i < sum->n; i++)
            if (sum->terms[i].kind == TERM_STATE)
                sum->terms[i].value = ONNX_ABSENT;
    }
    cell->folded = own;
    return cell->sums != NULL;
}

static bool settle(struct cell_finder *f, uint32_t i)
{
    struct onnx_cell *cell = f->cells[i];
    bool folded = true;
    for (uint32_t s = 0; s < cell->n_sums; s++)
        folded &= !cell_has_kind(&cell->sums[s], TERM_STATE);
    if (cell->may_be_other && cell->after < 0)
        return true;
    if (folded && !borrow(f, cell))
        return false;
    if (folded && !cell->folded)
        return true;
    f->import->unrolled |= cell->before >= 0;
    if (cell->step >= f->import->n_unrolled)
        f->import->n_unrolled = cell->step + 1;
    return replace(f, cell);
}

static bool find_in(struct cell_finder *f, bool rnn, const bool *returned)
{
    for (uint32_t i = 0; i < f->import->n_nodes; i++) {
        const struct onnx_node *node = f->anchor = &f->import->nodes[i];
        if (node->n_outputs != 1 || node->outputs[0] == ONNX_ABSENT || node->n_inputs == 0 ||
            node->inputs[0] == ONNX_ABSENT ||
            (node->guard >= 0 && f->import->nodes[node->guard].kind == NODE_LOOP))
            continue;
        if (!rnn && onnx_is_op(node, "Mul") && !try_lstm(f))
            return false;
        if (!rnn && (onnx_is_op(node, "Add") || onnx_is_op(node, "Sub")) && !try_gru(f))
            return false;
        if (rnn && onnx_is_op(node, "Tanh") && !try_rnn(f, MODEL_ACT_TANH, returned))
            return false;
        if (rnn && onnx_is_op(node, "Relu") && !try_rnn(f, MODEL_ACT_RELU, returned))
            return false;
    }
    return true;
}

bool onnx_find_cells(struct onnx_import *import)
{
    struct cell_finder f;
    bool *returned;
    if (!cell_finder_init(import, &f) || !(returned = find_returned(&f)) || !find_in(&f, false, returned) ||
        !find_in(&f, true, returned))
        return false;
    for (uint32_t i = 0; i < f.n_cells; i++)
        if (!settle(&f, i))
            return false;
    for (uint32_t i = 0; i < import->n_nodes; i++)
        import->nodes[i].of_cell = f.part_of[i] >= 0 &&
                                   import->nodes[f.cells[f.part_of[i]]->anchor].kind == NODE_CELL;
    return true;
}

enum onnx_cell_use onnx_cell_uses(const struct onnx_node *node, uint32_t input)
{
    return (enum onnx_cell_use)node->cell->uses[input];
}
