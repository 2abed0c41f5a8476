/* SPDX-License-Identifier: MIT
 *
 * Saved states of streams: a header of 32 bytes, then each stream's memory.
 *
 *    0  "LSTMSTAT"
 *    8  version, 1      (32 bits, little-endian like the rest)
 *   12  streams         (32 bits)
 *   16  bytes of each   (64 bits)
 *   24  CRC-32C of what follows the header (32 bits)
 *   28  0               (32 bits)
 *
 * That a state belongs to the model is checked by lstm_stream_load.
 */
#ifndef LSTMRUN_TOOLS_STATE_FILE_H
#define LSTMRUN_TOOLS_STATE_FILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

#include "runtime/lstmrun.h"

/* Load as many states as there are streams. False: a message was printed. */
bool state_file_load(const char *path, const lstm_model *model, lstm_stream *const *streams,
                     size_t n_streams);

/* Write to an open file; write errors are left for its owner to find. */
void state_file_save(FILE *file, const lstm_model *model, lstm_stream *const *streams,
                     size_t n_streams);

#endif
