/* SPDX-License-Identifier: MIT
 *
 * Tables of numbers: rows come out the same however the bytes arrive, lines may be long, reading may fail,
 * and every allocation may. (The sentences for bad tables are tested through the command, in cli/.)
 */
#include <criterion/criterion.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "formats/csv.h"
#include "tests/failing_malloc.h"

/* Bytes that arrive a few at a time; `fail_at` is where reading them fails. */
struct supply {
    const char *bytes;
    size_t n, at, piece, fail_at;
};

static ptrdiff_t supply_read(void *context, void *to, size_t n)
{
    struct supply *supply = context;
    if (supply->at >= supply->fail_at) {
        errno = EIO;
        return -1;
    }
    if (n > supply->piece)
        n = supply->piece;
    if (n > supply->n - supply->at)
        n = supply->n - supply->at;
    memcpy(to, supply->bytes + supply->at, n);
    supply->at += n;
    return (ptrdiff_t)n;
}

static struct supply supply_text(const char *text, size_t piece)
{
    return (struct supply){text, strlen(text), 0, piece, SIZE_MAX};
}

/* Rows joined as "1 2|3 4|", then "." at the end or the error. */
static void read_all(const char *text, size_t piece, char *out, size_t n_out)
{
    struct supply supply = supply_text(text, piece);
    struct io_error error;
    struct csv csv;
    float values[8];
    size_t n, used = 0;
    int got;
    csv_open(&csv, supply_read, &supply);
    while ((got = csv_read_row(&csv, values, 8, &n, &error)) == 1) {
        for (size_t i = 0; i < n && i < 8; i++)
            used += (size_t)snprintf(out + used, n_out - used, i ? " %g" : "%g", (double)values[i]);
        used += (size_t)snprintf(out + used, n_out - used, "|");
    }
    snprintf(out + used, n_out - used, "%s", got ? error.text : ".");
    csv_close(&csv);
}

Test(csv, rows)
{
    static const struct { const char *text, *rows; } cases[] = {
        {"", "."},
        {"1", "1|."},
        {"1,2\n3,4\n", "1 2|3 4|."},
        {"1,2\r\n3,4", "1 2|3 4|."},
        {"x,y\n1,2\n", "1 2|."},
        {"# note\n\n x ; y\n 1 ; -2e3 \n", "1 -2000|."},
        {"  1   2  \n\t3\t4\n", "1 2|3 4|."},
        {"1\t2\n3\t4\n", "1 2|3 4|."},
        {"\"a, b\";\"c\"\n\"1\";\"2\"\n", "1 2|."},
        {"+.5,5.\n", "0.5 5|."},
        {"1,2\nx,y\n", "1 2|2:1: 'x' is not a number"},
        {"2019,May\n", "1:6: 'May' is not a number"},
        {"1,5;2,5\n", "1:1: '1,5' is not a number (decimals are written with a point)"},
        {"nan\n", "1:1: 'nan', expected a finite number"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        for (size_t piece = 1; piece < 8; piece++) {
            char found[512];
            read_all(cases[i].text, piece, found, sizeof found);
            cr_expect_str_eq(found, cases[i].rows, "'%s' in pieces of %zu: '%s'", cases[i].text, piece,
                             found);
        }
    }
}

Test(csv, long_lines)
{
    enum { FIELDS = 100000 };
    char *text = malloc(2 * FIELDS + 1);
    float *values = malloc(FIELDS * sizeof *values);
    cr_assert(text && values);
    for (size_t i = 0; i < FIELDS; i++)
        memcpy(text + 2 * i, "7,", 2);
    memcpy(text + 2 * FIELDS - 1, "\n", 2);
    struct supply supply = supply_text(text, 5000);
    struct io_error error;
    struct csv csv;
    size_t n;
    csv_open(&csv, supply_read, &supply);
    cr_expect_eq(csv_read_row(&csv, values, FIELDS, &n, &error), 1);
    cr_expect_eq(n, (size_t)FIELDS);
    cr_expect_eq(values[FIELDS - 1], 7.0f);
    cr_expect_eq(csv_read_row(&csv, values, FIELDS, &n, &error), 0);
    csv_close(&csv);
    free(values);
    free(text);
}

/* More fields than there is room for are counted, not stored. */
Test(csv, capacity)
{
    struct supply supply = supply_text("1,2,3\n", 100);
    struct io_error error;
    struct csv csv;
    float values[3] = {0};
    size_t n;
    csv_open(&csv, supply_read, &supply);
    cr_expect_eq(csv_read_row(&csv, values, 2, &n, &error), 1);
    cr_expect_eq(n, 3u);
    cr_expect_eq(values[2], 0.0f);
    csv_close(&csv);
}

Test(csv, reading_fails)
{
    struct supply supply = supply_text("1,2\n3,4\n", 4);
    supply.fail_at = 8;
    struct io_error error;
    struct csv csv;
    float values[2];
    size_t n;
    csv_open(&csv, supply_read, &supply);
    cr_expect_eq(csv_read_row(&csv, values, 2, &n, &error), 1);
    cr_expect_eq(csv_read_row(&csv, values, 2, &n, &error), 1);
    cr_expect_eq(csv_read_row(&csv, values, 2, &n, &error), -1);
    cr_expect_str_eq(error.text, "3:1: Input/output error");
    csv_close(&csv);
}

Test(csv, out_of_memory)
{
    for (size_t n = 1;; n++) {
        struct supply supply = supply_text("1,2\n", 100);
        struct io_error error = {""};
        struct csv csv;
        float values[2];
        size_t columns;
        csv_open(&csv, supply_read, &supply);
        failing_malloc_arm(n);
        int got = csv_read_row(&csv, values, 2, &columns, &error);
        size_t asked = failing_malloc_disarm();
        csv_close(&csv);
        cr_expect_eq(got, asked < n ? 1 : -1);
        cr_expect(got == 1 || strstr(error.text, "out of memory"), "%s", error.text);
        if (asked < n)
            break;
    }
}
