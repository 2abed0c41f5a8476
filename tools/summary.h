/* SPDX-License-Identifier: MIT
 *
 * What lstmconvert says of the model it made: a table of layers, for a person.
 */
#ifndef LSTMRUN_TOOLS_SUMMARY_H
#define LSTMRUN_TOOLS_SUMMARY_H

#include "runtime/lstmrun.h"

void summary_print(const lstm_model *model);

/* "1,234,567" */
enum { SUMMARY_COUNT_TEXT = 32 };
const char *summary_count(unsigned long long count, char text[SUMMARY_COUNT_TEXT]);

#endif
