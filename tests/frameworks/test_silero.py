# SPDX-License-Identifier: MIT
"""Silero VAD, every ONNX variant of its package: the probabilities of ONNX Runtime on the same audio,
speech and silence, state carried for minutes; and the time of a frame in both, one thread.

Recordings come from Debian's alsa-utils and pocketsphinx-testdata; without them the suite is skipped."""
import ctypes
import glob
import os
import sys
import tempfile
import time

from onnx_common import Score, convert, np, ort

import lstmrun
import packages

try:
    from scipy.io import wavfile
    from scipy.signal import resample_poly
except ImportError as missing:
    print(f"skipped: {missing}")
    sys.exit(77)

PACKAGE = "silero-vad==6.2.3"
HERE = os.path.dirname(os.path.abspath(__file__))
SPECS = os.path.join(os.path.dirname(os.path.dirname(HERE)), "examples", "speech")
LIMIT = 1e-5
MINUTES = 3.0
VARIANTS = {  # file: rates
    "silero_vad.onnx": (16000, 8000),
    "silero_vad_op18_ifless.onnx": (16000, 8000),
    "silero_vad_half.onnx": (16000,),
    "silero_vad_16k_op15.onnx": (16000,),
    "silero_vad_openvino_16k.onnx": (16000,),
    "silero_vad_16k_sequence.onnx": (16000,),
}
SOUNDS = ("/usr/share/sounds/alsa/[FRS]*.wav", "/usr/share/pocketsphinx/test/data/librivox/*.wav",
          "/usr/share/pocketsphinx/test/data/cards/*.wav")
RAW = "/usr/share/pocketsphinx/test/data/*.raw"  # 16 kHz, 16 bits


def recordings(rate):
    """All recordings as floats at this rate."""
    found = []
    for path in sorted(name for pattern in SOUNDS for name in glob.glob(pattern)):
        own, samples = wavfile.read(path)
        found.append((own, samples.astype(np.float32) / 32768))
    found += [(16000, np.fromfile(path,
                                  np.int16).astype(np.float32) / 32768) for path in sorted(glob.glob(RAW))]
    for own, samples in found:
        samples = samples if samples.ndim == 1 else samples.mean(1)
        common = int(np.gcd(own, rate))
        yield resample_poly(samples, rate // common, own // common).astype(np.float32)


def audio(rate):
    """Minutes of speech, with silence, faint noise and loud noise between; whole frames."""
    rng = np.random.default_rng(rate)
    parts, wanted = [], int(MINUTES * 60 * rate)
    sounds = list(recordings(rate))
    while sounds and sum(map(len, parts)) < wanted:
        for i, sound in enumerate(sounds):
            pause = (np.zeros(rate // 2), rng.standard_normal(rate // 3) * 1e-3,
                     rng.standard_normal(rate // 4) * 0.3)
            parts += [sound, pause[i % 3].astype(np.float32)]
    frame = 512 if rate == 16000 else 256
    samples = np.concatenate(parts) if parts else np.zeros(0, np.float32)
    return samples[:len(samples) // frame * frame].reshape(-1, frame)


def session(path):
    options = ort.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 3
    return ort.InferenceSession(path, options, providers=["CPUExecutionProvider"])


def reference(path, rate, frames):
    """ONNX Runtime's probabilities, frame by frame as the package feeds it, and seconds a frame."""
    run, context = session(path), 64 if rate == 16000 else 32
    names = {item.name for item in run.get_inputs()}
    states = {name: np.zeros((1, 1, 128) if name in "hc" else (2, 1, 128), np.float32)
              for name in ("h", "c", "state") if name in names}
    if "sr" in names:
        states["sr"] = np.array(rate, np.int64)
    before, out = np.zeros((1, context), np.float32), []
    begin = time.perf_counter()
    for frame in frames:
        x = np.concatenate([before, frame[None]], 1)
        results = run.run(None, {"input": x, **states})
        out.append(float(results[0].reshape(-1)[0]))
        states.update({"h": results[1], "c": results[2]} if "h" in names else {"state": results[1]})
        before = x[:, -context:]
    return np.array(out), (time.perf_counter() - begin) / len(frames)


def seconds_a_frame(model_file, frames):
    """Of lstm_run called frame by frame, one thread."""
    model = lstmrun.Model(model_file)
    plan, stream, workspace = model.plan(threads=1, items=1, steps=1), ctypes.c_void_p(), ctypes.c_void_p()
    lib, out = lstmrun._lib, np.zeros(1, np.float32)
    lstmrun._call(lib.lstm_workspace_create, plan.handle, ctypes.c_size_t(1), ctypes.c_size_t(1),
                  ctypes.byref(workspace))
    assert lib.lstm_stream_create(model.handle, ctypes.byref(stream)) == 0
    item = lstmrun._Item(stream, 0, out.ctypes.data, 1, 0, 0)
    at, size, one = frames.ctypes.data, frames.strides[0], ctypes.c_size_t(1)
    begin = time.perf_counter()
    for i in range(len(frames)):
        item.input = at + i * size
        lib.lstm_run(plan.handle, workspace, ctypes.byref(item), one)
    seconds = (time.perf_counter() - begin) / len(frames)
    lib.lstm_stream_destroy(stream)
    lib.lstm_workspace_destroy(workspace)
    return seconds


def check_variant(name, path, rate):
    frames = np.ascontiguousarray(audio(rate))
    wanted, their_time = reference(path, rate, frames)
    with open(os.path.join(SPECS, f"silero-{rate // 1000}k.json")) as file:
        spec = file.read()
    with tempfile.TemporaryDirectory() as folder:
        model_file, _ = convert(path, folder, spec)
        outputs, _ = lstmrun.Model(model_file).plan(threads=1).run([frames])
        our_time = seconds_a_frame(model_file, frames)
    error = float(np.max(np.abs(outputs[0][:, 0] - wanted)))
    assert np.mean(wanted > 0.5) > 0.2 and np.mean(wanted < 0.1) > 0.05, f"{name}: no speech or no silence"
    print(f"{name}: {len(frames)} frames ({len(frames) * frames.shape[1] / rate:.0f} s), "
          f"{100 * np.mean(wanted > 0.5):.0f} % speech, largest difference {error:.2g}; "
          f"a frame takes {1e6 * our_time:.1f} us, ONNX Runtime "
          f"{1e6 * their_time:.1f} us: {their_time / our_time:.2f}x")
    assert error <= LIMIT, f"{name}: differs by {error:g}, allowed are {LIMIT:g}"
    return error, None


def main():
    score = Score()
    if not any(glob.glob(pattern) for pattern in SOUNDS):
        print("skipped: no recordings; install Debian's alsa-utils and pocketsphinx-testdata")
        sys.exit(77)
    try:
        found = [name for name in packages.names(PACKAGE) if name.endswith(".onnx")]
        paths = {os.path.basename(name): packages.file(PACKAGE, name) for name in found}
    except packages.Missing as problem:
        print(f"skipped: {problem}")
        sys.exit(77)
    for file in sorted(set(paths) | set(VARIANTS)):
        for rate in VARIANTS.get(file, (16000,)):
            score.case(f"{file} at {rate} Hz", check_variant, paths.get(file, ""), rate)
    score.finish()


if __name__ == "__main__":
    main()
