/* SPDX-License-Identifier: MIT
 *
 * The oracle's convolutions and what moves frames in time: an input is padded first, as
 * FORMAT.md says it, and then everything is one plain sum.
 */
#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "tests/oracle_private.h"

struct padded {
    size_t n, channels;
    double *frames; /* [n][channels] */
};

/* Frames beyond one end, outwards from it: `at` is the end's, `inwards` 1 or -1. */
static void pad_outwards(const double *frames, size_t n, size_t channels, uint32_t kind, size_t count,
                         int inwards, double *end)
{
    const ptrdiff_t outwards = -(ptrdiff_t)channels * inwards;
    size_t from = inwards > 0 ? 0 : n - 1;
    for (size_t i = 0; i < count && kind != MODEL_PAD_ZEROS; i++) {
        if (kind == MODEL_PAD_REFLECT && n > 1) {
            if (inwards > 0 ? from == n - 1 : from == 0)
                inwards = -inwards;
            from = inwards > 0 ? from + 1 : from - 1;
        }
        end += outwards;
        memcpy(end, frames + from * channels, channels * sizeof *end);
    }
}

static struct padded pad(const double *frames, size_t n, size_t channels, const uint32_t *words)
{
    const size_t before = words[MODEL_CONV_PAD_BEFORE], after = words[MODEL_CONV_PAD_AFTER];
    struct padded out = {before + n + after, channels, NULL};
    out.frames = oracle_alloc(out.n * channels, sizeof *out.frames);
    double *first = out.frames + before * channels;
    memcpy(first, frames, n * channels * sizeof *first);
    pad_outwards(frames, n, channels, words[MODEL_CONV_PADDING], before, 1, first);
    pad_outwards(frames, n, channels, words[MODEL_CONV_PADDING], after, -1,
                 first + (n - 1) * channels);
    return out;
}

/* Output position p. The rounding follows float sums term by term. */
static void one_position(struct oracle *o, const struct oracle_layer *l, const struct padded *x,
                         size_t p, double *out)
{
    const uint32_t *words = l->layer.params;
    const size_t outputs = l->shapes[0].dims[0], taps = l->shapes[0].dims[1];
    const size_t each = l->shapes[0].dims[2], share = outputs / words[MODEL_CONV_GROUPS];
    struct oracle_act act = {words[MODEL_CONV_ACT], oracle_param(l, MODEL_CONV_ACT + 1),
                             oracle_param(l, MODEL_CONV_ACT + 2)};
    for (size_t j = 0; j < outputs; j++) {
        double sum = l->tensors[1] ? l->tensors[1][j] : 0;
        for (size_t k = 0; k < taps; k++) {
            size_t q = p * words[MODEL_CONV_STRIDE] + k * words[MODEL_CONV_DILATION];
            sum = oracle_dot(o, sum, l->tensors[0] + (j * taps + k) * each,
                             x->frames + q * x->channels + j / share * each, each);
        }
        out[j] = oracle_activate(o, &act, sum);
    }
}

void oracle_conv1d(struct oracle *o, const struct oracle_layer *l, const double *const *in,
                   double *out)
{
    struct padded x = pad(in[0], l->in[0].dims[0], l->in[0].dims[1], l->layer.params);
    for (size_t p = 0; p < l->out.dims[0]; p++)
        one_position(o, l, &x, p, out + p * l->out.dims[1]);
    free(x.frames);
}

void oracle_magnitude(struct oracle *o, const struct oracle_layer *l, const double *const *in,
                      double *out)
{
    size_t n = l->out.dims[l->out.rank - 1];
    for (size_t j = 0; j < l->out.size; j++) {
        const double *x = in[0] + j / n * 2 * n + j % n;
        double square = oracle_round(o, x[0] * x[0] + oracle_round(o, x[n] * x[n]));
        out[j] = oracle_round(o, sqrt(square));
    }
}

/* Where each number of the input goes, by its place along each axis. */
void oracle_transpose(struct oracle *o, const struct oracle_layer *l, const double *const *in,
                      double *out)
{
    (void)o;
    for (size_t j = 0; j < l->in[0].size; j++) {
        size_t place[MODEL_MAX_RANK], rest = j, to = 0;
        for (uint32_t axis = l->in[0].rank; axis-- > 0; rest /= l->in[0].dims[axis])
            place[axis] = rest % l->in[0].dims[axis];
        for (uint32_t axis = 0; axis < l->out.rank; axis++)
            to = to * l->out.dims[axis] + place[l->layer.params[axis]];
        out[to] = in[0][j];
    }
}

/* ---- over time ------------------------------------------------------------------ */

static size_t reach_of(const struct oracle_layer *l)
{
    const uint32_t taps = l->layer.type == MODEL_TEMPORAL_POOL ? l->layer.params[MODEL_POOL_TAPS]
                                                               : l->shapes[0].dims[1];
    return (size_t)l->layer.params[MODEL_CONV_DILATION] * (taps - 1);
}

size_t oracle_temporal_frames(const struct oracle_layer *l, size_t frames)
{
    const uint32_t *words = l->layer.params;
    size_t padded = words[MODEL_CONV_PAD_BEFORE] + frames + words[MODEL_CONV_PAD_AFTER], reach = reach_of(l);
    return padded <= reach ? 0 : (padded - reach - 1) / words[MODEL_CONV_STRIDE] + 1;
}

static size_t history_of(const struct oracle_layer *l)
{
    const uint32_t *words = l->layer.params;
    if (l->layer.type == MODEL_DELAY)
        return words[0];
    if (l->layer.type == MODEL_TEMPORAL_POOL ? words[MODEL_POOL_KIND] == MODEL_POOL_MEAN
                                             : l->layer.type != MODEL_TEMPORAL_CONV ||
                                                   words[MODEL_CONV_PADDING] != MODEL_PAD_ZEROS)
        return 0;
    if (words[MODEL_CONV_PAD_AFTER] || words[MODEL_CONV_STRIDE] != 1 ||
        words[MODEL_CONV_PAD_BEFORE] != reach_of(l))
        return 0;
    return words[MODEL_CONV_PAD_BEFORE];
}

void oracle_load_history(struct oracle_layer *l)
{
    size_t n = history_of(l) * l->in[0].size;
    if (n == 0)
        return;
    l->n_cells = 1;
    l->cells[0].n_h = n;
    l->cells[0].h = oracle_alloc(n, sizeof(double));
    if (l->layer.type == MODEL_TEMPORAL_POOL && l->layer.params[MODEL_POOL_KIND] == MODEL_POOL_MAX)
        l->cells[0].rest = -FLT_MAX;
}

/* The history, then these frames; the history is then the last of both. */
static struct padded with_history(struct oracle_layer *l, const double *in, size_t frames)
{
    const size_t channels = l->in[0].size, before = history_of(l);
    struct padded x = {before + frames, channels, NULL};
    x.frames = oracle_alloc(x.n * channels, sizeof *x.frames);
    memcpy(x.frames, l->cells[0].h, before * channels * sizeof *in);
    memcpy(x.frames + before * channels, in, frames * channels * sizeof *in);
    memcpy(l->cells[0].h, x.frames + frames * channels, before * channels * sizeof *in);
    return x;
}

void oracle_run_temporal(struct oracle *o, struct oracle_layer *l, const double *in, size_t frames,
                         double *out)
{
    struct padded x = l->n_cells ? with_history(l, in, frames)
                                 : pad(in, frames, l->in[0].size, l->layer.params);
    for (size_t t = 0, n = oracle_temporal_frames(l, frames); t < n; t++)
        one_position(o, l, &x, t, out + t * l->out.size);
    free(x.frames);
}

/* Of the steps first, first + d … that are there. */
static double one_pool(struct oracle *o, const struct oracle_layer *l, const double *in, ptrdiff_t frames,
                       ptrdiff_t first, size_t j)
{
    const uint32_t *words = l->layer.params;
    double y = 0;
    size_t count = 0;
    for (uint32_t k = 0; k < words[MODEL_POOL_TAPS]; k++) {
        const ptrdiff_t q = first + (ptrdiff_t)(k * words[MODEL_CONV_DILATION]);
        if (q < 0 || q >= frames)
            continue;
        const double x = in[(size_t)q * l->out.size + j];
        if (words[MODEL_POOL_KIND] == MODEL_POOL_MAX)
            y = count ? fmax(y, x) : x;
        else
            y = count ? oracle_round(o, y + x) : x;
        count++;
    }
    if (words[MODEL_POOL_KIND] == MODEL_POOL_MAX)
        return y;
    count = words[MODEL_POOL_KIND] == MODEL_POOL_MEAN ? count : words[MODEL_POOL_TAPS];
    return oracle_round(o, y / (double)count);
}

void oracle_run_pool(struct oracle *o, struct oracle_layer *l, const double *in, size_t frames, double *out)
{
    const size_t history = l->n_cells ? history_of(l) : 0, n = oracle_temporal_frames(l, frames);
    struct padded x = {frames, l->in[0].size, NULL};
    if (history)
        x = with_history(l, in, frames);
    for (size_t t = 0; t < n; t++)
        for (size_t j = 0; j < l->out.size; j++)
            out[t * l->out.size + j] =
                one_pool(o, l, history ? x.frames : in, (ptrdiff_t)x.n,
                         (ptrdiff_t)(history + t * l->layer.params[MODEL_CONV_STRIDE]) -
                             (ptrdiff_t)l->layer.params[MODEL_CONV_PAD_BEFORE], j);
    free(x.frames);
}

void oracle_run_delay(struct oracle_layer *l, const double *in, size_t frames, double *out)
{
    struct padded x = with_history(l, in, frames);
    memcpy(out, x.frames, frames * x.channels * sizeof *out);
    free(x.frames);
}

void oracle_run_reverse(const struct oracle_layer *l, const double *in, size_t frames, double *out)
{
    for (size_t t = 0; t < frames; t++)
        memcpy(out + t * l->out.size, in + (frames - 1 - t) * l->out.size, l->out.size * sizeof *out);
}
