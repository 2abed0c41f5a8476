/* SPDX-License-Identifier: MIT
 *
 * Talk of the command line tools, see say.h.
 */
#define _GNU_SOURCE

#include "tools/say.h"

#include <argp.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

bool complain_list(const char *format, va_list args)
{
    char text[1024];
    vsnprintf(text, sizeof text, format, args);
    /* One call: lines of two processes that share a terminal stay whole. */
    fprintf(stderr, "%s: %s\n", program_invocation_short_name, text);
    return false;
}

bool complain(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    complain_list(format, args);
    va_end(args);
    return false;
}

void end_for_bad_usage(void)
{
    static const struct argp any;
    argp_help(&any, stderr, ARGP_HELP_SEE, program_invocation_short_name);
    exit(EXIT_BAD_USAGE);
}
