# SPDX-License-Identifier: MIT
"""What the comparison needs and where it is put: everything under one folder outside the source tree.

FOLDER/venv      Python packages: the runtimes, and what makes and reads models
FOLDER/build-*   lstmrun built in release mode, where no build folder was given
FOLDER/workers-* the compiled worker programs, for one build folder
FOLDER/cases-*   models, inputs and expected outputs
FOLDER/logs      what the workers said
"""
import json
import os
import subprocess
import sys
import venv
import zlib

HERE = os.path.dirname(os.path.abspath(__file__))
SOURCE = os.path.dirname(os.path.dirname(HERE))

# Of the driver itself.
NEEDED = ["numpy", "onnx", "safetensors", "matplotlib"]


def default_folder():
    cache = os.environ.get("XDG_CACHE_HOME") or os.path.join(os.path.expanduser("~"), ".cache")
    return os.path.join(cache, "lstmrun", "compare")


class InstallError(Exception):
    pass


def _inside(folder):
    return os.path.realpath(sys.prefix) == os.path.realpath(folder)


def enter(folder, say):
    """Go on as a process of the virtual environment; makes it where it is not there yet."""
    python = os.path.join(folder, "bin", "python")
    if _inside(folder):
        return
    if not os.path.exists(python):
        say("making a virtual environment in %s" % folder)
        venv.create(folder, with_pip=True)
    sys.stdout.flush()
    os.execv(python, [python, *sys.argv])


def _stamp(folder):
    return os.path.join(folder, "installed.json")


def _installed(folder):
    try:
        with open(_stamp(folder), encoding="utf-8") as file:
            return json.load(file)
    except (OSError, ValueError):
        return {}


def _pip(folder, requirements, options):
    done = subprocess.run([os.path.join(folder, "bin", "python"), "-m", "pip", "install", "--quiet",
                           "--disable-pip-version-check", *options, *requirements],
                          stdout=sys.stderr, stderr=subprocess.PIPE, text=True, check=False)
    if done.returncode == 0:
        return None
    errors = [line for line in done.stderr.splitlines() if line.startswith("ERROR")]
    return (errors or done.stderr.splitlines() or ["pip failed"])[-1]


def packages(folder, wanted, say):
    """Install what is not there yet: {name: (requirements, pip options)}. Answers {name: why not} of those
    that cannot be had; each stands alone, so that one does not take others with it."""
    done, missing = _installed(folder), {}
    for name, (requirements, options) in wanted.items():
        sought = [*requirements, *options]
        if done.get(name) == sought:
            continue
        say("installing %s: %s" % (name, " ".join(requirements)))
        why = _pip(folder, requirements, options)
        if why:
            missing[name] = why
            continue
        done[name] = sought
        with open(_stamp(folder), "w", encoding="utf-8") as file:
            json.dump(done, file, indent=1)
    return missing


def _run(command, what):
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise InstallError("%s failed: %s\n%s%s" % (
            what, " ".join(command), done.stdout[-2000:], done.stderr[-2000:]))


def _folder_for(folder, kind, path):
    return os.path.join(folder, "%s-%08x" % (kind, zlib.crc32(os.path.realpath(path).encode())))


def workers_folder(folder, build_folder):
    where = _folder_for(folder, "workers", build_folder)
    os.makedirs(where, exist_ok=True)
    return where


def build(folder, say):
    """A release build of this source tree; answers its folder."""
    where = _folder_for(folder, "build", SOURCE)
    if not os.path.exists(os.path.join(where, "build.ninja")):
        say("setting up a release build in %s" % where)
        _run(["meson", "setup", where, SOURCE, "--buildtype=release"], "meson setup")
    say("building lstmrun in %s" % where)
    _run(["meson", "compile", "-C", where], "meson compile")
    return where


def program(build_folder, *parts):
    path = os.path.join(build_folder, *parts)
    if not os.path.exists(path):
        raise InstallError("%s is not there: is %s a build folder of lstmrun, and is it built?"
                           % (path, build_folder))
    return path


def clock_worker(folder):
    """The compiled clock.c, or None and why."""
    source, target = os.path.join(HERE, "clock.c"), os.path.join(folder, "clock")
    if os.path.exists(target) and os.path.getmtime(target) >= os.path.getmtime(source):
        return target, None
    try:
        _run([*os.environ.get("CC", "cc").split(), "-std=c11", "-O2", "-o", target, source],
             "compiling clock.c")
    except (InstallError, OSError) as why:
        return None, str(why)
    return target, None
