# SPDX-License-Identifier: MIT
"""textgenrnn's published weights (Keras 2.1.5, LSTMs in cuDNN's layout) with an architecture as the spec:
every probability against a numpy evaluation in double precision, and a text as a demonstration.

    test_textgenrnn.py [--text N]       also prints N texts
"""
import json
import os
import sys
import tempfile
import time

try:
    import h5py
    import numpy as np
except ImportError as missing:
    print("skipped: %s (pip install numpy h5py)" % missing)
    sys.exit(77)

import lstmrun
import packages
from keras_convert import convert

PACKAGE, STEPS, UNITS, START = "textgenrnn==2.0.0", 40, 128, "<s>"


def layer(class_name, name, sources, **config):
    return {"class_name": class_name, "name": name, "config": dict(config, name=name),
            "inbound_nodes": [[[source, 0, 0, {}] for source in sources]] if sources else []}


# What textgenrnn/model.py builds, as Keras 2's model.to_json() would say it.
ARCHITECTURE = {"class_name": "Model", "keras_version": "2.1.5", "config": {
    "name": "textgenrnn",
    "layers": [
        layer("InputLayer", "input", [], batch_input_shape=[None, STEPS]),
        layer("Embedding", "embedding", ["input"], input_dim=465, output_dim=100),
        layer("LSTM", "rnn_1", ["embedding"], units=UNITS, return_sequences=True),
        layer("LSTM", "rnn_2", ["rnn_1"], units=UNITS, return_sequences=True),
        layer("Concatenate", "rnn_concat", ["embedding", "rnn_1", "rnn_2"], axis=-1),
        layer("AttentionWeightedAverage", "attention", ["rnn_concat"]),
        layer("Dense", "output", ["attention"], units=465, activation="softmax")],
    "input_layers": [["input", 0, 0]], "output_layers": [["output", 0, 0]]}}


# ---- the same in numpy -----------------------------------------------------------------------------------

class Reference:
    def __init__(self, path):
        with h5py.File(path) as file:
            def array(name):
                return np.asarray(file[name], np.float64)
            self.table = array("embedding/embedding/embeddings:0")
            self.cells = [self.cell(*(array("%s/%s/%s:0" % (name, name, part))
                                      for part in ("kernel", "recurrent_kernel", "bias")))
                          for name in ("rnn_1", "rnn_2")]
            self.score = array("attention/attention/attention_W:0")
            self.output = array("output/output/kernel:0"), array("output/output/bias:0")

    @staticmethod
    def cell(kernel, recurrent, bias):
        """cuDNN's matrices are [units][inputs] for each gate, whatever shape they were stored with."""
        gates = np.split(kernel, 4, axis=1)
        w = [gate.ravel().reshape(UNITS, -1) for gate in gates]
        r = [gate.ravel().reshape(UNITS, UNITS) for gate in np.split(recurrent, 4, axis=1)]
        return w, r, np.split(bias[:4 * UNITS] + bias[4 * UNITS:], 4)

    @staticmethod
    def lstm(x, w, r, b):
        h, c, out = np.zeros(UNITS), np.zeros(UNITS), []
        for frame in x:
            i, f, g, o = (w[k] @ frame + r[k] @ h + b[k] for k in range(4))
            c = c / (1 + np.exp(-f)) + np.tanh(g) / (1 + np.exp(-i))
            h = np.tanh(c) / (1 + np.exp(-o))
            out.append(h)
        return np.array(out)

    def __call__(self, tokens):
        parts = [self.table[tokens]]
        for cell in self.cells:
            parts.append(self.lstm(parts[-1], *cell))
        frames = np.concatenate(parts, axis=1)
        scores = (frames @ self.score)[:, 0]
        weights = np.exp(scores - scores.max())
        mean = weights @ frames / (weights.sum() + 1e-7)
        logits = mean @ self.output[0] + self.output[1]
        powers = np.exp(logits - logits.max())
        return powers / powers.sum()


# ---- text ------------------------------------------------------------------------------------------------

def encode(text, numbers):
    """The last 40 characters, with zeros before them, as textgenrnn feeds its network."""
    tokens = [numbers.get(char, 0) for char in text][-STEPS:]
    return np.array([0] * (STEPS - len(tokens)) + tokens)


def next_char(plan, text, numbers, chars, rng):
    shares = plan.run([encode(text, numbers)[:, None]])[0][0][0].astype(np.float64)
    shares = np.exp(np.log(np.maximum(shares, 1e-12)) / 0.5)  # textgenrnn's temperature
    return chars[int(rng.choice(len(shares), p=shares / shares.sum()))]


def generate(plan, numbers, seed):
    rng, text = np.random.default_rng(seed), [START]
    chars = {number: char for char, number in numbers.items()}
    while len(text) < 200:
        char = next_char(plan, text, numbers, chars, rng)
        if char == START:
            break
        text.append(char)
    return "".join(text[1:])


def main():
    weights = packages.skip_without(PACKAGE, "textgenrnn/textgenrnn_weights.hdf5")
    with open(packages.skip_without(PACKAGE, "textgenrnn/textgenrnn_vocab.json"), encoding="utf-8") as file:
        numbers = json.load(file)
    with tempfile.TemporaryDirectory() as folder:
        spec = os.path.join(folder, "architecture.json")
        with open(spec, "w", encoding="utf-8") as file:
            json.dump(ARCHITECTURE, file)
        model = lstmrun.Model(convert(weights, spec, os.path.join(folder, "textgenrnn.bin"))[0])
    plan, reference = model.plan(threads=1), Reference(weights)
    text = [START] + list("What is the best way to run a recurrent neural network on a computer that is "
                          "not a new one? [Serious] Écrire 1234 lines.")
    inputs = [encode(text[:length], numbers) for length in range(1, len(text))]
    began = time.perf_counter()
    ours = [plan.run([tokens[:, None]])[0][0][0] for tokens in inputs]
    between = time.perf_counter()
    exact = [reference(tokens) for tokens in inputs]
    ended = time.perf_counter()
    error = max(float(np.max(np.abs(a - b))) for a, b in zip(ours, exact))
    agree = sum(int(np.argmax(a)) == int(np.argmax(b)) for a, b in zip(ours, exact))
    times = 1e3 * (between - began) / len(inputs), 1e3 * (ended - between) / len(inputs)
    print("textgenrnn: %d contexts, largest error %.2g, same best character in %d; %.2f ms a context, numpy "
          "%.2f ms" % (len(inputs), error, agree, *times))
    for seed in range(int(sys.argv[2]) if sys.argv[1:2] == ["--text"] else 1):
        print("a text: " + generate(plan, numbers, seed).replace("\n", " / "))
    good = error < 1e-5 and agree == len(inputs)
    print("%d passed, %d failed" % (good, not good))
    return not good


if __name__ == "__main__":
    sys.exit(main())
