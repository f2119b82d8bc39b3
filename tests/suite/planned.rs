//! `--expect` with a plan: whether a running job is placed as planned.

use std::path::PathBuf;

use snapbox::str;

use crate::program::{Run, finding, findings_of, replay};

/// A plan for the machine of a fixture, on disk. The folder has to be kept.
fn plan(fixture: &str, arguments: &[&str]) -> (tempfile::TempDir, PathBuf) {
    let run = replay(
        fixture,
        &[&["plan", "--format", "json"], arguments].concat(),
    );
    assert_eq!((run.code, run.stderr.as_str()), (Some(0), ""));
    written(&run.stdout)
}

fn written(text: &str) -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("plan.json");
    std::fs::write(&path, text).unwrap();
    (folder, path)
}

fn compared(fixture: &str, plan: &(tempfile::TempDir, PathBuf), arguments: &[&str]) -> Run {
    let plan = plan.1.to_str().unwrap();
    replay(fixture, &[arguments, &["--expect", plan]].concat())
}

/// Two ranks, which numactl bound to the nodes of GPUs 0 and 4.
#[test]
fn a_job_that_is_placed_as_planned() {
    let plan = plan("p4d-bound", &["--gpus", "0,4"]);
    let run = compared("p4d-bound", &plan, &["--json"]);
    assert_eq!(run.code, Some(0));
    assert_eq!(run.json()["expectation"], "met");
    let run = compared("p4d-bound", &plan, &["topology", "--quiet"]);
    assert_eq!((run.code, run.stdout.as_str()), (Some(0), ""));
}

#[test]
fn ranks_on_other_gpus_and_ranks_that_are_missing() {
    let plan = plan("p4d-bound", &[]);
    let run = compared("p4d-bound", &plan, &[]);
    assert_eq!(run.code, Some(1));
    snapbox::assert_data_eq!(
        findings_of(&run.stdout, "not-as-expected"),
        str![[r#"
error[not-as-expected]: trainer of rank 1: GPU: 1 expected, 4 found; CPU affinity: 0-1,4-5 expected,
  2-3,6-7 found; memory policy: nodes 0 expected, bind 1 found
  fix: fix the machine or the job or, if the change is intended, write a new file for --expect
error[not-as-expected]: workers of rank 1: CPU affinity: CPUs of 0-1,4-5 expected, 2-3,6-7 found;
  memory policy: nodes 0 expected, bind 1 found
error[not-as-expected]: trainers of ranks 2-7: one each expected, none found

"#]]
    );
}

#[test]
fn a_rank_that_is_not_bound() {
    let plan = plan("p4d-do-not-match", &["--ranks", "1"]);
    let run = compared("p4d-do-not-match", &plan, &[]);
    assert_eq!(run.code, Some(1));
    snapbox::assert_data_eq!(
        findings_of(&run.stdout, "not-as-expected"),
        str![[r#"
error[not-as-expected]: trainer of rank 0: CPU affinity: 0-1,4-5 expected, 0-7 found
  fix: fix the machine or the job or, if the change is intended, write a new file for --expect
error[not-as-expected]: workers of rank 0: CPU affinity: CPUs of 0-1,4-5 expected, 0-7 found

"#]]
    );
    // Only one GPU was asked for, and the rank of another one is not missing.
    let run = compared(
        "p4d-bound",
        &self::plan("p4d-bound", &["--gpus", "0,4"]),
        &["--gpu", "0"],
    );
    assert_eq!(run.code, Some(0), "{}", run.stdout);
}

/// What is on the GPU's node by index alone is not the planned GPU.
#[test]
fn a_plan_for_another_machine() {
    let plan = plan("p4d-bound", &["--gpus", "0,4"]);
    let text = std::fs::read_to_string(&plan.1).unwrap();
    let plan = written(&text.replace("GPU-00000000", "GPU-11111111"));
    let run = compared("p4d-bound", &plan, &["topology", "--json"]);
    assert_eq!(run.code, Some(1));
    let found = finding(&run.json(), "not-as-expected").clone();
    let message = "GPU of rank 0: GPU-11111111-0000-0000-0000-000000000000 expected, none found";
    assert_eq!(found["message"], message);
}

/// A plan with these ranks and GPUs.
fn ranks(of: [(u32, u32); 3]) -> String {
    let rank = |(rank, gpu)| {
        format!(
            r#"{{"rank": {rank}, "gpu": {gpu}, "cpus": "0", "memory_nodes": [0], "worker_cpus": "0"}}"#
        )
    };
    let ranks = of.map(rank).join(", ");
    format!(r#"{{"schema_version": 1, "ranks": [{ranks}]}}"#)
}

#[test]
fn what_is_no_plan_is_refused() {
    for (text, why) in [
        (
            r#"{"schema_version": 1, "ranks": []}"#,
            "it is a plan without ranks",
        ),
        (
            &ranks([(0, 0), (1, 1), (0, 2)]),
            "it is a plan with rank 0 twice",
        ),
        (
            &ranks([(0, 0), (1, 1), (2, 1)]),
            "it is a plan with GPU 1 for two ranks",
        ),
        (
            r#"{"schema_version": 2, "ranks": [{"rank": 0, "gpu": 0, "cpus": "", "memory_nodes": [], "worker_cpus": ""}]}"#,
            "it is a plan with schema_version 2, and this program reads 1",
        ),
        (
            r#"{"schema_version": 1, "ranks": [{"rank": 0, "gpu": 0, "cpus": "a"}]}"#,
            "not a list of numbers: \"a\" at line 1 column 66",
        ),
    ] {
        let run = compared("p4d-bound", &written(text), &[]);
        assert_eq!(run.code, Some(2));
        assert!(run.stderr.contains(why), "{}", run.stderr);
    }
}
