# SPDX-License-Identifier: MIT
"""TensorFlow for the tests, without its start-up talk: both Keras 2 (tf_keras) and Keras 3 on top of it. A
program that imports this ends as skipped where TensorFlow is absent."""
import os
import sys

PACKAGES = "tensorflow-cpu tf_keras tf2onnx onnxruntime"
os.environ.update(TF_CPP_MIN_LOG_LEVEL="3", CUDA_VISIBLE_DEVICES="-1", TF_ENABLE_ONEDNN_OPTS="0",
                  KERAS_BACKEND="tensorflow", GRPC_VERBOSITY="NONE")
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))


class Quiet:
    """What native code says while it is loaded goes nowhere; an error still comes as an exception."""

    def __enter__(self):
        self.kept = os.dup(2)
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, 2)
        os.close(nowhere)

    def __exit__(self, *_):
        os.dup2(self.kept, 2)
        os.close(self.kept)


try:
    with Quiet():
        import tensorflow as tf
        import keras
        import tf_keras
except ImportError as missing:
    print("skipped: %s (pip install %s)" % (missing, PACKAGES))
    sys.exit(77)

tf.get_logger().setLevel("ERROR")
tf.config.threading.set_intra_op_parallelism_threads(1)
tf.config.threading.set_inter_op_parallelism_threads(1)
