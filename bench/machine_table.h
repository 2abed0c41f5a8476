/* SPDX-License-Identifier: MIT
 *
 * lstmbench --limits: everything that is measured of the machine, as a table and as JSON.
 */
#ifndef LSTMRUN_BENCH_MACHINE_TABLE_H
#define LSTMRUN_BENCH_MACHINE_TABLE_H

#include <jansson.h>

#include "bench/machine_limits.h"

enum { TABLE_SETS = 15, TABLE_LEVELS = 4, TABLE_CORES = 2 };

/* Arrays over cores: one, then two at once (sums of both); 0 where only one may be used. */
struct machine_table {
    unsigned n_isas, cores;
    const char *isa[LIMITS_ISAS];
    double clock_ghz;
    double fma[2][TABLE_CORES][LIMITS_ISAS]; /* by enum limits_fma */
    size_t n_sets, n_levels;
    struct {
        size_t bytes;
        double gbs[TABLE_CORES][LIMITS_ISAS]; /* in alternating order */
        const char *level;                    /* smallest that holds the set */
    } set[TABLE_SETS];
    struct {
        const char *name;
        size_t holds, bytes; /* 0: no end; bytes of the set that was read */
        double gbs[TABLE_CORES]; /* one way, widest loads */
    } level[TABLE_LEVELS];
};

/* The best of so many rounds. `most`: the highest instruction set, or NULL. 0: out of memory. */
int machine_table_measure(struct machine_table *table, const char *most, unsigned rounds);
void machine_table_print(const struct machine_table *table);
json_t *machine_table_json(const struct machine_table *table);

#endif
