# SPDX-License-Identifier: MIT
"""Random networks of audio plugins (NAM, GuitarML, RTNeural, AIDA-X, state_dict JSON) through lstmconvert,
against PyTorch; and RTNeural's layout of weights against Keras itself, where Keras is installed.

    test_audio.py [CASES [SEED]]

Three results are compared: ours, PyTorch's in float32, and PyTorch's in float64, which counts as the truth.
The ratio (our error) / (PyTorch's float32 error), of the errors that a hundredth of the numbers exceed, must have
a median of at most 1.1 and never exceed 2.
"""
import json
import os
import sys

os.environ.setdefault("KERAS_BACKEND", "torch")

try:
    import numpy as np
    import torch
except ImportError as missing:
    print("skipped: %s (pip install torch numpy)" % missing)
    sys.exit(77)

import lstmrun
import make_audio_models as made
import torch_cases

ITEMS, STEPS = 8, 256
KERAS_CASES = 24
KERAS_TOLERANCE = 1e-5


def convert(path, *options):
    model = path + ".bin"
    return model, torch_cases.convert(path, model, *options)


def largest_error(result, truth):
    return float(np.max(np.abs(result - truth))) / max(1.0, float(np.max(np.abs(truth))))


def draw(rng, number):
    return made.FORMATS[number % len(made.FORMATS)](rng)


def check(network, folder):
    path = made.write(network, os.path.join(folder, "net." + network.extension))
    options = ["--verify", "stored"] if isinstance(network, made.AidaX) else []
    model, said = convert(path, *options)
    assert not options or "within 1e-05" in said, "the vectors in the file were not verified: " + said
    x = torch.randn(ITEMS, STEPS, network.inputs)
    single = network.to(torch.float32).run(x).double().numpy()
    truth = network.to(torch.float64).run(x.double()).numpy()
    outputs, _ = lstmrun.Model(model).plan().run(list(x.numpy()))
    ours = np.array(outputs, np.float64)
    assert ours.shape == truth.shape, "shape %s, expected %s" % (ours.shape, truth.shape)
    return torch_cases.ratio([ours], [single], [truth])


# ---- Keras ---------------------------------------------------------------------------------------------------


def keras_layers(rng, keras):
    """A random Sequential and the entries that RTNeural's exporter writes for it."""
    layers, entries = [], []
    for _ in range(rng.choice([1, 2, 3])):
        size = rng.choice([2, 3, 8, 12])
        activation = rng.choice([None, "tanh", "relu", "sigmoid", "elu", "softmax"])
        kind = rng.choice(["dense", "lstm", "gru", "conv1d", "batchnorm"])
        entry = {"type": kind, "activation": "" if kind in ("lstm", "gru", "batchnorm") else activation or ""}
        if kind == "dense":
            layer = keras.layers.Dense(size, activation=activation)
        elif kind == "conv1d":
            taps, dilation = rng.choice([1, 2, 4]), rng.choice([1, 3])
            layer = keras.layers.Conv1D(size, taps, dilation_rate=dilation, padding="causal", activation=activation)
            entry.update(kernel_size=[taps], dilation=[dilation], groups=1)
        elif kind == "batchnorm":
            layer = keras.layers.BatchNormalization(epsilon=1e-3)
            entry.update(epsilon=1e-3)
        else:
            layer = (keras.layers.LSTM if kind == "lstm" else keras.layers.GRU)(size, return_sequences=True)
        layers.append(layer)
        entries.append(entry)
    return layers, entries


def check_keras(rng, keras, folder):
    inputs = rng.choice([1, 2, 3])
    layers, entries = keras_layers(rng, keras)
    model = keras.Sequential([keras.Input((None, inputs)), *layers])
    for layer, entry in zip(layers, entries):
        weights = [np.array(part, np.float32) for part in layer.get_weights()]
        weights = [np.abs(part) + 0.5 if entry["type"] == "batchnorm" else
                   part + np.float32(0.1) * np.random.default_rng(rng.randrange(1 << 30))
                   .standard_normal(part.shape).astype(np.float32) for part in weights]
        layer.set_weights(weights)
        entry["shape"] = list(layer.output.shape)
        entry["weights"] = [part.tolist() for part in weights]
    path = os.path.join(folder, "keras.json")
    with open(path, "w", encoding="utf-8") as file:
        json.dump({"in_shape": [None, None, inputs], "layers": entries}, file)
    x = np.random.default_rng(rng.randrange(1 << 30)).standard_normal((4, 60, inputs)).astype(np.float32)
    outputs, _ = lstmrun.Model(convert(path)[0]).plan().run(list(x))
    error = largest_error(np.array(outputs), np.array(model.predict_on_batch(x)))
    assert error < KERAS_TOLERANCE, "error %.3g to Keras for %s" % (error, [e["type"] for e in entries])


def keras_cases(rng, folder):
    """(passed, failed)"""
    try:
        import keras
    except ImportError as missing:
        print("SKIPPED the comparison with Keras: %s (pip install keras)" % missing)
        return 0, 0
    failed = 0
    keras.utils.set_random_seed(rng.randrange(1 << 30))
    for number in range(KERAS_CASES):
        try:
            check_keras(rng, keras, folder)
        except (AssertionError, lstmrun.Error) as problem:
            failed += 1
            print("FAILED Keras case %d: %s" % (number, problem))
    print("Keras %s: %d models" % (keras.__version__, KERAS_CASES))
    return KERAS_CASES - failed, failed


if __name__ == "__main__":
    sys.exit(torch_cases.main(120, draw, check, most=2, also=keras_cases))
