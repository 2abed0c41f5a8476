/* SPDX-License-Identifier: MIT
 *
 * The golden files of tests/golden/: models, inputs and the exact bits that must come
 * out. Used by the test that checks them and the program that records them.
 */
#ifndef LSTMRUN_TESTS_GOLDEN_H
#define LSTMRUN_TESTS_GOLDEN_H

#include "tests/session.h"

enum { GOLDEN_MAX = 64 };

struct golden {
    char name[80];
    struct test_model model;
    size_t steps;
    float *input;      /* [steps][n_in] */
    float *expected;   /* NULL when there is no such file */
    size_t n_expected; /* floats */
};

/* All in `folder`, by name; returns how many. Aborts when a file cannot be read. */
size_t golden_load(const char *folder, struct golden *out);
void golden_free(struct golden *golden);

/* Floats that the model writes for the whole input. */
size_t golden_output_floats(const struct golden *golden);

#endif
