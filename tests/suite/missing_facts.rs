//! A fact that is missing is unknown: never zero, never "none", never a good verdict.

use serde_json::{Value, json};

use crate::machine::{PLACED, Process, Tree, with_trainer};
use crate::program::of_role;

#[test]
fn unreadable_memory_is_unknown() {
    let tree = with_trainer(&Process {
        numa_maps: None,
        ..PLACED
    });
    let document = tree.judges("ok", "unknown", 3);
    assert_eq!(
        document["incomplete"],
        json!([{"pid": 100, "what": "memory", "kind": "memory", "reason": "absent"}])
    );
    let memory = &of_role(&document, "trainer")[0]["memory"];
    assert_eq!(memory["by_node_bytes"], Value::Null);
    assert_eq!(memory["mems_allowed"], json!([0, 1]));
    // The recording says that reading it was denied.
    tree.file(
        "snapshot.json",
        "{\"format\": 1, \"denied\": [\"proc/100/numa_maps\"]}",
    );
    let denied = tree.audit_as_recorded(&["--json"]).json();
    assert_eq!(denied["incomplete"][0]["reason"], "permission denied");
}

#[test]
fn unknown_cpus_of_a_node_are_not_an_empty_list() {
    let tree = with_trainer(&PLACED);
    tree.file("sys/devices/system/node/node1/cpulist", "nonsense\n");
    let document = tree.judges("unknown", "ok", 3);
    assert_eq!(document["topology"]["nodes"][1]["cpus"], Value::Null);
    assert_eq!(document["incomplete"][0]["what"], "CPUs of node 1");
    let table = tree.audit(&[]).stdout;
    assert!(table.contains("node 1 CPUs ?"), "{table}");
}

#[test]
fn a_thread_with_unknown_affinity_is_not_bound() {
    let tree = with_trainer(&Process {
        threads: &[(0, "0-1"), (0, "0-1")],
        ..PLACED
    });
    tree.file("proc/100/task/101/status", "Uid:\t7\n");
    let document = tree.judges("unknown", "ok", 3);
    assert_eq!(document["incomplete"][0]["what"], "thread 101");
}

#[test]
fn a_process_that_cannot_be_read_is_reported() {
    let tree = with_trainer(&PLACED);
    tree.file("proc/101/stat", "101 (pt_data_worker) S\n");
    let run = tree.audit(&["--json"]);
    assert_eq!(run.code, Some(3));
    let gap = &run.json()["incomplete"][0];
    assert_eq!(
        (&gap["pid"], &gap["what"]),
        (&json!(101), &json!("process"))
    );
    tree.audit(&["--pid", "101"]).fails_with(
        "process 101 cannot be read: malformed: no field 9 in stat: \"101 (pt_data_worker) S\\n\"",
    );
}

#[test]
fn a_truncated_numa_maps_is_not_used() {
    let tree = with_trainer(&Process {
        numa_maps: Some("7f0000000000 default anon=25600 N0=25600 kernelpagesize_kB=4\n7f00"),
        ..PLACED
    });
    let document = tree.judges("ok", "unknown", 3);
    assert_eq!(
        document["incomplete"][0]["reason"],
        "malformed: ends within a line"
    );
}

#[test]
fn gpu_memory_in_use_by_invisible_processes_is_reported() {
    let tree = Tree::new();
    let run = tree.audit(&["--json"]);
    assert_eq!(run.code, Some(3), "never 0 for a box that it could not see");
    let document = run.json();
    let reason = document["incomplete"][0]["reason"].as_str().unwrap();
    assert!(
        reason.starts_with("1.0 GiB in use by processes that are not visible here"),
        "{reason}"
    );
    let mut two = Tree::new();
    two.listed(1, 999, "mps", 0);
    let table = two.audit(&[]).stdout;
    assert!(
        table.contains(
            "? processes of GPUs 0-1: 2.0 GiB in use by processes that are not visible here"
        ),
        "one line for all GPUs: {table}"
    );
    let mut idle = Tree::new();
    idle.gpu_memory_used = 5 << 20;
    assert_eq!(idle.audit(&[]).code, Some(0), "an idle box");
    idle.numa_node("-1\n");
    assert_eq!(
        idle.audit(&[]).code,
        Some(3),
        "whoever came could not be judged"
    );
}

#[test]
fn a_process_that_only_the_driver_lists_is_reported() {
    let mut tree = with_trainer(&PLACED);
    tree.listed(0, 4242, "compute", 1 << 30);
    let run = tree.audit(&["--json"]);
    assert_eq!(run.code, Some(3));
    assert_eq!(
        run.json()["incomplete"],
        json!([{"pid": 4242, "what": "process", "kind": "process", "reason": "absent", "leaves_open": true, "hint": "the driver lists it, and it is not visible here: it \
             has ended, runs in another PID namespace, or is hidden (hidepid)"}])
    );
}

#[test]
fn what_is_out_of_scope_is_not_missing() {
    let mut tree = with_trainer(&PLACED);
    tree.listed(1, 4242, "compute", 1 << 30);
    assert_eq!(tree.audit(&[]).code, Some(3));
    assert_eq!(tree.audit(&["--gpu", "1"]).code, Some(3));
    assert_eq!(tree.audit(&["--gpu", "0"]).code, Some(0));
    assert_eq!(tree.audit(&["--pid", "100"]).code, Some(0));
}
