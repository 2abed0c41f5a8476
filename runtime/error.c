/* SPDX-License-Identifier: MIT
 *
 * Status texts and error sentences.
 */
#include "runtime/error.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "runtime/model.h"

const char *lstm_status_text(lstm_status status)
{
    switch (status) {
    case LSTM_OK: return "ok";
    case LSTM_E_ARG: return "invalid argument";
    case LSTM_E_NOMEM: return "out of memory";
    case LSTM_E_IO: return "cannot read the file";
    case LSTM_E_FORMAT: return "not a valid model file";
    case LSTM_E_UNSUPPORTED: return "not supported by this build";
    case LSTM_E_DATA: return "unusable data";
    case LSTM_E_BACKEND: return "the backend failed";
    }
    return "unknown status";
}

#define TEXT_OF(x) #x
#define VERSION_TEXT(major, minor, patch) TEXT_OF(major) "." TEXT_OF(minor) "." TEXT_OF(patch)

const char *lstm_version(void)
{
    return VERSION_TEXT(LSTMRUN_VERSION_MAJOR, LSTMRUN_VERSION_MINOR, LSTMRUN_VERSION_PATCH);
}

static lstm_status set(lstm_error *error, lstm_status status, const char *format, va_list args)
{
    if (error) {
        memset(error, 0, sizeof *error);
        error->status = status;
        vsnprintf(error->text, sizeof error->text, format, args);
    }
    return status;
}

lstm_status error_set(lstm_error *error, lstm_status status, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    set(error, status, format, args);
    va_end(args);
    return status;
}

lstm_status error_layer(lstm_error *error, uint32_t rule, const struct layer *layer,
                        const char *format, ...)
{
    if (!error)
        return LSTM_E_FORMAT;
    char what[sizeof error->text];
    va_list args;
    va_start(args, format);
    vsnprintf(what, sizeof what, format, args);
    va_end(args);
    error_set(error, LSTM_E_FORMAT, "layer %u (%s%s%.60s%s): %s", (unsigned)layer->index,
              layer->type->name, layer->spec.name.n_bytes ? " \"" : "", layer->spec.name.text,
              layer->spec.name.n_bytes ? "\"" : "", what);
    error->rule = rule;
    error->offset = layer->spec.offset;
    return LSTM_E_FORMAT;
}

lstm_status error_format(lstm_error *error, const struct format_error *from)
{
    error_set(error, LSTM_E_FORMAT, "%s", from->text);
    if (error) {
        error->rule = from->rule;
        error->offset = from->offset;
    }
    return LSTM_E_FORMAT;
}

lstm_status error_nomem(lstm_error *error)
{
    return error_set(error, LSTM_E_NOMEM, "out of memory");
}
