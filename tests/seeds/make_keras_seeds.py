#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Write the seeds of the fuzz targets keras, keras_zip and hdf5_list: python3 tests/seeds/make_keras_seeds.py"""
import io
import json
import pathlib
import struct
import zipfile

HERE = pathlib.Path(__file__).resolve().parent


def layer(class_name, name, sources=None, **config):
    entry = {"class_name": class_name, "module": "keras.layers", "name": name, "config": dict(config, name=name)}
    if sources is not None:
        entry["inbound_nodes"] = [node(sources)] if sources else []
    return entry


def tensor(name):
    return {"class_name": "__keras_tensor__", "config": {"keras_history": [name, 0, 0]}}


def node(sources, **kwargs):
    arguments = [tensor(name) for name in sources]
    return {"args": arguments if len(sources) == 1 else [arguments], "kwargs": kwargs}


def sequential(*layers):
    return {"class_name": "Sequential", "module": "keras", "config": {"name": "seed", "layers": list(layers)}}


def functional(output, *layers):
    return {"class_name": "Functional", "module": "keras", "config": {
        "name": "seed", "layers": list(layers), "input_layers": [["x", 0, 0]], "output_layers": [[output, 0, 0]]}}


RNN = {"units": 2, "return_sequences": True}
MASKED = layer("LSTM", "lstm", ["mask"], **RNN)
MASKED["inbound_nodes"][0]["kwargs"]["mask"] = tensor("any")
NOT_EQUAL = dict(layer("NotEqual", "not_equal", ["x"]), module="keras.src.ops.numpy")
NOT_EQUAL["inbound_nodes"][0]["args"].append(0.5)

SEEDS = {
    "lstm": (sequential(
        layer("InputLayer", "x", batch_shape=[None, None, 3]),
        layer("LSTM", "lstm", go_backwards=True, recurrent_activation="hard_sigmoid", **RNN),
        layer("TimeDistributed", "td", layer=layer("Dense", "d", units=3, activation="selu")),
        layer("GRU", "gru", units=2, reset_after=True, zero_output_for_mask=True),
        layer("BatchNormalization", "bn", epsilon=0.1), layer("Dense", "head", units=1, activation="softmax")),
        ["array layers/lstm/cell/vars/0 0 3 8", "array layers/lstm/cell/vars/1 1 2 8",
         "array layers/lstm/cell/vars/2 2 8", "text layers/lstm/vars name lstm",
         "array layers/time_distributed/layer/vars/0 3 2 3", "array layers/time_distributed/layer/vars/1 0 3",
         "array layers/gru/cell/vars/0 0 3 6", "array layers/gru/cell/vars/1 0 2 6",
         "array layers/gru/cell/vars/2 0 2 6"] +
        ["array layers/batch_normalization/vars/%d 0 2" % i for i in range(4)] +
        ["array layers/dense/vars/0 0 2 1", "array layers/dense/vars/1 0 1"]),
    "words": (sequential(
        layer("Embedding", "e", input_dim=5, output_dim=3, mask_zero=True, batch_input_shape=[None, None]),
        layer("Bidirectional", "b", merge_mode="ave", layer=layer("SimpleRNN", "r", **RNN)),
        layer("GlobalAveragePooling1D", "mean"), layer("LayerNormalization", "ln", scale=False)),
        ["array layers/embedding/vars/0 0 5 3"] +
        ["array layers/bidirectional/%s/cell/vars/%d 0 %s" % (side, i, dims)
         for side in ("forward_layer", "backward_layer") for i, dims in enumerate(("3 2", "2 2", "2"))] +
        ["array layers/layer_normalization/vars/0 0 2"]),
    "graph": (functional(
        "out", layer("InputLayer", "x", [], batch_shape=[None, 4, 2]), NOT_EQUAL,
        layer("Masking", "mask", ["x"], mask_value=0.5),
        dict(layer("Any", "any", ["not_equal"], axis=-1), module="keras.src.ops.numpy"), MASKED,
        layer("Add", "add", ["mask", "lstm"]), layer("Concatenate", "cat", ["add", "lstm"], axis=-1),
        layer("Conv1D", "conv", ["cat"], filters=2, kernel_size=[2], padding="causal", dilation_rate=2,
              activation="relu6"),
        layer("Reshape", "out", ["conv"], target_shape=[-1, 2, 1])),
        ["array layers/lstm/cell/vars/0 0 2 8", "array layers/lstm/cell/vars/1 0 2 8",
         "array layers/lstm/cell/vars/2 0 8", "array layers/conv1d/vars/0 0 2 4 2",
         "array layers/conv1d/vars/1 0 2"]),
    "lists": ({"class_name": "Model", "keras_version": "2.1.5", "config": {"layers": [
        {"class_name": "InputLayer", "name": "x", "config": {"name": "x", "batch_input_shape": [None, 4]},
         "inbound_nodes": []},
        {"class_name": "Embedding", "name": "e", "config": {"name": "e", "input_dim": 4, "output_dim": 2},
         "inbound_nodes": [[["x", 0, 0, {}]]]},
        {"class_name": "Sequential", "name": "s", "config": [
            {"class_name": "CuDNNLSTM", "config": {"name": "c", "units": 2, "return_sequences": True}},
            {"class_name": "BatchNormalization", "config": {"name": "n", "trainable": False}}],
         "inbound_nodes": [[["e", 0, 0, {}]]]},
        {"class_name": "AttentionWeightedAverage", "name": "a", "config": {"name": "a"},
         "inbound_nodes": [[["s", 0, 0, {}]]]}],
        "input_layers": [["x", 0, 0]], "output_layers": [["a", 0, 0]]}},
        ["text . layer_names x e s a", "text e weight_names e/t", "array e/e/t 0 4 2",
         "text s weight_names k r b g h m variance", "array s/k 0 2 8", "array s/r 0 2 8", "array s/b 0 16",
         "array s/g 0 2", "array s/h 0 2", "array s/m 0 2", "array s/variance 0 2",
         "text a weight_names w", "array a/w 0 2 1"]),
}


def string(text):
    return struct.pack("<I", len(text.encode()) + 1) + text.encode() + b"\0"


def listing():
    array = struct.pack("<I", 1) + string("layers/a") + struct.pack("<4IQ2f", 0, 2, 1, 2, 8, 0.5, -1)
    other = struct.pack("<I", 1) + string("b") + struct.pack("<3IQ", 4, 1, 70000, 0)
    text = struct.pack("<I", 2) + string("") + string("layer_names") + struct.pack("<I", 2) + string("x") + string("é")
    return array + text + other + struct.pack("<I", 4)


def archive(method):
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", method) as file:
        for name, data in (("metadata.json", b'{"keras_version": "3.15.1"}'), ("config.json", b"{}" * 40),
                           ("model.weights.h5", b"\x89HDF\r\n\x1a\n" + bytes(90))):
            file.writestr(zipfile.ZipInfo(name, (2020, 1, 1, 0, 0, 0)), data, method)
    return packed.getvalue()


def main():
    for folder in ("keras", "keras_zip", "hdf5_list"):
        (HERE / folder).mkdir(exist_ok=True)
    for name, (config, arrays) in SEEDS.items():
        text = json.dumps(config) + "\0" + "\n".join(arrays) + "\n"
        (HERE / "keras" / name).write_bytes(text.encode())
    (HERE / "keras_zip" / "stored").write_bytes(archive(zipfile.ZIP_STORED))
    (HERE / "keras_zip" / "deflated").write_bytes(archive(zipfile.ZIP_DEFLATED))
    (HERE / "hdf5_list" / "list").write_bytes(listing())
    failed = struct.pack("<I", 3) + string("is no HDF5 file")
    (HERE / "hdf5_list" / "failed").write_bytes(failed)


if __name__ == "__main__":
    main()
