/* SPDX-License-Identifier: MIT
 *
 * A look inside of a workspace, for tests.
 */
#ifndef LSTMRUN_RUNTIME_RUN_H
#define LSTMRUN_RUNTIME_RUN_H

#include "runtime/lstmrun.h"

struct team;

/* The workspace's team, or NULL. */
struct team *workspace_team(lstm_workspace *workspace);

#endif
