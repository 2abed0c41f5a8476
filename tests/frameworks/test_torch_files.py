# SPDX-License-Identifier: MIT
"""Networks through every way that PyTorch saves them and lstmconvert, against PyTorch itself.

    test_torch_files.py [CASES [SEED]]

A case is a random stack of nn.LSTM, nn.GRU or nn.RNN, perhaps with layers behind it, in one form of file:
state_dict, checkpoint, pickled module, TorchScript (scripted, traced), the form before 1.6, under DataParallel's
names; its weights in f32, f16, bf16 or f64, some of them transposed or in one shared storage. As in test_torch.py
PyTorch in float64 counts as the truth, and our error is measured in PyTorch's own in float32.
"""
import json
import os
import sys

try:
    import numpy as np
    import torch
    from torch import nn
except ImportError as missing:
    print("skipped: %s (pip install torch numpy)" % missing)
    sys.exit(77)

import lstmrun
import torch_cases

NUMBERS = 4000  # least outputs of a case, so that their largest error says something

FORMS = ["state_dict", "state_dict", "legacy state_dict", "checkpoint", "checkpoint with --key", "module",
         "legacy module", "parallel", "parallel module", "script", "trace"]
TYPES = {"f32": torch.float32, "f16": torch.float16, "bf16": torch.bfloat16, "f64": torch.float64}


class Net(nn.Module):
    """A stack and what comes behind it, in the order of definition."""
    def __init__(self, conv, beside, rnn, norm, batch_norm, head):
        super().__init__()
        self.conv, self.beside, self.pool = conv, beside, nn.Identity()
        self.rnn = rnn
        self.norm, self.batch_norm, self.head = norm, batch_norm, head

    def forward(self, x):
        x = x.transpose(1, 2)
        y = self.conv(x)
        if self.beside is not None:
            y = torch.cat([y, self.beside(x)], 1)
        y = self.pool(y)
        y = self.rnn(y.transpose(1, 2))[0]
        y = self.norm(y)
        y = self.batch_norm(y.transpose(1, 2)).transpose(1, 2)
        return self.head(y)


class Case:
    def __init__(self, rng):
        self.form = rng.choice(FORMS)
        self.type = rng.choice(["f32", "f32", "f16", "bf16", "f64"])
        self.kind = rng.choice(["LSTM", "LSTM", "GRU", "RNN"])
        self.width, self.hidden = rng.choice([1, 2, 3, 5, 8, 17, 40]), rng.choice([1, 2, 3, 5, 8, 12, 20, 33, 64])
        self.options = dict(num_layers=rng.randint(1, 3), bias=rng.random() < 0.75, batch_first=True,
                            bidirectional=rng.random() < 0.4, dropout=rng.choice([0.0, 0.5]))
        if self.options["num_layers"] == 1:
            self.options["dropout"] = 0.0
        if self.kind == "LSTM" and self.hidden > 1 and rng.random() < 0.3:
            self.options["proj_size"] = rng.randint(1, self.hidden - 1)
        if self.kind == "RNN":
            self.options["nonlinearity"] = rng.choice(["tanh", "relu"])
        self.stored = rng.choice(["as it is", "transposed", "in one storage"])
        self.norm = rng.choice([None, 1e-5, 1e-3]) if self.stack_size() > 1 else None  # one number's norm is 0
        self.batch_norm = rng.choice([None, 1e-5, 1e-2])
        if self.form in ("script", "trace"):
            self.norm = self.norm and 1e-5  # an epsilon is in the code only
            self.batch_norm = self.batch_norm and 1e-5
        self.head = self.make_head(rng)
        self.steps = rng.choice([1, 2, 9, 30])
        self.conv = self.make_conv(rng) if rng.random() < 0.3 else None
        self.beside = self.make_beside(rng) if self.conv and rng.random() < 0.5 else None
        self.pool = self.make_pool(rng) if rng.random() < 0.3 else None

    def stack_size(self):
        return (1 + self.options["bidirectional"]) * (self.options.get("proj_size") or self.hidden)

    def make_conv(self, rng):
        """Arguments of an nn.Conv1d over time, and its least number of steps."""
        taps, dilation, groups = rng.randint(1, 4), rng.randint(1, 3), rng.choice([1, 1, self.width])
        reach = dilation * (taps - 1)
        padding = rng.randint(0, reach // 2)
        self.steps = reach + rng.choice([1, 2, 15])
        return dict(out_channels=groups * rng.randint(1, 4), kernel_size=taps, dilation=dilation, groups=groups,
                    stride=rng.randint(1, 3), padding=padding, bias=rng.random() < 0.7,
                    padding_mode=rng.choice(["zeros", "reflect", "replicate"]))

    def make_beside(self, rng):
        """Of another nn.Conv1d that leaves the same steps; only a spec can tell that there are two."""
        if self.form.endswith("module") or self.form in ("script", "trace") or self.conv["padding_mode"] == "reflect":
            return None
        return dict(self.conv, out_channels=rng.randint(1, 5), groups=1, kernel_size=self.conv["kernel_size"] + 2,
                    padding=self.conv["padding"] + self.conv["dilation"])

    def make_pool(self, rng):
        """(class, arguments) of what pools the steps; only a spec can tell where it stands."""
        if self.form.endswith("module") or self.form in ("script", "trace"):
            return None
        taps = rng.randint(1, 5)
        padding, stride = rng.randint(0, (taps - 1) // 2), rng.randint(1, 4)
        found = dict(kernel_size=taps, stride=stride, padding=padding)
        if rng.random() < 0.5:
            found["ceil_mode"] = stride <= taps - 2 * padding and rng.random() < 0.5
            found["dilation"] = rng.randint(1, 2) if not padding and not found["ceil_mode"] else 1
            self.steps += found["dilation"] * (taps - 1) * (self.conv["stride"] if self.conv else 1)
            return nn.MaxPool1d, found
        found["count_include_pad"] = rng.random() < 0.5
        found["ceil_mode"] = stride <= taps - 2 * padding and rng.random() < 0.5 and not (
            padding and found["count_include_pad"])
        self.steps += (taps - 1) * (self.conv["stride"] if self.conv else 1)
        return nn.AvgPool1d, found

    def make_head(self, rng):
        """[(sizes of a Linear, its activation)]"""
        known = ["ReLU", "Tanh", "Sigmoid", "Softsign", "Hardsigmoid", None]
        if self.form not in ("script", "trace"):
            known += ["LeakyReLU", "ELU", "Softplus", "Softmax"]
        sizes = [rng.choice([1, 2, 6, 16]) for _ in range(rng.randint(0, 2))]
        return [(size, rng.choice(known), round(rng.uniform(0.05, 0.9), 2)) for size in sizes]

    def __str__(self):
        return "%s, %s %s, nn.%s(%d, %d, %s), norm %s, batch_norm %s, head %s, conv %s, beside %s, %d steps" % (
            self.form, self.type, self.stored, self.kind, self.width, self.hidden,
            ", ".join("%s=%s" % pair for pair in self.options.items()), self.norm, self.batch_norm, self.head,
            self.conv, (self.beside, self.pool), self.steps)

    def activation(self, name, number):
        return {"LeakyReLU": nn.LeakyReLU, "ELU": nn.ELU}[name](number) if name in ("LeakyReLU", "ELU") else \
            nn.Softmax(-1) if name == "Softmax" else getattr(nn, name)()

    def net(self):
        conv = nn.Conv1d(self.width, **self.conv) if self.conv else nn.Identity()
        beside = nn.Conv1d(self.width, **self.beside) if self.beside else None
        width = sum(conv["out_channels"] for conv in (self.conv, self.beside) if conv) or self.width
        rnn = getattr(nn, self.kind)(width, self.hidden, **self.options)
        size = self.stack_size()
        norm = nn.LayerNorm(size, eps=self.norm) if self.norm else nn.Identity()
        batch_norm = nn.BatchNorm1d(size, eps=self.batch_norm) if self.batch_norm else nn.Identity()
        head = []
        for n, name, number in self.head:
            head.append(nn.Linear(size, n))
            head += [self.activation(name, number)] if name else []
            head.append(nn.Dropout(0.1))
            size = n
        net = Net(conv, beside, rnn, norm, batch_norm, nn.Sequential(*head))
        if self.pool:
            net.pool = self.pool[0](**self.pool[1])
        for name, tensor in [*net.named_parameters(), *net.named_buffers()]:
            if name.startswith(("norm", "batch_norm")) and tensor.is_floating_point():
                tensor.data.uniform_(0.5, 1.5)
        return net.eval()

    def conv_hints(self, all_of_it=True):
        """That it runs over time no file tells."""
        keys = ("stride", "dilation", "padding", "padding_mode", "groups") if all_of_it else ()
        return {name: {"type": "temporal_conv", **{key: conv[key] for key in keys}}
                for name, conv in (("conv", self.conv), ("beside", self.beside)) if conv}

    def spec(self):
        """What a state_dict cannot tell."""
        hints = {}
        if self.kind == "RNN":
            hints["rnn"] = {"activation": self.options["nonlinearity"]}
        if self.norm:
            hints["norm"] = {"epsilon": self.norm}
        if self.batch_norm:
            hints["batch_norm"] = {"epsilon": self.batch_norm}
        layers, at = [{"module": "conv"}] if self.conv else [], 0
        if self.beside:
            layers += [{"module": "beside", "inputs": ["input"]},
                       {"type": "concat", "inputs": ["conv", "beside"]}]
        if self.pool:
            kind, found = self.pool
            names = {"kernel_size": "taps", "ceil_mode": "ceil", "count_include_pad": "count_padding"}
            layers.append({"type": "max_pool" if kind is nn.MaxPool1d else "mean_pool",
                           **{names.get(key, key): value for key, value in found.items()}})
        layers.append({"module": "rnn"})
        hints.update(self.conv_hints())
        layers += [{"module": "norm"}] if self.norm else []
        layers += [{"module": "batch_norm"}] if self.batch_norm else []
        for _, name, number in self.head:
            layers.append({"module": "head.%d" % at})
            at += 2 + (name is not None)
            if name == "Softmax":
                layers.append({"type": "softmax"})
            elif name:
                layers.append({"type": "activation", "activation": name})
                if name in ("LeakyReLU", "ELU"):
                    layers[-1]["alpha"] = number
        return {"modules": hints, "layers": layers}


def store(case, net):
    """The weights in the case's type and form of storage; the values stay."""
    net = net.to(TYPES[case.type])
    tensors = [tensor for tensor in net.parameters()]
    if case.stored == "transposed":
        for tensor in tensors:
            if tensor.dim() == 2:
                tensor.data = tensor.data.t().contiguous().t()
    if case.stored == "in one storage":
        flat = torch.cat([tensor.data.flatten() for tensor in tensors])
        parts = flat.split([tensor.numel() for tensor in tensors])
        for tensor, part in zip(tensors, parts):
            tensor.data = part.view_as(tensor)
    return net


def save(case, net, path):
    """Writes the file; the converter's further arguments."""
    legacy = dict(_use_new_zipfile_serialization=False)
    if case.form == "script":
        torch.jit.script(net).save(path)
    elif case.form == "trace":
        x = torch.zeros(2, case.steps, case.width, dtype=TYPES[case.type])
        torch.jit.trace(net, x, check_trace=False).save(path)
    elif case.form.endswith("parallel module"):
        torch.save(nn.DataParallel(net), path)
    elif case.form.endswith("module"):
        torch.save(net, path, **(legacy if case.form.startswith("legacy") else {}))
    elif case.form == "checkpoint":
        torch.save({"epoch": 3, "args": {"lr": 0.1}, "model": net.state_dict(), "names": ["a", "b"]}, path)
    elif case.form == "checkpoint with --key":
        other = {name: torch.zeros_like(tensor) for name, tensor in net.state_dict().items()}
        torch.save({"ema": other, "trainer": {"model": net.state_dict(), "step": 7}}, path)
        return ["--key", "trainer.model"]
    elif case.form == "parallel":
        torch.save(nn.DataParallel(net).state_dict(), path)
    else:
        torch.save(net.state_dict(), path, **(legacy if case.form.startswith("legacy") else {}))
    return []


def convert(case, net, folder):
    path, model = os.path.join(folder, "net.pt"), os.path.join(folder, "net.bin")
    options = save(case, net, path)
    if case.form.endswith("module"):
        spec = {"modules": case.conv_hints(False)}
    elif case.form in ("script", "trace"):
        spec = {"modules": case.conv_hints()}
        if case.form == "trace" and case.kind == "RNN":  # only the code tells of which kind it is
            spec["modules"]["rnn"] = {"type": "rnn", "activation": case.options["nonlinearity"]}
    else:
        spec = case.spec()
    if spec != {"modules": {}}:
        with open(os.path.join(folder, "spec.json"), "w") as file:
            json.dump(spec, file)
        options += ["--spec", file.name]
    torch_cases.convert(path, model, *options)
    return lstmrun.Model(model)


def check(case, folder):
    net = store(case, case.net())
    model = convert(case, net, folder)
    outputs = model.info.output.size
    assert model.info.input.size == case.width, "input of %d numbers" % model.info.input.size
    items = max(4, -(-NUMBERS // (case.steps * outputs)))
    x = torch.randn(items, case.steps, case.width)
    with torch.no_grad():
        single = net.float()(x).double().numpy()
        truth = net.double()(x.double()).numpy()
    ours = np.array(model.plan().run(list(x.numpy()))[0], np.float64)
    assert ours.shape == truth.shape, "shape %s, expected %s" % (ours.shape, truth.shape)
    if torch_cases.check_few(ours, single, truth):
        return None
    return torch_cases.ratio([ours], [single], [truth])


if __name__ == "__main__":
    sys.exit(torch_cases.main(200, lambda rng, number: Case(rng), check, most=3))
