# SPDX-License-Identifier: MIT
"""The report: one HTML page with everything in it."""
import html
import os

from . import cases, figures, plots, table

STYLE = """
body { font: 15px/1.45 sans-serif; max-width: 75em; margin: 2em auto; padding: 0 1em; color: #222 }
body { background: #fff }
table { border-collapse: collapse; font-size: 12px; white-space: nowrap }
div.wide { overflow-x: auto }
td, th { padding: 2px 8px; border-bottom: 1px solid #ddd; text-align: right }
td:first-child, th:first-child { text-align: left }
td.missed { color: #b00; font-weight: bold }
svg { max-width: 100%; height: auto }
.small { font-size: 13px; color: #555 }
"""

HOW = """All runtimes in turns in one run, pinned, on the same weights and inputs; outputs were compared with
a computation in double precision first. Times are %s of one call. Ratio: the best peer's time over ours.
Limit: the least time that arithmetic and reading weights allow, over ours. CPU: the leanest peer's CPU time
over ours."""

ROOFS = """Filled: lstmrun; hollow: the best peer; lines: what this machine reached in small loops, measured
in the same run. Cases of several steps can lie above a line: they read the recurrent weights from a nearer
level than the whole set would fit in. Cases of equal intensity are drawn side by side."""

PAGE = """<!DOCTYPE html>
<html lang="en">
<head><meta charset="utf-8"><title>lstmrun beside other runtimes</title><style>%s</style></head>
<body>
%s
</body></html>
"""


def _tag(name, text, **attributes):
    return "<%s%s>%s</%s>" % (name, "".join(' %s="%s"' % pair for pair in attributes.items()), text, name)


def _table(rows):
    head, *body = rows
    lines = [_tag("tr", "".join(_tag("th", html.escape(cell)) for cell in head))]
    for row in body:
        cells = (_tag("td", html.escape(cell), **({"class": "missed"} if "NOT MET" in cell else {}))
                 for cell in row)
        lines.append(_tag("tr", "".join(cells)))
    return _tag("div", _tag("table", "\n".join(lines)), **{"class": "wide"})


def _about(results, figure):
    run = results["runs"][-1]
    yield _tag("p", html.escape("Measured %s on %s." % (run["made"], table.machine_line(run))))
    notes = {name: about for each in results["runs"] for name, about in each["runtimes"].items()}
    yield _table([["runtime", "version", "how it is run"], *([name, about["version"], about["notes"]]
                                                              for name, about in notes.items())])
    left_out = {name: why for each in results["runs"] for name, why in each["left_out"].items()
                if name not in notes}
    for name, why in left_out.items():
        yield _tag("p", html.escape("%s LEFT OUT: %s" % (name, why)), **{"class": "missed"})
    yield _tag("p", HOW % ("medians" if figure == figures.MEDIAN else "the least"), **{"class": "small"})


def _opening(judged):
    """Opening and memory, where each case had processes of its own."""
    rows = [["case", "threads", "runtime", "open and plan", "memory", "by opening", "weights"]]
    for one in judged:
        for name, found in one.runtimes.items():
            if found.get("rss_before_kb"):
                rows.append([str(one.case), str(one.threads), name, table.duration(found["open_ns"]),
                             *table.memory(found),
                             "%.1f MiB" % (one.case.weight_bytes() / 2 ** 20)])
    return [_tag("h2", "Opening a model, and memory"), _table(rows)] if len(rows) > 1 else []


def _planner(results):
    from . import planner
    if not results["planner"]:
        return []
    return [_tag("h2", "What the planner's choices cost"),
            _tag("pre", html.escape("\n".join(planner.lines(results["planner"]))))]


def _plots(judged):
    for isa in sorted({one.isa or "" for one in judged}):
        held = ", all held to %s" % isa if isa else ""
        for threads in sorted({one.threads for one in judged}):
            drawn = plots.roofline(judged, threads, isa)
            if drawn:
                yield _tag("h2", "Against the machine, threads: %d%s" % (threads, held))
                yield _tag("p", ROOFS, **{"class": "small"})
                yield drawn
        for group, title in cases.GROUPS.items():
            drawn = plots.ratios(judged, group, isa)
            if drawn:
                yield _tag("h2", html.escape(title + held))
                yield drawn


def write(results, folder, figure):
    """Answers the path of the page."""
    judged = figures.judge_all(results, figure)
    parts = [_tag("h1", "lstmrun beside other runtimes"), *_about(results, figure), *_plots(judged),
             _tag("h2", "All figures"), _table(list(table.summary_rows(judged))),
             _tag("h2", "Bars"), _tag("pre", html.escape("\n".join(table.missed_lines(judged)))),
             *_opening(judged), *_planner(results)]
    page = PAGE % (STYLE, "\n".join(parts))
    os.makedirs(folder, exist_ok=True)
    path = os.path.join(folder, "index.html")
    with open(path, "w", encoding="utf-8") as file:
        file.write(page)
    return path
