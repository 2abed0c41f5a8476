# SPDX-License-Identifier: MIT
"""What tf2onnx writes for models of TensorFlow: from tf_keras (Keras 2), from Keras 3, from functions and
SavedModels, at several operator sets. Each file goes through lstmconvert and is held against ONNX Runtime
on the same file and against TensorFlow itself.

    test_tf2onnx.py [NAME...]     only cases whose names have one of these in them
"""
import logging
import os
import subprocess
import sys
import tempfile
import time

from tensorflow_common import PACKAGES, Quiet, keras, tf, tf_keras

try:
    import tf2onnx
except ImportError as missing:
    print("skipped: %s (pip install %s)" % (missing, PACKAGES))
    sys.exit(77)

from onnx_common import Refused, convert, np, onnx, reference, run

logging.getLogger("tf2onnx").setLevel(logging.CRITICAL)
OPSETS = (13, 15, 17, 18)
TOLERANCE = 1e-5
B, T, I = 3, 7, 5


class Score:
    def __init__(self, chosen):
        self.chosen, self.passed, self.failed, self.worst = chosen, 0, 0, 0.0

    def case(self, name, function, *arguments):
        if self.chosen and not any(word in name for word in self.chosen):
            return
        try:
            self.worst = max(self.worst, function(*arguments) or 0.0)
            self.passed += 1
        except Exception as why:  # also what TensorFlow and tf2onnx complain of
            self.failed += 1
            print("not ok %s: %s: %s" % (name, type(why).__name__, str(why)[:400]), flush=True)


# ---- one file --------------------------------------------------------------------------------------------

def difference(what, ours, wanted):
    if ours.size != wanted.size:
        raise AssertionError("%s: shape %s, wanted %s" % (what, ours.shape, wanted.shape))
    error = float(np.max(np.abs(ours.reshape(-1) - wanted.reshape(-1)), initial=0))
    if not error <= TOLERANCE * max(1.0, float(np.max(np.abs(wanted), initial=0))):
        raise AssertionError("%s: differs by %g" % (what, error))
    return error


def check_proto(proto, x, wanted):
    feeds = {proto.graph.input[0].name: x}
    difference("ONNX Runtime against TensorFlow", reference(proto, feeds), wanted)
    with tempfile.TemporaryDirectory() as folder:
        model_file, _ = convert(proto, folder)
        ours = run(model_file, x if x.ndim > 2 else x[:, :, None], folder)
    return max(difference("ONNX Runtime", ours, reference(proto, feeds)),
               difference("TensorFlow", ours, wanted))


def randomise(model):
    """Numbers everywhere, biases too, so that no two of them can be mistaken for each other."""
    rng = np.random.default_rng(len(model.get_weights()))
    model.set_weights([rng.uniform(0.3, 1.5, w.shape) if w.ndim == 1 and w.min() >= 1 and w.max() <= 1
                       else rng.normal(size=w.shape) * 0.8 / np.sqrt(max(1, w.shape[0]))
                       for w in model.get_weights()])


def numbers(model):
    shape = [size or fixed for size, fixed in zip(model.inputs[0].shape, (B, T, I, I))]
    rng = np.random.default_rng(5)
    if "int" in str(model.inputs[0].dtype):
        x = rng.integers(0, 10, shape).astype(np.int32)
        x[0, -2:] = 0
        return x
    x = rng.normal(size=shape).astype(np.float32)
    x[0, -2:] = 0
    return x


def check_keras(make, opset):
    model = make()
    randomise(model)
    x = numbers(model)
    with Quiet():
        proto, _ = tf2onnx.convert.from_keras(model, opset=opset)
    return check_proto(proto, x, np.asarray(model(x, training=False)))


# ---- without a model -------------------------------------------------------------------------------------

def own_loop(cell, n_states):
    """A loop over the steps that calls a cell, as people write it with tf.while_loop."""
    cell.build((None, I))
    randomise(cell)

    @tf.function(input_signature=[tf.TensorSpec([None, None, I], tf.float32, name="x")])
    def whole(x):
        by_step = tf.transpose(x, [1, 0, 2])
        n = tf.shape(by_step)[0]
        states = tuple(tf.zeros([tf.shape(x)[0], 4]) for _ in range(n_states))

        def step(t, states, outputs):
            y, new = cell(tf.gather(by_step, t), list(states))
            return t + 1, tuple(new), outputs.write(t, y)
        outputs = tf.TensorArray(tf.float32, size=n, element_shape=[None, 4])
        outputs = tf.while_loop(lambda t, *_: t < n, step, (0, states, outputs))[2]
        return tf.transpose(outputs.stack(), [1, 0, 2])
    return whole


def check_function(make, opset):
    function, x = make(), np.random.default_rng(8).normal(size=(B, T, I)).astype(np.float32)
    with Quiet():
        proto, _ = tf2onnx.convert.from_function(function, input_signature=function.input_signature,
                                                 opset=opset)
    return check_proto(proto, x, np.asarray(function(x)))


def check_saved_model(make, opset):
    """python -m tf2onnx.convert --saved-model FOLDER, as its README begins with."""
    model = make()
    randomise(model)
    x = numbers(model)
    with tempfile.TemporaryDirectory() as folder:
        out = os.path.join(folder, "out.onnx")
        with Quiet():
            tf.saved_model.save(model, folder)
            done = subprocess.run([sys.executable, "-W", "ignore", "-m", "tf2onnx.convert", "--saved-model",
                                   folder, "--opset", str(opset), "--output", out],
                                  capture_output=True, text=True)
        assert done.returncode == 0, done.stderr[-400:]
        return check_proto(onnx.load(out), x, np.asarray(model(x, training=False)))


def check_others(score):
    cells = tf_keras.layers
    for name, make, n in (("LSTM", cells.LSTMCell, 2), ("GRU", cells.GRUCell, 1),
                          ("RNN", cells.SimpleRNNCell, 1)):
        score.case("own loop of an %s cell" % name, check_function, lambda: own_loop(make(4), n), 17)
    for name in ("LSTM", "SimpleRNN"):
        score.case("SavedModel: " + name, check_saved_model, models(tf_keras)[name], 15)


def check_refused(make, *words):
    """What tf2onnx writes for these is refused by name."""
    model = make()
    with Quiet():
        proto, _ = tf2onnx.convert.from_keras(model, opset=17)
    try:
        with tempfile.TemporaryDirectory() as folder:
            convert(proto, folder)
    except Refused as refusal:
        lost = [word for word in words if word not in str(refusal)]
        assert not lost, "%s not in: %s" % (lost, refusal)
        return 0
    raise AssertionError("was not refused")


def check_refusals(score):
    for version, k in (("Keras 2", tf_keras), ("Keras 3", keras)):
        inputs = k.Input((None, I))
        norm = k.layers.LayerNormalization()
        own = k.layers.RNN([k.layers.LSTMCell(4), k.layers.LSTMCell(3)])
        for name, layer, words in (
                ("layer normalisation", norm, "not supported"),
                ("stacked cells", own, "Loop"),
                ("GRU with gates of its own", k.layers.GRU(4, activation="gelu"), "Loop")):
            score.case("%s: refused: %s" % (version, name), check_refused,
                       lambda layer=layer: k.Model(inputs, layer(inputs)), words)


# ---- models of both versions of Keras --------------------------------------------------------------------

def models(k):
    """{name: function that makes the model} with the layers of this Keras."""
    L = k.layers

    def of(*layers, shape=(None, I), batch=None, dtype=None):
        def make():
            k.backend.clear_session()
            x = inputs = k.Input(shape, batch_size=batch, dtype=dtype)
            for layer in layers:
                x = layer()(x)
            return k.Model(inputs, x)
        return make

    def lay(kind, *arguments, **options):
        return lambda: kind(*arguments, **options)

    def both(kind, merge="concat", **options):
        return lambda: L.Bidirectional(kind(4, **options), merge_mode=merge)

    steps = dict(return_sequences=True)
    found = {}
    for kind, name in ((L.LSTM, "LSTM"), (L.GRU, "GRU"), (L.SimpleRNN, "SimpleRNN")):
        found.update({
            name: of(lay(kind, 4), lay(L.Dense, 3, activation="softmax")),
            name + " sequence": of(lay(kind, 4, **steps), lay(L.Dense, 3)),
            name + " fixed time": of(lay(kind, 4, **steps), shape=(T, I)),
            name + " fixed batch and time": of(lay(kind, 4), shape=(T, I), batch=B),
            name + " unrolled": of(lay(kind, 4, unroll=True, **steps), lay(L.Dense, 3), shape=(T, I)),
            name + " stacked": of(lay(kind, 4, **steps), lay(L.Dropout, 0.3), lay(kind, 3)),
            name + " backwards": of(lay(kind, 4, go_backwards=True)),
            name + " backwards sequence": of(lay(kind, 4, go_backwards=True, **steps)),
            name + " both ways": of(both(kind, **steps), lay(L.Dense, 2)),
            name + " both ways, last": of(both(kind), lay(L.Dense, 1, activation="sigmoid")),
            name + " both ways, sum": of(both(kind, "sum", **steps)),
            name + " no bias, relu": of(lay(kind, 4, use_bias=False, activation="relu")),
            name + " stateful": of(lay(kind, 4, stateful=True, **steps), shape=(T, I), batch=B),
            name + " words": of(lay(L.Embedding, 10, 4), lay(kind, 3), lay(L.Dense, 1), shape=(None,),
                                dtype="int32"),
            name + " masked words": of(lay(L.Embedding, 10, 4, mask_zero=True), lay(kind, 3), lay(L.Dense, 1),
                                       shape=(None,), dtype="int32"),
            name + " masked": of(lay(L.Masking, 0.0), lay(kind, 3, **steps), lay(L.Dense, 2)),
        })
    for kind, name in ((L.LSTMCell, "LSTMCell"), (L.GRUCell, "GRUCell"), (L.SimpleRNNCell, "SimpleRNNCell")):
        found[name] = of(lambda kind=kind: L.RNN(kind(4), return_sequences=True), lay(L.Dense, 2))
    found.update({
        "GRU reset before": of(lay(L.GRU, 4, reset_after=False, **steps)),
        "GRU reset before, last": of(lay(L.GRU, 4, reset_after=False)),
        "LSTM hard_sigmoid": of(lay(L.LSTM, 4, recurrent_activation="hard_sigmoid")),
        "GRU hard_sigmoid": of(lay(L.GRU, 4, recurrent_activation="hard_sigmoid")),
        "LSTM hard_sigmoid, elu": of(lay(L.LSTM, 4, recurrent_activation="hard_sigmoid", activation="elu")),
        "convolution": of(lay(L.Conv1D, 4, 3, activation="relu"), lay(L.LSTM, 4), shape=(T, I)),
        "convolution, free time": of(lay(L.Conv1D, 4, 3, activation="relu"), lay(L.LSTM, 4)),
        "causal": of(lay(L.Conv1D, 4, 3, padding="causal", dilation_rate=2), lay(L.LSTM, 4, **steps)),
        "same": of(lay(L.Conv1D, 4, 3, padding="same"), lay(L.LSTM, 4, **steps), shape=(T, I)),
        "stride": of(lay(L.Conv1D, 4, 3, strides=2), lay(L.LSTM, 4, **steps), shape=(T, I)),
        "normalised": of(lay(L.BatchNormalization), lay(L.LSTM, 4, **steps), lay(L.BatchNormalization)),
        "mean": of(lay(L.LSTM, 4, **steps), lay(L.GlobalAveragePooling1D), lay(L.Dense, 2)),
        "max": of(lay(L.LSTM, 4, **steps), lay(L.GlobalMaxPooling1D), lay(L.Dense, 2)),
    })
    if k is tf_keras:  # of Keras 3's tf2onnx writes a file that computes something else
        found["time distributed"] = of(lay(L.TimeDistributed, L.Dense(6, activation="relu")), lay(L.GRU, 4))
    return found


def main():
    score, started = Score(sys.argv[1:]), time.time()
    number = 0
    for version, k in (("Keras 2", tf_keras), ("Keras 3", keras)):
        for name, make in models(k).items():
            score.case("%s: %s" % (version, name), check_keras, make, OPSETS[number % len(OPSETS)])
            number += 1
    check_others(score)
    check_refusals(score)
    print("tensorflow %s, tf2onnx %s, tf_keras %s, keras %s: largest difference %.3g, %.0f s" %
          (tf.__version__, tf2onnx.__version__, tf_keras.__version__, keras.__version__, score.worst,
           time.time() - started))
    print("%d passed, %d failed" % (score.passed, score.failed))
    return score.failed != 0 or score.passed == 0


if __name__ == "__main__":
    sys.exit(main())
