# SPDX-License-Identifier: MIT
"""Tests of the command: right numbers, every input and output format, what is printed for a person."""

import json
import os
import pty
import re
import struct

import models
from harness import Skip, check, equal, test
from models import INPUTS, OUTPUTS, flat


def floats(data):
    return struct.unpack("<%df" % (len(data) // 4), data)


def close(found, expected, what):
    equal(len(found), len(expected), "length of " + what)
    worst = max(abs(a - b) for a, b in zip(found, expected))
    check(worst < 1e-6, "%s: off by %g" % (what, worst))


def need_wav(place):
    model, _ = models.lstm(1, 1, {"sample_rate": "48000"})
    place.write("audio.bin", model)
    place.write("probe.wav", models.wav([0.0, 0.5]))
    if "without libsndfile" in place.run("audio.bin", "probe.wav", code=None).err:
        raise Skip("built without libsndfile")


# ---- help and usage --------------------------------------------------------------------------------------


@test
def help_and_version(place):
    """help goes to stdout with code 0"""
    for option in ("--help", "-h", "-?", "--usage", "--version", "-V"):
        result = place.run(option)
        check(result.out and not result.err, option + ": " + result.text())
    check(b"Examples:" in place.run("--help").out, "help ends with examples")
    check(re.fullmatch(rb"lstmrun \d+\.\d+\.\d+\n", place.run("--version").out), "version")


@test
def bad_usage(place):
    """bad usage goes to stderr with code 2"""
    place.write("b.bin", models.lstm(direction=2)[0])
    place.write("x.dat2", b"1,2,3\n")
    for words, pattern in (
            ((), "expected MODEL and INPUT"),
            (("m.bin",), "expected INPUT"),
            (("m.bin", "x.bin", "y.bin"), "y.bin: expected MODEL and INPUT and nothing after"),
            (("m.bin", "x.bin", "--nonsense"), "unrecognized option"),
            (("-", "x.bin"), "the model must be a file"),
            (("m.bin", "x.bin", "--threads", "0"), "--threads 0: expected a whole number"),
            (("m.bin", "x.bin", "--threads", "-1"), "--threads -1: expected a whole number"),
            (("m.bin", "x.bin", "--threads", "1025"), "--threads 1025: expected .* from 1 to 1024"),
            (("m.bin", "x.bin", "--threads", "2K"), "--threads 2K: expected .* from 1 to 1024"),
            (("m.bin", "x.bin", "--chunk", "1x"), "--chunk 1x: expected a whole number"),
            (("m.bin", "x.bin", "--chunk", "99999M"), "expected a whole number from 1 to"),
            (("b.bin", "x.bin", "--chunk", "2"), "--chunk: b.bin needs whole sequences"),
            (("b.bin", "x.bin", "--show-state"), "--show-state: b.bin needs whole sequences"),
            (("m.bin", "x.bin", "--show-state", "--chunk", "2"), "excludes --chunk"),
            (("m.bin", "x.bin", "--show-state", "--format", "csv"), "--show-state is for text"),
            (("m.bin", "x.bin", "--time", "--show-state"), "exclude each other"),
            (("m.bin", "x.bin", "--time", "--save-state", "s"), "exclude each other"),
            (("m.bin", "x.bin", "--time", "-o", "y.bin"), "--time .* neither -o nor --format"),
            (("m.bin", "x.bin", "--time", "--format", "csv"), "--time .* neither -o nor --format"),
            (("m.bin", "x.bin", "--info", "-o", "y.bin"), "--info and --plan only print"),
            (("m.bin", "x.bin", "--steps", "5"), "--steps and --batch are for --plan"),
            (("m.bin", "--info", "--steps", "5"), "--steps and --batch are for --plan"),
            (("m.bin", "x.bin", "-o", "y.xyz"), "y.xyz: its name does not tell the format"),
            (("m.bin", "x.dat2"), "x.dat2: its name does not tell the format"),
            (("m.bin", "x.bin", "--format", "xls"), "--format xls: expected bin, npy"),
            (("m.bin", "x.bin", "--input-format", "xls"), "--input-format xls: expected bin, npy"),
            (("m.bin", "x.bin", "-o", "y", "--format", "bin", "--save-state", "y"), "same file"),
            (("m.bin", "x.bin", "-o", "m.bin"), "m.bin is the model"),
            (("m.bin", "x.bin", "--isa", "mmx"), "mmx"),
            (("m.bin", "x.bin", "--split", "halves"), "--split halves: expected none, items or team"),
            (("m.bin", "x.bin", "--split", "team", "--threads", "1"), "needs at least two threads"),
            (("m.bin", "--plan", "--split", "items", "--threads", "1"), "needs at least two threads")):
        result = place.refuse(words, pattern, code=2)
        check(result.err.endswith("\nTry `lstmrun --help' or `lstmrun --usage' for more information.\n"),
              "the hint at the end: " + result.text())


@test
def outputs_over_inputs(place):
    """an output that is the model, the input or the other output is refused, by whatever name"""
    for name in ("m", "x"):
        os.symlink(name + ".bin", place.folder / (name + "-link.bin"))
        os.link(place.folder / (name + ".bin"), place.folder / (name + "-twin.bin"))
    os.symlink(".", place.folder / "here")
    before = [place.read(name) for name in ("m.bin", "x.bin")]
    for name, what in (("m", "the model"), ("x", "the input")):
        for path in ("%s.bin", "./%s.bin", "%s-link.bin", "%s-twin.bin", "here/%s.bin"):
            for words in (("-o", path % name), ("-o", "y.bin", "--save-state", path % name)):
                place.refuse(("m.bin", "x.bin") + words, "%s is %s; choose" % (path % name, what), code=2)
    place.write("old.bin", b"")
    for one, other in (("st.bin", "./st.bin"), ("here/st.bin", "st.bin"), ("old.bin", "here/old.bin")):
        place.refuse(("m.bin", "x.bin", "-o", one, "--save-state", other), "are the same file", code=2)
    equal([place.read(name) for name in ("m.bin", "x.bin")], before, "model and input")
    os.mkdir(place.folder / "folder")
    place.run("m.bin", "x.bin", "-o", "st.bin", "--save-state", "folder/st.bin", "-q")
    place.run("m.bin", "x.bin", "-o", "/dev/null", "--save-state", "/dev/null", "-q")


# ---- numbers ---------------------------------------------------------------------------------------------


@test
def right_numbers(place):
    """outputs agree with an LSTM in plain Python"""
    expected = flat(row[0] for row in models.run_lstm(place.weights, place.frames))
    close(floats(place.output("m.bin", "x.bin")), expected, "outputs")


@test
def same_bits(place):
    """--chunk, --threads and --isa do not change a bit"""
    expected = place.output("m.bin", "x.bin")
    for words in (["--chunk", "1"], ["--chunk", "5"], ["--chunk", "1K"], ["--threads", "1"],
                  ["--threads", "2"], ["--isa", "scalar"], ["--backend", "native"]):
        equal(place.output("m.bin", "x.bin", *words), expected, " ".join(words))


@test
def show_state(place):
    """--show-state prints h and c of each step"""
    lines = place.run("m.bin", "x.bin", "--show-state", "-q").out.decode().splitlines()
    rows = models.run_lstm(place.weights, place.frames)
    equal(len(lines), 4 * len(rows), "lines")
    for step, row in enumerate(rows):
        part = [line.split() for line in lines[4 * step:4 * step + 4]]
        equal(part[0], ["step", str(step)], "first line of a step")
        for words, names, numbers in zip(part[1:], (["output"], ["cell", "h"], ["cell", "c"]), row):
            equal(words[:len(names)], names, "names")
            close([float(word) for word in words[len(names):]], numbers, "step %d, %s" % (step, names))


# ---- input formats ---------------------------------------------------------------------------------------


@test
def inputs_npy(place):
    """.npy of every type, order and version gives the same outputs"""
    expected = place.output("m.bin", "x.bin")
    numbers, shape = flat(place.frames), (len(place.frames), INPUTS)
    columns = [frame[i] for i in range(INPUTS) for frame in place.frames]
    for name, data in (
            ("f4", models.npy(numbers, shape)), ("f8", models.npy(numbers, shape, "d", "<f8")),
            ("f2", models.npy(numbers, shape, "e", "<f2")), (">f4", models.npy(numbers, shape, "f", ">f4")),
            (">f8", models.npy(numbers, shape, "d", ">f8")),
            ("version 2", models.npy(numbers, shape, version=2)),
            ("version 3", models.npy(numbers, shape, version=3)),
            ("Fortran order", models.npy(columns, shape, fortran=True))):
        place.write("y.npy", data)
        equal(place.output("m.bin", "y.npy"), expected, name)


@test
def inputs_whole_numbers(place):
    """whole numbers of every size are read"""
    numbers = [k % 7 for k in range(4 * INPUTS)]
    place.write("w.bin", models.f32(numbers))
    expected = place.output("m.bin", "w.bin")
    for code, descr in (("b", "|i1"), ("h", "<i2"), ("i", "<i4"), ("q", "<i8"), ("B", "|u1"), ("H", ">u2"),
                        ("I", "<u4"), ("Q", ">u8")):
        place.write("y.npy", models.npy(numbers, (4, INPUTS), code, descr))
        equal(place.output("m.bin", "y.npy"), expected, descr)


@test
def inputs_csv(place):
    """.csv with every separator, with and without a header, quotes and comments"""
    expected = place.output("m.bin", "x.bin")
    for separator in (",", ";", "\t", " ", " , ", "   "):
        for header in (None, separator.join(("a", '"b"', "c")), "# made by hand"):
            data = models.csv(place.frames, separator, header)
            place.write("y.csv", data)
            equal(place.output("m.bin", "y.csv"), expected, "%r %r" % (separator, header))
            place.write("y.csv", b"\xef\xbb\xbf" + data.replace(b"\n", b"\r\n")[:-2])
            equal(place.output("m.bin", "y.csv"), expected, "CR LF, byte order mark, no newline at the end")
    quoted = "".join(",".join('"%r"' % x for x in frame) + "\n\n" for frame in place.frames)
    place.write("y.csv", quoted.encode())
    equal(place.output("m.bin", "y.csv"), expected, "quoted numbers, empty lines")


@test
def inputs_wav(place):
    """.wav for a model with a sample rate, and back"""
    need_wav(place)
    samples = models.Numbers(11).array(500)
    place.write("y.bin", models.f32(samples))
    place.write("y.wav", models.wav(samples))
    expected = place.output("audio.bin", "y.bin")
    equal(place.output("audio.bin", "y.wav"), expected, "wav in")
    place.run("audio.bin", "y.wav", "-o", "z.wav", "-q")
    first = place.read("z.wav")
    channels, rate, found = models.parse_wav(first)
    equal((channels, rate), (1, 48000), "channels and rate")
    equal(models.f32(found), expected, "wav out")
    place.run("audio.bin", "y.wav", "-o", "z.wav", "-q", "--chunk", "7")
    equal(place.read("z.wav"), first, "the same file again")


@test
def univariate(place):
    """one number a step needs no second dimension"""
    place.write("one.bin", models.lstm(1, 1)[0])
    samples = models.Numbers(11).array(20)
    place.write("y.bin", models.f32(samples))
    expected = place.output("one.bin", "y.bin")
    for name, data in (("y.npy", models.npy(samples, (20,))), ("z.npy", models.npy(samples, (20, 1))),
                       ("y.csv", models.csv([[x] for x in samples], header="value"))):
        place.write(name, data)
        equal(place.output("one.bin", name), expected, name)


@test
def batch(place):
    """[items, steps, inputs]: each item as if it were alone"""
    items, steps = 3, 4
    numbers = models.Numbers(21).array(items, steps, INPUTS)
    place.write("batch.npy", models.npy(flat(flat(item) for item in numbers), (items, steps, INPUTS)))
    place.run("m.bin", "batch.npy", "-o", "y.npy", "-q")
    shape, found = models.parse_npy(place.read("y.npy"))
    equal(shape, (items, steps, OUTPUTS), "shape")
    alone = b""
    for item in numbers:
        place.write("alone.bin", models.f32(flat(item)))
        alone += place.output("m.bin", "alone.bin")
    equal(models.f32(found), alone, "outputs")
    place.run("m.bin", "batch.npy", "-o", "y.csv", "-q", "--chunk", "3")
    blocks = place.read("y.csv").decode().split("\n\n")
    equal([len(block.split()) for block in blocks], [steps] * items, "csv blocks")
    place.run("m.bin", "batch.npy", "-o", "y.json", "-q")
    equal(models.f32(flat(flat(item) for item in json.loads(place.read("y.json"))["output"])), alone, "json")
    lines = place.run("m.bin", "batch.npy", "-q").out.decode().splitlines()
    equal([line for line in lines if line.startswith("item")], ["item 0", "item 1", "item 2"], "text")


@test
def whole_sequences(place):
    """models that need whole sequences, and those with one output"""
    place.write("b.bin", models.lstm(direction=2)[0])
    place.write("last.bin", models.lstm(last=True)[0])
    place.run("b.bin", "x.bin", "-o", "y.npy", "-q")
    equal(models.parse_npy(place.read("y.npy"))[0], (12, OUTPUTS), "bidirectional")
    place.write("b.npy", models.npy(flat(place.frames), (2, 6, INPUTS)))
    for source, shape in (("x.bin", (OUTPUTS,)), ("b.npy", (2, OUTPUTS))):
        place.run("last.bin", source, "-o", "y.npy", "-q")
        equal(models.parse_npy(place.read("y.npy"))[0], shape, "one output of " + source)
        place.run("last.bin", source, "-o", "y.json", "-q")
        found = json.loads(place.read("y.json"))["output"]
        equal(len(found), shape[0], "json of " + source)
    whole = place.output("m.bin", "x.bin")
    equal(place.output("last.bin", "x.bin"), whole[-4 * OUTPUTS:], "the last output")
    out = place.run("last.bin", "-", "-o", "-", "-q", stdin=place.read("x.bin")).out
    equal(out, whole[-4 * OUTPUTS:], "whole sequence from standard input")


@test
def fewer_steps(place):
    """a model that makes fewer steps than it reads, in every format, and inputs that are too short for it"""
    whole, lstm, taps = models.strided()
    place.write("s.bin", whole)
    place.write("lstm.bin", lstm)
    items = models.Numbers(22).array(3, 8, INPUTS)
    expected = []
    for item in items:
        place.write("left.bin", models.f32(flat(models.run_strided(taps, item))))
        expected.append(place.output("lstm.bin", "left.bin"))
    place.write("x.npy", models.npy(flat(flat(item) for item in items), (3, 8, INPUTS)))
    place.run("s.bin", "x.npy", "-o", "y.npy", "-q")
    shape, found = models.parse_npy(place.read("y.npy"))
    equal((shape, models.f32(found)), ((3, 3, models.HIDDEN), b"".join(expected)), "npy")
    place.run("s.bin", "x.npy", "-o", "y.json", "-q")
    found = json.loads(place.read("y.json"))["output"]
    equal([models.f32(flat(item)) for item in found], expected, "json")
    place.write("x.csv", models.csv(items[0]))
    for source in ("x.csv", "-"):
        out = place.run("s.bin", source, "-o", "-", "--format", "csv", "-q",
                        stdin=models.f32(flat(items[0]))).out.decode()
        rows = [[float(x) for x in line.split(",")] for line in out.splitlines()]
        equal(models.f32(flat(rows)), expected[0], "csv of " + source)
    lines = place.run("s.bin", "x.csv", "-q").out.decode().splitlines()
    equal([line.split()[0] for line in lines], ["step", "0", "1", "2"], "text")
    text = place.run("--info", "s.bin").out.decode()
    check("needs whole sequences" in text and "stride 2" in text, text)
    for line in ("output      [output steps, %d]" % models.HIDDEN,
                 "steps       (steps - 3) / 2 + 1 come out, rounded down; at least 3 go in"):
        check(line in text.splitlines(), line + " in\n" + text)
    for words, last, said in models.OTHER_STEPS:
        place.write("w.bin", models.one_convolution(words, last))
        lines = place.run("--info", "w.bin").out.decode().splitlines()
        equal([line for line in lines if line.startswith("steps ")], ["steps       " + said] if said else [],
              "steps of a convolution with %s" % words)
    place.run("s.bin", "x.npy", "--time", "-q")
    few = "2 steps, but the model needs at least 3"
    place.write("short.npy", models.npy(flat(flat(item[:2]) for item in items), (3, 2, INPUTS)))
    place.write("short.csv", models.csv(items[0][:2]))
    place.write("short.bin", models.f32(flat(items[0][:2])))
    for source in ("short.npy", "short.csv", "short.bin"):
        place.refuse(["s.bin", source, "-o", "no.npy"], source + ": " + few)
    place.refuse(["s.bin", "-"], "standard input: " + few, stdin=models.f32(flat(items[0][:2])))
    place.refuse(["s.bin", "x.csv", "--chunk", "3"], "needs whole sequences", code=2)
    place.refuse(["s.bin", "x.csv", "--show-state"], "needs whole sequences", code=2)


# ---- output formats --------------------------------------------------------------------------------------


@test
def outputs(place):
    """every output format holds the same numbers"""
    expected = place.output("m.bin", "x.bin")
    for name in ("y.raw", "y.f32", "y.BIN"):
        place.run("m.bin", "x.bin", "-o", name, "-q")
        equal(place.read(name), expected, name)
    for source in ("x.bin", "x.csv"):  # steps known beforehand, and not
        place.write("x.csv", models.csv(place.frames))
        place.run("m.bin", source, "-o", "y.npy", "-q")
        shape, found = models.parse_npy(place.read("y.npy"))
        equal(shape, (12, OUTPUTS), "shape of npy")
        equal(models.f32(found), expected, "npy of " + source)
    place.run("m.bin", "x.bin", "-o", "y.csv", "-q")
    rows = [[float(x) for x in line.split(",")] for line in place.read("y.csv").decode().splitlines()]
    equal(models.f32(flat(rows)), expected, "csv")
    place.run("m.bin", "x.bin", "-o", "y.json", "-q")
    found = json.loads(place.read("y.json"))
    equal(sorted(found), ["model", "output"], "keys of json")
    equal(found["model"], "m.bin", "model in json")
    equal(models.f32(flat(found["output"])), expected, "json")
    text = place.run("m.bin", "x.bin", "-q").out.decode().splitlines()
    equal(text[0].split(), "step output 0 output 1".split(), "heading")
    equal([int(line.split()[0]) for line in text[1:]], list(range(12)), "steps of text")
    equal(models.f32([float(x) for line in text[1:] for x in line.split()[1:]]), expected, "text")
    place.run("m.bin", "x.bin", "-o", "y.txt", "-q")
    equal(place.read("y.txt").decode().splitlines(), text, "text in a file")
    for name in ("bin", "csv", "json", "npy", "text"):
        other = place.run("m.bin", "x.bin", "-q", "--format", name, "-o", "-").out
        place.run("m.bin", "x.bin", "-q", "--format", name, "-o", "y.any")
        equal(place.read("y.any"), other, "--format %s on stdout and in a file" % name)
    equal(place.run("m.bin", "x.bin", "-q", "-o", "/dev/stdout").out, expected, "a pipe without --format")
    place.run("m.bin", "x.bin", "-q", "-o", "/dev/null")
    os.mkfifo(place.folder / "pipe.csv")
    process = place.start("m.bin", "x.bin", "-q", "-o", "pipe.csv")
    equal((place.read("pipe.csv"), process.wait(60)), (place.read("y.csv"), 0), "a pipe's extension tells")
    for stream in (process.stdin, process.stdout, process.stderr):
        stream.close()


@test
def output_file(place):
    """an output replaces a file whole, keeps its access rights and follows links"""
    expected = place.output("m.bin", "x.bin")
    place.write("real.bin", b"old")
    os.chmod(place.folder / "real.bin", 0o640)
    os.symlink("real.bin", place.folder / "link.bin")
    place.run("m.bin", "x.bin", "-o", "link.bin", "-q")
    check(os.path.islink(place.folder / "link.bin"), "the link is still one")
    equal(place.read("real.bin"), expected, "content")
    equal(os.stat(place.folder / "real.bin").st_mode & 0o777, 0o640, "access rights")
    equal(place.files(), ["link.bin", "m.bin", "real.bin", "x.bin"], "files")


@test
def labels(place):
    """a model with labels prints the best ones"""
    names = ["cat", "dog", "a long label", "fish"]
    place.write("l.bin", models.lstm(outputs=4, softmax=True, metadata={"labels": "\n".join(names)})[0])
    numbers = floats(place.output("l.bin", "x.bin"))
    lines = place.run("l.bin", "x.bin", "-q").out.decode().splitlines()
    equal(len(lines), 13, "lines")
    for step, line in enumerate(lines[1:]):
        row = numbers[4 * step:4 * step + 4]
        best = sorted(range(4), key=lambda k: -row[k])[:3]
        words = re.split(r"\s\s+", line.strip())
        equal(words[0], str(step), "step")
        equal(words[1::2], [names[k] for k in best], "labels of step %d" % step)
        equal(models.f32([float(x) for x in words[2::2]]), models.f32([row[k] for k in best]), "values")
    place.run("l.bin", "x.bin", "-o", "y.json", "-q")
    equal(json.loads(place.read("y.json"))["labels"], names, "labels in json")
    place.write("few.bin", models.lstm(metadata={"labels": "one\ntwo\nthree"})[0])
    result = place.run("few.bin", "x.bin")
    check("few.bin: has 3 labels for 2 outputs" in result.err, result.text())


# ---- what is printed about a model -----------------------------------------------------------------------


@test
def info(place):
    """--info"""
    out = place.run("m.bin", "--info").out.decode()
    parameters = len(flat(flat(place.weights["w"]))) + 4 * models.HIDDEN + OUTPUTS * (models.HIDDEN + 1)
    for pattern in (r"^model +m\.bin$", r"^input +\[steps, 3\]$", r"^output +\[steps, 2\]$", r"^streams +yes",
                    r"^parameters +%d numbers, %d bytes$" % (parameters, 4 * parameters),
                    r"^state +10 numbers", r"^ +0 +lstm +\[steps, 5\] .* 5 units",
                    r"^ +1 +dense +\[steps, 2\]",
                    r"^  name +small$", r"^  license +MIT$"):
        check(re.search(pattern, out, re.MULTILINE), "expected /%s/ in\n%s" % (pattern, out))
    place.write("one.bin", models.one_unit())
    check(re.search(r" 1 unit$", place.run("one.bin", "--info").out.decode(), re.MULTILINE), "1 unit")
    place.write("last.bin", models.lstm(last=True, metadata={"labels": "a\nb"})[0])
    out = place.run("last.bin", "--info").out.decode()
    for pattern in (r"^output +\[2\]$", r"^streams +no", r"^  labels +a, b$"):
        check(re.search(pattern, out, re.MULTILINE), "expected /%s/ in\n%s" % (pattern, out))


@test
def plan(place):
    """--plan, alone and for an input"""
    check(b"lstm" in place.run("m.bin", "--plan").out, "names the layer")
    place.run("m.bin", "--plan", "--steps", "7", "--batch", "3")
    place.run("m.bin", "x.bin", "--plan")
    out = place.run("m.bin", "--info", "--plan").out
    check(b"parameters" in out and b"lstm" in out, "both")


def need_threads(place):
    if place.run("m.bin", "--plan", "--threads", "2", "--split", "team", code=None).code:
        raise Skip("this build has no threads")


@test
def forced_split(place):
    """--split is obeyed, changes no bit, and the plan says that it was forced"""
    need_threads(place)
    expected = place.output("m.bin", "x.bin", "--threads", "1")
    for how, threads in (("none", b"1 of at most 2"), ("team", b"2 of at most 2, on parts of each layer")):
        words = ("--threads", "2", "--split", how)
        out = place.run("m.bin", "x.bin", "--plan", *words).out
        check(b"threads  " + threads + b", split forced by the caller" in out, out.decode())
        equal(place.output("m.bin", "x.bin", *words), expected, "output with --split " + how)
    out = place.run("m.bin", "--plan", "--batch", "4", "--threads", "2", "--split", "items").out
    check(b"2 of at most 2, on shares of the items, split forced" in out, out.decode())
    check(b"split forced" not in place.run("m.bin", "--plan").out, "no --split")


def measured_rows(place, *words):
    """Of --plan=measure: [(candidate, ratio or "-", verdict)]; the plan comes first."""
    out = place.run(*words, "--plan=measure").out.decode()
    equal(out.split("\n\nmeasured ")[0] + "\n", place.run(*words, "--plan").out.decode(), "the plan itself")
    check(re.search(r"^measured \d+ items? of \d+ steps? on random input, median of \d+ rounds", out, re.MULTILINE),
          out)
    return [match.groups() for match in re.finditer(
        r"^(\w+, \w[\w, ]*?)  +[\d.e+]+ [mun]?s +(?:[\d.e+]+ [mun]?s|-) +([\d.]+|-)  (\S.*)$", out, re.MULTILINE)]


@test
def plan_measure(place):
    """--plan=measure times what was rejected beside what was chosen"""
    need_threads(place)
    rows = measured_rows(place, "m.bin", "--threads", "3", "--steps", "2", "--isa", "scalar")
    equal(sorted(row[0] for row in rows),
          ["scalar, 2 threads, team", "scalar, 3 threads, team", "scalar, one thread"], "candidates")
    equal(rows[0][1:], ("1.00", "chosen"), "the first")
    check(all(row[2].startswith(("estimated slower", "too small a gain")) for row in rows[1:]), str(rows))
    rows = measured_rows(place, "m.bin", "--threads", "2", "--split", "team", "--batch", "2", "--isa", "scalar")
    equal({row[0] for row in rows}, {"scalar, 2 threads, team", "scalar, 2 threads, items", "scalar, one thread"},
          "candidates for two items")
    check(all(row[2].startswith("another split was forced") for row in rows[1:]), str(rows))
    rows = measured_rows(place, "m.bin", "x.bin", "--threads", "1")
    check(rows[0][2] == "chosen" and all(row[2].startswith("narrower") for row in rows[1:]), str(rows))
    place.write("b.bin", models.lstm(direction=2)[0])
    measured_rows(place, "b.bin", "--steps", "10", "--isa", "scalar")
    place.refuse(("m.bin", "--plan=x"), "--plan=x: expected --plan or --plan=measure", code=2)


@test
def timing(place):
    """--time and the line of timing"""
    result = place.run("m.bin", "x.bin", "--time", "--chunk", "1")
    for pattern in (r"^model +opened in [\d.e+]+ [mun]?s, planned in",
                    r"^input +1 item of 12 steps, 1 step a call$", r"^run +median [\d.e+]+ [mun]?s, 99 % ",
                    r"^step +median", r"^CPU time", r"^speed"):
        check(re.search(pattern, result.out.decode(), re.MULTILINE), "/%s/: %s" % (pattern, result.text()))
    equal(result.err, "", "stderr of --time")
    result = place.run("m.bin", "x.bin", "-o", "y.bin")
    check(re.fullmatch(r"12 steps in \S+ [mun]?s, \S+ [mun]?s a step; opened in \S+ [mun]?s, "
                       r"planned in \S+ [mun]?s; "
                       r"\w+, (1 thread|\d+ threads)\n", result.err), result.text())
    equal(place.run("m.bin", "x.bin", "-o", "y.bin", "-q").err, "", "stderr with -q")


# ---- terminals -------------------------------------------------------------------------------------------


def on_terminal(place, *words, code=0):
    """What a terminal gets that is stdout and stderr of the command."""
    pid, fd = pty.fork()
    if pid == 0:
        os.chdir(place.folder)
        os.execv(place.program, place.command(*words))
    data = b""
    while True:
        try:
            part = os.read(fd, 4096)
        except OSError:  # Linux says so at the end
            break
        if not part:
            break
        data += part
    os.close(fd)
    equal(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), code, "code, after\n" + data.decode())
    return data.decode().replace("\r\n", "\n")


@test
def terminal(place):
    """a terminal gets no binary data, and the first and last rows of a long result"""
    out = on_terminal(place, "m.bin", "x.bin", "--format", "bin", code=2)
    check("binary data will not be written to a terminal" in out, out)
    out = on_terminal(place, "m.bin", "x.bin", "-o", "/dev/tty", "--format", "bin", code=2)
    check("binary data will not be written to a terminal" in out, out)
    out = on_terminal(place, "m.bin", "x.bin", "-q", "-o", "/dev/tty")
    equal(out.split()[:5], "step output 0 output 1".split(), "text")
    place.write("long.bin", models.f32(models.Numbers(3).array(3 * 1000)))
    lines = on_terminal(place, "m.bin", "long.bin", "-q").splitlines()
    equal(len(lines), 1 + 20 + 1 + 10, "lines")
    equal(lines[21].split(), "... 970 steps not shown; -o FILE writes all".split(), "the gap")
    equal(lines[-1].split()[0], "999", "last step")
    lines = on_terminal(place, "m.bin", "x.bin", "-q").splitlines()
    equal(len(lines), 13, "a short result is shown whole")
    full = place.run("m.bin", "long.bin", "-q").out.decode().splitlines()
    equal(len(full), 1001, "anything else gets all")
