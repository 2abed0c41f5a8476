# SPDX-License-Identifier: MIT
"""One case: every runtime is checked against the oracle, then they take turns, with each number of threads.

Only one works at a time; in each round another one begins, so that a clock that drifts, and what the one
before left in the caches, falls on all alike. A turn waits for cores of its own and is taken again if it did
not have them to its end: on a rented machine a core's other thread may be somebody else's, which costs whoever
computes then up to two thirds, or two processors may be both threads of one core for a while, which costs two
threads half. Whether that was so is told by the clock's program, on all processors of the turn at once, before
and after it, never by the time that the runtime took.
"""
import os
import time

from . import figures
from .workers import WorkerError

WORST_ERROR = 1e-4
REST_SECONDS = 0.03
LONGEST_REST_SECONDS = 2.0
ALONE = 0.75  # of the most instructions a cycle that a core was seen to start
PAUSE_SECONDS = 0.02    # from one look to the next
PATIENCE_SECONDS = 4.0  # with a turn; after that it is taken as it is, and counts if all are such


def order_of(entries, turn):
    """There and back, then from the next one on: nobody is always first, or always after the same one."""
    start = turn // 2 % max(len(entries), 1)
    turned = entries[start:] + entries[:start]
    return turned[::-1] if turn % 2 else turned


class Race:
    """All workers, {(threads, name): worker}, and how far each has come with the case at hand."""

    def __init__(self, workers, store, clocks, say, fresh=False):
        """`clocks`: the clock's program on each processor, in the order in which workers use these."""
        self.workers, self.store, self.clocks, self.say, self.fresh = workers, store, clocks, say, fresh
        self.results, self.refused, self.rates, self.width = {}, {}, [], 0

    def _refuse(self, entry, why):
        self.refused[entry] = why
        self.results.pop(entry, None)
        self.say("%s, %d thread(s), LEFT OUT: %s" % (entry[1], entry[0], why))

    def _settle(self):
        """Wait until the threads of all workers have gone to sleep: some spin for a while after a call."""
        time.sleep(REST_SECONDS)
        until = time.monotonic() + LONGEST_REST_SECONDS
        while awake := [entry for entry, worker in self.workers.items() if worker.awake()]:
            if time.monotonic() > until:
                names = ", ".join("%s (%d)" % (name, threads) for threads, name in awake)
                self.say("still running when they should not: %s" % names)
                return
            time.sleep(0.005)

    def _fresh(self, worker):
        """Its memory before it has opened anything, where each case has processes of its own; else None."""
        if self.fresh:
            worker.restart()
            return worker.rss_kb()
        worker.revive()
        return None

    def _open_and_check(self, entry, case, error_of):
        threads, name = entry
        worker, folder = self.workers[entry], self.store.folder_of(case, threads)
        path = os.path.join(folder, "output-%s-%d.bin" % (name, os.getpid()))
        self._settle()
        try:
            before_kb = self._fresh(worker)
            opened = worker.ask("open " + folder)
            worker.ask("check " + path)
            error = error_of(path)
        except (WorkerError, OSError) as why:
            self._refuse(entry, str(why))
            return
        finally:
            if os.path.exists(path):
                os.remove(path)
        if not error <= WORST_ERROR:
            self._refuse(entry, "its outputs are %.2g off the oracle's, more than %g" % (error, WORST_ERROR))
            return
        self.results[entry] = {"error": error, "open_ns": opened.get("open_ns"), "rounds": [],
                               "rss_kb": opened.get("rss_kb") if before_kb else None,
                               "rss_before_kb": before_kb}

    def _alone(self, threads):
        """False: something else works on the cores of so many threads, or they are one core; takes the clock
        rates down as well."""
        self._settle()
        clocks = self.clocks[:threads]
        for clock in clocks:
            clock.tell("clock")
        answers = [clock.hear("clock") for clock in clocks]
        self.rates += [answer["ghz"] for answer in answers]
        widths = [answer.get("width") or 0 for answer in answers]
        self.width = max([self.width, *widths])
        return all(width >= ALONE * self.width for width in widths)

    def _take_turn(self, entry, ns):
        """An answer to "time", on cores of its own if these can be had within the patience."""
        until = time.monotonic() + PATIENCE_SECONDS
        while True:
            alone = self._alone(entry[0])
            if not alone and time.monotonic() < until:
                time.sleep(PAUSE_SECONDS)
                continue
            answer = self.workers[entry].ask("time %d" % ns)
            answer["shared"] = not (alone and self._alone(entry[0]))
            if not answer["shared"] or time.monotonic() >= until:
                return answer

    def _time_round(self, turn, ns):
        for entry in order_of(list(self.results), turn):
            try:
                self.results[entry]["rounds"].append(self._take_turn(entry, ns))
            except WorkerError as why:
                self._refuse(entry, str(why))

    def _tell_shared(self):
        for (threads, name), result in self.results.items():
            shared = sum(answer["shared"] for answer in result["rounds"])
            if shared:
                self.say("%s, %d thread(s): cores were shared in %d of %d turns"
                         % (name, threads, shared, len(result["rounds"])))

    def _close(self):
        for worker in self.workers.values():
            if worker.alive():
                try:
                    worker.ask("close")
                except WorkerError as why:
                    self.say(str(why))

    def _record(self, case, threads):
        runtimes = {name: figures.summarise(result)
                    for (count, name), result in self.results.items() if count == threads}
        rates = [ghz for ghz in self.rates if ghz]
        return {"case": str(case), "threads": threads,
                "clock_ghz": figures.median(rates) if rates else None,
                "refused": {name: why for (count, name), why in self.refused.items() if count == threads},
                "runtimes": runtimes}

    def run(self, case, error_of, rounds, seconds):
        """A record for each number of threads. `error_of(path)`: how far the outputs in a file are off."""
        self.results, self.refused, self.rates = {}, {}, []
        for entry in self.workers:
            self._open_and_check(entry, case, error_of)
        for turn in range(rounds):
            self._time_round(turn, seconds * 1e9 / rounds)
        self._tell_shared()
        self._close()
        return [self._record(case, threads) for threads in sorted({entry[0] for entry in self.workers})]

    def end(self):
        for worker in [*self.workers.values(), *self.clocks]:
            worker.end()
