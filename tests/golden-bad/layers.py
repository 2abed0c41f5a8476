# SPDX-License-Identifier: MIT
"""For make.py: a model of one good layer for each type, and for each rule from F60 on at least one file in
which a single change to such a layer breaks it. Layers read frames of WIDTH numbers; all weights are 0.5.
"""
import model_file as mf

WIDTH, HIDDEN = 4, 2
NAN, MINUS_ONE, INFINITY, ONE = 0x7FC00000, 0xBF800000, 0x7F800000, 0x3F800000
COLUMNS = HIDDEN + WIDTH


def filled(dims):
    return [filled(dims[1:]) for _ in range(dims[0])] if dims else 0.5


def recurrent(gates, activations):
    return {"words": mf.rnn_words(HIDDEN, activations=activations), "shape": [HIDDEN],
            "slots": [[gates, HIDDEN, COLUMNS], [gates, HIDDEN], None, None, None, None]}


# Dimensions of the tensors are in `slots`; what is not here is as in layer_file().
LAYERS = {
    "lstm": recurrent(4, (1, 2, 2)),
    "gru": recurrent(3, (1, 2)),
    "rnn": recurrent(1, (2,)),
    "dense": {"words": {0: 2}, "slots": [[3, WIDTH], [3]], "shape": [3]},
    "embedding": {"slots": [[5, 2]], "shape": [WIDTH, 2]},
    "activation": {"words": {0: 8, 1: ONE}},
    "softmax": {},
    "layer_norm": {"words": {0: mf.float_bits(1e-5)}, "slots": [[WIDTH], [WIDTH]]},
    "add": {"inputs": [0, 0]},
    "mul": {"inputs": [0, 0]},
    "concat": {"inputs": [0, 0], "shape": [2 * WIDTH]},
    "slice": {"words": {0: 0, 1: 1, 2: 2, 3: 2}, "shape": [2]},
    "reshape": {"shape": [2, 2]},
    "scale": {"slots": [[WIDTH], [WIDTH]]},
    "last": {"once": True},
    "mean": {"once": True},
    "max": {"once": True},
    "first": {"once": True},
}

# Layers that can stand before the one to try, which then reads value 1 too.
BEFORE = {
    "once": ("last", {"shape": [WIDTH], "once": True}),
    "matrix": ("reshape", {"shape": [2, 2]}),
    "number": ("slice", {"shape": [1], "words": {2: 1, 3: 1}}),
}


def layer_file(kind, words=None, slots=None, before=None, **changes):
    """The good layer of this kind with some words, some slots (both by number) and other fields changed."""
    layer = {"type": kind, "inputs": [0], "shape": [WIDTH], "once": False, "frame": [WIDTH]}
    layer.update(LAYERS[kind], **changes)
    shapes = dict(enumerate(layer.pop("slots", [])))
    shapes.update(slots or {})
    model = mf.Model(input=layer.pop("frame"))
    if before:
        first, fields = BEFORE[before]
        model.layer(first, [0], **fields)
    tensors = [None if dims is None else model.tensor(filled(dims)) for _, dims in sorted(shapes.items())]
    model.layer(**dict(layer, words={**layer.get("words", {}), **(words or {})}, tensors=tensors))
    return model.bytes()


def without_slots(kind, n):
    """The good layer with its first n slots alone."""
    return layer_file(kind, **dict(LAYERS[kind], words=None, slots=None)) if n is None else _cut(kind, n)


BOTH = mf.rnn_words(HIDDEN, direction=2)
PROJECTED = [[4, HIDDEN, 1 + WIDTH], None, None, [1, HIDDEN], None, None]
