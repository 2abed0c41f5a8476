/* SPDX-License-Identifier: MIT
 *
 * The output for a person: a row a step, or the best labels of each step. A terminal
 * gets 6 digits, as many columns as fit, and the first and last steps of a long run;
 * everything else gets every number with the 9 digits that tell any two f32 apart.
 */
#define _DEFAULT_SOURCE

#include "tools/sink.h"

#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "tools/say.h"

enum {
    TOP_LABELS = 3,
    LABEL_WIDTH = 24,
    STEP_WIDTH = 8,
    STATE_WIDTH = 28,   /* of "output" and the states' names */
    HEAD = 20, TAIL = 20, TAIL_OF_MANY = 10, /* steps shown of one sequence … */
    BATCH_HEAD = 5, BATCH_TAIL = 5, BATCH_ITEMS = 8, /* … and of a batch */
};

struct label {
    const char *text; /* not terminated */
    int n_bytes;
};

struct sink_text {
    bool limited;         /* by the terminal's size and a person's patience */
    int width, digits;    /* of a number */
    size_t columns;       /* numbers shown of a frame */
    size_t head, tail;
    float *kept;          /* the last `tail` frames, a ring: only when limited */
    struct label *labels; /* NULL: numbers */
    int label_width;
};

/* ---- rows ---------------------------------------------------------------- */

static void put_numbers(struct sink *sink, const float *values, size_t n)
{
    const struct sink_text *text = sink->text;
    size_t shown = text->limited && n > text->columns ? text->columns : n;
    for (size_t i = 0; i < shown; i++)
        fprintf(sink->file, "%*.*g", text->width, text->digits, (double)values[i]);
    if (shown < n)
        fprintf(sink->file, "  (%zu more)", n - shown);
    fputc('\n', sink->file);
}

static void put_labels(struct sink *sink, const float *values)
{
    const struct sink_text *text = sink->text;
    size_t n = sink->setup.frame.size, best[TOP_LABELS], n_best = 0;
    for (size_t i = 0; i < n; i++) {
        size_t place = n_best;
        while (place > 0 && values[i] > values[best[place - 1]])
            place--;
        if (place == TOP_LABELS)
            continue;
        n_best += n_best < TOP_LABELS;
        for (size_t k = n_best - 1; k > place; k--)
            best[k] = best[k - 1];
        best[place] = i;
    }
    for (size_t k = 0; k < n_best; k++) {
        struct label label = text->labels[best[k]];
        fprintf(sink->file, "  %.*s%*s %*.*g", label.n_bytes, label.text, text->label_width - label.n_bytes,
                "", text->digits + 3, text->digits, (double)values[best[k]]);
    }
    fputc('\n', sink->file);
}

static void put_row(struct sink *sink, size_t step, const float *values)
{
    if (sink->setup.states) {
        fprintf(sink->file, "step %zu\n  %-*s", step, STATE_WIDTH, "output");
    } else if (sink->setup.once) {
        fprintf(sink->file, "%*s", STEP_WIDTH, "all");
    } else {
        fprintf(sink->file, "%*zu", STEP_WIDTH, step);
    }
    if (sink->text->labels)
        put_labels(sink, values);
    else
        put_numbers(sink, values, sink->setup.frame.size);
}

static void put_heading(struct sink *sink)
{
    const struct sink_text *text = sink->text;
    size_t n = sink->setup.frame.size;
    if (sink->setup.batch)
        fprintf(sink->file, "item %zu\n", sink->item);
    if (sink->setup.states)
        return;
    fprintf(sink->file, "%*s", STEP_WIDTH, sink->setup.once ? "steps" : "step");
    if (text->labels) {
        fputs("  best labels and their outputs\n", sink->file);
        return;
    }
    for (size_t i = 0; i < n && (!text->limited || i < text->columns); i++) {
        char name[32];
        snprintf(name, sizeof name, n == 1 ? "output" : "output %zu", i);
        fprintf(sink->file, "%*s", text->width, name);
    }
    fputc('\n', sink->file);
}

/* ---- what is left out on a terminal -------------------------------------- */

static bool item_hidden(const struct sink *sink)
{
    return sink->text->limited && sink->setup.batch && sink->item >= BATCH_ITEMS;
}

static void put_tail(struct sink *sink)
{
    const struct sink_text *text = sink->text;
    size_t n = sink->item_frames, size = sink->setup.frame.size;
    if (!text->kept || n <= text->head || item_hidden(sink))
        return;
    size_t first = text->head;
    if (n > text->head + text->tail) {
        first = n - (text->tail == TAIL ? TAIL_OF_MANY : text->tail);
        fprintf(sink->file, "%*s  %zu steps not shown; -o FILE writes all\n", STEP_WIDTH, "...",
                first - text->head);
    }
    for (size_t step = first; step < n; step++)
        put_row(sink, step, text->kept + step % text->tail * size);
}

/* ---- the format ---------------------------------------------------------- */

static bool find_labels(struct sink *sink)
{
    struct sink_text *text = sink->text;
    if (!sink->setup.labels)
        return true;
    text->labels = calloc(sink->setup.frame.size, sizeof *text->labels);
    if (!text->labels)
        return false;
    const char *at = sink->setup.labels;
    for (size_t i = 0; i < sink->setup.frame.size; i++) {
        size_t n = strcspn(at, "\n");
        text->labels[i] = (struct label){at, n > LABEL_WIDTH ? LABEL_WIDTH : (int)n};
        if (text->labels[i].n_bytes > text->label_width)
            text->label_width = text->labels[i].n_bytes;
        at += n + (at[n] == '\n');
    }
    return true;
}

static void fit_terminal(struct sink *sink)
{
    struct sink_text *text = sink->text;
    struct winsize size;
    int width = 80;
    if (ioctl(fileno(sink->file), TIOCGWINSZ, &size) == 0 && size.ws_col > 0)
        width = size.ws_col;
    int room = width - STEP_WIDTH - (int)strlen("  (16777216 more)");
    text->columns = room > text->width ? (size_t)(room / text->width) : 1;
}

static bool begin(struct sink *sink)
{
    struct sink_text *text = calloc(1, sizeof *text);
    sink->text = text;
    if (!text || !find_labels(sink))
        return complain("%s: out of memory", sink->name);
    bool terminal = isatty(fileno(sink->file));
    text->limited = terminal && !sink->setup.states;
    text->digits = terminal ? 6 : 9;
    text->width = terminal ? 13 : 16;
    text->head = sink->setup.batch ? BATCH_HEAD : HEAD;
    text->tail = sink->setup.batch ? BATCH_TAIL : TAIL;
    if (text->limited) {
        fit_terminal(sink);
        /* Someone who follows a stream wants each row now. */
        if (!sink->setup.flush)
            text->kept = calloc(text->tail * sink->setup.frame.size, sizeof(float));
        if (!sink->setup.flush && !text->kept)
            return complain("%s: out of memory", sink->name);
    }
    return true;
}

static bool frames(struct sink *sink, const float *values, size_t n)
{
    const struct sink_text *text = sink->text;
    size_t size = sink->setup.frame.size;
    for (size_t i = 0; i < n && !item_hidden(sink); i++) {
        size_t step = sink->item_frames + i;
        if (step == 0)
            put_heading(sink);
        if (!text->kept || step < text->head)
            put_row(sink, step, values + i * size);
        else
            memcpy(text->kept + step % text->tail * size, values + i * size, size * sizeof(float));
    }
    return true;
}

static bool next_item(struct sink *sink)
{
    put_tail(sink);
    return true;
}

static bool end(struct sink *sink)
{
    put_tail(sink);
    if (item_hidden(sink))
        fprintf(sink->file, "%zu items not shown; -o FILE writes all\n", sink->item + 1 - BATCH_ITEMS);
    return true;
}

static void release(struct sink *sink)
{
    if (!sink->text)
        return;
    free(sink->text->kept);
    free(sink->text->labels);
    free(sink->text);
    sink->text = NULL;
}

bool sink_write_state(struct sink *sink, const struct sink_state *state)
{
    char name[STATE_WIDTH + 1];
    int room = STATE_WIDTH - 1 - (int)strlen(state->which);
    snprintf(name, sizeof name, "%.*s %s", room, state->layer, state->which);
    fprintf(sink->file, "  %-*s", STATE_WIDTH, name);
    put_numbers(sink, state->values, state->n);
    return true;
}

const struct sink_format sink_format_text = {
    "text", {"txt", "text", NULL}, false, begin, frames, next_item, end, release};
