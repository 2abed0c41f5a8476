/* SPDX-License-Identifier: MIT
 *
 * What this processor can do, as the CPU and the operating system both say. A plain
 * value: asked once by whoever needs it, never kept in a global.
 */
#ifndef LSTMRUN_SIMD_CPU_H
#define LSTMRUN_SIMD_CPU_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum simd_cpu_bit {
    SIMD_CPU_AVX2 = 1u << 0,   /* AVX2 and FMA, ymm state enabled by the system */
    SIMD_CPU_AVX512 = 1u << 1, /* AVX-512 F, BW, DQ, VL, zmm and mask state enabled */
    SIMD_CPU_NEON = 1u << 2,   /* aarch64 Advanced SIMD */
};

struct simd_cpu {
    uint32_t bits;
    uint32_t cores;     /* processors this process may run on */
    size_t l1d, l2, l3; /* bytes as one core sees them; a common size if unknown */
    bool near_l3;       /* L3 belongs to a few cores at their clock, not to a mesh of many */
    bool split_zmm;     /* a register of 512 bits is computed in two halves */
    char name[64];      /* for a person */
};

struct simd_cpu simd_cpu_detect(void);

/* "avx2", "avx512", "neon" for the bits set, separated by spaces. */
void simd_cpu_bits_text(uint32_t bits, char *text, size_t n_bytes);

#endif
