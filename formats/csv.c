/* SPDX-License-Identifier: MIT
 *
 * Tables of numbers in text, see csv.h. The first row decides what separates fields;
 * after it every line is held to that.
 */
#include "formats/csv.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { FIRST_CAPACITY = 1 << 16 };

void csv_open(struct csv *csv, csv_read_fn *read, void *context)
{
    *csv = (struct csv){.read = read, .context = context};
}

void csv_close(struct csv *csv)
{
    free(csv->buffer);
    *csv = (struct csv){0};
}

/* ---- lines --------------------------------------------------------------- */

static bool make_room(struct csv *csv, struct io_error *error)
{
    if (csv->start > 0) {
        memmove(csv->buffer, csv->buffer + csv->start, csv->end - csv->start);
        csv->end -= csv->start;
        csv->start = 0;
    }
    /* One byte stays free for the NUL behind the last line. */
    if (csv->end + 1 < csv->capacity)
        return true;
    if (csv->capacity >= CSV_MAX_LINE)
        return io_fail(error, "%zu:1: the line is longer than %d MiB", csv->line + 1, CSV_MAX_LINE >> 20);
    size_t capacity = csv->capacity ? csv->capacity * 2 : FIRST_CAPACITY;
    char *buffer = realloc(csv->buffer, capacity);
    if (!buffer)
        return io_fail(error, "%zu:1: out of memory for a line of %zu bytes", csv->line + 1, capacity);
    csv->buffer = buffer;
    csv->capacity = capacity;
    return true;
}

static bool fill(struct csv *csv, struct io_error *error)
{
    if (!make_room(csv, error))
        return false;
    ptrdiff_t got;
    do
        got = csv->read(csv->context, csv->buffer + csv->end, csv->capacity - 1 - csv->end);
    while (got < 0 && errno == EINTR);
    if (got < 0)
        return io_fail(error, "%zu:1: %s", csv->line + 1, strerror(errno));
    csv->at_end = got == 0;
    csv->end += (size_t)got;
    return true;
}

/* The next line, NUL-terminated and without its line end. 1, 0 at the end, -1. */
static int next_line(struct csv *csv, char **line, size_t *length, struct io_error *error)
{
    size_t searched = 0;
    char *newline = NULL;
    for (;;) {
        size_t there = csv->end - csv->start;
        if (there > searched)
            newline = memchr(csv->buffer + csv->start + searched, '\n', there - searched);
        if (newline || csv->at_end)
            break;
        searched = there;
        if (!fill(csv, error))
            return -1;
    }
    if (csv->start == csv->end)
        return 0;
    *line = csv->buffer + csv->start;
    *length = newline ? (size_t)(newline - *line) : csv->end - csv->start;
    csv->start += *length + (newline != NULL);
    (*line)[*length] = '\0';
    csv->line++;
    if (*length && (*line)[*length - 1] == '\r')
        (*line)[--*length] = '\0';
    return 1;
}

/* ---- fields -------------------------------------------------------------- */

static bool is_blank(char c)
{
    return c == ' ' || c == '\t';
}

static char find_separator(const char *line)
{
    /* Inside quotes nothing separates: headers may be sentences. */
    bool quoted = false, tab = false, comma = false;
    for (const char *c = line; *c; c++) {
        quoted ^= *c == '"';
        if (quoted)
            continue;
        if (*c == ';')
            return ';';
        tab |= *c == '\t';
        comma |= *c == ',';
    }
    return tab ? '\t' : comma ? ',' : ' ';
}

struct field {
    const char *text;
    size_t n;
    bool last;
};

/* The field at *at, trimmed and unquoted; moves *at to the next one. */
static struct field next_field(const char **at, char separator)
{
    const char *from = *at;
    while (*from == ' ' || (separator != '\t' && *from == '\t'))
        from++;
    const char *to = from;
    bool quoted = false;
    while (*to && (quoted || (separator == ' ' ? !is_blank(*to) : *to != separator)))
        quoted ^= *to++ == '"';
    struct field field = {from, (size_t)(to - from), *to == '\0'};
    *at = to + !field.last;
    if (separator == ' ') {
        while (is_blank(**at))
            ++*at;
        field.last = **at == '\0';
    }
    while (field.n && is_blank(field.text[field.n - 1]))
        field.n--;
    if (field.n >= 2 && field.text[0] == '"' && field.text[field.n - 1] == '"') {
        field.text++;
        field.n -= 2;
    }
    return field;
}

enum number { NUMBER, NOT_A_NUMBER, NOT_FINITE, TOO_LARGE };

static bool same_word(struct field field, const char *word)
{
    size_t skip = field.n && strchr("+-", field.text[0]);
    if (field.n - skip != strlen(word))
        return false;
    for (size_t i = skip; i < field.n; i++) {
        if ((field.text[i] | 0x20) != word[i - skip])
            return false;
    }
    return true;
}

/* strtof also reads hexadecimal, "nan(…)" and leading space; a table of numbers should not. */
static enum number parse(struct field field, float *value)
{
    if (same_word(field, "nan") || same_word(field, "inf") || same_word(field, "infinity"))
        return NOT_FINITE;
    if (!field.n || strspn(field.text, "0123456789+-.eE") < field.n)
        return NOT_A_NUMBER;
    char *end;
    *value = strtof(field.text, &end);
    if (end != field.text + field.n)
        return NOT_A_NUMBER;
    return isfinite(*value) ? NUMBER : TOO_LARGE;
}

static int fail_field(const struct csv *csv, const char *line, struct field field, enum number what,
                      struct io_error *error)
{
    size_t column = (size_t)(field.text - line) + 1;
    int shown = field.n > 40 ? 40 : (int)field.n;
    if (!field.n)
        io_fail(error, "%zu:%zu: empty field, expected a number", csv->line, column);
    else if (what == NOT_FINITE)
        io_fail(error, "%zu:%zu: '%.*s', expected a finite number", csv->line, column, shown, field.text);
    else if (what == TOO_LARGE)
        io_fail(error, "%zu:%zu: '%.*s' is too large for 32-bit floating point", csv->line, column, shown,
                field.text);
    else if (csv->separator != ',' && memchr(field.text, ',', field.n))
        io_fail(error, "%zu:%zu: '%.*s' is not a number (decimals are written with a point)", csv->line,
                column, shown, field.text);
    else
        io_fail(error, "%zu:%zu: '%.*s' is not a number", csv->line, column, shown, field.text);
    return -1;
}

/* A misspelt number is to be refused, not taken for a name. */
static bool begins_as_number(struct field field)
{
    size_t skip = strspn(field.text, "+-.");
    return skip < field.n && field.text[skip] >= '0' && field.text[skip] <= '9';
}

static bool is_header(const struct csv *csv, const char *line)
{
    const char *at = line;
    for (;;) {
        struct field field = next_field(&at, csv->separator);
        float value;
        if (begins_as_number(field) || parse(field, &value) != NOT_A_NUMBER)
            return false;
        if (field.last)
            return true;
    }
}

/* ---- rows ---------------------------------------------------------------- */

static int read_fields(struct csv *csv, const char *line, float *values, size_t capacity, size_t *n_out,
                       struct io_error *error)
{
    const char *at = line;
    size_t n = 0;
    for (bool last = false; !last; n++) {
        struct field field = next_field(&at, csv->separator);
        float value;
        enum number what = parse(field, &value);
        if (what != NUMBER)
            return fail_field(csv, line, field, what, error);
        if (n < capacity)
            values[n] = value;
        last = field.last;
    }
    if (csv->columns && n != csv->columns) {
        io_fail(error, "%zu:1: %zu numbers, but the rows before have %zu", csv->line, n, csv->columns);
        return -1;
    }
    csv->columns = n;
    *n_out = n;
    return 1;
}

/* Nothing to read in it: blank or a comment. */
static bool is_empty(const char *line)
{
    while (is_blank(*line))
        line++;
    return *line == '\0' || *line == '#';
}

int csv_read_row(struct csv *csv, float *values, size_t capacity, size_t *n_out, struct io_error *error)
{
    for (;;) {
        char *line;
        size_t length;
        int got = next_line(csv, &line, &length, error);
        if (got <= 0)
            return got;
        if (csv->line == 1 && length >= 3 && memcmp(line, "\xef\xbb\xbf", 3) == 0)
            line += 3, length -= 3;
        size_t before_nul = strlen(line);
        if (before_nul != length) {
            io_fail(error, "%zu:%zu: a byte of value 0, expected text", csv->line, before_nul + 1);
            return -1;
        }
        if (is_empty(line))
            continue;
        bool first = !csv->rows_begun;
        csv->rows_begun = true;
        if (first || !csv->columns)
            csv->separator = find_separator(line);
        if (!first || !is_header(csv, line))
            return read_fields(csv, line, values, capacity, n_out, error);
    }
}
