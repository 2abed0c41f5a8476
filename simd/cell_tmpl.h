/* SPDX-License-Identifier: MIT
 *
 * The update of an LSTM and of a GRU cell on the vector vocabulary, in the order that kernels.h
 * states. Include one vec_<isa>.h and act_tmpl.h first.
 */
#ifndef LSTMRUN_SIMD_CELL_TMPL_H
#define LSTMRUN_SIMD_CELL_TMPL_H

/* From gates after their activations: the new c, and h. A register that holds
 * gates of several kinds goes through act_gate, is taken apart by lane, and comes
 * here. */
static inline vec cell_lstm_activated(vec i, vec f, vec g, vec o, vec c, vec *c_out)
{
    vec c_new = vec_fma(f, c, vec_mul(i, g));
    *c_out = c_new;
    return vec_mul(o, act_tanh(c_new));
}

/* From the four sums, before their activations. */
static inline vec cell_lstm(vec zi, vec zf, vec zg, vec zo, vec c, vec *c_out)
{
    return cell_lstm_activated(act_sigmoid(zi), act_sigmoid(zf), act_tanh(zg), act_sigmoid(zo),
                               c, c_out);
}

/* New h of a GRU from the sums of its gates and of its candidate over x and over h. */
static inline vec cell_gru(vec zr, vec zz, vec nx, vec nh, vec h)
{
    const vec r = act_sigmoid(zr), z = act_sigmoid(zz);
    const vec n = act_tanh(vec_fma(r, nh, nx));
    return vec_fma(z, h, vec_mul(vec_sub(vec_set1(1.0f), z), n));
}

#endif
