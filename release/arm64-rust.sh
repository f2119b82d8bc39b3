#!/usr/bin/env bash
# arm64-rust.sh FOLDER
# Prints the path of a Rust compiler that can compile for aarch64-unknown-linux-gnu on this x86-64 machine. That is the
# installed one where it has the standard library of that target. Otherwise Debian's packages are unpacked, not installed,
# into FOLDER: a second call finds them there. The machine's own list of packages and its configuration stay as they are.
set -euo pipefail
shopt -s inherit_errexit
# shellcheck source=release/common.sh
. "$(dirname "$0")/common.sh"

target=aarch64-unknown-linux-gnu

# The installed compiler, if it can do it.
installed_rustc() {
    local library
    library=$(rustc --print target-libdir --target "$target" 2>/dev/null) || return 1
    compgen -G "$library/libstd-*.rlib" >/dev/null || return 1
    command -v rustc
}

is_debian() {
    command -v apt-get >/dev/null && command -v dpkg-deb >/dev/null
}

# Where this machine's apt finds Debian.
debian_sources() {
    local list
    for list in /etc/apt/sources.list.d/debian.sources /etc/apt/sources.list; do
        if [ -s "$list" ]; then
            printf '%s\n' "$list"
            return
        fi
    done
    fail "apt has no list of Debian's sources on this machine"
}

# apt-get and apt-cache shall know arm64's packages, and shall write only to the folder.
configure_apt() {
    local sources
    sources=$(debian_sources)
    mkdir -p "$apt/lists/partial" "$apt/cache/archives/partial"
    : >"$apt/status"
    cat >"$apt/apt.conf" <<CONFIGURATION
Dir::State "$apt";
Dir::State::lists "$apt/lists";
Dir::State::status "$apt/status";
Dir::Cache "$apt/cache";
Dir::Etc::sourcelist "$sources";
Dir::Etc::sourceparts "-";
APT::Architecture "amd64";
APT::Architectures { "amd64"; "arm64"; };
APT::Sandbox::User "root";
Acquire::Languages "none";
CONFIGURATION
    export APT_CONFIG=$apt/apt.conf
}

# The version that apt would install.
candidate() {
    apt-cache policy "$1" | sed -n 's/^  Candidate: //p'
}

# The first package on which $1 depends whose name begins with $2.
dependency() {
    apt-cache depends "$1" | sed -n "s/^ *Depends: \\($2[^ ]*\\)\$/\\1/p" | sed -n 1p
}

download() {
    local version library llvm
    apt-get -qq update || fail "apt-get cannot read Debian's lists of packages; is there a network?"
    version=$(candidate libstd-rust-web-dev:arm64)
    case $version in
    '' | '(none)') fail "apt has no package libstd-rust-web-dev for arm64; Debian 12 and later have it" ;;
    esac
    library=$(dependency libstd-rust-web-dev libstd-rust-web-)
    llvm=$(dependency "$library" libllvm)
    # The compiler and the libraries must be of one version.
    local packages=("rustc-web:amd64=$version" "$library:amd64=$version" "libstd-rust-web-dev:amd64=$version"
        "libstd-rust-web-dev:arm64=$version" "$llvm:amd64")
    mkdir -p "$folder/debs"
    (cd "$folder/debs" && apt-get -qq download "${packages[@]}") ||
        fail "apt-get cannot download ${packages[*]}; is there a network?"
}

unpack() {
    local package
    rm -rf "$folder/root"
    mkdir -p "$folder/root"
    for package in "$folder"/debs/*.deb; do
        dpkg-deb -x "$package" "$folder/root"
    done
    rm -rf "$folder/debs" "$apt"
}

# The compiler finds its own libraries only through the variable.
write_wrapper() {
    cat >"$wrapper.new" <<WRAPPER
#!/bin/sh
LD_LIBRARY_PATH='$folder/root/usr/lib/x86_64-linux-gnu' exec '$folder/root/usr/bin/rustc' "\$@"
WRAPPER
    chmod 755 "$wrapper.new"
    "$wrapper.new" --version >&2 || fail "Debian's compiler does not run here; the message is above"
    mv "$wrapper.new" "$wrapper"
}

[ $# -eq 1 ] || fail "one argument is needed: arm64-rust.sh FOLDER"
if installed_rustc; then
    exit
fi
[ "$(uname -m)" = x86_64 ] || fail "this machine is not x86-64, for which Debian's cross compiler is unpacked"
is_debian || fail "the installed Rust lacks the standard library of $target (rustup target add $target), and this is no Debian, whose packages would be taken instead"
mkdir -p "$1"
folder=$(cd "$1" && pwd)
apt=$folder/apt
wrapper=$folder/rustc
if [ ! -x "$wrapper" ]; then
    step "the standard library of $target, from Debian's packages"
    configure_apt
    download
    unpack
    write_wrapper
fi
printf '%s\n' "$wrapper"
