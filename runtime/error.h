/* SPDX-License-Identifier: MIT
 *
 * Filling the caller's lstm_error, which may be NULL.
 */
#ifndef LSTMRUN_RUNTIME_ERROR_H
#define LSTMRUN_RUNTIME_ERROR_H

#include "formats/model_file.h"
#include "runtime/lstmrun.h"

/* printf into error->text; returns `status` so that callers can `return error_set(…)`. */
lstm_status error_set(lstm_error *error, lstm_status status, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* A broken FORMAT.md rule in one layer: "layer 3 (lstm "encoder"): …". */
struct layer;
lstm_status error_layer(lstm_error *error, uint32_t rule, const struct layer *layer,
                        const char *format, ...) __attribute__((format(printf, 4, 5)));

lstm_status error_format(lstm_error *error, const struct format_error *from);

lstm_status error_nomem(lstm_error *error);

#endif
