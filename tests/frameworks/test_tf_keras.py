# SPDX-License-Identifier: MIT
"""Files that Keras 2 itself writes (tf_keras): whole models as .h5 and .keras, both kinds of weight files
with the model's JSON, each read by lstmconvert; tf_keras in f32 and in f64 says what must come out.

    test_tf_keras.py [COUNT [SEED]]
"""
import os
import random
import sys
import tempfile
import time

os.environ["LSTMRUN_KERAS"] = "tf_keras"
from tensorflow_common import Quiet, tf  # noqa: E402
from keras_common import Refused, compare, convert, copy_of, keras, np, predict, run  # noqa: E402
from which_keras import layers  # noqa: E402

import drawn  # noqa: E402
import keras_random  # noqa: E402

FORMATS = ("h5", "keras", "weights.h5", "h5 of weights")
STEPS = dict(return_sequences=True)


# ---- files -----------------------------------------------------------------------------------------------

def save(model, kind, folder):
    """The file, and the spec it needs or None."""
    if kind in ("h5", "keras"):
        path = os.path.join(folder, "model." + kind)
        model.save(path)
        return path, None
    path = os.path.join(folder, "a.weights.h5" if kind[0] == "w" else "a.h5")
    spec = os.path.join(folder, "a.json")
    model.save_weights(path)
    with open(spec, "w") as file:
        file.write(model.to_json())
    return path, spec


def through_file(model, kind, x):
    with tempfile.TemporaryDirectory() as folder:
        with Quiet():
            path, spec = save(model, kind, folder)
        return run(convert(path, spec)[0], x)


def check(model, kind, x):
    exact = predict(copy_of(model, "float64"), x)
    if not abs(exact).max() < 1e4:
        return 0
    return compare(through_file(model, kind, x), predict(model, x), exact)


def check_random(rng, kind):
    model, x, story = keras_random.random_model(rng, True)
    try:
        return check(model, kind, x)
    except (AssertionError, Refused) as why:
        raise AssertionError("%s: %s" % (", ".join(story), why)) from None


# ---- what must be there in each run ----------------------------------------------------------------------

def words(*after, mask=False):
    return keras.Sequential([keras.Input((None,), dtype="int32"), layers.Embedding(9, 4, mask_zero=mask),
                             *after])


def frames(*after, shape=(None, 3), batch=None):
    return keras.Sequential([keras.Input(shape, batch_size=batch), *after])


def residual():
    inputs = keras.Input((None, 4))
    x = layers.LSTM(4, **STEPS)(inputs)
    x = layers.Concatenate()([layers.Add()([inputs, x]), x])
    return keras.Model(inputs, layers.TimeDistributed(layers.Dense(2))(x))


FIXED = {
    "LSTM classifier": lambda: words(layers.LSTM(5), layers.Dense(1, activation="sigmoid")),
    "masked words": lambda: words(layers.LSTM(5), layers.Dense(1), mask=True),
    "masked both ways": lambda: words(layers.Bidirectional(layers.GRU(3, **STEPS)), layers.LSTM(3),
                                      mask=True),
    "masked words, rescaled": lambda: words(layers.Rescaling(0.5, 0.25), layers.LSTM(5), mask=True),
    "Masking": lambda: frames(layers.Masking(0.0), layers.GRU(4, **STEPS), layers.Dense(2)),
    "GRU reset before": lambda: frames(layers.GRU(4, reset_after=False)),
    "GRU reset after": lambda: frames(layers.GRU(4)),
    "SimpleRNN": lambda: frames(layers.SimpleRNN(4, activation="relu")),
    "hard_sigmoid": lambda: frames(layers.LSTM(4, recurrent_activation="hard_sigmoid")),
    "backwards": lambda: frames(layers.LSTM(4, go_backwards=True, **STEPS)),
    "stateful": lambda: frames(layers.LSTM(4, stateful=True), batch=2),
    "merge sum": lambda: frames(layers.Bidirectional(layers.LSTM(4), merge_mode="sum")),
    "merge mul": lambda: frames(layers.Bidirectional(layers.GRU(4), merge_mode="mul")),
    "merge ave": lambda: frames(layers.Bidirectional(layers.SimpleRNN(4, **STEPS), merge_mode="ave")),
    "cells": lambda: frames(layers.RNN(layers.LSTMCell(4), **STEPS), layers.RNN(layers.GRUCell(3))),
    "residual": residual,
    "convolution": lambda: frames(layers.Conv1D(4, 3, padding="causal"), layers.BatchNormalization(),
                                  layers.Activation("relu"), layers.LSTM(4)),
    "layer norm": lambda: frames(layers.LSTM(4, **STEPS), layers.LayerNormalization(), layers.Dropout(0.2)),
    "flattened": lambda: frames(layers.TimeDistributed(layers.Flatten()), layers.LSTM(3), shape=(None, 3, 2)),
    "reshaped": lambda: keras.Sequential([keras.Input((6,)), layers.Reshape((6, 1)), layers.LSTM(4)]),
}


def input_of(model):
    shape = [size or known for size, known in zip(model.inputs[0].shape, (2, 6, 3, 3))]
    rng = np.random.default_rng(3)
    if "int" in str(model.inputs[0].dtype.name):
        x = rng.integers(1, 9, shape).astype(np.int32)
        x[0, 3:] = 0
        return x
    x = rng.normal(size=shape).astype(np.float32)
    x[0, 3:] = 0
    return x


def check_fixed(make, kind):
    keras.backend.clear_session()
    model = make()
    keras_random.randomise(model, np.random.default_rng(5))
    return check(model, kind, input_of(model))


def check_cudnn(name):
    """Layers for a GPU cannot run here; what they save can be loaded into the plain layer."""
    from tf_keras.src.layers.rnn import cudnn_gru, cudnn_lstm
    kind = {"LSTM": cudnn_lstm.CuDNNLSTM, "GRU": cudnn_gru.CuDNNGRU}[name]
    model = frames(kind(4, name="layer"))
    plain = frames(layers.LSTM(4, name="layer") if name == "LSTM" else layers.GRU(4, name="layer"))
    keras_random.randomise(model, np.random.default_rng(6))
    x = np.random.default_rng(7).normal(size=(2, 6, 3)).astype(np.float32)
    with tempfile.TemporaryDirectory() as folder:
        with Quiet():
            path, _ = save(model, "h5", folder)
            plain.load_weights(path)
        ours = run(convert(path)[0], x)
    return compare(ours, predict(plain, x), predict(copy_of(plain, "float64"), x))


# ---- all -------------------------------------------------------------------------------------------------

class Score:
    def __init__(self):
        self.passed = self.failed = 0
        self.worst = 0.0

    def case(self, name, function, *arguments):
        try:
            self.worst = max(self.worst, function(*arguments) or 0.0)
            self.passed += 1
        except Exception as why:  # Keras's own complaints are failures like any other
            self.failed += 1
            print("not ok %s: %s: %s" % (name, type(why).__name__, str(why)[:600]), flush=True)


def main():
    count, seed = drawn.arguments(60)
    score, started = Score(), time.time()
    for number, (name, make) in enumerate(FIXED.items()):
        kind = FORMATS[number % len(FORMATS)]
        score.case("%s (%s)" % (name, kind), check_fixed, make, kind)
    for kind in FORMATS:
        score.case("every format: " + kind, check_fixed, FIXED["residual"], kind)
    for name in ("LSTM", "GRU"):
        score.case("CuDNN" + name, check_cudnn, name)
    for number in range(count):
        kind = FORMATS[number % len(FORMATS)]
        rng = random.Random(seed * 1000003 + number)
        score.case("random %d (%s)" % (number, kind), check_random, rng, kind)
    print("tf_keras %s on tensorflow %s: seed %d, %d random configurations, largest error %.2g, %.0f s" %
          (keras.__version__, tf.__version__, seed, count, score.worst, time.time() - started))
    print("%d passed, %d failed" % (score.passed, score.failed))
    return score.failed != 0


if __name__ == "__main__":
    sys.exit(main())
