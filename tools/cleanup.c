/* SPDX-License-Identifier: MIT
 *
 * Signal handlers, see cleanup.h. A handler can reach nothing but static data, which
 * is why the tools' only static variables are here.
 */
#define _GNU_SOURCE

#include "tools/cleanup.h"

#include <errno.h>
#include <limits.h>
#include <signal.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>

enum { SLOTS = 4 };

static char doomed[SLOTS][PATH_MAX];
static volatile sig_atomic_t is_doomed[SLOTS];
static const char *volatile blamed;
static const char *volatile watched_path;
static volatile uintptr_t watched_start, watched_end;

static void remove_doomed(void)
{
    for (int i = 0; i < SLOTS; i++) {
        if (is_doomed[i])
            unlink(doomed[i]);
    }
}

static void put(const char *text)
{
    size_t n = strlen(text);
    while (n > 0) {
        ssize_t done = write(STDERR_FILENO, text, n);
        if (done <= 0)
            return;
        text += done;
        n -= (size_t)done;
    }
}

static void on_bus_error(int number, siginfo_t *info, void *context)
{
    (void)number, (void)context;
    uintptr_t at = (uintptr_t)info->si_addr;
    remove_doomed();
    put(program_invocation_short_name);
    put(": ");
    put(at >= watched_start && at < watched_end ? watched_path : blamed);
    put(": changed while it was being read\n");
    _exit(1);
}

static void on_end(int number)
{
    remove_doomed();
    /* SA_RESETHAND has put the default back: whoever waits for us sees the signal. */
    raise(number);
}

void cleanup_install(const char *model_path)
{
    static const int ends[] = {SIGINT, SIGTERM, SIGHUP, SIGPIPE};
    blamed = model_path;
    struct sigaction action = {.sa_sigaction = on_bus_error, .sa_flags = SA_SIGINFO};
    sigemptyset(&action.sa_mask);
    sigaction(SIGBUS, &action, NULL);
    for (size_t i = 0; i < sizeof ends / sizeof *ends; i++) {
        struct sigaction before;
        struct sigaction end = {.sa_handler = on_end, .sa_flags = SA_RESETHAND};
        sigemptyset(&end.sa_mask);
        /* What nohup or a shell's background job made deaf stays so. */
        if (sigaction(ends[i], NULL, &before) == 0 && before.sa_handler != SIG_IGN)
            sigaction(ends[i], &end, NULL);
    }
    /* A file size limit is to be an error of write(), with a message. */
    struct sigaction ignore = {.sa_handler = SIG_IGN};
    sigaction(SIGXFSZ, &ignore, NULL);
}

int cleanup_remove(const char *path)
{
    size_t n = strlen(path);
    if (n >= PATH_MAX)
        return -1;
    for (int i = 0; i < SLOTS; i++) {
        if (is_doomed[i])
            continue;
        memcpy(doomed[i], path, n + 1);
        is_doomed[i] = 1;
        return i;
    }
    return -1;
}

void cleanup_keep(int slot)
{
    is_doomed[slot] = 0;
}

void cleanup_watch(const void *bytes, size_t n_bytes, const char *path)
{
    watched_path = path;
    watched_start = (uintptr_t)bytes;
    /* The last page is mapped whole. */
    watched_end = watched_start + n_bytes;
}
