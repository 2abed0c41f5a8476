#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
#
# Fits the polynomials of act_tmpl.h and prints their coefficients as C floats with the
# error left in units of 2^-24. Needs numpy. Run by hand; nothing in the build calls it.
import math

import numpy as np

UNIT = 2.0**-24


def minimax(columns, target, weight, rounds=400):
    """Least squares reweighted towards the largest error (Lawson): the minimax fit."""
    importance = np.ones_like(target)
    best = None, math.inf
    for _ in range(rounds):
        scale = (np.sqrt(importance) * weight)[:, None]
        c = np.linalg.lstsq(columns * scale, target * scale[:, 0], rcond=None)[0]
        error = np.abs((columns @ c - target) * weight)
        if error.max() < best[1]:
            best = c, error.max()
        importance *= error / error.max() + 1e-3
        importance /= importance.mean()
    return best


def series(x, first, terms):
    return sum(first(k) * x**k for k in range(terms))


def report(name, coefficients, error):
    print(f"{name}: relative error {error / UNIT:.4f} units")
    for c in coefficients:
        print("   ", float(np.float32(c)).hex())


# expm1(f) = f + f^2/2 + f^3 · P(f) for |f| ≤ ln(2)/2; weighted relative to expm1(f).
f = np.linspace(-1, 1, 40001) * math.log(2) / 2 * 1.0002
rest = series(f, lambda k: 1 / math.factorial(k + 3), 16)
weight = f**2 * np.abs(f / np.expm1(np.where(f == 0, 1e-9, f)))
report("c3 to c7 of expm1", *minimax(np.vander(f, 5, increasing=True), rest, weight))

# log1p(e) = 2w + 2w^3 · R(w^2) with w = e/(2 + e), 0 ≤ e ≤ 1, so w ≤ 1/3. The code
# works with t = 2w, which halves the exponents: coefficient k is divided by 4^(k + 1).
w2 = np.linspace(0, 1 / 9, 20001)
rest = series(w2, lambda k: 1 / (2 * k + 3), 25)
c, error = minimax(np.vander(w2, 4, increasing=True), rest, w2 / (1 + w2 * rest), 500)
report("R of log1p", c / 4.0 ** np.arange(1, 5), error)
