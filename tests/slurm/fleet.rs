//! `numa-audit fleet` on what srun prints of three nodes.

use std::io::Write;
use std::process::{Command, Stdio};

use serde_json::Value;

use crate::cluster::{Cluster, NODES, PROGRAM};

fn machines(document: &Value) -> Vec<&str> {
    let machines = document["machines"].as_array().unwrap();
    machines
        .iter()
        .map(|of| of["name"].as_str().unwrap())
        .collect()
}

#[test]
fn the_output_of_srun_is_one_view() {
    let Some(cluster) = Cluster::start("") else {
        return;
    };
    let srun = ["srun", "-N3", "--ntasks-per-node=1"];
    let output = cluster.run(&[&srun[..], &["-l", PROGRAM, "--json"]].concat());
    let mut fleet = Command::new(PROGRAM);
    fleet.args(["fleet", "--json", "-", "--hosts", &NODES.join(",")]);
    let mut child = fleet
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    child
        .stdin
        .take()
        .unwrap()
        .write_all(&output.stdout)
        .unwrap();
    let labelled = child.wait_with_output().unwrap();
    let labelled: Value = serde_json::from_slice(&labelled.stdout).unwrap();
    let mut names = machines(&labelled);
    names.sort_unstable();
    assert_eq!(names, NODES);
    for list in ["missing", "not_asked_for", "duplicates", "unreadable"] {
        assert_eq!(labelled[list], serde_json::json!([]), "{list}");
    }

    let files = cluster.path("%t.json");
    cluster.run(&[&srun[..], &["-o", &files, PROGRAM, "--json"]].concat());
    let folder = cluster.path("");
    let fleet = Command::new(PROGRAM)
        .args(["fleet", "--json", &folder])
        .output()
        .unwrap();
    let document: Value = serde_json::from_slice(&fleet.stdout).unwrap();
    let mut names = machines(&document);
    names.sort_unstable();
    assert_eq!(names, NODES);
}
