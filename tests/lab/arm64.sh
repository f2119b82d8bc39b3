# shellcheck shell=bash
# What an arm64 guest needs, from Debian's packages, which are unpacked and not installed: the kernel with pages of 16 KiB,
# firmware, and programs.

# The first release whose kernel comes with pages of 16 KiB. Its firmware is needed as well: that of Debian 12 calls a flash memory
# write-combining, Linux counts it as memory, finds it in no node, and makes one node of the machine.
readonly arm64_release=trixie
readonly arm64_packages=(bash busybox-static coreutils grep gzip hostname hwloc-nox mount numactl sed tar util-linux)

# Makes vmlinuz-arm64, efi-arm64.fd and arm64/root.
arm64_files() {
  [ ! -s efi-arm64.fd ] || return 0
  local package
  rm -rf arm64
  mkdir -p arm64/{root,lists/partial,cache/archives/partial}
  arm64_apt || return 1
  for package in arm64/{,cache/archives/}*.deb; do
    case ${package##*/} in
      linux-image-*) one_file "$package" './boot/vmlinuz-*' vmlinuz-arm64 ;;
      qemu-efi-*) one_file "$package" '*/QEMU_EFI.fd' efi-arm64.fd.new ;;
      *) dpkg -x "$package" arm64/root ;;
    esac || return 1
  done
  rm -rf arm64/{*.deb,lists,cache}
  [ -s vmlinuz-arm64 ] && mv efi-arm64.fd.new efi-arm64.fd
}

# one_file PACKAGE PATTERN FILE
one_file() { dpkg-deb --fsys-tarfile "$1" | tar -x --to-stdout --wildcards "$2" >"$3"; }

# Downloads the packages and those that they depend on. The machine's own list of packages stays as it is.
arm64_apt() {
  local uri
  uri=$(mirror) || return 1
  : >arm64/status
  echo "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] $uri $arm64_release main" >arm64/sources.list
  cat >arm64/apt.conf <<CONFIGURATION
Dir::State "$PWD/arm64";
Dir::State::lists "$PWD/arm64/lists";
Dir::State::status "$PWD/arm64/status";
Dir::Cache "$PWD/arm64/cache";
Dir::Etc::sourcelist "$PWD/arm64/sources.list";
Dir::Etc::sourceparts "-";
APT::Architecture "arm64";
APT::Architectures { "arm64"; };
APT::Sandbox::User "root";
Acquire::Languages "none";
Acquire::Retries "1";
Acquire::http::Timeout "20";
CONFIGURATION
  (
    export APT_CONFIG=$PWD/arm64/apt.conf
    cd arm64 && apt-get -qq update &&
      apt-get -qqy --no-install-recommends --download-only install "${arm64_packages[@]}" &&
      kernel=$(apt-cache depends linux-image-arm64-16k | awk '/Depends:/{print $2; exit}') &&
      apt-get -qq download "$kernel" qemu-efi-aarch64
  ) >&2
}
