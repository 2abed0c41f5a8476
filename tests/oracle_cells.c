/* SPDX-License-Identifier: MIT
 *
 * The oracle's recurrent cells, written as the equations of CONVERSION notes and
 * papers write them: one unit at a time, one gate at a time.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "tests/oracle_private.h"

enum { GATE_I, GATE_F, GATE_G, GATE_O };
enum { GATE_R, GATE_Z, GATE_N };
enum { ACT_F, ACT_G, ACT_H };

static double clipped(const struct oracle_cell *cell, double z)
{
    return cell->clip > 0 ? fmin(fmax(z, -cell->clip), cell->clip) : z;
}

/* Row of W for one unit of one gate: [h columns | x columns]. */
static const double *row_of(const struct oracle_cell *cell, size_t gate, size_t unit)
{
    return cell->weights + (gate * cell->hidden + unit) * (cell->n_h + cell->n_x);
}

static double bias_of(const struct oracle_cell *cell, size_t gate, size_t unit)
{
    return cell->bias ? cell->bias[gate * cell->hidden + unit] : 0;
}

/* bias + W_x·x + W_h·h, before peepholes and clip */
static double gate_sum(struct oracle *o, const struct oracle_cell *cell, size_t gate, size_t unit,
                       const double *x)
{
    const double *row = row_of(cell, gate, unit);
    double z = oracle_dot(o, bias_of(cell, gate, unit), row + cell->n_h, x, cell->n_x);
    return oracle_dot(o, z, row, cell->h, cell->n_h);
}

static double gate_value(struct oracle *o, const struct oracle_cell *cell, double z, uint32_t act)
{
    return oracle_activate(o, &cell->acts[act], clipped(cell, z));
}

static double peephole(struct oracle *o, const struct oracle_cell *cell, size_t which, size_t unit,
                       double z, double c)
{
    if (!cell->peephole)
        return z;
    return oracle_round(o, z + cell->peephole[which * cell->hidden + unit] * c);
}

/* New c of one unit in cell->c, its output before the projection returned. */
static double lstm_unit(struct oracle *o, struct oracle_cell *cell, const double *x, size_t unit)
{
    double c = cell->c[unit];
    double zi = peephole(o, cell, 0, unit, gate_sum(o, cell, GATE_I, unit, x), c);
    double zf = peephole(o, cell, 1, unit, gate_sum(o, cell, GATE_F, unit, x), c);
    double zo = gate_sum(o, cell, GATE_O, unit, x);
    double i = gate_value(o, cell, zi, ACT_F);
    double f = cell->flags & MODEL_FLAG_COUPLED ? oracle_round(o, 1 - i)
                                                : gate_value(o, cell, zf, ACT_F);
    double g = gate_value(o, cell, gate_sum(o, cell, GATE_G, unit, x), ACT_G);
    c = oracle_round(o, f * c + oracle_round(o, i * g));
    zo = peephole(o, cell, 2, unit, zo, c);
    cell->c[unit] = c;
    return oracle_round(o, gate_value(o, cell, zo, ACT_F) * oracle_activate(o, &cell->acts[ACT_H], c));
}

static void lstm_step(struct oracle *o, struct oracle_cell *cell, const double *x, double *h)
{
    double *full = cell->projection ? oracle_alloc(cell->hidden, sizeof *full) : h;
    for (size_t unit = 0; unit < cell->hidden; unit++)
        full[unit] = lstm_unit(o, cell, x, unit);
    if (cell->projection) {
        for (size_t p = 0; p < cell->n_h; p++)
            h[p] = oracle_dot(o, 0, cell->projection + p * cell->hidden, full, cell->hidden);
        free(full);
    }
}

/* Argument of the candidate's activation. */
static double gru_candidate(struct oracle *o, const struct oracle_cell *cell, const double *x,
                            const double *r, size_t unit)
{
    const double *row = row_of(cell, GATE_N, unit);
    double z = oracle_dot(o, bias_of(cell, GATE_N, unit), row + cell->n_h, x, cell->n_x);
    if (cell->flags & MODEL_FLAG_RESET_AFTER) {
        double inner = cell->peephole ? cell->peephole[unit] : 0;
        inner = oracle_dot(o, inner, row, cell->h, cell->n_h);
        return oracle_round(o, z + r[unit] * inner);
    }
    for (size_t k = 0; k < cell->n_h; k++)
        z = oracle_round(o, z + row[k] * oracle_round(o, r[k] * cell->h[k]));
    return z;
}

static void gru_step(struct oracle *o, struct oracle_cell *cell, const double *x, double *h)
{
    double *r = oracle_alloc(cell->hidden, sizeof *r);
    for (size_t unit = 0; unit < cell->hidden; unit++)
        r[unit] = gate_value(o, cell, gate_sum(o, cell, GATE_R, unit, x), ACT_F);
    for (size_t unit = 0; unit < cell->hidden; unit++) {
        double z = gate_value(o, cell, gate_sum(o, cell, GATE_Z, unit, x), ACT_F);
        double n = gate_value(o, cell, gru_candidate(o, cell, x, r, unit), ACT_G);
        h[unit] = oracle_round(o, oracle_round(o, oracle_round(o, 1 - z) * n) + z * cell->h[unit]);
    }
    free(r);
}

static void rnn_step(struct oracle *o, struct oracle_cell *cell, const double *x, double *h)
{
    for (size_t unit = 0; unit < cell->hidden; unit++)
        h[unit] = gate_value(o, cell, gate_sum(o, cell, 0, unit, x), ACT_F);
}

static void cell_step(struct oracle *o, struct oracle_cell *cell, const double *x)
{
    double *h = oracle_alloc(cell->n_h, sizeof *h);
    if (cell->type == MODEL_LSTM)
        lstm_step(o, cell, x, h);
    else if (cell->type == MODEL_GRU)
        gru_step(o, cell, x, h);
    else
        rnn_step(o, cell, x, h);
    memcpy(cell->h, h, cell->n_h * sizeof *h);
    free(h);
}

void oracle_run_recurrent(struct oracle *o, struct oracle_layer *l, const double *in,
                          const double *mask, size_t frames, double *out)
{
    for (uint32_t d = 0; d < l->n_cells; d++) {
        struct oracle_cell *cell = &l->cells[d];
        for (size_t step = 0; step < frames; step++) {
            size_t t = cell->reversed ? frames - 1 - step : step;
            if (!mask || mask[t] != 0)
                cell_step(o, cell, in + t * cell->n_x);
            memcpy(out + t * l->out.size + d * cell->n_h, cell->h, cell->n_h * sizeof *out);
        }
    }
}

/* ---- loading --------------------------------------------------------------- */

static void load_acts(const struct oracle_layer *l, uint32_t direction, struct oracle_cell *cell)
{
    uint32_t word = MODEL_RNN_ACTS + direction * MODEL_RNN_ACTS_STRIDE;
    for (uint32_t a = 0; a < 3; a++) {
        cell->acts[a].kind = l->layer.params[word] >> (8 * a) & 0xff;
        cell->acts[a].alpha = oracle_param(l, word + 1 + 2 * a);
        cell->acts[a].beta = oracle_param(l, word + 2 + 2 * a);
    }
}

static void load_cell(const struct oracle_layer *l, uint32_t direction, struct oracle_cell *cell)
{
    double *const *slots = l->tensors + direction * MODEL_RNN_SLOTS;
    cell->type = l->layer.type;
    cell->flags = l->layer.params[MODEL_RNN_FLAGS];
    cell->reversed = direction == 1 || l->layer.params[MODEL_RNN_DIRECTION] == MODEL_REVERSED;
    cell->hidden = l->layer.params[MODEL_RNN_HIDDEN];
    cell->clip = oracle_param(l, MODEL_RNN_CLIP);
    cell->weights = slots[MODEL_SLOT_W];
    cell->bias = slots[MODEL_SLOT_BIAS];
    cell->peephole = slots[MODEL_SLOT_PEEPHOLE];
    cell->projection = slots[MODEL_SLOT_PROJECTION];
    cell->h0 = slots[MODEL_SLOT_H0];
    cell->c0 = slots[MODEL_SLOT_C0];
    cell->n_x = l->in[0].size;
    cell->n_h = cell->hidden;
    if (cell->projection)
        cell->n_h = l->shapes[direction * MODEL_RNN_SLOTS + MODEL_SLOT_PROJECTION].dims[0];
    load_acts(l, direction, cell);
    cell->h = oracle_alloc(cell->n_h, sizeof *cell->h);
    if (cell->type == MODEL_LSTM)
        cell->c = oracle_alloc(cell->hidden, sizeof *cell->c);
}

void oracle_load_cells(struct oracle_layer *l)
{
    if (l->layer.type != MODEL_LSTM && l->layer.type != MODEL_GRU && l->layer.type != MODEL_RNN)
        return;
    l->n_cells = l->layer.params[MODEL_RNN_DIRECTION] == MODEL_BIDIRECTIONAL ? 2 : 1;
    for (uint32_t d = 0; d < l->n_cells; d++)
        load_cell(l, d, &l->cells[d]);
}

static void reset_vector(double *state, const double *initial, double otherwise, size_t n)
{
    for (size_t j = 0; j < n; j++)
        state[j] = initial ? initial[j] : otherwise;
}

void oracle_reset_cell(struct oracle_cell *cell)
{
    reset_vector(cell->h, cell->h0, cell->rest, cell->n_h);
    if (cell->c)
        reset_vector(cell->c, cell->c0, 0, cell->hidden);
}
