//! cpu-remote, cpu-near, cpu-unbound, threads-astray, worker-split.

use snapbox::{assert_data_eq, str};

use super::{gaps, silent, told};
use crate::machine::{PLACED, Process, Tree, with_trainer};

fn on(threads: &[(u32, &str)]) -> Tree {
    with_trainer(&Process { threads, ..PLACED })
}

#[test]
fn cpu_remote_of_a_bound_process() {
    assert_data_eq!(
        told(&on(&[(2, "2-3")]), "cpu-remote"),
        str![[r#"
error[cpu-remote]: GPU and CPU NUMA nodes do NOT match: GPU 0 is attached to node 0, but trainer 100
  is bound to node 1 (by CPU affinity)
  fix: start it with numactl --cpunodebind=0 --membind=0
  run now: taskset -a -p -c 0-1 100
  note: memory that is already allocated stays where it is
{"commands":["taskset -a -p -c 0-1 100"],"evidence":{"bound":1,"cpu_nodes":[1],"home_nodes":[0]},"gpu":0,"gpus":[0],"message":"GPU and CPU NUMA nodes do NOT match: GPU 0 is attached to node 0, but trainer 100 is bound to node 1 (by CPU affinity)","note":"memory that is already allocated stays where it is","pids":[100],"remedy":"start it with numactl --cpunodebind=0 --membind=0; memory that is already allocated stays where it is","rule":"cpu-remote","severity":"error"}

"#]]
    );
}

#[test]
fn cpu_remote_of_an_unbound_process() {
    assert_data_eq!(
        told(&on(&[(2, "0-3")]), "cpu-remote"),
        str![[r#"
error[cpu-remote]: GPU and CPU NUMA nodes do NOT match: GPU 0 is attached to node 0, but trainer 100
  runs on node 1 (it last ran there; no CPU affinity binds it there)
  fix: start it with numactl --cpunodebind=0 --membind=0
  run now: taskset -a -p -c 0-1 100
  note: memory that is already allocated stays where it is
{"commands":["taskset -a -p -c 0-1 100"],"evidence":{"bound":0,"cpu_nodes":[1],"home_nodes":[0]},"gpu":0,"gpus":[0],"message":"GPU and CPU NUMA nodes do NOT match: GPU 0 is attached to node 0, but trainer 100 runs on node 1 (it last ran there; no CPU affinity binds it there)","note":"memory that is already allocated stays where it is","pids":[100],"remedy":"start it with numactl --cpunodebind=0 --membind=0; memory that is already allocated stays where it is","rule":"cpu-remote","severity":"error"}

"#]]
    );
}

#[test]
fn cpu_remote_is_not_raised_once_fixed() {
    silent(&on(&[(0, "0-1")]), "cpu-remote");
    // The last CPU, from before the binding, does not count.
    silent(&on(&[(2, "0-1")]), "cpu-remote");
}

#[test]
fn cpu_remote_is_not_raised_without_the_fact() {
    let tree = on(&[(2, "2-3")]);
    tree.numa_node("-1\n");
    silent(&tree, "cpu-remote");
    assert_eq!(gaps(&tree), ["null home node of GPU 0"]);
    // Its CPU is known, its affinity is not.
    let tree = on(&[(2, "2-3")]);
    tree.file("proc/100/status", "nonsense\n");
    assert_data_eq!(
        told(&tree, "cpu-remote"),
        str![[r#"
error[cpu-remote]: GPU and CPU NUMA nodes do NOT match: GPU 0 is attached to node 0, but trainer 100
  runs on node 1 (it last ran there; its CPU affinity is unknown)
  fix: start it with numactl --cpunodebind=0 --membind=0
  run now: taskset -a -p -c 0-1 100
  note: memory that is already allocated stays where it is
{"commands":["taskset -a -p -c 0-1 100"],"evidence":{"bound":0,"cpu_nodes":[1],"home_nodes":[0]},"gpu":0,"gpus":[0],"message":"GPU and CPU NUMA nodes do NOT match: GPU 0 is attached to node 0, but trainer 100 runs on node 1 (it last ran there; its CPU affinity is unknown)","note":"memory that is already allocated stays where it is","pids":[100],"remedy":"start it with numactl --cpunodebind=0 --membind=0; memory that is already allocated stays where it is","rule":"cpu-remote","severity":"error"}

"#]]
    );
    assert_eq!(gaps(&tree), ["100 status"]);
}

/// Two nodes in one socket.
fn near(threads: &[(u32, &str)]) -> Tree {
    let tree = on(threads);
    tree.one_socket();
    tree
}

#[test]
fn cpu_near_is_raised() {
    assert_data_eq!(
        told(&near(&[(2, "2-3")]), "cpu-near"),
        str![[r#"
warning[cpu-near]: GPU 0 is attached to node 0, but trainer 100 is bound to node 1 of the same
  socket (by CPU affinity)
  fix: start it with numactl --cpunodebind=0 --membind=0
  run now: taskset -a -p -c 0-1 100
  note: memory that is already allocated stays where it is
{"commands":["taskset -a -p -c 0-1 100"],"evidence":{"bound":1,"cpu_nodes":[1],"home_nodes":[0]},"gpu":0,"gpus":[0],"message":"GPU 0 is attached to node 0, but trainer 100 is bound to node 1 of the same socket (by CPU affinity)","note":"memory that is already allocated stays where it is","pids":[100],"remedy":"start it with numactl --cpunodebind=0 --membind=0; memory that is already allocated stays where it is","rule":"cpu-near","severity":"warning"}

"#]]
    );
    silent(&near(&[(2, "2-3")]), "cpu-remote");
}

#[test]
fn cpu_near_is_not_raised_once_fixed() {
    silent(&near(&[(0, "0-1")]), "cpu-near");
}

#[test]
fn cpu_near_is_not_raised_without_the_fact() {
    // Where the sockets are unknown, each node counts as one.
    let tree = near(&[(2, "2-3")]);
    std::fs::remove_dir_all(tree.folder.path().join("sys/devices/system/cpu")).unwrap();
    silent(&tree, "cpu-near");
    assert!(!told(&tree, "cpu-remote").is_empty());
}

#[test]
fn cpu_unbound_is_raised() {
    assert_data_eq!(
        told(&on(&[(0, "0-3")]), "cpu-unbound"),
        str![[r#"
warning[cpu-unbound]: GPU 0 is attached to node 0; trainer 100 runs there but is not bound there:
  its CPU affinity allows nodes 0-1
  fix: start it with numactl --cpunodebind=0 --membind=0
  run now: taskset -a -p -c 0-1 100
  note: memory that is already allocated stays where it is
{"commands":["taskset -a -p -c 0-1 100"],"evidence":{"affinity_nodes":[0,1],"home_nodes":[0]},"gpu":0,"gpus":[0],"message":"GPU 0 is attached to node 0; trainer 100 runs there but is not bound there: its CPU affinity allows nodes 0-1","note":"memory that is already allocated stays where it is","pids":[100],"remedy":"start it with numactl --cpunodebind=0 --membind=0; memory that is already allocated stays where it is","rule":"cpu-unbound","severity":"warning"}

"#]]
    );
}

#[test]
fn cpu_unbound_is_not_raised_once_fixed() {
    silent(&on(&[(0, "0-1")]), "cpu-unbound");
}

#[test]
fn cpu_unbound_is_not_raised_without_the_fact() {
    let tree = on(&[(0, "0-3")]);
    tree.file("proc/100/status", "nonsense\n");
    silent(&tree, "cpu-unbound");
    assert_eq!(gaps(&tree), ["100 status"]);
}

#[test]
fn threads_astray_is_raised() {
    let tree = on(&[(0, "0-1"), (2, "0-3"), (1, "0-1")]);
    let told = told(&tree, "threads-astray");
    assert!(
        told.starts_with("warning[threads-astray]: GPU 0 is attached to node 0, but trainer 100"),
        "{told}"
    );
}

#[test]
fn threads_astray_is_not_raised_once_fixed() {
    silent(&on(&[(0, "0-1"), (1, "0-1")]), "threads-astray");
}

#[test]
fn threads_astray_is_not_raised_without_the_fact() {
    let tree = on(&[(0, "0-1"), (2, "0-3")]);
    tree.file("proc/100/task/101/status", "nonsense\n");
    silent(&tree, "threads-astray");
    assert_eq!(gaps(&tree), ["100 thread 101"]);
}

/// A trainer of GPU 0 and its two workers.
fn workers(trainer: (u32, &str), workers: (u32, &str)) -> Tree {
    let tree = on(&[trainer]);
    for pid in [110, 120] {
        tree.process(&Process {
            pid,
            ppid: 100,
            name: "pt_data_worker",
            threads: &[workers],
            ..PLACED
        });
    }
    tree
}

#[test]
fn worker_split_is_raised() {
    let tree = workers((0, "0-1"), (2, "2-3"));
    assert_data_eq!(
        told(&tree, "worker-split"),
        str![[r#"
error[worker-split]: 2 workers are bound to node 1 (by CPU affinity), but their trainer 100 runs on
  node 0: samples cross the interconnect
  fix: find what rebinds workers (worker_init_fn, OMP_PROC_BIND, KMP_AFFINITY): their trainer is
    bound correctly
  run now: for pid in 110 120; do taskset -a -p -c 0-1 $pid; done
  note: memory that is already allocated stays where it is
{"commands":["for pid in 110 120; do taskset -a -p -c 0-1 $pid; done"],"evidence":{"bound":2,"home_nodes":[0],"trainer_nodes":[0],"worker_nodes":[1]},"gpu":0,"gpus":[0],"message":"2 workers are bound to node 1 (by CPU affinity), but their trainer 100 runs on node 0: samples cross the interconnect","note":"memory that is already allocated stays where it is","pids":[110,120],"remedy":"find what rebinds workers (worker_init_fn, OMP_PROC_BIND, KMP_AFFINITY): their trainer is bound correctly; memory that is already allocated stays where it is","rule":"worker-split","severity":"error"}

"#]]
    );
}

/// The workers are on the right node, their trainer is not: samples cross twice.
#[test]
fn worker_split_of_two_jobs_with_swapped_workers() {
    let tree = workers((2, "2-3"), (0, "0-3"));
    assert_data_eq!(
        told(&tree, "worker-split"),
        str![[r#"
error[worker-split]: 2 workers run on node 0 (they last ran there; no CPU affinity binds them
  there), but their trainer 100 runs on node 1: samples cross the interconnect, and cross it back to
  the GPU
  fix: start the trainer with numactl --cpunodebind=0 --membind=0 (workers inherit the binding)
  run now: taskset -a -p -c 0-1 100
  note: memory that is already allocated stays where it is
{"commands":["taskset -a -p -c 0-1 100"],"evidence":{"bound":0,"home_nodes":[0],"trainer_nodes":[1],"worker_nodes":[0]},"gpu":0,"gpus":[0],"message":"2 workers run on node 0 (they last ran there; no CPU affinity binds them there), but their trainer 100 runs on node 1: samples cross the interconnect, and cross it back to the GPU","note":"memory that is already allocated stays where it is","pids":[110,120],"remedy":"start the trainer with numactl --cpunodebind=0 --membind=0 (workers inherit the binding); memory that is already allocated stays where it is","rule":"worker-split","severity":"error"}

"#]]
    );
}

/// Both are on wrong nodes of two sockets: both have to move.
#[test]
fn worker_split_beside_a_misplaced_trainer() {
    let mut tree = Tree::new();
    tree.nodes(&[("0-1", 0), ("2-3", 1), ("4-5", 2)]);
    tree.trainer(&Process {
        threads: &[(4, "4-5")],
        ..PLACED
    });
    tree.process(&Process {
        pid: 110,
        ppid: 100,
        name: "pt_data_worker",
        threads: &[(2, "2-3")],
        ..PLACED
    });
    let document = tree.audit(&["--json"]).json();
    let finding = crate::program::finding(&document, "worker-split");
    assert_eq!(
        finding["commands"],
        serde_json::json!(["for pid in 100 110; do taskset -a -p -c 0-1 $pid; done"])
    );
}

#[test]
fn worker_split_is_not_raised_once_fixed() {
    silent(&workers((0, "0-1"), (0, "0-1")), "worker-split");
    // Both are on the same wrong node: no sample crosses.
    silent(&workers((2, "2-3"), (3, "2-3")), "worker-split");
    // Nor on two nodes of one socket.
    let tree = workers((0, "0-1"), (2, "2-3"));
    tree.one_socket();
    silent(&tree, "worker-split");
}

#[test]
fn worker_split_is_not_raised_without_the_fact() {
    let tree = workers((0, "0-1"), (2, "2-3"));
    tree.numa_node("-1\n");
    silent(&tree, "worker-split");
    assert_eq!(gaps(&tree), ["null home node of GPU 0"]);
}
