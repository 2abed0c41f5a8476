# SPDX-License-Identifier: MIT
"""A Keras file through lstmconvert, for tests that need no Keras."""
import os
import subprocess

CONVERT = os.path.join(os.environ.get("LSTMRUN_BUILD", "build"), "tools", "lstmconvert")


class Refused(Exception):
    pass


def convert(path, spec=None, out=None):
    """The model file's path and the notes; Refused with the sentence otherwise."""
    out = out or os.path.splitext(path)[0] + ".bin"
    command = [CONVERT, path, "-o", out] + (["--spec", spec] if spec else [])
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode == 1:
        raise Refused(done.stderr.strip())
    assert done.returncode == 0, (done.returncode, done.stderr)
    return out, done.stderr
