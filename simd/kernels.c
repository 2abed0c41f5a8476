/* SPDX-License-Identifier: MIT
 *
 * The table of instruction sets and the choice among them, a pure function of the
 * CPU bits and the limit.
 */
#include <string.h>

#include "simd/isa.h"

/* Best first. A set that is faster than another must come before it. */
static const struct simd_isa *const all[] = {
#if defined(__x86_64__)
    &simd_isa_avx512,
    &simd_isa_avx2,
#elif defined(__aarch64__)
    &simd_isa_neon,
#endif
    &simd_isa_scalar,
};

enum { N_ALL = sizeof all / sizeof all[0] };

const struct simd_isa *const *simd_all(size_t *n_out)
{
    *n_out = N_ALL;
    return all;
}

/* The limit is a request for that very level: a CPU that lacks it gets no silent
 * substitute. */
const struct simd_isa *simd_find(uint32_t cpu_bits, const char *limit)
{
    for (size_t i = 0; i < N_ALL; i++) {
        bool runs = (all[i]->needs & ~cpu_bits) == 0;
        if (limit && strcmp(all[i]->name, limit) == 0)
            return runs ? all[i] : NULL;
        if (!limit && runs)
            return all[i];
    }
    return NULL;
}
