/* SPDX-License-Identifier: MIT
 *
 * The one symbol that each isa_<name>.c exports. Private to simd/: everyone else
 * asks simd_find.
 */
#ifndef LSTMRUN_SIMD_ISA_H
#define LSTMRUN_SIMD_ISA_H

#include "simd/kernels.h"

extern const struct simd_isa simd_isa_scalar;
#if defined(__x86_64__)
extern const struct simd_isa simd_isa_avx2;
extern const struct simd_isa simd_isa_avx512;
#elif defined(__aarch64__)
extern const struct simd_isa simd_isa_neon;
#endif

#endif
