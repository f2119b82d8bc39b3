# shellcheck shell=bash
# What all parts of the release script use.

# Ends the script with one sentence.
fail() {
    printf 'release: %s\n' "$*" >&2
    exit 2
}

# Says which step runs now.
step() {
    printf '== %s\n' "$*" >&2
}

# need PROGRAM PACKAGE: the program is installed; Debian has it in this package.
need() {
    command -v "$1" >/dev/null || fail "$1 is missing; on Debian it is in the package $2"
}
