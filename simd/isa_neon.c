/* SPDX-License-Identifier: MIT
 *
 * The kernels of one instruction set: aarch64 Advanced SIMD, 4 floats.
 * Exports one symbol, simd_isa_neon.
 */
#if !defined(__aarch64__) || !defined(__ARM_NEON)
#error "isa_neon.c needs an aarch64 compiler"
#endif

#include "simd/vec_neon.h"
#include "simd/act_tmpl.h"
#include "simd/cell_tmpl.h"
#include "simd/ops_tmpl.h"
#include "simd/gates_neon.h"
#include "simd/isa.h"

const struct simd_isa simd_isa_neon = {
    .name = "neon",
    .needs = SIMD_CPU_NEON,
    .lanes = VEC_LANES,
    .gemm = gemm_kernels,
    .lstm = lstm_kernels,
    .gru = gru_kernels,
    .gate = gate_kernels,
    .ops = &vector_ops,
};
