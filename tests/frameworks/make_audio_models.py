# SPDX-License-Identifier: MIT
"""Random networks of audio plugins in the formats that their players read.

    make_audio_models.py FOLDER [COUNT [SEED]]

writes COUNT files of each format. Each network is made of live PyTorch modules; `network.run(x)` is what
PyTorch computes, in the modules' own precision, and `network.document()` the JSON of the same weights.
"""
import json
import os
import random
import sys

import torch
from torch import nn

HIDDEN = [3, 8, 12, 16, 20, 40, 64]


def numbers(tensor):
    return tensor.detach().float().tolist()


def rows_of(cell, layer):
    """weight_ih, weight_hh, bias_ih, bias_hh of one layer, in float32."""
    return [getattr(cell, "%s_l%d" % (name, layer)).detach().float()
            for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")]


class Network:
    """A stack of cells and a linear layer. `self.modules` are what changes its precision."""

    def __init__(self, rng, kinds):
        self.kind = rng.choice(kinds)
        self.inputs = rng.choice([1, 1, 2, 3])
        self.hidden = rng.choice(HIDDEN)
        self.layers = rng.choice([1, 1, 2])
        self.skip = 0
        self.cell = getattr(nn, self.kind)(self.inputs, self.hidden, num_layers=self.layers, batch_first=True)
        self.head = nn.Linear(self.hidden, 1)
        self.modules = [self.cell, self.head]

    def __str__(self):
        return "%s %s, %d inputs, %d units, %d layers, skip %d" % (
            type(self).__name__, self.kind, self.inputs, self.hidden, self.layers, self.skip)

    def to(self, dtype):
        for module in self.modules:
            module.to(dtype)
        return self

    def first_state(self, items):
        return None

    def run(self, x):
        """[items][steps][inputs] to [items][steps][1]."""
        with torch.no_grad():
            y = self.head(self.cell(x, self.first_state(len(x)))[0])
            return y + x[..., :1] if self.skip else y


class Nam(Network):
    extension = "nam"

    def __init__(self, rng):
        super().__init__(rng, ["LSTM"])
        for layer in range(self.layers):  # the file has one bias
            getattr(self.cell, "bias_hh_l%d" % layer).data.zero_()
        shape = (self.layers, self.hidden)
        zero = rng.random() < 0.2
        self.first = [torch.zeros(shape) if zero else torch.randn(shape) for _ in "hc"]

    def first_state(self, items):
        return tuple(state.to(self.head.weight.dtype)[:, None].repeat(1, items, 1) for state in self.first)

    def document(self):
        weights = []
        for layer in range(self.layers):
            w_x, w_h, bias, _ = rows_of(self.cell, layer)
            weights += torch.cat([w_x, w_h], 1).flatten().tolist() + bias.tolist()
            weights += self.first[0][layer].tolist() + self.first[1][layer].tolist()
        weights += numbers(self.head.weight.flatten()) + numbers(self.head.bias)
        return {"version": "0.5.4", "architecture": "LSTM",
                "metadata": {"name": "made", "modeled_by": "a script", "gear_type": "amp", "tone_type": "clean",
                             "loudness": -18.5, "input_level_dbu": 18.3, "output_level_dbu": None,
                             "date": {"year": 2024, "month": 5}, "training": {"validation_esr": 0.01}},
                "config": {"input_size": self.inputs, "hidden_size": self.hidden, "num_layers": self.layers},
                "weights": weights, "sample_rate": 48000}


class GuitarML(Network):
    extension = "guitarml.json"

    def __init__(self, rng):
        super().__init__(rng, ["LSTM", "LSTM", "GRU", "RNN"])
        self.skip = rng.choice([0, 1])
        self.head = nn.Linear(self.hidden, 1, bias=rng.random() < 0.8)
        self.modules = [self.cell, self.head]

    def document(self):
        data = {"model": "SimpleRNN", "input_size": self.inputs, "skip": self.skip, "output_size": 1,
                "unit_type": self.kind, "num_layers": self.layers, "hidden_size": self.hidden,
                "bias_fl": self.head.bias is not None}
        weights = {"rec." + name: numbers(value) for name, value in self.cell.state_dict().items()}
        weights.update({"lin." + name: numbers(value) for name, value in self.head.state_dict().items()})
        return {"model_data": data, "state_dict": weights}


class StateDict(Network):
    extension = "state_dict.json"

    def __init__(self, rng):
        super().__init__(rng, ["LSTM", "GRU"])

    def document(self):
        weights = {"lstm." + name: numbers(value) for name, value in self.cell.state_dict().items()}
        weights.update({"dense." + name: numbers(value) for name, value in self.head.state_dict().items()})
        return weights


def swap_gates(matrix, kind, axis):
    """Blocks r, z, n of PyTorch's GRU as Keras has them: z, r, h."""
    if kind != "GRU":
        return matrix
    r, z, n = matrix.chunk(3, axis)
    return torch.cat([z, r, n], axis)


def keras_cell(cell, kind, layer=0):
    """Weights as Keras's get_weights() has them."""
    w_x, w_h, b_x, b_h = (swap_gates(part, kind, 0) for part in rows_of(cell, layer))
    bias = torch.stack([b_x, b_h]) if kind == "GRU" else b_x + b_h
    return [w_x.T.tolist(), w_h.T.tolist(), bias.tolist()]


def layer_json(kind, size, weights, activation="", **more):
    return {"type": kind, "activation": activation, "shape": [None, None, size], "weights": weights, **more}


def dense_json(linear, activation="", kind="dense"):
    return layer_json(kind, linear.out_features, [numbers(linear.weight.T), numbers(linear.bias)], activation)


class AidaX(Network):
    extension = "aidax"

    def __init__(self, rng):
        super().__init__(rng, ["LSTM", "LSTM", "GRU"])
        self.layers = 1
        self.cell = getattr(nn, self.kind)(self.inputs, self.hidden, batch_first=True)
        if self.kind == "LSTM":  # one bias in the file
            self.cell.bias_hh_l0.data.zero_()
        self.modules = [self.cell, self.head]
        self.skip = rng.choice([0, 1])
        self.gains = [rng.choice([0, 0, -6, 3.5]), rng.choice([0, 0, 6.25, -12])]

    def dry(self, x):
        return super().run(x)

    def run(self, x):
        gain_in, gain_out = (10 ** (gain / 20) for gain in self.gains)
        scale = torch.ones(self.inputs, dtype=x.dtype)
        scale[0] = gain_in
        return self.dry(x * scale) * gain_out

    def document(self):
        x = torch.randn(1, 2048, self.inputs) * 0.3
        y = self.to(torch.float64).dry(x.double())[0, :, 0]
        self.to(torch.float32)
        batch = x[0].flatten().tolist() if self.inputs == 1 else x[0].tolist()
        found = {"in_shape": [None, None, self.inputs], "in_skip": self.skip, "in_gain": self.gains[0],
                 "out_gain": self.gains[1], "layers": [
                     layer_json(self.kind.lower(), self.hidden, keras_cell(self.cell, self.kind)),
                     dense_json(self.head)],
                 "input_batch": batch, "output_batch": y.tolist(),
                 "metadata": {"name": "made", "samplerate": "48000", "author": "a script", "license": "CC0-1.0",
                              "esr": 0.1778}}
        return found


class RTNeural(Network):
    """Layers of every kind in a row: dense, a causal convolution, a cell, a normalisation, dense."""
    extension = "rtneural.json"
    activations = {"": None, "tanh": torch.tanh, "relu": torch.relu, "sigmoid": torch.sigmoid,
                   "elu": nn.functional.elu, "softmax": lambda x: torch.softmax(x, -1)}

    def __init__(self, rng):
        super().__init__(rng, ["LSTM", "GRU"])
        self.layers = 1
        wide = rng.choice([4, 8])
        self.first = nn.Linear(self.inputs, wide)
        groups = rng.choice([1, 1, 2, 4])
        self.conv = nn.Conv1d(wide, wide * 2, rng.choice([1, 2, 3, 5]), dilation=rng.choice([1, 2, 7]), groups=groups)
        self.cell = getattr(nn, self.kind)(wide * 2, self.hidden, batch_first=True)
        if self.kind == "LSTM":
            self.cell.bias_hh_l0.data.zero_()
        self.norm = nn.BatchNorm1d(self.hidden, eps=1e-3).eval()
        for tensor in (self.norm.weight, self.norm.running_var):
            tensor.data.uniform_(0.5, 2)
        for tensor in (self.norm.bias, self.norm.running_mean):
            tensor.data.normal_()
        self.acts = [rng.choice(list(self.activations)) for _ in range(3)]
        self.modules = [self.first, self.conv, self.cell, self.norm, self.head]

    def __str__(self):
        return "%s, %s, activations %s" % (super().__str__(), self.conv, self.acts)

    def act(self, index, x):
        function = self.activations[self.acts[index]]
        return function(x) if function else x

    def run(self, x):
        with torch.no_grad():
            x = self.act(0, self.first(x)).transpose(1, 2)
            history = self.conv.dilation[0] * (self.conv.kernel_size[0] - 1)
            x = self.act(1, self.conv(nn.functional.pad(x, (history, 0))).transpose(1, 2))
            x = self.norm(self.cell(x)[0].transpose(1, 2)).transpose(1, 2)
            return self.head(self.act(2, x))

    def document(self):
        norm, conv = self.norm, self.conv
        kernel = conv.weight.permute(2, 1, 0)  # [taps][inputs][outputs]
        return {"in_shape": [None, None, self.inputs], "layers": [
            dense_json(self.first, self.acts[0], "time-distributed-dense"),
            layer_json("conv1d", conv.out_channels, [numbers(kernel), numbers(conv.bias)], self.acts[1],
                       kernel_size=[conv.kernel_size[0]], dilation=[conv.dilation[0]], groups=conv.groups),
            layer_json(self.kind.lower(), self.hidden, keras_cell(self.cell, self.kind), "tanh"),
            layer_json("batchnorm", self.hidden, [numbers(part) for part in (
                norm.weight, norm.bias, norm.running_mean, norm.running_var)], epsilon=norm.eps),
            layer_json("activation", self.hidden, [], self.acts[2]),
            dense_json(self.head)], "samplerate": 44100}


FORMATS = [Nam, GuitarML, StateDict, AidaX, RTNeural]


def write(network, path):
    with open(path, "w", encoding="utf-8") as file:
        json.dump(network.document(), file)
    return path


def main():
    folder, count = sys.argv[1], int(sys.argv[2]) if len(sys.argv) > 2 else 1
    seed = int(sys.argv[3]) if len(sys.argv) > 3 else 1
    rng = random.Random(seed)
    torch.manual_seed(seed)
    os.makedirs(folder, exist_ok=True)
    for made in FORMATS:
        for number in range(count):
            print(write(made(rng), os.path.join(folder, "made%d.%s" % (number, made.extension))))


if __name__ == "__main__":
    main()
