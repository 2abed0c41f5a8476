/* SPDX-License-Identifier: MIT
 *
 * Modules in a list of tensors with PyTorch's names: which stack of lstm, gru or rnn,
 * which dense layer, embedding, layer_norm, batch_norm or convolution the tensors belong to.
 */
#ifndef LSTMRUN_FORMATS_TORCH_MODULES_H
#define LSTMRUN_FORMATS_TORCH_MODULES_H

#include <jansson.h>

#include "formats/import.h"
#include "formats/named_tensors.h"

enum torch_role {
    TORCH_W_IH, TORCH_W_HH, TORCH_B_IH, TORCH_B_HH, TORCH_W_HR, /* of a recurrent cell */
    TORCH_WEIGHT, TORCH_BIAS,
    TORCH_MEAN, TORCH_VARIANCE, TORCH_TRACKED, /* of a batch_norm; the last counts batches: of no use here */
    TORCH_OTHER
};

struct torch_cell {
    const struct named_tensor *tensors[5]; /* by role; NULL: not there */
};

struct torch_module {
    char *prefix;  /* "encoder.lstm"; "" for tensors without a prefix */
    /* MODEL_LSTM … MODEL_RNN, MODEL_DENSE, MODEL_EMBEDDING, MODEL_LAYER_NORM; MODEL_SCALE: a batch_norm;
     * MODEL_CONV1D: a convolution of either kind */
    uint32_t type;
    uint32_t input, output; /* frame sizes; an embedding's input is 1, a convolution's its channels */
    json_t *hints; /* the spec's and, where it is silent, the file's; never NULL */

    /* recurrent */
    uint32_t n_layers, n_directions, hidden, recurrent;
    struct torch_cell *cells; /* [n_layers][2]: forward, reverse */

    /* others */
    const struct named_tensor *weight, *bias, *mean, *variance;
};

struct torch_modules {
    struct torch_module *modules; /* in natural order of their prefixes */
    size_t n_modules;
};

/* Sort all tensors of the list into modules; those that spec's "ignore" names are left
 * out. Each tensor has a place or is refused by name. */
bool torch_modules_find(const struct named_tensors *tensors, const json_t *spec,
                        struct torch_modules *out, struct import_error *error);
void torch_modules_free(struct torch_modules *modules);

/* By prefix; NULL: none. */
const struct torch_module *torch_modules_get(const struct torch_modules *modules,
                                             const char *prefix);

bool torch_is_recurrent(const struct torch_module *module);

/* "lstm" … "conv1d": its type as specs have it. */
const char *torch_type_name(const struct torch_module *module);

/* The prefix, or for "" the type: what layers and messages call it. */
const char *torch_module_name(const struct torch_module *module);

#endif
