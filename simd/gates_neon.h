/* SPDX-License-Identifier: MIT
 *
 * NEON: tiles of 3 rows × 32 columns. 24 sums and 3 registers with 4 inputs each,
 * used by lane, leave 5 of the 32 registers for weights on their way. The last panel of
 * 16 takes 6 rows: 24 sums, 6 inputs, 2 weights. A single row takes up to two panels of
 * 32 and a narrow one: 20 sums.
 */
#include "simd/act_tmpl.h"
#include "simd/cell_tmpl.h"
#include "simd/gates_common.h"
#include "simd/kernels.h"

#define WIDE 32
#define ROWS 3
#define FAR_ROWS ROWS
#define NARROW_ROWS 6
#define GRU_ROWS 4
#define GROUP_MAX 2
#define SINGLE_PANELS false
#define ROW_VECS(DO) DO(0) DO(1) DO(2) DO(3) DO(4) DO(5) DO(6) DO(7)
#define TILE_ROWS(DO) DO(0) DO(1) DO(2)
#define EACH_ROW(DO) DO(0) DO(1) DO(2) DO(3) DO(4) DO(5)
#define GRU_TILE(DO) DO(0) DO(1) DO(2) DO(3)
#define GROUP_WIDES(DO) DO(0) DO(1)

struct row {
    vec v[8];
};

#include "simd/rows_tmpl.h"

struct tile {
    struct row r[NARROW_ROWS];
};

struct group {
    struct row w[GROUP_MAX], half, quarter;
};

/* sum += w · one lane of x. As an instruction: from the intrinsic gcc 12 copies lanes that are
 * used often into registers of their own, and sums from one register to another. */
#define FMA_LANE(sum, w, x, lane) \
    __asm__("fmla %0.4s, %1.4s, %2.s[" #lane "]" : "+w"(sum) : "w"(w), "w"(x))

/* Two neighbouring registers of weights, `at` floats after p, by one instruction: gcc 12 does
 * not pair loads that other instructions stand between. */
#if defined(__clang__)
#define LOAD_PAIR(w0, w1, p, at) \
    const vec w0 = vec_load((p) + (at)), w1 = vec_load((p) + (at) + VEC_LANES)
#else
#define LOAD_PAIR(w0, w1, p, at) \
    vec w0, w1; \
    __asm__("ldp %q0, %q1, [%2, %3]" \
            : "=w"(w0), "=w"(w1) \
            : "r"(p), "i"((at) * sizeof(float)), "m"(*(const vec *)((p) + (at))))
#endif

/* A step of k is a macro, for the lane is part of the instruction; and so is a pair of columns. */
#define EACH_PAIR(DO, lane) DO(0, 1, lane) DO(2, 3, lane) DO(4, 5, lane) DO(6, 7, lane)

static ALWAYS_INLINE void tile_dot(struct tile *t, const float *weights, const float *const *x,
                                   size_t begin, size_t end, const unsigned rows,
                                   const unsigned vecs)
{
#define ROW_POINTER(i) const float *x##i = x[rows > i ? i : 0];
    EACH_ROW(ROW_POINTER)
#undef ROW_POINTER
    size_t j = begin;
    weights += begin * vecs * VEC_LANES;
#define ROW_FMA(n, i, w, lane) \
    if (rows > n) \
        FMA_LANE(t->r[n].v[i], w, b##n, lane);
#define COLUMN(i, w, lane) \
    ROW_FMA(0, i, w, lane) \
    ROW_FMA(1, i, w, lane) \
    ROW_FMA(2, i, w, lane) \
    ROW_FMA(3, i, w, lane) \
    ROW_FMA(4, i, w, lane) \
    ROW_FMA(5, i, w, lane)
#define COLUMNS(i0, i1, lane) \
    if (vecs > i0) { \
        LOAD_PAIR(w0, w1, weights, (lane * vecs + i0) * VEC_LANES); \
        COLUMN(i0, w0, lane) \
        COLUMN(i1, w1, lane) \
        KEEP_LOADS_BEHIND; \
    }
    for (; j + 4 <= end; j += 4) {
#define INPUTS(i) const vec b##i = vec_load(x##i + j);
        EACH_ROW(INPUTS)
#undef INPUTS
        EACH_PAIR(COLUMNS, 0)
        EACH_PAIR(COLUMNS, 1)
        EACH_PAIR(COLUMNS, 2)
        EACH_PAIR(COLUMNS, 3)
        weights += 4 * vecs * VEC_LANES;
    }
    for (; j < end; j++) {
#define INPUT(i) const vec b##i = vec_set1(x##i[j]);
        EACH_ROW(INPUT)
#undef INPUT
        EACH_PAIR(COLUMNS, 0)
        weights += vecs * VEC_LANES;
    }
#undef COLUMNS
#undef COLUMN
#undef ROW_FMA
}

static ALWAYS_INLINE void group_dot(struct group *g, const float *weights, const float *x,
                                    size_t k, size_t begin, size_t end,
                                    const struct group_shape shape)
{
    const float *w_0 = weights + begin * WIDE, *w_1 = w_0 + (shape.wide > 1 ? WIDE * k : 0);
    const float *w_q = weights + shape.wide * WIDE * k + begin * 16;
    size_t j = begin;
#define COLUMNS_OF(row, p, width, i0, i1, lane) \
    { \
        LOAD_PAIR(w0, w1, p, (lane * width) + i0 * VEC_LANES); \
        FMA_LANE(row.v[i0], w0, b, lane); \
        FMA_LANE(row.v[i1], w1, b, lane); \
    }
#define COLUMNS_0(i0, i1, lane) COLUMNS_OF(g->w[0], w_0, WIDE, i0, i1, lane)
#define COLUMNS_1(i0, i1, lane) COLUMNS_OF(g->w[1], w_1, WIDE, i0, i1, lane)
#define STEP(lane) \
    if (shape.wide > 0) { \
        EACH_PAIR(COLUMNS_0, lane) \
        KEEP_LOADS_BEHIND; \
    } \
    if (shape.wide > 1) { \
        EACH_PAIR(COLUMNS_1, lane) \
        KEEP_LOADS_BEHIND; \
    } \
    if (shape.quarter) { \
        COLUMNS_OF(g->quarter, w_q, 16, 0, 1, lane) \
        COLUMNS_OF(g->quarter, w_q, 16, 2, 3, lane) \
    }
    for (; j + 4 <= end; j += 4) {
        const vec b = vec_load(x + j);
        STEP(0) STEP(1) STEP(2) STEP(3)
        w_0 += 4 * WIDE;
        w_1 += 4 * WIDE;
        w_q += 4 * 16;
    }
    for (; j < end; j++) {
        const vec b = vec_set1(x[j]);
        STEP(0)
        w_0 += WIDE;
        w_1 += WIDE;
        w_q += 16;
    }
#undef STEP
#undef COLUMNS_0
#undef COLUMNS_1
#undef COLUMNS_OF
}

/* ---- cells: sums of one item and one panel to c and h ---- */

/* Activations in the order in which the cell waits for them: o comes last. */
static ALWAYS_INLINE void cell_four_units(vec zi, vec zf, vec zg, vec zo, struct cell_out out,
                                          size_t units)
{
    const bool full = units >= VEC_LANES;
    const vec g = act_tanh(zg), i = act_sigmoid(zi), f = act_sigmoid(zf), o = act_sigmoid(zo);
    vec c_new, h = cell_lstm_activated(i, f, g, o, full ? vec_load(out.c) : vec_load_n(out.c, units),
                                       &c_new);
    if (full) {
        vec_store(out.c, c_new);
        vec_store(out.h, h);
        if (out.h_copy)
            vec_store(out.h_copy, h);
    } else {
        vec_store_n(out.c, c_new, units);
        vec_store_n(out.h, h, units);
        if (out.h_copy)
            vec_store_n(out.h_copy, h, units);
    }
}

/* 8 units, two registers a gate; a panel with no more than 4 would be a narrow one. */
static ALWAYS_INLINE void cell_wide(const struct row *row, struct cell_out out, size_t units)
{
    const vec *v = row->v;
    cell_four_units(v[0], v[2], v[4], v[6], out, VEC_LANES);
    cell_four_units(v[1], v[3], v[5], v[7], cell_out_at(out, VEC_LANES), units - VEC_LANES);
}

static ALWAYS_INLINE void cell_quarter(const struct row *row, struct cell_out out, size_t units)
{
    cell_four_units(row->v[0], row->v[1], row->v[2], row->v[3], out, units);
}

#include "simd/gates_tmpl.h"
#include "simd/gru_tmpl.h"
#include "simd/gate_tmpl.h"

static const struct simd_gemm_kernel gemm_kernels[] = {
    {"neon/gemm-f32-3x32", WIDE, ROWS, gemm_run},
    {NULL, 0, 0, NULL},
};

static const struct simd_lstm_kernel lstm_kernels[] = {
    {"neon/lstm-f32-3x8", WIDE, ROWS, 0, lstm_step, lstm_in_place},
    {NULL, 0, 0, 0, NULL, NULL},
};

static const struct simd_gru_kernel gru_kernels[] = {
    {"neon/gru-f32-4x8", GRU_WIDE, GRU_ROWS, gru_step},
    {NULL, 0, 0, NULL},
};

static const struct simd_gate_kernel gate_kernels[] = {
    {"neon/gate-f32-3x32", WIDE, ROWS, 0, gate_step},
    {NULL, 0, 0, 0, NULL},
};
