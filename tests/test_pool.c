/* SPDX-License-Identifier: MIT
 *
 * Pools over time against plain loops, bit for bit: of each kind, on each instruction set, with several
 * threads, whole or in pieces, in ragged batches.
 */
#include <criterion/criterion.h>
#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "tests/session.h"

enum { ITEMS = 3, WIDTH = 21, MOST = 37 };

static size_t made_of(const struct pool_spec *pool, size_t steps)
{
    const size_t reach = (size_t)pool->dilation * (pool->taps - 1);
    return (steps + pool->before + pool->after - reach - 1) / pool->stride + 1;
}

/* What stands before the first frame in a history. */
static bool has_history(const struct pool_spec *pool)
{
    return pool->kind != MODEL_POOL_MEAN && pool->stride == 1 && !pool->after && pool->before &&
           pool->before == pool->dilation * (pool->taps - 1);
}

static float expected(const struct pool_spec *pool, const float *in, long steps, long t, size_t j)
{
    const float rest = pool->kind == MODEL_POOL_MAX ? -FLT_MAX : 0;
    float y = 0;
    int count = 0;
    for (uint32_t k = 0; k < pool->taps; k++) {
        const long q = t * (long)pool->stride - (long)pool->before + (long)(k * pool->dilation);
        if ((q < 0 && !has_history(pool)) || q >= steps)
            continue;
        const float x = q < 0 ? rest : in[(size_t)q * WIDTH + j];
        const float both = pool->kind == MODEL_POOL_MAX ? (x > y ? x : y) : y + x;
        y = count++ ? both : x;
    }
    count = pool->kind == MODEL_POOL_MEAN ? count : (int)pool->taps;
    return pool->kind == MODEL_POOL_MAX ? y : y / (float)count;
}

static struct test_model model_of(const struct pool_spec *pool)
{
    struct model_builder *builder = model_builder_create();
    const uint32_t width = WIDTH;
    model_set_input(builder, NULL, 1, &width);
    build_temporal_pool(builder, 0, pool);
    return test_model_finish(builder, "pool");
}

static void try_pool(const struct test_model *model, const struct pool_spec *pool,
                     const lstm_plan_options *options, size_t piece)
{
    struct session s = session_open(model, options, ITEMS, MOST);
    const size_t steps[ITEMS] = {MOST, MOST / 2, 11};
    struct rng rng = {pool->taps};
    float *input[ITEMS], *output[ITEMS];
    lstm_item items[ITEMS];
    const bool streams = lstm_model_get_info(s.model)->streams;
    cr_assert_eq(streams, has_history(pool) || (pool->taps == 1 && pool->stride == 1));
    piece = streams ? piece : MOST;
    for (size_t i = 0; i < ITEMS; i++) {
        input[i] = test_floats(steps[i] * WIDTH);
        output[i] = test_floats(steps[i] * WIDTH);
        rng_fill(&rng, 1, input[i], steps[i] * WIDTH);
        items[i] = (lstm_item){.stream = session_stream(&s)};
    }
    for (size_t done = 0; done < MOST; done += piece) {
        for (size_t i = 0; i < ITEMS; i++) {
            const size_t rest = steps[i] > done ? steps[i] - done : 0;
            items[i].steps = rest < piece ? rest : piece;
            items[i].input = input[i] + done * WIDTH;
            items[i].output = output[i] + done * WIDTH;
        }
        session_run_items(&s, items, ITEMS);
    }
    for (size_t i = 0; i < ITEMS; i++) {
        cr_assert_eq(lstm_model_get_output_steps(s.model, steps[i]), made_of(pool, steps[i]));
        for (size_t t = 0; t < made_of(pool, steps[i]); t++)
            for (size_t j = 0; j < WIDTH; j++) {
                const float want = expected(pool, input[i], (long)steps[i], (long)t, j);
                const float got = output[i][t * WIDTH + j];
                cr_assert(memcmp(&got, &want, sizeof got) == 0,
                          "kind %u, %u taps, isa %s: step %zu, number %zu is %a, expected %a", pool->kind,
                          pool->taps, options->isa, t, j, (double)got, (double)want);
            }
        lstm_stream_destroy(items[i].stream);
        free(input[i]);
        free(output[i]);
    }
    session_close(&s);
}

Test(pool, every_kind_everywhere)
{
    static const struct pool_spec shapes[] = {
        {.stride = 2, .dilation = 1, .taps = 2}, {.stride = 2, .dilation = 1, .taps = 2, .after = 1},
        {.stride = 1, .dilation = 1, .taps = 4, .before = 3}, {.stride = 3, .dilation = 2, .taps = 5},
        {.stride = 1, .dilation = 1, .taps = 5, .before = 2, .after = 2},
        {.stride = 3, .dilation = 1, .taps = 1}, {.stride = 1, .dilation = 1, .taps = 1},
        {.stride = 4, .dilation = 1, .taps = 60, .before = 29, .after = 30},
    };
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++)
        for (uint32_t kind = 0; kind < 3; kind++) {
            struct pool_spec pool = shapes[i];
            pool.kind = kind;
            struct test_model model = model_of(&pool);
            for (size_t isa = 0; test_isa_names[isa]; isa++)
                for (uint32_t threads = 1; threads < 4; threads++) {
                    lstm_plan_options options = LSTM_PLAN_OPTIONS_INIT;
                    if (!test_has_isa(&model, test_isa_names[isa]) ||
                        (threads > 1 && !test_has_threads(&model)))
                        continue;
                    options.isa = test_isa_names[isa];
                    options.threads = threads;
                    options.split = threads == 1 ? NULL : threads == 2 ? "team" : "items";
                    try_pool(&model, &pool, &options, 1 + (i + kind + threads) % 5);
                }
            test_model_free(&model);
        }
}

/* A NaN comes out of each window that sees it, and taps without number cost nothing where there is no
 * frame. */
Test(pool, nan_and_far_taps)
{
    const struct pool_spec near = {.stride = 1, .dilation = 1, .taps = 2, .before = 1},
                           far = {.stride = 1, .dilation = 1, .taps = 1 << 24, .before = 1 << 23,
                                  .after = (1 << 23) - 1};
    for (int i = 0; i < 2; i++) {
        struct test_model model = model_of(i ? &far : &near);
        struct session s = session_open(&model, NULL, 1, 4);
        lstm_stream *stream = session_stream(&s);
        float input[4 * WIDTH] = {1, 2}, output[4 * WIDTH];
        input[WIDTH] = NAN;
        session_run(&s, stream, input, 4, output);
        for (int t = 0; t < 4; t++)
            cr_assert_eq(isnan(output[t * WIDTH]), i || t == 1 || t == 2, "step %d", t);
        cr_assert_eq(output[1], 2);
        lstm_stream_destroy(stream);
        session_close(&s);
        test_model_free(&model);
    }
}
