/* SPDX-License-Identifier: MIT
 *
 * Fuzz target: the JSON of --spec, on a small fixed model with an LSTM, a GRU, an
 * embedding, a layer_norm and two dense layers.
 */
#include "tests/fuzz/import_check.h"
#include "tests/safetensors_writer.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct entry {
    const char *name;
    uint32_t rank;
    uint64_t dims[2];
};

static const struct entry entries[] = {
    {"emb.weight", 2, {4, 2}},         {"lstm.weight_ih_l0", 2, {8, 2}},
    {"lstm.weight_hh_l0", 2, {8, 2}},  {"lstm.bias_ih_l0", 1, {8, 0}},
    {"lstm.bias_hh_l0", 1, {8, 0}},    {"rnn.weight_ih_l0", 2, {2, 2}},
    {"rnn.weight_hh_l0", 2, {2, 2}},   {"norm.weight", 1, {2, 0}},
    {"norm.bias", 1, {2, 0}},          {"fc1.weight", 2, {2, 2}},
    {"fc1.bias", 1, {2, 0}},           {"fc2.weight", 2, {2, 2}},
    {"g.weight_ih_l0", 2, {6, 2}},     {"g.weight_hh_l0", 2, {6, 2}},
};

static uint8_t *make_model(size_t *n_bytes)
{
    struct st_writer writer = {0};
    float numbers[64];
    for (unsigned i = 0; i < 64; i++)
        numbers[i] = (float)i / 64;
    for (size_t i = 0; i < sizeof entries / sizeof *entries; i++)
        st_add(&writer, entries[i].name, NT_F32, entries[i].rank, entries[i].dims, numbers);
    return st_finish(&writer, n_bytes);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    size_t n_model;
    uint8_t *model = make_model(&n_model);
    char *spec = calloc(size + 1, 1);
    import_demand(model && spec, "no memory for the fuzzer itself");
    if (size)
        memcpy(spec, data, size);
    import_check(model, n_model, spec);
    free(spec);
    free(model);
    return 0;
}
