/* SPDX-License-Identifier: MIT
 *
 * A stream's memory: a header that ties it to its model, then the states.
 */
#ifndef LSTMRUN_RUNTIME_STREAM_H
#define LSTMRUN_RUNTIME_STREAM_H

#include "runtime/model.h"

struct lstm_stream {
    char magic[8];
    uint32_t model_id;
    uint32_t unused;
    uint64_t n_floats;
    uint64_t reserved[5]; /* the states begin at a cache line */
    float state[];
};

#endif
