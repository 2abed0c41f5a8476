/* SPDX-License-Identifier: MIT
 *
 * Every instruction set that this build and this CPU have, one after the other.
 */
#ifndef LSTMRUN_TESTS_EACH_ISA_H
#define LSTMRUN_TESTS_EACH_ISA_H

#include "simd/cpu.h"
#include "simd/kernels.h"

static void for_each_isa(void (*fn)(const struct simd_isa *isa))
{
    const uint32_t bits = simd_cpu_detect().bits;
    size_t n;
    const struct simd_isa *const *isas = simd_all(&n);
    for (size_t s = 0; s < n; s++)
        if (!(isas[s]->needs & ~bits))
            fn(isas[s]);
}

#endif
