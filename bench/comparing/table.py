# SPDX-License-Identifier: MIT
"""Results as text: for a terminal, and as Markdown for the README."""
from . import figures

SIGNS = {True: "met", False: "NOT MET", None: "not measured"}


def duration(ns):
    for unit, size in (("s", 1e9), ("ms", 1e6), ("µs", 1e3)):
        if ns >= size:
            return "%.3g %s" % (ns / size, unit) if ns / size < 1000 else "%.0f %s" % (ns / size, unit)
    return "%.3g ns" % ns


def percent(share):
    return "-" if share is None else "%.0f %%" % (100 * share)


def times(ratio):
    return "-" if ratio is None else "%.2fx" % ratio


def memory(found):
    """Of the whole process with the case opened, and how much of that opening it took."""
    if not found.get("rss_kb") or not found.get("rss_before_kb"):
        return "-", "-"
    kibs = found["rss_kb"], found["rss_kb"] - found["rss_before_kb"]
    return tuple("%.1f MiB" % (kib / 1024) for kib in kibs)


def aligned(rows):
    """Lines of columns: the first to the left, the others to the right."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    for row in rows:
        cells = [row[0].ljust(widths[0])] + [cell.rjust(width) for cell, width in zip(row[1:], widths[1:])]
        yield "  ".join(cells).rstrip()


# ---- one case, as it is done -------------------------------------------------------------------------------

TIMES = ("median_ns", "min_ns", "p10_ns", "p90_ns", "cpu_ns")


def case_lines(one):
    """Every runtime's figures of one record, the fastest first."""
    rows = [["  %s, %s" % (one.case, _thread_text(one)), "median", "min", "p10", "p90", "CPU", "GFLOP/s",
             "error", "open", "memory", "by it"]]
    for name, found in sorted(one.runtimes.items(), key=lambda pair: pair[1][one.figure]):
        rows.append(["    " + name, *(duration(found[key]) for key in TIMES),
                     "%.3g" % one.gflops(name), "%.1e" % found["error"],
                     duration(found["open_ns"]) if found["open_ns"] else "-",
                     *memory(found)])
    yield from aligned(rows)
    for name, why in one.record["refused"].items():
        yield "    %s LEFT OUT: %s" % (name, why)
    for verdict in one.verdicts():
        yield "    %-12s %s" % (SIGNS[verdict.met], verdict)


# ---- the whole ---------------------------------------------------------------------------------------------

def _names(judged):
    """All runtimes, ours first, the others as they come."""
    found = dict.fromkeys(name for one in judged for name in one.runtimes)
    return [figures.OURS, *(name for name in found if name != figures.OURS)]


def _thread_text(one):
    return "%d thread%s%s" % (one.threads, "s" if one.threads > 1 else "", ", " + one.isa if one.isa else "")


def _bars_cell(one):
    verdicts = list(one.verdicts())
    missed = sum(verdict.met is False for verdict in verdicts)
    met = sum(verdict.met is True for verdict in verdicts)
    return "%d NOT MET" % missed if missed else "%d of %d" % (met, len(verdicts))


def summary_rows(judged):
    """A head and a row for each record."""
    names = _names(judged)
    yield ["case", "threads", *names, "best peer", "ratio", "by minima", "GFLOP/s", "peak", "limit", "cycles",
           "CPU", "bars"]
    for one in judged:
        yield [str(one.case), "%d%s" % (one.threads, " " + one.isa if one.isa else ""),
               *(duration(one.time(name)) if name in one.runtimes else "-" for name in names),
               one.best or "-", times(one.ratio), times(one.ratio_of_minima),
               "%.3g" % one.gflops() if one.ours else "-", percent(one.peak_share), percent(one.limit_share),
               "%.0f" % one.cycles if one.cycles and one.row.group == "audio" else "-", times(one.cpu_ratio),
               _bars_cell(one)]


def summary_lines(results, figure):
    judged = figures.judge_all(results, figure)
    yield from aligned(list(summary_rows(judged)))
    yield ""
    yield from missed_lines(judged)


def missed_lines(judged):
    """Every bar that is not met, then how many are."""
    counted = {True: 0, False: 0, None: 0}
    for one in judged:
        for verdict in one.verdicts():
            counted[verdict.met] += 1
            if verdict.met is False:
                yield "%s: %s, %s: %s" % (SIGNS[verdict.met], one.case, _thread_text(one), verdict)
    for mean in figures.group_means(judged):
        met = mean["mean"] >= mean["bar"] if mean["cases"] == mean["of"] else None
        counted[met] += 1
        yield "%s: geometric mean of \"%s\", threads: %d: %.2fx (>= %.2fx), %d of its %d cases measured" % (
            "incomplete" if met is None else SIGNS[met],
            *(mean[key] for key in ("group", "threads", "mean", "bar", "cases", "of")))
    yield "%d bars met, %d not met, %d not measured" % (counted[True], counted[False], counted[None])


def machine_line(run):
    machine = run["machine"]
    return "%s, %s processors%s, %s; %s, kernel %s" % (
        machine["cpu"], machine["cpus"], " (virtual)" if machine["virtual"] else "",
        ", ".join("%s %s" % pair for pair in machine["caches"].items()), machine["system"], machine["kernel"])


def versions_line(results):
    """All versions that took part, in any run."""
    found = {}
    for run in results["runs"]:
        for name, about in run["runtimes"].items():
            found.setdefault(name, {})[about["version"]] = True
    return ", ".join("%s %s" % (name, " and ".join(versions)) for name, versions in found.items())


# ---- Markdown ----------------------------------------------------------------------------------------------

def _cell(one):
    """Ours, the best peer, and how many times faster, with the bar and what the machine allows at the most."""
    if not one.ours or not one.best:
        return ["", "", ""]
    verdict = next((v for v in one.verdicts() if v.kind == "peer"), None)
    marks = ["%g" % verdict.bar if verdict else "", "%.3g" % one.ratio_allowed if one.ratio_allowed else ""]
    ratio = "%.2f (%s)" % (one.ratio, "; ".join(filter(None, marks)))
    best = "%s, %s" % (duration(one.time(one.best)), one.best)
    return [duration(one.time()), best,
            ratio if verdict is None or verdict.met else "**%s**" % ratio]


def markdown_lines(results, figure):
    judged = figures.judge_all(results, figure)
    threads = sorted({one.threads for one in judged})
    for isa in sorted({one.isa or "" for one in judged}):
        chosen = {(str(one.case), one.threads): one for one in judged if (one.isa or "") == isa}
        if isa:
            yield from ("", "All held to %s:" % isa.upper())
        yield ""
        yield "| case |" + "".join(" %s | best peer | times faster (bar; limit) |" % (
            "lstmrun, %d thread%s" % (n, "s" if n > 1 else "")) for n in threads)
        yield "|---" * (1 + 3 * len(threads)) + "|"
        for word in dict.fromkeys(word for word, _ in chosen):
            cells = [cell for n in threads
                     for cell in (_cell(chosen[word, n]) if (word, n) in chosen else ["", "", ""])]
            yield "| `%s` | %s |" % (word, " | ".join(cells))
    yield ""
    yield "Machine: %s." % machine_line(results["runs"][-1])
    yield "Versions: %s." % versions_line(results)
