/* SPDX-License-Identifier: MIT
 *
 * The contract of every kernel: shapes, order of operations, aliasing. KERNELS.md
 * draws the packings and gives the reasons. One `struct simd_isa` per instruction
 * set; all of them give the same bits.
 *
 * Rules that hold for every function here:
 *  - It cannot fail, allocates nothing and keeps no state.
 *  - It reads exactly the elements its contract names, never beyond (packed
 *    weights and biases are padded by the packer; nothing else is).
 *  - Sums run in the order stated, with one fused multiply-add a term. A count may
 *    be 0.
 *  - A NaN in gives a NaN out; its sign and payload are not fixed.
 *  - The caller has set flush-to-zero (fpenv.h).
 *  - Rows are floats at any 4-byte alignment; packed data is 64-byte aligned.
 */
#ifndef LSTMRUN_SIMD_KERNELS_H
#define LSTMRUN_SIMD_KERNELS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "simd/cpu.h"

/* ---- panels ------------------------------------------------------------- */

/* A weight matrix [columns out][k] is packed as panels of 64, 32 or 16 columns (for a
 * GRU of 48 or 24, then 32 or 16), each k-major: panel[k][width]. There are as many
 * panels of the kernel's widest width as fit, then the rest in at most one panel of
 * each narrower width (the narrowest that cover it; one of the widest if they would
 * take as many columns), so a panel's place follows from its number.
 *
 * A column of a plain matrix is one output. In an LSTM matrix a panel of 4·u
 * columns holds u hidden units, gate by gate: [i × u][f × u][g × u][o × u],
 * u = 16, 8 or 4. In a GRU matrix a panel of 48 or 24 columns holds 16 or 8 units,
 * [r × u][z × u][n × u]; in the narrower ones of 32 and 16 columns, 8 and 4 units
 * are followed by as many columns of padding as a gate has. Padding columns have
 * weights and bias 0. */
struct simd_panels {
    size_t count;   /* panels */
    size_t columns; /* sum of their widths: the padded number of columns */
    size_t n_wide;  /* the first n_wide panels have the widest width … */
    uint32_t widest;
    bool half, quarter; /* … then perhaps one of 32, then perhaps one of 16, where
                           these are narrower than the widest */
};

/* Geometry of `n` things of `columns_each` columns (1, 4 for an LSTM, 3 for a GRU). */
struct simd_panels simd_panels_of(size_t n, uint32_t columns_each, uint32_t widest);

/* Panels begin to end - 1 are walked up, or down so that what the step before left in the cache
 * comes first: the one whose turn comes at i, from begin on. */
static inline size_t simd_panel_turn(size_t begin, size_t end, bool backwards, size_t i)
{
    return backwards ? end - 1 - (i - begin) : i;
}

/* First column and width of panel `p`. */
void simd_panel_at(const struct simd_panels *panels, size_t p, size_t *first_out,
                   uint32_t *width_out);

/* Source of a matrix to pack: row `r` (0 ≤ r < n · columns_each, gate-major for an
 * LSTM or GRU: row gate · n + unit) starts at data + r · stride; k floats are taken. */
struct simd_matrix {
    const float *data;
    size_t stride;
    size_t n;              /* outputs, or hidden units */
    uint32_t columns_each; /* 1, or 4: i, f, g, o, or 3: r, z, n */
    size_t k;
};

/* Pack panels [begin, end) into `packed` ([panels.columns][k] floats in all, the
 * base of the whole matrix is given whatever the range). Denormals and -0 become 0; all
 * other floats, infinities and NaN too, keep their bits. */
void simd_pack(const struct simd_matrix *matrix, const struct simd_panels *panels,
               size_t begin, size_t end, float *packed);

/* Bias [n · columns_each] (or NULL: zeros) into packed order, [panels.columns]. */
void simd_pack_bias(const float *bias, size_t n, uint32_t columns_each,
                    const struct simd_panels *panels, float *packed);

/* ---- matrix product ------------------------------------------------------ */

/* Long sums are taken in blocks of so many k, each summed by itself from zero and then
 * added to the total: a single chain of some hundred terms would lose two bits. About
 * sqrt(k) is best for the error; the longer blocks of long sums cost less time. */
static inline size_t simd_block(size_t k)
{
    return k < 128 ? 16 : 64;
}

/* For every row r and column j of the panels [panel_begin, panel_end):
 *     s = accumulate ? out[r][j] : bias[j]
 *     for each block of simd_block(k) terms, ascending:
 *         b = 0;  for k ascending: b = fma(weights[j][k], x[r][k], b);  s = s + b
 *     out[r][j] = s
 * Columns ≥ n_out are neither read nor written in `out`. `out` rows must not overlap x. */
struct simd_gemm {
    const float *weights; /* packed */
    const float *bias;    /* packed, [panels->columns] */
    const struct simd_panels *panels;
    size_t k;
    size_t n_out;            /* real columns: floats an out row has */
    const float *const *x;   /* [rows] → [k] */
    float *const *out;       /* [rows] → [n_out] */
    size_t rows;
    size_t panel_begin, panel_end;
    bool accumulate;
};

struct simd_gemm_kernel {
    const char *name; /* "avx512/gemm-f32-4x64" */
    uint32_t widest;  /* panel width it packs for: 64, 32 or 16 */
    uint32_t tile_rows;
    void (*run)(const struct simd_gemm *args);
};

/* ---- LSTM step ------------------------------------------------------------- */

/* One step of the standard cell (sigmoid, tanh, tanh; no peepholes, no clip) for
 * all items and the units of the panels [panel_begin, panel_end):
 *     z = xw ? xw[item][column] : bias[column] plus the sum over x as in a product
 *     z = z plus the sum over h as in a product that accumulates
 *     i,f,o = sigmoid(z), g = tanh(z)
 *     c = fma(f, c, i·g);  h_out = o · tanh(c)
 * Panels are walked in descending order when `backwards`: what the last step left
 * in the cache is used first. The result does not depend on it. */
struct simd_lstm {
    const float *wx;   /* packed [panels->columns][n_x] */
    const float *wh;   /* packed [panels->columns][n_h] */
    const float *bias; /* packed [panels->columns] */
    const struct simd_panels *panels;
    size_t n_x, n_h, units;
    const float *const *x;  /* [items] → [n_x]; not used with xw */
    const float *const *xw; /* [items] → [panels->columns], bias and input part
                               already summed, in packed order; or NULL */
    const float *const *h;  /* [items] → [n_h], the step before */
    float *const *c;        /* [items] → [units], updated in place */
    float *const *h_out;    /* [items] → [units]; no overlap with h (but see in_place), x, xw */
    float *const *h_copy;   /* the same numbers once more, of a step that is in_place; or NULL */
    size_t items;
    size_t panel_begin, panel_end;
    bool backwards;
};

struct simd_lstm_kernel {
    const char *name;    /* "avx512/lstm-f32-4x16" */
    uint32_t widest;     /* panel width in columns it packs for: 64 or 32 or 16 */
    uint32_t tile_items; /* so many fill tiles well enough to gain nothing from xw */
    uint32_t tile_rows;  /* items of a tile, if fewer take longer for each; or 0 */
    void (*step)(const struct simd_lstm *args);
    /* Such a step reads all of h before it writes: h_out may be h. Rows are not looked at. NULL:
     * no step does. */
    bool (*in_place)(const struct simd_lstm *args);
};

/* ---- GRU step ------------------------------------------------------------------ */

/* One step of the standard cell (sigmoid, tanh; no clip) whose reset gate acts after the
 * product, for all items and the units of the panels [panel_begin, panel_end):
 *     z = xw ? xw[item][column] : bias[column] plus the sum over x as in a product
 *     for r and z: z plus the sum over h as in a product that accumulates
 *     for the new value: q = bias_h[column] plus the sum over h, apart from z
 *     r,z = sigmoid(z);  n = tanh(fma(r, q, z))
 *     h_out = fma(z, h, (1 - z)·n)
 * A product of the same set's simd_gemm kernels takes these panels too, for `xw`.
 * Panels are walked in descending order when `backwards`, as for the LSTM. */
struct simd_gru {
    const float *wx;     /* packed [panels->columns][n_x] */
    const float *wh;     /* packed [panels->columns][units] */
    const float *bias;   /* packed [panels->columns] */
    const float *bias_h; /* packed the same; only the new value's columns are used */
    const struct simd_panels *panels;
    size_t n_x, units;
    const float *const *x;  /* [items] → [n_x]; not used with xw */
    const float *const *xw; /* [items] → [panels->columns], bias and input part
                               already summed, in packed order; or NULL */
    const float *const *h;  /* [items] → [units], the step before */
    float *const *h_out;    /* [items] → [units]; no overlap with h, x, xw */
    size_t items;
    size_t panel_begin, panel_end;
    bool backwards;
};

struct simd_gru_kernel {
    const char *name;    /* "avx512/gru-f32-6x16" */
    uint32_t widest;     /* panel width in columns it packs for: 48 or 24 */
    uint32_t tile_items; /* items that share one pass over the weights */
    void (*step)(const struct simd_gru *args);
};

/* ---- step of one gate ------------------------------------------------------------ */

/* What becomes of a gate's sums z. h is the state before the step. */
enum simd_gate_use {
    SIMD_GATE_TANH,   /* out = tanh(z): a plain cell … */
    SIMD_GATE_RELU,   /* out = max(0, z): … and another */
    SIMD_GATE_RESET,  /* out = sigmoid(z) · h */
    SIMD_GATE_UPDATE, /* out = sigmoid(z) */
    SIMD_GATE_NEW     /* out = fma(out, h, (1 - out) · tanh(z)): out holds the update gate */
};

/* One gate of the cells whose gates need not be known together: a plain cell has no other, and
 * a GRU whose reset gate acts before the product needs r · h whole before its candidate's sums.
 * For all items and the units of the panels [panel_begin, panel_end), as in a plain matrix:
 *     z = xw ? xw[item][xw_at + column] : bias[column] plus the sum over x as in a product
 *     z = z plus the sum over `state` as in a product that accumulates
 * and out as above. Panels are walked in descending order when `backwards`, as for the LSTM. */
struct simd_gate {
    enum simd_gate_use use;
    const float *wx;   /* packed [panels->columns][n_x] */
    const float *wh;   /* packed [panels->columns][n_h] */
    const float *bias; /* packed [panels->columns] */
    const struct simd_panels *panels;
    size_t n_x, n_h, units;
    const float *const *x;     /* [items] → [n_x]; not used with xw */
    const float *const *xw;    /* [items] → rows with bias and input part already summed … */
    size_t xw_at;              /* … from this column on; or NULL */
    const float *const *state; /* [items] → [n_h]: h, or what the reset gate left of it */
    const float *const *h;     /* [items] → [units]; read by RESET and NEW only */
    float *const *out;         /* [items] → [units]; no overlap with the others */
    size_t items;
    size_t panel_begin, panel_end;
    bool backwards;
};

struct simd_gate_kernel {
    const char *name;    /* "avx512/gate-f32-4x64" */
    uint32_t widest;     /* panel width in columns it packs for: 64, 32 or 16 */
    uint32_t tile_items; /* so many fill tiles well enough to gain nothing from xw */
    uint32_t tile_rows;  /* items of a tile, if fewer take longer for each; or 0 */
    void (*step)(const struct simd_gate *args);
};

/* ---- element-wise -------------------------------------------------------- */

/* Activations; alpha and beta as in the ONNX operator of that name. Accuracy of
 * each is stated and tested at its definition. */
enum simd_act {
    SIMD_ACT_IDENTITY,
    SIMD_ACT_SIGMOID,
    SIMD_ACT_TANH,
    SIMD_ACT_RELU,
    SIMD_ACT_LEAKY_RELU,       /* x < 0 ? alpha·x : x */
    SIMD_ACT_THRESHOLDED_RELU, /* x > alpha ? x : 0 */
    SIMD_ACT_SCALED_TANH,      /* alpha·tanh(beta·x) */
    SIMD_ACT_HARD_SIGMOID,     /* min(max(fma(alpha, x, beta), 0), 1) */
    SIMD_ACT_ELU,              /* x < 0 ? alpha·expm1(x) : x */
    SIMD_ACT_SOFTSIGN,         /* x / (1 + |x|) */
    SIMD_ACT_SOFTPLUS,         /* log(1 + e^x) */
    SIMD_ACT_AFFINE,           /* fma(alpha, x, beta) */
    SIMD_ACT_COUNT
};

/* Vectors of n floats. `out` may be the same array as an input, else no overlap. */
struct simd_vector_ops {
    void (*act)(enum simd_act act, float alpha, float beta, const float *x, float *out, size_t n);
    void (*clip)(float limit, const float *x, float *out, size_t n);     /* to [-limit, limit] */
    void (*add)(const float *a, const float *b, float *out, size_t n);
    void (*mul)(const float *a, const float *b, float *out, size_t n);
    void (*max)(const float *a, const float *b, float *out, size_t n);   /* NaN if either is */
    void (*fma)(const float *a, const float *b, const float *c, float *out, size_t n); /* a·b + c */
    void (*magnitude)(const float *a, const float *b, float *out, size_t n); /* sqrt(fma(a, a, b·b)) */
    void (*one_minus)(const float *x, float *out, size_t n);             /* 1 - x */
    void (*div_by)(float divisor, const float *x, float *out, size_t n); /* x / divisor */
    void (*scale_add)(float a, const float *x, const float *y, float *out, size_t n); /* a·x + y, fma */
    void (*exp_below)(float most, const float *x, float *out, size_t n); /* e^(x - most), x ≤ most */
    /* Sums below use 16 lanes whatever the instruction set: lane j adds the elements
     * j, j + 16, … in ascending order, then lanes fold 8 with 8, 4 with 4, 2, 1. */
    void (*softmax)(const float *x, float *out, size_t n);
    /* (x - mean) / sqrt(variance + epsilon) · scale + shift; scale, shift may be NULL */
    void (*layer_norm)(float epsilon, const float *scale, const float *shift,
                       const float *x, float *out, size_t n);
    /* bias + Σ a·b in the 16-lane order, for layers with few outputs */
    float (*dot)(const float *a, const float *b, float bias, size_t n);
};

/* ---- the table ------------------------------------------------------------ */

struct simd_isa {
    const char *name;    /* "avx512", "avx2", "neon", "scalar" */
    uint32_t needs;      /* enum simd_cpu_bit, all required */
    uint32_t lanes;      /* floats in a register */
    const struct simd_gemm_kernel *gemm; /* ends with a row whose name is NULL */
    const struct simd_lstm_kernel *lstm; /* the same */
    const struct simd_gru_kernel *gru;   /* the same */
    const struct simd_gate_kernel *gate; /* the same */
    const struct simd_vector_ops *ops;
};

/* All sets this build has, best first; *n_out of them. "scalar" is always last. */
const struct simd_isa *const *simd_all(size_t *n_out);

/* Best set for these CPU bits that is not above `limit` (NULL: no limit). NULL when
 * `limit` is no name of this build or the CPU lacks what it needs. */
const struct simd_isa *simd_find(uint32_t cpu_bits, const char *limit);

#endif
