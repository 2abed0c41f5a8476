# SPDX-License-Identifier: MIT
"""Cases: what is timed, as words, the grids they stand in, and the bars that they have to clear.

    TYPE-tSTEPSnITEMScINPUTShUNITS[lLAYERS][b][s]

as in lstmbench; `b`: bidirectional; `s`: live streams, ITEMS of them, each with a state of its own.
"""
import fnmatch
import re
from dataclasses import dataclass

GATES = {"lstm": 4, "gru": 3}
WORD = re.compile(r"(lstm|gru)-t([1-9]\d*)n([1-9]\d*)c([1-9]\d*)h([1-9]\d*)(?:l([1-9]\d*))?(b?)(s?)")
FLOAT = 4


@dataclass(frozen=True)
class Case:
    kind: str
    steps: int
    items: int
    inputs: int
    units: int
    layers: int = 1
    bidirectional: bool = False
    streams: bool = False

    def __str__(self):
        return self.network_of("t%dn%d" % (self.steps, self.items)) + ("s" if self.streams else "")

    def network_of(self, middle):
        layers = "l%d" % self.layers if self.layers > 1 else ""
        return "%s-%sc%dh%d%s%s" % (self.kind, middle, self.inputs, self.units, layers,
                                    "b" if self.bidirectional else "")

    @property
    def network(self):
        """The word of the weights alone: cases that differ in steps and items share them."""
        return self.network_of("")

    @property
    def gates(self):
        return GATES[self.kind]

    @property
    def directions(self):
        return 2 if self.bidirectional else 1

    @property
    def outputs(self):
        return self.directions * self.units

    @property
    def calls(self):
        """How many calls, each going on from the last one's state, are compared with the oracle."""
        return 5 if self.steps == 1 else 1

    def widths(self):
        """Inputs of each layer."""
        return [self.inputs] + [self.outputs] * (self.layers - 1)

    def flops(self):
        """Of one call: two for each weight that is used, activations not counted."""
        row = sum(width + self.units for width in self.widths())
        return 2 * self.gates * self.units * row * self.directions * self.steps * self.items

    def layer_loads(self):
        """For each layer: flops and bytes of weights of the input part of one call, and of the recurrent part
        of one step. With one step both are read together, with more the input part is one product over all of
        them."""
        unit_rows = self.directions * self.gates * self.units
        for width in self.widths():
            yield {"input_flops": 2 * unit_rows * width * self.steps * self.items,
                   "step_flops": 2 * unit_rows * self.units * self.items,
                   "input_bytes": FLOAT * unit_rows * width,
                   "step_bytes": FLOAT * unit_rows * self.units}

    def intensity(self):
        """Flops for each byte of weights that has to be read: those of the input part once a call, the others
        once a step."""
        read = sum(load["input_bytes"] + self.steps * load["step_bytes"] for load in self.layer_loads())
        return self.flops() / read

    def weight_bytes(self):
        return sum(load["input_bytes"] + load["step_bytes"] for load in self.layer_loads())


def parse(word):
    found = WORD.fullmatch(word)
    if not found:
        raise ValueError('"%s" is no case; expected TYPE-tSTEPSnITEMScINPUTShUNITS[lLAYERS][b][s], as '
                         'lstm-t100n1c40h64 or, for live streams, lstm-t1n64c64h64s' % word)
    kind, steps, items, inputs, units, layers, both, streams = found.groups()
    case = Case(kind, int(steps), int(items), int(inputs), int(units), int(layers or 1), bool(both),
                bool(streams))
    if case.steps == 1 and case.bidirectional:
        raise ValueError('"%s": one step at a time cannot go in both directions' % word)
    if case.streams and case.steps != 1:
        raise ValueError('"%s": live streams take one step a call (t1)' % word)
    return case


# ---- bars --------------------------------------------------------------------------------------------------
#
# A bar is (kind, number): "peer": the best peer's time over ours, at least; a runtime's name: the same with
# that one; "cycles": cycles a step, at most; "own": our time with one thread over that with these threads, at
# least; "peak": share of the fma peak, at least; "read": share of the read bandwidth, at least; "cpu": the
# leanest peer's CPU time over ours, at least.

# What timing alone may move: two runs of the same program differ by this much.
NOISE = 0.03


@dataclass(frozen=True)
class Row:
    """A case in a group, with its bars for each number of threads."""
    case: Case
    group: str
    bars: dict

    def bars_for(self, threads, isa=None):
        """Where all are held to an instruction set, shares of the machine's limits stay, and no peer may be
        ahead."""
        bars = self.bars.get(threads, ())
        if not isa:
            return bars
        return (("peer", 1.0), *((kind, bar) for kind, bar in bars if kind in ("own", "peak", "read", "cpu")))


GROUPS = {
    "audio": "One frame at a time, one input (audio)",
    "frame": "One frame at a time",
    "sequence": "A whole sequence of 100 steps",
    "batch": "A batch",
    "deep": "Deep models",
    "live": "Live streams, a state each, one new frame each per call",
    "never-behind": "Never behind any peer",
}

# The geometric mean over a whole group, for each number of threads.
GROUP_BARS = {"batch": 1.2}

AUDIO = {8: 180, 16: 250, 20: 280, 32: 370, 40: 540, 64: 1400}
AUDIO_ONEDNN = {16: 12.0, 40: 9.0}
FRAME = {(40, 64): (3.0, 1.0), (128, 128): (1.7, 2.0), (256, 256): (2.0, 1.7), (512, 512): (1.25, 1.6),
         (1024, 1024): (1.05, 1.15)}
SEQUENCE = {(40, 64): (1.8, 2.0), (128, 128): (1.5, 2.4), (256, 256): (1.5, 1.9), (512, 512): (1.55, 1.9),
            (1024, 1024): (1.1, 1.25), (2048, 2048): (1.05, 1.05)}
DEEP = {"lstm-t500n1c60h128l4b": (1.45, 2.5), "lstm-t500n16c60h128l4b": (1.2, 1.4),
        "lstm-t160n1c40h256l3": (1.5, 1.9), "lstm-t160n32c40h256l3": (1.1, 1.15)}
NEVER_BEHIND = (["lstm-t%dn1c%dh%d" % (t, h, h) for h in (12, 24, 33, 100, 300) for t in (1, 100)] +
                ["gru-t%dn%dc%dh%d" % (t, n, h, h) for h in (128, 256)
                 for t, n in ((1, 1), (100, 1), (50, 32))] +
                ["lstm-t1n1c512h32", "lstm-t100n1c512h32", "lstm-t100n1c1h128"])


def _row(word, group, one, two, common=()):
    always = (*common, ("cpu", 1.0))
    return Row(parse(word), group, {1: (*one, *always), 2: (*two, *always)})


def _audio():
    for units, cycles in AUDIO.items():
        one = [("cycles", cycles), ("peer", 1.0)]
        if units in AUDIO_ONEDNN:
            one.append(("onednn", AUDIO_ONEDNN[units]))
        yield _row("lstm-t1n1c1h%d" % units, "audio", one, [("own", 1.0), ("peer", 1.0)])


def _peer_rows(group, word, bars, common=()):
    for (inputs, units), (one, two) in bars.items():
        yield _row(word % (inputs, units), group, [("peer", one)], [("peer", two)], common)


def _batch():
    for units in (128, 256, 512, 1024):
        for items in (8, 32, 64, 256):
            ratio = ("peer", 1.4 if items == 8 and units >= 512 else 1.1)
            common = [("peak", 0.8)] if units >= 256 and items >= 32 else []
            word = "lstm-t%dn%dc%dh%d" % (25 if units == 1024 else 50, items, units, units)
            yield _row(word, "batch", [ratio], [ratio], common)


def _all_rows():
    yield from _audio()
    yield from _peer_rows("frame", "lstm-t1n1c%dh%d", FRAME, [("read", 0.9)])
    yield from _peer_rows("sequence", "lstm-t100n1c%dh%d", SEQUENCE, [("read", 0.9)])
    yield from _batch()
    for word, (one, two) in DEEP.items():
        common = [("read", 0.9)] if parse(word).items == 1 else []
        yield _row(word, "deep", [("peer", one)], [("peer", two)], common)
    for items in (8, 64, 512):
        for units in (64, 128, 256):
            yield _row("lstm-t1n%dc%dh%ds" % (items, units, units), "live", [("peer", 1.5)], [("peer", 1.5)])
    for word in NEVER_BEHIND:
        yield _row(word, "never-behind", [("peer", 1.0)], [("peer", 1.0)])


ROWS = {str(row.case): row for row in _all_rows()}

QUICK = ["lstm-t1n1c1h16", "lstm-t1n1c128h128", "lstm-t100n1c40h64", "lstm-t100n1c256h256",
         "lstm-t50n32c256h256", "lstm-t1n64c64h64s", "gru-t100n1c128h128"]

# Beyond the bars: sizes in between, so that no gap hides a bad choice.
FULL = (["%s-t%dn%dc%dh%d" % (kind, t, n, h, h) for kind in ("lstm", "gru")
         for h in (16, 48, 96, 192, 384, 768)
         for t, n in ((1, 1), (100, 1), (50, 4), (50, 16), (50, 128))] +
        ["lstm-t1n%dc%dh%d" % (n, h, h) for h in (64, 256, 1024) for n in (8, 64)] +
        ["lstm-t%dn%dc40h64b" % (t, n) for t in (100, 500) for n in (1, 16)])

GRIDS = {"quick": QUICK, "bars": list(ROWS), "full": list(dict.fromkeys([*ROWS, *FULL]))}


def row_of(case):
    """The case's row; one that no bar is set for has only those that hold everywhere."""
    found = ROWS.get(str(case))
    bars = (("peer", 1.0), ("cpu", 1.0))
    return found or Row(case, "never-behind", {1: bars, 2: bars})


def select(grid, words):
    """Cases of a grid, or those that `words` name: whole words, or patterns with * and ? over all that are
    known."""
    if not words:
        return [parse(word) for word in GRIDS[grid]]
    chosen = []
    for word in words:
        if WORD.fullmatch(word):
            chosen.append(word)
            continue
        found = [name for name in GRIDS["full"] if fnmatch.fnmatchcase(name, word)]
        if word in GROUPS:
            found = [name for name, row in ROWS.items() if row.group == word]
        if not found:
            parse(word)
        chosen += found
    return [parse(word) for word in dict.fromkeys(chosen)]
