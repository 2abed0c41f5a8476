# SPDX-License-Identifier: MIT
"""What the ONNX tests share: a model goes through lstmconvert and lstmrun, and ONNX Runtime says
what must come out. Programs are taken from $LSTMRUN_BUILD/tools."""
import os
import subprocess
import sys
import tempfile

try:
    import numpy as np
    import onnx
    import onnxruntime as ort
except ImportError as missing:
    print(f"skipped: {missing}")
    sys.exit(77)  # what Meson counts as skipped

TOOLS = os.path.join(os.environ.get("LSTMRUN_BUILD", "build"), "tools")
TOLERANCE = 2e-5  # of the largest number in the reference: sums in another order, other activations


def run_tool(name, *arguments):
    return subprocess.run([os.path.join(TOOLS, name), *arguments], capture_output=True, text=True)


class Refused(Exception):
    pass


def convert(model, folder, spec=None):
    """The model (a proto or a path) as a model file; Refused with the message otherwise."""
    path = model if isinstance(model, str) else os.path.join(folder, "model.onnx")
    if not isinstance(model, str):
        onnx.save(model, path)
    out = os.path.join(folder, "model.bin")
    arguments = [path, "-o", out]
    if spec:
        with open(os.path.join(folder, "spec.json"), "w") as file:
            file.write(spec)
        arguments += ["--spec", os.path.join(folder, "spec.json")]
    done = run_tool("lstmconvert", *arguments)
    if done.returncode == 1:
        raise Refused(done.stderr.strip())
    assert done.returncode == 0, (done.returncode, done.stderr)
    return out, done.stderr


def run(model_file, frames, folder):
    """frames [batch][steps][...] to the model's output [batch][steps or 1][...]."""
    batch, steps = frames.shape[:2]
    source, result = os.path.join(folder, "in.npy"), os.path.join(folder, "out.npy")
    np.save(source, np.ascontiguousarray(frames.reshape(batch, steps, -1), dtype=np.float32))
    done = run_tool("lstmrun", "-q", model_file, source, "-o", result)
    assert done.returncode == 0, done.stderr
    return np.load(result)


def reference(model, feeds, output=0):
    content = model if isinstance(model, str) else model.SerializeToString()
    options = ort.SessionOptions()
    options.log_severity_level = 3
    return ort.InferenceSession(content, options, providers=["CPUExecutionProvider"]).run(None, feeds)[output]


def compare(name, got, wanted):
    """Shapes may differ by axes of 1; [batch][steps] must have been put in order before."""
    if got.size != wanted.size:
        raise AssertionError(f"{name}: shape {got.shape}, wanted {wanted.shape}")
    error = float(np.max(np.abs(got.reshape(-1) - wanted.reshape(-1)), initial=0))
    limit = TOLERANCE * max(1.0, float(np.max(np.abs(wanted), initial=0)))
    if not error <= limit:
        raise AssertionError(f"{name}: differs by {error:g}, allowed are {limit:g}")
    return error


def check_model(name, model, x, feeds=None, in_axes="BT", out_axes="BT", output=0, wanted=None, spec=None):
    """x is in the graph's layout; in_axes and out_axes name its first two axes. out_axes 'B': the
    output has no time."""
    with tempfile.TemporaryDirectory() as folder:
        model_file, notes = convert(model, folder, spec)
        got = run(model_file, x if in_axes == "BT" else np.swapaxes(x, 0, 1), folder)
        if wanted is None:
            wanted = reference(model, feeds or {"x": x}, output)
        if out_axes == "TB":
            wanted = np.swapaxes(wanted, 0, 1)
        return compare(name, got, np.asarray(wanted)), notes


def check_refused(name, model, *words):
    with tempfile.TemporaryDirectory() as folder:
        try:
            convert(model, folder)
        except Refused as refusal:
            lost = [word for word in words if word not in str(refusal)]
            if lost:
                raise AssertionError(f"{name}: {lost} not in the message: {refusal}") from None
            return
    raise AssertionError(f"{name}: was not refused")


class Score:
    def __init__(self):
        self.passed = self.failed = 0
        self.worst = 0.0

    def case(self, name, function, *arguments, **options):
        try:
            result = function(name, *arguments, **options)
            self.worst = max(self.worst, result[0] if result else 0.0)
            self.passed += 1
        except (AssertionError, Refused) as problem:
            print(f"FAILED {name}: {problem}")
            self.failed += 1

    def finish(self):
        print(f"{self.passed} passed, {self.failed} failed; largest difference {self.worst:.3g}")
        sys.exit(self.failed != 0)
