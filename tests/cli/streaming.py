# SPDX-License-Identifier: MIT
"""Tests of the command: pipes, saved states, signals, full disks."""

import contextlib
import os
import pty
import re
import resource
import select
import signal
import struct
import time

import models
from harness import check, equal, test
from models import INPUTS, OUTPUTS, f32, flat

PATIENCE = 30  # seconds for an answer, on a busy machine


def answer(process, n):
    """Exactly n bytes from the process's stdout, which must come without more input."""
    data = b""
    while len(data) < n:
        ready, _, _ = select.select([process.stdout], [], [], PATIENCE)
        check(ready, "no answer within %d s" % PATIENCE)
        part = os.read(process.stdout.fileno(), n - len(data))
        if not part:
            raise AssertionError("the command ended: " + process.stderr.read().decode())
        data += part
    return data


def answer_line(process):
    line = b""
    while not line.endswith(b"\n"):
        line += answer(process, 1)
    return line


# ---- standard input --------------------------------------------------------------------------------------


@test
def each_frame_answered(place):
    """'-' answers each frame before the next one is sent"""
    expected = place.output("m.bin", "x.bin")
    process = place.start("m.bin", "-", "-q")
    found = b""
    for frame in place.frames:
        process.stdin.write(f32(frame))
        process.stdin.flush()
        found += answer(process, 4 * OUTPUTS)
    rest, err = process.communicate(timeout=PATIENCE)
    equal((found, rest, err, process.returncode), (expected, b"", b"", 0), "streamed")


@test
def each_line_answered(place):
    """'-' with csv in and csv, text and json out answers each line"""
    expected = place.output("m.bin", "x.bin")
    process = place.start("m.bin", "-", "-q", "--input-format", "csv", "--format", "csv")
    found = []
    for frame in place.frames:
        process.stdin.write((" ".join(map(str, frame)) + "\n").encode())
        process.stdin.flush()
        found += [float(x) for x in answer_line(process).split(b",")]
    equal(process.communicate(timeout=PATIENCE), (b"", b""), "at the end")
    equal(f32(found), expected, "csv")
    process = place.start("m.bin", "-", "-q", "--format", "text")
    for step, frame in enumerate(place.frames):
        process.stdin.write(f32(frame))
        process.stdin.flush()
        if step == 0:
            answer_line(process)  # the heading
        equal(answer_line(process).split()[0], str(step).encode(), "step")
    process.communicate(timeout=PATIENCE)


@test
def slow_bytes(place):
    """a frame that arrives byte by byte is put together"""
    process = place.start("m.bin", "-", "-q")
    for byte in f32(place.frames[0]):
        process.stdin.write(bytes([byte]))
        process.stdin.flush()
        time.sleep(0.001)
    equal(answer(process, 4 * OUTPUTS), place.output("m.bin", "x.bin")[:4 * OUTPUTS], "answer")
    equal(process.communicate(timeout=PATIENCE), (b"", b""), "at the end")


@test
def all_at_once(place):
    """'-' with everything in the pipe, --chunk, and -o FILE"""
    expected, data = place.output("m.bin", "x.bin"), place.read("x.bin")
    equal(place.run("m.bin", "-", "-q", stdin=data).out, expected, "to stdout")
    equal(place.run("m.bin", "-", "-q", "--chunk", "5", stdin=data).out, expected, "--chunk 5")
    for name in ("y.bin", "y.npy"):
        place.run("m.bin", "-", "-q", "-o", name, stdin=data)
        equal(place.read(name)[-len(expected):], expected, name)
    equal(models.parse_npy(place.read("y.npy"))[0], (12, OUTPUTS), "shape")
    with open(place.folder / "x.bin", "rb") as file:
        process = place.start("m.bin", "-", "-q", stdin=file)
        equal(process.communicate(timeout=PATIENCE)[0], expected, "stdin from a file")


@test
def partial_frame(place):
    """a partial last frame is an error, after the answers to the whole ones"""
    whole = place.output("m.bin", "x.bin")
    result = place.run("m.bin", "-", "-q", stdin=place.read("x.bin")[:-5], code=1)
    equal(result.out, whole[:-4 * OUTPUTS], "answers")
    check("standard input: step 11: ends after 7 bytes, expected 12" in result.err, result.text())
    place.refuse(("m.bin", "-", "-o", "y.bin"), "step 0: ends after 3 bytes, expected 12", stdin=b"abc")
    place.refuse(("m.bin", "-"), "standard input: there are no frames")
    place.refuse(("m.bin", "-", "--input-format", "npy"), "standard input can be bin or csv, not npy")


@test
def named_pipe(place):
    """a named pipe as input file"""
    os.mkfifo(place.folder / "pipe.bin")
    process = place.start("m.bin", "pipe.bin", "-o", "y.bin", "-q")
    with open(place.folder / "pipe.bin", "wb") as pipe:
        pipe.write(place.read("x.bin"))
    equal((process.communicate(timeout=PATIENCE), process.returncode), ((b"", b""), 0), "end")
    equal(place.read("y.bin"), place.output("m.bin", "x.bin"), "result")


# ---- saved states ----------------------------------------------------------------------------------------


@test
def state_goes_on(place):
    """--save-state and --load-state: cut anywhere, the bits are those of one run"""
    expected, data = place.output("m.bin", "x.bin"), place.read("x.bin")
    for cut in (1, 5, 11):
        place.write("a.bin", data[:cut * 4 * INPUTS])
        place.write("b.bin", data[cut * 4 * INPUTS:])
        first = place.output("m.bin", "a.bin", "--save-state", "state")
        second = place.output("m.bin", "b.bin", "--load-state", "state", "--save-state", "state")
        equal(first + second, expected, "cut at %d" % cut)
    place.output("m.bin", "x.bin", "--save-state", "whole")
    equal(place.read("state"), place.read("whole"), "the state after both and after one run")


@test
def state_of_batch(place):
    """a batch saves the state of each item"""
    numbers = models.Numbers(21).array(2, 6, INPUTS)
    for name, part in (("all.npy", slice(0, 6)), ("a.npy", slice(0, 2)), ("b.npy", slice(2, 6))):
        chosen = [item[part] for item in numbers]
        place.write(name, models.npy(flat(flat(chosen)), (2, len(chosen[0]), INPUTS)))
    place.run("m.bin", "all.npy", "-o", "all.out.npy", "-q")
    place.run("m.bin", "a.npy", "-o", "a.out.npy", "-q", "--save-state", "state")
    place.run("m.bin", "b.npy", "-o", "b.out.npy", "-q", "--load-state", "state")
    whole, a, b = (models.parse_npy(place.read(name + ".out.npy"))[1] for name in ("all", "a", "b"))
    joined = [a[:4] + b[:8], a[4:] + b[8:]]
    equal(f32(flat(joined)), f32(whole), "items")
    place.refuse(("m.bin", "x.bin", "--load-state", "state"), "state: states of 2 sequences, expected 1")


@test
def bad_states(place):
    """states that are damaged or belong to another model are refused"""
    place.output("m.bin", "x.bin", "--save-state", "state")
    good = place.read("state")
    flipped = bytearray(good)
    flipped[-3] ^= 1
    for data, pattern in ((b"", "not a state"), (good[:31], "not a state"),
                          (good[:-1], "cut short or damaged"), (good + b"x", "cut short or damaged"),
                          (bytes(flipped), "its checksum does not fit"),
                          (good[:8] + b"\2" + good[9:], "state of version 2, expected 1"),
                          (good[:16] + struct.pack("<Q", 1 << 62) + good[24:], "expected"),
                          (place.read("x.bin"), "not a state")):
        place.write("bad", data)
        place.refuse(("m.bin", "x.bin", "--load-state", "bad", "-o", "y.bin"), "lstmrun: bad: .*" + pattern)
    place.refuse(("m.bin", "x.bin", "--load-state", "none"), "lstmrun: none: .*No such file")
    place.write("other.bin", models.lstm(seed=2)[0])
    place.refuse(("other.bin", "x.bin", "--load-state", "state"), "lstmrun: state: ")


# ---- outputs that cannot be --------------------------------------------------------------------------------


@test
def unwritable(place):
    """outputs that cannot be written are refused before anything runs"""
    os.mkdir(place.folder / "folder")
    place.refuse(("m.bin", "x.bin", "-o", "none/y.bin"), "none/y.bin: cannot be written: No such file")
    place.refuse(("m.bin", "x.bin", "-o", "folder", "--format", "bin"), "folder: is a directory")
    place.refuse(("m.bin", "x.bin", "-o", "x.bin/y.bin"), "x.bin/y.bin: cannot be written: Not a directory")
    place.refuse(("m.bin", "x.bin", "--save-state", "none/s", "-o", "y.bin"), "none/s: cannot be written")
    if os.geteuid() != 0:
        place.write("y.bin", b"old")
        os.chmod(place.folder / "y.bin", 0o444)
        place.refuse(("m.bin", "x.bin", "-o", "y.bin"), "y.bin: cannot be written: Permission denied")


@test
def full_disk(place):
    """a full disk: a message, code 1, nothing left, the old file kept"""
    place.write("long.bin", f32(models.Numbers(3).array(3 * 20000)))
    place.write("wave.bin", models.lstm(INPUTS, OUTPUTS, {"sample_rate": "8000"})[0])
    with open("/dev/full", "wb") as full:
        for name in ("bin", "csv", "text", "json"):
            result = place.run("m.bin", "long.bin", "--format", name, code=1, stdout=full)
            check("standard output: cannot be written: No space left" in result.err, result.text())
        for words in (("m.bin", "--info"), ("m.bin", "x.bin", "--time"), ("m.bin", "--plan")):
            result = place.run(*words, code=1, stdout=full)
            check("standard output: cannot be written: No space left" in result.err, result.text())
    place.refuse(("m.bin", "long.bin", "-o", "/dev/full", "--format", "bin"),
                 "/dev/full: cannot be written: No space")
    result = place.run("m.bin", "x.bin", "-o", "y.bin", "--save-state", "/dev/full", code=1)
    check("/dev/full: cannot be written: No space left" in result.err, result.text())

    def limit():
        resource.setrlimit(resource.RLIMIT_FSIZE, (20000, 20000))
    for name in ("y.bin", "y.npy", "y.csv", "y.json", "y.wav", "y.txt"):
        place.write(name, b"before")
        probe = place.run("wave.bin", "x.bin", "-o", name, code=None)
        if "without libsndfile" in probe.err:
            continue
        place.write(name, b"before")
        place.refuse(("wave.bin", "long.bin", "-o", name), name + ": cannot be written: File too large",
                     preexec_fn=limit)
        equal(place.read(name), b"before", name + " is kept")


@test
def signals(place):
    """SIGINT and SIGTERM leave no file"""
    def hear():  # whatever started the tests (nohup, a job in the background) may have ignored them
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, signal.SIG_DFL)
    before = place.files()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        process = place.start("m.bin", "-", "-o", "y.csv", "--save-state", "s", preexec_fn=hear)
        process.stdin.write(place.read("x.bin"))
        process.stdin.flush()
        deadline = time.monotonic() + PATIENCE
        while len(place.files()) < len(before) + 2 and time.monotonic() < deadline:
            time.sleep(0.01)
        check(len(place.files()) == len(before) + 2, "unfinished outputs are there: %s" % place.files())
        process.send_signal(number)
        process.communicate(timeout=PATIENCE)
        equal(process.returncode, -number, "end by signal %d" % number)
        equal(place.files(), before, "files afterwards")


@test
def closed_pipe(place):
    """a reader that goes away ends the command quietly"""
    place.write("long.bin", f32(models.Numbers(3).array(3 * 100000)))
    process = place.start("m.bin", "long.bin", "-o", "-", "--format", "bin", "--save-state", "s", "-q")
    answer(process, 8)
    process.stdout.close()
    process.wait(timeout=PATIENCE)
    equal((process.returncode, process.stderr.read()), (-signal.SIGPIPE, b""), "end")
    check("s" not in place.files() and len(place.files()) == 3, "files: %s" % place.files())


# ---- large and changing files -----------------------------------------------------------------------------


@test
def shrinking_input(place):
    """an input that shrinks while it is mapped: a message and code 1"""
    steps = 1 << 20
    header = models.npy([], (steps, INPUTS))
    place.write("x.npy", header)
    os.truncate(place.folder / "x.npy", len(header) + steps * INPUTS * 4)
    process = place.start("m.bin", "x.npy", "-o", "-", "--format", "csv", "-q")
    answer(process, 1)
    os.truncate(place.folder / "x.npy", 4096)
    _, err = process.communicate(timeout=PATIENCE)
    equal((process.returncode, err), (1, b"lstmrun: x.npy: changed while it was being read\n"), "end")


@test
def shrinking_stream(place):
    """raw and csv inputs that shrink while they are read: a message, code 1, no output left"""
    for name, frame in (("long.bin", f32([0.5] * INPUTS)), ("long.csv", b"0.125,0.25,0.5\n")):
        for at_end in (100000 * len(frame), 100000 * len(frame) + 5):  # a whole last frame, and not
            place.write(name, frame * 300000)
            before = place.files()
            process = place.start("m.bin", name, "-o", "-", "--format", "csv", "-q", "--save-state", "s")
            answer(process, 1)
            os.truncate(place.folder / name, at_end)
            _, err = process.communicate(timeout=PATIENCE)
            equal(process.returncode, 1, "code for " + name)
            if name == "long.bin" or at_end % len(frame) == 0:
                equal(err, ("lstmrun: %s: changed while it was being read\n" % name).encode(), "message")
            equal(place.files(), before, "files afterwards")


@test
def shrinking_to_file(place):
    """an output is not left under its name when the input became shorter"""
    with open(place.folder / "long.bin", "wb") as file:
        file.truncate(INPUTS * 4 << 24)
    before = place.files()
    process = place.start("m.bin", "long.bin", "-o", "y.bin", "-q", "--chunk", "1")
    deadline = time.monotonic() + PATIENCE

    def begun():
        return any(part.stat().st_size for part in place.folder.glob("*.part"))
    while not begun() and time.monotonic() < deadline:
        time.sleep(0.01)
    os.truncate(place.folder / "long.bin", INPUTS * 4)
    _, err = process.communicate(timeout=PATIENCE)
    equal((process.returncode, err), (1, b"lstmrun: long.bin: changed while it was being read\n"), "end")
    equal(place.files(), before, "files afterwards")


@test
def growing_input(place):
    """a raw input that grows is as long as it was at first, in header and data"""
    steps = 300000
    place.write("long.bin", f32([0.5] * INPUTS) * steps)
    process = place.start("m.bin", "long.bin", "-o", "-", "--format", "npy", "-q")
    found = answer(process, 1)
    with open(place.folder / "long.bin", "ab") as file:
        file.write(f32([0.5] * INPUTS) * 1000)
    rest, err = process.communicate(timeout=PATIENCE)
    shape, numbers = models.parse_npy(found + rest)
    equal((process.returncode, err, shape, len(numbers)), (0, b"", (steps, OUTPUTS), steps * OUTPUTS), "end")


@test
def rest_of_stdin(place):
    """standard input from a file that was read in part is not taken for one that shrank"""
    place.write("later.bin", place.read("x.bin")[4 * INPUTS:])
    expected = place.output("m.bin", "later.bin")
    for words in ((), ("-o", "y.bin")):
        with open(place.folder / "x.bin", "rb", buffering=0) as file:
            file.read(4 * INPUTS)
            process = place.start("m.bin", "-", "-q", *words, stdin=file)
            out, err = process.communicate(timeout=PATIENCE)
        equal((process.returncode, err), (0, b""), "end")
        equal(place.read("y.bin") if words else out, expected, "result")


@test
def shrinking_model(place):
    """a model that shrinks after it was opened: a message and code 1"""
    os.mkfifo(place.folder / "pipe.bin")
    process = place.start("m.bin", "pipe.bin", "-o", "y.bin")
    deadline = time.monotonic() + PATIENCE
    with open("/proc/%d/maps" % process.pid, encoding="utf-8") as maps:
        while "/m.bin" not in maps.read() and time.monotonic() < deadline:
            time.sleep(0.01)
            maps.seek(0)
    os.truncate(place.folder / "m.bin", 256)
    with contextlib.suppress(BrokenPipeError):  # it may notice before it reads
        with open(place.folder / "pipe.bin", "wb") as pipe:  # the command waits for a writer
            pipe.write(place.read("x.bin"))
    _, err = process.communicate(timeout=PATIENCE)
    equal(process.returncode, 1, "code, after %r" % err)
    check(err.startswith(b"lstmrun: m.bin: ") and b"changed" in err, "message: %r" % err)
    check("y.bin" not in place.files(), "no output")


@test
def constant_memory(place):
    """a long raw or csv input is not held in memory"""
    def peak(name):
        process = place.start("m.bin", name, "-o", "/dev/null", "--format", "bin", "-q", "--threads", "1")
        for stream in (process.stdin, process.stdout, process.stderr):
            stream.close()
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        equal(process.returncode, 0, "code")
        return usage.ru_maxrss
    with open(place.folder / "long.bin", "wb") as file:
        file.truncate(2000000 * INPUTS * 4)
    place.write("long.csv", b"0.125,0.25,0.5\n" * 200000)
    small = peak("x.bin")
    for name in ("long.bin", "long.csv"):
        large = peak(name)
        check(large < small + 8000, "%s: %d KiB, a short input %d KiB" % (name, large, small))


@test
def progress(place):
    """a progress bar on a terminal when the work is long, none otherwise"""
    leader, follower = pty.openpty()
    process = place.start("m.bin", "-", "-o", "y.bin", "--chunk", "1", stderr=follower)
    os.close(follower)
    text, steps, deadline = b"", 0, time.monotonic() + PATIENCE
    while not re.search(rb"steps, [1-9]\d* s", text) and time.monotonic() < deadline:
        process.stdin.write(f32(place.frames[0]))
        process.stdin.flush()
        steps += 1
        if select.select([leader], [], [], 0.1)[0]:
            text += os.read(leader, 4096)
    process.stdin.close()
    process.wait(timeout=PATIENCE)
    while select.select([leader], [], [], 1)[0]:
        try:
            part = os.read(leader, 4096)
        except OSError:
            break
        text += part
    os.close(leader)
    process.stdout.close()
    equal(process.returncode, 0, "code")
    check(re.search(rb"\r\x1b\[K\d+ steps, [1-9]\d* s", text), "bar: %r" % text)
    check(b"\r\x1b[K%d steps in" % steps in text, "line after %d steps: %r" % (steps, text))
    check("\r" not in place.run("m.bin", "x.bin").err, "no bar elsewhere")
