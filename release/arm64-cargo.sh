#!/usr/bin/env bash
# arm64-cargo.sh FOLDER ARGUMENT...
# Runs cargo for aarch64-unknown-linux-gnu, linked by Debian's cross gcc; tests run under qemu-user. The compiler is not the
# machine's own one: it is unpacked into FOLDER/arm64-rust, and what is built is in FOLDER/arm64.
set -euo pipefail
shopt -s inherit_errexit
# shellcheck source=release/common.sh
. "$(dirname "$0")/common.sh"

[ $# -ge 2 ] || fail "two arguments are needed: arm64-cargo.sh FOLDER ARGUMENT..."
need aarch64-linux-gnu-gcc gcc-aarch64-linux-gnu
[ -e "$(aarch64-linux-gnu-gcc -print-file-name=crt1.o)" ] ||
    fail "the C library of arm64 is missing; on Debian it is in the package libc6-dev-arm64-cross"
RUSTC=$("$(dirname "$0")/arm64-rust.sh" "$1/arm64-rust")
export RUSTC CARGO_TARGET_DIR=$1/arm64 CARGO_BUILD_TARGET=aarch64-unknown-linux-gnu CARGO_PROFILE_DEV_DEBUG=0
export CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_LINKER=aarch64-linux-gnu-gcc
export CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_RUNNER=qemu-aarch64-static QEMU_LD_PREFIX=/usr/aarch64-linux-gnu
exec "${CARGO:-cargo}" "${@:2}"
