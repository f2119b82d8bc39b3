//! The screens as they are printed. A new warning is to change few of these tests: only the first one compares all of a
//! screen that has findings.

use snapbox::str;

use crate::program::{Run, findings_of, fixture, main_table, program, replay, without_colour};

/// A replay in a terminal of this width.
fn at_width(name: &str, columns: u16, arguments: &[&str]) -> String {
    let mut command = program();
    command.args(arguments).arg("--snapshot").arg(fixture(name));
    command.env("COLUMNS", columns.to_string());
    Run::from(command.output().unwrap()).stdout
}

#[test]
fn the_case_of_the_post() {
    snapbox::assert_data_eq!(
        replay("p4d-do-not-match", &[]).stdout,
        str![[r#"
numa-vm, NVIDIA driver 570.133.20, snapshot of 2026-11-22T07:00:00Z
2 NUMA nodes: node 0 CPUs 0-1,4-5; node 1 CPUs 2-3,6-7

GPU 0  NVIDIA A100-SXM4-40GB  0000:10:1c.0  home node 0 (sysfs)

 GPU  ROLE       PID      RANK  GPU NODE  CPU NODE  CPUS  MEM BINDING  MEMORY BY NODE   VERDICT
 0    trainer    254      0     0         1         0-7   [0, 1]       1: 100% 80 MiB   MISMATCH
 0    worker ×4  265-268  0     0         1         0-7   [0, 1]       1: 100% ≤72 MiB  MISMATCH

Launchers and their helpers (not judged)
 ROLE      PID  RANK  GPU NODE  CPU NODE  CPUS  MEM BINDING  MEMORY BY NODE   VERDICT
 launcher  245  -     -         1         0-7   [0, 1]       1: 100% 4.0 MiB  -

error[cpu-remote]: GPU and CPU NUMA nodes do NOT match: GPU 0 is attached to node 0, but trainer 254
  and 4 workers run on node 1 (they last ran there; no CPU affinity binds them there)
  fix: start it with torchrun --numa-binding=node (PyTorch 2.9+; binds CPUs only, before memory is
    touched)
  run now: for pid in 254 265 266 267 268; do taskset -a -p -c 0-1,4-5 $pid; done
  note: memory that is already allocated stays where it is
error[memory-remote]: GPU and memory NUMA nodes do NOT match: GPU 0 is attached to node 0, but
  trainer 254 and 4 workers have up to 100% of their working memory on node 1 (at most 80 MiB per
  process: anonymous 68 MiB, pinned 24 MiB, shared 4.0 MiB)
  run now: for pid in 254 265 266 267 268; do migratepages $pid 1 0; done
  note: pinned pages do not move
error[pinned-remote]: GPU 0 is attached to node 0, but trainer 254 has 24 MiB of pinned memory on
  node 1: every batch crosses the interconnect, and pinned pages cannot migrate
  note: memory that is already pinned stays where it is until the process ends
info[node-crowded]: trainer 254 and 4 workers belong on node 0, which has 4 CPUs: binding all may
  slow them down

5 processes: 0 ok, 0 at risk, 5 mismatched, 0 unknown

"#]]
    );
}

#[test]
fn the_case_of_the_post_on_80_columns() {
    let screen = at_width("p4d-do-not-match", 80, &[]);
    snapbox::assert_data_eq!(
        main_table(&screen),
        str![[r#"
GPU ROLE      PID     RANK GPU     CPU    CPUS MEM     MEMORY BY NODE  VERDICT
                           NODE    NODE        BINDING
0   trainer   254     0    0       1      0-7  [0, 1]  1: 100% 80 MiB  MISMATCH
0   worker ×4 265-268 0    0       1      0-7  [0, 1]  1: 100% ≤72 MiB MISMATCH

"#]]
    );
    snapbox::assert_data_eq!(
        findings_of(&screen, "cpu-remote"),
        str![[r#"
error[cpu-remote]: GPU and CPU NUMA nodes do NOT match: GPU 0 is attached to
  node 0, but trainer 254 and 4 workers run on node 1 (they last ran there; no
  CPU affinity binds them there)
  fix: start it with torchrun --numa-binding=node (PyTorch 2.9+; binds CPUs
    only, before memory is touched)
  run now: see numa-audit --remedies
  note: memory that is already allocated stays where it is

"#]]
    );
}

#[test]
fn the_case_of_the_post_on_160_columns() {
    let screen = at_width("p4d-do-not-match", 160, &["--all"]);
    snapbox::assert_data_eq!(
        main_table(&screen),
        str![[r#"
 GPU  ROLE     PID  USER  RANK  GPU NODE  CPU NODE  CPUS  MEM BINDING  MEMORY BY NODE  VERDICT   NAME            KINDS OF MEMORY
 0    trainer  254  0     0     0         1         0-7   [0, 1]       1: 100% 80 MiB  MISMATCH  python3         anonymous 56 MiB, pinned 24 MiB, file 7.2 MiB
 0    worker   265  0     0     0         1         0-7   [0, 1]       1: 100% 72 MiB  MISMATCH  pt_data_worker  anonymous 68 MiB, shared 4.0 MiB, file 6.1 MiB
 0    worker   266  0     0     0         1         0-7   [0, 1]       1: 100% 72 MiB  MISMATCH  pt_data_worker  anonymous 68 MiB, shared 4.0 MiB, file 6.1 MiB
 0    worker   267  0     0     0         1         0-7   [0, 1]       1: 100% 72 MiB  MISMATCH  pt_data_worker  anonymous 68 MiB, shared 4.0 MiB, file 6.1 MiB
 0    worker   268  0     0     0         1         0-7   [0, 1]       1: 100% 72 MiB  MISMATCH  pt_data_worker  anonymous 68 MiB, shared 4.0 MiB, file 6.1 MiB

"#]]
    );
    snapbox::assert_data_eq!(
        findings_of(&screen, "memory-remote"),
        str![[r#"
error[memory-remote]: GPU and memory NUMA nodes do NOT match: GPU 0 is attached to node 0, but trainer 254 and 4 workers have up to 100% of their working memory
  on node 1 (at most 80 MiB per process: anonymous 68 MiB, pinned 24 MiB, shared 4.0 MiB)
  run now: for pid in 254 265 266 267 268; do migratepages $pid 1 0; done
  note: pinned pages do not move

"#]]
    );
}

#[test]
fn a_bound_job() {
    let screen = replay("p4d-bound", &[]).stdout;
    snapbox::assert_data_eq!(
        main_table(&screen),
        str![[r#"
 GPU  ROLE       PID          RANK  GPU NODE  CPU NODE  CPUS     MEM      MEMORY BY NODE   VERDICT
                                                                 BINDING
 0    trainer    248          0     0         0         0-1,4-5  bind     0: 100% 38 MiB   ok
                                                                 [0]
 0    worker ×3  265,268,271  0     0         0         0-1,4-5  bind     0: 100% ≤40 MiB  ok
                                                                 [0]
 4    trainer    249          1     1         1         2-3,6-7  bind     1: 100% 36 MiB   ok
                                                                 [1]
 4    worker ×2  262-263      1     1         1         2-3,6-7  bind     1: 100% ≤38 MiB  ok
                                                                 [1]

"#]]
    );
    snapbox::assert_data_eq!(
        findings_of(&screen, "numa-balancing-on"),
        str![[r#"
warning[numa-balancing-on]: kernel.numa_balancing is on: it causes page faults in bound processes
  and may move their pages
  fix: turn it off, unless another program on this machine needs it
  run now: sysctl kernel.numa_balancing=0
  note: this does not move pages back

"#]]
    );
}

#[test]
fn one_of_four_gpus() {
    snapbox::assert_data_eq!(
        replay("h200x4-torchrun-forkserver", &["--gpu", "2"]).stdout,
        str![[r#"
gpu-box, Linux 6.18.44, NVIDIA driver 580.159.04, snapshot of 2026-11-22T06:09:00Z
1 NUMA node: node 0 CPUs 0-63

GPU 2  NVIDIA H200  0000:00:08.0  home node 0 (nvml-memory-affinity)

 GPU  ROLE       PID        RANK  GPU NODE  CPU NODE  CPUS  MEM      MEMORY BY NODE    VERDICT
                                                            BINDING
 2    trainer    2696       2     0         0         0-63  [0]      0: 100% 1.3 GiB   single-node
 2    worker ×2  2741,2745  2     0         0         0-63  [0]      0: 100% ≤311 MiB  single-node
 2    helper ×2  2734,2737  2     0         0         0-63  [0]      0: 100% ≤7.7 MiB  -

Launchers and their helpers (not judged)
 ROLE      PID   RANK  GPU NODE  CPU NODE  CPUS  MEM BINDING  MEMORY BY NODE   VERDICT
 launcher  2615  -     -         0         0-63  [0]          0: 100% 271 MiB  -

3 processes: 3 ok, 0 at risk, 0 mismatched, 0 unknown (single node)

"#]]
    );
}

#[test]
fn the_map_is_printed() {
    snapbox::assert_data_eq!(
        replay("p4d-bound", &["topology"]).stdout,
        str![[r#"
numa-vm, NVIDIA driver 570.133.20, snapshot of 2026-11-22T07:00:00Z

┌ node 0 ──────────────────────────┐        ┌ node 1 ──────────────────────────┐
│ CPUs 0-1,4-5                     │── 21 ──│ CPUs 2-3,6-7                     │
│ 974 MiB                          │        │ 1007 MiB                         │
│ GPUs 0-3                         │        │ GPUs 4-7                         │
└──────────────────────────────────┘        └──────────────────────────────────┘

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
fn the_readme_shows_the_current_screen() {
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
fn colour_changes_no_text() {
    let plain = replay("p4d-do-not-match", &["--color", "never"]).stdout;
    assert!(!plain.contains('\x1b'));
    let coloured = replay("p4d-do-not-match", &["--color", "always"]).stdout;
    assert!(coloured.contains("\x1b["));
    let stripped = without_colour(&coloured);
    let without_blanks = |text: &str| {
        text.split_whitespace()
            .map(String::from)
            .collect::<Vec<_>>()
    };
    assert_eq!(without_blanks(&stripped), without_blanks(&plain));
}
