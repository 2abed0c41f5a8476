#!/bin/sh
# SPDX-License-Identifier: MIT
#
# Convert the El Nino model, run it on the months it has never seen, and say in words what came out.
#
#     sh examples/elnino/demo.sh BUILD_FOLDER
set -eu

build=$1
here=$(dirname "$0")
model=$build/elnino.bin

"$build/tools/lstmconvert" "$here/elnino.safetensors" --spec "$here/elnino.json" -o "$model"
"$build/tools/lstmconvert" --check "$model"
"$build/tools/lstmrun" "$model" "$here/heldout.csv" -o "$build/forecast.csv" 2>"$build/forecast.log"

echo
echo "Sea surface temperature off Peru, degrees Celsius: what the model said in each month of 2010 about the"
echo "month to come, and what came. It was trained on 1950 to 1987."
echo
# Row r of forecast.csv is the forecast made in month r (1: January 1996) for the months r+1, r+2 and r+3.
paste -d, "$here/heldout.csv" "$build/forecast.csv" | awk -F, '
    BEGIN { split("Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec", month, " ") }
    { truth[NR] = $1; for (k = 1; k <= 3; k++) forecast[NR, k] = $(k + 1) }
    function add(k, name, error) { sum[k, name] += error * error }
    END {
        printf "  month       forecast    came   off by\n"
        for (t = NR - 11; t <= NR; t++)
            printf "  %s 2010      %6.2f  %6.2f   %+6.2f\n", month[(t - 1) % 12 + 1], forecast[t - 1, 1], truth[t],
                   forecast[t - 1, 1] - truth[t]
        for (k = 1; k <= 3; k++)
            for (t = 13; t <= NR - k; t++) {
                add(k, "model", forecast[t, k] - truth[t + k])
                add(k, "same", truth[t] - truth[t + k])
                add(k, "year", truth[t + k - 12] - truth[t + k])
                n[k]++
            }
        printf "\n  typical error (RMSE), 1997 to 2010         1 month   2 months   3 months ahead\n"
        row("this model", "model")
        row("naive: it stays as it is", "same")
        row("naive: as in the same month last year", "year")
    }
    function row(words, name) {
        printf "  %-41s", words
        for (k = 1; k <= 3; k++) printf "   %5.2f   ", sqrt(sum[k, name] / n[k])
        printf "\n"
    }' | sed 's/ *$//'
echo
echo "The model is $model; try:  $build/tools/lstmrun --info $model"
