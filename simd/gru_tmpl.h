/* SPDX-License-Identifier: MIT
 *
 * GRU step around the matrix product of one instruction set. Included by gates_<isa>.h
 * after gates_tmpl.h. The candidate's sums over x and over h stay apart, so each product
 * goes over three sums a unit, and what joins them are two short rows on the stack.
 */

/* Panels that one row takes at once: up to GRU_GROUP wide ones, then perhaps one narrower. */
enum {
    GRU_GROUP = 4,
    GRU_GROUP_COLUMNS = GRU_GROUP * GRU_WIDE,
    GRU_TILE_COLUMNS = NARROW_ROWS * GRU_WIDE,
    GRU_COLUMNS = GRU_TILE_COLUMNS > GRU_GROUP_COLUMNS ? GRU_TILE_COLUMNS : GRU_GROUP_COLUMNS
};
#define GRU_WIDES(DO) DO(0) DO(1) DO(2) DO(3)

struct gru_shape {
    unsigned wide;
    uint32_t tail; /* columns of the narrower panel, or 0 */
};

struct gru_sums {
    struct row w[GRU_GROUP], tail;
};

/* Room for the sums of a few rows or of a group, over x and then on over h; loads of whole
 * registers may start at the last gate of the last panel. */
struct gru_buffer {
    _Alignas(64) float x[GRU_COLUMNS];
    _Alignas(64) float h[GRU_COLUMNS + VEC_LANES];
};

/* ---- sums of one row ---------------------------------------------------------- */

/* One row and the panels of a group: out = out + Σ weights · x */
struct gru_product {
    const float *weights, *x;
    size_t k;
    float *out;
};

static ALWAYS_INLINE void gru_block(struct gru_sums *sums, const struct gru_product *p,
                                    size_t begin, size_t end, const struct gru_shape shape)
{
    const float *x = p->x;
#define POINTER(i) \
    const float *w##i = p->weights + begin * GRU_WIDE + (shape.wide > i ? i * GRU_WIDE * p->k : 0);
    GRU_WIDES(POINTER)
#undef POINTER
    const float *tail = p->weights + shape.wide * GRU_WIDE * p->k + begin * shape.tail;
    for (size_t j = begin; j < end; j++) {
        const vec b = vec_set1(x[j]);
#define FMA(i) \
        if (shape.wide > i) { \
            panel_fma(&sums->w[i], w##i, b, GRU_WIDE / VEC_LANES); \
            w##i += GRU_WIDE; \
            KEEP_LOADS_BEHIND; \
        }
        GRU_WIDES(FMA)
#undef FMA
        if (shape.tail) {
            panel_fma(&sums->tail, tail, b, shape.tail / VEC_LANES);
            tail += shape.tail;
        }
    }
}

static ALWAYS_INLINE void gru_zero(struct gru_sums *sums, const struct gru_shape shape)
{
#define ZERO(i) \
    if (shape.wide > i) \
        row_zero(&sums->w[i], GRU_WIDE / VEC_LANES);
    GRU_WIDES(ZERO)
#undef ZERO
    row_zero(&sums->tail, shape.tail / VEC_LANES);
}

static ALWAYS_INLINE void gru_add(const struct gru_sums *sums, float *out,
                                  const struct gru_shape shape)
{
#define ADD(i) \
    if (shape.wide > i) \
        row_add_to(&sums->w[i], out + i * GRU_WIDE, GRU_WIDE / VEC_LANES);
    GRU_WIDES(ADD)
#undef ADD
    row_add_to(&sums->tail, out + shape.wide * GRU_WIDE, shape.tail / VEC_LANES);
}

/* One row and one panel alone. */
static ALWAYS_INLINE void gru_panel(const struct gru_product *p, const unsigned vecs)
{
    struct row total;
    row_load(&total, p->out, vecs);
    panel_sum(&total, p->weights, p->x, p->k, vecs);
    row_store(&total, p->out, vecs);
}

static ALWAYS_INLINE void gru_group(const struct gru_product *p, const struct gru_shape shape)
{
    if (shape.wide == 1 && !shape.tail)
        gru_panel(p, GRU_WIDE / VEC_LANES);
    else
        for (size_t begin = 0, end; begin < p->k; begin = end) {
            struct gru_sums sums;
            end = block_end(begin, p->k);
            gru_zero(&sums, shape);
            gru_block(&sums, p, begin, end, shape);
            gru_add(&sums, p->out, shape);
        }
}

#define GROUP(name, wide, tail) \
    static NO_INLINE void gru_group_##name(const struct gru_product *p) \
    { \
        gru_group(p, (struct gru_shape){wide, tail}); \
    }

GROUP(0_16, 0, 16)
GROUP(1, 1, 0)
GROUP(1_16, 1, 16)
GROUP(2, 2, 0)
GROUP(2_16, 2, 16)
GROUP(3, 3, 0)
GROUP(3_16, 3, 16)
GROUP(4, 4, 0)
#if WIDE > 32
GROUP(0_32, 0, 32)
GROUP(1_32, 1, 32)
GROUP(2_32, 2, 32)
GROUP(3_32, 3, 32)
#endif
#undef GROUP

typedef void gru_group_fn(const struct gru_product *);

/* [wide][tail / 16]; a shape that cannot occur has no entry. */
static gru_group_fn *const gru_groups[GRU_GROUP + 1][3] = {
#if WIDE > 32
    {NULL, gru_group_0_16, gru_group_0_32},
    {gru_group_1, gru_group_1_16, gru_group_1_32},
    {gru_group_2, gru_group_2_16, gru_group_2_32},
    {gru_group_3, gru_group_3_16, gru_group_3_32},
#else
    {NULL, gru_group_0_16},
    {gru_group_1, gru_group_1_16},
    {gru_group_2, gru_group_2_16},
    {gru_group_3, gru_group_3_16},
#endif
    {gru_group_4},
};

/* ---- cells ---------------------------------------------------------------------- */

/* Units that a panel has room for. */
static size_t gru_units(uint32_t width)
{
    return width == GRU_WIDE ? GRU_WIDE / 3 : width / 4;
}

static ALWAYS_INLINE vec gru_load(const float *p, size_t n)
{
    return n == VEC_LANES ? vec_load(p) : vec_load_n(p, n);
}

/* No mask where none is needed: the next step's loads could not take a masked store over
 * before it reaches the cache. */
static ALWAYS_INLINE void gru_store(float *p, vec x, size_t n)
{
    if (n == VEC_LANES)
        vec_store(p, x);
#if VEC_LANES > 8
    else if (n == 8)
        low_store(p, x, 8);
#endif
#if VEC_LANES > 4
    else if (n == 4)
        low_store(p, x, 4);
#endif
    else
        vec_store_n(p, x, n);
}

static size_t lanes_left(size_t end, size_t at)
{
    return end - at < VEC_LANES ? end - at : VEC_LANES;
}

static void gru_copy(const float *from, float *to, size_t width)
{
    for (size_t j = 0; j < width; j += VEC_LANES)
        vec_store(to + j, vec_load(from + j));
}

/* What a panel's sums over h start from: r and z go on from the sums over x, the candidate
 * has a bias of its own. */
static void gru_join(const float *x_sums, const float *bias_h, float *h_sums, uint32_t width)
{
    const size_t new = 2 * gru_units(width), end = 3 * gru_units(width);
    gru_copy(x_sums, h_sums, width);
    for (size_t j = new; j < end; j += VEC_LANES)
        gru_store(h_sums + j, gru_load(bias_h + j, lanes_left(end, j)), lanes_left(end, j));
}

/* Sums of one item and one panel to `units` units of h. */
static NO_INLINE void gru_cells(const float *x_sums, const float *h_sums, uint32_t width,
                                const float *h, float *h_out, size_t units)
{
    const size_t each = gru_units(width), end = units < each ? units : each;
    for (size_t u = 0; u < end; u += VEC_LANES) {
        const size_t n = lanes_left(end, u);
        const vec nx = gru_load(x_sums + 2 * each + u, n);
        const vec h_new =
            cell_gru(vec_load(h_sums + u), vec_load(h_sums + each + u), nx,
                     vec_load(h_sums + 2 * each + u), gru_load(h + u, n));
        gru_store(h_out + u, h_new, n);
    }
}

/* ---- several items ---------------------------------------------------------------- */

static void gru_rows(const struct simd_gru *a, const struct span *s, size_t item, size_t rows)
{
    struct gru_buffer buffer;
    float *x_out[NARROW_ROWS], *h_out[NARROW_ROWS];
    for (size_t i = 0; i < NARROW_ROWS; i++) {
        x_out[i] = buffer.x + i * GRU_WIDE;
        h_out[i] = buffer.h + i * GRU_WIDE;
    }
    const float *const *x_sums = a->xw ? a->xw + item : (const float *const *)x_out;
    const size_t at = a->xw ? s->first : 0, unit = s->first / 3;
    const struct task over_x = {
        .rows = rows, .bias = a->bias + s->first, .end = 1, .out = x_out,
        .product = {{a->wx + s->first * a->n_x, a->xw ? NULL : a->x + item, a->n_x}},
    };
    const struct task over_h = {
        .rows = rows, .start = (const float *const *)h_out, .end = 1, .out = h_out,
        .product = {{a->wh + s->first * a->units, a->h + item, a->units}},
    };
    if (!a->xw)
        tile_any(&over_x, s->width);
    for (size_t i = 0; i < rows; i++)
        gru_join(x_sums[i] + at, a->bias_h + s->first, h_out[i], s->width);
    tile_any(&over_h, s->width);
    for (size_t i = 0; i < rows; i++)
        gru_cells(x_sums[i] + at, h_out[i], s->width, a->h[item + i] + unit, a->h_out[item + i] + unit,
                  a->units - unit);
}

static void gru_many(const struct simd_gru *a)
{
    for (size_t i = a->panel_begin; i < a->panel_end; i++) {
        const size_t p = a->backwards ? a->panel_end - 1 - (i - a->panel_begin) : i;
        const struct span s = span_of(a->panels, p, a->panels->columns);
        for (size_t item = 0, rows; item < a->items; item += rows) {
            rows = rows_of_tile(a->items - item, s.width, a->units);
            gru_rows(a, &s, item, rows);
        }
    }
}

/* ---- one item ----------------------------------------------------------------------- */

/* All panels of a group advance together through k, so that their sums hide each other's
 * latency. */
static void gru_panels(const struct simd_gru *a, size_t begin, size_t end)
{
    struct gru_buffer buffer;
    const size_t first = span_of(a->panels, begin, a->panels->columns).first;
    const struct span last = span_of(a->panels, end - 1, a->panels->columns);
    const bool tail = last.width != GRU_WIDE;
    gru_group_fn *const group = gru_groups[end - begin - tail][tail ? last.width / 16 : 0];
    const float *x_sums = buffer.x;
    if (a->xw) {
        x_sums = a->xw[0] + first;
    } else {
        const struct gru_product over_x = {a->wx + first * a->n_x, a->x[0], a->n_x, buffer.x};
        gru_copy(a->bias + first, buffer.x, last.first + last.width - first);
        group(&over_x);
    }
    size_t at = 0;
    for (size_t p = begin; p < end; p++, at += GRU_WIDE)
        gru_join(x_sums + at, a->bias_h + first + at, buffer.h + at,
                 p + 1 < end ? GRU_WIDE : last.width);
    const struct gru_product over_h = {a->wh + first * a->units, a->h[0], a->units, buffer.h};
    group(&over_h);
    at = 0;
    for (size_t p = begin, unit = first / 3; p < end; p++, at += GRU_WIDE, unit += GRU_WIDE / 3)
        gru_cells(x_sums + at, buffer.h + at, p + 1 < end ? GRU_WIDE : last.width, a->h[0] + unit,
                  a->h_out[0] + unit, a->units - unit);
}

/* Panels of a group: as many as there may be, to have sums enough in flight; fewer where the
 * weights are more than the nearest cache holds, for of what the last step left there whole
 * groups are found again and parts of one are not. */
static size_t gru_group_size(const struct simd_gru *a)
{
    const size_t k = a->units + (a->xw ? 0 : a->n_x);
    const size_t n_bytes = a->panels->columns * k * sizeof(float);
    return n_bytes <= NEAR_BYTES ? GRU_GROUP : (n_bytes < FAR_BYTES ? 1 : 2) * (64 / WIDE);
}

/* Groups share the panels evenly: a small one would have too few sums in flight. */
static void gru_one(const struct simd_gru *a)
{
    const size_t panels = a->panel_end - a->panel_begin, most = gru_group_size(a);
    const size_t groups = (panels + most - 1) / most;
    for (size_t i = 0; i < groups; i++) {
        const size_t g = a->backwards ? groups - 1 - i : i;
        gru_panels(a, a->panel_begin + panels * g / groups, a->panel_begin + panels * (g + 1) / groups);
    }
}

static void gru_step(const struct simd_gru *a)
{
    if (a->items == 1)
        gru_one(a);
    else
        gru_many(a);
}
