# SPDX-License-Identifier: MIT
"""The runtimes that take part: found by bench/peers/build.py, each a worker program."""
import glob
import importlib.util
import json
import os

from . import figures, install

PEERS = os.path.join(install.SOURCE, "bench", "peers")

def peers_build():
    spec = importlib.util.spec_from_file_location("peers_build", os.path.join(PEERS, "build.py"))
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _stamp(venv, build):
    """What an answer of build.available depends on, and when that was changed last."""
    files = [*sorted(glob.glob(os.path.join(PEERS, "*"))), os.path.join(venv, "installed.json"),
             os.path.join(install.SOURCE, "runtime", "lstmrun.h")]
    return [venv, build, os.environ.get("CC"), *([path, os.path.getmtime(path)] for path in files)]


def find(peers, venv, build, folder, say):
    """build.available's answer; kept in `folder` while nothing changes, since compiling and trying all of
    them takes longer than many a case."""
    kept, stamp = os.path.join(folder, "runtimes.json"), _stamp(venv, build)
    try:
        with open(kept, encoding="utf-8") as file:
            before = json.load(file)
    except (OSError, ValueError):
        before = {}
    if before.get("stamp") == stamp:
        return before["found"]
    found = peers.available(venv, build, folder, say)
    if not any(runtime.get("missing") for runtime in found):
        with open(kept, "w", encoding="utf-8") as file:
            json.dump({"stamp": stamp, "found": found}, file, indent=1)
    return found


def _kind(name):
    """onednn of onednn-2 and onednn-3."""
    return name.split("-")[0]


def _chosen(names, wanted):
    return [name for name in names if name == figures.OURS or not wanted or name in wanted
            or _kind(name) in wanted]


def wanted_packages(packages, wanted, venv):
    """{runtime: (requirements, pip options)} of those asked for; build.py has a list of requirements for
    each, or such a pair, with {venv} for the virtual environment."""
    found = {}
    for name in _chosen(packages, wanted):
        requirements, options = packages[name] if isinstance(packages[name], tuple) else (packages[name], [])
        found[name] = (list(requirements), [option.replace("{venv}", venv) for option in options])
    return found


def take_part(found, wanted):
    """Of build.available's answer: those that run, ours first, and {name: why not} of the others."""
    running, left_out = [], {}
    for runtime in found:
        name = runtime["name"]
        if name not in _chosen([name], wanted):
            continue
        if runtime.get("missing"):
            left_out[name] = runtime["missing"]
        else:
            running.append(runtime)
    unknown = [name for name in wanted if not any(name in (r["name"], _kind(r["name"])) for r in found)]
    for name in unknown:
        left_out[name] = "no such runtime; known are %s" % ", ".join(r["name"] for r in found)
    return sorted(running, key=lambda runtime: runtime["name"] != figures.OURS), left_out


def command_of(runtime, threads, isa):
    """A worker that cannot be held to `isa` says so at its start."""
    return [*runtime["command"], "--threads", str(threads), *(["--isa", isa] if isa else [])]
