# SPDX-License-Identifier: MIT
"""ONNX's own node tests for LSTM, GRU and RNN: every input but X is bound as a weight of the file, every
output is compared; the final cell state with what is in the stream."""
import tempfile
import warnings

from onnx_common import Score, compare, convert, np, onnx

import lstmrun
from onnx import numpy_helper

PREFIXES = ("test_lstm_", "test_gru_", "test_rnn_", "test_simple_rnn_")
N_CASES = 18  # in ONNX 1.16 to 1.23; later ones may have more


def collect():
    from onnx.backend.test.case.node import collect_testcases
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return [case for case in collect_testcases(None) if case.name.startswith(PREFIXES)]


def bind(case):
    """The case's model with all inputs but the first as initialisers; its inputs and outputs."""
    inputs, outputs = case.data_sets[0]
    model = onnx.ModelProto()
    model.CopyFrom(case.model)
    for value, array in list(zip(case.model.graph.input, inputs))[1:]:
        model.graph.initializer.append(numpy_helper.from_array(np.asarray(array), value.name))
        model.graph.input.remove(next(item for item in model.graph.input if item.name == value.name))
    return model, inputs, dict(zip([item.name for item in model.graph.output], outputs))


def layout_of(model):
    return next((item.i for item in model.graph.node[0].attribute if item.name == "layout"), 0)


def run_output(model, name, x):
    """[batch][steps or 1][size], and the final states of each item."""
    with tempfile.TemporaryDirectory() as folder:
        path, _ = convert(model, folder, '{"output": "%s"}' % name)
        outputs, states = lstmrun.Model(path).plan().run(list(x))
    return np.stack(outputs), states


def check_case(name, case):
    model, inputs, wanted = bind(case)
    batch_first = layout_of(model) == 1
    x = np.asarray(inputs[0]) if batch_first else np.swapaxes(inputs[0], 0, 1)  # [batch][steps][features]
    worst = 0.0
    names = [output for output in wanted if output != "Y_c"] or list(wanted)
    for output in names:
        got, states = run_output(model, output, x)
        reference = np.asarray(wanted[output])
        if output == "Y" and not batch_first:  # [steps][directions][batch][units]
            reference = reference.transpose(2, 0, 1, 3)
        elif output == "Y_h" and not batch_first:  # [directions][batch][units]
            reference = reference.transpose(1, 0, 2)
        worst = max(worst, compare(f"{name} {output}", got, reference))
    if "Y_c" in wanted:
        cells = np.stack([np.stack([item[key] for key in item if key[2] == "c"]) for item in states])
        reference = np.asarray(wanted["Y_c"])
        worst = max(worst, compare(f"{name} Y_c", cells,
                                   reference if batch_first else reference.transpose(1, 0, 2)))
    return worst, None


def main():
    score = Score()
    cases = collect()
    for case in cases:
        score.case(case.name, check_case, case)
    if len(cases) < N_CASES:
        print(f"FAILED: {len(cases)} cases were found, {N_CASES} are known")
        score.failed += 1
    score.finish()


if __name__ == "__main__":
    main()
