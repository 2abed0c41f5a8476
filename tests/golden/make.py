# SPDX-License-Identifier: MIT
"""Makes the golden models NAME.bin and their inputs NAME.input (raw f32, [steps][input]).

    python3 tests/golden/make.py            write them all beside this file
    python3 tests/golden/make.py --check    1 if a file differs from what this program makes

NAME.expected, the output's exact bits, is recorded by the program golden_write, which first checks
the scalar kernels against the double-precision oracle. It must only ever change together with a
deliberate change of the order of operations: it is what makes a result the same on every machine.
"""
import math
import os
import random
import struct
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.dirname(HERE))
import model_file  # noqa: E402

FORWARD, REVERSE, BOTH = 0, 1, 2
COUPLED, RESET_AFTER = 1, 2
ACT = model_file.ACTIVATIONS


class Maker:
    """Layers with weights from a seeded generator (the same on every Python 3)."""

    def __init__(self, seed, width):
        self.random = random.Random(seed)
        self.model = model_file.Model(input=[width])
        self.widths = {0: width}

    def numbers(self, limit, *dims):
        if len(dims) > 1:
            return [self.numbers(limit, *dims[1:]) for _ in range(dims[0])]
        return [self.random.uniform(-limit, limit) for _ in range(dims[0])]

    def tensor(self, limit, *dims):
        return self.model.tensor(self.numbers(limit, *dims))

    def put(self, type, inputs, shape, **more):
        value = self.model.layer(type, inputs, shape, **more)
        self.widths[value] = shape[-1]
        return value

    def recurrent(self, type, value, hidden, direction=FORWARD, flags=0, projection=0, peepholes=False,
                  initial=False, clip=0.0, activations=None, parameters=(0.0,) * 6, mask=None):
        gates = {"lstm": 4, "gru": 3, "rnn": 1}[type]
        state, limit = projection or hidden, 1 / math.sqrt(hidden)
        standard = {"lstm": (1, 2, 2), "gru": (1, 2), "rnn": (2,)}[type]
        slots = []
        for _ in range(2 if direction == BOTH else 1):
            peephole = [3, hidden] if peepholes else [1, hidden] if flags == RESET_AFTER else None
            slots += [self.tensor(limit, gates, hidden, state + self.widths[value]),
                      self.tensor(limit, gates, hidden),
                      self.tensor(limit, *peephole) if peephole else None,
                      self.tensor(limit, state, hidden) if projection else None,
                      self.tensor(1, state) if initial else None,
                      self.tensor(1, hidden) if initial and type == "lstm" else None]
        words = model_file.rnn_words(hidden, direction, flags, clip, activations or standard, parameters)
        inputs = [value] if mask is None else [value, mask]
        return self.put(type, inputs, [state * len(slots) // 6], tensors=slots, words=words)

    def dense(self, value, out, activation="identity", alpha=0.0, beta=0.0, limit=None):
        width = self.widths[value]
        limit = limit or 1 / math.sqrt(width)
        words = {0: ACT[activation], 1: model_file.float_bits(alpha), 2: model_file.float_bits(beta)}
        return self.put("dense", [value], [out], words=words, once=self.model.values[value]["once"],
                        tensors=[self.tensor(limit, out, width), self.tensor(limit, out)])

    def conv(self, value, positions, out, taps, **words):
        channels = self.widths[value]
        weights = self.tensor(1 / math.sqrt(channels), out, taps, channels // words.get("groups", 1))
        return self.put("conv1d", [value], [positions, out], tensors=[weights, self.tensor(0.3, out)],
                        words=model_file.conv_words(**words))

    def temporal(self, value, out, taps, dilation=1, after=0, groups=1, stride=1, before=None, **words):
        channels = self.widths[value]
        weights = self.tensor(1 / math.sqrt(channels), out, taps, channels // groups)
        before = dilation * (taps - 1) - after if before is None else before
        return self.put("temporal_conv", [value], [out], tensors=[weights, self.tensor(0.3, out)],
                        words=model_file.conv_words(stride, dilation, before, after, groups=groups, **words))

    def same(self, type, value, **more):
        return self.put(type, [value], [self.widths[value]], once=self.model.values[value]["once"], **more)

    def pool(self, type, value):
        return self.put(type, [value], [self.widths[value]], once=True)


def teaching(m):
    m.recurrent("lstm", 0, 3)


def amplifier(m):
    h = m.recurrent("lstm", m.recurrent("lstm", 0, 16, initial=True), 16, initial=True)
    m.dense(h, 1)


def tagger(m):
    h = m.recurrent("lstm", m.recurrent("lstm", 0, 5, BOTH), 7, BOTH)
    m.same("softmax", m.dense(h, 6))


def wide(m):
    m.dense(m.recurrent("lstm", 0, 37, initial=True), 11, "tanh")


def projected(m):
    m.recurrent("lstm", m.recurrent("lstm", 0, 20, projection=7), 12, BOTH, projection=5)


def peepholes(m):
    m.recurrent("lstm", 0, 13, BOTH, peepholes=True, clip=0.6)


def coupled(m):
    m.recurrent("lstm", m.recurrent("lstm", 0, 9, flags=COUPLED, peepholes=True), 8, flags=COUPLED,
                projection=3)


def odd_activations(m):
    m.recurrent("lstm", 0, 10, BOTH, activations=(ACT["hard_sigmoid"], ACT["softsign"], ACT["scaled_tanh"]),
                parameters=(0.2, 0.5, 0.0, 0.0, 1.5, 0.7))


def gru_after(m):
    m.dense(m.recurrent("gru", m.recurrent("gru", 0, 12, flags=RESET_AFTER), 19, BOTH, flags=RESET_AFTER), 4)


def gru_before(m):
    m.recurrent("gru", m.recurrent("gru", 0, 9, REVERSE, initial=True), 17, clip=1.5)


def elman(m):
    relu = m.recurrent("rnn", 0, 14, activations=(ACT["relu"],))
    m.recurrent("rnn", relu, 6, BOTH, initial=True)


def words(m):
    table = m.tensor(1, 23, 8)
    h = m.put("embedding", [0], [8], tensors=[table])
    h = m.pool("mean", m.recurrent("gru", h, 11, BOTH, flags=RESET_AFTER))
    m.same("softmax", m.dense(h, 5, "relu"))


def every_activation(m):
    parameters = {"leaky_relu": (0.01, 0), "thresholded_relu": (0.5, 0), "scaled_tanh": (1.7, 0.66),
                  "hard_sigmoid": (0.2, 0.5), "elu": (1.3, 0), "affine": (0.5, 0.1)}
    parts = [m.dense(0, 21, name, *parameters.get(name, (0, 0)), limit=3) for name in ACT]
    m.put("concat", parts, [21 * len(parts)], words={0: 0})


def frame_layers(m):
    wide_value = m.dense(0, 24)
    norm = m.same("layer_norm", wide_value, words={0: model_file.float_bits(1e-5)},
                  tensors=[m.tensor(1, 24), m.tensor(1, 24)])
    scaled = m.same("scale", norm, tensors=[m.tensor(2, 24), None])
    total = m.put("add", [wide_value, norm, scaled], [24])
    one = m.put("slice", [total], [1], words={0: 0, 1: 5, 2: 1, 3: 1})
    product = m.put("mul", [total, one], [24])
    matrix = m.put("reshape", [product], [4, 6])
    rows = m.put("slice", [matrix], [2, 6], words={0: 0, 1: 1, 2: 2, 3: 2})
    both = m.put("concat", [rows, matrix], [6, 6], words={0: 0})
    flat = m.put("reshape", [both], [36])
    m.pool("max", m.same("softmax", flat))


def spectrogram(m):
    """The front of a speech model: windows of a signal, real and imaginary parts, magnitudes."""
    signal = m.put("reshape", [0], [45, 1])
    parts = m.put("conv1d", [signal], [5, 18], tensors=[m.tensor(1, 18, 16, 1), None],
                  words=model_file.conv_words(stride=8, after=7, padding=1))
    h = m.put("magnitude", [parts], [5, 9])
    h = m.conv(h, 5, 12, 3, before=1, after=1, activation=ACT["relu"])
    h = m.conv(h, 3, 10, 3, stride=2, before=1, after=1, groups=2, activation=ACT["elu"], alpha=0.7)
    turned = m.put("transpose", [h], [10, 3], words={0: 1, 1: 0})
    h = m.conv(turned, 7, 3, 2, dilation=3, padding=2, groups=3)
    m.recurrent("lstm", m.put("reshape", [h], [21]), 9)


def convolutions(m):
    """Over time: causal ones, one that is dilated, one for each channel."""
    h = m.temporal(0, 11, 3, dilation=4, activation=ACT["tanh"])
    late = m.put("delay", [h], [11], words={0: 3})
    joined = m.put("add", [m.temporal(h, 11, 2, groups=11), late], [11])
    m.temporal(joined, 70, 4, activation=ACT["relu"])


def look_ahead(m):
    h = m.temporal(0, 6, 5, after=2, padding=1, activation=ACT["leaky_relu"], alpha=0.1)
    back = m.put("reverse", [h], [6])
    m.temporal(m.put("add", [h, back], [6]), 4, 4, after=3, padding=2, dilation=2)


def fewer_steps(m):
    """Convolutions with a stride and without padding; what follows has fewer steps than the input."""
    h = m.temporal(0, 8, 3, stride=2, before=1, after=1, activation=ACT["tanh"])
    gate = m.put("mask", [m.dense(h, 1, "relu")], [1])
    deep = m.recurrent("gru", m.recurrent("lstm", h, 5, BOTH, mask=gate), 8)
    m.temporal(m.put("add", [h, deep], [8]), 6, 2, before=0)


def pools(m):
    """Pools over time of each kind, one of which carries a state; two come to the same steps."""
    def pool(value, *words):
        return m.put("temporal_pool", [value], [m.widths[value]], words=dict(enumerate(words)))

    h = pool(m.recurrent("lstm", 0, 6), 1, 1, 3, 0, 0, 4)
    both = [pool(h, 2, 1, 0, 1, 0, 2), m.temporal(h, 5, 3, stride=2), pool(h, 2, 1, 1, 1, 1, 3)]
    joined = m.put("concat", both, [17], words={0: 0})
    m.recurrent("gru", pool(joined, 1, 1, 1, 1, 2, 3), 7)


def residual(m):
    h = m.recurrent("lstm", 0, 6)
    joined = m.put("add", [h, 0], [6])
    both = m.put("concat", [joined, h], [12], words={0: 0})
    m.pool("last", m.recurrent("lstm", both, 10))


def gates(m):
    """Panels of every width for cells that take one gate at a time."""
    m.recurrent("gru", m.recurrent("rnn", 0, 84, activations=(ACT["relu"],)), 40)


def mask_of(m, value):
    """Passes over the frames whose first number is not positive."""
    first = m.put("slice", [value], [1], words={0: 0, 1: 0, 2: 1, 3: 1})
    return m.put("mask", [m.put("activation", [first], [1], words={0: ACT["relu"]})], [1])


def masked(m):
    mask = mask_of(m, 0)
    h = m.recurrent("lstm", 0, 18, initial=True, mask=mask)
    h = m.recurrent("gru", h, 13, mask=mask)
    m.recurrent("rnn", m.recurrent("gru", h, 21, flags=RESET_AFTER, mask=mask), 9, mask=mask)


def attention(m):
    h = m.recurrent("lstm", 0, 20, BOTH, mask=mask_of(m, 0))
    h = m.same("l2_norm", m.recurrent("lstm", h, 11, REVERSE, mask=mask_of(m, 0), projection=5),
               words={0: model_file.float_bits(1e-12)})
    m.dense(m.put("attention", [h, m.dense(h, 1, "tanh", limit=9)], [5], once=True), 3)


def tiny_numbers(m):
    """Products and states around the smallest normal number, where flushing to zero shows."""
    h = m.dense(0, 19, "leaky_relu", 0.01, limit=1e-30)
    m.put("concat", [h, m.recurrent("lstm", 0, 8), m.same("scale", h, tensors=[m.tensor(1e-3, 19), None])],
          [46], words={0: 0})


def huge_numbers(m):
    m.dense(m.recurrent("lstm", m.dense(0, 9, limit=1e3), 12), 3, limit=1e30)


# name: (builder, input width, steps, input's limit)
MODELS = {
    "teaching": (teaching, 4, 3, 1), "amplifier": (amplifier, 1, 60, 1), "tagger": (tagger, 10, 21, 2),
    "wide": (wide, 5, 24, 2), "projected": (projected, 6, 15, 2), "peepholes": (peepholes, 3, 18, 2),
    "coupled": (coupled, 4, 17, 2), "odd-activations": (odd_activations, 3, 12, 2),
    "gru-after": (gru_after, 5, 16, 2), "gru-before": (gru_before, 3, 16, 2), "elman": (elman, 7, 14, 2),
    "words": (words, 1, 13, None), "every-activation": (every_activation, 6, 9, 8),
    "frame-layers": (frame_layers, 9, 8, 2), "residual": (residual, 6, 11, 2),
    "spectrogram": (spectrogram, 45, 6, 1), "convolutions": (convolutions, 5, 40, 1),
    "fewer-steps": (fewer_steps, 4, 23, 1), "pools": (pools, 4, 21, 1), "look-ahead": (look_ahead, 3, 9, 1),
    "tiny-numbers": (tiny_numbers, 3, 10, 1e-8), "huge-numbers": (huge_numbers, 2, 10, 1e6),
    "gates": (gates, 3, 9, 2), "masked": (masked, 4, 23, 2), "attention": (attention, 3, 29, 2),
}


def make(name):
    build, width, steps, limit = MODELS[name]
    maker = Maker("golden " + name, width)
    build(maker)
    maker.model.metadata["name"] = name
    if limit is None:
        numbers = [float(maker.random.randrange(23)) for _ in range(steps * width)]
    else:
        numbers = [number for row in maker.numbers(limit, steps, width) for number in row]
    return {name + ".bin": maker.model.bytes(),
            name + ".input": struct.pack("<%df" % len(numbers), *numbers)}


def main():
    failures = 0
    for name in MODELS:
        for file, data in make(name).items():
            path = os.path.join(HERE, file)
            if "--check" not in sys.argv:
                with open(path, "wb") as out:
                    out.write(data)
                continue
            with open(path, "rb") as old:
                if old.read() != data:
                    print("%s differs from what make.py makes" % file)
                    failures += 1
    print("%d golden models%s" % (len(MODELS), ", %d files differ" % failures if failures else ""))
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
