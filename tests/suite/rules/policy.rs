//! policy-remote, policy-interleaved.

use snapbox::{assert_data_eq, str};

use super::{gaps, silent, told};
use crate::machine::{PLACED, Process, Tree, with_trainer};

/// A trainer with this policy and no page on the wrong node yet.
fn of(policy: &str) -> Tree {
    with_trainer(&Process {
        numa_maps: Some(&format!(
            "7f0000000000 {policy} anon=256 N0=256 kernelpagesize_kB=4\n"
        )),
        ..PLACED
    })
}

#[test]
fn policy_remote_is_raised() {
    assert_data_eq!(
        told(&of("bind:1"), "policy-remote"),
        str![[r#"
error[policy-remote]: GPU 0 is attached to node 0, but trainer 100 has the memory policy bind for
  node 1
  fix: start it with numactl --cpunodebind=0 --membind=0
  note: the memory policy of a running process cannot be changed from outside
{"commands":[],"evidence":{"home_nodes":[0],"policy":"bind","policy_nodes":[1]},"gpu":0,"gpus":[0],"message":"GPU 0 is attached to node 0, but trainer 100 has the memory policy bind for node 1","note":"the memory policy of a running process cannot be changed from outside","pids":[100],"remedy":"start it with numactl --cpunodebind=0 --membind=0; the memory policy of a running process cannot be changed from outside","rule":"policy-remote","severity":"error"}

"#]]
    );
    for policy in ["prefer:1", "prefer (many):1"] {
        assert!(!told(&of(policy), "policy-remote").is_empty(), "{policy}");
    }
}

#[test]
fn policy_remote_is_not_raised_once_fixed() {
    for policy in ["bind:0", "prefer:0", "local", "default", "bind:0-1"] {
        silent(&of(policy), "policy-remote");
    }
}

#[test]
fn policy_remote_is_not_raised_without_the_fact() {
    let tree = of("bind:1");
    tree.numa_node("-1\n");
    silent(&tree, "policy-remote");
    assert_eq!(gaps(&tree), ["null home node of GPU 0"]);
    // The kernel cut the list of nodes.
    let long = format!(
        "prefer (many):{}",
        "1,3,5,7,9,11,13,15,17,19,21,23,25,27,29,31,33,35,37,39,41,43"
    );
    let tree = of(&long[..63]);
    silent(&tree, "policy-remote");
    assert_eq!(gaps(&tree), ["100 nodes of the memory policy"]);
}

#[test]
fn policy_interleaved_is_raised() {
    assert_data_eq!(
        told(&of("interleave:0-1"), "policy-interleaved"),
        str![[r#"
info[policy-interleaved]: GPU 0 is attached to node 0, but trainer 100 interleaves its memory over
  nodes 0-1
{"commands":[],"evidence":{"policy_nodes":[0,1]},"gpu":0,"gpus":[0],"message":"GPU 0 is attached to node 0, but trainer 100 interleaves its memory over nodes 0-1","pids":[100],"remedy":"start it without --interleave, if the memory of one node is enough","rule":"policy-interleaved","severity":"info"}

"#]]
    );
    assert!(!told(&of("weighted interleave:0-1"), "policy-interleaved").is_empty());
}

#[test]
fn policy_interleaved_is_not_raised_once_fixed() {
    silent(&of("bind:0"), "policy-interleaved");
    silent(&of("interleave:0"), "policy-interleaved");
    // One process on GPUs of both nodes reads from both.
    let mut tree = of("interleave:0-1");
    tree.listed(1, 100, "compute", 1 << 30);
    silent(&tree, "policy-interleaved");
}

#[test]
fn policy_interleaved_is_not_raised_without_the_fact() {
    let tree = with_trainer(&Process {
        numa_maps: None,
        ..PLACED
    });
    silent(&tree, "policy-interleaved");
    assert_eq!(gaps(&tree), ["100 memory"]);
    let tree = of("interleave:0-1");
    tree.numa_node("-1\n");
    silent(&tree, "policy-interleaved");
}
