#!/bin/sh
# SPDX-License-Identifier: MIT
#
# sh tests/fuzz/run.sh SECONDS [BUILD-FOLDER] [TARGET…]
#
# Build the fuzz targets (rows of fuzz_targets in tests/meson.build) with clang, libFuzzer, ASan and UBSan,
# and let each one search for SECONDS, starting from tests/seeds/<target>/. As many run at the same time as
# there are cores. What they find new stays in BUILD-FOLDER/found/<target>/, inputs that crash too.
# Exit status 1 if any target failed.
set -eu

usage() {
    echo "usage: sh tests/fuzz/run.sh SECONDS [BUILD-FOLDER] [TARGET...]" >&2
    exit 2
}

[ $# -ge 1 ] || usage
seconds=$1
case $seconds in '' | *[!0-9]*) usage ;; esac
shift
root=$(cd "$(dirname "$0")/../.." && pwd)
build=$root/build-fuzz
if [ $# -ge 1 ]; then
    build=$1
    shift
fi

if [ ! -f "$build/build.ninja" ]; then
    CC=${CC:-clang} meson setup "$build" "$root" --buildtype=debugoptimized --default-library=static \
        -Dfuzz=true -Dtools=false -Dbench=false -Db_sanitize=address,undefined -Db_lundef=false \
        -Dc_args='-fsanitize=fuzzer-no-link -fno-sanitize-recover=undefined' >&2
fi
ninja -C "$build" >&2
build=$(cd "$build" && pwd)

if [ $# -eq 0 ]; then
    for program in "$build"/tests/fuzz_*; do
        if [ -f "$program" ] && [ -x "$program" ]; then
            set -- "$@" "${program##*/fuzz_}"
        fi
    done
fi
if [ $# -eq 0 ]; then
    echo "no fuzz targets in $build/tests" >&2
    exit 1
fi

# One target: its own folder for new inputs, the seeds read-only beside it.
one='
    found=$build/found/$0
    mkdir -p "$found/inputs"
    set -- "$found/inputs"
    if [ -d "$root/tests/seeds/$0" ]; then
        set -- "$@" "$root/tests/seeds/$0"
    fi
    if "$build/tests/fuzz_$0" -max_total_time="$seconds" -timeout=20 -rss_limit_mb=2048 -max_len=65536 \
        -artifact_prefix="$found/" "$@" >"$found/log" 2>&1; then
        echo "ok     $0: $(grep "^Done " "$found/log" || echo "no runs")"
    else
        tail -n 40 "$found/log"
        echo "FAILED $0, see $found"
        exit 1
    fi
'
export build root seconds
printf '%s\n' "$@" | xargs -P "$(getconf _NPROCESSORS_ONLN)" -I '{}' sh -c "$one" '{}'
