# SPDX-License-Identifier: MIT
"""Random nn.LSTM, nn.GRU and nn.RNN stacks through safetensors and lstmconvert, against PyTorch.

    test_torch.py [CASES [SEED]]

For each case three results are compared: ours, PyTorch's in float32, and PyTorch's in float64, which
counts as the truth. The ratio (our error) / (PyTorch's float32 error), of the errors that a hundredth of the
numbers exceed, must have a median of at most 1.1 and never exceed 2.
"""
import os
import sys

try:
    import numpy as np
    import torch
    from safetensors.torch import save_file
    from torch import nn
except ImportError as missing:
    print("skipped: %s (pip install torch safetensors numpy)" % missing)
    sys.exit(77)

import lstmrun
import torch_cases

# The largest of a few errors is mostly chance, and the steps of one sequence hand theirs on; so many
# independent sequences and numbers say something about the arithmetic.
LEAST_BATCH, LEAST_NUMBERS = 32, 2000


class Case:
    def __init__(self, rng):
        self.kind = rng.choice(["LSTM", "LSTM", "GRU", "RNN"])
        self.width = rng.choice([1, 2, 3, 5, 8, 13, 40, 64])
        hidden = rng.choice([1, 2, 3, 4, 5, 7, 8, 12, 16, 20, 32, 33, 40, 64, 70, 128])
        self.options = dict(num_layers=rng.choice([1, 1, 2, 3]), bias=rng.random() < 0.8,
                            bidirectional=rng.random() < 0.4, batch_first=rng.random() < 0.5)
        if self.kind == "LSTM" and hidden > 1 and rng.random() < 0.3:
            self.options["proj_size"] = rng.randint(1, hidden - 1)
        if self.kind == "RNN":
            self.options["nonlinearity"] = rng.choice(["tanh", "relu"])
        self.hidden, self.directions = hidden, 2 if self.options["bidirectional"] else 1
        self.state = self.options.get("proj_size") or hidden
        self.steps = rng.choice([1, 2, 7, 20, 50, 100])
        numbers = self.steps * self.state * self.directions
        self.batch = max(LEAST_BATCH + rng.randrange(4), -(-LEAST_NUMBERS // numbers))
        self.given = rng.random() < 0.4

    def __str__(self):
        return "nn.%s(%d, %d, %s), batch %d, %d steps%s" % (
            self.kind, self.width, self.hidden, ", ".join("%s=%s" % pair for pair in self.options.items()),
            self.batch, self.steps, ", given states" if self.given else "")

    def tensors(self):
        """The network, its input [batch][steps][width] and its first states."""
        net = getattr(nn, self.kind)(self.width, self.hidden, **self.options).eval()
        x = torch.randn(self.batch, self.steps, self.width)
        first = None
        if self.given:
            rows = self.options["num_layers"] * self.directions
            h = torch.randn(rows, self.batch, self.state)
            first = (h, torch.randn(rows, self.batch, self.hidden)) if self.kind == "LSTM" else (h,)
        return net, x, first


def run_torch(case, net, x, first, dtype):
    """Output [batch][steps][…] and final states, as numpy float64."""
    net = net.to(dtype)
    x = x.to(dtype) if case.options["batch_first"] else x.to(dtype).transpose(0, 1)
    given = first and tuple(state.to(dtype) for state in first)
    with torch.no_grad():
        y, last = net(x, given if case.kind == "LSTM" or not given else given[0])
    y = y if case.options["batch_first"] else y.transpose(0, 1)
    last = last if isinstance(last, tuple) else (last,)
    return [part.double().numpy() for part in (y, *last)]


def convert(case, net, folder):
    weights, model = os.path.join(folder, "net.safetensors"), os.path.join(folder, "net.bin")
    save_file({"rnn." + name: tensor.contiguous() for name, tensor in net.state_dict().items()}, weights)
    options = []
    if case.options.get("nonlinearity") == "relu":
        spec = os.path.join(folder, "spec.json")
        with open(spec, "w") as file:
            file.write('{"modules": {"rnn": {"activation": "relu"}}}')
        options = ["--spec", spec]
    torch_cases.convert(weights, model, *options)
    return lstmrun.Model(model)


def state_keys(model):
    """(layer, direction) of the recurrent layers' states, in PyTorch's order, for h and for c."""
    stream = lstmrun.c_void_p()
    lstmrun._lib.lstm_stream_create(model.handle, lstmrun.byref(stream))
    keys = list(model.states(stream))
    lstmrun._lib.lstm_stream_destroy(stream)
    return [[key for key in keys if key[2] == which] for which in "hc"]


def run_ours(case, model, x, first):
    keys = state_keys(model)
    given = None
    if first:
        given = [{key: state[row, item].numpy() for part, state in zip(keys, first)
                  for row, key in enumerate(part)} for item in range(case.batch)]
    outputs, finals = model.plan().run(list(x.numpy()), given)
    last = [np.array([[final[key] for final in finals] for key in part]) for part in keys if part]
    return [np.array(outputs, np.float64), *(part.astype(np.float64) for part in last)]


def check(case, folder):
    net, x, first = case.tensors()
    model = convert(case, net, folder)
    ours = run_ours(case, model, x, first)
    single = run_torch(case, net, x, first, torch.float32)
    truth = run_torch(case, net, x, first, torch.float64)
    for mine, right in zip(ours, truth):
        assert mine.shape == right.shape, "shape %s, expected %s" % (mine.shape, right.shape)
    return torch_cases.ratio(ours, single, truth)


if __name__ == "__main__":
    sys.exit(torch_cases.main(240, lambda rng, number: Case(rng), check, most=2))
