# SPDX-License-Identifier: MIT
"""This machine: what it is, which processors to run on, what it can do at the most."""
import glob
import json
import os
import platform
import re
import subprocess
import tempfile


def _text(path):
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read().strip()
    except OSError:
        return ""


def _cpu_model():
    found = re.search(r"^model name\s*:\s*(.+)$", _text("/proc/cpuinfo"), re.MULTILINE)
    numbers = [re.search(r"^%s\s*:\s*(.+)$" % key, _text("/proc/cpuinfo"), re.MULTILINE)
               for key in ("cpu family", "model")]
    where = ", family %s model %s" % tuple(n.group(1) for n in numbers) if all(numbers) else ""
    return (found.group(1) if found else platform.machine()) + where


def _caches():
    found = {}
    for folder in glob.glob("/sys/devices/system/cpu/cpu0/cache/index*"):
        kind = {"Data": "d", "Instruction": "i"}.get(_text(folder + "/type"), "")
        found["L%s%s" % (_text(folder + "/level"), kind)] = _text(folder + "/size")
    return dict(sorted(found.items()))


def _memory_gib():
    found = re.search(r"^MemTotal:\s*(\d+)", _text("/proc/meminfo"), re.MULTILINE)
    return round(int(found.group(1)) / 2 ** 20, 1) if found else None


def _lines_of(command):
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    except OSError:
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""


def describe_build(source, folder):
    """Which state of the source, built by what."""
    commit = _lines_of(["git", "-C", source, "describe", "--always", "--dirty"])
    try:
        compiler = json.loads(_lines_of(["meson", "introspect", "--compilers", folder]))["host"]["c"]
    except (ValueError, KeyError):
        compiler = {}
    return {"commit": commit or None,
            "compiler": " ".join(compiler.get(key, "") for key in ("id", "version")).strip()}


def describe():
    huge = re.search(r"\[(\w+)\]", _text("/sys/kernel/mm/transparent_hugepage/enabled"))
    return {"cpu": _cpu_model(), "cpus": os.cpu_count(), "caches": _caches(), "memory_gib": _memory_gib(),
            "kernel": platform.release(), "system": re.sub(r'^.*PRETTY_NAME="([^"]*)".*$', r"\1",
                                                             _text("/etc/os-release"), flags=re.DOTALL),
            "virtual": "hypervisor" in _text("/proc/cpuinfo"), "huge_pages": huge.group(1) if huge else None,
            "governor": _text("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor") or None}


def _siblings(cpu):
    return _text("/sys/devices/system/cpu/cpu%d/topology/thread_siblings_list" % cpu) or str(cpu)


def choose_cpus(n):
    """n processors that this process may use, no two of the same core."""
    cores = {}
    for cpu in sorted(os.sched_getaffinity(0)):
        cores.setdefault(_siblings(cpu), cpu)
    return sorted(cores.values())[:n] if len(cores) >= n else None


def measure_limits(program):
    """What `lstmbench --limits` measures, or None and why."""
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "limits.json")
        done = subprocess.run([program, "--limits", "--json", path], capture_output=True, text=True,
                              check=False)
        if done.returncode != 0 or not os.path.exists(path):
            return None, "%s --limits --json: %s" % (program, done.stderr.strip() or "wrote nothing")
        found = json.loads(_text(path))
    if not all(key in found for key in ("isa", "fma_gflops", "read", "levels")):
        return None, "%s --limits --json: \"isa\", \"fma_gflops\", \"read\" and \"levels\" expected" % program
    return found, None
