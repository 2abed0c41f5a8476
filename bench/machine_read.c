/* SPDX-License-Identifier: MIT
 *
 * Sweeps over memory with loads of each width: the loads are all that is done, so that
 * what is measured is the way from the cache or the memory to the registers.
 */
#define _DEFAULT_SOURCE
#include "bench/machine_read.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "bench/together.h"

#if defined(__linux__)
#include <sys/mman.h>
#endif

enum { BLOCK = 256 };

#if defined(__x86_64__)
#define REGISTER "v"
#else
#define REGISTER "w"
#endif

/* Loads of a block of four lines, so that they are the limit and not the loop around them. An empty
 * piece of assembly takes each: nothing is computed, and nothing is left out. */
#define READ_BLOCK(name, bytes, at)                                                            \
    do {                                                                                       \
        const name##_part *block = (const name##_part *)memory + BLOCK / (bytes) * (at);       \
        _Pragma("GCC unroll 16") for (int part = 0; part < BLOCK / (bytes); part++)            \
            __asm__ volatile("" : : REGISTER(block[part]));                                    \
    } while (0)

#define SWEEP(name, bytes, attribute)                                                          \
    typedef uint64_t name##_part __attribute__((vector_size(bytes)));                          \
    attribute static void name(const void *memory, size_t n_blocks, size_t passes, bool turn)  \
    {                                                                                          \
        for (size_t pass = 0; pass < passes; pass++) {                                         \
            if (turn && pass % 2)                                                              \
                for (size_t i = n_blocks; i > 0; i--)                                          \
                    READ_BLOCK(name, bytes, i - 1);                                            \
            else                                                                               \
                for (size_t i = 0; i < n_blocks; i++)                                          \
                    READ_BLOCK(name, bytes, i);                                                \
        }                                                                                      \
    }

SWEEP(sweep_16, 16, )
#if defined(__x86_64__)
SWEEP(sweep_32, 32, __attribute__((target("avx2"))))
SWEEP(sweep_64, 64, __attribute__((target("avx512f"))))
#endif

typedef void sweep_function(const void *memory, size_t n_blocks, size_t passes, bool turn);

/* Level "scalar" reads single floats; its row bounds it from above. */
static const struct {
    const char *isa;
    sweep_function *run;
} sweeps[] = {
#if defined(__x86_64__)
    {"avx512", sweep_64},
    {"avx2", sweep_32},
#endif
    {"neon", sweep_16},
    {"scalar", sweep_16},
};

static sweep_function *find_sweep(const char *isa)
{
    size_t row = 0;
    while (row + 1 < sizeof sweeps / sizeof sweeps[0] && strcmp(sweeps[row].isa, isa) != 0)
        row++;
    return sweeps[row].run;
}

/* ---- sets ------------------------------------------------------------------------- */

static void *make_set(size_t n_bytes)
{
    const size_t huge = (size_t)2 << 20;
    void *memory = NULL;
    if (posix_memalign(&memory, n_bytes < huge ? 4096 : huge, n_bytes) != 0)
        return NULL;
#if defined(__linux__) && defined(MADV_HUGEPAGE)
    if (n_bytes >= huge)
        (void)madvise(memory, n_bytes, MADV_HUGEPAGE);
#endif
    memset(memory, 1, n_bytes);
    return memory;
}

int read_sets_open(struct read_sets *sets, unsigned threads, size_t n_bytes)
{
    n_bytes = n_bytes < BLOCK ? BLOCK : n_bytes;
    *sets = (struct read_sets){threads, n_bytes, calloc(threads, sizeof *sets->sets)};
    for (unsigned i = 0; sets->sets && i < threads; i++)
        if (!(sets->sets[i] = make_set(n_bytes))) {
            read_sets_close(sets);
            return 0;
        }
    return sets->sets != NULL;
}

void read_sets_close(struct read_sets *sets)
{
    for (unsigned i = 0; sets->sets && i < sets->threads; i++)
        free(sets->sets[i]);
    free(sets->sets);
    *sets = (struct read_sets){0};
}

/* ---- measuring -------------------------------------------------------------------- */

struct sweep_job {
    const struct read_sets *sets;
    sweep_function *run;
    size_t n_blocks, passes;
    bool turn;
};

static void sweep_own(void *context, unsigned rank)
{
    const struct sweep_job *job = context;
    job->run(job->sets->sets[rank], job->n_blocks, job->passes, job->turn);
}

/* An even number of passes, so that each try goes on where the last one ended. */
static size_t passes_of(size_t n_bytes)
{
    const size_t least = (size_t)64 << 20;
    const size_t passes = least / n_bytes;
    return passes < 2 ? 2 : passes / 2 * 2;
}

/* Many where they are short: other users of the machine spoil some. */
static unsigned tries_of(size_t n_bytes)
{
    return n_bytes <= (size_t)8 << 20 ? 20 : 4;
}

double read_gbs(const struct read_sets *sets, const char *isa, unsigned threads, size_t n_bytes,
                enum read_order order)
{
    struct sweep_job job = {sets, find_sweep(isa), n_bytes / BLOCK, 0, order == READ_ALTERNATING};
    job.n_blocks = job.n_blocks ? job.n_blocks : 1;
    job.passes = passes_of(job.n_blocks * BLOCK);
    const double ns = together_ns(threads, tries_of(n_bytes), sweep_own, &job);
    return ns > 0 ? (double)threads * (double)job.n_blocks * BLOCK * (double)job.passes / ns : 0;
}

double read_once_gbs(const char *isa, unsigned threads, size_t n_bytes)
{
    struct read_sets sets;
    if (!read_sets_open(&sets, threads, n_bytes))
        return 0;
    const double gbs = read_gbs(&sets, isa, threads, n_bytes, READ_ALTERNATING);
    read_sets_close(&sets);
    return gbs;
}
