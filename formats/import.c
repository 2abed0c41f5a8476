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
    &importer_torch,
    &importer_npz,
    &importer_pickle,
    &importer_onnx,
    &importer_keras,
    /* JSON of audio plugins; the last one takes what looks like a state_dict. */
    &importer_nam,
    &importer_guitarml,
    &importer_rtneural,
    &importer_torch_json,
    NULL,
};

__attribute__((format(printf, 3, 0)))
static void fail(struct import_error *error, bool of_spec, const char *format, va_list args)
{
    vsnprintf(error->text, sizeof error->text, format, args);
    error->of_spec = of_spec;
}

bool import_fail(struct import_error *error, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    fail(error, false, format, args);
    va_end(args);
    return false;
}

bool spec_fail(struct import_error *error, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    fail(error, true, format, args);
    va_end(args);
    return false;
}
