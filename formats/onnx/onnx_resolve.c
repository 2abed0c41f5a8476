/* SPDX-License-Identifier: MIT
 *
 * Names of an ONNX graph to values and nodes. The branches of an If and the body of a Loop are laid out
 * in the one list of nodes, each guarded by its node; what they name is looked for from the inside out.
 */
#include "formats/onnx/onnx_internal.h"

#include <stdlib.h>
#include <string.h>

/* ---- graphs inside graphs ------------------------------------------------ */

/* A graph with the branches of its Ifs and the bodies of its Loops, in the order of its nodes. */
struct part {
    const Onnx__GraphProto *graph;
    uint32_t scope;
    struct part *branches;
    uint32_t n_branches;
};

struct counts {
    size_t values, nodes;
    uint32_t scopes;
};

static bool is_op(const Onnx__NodeProto *proto, const char *op)
{
    return proto->op_type && strcmp(proto->op_type, op) == 0 &&
           (!proto->domain || !*proto->domain || strcmp(proto->domain, "ai.onnx") == 0);
}

/* How many graphs a node has inside that are laid out; each such node needs a second one after them. */
static uint32_t n_inside(const Onnx__NodeProto *proto)
{
    return is_op(proto, "If") ? 2 : is_op(proto, "Loop") ? 1 : 0;
}

static const char *name_of(const Onnx__NodeProto *proto)
{
    return proto->name && *proto->name ? proto->name : proto->n_output ? proto->output[0] : "";
}

static const Onnx__GraphProto *unpack_branch(struct onnx_import *import, const Onnx__NodeProto *proto,
                                             const char *which)
{
    const Onnx__AttributeProto *a = NULL;
    struct onnx_subgraph *kept;
    for (size_t i = 0; i < proto->n_attribute; i++)
        if (proto->attribute[i]->name && strcmp(proto->attribute[i]->name, which) == 0)
            a = proto->attribute[i];
    if (!a || !a->has_g) {
        import_fail(import->error, "node '%.80s' (%s): has no %s", name_of(proto), proto->op_type, which);
        return NULL;
    }
    kept = onnx_alloc(import, 1, sizeof *kept);
    if (!kept)
        return NULL;
    kept->graph = onnx__graph_proto__unpack(import->allocator, a->g.len, a->g.data);
    if (!kept->graph) {
        import_fail(import->error, "node '%.80s' (%s): its %s is damaged, or memory ran out",
                    name_of(proto), proto->op_type, which);
        return NULL;
    }
    kept->next = import->subgraphs;
    import->subgraphs = kept;
    return kept->graph;
}

static bool open_part(struct onnx_import *import, struct part *part, uint32_t depth, struct counts *counts)
{
    static const char *const names[3][2] = {{NULL}, {"body"}, {"then_branch", "else_branch"}};
    const Onnx__GraphProto *graph = part->graph;
    uint32_t n = 0;
    if (graph->n_sparse_initializer)
        return import_fail(import->error, "the graph has sparse initialisers, which are not supported");
    if (depth > ONNX_MAX_DEPTH)
        return import_fail(import->error, "the graph has Ifs and Loops inside one another more than %d deep",
                           ONNX_MAX_DEPTH);
    part->scope = counts->scopes++;
    counts->values += graph->n_input + graph->n_initializer;
    counts->nodes += graph->n_node;
    for (size_t i = 0; i < graph->n_node; i++) {
        counts->values += graph->node[i]->n_output;
        part->n_branches += n_inside(graph->node[i]);
        counts->nodes += n_inside(graph->node[i]) > 0;
    }
    part->branches = onnx_alloc(import, (size_t)part->n_branches + 1, sizeof *part->branches);
    for (size_t i = 0; part->branches && i < graph->n_node; i++) {
        uint32_t inside = n_inside(graph->node[i]);
        for (uint32_t k = 0; k < inside; k++) {
            struct part *branch = &part->branches[n++];
            branch->graph = unpack_branch(import, graph->node[i], names[inside][k]);
            if (!branch->graph || !open_part(import, branch, depth + 1, counts))
                return false;
        }
    }
    return part->branches != NULL;
}

/* ---- values -------------------------------------------------------------- */

struct key {
    const char *name;
    uint32_t scope;
};

static int compare(const char *name_a, uint32_t scope_a, const struct onnx_value *b)
{
    int order = strcmp(name_a, b->name);
    return order ? order : (scope_a > b->scope) - (scope_a < b->scope);
}

static int compare_values(const void *a, const void *b)
{
    const struct onnx_value *x = *(struct onnx_value *const *)a;
    return compare(x->name, x->scope, *(struct onnx_value *const *)b);
}

static int compare_key(const void *key, const void *value)
{
    const struct key *x = key;
    return compare(x->name, x->scope, *(struct onnx_value *const *)value);
}

static struct onnx_value *new_value(struct onnx_import *import, const char *name, uint32_t scope)
{
    struct onnx_value *value = &import->values[import->n_values++];
    value->name = name ? name : "";
    value->scope = scope;
    value->producer = -1;
    return value;
}

static void add_initializers(struct onnx_import *import, const struct part *part)
{
    for (size_t i = 0; i < part->graph->n_initializer; i++) {
        const Onnx__TensorProto *tensor = part->graph->initializer[i];
        new_value(import, tensor->name, part->scope)->initializer = tensor;
    }
}

/* Old files list initialisers among the inputs too: one value, and no input to feed. */
static bool add_inputs(struct onnx_import *import, const Onnx__GraphProto *graph)
{
    uint32_t n_initializers = import->n_values;
    struct onnx_value **sorted = onnx_alloc(import, (size_t)n_initializers + 1, sizeof *sorted);
    if (!sorted)
        return false;
    for (uint32_t i = 0; i < n_initializers; i++)
        sorted[i] = &import->values[i];
    qsort(sorted, n_initializers, sizeof *sorted, compare_values);
    for (size_t i = 0; i < graph->n_input; i++) {
        const struct key key = {graph->input[i]->name ? graph->input[i]->name : "", 0};
        if (!bsearch(&key, sorted, n_initializers, sizeof *sorted, compare_key))
            new_value(import, key.name, 0)->input = graph->input[i];
    }
    return true;
}

static bool sort_values(struct onnx_import *import, struct onnx_value ***sorted_out)
{
    struct onnx_value **sorted = onnx_alloc(import, (size_t)import->n_values + 1, sizeof *sorted);
    if (!sorted)
        return false;
    for (uint32_t i = 0; i < import->n_values; i++)
        sorted[i] = &import->values[i];
    qsort(sorted, import->n_values, sizeof *sorted, compare_values);
    for (uint32_t i = 1; i < import->n_values; i++)
        if (compare_values(&sorted[i - 1], &sorted[i]) == 0)
            return import_fail(import->error, "the value '%.80s' is defined twice", sorted[i]->name);
    *sorted_out = sorted;
    return true;
}

/* ---- nodes --------------------------------------------------------------- */

/* Where nodes are added: the branch that they are in. */
struct place {
    uint32_t scope;
    int32_t guard;
    bool branch;
};

static struct onnx_node *new_node(struct onnx_import *import, const Onnx__NodeProto *proto,
                                  enum onnx_node_kind kind, const struct place *at)
{
    struct onnx_node *node = &import->nodes[import->n_nodes++];
    node->proto = proto;
    node->kind = kind;
    node->name = name_of(proto);
    node->guard = at->guard;
    node->branch = at->branch;
    return node;
}

static bool add_outputs(struct onnx_import *import, struct onnx_node *node, uint32_t scope)
{
    const Onnx__NodeProto *proto = node->proto;
    node->n_outputs = (uint32_t)proto->n_output;
    node->outputs = onnx_alloc(import, (size_t)node->n_outputs + 1, sizeof *node->outputs);
    for (uint32_t i = 0; node->outputs && i < node->n_outputs; i++) {
        node->outputs[i] = ONNX_ABSENT;
        if (!*proto->output[i])
            continue;
        node->outputs[i] = (int32_t)import->n_values;
        new_value(import, proto->output[i], scope)->producer = node - import->nodes;
        import->values[import->n_values - 1].slot = i;
    }
    return node->outputs != NULL;
}

static bool make_inputs(struct onnx_import *import, struct onnx_node *node, size_t n)
{
    node->n_inputs = (uint32_t)n;
    node->inputs = onnx_alloc(import, n + 1, sizeof *node->inputs);
    return node->inputs != NULL;
}

static bool add_nodes(struct onnx_import *import, const struct part *part, int32_t guard, bool branch);

static bool add_if(struct onnx_import *import, const Onnx__NodeProto *proto, const struct part *branches,
                   const struct place *at)
{
    int32_t decides = (int32_t)import->n_nodes;
    struct onnx_node *node = new_node(import, proto, NODE_IF, at);
    if (proto->n_input != 1)
        return import_fail(import->error, "node '%.80s' (If): has %zu inputs, not 1", node->name,
                           proto->n_input);
    if (!make_inputs(import, node, 1) || !add_nodes(import, &branches[0], decides, true) ||
        !add_nodes(import, &branches[1], decides, false))
        return false;
    for (uint32_t k = 0; k < 2; k++)
        if (branches[k].graph->n_output != proto->n_output)
            return import_fail(import->error, "node '%.80s' (If): a branch has %zu outputs, the node %zu",
                               node->name, branches[k].graph->n_output, proto->n_output);
    node = new_node(import, proto, NODE_JOIN, at);
    node->decides = decides;
    return make_inputs(import, node, 2 * proto->n_output + 1) && add_outputs(import, node, at->scope);
}

/* The inputs of a Loop's body are outputs of its first node; its second one has the results: number of
 * rounds, condition, what is carried on, what is collected, and again what was carried in. */
static bool add_loop(struct onnx_import *import, const Onnx__NodeProto *proto, const struct part *body,
                     const struct place *at)
{
    const Onnx__GraphProto *graph = body->graph;
    uint32_t begins = import->n_nodes;
    struct onnx_node *node = new_node(import, proto, NODE_LOOP, at);
    if (proto->n_input < 2 || graph->n_input != proto->n_input || graph->n_output + 1 < graph->n_input ||
        graph->n_output != proto->n_output + 1)
        return import_fail(import->error, "node '%.80s' (Loop): has %zu inputs and %zu outputs, its body %zu "
                           "and %zu", node->name, proto->n_input, proto->n_output, graph->n_input,
                           graph->n_output);
    node->taken = true;
    node->n_outputs = (uint32_t)graph->n_input;
    node->outputs = onnx_alloc(import, (size_t)node->n_outputs + 1, sizeof *node->outputs);
    if (!node->outputs || !make_inputs(import, node, proto->n_input))
        return false;
    for (uint32_t i = 0; i < node->n_outputs; i++) {
        node->outputs[i] = (int32_t)import->n_values;
        new_value(import, graph->input[i]->name, body->scope)->producer = begins;
        import->values[import->n_values - 1].slot = i;
    }
    if (!add_nodes(import, body, (int32_t)begins, true))
        return false;
    node = new_node(import, proto, NODE_LOOP_END, at);
    node->decides = (int32_t)begins;
    import->nodes[begins].decides = (int32_t)(node - import->nodes);
    return make_inputs(import, node, 1 + graph->n_output) && add_outputs(import, node, at->scope);
}

static bool add_nodes(struct onnx_import *import, const struct part *part, int32_t guard, bool branch)
{
    const struct place at = {part->scope, guard, branch};
    const struct part *branches = part->branches;
    for (size_t i = 0; i < part->graph->n_node; i++) {
        const Onnx__NodeProto *proto = part->graph->node[i];
        struct onnx_node *node;
        uint32_t inside = n_inside(proto);
        if (inside) {
            if (!(inside == 2 ? add_if : add_loop)(import, proto, branches, &at))
                return false;
            branches += inside;
            continue;
        }
        node = new_node(import, proto, NODE_PLAIN, &at);
        if (!make_inputs(import, node, proto->n_input) || !add_outputs(import, node, part->scope))
            return false;
    }
    return true;
}

/* The values of a branch that its initialisers give; those of the outermost graph are there. */
static void add_inner_initializers(struct onnx_import *import, const struct part *part)
{
    for (uint32_t i = 0; i < part->n_branches; i++) {
        add_initializers(import, &part->branches[i]);
        add_inner_initializers(import, &part->branches[i]);
    }
}

/* ---- inputs of nodes ----------------------------------------------------- */

struct resolving {
    struct onnx_import *import;
    struct onnx_value **sorted;
    const uint32_t *parents; /* of each scope */
    uint32_t index;          /* of the next node */
};

static bool find_input(struct resolving *r, const char *name, uint32_t scope, int32_t *out)
{
    struct onnx_import *import = r->import;
    struct onnx_value **found = NULL;
    *out = ONNX_ABSENT;
    if (!*name)
        return true;
    for (;;) {
        const struct key key = {name, scope};
        found = bsearch(&key, r->sorted, import->n_values, sizeof *r->sorted, compare_key);
        if (found || scope == 0)
            break;
        scope = r->parents[scope];
    }
    if (!found || (*found)->producer >= (int64_t)r->index)
        return onnx_fail(import, "its input '%.80s' is %s", name,
                         found ? "made after it: the nodes must be in order" : "not in the graph");
    *out = (int32_t)(*found - import->values);
    return true;
}

static bool resolve_part(struct resolving *r, const struct part *part);

static bool resolve_if(struct resolving *r, const struct part *branches, const Onnx__NodeProto *proto,
                       uint32_t scope)
{
    struct onnx_node *decides = &r->import->nodes[r->index], *join;
    uint32_t n = (uint32_t)proto->n_output;
    r->import->node = decides;
    if (!find_input(r, proto->input[0], scope, &decides->inputs[0]))
        return false;
    r->index++;
    if (!resolve_part(r, &branches[0]) || !resolve_part(r, &branches[1]))
        return false;
    r->import->node = join = &r->import->nodes[r->index];
    for (uint32_t i = 0; i < 2 * n; i++) {
        const struct part *branch = &branches[i / n];
        const char *name = branch->graph->output[i % n]->name;
        if (!find_input(r, name ? name : "", branch->scope, &join->inputs[i]))
            return false;
    }
    join->inputs[2 * n] = decides->inputs[0];
    return true;
}

static bool resolve_loop(struct resolving *r, const struct part *body, const Onnx__NodeProto *proto,
                         uint32_t scope)
{
    struct onnx_node *begins = &r->import->nodes[r->index], *end;
    const Onnx__GraphProto *graph = body->graph;
    r->import->node = begins;
    for (uint32_t k = 0; k < proto->n_input; k++)
        if (!find_input(r, proto->input[k], scope, &begins->inputs[k]))
            return false;
    r->index++;
    if (!resolve_part(r, body))
        return false;
    r->import->node = end = &r->import->nodes[r->index];
    end->inputs[0] = begins->inputs[0];
    for (uint32_t k = 0; k < graph->n_output; k++)
        if (!find_input(r, graph->output[k]->name ? graph->output[k]->name : "", body->scope,
                        &end->inputs[1 + k]))
            return false;
    begins->inputs[0] = ONNX_ABSENT;
    r->import->has_loops = true;
    return true;
}

static bool resolve_part(struct resolving *r, const struct part *part)
{
    const struct part *branches = part->branches;
    for (size_t i = 0; i < part->graph->n_node; i++, r->index++) {
        const Onnx__NodeProto *proto = part->graph->node[i];
        struct onnx_node *node = &r->import->nodes[r->index];
        uint32_t inside = n_inside(proto);
        if (inside) {
            if (!(inside == 2 ? resolve_if : resolve_loop)(r, branches, proto, part->scope))
                return false;
            branches += inside;
            continue;
        }
        r->import->node = node;
        for (uint32_t k = 0; k < node->n_inputs; k++)
            if (!find_input(r, proto->input[k], part->scope, &node->inputs[k]))
                return false;
    }
    r->import->node = NULL;
    return true;
}

static void note_parents(const struct part *part, uint32_t *parents)
{
    for (uint32_t i = 0; i < part->n_branches; i++) {
        parents[part->branches[i].scope] = part->scope;
        note_parents(&part->branches[i], parents);
    }
}

bool onnx_resolve(struct onnx_import *import)
{
    struct part whole = {.graph = import->model->graph};
    struct resolving resolving = {.import = import};
    struct counts counts = {0, 0, 0};
    uint32_t *parents;
    if (!open_part(import, &whole, 0, &counts))
        return false;
    if (counts.values > INT32_MAX || counts.nodes > INT32_MAX)
        return import_fail(import->error, "the graph has too many values");
    import->values = onnx_alloc(import, counts.values + 1, sizeof *import->values);
    import->nodes = onnx_alloc(import, counts.nodes + 1, sizeof *import->nodes);
    parents = onnx_alloc(import, counts.scopes, sizeof *parents);
    if (!import->values || !import->nodes || !parents)
        return false;
    note_parents(&whole, parents);
    resolving.parents = parents;
    add_initializers(import, &whole);
    if (!add_inputs(import, whole.graph))
        return false;
    add_inner_initializers(import, &whole);
    return add_nodes(import, &whole, -1, false) && sort_values(import, &resolving.sorted) &&
           resolve_part(&resolving, &whole);
}
