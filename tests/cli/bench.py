#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""`bench.py LSTMBENCH [WORD …]`: what lstmbench prints and writes. Prints "ok"/"not ok" lines.

With WORDs, only the tests whose function names contain one of them. Figures are checked for being possible,
not for being good: this is no place to measure.
"""

import json
import pathlib
import re
import sys

import harness
from harness import check, equal, test

SMALL = ("--shape", "lstm-t3n2c2h5", "--seconds", "0.01", "--rounds", "2")


def refuse(place, words, pattern, code=2):
    result = place.run(*words, code=code)
    check(re.search(pattern, result.err), "expected /%s/: %s" % (pattern, result.text()))
    equal(result.out, b"", "stdout of %s" % " ".join(words))


@test
def limits(place):
    """--limits as JSON: every figure is there, and possible"""
    for _ in range(5):  # one round: whatever else the computer does may fall on any figure
        found = json.loads(place.run("--limits", "--rounds", "1", "--json", "-").out)
        faster = found["read"][0]["gbs"][found["isa"]] > found["levels"]["DRAM"]
        if faster:
            break
    isas = set(found["fma_gflops"])
    check(found["isa"] in isas and isas <= {"avx512", "avx2", "neon", "scalar"}, str(found))
    check(0.1 < found["clock_ghz"] < 10, "clock: %r" % found["clock_ghz"])
    equal(set(found["fma_l1_gflops"]), isas, "fma_l1_gflops")
    equal(set(found["levels"]) - {"L3"}, {"L1", "L2", "DRAM"}, "levels")
    sizes = [row["bytes"] for row in found["read"]]
    equal(sizes, [2 ** i for i in range(14, 14 + len(sizes))], "bytes")
    check(len(sizes) >= 10, "sets: %d" % len(sizes))
    for row in found["read"]:
        equal(set(row["gbs"]), isas, "gbs of %d bytes" % row["bytes"])
        equal(set(row.get("gbs_two", isas)), isas, "gbs_two of %d bytes" % row["bytes"])
        equal(row["level"] in found["levels"], True, "level of %d bytes" % row["bytes"])
    for figures in [row["gbs"] for row in found["read"]] + [found["fma_gflops"], found["levels"]]:
        check(all(0 < figure < 1e5 for figure in figures.values()), str(figures))
    check(faster, "L1 reads faster than memory")


@test
def limits_for_a_person(place):
    """--limits as a table, for no wider loads than --isa allows"""
    out = place.run("--limits", "--rounds", "1", "--isa", "avx2").out.decode()
    for pattern in (r"^clock \d", r"^fma from registers +\d", r"^fma, one from L1 +\d", r"^ +16 KiB in L1 +\d",
                    r"^ +\d+ MiB in DRAM +\d"):
        check(re.search(pattern, out, re.MULTILINE), "expected /%s/ in\n%s" % (pattern, out))
    check("avx512" not in out, out)


@test
def cases(place):
    """a case, as a table and as JSON beside it"""
    out = place.run(*SMALL, "--json", "y.json").out.decode()
    check(re.search(r"^lstm-t3n2c2h5 +1 +[\d.]+ .* same ", out, re.MULTILINE), out)
    row = json.loads(place.read("y.json"))["cases"][0]
    equal((row["case"], row["threads"], row["items"], row["steps"]), ("lstm-t3n2c2h5", 1, 2, 3), "the case")
    check(row["bits_checked"] and 0 < row["min_ns"] <= row["median_ns"] <= row["p99_ns"], str(row))
    check(0 < row["limit_ns"] < row["median_ns"], "no faster than the machine: %s" % row)


@test
def json_alone(place):
    """--json - prints nothing else on standard output"""
    for words in (SMALL, SMALL + ("--planner",)):
        equal(json.loads(place.run(*words, "--json", "-").out)["cases"][0]["case"], "lstm-t3n2c2h5", "case")


@test
def planner(place):
    """--planner times the default and every split that can be forced, and tells the regret"""
    if place.run(*SMALL, "--threads", "2", "--split", "team", code=None).code:
        raise harness.Skip("this build has no threads")
    found = json.loads(place.run(*SMALL, "--shape", "lstm-t3n1c2h5", "--threads", "3", "--planner", "--json",
                                 "-").out)
    kinds = [[(row["split"], row["threads"]) for row in case["choices"]] for case in found["cases"]]
    equal(kinds[0], [("none", 1), ("items", 2), ("team", 2), ("team", 3)], "choices for two items")
    equal(kinds[1], [("none", 1), ("team", 2), ("team", 3)], "choices for one item")
    for case in found["cases"]:
        rows = case["choices"] + [case["default"]]
        least = min(row["median_ns"] for row in rows)
        equal(case["best"]["median_ns"], least, "best")
        equal(round(case["regret_percent"], 6), round(100 * (case["default"]["median_ns"] / least - 1), 6), "regret")
        check(all(row["estimate_ns"] > 0 for row in rows), str(rows))
    equal(found["worst_regret_percent"], max(case["regret_percent"] for case in found["cases"]), "worst")
    out = place.run(*SMALL, "--threads", "2", "--planner").out.decode()
    check(re.search(r"^lstm-t3n2c2h5 .*%.* none 1: \S+ items 2: \S+ team 2: ", out, re.MULTILINE), out)


@test
def bad_usage(place):
    """bad usage goes to stderr with code 2"""
    for words, pattern in (
            ((), "nothing to time"), (("--planner",), "nothing to time"),
            (("--limits", "--shape", "lstm-t1n1c1h1"), "--limits measures the machine only"),
            (("--limits", "--isa", "mmx"), "--isa mmx: expected one of scalar, avx2, avx512, neon"),
            (SMALL + ("--split", "halves"), "--split halves: expected one of none, items, team"),
            (SMALL + ("--split", "team", "--planner"), "--planner tries every split"),
            (("--shape", "lstm-t1n1"), "is no problem from"), (SMALL + ("--rounds", "0"), "\"0\" is not a whole")):
        refuse(place, words, pattern)
    refuse(place, SMALL + ("--split", "team"), "needs at least two threads", code=1)


if __name__ == "__main__":
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    sys.exit(harness.run_all(pathlib.Path(sys.argv[1]).resolve(), sys.argv[2:]))
