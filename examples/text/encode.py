#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""A sentence as the numbers that the model reads, one a line: python3 encode.py "Where is the station?" >words.csv

No packages needed. 0 stands for nothing (the model's Embedding masks it), 1 to 27 for a to z and space, the
numbers after that for letters with marks, the last for everything else."""
import sys

LETTERS = "abcdefghijklmnopqrstuvwxyz äöüßáéíóúñàâçèêëîïôùûœ'"
NUMBERS = {letter: number for number, letter in enumerate(LETTERS, 1)}
OTHER = len(LETTERS) + 1
SIZE = OTHER + 1


def encode(text):
    return [NUMBERS.get(letter, OTHER) for letter in text.lower()]


if __name__ == "__main__":
    print("\n".join(str(number) for number in encode(" ".join(sys.argv[1:]))))
