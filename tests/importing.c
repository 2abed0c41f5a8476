/* SPDX-License-Identifier: MIT
 *
 * Importing bytes in a test, see importing.h.
 */
#include "tests/importing.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void importing_note(void *context, const char *text)
{
    struct imported *out = context;
    size_t used = strlen(out->notes);
    snprintf(out->notes + used, sizeof out->notes - used, "%s\n", text);
}

bool importing_finish(struct model_builder *builder, struct imported *out)
{
    struct format_error error;
    if (!model_finish(builder, &out->bytes, &out->n_bytes, &error)) {
        snprintf(out->error, sizeof out->error, "finish: F%u: %s", error.rule, error.text);
        return false;
    }
    if (!model_read(out->bytes, out->n_bytes, &out->view, &error)) {
        snprintf(out->error, sizeof out->error, "read: F%u: %s", error.rule, error.text);
        return false;
    }
    return true;
}

void import_bytes_of_key(const uint8_t *bytes, size_t n_bytes, const char *spec, const char *key,
                         struct imported *out)
{
    struct import_source source = {.path = "test", .bytes = bytes, .n_bytes = n_bytes, .spec = spec,
                                   .key = key, .n_spec = spec ? strlen(spec) : 0, .note = importing_note,
                                   .note_context = out};
    struct model_builder *builder = model_builder_create();
    struct import_error error = {.text = "not recognised"};
    memset(out, 0, sizeof *out);
    for (const struct importer *const *row = importers; builder && *row; row++) {
        if ((*row)->recognise(bytes, n_bytes)) {
            out->good = (*row)->import(&source, builder, &error) && importing_finish(builder, out);
            break;
        }
    }
    if (!out->good && !out->error[0])
        snprintf(out->error, sizeof out->error, "%s%s", error.of_spec ? "spec " : "",
                 builder ? error.text : "out of memory");
    model_builder_destroy(builder);
}

void import_bytes(const uint8_t *bytes, size_t n_bytes, const char *spec, struct imported *out)
{
    import_bytes_of_key(bytes, n_bytes, spec, NULL, out);
}

void imported_free(struct imported *imported)
{
    free(imported->bytes);
    imported->bytes = NULL;
}
