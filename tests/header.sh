#!/bin/sh
# SPDX-License-Identifier: MIT
#
# lstmrun.h by itself, included twice, in C11 and in C++, without a warning. `header.sh [COMPILER…]`; prints "ok",
# "not ok" or "skip" lines.
set -u

root=$(cd "$(dirname "$0")/.." && pwd)
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
status=0
printf '#include "lstmrun.h"\n#include "lstmrun.h"\n' >"$folder/use.c"
cp "$folder/use.c" "$folder/use.cc"

try() {
    name=$1
    shift
    if ! command -v "$1" >/dev/null; then
        echo "skip header: $name (no $1 here)"
    elif "$@" -Wall -Wextra -Wpedantic -Werror -I "$root/runtime" -fsyntax-only; then
        echo "ok header: $name"
    else
        echo "not ok header: $name"
        status=1
    fi
}

try "C11, gcc" gcc -std=c11 -Wstrict-prototypes "$folder/use.c"
try "C11, clang" clang -std=c11 -Wstrict-prototypes "$folder/use.c"
if command -v g++ >/dev/null; then
    try "C++11, g++" g++ -std=c++11 "$folder/use.cc"
else
    try "C++11, clang++" clang++ -std=c++11 "$folder/use.cc"
fi
exit $status
