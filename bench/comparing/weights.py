# SPDX-License-Identifier: MIT
"""Random weights and inputs of a case, and their layout in the files that all runtimes read.

weights.bin holds, for each layer and direction, W [G][H][I], R [G][H][H], b [G][H], and for a gru also b_hn
[H], the bias inside its reset product: gates in PyTorch's order (i, f, g, o; r, z, n), f32.
"""
import zlib

import numpy as np

# Where each gate of ONNX's order (i, o, f, g; z, r, n) stands in PyTorch's.
ONNX_ORDER = {"lstm": (0, 3, 1, 2), "gru": (1, 0, 2)}


def _random(word):
    """Depends on the word alone, so that all runs and machines have the same numbers."""
    return np.random.default_rng(zlib.crc32(word.encode()))


def _uniform(random, bound, *shape):
    return ((2 * random.random(shape, np.float32) - 1) * np.float32(bound)).astype(np.float32)


def make(case):
    """A list over layers of lists over directions of {"W", "R", "b", ["b_hn"]}."""
    random, gates, units = _random(case.network), case.gates, case.units
    bound = units ** -0.5

    def direction(width):
        arrays = {"W": _uniform(random, bound, gates, units, width),
                  "R": _uniform(random, bound, gates, units, units),
                  "b": _uniform(random, bound, gates, units)}
        if case.kind == "gru":
            arrays["b_hn"] = _uniform(random, bound, units)
        return arrays

    return [[direction(width) for _ in range(case.directions)] for width in case.widths()]


def make_input(case):
    return _uniform(_random(str(case)), 1, case.calls, case.items, case.steps, case.inputs)


def flat(weights):
    return np.concatenate([array.ravel() for layer in weights for arrays in layer
                           for array in arrays.values()])


def pytorch_tensors(weights):
    """By PyTorch's names. Two biases: the second is 0 but for that of n of a gru."""
    tensors = {}
    for index, layer in enumerate(weights):
        for direction, arrays in enumerate(layer):
            end = "_l%d%s" % (index, "_reverse" if direction else "")
            second = np.zeros_like(arrays["b"])
            if "b_hn" in arrays:
                second[2] = arrays["b_hn"]
            for name, array in (("weight_ih", arrays["W"]), ("weight_hh", arrays["R"]),
                                ("bias_ih", arrays["b"]),
                                ("bias_hh", second)):
                tensors[name + end] = array.reshape(-1, *array.shape[2:])
    return tensors


def onnx_tensors(case, layer):
    """W, R, B of one node: [D, G*H, I], [D, G*H, H], [D, 2*G*H]."""
    order = list(ONNX_ORDER[case.kind])

    def rows(arrays, name):
        return arrays[name][order].reshape(case.gates * case.units, -1)

    def biases(arrays):
        second = np.zeros_like(arrays["b"])
        if "b_hn" in arrays:
            second[2] = arrays["b_hn"]
        return np.concatenate([arrays["b"][order].ravel(), second[order].ravel()])

    return (np.stack([rows(arrays, "W") for arrays in layer]),
            np.stack([rows(arrays, "R") for arrays in layer]),
            np.stack([biases(arrays) for arrays in layer]))
