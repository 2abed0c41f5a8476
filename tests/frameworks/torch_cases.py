# SPDX-License-Identifier: MIT
"""What the suites of random networks share: conversion, and judging our errors by PyTorch's own in float32.

PyTorch in float64 counts as the truth. For each case there is the ratio (our error) / (the error of PyTorch in
float32): its median may be 1.1 at the most, and no case may exceed the suite's own bound.
"""
import os
import random
import statistics
import subprocess
import tempfile

import numpy as np
import torch

import drawn
import lstmrun

TOOLS = os.path.join(os.environ.get("LSTMRUN_BUILD", "build"), "tools")
MEDIAN = 1.1

# Neither program can be nearer to the truth than the rounding of the result itself: half a unit in the
# last place of the largest number, 2^-24 of it at the most. A float32 error below that is luck, and
# dividing by it would measure the luck.
ROUNDING = 2.0 ** -24


# With a handful of different results the error is that of a few roundings, and the quotient of two such errors has no
# bound: of one rounding each it exceeds 3 in a fifth of all cases (atan(1/3) · 2/π). What is left is closeness, to
# which PyTorch's own error adds: a layer_norm of two numbers nearly alike turns a rounding of 1e-7 into 3e-5.
MANY, DIFFERENT, CLOSE, OWN = 100, 1e-5, 1e-5, 8


def check_few(ours, single, truth):
    """Whether the results are too few different ones for a ratio; they are then held to CLOSE and OWN times the
    error of PyTorch in float32 (`single`)."""
    largest = float(np.max(np.abs(truth)))
    if np.unique(np.round(truth / (DIFFERENT * max(largest, 1e-30)))).size >= MANY:
        return False
    error, own = [float(np.max(np.abs(found - truth))) / max(1.0, largest) for found in (ours, single)]
    assert error < CLOSE + OWN * own, "largest error %.3g, PyTorch's in float32 %.3g" % (error, own)
    return True


def convert(path, model, *options):
    """What lstmconvert says while it makes `model` of `path`."""
    done = subprocess.run([os.path.join(TOOLS, "lstmconvert"), path, "-o", model, *options],
                          capture_output=True, text=True)
    if done.returncode != 0:
        raise AssertionError("lstmconvert: " + done.stderr.strip())
    return done.stdout


def errors(results, truth):
    """The largest error of all results together, and the one that a hundredth of their numbers exceed, in units of
    each result's largest number. The very largest is a matter of luck where a layer_norm meets numbers nearly alike,
    and among a few final states: as one draw it would say little about the arithmetic."""
    error = np.concatenate([np.ravel(np.abs(result - right)) / max(float(np.max(np.abs(right))), 1e-30)
                            for result, right in zip(results, truth)])
    return float(np.max(error)), float(np.quantile(error, 0.99))


def ratio(ours, single, truth):
    """Of the usual errors of `ours` and of PyTorch in float32 (`single`), lists of arrays."""
    largest, usual = errors(ours, truth)
    assert largest < 1e-3, "largest relative error %.3g" % largest
    return usual / max(errors(single, truth)[1], ROUNDING)


def compare_all(cases, rng, draw, check, most, folder):
    """The ratios of the cases, and how many failed."""
    ratios, failed = [], 0
    for number in range(cases):
        case = draw(rng, number)
        try:
            found = check(case, folder)
            if found is not None:
                ratios.append(found)
                assert found <= most, "error ratio %.2f to PyTorch's float32" % found
        except (AssertionError, lstmrun.Error) as problem:
            failed += 1
            print("FAILED case %d: %s: %s" % (number, case, problem))
    return ratios, failed


def main(cases, draw, check, most, also=lambda rng, folder: (0, 0)):
    """The suite with the arguments [CASES [SEED]]; `cases` stands if there are none.
    draw(rng, number) makes a case, check(case, folder) returns its ratio, or None if it has judged the case by itself;
    also(rng, folder) does what else there is and returns (passed, failed)."""
    cases, seed = drawn.arguments(cases)
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
