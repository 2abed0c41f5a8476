/* SPDX-License-Identifier: MIT
 *
 * Talk of the command line tools: always on stderr, always beginning with the name of
 * the program.
 */
#ifndef LSTMRUN_TOOLS_SAY_H
#define LSTMRUN_TOOLS_SAY_H

#include <stdarg.h>
#include <stdbool.h>

/* Exit codes of every tool. */
enum { EXIT_GOOD = 0, EXIT_BAD_DATA = 1, EXIT_BAD_USAGE = 2 };

/* "lstmrun: " and the text and a newline. Returns false, so that callers can
 * `return complain(…)`. */
bool complain(const char *format, ...) __attribute__((format(printf, 1, 2)));
bool complain_list(const char *format, va_list args) __attribute__((format(printf, 1, 0)));

/* End the program for bad usage, after a message: the hint at --help that argp prints
 * too, and code 2. */
void end_for_bad_usage(void) __attribute__((noreturn));

#endif
