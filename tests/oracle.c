/* SPDX-License-Identifier: MIT
 *
 * The double-precision oracle: walks the graph layer by layer and keeps every
 * frame of every value. Recurrent cells are in oracle_cells.c.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/oracle_private.h"

void *oracle_alloc(size_t n, size_t size)
{
    void *memory = calloc(n ? n : 1, size);
    if (!memory) {
        fputs("oracle: out of memory\n", stderr);
        abort();
    }
    return memory;
}

/* ---- noise ---------------------------------------------------------------- */

static double noise_uniform(struct oracle *o)
{
    uint64_t z = (o->noise += UINT64_C(0x9e3779b97f4a7c15));
    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    z ^= z >> 31;
    return (double)(z >> 11) * 0x1p-52 - 1.0;
}

double oracle_round(struct oracle *o, double value)
{
    return o->noisy ? value * (1.0 + 0x1p-24 * noise_uniform(o)) : value;
}

static double round_function(struct oracle *o, double value)
{
    /* The library promises 2 ulp, which is 4 units of 2^-24 at the worst. */
    return o->noisy ? value * (1.0 + 4 * 0x1p-24 * noise_uniform(o)) : value;
}

void oracle_set_noise(struct oracle *o, uint64_t seed)
{
    o->noise = seed;
    o->noisy = seed != 0;
}

/* ---- arithmetic ------------------------------------------------------------- */

double oracle_dot(struct oracle *o, double start, const double *a, const double *b, size_t n)
{
    double sum = start;
    for (size_t k = 0; k < n; k++)
        sum = oracle_round(o, sum + a[k] * b[k]);
    return sum;
}

double oracle_activate(struct oracle *o, const struct oracle_act *act, double x)
{
    double a = act->alpha, b = act->beta;
    switch (act->kind) {
    case MODEL_ACT_IDENTITY: return x;
    case MODEL_ACT_SIGMOID: return round_function(o, 1 / (1 + exp(-x)));
    case MODEL_ACT_TANH: return round_function(o, tanh(x));
    case MODEL_ACT_RELU: return x < 0 ? 0 : x;
    case MODEL_ACT_LEAKY_RELU: return x < 0 ? oracle_round(o, a * x) : x;
    case MODEL_ACT_THRESHOLDED_RELU: return x <= a ? 0 : x;
    case MODEL_ACT_SCALED_TANH:
        return oracle_round(o, a * round_function(o, tanh(oracle_round(o, b * x))));
    case MODEL_ACT_HARD_SIGMOID: return fmin(fmax(oracle_round(o, a * x + b), 0), 1);
    case MODEL_ACT_ELU: return x < 0 ? oracle_round(o, a * round_function(o, expm1(x))) : x;
    case MODEL_ACT_SOFTSIGN: return oracle_round(o, x / oracle_round(o, 1 + fabs(x)));
    case MODEL_ACT_SOFTPLUS: return round_function(o, fmax(x, 0) + log1p(exp(-fabs(x))));
    case MODEL_ACT_AFFINE: return oracle_round(o, a * x + b);
    default:
        fprintf(stderr, "oracle: no activation %u\n", act->kind);
        abort();
    }
}

static void softmax_row(struct oracle *o, const double *x, double *out, size_t n)
{
    double top = -INFINITY, sum = 0;
    for (size_t j = 0; j < n; j++)
        top = fmax(top, x[j]);
    for (size_t j = 0; j < n; j++) {
        out[j] = round_function(o, exp(oracle_round(o, x[j] - top)));
        sum = oracle_round(o, sum + out[j]);
    }
    for (size_t j = 0; j < n; j++)
        out[j] = oracle_round(o, out[j] / sum);
}

static void norm_row(struct oracle *o, const struct oracle_layer *l, const double *x, double *out,
                     size_t n)
{
    double epsilon = oracle_param(l, 0), mean = 0, variance = 0;
    for (size_t j = 0; j < n; j++)
        mean = oracle_round(o, mean + x[j]);
    mean = oracle_round(o, mean / (double)n);
    for (size_t j = 0; j < n; j++) {
        double d = oracle_round(o, x[j] - mean);
        variance = oracle_round(o, variance + d * d);
    }
    variance = oracle_round(o, variance / (double)n);
    double deviation = oracle_round(o, sqrt(oracle_round(o, variance + epsilon)));
    for (size_t j = 0; j < n; j++) {
        double y = oracle_round(o, oracle_round(o, x[j] - mean) / deviation);
        if (l->tensors[0])
            y = oracle_round(o, y * l->tensors[0][j]);
        out[j] = l->tensors[1] ? oracle_round(o, y + l->tensors[1][j]) : y;
    }
}

/* ---- frame layers: one frame in, one frame out -------------------------------- */

static size_t last_dim(const struct model_value *value)
{
    return value->dims[value->rank - 1];
}

/* A frame as [outer][axis][inner]. */
static void axis_split(const struct model_value *value, uint32_t axis, size_t *outer, size_t *inner)
{
    *outer = *inner = 1;
    for (uint32_t d = 0; d < axis; d++)
        *outer *= value->dims[d];
    for (uint32_t d = axis + 1; d < value->rank; d++)
        *inner *= value->dims[d];
}

static void frame_dense(struct oracle *o, const struct oracle_layer *l, const double *const *in,
                        double *out)
{
    size_t n_in = last_dim(&l->in[0]), n_out = last_dim(&l->out);
    struct oracle_act act = {l->layer.params[0], oracle_param(l, 1), oracle_param(l, 2)};
    for (size_t row = 0; row < l->in[0].size / n_in; row++)
        for (size_t j = 0; j < n_out; j++) {
            double bias = l->tensors[1] ? l->tensors[1][j] : 0;
            double z = oracle_dot(o, bias, l->tensors[0] + j * n_in, in[0] + row * n_in, n_in);
            out[row * n_out + j] = oracle_activate(o, &act, z);
        }
}

static void frame_embedding(struct oracle *o, const struct oracle_layer *l,
                            const double *const *in, double *out)
{
    (void)o;
    size_t n = l->in[0].size, rows = l->shapes[0].dims[0], width = l->shapes[0].dims[1];
    for (size_t j = 0; j < n; j++) {
        double id = in[0][j];
        bool known = id >= 0 && id < (double)rows && id == floor(id);
        for (size_t e = 0; e < width; e++)
            out[j * width + e] = known ? l->tensors[0][(size_t)id * width + e] : NAN;
    }
}

static void frame_activation(struct oracle *o, const struct oracle_layer *l,
                             const double *const *in, double *out)
{
    struct oracle_act act = {l->layer.params[0], oracle_param(l, 1), oracle_param(l, 2)};
    for (size_t j = 0; j < l->out.size; j++)
        out[j] = oracle_activate(o, &act, in[0][j]);
}

static void length_row(struct oracle *o, const struct oracle_layer *l, const double *x, double *out,
                       size_t n)
{
    double length = sqrt(oracle_dot(o, 0, x, x, n));
    for (size_t j = 0; j < n; j++)
        out[j] = oracle_round(o, x[j] / fmax(oracle_round(o, length), oracle_param(l, 0)));
}

static void frame_mask(struct oracle *o, const struct oracle_layer *l, const double *const *in,
                       double *out)
{
    (void)o;
    out[0] = 0;
    for (size_t j = 0; j < l->in[0].size; j++)
        out[0] = in[0][j] != oracle_param(l, 0) ? 1 : out[0];
}

static void frame_rows(struct oracle *o, const struct oracle_layer *l, const double *const *in,
                       double *out)
{
    size_t n = last_dim(&l->out);
    for (size_t at = 0; at < l->out.size; at += n) {
        if (l->layer.type == MODEL_SOFTMAX)
            softmax_row(o, in[0] + at, out + at, n);
        else if (l->layer.type == MODEL_L2_NORM)
            length_row(o, l, in[0] + at, out + at, n);
        else
            norm_row(o, l, in[0] + at, out + at, n);
    }
}

static void frame_scale(struct oracle *o, const struct oracle_layer *l, const double *const *in,
                        double *out)
{
    size_t n = last_dim(&l->out);
    for (size_t j = 0; j < l->out.size; j++) {
        double scale = l->tensors[0] ? l->tensors[0][j % n] : 1;
        double shift = l->tensors[1] ? l->tensors[1][j % n] : 0;
        out[j] = oracle_round(o, in[0][j] * scale + shift);
    }
}

static void frame_combine(struct oracle *o, const struct oracle_layer *l, const double *const *in,
                          double *out)
{
    for (size_t j = 0; j < l->out.size; j++) {
        double y = in[0][j];
        for (uint32_t i = 1; i < l->layer.n_inputs; i++) {
            double other = in[i][l->in[i].size == 1 ? 0 : j];
            y = oracle_round(o, l->layer.type == MODEL_ADD ? y + other : y * other);
        }
        out[j] = y;
    }
}

static void frame_concat(struct oracle *o, const struct oracle_layer *l, const double *const *in,
                         double *out)
{
    (void)o;
    uint32_t axis = l->layer.params[0];
    size_t outer, inner;
    axis_split(&l->out, axis, &outer, &inner);
    for (size_t block = 0; block < outer; block++)
        for (uint32_t i = 0; i < l->layer.n_inputs; i++) {
            size_t n = l->in[i].dims[axis] * inner;
            memcpy(out, in[i] + block * n, n * sizeof *out);
            out += n;
        }
}

static void frame_slice(struct oracle *o, const struct oracle_layer *l, const double *const *in,
                        double *out)
{
    (void)o;
    const uint32_t *p = l->layer.params;
    size_t outer, inner;
    axis_split(&l->in[0], p[0], &outer, &inner);
    for (size_t block = 0; block < outer; block++)
        for (size_t j = 0; j < p[2]; j++) {
            size_t row = block * l->in[0].dims[p[0]] + p[1] + j * p[3];
            memcpy(out, in[0] + row * inner, inner * sizeof *out);
            out += inner;
        }
}

static void frame_reshape(struct oracle *o, const struct oracle_layer *l, const double *const *in,
                          double *out)
{
    (void)o;
    memcpy(out, in[0], l->out.size * sizeof *out);
}

/* ---- sequence layers: all frames in, one frame out ------------------------------- */

static void run_pooling(struct oracle *o, const struct oracle_layer *l, const double *in,
                        size_t frames, double *out)
{
    size_t n = l->out.size;
    for (size_t j = 0; j < n; j++) {
        double y = in[(l->layer.type == MODEL_LAST ? frames - 1 : 0) * n + j];
        const bool all = l->layer.type == MODEL_MEAN || l->layer.type == MODEL_MAX;
        for (size_t t = 1; t < frames && all; t++) {
            double x = in[t * n + j];
            y = l->layer.type == MODEL_MEAN ? oracle_round(o, y + x) : fmax(y, x);
        }
        out[j] = l->layer.type == MODEL_MEAN ? oracle_round(o, y / (double)frames) : y;
    }
}

static void run_attention(struct oracle *o, const struct oracle_layer *l, const double *in,
                          const double *score, size_t frames, double *out)
{
    size_t n = l->out.size;
    double *weight = oracle_alloc(frames, sizeof *weight);
    softmax_row(o, score, weight, frames);
    for (size_t j = 0; j < n; j++) {
        out[j] = 0;
        for (size_t t = 0; t < frames; t++)
            out[j] = oracle_round(o, out[j] + weight[t] * in[t * n + j]);
    }
    free(weight);
}

/* ---- the graph --------------------------------------------------------------------- */

typedef void frame_function(struct oracle *, const struct oracle_layer *, const double *const *,
                            double *);

static frame_function *frame_function_of(uint32_t type)
{
    switch (type) {
    case MODEL_DENSE: return frame_dense;
    case MODEL_EMBEDDING: return frame_embedding;
    case MODEL_ACTIVATION: return frame_activation;
    case MODEL_SOFTMAX:
    case MODEL_L2_NORM:
    case MODEL_LAYER_NORM: return frame_rows;
    case MODEL_MASK: return frame_mask;
    case MODEL_ADD:
    case MODEL_MUL: return frame_combine;
    case MODEL_CONCAT: return frame_concat;
    case MODEL_SLICE: return frame_slice;
    case MODEL_RESHAPE: return frame_reshape;
    case MODEL_SCALE: return frame_scale;
    case MODEL_CONV1D: return oracle_conv1d;
    case MODEL_MAGNITUDE: return oracle_magnitude;
    case MODEL_TRANSPOSE: return oracle_transpose;
    default:
        fprintf(stderr, "oracle: no layer type %u\n", type);
        abort();
    }
}

/* Frames of a layer's output in a run, from those of its first input. */
static size_t frames_of(const struct oracle_layer *l, size_t in)
{
    if (l->out.once)
        return 1;
    return l->layer.type == MODEL_TEMPORAL_CONV || l->layer.type == MODEL_TEMPORAL_POOL
               ? oracle_temporal_frames(l, in) : in;
}

static void run_frames(struct oracle *o, const struct oracle_layer *l, double *const *values,
                       size_t frames, double *out)
{
    frame_function *run = frame_function_of(l->layer.type);
    for (size_t t = 0; t < frames; t++) {
        const double *in[MODEL_MAX_INPUTS];
        for (uint32_t i = 0; i < l->layer.n_inputs; i++)
            in[i] = values[l->layer.inputs[i]] + t * l->in[i].size;
        run(o, l, in, out + t * l->out.size);
    }
}

static void run_layer(struct oracle *o, struct oracle_layer *l, double *const *values,
                      size_t in_frames, double *out)
{
    const double *in = values[l->layer.inputs[0]];
    const double *second = l->layer.n_inputs > 1 ? values[l->layer.inputs[1]] : NULL;
    switch (l->layer.type) {
    case MODEL_LSTM:
    case MODEL_GRU:
    case MODEL_RNN: oracle_run_recurrent(o, l, in, second, in_frames, out); break;
    case MODEL_LAST:
    case MODEL_FIRST:
    case MODEL_MEAN:
    case MODEL_MAX: run_pooling(o, l, in, in_frames, out); break;
    case MODEL_ATTENTION: run_attention(o, l, in, second, in_frames, out); break;
    case MODEL_TEMPORAL_CONV: oracle_run_temporal(o, l, in, in_frames, out); break;
    case MODEL_TEMPORAL_POOL: oracle_run_pool(o, l, in, in_frames, out); break;
    case MODEL_DELAY: oracle_run_delay(l, in, in_frames, out); break;
    case MODEL_REVERSE: oracle_run_reverse(l, in, in_frames, out); break;
    default: run_frames(o, l, values, in_frames, out);
    }
}

void oracle_run(struct oracle *o, const float *input, size_t steps, double *output)
{
    if (steps == 0)
        return;
    double **values = oracle_alloc(o->n_layers + 1, sizeof *values);
    size_t *frames = oracle_alloc(o->n_layers + 1, sizeof *frames);
    frames[0] = steps;
    values[0] = oracle_alloc(steps * o->input.size, sizeof(double));
    for (size_t j = 0; j < steps * o->input.size; j++)
        values[0][j] = input[j];
    for (uint32_t i = 0; i < o->n_layers; i++) {
        struct oracle_layer *l = &o->layers[i];
        const size_t in = frames[l->layer.inputs[0]];
        frames[i + 1] = frames_of(l, in);
        values[i + 1] = oracle_alloc(frames[i + 1] * l->out.size, sizeof(double));
        run_layer(o, l, values, in, values[i + 1]);
    }
    memcpy(output, values[o->view->output],
           frames[o->view->output] * o->output.size * sizeof *output);
    for (uint32_t i = 0; i <= o->n_layers; i++)
        free(values[i]);
    free(values);
    free(frames);
}

size_t oracle_output_frames(const struct oracle *o, size_t steps)
{
    size_t frames = steps;
    const struct oracle_layer *l;
    uint32_t value = o->view->output, chain[MODEL_MAX_LAYERS], n = 0;
    for (; value; value = l->layer.inputs[0]) {
        l = &o->layers[value - 1];
        chain[n++] = value - 1;
    }
    while (n && steps)
        frames = frames_of(&o->layers[chain[--n]], frames);
    return frames;
}

size_t oracle_output_size(const struct oracle *o)
{
    return o->output.size;
}

/* ---- life ---------------------------------------------------------------------------- */

double oracle_param(const struct oracle_layer *l, uint32_t word)
{
    float value;
    memcpy(&value, &l->layer.params[word], sizeof value);
    return value;
}

static double *tensor_values(const struct model_tensor *tensor)
{
    double *out = oracle_alloc(tensor->count, sizeof *out);
    for (uint64_t j = 0; j < tensor->count; j++) {
        float value;
        memcpy(&value, (const char *)tensor->data + j * sizeof value, sizeof value);
        out[j] = value;
    }
    return out;
}

static void load_layer(const struct model_view *view, uint32_t index, struct oracle_layer *l)
{
    model_get_layer(view, index, &l->layer);
    model_get_value(view, index + 1, &l->out);
    for (uint32_t i = 0; i < l->layer.n_inputs; i++)
        model_get_value(view, l->layer.inputs[i], &l->in[i]);
    for (uint32_t i = 0; i < l->layer.n_tensors; i++)
        if (l->layer.tensors[i] != MODEL_NONE) {
            model_get_tensor(view, l->layer.tensors[i], &l->shapes[i]);
            l->tensors[i] = tensor_values(&l->shapes[i]);
        }
    oracle_load_cells(l);
    oracle_load_history(l);
}

struct oracle *oracle_create(const struct model_view *view)
{
    struct oracle *o = oracle_alloc(1, sizeof *o);
    o->view = view;
    o->n_layers = view->n_layers;
    o->layers = oracle_alloc(view->n_layers, sizeof *o->layers);
    model_get_value(view, 0, &o->input);
    model_get_value(view, view->output, &o->output);
    for (uint32_t i = 0; i < view->n_layers; i++)
        load_layer(view, i, &o->layers[i]);
    oracle_reset(o);
    return o;
}

void oracle_destroy(struct oracle *o)
{
    if (!o)
        return;
    for (uint32_t i = 0; i < o->n_layers; i++) {
        for (uint32_t j = 0; j < MODEL_MAX_LAYER_TENSORS; j++)
            free(o->layers[i].tensors[j]);
        for (uint32_t d = 0; d < 2; d++) {
            free(o->layers[i].cells[d].h);
            free(o->layers[i].cells[d].c);
        }
    }
    free(o->layers);
    free(o);
}

void oracle_reset(struct oracle *o)
{
    for (uint32_t i = 0; i < o->n_layers; i++)
        for (uint32_t d = 0; d < o->layers[i].n_cells; d++)
            oracle_reset_cell(&o->layers[i].cells[d]);
}

double *oracle_state(struct oracle *o, uint32_t layer, uint32_t direction,
                     enum oracle_which which, size_t *n_out)
{
    *n_out = 0;
    if (layer >= o->n_layers || direction >= o->layers[layer].n_cells)
        return NULL;
    struct oracle_cell *cell = &o->layers[layer].cells[direction];
    if (which == ORACLE_C && !cell->c)
        return NULL;
    *n_out = which == ORACLE_H ? cell->n_h : cell->hidden;
    return which == ORACLE_H ? cell->h : cell->c;
}
