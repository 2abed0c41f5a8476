# SPDX-License-Identifier: MIT
"""For make.py: a model of one good layer for each type, and for each rule from F60 on at least one file in
which a change to such a layer breaks it and no other. Layers read frames of WIDTH numbers; all weights are
0.5. Names: F, the rule, what is wrong.
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
    "mask": {"words": {0: ONE}, "shape": [1]},
    "l2_norm": {"words": {0: mf.float_bits(1e-12)}},
    "attention": {"before": "number", "inputs": [0, 1], "once": True},
    "conv1d": {"frame": [WIDTH, 2], "words": {0: 1, 1: 1, 2: 1, 3: 1, 5: 1}, "slots": [[3, 3, 2], [3]],
               "shape": [WIDTH, 3]},
    "magnitude": {"shape": [2]},
    "transpose": {"frame": [WIDTH, 3], "words": {0: 1, 1: 0}, "shape": [3, WIDTH]},
    "temporal_conv": {"words": {0: 1, 1: 2, 2: 4, 5: 1}, "slots": [[3, 3, WIDTH], [3]], "shape": [3]},
    "reverse": {},
    "delay": {"words": {0: 2}},
    "temporal_pool": {"words": {0: 1, 1: 1, 2: 2, 5: 3}},
}

BOTH = mf.rnn_words(HIDDEN, direction=2)

# Layers that can stand before the one to try, which then reads value 1 too.
BEFORE = {
    "once": ("last", {"shape": [WIDTH], "once": True}),
    "matrix": ("reshape", {"shape": [2, 2]}),
    "number": ("slice", {"shape": [1], "words": {2: 1, 3: 1}}),
    "fewer": ("temporal_conv", {"shape": [WIDTH], "words": {0: 2, 1: 1, 5: 1}}),
    "late": ("delay", {"shape": [WIDTH], "words": {0: 1 << 21}}),
}


def layer_file(kind, words=None, slots=None, n_slots=None, before=None, **changes):
    """The good layer of this kind with some words, some slots (both by number) and other fields changed."""
    layer = {"type": kind, "inputs": [0], "shape": [WIDTH], "once": False, "frame": [WIDTH]}
    layer.update(LAYERS[kind])
    layer.update(changes)
    shapes = {**dict(enumerate(layer.pop("slots", []))), **(slots or {})}
    model = mf.Model(input=layer.pop("frame"))
    usually = layer.pop("before", None)
    before = before or usually
    if before:
        first, fields = BEFORE[before]
        if before == "fewer":
            fields = {**fields, "tensors": [model.tensor(filled([WIDTH, 1, WIDTH])), None]}
        model.layer(first, [0], **fields)
    layer["tensors"] = [None if dims is None else model.tensor(filled(dims))
                        for _, dims in sorted(shapes.items())[:n_slots]]
    layer["words"] = {**layer.get("words", {}), **(words or {})}
    model.layer(**layer)
    return model.bytes()


def lstm_both(projections, r):
    """Both directions, each with a W for states of r numbers and a projection of its own."""
    slots = []
    for dims in projections:
        slots += [[4, HIDDEN, r + WIDTH], None, None, dims, None, None]
    return layer_file("lstm", words=BOTH, slots=dict(enumerate(slots)), shape=[2 * r])


# Masks, and the layers that read one number beside their frames.
MASKED = {
    "good-lstm-masked": layer_file("lstm", before="number", inputs=[0, 1]),
    "good-gru-masked": layer_file("gru", before="number", inputs=[0, 1]),
    "good-rnn-masked": layer_file("rnn", before="number", inputs=[0, 1]),
    "F61-mask-two": layer_file("mask", inputs=[0, 0]),
    "F61-attention-one": layer_file("attention", inputs=[0]),
    "F62-l2_norm-two": layer_file("l2_norm", slots={0: [WIDTH], 1: [WIDTH]}),
    "F64-mask-word-1": layer_file("mask", words={1: 1}),
    "F64-attention-word-0": layer_file("attention", words={0: ONE}),
    "F66-mask-once": layer_file("mask", once=True),
    "F66-lstm-mask-once": layer_file("lstm", before="once", inputs=[0, 1]),
    "F66-attention-every-step": layer_file("attention", once=False),
    "F66-attention-score-once": layer_file("attention", before="once"),
    "F130-nan": layer_file("mask", words={0: NAN}),
    "F130-infinity": layer_file("mask", words={0: INFINITY}),
    "F131-epsilon-negative": layer_file("l2_norm", words={0: MINUS_ONE}),
    "F131-epsilon-infinite": layer_file("l2_norm", words={0: INFINITY}),
    "F201-mask": layer_file("lstm", inputs=[0, 0]),
    "F202-mask-rank": layer_file("gru", before="matrix", inputs=[0, 1]),
    "F203-mask": layer_file("rnn", inputs=[0, 0]),
    "F230-output": layer_file("mask", shape=[WIDTH]),
    "F231-output": layer_file("l2_norm", shape=[1]),
    "F254-score": layer_file("attention", before="matrix", inputs=[0, 0]),
    "F254-output": layer_file("attention", shape=[1]),
}

FILES = {"good-" + kind: layer_file(kind) for kind in LAYERS}
FILES.update({
    "good-lstm-projected": lstm_both([[1, HIDDEN], [1, HIDDEN]], 1),
    "good-gru-reset-after": layer_file("gru", words={2: 2}, slots={2: [1, HIDDEN]}),
    "good-mul-by-number": layer_file("mul", before="number", inputs=[0, 1]),
    "good-dense-once": layer_file("dense", before="once", inputs=[1], once=True),
    "good-embedding-of-one": layer_file("embedding", frame=[1], shape=[2]),
    "F60-type-0": layer_file("softmax", type=0),
    "F60-type-99": layer_file("softmax", type=99),
    "F60-type-all-ones": layer_file("softmax", type=mf.NONE),
    "F61-lstm-three": layer_file("lstm", before="number", inputs=[0, 1, 1]),
    "F61-dense-two": layer_file("dense", inputs=[0, 0]),
    "F61-add-one": layer_file("add", inputs=[0]),
    "F61-concat-one": layer_file("concat", inputs=[0], shape=[WIDTH]),
    "F62-lstm-five": layer_file("lstm", n_slots=5),
    "F62-lstm-both-six": layer_file("lstm", words=BOTH, shape=[2 * HIDDEN]),
    "F62-dense-without-bias": layer_file("dense", n_slots=1),
    "F62-softmax-one": layer_file("softmax", slots={0: [WIDTH]}),
    "F62-mean-none": layer_file("mean", slots={0: None}),
    "F63-lstm-without-w": layer_file("lstm", slots={0: None}),
    "F63-lstm-first-projection": lstm_both([[HIDDEN, HIDDEN], None], HIDDEN),
    "F63-lstm-second-projection": lstm_both([None, [HIDDEN, HIDDEN]], HIDDEN),
    "F63-gru-two-biases": layer_file("gru", slots={2: [1, HIDDEN]}),
    "F63-gru-projection": layer_file("gru", slots={3: [HIDDEN, HIDDEN]}),
    "F63-rnn-c0": layer_file("rnn", slots={5: [HIDDEN]}),
    "F63-dense-without-w": layer_file("dense", slots={0: None}),
    "F63-embedding-without-table": layer_file("embedding", slots={0: None}),
    "F63-scale-by-nothing": layer_file("scale", slots={0: None, 1: None}),
    "F64-lstm-word-23": layer_file("lstm", words={23: 1}),
    "F64-lstm-second-direction": layer_file("lstm", words={11: 1}),
    "F64-lstm-flag-of-gru": layer_file("lstm", words={2: 2}),
    "F64-lstm-flag-31": layer_file("lstm", words={2: 1 << 31}),
    "F64-gru-third-activation": layer_file("gru", words={4: 0x00020201}),
    "F64-rnn-alpha-of-g": layer_file("rnn", words={7: ONE}),
    "F64-dense-word-3": layer_file("dense", words={3: 1}),
    "F64-softmax-word-0": layer_file("softmax", words={0: 1}),
    "F65-lstm-activation-12": layer_file("lstm", words={4: 0x0002020C}),
    "F65-dense-activation-12": layer_file("dense", words={0: 12}),
    "F65-dense-alpha-of-tanh": layer_file("dense", words={1: ONE}),
    "F65-activation-beta-of-elu": layer_file("activation", words={2: ONE}),
    "F65-activation-alpha-nan": layer_file("activation", words={1: NAN}),
    "F65-activation-alpha-infinite": layer_file("activation", words={1: INFINITY}),
    "F66-lstm-reads-once": layer_file("lstm", before="once", inputs=[1]),
    "F66-mean-reads-once": layer_file("mean", before="once", inputs=[1]),
    "F66-mean-every-step": layer_file("mean", once=False),
    "F66-dense-once": layer_file("dense", once=True),
    "F66-dense-every-step": layer_file("dense", before="once", inputs=[1]),
    "F66-add-mixed": layer_file("add", before="once", inputs=[0, 1]),
    "F101-no-units": layer_file("lstm", words={0: 0}),
    "F101-direction-3": layer_file("lstm", words={1: 3}),
    "F101-clip-nan": layer_file("lstm", words={3: NAN}),
    "F102-units-all-ones": layer_file("gru", words={0: mf.NONE}),
    "F102-clip-negative": layer_file("gru", words={3: MINUS_ONE}),
    "F103-direction-all-ones": layer_file("rnn", words={1: mf.NONE}),
    "F103-clip-infinite": layer_file("rnn", words={3: INFINITY}),
    "F120-epsilon-negative": layer_file("layer_norm", words={0: MINUS_ONE}),
    "F120-epsilon-nan": layer_file("layer_norm", words={0: NAN}),
    "F123-axis-beyond-rank": layer_file("concat", words={0: 1}),
    "F124-axis-beyond-rank": layer_file("slice", words={0: 1}),
    "F124-nothing": layer_file("slice", words={2: 0}),
    "F124-step-0": layer_file("slice", words={3: 0}),
    "F124-beyond": layer_file("slice", words={3: 3}),
    "F124-overflow": layer_file("slice", words={2: mf.NONE, 3: mf.NONE}),
    "F201-input-rank": layer_file("lstm", before="matrix", inputs=[1]),
    "F201-w": layer_file("lstm", slots={0: [4, HIDDEN, COLUMNS - 1]}),
    "F201-bias": layer_file("lstm", slots={1: [4 * HIDDEN]}),
    "F201-peephole": layer_file("lstm", slots={2: [4, HIDDEN]}),
    "F201-second-projection": lstm_both([[1, HIDDEN], [2, HIDDEN]], 1),
    "F201-h0": layer_file("lstm", slots={4: [HIDDEN + 1]}),
    "F201-c0": layer_file("lstm", slots={5: [1, HIDDEN]}),
    "F201-output": layer_file("lstm", shape=[HIDDEN + 1]),
    "F202-w": layer_file("gru", slots={0: [4, HIDDEN, COLUMNS]}),
    "F202-second-bias": layer_file("gru", words={2: 2}, slots={2: [3, HIDDEN]}),
    "F202-output": layer_file("gru", shape=[1, HIDDEN]),
    "F203-w": layer_file("rnn", slots={0: [HIDDEN, COLUMNS]}),
    "F203-output": layer_file("rnn", shape=[2 * HIDDEN]),
    "F216-w": layer_file("dense", slots={0: [WIDTH, 3]}),
    "F216-bias": layer_file("dense", slots={1: [4]}),
    "F216-output": layer_file("dense", shape=[2]),
    "F216-output-rank": layer_file("dense", shape=[1, 3]),
    "F217-table-rank": layer_file("embedding", slots={0: [5, 2, 1]}),
    "F217-input-rank": layer_file("embedding", before="matrix", inputs=[1], shape=[2, 2, 2]),
    "F217-output": layer_file("embedding", shape=[WIDTH, 3]),
    "F217-output-of-one": layer_file("embedding", frame=[1], shape=[1, 2]),
    "F218-output": layer_file("activation", shape=[WIDTH - 1]),
    "F219-output": layer_file("softmax", shape=[2, 2]),
    "F220-scale": layer_file("layer_norm", slots={0: [1]}),
    "F220-shift": layer_file("layer_norm", slots={1: [WIDTH + 1]}),
    "F220-output": layer_file("layer_norm", shape=[WIDTH + 1]),
    "F221-inputs": layer_file("add", before="matrix", inputs=[0, 1]),
    "F221-output": layer_file("add", shape=[2 * WIDTH]),
    "F222-number-first": layer_file("mul", before="number", inputs=[1, 0]),
    "F222-two-numbers": layer_file("mul", before="number", inputs=[0, 1, 1]),
    "F222-output": layer_file("mul", shape=[1]),
    "F223-inputs": layer_file("concat", before="matrix", inputs=[0, 1]),
    "F223-output": layer_file("concat", shape=[WIDTH]),
    "F224-output": layer_file("slice", shape=[3]),
    "F225-output": layer_file("reshape", shape=[3, 2]),
    "F226-scale": layer_file("scale", slots={0: [2, 2]}),
    "F226-shift": layer_file("scale", slots={1: [WIDTH - 1]}),
    "F226-output": layer_file("scale", shape=[1]),
    "F248-output": layer_file("last", shape=[1]),
    "F249-output": layer_file("mean", shape=[1]),
    "F250-output": layer_file("max", shape=[WIDTH, 1]),
    "F253-output": layer_file("first", shape=[2 * WIDTH]),
})
FILES.update(MASKED)

# Pools over time.
FILES.update({
    "good-pool-whole": layer_file("temporal_pool", words={0: 3, 1: 2, 2: 0, 4: 1}),
    "good-pool-least": layer_file("temporal_pool", words={2: 0, 5: 1 << 24}),
    "F61-pool-two": layer_file("temporal_pool", inputs=[0, 0]),
    "F62-pool-one": layer_file("temporal_pool", slots={0: [WIDTH]}),
    "F64-pool-word-6": layer_file("temporal_pool", words={6: 1}),
    "F66-pool-once": layer_file("temporal_pool", once=True),
    "F66-pool-reads-once": layer_file("temporal_pool", before="once", inputs=[1], once=True),
    "F67-pool-history": layer_file("temporal_pool", words={2: (1 << 24) - 1, 5: 1 << 24}),
    "F68-pool-too-many-together": layer_file("temporal_pool", before="fewer", inputs=[1],
                                             words={2: 0, 5: 1 << 24}),
    "F156-stride-0": layer_file("temporal_pool", words={0: 0}),
    "F156-dilation-0": layer_file("temporal_pool", words={1: 0}),
    "F156-dilation-of-padded": layer_file("temporal_pool", words={1: 2}),
    "F156-kind-3": layer_file("temporal_pool", words={4: 3}),
    "F156-no-taps": layer_file("temporal_pool", words={5: 0}),
    "F156-taps-all-ones": layer_file("temporal_pool", words={5: mf.NONE}),
    "F156-too-much-after": layer_file("temporal_pool", words={3: 1}),
    "F156-all-ones": layer_file("temporal_pool", words={2: mf.NONE, 3: mf.NONE}),
    "F256-output": layer_file("temporal_pool", shape=[WIDTH, 1]),
})

# Convolutions and what goes with them.
FILES.update({
    "good-conv1d-strided": layer_file("conv1d", words={0: 3, 1: 2, 2: 3, 3: 3, 4: 1, 6: 3}, shape=[2, 3]),
    "good-conv1d-groups": layer_file("conv1d", words={4: 2, 5: 2}, slots={0: [4, 3, 1], 1: None},
                                     shape=[WIDTH, 4]),
    "good-temporal-whole": layer_file("temporal_conv", words={2: 1, 3: 3, 4: 1}),
    "good-delay-of-all": layer_file("delay", words={0: 1 << 22}),
    "F61-conv1d-two": layer_file("conv1d", inputs=[0, 0]),
    "F61-delay-two": layer_file("delay", inputs=[0, 0]),
    "F62-conv1d-without-bias": layer_file("conv1d", n_slots=1),
    "F62-temporal-three": layer_file("temporal_conv", slots={2: [3]}),
    "F62-magnitude-one": layer_file("magnitude", slots={0: [WIDTH]}),
    "F63-conv1d-without-w": layer_file("conv1d", slots={0: None}),
    "F63-temporal-without-w": layer_file("temporal_conv", slots={0: None}),
    "F64-conv1d-word-9": layer_file("conv1d", words={9: 1}),
    "F64-magnitude-word-0": layer_file("magnitude", words={0: 1}),
    "F64-transpose-third-axis": layer_file("transpose", words={2: 2}),
    "F64-reverse-word-0": layer_file("reverse", words={0: 1}),
    "F64-delay-word-1": layer_file("delay", words={1: 1}),
    "F65-conv1d-activation-12": layer_file("conv1d", words={6: 12}),
    "F65-temporal-alpha-of-relu": layer_file("temporal_conv", words={6: 3, 7: ONE}),
    "F66-temporal-reads-once": layer_file("temporal_conv", before="once", inputs=[1]),
    "F66-reverse-reads-once": layer_file("reverse", before="once", inputs=[1], once=True),
    "F66-delay-reads-once": layer_file("delay", before="once", inputs=[1], once=True),
    "F66-temporal-once": layer_file("temporal_conv", once=True),
    "F66-conv1d-once": layer_file("conv1d", once=True),
    "F67-one-history": layer_file("delay", words={0: (1 << 22) + 1}),
    "F67-delay-all-ones": layer_file("delay", words={0: mf.NONE}),
    "F67-two-histories": layer_file("delay", before="late", inputs=[1], words={0: (1 << 21) + 1}),
    "F67-far-taps": layer_file("temporal_conv", words={1: 1 << 22, 2: 1 << 23}),
    "good-temporal-fewer": layer_file("temporal_conv", before="fewer", inputs=[1], words={0: 3, 2: 1}),
    "good-temporal-least": layer_file("temporal_conv", words={1: (1 << 23) - 1, 2: 0, 3: 0}),
    "F68-add-other-steps": layer_file("add", before="fewer", inputs=[0, 1]),
    "F68-too-many-steps": layer_file("temporal_conv", words={1: 1 << 23, 2: 0, 3: 0}),
    "F68-too-many-together": layer_file("temporal_conv", before="fewer", inputs=[1],
                                        words={1: 1 << 22, 2: 0, 3: 0}),
    "F127-stride-0": layer_file("conv1d", words={0: 0}),
    "F127-dilation-0": layer_file("conv1d", words={1: 0}),
    "F127-padding-3": layer_file("conv1d", words={4: 3}),
    "F127-no-groups": layer_file("conv1d", words={5: 0}),
    "F127-groups-of-outputs": layer_file("conv1d", words={5: 2}),
    "F127-groups-of-inputs": layer_file("conv1d", words={5: 3}),
    "F127-reflects-too-far": layer_file("conv1d", words={2: WIDTH, 4: 1}, shape=[WIDTH + 3, 3]),
    "F127-reflects-all-ones": layer_file("conv1d", words={3: mf.NONE, 4: 1}),
    "F129-twice": layer_file("transpose", words={1: 1}),
    "F129-beyond-rank": layer_file("transpose", words={0: 2}),
    "F129-all-ones": layer_file("transpose", words={1: mf.NONE}),
    "F152-stride-0": layer_file("temporal_conv", words={0: 0}),
    "F152-dilation-0": layer_file("temporal_conv", words={1: 0}),
    "F152-padding-3": layer_file("temporal_conv", words={4: 3}),
    "F152-groups": layer_file("temporal_conv", words={5: 2}),
    "F152-too-much-after": layer_file("temporal_conv", words={3: 1}),
    "F152-all-ones": layer_file("temporal_conv", words={2: mf.NONE, 3: mf.NONE}),
    "F155-no-steps": layer_file("delay", words={0: 0}),
    "F227-input-rank": layer_file("conv1d", frame=[2 * WIDTH]),
    "F227-w": layer_file("conv1d", slots={0: [3, 2, 3]}),
    "F227-w-rank": layer_file("conv1d", slots={0: [3, 6]}),
    "F227-bias": layer_file("conv1d", slots={1: [2]}),
    "F227-positions": layer_file("conv1d", words={0: 2}),
    "F227-output": layer_file("conv1d", shape=[WIDTH, 2]),
    "F227-no-position": layer_file("conv1d", words={1: 3}, shape=[1, 3]),
    "F227-taps-all-ones": layer_file("conv1d", words={1: mf.NONE}),
    "F227-positions-all-ones": layer_file("conv1d", words={2: mf.NONE, 3: mf.NONE}),
    "F228-odd": layer_file("magnitude", frame=[WIDTH + 1]),
    "F228-output": layer_file("magnitude", shape=[WIDTH]),
    "F229-output": layer_file("transpose", shape=[WIDTH, 3]),
    "F251-output": layer_file("reverse", shape=[WIDTH, 1]),
    "F252-input-rank": layer_file("temporal_conv", before="matrix", inputs=[1]),
    "F252-w": layer_file("temporal_conv", slots={0: [3, 3, 3]}),
    "F252-bias": layer_file("temporal_conv", slots={1: [3, 1]}),
    "F252-output": layer_file("temporal_conv", shape=[1, 3]),
    "F255-output": layer_file("delay", shape=[1]),
})
