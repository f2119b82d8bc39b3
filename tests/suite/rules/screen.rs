//! A machine with 8 GPUs and twelve data loaders for each rank, half of them misplaced: the report fits one screen.

use snapbox::{assert_data_eq, str};

use super::{ALL, NODES, Rank, job};
use crate::machine::Tree;
use crate::program::{Run, findings_of, main_table};

/// Ranks 4 to 7 and their workers are on the wrong node. Only rank 0 is bound, and its workers are bound to the wrong node.
fn half_misplaced() -> Tree {
    job(
        "python3\0/usr/bin/torchrun\0train.py\0",
        |rank| match rank {
            0 => Rank {
                worker_cpus: NODES[1],
                worker_node: 1,
                ..Rank::right(0)
            },
            _ => Rank {
                cpus: ALL,
                worker_cpus: ALL,
                node: 0,
                worker_node: 0,
                ..Rank::right(rank)
            },
        },
    )
}

fn at_width(tree: &Tree, columns: u16, arguments: &[&str]) -> String {
    tree.audit(&[]);
    let mut command = tree.command(arguments);
    command.env("COLUMNS", columns.to_string());
    Run::from(command.output().unwrap()).stdout
}

#[test]
fn a_job_of_104_processes_fits_one_screen() {
    let text = at_width(&half_misplaced(), 120, &[]);
    assert_data_eq!(
        main_table(&text),
        str![[r#"
 GPU  ROLE        PID        RANK  GPU NODE  CPU NODE  CPUS         MEM BINDING  MEMORY BY NODE    VERDICT
 0    trainer     1000       0     0         0         0-23,48-71   [0, 1]       0: 100% 100 MiB   ok
 0    worker ×12  1001-1012  0     0         1         24-47,72-95  [0, 1]       1: 100% ≤100 MiB  MISMATCH
 1    trainer     2000       1     0         0         0-95         [0, 1]       0: 100% 100 MiB   at-risk
 1    worker ×12  2001-2012  1     0         0         0-95         [0, 1]       0: 100% ≤100 MiB  at-risk
 2    trainer     3000       2     0         0         0-95         [0, 1]       0: 100% 100 MiB   at-risk
 2    worker ×12  3001-3012  2     0         0         0-95         [0, 1]       0: 100% ≤100 MiB  at-risk
 3    trainer     4000       3     0         0         0-95         [0, 1]       0: 100% 100 MiB   at-risk
 3    worker ×12  4001-4012  3     0         0         0-95         [0, 1]       0: 100% ≤100 MiB  at-risk
 4    trainer     5000       4     1         0         0-95         [0, 1]       0: 100% 100 MiB   MISMATCH
 4    worker ×12  5001-5012  4     1         0         0-95         [0, 1]       0: 100% ≤100 MiB  MISMATCH
 5    trainer     6000       5     1         0         0-95         [0, 1]       0: 100% 100 MiB   MISMATCH
 5    worker ×12  6001-6012  5     1         0         0-95         [0, 1]       0: 100% ≤100 MiB  MISMATCH
 6    trainer     7000       6     1         0         0-95         [0, 1]       0: 100% 100 MiB   MISMATCH
 6    worker ×12  7001-7012  6     1         0         0-95         [0, 1]       0: 100% ≤100 MiB  MISMATCH
 7    trainer     8000       7     1         0         0-95         [0, 1]       0: 100% 100 MiB   MISMATCH
 7    worker ×12  8001-8012  7     1         0         0-95         [0, 1]       0: 100% ≤100 MiB  MISMATCH

"#]]
    );
    // One finding for each cause: the workers of rank 0, and the ranks on the wrong node.
    assert_data_eq!(
        findings_of(&text, "cpu-remote"),
        str![[r#"
error[cpu-remote]: GPU and CPU NUMA nodes do NOT match: GPU 0 is attached to node 0, but 12 workers are bound to node 1
  (by CPU affinity)
  fix: find what rebinds workers (worker_init_fn, OMP_PROC_BIND, KMP_AFFINITY): their trainer is bound correctly
  run now: see numa-audit --remedies
  note: memory that is already allocated stays where it is
error[cpu-remote]: GPU and CPU NUMA nodes do NOT match: GPUs 4-7 are attached to node 1, but 4 trainers and 48 workers
  run on node 0 (they last ran there; no CPU affinity binds them there)
  fix: start it with torchrun --numa-binding=node (PyTorch 2.9+; binds CPUs only, before memory is touched)

"#]]
    );
    assert!(text.contains("\n104 processes: 1 ok, 39 at risk, 64 mismatched, 0 unknown\n"));
    assert!(text.lines().count() <= 50);
}

#[test]
fn a_job_of_104_processes_fits_80_columns() {
    let text = at_width(&half_misplaced(), 80, &[]);
    assert_data_eq!(
        main_table(&text),
        str![[r#"
GPU ROLE       PID       GPU  CPU NODE CPUS        MEMORY BY NODE   VERDICT
                         NODE
0   trainer    1000      0    0        0-23,48-71  0: 100% 100 MiB  ok
0   worker ×12 1001-1012 0    1        24-47,72-95 1: 100% ≤100 MiB MISMATCH
1   trainer    2000      0    0        0-95        0: 100% 100 MiB  at-risk
1   worker ×12 2001-2012 0    0        0-95        0: 100% ≤100 MiB at-risk
2   trainer    3000      0    0        0-95        0: 100% 100 MiB  at-risk
2   worker ×12 3001-3012 0    0        0-95        0: 100% ≤100 MiB at-risk
3   trainer    4000      0    0        0-95        0: 100% 100 MiB  at-risk
3   worker ×12 4001-4012 0    0        0-95        0: 100% ≤100 MiB at-risk
4   trainer    5000      1    0        0-95        0: 100% 100 MiB  MISMATCH
4   worker ×12 5001-5012 1    0        0-95        0: 100% ≤100 MiB MISMATCH
5   trainer    6000      1    0        0-95        0: 100% 100 MiB  MISMATCH
5   worker ×12 6001-6012 1    0        0-95        0: 100% ≤100 MiB MISMATCH
6   trainer    7000      1    0        0-95        0: 100% 100 MiB  MISMATCH
6   worker ×12 7001-7012 1    0        0-95        0: 100% ≤100 MiB MISMATCH
7   trainer    8000      1    0        0-95        0: 100% 100 MiB  MISMATCH
7   worker ×12 8001-8012 1    0        0-95        0: 100% ≤100 MiB MISMATCH

"#]]
    );
    assert!(text.contains("\n104 processes: 1 ok, 39 at risk, 64 mismatched, 0 unknown\n"));
    assert!(text.lines().count() <= 60);
}

#[test]
fn with_all_every_process_has_a_row() {
    let text = at_width(&half_misplaced(), 120, &["--all"]);
    let rows = text
        .lines()
        .filter(|line| line.contains(" worker "))
        .count();
    assert_eq!(rows, 96);
}
