#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Draw what the amplifier does: `plot.py IN.f32 OUT.f32 > amp.svg`, raw samples before and after.

Left the transfer curve (each output sample over its input sample: soft clipping, and loops from the low pass),
right a stretch of both waves. Plain Python, no packages.
"""
import array
import sys

RATE = 48000
WIDTH, HEIGHT, TOP, SIDE, MIDDLE = 860, 300, 34, 240, 320
CURVE = (2.20, 2.40)  # seconds drawn: the loudest note, when its first noise has gone
WAVE = (2.25, 2.28)
COLOURS = {"clean": "#999999", "amplified": "#d1495b"}


def samples(path):
    numbers = array.array("f")
    with open(path, "rb") as file:
        numbers.frombytes(file.read())
    return numbers


def stretch(numbers, seconds):
    return numbers[int(seconds[0] * RATE):int(seconds[1] * RATE)]


def transfer(x, y):
    def place(value, start):
        return start + SIDE / 2 + value * SIDE / 2

    for value in (-1, 0, 1):
        yield (f'<line x1="{place(-1, 30):.0f}" y1="{TOP + SIDE / 2 - value * SIDE / 2:.0f}" x2="{place(1, 30):.0f}" '
               f'y2="{TOP + SIDE / 2 - value * SIDE / 2:.0f}" stroke="#e4e4e4"/>')
        yield (f'<line y1="{TOP}" x1="{place(value, 30):.0f}" y2="{TOP + SIDE}" x2="{place(value, 30):.0f}" '
               'stroke="#e4e4e4"/>')
        yield f'<text x="{place(value, 30):.0f}" y="{HEIGHT - 8}" text-anchor="middle">{value}</text>'
    dots = " ".join(f"M{place(a, 30):.1f} {TOP + SIDE / 2 - b * SIDE / 2:.1f}h1" for a, b in list(zip(x, y))[::4])
    yield f'<path stroke="#00798c" d="{dots}"/>'
    yield '<text x="30" y="22">output over input, 0.2 s of one note</text>'


def wave(numbers, colour):
    step = (WIDTH - MIDDLE - 10) / (len(numbers) - 1)
    points = " ".join(f"{MIDDLE + i * step:.1f},{TOP + SIDE / 2 - value * SIDE / 2:.1f}"
                      for i, value in enumerate(numbers))
    return f'<polyline fill="none" stroke="{colour}" stroke-width="1.3" points="{points}"/>'


def main(before, after):
    x, y = samples(before), samples(after)
    lines = [f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" font-family="sans-serif" '
             'font-size="12" fill="#333333">', '<rect width="100%" height="100%" fill="white"/>']
    lines += transfer(stretch(x, CURVE), stretch(y, CURVE))
    lines += [wave(stretch(numbers, WAVE), colour) for numbers, colour in zip((x, y), COLOURS.values())]
    for number, (words, colour) in enumerate(COLOURS.items()):
        lines.append(f'<rect x="{MIDDLE + 110 * number}" y="16" width="18" height="4" fill="{colour}"/>')
        lines.append(f'<text x="{MIDDLE + 24 + 110 * number}" y="22">{words}</text>')
    milliseconds = round(1000 * (WAVE[1] - WAVE[0]))
    lines.append(f'<text x="{WIDTH - 10}" y="{HEIGHT - 8}" text-anchor="end">{milliseconds} ms</text>')
    print("\n".join(lines + ["</svg>"]))


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    main(sys.argv[1], sys.argv[2])
