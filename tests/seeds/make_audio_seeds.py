#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Write the seeds of fuzz_audio_json beside this file: the documents of tests/test_import_audio.c."""
import os
import re

HERE = os.path.dirname(os.path.abspath(__file__))


def main():
    with open(os.path.join(HERE, "..", "test_import_audio.c"), encoding="utf-8") as file:
        source = file.read()
    folder = os.path.join(HERE, "audio_json")
    os.makedirs(folder, exist_ok=True)
    for name, body in re.findall(r'static const char (\w+)\[\] =\n((?: +".*"\n?)+);', source):
        pieces = re.findall(r'"((?:[^"\\]|\\.)*)"', body)
        with open(os.path.join(folder, name + ".json"), "w", encoding="utf-8") as file:
            file.write("".join(pieces).replace('\\"', '"'))
        print(name)


if __name__ == "__main__":
    main()
