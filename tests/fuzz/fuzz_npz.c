/* SPDX-License-Identifier: MIT
 *
 * Fuzz target: .npz. Every array is unpacked or refused with a sentence; what is unpacked has as many numbers
 * as its shape says, and comes out the same a second time.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "formats/npz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void demand(bool holds, const char *what)
{
    if (!holds) {
        fprintf(stderr, "fuzz_npz: %s\n", what);
        abort();
    }
}

static void check_array(struct npz *npz, const char *name)
{
    struct io_error error = {""};
    struct tensor tensor, again;
    size_t count;
    if (!npz_read(npz, name, &tensor, &error)) {
        demand(error.text[0] && !tensor.data, "a refusal has a sentence and no data");
        return;
    }
    demand(tensor_count(tensor.rank, tensor.dims, &count) && count == tensor.count, "shape and count");
    demand(npz_read(npz, name, &again, &error), error.text);
    demand(again.count == count, "the same count again");
    demand(!count || memcmp(again.data, tensor.data, count * sizeof(float)) == 0, "the same numbers again");
    tensor_free(&again);
    tensor_free(&tensor);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct io_error error = {""};
    struct npz *npz;
    if (!npz_open(data, size, &npz, &error)) {
        demand(error.text[0] && !npz, "a refusal has a sentence");
        return 0;
    }
    demand(npz_count(npz) <= NPZ_MAX_ARRAYS, "not too many arrays");
    for (size_t i = 0; i < npz_count(npz) && i < 8; i++)
        check_array(npz, npz_name(npz, i));
    npz_close(npz);
    return 0;
}
