#!/bin/sh
# SPDX-License-Identifier: MIT
#
# What the library shows to the outside: `symbols.sh BUILD_FOLDER [LIMIT_KIB]`. The shared and the static library
# export lstm_* and nothing else, every function of lstmrun.h among it; each instruction set's object exports one
# symbol; the stripped shared library stays small. Prints "ok" or "not ok" lines.
set -u

build=$1
limit=${2:-300}
root=$(cd "$(dirname "$0")/.." && pwd)
library=$build/runtime/liblstmrun.so
archive=$build/runtime/liblstmrun.a
status=0

report() {
    if [ -z "$2" ]; then
        echo "ok symbols: $1"
    else
        echo "not ok symbols: $1"
        printf '%s\n' "$2"
        status=1
    fi
}

declared=$(sed 's,/\*.*\*/,,' "$root/runtime/lstmrun.h" | tr '\n' ' ' |
    grep -oE 'LSTMRUN_API[^;(]*\(' | grep -oE 'lstm_[a-z0-9_]+\($|lstm_[a-z0-9_]+ *\(' | tr -d '( ' | sort -u)

exports() { # KIND NAMES
    names=${2:-nothing}
    report "$1: only lstm_* are exported" "$(printf '%s\n' "$names" | grep -v '^lstm_')"
    report "$1: each function of lstmrun.h is exported" \
        "$(for name in $declared; do printf '%s\n' "$names" | grep -qx "$name" || echo "$name"; done)"
    report "$1: nothing is exported that lstmrun.h lacks" \
        "$(for name in $names; do printf '%s\n' "$declared" | grep -qx "$name" || echo "$name"; done)"
}

exports "shared library" "$(nm -D --defined-only "$library" | awk '{ sub(/@.*/, "", $3); print $3 }' | sort -u)"
exports "static library" "$(nm -g --defined-only "$archive" | awk 'NF == 3 { print $3 }' | sort -u)"

for object in "$build"/simd/libsimd_*.a; do
    isa=$(basename "$object" .a)
    isa=${isa#libsimd_}
    names=$(nm -g --defined-only "$object" 2>/dev/null | awk 'NF == 3 { print $3 }')
    report "$isa exports one symbol" "$([ "$names" = "simd_isa_$isa" ] || echo "${names:-none}")"
done

# What lies in .data or .bss can change while the program runs; constants with pointers lie in .data.rel.ro.
report "no mutable globals" "$(objdump -t "$library" | awk '$0 ~ /[ \t]\.t?(data|bss)[ \t]/ && $3 != "d" { print $NF }' |
    grep -vE '^(\.t?data|\.t?bss|completed\.[0-9]+|__dso_handle|__TMC_END__|_edata|__bss_start|_end)$')"

copy=$(mktemp)
strip -o "$copy" "$library"
size=$(wc -c <"$copy")
rm -f "$copy"
echo "stripped shared library: $size bytes"
report "stripped library below $limit KiB" "$([ "$size" -lt $((limit * 1024)) ] || echo "$size bytes")"
exit $status
