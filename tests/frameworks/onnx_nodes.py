# SPDX-License-Identifier: MIT
"""LSTM, GRU and RNN nodes with every attribute and optional input, and the operators around them,
against ONNX Runtime on the same file."""
import itertools
import tempfile

from onnx_common import Score, check_model, check_refused, convert, np, onnx, reference

from onnx import TensorProto, helper, numpy_helper

GATES = {"LSTM": 4, "GRU": 3, "RNN": 1}
T, B, I, H = 7, 3, 5, 6
rng = np.random.default_rng(20)


def floats(*shape, scale=0.5):
    return (rng.standard_normal(shape) * scale).astype(np.float32)


def constant(name, array):
    return numpy_helper.from_array(np.asarray(array), name)


def model_of(nodes, initializers, x_shape, outputs=("y",), x_type=TensorProto.FLOAT, more_inputs=(),
             opset=17):
    inputs = [helper.make_tensor_value_info("x", x_type, x_shape), *more_inputs]
    outs = [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in outputs]
    graph = helper.make_graph(nodes, "test", inputs, outs, initializers)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)


def cell(op, directions=1, bias=True, peephole=False, h0=False, c0=False, lengths=None, **attributes):
    """A model of one recurrent node whose output is Y as [T][B][D * H]."""
    g = GATES[op]
    tensors = [constant("W", floats(directions, g * H, I)), constant("R", floats(directions, g * H, H))]
    inputs = ["x", "W", "R", "", "", "", "", ""]
    if bias:
        tensors.append(constant("B", floats(directions, 2 * g * H)))
        inputs[3] = "B"
    if lengths is not None:
        tensors.append(constant("lengths", np.array(lengths, np.int32)))
        inputs[4] = "lengths"
    for i, wanted, name in ((5, h0, "h0"), (6, c0, "c0")):
        if wanted:
            state = np.repeat(floats(directions, 1, H), B, axis=1)
            tensors.append(constant(name, state))
            inputs[i] = name
    if peephole:
        tensors.append(constant("P", floats(directions, 3 * H)))
        inputs[7] = "P"
    while not inputs[-1]:
        inputs.pop()
    tensors.append(constant("shape", np.array([0, 0, -1], np.int64)))
    nodes = [helper.make_node(op, inputs, ["Y"], name="cell", hidden_size=H, **attributes),
             helper.make_node("Transpose", ["Y"], ["Yt"], perm=[0, 2, 1, 3]),
             helper.make_node("Reshape", ["Yt", "shape"], ["y"])]
    return model_of(nodes, tensors, [T, B, I])


def check_cells(score):
    directions = (("forward", 1), ("reverse", 1), ("bidirectional", 2))
    for op, (direction, d), bias in itertools.product(GATES, directions, (True, False)):
        score.case(f"{op} {direction} bias={bias}", check_model, cell(op, d, bias, direction=direction),
                   floats(T, B, I, scale=1), in_axes="TB", out_axes="TB")
    for op, (direction, d) in itertools.product(GATES, directions):
        lstm = op == "LSTM"
        variants = {"states": dict(h0=True, c0=lstm), "h0 only": dict(h0=True), "clip": dict(clip=0.3),
                    "full lengths": dict(lengths=[T] * B)}
        if lstm:
            variants.update({"peephole": dict(peephole=True), "input_forget": dict(input_forget=1),
                             "all": dict(peephole=True, input_forget=1, clip=0.5, h0=True, c0=True)})
        if op == "GRU":
            variants.update({"reset after": dict(linear_before_reset=1),
                             "reset after, no bias": dict(linear_before_reset=1, bias=False)})
        for name, options in variants.items():
            score.case(f"{op} {direction} {name}", check_model, cell(op, d, direction=direction, **options),
                       floats(T, B, I, scale=1), in_axes="TB", out_axes="TB")


ACTIVATIONS = {  # name: numbers it takes
    "Sigmoid": 0, "Tanh": 0, "Relu": 0, "Softsign": 0, "Softplus": 0, "LeakyRelu": 1, "ThresholdedRelu": 1,
    "Elu": 1, "ScaledTanh": 2, "HardSigmoid": 2, "Affine": 2,
}


def check_activations(score):
    for op, (name, n) in itertools.product(GATES, ACTIVATIONS.items()):
        each = {"LSTM": ["Sigmoid", name, "Tanh"], "GRU": ["Sigmoid", name], "RNN": [name]}[op]
        both = each + [each[0], "Tanh", "Softsign"][:len(each)] if op != "RNN" else each + ["Tanh"]
        options = {}
        if n > 0:
            options["activation_alpha"] = [0.7]
        if n > 1:
            options["activation_beta"] = [0.4]
        score.case(f"{op} g = {name}", check_model, cell(op, 1, activations=each, **options),
                   floats(T, B, I, scale=1), in_axes="TB", out_axes="TB")
        score.case(f"{op} g = {name}, two directions", check_model,
                   cell(op, 2, direction="bidirectional", activations=both, **options),
                   floats(T, B, I, scale=1), in_axes="TB", out_axes="TB")
        if n and name not in ("ThresholdedRelu", "ScaledTanh", "Affine"):
            score.case(f"{op} g = {name}, default numbers", check_model, cell(op, 1, activations=each),
                       floats(T, B, I, scale=1), in_axes="TB", out_axes="TB")
    score.case("hard sigmoids in order", check_model,
               cell("LSTM", 1, activations=["HardSigmoid", "LEAKYRELU", "hardsigmoid"],
                    activation_alpha=[0.3, 0.1, 0.25], activation_beta=[0.45, 0.55]),
               floats(T, B, I, scale=1), in_axes="TB", out_axes="TB")


def check_layout_1(score):
    """ONNX Runtime does not have it: the same weights with layout 0 say what comes out."""
    for op, d in itertools.product(GATES, (1, 2)):
        weights = [constant("W", floats(d, GATES[op] * H, I)), constant("R", floats(d, GATES[op] * H, H)),
                   constant("B", floats(d, 2 * GATES[op] * H)), constant("shape",
                           np.array([0, 0, -1], np.int64))]
        direction = "bidirectional" if d == 2 else "forward"
        state = floats(d, 1, H)
        node = lambda layout: helper.make_node(op, ["x", "W", "R", "B", "", "h0"], ["Y"], hidden_size=H,
                                               direction=direction, layout=layout)
        batch_first = model_of([node(1), helper.make_node("Reshape", ["Y", "shape"], ["y"])],
                               weights + [constant("h0", np.repeat(state.transpose(1, 0, 2), B, 0))],
                               [B, T, I])
        time_first = model_of([node(0), helper.make_node("Transpose", ["Y"], ["Yt"], perm=[2, 0, 1, 3]),
                               helper.make_node("Reshape", ["Yt", "shape"], ["y"])],
                              weights + [constant("h0", np.repeat(state, B, 1))], [T, B, I])
        x = floats(B, T, I, scale=1)
        wanted = reference(time_first, {"x": np.ascontiguousarray(x.transpose(1, 0, 2))})
        score.case(f"{op} layout 1, {direction}", check_model, batch_first, x, wanted=wanted)


def after_lstm(nodes, tensors, opset=17, directions=1, frozen=True, outputs=("y",)):
    """LSTM on x [B][T][I], its output 's' as [B][T][D * H], then `nodes` from 's' to 'y'."""
    d = directions
    base = [constant("W", floats(d, 4 * H, I)), constant("R", floats(d, 4 * H, H)),
            constant("shape_y", np.array([0, 0, -1], np.int64))]
    first = [helper.make_node("Transpose", ["x"], ["xt"], perm=[1, 0, 2]),
             helper.make_node("LSTM", ["xt", "W", "R"], ["Y", "Yh", "Yc"], hidden_size=H, name="lstm",
                              direction="bidirectional" if d == 2 else "forward"),
             helper.make_node("Transpose", ["Y"], ["Yt"], perm=[2, 0, 1, 3]),
             helper.make_node("Reshape", ["Yt", "shape_y"], ["s"])]
    shape = [B, T, I] if frozen else ["batch", "time", I]
    return model_of(first + nodes, base + tensors, shape, outputs, opset=opset)


def check_layers(score):
    n = helper.make_node
    w, b, v = floats(H, 4), floats(4), floats(H)
    ints = lambda name, *values: constant(name, np.array(values, np.int64))
    scalar = lambda name, value: constant(name, np.array(value, np.int64))
    cases = {
        "Gemm on [B * T]": ([n("Reshape", ["s", "flat"], ["f"]), n("Gemm", ["f", "w", "b"], ["g"], alpha=0.5,
                                                                   beta=2.0),
                             n("Reshape", ["g", "back"], ["y"])],
                            [ints("flat", -1, H), ints("back", -1, T, 4), constant("w", w),
                             constant("b", b)]),
        "MatMul, Add": ([n("MatMul", ["s", "w"], ["m"]), n("Add", ["m", "b"], ["y"])],
                        [constant("w", w), constant("b", b)]),
        "Add, MatMul": ([n("MatMul", ["s", "w"], ["m"]), n("Add", ["b", "m"], ["y"])],
                        [constant("w", w), constant("b", b)]),
        "MatMul used twice": ([n("MatMul", ["s", "w"], ["m"]), n("Add", ["m", "b"], ["a"]),
                               n("Mul", ["a", "m"], ["y"])],
                              [constant("w", w), constant("b", b)]),
        "scale and shift": ([n("Mul", ["s", "v"], ["a"]), n("Add", ["a", "v"], ["c"]),
                             n("Sub", ["c", "v"], ["d"]),
                             n("Sub", ["v", "d"], ["e"]), n("Div", ["e", "two"], ["y"])],
                            [constant("v", v), constant("two", np.float32(2))]),
        "residual": ([n("Tanh", ["s"], ["t"]), n("Add", ["s", "t"], ["a"]), n("Sub", ["a", "t"], ["d"]),
                      n("Mul", ["d", "t"], ["y"])], []),
        "gate of one number": ([n("MatMul", ["s", "one"], ["m"]), n("Sigmoid", ["m"], ["g"]),
                                n("Mul", ["g", "s"], ["y"])],
                               [constant("one", floats(H, 1))]),
        "Concat": ([n("Concat", ["s", "s", "t"], ["y"], axis=-1), ], []),
        "Split": ([n("Split", ["s", "parts"], ["p", "q"], axis=2), n("Concat", ["q", "p"], ["y"], axis=2)],
                  [ints("parts", 2, 4)]),
        "Slice backward": ([n("Slice", ["s", "b0", "e0", "ax", "b0"], ["y"])],
                           [ints("b0", -1), ints("e0", -2**63), ints("ax", 1)]),
        "Slice of features": ([n("Slice", ["s", "b0", "e0", "ax", "st"], ["y"])],
                              [ints("b0", 1), ints("e0", 100), ints("ax", -1), ints("st", 2)]),
        "Gather of features": ([n("Gather", ["s", "idx"], ["y"], axis=2)], [ints("idx", 0, 2, 4)]),
        "Softmax": ([n("Softmax", ["s"], ["y"])], []),
        "LayerNormalization": ([n("LayerNormalization", ["s", "v", "b6"], ["y"], epsilon=1e-3)],
                               [constant("v", v), constant("b6", floats(H))]),
        "LayerNormalization without B": ([n("LayerNormalization", ["s", "v"], ["y"])], [constant("v", v)]),
        "BatchNormalization": ([n("Transpose", ["s"], ["c"], perm=[0, 2, 1]),
                                n("BatchNormalization", ["c", "v", "b6", "mean", "var"], ["d"]),
                                n("Transpose", ["d"], ["y"], perm=[0, 2, 1])],
                               [constant("v", v), constant("b6", floats(H)), constant("mean", floats(H)),
                                constant("var", np.abs(floats(H)) + 0.1)]),
        "HardSwish": ([n("HardSwish", ["s"], ["y"])], []),
        "Identity, Dropout, Cast, Neg": ([n("Identity", ["s"], ["a"]), n("Dropout", ["a"], ["c"]),
                                          n("Cast", ["c"], ["d"], to=1), n("Neg", ["d"], ["y"])], []),
        "Unsqueeze, Squeeze": ([n("Unsqueeze", ["s", "ax"], ["a"]), n("Relu", ["a"], ["c"]),
                                n("Squeeze", ["c", "ax"], ["y"])],
                               [ints("ax", 1)]),
    }
    for op in ("Sigmoid", "Tanh", "Relu", "LeakyRelu", "Elu", "Softsign", "Softplus", "HardSigmoid",
               "ThresholdedRelu"):
        cases[op] = ([n(op, ["s"], ["y"])], [])
    cases["Concat"][0].insert(0, n("Tanh", ["s"], ["t"]))
    for name, (nodes, tensors) in cases.items():
        score.case(name, check_model, after_lstm(nodes, tensors), floats(B, T, I, scale=1))
    once = {
        "Gather -1": ([n("Gather", ["s", "i"], ["y"], axis=1)], [scalar("i", -1)]),
        "Gather T-1": ([n("Gather", ["s", "i"], ["y"], axis=1)], [scalar("i", T - 1)]),
        "Slice [-1:]": ([n("Slice", ["s", "b0", "e0", "ax"], ["z"]), n("Squeeze", ["z", "ax"], ["y"])],
                        [ints("b0", -1), ints("e0", 2**63 - 1), ints("ax", 1)]),
        "Gather 0": ([n("Gather", ["s", "i"], ["y"], axis=1)], [scalar("i", 0)]),
        "Gather [0]": ([n("Gather", ["s", "i"], ["y"], axis=1)], [ints("i", 0)]),
        "Gather -T": ([n("Gather", ["s", "i"], ["y"], axis=1)], [scalar("i", -T)]),
        "Slice [0:1]": ([n("Slice", ["s", "b0", "e0", "ax"], ["z"]), n("Squeeze", ["z", "ax"], ["y"])],
                        [ints("b0", 0), ints("e0", 1), ints("ax", 1)]),
        "first backward": ([n("Slice", ["s", "b0", "e0", "ax", "b0"], ["z"]),
                            n("Gather", ["z", "i"], ["y"], axis=1)],
                           [ints("b0", -1), ints("e0", -2**63), ints("ax", 1), scalar("i", 0)]),
        "first and last": ([n("Gather", ["s", "f"], ["a"], axis=1), n("Gather", ["s", "i"], ["l"], axis=1),
                            n("Concat", ["a", "l"], ["y"], axis=1)], [scalar("f", 0), scalar("i", -1)]),
        "ReduceMean": ([n("ReduceMean", ["s"], ["y"], axes=[1], keepdims=0)], []),
        "ReduceMax": ([n("ReduceMax", ["s"], ["y"], axes=[1], keepdims=1)], []),
        "GlobalAveragePool": ([n("Transpose", ["s"], ["c"], perm=[0, 2, 1]),
                               n("GlobalAveragePool", ["c"], ["d"]),
                               n("Flatten", ["d"], ["y"])], []),
        "Y_h, Gemm": ([n("Squeeze", ["Yh", "ax"], ["h"]), n("Gemm", ["h", "w", "b"], ["y"])],
                      [ints("ax", 0), constant("w", w), constant("b", b)]),
        "mean and last": ([n("ReduceMean", ["s"], ["m"], axes=[1], keepdims=0),
                           n("Gather", ["s", "i"], ["l"], axis=1),
                           n("Concat", ["m", "l"], ["y"], axis=1)], [scalar("i", -1)]),
    }
    for name, (nodes, tensors) in once.items():
        score.case(name, check_model, after_lstm(nodes, tensors), floats(B, T, I, scale=1), out_axes="B")
    check_written_out_norms(score, v)
    old = ([n("Softmax", ["s"], ["y"], axis=2)], [])
    score.case("Softmax of opset 11", check_model, after_lstm(*old, opset=11), floats(B, T, I, scale=1))


def check_written_out_norms(score, v):
    """LayerNormalization as exporters write it for operator sets without it."""
    n = helper.make_node
    tensors = [constant("v", v), constant("b", floats(H)), constant("two", np.float32(2)),
               constant("eps", np.float32(1e-4))]
    square = {"Pow": n("Pow", ["d", "two"], ["q"]), "Mul": n("Mul", ["d", "d"], ["q"])}
    for name, node in square.items():
        nodes = [n("ReduceMean", ["s"], ["m"], axes=[-1]), n("Sub", ["s", "m"], ["d"]), node,
                 n("ReduceMean", ["q"], ["var"], axes=[2]), n("Add", ["var", "eps"], ["e"]),
                 n("Sqrt", ["e"], ["r"]),
                 n("Div", ["d", "r"], ["o"]), n("Mul", ["o", "v"], ["w"]), n("Add", ["w", "b"], ["y"])]
        score.case(f"layer norm with {name}", check_model, after_lstm(nodes, tensors, opset=13),
                   floats(B, T, I, scale=1))
    lone = [n("ReduceMean", ["s"], ["m"], axes=[-1]), n("Relu", ["m"], ["y"], name="bad")]
    score.case("refused: a mean of features", check_refused, after_lstm(lone, [], opset=13), "'bad'", "Relu",
               "mean")
    lone = [n("Sqrt", ["s"], ["y"], name="bad")]
    score.case("refused: Sqrt", check_refused, after_lstm(lone, []), "'bad'", "Sqrt")


def nodes_from_x(recurrent):
    return [helper.make_node("Transpose", ["x"], ["xt"], perm=[1, 0, 2]), recurrent]


def check_keras_style(score):
    """What tf2onnx makes of Keras: batch-major, lengths from the shape, dense layers on flattened steps."""
    n = helper.make_node
    ints = lambda name, *values: constant(name, np.array(values, np.int64))
    tensors = [constant("W", floats(1, 4 * H, I)), constant("R", floats(1, 4 * H, H)),
               constant("B", floats(1, 8 * H)),
               constant("w", floats(H, 4)), constant("b", floats(4)), ints("0", 0), ints("1", 1),
               ints("2", 2),
               ints("flat", -1, H), ints("four", 4), constant("first", np.array([0], np.int64)),
               ints("one_h", 1, 1, H)]
    nodes = [n("Transpose", ["x"], ["xt"], perm=[1, 0, 2]), n("Shape", ["xt"], ["sh"]),
             n("Slice", ["sh", "0", "1"], ["steps"]), n("Slice", ["sh", "1", "2"], ["items"]),
             n("Expand", ["steps", "items"], ["long"]), n("Cast", ["long"], ["lengths"], to=6),
             n("Concat", ["1", "items", "hid"], ["state"], axis=0), n("ConstantOfShape", ["state"], ["h0"]),
             n("LSTM", ["xt", "W", "R", "B", "lengths", "h0", "h0"], ["Y", "Yh", "Yc"], hidden_size=H),
             n("Squeeze", ["Y", "1"], ["ys"]), n("Transpose", ["ys"], ["s"], perm=[1, 0, 2]),
             n("Reshape", ["s", "flat"], ["f"]), n("MatMul", ["f", "w"], ["m"]), n("Add", ["m", "b"], ["a"]),
             n("Shape", ["s"], ["ss"]), n("Slice", ["ss", "0", "2"], ["lead"]),
             n("Concat", ["lead", "four"], ["to"], axis=0),
             n("Reshape", ["a", "to"], ["r"]), n("Softmax", ["r"], ["y"], axis=2)]
    model = model_of(nodes, tensors + [ints("hid", H)], ["batch", "time", I], opset=13)
    score.case("Keras style", check_model, model, floats(B, T, I, scale=1))
    frozen = model_of(nodes, tensors + [ints("hid", H)], [B, T, I], opset=13)
    score.case("Keras style, frozen sizes", check_model, frozen, floats(B, T, I, scale=1))
    pooled = nodes[:10] + [n("Squeeze", ["Yh", "0"], ["h"]), n("MatMul", ["h", "w"], ["m"]),
                           n("Add", ["m", "b"], ["y"])]
    score.case("Keras style, last", check_model, model_of(pooled, tensors + [ints("hid", H)],
                                                          ["batch", "time", I], opset=13),
               floats(B, T, I, scale=1), out_axes="B")
    # The state that both directions end with: a reverse one ends at the first step.
    nodes = [n("Transpose", ["Yh"], ["Yt"], perm=[1, 0, 2]), n("Reshape", ["Yt", "row"], ["h"]),
             n("Relu", ["h"], ["y"])]
    last_row = [ints("row", 0, -1)]
    x = floats(B, T, I, scale=1)
    both = n("LSTM", ["xt", "W", "R"], ["Y", "Yh"], hidden_size=H, direction="bidirectional")
    back = n("LSTM", ["xt", "W", "R"], ["Y", "Yh"], hidden_size=H, direction="reverse")
    for directions, node in ((2, both), (1, back)):
        weights = [constant("W", floats(directions, 4 * H, I)), constant("R", floats(directions, 4 * H, H))]
        score.case(f"final state, {directions} direction(s) with a reverse one", check_model,
                   model_of(nodes_from_x(node) + nodes, weights + last_row,
                            ["batch", "time", I]), x, out_axes="B")
    # One sequence without an axis for the batch, as nn.LSTM takes it.
    nodes = [n("Unsqueeze", ["x", "1"], ["xt"]), n("LSTM", ["xt", "W", "R", "B"], ["Y"], hidden_size=H),
             n("Squeeze", ["Y", "1"], ["s"]), n("Squeeze", ["s", "1"], ["y"])]
    x = floats(1, T, I, scale=1)
    score.case("no batch", check_model, model_of(nodes, tensors, ["time", I]), x, feeds={"x": x[0]})
    # Audio: channels before time.
    nodes = [n("Transpose", ["x"], ["xt"], perm=[2, 0, 1]), n("LSTM", ["xt", "W", "R", "B"], ["Y"],
                                                              hidden_size=H),
             n("Transpose", ["Y"], ["Yt"], perm=[2, 0, 1, 3]), n("Squeeze", ["Yt", "2"], ["y"])]
    x = floats(B, T, I, scale=1)
    score.case("channels first", check_model, model_of(nodes, tensors, ["batch", I, "time"]), x,
               feeds={"x": np.ascontiguousarray(x.transpose(0, 2, 1))})


def loop(step=1, rounds=None, limit=None, act="Tanh", wrong_state=False, first="h0"):
    """A plain RNN as tf2onnx writes it where it does not know the layer: a Loop that counts in whole numbers,
    compares them as floats and takes step t of the sequence with a Gather."""
    n = helper.make_node
    value = helper.make_tensor_value_info
    ints = lambda name, *values: constant(name, np.array(values, np.int64))
    product_of = "xt" if wrong_state else "h"
    body = helper.make_graph(
        [n("Gather", ["xs", "t"], ["xt"], axis=0), n("MatMul", ["xt", "w"], ["xw"]),
         n("Add", ["xw", "b"], ["xb"]),
         n("MatMul", [product_of, "r"], ["hr"]), n("Add", ["xb", "hr"], ["sum"]), n(act, ["sum"], ["new"]),
         n("Identity", ["new"], ["out"]), n("Add", ["t", "step"], ["t1"]), n("Cast", ["t1"], ["t1f"], to=1),
         n("Cast", ["n"], ["nf"], to=1), n("Less", ["t1f", "nf"], ["more"])], "body",
        [value("i", TensorProto.INT64, []), value("c", TensorProto.BOOL, []),
         value("t", TensorProto.INT32, []), value("h", TensorProto.FLOAT, [None, H]),
         value("n", TensorProto.INT32, [])],
        [value("more", TensorProto.BOOL, []), value("t1", TensorProto.INT32, []),
         value("new", TensorProto.FLOAT, [None, H]), value("n", TensorProto.INT32, []),
         value("out", TensorProto.FLOAT, [None, H])], [constant("step", np.array(step, np.int32))])
    size = I if not wrong_state else H
    tensors = [constant("w", floats(size, H)), constant("r", floats(H, H)), constant("b", floats(H)),
               constant("zero", np.array(0, np.int32)), constant("zerof", np.array(0, np.float32)),
               ints("at", 0), ints("after", 1), ints("hid", H)]
    if limit is not None:
        tensors.append(constant("limit", np.array(limit, np.int32)))
    if rounds is not None:
        tensors.append(constant("rounds", np.array(rounds, np.int64)))
    nodes = [n("Transpose", ["x"], ["xs"], perm=[1, 0, 2]), n("Shape", ["xs"], ["shape"]),
             n("Cast", ["shape"], ["shape32"], to=6), n("Slice", ["shape32", "at", "after"], ["steps1"]),
             n("Squeeze", ["steps1", "at"], ["steps"]), n("Cast", ["steps"], ["stepsf"], to=1),
             n("Less", ["zerof", "stepsf"], ["begin"]), n("Shape", ["x"], ["xshape"]),
             n("Slice", ["xshape", "at", "after"], ["items"]), n("Concat", ["items", "hid"], ["hs"], axis=0),
             n("Expand", ["zerof", "hs"], ["h0"]),
             n("Loop", ["rounds" if rounds is not None else "", "begin", "zero", first,
                        "limit" if limit is not None else "steps"], ["tn", "hn", "nn", "ys"], body=body,
               name="bad"),
             n("Transpose", ["ys"], ["y"], perm=[1, 0, 2])]
    return model_of(nodes, tensors, ["batch", "time", size], opset=17)


def check_loops(score):
    x = floats(B, T, I, scale=1)
    score.case("Loop", check_model, loop(), x)
    score.case("Loop, relu", check_model, loop(act="Relu"), x)
    refusals = {
        "two steps at once": (loop(step=2), "count"),
        "fewer rounds": (loop(rounds=2), "'bad'", "number of rounds"),
        "another limit": (loop(limit=4), "'bad'", "one round for each step"),
        "no state": (loop(wrong_state=True), "'bad'", "Loop"),
        "another function": (loop(act="Exp"), "Exp"),
        "a state that is computed": (loop(first="x"), "'bad'", "computed at run time"),
    }
    for name, (model, *words) in refusals.items():
        score.case(f"refused: Loop, {name}", check_refused, model, *words)


def check_states_and_lengths(score):
    h0 = helper.make_tensor_value_info("h0", TensorProto.FLOAT, [1, "batch", H])
    c0 = helper.make_tensor_value_info("c0", TensorProto.FLOAT, [1, "batch", H])
    tensors = [constant("W", floats(1, 4 * H, I)), constant("R", floats(1, 4 * H, H)),
               constant("one", np.array([1], np.int64))]
    nodes = [helper.make_node("LSTM", ["x", "W", "R", "", "", "h0", "c0"], ["Y", "hn", "cn"], hidden_size=H),
             helper.make_node("Squeeze", ["Y", "one"], ["y"])]
    model = model_of(nodes, tensors, ["time", "batch", I], ("y", "hn", "cn"), more_inputs=(h0, c0))
    zeros = np.zeros((1, B, H), np.float32)
    x = floats(T, B, I, scale=1)
    score.case("states as inputs", check_model, model, x, feeds={"x": x, "h0": zeros, "c0": zeros},
               in_axes="TB", out_axes="TB")
    # Exported for one step: a longer run is what a caller gets who carries the states.
    one_step = model_of(nodes, tensors, [1, B, I], ("y", "hn", "cn"), more_inputs=(h0, c0))
    states, outputs = (zeros, zeros), []
    for t in range(T):
        feeds = {"x": x[t:t + 1], "h0": states[0], "c0": states[1]}
        outputs.append(reference(one_step, feeds))
        states = reference(one_step, feeds, 1), reference(one_step, feeds, 2)
    score.case("exported for one step", check_model, one_step, x, in_axes="TB", out_axes="TB",
               wanted=np.concatenate(outputs))
    lengths = helper.make_tensor_value_info("lengths", TensorProto.INT32, ["batch"])
    nodes = [helper.make_node("LSTM", ["x", "W", "R", "", "lengths"], ["Y"], hidden_size=H), nodes[1]]
    model = model_of(nodes, tensors, ["time", "batch", I], more_inputs=(lengths,))
    score.case("lengths as input", check_model, model, x, feeds={"x": x, "lengths": np.full(B, T, np.int32)},
               in_axes="TB", out_axes="TB")


def check_metadata_left_out(name):
    model = after_lstm([helper.make_node("Relu", ["s"], ["y"])], [])
    for key, value in (("sample_rate", "abc"), ("labels", "a\nb"), ("input_names", "\n".join("x" * I)),
                       ("k", "v")):
        model.metadata_props.add(key=key, value=value)
    with tempfile.TemporaryDirectory() as folder:
        model_file, notes = convert(model, folder)
        with open(model_file, "rb") as file:
            data = file.read()
    for words in ("'sample_rate' is left out: 'abc', expected",
                  f"'labels' is left out: 2 names for {H} outputs"):
        assert words in notes, f"{name}: no \"{words}\" in: {notes}"
    assert b"input_names" in data and b"sample_rate" not in data and b"labels" not in data, name


def branch(nodes, output, tensors=()):
    return helper.make_graph(nodes, "branch", [],
                             [helper.make_tensor_value_info(output, TensorProto.FLOAT, None)],
                             list(tensors))


def check_ifs(score):
    """Conditions that are constant or follow from shapes; names of the outer graph; one branch counts."""
    n = helper.make_node
    scalar = lambda name, value: constant(name, np.array(value))
    relu, bad = branch([n("Relu", ["s"], ["a"])], "a"), branch([n("Erf", ["s"], ["b"])], "b")
    own = branch([n("Constant", [], ["v"], value=constant("", floats(H))), n("Mul", ["s", "v"], ["c"])], "c")
    for value in (True, False):
        score.case(f"If of a constant: {value}", check_model, after_lstm(
            [n("If", ["yes"], ["y"], then_branch=relu if value else bad, else_branch=bad if value else own)],
            [scalar("yes", value)]), floats(B, T, I, scale=1))
    rank = [n("Shape", ["s"], ["shape"]), n("Size", ["shape"], ["rank"]),
            n("Equal", ["rank", "three"], ["is"]),
            n("Not", ["is"], ["no"])]
    inner = branch([n("If", ["is"], ["d"], then_branch=own, else_branch=bad)], "d")
    score.case("If of a rank, in an If", check_model, after_lstm(
        rank + [n("If", ["no"], ["e"], then_branch=bad, else_branch=inner), n("Tanh", ["e"], ["y"])],
        [scalar("three", 3)]), floats(B, T, I, scale=1))
    size = [n("Shape", ["s"], ["shape"]), n("Gather", ["shape", "two"], ["last"]),
            n("Greater", ["last", "three"], ["is"])]
    score.case("If of a size", check_model, after_lstm(
        size + [n("If", ["is"], ["y"], then_branch=relu, else_branch=bad)],
        [scalar("three", 3), scalar("two", 2)]), floats(B, T, I, scale=1))
    state = helper.make_tensor_value_info("state", TensorProto.FLOAT, [2, 1, H])
    sr = helper.make_tensor_value_info("sr", TensorProto.INT64, [])
    nodes = [n("Equal", ["sr", "rate"], ["is"]),
             n("If", ["is"], ["v"], then_branch=branch([n("Relu", ["x"], ["a"])], "a"),
                                                   else_branch=branch([n("Tanh", ["x"], ["b"])], "b")),
             n("Unsqueeze", ["v", "zero"], ["vu"]), n("Slice", ["state", "zero", "one", "zero"], ["h0"]),
             n("Slice", ["state", "one", "two", "zero"], ["c0"]),
             n("LSTM", ["vu", "W", "R", "", "", "h0", "c0"], ["Y", "hn", "cn"], hidden_size=H),
             n("Concat", ["hn", "cn"], ["after"], axis=0), n("Squeeze", ["hn", "zero"], ["h"]),
             n("Relu", ["h"], ["y"])]
    tensors = [scalar("rate", 16000), constant("W", floats(1, 4 * H, I)), constant("R", floats(1, 4 * H, H))]
    tensors += [constant(name, np.array([k], np.int64)) for k, name in enumerate(("zero", "one", "two"))]
    model = model_of(nodes, tensors, [1, "n"], ("y", "after"), more_inputs=(state, sr))
    x = floats(1, T, I, scale=1)
    for rate in (16000, 8000):
        now, wanted = np.zeros((2, 1, H), np.float32), []
        for t in range(T):
            feeds = {"x": x[:, t], "state": now, "sr": np.array(rate)}
            wanted.append(reference(model, feeds))
            now = reference(model, feeds, 1)
        score.case(f"If of an input that the spec fixes: {rate}", check_model, model, x,
                   wanted=np.stack(wanted, 1),
                   spec='{"constants": {"sr": %d}, "input": {"size": %d}}' % (rate, I))
    joined = np.concatenate([np.concatenate([np.zeros((1, 1, 2), np.float32), x[:, :-1, -2:]], 1), x], 2)
    wide = model_of([n("Tanh", ["x"], ["y"])], [], ["b", "n"])
    score.case("context", check_model, wide, x, wanted=np.tanh(joined),
               spec='{"input": {"size": %d, "context": 2}}' % I)


def check_quantised(score):
    n = helper.make_node
    q = lambda name, *shape: constant(name, rng.integers(-127, 128, shape).astype(np.int8))
    nodes = [n("DequantizeLinear", ["Wq", "ws"], ["W"]),
             n("DequantizeLinear", ["Rq", "rs", "rz"], ["R"], axis=2),
             n("LSTM", ["x", "W", "R"], ["Y"], hidden_size=H), n("Squeeze", ["Y", "1"], ["s"]),
             n("DequantizeLinear", ["wq", "qs", "qz"], ["w"], axis=0), n("MatMul", ["s", "w"], ["y"])]
    tensors = [q("Wq", 1, 4 * H, I), constant("ws", np.float32(0.004)), q("Rq", 1, 4 * H, H),
               constant("rs", np.abs(floats(H, scale=0.01))), constant("rz", np.arange(H).astype(np.int8)),
               constant("wq", rng.integers(0, 256, (H, 4)).astype(np.uint8)),
               constant("qs", np.abs(floats(H, scale=0.01))),
               constant("qz", np.full(H, 128, np.uint8)), constant("1", np.array([1], np.int64))]
    x = floats(T, B, I, scale=1)
    score.case("DequantizeLinear", check_model, model_of(nodes, tensors, [T, B, I]), x, in_axes="TB",
               out_axes="TB")


def check_more_layers(score):
    n = helper.make_node
    number = lambda name, value: constant(name, np.float32(value))
    ints = lambda name, *values: constant(name, np.array(values, np.int64))
    length = [n("ReduceL2", ["s"], ["l"], axes=[-1])]
    cases = {
        "length": (length + [n("Div", ["s", "l"], ["y"])], []),
        "length, Clip, Expand": (length + [n("Clip", ["l", "e"], ["m"]), n("Shape", ["s"], ["shape"]),
                                           n("Expand", ["m", "shape"], ["x2"]), n("Div", ["s", "x2"], ["y"])],
                                 [number("e", 0.5)]),
        "length, Max": (length + [n("Max", ["l", "e"], ["m"]), n("Div", ["s", "m"], ["y"])],
                        [number("e", 0.25)]),
        "Clip 0 to 1": ([n("Clip", ["s", "a", "b"], ["y"])], [number("a", 0), number("b", 1)]),
        "Clip from 0": ([n("Clip", ["s", "a"], ["y"])], [number("a", 0)]),
        "square": ([n("Pow", ["s", "two"], ["p"]), n("Mul", ["s", "s"], ["m"]), n("Add", ["p", "m"], ["y"])],
                   [number("two", 2)]),
        "Clip of constants": ([n("Clip", ["v", "a", "b"], ["w"]), n("Mul", ["s", "w"], ["y"])],
                              [constant("v", floats(H)), number("a", -0.2), number("b", 0.3)]),
        "mean of one number": ([n("MatMul", ["s", "w"], ["m"]),
                                n("ReduceMean", ["m"], ["y"], axes=[2], keepdims=1)],
                               [constant("w", floats(H, 1))]),
        "features in another order": ([n("Reshape", ["s", "grid"], ["g"]),
                                       n("Transpose", ["g"], ["t"], perm=[0, 1, 3, 2]),
                                       n("Relu", ["t"], ["r"]), n("Reshape", ["r", "flat"], ["y"])],
                                      [ints("grid", 0, 0, 2, 3), ints("flat", 0, 0, -1)]),
        "Softmax over other features": ([n("Reshape", ["s", "grid"], ["g"]),
                                         n("Softmax", ["g"], ["f"], axis=2),
                                         n("Reshape", ["f", "flat"], ["y"])],
                                        [ints("grid", 0, 0, 2, 3), ints("flat", 0, 0, -1)]),
    }
    for name, (nodes, tensors) in cases.items():
        score.case(name, check_model, after_lstm(nodes, tensors), floats(B, T, I, scale=1))
    conv = lambda **options: [n("Transpose", ["s"], ["c"], perm=[0, 2, 1]),
                              n("Conv", ["c", "w", "b"], ["d"], **options), n("Relu", ["d"], ["r"]),
                              n("Transpose", ["r"], ["y"], perm=[0, 2, 1])]
    for name, kernel, options in (("causal", 3, dict(pads=[2, 0])), ("same", 3, dict(auto_pad="SAME_UPPER")),
                                  ("groups", 3, dict(pads=[1, 1], group=2)), ("1 x 1", 1, {}),
                                  ("dilated", 2, dict(pads=[3, 0], dilations=[3]))):
        tensors = [constant("w", floats(4, H // options.get("group", 1), kernel)), constant("b", floats(4))]
        score.case(f"Conv over time: {name}", check_model,
                   after_lstm(conv(**options), tensors, frozen=name != "same"),
                   floats(B, T, I, scale=1))
    pool = lambda op, **options: [n("Transpose", ["s"], ["c"], perm=[0, 2, 1]), n(op, ["c"], ["d"], **options),
                                  n("Transpose", ["d"], ["y"], perm=[0, 2, 1])]
    for name, op, options in (
            ("greatest", "MaxPool", dict(kernel_shape=[2], strides=[2])),
            ("greatest, rounded up", "MaxPool", dict(kernel_shape=[2], strides=[2], ceil_mode=1)),
            ("greatest, dilated", "MaxPool", dict(kernel_shape=[3], dilations=[2])),
            ("greatest, padded", "MaxPool", dict(kernel_shape=[5], strides=[3], pads=[2, 1])),
            ("greatest, SAME", "MaxPool", dict(kernel_shape=[2], strides=[2], auto_pad="SAME_UPPER")),
            ("mean", "AveragePool", dict(kernel_shape=[3], strides=[2])),
            ("mean, padding counted", "AveragePool", dict(kernel_shape=[3], pads=[1, 1], count_include_pad=1)),
            ("mean, padding not counted", "AveragePool", dict(kernel_shape=[4], strides=[2], pads=[2, 1])),
            ("mean, rounded up", "AveragePool", dict(kernel_shape=[3], strides=[3], ceil_mode=1))):
        score.case(f"Pool over time: {name}", check_model, after_lstm(pool(op, **options), []),
                   floats(B, T, I, scale=1))
    flat = [n("Transpose", ["s"], ["c"], perm=[0, 2, 1]), n("Unsqueeze", ["c", "ax"], ["u"]),
            n("Conv", ["u", "w"], ["d"], pads=[0, 1, 0, 1]), n("Squeeze", ["d", "ax"], ["r"]),
            n("Transpose", ["r"], ["y"], perm=[0, 2, 1])]
    score.case("Conv with a dimension of 1, as tf2onnx writes", check_model,
               after_lstm(flat, [constant("w", floats(4, H, 1, 3)), ints("ax", 2)]), floats(B, T, I, scale=1))


def more_refusals():
    n = helper.make_node
    one = lambda op, inputs=("s",), tensors=(), **options: after_lstm(
        [n(op, list(inputs), ["y"], name="bad", **options)], list(tensors))
    number = lambda name, value: constant(name, np.float32(value))
    ints = lambda name, *values: constant(name, np.array(values, np.int64))
    weights = [constant("w", floats(4, H, 3))]
    conv = lambda *before, **options: after_lstm(
        [n("Transpose", ["s"], ["c"], perm=[0, 2, 1]), *before,
         n("Conv", ["p" if before else "c", "w"], ["y"], name="bad", **options)],
        weights + [ints("pads", 0, 0, 2, 0, 0, 2)])
    pool = lambda op, **options: after_lstm([n("Transpose", ["s"], ["c"], perm=[0, 2, 1]),
                                             n(op, ["c"], ["y"], name="bad", **options)], [])
    cut = lambda mode: n("Pad", ["c", "pads"], ["p"], mode=mode, name="pad")
    out = {
        "If of computed values": (one("If", then_branch=branch([n("Relu", ["s"], ["a"])], "a"),
                                      else_branch=branch([n("Tanh", ["s"], ["b"])], "b")),
                                  "'bad'", "If", "condition ('s')"),
        "DynamicQuantizeLSTM": (one("DynamicQuantizeLSTM", domain="com.microsoft"), "'bad'",
                                "quantises its activations"),
        "pool that lengthens": (pool("MaxPool", kernel_shape=[3], pads=[2, 2]), "'bad'", "MaxPool",
                                "must not have more steps"),
        "pool with SAME and strides": (pool("AveragePool", kernel_shape=[3], strides=[2], auto_pad="SAME_UPPER"),
                                       "'bad'", "number of steps"),
        "pool rounded up": (pool("MaxPool", kernel_shape=[2], strides=[3], ceil_mode=1), "'bad'", "ceil_mode"),
        "pool rounded up that counts": (pool("AveragePool", kernel_shape=[5], strides=[2], pads=[1, 1], ceil_mode=1,
                                             count_include_pad=1), "'bad'", "ceil_mode", "counted"),
        "pool with pads and dilations": (pool("MaxPool", kernel_shape=[3], pads=[1, 1], dilations=[2]), "'bad'",
                                         "pads and dilations"),
        "pool of features": (one("MaxPool", kernel_shape=[2]), "'bad'", "MaxPool"),
        "pool's indices": (after_lstm([n("Transpose", ["s"], ["c"], perm=[0, 2, 1]),
                                       n("MaxPool", ["c"], ["d", "i"], kernel_shape=[2], name="bad"),
                                       n("Cast", ["i"], ["f"], to=1), n("Add", ["d", "f"], ["y"])], []),
                           "'bad'", "indices"),
        "Conv that lengthens": (conv(pads=[2, 1]), "'bad'", "Conv", "must not have more steps"),
        "Conv with SAME and strides over time": (conv(strides=[2], auto_pad="SAME_LOWER"), "'bad'",
                                                 "SAME_LOWER with strides = 2", "number of steps"),
        "Conv with negative pads": (conv(pads=[-1, 3]), "'bad'", "pads of -1"),
        "Conv on a reflecting Pad with pads": (conv(cut("reflect"), pads=[1, 1]), "'bad'", "reflects"),
        "Pad alone": (one("Pad", ("s", "pads"), [ints("pads", 0, 0, 1, 0, 0, 0)]), "'bad'", "Pad",
                      "before a Conv"),
        "Pad of the batch": (one("Pad", ("s", "pads"), [ints("pads", 1, 0, 0, 0, 0, 0)]), "'bad'", "batch"),
        "Pad with another number": (one("Pad", ("s", "pads", "v"),
                                        [ints("pads", 0, 1, 0, 0, 0, 0), number("v", 1)]),
                                    "'bad'", "another constant"),
        "Pad that wraps": (one("Pad", ("s", "pads"), [ints("pads", 0, 0, 1, 0, 0, 0)], mode="wrap"), "'bad'",
                           "wrap"),
        "Pow 3": (one("Pow", ("s", "v"), [number("v", 3)]), "'bad'", "exponent"),
        "Sqrt": (one("Sqrt"), "'bad'", "Sqrt", "magnitude"),
        "Clip to other numbers": (one("Clip", ("s", "v"), [number("v", -1)]), "'bad'", "Clip"),
        "length alone": (after_lstm([n("ReduceL2", ["s"], ["l"], axes=[-1]),
                                     n("Relu", ["l"], ["y"], name="bad")], []),
                         "'bad'", "Relu"),
        "length over time": (one("ReduceL2", axes=[1]), "'bad'", "ReduceL2", "last axis"),
        "blocks of scales": (after_lstm([n("DequantizeLinear", ["q", "v"], ["w"], name="bad", block_size=2),
                                         n("MatMul", ["s", "w"], ["y"])],
                                        [constant("q", np.ones((H, 4), np.int8)),
                                         constant("v", floats(H // 2, 4))]),
                             "'bad'", "block_size"),
        "transposed A": (after_lstm([n("Squeeze", ["Yh", "ax"], ["h"]),
                                     n("Gemm", ["h", "w"], ["y"], transA=1, name="bad")],
                                    [ints("ax", 0), constant("w", floats(H, 4))]), "'bad'", "transA"),
        "product of computed values": (one("MatMul", ("s", "s")), "'bad'", "MatMul"),
        "division by computed values": (one("Div", ("s", "s")), "'bad'", "Div"),
        "reversal": (one("Slice", ("s", "a", "b", "c", "d"),
                         [ints("a", -1), ints("b", -2**40), ints("c", 2),
                          ints("d", -1)]), "'bad'", "backwards"),
        "one item of the batch": (one("Gather", ("s", "i"), [constant("i", np.array(1))], axis=0), "'bad'",
                                  "batch"),
        "Cast that rounds": (one("Cast", to=7), "'bad'", "rounds"),
        "Expand that repeats": (one("Expand", ("s", "shape"), [ints("shape", 1, B, T, H)]), "'bad'",
                                "dimensions"),
        "mean over the batch": (one("ReduceMean", axes=[0]), "'bad'", "axis 0"),
        "batch statistics": (one("BatchNormalization", ("s", "g", "g", "g", "g"), [constant("g", floats(T))],
                                 training_mode=1), "'bad'", "training_mode"),
    }
    for op in ("Scan", "LogSoftmax", "Erf", "Exp", "Sin", "QuantizeLinear",
               "TopK",
               "ScatterElements", "NonZero", "ConvTranspose", "Einsum", "CumSum", "ReduceSum"):
        out[op] = (one(op), "'bad'", op, "not supported")
    for op in ("Less", "Greater", "Not", "Where", "Range"):
        out[f"{op} of computed values"] = (one(op), "'bad'", op)
    return out


def check_refusals(score):
    n = helper.make_node
    range_of = lambda start, end: [constant("b0", np.array([start])), constant("e0", np.array([end])),
                                   constant("ax", np.array([1]))]
    refusals = {
        "Erf": (after_lstm([n("Erf", ["s"], ["y"], name="bad")], []), "'bad'", "Erf"),
        "attribute": (cell("LSTM", output_sequence=1), "output_sequence", "LSTM", "'cell'"),
        "domain": (after_lstm([n("Gelu", ["s"], ["y"], name="bad", domain="com.microsoft")], []),
                   "com.microsoft"),
        "W as input": (model_of([n("RNN", ["x", "W", "R"], ["y"], hidden_size=H)],
                                [constant("R", floats(1, H, H))],
                                [T, B, I], more_inputs=(helper.make_tensor_value_info("W", 1, [1, H, I]),)),
                       "graph's input 'W'", "RNN"),
        "Affine without numbers": (cell("RNN", activations=["Affine"]), "affine", "activation_alpha"),
        "too many alphas": (cell("RNN", activations=["Elu"], activation_alpha=[1.0, 2.0]),
                            "activation_alpha"),
        "short lengths": (cell("LSTM", lengths=[T, 2, T]), "sequence_lens"),
        "clip 0": (cell("LSTM", clip=0.0), "clip"),
        "hidden_size": (cell("LSTM", directions=2), "W"),
        "second step": (after_lstm([n("Gather", ["s", "i"], ["y"], axis=1, name="bad")],
                                   [constant("i", np.array(1))]),
                        "'bad'", "Gather", "some steps"),
        "no step": (after_lstm([n("Slice", ["s", "b0", "e0", "ax"], ["y"], name="bad")], range_of(-1, 0)),
                    "'bad'", "Slice", "some steps"),
        "two steps": (after_lstm([n("Slice", ["s", "b0", "e0", "ax"], ["y"], name="bad")], range_of(0, 2)),
                      "'bad'", "Slice", "some steps"),
        "axes twice": (after_lstm([n("Unsqueeze", ["s", "ax"], ["y"], name="bad")],
                                  [constant("ax", np.array([1, 1]))]),
                       "'bad'", "Unsqueeze", "twice"),
        "axis that is not 1": (after_lstm([n("Squeeze", ["s", "ax"], ["y"], name="bad")],
                                          [constant("ax", np.array([2]))]),
                               "'bad'", "Squeeze", "axes has 2"),
        "two outputs": (after_lstm([n("Relu", ["s"], ["y"]), n("Tanh", ["s"], ["z"])], [],
                                   outputs=("y", "z")),
                        "--spec", "'z'"),
        "cell state": (after_lstm([n("Relu", ["Yc"], ["y"], name="bad")], []), "'bad'", "Relu", "cell state"),
    }
    refusals.update(more_refusals())
    for name, (model, *words) in refusals.items():
        score.case(f"refused: {name}", check_refused, model, *words)
    two = refusals["two outputs"][0]
    x = floats(B, T, I, scale=1)
    score.case("metadata that cannot be", check_metadata_left_out)
    score.case("the output chosen", check_model, two, x, output=1, spec='{"output": "z"}')


if __name__ == "__main__":
    total = Score()
    check_cells(total)
    check_activations(total)
    check_layout_1(total)
    check_layers(total)
    check_keras_style(total)
    check_loops(total)
    check_states_and_lengths(total)
    check_ifs(total)
    check_quantised(total)
    check_more_layers(total)
    check_refusals(total)
    total.finish()
