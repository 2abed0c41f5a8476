#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""bench/compare without any peer: words, bars, figures, merging, tables, and the line protocol with made-up
workers.

Needs nothing but Python; what compares with numbers computed by hand needs numpy too and is skipped by name
without. The environment variable LSTMRUN_PYTHON may name an interpreter that has it.
"""
import json
import math
import os
import subprocess
import sys
import tempfile
import traceback

sys.dont_write_bytecode = True
SOURCE = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
sys.path.insert(0, os.path.join(SOURCE, "bench"))

from comparing import cases, figures, results, runtimes, table, timing, workers  # noqa: E402

try:
    import numpy as np
except ImportError:
    np = None

# A worker that answers as it is told to: argument 1 is its temper, argument 2 a file to note the order of
# turns in.
FAKE = r'''
import json, os, sys
temper, notes = sys.argv[1:3]
print(json.dumps({"runtime": temper, "version": "1", "notes": "made up"}), flush=True)
for line in sys.stdin:
    word, _, rest = line.strip().partition(" ")
    with open(notes, "a") as file:
        file.write("%s %s\n" % (temper, word))
    if word == "open" and temper == "refusing":
        answer = {"error": "no such thing here"}
    elif word == "open":
        answer = {"open_ns": 1000, "rss_kb": 2048}
    elif word == "check":
        if temper == "dying":
            sys.exit("it dies")
        with open(rest, "w") as file:
            file.write("2" if temper == "wrong" else "1")
        answer = {}
    elif word == "time":
        ns = {"fast": 100.0, "slow": 300.0}.get(temper, 200.0)
        answer = {"calls": 4, "ns": [ns, ns + 10, ns + 20], "cpu_ns": 24 * ns, "wall_ns": 12 * ns}
    elif word == "clock":
        looks = open(notes).read().split().count("clock")
        shared = {"crowded": looks in (2, 3, 4), "besieged": looks > 1, "halved": True}.get(temper, False)
        answer = {"ghz": 2.0, "width": 5.0 if shared else 10.0}
    else:
        answer = {}
    print("no JSON" if temper == "babbling" and word == "time" else json.dumps(answer), flush=True)
'''

TESTS = []


class Skip(Exception):
    pass


def test(function):
    TESTS.append(function)
    return function


def check(condition, what):
    if not condition:
        raise AssertionError(what)


def equal(found, expected, what):
    check(found == expected, "%s: found %r, expected %r" % (what, found, expected))


def close(found, expected, what, tolerance=1e-12):
    check(abs(found - expected) <= tolerance, "%s: found %r, expected %r" % (what, found, expected))


def refused(function, argument, part):
    try:
        function(argument)
    except ValueError as why:
        check(part in str(why), "message %r does not say %r" % (str(why), part))
        return
    raise AssertionError("%r was not refused" % (argument,))


def needs_numpy():
    if np is None:
        raise Skip("numpy is missing")


# ---- cases -------------------------------------------------------------------------------------------------

@test
def words_go_there_and_back():
    for word in cases.GRIDS["full"]:
        equal(str(cases.parse(word)), word, "case")
    equal(cases.parse("lstm-t500n16c60h128l4b"), cases.Case("lstm", 500, 16, 60, 128, 4, True, False),
          "deep case")
    check(cases.parse("lstm-t1n64c64h64s").streams, "s means streams")


@test
def bad_words_are_refused():
    for word in ("", "rnn-t1n1c1h1", "lstm-t0n1c1h1", "lstm-t1n1c1", "lstm-t1n1c1h8x", "lstm-t1n1c1h8l"):
        refused(cases.parse, word, "is no case")
    refused(cases.parse, "lstm-t2n1c1h8s", "one step a call")
    refused(cases.parse, "lstm-t1n1c1h8b", "both directions")
    refused(lambda words: cases.select("quick", words), ["nothing-*"], "is no case")


@test
def loads_are_those_of_the_formula():
    case = cases.parse("lstm-t10n3c5h7l2b")
    equal(case.flops(), 2 * 4 * 7 * ((5 + 7) + (14 + 7)) * 2 * 10 * 3, "flops")
    equal(case.weight_bytes(), 4 * 4 * 7 * ((5 + 7) + (14 + 7)) * 2, "bytes of weights")
    equal(cases.parse("gru-t1n1c5h7").flops(), 2 * 3 * 7 * (5 + 7), "flops of a gru")


@test
def grids_hold_every_shape_of_the_bars():
    counts = {group: sum(row.group == group for row in cases.ROWS.values()) for group in cases.GROUPS}
    equal(counts, {"audio": 6, "frame": 5, "sequence": 6, "batch": 16, "deep": 4, "live": 9,
                   "never-behind": 19}, "rows")
    bars = cases.ROWS["lstm-t100n1c128h128"].bars
    check(("peer", 1.5) in bars[1] and ("peer", 2.4) in bars[2], "bars of (128,128) at T=100")
    check(("onednn", 12.0) in cases.ROWS["lstm-t1n1c1h16"].bars[1], "oneDNN's bar at H=16")
    check(("peer", 1.4) in cases.ROWS["lstm-t25n8c1024h1024"].bars[1], "bar of B=8, H=1024")
    check(all(kind == "cpu" or kind in figures.NAMES or kind == "onednn"
              for row in cases.ROWS.values() for bars in row.bars.values() for kind, _ in bars),
          "kinds of bars are known")
    equal([str(case) for case in cases.select("quick", ["audio"])][:2], ["lstm-t1n1c1h8", "lstm-t1n1c1h16"],
          "a group")
    chosen = [str(case) for case in cases.select("quick", ["gru-t50n32c128*", "gru-t50n32c128h128"])]
    equal(chosen, ["gru-t50n32c128h128"], "no case twice")


# ---- figures -----------------------------------------------------------------------------------------------

LIMITS = {"isa": "avx512", "fma_gflops": {"avx512": 100.0, "avx2": 50.0},
          "fma_gflops_two": {"avx512": 190.0, "avx2": 95.0},
          "read": [{"bytes": 1024, "gbs": {"avx512": 200.0, "avx2": 100.0}},
                   {"bytes": 4096, "gbs": {"avx512": 50.0, "avx2": 25.0},
                    "gbs_two": {"avx512": 80.0, "avx2": 40.0}}],
          "levels": {"L1": 200.0, "L2": 50.0}}


def runtime(median, cpu=None, least=None):
    return {"median_ns": median, "min_ns": least or median, "p10_ns": median, "p90_ns": median,
            "cpu_ns": cpu or median,
            "calls": 1, "samples": 1, "round_ns": [median], "error": 1e-8, "open_ns": 1e6, "rss_kb": 4096,
            "rss_before_kb": 1024}


def record(word, threads=1, isa=None, clock=None, **runtimes_ns):
    found = {name.replace("_", "-"): value if isinstance(value, dict) else runtime(value)
             for name, value in runtimes_ns.items()}
    return {"case": word, "threads": threads, "isa": isa, "clock_ghz": clock, "refused": {},
            "runtimes": found, "run": 0}


def run_of(machine="CPU A"):
    return {"made": "2026-01-01", "options": {}, "limits": LIMITS, "left_out": {"openvino": "not there"},
            "machine": {"cpu": machine, "cpus": 2, "caches": {"L1d": "32K"}, "virtual": False, "system": "S",
                        "kernel": "K"},
            "runtimes": {"lstmrun": {"version": "0.1", "notes": ""},
                         "onednn-3": {"version": "3.2", "notes": "<C API>"}}}


def part(*records, machine="CPU A", planner=()):
    return {"runs": [run_of(machine)], "cases": list(records), "planner": list(planner)}


@test
def samples_are_summed_up():
    close(figures.quantile([4, 1, 3, 2], 0.5), 2.5, "median")
    close(figures.quantile([1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11], 0.1), 2, "p10")
    rounds = [{"calls": 2, "ns": [10.0, 20.0], "cpu_ns": 60, "wall_ns": 60, "shared": False},
              {"calls": 4, "ns": [30.0], "cpu_ns": 100, "wall_ns": 120, "shared": False}]
    result = {"rounds": rounds, "error": 0.0, "open_ns": 1, "rss_kb": None, "rss_before_kb": None}
    found = figures.summarise(result)
    close(found["median_ns"], 20, "median")
    close(found["min_ns"], 10, "least")
    close(found["cpu_ns"], 160 / 8, "CPU time of one call")
    equal(found["round_ns"], [15.0, 30.0], "medians of rounds")
    rounds[1]["shared"] = True
    equal(figures.summarise(result)["median_ns"], 15.0, "only the round on cores of its own")
    rounds[0]["shared"] = True
    equal(figures.summarise(result)["median_ns"], 20.0, "no such round")


@test
def limits_are_interpolated():
    close(figures.read_gbs(LIMITS, None, 2048, 1), 100, "between two sets", 1e-9)
    close(figures.read_gbs(LIMITS, None, 512, 1), 200, "below the smallest")
    close(figures.read_gbs(LIMITS, None, 1 << 20, 1), 50, "above the largest")
    close(figures.read_gbs(LIMITS, "avx2", 8192, 2), 40, "two at once, AVX2")
    close(figures.peak_gflops(LIMITS, None, 2), 190, "peak of two")
    close(figures.peak_gflops(LIMITS, "avx2", 1), 50, "peak of AVX2")
    # 4 gates, 4 units, 4 inputs: 512 bytes at 200 GB/s against 256 flops at 100 GFLOP/s.
    close(figures.limit_ns(cases.parse("lstm-t1n1c4h4"), LIMITS, None, 1), 512 / 200, "limit of a frame")
    # The input part once at peak, then 10 steps of 256 bytes or 128 flops.
    close(figures.limit_ns(cases.parse("lstm-t10n1c4h4"), LIMITS, None, 1), 1280 / 100 + 10 * 256 / 200,
          "of a sequence")


@test
def bars_are_judged():
    one = figures.Judged(record("lstm-t1n1c1h16", clock=2.0, lstmrun=runtime(100.0, 150.0, 90.0),
                                onednn_2=1300.0, onednn_3=1100.0, onnxruntime=runtime(4000.0, 140.0)), LIMITS)
    met = {(verdict.kind, verdict.bar): verdict.met for verdict in one.verdicts()}
    equal(met, {("cycles", 250): True, ("peer", 1.0): True, ("onednn", 12.0): False, ("cpu", 1.0): False},
          "verdicts")
    equal(one.best, "onednn-3", "best peer")
    close(one.ratio, 11, "ratio")
    close(one.ratio_of_minima, 1100 / 90, "ratio of minima")
    close(one.cycles, 200, "cycles")
    least = figures.Judged(one.record, LIMITS, figure=figures.MINIMUM)
    close(least.ratio, 1100 / 90, "ratio, judged by minima")
    close(least.cycles, 180, "cycles, judged by minima")
    close(one.cpu_ratio, 140 / 150, "CPU time")


@test
def held_to_avx2_no_peer_may_be_ahead():
    one = figures.Judged(record("lstm-t1n1c1h16", isa="avx2", clock=2.0, lstmrun=100.0, onednn_3=110.0),
                         LIMITS)
    equal({(verdict.kind, verdict.bar): verdict.met for verdict in one.verdicts()},
          {("peer", 1.0): True, ("cpu", 1.0): True}, "bars of audio")
    batch = figures.Judged(record("lstm-t50n32c256h256", isa="avx2", lstmrun=1e6, onednn_3=1.2e6), LIMITS)
    equal({verdict.kind for verdict in batch.verdicts()}, {"peer", "peak", "cpu"}, "bars of a batch")
    equal(list(figures.group_means([batch])), [], "no mean")


@test
def what_is_missing_is_not_met_nor_missed():
    alone = figures.Judged(record("lstm-t1n1c64h64", lstmrun=100.0))
    equal({verdict.met for verdict in alone.verdicts()}, {None}, "no peer, no limits")
    check(figures.Verdict("peer", 1.0, 0.98).met, "equal but for noise")
    check(not figures.Verdict("peer", 1.0, 0.96).met, "behind")
    check(not figures.Verdict("peer", 1.5, 1.49).met, "a bar above 1 has no tolerance")
    without_us = figures.Judged(record("lstm-t1n1c64h64", onednn_3=100.0), LIMITS)
    equal([without_us.ratio, without_us.gflops(), without_us.limit_share], [None, None, None],
          "we were refused")
    equal({verdict.met for verdict in without_us.verdicts()}, {False}, "bars when we were refused")


@test
def threads_are_compared_with_one():
    judged = figures.judge_all(part(record("lstm-t1n1c1h8", 2, lstmrun=120.0),
                                    record("lstm-t1n1c1h8", 1, lstmrun=100.0)))
    equal([one.threads for one in judged], [1, 2], "order")
    own = next(verdict for verdict in judged[1].verdicts() if verdict.kind == "own")
    close(own.value, 100 / 120, "own ratio")
    equal(own.met, False, "slower with two threads")


@test
def groups_have_a_mean():
    means = list(figures.group_means(figures.judge_all(part(
        record("lstm-t50n8c128h128", lstmrun=100.0, onednn_3=100.0),
        record("lstm-t50n32c128h128", lstmrun=100.0, onednn_3=400.0)))))
    equal(len(means), 1, "groups with a bar")
    close(means[0]["mean"], 2, "geometric mean", 1e-9)
    equal((means[0]["cases"], means[0]["of"]), (2, 16), "measured of all")


# ---- results -----------------------------------------------------------------------------------------------

@test
def portions_are_merged():
    first = part(record("lstm-t1n1c1h8", lstmrun=100.0), record("lstm-t1n1c1h16", lstmrun=100.0))
    second = part(record("lstm-t1n1c1h16", lstmrun=50.0), record("lstm-t1n1c1h16", isa="avx2", lstmrun=70.0),
                  planner=[{"case": "lstm-t1n1c1h8", "threads": 2, "run": 0}])
    merged = results.merge([first, second])
    times = {(found["case"], found.get("isa")): (found["runtimes"]["lstmrun"]["median_ns"], found["run"])
             for found in merged["cases"]}
    equal(times, {("lstm-t1n1c1h8", None): (100.0, 0), ("lstm-t1n1c1h16", None): (50.0, 1),
                  ("lstm-t1n1c1h16", "avx2"): (70.0, 1)}, "the later one counts")
    equal((len(merged["runs"]), merged["planner"][0]["run"]), (2, 1), "runs")
    again = results.merge([merged, part(record("lstm-t1n1c1h8", lstmrun=1.0))])
    equal(len(results.merge([first, first])["runs"]), 1, "runs that no case names any more go")
    equal(len(again["runs"]), 2, "runs after a case of the first one was replaced")
    refused(results.merge, [first, part(record("lstm-t1n1c1h8", lstmrun=1.0), machine="CPU B")],
            "different machines")


@test
def files_are_written_whole_and_read_back():
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "a.json")
        results.write(part(record("lstm-t1n1c1h8", lstmrun=100.0)), path)
        equal(os.listdir(folder), ["a.json"], "nothing left beside")
        equal(results.read(path)["cases"][0]["case"], "lstm-t1n1c1h8", "case")
        for text, part_of in (("{", "no JSON"), ("[]", "not written by"), ('{"runs": []}', "not written by")):
            with open(path, "w") as file:
                file.write(text)
            refused(results.read, path, part_of)


# ---- tables ------------------------------------------------------------------------------------------------

@test
def tables_say_what_was_missed():
    found = part(record("lstm-t1n1c128h128", lstmrun=1000.0, onednn_3=1600.0),
                 record("lstm-t1n1c128h128", 2, lstmrun=1000.0, onednn_3=2500.0))
    lines = list(table.summary_lines(found, figures.MEDIAN))
    check("1.60x" in lines[1] and "NOT MET" in lines[1], "row of one thread: %s" % lines[1])
    check(any(line.startswith("NOT MET: lstm-t1n1c128h128, 1 thread: best peer 1.60x (>= 1.70x)")
              for line in lines),
          "missed bar: %s" % lines)
    markdown = list(table.markdown_lines(found, figures.MEDIAN))
    row = next(line for line in markdown if line.startswith("| `lstm-t1n1c128h128`"))
    one = figures.judge_all(found)[0]
    allowed = 1600.0 / figures.limit_ns(one.case, LIMITS, None, 1)
    check("(1.7; %.3g)" % allowed in row, "what the machine allows, %g: %s" % (allowed, row))
    check("**1.60 (1.7; " in row and "2.50 (2; " in row and row.count("|") == 8, "Markdown: %s" % row)
    check(any("onednn-3 3.2" in line for line in markdown), "versions: %s" % markdown)
    equal([table.duration(ns) for ns in (0.5, 123.4, 1234.0, 56789012.0, 2e9)],
          ["0.5 ns", "123 ns", "1.23 µs", "56.8 ms", "2 s"], "times")


@test
def who_takes_part_is_said():
    found = [{"name": "onnxruntime", "command": ["a"]}, {"name": "lstmrun", "command": ["b"]},
             {"name": "onednn-3", "command": ["c"]}, {"name": "openvino", "missing": "no wheel"}]
    running, left_out = runtimes.take_part(found, [])
    equal([one["name"] for one in running], ["lstmrun", "onnxruntime", "onednn-3"], "ours first")
    equal(left_out, {"openvino": "no wheel"}, "left out")
    running, left_out = runtimes.take_part(found, ["onednn", "nobody"])
    equal([one["name"] for one in running], ["lstmrun", "onednn-3"], "asked for")
    check("no such runtime" in left_out["nobody"], "unknown name")
    equal(runtimes.command_of(running[0], 2, "avx2"), ["b", "--threads", "2", "--isa", "avx2"], "our command")
    equal(runtimes.command_of(running[1], 1, None), ["c", "--threads", "1"], "a peer's command")


# ---- protocol ----------------------------------------------------------------------------------------------

class FakeStore:
    def __init__(self, folder):
        self.folder = folder

    def folder_of(self, case, threads):
        return self.folder


def read_error(path):
    with open(path) as file:
        return float(file.read()) - 1


def race_of(folder, tempers, said, clocks=(), threads=1):
    notes, cpus = os.path.join(folder, "notes"), {min(os.sched_getaffinity(0))}

    def start(temper):
        worker = workers.Worker(temper, [sys.executable, "-c", FAKE, temper, notes], cpus, {},
                                os.path.join(folder, "log"))
        equal(worker.greet()["runtime"], temper, "greeting")
        return worker
    return timing.Race({(threads, temper): start(temper) for temper in tempers}, FakeStore(folder),
                       [start(clock) for clock in clocks], said.append)


@test
def workers_take_turns():
    with tempfile.TemporaryDirectory() as folder:
        race, case = race_of(folder, ["fast", "slow"], []), cases.parse("lstm-t1n1c1h8")
        found = race.run(case, read_error, 3, 0.001)
        race.end()
        with open(os.path.join(folder, "notes")) as file:
            turns = [line.split()[0] for line in file if line.split()[1] == "time"]
    equal(turns, ["fast", "slow", "slow", "fast", "slow", "fast"], "order of turns")
    equal([timing.order_of([1, 2, 3], turn) for turn in range(3)], [[1, 2, 3], [3, 2, 1], [2, 3, 1]],
          "order of three")
    equal(len(found), 1, "one number of threads")
    close(found[0]["runtimes"]["slow"]["median_ns"], 310, "median")
    close(found[0]["runtimes"]["fast"]["cpu_ns"], 24 * 100 / 12, "CPU time of a call")


@test
def wrong_and_broken_workers_are_left_out_loudly():
    with tempfile.TemporaryDirectory() as folder:
        said = []
        race = race_of(folder, ["fast", "wrong", "dying", "refusing", "babbling"], said, clocks=["clock"])
        for _ in range(2):
            found = race.run(cases.parse("lstm-t1n1c1h8"), read_error, 1, 0.001)[0]
            equal(list(found["runtimes"]), ["fast"], "timed")
            for name, why in (("wrong", "off the oracle's"), ("dying", "it dies"),
                              ("refusing", "no such thing"),
                              ("babbling", "no line of JSON")):
                check(why in found["refused"].get(name, ""), "%s: %r" % (name, found["refused"].get(name)))
        close(found["clock_ghz"], 2, "clock")
        race.end()
    equal(sum("LEFT OUT" in line for line in said), 8, "lines said")


@test
def turns_on_a_shared_core_are_taken_again():
    timing.PATIENCE_SECONDS = 1.0
    shared = ["shared in 1 of 1"]
    for threads, clocks, turns, words in ((1, ["clock"], 1, []), (1, ["crowded"], 2, []),
                                          (1, ["besieged"], 2, shared), (1, ["clock", "halved"], 1, []),
                                          (2, ["clock", "halved"], 1, shared), (2, ["clock", "clock"], 1, [])):
        with tempfile.TemporaryDirectory() as folder:
            said = []
            race = race_of(folder, ["fast"], said, clocks, threads)
            found = race.run(cases.parse("lstm-t1n1c1h8"), read_error, 1, 0.001)[0]
            race.end()
            with open(os.path.join(folder, "notes")) as file:
                equal(sum(line == "fast time\n" for line in file), turns, "turns beside %s" % clocks)
        equal(found["runtimes"]["fast"]["samples"], 3, "samples of one turn")
        equal(found["runtimes"]["fast"]["shared_rounds"], len(words), "rounds on shared cores")
        equal([word in line for word, line in zip(words, said)], [True] * len(said), "said: %r" % said)


# ---- numbers -----------------------------------------------------------------------------------------------

@test
def an_lstm_step_is_as_by_hand():
    needs_numpy()
    from comparing import oracle
    arrays = {"W": np.array([0.5, -0.25, 1.0, 0.75], np.float32).reshape(4, 1, 1),
              "R": np.array([0.1, 0.2, -0.3, 0.4], np.float32).reshape(4, 1, 1),
              "b": np.array([0.0, 1.0, -0.125, 0.25], np.float32).reshape(4, 1)}
    case, x = cases.parse("lstm-t2n1c1h1"), [0.5, -1.0]
    rows = [tuple(float(arrays[name].ravel()[gate]) for name in "WRb") for gate in range(4)]
    h = c = 0.0
    for value in x:
        i, f, g, o = (w * value + r * h + b for w, r, b in rows)
        c = c / (1 + math.exp(-f)) + math.tanh(g) / (1 + math.exp(-i))
        h = math.tanh(c) / (1 + math.exp(-o))
    y = oracle.run(case, [[arrays]], np.array(x, np.float32).reshape(1, 1, 2, 1))
    close(float(y[0, 0, 1, 0]), h, "h after two steps", 1e-14)


@test
def a_gru_step_is_as_by_hand():
    needs_numpy()
    from comparing import oracle
    arrays = {"W": np.array([0.5, -0.25, 1.0], np.float32).reshape(3, 1, 1),
              "R": np.array([0.1, 0.2, -0.3], np.float32).reshape(3, 1, 1),
              "b": np.array([0.0, 1.0, -0.5], np.float32).reshape(3, 1),
              "b_hn": np.array([0.125], np.float32)}
    h = 0.0
    for value in (0.5, -1.0):
        r, z = (1 / (1 + math.exp(-(float(arrays["W"][k, 0, 0]) * value + float(arrays["R"][k, 0, 0]) * h +
                                    float(arrays["b"][k, 0])))) for k in range(2))
        n = math.tanh(value - 0.5 + r * (float(arrays["R"][2, 0, 0]) * h + 0.125))
        h = (1 - z) * n + z * h
    y = oracle.run(cases.parse("gru-t2n1c1h1"), [[arrays]],
                   np.array([0.5, -1.0], np.float32).reshape(1, 1, 2, 1))
    close(float(y[0, 0, 1, 0]), h, "h after two steps", 1e-14)


@test
def states_go_on_and_directions_meet():
    needs_numpy()
    from comparing import oracle, weights
    frame, sequence = cases.parse("lstm-t1n2c3h4"), cases.parse("lstm-t5n2c3h4")
    layers = weights.make(frame)
    x = weights.make_input(sequence)
    steps = np.ascontiguousarray(x.transpose(2, 1, 0, 3))
    close(float(np.abs(oracle.run(frame, layers, steps)[:, :, 0].transpose(1, 0, 2)
                       - oracle.run(sequence, layers, x)[0]).max()), 0, "five calls are one of five steps",
          1e-15)
    both = cases.parse("lstm-t5n2c3h4b")
    layers = weights.make(both)
    y = oracle.run(both, layers, x)[0]
    backwards = oracle.run(sequence, [[layers[0][1]]], np.ascontiguousarray(x[:, :, ::-1]))[0]
    close(float(np.abs(y[..., 4:] - backwards[:, ::-1]).max()), 0, "reverse direction", 1e-15)
    check(oracle.error_of(np.array([1, np.nan]), np.array([1.0, 1.0])) == float("inf"), "a NaN is no match")
    check(oracle.error_of(np.array([1.0]), np.array([1.0, 1.0])) == float("inf"),
          "half the outputs are no match")


@test
def weights_are_laid_out_for_all():
    needs_numpy()
    from comparing import weights
    case = cases.parse("gru-t1n1c2h3l2")
    layers = weights.make(case)
    check(np.array_equal(weights.flat(layers), weights.flat(weights.make(cases.parse("gru-t9n5c2h3l2")))),
          "steps and items do not change weights")
    equal(weights.flat(layers).size, 3 * 3 * (2 + 3 + 1) + 3 + 3 * 3 * (3 + 3 + 1) + 3,
          "numbers in weights.bin")
    tensors = weights.pytorch_tensors(layers)
    equal(tensors["weight_ih_l1"].shape, (9, 3), "weight_ih_l1")
    equal(list(tensors["bias_hh_l0"][:6]), [0.0] * 6, "second bias of r and z")
    check(np.array_equal(tensors["bias_hh_l0"][6:], layers[0][0]["b_hn"]), "second bias of n")
    w, _, b = weights.onnx_tensors(case, layers[0])
    check(np.array_equal(w[0, :3], layers[0][0]["W"][1]), "ONNX has z first")
    check(np.array_equal(b[0, 9 + 6:], layers[0][0]["b_hn"]), "ONNX's recurrent bias of h")
    w, _, _ = weights.onnx_tensors(cases.parse("lstm-t1n1c2h3"),
                                   weights.make(cases.parse("lstm-t1n1c2h3"))[0])
    check(np.array_equal(w[0, 3:6], weights.make(cases.parse("lstm-t1n1c2h3"))[0][0]["W"][3]),
          "ONNX has o second")


# ---- command -----------------------------------------------------------------------------------------------

@test
def the_command_explains_itself():
    program = [sys.executable, os.path.join(SOURCE, "bench", "compare")]

    def run(*arguments):
        return subprocess.run([*program, *arguments], capture_output=True, text=True, check=False)
    asked = run("--help")
    equal(asked.returncode, 0, "--help")
    check("--merge" in asked.stdout and "examples:" in asked.stdout, "help: %s" % asked.stdout)
    listed = run("--list", "--grid", "bars")
    equal((listed.returncode, len(listed.stdout.splitlines())), (0, 66), "--list")
    equal(run("--threads", "0").returncode, 2, "--threads 0")
    wrong = run("--list", "--cases", "lstm-t1")
    check(wrong.returncode == 1 and "is no case" in wrong.stderr, "bad word: %s" % wrong.stderr)
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "a.json")
        with open(path, "w") as file:
            json.dump(part(record("lstm-t1n1c1h8", lstmrun=100.0, onednn_3=300.0)), file)
        merged = run("--merge", path, path, "--readme")
        check(merged.returncode == 0 and "3.00 (1; " in merged.stdout,
              "--merge: %s%s" % (merged.stdout, merged.stderr))


def main():
    wanted = os.environ.pop("LSTMRUN_PYTHON", None)
    if wanted:
        os.execv(wanted, [wanted] + sys.argv)
    failed = skipped = 0
    for function in TESTS:
        name = function.__name__.replace("_", " ")
        try:
            function()
        except Skip as why:
            skipped += 1
            print("skip %s: %s" % (name, why))
        except Exception:  # pylint: disable=broad-except
            failed += 1
            print("not ok %s\n%s" % (name, traceback.format_exc()))
        else:
            print("ok %s" % name)
    print("%d passed, %d failed, %d skipped" % (len(TESTS) - failed - skipped, failed, skipped))
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
