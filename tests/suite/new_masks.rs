//! Sleepers that got a new CPU affinity: a last CPU that it does not allow says nothing.

use serde_json::Value;

use crate::machine::{PLACED, Process, Tree};
use crate::program::{finding, run};

/// Two sockets of two nodes with two CPUs each. The GPU is attached to node 0; node 1 is near, nodes 2 and 3 are remote.
fn asleep(last_cpu: u32, cpus: &str) -> Tree {
    let mut tree = Tree::new();
    tree.nodes(&[("0-1", 0), ("2-3", 0), ("4-5", 1), ("6-7", 1)]);
    tree.trainer(&Process {
        threads: &[(last_cpu, cpus)],
        ..PLACED
    });
    tree
}

fn message(document: &Value, rule: &str) -> String {
    finding(document, rule)["message"]
        .as_str()
        .unwrap()
        .to_owned()
}

#[test]
fn a_last_cpu_that_is_not_allowed_is_no_mismatch() {
    let document = asleep(5, "0-3").judges("at-risk", "ok", 0);
    assert_eq!(
        message(&document, "cpu-unbound"),
        "GPU 0 is attached to node 0, but trainer 100 is not bound there: its CPU affinity allows nodes 0-1 and not the CPU \
         on which it last ran"
    );
    // It may still run on the remote CPU.
    asleep(5, "0-5").judges("mismatch", "ok", 1);
    // CPU 5 is on a node that is allowed, and is not allowed itself.
    asleep(5, "0-4").judges("at-risk", "ok", 0);
}

#[test]
fn near_and_remote_nodes_without_a_local_one() {
    let document = asleep(0, "2-5").judges("at-risk", "ok", 0);
    assert_eq!(
        message(&document, "cpu-near"),
        "GPU 0 is attached to node 0, but trainer 100 is bound to nodes 1-2, of which node 1 is of the same socket: the CPU on \
         which it last ran is not allowed any more"
    );
    let document = asleep(3, "2-5").judges("at-risk", "ok", 0);
    assert!(
        message(&document, "cpu-near").ends_with("node 1 is of the same socket: it last ran there")
    );
    asleep(4, "2-5").judges("mismatch", "ok", 1);
    // The mirror: the last CPU was remote, and now only near ones are allowed.
    let document = asleep(4, "2-3").judges("at-risk", "ok", 0);
    assert!(message(&document, "cpu-near").contains("is bound to node 1 of the same socket"));
}

/// A process without a GPU is compared with the node that it runs on.
#[test]
fn a_process_without_a_gpu_is_not_where_it_may_not_run() {
    let tree = asleep(0, "0-1");
    tree.process(&Process {
        pid: 200,
        threads: &[(7, "0-3")],
        numa_maps: Some("7f0000000000 default anon=25600 N3=25600 kernelpagesize_kB=4\n"),
        ..PLACED
    });
    let document = tree.audit(&["--pid", "200", "--json"]).json();
    let process = &document["processes"][0];
    assert_eq!(process["local_nodes"], serde_json::json!([]), "{process}");
    assert_eq!(process["verdict"], "unknown");
}

#[test]
fn explain_says_so() {
    let text = run(["explain", "cpu-unbound"]).stdout;
    assert!(text.contains("does not allow the CPU on which"), "{text}");
}
