//! numa-audit as a step of a job, on three nodes.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;

use serde_json::Value;

use crate::cluster::{Cluster, NODES, PROGRAM};

/// The name of the node and the Slurm job in each document.
fn nodes_and_jobs(documents: &[Value]) -> (BTreeSet<&str>, BTreeSet<&str>) {
    let nodes = documents.iter().map(|document| {
        assert_eq!(document["host"]["node_name_source"], "SLURMD_NODENAME");
        document["host"]["node_name"].as_str().unwrap()
    });
    let jobs = documents.iter().map(|document| {
        let job = &document["host"]["observer_jobs"][0];
        assert_eq!(job["scheduler"], "Slurm");
        job["id"].as_str().unwrap()
    });
    (nodes.collect(), jobs.collect())
}

#[track_caller]
fn check(documents: &[Value]) {
    assert_eq!(documents.len(), NODES.len());
    let (nodes, jobs) = nodes_and_jobs(documents);
    assert_eq!(nodes, NODES.into());
    assert_eq!(jobs.len(), 1, "{jobs:?}");
}

#[test]
fn documents_of_three_nodes_are_readable_and_name_their_node_and_job() {
    let Some(cluster) = Cluster::start("") else {
        return;
    };
    // A file for each task.
    let srun = ["srun", "-N3", "--ntasks-per-node=1"];
    let files = cluster.path("%t.json");
    cluster.run(&[&srun[..], &["-o", &files, PROGRAM, "--json"]].concat());
    let documents = (0..NODES.len()).map(|task| {
        let text = fs::read(cluster.path(&format!("{task}.json"))).unwrap();
        serde_json::from_slice(&text).unwrap()
    });
    check(&documents.collect::<Vec<Value>>());

    // One stream with labels.
    let output = cluster.run(&[&srun[..], &["-l", PROGRAM, "--json"]].concat());
    let mut texts: BTreeMap<&str, String> = BTreeMap::new();
    let stdout = String::from_utf8(output.stdout).unwrap();
    for line in stdout.lines() {
        let (task, line) = line.split_once(": ").unwrap();
        *texts.entry(task).or_default() += line;
    }
    let documents = texts
        .values()
        .map(|text| serde_json::from_str(text).unwrap());
    check(&documents.collect::<Vec<Value>>());

    a_running_job_is_audited_from_beside_it(&cluster);
}

fn a_running_job_is_audited_from_beside_it(cluster: &Cluster) {
    let pid_file = cluster.path("pid");
    let script = format!("echo $$ > {pid_file}.new; mv {pid_file}.new {pid_file}; exec sleep 600");
    let job = cluster.output(&[
        "sbatch",
        "--parsable",
        "-N1",
        "-o/dev/null",
        "--wrap",
        &script,
    ]);
    let job = job.trim();
    cluster.wait_until("the job runs", || fs::metadata(&pid_file).is_ok());
    let pid = fs::read_to_string(&pid_file).unwrap();
    let pid = pid.trim();

    let beside = format!("--jobid={job}");
    let audit = |arguments: &[&str]| {
        let srun = [
            "srun",
            "--overlap",
            &beside,
            "-N1",
            PROGRAM,
            "--json",
            "--pid",
            pid,
        ];
        let output = cluster.run(&[&srun[..], arguments].concat());
        let document: Value = serde_json::from_slice(&output.stdout)
            .unwrap_or_else(|error| panic!("{error}: {output:?}"));
        let processes = document["processes"].as_array().unwrap();
        let pids: Vec<u64> = processes
            .iter()
            .map(|of| of["pid"].as_u64().unwrap())
            .collect();
        (pids, String::from_utf8(output.stderr).unwrap())
    };
    let own = vec![pid.parse().unwrap()];
    assert_eq!(audit(&["--job", "self"]), (own.clone(), String::new()));
    assert_eq!(audit(&["--job", job]).0, own);
    let (none, message) = audit(&["--job", "999999"]);
    assert_eq!(none, [0; 0]);
    let expected = format!("no named process is in job 999999; jobs here: Slurm {job}\n");
    assert!(message.contains(&expected), "{message}");
    cluster.output(&["scancel", job]);
    cluster.wait_until("the job has ended", || {
        cluster.output(&["squeue", "-h"]).is_empty()
    });
}
