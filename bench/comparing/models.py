# SPDX-License-Identifier: MIT
"""The folder of a case: what bench/peers' workers read. Made once, then kept in the cache.

case.txt, weights.bin, input.bin, model.onnx, model.safetensors, model.bin (see bench/peers). Cases with the
same weights share those files through symbolic links; a folder stands for one number of threads.
"""
import os
import subprocess

import numpy as np

from . import oracle, weights

# Part of every name in the cache: to be raised when what a folder holds changes.
LAYOUT = 1


def _write(path, make):
    """Under another name first: a file is there whole or not at all."""
    if os.path.exists(path):
        return
    beside = "%s.%d.tmp" % (path, os.getpid())
    make(beside)
    os.replace(beside, path)


def _link(target, path):
    if not os.path.lexists(path):
        os.symlink(os.path.relpath(target, os.path.dirname(path)), path)


def onnx_model(case, layers):
    """Static shapes. One direction: y is the last node's own output [T, 1, B, H]; two: [T, B, 2H]."""
    from onnx import TensorProto, helper, numpy_helper
    carried, steps, items, units = case.steps == 1, case.steps, case.items, case.units
    nodes, tensors, inputs, outputs = [], [], [], []

    def info(name, *shape):
        return helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)

    def tensor(name, array):
        tensors.append(numpy_helper.from_array(np.ascontiguousarray(array), name))
        return name

    def states(index):
        """Names of a node's state inputs and outputs."""
        names = ["h", "c"] if case.kind == "lstm" else ["h"]
        if not carried:
            return [], []
        for name in names:
            inputs.append(info("%s0_%d" % (name, index), case.directions, items, units))
            outputs.append(info("%sn_%d" % (name, index), case.directions, items, units))
        return (["", *("%s0_%d" % (name, index) for name in names)],
                ["%sn_%d" % (name, index) for name in names])

    def join(source, index):
        """[T, D, B, H] to [T, B, D*H]."""
        target = "y" if index == case.layers - 1 else "x%d" % (index + 1)
        if case.directions == 1:
            nodes.append(helper.make_node("Squeeze", [source, "one"], [target]))
        else:
            nodes.append(helper.make_node("Transpose", [source], [source + "t"], perm=[0, 2, 1, 3]))
            nodes.append(helper.make_node("Reshape", [source + "t", "shape"], [target]))
        return target

    if case.directions == 2:
        tensor("shape", np.array([steps, items, 2 * units], np.int64))
    elif case.layers > 1:
        tensor("one", np.array([1], np.int64))
    source = "x"
    for index, layer in enumerate(layers):
        last = index == case.layers - 1 and case.directions == 1
        names = [tensor("%s%d" % (name, index), array)
                 for name, array in zip("WRB", weights.onnx_tensors(case, layer))]
        state_inputs, state_outputs = states(index)
        node_output = "y" if last else "Y%d" % index
        nodes.append(helper.make_node(
            case.kind.upper(), [source, *names, *state_inputs], [node_output, *state_outputs],
            hidden_size=units,
            direction="bidirectional" if case.bidirectional else "forward",
            **({"linear_before_reset": 1} if case.kind == "gru" else {})))
        if not last:
            source = join(node_output, index)
    y = info("y", steps, 1, items, units) if case.directions == 1 else info("y", steps, items, 2 * units)
    graph = helper.make_graph(nodes, "case", [info("x", steps, items, case.inputs), *inputs], [y, *outputs],
                              tensors)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def _case_text(case, threads):
    lines = {"type": case.kind, "layers": case.layers, "bidirectional": int(case.bidirectional),
             "inputs": case.inputs, "units": case.units, "steps": case.steps, "items": case.items,
             "threads": threads, "streams": int(case.streams), "calls": case.calls}
    return "".join("%s %s\n" % pair for pair in lines.items())


class Store:
    """Everything that cases need, under one folder."""

    def __init__(self, folder, converter):
        self.folder, self.converter = os.path.join(folder, "cases-%d" % LAYOUT), converter

    def _convert(self, source, target):
        done = subprocess.run([self.converter, "-q", source, "-o", target], capture_output=True, text=True,
                              check=False)
        if done.returncode != 0:
            raise RuntimeError("%s cannot convert %s: %s" % (self.converter, source, done.stderr.strip()))

    def _network(self, case):
        """The files of the weights; answers their folder."""
        from safetensors.numpy import save_file
        folder = os.path.join(self.folder, case.network)
        os.makedirs(folder, exist_ok=True)
        tensors, model = os.path.join(folder, "model.safetensors"), os.path.join(folder, "model.bin")
        if not os.path.exists(tensors):
            layers = weights.make(case)
            _write(os.path.join(folder, "weights.bin"), lambda path: weights.flat(layers).tofile(path))
            _write(tensors, lambda path: save_file(weights.pytorch_tensors(layers), path))
        if os.path.exists(model) and os.path.getmtime(model) < os.path.getmtime(self.converter):
            os.remove(model)
        _write(model, lambda path: self._convert(tensors, path))
        return folder

    def ready(self, case):
        """True when nothing has to be made that takes long."""
        return os.path.exists(os.path.join(self.folder, str(case), "oracle.bin"))

    def _shared(self, case):
        """The folder of the case for any number of threads; what takes long is made only once."""
        folder, network = os.path.join(self.folder, str(case)), self._network(case)
        if self.ready(case):
            return folder
        os.makedirs(folder, exist_ok=True)
        layers, inputs = weights.make(case), weights.make_input(case)
        for name in ("weights.bin", "model.safetensors", "model.bin"):
            _link(os.path.join(network, name), os.path.join(folder, name))
        _write(os.path.join(folder, "input.bin"), inputs.tofile)
        made = onnx_model(case, layers).SerializeToString()
        _write(os.path.join(folder, "model.onnx"), lambda path: np.frombuffer(made, np.uint8).tofile(path))
        _write(os.path.join(folder, "oracle.bin"), lambda path: oracle.run(case, layers, inputs).tofile(path))
        return folder

    def folder_of(self, case, threads):
        shared = self._shared(case)
        folder = os.path.join(shared, "threads-%d" % threads)
        os.makedirs(folder, exist_ok=True)
        for name in ("weights.bin", "input.bin", "model.onnx", "model.safetensors", "model.bin"):
            _link(os.path.join(shared, name), os.path.join(folder, name))
        with open(os.path.join(folder, "case.txt"), "w", encoding="ascii") as file:
            file.write(_case_text(case, threads))
        return folder

    def expected(self, case):
        shape = (case.calls, case.items, case.steps, case.outputs)
        return np.fromfile(os.path.join(self._shared(case), "oracle.bin")).reshape(shape)
