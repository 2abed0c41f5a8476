/* SPDX-License-Identifier: MIT
 *
 * Talk of the command line tools, see say.h.
 */
#define _GNU_SOURCE

#include "tools/say.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>

bool complain(const char *format, ...)
{
    char text[1024];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    /* One call: lines of two processes that share a terminal stay whole. */
    fprintf(stderr, "%s: %s\n", program_invocation_short_name, text);
    return false;
}
