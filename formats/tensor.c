/* SPDX-License-Identifier: MIT
 *
 * What the readers of tensor files share: error sentences, shapes, checked products.
 * See tensor.h.
 */
#include "formats/tensor.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

bool io_fail(struct io_error *error, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    vsnprintf(error->text, sizeof error->text, format, args);
    va_end(args);
    for (char *c = error->text; *c; c++) {
        if ((unsigned char)*c < 0x20 || *c == 0x7f)
            *c = '?';
    }
    return false;
}

void tensor_free(struct tensor *tensor)
{
    free(tensor->data);
    *tensor = (struct tensor){0};
}

const char *tensor_shape_text(uint32_t rank, const size_t *dims, char *text)
{
    size_t used = (size_t)snprintf(text, TENSOR_SHAPE_TEXT, "[");
    for (uint32_t i = 0; i < rank; i++)
        used += (size_t)snprintf(text + used, TENSOR_SHAPE_TEXT - used, "%s%zu", i ? ", " : "", dims[i]);
    snprintf(text + used, TENSOR_SHAPE_TEXT - used, "]");
    return text;
}

bool tensor_count(uint32_t rank, const size_t *dims, size_t *count_out)
{
    size_t count = 1;
    for (uint32_t i = 0; i < rank; i++) {
        if (dims[i] && count > SIZE_MAX / dims[i])
            return false;
        count *= dims[i];
    }
    *count_out = count;
    return true;
}
