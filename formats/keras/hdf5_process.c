/* SPDX-License-Identifier: MIT
 *
 * The child process that reads an HDF5 file, and its limits: processor time, memory, and
 * the bytes it may send. Whatever it dies of, this process only sees a list that ends too
 * early. See hdf5_file.h.
 */
#define _DEFAULT_SOURCE

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "formats/keras/hdf5_file.h"

enum {
    MEMORY_MIB = 192,       /* of the child beyond what it starts with and copies of the file */
    COPIES = 3,             /* of the file that the library makes */
    CPU_MS = 500,           /* and CPU_MS more for each CPU_MIB of the file */
    CPU_MIB = 64,
    WALL_FACTOR = 12,       /* a busy computer gives it so much less of its time */
    EXPANSION = 4,          /* compressed numbers may be so many times the file, and … */
    EXPANSION_MIB = 64,     /* … so much more */
    LIST_OVERHEAD_MIB = 32, /* of the list: texts, paths */
};

/* AddressSanitizer maps terabytes of address space. */
#if defined(__SANITIZE_ADDRESS__)
#define LIMIT_MEMORY false
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define LIMIT_MEMORY false
#endif
#endif
#ifndef LIMIT_MEMORY
#define LIMIT_MEMORY true
#endif

static unsigned cpu_ms(size_t n_bytes)
{
    size_t more = n_bytes >> 20;
    return CPU_MS + (unsigned)(more < 65536 ? more * CPU_MS / CPU_MIB : 65536 * CPU_MS / CPU_MIB);
}

/* ---- in the child -------------------------------------------------------- */

static void limit(int which, rlim_t most)
{
    struct rlimit limits = {most, most};
    setrlimit(which, &limits);
}

/* Address space that this process has already, in bytes. */
static rlim_t used_memory(void)
{
    unsigned long pages = 0;
    FILE *file = fopen("/proc/self/statm", "r");
    if (file) {
        if (fscanf(file, "%lu", &pages) != 1)
            pages = 0;
        fclose(file);
    }
    return pages ? (rlim_t)pages * (rlim_t)sysconf(_SC_PAGESIZE) : (rlim_t)1 << 30;
}

static void limit_child(size_t n_bytes)
{
    unsigned ms = cpu_ms(n_bytes);
    struct itimerval timer = {.it_value = {ms / 1000, (suseconds_t)(ms % 1000) * 1000}};
    rlim_t memory = used_memory() + (rlim_t)COPIES * n_bytes + ((rlim_t)MEMORY_MIB << 20);
    limit(RLIMIT_CORE, 0);
    limit(RLIMIT_CPU, ms / 1000 + 1);
    limit(RLIMIT_FSIZE, 0);
    if (LIMIT_MEMORY)
        limit(RLIMIT_AS, memory);
    signal(SIGPROF, SIG_DFL);
    setitimer(ITIMER_PROF, &timer, NULL);
}

/* What libraries print when they die is of no use to anyone. */
static void silence(void)
{
    int null = open("/dev/null", O_WRONLY);
    if (null >= 0) {
        dup2(null, STDOUT_FILENO);
        dup2(null, STDERR_FILENO);
    }
}

_Noreturn static void run_child(const struct hdf5_job *job, int fd)
{
    static const int fatal[] = {SIGSEGV, SIGBUS, SIGABRT, SIGFPE, SIGILL, SIGTERM, SIGINT, SIGHUP, SIGPIPE};
    for (size_t i = 0; i < sizeof fatal / sizeof *fatal; i++)
        signal(fatal[i], SIG_DFL);
    silence();
    limit_child(job->n_bytes);
    hdf5_child_run(job, fd);
}

/* ---- in the parent ------------------------------------------------------- */

struct answer {
    uint8_t *bytes;
    size_t n_bytes, room, most;
};

static long long now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (long long)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static bool make_room(struct answer *answer)
{
    size_t room = answer->room ? answer->room + answer->room / 2 : (size_t)1 << 16;
    uint8_t *bytes;
    if (answer->n_bytes < answer->room)
        return true;
    room = room < answer->most ? room : answer->most;
    bytes = room > answer->room ? realloc(answer->bytes, room) : NULL;
    if (!bytes)
        return false;
    answer->bytes = bytes;
    answer->room = room;
    return true;
}

/* All that comes out of the pipe before the deadline; false if it is not the whole of it. */
static bool collect(int fd, long long deadline, struct answer *answer)
{
    for (;;) {
        struct pollfd wait = {.fd = fd, .events = POLLIN};
        long long left = deadline - now_ms();
        ssize_t n;
        if (left <= 0 || !make_room(answer))
            return false;
        if (poll(&wait, 1, (int)left) < 0 && errno != EINTR)
            return false;
        if (!wait.revents)
            continue;
        n = read(fd, answer->bytes + answer->n_bytes, answer->room - answer->n_bytes);
        if (n == 0)
            return true;
        if (n < 0 && errno != EINTR)
            return false;
        answer->n_bytes += n > 0 ? (size_t)n : 0;
    }
}

/* Wait for the child; false unless it ended well. */
static bool ended_well(pid_t child)
{
    int status;
    while (waitpid(child, &status, 0) < 0)
        if (errno != EINTR)
            return false;
    return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

static bool ask_child(const struct hdf5_job *job, struct answer *answer, char *error)
{
    int fds[2];
    bool whole;
    pid_t child;
    if (pipe(fds) != 0)
        return hdf5_fail(error, "no pipe to a child process can be had: %s", strerror(errno));
    child = fork();
    if (child == 0) {
        close(fds[0]);
        run_child(job, fds[1]);
    }
    close(fds[1]);
    if (child < 0) {
        close(fds[0]);
        return hdf5_fail(error, "no child process can be had: %s", strerror(errno));
    }
    whole = collect(fds[0], now_ms() + (long long)cpu_ms(job->n_bytes) * WALL_FACTOR, answer);
    close(fds[0]);
    if (!whole)
        kill(child, SIGKILL);
    if (!ended_well(child) || !whole)
        return hdf5_fail(error, "the HDF5 library failed on this file: it is damaged, or not made by Keras");
    return true;
}

bool hdf5_file_read(const uint8_t *bytes, size_t n_bytes, const char *const *skip, struct hdf5_file *out,
                    char *error)
{
    uint64_t n_max = (uint64_t)EXPANSION * n_bytes + ((uint64_t)EXPANSION_MIB << 20);
    struct hdf5_job job = {bytes, n_bytes, skip, n_max};
    struct answer answer = {.most = (size_t)n_max + ((size_t)LIST_OVERHEAD_MIB << 20)};
    *out = (struct hdf5_file){0};
    if (!hdf5_supported)
        return hdf5_fail(error, "an HDF5 file, which this build does not read (it was made without libhdf5)");
    if (!ask_child(&job, &answer, error)) {
        free(answer.bytes);
        return false;
    }
    return hdf5_list_parse(answer.bytes, answer.n_bytes, out, error);
}
