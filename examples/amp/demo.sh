#!/bin/sh
# SPDX-License-Identifier: MIT
#
# Convert the amplifier, make a guitar, play the one through the other, and say what it did to the loudness.
#
#     sh examples/amp/demo.sh BUILD_FOLDER
set -eu

build=$1
here=$(dirname "$0")
model=$build/amp.bin

"$build/tools/lstmconvert" "$here/amp.nam" -o "$model"
"$build/tools/lstmconvert" --check "$model"
python3 "$here/guitar.py" "$build/guitar.wav"
"$build/tools/lstmrun" "$model" "$build/guitar.wav" -o "$build/guitar-amp.wav"

# The picture and the table need raw samples; those of a .wav follow its header.
"$build/tools/lstmrun" -q "$model" "$build/guitar.wav" -o "$build/guitar-amp.f32"
python3 -c 'import array, sys, wave
with wave.open(sys.argv[1]) as file:
    words = array.array("h", file.readframes(file.getnframes()))
array.array("f", [word / 32768 for word in words]).tofile(open(sys.argv[2], "wb"))' \
    "$build/guitar.wav" "$build/guitar.f32"
python3 "$here/plot.py" "$build/guitar.f32" "$build/guitar-amp.f32" >"$build/amp.svg"

echo
echo "Eight notes, each plucked harder than the one before: peaks before and after the amplifier."
echo
python3 -c 'import array, math, sys
clean, amp = (array.array("f", open(path, "rb").read()) for path in sys.argv[1:])
print("  note   clean dB   amplified dB   gain dB")
for note in range(8):
    part = slice(int((0.3 * note + 0.01) * 48000), int(0.3 * (note + 1) * 48000))
    x, y = (20 * math.log10(max(abs(value) for value in samples[part])) for samples in (clean, amp))
    print("  %4d   %8.1f   %12.1f   %7.1f" % (note + 1, x, y, y - x))' "$build/guitar.f32" "$build/guitar-amp.f32"
echo
echo "Hear it: $build/guitar.wav, $build/guitar-amp.wav. The model is $model; try:"
echo "  $build/tools/lstmrun --info $model"
