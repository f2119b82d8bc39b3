#!/bin/bash
# Fuzzes the targets, one after the other, with seeds from the fixtures. What a target calls is in src/fuzzing.rs.
#   run.sh [RUNS [SECONDS [TARGET...]]]   the most runs (1000000) and seconds (3600) of each target; all targets
# Needs cargo-fuzz (cargo install cargo-fuzz). Prints a row for each target; exits with 1 where one found something: the
# input is in artifacts/TARGET, the output in corpus/TARGET.log.
set -euo pipefail
cd "$(dirname "$0")"
runs=${1:-1000000} seconds=${2:-3600}; shift $(($# < 2 ? $# : 2))
targets=("$@"); [ $# -gt 0 ] || mapfile -t targets < <(cd fuzz_targets && printf '%s\n' *.rs | sed 's/\.rs$//')
# No sanitizer: the parsers have no unsafe code, and run more often without.
build=(--sanitizer none)
if rustup run nightly rustc --version >/dev/null 2>&1; then cargo=(cargo +nightly); else cargo=(env RUSTC_BOOTSTRAP=1 cargo); fi

seed() { # seed TARGET: standard input becomes a seed, by its checksum
  local file; mkdir -p "corpus/$1"; file=$(mktemp "corpus/$1/new.XXXXXX"); cat >"$file"
  mv "$file" "corpus/$1/$(sha1sum "$file" | cut -d' ' -f1)"
}
# Files that no fixture has, of this machine.
for file in maps mountinfo sched; do seed $file </proc/self/$file; done
seed counters </proc/vmstat; seed counters </sys/devices/system/node/node0/numastat
printf 'anon N0=4096 N1=8192\nshmem N0=0\n' | seed numa_stat; printf 'total=3 N0=3\nanon=2 N0=2\n' | seed numa_stat
scratch=$(mktemp -d); trap 'rm -rf "$scratch"' EXIT
for fixture in p4d-do-not-match h200x2-mp-spawn; do
  tar -xzf "../fixtures/$fixture.tar.gz" -C "$scratch"; tree=$scratch/$fixture
  for process in $(find "$tree/proc" -mindepth 1 -maxdepth 1 -name '[0-9]*' | sort | head -4); do
    for name in stat status cgroup; do seed $name <"$process/$name"; done
    head -20 "$process/numa_maps" | seed numa_maps
    for name in cmdline environ; do for target in words binding_requests terminal; do seed $target <"$process/$name"; done; done
    [ ! -d "$process/fd" ] || find "$process/fd" -type l -printf '%l\n' | sort -u | head -20 |
      while read -r link; do printf %s "$link" | seed fd; done
  done
  for file in "$tree"/proc/driver/nvidia/gpus/*/information "$tree/nvml.json"; do [ ! -e "$file" ] || seed nvidia <"$file"; done
  seed snapshot <"$tree/snapshot.json"
  for name in meminfo distance cpulist; do
    for file in "$tree"/sys/devices/system/node/node*/$name; do
      if [ $name = cpulist ]; then seed list <"$file"; else seed node <"$file"; fi
    done
  done
  (cd .. && cargo run -q -- --snapshot "fixtures/$fixture.tar.gz" --json || true) | seed report
  (echo 'n[01-02]'; cd .. && cargo run -q -- --snapshot "fixtures/$fixture.tar.gz" --json || true) | seed fleet
  (cd .. && cargo run -q -- plan --snapshot "fixtures/$fixture.tar.gz" --format json && printf '\0' &&
    { cargo run -q -- --snapshot "fixtures/$fixture.tar.gz" --json || true; }) | seed expected
  printf '0x030200\n' | seed node; printf -- '-1\n' | seed node; printf '00000001,0000ff00\n' | seed list
  # A whole machine that is small.
  process=$(find "$tree/proc" -mindepth 1 -maxdepth 1 -name '[0-9]*' -printf '%f\n' | sort -n | sed -n 2p)
  head -5 "$tree/proc/$process/numa_maps" >"$scratch/some"; mv "$scratch/some" "$tree/proc/$process/numa_maps"
  tar -C "$tree" -cf - snapshot.json nvml.json "proc/$process/"{stat,status,cmdline,numa_maps} sys/devices/system/node | seed archive
done
for file in ../fixtures/topology-files/*.xml; do seed topology_file <"$file"; done
printf 'drm-driver:\tamdgpu\ndrm-client-id:\t19\ndrm-pdev:\t0000:c1:00.0\ndrm-memory-vram:\t72 KiB\ndrm-engine-compute:\t46464671 ns\n' | seed drm
printf 'drm-driver:\txe\ndrm-resident-vram0:\t3 MiB\ndrm-cycles-ccs:\t28257900\ndrm-total-cycles-ccs:\t7655183225\n' | seed drm
printf 'simd_count 440\nlocation_id 49408\ndomain 0\n' | seed kfd; printf '49391\n' | seed kfd

"${cargo[@]}" fuzz build "${build[@]}"
found=0
printf '| target | runs | seconds | edges | findings |\n| --- | --: | --: | --: | --- |\n'
for target in "${targets[@]}"; do
  since=$SECONDS log=corpus/$target.log
  mkdir -p "corpus/$target"
  # It has no seeds that show how long an input may be.
  length=(); [ "$target" != tree ] || length=(-len_control=0 -max_len=512)
  "${cargo[@]}" fuzz run "${build[@]}" "$target" -- -runs="$runs" -max_total_time="$seconds" -timeout=60 -rss_limit_mb=2048 \
    -print_final_stats=1 "${length[@]}" >"$log" 2>&1 && finding=none || { finding=$(grep -m1 -E '^SUMMARY|panicked at' "$log" || tail -1 "$log"); found=1; }
  done=$(sed -n 's/^stat::number_of_executed_units: *//p' "$log" | tail -1)
  edges=$(grep -oE 'cov: [0-9]+' "$log" | tail -1 | cut -d' ' -f2)
  printf '| %s | %s | %s | %s | %s |\n' "$target" "${done:-?}" $((SECONDS - since)) "${edges:-?}" "$finding"
done
exit $found
