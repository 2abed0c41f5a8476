/* SPDX-License-Identifier: MIT
 *
 * Matrix product and LSTM step around the dot-product tiles of one instruction set.
 * Included by gates_<isa>.h, which has defined:
 *
 *   ROW_VECS(DO)    DO(0) … once for each vector of the widest panel
 *   TILE_ROWS(DO)   DO(0) … once for each row of the largest tile
 *   WIDE, ROWS      columns of the widest panel, rows of the largest tile
 *   GROUP_MAX       wide panels (2 or 3) that one row may take at once
 *   struct row      vec v[]: the accumulators of one row and one panel
 *   struct tile     struct row r[ROWS]
 *   struct group    struct row w[GROUP_MAX], half, quarter
 *   tile_dot()      rows × one panel
 *   group_dot()     one row × the panels of a group
 *   cell_wide(), cell_half(), cell_quarter()
 *
 * Every index into v[], r[], w[] is a literal, and `rows`, `vecs`, `wide`, `half`,
 * `quarter` are constants where a tile is made: a loop over such an array stays in
 * memory with some compilers, at half the speed.
 */

/* One panel: its columns and how many of them are real. */
struct span {
    size_t first, valid;
    uint32_t width;
};

static struct span span_of(const struct simd_panels *panels, size_t p, size_t n_columns)
{
    struct span s;
    simd_panel_at(panels, p, &s.first, &s.width);
    s.valid = n_columns - s.first < s.width ? n_columns - s.first : s.width;
    return s;
}

/* Tiles share `rows` evenly: 8 rows in tiles of up to 6 run as 4 and 4, because a
 * tile of few rows has too few independent sums to keep the fma units busy. */
static size_t rows_of_tile(size_t rows_left)
{
    const size_t tiles = (rows_left + ROWS - 1) / ROWS;
    return (rows_left + tiles - 1) / tiles;
}

static ALWAYS_INLINE void row_load(struct row *row, const float *from, const unsigned vecs)
{
#define LOAD(i) \
    if (vecs > i) \
        row->v[i] = vec_load(from + i * VEC_LANES);
    ROW_VECS(LOAD)
#undef LOAD
}

static ALWAYS_INLINE void row_store(const struct row *row, float *to, const unsigned vecs)
{
#define STORE(i) \
    if (vecs > i) \
        vec_store(to + i * VEC_LANES, row->v[i]);
    ROW_VECS(STORE)
#undef STORE
}

static inline size_t lanes_left(size_t valid, size_t before)
{
    const size_t left = valid > before ? valid - before : 0;
    return left < VEC_LANES ? left : VEC_LANES;
}

static ALWAYS_INLINE void row_load_some(struct row *row, const float *from, size_t valid,
                                        const unsigned vecs)
{
#define LOAD_SOME(i) \
    if (vecs > i) \
        row->v[i] = vec_load_n(from + i * VEC_LANES, lanes_left(valid, i * VEC_LANES));
    ROW_VECS(LOAD_SOME)
#undef LOAD_SOME
}

static ALWAYS_INLINE void row_store_some(const struct row *row, float *to, size_t valid,
                                         const unsigned vecs)
{
#define STORE_SOME(i) \
    if (vecs > i) \
        vec_store_n(to + i * VEC_LANES, row->v[i], lanes_left(valid, i * VEC_LANES));
    ROW_VECS(STORE_SOME)
#undef STORE_SOME
}

/* ---- sums in blocks --------------------------------------------------------- */

/* A block's sum starts from zero and is added to the total: errors grow with the length
 * of a block and the number of blocks, not with k. */

static ALWAYS_INLINE void row_zero(struct row *row, const unsigned vecs)
{
#define ZERO(i) \
    if (vecs > i) \
        row->v[i] = vec_set1(0.0f);
    ROW_VECS(ZERO)
#undef ZERO
}

static ALWAYS_INLINE void row_add(struct row *row, const struct row *more, const unsigned vecs)
{
#define ADD(i) \
    if (vecs > i) \
        row->v[i] = vec_add(row->v[i], more->v[i]);
    ROW_VECS(ADD)
#undef ADD
}

static ALWAYS_INLINE size_t block_end(size_t begin, size_t k)
{
    const size_t block = simd_block(k);
    return k - begin < block ? k : begin + block;
}

static ALWAYS_INLINE void tile_sum(struct tile *t, const float *weights, const float *const *x,
                                   size_t k, const unsigned rows, const unsigned vecs)
{
    for (size_t begin = 0, end; begin < k; begin = end) {
        struct tile part;
        end = block_end(begin, k);
#define ZERO_ROW(i) \
        if (rows > i) \
            row_zero(&part.r[i], vecs);
        TILE_ROWS(ZERO_ROW)
#undef ZERO_ROW
        tile_dot(&part, weights, x, begin, end, rows, vecs);
#define ADD_ROW(i) \
        if (rows > i) \
            row_add(&t->r[i], &part.r[i], vecs);
        TILE_ROWS(ADD_ROW)
#undef ADD_ROW
    }
}

static ALWAYS_INLINE void group_sum(struct group *g, const float *weights, const float *x, size_t k,
                                    const struct group_shape shape)
{
    for (size_t begin = 0, end; begin < k; begin = end) {
        struct group part;
        end = block_end(begin, k);
#define ZERO_WIDE(i) \
        if (shape.wide > i) \
            row_zero(&part.w[i], WIDE / VEC_LANES);
        GROUP_WIDES(ZERO_WIDE)
#undef ZERO_WIDE
        if (shape.half)
            row_zero(&part.half, 32 / VEC_LANES);
        if (shape.quarter)
            row_zero(&part.quarter, 16 / VEC_LANES);
        group_dot(&part, weights, x, k, begin, end, shape);
#define ADD_WIDE(i) \
        if (shape.wide > i) \
            row_add(&g->w[i], &part.w[i], WIDE / VEC_LANES);
        GROUP_WIDES(ADD_WIDE)
#undef ADD_WIDE
        if (shape.half)
            row_add(&g->half, &part.half, 32 / VEC_LANES);
        if (shape.quarter)
            row_add(&g->quarter, &part.quarter, 16 / VEC_LANES);
    }
}

/* ---- matrix product ------------------------------------------------------ */

static ALWAYS_INLINE void gemm_start(struct row *row, const struct simd_gemm *a,
                                     const struct span *s, const float *out,
                                     const unsigned vecs)
{
    if (!a->accumulate)
        row_load(row, a->bias + s->first, vecs);
    else if (s->valid == s->width)
        row_load(row, out + s->first, vecs);
    else
        row_load_some(row, out + s->first, s->valid, vecs);
}

static ALWAYS_INLINE void gemm_finish(const struct row *row, const struct span *s, float *out,
                                      const unsigned vecs)
{
    if (s->valid == s->width)
        row_store(row, out + s->first, vecs);
    else
        row_store_some(row, out + s->first, s->valid, vecs);
}

static ALWAYS_INLINE void gemm_tile(const struct simd_gemm *a, const struct span *s, size_t row,
                                    const unsigned rows, const unsigned vecs)
{
    struct tile t;
    float *const *out = a->out + row;
#define START(i) \
    if (rows > i) \
        gemm_start(&t.r[i], a, s, out[i], vecs);
    TILE_ROWS(START)
#undef START
    tile_sum(&t, a->weights + s->first * a->k, a->x + row, a->k, rows, vecs);
#define FINISH(i) \
    if (rows > i) \
        gemm_finish(&t.r[i], s, out[i], vecs);
    TILE_ROWS(FINISH)
#undef FINISH
}

static ALWAYS_INLINE void gemm_tiles(const struct simd_gemm *a, const struct span *s,
                                     const unsigned vecs)
{
    for (size_t row = 0, rows; row < a->rows; row += rows) {
        rows = rows_of_tile(a->rows - row);
        switch (rows) {
#define TILE(i) \
        case i + 1: \
            gemm_tile(a, s, row, i + 1, vecs); \
            break;
        TILE_ROWS(TILE)
#undef TILE
        }
    }
}

static NO_INLINE void gemm_wide(const struct simd_gemm *a, const struct span *s)
{
    gemm_tiles(a, s, WIDE / VEC_LANES);
}

#if WIDE > 32
static NO_INLINE void gemm_half(const struct simd_gemm *a, const struct span *s)
{
    gemm_tiles(a, s, 32 / VEC_LANES);
}
#endif

static NO_INLINE void gemm_quarter(const struct simd_gemm *a, const struct span *s)
{
    gemm_tiles(a, s, 16 / VEC_LANES);
}

/* One row has one sum per vector of a panel, too few to hide the latency of fma:
 * two full wide panels at once. */
static NO_INLINE void gemm_pair(const struct simd_gemm *a, const struct span *s)
{
    struct group g;
    float *out = a->out[0];
    const struct span next = {.first = s->first + WIDE, .valid = WIDE, .width = WIDE};
    gemm_start(&g.w[0], a, s, out, WIDE / VEC_LANES);
    gemm_start(&g.w[1], a, &next, out, WIDE / VEC_LANES);
    group_sum(&g, a->weights + s->first * a->k, a->x[0], a->k, (struct group_shape){2, 0, 0});
    gemm_finish(&g.w[0], s, out, WIDE / VEC_LANES);
    gemm_finish(&g.w[1], &next, out, WIDE / VEC_LANES);
}

static void gemm_run(const struct simd_gemm *a)
{
    for (size_t p = a->panel_begin; p < a->panel_end; p++) {
        const struct span s = span_of(a->panels, p, a->n_out);
        const bool next_full = p + 1 < a->panel_end && s.first + 2 * WIDE <= a->n_out;
        if (s.width == WIDE && a->rows == 1 && next_full) {
            gemm_pair(a, &s);
            p++;
        } else if (s.width == WIDE) {
            gemm_wide(a, &s);
#if WIDE > 32
        } else if (s.width == 32) {
            gemm_half(a, &s);
#endif
        } else {
            gemm_quarter(a, &s);
        }
    }
}

/* ---- LSTM step: several items ---------------------------------------------- */

/* Sums of a tile wait here for their cells. The tile and the constants of the
 * activations do not fit the registers together, and are functions apart so that no
 * compiler tries: what it would spill is a sum, inside the loop over k. */
struct sums {
    _Alignas(64) float z[ROWS][WIDE];
    size_t item, rows;
};

/* The two products of a step, over x and then over h; with the first done ahead only the
 * second. A loop over them keeps one copy of a tile's code. */
struct operands {
    size_t begin;
    const float *weights[2];
    const float *const *rows[2];
    size_t k[2];
};

static ALWAYS_INLINE struct operands operands_of(const struct simd_lstm *a, size_t first)
{
    return (struct operands){
        .begin = a->xw ? 1 : 0,
        .weights = {a->wx + first * a->n_x, a->wh + first * a->n_h},
        .rows = {a->x, a->h},
        .k = {a->n_x, a->n_h},
    };
}

static ALWAYS_INLINE void lstm_tile(const struct simd_lstm *a, const struct span *s,
                                    struct sums *sums, const unsigned rows, const unsigned vecs)
{
    struct tile t;
    const size_t item = sums->item;
    const float *const *start = a->xw ? a->xw + item : NULL;
#define START(i) \
    if (rows > i) \
        row_load(&t.r[i], (start ? start[i] : a->bias) + s->first, vecs);
    TILE_ROWS(START)
#undef START
    const struct operands operands = operands_of(a, s->first);
    for (size_t i = operands.begin; i < 2; i++)
        tile_sum(&t, operands.weights[i], operands.rows[i] + item, operands.k[i], rows, vecs);
#define STORE(i) \
    if (rows > i) \
        row_store(&t.r[i], sums->z[i], vecs);
    TILE_ROWS(STORE)
#undef STORE
}

static ALWAYS_INLINE void lstm_sums(const struct simd_lstm *a, const struct span *s,
                                    struct sums *sums, const unsigned vecs)
{
    switch (sums->rows) {
#define TILE(i) \
    case i + 1: \
        lstm_tile(a, s, sums, i + 1, vecs); \
        break;
    TILE_ROWS(TILE)
#undef TILE
    }
}

#define LSTM_PANEL(name, columns) \
    static NO_INLINE void lstm_sums_##name(const struct simd_lstm *a, const struct span *s, \
                                           struct sums *sums) \
    { \
        lstm_sums(a, s, sums, columns / VEC_LANES); \
    } \
\
    static FLATTEN void lstm_cells_##name(const struct simd_lstm *a, const struct span *s, \
                                          const struct sums *sums) \
    { \
        const size_t unit = s->first / 4, units = s->valid / 4; \
        for (size_t i = 0; i < sums->rows; i++) { \
            struct row row; \
            row_load(&row, sums->z[i], columns / VEC_LANES); \
            cell_##name(&row, a->c[sums->item + i] + unit, a->h_out[sums->item + i] + unit, \
                        units); \
        } \
    } \
\
    static void lstm_panel_##name(const struct simd_lstm *a, const struct span *s) \
    { \
        struct sums sums; \
        for (sums.item = 0; sums.item < a->items; sums.item += sums.rows) { \
            sums.rows = rows_of_tile(a->items - sums.item); \
            lstm_sums_##name(a, s, &sums); \
            lstm_cells_##name(a, s, &sums); \
        } \
    }

LSTM_PANEL(wide, WIDE)
#if WIDE > 32
LSTM_PANEL(half, 32)
#endif
LSTM_PANEL(quarter, 16)
#undef LSTM_PANEL

static void lstm_many(const struct simd_lstm *a)
{
    for (size_t i = a->panel_begin; i < a->panel_end; i++) {
        const size_t p = a->backwards ? a->panel_end - 1 - (i - a->panel_begin) : i;
        const struct span s = span_of(a->panels, p, 4 * a->units);
        if (s.width == WIDE)
            lstm_panel_wide(a, &s);
#if WIDE > 32
        else if (s.width == 32)
            lstm_panel_half(a, &s);
#endif
        else
            lstm_panel_quarter(a, &s);
    }
}

/* ---- LSTM step: one item --------------------------------------------------- */

/* All panels of a group advance together through k, so that their sums hide each
 * other's latency and so do their activations. `first` is the group's first column. */
static ALWAYS_INLINE void lstm_group(const struct simd_lstm *a, size_t first,
                                     const struct group_shape shape)
{
    struct group g;
    const float *start = (a->xw ? a->xw[0] : a->bias) + first;
    const unsigned wide = shape.wide;
    const size_t half = first + wide * WIDE, quarter = half + (shape.half ? 32 : 0);
#define START(i) \
    if (wide > i) \
        row_load(&g.w[i], start + i * WIDE, WIDE / VEC_LANES);
    GROUP_WIDES(START)
#undef START
    if (shape.half)
        row_load(&g.half, start + (half - first), 32 / VEC_LANES);
    if (shape.quarter)
        row_load(&g.quarter, start + (quarter - first), 16 / VEC_LANES);

    const struct operands operands = operands_of(a, first);
    for (size_t i = operands.begin; i < 2; i++)
        group_sum(&g, operands.weights[i], operands.rows[i][0], operands.k[i], shape);

    float *c = a->c[0], *h = a->h_out[0];
    size_t unit = first / 4;
#define CELL(i) \
    if (wide > i) { \
        const size_t left = a->units - unit; \
        cell_wide(&g.w[i], c + unit, h + unit, left < WIDE / 4 ? left : WIDE / 4); \
        unit += WIDE / 4; \
    }
    GROUP_WIDES(CELL)
#undef CELL
#if WIDE > 32
    if (shape.half) {
        const size_t left = a->units - unit;
        cell_half(&g.half, c + unit, h + unit, left < 8 ? left : 8);
        unit += 8;
    }
#endif
    if (shape.quarter)
        cell_quarter(&g.quarter, c + unit, h + unit, a->units - unit);
}

#define GROUP(name, wide, half, quarter) \
    static FLATTEN void lstm_group_##name(const struct simd_lstm *a, size_t first) \
    { \
        lstm_group(a, first, (struct group_shape){wide, half, quarter}); \
    }

GROUP(001, 0, 0, 1)
GROUP(100, 1, 0, 0)
GROUP(101, 1, 0, 1)
GROUP(200, 2, 0, 0)
GROUP(201, 2, 0, 1)
#if GROUP_MAX > 2
GROUP(300, 3, 0, 0)
GROUP(301, 3, 0, 1)
#endif
#if WIDE > 32
GROUP(010, 0, 1, 0)
GROUP(011, 0, 1, 1)
GROUP(110, 1, 1, 0)
GROUP(111, 1, 1, 1)
GROUP(210, 2, 1, 0)
GROUP(211, 2, 1, 1)
GROUP(310, 3, 1, 0)
GROUP(311, 3, 1, 1)
#endif
#undef GROUP

typedef void lstm_group_fn(const struct simd_lstm *, size_t first);

/* [wide][half][quarter]; a shape that cannot occur has no entry. */
static lstm_group_fn *const lstm_groups[GROUP_MAX + 1][2][2] = {
#if WIDE > 32
    {{NULL, lstm_group_001}, {lstm_group_010, lstm_group_011}},
    {{lstm_group_100, lstm_group_101}, {lstm_group_110, lstm_group_111}},
    {{lstm_group_200, lstm_group_201}, {lstm_group_210, lstm_group_211}},
    {{lstm_group_300, lstm_group_301}, {lstm_group_310, lstm_group_311}},
#else
    {{NULL, lstm_group_001}},
    {{lstm_group_100, lstm_group_101}},
    {{lstm_group_200, lstm_group_201}},
#if GROUP_MAX > 2
    {{lstm_group_300, lstm_group_301}},
#endif
#endif
};

/* Pairs of wide panels, then the rest with the narrow panels as the last group. */
static void lstm_one(const struct simd_lstm *a)
{
    const struct simd_panels *panels = a->panels;
    const size_t begin = a->panel_begin, end = a->panel_end;
    const size_t wide_end = end < panels->n_wide ? end : panels->n_wide;
    const size_t n_wide = wide_end > begin ? wide_end - begin : 0;
    size_t n_last = n_wide;
    if (n_wide > GROUP_MAX)
        n_last = n_wide % 2 == 0 ? 2 : GROUP_MAX > 2 ? 3 : 1;
    const size_t pairs = (n_wide - n_last) / 2;
    const bool half = panels->half && begin <= panels->n_wide && end > panels->n_wide;
    const bool quarter = panels->quarter && begin < panels->count && end == panels->count;

    size_t first = begin * WIDE;
    if (begin > panels->n_wide) {
        uint32_t width;
        simd_panel_at(panels, begin, &first, &width);
    }
    lstm_group_fn *const last = lstm_groups[n_last][half][quarter];
    const size_t last_first = first + pairs * 2 * WIDE;
    if (!last)
        return;
    if (a->backwards)
        last(a, last_first);
    for (size_t i = 0; i < pairs; i++)
        lstm_group_200(a, first + (a->backwards ? pairs - 1 - i : i) * 2 * WIDE);
    if (!a->backwards)
        last(a, last_first);
}

static void lstm_step(const struct simd_lstm *a)
{
    if (a->items == 1)
        lstm_one(a);
    else
        lstm_many(a);
}
