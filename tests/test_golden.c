/* SPDX-License-Identifier: MIT
 *
 * The stored golden files: every instruction set of this machine gives their very
 * bits. The same files are checked on other architectures.
 */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/golden.h"
#include "tests/tolerance.h"

enum { AT_LEAST = 24 }; /* fewer means that files got lost */

static size_t load_all(struct golden *all)
{
    char folder[1024];
    const char *source = getenv("LSTMRUN_SOURCE");
    cr_assert_not_null(source, "LSTMRUN_SOURCE must name the source folder");
    snprintf(folder, sizeof folder, "%s/tests/golden", source);
    size_t n = golden_load(folder, all);
    cr_assert_geq(n, AT_LEAST);
    return n;
}

static void expect_bits(const struct golden *g, const float *output, size_t n, const char *how)
{
    size_t where = 0;
    cr_assert_not_null(g->expected, "%s.expected is missing: run golden_write", g->name);
    cr_assert_eq(g->n_expected, n, "%s.expected has %zu floats", g->name, g->n_expected);
    cr_assert(test_same_bits(output, g->expected, n, &where), "%s: %s: element %zu is %a, not %a",
              g->name, how, where, (double)output[where], (double)g->expected[where]);
}

static void check_isa(const struct golden *g, const char *isa)
{
    lstm_plan_options options = LSTM_PLAN_OPTIONS_INIT;
    options.isa = isa;
    struct session s = session_open(&g->model, &options, 3, g->steps);
    size_t n = session_frames(&s, g->steps) * s.n_out;
    lstm_item items[3];
    cr_assert_str_eq(lstm_plan_get_isa(s.plan), isa);
    for (int i = 0; i < 3; i++)
        items[i] = (lstm_item){.stream = session_stream(&s), .input = g->input,
                               .output = test_floats(n), .steps = g->steps};
    session_run_items(&s, items, 3);
    for (int i = 0; i < 3; i++)
        expect_bits(g, items[i].output, n, isa);
    if (lstm_model_get_info(s.model)->streams) {
        lstm_stream_reset(s.model, items[0].stream);
        for (size_t t = 0; t < g->steps; t++)
            session_run(&s, items[0].stream, g->input + t * s.n_in, 1, items[0].output + t * s.n_out);
        expect_bits(g, items[0].output, n, "frame by frame");
    }
    for (int i = 0; i < 3; i++) {
        free(items[i].output);
        lstm_stream_destroy(items[i].stream);
    }
    session_close(&s);
}

Test(golden, every_instruction_set_gives_the_stored_bits)
{
    struct golden all[GOLDEN_MAX];
    size_t n = load_all(all);
    printf("golden files on:");
    for (size_t i = 0; test_isa_names[i]; i++) {
        if (!test_has_isa(&all[0].model, test_isa_names[i]))
            continue;
        printf(" %s", test_isa_names[i]);
        for (size_t j = 0; j < n; j++)
            check_isa(&all[j], test_isa_names[i]);
    }
    puts("");
    for (size_t j = 0; j < n; j++)
        golden_free(&all[j]);
}

/* What is stored is right, not only the same everywhere. */
Test(golden, the_stored_bits_agree_with_the_oracle)
{
    struct golden all[GOLDEN_MAX];
    size_t n = load_all(all);
    for (size_t j = 0; j < n; j++) {
        struct model_view view;
        struct format_error error;
        char why[200];
        double worst = 0;
        cr_assert(model_read(all[j].model.bytes, all[j].model.n_bytes, &view, &error));
        cr_assert_not_null(all[j].expected, "%s.expected is missing", all[j].name);
        struct oracle *oracle = oracle_create(&view);
        struct reference r = reference_make(oracle, all[j].input, all[j].steps);
        cr_assert(reference_check_output(&r, all[j].expected, &worst, why, sizeof why), "%s: %s",
                  all[j].name, why);
        reference_free(&r);
        oracle_destroy(oracle);
        golden_free(&all[j]);
    }
}
