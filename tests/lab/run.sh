#!/bin/bash
# Boots a virtual machine of several NUMA nodes under QEMU, without KVM, and runs one script in it.
#   run.sh BUILD SHAPE OUT FILE...     BUILD: what build.sh made. FILEs are put into the guest's /in, one of them named
#                                      `scenario`, which is run; what it leaves in /out comes back in OUT
#   LAB_KERNEL=backports run.sh ...    with the newer kernel
#   LAB_KERNEL=arm64 run.sh ...        the shapes whose names begin with arm64
#   run.sh --list                      the shapes
# Facts about QEMU are noted at the lines that depend on them.
set -euo pipefail

machine=q35; cpu=max; card=pci-testdev; devices=(); options=; memory=0; nodes=0; topology=()
# node MIB [CPULIST]: the next node, with MIB of memory (0: none) and these CPUs (none: memory only). Linux numbers nodes by
# first appearance, CPUs first: those of memory only come last.
node() {
  local spec="node,nodeid=$nodes"
  [ -z "${2:-}" ] || spec+=",cpus=$2"
  if [ "$1" -gt 0 ]; then
    topology+=(-object "memory-backend-ram,id=m$nodes,size=$1M"); spec+=",memdev=m$nodes"; memory=$((memory + $1))
  fi
  topology+=(-numa "$spec"); nodes=$((nodes + 1))
}
# Every pair must be given, and none may be 10: else Linux throws all distances away.
distance() { topology+=(-numa "dist,src=$1,dst=$2,val=$3"); }
# bus NUMBER NODE: a PCI bus (two hexadecimal digits) on a node. QEMU lets only bridges sit on such a root bus: it gets the number
# before, and a bridge on it makes the bus.
bus() {
  topology+=(-device "pxb-pcie,id=pxb$1,bus=pcie.0,bus_nr=$((16#$1 - 1)),numa_node=$2"
             -device "pci-bridge,id=bus$1,bus=pxb$1,addr=0,chassis_nr=$((16#$1)),shpc=off,msi=off")
}
gpu() { topology+=(-device "$card,bus=bus$1,addr=$2"); } # gpu BUS SLOT
loose_gpu() { topology+=(-device "$card,bus=pcie.0,addr=$1"); } # on QEMU's own root bus numa_node is -1
# madt APICID...: Linux numbers CPUs in the order of the ACPI MADT. A second one, which the kernel is told to use, has another order.
madt() {
  local id bytes='\x00\x00\xe0\xfe\x01\x00\x00\x00' # local APIC at 0xfee00000, PC-AT compatible
  for id in "$@"; do bytes+=$(printf '\\x00\\x08\\x%02x\\x%02x\\x01\\x00\\x00\\x00' "$id" "$id"); done
  bytes+='\x01\x0c\x00\x00\x00\x00\xc0\xfe\x00\x00\x00\x00' # I/O APIC at 0xfec00000
  bytes+='\x02\x0a\x00\x00\x02\x00\x00\x00\x00\x00'         # IRQ 0 is 2
  for id in 5 9 10 11; do bytes+=$(printf '\\x02\\x0a\\x00\\x%02x\\x%02x\\x00\\x00\\x00\\x0d\\x00' "$id" "$id"); done
  bytes+='\x04\x06\xff\x00\x00\x01' # NMI at LINT1
  printf "$bytes" >"$scratch/madt"
  topology+=(-acpitable "sig=APIC,rev=3,oem_id=NUMALB,oem_table_id=MADT,data=$scratch/madt"); options+=' acpi_apic_instance=2'
}

shape_p4d() { # 2 nodes, CPU numbers and PCI addresses of an AWS p4d; CPU 4 is CPU 0's hyperthread
  cpus=8,sockets=2,cores=2,threads=2
  cpu+=,vendor=GenuineIntel # only so does Linux see hyperthreads
  node 1024 0-3; node 1024 4-7; distance 0 1 21
  madt 0 2 4 6 1 3 5 7
  bus 10 0; bus 20 0; bus 90 1; bus a0 1
  local b; for b in 10 20 90 a0; do gpu $b 1c; gpu $b 1d; done
}
shape_nps4() { # 8 nodes in 2 sockets, GPUs at a DGX A100's addresses, on the odd nodes alone
  cpus=8,sockets=2,cores=4,threads=1
  cpu+=,vendor=GenuineIntel,l3-cache=off # Linux would warn that one cache spans nodes
  local i j b
  for i in {0..7}; do node 384 $i; done
  for i in {0..7}; do for ((j = i + 1; j < 8; j++)); do distance $i $j $((i / 4 == j / 4 ? 12 : 32)); done; done
  bus 07 3; bus 0f 3; bus 47 1; bus 4e 1; bus 87 7; bus 90 7; bus b7 5; bus bd 5
  for b in 07 0f 47 4e 87 90 b7 bd; do gpu $b 00; done
}
shape_cxl() { # 2 nodes with CPUs, a node of memory only behind each
  cpus=4,sockets=2,cores=2,threads=1
  node 768 0-1; node 768 2-3; node 512; node 512
  distance 0 1 21; distance 0 2 14; distance 0 3 24; distance 1 2 24; distance 1 3 14; distance 2 3 26
  bus 10 0; bus 90 1; gpu 10 1c; gpu 10 1d; gpu 90 1c; gpu 90 1d
}
shape_grace() { # 2 nodes with CPUs, each GPU's memory a node of its own; node 2 is never online, so the numbers have a hole
  cpus=4,maxcpus=6,sockets=3,cores=2,threads=1
  node 768 0-1; node 768 2-3; node 0 4-5; node 512; node 512
  distance 0 1 40; distance 0 2 80; distance 0 3 80; distance 0 4 120; distance 1 2 120; distance 1 3 120; distance 1 4 80
  distance 2 3 160; distance 2 4 160; distance 3 4 160
  bus 09 0; bus 39 1; gpu 09 00; gpu 39 00
}
shape_memoryless() { # node 1 has CPUs and a GPU, and no memory
  cpus=4,sockets=2,cores=2,threads=1
  node 1280 0-1; node 0 2-3; distance 0 1 21
  bus 10 0; bus 90 1; gpu 10 1c; gpu 90 1c
}
shape_cpuless() { # GPU 0 is attached to a node without CPUs, which is nearer to node 1
  cpus=4,sockets=2,cores=2,threads=1
  node 768 0-1; node 768 2-3; node 512; distance 0 1 21; distance 0 2 24; distance 1 2 14
  bus 10 2; bus 90 0; gpu 10 1c; gpu 90 1c
}
shape_flat() { # one node, every PCI device's numa_node is -1
  cpus=4,sockets=1,cores=4,threads=1; memory=1280
  loose_gpu 10; loose_gpu 11
}
shape_dark() { # 2 nodes, and every GPU's numa_node is -1
  cpus=4,sockets=2,cores=2,threads=1
  node 768 0-1; node 768 2-3; distance 0 1 21
  loose_gpu 10; loose_gpu 11
}
shape_arm64-16k() { # arm64 with pages of 16 KiB, 2 nodes from a device tree, which names no node of a GPU
  cpus=4,sockets=2,cores=2,threads=1
  node 768 0-1; node 768 2-3; distance 0 1 40
  loose_gpu 10; loose_gpu 11
}
shape_arm64-16k-acpi() { # the same from ACPI, with a GPU on each node; ids of packages are offsets in a table
  cpus=4,sockets=2,cores=2,threads=1
  machine+=,acpi=on; devices=(-bios "$build/efi-arm64.fd"); options+=' acpi=force'
  node 768 0-1; node 768 2-3; distance 0 1 40
  bus 10 0; bus 90 1; gpu 10 1c; gpu 90 1c
}

if [ "$1" = --list ]; then sed -n 's/^shape_\([a-z0-9-]*\)() { # /\1: /p' "$0"; exit; fi
build=$1 shape=$2 out=$3; shift 3
scratch=$(mktemp -d "$build/run.XXXXXX"); qemu_pid=
trap 'kill $qemu_pid 2>/dev/null || true; rm -rf "$scratch"' EXIT
trap 'exit 130' INT TERM

# What a machine of this architecture has, whatever its shape.
kernel_file=$build/vmlinuz${LAB_KERNEL:+-$LAB_KERNEL}
case ${LAB_KERNEL:-} in
  arm64)
    emulator=qemu-system-aarch64 base=$build/base-arm64.cpio machine=virt,gic-version=3
    # The kernel signs pointers, and QEMU takes long for the standard's way of it.
    cpu+=,pauth-impdef=on
    # The first has a range of I/O ports. Linux with pages of 16 KiB ends with a BUG in pci_remap_iospace at the 4 KiB of them that
    # the firmware gives a bus of its own.
    card=edu
    # numastat counts huge pages as pages of the default size.
    options=' console=ttyAMA0 default_hugepagesz=2M'
    # Debian's kernel for all machines has the NVMe driver as a module.
    disk=(-device virtio-serial-pci -chardev "file,id=disk,path=$scratch/disk" -device virtserialport,chardev=disk)
    ;;
  *)
    emulator=qemu-system-x86_64 base=$build/base.cpio
    # hpet: on a busy host the TSC is calibrated wrong, and the clock runs up to 5 times too fast. swiotlb: not 64 MiB of one node.
    options=' console=ttyS0 tsc=reliable clocksource=hpet no_timer_check swiotlb=2048'
    disk=(-vga none -drive "file=$scratch/disk,format=raw,if=none,id=disk,cache=unsafe"
      -device nvme,drive=disk,serial=disk,bus=pcie.0,addr=1e)
    # Under QEMU 7.2 Linux 6.12 crashed in its slab allocator, at each boot, behind a cmpxchg16b that left garbage for flags. Where
    # the processor has none the kernel does without.
    [ -z "${LAB_KERNEL:-}" ] || cpu+=,cx16=off
    ;;
esac
"shape_$shape"

# What goes in is a second archive behind the first: the kernel unpacks both.
mkdir -p "$scratch/tree/in"; cp -L "$@" "$scratch/tree/in/"
(cd "$scratch/tree" && find . -mindepth 1 | cpio --quiet -o -H newc --owner=+0:+0) >"$scratch/in.cpio"
cat "$base" "$scratch/in.cpio" >"$scratch/initrd"; rm -rf "$scratch/tree" "$scratch/in.cpio"

# numa_balancing: pages stay where they were put, so that two readers see the same.
kernel="quiet panic=-1 rdinit=/init mitigations=off nowatchdog numa_balancing=disable$options"
boot() { # whether the scenario was done
  truncate -s 0 "$scratch/disk" "$scratch/console"; truncate -s 64M "$scratch/disk"
  # thread=single: with a thread for each CPU a boot hangs now and then.
  setpriv --pdeathsig TERM timeout -k 5 1800 setpriv --pdeathsig KILL "$emulator" -machine "$machine" -accel tcg,thread=single,tb-size=256 -cpu "$cpu" \
    -smp "$cpus" -m "${memory}M" -nodefaults -display none -no-reboot -serial "file:$scratch/console" \
    -kernel "$kernel_file" -initrd "$scratch/initrd" -append "$kernel" "${disk[@]}" "${devices[@]}" \
    "${topology[@]}" 2>"$scratch/errors" </dev/null &
  qemu_pid=$!
  local since=$SECONDS
  while kill -0 $qemu_pid 2>/dev/null; do
    sleep 0.2
    if grep -q 'lab: scenario done' "$scratch/console"; then break; fi
    if [ $((SECONDS - since)) -gt 600 ] && ! grep -q 'lab: scenario starts' "$scratch/console"; then break; fi
  done
  kill $qemu_pid 2>/dev/null || true; wait $qemu_pid 2>/dev/null || true
  grep -q 'lab: scenario done' "$scratch/console"
}
if ! boot && ! boot; then
  echo "lab: $shape gave no result; the end of its console:" >&2
  cat "$scratch/errors" >&2; tail -30 "$scratch/console" >&2
  exit 125
fi
mkdir -p "$out"; tar -xf "$scratch/disk" -C "$out" --no-same-owner
exit "$(cat "$out/rc")"
