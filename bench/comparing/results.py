# SPDX-License-Identifier: MIT
"""Results as JSON: {"runs": [...], "cases": [...], "planner": [...]}.

A run is one start of bench/compare: when, on which machine, with which limits, versions and options. Each
case names its run by index, so that a grid that takes long can be measured in portions and merged.
"""
import json
import os


def empty():
    return {"runs": [], "cases": [], "planner": []}


def write(results, path):
    """Under another name first: the file is there whole or not at all."""
    beside = "%s.%d.tmp" % (path, os.getpid())
    with open(beside, "w", encoding="utf-8") as file:
        json.dump(results, file, indent=1)
        file.write("\n")
    os.replace(beside, path)


def read(path):
    with open(path, encoding="utf-8") as file:
        try:
            found = json.load(file)
        except ValueError as why:
            raise ValueError("%s: no JSON: %s" % (path, why)) from None
    if not isinstance(found, dict) or not all(isinstance(found.get(key), list) for key in ("runs", "cases")):
        raise ValueError("%s: not written by bench/compare: \"runs\" and \"cases\" expected" % path)
    return {**empty(), **found}


def _key(record):
    return record["case"], record["threads"], record.get("isa")


def _same_machine(one, other):
    return one["machine"].get("cpu") == other["machine"].get("cpu")


def merge(parts):
    """Later parts replace cases of earlier ones. Parts of different machines cannot be compared."""
    merged, found, plans = empty(), {}, {}
    for part in parts:
        first = len(merged["runs"])
        for run in part["runs"]:
            if merged["runs"] and not _same_machine(run, merged["runs"][0]):
                raise ValueError("results of different machines: %s and %s" % (
                    merged["runs"][0]["machine"].get("cpu"), run["machine"].get("cpu")))
            merged["runs"].append(run)
        found.update((_key(record), {**record, "run": record["run"] + first}) for record in part["cases"])
        plans.update((_key(record), {**record, "run": record["run"] + first}) for record in part["planner"])
    merged["cases"], merged["planner"] = list(found.values()), list(plans.values())
    return _without_idle_runs(merged)


def _without_idle_runs(results):
    """Runs that no case names any more go."""
    used = sorted({record["run"] for record in results["cases"] + results["planner"]})
    place = {run: index for index, run in enumerate(used)}
    for record in results["cases"] + results["planner"]:
        record["run"] = place[record["run"]]
    results["runs"] = [results["runs"][run] for run in used]
    return results
