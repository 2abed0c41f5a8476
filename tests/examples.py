#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""`examples.py BUILD_FOLDER`: the examples say what they said when they were written. Prints "ok"/"not ok" lines.

The El Nino demonstration prints examples/elnino/expected.txt and meets PyTorch's stored output; the README of the
textbook cell, the script that works it out in double precision, and lstmrun agree on h and c of every step. The amplifier prints and draws what its README shows, and its callback
allocates nothing; the speech demonstration finds the segments of its README.
"""

import array
import os
import pathlib
import re
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parent.parent
ELNINO = ROOT / "examples" / "elnino"
AMP = ROOT / "examples" / "amp"
SPEECH = ROOT / "examples" / "speech"
TEXTBOOK = ROOT / "examples" / "textbook"
NUMBER = re.compile(r"[-+]?\d+\.?\d*(?:e[-+]?\d+)?")


class Failure(Exception):
    pass


class Skip(Exception):
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


# ---- the amplifier -------------------------------------------------------------------------------------------


def amp_demonstration(build, folder):
    """What it says is in the README, and the picture is the one beside it."""
    said = command("sh", AMP / "demo.sh", build)
    block = said[said.index("Eight notes"): said.index("Hear it")].rstrip()
    if block not in (AMP / "README.md").read_text(encoding="utf-8"):
        raise Failure(f"examples/amp/README.md does not show what demo.sh prints:\n{block}")
    same((build / "amp.svg").read_text(encoding="utf-8"), (AMP / "amp.svg").read_text(encoding="utf-8"), "amp.svg")


def amp_callback(build, folder):
    """Blocks of 64 samples give lstmrun's bits, and nothing is allocated while the sound runs."""
    model, program, library = folder / "amp.bin", folder / "callback", build / "runtime/liblstmrun.so"
    command(build / "tools/lstmconvert", AMP / "amp.nam", "-o", model)
    command("cc", "-std=c11", "-O2", "-Wall", "-Wextra", "-Wpedantic", "-Werror", "-I", ROOT / "runtime", "-o", program,
            AMP / "callback.c", library, f"-Wl,-rpath,{library.parent}")
    samples = array.array("f", [((7919 * t) % 2001 - 1000) / 2000 for t in range(10000)])
    (folder / "in.f32").write_bytes(samples.tobytes())
    command(build / "tools/lstmrun", "-q", model, folder / "in.f32", "-o", folder / "out.f32")
    with open(folder / "in.f32", "rb") as source:
        done = subprocess.run([program, model], stdin=source, capture_output=True, check=False)
    if done.returncode or b"allocations while the sound ran: 0" not in done.stderr:
        raise Failure(f"examples/amp/callback ended with code {done.returncode}:\n{done.stderr.decode()}")
    if done.stdout != (folder / "out.f32").read_bytes():
        raise Failure("examples/amp/callback and lstmrun differ")


# ---- speech --------------------------------------------------------------------------------------------------


def speech_demonstration(build, folder):
    """The segments of the README, where NumPy, SciPy, the sounds and the package are at hand."""
    python = os.environ.get("LSTMRUN_PYTHON") or sys.executable
    if subprocess.run([python, "-c", "import numpy, scipy"], capture_output=True, check=False).returncode:
        raise Skip("no NumPy and SciPy; LSTMRUN_PYTHON names an interpreter that has them")
    if not pathlib.Path("/usr/share/sounds/alsa/Front_Center.wav").exists():
        raise Skip("no sounds of alsa-utils")
    fetched = subprocess.run([python, ROOT / "tests/frameworks/packages.py", "silero-vad==6.2.3",
                              "silero_vad/data/silero_vad.onnx"], capture_output=True, check=False)
    if fetched.returncode:
        raise Skip("the package silero-vad cannot be had")
    said = command("sh", SPEECH / "demo.sh", build)
    readme = (SPEECH / "README.md").read_text(encoding="utf-8")

    def times(text):
        return re.findall(r"^ +(\d+\.\d\d) +(\d+\.\d\d) +\d+\.\d\d +[01]\.\d\d +[01]\.\d\d$", text, re.MULTILINE)
    same(times(said), times(readme), "the segments that examples/speech/demo.sh prints and its README shows")
    if not times(said):
        raise Failure(f"examples/speech/demo.sh prints no segments:\n{said}")


TEXT = ROOT / "examples" / "text"


def text_example(build, folder):
    """The demonstration prints what the README shows, and Keras's own outputs come out."""
    expected = (TEXT / "expected.txt").read_text(encoding="utf-8")
    same(command("sh", TEXT / "demo.sh", build), expected, "examples/text/demo.sh")
    if expected not in (TEXT / "README.md").read_text(encoding="utf-8"):
        raise Failure("examples/text/README.md does not show expected.txt")
    command(build / "tools/lstmconvert", TEXT / "language.keras", "-o", folder / "language.bin", "--verify",
            TEXT / "heldout.npz")


TESTS = {
    "text: a Keras classifier prints what it should": text_example,
    "El Nino: the demonstration prints what it should": demonstration,
    "El Nino: the READMEs show what the demonstration prints": elnino_readme,
    "El Nino: as PyTorch computed it": verify_elnino,
    "amplifier: the demonstration prints and draws what it should": amp_demonstration,
    "amplifier: the callback gives the same bits and allocates nothing": amp_callback,
    "speech: the demonstration finds the segments of the README": speech_demonstration,
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
            except Skip as reason:
                print(f"skip {name} ({reason})")
            except (Failure, OSError, ValueError, IndexError) as reason:
                print(f"not ok {name}\n{reason}")
                status = 1
    return status


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
