/* SPDX-License-Identifier: MIT
 *
 * A problem as one word: "lstm-t100n1c40h64", and a model with random weights for it.
 *
 *   TYPE-tSTEPSnITEMScINPUTShUNITS[lLAYERS][b]    TYPE: lstm, gru, rnn; b: bidirectional
 */
#ifndef LSTMRUN_BENCH_PROBLEM_H
#define LSTMRUN_BENCH_PROBLEM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct problem {
    uint32_t type; /* enum model_layer_type */
    uint32_t steps, items, inputs, units, layers;
    bool bidirectional;
};

/* False if `text` is no problem; *end_out is then where it stops being one. */
bool problem_parse(const char *text, struct problem *out, const char **end_out);
void problem_print(const struct problem *problem, char *text, size_t n_bytes);

/* A model file (malloc'd) with uniform weights in ±1/sqrt(units), as PyTorch starts
 * them; a gru is PyTorch's, its reset gate acts after the product. False: out of memory. */
bool problem_model(const struct problem *problem, void **bytes_out, size_t *n_bytes_out);

/* n numbers in [-1, 1), the same on every machine. */
void problem_numbers(uint64_t seed, float scale, float *out, size_t n);

#endif
