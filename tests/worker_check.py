#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The workers of bench/compare: their loop, with a runtime that only adds up (worker_echo.c), and those of
lstmrun and, where it is built, oneDNN, against the command lstmrun.

worker_check.py ECHO LSTMRUN NATIVE [ONEDNN]
"""
import json
import math
import os
import struct
import subprocess
import sys
import tempfile

sys.dont_write_bytecode = True
HERE = os.path.dirname(os.path.abspath(__file__))
sys.path += [HERE, os.path.join(HERE, "cli")]

import model_file  # noqa: E402
from models import Numbers  # noqa: E402

CASE = {"type": "lstm", "layers": 1, "bidirectional": 0, "inputs": 3, "units": 3, "steps": 1, "items": 2,
        "threads": 1, "streams": 0, "calls": 5}


def check(condition, what):
    if not condition:
        raise AssertionError(what)


def f32(numbers):
    return struct.pack("<%df" % len(numbers), *numbers)


def floats(data):
    return list(struct.unpack("<%df" % (len(data) // 4), data))


class Worker:
    def __init__(self, program, *options):
        self.process = subprocess.Popen([program, "--threads", "1", *options], stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        self.hello = json.loads(self.process.stdout.readline())

    def ask(self, line):
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()
        answer = self.process.stdout.readline()
        check(answer, "no answer to %r" % line)
        return json.loads(answer)

    def refuses(self, line, words):
        answer = self.ask(line)
        check(words in answer.get("error", ""), "%r: %s, expected an error with %r" % (line, answer, words))

    def outputs(self, folder):
        check("open_ns" in self.ask("open " + folder), folder)
        path = os.path.join(folder, "output.bin")
        check(self.ask("check " + path) == {}, folder)
        with open(path, "rb") as file:
            return file.read()

    def end(self):
        self.process.stdin.close()
        return self.process.wait(60)


def make(folder, name, files, **changes):
    """A case's folder; `files` are more files or other contents of them."""
    case, path = {**CASE, **changes}, os.path.join(folder, name)
    os.makedirs(path)
    count = case["calls"] * case["items"] * case["steps"] * case["inputs"]
    contents = {"case.txt": "".join("%s %s\n" % pair for pair in case.items()).encode(),
                "input.bin": f32(Numbers(7).array(count)), **files}
    for file_name, data in contents.items():
        with open(os.path.join(path, file_name), "wb") as file:
            file.write(data)
    return path


# ---- the loop ----------------------------------------------------------------------------------------------


def added_up(inputs, items, gru):
    """What worker_echo.c makes of [calls][items][3]."""
    width, outputs = items * 3, []
    h, c = [0.0] * width, [0.0] * width
    for at in range(0, len(inputs), width):
        h = [a + x for a, x in zip(h, inputs[at:at + width])]
        c = [a + 2 * b for a, b in zip(c, h)]
        outputs += h if gru else [a + b for a, b in zip(h, c)]
    return outputs


def states_are_carried(worker, folder):
    for kind in ("lstm", "gru"):
        for streams in (0, 1):
            for layers in (1, 3):
                items = 1 if layers == 3 else 4
                path = make(folder, "%s-%d-%d" % (kind, streams, layers), {}, type=kind, streams=streams,
                            layers=layers, items=items)
                with open(os.path.join(path, "input.bin"), "rb") as file:
                    expected = added_up(floats(file.read()), items, kind == "gru")
                # The second time must begin at zero again, whatever ran between.
                for _ in range(2):
                    check(floats(worker.outputs(path)) == expected, path)
                    worker.ask("time 100000")


def sequences_are_transposed(worker, folder):
    items, steps = 2, 4
    path = make(folder, "sequence", {}, steps=steps, items=items, calls=1)
    with open(os.path.join(path, "input.bin"), "rb") as file:
        inputs = floats(file.read())
    expected = [inputs[(b * steps + t) * 3 + i] * ((t * items + b) * 3 + i)
                for b in range(items) for t in range(steps) for i in range(3)]
    check(floats(worker.outputs(path)) == expected, "a sequence")


def times_are_sane(worker, folder):
    path = make(folder, "time", {})
    worker.ask("open " + path)
    answer = worker.ask("time 5000000")
    check(answer["calls"] >= 1 and 1 <= len(answer["ns"]) <= 4096, answer)
    check(all(0 < ns and ns * answer["calls"] >= 1 for ns in answer["ns"]), answer)
    timed = sum(answer["ns"]) * answer["calls"]
    check(0.5 * timed <= answer["wall_ns"] and answer["wall_ns"] >= 5000000, answer)
    check(answer["cpu_ns"] > 0, answer)
    check(len(worker.ask("time 0")["ns"]) == 1, "time 0")


def errors_are_answered(worker, folder):
    good = make(folder, "good", {})
    broken = {
        "no-case": ({"case.txt": b""}, {}, 'no key "layers"'),
        "no-number": ({}, {"units": "x"}, 'units is "x"'),
        "negative": ({}, {"units": -3}, "expected a number from 1"),
        "kind": ({}, {"type": "rnn"}, "expected lstm or gru"),
        "unknown": ({"case.txt": b"colour 1\n"}, {}, 'unknown key "colour"'),
        "bytes": ({"case.txt": bytes(range(1, 256))}, {}, ""),
        "threads": ({}, {"threads": 2}, "started with --threads 1"),
        "both-ways": ({}, {"bidirectional": 1}, "step by step"),
        "calls": ({}, {"steps": 2}, "need steps 1"),
        "short": ({"input.bin": bytes(117)}, {}, "117 bytes, expected 30 floats"),
        "long": ({"input.bin": bytes(124)}, {}, "124 bytes, expected 30 floats"),
        "runtime": ({}, {"units": 4}, "as many outputs"),
        "run": ({"input.bin": f32([math.nan] * 30)}, {}, 'number 0 is "not a number"'),
    }
    for line in ("", "open", "close now", "time 5", "check " + folder, "\x01\x7f"):
        worker.refuses(line, "")
    for name, (files, changes, words) in broken.items():
        worker.refuses("open " + make(folder, name, files, **changes), words)
        worker.refuses("time 5", "no case is open")
        check("open_ns" in worker.ask("open " + good), name)
    for line in ("time", "time x", "time -1", "time 1e3", "check /nonexistent/file", "check /dev/full"):
        worker.refuses(line, "")
    check(worker.ask("close") == {} and worker.ask("close") == {}, "close")


def options_are_checked(echo):
    for options in ([], ["--threads"], ["--threads", "0"], ["--threads", "1", "--colour", "red"],
                    ["--threads", "1", "--isa", "avx2"]):
        done = subprocess.run([echo, *options], stdin=subprocess.DEVNULL, capture_output=True, text=True,
                              check=False)
        check(done.returncode == 1 and "error" in json.loads(done.stdout), options)


# ---- runtimes ----------------------------------------------------------------------------------------------


def network():
    """An lstm of 3 inputs and 5 units: its model file, and its weights as weights.bin has them."""
    numbers, units, inputs = Numbers(11), 5, 3
    r, w, b = (numbers.array(4, units, units), numbers.array(4, units, inputs), numbers.array(4, units))
    both = [[h + x for h, x in zip(*gates)] for gates in zip(r, w)]
    model = model_file.Model(input=[inputs])
    model.layer("lstm", [0], shape=[units], words=model_file.rnn_words(units), name="cell",
                tensors=[model.tensor(both, name="W"), model.tensor(b, name="b")] + [None] * 4)
    return model.bytes(), b"".join(model_file.f32_bytes(part) for part in (w, r, b))


def by_command(lstmrun, folder, model, items):
    """Outputs of each of the sequences in `items`, all steps of each in one run of the command."""
    def path(name):
        return os.path.join(folder, name)
    with open(path("m.bin"), "wb") as file:
        file.write(model)
    outputs = []
    for numbers in items:
        with open(path("x.bin"), "wb") as file:
            file.write(f32(numbers))
        subprocess.run([lstmrun, path("m.bin"), path("x.bin"), "-o", path("y.bin")], check=True,
                       stderr=subprocess.DEVNULL)
        with open(path("y.bin"), "rb") as file:
            outputs.append(floats(file.read()))
    return outputs


def same_as_command(worker, lstmrun, folder, tolerance):
    model, weights = network()
    files = {"model.bin": model, "weights.bin": weights}
    items, steps = 3, 5
    numbers = Numbers(7).array(items * steps * 3)
    expected = by_command(lstmrun, folder, model, [numbers[i * steps * 3:(i + 1) * steps * 3] for i in range(items)])

    def compare(found, wanted, what):
        worst = max(abs(a - b) for a, b in zip(found, wanted, strict=True))
        check(worst <= tolerance, "%s: %s off by %g" % (what, worker.hello["runtime"], worst))

    sequence = make(folder, "sequence", {**files, "input.bin": f32(numbers)}, units=5, steps=steps, items=items,
                    calls=1)
    compare(floats(worker.outputs(sequence)), sum(expected, []), "sequences")
    # The same numbers as single steps: [calls][items] instead of [items][steps].
    by_step = [x for t in range(steps) for i in range(items) for x in numbers[(i * steps + t) * 3:][:3]]
    wanted = [y for t in range(steps) for i in range(items) for y in expected[i][t * 5:(t + 1) * 5]]
    for streams in (0, 1):
        path = make(folder, "steps-%d" % streams, {**files, "input.bin": f32(by_step)}, units=5, items=items,
                    calls=steps, streams=streams)
        compare(floats(worker.outputs(path)), wanted, "single steps, streams %d" % streams)
        check(worker.ask("time 100000")["ns"], "time")
    worker.refuses("open " + make(folder, "no-model", {}, units=5, items=items), "No such file")
    worker.refuses("open " + make(folder, "other", files, units=6, items=items), "expected")


def main():
    echo, lstmrun, *runtimes = sys.argv[1:]
    options_are_checked(echo)
    for test in (states_are_carried, sequences_are_transposed, times_are_sane, errors_are_answered):
        worker = Worker(echo)
        with tempfile.TemporaryDirectory() as folder:
            test(worker, folder)
        check(worker.end() == 0, test.__name__)
        print("ok", test.__name__)
    for program, tolerance in zip(runtimes, (0.0, 1e-6)):
        worker = Worker(program)
        with tempfile.TemporaryDirectory() as folder:
            same_as_command(worker, lstmrun, folder, tolerance)
        check(worker.end() == 0, program)
        print("ok", worker.hello["runtime"])


if __name__ == "__main__":
    main()
