# SPDX-License-Identifier: MIT
"""The Keras that the tests are about: Keras 3, or with $LSTMRUN_KERAS=tf_keras the Keras 2 that goes on as
tf_keras. Both write files of their own."""
import os

IS_KERAS_2 = os.environ.get("LSTMRUN_KERAS") == "tf_keras"
if IS_KERAS_2:
    import tf_keras as keras
else:
    import keras  # noqa: F401

layers = keras.layers


def number(tensor):
    """A tensor of any backend as an array."""
    return tensor.numpy() if IS_KERAS_2 else keras.ops.convert_to_numpy(tensor)
