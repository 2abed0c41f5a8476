/* SPDX-License-Identifier: MIT
 *
 * The planner's choices: pure functions, so their test is a table; and that a plan tells them what its
 * layers do.
 */
#include <criterion/criterion.h>
#include <string.h>

#include "runtime/choose.h"
#include "runtime/plan.h"
#include "tests/session.h"

/* Two cores of a server whose L3 is behind a mesh. */
static struct machine two_cores(void)
{
    const struct simd_cpu cpu = {.cores = 2, .l1d = 48 << 10, .l2 = 2 << 20, .l3 = 32 << 20};
    return machine_of(&cpu, 16);
}

/* Two of one whose L3 is near, and whose wide registers are computed in halves; with an instruction set
 * of `lanes` floats. */
static struct machine two_near_cores(uint32_t lanes)
{
    const struct simd_cpu cpu = {.cores = 2, .l1d = 32 << 10, .l2 = 1 << 20, .l3 = 32 << 20,
                                 .near_l3 = true, .split_zmm = true};
    return machine_of(&cpu, lanes);
}

/* An LSTM layer of I inputs and H units, with the tiles of AVX-512 (4 items, and fewer at the same speed) or
 * of AVX2 (3, and fewer take longer). */
static struct layer_cost lstm_cost(const struct machine *machine, double inputs, double units,
                                   uint32_t directions)
{
    const bool avx2 = machine->lanes == 8;
    struct layer_cost cost = {.directions = directions, .fused = true, .tile_rows = avx2 ? 3 : 0};
    cost.hoist_tile = choose_hoist_tile(machine, 16 * directions * units * (inputs + units), avx2 ? 6 : 4);
    cost.flops_x = 8 * units * inputs;
    cost.flops_h = 8 * units * units;
    cost.weight_bytes_x = 16 * units * inputs;
    cost.weight_bytes_h = 16 * units * units;
    cost.chain_x = inputs;
    cost.chain_h = units;
    cost.units = units;
    return cost;
}

struct choice {
    double inputs, units;
    uint32_t directions;
    size_t items, steps;
    uint32_t limit;
    struct split expected;
};

static void check_choices(const struct machine *machine, const struct choice *rows, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        const struct choice *row = &rows[i];
        const struct layer_cost cost = lstm_cost(machine, row->inputs, row->units, row->directions);
        const struct split split =
            choose_split(machine, &cost, 1, rows[i].items, rows[i].steps, rows[i].limit);
        cr_expect(split.mode == rows[i].expected.mode && split.threads == rows[i].expected.threads,
                  "row %zu: mode %d, %u threads, expected mode %d, %u threads", i, (int)split.mode,
                  (unsigned)split.threads, (int)rows[i].expected.mode,
                  (unsigned)rows[i].expected.threads);
    }
}

Test(choose, splits)
{
    static const struct choice rows[] = {
        /* one frame of a small model: a second thread costs more than the whole step */
        {1, 16, 1, 1, 1, 2, {SPLIT_NONE, 1}},
        {1, 40, 1, 1, 1000, 2, {SPLIT_NONE, 1}},
        /* a thread that is awake helps already here */
        {128, 128, 1, 1, 1, 2, {SPLIT_TEAM, 2}},
        {256, 256, 1, 1, 100, 2, {SPLIT_TEAM, 2}},
        /* one large layer: its weights fit into two caches, not into one */
        {512, 512, 1, 1, 100, 2, {SPLIT_TEAM, 2}},
        {1024, 1024, 1, 1, 1, 2, {SPLIT_TEAM, 2}},
        /* the two directions of a long sequence are independent */
        {60, 128, 2, 1, 500, 2, {SPLIT_TEAM, 2}},
        /* a batch is shared out, without a barrier */
        {256, 256, 1, 32, 50, 2, {SPLIT_ITEMS, 2}},
        /* streams with a frame each, by the workspace's own threads, until OpenMP's pay */
        {1, 16, 1, 8, 1, 2, {SPLIT_NONE, 1}},
        {1, 32, 1, 8, 1, 2, {SPLIT_OWN_ITEMS, 2}},
        {64, 64, 1, 8, 1, 2, {SPLIT_OWN_ITEMS, 2}},
        {128, 128, 1, 8, 1, 2, {SPLIT_OWN_ITEMS, 2}},
        {64, 64, 1, 64, 1, 2, {SPLIT_OWN_ITEMS, 2}},
        {256, 256, 1, 64, 1, 2, {SPLIT_OWN_ITEMS, 2}},
        {64, 64, 1, 512, 1, 2, {SPLIT_OWN_ITEMS, 2}},
        {256, 256, 1, 512, 1, 2, {SPLIT_ITEMS, 2}},
        {256, 256, 1, 3, 1, 4, {SPLIT_TEAM, 2}},
        /* weights that one cache does not hold are better read by halves, whatever the items */
        {512, 512, 1, 8, 1, 2, {SPLIT_TEAM, 2}},
        /* the caller's limit wins, and so does the number of cores */
        {1024, 1024, 1, 64, 100, 1, {SPLIT_NONE, 1}},
        {256, 256, 1, 32, 50, 16, {SPLIT_ITEMS, 2}},
    };
    const struct machine machine = two_cores();
    check_choices(&machine, rows, sizeof rows / sizeof rows[0]);
}

Test(choose, splits_where_l3_is_near)
{
    static const struct choice rows[] = {
        {1, 64, 1, 1, 1, 2, {SPLIT_NONE, 1}},
        {1, 40, 1, 1, 50, 2, {SPLIT_NONE, 1}},
        {128, 128, 1, 1, 1, 2, {SPLIT_TEAM, 2}},
        {1024, 1024, 1, 1, 1, 2, {SPLIT_TEAM, 2}},
        /* all weights are read in less time than it takes to multiply by them: no need to halve them */
        {256, 256, 1, 8, 1, 2, {SPLIT_OWN_ITEMS, 2}},
        {512, 512, 1, 8, 50, 2, {SPLIT_ITEMS, 2}},
        {1024, 1024, 1, 8, 25, 2, {SPLIT_ITEMS, 2}},
        /* less work than a team's, though OpenMP's threads have to be woken */
        {256, 256, 1, 64, 1, 2, {SPLIT_ITEMS, 2}},
    };
    const struct machine machine = two_near_cores(16);
    check_choices(&machine, rows, sizeof rows / sizeof rows[0]);
}

/* Where a tile is slower with fewer items than it has room for, four of eight are more than half the work,
 * and so are 16 of 32; but a team reads what its other half has written, and meets. */
Test(choose, splits_of_items_that_do_not_fill_tiles)
{
    static const struct choice rows[] = {
        {256, 256, 1, 8, 1, 2, {SPLIT_TEAM, 2}},
        {512, 512, 1, 8, 50, 2, {SPLIT_TEAM, 2}},
        {1024, 1024, 1, 32, 25, 2, {SPLIT_TEAM, 2}},
        {512, 512, 1, 12, 50, 2, {SPLIT_ITEMS, 2}}, /* 6 are two tiles */
        {128, 128, 1, 8, 50, 2, {SPLIT_ITEMS, 2}},
        {64, 64, 1, 8, 1, 2, {SPLIT_OWN_ITEMS, 2}},
    };
    const struct machine machine = two_near_cores(8);
    check_choices(&machine, rows, sizeof rows / sizeof rows[0]);
}

/* A general cell is stepped by one thread whatever the team, so a team cannot pay. */
Test(choose, general_cells_are_not_split_over_units)
{
    const struct machine machine = two_cores();
    struct layer_cost cost = lstm_cost(&machine, 1024, 1024, 1);
    cost.fused = false;
    const struct split split = choose_split(&machine, &cost, 1, 1, 100, 2);
    cr_expect(split.mode == SPLIT_NONE);
}

Test(choose, table_agrees_with_choice)
{
    const struct machine machine = two_cores();
    const struct layer_cost cost = lstm_cost(&machine, 256, 256, 1);
    static const size_t steps[SPLIT_STEP_CLASSES] = {1, 4, 16, 64};
    struct split_table table;
    split_fill(&table, &machine, &cost, 1, 2);
    for (size_t items = 1; items <= (size_t)1 << (SPLIT_ITEM_CLASSES - 1); items *= 2)
        for (size_t s = 0; s < SPLIT_STEP_CLASSES; s++) {
            const struct split a = split_lookup(&table, items, steps[s]);
            const struct split b = choose_split(&machine, &cost, 1, items, steps[s], 2);
            cr_expect(a.mode == b.mode && a.threads == b.threads, "%zu items, %zu steps", items,
                      steps[s]);
        }
    const struct split most = split_lookup(&table, SIZE_MAX, SIZE_MAX);
    cr_expect(most.threads >= 1 && most.threads <= 2);
}

/* Forced shares are OpenMP's only where the run is long enough; other splits are forced as they are. */
Test(choose, forced_table)
{
    const struct machine machine = two_cores();
    const struct layer_cost cost = lstm_cost(&machine, 256, 256, 1);
    struct split_table table;
    split_force(&table, &machine, &cost, 1, (struct split){SPLIT_ITEMS, 3});
    cr_expect_eq(split_lookup(&table, 1, 1).mode, SPLIT_OWN_ITEMS);
    cr_expect_eq(split_lookup(&table, 8, 1).mode, SPLIT_OWN_ITEMS);
    cr_expect_eq(split_lookup(&table, 2048, 100).mode, SPLIT_ITEMS);
    cr_expect_eq(split_team(&table), 1, "no layer is shared");
    cr_expect_eq(split_own(&table), 3);
    for (int mode = SPLIT_NONE; mode <= SPLIT_TEAM; mode += SPLIT_TEAM) {
        split_force(&table, &machine, &cost, 1, (struct split){(enum split_mode)mode, 2});
        cr_expect_eq((int)split_lookup(&table, 8, 1).mode, mode);
        cr_expect_eq((int)split_lookup(&table, 2048, 100).mode, mode);
    }
    cr_expect_eq(split_team(&table), 2);
    cr_expect_eq(split_own(&table), 2);
}

Test(choose, hoist)
{
    static const struct {
        size_t items, steps, tile, expected;
    } rows[] = {
        {1, 1, 6, 0},             /* nothing to gain from one step */
        {1, 2, 6, 2},             {1, 1000, 6, HOIST_ROWS},
        {5, 1000, 6, HOIST_ROWS / 5}, {6, 1000, 6, 0}, /* the items fill the tile */
        {0, 10, 6, 0},            {1, 10, 0, 0},       /* no product over these panels */
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        cr_expect_eq(choose_hoist(rows[i].items, rows[i].steps, rows[i].tile), rows[i].expected,
                     "row %zu", i);
}

Test(choose, hoist_where_weights_do_not_stay)
{
    const struct machine machine = two_near_cores(16); /* an L3 of 32 MiB */
    const double mib = 1 << 20;
    struct machine unknown = machine;
    unknown.l3 = 0;
    cr_expect_eq(choose_hoist_tile(&machine, 8 * mib, 6), 6);
    cr_expect_eq(choose_hoist_tile(&unknown, 32 * mib, 6), 6);
    const size_t tile = choose_hoist_tile(&machine, 32 * mib, 6);
    cr_expect_eq(choose_hoist(8, 25, tile), 8);
    cr_expect_eq(choose_hoist(16, 25, tile), 4);
    cr_expect_eq(choose_hoist(32, 25, tile), 0);
}

Test(choose, levels)
{
    const struct machine machine = two_cores();
    cr_expect_str_eq(machine_level(&machine, 16 << 10), "L1");
    cr_expect_str_eq(machine_level(&machine, 1 << 20), "L2");
    cr_expect_str_eq(machine_level(&machine, 8 << 20), "L3");
    cr_expect_str_eq(machine_level(&machine, 1e9), "DRAM");
}

/* A processor that says nothing of its speed gets one machine's proportions. By the limits of a very different
 * one (half the arithmetic, L3 three times as near) what is chosen is no slower than one thread, and
 * from (40, 64) on nearly the best. */
Test(choose, holds_by_the_limits_of_another_machine)
{
    static const size_t items[] = {1, 8, 32, 64, 512}, steps[] = {1, 50, 100};
    static const double sizes[][2] = {{1, 8}, {1, 16}, {1, 32}, {1, 40}, {1, 64}, {40, 64},
                                      {64, 64}, {128, 128}, {256, 256}, {512, 512}, {1024, 1024}};
    const struct simd_cpu silent = {.cores = 2, .l1d = 32 << 10, .l2 = 1 << 20, .l3 = 32 << 20};
    const struct machine known = machine_of(&silent, 16), other = two_near_cores(16);
    const struct split none = {SPLIT_NONE, 1};
    for (size_t z = 0; z < sizeof sizes / sizeof sizes[0]; z++)
        for (size_t i = 0; i < 5; i++)
            for (size_t s = 0; s < 3; s++) {
                const struct layer_cost cost = lstm_cost(&known, sizes[z][0], sizes[z][1], 1);
                const struct split a = choose_split(&known, &cost, 1, items[i], steps[s], 2);
                const struct split b = choose_split(&other, &cost, 1, items[i], steps[s], 2);
                const double chosen = cost_model(&other, &cost, 1, items[i], steps[s], a);
                const double best = cost_model(&other, &cost, 1, items[i], steps[s], b);
                const double alone = cost_model(&other, &cost, 1, items[i], steps[s], none);
                cr_expect(chosen <= alone && (sizes[z][0] < 40 || chosen <= 1.05 * best),
                          "lstm-t%zun%zuc%gh%g: mode %d takes %.2f of mode %d's time, %.2f of one thread's",
                          steps[s], items[i], sizes[z][0], sizes[z][1], (int)a.mode, chosen / best,
                          (int)b.mode, chosen / alone);
            }
}

/* On every instruction set the costs of a layer have the tiles of the kernel that steps it. */
Test(choose, costs_have_the_tiles_of_the_kernels)
{
    static const uint32_t types[] = {MODEL_LSTM, MODEL_GRU, MODEL_RNN};
    for (size_t t = 0; t < sizeof types / sizeof *types; t++) {
        struct rng rng = {20};
        struct model_builder *builder = model_builder_create();
        const struct rnn_spec rnn = {.type = types[t], .hidden = 20, .direction = MODEL_FORWARD, .bias = true,
                                     .reset_after = types[t] == MODEL_GRU};
        const uint32_t width = 3;
        model_set_input(builder, NULL, 1, &width);
        build_recurrent(builder, &rng, 0, &rnn);
        struct test_model model = test_model_finish(builder, "choose");
        for (size_t i = 0; test_isa_names[i]; i++) {
            if (!test_has_isa(&model, test_isa_names[i]))
                continue;
            lstm_plan_options options = LSTM_PLAN_OPTIONS_INIT;
            options.isa = test_isa_names[i];
            struct session session = session_open(&model, &options, 1, 1);
            const struct lstm_plan *plan = session.plan;
            const uint32_t tile_rows = types[t] == MODEL_LSTM ? plan->lstm->tile_rows
                                       : types[t] == MODEL_RNN ? plan->gate->tile_rows : 0;
            cr_expect_eq(plan->costs[0].tile_rows, tile_rows, "%s: %zu", options.isa, plan->costs[0].tile_rows);
            cr_expect_eq(plan->costs[0].hoist_tile, plan->ops[0].u.recurrent.hoist_tile, "%s", options.isa);
            cr_expect_gt(plan->costs[0].hoist_tile, 0, "%s", options.isa);
            session_close(&session);
        }
        test_model_free(&model);
    }
}
