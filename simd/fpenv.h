/* SPDX-License-Identifier: MIT
 *
 * Flush-to-zero for the length of a run: denormals cost a hundred times a normal
 * number on some CPUs, and a decaying cell state is full of them. Through the control register
 * of each architecture; where there is none, denormals stay and only cost time.
 *
 *     void simd_fpenv_enter(struct simd_fpenv *saved);
 *     void simd_fpenv_leave(const struct simd_fpenv *saved);
 *
 * Flush denormal results and operands of this thread to zero, round to nearest,
 * mask exceptions; enter fills in what leave needs to restore. Exception flags raised in
 * between are dropped where the modes had to be changed, and may stay where not. Inline, as they
 * are a good part of the shortest runs.
 */
#ifndef LSTMRUN_SIMD_FPENV_H
#define LSTMRUN_SIMD_FPENV_H

#include <stdint.h>

#if defined(__SSE2__)

struct simd_fpenv {
    unsigned csr;
};

/* The register goes to memory and back without being looked at: it holds the exception flags of
 * all that was computed before, so a load of it, even one that nothing waits for but a branch that
 * is foreseen, keeps all that follows in the processor's window until that is done. On a Zen 4 core
 * it cost 30 to 60 cycles of a run of one frame; this costs 2 to 7. */
static inline void simd_fpenv_enter(struct simd_fpenv *saved)
{
    enum { DENORMALS_ARE_ZERO = 1 << 6, MASK_EXCEPTIONS = 0x3f << 7, FLUSH_TO_ZERO = 1 << 15 };
    const unsigned modes = DENORMALS_ARE_ZERO | MASK_EXCEPTIONS | FLUSH_TO_ZERO;
    __asm__ volatile("stmxcsr %0" : "=m"(saved->csr) : : "memory");
    __asm__ volatile("ldmxcsr %0" : : "m"(modes) : "memory");
}

/* With the modes go what exception flags the run has raised: the caller did not raise them. */
static inline void simd_fpenv_leave(const struct simd_fpenv *saved)
{
    __asm__ volatile("ldmxcsr %0" : : "m"(saved->csr) : "memory");
}

#elif defined(__aarch64__)

struct simd_fpenv {
    uint64_t fpcr;
};

static inline uint64_t simd_fpenv_read(void)
{
    uint64_t value;
    __asm__ volatile("mrs %0, fpcr" : "=r"(value));
    return value;
}

static inline void simd_fpenv_write(uint64_t value)
{
    __asm__ volatile("msr fpcr, %0" : : "r"(value) : "memory");
}

static inline void simd_fpenv_enter(struct simd_fpenv *saved)
{
    const uint64_t traps = 0x9f00;         /* IDE and IXE, UFE, OFE, DZE, IOE */
    const uint64_t rounding = 3ull << 22;  /* 0 is to nearest */
    const uint64_t flush_to_zero = 1ull << 24, default_nan = 1ull << 25;
    const uint64_t alternate = 7;          /* FIZ, AH, NEP: other rules for flushing and NaN */
    saved->fpcr = simd_fpenv_read();
    simd_fpenv_write((saved->fpcr & ~(traps | rounding | default_nan | alternate)) | flush_to_zero);
}

static inline void simd_fpenv_leave(const struct simd_fpenv *saved)
{
    simd_fpenv_write(saved->fpcr);
}

#else

struct simd_fpenv {
    char nothing;
};

static inline void simd_fpenv_enter(struct simd_fpenv *saved)
{
    saved->nothing = 0;
}

static inline void simd_fpenv_leave(const struct simd_fpenv *saved)
{
    (void)saved;
}

#endif
#endif
