#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""`examples.py BUILD_FOLDER`: the examples say what they said when they were written. Prints "ok"/"not ok" lines.

The El Nino demonstration prints examples/elnino/expected.txt and meets PyTorch's stored output; the README of the
textbook cell, the script that works it out in double precision, and lstmrun agree on h and c of every step.
"""

import pathlib
import re
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parent.parent
ELNINO = ROOT / "examples" / "elnino"
TEXTBOOK = ROOT / "examples" / "textbook"
NUMBER = re.compile(r"[-+]?\d+\.?\d*(?:e[-+]?\d+)?")


class Failure(Exception):
    pass


def command(*words):
    result = subprocess.run([str(word) for word in words], capture_output=True, text=True, check=False)
    if result.returncode:
        raise Failure(f"{words[0]} ended with code {result.returncode}:\n{result.stdout}{result.stderr}")
    return result.stdout


def same(found, expected, what):
    if found != expected:
        raise Failure(f"{what}: found\n{found}\nexpected\n{expected}")


def story(text):
    """The demonstration's words without those that name the build folder."""
    return text[text.index("Sea surface temperature"): text.index("The model is ")].rstrip() + "\n"


def demonstration(build, folder):
    same(story(command("sh", ELNINO / "demo.sh", build)), (ELNINO / "expected.txt").read_text(encoding="utf-8"),
         "examples/elnino/demo.sh")


def elnino_readme(build, folder):
    block = (ELNINO / "expected.txt").read_text(encoding="utf-8")
    for page in (ELNINO / "README.md", ROOT / "README.md"):
        if block not in page.read_text(encoding="utf-8"):
            raise Failure(f"{page} does not show examples/elnino/expected.txt")


def verify_elnino(build, folder):
    command(build / "tools/lstmconvert", ELNINO / "elnino.safetensors", "--spec", ELNINO / "elnino.json",
            "-o", folder / "elnino.bin", "--verify", ELNINO / "heldout.npz")


def textbook_files(build, folder):
    """The stored weights and input are what the script makes."""
    for name in ("textbook.safetensors", "input.csv", "textbook.py"):
        (folder / name).write_bytes((TEXTBOOK / name).read_bytes())
    command(sys.executable, folder / "textbook.py", "--write")
    for name in ("textbook.safetensors", "input.csv"):
        if (folder / name).read_bytes() != (TEXTBOOK / name).read_bytes():
            raise Failure(f"examples/textbook/{name} is not what textbook.py --write makes")


def textbook_readme(build, folder):
    readme = (TEXTBOOK / "README.md").read_text(encoding="utf-8")
    begin, end = "<!-- worked: begin -->\n", "<!-- worked: end -->\n"
    same(readme.split(begin)[1].split(end)[0], command(sys.executable, TEXTBOOK / "textbook.py"),
         "the worked part of examples/textbook/README.md")


def shown_states(text):
    """[step][h1 h2 h3 c1 c2 c3] from what lstmrun --show-state prints."""
    rows = {"h": [], "c": []}
    for line in text.splitlines():
        found = re.search(r"\b([hc])\b[^-+\d]*((?:\s*[-+]?\d+\.\d+(?:e[-+]?\d+)?[,\s]*)+)$", line)
        if found:
            rows[found[1]].append([float(value) for value in NUMBER.findall(found[2])])
    return [h + c for h, c in zip(rows["h"], rows["c"])]


def textbook_run(build, folder):
    model = folder / "textbook.bin"
    command(build / "tools/lstmconvert", TEXTBOOK / "textbook.safetensors", "--spec", TEXTBOOK / "textbook.json",
            "-o", model)
    shown = command(build / "tools/lstmrun", model, TEXTBOOK / "input.csv", "--show-state")
    worked = [[float(value) for value in line.split(",")]
              for line in command(sys.executable, TEXTBOOK / "textbook.py", "--csv").splitlines()]
    states = shown_states(shown)
    if len(states) != len(worked) or any(len(state) != 6 for state in states):
        raise Failure(f"lstmrun --show-state printed no h and c for {len(worked)} steps:\n{shown}")
    for step, (state, exact) in enumerate(zip(states, worked), 1):
        for name, value, wanted in zip(("h1", "h2", "h3", "c1", "c2", "c3"), state, exact):
            if abs(value - wanted) > 1e-6:
                raise Failure(f"step {step}: lstmrun shows {name} = {value}, by hand it is {wanted:.7f}")
    if shown not in (TEXTBOOK / "README.md").read_text(encoding="utf-8"):
        raise Failure(f"examples/textbook/README.md does not show what lstmrun --show-state prints:\n{shown}")


TESTS = {
    "El Nino: the demonstration prints what it should": demonstration,
    "El Nino: the READMEs show what the demonstration prints": elnino_readme,
    "El Nino: as PyTorch computed it": verify_elnino,
    "textbook: the stored files are what the script writes": textbook_files,
    "textbook: the README is what the script works out": textbook_readme,
    "textbook: lstmrun shows the h and c worked out by hand": textbook_run,
}


def main(build):
    status = 0
    for name, test in TESTS.items():
        with tempfile.TemporaryDirectory() as folder:
            try:
                test(pathlib.Path(build).resolve(), pathlib.Path(folder))
                print(f"ok {name}")
            except (Failure, OSError, ValueError, IndexError) as reason:
                print(f"not ok {name}\n{reason}")
                status = 1
    return status


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
