# SPDX-License-Identifier: MIT
"""Files of Keras through lstmconvert: random models in every format against Keras in f32 and f64, Keras's own
literal numbers, state over calls, every refusal of tools/CONVERT-KERAS.md.

    test_keras_files.py [COUNT [SEED]]
"""
import json
import os
import random
import sys
import tempfile
import unittest

from keras_common import (FORMATS, Refused, compare, convert, copy_of, h5py, keras, lstmrun, np, predict, run,
                          run_file, save, save_keras2)
from keras_refused import MODELS
from test_keras import load

import drawn
import keras_random

layers = keras.layers


# ---- random models ---------------------------------------------------------------------------------------

def moved_by_last_bits(model, x, exact):
    """How far the result moves, in f64, when weights are off by their last bit: the largest of three tries."""
    rng, weights, far = np.random.default_rng(1), model.get_weights(), 0.0
    for _ in range(3):
        model.set_weights([part * (1 + 2.0**-23 * rng.uniform(-1, 1, part.shape)) for part in weights])
        far = max(far, float(np.max(np.abs(predict(model, x) - exact))))
    return far


def check_random(rng, kind):
    model, x, story = keras_random.random_model(rng, kind == "keras2")
    old = kind == "keras2"
    double = copy_of(model, "float64", old)
    exact = predict(double, x)
    if not abs(exact).max() < 1e4:
        return 0
    try:
        ours = run_file(model, kind, x)[0]
        return compare(ours, predict(copy_of(model, "float32", old), x), exact)
    except (AssertionError, Refused) as why:
        # Where a model amplifies, Keras's error is one draw and ours another, whose quotient exceeds 4 in a sixth of
        # all cases. A rounding is a weight off by half its last bit: a sum of 16 of them at random, and two for an
        # activation, stay within 8 times what those bits do.
        if isinstance(why, Refused) or ours.size != exact.size or not (
                np.max(np.abs(ours.reshape(exact.shape) - exact)) <= 8 * moved_by_last_bits(double, x, exact)):
            raise AssertionError("%s: %s" % (", ".join(story), why)) from None
        return 0


def check_randoms(score, count, seed):
    failed, worst = score.failed, 0.0
    for number in range(count):
        kind = FORMATS[number % len(FORMATS)]
        rng = random.Random(seed * 1000003 + number)
        worst = max(worst, score.case("random %d (%s)" % (number, kind), check_random, rng, kind) or 0)
    print("random: seed %d, %d configurations, %d failed; largest error %.2g" %
          (seed, count, score.failed - failed, worst))


# ---- Keras's literal numbers -----------------------------------------------------------------------------

MASKED = 7e6  # a number that stands for a masked step
LITERALS = {"lstm_test": "LSTM", "gru_test": "GRU", "simple_rnn_test": "SimpleRNN",
            "bidirectional_test": "Bidirectional", "time_distributed_test": "TimeDistributed"}


class ThroughFile:
    """Stands in for a layer's __call__: its result is that of a file with the layer."""

    def __init__(self, original):
        self.original, self.calls, self.inside = original, 0, False

    def __call__(self, layer, sequence, mask=None):
        result = self.original(layer, sequence) if mask is None else self.original(layer, sequence, mask=mask)
        if self.inside or isinstance(sequence, keras.KerasTensor) or isinstance(result, (tuple, list)):
            return result
        self.inside = True
        x = np.array(keras.ops.convert_to_numpy(sequence), np.float32)
        before = []
        if mask is not None:
            x[~np.asarray(mask)] = MASKED
            before = [layers.Masking(MASKED)]
        model = keras.Sequential([keras.Input(x.shape[1:]), *before, layer])
        ours, _ = run_file(model, ("keras", "h5")[self.calls % 2], x)
        self.inside = False
        self.calls += 1
        return ours.reshape(result.shape)


def check_literal(test, stand_in):
    before, result = stand_in.calls, unittest.TestResult()
    test.run(result)
    problems = [text.splitlines()[-1] for _, text in result.errors + result.failures]
    assert not problems, problems
    assert stand_in.calls > before, "nothing was computed by lstmrun"


def check_literals(score):
    for module, name in LITERALS.items():
        tests = unittest.defaultTestLoader.loadTestsFromModule(load(module))
        kind = getattr(layers, name)
        original, stand_in = kind.__call__, ThroughFile(kind.__call__)
        kind.__call__ = lambda self, *given, stand_in=stand_in, **named: stand_in(self, *given, **named)
        for test in (test for suite in tests for test in suite):
            method = test.id().split(".")[-1]
            if method.startswith("test_correctness") or (method == "test_masking" and name != "TimeDistributed"):
                score.case(".".join(test.id().split(".")[-2:]), check_literal, test, stand_in)
        kind.__call__ = original


# ---- state -----------------------------------------------------------------------------------------------

def check_stateful(cell):
    """Calls of a stateful model are the parts of one run of the file."""
    model = keras.Sequential([keras.Input(batch_shape=(2, 4, 3)),
                              cell(5, return_sequences=True, stateful=True), layers.Conv1D(4, 1), layers.Dense(2)])
    keras_random.randomise(model, np.random.default_rng(1))
    x = np.random.default_rng(2).normal(size=(2, 12, 3)).astype(np.float32)
    parts = [predict(model, x[:, at:at + 4]) for at in (0, 4, 8)]
    ours, _ = run_file(model, "keras", x)
    assert np.abs(ours - np.concatenate(parts, 1)).max() < 1e-6
    return 0


# ---- single things ---------------------------------------------------------------------------------------

def check_element_types(dtype):
    """Weights of other types than f32 give what f32 weights of the same value give."""
    model = keras.Sequential([keras.Input((None, 3)), layers.LSTM(4, recurrent_initializer="zeros")])
    keras_random.randomise(model, np.random.default_rng(3))
    model.set_weights([np.asarray(keras.ops.convert_to_numpy(keras.ops.cast(w, dtype)), np.float32)
                       if dtype != "bfloat16" else np.round(w * 64) / 64 for w in model.get_weights()])
    x = np.random.default_rng(4).normal(size=(1, 5, 3)).astype(np.float32)
    with tempfile.TemporaryDirectory() as folder:
        path, spec = save(model, "weights", folder)
        wide = run(convert(path, spec)[0], x)
        policy = keras.models.model_from_json(model.to_json().replace('"float32"', '"%s"' % dtype))
        policy.set_weights(model.get_weights())
        policy.save_weights(path)
        assert np.array_equal(run(convert(path, spec)[0], x), wide)
    return 0


def check_normalization():
    normal = layers.Normalization()
    x = np.random.default_rng(5).normal(3, 2, (4, 6, 3)).astype(np.float32)
    normal.adapt(x)
    model = keras.Sequential([keras.Input((6, 3)), normal, layers.GRU(4)])
    return compare(run_file(model, "keras", x)[0], predict(model, x), predict(copy_of(model, "float64"), x))


def check_univariate():
    """[batch, steps] reshaped to one number a step."""
    model = keras.Sequential([keras.Input((6,)), layers.Reshape((6, 1)), layers.LSTM(4), layers.Dense(1)])
    x = np.random.default_rng(6).normal(size=(3, 6)).astype(np.float32)
    return compare(run_file(model, "h5", x)[0], predict(model, x), predict(copy_of(model, "float64"), x))


def check_masked_products():
    """What a product has in masked steps shows behind a layer that knows no masks."""
    inputs = keras.Input((None, 3))
    x = layers.Masking(0.25)(inputs)
    steps = layers.GRU(3, return_sequences=True)(x)
    one, two = (layers.Conv1D(3, 2, padding="causal")(x) for _ in range(2))
    products = [layers.Multiply()(factors) for factors in ([x, steps], [one, steps], [one, x, two])]
    model = keras.Model(inputs, layers.Conv1D(2, 2, padding="causal")(layers.Concatenate()(products)))
    keras_random.randomise(model, np.random.default_rng(9))
    x = np.random.default_rng(10).normal(size=(2, 9, 3)).astype(np.float32)
    x[:, [0, 3, 4, 8]] = 0.25
    wanted, exact = predict(model, x), predict(copy_of(model, "float64"), x)
    return max(compare(run_file(model, kind, x)[0], wanted, exact) for kind in ("keras", "h5", "weights"))


def check_windows(name):
    """A ring of backslashes, as Keras of TensorFlow 2.12 wrote it on Windows; also the older container."""
    model = keras.Sequential([keras.Input((None, 3)), layers.LSTM(4), layers.Dense(2)])
    keras_random.randomise(model, np.random.default_rng(7))
    x = np.random.default_rng(8).normal(size=(1, 5, 3)).astype(np.float32)
    with tempfile.TemporaryDirectory() as folder:
        path, spec = save(model, "weights", folder)
        wide = run(convert(path, spec)[0], x)
        with h5py.File(path) as file:
            arrays = {}
            file.visititems(lambda key, item: arrays.update({key: item[()]} if hasattr(item, "shape") else {}))
        with h5py.File(path, "w") as file:
            for key, numbers in arrays.items():
                group, rest = key.split("/", 2)[1:]
                file[name % group + "/" + rest] = numbers
        assert np.array_equal(run(convert(path, spec)[0], x), wide)
    return 0


def check_old_versions():
    """The hard_sigmoid of a file without a version cannot be known."""
    model = keras.Sequential([keras.Input((None, 3)), layers.LSTM(4, recurrent_activation="hard_sigmoid")])
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "model.h5")
        save_keras2(model, path, "2.2.4")
        convert(path)
        with h5py.File(path, "a") as file:
            del file.attrs["keras_version"]
        refused(path, None, "hard_sigmoid", "keras_version")
        save_keras2(model, path, "1.2.2")
        refused(path, None, "Keras 1")


def check_chosen_output():
    with tempfile.TemporaryDirectory() as folder:
        path, _ = save(MODELS["two outputs"][0](), "keras", folder)
        spec = os.path.join(folder, "spec.json")
        for name, size in (("one", 2), ("two", 1)):
            with open(spec, "w") as file:
                json.dump({"output": name, "name": "chosen", "labels": ["a", "b"][:size]}, file)
            model = lstmrun.Model(convert(path, spec)[0])
            assert model.info.output.size == size
        with open(spec, "w") as file:
            json.dump({"output": "three"}, file)
        refused(path, spec, "$.output", "three")


# ---- refusals --------------------------------------------------------------------------------------------

def refused(path, spec, *words):
    try:
        convert(path, spec)
    except Refused as refusal:
        lost = [word for word in words if word not in str(refusal)]
        assert not lost, "%s not in: %s" % (lost, refusal)
        return
    raise AssertionError("was not refused")


def check_refused(name):
    make, *words = MODELS[name]
    with tempfile.TemporaryDirectory() as folder:
        refused(*save(make(), "keras", folder), *words)


def check_weights_alone():
    model = keras.Sequential([keras.Input((None, 3)), layers.LSTM(4)])
    other = keras.Sequential([keras.Input((None, 3)), layers.LSTM(4), layers.Dense(2)])
    with tempfile.TemporaryDirectory() as folder:
        path, spec = save(model, "weights", folder)
        refused(path, None, "--spec", "to_json")
        with open(spec, "w") as file:
            file.write(other.to_json())
        refused(path, spec, "'dense", "0 weights", "asks for 2")
        path, _ = save(other, "weights", folder)
        with open(spec, "w") as file:
            file.write(model.to_json())
        refused(path, spec, "layers/dense/vars/0", "belongs to no layer")


# ---- all -------------------------------------------------------------------------------------------------

class Score:
    def __init__(self):
        self.passed = self.failed = 0

    def case(self, name, function, *arguments):
        try:
            result = function(*arguments)
            self.passed += 1
            return result
        except Exception as why:  # Keras's own complaints are failures like any other
            self.failed += 1
            print("not ok %s: %s: %s" % (name, type(why).__name__, why))
            return None


def main():
    count, seed = drawn.arguments(240)
    score = Score()
    check_literals(score)
    for cell in (layers.LSTM, layers.GRU, layers.SimpleRNN):
        score.case("stateful " + cell.__name__, check_stateful, cell)
    for dtype in ("float16", "float64", "bfloat16"):
        score.case("weights in " + dtype, check_element_types, dtype)
    for form in ("_layer_checkpoint_dependencies\\%s", "_layer_checkpoint_dependencies/%s", "layers\\%s"):
        score.case("group " + form, check_windows, form)
    for check in (check_normalization, check_univariate, check_masked_products, check_old_versions,
                  check_chosen_output, check_weights_alone):
        score.case(check.__name__, check)
    for name in MODELS:
        score.case("refused: " + name, check_refused, name)
    check_randoms(score, count, seed)
    print("keras %s: %d passed, %d failed" % (keras.__version__, score.passed, score.failed))
    print("%d passed, %d failed" % (score.passed, score.failed))
    return score.failed != 0


if __name__ == "__main__":
    sys.exit(main())
