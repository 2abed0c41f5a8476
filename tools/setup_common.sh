# SPDX-License-Identifier: MIT
#
# What quickstart.sh and check.sh share: talking, finding what is missing, installing it with apt, and running a
# step quietly with its log shown if it fails. Sourced, not run. Callers set `log` first.

BUILD_PACKAGES="gcc libc6-dev meson ninja-build pkg-config libjansson-dev libprotobuf-c-dev protobuf-c-compiler
                libzip-dev libsndfile1-dev libhdf5-dev"

say() { printf '%s\n' "$*"; }

die() {
    printf '%s: %s\n' "${0##*/}" "$*" >&2
    exit 1
}

have() { command -v "$1" >/dev/null 2>&1; }

# twice COMMAND…: a download, once more after some seconds if it fails.
twice() {
    "$@" && return 0
    sleep 10
    "$@"
}

# step WORDS COMMAND…: run quietly; on failure show the end of the log and stop.
step() {
    step_words=$1
    shift
    say "$step_words"
    printf '\n== %s\n' "$*" >>"$log"
    if ! "$@" >>"$log" 2>&1 </dev/null; then
        tail -n 40 "$log" >&2
        die "failed: $step_words (the whole log: $log)"
    fi
}

# Names of the programs and libraries that the build needs and cannot find; empty when all is there.
missing_for_build() {
    have cc || have gcc || have clang || printf 'a-C-compiler '
    have meson || printf 'meson '
    have ninja || have ninja-build || printf 'ninja '
    have protoc-c || printf 'protoc-c '
    if have pkg-config; then
        for module in jansson libprotobuf-c libzip; do
            pkg-config --exists "$module" || printf '%s ' "$module"
        done
    else
        printf 'pkg-config '
    fi
}

explain_other_systems() {
    cat >&2 <<EOF
This machine has no apt-get, so please install by hand what is missing: $*
  Fedora:  sudo dnf install gcc meson ninja-build pkgconf-pkg-config jansson-devel protobuf-c-devel \\
               protobuf-c-compiler libzip-devel libsndfile-devel hdf5-devel
  Arch:    sudo pacman -S gcc meson ninja pkgconf jansson protobuf-c libzip libsndfile hdf5
  Alpine:  doas apk add gcc musl-dev meson ninja pkgconf jansson-dev protobuf-c-dev protobuf-c-compiler \\
               libzip-dev libsndfile-dev hdf5-dev argp-standalone
  macOS:   brew install meson ninja pkg-config jansson protobuf-c libzip libsndfile hdf5 libomp argp-standalone
Tried on Debian 12 only, so far.
EOF
}

as_root() {
    if [ "$(id -u)" -eq 0 ]; then
        "$@"
    elif have sudo; then
        sudo "$@"
    else
        die "needs root or sudo to run: $*"
    fi
}

# Those of the named Debian packages that are not installed.
not_installed() {
    for package in "$@"; do
        dpkg-query -W -f='${Status}\n' "$package" 2>/dev/null | grep -q 'install ok installed' ||
            printf '%s ' "$package"
    done
}

# install_packages PACKAGE…: those that are missing, with apt.
install_packages() {
    packages=$(not_installed "$@")
    [ -n "$packages" ] || return 0
    # sudo may have to ask for a password, which the quiet steps could not show.
    [ "$(id -u)" -eq 0 ] || { have sudo && sudo true; } || die "needs root or sudo to install: $packages"
    export DEBIAN_FRONTEND=noninteractive
    step "Fetching the list of packages …" twice as_root apt-get update
    # Unquoted: a list of names.
    # shellcheck disable=SC2086
    step "Installing: $packages" twice as_root apt-get install -y --no-install-recommends $packages
}

ensure_build_tools() {
    missing=$(missing_for_build)
    if [ -n "$missing" ]; then
        have apt-get || { explain_other_systems "$missing"; exit 1; }
        # shellcheck disable=SC2086
        install_packages $BUILD_PACKAGES
    fi
    case $(meson --version) in
    0.*) die "found meson $(meson --version), but 1.0 or newer is needed (Debian 12, Ubuntu 24.04 and later have it)" ;;
    esac
}
