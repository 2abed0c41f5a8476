# SPDX-License-Identifier: MIT
"""Models as PyTorch exports them, in both modes, against ONNX Runtime on the same file. The exported
sizes of batch and time are not those of the run, wherever the exporter leaves a choice."""
import itertools
import os
import sys
import tempfile
import warnings

from onnx_common import Refused, Score, check_model, np, onnx, reference

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


def export(net, x, path, dynamo, dynamic):
    options = {}
    if dynamic and dynamo:
        options["dynamic_shapes"] = {"x": {0: torch.export.Dim.AUTO, 1: torch.export.Dim.AUTO}}
    elif dynamic:
        options["dynamic_axes"] = {"x": {0: "a", 1: "b"}}
    if dynamo:
        options.update(external_data=False, verbose=False)
    stdout, null = os.dup(1), os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, 1)  # the exporter talks
    try:
        torch.onnx.export(net, (x,), path, dynamo=dynamo, input_names=["x"], output_names=["y"], **options)
    finally:
        os.dup2(stdout, 1)
        os.close(stdout)
        os.close(null)


def check_export(name, arguments, dynamo, dynamic, options):
    torch.manual_seed(hash(name) % 1000)
    net = Net(*arguments, **options).eval()
    batch_first, head = arguments[3], arguments[4]
    shape = (B, T) if batch_first else (T, B)
    x = torch.randint(0, 11, shape) if head == "embedding" else torch.randn(*shape, I)
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "exported.onnx")
        export(net, x, path, dynamo, dynamic)
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


def cases(dynamo):
    heads = ("all", "last", "state", "mean", "max", "norm", "residual", "embedding")
    for i, (kind, head) in enumerate(itertools.product(("LSTM", "GRU", "RNN"), heads)):
        layers, bidirectional, batch_first = 1 + i % 2, i % 3 == 0, i % 2 == 0
        yield (kind, layers, bidirectional and head != "state", batch_first, head), i % 4 != 0, {}
        yield (kind, 3 - layers, not bidirectional and head != "state", not batch_first, head), i % 4 == 0, {}
    yield ("RNN", 2, False, True, "all"), True, {"nonlinearity": "relu"}
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
            if dynamo and arguments[0] == "RNN":
                continue  # PyTorch unrolls it step by step in this mode
            score.case(name, check_export, arguments, dynamo, dynamic, options)
    score.finish()


if __name__ == "__main__":
    main()
