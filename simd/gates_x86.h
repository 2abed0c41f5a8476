/* SPDX-License-Identifier: MIT
 *
 * What the x86 tiles share: their structs, the product of one row with several panels,
 * where each weight vector is used once and so comes as a memory operand, and cells.
 * Included by gates_avx2.h and gates_avx512.h after WIDE, NARROW_ROWS, GROUP_MAX, the
 * repetition macros and four lane functions: vec_not_first, upper_half, low_load,
 * low_store.
 */
#define SINGLE_PANELS true

struct row {
    vec v[4];
};

#include "simd/rows_tmpl.h"

struct tile {
    struct row r[NARROW_ROWS];
};

struct group {
    struct row w[GROUP_MAX], half, quarter;
};

static ALWAYS_INLINE void group_dot(struct group *g, const float *weights, const float *x,
                                    size_t k, size_t begin, size_t end,
                                    const struct group_shape shape)
{
#define WIDE_POINTER(i) const float *w##i = weights + begin * WIDE + (shape.wide > i ? i * WIDE * k : 0);
    GROUP_WIDES(WIDE_POINTER)
#undef WIDE_POINTER
    const float *half = weights + shape.wide * WIDE * k + begin * 32;
    const float *quarter =
        weights + (shape.wide * WIDE + (shape.half ? 32 : 0)) * k + begin * 16;
    for (size_t j = begin; j < end; j++) {
        const vec b = vec_set1(x[j]);
#define WIDE_FMA(i) \
        if (shape.wide > i) { \
            panel_fma(&g->w[i], w##i, b, WIDE / VEC_LANES); \
            w##i += WIDE; \
        }
        GROUP_WIDES(WIDE_FMA)
#undef WIDE_FMA
        if (shape.half) {
            panel_fma(&g->half, half, b, 32 / VEC_LANES);
            half += 32;
        }
        if (shape.quarter) {
            panel_fma(&g->quarter, quarter, b, 16 / VEC_LANES);
            quarter += 16;
        }
    }
}

/* ---- cells: sums of one item and one panel to c and h ---- */

/* `units` of a panel that has `full`; only a narrower count needs a mask, whose store
 * the next step's loads could not take over before it reaches the cache. */
static ALWAYS_INLINE void cell_finish(vec h, vec c_new, struct cell_out out, size_t units,
                                      const unsigned full)
{
    if (units == full) {
        low_store(out.c, c_new, full);
        low_store(out.h, h, full);
        if (out.h_copy)
            low_store(out.h_copy, h, full);
    } else {
        vec_store_n(out.c, c_new, units);
        vec_store_n(out.h, h, units);
        if (out.h_copy)
            vec_store_n(out.h_copy, h, units);
    }
}

static ALWAYS_INLINE vec cell_start(const float *c, size_t units, const unsigned full)
{
    return units == full ? low_load(c, full) : vec_load_n(c, units);
}

/* A register for each gate, in the order in which the cell waits for them: o comes last. */
static ALWAYS_INLINE void cell_of_four(const struct row *row, struct cell_out out, size_t units)
{
    const vec g = act_tanh(row->v[2]), i = act_sigmoid(row->v[0]), f = act_sigmoid(row->v[1]);
    const vec o = act_sigmoid(row->v[3]);
    vec c_new, h = cell_lstm_activated(i, f, g, o, cell_start(out.c, units, VEC_LANES), &c_new);
    cell_finish(h, c_new, out, units, VEC_LANES);
}

/* i | f and g | o: what the upper lanes of c and h become is never stored. */
static ALWAYS_INLINE void cell_of_two(const struct row *row, struct cell_out out, size_t units)
{
    const struct act_lanes tanh_sigmoid = act_lanes_of(vec_not_first(VEC_LANES / 2));
    const vec g_o = act_gate(row->v[1], &tanh_sigmoid), i_f = act_sigmoid(row->v[0]);
    vec c_new, h = cell_lstm_activated(i_f, upper_half(i_f), g_o, upper_half(g_o),
                                       cell_start(out.c, units, VEC_LANES / 2), &c_new);
    cell_finish(h, c_new, out, units, VEC_LANES / 2);
}
