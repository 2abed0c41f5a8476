# SPDX-License-Identifier: MIT
"""What the tests of the command share: a folder with a model and an input, how to run it, the tests."""

import os
import pathlib
import re
import signal
import subprocess
import sys
import tempfile
import traceback

import models

TESTS = []
TEST_SECONDS = 120


class Skip(Exception):
    pass


def test(function):
    TESTS.append(function)
    return function


class Result:
    def __init__(self, code, out, err):
        self.code, self.out, self.err = code, out, err

    def text(self):
        return "code %d\n--- stdout\n%s\n--- stderr\n%s" % (self.code, self.out[:2000], self.err[:2000])


def check(condition, what):
    if not condition:
        raise AssertionError(what)


def equal(found, expected, what):
    check(found == expected, "%s: found %r, expected %r" % (what, found, expected))


class Place:
    """One test's folder, with the models and an input already in it."""

    def __init__(self, program, folder):
        self.program, self.folder = program, pathlib.Path(folder)
        model, self.weights = models.lstm(metadata={"name": "small", "license": "MIT"})
        self.write("m.bin", model)
        self.frames = models.Numbers(5).array(12, models.INPUTS)
        self.write("x.bin", models.f32(models.flat(self.frames)))

    def write(self, name, data):
        (self.folder / name).write_bytes(data)
        return name

    def read(self, name):
        return (self.folder / name).read_bytes()

    def files(self):
        return sorted(path.name for path in self.folder.iterdir())

    def command(self, *words):
        return [str(self.program)] + [str(word) for word in words]

    def run(self, *words, stdin=b"", code=0, stdout=subprocess.PIPE, stderr=subprocess.PIPE, **options):
        done = subprocess.run(self.command(*words), input=stdin, stdout=stdout, stderr=stderr,
                              cwd=self.folder, timeout=120, check=False, **options)
        result = Result(done.returncode, done.stdout or b"", (done.stderr or b"").decode("utf-8", "replace"))
        check(code is None or result.code == code, "expected code %s: %s" % (code, result.text()))
        return result

    def refuse(self, words, pattern, code=1, stdin=b"", **options):
        """The command says `pattern` on stderr, begins with its name, and writes nothing anywhere."""
        before = self.files()
        result = self.run(*words, stdin=stdin, code=code, **options)
        check(re.search(pattern, result.err), "expected /%s/: %s" % (pattern, result.text()))
        check(result.err.startswith("lstmrun: "), result.text())
        equal(result.out, b"", "stdout of %s" % " ".join(map(str, words)))
        equal(self.files(), before, "files afterwards")
        return result

    def start(self, *words, **options):
        options = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **options}
        return subprocess.Popen(self.command(*words), cwd=self.folder, **options)

    def output(self, model, source, *words):
        """The raw bytes that come out."""
        self.run(model, source, "-o", "reference.out.bin", "-q", *words)
        data = self.read("reference.out.bin")
        (self.folder / "reference.out.bin").unlink()
        return data


def run_all(program, wanted):
    """Print "ok …", "not ok …" and "skip …" lines; 0 if nothing failed."""
    os.environ["LC_ALL"] = "C"
    status = 0
    for function in TESTS:
        name = "cli: " + (function.__doc__ or function.__name__).split("\n")[0]
        if wanted and not any(word in function.__name__ for word in wanted):
            continue
        with tempfile.TemporaryDirectory(prefix="lstmrun-cli-") as folder:
            try:
                signal.alarm(TEST_SECONDS)  # ends everything: a hang is no result of one test
                function(Place(program, folder))
                print("ok " + name, flush=True)
            except Skip as why:
                print("skip %s (%s)" % (name, why), flush=True)
            except Exception:  # a test may fail in any way; the others still run
                print("not ok " + name, flush=True)
                traceback.print_exc(file=sys.stdout)
                status = 1
    return status
