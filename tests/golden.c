/* SPDX-License-Identifier: MIT
 *
 * Reading the golden files.
 */
#define _POSIX_C_SOURCE 200809L
#include "tests/golden.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void fail(const char *path, const char *what)
{
    fprintf(stderr, "%s: %s\n", path, what);
    abort();
}

/* The whole file, or NULL if there is none. */
static void *read_file(const char *folder, const char *name, const char *ending, size_t *n_bytes)
{
    char path[1024];
    snprintf(path, sizeof path, "%s/%s%s", folder, name, ending);
    FILE *file = fopen(path, "rb");
    if (!file)
        return NULL;
    enum { MOST = 1 << 20 };
    void *bytes = malloc(MOST);
    if (!bytes)
        fail(path, "out of memory");
    *n_bytes = fread(bytes, 1, MOST, file);
    if (ferror(file) || *n_bytes == MOST)
        fail(path, "cannot be read, or is larger than a golden file should be");
    fclose(file);
    return bytes;
}

static struct golden load_one(const char *folder, const char *name)
{
    struct golden g = {0};
    size_t n_input, n_expected = 0;
    struct format_error error;
    struct model_view view;
    struct model_value value;
    snprintf(g.name, sizeof g.name, "%s", name);
    snprintf(g.model.text, sizeof g.model.text, "golden/%s", name);
    g.model.bytes = read_file(folder, name, ".bin", &g.model.n_bytes);
    g.input = read_file(folder, name, ".input", &n_input);
    if (!g.model.bytes || !g.input)
        fail(name, "the .bin or .input file is missing");
    if (!model_read(g.model.bytes, g.model.n_bytes, &view, &error))
        fail(name, error.text);
    model_get_value(&view, 0, &value);
    g.model.n_in = value.size;
    g.steps = n_input / sizeof(float) / value.size;
    model_get_value(&view, view.output, &value);
    g.model.n_out = value.size;
    g.expected = read_file(folder, name, ".expected", &n_expected);
    g.n_expected = n_expected / sizeof(float);
    return g;
}

static int compare_names(const void *a, const void *b)
{
    return strcmp(((const struct golden *)a)->name, ((const struct golden *)b)->name);
}

size_t golden_load(const char *folder, struct golden *out)
{
    DIR *listing = opendir(folder);
    if (!listing)
        fail(folder, "no such folder");
    size_t n = 0;
    for (struct dirent *entry; (entry = readdir(listing));) {
        char name[80];
        const char *dot = strrchr(entry->d_name, '.');
        if (!dot || strcmp(dot, ".bin") != 0 || n == GOLDEN_MAX)
            continue;
        snprintf(name, sizeof name, "%.*s", (int)(dot - entry->d_name), entry->d_name);
        out[n++] = load_one(folder, name);
    }
    closedir(listing);
    qsort(out, n, sizeof *out, compare_names);
    return n;
}

void golden_free(struct golden *g)
{
    test_model_free(&g->model);
    free(g->input);
    free(g->expected);
}

size_t golden_output_floats(const struct golden *g)
{
    struct session s = session_open(&g->model, NULL, 1, g->steps);
    size_t n = session_frames(&s, g->steps) * s.n_out;
    session_close(&s);
    return n;
}
