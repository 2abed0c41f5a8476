/* SPDX-License-Identifier: MIT
 *
 * What must hold after any import, for the fuzz targets of the importers: what an importer
 * accepts the runtime runs, and a refusal says why.
 */
#ifndef LSTMRUN_TESTS_FUZZ_IMPORT_CHECK_H
#define LSTMRUN_TESTS_FUZZ_IMPORT_CHECK_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/lstmrun.h"
#include "tests/importing.h"

static void import_demand(bool holds, const char *what)
{
    if (!holds) {
        fprintf(stderr, "import: %s\n", what);
        abort();
    }
}

/* What came out of an import; frees it. */
static inline void import_checked(struct imported *imported)
{
    lstm_model *model;
    lstm_plan *plan;
    lstm_error error;
    import_demand(imported->good || imported->error[0], "refused without a sentence");
    import_demand(strncmp(imported->error, "read:", 5) != 0, imported->error);
    import_demand(strncmp(imported->error, "finish:", 7) != 0, imported->error);
    if (imported->good) {
        import_demand(lstm_model_open_memory(imported->bytes, imported->n_bytes, &model, &error) == LSTM_OK,
                      error.text);
        import_demand(lstm_model_verify(model, &error) == LSTM_OK, error.text);
        import_demand(lstm_plan_create(model, NULL, &plan, &error) == LSTM_OK, error.text);
        lstm_plan_destroy(plan);
        lstm_model_close(model);
    }
    imported_free(imported);
}

static inline void import_check(const uint8_t *bytes, size_t n_bytes, const char *spec)
{
    struct imported imported;
    import_bytes(bytes, n_bytes, spec, &imported);
    import_checked(&imported);
}

#endif
