/* SPDX-License-Identifier: MIT
 *
 * Drawing a model's graph, see graph.h.
 */
#include "tools/graph.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_LANES = 24, SHAPE_TEXT = 48 };

#define FREE UINT32_MAX

/* What meets in a cell of the drawing. */
enum { UP = 1, DOWN = 2, LEFT = 4, RIGHT = 8, CROSSING = 16 };

struct graph {
    const lstm_model *model;
    uint32_t n_layers, output;
    uint32_t *last_use;         /* of each value: the layer, n_layers for the output, FREE for none */
    uint32_t lanes[MAX_LANES];  /* the value on each lane, or FREE */
    unsigned n_lanes;
    bool lines;
};

/* ---- cells --------------------------------------------------------------- */

static const char *cell_text(const struct graph *graph, unsigned cell)
{
    static const char *const box[16] = {
        [0] = " ", [UP | DOWN] = "│", [LEFT | RIGHT] = "─", [UP | RIGHT] = "╰", [UP | LEFT] = "╯",
        [DOWN | RIGHT] = "╭", [DOWN | LEFT] = "╮", [UP | DOWN | RIGHT] = "├", [UP | DOWN | LEFT] = "┤",
        [UP | LEFT | RIGHT] = "┴", [DOWN | LEFT | RIGHT] = "┬", [UP | DOWN | LEFT | RIGHT] = "┼",
        [UP] = "╵", [DOWN] = "╷", [LEFT] = "╴", [RIGHT] = "╶"};
    if (cell & CROSSING) /* two lines that have nothing to do with each other */
        return graph->lines ? "│" : "|";
    if (graph->lines)
        return box[cell];
    if ((cell & (LEFT | RIGHT)) && (cell & (UP | DOWN)))
        return "+";
    return cell & (UP | DOWN) ? "|" : cell ? "-" : " ";
}

/* The lanes as they go on, with `node` (if there is such a lane) in the place of one. */
static void put_lanes(const struct graph *graph, unsigned node, const char *mark)
{
    fputs("  ", stdout);
    for (unsigned i = 0; i < graph->n_lanes; i++) {
        const char *line = cell_text(graph, graph->lanes[i] == FREE ? 0 : UP | DOWN);
        printf("%s ", i == node ? mark : line);
    }
}

static void trim_lanes(struct graph *graph)
{
    while (graph->n_lanes > 0 && graph->lanes[graph->n_lanes - 1] == FREE)
        graph->n_lanes--;
}

/* ---- one row ------------------------------------------------------------- */

/* A node of the drawing: a layer, or the model's output as the last one. */
struct node {
    uint32_t index; /* of the layer; n_layers: the output */
    uint32_t n_inputs;
    const uint32_t *inputs;
    unsigned lane;
};

static unsigned lane_of(const struct graph *graph, uint32_t value)
{
    unsigned lane = 0;
    while (lane < graph->n_lanes && graph->lanes[lane] != value)
        lane++;
    return lane;
}

/* The lane of the leftmost input that ends here, or a free one. False: there is none. */
static bool choose_lane(struct graph *graph, struct node *node)
{
    node->lane = MAX_LANES;
    for (uint32_t i = 0; i < node->n_inputs; i++) {
        unsigned lane = lane_of(graph, node->inputs[i]);
        if (graph->last_use[node->inputs[i]] == node->index && lane < node->lane)
            node->lane = lane;
    }
    if (node->lane < MAX_LANES)
        return true;
    node->lane = lane_of(graph, FREE);
    if (node->lane == MAX_LANES)
        return false;
    if (node->lane == graph->n_lanes)
        graph->lanes[graph->n_lanes++] = FREE;
    return true;
}

/* Lines from the inputs to the node's lane. */
static void put_joints(const struct graph *graph, const struct node *node)
{
    unsigned cells[MAX_LANES] = {0}, gaps[MAX_LANES] = {0};
    bool plain = true;
    for (unsigned i = 0; i < graph->n_lanes; i++)
        cells[i] = graph->lanes[i] == FREE ? 0 : UP | DOWN;
    for (uint32_t k = 0; k < node->n_inputs; k++) {
        unsigned from = lane_of(graph, node->inputs[k]);
        unsigned left = from < node->lane ? from : node->lane, right = from < node->lane ? node->lane : from;
        bool ends = graph->last_use[node->inputs[k]] == node->index;
        if (from == node->lane)
            continue;
        plain = false;
        cells[from] = (cells[from] & (UP | LEFT | RIGHT)) | (ends ? 0 : DOWN) | (from < node->lane ? RIGHT
                                                                                 : LEFT);
        cells[node->lane] |= DOWN | (from < node->lane ? LEFT : RIGHT);
        for (unsigned i = left; i < right; i++)
            gaps[i] = LEFT | RIGHT;
        for (unsigned i = left + 1; i < right; i++)
            cells[i] |= cells[i] & (UP | DOWN) ? CROSSING : LEFT | RIGHT;
    }
    if (plain)
        return;
    fputs("  ", stdout);
    for (unsigned i = 0; i < graph->n_lanes; i++) {
        if (!(cells[i] & (UP | DOWN)))
            cells[i] &= ~(unsigned)CROSSING;
        fputs(cell_text(graph, cells[i]), stdout);
        if (i + 1 < graph->n_lanes)
            fputs(cell_text(graph, gaps[i]), stdout);
    }
    fputc('\n', stdout);
}

static void end_inputs(struct graph *graph, const struct node *node)
{
    for (uint32_t k = 0; k < node->n_inputs; k++) {
        unsigned lane = lane_of(graph, node->inputs[k]);
        if (lane < graph->n_lanes && graph->last_use[node->inputs[k]] == node->index)
            graph->lanes[lane] = FREE;
    }
}

static void put_shape(const lstm_shape *shape, bool once)
{
    fputc('[', stdout);
    for (uint32_t i = 0; i < shape->rank; i++)
        printf(i ? ", %u" : "%u", shape->dims[i]);
    printf("]%s\n", once ? " once a run" : "");
}

static void put_name(const struct graph *graph, uint32_t index)
{
    lstm_layer_info layer;
    if (lstm_model_get_layer(graph->model, index, &layer) != LSTM_OK)
        return;
    printf("%u %s", index, layer.type);
    if (layer.name[0] && strcmp(layer.name, layer.type) != 0)
        printf(" '%s'", layer.name);
    if (layer.detail[0])
        printf(", %s", layer.detail);
    fputc('\n', stdout);
}

/* The value that the node makes takes its lane, if anybody reads it. */
static void put_value(struct graph *graph, const struct node *node)
{
    lstm_layer_info layer;
    uint32_t value = node->index + 1;
    if (lstm_model_get_layer(graph->model, node->index, &layer) != LSTM_OK)
        return;
    if (graph->last_use[value] != FREE)
        graph->lanes[node->lane] = value;
    trim_lanes(graph);
    put_lanes(graph, MAX_LANES, "");
    put_shape(&layer.output, layer.output_once);
}

static bool put_node(struct graph *graph, struct node *node)
{
    const char *mark = graph->lines ? "●" : "*";
    if (!choose_lane(graph, node)) {
        printf("  (layer %u and all behind it: more than %d values at once, too wide to draw)\n", node->index,
               MAX_LANES);
        return false;
    }
    put_joints(graph, node);
    end_inputs(graph, node);
    put_lanes(graph, node->lane, mark);
    if (node->index == graph->n_layers) {
        puts("output");
        return true;
    }
    put_name(graph, node->index);
    put_value(graph, node);
    return true;
}

/* ---- all ----------------------------------------------------------------- */

static void find_last_uses(struct graph *graph)
{
    lstm_layer_info layer;
    for (uint32_t value = 0; value <= graph->n_layers; value++)
        graph->last_use[value] = FREE;
    for (uint32_t i = 0; i < graph->n_layers; i++)
        if (lstm_model_get_layer(graph->model, i, &layer) == LSTM_OK)
            for (uint32_t k = 0; k < layer.n_inputs; k++)
                graph->last_use[layer.inputs[k]] = i;
    graph->last_use[graph->output] = graph->n_layers;
}

static void put_input(struct graph *graph)
{
    const lstm_model_info *info = lstm_model_get_info(graph->model);
    graph->n_lanes = 1;
    graph->lanes[0] = FREE;
    put_lanes(graph, 0, graph->lines ? "●" : "*");
    puts("input");
    graph->lanes[0] = graph->last_use[0] == FREE ? FREE : 0;
    trim_lanes(graph);
    put_lanes(graph, MAX_LANES, "");
    put_shape(&info->input, false);
}

bool graph_print(const lstm_model *model, uint32_t output, bool lines)
{
    struct graph graph = {.model = model, .output = output, .lines = lines};
    struct node last = {.n_inputs = 1, .inputs = &output};
    bool drawn = true;
    graph.n_layers = last.index = lstm_model_get_info(model)->n_layers;
    graph.last_use = calloc((size_t)graph.n_layers + 1, sizeof *graph.last_use);
    if (!graph.last_use)
        return false;
    find_last_uses(&graph);
    put_input(&graph);
    for (uint32_t i = 0; drawn && i < graph.n_layers; i++) {
        lstm_layer_info layer;
        struct node node = {.index = i};
        if (lstm_model_get_layer(model, i, &layer) != LSTM_OK)
            break;
        node.n_inputs = layer.n_inputs;
        node.inputs = layer.inputs;
        drawn = put_node(&graph, &node);
    }
    if (drawn)
        put_node(&graph, &last);
    free(graph.last_use);
    return true;
}
