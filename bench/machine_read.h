/* SPDX-License-Identifier: MIT
 *
 * How fast sets of bytes can be read again and again, by one core and by several at once.
 */
#ifndef LSTMRUN_BENCH_MACHINE_READ_H
#define LSTMRUN_BENCH_MACHINE_READ_H

#include <stddef.h>

/* Memory that `threads` threads sweep, a set for each. */
struct read_sets {
    unsigned threads;
    size_t n_bytes; /* of each set, at the most */
    void **sets;    /* [threads] */
};

enum read_order {
    READ_ONE_WAY,    /* always upwards: a set beyond a cache is gone from it before it is used again */
    READ_ALTERNATING /* up, then down: what was read last is read first, as plans read their weights */
};

/* 0: out of memory. On huge pages where there are any, as weights are: else the translation of
 * addresses would be the limit that is measured. */
int read_sets_open(struct read_sets *sets, unsigned threads, size_t n_bytes);
void read_sets_close(struct read_sets *sets);

/* GB/s of `threads` threads together, each of which reads `n_bytes` of its own with loads as wide as
 * `isa` has them. */
double read_gbs(const struct read_sets *sets, const char *isa, unsigned threads, size_t n_bytes,
                enum read_order order);

/* The alternating sweep with sets of its own; 0 if there is no memory for them. */
double read_once_gbs(const char *isa, unsigned threads, size_t n_bytes);

#endif
