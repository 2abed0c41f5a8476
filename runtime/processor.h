/* SPDX-License-Identifier: MIT
 *
 * Which processor a thread runs on, and how it gets off another's. A thread that is woken often starts on
 * the processor of the one that woke it, and in a virtual machine it stays there for milliseconds.
 */
#ifndef LSTMRUN_RUNTIME_PROCESSOR_H
#define LSTMRUN_RUNTIME_PROCESSOR_H

#include <stdbool.h>

/* The calling thread's processor; -1: the system does not say. */
int processor_current(void);

/* Move the calling thread to any other processor that it may use, if it runs on `processor`. False: it
 * does, and may use no other. */
bool processor_avoid(int processor);

#endif
