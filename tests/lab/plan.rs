//! Starts jobs as `numa-audit plan` prints it: `guest/plan` runs the wrapper and the numactl script, and audits what they started.

use serde_json::{Value, json};

use crate::guest::Left;
use crate::peers::by_pid;

/// The jobs of the scenario.
const JOBS: [&str; 4] = ["numactl", "wrapper", "exclusive", "backwards"];

#[track_caller]
fn runs_as_planned(shape: &str) -> Option<Left> {
    let left = Left::of(shape, "plan")?;
    for job in JOBS {
        is_as_planned(&left, job);
    }
    Some(left)
}

/// Each rank and its worker has the plan's GPU, CPUs and memory, and the audit finds all of them placed well.
#[track_caller]
fn is_as_planned(left: &Left, job: &str) {
    let (plan, report) = (
        left.json(&format!("{job}.plan")),
        left.json(&format!("{job}.json")),
    );
    assert_eq!(
        left.code(&format!("{job}.json")),
        0,
        "{job}: {:#}",
        report["findings"]
    );
    let processes = by_pid(&report);
    let ranks = plan["ranks"].as_array().unwrap();
    for rank in ranks {
        let pid = left.job(&format!("{job}.{}", rank["rank"]));
        let family = processes.values().filter(|of| of["trainer_pid"] == pid);
        let family: Vec<&&Value> = family.collect();
        assert_eq!(
            family.len(),
            2,
            "{job}: a trainer and its worker: {:#}",
            report["processes"]
        );
        for process in family {
            assert_eq!(process["gpus"], json!([rank["gpu"]]), "{job}: {process:#}");
            assert_eq!(
                process["cpu"]["affinity"], rank["cpus"],
                "{job}: {process:#}"
            );
            assert_eq!(
                process["memory"]["policy_nodes"], rank["memory_nodes"],
                "{job}: {process:#}"
            );
            assert_eq!(process["verdict"], "ok", "{job}: {process:#}");
        }
    }
    assert_eq!(report["summary"]["ok"], 2 * ranks.len(), "{job}");
    println!("{job}: {} ranks are as planned", ranks.len());
}

/// The CPUs of the ranks of a job.
fn cpus(left: &Left, job: &str) -> Vec<String> {
    let plan = left.json(&format!("{job}.plan"));
    let ranks = plan["ranks"].as_array().unwrap().iter();
    ranks
        .map(|rank| rank["cpus"].as_str().unwrap().to_owned())
        .collect()
}

#[test]
fn a_p4d_runs_as_planned() {
    let Some(left) = runs_as_planned("p4d") else {
        return;
    };
    assert_eq!(cpus(&left, "exclusive"), ["0,4", "1,5", "2,6", "3,7"]);
    let backwards = left.json("backwards.plan");
    assert_eq!(backwards["ranks"][0]["gpu"], 7);
    assert_eq!(cpus(&left, "backwards")[..1], ["2-3,6-7"]);
}

#[test]
fn nodes_of_one_cpu_run_as_planned() {
    if let Some(left) = runs_as_planned("nps4") {
        assert_eq!(
            cpus(&left, "numactl"),
            ["3", "3", "1", "1", "7", "7", "5", "5"]
        );
    }
}

#[test]
fn a_grace_runs_as_planned() {
    if let Some(left) = runs_as_planned("grace") {
        assert_eq!(cpus(&left, "numactl"), ["0-1", "2-3"]);
        let plan = left.json("numactl.plan");
        assert_eq!(
            plan["ranks"][0]["memory_nodes"],
            json!([0]),
            "not the GPU's own memory"
        );
    }
}

#[test]
fn gpus_of_a_node_without_cpus_run_as_planned() {
    if let Some(left) = runs_as_planned("cpuless") {
        let plan = left.json("numactl.plan");
        assert_eq!(plan["ranks"][0]["node"], 1);
        assert_eq!(plan["ranks"][0]["memory_nodes"], json!([2]));
        assert!(
            plan["notes"][0]
                .as_str()
                .unwrap()
                .starts_with("node 2 has no CPUs")
        );
    }
}

#[test]
fn machines_with_more_memory_run_as_planned() {
    if let Some(left) = runs_as_planned("cxl") {
        assert_eq!(cpus(&left, "exclusive"), ["0-1", "2-3"]);
    }
}

#[test]
fn nodes_without_memory_run_as_planned() {
    if let Some(left) = runs_as_planned("memoryless") {
        let plan = left.json("numactl.plan");
        assert_eq!(plan["ranks"][1]["memory_nodes"], json!([0]));
    }
}
