/* SPDX-License-Identifier: MIT
 *
 * What importers share: clean f32 numbers, cells in canonical form, names.
 */
#include "formats/import_common.h"

#include <ctype.h>
#include <float.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void import_note(const struct import_source *source, const char *format, ...)
{
    char text[512];
    va_list args;
    if (!source->note)
        return;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    source->note(source->note_context, text);
}

/* ---- numbers ------------------------------------------------------------- */

static uint64_t load_le(const uint8_t *bytes, unsigned n)
{
    uint64_t value = 0;
    for (unsigned i = 0; i < n; i++)
        value |= (uint64_t)bytes[i] << (8 * i);
    return value;
}

static float float_of_bits(uint32_t bits)
{
    float value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

static double number_f32(const uint8_t *bytes)
{
    return float_of_bits((uint32_t)load_le(bytes, 4));
}

static double number_f64(const uint8_t *bytes)
{
    uint64_t bits = load_le(bytes, 8);
    double value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

static double number_bf16(const uint8_t *bytes)
{
    return float_of_bits((uint32_t)load_le(bytes, 2) << 16);
}

/* 1 sign, 5 exponent (bias 15) and 10 fraction bits; every value is a normal f32. */
static double number_f16(const uint8_t *bytes)
{
    unsigned bits = (unsigned)load_le(bytes, 2);
    int exponent = (int)(bits >> 10 & 31);
    double fraction = bits & 1023, size;
    if (exponent == 31)
        size = fraction != 0 ? (double)NAN : (double)INFINITY;
    else if (exponent == 0)
        size = ldexp(fraction, -24);
    else
        size = ldexp(1024 + fraction, exponent - 25);
    return bits >> 15 ? -size : size;
}

struct dtype_row {
    unsigned n_bytes;
    double (*number)(const uint8_t *bytes);
};

static const struct dtype_row dtype_rows[] = {
    [IMPORT_F32] = {4, number_f32},
    [IMPORT_F64] = {8, number_f64},
    [IMPORT_F16] = {2, number_f16},
    [IMPORT_BF16] = {2, number_bf16},
};

static void note_denormals(const struct import_source *source, const char *name, size_t count)
{
    if (count)
        import_note(source, "tensor '%s': %zu number%s too small for a normal f32 became 0", name,
                    count, count == 1 ? "" : "s");
}

bool import_numbers(const struct import_source *source, const char *name,
                    enum import_dtype dtype, const void *bytes, size_t count, float *out,
                    struct import_error *error)
{
    const struct dtype_row *row = &dtype_rows[dtype];
    const uint8_t *next = bytes;
    size_t n_denormal = 0;
    for (size_t i = 0; i < count; i++, next += row->n_bytes) {
        double wide = row->number(next);
        float value = (float)wide;
        if (!isfinite(value))
            return import_fail(error, "tensor '%s': number %zu is %g; a weight must be a finite "
                               "f32", name, i, wide);
        if (fabsf(value) < FLT_MIN && wide != 0) {
            value = 0;
            n_denormal++;
        }
        out[i] = value;
    }
    note_denormals(source, name, n_denormal);
    return true;
}

bool import_clean(const struct import_source *source, const char *name, float *numbers,
                  size_t count, struct import_error *error)
{
    size_t n_denormal = 0;
    for (size_t i = 0; i < count; i++) {
        if (!isfinite(numbers[i]))
            return import_fail(error, "tensor '%s': number %zu is %g; a weight must be a finite "
                               "f32", name, i, (double)numbers[i]);
        if (fpclassify(numbers[i]) == FP_SUBNORMAL) {
            numbers[i] = 0;
            n_denormal++;
        }
    }
    note_denormals(source, name, n_denormal);
    return true;
}

/* ---- cells --------------------------------------------------------------- */

const struct import_gate_order import_order_torch = {{0, 1, 2, 3}};
const struct import_gate_order import_order_onnx_lstm = {{0, 2, 3, 1}};
const struct import_gate_order import_order_onnx_gru = {{1, 0, 2, 0}};

uint32_t import_gate_count(uint32_t type)
{
    switch (type) {
    case MODEL_LSTM: return 4;
    case MODEL_GRU: return 3;
    case MODEL_RNN: return 1;
    default: return 0;
    }
}

static void join_weights(const struct import_cell *cell, float *out)
{
    size_t H = cell->hidden, I = cell->input, R = cell->recurrent;
    for (uint32_t gate = 0; gate < import_gate_count(cell->type); gate++) {
        for (size_t unit = 0; unit < H; unit++) {
            size_t row = cell->order.of_gate[gate] * H + unit;
            memcpy(out, cell->w_recurrent + row * R, R * sizeof *out);
            memcpy(out + R, cell->w_input + row * I, I * sizeof *out);
            out += R + I;
        }
    }
}

/* n's recurrent bias is multiplied by r, so it cannot join the other one. */
static bool keeps_two_biases(const struct import_cell *cell)
{
    return cell->type == MODEL_GRU && cell->reset_after && cell->bias_recurrent;
}

static void join_biases(const struct import_cell *cell, float *out)
{
    size_t H = cell->hidden;
    uint32_t n_gates = import_gate_count(cell->type);
    for (uint32_t gate = 0; gate < n_gates; gate++) {
        bool apart = gate == 2 && keeps_two_biases(cell);
        for (size_t unit = 0; unit < H; unit++) {
            size_t row = cell->order.of_gate[gate] * H + unit;
            float sum = cell->bias_input ? cell->bias_input[row] : 0;
            if (cell->bias_recurrent && !apart)
                sum += cell->bias_recurrent[row];
            *out++ = sum;
        }
    }
}

/* A tensor of the cell under construction: "cell name" + suffix. */
static uint32_t add_part(struct model_builder *builder, const struct import_cell *cell,
                         const char *suffix, const float *data, const uint32_t dims[3])
{
    char name[512];
    uint32_t rank = dims[2] ? 3 : dims[1] ? 2 : 1;
    if (!data)
        return MODEL_NONE;
    snprintf(name, sizeof name, "%s.%s", cell->name, suffix);
    return model_add_tensor(builder, name, rank, dims, data);
}

static bool add_weights(struct model_builder *builder, const struct import_cell *cell,
                        uint32_t *slot_out, struct import_error *error)
{
    uint32_t n_gates = import_gate_count(cell->type);
    size_t columns = (size_t)cell->recurrent + cell->input;
    float *weights = calloc((size_t)n_gates * cell->hidden * columns, sizeof *weights);
    if (!weights)
        return import_fail(error, "'%s': out of memory", cell->name);
    join_weights(cell, weights);
    *slot_out = add_part(builder, cell, "weight", weights,
                         (const uint32_t[3]){n_gates, cell->hidden, (uint32_t)columns});
    free(weights);
    return true;
}

static bool add_biases(const struct import_source *source, struct model_builder *builder,
                       const struct import_cell *cell, uint32_t *slots_out,
                       struct import_error *error)
{
    uint32_t n_gates = import_gate_count(cell->type), H = cell->hidden;
    float *bias;
    bool good;
    if (!cell->bias_input && !cell->bias_recurrent)
        return true;
    bias = calloc((size_t)n_gates * H, sizeof *bias);
    if (!bias)
        return import_fail(error, "'%s': out of memory", cell->name);
    join_biases(cell, bias);
    good = import_clean(source, cell->name, bias, (size_t)n_gates * H, error);
    if (good)
        slots_out[MODEL_SLOT_BIAS] =
            add_part(builder, cell, "bias", bias, (const uint32_t[3]){n_gates, H, 0});
    free(bias);
    if (keeps_two_biases(cell))
        slots_out[MODEL_SLOT_PEEPHOLE] =
            add_part(builder, cell, "bias_n", cell->bias_recurrent + cell->order.of_gate[2] * (size_t)H,
                     (const uint32_t[3]){1, H, 0});
    return good;
}

bool import_add_cell(const struct import_source *source, struct model_builder *builder,
                     const struct import_cell *cell, uint32_t *slots_out,
                     struct import_error *error)
{
    uint32_t H = cell->hidden, R = cell->recurrent;
    for (unsigned slot = 0; slot < MODEL_RNN_SLOTS; slot++)
        slots_out[slot] = MODEL_NONE;
    if (!add_weights(builder, cell, &slots_out[MODEL_SLOT_W], error) ||
        !add_biases(source, builder, cell, slots_out, error))
        return false;
    if (cell->peephole)
        slots_out[MODEL_SLOT_PEEPHOLE] =
            add_part(builder, cell, "peephole", cell->peephole, (const uint32_t[3]){3, H, 0});
    slots_out[MODEL_SLOT_PROJECTION] =
        add_part(builder, cell, "projection", cell->projection, (const uint32_t[3]){R, H, 0});
    slots_out[MODEL_SLOT_H0] = add_part(builder, cell, "h0", cell->h0, (const uint32_t[3]){R, 0, 0});
    slots_out[MODEL_SLOT_C0] = add_part(builder, cell, "c0", cell->c0, (const uint32_t[3]){H, 0, 0});
    return true;
}

void import_rnn_params(uint32_t *params, uint32_t type, uint32_t hidden, uint32_t direction,
                       uint32_t flags)
{
    const uint32_t squash = MODEL_ACT_SIGMOID, tanh_act = MODEL_ACT_TANH;
    uint32_t acts = type == MODEL_LSTM ? squash | tanh_act << 8 | tanh_act << 16
                    : type == MODEL_GRU ? squash | tanh_act << 8
                                        : tanh_act;
    memset(params, 0, MODEL_PARAMS * sizeof *params);
    params[MODEL_RNN_HIDDEN] = hidden;
    params[MODEL_RNN_DIRECTION] = direction;
    params[MODEL_RNN_FLAGS] = flags;
    params[MODEL_RNN_ACTS] = acts;
    if (direction == MODEL_BIDIRECTIONAL)
        params[MODEL_RNN_ACTS + MODEL_RNN_ACTS_STRIDE] = acts;
}

/* ---- names --------------------------------------------------------------- */

static const char *const activation_names[MODEL_ACT_COUNT] = {
    [MODEL_ACT_IDENTITY] = "identity",
    [MODEL_ACT_SIGMOID] = "sigmoid",
    [MODEL_ACT_TANH] = "tanh",
    [MODEL_ACT_RELU] = "relu",
    [MODEL_ACT_LEAKY_RELU] = "leaky_relu",
    [MODEL_ACT_THRESHOLDED_RELU] = "thresholded_relu",
    [MODEL_ACT_SCALED_TANH] = "scaled_tanh",
    [MODEL_ACT_HARD_SIGMOID] = "hard_sigmoid",
    [MODEL_ACT_ELU] = "elu",
    [MODEL_ACT_SOFTSIGN] = "softsign",
    [MODEL_ACT_SOFTPLUS] = "softplus",
    [MODEL_ACT_AFFINE] = "affine",
};

/* "LeakyRelu", "leaky_relu" and "leaky-relu" are the same name. */
static bool same_word(const char *given, const char *known)
{
    for (;;) {
        while (*given == '_' || *given == '-' || *given == ' ')
            given++;
        while (*known == '_')
            known++;
        if (tolower((unsigned char)*given) != *known)
            return false;
        if (!*known)
            return true;
        given++, known++;
    }
}

bool import_activation(const char *name, uint32_t *activation_out)
{
    if (same_word(name, "none") || same_word(name, "linear")) {
        *activation_out = MODEL_ACT_IDENTITY;
        return true;
    }
    for (uint32_t i = 0; i < MODEL_ACT_COUNT; i++) {
        if (same_word(name, activation_names[i])) {
            *activation_out = i;
            return true;
        }
    }
    return false;
}

/* Compare two runs of digits by value; both pointers end behind their run. */
static int compare_digits(const char **a, const char **b)
{
    size_t n_a, n_b;
    int order;
    while (**a == '0' && isdigit((unsigned char)(*a)[1]))
        (*a)++;
    while (**b == '0' && isdigit((unsigned char)(*b)[1]))
        (*b)++;
    n_a = strspn(*a, "0123456789");
    n_b = strspn(*b, "0123456789");
    order = n_a != n_b ? (n_a < n_b ? -1 : 1) : memcmp(*a, *b, n_a);
    *a += n_a;
    *b += n_b;
    return order;
}

int import_compare_names(const char *a, const char *b)
{
    const char *first_a = a, *first_b = b;
    while (*a && *b) {
        if (isdigit((unsigned char)*a) && isdigit((unsigned char)*b)) {
            int order = compare_digits(&a, &b);
            if (order)
                return order;
        } else if (*a != *b) {
            return (unsigned char)*a < (unsigned char)*b ? -1 : 1;
        } else {
            a++, b++;
        }
    }
    if (*a || *b)
        return *a ? 1 : -1;
    return strcmp(first_a, first_b); /* "a01" and "a1": some fixed order */
}
