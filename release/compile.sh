# shellcheck shell=bash
# One build for each architecture: the program in the wheel is that of all packages.

# The folders that the program's messages could name get short names, so that it is the same wherever it is built.
set_flags() {
    local home=${CARGO_HOME:-$HOME/.cargo} folder
    cargo fetch --quiet --locked || fail "cargo cannot download the crates; is there a network?"
    CARGO_ENCODED_RUSTFLAGS=--remap-path-prefix=$root=numa-audit
    CARGO_ENCODED_RUSTFLAGS+=$'\x1f'--remap-path-prefix=$CARGO_TARGET_DIR=target
    for folder in "$home"/registry/src/*/; do
        CARGO_ENCODED_RUSTFLAGS+=$'\x1f'--remap-path-prefix=${folder%/}=crates
    done
    export CARGO_ENCODED_RUSTFLAGS
}

# compile ARCHITECTURE: makes the wheel, and $work/ARCHITECTURE/numa-audit.
compile() {
    local target=$1-unknown-linux-gnu own=$work/$1 rustc
    step "$1: the wheel and the program"
    rustc=$(command -v rustc)
    if [ "$1" = aarch64 ]; then
        rustc=$("$here/arm64-rust.sh" "$work/arm64-rust")
    fi
    rm -rf "$own"
    mkdir -p "$own/wheel"
    # glibc 2.17 is the oldest that Rust supports, and that of manylinux2014.
    RUSTC=$rustc maturin build --quiet --release --zig --target "$target" --compatibility manylinux2014 --out "$own/wheel" >&2 ||
        fail "maturin cannot build the wheel for $1; the message is above"
    cp "$own"/wheel/*.whl "$dist/"
    python3 -m zipfile -e "$own"/wheel/*.whl "$own/unpacked"
    install -m 755 "$own"/unpacked/*.data/scripts/numa-audit "$own/numa-audit"
}
