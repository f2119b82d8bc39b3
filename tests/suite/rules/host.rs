//! Rules about the machine: gpu-node-unknown, sources-disagree, numa-balancing-on, zone-reclaim-on,
//! one-node-on-many-sockets.

use snapbox::{assert_data_eq, str};

use super::{gaps, silent, told};
use crate::machine::{PLACED, Process, Tree, with_trainer};

#[test]
fn gpu_node_unknown_is_raised() {
    let tree = with_trainer(&PLACED);
    tree.numa_node("-1\n");
    assert_data_eq!(
        told(&tree, "gpu-node-unknown"),
        str![[r#"
warning[gpu-node-unknown]: the home node of GPU 0 is unknown: binding tools may use node 0 instead
  fix: set the node with --gpu-node or --topology, here and in the tool that binds
{"commands":[],"evidence":{},"gpu":0,"gpus":[0],"message":"the home node of GPU 0 is unknown: binding tools may use node 0 instead","pids":[],"remedy":"set the node with --gpu-node or --topology, here and in the tool that binds","rule":"gpu-node-unknown","severity":"warning"}

"#]]
    );
    assert_eq!(gaps(&tree), ["null home node of GPU 0"]);
}

/// The GPU's node is known, the local nodes of its processes are not.
#[test]
fn gpu_node_unknown_of_a_home_without_cpus() {
    let tree = Tree::new();
    tree.file("sys/devices/system/node/node0/cpulist", "\n");
    for node in [0, 1] {
        let folder = tree.folder.path().join("sys/devices/system/node");
        let _ = std::fs::remove_file(folder.join(format!("node{node}/distance")));
    }
    assert_data_eq!(
        told(&tree, "gpu-node-unknown"),
        str![[r#"
warning[gpu-node-unknown]: GPU 0 is attached to node 0, which has no CPUs, and the nearest node with
  CPUs is unknown
  fix: set the node with --gpu-node or --topology, here and in the tool that binds
{"commands":[],"evidence":{"home_nodes":[0]},"gpu":0,"gpus":[0],"message":"GPU 0 is attached to node 0, which has no CPUs, and the nearest node with CPUs is unknown","pids":[],"remedy":"set the node with --gpu-node or --topology, here and in the tool that binds","rule":"gpu-node-unknown","severity":"warning"}

"#]]
    );
}

#[test]
fn gpu_node_unknown_is_not_raised_once_fixed() {
    silent(&Tree::new(), "gpu-node-unknown");
    let tree = Tree::new();
    tree.numa_node("-1\n");
    let told = tree.audit(&["--gpu-node", "0=0"]).stdout;
    assert!(!told.contains("gpu-node-unknown"), "{told}");
}

#[test]
fn sources_disagree_is_raised() {
    let mut tree = Tree::new();
    tree.affinity = [Some("2-3"), None];
    assert_data_eq!(
        told(&tree, "sources-disagree"),
        str![[r#"
warning[sources-disagree]: the sources for the home node of GPU 0 disagree: sysfs says node 0 and is
  used, but nvml-cpu-affinity says node 1
  fix: find out which node is right, and set it with --gpu-node or --topology
{"commands":[],"evidence":{"home_nodes":[0],"home_source":"sysfs"},"gpu":0,"gpus":[0],"message":"the sources for the home node of GPU 0 disagree: sysfs says node 0 and is used, but nvml-cpu-affinity says node 1","pids":[],"remedy":"find out which node is right, and set it with --gpu-node or --topology","rule":"sources-disagree","severity":"warning"}

"#]]
    );
}

#[test]
fn sources_disagree_is_not_raised_once_fixed() {
    let mut tree = Tree::new();
    tree.affinity = [Some("0-1"), Some("0")];
    silent(&tree, "sources-disagree");
    // A source that names several nodes, the home node among them, does not disagree.
    tree.affinity = [Some("0-3"), Some("0-1")];
    silent(&tree, "sources-disagree");
}

#[test]
fn sources_disagree_is_not_raised_without_the_fact() {
    let mut tree = Tree::new();
    tree.affinity = [None, None];
    silent(&tree, "sources-disagree");
}

#[test]
fn numa_balancing_on_is_raised() {
    let tree = with_trainer(&PLACED);
    tree.file("proc/sys/kernel/numa_balancing", "1\n");
    assert_data_eq!(
        told(&tree, "numa-balancing-on"),
        str![[r#"
warning[numa-balancing-on]: kernel.numa_balancing is on: it causes page faults in bound processes
  and may move their pages
  fix: turn it off, unless another program on this machine needs it
  run now: sysctl kernel.numa_balancing=0
  note: this does not move pages back
{"commands":["sysctl kernel.numa_balancing=0"],"evidence":{"numa_balancing":1},"gpu":null,"gpus":[],"message":"kernel.numa_balancing is on: it causes page faults in bound processes and may move their pages","note":"this does not move pages back","pids":[],"remedy":"turn it off, unless another program on this machine needs it; this does not move pages back","rule":"numa-balancing-on","severity":"warning"}

"#]]
    );
}

#[test]
fn numa_balancing_on_is_not_raised_once_fixed() {
    let tree = with_trainer(&PLACED);
    for mode in ["0\n", "2\n"] {
        tree.file("proc/sys/kernel/numa_balancing", mode);
        silent(&tree, "numa-balancing-on");
    }
    // Where no process is bound it may help.
    let tree = with_trainer(&Process {
        threads: &[(0, "0-3")],
        ..PLACED
    });
    tree.file("proc/sys/kernel/numa_balancing", "1\n");
    silent(&tree, "numa-balancing-on");
}

#[test]
fn numa_balancing_on_is_not_raised_without_the_fact() {
    let tree = with_trainer(&PLACED);
    silent(&tree, "numa-balancing-on");
    assert_eq!(gaps(&tree), [""; 0], "a kernel without it");
    tree.file("proc/sys/kernel/numa_balancing", "nonsense\n");
    silent(&tree, "numa-balancing-on");
    assert_eq!(gaps(&tree), ["null kernel.numa_balancing"]);
}

#[test]
fn zone_reclaim_on_is_raised() {
    let tree = Tree::new();
    tree.file("proc/sys/vm/zone_reclaim_mode", "1\n");
    assert_data_eq!(
        told(&tree, "zone-reclaim-on"),
        str![[r#"
warning[zone-reclaim-on]: vm.zone_reclaim_mode is 1: a full node drops page cache before memory of
  another node is used
  fix: turn it off, unless it was measured to help
  run now: sysctl vm.zone_reclaim_mode=0
{"commands":["sysctl vm.zone_reclaim_mode=0"],"evidence":{"zone_reclaim_mode":1},"gpu":null,"gpus":[],"message":"vm.zone_reclaim_mode is 1: a full node drops page cache before memory of another node is used","pids":[],"remedy":"turn it off, unless it was measured to help","rule":"zone-reclaim-on","severity":"warning"}

"#]]
    );
}

#[test]
fn zone_reclaim_on_is_not_raised_once_fixed() {
    let tree = Tree::new();
    tree.file("proc/sys/vm/zone_reclaim_mode", "0\n");
    silent(&tree, "zone-reclaim-on");
}

#[test]
fn zone_reclaim_on_is_not_raised_without_the_fact() {
    let tree = with_trainer(&PLACED);
    silent(&tree, "zone-reclaim-on");
    tree.file("proc/sys/vm/zone_reclaim_mode", "nonsense\n");
    silent(&tree, "zone-reclaim-on");
    assert_eq!(gaps(&tree), ["null vm.zone_reclaim_mode"]);
}

#[test]
fn one_node_on_many_sockets_is_raised() {
    let tree = Tree::new();
    tree.nodes(&[("0-3", 0)]);
    tree.file(
        "sys/devices/system/cpu/cpu2/topology/physical_package_id",
        "1\n",
    );
    assert_data_eq!(
        told(&tree, "one-node-on-many-sockets"),
        str![[r#"
warning[one-node-on-many-sockets]: a single NUMA node has the CPUs of 2 sockets: the kernel cannot
  distinguish the sockets, and the verdicts mean nothing
  fix: turn off node interleaving in the firmware, and remove numa=off from the kernel command line
{"commands":[],"evidence":{"sockets":2},"gpu":null,"gpus":[],"message":"a single NUMA node has the CPUs of 2 sockets: the kernel cannot distinguish the sockets, and the verdicts mean nothing","pids":[],"remedy":"turn off node interleaving in the firmware, and remove numa=off from the kernel command line","rule":"one-node-on-many-sockets","severity":"warning"}

"#]]
    );
}

#[test]
fn one_node_on_many_sockets_is_not_raised_once_fixed() {
    let tree = Tree::new();
    silent(&tree, "one-node-on-many-sockets");
    tree.nodes(&[("0-3", 0)]);
    silent(&tree, "one-node-on-many-sockets");
}

#[test]
fn one_node_on_many_sockets_is_not_raised_without_the_fact() {
    let tree = Tree::new();
    tree.nodes(&[("0-3", 0)]);
    std::fs::remove_dir_all(tree.folder.path().join("sys/devices/system/cpu")).unwrap();
    silent(&tree, "one-node-on-many-sockets");
}
