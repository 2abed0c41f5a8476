/* SPDX-License-Identifier: MIT
 *
 * The table of importers: a format is one file and one row here. The first row
 * that recognises the bytes imports them.
 */
#include "formats/import.h"

#include <stdarg.h>
#include <stdio.h>

#include "formats/import_rows.h"

const struct importer *const importers[] = {
    &importer_safetensors,
    &importer_onnx,
    NULL,
};

bool import_fail(struct import_error *error, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    vsnprintf(error->text, sizeof error->text, format, args);
    va_end(args);
    return false;
}
