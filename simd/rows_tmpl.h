/* SPDX-License-Identifier: MIT
 *
 * Sums of one row and one panel, in registers. Included by gates_<isa>.h, which has defined ROW_VECS
 * (gates_tmpl.h) and struct row. `vecs`, the registers of the panel's width, is a constant
 * where a function of these ends up.
 */

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

/* A total that waits in memory. */
static ALWAYS_INLINE void row_add_to(const struct row *row, float *out, const unsigned vecs)
{
#define ADD(i) \
    if (vecs > i) \
        vec_store(out + i * VEC_LANES, vec_add(vec_load(out + i * VEC_LANES), row->v[i]));
    ROW_VECS(ADD)
#undef ADD
}

/* A sum of one row uses a weight once, so that is an operand in memory. */
static ALWAYS_INLINE void panel_fma(struct row *row, const float *weights, vec x, const unsigned vecs)
{
#define FMA(i) \
    if (vecs > i) \
        row->v[i] = vec_fma(vec_load(weights + i * VEC_LANES), x, row->v[i]);
    ROW_VECS(FMA)
#undef FMA
}

/* ---- sums in blocks ----
 *
 * A block's sum starts from zero and is added to the total: errors grow with the length
 * of a block and the number of blocks, not with k. */

static ALWAYS_INLINE size_t block_end(size_t begin, size_t k)
{
    const size_t block = simd_block(k);
    return k - begin < block ? k : begin + block;
}

/* total + weights · x of a panel alone. It has few sums to hide each other's latency, so two
 * blocks go side by side while there are two; they join the total in order. */
static ALWAYS_INLINE void panel_sum(struct row *total, const float *weights, const float *x, size_t k,
                                    const unsigned vecs)
{
    const size_t width = vecs * VEC_LANES, block = simd_block(k);
    struct row one, two;
    size_t begin = 0;
    for (; k - begin >= 2 * block; begin += 2 * block) {
        const float *first = weights + begin * width, *second = first + block * width;
        row_zero(&one, vecs);
        row_zero(&two, vecs);
        for (size_t j = begin; j < begin + block; j++, first += width, second += width) {
            panel_fma(&one, first, vec_set1(x[j]), vecs);
            KEEP_LOADS_BEHIND;
            panel_fma(&two, second, vec_set1(x[block + j]), vecs);
        }
        row_add(total, &one, vecs);
        row_add(total, &two, vecs);
    }
    for (size_t end; begin < k; begin = end) {
        const float *w = weights + begin * width;
        end = block_end(begin, k);
        row_zero(&one, vecs);
        for (size_t j = begin; j < end; j++, w += width)
            panel_fma(&one, w, vec_set1(x[j]), vecs);
        row_add(total, &one, vecs);
    }
}
