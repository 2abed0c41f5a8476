#!/bin/sh
# SPDX-License-Identifier: MIT
#
# `install.sh PREFIX`: what `meson install` has put under PREFIX is complete, and a program finds it through
# pkg-config: examples/embed, built against the shared and the static library, gives the numbers that lstmrun
# gives. Prints "ok" or "not ok" lines.
set -u

prefix=$1
root=$(cd "$(dirname "$0")/.." && pwd)
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
status=0

report() { # WORDS CODE
    if [ "$2" -eq 0 ]; then
        echo "ok install: $1"
    else
        echo "not ok install: $1"
        status=1
    fi
}

present() {
    found=$(find "$prefix" -path "$prefix/$1" | head -n 1)
    [ -n "$found" ]
    report "$1" $?
}

for path in bin/lstmrun bin/lstmconvert bin/lstmbench include/lstmrun.h 'lib*liblstmrun.so' 'lib*liblstmrun.so.0' \
    'lib*liblstmrun.so.*.*.*' 'lib*liblstmrun.a' 'lib*pkgconfig/lstmrun.pc' 'share/man/man1/lstmrun.1*' \
    'share/man/man1/lstmconvert.1*' 'share/man/man1/lstmbench.1*'; do
    present "$path"
done
[ "$(find "$prefix/include" -type f | wc -l)" -eq 1 ]
report "one header" $?

PKG_CONFIG_PATH=$(dirname "$(find "$prefix" -name lstmrun.pc)")
LD_LIBRARY_PATH=$(dirname "$PKG_CONFIG_PATH")
export PKG_CONFIG_PATH LD_LIBRARY_PATH
model=$folder/elnino.bin
"$prefix/bin/lstmconvert" "$root/examples/elnino/elnino.safetensors" --spec "$root/examples/elnino/elnino.json" \
    -o "$model" >/dev/null
report "lstmconvert makes the model" $?
"$prefix/bin/lstmrun" "$model" "$root/examples/elnino/heldout.csv" -o "$folder/expected.csv" 2>/dev/null
report "lstmrun runs it" $?

# compare KIND: the program just built runs and gives the numbers that lstmrun gives.
compare() {
    "$folder/embed" "$model" <"$root/examples/elnino/heldout.csv" >"$folder/$1.csv"
    report "examples/embed runs with the $1 library" $?
    python3 "$root/tests/same_numbers.py" "$folder/$1.csv" "$folder/expected.csv"
    report "examples/embed ($1) and lstmrun agree in every bit" $?
}

cp "$root/examples/embed/embed.c" "$root/examples/embed/Makefile" "$folder"
make -s -C "$folder" embed
report "examples/embed builds with the shared library" $?
compare shared

# The C of README.md, as the inside of a function.
{
    echo '#include <lstmrun.h>'
    echo 'int give_up(const lstm_error *);'
    echo 'int embedding(const float *frame, float *result);'
    echo 'int embedding(const float *frame, float *result) {'
    awk '/^```c$/ { inside = 1; next } /^```$/ { inside = 0 } inside' "$root/README.md"
    echo 'return 0; }'
} >"$folder/readme.c"
# Unquoted here and below: lists of flags.
# shellcheck disable=SC2046
cc -std=c11 -Wall -Wextra -Werror -fsyntax-only $(pkg-config --cflags lstmrun) "$folder/readme.c"
report "the C in README.md compiles" $?

unset LD_LIBRARY_PATH
libraries=$(pkg-config --static --libs lstmrun | sed 's/-llstmrun//')
# shellcheck disable=SC2086
repeated=$(printf '%s\n' $libraries | sort | uniq -d)
[ -z "$repeated" ]
report "pkg-config --static names nothing twice${repeated:+: $repeated}" $?

# An application's functions may be called as those inside the library are.
for name in crc32c error_set memory_alloc barrier_wait plan_pack simd_find utf8_check; do
    echo "void $name(void); void $name(void) {}"
done >"$folder/own.c"
# shellcheck disable=SC2086,SC2046
cc -std=c11 -O2 -o "$folder/embed" $(pkg-config --cflags lstmrun) "$folder/embed.c" "$folder/own.c" \
    "$(dirname "$PKG_CONFIG_PATH")/liblstmrun.a" $libraries
report "examples/embed, with functions of its own, builds with the static library" $?
compare static
exit $status
