/* SPDX-License-Identifier: MIT
 *
 * Aligned memory and the offset ledger.
 */
#define _DEFAULT_SOURCE
#include "runtime/memory.h"

#include <stdint.h>
#include <stdlib.h>

#if defined(__linux__)
#include <sys/mman.h>
#endif

static const size_t huge_page = (size_t)2 << 20;

void *memory_alloc(size_t n_bytes)
{
    const size_t align = n_bytes >= huge_page ? huge_page : (size_t)MEMORY_ALIGN;
    size_t padded;
    if (!memory_add(n_bytes ? n_bytes : 1, MEMORY_ALIGN - 1, &padded))
        return NULL;
    padded &= ~(size_t)(MEMORY_ALIGN - 1);
    /* A last page that is at least half in use is a huge one too: its rest costs less than
     * hundreds of page faults. */
    const size_t huge = (padded + huge_page / 2) & ~(huge_page - 1);
    void *block = NULL;
    if (posix_memalign(&block, align, align == huge_page && huge > padded ? huge : padded) != 0)
        return NULL;
#if defined(__linux__) && defined(MADV_HUGEPAGE)
    if (align == huge_page)
        (void)madvise(block, huge, MADV_HUGEPAGE);
#endif
    return block;
}

void memory_free(void *block)
{
    free(block);
}

bool memory_mul(size_t a, size_t b, size_t *out)
{
    if (b && a > SIZE_MAX / b)
        return false;
    *out = a * b;
    return true;
}

bool memory_add(size_t a, size_t b, size_t *out)
{
    if (a > SIZE_MAX - b)
        return false;
    *out = a + b;
    return true;
}

size_t ledger_book(struct ledger *ledger, size_t count, size_t size_each)
{
    const size_t offset = ledger->n_bytes;
    size_t bytes, end;
    if (offset == SIZE_MAX || !memory_mul(count, size_each, &bytes) ||
        !memory_add(bytes, MEMORY_ALIGN - 1, &bytes) ||
        !memory_add(offset, bytes & ~(size_t)(MEMORY_ALIGN - 1), &end)) {
        ledger->n_bytes = SIZE_MAX;
        return 0;
    }
    ledger->n_bytes = end;
    return offset;
}
