//! --job: the processes of one job.

use serde_json::Value;

use crate::machine::{PLACED, Process, Tree};
use crate::program::{Run, program};

/// Job 42 is well placed on GPU 0, with a worker that has an empty environment. Job 43 is on the wrong node for GPU 1.
fn two_jobs() -> Tree {
    let mut tree = Tree::new();
    tree.trainer(&PLACED);
    tree.variables(100, &["SLURM_JOB_ID=42"]);
    tree.process(&Process {
        pid: 101,
        ppid: 100,
        name: "pt_data_worker",
        ..PLACED
    });
    tree.process(&Process { pid: 200, ..PLACED });
    tree.listed(1, 200, "compute", 1 << 30);
    tree.variables(200, &["PBS_JOBID=43.server", "SLURM_JOB_ID=43"]);
    tree
}

fn pids(run: &Run) -> Vec<u64> {
    let document = run.json();
    let processes = document["processes"].as_array().unwrap();
    processes
        .iter()
        .map(|of| of["pid"].as_u64().unwrap())
        .collect()
}

#[test]
fn only_the_processes_of_the_job_are_judged() {
    let tree = two_jobs();
    let audit = |job| tree.audit(&["--json", "--job", job]);
    let good = audit("42");
    assert_eq!((pids(&good), good.code), (vec![100, 101], Some(0)));
    assert_eq!(good.stderr, "");
    for id in ["43", "43.server"] {
        let bad = audit(id);
        assert_eq!((pids(&bad), bad.code), (vec![200], Some(1)), "{id}");
    }
    // Neither GPU is said to be without processes.
    let document = good.json();
    let gpus = document["topology"]["gpus"].as_array().unwrap();
    assert!(gpus.iter().all(|gpu| gpu["in_scope"] == false), "{gpus:?}");
}

#[test]
fn a_job_that_is_not_here_is_said_and_is_no_error() {
    let tree = two_jobs();
    for arguments in [&["--job", "4"][..], &["--job", "4", "--quiet"]] {
        let run = tree.audit(arguments);
        assert_eq!(
            run.stderr,
            "numa-audit: note: no process of job 4 uses a GPU here; jobs here: PBS 43.server, Slurm 42, Slurm 43\n"
        );
        assert_eq!(run.code, Some(0));
    }
    assert_eq!(tree.audit(&["--job", ""]).code, Some(2));
}

#[test]
fn the_home_node_of_another_jobs_gpu_does_not_matter() {
    let tree = two_jobs();
    tree.numa_node("-1\n");
    assert_eq!(tree.audit(&["--job", "42"]).code, Some(3));
    assert_eq!(tree.audit(&["--job", "43"]).code, Some(1));
    let other = tree.audit(&["--job", "43", "--json"]).json();
    let about_gpu_0 = |gap: &&Value| gap["gpu"] == 0;
    let gaps = other["incomplete"].as_array().unwrap();
    assert_eq!(gaps.iter().find(about_gpu_0), None);
}

#[test]
fn self_is_the_job_that_the_program_runs_in() {
    let tree = two_jobs();
    tree.audit(&[]);
    let audit = |variables: &[(&str, &str)]| -> Run {
        let mut command = program();
        command
            .args(["--json", "--job", "self", "--snapshot"])
            .arg(tree.folder.path());
        for name in [
            "SLURM_JOB_ID",
            "PBS_JOBID",
            "LSB_JOBID",
            "FLUX_JOB_ID",
            "RAY_JOB_ID",
        ] {
            command.env_remove(name);
        }
        command.envs(variables.iter().copied());
        command.output().unwrap().into()
    };
    // Who runs these tests in a Slurm job has another number, and no variable of Slurm's would count.
    if !std::fs::read_to_string("/proc/self/cgroup")
        .unwrap()
        .contains("slurm")
    {
        audit(&[]).fails_with("--job self: this program runs in no job of a scheduler");
        // The processes belong to another user: an unread environment would not matter.
        assert_eq!(pids(&audit(&[("SLURM_JOB_ID", "42")])), [100, 101]);
        assert_eq!(pids(&audit(&[("PBS_JOBID", "43.server")])), [200]);
        // The number alone is another scheduler's.
        assert_eq!(pids(&audit(&[("LSB_JOBID", "42")])), [0; 0]);
    }
}
