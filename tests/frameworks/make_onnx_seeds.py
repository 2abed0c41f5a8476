# SPDX-License-Identifier: MIT
"""Write the small ONNX files in tests/seeds/onnx that the fuzzer and tests/test_import_onnx.c start
from: python3 tests/frameworks/make_onnx_seeds.py tests/seeds/onnx. Needs the onnx package."""
import os
import sys

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

T, B, I, H = 3, 2, 2, 3


def numbers(*shape):
    """Exact in every format, different everywhere."""
    n = int(np.prod(shape))
    return (((np.arange(n) * 7) % 23 - 11) / 16).astype(np.float32).reshape(shape)


def tensor(name, array):
    return numpy_helper.from_array(np.asarray(array), name)


def ints(name, *values):
    return tensor(name, np.array(values, np.int64))


def weights(gates, directions):
    return [tensor("W", numbers(directions, gates * H, I)), tensor("R", numbers(directions, gates * H, H)),
            tensor("B", numbers(directions, 2 * gates * H))]


def model(nodes, tensors, shape, x_type=TensorProto.FLOAT, inputs=(), outputs=("y",), opset=17):
    x = helper.make_tensor_value_info("x", x_type, shape)
    outs = [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in outputs]
    graph = helper.make_graph(nodes, "seed", [x, *inputs], outs, tensors)
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)
    helper.set_model_props(made, {"author": "seed"})
    return made


def seeds():
    n = helper.make_node
    state = lambda name: helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, "b", H])
    yield "lstm", model(
        [n("LSTM", ["x", "W", "R", "B", "", "h0", "c0", "P"], ["Y", "hn", "cn"], hidden_size=H, clip=2.0,
           activations=["HardSigmoid", "Tanh", "Affine"], activation_alpha=[0.25, 2.0],
           activation_beta=[0.5, 0.125], input_forget=1, name="cell"),
         n("Squeeze", ["Y", "one"], ["s"]), n("MatMul", ["s", "dense"], ["m"]),
         n("Add", ["m", "bias"], ["a"]),
         n("Softmax", ["a"], ["y"], axis=-1)],
        weights(4, 1) + [tensor("P", numbers(1, 3 * H)), tensor("dense", numbers(H, 2)),
                         tensor("bias", numbers(2)),
                         ints("one", 1), tensor("c0", numbers(1, 1, H))],
        ["t", "b", I], inputs=(state("h0"),), outputs=("y", "hn"))
    yield "gru", model(
        [n("Shape", ["x"], ["shape"]), n("Gather", ["shape", "at"], ["b"], axis=0),
         n("Concat", ["d", "b", "h"], ["size"], axis=0),
         n("ConstantOfShape", ["size"], ["h0"], value=tensor("", np.zeros(1, np.float32))),
         n("GRU", ["x", "W", "R", "B", "", "h0"], ["Y"], hidden_size=H, direction="bidirectional",
           linear_before_reset=1),
         n("Transpose", ["Y"], ["Yt"], perm=[0, 2, 1, 3]), n("Reshape", ["Yt", "to"], ["s"]),
         n("LayerNormalization", ["s", "scale"], ["l"], axis=-1, epsilon=1e-5),
         n("Gather", ["l", "last"], ["y"], axis=0)],
        weights(3, 2) + [ints("at", 1), ints("d", 2), ints("h", H), ints("to", 0, 0, -1),
                         tensor("scale", numbers(2 * H)),
                         tensor("last", np.array(-1))],
        [T, B, I])
    yield "rnn", model(
        [n("Gather", ["table", "x"], ["e"]), n("Transpose", ["e"], ["et"], perm=[1, 0, 2]),
         n("RNN", ["et", "W", "R", "B", "lengths"], ["Y", "hn"], hidden_size=H, activations=["Relu"]),
         n("Squeeze", ["hn", "zero"], ["h"]), n("Gemm", ["h", "dense", "bias"], ["g"], transB=1, alpha=0.5),
         n("Sigmoid", ["g"], ["y"])],
        weights(1, 1) + [tensor("table", numbers(5, I)), tensor("dense", numbers(2, H)),
                         tensor("bias", numbers(2)),
                         ints("zero", 0), tensor("lengths", np.array([T, T], np.int32))],
        [B, T], x_type=TensorProto.INT64)
    yield "layers", model(
        [n("Slice", ["x", "from", "upto", "axis"], ["a"]), n("Split", ["x", "parts"], ["p", "q"], axis=2),
         n("Tanh", ["p"], ["t"]), n("Mul", ["t", "q"], ["m"]), n("Concat", ["m", "a", "q"], ["c"], axis=2),
         n("Unsqueeze", ["c", "axis"], ["u"]), n("Add", ["u", "shift"], ["w"]),
         n("Reshape", ["w", "to"], ["r"]),
         n("Sub", ["r", "r"], ["z"]), n("ReduceMean", ["z"], ["k"], axes=[1], keepdims=0),
         n("Flatten", ["k"], ["y"])],
        [ints("from", 1), ints("upto", 9), ints("axis", 2), ints("parts", 1, 1), tensor("shift", numbers(3)),
         ints("to", 0, -1, 3)],
        ["b", "t", 2])


    yield from later_seeds()


def branch(nodes, name, output, tensors=()):
    return helper.make_graph(nodes, name, [],
                             [helper.make_tensor_value_info(output, TensorProto.FLOAT, None)],
                             list(tensors))


def later_seeds():
    n = helper.make_node
    value = helper.make_tensor_value_info
    inner = branch([n("Relu", ["t"], ["u"])], "inner", "u")
    other = branch([n("Frobnicate", ["t"], ["u"])], "other", "u")
    yield "if", model(
        [n("Shape", ["state"], ["ss"]), n("Gather", ["ss", "nil"], ["many"]),
         n("Cast", ["many"], ["given"], to=9),
         n("If", ["given"], ["v"],
           then_branch=branch([n("Tanh", ["x"], ["t"]), n("Equal", ["sr", "rate"], ["is"]),
                               n("If", ["is"], ["w"], then_branch=inner, else_branch=other)], "then", "w",
                              [tensor("rate", np.array(16000))]),
           else_branch=branch([n("Identity", ["x"], ["e"])], "else", "e")),
         n("Gather", ["state", "nil"], ["h0"], axis=0), n("Gather", ["state", "unit"], ["c0"], axis=0),
         n("Unsqueeze", ["v", "zero"], ["vu"]), n("Unsqueeze", ["h0", "zero"], ["hu"]),
         n("Unsqueeze", ["c0", "zero"], ["cu"]),
         n("LSTM", ["vu", "W", "R", "B", "", "hu", "cu"], ["Y", "hn", "cn"], hidden_size=H),
         n("Concat", ["hn", "cn"], ["after"], axis=0), n("Squeeze", ["hn", "zero"], ["y"])],
        weights(4, 1) + [tensor("nil", np.array(0)), tensor("unit", np.array(1)), ints("zero", 0)],
        ["b", "n"], inputs=(value("state", TensorProto.FLOAT, [2, "b", H]),
                            value("sr", TensorProto.INT64, [])),
        outputs=("y", "after"))
    yield "conv", model(
        [n("Pad", ["x", "pads"], ["p"], mode="reflect"), n("Unsqueeze", ["p", "one"], ["u"]),
         n("Conv", ["u", "basis"], ["c"], strides=[2]),
         n("Slice", ["c", "from", "half", "one"], ["re"]), n("Slice", ["c", "half", "end", "one"], ["im"]),
         n("Pow", ["re", "two"], ["re2"]), n("Mul", ["im", "im"], ["im2"]), n("Add", ["re2", "im2"], ["sum"]),
         n("Sqrt", ["sum"], ["mag"]),
         n("Conv", ["mag", "k", "kb"], ["d"], pads=[1, 1], strides=[2], group=3), n("Relu", ["d"], ["r"]),
         n("Transpose", ["r"], ["t"], perm=[0, 2, 1]), n("ReduceL2", ["t"], ["l"], axes=[-1]),
         n("Clip", ["l", "small"], ["lc"]), n("Div", ["t", "lc"], ["q"]), n("Clip", ["q", "lo", "hi"],
                                                                            ["y"])],
        [ints("pads", 0, 1, 0, 3), ints("one", 1), tensor("basis", numbers(6, 1, 4)), ints("from", 0),
         ints("half", 3),
         ints("end", 2**62), tensor("two", np.float32(2)), tensor("k", numbers(6, 1, 3)), tensor("kb",
                                                                                                 numbers(6)),
         tensor("small", np.float32(0.125)), tensor("lo", np.float32(0)), tensor("hi", np.float32(1))],
        ["b", 9])
    yield "cell", model(
        [n("DequantizeLinear", ["wq", "scale", "wz"], ["w"], axis=0),
         n("Gemm", ["h", "rw", "rb"], ["zh"], transB=1), n("Gemm", ["x", "w", "b"], ["zi"], transB=1),
         n("Add", ["zh", "zi"], ["z"]), n("Split", ["z", "sizes"], ["gi", "gf", "gg", "go"], axis=1),
         n("Sigmoid", ["gi"], ["i"]), n("Sigmoid", ["gf"], ["f"]), n("Tanh", ["gg"], ["g"]), n("Sigmoid",
                                                                                               ["go"], ["o"]),
         n("Mul", ["f", "c"], ["fc"]), n("Mul", ["i", "g"], ["ig"]), n("Add", ["fc", "ig"], ["c2"]),
         n("Tanh", ["c2"], ["tc"]), n("Mul", ["o", "tc"], ["h2"]),
         n("Gemm", ["h2", "gx", "gb"], ["qi"], transB=1), n("Gemm", ["k", "gh", "gb"], ["qh"], transB=1),
         n("Split", ["qi", "three"], ["ir", "iz", "in"], axis=1), n("Split", ["qh", "three"],
                                                                    ["hr", "hz", "hn"], axis=1),
         n("Add", ["hr", "ir"], ["r1"]), n("Sigmoid", ["r1"], ["r"]), n("Add", ["hz", "iz"], ["z1"]),
         n("Sigmoid", ["z1"], ["zz"]), n("Mul", ["hn", "r"], ["hm"]), n("Add", ["in", "hm"], ["n1"]),
         n("Tanh", ["n1"], ["nn"]), n("Sub", ["k", "nn"], ["df"]), n("Mul", ["df", "zz"], ["dz"]),
         n("Add", ["dz", "nn"], ["k2"]),
         n("MatMul", ["k2", "ux"], ["si"]), n("MatMul", ["s", "us"], ["sh"]), n("Add", ["si", "sh"], ["st"]),
         n("Relu", ["st"], ["y"])],
        [tensor("wq", (np.arange(4 * H * I) % 251).astype(np.uint8).reshape(4 * H, I)),
         tensor("scale", np.full(4 * H, 0.0625, np.float32)), tensor("wz", np.full(4 * H, 100, np.uint8)),
         tensor("rw", numbers(4 * H, H)), tensor("rb", numbers(4 * H)), tensor("b", numbers(4 * H)),
         ints("sizes", H, H, H, H), ints("three", H, H, H), tensor("gx", numbers(3 * H, H)),
         tensor("gh", numbers(3 * H, H)), tensor("gb", numbers(3 * H)), tensor("ux", numbers(H, 2)),
         tensor("us", numbers(2, 2))],
        ["b", I], inputs=tuple(value(name, TensorProto.FLOAT, ["b", size])
                               for name, size in (("h", H), ("c", H), ("k", H), ("s", 2))),
        outputs=("y", "c2", "k2"))


    yield "loop", loop_seed()
    yield "unrolled", unrolled_seed()
    yield "byhand", byhand_seed()
    yield "beside", beside_seed()
    yield "stride", stride_seed()


def stride_seed():
    """Fewer steps come out of the convolution, and what is behind it asks how many."""
    n = helper.make_node
    return model(
        [n("Transpose", ["x"], ["xt"], perm=[2, 0, 1]), n("Transpose", ["xt"], ["back"], perm=[1, 2, 0]),
         n("Conv", ["back", "k", "kb"], ["d"], pads=[1, 0], strides=[2], auto_pad="NOTSET"),
         n("Conv", ["back", "k", "kb"], ["e"], pads=[1, 0], strides=[2]),
         n("Relu", ["d"], ["r"]), n("Add", ["d", "r"], ["sum"]),
         n("Transpose", ["sum"], ["st"], perm=[2, 0, 1]),
         n("GRU", ["st", "W", "R", "B", ""], ["Y"], hidden_size=H),
         n("Shape", ["st"], ["sizes"]), n("Slice", ["sizes", "zero", "two"], ["tb"]),
         n("Concat", ["tb", "rest"], ["to"], axis=0), n("Reshape", ["Y", "to"], ["y"])],
        [tensor("k", numbers(I, I, 3)), tensor("kb", numbers(I)), ints("zero", 0), ints("two", 2),
         ints("rest", -1), ints("as_exported", 0, 0, -1)] + weights(3, 1), ["b", I, "t"],
        inputs=(helper.make_tensor_value_info("lengths", TensorProto.INT32, ["b"]),))


def loop_seed():
    """Two steps of an LSTM cell that an exporter unrolled; the first product is folded."""
    n = helper.make_node
    nodes, h, c = [], None, "c0"
    for t in range(2):
        name = lambda word, t=t: word + str(t)
        nodes += [n("Gather", ["x", name("at")], [name("x")], axis=1),
                  n("Gemm", [name("x"), "wi", "bi"], [name("zi")], transB=1)]
        if h:
            nodes.append(n("Gemm", [h, "wh", "bh"], [name("zh")], transB=1))
        gates = [name(word) for word in ("gi", "gf", "gg", "go")]
        nodes += [n("Add", [name("zh") if h else "folded", name("zi")], [name("z")]),
                  n("Split", [name("z"), "sizes"], gates, axis=1),
                  n("Sigmoid", [gates[0]], [name("i")]), n("Sigmoid", [gates[1]], [name("f")]),
                  n("Tanh", [gates[2]], [name("g")]), n("Sigmoid", [gates[3]], [name("o")]),
                  n("Mul", [name("f"), c], [name("fc")]), n("Mul", [name("i"), name("g")], [name("ig")]),
                  n("Add", [name("fc"), name("ig")], [name("c_")]), n("Tanh", [name("c_")], [name("tc")]),
                  n("Mul", [name("o"), name("tc")], [name("h_")])]
        h, c = name("h_"), name("c_")
    nodes += [n("Unsqueeze", ["h_0", "one"], ["u0"]), n("Unsqueeze", ["h_1", "one"], ["u1"]),
              n("Concat", ["u0", "u1"], ["y"], axis=1)]
    tensors = [tensor("wi", numbers(4 * H, I)), tensor("wh", numbers(4 * H, H)), tensor("bi", numbers(4 * H)),
               tensor("bh", numbers(4 * H)), tensor("folded", np.stack([numbers(4 * H)] * B)),
               tensor("c0", np.zeros((B, H), np.float32)), ints("sizes", H, H, H, H), ints("one", 1),
               tensor("at0", np.array(0)), tensor("at1", np.array(1))]
    return model(nodes, tensors, [B, 2, I])


def unrolled_seed():
    """nn.RNN in two directions as PyTorch's exporter unrolls it: the product with x for all steps at once,
    cut into steps by Slice or, backward, as a list; the first product with the state is folded."""
    n, H = helper.make_node, 2
    nodes = [n("MatMul", ["x", "wf"], ["pf"]), n("Add", ["pf", "bx"], ["xf"]),
             n("MatMul", ["x", "wb"], ["pb"]), n("Add", ["pb", "bx"], ["xb"]),
             n("Slice", ["xb", "end", "lowest", "at0", "end"], ["flip"]),
             n("SplitToSequence", ["flip"], ["list"], axis=0, keepdims=0)]
    for d in "fb":
        h = None
        for t in range(3):
            x, z, now = f"x{d}{t}", f"z{d}{t}", f"h{d}{t}"
            if d == "f":
                nodes += [n("Slice", ["xf", f"at{t}", f"at{t + 1}", "at0"], ["s" + x]),
                          n("Squeeze", ["s" + x, "at0"], [x])]
            else:
                nodes.append(n("SequenceAt", ["list", f"n{t}"], [x]))
            if h:
                nodes += [n("MatMul", [h, "u" + d], ["u" + z]), n("Add", ["u" + z, "bh"], ["b" + z])]
            nodes += [n("Add", ["b" + z if h else "folded", x], [z]), n("Tanh", [z], [now])]
            h = now
    nodes += [n("Concat", ["hf0", "hf1", "hf2"], ["yf"], axis=0),
              n("Concat", ["hb2", "hb1", "hb0"], ["yb"], axis=0), n("Concat", ["yf", "yb"], ["y"], axis=2)]
    tensors = [tensor("wf", numbers(I, H)), tensor("wb", numbers(I, H) * 2), tensor("uf", numbers(H, H)),
               tensor("ub", numbers(H, H) * 2), tensor("bx", numbers(H)), tensor("bh", numbers(H) / 2),
               tensor("folded", np.stack([[numbers(H) / 2] * B])), ints("end", -1), ints("lowest", -2**63)]
    tensors += [ints(f"at{t}", t) for t in range(4)] + [tensor(f"n{t}", np.array(t)) for t in range(3)]
    return model(nodes, tensors, ["t", B, I])


def byhand_seed():
    """One step of an LSTM with a product of x beside h for each gate, then of a GRU with the reset before
    its product, cut by Slice, z for what is new."""
    n = helper.make_node
    nodes = [n("Concat", ["x", "h"], ["xh"], axis=-1)]
    for k, gate in enumerate("ifgo"):
        nodes += [n("MatMul", ["xh", "w" + gate], ["p" + gate]),
                  n("Add", ["b" + gate, "p" + gate], ["s" + gate]),
                  n("Tanh" if gate == "g" else "Sigmoid", ["s" + gate], [gate])]
    nodes += [n("Mul", ["i", "g"], ["ig"]), n("Mul", ["c", "f"], ["fc"]), n("Add", ["ig", "fc"], ["c2"]),
              n("Tanh", ["c2"], ["tc"]), n("Mul", ["tc", "o"], ["h2"]),
              n("Gemm", ["h2", "vx", "vb"], ["gx"], transB=1), n("Gemm", ["k", "vk"], ["gk"], transB=1),
              n("Add", ["gx", "gk"], ["gs"]), n("Slice", ["gs", "n0", "n3", "last"], ["gr"]),
              n("Slice", ["gs", "n3", "n6", "last"], ["gz"]), n("Sigmoid", ["gr"], ["r"]),
              n("Sigmoid", ["gz"], ["z"]), n("Mul", ["r", "k"], ["rk"]), n("MatMul", ["rk", "un"], ["nk"]),
              n("MatMul", ["h2", "vn"], ["nx"]), n("Add", ["nx", "nk"], ["ns"]),
              n("Add", ["ns", "nb"], ["na"]), n("Tanh", ["na"], ["new"]), n("Sub", ["one", "z"], ["keep"]),
              n("Mul", ["keep", "k"], ["kept"]), n("Mul", ["z", "new"], ["taken"]),
              n("Add", ["taken", "kept"], ["k2"]), n("Neg", ["k2"], ["y"])]
    tensors = [tensor("w" + gate, numbers(I + H, H) * 2**k) for k, gate in enumerate("ifgo")]
    tensors += [tensor("b" + gate, numbers(H) * 2**k) for k, gate in enumerate("ifgo")]
    tensors += [tensor("vx", numbers(2 * H, H)), tensor("vk", numbers(2 * H, H) * 2),
                tensor("vb", numbers(2 * H)), tensor("un", numbers(H, H) * 4), tensor("vn", numbers(H, H) * 8),
                tensor("nb", numbers(H) * 4), tensor("one", np.float32(1)), ints("n0", 0), ints("n3", H),
                ints("n6", 2 * H), ints("last", -1)]
    states = tuple(helper.make_tensor_value_info(name, TensorProto.FLOAT, ["b", H]) for name in "hck")
    return model(nodes, tensors, ["b", I], inputs=states, outputs=("y", "h2", "c2", "k2"))


def beside_seed():
    """Two steps of an LSTM with one product of x beside h, its gates cut by Slice, from given first states."""
    n, ends = helper.make_node, [ints(f"n{k}", k * H) for k in range(5)]
    nodes, h, c = [], "h0", "c0"
    for t in range(2):
        name = lambda word, t=t: word + str(t)
        nodes += [n("Gather", ["x", name("at")], [name("x")], axis=1),
                  n("Concat", [name("x"), h], [name("xh")], axis=-1), n("MatMul", [name("xh"), "w"], [name("z")])]
        for k, gate in enumerate("ifgo"):
            nodes += [n("Slice", [name("z"), f"n{k}", f"n{k + 1}", "last"], [name("z" + gate)]),
                      n("Tanh" if gate == "g" else "Sigmoid", [name("z" + gate)], [name(gate)])]
        nodes += [n("Mul", [name("f"), c], [name("fc")]), n("Mul", [name("i"), name("g")], [name("ig")]),
                  n("Add", [name("fc"), name("ig")], [name("c_")]), n("Tanh", [name("c_")], [name("tc")]),
                  n("Mul", [name("o"), name("tc")], [name("h_")]),
                  n("Unsqueeze", [name("h_"), "last"], [name("u")])]
        h, c = name("h_"), name("c_")
    nodes += [n("Concat", ["u0", "u1"], ["yt"], axis=-1), n("Transpose", ["yt"], ["y"], perm=[0, 2, 1])]
    tensors = [tensor("w", numbers(I + H, 4 * H)), tensor("h0", numbers(1, H)), tensor("c0", numbers(1, H) * 2),
               ints("last", -1), tensor("at0", np.array(0)), tensor("at1", np.array(1))]
    return model(nodes, tensors + ends, [1, 2, I])


def main(folder):
    from onnx_nodes import loop  # which needs ONNX Runtime too
    for name, made in [*seeds(), ("while", loop())]:
        with open(os.path.join(folder, name + ".onnx"), "wb") as file:
            file.write(made.SerializeToString(deterministic=True))


if __name__ == "__main__":
    main(sys.argv[1])
