/* SPDX-License-Identifier: MIT
 *
 * lstmrun --info: what a model is, for a person.
 */
#ifndef LSTMRUN_TOOLS_INFO_H
#define LSTMRUN_TOOLS_INFO_H

#include "tools/session.h"

void info_print(const struct session *session);

#endif
