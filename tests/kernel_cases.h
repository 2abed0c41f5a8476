/* SPDX-License-Identifier: MIT
 *
 * What the checks of all kernels share: guarded rows, packed matrices, reports, shapes, and
 * the plain arithmetic that references are made of.
 */
#ifndef LSTMRUN_TESTS_KERNEL_CASES_H
#define LSTMRUN_TESTS_KERNEL_CASES_H

#include "simd/cpu.h"
#include "simd/kernels.h"
#include "tests/guard.h"
#include "tests/rng.h"

enum {
    MAX_ROWS = 52,
    MAX_UNITS = 300,
    MAX_INPUT = 192,
    MAX_COLUMNS = 4 * MAX_UNITS + 64,
    BEFORE = 8, /* floats before each row that must keep their bits */
};

struct options {
    const char *isa, *kernel, *name; /* NULL: all */
    uint64_t seed;
    bool list;
};

struct run {
    struct options options;
    const struct simd_isa *scalar;
    uint32_t cpu_bits;
    unsigned long long n_checks, n_failed;
};

/* ---- rows that end at a guard page ---- */

struct rows {
    struct guard page[MAX_ROWS];
    float *at[MAX_ROWS];
    size_t n, width;
};

struct rows *rows_create(size_t max_width);
void rows_destroy(struct rows *rows);

/* `n` rows of `width` floats, each flush with its guard page, all of them canaries. */
void rows_shape(struct rows *rows, size_t n, size_t width);
void rows_random(struct rows *rows, struct rng *rng, float limit);
void rows_copy(struct rows *to, const struct rows *from);

/* ---- a matrix, plain and packed ---- */

struct weights {
    struct simd_matrix matrix;
    float *data, *bias;        /* plain */
    float *clean;              /* as the packer must see them: denormals are 0 */
    struct guard packed_page, packed_bias_page;
    float *packed, *packed_bias;
};

void weights_create(struct weights *w, struct rng *rng, size_t n, uint32_t each, size_t k);
void weights_destroy(struct weights *w);

/* Whole panels, or one at a time from the last to the first: the same bytes. */
void weights_pack(struct weights *w, const struct simd_panels *panels, bool one_by_one);
void weights_unpack(struct weights *w);

/* The rule of kernels.h told another way: walk all panels, and in each its columns.
 * `row_of[column]` becomes the plain row of each packed column, or -1 for padding. */
size_t walk_panels(size_t n, uint32_t each, uint32_t widest, long *row_of, size_t *panel_count);
bool packing_is_right(const struct weights *w, const struct simd_panels *panels, uint32_t widest);

/* ---- reports ---- */

bool wanted(const char *filter, const char *name);
void now_running(const struct run *run, const char *kernel, const char *name);
void on_fault(int number);
void failed(struct run *run, const char *kernel, const char *name, const char *what);
void check_rows(struct run *run, const char *kernel, const char *name, const char *what,
                const struct rows *got, const struct rows *want);

/* ---- cases ---- */

/* Every case has numbers of its own, so that one can be run alone. */
struct rng case_rng(const struct run *run, const char *name);
bool isa_runs(const struct run *run, const struct simd_isa *isa);

enum { N_INPUTS = 5, N_ROW_COUNTS = 14, N_SIZES = 72 };
extern const size_t case_inputs[N_INPUTS];
size_t row_count(size_t index); /* 1 … 13 and 33 */
size_t size_of(size_t index);   /* 1 … 70, 100 and 300 */

/* A step of a recurrent kernel. */
struct step_shape {
    size_t items, n_x, units;
    bool hoisted, nan; /* nan: the first item's state has one */
};

/* Call `one` with every number of items of every size, and every input width with one or two
 * items, where the panels are grouped; the rest is spread over these. */
void each_step_shape(struct run *run, void *context,
                     void (*one)(struct run *run, void *context, const struct step_shape *shape));

/* ---- references ---- */

/* The order of a sum as kernels.h has it. */
float block_sum(float total, const float *weights, const float *x, size_t k);
float scalar_act(const struct run *run, enum simd_act act, float z);
double logistic(double x);

/* Every GRU kernel (check_gru.c). */
void gru_cases(struct run *run);

/* Every kernel of one gate (check_gate.c). */
void gate_cases(struct run *run);

#endif
