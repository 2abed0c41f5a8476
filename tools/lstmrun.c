/* SPDX-License-Identifier: MIT
 *
 * lstmrun MODEL INPUT: run a trained recurrent network over a sequence of frames. Only
 * the order of things is here; each has a file of its own.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "tools/cleanup.h"
#include "tools/info.h"
#include "tools/plan_measure.h"
#include "tools/run.h"
#include "tools/say.h"

/* A full disk behind stdout shows only when the last bytes are flushed. */
static bool finish_stdout(void)
{
    errno = 0;
    if (!ferror(stdout) && fflush(stdout) == 0)
        return true;
    return complain("standard output: cannot be written: %s", strerror(errno));
}

/* --info and --plan need no INPUT; given one, they plan for its size. */
static bool print_only(struct session *session)
{
    const struct args *args = session->args;
    size_t items = args->batch, steps = args->steps;
    if (args->input) {
        if (!session_open_input(session))
            return false;
        items = session->items;
        steps = session->source.steps == SOURCE_UNKNOWN ? 0 : session->source.steps;
    }
    if (args->info)
        info_print(session);
    if (args->plan) {
        if (!session_make_plan(session, items, steps))
            return false;
        printf("%s%s", args->info ? "\n" : "", lstm_plan_get_text(session->plan));
        if (args->measure && !plan_measure(session))
            return false;
    }
    return finish_stdout();
}

static bool run(struct session *session)
{
    if (!session_open_input(session))
        return false;
    size_t steps = session->source.steps == SOURCE_UNKNOWN ? 0 : session->source.steps;
    if (!session_make_plan(session, session->items, steps) || !session_make_streams(session))
        return false;
    bool ok = session->args->time ? run_timing(session) : run_result(session);
    return ok && finish_stdout();
}

int main(int argc, char **argv)
{
    struct args args;
    struct session session;
    args_parse(argc, argv, &args);
    cleanup_install(args.model);
    bool ok = session_open_model(&session, &args) &&
              (args.info || args.plan ? print_only(&session) : run(&session));
    session_close(&session);
    return ok ? EXIT_GOOD : EXIT_BAD_DATA;
}
