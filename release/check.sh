# shellcheck shell=bash
# Checks of what was built.

readonly example=fixtures/p4d-do-not-match.tar.gz
readonly example_end='5 processes: 0 ok, 0 at risk, 5 mismatched, 0 unknown'

check_all() {
    local architecture
    for architecture in "${architectures[@]}"; do
        step "$architecture: checks"
        check_program "$work/$architecture/numa-audit"
        check_deb "$architecture"
        check_rpm "$architecture"
    done
    step "checks of the wheel, the checksums and the pages"
    check_wheel
    (cd "$dist" && sha256sum --check --quiet ./*.sha256) || fail "a checksum is wrong"
    check_pages
    if [ -e "$work/aarch64/numa-audit" ]; then
        step "aarch64: every recorded machine, under qemu"
        QEMU_LD_PREFIX=$arm64_libraries "$here/same-output.sh" "$work/x86_64/numa-audit" \
            qemu-aarch64-static "$work/aarch64/numa-audit" >&2
    fi
}

# check_program FILE: it runs with glibc 2.17, loads libraries at run time, and needs nothing but that C library.
check_program() {
    local symbols newest needed named
    symbols=$(objdump -T "$1")
    newest=$(grep -o 'GLIBC_[0-9.]*' <<<"$symbols" | sort -Vu | tail -n 1)
    [ "$(printf '%s\n' GLIBC_2.17 "$newest" | sort -V | tail -n 1)" = GLIBC_2.17 ] || fail "$1 needs $newest"
    grep -qw dlopen <<<"$symbols" || fail "$1 cannot load the driver's library: it has no dlopen"
    needed=$(readelf -d "$1" | sed -n 's/.*(NEEDED).*\[\(.*\)\]/\1/p')
    [ -n "$needed" ] || fail "$1 is linked statically"
    needed=$(grep -Ev '^(lib(c|m|dl|rt|util|pthread)\.so\.[0-9]|ld-linux-.*)$' <<<"$needed" || true)
    [ -z "$needed" ] || fail "$1 needs ${needed//$'\n'/, }"
    named=$(strings "$1" | grep -Fo -e "$work/" -e "$root/" -e "${CARGO_HOME:-$HOME/.cargo}/" | sort -u || true)
    [ -z "$named" ] || fail "$1 names folders of this machine: ${named//$'\n'/, }"
}

# check_example COMMAND...: it audits a recorded machine rightly.
check_example() {
    local code=0 screen
    screen=$("$@" --snapshot "$root/$example") || code=$?
    [ "$code" -eq 1 ] || fail "$* gives the exit code $code for $example, not 1"
    [ "$(tail -n 1 <<<"$screen")" = "$example_end" ] || fail "$* does not print of $example: $example_end"
}

check_wheel() {
    local venv=$work/wheel-venv
    rm -rf "$venv"
    python3 -m venv "$venv"
    "$venv/bin/pip" install --quiet --disable-pip-version-check --no-index "$dist"/numa_audit-*_x86_64.whl
    check_example "$venv/bin/numa-audit"
    [ "$("$venv/bin/numa-audit" --version)" = "numa-audit $version" ] || fail "the wheel has another version"
}

# check_deb ARCHITECTURE
check_deb() {
    local unpacked=$work/deb-unpacked-$1 file
    case $1 in
    x86_64) file=$dist/numa-audit_$version-1_amd64.deb ;;
    aarch64) file=$dist/numa-audit_$version-1_arm64.deb ;;
    esac
    rm -rf "$unpacked"
    dpkg-deb -x "$file" "$unpacked"
    cmp "$unpacked/usr/bin/numa-audit" "$work/$1/numa-audit" || fail "$file has another program"
    # The package is for users, not for Debian's archive, where it would close a request for it.
    lintian --allow-root --fail-on error --suppress-tags initial-upload-closes-no-bugs "$file" >&2 || fail "lintian finds errors in $file"
    if [ "$1" = x86_64 ]; then
        check_example "$unpacked/usr/bin/numa-audit"
    fi
}

# check_rpm ARCHITECTURE
check_rpm() {
    local file=$dist/numa-audit-$version-1.$1.rpm
    diff <(cd "$work/rpm-$1" && find . -type f -printf '/%P\n' | sort) \
        <(HOME=$work rpm --dbpath "$work/rpm-database" -qp --qf '[%{FILEMODES:perms} %{FILENAMES}\n]' "$file" |
            sed -n 's/^-[^ ]* //p' | sort) >&2 ||
        fail "$file has other files than were put into it"
}

check_pages() {
    local page warnings
    for page in "$work"/man/*.1; do
        warnings=$(LC_ALL=C.UTF-8 man --warnings --local-file "$page" 2>&1 >/dev/null)
        [ -z "$warnings" ] || fail "man warns about ${page##*/}: $warnings"
    done
}
