/* SPDX-License-Identifier: MIT
 *
 * Flush-to-zero through the control register of each architecture. Where there is
 * none, denormals stay and only cost time.
 */
#include "simd/fpenv.h"

#if defined(__SSE2__)

#include <immintrin.h>

enum {
    MXCSR_DENORMALS_ARE_ZERO = 1u << 6,
    MXCSR_MASK_EXCEPTIONS = 0x3fu << 7,
    MXCSR_ROUNDING = 3u << 13, /* 0 is to nearest */
    MXCSR_FLUSH_TO_ZERO = 1u << 15,
};

static unsigned with_modes(unsigned csr)
{
    return (csr & ~(unsigned)MXCSR_ROUNDING) | MXCSR_DENORMALS_ARE_ZERO | MXCSR_MASK_EXCEPTIONS |
           MXCSR_FLUSH_TO_ZERO;
}

/* Writing the register takes as long as a small layer's activations. Hosts of audio plugins
 * have these modes already. */
uint64_t simd_fpenv_enter(void)
{
    const unsigned saved = _mm_getcsr();
    if (saved != with_modes(saved))
        _mm_setcsr(with_modes(saved));
    return saved;
}

/* With the modes goes what exception flags the run has raised: the caller did not raise them.
 * To look whether there are any would mean to wait for the end of all arithmetic. */
void simd_fpenv_leave(uint64_t saved)
{
    if ((unsigned)saved != with_modes((unsigned)saved))
        _mm_setcsr((unsigned)saved);
}

#elif defined(__aarch64__)

#define FPCR_TRAPS (0x9f00ull)       /* IDE and IXE, UFE, OFE, DZE, IOE */
#define FPCR_ROUNDING (3ull << 22)   /* 0 is to nearest */
#define FPCR_FLUSH_TO_ZERO (1ull << 24)
#define FPCR_DEFAULT_NAN (1ull << 25)
#define FPCR_ALTERNATE (7ull << 0)   /* FIZ, AH, NEP: other rules for flushing and NaN */

static uint64_t read_fpcr(void)
{
    uint64_t value;
    __asm__ volatile("mrs %0, fpcr" : "=r"(value));
    return value;
}

static void write_fpcr(uint64_t value)
{
    __asm__ volatile("msr fpcr, %0" : : "r"(value) : "memory");
}

uint64_t simd_fpenv_enter(void)
{
    uint64_t saved = read_fpcr();
    uint64_t off = FPCR_TRAPS | FPCR_ROUNDING | FPCR_DEFAULT_NAN | FPCR_ALTERNATE;
    write_fpcr((saved & ~off) | FPCR_FLUSH_TO_ZERO);
    return saved;
}

void simd_fpenv_leave(uint64_t saved)
{
    write_fpcr(saved);
}

#else

uint64_t simd_fpenv_enter(void)
{
    return 0;
}

void simd_fpenv_leave(uint64_t saved)
{
    (void)saved;
}

#endif
