/* SPDX-License-Identifier: MIT
 *
 * Operators that compute: products with weights, sums, activations, normalisation.
 */
#include "formats/onnx/onnx_internal.h"

#include <float.h>
#include <inttypes.h>
#include <math.h>
#include <string.h>

static bool result(struct onnx_import *import, const struct onnx_frames *frames)
{
    onnx_set_frames(onnx_output(import, 0), frames);
    return true;
}

/* ---- products ------------------------------------------------------------ */

/* Input `i` as constant floats of `rank` dimensions of known size. */
static const struct onnx_const *weights_of(struct onnx_import *import, uint32_t i, uint32_t rank)
{
    const struct onnx_value *value = onnx_input(import, i);
    const struct onnx_const *c = value ? &value->as.constant : NULL;
    bool good = value && value->kind == ONNX_CONST && !c->is_int && c->rank == rank && c->count > 0;
    for (uint32_t k = 0; good && k < rank; k++)
        good = onnx_is_plain(c->dims[k]);
    if (!good) {
        onnx_fail(import, "input %u ('%s') is not a constant of %u dimensions; a product of computed "
                  "values is not supported", i, value ? value->name : "", rank);
        return NULL;
    }
    return c;
}

/* [O][I] from [I][O] (or [O][I] if `transposed`), times `factor`. */
static const float *dense_weights(struct onnx_import *import, const struct onnx_const *c,
                                  bool transposed, float factor)
{
    size_t rows = (size_t)c->dims[0].offset, columns = (size_t)c->dims[1].offset;
    float *out = onnx_alloc(import, c->count, sizeof *out);
    for (size_t r = 0; out && r < rows; r++)
        for (size_t k = 0; k < columns; k++)
            out[transposed ? r * columns + k : k * rows + r] = factor * c->floats[r * columns + k];
    return out;
}

static bool check_product(struct onnx_import *import, const struct onnx_frames *in, int64_t n_in)
{
    const struct onnx_axis *last = &in->axes[in->n_axes - 1];
    if (in->n_axes == 0 || last->kind != AXIS_FEATURE)
        return onnx_fail(import, "multiplies along the batch or the sequence, which is not supported");
    if (last->size != n_in)
        return onnx_fail(import, "its weights take %" PRId64 " features, '%s' has %u", n_in,
                         onnx_input(import, 0)->name, last->size);
    return true;
}

bool onnx_lay_matmul(struct onnx_import *import)
{
    const struct onnx_value *from = onnx_input(import, 0);
    const struct onnx_const *c;
    struct onnx_frames out;
    if (!from || from->kind != ONNX_FRAMES)
        return onnx_fail(import, "has its constant first; only computed values times weights are "
                         "supported");
    c = weights_of(import, 1, 2);
    if (!c)
        return false;
    out = from->as.frames;
    if (!check_product(import, &out, c->dims[0].offset))
        return false;
    out.weights = dense_weights(import, c, false, 1);
    out.n_out = (uint32_t)c->dims[1].offset;
    return out.weights && result(import, &out);
}

/* C of a Gemm as [O]. */
static bool gemm_bias(struct onnx_import *import, uint32_t n_out, const float **bias_out)
{
    const struct onnx_value *value = onnx_input(import, 2);
    float beta = onnx_attribute_float(import, "beta", 1), *bias;
    const struct onnx_const *c;
    *bias_out = NULL;
    if (!value)
        return true;
    c = &value->as.constant;
    if (value->kind != ONNX_CONST || c->is_int || c->rank > 2 ||
        (c->rank == 2 && !onnx_same(c->dims[0], onnx_plain(1))) ||
        (c->count != 1 && c->count != n_out))
        return onnx_fail(import, "C ('%s') is not a constant of 1 or %u numbers", value->name, n_out);
    bias = onnx_alloc(import, n_out, sizeof *bias);
    for (uint32_t i = 0; bias && i < n_out; i++)
        bias[i] = beta * c->floats[c->count == 1 ? 0 : i];
    *bias_out = bias;
    return bias != NULL;
}

bool onnx_lay_gemm(struct onnx_import *import)
{
    const struct onnx_value *from = onnx_input(import, 0);
    bool transposed = onnx_attribute_int(import, "transB", 0) != 0;
    const struct onnx_const *c;
    const float *bias;
    struct onnx_frames out;
    if (!from || from->kind != ONNX_FRAMES || onnx_attribute_int(import, "transA", 0) != 0)
        return onnx_fail(import, "transA = 1 or a constant as A: not supported");
    c = weights_of(import, 1, 2);
    if (!c)
        return false;
    out = from->as.frames;
    if (out.n_axes != 2)
        return onnx_fail(import, "A ('%s') has %u dimensions, not 2", from->name, out.n_axes);
    if (!check_product(import, &out, c->dims[transposed].offset))
        return false;
    out.n_out = (uint32_t)c->dims[!transposed].offset;
    out.weights = dense_weights(import, c, transposed, onnx_attribute_float(import, "alpha", 1));
    return out.weights && gemm_bias(import, out.n_out, &bias) && onnx_settle(import, &out, bias) &&
           result(import, &out);
}

/* ---- sums and products of two -------------------------------------------- */

/* How a constant operand meets the frames: one number for each element of the frame, or
 * for each of the last feature axis. */
struct spread {
    uint32_t n;
    float *numbers;
};

/* Let the frames have as many axes as the constant. */
static bool grow_axes(struct onnx_import *import, struct onnx_frames *frames, uint32_t rank)
{
    uint32_t more = rank > frames->n_axes ? rank - frames->n_axes : 0;
    if (rank > ONNX_MAX_AXES)
        return onnx_fail(import, "has too many dimensions");
    memmove(frames->axes + more, frames->axes, frames->n_axes * sizeof *frames->axes);
    for (uint32_t i = 0; i < more; i++)
        frames->axes[i] = onnx_feature(1);
    frames->n_axes += more;
    return true;
}

/* The constant's stride along each axis of the frames; 0 where it is broadcast. */
static bool constant_strides(struct onnx_import *import, const struct onnx_frames *frames,
                             const struct onnx_value *value, size_t *strides)
{
    const struct onnx_const *c = &value->as.constant;
    size_t stride = 1;
    for (uint32_t i = frames->n_axes, k = c->rank; i-- > 0;) {
        const struct onnx_axis *axis = &frames->axes[i];
        size_t extent = k > 0 ? onnx_extent(c, k - 1) : 1;
        strides[i] = extent == 1 ? 0 : stride;
        if (extent != 1 && (axis->kind != AXIS_FEATURE || axis->size != extent))
            return onnx_fail(import, "the constant '%s' has %zu numbers along axis %u, where the "
                             "computed value has %s", value->name, extent, i,
                             axis->kind == AXIS_FEATURE ? "another size" : "the batch or the sequence");
        stride *= extent;
        k -= k > 0;
    }
    return true;
}

/* The feature axes alone, in the order that they have in memory, and their strides. */
static void sort_axes(struct onnx_frames *frames, size_t *strides)
{
    uint32_t order[ONNX_MAX_AXES], n = onnx_memory_order(frames, order);
    struct onnx_frames sorted = {.n_axes = n};
    size_t sorted_strides[ONNX_MAX_AXES];
    for (uint32_t i = 0; i < n; i++) {
        sorted.axes[i] = frames->axes[order[i]];
        sorted_strides[i] = strides[order[i]];
    }
    *frames = sorted;
    memcpy(strides, sorted_strides, n * sizeof *strides);
}

/* One number for each element of the frame; of the last non-trivial axis if all others
 * are broadcast. */
static bool spread_constant(struct onnx_import *import, const struct onnx_frames *of,
                            const struct onnx_value *value, struct spread *out)
{
    struct onnx_frames sorted = *of;
    const struct onnx_frames *frames = &sorted;
    size_t strides[ONNX_MAX_AXES];
    uint32_t begin;
    if (!constant_strides(import, of, value, strides))
        return false;
    sort_axes(&sorted, strides);
    begin = sorted.n_axes;
    while (begin > 0 && (frames->axes[begin - 1].kind != AXIS_FEATURE || frames->axes[begin - 1].size == 1))
        begin--;
    begin -= begin > 0;
    for (uint32_t i = 0; i < begin; i++)
        if (strides[i]) {
            begin = i;
            break;
        }
    if (!onnx_features(import, frames, begin, frames->n_axes, &out->n))
        return false;
    out->numbers = onnx_alloc(import, out->n, sizeof *out->numbers);
    for (uint32_t k = 0; out->numbers && k < out->n; k++) {
        size_t at = 0, rest = k;
        for (uint32_t i = frames->n_axes; i-- > begin;) {
            if (frames->axes[i].kind != AXIS_FEATURE)
                continue;
            at += rest % frames->axes[i].size * strides[i];
            rest /= frames->axes[i].size;
        }
        out->numbers[k] = value->as.constant.floats[at];
    }
    return out->numbers != NULL;
}

static float *filled(struct onnx_import *import, uint32_t n, float number)
{
    float *out = onnx_alloc(import, n, sizeof *out);
    for (uint32_t i = 0; out && i < n; i++)
        out[i] = number;
    return out;
}

static bool negate(struct onnx_import *import, struct onnx_frames *frames)
{
    float *minus;
    uint32_t n;
    return onnx_features(import, frames, 0, frames->n_axes, &n) && (minus = filled(import, n, -1)) &&
           onnx_emit_scale(import, frames, n, minus, NULL);
}

/* x op constant, or constant op x if `swapped`. */
static bool with_constant(struct onnx_import *import, struct onnx_frames *frames,
                          const struct onnx_value *value, bool swapped)
{
    char op = import->node->proto->op_type[0]; /* Add, Sub, Mul, Div */
    struct spread c;
    float *scale = NULL;
    if (value->as.constant.is_int || value->as.constant.count == 0)
        return onnx_fail(import, "computes with whole numbers at run time, which is not supported");
    if (!grow_axes(import, frames, value->as.constant.rank) ||
        !spread_constant(import, frames, value, &c))
        return false;
    if (op == 'D' && swapped)
        return onnx_fail(import, "divides by computed values, which is not supported");
    for (uint32_t i = 0; i < c.n; i++) {
        if (op == 'D')
            c.numbers[i] = 1 / c.numbers[i];
        else if (op == 'S' && !swapped)
            c.numbers[i] = -c.numbers[i];
    }
    if (op == 'S' && swapped && !(scale = filled(import, c.n, -1)))
        return false;
    return op == 'M' || op == 'D' ? onnx_emit_scale(import, frames, c.n, c.numbers, NULL)
                                  : onnx_emit_scale(import, frames, c.n, scale, c.numbers);
}

static bool same_axes(const struct onnx_frames *a, const struct onnx_frames *b)
{
    if (a->n_axes != b->n_axes)
        return false;
    for (uint32_t i = 0; i < a->n_axes; i++)
        if (a->axes[i].kind != b->axes[i].kind || a->axes[i].size != b->axes[i].size)
            return false;
    return true;
}

/* Only features of one number that are spread over all of the other's. */
static bool is_one_number(const struct onnx_frames *a, const struct onnx_frames *b)
{
    if (a->n_axes != b->n_axes)
        return false;
    for (uint32_t i = 0; i < a->n_axes; i++)
        if (a->axes[i].kind != b->axes[i].kind ||
            (a->axes[i].kind == AXIS_FEATURE && a->axes[i].size != 1))
            return false;
    return true;
}

static bool flat(struct onnx_import *import, struct onnx_frames *frames)
{
    uint32_t n;
    return onnx_features(import, frames, 0, frames->n_axes, &n) && onnx_shaped(import, frames, 1, &n);
}

/* `op` is the first letter of Add, Sub, Mul or Div. */
static bool of_two(struct onnx_import *import, char op, struct onnx_frames a, struct onnx_frames b)
{
    struct onnx_layer *layer;
    struct onnx_frames swap;
    if (op == 'D' || a.is_int || b.is_int)
        return onnx_fail(import, "divides by computed values or computes with tokens, which is not "
                         "supported");
    if (a.once != b.once)
        return onnx_fail(import, "joins a value of every step with one of the whole sequence, which is "
                         "not supported");
    if (!onnx_keep_step(import, &a, &b) || (op == 'S' && !negate(import, &b)))
        return false;
    if (!grow_axes(import, &a, b.n_axes) || !grow_axes(import, &b, a.n_axes))
        return false;
    if (!same_axes(&a, &b) && is_one_number(&a, &b)) {
        swap = a;
        a = b;
        b = swap;
    }
    if (same_axes(&a, &b) && !onnx_same_order(import, &a, &b))
        return false;
    if (!same_axes(&a, &b) && !is_one_number(&b, &a))
        return onnx_fail(import, "'%s' and '%s' do not have the same shape (or one number in one of "
                         "them), which is not supported", onnx_input(import, 0)->name,
                         onnx_input(import, 1)->name);
    if (!flat(import, &a) || !flat(import, &b))
        return false;
    layer = onnx_layer_on(import, op == 'M' ? MODEL_MUL : MODEL_ADD, a.value);
    if (!layer)
        return false;
    layer->spec.n_inputs = 2;
    layer->spec.inputs[1] = b.value;
    a.value = onnx_layer_add(import, layer);
    return a.value != MODEL_NONE && result(import, &a);
}

/* MatMul and the Add of its bias are one dense layer. */
static bool joins_product(const struct onnx_import *import, const struct onnx_value *product,
                          const struct onnx_value *bias)
{
    const struct onnx_const *c = &bias->as.constant;
    return strcmp(import->node->proto->op_type, "Add") == 0 && product->as.frames.weights &&
           product->n_uses == 1 && !c->is_int && c->count == product->as.frames.n_out &&
           c->rank >= 1 && c->rank <= product->as.frames.n_axes &&
           onnx_extent(c, c->rank - 1) == product->as.frames.n_out;
}

bool onnx_lay_binary(struct onnx_import *import)
{
    struct onnx_value *a = onnx_input(import, 0), *b = onnx_input(import, 1), *other;
    struct onnx_frames frames;
    if (!a || !b)
        return onnx_fail(import, "needs two inputs");
    other = a->kind == ONNX_CONST ? a : b->kind == ONNX_CONST ? b : NULL;
    if (other && joins_product(import, other == a ? b : a, other)) {
        frames = (other == a ? b : a)->as.frames;
        return onnx_settle(import, &frames, other->as.constant.floats) && result(import, &frames);
    }
    if ((a->kind == ONNX_FRAMES && !onnx_settle(import, &a->as.frames, NULL)) ||
        (b->kind == ONNX_FRAMES && !onnx_settle(import, &b->as.frames, NULL)))
        return false;
    if (!other)
        return of_two(import, import->node->proto->op_type[0], a->as.frames, b->as.frames);
    frames = (other == a ? b : a)->as.frames;
    if (frames.is_int)
        return onnx_fail(import, "computes with tokens, which is not supported");
    return with_constant(import, &frames, other, other == a) && result(import, &frames);
}

bool onnx_lay_neg(struct onnx_import *import)
{
    struct onnx_frames out = onnx_input(import, 0)->as.frames;
    return negate(import, &out) && result(import, &out);
}

/* ---- activations --------------------------------------------------------- */

struct activation_row {
    const char *op;
    uint32_t activation;
    float alpha, beta; /* the operator's defaults */
};

static const struct activation_row activation_rows[] = {
    {"Sigmoid", MODEL_ACT_SIGMOID, 0, 0},
    {"Tanh", MODEL_ACT_TANH, 0, 0},
    {"Relu", MODEL_ACT_RELU, 0, 0},
    {"LeakyRelu", MODEL_ACT_LEAKY_RELU, 0.01f, 0},
    {"ThresholdedRelu", MODEL_ACT_THRESHOLDED_RELU, 1, 0},
    {"HardSigmoid", MODEL_ACT_HARD_SIGMOID, 0.2f, 0.5f},
    {"Elu", MODEL_ACT_ELU, 1, 0},
    {"Softsign", MODEL_ACT_SOFTSIGN, 0, 0},
    {"Softplus", MODEL_ACT_SOFTPLUS, 0, 0},
};

bool onnx_lay_activation(struct onnx_import *import)
{
    const struct activation_row *row = activation_rows;
    struct onnx_frames out = onnx_input(import, 0)->as.frames;
    float alpha, beta;
    while (strcmp(row->op, import->node->proto->op_type) != 0)
        row++;
    alpha = onnx_attribute_float(import, "alpha", row->alpha);
    beta = onnx_attribute_float(import, "beta", row->beta);
    if (!isfinite(alpha) || !isfinite(beta))
        return onnx_fail(import, "alpha or beta is not a finite number");
    return onnx_emit_activation(import, &out, row->activation, alpha, beta) && result(import, &out);
}

/* x · hard_sigmoid(x) with 1/6 and 1/2. */
bool onnx_lay_hard_swish(struct onnx_import *import)
{
    struct onnx_frames in = onnx_input(import, 0)->as.frames, gate;
    if (!flat(import, &in))
        return false;
    gate = in;
    return onnx_emit_activation(import, &gate, MODEL_ACT_HARD_SIGMOID, 1 / 6.0f, 0.5f) &&
           of_two(import, 'M', in, gate);
}

bool onnx_last_features(struct onnx_import *import, struct onnx_frames *frames, int64_t axis,
                          bool only_one, uint32_t *n_out)
{
    uint32_t at = onnx_axis_index(axis, frames->n_axes), end = only_one ? at + 1 : frames->n_axes, n;
    uint32_t axes[ONNX_MAX_AXES], n_axes = 0;
    if (at == UINT32_MAX)
        return onnx_fail(import, "axis = %" PRId64 " is out of range", axis);
    for (uint32_t i = at; i < end; i++)
        if (frames->axes[i].kind != AXIS_FEATURE)
            return onnx_fail(import, "axis = %" PRId64 " is the batch or the sequence, which is not "
                             "supported", axis);
    if (!onnx_features(import, frames, at, end, n_out))
        return false;
    for (uint32_t i = at; i < end; i++)
        axes[n_axes++] = i;
    if (!onnx_bring_last(import, frames, n_axes, axes) ||
        !onnx_features(import, frames, 0, frames->n_axes, &n))
        return false;
    n /= *n_out;
    return n == 1 ? onnx_shaped(import, frames, 1, n_out)
                  : onnx_shaped(import, frames, 2, (const uint32_t[2]){n, *n_out});
}

/* Before opset 13 a Softmax takes all axes from `axis` on as one. */
bool onnx_lay_softmax(struct onnx_import *import)
{
    struct onnx_frames out = onnx_input(import, 0)->as.frames;
    bool old = import->opset < 13;
    struct onnx_layer *layer;
    uint32_t n;
    if (!onnx_last_features(import, &out, onnx_attribute_int(import, "axis", old ? 1 : -1), !old, &n))
        return false;
    layer = onnx_layer_on(import, MODEL_SOFTMAX, out.value);
    if (!layer)
        return false;
    out.value = onnx_layer_add(import, layer);
    return out.value != MODEL_NONE && result(import, &out);
}

/* ---- normalisation ------------------------------------------------------- */

bool onnx_vector(struct onnx_import *import, uint32_t i, uint32_t n, const float **out)
{
    const struct onnx_value *value = onnx_input(import, i);
    *out = NULL;
    if (!value)
        return true;
    if (value->kind != ONNX_CONST || value->as.constant.is_int || value->as.constant.count != n)
        return onnx_fail(import, "input %u ('%s') is not a constant of %u numbers", i, value->name, n);
    *out = value->as.constant.floats;
    return true;
}

/* With stored statistics it is a scale and a shift for each channel, axis 1. */
bool onnx_lay_batch_norm(struct onnx_import *import)
{
    struct onnx_frames out = onnx_input(import, 0)->as.frames;
    float epsilon = onnx_attribute_float(import, "epsilon", 1e-5f), *scale, *shift;
    const float *given[4]; /* scale, B, mean, var */
    uint32_t n;
    if (onnx_attribute_int(import, "training_mode", 0) != 0)
        return onnx_fail(import, "training_mode = 1 is not supported");
    if (out.n_axes < 2 || !onnx_last_features(import, &out, 1, true, &n))
        return out.n_axes < 2 ? onnx_fail(import, "needs at least 2 dimensions") : false;
    for (uint32_t i = 0; i < 4; i++) {
        if (!onnx_vector(import, i + 1, n, &given[i]))
            return false;
        if (!given[i])
            return onnx_fail(import, "input %u is missing", i + 1);
    }
    scale = onnx_alloc(import, n, sizeof *scale);
    shift = onnx_alloc(import, n, sizeof *shift);
    if (!scale || !shift)
        return false;
    for (uint32_t i = 0; i < n; i++) {
        double factor = given[0][i] / sqrt((double)given[3][i] + (double)epsilon);
        scale[i] = (float)factor;
        shift[i] = (float)(given[1][i] - factor * given[2][i]);
    }
    return onnx_emit_scale(import, &out, n, scale, shift) && result(import, &out);
}
