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
warning[gpu-node-unknown]: nobody tells on which node GPU 0 hangs: tools that bind may take it for
  node 0
  to mend it: give it with --gpu-node or --topology, to this program and to the tool that binds
{"commands":[],"evidence":{},"gpu":0,"gpus":[0],"message":"nobody tells on which node GPU 0 hangs: tools that bind may take it for node 0","pids":[],"remedy":"give it with --gpu-node or --topology, to this program and to the tool that binds","rule":"gpu-node-unknown","severity":"warning"}

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
warning[gpu-node-unknown]: GPU 0 hangs on node 0, and nobody tells which node with CPUs is nearest
  to mend it: give it with --gpu-node or --topology, to this program and to the tool that binds
{"commands":[],"evidence":{"home_nodes":[0]},"gpu":0,"gpus":[0],"message":"GPU 0 hangs on node 0, and nobody tells which node with CPUs is nearest","pids":[],"remedy":"give it with --gpu-node or --topology, to this program and to the tool that binds","rule":"gpu-node-unknown","severity":"warning"}

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
warning[sources-disagree]: the sources of GPU 0's home node disagree: sysfs says node 0 and is
  believed, nvml-cpu-affinity says node 1
  to mend it: find out which is right, and give it with --gpu-node or --topology
{"commands":[],"evidence":{"home_nodes":[0],"home_source":"sysfs"},"gpu":0,"gpus":[0],"message":"the sources of GPU 0's home node disagree: sysfs says node 0 and is believed, nvml-cpu-affinity says node 1","pids":[],"remedy":"find out which is right, and give it with --gpu-node or --topology","rule":"sources-disagree","severity":"warning"}

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
warning[numa-balancing-on]: kernel.numa_balancing is on: it costs bound processes page faults, and
  moves pages under them
  to mend it: turn it off, if nothing else here needs it
  now: sysctl kernel.numa_balancing=0
  but: it does not move pages back
{"commands":["sysctl kernel.numa_balancing=0"],"evidence":{"numa_balancing":1},"gpu":null,"gpus":[],"message":"kernel.numa_balancing is on: it costs bound processes page faults, and moves pages under them","pids":[],"remedy":"turn it off, if nothing else here needs it; it does not move pages back","rule":"numa-balancing-on","severity":"warning"}

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
warning[zone-reclaim-on]: vm.zone_reclaim_mode is 1: a full node gives up page cache before another
  node's memory is taken
  to mend it: turn it off, unless it was measured to help
  now: sysctl vm.zone_reclaim_mode=0
{"commands":["sysctl vm.zone_reclaim_mode=0"],"evidence":{"zone_reclaim_mode":1},"gpu":null,"gpus":[],"message":"vm.zone_reclaim_mode is 1: a full node gives up page cache before another node's memory is taken","pids":[],"remedy":"turn it off, unless it was measured to help","rule":"zone-reclaim-on","severity":"warning"}

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
warning[one-node-on-many-sockets]: one NUMA node has the CPUs of 2 sockets: placement is hidden from
  the kernel, and these verdicts are void
  to mend it: turn off node interleaving in the firmware, and numa=off in the kernel's command line
{"commands":[],"evidence":{"sockets":2},"gpu":null,"gpus":[],"message":"one NUMA node has the CPUs of 2 sockets: placement is hidden from the kernel, and these verdicts are void","pids":[],"remedy":"turn off node interleaving in the firmware, and numa=off in the kernel's command line","rule":"one-node-on-many-sockets","severity":"warning"}

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
