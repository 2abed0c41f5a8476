# SPDX-License-Identifier: MIT
"""Keras's own tests of its recurrent layers, computed by lstmrun.

The installed keras package ships its tests with the literal numbers they expect. Here they run as
they are, but the inner loop of the layers (what turns a sequence and a state into outputs and a state)
is replaced: it builds a model file from the layer's weights and runs that. So the numbers that are
compared with Keras's literals are ours. A masked step is a step that an item of a ragged batch does not
have.
"""
import importlib
import os
import sys
import types
import unittest

os.environ.setdefault("KERAS_BACKEND", "torch")
try:
    import numpy as np
    import keras
except ImportError as missing:
    print("skipped: %s (pip install keras torch numpy)" % missing)
    sys.exit(77)

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
import lstmrun  # noqa: E402
import model_file  # noqa: E402

MODULES = ("lstm_test", "gru_test", "simple_rnn_test", "bidirectional_test")
# Those that compare numbers; the others look at shapes, losses and dispatch inside Keras.
TESTS = ("test_correctness", "test_statefulness", "test_pass_initial_state", "test_masking",
         "test_pass_return_state", "test_return_state")
ACTIVATIONS = {"linear": "identity"}
calls = []


def activation(function):
    name = keras.activations.serialize(function)
    return model_file.ACTIVATIONS[ACTIVATIONS.get(name, name)]


def gate_rows(kernel, recurrent, order):
    """Keras's [in][gates · H] and [H][gates · H] as our [gates][H][H + in]."""
    both = np.concatenate([recurrent, kernel])
    blocks = np.split(both, len(order), axis=1)
    return np.stack([blocks[gate].T for gate in order])


def gate_bias(bias, order):
    blocks = np.split(bias, len(order))
    return np.stack([blocks[gate] for gate in order])


ORDERS = {"lstm": (0, 1, 2, 3), "gru": (1, 0, 2), "rnn": (0,)}


def activations_of(kind, cell):
    if kind == "rnn":
        return (activation(cell.activation),)
    gates, other = activation(cell.recurrent_activation), activation(cell.activation)
    return (gates, other, other) if kind == "lstm" else (gates, other)


def build(kind, layer):
    """A model file of one layer. Its direction is the layer's; outputs come in the input's order."""
    cell, order = layer.cell, ORDERS[kind]
    numbers = [np.asarray(keras.ops.convert_to_numpy(v), np.float32) for v in cell.trainable_variables]
    kernel, recurrent = numbers[0], numbers[1]
    bias, candidate = (numbers[2] if cell.use_bias else None), None
    after = kind == "gru" and cell.reset_after
    if after and bias is not None:
        units = cell.units  # the recurrent bias of the candidate stays apart, inside the reset
        candidate = bias[1][None, 2 * units:]
        bias = bias[0] + np.concatenate([bias[1][:2 * units], np.zeros(units, np.float32)])
    model = model_file.Model(input=[kernel.shape[0]])
    slots = [model.tensor(gate_rows(kernel, recurrent, order)),
             None if bias is None else model.tensor(gate_bias(bias, order)),
             None if candidate is None else model.tensor(candidate), None, None, None]
    words = model_file.rnn_words(cell.units, 1 if layer.go_backwards else 0, 2 if after else 0,
                                 activations=activations_of(kind, cell))
    model.layer(kind, [0], [cell.units], tensors=slots, words=words)
    return model.bytes()


def spread(output, valid, first, zeros):
    """Outputs of the valid steps to all steps: a masked one repeats what was before it."""
    full, before = np.zeros((len(valid), output.shape[1]), np.float32), first
    at = 0
    for step, there in enumerate(valid):
        if there:
            before, at = output[at], at + 1
        full[step] = before if there or not zeros else 0
    return full, before


def inner_loop(layer, sequences, initial_state, mask, training=False):
    kind = {"LSTM": "lstm", "GRU": "gru", "SimpleRNN": "rnn"}[type(layer).__name__]
    calls.append(kind)
    x = keras.ops.convert_to_numpy(sequences)
    states = initial_state if isinstance(initial_state, (list, tuple)) else [initial_state]
    states = [keras.ops.convert_to_numpy(state) for state in states]
    mask = mask[0] if isinstance(mask, (list, tuple)) else mask
    valid = np.ones(x.shape[:2], bool) if mask is None else keras.ops.convert_to_numpy(mask).astype(bool)
    first = [{(0, 0, "hc"[i]): state[item] for i, state in enumerate(states)} for item in range(len(x))]
    model = lstmrun.Model(build(kind, layer))
    outputs, finals = model.plan().run([x[item][valid[item]] for item in range(len(x))], first)
    if layer.go_backwards:  # Keras keeps the order of processing
        outputs, valid = [output[::-1] for output in outputs], valid[:, ::-1]
    full, last = zip(*(spread(output, valid[item], first[item][0, 0, "h"], layer.zero_output_for_mask)
                       for item, output in enumerate(outputs)))
    ends = [np.stack([final[0, 0, "hc"[i]] for final in finals]) for i in range(len(states))]
    tensor = keras.ops.convert_to_tensor
    return tensor(np.stack(last)), tensor(np.stack(full)), [tensor(end) for end in ends]


def stand_in_for_pytest():
    """Keras's tests import pytest for decorators alone."""
    stub = types.ModuleType("pytest")

    class Mark:
        def __getattr__(self, name):
            return lambda *arguments, **options: lambda function: function

    stub.mark = Mark()
    stub.raises = unittest.TestCase.assertRaises
    sys.modules["pytest"] = stub


def load(name):
    try:
        importlib.import_module("pytest")
    except ImportError:
        stand_in_for_pytest()
    return importlib.import_module("keras.src.layers.rnn." + name)


def chosen(suite):
    for test in suite:
        if isinstance(test, unittest.TestSuite):
            yield from chosen(test)
        elif any(test.id().split(".")[-1].startswith(name) for name in TESTS):
            yield test


def main():
    for layer in (keras.layers.LSTM, keras.layers.GRU, keras.layers.RNN):
        layer.inner_loop = inner_loop
    for name in ("_can_attempt_fused_lstm", "_can_attempt_fused_gru"):
        if hasattr(keras.layers.Bidirectional, name):
            setattr(keras.layers.Bidirectional, name, lambda *arguments, **options: False)
    failed = passed = 0
    print("keras %s, backend %s" % (keras.__version__, keras.backend.backend()))
    for name in MODULES:
        try:
            module = load(name)
        except ImportError as missing:
            print("skipped: this keras has no tests inside, or they need more: %s" % missing)
            return 77
        for test in chosen(unittest.defaultTestLoader.loadTestsFromModule(module)):
            before, result = len(calls), unittest.TestResult()
            test.run(result)
            problems = [text for _, text in result.errors + result.failures]
            if not problems and len(calls) == before:
                problems = ["the layers were not computed by lstmrun"]
            failed, passed = failed + bool(problems), passed + (not problems)
            print("%s %s" % ("FAILED" if problems else "ok", ".".join(test.id().split(".")[-3:])))
            for text in problems:
                print("  " + text.strip().replace("\n", "\n  "))
    print("%d passed, %d failed" % (passed, failed))
    return failed != 0 or passed == 0


if __name__ == "__main__":
    sys.exit(main())
