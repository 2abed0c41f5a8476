#!/bin/sh
# SPDX-License-Identifier: MIT
#
# Fetch the Silero voice activity detector from its package, convert it, and find the speech in a recording.
#
#     sh examples/speech/demo.sh BUILD_FOLDER [RECORDING.wav]
#
# Needs Python with NumPy and SciPy ($LSTMRUN_PYTHON names another interpreter), and the network once; without
# RECORDING.wav also the sounds of Debian's alsa-utils.
set -eu

build=$1
here=$(dirname "$0")
python=${LSTMRUN_PYTHON:-python3}
model=$build/silero.bin

onnx=$("$python" "$here/../../tests/frameworks/packages.py" silero-vad==6.2.3 silero_vad/data/silero_vad.onnx)
"$build/tools/lstmconvert" --quiet "$onnx" --spec "$here/silero-16k.json" -o "$model"
"$build/tools/lstmconvert" --check "$model"
if [ $# -gt 1 ]; then
    "$python" "$here/prepare.py" 16000 "$build/speech.wav" "$2"
else
    "$python" "$here/prepare.py" 16000 "$build/speech.wav"
fi
echo
(cd "$build" && tools/lstmrun silero.bin speech.wav)

# What the picture needs: the probability of each step, and the segments.
"$build/tools/lstmrun" -q "$model" "$build/speech.wav" -o "$build/speech.f32"
"$build/tools/lstmrun" -q "$model" "$build/speech.wav" -o "$build/speech.json"
"$python" "$here/plot.py" "$build/speech.wav" "$build/speech.f32" "$build/speech.json" >"$build/speech.svg"
echo
echo "The picture is $build/speech.svg, the model $model; try:"
echo "  $build/tools/lstmrun $model $build/speech.wav --threshold 0.8"
