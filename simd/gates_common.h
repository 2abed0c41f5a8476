/* SPDX-License-Identifier: MIT
 *
 * Words that every gates_<isa>.h with tiles needs before gates_tmpl.h.
 */
#ifndef LSTMRUN_SIMD_GATES_COMMON_H
#define LSTMRUN_SIMD_GATES_COMMON_H

#include <stdbool.h>

/* Tiles are written once with `rows` and the like as parameters and must become one
 * straight piece of code for each constant; what calls them must not be repeated.
 * FLATTEN: all that a function calls is part of it; a call would put sums in memory.
 * With a sanitizer speed does not matter, and clang needs minutes for such functions. */
#if defined(__SANITIZE_ADDRESS__)
#define GATES_SANITIZED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(undefined_behavior_sanitizer) || \
    __has_feature(thread_sanitizer) || __has_feature(memory_sanitizer)
#define GATES_SANITIZED 1
#endif
#endif
#define NO_INLINE __attribute__((noinline))
#ifdef GATES_SANITIZED
#define ALWAYS_INLINE inline
#define FLATTEN NO_INLINE
#else
#define ALWAYS_INLINE inline __attribute__((always_inline))
#define FLATTEN __attribute__((noinline, flatten))
#endif

/* A value that is used several times must be loaded once: without this, gcc 12 makes
 * its load an operand of each use, which the load ports cannot feed. */
#define KEEP_IN_REGISTER(x) __asm__("" : "+v"(x))

/* Where registers are just enough: without this, gcc 12 moves the loads of several steps
 * ahead and pushes sums out to memory to make room for them. */
#define KEEP_LOADS_BEHIND __asm__ volatile("" : : : "memory")

/* After wide registers, old instructions are slow until the upper halves are declared empty. gcc
 * 12 forgets it where a function that was given such registers ends the caller. */
#ifdef __AVX__
#define VECTORS_DONE _mm256_zeroupper()
#else
#define VECTORS_DONE ((void)0)
#endif

/* Where the state of some units is: c in place, h, and where h goes as well, or NULL. */
struct cell_out {
    float *c, *h, *h_copy;
};

/* From its unit `unit` on. */
static inline struct cell_out cell_out_at(struct cell_out out, size_t unit)
{
    return (struct cell_out){out.c + unit, out.h + unit, out.h_copy ? out.h_copy + unit : NULL};
}

/* Panels that one row takes at once: so many wide ones, then one of 32 columns if
 * `half`, then one of 16 if `quarter`. */
struct group_shape {
    unsigned wide;
    bool half, quarter;
};

#endif
