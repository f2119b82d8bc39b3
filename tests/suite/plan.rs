//! `numa-audit plan`: before a job starts.

use std::fs;
use std::process::Command;

use serde_json::{Value, json};
use snapbox::str;

use crate::machine::Tree;
use crate::program::{Run, fixture, program, replay};
use crate::support::passed_over;

mod launchers;
mod mpirun;
mod placed;
mod scripts;

/// The plan for the machine of the post.
fn plan(arguments: &[&str]) -> Run {
    replay("p4d-bound", &[&["plan"], arguments].concat())
}

/// The same in a format.
fn in_format(format: &str, arguments: &[&str]) -> Run {
    plan(&[&["--format", format], arguments].concat())
}

/// The plan for a tree.
fn plan_of(tree: &Tree, arguments: &[&str]) -> Run {
    tree.audit(&[&["plan"], arguments].concat())
}

/// The text of a plan that there is.
#[track_caller]
fn text(run: &Run) -> &str {
    assert_eq!((run.code, run.stderr.as_str()), (Some(0), ""));
    &run.stdout
}

/// There is no plan, or not in this format: why, and the exit code.
#[track_caller]
fn refuses(run: &Run, code: i32, why: &[&str]) {
    let expected: String = why
        .iter()
        .map(|why| format!("numa-audit: {why}\n"))
        .collect();
    assert_eq!(
        (run.stderr.as_str(), run.stdout.as_str()),
        (expected.as_str(), "")
    );
    assert_eq!(run.code, Some(code));
}

/// The CPUs of each rank.
fn cpus(run: &Run) -> Vec<String> {
    let document = run.json();
    let ranks = document["ranks"].as_array().unwrap().iter();
    ranks
        .map(|rank| rank["cpus"].as_str().unwrap().to_owned())
        .collect()
}

/// The GPU of each rank.
fn gpus(run: &Run) -> Vec<u64> {
    let document = run.json();
    let ranks = document["ranks"].as_array().unwrap().iter();
    ranks.map(|rank| rank["gpu"].as_u64().unwrap()).collect()
}

const JSON: &[&str] = &["--format", "json"];

#[test]
fn a_table_shows_where_each_rank_should_run() {
    let run = plan(&["--workers", "2"]);
    snapbox::assert_data_eq!(
        text(&run),
        str![[r#"
Plan for numa-vm: 8 ranks, 2 loader processes each, the ranks of a node share its CPUs

 RANK  GPU  NODE  CPUS         MEMORY NODES  LOADER CPUS
 0     0    0     0-1,4-5 (4)  0             0-1,4-5 (4)
 1     1    0     0-1,4-5 (4)  0             0-1,4-5 (4)
 2     2    0     0-1,4-5 (4)  0             0-1,4-5 (4)
 3     3    0     0-1,4-5 (4)  0             0-1,4-5 (4)
 4     4    1     2-3,6-7 (4)  1             2-3,6-7 (4)
 5     5    1     2-3,6-7 (4)  1             2-3,6-7 (4)
 6     6    1     2-3,6-7 (4)  1             2-3,6-7 (4)
 7     7    1     2-3,6-7 (4)  1             2-3,6-7 (4)
note: ranks 0-3 together, and ranks 4-7 together, have 12 busy processes for 4 CPUs: bound there
  they wait for each other; use fewer workers, or leave them unbound and compare

"#]]
    );
    let run = plan(&["--exclusive", "--gpus", "6,0", "--workers", "1"]);
    snapbox::assert_data_eq!(
        text(&run),
        str![[r#"
Plan for numa-vm: 2 ranks, 1 loader processes each, each with cores of its own

 RANK  GPU  NODE  CPUS         MEMORY NODES  LOADER CPUS
 0     0    0     0-1,4-5 (4)  0             1,5 (2)
 1     6    1     2-3,6-7 (4)  1             3,7 (2)

"#]]
    );
}

#[test]
fn the_document_has_all_of_it() {
    let run = plan(&[
        "--format",
        "json",
        "--gpus",
        "0,4",
        "--workers",
        "2",
        "--exclusive",
    ]);
    let mut document = run.json();
    document["tool"].take();
    assert_eq!(
        document,
        json!({
            "schema_version": 1, "tool": null, "hostname": "numa-vm", "workers": 2, "exclusive": true, "reserved_cpus": "",
            "ranks": [
                {"rank": 0, "gpu": 0, "uuid": "GPU-00000000-0000-0000-0000-000000000000", "pci_bus_id": "0000:10:1c.0", "node": 0,
                 "cpus": "0-1,4-5", "memory_nodes": [0], "worker_cpus": "1,5"},
                {"rank": 1, "gpu": 4, "uuid": "GPU-00000000-0000-0000-0000-000000000004", "pci_bus_id": "0000:90:1c.0", "node": 1,
                 "cpus": "2-3,6-7", "memory_nodes": [1], "worker_cpus": "3,7"},
            ],
            "notes": [],
        })
    );
}

#[test]
fn ranks_get_gpus_in_the_order_that_is_asked_for() {
    let with = |arguments: &[&str]| gpus(&plan(&[JSON, arguments].concat()));
    assert_eq!(with(&[]), [0, 1, 2, 3, 4, 5, 6, 7]);
    assert_eq!(with(&["--ranks", "3"]), [0, 1, 2]);
    assert_eq!(with(&["--gpus", "5,2", "--order", "pci"]), [2, 5]);
    assert_eq!(with(&["--order", "cuda-visible-devices=7,1,4"]), [7, 1, 4]);
    assert_eq!(
        with(&["--order", "cuda-visible-devices=7,1,4", "--gpus", "4,7"]),
        [7, 4]
    );
    let uuid = "cuda-visible-devices=GPU-00000000-0000-0000-0000-000000000005,2";
    assert_eq!(with(&["--order", uuid]), [5, 2]);
    let mut command = program();
    command.args([
        "plan",
        "--format",
        "json",
        "--order",
        "cuda-visible-devices",
        "--snapshot",
    ]);
    command
        .arg(fixture("p4d-bound"))
        .env("CUDA_VISIBLE_DEVICES", "3,0");
    assert_eq!(gpus(&command.output().unwrap().into()), [3, 0]);
}

#[test]
fn the_order_of_addresses_is_not_that_of_the_indexes() {
    let mut tree = Tree::new();
    tree.gpu("0000:08:00.0", "1\n");
    let with = |order: &str| gpus(&plan_of(&tree, &["--format", "json", "--order", order]));
    assert_eq!(with("nvml"), [0, 1]);
    assert_eq!(with("pci"), [1, 0]);
}

#[test]
fn wrong_arguments_are_said() {
    for (arguments, sentence) in [
        (&["--gpus", "0,0"][..], "--gpus names GPU 0 twice"),
        (
            &["--ranks", "9"],
            "--ranks 9: there are only 8 GPUs, and each rank needs its own",
        ),
        (
            &["--gpus", "0", "--ranks", "2"],
            "--ranks 2: there are only 1 GPUs, and each rank needs its own",
        ),
        (
            &["--order", "cuda-visible-devices=0,0"],
            "CUDA_VISIBLE_DEVICES names GPU 0 twice",
        ),
        (
            &["--order", "cuda-visible-devices=0,9"],
            "no single GPU is \"9\" of CUDA_VISIBLE_DEVICES",
        ),
        (
            &["--order", "cuda-visible-devices=MIG-1"],
            "\"MIG-1\" is a MIG device: plan the GPU that it is part of",
        ),
        (
            &["--order", "cuda-visible-devices="],
            "there is no GPU to plan for: none is visible here",
        ),
        (&["--dir", "/nonexistent/x"], "--dir is for --format env"),
    ] {
        plan(arguments).fails_with(sentence);
    }
    for arguments in [
        &["--order", "random"][..],
        &["--reserve", "3-1"],
        &["--ranks", "0"],
        &["--workers", "-1"],
        &["--format", "yaml"],
    ] {
        assert_eq!(plan(arguments).code, Some(2), "{arguments:?}");
    }
}

/// It may have GPUs that only the driver lists.
#[test]
fn without_the_drivers_answer_it_is_unknown_whether_there_are_gpus() {
    let run = plan_of(&Tree::without_gpu(), &[]);
    let why =
        "numa-audit: no plan: there is no GPU to plan for: none is visible here (NVIDIA driver: ";
    assert_eq!(run.code, Some(3));
    assert!(run.stderr.starts_with(why), "{}", run.stderr);
}

#[test]
fn without_a_home_node_there_is_no_plan() {
    let mut tree = Tree::new();
    tree.gpu("0000:90:1c.0", "1\n");
    tree.numa_node("-1\n");
    let why = "no plan: GPU 0: its home node is unknown; --gpu-node 0=NODE sets it";
    refuses(&plan_of(&tree, &[]), 3, &[why]);
    assert_eq!(
        cpus(&plan_of(&tree, &["--format", "json", "--gpu-node", "0=1"])),
        ["2-3", "2-3"]
    );
    // What is known of the others is enough for them.
    assert_eq!(
        cpus(&plan_of(&tree, &["--format", "json", "--gpus", "1"])),
        ["2-3"]
    );
}

#[test]
fn isolated_and_reserved_cpus_are_left_alone() {
    let mut tree = Tree::new();
    tree.gpu("0000:90:1c.0", "1\n");
    tree.file("sys/devices/system/cpu/isolated", "1\n");
    let run = plan_of(&tree, &["--format", "json", "--reserve", "2"]);
    assert_eq!(cpus(&run), ["0", "3"]);
    let notes = run.json()["notes"].to_string();
    for part in [
        "the isolated CPUs 1 are left alone",
        "the reserved CPUs 2 are left alone",
    ] {
        assert!(notes.contains(part), "{notes}");
    }
    let why = "no plan: GPU 0: all CPUs of node 0 (0-1) are isolated from the scheduler, or reserved with --reserve";
    refuses(&plan_of(&tree, &["--reserve", "0"]), 1, &[why]);
}

#[test]
fn fewer_cores_than_ranks_are_said() {
    refuses(
        &plan(&["--exclusive"]),
        1,
        &[
            "no plan: GPUs 0-3: 4 ranks, and node 0 has only 2 usable cores for them (CPUs 0-1,4-5)",
            "no plan: GPUs 4-7: 4 ranks, and node 1 has only 2 usable cores for them (CPUs 2-3,6-7)",
        ],
    );
    let tree = Tree::new();
    let why = "no plan: it is unknown which of the CPUs 0-1 are the same core: without --exclusive the ranks of a node share its CPUs";
    refuses(&plan_of(&tree, &["--exclusive"]), 3, &[why]);
}

/// A GPU whose node has no CPUs runs on the nearest.
#[test]
fn nodes_without_cpus_are_said() {
    let tree = Tree::new();
    tree.nodes(&[("0-1", 0), ("2-3", 1), ("", 0)]);
    tree.numa_node("2\n");
    let run = plan_of(&tree, JSON);
    assert!(cpus(&run)[0].starts_with("0-1"), "{}", run.stdout);
    let document = run.json();
    let notes = document["notes"].to_string();
    assert!(
        notes.contains("node 2 has no CPUs: its GPUs' ranks run on the nearest one"),
        "{notes}"
    );
    assert_eq!(document["ranks"][0]["memory_nodes"], json!([2]));
}
