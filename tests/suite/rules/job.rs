//! ranks-on-one-node, stray-context.

use snapbox::{assert_data_eq, str};

use super::{gaps, silent, told, two_ranks};
use crate::machine::{PLACED, Process, Tree};

const TORCHRUN: &str = "python3\0/usr/bin/torchrun\0train.py\0";

#[test]
fn ranks_on_one_node_is_raised() {
    let tree = two_ranks(TORCHRUN, ["0-1", "0-1"]);
    assert_data_eq!(
        told(&tree, "ranks-on-one-node"),
        str![[r#"
error[ranks-on-one-node]: 2 trainers of one job are all bound to node 0, but their GPUs are attached
  to nodes 0-1
  fix: bind each rank to the node of its own GPU, not the launcher: numa-audit --remedies prints a
    table of the ranks
{"commands":[],"evidence":{"cpu_nodes":[0],"home_nodes":[0,1]},"gpu":0,"gpus":[0,1],"message":"2 trainers of one job are all bound to node 0, but their GPUs are attached to nodes 0-1","pids":[100,200],"remedy":"bind each rank to the node of its own GPU, not the launcher: numa-audit --remedies prints a table of the ranks","rule":"ranks-on-one-node","severity":"error"}

"#]]
    );
}

#[test]
fn ranks_on_one_node_is_not_raised_once_fixed() {
    silent(&two_ranks(TORCHRUN, ["0-1", "2-3"]), "ranks-on-one-node");
    // Swapped ranks are not on one node.
    silent(&two_ranks(TORCHRUN, ["2-3", "0-1"]), "ranks-on-one-node");
    // Two nodes of one socket.
    let tree = two_ranks(TORCHRUN, ["0-1", "0-1"]);
    tree.one_socket();
    silent(&tree, "ranks-on-one-node");
}

#[test]
fn ranks_on_one_node_is_not_raised_without_the_fact() {
    let tree = two_ranks(TORCHRUN, ["0-1", "0-1"]);
    tree.file("proc/200/status", "nonsense\n");
    silent(&tree, "ranks-on-one-node");
    assert_eq!(gaps(&tree), ["200 status"]);
}

/// Trainers under one shell or one init are not one job.
#[test]
fn unrelated_trainers_are_not_ranks_of_one_job() {
    let mut tree = Tree::new();
    tree.process(&Process {
        pid: 50,
        name: "bash",
        command: "-bash\0",
        ..PLACED
    });
    for (gpu, pid) in [100, 200].into_iter().enumerate() {
        tree.process(&Process {
            pid,
            ppid: 50,
            ..PLACED
        });
        tree.listed(gpu, pid, "compute", 1 << 30);
    }
    silent(&tree, "ranks-on-one-node");
    // Their variables show that they are one.
    tree.variables(100, &["RANK=0", "MASTER_PORT=29500"]);
    tree.variables(200, &["RANK=1", "MASTER_PORT=29500"]);
    assert!(!told(&tree, "ranks-on-one-node").is_empty());
}

/// Rank 1 did not call set_device.
fn stray() -> Tree {
    let mut tree = two_ranks(TORCHRUN, ["0-1", "2-3"]);
    tree.listed(0, 200, "compute", 500 << 20);
    tree
}

#[test]
fn stray_context_is_raised() {
    assert_data_eq!(
        told(&stray(), "stray-context"),
        str![[r#"
warning[stray-context]: trainer 200 has a context on GPU 0, which belongs to trainer 100 of the same
  job, besides its own GPU 1
  fix: call torch.cuda.set_device(local_rank) before the first use of CUDA, or set
    CUDA_VISIBLE_DEVICES for each rank
{"commands":[],"evidence":{"sibling":[100],"siblings_gpu":0},"gpu":0,"gpus":[0,1],"message":"trainer 200 has a context on GPU 0, which belongs to trainer 100 of the same job, besides its own GPU 1","pids":[200],"remedy":"call torch.cuda.set_device(local_rank) before the first use of CUDA, or set CUDA_VISIBLE_DEVICES for each rank","rule":"stray-context","severity":"warning"}

"#]]
    );
}

#[test]
fn stray_context_is_not_raised_once_fixed() {
    silent(&two_ranks(TORCHRUN, ["0-1", "2-3"]), "stray-context");
    // Every rank on every GPU: a model is spread over them.
    let mut tree = stray();
    tree.listed(1, 100, "compute", 500 << 20);
    silent(&tree, "stray-context");
}

#[test]
fn stray_context_is_not_raised_without_sibling_ranks() {
    let mut tree = Tree::new();
    tree.trainer(&PLACED);
    tree.listed(1, 100, "compute", 1 << 30);
    silent(&tree, "stray-context");
    // A context of another job.
    tree.trainer(&Process { pid: 200, ..PLACED });
    silent(&tree, "stray-context");
}

#[test]
fn stray_context_is_not_raised_without_the_fact() {
    // The driver lists no process, and open files show only one GPU of each.
    let mut tree = Tree::new();
    tree.gpu("0000:90:1C.0", "1\n");
    tree.process(&PLACED);
    crate::machine::open_files(&tree, 100, &[23, 7]);
    silent(&tree, "stray-context");
}
