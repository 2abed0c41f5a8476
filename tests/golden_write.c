/* SPDX-License-Identifier: MIT
 *
 * golden_write FOLDER: record NAME.expected for each NAME.bin and NAME.input in it,
 * with the scalar kernels, after the double-precision oracle has agreed.
 */
#include <stdio.h>
#include <stdlib.h>

#include "tests/golden.h"
#include "tests/tolerance.h"

static void run_scalar(const struct golden *g, float *output)
{
    lstm_plan_options options = LSTM_PLAN_OPTIONS_INIT;
    options.isa = "scalar";
    options.threads = 1;
    struct session s = session_open(&g->model, &options, 1, g->steps);
    lstm_stream *stream = session_stream(&s);
    session_run(&s, stream, g->input, g->steps, output);
    lstm_stream_destroy(stream);
    session_close(&s);
}

static bool oracle_agrees(const struct golden *g, const float *output)
{
    struct format_error error;
    struct model_view view;
    char why[200];
    double worst = 0;
    if (!model_read(g->model.bytes, g->model.n_bytes, &view, &error))
        return false;
    struct oracle *oracle = oracle_create(&view);
    struct reference r = reference_make(oracle, g->input, g->steps);
    bool agrees = reference_check_output(&r, output, &worst, why, sizeof why);
    printf("%-18s %s%s\n", g->name, agrees ? "agrees with the oracle" : "DIFFERS: ", agrees ? "" : why);
    reference_free(&r);
    oracle_destroy(oracle);
    return agrees;
}

static bool record(const char *folder, const struct golden *g)
{
    char path[1024];
    size_t n = golden_output_floats(g);
    float *output = test_floats(n);
    run_scalar(g, output);
    bool good = oracle_agrees(g, output);
    snprintf(path, sizeof path, "%s/%s.expected", folder, g->name);
    FILE *file = good ? fopen(path, "wb") : NULL;
    good = file && fwrite(output, sizeof *output, n, file) == n;
    good = file && fclose(file) == 0 && good;
    free(output);
    return good;
}

int main(int argc, char **argv)
{
    struct golden all[GOLDEN_MAX];
    if (argc != 2) {
        fputs("usage: golden_write FOLDER\n", stderr);
        return 2;
    }
    size_t n = golden_load(argv[1], all);
    int failures = 0;
    for (size_t i = 0; i < n; i++) {
        failures += !record(argv[1], &all[i]);
        golden_free(&all[i]);
    }
    printf("%zu golden models, %d failures\n", n, failures);
    return failures != 0;
}
