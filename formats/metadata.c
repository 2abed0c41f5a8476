/* SPDX-License-Identifier: MIT
 *
 * Checks of metadata, see metadata.h.
 */
#include "formats/metadata.h"

#include <float.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Spelled with digits, as strtod's "inf", "nan" and hexadecimal numbers are not. */
static bool is_positive(const char *value)
{
    char *end;
    double number = strtod(value, &end);
    return *value && !*end && strspn(value, "0123456789.eE+-") == strlen(value) && number > 0 &&
           number <= (double)FLT_MAX;
}

static bool check_rate(const char *value, char *reason, size_t n_reason)
{
    if (is_positive(value))
        return true;
    snprintf(reason, n_reason, "'%.40s', expected a decimal number above 0", value);
    return false;
}

/* 1, or all numbers of an input frame. */
static bool check_frame_samples(const char *value, size_t n_inputs, char *reason, size_t n_reason)
{
    char whole[32];
    snprintf(whole, sizeof whole, "%zu", n_inputs);
    if (strcmp(value, "1") == 0 || strcmp(value, whole) == 0)
        return true;
    snprintf(reason, n_reason, "'%.40s', expected 1 or the %zu numbers of an input", value, n_inputs);
    return false;
}

static bool check_task(const char *value, size_t n_outputs, char *reason, size_t n_reason)
{
    if (strcmp(value, "speech") != 0 || n_outputs == 1)
        return true;
    snprintf(reason, n_reason, "'speech' is for models of 1 output, this one has %zu", n_outputs);
    return false;
}

/* One a line; a line end after the last one makes no further name. */
static size_t count_names(const char *value)
{
    size_t n = *value != '\0';
    for (const char *c = value; *c; c++)
        n += *c == '\n' && c[1];
    return n;
}

static bool check_names(const char *value, size_t wanted, const char *of, char *reason, size_t n_reason)
{
    size_t n = count_names(value);
    if (n == wanted)
        return true;
    snprintf(reason, n_reason, "%zu name%s for %zu %s%s", n, n == 1 ? "" : "s", wanted, of,
             wanted == 1 ? "" : "s");
    return false;
}

bool metadata_check(const char *key, const char *value, const struct metadata_sizes *sizes, char *reason,
                    size_t n_reason)
{
    if (strcmp(key, "sample_rate") == 0)
        return check_rate(value, reason, n_reason);
    if (strcmp(key, "frame_samples") == 0)
        return check_frame_samples(value, sizes->input, reason, n_reason);
    if (strcmp(key, "task") == 0)
        return check_task(value, sizes->output, reason, n_reason);
    if (strcmp(key, "labels") == 0)
        return check_names(value, sizes->output, "output", reason, n_reason);
    if (strcmp(key, "input_names") == 0)
        return check_names(value, sizes->input, "number", reason, n_reason);
    return true;
}
