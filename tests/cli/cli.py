#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""`cli.py LSTMRUN [WORD …]`: what the command prints, writes and answers, as "ok"/"not ok" lines.

With WORDs, only the tests whose function names contain one of them.
"""

import pathlib
import sys

import harness
import bad_input  # noqa: F401  (each adds its tests)
import drawing  # noqa: F401
import results  # noqa: F401
import speech  # noqa: F401
import streaming  # noqa: F401


if __name__ == "__main__":
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    sys.exit(harness.run_all(pathlib.Path(sys.argv[1]).resolve(), sys.argv[2:]))
