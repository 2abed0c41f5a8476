/* SPDX-License-Identifier: MIT
 *
 * The packer alone: every float of every panel against the rule of kernels.h, for
 * depths around its own pieces and for floats that are not ordinary numbers.
 */
#define _DEFAULT_SOURCE /* MAP_ANONYMOUS */

#include <criterion/criterion.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "simd/kernels.h"
#include "tests/guard.h"
#include "tests/rng.h"

/* Bits that a packer could spoil, and ordinary numbers between them. */
static float awkward_float(struct rng *rng)
{
    static const uint32_t bits[] = {
        0x00000000, 0x80000000, /* zeros */
        0x00000001, 0x80000001, 0x007fffff, 0x807fffff, 0x00400000, /* denormals */
        0x00800000, 0x80800000, 0x7f7fffff, 0xff7fffff, /* the smallest and largest others */
        0x7f800000, 0xff800000, /* infinities */
        0x7fc00000, 0xffc12345, 0x7f800001, 0xffa00000, /* NaN, quiet and signalling */
    };
    float x = rng_float(rng, 3.0f);
    if (rng_chance(rng, 40))
        memcpy(&x, &bits[rng_below(rng, sizeof bits / sizeof bits[0])], sizeof x);
    return x;
}

static uint32_t bits_of(const float *x)
{
    uint32_t bits;
    memcpy(&bits, x, sizeof bits);
    return bits;
}

static uint32_t packed_bits(const float *x)
{
    const uint32_t bits = bits_of(x);
    return (bits & 0x7fffffff) < 0x00800000 ? 0 : bits;
}

/* A matrix whose last float lies before a page that cannot be read, packed to the end
 * of another one. */
struct job {
    struct simd_matrix matrix;
    struct simd_panels panels;
    struct guard source, target;
    float *packed;
};

static const uint32_t UNTOUCHED = 0x4b1d4b1d;

static void job_open(struct job *job, struct rng *rng, struct simd_matrix matrix, uint32_t widest)
{
    const size_t rows = matrix.n * matrix.columns_each;
    const size_t n = matrix.k ? (rows - 1) * matrix.stride + matrix.k : 0;
    job->panels = simd_panels_of(matrix.n, matrix.columns_each, widest);
    const size_t n_packed = job->panels.columns * matrix.k;
    cr_assert(guard_open(&job->source, n * sizeof(float)));
    cr_assert(guard_open(&job->target, n_packed * sizeof(float)));
    float *data = guard_at_end(&job->source, n * sizeof(float));
    for (size_t i = 0; i < n; i++)
        data[i] = awkward_float(rng);
    job->packed = guard_at_end(&job->target, n_packed * sizeof(float));
    for (size_t i = 0; i < n_packed; i++)
        memcpy(&job->packed[i], &UNTOUCHED, sizeof UNTOUCHED);
    job->matrix = matrix;
    job->matrix.data = data;
}

static void job_close(struct job *job)
{
    guard_close(&job->source);
    guard_close(&job->target);
}

/* What column `column` of a panel holds: its row of the matrix, or NULL for padding. */
static const float *row_of(const struct simd_matrix *matrix, size_t first, uint32_t width,
                           uint32_t column)
{
    const uint32_t units = width / matrix->columns_each;
    const size_t gate = column / units, unit = first / matrix->columns_each + column % units;
    return unit < matrix->n ? matrix->data + (gate * matrix->n + unit) * matrix->stride : NULL;
}

static void expect_panel(const struct job *job, size_t p, bool packed)
{
    size_t first;
    uint32_t width;
    simd_panel_at(&job->panels, p, &first, &width);
    for (uint32_t j = 0; j < width; j++) {
        const float *row = row_of(&job->matrix, first, width, j);
        for (size_t k = 0; k < job->matrix.k; k++) {
            const uint32_t got = bits_of(&job->packed[first * job->matrix.k + k * width + j]);
            const uint32_t want = !packed ? UNTOUCHED : row ? packed_bits(&row[k]) : 0;
            if (got != want) /* an assertion of each float would take minutes under an emulator */
                cr_assert_fail("n %zu of %u, k %zu, stride %zu: panel %zu (%u wide), k %zu, "
                               "column %u: %08x, expected %08x", job->matrix.n,
                               job->matrix.columns_each, job->matrix.k, job->matrix.stride, p,
                               width, k, j, got, want);
        }
    }
}

/* All panels; then a range alone, which must leave the others as they were. */
static void try_matrix(struct rng *rng, struct simd_matrix matrix, uint32_t widest)
{
    struct job job;
    job_open(&job, rng, matrix, widest);
    const size_t count = job.panels.count, begin = rng_below(rng, (uint32_t)count + 1);
    const size_t end = begin + rng_below(rng, (uint32_t)(count - begin) + 1);
    simd_pack(&job.matrix, &job.panels, begin, end, job.packed);
    for (size_t p = 0; p < count; p++)
        expect_panel(&job, p, p >= begin && p < end);
    simd_pack(&job.matrix, &job.panels, 0, count, job.packed);
    for (size_t p = 0; p < count; p++)
        expect_panel(&job, p, true);
    job_close(&job);
}

Test(pack, every_float_is_in_its_place)
{
    static const size_t depths[] = {0,  1,  3,  4,  5,  15, 16, 17,  31,  32,  33,  63,
                                    64, 65, 79, 80, 81, 95, 96, 511, 512, 513, 600, 1040};
    static const size_t sizes[] = {1, 3, 4, 5, 8, 12, 15, 16, 17, 20, 33, 64, 70};
    struct rng rng = {1};
    for (size_t d = 0; d < sizeof depths / sizeof depths[0]; d++)
        for (size_t s = 0; s < sizeof sizes / sizeof sizes[0]; s++)
            for (uint32_t each = 1; each <= 4; each += 3)
                for (uint32_t widest = 16; widest <= 64; widest *= 2) {
                    const size_t stride = depths[d] + rng_below(&rng, 3) * 7;
                    const struct simd_matrix matrix = {NULL, stride, sizes[s], each, depths[d]};
                    try_matrix(&rng, matrix, widest);
                }
}

Test(pack, bias_follows_its_columns)
{
    struct rng rng = {2};
    for (size_t n = 1; n <= 70; n++)
        for (uint32_t each = 1; each <= 4; each += 3) {
            struct job job; /* a bias is a matrix of depth 1 */
            const struct simd_matrix matrix = {NULL, 1, n, each, 1};
            job_open(&job, &rng, matrix, 64);
            simd_pack_bias(job.matrix.data, n, each, &job.panels, job.packed);
            for (size_t p = 0; p < job.panels.count; p++)
                expect_panel(&job, p, true);
            simd_pack_bias(NULL, n, each, &job.panels, job.packed);
            for (size_t j = 0; j < job.panels.columns; j++)
                if (bits_of(&job.packed[j]) != 0)
                    cr_assert_fail("no bias, %zu of %u: column %zu is not 0", n, each, j);
            job_close(&job);
        }
}
