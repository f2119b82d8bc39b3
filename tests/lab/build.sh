#!/bin/bash
# Makes what run.sh boots: Debian's cloud kernel (unpacked, not installed) and a small userland as an initramfs.
#   build.sh FOLDER      as root on Debian
#   LAB_KERNEL=backports build.sh FOLDER
#                        adds the newer kernel of the release's backports, as vmlinuz-backports; exits with 3 where it
#                        cannot be had
#   LAB_KERNEL=arm64 build.sh FOLDER
#                        the same for arm64, see arm64.sh
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
mkdir -p "$1"; cd "$1"
case ${LAB_KERNEL:-} in arm64) exec 9>lock-arm64 ;; *) exec 9>lock ;; esac
flock 9 # one build of an architecture at a time
# shellcheck source=tests/lab/userland.sh
. "$here/userland.sh"
# shellcheck source=tests/lab/arm64.sh
. "$here/arm64.sh"

# The address of the Debian that the machine itself uses.
mirror() {
  local release uri
  release=$(. /etc/os-release; echo "${VERSION_CODENAME:-}")
  uri=$(apt-get indextargets --format '$(RELEASE) $(COMPONENT) $(REPO_URI)' 'Created-By: Packages' |
    awk -v release="$release" '$1 == release && $2 == "main" { print $3; exit }')
  [ -n "$uri" ] || { echo "lab: apt has no source of release '$release'" >&2; return 1; }
  echo "$uri"
}
# is_new FILE: nothing of which it is made is newer.
is_new() { [ -s "$1" ] && [ -z "$(find "$here/guest" "$here"/{build,userland,arm64}.sh -newer "$1" -print -quit)" ]; }

kernel() { # kernel FILE [APT OPTION...]: the newest cloud kernel that apt knows
  local file=$1 name; shift
  [ ! -s "$file" ] || return 0
  newest() { apt-cache "$@" depends linux-image-cloud-amd64 2>/dev/null | awk '/Depends:/{print $2; exit}' || true; }
  download() { apt-get -qq -o APT::Sandbox::User=root "$@" download "$name"; }
  name=$(newest "$@")
  [ -n "$name" ] || { apt-get -qq "$@" update; name=$(newest "$@"); }
  [ -n "$name" ] || { echo 'lab: apt knows no package linux-image-cloud-amd64' >&2; return 1; }
  download "$@" || { apt-get -qq "$@" update && download "$@"; } || return 1
  dpkg -x "$name"_*.deb kernel && mv kernel/boot/vmlinuz-* "$file"
  rm -rf kernel "$name"_*.deb
  [ -s "$file" ]
}
# The lists of backports lie here, beside the machine's own: its sources stay as they are.
backports() {
  [ ! -s vmlinuz-backports ] || return 0
  local release uri
  release=$(. /etc/os-release; echo "${VERSION_CODENAME:-}")
  uri=$(mirror) || return 1
  mkdir -p lists/partial
  echo "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] $uri $release-backports main" >backports.list
  kernel vmlinuz-backports -o Dir::Etc::SourceList="$PWD/backports.list" -o Dir::Etc::SourceParts=- \
    -o Dir::State::Lists="$PWD/lists" -o Acquire::Retries=1 -o Acquire::http::Timeout=20 -o APT::Sandbox::User=root
}
if [ "${LAB_KERNEL:-}" = arm64 ]; then
  arm64_files || exit 3
  is_new base-arm64.cpio || pack_userland base-arm64.cpio "$PWD/arm64/root" aarch64-linux-gnu aarch64-linux-gnu-gcc
  exit
fi
kernel vmlinuz
case ${LAB_KERNEL:-} in
  '') ;;
  backports) backports || exit 3 ;;
  *) echo "lab: no kernel '$LAB_KERNEL'" >&2; exit 1 ;;
esac
is_new base.cpio || pack_userland base.cpio '' x86_64-linux-gnu gcc
