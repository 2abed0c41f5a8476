/* SPDX-License-Identifier: MIT
 *
 * The machine in figures. A set is read in alternating order, as plans read weights; a
 * level of the caches one way, so that nothing of the set comes from a nearer level.
 */
#define _DEFAULT_SOURCE
#include "bench/machine_table.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "bench/machine_read.h"
#include "simd/cpu.h"

static const size_t KIB = 1024, MIB = 1024 * 1024;

static size_t smaller(size_t a, size_t b)
{
    return a < b ? a : b;
}

static size_t larger(size_t a, size_t b)
{
    return a > b ? a : b;
}

/* ---- what to read ------------------------------------------------------------------- */

/* Bytes that a set of each core may have: an eighth of the memory. */
static size_t most_bytes(void)
{
    const long pages = sysconf(_SC_PHYS_PAGES), page = sysconf(_SC_PAGESIZE);
    return pages > 0 && page > 0 ? (size_t)pages / 8 * (size_t)page : 64 * MIB;
}

/* Beyond any cache, but not more than is filled in a moment. */
static size_t dram_bytes(const struct simd_cpu *cpu)
{
    const size_t wanted = larger(4 * cpu->l3, 256 * MIB);
    return smaller(smaller(wanted, 1024 * MIB), most_bytes());
}

static void add_level(struct machine_table *table, const char *name, size_t holds, size_t bytes)
{
    table->level[table->n_levels].name = name;
    table->level[table->n_levels].holds = holds;
    table->level[table->n_levels++].bytes = bytes;
}

static void list_levels(struct machine_table *table, const struct simd_cpu *cpu)
{
    add_level(table, "L1", cpu->l1d, cpu->l1d / 2);
    add_level(table, "L2", cpu->l2, cpu->l2 / 2);
    if (cpu->l3)
        add_level(table, "L3", cpu->l3, smaller(4 * cpu->l2, cpu->l3 / 4 * 3));
    add_level(table, "DRAM", 0, dram_bytes(cpu));
}

static const char *level_of(const struct machine_table *table, size_t bytes)
{
    size_t i = 0;
    while (i + 1 < table->n_levels && bytes > table->level[i].holds)
        i++;
    return table->level[i].name;
}

static void list_sets(struct machine_table *table)
{
    const size_t most = smaller(256 * MIB, most_bytes());
    for (size_t bytes = 16 * KIB; bytes <= most && table->n_sets < TABLE_SETS; bytes *= 2) {
        table->set[table->n_sets].bytes = bytes;
        table->set[table->n_sets++].level = level_of(table, bytes);
    }
}

/* ---- measuring ------------------------------------------------------------------------ */

/* The fastest of all rounds: other users of the machine only slow it down. */
static void keep(double *best, double figure)
{
    *best = figure > *best ? figure : *best;
}

static void measure_fma(struct machine_table *table)
{
    for (int from = FMA_REGISTERS; from <= FMA_L1; from++)
        for (unsigned c = 0; c < table->cores; c++)
            for (unsigned i = 0; i < table->n_isas; i++)
                keep(&table->fma[from][c][i],
                     limits_fma_gflops(table->isa[i], c + 1, (enum limits_fma)from));
}

static void measure_sets(struct machine_table *table, const struct read_sets *sets)
{
    for (size_t s = 0; s < table->n_sets; s++)
        for (unsigned c = 0; c < table->cores; c++)
            for (unsigned i = 0; i < table->n_isas; i++)
                keep(&table->set[s].gbs[c][i], read_gbs(sets, table->isa[i], c + 1, table->set[s].bytes,
                                                        READ_ALTERNATING));
}

static void measure_levels(struct machine_table *table, const struct read_sets *sets)
{
    for (size_t l = 0; l < table->n_levels; l++)
        for (unsigned c = 0; c < table->cores; c++)
            keep(&table->level[l].gbs[c],
                 read_gbs(sets, table->isa[0], c + 1, table->level[l].bytes, READ_ONE_WAY));
}

int machine_table_measure(struct machine_table *table, const char *most, unsigned rounds)
{
    const struct simd_cpu cpu = simd_cpu_detect();
    struct read_sets sets;
    *table = (struct machine_table){.cores = cpu.cores < TABLE_CORES ? 1 : TABLE_CORES};
    table->n_isas = limits_isas(most, table->isa);
    list_levels(table, &cpu);
    list_sets(table);
    const size_t bytes = larger(table->set[table->n_sets - 1].bytes,
                                table->level[table->n_levels - 1].bytes);
    if (!read_sets_open(&sets, table->cores, bytes))
        return 0;
    for (unsigned round = 0; round < rounds; round++) {
        keep(&table->clock_ghz, limits_clock_ghz());
        measure_fma(table);
        measure_sets(table, &sets);
        measure_levels(table, &sets);
    }
    read_sets_close(&sets);
    return 1;
}

/* ---- printing --------------------------------------------------------------------------- */

static void print_bytes(size_t bytes)
{
    if (bytes < MIB)
        printf("%5zu KiB", bytes / KIB);
    else
        printf("%5zu MiB", bytes / MIB);
}

/* A column for each instruction set on one core, then on two. */
static void print_heads(const struct machine_table *table)
{
    static const char *const cores[TABLE_CORES] = {"", " x2"};
    for (unsigned c = 0; c < table->cores; c++)
        for (unsigned i = 0; i < table->n_isas; i++) {
            char head[32];
            snprintf(head, sizeof head, "%s%s", table->isa[i], cores[c]);
            printf(" %10s", head);
        }
    putchar('\n');
}

static void print_figures(const struct machine_table *table,
                          const double figures[TABLE_CORES][LIMITS_ISAS])
{
    for (unsigned c = 0; c < table->cores; c++)
        for (unsigned i = 0; i < table->n_isas; i++)
            printf(" %10.1f", figures[c][i]);
}

void machine_table_print(const struct machine_table *table)
{
    static const char *const from[] = {"fma from registers", "fma, one from L1"};
    printf("clock %.2f GHz\n\n%-22s", table->clock_ghz, "GFLOP/s");
    print_heads(table);
    for (int f = FMA_REGISTERS; f <= FMA_L1; f++) {
        printf("%-22s", from[f]);
        print_figures(table, table->fma[f]);
        putchar('\n');
    }
    printf("\n%-22s", "GB/s, up and down");
    print_heads(table);
    for (size_t s = 0; s < table->n_sets; s++) {
        print_bytes(table->set[s].bytes);
        printf(" in %-9s", table->set[s].level);
        print_figures(table, table->set[s].gbs);
        putchar('\n');
    }
    printf("\n%-22s %10s%s\n", "GB/s, one way", table->isa[0], table->cores > 1 ? "         x2" : "");
    for (size_t l = 0; l < table->n_levels; l++) {
        print_bytes(table->level[l].bytes);
        printf(" in %-9s", table->level[l].name);
        for (unsigned c = 0; c < table->cores; c++)
            printf(" %10.1f", table->level[l].gbs[c]);
        putchar('\n');
    }
}

static json_t *isa_json(const struct machine_table *table, const double figures[LIMITS_ISAS])
{
    json_t *object = json_object();
    for (unsigned i = 0; i < table->n_isas; i++)
        json_object_set_new(object, table->isa[i], json_real(figures[i]));
    return object;
}

static json_t *sets_json(const struct machine_table *table)
{
    json_t *rows = json_array();
    for (size_t s = 0; s < table->n_sets; s++) {
        json_t *row = json_pack("{s:I,s:s,s:o}", "bytes", (json_int_t)table->set[s].bytes, "level",
                                table->set[s].level, "gbs", isa_json(table, table->set[s].gbs[0]));
        if (table->cores > 1)
            json_object_set_new(row, "gbs_two", isa_json(table, table->set[s].gbs[1]));
        json_array_append_new(rows, row);
    }
    return rows;
}

static json_t *levels_json(const struct machine_table *table, unsigned cores)
{
    json_t *object = json_object();
    for (size_t l = 0; l < table->n_levels; l++)
        json_object_set_new(object, table->level[l].name, json_real(table->level[l].gbs[cores - 1]));
    return object;
}

json_t *machine_table_json(const struct machine_table *table)
{
    json_t *all = json_pack("{s:s,s:f,s:o,s:o,s:o,s:o}", "isa", table->isa[0], "clock_ghz",
                            table->clock_ghz, "fma_gflops", isa_json(table, table->fma[FMA_REGISTERS][0]),
                            "fma_l1_gflops", isa_json(table, table->fma[FMA_L1][0]), "read",
                            sets_json(table), "levels", levels_json(table, 1));
    if (table->cores > 1) {
        json_object_set_new(all, "fma_gflops_two", isa_json(table, table->fma[FMA_REGISTERS][1]));
        json_object_set_new(all, "fma_l1_gflops_two", isa_json(table, table->fma[FMA_L1][1]));
        json_object_set_new(all, "levels_two", levels_json(table, 2));
    }
    json_t *caches = json_object();
    for (size_t l = 0; l + 1 < table->n_levels; l++)
        json_object_set_new(caches, table->level[l].name, json_integer((json_int_t)table->level[l].holds));
    json_object_set_new(all, "caches", caches);
    return all;
}
