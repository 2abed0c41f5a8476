/* SPDX-License-Identifier: MIT
 *
 * Threads that belong to a workspace and help its caller with runs of a few microseconds,
 * for which OpenMP takes too long to gather a team.
 *
 * After a job a worker looks out for the next one for some microseconds and then sleeps, so
 * that waiting costs nothing between calls. A worker that looks out is there within 0.2 us;
 * waking one takes tens. Whether it is worth either, and for how long to wait, the caller
 * says with each job; a worker that does not come in time is left out.
 */
#ifndef LSTMRUN_RUNTIME_TEAM_H
#define LSTMRUN_RUNTIME_TEAM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct team_job {
    void (*run)(const struct team_job *job, uint32_t rank, uint32_t size);
    const void *object; /* the rest is the caller's: a copy goes to each worker */
    const void *items;
    size_t n_items;
    uint64_t number;   /* of this job; set by team_start, never the same again */
};

/* What a job costs, as far as it is known. */
struct team_gain {
    double alone_ns; /* without help */
    double gain_ns;  /* less with it */
};

/* Times to wait. */
struct team_patience {
    uint64_t look_out_ns; /* a worker, after a job */
    uint64_t claim_ns;    /* the caller, for a worker that looks out */
    double wake_ns;       /* what it takes to wake one that sleeps */
};

/* Whether a run that gains so much wakes a team that sleeps, and waits for it. A computer that
 * has been idle takes several times as long to wake a thread as a busy one. */
static inline bool team_is_woken_for(double gain_ns, double wake_ns)
{
    return gain_ns > 8 * wake_ns;
}

struct team;

/* A team of `workers` threads beside the caller. 0 or an error number. */
int team_create(uint32_t workers, struct team_patience patience, struct team **team_out);

/* The workers end. In a child process made by fork() there are none any more. */
void team_destroy(struct team *team);

/* Workers that do not sleep at this moment: those that look out, that are on their way to it, or at work. */
uint32_t team_awake(const struct team *team);

/* Gather up to `threads` threads for a job: the caller, who is rank 0 and calls job->run
 * himself, and workers, who call it with ranks from 1 on. Returns how many there are (1: the
 * caller is alone). The job ends when all of them meet, after which workers touch nothing of
 * it any more, or, if they do not meet, with team_finish. */
uint32_t team_start(struct team *team, uint32_t threads, struct team_gain gain,
                    struct team_job *job);

/* The caller had to wait so long for others in that job, beyond what barriers take as a rule:
 * if that is more than the job takes alone, the team has a rest. */
void team_waited(struct team *team, struct team_gain gain, uint64_t ns);

/* The caller, who has done his part, waits until the workers are through with theirs, and
 * sees what they wrote. */
void team_finish(struct team *team, struct team_gain gain);

#endif
