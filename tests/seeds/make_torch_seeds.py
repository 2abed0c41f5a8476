# SPDX-License-Identifier: MIT
"""Writes the seeds of the fuzz targets of PyTorch's files into pickle/ and torch/ beside this file.

    python3 tests/seeds/make_torch_seeds.py

Needs torch and numpy; the seeds are kept in the repository.
"""
import io
import os
import pickle
import struct
import zipfile

import numpy as np
import torch
from torch import nn

HERE = os.path.dirname(os.path.abspath(__file__))


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv1d(2, 2, 2, padding="same")
        self.rnn = nn.RNN(2, 2, nonlinearity="relu")
        self.norm = nn.LayerNorm(2)
        self.head = nn.Sequential(nn.Linear(2, 2), nn.LeakyReLU(0.1), nn.BatchNorm1d(2), nn.Softmax(-1))


def write(folder, name, data):
    os.makedirs(os.path.join(HERE, folder), exist_ok=True)
    with open(os.path.join(HERE, folder, name), "wb") as file:
        file.write(data)


def saved(thing):
    out = io.BytesIO()
    torch.save(thing, out)
    return out.getvalue()


class Storages(pickle.Unpickler):
    """Reads an object pickle for the storages that it names: {key: number of elements}."""
    def persistent_load(self, name):
        self.counts = {**getattr(self, "counts", {}), name[2]: name[4]}
        return torch.UntypedStorage(8 * name[4])

    def find_class(self, module, name):
        return (lambda *_: None) if name.startswith("_rebuild") else super().find_class(module, name)


def body(thing):
    """What a legacy file has behind its first three pickles (but for the source texts that real ones keep of
    classes), and the object pickle alone."""
    archive = zipfile.ZipFile(io.BytesIO(saved(thing)))
    prefix = archive.namelist()[0].partition("/")[0]
    alone = archive.read(prefix + "/data.pkl")
    reader = Storages(io.BytesIO(alone))
    reader.load()
    rest = alone + pickle.dumps(list(reader.counts), 2)
    for key, count in reader.counts.items():
        rest += struct.pack("<q", count) + archive.read("%s/data/%s" % (prefix, key))
    return rest, alone


def main():
    torch.manual_seed(1)
    things = {"lstm": nn.LSTM(2, 2).state_dict(), "checkpoint": {"step": 3, "a": {"w": torch.zeros(2, 2).t()},
                                                                 "b": {"w": torch.ones(1, 2)}},
              "half": {"module.fc.weight": torch.ones(2, 2).half()}, "module": Net()}
    for name, thing in things.items():
        rest, alone = body(thing)
        write("torch", name, rest)
        write("pickle", name, alone)
    write("torch", "zip", saved({"fc.weight": torch.ones(1, 2)}))
    script = io.BytesIO()
    torch.jit.save(torch.jit.script(nn.Linear(2, 1)), script)
    write("torch", "script", script.getvalue())
    arrays = {"w": np.ones((2, 2), np.float32), "x.y": np.asfortranarray(np.ones((2, 3)))}
    for protocol in (2, 3, 5):
        write("torch", "numpy%d" % protocol, pickle.dumps(arrays, protocol))
        write("pickle", "numpy%d" % protocol, pickle.dumps([arrays, {1.5}, frozenset("a"), 2 ** 70, (None, True)],
                                                           protocol))
    npz = io.BytesIO()
    np.savez_compressed(npz, w=arrays["w"])
    write("torch", "npz", npz.getvalue())


if __name__ == "__main__":
    main()
