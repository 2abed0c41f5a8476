#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Draw probability and segments over the waveform: `plot.py SOUND.wav PROBABILITIES.f32 SEGMENTS.json > speech.svg`.

The three files are the input of lstmrun and what it writes with `-o`. SOUND.wav is one channel of 32-bit floats.
Plain Python, no packages.
"""
import array
import json
import sys

WIDTH, HEIGHT, LEFT, RIGHT, TOP, BOTTOM = 860, 260, 40, 10, 34, 28
SPEECH, LINE, WAVE = "#d8ecec", "#d1495b", "#777777"


def sound(path):
    """(rate, samples)"""
    with open(path, "rb") as file:
        data = file.read()
    at, found = 12, {}
    while at + 8 <= len(data):
        size = int.from_bytes(data[at + 4:at + 8], "little")
        found[data[at:at + 4]] = data[at + 8:at + 8 + size]
        at += 8 + size + size % 2
    rate, samples = int.from_bytes(found[b"fmt "][4:8], "little"), array.array("f")
    samples.frombytes(found[b"data"][:len(found[b"data"]) // 4 * 4])
    return rate, samples


def y_of(probability):
    return HEIGHT - BOTTOM - probability * (HEIGHT - TOP - BOTTOM)


def waveform(samples, x_of):
    """One vertical line for each pixel, from the lowest to the highest sample in it."""
    columns = WIDTH - LEFT - RIGHT
    middle, scale = y_of(0.5), 0.5 * (HEIGHT - TOP - BOTTOM) / max(1e-9, max(map(abs, samples)))
    each = len(samples) / columns
    for column in range(columns):
        part = samples[int(column * each):int((column + 1) * each)] or [0]
        x = x_of(column * each)
        yield (f'<line x1="{x:.1f}" y1="{middle - max(part) * scale:.1f}" x2="{x:.1f}" '
               f'y2="{middle - min(part) * scale + 0.5:.1f}" stroke="{WAVE}"/>')


def main(sound_path, probability_path, segments_path):
    rate, samples = sound(sound_path)
    probabilities = array.array("f")
    with open(probability_path, "rb") as file:
        probabilities.frombytes(file.read())
    with open(segments_path, encoding="utf-8") as file:
        segments = json.load(file)["segments"]
    step = len(samples) / len(probabilities)

    def x_of(sample):
        return LEFT + sample * (WIDTH - LEFT - RIGHT) / len(samples)

    lines = [f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" font-family="sans-serif" '
             'font-size="12" fill="#333333">', '<rect width="100%" height="100%" fill="white"/>']
    for segment in segments:
        left, right = (x_of(segment[end] * rate) for end in ("start", "end"))
        lines.append(f'<rect x="{left:.1f}" y="{TOP}" width="{right - left:.1f}" height="{HEIGHT - TOP - BOTTOM}" '
                     f'fill="{SPEECH}"/>')
    lines += waveform(samples, x_of)
    points = " ".join(f"{x_of((i + 0.5) * step):.1f},{y_of(p):.1f}" for i, p in enumerate(probabilities))
    lines.append(f'<polyline fill="none" stroke="{LINE}" stroke-width="1.5" points="{points}"/>')
    for value in (0, 0.5, 1):
        lines.append(f'<text x="{LEFT - 6}" y="{y_of(value) + 4:.1f}" text-anchor="end">{value}</text>')
    for second in range(0, int(len(samples) / rate) + 1):
        lines.append(f'<text x="{x_of(second * rate):.1f}" y="{HEIGHT - 8}">{second} s</text>')
    for x, colour, words in ((LEFT, WAVE, "the sound"), (140, LINE, "probability of speech"),
                             (310, SPEECH, "segments")):
        lines.append(f'<rect x="{x}" y="13" width="18" height="8" fill="{colour}"/><text x="{x + 24}" y="21">{words}'
                     '</text>')
    print("\n".join(lines + ["</svg>"]))


if __name__ == "__main__":
    if len(sys.argv) != 4:
        sys.exit(__doc__)
    main(*sys.argv[1:])
