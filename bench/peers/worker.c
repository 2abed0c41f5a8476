/* SPDX-License-Identifier: MIT
 *
 * The loop of a worker: one command a line on stdin, one line of JSON on stdout (PROTOCOL.md). Errors of the
 * case or of the runtime are answered; only a runtime that cannot start ends the program.
 */
#include "bench/peers/worker.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* A sample lasts at least this long, so that reading the clock (about 25 ns) does not show. */
#define SAMPLE_NS UINT64_C(20000)
enum { MAX_SAMPLES = 4096 };

struct session {
    const struct worker_options *options;
    void *started; /* what worker_runtime.start answered */
    struct worker_case c;
    void *self; /* NULL: no case is open */
    int set;    /* of states, that the next call reads */
};

static uint64_t clock_ns(clockid_t clock)
{
    struct timespec t;
    clock_gettime(clock, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static long resident_kb(void)
{
    FILE *file = fopen("/proc/self/status", "r");
    char line[256];
    long kb = -1;
    while (file != NULL && kb < 0 && fgets(line, sizeof line, file) != NULL)
        if (sscanf(line, "VmRSS: %ld", &kb) != 1)
            kb = -1;
    if (file != NULL)
        fclose(file);
    return kb;
}

/* Not ASCII, so perhaps not UTF-8: '?'. */
static void print_string(const char *text)
{
    putchar('"');
    for (; *text != '\0'; text++) {
        unsigned char byte = (unsigned char)*text;
        if (byte < 0x20)
            printf("\\u%04x", byte);
        else if (byte == '"' || byte == '\\')
            printf("\\%c", byte);
        else
            putchar(byte < 0x7f ? byte : '?');
    }
    putchar('"');
}

static void answer_error(const struct worker_error *error)
{
    printf("{\"error\": ");
    print_string(error->text);
    printf("}\n");
}

/* ---- calls --------------------------------------------------------------- */

static bool call(struct session *s, struct worker_error *error)
{
    bool gather = s->c.streams && !worker_runtime.own_streams;
    if (gather)
        worker_case_gather(&s->c);
    if (!worker_runtime.run(s->self, s->set, error))
        return false;
    if (gather)
        worker_case_scatter(&s->c);
    else if (s->c.steps == 1)
        s->set ^= 1;
    return true;
}

static void restart(struct session *s)
{
    worker_case_zero_state(&s->c);
    s->set = 0;
    if (worker_runtime.reset != NULL)
        worker_runtime.reset(s->self);
}

/* Wall time of `n` calls; 0: failed. */
static uint64_t time_calls(struct session *s, size_t n, struct worker_error *error)
{
    uint64_t start = clock_ns(CLOCK_MONOTONIC);
    for (size_t i = 0; i < n; i++)
        if (!call(s, error))
            return 0;
    uint64_t ns = clock_ns(CLOCK_MONOTONIC) - start;
    return ns > 0 ? ns : 1;
}

/* Calls a sample; also warms the caches up. 0: failed. */
static size_t calls_per_sample(struct session *s, uint64_t budget, struct worker_error *error)
{
    uint64_t least = budget / MAX_SAMPLES > SAMPLE_NS ? budget / MAX_SAMPLES : SAMPLE_NS;
    for (size_t n = 1;; n *= 2) {
        uint64_t ns = time_calls(s, n, error);
        if (ns == 0)
            return 0;
        if (ns >= least)
            return n;
    }
}

/* ---- commands ------------------------------------------------------------ */

static void close_case(struct session *s)
{
    if (s->self != NULL) {
        worker_runtime.close(s->self);
        worker_case_close(&s->c);
        s->self = NULL;
    }
}

static bool open_case(struct session *s, const char *dir, struct worker_error *error)
{
    close_case(s);
    if (!worker_case_open(dir, worker_runtime.item_major, &s->c, error))
        return false;
    uint32_t threads = s->options->threads;
    bool ok = s->c.threads == threads ||
              worker_fail(error, "%s/case.txt: threads is %u, but this worker was started with --threads %u",
                          dir, s->c.threads, threads);
    uint64_t start = clock_ns(CLOCK_MONOTONIC);
    s->self = ok ? worker_runtime.open(s->started, &s->c, error) : NULL;
    uint64_t ns = clock_ns(CLOCK_MONOTONIC) - start;
    if (s->self == NULL) {
        worker_case_close(&s->c);
        return false;
    }
    restart(s);
    if (!call(s, error)) {
        close_case(s);
        return false;
    }
    printf("{\"open_ns\": %" PRIu64 ", \"rss_kb\": %ld}\n", ns, resident_kb());
    return true;
}

static bool check_calls(struct session *s, const float *input, float *output, FILE *file,
                        struct worker_error *error)
{
    size_t n = worker_case_outputs_size(&s->c);
    restart(s);
    for (uint32_t k = 0; k < s->c.calls; k++) {
        worker_case_put_input(&s->c, worker_runtime.item_major, input + k * worker_case_inputs_size(&s->c));
        if (!call(s, error))
            return false;
        worker_case_get_output(&s->c, worker_runtime.item_major, output);
        if (fwrite(output, sizeof *output, n, file) != n)
            return worker_fail(error, "cannot write the outputs: %s", strerror(errno));
    }
    worker_case_put_input(&s->c, worker_runtime.item_major, input);
    return true;
}

static bool check(struct session *s, const char *path, struct worker_error *error)
{
    size_t n = worker_case_inputs_size(&s->c) * s->c.calls;
    float *input = worker_read_floats(&s->c, "input.bin", n, error);
    float *output = worker_floats(worker_case_outputs_size(&s->c));
    FILE *file = fopen(path, "wb");
    bool ok = input != NULL;
    ok = ok && (output != NULL || worker_fail(error, "out of memory"));
    ok = ok && (file != NULL || worker_fail(error, "%s: %s", path, strerror(errno)));
    ok = ok && check_calls(s, input, output, file, error);
    if (file != NULL && fclose(file) != 0 && ok)
        ok = worker_fail(error, "%s: %s", path, strerror(errno));
    free(input);
    free(output);
    if (ok)
        printf("{}\n");
    return ok;
}

static bool time_case(struct session *s, const char *text, struct worker_error *error)
{
    static double samples[MAX_SAMPLES];
    char *end;
    uint64_t budget = strtoull(text, &end, 10);
    if (end == text || *end != '\0' || text[0] == '-')
        return worker_fail(error, "time \"%s\": expected nanoseconds", text);
    restart(s);
    size_t calls = calls_per_sample(s, budget, error);
    if (calls == 0)
        return false;
    uint64_t cpu = clock_ns(CLOCK_PROCESS_CPUTIME_ID), start = clock_ns(CLOCK_MONOTONIC), wall;
    size_t n = 0;
    do {
        uint64_t ns = time_calls(s, calls, error);
        if (ns == 0)
            return false;
        samples[n++] = (double)ns / (double)calls;
        wall = clock_ns(CLOCK_MONOTONIC) - start;
    } while (n < MAX_SAMPLES && wall < budget);
    cpu = clock_ns(CLOCK_PROCESS_CPUTIME_ID) - cpu;
    printf("{\"calls\": %zu, \"ns\": [", calls);
    for (size_t i = 0; i < n; i++)
        printf("%s%.1f", i > 0 ? ", " : "", samples[i]);
    printf("], \"cpu_ns\": %" PRIu64 ", \"wall_ns\": %" PRIu64 "}\n", cpu, wall);
    return true;
}

static bool obey(struct session *s, char *line, struct worker_error *error)
{
    char *argument = strchr(line, ' ');
    if (argument != NULL)
        *argument++ = '\0';
    if (argument != NULL && argument[0] == '\0')
        argument = NULL;
    if (strcmp(line, "open") == 0 && argument != NULL)
        return open_case(s, argument, error);
    if (strcmp(line, "close") == 0 && argument == NULL) {
        close_case(s);
        printf("{}\n");
        return true;
    }
    bool known = strcmp(line, "check") == 0 || strcmp(line, "time") == 0;
    if (!known || argument == NULL)
        return worker_fail(error, "\"%s\": expected open DIR, check FILE, time NS or close", line);
    if (s->self == NULL)
        return worker_fail(error, "%s: no case is open", line);
    return line[0] == 'c' ? check(s, argument, error) : time_case(s, argument, error);
}

/* ---- program ------------------------------------------------------------- */

static bool read_options(int argc, char **argv, struct worker_options *options, struct worker_error *error)
{
    for (int i = 1; i < argc; i += 2) {
        const char *value = i + 1 < argc ? argv[i + 1] : NULL;
        if (value == NULL)
            return worker_fail(error, "%s: no value", argv[i]);
        if (strcmp(argv[i], "--threads") == 0)
            options->threads = (uint32_t)strtoul(value, NULL, 10);
        else if (strcmp(argv[i], "--isa") == 0)
            options->isa = value;
        else if (strcmp(argv[i], "--library") == 0)
            options->library = value;
        else
            return worker_fail(error, "%s: expected --threads N, --isa NAME or --library FILE", argv[i]);
    }
    return options->threads >= 1 || worker_fail(error, "--threads N, at least 1, must be given");
}

static void greet(const char *version)
{
    printf("{\"runtime\": ");
    print_string(worker_runtime.name);
    printf(", \"version\": ");
    print_string(version);
    printf(", \"notes\": ");
    print_string(worker_runtime.notes);
    printf("}\n");
}

int main(int argc, char **argv)
{
    struct worker_options options = {0, NULL, NULL};
    struct worker_error error = {""};
    char version[64] = "";
    /* Whole lines only: the driver waits for them. */
    setvbuf(stdout, NULL, _IOFBF, 1 << 16);
    struct session session = {.options = &options};
    if (read_options(argc, argv, &options, &error))
        session.started = worker_runtime.start(&options, version, &error);
    if (session.started == NULL) {
        answer_error(&error);
        return 1;
    }
    greet(version);
    fflush(stdout);

    char *line = NULL;
    size_t n_line = 0;
    while (getline(&line, &n_line, stdin) > 0) {
        line[strcspn(line, "\r\n")] = '\0';
        if (!obey(&session, line, &error))
            answer_error(&error);
        fflush(stdout);
    }
    free(line);
    close_case(&session);
    if (worker_runtime.end != NULL)
        worker_runtime.end(session.started);
    return 0;
}
