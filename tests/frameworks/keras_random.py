# SPDX-License-Identifier: MIT
"""Random Keras models over the options that lstmconvert accepts, and input for them."""
import numpy as np

from which_keras import IS_KERAS_2, keras, layers

ACTS = ["tanh", "sigmoid", "relu", "linear", "elu", "softsign", "softplus", "leaky_relu", "hard_sigmoid"]
FRAME_ACTS = ACTS + ["selu", "silu", "relu6", "softmax"] + ([] if IS_KERAS_2 else ["hard_silu", "hard_tanh"])


class Making:
    """A model under construction: `x` is the tensor so far."""

    def __init__(self, rng, old):
        self.rng, self.old, self.words, self.masked = rng, old, 0, False
        self.batch, self.steps = rng.randint(1, 3), rng.randint(1, 14)
        self.left = self.steps  # behind convolutions that leave fewer
        self.story = []

    def chance(self, share):
        return self.rng.random() < share

    def add(self, layer):
        self.story.append(layer.name)
        self.x = layer(self.x)

    def width(self):
        return self.x.shape[-1]

    # -- input

    def start(self):
        if self.chance(0.4):
            self.words = self.rng.randint(2, 12)
            self.input = self.x = keras.Input((self.open(),), dtype="int32")
            self.masked = self.chance(0.6)
            self.add(layers.Embedding(self.words, self.rng.randint(1, 9), mask_zero=self.masked))
            return
        self.input = self.x = keras.Input((self.open(), self.rng.randint(1, 9)))
        self.features, self.mask_value = self.x.shape[-1], self.rng.choice([0.0, -1.0, 0.25])
        if self.chance(0.4):
            self.masked = True
            self.add(layers.Masking(self.mask_value))

    def open(self):
        return None if self.chance(0.5) else self.steps

    def numbers(self):
        rng = np.random.default_rng(self.rng.getrandbits(32))
        if self.words:
            return rng.integers(0, self.words, (self.batch, self.steps)).astype(np.int32)
        x = rng.normal(size=(self.batch, self.steps, self.features)).astype(np.float32)
        x[rng.random((self.batch, self.steps)) < 0.3] = self.mask_value
        return x

    # -- recurrent layers

    def cell(self, sequences, units, **more):
        rng = self.rng
        options = dict(return_sequences=sequences, use_bias=self.chance(0.8), **more)
        if self.chance(0.3):
            options["activation"] = rng.choice(ACTS)
        kind = rng.choice([layers.LSTM, layers.GRU, layers.SimpleRNN])
        if kind is not layers.SimpleRNN and self.chance(0.4):
            options["recurrent_activation"] = rng.choice(["hard_sigmoid", "hard_sigmoid", "tanh", "sigmoid"])
        if kind is layers.GRU:
            options["reset_after"] = self.chance(0.5)
        if self.chance(0.2):
            options["dropout"] = 0.2
        return kind(units, **options)

    def recurrent(self, sequences):
        units = self.rng.choice([1, 2, 3, 4, 5, 8, 16, 17])
        if self.chance(0.4):
            back = None
            inner = self.cell(sequences, units)
            merge = self.rng.choice(["concat", "concat", "sum", "mul", "ave"])
            if self.chance(0.3):
                back = self.cell(sequences, units, go_backwards=True)
            self.add(layers.Bidirectional(inner, merge_mode=merge, backward_layer=back))
        elif self.chance(0.15) and not self.masked:
            cell = self.rng.choice([layers.LSTMCell, layers.GRUCell, layers.SimpleRNNCell])
            self.add(layers.RNN(cell(units), return_sequences=sequences, go_backwards=self.chance(0.3)))
        else:
            self.add(self.cell(sequences, units, go_backwards=self.chance(0.3),
                               zero_output_for_mask=self.chance(0.4)))
        self.masked = self.masked and sequences

    # -- frames

    def conv(self):
        groups = self.rng.choice([g for g in (1, 1, 2, 3) if self.width() % g == 0])
        kernel, dilation, stride = self.rng.randint(1, 4), self.rng.randint(1, 3), 1
        padding = self.rng.choice(["causal", "same"])
        if not self.masked and self.chance(0.6):
            stride = self.rng.randint(1, 3)
            dilation = 1 if stride > 1 else dilation  # Keras takes one of both
            fits = dilation * (kernel - 1) < self.left
            padding = self.rng.choice(["valid", "causal"] if fits else ["causal"])
            padding = "same" if kernel == 1 and self.chance(0.3) else padding
            lost = dilation * (kernel - 1) if padding == "valid" else 0
            self.left = (self.left - lost - 1) // stride + 1
        self.add(layers.Conv1D(groups * self.rng.randint(1, 5), kernel, groups=groups, padding=padding,
                               strides=stride, use_bias=self.chance(0.8), dilation_rate=dilation,
                               activation=self.rng.choice(FRAME_ACTS)))
        self.masked = False

    def towers(self):
        """Convolutions side by side, which leave the same number of steps."""
        stride = self.rng.randint(1, 3)
        kernels = [self.rng.randint(1, 5) for _ in range(self.rng.randint(2, 3))]
        if self.left > 4 and self.chance(0.3):  # two small kernels look as far as a large one
            self.left = (self.left - 5) // stride + 1
            small = layers.Conv1D(3, 3)(self.x)
            made = [layers.Conv1D(3, 5, strides=stride, activation="tanh")(self.x),
                    layers.Conv1D(3, 3, strides=stride, activation="sigmoid")(small)]
        else:
            self.left = (self.left - 1) // stride + 1
            made = [layers.Conv1D(3, kernel, padding="causal", strides=stride)(self.x) for kernel in kernels]
        join = self.rng.choice([layers.Add(), layers.Concatenate(), layers.Multiply()])
        self.x, self.masked = join(made), False
        self.story.append("towers %s" % join.name)

    def pool(self):
        size, padding = self.rng.randint(1, 4), self.rng.choice(["valid", "same"])
        stride = self.rng.choice([None, 1, 2, 3])
        if padding == "same" and size > 2:
            stride = 1
        if padding == "valid" and size > self.left:
            return
        kind = self.rng.choice([layers.MaxPooling1D, layers.AveragePooling1D])
        if padding == "same" and size % 2 == 0:  # PyTorch's Keras repeats the edge there, and counts it in means
            kind = layers.MaxPooling1D
        self.add(kind(size, strides=stride, padding=padding))
        step = stride or size
        self.left = -(-self.left // step) if padding == "same" else (self.left - size) // step + 1

    def dense(self):
        return layers.Dense(self.rng.randint(1, 9), activation=self.rng.choice(FRAME_ACTS),
                            use_bias=self.chance(0.8))

    def norm(self):
        scale, center = self.chance(0.8), self.chance(0.8)
        if self.chance(0.5):
            return layers.BatchNormalization(scale=scale, center=center, epsilon=0.01)
        return layers.LayerNormalization(scale=scale, center=center, epsilon=0.01)

    def simple(self):
        rescaling = [] if self.old and self.masked else [layers.Rescaling(0.5, 0.25)]  # Keras 2 drops the mask
        return self.rng.choice(rescaling + [
            layers.Dropout(0.3), layers.GaussianNoise(0.1), layers.Activation(self.rng.choice(FRAME_ACTS)),
            layers.LeakyReLU(), layers.LeakyReLU(0.1), layers.ELU(0.7), layers.ReLU(), layers.ReLU(2.5),
            layers.ReLU(negative_slope=0.2), layers.ReLU(threshold=0.3),
            layers.SpatialDropout1D(0.1), layers.ActivityRegularization(0.1)])

    def inner_model(self):
        inner = keras.Sequential([keras.Input((None, self.width())), self.dense(), self.norm(),
                                  layers.GRU(3, return_sequences=True)])
        self.add(inner)

    def frames(self):
        choice = self.rng.randint(-1, 7)
        if choice <= 0 and not self.masked and self.chance(0.4):
            self.towers() if self.chance(0.5) else self.pool()
        elif choice <= 0:
            self.conv()
        elif choice == 1:
            self.add(self.dense())
        elif choice == 2:
            self.add(self.norm())
        elif choice == 3:
            self.add(layers.TimeDistributed(self.rng.choice([self.dense(), self.norm(), layers.ReLU()])))
        elif choice == 4 and not self.masked:
            self.inner_model()
        elif choice == 5 and not self.masked:
            parts = [part for part in (1, 2, 3, 4) if self.width() % part == 0]
            part = self.rng.choice(parts)
            self.add(layers.Reshape((-1, part, self.width() // part)))
            conv = layers.Conv1D(3, self.rng.randint(1, part), strides=self.rng.randint(1, 2),
                                 padding=self.rng.choice(["valid", "same", "causal"]))
            if self.chance(0.7):
                self.add(layers.TimeDistributed(conv))
            self.add(layers.TimeDistributed(layers.Flatten()))
        else:
            self.add(self.simple())

    # -- branches

    def branch(self, join):
        before, masked = self.x, self.masked
        self.masked = masked
        self.add(self.cell(True, self.width(), zero_output_for_mask=self.chance(0.5)))
        if self.chance(0.3):
            self.add(layers.Dropout(0.1))
        self.x = join([before, self.x])
        self.story.append(join.name)

    def middle(self):
        for _ in range(self.rng.randint(0, 3)):
            choice = self.rng.random()
            if choice < 0.45:
                self.recurrent(True)
            elif choice < 0.65:
                joins = [layers.Add(), layers.Concatenate(), layers.Average(), layers.Subtract()]
                if not (self.old and self.masked):  # in masked steps Keras 2 has another product than this Keras
                    joins.append(layers.Multiply())
                self.branch(self.rng.choice(joins))
            else:
                self.frames()

    def end(self):
        choice = self.rng.random()
        if choice < 0.35:
            self.recurrent(False)
        elif choice < 0.55:
            self.recurrent(True)
        elif choice < 0.7:
            self.recurrent(True)
            self.add(layers.GlobalAveragePooling1D())
            self.masked = False
        elif choice < 0.8 and not self.masked:
            self.recurrent(True)
            self.add(layers.GlobalMaxPooling1D())
        elif not keras.Model(self.input, self.x).weights:  # dropout alone is no model to convert
            self.recurrent(True)
        if self.chance(0.6):
            self.add(self.dense())


def randomise(model, rng):
    """Weights and statistics that are no initial ones."""
    weights = []
    for weight in model.weights:
        rows = weight.shape[0] if weight.shape else 1
        numbers = rng.normal(size=weight.shape) * 0.8 / np.sqrt(max(1, rows))
        if "variance" in (weight.name if IS_KERAS_2 else weight.path):
            numbers = rng.uniform(0.2, 2, weight.shape)
        weights.append(numbers.astype(np.float32))
    model.set_weights(weights)


def random_model(rng, old):
    """(model, input, story). `old`: only what Keras 2 had, in whose format it will be saved."""
    keras.backend.clear_session()
    making = Making(rng, old)
    making.start()
    making.middle()
    making.end()
    model = keras.Model(making.input, making.x)
    joins = (layers.Add, layers.Concatenate, layers.Multiply, layers.Average, layers.Subtract)
    if rng.random() < 0.3 and not any(isinstance(layer, joins) for layer in model.layers):
        model = keras.Sequential(model.layers)
    randomise(model, np.random.default_rng(rng.getrandbits(32)))
    x = making.numbers()
    if making.masked and not making.words and rng.random() < 0.2:
        x[:] = making.mask_value
    return model, x, making.story
