/* SPDX-License-Identifier: MIT
 *
 * The kernels of one instruction set: AVX2 with fused multiply-add, 8 floats.
 * Exports one symbol, simd_isa_avx2.
 */
#if !defined(__AVX2__) || !defined(__FMA__)
#error "isa_avx2.c needs -mavx2 -mfma"
#endif

#include "simd/vec_avx2.h"
#include "simd/act_tmpl.h"
#include "simd/cell_tmpl.h"
#include "simd/ops_tmpl.h"
#include "simd/gates_avx2.h"
#include "simd/isa.h"

const struct simd_isa simd_isa_avx2 = {
    .name = "avx2",
    .needs = SIMD_CPU_AVX2,
    .lanes = VEC_LANES,
    .gemm = gemm_kernels,
    .lstm = lstm_kernels,
    .gru = gru_kernels,
    .gate = gate_kernels,
    .ops = &vector_ops,
};
