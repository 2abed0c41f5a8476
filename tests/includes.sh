#!/bin/sh
# SPDX-License-Identifier: MIT
#
# Who may include whom: simd/ and formats/ know nothing of each other or of the runtime, which uses both; programs
# use the library through its header. Prints "ok" or "not ok" lines.
set -u

cd "$(dirname "$0")/.."
status=0

# Include lines of the C files of folder $1 that name a folder of ours outside the list $2.
strangers() {
    find "$1" -name '*.[ch]' -exec grep -HnE '^[[:space:]]*#[[:space:]]*include[[:space:]]*"' {} + |
        grep -vE "\"($2)" | grep -E '"(simd|formats|runtime|tools|bench|tests|examples)/'
}

# Include lines of the C files of folder $1 that do not start at the root of the repo.
relative() {
    find "$1" -name '*.[ch]' -exec grep -HnE '^[[:space:]]*#[[:space:]]*include[[:space:]]*"' {} + |
        grep -vE '"(simd|formats|runtime|tools|bench|tests)/' | grep -vE '\.pb-c\.h"'
}

report() {
    if [ -z "$2" ]; then
        echo "ok includes: $1"
    else
        echo "not ok includes: $1"
        printf '%s\n' "$2"
        status=1
    fi
}

report "simd/ only itself" "$(strangers simd 'simd/')"
report "formats/ only itself" "$(strangers formats 'formats/')"
report "runtime/ only itself, formats/ and simd/" "$(strangers runtime 'runtime/|formats/|simd/')"
report "tools/ only itself, formats/ and lstmrun.h" "$(strangers tools 'tools/|formats/|runtime/lstmrun\.h')"
report "bench/ only itself, lstmrun.h and what it measures" \
    "$(strangers bench 'bench/|formats/|runtime/lstmrun\.h|simd/cpu\.h')"
report "lstmrun.h nothing of ours" "$(grep -nE '#[[:space:]]*include[[:space:]]*"' runtime/lstmrun.h)"
for folder in simd formats runtime tools bench tests; do
    report "$folder/ by paths from the root" "$(relative $folder)"
done
exit $status
