#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Write the seeds of fuzz_safetensors and fuzz_spec beside this file."""
import json
import os
import struct

HERE = os.path.dirname(os.path.abspath(__file__))
SIZES = {"F32": 4, "F64": 8, "F16": 2, "BF16": 2, "I64": 8}

MODELS = {
    "lstm": {"lstm.weight_ih_l0": [8, 1], "lstm.weight_hh_l0": [8, 2], "lstm.bias_ih_l0": [8],
             "lstm.bias_hh_l0": [8], "fc.weight": [1, 2], "fc.bias": [1]},
    "both": {"weight_ih_l0": [3, 2], "weight_hh_l0": [3, 1], "weight_ih_l0_reverse": [3, 2],
             "weight_hh_l0_reverse": [3, 1], "bias_ih_l0": [3], "bias_hh_l0": [3],
             "bias_ih_l0_reverse": [3], "bias_hh_l0_reverse": [3]},
    "stack": {"r.weight_ih_l0": [2, 2], "r.weight_hh_l0": [2, 2], "r.weight_ih_l1": [2, 2],
              "r.weight_hh_l1": [2, 2], "emb.weight": [3, 2]},
    "projected": {"l.weight_ih_l0": [8, 1], "l.weight_hh_l0": [8, 1], "l.weight_hr_l0": [1, 2]},
    "cell": {"cell.weight_ih": [4, 1], "cell.weight_hh": [4, 1], "head.0.weight": [1, 1],
             "head.1.weight": [1], "head.1.bias": [1]},
}

SPECS = [
    {"order": ["emb", "lstm", "rnn", "g", "norm", "fc1", "fc2"], "take": "last", "softmax": True,
     "labels": ["no", "yes"], "name": "n", "sample_rate": 16000},
    {"ignore": ["emb.*", "g.*", "norm.*"], "residual": True, "input": {"mean": [1, 2], "std": 0.5},
     "modules": {"fc1": {"activation": "leaky_relu", "alpha": 0.2}, "rnn": {"activation": "relu"}}},
    {"ignore": ["emb.weight", "g.weight_*", "norm.*", "rnn.*"],
     "layers": [{"module": "lstm"}, {"type": "add", "inputs": ["input", "lstm"], "name": "sum"},
                {"module": "fc1", "activation": "tanh"}, {"type": "concat", "inputs": ["sum", "fc1"]},
                {"type": "slice", "start": 1, "count": 2, "step": 2},
                {"type": "scale", "scale": [1, 2], "shift": 3}, {"module": "fc2"}, {"type": "mean"}]},
    {"input": {"size": 2, "name": "x", "columns": ["a", "b"], "scale": 2, "shift": [0, 1]},
     "metadata": {"key": "value"}, "ignore": ["emb.*"], "modules": {
         "g": {"type": "gru", "reset_after": False, "hidden_size": 2}, "norm": {"epsilon": 1e-6}},
     "order": ["lstm", "rnn", "g", "norm", "fc2", "fc1"], "take": "max", "take_after": "fc1"},
]


def safetensors(tensors, dtype):
    header, data = {}, b""
    for name, shape in tensors.items():
        count = 1
        for n in shape:
            count *= n
        piece = bytes(SIZES[dtype] * count)
        header[name] = {"dtype": dtype, "shape": shape, "data_offsets": [len(data), len(data) + len(piece)]}
        data += piece
    text = json.dumps(header, separators=(",", ":")).encode() + b"\n"
    return struct.pack("<Q", len(text)) + text + data


def write(folder, name, data):
    os.makedirs(os.path.join(HERE, folder), exist_ok=True)
    with open(os.path.join(HERE, folder, name), "wb") as file:
        file.write(data)


def main():
    dtypes = ["F32", "F64", "F16", "BF16", "I64"]
    for number, (name, tensors) in enumerate(MODELS.items()):
        write("safetensors", name, safetensors(tensors, dtypes[number]))
    for number, spec in enumerate(SPECS):
        write("spec", "%d.json" % number, json.dumps(spec).encode())


if __name__ == "__main__":
    main()
