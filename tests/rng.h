/* SPDX-License-Identifier: MIT
 *
 * The tests' random numbers: the same sequence for a seed on every machine, so that
 * a failure report's seed is enough to repeat it.
 */
#ifndef LSTMRUN_TESTS_RNG_H
#define LSTMRUN_TESTS_RNG_H

#include <stddef.h>
#include <stdint.h>

struct rng {
    uint64_t state;
};

/* splitmix64 */
static inline uint64_t rng_next(struct rng *rng)
{
    uint64_t z = (rng->state += UINT64_C(0x9e3779b97f4a7c15));
    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return z ^ (z >> 31);
}

/* A whole number from 0 to n - 1; n > 0. */
static inline uint32_t rng_below(struct rng *rng, uint32_t n)
{
    return (uint32_t)((rng_next(rng) >> 32) * n >> 32);
}

/* True in `percent` of 100 calls. */
static inline int rng_chance(struct rng *rng, uint32_t percent)
{
    return rng_below(rng, 100) < percent;
}

/* Uniform from -limit to limit. */
static inline float rng_float(struct rng *rng, float limit)
{
    return limit * ((float)(rng_next(rng) >> 40) * 0x1p-23f - 1.0f);
}

static inline void rng_fill(struct rng *rng, float limit, float *out, size_t n)
{
    for (size_t j = 0; j < n; j++)
        out[j] = rng_float(rng, limit);
}

#endif
