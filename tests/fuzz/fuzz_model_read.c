/* SPDX-License-Identifier: MIT
 *
 * Fuzz target: the model file's reader. What it accepts can be walked wholly, and the writer makes an equal
 * model of it. Checksums would stop nearly every input, so they are also tried put right.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "formats/bytes.h"
#include "formats/crc32c.h"
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

/* File size and checksum as the reader wants them, if the counts leave the tables inside. */
static void seal(uint8_t *bytes, size_t size)
{
    uint64_t tables = 128 + 16 * (uint64_t)load_u32(bytes + 32) + 128 * (uint64_t)load_u32(bytes + 36) +
                      32 * ((uint64_t)load_u32(bytes + 36) + 1) + 64 * (uint64_t)load_u32(bytes + 40) +
                      4 * (uint64_t)load_u32(bytes + 44) + load_u32(bytes + 48);
    uint64_t data_at = (tables + 63) / 64 * 64;
    store_u64(bytes + 24, size);
    store_u32(bytes + 12, 0);
    if (data_at <= size)
        store_u32(bytes + 12, crc32c(0, bytes, (size_t)data_at));
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
