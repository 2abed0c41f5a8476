# SPDX-License-Identifier: MIT
"""All comparisons with other frameworks, one line each, and last `N passed, N failed, N skipped`.

    LSTMRUN_BUILD=build python3 tests/frameworks/run.py [SUITE...]

A suite whose packages are missing is skipped, and says loudly what to install. $LSTMRUN_PYTHON names
another interpreter (one that has the packages). Random cases are the same in every run; LSTMRUN_SEED=new draws others.
"""
import os
import re
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

HERE = os.path.dirname(os.path.abspath(__file__))
SKIPPED = 77
PATIENCE = 3600  # seconds for a suite, which takes some minutes: a hang has an end, and a name
TENSORFLOW = "tensorflow-cpu tf_keras tf2onnx"
PACKAGES = "torch onnx onnxruntime onnxscript keras safetensors numpy h5py absl-py"

# name: (program, arguments); {convert} is the converter's path
SUITES = {
    "torch": ("test_torch.py", []),
    "torch-files": ("test_torch_files.py", []),
    "torch-models": ("test_torch_models.py", []),
    "keras": ("test_keras.py", []),
    "keras-files": ("test_keras_files.py", []),
    "textgenrnn": ("test_textgenrnn.py", []),
    "onnx-nodes": ("onnx_nodes.py", []),
    "onnx-export-torchscript": ("onnx_export.py", ["torchscript"]),
    "onnx-export-dynamo": ("onnx_export.py", ["dynamo"]),
    "audio": ("test_audio.py", []),
    "speech": ("test_speech.py", []),
    "onnx-node-cases": ("test_onnx_node_cases.py", []),
    "onnx-random": ("onnx_random.py", []),
    "onnx-cells": ("onnx_cells.py", []),
    "tf2onnx": ("test_tf2onnx.py", []),
    "tf-keras": ("test_tf_keras.py", []),
    "silero": ("test_silero.py", []),
    "safetensors": ("check_safetensors.py", ["{convert}"]),
}


def run(python, name, build):
    program, arguments = SUITES[name]
    convert = os.path.join(build, "tools", "lstmconvert")
    command = [python, "-W", "ignore", os.path.join(HERE, program)]
    try:
        done = subprocess.run(command + [word.format(convert=convert) for word in arguments], timeout=PATIENCE,
                              capture_output=True, text=True, env={**os.environ, "LSTMRUN_BUILD": build})
    except subprocess.TimeoutExpired as late:
        said = [(part or b"").decode("utf-8", "replace") for part in (late.stdout, late.stderr)]
        return 1, said[0].split("\n") + ["FAILED %s: no end after %d s" % (name, PATIENCE)], said[1]
    lines = [line for line in done.stdout.splitlines() if line.strip()]
    return done.returncode, lines, done.stderr


def counts_of(lines):
    """(passed, failed) as the suite's last lines say, or None."""
    for line in reversed(lines):
        found = re.search(r"(\d+) passed, (\d+) failed", line)
        if found:
            return int(found.group(1)), int(found.group(2))
    return None


def report(name, code, lines, errors):
    """Prints what a suite did; its (passed, failed, skipped)."""
    if code == SKIPPED:
        why = next((line for line in lines if "skip" in line.lower()), "packages are missing")
        print("SKIPPED %s: %s" % (name, why))
        return 0, 0, 1
    counts = counts_of(lines) or ((1, 0) if code == 0 else (0, 1))
    failed = max(counts[1], 1) if code else counts[1]
    for line in lines if failed else lines[-3:]:
        print("    " + line)
    if failed:
        print("\n".join("    " + line for line in errors.splitlines()[-20:]))
    print("%s %s" % ("FAILED" if failed else "ok", name))
    return counts[0], failed, 0


def main():
    names = sys.argv[1:] or list(SUITES)
    unknown = [name for name in names if name not in SUITES]
    if unknown:
        print("no suite %s; there are: %s" % (", ".join(unknown), ", ".join(SUITES)), file=sys.stderr)
        return 2
    python = os.environ.get("LSTMRUN_PYTHON") or sys.executable
    build = os.path.abspath(os.environ.get("LSTMRUN_BUILD", "build"))
    passed = failed = skipped = 0
    with ThreadPoolExecutor(min(2, os.cpu_count() or 1)) as pool:  # most of a suite has one thread
        for name, done in zip(names, pool.map(lambda name: run(python, name, build), names)):
            good, bad, left = report(name, *done)
            passed, failed, skipped = passed + good, failed + bad, skipped + left
            sys.stdout.flush()
    if skipped:
        print("%d suites were SKIPPED. To run them: %s -m pip install %s (for those of TensorFlow also: %s)" %
              (skipped, python, PACKAGES, TENSORFLOW))
    print("%d passed, %d failed, %d skipped" % (passed, failed, skipped))
    return failed != 0


if __name__ == "__main__":
    sys.exit(main())
