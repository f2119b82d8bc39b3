# shellcheck shell=bash
# The crate, which cargo compiles once more to verify it.

pack_crate() {
    step "the crate"
    rm -f "$CARGO_TARGET_DIR"/package/*.crate
    cargo package --quiet --locked --package numa-audit >&2 || fail "cargo cannot package the crate; the message is above"
    cp "$CARGO_TARGET_DIR/package/numa-audit-$version.crate" "$dist/"
}
