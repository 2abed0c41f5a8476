/* SPDX-License-Identifier: MIT
 *
 * What the checks of all kernels share: guarded rows, packed matrices against a second
 * telling of the packing, reports, shapes.
 */
#define _DEFAULT_SOURCE /* MAP_ANONYMOUS */

#include "tests/kernel_cases.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static _Noreturn void die(const char *what)
{
    fprintf(stderr, "check_kernels: %s: %s\n", what, strerror(errno));
    exit(2);
}

static void *need(size_t n_bytes)
{
    void *p = calloc(1, n_bytes + 1);
    if (!p)
        die("no memory");
    return p;
}

/* ---- rows that end at a guard page ---------------------------------------- */

struct rows *rows_create(size_t max_width)
{
    struct rows *rows = need(sizeof *rows);
    for (size_t i = 0; i < MAX_ROWS; i++)
        if (!guard_open(&rows->page[i], (max_width + BEFORE) * sizeof(float)))
            die("mmap");
    return rows;
}

void rows_destroy(struct rows *rows)
{
    for (size_t i = 0; i < MAX_ROWS; i++)
        guard_close(&rows->page[i]);
    free(rows);
}

static const float CANARY = -1234.5f;

void rows_shape(struct rows *rows, size_t n, size_t width)
{
    rows->n = n;
    rows->width = width;
    for (size_t i = 0; i < n; i++) {
        float *start = guard_at_end(&rows->page[i], (width + BEFORE) * sizeof(float));
        rows->at[i] = start + BEFORE;
        for (size_t j = 0; j < width + BEFORE; j++)
            start[j] = CANARY;
    }
}

void rows_random(struct rows *rows, struct rng *rng, float limit)
{
    for (size_t i = 0; i < rows->n; i++)
        rng_fill(rng, limit, rows->at[i], rows->width);
}

void rows_copy(struct rows *to, const struct rows *from)
{
    rows_shape(to, from->n, from->width);
    for (size_t i = 0; i < from->n; i++)
        memcpy(to->at[i], from->at[i], from->width * sizeof(float));
}

/* First float that differs, NaN being equal to NaN; false when all are the same. */
static bool rows_differ(const struct rows *got, const struct rows *want, size_t *row, size_t *column)
{
    for (size_t i = 0; i < want->n; i++) {
        const float *a = got->at[i] - BEFORE, *b = want->at[i] - BEFORE;
        if (memcmp(a, b, (want->width + BEFORE) * sizeof(float)) == 0)
            continue;
        for (size_t j = 0; j < want->width + BEFORE; j++) {
            if (memcmp(&a[j], &b[j], sizeof(float)) == 0 || (isnan(a[j]) && isnan(b[j])))
                continue;
            *row = i;
            *column = j;
            return true;
        }
    }
    return false;
}

/* ---- a matrix, plain and packed --------------------------------------------- */

/* Room behind each row so that stride > k is tried. */
enum { STRIDE_MORE = 3 };

void weights_create(struct weights *w, struct rng *rng, size_t n, uint32_t each, size_t k)
{
    const size_t rows = n * each, stride = k + STRIDE_MORE;
    const float limit = k > 0 ? 2.0f / sqrtf((float)k) : 0.0f;
    w->data = need(rows * stride * sizeof(float));
    w->clean = need(rows * k * sizeof(float));
    w->bias = need(rows * sizeof(float));
    rng_fill(rng, 1.0f, w->bias, rows);
    for (size_t r = 0; r < rows; r++) {
        for (size_t j = 0; j < k; j++) {
            const bool denormal = rng_chance(rng, 2);
            const float value = rng_float(rng, denormal ? 0x1p-127f : limit);
            w->data[r * stride + j] = value;
            w->clean[r * k + j] = denormal ? 0.0f : value;
        }
    }
    w->matrix = (struct simd_matrix){w->data, stride, n, each, k};
}

void weights_pack(struct weights *w, const struct simd_panels *panels, bool one_by_one)
{
    const size_t n = panels->columns * w->matrix.k * sizeof(float);
    if (!guard_open(&w->packed_page, n) ||
        !guard_open(&w->packed_bias_page, panels->columns * sizeof(float)))
        die("mmap");
    w->packed = guard_at_end(&w->packed_page, n);
    w->packed_bias = guard_at_end(&w->packed_bias_page, panels->columns * sizeof(float));
    if (one_by_one) {
        for (size_t p = panels->count; p-- > 0;)
            simd_pack(&w->matrix, panels, p, p + 1, w->packed);
    } else {
        simd_pack(&w->matrix, panels, 0, panels->count, w->packed);
    }
    simd_pack_bias(w->bias, w->matrix.n, w->matrix.columns_each, panels, w->packed_bias);
}

void weights_unpack(struct weights *w)
{
    guard_close(&w->packed_page);
    guard_close(&w->packed_bias_page);
}

void weights_destroy(struct weights *w)
{
    free(w->data);
    free(w->clean);
    free(w->bias);
}

/* Things (outputs, units) in a panel; a GRU's narrow ones leave a fourth of their
 * columns empty and hold 8 or 4 units. */
static uint32_t things_of(uint32_t width, uint32_t each)
{
    const bool fourth_empty = each == 3 && (width == 32 || width == 16);
    return width / (fourth_empty ? 4 : each);
}

static uint32_t next_width(size_t things_left, uint32_t each, uint32_t widest)
{
    if (things_left <= things_of(16, each))
        return 16;
    if (widest == 64 && things_left <= 3 * (size_t)things_of(16, each))
        return 32;
    return widest == 48 && things_left <= things_of(32, each) ? 32 : widest;
}

size_t walk_panels(size_t n, uint32_t each, uint32_t widest, long *row_of, size_t *panel_count)
{
    size_t unit = 0, column = 0;
    *panel_count = 0;
    while (unit < n) {
        const uint32_t width = next_width(n - unit, each, widest), things = things_of(width, each);
        for (uint32_t j = 0; j < width; j++, column++) {
            const uint32_t gate = j / things, u = j % things;
            const bool real = gate < each && unit + u < n;
            row_of[column] = real ? (long)(gate * n + unit + u) : -1L;
        }
        unit += things;
        ++*panel_count;
    }
    return column;
}

bool packing_is_right(const struct weights *w, const struct simd_panels *panels, uint32_t widest)
{
    static long row_of[MAX_COLUMNS];
    size_t count;
    const struct simd_matrix *m = &w->matrix;
    if (walk_panels(m->n, m->columns_each, widest, row_of, &count) != panels->columns ||
        count != panels->count)
        return false;
    for (size_t p = 0, want_first = 0; p < panels->count; p++) {
        size_t first;
        uint32_t width;
        simd_panel_at(panels, p, &first, &width);
        if (first != want_first)
            return false;
        want_first += width;
        for (size_t j = 0; j < width; j++) {
            const long row = row_of[first + j];
            if (w->packed_bias[first + j] != (row < 0 ? 0.0f : w->bias[row]))
                return false;
            for (size_t k = 0; k < m->k; k++) {
                const float want = row < 0 ? 0.0f : w->clean[(size_t)row * m->k + k];
                if (memcmp(&w->packed[first * m->k + k * width + j], &want, sizeof want) != 0)
                    return false;
            }
        }
    }
    return true;
}

/* ---- reports ------------------------------------------------------------------ */

bool wanted(const char *filter, const char *name)
{
    return !filter || strcmp(filter, name) == 0;
}

/* What runs now, for the handler: a kernel that leaves its arrays dies at a guard page. */
static char at_work[256];

void now_running(const struct run *run, const char *kernel, const char *name)
{
    snprintf(at_work, sizeof at_work,
             "FAIL %s %s: touches memory that is not its own; repeat: check_kernels --seed %llu "
             "--kernel %s --case %s\n",
             kernel, name, (unsigned long long)run->options.seed, kernel, name);
}

void on_fault(int number)
{
    if (write(STDOUT_FILENO, at_work, strlen(at_work)) < 0)
        _exit(2);
    _exit(128 + number);
}

void failed(struct run *run, const char *kernel, const char *name, const char *what)
{
    run->n_failed++;
    printf("FAIL %s %s: %s; repeat: check_kernels --seed %llu --kernel %s --case %s\n", kernel, name,
           what, (unsigned long long)run->options.seed, kernel, name);
}

void check_rows(struct run *run, const char *kernel, const char *name, const char *what,
                       const struct rows *got, const struct rows *want)
{
    size_t row, column;
    run->n_checks++;
    if (!rows_differ(got, want, &row, &column))
        return;
    char text[160];
    const float *a = got->at[row] - BEFORE + column, *b = want->at[row] - BEFORE + column;
    if (column < BEFORE)
        snprintf(text, sizeof text, "%s row %zu written %zu floats before its start", what, row,
                 BEFORE - column);
    else
        snprintf(text, sizeof text, "%s[%zu][%zu] is %a, expected %a", what, row, column - BEFORE,
                 (double)*a, (double)*b);
    failed(run, kernel, name, text);
}

struct rng case_rng(const struct run *run, const char *name)
{
    struct rng rng = {run->options.seed};
    for (const char *c = name; *c; c++)
        rng.state = rng.state * 31 + (unsigned char)*c;
    return rng;
}

bool isa_runs(const struct run *run, const struct simd_isa *isa)
{
    return (isa->needs & ~run->cpu_bits) == 0 && wanted(run->options.isa, isa->name);
}

float block_sum(float total, const float *weights, const float *x, size_t k)
{
    const size_t block = simd_block(k);
    for (size_t begin = 0; begin < k; begin += block) {
        float sum = 0;
        for (size_t j = begin; j < k && j < begin + block; j++)
            sum = fmaf(weights[j], x[j], sum);
        total += sum;
    }
    return total;
}

float scalar_act(const struct run *run, enum simd_act act, float z)
{
    float out;
    run->scalar->ops->act(act, 1.0f, 1.0f, &z, &out, 1);
    return out;
}

double logistic(double x)
{
    return 1.0 / (1.0 + exp(-x));
}

const size_t case_inputs[N_INPUTS] = {0, 1, 3, 17, 64};

size_t row_count(size_t index)
{
    return index < 13 ? index + 1 : 33;
}

size_t size_of(size_t index)
{
    return index < 70 ? index + 1 : index == 70 ? 100 : MAX_UNITS;
}

void each_step_shape(struct run *run, void *context,
                     void (*one)(struct run *run, void *context, const struct step_shape *shape))
{
    for (size_t size = 0; size < N_SIZES; size++)
        for (size_t m = 0; m < N_ROW_COUNTS; m++)
            for (size_t k = 0; k < N_INPUTS; k++) {
                const struct step_shape shape = {
                    .items = row_count(m), .n_x = case_inputs[k], .units = size_of(size),
                    .hoisted = (size + m + k) % 3 == 0, .nan = (size + m) % 7 == 0,
                };
                if (shape.items <= 2 || (size + m) % N_INPUTS == k)
                    one(run, context, &shape);
            }
    /* More weights than a second cache holds. */
    for (size_t items = 16; items <= MAX_ROWS; items += 18)
        one(run, context, &(struct step_shape){.items = items, .n_x = MAX_INPUT, .units = MAX_UNITS});
}
