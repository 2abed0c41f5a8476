/* SPDX-License-Identifier: MIT
 *
 * Fuzz target: tables of numbers. Rows are finite and of one length; they are the same when the bytes arrive
 * one by one; refusals name a line and a column; a table written from the rows gives the rows.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "formats/csv.h"

enum { CAPACITY = 64 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void demand(bool holds, const char *what)
{
    if (!holds) {
        fprintf(stderr, "fuzz_csv: %s\n", what);
        abort();
    }
}

struct supply {
    const uint8_t *bytes;
    size_t n, at, piece;
};

static ptrdiff_t supply_read(void *context, void *to, size_t n)
{
    struct supply *supply = context;
    if (n > supply->piece)
        n = supply->piece;
    if (n > supply->n - supply->at)
        n = supply->n - supply->at;
    if (n)
        memcpy(to, supply->bytes + supply->at, n);
    supply->at += n;
    return (ptrdiff_t)n;
}

struct reader {
    struct supply supply;
    struct csv csv;
    float row[CAPACITY];
    size_t n;
    struct io_error error;
};

static void begin(struct reader *reader, const uint8_t *bytes, size_t n, size_t piece)
{
    reader->supply = (struct supply){bytes, n, 0, piece};
    reader->error.text[0] = '\0';
    csv_open(&reader->csv, supply_read, &reader->supply);
}

static int next(struct reader *reader)
{
    return csv_read_row(&reader->csv, reader->row, CAPACITY, &reader->n, &reader->error);
}

/* The row, written as a line, is the row. */
static void check_written(const struct reader *reader)
{
    char line[CAPACITY * 20];
    size_t used = 0, n = reader->n < CAPACITY ? reader->n : CAPACITY;
    for (size_t i = 0; i < n; i++)
        used += (size_t)snprintf(line + used, sizeof line - used, "%s%.9g", i ? "," : "",
                                 (double)reader->row[i]);
    struct reader again;
    begin(&again, (const uint8_t *)line, used, sizeof line);
    demand(next(&again) == 1 && again.n == n, "a written row is read");
    demand(memcmp(again.row, reader->row, n * sizeof(float)) == 0, "as it was");
    csv_close(&again.csv);
}

static void check_row(const struct reader *whole, const struct reader *slow, size_t columns)
{
    demand(whole->n > 0 && (!columns || whole->n == columns), "rows of one length");
    demand(slow->n == whole->n, "the same length byte by byte");
    for (size_t i = 0; i < whole->n && i < CAPACITY; i++)
        demand(isfinite(whole->row[i]) && slow->row[i] == whole->row[i], "finite, the same byte by byte");
    check_written(whole);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct reader whole, slow;
    size_t columns = 0;
    int got;
    begin(&whole, data, size, SIZE_MAX);
    begin(&slow, data, size, 1);
    do {
        got = next(&whole);
        demand(next(&slow) == got, "the same end byte by byte");
        if (got == 1)
            check_row(&whole, &slow, columns);
        columns = whole.n;
    } while (got == 1);
    size_t line, column;
    demand(got == 0 || sscanf(whole.error.text, "%zu:%zu: ", &line, &column) == 2, "an error has a place");
    demand(strcmp(whole.error.text, slow.error.text) == 0, "the same error byte by byte");
    csv_close(&whole.csv);
    csv_close(&slow.csv);
    return 0;
}
