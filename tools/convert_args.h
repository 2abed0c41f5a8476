/* SPDX-License-Identifier: MIT
 *
 * The command line of lstmconvert.
 */
#ifndef LSTMRUN_TOOLS_CONVERT_ARGS_H
#define LSTMRUN_TOOLS_CONVERT_ARGS_H

#include <stdbool.h>
#include <stddef.h>

enum { CONVERT_MAX_SETS = 256 };

struct convert_args {
    const char *input;
    const char *output; /* -o; NULL: none */
    const char *spec;
    const char *key; /* --key; NULL: none */
    const char *verify; /* a file, two files, or "stored"; NULL: none */
    double tolerance;
    bool check, keep_reference, quiet;
    const char *sets[CONVERT_MAX_SETS]; /* KEY=VALUE */
    size_t n_sets;
};

/* Fill `out` or end the program: --help and --version on stdout with code 0, bad usage
 * on stderr with code 2. */
void convert_args_parse(int argc, char **argv, struct convert_args *out);

#endif
