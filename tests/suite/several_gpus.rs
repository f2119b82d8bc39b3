//! One process with GPUs on several nodes: no place is right for all of them.

use serde_json::{Value, json};

use crate::machine::{PLACED, Process, Tree};
use crate::program::{finding, of_role};

/// A trainer with GPU 0 of node 0 and GPU 1 of node 1 that may run on these CPUs, with so many MiB of pinned memory on each node.
fn both(cpus: &str, pinned: [u32; 2]) -> Tree {
    let mut tree = Tree::new();
    let [zero, one] = pinned.map(|mib| mib * 256);
    let mut maps = "7f0000000000 default anon=25600 N0=25600 kernelpagesize_kB=4\n".to_owned();
    maps += "7f2000000000 default file=/dev/zero\\040(deleted) dirty=9";
    for (node, pages) in [(0, zero), (1, one)] {
        if pages > 0 {
            maps += &format!(" N{node}={pages}");
        }
    }
    maps += " kernelpagesize_kB=4\n";
    tree.trainer(&Process {
        threads: &[(cpus[..1].parse().unwrap(), cpus)],
        numa_maps: Some(&maps),
        ..PLACED
    });
    tree.listed(1, 100, "compute", 1 << 30);
    tree
}

fn fed(document: &Value) -> Value {
    finding(document, "gpus-on-several-nodes")["evidence"]["fed_from_elsewhere"].clone()
}

fn rules(document: &Value) -> String {
    of_role(document, "trainer")[0]["findings"].to_string()
}

#[test]
fn bound_to_the_node_of_one_of_them() {
    let document = both("0-1", [200, 0]).judges("at-risk", "at-risk", 0);
    assert_eq!(fed(&document), "1");
    assert_eq!(
        finding(&document, "gpus-on-several-nodes")["message"],
        "trainer 100 feeds GPU 1 from other nodes than theirs: its GPUs are attached to nodes 0-1, its CPU affinity allows node \
         0, and its pinned memory is on node 0"
    );
    assert_eq!(rules(&document), "[\"gpus-on-several-nodes\"]");
    // The mirror: GPU 0 is the one that is far.
    let document = both("2-3", [0, 200]).judges("at-risk", "at-risk", 0);
    assert_eq!(fed(&document), "0");
}

#[test]
fn only_its_pinned_memory_is_on_one_side() {
    let document = both("0-3", [200, 0]).judges("ok", "at-risk", 0);
    assert_eq!(fed(&document), "1");
    let evidence = &finding(&document, "gpus-on-several-nodes")["evidence"];
    assert_eq!(evidence["pinned_nodes"], json!([0]));
}

#[test]
fn on_the_nodes_of_all_of_them() {
    let document = both("0-3", [100, 100]).judges("ok", "ok", 0);
    assert_eq!(rules(&document), "[]");
    // So little pinned memory says nothing.
    both("0-3", [10, 0]).judges("ok", "ok", 0);
}

#[test]
fn the_node_of_one_of_them_is_unknown() {
    let tree = both("0-1", [200, 0]);
    tree.numa_node("-1\n");
    let document = tree.audit(&["--json"]).json();
    assert!(!rules(&document).contains("gpus-on-several-nodes"));
    assert_eq!(of_role(&document, "trainer")[0]["verdict"], "unknown");
}

/// Grain, tf.data: workers have one place, which is right for the GPUs of that node.
#[test]
fn a_worker_is_not_at_risk_for_that() {
    let tree = both("0-1", [200, 0]);
    tree.process(&Process {
        pid: 110,
        ppid: 100,
        ..PLACED
    });
    let document = tree.audit(&["--json"]).json();
    assert_eq!(of_role(&document, "worker")[0]["verdict"], "ok");
}
