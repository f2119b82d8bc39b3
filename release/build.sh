#!/usr/bin/env bash
# Builds what a release consists of, checks it, and lists it. `release/build.sh --help` says how.
set -euo pipefail
shopt -s inherit_errexit
here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/.." && pwd)
# shellcheck source=release/common.sh
. "$here/common.sh"
# shellcheck source=release/tools.sh
. "$here/tools.sh"
# shellcheck source=release/compile.sh
. "$here/compile.sh"
# shellcheck source=release/files.sh
. "$here/files.sh"
# shellcheck source=release/tarball.sh
. "$here/tarball.sh"
# shellcheck source=release/deb.sh
. "$here/deb.sh"
# shellcheck source=release/rpm.sh
. "$here/rpm.sh"
# shellcheck source=release/crate.sh
. "$here/crate.sh"
# shellcheck source=release/check.sh
. "$here/check.sh"

usage="\
release/build.sh VERSION [--dir FOLDER] [--only x86_64]

Makes the wheel, the deb, the rpm and the tarball for x86_64 and aarch64, and the crate. VERSION must be that of
Cargo.toml, and everything must be committed.

  --dir FOLDER    where to work [default: target/release-build]; the result is in FOLDER/dist
  --only x86_64   leave aarch64 out

Needs x86-64 Linux with Rust, git, python3 with venv, binutils, dpkg, lintian, rpmbuild and man; for aarch64
qemu-user-static and libc6-arm64-cross, and either Rust's standard library of that target or Debian 12 or later."

read_arguments() {
    version='' work=$root/target/release-build architectures=(x86_64 aarch64)
    while [ $# -gt 0 ]; do
        case $1 in
        -h | --help) printf '%s\n' "$usage" && exit ;;
        --dir) [ $# -ge 2 ] || fail "--dir needs a folder" && work=$(realpath -m "$2") && shift 2 ;;
        --only) [ "${2-}" = x86_64 ] || fail "--only knows x86_64 alone" && architectures=(x86_64) && shift 2 ;;
        -*) fail "there is no option $1; --help lists them" ;;
        *) [ -z "$version" ] || fail "one version is enough: $version or $1" && version=$1 && shift ;;
        esac
    done
    [ -n "$version" ] || fail "a version is needed: release/build.sh VERSION"
}

# The version and the commit are those that are asked for.
check_source() {
    local package
    package=$(cargo pkgid --locked 2>/dev/null) || fail "cargo cannot read Cargo.toml and Cargo.lock"
    [ "${package##*[#@]}" = "$version" ] || fail "Cargo.toml has the version ${package##*[#@]}, not $version"
    SOURCE_DATE_EPOCH=$(git log -1 --format=%ct 2>/dev/null) || fail "$root is no checkout of git"
    [ -z "$(git status --porcelain)" ] || fail "there are changes that are not committed; git status lists them"
}

# Everything that is written goes to the work folder, caches and temporary files too. Cargo's own downloads are the exception.
set_folders() {
    # Macros of rpm and the linker's wrappers do not hold them.
    [[ $work != *[[:space:]]* ]] || fail "the folder's name must have no blanks: $work"
    mkdir -p "$work" || fail "cannot make the folder $work"
    # What is in it is replaced, so it must be this script's own.
    [ -e "$work/made-by-release-build" ] || [ -z "$(ls -A "$work")" ] || fail "the folder is not empty: $work"
    : >"$work/made-by-release-build"
    dist=$work/dist
    rm -rf "$dist" "$work/tmp"
    mkdir -p "$dist" "$work/tmp"
    export SOURCE_DATE_EPOCH CARGO_TARGET_DIR=$work/target XDG_CACHE_HOME=$work/cache TMPDIR=$work/tmp
    umask 022
    # What a caller has set for other builds would change this one.
    unset RUSTFLAGS RUSTC RUSTC_WRAPPER "${!CARGO_PROFILE_@}" "${!CARGO_BUILD_@}"
}

list_results() {
    local file
    step "done; $dist has"
    (cd "$dist" && for file in *; do printf '%12s  %s\n' "$(stat --format=%s "$file")" "$file"; done)
}

# Where qemu finds arm64's C library.
readonly arm64_libraries=/usr/aarch64-linux-gnu

main() {
    read_arguments "$@"
    [ "$(uname -sm)" = "Linux x86_64" ] || fail "a release is built on x86-64 Linux, not on $(uname -sm)"
    look_for_tools
    cd "$root"
    check_source
    set_folders
    install_tools
    set_flags
    local architecture
    for architecture in "${architectures[@]}"; do
        compile "$architecture"
    done
    write_documents
    for architecture in "${architectures[@]}"; do
        pack_tarball "$architecture"
        pack_deb "$architecture"
        pack_rpm "$architecture"
    done
    pack_crate
    check_all
    list_results
}

main "$@"
