# SPDX-License-Identifier: MIT
"""What the suites of random networks share: conversion, and judging our errors by PyTorch's own in float32.

PyTorch in float64 counts as the truth. For each case there is the ratio (our error) / (the error of PyTorch in
float32): its median may be 1.1 at the most, and no case may exceed the suite's own bound.
"""
import os
import random
import statistics
import subprocess
import sys
import tempfile

import torch

import lstmrun

TOOLS = os.path.join(os.environ.get("LSTMRUN_BUILD", "build"), "tools")
MEDIAN = 1.1

# Neither program can be nearer to the truth than the rounding of the result itself: half a unit in the
# last place of the largest number, 2^-24 of it at the most. A float32 error below that is luck, and
# dividing by it would measure the luck.
ROUNDING = 2.0 ** -24


def convert(path, model, *options):
    """What lstmconvert says while it makes `model` of `path`."""
    done = subprocess.run([os.path.join(TOOLS, "lstmconvert"), path, "-o", model, *options],
                          capture_output=True, text=True)
    if done.returncode != 0:
        raise AssertionError("lstmconvert: " + done.stderr.strip())
    return done.stdout


def ratio(error, single, largest):
    """`error` (and `largest`, the very largest) of ours, `single` of PyTorch in float32."""
    assert largest < 1e-3, "largest relative error %.3g" % largest
    return error / max(single, ROUNDING)


def compare_all(cases, rng, draw, check, most, folder):
    """The ratios of the cases, and how many failed."""
    ratios, failed = [], 0
    for number in range(cases):
        case = draw(rng, number)
        try:
            ratios.append(check(case, folder))
            assert ratios[-1] <= most, "error ratio %.2f to PyTorch's float32" % ratios[-1]
        except (AssertionError, lstmrun.Error) as problem:
            failed += 1
            print("FAILED case %d: %s: %s" % (number, case, problem))
    return ratios, failed


def main(cases, seed, draw, check, most, also=lambda rng, folder: (0, 0)):
    """The suite with the arguments [CASES [SEED]], for which `cases` and `seed` stand if they are not given.
    draw(rng, number) makes a case, check(case, folder) returns its ratio; also(rng, folder) does what else there
    is and returns (passed, failed)."""
    cases = int(sys.argv[1]) if len(sys.argv) > 1 else cases
    seed = int(sys.argv[2]) if len(sys.argv) > 2 else seed
    rng = random.Random(seed)
    torch.manual_seed(seed)
    torch.set_num_threads(1)
    print("PyTorch %s, %d cases, seed %d" % (torch.__version__, cases, seed))
    with tempfile.TemporaryDirectory() as folder:
        ratios, failed = compare_all(cases, rng, draw, check, most, folder)
        good, bad = also(rng, folder)
    passed, failed = cases - failed + good, failed + bad
    if ratios:
        middle = statistics.median(ratios)
        print("error ratio to PyTorch's float32: median %.3f, largest %.3f" % (middle, max(ratios)))
        if middle > MEDIAN:
            failed += 1
            print("FAILED the median is above %.1f" % MEDIAN)
        else:
            passed += 1
    print("%d passed, %d failed" % (passed, failed))
    return failed != 0
