/* SPDX-License-Identifier: MIT
 *
 * The kernels of one instruction set: AVX-512 (F, BW, DQ, VL), 16 floats.
 * Exports one symbol, simd_isa_avx512.
 */
#if !defined(__AVX512F__) || !defined(__AVX512BW__) || !defined(__AVX512DQ__) || \
    !defined(__AVX512VL__)
#error "isa_avx512.c needs -mavx512f -mavx512bw -mavx512dq -mavx512vl"
#endif

#include "simd/vec_avx512.h"
#include "simd/act_tmpl.h"
#include "simd/cell_tmpl.h"
#include "simd/ops_tmpl.h"
#include "simd/gates_avx512.h"
#include "simd/isa.h"

const struct simd_isa simd_isa_avx512 = {
    .name = "avx512",
    .needs = SIMD_CPU_AVX512,
    .lanes = VEC_LANES,
    .gemm = gemm_kernels,
    .lstm = lstm_kernels,
    .gru = gru_kernels,
    .gate = gate_kernels,
    .ops = &vector_ops,
};
