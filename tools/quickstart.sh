#!/bin/sh
# SPDX-License-Identifier: MIT
#
# From a fresh checkout to a running model: install what the build needs, build the library and the tools under
# build/, convert the example and run it. Safe to run again; the second time takes seconds.
#
#     sh tools/quickstart.sh
set -eu

cd "$(dirname "$0")/.."
mkdir -p build
log=$PWD/build/quickstart.log
: >"$log"
. tools/setup_common.sh

ensure_build_tools
if [ ! -f build/build.ninja ]; then
    step "Configuring …" meson setup build --buildtype=release -Dtests=false
fi
step "Building …" meson compile -C build

for program in build/tools/lstmrun build/tools/lstmconvert build/bench/lstmbench; do
    [ -x "$program" ] || die "the build did not make $program"
done
sh examples/elnino/demo.sh build
