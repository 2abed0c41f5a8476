# SPDX-License-Identifier: MIT
"""Segments of speech: those of lstmrun against those of the Silero package's own script, for random
probabilities, lengths and options.

    test_speech.py [CASES [SEED]]
"""
import importlib.util
import json
import os
import random
import subprocess
import sys
import tempfile

try:
    import numpy as np
    import torch  # noqa: F401  (the package's script imports it)
    import packaging  # noqa: F401
except ImportError as missing:
    print("skipped: %s (pip install torch numpy packaging)" % missing)
    sys.exit(77)

import drawn
import packages

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.dirname(HERE))
import model_file  # noqa: E402

RUN = os.path.join(os.environ.get("LSTMRUN_BUILD", "build"), "tools", "lstmrun")
PACKAGE = "silero-vad==6.2.3"
WINDOWS = {16000: 512, 8000: 256}


def silero():
    """The package's module of helpers."""
    try:
        path = packages.file(PACKAGE, "silero_vad/utils_vad.py")
    except packages.Missing as why:
        print("skipped: %s" % why)
        sys.exit(77)
    spec = importlib.util.spec_from_file_location("silero_utils", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def first_sample(rate):
    """A model whose probability is the first sample of each step."""
    step = WINDOWS[rate]
    model = model_file.Model(input=[step])
    model.layer("slice", [0], shape=[1], words={1: 0, 2: 1, 3: 1}, name="first")
    model.metadata.update({"sample_rate": str(rate), "frame_samples": str(step), "task": "speech"})
    return model.bytes()


def probabilities(rng, n):
    """Stretches of loud, quiet and doubtful steps."""
    centre, found = 0.0, []
    for _ in range(n):
        if rng.random() < 0.08:
            centre = rng.random()
        found.append(np.float32(min(1, max(0, centre + rng.uniform(-0.2, 0.2)))))
    return found


def check(rng, script, folder):
    rate = rng.choice(list(WINDOWS))
    step, found = WINDOWS[rate], probabilities(rng, rng.randint(1, 600))
    samples = len(found) * step - rng.randrange(step - 1)
    options = dict(threshold=round(rng.uniform(0.05, 0.95), 2), min_speech_duration_ms=rng.randint(0, 500),
                   min_silence_duration_ms=rng.randint(0, 300), speech_pad_ms=rng.choice([0, 30, rng.randint(0, 400)]))
    expected = script.get_speech_timestamps_from_probs(
        [float(p) for p in found], sampling_rate=rate, audio_length_samples=samples, **options)
    audio = np.zeros(len(found) * step, np.float32)
    audio[::step] = found
    model, sound = os.path.join(folder, "first.bin"), os.path.join(folder, "sound.f32")
    with open(model, "wb") as file:
        file.write(first_sample(rate))
    audio[:samples].tofile(sound)
    out = subprocess.run([RUN, model, sound, "-q", "--format", "json", "--threshold", str(options["threshold"]),
                          "--min-speech", str(options["min_speech_duration_ms"]),
                          "--min-silence", str(options["min_silence_duration_ms"]),
                          "--pad", str(options["speech_pad_ms"])], capture_output=True, text=True, check=True).stdout
    ours = [[round(segment[end] * rate) for end in ("start", "end")] for segment in json.loads(out)["segments"]]
    theirs = [[segment["start"], segment["end"]] for segment in expected]
    assert ours == theirs, "%s at %d Hz: %s, Silero's script says %s" % (options, rate, ours, theirs)
    return len(ours)


def main():
    cases, seed = drawn.arguments(100)
    rng, script = random.Random(seed), silero()
    print("%s, %d cases, seed %d" % (PACKAGE, cases, seed))
    failed = segments = 0
    with tempfile.TemporaryDirectory() as folder:
        for number in range(cases):
            try:
                segments += check(rng, script, folder)
            except AssertionError as problem:
                failed += 1
                print("FAILED case %d: %s" % (number, problem))
    print("%d segments compared" % segments)
    print("%d passed, %d failed" % (cases - failed, failed))
    return failed != 0 or segments == 0


if __name__ == "__main__":
    sys.exit(main())
