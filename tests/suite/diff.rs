//! Two audits held against each other.

use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use snapbox::str;

use crate::machine::{PLACED, Process, Tree, with_trainer};
use crate::program::{Run, fixture, program, replay, without_colour};

/// Held on node 1, with 100 MiB there.
const ASTRAY: Process = Process {
    threads: &[(2, "2-3")],
    numa_maps: Some("7f0000000000 default anon=25600 N1=25600 kernelpagesize_kB=4\n"),
    ..PLACED
};

fn diff_of(before: &Path, after: &Path, arguments: &[&str]) -> Run {
    let mut command = program();
    command.arg("diff").arg(before).arg(after).args(arguments);
    command.output().unwrap().into()
}

/// Two made-up machines against each other.
fn diff(before: &Tree, after: &Tree, arguments: &[&str]) -> Run {
    before.audit(&[]);
    after.audit(&[]);
    diff_of(before.folder.path(), after.folder.path(), arguments)
}

/// A document on disk. The folder has to be kept.
fn saved(text: &str) -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("audit.json");
    std::fs::write(&path, text).unwrap();
    (folder, path)
}

/// Gives a process a rank.
fn rank(tree: &Tree, pid: u32, rank: u32) {
    let text = format!("RANK={rank}\0LOCAL_RANK={rank}\0");
    tree.file(&format!("proc/{pid}/environ"), &text);
}

/// Two ranks, each on a GPU of its own and held at its node: the PIDs of ranks 0 and 1, and the GPUs of these.
fn two_ranks(pids: [u32; 2], gpus: [usize; 2]) -> Tree {
    let mut tree = Tree::new();
    for (number, (pid, gpu)) in (0..).zip(pids.into_iter().zip(gpus)) {
        let place = if gpu == 0 { PLACED } else { ASTRAY };
        tree.process(&Process { pid, ..place });
        tree.listed(gpu, pid, "compute", 1 << 30);
        rank(&tree, pid, number);
    }
    tree
}

/// A trainer with so many workers, as the trainer is; all of them held at node 0, or on node 1.
fn with_workers(trainer: u32, workers: u32, place: &Process) -> Tree {
    let mut tree = Tree::new();
    tree.trainer(&Process {
        pid: trainer,
        ..*place
    });
    for worker in 1..=workers {
        tree.process(&Process {
            pid: trainer + worker,
            ppid: trainer,
            ..*place
        });
    }
    tree
}

#[test]
fn a_machine_against_itself() {
    let path = fixture("p4d-bound");
    let run = diff_of(&path, &path, &[]);
    assert_eq!(run.code, Some(0));
    snapbox::assert_data_eq!(
        run.stdout,
        str![[r#"
before: numa-vm, NVIDIA driver 570.133.20, snapshot of 2026-11-22T07:00:00Z
after:  numa-vm, NVIDIA driver 570.133.20, snapshot of 2026-11-22T07:00:00Z

remains: warning[numa-balancing-on]

before: 7 processes: 7 ok, 0 at risk, 0 mismatched, 0 unknown; 100% of their memory local
after:  7 processes: 7 ok, 0 at risk, 0 mismatched, 0 unknown; 100% of their memory local
Nothing got worse. Processes: 7 as before. Findings: 1 remains

"#]]
    );
}

#[test]
fn after_binding() {
    let run = diff_of(&fixture("p4d-do-not-match"), &fixture("p4d-bound"), &[]);
    assert_eq!(run.code, Some(0));
    snapbox::assert_data_eq!(
        run.stdout,
        str![[r#"
before: numa-vm, NVIDIA driver 570.133.20, snapshot of 2026-11-22T07:00:00Z
after:  numa-vm, NVIDIA driver 570.133.20, snapshot of 2026-11-22T07:00:00Z

Changes of the machine:
  GPU 1: none → NVIDIA A100-SXM4-40GB 0000:10:1d.0
  GPU 2: none → NVIDIA A100-SXM4-40GB 0000:20:1c.0
  GPU 3: none → NVIDIA A100-SXM4-40GB 0000:20:1d.0
  GPU 4: none → NVIDIA A100-SXM4-40GB 0000:90:1c.0
  GPU 5: none → NVIDIA A100-SXM4-40GB 0000:90:1d.0
  GPU 6: none → NVIDIA A100-SXM4-40GB 0000:a0:1c.0
  GPU 7: none → NVIDIA A100-SXM4-40GB 0000:a0:1d.0

 CHANGE  ROLE       RANK  PID          GPU NODE  CPU    CPUS     MEM       LOCAL      VERDICT
                                                 NODE            BINDING   MEMORY
 gone    worker     0     268          0         1      0-7      [0, 1]    0%         MISMATCH
 new     trainer    1     249          1         1      2-3,6-7  bind [1]  100%       ok
 new     worker ×2  1     262-263      1         1      2-3,6-7  bind [1]  100%       ok
 better  trainer    0     254 → 248    0         1 → 0  0-7 →    [0, 1] →  0% → 100%  MISMATCH → ok
                                                        0-1,4-5  bind [0]
 better  worker ×3  0     265-267 →    0         1 → 0  0-7 →    [0, 1] →  0% → 100%  MISMATCH → ok
                          265,268,271                   0-1,4-5  bind [0]

new: warning[numa-balancing-on]: kernel.numa_balancing is on: it causes page faults in bound
  processes and may move their pages
fixed: error[cpu-remote]: GPU and CPU NUMA nodes do NOT match: GPU 0 is attached to node 0, but
  trainer 254 and 4 workers run on node 1 (they last ran there; no CPU affinity binds them there)
fixed: error[memory-remote]: GPU and memory NUMA nodes do NOT match: GPU 0 is attached to node 0,
  but trainer 254 and 4 workers have up to 100% of their working memory on node 1 (at most 80 MiB
  per process: anonymous 68 MiB, pinned 24 MiB, shared 4.0 MiB)
fixed: error[pinned-remote]: GPU 0 is attached to node 0, but trainer 254 has 24 MiB of pinned
  memory on node 1: every batch crosses the interconnect, and pinned pages cannot migrate
fixed: info[node-crowded]: trainer 254 and 4 workers belong on node 0, which has 4 CPUs: binding all
  may slow them down

before: 5 processes: 0 ok, 0 at risk, 5 mismatched, 0 unknown; 0% of their memory local
after:  7 processes: 7 ok, 0 at risk, 0 mismatched, 0 unknown; 100% of their memory local
Nothing got worse. Processes: 1 gone, 3 new, 4 better. Findings: 1 new, 4 fixed

"#]]
    );
}

#[test]
fn a_binding_that_was_lost_on_80_columns() {
    let mut command = program();
    command.env("COLUMNS", "80").arg("diff");
    command.args([fixture("p4d-bound"), fixture("p4d-do-not-match")]);
    let run = Run::from(command.output().unwrap());
    assert_eq!(run.code, Some(1));
    snapbox::assert_data_eq!(
        run.stdout,
        str![[r#"
before: numa-vm, NVIDIA driver 570.133.20, snapshot of 2026-11-22T07:00:00Z
after:  numa-vm, NVIDIA driver 570.133.20, snapshot of 2026-11-22T07:00:00Z

Changes of the machine:
  GPU 1: NVIDIA A100-SXM4-40GB 0000:10:1d.0 → none
  GPU 2: NVIDIA A100-SXM4-40GB 0000:20:1c.0 → none
  GPU 3: NVIDIA A100-SXM4-40GB 0000:20:1d.0 → none
  GPU 4: NVIDIA A100-SXM4-40GB 0000:90:1c.0 → none
  GPU 5: NVIDIA A100-SXM4-40GB 0000:90:1d.0 → none
  GPU 6: NVIDIA A100-SXM4-40GB 0000:a0:1c.0 → none
  GPU 7: NVIDIA A100-SXM4-40GB 0000:a0:1d.0 → none

CHANGE     ROLE      RANK CPU NODE CPUS      MEM        LOCAL     VERDICT
                                             BINDING    MEMORY
worse      trainer   0    0 → 1    0-1,4-5 → bind [0] → 100% → 0% ok → MISMATCH
                                   0-7       [0, 1]
worse      worker ×3 0    0 → 1    0-1,4-5 → bind [0] → 100% → 0% ok → MISMATCH
                                   0-7       [0, 1]
new, worse worker    0    1        0-7       [0, 1]     0%        MISMATCH
gone       trainer   1    1        2-3,6-7   bind [1]   100%      ok
gone       worker ×2 1    1        2-3,6-7   bind [1]   100%      ok

new: error[cpu-remote]: GPU and CPU NUMA nodes do NOT match: GPU 0 is attached
  to node 0, but trainer 254 and 4 workers run on node 1 (they last ran there;
  no CPU affinity binds them there)
new: error[memory-remote]: GPU and memory NUMA nodes do NOT match: GPU 0 is
  attached to node 0, but trainer 254 and 4 workers have up to 100% of their
  working memory on node 1 (at most 80 MiB per process: anonymous 68 MiB, pinned
  24 MiB, shared 4.0 MiB)
new: error[pinned-remote]: GPU 0 is attached to node 0, but trainer 254 has 24
  MiB of pinned memory on node 1: every batch crosses the interconnect, and
  pinned pages cannot migrate
new: info[node-crowded]: trainer 254 and 4 workers belong on node 0, which has 4
  CPUs: binding all may slow them down
fixed: warning[numa-balancing-on]: kernel.numa_balancing is on: it causes page
  faults in bound processes and may move their pages

before: 7 processes: 7 ok, 0 at risk, 0 mismatched, 0 unknown; 100% of their
        memory local
after:  5 processes: 0 ok, 0 at risk, 5 mismatched, 0 unknown; 0% of their
        memory local
Worse: 5 processes, 3 findings. Processes: 3 gone. Findings: 1 new, 1 fixed

"#]]
    );
}

#[test]
fn one_process_that_went_astray() {
    let run = diff(&with_trainer(&PLACED), &with_trainer(&ASTRAY), &["--json"]);
    assert_eq!(run.code, Some(1));
    snapbox::assert_data_eq!(
        run.stdout,
        str![[r#"
{
  "schema_version": 1,
  "tool": {
    "name": "numa-audit",
    "version": "[..]"
  },
  "before": {
    "host": {
      "hostname": "made-up",
      "kernel": "6.1.0",
      "recorded_at": null,
      "source": "snapshot",
      "driver_version": null
    },
    "summary": {
      "verdict": "ok",
      "processes": 1,
      "ok": 1,
      "at_risk": 0,
      "mismatch": 0,
      "unknown": 0,
      "local_fraction": 1.0,
      "exact": true,
      "error": null
    }
  },
  "after": {
    "host": {
      "hostname": "made-up",
      "kernel": "6.1.0",
      "recorded_at": null,
      "source": "snapshot",
      "driver_version": null
    },
    "summary": {
      "verdict": "mismatch",
      "processes": 1,
      "ok": 0,
      "at_risk": 0,
      "mismatch": 1,
      "unknown": 0,
      "local_fraction": 0.0,
      "exact": true,
      "error": null
    }
  },
  "machine": [],
  "processes": [
    {
      "change": "worse",
      "worsened_to": "mismatch",
      "matched_by": "process",
      "role": "trainer",
      "rank": null,
      "changed": [
        "cpu.node",
        "cpu.affinity",
        "cpu.bound",
        "cpu.threads.astray",
        "memory.node",
        "memory.local_fraction",
        "cpu.verdict",
        "memory.verdict",
        "verdict"
      ],
      "before": {
        "pid": 100,
        "start_time_ticks": 777,
        "name": "python3",
        "role": "trainer",
        "gpus": [
          0
        ],
        "home_nodes": [
          0
        ],
        "cpu": {
          "node": 0,
          "affinity": "0-1",
          "affinity_nodes": [
            0
          ],
          "bound": true,
          "threads": {
            "astray": 0
          },
          "verdict": "ok"
        },
        "memory": {
          "node": 0,
          "policy": "default",
          "policy_nodes": [],
          "mems_allowed": [
            0,
            1
          ],
          "local_fraction": 1.0,
          "exact": true,
          "error": null,
          "verdict": "ok"
        },
        "verdict": "ok"
      },
      "after": {
        "pid": 100,
        "start_time_ticks": 777,
        "name": "python3",
        "role": "trainer",
        "gpus": [
          0
        ],
        "home_nodes": [
          0
        ],
        "cpu": {
          "node": 1,
          "affinity": "2-3",
          "affinity_nodes": [
            1
          ],
          "bound": false,
          "threads": {
            "astray": 1
          },
          "verdict": "mismatch"
        },
        "memory": {
          "node": 1,
          "policy": "default",
          "policy_nodes": [],
          "mems_allowed": [
            0,
            1
          ],
          "local_fraction": 0.0,
          "exact": true,
          "error": null,
          "verdict": "mismatch"
        },
        "verdict": "mismatch"
      }
    }
  ],
  "findings": [
    {
      "change": "new",
      "worse": true,
      "rule": "cpu-remote",
      "severity": "error",
      "gpus": [
        0
      ],
      "pids": [
        100
      ],
      "joined_pids": [
        100
      ],
      "message": "GPU and CPU NUMA nodes do NOT match: GPU 0 is attached to node 0, but trainer 100 is bound to node 1 (by CPU affinity)"
    },
    {
      "change": "new",
      "worse": true,
      "rule": "memory-remote",
      "severity": "error",
      "gpus": [
        0
      ],
      "pids": [
        100
      ],
      "joined_pids": [
        100
      ],
      "message": "GPU and memory NUMA nodes do NOT match: GPU 0 is attached to node 0, but trainer 100 has 100% of its working memory on node 1 (100 MiB: anonymous 100 MiB)"
    },
    {
      "change": "remains",
      "worse": false,
      "rule": "node-without-gpus",
      "severity": "info",
      "gpus": [],
      "pids": [],
      "joined_pids": [],
      "message": "no GPU is attached to node 1: binding every rank to its GPU's node leaves the CPUs of node 1 unused"
    }
  ],
  "summary": {
    "worse": 1,
    "not_judged": 0,
    "gone": 0,
    "new": 0,
    "moved": 0,
    "better": 0,
    "same": 0,
    "findings_worse": 2,
    "findings_new": 2,
    "findings_spread": 0,
    "findings_not_judged": 0,
    "findings_remaining": 1,
    "findings_gone": 0,
    "findings_fixed": 0,
    "incomplete": false
  }
}

"#]]
    );
}

#[test]
fn documents_and_recordings_are_one() {
    let (before, after) = ("p4d-do-not-match", "p4d-bound");
    let (_one, before_path) = saved(&replay(before, &["--json"]).stdout);
    let (_other, after_path) = saved(&replay(after, &["--json"]).stdout);
    let of_recordings = diff_of(&fixture(before), &fixture(after), &["--json"]);
    let of_documents = diff_of(&before_path, &after_path, &["--json"]);
    let mixed = diff_of(&before_path, &fixture(after), &["--json"]);
    assert_eq!(of_documents.stdout, of_recordings.stdout);
    assert_eq!(mixed.stdout, of_recordings.stdout);
    // Without AFTER it is the machine that an audit would look at.
    let mut command = program();
    command.arg("diff").arg(&before_path).arg("--json");
    command.arg("--snapshot").arg(fixture(after));
    let alone = Run::from(command.output().unwrap());
    assert_eq!(alone.stdout, of_recordings.stdout);
}

#[test]
fn ranks_that_swapped_their_gpus() {
    let run = diff(
        &two_ranks([100, 200], [0, 1]),
        &two_ranks([300, 400], [1, 0]),
        &[],
    );
    assert_eq!(run.code, Some(0), "each is where its GPU is");
    snapbox::assert_data_eq!(
        run.stdout,
        str![[r#"
before: made-up, Linux 6.1.0, snapshot
after:  made-up, Linux 6.1.0, snapshot

 CHANGE  ROLE     RANK  PID        GPU    GPU NODE  CPU NODE  CPUS       MEM      LOCAL     VERDICT
                                                                         BINDING  MEMORY
 moved   trainer  0     100 → 300  0 → 1  0 → 1     0 → 1     0-1 → 2-3  [0, 1]   100%      ok
 moved   trainer  1     200 → 400  1 → 0  1 → 0     1 → 0     2-3 → 0-1  [0, 1]   100%      ok

before: 2 processes: 2 ok, 0 at risk, 0 mismatched, 0 unknown; 100% of their memory local
after:  2 processes: 2 ok, 0 at risk, 0 mismatched, 0 unknown; 100% of their memory local
Nothing got worse. Processes: 2 moved

"#]]
    );
}

#[test]
fn what_a_process_is_known_by() {
    let told = |before: &Tree, after: &Tree| {
        let document = diff(before, after, &["--json"]).json();
        let processes = document["processes"].as_array().unwrap().clone();
        let how = |of: Value| of["matched_by"].clone();
        processes.into_iter().map(how).collect::<Vec<_>>()
    };
    let ranks = two_ranks([100, 200], [0, 1]);
    assert_eq!(
        told(&ranks, &two_ranks([100, 200], [0, 1])),
        ["process", "process"]
    );
    assert_eq!(
        told(&ranks, &two_ranks([300, 400], [0, 1])),
        ["rank", "rank"]
    );
    let unranked = two_ranks([300, 400], [0, 1]);
    for pid in [300, 400] {
        unranked.file(&format!("proc/{pid}/environ"), "");
    }
    assert_eq!(told(&ranks, &unranked), ["gpu", "gpu"]);
    let few = with_workers(100, 2, &PLACED);
    assert_eq!(
        told(&few, &with_workers(500, 2, &PLACED)),
        ["gpu", "position", "position"]
    );
    // A PID that is another process by now.
    let reborn = with_trainer(&PLACED);
    for file in ["stat", "task/100/stat"] {
        let path = reborn.folder.path().join("proc/100").join(file);
        let stat = std::fs::read_to_string(&path).unwrap();
        std::fs::write(path, stat.replace(" 777 ", " 778 ")).unwrap();
    }
    assert_eq!(told(&with_trainer(&PLACED), &reborn), ["gpu"]);
}

#[test]
fn more_workers_as_their_like_are_no_worsening() {
    let run = diff(
        &with_workers(100, 2, &ASTRAY),
        &with_workers(500, 4, &ASTRAY),
        &[],
    );
    assert_eq!(run.code, Some(0));
    snapbox::assert_data_eq!(
        run.stdout,
        str![[r#"
before: made-up, Linux 6.1.0, snapshot
after:  made-up, Linux 6.1.0, snapshot

 CHANGE  ROLE       RANK  PID      GPU  GPU NODE  CPU NODE  CPUS  MEM      LOCAL MEMORY    VERDICT
                                                                  BINDING
 new     worker ×2  -     503-504  0    0         1         2-3   [0, 1]   0%              MISMATCH

remains: error[cpu-remote] (5 processes), error[memory-remote] (5 processes), info[node-crowded],
  info[node-without-gpus]

before: 3 processes: 0 ok, 0 at risk, 3 mismatched, 0 unknown; 0% of their memory local
after:  5 processes: 0 ok, 0 at risk, 5 mismatched, 0 unknown; 0% of their memory local
Nothing got worse. Processes: 2 new, 3 as before. Findings: 4 remain

"#]]
    );
}

#[test]
fn workers_that_are_new_and_astray_are() {
    let after = with_workers(100, 2, &PLACED);
    after.process(&Process {
        pid: 150,
        ppid: 100,
        ..ASTRAY
    });
    let run = diff(&with_workers(100, 2, &PLACED), &after, &[]);
    assert_eq!(run.code, Some(1));
    snapbox::assert_data_eq!(
        run.stdout,
        str![[r#"
before: made-up, Linux 6.1.0, snapshot
after:  made-up, Linux 6.1.0, snapshot

 CHANGE      ROLE    RANK  PID  GPU  GPU NODE  CPU NODE  CPUS  MEM BINDING  LOCAL MEMORY  VERDICT
 new, worse  worker  -     150  0    0         1         2-3   [0, 1]       0%            MISMATCH

new: error[cpu-remote]: GPU and CPU NUMA nodes do NOT match: GPU 0 is attached to node 0, but worker
  150 is bound to node 1 (by CPU affinity)
new: error[memory-remote]: GPU and memory NUMA nodes do NOT match: GPU 0 is attached to node 0, but
  worker 150 has 100% of its working memory on node 1 (100 MiB: anonymous 100 MiB)
new: error[worker-split]: worker 150 is bound to node 1 (by CPU affinity), but its trainer 100 runs
  on node 0: samples cross the interconnect
remains: info[node-crowded], info[node-without-gpus]

before: 3 processes: 3 ok, 0 at risk, 0 mismatched, 0 unknown; 100% of their memory local
after:  4 processes: 3 ok, 0 at risk, 1 mismatched, 0 unknown; 75% of their memory local
Worse: 1 process, 3 findings. Processes: 3 as before. Findings: 2 remain

"#]]
    );
}

#[test]
fn fewer_workers_leave_nothing_open_and_none_do() {
    let before = with_workers(100, 3, &PLACED);
    assert_eq!(
        diff(&before, &with_workers(500, 1, &PLACED), &[]).code,
        Some(0)
    );
    let run = diff(&before, &with_workers(500, 0, &PLACED), &[]);
    assert_eq!(run.code, Some(3));
    snapbox::assert_data_eq!(
        run.stdout,
        str![[r#"
before: made-up, Linux 6.1.0, snapshot
after:  made-up, Linux 6.1.0, snapshot

 CHANGE  ROLE       RANK  PID      GPU  GPU NODE  CPU NODE  CPUS  MEM BINDING  LOCAL   VERDICT
                                                                               MEMORY
 gone    worker ×3  -     101-103  0    0         0         0-1   [0, 1]       100%    ok

fixed: info[node-crowded]: trainer 100 and 3 workers are bound to node 0, which has 2 CPUs: they
  wait for each other when all are busy
remains: info[node-without-gpus]

before: 4 processes: 4 ok, 0 at risk, 0 mismatched, 0 unknown; 100% of their memory local
after:  1 process: 1 ok, 0 at risk, 0 mismatched, 0 unknown; 100% of their memory local
Nothing was seen to get worse, but not everything could be judged. Processes: 3 gone, 1 as before.
  Findings: 1 fixed, 1 remains

"#]]
    );
}

#[test]
fn what_cannot_be_read_any_more() {
    let after = with_trainer(&Process {
        numa_maps: None,
        ..PLACED
    });
    let run = diff(&with_trainer(&PLACED), &after, &[]);
    assert_eq!(run.code, Some(3));
    snapbox::assert_data_eq!(
        run.stdout,
        str![[r#"
before: made-up, Linux 6.1.0, snapshot
after:  made-up, Linux 6.1.0, snapshot

 CHANGE      ROLE     RANK  PID  GPU  GPU NODE  CPU NODE  CPUS  MEM       LOCAL     VERDICT
                                                                BINDING   MEMORY
 not judged  trainer  -     100  0    0         0         0-1   [0, 1] →  100% → ?  ok → unknown
                                                                ? [0, 1]

remains: info[node-without-gpus]

before: 1 process: 1 ok, 0 at risk, 0 mismatched, 0 unknown; 100% of their memory local
after:  1 process: 0 ok, 0 at risk, 0 mismatched, 1 unknown
Nothing was seen to get worse, but not everything could be judged. Processes: 1 not judged.
  Findings: 1 remains

"#]]
    );
    // A finding that is not seen any more is not mended by that.
    let run = diff(&with_trainer(&ASTRAY), &after, &["--json"]);
    let document = run.json();
    assert_eq!(run.code, Some(3));
    let findings = document["findings"].as_array().unwrap();
    let about = findings.iter().filter(|of| of["pids"] != json!([]));
    assert!(about.clone().count() > 0);
    assert!(
        about.clone().all(|of| of["change"] == "not-judged"),
        "{findings:#?}"
    );
}

#[test]
fn a_mismatch_that_was_there_hides_nobody_else() {
    let before = with_trainer(&ASTRAY);
    assert_eq!(diff(&before, &before, &[]).code, Some(0));
    let mut after = with_trainer(&ASTRAY);
    // The driver names one that is not to be seen here.
    after.listed(0, 999, "compute", 1 << 30);
    let run = diff(&before, &after, &["--json"]);
    assert_eq!(run.code, Some(3));
    assert_eq!(run.json()["after"]["summary"]["verdict"], "mismatch");
}

#[test]
fn where_the_line_is() {
    let loose = with_trainer(&Process {
        threads: &[(0, "0-3")],
        ..PLACED
    });
    let placed = with_trainer(&PLACED);
    let code = |before: &Tree, after: &Tree, fail_on: &[&str]| diff(before, after, fail_on).code;
    assert_eq!(code(&placed, &loose, &[]), Some(1), "nothing holds it");
    assert_eq!(code(&placed, &loose, &["--fail-on", "at-risk"]), Some(1));
    assert_eq!(code(&placed, &loose, &["--fail-on", "mismatch"]), Some(0));
    let astray = with_trainer(&ASTRAY);
    assert_eq!(code(&loose, &astray, &["--fail-on", "mismatch"]), Some(1));
    assert_eq!(code(&loose, &astray, &["--fail-on", "never"]), Some(0));
    assert_eq!(code(&astray, &astray, &[]), Some(0), "it was so before");
    assert_eq!(code(&astray, &loose, &[]), Some(0), "it is better");
}

#[test]
fn a_new_error_of_a_process_that_was_a_mismatch() {
    let half = with_trainer(&Process {
        numa_maps: PLACED.numa_maps,
        ..ASTRAY
    });
    let run = diff(&half, &with_trainer(&ASTRAY), &[]);
    assert_eq!(run.code, Some(1));
    snapbox::assert_data_eq!(
        run.stdout,
        str![[r#"
before: made-up, Linux 6.1.0, snapshot
after:  made-up, Linux 6.1.0, snapshot

 CHANGE  ROLE     RANK  PID  GPU  GPU   CPU NODE  CPUS  MEM      LOCAL      VERDICT
                                  NODE                  BINDING  MEMORY
 worse   trainer  -     100  0    0     1         2-3   [0, 1]   100% → 0%  MISMATCH
                                                                            memory ok → MISMATCH

new: error[memory-remote]: GPU and memory NUMA nodes do NOT match: GPU 0 is attached to node 0, but
  trainer 100 has 100% of its working memory on node 1 (100 MiB: anonymous 100 MiB)
remains: error[cpu-remote] (1 process), info[node-without-gpus]

before: 1 process: 0 ok, 0 at risk, 1 mismatched, 0 unknown; 100% of their memory local
after:  1 process: 0 ok, 0 at risk, 1 mismatched, 0 unknown; 0% of their memory local
Worse: 1 process, 1 finding. Findings: 2 remain

"#]]
    );
}

#[test]
fn recordings_are_judged_as_asked() {
    let (near, placed) = (with_trainer(&ASTRAY), with_trainer(&PLACED));
    assert_eq!(diff(&placed, &near, &["--gpu-node", "0=0-1"]).code, Some(0));
    assert_eq!(
        diff(&placed, &near, &["--allow", "cpu-remote"]).code,
        Some(1)
    );
}

#[test]
fn another_machine() {
    let after = with_trainer(&PLACED);
    after.file("proc/sys/kernel/osrelease", "6.18.0\n");
    after.file("proc/sys/kernel/numa_balancing", "0\n");
    after.file("sys/devices/system/node/node1/distance", "32 10\n");
    after.file(
        "sys/devices/system/node/node1/meminfo",
        "Node 1 MemTotal: 1000 kB\n",
    );
    after.file(
        "sys/devices/system/node/node0/meminfo",
        "Node 0 MemTotal: 1020 kB\n",
    );
    after.file("sys/bus/pci/devices/0000:10:1c.0/numa_node", "1\n");
    let before = with_trainer(&PLACED);
    before.file("proc/sys/kernel/numa_balancing", "1\n");
    let run = diff(&before, &after, &[]);
    assert_eq!(run.code, Some(1));
    snapbox::assert_data_eq!(
        run.stdout,
        str![[r#"
before: made-up, Linux 6.1.0, snapshot
after:  made-up, Linux 6.18.0, snapshot

Changes of the machine:
  Linux: 6.1.0 → 6.18.0
  kernel.numa_balancing: 1 → 0
  memory of node 1: 1.0 MiB → 1000 KiB
  distances of node 1: 21 10 → 32 10
  home node of GPU 0: 0 → 1

 CHANGE  ROLE     RANK  PID  GPU  GPU NODE  CPU NODE  CPUS  MEM BINDING  LOCAL      VERDICT
                                                                         MEMORY
 worse   trainer  -     100  0    0 → 1     0         0-1   [0, 1]       100% → 0%  ok → MISMATCH

new: error[cpu-remote]: GPU and CPU NUMA nodes do NOT match: GPU 0 is attached to node 1, but
  trainer 100 is bound to node 0 (by CPU affinity)
new: error[memory-remote]: GPU and memory NUMA nodes do NOT match: GPU 0 is attached to node 1, but
  trainer 100 has 100% of its working memory on node 0 (100 MiB: anonymous 100 MiB)
fixed: warning[numa-balancing-on]: kernel.numa_balancing is on: it causes page faults in bound
  processes and may move their pages
remains: info[node-without-gpus]

before: 1 process: 1 ok, 0 at risk, 0 mismatched, 0 unknown; 100% of their memory local
after:  1 process: 0 ok, 0 at risk, 1 mismatched, 0 unknown; 0% of their memory local
Worse: 1 process, 2 findings. Findings: 1 fixed, 1 remains

"#]]
    );
}

#[test]
fn an_estimate_moves_by_more_than_its_error_alone() {
    let share = |fraction: f64, error: Value| {
        json!({"schema_version": 1, "topology": {}, "summary": {"verdict": "ok", "local_fraction": fraction, "exact": false},
               "processes": [{"pid": 1, "start_time_ticks": 1, "role": "trainer", "verdict": "ok",
                              "memory": {"local_fraction": fraction, "exact": false, "error": error}}]})
    };
    let changed = |one: Value, other: Value| {
        let (_one, before) = saved(&one.to_string());
        let (_other, after) = saved(&other.to_string());
        let run = diff_of(&before, &after, &["--json"]);
        assert_eq!(run.code, Some(0), "{}", run.stderr);
        run.json()["processes"][0]["changed"].clone()
    };
    let (few, none) = (json!([]), Value::Null);
    assert_eq!(
        changed(share(0.9, json!(0.03)), share(0.95, json!(0.03))),
        few
    );
    assert_eq!(
        changed(share(0.9, json!(0.02)), share(0.95, json!(0.02))),
        json!(["memory.local_fraction"])
    );
    assert_eq!(changed(share(0.9, none.clone()), share(0.95, none)), few);
    let (_one, before) = saved(&share(0.9, json!(0.01)).to_string());
    let (_other, after) = saved(&share(0.5, json!(0.01)).to_string());
    snapbox::assert_data_eq!(
        diff_of(&before, &after, &[]).stdout,
        str![[r#"
before: a machine without a name
after:  a machine without a name

 CHANGE  ROLE     RANK  PID  GPU  GPU NODE  CPU NODE  CPUS  MEM BINDING  LOCAL        VERDICT
                                                                         MEMORY
 moved   trainer  -     1    -    -         ?         ?     ? [?]        ~90% → ~50%  ok

before: 0 processes: 0 ok, 0 at risk, 0 mismatched, 0 unknown; ~90% of their memory local
after:  0 processes: 0 ok, 0 at risk, 0 mismatched, 0 unknown; ~50% of their memory local
Nothing got worse. Processes: 1 moved

"#]]
    );
}

#[test]
fn machines_alone() {
    let map = replay("p4d-bound", &["topology", "--json"]).stdout;
    let (_folder, path) = saved(&map);
    assert_eq!(diff_of(&path, &path, &[]).code, Some(0));
    let run = diff_of(&path, &fixture("p4d-bound"), &[]);
    assert_eq!(run.code, Some(3), "processes on one side alone");
}

#[test]
fn what_is_no_audit_is_refused() {
    let fine = fixture("p4d-bound");
    let refuses = |text: &str, why: &str| {
        let (_folder, path) = saved(text);
        let sentence = format!("cannot use {} as an audit: {why}", path.display());
        diff_of(&path, &fine, &[]).fails_with(&sentence);
        diff_of(&fine, &path, &[]).fails_with(&sentence);
    };
    refuses(
        "hello",
        "not a JSON object, so not a document of numa-audit",
    );
    refuses("{", "EOF while parsing an object at line 1 column 1");
    refuses(
        "{}",
        "it has no schema_version, so it is not a document of numa-audit",
    );
    refuses(
        r#"{"schema_version": 7}"#,
        "it has schema_version 7, and this program reads 1",
    );
    refuses(
        &(r#"{"x":"#.to_owned() + &"[".repeat(1 << 20)),
        "EOF while parsing a list at line 1 column 1048581",
    );
    refuses(
        &diff_of(&fine, &fine, &["--json"]).stdout,
        "it has no topology, so it is neither an audit nor a map of numa-audit",
    );
    let missing = Path::new("/no/such/file");
    diff_of(missing, &fine, &[])
        .fails_with("cannot use /no/such/file as an audit: No such file or directory (os error 2)");
    diff_of(Path::new("/dev/zero"), &fine, &[])
        .fails_with("cannot use /dev/zero as an audit: it is not a regular file of at most 64 MiB");
    let folder = tempfile::tempdir().unwrap();
    diff_of(folder.path(), &fine, &[]).fails_with(&format!(
        "{} is not a snapshot: it has neither snapshot.json nor /sys nor /proc",
        folder.path().display()
    ));
    let large = folder.path().join("large");
    std::fs::File::create(&large)
        .unwrap()
        .set_len((64 << 20) + 1)
        .unwrap();
    diff_of(&large, &fine, &[]).fails_with(&format!(
        "cannot use {} as an audit: it is not a regular file of at most 64 MiB",
        large.display()
    ));
}

/// All text of a document may be anybody's, and numbers may be any.
#[test]
fn hostile_documents_are_shown_harmlessly() {
    let evil = "\u{1b}[31m\n\u{202e}x";
    let of = |pid: u32, verdict: &str| {
        json!({"schema_version": 1, "tool": {"name": evil, "version": evil},
            "host": {"hostname": evil, "kernel": evil, "driver_version": evil, "recorded_at": evil},
            "topology": {"nodes": [{"id": u32::MAX, "cpus": "0-65535", "distances": {"4294967295": u32::MAX}}],
                         "gpus": [{"index": u32::MAX, "name": format!("{evil}{pid}"), "uuid": evil}]},
            "processes": [{"pid": pid, "name": evil, "role": format!("{evil}{pid}"), "gpus": [u32::MAX, 0],
                           "cpu": {"node": u32::MAX}, "memory": {"policy": evil, "local_fraction": 1e300, "error": -7},
                           "verdict": verdict},
                          {"pid": pid, "role": "worker", "trainer_pid": pid, "verdict": evil},
                          {"pid": 9, "role": "trainer", "name": evil, "verdict": verdict, "gpus": [u32::MAX],
                           "memory": {"policy": evil, "policy_nodes": [pid]}}],
            "findings": [{"rule": evil, "severity": evil, "message": evil, "pids": [pid, 77], "gpus": [u32::MAX, 0]}],
            "summary": {"verdict": evil, "local_fraction": -1.0, "processes": u64::MAX}})
    };
    let (_one, before) = saved(&of(1, "ok").to_string());
    let (_other, after) = saved(&of(2, "mismatch").to_string());
    for arguments in [&[][..], &["--all"]] {
        let run = diff_of(&before, &after, arguments);
        assert_eq!(run.code, Some(1), "{}", run.stderr);
        let is_harmless =
            |letter: char| letter == '\n' || !(letter.is_control() || letter == '\u{202e}');
        assert!(run.stdout.chars().all(is_harmless), "{}", run.stdout);
        assert!(run.stdout.contains("\\u{1b}[31m\\n\\u{202e}x"));
    }
    diff_of(&before, &after, &["--json"]).json();
}

#[test]
fn nothing_is_wider_than_the_terminal() {
    let names = ["p4d-do-not-match", "p4d-bound", "h200x4-mp-spawn"];
    for (before, after) in names.iter().zip(names.iter().cycle().skip(1)) {
        for columns in [80, 100, 130, 200] {
            for arguments in [&[][..], &["--all"]] {
                let mut command = program();
                command.env("COLUMNS", columns.to_string()).arg("diff");
                command
                    .args([fixture(before), fixture(after)])
                    .args(arguments);
                let run = Run::from(command.output().unwrap());
                for line in run.stdout.lines() {
                    let width = line.chars().count();
                    assert!(width <= columns, "{before} {after} at {columns}: {line}");
                    assert_eq!(line, line.trim_end(), "{before} {after} at {columns}");
                }
            }
        }
    }
}

#[test]
fn colour_adds_nothing_but_colour() {
    let colored = |when| {
        let arguments = ["--color", when];
        diff_of(
            &fixture("p4d-do-not-match"),
            &fixture("p4d-bound"),
            &arguments,
        )
        .stdout
    };
    let (plain, coloured) = (colored("never"), colored("always"));
    assert!(coloured.contains("\x1b["));
    let stripped = without_colour(&coloured);
    let words = |text: &str| {
        text.split_whitespace()
            .map(String::from)
            .collect::<Vec<_>>()
    };
    assert_eq!(words(&stripped), words(&plain));
}
