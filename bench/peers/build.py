# SPDX-License-Identifier: MIT
"""Compiles the workers and says how each is started.

Headers and libraries of the peers come from a virtual environment into which their packages (PACKAGES) have
been installed, and from the system. Nothing of theirs is in this tree.
"""
import glob
import json
import os
import re
import subprocess

HERE = os.path.dirname(os.path.abspath(__file__))
SOURCE = os.path.dirname(os.path.dirname(HERE))
FLAGS = ["-std=c11", "-D_GNU_SOURCE", "-O2", "-Wall", "-Wextra", "-I", SOURCE]

# Runtime -> what pip installs for it, or that and options of pip. oneDNN 3.2 is the last one that PyPI has as
# a library for OpenMP; PaddlePaddle's wheel holds a whole newer one, for which the headers of 3.2 do.
# pip's `torch` is the large build for GPUs, unless pip is set to prefer PyTorch's own index for CPUs.
ONEDNN_HEADERS = "onednn-devel-cpu-gomp==2023.2.0"
PACKAGES = {
    "onnxruntime": ["onnxruntime"],
    "onednn-3.2": ["onednn-cpu-gomp==2023.2.0", ONEDNN_HEADERS],
    "onednn-3.6": (["paddlepaddle==3.3.1", ONEDNN_HEADERS], ["--no-deps"]),
    "openvino": ["openvino"],
    "pytorch": ["torch==2.13.0", "numpy", "safetensors"],
}

# For peers whose threads are OpenMP's: each thread stays on a processor of its own. Left to itself the system
# puts two of them on one when anything else runs for a moment, and a call then takes milliseconds.
BOUND = {"OMP_PROC_BIND": "true"}


class Missing(Exception):
    """Why a runtime cannot take part, as a sentence."""


def _run(command, given=""):
    try:
        return subprocess.run(command, input=given, capture_output=True, text=True, timeout=120, check=False)
    except (OSError, subprocess.TimeoutExpired) as why:
        raise Missing(str(why)) from None


def _compiler():
    return os.environ.get("CC", "cc").split()


def _file(*pattern):
    """The one file that a pattern names."""
    found = sorted(glob.glob(os.path.join(*pattern)))
    if not found:
        raise Missing("%s is not there" % os.path.join(*pattern))
    return found[-1]


def _packages(venv, *parts):
    return os.path.join(venv, "lib", "python3*", "site-packages", *parts)


class Maker:
    """Where everything lies; each method answers the command line of a worker."""

    def __init__(self, venv, build, out):
        self.venv, self.build, self.out = venv, build, out

    def _compile(self, name, source, include=(), library=None):
        """A worker of `source`, linked with `library`, which it finds where it lies."""
        program = os.path.join(self.out, "worker-" + name)
        sources = [os.path.join(HERE, file) for file in ("worker.c", "worker_case.c", source)]
        folders = [word for folder in include for word in ("-isystem", folder)]
        command = [*_compiler(), *FLAGS, *folders, *sources, "-o", program]
        if library:
            # Libraries that it needs in its turn may lie beside it.
            folder = os.path.dirname(library)
            command += [library, "-Wl,-rpath," + folder, "-Wl,-rpath-link," + folder]
        done = _run(command + ["-ldl", "-lm"])
        if done.returncode != 0:
            said = done.stderr.splitlines() or ["no reason given"]
            errors = [line for line in said if "error" in line]
            raise Missing("%s cannot be compiled: %s" % (source, (errors or said)[0]))
        return [program]

    def lstmrun(self):
        return self._compile("lstmrun", "native.c", library=_file(self.build, "runtime", "liblstmrun.so"))

    def onnxruntime(self):
        library = _file(_packages(self.venv, "onnxruntime", "capi", "libonnxruntime.so.*"))
        return [*self._compile("onnxruntime", "onnxruntime.c"), "--library", library]

    def onednn_of_the_system(self):
        return self._compile("onednn-system", "onednn.c", library=self._system_onednn())

    def _system_onednn(self):
        found = _run([*_compiler(), "-print-file-name=libdnnl.so"]).stdout.strip()
        if not os.path.isabs(found):
            raise Missing("the system has no oneDNN to link with (package libdnnl-dev on Debian and Ubuntu)")
        return os.path.realpath(found)

    def onednn_3_2(self):
        return self._compile("onednn-3.2", "onednn.c", [os.path.join(self.venv, "include")],
                             _file(self.venv, "lib", "libdnnl.so.3"))

    def onednn_3_6(self):
        return self._compile("onednn-3.6", "onednn.c", [os.path.join(self.venv, "include")],
                             _file(_packages(self.venv, "paddle", "libs", "libdnnl.so.3")))

    def openvino(self):
        return self._compile("openvino", "openvino.c", [_file(_packages(self.venv, "openvino", "include"))],
                             _file(_packages(self.venv, "openvino", "libs", "libopenvino_c.so*")))

    def pytorch(self):
        _file(_packages(self.venv, "torch"))
        return [_file(self.venv, "bin", "python"), os.path.join(HERE, "pytorch.py")]


def _greeting(command):
    """What a worker says at its start."""
    done = _run([*command, "--threads", "1"])
    try:
        hello = json.loads(done.stdout.splitlines()[0])
    except (IndexError, ValueError):
        why = done.stderr.strip()[-300:] or "exit status %d" % done.returncode
        raise Missing("its worker does not start: %s" % why) from None
    if "error" in hello:
        raise Missing(hello["error"])
    return hello


def _system_onednn_name():
    """onednn-2.6, say, from the headers of the system."""
    done = _run([*_compiler(), "-E", "-dM", "-x", "c", "-"], "#include <oneapi/dnnl/dnnl_version.h>\n")
    found = dict(re.findall(r"#define DNNL_VERSION_(M\w+) (\d+)", done.stdout))
    return "onednn-%s.%s" % (found["MAJOR"], found["MINOR"]) if found else "onednn-system"


def available(venv, build, out, say):
    """One dict a runtime, ours first: name, command (to which `--threads N` is added and, if wanted,
    `--isa NAME`), version, notes, env, and missing: None, or why it cannot take part.

    venv: a virtual environment with the packages; build: a Meson build of this tree; out: a folder for
    programs.
    """
    os.makedirs(out, exist_ok=True)
    maker, answer = Maker(venv, build, out), []
    ways = {"lstmrun": (maker.lstmrun, {}), "onnxruntime": (maker.onnxruntime, {}),
            "onednn-3.2": (maker.onednn_3_2, BOUND), "onednn-3.6": (maker.onednn_3_6, BOUND),
            "openvino": (maker.openvino, {}), "pytorch": (maker.pytorch, BOUND)}
    ways.setdefault(_system_onednn_name(), (maker.onednn_of_the_system, BOUND))
    for name, (make, env) in ways.items():
        runtime = {"name": name, "command": [], "version": "", "notes": "", "env": env, "missing": None}
        try:
            say("compiling and starting the worker of %s" % name)
            runtime["command"] = make()
            hello = _greeting(runtime["command"])
            runtime.update(version=hello["version"], notes=hello["notes"])
        except Missing as why:
            runtime["missing"] = str(why)
        answer.append(runtime)
    return answer
