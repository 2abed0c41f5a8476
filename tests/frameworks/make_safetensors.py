#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Random PyTorch models for the end-to-end test of the safetensors importer.

    make_safetensors.py FOLDER [COUNT [SEED]]

writes for each model FOLDER/NNN.safetensors (weights), NNN.npz (input, output, final states
hn and cn and sometimes first states h0 and c0, as PyTorch computes them) and NNN.json (a
--spec, or {} when none is needed), and lists them in FOLDER/list.txt.
"""
import json
import os
import random
import sys

import numpy as np
import torch
from safetensors.torch import save_file
from torch import nn


class Recurrent(nn.Module):
    """A stack, perhaps with an embedding before it and dense layers after it."""

    def __init__(self, rng):
        super().__init__()
        self.spec = {}
        kind = rng.choice(["lstm", "gru", "rnn"])
        self.inputs = rng.choice([1, 2, 3, 5, 8, 13, 40])
        hidden = rng.choice([1, 2, 3, 4, 7, 12, 16, 20, 33, 64])
        options = dict(num_layers=rng.choice([1, 1, 2, 3]), bias=rng.random() < 0.8,
                       bidirectional=rng.random() < 0.4, batch_first=True)
        if kind == "lstm" and hidden > 1 and rng.random() < 0.4:
            options["proj_size"] = rng.randint(1, hidden - 1)
        if kind == "rnn" and rng.random() < 0.5:
            options["nonlinearity"] = "relu"
            self.spec["modules"] = {kind: {"activation": "relu"}}
        self.embedding = None
        if rng.random() < 0.2:
            self.vocabulary = rng.randint(2, 30)
            self.embedding = nn.Embedding(self.vocabulary, self.inputs)
        self.kind = kind
        cell = {"lstm": nn.LSTM, "gru": nn.GRU, "rnn": nn.RNN}[kind]
        self.add_module(kind, cell(self.inputs, hidden, **options))
        self.size = options.get("proj_size", hidden) * (2 if options["bidirectional"] else 1)
        self.take = rng.choice([None, None, None, "last", "mean", "max"])
        if self.take:
            self.spec["take"] = self.take
        self.make_head(rng)
        self.scaled = self.embedding is None and rng.random() < 0.3
        if self.scaled:
            self.mean = [rng.uniform(-1, 1) for _ in range(self.inputs)]
            self.std = [rng.uniform(0.5, 2) for _ in range(self.inputs)]
            self.spec["input"] = {"mean": self.mean, "std": self.std}

    def make_head(self, rng):
        layers, size, self.hints = [], self.size, {}
        names = ["relu", "tanh", "sigmoid", "leaky_relu", "elu", "softplus", "hard_sigmoid", "softsign"]
        modules = {"relu": nn.ReLU(), "tanh": nn.Tanh(), "sigmoid": nn.Sigmoid(), "elu": nn.ELU(),
                   "leaky_relu": nn.LeakyReLU(), "softplus": nn.Softplus(),
                   "hard_sigmoid": nn.Hardsigmoid(), "softsign": nn.Softsign()}
        for _ in range(rng.choice([0, 1, 1, 2, 3])):
            if layers and rng.random() < 0.3:
                norm = nn.LayerNorm(size)
                nn.init.uniform_(norm.weight, 0.5, 1.5)
                nn.init.uniform_(norm.bias, -0.5, 0.5)
                layers.append(norm)
            out = rng.choice([1, 2, 3, 10])
            layers.append(nn.Linear(size, out, bias=rng.random() < 0.8))
            size = out
            if rng.random() < 0.6:
                name = rng.choice(names)
                self.spec.setdefault("modules", {})["head.%d" % (len(layers) - 1)] = {"activation": name}
                layers.append(modules[name])
        self.head = nn.Sequential(*layers)
        self.softmax = rng.random() < 0.2
        if self.softmax:
            self.spec["softmax"] = True

    def make_state(self, rng, x):
        """None, or states to start from: h, and c of an LSTM."""
        if rng.random() < 0.6:
            return None
        cell = getattr(self, self.kind)
        count = cell.num_layers * (2 if cell.bidirectional else 1)
        h = torch.rand(count, x.shape[0], cell.proj_size or cell.hidden_size) - 0.5
        return (h, torch.rand(count, x.shape[0], cell.hidden_size) - 0.5) if self.kind == "lstm" else h

    def forward(self, x, state=None):
        if self.embedding is not None:
            x = self.embedding(x[..., 0].long())
        elif self.scaled:
            x = (x - torch.tensor(self.mean)) / torch.tensor(self.std)
        y, state = getattr(self, self.kind)(x, state)
        if self.take:
            y = {"last": lambda v: v[:, -1:], "mean": lambda v: v.mean(1, keepdim=True),
                 "max": lambda v: v.max(1, keepdim=True).values}[self.take](y)
        y = self.head(y)
        if self.softmax:
            y = torch.softmax(y, -1)
        return y, state

    def make_input(self, rng):
        batch, steps = rng.choice([1, 1, 2, 5]), rng.choice([1, 2, 7, 30])
        if self.embedding is not None:
            return torch.randint(0, self.vocabulary, (batch, steps, 1)).float()
        return torch.randn(batch, steps, self.inputs)


def named(names, state):
    """h alone, or h and c, or nothing."""
    if state is None:
        return {}
    return dict(zip(names, state if isinstance(state, tuple) else (state,)))


def main():
    folder = sys.argv[1]
    count = int(sys.argv[2]) if len(sys.argv) > 2 else 40
    seed = int(sys.argv[3]) if len(sys.argv) > 3 else 1
    os.makedirs(folder, exist_ok=True)
    torch.manual_seed(seed)
    rng = random.Random(seed)
    names = []
    for number in range(count):
        name = os.path.join(folder, "%03d" % number)
        model = Recurrent(rng).eval()
        with torch.no_grad():
            x = model.make_input(rng)
            first = model.make_state(rng, x)
            y, last = model(x, first)
        states = {**named(("h0", "c0"), first), **named(("hn", "cn"), last)}
        save_file({k: v.contiguous() for k, v in model.state_dict().items()}, name + ".safetensors")
        np.savez(name + ".npz", input=x.numpy(), output=y.numpy(),
                 **{k: v.numpy() for k, v in states.items()})
        with open(name + ".json", "w") as file:
            json.dump(model.spec, file)
        names.append(name)
    with open(os.path.join(folder, "list.txt"), "w") as file:
        file.write("\n".join(names) + "\n")


if __name__ == "__main__":
    main()
