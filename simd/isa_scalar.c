/* SPDX-License-Identifier: MIT
 *
 * The kernels of one instruction set: the reference, one float at a time. Runs everywhere.
 * Exports one symbol, simd_isa_scalar.
 */
#include "simd/vec_scalar.h"
#include "simd/act_tmpl.h"
#include "simd/cell_tmpl.h"
#include "simd/ops_tmpl.h"
#include "simd/gates_scalar.h"
#include "simd/isa.h"

const struct simd_isa simd_isa_scalar = {
    .name = "scalar",
    .needs = 0,
    .lanes = VEC_LANES,
    .gemm = gemm_kernels,
    .lstm = lstm_kernels,
    .gru = gru_kernels,
    .gate = gate_kernels,
    .ops = &vector_ops,
};
