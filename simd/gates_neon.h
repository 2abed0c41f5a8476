/* SPDX-License-Identifier: MIT
 *
 * NEON: tiles of 3 rows × 32 columns. 24 sums and 3 registers with 4 inputs each,
 * used by lane, leave 5 of the 32 registers for weights on their way. A single row
 * takes up to two panels of 32 and a narrow one: 20 sums.
 */
#include "simd/act_tmpl.h"
#include "simd/cell_tmpl.h"
#include "simd/gates_common.h"
#include "simd/kernels.h"

#define WIDE 32
#define ROWS 3
#define GROUP_MAX 2
#define ROW_VECS(DO) DO(0) DO(1) DO(2) DO(3) DO(4) DO(5) DO(6) DO(7)
#define TILE_ROWS(DO) DO(0) DO(1) DO(2)
#define GROUP_WIDES(DO) DO(0) DO(1)

struct row {
    vec v[8];
};

struct tile {
    struct row r[ROWS];
};

struct group {
    struct row w[GROUP_MAX], half, quarter;
};

/* The lane of an input register must be a literal, so a step of k is a macro. */
#define EACH_VEC(DO, lane) \
    DO(0, lane) DO(1, lane) DO(2, lane) DO(3, lane) DO(4, lane) DO(5, lane) DO(6, lane) DO(7, lane)

static ALWAYS_INLINE void tile_dot(struct tile *t, const float *weights, const float *const *x,
                                   size_t begin, size_t end, const unsigned rows,
                                   const unsigned vecs)
{
    const float *x0 = x[0], *x1 = x[rows > 1 ? 1 : 0], *x2 = x[rows > 2 ? 2 : 0];
    size_t j = begin;
    weights += begin * vecs * VEC_LANES;
#define COLUMN(i, lane) \
    if (vecs > i) { \
        const vec w = vec_load(weights + i * VEC_LANES); \
        t->r[0].v[i] = vfmaq_laneq_f32(t->r[0].v[i], w, b0, lane); \
        if (rows > 1) \
            t->r[1].v[i] = vfmaq_laneq_f32(t->r[1].v[i], w, b1, lane); \
        if (rows > 2) \
            t->r[2].v[i] = vfmaq_laneq_f32(t->r[2].v[i], w, b2, lane); \
        if (rows > 2 && vecs > 4 && i % 2 == 1) \
            KEEP_LOADS_BEHIND; \
    }
#define STEP(lane) \
    EACH_VEC(COLUMN, lane) \
    weights += vecs * VEC_LANES;

    for (; j + 4 <= end; j += 4) {
        const vec b0 = vec_load(x0 + j), b1 = vec_load(x1 + j), b2 = vec_load(x2 + j);
        STEP(0) STEP(1) STEP(2) STEP(3)
    }
    for (; j < end; j++) {
        const vec b0 = vec_set1(x0[j]), b1 = vec_set1(x1[j]), b2 = vec_set1(x2[j]);
        STEP(0)
    }
#undef STEP
#undef COLUMN
}

static ALWAYS_INLINE void group_dot(struct group *g, const float *weights, const float *x,
                                    size_t k, size_t begin, size_t end,
                                    const struct group_shape shape)
{
    const float *w0 = weights + begin * WIDE, *w1 = w0 + (shape.wide > 1 ? WIDE * k : 0);
    const float *quarter = weights + shape.wide * WIDE * k + begin * 16;
    size_t j = begin;
#define COLUMN_0(i, lane) \
    g->w[0].v[i] = vfmaq_laneq_f32(g->w[0].v[i], vec_load(w0 + i * VEC_LANES), b, lane);
#define COLUMN_1(i, lane) \
    g->w[1].v[i] = vfmaq_laneq_f32(g->w[1].v[i], vec_load(w1 + i * VEC_LANES), b, lane);
#define COLUMN_Q(i, lane) \
    if (i < 16 / VEC_LANES) \
        g->quarter.v[i] = \
            vfmaq_laneq_f32(g->quarter.v[i], vec_load(quarter + i * VEC_LANES), b, lane);
#define STEP(lane) \
    if (shape.wide > 0) { \
        EACH_VEC(COLUMN_0, lane) \
        w0 += WIDE; \
        KEEP_LOADS_BEHIND; \
    } \
    if (shape.wide > 1) { \
        EACH_VEC(COLUMN_1, lane) \
        w1 += WIDE; \
        KEEP_LOADS_BEHIND; \
    } \
    if (shape.quarter) { \
        EACH_VEC(COLUMN_Q, lane) \
        quarter += 16; \
    }

    for (; j + 4 <= end; j += 4) {
        const vec b = vec_load(x + j);
        STEP(0) STEP(1) STEP(2) STEP(3)
    }
    for (; j < end; j++) {
        const vec b = vec_set1(x[j]);
        STEP(0)
    }
#undef STEP
#undef COLUMN_0
#undef COLUMN_1
#undef COLUMN_Q
}

/* ---- cells: sums of one item and one panel to c and h ---- */

/* Activations in the order in which the cell waits for them: o comes last. */
static ALWAYS_INLINE void cell_four_units(vec zi, vec zf, vec zg, vec zo, float *c, float *h_out,
                                          size_t units)
{
    const bool full = units >= VEC_LANES;
    const vec g = act_tanh(zg), i = act_sigmoid(zi), f = act_sigmoid(zf), o = act_sigmoid(zo);
    vec c_new, h = cell_lstm_activated(i, f, g, o, full ? vec_load(c) : vec_load_n(c, units),
                                       &c_new);
    if (full) {
        vec_store(c, c_new);
        vec_store(h_out, h);
    } else {
        vec_store_n(c, c_new, units);
        vec_store_n(h_out, h, units);
    }
}

/* 8 units, two registers a gate; a panel with no more than 4 would be a narrow one. */
static ALWAYS_INLINE void cell_wide(const struct row *row, float *c, float *h_out, size_t units)
{
    const vec *v = row->v;
    cell_four_units(v[0], v[2], v[4], v[6], c, h_out, VEC_LANES);
    cell_four_units(v[1], v[3], v[5], v[7], c + VEC_LANES, h_out + VEC_LANES, units - VEC_LANES);
}

static ALWAYS_INLINE void cell_quarter(const struct row *row, float *c, float *h_out, size_t units)
{
    cell_four_units(row->v[0], row->v[1], row->v[2], row->v[3], c, h_out, units);
}

#include "simd/gates_tmpl.h"

static const struct simd_gemm_kernel gemm_kernels[] = {
    {"neon/gemm-f32-3x32", WIDE, ROWS, gemm_run},
    {NULL, 0, 0, NULL},
};

static const struct simd_lstm_kernel lstm_kernels[] = {
    {"neon/lstm-f32-3x8", WIDE, ROWS, lstm_step},
    {NULL, 0, 0, NULL},
};
