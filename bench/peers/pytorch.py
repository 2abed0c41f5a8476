# SPDX-License-Identifier: MIT
"""The worker of PyTorch: the protocol of PROTOCOL.md in Python, which is how PyTorch is used. What Python
itself costs in a call, some microseconds, is part of its times.
"""
import argparse
import gc
import json
import math
import os
import sys
import time

SAMPLE_NS = 20_000
MAX_SAMPLES = 4096
NUMBERS = {"layers", "bidirectional", "inputs", "units", "steps", "items", "threads", "streams", "calls"}
# Variables that hold each of PyTorch's parts to an instruction set; read when it is imported.
ISA = {"avx2": {"ATEN_CPU_CAPABILITY": "avx2", "ONEDNN_MAX_CPU_ISA": "AVX2",
                "MKL_ENABLE_INSTRUCTIONS": "AVX2"},
       "avx512": {}}


class Refused(Exception):
    """An error of the case or of a command, in words for a person."""


def say(answer):
    print(json.dumps(answer), flush=True)


def read_case(folder):
    """case.txt as a dict."""
    path, case = os.path.join(folder, "case.txt"), {}
    with open(path, encoding="ascii", errors="replace") as file:
        for line in filter(None, map(str.strip, file)):
            key, _, value = line.partition(" ")
            if key in NUMBERS and value.isdigit():
                case[key] = int(value)
            elif key == "type" and value in ("lstm", "gru"):
                case[key] = value
            else:
                raise Refused('%s: "%s" is not understood' % (path, line))
    missing = (NUMBERS | {"type"}) - case.keys()
    if missing:
        raise Refused("%s: no key %s" % (path, ", ".join(sorted(missing))))
    return case


def resident_kb():
    with open("/proc/self/status", encoding="ascii") as file:
        return next(int(line.split()[1]) for line in file if line.startswith("VmRSS"))


class Session:
    """A case that is open. Sequences run through nn.LSTM or nn.GRU, single steps through a cell per layer."""

    def __init__(self, torch, folder, threads):
        self.torch, self.folder, self.case = torch, folder, read_case(folder)
        if self.case["threads"] != threads:
            raise Refused("%s/case.txt: threads is %d, but this worker was started with --threads %d"
                          % (folder, self.case["threads"], threads))
        self.lstm, self.stepwise = self.case["type"] == "lstm", self.case["steps"] == 1
        started = time.monotonic_ns()
        self.modules = self._load_cells() if self.stepwise else [self._load_network()]
        self.open_ns = time.monotonic_ns() - started
        self.inputs = self._read_inputs()
        self.restart()
        self.put_input(0)
        self.call()

    def _tensors(self):
        from safetensors.torch import load_file
        return load_file(os.path.join(self.folder, "model.safetensors"))

    def _load_network(self):
        case, nn = self.case, self.torch.nn
        network = (nn.LSTM if self.lstm else nn.GRU)(case["inputs"], case["units"], num_layers=case["layers"],
                                                     bidirectional=bool(case["bidirectional"]))
        network.load_state_dict(self._tensors())
        return network.eval()

    def _load_cells(self):
        case, nn, tensors, cells = self.case, self.torch.nn, self._tensors(), []
        for layer in range(case["layers"]):
            cell = (nn.LSTMCell if self.lstm else nn.GRUCell)(case["units"] if layer else case["inputs"],
                                                              case["units"])
            cell.load_state_dict({name: tensors["%s_l%d" % (name, layer)] for name in cell.state_dict()})
            cells.append(cell.eval())
        return cells

    def _read_inputs(self):
        """[calls][steps][items][inputs], each call's contiguous."""
        case, path = self.case, os.path.join(self.folder, "input.bin")
        shape = [case[name] for name in ("calls", "items", "steps", "inputs")]
        numbers = self.torch.from_file(path, size=os.path.getsize(path) // 4)
        if numbers.numel() != math.prod(shape):
            raise Refused("%s: %d floats, expected %d" % (path, numbers.numel(), math.prod(shape)))
        return [call.contiguous() for call in numbers.reshape(shape).transpose(1, 2)]

    def restart(self):
        """States are [layers][h, c] of tensors [items][units], or of lists of each stream's own [units]."""
        case, torch = self.case, self.torch

        def zeros():
            if case["streams"]:
                return [torch.zeros(case["units"]) for _ in range(case["items"])]
            return torch.zeros(case["items"], case["units"])
        self.states = [[zeros() for _ in range(2 if self.lstm else 1)] for _ in self.modules]

    def put_input(self, index):
        """A stream has its frame in a tensor of its own."""
        self.x = self.inputs[index]
        if self.case["streams"]:
            self.x = [row.clone() for row in self.x[0]]

    def _step(self, x, states):
        """One step of a batch [items][inputs]; answers the last layer's h and the new states."""
        after = []
        for cell, state in zip(self.modules, states):
            state = cell(x, tuple(state)) if self.lstm else (cell(x, state[0]),)
            x = state[0]
            after.append(state)
        return x, after

    def call(self):
        if not self.stepwise:
            self.y = self.modules[0](self.x)[0]
        elif not self.case["streams"]:
            self.y, self.states = self._step(self.x[0], self.states)
        else:
            stack = self.torch.stack
            y, states = self._step(stack(self.x), [[stack(own) for own in state] for state in self.states])
            self.states = [[part.unbind(0) for part in state] for state in states]
            self.y = y.unbind(0)

    def outputs(self):
        """Of the last call, as bytes of [items][steps][width]."""
        y = self.torch.stack(list(self.y)) if self.stepwise else self.y.transpose(0, 1)
        return y.contiguous().numpy().tobytes()

    def check(self, path):
        self.restart()
        with open(path, "wb") as file:
            for index in range(self.case["calls"]):
                self.put_input(index)
                self.call()
                file.write(self.outputs())
        self.put_input(0)
        return {}

    def time_calls(self, count):
        started = time.monotonic_ns()
        for _ in range(count):
            self.call()
        return time.monotonic_ns() - started

    def time(self, text):
        if not text.isdigit():
            raise Refused('time "%s": expected nanoseconds' % text)
        budget, calls, samples = int(text), 1, []
        self.restart()
        least = max(SAMPLE_NS, budget // MAX_SAMPLES)
        while self.time_calls(calls) < least:
            calls *= 2
        cpu, started, wall = time.process_time_ns(), time.monotonic_ns(), 0
        while not samples or (wall < budget and len(samples) < MAX_SAMPLES):
            samples.append(round(self.time_calls(calls) / calls, 1))
            wall = time.monotonic_ns() - started
        return {"calls": calls, "ns": samples, "cpu_ns": time.process_time_ns() - cpu, "wall_ns": wall}


def obey(torch, session, line, threads):
    """The session after the command, and the answer."""
    command, _, argument = line.partition(" ")
    if command == "open" and argument:
        session = Session(torch, argument, threads)
        return session, {"open_ns": session.open_ns, "rss_kb": resident_kb()}
    if line == "close":
        return None, {}
    if command not in ("check", "time") or not argument:
        raise Refused('"%s": expected open DIR, check FILE, time NS or close' % line)
    if session is None:
        raise Refused("%s: no case is open" % command)
    return session, session.check(argument) if command == "check" else session.time(argument)


def serve(torch, threads):
    session = None
    for line in sys.stdin:
        try:
            session, answer = obey(torch, session, line.rstrip("\r\n"), threads)
        except Exception as why:  # whatever a library raises is the answer to this command
            if line.startswith("open"):
                session = None
            answer = {"error": str(why) or type(why).__name__}
        say(answer)
        gc.collect()


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--threads", type=int, required=True, metavar="N")
    parser.add_argument("--isa", choices=sorted(ISA))
    options = parser.parse_args()
    os.environ.update(ISA.get(options.isa, {}))
    try:
        import torch
        import safetensors.torch  # noqa: F401  (so that its import is no part of an open)
    except ImportError as why:
        say({"error": str(why)})
        return 1
    torch.set_num_threads(options.threads)
    torch.set_num_interop_threads(1)
    torch.set_flush_denormal(True)
    gc.disable()
    say({"runtime": "pytorch", "version": torch.__version__,
         "notes": "nn.LSTM and nn.GRU, for single steps nn.LSTMCell and nn.GRUCell, in inference_mode, "
                  "called from Python: what that costs a call is in the times; flush_denormal; streams "
                  "gathered by stack, scattered as views"})
    with torch.inference_mode():
        serve(torch, options.threads)
    return 0


if __name__ == "__main__":
    sys.exit(main())
