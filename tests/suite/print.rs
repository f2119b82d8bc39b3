//! What people see.

use snapbox::str;

use crate::program::{Run, fixture, program, replay};

/// A replay in a terminal of this width.
fn at_width(name: &str, columns: u16, arguments: &[&str]) -> String {
    let mut command = program();
    command.arg("--snapshot").arg(fixture(name)).args(arguments);
    command.env("COLUMNS", columns.to_string());
    Run::from(command.output().unwrap()).stdout
}

#[test]
fn the_posts_case() {
    snapbox::assert_data_eq!(
        replay("p4d-do-not-match", &[]).stdout,
        str![[r#"
numa-vm, NVIDIA driver 570.133.20, snapshot of 2026-11-22T07:00:00Z
2 NUMA nodes: node 0 CPUs 0-1,4-5; node 1 CPUs 2-3,6-7

GPU 0  NVIDIA A100-SXM4-40GB  0000:10:1c.0  home node 0 (sysfs)
 ROLE       PID      RANK  GPU NODE  CPU NODE  CPUS  MEM BINDING  MEMORY BY NODE   VERDICT
 trainer    254      0     0         1         0-7   [0, 1]       1: 100% 80 MiB   MISMATCH
 worker ×4  265-268  0     0         1         0-7   [0, 1]       1: 100% ≤72 MiB  MISMATCH
  error: GPU and CPU NUMA nodes do NOT match: GPU 0 hangs on node 0, trainer 254 and 4 workers on
    node 1 (last ran there, and nothing holds it there)
    to mend it: start this rank alone (a launcher would pass it on to all ranks) with numactl
      --cpunodebind=0 --membind=0; a running process moves with taskset -a -p -c 0-1,4-5 PID, and
      its memory stays where it is
  error: GPU and memory NUMA nodes do NOT match: GPU 0 hangs on node 0, trainer 254 and 4 workers
    have up to 100% of the working memory on node 1 (up to 80 MiB each: anonymous 68 MiB, pinned 24
    MiB, shared 4.0 MiB)
    to mend it: start this rank alone (a launcher would pass it on to all ranks) with numactl
      --cpunodebind=0 --membind=0; a running process moves with taskset -a -p -c 0-1,4-5 PID; pages
      that are there already move with migratepages PID 1 0, pinned ones do not

Launchers and their helpers (not judged)
 ROLE      PID  RANK  GPU NODE  CPU NODE  CPUS  MEM BINDING  MEMORY BY NODE   VERDICT
 launcher  245  -     -         1         0-7   [0, 1]       1: 100% 4.0 MiB  -

5 processes: 0 ok, 0 at risk, 5 mismatched, 0 unknown

"#]]
    );
}

#[test]
fn the_posts_case_on_80_columns() {
    snapbox::assert_data_eq!(
        at_width("p4d-do-not-match", 80, &[]),
        str![[r#"
numa-vm, NVIDIA driver 570.133.20, snapshot of 2026-11-22T07:00:00Z
2 NUMA nodes: node 0 CPUs 0-1,4-5; node 1 CPUs 2-3,6-7

GPU 0  NVIDIA A100-SXM4-40GB  0000:10:1c.0  home node 0 (sysfs)
ROLE      PID     RANK GPU NODE CPU NODE CPUS MEM      MEMORY BY NODE  VERDICT
                                              BINDING
trainer   254     0    0        1        0-7  [0, 1]   1: 100% 80 MiB  MISMATCH
worker ×4 265-268 0    0        1        0-7  [0, 1]   1: 100% ≤72 MiB MISMATCH
  error: GPU and CPU NUMA nodes do NOT match: GPU 0 hangs on node 0, trainer 254
    and 4 workers on node 1 (last ran there, and nothing holds it there)
    to mend it: start this rank alone (a launcher would pass it on to all ranks)
      with numactl --cpunodebind=0 --membind=0; a running process moves with
      taskset -a -p -c 0-1,4-5 PID, and its memory stays where it is
  error: GPU and memory NUMA nodes do NOT match: GPU 0 hangs on node 0, trainer
    254 and 4 workers have up to 100% of the working memory on node 1 (up to 80
    MiB each: anonymous 68 MiB, pinned 24 MiB, shared 4.0 MiB)
    to mend it: start this rank alone (a launcher would pass it on to all ranks)
      with numactl --cpunodebind=0 --membind=0; a running process moves with
      taskset -a -p -c 0-1,4-5 PID; pages that are there already move with
      migratepages PID 1 0, pinned ones do not

Launchers and their helpers (not judged)
ROLE     PID RANK GPU NODE CPU NODE CPUS MEM BINDING MEMORY BY NODE  VERDICT
launcher 245 -    -        1        0-7  [0, 1]      1: 100% 4.0 MiB -

5 processes: 0 ok, 0 at risk, 5 mismatched, 0 unknown

"#]]
    );
}

#[test]
fn the_posts_case_on_160_columns() {
    snapbox::assert_data_eq!(
        at_width("p4d-do-not-match", 160, &["--all"]),
        str![[r#"
numa-vm, NVIDIA driver 570.133.20, snapshot of 2026-11-22T07:00:00Z
2 NUMA nodes: node 0 CPUs 0-1,4-5; node 1 CPUs 2-3,6-7

GPU 0  NVIDIA A100-SXM4-40GB  0000:10:1c.0  home node 0 (sysfs)
 ROLE     PID  USER  RANK  GPU NODE  CPU NODE  CPUS  MEM BINDING  MEMORY BY NODE  VERDICT   NAME            KINDS OF MEMORY
 trainer  254  0     0     0         1         0-7   [0, 1]       1: 100% 80 MiB  MISMATCH  python3         anonymous 56 MiB, pinned 24 MiB, file 7.2 MiB
 worker   265  0     0     0         1         0-7   [0, 1]       1: 100% 72 MiB  MISMATCH  pt_data_worker  anonymous 68 MiB, shared 4.0 MiB, file 6.1 MiB
 worker   266  0     0     0         1         0-7   [0, 1]       1: 100% 72 MiB  MISMATCH  pt_data_worker  anonymous 68 MiB, shared 4.0 MiB, file 6.1 MiB
 worker   267  0     0     0         1         0-7   [0, 1]       1: 100% 72 MiB  MISMATCH  pt_data_worker  anonymous 68 MiB, shared 4.0 MiB, file 6.1 MiB
 worker   268  0     0     0         1         0-7   [0, 1]       1: 100% 72 MiB  MISMATCH  pt_data_worker  anonymous 68 MiB, shared 4.0 MiB, file 6.1 MiB
  error: GPU and CPU NUMA nodes do NOT match: GPU 0 hangs on node 0, trainer 254 and 4 workers on node 1 (last ran there, and nothing holds it there)
    to mend it: start this rank alone (a launcher would pass it on to all ranks) with numactl --cpunodebind=0 --membind=0; a running process moves with taskset
      -a -p -c 0-1,4-5 PID, and its memory stays where it is
  error: GPU and memory NUMA nodes do NOT match: GPU 0 hangs on node 0, trainer 254 and 4 workers have up to 100% of the working memory on node 1 (up to 80 MiB
    each: anonymous 68 MiB, pinned 24 MiB, shared 4.0 MiB)
    to mend it: start this rank alone (a launcher would pass it on to all ranks) with numactl --cpunodebind=0 --membind=0; a running process moves with taskset
      -a -p -c 0-1,4-5 PID; pages that are there already move with migratepages PID 1 0, pinned ones do not

Launchers and their helpers (not judged)
 ROLE      PID  USER  RANK  GPU NODE  CPU NODE  CPUS  MEM BINDING  MEMORY BY NODE   VERDICT  NAME        KINDS OF MEMORY
 launcher  245  0     -     -         1         0-7   [0, 1]       1: 100% 4.0 MiB  -        pt_elastic  anonymous 4.0 MiB, file 7.1 MiB

5 processes: 0 ok, 0 at risk, 5 mismatched, 0 unknown

"#]]
    );
}

#[test]
fn what_is_bound() {
    snapbox::assert_data_eq!(
        replay("p4d-bound", &[]).stdout,
        str![[r#"
numa-vm, NVIDIA driver 570.133.20, snapshot of 2026-11-22T07:00:00Z
2 NUMA nodes: node 0 CPUs 0-1,4-5; node 1 CPUs 2-3,6-7

GPU 0  NVIDIA A100-SXM4-40GB  0000:10:1c.0  home node 0 (sysfs)
 ROLE       PID          RANK  GPU NODE  CPU NODE  CPUS     MEM BINDING  MEMORY BY NODE   VERDICT
 trainer    248          0     0         0         0-1,4-5  bind [0]     0: 100% 38 MiB   ok
 worker ×3  265,268,271  0     0         0         0-1,4-5  bind [0]     0: 100% ≤40 MiB  ok

GPU 1  NVIDIA A100-SXM4-40GB  0000:10:1d.0  home node 0 (sysfs): no process
GPU 2  NVIDIA A100-SXM4-40GB  0000:20:1c.0  home node 0 (sysfs): no process
GPU 3  NVIDIA A100-SXM4-40GB  0000:20:1d.0  home node 0 (sysfs): no process

GPU 4  NVIDIA A100-SXM4-40GB  0000:90:1c.0  home node 1 (sysfs)
 ROLE       PID      RANK  GPU NODE  CPU NODE  CPUS     MEM BINDING  MEMORY BY NODE   VERDICT
 trainer    249      1     1         1         2-3,6-7  bind [1]     1: 100% 36 MiB   ok
 worker ×2  262-263  1     1         1         2-3,6-7  bind [1]     1: 100% ≤38 MiB  ok

GPU 5  NVIDIA A100-SXM4-40GB  0000:90:1d.0  home node 1 (sysfs): no process
GPU 6  NVIDIA A100-SXM4-40GB  0000:a0:1c.0  home node 1 (sysfs): no process
GPU 7  NVIDIA A100-SXM4-40GB  0000:a0:1d.0  home node 1 (sysfs): no process

Launchers and their helpers (not judged)
 ROLE      PID  RANK  GPU NODE  CPU NODE  CPUS  MEM BINDING  MEMORY BY NODE   VERDICT
 launcher  242  -     -         1         0-7   [0, 1]       1: 100% 4.4 MiB  -

7 processes: 7 ok, 0 at risk, 0 mismatched, 0 unknown

"#]]
    );
}

#[test]
fn one_gpu_of_four() {
    snapbox::assert_data_eq!(
        replay("h200x4-torchrun-forkserver", &["--gpu", "2"]).stdout,
        str![[r#"
gpu-box, Linux 6.18.44, NVIDIA driver 580.159.04, snapshot of 2026-11-22T06:09:00Z
1 NUMA node: node 0 CPUs 0-63

GPU 2  NVIDIA H200  0000:00:08.0  home node 0 (nvml-memory-affinity)
 ROLE       PID        RANK  GPU NODE  CPU NODE  CPUS  MEM BINDING  MEMORY BY NODE    VERDICT
 trainer    2696       2     0         0         0-63  [0]          0: 100% 1.3 GiB   single-node
 worker ×2  2741,2745  2     0         0         0-63  [0]          0: 100% ≤311 MiB  single-node
 helper ×2  2734,2737  2     0         0         0-63  [0]          0: 100% ≤7.7 MiB  -

Launchers and their helpers (not judged)
 ROLE      PID   RANK  GPU NODE  CPU NODE  CPUS  MEM BINDING  MEMORY BY NODE   VERDICT
 launcher  2615  -     -         0         0-63  [0]          0: 100% 271 MiB  -

3 processes: 3 ok, 0 at risk, 0 mismatched, 0 unknown (single node)

"#]]
    );
}

#[test]
fn the_map() {
    snapbox::assert_data_eq!(
        replay("p4d-bound", &["topology"]).stdout,
        str![[r#"
numa-vm, NVIDIA driver 570.133.20, snapshot of 2026-11-22T07:00:00Z

 NODE  CPUS     MEMORY    FREE     GPUS     NETWORK  STORAGE  TO 0  TO 1
 0     0-1,4-5  974 MiB   869 MiB  0,1,2,3  -        -        10    21
 1     2-3,6-7  1007 MiB  818 MiB  4,5,6,7  -        -        21    10

 GPU  NAME                   PCI           HOME NODE  KNOWN FROM  LOCAL NODES  MEMORY
 0    NVIDIA A100-SXM4-40GB  0000:10:1c.0  0          sysfs       0            40 GiB
 1    NVIDIA A100-SXM4-40GB  0000:10:1d.0  0          sysfs       0            40 GiB
 2    NVIDIA A100-SXM4-40GB  0000:20:1c.0  0          sysfs       0            40 GiB
 3    NVIDIA A100-SXM4-40GB  0000:20:1d.0  0          sysfs       0            40 GiB
 4    NVIDIA A100-SXM4-40GB  0000:90:1c.0  1          sysfs       1            40 GiB
 5    NVIDIA A100-SXM4-40GB  0000:90:1d.0  1          sysfs       1            40 GiB
 6    NVIDIA A100-SXM4-40GB  0000:a0:1c.0  1          sysfs       1            40 GiB
 7    NVIDIA A100-SXM4-40GB  0000:a0:1d.0  1          sysfs       1            40 GiB

 DEVICE        CLASS    NAME  NODE
 0000:00:1e.0  storage  -     ?
 0000:00:1f.2  storage  -     ?

"#]]
    );
}

#[test]
fn the_readme_shows_what_is_printed() {
    let readme =
        std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/README.md")).unwrap();
    let screen = replay("p4d-do-not-match", &[]).stdout;
    assert!(
        readme.contains(&screen),
        "README's screen is not this:\n{screen}"
    );
}

#[test]
fn nothing_is_wider_than_the_terminal() {
    for name in [
        "p4d-do-not-match",
        "p4d-bound",
        "h200x4-mp-spawn",
        "h200x4-torchrun-forkserver",
    ] {
        for columns in [50, 60, 80, 100, 130, 200] {
            for arguments in [&[][..], &["--all"], &["topology"]] {
                let text = at_width(name, columns, arguments);
                for line in text.lines() {
                    let width = line.chars().count();
                    assert!(width <= usize::from(columns), "{name} at {columns}: {line}");
                    assert_eq!(line, line.trim_end(), "{name} at {columns}");
                }
            }
        }
    }
}

#[test]
fn colour_adds_nothing_but_colour() {
    let plain = replay("p4d-do-not-match", &["--color", "never"]).stdout;
    assert!(!plain.contains('\x1b'));
    let coloured = replay("p4d-do-not-match", &["--color", "always"]).stdout;
    assert!(coloured.contains("\x1b["));
    let mut stripped = String::new();
    let mut parts = coloured.split("\x1b[");
    stripped += parts.next().unwrap();
    for part in parts {
        stripped += part.split_once('m').unwrap().1;
    }
    let without_blanks = |text: &str| {
        text.split_whitespace()
            .map(String::from)
            .collect::<Vec<_>>()
    };
    assert_eq!(without_blanks(&stripped), without_blanks(&plain));
}
