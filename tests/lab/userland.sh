# shellcheck shell=bash
# The small userland of a guest, of this machine's own programs or of unpacked packages.

# pack_userland FILE FROM TRIPLET COMPILER: an initramfs. FROM is the folder of unpacked packages; empty: the machine's own programs.
pack_userland() {
  local file=$1 from=$2 triplet=$3 compiler=$4 root=$1.root program library
  rm -rf "$root"; mkdir -p "$root"/{bin,usr/bin,"usr/lib/$triplet",etc,proc,sys,dev,tmp,run,root,in,out,lib}
  ln -s "../usr/lib/$triplet" "$root/lib/$triplet"
  ln -s lib "$root/lib64"
  for program in bash busybox cat chmod cp cut echo env grep gzip head hostname ln ls mkdir mount numactl numastat hwloc-ps hwloc-calc \
                 migratepages mknod rm sed seq setpriv sleep sort stat sync tar taskset tr timeout umount uname unshare; do
    put "$program"
  done
  # Only the scenario `watch` needs it; of the packages that are unpacked for arm64 none has it.
  [ -n "$from" ] || put script
  ln -s busybox "$root/usr/bin/poweroff"
  ln -s ../usr/bin/bash "$root/bin/bash"; ln -s ../usr/bin/bash "$root/bin/sh"
  # What a dynamic Rust program names, and what is opened at run time only.
  for library in libgcc_s.so.1 libm.so.6 libdl.so.2 libpthread.so.0 libnss_files.so.2; do
    cp -L "$from/usr/lib/$triplet/$library" "$root/usr/lib/$triplet/"
  done
  printf 'root:x:0:0:root:/root:/bin/bash\nnobody:x:65534:65534:nobody:/:/bin/bash\n' >"$root/etc/passwd"
  printf 'root:x:0:\nnogroup:x:65534:\n' >"$root/etc/group"
  "$compiler" -O2 -Wall -Wextra -Werror -pthread -o "$root/usr/bin/hog" "$here/guest/hog.c"
  install -m 755 "$here/guest/fake-nvidia" "$root/usr/bin/"
  install -m 755 "$here/guest/init" "$root/init"
  (cd "$root" && find . -print0 | LC_ALL=C sort -z | cpio --quiet --null -o -H newc --owner=+0:+0) >"$file.new"
  rm -rf "$root"
  mv "$file.new" "$file"
}

# put PROGRAM: a program with every library that it names.
put() {
  local path library
  if [ -z "$from" ]; then path=$(type -P "$1"); else path=$(unpacked "$1"); fi
  cp -L "$path" "$root/usr/bin/"
  for library in $(libraries "$path"); do
    case $library in
      */ld-linux*) cp -L "$library" "$root/lib/" ;;
      *) cp -L "$library" "$root/usr/lib/$triplet/" ;;
    esac
  done
}

# unpacked PROGRAM: its path in FROM.
unpacked() {
  local folder
  for folder in usr/bin bin usr/sbin; do
    if [ -e "$from/$folder/$1" ]; then echo "$from/$folder/$1"; return; fi
  done
  echo "lab: no package has the program $1" >&2; return 1
}

# libraries PROGRAM: the paths of all libraries that it needs.
libraries() {
  if [ -z "$from" ]; then ldd "$1" | grep -oE '/[^ ]+' || true; else needed "$1" | sort -u; fi
}

# needed FILE: the same where the program cannot be started here.
needed() {
  local name path
  for name in $(readelf -d "$1" 2>/dev/null | sed -n 's/.*(NEEDED).*\[\(.*\)\]/\1/p'); do
    path=$from/usr/lib/$triplet/$name
    echo "$path"; needed "$path"
  done
}
