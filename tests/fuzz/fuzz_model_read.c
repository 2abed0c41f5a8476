/* SPDX-License-Identifier: MIT
 *
 * Fuzz target: the model file's reader. What it accepts can be walked wholly, and the writer makes an equal
 * model of it. Checksums would stop nearly every input, so they are also tried put right.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/fuzz/seal.h"
#include "tests/model_walk.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void demand(bool holds, const char *what)
{
    if (!holds) {
        fprintf(stderr, "fuzz_model_read: %s\n", what);
        abort();
    }
}

static void check_accepted(const struct model_view *view)
{
    void *bytes = NULL;
    size_t n_bytes = 0;
    struct format_error error;
    struct model_view again;
    const char *wrong = model_walk(view);
    demand(wrong == NULL, wrong);
    demand(model_rebuild(view, &bytes, &n_bytes, &error), error.text);
    demand(model_read(bytes, n_bytes, &again, &error), error.text);
    demand(model_check_weights(&again, &error), error.text);
    wrong = model_difference(view, &again);
    demand(wrong == NULL, wrong);
    free(bytes);
}

static void read_once(const uint8_t *bytes, size_t size)
{
    struct model_view view;
    struct format_error error;
    if (model_read(bytes, size, &view, &error)) {
        check_accepted(&view);
        bool good = model_check_weights(&view, &error);
        demand(good == (error.rule == 0), "checking the weights gives no rule");
    }
    demand(error.offset <= size && error.rule <= 40, "an offset or rule that cannot be");
    demand((error.rule == 0) == (error.text[0] == '\0'), "a rule without a sentence");
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    read_once(data, size);
    if (size < 128)
        return 0;
    uint8_t *copy = malloc(size);
    demand(copy != NULL, "no memory for the fuzzer itself");
    memcpy(copy, data, size);
    seal(copy, size);
    read_once(copy, size);
    free(copy);
    return 0;
}
