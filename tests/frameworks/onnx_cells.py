# SPDX-License-Identifier: MIT
"""Recurrent cells that somebody wrote out by hand, in random ways, against ONNX Runtime on the same
graph: one step with states as inputs, or a loop over steps that was unrolled. And loops that look like
one but are none: each must be refused.

    onnx_cells.py [CONFIGURATIONS [SEED]]
"""
import drawn
from onnx_common import Score, check_refused, np, onnx, reference
from onnx_random import constant, model_of, node, run_lstmrun

from onnx import TensorProto

GATES = {"LSTM": "ifgo", "GRU": "rzn", "RNN": "a"}
FLOAT = TensorProto.FLOAT


class Graph:
    """Nodes and constants with names made as they are needed."""

    def __init__(self):
        self.nodes, self.tensors, self.count = [], [], 0

    def op(self, kind, *inputs, outputs=1, **attributes):
        self.count += 1
        names = [f"{kind.lower()}{self.count}" + (f"_{k}" if outputs > 1 else "") for k in range(outputs)]
        self.nodes.append(node(kind, list(inputs), names, name=f"{kind.lower()}{self.count}", **attributes))
        return names[0] if outputs == 1 else names

    def tensor(self, name, array):
        if not any(tensor.name == name for tensor in self.tensors):
            self.tensors.append(constant(name, array))
        return name

    def ints(self, *values):
        return self.tensor("ints" + "_".join(map(str, values)), np.array(values, np.int64))


class Written:
    """How one cell is written; `build` gives the graph for so many steps."""

    def __init__(self, rng, kind=None):
        self.kind = kind or str(rng.choice(list(GATES)))
        self.i, self.h, self.b = (int(rng.integers(1, n)) for n in (9, 9, 4))
        self.gates = list(rng.permutation(list(GATES[self.kind])))
        self.reset_after = bool(rng.random() < 0.5)
        self.products = str(rng.choice(["all", "gate", "joined", "joined gate"]))
        if self.kind == "GRU" and "joined" in self.products:
            self.reset_after = False
        self.act = str(rng.choice(["Tanh", "Relu"])) if self.kind == "RNN" else "Tanh"
        self.h_first, self.bias = bool(rng.random() < 0.5), bool(rng.random() < 0.8)
        self.cut, self.mix = str(rng.choice(["Split", "Slice"])), int(rng.integers(5))
        self.order_seed = int(rng.integers(1 << 30))
        self.hoisted = bool(rng.random() < 0.2) and "joined" not in self.products
        floats = lambda *shape: (rng.standard_normal(shape) * 0.5).astype(np.float32)
        self.w = {g: floats(self.h, self.i) for g in self.gates}
        self.u = {g: floats(self.h, self.h) for g in self.gates}
        self.bx, self.bh = ({g: floats(self.h) for g in self.gates} for _ in range(2))
        self.first = floats(2, 1, self.h) if rng.random() < 0.3 else np.zeros((2, 1, self.h), np.float32)
        self.gemm = bool(rng.random() < 0.5)

    def describe(self):
        return (f"{self.kind} i{self.i}h{self.h} {self.products}{' hoisted' if self.hoisted else ''} "
                f"reset_after={self.reset_after} gates={''.join(self.gates)} {self.cut} mix {self.mix} "
                f"bias={self.bias} gemm={self.gemm}")

    # -- sums

    def swap(self, a, b):
        return [a, b] if self.order.random() < 0.5 else [b, a]

    def add_all(self, g, terms):
        """In any association."""
        terms = list(terms)
        while len(terms) > 1:
            a, b = self.order.choice(len(terms), 2, replace=False)
            joined = g.op("Add", terms[a], terms[b])
            terms = [t for k, t in enumerate(terms) if k not in (a, b)] + [joined]
        return terms[0]

    def product(self, g, name, value, matrix, bias, bias_name):
        """Terms of matrix · value + bias; the graph's matrices are [in][out] or for a Gemm either."""
        if value in self.steps_of_x: # the product with all steps at once
            if name not in self.whole:
                terms = [g.op("MatMul", "x", g.tensor(name + "t", np.ascontiguousarray(matrix.T)))]
                self.whole[name] = self.add_all(g, terms + ([g.tensor(bias_name, bias)] if self.bias else []))
            return [g.op("Gather", self.whole[name], self.steps_of_x[value], axis=1)]
        if self.gemm:
            biases = [g.tensor(bias_name, bias)] if self.bias else []
            return [g.op("Gemm", value, g.tensor(name, matrix), *biases, transB=1)]
        terms = [g.op("MatMul", value, g.tensor(name + "t", np.ascontiguousarray(matrix.T)))]
        return terms + ([g.tensor(bias_name, bias)] if self.bias else [])

    def cut_out(self, g, total, k, n, pieces):
        if n == 1:
            return total
        if self.cut == "Slice":
            return g.op("Slice", total, g.ints(k * self.h), g.ints((k + 1) * self.h), g.ints(1))
        if total not in pieces:
            pieces[total] = g.op("Split", total, g.ints(*[self.h] * n), outputs=n, axis=1)
        return pieces[total][k]

    def side(self, g, which, value, gates, pieces):
        """Terms of one operand for each of the gates; value may be what the steps' product gave."""
        matrices, biases = (self.w, self.bx) if which == "x" else (self.u, self.bh)
        if "gate" in self.products:
            return {q: self.product(g, which + q, value, matrices[q], biases[q], f"b{which}{q}")
                    for q in gates}
        name = which + "".join(gates)
        terms = self.product(g, name, value, np.concatenate([matrices[q] for q in gates]),
                             np.concatenate([biases[q] for q in gates]), "b" + name)
        total = self.add_all(g, terms)
        return {q: [self.cut_out(g, total, k, len(gates), pieces)] for k, q in enumerate(gates)}

    def joined(self, g, x, h, gates, pieces):
        value = g.op("Concat", *([h, x] if self.h_first else [x, h]), axis=1)
        both = {q: np.concatenate([self.u[q], self.w[q]] if self.h_first else [self.w[q], self.u[q]], 1)
                for q in gates}
        if "gate" in self.products:
            return {q: self.product(g, "j" + q, value, both[q], self.bx[q], "bj" + q) for q in gates}
        name = "j" + "".join(gates)
        total = self.add_all(g, self.product(g, name, value, np.concatenate([both[q] for q in gates]),
                                             np.concatenate([self.bx[q] for q in gates]), "b" + name))
        return {q: [self.cut_out(g, total, k, len(gates), pieces)] for k, q in enumerate(gates)}

    def terms(self, g, x, h, gates, pieces):
        if "joined" in self.products:
            return self.joined(g, x, h, gates, pieces)
        a, b = self.side(g, "x", x, gates, pieces), self.side(g, "h", h, gates, pieces)
        return {q: a[q] + b[q] for q in gates}

    # -- cells

    def lstm(self, g, x, h, c):
        sums = {q: self.add_all(g, t) for q, t in self.terms(g, x, h, self.gates, {}).items()}
        i, f, o = (g.op("Sigmoid", sums[q]) for q in "ifo")
        update = g.op("Mul", *self.swap(i, g.op("Tanh", sums["g"])))
        c = g.op("Add", *self.swap(g.op("Mul", *self.swap(f, c)), update))
        return g.op("Mul", *self.swap(o, g.op("Tanh", c))), c

    def gru(self, g, x, h):
        pieces = {}
        if self.reset_after:
            a, b = self.side(g, "x", x, self.gates, pieces), self.side(g, "h", h, self.gates, pieces)
            r, z = (g.op("Sigmoid", self.add_all(g, a[q] + b[q])) for q in "rz")
            gated = g.op("Mul", *self.swap(r, self.add_all(g, b["n"])))
            n = g.op("Tanh", self.add_all(g, a["n"] + [gated]))
        else:
            sums = self.terms(g, x, h, [q for q in self.gates if q != "n"], pieces)
            r, z = (g.op("Sigmoid", self.add_all(g, sums[q])) for q in "rz")
            reset = g.op("Mul", *self.swap(r, h))
            n = g.op("Tanh", self.add_all(g, self.terms(g, x, reset, ["n"], {})["n"]))
        return self.mixed(g, n, z, h)

    def mixed(self, g, n, z, h):
        one = g.tensor("one", np.float32(1))
        if self.mix == 0:
            return g.op("Add", *self.swap(g.op("Mul", *self.swap(g.op("Sub", h, n), z)), n))
        if self.mix == 1:
            return g.op("Add", *self.swap(g.op("Mul", *self.swap(g.op("Sub", one, z), n)), g.op("Mul", z, h)))
        if self.mix == 2:  # z is what is taken of the new
            return g.op("Add", *self.swap(g.op("Mul", *self.swap(g.op("Sub", one, z), h)), g.op("Mul", z, n)))
        if self.mix == 3:
            return g.op("Sub", h, g.op("Mul", *self.swap(z, g.op("Sub", h, n))))
        return g.op("Add", g.op("Sub", n, g.op("Mul", z, n)), g.op("Mul", h, z))

    def step(self, g, x, h, c):
        if self.kind == "LSTM":
            return self.lstm(g, x, h, c)
        if self.kind == "GRU":
            return self.gru(g, x, h), None
        return g.op(self.act, self.add_all(g, self.terms(g, x, h, self.gates, {})["a"])), None

    # -- graphs

    def build_step(self):
        """One call; its states are inputs and outputs."""
        g, self.order = Graph(), np.random.default_rng(self.order_seed)
        self.steps_of_x = {}
        h, c = self.step(g, "x", "h", "c")
        y = g.op("MatMul", h, g.tensor("head", np.eye(self.h, dtype=np.float32)[::-1].copy()))
        states = ["h", "c"] if c else ["h"]
        g.nodes += [node("Identity", [value], [name + "2"]) for name, value in (("h", h), ("c", c)) if value]
        inputs = [("x", FLOAT, [1, self.i])] + [(s, FLOAT, [1, self.h]) for s in states]
        return model_of(g.nodes, g.tensors, inputs, [y] + [s + "2" for s in states], 17), states

    def build_loop(self, steps, backward=False, last=False, edit=None):
        """`edit` changes what a step reads: (t, dict of x, h, c) to the same."""
        g, states = Graph(), []
        self.whole, self.steps_of_x = {}, {}
        h = g.tensor("h0", np.repeat(self.first[0], self.b, 0))
        c = g.tensor("c0", np.repeat(self.first[1], self.b, 0)) if self.kind == "LSTM" else None
        for n in range(steps):
            self.order = np.random.default_rng(self.order_seed)
            t = steps - 1 - n if backward else n
            at = g.tensor(f"at{t}", np.int64(t))
            reads = {"x": g.op("Gather", "x", at, axis=1), "h": h, "c": c}
            if self.hoisted:
                self.steps_of_x[reads["x"]] = at
            if edit:
                reads = edit(g, n, reads, states) or reads
            h, c = self.step(g, reads["x"], reads["h"], reads["c"])
            states.append((h, c))
        out = [h for h, _ in states]
        if backward:
            out.reverse()
        y = (out[0] if backward else out[-1]) if last else \
            g.op("Concat", *[g.op("Unsqueeze", h, g.ints(1)) for h in out], axis=1)
        g.nodes.append(node("Identity", [y], ["y"]))
        return model_of(g.nodes, g.tensors, [("x", FLOAT, [self.b, steps, self.i])], ["y"], 17)


def close(name, got, wanted, text):
    """Of the largest number wanted, if that is above 1: without a bound states grow."""
    error = np.max(np.abs(got.reshape(-1) - wanted.reshape(-1))) / max(1, np.max(np.abs(wanted)))
    assert error <= 1e-5, f"{name}: differs by {error:.3g}: {text}"
    return float(error), None


def check_step(name, rng):
    cell = Written(rng)
    model, states = cell.build_step()
    x = rng.standard_normal((12, 1, cell.i)).astype(np.float32)
    session = onnx_session(model)
    now, wanted = {s: np.zeros((1, cell.h), np.float32) for s in states}, []
    for frame in x:
        results = session.run(None, {"x": frame, **now})
        wanted.append(results[0])
        now = dict(zip(states, results[1:]))
    return close(name, run_lstmrun(model, np.swapaxes(x, 0, 1)), np.concatenate(wanted), cell.describe())


def onnx_session(model):
    import onnxruntime as ort
    options = ort.SessionOptions()
    options.log_severity_level = 3
    return ort.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])


def check_loop(name, rng):
    """Converted from the graph for a few steps, run for more: as the graph for more steps gives."""
    cell, steps = Written(rng), int(rng.integers(2, 6))
    backward, last = bool(rng.random() < 0.3), bool(rng.random() < 0.3)
    longer = steps + int(rng.integers(0, 4))
    x = rng.standard_normal((cell.b, longer, cell.i)).astype(np.float32)
    wanted = reference(cell.build_loop(longer, backward, last), {"x": x})
    text = f"{cell.describe()} {steps} steps{' backward' if backward else ''}{' last' if last else ''}"
    return close(name, run_lstmrun(cell.build_loop(steps, backward, last), x), wanted, text)


# ---- what looks like a loop over a cell and is none ------------------------------

def other_x(g, n, reads, states):
    if n == 2:
        return {**reads, "x": g.op("Gather", "x", g.tensor("at1", np.int64(1)), axis=1)}


def older_state(g, n, reads, states):
    if n == 3:
        return {**reads, "h": states[1][0]}


def older_c(g, n, reads, states):
    if n == 3:
        return {**reads, "c": states[1][1]}


def forgotten_state(g, n, reads, states):
    if n == 2:
        return {**reads, "h": "h0"}


def scaled_state(g, n, reads, states):
    if n > 0:
        return {**reads, "h": g.op("Mul", reads["h"], g.tensor("half", np.float32(0.5)))}


def changed(model, change):
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    change(copy.graph)
    return copy


def of_kind(graph, kind):
    return [n for n in graph.node if n.op_type == kind]


def other_weights_of_one_step(graph):
    gemm = of_kind(graph, "Gemm")[5]
    tensor = next(t for t in graph.initializer if t.name == gemm.input[1])
    array = onnx.numpy_helper.to_array(tensor).copy()
    array[0, 0] += 1
    graph.initializer.append(constant("other", array))
    gemm.input[1] = "other"


def other_sign_of_one_step(graph):
    """The update of c or h of one step, with a difference for a sum."""
    of_kind(graph, "Add")[-1].op_type = "Sub"


def outputs_in_other_order(graph):
    concat = of_kind(graph, "Concat")[-1]
    a, b = concat.input[1], concat.input[2]
    concat.input[1], concat.input[2] = b, a


def one_output_less(graph):
    del of_kind(graph, "Concat")[-1].input[-1]


def other_activation(graph):
    of_kind(graph, "Sigmoid")[4].op_type = "Tanh"


def gate_with_other_input(graph):
    """One product of a step takes the x of another one."""
    gathers = [n.output[0] for n in of_kind(graph, "Gather")]
    for gemm in of_kind(graph, "Gemm"):
        if gemm.input[0] == gathers[2]:
            gemm.input[0] = gathers[1]
            return


def wrong_sign_everywhere(graph):
    for n in of_kind(graph, "Add"):
        if any(n.input[0] == m.output[0] or n.input[1] == m.output[0] for m in of_kind(graph, "Mul")):
            n.op_type = "Sub"


def plain(kind, **options):
    """A cell as most people would write it."""
    cell = Written(np.random.default_rng(7), kind)
    cell.i, cell.h, cell.b, cell.gemm, cell.bias, cell.products = 3, 4, 2, True, True, "gate"
    cell.reset_after, cell.hoisted, cell.cut, cell.mix = True, False, "Split", 1
    rng = np.random.default_rng(1)
    floats = lambda *shape: (rng.standard_normal(shape) * 0.5).astype(np.float32)
    cell.w, cell.u = {q: floats(4, 3) for q in cell.gates}, {q: floats(4, 4) for q in cell.gates}
    cell.bx = cell.bh = {q: floats(4) for q in cell.gates}
    cell.first = np.zeros((2, 1, 4), np.float32)
    for name, value in options.items():
        setattr(cell, name, value)
    return cell


def check_looks(score):
    kinds = ("LSTM", "GRU", "RNN")
    for kind in kinds:
        cell = plain(kind)
        good = cell.build_loop(4)
        score.case(f"a loop over an {kind}", lambda name, model=good: run_lstmrun(
            model, np.zeros((2, 9, 3), np.float32)) is None or None)
        edits = [other_x, older_state, forgotten_state, scaled_state] + [older_c] * (kind == "LSTM")
        for edit in edits:
            score.case(f"{kind} {edit.__name__}", check_refused, cell.build_loop(4, edit=edit), "node '")
        changes = [other_weights_of_one_step, outputs_in_other_order, one_output_less, gate_with_other_input]
        if kind != "RNN":
            changes += [other_sign_of_one_step, other_activation, wrong_sign_everywhere]
        for change in changes:
            score.case(f"{kind} {change.__name__}", check_refused, changed(good, change), "node '")
        if kind != "RNN":
            model = plain(kind).build_step()[0]
            for change in (other_activation_of_a_step, wrong_sign_everywhere):
                score.case(f"one step, {kind} {change.__name__}", check_refused, changed(model, change), "'")


def other_activation_of_a_step(graph):
    of_kind(graph, "Sigmoid")[1].op_type = "Relu"


def main():
    n, seed = drawn.arguments(300)
    print(f"seed {seed}: {n // 2} steps of cells, {n // 2} loops over cells")
    score = Score()
    for check in (check_step, check_loop):
        for k in range(n // 2):
            score.case(f"{check.__name__} {k}", check, np.random.default_rng([seed, k, len(check.__name__)]))
    check_looks(score)
    score.finish()


if __name__ == "__main__":
    main()
