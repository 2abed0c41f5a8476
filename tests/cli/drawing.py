# SPDX-License-Identifier: MIT
"""The graph that --info draws."""

import os
import pty
import subprocess

import model_file
import models
from harness import check, equal, test


def drawn(text):
    """The lines of the drawing."""
    return text.split("\ngraph\n", 1)[1].split("\nmetadata")[0].rstrip("\n").splitlines()


def branches():
    """Values that skip layers, cross each other, are read twice, and an output that is not the last layer's."""
    model = model_file.Model(input=[2])
    one = [model.tensor([1.0, 1.0], name="ones"), None]
    a = model.layer("scale", [0], shape=[2], tensors=one, name="a")
    b = model.layer("scale", [0], shape=[2], tensors=one, name="b")
    c = model.layer("add", [a, 0], shape=[2], name="c")
    d = model.layer("mul", [b, b], shape=[2], name="d")
    e = model.layer("concat", [c, d], shape=[4], name="e")
    model.layer("softmax", [e], shape=[4], name="unused")
    model.output = e
    return model.bytes()


EXPECTED = """\
  ● input
  │ [2]
  ├─╮
  │ ● 0 scale 'a'
  │ │ [2]
  ├─│─╮
  │ │ ● 1 scale 'b'
  │ │ │ [2]
  ├─╯ │
  ●   │ 2 add 'c'
  │   │ [2]
  │   ● 3 mul 'd'
  │   │ [2]
  ├───╯
  ●     4 concat 'e', axis 0
  │ [4]
  ├─╮
  │ ● 5 softmax 'unused'
  │ [4]
  ● output"""


def to_ascii(text):
    return text.translate(str.maketrans("●│─├╮╯", "*|-+++"))


@test
def graph(place):
    """--info draws the graph, in ASCII where no terminal is"""
    place.write("g.bin", branches())
    found = drawn(place.run("g.bin", "--info").out.decode())
    equal(found, to_ascii(EXPECTED).splitlines(), "the drawing")


@test
def graph_terminal(place):
    """--info draws with box characters on a terminal of UTF-8, and only there"""
    place.write("g.bin", branches())
    for locale, expected in (("C.UTF-8", EXPECTED), ("C", to_ascii(EXPECTED))):
        ours, theirs = pty.openpty()
        subprocess.run(place.command("g.bin", "--info"), stdout=theirs, cwd=place.folder, check=True, timeout=60,
                       env={**os.environ, "LC_ALL": locale})
        os.close(theirs)
        text = b""
        try:
            while True:
                text += os.read(ours, 65536)
        except OSError:  # the end, as a terminal has it
            os.close(ours)
        equal(drawn(text.decode().replace("\r\n", "\n")), expected.splitlines(), locale)


@test
def graph_wide(place):
    """--info gives up on a graph that is too wide, and says so"""
    model = model_file.Model(input=[1])
    one = model.tensor([1.0], name="one")
    values = [model.layer("scale", [0], shape=[1], tensors=[one, None]) for _ in range(40)]
    model.layer("concat", values, shape=[40])
    place.write("wide.bin", model.bytes())
    out = place.run("wide.bin", "--info").out.decode()
    check("more than 24 values at once, too wide to draw" in out, out)


@test
def normalised(place):
    """--info says that the input is normalised, and shows metadata"""
    place.write("g.bin", branches())
    check("normalised  layer 0: x * scale + shift" in place.run("g.bin", "--info").out.decode(), "normalised")
    place.write("m.bin", models.lstm(metadata={"sample_rate": "48000", "loudness_db": "-18", "source_sha256": "ab" * 32,
                                               "converter": "lstmconvert 0.1.0", "prewarm_steps": "24000"})[0])
    out = place.run("m.bin", "--info").out.decode()
    check("normalised" not in out, out)
    for line in ("  sample_rate      48000", "  loudness_db      -18", "  source_sha256    " + "ab" * 32,
                 "  converter        lstmconvert 0.1.0", "  prewarm_steps    24000"):
        check(line + "\n" in out, "expected %r in %s" % (line, out))
