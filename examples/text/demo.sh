#!/bin/sh
# SPDX-License-Identifier: MIT
#
# Convert the classifier and ask it which language four sentences are in.
#
#     sh examples/text/demo.sh BUILD_FOLDER
set -eu

build=$1
here=$(dirname "$0")
model=$build/language.bin

"$build/tools/lstmconvert" -q "$here/language.keras" --spec "$here/language.json" -o "$model"
for sentence in "Entschuldigung, wie komme ich zum Bahnhof?" "Excuse me, how do I get to the station?" \
    "La gare est loin d'ici." "Perdone, ¿cómo llego a la estación?"; do
    python3 "$here/encode.py" "$sentence" >"$build/sentence.csv"
    "$build/tools/lstmrun" -q "$model" "$build/sentence.csv" >"$build/sentence.txt" 2>/dev/null
    printf '%-46s %s\n' "$sentence" "$(awk 'END { printf "%s %.3f", $2, $3 }' "$build/sentence.txt")"
done
