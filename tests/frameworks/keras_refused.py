# SPDX-License-Identifier: MIT
"""Keras models that lstmconvert must refuse, as tools/CONVERT-KERAS.md says, with words of the sentence."""
import keras
import numpy as np
from keras import layers

LSTM, Dense = layers.LSTM, layers.Dense


def chain(*after, shape=(6, 4)):
    return keras.Sequential([keras.Input(shape), *after])


def functional(function, shape=(6, 4), **options):
    inputs = keras.Input(shape, **options)
    return keras.Model(inputs, function(inputs))


def masked(*after):
    return chain(layers.Masking(), *after)


@keras.saving.register_keras_serializable("tests")
class OwnLayer(layers.Layer):
    def call(self, inputs):
        return inputs * 2


@keras.saving.register_keras_serializable("tests")
class OwnModel(keras.Model):
    def __init__(self, **options):
        super().__init__(**options)
        self.head = Dense(2)

    def call(self, inputs):
        return self.head(inputs)


def own_model():
    model = OwnModel()
    model(np.zeros((1, 3, 4), np.float32))
    return model


def two_inputs():
    one, two = keras.Input((6, 4)), keras.Input((6, 4))
    return keras.Model([one, two], LSTM(3)(layers.Add()([one, two])))


def two_outputs():
    inputs = keras.Input((6, 4))
    x = LSTM(3, return_sequences=True)(inputs)
    return keras.Model(inputs, [Dense(2, name="one")(x), Dense(1, name="two")(x)])


def shared(x):
    layer = Dense(4, name="twice")
    return LSTM(2)(layer(layer(x)))


def state_output(x):
    return LSTM(3, return_state=True, name="cell")(x)[2]


def given_state(x):
    state = Dense(3)(layers.GlobalAveragePooling1D()(x))
    return LSTM(3, name="cell")(x, initial_state=[state, state])


def own_mask(x):
    other = layers.Masking(2.0)(x)
    return LSTM(3)(layers.Masking(1.0)(x), mask=keras.ops.any(keras.ops.not_equal(other, 2.0), axis=-1))


def different_masks(x):
    return LSTM(2)(layers.Add()([layers.Masking(1.0)(x), layers.Masking(2.0)(x)]))


def mask_inside(x):
    inner = keras.Sequential([keras.Input((None, 4)), LSTM(3, return_sequences=True)])
    return inner(layers.Masking()(x))


def stacked(x):
    return layers.RNN(layers.StackedRNNCells([layers.LSTMCell(3), layers.LSTMCell(2)]))(x)


def scaled_words():
    x = keras.Input((None,))
    return keras.Model(x, [layers.Concatenate()([layers.Embedding(5, 3)(x), layers.Embedding(5, 3)(x * 2)])])


# name: (model or the function that makes it, words)
MODELS = {
    "RepeatVector": (lambda: chain(LSTM(3), layers.RepeatVector(4)), "RepeatVector", "not supported"),
    "Permute": (lambda: chain(layers.Permute((2, 1))), "Permute"),
    "UpSampling1D": (lambda: chain(layers.UpSampling1D()), "UpSampling1D"),
    "ZeroPadding1D": (lambda: chain(layers.ZeroPadding1D()), "ZeroPadding1D"),
    "Cropping1D": (lambda: chain(layers.Cropping1D()), "Cropping1D"),
    "MaxPooling1D same strides": (lambda: chain(layers.MaxPooling1D(3, padding="same")), "strides 3",
                                  "number of steps"),
    "AveragePooling1D channels_first": (lambda: chain(layers.AveragePooling1D(2, data_format="channels_first")),
                                        "channels_first"),
    "MaxPooling1D with a mask": (lambda: masked(layers.MaxPooling1D(2)), "its input has a mask"),
    "MaxPooling1D without steps": (lambda: chain(LSTM(3), layers.Reshape((3, 1)), layers.MaxPooling1D()),
                                   "no sequence"),
    "SeparableConv1D": (lambda: chain(layers.SeparableConv1D(3, 2, padding="same")), "SeparableConv1D"),
    "DepthwiseConv1D": (lambda: chain(layers.DepthwiseConv1D(2, padding="same")), "DepthwiseConv1D"),
    "Conv1DTranspose": (lambda: chain(layers.Conv1DTranspose(3, 2)), "Conv1DTranspose"),
    "ConvLSTM1D": (lambda: chain(layers.ConvLSTM1D(3, 2), shape=(6, 5, 4)), "ConvLSTM1D"),
    "PReLU": (lambda: chain(layers.PReLU()), "PReLU"),
    "GroupNormalization": (lambda: chain(layers.GroupNormalization(2)), "GroupNormalization"),
    "UnitNormalization": (lambda: chain(layers.UnitNormalization()), "UnitNormalization"),
    "MultiHeadAttention": (lambda: functional(lambda x: layers.MultiHeadAttention(1, 2)(x, x)),
                           "MultiHeadAttention"),
    "Attention": (lambda: functional(lambda x: layers.Attention()([x, x])), "Attention"),
    "Dot": (lambda: functional(lambda x: layers.Dot(2)([x, x])), "Dot"),
    "Maximum": (lambda: functional(lambda x: layers.Maximum()([x, x])), "Maximum"),
    "own layer": (lambda: chain(OwnLayer(), LSTM(2)), "OwnLayer", "not supported"),
    "own model": (own_model, "OwnModel", "Sequential and functional"),
    "operation": (lambda: functional(lambda x: LSTM(2)(keras.ops.sin(x))), "Sin", "not supported"),
    "slice": (lambda: functional(lambda x: LSTM(2, return_sequences=True)(x)[:, -1]), "GetItem"),
    "two inputs": (two_inputs, "second input"),
    "two outputs": (two_outputs, "2 output_layers", "--spec"),
    "shared layer": (lambda: functional(shared), "shared", "twice"),
    "state as output": (lambda: functional(state_output), "output 2 of 'cell'"),
    "initial state": (lambda: functional(given_state), "'cell'", "initial"),
    "stacked cells": (lambda: functional(stacked), "StackedRNNCells"),
    "Conv1D valid with a mask": (lambda: masked(layers.Conv1D(3, 2)), "Conv1D",
                                 "fewer steps than the mask"),
    "Conv1D strides with a mask": (lambda: masked(layers.Conv1D(3, 1, strides=2)), "fewer steps than the mask"),
    "Conv1D same strides": (lambda: chain(layers.Conv1D(3, 3, strides=2, padding="same")), "strides 2",
                            "number of steps"),
    "two convolutions": (lambda: functional(lambda x: layers.Add(name="sum")(
        [layers.Conv1D(3, 2)(x), layers.Conv1D(3, 1)(x)]), (None, 4)), "'sum'", "different numbers of steps"),
    "sum of two convolutions": (lambda: functional(lambda x: layers.Conv1D(3, 2)(x) + layers.Conv1D(
        3, 2, padding="causal", strides=2)(x), (None, 4)), "different numbers of steps"),
    "convolution and input": (lambda: functional(lambda x: layers.Multiply(name="product")(
        [x, layers.Conv1D(4, 2, strides=2)(x)]), (None, 4)), "'product'", "different numbers of steps"),
    "Conv1D channels_first": (lambda: chain(layers.Conv1D(3, 1, data_format="channels_first")),
                              "channels_first"),
    "pooling channels_first": (lambda: chain(layers.GlobalMaxPooling1D(data_format="channels_first")),
                               "channels_first"),
    "pooling keepdims": (lambda: chain(layers.GlobalMaxPooling1D(keepdims=True)), "keepdims"),
    "pooling without steps": (lambda: chain(LSTM(3), layers.Reshape((3, 1)), layers.GlobalMaxPooling1D()),
                              "no sequence"),
    "LSTM without steps": (lambda: chain(LSTM(3), layers.Reshape((3, 1)), LSTM(2)), "no sequence"),
    "maximum with a mask": (lambda: masked(layers.GlobalMaxPooling1D()), "mask"),
    "Softmax with a mask": (lambda: functional(lambda x: LSTM(2)(layers.Softmax()(layers.Masking()(x))),
                                               shape=(4, 4)), "mask"),
    "Reshape with a mask": (lambda: masked(layers.Reshape((6, 2, 2))), "mask"),
    "mask into a model": (lambda: functional(mask_inside), "mask", "inside the model"),
    "mask of one's own": (lambda: functional(own_mask), "mask"),
    "different masks": (lambda: functional(different_masks), "different masks"),
    "mask of a mask": (lambda: masked(layers.Masking(1.0)), "mask already"),
    "mask of images": (lambda: chain(layers.Masking(), layers.TimeDistributed(layers.Flatten()),
                                     shape=(6, 2, 2)), "masks are supported"),
    "merge none": (lambda: functional(lambda x: layers.Add()(
        layers.Bidirectional(LSTM(3, return_sequences=True), merge_mode=None)(x))), "reads output 1"),
    "activation": (lambda: chain(Dense(3, activation="gelu")), "gelu", "activation"),
    "activation of a cell": (lambda: chain(LSTM(3, activation="silu")), "\"activation\"",
                             "inside a recurrent layer"),
    "softmax in a cell": (lambda: chain(LSTM(3, recurrent_activation="softmax")), "recurrent_activation"),
    "activation object": (lambda: chain(Dense(3, activation=layers.PReLU())), "PReLU"),
    "ReLU of all kinds": (lambda: chain(layers.ReLU(6, 0.1)), "max_value"),
    "Softmax of an axis": (lambda: chain(layers.Softmax(axis=1)), "\"axis\"", "last axis"),
    "BatchNormalization of steps": (lambda: chain(layers.BatchNormalization(axis=1)), "\"axis\""),
    "LayerNormalization of steps": (lambda: chain(layers.LayerNormalization(axis=1)), "\"axis\""),
    "LayerNormalization of two axes": (lambda: chain(layers.LayerNormalization(axis=[1, 2])), "\"axis\""),
    "Normalization inverted": (lambda: chain(layers.Normalization(mean=1.0, variance=2.0)), "mean"),
    "Flatten of steps": (lambda: chain(layers.Flatten(), Dense(2)), "Flatten", "all steps"),
    "Reshape of steps": (lambda: chain(layers.Reshape((3, 8))), "numbers of each step"),
    "Concatenate of steps": (lambda: functional(lambda x: layers.Concatenate(1)([x, x])), "joining steps"),
    "sequence and frame": (lambda: functional(lambda x: layers.Add()([x, layers.GlobalMaxPooling1D(
        keepdims=False)(x)]), shape=(4, 4)), "no sequence"),
    "open features": (lambda: chain(layers.ReLU(), shape=(None, None)), "dimension 2 is unknown"),
    "words that are numbers": (scaled_words, "words"),
    "nothing": (lambda: chain(layers.Dropout(0.1)), "no layer that does anything"),
}
