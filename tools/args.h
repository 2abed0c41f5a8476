/* SPDX-License-Identifier: MIT
 *
 * The command line of lstmrun.
 */
#ifndef LSTMRUN_TOOLS_ARGS_H
#define LSTMRUN_TOOLS_ARGS_H

#include <stdbool.h>
#include <stddef.h>

#include "tools/speech.h"

struct args {
    const char *model;
    const char *input;        /* NULL: none given; "-": stdin */
    const char *output;       /* -o; NULL or "-": stdout */
    const char *format;       /* of the output; NULL: by extension */
    const char *input_format; /* NULL: by extension */
    const char *load_state;
    const char *save_state;
    const char *isa;
    const char *backend;
    const char *split; /* NULL: as the planner chooses */
    size_t threads; /* 0: as many as pay */
    size_t chunk;   /* 0: not given */
    size_t steps;   /* hints for --plan; 0: not given */
    size_t batch;
    bool info, plan, time, show_state, quiet;
    bool measure; /* --plan=measure */
    bool prewarm;
    bool speech_given; /* an option of `speech` */
    struct speech_options speech;
};

/* Fill `out` or end the program: --help and --version on stdout with code 0, bad usage
 * on stderr with code 2. */
void args_parse(int argc, char **argv, struct args *out);

/* End the program for bad usage: a message, a hint at --help, code 2. */
void args_refuse(const char *format, ...) __attribute__((format(printf, 1, 2), noreturn));

#endif
