#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Make a recording of a plucked guitar that nobody played: `guitar.py guitar.wav`. Plain Python, no packages.

Karplus-Strong strings: a burst of noise goes round a delay as long as the note's period, and loses a little of its
treble each time. Eight notes, each a little louder, then a chord. The same file on every machine.
"""
import sys
import wave

RATE = 48000
NOTES = [(82.41, 0.03), (110.0, 0.06), (146.83, 0.1), (196.0, 0.16), (246.94, 0.25), (329.63, 0.35),
         (246.94, 0.5), (196.0, 0.7)]
CHORD = [82.41, 123.47, 164.81, 207.65, 246.94, 329.63]
EACH, LAST = 0.3, 2.4  # seconds


def noise(state):
    """Numbers from -1 to 1, the same on every machine; moves state[0] on."""
    state[0] = (state[0] * 1103515245 + 12345) % (1 << 31)
    return (state[0] >> 8) / (1 << 22) - 1


def pluck(pitch, level, n_samples, state):
    period = int(RATE / pitch)
    string = [level * noise(state) for _ in range(period)]
    out = []
    for t in range(n_samples):
        here = t % period
        out.append(string[here])
        string[here] = 0.4985 * (string[here] + string[(here + 1) % period])
    return out


def add(samples, start, note):
    for t, value in enumerate(note):
        if start + t < len(samples):
            samples[start + t] += value


def main(path):
    state = [1]
    samples = [0.0] * int(RATE * (len(NOTES) * EACH + LAST))
    for number, (pitch, level) in enumerate(NOTES):
        add(samples, int(number * EACH * RATE), pluck(pitch, level, int(1.2 * RATE), state))
    for number, pitch in enumerate(CHORD):
        start = int((len(NOTES) * EACH + 0.3 + 0.02 * number) * RATE)
        add(samples, start, pluck(pitch, 0.2, int(2 * RATE), state))
    with wave.open(path, "wb") as file:
        file.setnchannels(1), file.setsampwidth(2), file.setframerate(RATE)
        file.writeframes(b"".join(int(max(-1.0, min(1.0, x)) * 32767).to_bytes(2, "little", signed=True)
                                  for x in samples))


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    main(sys.argv[1])
