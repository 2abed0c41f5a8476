# SPDX-License-Identifier: MIT
"""Files of Keras through lstmconvert: random models in every format against Keras in f32 and f64, Keras's own
literal numbers, state over calls, every refusal of tools/CONVERT-KERAS.md.

    test_keras_files.py [COUNT [SEED]]
"""
import os
import random
import sys
import tempfile
import time

from keras_common import FORMATS, Refused, compare, convert, copy_of, predict, run_file, save

import keras_random


def check_random(rng, kind):
    model, x, story = keras_random.random_model(rng, kind == "keras2")
    old = kind == "keras2"
    exact = predict(copy_of(model, "float64", old), x)
    if not abs(exact).max() < 1e4:
        return None
    try:
        return compare(run_file(model, kind, x)[0], predict(copy_of(model, "float32", old), x), exact)
    except (AssertionError, Refused) as why:
        raise AssertionError("%s: %s" % (", ".join(story), why)) from None


def check_randoms(count, seed):
    passed = failed = 0
    worst = 0.0
    for number in range(count):
        kind = FORMATS[number % len(FORMATS)]
        try:
            worst = max(worst, check_random(random.Random(seed * 1000003 + number), kind) or 0)
            passed += 1
        except AssertionError as why:
            failed += 1
            print("not ok random %d (%s): %s" % (number, kind, why))
    print("random: seed %d, %d configurations, %d failed; largest error %.2g" % (seed, count, failed, worst))
    return passed, failed


if __name__ == "__main__":
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 240
    seed = int(sys.argv[2]) if len(sys.argv) > 2 else int(time.time())
    passed, failed = check_randoms(count, seed)
    print("%d passed, %d failed" % (passed, failed))
    sys.exit(failed != 0)
