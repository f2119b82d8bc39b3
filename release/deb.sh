# shellcheck shell=bash
# The package for Debian and Ubuntu.

# A package must name an address. The project has none yet.
maintainer='The numa-audit developers <maintainers@numa-audit.invalid>'

# pack_deb ARCHITECTURE
pack_deb() {
    local tree=$work/deb-$1 architecture
    step "$1: the deb"
    case $1 in
    x86_64) architecture=amd64 ;;
    aarch64) architecture=arm64 ;;
    esac
    lay_tree "$tree" "$1" vendor-completions
    write_debian_documents "$tree/usr/share/doc/numa-audit"
    write_control "$tree" "$architecture"
    set_times "$tree"
    # xz: Debian 10 and Ubuntu 20.04 cannot read zstd.
    dpkg-deb --root-owner-group -Zxz --build "$tree" "$dist/numa-audit_$version-1_$architecture.deb" >/dev/null
}

# write_debian_documents FOLDER: licences and changes, as Debian wants them.
write_debian_documents() {
    gzip -9nc "$root/CHANGELOG.md" >"$1/changelog.gz"
    gzip -9n >"$1/changelog.Debian.gz" <<CHANGES
numa-audit ($version-1) unstable; urgency=medium

  * Version $version; changelog.gz has what changed.

 -- $maintainer  $(LC_ALL=C date --utc --rfc-email --date="@$SOURCE_DATE_EPOCH")
CHANGES
    {
        sed -n 's/^Copyright .*/&/p' "$root/LICENSE-MIT"
        printf '\nLicence: MIT or Apache-2.0, at your choice. The Apache License, version 2.0, is in\n'
        printf '/usr/share/common-licenses/Apache-2.0. The MIT licence:\n\n'
        cat "$root/LICENSE-MIT"
    } >"$1/copyright"
}

# write_control FOLDER ARCHITECTURE
write_control() {
    local size
    size=$(du --apparent-size --summarize --block-size=1024 "$1" | cut -f 1)
    install -d "$1/DEBIAN"
    # By hand: what Debian's tools would compute is the newest libc6, although the program needs no symbol that is newer.
    cat >"$1/DEBIAN/control" <<CONTROL
Package: numa-audit
Version: $version-1
Architecture: $2
Maintainer: $maintainer
Installed-Size: $size
Depends: libc6 (>= 2.17)
Section: admin
Priority: optional
Description: check on which NUMA nodes deep-learning processes run
 numa-audit shows, for every training and worker process, the NUMA node that
 its GPU is attached to, the nodes on which its threads run and may run, and
 the nodes on which its memory is. It reports where these do not match, why,
 and what would fix it. It only reads.
 .
 NVIDIA's driver is asked if it is there; GPUs of AMD and Intel are found in
 /sys. Recordings of other machines can be audited without a GPU.
CONTROL
    (cd "$1" && find usr -type f -print0 | LC_ALL=C sort -z | xargs -0 md5sum) >"$1/DEBIAN/md5sums"
}
