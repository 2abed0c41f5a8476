#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""`convert.py LSTMCONVERT [WORD …]`: what lstmconvert prints, writes and answers. Prints "ok"/"not ok" lines.

With WORDs, only the tests whose function names contain one of them.
"""

import hashlib
import io
import json
import math
import pathlib
import re
import resource
import struct
import subprocess
import sys
import zipfile

import harness
import models
import model_file
from harness import check, equal, test

SHAPES = {"lstm.weight_ih_l0": [8, 3], "lstm.weight_hh_l0": [8, 2], "lstm.bias_ih_l0": [8],
          "lstm.bias_hh_l0": [8], "fc.weight": [1, 2], "fc.bias": [1]}
STEPS = 5
FRAMES = [[((3 * t + i) % 7 - 3) / 4 for i in range(3)] for t in range(STEPS)]


def numbers(name):
    count = math.prod(SHAPES[name])
    return [((7 * i + len(name)) % 32 - 16) / 64 for i in range(count)]


def safetensors(change=None, shapes=None):
    """The model above; `change` replaces numbers by name."""
    header, data = {}, b""
    for name, shape in (shapes or SHAPES).items():
        piece = models.f32((change or {}).get(name) or numbers(name))
        header[name] = {"dtype": "F32", "shape": shape, "data_offsets": [len(data), len(data) + len(piece)]}
        data += piece
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + data


def expected():
    """What the model gives for FRAMES, by the textbook."""
    def sigmoid(x):
        return 1 / (1 + math.exp(-x))

    w, u, b, d = (numbers("lstm." + n + "_l0") for n in ("weight_ih", "weight_hh", "bias_ih", "bias_hh"))
    h, c, out = [0, 0], [0, 0], []
    for x in FRAMES:
        z = [b[r] + d[r] + sum(w[3 * r + k] * x[k] for k in range(3)) + sum(u[2 * r + k] * h[k] for k in range(2))
             for r in range(8)]
        c = [sigmoid(z[2 + j]) * c[j] + sigmoid(z[j]) * math.tanh(z[4 + j]) for j in range(2)]
        h = [sigmoid(z[6 + j]) * math.tanh(c[j]) for j in range(2)]
        out.append(numbers("fc.bias")[0] + sum(a * b for a, b in zip(numbers("fc.weight"), h)))
    return out, h, c


def npy(shape, values):
    header = repr({"descr": "<f4", "fortran_order": False, "shape": tuple(shape)}).encode()
    header += b" " * (-(len(header) + 11) % 64) + b"\n"
    return b"\x93NUMPY\1\0" + struct.pack("<H", len(header)) + header + models.f32(values)


def npz(**arrays):
    """Arrays as (shape, numbers)."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for name, (shape, values) in arrays.items():
            archive.writestr(name + ".npy", npy(shape, values))
    return out.getvalue()


def reference(**more):
    y, h, c = expected()
    arrays = {"input": ([STEPS, 3], sum(FRAMES, [])), "output": ([STEPS, 1], y), "hn": ([1, 1, 2], h),
              "cn": ([1, 1, 2], c)}
    arrays.update(more)
    return npz(**{name: array for name, array in arrays.items() if array})


def start(place):
    place.write("m.safetensors", safetensors())
    place.write("ref.npz", reference())


def contains(text, *patterns):
    for pattern in patterns:
        check(re.search(pattern, text), "expected /%s/ in\n%s" % (pattern, text))


def refuse(place, words, pattern, code=1, **options):
    """Says `pattern` on stderr after its name, and writes nothing."""
    before = place.files()
    result = place.run(*words, code=code, **options)
    check(re.search(pattern, result.err), "expected /%s/: %s" % (pattern, result.text()))
    check(result.err.startswith("lstmconvert: "), result.text())
    equal(place.files(), before, "files afterwards")


@test
def summary(place):
    """a safetensors file becomes a model file that --check likes"""
    start(place)
    out = place.run("m.safetensors", "-o", "out.bin").out.decode()
    contains(out, "safetensors", r"lstm +lstm +\[2\] +48", r"dense +fc +\[1\] +3", "51 parameters",
             r"out\.bin: written, [0-9,]+ bytes")
    equal(place.read("out.bin")[:4], b"\x8cLST", "magic")
    checked = place.run("--check", "out.bin").out.decode()
    check(checked.startswith("out.bin: ok, 2 layers"), checked)
    equal(place.run("--check", "-q", "out.bin").out, b"", "quiet")


@test
def quiet(place):
    """-q says nothing, and the file is the same"""
    start(place)
    place.run("m.safetensors", "-o", "a.bin")
    result = place.run("m.safetensors", "-o", "b.bin", "-q")
    equal((result.out, result.err), (b"", ""), "talk")
    equal(place.read("a.bin"), place.read("b.bin"), "files")


@test
def metadata(place):
    """source, its digest, the converter and --set are in the file"""
    start(place)
    place.run("m.safetensors", "-o", "out.bin", "--set", "author=Ä B", "--set", "note=a=b")
    data = place.read("out.bin")
    digest = hashlib.sha256(place.read("m.safetensors")).hexdigest()
    for text in ["m.safetensors", digest, "lstmconvert ", "Ä B", "a=b"]:
        check(text.encode() in data, text)
    refuse(place, ["m.safetensors", "-o", "x.bin", "--set", "novalue"], "expected KEY=VALUE", 2)
    refuse(place, ["m.safetensors", "-o", "x.bin", "--set", "=v"], "expected KEY=VALUE", 2)
    refuse(place, ["m.safetensors", "-o", "x.bin", "--set", "a=\x01"], "control character")


@test
def metadata_that_programs_obey(place):
    """sample_rate and labels are checked alike from --set and from --spec"""
    start(place)
    for value in ["abc", "", "0", "-1", "inf", "nan", "0x10", "1e39", " 5", "5 "]:
        refuse(place, ["m.safetensors", "-o", "x.bin", "--set", "sample_rate=" + value],
               "--set sample_rate: '%s', expected a decimal number above 0" % re.escape(value))
        place.write("s.json", json.dumps({"metadata": {"sample_rate": value}}).encode())
        refuse(place, ["m.safetensors", "-o", "x.bin", "--spec", "s.json"],
               r"convert: s\.json: \$\.metadata\.sample_rate: '%s', expected a decimal" % re.escape(value))
        (place.folder / "s.json").unlink()
    refuse(place, ["m.safetensors", "-o", "x.bin", "--set", "labels=a\nb"], "--set labels: 2 names for 1 output$")
    refuse(place, ["m.safetensors", "-o", "x.bin", "--set", "input_names=a\nb"],
           "--set input_names: 2 names for 3 numbers")
    place.write("s.json", b'{"labels": ["a", "b"]}')
    refuse(place, ["m.safetensors", "-o", "x.bin", "--spec", "s.json"],
           r"convert: s\.json: \$\.labels: 2 names for 1 output$")
    place.run("m.safetensors", "-o", "x.bin", "--set", "sample_rate=44100", "--set", "labels=a")
    check(b"44100" in place.read("x.bin"), "the rate is in the file")


@test
def order_of_talk(place):
    """with both streams in one pipe, the table stands before the error that follows it"""
    start(place)
    wrong = expected()[0]
    wrong[0] += 1
    place.write("off.npz", reference(output=([STEPS, 1], wrong)))
    out = place.run("m.safetensors", "--verify", "off.npz", code=1, stderr=subprocess.STDOUT).out.decode()
    check(0 <= out.find("51 parameters") < out.find("ABOVE") < out.find("lstmconvert: "), out)


@test
def spec(place):
    """--spec changes the model; a mistake in it is named with its place"""
    start(place)
    place.write("s.json", b'{"take": "last", "modules": {"fc": {"activation": "tanh"}}}')
    contains(place.run("m.safetensors", "--spec", "s.json", "-o", "out.bin").out.decode(), r"last +last", "tanh",
             "a run")
    place.write("bad.json", b'{"take": "last",\n "tak": 1}')
    refuse(place, ["m.safetensors", "--spec", "bad.json", "-o", "x.bin"], r"^lstmconvert: bad\.json: \$\.tak: unknown key")
    place.write("worse.json", b'{"take": "last",\n "tak"}')
    refuse(place, ["m.safetensors", "--spec", "worse.json", "-o", "x.bin"],
           r"^lstmconvert: worse\.json: JSON line 2")
    place.write("twice.json", b'{"take": "last", "take": "last"}')
    refuse(place, ["m.safetensors", "--spec", "twice.json", "-o", "x.bin"],
           r"^lstmconvert: twice\.json: JSON line 1, column \d+: duplicate object key")
    place.write("order.json", b'{"order": ["lstm"]}')
    refuse(place, ["m.safetensors", "--spec", "order.json", "-o", "x.bin"],
           r"^lstmconvert: order\.json: the module 'fc' is in the file")
    place.write("empty.json", b"")
    refuse(place, ["m.safetensors", "--spec", "empty.json", "-o", "x.bin"], "JSON")
    refuse(place, ["m.safetensors", "--spec", "none.json", "-o", "x.bin"], r"none\.json")


@test
def schema(place):
    """the schema of --spec knows the keys that the converter knows"""
    path = pathlib.Path(__file__).resolve().parents[2] / "formats" / "spec.schema.json"
    root = json.loads(path.read_text())["properties"]
    start(place)
    for spec, keys in [({"?": 1}, root), ({"input": {"?": 1}}, root["input"]["properties"]),
                       ({"modules": {"fc": {"?": 1}}}, root["modules"]["additionalProperties"]["properties"]),
                       ({"layers": [{"?": 1}]}, root["layers"]["items"]["properties"])]:
        place.write("s.json", json.dumps(spec).encode())
        result = place.run("m.safetensors", "--spec", "s.json", "-o", "x.bin", code=1)
        known = re.search("known are (.*)", result.err)
        check(known, result.text())
        equal(sorted(known.group(1).split(", ")), sorted(keys), "keys at the place of " + json.dumps(spec))
    for spec, words in [({"take": "?"}, root["take"]["enum"]),
                        ({"layers": [{"type": "?"}]}, root["layers"]["items"]["properties"]["type"]["enum"])]:
        place.write("s.json", json.dumps(spec).encode())
        result = place.run("m.safetensors", "--spec", "s.json", "-o", "x.bin", code=1)
        equal(re.findall('"(.*?)"', result.err), words, "words at the place of " + json.dumps(spec))


@test
def verify(place):
    """--verify prints the errors of outputs and states"""
    start(place)
    out = place.run("m.safetensors", "--verify", "ref.npz").out.decode()
    contains(out, "1 sequence of 5 steps", "output +5 numbers, max absolute error", "hn +2 numbers",
             "cn +2 numbers", "within 1e-05")
    y = expected()[0]
    place.write("in.npy", npy([1, STEPS, 3], sum(FRAMES, [])))
    place.write("out.npy", npy([1, STEPS, 1], y))
    contains(place.run("m.safetensors", "--verify", "in.npy,out.npy").out.decode(), "output +5 numbers")


@test
def verify_fails(place):
    """above the tolerance: exit code 1, and nothing is written"""
    start(place)
    wrong = expected()[0]
    wrong[3] += 0.001
    place.write("off.npz", reference(output=([STEPS, 1], wrong)))
    refuse(place, ["m.safetensors", "--verify", "off.npz", "-o", "out.bin"], "further from off.npz than --tolerance")
    result = place.run("m.safetensors", "--verify", "off.npz", code=1)
    contains(result.out.decode(), r"\(row 3, column 0\): ABOVE 1e-05", "hn .*within")
    place.run("m.safetensors", "--verify", "off.npz", "--tolerance", "0.01", "-o", "out.bin")
    place.write("nan.npz", reference(output=([STEPS, 1], [math.nan] * STEPS)))
    refuse(place, ["m.safetensors", "--verify", "nan.npz", "--tolerance", "1e30"], "further from")
    refuse(place, ["m.safetensors", "--verify", "ref.npz", "--tolerance", "-1"], "expected a number", 2)


def aidax(outputs):
    """A network of one dense layer, y = 2x + 1, with a skip connection: 3x + 1; and vectors to test it with."""
    return json.dumps({"in_shape": [None, None, 1], "in_skip": 1, "metadata": {"samplerate": "48000"}, "layers": [
        {"type": "dense", "activation": "", "shape": [None, None, 1], "weights": [[[2]], [1]]}],
        "input_batch": [1, 0.5, -2], "output_batch": outputs}).encode()


@test
def reference_in_source(place):
    """--verify stored takes the vectors of a file that has some, and they stay in the model file"""
    place.write("good.aidax", aidax([4, 2.5, -5]))
    done = place.run("good.aidax", "--verify", "stored", "-o", "good.bin")
    contains(done.out.decode(), "rtneural", "output +3 numbers, max absolute error 0", "within 1e-05")
    contains(place.run("--verify", "stored", "good.bin").out.decode(), "verified with good.bin")
    place.write("bad.aidax", aidax([4, 2.5, -4]))
    before = sorted(path.name for path in place.folder.iterdir())
    done = place.run("bad.aidax", "--verify", "stored", "-o", "bad.bin", code=1)
    contains(done.err, "further from bad.aidax than --tolerance")
    check(sorted(path.name for path in place.folder.iterdir()) == before, "something was written")
    place.write("wavenet.nam", b'{"version": "0.5.4", "architecture": "WaveNet", "config": {}, "weights": []}')
    refuse(place, ["wavenet.nam", "-o", "x.bin"], "architecture: 'WaveNet' is not supported; LSTM is")


@test
def stored_reference(place):
    """--keep-reference stores vectors that --verify stored uses"""
    start(place)
    place.run("m.safetensors", "--verify", "ref.npz", "--keep-reference", "-o", "out.bin")
    contains(place.run("--verify", "stored", "out.bin").out.decode(), "verified with out.bin", "output +5 numbers")
    contains(place.run("--verify", "ref.npz", "out.bin").out.decode(), "hn +2 numbers")
    place.run("m.safetensors", "-o", "plain.bin")
    refuse(place, ["--verify", "stored", "plain.bin"], "no reference vectors are stored")
    contains(place.run("--verify", "stored", "m.safetensors", code=1).err, "no reference vectors are stored")
    place.write("h0.npz", reference(h0=([1, 1, 2], [0, 0])))
    refuse(place, ["m.safetensors", "--verify", "h0.npz", "--keep-reference", "-o", "x.bin"], "h0 or c0")


@test
def verify_fewer_steps(place):
    """references of a model that makes fewer steps than it reads"""
    taps = models.strided()[2]
    model, frames = model_file.Model(input=[3]), models.Numbers(23).array(9, 3)
    model.layer("temporal_conv", [0], shape=[2], words=model_file.conv_words(stride=2), name="conv",
                tensors=[model.tensor(taps, name="taps"), None])
    place.write("conv.bin", model.bytes())
    y = models.run_strided(taps, frames)
    place.write("in.npy", npy([9, 3], sum(frames, [])))
    for shape in ([4, 2], [1, 4, 2]):
        place.write("out.npy", npy(shape, sum(y, [])))
        contains(place.run("--verify", "in.npy,out.npy", "conv.bin").out.decode(), "1 sequence of 9 steps",
                 "output +8 numbers, max absolute error 0")
    place.write("out.npy", npy([3, 2], sum(y[:3], [])))
    refuse(place, ["--verify", "in.npy,out.npy", "conv.bin"], r"output has the shape \[3, 2\].* and 4 steps")
    place.write("in.npy", npy([2, 3], sum(frames[:2], [])))
    refuse(place, ["--verify", "in.npy,out.npy", "conv.bin"], "input of 2 steps, but conv.bin needs at least 3")
    model.reference(frames, y)
    place.write("stored.bin", model.bytes())
    contains(place.run("--verify", "stored", "stored.bin").out.decode(), "max absolute error 0")
    model.reference(frames, y[:3])
    place.write("wrong.bin", model.bytes())
    refuse(place, ["--check", "wrong.bin"], "rule 69|F69")


@test
def bad_reference(place):
    """references that do not fit are refused with both shapes"""
    start(place)
    x, y = sum(FRAMES, []), expected()[0]
    for arrays, pattern in [
            ({"input": ([3, STEPS], x)}, r"input has the shape \[3, 5\], expected"),
            ({"output": ([STEPS], y[:-1] + [0])}, None),
            ({"output": ([STEPS - 1, 1], y[:-1])}, r"output has the shape \[4, 1\], expected"),
            ({"input": ([0, 3], [])}, "no numbers"),
            ({"input": ([STEPS, 3], x[:-1] + [math.inf])}, "input for m.safetensors"),
            ({"hn": ([1, 2], [0, 0])}, r"hn has the shape \[1, 2\], expected"),
            ({"hn": ([2, 1, 2], [0] * 4)}, r"hn has the shape \[2, 1, 2\]"),
            ({"c0": ([1, 1, 3], [0] * 3)}, r"c0 has the shape \[1, 1, 3\]"),
            ({"other": ([1], [0])}, "array 'other' means nothing"),
            ({"output": None}, "output")]:
        place.write("r.npz", reference(**arrays))
        if pattern:
            refuse(place, ["m.safetensors", "--verify", "r.npz"], pattern)
        else:
            place.run("m.safetensors", "--verify", "r.npz", code=1)
    place.write("r.npz", b"nothing of the kind")
    refuse(place, ["m.safetensors", "--verify", "r.npz"], r"r\.npz: ")
    refuse(place, ["m.safetensors", "--verify", "gone.npz"], r"gone\.npz: ")
    refuse(place, ["m.safetensors", "--verify", "gone.npy,gone2.npy"], r"gone\.npy: ")


@test
def other_kinds(place):
    """files of other kinds are refused by what they are"""
    start(place)
    for name, data, pattern in [("z.pt", b"PK\3\4" + bytes(60), "zip archive.*reads: safetensors"),
                                ("k.h5", b"\x89HDF\r\n" + bytes(60), "HDF5"),
                                ("l.h5", b"\x89HDF\r\n\x1a\n" + bytes(60), "HDF5 file"),
                                ("p.pt", b"\x80\2}q\0.", "no dict in the file has tensors"), ("e", b"", "empty"),
                                ("j.json", b'{"a": 1}', "JSON"),
                                ("t", b"hello there", "unknown kind; lstmconvert reads: safetensors")]:
        place.write(name, data)
        refuse(place, [name, "-o", "x.bin"], pattern)
    refuse(place, ["m.bin", "-o", "x.bin"], r"m\.bin: is a model file already")
    refuse(place, ["gone", "-o", "x.bin"], "gone: ")
    refuse(place, [".", "-o", "x.bin"], r"\.: ")


@test
def bad_tensors(place):
    """bad weights are refused by tensor, cut files at every length"""
    place.write("nan.st", safetensors({"fc.weight": [1.0, math.nan]}))
    refuse(place, ["nan.st", "-o", "x.bin"], "'fc.weight': number 1 is")
    extra = dict(SHAPES, **{"bn.running_mean": [2]})
    place.write("extra.st", safetensors({"bn.running_mean": [1.0, 2.0]}, extra))
    refuse(place, ["extra.st", "-o", "x.bin"], r"'bn\.running_mean' \(F32 \[2\]\)")
    whole = safetensors()
    for n in list(range(0, 40, 3)) + list(range(40, len(whole), 97)):
        place.write("cut", whole[:n])
        refuse(place, ["cut", "-o", "x.bin"], "cut: ")
    place.write("esc", safetensors({"a\x1b[31m.x": [1.0]}, {"a\x1b[31m.x": [1]}))
    refuse(place, ["esc", "-o", "x.bin"], r"'a\?\[31m")


@test
def check_bad_models(place):
    """--check names the rule and the place"""
    data = bytearray(place.read("m.bin"))
    place.run("--check", "m.bin")
    data[-70] ^= 1
    place.write("flip.bin", data)
    refuse(place, ["--check", "flip.bin"], r"flip\.bin: F\d+ at byte \d+: ")
    place.write("cut.bin", data[:100])
    refuse(place, ["--check", "cut.bin"], r"cut\.bin: F\d+ at byte \d+: ")
    place.write("text.bin", b"hello there, this is no model")
    refuse(place, ["--check", "text.bin"], r"text\.bin: F1 at byte 0: ")
    refuse(place, ["--check", "gone.bin"], r"gone\.bin: ")


@test
def usage(place):
    """bad usage: exit code 2; help and version: 0, on stdout"""
    start(place)
    for words in [[], ["m.safetensors"], ["--check"], ["--check", "m.bin", "-o", "x"], ["m.safetensors", "m.bin"],
                  ["m.safetensors", "-o", "-"], ["m.safetensors", "-o", "m.safetensors"], ["--nonsense"],
                  ["m.safetensors", "-o", "./m.safetensors"],
                  ["m.safetensors", "--keep-reference", "-o", "x"], ["--verify", "ref.npz", "m.bin", "--set", "a=b"]]:
        refuse(place, words, "lstmconvert: (.*\n)+Try `lstmconvert --help' or `lstmconvert --usage' for more", 2)
    contains(place.run("--help").out.decode(), "Usage: lstmconvert", "--spec", "safetensors")
    contains(place.run("--version").out.decode(), r"^lstmconvert \d")


@test
def unwritable(place):
    """a full disk or a missing folder leaves nothing behind"""
    start(place)
    refuse(place, ["m.safetensors", "-o", "none/out.bin"], "none/out.bin: ")
    refuse(place, ["m.safetensors", "-o", "."], r"\.: is a directory")
    # Above the 1024 bytes of shared memory that LLVM's OpenMP asks for.
    refuse(place, ["m.safetensors", "-q", "-o", "out.bin"], "out.bin: cannot be written",
           preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (1100, 1100)))
    if pathlib.Path("/dev/full").exists():
        with open("/dev/full", "wb") as full:
            result = place.run("--check", "m.bin", code=1, stdout=full)
            contains(result.err, "standard output: cannot be written")


@test
def out_of_memory(place):
    """with little memory: a message and exit code 1, or all well"""
    count = 1 << 18
    place.write("big", safetensors({"lstm.weight_ih_l0": [0.5] * (8 * count)},
                                   dict(SHAPES, **{"lstm.weight_ih_l0": [8, count]})))
    place.run("big", "-q", "-o", "big.bin")
    (place.folder / "big.bin").unlink()
    refused = 0
    for mebibytes in range(20, 200, 20):
        limit = mebibytes << 20
        result = place.run("big", "-q", "-o", "out.bin", code=None,
                           preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_AS, (limit, limit)))
        if result.code == 127:  # too little for the loader of programs
            continue
        if "Sanitizer" in result.err:
            raise harness.Skip("this build needs more address space than such a limit gives")
        check(result.code in (0, 1), result.text())
        if result.code == 1:
            refused += 1
            contains(result.err, "^lstmconvert: .*(memory|mapped)")
            check("out.bin" not in place.files(), "a partial file")
        else:
            (place.folder / "out.bin").unlink()
    check(refused, "no limit was too small")


if __name__ == "__main__":
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    sys.exit(harness.run_all(pathlib.Path(sys.argv[1]).resolve(), sys.argv[2:]))
