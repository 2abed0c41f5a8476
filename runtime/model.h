/* SPDX-License-Identifier: MIT
 *
 * A checked model: the file's layers decoded once, each with its row of the layer
 * table and its place in the stream.
 */
#ifndef LSTMRUN_RUNTIME_MODEL_H
#define LSTMRUN_RUNTIME_MODEL_H

#include <stdbool.h>

#include "formats/mapfile.h"
#include "formats/model_file.h"
#include "formats/pace.h"
#include "runtime/layer.h"
#include "runtime/lstmrun.h"

struct lstm_model {
    struct mapfile file;   /* bytes NULL when opened from memory */
    void *copy;            /* of misaligned memory, else NULL */
    struct model_view view;
    struct layer *layers;      /* [view.n_layers] */
    struct model_value *values; /* [view.n_layers + 1] */
    uint32_t *pace_of;         /* [view.n_layers + 1]: which of … */
    struct pace *paces;        /* [n_paces]: … these a value has; no two are equal, 0 is the input's own */
    uint32_t n_paces;
    lstm_model_info info;
    uint32_t id; /* of file and weights, by their checksums: streams carry it */
};

/* The f32 numbers of a layer's tensor slot, or NULL if absent. */
const float *model_tensor_data(const struct lstm_model *model, const struct layer *layer,
                               uint32_t slot);

#endif
