# SPDX-License-Identifier: MIT
"""What the tests of Keras files share: a model is saved in one of the formats, goes through lstmconvert, and
the library runs it; Keras itself, in f32 and in f64, says what must come out."""
import json
import logging
import os
import sys
import tempfile

os.environ.setdefault("KERAS_BACKEND", "torch")
try:
    import h5py
    import numpy as np
    sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
    from which_keras import IS_KERAS_2, keras, number
except ImportError as missing:
    print("skipped: %s (pip install keras torch numpy h5py)" % missing)
    sys.exit(77)

logging.getLogger("absl").setLevel(logging.ERROR)  # .h5 is an old format: yes
import lstmrun  # noqa: E402
from keras_convert import Refused, convert  # noqa: E402,F401

FORMATS = ("keras", "h5", "weights", "keras2")


# ---- Keras 2's .h5, imitated -----------------------------------------------------------------------------

def old_config(value):
    """A configuration as Keras 2 wrote it: names of objects for serialised objects, batch_input_shape."""
    if isinstance(value, list):
        return [old_config(item) for item in value]
    if not isinstance(value, dict):
        return value
    if value.get("class_name") == "DTypePolicy":
        return value["config"]["name"]
    new = {key: old_config(item) for key, item in value.items()
           if key not in ("module", "registered_name", "build_config", "shared_object_id")}
    if "batch_shape" in new:
        new["batch_input_shape"] = new.pop("batch_shape")
    if value.get("class_name") == "LeakyReLU":
        new["config"]["alpha"] = new["config"].pop("negative_slope")
    return new


def old_sources(argument):
    """["name", 0, 0, {}] for each tensor of a call."""
    if isinstance(argument, dict):
        return [argument["config"]["keras_history"] + [{}]]
    return [source for item in argument for source in old_sources(item)]


def old_layers(config):
    layers = []
    for entry in config["layers"]:
        if ".ops." in entry["module"]:
            continue  # Keras 2 keeps masks out of the graph
        nodes = entry.get("inbound_nodes")
        new = old_config({key: item for key, item in entry.items() if key != "inbound_nodes"})
        if entry["class_name"] in ("Functional", "Sequential"):
            new["config"] = old_model(entry)["config"]
        if nodes is not None:
            new["inbound_nodes"] = [old_sources(node["args"]) for node in nodes]
        layers.append(new)
    return layers


def old_model(entry):
    config = dict(entry["config"], layers=old_layers(entry["config"]))
    for key in ("input_layers", "output_layers"):
        if key in config and isinstance(config[key][0], str):
            config[key] = [config[key]]
    config.pop("dtype", None)
    return {"class_name": entry["class_name"], "config": config}


def weight_names(layer):
    return [(weight.path + ":0", keras.ops.convert_to_numpy(weight))
            for weight in layer.trainable_weights + layer.non_trainable_weights]


def save_keras2(model, path, version="2.4.3"):
    with h5py.File(path, "w") as file:
        file.attrs["keras_version"] = np.bytes_(version)
        file.attrs["backend"] = np.bytes_("tensorflow")
        file.attrs["model_config"] = np.bytes_(json.dumps(old_model(json.loads(model.to_json()))))
        group = file.create_group("model_weights")
        group.attrs["layer_names"] = [np.bytes_(layer.name) for layer in model.layers]
        for layer in model.layers:
            inner, names = group.create_group(layer.name), weight_names(layer)
            inner.attrs["weight_names"] = [np.bytes_(name) for name, _ in names]
            for name, numbers in names:
                inner.create_dataset(name, data=numbers)


# ---- saving, running, comparing --------------------------------------------------------------------------

def save(model, kind, folder):
    """The file, and the spec it needs or None."""
    if kind == "weights":
        path, spec = os.path.join(folder, "model.weights.h5"), os.path.join(folder, "arch.json")
        model.save_weights(path)
        with open(spec, "w") as file:
            file.write(model.to_json())
        return path, spec
    path = os.path.join(folder, "model.keras" if kind == "keras" else "model.h5")
    if kind == "keras2":
        save_keras2(model, path)
    else:
        model.save(path)
    return path, None


def run(model_file, x):
    """x [batch, steps, …] or [batch, steps] through the library: [batch, steps or 1, outputs]."""
    model = lstmrun.Model(model_file)
    frames = np.asarray(x, np.float32).reshape(len(x), x.shape[1], -1)
    return np.stack(model.plan().run(list(frames))[0])


def run_file(model, kind, x):
    with tempfile.TemporaryDirectory() as folder:
        out, notes = convert(*save(model, kind, folder))
        return run(out, x), notes


def predict(model, x):
    return number(model(x, training=False))


if not IS_KERAS_2:
    @keras.saving.register_keras_serializable("tests")
    def old_hard_sigmoid(x):
        return keras.ops.clip(0.2 * x + 0.5, 0, 1)


def copy_of(model, dtype, old=False):
    """The same model in f32 or f64; `old` with the hard_sigmoid of Keras 2."""
    text = model.to_json().replace('"float32"', '"%s"' % dtype)
    if old:
        text = text.replace('"hard_sigmoid"', json.dumps(keras.activations.serialize(old_hard_sigmoid)))
    copied = keras.models.model_from_json(text)
    copied.set_weights(model.get_weights())
    return copied


def compare(ours, wanted, exact):
    """Keras's f32 result `wanted` and ours, both against f64; the larger error of ours, in units of the last
    place of f32 at the largest number. Raises AssertionError."""
    if ours.size != exact.size:
        raise AssertionError("%s numbers, wanted %s" % (ours.shape, exact.shape))
    scale = max(1.0, float(np.max(np.abs(exact))))
    error = float(np.max(np.abs(ours.reshape(exact.shape) - exact)))
    theirs = float(np.max(np.abs(wanted - exact)))
    if not error <= max(4 * theirs, 1e-6 * scale):
        raise AssertionError("differs from f64 by %g, Keras in f32 by %g" % (error, theirs))
    return error / scale
