/* SPDX-License-Identifier: MIT
 *
 * The graph of a model as a drawing of text: a layer a row, values as lines beside each
 * other from where they are made to where they are last read.
 */
#ifndef LSTMRUN_TOOLS_GRAPH_H
#define LSTMRUN_TOOLS_GRAPH_H

#include <stdbool.h>

#include "runtime/lstmrun.h"

/* Draw to stdout. `output` is the value that is the model's output. With `lines` the drawing
 * uses box characters of UTF-8, else ASCII. False: out of memory. */
bool graph_print(const lstm_model *model, uint32_t output, bool lines);

#endif
