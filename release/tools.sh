# shellcheck shell=bash
# The tools: those of the machine are looked for, the others come from PyPI into the work folder.

# What must be installed. All of it is in Debian; arm64's C library is for qemu.
look_for_tools() {
    command -v cargo >/dev/null || fail "cargo is missing; Rust 1.88 or later is needed"
    need git git
    need python3 python3
    need readelf binutils
    need objdump binutils
    need dpkg-deb dpkg
    need lintian lintian
    need rpmbuild rpm
    need rpm rpm
    need man man-db
    python3 -c 'import venv, ensurepip' 2>/dev/null || fail "python3 cannot make virtual environments; on Debian install python3-venv"
    if [[ " ${architectures[*]} " == *" aarch64 "* ]]; then
        need qemu-aarch64-static qemu-user-static
        [ -e "$arm64_libraries/lib/ld-linux-aarch64.so.1" ] ||
            fail "arm64's C library is missing, under which the arm64 program is tried; on Debian it is in the package libc6-arm64-cross"
    fi
}

# maturin, zig and what joins them, in a virtual environment whose bin folder is put on the path.
install_tools() {
    step "tools from PyPI: $(tr '\n' ' ' < <(grep -v '^#' "$here/requirements.txt"))"
    local tools=$work/tools
    if [ ! -x "$tools/bin/python3" ]; then
        python3 -m venv "$tools"
    fi
    "$tools/bin/pip" install -qq --retries 2 --disable-pip-version-check --requirement "$here/requirements.txt" ||
        fail "pip cannot install the tools that release/requirements.txt names; is there a network?"
    PATH=$tools/bin:$PATH
}
