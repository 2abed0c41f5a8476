/* SPDX-License-Identifier: MIT
 *
 * Pinned threads that start together. They meet by spinning: waking a sleeper takes as
 * long as some of the things that are timed.
 */
#define _GNU_SOURCE
#include "bench/together.h"

#include <math.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "bench/timing.h"

struct team {
    unsigned threads, tries;
    together_work *work;
    void *context;
    atomic_uint arrived, ready; /* ready: 0 while threads are being made, 1: go, 2: go home */
    cpu_set_t processors;       /* that the process may use */
};

struct member {
    struct team *team;
    unsigned rank;
    pthread_t thread;
    double *spans; /* [tries][2]: start and end */
};

static void meet(struct team *team, unsigned times)
{
    atomic_fetch_add(&team->arrived, 1);
    while (atomic_load(&team->arrived) < times * team->threads)
        ;
}

/* The `rank`th processor of those allowed, and from the first on again beyond them. */
static void pin_member(const struct member *member)
{
    const cpu_set_t *all = &member->team->processors;
    unsigned left = member->rank % (unsigned)CPU_COUNT(all);
    int cpu = 0;
    cpu_set_t one;
    while (!CPU_ISSET(cpu, all) || left-- > 0)
        cpu++;
    CPU_ZERO(&one);
    CPU_SET(cpu, &one);
    (void)pthread_setaffinity_np(pthread_self(), sizeof one, &one);
}

static void *run_member(void *argument)
{
    const struct member *member = argument;
    struct team *team = member->team;
    unsigned go;
    pin_member(member);
    while ((go = atomic_load(&team->ready)) == 0)
        sched_yield();
    if (go != 1)
        return NULL;
    team->work(team->context, member->rank);
    for (unsigned i = 0; i < team->tries; i++) {
        meet(team, i + 1);
        member->spans[2 * i] = timing_wall_ns();
        team->work(team->context, member->rank);
        member->spans[2 * i + 1] = timing_wall_ns();
    }
    return NULL;
}

static double fastest(const struct member *members, unsigned threads, unsigned tries)
{
    double best = INFINITY;
    for (unsigned i = 0; i < tries; i++) {
        double start = INFINITY, end = 0;
        for (unsigned r = 0; r < threads; r++) {
            start = fmin(start, members[r].spans[2 * i]);
            end = fmax(end, members[r].spans[2 * i + 1]);
        }
        best = fmin(best, end - start);
    }
    return best;
}

static double run_members(struct team *team, struct member *members, double *spans)
{
    unsigned made = 0;
    while (made < team->threads) {
        members[made] = (struct member){team, made, 0, spans + 2 * (size_t)made * team->tries};
        if (pthread_create(&members[made].thread, NULL, run_member, &members[made]) != 0)
            break;
        made++;
    }
    atomic_store(&team->ready, made == team->threads ? 1 : 2);
    for (unsigned r = 0; r < made; r++)
        pthread_join(members[r].thread, NULL);
    return made == team->threads ? fastest(members, team->threads, team->tries) : 0;
}

double together_ns(unsigned threads, unsigned tries, together_work *work, void *context)
{
    struct team team = {.threads = threads, .tries = tries, .work = work, .context = context};
    struct member *members = calloc(threads, sizeof *members);
    double *spans = calloc((size_t)threads * tries, 2 * sizeof *spans);
    double ns = 0;
    atomic_init(&team.arrived, 0);
    atomic_init(&team.ready, 0);
    if (members && spans && sched_getaffinity(0, sizeof team.processors, &team.processors) == 0)
        ns = run_members(&team, members, spans);
    free(members);
    free(spans);
    return ns;
}
