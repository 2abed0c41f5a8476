#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Write the seeds of the fuzz targets npy, npz, csv and wav into folders of these names beside this file."""

import io
import pathlib
import struct
import sys
import wave
import zipfile

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "cli"))
import models  # noqa: E402

FRAMES = models.Numbers(5).array(4, 3)
NUMBERS = models.flat(FRAMES)


def sound(width, channels):
    file = io.BytesIO()
    with wave.open(file, "wb") as out:
        out.setnchannels(channels)
        out.setsampwidth(width)
        out.setframerate(8000)
        out.writeframes(bytes(range(12 * width * channels)))
    return file.getvalue()


def archive(method):
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", method) as out:
        for name in ("x.npy", "y.npy"):
            out.writestr(zipfile.ZipInfo(name), models.npy(NUMBERS, (4, 3)), compress_type=method)
    return file.getvalue()


SEEDS = {
    "npy": {
        "f4": models.npy(NUMBERS, (4, 3)), "f8-big": models.npy(NUMBERS, (2, 2, 3), "d", ">f8"),
        "f2-fortran": models.npy(NUMBERS, (4, 3), "e", "<f2", fortran=True),
        "i8-version-2": models.npy(range(6), (6,), "q", "<i8", version=2),
        "u1": models.npy(range(3), (3,), "B", "|u1"), "scalar": models.npy([1.5], ()),
    },
    "npz": {"stored": archive(zipfile.ZIP_STORED), "deflated": archive(zipfile.ZIP_DEFLATED)},
    "csv": {
        "comma": models.csv(FRAMES, header="a,b,c"), "semicolon": models.csv(FRAMES, ";"),
        "tab": models.csv(FRAMES, "\t", "# made by hand"), "space": models.csv(FRAMES, "  "),
        "quoted": b'"a";"b, c"\r\n"1";"-2e3"\r\n', "words": b"1,x\n", "nan": b"1,nan\n",
    },
    "wav": {
        "float": models.wav(NUMBERS), "pcm16-stereo": sound(2, 2), "pcm8": sound(1, 1),
        "cut": models.wav(NUMBERS)[:-5], "header": struct.pack("<4sI4s", b"RIFF", 4, b"WAVE"),
    },
}

for folder, seeds in SEEDS.items():
    (HERE / folder).mkdir(exist_ok=True)
    for name, data in seeds.items():
        (HERE / folder / name).write_bytes(data)
