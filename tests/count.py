#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Count test cases: `count.py testlog.json` (Meson's) or `count.py --lines LOG` ("ok …", "not ok …", "skip …").

Prints one line, "PASSED FAILED SKIPPED". The output of suites that failed goes to stderr. A Criterion suite
counts as its tests; a program that crashed, timed out or failed without saying which test, as one failed test.
"""

import json
import re
import sys

SYNTHESIS = re.compile(r"\[====\] Synthesis: Tested: (\d+) \| Passing: (\d+) \| Failing: (\d+)")
SKIPPED = re.compile(r"^\[SKIP\]", re.MULTILINE)
TAIL = 6000  # characters shown of a failed suite's output


def count_suite(entry):
    """(passed, failed, skipped) of one Meson test."""
    output = entry.get("stdout", "") + entry.get("stderr", "")
    good, skip = entry["result"] == "OK", entry["result"] == "SKIP"
    found = SYNTHESIS.search(output)
    if found:
        passed, failed = int(found[2]), int(found[3])
        return passed, max(failed, 0 if good else 1), len(SKIPPED.findall(output))
    return int(good), int(not good and not skip), int(skip)


def count_meson(path):
    total = [0, 0, 0]
    with open(path, encoding="utf-8") as file:
        for line in file:
            entry = json.loads(line)
            counts = count_suite(entry)
            total = [a + b for a, b in zip(total, counts)]
            if counts[1]:
                print(f"--- {entry['name']}: {entry['result']}", file=sys.stderr)
                print((entry.get("stdout", "") + entry.get("stderr", ""))[-TAIL:], file=sys.stderr)
    return total


def count_lines(path):
    with open(path, encoding="utf-8", errors="replace") as file:
        lines = file.read().splitlines()
    starts = ("ok ", "not ok ", "skip ")
    return [sum(line.startswith(start) for line in lines) for start in starts]


def main(arguments):
    if len(arguments) == 2 and arguments[0] == "--lines":
        total = count_lines(arguments[1])
    elif len(arguments) == 1:
        total = count_meson(arguments[0])
    else:
        sys.exit(__doc__)
    print(*total)


if __name__ == "__main__":
    main(sys.argv[1:])
