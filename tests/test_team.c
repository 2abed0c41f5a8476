/* SPDX-License-Identifier: MIT
 *
 * Threads of a workspace: who comes to a job and who does not, and that results are the same
 * bits in any case. Worth running under a thread sanitizer, too: no OpenMP takes part.
 */
#define _GNU_SOURCE
#include <criterion/criterion.h>
#include <math.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "runtime/barrier.h"
#include "runtime/clock.h"
#include "runtime/plan.h"
#include "runtime/processor.h"
#include "runtime/run.h"
#include "runtime/team.h"
#include "tests/failing_threads.h"
#include "tests/session.h"

static void pause_us(long us)
{
    const struct timespec time = {us / 1000000, us % 1000000 * 1000};
    nanosleep(&time, NULL);
}

/* Whether there is a processor for a worker beside its caller's. */
static bool can_have_help(void)
{
#if defined(__linux__)
    cpu_set_t usable;
    return pthread_getaffinity_np(pthread_self(), sizeof usable, &usable) != 0 || CPU_COUNT(&usable) > 1;
#else
    return sysconf(_SC_NPROCESSORS_ONLN) > 1;
#endif
}

/* Waits up to ten seconds for so many workers to look out. */
static bool wait_awake(struct team *team, uint32_t n)
{
    for (int i = 0; i < 100000 && team_awake(team) != n; i++)
        pause_us(100);
    return team_awake(team) == n;
}

/* ---- the barrier and the team alone ---------------------------------------------- */

enum { MOST = 8, ROUNDS = 40 };

/* Each member adds its part to the sum of all the others' last ones. */
struct sums {
    struct barrier_flag flags[3 * MOST];
    uint64_t part[2][MOST];
    atomic_uint members;
};

static void add_up(const struct team_job *job, uint32_t rank, uint32_t size)
{
    struct sums *sums = (struct sums *)(uintptr_t)job->object;
    struct barrier_seat seat = {.flags = sums->flags, .threads = MOST, .rank = rank, .size = size,
                                .turn = job->number << 32};
    sums->part[0][rank] = rank + 1;
    barrier_wait(&seat);
    for (int round = 0; round < ROUNDS; round++) {
        uint64_t sum = 0;
        for (uint32_t i = 0; i < size; i++)
            sum += sums->part[round % 2][i];
        sums->part[(round + 1) % 2][rank] = sum % 1000003 + rank;
        barrier_wait(&seat);
    }
    atomic_fetch_add(&sums->members, 1);
    barrier_wait(&seat);
}

static uint64_t expected_sum(uint32_t size)
{
    uint64_t part[2][MOST] = {{0}};
    for (uint32_t i = 0; i < size; i++)
        part[0][i] = i + 1;
    for (int round = 0; round < ROUNDS; round++) {
        uint64_t sum = 0;
        for (uint32_t i = 0; i < size; i++)
            sum += part[round % 2][i];
        for (uint32_t i = 0; i < size; i++)
            part[(round + 1) % 2][i] = sum % 1000003 + i;
    }
    return part[ROUNDS % 2][0];
}

static const struct team_gain forced = {0, INFINITY};

static uint32_t run_sums(struct team *team, struct sums *sums, uint32_t threads,
                         struct team_gain gain)
{
    struct team_job job = {add_up, sums, NULL, 0, 0};
    atomic_store(&sums->members, 0);
    const uint32_t size = team_start(team, threads, gain, &job);
    add_up(&job, 0, size);
    cr_assert_eq(atomic_load(&sums->members), size);
    cr_assert_eq(sums->part[ROUNDS % 2][0], expected_sum(size), "%u of %u threads",
                 (unsigned)size, (unsigned)threads);
    return size;
}

static const struct team_patience usual = {.look_out_ns = 30000, .claim_ns = 1500,
                                           .wake_ns = 30000};

static struct team *make_team(uint32_t workers, struct team_patience patience)
{
    struct team *team;
    cr_assert_eq(team_create(workers, patience, &team), 0);
    return team;
}

/* What a thread may use is the same before and after; with one processor there is no other. */
Test(team, a_thread_keeps_off_a_processor)
{
    const int here = processor_current();
    cr_assert(processor_avoid(-1));
#if defined(__linux__)
    cpu_set_t all, one, after;
    cr_assert_geq(here, 0);
    cr_assert_eq(pthread_getaffinity_np(pthread_self(), sizeof all, &all), 0);
    CPU_ZERO(&one);
    CPU_SET((size_t)here, &one);
    cr_assert_eq(pthread_setaffinity_np(pthread_self(), sizeof one, &one), 0);
    cr_assert_eq(processor_current(), here);
    cr_assert_not(processor_avoid(here), "there is no other processor");
    cr_assert(processor_avoid(here + 1), "the thread is not on that one");
    cr_assert_eq(pthread_setaffinity_np(pthread_self(), sizeof all, &all), 0);
    for (int i = 0; i < 100; i++)
        (void)processor_avoid(processor_current());
    cr_assert_eq(pthread_getaffinity_np(pthread_self(), sizeof after, &after), 0);
    cr_assert(CPU_EQUAL(&all, &after), "what the thread may use has changed");
#endif
}

Test(team, barrier_has_log_rounds)
{
    static const size_t expected[] = {0, 0, 2, 6, 8, 15, 18, 21, 24};
    for (uint32_t n = 1; n <= MOST; n++)
        cr_expect_eq(barrier_flags(n), expected[n], "%u threads", (unsigned)n);
}

Test(team, forced_jobs_get_all_their_threads)
{
    struct sums *sums = calloc(1, sizeof *sums);
    struct team *team = make_team(MOST - 1, usual);
    for (int i = 0; i < 60; i++) {
        const uint32_t threads = 1 + (uint32_t)i % MOST;
        cr_assert_eq(run_sums(team, sums, threads, forced), threads);
        if (i % 20 == 19)
            wait_awake(team, 0);
    }
    team_destroy(team);
    free(sums);
}

Test(team, workers_fall_asleep)
{
    struct sums *sums = calloc(1, sizeof *sums);
    struct team *team = make_team(2, usual);
    cr_assert(wait_awake(team, 0));
    cr_assert_eq(run_sums(team, sums, 3, forced), 3);
    cr_assert(wait_awake(team, 0));
    team_destroy(team);
    free(sums);
}

/* Members of a job that do not meet; the workers take their time. */
struct parts {
    long worker_us;
    uint64_t ended_ns[MOST]; /* of workers that took their time */
    uint32_t size_seen[MOST];
};

static void do_part(const struct team_job *job, uint32_t rank, uint32_t size)
{
    struct parts *parts = (struct parts *)(uintptr_t)job->object;
    parts->size_seen[rank] = size;
    if (rank == 0 || !parts->worker_us)
        return;
    pause_us(parts->worker_us);
    parts->ended_ns[rank] = clock_ns();
}

static uint32_t run_parts(struct team *team, struct parts *parts, uint32_t threads,
                          struct team_gain gain)
{
    struct team_job job = {do_part, parts, NULL, 0, 0};
    memset(parts->size_seen, 0, sizeof parts->size_seen);
    const uint32_t size = team_start(team, threads, gain, &job);
    do_part(&job, 0, size);
    team_finish(team, gain);
    for (uint32_t i = 0; i < MOST; i++)
        cr_assert_eq(parts->size_seen[i], i < size ? size : 0, "rank %u of %u", (unsigned)i, (unsigned)size);
    return size;
}

Test(team, jobs_whose_threads_do_not_meet)
{
    struct parts parts = {0};
    struct team *team = make_team(MOST - 1, usual);
    for (int i = 0; i < 60; i++) {
        const uint32_t threads = 1 + (uint32_t)i % MOST;
        parts.worker_us = i % 5 == 4 ? 3000 : 0;
        cr_assert_eq(run_parts(team, &parts, threads, forced), threads);
    }
    team_destroy(team);
}

enum { PATIENCE_S = 60 };

/* A job for two, whose worker takes 20 ms for it; then at once another, whose number of threads is in
 * *next. False if that proves nothing: nobody came to the first, or the caller was kept from waiting
 * for him or from asking again soon. */
static bool ask_after_waiting(struct team *team, struct parts *parts, struct team_gain gain, uint32_t *next)
{
    const uint64_t long_ns = 10000000, soon_ns = 5000000; /* within the team's 10 ms of rest */
    parts->worker_us = 20000;
    struct team_job job = {do_part, parts, NULL, 0, 0};
    const uint32_t size = team_start(team, 2, gain, &job);
    do_part(&job, 0, size);
    const uint64_t begun = clock_ns();
    team_finish(team, gain);
    const uint64_t worker_ended = parts->ended_ns[1];
    parts->worker_us = 0;
    *next = run_parts(team, parts, 2, gain);
    return size == 2 && worker_ended > begun + long_ns && clock_ns() < worker_ended + soon_ns;
}

/* A worker that makes its caller wait is not asked again for a while. */
Test(team, late_workers_have_a_rest)
{
    enum { ASKED = 5 };
    const struct team_gain large = {1e6, 9e5};
    const struct team_patience patient = {.look_out_ns = 30000, .claim_ns = 1000000, .wake_ns = 1000};
    const time_t end = time(NULL) + PATIENCE_S;
    struct parts parts = {0};
    int asked = 0, alone = 0;
    uint32_t next;
    if (!can_have_help())
        cr_skip_test("there is one processor, where workers only disturb");
    struct team *team = make_team(1, patient);
    for (; asked < ASKED && time(NULL) < end; pause_us(1000))
        if (ask_after_waiting(team, &parts, large, &next)) {
            asked++;
            alone += next == 1;
        }
    team_destroy(team);
    if (asked < ASKED)
        cr_skip_test("this computer is too busy to tell");
    /* One may have been kept from its processor before it began to wait. */
    cr_assert_geq(alone, ASKED - 1, "it has made its caller wait for 20 ms, and was asked again");
}

/* A small gain is no reason to wake anybody, until calls come back to back. */
Test(team, small_gains_wake_nobody_at_first)
{
    const struct team_gain small = {2000, 1000}, longer = {1000000, 1000};
    const struct team_patience patient = {.look_out_ns = 30000, .claim_ns = 1000000,
                                          .wake_ns = 30000};
    struct sums *sums = calloc(1, sizeof *sums);
    struct team *team = make_team(1, patient);
    cr_assert(wait_awake(team, 0));
    for (int i = 0; i < 40; i++) {
        cr_assert_eq(run_sums(team, sums, 2, small), 1);
        cr_assert_eq(team_awake(team), 0);
        pause_us(200);
    }
    const time_t end = time(NULL) + PATIENCE_S;
    uint32_t size = 1;
    while (can_have_help() && size == 1 && time(NULL) < end)
        size = run_sums(team, sums, 2, longer);
    cr_assert(size == 2 || !can_have_help(), "calls that come back to back wake a worker in the end");
    team_destroy(team);
    free(sums);
}

/* Nobody is given time to come: the caller is alone, and workers miss nothing later. */
Test(team, offers_that_are_withdrawn)
{
    struct sums *sums = calloc(1, sizeof *sums);
    const struct team_patience none = {.look_out_ns = 1000, .claim_ns = 0, .wake_ns = 0};
    struct team *team = make_team(3, none);
    uint32_t alone = 0;
    for (int i = 0; i < 2000; i++) {
        alone += run_sums(team, sums, 4, (struct team_gain){1, 1}) == 1;
        if (i % 10 == 0)
            pause_us(i % 7 * 30);
    }
    cr_assert_gt(alone, 0);
    cr_assert_eq(run_sums(team, sums, 4, forced), 4);
    team_destroy(team);
    free(sums);
}

Test(team, made_and_ended_all_the_time)
{
    struct sums *sums = calloc(1, sizeof *sums);
    for (int i = 0; i < 200; i++) {
        struct team *team = make_team((uint32_t)(i % 4), usual);
        if (i % 3 == 0)
            run_sums(team, sums, 1 + (uint32_t)(i % 4), forced);
        if (i % 5 == 0)
            pause_us(100);
        team_destroy(team);
        memset(sums, 0, sizeof *sums);
    }
    team_destroy(NULL);
    free(sums);
}

/* ---- runs ------------------------------------------------------------------------- */

enum { ITEMS = 3, STEPS = 5 };

/* Two layers, in both directions or not, and a frame layer. */
static struct test_model make_model(uint32_t type, uint32_t direction)
{
    struct rng rng = {type + direction};
    struct model_builder *builder = model_builder_create();
    struct rnn_spec rnn = {.type = type, .hidden = 70, .direction = direction, .bias = true,
                           .reset_after = type == MODEL_GRU};
    uint32_t width = 20;
    model_set_input(builder, NULL, 1, &width);
    uint32_t value = build_recurrent(builder, &rng, 0, &rnn);
    value = build_recurrent(builder, &rng, value, &rnn);
    build_dense(builder, &rng, value, 9, MODEL_ACT_IDENTITY, true);
    return test_model_finish(builder, direction ? "both directions" : "forward");
}

static struct session open_team(const struct test_model *model, uint32_t threads, const char *split)
{
    lstm_plan_options options = LSTM_PLAN_OPTIONS_INIT;
    options.threads = threads;
    options.split = threads > 1 ? split : "none";
    return session_open(model, &options, ITEMS, STEPS);
}

/* ITEMS items of 1 to STEPS steps, `runs` times, then all outputs and states. */
struct work {
    const struct test_model *model;
    const float *input;
    uint32_t threads;
    const char *split;
    int runs;
    bool moody; /* the plan asks for a team as the cost model would, and calls come irregularly */
    float *result;
    size_t n_result;
};

/* What the cost model would have said of a run that gains a little by two threads. */
static void unforce(struct session *s)
{
    s->plan->split_forced = false;
    for (size_t i = 0; i < SPLIT_ITEM_CLASSES; i++)
        for (size_t t = 0; t < SPLIT_STEP_CLASSES; t++)
            s->plan->splits.gain[i][t] = (struct split_gain){2000, i % 2 ? 1000 : 30000};
}

static void run_all(const struct session *s, const struct work *work, lstm_item *items)
{
    struct rng rng = {work->threads};
    for (int run = 0; run < work->runs; run++) {
        for (size_t i = 0; i < ITEMS; i++)
            items[i].steps = 1 + ((size_t)run / 4 + i) % STEPS;
        session_run_items(s, items, 1 + (size_t)run / 3 % ITEMS);
        if (work->moody && rng_chance(&rng, 10))
            pause_us(rng_below(&rng, 200));
    }
}

static void *do_work(void *argument)
{
    struct work *work = argument;
    struct session s = open_team(work->model, work->threads, work->split);
    lstm_item items[ITEMS];
    const size_t frames = ITEMS * STEPS;
    work->n_result = frames * s.n_out + ITEMS * s.n_states;
    work->result = test_floats(work->n_result);
    if (work->moody)
        unforce(&s);
    for (size_t i = 0; i < ITEMS; i++)
        items[i] = (lstm_item){.stream = session_stream(&s),
                               .input = work->input + i * STEPS * s.n_in,
                               .output = work->result + i * STEPS * s.n_out};
    run_all(&s, work, items);
    for (size_t i = 0; i < ITEMS; i++) {
        session_get_states(&s, items[i].stream, work->result + frames * s.n_out + i * s.n_states);
        lstm_stream_destroy(items[i].stream);
    }
    session_close(&s);
    return NULL;
}

static float *make_input(const struct test_model *model)
{
    struct rng rng = {11};
    float *input = test_floats(ITEMS * STEPS * model->n_in);
    random_input(&rng, model, ITEMS * STEPS, input);
    return input;
}

static void compare(const struct work *work, const struct work *reference)
{
    size_t where = 0;
    cr_assert(test_same_bits(work->result, reference->result, work->n_result, &where),
              "%s, %s of %u threads%s: number %zu", work->model->text, work->split, (unsigned)work->threads,
              work->moody ? ", moody" : "", where);
}

static void check_model(struct test_model model)
{
    if (!test_has_threads(&model)) {
        test_model_free(&model);
        cr_skip_test("this build has no threads");
    }
    float *input = make_input(&model);
    struct work reference = {.model = &model, .input = input, .threads = 1, .runs = 120};
    do_work(&reference);
    for (uint32_t threads = 2; threads <= 4; threads++)
        for (int way = 0; way < 4; way++) {
            struct work work = {.model = &model, .input = input, .threads = threads, .runs = 120,
                                .split = way < 2 ? "team" : "items", .moody = way % 2};
            do_work(&work);
            compare(&work, &reference);
            free(work.result);
        }
    free(reference.result);
    free(input);
    test_model_free(&model);
}

Test(team, same_bits_with_any_help)
{
    check_model(make_model(MODEL_LSTM, MODEL_FORWARD));
    check_model(make_model(MODEL_GRU, MODEL_FORWARD));
}

Test(team, same_bits_in_both_directions)
{
    check_model(make_model(MODEL_LSTM, MODEL_BIDIRECTIONAL));
    check_model(make_model(MODEL_RNN, MODEL_BIDIRECTIONAL));
}

/* More threads than any computer here has cores. */
Test(team, many_workspaces_at_once)
{
    enum { CALLERS = 6 };
    struct test_model model = make_model(MODEL_LSTM, MODEL_FORWARD);
    if (!test_has_threads(&model))
        cr_skip_test("this build has no threads");
    float *input = make_input(&model);
    struct work reference = {.model = &model, .input = input, .threads = 1, .runs = 20};
    struct work works[CALLERS];
    pthread_t ids[CALLERS];
    do_work(&reference);
    for (uint32_t i = 0; i < CALLERS; i++) {
        works[i] = reference;
        works[i].threads = 2 + i % 3;
        works[i].moody = i % 2;
        works[i].split = i < CALLERS / 2 ? "team" : "items";
        cr_assert_eq(pthread_create(&ids[i], NULL, do_work, &works[i]), 0);
    }
    for (uint32_t i = 0; i < CALLERS; i++) {
        pthread_join(ids[i], NULL);
        compare(&works[i], &reference);
        free(works[i].result);
    }
    free(reference.result);
    free(input);
    test_model_free(&model);
}

/* In a forked child the workspace has lost its threads and still does its work. */
Test(team, forked_child_runs_alone)
{
    struct test_model model = make_model(MODEL_LSTM, MODEL_FORWARD);
    if (!test_has_threads(&model))
        cr_skip_test("this build has no threads");
    struct session s = open_team(&model, 2, "team");
    float *input = make_input(&model), *before = test_floats(STEPS * s.n_out);
    float *after = test_floats(STEPS * s.n_out);
    lstm_stream *stream = session_stream(&s);
    session_run(&s, stream, input, STEPS, before);
    fflush(NULL);
    const pid_t child = fork();
    cr_assert_geq(child, 0);
    if (child == 0) {
        size_t where;
        lstm_stream_reset(s.model, stream);
        session_run(&s, stream, input, STEPS, after);
        const int same = test_same_bits(before, after, STEPS * s.n_out, &where);
        session_close(&s);
        _exit(same ? 0 : 1);
    }
    int status = -1;
    cr_assert_eq(waitpid(child, &status, 0), child);
    cr_assert(WIFEXITED(status) && WEXITSTATUS(status) == 0, "status %d", status);
    lstm_stream_destroy(stream);
    session_close(&s);
    free(input);
    free(before);
    free(after);
    test_model_free(&model);
}

Test(team, threads_that_cannot_be_made)
{
    struct test_model model = make_model(MODEL_LSTM, MODEL_FORWARD);
    if (!test_has_threads(&model))
        cr_skip_test("this build has no threads");
    for (int items = 0; items < 2; items++) {
        struct session s = open_team(&model, 4, items ? "items" : "team");
        for (size_t n = 1; n <= 3; n++) {
            lstm_workspace *workspace = s.workspace;
            lstm_error error;
            failing_threads_arm(n);
            cr_assert_eq(lstm_workspace_create(s.plan, 1, 1, &workspace, &error), LSTM_E_NOMEM);
            cr_assert_null(workspace);
            cr_assert(strstr(error.text, "3 threads"), "\"%s\"", error.text);
        }
        failing_threads_arm(0);
        cr_assert_eq(workspace_team(s.workspace) != NULL, true);
        session_close(&s);
    }
    test_model_free(&model);
}
