# SPDX-License-Identifier: MIT
"""Models as PyTorch exports them, in both modes, against ONNX Runtime on the same file. The exported
sizes of batch and time are not those of the run, wherever the exporter leaves a choice."""
import itertools
import os
import sys
import tempfile
import warnings
import zlib

from onnx_common import Score, check_model, check_refused, np, reference

try:
    import torch
    from torch import nn
except ImportError as missing:
    print(f"skipped: {missing}")
    sys.exit(77)

warnings.filterwarnings("ignore")
T, B, I, H = 6, 2, 3, 4


class Net(nn.Module):
    def __init__(self, kind, layers, bidirectional, batch_first, head, **options):
        super().__init__()
        self.head, self.batch_first = head, batch_first
        self.embedding = nn.Embedding(11, I) if head == "embedding" else None
        self.rnn = getattr(nn, kind)(I, H, num_layers=layers, bidirectional=bidirectional,
                                     batch_first=batch_first, **options)
        width = H * (2 if bidirectional else 1)
        self.norm, self.fc, self.fc2 = nn.LayerNorm(width), nn.Linear(width, 5), nn.Linear(5, 2)

    def forward(self, x):
        if self.embedding:
            x = self.embedding(x)
        y, state = self.rnn(x)
        if self.head == "all":
            return self.fc(y)
        if self.head == "last":
            return self.fc(y[:, -1] if self.batch_first else y[-1])
        if self.head == "state":
            return self.fc((state[0] if isinstance(state, tuple) else state)[-1])
        if self.head == "mean":
            return self.fc(y.mean(1 if self.batch_first else 0))
        if self.head == "max":
            return self.fc(y.max(1 if self.batch_first else 0).values)
        if self.head == "norm":
            return torch.softmax(self.fc2(torch.relu(self.fc(self.norm(y)))), -1)
        if self.head == "residual":
            return torch.sigmoid(self.fc(y + self.norm(y) * 0.5))
        return self.fc2(torch.tanh(self.fc(y)))


def check_export(name, arguments, dynamo, dynamic, options):
    torch.manual_seed(zlib.crc32(name.encode()))
    net = Net(*arguments, **options).eval()
    batch_first, head = arguments[3], arguments[4]
    shape = (B, T) if batch_first else (T, B)
    x = torch.randint(0, 11, shape) if head == "embedding" else torch.randn(*shape, I)
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "exported.onnx")
        export_to(net, (x,), path, dynamo, dynamic)
        run = 2 * np.asarray(x) if head != "embedding" else np.asarray(x)
        if not dynamic:  # ONNX Runtime keeps to the frozen sizes; PyTorch says what a longer run gives
            run = np.concatenate([run, run[:, ::-1]], 1 if batch_first else 0)
            with torch.no_grad():
                wanted = net(torch.from_numpy(run.copy())).numpy()
        else:
            wanted = reference(path, {"x": run})
        axes = "BT" if batch_first else "TB"
        once = head in ("last", "state", "mean", "max")
        return check_model(name, path, run, in_axes=axes, out_axes="B" if once else axes, wanted=wanted)


class CellNet(nn.Module):
    """One step: a cell with its states from outside, and a head."""

    def __init__(self, kind):
        super().__init__()
        self.cell, self.fc = getattr(nn, kind)(I, H), nn.Linear(H, 2)

    def forward(self, x, *states):
        after = self.cell(x, states if len(states) == 2 else states[0])
        after = after if isinstance(after, tuple) else (after,)
        return self.fc(after[0]), *after


class StateNet(nn.Module):
    """A stack whose states are inputs and outputs, for calls with one step."""

    def __init__(self, kind):
        super().__init__()
        self.rnn, self.fc = getattr(nn, kind)(I, H, num_layers=2, batch_first=True), nn.Linear(H, 2)

    def forward(self, x, *states):
        y, after = self.rnn(x, states if len(states) == 2 else states[0])
        return self.fc(y), *(after if isinstance(after, tuple) else (after,))


class LearnedNet(nn.Module):
    """A stack with initial states that were learned."""

    def __init__(self, kind):
        super().__init__()
        self.rnn = getattr(nn, kind)(I, H, num_layers=2, batch_first=True, bidirectional=True)
        self.start = nn.ParameterList([torch.randn(4, 1, H) for _ in range(2 if kind == "LSTM" else 1)])

    def forward(self, x):
        states = tuple(state.expand(-1, x.shape[0], -1).contiguous() for state in self.start)
        return self.rnn(x, states if len(states) == 2 else states[0])[0]


class ConvNet(nn.Module):
    """Convolutions over time around a recurrent layer, and an embedding of length 1 at the end."""

    def __init__(self, kind):
        super().__init__()
        self.a, self.norm = nn.Conv1d(I, 6, 3, padding=1), nn.BatchNorm1d(6)
        self.b = nn.Conv1d(6, 5, 3, dilation=2)
        self.rnn, self.fc = getattr(nn, kind)(5, H, batch_first=True), nn.Linear(H, 3)
        self.norm.running_mean.normal_()
        self.norm.running_var.uniform_(0.5, 2)

    def forward(self, x):
        y = torch.relu(self.norm(self.a(x.transpose(1, 2))))
        y = torch.tanh(self.b(nn.functional.pad(y, (4, 0)))).transpose(1, 2)
        return nn.functional.normalize(self.fc(self.rnn(y)[0].mean(1)), dim=1)


class TowerNet(nn.Module):
    """Convolutions side by side, and two behind each other, which all leave every second step."""

    def __init__(self, kind):
        super().__init__()
        self.a, self.b = nn.Conv1d(I, 4, 3, stride=2, padding=1), nn.Conv1d(I, 3, 5, stride=2, padding=2)
        self.c, self.d = nn.Conv1d(I, 6, 2), nn.Conv1d(6, 7, 2, stride=2)
        self.rnn, self.fc = getattr(nn, kind)(7, H, batch_first=True), nn.Linear(H, 2)

    def forward(self, x):
        x = x.transpose(1, 2)
        y = torch.cat([torch.relu(self.a(x)), torch.tanh(self.b(x))], 1)
        z = torch.relu(self.c(nn.functional.pad(x, (1, 0))))
        y = y + self.d(nn.functional.pad(z, (1, 0)))
        return self.fc(self.rnn(y.transpose(1, 2))[0])


class LoopNet(nn.Module):
    """Cells called in a loop over the steps, which the exporter unrolls."""

    def __init__(self, kind, layers, last):
        super().__init__()
        self.cells = nn.ModuleList([getattr(nn, kind)(I if k == 0 else H, H) for k in range(layers)])
        self.fc, self.last, self.lstm = nn.Linear(H, 3), last, kind == "LSTMCell"

    def forward(self, x):
        states, out = [None] * len(self.cells), []
        for t in range(x.shape[1]):
            y = x[:, t]
            for k, cell in enumerate(self.cells):
                states[k] = cell(y, states[k])
                y = states[k][0] if self.lstm else states[k]
            out.append(y)
        return self.fc(out[-1] if self.last else torch.stack(out, 1))


class GivenLoopNet(nn.Module):
    """A loop over a cell, forward or backward, that begins with states from outside."""

    def __init__(self, kind, backward):
        super().__init__()
        self.cell, self.fc, self.backward = getattr(nn, kind)(I, H), nn.Linear(H, 2), backward

    def forward(self, x, *states):
        state, out = states if len(states) == 2 else states[0], []
        for t in reversed(range(x.shape[1])) if self.backward else range(x.shape[1]):
            state = self.cell(x[:, t], state)
            out.append(state[0] if isinstance(state, tuple) else state)
        return self.fc(torch.stack(out[::-1] if self.backward else out, 1))


class MixedLoopNet(nn.Module):
    """Cells of every kind on each other in one loop."""

    def __init__(self):
        super().__init__()
        self.a, self.b, self.c = nn.RNNCell(I, H, nonlinearity="relu"), nn.LSTMCell(H, 5), nn.GRUCell(5, H)

    def forward(self, x):
        h, s, k, out = None, None, None, []
        for step in x.unbind(1):
            h = self.a(step, h)
            s = self.b(h, s)
            k = self.c(s[0], k)
            out.append(k)
        return torch.stack(out, 1)


class GivenRnn(nn.Module):
    """A stack that begins with a state from outside."""

    def __init__(self, layers, **options):
        super().__init__()
        self.rnn = nn.RNN(I, H, num_layers=layers, batch_first=True, **options)

    def forward(self, x, h):
        return self.rnn(x, h)[0]


class PackedNet(nn.Module):
    def __init__(self):
        super().__init__()
        self.rnn = nn.LSTM(I, H, batch_first=True)

    def forward(self, x, lengths):
        packed = nn.utils.rnn.pack_padded_sequence(x, lengths, batch_first=True, enforce_sorted=False)
        return nn.utils.rnn.pad_packed_sequence(self.rnn(packed)[0], batch_first=True)[0]


def export_to(net, arguments, path, dynamo, dynamic=False):
    names = ["x", "h", "c"][:len(arguments)]
    options = {"external_data": False, "verbose": False} if dynamo else {}
    if dynamic and dynamo:
        options["dynamic_shapes"] = {"x": {0: torch.export.Dim.AUTO, 1: torch.export.Dim.AUTO}}
    elif dynamic:
        options["dynamic_axes"] = {"x": {0: "a", 1: "b"}}
    stdout, null = os.dup(1), os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, 1)  # the exporter talks
    try:
        torch.onnx.export(net, arguments, path, dynamo=dynamo, input_names=names, **options)
    finally:
        os.dup2(stdout, 1)
        os.close(stdout)
        os.close(null)


def check_stepwise(name, net, x, states, dynamo):
    """The network called step by step with its states carried; x is [1][steps][I]."""
    net = net.eval()
    one_step = isinstance(net, StateNet)
    cut = lambda t: x[:, t:t + 1] if one_step else x[:, t]
    now, wanted = states, []
    with tempfile.TemporaryDirectory() as folder, torch.no_grad():
        path = os.path.join(folder, "exported.onnx")
        export_to(net, (cut(0), *states), path, dynamo)
        for t in range(x.shape[1]):
            y, *now = net(cut(t), *now)
            wanted.append(y.numpy().reshape(1, -1))
        return check_model(name, path, x.numpy(), wanted=np.stack(wanted, 1))


def check_whole(name, net, dynamo, once):
    net, x = net.eval(), torch.randn(B, T, I)
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "exported.onnx")
        export_to(net, (x,), path, dynamo, dynamic=True)
        run = torch.randn(B + 1, T + 3, I)
        with torch.no_grad():
            wanted = net(run).numpy()
        return check_model(name, path, run.numpy(), wanted=wanted, out_axes="B" if once else "BT")


def check_loop(name, net, dynamo, last):
    """Exported for T steps, run for more."""
    net = net.eval()
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "exported.onnx")
        export_to(net, (torch.randn(B, T, I),), path, dynamo)
        run = torch.randn(B + 1, T + 5, I)
        with torch.no_grad():
            wanted = net(run).numpy()
        return check_model(name, path, run.numpy(), wanted=wanted, out_axes="B" if last else "BT")


def check_given(name, net, states, dynamo):
    """States from outside begin with zeros in a stream."""
    net, zeros = net.eval(), [torch.zeros_like(state) for state in states]
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "exported.onnx")
        export_to(net, (torch.randn(B, T, I), *states), path, dynamo)
        run = torch.randn(B, T + 4, I)
        with torch.no_grad():
            wanted = net(run, *zeros).numpy()
        return check_model(name, path, run.numpy(), wanted=wanted)


def check_dynamic_loop(name, dynamo):
    """PyTorch unrolls it for the steps that it was given, and declares any number."""
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "exported.onnx")
        export_to(LoopNet("GRUCell", 1, False), (torch.randn(B, T, I),), path, dynamo, dynamic=True)
        check_refused(name, path, "unrolled for 6", "without a dynamic number of steps")


def check_loops(score, dynamo, mode):
    for kind, layers, last in (("LSTMCell", 1, False), ("LSTMCell", 2, False), ("LSTMCell", 2, True),
                               ("GRUCell", 1, True), ("GRUCell", 2, False), ("RNNCell", 1, False),
                               ("RNNCell", 3, True)):
        score.case(f"a loop of {layers} {kind} {mode}{' last' if last else ''}", check_loop,
                   LoopNet(kind, layers, last), dynamo, last)
    score.case(f"a loop with a dynamic number of steps {mode}", check_dynamic_loop, dynamo)
    for backward, kind in enumerate(("LSTMCell", "GRUCell", "RNNCell")):
        states = [torch.randn(B, H) for _ in range(2 if kind == "LSTMCell" else 1)]
        score.case(f"a loop of {kind} from a state {mode}", check_given, GivenLoopNet(kind, backward > 0),
                   states, dynamo)
    score.case(f"a loop of every kind of cells {mode}", check_loop, MixedLoopNet(), dynamo, False)
    for layers, options in ((1, {}), (3, {"nonlinearity": "relu"}),
                            (2, {"bidirectional": True, "bias": False})):
        state = torch.randn(layers * (2 if "bidirectional" in options else 1), B, H)
        score.case(f"RNN layers={layers} {options} from a state {mode}", check_given,
                   GivenRnn(layers, **options), [state], dynamo)


def check_packed_refused(name):
    """Packed sequences compute with their lengths."""
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "exported.onnx")
        export_to(PackedNet().eval(), (torch.randn(B, T, I), torch.tensor([T, T - 2])), path, False)
        check_refused(name, path, "lengths of sequences", "packed")


class ProjectedNet(nn.Module):
    def __init__(self):
        super().__init__()
        self.rnn = nn.LSTM(I, H, batch_first=True, proj_size=2)

    def forward(self, x, *states):
        return self.rnn(x, states or None)[0]


def check_projection_refused(name, states):
    """The exporter with dynamo=True drops the projection and half of the weights."""
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "exported.onnx")
        export_to(ProjectedNet().eval(), (torch.randn(B, T, I), *states), path, True)
        check_refused(name, path, "LSTM", "proj_size")


def check_other_networks(score, dynamo):
    mode = "dynamo" if dynamo else "torchscript"
    torch.manual_seed(5)
    for kind in ("LSTM", "GRU", "RNN"):
        count = 2 if kind == "LSTM" else 1
        x = torch.randn(1, T, I)
        score.case(f"{kind}Cell {mode}", check_stepwise, CellNet(kind + "Cell"), x,
                   [torch.zeros(1, H) for _ in range(count)], dynamo)
        score.case(f"{kind} with states {mode}", check_stepwise, StateNet(kind), x,
                   [torch.zeros(2, 1, H) for _ in range(count)],
                   dynamo)
        score.case(f"{kind} with learned states {mode}", check_whole, LearnedNet(kind), dynamo, False)
        score.case(f"convolutions and {kind} {mode}", check_whole, ConvNet(kind), dynamo, True)
        if not dynamo or kind == "LSTM":  # PyTorch itself fails at the GRU behind them
            score.case(f"convolutions side by side and {kind} {mode}", check_whole, TowerNet(kind), dynamo, False)
    check_loops(score, dynamo, mode)
    if dynamo:
        states = (torch.randn(1, B, 2), torch.randn(1, B, H))
        score.case("a projection is refused", check_projection_refused, ())
        score.case("a projection with states is refused", check_projection_refused, states)
    else:
        score.case("packed sequences are refused", check_packed_refused)


def cases(dynamo):
    heads = ("all", "last", "state", "mean", "max", "norm", "residual", "embedding")
    for i, (kind, head) in enumerate(itertools.product(("LSTM", "GRU", "RNN"), heads)):
        layers, bidirectional, batch_first = 1 + i % 2, i % 3 == 0, i % 2 == 0
        yield (kind, layers, bidirectional and head != "state", batch_first, head), i % 4 != 0, {}
        yield (kind, 3 - layers, not bidirectional and head != "state", not batch_first, head), i % 4 == 0, {}
    yield ("RNN", 2, False, True, "all"), True, {"nonlinearity": "relu"}
    yield ("RNN", 3, True, False, "all"), False, {"bias": False}
    yield ("LSTM", 1, True, True, "all"), True, {"bias": False}
    yield ("GRU", 2, False, False, "all"), False, {"bias": False}


def main():
    score = Score()
    wanted = sys.argv[1] if sys.argv[1:] else ""  # "torchscript" or "dynamo": only that mode
    modes = [mode for mode, name in ((False, "torchscript"), (True, "dynamo")) if wanted in ("", name)]
    for dynamo in modes:
        for arguments, dynamic, options in cases(dynamo):
            name = "{} layers={} bidirectional={} batch_first={} {}".format(*arguments)
            name += f" {'dynamo' if dynamo else 'torchscript'}{' dynamic' if dynamic else ''}{options or ''}"
            score.case(name, check_export, arguments, dynamo, dynamic, options)
        check_other_networks(score, dynamo)
    score.finish()


if __name__ == "__main__":
    main()
