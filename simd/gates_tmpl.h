/* SPDX-License-Identifier: MIT
 *
 * Matrix product and LSTM step around the dot-product tiles of one instruction set.
 * Included by gates_<isa>.h, which has defined:
 *
 *   ROW_VECS(DO)    DO(0) … once for each vector of the widest panel
 *   WIDE, ROWS      columns of the widest panel, rows of the largest tile of it
 *   FAR_ROWS        the same where sums are so long that reading weights often costs most
 *   NARROW_ROWS     rows of the largest tile of narrower panels, no fewer than FAR_ROWS
 *   GRU_ROWS        the same for a GRU's widest panel, of three quarters of WIDE
 *   TILE_ROWS(DO)   DO(0) … once for each of FAR_ROWS
 *   GRU_TILE(DO)    DO(0) … once for each of GRU_ROWS
 *   EACH_ROW(DO)    DO(0) … once for each of NARROW_ROWS
 *   FETCH_AHEAD     if weights from far away pay for being called ahead in batches: where a tile
 *                   has few rows, the first one of a panel waits for them long
 *   GROUP_MAX       wide panels (2 or 3) that one row may take at once
 *   SINGLE_PANELS   if a panel alone is best taken by panel_sum()
 *   struct row      vec v[]: the accumulators of one row and one panel
 *   struct tile     struct row r[NARROW_ROWS]
 *   struct group    struct row w[GROUP_MAX], half, quarter
 *   tile_dot()      rows × one panel
 *   group_dot()     one row × the panels of a group
 *   cell_wide(), cell_half(), cell_quarter()
 *
 * Every index into v[], r[], w[] is a literal, and `rows`, `vecs`, `wide`, `half`,
 * `quarter` are constants where a tile is made: a loop over such an array stays in
 * memory with some compilers, at half the speed.
 */

#include <string.h>

/* What the nearest cache holds, and much more than that. */
enum { NEAR_BYTES = 32 * 1024, FAR_BYTES = 512 * 1024 };

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

/* Most rows of sums that are kept while weights are called. */
#ifdef FETCH_AHEAD
enum { MANY_ROWS = 48 };
#else
enum { MANY_ROWS = NARROW_ROWS };
#endif

/* A GRU's widest panel: three gates of as many units as an LSTM's has with four. */
enum { GRU_WIDE = WIDE / 4 * 3 };

/* Sums of more terms than this are long: a panel of 64 columns has 128 KiB then. */
enum { LONG_SUMS = 512 };

/* Tiles share `rows` evenly: 8 rows in tiles of up to 6 run as 4 and 4, because a
 * tile of few rows has too few independent sums to keep the fma units busy. `k`: terms of
 * all products that go into a sum. */
static size_t rows_of_tile(size_t rows_left, size_t width, size_t k)
{
    const size_t wide = k > LONG_SUMS ? FAR_ROWS : ROWS;
    const size_t most = width == GRU_WIDE ? GRU_ROWS : width < WIDE ? NARROW_ROWS : wide;
    const size_t tiles = (rows_left + most - 1) / most;
    return (rows_left + tiles - 1) / tiles;
}

/* ---- sums in blocks --------------------------------------------------------- */

/* Weights that the work after this one will read, called into the second cache meanwhile: so
 * many lines for each block of a tile's sums, without a loop whose end would be guessed wrong. */
struct ahead {
    const char *at, *end;
};

#ifdef FETCH_AHEAD
static NO_INLINE void ahead_fetch(struct ahead *ahead)
{
    enum { LINE = 64 };
    const char *at = ahead->at;
    if (at >= ahead->end)
        return;
#define FETCH(i) __builtin_prefetch(at + (i) * LINE, 0, 2);
#define FETCH_FOUR(i) FETCH(i) FETCH(i + 1) FETCH(i + 2) FETCH(i + 3)
    FETCH_FOUR(0) FETCH_FOUR(4) FETCH_FOUR(8) FETCH_FOUR(12)
#undef FETCH_FOUR
#undef FETCH
    ahead->at = at + 16 * LINE;
}
#endif

/* A product that joins a sum: the panel's weights, and rows of k numbers. */
struct product {
    const float *weights;
    const float *const *x;
    size_t k;
};

static ALWAYS_INLINE void tile_sum(struct tile *t, const struct product *p, struct ahead *ahead,
                                   const unsigned rows, const unsigned vecs)
{
    for (size_t begin = 0, end; begin < p->k; begin = end) {
        struct tile part;
#ifdef FETCH_AHEAD
        if (ahead)
            ahead_fetch(ahead);
#else
        (void)ahead;
#endif
        end = block_end(begin, p->k);
#define ZERO_ROW(i) \
        if (rows > i) \
            row_zero(&part.r[i], vecs);
        EACH_ROW(ZERO_ROW)
#undef ZERO_ROW
        tile_dot(&part, p->weights, p->x, begin, end, rows, vecs);
#define ADD_ROW(i) \
        if (rows > i) \
            row_add(&t->r[i], &part.r[i], vecs);
        EACH_ROW(ADD_ROW)
#undef ADD_ROW
    }
}

/* DO(row, vecs) for each panel of a group. */
#define GROUP_ROWS(shape, DO_WIDE, DO) \
    GROUP_WIDES(DO_WIDE) \
    if (shape.half) \
        DO(half, 32 / VEC_LANES) \
    if (shape.quarter) \
        DO(quarter, 16 / VEC_LANES)

static ALWAYS_INLINE void group_zero(struct group *g, const struct group_shape shape)
{
#define ZERO(name, vecs) row_zero(&g->name, vecs);
#define ZERO_WIDE(i) \
    if (shape.wide > i) \
        ZERO(w[i], WIDE / VEC_LANES)
    GROUP_ROWS(shape, ZERO_WIDE, ZERO)
#undef ZERO_WIDE
#undef ZERO
}

static ALWAYS_INLINE void group_add(struct group *g, const struct group *more,
                                    const struct group_shape shape)
{
#define ADD(name, vecs) row_add(&g->name, &more->name, vecs);
#define ADD_WIDE(i) \
    if (shape.wide > i) \
        ADD(w[i], WIDE / VEC_LANES)
    GROUP_ROWS(shape, ADD_WIDE, ADD)
#undef ADD_WIDE
#undef ADD
}

static ALWAYS_INLINE void group_sum(struct group *g, const float *weights, const float *x, size_t k,
                                    const struct group_shape shape)
{
    const unsigned narrow = shape.half + shape.quarter;
    if (SINGLE_PANELS && shape.wide == 1 && !narrow)
        panel_sum(&g->w[0], weights, x, k, WIDE / VEC_LANES);
    else if (SINGLE_PANELS && !shape.wide && narrow == 1)
        panel_sum(shape.half ? &g->half : &g->quarter, weights, x, k, (shape.half ? 32 : 16) / VEC_LANES);
    else
        for (size_t begin = 0, end; begin < k; begin = end) {
            struct group part;
            end = block_end(begin, k);
            group_zero(&part, shape);
            group_dot(&part, weights, x, k, begin, end, shape);
            group_add(g, &part, shape);
        }
}

/* ---- rows × one panel ------------------------------------------------------- */

/* A tile's work from start to end. A loop over the products keeps one copy of the code. */
struct task {
    size_t rows;
    const float *bias;         /* sums start here … */
    const float *const *start; /* … or, if not NULL, in each row from column `at` on */
    size_t at;
    struct product product[2];
    unsigned first, end;       /* of the products */
    float *const *out;         /* [rows], from column out_at on */
    size_t out_at;
    struct ahead *ahead;       /* or NULL */
};

static ALWAYS_INLINE void tile_run(const struct task *task, const unsigned rows,
                                   const unsigned vecs)
{
    struct tile t;
#define START(i) \
    if (rows > i) \
        row_load(&t.r[i], task->start ? task->start[i] + task->at : task->bias, vecs);
    EACH_ROW(START)
#undef START
    for (unsigned i = task->first; i < task->end; i++)
        tile_sum(&t, &task->product[i], task->ahead, rows, vecs);
#define STORE(i) \
    if (rows > i) \
        row_store(&t.r[i], task->out[i] + task->out_at, vecs);
    EACH_ROW(STORE)
#undef STORE
}

#define TILE(i) \
    case i + 1: \
        tile_run(task, i + 1, vecs); \
        break;
static ALWAYS_INLINE void tile_of_rows(const struct task *task, const unsigned vecs)
{
    switch (task->rows) {
    TILE_ROWS(TILE)
    }
}

static NO_INLINE void tile_quarter(const struct task *task)
{
    const unsigned vecs = 16 / VEC_LANES;
    switch (task->rows) {
    EACH_ROW(TILE)
    }
}

static NO_INLINE void tile_gru(const struct task *task)
{
    const unsigned vecs = GRU_WIDE / VEC_LANES;
    switch (task->rows) {
    GRU_TILE(TILE)
    }
}
#undef TILE

static NO_INLINE void tile_wide(const struct task *task)
{
    tile_of_rows(task, WIDE / VEC_LANES);
}

#if WIDE > 32
static NO_INLINE void tile_half(const struct task *task)
{
    tile_of_rows(task, 32 / VEC_LANES);
}
#endif

static void tile_any(const struct task *task, uint32_t width)
{
    if (width == WIDE)
        tile_wide(task);
    else if (width == GRU_WIDE)
        tile_gru(task);
#if WIDE > 32
    else if (width == 32)
        tile_half(task);
#endif
    else
        tile_quarter(task);
}

/* Whole panels that rows of sums pass through: those of an LSTM on their way to the cells,
 * and those at the edge of a matrix, whose last columns do not exist. */
struct sums {
    _Alignas(64) float z[MANY_ROWS][WIDE];
    float *row[MANY_ROWS];
};

static void sums_place(struct sums *sums, size_t rows)
{
    for (size_t i = 0; i < rows && i < MANY_ROWS; i++)
        sums->row[i] = sums->z[i];
}

/* ---- matrix product ------------------------------------------------------ */

static void gemm_panel(const struct simd_gemm *a, const struct span *s)
{
    struct task task = {
        .bias = a->accumulate ? NULL : a->bias + s->first, .at = s->first, .end = 1,
        .out_at = s->first,
        .product = {{a->weights + s->first * a->k, a->x, a->k}},
    };
    for (size_t row = 0; row < a->rows; row += task.rows) {
        task.rows = rows_of_tile(a->rows - row, s->width, a->k);
        task.product[0].x = a->x + row;
        task.out = a->out + row;
        task.start = a->accumulate ? (const float *const *)task.out : NULL;
        tile_any(&task, s->width);
    }
}

/* A panel with fewer columns than its width. */
static NO_INLINE void gemm_edge(const struct simd_gemm *a, const struct span *s)
{
    struct sums sums;
    struct simd_gemm whole = *a;
    const struct span at_zero = {.first = 0, .valid = s->width, .width = s->width};
    const size_t n_bytes = s->valid * sizeof(float);
    sums_place(&sums, NARROW_ROWS);
    memset(sums.z, 0, NARROW_ROWS * sizeof sums.z[0]);
    whole.weights += s->first * a->k;
    whole.bias = a->accumulate ? NULL : a->bias + s->first;
    whole.out = sums.row;
    for (size_t row = 0; row < a->rows; row += whole.rows) {
        whole.rows = rows_of_tile(a->rows - row, s->width, a->k);
        whole.x = a->x + row;
        for (size_t i = 0; a->accumulate && i < whole.rows; i++)
            memcpy(sums.z[i], a->out[row + i] + s->first, n_bytes);
        gemm_panel(&whole, &at_zero);
        for (size_t i = 0; i < whole.rows; i++)
            memcpy(a->out[row + i] + s->first, sums.z[i], n_bytes);
    }
}

/* One row has one sum per vector of a panel, too few to hide the latency of fma:
 * two full wide panels at once. */
static NO_INLINE void gemm_pair(const struct simd_gemm *a, const struct span *s)
{
    struct group g;
    float *out = a->out[0] + s->first;
    const float *start = a->accumulate ? out : a->bias + s->first;
    row_load(&g.w[0], start, WIDE / VEC_LANES);
    row_load(&g.w[1], start + WIDE, WIDE / VEC_LANES);
    group_sum(&g, a->weights + s->first * a->k, a->x[0], a->k, (struct group_shape){2, 0, 0});
    row_store(&g.w[0], out, WIDE / VEC_LANES);
    row_store(&g.w[1], out + WIDE, WIDE / VEC_LANES);
}

static void gemm_run(const struct simd_gemm *a)
{
    for (size_t p = a->panel_begin; p < a->panel_end; p++) {
        const struct span s = span_of(a->panels, p, a->n_out);
        const bool next_full = p + 1 < a->panel_end && s.first + 2 * WIDE <= a->n_out;
        if (s.width == WIDE && a->rows == 1 && next_full) {
            gemm_pair(a, &s);
            p++;
        } else if (s.valid == s.width) {
            gemm_panel(a, &s);
        } else {
            gemm_edge(a, &s);
        }
    }
}

/* ---- LSTM step: several items ---------------------------------------------- */

/* Cells of `rows` items from the sums of one panel. A tile and the constants of the activations
 * do not fit the registers together, and are functions apart so that no compiler tries: what it
 * would spill is a sum, inside the loop over k. */
#define LSTM_CELLS(name, columns) \
    static FLATTEN void lstm_cells_##name(const struct simd_lstm *a, const struct span *s, \
                                          const struct sums *sums, size_t item, size_t rows) \
    { \
        const size_t unit = s->first / 4, units = s->valid / 4; \
        for (size_t i = 0; i < rows; i++) { \
            struct row row; \
            row_load(&row, sums->z[i], columns / VEC_LANES); \
            const struct cell_out out = {a->c[item + i] + unit, a->h_out[item + i] + unit, NULL}; \
            cell_##name(&row, out, units); \
        } \
    }

LSTM_CELLS(wide, WIDE)
#if WIDE > 32
LSTM_CELLS(half, 32)
#endif
LSTM_CELLS(quarter, 16)
#undef LSTM_CELLS

/* The two products of a step, over x and then over h; with the first done ahead only the second. */
static ALWAYS_INLINE struct task lstm_task(const struct simd_lstm *a, size_t first, size_t item)
{
    return (struct task){
        .bias = a->bias + first, .start = a->xw ? a->xw + item : NULL, .at = first,
        .product = {{a->wx + first * a->n_x, a->xw ? NULL : a->x + item, a->n_x},
                    {a->wh + first * a->n_h, a->h + item, a->n_h}},
        .first = a->xw ? 1 : 0, .end = 2,
    };
}

static void lstm_cells(const struct simd_lstm *a, const struct span *s, const struct sums *sums,
                       size_t item, size_t rows)
{
    if (s->width == WIDE)
        lstm_cells_wide(a, s, sums, item, rows);
#if WIDE > 32
    else if (s->width == 32)
        lstm_cells_half(a, s, sums, item, rows);
#endif
    else
        lstm_cells_quarter(a, s, sums, item, rows);
}

static void lstm_panel(const struct simd_lstm *a, const struct span *s, struct sums *sums)
{
    const size_t k = a->n_h + (a->xw ? 0 : a->n_x);
    for (size_t item = 0, rows; item < a->items; item += rows) {
        struct task task = lstm_task(a, s->first, item);
        task.rows = rows = rows_of_tile(a->items - item, s->width, k);
        task.out = sums->row;
        tile_any(&task, s->width);
        lstm_cells(a, s, sums, item, rows);
    }
}

#ifdef FETCH_AHEAD

/* One product of all rows, tile by tile, while `next` is called. */
static void task_product(const struct task *all, unsigned i, uint32_t width, struct ahead next)
{
    struct task task = *all;
    task.ahead = &next;
    task.first = i;
    task.end = i + 1;
    for (size_t left = all->rows; left > 0; left -= task.rows) {
        task.rows = rows_of_tile(left, width, task.product[i].k);
        tile_any(&task, width);
        task.out += task.rows;
        task.start += task.start ? task.rows : 0;
        task.product[i].x += task.rows;
    }
}

static struct ahead ahead_of(const float *weights, const struct span *s, size_t k)
{
    const char *at = (const char *)(weights + s->first * k);
    return (struct ahead){at, at + s->width * k * sizeof(float)};
}

/* Items share rows of sums evenly, in whole tiles. */
static size_t rows_of_sums(size_t left)
{
    const size_t parts = (left + MANY_ROWS - 1) / MANY_ROWS, even = (left + parts - 1) / parts;
    const size_t rows = (even + ROWS - 1) / ROWS * ROWS;
    return rows < left ? rows : left;
}

/* Each product for many rows before the next one, so that there is time to call the next one's
 * weights; `then` is the panel after this. */
static void lstm_far_panel(const struct simd_lstm *a, const struct span *s, const struct span *then,
                           struct sums *sums)
{
    struct ahead wh = ahead_of(a->wh, s, a->n_h);
    const struct ahead next = ahead_of(a->wx, then, a->n_x);
    for (size_t item = 0, rows; item < a->items; item += rows) {
        struct task task = lstm_task(a, s->first, item);
        task.rows = rows = rows_of_sums(a->items - item);
        task.out = sums->row;
        task_product(&task, 0, s->width, wh);
        task.start = (const float *const *)task.out;
        task.at = 0;
        wh.at = wh.end; /* it is there now */
        task_product(&task, 1, s->width, item + rows == a->items ? next : wh);
        lstm_cells(a, s, sums, item, rows);
    }
}

static void lstm_far(const struct simd_lstm *a, struct sums *sums)
{
    const size_t n = a->panel_end - a->panel_begin;
    struct span s = span_of(a->panels, a->backwards ? a->panel_end - 1 : a->panel_begin, 4 * a->units);
    for (size_t i = 1; i <= n; i++) {
        const size_t p = a->backwards ? a->panel_end - 1 - i : a->panel_begin + i;
        const struct span then = i < n ? span_of(a->panels, p, 4 * a->units) : s;
        lstm_far_panel(a, &s, &then, sums);
        s = then;
    }
}

/* More weights than a second cache holds, and items enough to hide their coming, but not so
 * many that it is lost among them. */
static bool lstm_is_far(const struct simd_lstm *a)
{
    enum { LEAST_ITEMS = 16, MOST_ITEMS = 2 * MANY_ROWS };
    const size_t n = a->panel_end - a->panel_begin;
    return !a->xw && a->items >= LEAST_ITEMS && a->items <= MOST_ITEMS &&
           n * WIDE * (a->n_x + a->n_h) * sizeof(float) > 4 * FAR_BYTES;
}

#endif

static void lstm_many(const struct simd_lstm *a)
{
    struct sums sums;
    sums_place(&sums, a->items > NARROW_ROWS ? a->items : NARROW_ROWS);
#ifdef FETCH_AHEAD
    if (lstm_is_far(a)) {
        lstm_far(a, &sums);
        return;
    }
#endif
    for (size_t i = a->panel_begin; i < a->panel_end; i++) {
        const size_t p = simd_panel_turn(a->panel_begin, a->panel_end, a->backwards, i);
        const struct span s = span_of(a->panels, p, 4 * a->units);
        lstm_panel(a, &s, &sums);
    }
}

/* ---- LSTM step: one item --------------------------------------------------- */

/* Cells of a panel as a function of its sums in registers: one copy for all groups with narrow
 * panels. Groups of wide ones, most of all groups, have copies: the call costs them 2 to 6 %. */
#define PARAMETER(i) vec v##i,
#define ARGUMENT(i) vecs > i ? row->v[i] : vec_set1(0.0f),
#define INTO_ROW(i) row.v[i] = v##i;
#define GROUP_CELL(name, columns) \
    static NO_INLINE void name##_apart(ROW_VECS(PARAMETER) float *c, float *h, float *h_copy, \
                                       size_t units) \
    { \
        struct row row; \
        ROW_VECS(INTO_ROW) \
        name(&row, (struct cell_out){c, h, h_copy}, units); \
    } \
\
    static ALWAYS_INLINE void group_##name(const struct row *row, struct cell_out out, size_t units) \
    { \
        const unsigned vecs = columns / VEC_LANES; \
        name##_apart(ROW_VECS(ARGUMENT) out.c, out.h, out.h_copy, units); \
    }

GROUP_CELL(cell_wide, WIDE)
#if WIDE > 32
GROUP_CELL(cell_half, 32)
#endif
GROUP_CELL(cell_quarter, 16)
#undef GROUP_CELL
#undef INTO_ROW
#undef ARGUMENT
#undef PARAMETER

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

    if (!a->xw)
        group_sum(&g, a->wx + first * a->n_x, a->x[0], a->n_x, shape);
    group_sum(&g, a->wh + first * a->n_h, a->h[0], a->n_h, shape);

    const struct cell_out out = {a->c[0], a->h_out[0], a->h_copy ? a->h_copy[0] : NULL};
    size_t unit = first / 4;
#define CELL(i) \
    if (wide > i) { \
        const size_t left = a->units - unit; \
        if (shape.half || shape.quarter) \
            group_cell_wide(&g.w[i], cell_out_at(out, unit), left < WIDE / 4 ? left : WIDE / 4); \
        else \
            cell_wide(&g.w[i], cell_out_at(out, unit), left < WIDE / 4 ? left : WIDE / 4); \
        unit += WIDE / 4; \
    }
    GROUP_WIDES(CELL)
#undef CELL
#if WIDE > 32
    if (shape.half) {
        const size_t left = a->units - unit;
        group_cell_half(&g.half, cell_out_at(out, unit), left < 8 ? left : 8);
        unit += 8;
    }
#endif
    if (shape.quarter)
        group_cell_quarter(&g.quarter, cell_out_at(out, unit), a->units - unit);
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
#endif
#undef GROUP

typedef void lstm_group_fn(const struct simd_lstm *, size_t first);

/* [wide][half][quarter]; a shape that cannot occur has no entry. */
static lstm_group_fn *const lstm_groups[GROUP_MAX + 1][2][2] = {
#if WIDE > 32
    {{NULL, lstm_group_001}, {lstm_group_010, lstm_group_011}},
    {{lstm_group_100, lstm_group_101}, {lstm_group_110, lstm_group_111}},
    {{lstm_group_200, lstm_group_201}, {lstm_group_210, lstm_group_211}},
#else
    {{NULL, lstm_group_001}},
    {{lstm_group_100, lstm_group_101}},
    {{lstm_group_200, lstm_group_201}},
#if GROUP_MAX > 2
    {{lstm_group_300, lstm_group_301}},
#endif
#endif
};

/* Groups of wide panels, then the rest with the narrow panels as the last group. A group has two
 * wide panels, to have sums enough in flight; but one, if that can have enough, where the weights
 * are more than the nearest cache holds and not so much more that what it keeps from the step
 * before is nothing: it keeps whole groups. */
static NO_INLINE void lstm_groups_of(const struct simd_lstm *a, size_t n_bytes)
{
    const struct simd_panels *panels = a->panels;
    const bool pairs = !SINGLE_PANELS || n_bytes <= NEAR_BYTES || n_bytes > FAR_BYTES;
    const size_t begin = a->panel_begin, end = a->panel_end;
    const size_t wide_end = end < panels->n_wide ? end : panels->n_wide;
    const size_t n_wide = wide_end > begin ? wide_end - begin : 0;
    const size_t most = pairs ? GROUP_MAX : 1, odd = pairs && GROUP_MAX > 2 ? 3 : 1;
    const size_t n_last = n_wide <= most ? n_wide : pairs && n_wide % 2 == 0 ? 2 : odd;
    const size_t groups = (n_wide - n_last) >> pairs;
    const bool half = panels->half && begin <= panels->n_wide && end > panels->n_wide;
    const bool quarter = panels->quarter && begin < panels->count && end == panels->count;

    size_t first = begin * WIDE;
    if (begin > panels->n_wide) {
        uint32_t width;
        simd_panel_at(panels, begin, &first, &width);
    }
    lstm_group_fn *const last = lstm_groups[n_last][half][quarter];
    const size_t columns = (size_t)WIDE << pairs, last_first = first + groups * columns;
    if (!last)
        return;
    if (a->backwards)
        last(a, last_first);
    for (size_t i = 0; i < groups; i++)
        lstm_groups[1 + pairs][0][0](a, first + (a->backwards ? groups - 1 - i : i) * columns);
    if (!a->backwards)
        last(a, last_first);
}

static ALWAYS_INLINE size_t lstm_bytes(const struct simd_lstm *a)
{
    return a->panels->columns * (a->n_h + (a->xw ? 0 : a->n_x)) * sizeof(float);
}

static ALWAYS_INLINE bool lstm_is_group(const struct simd_lstm *a, size_t n_bytes)
{
    return a->panels->n_wide <= GROUP_MAX && n_bytes <= NEAR_BYTES && a->panel_begin == 0 &&
           a->panel_end == a->panels->count;
}

/* The cells of a group come after all of its sums. */
static bool lstm_in_place(const struct simd_lstm *a)
{
    return a->items == 1 && lstm_is_group(a, lstm_bytes(a));
}

/* A small layer is one group; what it costs to find that out is seen in its time. */
static void lstm_one(const struct simd_lstm *a)
{
    const struct simd_panels *panels = a->panels;
    const size_t n_bytes = lstm_bytes(a);
    if (lstm_is_group(a, n_bytes))
        lstm_groups[panels->n_wide][panels->half][panels->quarter](a, 0);
    else
        lstm_groups_of(a, n_bytes);
    VECTORS_DONE;
}

static void lstm_step(const struct simd_lstm *a)
{
    if (a->items == 1)
        lstm_one(a);
    else
        lstm_many(a);
}
