#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Make amp.nam: train a small LSTM on a synthetic valve amplifier. Needs PyTorch and NumPy; some minutes.

The amplifier is the function `amplifier` below: asymmetric soft clipping whose drive sags while the signal is
loud, and a low pass behind it. Nothing recorded is used; the result is released as CC0.
"""
import json
import pathlib
import sys

import numpy as np
import torch
from torch import nn

RATE, HIDDEN = 48000, 8
WINDOW, PASSES, ITEMS = 1024, int(sys.argv[1]) if len(sys.argv) > 1 else 40, 48
HERE = pathlib.Path(__file__).resolve().parent


def strings(rng, items, seconds):
    """Plucked notes of random pitch, loudness and damping: [items][samples]."""
    t = np.arange(int(seconds * RATE)) / RATE
    out = np.zeros((items, len(t)))
    for item in out:
        for start in np.sort(rng.uniform(0, seconds, rng.integers(2, 6))):
            pitch, level, decay = rng.uniform(80, 700), 10 ** rng.uniform(-1.5, -0.1), rng.uniform(0.15, 1.5)
            after = t[t >= start] - start
            for k in range(1, 12):
                if k * pitch < 8000:
                    item[t >= start] += (level * rng.uniform(0.4, 1) / k * np.exp(-after * (1 + 0.6 * k) / decay)
                                         * np.sin(2 * np.pi * k * pitch * after + rng.uniform(0, 6)))
    return np.clip(out, -1, 1)


def amplifier(x):
    """[items][samples] in and out, sample by sample."""
    y = np.zeros_like(x)
    loud, smooth = np.zeros(len(x)), np.zeros(len(x))
    attack, release = 1 / (0.004 * RATE), 1 / (0.06 * RATE)
    for t in range(x.shape[1]):
        size = np.abs(x[:, t])
        loud += (size - loud) * np.where(size > loud, attack, release)
        drive = 8 / (1 + 4 * loud)
        bent = np.tanh(drive * x[:, t] + 0.3) - np.tanh(0.3)
        smooth += 0.45 * (bent - smooth)
        y[:, t] = 0.6 * smooth
    return y


class Network(nn.Module):
    def __init__(self):
        super().__init__()
        self.core = nn.LSTM(1, HIDDEN, batch_first=True)
        self.head = nn.Linear(HIDDEN, 1)

    def forward(self, x, state=None):
        y, state = self.core(x, state)
        return self.head(y), state


def error_to_signal(y, truth):
    return ((y - truth) ** 2).sum() / (truth ** 2).sum()


def held_out(network, x, y):
    with torch.no_grad():
        return float(error_to_signal(network(x)[0][:, RATE // 10:], y[:, RATE // 10:]))


def train(network, x, y, check):
    steps = PASSES * (x.shape[1] // WINDOW)
    optimiser = torch.optim.Adam(network.parameters(), lr=1e-2)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, 1.2e-2, total_steps=steps)
    best, kept = np.inf, None
    for number in range(PASSES):
        state = None
        order = torch.randperm(len(x))
        for start in range(0, x.shape[1] - WINDOW + 1, WINDOW):
            piece = slice(start, start + WINDOW)
            out, state = network(x[order, piece], state)
            loss = error_to_signal(out, y[order, piece])
            optimiser.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(network.parameters(), 1.0)
            optimiser.step()
            schedule.step()
            state = tuple(part.detach() for part in state)
        now = held_out(network, *check)
        if now < best:
            best, kept = now, {name: part.clone() for name, part in network.state_dict().items()}
        print("pass %2d: error to signal %.4f held out" % (number, now), flush=True)
    network.load_state_dict(kept)
    return best


def document(network, esr):
    """The weights as the Neural Amp Modeler's files have them, with the state that silence leads to."""
    with torch.no_grad():
        _, (h, c) = network(torch.zeros(1, RATE, 1))
        core = network.core
        joined = torch.cat([core.weight_ih_l0, core.weight_hh_l0], 1)
        parts = [joined, core.bias_ih_l0 + core.bias_hh_l0, h, c, network.head.weight, network.head.bias]
    weights = [float("%.9g" % x) for part in parts for x in part.flatten().tolist()]
    return {"version": "0.5.4", "architecture": "LSTM",
            "config": {"input_size": 1, "hidden_size": HIDDEN, "num_layers": 1},
            "metadata": {"name": "Synthetic valve amplifier", "modeled_by": "examples/amp/train.py",
                         "license": "CC0-1.0", "gear_type": "amp", "tone_type": "crunch",
                         "training": {"validation_esr": round(esr, 5)}},
            "weights": weights, "sample_rate": RATE}


def main():
    torch.manual_seed(3)
    rng = np.random.default_rng(3)
    clean, unseen = strings(rng, ITEMS, 1.0), strings(rng, 8, 1.5)
    pairs = [[torch.tensor(part, dtype=torch.float32)[..., None] for part in (x, amplifier(x))]
             for x in (clean, unseen)]
    network = Network()
    esr = train(network, *pairs[0], pairs[1])
    text = json.dumps(document(network, esr), indent=1).replace(",\n  ", ", ")
    (HERE / "amp.nam").write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
