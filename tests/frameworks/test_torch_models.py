# SPDX-License-Identifier: MIT
"""Published PyTorch and NumPy weights through lstmconvert, against the same weights in PyTorch.

Resemblyzer's speaker encoder (a legacy checkpoint), g2p-en (npz: GRU encoder and decoder, decoded greedily), g2pM
(a pickle of arrays), Silero VAD (safetensors, and TorchScript for both rates). Every output is compared to 1e-5;
the time of both, one thread each, is printed.
"""
import os
import subprocess
import sys
import tempfile
import time

import packages

try:
    import numpy as np
    import torch
    from safetensors.torch import load_file
    from torch import nn
    from torch.nn import functional
except ImportError as missing:
    print("skipped: %s (pip install torch safetensors numpy)" % missing)
    sys.exit(77)

import lstmrun

TOOLS = os.path.join(os.environ.get("LSTMRUN_BUILD", "build"), "tools")
SPECS = os.path.join(os.path.dirname(os.path.abspath(__file__)), "specs")
TOLERANCE = 1e-5
WORDS = ("activationist cromulent embiggen grokking lstm runtime zyzzyva quokka phoneme blorptastic syzygy "
         "waveform recurrent xylem knight pneumatic").split()


def convert(folder, path, spec, *more):
    model = os.path.join(folder, spec + ".bin")
    command = [os.path.join(TOOLS, "lstmconvert"), path, "--spec", os.path.join(SPECS, spec + ".json"), "-o", model]
    done = subprocess.run(command + list(more), capture_output=True, text=True)
    assert done.returncode == 0, "lstmconvert: " + done.stderr.strip()
    return lstmrun.Model(model)


def fastest(function, seconds=0.5):
    """The shortest time of one call, in ms."""
    times, end = [], time.perf_counter() + seconds
    while not times or time.perf_counter() < end:
        begun = time.perf_counter()
        function()
        times.append(time.perf_counter() - begun)
    return 1e3 * min(times)


def compare(what, ours, right, times=None):
    error = float(np.max(np.abs(np.asarray(ours, np.float64) - np.asarray(right, np.float64))))
    print("%s: largest error %.2g%s" % (what, error, "; ours %.3g ms, PyTorch %.3g ms" % times if times else ""))
    assert error <= TOLERANCE, "%s: error %.3g, expected at most %.0e" % (what, error, TOLERANCE)


def resemblyzer(folder):
    path = packages.file("resemblyzer==0.1.4", "resemblyzer/pretrained.pt")
    plan = convert(folder, path, "resemblyzer").plan(threads=1, steps=160)
    weights = torch.load(path, map_location="cpu", weights_only=True)["model_state"]
    lstm, linear = nn.LSTM(40, 256, 3, batch_first=True), nn.Linear(256, 256)
    lstm.load_state_dict({name[5:]: tensor for name, tensor in weights.items() if name.startswith("lstm.")})
    linear.load_state_dict({name[7:]: tensor for name, tensor in weights.items() if name.startswith("linear.")})
    mels = torch.rand(6, 160, 40) ** 4  # mel energies are small with a few peaks

    def original(x):
        with torch.no_grad():
            raw = torch.relu(linear(lstm(x)[1][0][-1]))
            return (raw / torch.norm(raw, dim=1, keepdim=True)).numpy()
    ours = np.concatenate(plan.run(list(mels.numpy()))[0])
    times = fastest(lambda: plan.run([mels[0].numpy()])), fastest(lambda: original(mels[:1]))
    compare("Resemblyzer, 1.6 s of speech", ours, original(mels), times)


class Transcriber:
    """g2p-en's decoding: the word's letters, then phonemes one after the other until the end mark."""
    LETTERS = ["<pad>", "<unk>", "</s>"] + list("abcdefghijklmnopqrstuvwxyz")
    START, END, LONGEST = 2, 3, 20

    def letters(self, word):
        return [self.LETTERS.index(letter) for letter in word] + [self.LETTERS.index("</s>")]

    def decode(self, word):
        """Phonemes, and the scores that chose them."""
        state, phonemes, scores = self.encode(self.letters(word)), [self.START], []
        while len(scores) < self.LONGEST and (phonemes[-1] != self.END or len(phonemes) == 1):
            state, score = self.step(phonemes[-1], state)
            scores.append(score)
            phonemes.append(int(score.argmax()))
        return phonemes[1:], np.array(scores)


class Ours(Transcriber):
    def __init__(self, folder, path):
        self.encoder = convert(folder, path, "g2p_encoder").plan(threads=1)
        self.decoder = convert(folder, path, "g2p_decoder").plan(threads=1, steps=1)

    def encode(self, letters):
        final = self.encoder.run([np.array(letters, np.float32)[:, None]])[1][0]
        return {(1, 0, "h"): next(iter(final.values()))}

    def step(self, phoneme, state):
        outputs, finals = self.decoder.run([np.full((1, 1), phoneme, np.float32)], [state])
        return finals[0], outputs[0][0]


class Theirs(Transcriber):
    def __init__(self, weights):
        self.weights = {name: torch.from_numpy(weights[name]) for name in weights}
        self.encoder, self.decoder = self.cell("enc"), self.cell("dec")

    def cell(self, which):
        cell = nn.GRUCell(256, 256)
        names = {"weight_ih": "w_ih", "weight_hh": "w_hh", "bias_ih": "b_ih", "bias_hh": "b_hh"}
        cell.load_state_dict({name: self.weights["%s_%s" % (which, short)] for name, short in names.items()})
        return cell

    def encode(self, letters):
        state = torch.zeros(1, 256)
        with torch.no_grad():
            for letter in letters:
                state = self.encoder(self.weights["enc_emb"][letter:letter + 1], state)
        return state

    def step(self, phoneme, state):
        with torch.no_grad():
            state = self.decoder(self.weights["dec_emb"][phoneme:phoneme + 1], state)
            return state, (state @ self.weights["fc_w"].T + self.weights["fc_b"])[0].numpy()


def g2p_en(folder):
    path = packages.file("g2p-en==2.1.0", "g2p_en/checkpoint20.npz")
    ours, theirs = Ours(folder, path), Theirs(np.load(path))
    for word in WORDS:
        mine, right = ours.decode(word), theirs.decode(word)
        assert mine[0] == right[0], "%s: phonemes %s, expected %s" % (word, mine[0], right[0])
    scores = [transcriber.decode(WORDS[0]) for transcriber in (ours, theirs)]
    times = fastest(lambda: ours.decode(WORDS[0])), fastest(lambda: theirs.decode(WORDS[0]))
    size = float(np.max(np.abs(scores[1][1])))  # scores are up to 20: errors relative to the largest
    compare("g2p-en, %d words alike, scores of one" % len(WORDS), scores[0][1] / size, scores[1][1] / size, times)


def g2pm(folder):
    path = packages.file("g2pm==0.1.2.5", "g2pM/np_ckpt.pkl")
    plan = convert(folder, path, "g2pm").plan(threads=1)
    # The pickle is of plain arrays; its archive's digest was checked before this reads it.
    weights = {name: torch.from_numpy(np.array(array)) for name, array in np.load(path, allow_pickle=True).items()}
    lstm = nn.LSTM(64, 32, batch_first=True, bidirectional=True)
    lstm.load_state_dict({name[5:]: tensor for name, tensor in weights.items() if name.startswith("lstm.")})
    characters = torch.randint(0, 5398, (8, 24))

    def original(x):
        with torch.no_grad():
            y = lstm(weights["embedding.weight"][x])[0]
            y = torch.relu(y @ weights["logit_layer.0.weight"].T + weights["logit_layer.0.bias"])
            return (y @ weights["logit_layer.2.weight"].T + weights["logit_layer.2.bias"]).numpy()
    ours = np.array(plan.run(list(characters.numpy()[:, :, None].astype(np.float32)))[0])
    right = original(characters)
    size = float(np.max(np.abs(right)))
    one = characters[:1]
    times = (fastest(lambda: plan.run([one[0].numpy()[:, None].astype(np.float32)])), fastest(lambda: original(one)))
    compare("g2pM, 24 characters", ours / size, right / size, times)


def sound(rate):
    """Ten seconds: silence, tones that rise and fall, noise, and silence again."""
    generator = np.random.default_rng(1)
    t = np.arange(10 * rate) / rate
    tones = sum(np.sin(2 * np.pi * f * t * (1 + 0.1 * np.sin(3 * t))) / k
                for k, f in enumerate((120, 240, 360, 950), 1))
    loud = np.clip(np.sin(2 * np.pi * t / 3), 0, 1) * (0.6 + 0.4 * np.sin(2 * np.pi * 4 * t))
    return (0.2 * loud * tones + 0.02 * generator.standard_normal(len(t)) * (t > 4)).astype(np.float32)


class SileroNet:
    """The network as its package describes it for the weights in safetensors form."""
    def __init__(self, path):
        self.weights = weights = load_file(path)
        self.cell = nn.LSTMCell(128, 128)
        self.cell.load_state_dict({name[10:]: tensor for name, tensor in weights.items()
                                   if name.startswith("lstm_cell.")})

    def frame(self, x, state):
        y = functional.conv1d(functional.pad(x[None], (0, 64), "reflect")[:, None], self.weights["stft_conv.weight"],
                              stride=128)
        y = torch.sqrt(y[:, :129] ** 2 + y[:, 129:] ** 2)
        for name, stride in (("conv1", 1), ("conv2", 2), ("conv3", 2), ("conv4", 1)):
            y = torch.relu(functional.conv1d(y, self.weights[name + ".weight"], self.weights[name + ".bias"],
                                             stride=stride, padding=1))
        state = self.cell(y[:, :, 0], state)
        y = functional.conv1d(torch.relu(state[0])[:, :, None], self.weights["final_conv.weight"],
                              self.weights["final_conv.bias"])
        return torch.sigmoid(y).item(), state

    def __call__(self, frames):
        state, before, outputs = None, torch.zeros(64), []
        with torch.no_grad():
            for frame in torch.from_numpy(frames):
                output, state = self.frame(torch.cat([before, frame]), state)
                before = frame[-64:]
                outputs.append(output)
        return np.array(outputs)


class SileroScript:
    """The TorchScript module of the package."""
    def __init__(self, path, rate):
        self.module, self.rate = torch.jit.load(path), rate

    def __call__(self, frames):
        self.module.reset_states()
        with torch.no_grad():
            return np.array([self.module(frame[None], self.rate).item() for frame in torch.from_numpy(frames)])


def silero(folder, spec, path, original, rate, *more):
    model = convert(folder, path, spec, *more)
    frame = model.info.input.size
    frames = sound(rate)[:10 * rate // frame * frame].reshape(-1, frame)
    plan = model.plan(threads=1, steps=len(frames))
    compare("Silero VAD, %s, 10 s at %d Hz" % (os.path.basename(path), rate), plan.run([frames])[0][0][:, 0],
            original(frames), (fastest(lambda: plan.run([frames])), fastest(lambda: original(frames))))


def silero_all(folder):
    path, jit = (packages.file("silero-vad==6.2.3", "silero_vad/data/silero_vad" + name)
                 for name in ("_16k.safetensors", ".jit"))
    silero(folder, "silero_vad_16k", path, SileroNet(path), 16000)
    silero(folder, "silero_vad_jit_16k", jit, SileroScript(jit, 16000), 16000, "--key", "_model")
    silero(folder, "silero_vad_jit_8k", jit, SileroScript(jit, 8000), 8000, "--key", "_model_8k")


def main():
    torch.manual_seed(1)
    torch.set_num_threads(1)
    passed = failed = 0
    with tempfile.TemporaryDirectory() as folder:
        for check in (resemblyzer, g2p_en, g2pm, silero_all):
            try:
                check(folder)
                passed += 1
            except packages.Missing as missing:
                print("skipped %s: %s" % (check.__name__, missing))
                if passed + failed == 0:
                    sys.exit(packages.SKIPPED)
            except (AssertionError, lstmrun.Error) as problem:
                failed += 1
                print("FAILED %s: %s" % (check.__name__, problem))
    print("%d passed, %d failed" % (passed, failed))
    return failed != 0


if __name__ == "__main__":
    sys.exit(main())
