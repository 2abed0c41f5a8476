# SPDX-License-Identifier: MIT
"""From samples to figures, and from figures to bars met or not met."""
import math
from dataclasses import dataclass

from . import cases

OURS = "lstmrun"
MEDIAN, MINIMUM = "median_ns", "min_ns"


def quantile(numbers, share):
    """Linear between neighbours."""
    numbers = sorted(numbers)
    place = share * (len(numbers) - 1)
    low = int(place)
    high = min(low + 1, len(numbers) - 1)
    return numbers[low] + (numbers[high] - numbers[low]) * (place - low)


def median(numbers):
    return quantile(numbers, 0.5)


def geometric_mean(numbers):
    return math.exp(sum(map(math.log, numbers)) / len(numbers))


def summarise(result):
    """Figures of one runtime from the answers of all its rounds, or where there are such, of those that had the
    cores to themselves; times are of one call."""
    alone = [answer for answer in result["rounds"] if not answer["shared"]]
    rounds = alone or result["rounds"]
    samples = [ns for answer in rounds for ns in answer["ns"]]
    calls = sum(answer["calls"] * len(answer["ns"]) for answer in rounds)
    cpu = sum(answer["cpu_ns"] for answer in rounds)
    return {"median_ns": median(samples), "min_ns": min(samples), "p10_ns": quantile(samples, 0.1),
            "p90_ns": quantile(samples, 0.9), "cpu_ns": cpu / calls, "calls": calls, "samples": len(samples),
            "round_ns": [median(answer["ns"]) for answer in rounds],
            "rounds": len(result["rounds"]), "shared_rounds": len(result["rounds"]) - len(alone),
            **{key: result[key] for key in ("error", "open_ns", "rss_kb", "rss_before_kb")}}


# ---- what the machine allows -------------------------------------------------------------------------------

def _isa(limits, isa):
    """The one that all are held to, or the machine's widest."""
    return isa or limits["isa"]


def _of_threads(both, threads, isa, single, double):
    """A figure by instruction set, measured on one core and on two at once."""
    if threads == 2 and both.get(double):
        return both[double].get(isa)
    one = both[single].get(isa)
    return one * threads if one else None


def peak_gflops(limits, isa, threads):
    return _of_threads(limits, threads, _isa(limits, isa), "fma_gflops", "fma_gflops_two")


def read_gbs(limits, isa, n_bytes, threads):
    """What all threads together read, each its share of n_bytes over and over, up and down in turns."""
    rows = sorted((row["bytes"], _of_threads(row, threads, _isa(limits, isa), "gbs", "gbs_two"))
                  for row in limits["read"])
    share = n_bytes / threads
    low, low_gbs = next((row for row in reversed(rows) if row[0] <= share), rows[0])
    high, high_gbs = next((row for row in rows if row[0] >= share), rows[-1])
    if low >= high:
        return low_gbs
    part = math.log(share / low) / math.log(high / low)
    return low_gbs * (high_gbs / low_gbs) ** part


def limit_ns(case, limits, isa, threads):
    """The least time for one call: arithmetic at the fma peak or weights at read bandwidth, whichever takes
    longer, of each part that has to wait for the one before: the input part over all steps, then step after
    step."""
    peak = peak_gflops(limits, isa, threads)

    def longer(flops, n_bytes, total):
        return max(flops / peak, n_bytes / read_gbs(limits, isa, total, threads))

    loads = list(case.layer_loads())
    if case.steps == 1:
        total = case.weight_bytes()
        return longer(case.flops(), total, total)
    return sum(load["input_flops"] / peak + case.steps * longer(load["step_flops"], load["step_bytes"],
                                                                 load["step_bytes"] / case.directions)
               for load in loads)


# ---- bars --------------------------------------------------------------------------------------------------

@dataclass(frozen=True)
class Verdict:
    """One bar of one case: `value` is None where it is not measured, NaN where our own worker failed."""
    kind: str
    bar: float
    value: float

    @property
    def met(self):
        if self.value is None:
            return None
        if self.kind == "cycles":
            return self.value <= self.bar
        # Equal times are not exactly equal when measured.
        tolerance = cases.NOISE if self.bar == 1.0 else 0
        return self.value >= self.bar - tolerance

    def __str__(self):
        sign = "<=" if self.kind == "cycles" else ">="
        form = {"cycles": "%.0f", "peak": "%.2f", "read": "%.2f"}.get(self.kind, "%.2fx")
        value = "not measured" if self.value is None else form % self.value
        return "%s %s (%s %s)" % (NAMES.get(self.kind, self.kind), value, sign, form % self.bar)


NAMES = {"peer": "best peer", "cycles": "cycles a step", "own": "own time with one thread",
         "peak": "of fma peak", "read": "of limit", "cpu": "CPU time of leanest peer"}


class Judged:
    """A record of results with what follows from it."""

    def __init__(self, record, limits=None, one_thread=None, figure=MEDIAN):
        self.record, self.limits, self.one_thread, self.figure = record, limits, one_thread, figure
        self.case, self.threads, self.isa = cases.parse(record["case"]), record["threads"], record.get("isa")
        self.row = cases.row_of(self.case)
        self.runtimes = record["runtimes"]
        self.ours = self.runtimes.get(OURS)
        self.peers = {name: found for name, found in self.runtimes.items() if name != OURS}
        self.best = min(self.peers, key=self.time, default=None)

    def time(self, name=OURS):
        """The time that counts, in ns; None where it was not measured."""
        return self.runtimes[name][self.figure] if name in self.runtimes else None

    def ratio_to(self, name, figure=None):
        if not self.ours or name not in self.peers:
            return None
        return self.peers[name][figure or self.figure] / self.ours[figure or self.figure]

    @property
    def ratio(self):
        return self.ratio_to(self.best)

    @property
    def ratio_of_minima(self):
        """The same by the least time of each: what is left where others disturbed the machine."""
        least = min(self.peers, key=lambda name: self.peers[name][MINIMUM], default=None)
        return self.ratio_to(least, MINIMUM)

    def ratio_to_kind(self, name):
        """To the best of the versions of one runtime, as onednn of onednn-2 and onednn-3."""
        found = [self.ratio_to(other) for other in self.peers
                 if other == name or other.startswith(name + "-")]
        return min((ratio for ratio in found if ratio), default=None)

    @property
    def cpu_ratio(self):
        """Above 1: no peer spends less CPU time."""
        leanest = min(self.peers, key=lambda name: self.peers[name]["cpu_ns"], default=None)
        return self.ratio_to(leanest, "cpu_ns")

    @property
    def cycles(self):
        clock = self.record.get("clock_ghz")
        return self.time() * clock / self.case.steps if self.ours and clock else None

    def gflops(self, name=OURS):
        return self.case.flops() / self.time(name) if name in self.runtimes else None

    @property
    def peak_share(self):
        peak = self.limits and peak_gflops(self.limits, self.isa, self.threads)
        return self.gflops() / peak if peak and self.ours else None

    @property
    def busy_threads(self):
        """Threads that our plan made use of: it may leave some out."""
        return max(1, min(self.threads, round(self.ours["cpu_ns"] / self.ours["median_ns"])))

    @property
    def limit_share(self):
        """Against what as many cores allow as were busy."""
        if not self.ours or not self.limits:
            return None
        return limit_ns(self.case, self.limits, self.isa, self.busy_threads) / self.time()

    @property
    def ratio_allowed(self):
        """How many times faster than the best peer a program can be that does nothing but the arithmetic and
        the reading of weights, each at the machine's limit."""
        if not self.best or not self.limits:
            return None
        return self.time(self.best) / limit_ns(self.case, self.limits, self.isa, self.threads)

    @property
    def own_ratio(self):
        if not self.one_thread or not self.ours:
            return None
        return self.one_thread[self.figure] / self.time()

    def verdicts(self):
        """Without a time of our own no bar is met."""
        values = {"peer": self.ratio, "cycles": self.cycles, "own": self.own_ratio, "peak": self.peak_share,
                  "read": self.limit_share, "cpu": self.cpu_ratio}
        for kind, bar in self.row.bars_for(self.threads, self.isa):
            value = values[kind] if kind in values else self.ratio_to_kind(kind)
            yield Verdict(kind, bar, value if self.ours else math.nan)


def judge_all(results, figure=MEDIAN):
    """Every record of a results file, in the order of the grids, judged by medians or by minima."""
    own = {(record["case"], record.get("isa")): record["runtimes"].get(OURS)
           for record in results["cases"] if record["threads"] == 1}
    order = {name: place for place, name in enumerate(cases.GRIDS["full"])}
    judged = [Judged(record, results["runs"][record["run"]].get("limits"),
                     own.get((record["case"], record.get("isa"))), figure) for record in results["cases"]]
    return sorted(judged, key=lambda one: (one.isa or "", one.threads, order.get(str(one.case), len(order))))


def group_means(judged):
    """The geometric mean of each group that has such a bar, by number of threads."""
    for group, bar in cases.GROUP_BARS.items():
        wanted = sum(row.group == group for row in cases.ROWS.values())
        of_group = [one for one in judged if one.row.group == group and not one.isa]
        for threads in sorted({one.threads for one in of_group}):
            ratios = [one.ratio for one in of_group if one.threads == threads and one.ratio]
            if ratios:
                yield {"group": group, "threads": threads, "bar": bar, "mean": geometric_mean(ratios),
                       "cases": len(ratios), "of": wanted}
