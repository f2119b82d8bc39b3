# shellcheck shell=bash
# The package for Red Hat's and SUSE's distributions.

# pack_rpm ARCHITECTURE
pack_rpm() {
    local tree=$work/rpm-$1 top=$work/rpmbuild-$1
    step "$1: the rpm"
    lay_tree "$tree" "$1" site-functions
    install -Dm 644 -t "$tree/usr/share/licenses/numa-audit" "$root/LICENSE-APACHE" "$root/LICENSE-MIT"
    install -m 644 "$root/CHANGELOG.md" "$tree/usr/share/doc/numa-audit/"
    set_times "$tree"
    rm -rf "$top"
    mkdir -p "$top/home"
    # The macros say: nothing of this machine in the package, no change to the program, and a compression that old rpms know.
    HOME=$top/home rpmbuild --quiet -bb --target "$1-linux" \
        --define "_topdir $top" --define "_tmppath $top/tmp" --define "_dbpath $top/db" \
        --define "numa_audit_version $version" --define "numa_audit_tree $tree" \
        --define '_buildhost localhost' --define 'use_source_date_epoch_as_buildtime 1' \
        --define 'clamp_mtime_to_source_date_epoch 1' --define '_build_id_links none' \
        --define 'debug_package %{nil}' --define '__os_install_post %{nil}' --define '_binary_payload w6.xzdio' \
        "$here/numa-audit.spec" >"$top/log" 2>&1 || fail "rpmbuild failed; $top/log has its messages"
    cp "$top/RPMS/$1"/*.rpm "$dist/"
}
