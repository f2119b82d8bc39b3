# shellcheck shell=bash
# The tarball, with its checksum.

# pack_tarball ARCHITECTURE
pack_tarball() {
    local name=numa-audit-$version-$1-unknown-linux-gnu
    local tree=$work/tarball-$1
    step "$1: the tarball"
    rm -rf "$tree"
    mkdir -p "$tree/$name"
    install -m 755 "$work/$1/numa-audit" "$tree/$name/"
    install -m 644 "$root"/{README.md,CHANGELOG.md,LICENSE-APACHE,LICENSE-MIT} "$tree/$name/"
    cp -r "$work/man" "$work/complete" "$root/contrib" "$tree/$name/"
    set_times "$tree"
    tar --create --directory "$tree" --format=gnu --sort=name --owner=0 --group=0 --numeric-owner "$name" |
        gzip -9n >"$dist/$name.tar.gz"
    (cd "$dist" && sha256sum "$name.tar.gz" >"$name.tar.gz.sha256")
}
