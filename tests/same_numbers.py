#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""`same_numbers.py A.csv B.csv`: the same float32 values in the same rows? Says where not, and exits 1."""

import struct
import sys


def rows(path):
    with open(path, encoding="utf-8") as file:
        return [[struct.pack("<f", float(field)) for field in line.split(",")] for line in file if line.strip()]


def main(a_path, b_path):
    a, b = rows(a_path), rows(b_path)
    if len(a) != len(b):
        return f"{a_path} has {len(a)} rows, {b_path} {len(b)}"
    for number, (left, right) in enumerate(zip(a, b), 1):
        if left != right:
            return f"row {number} of {a_path} and {b_path} differ"
    return None


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
