//! binding-not-in-effect.

use snapbox::{assert_data_eq, str};

use super::{gaps, silent, told, two_ranks};
use crate::machine::{PLACED, Process, Tree, with_trainer};

const RULE: &str = "binding-not-in-effect";
const ASKING: &str = "python3\0/usr/bin/torchrun\0--numa-binding=node\0train.py\0";

#[test]
fn binding_not_in_effect_is_raised() {
    let tree = two_ranks(ASKING, ["0-3", "2-3"]);
    assert_data_eq!(
        told(&tree, RULE),
        str![[r#"
error[binding-not-in-effect]: --numa-binding requests a binding, but trainer 100 may run on nodes
  0-1 (GPU 0 is attached to node 0)
  fix: the log of the binding tool should say why (it needs the node of the GPU in sysfs and, from
    PyTorch 2.10 on, the numactl program); until then start each rank with numactl --cpunodebind=0
    --membind=0
  run now: taskset -a -p -c 0-1 100
  note: memory that is already allocated stays where it is
{"commands":["taskset -a -p -c 0-1 100"],"evidence":{"affinity_nodes":[0,1],"home_nodes":[0],"option":"--numa-binding"},"gpu":0,"gpus":[0],"message":"--numa-binding requests a binding, but trainer 100 may run on nodes 0-1 (GPU 0 is attached to node 0)","note":"memory that is already allocated stays where it is","pids":[100],"remedy":"the log of the binding tool should say why (it needs the node of the GPU in sysfs and, from PyTorch 2.10 on, the numactl program); until then start each rank with numactl --cpunodebind=0 --membind=0; memory that is already allocated stays where it is","rule":"binding-not-in-effect","severity":"error"}

"#]]
    );
}

#[test]
fn binding_not_in_effect_is_not_raised_once_fixed() {
    silent(&two_ranks(ASKING, ["0-1", "2-3"]), RULE);
    silent(
        &two_ranks("python3\0/usr/bin/torchrun\0train.py\0", ["0-3", "0-3"]),
        RULE,
    );
}

#[test]
fn binding_not_in_effect_is_not_raised_without_the_fact() {
    let tree = two_ranks(ASKING, ["0-3", "2-3"]);
    tree.file("proc/100/status", "nonsense\n");
    silent(&tree, RULE);
    assert_eq!(gaps(&tree), ["100 status"]);
    // Wherever its GPU is, it may be bound to the right node.
    let tree = two_ranks(ASKING, ["0-1", "2-3"]);
    tree.numa_node("-1\n");
    silent(&tree, RULE);
    // All CPUs are not a binding, wherever its GPU is.
    let tree = two_ranks(ASKING, ["0-3", "2-3"]);
    tree.numa_node("-1\n");
    assert_data_eq!(
        told(&tree, RULE),
        str![[r#"
error[binding-not-in-effect]: --numa-binding requests a binding, but trainer 100 may run on nodes
  0-1
  fix: the log of the binding tool should say why (it needs the node of the GPU in sysfs and, from
    PyTorch 2.10 on, the numactl program); until then bind by hand
{"commands":[],"evidence":{"affinity_nodes":[0,1],"home_nodes":[],"option":"--numa-binding"},"gpu":0,"gpus":[0],"message":"--numa-binding requests a binding, but trainer 100 may run on nodes 0-1","pids":[100],"remedy":"the log of the binding tool should say why (it needs the node of the GPU in sysfs and, from PyTorch 2.10 on, the numactl program); until then bind by hand","rule":"binding-not-in-effect","severity":"error"}

"#]]
    );
}

/// Each option and variable in the command line or the environment of an unbound trainer.
#[test]
fn every_tool_that_asks_for_a_binding_is_recognised() {
    for (command, variable) in [
        ("vllm\0serve\0model\0--numa-bind\0", ""),
        ("python3\0-m\0sglang.launch_server\0--numa-node\0\x30\0", ""),
        ("accelerate\0launch\0--enable_cpu_affinity\0train.py\0", ""),
        ("python3\0train.py\0", "ACCELERATE_CPU_AFFINITY=1"),
        ("python3\0train.py\0", "SGLANG_AUTO_NUMA_BIND=true"),
        ("python3\0train.py\0", "TLLM_NUMA_AWARE_WORKER_AFFINITY=1"),
    ] {
        let bound = |cpus| {
            let tree = with_trainer(&Process {
                command,
                threads: &[(0, cpus)],
                ..PLACED
            });
            tree.variables(100, &[variable]);
            tree
        };
        assert!(
            !told(&bound("0-3"), RULE).is_empty(),
            "{command} {variable}"
        );
        silent(&bound("0-1"), RULE);
    }
    let tree = with_trainer(&Process {
        threads: &[(0, "0-3")],
        ..PLACED
    });
    tree.variables(100, &["ACCELERATE_CPU_AFFINITY=0"]);
    silent(&tree, RULE);
}

/// mpirun with a binding program before each rank: its arguments are compared with the actual binding, on any node.
fn behind(binder: &str, cpus: &str, policy: &str) -> Tree {
    let mut tree = Tree::new();
    let command = format!("mpirun {binder} python3 train.py ").replace(' ', "\0");
    tree.process(&Process {
        pid: 50,
        command: &command,
        ..PLACED
    });
    tree.trainer(&Process {
        ppid: 50,
        threads: &[(0, cpus)],
        numa_maps: Some(&format!(
            "7f0000000000 {policy} anon=256 N0=256 kernelpagesize_kB=4\n"
        )),
        ..PLACED
    });
    tree
}

#[test]
fn numactl_without_effect_is_raised() {
    for binder in [
        "numactl --cpunodebind=0",
        "/usr/bin/numactl -N 0",
        "numactl -C 0-1",
        "numactl --physcpubind=0-1",
        "taskset -c 0-1",
    ] {
        assert!(
            !told(&behind(binder, "0-3", "default"), RULE).is_empty(),
            "{binder}"
        );
        silent(&behind(binder, "0-1", "default"), RULE);
    }
    assert_data_eq!(
        told(&behind("numactl -N 0", "0-3", "default"), RULE),
        str![[r#"
error[binding-not-in-effect]: --cpunodebind requests node 0, but trainer 100 may run on nodes 0-1
  (GPU 0 is attached to node 0)
  fix: find out what prevented it (a missing permission, a program that binds itself); until then
    start each rank with numactl --cpunodebind=0 --membind=0
  run now: taskset -a -p -c 0-1 100
  note: memory that is already allocated stays where it is
{"commands":["taskset -a -p -c 0-1 100"],"evidence":{"affinity_nodes":[0,1],"home_nodes":[0],"option":"--cpunodebind"},"gpu":0,"gpus":[0],"message":"--cpunodebind requests node 0, but trainer 100 may run on nodes 0-1 (GPU 0 is attached to node 0)","note":"memory that is already allocated stays where it is","pids":[100],"remedy":"find out what prevented it (a missing permission, a program that binds itself); until then start each rank with numactl --cpunodebind=0 --membind=0; memory that is already allocated stays where it is","rule":"binding-not-in-effect","severity":"error"}

"#]]
    );
    assert_data_eq!(
        told(&behind("numactl -C 0-1", "0-2", "default"), RULE),
        str![[r#"
error[binding-not-in-effect]: --physcpubind requests CPUs 0-1, but trainer 100 may run on CPUs 0-2
  fix: find out what prevented it (a missing permission, a program that binds itself); until then
    start each rank with numactl --cpunodebind=0 --membind=0
  run now: taskset -a -p -c 0-1 100
  note: memory that is already allocated stays where it is
{"commands":["taskset -a -p -c 0-1 100"],"evidence":{"home_nodes":[0],"option":"--physcpubind"},"gpu":0,"gpus":[0],"message":"--physcpubind requests CPUs 0-1, but trainer 100 may run on CPUs 0-2","note":"memory that is already allocated stays where it is","pids":[100],"remedy":"find out what prevented it (a missing permission, a program that binds itself); until then start each rank with numactl --cpunodebind=0 --membind=0; memory that is already allocated stays where it is","rule":"binding-not-in-effect","severity":"error"}

"#]]
    );
}

#[test]
fn membind_without_effect_is_raised() {
    let tree = behind("numactl -N 0 -m 0", "0-1", "default");
    assert_data_eq!(
        told(&tree, RULE),
        str![[r#"
error[binding-not-in-effect]: --membind requests memory of node 0, but trainer 100 has the memory
  policy default
  fix: find out what prevented it (a missing permission, a program that binds itself); until then
    start each rank with numactl --cpunodebind=0 --membind=0
  note: the memory policy of a running process cannot be changed from outside
{"commands":[],"evidence":{"home_nodes":[0],"option":"--membind","policy":"default"},"gpu":0,"gpus":[0],"message":"--membind requests memory of node 0, but trainer 100 has the memory policy default","note":"the memory policy of a running process cannot be changed from outside","pids":[100],"remedy":"find out what prevented it (a missing permission, a program that binds itself); until then start each rank with numactl --cpunodebind=0 --membind=0; the memory policy of a running process cannot be changed from outside","rule":"binding-not-in-effect","severity":"error"}

"#]]
    );
    silent(&behind("numactl -N 0 -m 0", "0-1", "bind:0"), RULE);
    // It is in effect, on the wrong node: policy-remote reports that.
    silent(&behind("numactl -m 1", "0-1", "bind:1"), RULE);
    // The rank chose a better policy itself.
    silent(&behind("numactl -N 1 -m 1", "0-1", "bind:0"), RULE);
    silent(&behind("numactl --interleave=all", "0-3", "default"), RULE);
    silent(
        &behind("numactl -N all -m netdev:eth0", "0-3", "default"),
        RULE,
    );
}

/// vLLM's server binds its workers, not itself.
#[test]
fn a_launchers_own_binding_is_not_raised() {
    let mut tree = Tree::new();
    tree.trainer(&Process {
        pid: 50,
        name: "vllm",
        command: "vllm\0serve\0model\0--numa-bind\0",
        threads: &[(0, "0-3")],
        ..PLACED
    });
    tree.trainer(&Process {
        ppid: 50,
        name: "VLLM::Worker_TP",
        command: "VLLM::Worker_TP0\0",
        ..PLACED
    });
    silent(&tree, RULE);
}

/// A binding to the socket was requested and is in effect.
#[test]
fn a_binding_to_another_node_of_the_socket_is_in_effect() {
    let mut tree = Tree::new();
    tree.nodes(&[("0-1", 0), ("2-3", 0), ("4-5", 1), ("6-7", 1)]);
    tree.trainer(&Process {
        command: "torchrun\0--numa-binding=socket\0train.py\0",
        threads: &[(0, "0-3")],
        ..PLACED
    });
    silent(&tree, RULE);
    let loose = told(&tree, "cpu-unbound");
    assert!(
        loose.contains("its CPU affinity allows nodes 0-1"),
        "{loose}"
    );
}
