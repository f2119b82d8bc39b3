//! Local memory nodes: the home nodes with memory or, where none has memory, the nearest nodes with memory.

use serde_json::{Value, json};

use crate::machine::{PLACED, Process, Tree};
use crate::program::{finding, of_role};

/// Two sockets of four nodes with two CPUs each. Only nodes 1 and 5 have memory; the GPU is attached to node 6.
fn memory_on_two_of_eight_nodes() -> Tree {
    let tree = Tree::new();
    let cpus = ["0-1", "2-3", "4-5", "6-7", "8-9", "10-11", "12-13", "14-15"];
    let nodes: Vec<(&str, u32)> = cpus.into_iter().zip([0, 0, 0, 0, 1, 1, 1, 1]).collect();
    tree.nodes(&nodes);
    for node in [0, 2, 3, 4, 6, 7] {
        size(&tree, node, 0);
    }
    tree.numa_node("6\n");
    tree
}

fn size(tree: &Tree, node: u32, kib: u64) {
    let file = format!("sys/devices/system/node/node{node}/meminfo");
    tree.file(&file, &format!("Node {node} MemTotal: {kib} kB\n"));
}

/// What the kernel says that the trainer may use.
fn allow(tree: &Tree, cpus: &str, mems: &str) {
    let lists = format!("Cpus_allowed_list:\t{cpus}\nMems_allowed_list:\t{mems}\n");
    tree.file("proc/100/status", &format!("Uid:\t7\t7\t7\t7\n{lists}"));
}

/// A trainer that may run on these CPUs, with 100 MiB on one node and this policy. It may use all memory.
fn with(cpu: u32, cpus: &str, policy: &str, node: u32) -> Tree {
    let mut tree = memory_on_two_of_eight_nodes();
    tree.trainer(&Process {
        threads: &[(cpu, cpus)],
        numa_maps: Some(&format!(
            "7f0000000000 {policy} anon=25600 N{node}=25600 kernelpagesize_kB=4\n"
        )),
        ..PLACED
    });
    allow(&tree, cpus, "1,5-7");
    tree
}

/// The same on the CPUs of node 6, without a policy.
fn with_memory_on(node: u32) -> Tree {
    with(12, "12-13", "default", node)
}

fn trainer(document: &Value) -> &Value {
    of_role(document, "trainer")[0]
}

#[test]
fn the_nearest_memory_is_ok_where_the_home_node_has_none() {
    let document = with_memory_on(5).judges("ok", "ok", 0);
    assert_eq!(trainer(&document)["local_nodes"], json!([6]));
    assert_eq!(trainer(&document)["local_memory_nodes"], json!([5]));
    let gpu = &document["topology"]["gpus"][0];
    assert_eq!(gpu["local_memory_nodes"], json!([5]));
    assert_eq!(trainer(&document)["memory"]["local_fraction"], 1.0);
}

#[test]
fn farther_memory_is_remote_and_moves_to_the_nearest_memory() {
    let document = with_memory_on(1).judges("ok", "mismatch", 1);
    let remote = finding(&document, "memory-remote");
    assert_eq!(remote["commands"], json!(["migratepages 100 1 5"]));
    assert_eq!(
        remote["remedy"],
        "start it with numactl --cpunodebind=6 --membind=5"
    );
}

#[test]
fn a_process_does_not_belong_on_the_cpus_of_its_nearest_memory() {
    with(10, "10-11", "default", 5).judges("at-risk", "ok", 0);
}

#[test]
fn all_nodes_at_the_least_distance_are_local() {
    let tree = with_memory_on(7);
    size(&tree, 7, 1024);
    let document = tree.judges("ok", "ok", 0);
    assert_eq!(trainer(&document)["local_memory_nodes"], json!([5, 7]));
}

/// A node of unknown size may be the nearest: no verdict is made without it.
#[test]
fn a_node_of_unknown_size_leaves_the_nearest_memory_unknown() {
    let tree = with_memory_on(1);
    let file = "sys/devices/system/node/node7/meminfo";
    std::fs::remove_file(tree.folder.path().join(file)).unwrap();
    let document = tree.judges("ok", "unknown", 3);
    assert_eq!(trainer(&document)["local_memory_nodes"], json!([]));
    let gaps = document["incomplete"].as_array().unwrap();
    let reason = "it has no memory, and the nearest node with memory is unknown";
    assert!(gaps.iter().any(|gap| gap["reason"] == reason), "{gaps:?}");
}

/// The policy of the nearest memory is right, that of another socket is not.
#[test]
fn a_policy_for_the_nearest_memory_is_not_remote() {
    let with_policy = |node: u32| {
        let tree = with(12, "12-13", &format!("bind:{node}"), node);
        tree.audit(&["--json"]).json()
    };
    let is_remote = |document: &Value| {
        let findings = document["findings"].as_array().unwrap();
        findings.iter().any(|of| of["rule"] == "policy-remote")
    };
    assert!(!is_remote(&with_policy(5)));
    assert!(is_remote(&with_policy(1)));
}

/// The cpuset must allow the nearest memory; it need not allow memory of a node that has none.
#[test]
fn a_cpuset_that_allows_only_the_nearest_memory_is_right() {
    let excludes = |mems: &str| {
        let tree = with_memory_on(5);
        allow(&tree, "12-13", mems);
        let document = tree.audit(&["--json"]).json();
        let findings = trainer(&document)["findings"].to_string();
        findings.contains("cpuset-excludes-gpu")
    };
    assert!(!excludes("5"));
    assert!(excludes("1"));
}

#[test]
fn a_home_node_with_memory_keeps_it() {
    let tree = with_memory_on(6);
    size(&tree, 6, 1024);
    let document = tree.judges("ok", "ok", 0);
    assert_eq!(trainer(&document)["local_memory_nodes"], json!([6]));
}
