# SPDX-License-Identifier: MIT
"""The command line of bench/compare."""
import argparse

from . import cases, install

TEXT = """
Time lstmrun beside ONNX Runtime, oneDNN, PyTorch and OpenVINO: in one run, in turns, pinned, on the same
weights and inputs. Outputs are compared with a computation in double precision before anything is timed; a
runtime that is off by more than 1e-4 is left out of that case, loudly. The first start makes a virtual
environment outside the source tree and installs the runtimes there with pip (1 GB and more; pip's own
settings hold, such as PIP_EXTRA_INDEX_URL for a PyTorch without CUDA); where one cannot be had, the rest goes
on without it.
"""

MORE = """
examples:
  bench/compare                                        seven cases, about five minutes
  bench/compare --grid bars --json all.json --resume --report report/      can be stopped and started again
  bench/compare --cases lstm-t1n1c40h64 'gru-*' --threads 1 --peers onnxruntime,onednn
  bench/compare --cases audio --json audio.json        a group: %s
  bench/compare --merge audio.json batch.json --readme
  bench/compare --isa avx2 --peers onednn --cases batch

A case reads TYPE-tSTEPSnITEMScINPUTShUNITS[lLAYERS][b][s]; b: bidirectional, s: live streams with a state
each. Times are of one call (all its steps and items). "peak" is the share of the measured fma peak, "limit"
that of the least time that arithmetic and the reading of weights allow. "CPU" is the leanest peer's CPU time
over ours. What "met" means for each case is in bench/comparing/cases.py.
""" % ", ".join(cases.GROUPS)


def _positive(kind):
    def parse(text):
        value = kind(text)
        if value <= 0:
            raise ValueError(text)
        return value
    parse.__name__ = "positive " + kind.__name__
    return parse


def _names(text):
    return [name for name in text.split(",") if name]


def _threads(text):
    return sorted({_positive(int)(part) for part in _names(text)})


_threads.__name__ = "list of thread counts as 1,2"


def parser():
    made = argparse.ArgumentParser(prog="bench/compare", description=TEXT, epilog=MORE,
                                   formatter_class=argparse.RawDescriptionHelpFormatter)
    what = made.add_argument_group("what is timed")
    what.add_argument("--grid", choices=list(cases.GRIDS), default="quick",
                      help="quick: %d cases; bars: all %d that a bar is set for (half an hour or more); full: %d"
                      % tuple(len(cases.GRIDS[grid]) for grid in ("quick", "bars", "full")))
    what.add_argument("--cases", nargs="+", metavar="WORD", default=[],
                      help="these instead of a grid: cases, patterns with * and ?, or groups")
    what.add_argument("--threads", type=_threads, default=[1, 2], metavar="LIST", help="default: 1,2")
    what.add_argument("--peers", type=_names, default=[], metavar="LIST",
                      help="only these beside lstmrun (default: all)")
    what.add_argument("--isa", choices=["avx2"], help="hold lstmrun and those peers that can be held to it")
    what.add_argument("--planner", action="store_true",
                      help="instead: the default plan's time against that of every choice that can be forced")
    how = made.add_argument_group("how")
    how.add_argument("--rounds", type=_positive(int), default=5, metavar="N",
                     help="turns of each runtime (5)")
    how.add_argument("--seconds", type=_positive(float), default=0.5, metavar="S",
                     help="for each case and runtime, in all rounds together (0.5)")
    how.add_argument("--fresh", action="store_true",
                     help="new processes for each case, so that memory is that of the case alone (longer)")
    how.add_argument("--no-limits", action="store_true",
                     help="do not measure the machine first: no shares of its limits")
    how.add_argument("--prepare", action="store_true",
                     help="install, build and make the cases, but time nothing")
    out = made.add_argument_group("results")
    out.add_argument("--json", metavar="FILE", help="write everything; written anew after each case")
    out.add_argument("--resume", action="store_true",
                     help="keep what the file of --json has and time only the cases it lacks")
    out.add_argument("--merge", nargs="+", metavar="FILE",
                     help="time nothing: put results together; of a case in two files the later one counts")
    out.add_argument("--report", metavar="DIR", help="write DIR/index.html with plots")
    out.add_argument("--readme", action="store_true", help="print the result as Markdown")
    out.add_argument("--minima", action="store_true",
                     help="judge by least times instead of medians: for a machine on which other things run")
    out.add_argument("--list", action="store_true", help="list the cases with their bars, and stop")
    where = made.add_argument_group("where")
    where.add_argument("--folder", default=install.default_folder(), metavar="DIR",
                       help="virtual environment, models, workers (%(default)s)")
    where.add_argument("--venv", metavar="DIR", help="the virtual environment (FOLDER/venv)")
    where.add_argument("--build", metavar="DIR", help="a release build of lstmrun (one is made in FOLDER)")
    return made
