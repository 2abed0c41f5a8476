# SPDX-License-Identifier: MIT
"""bench/compare: lstmrun and other runtimes, side by side in one run.

One file, one noun. What a word like `lstm-t100n1c40h64` means, and which bars it has to clear, is in
cases.py; the lines that the worker programs of bench/peers are spoken to in, in workers.py.
"""
