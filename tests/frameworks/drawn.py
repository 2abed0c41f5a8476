# SPDX-License-Identifier: MIT
"""The arguments of a suite that draws its cases at random: [CASES [SEED]].

The seed is the same in every run, so that a commit passes or fails for good. SEED, or else the variable LSTMRUN_SEED,
asks for other cases: a number, or "new" for one that the clock chooses. Suites print theirs.
"""
import os
import sys
import time


def arguments(cases):
    """(number of cases, seed); `cases` stands if the command line has none."""
    seed = sys.argv[2] if len(sys.argv) > 2 else os.environ.get("LSTMRUN_SEED", "1")
    return int(sys.argv[1]) if len(sys.argv) > 1 else cases, time.time_ns() % 10 ** 9 if seed == "new" else int(seed)
