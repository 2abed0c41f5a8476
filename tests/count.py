#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Count test cases: `count.py [--failures FILE] testlog.json` (Meson's) or `… --log FILE CODE` (one program's output).

Prints one line, "PASSED FAILED SKIPPED". The output of what failed goes to stderr; the lines in it that say what
failed are added to the FILE of --failures. A program counts as the tests
it says it ran: Criterion's summary, a last line "N passed, N failed[, N skipped]", or lines "ok …", "not ok …",
"skip …". One that says nothing counts as one; one that crashed, timed out or ended badly without saying which
test failed, as one failed test more.
"""

import json
import re
import sys

SYNTHESIS = re.compile(r"\[====\] Synthesis: Tested: (\d+) \| Passing: (\d+) \| Failing: (\d+)")
CRITERION_SKIP = re.compile(r"^\[SKIP\]", re.MULTILINE)
SKIP_LINE = re.compile(r"^(?:\[SKIP\]|skip ).*$", re.MULTILINE)
SUMMARY = re.compile(r"^(\d+) passed, (\d+) failed(?:, (\d+) skipped)?", re.MULTILINE)
LINES = [re.compile(f"^{word} ", re.MULTILINE) for word in ("ok", "not ok", "skip")]
TAIL = 6000  # characters shown of a failed suite's output
BLAME = re.compile(r"^\s*(?:not ok |FAILED|\[FAIL\]|\[----\] +(?!Criterion)\S|\w*(?:Error|Failure)\b)")
WELL = re.compile(r"^\s*(?:ok |skip |\[|FAILED|Traceback)")
MOST_BLAMED = 20  # lines of one suite


def said(output):
    """(passed, failed, skipped) as the program's output has them, or None."""
    found = SYNTHESIS.search(output)
    if found:
        return int(found[2]), int(found[3]), len(CRITERION_SKIP.findall(output))
    found = SUMMARY.findall(output)
    if found:
        return tuple(int(number or 0) for number in found[-1])
    counts = tuple(len(line.findall(output)) for line in LINES)
    return counts if any(counts) else None


def count(output, good, skipped=False):
    counts = said(output)
    if skipped:
        return counts or (0, 0, 1)
    if counts is None:
        return int(good), int(not good), 0
    passed, failed, skips = counts
    return passed, failed if good else max(failed, 1), skips


def show(name, output):
    print(f"--- {name}", file=sys.stderr)
    print(output[-TAIL:], file=sys.stderr)


def blame(path, name, output):
    """Adds the lines that say what failed to the file, or the last ones if none does."""
    if not path:
        return
    lines = [line.rstrip()[:300] for line in output.splitlines() if line.strip()]
    telling = [line for before, line in zip([""] + lines, lines)
               if BLAME.match(line) or (BLAME.match(before) and not WELL.match(line))]
    with open(path, "a", encoding="utf-8") as file:
        print(f"--- {name}", *(telling[-MOST_BLAMED:] or lines[-5:]), sep="\n", file=file)


def count_meson(path, failures):
    total = [0, 0, 0]
    with open(path, encoding="utf-8") as file:
        for line in file:
            entry = json.loads(line)
            output = entry.get("stdout", "") + entry.get("stderr", "")
            good, skipped = entry["result"] == "OK", entry["result"] == "SKIP"
            counts = count(output, good, skipped)
            total = [a + b for a, b in zip(total, counts)]
            if counts[1]:
                show(f"{entry['name']}: {entry['result']}", output)
                blame(failures, f"{entry['name']}: {entry['result']}", output)
            elif skipped:
                show(f"{entry['name']}: skipped", output)
            for line in SKIP_LINE.findall(output):
                print(f"    {entry['name']}: {line}", file=sys.stderr)
    return total


def count_log(path, code, failures):
    with open(path, encoding="utf-8", errors="replace") as file:
        output = file.read()
    counts = count(output, code == 0)
    if counts[1]:
        show(path, output)
        blame(failures, path, output)
    return counts


def main(arguments):
    failures = None
    if arguments[:1] == ["--failures"]:
        failures, arguments = arguments[1], arguments[2:]
    if len(arguments) == 3 and arguments[0] == "--log":
        total = count_log(arguments[1], int(arguments[2]), failures)
    elif len(arguments) == 1 and not arguments[0].startswith("-"):
        total = count_meson(arguments[0], failures)
    else:
        sys.exit(__doc__)
    print(*total)


if __name__ == "__main__":
    main(sys.argv[1:])
