/* SPDX-License-Identifier: MIT
 *
 * Aligned memory. Blocks that outgrow a core's L2 go on huge pages where the system
 * offers them: weights that are swept every step would otherwise miss the TLB.
 */
#ifndef LSTMRUN_RUNTIME_MEMORY_H
#define LSTMRUN_RUNTIME_MEMORY_H

#include <stdbool.h>
#include <stddef.h>

enum { MEMORY_ALIGN = 64 };

/* 64-byte aligned, not cleared; NULL if there is none. 0 bytes give a valid block. */
void *memory_alloc(size_t n_bytes);
void memory_free(void *block);

/* a·b and a+b; false on overflow. */
bool memory_mul(size_t a, size_t b, size_t *out);
bool memory_add(size_t a, size_t b, size_t *out);

/* A ledger: offsets into one block, booked while planning, granted while running.
 * A sum that overflows sticks at SIZE_MAX, which no allocation can satisfy. */
struct ledger {
    size_t n_bytes;
};

size_t ledger_book(struct ledger *ledger, size_t count, size_t size_each);

#endif
