#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Draw what the model said and what came: `plot.py FORECAST.csv > forecast.svg`.

FORECAST.csv is what `lstmrun elnino.bin heldout.csv -o FORECAST.csv` writes. Plain Python, no packages.
"""

import pathlib
import sys

HERE = pathlib.Path(__file__).resolve().parent
FIRST_YEAR, WARM_UP = 1996, 12
WIDTH, HEIGHT, LEFT, RIGHT, TOP, BOTTOM = 860, 300, 44, 10, 34, 28
COOLEST, WARMEST = 18, 30
SERIES = [("#999999", 3.2, "what came"), ("#d1495b", 1.3, "the model, one month ahead"),
          ("#00798c", 1.3, "the model, three months ahead")]


def column(path, index):
    lines = path.read_text(encoding="utf-8").split()
    return [float(line.split(",")[index]) for line in lines]


def x_of(month, months):
    return LEFT + (month - WARM_UP) * (WIDTH - LEFT - RIGHT) / (months - 1 - WARM_UP)


def y_of(value):
    return TOP + (WARMEST - value) * (HEIGHT - TOP - BOTTOM) / (WARMEST - COOLEST)


def axes(months):
    for value in range(COOLEST, WARMEST + 1, 2):
        y = y_of(value)
        yield f'<line x1="{LEFT}" y1="{y:.1f}" x2="{WIDTH - RIGHT}" y2="{y:.1f}" stroke="#e4e4e4"/>'
        yield f'<text x="{LEFT - 8}" y="{y + 4:.1f}" text-anchor="end">{value} °C</text>'
    for month in range(WARM_UP, months, 24):
        yield f'<text x="{x_of(month, months):.1f}" y="{HEIGHT - 8}">{FIRST_YEAR + month // 12}</text>'


def curve(style, values, first, months):
    colour, width, _ = style
    points = " ".join(f"{x_of(first + t, months):.1f},{y_of(value):.1f}"
                      for t, value in enumerate(values) if WARM_UP <= first + t < months)
    return f'<polyline fill="none" stroke="{colour}" stroke-width="{width}" points="{points}"/>'


def legend():
    x = LEFT
    for colour, _, words in SERIES:
        yield f'<rect x="{x}" y="12" width="18" height="4" fill="{colour}"/>'
        yield f'<text x="{x + 24}" y="18">{words}</text>'
        x += 50 + 7 * len(words)


def main(forecast):
    truth = column(HERE / "heldout.csv", 0)
    months = len(truth)
    curves = [(truth, 0), (column(forecast, 0), 1), (column(forecast, 2), 3)]
    lines = [f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" font-family="sans-serif" '
             'font-size="12" fill="#444444">',
             f'<rect width="{WIDTH}" height="{HEIGHT}" fill="#ffffff"/>', *axes(months)]
    lines += [curve(style, values, first, months) for style, (values, first) in zip(SERIES, curves)]
    print("\n".join([*lines, *legend(), "</svg>"]))


if __name__ == "__main__":
    main(pathlib.Path(sys.argv[1]))
