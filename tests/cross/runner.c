/* SPDX-License-Identifier: MIT
 *
 * Runs Criterion suites where Criterion itself cannot: it starts each test as a new process of its own
 * program, which qemu's user emulation cannot do. Linked instead of libcriterion in cross builds; the
 * suites are the same, compiled against Criterion's header. One fork a test, the same last line.
 *
 * What the suites of this repo use is here (the assertions of criterion.h, fixtures, signal, exit_code,
 * timeout, disabled, skip); anything else, as criterion/new/assert.h, fails to link or is a failed test.
 */
#define _POSIX_C_SOURCE 200809L
#include <criterion/criterion.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

enum { EXIT_FAILED = 101, EXIT_SKIPPED = 102, EXIT_PASSED = 103, DEFAULT_TIMEOUT = 600 };

/* The linker collects what Test() and TestSuite() leave in these sections. */
extern struct criterion_test *__start_cr_tst[], *__stop_cr_tst[];
extern struct criterion_suite *__start_cr_sts[] __attribute__((weak));
extern struct criterion_suite *__stop_cr_sts[] __attribute__((weak));

struct criterion_options criterion_options;

/* State of the one test that this (forked) process runs. */
static struct {
    const struct criterion_test *test;
    const struct criterion_suite *suite;
    bool failed;
} current;

static void leave(int code)
{
    fflush(NULL);
    _exit(code);
}

/* ---- what Test() and the assertions call ---------------------------------- */

void criterion_internal_test_setup(void)
{
    if (current.suite && current.suite->data && current.suite->data->init)
        current.suite->data->init();
    if (current.test->data->init)
        current.test->data->init();
}

void criterion_internal_test_main(void (*fn)(void))
{
    fn();
}

void criterion_internal_test_teardown(void)
{
    if (current.test->data->fini)
        current.test->data->fini();
    if (current.suite && current.suite->data && current.suite->data->fini)
        current.suite->data->fini();
}

void criterion_send_assert(struct criterion_assert_stats *stats)
{
    if (stats->passed)
        return;
    current.failed = true;
    fprintf(stderr, "[----] %s:%u: Assertion Failed\n[----]   %s\n", stats->file, stats->line,
            stats->message);
}

void criterion_abort_test(void)
{
    leave(EXIT_FAILED);
    abort();
}

void criterion_continue_test(void)
{
}

void cri_asserts_passed_incr(void)
{
}

void criterion_skip_test(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    fprintf(stderr, "[SKIP] %s::%s: ", current.test->category, current.test->name);
    vfprintf(stderr, format, arguments);
    fputc('\n', stderr);
    va_end(arguments);
    leave(EXIT_SKIPPED);
    abort();
}

/* `index` says how the words of a failed condition are to be put; the words are what matters. */
char *cr_translate_assert_msg(int index, ...)
{
    va_list arguments;
    va_start(arguments, index);
    const char *words = va_arg(arguments, const char *);
    char *copy = strdup(words ? words : "");
    va_end(arguments);
    return copy;
}

int cr_asprintf(char **out, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    int length = vsnprintf(NULL, 0, format, arguments);
    va_end(arguments);
    *out = length < 0 ? NULL : malloc((size_t)length + 1);
    if (!*out)
        return -1;
    va_start(arguments, format);
    vsnprintf(*out, (size_t)length + 1, format, arguments);
    va_end(arguments);
    return length;
}

void cr_asprintf_free(char *text)
{
    free(text);
}

/* ---- running ---------------------------------------------------------------- */

static const struct criterion_suite *suite_of(const struct criterion_test *test)
{
    for (struct criterion_suite **p = __start_cr_sts; p && p < __stop_cr_sts; p++)
        if (*p && strcmp((*p)->name, test->category) == 0)
            return *p;
    return NULL;
}

static unsigned timeout_of(const struct criterion_test *test, const struct criterion_suite *suite)
{
    double seconds = test->data->timeout;
    if (seconds <= 0 && suite && suite->data)
        seconds = suite->data->timeout;
    return seconds > 0 ? (unsigned)(seconds * 20) + 1 : DEFAULT_TIMEOUT; /* emulation is slow */
}

static void run_child(const struct criterion_test *test, const struct criterion_suite *suite)
{
    current.test = test;
    current.suite = suite;
    alarm(timeout_of(test, suite));
    test->test();
    leave(current.failed ? EXIT_FAILED : EXIT_PASSED);
}

static int as_expected(const struct criterion_test_extra_data *data, int status)
{
    if (WIFSIGNALED(status))
        return data->signal == WTERMSIG(status);
    if (data->signal)
        return 0;
    int code = WEXITSTATUS(status);
    return data->exit_code ? code == data->exit_code : code == EXIT_PASSED || code == 0;
}

/* EXIT_PASSED, EXIT_FAILED or EXIT_SKIPPED; *crashed counts signals nobody expected. */
static int run_test(const struct criterion_test *test, int *crashed)
{
    const struct criterion_suite *suite = suite_of(test);
    if (test->data->disabled || (suite && suite->data && suite->data->disabled))
        return EXIT_SKIPPED;
    if (test->data->kind_ != CR_TEST_NORMAL) {
        fprintf(stderr, "[FAIL] %s::%s: only plain tests run here\n", test->category, test->name);
        return EXIT_FAILED;
    }
    fflush(NULL);
    pid_t child = fork();
    if (child == 0)
        run_child(test, suite);
    int status = 0;
    if (child < 0 || waitpid(child, &status, 0) != child) {
        perror("fork");
        return EXIT_FAILED;
    }
    if (WIFEXITED(status) && WEXITSTATUS(status) == EXIT_SKIPPED)
        return EXIT_SKIPPED;
    if (as_expected(test->data, status))
        return EXIT_PASSED;
    *crashed += WIFSIGNALED(status);
    fprintf(stderr, "[FAIL] %s::%s: %s %d\n", test->category, test->name,
            WIFSIGNALED(status) ? "signal" : "exit code",
            WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status));
    return EXIT_FAILED;
}

int main(void)
{
    int passed = 0, failed = 0, crashed = 0;
    for (struct criterion_test **p = __start_cr_tst; p < __stop_cr_tst; p++) {
        int result = *p ? run_test(*p, &crashed) : EXIT_SKIPPED;
        passed += result == EXIT_PASSED;
        failed += result == EXIT_FAILED;
    }
    fprintf(stderr, "[====] Synthesis: Tested: %d | Passing: %d | Failing: %d | Crashing: %d\n",
            passed + failed, passed, failed, crashed);
    return failed ? 1 : 0;
}
