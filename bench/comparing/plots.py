# SPDX-License-Identifier: MIT
"""The plots of the report, as SVG."""
import io
import math
import re

from . import cases, figures

# Okabe and Ito's colours, told apart by all eyes.
COLOURS = dict(zip(cases.GROUPS, (
    "#E69F00", "#56B4E9", "#009E73", "#0072B2", "#D55E00", "#CC79A7", "#777777")))
LABELLED = 16


def _pyplot():
    import matplotlib
    matplotlib.use("svg")
    from matplotlib import pyplot
    matplotlib.rcParams.update({"svg.fonttype": "none", "font.size": 9, "font.family": "sans-serif",
                                "axes.spines.top": False, "axes.spines.right": False,
                                "svg.hashsalt": "compare"})
    return pyplot


def _svg(pyplot, figure):
    """The element alone, without what goes before it in a file."""
    text = io.StringIO()
    figure.savefig(text, format="svg", bbox_inches="tight", metadata={"Date": None})
    pyplot.close(figure)
    return re.sub(r"^.*?(?=<svg)", "", text.getvalue(), flags=re.DOTALL)


# ---- roofline ----------------------------------------------------------------------------------------------

def _draw_roofs(axes, limits, isa, threads):
    (left, right), (bottom, _) = axes.get_xlim(), axes.get_ylim()
    peak = figures.peak_gflops(limits, isa, threads)
    levels = limits.get("levels_two") if threads == 2 else None
    for name, gbs in (levels or {level: gbs * threads for level, gbs in limits["levels"].items()}).items():
        start = max(left, bottom / gbs)
        axes.plot([start, peak / gbs], [start * gbs, peak], color="#bbbbbb", linewidth=1, zorder=1)
        axes.annotate("%s %.0f GB/s" % (name, gbs), (1.1 * start, 1.1 * start * gbs), color="#666666",
                      fontsize=7, verticalalignment="bottom")
    axes.plot([left, right], [peak, peak], color="#888888", linewidth=1.2, zorder=1)
    axes.annotate("fma peak %.0f GFLOP/s" % peak, (right, peak), color="#666666", fontsize=8,
                  horizontalalignment="right", verticalalignment="bottom")


def _side_by_side(judged):
    """Where to draw each: its intensity, but beside those that have nearly the same."""
    places = []
    for one in judged:
        x = one.case.intensity()
        while any(abs(math.log(x / other)) < 0.04 for other in places):
            x *= 1.045
        places.append(x)
    return places


def _draw_points(axes, judged):
    for one, x in zip(judged, _side_by_side(judged)):
        colour = COLOURS[one.row.group]
        ys = [one.gflops()] + ([one.gflops(one.best)] if one.best else [])
        axes.plot([x] * len(ys), ys, color=colour, linewidth=0.8, alpha=0.6, zorder=2)
        axes.plot(x, ys[0], "o", color=colour, markersize=5, zorder=4)
        if one.best:
            axes.plot(x, ys[1], "o", markerfacecolor="white", markeredgecolor=colour, markersize=4, zorder=3)
        if len(judged) <= LABELLED:
            axes.annotate(str(one.case), (x, ys[0]), fontsize=6, xytext=(4, 3), textcoords="offset points")


def roofline(judged, threads, isa):
    """Filled: ours; hollow: the best peer. None where there is nothing to draw."""
    judged = [one for one in judged
              if one.threads == threads and (one.isa or "") == isa and one.ours and one.limits]
    if not judged:
        return None
    pyplot = _pyplot()
    from matplotlib.ticker import LogLocator
    figure, axes = pyplot.subplots(figsize=(8.5, 5))
    xs = [one.case.intensity() for one in judged]
    ys = [one.gflops(name) for one in judged for name in (figures.OURS, one.best or figures.OURS)]
    axes.set(xscale="log", yscale="log", xlim=(min(xs) / 4, 3 * max(*xs, 50)),
             ylim=(min(ys) / 1.6, 2 * max(ys)),
             xlabel="flops for each byte of weights that has to be read", ylabel="GFLOP/s")
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axis.set_major_formatter("{x:g}")
        axis.set_minor_formatter("")
    _draw_roofs(axes, judged[0].limits, isa or None, threads)
    _draw_points(axes, judged)
    for group in dict.fromkeys(one.row.group for one in judged):
        axes.plot([], [], "o", color=COLOURS[group], label=cases.GROUPS[group])
    axes.legend(fontsize=7, frameon=False, loc="lower right")
    return _svg(pyplot, figure)


# ---- ratios ------------------------------------------------------------------------------------------------

def _bar_of(one):
    return next((bar for kind, bar in one.row.bars_for(one.threads, one.isa) if kind == "peer"), None)


def ratios(judged, group, isa):
    """A bar for each case and number of threads; a tick where it has to reach to."""
    judged = [one for one in judged if one.row.group == group and (one.isa or "") == isa and one.ratio]
    if not judged:
        return None
    pyplot = _pyplot()
    words = list(dict.fromkeys(str(one.case) for one in judged))
    counts = sorted({one.threads for one in judged})
    height = 0.8 / len(counts)
    figure, axes = pyplot.subplots(figsize=(8.5, 0.6 + 0.24 * len(words) * len(counts)))
    for one in judged:
        y = words.index(str(one.case)) + (counts.index(one.threads) - (len(counts) - 1) / 2) * height
        bar = _bar_of(one)
        axes.barh(y, one.ratio, height * 0.9, color=COLOURS[group],
                  alpha=1 if one.threads == counts[0] else 0.55)
        if bar:
            axes.plot([bar, bar], [y - height * 0.45, y + height * 0.45], color="black", linewidth=1.5)
        axes.annotate("%.2f  %s" % (one.ratio, one.best), (max(one.ratio, bar or 0), y), fontsize=7,
                      xytext=(4, 0), textcoords="offset points", verticalalignment="center")
    for threads in counts:
        axes.barh([0], [0], color=COLOURS[group], alpha=1 if threads == counts[0] else 0.55,
                  label="%d thread%s" % (threads, "s" if threads > 1 else ""))
    axes.axvline(1, color="#888888", linewidth=0.8)
    axes.set(yticks=range(len(words)), yticklabels=words,
             xlim=(0, 1.3 * max(max(one.ratio, _bar_of(one) or 0) for one in judged)),
             xlabel="best peer's time over ours; black tick: the bar")
    axes.invert_yaxis()
    axes.legend(fontsize=7, frameon=False, loc="best")
    return _svg(pyplot, figure)
