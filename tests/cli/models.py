# SPDX-License-Identifier: MIT
"""Small models for the tests of the command, their inputs, and an LSTM in plain Python to compare with."""

import math
import pathlib
import struct
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
import model_file  # noqa: E402  (beside, in tests/)

HIDDEN, INPUTS, OUTPUTS = 5, 3, 2


class Numbers:
    """Always the same multiples of 1/64 between -0.5 and 0.5: exact in every format."""

    def __init__(self, seed):
        self.state = seed

    def next(self):
        self.state = (self.state * 1103515245 + 12345) % (1 << 31)
        return ((self.state >> 16) % 65 - 32) / 64

    def array(self, *shape):
        if not shape:
            return self.next()
        return [self.array(*shape[1:]) for _ in range(shape[0])]


def lstm(inputs=INPUTS, outputs=OUTPUTS, metadata=None, direction=0, last=False, softmax=False, seed=1):
    """An lstm and a dense layer: (bytes of the model file, its weights)."""
    numbers = Numbers(seed)
    model = model_file.Model(input=[inputs])
    sides = 2 if direction == 2 else 1
    weights, tensors = {}, []
    for side in range(sides):
        w, b = numbers.array(4, HIDDEN, HIDDEN + inputs), numbers.array(4, HIDDEN)
        weights.setdefault("w", w), weights.setdefault("b", b)
        tensors += [model.tensor(w, name="W%d" % side), model.tensor(b, name="b%d" % side)] + [None] * 4
    value = model.layer("lstm", [0], shape=[sides * HIDDEN], tensors=tensors,
                        words=model_file.rnn_words(HIDDEN, direction=direction), name="cell")
    if last:
        value = model.layer("last", [value], shape=[sides * HIDDEN], once=True)
    weights["v"], weights["a"] = numbers.array(outputs, sides * HIDDEN), numbers.array(outputs)
    value = model.layer("dense", [value], shape=[outputs], once=last, name="head",
                        tensors=[model.tensor(weights["v"], name="V"), model.tensor(weights["a"], name="a")])
    if softmax:
        model.layer("softmax", [value], shape=[outputs], once=last)
    model.metadata.update(metadata or {})
    return model.bytes(), weights


def strided():
    """A convolution with three taps and a stride of 2 before an lstm: (model, the lstm alone, the taps)."""
    numbers = Numbers(4)
    taps, w, b = numbers.array(2, 3, INPUTS), numbers.array(4, HIDDEN, HIDDEN + 2), numbers.array(4, HIDDEN)
    made = []
    for size in (INPUTS, 2):
        model = model_file.Model(input=[size])
        value = 0
        if size == INPUTS:
            value = model.layer("temporal_conv", [0], shape=[2], words=model_file.conv_words(stride=2),
                                tensors=[model.tensor(taps, name="taps"), None], name="conv")
        model.layer("lstm", [value], shape=[HIDDEN], words=model_file.rnn_words(HIDDEN), name="cell",
                    tensors=[model.tensor(w, name="W"), model.tensor(b, name="b")] + [None] * 4)
        made.append(model.bytes())
    return made[0], made[1], taps


OTHER_STEPS = (  # words of a convolution of 3 taps, whether `last` follows, and what --info says of its steps
    (dict(before=2), False, None), (dict(before=1, after=1), True, None),
    (dict(before=2, stride=3), False, "steps / 3 come out, rounded up"),
    (dict(before=1), False, "steps - 1 come out; at least 2 go in"),
    (dict(dilation=4, stride=2), False, "(steps - 9) / 2 + 1 come out, rounded down; at least 9 go in"),
    (dict(dilation=4), True, "at least 9 go in"))


def one_convolution(words, last):
    """A convolution over time with three taps."""
    model = model_file.Model(input=[1])
    value = model.layer("temporal_conv", [0], shape=[1], words=model_file.conv_words(**words),
                        tensors=[model.tensor([[[1.0], [2.0], [3.0]]], name="taps"), None])
    if last:
        model.layer("last", [value], shape=[1], once=True)
    return model.bytes()


def run_strided(taps, frames):
    """Frames that the convolution leaves; with such numbers nothing is rounded."""
    return [[sum(a * b for tap, frame in zip(row, frames[t:t + 3]) for a, b in zip(tap, frame)) for row in taps]
            for t in range(0, len(frames) - 2, 2)]


def one_unit():
    """An lstm of one unit and nothing else."""
    model, numbers = model_file.Model(input=[1]), Numbers(3)
    model.layer("lstm", [0], shape=[1], words=model_file.rnn_words(1), name="cell",
                tensors=[model.tensor(numbers.array(4, 1, 2), name="W"),
                         model.tensor(numbers.array(4, 1), name="b")] + [None] * 4)
    return model.bytes()


def embedding(words=10, size=HIDDEN):
    """Whole numbers below `words` in, rows of a table out."""
    model = model_file.Model(input=[1])
    table = Numbers(7).array(words, size)
    model.layer("embedding", [0], shape=[size], tensors=[model.tensor(table, name="table")])
    return model.bytes(), table


def run_lstm(weights, frames):
    """[(output, h, c)] of each step, in double precision."""
    def sigmoid(x):
        return 1 / (1 + math.exp(-x))

    h, c, rows = [0.0] * HIDDEN, [0.0] * HIDDEN, []
    for frame in frames:
        both = h + list(frame)
        gates = [[bias + sum(a * b for a, b in zip(row, both)) for row, bias in zip(part, biases)]
                 for part, biases in zip(weights["w"], weights["b"])]
        functions = (sigmoid, sigmoid, math.tanh, sigmoid)
        i, f, g, o = ([act(x) for x in part] for act, part in zip(functions, gates))
        c = [f[k] * c[k] + i[k] * g[k] for k in range(HIDDEN)]
        h = [o[k] * math.tanh(c[k]) for k in range(HIDDEN)]
        output = [bias + sum(a * b for a, b in zip(row, h)) for row, bias in zip(weights["v"], weights["a"])]
        rows.append((output, h, c))
    return rows


# ---- input files -----------------------------------------------------------------------------------------


def f32(numbers):
    return struct.pack("<%df" % len(numbers), *numbers)


def flat(frames):
    return [number for frame in frames for number in frame]


def npy(frames, shape, code="f", descr="<f4", fortran=False, version=1):
    """`frames`: flat numbers in the order of the file."""
    text = "{'descr': '%s', 'fortran_order': %s, 'shape': (%s), }" % (
        descr, fortran, "".join("%d, " % dim for dim in shape))
    length = 2 if version == 1 else 4
    text += " " * (-(len(text) + 9 + length) % 64) + "\n"
    order = ">" if descr[0] == ">" else "<"
    return (b"\x93NUMPY" + bytes([version, 0]) + len(text).to_bytes(length, "little") + text.encode("latin-1")
            + struct.pack("%s%d%s" % (order, len(frames), code), *frames))


def csv(frames, separator=",", header=None):
    lines = [header] if header else []
    return ("\n".join(lines + [separator.join(repr(x) for x in frame) for frame in frames]) + "\n").encode()


def wav(samples, channels=1, rate=48000, kind=b"RIFF"):
    """32-bit float samples; RIFX is big-endian, RF64 has room for large sizes."""
    order, large = ">" if kind == b"RIFX" else "<", kind == b"RF64"

    def chunk(tag, content, size=None):
        return tag + struct.pack(order + "I", len(content) if size is None else size) + content
    data = struct.pack("%s%df" % (order, len(samples)), *samples)
    unknown = 0xFFFFFFFF if large else None
    form = struct.pack(order + "HHIIHH", 3, channels, rate, rate * channels * 4, channels * 4, 32)
    chunks = chunk(b"fmt ", form) + chunk(b"data", data, unknown)
    if large:
        chunks = chunk(b"ds64", struct.pack("<QQQI", 40 + len(chunks), len(data), len(samples), 0)) + chunks
    return chunk(kind, b"WAVE" + chunks, unknown)


# ---- output files ----------------------------------------------------------------------------------------


def parse_npy(data):
    """(shape, flat f32 numbers)"""
    assert data[:8] == b"\x93NUMPY\x01\x00", data[:8]
    length = int.from_bytes(data[8:10], "little")
    fields = eval(data[10:10 + length].decode(), {"__builtins__": {}})  # our own header, as NumPy reads it
    assert fields["descr"] == "<f4" and fields["fortran_order"] is False, fields
    body = data[10 + length:]
    return tuple(fields["shape"]), struct.unpack("<%df" % (len(body) // 4), body)


def parse_wav(data):
    """(channels, rate, samples) of a 32-bit float file"""
    assert data[:4] == b"RIFF" and data[8:12] == b"WAVE", data[:12]
    at, found = 12, {}
    while at + 8 <= len(data):
        size = int.from_bytes(data[at + 4:at + 8], "little")
        found[data[at:at + 4]] = data[at + 8:at + 8 + size]
        at += 8 + size + size % 2
    kind, channels, rate = struct.unpack("<HHI", found[b"fmt "][:8])
    assert kind == 3, "samples of kind %d, expected floats" % kind
    return channels, rate, struct.unpack("<%df" % (len(found[b"data"]) // 4), found[b"data"])
