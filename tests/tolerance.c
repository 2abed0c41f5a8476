/* SPDX-License-Identifier: MIT
 *
 * Drawing the tolerance of a run and comparing against it.
 */
#include "tests/tolerance.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static double *doubles(size_t n)
{
    double *out = calloc(n ? n : 1, sizeof *out);
    if (!out) {
        fputs("tolerance: out of memory\n", stderr);
        abort();
    }
    return out;
}

/* ---- states as one row -------------------------------------------------------- */

enum direction_of_copy { TO_ROW, FROM_ROW, COUNT_ONLY };

static size_t copy_states(struct oracle *oracle, double *row, enum direction_of_copy copy)
{
    size_t used = 0;
    for (uint32_t layer = 0; layer < MODEL_MAX_LAYERS; layer++)
        for (uint32_t which = 0; which < 4; which++) { /* h, c of direction 0, then of 1 */
            size_t n;
            double *state = oracle_state(oracle, layer, which / 2, which % 2 ? ORACLE_C : ORACLE_H, &n);
            if (copy == TO_ROW && n)
                memcpy(row + used, state, n * sizeof *row);
            if (copy == FROM_ROW && n)
                memcpy(state, row + used, n * sizeof *row);
            used += n;
        }
    return used;
}

size_t oracle_count_states(struct oracle *oracle)
{
    return copy_states(oracle, NULL, COUNT_ONLY);
}

void oracle_get_states(struct oracle *oracle, double *out)
{
    copy_states(oracle, out, TO_ROW);
}

void oracle_set_states(struct oracle *oracle, const double *states)
{
    copy_states(oracle, (double *)states, FROM_ROW);
}

/* ---- making ---------------------------------------------------------------------- */

static double greatest_difference(const double *a, const double *b, size_t n)
{
    double most = 0;
    for (size_t j = 0; j < n; j++)
        most = fmax(most, fabs(a[j] - b[j]));
    return most;
}

static double greatest(const double *a, size_t n)
{
    double most = 0;
    for (size_t j = 0; j < n; j++)
        if (isfinite(a[j]))
            most = fmax(most, fabs(a[j]));
    return most;
}

static double tolerance_of(double noise, double size)
{
    return TOLERANCE_FACTOR * noise + TOLERANCE_UNITS * TOLERANCE_UNIT * size + TOLERANCE_FLUSH;
}

struct reference reference_make(struct oracle *oracle, const float *input, size_t steps)
{
    struct reference r = {.frames = oracle_output_frames(oracle, steps),
                          .width = oracle_output_size(oracle),
                          .n_states = oracle_count_states(oracle)};
    size_t n = r.frames * r.width;
    double *before = doubles(r.n_states), *states = doubles(r.n_states), *output = doubles(n);
    double output_noise = 0, state_noise = 0;
    r.output = doubles(n);
    r.states = doubles(r.n_states);
    oracle_get_states(oracle, before);
    oracle_run(oracle, input, steps, r.output);
    oracle_get_states(oracle, r.states);
    for (uint64_t draw = 1; draw <= TOLERANCE_DRAWS; draw++) {
        oracle_set_states(oracle, before);
        oracle_set_noise(oracle, draw);
        oracle_run(oracle, input, steps, output);
        oracle_get_states(oracle, states);
        output_noise = fmax(output_noise, greatest_difference(output, r.output, n));
        state_noise = fmax(state_noise, greatest_difference(states, r.states, r.n_states));
    }
    oracle_set_noise(oracle, 0);
    oracle_set_states(oracle, r.states);
    r.output_tolerance = tolerance_of(output_noise, greatest(r.output, n));
    r.state_tolerance = tolerance_of(state_noise, greatest(r.states, r.n_states));
    r.noise = fmax(output_noise, state_noise);
    free(before);
    free(states);
    free(output);
    return r;
}

void reference_free(struct reference *reference)
{
    free(reference->output);
    free(reference->states);
    *reference = (struct reference){0};
}

/* ---- comparing -------------------------------------------------------------------- */

static bool compare(const double *want, const float *got, size_t n, double tolerance, double noise,
                    double *worst, char *text, size_t n_text)
{
    for (size_t j = 0; j < n; j++) {
        double error = fabs(got[j] - want[j]);
        if (isnan(want[j]) != isnan(got[j]) || (error > tolerance && got[j] != (float)want[j])) {
            snprintf(text, n_text, "element %zu is %.9g, expected %.9g within %.3g", j,
                     (double)got[j], want[j], tolerance);
            return false;
        }
        if (noise > 0 && error / noise > *worst)
            *worst = error / noise;
    }
    return true;
}

bool reference_check_output(const struct reference *r, const float *output, double *worst,
                            char *text, size_t n_text)
{
    return compare(r->output, output, r->frames * r->width, r->output_tolerance, r->noise, worst,
                   text, n_text);
}

bool reference_check_states(const struct reference *r, const float *states, double *worst,
                            char *text, size_t n_text)
{
    return compare(r->states, states, r->n_states, r->state_tolerance, r->noise, worst, text,
                   n_text);
}
