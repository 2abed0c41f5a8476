/* SPDX-License-Identifier: MIT
 *
 * Flush-to-zero for the length of a run: denormals cost a hundred times a normal
 * number on some CPUs, and a decaying cell state is full of them.
 */
#ifndef LSTMRUN_SIMD_FPENV_H
#define LSTMRUN_SIMD_FPENV_H

#include <stdint.h>

/* Flush denormal results and operands of this thread to zero, round to nearest,
 * mask exceptions; answers what simd_fpenv_leave needs to restore. Exception flags raised in
 * between are dropped where the modes had to be changed, else they stay. */
uint64_t simd_fpenv_enter(void);
void simd_fpenv_leave(uint64_t saved);

#endif
