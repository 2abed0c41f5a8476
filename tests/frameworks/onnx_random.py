# SPDX-License-Identifier: MIT
"""Random ONNX models against ONNX Runtime on the same file: recurrent nodes with every option that both
take, cells written out operator by operator, and chains of convolutions inside a frame or over time, there
with strides and less padding too, and with a recurrent node behind them.
Recurrent nodes are also compared with a float64 program here: the error must be at ONNX Runtime's level.

    onnx_random.py [CONFIGURATIONS [SEED]]
"""
import tempfile

from onnx_common import Score, convert, np, ort, reference

import drawn
import lstmrun
from onnx import TensorProto, helper, numpy_helper

GATES = {"LSTM": 4, "GRU": 3, "RNN": 1}
node = helper.make_node


def constant(name, array):
    return numpy_helper.from_array(np.asarray(array), name)


def model_of(nodes, tensors, inputs, outputs, opset):
    infos = [helper.make_tensor_value_info(name, kind, shape) for name, kind, shape in inputs]
    outs = [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in outputs]
    graph = helper.make_graph(nodes, "random", infos, outs, tensors)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)


def run_lstmrun(model, frames, spec=None):
    """frames [batch][steps][size] to [batch][steps or 1][size]."""
    with tempfile.TemporaryDirectory() as folder:
        path, _ = convert(model, folder, spec)
        outputs, _ = lstmrun.Model(path).plan().run(list(frames))
    return np.stack(outputs)


# ---- recurrent nodes in float64 ----------------------------------------------

def sigmoid(x):
    return 1 / (1 + np.exp(-x))


ACTIVATIONS = {  # name: (function of x, alpha, beta; how many of these it takes)
    "Sigmoid": (lambda x, a, b: sigmoid(x), 0), "Tanh": (lambda x, a, b: np.tanh(x), 0),
    "Relu": (lambda x, a, b: np.maximum(x, 0), 0), "Softsign": (lambda x, a, b: x / (1 + np.abs(x)), 0),
    "Softplus": (lambda x, a, b: np.log1p(np.exp(x)), 0),
    "LeakyRelu": (lambda x, a, b: np.where(x < 0, a * x, x), 1),
    "ThresholdedRelu": (lambda x, a, b: np.where(x > a, x, 0), 1),
    "Elu": (lambda x, a, b: np.where(x < 0, a * np.expm1(x), x), 1),
    "ScaledTanh": (lambda x, a, b: a * np.tanh(b * x), 2),
    "HardSigmoid": (lambda x, a, b: np.clip(a * x + b, 0, 1), 2), "Affine": (lambda x, a, b: a * x + b, 2),
}


class Cell:
    """One recurrent node: what goes into the file, and the same in float64."""

    def __init__(self, rng):
        self.op = str(rng.choice(list(GATES)))
        self.direction = str(rng.choice(["forward", "reverse", "bidirectional"]))
        self.d = 2 if self.direction == "bidirectional" else 1
        self.t, self.b, self.i, self.h = (int(rng.integers(1, n)) for n in (9, 5, 12, 20))
        g, h, d, i = GATES[self.op], self.h, self.d, self.i
        floats = lambda *shape: (rng.standard_normal(shape) * 0.5).astype(np.float32)
        lstm = self.op == "LSTM"
        self.w, self.r = floats(d, g * h, i), floats(d, g * h, h)
        self.bias = floats(d, 2 * g * h) if rng.random() < 0.8 else None
        self.peephole = floats(d, 3 * h) if lstm and rng.random() < 0.4 else None
        self.h0 = floats(d, 1, h) if rng.random() < 0.4 else None
        self.c0 = floats(d, 1, h) if lstm and rng.random() < 0.4 else None
        self.lengths = rng.random() < 0.2
        self.clip = float(rng.choice([0.2, 0.7, 3.0])) if rng.random() < 0.3 else None
        self.coupled = int(lstm and rng.random() < 0.25)
        self.reset_after = int(self.op == "GRU" and rng.random() < 0.5)
        self.opset = int(rng.choice([11, 13, 14, 17, 20]))
        self.output = str(rng.choice(["Y", "Y_h"], p=[0.7, 0.3]))
        self.x = (rng.standard_normal((self.t, self.b, i))).astype(np.float32)
        self.choose_activations(rng)

    def choose_activations(self, rng):
        n = {"LSTM": 3, "GRU": 2, "RNN": 1}[self.op] * self.d
        usual = {"LSTM": ["Sigmoid", "Tanh", "Tanh"], "GRU": ["Sigmoid", "Tanh"],
                 "RNN": ["Tanh"]}[self.op] * self.d
        self.given = rng.random() < 0.6
        self.names = [str(rng.choice(list(ACTIVATIONS))) if self.given and rng.random() < 0.5 else usual[k]
                      for k in range(n)]
        self.numbers = [(float(np.float32(rng.uniform(0.1, 0.6))), float(np.float32(rng.uniform(0.1, 0.9))))
                        for _ in range(n)]

    def describe(self):
        return (f"{self.op} {self.direction} t{self.t}b{self.b}i{self.i}h{self.h} "
                f"bias={self.bias is not None} "
                f"peephole={self.peephole is not None} h0={self.h0 is not None} c0={self.c0 is not None} "
                f"lengths={self.lengths} clip={self.clip} coupled={self.coupled} "
                f"reset_after={self.reset_after} "
                f"{self.names if self.given else ''} {self.output} opset {self.opset}")

    def attributes(self):
        out = {"hidden_size": self.h, "direction": self.direction}
        if self.clip:
            out["clip"] = self.clip
        if self.coupled:
            out["input_forget"] = 1
        if self.reset_after:
            out["linear_before_reset"] = 1
        if self.given:
            out["activations"] = self.names
            alphas = [n[0] for name, n in zip(self.names, self.numbers) if ACTIVATIONS[name][1] > 0]
            betas = [n[1] for name, n in zip(self.names, self.numbers) if ACTIVATIONS[name][1] > 1]
            out.update({"activation_alpha": alphas} if alphas else {})
            out.update({"activation_beta": betas} if betas else {})
        return out

    def model(self):
        tensors = [constant("W", self.w), constant("R", self.r)]
        inputs = ["x", "W", "R", "", "", "", "", ""]
        optional = {3: ("B", self.bias),
                    4: ("L", np.full(self.b, self.t, np.int32) if self.lengths else None),
                    5: ("h0", self.h0), 6: ("c0", self.c0), 7: ("P", self.peephole)}
        for k, (name, array) in optional.items():
            if array is not None:
                if name in ("h0", "c0"):
                    array = np.repeat(array, self.b, axis=1)
                tensors.append(constant(name, array))
                inputs[k] = name
        while not inputs[-1]:
            inputs.pop()
        names = ["Y", "Y_h"] if self.output == "Y_h" else ["Y"]
        if self.output == "Y":
            tensors.append(constant("shape", np.array([0, 0, -1], np.int64)))
            after = [node("Transpose", ["Y"], ["Yt"], perm=[0, 2, 1, 3]),
                     node("Reshape", ["Yt", "shape"], ["y"])]
        else:
            after = [node("Transpose", ["Y_h"], ["y"], perm=[1, 0, 2])]
        first = node(self.op, inputs, names, name="cell", **self.attributes())
        return model_of([first] + after, tensors, [("x", TensorProto.FLOAT, [self.t, self.b, self.i])], ["y"],
                        self.opset)

    def act(self, d, k, x, clip=True):
        n = {"LSTM": 3, "GRU": 2, "RNN": 1}[self.op]
        name, numbers = self.names[d * n + k], self.numbers[d * n + k]
        if self.clip and clip:
            x = np.clip(x, -self.clip, self.clip)
        if name == "ThresholdedRelu":
            self.jump = min(self.jump, float(np.min(np.abs(x - numbers[0]))))
        return ACTIVATIONS[name][0](x, *numbers)

    def step(self, d, x, h, c):
        H = self.h
        w, r = self.w[d].astype(float), self.r[d].astype(float)
        n = len(w)
        bias = self.bias[d].astype(float) if self.bias is not None else np.zeros(2 * n)
        zx, zh = x @ w.T + bias[:n], h @ r.T + bias[n:]
        if self.op == "RNN":
            return self.act(d, 0, zx + zh), c
        if self.op == "GRU":
            z, r_gate = self.act(d, 0, (zx + zh)[:, :H]), self.act(d, 0, (zx + zh)[:, H:2 * H])
            if self.reset_after:
                inner = zx[:, 2 * H:] + r_gate * zh[:, 2 * H:]
            else:
                inner = zx[:, 2 * H:] + (r_gate * h) @ r[2 * H:].T + bias[n + 2 * H:]
            candidate = self.act(d, 1, inner)
            return (1 - z) * candidate + z * h, c
        p = self.peephole[d].astype(float) if self.peephole is not None else np.zeros(3 * H)
        s = zx + zh
        i = self.act(d, 0, s[:, :H] + p[:H] * c)
        f = 1 - i if self.coupled else self.act(d, 0, s[:, 2 * H:3 * H] + p[2 * H:] * c)
        c = f * c + i * self.act(d, 1, s[:, 3 * H:])
        o = self.act(d, 0, s[:, H:2 * H] + p[H:2 * H] * c)
        return o * self.act(d, 2, c, clip=False), c

    def exact(self):
        """[steps][batch][directions · units], and the final h as [batch][directions][units]."""
        all_steps, finals, self.jump, self.greatest = [], [], np.inf, 0.0
        for d in range(self.d):
            start = lambda s: np.zeros((self.b, self.h)) if s is None else np.repeat(s[d].astype(float),
                                                                                     self.b, 0)
            h, c = start(self.h0), start(self.c0)
            forward = self.direction == "forward" or (self.d == 2 and d == 0)
            order = range(self.t) if forward else reversed(range(self.t))
            steps = [None] * self.t
            for t in order:
                h, c = self.step(d, self.x[t].astype(float), h, c)
                self.greatest = np.max([self.greatest, np.max(np.abs(h)), np.max(np.abs(c))])
                steps[t] = h
            all_steps.append(np.stack(steps))
            finals.append(h)
        return np.concatenate(all_steps, 2), np.stack(finals, 1)


MOST_ERROR, LEAST_ERROR = 1e-3, 2.0**-24  # of ONNX Runtime's that count: it may overflow, it may be lucky


def draw_cell(rng):
    """One whose numbers do not run away, as activations without bounds may let them (c, too, which the output may
    hide), and stay away from the place where an activation jumps: there the last bit decides."""
    while True:
        cell = Cell(rng)
        cell.exact()
        if cell.greatest < 100 and cell.jump > 1e-4:
            return cell


def check_cell(name, rng, totals):
    cell = draw_cell(rng)
    model = cell.model()
    theirs = reference(model, {"x": cell.x})
    ours = run_lstmrun(model, np.swapaxes(cell.x, 0, 1))
    steps, final = cell.exact()
    exact = steps if cell.output == "Y" else final
    ours = np.swapaxes(ours, 0, 1) if cell.output == "Y" else ours
    scale = max(1.0, float(np.max(np.abs(exact))))
    error = [float(np.max(np.abs(got.reshape(-1) - exact.reshape(-1)))) / scale for got in (ours, theirs)]
    error[1] = min(error[1], MOST_ERROR) if np.isfinite(error[1]) else MOST_ERROR
    totals.append(error)
    # One case is one draw of each, and gates without bounds amplify what was drawn; check_mean holds all together.
    assert error[0] <= 8 * error[1] + 1e-5, \
        f"{name}: {error[0]:.3g} from float64, ONNX Runtime {error[1]:.3g}: {cell.describe()}"
    return error[0], None


# ---- cells written out ---------------------------------------------------------

def written_out(rng):
    """A graph of one step as PyTorch writes its cells, with states as inputs; (model, states, sizes)."""
    kind = str(rng.choice(["LSTM", "GRU", "RNN"]))
    i, h = int(rng.integers(1, 12)), int(rng.integers(1, 16))
    g = GATES[kind]
    swap = lambda a, b: [a, b] if rng.random() < 0.5 else [b, a]
    floats = lambda *shape: (rng.standard_normal(shape) * 0.5).astype(np.float32)
    matmul = kind != "GRU" and rng.random() < 0.3
    weights = [constant("wi", floats(i, g * h) if matmul else floats(g * h, i)),
               constant("wh", floats(h, g * h) if matmul else floats(g * h, h)), constant("bi",
                                                                                          floats(g * h)),
               constant("bh", floats(g * h)), constant("sizes", np.full(g, h, np.int64))]
    if matmul:
        nodes = [node("MatMul", ["x", "wi"], ["zi"]), node("MatMul", ["h", "wh"], ["zh"])]
    else:
        bias = rng.random() < 0.8
        nodes = [node("Gemm", ["x", "wi"] + ["bi"] * bias, ["zi"], transB=1),
                 node("Gemm", ["h", "wh"] + ["bh"] * bias, ["zh"], transB=1)]
        if rng.random() < 0.5:
            nodes.reverse()
    parts = [f"g{k}" for k in range(g)]
    if kind == "RNN":
        act = str(rng.choice(["Tanh", "Relu"]))
        nodes += [node("Add", swap("zi", "zh"), ["z"]), node(act, ["z"], ["h2"])]
    elif kind == "GRU":
        nodes += [node("Split", ["zi", "sizes"], ["ir", "iz", "in"], axis=1),
                  node("Split", ["zh", "sizes"], ["hr", "hz", "hn"], axis=1),
                  node("Add", swap("hr", "ir"), ["r1"]), node("Sigmoid", ["r1"], ["r"]),
                  node("Add", swap("hz", "iz"), ["z1"]), node("Sigmoid", ["z1"], ["z"]),
                  node("Mul", swap("hn", "r"), ["q"]), node("Add", swap("in", "q"), ["n1"]),
                  node("Tanh", ["n1"], ["n"]), node("Sub", ["h", "n"], ["d"]), node("Mul", swap("d", "z"),
                                                                                    ["e"]),
                  node("Add", swap("e", "n"), ["h2"])]
    else:
        order = list(rng.permutation(4))
        i_, f_, g_, o_ = (parts[k] for k in order)
        total = "z"
        nodes.append(node("Add", swap("zi", "zh"), ["z"]))
        if matmul:
            nodes.append(node("Add", swap("z", "bi"), ["zb"]))
            total = "zb"
        nodes += [node("Split", [total, "sizes"], parts, axis=-1), node("Sigmoid", [i_], ["i"]),
                  node("Sigmoid", [f_], ["f"]), node("Tanh", [g_], ["g"]), node("Sigmoid", [o_], ["o"]),
                  node("Mul", swap("f", "c"), ["fc"]), node("Mul", swap("i", "g"), ["ig"]),
                  node("Add", swap("fc", "ig"), ["c2"]), node("Tanh", ["c2"], ["tc"]),
                  node("Mul", swap("o", "tc"), ["h2"])]
    weights.append(constant("head", floats(h, 3)))
    nodes.append(node("MatMul", ["h2", "head"], ["y"]))
    states = ["h", "c"] if kind == "LSTM" else ["h"]
    batch = [1, "b"][int(rng.integers(2))]
    inputs = [("x", TensorProto.FLOAT, [batch, i])] + [(s, TensorProto.FLOAT, [batch, h]) for s in states]
    return model_of(nodes, weights, inputs, ["y"] + [s + "2" for s in states], 17), states, (kind, i, h)


def check_written_out(name, rng, totals):
    model, states, (kind, i, h) = written_out(rng)
    steps = int(rng.integers(2, 20))
    x = rng.standard_normal((steps, 1, i)).astype(np.float32)
    now, wanted = {s: np.zeros((1, h), np.float32) for s in states}, []
    options = ort.SessionOptions()
    options.log_severity_level = 3
    session = ort.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    for frame in x:
        results = session.run(None, {"x": frame, **now})
        wanted.append(results[0])
        now = dict(zip(states, results[1:]))
    ours = run_lstmrun(model, np.swapaxes(x, 0, 1))
    error = float(np.max(np.abs(ours.reshape(-1) - np.concatenate(wanted).reshape(-1))))
    limit = 2e-5 * max(1, float(np.max(np.abs(wanted))))
    assert error <= limit, f"{name}: {kind} i{i}h{h} differs by {error:.3g}"
    return error, None


# ---- convolutions ----------------------------------------------------------------

def recurrent_tail(rng, nodes, tensors, at, c):
    """From [batch][c][steps], what a model does behind its convolutions: y is [batch][steps or 1][…]."""
    floats = lambda *size: (rng.standard_normal(size) * 0.4).astype(np.float32)
    op, h = str(rng.choice(list(GATES))), int(rng.integers(1, 9))
    d = int(rng.integers(1, 3))
    end = str(rng.choice(["none", "steps", "shaped", "states", "last", "mean"]))
    if end == "none":
        nodes.append(node("Transpose", [at], ["y"], perm=[0, 2, 1]))
        return ""
    nodes += [node("Transpose", [at], ["tb"], perm=[2, 0, 1]),
              node(op, ["tb", "W", "R", "B"], ["Y", "Yh"], hidden_size=h,
                   direction="bidirectional" if d == 2 else str(rng.choice(["forward", "reverse"])))]
    tensors += [constant("W", floats(d, GATES[op] * h, c)), constant("R", floats(d, GATES[op] * h, h)),
                constant("B", floats(d, 2 * GATES[op] * h))]
    if end == "states":
        nodes.append(node("Transpose", ["Yh"], ["y"], perm=[1, 0, 2]))
        return f" {op} {d} {end}"
    tensors += [constant("rest", np.array([-1], np.int64)), constant("as_is", np.array([0, 0, -1], np.int64)),
                constant("zeroth", np.array([0], np.int64)), constant("two", np.array([2], np.int64))]
    shape = "as_is"
    if end == "shaped": # the number of steps, asked for behind the convolutions
        nodes += [node("Shape", ["tb"], ["sizes"]), node("Slice", ["sizes", "zeroth", "two"], ["tb_sizes"]),
                  node("Concat", ["tb_sizes", "rest"], ["to"], axis=0)]
        shape = "to"
    nodes += [node("Transpose", ["Y"], ["Yt"], perm=[0, 2, 1, 3]), node("Reshape", ["Yt", shape], ["seq"]),
              node("Transpose", ["seq"], ["all"], perm=[1, 0, 2])]
    if end == "last":
        nodes.append(node("Gather", ["all", "rest"], ["y"], axis=1))
    else:
        nodes.append(node("ReduceMean", ["all"], ["y"], axes=[1]) if end == "mean"
                     else node("Identity", ["all"], ["y"]))
    return f" {op} {d} {end}"


def conv_chain(rng):
    """Pad, Conv, magnitude, activation, again and again: (model, shape of a frame, over time, text)."""
    in_time = rng.random() < 0.4
    c, length = int(rng.integers(1, 7)), int(rng.integers(5, 40))
    shape, text, nodes, tensors, at = (c, length), "", [], [], "x"
    floats = lambda *size: (rng.standard_normal(size) * 0.4).astype(np.float32)
    for k in range(int(rng.integers(1, 4))):
        groups = int(rng.choice([n for n in (1, 1, 2, 3) if c % n == 0]))
        out = groups * int(rng.integers(1, 5)) * (2 if rng.random() < 0.5 else 1)
        kernel, dilation, stride = int(rng.integers(1, 5)), int(rng.integers(1, 3)), int(rng.integers(1, 4))
        reach = dilation * (kernel - 1)
        attributes = {"dilations": [dilation], "group": groups}
        mode = str(rng.choice(["none", "own", "constant", "reflect", "edge", "SAME_UPPER", "SAME_LOWER"]))
        fewer = in_time and rng.random() < 0.6
        if in_time and not fewer:
            stride = 1
            mode = "constant" if mode == "none" else mode
        if fewer and stride > 1 and kernel > 1 and mode.startswith("SAME"):
            mode = "own" # depends on the number of steps: refused
        before = int(rng.integers(0, reach + 1)) if in_time else int(rng.integers(0, 4))
        after = reach - before if in_time else int(rng.integers(0, 4))
        after = int(rng.integers(0, after + 1)) if fewer else after
        if mode == "reflect" and (max(before, after) >= length or in_time):
            mode = "constant" # as long as a run may be shorter than the padding
        if mode in ("constant", "reflect", "edge"):
            tensors.append(constant(f"p{k}", np.array([0, 0, before, 0, 0, after], np.int64)))
            nodes.append(node("Pad", [at, f"p{k}"], [f"pad{k}"], mode=mode))
            at = f"pad{k}"
        elif mode == "own":
            attributes["pads"] = [before, after]
        elif mode != "none":
            if dilation > 1: # ONNX Runtime computes SAME without dilations
                dilation, reach = 1, kernel - 1
                attributes["dilations"] = [1]
            attributes["auto_pad"] = mode
            before = after = 0
        if mode == "none":
            before = after = 0
        same = mode.startswith("SAME")
        if not same and length + before + after < reach + 1:
            break
        attributes["strides"] = [stride]
        tensors.append(constant(f"w{k}", floats(out, c // groups, kernel)))
        bias = rng.random() < 0.7
        if bias:
            tensors.append(constant(f"b{k}", floats(out)))
        nodes.append(node("Conv", [at, f"w{k}"] + [f"b{k}"] * bias, [f"conv{k}"], **attributes))
        at = f"conv{k}"
        length = -(-length // stride) if same else (length + before + after - reach - 1) // stride + 1
        text += f" conv {c}->{out} k{kernel}s{stride}d{dilation}g{groups} {mode} {before}+{after}"
        c = out
        if c % 2 == 0 and rng.random() < 0.4:
            tensors += [constant(f"{n}{k}", np.array([v], np.int64))
                        for n, v in (("zero", 0), ("half", c // 2), ("end", 2**40), ("one", 1))]
            tensors.append(constant(f"two{k}", np.float32(2)))
            nodes += [node("Slice", [at, f"zero{k}", f"half{k}", f"one{k}"], [f"re{k}"]),
                      node("Slice", [at, f"half{k}", f"end{k}", f"one{k}"], [f"im{k}"]),
                      node("Pow", [f"re{k}", f"two{k}"], [f"re2{k}"]), node("Mul", [f"im{k}", f"im{k}"],
                                                                            [f"im2{k}"]),
                      node("Add", [f"re2{k}", f"im2{k}"], [f"sum{k}"]), node("Sqrt", [f"sum{k}"],
                                                                             [f"mag{k}"])]
            at, c, text = f"mag{k}", c // 2, text + " magnitude"
        act = str(rng.choice(["Relu", "Sigmoid", "Tanh", ""]))
        if act:
            nodes.append(node(act, [at], [f"act{k}"]))
            at, text = f"act{k}", text + " " + act
    if not nodes or nodes[-1].op_type == "Pad":
        return None
    if in_time:
        text += recurrent_tail(rng, nodes, tensors, at, c)
    else:
        nodes.append(node("Identity", [at], ["y"]) if rng.random() < 0.5
                     else node("Transpose", [at], ["y"], perm=[0, 2, 1]))
    size = ["b", shape[0], "t" if in_time and rng.random() < 0.7 else shape[1]]
    return model_of(nodes, tensors, [("x", TensorProto.FLOAT, size)], ["y"], 17), shape, in_time, text


def check_convs(name, rng, totals):
    made = None
    while not made:
        made = conv_chain(rng)
    return compare_convs(name, rng, *made)


def check_tap_of_padding(name, rng, totals):
    """A last tap that only ever meets padding; without it the kernel would fit twice."""
    tensors = [constant("w", rng.standard_normal((3, 1, 3)).astype(np.float32))]
    nodes = [node("Conv", ["x", "w"], ["y"], dilations=[2], pads=[0, 1])]
    model = model_of(nodes, tensors, [("x", TensorProto.FLOAT, ["b", 1, 4])], ["y"], 17)
    return compare_convs(name, rng, model, (1, 4), False, "")


def compare_convs(name, rng, model, shape, in_time, text):
    x = rng.standard_normal((3, *shape)).astype(np.float32)
    wanted = reference(model, {"x": x})
    frames = x.transpose(0, 2, 1) if in_time else x.reshape(1, 3, -1)
    spec = None if in_time else '{"input": {"size": %d}}' % (shape[0] * shape[1])
    ours = run_lstmrun(model, np.ascontiguousarray(frames), spec)
    error = float(np.max(np.abs(ours.reshape(-1) - wanted.reshape(-1))))
    limit = 2e-5 * max(1, float(np.max(np.abs(wanted))))
    assert error <= limit, f"{name}: differs by {error:.3g}: {'time' if in_time else 'frame'} {shape}{text}"
    return error, None


def check_mean(name, totals):
    """Of the ratios, in logarithms: one case whose gates amplify outweighs all others in a mean of errors. Over 300
    cases it was 0.87 with a standard deviation of 0.02."""
    ours, theirs = np.maximum(np.array(totals), LEAST_ERROR).T
    ratio = float(np.exp(np.mean(np.log(ours / theirs))))
    print(f"errors to float64, geometric mean over {len(totals)} cells: {ratio:.3f} times ONNX Runtime's")
    assert ratio <= 1.1, f"{name}: {ratio:.3f} times ONNX Runtime's"
    return 0.0, None


def main():
    n, seed = drawn.arguments(300)
    print(f"seed {seed}: {n} recurrent nodes, {n // 3} cells written out, {n // 3} chains of convolutions")
    score, totals = Score(), []
    checks = ((check_cell, n), (check_written_out, n // 3), (check_convs, n // 3), (check_tap_of_padding, 1))
    for check, count in checks:
        for k in range(count):
            score.case(f"{check.__name__} {k}", check, np.random.default_rng([seed, k, len(check.__name__)]),
                       totals)
    score.case("mean error", check_mean, totals)
    score.finish()


if __name__ == "__main__":
    main()
