# SPDX-License-Identifier: MIT
"""The shared library for the tests, through ctypes: as much of lstmrun.h as they need.

    model = Model(bytes_or_path)
    outputs, states = model.plan(isa="avx2").run([frames, ...], [state, ...])

frames are arrays [steps][input size]; outputs are arrays [steps or 1][output size]; a state is a flat
array of all h and c in stream order (see Model.states). $LSTMRUN_LIB names the library; without it, it
is looked for in the build folder $LSTMRUN_BUILD (default: build).
"""
import ctypes
import os
from ctypes import POINTER, byref, c_char, c_char_p, c_float, c_int, c_size_t, c_uint32, c_uint64, c_void_p

import numpy as np


class Error(Exception):
    pass


class _Error(ctypes.Structure):
    _fields_ = [("status", c_int), ("rule", c_uint32), ("offset", c_uint64), ("text", c_char * 240)]


class _Shape(ctypes.Structure):
    _fields_ = [("rank", c_uint32), ("dims", c_uint32 * 3), ("size", c_size_t)]


class _Info(ctypes.Structure):
    _fields_ = [("input", _Shape), ("output", _Shape), ("output_once", c_int), ("streams", c_int),
                ("n_layers", c_uint32), ("n_metadata", c_uint32), ("n_parameters", c_uint64),
                ("weight_bytes", c_uint64), ("flops_per_step", c_uint64), ("state_floats", c_size_t),
                ("least_steps", c_size_t), ("output_after", c_size_t), ("output_every", c_size_t)]


class _Options(ctypes.Structure):
    _fields_ = [("struct_size", c_size_t), ("threads", c_uint32), ("isa", c_char_p), ("backend", c_char_p),
                ("items", c_size_t), ("steps", c_size_t), ("split", c_char_p)]


class _Item(ctypes.Structure):
    _fields_ = [("stream", c_void_p), ("input", c_void_p), ("output", c_void_p), ("steps", c_size_t),
                ("input_stride", c_size_t), ("output_stride", c_size_t)]


def _path():
    name = os.environ.get("LSTMRUN_LIB")
    return name or os.path.join(os.environ.get("LSTMRUN_BUILD", "build"), "runtime", "liblstmrun.so")


def _load():
    path = os.path.abspath(_path())
    if not os.path.exists(path):
        raise SystemExit("%s is not there: build first, then set LSTMRUN_BUILD or LSTMRUN_LIB" % path)
    library = ctypes.CDLL(path)
    library.lstm_model_get_info.restype = POINTER(_Info)
    library.lstm_stream_get_state.restype = POINTER(c_float)
    library.lstm_version.restype = c_char_p
    library.lstm_model_get_output_steps.restype = c_size_t
    return library


_lib = _load()


def version():
    return _lib.lstm_version().decode()


def _call(function, *arguments):
    error = _Error()
    if function(*arguments, byref(error)) != 0:
        raise Error(error.text.decode())


class Model:
    def __init__(self, source):
        self.handle, self.bytes = c_void_p(), None
        if isinstance(source, bytes):
            self.bytes = source  # borrowed by the model
            _call(_lib.lstm_model_open_memory, source, c_size_t(len(source)), byref(self.handle))
        else:
            _call(_lib.lstm_model_open, os.fsencode(source), byref(self.handle))
        self.info = _lib.lstm_model_get_info(self.handle).contents

    def __del__(self):
        _lib.lstm_model_close(self.handle)

    def states(self, stream):
        """Views of a stream's states: {(layer, direction, "h" or "c"): array}, in stream order."""
        found = {}
        for layer in range(self.info.n_layers):
            for direction in range(2):
                for which in range(2):
                    n = c_size_t()
                    at = _lib.lstm_stream_get_state(self.handle, stream, c_uint32(layer), c_uint32(direction),
                                                    c_int(which), byref(n))
                    if n.value:
                        found[layer, direction, "hc"[which]] = np.ctypeslib.as_array(at, (n.value,))
        return found

    def plan(self, **options):
        return Plan(self, **options)


class Plan:
    def __init__(self, model, threads=0, isa=None, items=0, steps=0, split=None):
        self.model, self.handle = model, c_void_p()
        options = _Options(ctypes.sizeof(_Options), threads, isa and isa.encode(), None, items, steps,
                           split and split.encode())
        _call(_lib.lstm_plan_create, model.handle, byref(options), byref(self.handle))

    def __del__(self):
        _lib.lstm_plan_destroy(self.handle)

    def run(self, sequences, states=None):
        """Outputs and final states of a batch. `states`: per item {key: array} to start from, or None."""
        info, items = self.model.info, []
        inputs = [np.ascontiguousarray(frames, dtype=np.float32) for frames in sequences]
        frames_out = [_lib.lstm_model_get_output_steps(self.model.handle, c_size_t(len(x))) for x in inputs]
        outputs = [np.zeros((n, info.output.size), np.float32) for n in frames_out]
        for x, y in zip(inputs, outputs):
            stream = c_void_p()
            if _lib.lstm_stream_create(self.model.handle, byref(stream)) != 0:
                raise Error("no stream")
            items.append(_Item(stream, x.ctypes.data, y.ctypes.data, len(x), 0, 0))
        views = [self.model.states(c_void_p(item.stream)) for item in items]
        for view, given in zip(views, states or []):
            for key, numbers in (given or {}).items():
                view[key][:] = numbers
        self._run(items, max((len(x) for x in inputs), default=0))
        finals = [{key: numbers.copy() for key, numbers in view.items()} for view in views]
        for item in items:
            _lib.lstm_stream_destroy(c_void_p(item.stream))
        return outputs, finals

    def _run(self, items, steps):
        workspace = c_void_p()
        _call(_lib.lstm_workspace_create, self.handle, c_size_t(len(items)), c_size_t(steps), byref(workspace))
        status = _lib.lstm_run(self.handle, workspace, (_Item * len(items))(*items), c_size_t(len(items)))
        _lib.lstm_workspace_destroy(workspace)
        if status != 0:
            raise Error("lstm_run says %d" % status)
