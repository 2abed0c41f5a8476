/* SPDX-License-Identifier: MIT
 *
 * For suites of importers: what the first tensor of the model that came out must be.
 */
#ifndef LSTMRUN_TESTS_EXPECT_WEIGHTS_H
#define LSTMRUN_TESTS_EXPECT_WEIGHTS_H

#include <criterion/criterion.h>

#include "tests/importing.h"

/* A matrix with these numbers, row by row. */
static inline void expect_weights(const struct imported *model, uint32_t rows, uint32_t columns,
                                  const float *expected)
{
    struct model_tensor tensor;
    cr_assert(model->good, "%s", model->error);
    model_get_tensor(&model->view, 0, &tensor);
    cr_assert(tensor.rank == 2 && tensor.dims[0] == rows && tensor.dims[1] == columns);
    cr_expect_arr_eq(tensor.data, expected, rows * columns * sizeof *expected);
}

#endif
