/* SPDX-License-Identifier: MIT
 *
 * Estimates and choices. The constants were measured on two server cores at 3.7 GHz, one with its L3
 * behind a mesh and one with an L3 for a few cores (bench/lstmbench --limits prints a machine's
 * own); what matters is their proportion.
 */
#include "runtime/choose.h"

#include <string.h>

struct machine machine_of(const struct simd_cpu *cpu, uint32_t lanes)
{
    struct machine machine = {.cores = cpu->cores ? cpu->cores : 1, .lanes = lanes, .l1d = cpu->l1d,
                              .l2 = cpu->l2, .l3 = cpu->l3, .l1_gbs = 290, .l2_gbs = 160,
                              .l3_gbs = 29, .dram_gbs = 16, .wake_ns = 30000, .fork_ns = 150,
                              .barrier_ns = 100, .share_gbs = 2.5, .fma_ns = 1.1, .cell_ns = 40};
    if (cpu->near_l3) {
        machine.l1_gbs = 210;
        machine.l2_gbs = 115;
        machine.l3_gbs = 90;
        machine.dram_gbs = 20;
        machine.fork_ns = 250;
    }
    if (lanes == 1) { /* fmaf is a library call on most baselines */
        machine.gflops = 0.5;
        machine.act_ns = 120;
        machine.fma_ns = 4;
    } else {
        const uint32_t at_once = cpu->split_zmm && lanes > 8 ? 8 : lanes;
        machine.gflops = 14.0 * at_once;
        machine.act_ns = 16.0 / at_once;
    }
    return machine;
}

const char *machine_level(const struct machine *machine, double bytes)
{
    if (bytes <= 0.75 * (double)machine->l1d)
        return "L1";
    if (bytes <= 0.85 * (double)machine->l2)
        return "L2";
    return bytes <= 0.85 * (double)machine->l3 ? "L3" : "DRAM";
}

/* Sweeping in alternating direction keeps a cache's worth of the set from pass to pass. */
static double sweep_ns(const struct machine *machine, double bytes)
{
    const double l1 = 0.75 * (double)machine->l1d;
    const double l2 = bytes < 0.85 * (double)machine->l2 ? bytes : 0.75 * (double)machine->l2;
    if (bytes <= l1)
        return bytes / machine->l1_gbs;
    const double beyond = bytes <= (double)machine->l3 ? machine->l3_gbs : machine->dram_gbs;
    return l1 / machine->l1_gbs + (l2 - l1) / machine->l2_gbs + (bytes - l2) / beyond;
}

static double larger(double a, double b)
{
    return a > b ? a : b;
}

/* Threads beyond the cores take turns. */
static double turns(const struct machine *machine, uint32_t threads)
{
    return threads <= machine->cores ? 1 : (double)threads / machine->cores * 1.5;
}

/* Frame layers: rows are shared out, weights stay in place while rows stream. */
static double cost_frames(const struct machine *machine, const struct layer_cost *layer,
                          double rows, uint32_t workers)
{
    const double share = rows / workers < 1 ? 1 : rows / workers;
    const double passes = share / 6 < 1 ? 1 : share / 6;
    const double work = share * layer->flops_x / machine->gflops;
    return larger(work, passes * sweep_ns(machine, layer->weight_bytes_x)) +
           share * layer->units * 0.2 * machine->act_ns;
}

/* One meeting, in as many rounds as it takes. */
static double barriers(const struct machine *machine, uint32_t threads)
{
    double sum = 0;
    for (uint32_t reach = 1; reach < threads; reach *= 2)
        sum += machine->barrier_ns;
    return sum;
}

/* What `items` items take, in items of whole tiles: a place that stays empty costs a third of an item, as
 * measured for 2 items in a tile of 3. One item has a kernel of its own. */
static double tile_items(double items, size_t tile_rows)
{
    if (tile_rows == 0 || items < 2)
        return items;
    const size_t tiles = ((size_t)items + tile_rows - 1) / tile_rows;
    const double whole = (double)(tiles * tile_rows);
    return whole - (whole - items) / 3;
}

/* Each thread of a group reads what the others have written of the last h. The first item's comes
 * with the barrier. */
static double exchange_ns(const struct machine *machine, const struct layer_cost *layer,
                          double items, uint32_t group)
{
    const double bytes = (items - 1) * layer->units * sizeof(float);
    return bytes * (group - 1) / group / machine->share_gbs;
}

/* One step of one direction for `items` items by `group` threads. */
static double cost_step(const struct machine *machine, const struct layer_cost *layer,
                        double items, uint32_t group, bool hoisted)
{
    const double flops = layer->flops_h + (hoisted ? 0 : layer->flops_x);
    const double rows = tile_items(items, layer->tile_rows);
    const double bytes = layer->weight_bytes_h + (hoisted ? 0 : layer->weight_bytes_x);
    const double chain = layer->chain_h + (hoisted ? 0 : layer->chain_x);
    const double work = larger(rows * flops / machine->gflops / group,
                               sweep_ns(machine, bytes / group)) +
                        items * layer->units * machine->act_ns / group;
    const double latency = chain * machine->fma_ns + machine->cell_ns;
    double ahead = 0;
    if (hoisted)
        ahead = larger(items * layer->flops_x / machine->gflops / group,
                       sweep_ns(machine, layer->weight_bytes_x / group) * items / HOIST_ROWS);
    return larger(work, latency) + ahead + barriers(machine, group) +
           exchange_ns(machine, layer, items, group);
}

double cost_layer(const struct machine *machine, const struct layer_cost *layer, size_t items,
                  size_t steps, struct split split)
{
    const bool team = split.mode == SPLIT_TEAM;
    const uint32_t threads = team ? split.threads : 1;
    if (split_of_items(split.mode))
        items = (items + split.threads - 1) / split.threads;
    const double slow = turns(machine, split.mode == SPLIT_NONE ? 1 : split.threads);
    const double join = team ? barriers(machine, split.threads) : 0;
    if (layer->flops_h <= 0)
        return slow * cost_frames(machine, layer, (double)(items * steps), threads) + join;
    const bool both = layer->directions == 2;
    const bool apart = both && threads > 1;
    const uint32_t group = !layer->fused ? 1 : apart ? threads / 2 : threads;
    const bool hoisted = choose_hoist(items, steps, layer->hoist_tile) > 0;
    const double step = cost_step(machine, layer, (double)items, group, hoisted);
    const bool met = layer->fused && !both; /* in the last step already */
    return slow * (double)steps * step * (both && !apart ? 2 : 1) + (met ? 0 : join);
}

/* Until the threads of a split have begun. */
static double gather_ns(const struct machine *machine, enum split_mode mode)
{
    return mode == SPLIT_NONE ? 0 : mode == SPLIT_ITEMS ? machine->wake_ns : machine->fork_ns;
}

double cost_model(const struct machine *machine, const struct layer_cost *layers, size_t n_layers,
                  size_t items, size_t steps, struct split split)
{
    double sum = gather_ns(machine, split.mode);
    for (size_t i = 0; i < n_layers; i++)
        sum += cost_layer(machine, &layers[i], items, steps, split);
    return sum;
}

/* What a split may take of the time of the best one so far. */
static double most_share(enum split_mode mode)
{
    return mode == SPLIT_ITEMS ? 0.9 : 0.86;
}

/* What it may take beside `best`, which takes `least`. Beside as many threads that share items, whom it
 * may take long to gather, a team must win by its work. */
static double most_ns(const struct machine *machine, struct split split, struct split best, double least)
{
    if (split.mode == SPLIT_TEAM && split_of_items(best.mode) && split.threads == best.threads)
        return least - gather_ns(machine, best.mode);
    return most_share(split.mode) * least;
}

struct split choose_split(const struct machine *machine, const struct layer_cost *layers,
                          size_t n_layers, size_t items, size_t steps, uint32_t threads)
{
    struct split best = {SPLIT_NONE, 1};
    const double alone = cost_model(machine, layers, n_layers, items, steps, best);
    double least = alone;
    const uint32_t most = threads < machine->cores ? threads : machine->cores;
    for (uint32_t n = 2; n <= most; n++)
        for (int mode = SPLIT_ITEMS; mode <= SPLIT_TEAM; mode++) {
            const struct split split = {(enum split_mode)mode, n};
            if (split_of_items(split.mode) && n > items)
                continue;
            const double cost = cost_model(machine, layers, n_layers, items, steps, split);
            if (cost > most_ns(machine, split, best, least) ||
                (split.mode == SPLIT_ITEMS && alone - cost < machine->wake_ns))
                continue;
            least = cost;
            best = split;
        }
    return best;
}

/* ---- the table ------------------------------------------------------------------ */

static size_t item_class(size_t items)
{
    size_t class = 0;
    while (items > 1 && class < SPLIT_ITEM_CLASSES - 1) {
        items /= 2;
        class ++;
    }
    return class;
}

static size_t step_class(size_t steps)
{
    return steps < 2 ? 0 : steps < 8 ? 1 : steps < 32 ? 2 : 3;
}

struct split split_lookup(const struct split_table *table, size_t items, size_t steps)
{
    return table->of[item_class(items)][step_class(steps)];
}

struct split_gain split_gain_lookup(const struct split_table *table, size_t items, size_t steps)
{
    return table->gain[item_class(items)][step_class(steps)];
}

static uint32_t most_threads(const struct split_table *table, bool items)
{
    uint32_t most = 1;
    for (size_t i = 0; i < SPLIT_ITEM_CLASSES; i++)
        for (size_t s = 0; s < SPLIT_STEP_CLASSES; s++)
            if ((table->of[i][s].mode == SPLIT_TEAM || (items && table->of[i][s].mode == SPLIT_OWN_ITEMS)) &&
                table->of[i][s].threads > most)
                most = table->of[i][s].threads;
    return most;
}

uint32_t split_team(const struct split_table *table)
{
    return most_threads(table, false);
}

uint32_t split_own(const struct split_table *table)
{
    return most_threads(table, true);
}

static const size_t steps_of[SPLIT_STEP_CLASSES] = {1, 4, 16, 64};

void split_fill(struct split_table *table, const struct machine *machine,
                const struct layer_cost *layers, size_t n_layers, uint32_t threads)
{
    const struct split none = {SPLIT_NONE, 1};
    for (size_t i = 0; i < SPLIT_ITEM_CLASSES; i++)
        for (size_t s = 0; s < SPLIT_STEP_CLASSES; s++) {
            const size_t items = (size_t)1 << i, steps = steps_of[s];
            const struct split split =
                choose_split(machine, layers, n_layers, items, steps, threads);
            const double alone = cost_model(machine, layers, n_layers, items, steps, none);
            const double split_ns = cost_model(machine, layers, n_layers, items, steps, split);
            table->of[i][s] = split;
            table->gain[i][s] = (struct split_gain){alone / (double)steps,
                                                    (alone - split_ns) / (double)steps};
        }
}

void split_force(struct split_table *table, const struct machine *machine,
                 const struct layer_cost *layers, size_t n_layers, struct split split)
{
    const struct split own = {SPLIT_OWN_ITEMS, split.threads};
    for (size_t i = 0; i < SPLIT_ITEM_CLASSES; i++)
        for (size_t s = 0; s < SPLIT_STEP_CLASSES; s++) {
            const double cost =
                cost_model(machine, layers, n_layers, (size_t)1 << i, steps_of[s], own);
            const double openmp = cost - machine->fork_ns + machine->wake_ns;
            const bool brief = cost <= most_share(own.mode) * openmp;
            table->of[i][s] = split.mode == SPLIT_ITEMS && brief ? own : split;
        }
}

size_t choose_hoist_tile(const struct machine *machine, double weight_bytes, size_t tile)
{
    enum { FAR_TILE = 20 }; /* of (1024, 1024) 16 items gained 1 %, 24 lost 1 % */
    const bool far = machine->l3 && weight_bytes > 0.5 * (double)machine->l3;
    return far && tile < FAR_TILE ? FAR_TILE : tile;
}

size_t choose_hoist(size_t items, size_t steps, size_t tile)
{
    if (items == 0 || items >= tile || steps < 2)
        return 0;
    const size_t fit = HOIST_ROWS / items;
    return fit < steps ? fit : steps;
}
