/* SPDX-License-Identifier: MIT
 *
 * Tables of numbers in text: one row a line, numbers apart by commas, semicolons, tabs
 * or spaces. Read line by line as the bytes arrive, so that a pipe can be followed.
 */
#ifndef LSTMRUN_FORMATS_CSV_H
#define LSTMRUN_FORMATS_CSV_H

#include "formats/tensor.h"

enum { CSV_MAX_LINE = 1 << 28 };

/* Where the bytes come from: up to n of them into `bytes`, as read(2) does: 0 at the
 * end, -1 on failure with the reason in errno. */
typedef ptrdiff_t csv_read_fn(void *context, void *bytes, size_t n);

struct csv {
    csv_read_fn *read;
    void *context;
    char *buffer;
    size_t start, end, capacity; /* unread bytes are buffer[start … end) */
    bool at_end;
    bool rows_begun;  /* a row of numbers or a header has been seen */
    char separator;   /* ',', ';', '\t' or ' '; 0 until the first row tells */
    size_t columns;   /* of the first row; 0 until then */
    size_t line;      /* number of the line read last, from 1 */
};

void csv_open(struct csv *csv, csv_read_fn *read, void *context);
void csv_close(struct csv *csv);

/* Read the next row into values[0 … capacity) and its length into *n_out. Returns 1,
 * 0 after the last row, -1 on failure. Errors begin with "LINE:COLUMN: ", counted from
 * 1 in characters as compilers do.
 *
 * Empty lines and lines that begin with '#' are passed over. A first row in which no
 * field begins as a number does is a header, and ignored. All rows have as many fields as the
 * first; fields are finite decimal numbers, quoted or not. */
int csv_read_row(struct csv *csv, float *values, size_t capacity, size_t *n_out,
                 struct io_error *error);

#endif
