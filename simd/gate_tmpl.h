/* SPDX-License-Identifier: MIT
 *
 * Step of one gate around the matrix product of one instruction set. Included by gates_<isa>.h
 * after gru_tmpl.h. Weights are packed as a plain matrix, so several items go through the
 * product's own tiles; what is here are the sums of one item and what becomes of them.
 */

/* ---- sums of one item --------------------------------------------------------- */

static NO_INLINE void gate_wide(const struct gru_product *p)
{
    gru_panel(p, WIDE / VEC_LANES);
}

#if WIDE > 32
static NO_INLINE void gate_half(const struct gru_product *p)
{
    gru_panel(p, 32 / VEC_LANES);
}
#endif

static NO_INLINE void gate_quarter(const struct gru_product *p)
{
    gru_panel(p, 16 / VEC_LANES);
}

static void gate_product(const struct gru_product *p, uint32_t width)
{
    if (width == WIDE)
        gate_wide(p);
#if WIDE > 32
    else if (width == 32)
        gate_half(p);
#endif
    else
        gate_quarter(p);
}

/* ---- what becomes of the sums -------------------------------------------------- */

/* Sums of one item to the units [unit, end). */
static NO_INLINE void gate_finish(const struct simd_gate *a, const float *sums, size_t item, size_t unit,
                                  size_t end)
{
    const enum simd_gate_use use = a->use;
    float *out = a->out[item];
    const vec one = vec_set1(1.0f), zero = vec_set1(0.0f);
    for (; unit < end; unit += VEC_LANES, sums += VEC_LANES) {
        const size_t n = lanes_left(end, unit);
        vec y = vec_load(sums);
        if (use == SIMD_GATE_RELU)
            y = vec_add(vec_max(zero, y), zero);
        else if (use == SIMD_GATE_RESET || use == SIMD_GATE_UPDATE)
            y = act_sigmoid(y);
        else
            y = act_tanh(y);
        if (use == SIMD_GATE_RESET)
            y = vec_mul(y, gru_load(a->h[item] + unit, n));
        if (use == SIMD_GATE_NEW) {
            const vec u = gru_load(out + unit, n);
            y = vec_fma(u, gru_load(a->h[item] + unit, n), vec_mul(vec_sub(one, u), y));
        }
        gru_store(out + unit, y, n);
    }
}

static size_t gate_end(const struct simd_gate *a, const struct span *s)
{
    return s->first + s->width < a->units ? s->first + s->width : a->units;
}

/* ---- one item and one panel --------------------------------------------------------- */

static void gate_one(const struct simd_gate *a, const struct span *s)
{
    _Alignas(64) float sums[WIDE];
    gru_copy(a->xw ? a->xw[0] + a->xw_at + s->first : a->bias + s->first, sums, s->width);
    for (unsigned i = a->xw ? 1 : 0; i < 2; i++) {
        const float *const weights = i ? a->wh : a->wx;
        const size_t k = i ? a->n_h : a->n_x;
        gate_product(&(struct gru_product){weights + s->first * k, i ? a->state[0] : a->x[0], k, sums},
                     s->width);
    }
    gate_finish(a, sums, 0, s->first, gate_end(a, s));
}

/* ---- several items --------------------------------------------------------------- */

static void gate_many(const struct simd_gate *a, const struct span *s)
{
    struct sums sums;
    const size_t k = a->n_h + (a->xw ? 0 : a->n_x);
    struct task task = {
        .bias = a->bias + s->first, .at = a->xw_at + s->first, .first = a->xw ? 1 : 0, .end = 2,
        .product = {{a->wx + s->first * a->n_x, NULL, a->n_x},
                    {a->wh + s->first * a->n_h, NULL, a->n_h}},
        .out = sums.row,
    };
    sums_place(&sums, NARROW_ROWS);
    for (size_t item = 0; item < a->items; item += task.rows) {
        task.rows = rows_of_tile(a->items - item, s->width, k);
        task.start = a->xw ? a->xw + item : NULL;
        task.product[0].x = a->xw ? NULL : a->x + item;
        task.product[1].x = a->state + item;
        tile_any(&task, s->width);
        for (size_t i = 0; i < task.rows; i++)
            gate_finish(a, sums.z[i], item + i, s->first, gate_end(a, s));
    }
}

static void gate_step(const struct simd_gate *a)
{
    for (size_t i = a->panel_begin; i < a->panel_end; i++) {
        const size_t p = simd_panel_turn(a->panel_begin, a->panel_end, a->backwards, i);
        const struct span s = span_of(a->panels, p, a->panels->columns);
        if (a->items == 1)
            gate_one(a, &s);
        else
            gate_many(a, &s);
    }
    VECTORS_DONE;
}
