#!/bin/sh
# SPDX-License-Identifier: MIT
#
# Builds and runs every test there is, in every configuration, and ends in one line: N passed, N failed.
# Installs what that needs (with apt; Python packages into a folder in the user's cache). `--help` for the options.
set -u

cd "$(dirname "$0")/.." || exit 1
root=$PWD
work=$root/build-check
cache=${XDG_CACHE_HOME:-${HOME:-/root}/.cache}/lstmrun
mkdir -p "$work" "$cache" || exit 1
log=$work/setup.log
: >"$log"
. tools/setup_common.sh

CHECK_PACKAGES="libcriterion-dev libomp-dev clang binutils make python3 python3-venv alsa-utils pocketsphinx-testdata"
CROSS_PACKAGES="gcc-aarch64-linux-gnu libc6-dev-arm64-cross qemu-user"
ARM64_LIBRARIES="libcriterion-dev libjansson-dev libprotobuf-c-dev libzip-dev libsndfile1-dev libhdf5-dev libc6-dev libgomp1"
PYTHON_PACKAGES="numpy scipy h5py safetensors onnx onnxruntime onnxscript keras absl-py"
# TensorFlow and what it imports beyond those: without its other dependencies, which the tests do not need
# and which would change the versions of what is there.
TENSORFLOW_PACKAGES="tensorflow-cpu==2.21.0 tf_keras==2.21.0 tf2onnx==1.17.0 \
    astunparse gast google-pasta opt_einsum six termcolor wrapt requests certifi charset-normalizer idna urllib3"

usage() {
    cat <<EOF
usage: sh tools/check.sh [--quick] [--fuzz-seconds N] [SUITE…]
  --quick           only the suites that need nothing but the native compiler: $QUICK
  --fuzz-seconds N  how long each fuzz target runs (default 10)
  --help            this text
  SUITE             only these, of: $EVERY
Builds lie in build-check/, logs beside them. The interpreter of the framework suite is \$LSTMRUN_PYTHON if set.
EOF
}

QUICK="gcc structure install examples"
EVERY="gcc structure install examples clang sanitizers no-openmp onednn aarch64 frameworks fuzz"
fuzz_seconds=10
chosen=

while [ $# -gt 0 ]; do
    case $1 in
    --quick) chosen=$QUICK ;;
    --fuzz-seconds) shift; fuzz_seconds=${1:-} ;;
    --help) usage; exit 0 ;;
    -*) usage >&2; exit 2 ;;
    *) case " $EVERY " in *" $1 "*) chosen="$chosen $1" ;; *) usage >&2; exit 2 ;; esac ;;
    esac
    shift
done
case $fuzz_seconds in '' | *[!0-9]*) usage >&2; exit 2 ;; esac
[ -n "$chosen" ] || chosen=$EVERY
wanted() { case " $chosen " in *" $1 "*) return 0 ;; esac; return 1; }

# ---- counting -----------------------------------------------------------------------------------------------

results=$work/results
failures=$work/failures # what to say of them again at the end
: >"$results"
: >"$failures"
started=$(date +%s)

# record SUITE PASSED FAILED SKIPPED
record() {
    now=$(date +%s)
    printf '%s %s %s %s %s\n' "$1" "$2" "$3" "$4" $((now - started)) >>"$results"
    started=$now
    say "   $1: $2 passed, $3 failed, $4 skipped"
}

# broken SUITE LOG: what could not even be built is one failed test.
broken() {
    say "--- $1 cannot be built or started; the end of $2:"
    tail -n 60 "$2"
    { say "--- $1 cannot be built or started; the end of $2:"; tail -n 15 "$2"; } >>"$failures"
    record "$1" 0 1 0
}

# left_out SUITE REASON: loudly.
left_out() {
    say "*** SKIPPED: $1: $2"
    record "$1" 0 0 1
}

# logged SUITE LOG CODE: count what a program said and how it ended; its words are shown if a test failed.
logged() {
    counts=$(python3 tests/count.py --failures "$failures" --log "$2" "$3")
    grep '^skip ' "$2"
    # shellcheck disable=SC2086
    record "$1" $counts
}

# ---- building -----------------------------------------------------------------------------------------------

# build FOLDER OPTION…: configure and compile build-check/FOLDER; false (and a log) if that fails.
build() {
    folder=$work/$1
    shift
    if [ -f "$folder/build.ninja" ]; then
        set -- --reconfigure "$@"
    fi
    { meson setup "$folder" -Dwerror=true "$@" && meson compile -C "$folder"; } >"$folder.log" 2>&1 </dev/null
}

# suites NAME FOLDER FACTOR [TEST…]: run the Meson tests of a build, FACTOR times as patiently; all without TESTs.
suites() {
    name=$1
    folder=$2
    factor=$3
    shift 3
    rm -f "$work/$folder/meson-logs/testlog.json"
    meson test -C "$work/$folder" --no-rebuild --timeout-multiplier "$factor" "$@" >"$work/$folder.test.log" 2>&1 </dev/null
    if counts=$(python3 tests/count.py --failures "$failures" "$work/$folder/meson-logs/testlog.json"); then
        # shellcheck disable=SC2086
        record "$name" $counts
    else
        broken "$name" "$work/$folder.test.log"
    fi
}

build_and_run() { # NAME FACTOR OPTION…
    name=$1
    factor=$2
    shift 2
    say "$name: building and testing …"
    if build "$name" -Dtests=true "$@"; then
        suites "$name" "$name" "$factor"
    else
        broken "$name" "$work/$name.log"
    fi
}

# ---- the suites ---------------------------------------------------------------------------------------------

suite_gcc() {
    CC=gcc build_and_run gcc 1 --buildtype=release -Dopenmp=enabled --prefix="$work/prefix"
}

suite_structure() {
    say "structure: includes, header, symbols …"
    {
        sh tests/includes.sh
        sh tests/header.sh
        sh tests/symbols.sh "$work/gcc"
    } >"$work/structure.log" 2>&1
    grep '^stripped' "$work/structure.log"
    logged structure "$work/structure.log" 0
}

suite_install() {
    say "install: a program that finds the library through pkg-config …"
    rm -rf "$work/prefix"
    if meson install -C "$work/gcc" --no-rebuild >"$work/install.meson.log" 2>&1; then
        sh tests/install.sh "$work/prefix" >"$work/install.log" 2>&1
        logged install "$work/install.log" $?
    else
        broken install "$work/install.meson.log"
    fi
}

suite_examples() {
    say "examples …"
    python3 tests/examples.py "$work/gcc" >"$work/examples.log" 2>&1
    logged examples "$work/examples.log" $?
}

suite_clang() {
    CC=clang build_and_run clang 1 --buildtype=release -Dopenmp=enabled
}

suite_sanitizers() {
    export LSAN_OPTIONS="suppressions=$root/tests/leaks.txt:print_suppressions=0"
    CC=gcc build_and_run sanitizers 5 --buildtype=debugoptimized -Dopenmp=enabled -Dfuzz=true \
        -Db_sanitize=address,undefined -Db_lundef=false -Dc_args=-fno-sanitize-recover=all
    unset LSAN_OPTIONS
}

# The other things that can be left out, libsndfile and libhdf5, are left out in the same build.
suite_no_openmp() {
    CC=gcc build_and_run no-openmp 1 --buildtype=release -Dopenmp=disabled -Dwav=disabled -Dhdf5=disabled
}

# onednn_build NAME OPTION…: the backend's own suite, and a few that pass through its hooks in plan and run.
onednn_build() {
    name=$1
    shift
    if build "$name" -Dtests=true --buildtype=release -Donednn=enabled -Dbench=false "$@"; then
        suites "$name" "$name" 1 onednn run alloc cli
    else
        broken "$name" "$work/$name.log"
    fi
}

# oneDNN 3 with its headers, from PyPI into the cache; false if that fails. Sets onednn3 to the folder.
fetch_onednn3() {
    onednn3=$cache/onednn3
    [ ! -f "$onednn3/complete" ] || return 0
    rm -rf "$onednn3"
    mkdir -p "$onednn3" || return 1
    twice "${LSTMRUN_PYTHON:-python3}" -m pip download --no-deps -d "$onednn3" \
        onednn-cpu-gomp==2023.2.0 onednn-devel-cpu-gomp==2023.2.0 || return 1
    for wheel in "$onednn3"/*.whl; do
        python3 -m zipfile -e "$wheel" "$onednn3" && rm "$wheel" || return 1
    done
    mv "$onednn3"/onednn_cpu_gomp*.data/data/lib "$onednn3"/onednn_devel_cpu_gomp*.data/data/include "$onednn3" || return 1
    : >"$onednn3/complete"
}

suite_onednn() {
    say "onednn: the backend with the system's oneDNN, and with version 3 …"
    export CC=gcc
    if [ -f /usr/include/oneapi/dnnl/dnnl.h ]; then
        onednn_build onednn
    else
        left_out onednn "no oneDNN headers (package: libdnnl-dev)"
    fi
    if fetch_onednn3 >"$work/onednn3.pip.log" 2>&1 </dev/null; then
        onednn_build onednn3 -Dc_args="-I$onednn3/include" -Dc_link_args="-L$onednn3/lib -Wl,-rpath,$onednn3/lib"
    else
        left_out onednn3 "oneDNN 3 cannot be had from PyPI (see build-check/onednn3.pip.log)"
    fi
    unset CC
}

# A folder with arm64 libraries, made of Debian's packages without installing them: some cannot be installed
# beside their own amd64 versions. It is made again when the list of packages is another. False if they cannot be
# fetched.
arm64_sysroot() {
    sysroot=$cache/arm64
    [ "$(cat "$sysroot/complete" 2>/dev/null)" != "$ARM64_LIBRARIES" ] || return 0
    rm -rf "$sysroot"
    mkdir -p "$sysroot/apt/lists/partial" "$sysroot/apt/archives/partial" "$sysroot/root" || return 1
    : >"$sysroot/apt/status"
    set -- -o APT::Architecture=arm64 -o APT::Architectures=arm64 -o "Dir::State=$sysroot/apt" \
        -o "Dir::State::status=$sysroot/apt/status" -o "Dir::Cache=$sysroot/apt" -o APT::Sandbox::User=root
    # shellcheck disable=SC2086
    twice apt-get "$@" update &&
        twice apt-get "$@" install -y --download-only --no-install-recommends $ARM64_LIBRARIES || return 1
    for package in "$sysroot"/apt/archives/*.deb; do
        dpkg -x "$package" "$sysroot/root" || return 1
    done
    rm -rf "$sysroot/apt"
    echo "$ARM64_LIBRARIES" >"$sysroot/complete"
}

suite_aarch64() {
    say "aarch64: libraries of the other architecture …"
    if ! have aarch64-linux-gnu-gcc || ! have qemu-aarch64; then
        left_out aarch64 "no cross compiler or no qemu-aarch64 (packages: $CROSS_PACKAGES)"
    elif ! arm64_sysroot >"$work/aarch64.apt.log" 2>&1 </dev/null; then
        left_out aarch64 "arm64 libraries cannot be fetched with apt (see build-check/aarch64.apt.log)"
    else
        printf "[constants]\nsysroot = '%s'\n" "$sysroot/root" >"$work/aarch64.sysroot.ini"
        build_and_run aarch64 10 --buildtype=release -Dopenmp=enabled \
            --cross-file "$work/aarch64.sysroot.ini" --cross-file tests/cross/aarch64.ini
    fi
}

# Sets LSTMRUN_PYTHON to an interpreter that has the frameworks; false if there is none and none can be had.
framework_python() {
    [ -z "${LSTMRUN_PYTHON:-}" ] || return 0
    venv=$cache/venv
    if ! has_frameworks >/dev/null 2>&1; then
        # PyTorch first: the others then take the versions that fit it.
        # shellcheck disable=SC2086
        python3 -m venv --clear "$venv" && twice "$venv/bin/pip" install torch==2.13.0 &&
            twice "$venv/bin/pip" install $PYTHON_PACKAGES && has_frameworks || return 1
    fi
    export LSTMRUN_PYTHON="$venv/bin/python"
}

# TensorFlow into the same environment; the other frameworks do without it. Not compiled to bytecode: of its
# thousands of files the tests import few.
add_tensorflow() {
    has_tensorflow >/dev/null 2>&1 && return 0
    [ -x "${venv:-}/bin/pip" ] || return 1
    # shellcheck disable=SC2086
    twice "$venv/bin/pip" install --no-deps --no-compile $TENSORFLOW_PACKAGES && has_tensorflow
}

has_tensorflow() {
    TF_CPP_MIN_LOG_LEVEL=3 KERAS_BACKEND=tensorflow "$LSTMRUN_PYTHON" -c "import tensorflow, tf_keras, keras, tf2onnx"
}

# Every package can be imported; absl-py is the one whose module has another name.
has_frameworks() {
    KERAS_BACKEND=torch "$venv/bin/python" -c \
        "import torch, $(echo "$PYTHON_PACKAGES" | sed 's/absl-py/absl/; s/ /, /g')"
}

suite_frameworks() {
    if [ -z "${LSTMRUN_PYTHON:-}" ]; then
        tail -n 3 "$work/frameworks.pip.log"
        left_out frameworks "PyTorch and the others cannot be had from PyPI (see build-check/frameworks.pip.log)"
        return
    fi
    $tensorflow || left_out tensorflow "TensorFlow cannot be had from PyPI (see build-check/tensorflow.pip.log); the \
others are tried without it"
    say "frameworks: PyTorch, ONNX Runtime, Keras and TensorFlow …"
    LSTMRUN_BUILD=$work/gcc "$LSTMRUN_PYTHON" tests/frameworks/run.py >"$work/frameworks.log" 2>&1 </dev/null
    logged frameworks "$work/frameworks.log" $?
}

# fuzz_one TARGET: prints one "ok" or "not ok" line after the target's own output in case of a finding.
fuzz_one() {
    target=$(basename "$1")
    corpus=$work/corpus/$target
    seeds=tests/seeds/${target#fuzz_}
    [ -d "$seeds" ] || seeds=
    mkdir -p "$corpus"
    if "$1" -max_total_time="$fuzz_seconds" -timeout=10 -rss_limit_mb=2048 -artifact_prefix="$work/$target-" \
        "$corpus" $seeds >"$work/$target.log" 2>&1 </dev/null; then
        echo "ok $target ($(grep -oE '^#[0-9]+' "$work/$target.log" | tail -n 1 | tr -d '#') inputs)"
    else
        tail -n 40 "$work/$target.log"
        echo "not ok $target"
    fi
}

# The corpora that libFuzzer left, replayed in the build of the other compiler.
replay_one() {
    target=$(basename "$1")
    if "$1" "$work/corpus/$target" >"$work/$target.replay.log" 2>&1 </dev/null; then
        echo "ok $target: replay with gcc"
    else
        tail -n 40 "$work/$target.replay.log"
        echo "not ok $target: replay with gcc"
    fi
}

suite_fuzz() {
    say "fuzz: each target for $fuzz_seconds seconds, two at a time …"
    if ! CC=clang build fuzz --buildtype=debugoptimized -Dopenmp=enabled -Dfuzz=true -Dbench=false \
        -Db_sanitize=address,undefined -Db_lundef=false \
        -Dc_args='-fno-sanitize-recover=all -fsanitize=fuzzer-no-link'; then
        broken fuzz "$work/fuzz.log"
        return
    fi
    : >"$work/fuzz.run.log"
    running=0
    for program in "$work"/fuzz/tests/fuzz_*; do
        [ -f "$program" ] && [ -x "$program" ] || continue
        fuzz_one "$program" >>"$work/fuzz.run.log" 2>&1 &
        running=$((running + 1))
        [ $((running % 2)) -ne 0 ] || wait
    done
    wait
    for program in "$work"/sanitizers/tests/fuzz_*; do
        [ -f "$program" ] && [ -x "$program" ] || continue
        replay_one "$program" >>"$work/fuzz.run.log" 2>&1
    done
    logged fuzz "$work/fuzz.run.log" 0
}

# ---- all of it ----------------------------------------------------------------------------------------------

install_what_is_needed() {
    ensure_build_tools
    have apt-get || { say "No apt-get here: suites whose programs are missing will fail or be skipped."; return; }
    packages=$CHECK_PACKAGES
    wanted aarch64 && packages="$packages $CROSS_PACKAGES"
    wanted onednn && packages="$packages libdnnl-dev"
    # shellcheck disable=SC2086
    install_packages $packages
    # The sanitizers' run-time library of this clang; a package of its own on some releases.
    major=$(clang -dumpversion 2>/dev/null | cut -d. -f1)
    if wanted fuzz && [ -n "$major" ] && apt-cache show "libclang-rt-$major-dev" >/dev/null 2>&1; then
        install_packages "libclang-rt-$major-dev"
    fi
}

install_what_is_needed
# Early, because some suites have tests of their own that compare with PyTorch and skip them without it.
if wanted frameworks; then
    say "Python packages of the frameworks …"
    tensorflow=false
    framework_python >"$work/frameworks.pip.log" 2>&1 </dev/null &&
        add_tensorflow >"$work/tensorflow.pip.log" 2>&1 </dev/null && tensorflow=true
fi
# These use the build of the first.
if ! wanted gcc && { wanted structure || wanted install || wanted examples || wanted frameworks; }; then
    CC=gcc build gcc -Dtests=true --buildtype=release -Dopenmp=enabled --prefix="$work/prefix" ||
        broken gcc "$work/gcc.log"
fi
started=$(date +%s)
for suite in $EVERY; do
    if wanted "$suite"; then
        "suite_$(echo "$suite" | tr - _)"
    fi
done

echo
if [ -s "$failures" ]; then
    say "What failed (all of it is above, and in the logs in build-check/):"
    tail -n 100 "$failures"
    echo
fi
awk '
    BEGIN { printf "%-14s %8s %8s %8s %8s\n", "suite", "passed", "failed", "skipped", "seconds" }
    { printf "%-14s %8d %8d %8d %8d\n", $1, $2, $3, $4, $5; p += $2; f += $3; s += $4 }
    END {
        printf "%d passed, %d failed", p, f
        if (s) printf ", %d skipped", s
        printf "\n"
        exit f > 0 || p == 0
    }' "$results"
