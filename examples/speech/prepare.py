#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Make a recording of speech that suits the model: `prepare.py RATE OUT.wav [IN.wav ...]`.

Without IN the voice test of Debian's alsa-utils is taken ("front center", "front left" ...), its words with
pauses of silence between them. Resampling is SciPy's. Needs NumPy and SciPy.
"""
import math
import pathlib
import sys

import numpy as np
from scipy.io import wavfile
from scipy.signal import resample_poly

SOUNDS = pathlib.Path("/usr/share/sounds/alsa")
WORDS = ["Front_Center", "Front_Left", "Front_Right", "Side_Left", "Side_Right", "Rear_Center"]
PAUSE = 0.7  # seconds


def read(path, rate):
    """One channel as floats at `rate`."""
    own, samples = wavfile.read(path)
    if samples.dtype.kind == "i":
        samples = samples / np.iinfo(samples.dtype).max
    if samples.ndim > 1:
        samples = samples.mean(axis=1)
    common = math.gcd(own, rate)
    return resample_poly(samples, rate // common, own // common)


def main(rate, out, paths):
    silence = np.zeros(int(PAUSE * rate))
    parts = [silence] if not paths else []
    for path in paths or [SOUNDS / (name + ".wav") for name in WORDS]:
        parts += [read(path, rate)] + ([silence] if not paths else [])
    wavfile.write(out, rate, np.clip(np.concatenate(parts), -1, 1).astype(np.float32))


if __name__ == "__main__":
    if len(sys.argv) < 3:
        sys.exit(__doc__)
    main(int(sys.argv[1]), sys.argv[2], sys.argv[3:])
