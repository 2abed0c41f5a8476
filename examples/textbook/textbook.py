#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The textbook LSTM cell, worked out by hand: 3 hidden units, 4 inputs, 3 steps.

    python3 textbook.py                     print every number of the three steps (Markdown, as in README.md)
    python3 textbook.py --csv               print h and c of the three steps: 3 rows of h1 h2 h3 c1 c2 c3
    python3 textbook.py --write             write textbook.safetensors and input.csv beside this script
    python3 textbook.py --readme            replace the worked part of README.md

Plain Python in double precision, no packages: it shares no code with lstmrun, so the two can be compared.
"""

import json
import math
import pathlib
import struct
import sys

HERE = pathlib.Path(__file__).resolve().parent
MARKS = ("<!-- worked: begin -->\n", "<!-- worked: end -->\n")

# Each gate: three rows (hidden units) of seven weights, for h1 h2 h3 x1 x2 x3 x4, and three biases.
GATES = {
    "f": ([[0.5, 0.0, -0.25, 0.25, 0.5, 0.0, -0.5],
           [0.0, 0.25, 0.5, -0.5, 0.25, 0.25, 0.0],
           [-0.25, 0.5, 0.0, 0.0, -0.25, 0.5, 0.25]], [1.0, 0.5, 0.75]),
    "i": ([[0.25, -0.5, 0.0, 1.0, 0.0, -0.25, 0.5],
           [0.5, 0.25, -0.25, 0.0, 0.75, 0.5, -0.25],
           [0.0, 0.0, 0.5, -0.25, 0.5, 0.0, 0.75]], [0.0, -0.25, 0.25]),
    "g": ([[0.75, 0.25, 0.0, 0.5, -0.5, 1.0, 0.0],
           [-0.5, 0.5, 0.25, 0.25, 1.0, 0.0, -0.75],
           [0.25, 0.0, -0.75, -1.0, 0.0, 0.5, 0.5]], [0.0, 0.25, -0.25]),
    "o": ([[0.0, 0.5, 0.25, -0.25, 0.25, 0.5, 0.0],
           [0.25, 0.0, 0.5, 0.5, 0.0, -0.25, 0.25],
           [0.5, -0.25, 0.0, 0.25, 0.5, 0.0, -0.5]], [0.25, 0.0, 0.5]),
}
INPUT = [[1.0, 0.0, 0.5, -1.0],
         [0.0, 1.0, -0.5, 0.5],
         [-1.0, 0.5, 0.0, 1.0]]
TITLES = {"f": "what to forget", "i": "what to add", "g": "the candidate", "o": "what to show"}
TORCH_ORDER = "ifgo"  # nn.LSTM stacks its gates like this


def sigmoid(z):
    return 1.0 / (1.0 + math.exp(-z))


def number(value):
    return f"{value:.6f}"


def term(weight, value):
    shown = f"{value:g}" if value == round(value, 2) else number(value)
    return f"({weight:g})({shown})"


def gate_lines(name, h, x):
    """Values of one gate and the Markdown lines that work them out."""
    weights, biases = GATES[name]
    function, symbol = (math.tanh, "tanh") if name == "g" else (sigmoid, "σ")
    values, lines = [], []
    for unit in range(3):
        pairs = list(zip(weights[unit], h + x))
        z = sum(weight * value for weight, value in pairs) + biases[unit]
        values.append(function(z))
        terms = " + ".join(term(weight, value) for weight, value in pairs if weight)
        lines.append(f"{name}{unit + 1} = {symbol}( {terms} + ({biases[unit]:g}) )")
        lines.append(f"   = {symbol}( {number(z)} ) = {number(values[-1])}")
    return values, lines


def step(h, c, x):
    """New h and c, and the lines for a person."""
    lines, gates = [], {}
    for name in GATES:
        lines.append(f"{name}: {TITLES[name]}")
        gates[name], worked = gate_lines(name, h, x)
        lines += worked + [""]
    new_c, new_h = [], []
    for u in range(3):
        f, i, g = gates["f"][u], gates["i"][u], gates["g"][u]
        new_c.append(f * c[u] + i * g)
        lines.append(f"c{u + 1} = f{u + 1}·c{u + 1} + i{u + 1}·g{u + 1} = ({number(f)})({number(c[u])})"
                     f" + ({number(i)})({number(g)}) = {number(new_c[-1])}")
    lines.append("")
    for u in range(3):
        o = gates["o"][u]
        new_h.append(o * math.tanh(new_c[u]))
        lines.append(f"h{u + 1} = o{u + 1}·tanh(c{u + 1}) = ({number(o)})({number(math.tanh(new_c[u]))})"
                     f" = {number(new_h[-1])}")
    return new_h, new_c, lines


def run():
    """For each step: h, c and the worked lines."""
    h, c = [0.0] * 3, [0.0] * 3
    for x in INPUT:
        h, c, lines = step(h, c, x)
        yield h, c, lines


def weight_lines():
    yield "        " + "".join(f"{name:>7}" for name in ("h1", "h2", "h3", "x1", "x2", "x3", "x4", "bias"))
    for name, (weights, biases) in GATES.items():
        for unit in range(3):
            row = "".join(f"{weight:7g}" for weight in [*weights[unit], biases[unit]])
            yield f"{name}, unit {unit + 1}{row[1:]}"


def worked():
    out = ["### The weights", "", "```", *weight_lines(), "```", ""]
    for t, (h, c, lines) in enumerate(run()):
        x = ", ".join(f"{value:g}" for value in INPUT[t])
        out += [f"### Step {t}: x = ({x})", "", "```"] + lines + ["```", ""]
    out += ["### What remains of it", "",
            "| step | h1 | h2 | h3 | c1 | c2 | c3 |", "|---|---|---|---|---|---|---|"]
    for t, (h, c, _) in enumerate(run()):
        out.append(f"| {t} | " + " | ".join(number(value) for value in h + c) + " |")
    return "\n".join(out) + "\n"


def safetensors():
    """The file as PyTorch would save it: `weight_ih_l0` is x's part, `weight_hh_l0` h's."""
    rows = [(GATES[gate][0][unit], GATES[gate][1][unit]) for gate in TORCH_ORDER for unit in range(3)]
    tensors = {
        "bias_hh_l0": ([12], [0.0] * 12),
        "bias_ih_l0": ([12], [bias for _, bias in rows]),
        "weight_hh_l0": ([12, 3], [value for row, _ in rows for value in row[:3]]),
        "weight_ih_l0": ([12, 4], [value for row, _ in rows for value in row[3:]]),
    }
    header, data = {}, b""
    for name, (shape, values) in tensors.items():
        start = len(data)
        data += struct.pack(f"<{len(values)}f", *values)
        header[name] = {"dtype": "F32", "shape": shape, "data_offsets": [start, len(data)]}
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    return struct.pack("<Q", len(text)) + text + data


def update_readme():
    path = HERE / "README.md"
    text = path.read_text(encoding="utf-8")
    before, rest = text.split(MARKS[0])
    after = rest.split(MARKS[1])[1]
    path.write_text(before + MARKS[0] + worked() + MARKS[1] + after, encoding="utf-8")


def main(arguments):
    if not arguments:
        print(worked(), end="")
    elif arguments == ["--csv"]:
        for h, c, _ in run():
            print(",".join(repr(value) for value in h + c))
    elif arguments == ["--write"]:
        (HERE / "textbook.safetensors").write_bytes(safetensors())
        (HERE / "input.csv").write_text("".join(",".join(f"{v:g}" for v in row) + "\n" for row in INPUT))
    elif arguments == ["--readme"]:
        update_readme()
    else:
        sys.exit(__doc__)


if __name__ == "__main__":
    main(sys.argv[1:])
