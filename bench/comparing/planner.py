# SPDX-License-Identifier: MIT
"""Regret of the default plan: how much longer it takes than the best plan that any forced choice gives.

`lstmbench --planner` measures, default and choices in turns of one run; it makes its own weights.
"""
import json
import os
import subprocess
import tempfile

from . import machine, table

# The default is to stay within this share of the best.
ALLOWED_PERCENT = 5


def _measure_case(setup, word, threads):
    options = setup.options
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "planner.json")
        cpus = ",".join(map(str, machine.choose_cpus(threads)))
        command = [setup.bench, "--planner", "--shape", word, "--threads", str(threads), "--pin", cpus,
                   "--rounds", str(options.rounds), "--seconds", str(options.seconds), "--json", path,
                   *(["--isa", options.isa] if options.isa else [])]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise RuntimeError("%s: %s" % (" ".join(command), done.stderr.strip()))
        with open(path, encoding="utf-8") as file:
            return json.load(file)["cases"][0]


def measure(setup, chosen, records, keep, say):
    """Append a record of each case, with the most threads asked for; `keep` is called after each."""
    threads = max(setup.options.threads)
    if machine.choose_cpus(threads) is None:
        raise RuntimeError("%d threads: there are not as many cores" % threads)
    # Streams are items to a plan.
    words = dict.fromkeys(str(case).rstrip("s") for case in chosen)
    for number, word in enumerate(words):
        say("%s (%d of %d)" % (word, number + 1, len(words)))
        records.append({**_measure_case(setup, word, threads), "case": word, "threads": threads,
                        "isa": setup.options.isa, "run": 0})
        keep()


def _choice(choice):
    return "%s %d" % (choice["split"], choice["threads"])


def lines(records):
    rows = [["plan of", "default", "threads", "best", "by", "regret", "estimate", ""]]
    for record in records:
        default, best = record["default"], record["best"]
        rows.append([record["case"] + (" " + record["isa"] if record["isa"] else ""),
                     table.duration(default["median_ns"]),
                     "%d of %d" % (default["threads"], record["threads"]), table.duration(best["median_ns"]),
                     _choice(best), "%.1f %%" % record["regret_percent"],
                     table.duration(default["estimate_ns"]),
                     "" if record["regret_percent"] <= ALLOWED_PERCENT else "NOT MET"])
    yield from table.aligned(rows)
    worst = max(record["regret_percent"] for record in records)
    missed = sum(record["regret_percent"] > ALLOWED_PERCENT for record in records)
    yield "worst regret %.1f %%; %d of %d cases beyond %d %%" % (worst, missed, len(records), ALLOWED_PERCENT)
