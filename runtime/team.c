/* SPDX-License-Identifier: MIT
 *
 * A worker and its caller speak through one word, the worker's state. A job is written
 * before its offer and read after it is taken.
 *
 *     the caller's moves                        the worker's moves
 *     AWAKE, ASLEEP, WOKEN -> OFFERED (a job)   OFFERED -> TAKEN (the job) -> AWAKE
 *     OFFERED -> WOKEN (withdrawn)              WOKEN -> AWAKE (it looks out)
 *     ASLEEP -> WOKEN (for the next job)        AWAKE -> ASLEEP (it was tired of that)
 *     AWAKE, ASLEEP, WOKEN -> END               WOKEN, OFFERED -> ASLEEP (it could only disturb)
 */
#define _POSIX_C_SOURCE 200809L
#include "runtime/team.h"

#include <errno.h>
#include <math.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <stdbool.h>
#include <string.h>
#include <unistd.h>

#include "runtime/barrier.h"
#include "runtime/clock.h"
#include "runtime/memory.h"
#include "runtime/processor.h"
#include "simd/fpenv.h"

enum state { WOKEN, AWAKE, ASLEEP, OFFERED, TAKEN, END };

struct worker {
    _Alignas(64) atomic_uint state;
    atomic_uint size; /* of the team; 0 while the caller still counts */
    uint32_t rank;
    uint64_t done; /* number of the last job that it was through with */
    struct team_job job;
    _Alignas(64) sem_t wake; /* posted once for each time that ASLEEP ends */
    const struct team *team;
    pthread_t thread;
};

struct team {
    struct team_patience patience;
    _Atomic uint64_t stay_ns; /* workers look out for so much longer than they like to */
    atomic_int cpu;           /* that the caller ran on when he last woke a worker; -1: not known */
    atomic_bool forced;       /* the last job's caller wants help at any price */
    pid_t process;
    uint32_t n_workers;
    uint32_t n_last;    /* workers that were offered the last job */
    uint64_t number;    /* of the last job */
    uint64_t last_ns;   /* when a run last went without help as workers slept */
    double missed_ns;   /* what such runs have lost since they began to come back to back */
    uint32_t wakings;   /* since a job was last taken */
    uint32_t successes; /* since the last disappointment */
    uint64_t pause_ns;  /* how long to go without help after the next one */
    uint64_t pause_end; /* when to try again; 0: now */
    _Alignas(64) struct worker workers[];
};

static unsigned state_of(const struct worker *worker)
{
    return atomic_load_explicit(&worker->state, memory_order_acquire);
}

static bool move(struct worker *worker, unsigned from, unsigned to)
{
    return atomic_compare_exchange_strong_explicit(&worker->state, &from, to,
                                                   memory_order_acq_rel, memory_order_acquire);
}

/* ---- the worker ------------------------------------------------------------------- */

/* On the caller's own processor a worker would only take time from him. */
static bool would_disturb(const struct worker *worker)
{
    return !processor_avoid(atomic_load_explicit(&worker->team->cpu, memory_order_relaxed));
}

static void sleep_until_woken(struct worker *worker)
{
    if (!move(worker, AWAKE, ASLEEP))
        return;
    do {
        while (state_of(worker) == ASLEEP)
            (void)sem_wait(&worker->wake); /* a signal may end it: the state tells */
    } while (would_disturb(worker) &&
             !atomic_load_explicit(&worker->team->forced, memory_order_relaxed) &&
             (move(worker, WOKEN, ASLEEP) || move(worker, OFFERED, ASLEEP)));
}

/* OFFERED, or END. */
static unsigned look_out(struct worker *worker)
{
    enum { LOOKS = 64 }; /* between two looks at the clock */
    const struct team *team = worker->team;
    uint64_t since = clock_ns();
    for (;;) {
        for (unsigned i = 0; i < LOOKS; i++) {
            const unsigned state = state_of(worker);
            if (state == OFFERED || state == END)
                return state;
            if (state == WOKEN)
                (void)move(worker, WOKEN, AWAKE);
            barrier_relax(0);
        }
        if (clock_ns() - since < team->patience.look_out_ns +
                                   atomic_load_explicit(&team->stay_ns, memory_order_relaxed))
            continue;
        sleep_until_woken(worker);
        since = clock_ns();
    }
}

static void *work(void *argument)
{
    struct worker *worker = argument;
    struct simd_fpenv never_restored; /* this thread runs nothing but jobs */
    simd_fpenv_enter(&never_restored);
    (void)would_disturb(worker);
    while (look_out(worker) != END) {
        unsigned size;
        if (!move(worker, OFFERED, TAKEN))
            continue;
        for (unsigned spins = 0;
             !(size = atomic_load_explicit(&worker->size, memory_order_acquire)); spins++)
            barrier_relax(spins);
        worker->job.run(&worker->job, worker->rank, size);
        worker->done = worker->job.number;
        atomic_store_explicit(&worker->state, AWAKE, memory_order_release);
    }
    return NULL;
}

/* ---- create, destroy ------------------------------------------------------------------ */

/* Signals are the application's: its handlers run on its threads. */
static int start_thread(struct worker *worker)
{
    enum { STACK = 256 << 10 };
    pthread_attr_t attributes;
    sigset_t all, before;
    int failure = pthread_attr_init(&attributes);
    if (failure)
        return failure;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    failure = pthread_attr_setstacksize(&attributes, STACK);
    if (!failure)
        failure = pthread_create(&worker->thread, &attributes, work, worker);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    pthread_attr_destroy(&attributes);
    return failure;
}

static int start_worker(struct team *team, struct worker *worker)
{
    memset(worker, 0, sizeof *worker);
    worker->team = team;
    atomic_init(&worker->state, WOKEN);
    atomic_init(&worker->size, 0);
    if (sem_init(&worker->wake, 0, 0) != 0)
        return errno;
    const int failure = start_thread(worker);
    if (failure)
        sem_destroy(&worker->wake);
    return failure;
}

int team_create(uint32_t workers, struct team_patience patience, struct team **team_out)
{
    struct team *team = memory_alloc(sizeof *team + workers * sizeof team->workers[0]);
    *team_out = NULL;
    if (!team)
        return ENOMEM;
    memset(team, 0, sizeof *team);
    team->patience = patience;
    team->process = getpid();
    atomic_init(&team->stay_ns, 0);
    atomic_init(&team->forced, false);
    atomic_init(&team->cpu, processor_current());
    for (; team->n_workers < workers; team->n_workers++) {
        const int failure = start_worker(team, &team->workers[team->n_workers]);
        if (!failure)
            continue;
        team_destroy(team);
        return failure;
    }
    *team_out = team;
    return 0;
}

/* From wherever it waits, woken if it sleeps. False: it is at work, or has just moved. */
static bool call(struct worker *worker, unsigned to)
{
    if (move(worker, AWAKE, to) || move(worker, WOKEN, to))
        return true;
    if (!move(worker, ASLEEP, to))
        return false;
    sem_post(&worker->wake);
    return true;
}

static void end_worker(struct worker *worker)
{
    for (unsigned spins = 0; !call(worker, END); spins++)
        barrier_relax(spins);
    pthread_join(worker->thread, NULL);
    sem_destroy(&worker->wake);
}

void team_destroy(struct team *team)
{
    if (!team)
        return;
    const bool ours = team->process == getpid();
    for (uint32_t i = 0; ours && i < team->n_workers; i++)
        end_worker(&team->workers[i]);
    memory_free(team);
}

uint32_t team_awake(const struct team *team)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < team->n_workers; i++)
        n += state_of(&team->workers[i]) != ASLEEP;
    return n;
}

/* ---- the caller ------------------------------------------------------------------------ */

static bool all_look_out(const struct team *team, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++)
        if (state_of(&team->workers[i]) != AWAKE)
            return false;
    return true;
}

/* Workers may still be on their way out of the last job. */
static bool all_are_back(const struct team *team, bool forced)
{
    enum { SPINS = 64 };
    for (uint32_t i = 0; i < team->n_last; i++)
        for (unsigned spins = 0; state_of(&team->workers[i]) == TAKEN; spins++) {
            if (spins >= SPINS && !forced)
                return false;
            barrier_relax(spins);
        }
    return true;
}

/* Runs that come back to back: what they lose alone adds up, until it has paid for waking,
 * and for more each time that this did not help. The worker is for the next run, so it must
 * stay up beyond the end of this one, which takes as long as the last. A run may take some
 * times as long as is expected. */
static void think_of_waking(struct team *team, uint32_t n, struct team_gain gain)
{
    enum { MOST = 10 };
    const double slow = 3, pause_ns = 10000;
    const uint64_t now = clock_ns(), period_ns = now - team->last_ns;
    const bool back_to_back = (double)period_ns < slow * gain.alone_ns + pause_ns;
    team->last_ns = now;
    team->missed_ns = back_to_back ? team->missed_ns + gain.gain_ns : 0;
    if (team->missed_ns < team->patience.wake_ns * (double)(1u << team->wakings))
        return;
    team->missed_ns = 0;
    team->wakings += team->wakings < MOST;
    atomic_store_explicit(&team->stay_ns, 2 * period_ns, memory_order_relaxed);
    atomic_store_explicit(&team->cpu, processor_current(), memory_order_relaxed);
    for (uint32_t i = 0; i < n; i++)
        if (move(&team->workers[i], ASLEEP, WOKEN))
            sem_post(&team->workers[i].wake);
}

/* Help that did not come, or did not help, has cost time: the next try comes later. */
static void disappointed(struct team *team, uint64_t least_ns)
{
    const uint64_t most_ns = 100000000;
    const uint64_t pause = 2 * team->pause_ns > least_ns ? 2 * team->pause_ns : least_ns;
    team->successes = 0;
    team->pause_ns = pause < most_ns ? pause : most_ns;
    team->pause_end = clock_ns() + team->pause_ns;
}

static bool pauses(struct team *team)
{
    if (team->pause_end && clock_ns() >= team->pause_end)
        team->pause_end = 0;
    return team->pause_end;
}

static void succeeded(struct team *team)
{
    enum { ENOUGH = 100 };
    team->wakings = 0;
    if (++team->successes == ENOUGH)
        team->pause_ns = 0;
}

/* A single worker knows the team's size: with it, it is two. */
static void offer(struct worker *worker, const struct team_job *job, bool single)
{
    worker->job = *job;
    worker->rank = 1;
    atomic_store_explicit(&worker->size, single ? 2 : 0, memory_order_relaxed);
    while (!call(worker, OFFERED))
        barrier_relax(0);
}

/* Whether the worker takes the offer, before the deadline. That is set once waiting is long
 * enough for a look at the clock. A short job may be over by then. */
static bool is_taken(struct worker *worker, uint64_t patience_ns, uint64_t *deadline)
{
    enum { LOOKS = 16 };
    for (unsigned spins = 1;; spins++) {
        const unsigned state = state_of(worker);
        if (state == ASLEEP)
            return worker->done == worker->job.number;
        if (state != OFFERED)
            return true;
        barrier_relax(spins);
        if (spins % LOOKS)
            continue;
        const uint64_t now = clock_ns();
        if (!*deadline)
            *deadline = now + patience_ns;
        if (now >= *deadline && move(worker, OFFERED, WOKEN))
            return false;
    }
}

/* Ranks go to those that come; the others' offers are withdrawn. */
static uint32_t gather(struct team *team, uint32_t n, uint64_t patience_ns)
{
    uint64_t deadline = 0;
    uint32_t size = 1;
    if (n == 1)
        return is_taken(&team->workers[0], patience_ns, &deadline) ? 2 : 1;
    for (uint32_t i = 0; i < n; i++)
        team->workers[i].rank =
            is_taken(&team->workers[i], patience_ns, &deadline) ? size++ : 0;
    for (uint32_t i = 0; i < n; i++)
        if (team->workers[i].rank)
            atomic_store_explicit(&team->workers[i].size, size, memory_order_release);
    return size;
}

static uint64_t patience_of(const struct team *team, struct team_gain gain, bool wake)
{
    const double most_ns = 200000, forced_ns = 1e9;
    if (!wake)
        return team->patience.claim_ns;
    return (uint64_t)(isinf(gain.gain_ns) ? forced_ns
                      : gain.gain_ns < 2 * most_ns ? gain.gain_ns / 2 : most_ns);
}

uint32_t team_start(struct team *team, uint32_t threads, struct team_gain gain,
                    struct team_job *job)
{
    const uint64_t pause_ns = 100000, long_pause_ns = 10000000;
    const uint32_t n = threads - 1 < team->n_workers ? threads - 1 : team->n_workers;
    const bool forced = isinf(gain.gain_ns);
    const bool wake = team_is_woken_for(gain.gain_ns, team->patience.wake_ns);
    job->number = ++team->number;
    if (n == 0 || (forced ? team->process != getpid() : pauses(team)) ||
        !all_are_back(team, forced))
        return 1;
    if (!wake && !all_look_out(team, n)) {
        think_of_waking(team, n, gain);
        return 1;
    }
    if (wake) {
        atomic_store_explicit(&team->forced, forced, memory_order_relaxed);
        atomic_store_explicit(&team->cpu, processor_current(), memory_order_relaxed);
    }
    for (uint32_t i = 0; i < n; i++)
        offer(&team->workers[i], job, n == 1);
    team->n_last = n;
    const uint32_t size = gather(team, n, patience_of(team, gain, wake));
    if (size > 1)
        succeeded(team);
    else
        disappointed(team, wake ? long_pause_ns : pause_ns);
    return size;
}

void team_waited(struct team *team, struct team_gain gain, uint64_t ns)
{
    const uint64_t pause_ns = 10000000;
    if ((double)ns > gain.alone_ns && !isinf(gain.gain_ns))
        disappointed(team, pause_ns);
}

void team_finish(struct team *team, struct team_gain gain)
{
    uint64_t since = 0;
    unsigned spins = 0;
    for (uint32_t i = 0; i < team->n_last; i++)
        for (; state_of(&team->workers[i]) == TAKEN; spins++) {
            if (spins == BARRIER_SPINS)
                since = clock_ns();
            barrier_relax(spins);
        }
    if (since)
        team_waited(team, gain, clock_ns() - since);
}
