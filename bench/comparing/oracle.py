# SPDX-License-Identifier: MIT
"""What the outputs of a case have to be, in double precision.

    f = σ(W_f x + R_f h + b_f)   i, o alike   g = tanh(W_g x + R_g h + b_g)   c = f c + i g   h = o tanh(c)
    r = σ(W_r x + R_r h + b_r)   z alike      n = tanh(W_n x + b_n + r (R_n h + b_hn))   h = (1 - z) n + z h
"""
import numpy as np


def logistic(x):
    return 0.5 * (1 + np.tanh(0.5 * x))


def lstm_step(x_part, h_part, state, _arrays):
    i, f, g, o = x_part + h_part
    c = logistic(f) * state[1] + logistic(i) * np.tanh(g)
    return logistic(o) * np.tanh(c), c


def gru_step(x_part, h_part, state, arrays):
    r, z = logistic(x_part[:2] + h_part[:2])
    n = np.tanh(x_part[2] + r * (h_part[2] + arrays["b_hn"]))
    return (1 - z) * n + z * state[0], None


STEPS = {"lstm": lstm_step, "gru": gru_step}


def _direction(kind, x, arrays, state, backwards):
    """Outputs [T][B][H] and the last state, from x [T][B][I] and the state (h, c), each [B][H]."""
    arrays = {name: array.astype(np.float64) for name, array in arrays.items()}
    gates, units = arrays["b"].shape
    x_parts = x @ arrays["W"].reshape(gates * units, -1).T + arrays["b"].ravel()
    recurrent = np.ascontiguousarray(arrays["R"].reshape(gates * units, units).T)
    outputs = np.empty(x.shape[:2] + (units,))
    steps = range(len(x))

    def split(rows):
        return rows.reshape(-1, gates, units).transpose(1, 0, 2)

    for t in reversed(steps) if backwards else steps:
        state = STEPS[kind](split(x_parts[t]), split(state[0] @ recurrent), state, arrays)
        outputs[t] = state[0]
    return outputs, state


def first_states(case):
    zeros = np.zeros((case.items, case.units))
    return [[(zeros, zeros) for _ in range(case.directions)] for _ in range(case.layers)]


def run_call(case, weights, x, states):
    """One call: x [B][T][I]; answers y [B][T][D*H] and the states to go on from."""
    x, after = x.astype(np.float64).transpose(1, 0, 2), []
    for layer, layer_states in zip(weights, states):
        done = [_direction(case.kind, x, arrays, state, direction == 1)
                for direction, (arrays, state) in enumerate(zip(layer, layer_states))]
        x = np.concatenate([outputs for outputs, _ in done], axis=2)
        after.append([state for _, state in done])
    return x.transpose(1, 0, 2), after


def run(case, weights, inputs):
    """Outputs [calls][B][T][D*H] of consecutive calls, the first from zero states."""
    states, outputs = first_states(case), []
    for x in inputs:
        y, states = run_call(case, weights, x, states)
        outputs.append(y)
    return np.stack(outputs)


def error_of(outputs, expected):
    """The largest absolute error; infinite where there is a NaN or not everything is there."""
    if outputs.size != expected.size:
        return float("inf")
    worst = float(np.max(np.abs(outputs.reshape(expected.shape) - expected)))
    return worst if np.isfinite(worst) else float("inf")
