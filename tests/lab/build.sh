#!/bin/bash
# Makes what run.sh boots: Debian's cloud kernel (unpacked, not installed) and a small userland as an initramfs.
#   build.sh FOLDER      as root on Debian
#   LAB_KERNEL=backports build.sh FOLDER
#                        adds the newer kernel of the release's backports, as vmlinuz-backports; exits with 3 where it
#                        cannot be had
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
mkdir -p "$1"; cd "$1"
exec 9>lock; flock 9 # one build at a time

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
  uri=$(apt-get indextargets --format '$(RELEASE) $(COMPONENT) $(REPO_URI)' 'Created-By: Packages' |
    awk -v release="$release" '$1 == release && $2 == "main" { print $3; exit }')
  [ -n "$uri" ] || { echo "lab: apt has no source of release '$release'" >&2; return 1; }
  mkdir -p lists/partial
  echo "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] $uri $release-backports main" >backports.list
  kernel vmlinuz-backports -o Dir::Etc::SourceList="$PWD/backports.list" -o Dir::Etc::SourceParts=- \
    -o Dir::State::Lists="$PWD/lists" -o Acquire::Retries=1 -o Acquire::http::Timeout=20 -o APT::Sandbox::User=root
}
kernel vmlinuz
case ${LAB_KERNEL:-} in
  '') ;;
  backports) backports || exit 3 ;;
  *) echo "lab: no kernel '$LAB_KERNEL'" >&2; exit 1 ;;
esac
[ -s base.cpio ] && [ -z "$(find "$here/guest" "$here/build.sh" -newer base.cpio -print -quit)" ] && exit

rm -rf root; mkdir -p root/{bin,usr/bin,usr/lib/x86_64-linux-gnu,etc,proc,sys,dev,tmp,run,root,in,out,lib}
ln -s ../usr/lib/x86_64-linux-gnu root/lib/x86_64-linux-gnu
ln -s lib root/lib64
put() { # a program with every library that it names
  local library
  cp -L "$1" "root/usr/bin/"
  for library in $(ldd "$1" | grep -oE '/[^ ]+'); do
    case $library in
      */ld-linux*) cp -L "$library" root/lib/ ;;
      *) cp -L "$library" root/usr/lib/x86_64-linux-gnu/ ;;
    esac
  done
}
for program in bash cat chmod cp cut echo env grep gzip head hostname kill ln ls mkdir mount numactl numastat hwloc-ps hwloc-calc \
               migratepages mknod rm sed seq setpriv sleep sort stat sync tar taskset tr timeout umount uname unshare; do
  put "$(type -P "$program")"
done
put /bin/busybox; ln -s busybox root/usr/bin/poweroff
ln -s ../usr/bin/bash root/bin/bash; ln -s ../usr/bin/bash root/bin/sh
# What a dynamic Rust program names, and what is opened at run time only.
for library in libgcc_s.so.1 libm.so.6 libdl.so.2 libpthread.so.0 libnss_files.so.2; do
  cp -L "/lib/x86_64-linux-gnu/$library" root/usr/lib/x86_64-linux-gnu/
done
printf 'root:x:0:0:root:/root:/bin/bash\nnobody:x:65534:65534:nobody:/:/bin/bash\n' >root/etc/passwd
printf 'root:x:0:\nnogroup:x:65534:\n' >root/etc/group
gcc -O2 -Wall -Wextra -Werror -pthread -o root/usr/bin/hog "$here/guest/hog.c"
install -m 755 "$here/guest/fake-nvidia" root/usr/bin/
install -m 755 "$here/guest/init" root/init
(cd root && find . -print0 | LC_ALL=C sort -z | cpio --quiet --null -o -H newc --owner=+0:+0) >base.cpio.new
rm -rf root
mv base.cpio.new base.cpio
