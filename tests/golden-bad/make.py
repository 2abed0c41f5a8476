#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Makes the files of this folder: good ones, and for each rule of formats/FORMAT.md at least one that breaks
this rule and no other. The reader of tests/model_file.py must agree about each; it knows the rules to F40.
The files for those from F60 on are in layers.py.

make.py          writes the files
make.py --check  compares with the files that are there, exit status 1 if any differs
"""
import os
import re
import struct
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(HERE))

import layers  # noqa: E402
import model_file as mf  # noqa: E402


def good_model():
    """An LSTM of 2 units on 3 inputs with a dense head; test_model_file.c makes the same in C."""
    model = mf.Model(input=[3], name="frame")
    weights = [[[(gate * 10 + unit * 5 + k) / 16 - 1 for k in range(5)] for unit in range(2)]
               for gate in range(4)]
    bias = [[0.5, -0.25], [1.0, 1.0], [0.0, 0.125], [-0.5, 2.0]]
    head = model.tensor([[1.5, -2.0]], name="head.weight")
    w = model.tensor(weights, name="cell.W")
    b = model.tensor(bias, name="cell.bias")
    h = model.layer("lstm", [0], shape=[2], tensors=[w, b, None, None, None, None],
                    words=mf.rnn_words(2), name="cell")
    model.layer("dense", [h], shape=[1], tensors=[head, None], words={0: 1}, name="head")
    model.metadata = {"name": "gut für Prüfungen", "author": "tests", "labels": "one\ntwo"}
    model.reference([[1, 2, 3], [4, 5, 6]], [[0.25], [0.75]])
    return model


GOOD = good_model().bytes()
HEADER, PLACE = mf.places(GOOD)


def patched(at, data, base=GOOD, seal=True):
    """The good file with other bytes in one place."""
    out = bytearray(base)
    out[at:at + len(data)] = data
    return mf.reseal(out) if seal else bytes(out)


def words(*numbers):
    return struct.pack("<%dI" % len(numbers), *numbers)


def record(part, index, field):
    size = {"metadata": 16, "layers": 128, "values": 32, "tensors": 64, "edges": 4, "strings": 1}[part]
    return PLACE[part] + size * index + field


def changed(change):
    """The good model, changed as a dict, then built."""
    model = good_model().as_dict()
    change(model)
    return mf.build(model)


def resized(data):
    """Bytes whose header says how many they are."""
    out = bytearray(data)
    out[24:32] = struct.pack("<Q", len(out))
    return mf.reseal(out)


def pool_at(text):
    return PLACE["strings"] + GOOD[PLACE["strings"]:].index(text)


def set_field(part, index, field, *numbers):
    return patched(record(part, index, field), words(*numbers))


def no_layers(model):
    model["layers"], model["values"] = [], model["values"][:1]
    model["tensors"], model["reference"], model["output"] = [], None, 0


def huge_frame(model):
    model["values"][1]["dims"] = [1 << 13, 1 << 12]


def swapped_tensors(model):
    model["tensors"][0], model["tensors"][1] = model["tensors"][1], model["tensors"][0]
    model["layers"][0]["tensors"][:2] = [1, 0]


def unused_tensor(model):
    model["tensors"].insert(3, dict(model["tensors"][2], name="unused"))
    model["reference"] = (4, 5)


def shared_reference(model):
    model["layers"][1]["tensors"][1] = 3


def late_reference(model):
    model["tensors"] = model["tensors"][:4]
    model["layers"][1]["tensors"][1] = 3
    model["reference"] = (2, 3)


def keys(*pairs):
    def change(model):
        model["metadata"] = list(pairs)
    return change


def references(first, second):
    return patched(56, words(first, second))


def reference_dims(which, dims):
    def change(model):
        model["tensors"][which]["dims"] = dims
    return change


def other_steps():
    model = good_model()
    model.metadata = {}
    model.reference([[1, 2, 3], [4, 5, 6]], [[0.25], [0.75], [0.5]])
    return model.bytes()


def no_tensors_but_data():
    model = mf.Model(input=[3])
    model.layer("activation", [0], shape=[3], words={0: 2})
    return resized(model.bytes() + bytes(64))


N = HEADER["n_tensors"]

FILES = {
    "good": GOOD,
    "good-newer-minor": patched(68, bytes(range(1, 29)),
                                patched(16, words(0x80000001), patched(10, b"\7\0"))),
    "good-no-tensors": resized(no_tensors_but_data()[:-64]),
    "F01-other-kind": b"PK\3\4" + bytes(252),
    "F01-text-mode": patched(0, b"\x8cLST\n\x1a\n\n", seal=False),
    "F01-short-and-wrong": b"lstm",
    "F02-empty": b"",
    "F02-magic-only": GOOD[:8],
    "F02-half-header": GOOD[:127],
    "F03-major-0": patched(8, b"\0\0"),
    "F03-major-2": patched(8, b"\2\0"),
    "F04-required-flag": patched(20, words(1)),
    "F04-required-flag-31": patched(20, words(1 << 31)),
    "F05-reserved-first": patched(96, b"\1"),
    "F05-reserved-last": patched(127, b"\x80"),
    "F06-cut-off": GOOD[:-64],
    "F06-longer": GOOD + bytes(64),
    "F06-size-huge": patched(24, struct.pack("<Q", 1 << 63), seal=False),
    "F07-metadata": patched(32, words(4097), seal=False),
    "F07-no-layer": changed(no_layers),
    "F07-layers": patched(36, words(4097), seal=False),
    "F07-layers-all-ones": patched(36, words(mf.NONE), seal=False),
    "F07-tensors": patched(40, words(65537), seal=False),
    "F07-edges": patched(44, words(327681), seal=False),
    "F07-strings": patched(48, words((1 << 24) + 1), seal=False),
    "F08-tables-too-long": patched(40, words(65536), seal=False),
    "F09-checksum": patched(12, words(HEADER["tables_crc"] ^ 1), seal=False),
    "F09-flipped-name": patched(PLACE["strings"], b"B", seal=False),
    "F10-padding": patched(PLACE["data"] - 1, b"\1"),
    "F11-gap": set_field("metadata", 1, 0, struct.unpack_from("<I", GOOD, record("metadata", 1, 0))[0] + 1),
    "F11-overlap": set_field("values", 1, 0, 0, 0),
    "F11-beyond": set_field("tensors", N - 1, 4, 1 << 20),
    "F11-length-all-ones": set_field("metadata", 0, 4, mf.NONE),
    "F11-left-over": patched(48, words(HEADER["string_bytes"] + 1)),
    "F12-no-nul": patched(pool_at(b"tests\0") + 5, b"x"),
    "F13-stray-byte": patched(pool_at(b"tests\0"), b"\x80"),
    "F13-cut-character": patched(pool_at(b"tests\0") + 4, b"\xc3"),
    "F13-overlong": patched(pool_at(b"tests\0"), b"\xc0\xaf"),
    "F13-surrogate": patched(pool_at(b"tests\0"), b"\xed\xa0\x80"),
    "F13-beyond-unicode": patched(pool_at(b"tests\0"), b"\xf4\x90\x80\x80"),
    "F14-escape": patched(pool_at(b"tests\0"), b"\x1b"),
    "F14-c1-control": patched(pool_at(b"tests\0"), b"\xc2\x9b"),
    "F14-nul-inside": patched(pool_at(b"tests\0") + 1, b"\0"),
    "F14-lf-in-name": patched(pool_at(b"cell\0"), b"\n"),
    "F15-empty-key": changed(keys((b"", b"x"))),
    "F16-descending": changed(keys((b"name", b"x"), (b"author", b"y"))),
    "F16-twice": changed(keys((b"name", b"x"), (b"name", b"y"))),
    "F16-prefix-after": changed(keys((b"names", b"x"), (b"name", b"y"))),
    "F17-rank-0": set_field("values", 1, 8, 0),
    "F17-rank-4": set_field("values", 1, 8, 4),
    "F18-dim-0": set_field("values", 1, 16, 0),
    "F18-dim-large": set_field("values", 1, 16, (1 << 24) + 1),
    "F18-dim-beyond-rank": set_field("values", 1, 20, 1),
    "F19-frame-large": changed(huge_frame),
    "F20-flags": set_field("values", 1, 12, 2),
    "F20-input-once": set_field("values", 0, 12, 1),
    "F20-reserved": set_field("values", 2, 28, 1),
    "F21-output": patched(52, words(3)),
    "F22-no-input": set_field("layers", 0, 16, 0),
    "F22-inputs": set_field("layers", 0, 16, 65),
    "F22-slots": set_field("layers", 0, 20, 17),
    "F23-gap": set_field("layers", 1, 12, 8),
    "F23-overlap": set_field("layers", 1, 12, 0),
    "F23-beyond": set_field("layers", 1, 20, 3),
    "F23-left-over": set_field("layers", 1, 20, 1),
    "F24-reserved": set_field("layers", 1, 28, 1 << 31),
    "F25-reads-itself": set_field("edges", 0, 0, 1),
    "F25-reads-nothing": set_field("edges", 0, 0, mf.NONE),
    "F26-order": changed(swapped_tensors),
    "F26-beyond": set_field("edges", 8, 0, N),
    "F27-unused": changed(unused_tensor),
    "F28-type-0": set_field("tensors", 0, 8, 0),
    "F28-type-5": set_field("tensors", 0, 8, 5),
    "F29-bf16": set_field("tensors", 0, 8, 2),
    "F29-f16": set_field("tensors", 0, 8, 3),
    "F29-i8": set_field("tensors", 0, 8, 4),
    "F30-rank-0": set_field("tensors", 1, 12, 0),
    "F30-rank-5": set_field("tensors", 1, 12, 5),
    "F31-dim-0": set_field("tensors", 1, 20, 0),
    "F31-dim-large": set_field("tensors", 1, 20, (1 << 24) + 1),
    "F31-dim-beyond-rank": set_field("tensors", 1, 28, 1),
    "F32-bytes": set_field("tensors", 1, 40, 28),
    "F32-dims": set_field("tensors", 1, 16, 3),
    "F32-overflow": patched(record("tensors", 0, 12), words(4, *[1 << 24] * 4)),
    "F32-overflow-to-0": patched(record("tensors", 0, 12), words(4, 1 << 24, 1 << 24, 1 << 14, 1)),
    "F33-scales": set_field("tensors", 0, 48, 1),
    "F34-reserved": set_field("tensors", 2, 60, 1),
    "F35-gap": set_field("tensors", 1, 32, PLACE["data"] + 256),
    "F35-overlap": set_field("tensors", 1, 32, PLACE["data"]),
    "F35-unaligned": set_field("tensors", 0, 32, PLACE["data"] + 4),
    "F35-beyond": resized(GOOD[:-64]),
    "F36-data-left-over": resized(GOOD + bytes(64)),
    "F36-data-without-tensors": no_tensors_but_data(),
    "F37-only-one": references(N - 2, mf.NONE),
    "F37-swapped": references(N - 1, N - 2),
    "F37-not-last": references(0, 1),
    "F37-beyond": references(N, N + 1),
    "F37-used-by-layer": changed(shared_reference),
    "F37-both-used": changed(late_reference),
    "F38-rank": changed(reference_dims(3, [2, 3, 1])),
    "F38-input-size": changed(reference_dims(3, [3, 2])),
    "F38-output-size": changed(reference_dims(4, [1, 2])),
    "F69-output-steps": other_steps(),
    "F38-once-steps": set_field("values", 2, 12, 1),
    "F39-weights": patched(PLACE["data"], b"\1", seal=False),
    "F39-padding": patched(len(GOOD) - 1, b"\1", seal=False),
    "F40-padding": patched(len(GOOD) - 1, b"\1"),
    **layers.FILES,
}
LAST_RULE_OF_READER = 40


def rules_of_format():
    """The rules that can be broken, as FORMAT.md has them: each that begins a line, and those that the table
    of layer types names for the types that have a meaning."""
    with open(os.path.join(HERE, "..", "..", "formats", "FORMAT.md"), encoding="utf-8") as file:
        text = file.read()
    rows = [row for row in re.findall(r"^\|.*\| F2\d\d \|.*$", text, re.M) if "no meaning" not in row]
    found = re.findall(r"^- \*\*F(\d+)\*\*", text, re.M) + re.findall(r"F(\d+)", "\n".join(rows))
    return {int(rule) for rule in found}


def rule_of_name(name):
    return int(name[1:name.index("-")]) if name.startswith("F") else 0


def rule_of(data):
    try:
        mf.parse(data)
    except mf.Bad as bad:
        return bad.rule
    return 0


def main():
    wrong = []
    expected = {name + ".bin": data for name, data in FILES.items()}
    for name, data in expected.items():
        rule = rule_of_name(name)
        if rule_of(data) != (rule if rule <= LAST_RULE_OF_READER else 0):
            wrong.append("%s: the Python reader says F%d" % (name, rule_of(data)))
    rules, covered = rules_of_format(), {rule_of_name(name) for name in FILES} - {0}
    wrong += ["no file for rule F%d" % rule for rule in sorted(rules - covered)]
    wrong += ["a file for F%d, which is no rule of FORMAT.md" % rule for rule in sorted(covered - rules)]
    there = {name for name in os.listdir(HERE) if name.endswith(".bin")}
    if sys.argv[1:] == ["--check"]:
        wrong += ["%s: only in one place" % name for name in sorted(there ^ set(expected))]
        for name in sorted(there & set(expected)):
            with open(os.path.join(HERE, name), "rb") as file:
                if file.read() != expected[name]:
                    wrong.append("%s: not what make.py makes" % name)
    elif not wrong:
        for name in there - set(expected):
            os.remove(os.path.join(HERE, name))
        for name, data in expected.items():
            with open(os.path.join(HERE, name), "wb") as file:
                file.write(data)
    print("\n".join(wrong) if wrong else "%d files" % len(expected))
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
