/* SPDX-License-Identifier: MIT
 *
 * Operators in the body of a Loop. What they compute is not emitted but kept as a term; products take
 * their weights along, and cutting a product into gates cuts the weights.
 */
#include "formats/onnx/onnx_loop.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

struct onnx_term *onnx_new_term(struct onnx_import *import, enum term_kind kind)
{
    struct onnx_term *term = onnx_alloc(import, 1, sizeof *term);
    const struct onnx_node *node = import->node;
    if (!term)
        return NULL;
    term->kind = kind;
    term->loop = node->kind == NODE_LOOP ? node : node->guard >= 0 ? &import->nodes[node->guard] : NULL;
    return term;
}

bool onnx_give_term(struct onnx_import *import, uint32_t slot, const struct onnx_term *term)
{
    struct onnx_value *value = onnx_output(import, slot);
    if (term && value) {
        value->kind = ONNX_TERM;
        value->as.term = term;
    }
    return term != NULL;
}

/* ---- operands ------------------------------------------------------------ */

static const struct onnx_term *term_at(const struct onnx_import *import, uint32_t i)
{
    const struct onnx_value *value = onnx_input(import, i);
    return value && value->kind == ONNX_TERM ? value->as.term : NULL;
}

static const struct onnx_const *const_at(const struct onnx_import *import, uint32_t i)
{
    const struct onnx_value *value = onnx_input(import, i);
    return value && value->kind == ONNX_CONST ? &value->as.constant : NULL;
}

/* A constant of one number, of any type. */
static bool number_at(const struct onnx_import *import, uint32_t i, double *out)
{
    const struct onnx_const *c = const_at(import, i);
    if (!c || c->count != 1 || (c->is_int && !onnx_is_plain(c->ints[0])))
        return false;
    for (uint32_t k = 0; k < c->rank; k++)
        if (!onnx_same(c->dims[k], onnx_plain(1)))
            return false;
    *out = c->is_int ? (double)c->ints[0].offset : (double)c->floats[0];
    return true;
}

static bool refuse(struct onnx_import *import)
{
    return onnx_fail(import, "is not supported so in the body of a Loop: only bodies that are LSTM, GRU or "
                     "plain RNN cells become layers");
}

/* ---- counting ------------------------------------------------------------ */

/* A size as a term or as a constant whole number. */
static bool size_at(const struct onnx_import *import, uint32_t i, struct onnx_int *out)
{
    const struct onnx_term *term = term_at(import, i);
    const struct onnx_const *c = const_at(import, i);
    double number;
    if (term && term->kind == TERM_SIZE) {
        *out = term->size;
        return true;
    }
    if (c && c->is_int && c->count == 1) {
        *out = c->ints[0];
        return true;
    }
    if (!number_at(import, i, &number) || number != floor(number) || fabs(number) > INT32_MAX)
        return false;
    *out = onnx_plain((int64_t)number);
    return true;
}

static bool give_truth(struct onnx_import *import, bool truth)
{
    struct onnx_const c = {.is_int = true};
    struct onnx_int *data = onnx_const_alloc(import, &c);
    if (!data)
        return false;
    data[0] = onnx_plain(truth);
    return onnx_give(import, 0, &c);
}

static bool do_less(struct onnx_import *import)
{
    const struct onnx_term *count = term_at(import, 0);
    struct onnx_term *out;
    struct onnx_int a, b;
    int order;
    if (size_at(import, 0, &a) && size_at(import, 1, &b) && onnx_int_compare(a, b, &order))
        return give_truth(import, order < 0);
    if (!count || count->kind != TERM_COUNT || !size_at(import, 1, &b))
        return refuse(import);
    out = onnx_new_term(import, TERM_GOES_ON);
    if (!out)
        return false;
    out->offset = count->offset;
    out->size = b;
    return onnx_give_term(import, 0, out);
}

/* Both bounds of one count: the tighter one. */
static bool do_and(struct onnx_import *import)
{
    const struct onnx_term *a = term_at(import, 0), *b = term_at(import, 1);
    double truth;
    if (a && !b && number_at(import, 1, &truth) && truth != 0)
        return onnx_give_term(import, 0, a);
    if (b && !a && number_at(import, 0, &truth) && truth != 0)
        return onnx_give_term(import, 0, b);
    if (!a || !b || a->kind != TERM_GOES_ON || b->kind != TERM_GOES_ON || !onnx_same(a->size, b->size))
        return refuse(import);
    return onnx_give_term(import, 0, a->offset > b->offset ? a : b);
}

/* ---- step and states ----------------------------------------------------- */

/* Step number COUNT of a sequence. */
static bool do_gather(struct onnx_import *import)
{
    struct onnx_value *from = onnx_input(import, 0);
    const struct onnx_term *count = term_at(import, 1);
    const struct onnx_frames *frames = &from->as.frames;
    struct onnx_term *out;
    if (from->kind != ONNX_FRAMES || !count || count->kind != TERM_COUNT || count->offset != 0 ||
        onnx_attribute_int(import, "axis", 0) != 0)
        return refuse(import);
    if (frames->n_axes < 2 || frames->axes[0].kind != AXIS_TIME || frames->axes[1].kind != AXIS_BATCH)
        return onnx_fail(import, "'%s' is no sequence with time first and the batch second", from->name);
    out = onnx_new_term(import, frames->is_mask ? TERM_MASK : TERM_X);
    if (!out)
        return false;
    out->x = from;
    out->inverted = frames->inverted;
    if (frames->n_axes == 3 && frames->axes[2].kind == AXIS_FEATURE)
        out->n = frames->axes[2].size;
    return (frames->is_mask || out->n > 0) ? onnx_give_term(import, 0, out) : refuse(import);
}

static bool do_concat(struct onnx_import *import)
{
    int64_t axis = onnx_attribute_int(import, "axis", 0);
    struct onnx_term *out = onnx_new_term(import, TERM_BOTH);
    if (!out)
        return false;
    out->a = term_at(import, 0);
    out->b = term_at(import, 1);
    if (import->node->n_inputs != 2 || !out->a || !out->b || (axis != 1 && axis != -1))
        return refuse(import);
    return onnx_give_term(import, 0, out);
}

/* ---- products ------------------------------------------------------------ */

static const float *transposed(struct onnx_import *import, const float *weights, size_t n_in, size_t n_out)
{
    float *out = onnx_alloc(import, n_in * n_out, sizeof *out);
    for (size_t o = 0; out && o < n_out; o++)
        for (size_t i = 0; i < n_in; i++)
            out[o * n_in + i] = weights[i * n_out + o];
    return out;
}

/* Of a and b in one vector the first one's size is known, or what it leaves for the other. */
static bool split_inputs(const struct onnx_term *both, uint32_t n_in, uint32_t sizes[2])
{
    sizes[0] = both->a->kind == TERM_X ? both->a->n : 0;
    sizes[1] = both->b->kind == TERM_X ? both->b->n : 0;
    if ((sizes[0] == 0) == (sizes[1] == 0) || sizes[0] + sizes[1] >= n_in)
        return false;
    sizes[sizes[0] != 0] = n_in - sizes[0] - sizes[1];
    return true;
}

static bool is_operand(const struct onnx_term *term)
{
    return term && (term->kind == TERM_X || term->kind == TERM_STATE || term->kind == TERM_MUL);
}

static bool add_product(struct onnx_import *import, struct onnx_term *out, const struct onnx_term *of,
                        const float *weights, uint32_t n_in)
{
    struct term_product *product = &out->products[out->n_products];
    bool out_first = onnx_attribute_int(import, "transB", 0) != 0;
    if (!is_operand(of) || (of->kind == TERM_X && of->n != n_in))
        return refuse(import);
    product->of = of;
    product->n_in = n_in;
    product->weights = out_first ? weights : transposed(import, weights, n_in, out->n);
    out->n_products++;
    return product->weights != NULL;
}

/* Of a Gemm too, which may have its weights as [out][in]. */
static bool do_matmul(struct onnx_import *import)
{
    bool out_first = onnx_attribute_int(import, "transB", 0) != 0;
    const struct onnx_term *of = term_at(import, 0);
    const struct onnx_const *w = const_at(import, 1);
    struct onnx_term *out = onnx_new_term(import, TERM_SUM);
    uint32_t sizes[2], n_in;
    if (!out)
        return false;
    if (!of || !w || w->is_int || w->rank != 2 || !onnx_is_plain(w->dims[0]) || !onnx_is_plain(w->dims[1]) ||
        w->dims[0].offset < 1 || w->dims[1].offset < 1 || w->dims[0].offset > MODEL_MAX_DIM ||
        w->dims[1].offset > MODEL_MAX_DIM)
        return refuse(import);
    n_in = (uint32_t)w->dims[out_first].offset;
    out->n = (uint32_t)w->dims[!out_first].offset;
    if (of->kind != TERM_BOTH)
        return add_product(import, out, of, w->floats, n_in) && onnx_give_term(import, 0, out);
    if (out_first || !split_inputs(of, n_in, sizes))
        return refuse(import);
    return add_product(import, out, of->a, w->floats, sizes[0]) &&
           add_product(import, out, of->b, w->floats + (size_t)sizes[0] * out->n, sizes[1]) &&
           onnx_give_term(import, 0, out);
}

/* `count` rows from `start` on, of sums and of what is computed of them element by element. */
static const struct onnx_term *rows(struct onnx_import *import, const struct onnx_term *term, int64_t start,
                                    int64_t count, uint32_t depth)
{
    struct onnx_term *out;
    if (!term || depth == 0 || !(out = onnx_alloc(import, 1, sizeof *out)))
        return NULL;
    *out = *term;
    if (term->kind == TERM_SUM && start >= 0 && count > 0 && start + count <= term->n) {
        out->n = (uint32_t)count;
        for (uint32_t i = 0; i < out->n_products; i++) {
            struct term_product *product = &out->products[i];
            product->weights += (size_t)start * product->n_in;
            product->bias = product->bias ? product->bias + start : NULL;
        }
        return out;
    }
    if (term->kind == TERM_ACT || term->kind == TERM_AFFINE || term->kind == TERM_CLIP) {
        out->a = rows(import, term->a, start, count, depth - 1);
        return out->a ? out : NULL;
    }
    return NULL;
}

/* The number of rows that a term is known to have; 0: not known. */
static uint32_t n_rows(const struct onnx_term *term)
{
    while (term && (term->kind == TERM_ACT || term->kind == TERM_AFFINE || term->kind == TERM_CLIP))
        term = term->a;
    return term && term->kind == TERM_SUM ? term->n : 0;
}

enum { DEPTH = 8 }; /* of activations in one another */

static bool do_split(struct onnx_import *import)
{
    const struct onnx_term *term = term_at(import, 0), *part;
    int64_t axis = onnx_attribute_int(import, "axis", 0), start = 0;
    uint32_t n = n_rows(term);
    const int64_t *sizes;
    if (n == 0 || (axis != 1 && axis != -1))
        return refuse(import);
    if (!onnx_split_sizes(import, n, &sizes))
        return false;
    for (uint32_t i = 0; i < import->node->n_outputs; start += sizes[i++]) {
        if (!onnx_output(import, i) || sizes[i] == 0)
            continue;
        part = rows(import, term, start, sizes[i], DEPTH);
        if (!part)
            return refuse(import);
        onnx_give_term(import, i, part);
    }
    return true;
}

static bool do_slice(struct onnx_import *import)
{
    struct onnx_range ranges[ONNX_MAX_AXES];
    const struct onnx_term *term = term_at(import, 0);
    uint32_t n, extent = n_rows(term);
    int64_t start = 0, count = extent;
    if (extent == 0 || !onnx_slice_ranges(import, 2, ranges, &n))
        return extent ? false : refuse(import);
    for (uint32_t i = 0; i < n; i++) {
        const struct onnx_range *r = &ranges[i];
        if (!onnx_is_plain(r->start) || !onnx_is_plain(r->end) || r->step != 1)
            return refuse(import);
        if (r->axis == 1)
            onnx_clamp_range(r->start.offset, r->end.offset, 1, extent, &start, &count);
        else if (r->start.offset != 0 || r->end.offset < INT32_MAX)
            return refuse(import);
    }
    term = rows(import, term, start, count, DEPTH);
    return term ? onnx_give_term(import, 0, term) : refuse(import);
}

/* ---- sums ---------------------------------------------------------------- */

static bool add_bias(struct onnx_import *import, const struct onnx_term *term, const struct onnx_const *c)
{
    struct onnx_term *out = onnx_new_term(import, TERM_SUM);
    struct term_product *product;
    float *bias;
    if (!out || term->kind != TERM_SUM || c->is_int || c->count != term->n || c->rank == 0 ||
        !onnx_same(c->dims[c->rank - 1], onnx_plain(term->n)))
        return out && refuse(import);
    *out = *term;
    product = &out->products[0];
    for (uint32_t i = 1; i < out->n_products; i++)
        if (product->of->kind != TERM_X)
            product = &out->products[i];
    bias = onnx_alloc(import, term->n, sizeof *bias);
    for (uint32_t i = 0; bias && i < term->n; i++)
        bias[i] = c->floats[i] + (product->bias ? product->bias[i] : 0);
    product->bias = bias;
    return bias && onnx_give_term(import, 0, out);
}

static bool give_affine(struct onnx_import *import, const struct onnx_term *of, double alpha, double beta);

static bool same_mask(const struct onnx_term *a, const struct onnx_term *b, bool opposite)
{
    return a && b && a->kind == TERM_MASK && b->kind == TERM_MASK && a->x == b->x &&
           (a->inverted != b->inverted) == opposite;
}

/* m ⊗ a + (1 - m) ⊗ b, as tf2onnx writes a choice. */
static const struct onnx_term *as_choice(struct onnx_import *import, const struct onnx_term *a,
                                         const struct onnx_term *b)
{
    const struct onnx_term *yes = a, *no = b;
    struct onnx_term *out;
    if (a->kind != TERM_MUL || b->kind != TERM_MUL || !same_mask(a->a, b->a, true))
        return NULL;
    if (a->a->inverted) {
        yes = b;
        no = a;
    }
    out = onnx_new_term(import, TERM_CHOICE);
    if (out) {
        out->x = yes->a->x;
        out->a = yes->b;
        out->b = no->b;
    }
    return out;
}

/* A product with x and one with the state as one sum; NULL: they are not that, or memory is out. */
static const struct onnx_term *merged(struct onnx_import *import, const struct onnx_term *a,
                                      const struct onnx_term *b)
{
    struct onnx_term *out;
    if (a->kind != TERM_SUM || b->kind != TERM_SUM || a->n != b->n || a->n_products != 1 ||
        b->n_products != 1 || a->products[0].of == b->products[0].of)
        return NULL;
    out = onnx_new_term(import, TERM_SUM);
    if (!out)
        return NULL;
    out->n = a->n;
    out->n_products = 2;
    out->products[0] = a->products[0];
    out->products[1] = b->products[0];
    return out;
}

/* What a number has been added to. */
static const struct onnx_term *without_shift(const struct onnx_term *term, float *shift)
{
    if (term->kind != TERM_AFFINE || term->alpha != 1)
        return term;
    *shift += term->beta;
    return term->a;
}

static bool add_terms(struct onnx_import *import, const struct onnx_term *a, const struct onnx_term *b)
{
    const struct onnx_term *choice = as_choice(import, a, b), *sum;
    struct onnx_term *out;
    float shift = 0;
    if (choice)
        return onnx_give_term(import, 0, choice);
    sum = merged(import, without_shift(a, &shift), without_shift(b, &shift));
    if (sum)
        return shift != 0 ? give_affine(import, sum, 1, (double)shift) : onnx_give_term(import, 0, sum);
    out = onnx_new_term(import, TERM_ADD);
    if (!out)
        return false;
    out->a = a;
    out->b = b;
    return onnx_give_term(import, 0, out);
}

/* What is added may be a bias or the product with x. */
static bool do_gemm(struct onnx_import *import)
{
    const struct onnx_const *bias = const_at(import, 2);
    const struct onnx_term *other = term_at(import, 2), *product;
    if (onnx_attribute_int(import, "transA", 0) != 0 || onnx_attribute_float(import, "alpha", 1) != 1 ||
        onnx_attribute_float(import, "beta", 1) != 1 || (onnx_input(import, 2) && !bias && !other) ||
        !onnx_output(import, 0))
        return refuse(import);
    if (!do_matmul(import))
        return false;
    product = onnx_output(import, 0)->as.term;
    return other ? add_terms(import, other, product) : !bias || add_bias(import, product, bias);
}

static bool do_add(struct onnx_import *import)
{
    const struct onnx_term *a = term_at(import, 0), *b = term_at(import, 1), *term = a ? a : b;
    const struct onnx_const *c = const_at(import, a ? 1 : 0);
    double number;
    if (a && b)
        return add_terms(import, a, b);
    if (!c)
        return refuse(import);
    if (!number_at(import, a ? 1 : 0, &number) || (term->kind == TERM_SUM && term->n == 1 && c->rank > 0))
        return add_bias(import, term, c);
    if (term->kind == TERM_COUNT && c->is_int && fabs(number) < INT32_MAX) {
        struct onnx_term *out = onnx_new_term(import, TERM_COUNT);
        if (!out || __builtin_add_overflow(term->offset, (int64_t)number, &out->offset))
            return out && refuse(import);
        return onnx_give_term(import, 0, out);
    }
    return give_affine(import, term, 1, number);
}

/* ---- element by element -------------------------------------------------- */

static bool is_function(const struct onnx_term *term)
{
    return term && (term->kind == TERM_SUM || term->kind == TERM_ACT || term->kind == TERM_AFFINE ||
                    term->kind == TERM_CLIP || term->kind == TERM_ADD || term->kind == TERM_MUL ||
                    term->kind == TERM_STATE);
}

static bool give_clip(struct onnx_import *import, const struct onnx_term *of, double low, double high);

static bool give_affine(struct onnx_import *import, const struct onnx_term *of, double alpha, double beta)
{
    struct onnx_term *out = onnx_new_term(import, TERM_AFFINE);
    if (!out || !is_function(of))
        return out && refuse(import);
    /* Scaling what has been clipped is clipping what has been scaled. */
    if (of->kind == TERM_CLIP && alpha > 0 && beta == 0) {
        *out = *of->a;
        if (of->a->kind != TERM_AFFINE) {
            *out = *of;
            out->kind = TERM_AFFINE;
            out->a = of->a;
            out->alpha = 1;
            out->beta = 0;
        }
        out->alpha = (float)(out->alpha * alpha);
        out->beta = (float)(out->beta * alpha);
        return give_clip(import, out, of->alpha * alpha, of->beta * alpha);
    }
    out->a = of;
    out->alpha = (float)alpha;
    out->beta = (float)beta;
    if (of->kind == TERM_AFFINE) {
        out->a = of->a;
        out->alpha = (float)(alpha * of->alpha);
        out->beta = (float)(alpha * of->beta + beta);
    }
    return onnx_give_term(import, 0, out);
}

/* Between 0 and 1 (but for the rounding of 1/6 · 6) it is a hard sigmoid. */
static bool give_clip(struct onnx_import *import, const struct onnx_term *of, double low, double high)
{
    struct onnx_term *out = onnx_new_term(import, TERM_CLIP);
    if (!out || !is_function(of))
        return out && refuse(import);
    out->a = of;
    out->alpha = (float)low;
    out->beta = (float)high;
    if (of->kind == TERM_CLIP) {
        out->a = of->a;
        out->alpha = fmaxf(out->alpha, of->alpha);
        out->beta = fminf(out->beta, of->beta);
    } else if (of->kind == TERM_ACT && of->activation == MODEL_ACT_RELU) {
        out->a = of->a;
        out->alpha = fmaxf(out->alpha, 0);
    }
    if (out->alpha == 0 && fabsf(out->beta - 1) < 1e-6f && out->a->kind == TERM_AFFINE) {
        const struct onnx_term *affine = out->a;
        out->kind = TERM_ACT;
        out->activation = MODEL_ACT_HARD_SIGMOID;
        out->a = affine->a;
        out->alpha = affine->alpha;
        out->beta = affine->beta;
    }
    return onnx_give_term(import, 0, out);
}

static bool do_mul(struct onnx_import *import)
{
    const struct onnx_term *a = term_at(import, 0), *b = term_at(import, 1);
    struct onnx_term *out;
    double number;
    if (!a || !b)
        return number_at(import, a ? 1 : 0, &number) ? give_affine(import, a ? a : b, number, 0)
                                                     : refuse(import);
    out = onnx_new_term(import, TERM_MUL);
    if (!out)
        return false;
    out->a = b->kind == TERM_MASK ? b : a;
    out->b = b->kind == TERM_MASK ? a : b;
    return onnx_give_term(import, 0, out);
}

static bool do_sub(struct onnx_import *import)
{
    const struct onnx_term *a = term_at(import, 0), *b = term_at(import, 1);
    double number;
    if (a && !b && number_at(import, 1, &number))
        return give_affine(import, a, 1, -number);
    if (b && !a && number_at(import, 0, &number))
        return give_affine(import, b, -1, number);
    return refuse(import);
}

static bool do_div(struct onnx_import *import)
{
    double number;
    if (!term_at(import, 0) || !number_at(import, 1, &number) || number == 0)
        return refuse(import);
    return give_affine(import, term_at(import, 0), 1 / number, 0);
}

static bool do_min(struct onnx_import *import)
{
    uint32_t k = term_at(import, 0) ? 1 : 0;
    double number;
    if (import->node->n_inputs != 2 || !number_at(import, k, &number))
        return refuse(import);
    return give_clip(import, term_at(import, 1 - k), -INFINITY, number);
}

static bool do_max(struct onnx_import *import)
{
    uint32_t k = term_at(import, 0) ? 1 : 0;
    double number;
    if (import->node->n_inputs != 2 || !number_at(import, k, &number))
        return refuse(import);
    return give_clip(import, term_at(import, 1 - k), number, INFINITY);
}

static bool do_clip(struct onnx_import *import)
{
    double low = (double)onnx_attribute_float(import, "min", -INFINITY);
    double high = (double)onnx_attribute_float(import, "max", INFINITY);
    if ((onnx_input(import, 1) && !number_at(import, 1, &low)) ||
        (onnx_input(import, 2) && !number_at(import, 2, &high)))
        return refuse(import);
    return give_clip(import, term_at(import, 0), low, high);
}

static bool do_where(struct onnx_import *import)
{
    const struct onnx_term *mask = term_at(import, 0), *a = term_at(import, 1), *b = term_at(import, 2);
    struct onnx_term *out = onnx_new_term(import, TERM_CHOICE);
    if (!out)
        return false;
    if (!mask || mask->kind != TERM_MASK || !a || !b)
        return refuse(import);
    out->x = mask->x;
    out->a = mask->inverted ? b : a;
    out->b = mask->inverted ? a : b;
    return onnx_give_term(import, 0, out);
}

static bool do_not(struct onnx_import *import)
{
    const struct onnx_term *mask = term_at(import, 0);
    struct onnx_term *out = onnx_new_term(import, TERM_MASK);
    if (!out || !mask || mask->kind != TERM_MASK)
        return out && refuse(import);
    *out = *mask;
    out->inverted = !mask->inverted;
    return onnx_give_term(import, 0, out);
}

static bool do_same(struct onnx_import *import)
{
    return term_at(import, 0) ? onnx_give_term(import, 0, term_at(import, 0)) : refuse(import);
}

/* ---- activations --------------------------------------------------------- */

static const struct {
    const char *op;
    uint32_t activation;
    float alpha, beta;
} functions[] = {
    {"Sigmoid", MODEL_ACT_SIGMOID, 0, 0}, {"Tanh", MODEL_ACT_TANH, 0, 0}, {"Relu", MODEL_ACT_RELU, 0, 0},
    {"Elu", MODEL_ACT_ELU, 1, 0}, {"LeakyRelu", MODEL_ACT_LEAKY_RELU, 0.01f, 0},
    {"Softsign", MODEL_ACT_SOFTSIGN, 0, 0}, {"Softplus", MODEL_ACT_SOFTPLUS, 0, 0},
    {"HardSigmoid", MODEL_ACT_HARD_SIGMOID, 0.2f, 0.5f},
};

static bool do_activation(struct onnx_import *import)
{
    struct onnx_term *out = onnx_new_term(import, TERM_ACT);
    const struct onnx_term *of = term_at(import, 0);
    size_t i = 0;
    if (!out || !of || !is_function(of))
        return out && refuse(import);
    while (strcmp(functions[i].op, import->node->proto->op_type) != 0)
        i++;
    out->a = of;
    out->activation = functions[i].activation;
    out->alpha = functions[i].alpha != 0 ? onnx_attribute_float(import, "alpha", functions[i].alpha) : 0;
    out->beta = functions[i].beta != 0 ? onnx_attribute_float(import, "beta", functions[i].beta) : 0;
    return onnx_give_term(import, 0, out);
}

/* ---- any operator -------------------------------------------------------- */

static const struct {
    const char *op;
    onnx_handler *handle;
} rows_of_ops[] = {
    {"Less", do_less}, {"And", do_and}, {"Gather", do_gather}, {"Concat", do_concat}, {"MatMul", do_matmul},
    {"Gemm", do_gemm}, {"Split", do_split}, {"Slice", do_slice}, {"Add", do_add}, {"Sub", do_sub},
    {"Mul", do_mul},
    {"Div", do_div}, {"Min", do_min}, {"Max", do_max}, {"Clip", do_clip}, {"Where", do_where},
    {"Not", do_not}, {"Identity", do_same}, {"Cast", do_same}, {"Sigmoid", do_activation},
    {"Tanh", do_activation}, {"Relu", do_activation}, {"Elu", do_activation}, {"LeakyRelu", do_activation},
    {"Softsign", do_activation}, {"Softplus", do_activation}, {"HardSigmoid", do_activation},
};

/* 0.0 < 7.0: floats are compared on behalf of loops alone. */
static bool is_float_limit(const struct onnx_import *import)
{
    const struct onnx_const *a = const_at(import, 0), *b = const_at(import, 1);
    return onnx_is_op(import->node, "Less") && a && b && !a->is_int && !b->is_int;
}

bool onnx_lay_limit(struct onnx_import *import, bool *taken_out)
{
    const struct onnx_const *c = const_at(import, 0);
    int64_t to = onnx_attribute_int(import, "to", 0);
    struct onnx_term *term;
    *taken_out = import->has_loops;
    if (import->has_loops && is_float_limit(import))
        return do_less(import);
    *taken_out = import->has_loops && onnx_is_op(import->node, "Cast") && c && c->is_int && c->count == 1 &&
                 !onnx_is_plain(c->ints[0]) && (to == ONNX_FLOAT || to == ONNX_DOUBLE);
    if (!*taken_out)
        return true;
    term = onnx_new_term(import, TERM_SIZE);
    if (!term)
        return false;
    term->size = c->ints[0];
    term->loop = NULL;
    return onnx_give_term(import, 0, term);
}

bool onnx_lay_term(struct onnx_import *import)
{
    const struct onnx_node *node = import->node;
    const struct onnx_node *loop = node->guard >= 0 ? &import->nodes[node->guard] : NULL;
    for (uint32_t i = 0; i < node->n_inputs; i++) {
        const struct onnx_term *term = term_at(import, i);
        if (term && term->loop && term->loop != loop)
            return onnx_fail(import, "a Loop reads what another Loop around it computes in each round, which "
                             "is not supported");
        if (term && term->kind == TERM_SIZE && !onnx_is_op(node, "Less") && !onnx_is_op(node, "Cast") &&
            !onnx_is_op(node, "Identity"))
            return onnx_fail(import, "a size of the batch or the sequence becomes a number of the "
                             "computation, which is not supported");
    }
    for (size_t i = 0; i < sizeof rows_of_ops / sizeof *rows_of_ops; i++)
        if (onnx_is_op(node, rows_of_ops[i].op))
            return rows_of_ops[i].handle(import);
    return refuse(import);
}
