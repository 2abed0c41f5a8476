# SPDX-License-Identifier: MIT
"""Tests of the command: files that are not what they should be. Each gets a message that names the place."""

import os
import pathlib
import struct

import models
from harness import Skip, check, equal, test
from models import INPUTS, f32, flat
from results import need_wav

GOLDEN_BAD = pathlib.Path(__file__).resolve().parent.parent / "golden-bad"
NAN, INF = float("nan"), float("inf")


def refuse_all(place, name, cases, model="m.bin", **options):
    for data, pattern in cases:
        place.write(name, data)
        place.refuse((model, name), pattern, **options)
        place.refuse((model, name, "-o", "out.csv"), pattern, **options)


# ---- models ----------------------------------------------------------------------------------------------


@test
def bad_models(place):
    """models: one bad file for each rule, cut off anywhere, of another kind, not there"""
    for path in sorted(GOLDEN_BAD.glob("F*.bin")):
        if path.name in ("F39-weights.bin", "F39-padding.bin", "F40-padding.bin"):
            continue  # found by lstmconvert --check, which reads all weights
        result = place.refuse((path, "x.bin"), "lstmrun: .*%s: byte [0-9]+: " % path.name)
        check("(rule %s of FORMAT.md)" % path.name[1:].split("-")[0].lstrip("0") in result.err, result.text())
    good = place.read("m.bin")
    for n in list(range(0, 128, 16)) + list(range(128, len(good), 199)):
        place.write("cut.bin", good[:n])
        place.refuse(("cut.bin", "--info"), "lstmrun: cut.bin: ")
    place.refuse(("none.bin", "x.bin"), "none.bin: .*No such file")
    place.refuse((".", "x.bin"), r"\.: .*expected a regular file|directory|regular")
    place.refuse(("/dev/zero", "x.bin"), "/dev/zero: .*regular")
    place.write("x.csv", b"1,2,3\n")
    place.refuse(("x.csv", "x.bin"), "x.csv: byte 0: ")


# ---- raw -------------------------------------------------------------------------------------------------


@test
def bad_raw(place):
    """raw: empty, partial, not there, a folder, NaN and infinity"""
    good = place.read("x.bin")
    refuse_all(place, "y.bin", (
        (b"", r"y.bin: the file is empty, expected frames of 3 numbers"),
        (good[:-1], r"y.bin: 143 bytes, expected a multiple of 12"),
        (good[:-4], r"y.bin: 140 bytes, expected a multiple of 12 \(frames of 3 32-bit floats\)")))
    os.mkdir(place.folder / "folder.bin")
    place.refuse(("m.bin", "folder.bin"), "folder.bin: is a directory")
    place.refuse(("m.bin", "none.bin"), "none.bin: cannot be read: No such file")
    refuse_all(place, "y.csv", ((place.read("m.bin"), "y.csv: is a model file, expected a file of frames"),))
    place.refuse(("m.bin", "m.bin"), "m.bin: is a model file, expected a file of frames")


@test
def not_finite(place):
    """NaN and infinity are refused with step and column, in every format"""
    for value, word in ((NAN, "not a number"), (INF, "infinite"), (-INF, "infinite")):
        frames = [list(frame) for frame in models.Numbers(5).array(3000, INPUTS)]
        frames[2500][1] = value
        numbers, shape = flat(frames), (3000, INPUTS)
        place.write("y.bin", f32(numbers))
        place.write("y.npy", models.npy(numbers, shape))
        place.write("b.npy", models.npy(numbers, (3, 1000, INPUTS)))
        for source, where in (("y.bin", "step 2500"), ("y.npy", "step 2500"), ("b.npy", "item 2, step 500")):
            for words in (("-o", "y.txt"), ("-o", "y.csv", "--chunk", "7"), ("--time",)):
                place.refuse(("m.bin", source) + words, "%s: %s, column 1: .*%s" % (source, where, word))
    words = ("m.bin", "d.npy", "-o", "y.csv")
    for value, text in ((3e300, r"3e\+300"), (-1e39, r"-1e\+39")):
        numbers = [0.5] * 9000
        numbers[7501] = value
        place.write("d.npy", models.npy(numbers, (3000, INPUTS), "d", "<f8"))
        place.refuse(words, "d.npy: step 2500, column 1: %s is too large for 32-bit" % text)
        place.write("d.npy", models.npy(numbers, (3, 1000, INPUTS), "d", "<f8"))
        place.refuse(words, "d.npy: item 2, step 500, column 1: %s is too large" % text)
    place.write("d.npy", models.npy([0.5, INF, 0.5], (1, INPUTS), "d", "<f8"))
    place.refuse(("m.bin", "d.npy"), "d.npy: step 0, column 1: .*infinite")
    result = place.run("m.bin", "-", "-q", stdin=f32([1, 2, 3, 4, NAN, 6]), code=1)
    equal(len(result.out), 8, "the good frame is answered")
    check("standard input: step 1, column 1: not a number" in result.err, result.text())


@test
def bad_index(place):
    """an embedding refuses what is not the number of a row"""
    place.write("e.bin", models.embedding()[0])
    place.write("good.bin", f32([0, 9, 3]))
    equal(len(place.output("e.bin", "good.bin")), 3 * 4 * models.HIDDEN, "good")
    for value in (-1, 10, 2.5, 1e30):
        place.write("y.bin", f32([0, 1, value]))
        place.refuse(("e.bin", "y.bin", "-o", "y.csv"), "y.bin: step 2, column 0: ")


# ---- csv -------------------------------------------------------------------------------------------------


@test
def bad_csv(place):
    """csv: what is wrong, with line and column"""
    refuse_all(place, "y.csv", (
        (b"", "y.csv: the file is empty"),
        (b"\n\n", "y.csv: there are no frames"),
        (b"a,b,c\n", "y.csv: there are no frames"),
        (b"1,2\n", r"y.csv:1:1: 2 numbers, expected 3 \(the model's input\)"),
        (b"1\n", r"y.csv:1:1: 1 number, expected 3"),
        (b"1,2,3\n4,5\n", "y.csv:2:1: 2 numbers, but the rows before have 3"),
        (b"1,2,3\n4,5,6,7\n", "y.csv:2:1: 4 numbers, but the rows before have 3"),
        (b"1,2,3\n4,x,6\n", "y.csv:2:3: 'x' is not a number"),
        (b"a,b,c\nd,e,f\n", "y.csv:2:1: 'd' is not a number"),
        (b"1,x,3\n", "y.csv:1:3: 'x' is not a number"),
        (b"1,,3\n", "y.csv:1:3: empty field"),
        (b"1,2,\n", "y.csv:1:5: empty field"),
        (b"1,2,3\n4,nan,6\n", "y.csv:2:3: 'nan', expected a finite number"),
        (b"1,2,3\n4,5,-Inf\n", "y.csv:2:5: '-Inf', expected a finite number"),
        (b"1,2,3\n4,1e39,6\n", "y.csv:2:3: '1e39' is too large"),
        (b"1,2,3\n4,0x10,6\n", "y.csv:2:3: '0x10' is not a number"),
        (b"1,2,3\n4,1e,6\n", "y.csv:2:3: '1e' is not a number"),
        (b"1,5;2,5;3,5\n", r"y.csv:1:1: '1,5' is not a number \(decimals are written with a point\)"),
        (b"1,2,3\n4,\0005,6\n", "y.csv:2:3: a byte of value 0"),
        (b"1,2,3\n\x1b[31m,5,6\n", r"y.csv:2:1: '\?\[31m' is not a number"),
        (b"9" * 200000, "y.csv:1:1: '9{40}' is too large"),
        (b"\x8d" + place.read("m.bin")[1:], "y.csv:[0-9]+:[0-9]+: ")))


# ---- npy -------------------------------------------------------------------------------------------------


def npy_text(text, version=1, length=None):
    size = 2 if version == 1 else 4
    return (b"\x93NUMPY" + bytes([version, 0])
            + (len(text) if length is None else length).to_bytes(size, "little") + text.encode("latin-1"))


@test
def bad_npy(place):
    """npy: damaged headers, wrong shapes and types"""
    good = models.npy(flat(place.frames), (12, INPUTS))

    def with_shape(*shape, data=b""):
        return models.npy([], shape) + data
    refuse_all(place, "y.npy", (
        (b"", "y.npy: the file is empty"),
        (b"\x93NUMPZ" + good[6:], "y.npy: not an npy file"),
        (place.read("x.bin"), "y.npy: not an npy file"),
        (good[:6] + b"\4" + good[7:], "y.npy: npy version 4.0, expected"),
        (good[:9], "y.npy: not an npy file"),
        (good[:40], "y.npy: npy header of [0-9]+ bytes, but only 30"),
        (good[:-1], r"y.npy: shape \[12, 3\] of 4-byte elements needs 144 bytes, but the file holds 143"),
        (good + b"x", "needs 144 bytes, but the file holds 145"),
        (with_shape(1 << 62, 3), "too many elements"),
        (with_shape(1 << 40, 3), "needs [0-9]+ bytes, but the file holds 0"),
        (with_shape(0, 3), "y.npy: there are no frames"),
        (models.npy([0.0] * 8, (2, 4)),
         r"y.npy: shape \[2, 4\], expected \[steps, 3\] or \[items, steps, 3\]"),
        (models.npy([0.0] * 3, (3,)), r"y.npy: shape \[3\], expected \[steps, 3\]"),
        (models.npy([0.0], ()), r"y.npy: shape \[\], expected \[steps, 3\]"),
        (models.npy([0.0] * 6, (1, 1, 2, 3)), r"y.npy: shape \[1, 1, 2, 3\], expected"),
        (models.npy([0.0] * 6, (1, 3), "d", "<c8"), "elements of type '<c8', expected one of f2 f4"),
        (models.npy([0.0] * 3, (1, 3), "f", "|O"), "holds Python objects"),
        (npy_text("{'descr': [('a', '<f4')], 'fortran_order': False, 'shape': (1,), }"), "records with"),
        (npy_text("{'descr': '<f4', 'fortran_order': False}"), "needs all of"),
        (npy_text("{'descr': '<f4', 'descr': '<f4', 'shape': ()}"), "'descr' appears twice"),
        (npy_text("{'descr': '<f4', 'fortran_order': Maybe, 'shape': ()}"), "must be True or False"),
        (npy_text("{'descr': '<f4', 'fortran_order': False, 'shape': (-1, 3)}"), "expected a whole number"),
        (npy_text("{'descr': '<f4', 'fortran_order': False, 'shape': (99999999999999999999,)}"), "too large"),
        (npy_text("{'descr': '<f4', 'fortran_order': False, 'shape': (1,1,1,1,1,1,1,1,1)}"), "more than 8"),
        (npy_text("{'descr': '<f4', 'x': 1}"), "unknown key 'x'"),
        (npy_text("{'descr': '<f4"), "does not end"),
        (npy_text("{}", version=2, length=0xFFFFFFFF), "npy header of 4294967295 bytes, but only 2")))
    os.mkfifo(place.folder / "pipe.npy")
    place.refuse(("m.bin", "pipe.npy"), "pipe.npy: .*regular")


# ---- wav -------------------------------------------------------------------------------------------------


@test
def bad_wav(place):
    """wav: wrong rate, channels and kind, damaged, and models that are not for sound"""
    need_wav(place)
    good = models.wav([0.25] * 100)
    refuse_all(place, "y.wav", (
        (b"", "y.wav: the file is empty"),
        (b"RIFF", "y.wav: not a readable wav file"),
        (place.read("m.bin"), "y.wav: not a readable wav file"),
        (models.wav([]), "y.wav: the file holds no sound"),
        (good[:-4], "y.wav: cut off: its sound has 400 bytes, but only 396 are there"),
        (good[:44], "y.wav: cut off: its sound has 400 bytes, but only 0 are there"),
        (models.wav([0.0] * 10, rate=44100),
         r"y.wav: 44100 frames a second, expected 48000 \(the model's sample_rate\)"),
        (models.wav([0.0] * 10, channels=2), r"y.wav: 2 channels, expected 1 \(the model's input\)"),
        (models.wav([0.0, 0.0, NAN]), "y.wav: step 2, column 0: not a number"),
        (b"FORM" + struct.pack(">I", 4) + b"AIFF", "y.wav: ")), model="audio.bin")
    for kind in (b"RIFX", b"RF64"):
        whole = models.wav([0.25] * 100, kind=kind)
        place.write("good.wav", good), place.write("whole.wav", whole)
        equal(place.output("audio.bin", "whole.wav"), place.output("audio.bin", "good.wav"), "the other kind")
        refuse_all(place, "y.wav", ((whole[:-4], "y.wav: cut off: its sound has 400 bytes, but only 396"),),
                   model="audio.bin")
    place.write("y.wav", good)
    place.refuse(("m.bin", "y.wav"), "y.wav: the model has no 'sample_rate'")
    place.refuse(("m.bin", "x.bin", "-o", "z.wav"), "z.wav: the model has no 'sample_rate'")
    place.write("odd.bin", models.lstm(1, 1, {"sample_rate": "0.5"})[0])
    place.write("one.bin", f32([0.0, 1.0]))
    place.refuse(("odd.bin", "one.bin", "-o", "z.wav"), "sample_rate 0.5, expected a whole number")
    place.write("b.npy", models.npy([0.0] * 6, (2, 3, 1)))
    place.refuse(("audio.bin", "b.npy", "-o", "z.wav"), "z.wav: wav holds one sequence .*not several")
    place.refuse(("audio.bin", "one.bin", "-o", "/dev/stdout", "--format", "wav"), "wav cannot be written to")


@test
def without_wav(place):
    """a build without libsndfile refuses .wav by name"""
    try:
        need_wav(place)
    except Skip:
        place.refuse(("audio.bin", "probe.wav"), "this build reads and writes no .wav files")
        return
    raise Skip("built with libsndfile")
