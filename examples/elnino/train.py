#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Train the El Nino example: sea surface temperature, the next three months from all months so far.

    python3 train.py            writes elnino.safetensors, heldout.csv and heldout.npz here

Needs PyTorch, NumPy and safetensors; about a minute on one core. Everything is seeded, so the same
PyTorch on the same kind of machine gives the same files. The series is elnino.csv (see README.md).
"""

import copy
import csv
import pathlib

import numpy as np
import torch
from safetensors.torch import save_file

HERE = pathlib.Path(__file__).resolve().parent
FIRST_YEAR = 1950
FIRST_VALIDATION = (1988 - FIRST_YEAR) * 12
FIRST_HELDOUT = (1996 - FIRST_YEAR) * 12  # from here on nothing is looked at while training
WARM_UP = 12  # months a forecast may look at before it counts
HORIZONS = 3
HIDDEN = 24
EPOCHS = 600
BATCH, PIECE, NOISE = 16, 72, 0.05
SEEDS = range(4)


class Forecast(torch.nn.Module):
    """Degrees Celsius in, degrees Celsius out: one month a step, the next three months from each."""

    def __init__(self, mean, std):
        super().__init__()
        self.mean, self.std = mean, std
        self.lstm = torch.nn.LSTM(1, HIDDEN, num_layers=2, batch_first=True)
        self.fc = torch.nn.Linear(HIDDEN, HORIZONS)
        with torch.no_grad():
            self.fc.weight.mul_(std)
            self.fc.bias.fill_(mean)

    def forward(self, x):
        return self.fc(self.lstm((x - self.mean) / self.std)[0])


def read_series():
    with open(HERE / "elnino.csv", newline="") as file:
        rows = list(csv.reader(file))[1:]
    assert int(rows[0][0]) == FIRST_YEAR
    return np.array([float(value) for row in rows for value in row[1:]], dtype=np.float32)


def targets_of(series):
    """[months - HORIZONS][HORIZONS]: row t holds the months after month t."""
    months = len(series) - HORIZONS
    return np.stack([series[1 + k : 1 + k + months] for k in range(HORIZONS)], axis=1)


def train_one(seed, series, mean, std):
    """Train on random pieces of the training years; keep the weights that did best on validation."""
    torch.manual_seed(seed)
    model = Forecast(mean, std)
    optimiser = torch.optim.AdamW(model.parameters(), lr=1e-2, weight_decay=1e-2)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, EPOCHS)
    series, targets = torch.from_numpy(series), torch.from_numpy(targets_of(series))
    validation = slice(FIRST_VALIDATION - WARM_UP, FIRST_HELDOUT - HORIZONS)
    best_error, best_weights = float("inf"), None
    for epoch in range(EPOCHS):
        starts = torch.randint(0, FIRST_VALIDATION - HORIZONS - PIECE + 1, (BATCH,))
        months = starts[:, None] + torch.arange(PIECE)
        inputs = series[months][..., None]
        forecast = model(inputs + NOISE * torch.randn_like(inputs))
        loss = torch.nn.functional.mse_loss(forecast[:, WARM_UP:], targets[months][:, WARM_UP:])
        optimiser.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimiser.step()
        schedule.step()
        if epoch % 10:
            continue
        with torch.no_grad():
            forecast = model(series[None, validation, None])[0]
            error = torch.nn.functional.mse_loss(forecast[WARM_UP:], targets[validation][WARM_UP:]).item()
        if error < best_error:
            best_error, best_weights = error, copy.deepcopy(model.state_dict())
    model.load_state_dict(best_weights)
    return best_error, model


def main():
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)
    series = read_series()
    known = series[:FIRST_HELDOUT]
    mean = round(float(series[:FIRST_VALIDATION].mean()), 2)
    std = round(float(series[:FIRST_VALIDATION].std()), 2)

    best_error, model = float("inf"), None
    for seed in SEEDS:
        error, candidate = train_one(seed, known, mean, std)
        print(f"seed {seed}: validation RMSE {error ** 0.5:.3f} degrees")
        if error < best_error:
            best_error, model = error, candidate

    heldout = series[FIRST_HELDOUT:, None]
    with torch.no_grad():
        forecast = model(torch.from_numpy(heldout)[None])[0].numpy()
    save_file(model.state_dict(), HERE / "elnino.safetensors")
    np.savetxt(HERE / "heldout.csv", heldout, fmt="%.2f")
    assert (np.loadtxt(HERE / "heldout.csv", dtype=np.float32) == heldout[:, 0]).all()
    np.savez(HERE / "heldout.npz", input=heldout, output=forecast)
    print(f"normalisation for elnino.json: mean {mean}, standard deviation {std}")


if __name__ == "__main__":
    main()
