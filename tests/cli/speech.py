# SPDX-License-Identifier: MIT
"""Models of speech and of audio in frames: segments, their formats and options, and what is refused."""

import json
import re

import model_file
import models
from harness import check, equal, test
from results import need_wav

RATE, STEP = 16000, 512


def detector(metadata=None, step=STEP):
    """Probability of speech near 1 where samples are 1, near 0 where they are 0, and p where they are logit(p) / 20 + 0.5."""
    model = model_file.Model(input=[step])
    weights = [[20.0 / step] * step]
    model.layer("dense", [0], shape=[1], words={0: 1}, name="detector",
                tensors=[model.tensor(weights, name="w"), model.tensor([-10.0], name="b")])
    model.metadata.update({"sample_rate": str(RATE), "frame_samples": str(step), "task": "speech"})
    model.metadata.update(metadata or {})
    return model.bytes()


def steps(pattern):
    """Samples: a digit for each step, 0 to 9 ninths."""
    return [int(c) / 9 for c in pattern for _ in range(STEP)]


def seconds(n_steps):
    return n_steps * STEP / RATE


def prepare(place, pattern, cut=0, **options):
    need_wav_audio(place)
    place.write("vad.bin", detector())
    samples = steps(pattern)
    place.write("s.wav", models.wav(samples[:len(samples) - cut], rate=RATE, **options))
    return samples


def need_wav_audio(place):
    place.write("audio.bin", models.lstm(1, 1, {"sample_rate": "48000"})[0])
    need_wav(place)


def segments(place, *words):
    place.run("vad.bin", "s.wav", "-o", "out.json", "-q", *words)
    found = json.loads(place.read("out.json"))
    (place.folder / "out.json").unlink()
    return [(segment["start"], segment["end"]) for segment in found["segments"]]


def near(found, expected, what):
    equal([[round(x, 4) for x in pair] for pair in found], [[round(x, 4) for x in pair] for pair in expected], what)


@test
def speech_segments(place):
    """speech: segments for a person, as csv and as json"""
    prepare(place, "0" * 20 + "9" * 30 + "0" * 30 + "9" * 20, cut=100)
    expected = [(seconds(20) - 0.03, seconds(50) + 0.03), (seconds(80) - 0.03, seconds(100) - 100 / RATE)]
    near(segments(place), expected, "json")
    place.run("vad.bin", "s.wav", "-o", "out.csv", "-q")
    lines = place.read("out.csv").decode().splitlines()
    equal(lines[0], "start,end,mean,peak", "heading")
    near([tuple(map(float, line.split(",")[:2])) for line in lines[1:]], expected, "csv")
    out = place.run("vad.bin", "s.wav").out.decode()
    check(re.search(r"^ +0\.61 +1\.63 +1\.02 +1\.00 +1\.00$", out, re.M), out)
    check("s.wav: 2 segments of speech, " in out and " of 3.19 s" in out, out)
    equal(len(place.output("vad.bin", "s.wav")), 100 * 4, "raw probabilities")


@test
def speech_options(place):
    """speech: thresholds, least lengths, padding"""
    prepare(place, "0" * 10 + "9" * 20 + "0" + "9" * 20 + "0" * 20 + "5" * 20 + "0" * 20 + "9" * 4 + "0" * 10)
    pad = ("--pad", "0")
    near(segments(place, *pad), [(seconds(10), seconds(51)), (seconds(71), seconds(91))], "defaults")
    near(segments(place, *pad, "--threshold", "0.9"), [(seconds(10), seconds(51))], "threshold")
    near(segments(place, *pad, "--min-silence", "0"),
         [(seconds(10), seconds(30)), (seconds(31), seconds(51)), (seconds(71), seconds(91))], "min-silence")
    near(segments(place, *pad, "--min-speech", "100")[2:], [(seconds(111), seconds(115))], "min-speech")
    near(segments(place, "--pad", "2000", "--min-speech", "100"),
         [(0, seconds(61)), (seconds(61), seconds(101)), (seconds(101), seconds(125))], "padding meets half way")


@test
def speech_inputs(place):
    """speech: from a pipe, in pieces, from stereo, from npy: the same segments"""
    samples = prepare(place, "0" * 20 + "9" * 30 + "0" * 30 + "9" * 20)
    expected = segments(place)
    near(segments(place, "--chunk", "3"), expected, "in pieces")
    out = place.run("vad.bin", "-", "-q", "--format", "json", stdin=models.f32(samples)).out
    near([(s["start"], s["end"]) for s in json.loads(out)["segments"]], expected, "from a pipe")
    live = place.run("vad.bin", "-", "-q", stdin=models.f32(samples[:-10])).out.decode()
    check("standard input: 2 segments" in live, live)
    place.write("s.npy", models.npy(samples, [len(samples) // STEP, STEP]))
    equal(place.run("vad.bin", "s.npy", "-q").out.replace(b"s.npy", b"s.wav"), place.run("vad.bin", "s.wav", "-q").out,
          "from npy")
    place.write("s.wav", models.wav([x for y in samples for x in (2 * y, 0)], channels=2, rate=RATE))
    result = place.run("vad.bin", "s.wav")
    check("s.wav: note: 2 channels are mixed to one" in result.err, result.text())
    near(segments(place), expected, "from stereo")


@test
def speech_live(place):
    """speech: a segment is told while the stream goes on"""
    place.write("vad.bin", detector())
    running = place.start("vad.bin", "-", "-q", "--format", "csv")
    running.stdin.write(models.f32(steps("0" * 10 + "9" * 20 + "0" * 20)))
    running.stdin.flush()
    equal(running.stdout.readline(), b"start,end,mean,peak\n", "heading")
    check(running.stdout.readline().startswith(b"0.290000,0.990000,"), "the segment, before the end")
    running.stdin.close()
    equal(running.wait(timeout=60), 0, "exit code")


@test
def speech_none(place):
    """speech: silence has no segments"""
    prepare(place, "0" * 20)
    equal(segments(place), [], "json")
    out = place.run("vad.bin", "s.wav").out.decode()
    equal(out, "s.wav: 0 segments of speech, 0.00 s of 0.64 s (0 %)\n", "text")


@test
def speech_refused(place):
    """speech: wrong rates and options, models of something else"""
    prepare(place, "0" * 4)
    place.write("w.wav", models.wav([0.0] * 100, rate=44100))
    place.refuse(("vad.bin", "w.wav"), r"w.wav: 44100 frames a second, expected 16000 .* resample it first, for "
                 r"example: sox w.wav -r 16000 resampled.wav")
    for words, pattern in ((("--threshold", "1.5"), "--threshold 1.5: expected a number from 0 to 1"),
                           (("--threshold", "nan"), "expected a number"),
                           (("--min-speech", "-1"), "expected a number"), (("--pad", ""), "expected a number"),
                           (("--min-silence", "1e9"), "expected a number")):
        place.refuse(("vad.bin", "s.wav") + words, pattern, code=2)
    place.refuse(("m.bin", "x.bin", "--threshold", "0.5"), "are for models of speech", code=2)
    place.refuse(("vad.bin", "--info", "--pad", "1"), "only print", code=2)
    place.write("odd.bin", detector({"frame_samples": "100"}))
    place.refuse(("odd.bin", "s.wav"), "frame_samples is '100' in its metadata, expected 1 or the 512 numbers")
    place.refuse(("vad.bin", "s.wav", "-o", "z.wav"), "1 outputs a step of 512 samples are no sound")


# ---- audio in frames, audio out --------------------------------------------------------------------------


def halver(step):
    """Samples in, half of each out, `step` at a time."""
    model = model_file.Model(input=[step])
    model.layer("scale", [0], shape=[step], tensors=[model.tensor([0.5] * step, name="half"), None])
    model.metadata.update({"sample_rate": "8000", "frame_samples": str(step)})
    return model.bytes()


@test
def frames_of_audio(place):
    """frame_samples: a step is a stretch of sound, and the last one may be incomplete"""
    need_wav_audio(place)
    place.write("half.bin", halver(7))
    samples = models.Numbers(3).array(100)
    place.write("s.wav", models.wav(samples, rate=8000))
    for words in ((), ("--chunk", "1"), ("--chunk", "2")):
        place.run("half.bin", "s.wav", "-o", "out.wav", "-q", *words)
        equal(models.parse_wav(place.read("out.wav")), (1, 8000, tuple(x / 2 for x in samples)), "as long as before")
    place.write("s.raw", models.f32(samples))
    place.run("half.bin", "s.raw", "-o", "out.wav", "-q")
    equal(models.parse_wav(place.read("out.wav"))[2], tuple(x / 2 for x in samples), "from raw samples")
    place.write("s.raw", models.f32(samples) + b"x")
    place.refuse(("half.bin", "s.raw"), "401 bytes, expected a multiple of 28")
    place.write("s.wav", models.wav(samples, channels=2, rate=8000))
    place.refuse(("half.bin", "s.wav"), "2 channels, expected 1")


@test
def prewarm(place):
    """--prewarm: as if the zeros had been there"""
    place.write("warm.bin", models.lstm(metadata={"prewarm_steps": "100"})[0])
    place.write("zeros.bin", models.f32([0.0] * 300) + place.read("x.bin"))
    equal(place.output("warm.bin", "x.bin", "--prewarm"), place.output("warm.bin", "zeros.bin")[800:], "prewarmed")
    equal(place.output("m.bin", "x.bin", "--prewarm"), place.output("m.bin", "x.bin"), "nothing asked for")
    place.write("warm.bin", models.lstm(metadata={"prewarm_steps": "many"})[0])
    place.refuse(("warm.bin", "x.bin", "--prewarm"), "prewarm_steps is 'many' in its metadata")
    place.write("last.bin", models.lstm(last=True)[0])
    place.refuse(("last.bin", "x.bin", "--prewarm"), "--prewarm: last.bin needs whole sequences", code=2)
