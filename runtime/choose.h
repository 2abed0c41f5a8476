/* SPDX-License-Identifier: MIT
 *
 * The cost model: pure functions from a problem and a machine record to estimates,
 * choices and reasons. No clock, no memory, no system call.
 */
#ifndef LSTMRUN_RUNTIME_CHOOSE_H
#define LSTMRUN_RUNTIME_CHOOSE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "simd/cpu.h"

/* Shape of the runs a plan is made for. */
struct plan_problem {
    size_t items, steps;
    uint32_t threads; /* upper limit, ≥ 1 */
};

/* One core of the machine, in the units that the estimates need. */
struct machine {
    uint32_t cores;
    uint32_t lanes;           /* floats in a register of the chosen instruction set */
    size_t l1d, l2, l3;       /* bytes */
    double gflops;            /* fma peak, from registers */
    double l1_gbs, l2_gbs, l3_gbs, dram_gbs; /* read bandwidth */
    double act_ns;            /* one hidden unit's activations and cell update */
    double wake_ns;           /* waking threads for a run */
    double fork_ns;           /* gathering a team that looks out for a run */
    double barrier_ns;        /* one barrier of two threads that are awake */
    double share_gbs;         /* reading what another core has just written */
    double fma_ns, cell_ns;   /* latency of one fma; of a unit's activations and update */
};

/* What a layer costs, per step and item unless said otherwise. */
struct layer_cost {
    double flops_x;      /* input part: may be done for many steps at once */
    double flops_h;      /* recurrent part; 0 for layers without */
    double weight_bytes_x, weight_bytes_h; /* packed; read once a pass */
    double chain_x, chain_h; /* terms of one sum: additions that wait for each other */
    double units;        /* activations and cell updates */
    uint32_t directions; /* 2: two independent halves */
    bool fused;          /* splits over hidden units */
    size_t hoist_tile;   /* items from which on the input part is not computed ahead; 0: never */
    size_t tile_rows;    /* items of the kernel's tile, if fewer take longer for each; or 0 */
};

enum split_mode {
    SPLIT_NONE,  /* one thread */
    SPLIT_ITEMS, /* each thread, of OpenMP's, runs the whole model on a share of the items */
    SPLIT_OWN_ITEMS, /* the same with threads of the workspace's own: for short runs */
    SPLIT_TEAM   /* all threads, of the workspace's own, share each layer: directions, then hidden units */
};

static inline bool split_of_items(enum split_mode mode)
{
    return mode == SPLIT_ITEMS || mode == SPLIT_OWN_ITEMS;
}

struct split {
    enum split_mode mode;
    uint32_t threads; /* at the most: a team that must be woken first only helps where it pays */
};

/* What a step takes by one thread, and how much less by the split's. */
struct split_gain {
    double alone_ns, gain_ns;
};

/* The machine as the processor's record says, for an instruction set of `lanes` floats. */
struct machine machine_of(const struct simd_cpu *cpu, uint32_t lanes);

/* Where a set of this many bytes lives while it is swept again and again. */
const char *machine_level(const struct machine *machine, double bytes);

/* Nanoseconds for one pass over all steps of one run of `items` items. */
double cost_layer(const struct machine *machine, const struct layer_cost *layer, size_t items,
                  size_t steps, struct split split);

/* The whole model, with the cost of gathering the threads. That is all that shares of the items
 * cost: a worker begins as much earlier than its caller as it takes to tell him that, and as
 * much later to tell that it is done. */
double cost_model(const struct machine *machine, const struct layer_cost *layers, size_t n_layers,
                  size_t items, size_t steps, struct split split);

/* Cheapest split that uses at most `threads`. More threads must win by a tenth to be taken,
 * and by a seventh if they are the workspace's own: estimates err, an idle core is worth
 * something, a core that others use too makes its team wait, and a team may be asleep; whether
 * to wake it is decided run by run (team.h). OpenMP's are woken in any case, and must win by
 * more than that takes. A team is taken instead of as many threads that share items where it
 * takes less than these do once they are gathered. */
struct split choose_split(const struct machine *machine, const struct layer_cost *layers,
                          size_t n_layers, size_t items, size_t steps, uint32_t threads);

/* choose_split for items 1, 2, 4 … and steps 1, 4, 16, 64 …, so that a run only looks up. */
enum { SPLIT_ITEM_CLASSES = 12, SPLIT_STEP_CLASSES = 4 };

struct split_table {
    struct split of[SPLIT_ITEM_CLASSES][SPLIT_STEP_CLASSES];
    struct split_gain gain[SPLIT_ITEM_CLASSES][SPLIT_STEP_CLASSES];
};

struct split split_lookup(const struct split_table *table, size_t items, size_t steps);
struct split_gain split_gain_lookup(const struct split_table *table, size_t items, size_t steps);

/* Most threads of the table's runs that share layers, and of those and the ones whose items are
 * shared among the workspace's own threads. At least 1. */
uint32_t split_team(const struct split_table *table);
uint32_t split_own(const struct split_table *table);

void split_fill(struct split_table *table, const struct machine *machine,
                const struct layer_cost *layers, size_t n_layers, uint32_t threads);

/* The same split for all; whose threads take SPLIT_ITEMS the cost model still says. */
void split_force(struct split_table *table, const struct machine *machine,
                 const struct layer_cost *layers, size_t n_layers, struct split split);

/* Items from which on nothing is gained by computing the input part of a recurrent layer ahead: those
 * that fill a tile of `tile` rows; more where the layer's weights, `weight_bytes` of all directions, do
 * not stay in the L3 from one step to the next, as those of the input part are then read once for many
 * steps. */
size_t choose_hoist_tile(const struct machine *machine, double weight_bytes, size_t tile);

/* Steps of which the input part is computed ahead: 0 with no fewer than `tile` items, or for `tile` 0. */
size_t choose_hoist(size_t items, size_t steps, size_t tile);

enum { HOIST_ROWS = 64 };

#endif
