//! Many processes on few CPUs: at risk at least, and an error where a whole job is on one core for no reason.

use serde_json::Value;

use crate::machine::{PLACED, Process, Tree};
use crate::program::of_role;

/// A trainer and so many workers on these CPUs, on node 0 with CPUs 0-7. The cpuset allows `allowed`.
fn job(cpus: &str, workers: u32, allowed: &str) -> Tree {
    let mut tree = Tree::new();
    tree.nodes(&[("0-7", 0), ("8-15", 1)]);
    one_trainer(&mut tree, 100, cpus, workers, allowed);
    tree
}

fn one_trainer(tree: &mut Tree, pid: u32, cpus: &str, workers: u32, allowed: &str) {
    for worker in 0..=workers {
        let process = Process {
            pid: pid + 10 * worker,
            ppid: if worker == 0 { 1 } else { pid },
            threads: &[(0, cpus)],
            ..PLACED
        };
        if worker == 0 {
            tree.trainer(&process);
        } else {
            tree.process(&process);
        }
        tree.confine(process.pid, "/job", allowed, "0-1");
    }
}

/// The severity of cpus-crowded, the verdict of the trainer's CPUs, and the exit code.
fn crowded(tree: &Tree) -> (Option<String>, String, i32) {
    let run = tree.audit(&["--json"]);
    let document = run.json();
    let mut findings = document["findings"].as_array().unwrap().iter();
    let severity = findings
        .find(|of| of["rule"] == "cpus-crowded")
        .map(|of| of["severity"].as_str().unwrap().to_owned());
    let verdict = of_role(&document, "trainer")[0]["cpu"]["verdict"].clone();
    let verdict = verdict.as_str().unwrap().to_owned();
    (severity, verdict, run.code.unwrap())
}

fn is(severity: &str, verdict: &str, code: i32) -> (Option<String>, String, i32) {
    (Some(severity.to_owned()), verdict.to_owned(), code)
}

#[test]
fn a_trainer_and_three_of_its_workers_on_one_cpu_is_an_error() {
    let tree = job("0", 3, "0-15");
    assert_eq!(crowded(&tree), is("error", "at-risk", 1));
    let text = tree.audit(&[]).stdout;
    assert!(
        text.contains("error[cpus-crowded]: trainer 100 and 3 workers share only one CPU (CPU 0), although the"),
        "{text}"
    );
    // Other workers of the same trainer are elsewhere: three here are enough.
    tree.process(&Process {
        pid: 190,
        ppid: 100,
        ..PLACED
    });
    assert_eq!(crowded(&tree), is("error", "at-risk", 1));
}

#[test]
fn a_whole_job_on_one_cpu_is_an_error() {
    assert_eq!(crowded(&job("0", 1, "0-15")), is("error", "at-risk", 1));
    // Its other workers are elsewhere.
    let tree = job("0", 1, "0-15");
    tree.process(&Process {
        pid: 190,
        ppid: 100,
        threads: &[(1, "0-7")],
        ..PLACED
    });
    assert_eq!(crowded(&tree), is("warning", "at-risk", 0));
}

/// OMP_PROC_BIND=close with torchrun: the launcher, both trainers and all workers have the mask of one CPU.
#[test]
fn two_ranks_of_a_job_on_one_cpu() {
    let mut tree = Tree::new();
    tree.nodes(&[("0-31", 0)]);
    tree.process(&Process {
        pid: 50,
        command: "python3\0/usr/bin/torchrun\0train.py\0",
        threads: &[(0, "0")],
        ..PLACED
    });
    for (gpu, pid) in [(0, 100), (1, 200)] {
        for worker in 0..4 {
            let parent = if worker == 0 { 50 } else { pid };
            tree.process(&Process {
                pid: pid + worker,
                ppid: parent,
                threads: &[(0, "0")],
                ..PLACED
            });
            tree.confine(pid + worker, "/", "0-31", "0");
        }
        tree.listed(gpu, pid, "compute", 1 << 30);
    }
    let (severity, verdict, code) = crowded(&tree);
    assert_eq!((severity.as_deref(), code), (Some("error"), 1));
    assert_eq!(verdict, "at-risk", "on a machine of one node too");
}

#[test]
fn hardware_threads_of_one_core_are_one_core() {
    let tree = job("0,4", 4, "0-15");
    assert_eq!(crowded(&tree), is("warning", "at-risk", 0));
    let siblings = "sys/devices/system/cpu/cpu0/topology/thread_siblings_list";
    tree.file(siblings, "0,4\n");
    assert_eq!(crowded(&tree), is("error", "at-risk", 1));
    // The cpuset has the one core and no more.
    let tree = job("0,4", 4, "0,4");
    tree.file(siblings, "0,4\n");
    assert_eq!(crowded(&tree), is("warning", "at-risk", 0));
}

#[test]
fn a_cpuset_of_one_cpu_is_no_error() {
    assert_eq!(crowded(&job("0", 3, "0")), is("warning", "at-risk", 0));
}

/// Where the cpuset cannot be read, the launcher of the same control group shows what is allowed.
#[test]
fn an_unknown_cpuset_is_no_error_unless_a_process_shows_more() {
    let tree = |launcher: &str| {
        let mut tree = Tree::new();
        tree.nodes(&[("0-7", 0), ("8-15", 1)]);
        tree.process(&Process {
            pid: 50,
            threads: &[(0, launcher)],
            ..PLACED
        });
        for pid in [100, 101, 102, 103] {
            let process = Process {
                pid,
                ppid: if pid == 100 { 50 } else { 100 },
                threads: &[(0, "0")],
                ..PLACED
            };
            if pid == 100 {
                tree.trainer(&process);
            } else {
                tree.process(&process);
            }
        }
        tree
    };
    assert_eq!(crowded(&tree("0")), is("warning", "at-risk", 0));
    assert_eq!(crowded(&tree("0-15")), is("error", "at-risk", 1));
}

#[test]
fn one_worker_for_each_cpu_is_accepted() {
    assert_eq!(crowded(&job("0-3", 4, "0-15")), (None, "ok".to_owned(), 0));
    assert_eq!(crowded(&job("0-3", 5, "0-15")), is("warning", "at-risk", 0));
}

/// `--allow` leaves out the finding and not the verdict.
#[test]
fn the_verdict_does_not_depend_on_the_rule() {
    let run = job("0-3", 5, "0-15").audit(&["--json", "--allow", "cpus-crowded"]);
    let document: Value = run.json();
    assert_eq!(document["summary"]["at_risk"], 6);
}
