/* SPDX-License-Identifier: MIT
 *
 * What cores can compute at the most, measured: the yardstick beside each figure. Reading
 * is in machine_read.h.
 */
#ifndef LSTMRUN_BENCH_MACHINE_LIMITS_H
#define LSTMRUN_BENCH_MACHINE_LIMITS_H

enum limits_fma {
    FMA_REGISTERS, /* all operands in registers */
    FMA_L1         /* one operand from a set of 16 KiB, as a matrix-vector product has it */
};

/* Names of the vector instruction sets that this build and this CPU have, widest first and
 * none wider than `most` (NULL: any); "scalar" if there is none. At most LIMITS_ISAS. */
enum { LIMITS_ISAS = 2 };
unsigned limits_isas(const char *most, const char *names[LIMITS_ISAS]);

/* From a chain of dependent multiplications. */
double limits_clock_ghz(void);

/* GFLOP/s of `threads` threads together. 0: not measured for this instruction set ("scalar" from L1),
 * or no threads to be had. */
double limits_fma_gflops(const char *isa, unsigned threads, enum limits_fma from);

#endif
