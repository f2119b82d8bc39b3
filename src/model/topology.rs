//! NUMA nodes: their CPUs, memory, distances and sockets.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use super::cpus::{Cpu, CpuSet, ranges};
use super::memory::Bytes;

/// A NUMA node's number, as the kernel gives it. Numbers may have holes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NodeId(pub u32);

impl fmt::Display for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A set of nodes.
pub type NodeSet = BTreeSet<NodeId>;

/// Nodes as the kernel writes a list (`0-1,3`); the empty string for none.
pub fn node_list(nodes: &NodeSet) -> String {
    ranges(nodes.iter().map(|node| node.0))
}

/// One NUMA node, from `/sys/devices/system/node/nodeN`.
#[derive(Debug, Clone, Default)]
pub struct Node {
    /// Its CPUs, from `cpulist` or `cpumap`; empty for a node that has memory only.
    pub cpus: CpuSet,
    /// MemTotal of `meminfo`. `None` where there is no such file.
    pub memory_total: Option<Bytes>,
    /// MemFree of `meminfo`. `None` where there is no such file.
    pub memory_free: Option<Bytes>,
    /// Distance to each online node, 10 being its own. Empty where the tree does not tell.
    pub distances: BTreeMap<NodeId, u32>,
    /// The socket of its CPUs (`physical_package_id`). `None` for a node without CPUs and where the
    /// firmware does not tell.
    pub package: Option<u32>,
}

/// All nodes of a machine.
#[derive(Debug, Clone, Default)]
pub struct Topology {
    nodes: BTreeMap<NodeId, Node>,
    node_of_cpu: BTreeMap<Cpu, NodeId>,
}

impl Topology {
    /// Indexes `nodes`. Where two nodes claim a CPU (broken firmware), the lower one has it.
    pub fn new(nodes: BTreeMap<NodeId, Node>) -> Self {
        let mut node_of_cpu = BTreeMap::new();
        for (id, node) in &nodes {
            for cpu in node.cpus.iter() {
                node_of_cpu.entry(cpu).or_insert(*id);
            }
        }
        Self { nodes, node_of_cpu }
    }

    /// The nodes by number.
    pub fn nodes(&self) -> &BTreeMap<NodeId, Node> {
        &self.nodes
    }

    /// The node of a CPU. `None` for a CPU that is on no node: offline, or never present.
    pub fn node_of(&self, cpu: Cpu) -> Option<NodeId> {
        self.node_of_cpu.get(&cpu).copied()
    }

    /// The nodes on which a thread with this affinity can run. The kernel lists CPUs that are
    /// offline or merely possible too; these are on no node.
    pub fn nodes_of(&self, cpus: &CpuSet) -> NodeSet {
        cpus.iter().filter_map(|cpu| self.node_of(cpu)).collect()
    }

    /// The nodes that have CPUs.
    pub fn cpu_bearing(&self) -> NodeSet {
        let bearing = self.nodes.iter().filter(|(_, node)| !node.cpus.is_empty());
        bearing.map(|(id, _)| *id).collect()
    }

    /// Whether two nodes are of one socket, as far as is known.
    pub fn same_package(&self, one: NodeId, other: NodeId) -> bool {
        let package = |id| self.nodes.get(&id).and_then(|node: &Node| node.package);
        package(one).is_some_and(|known| package(other) == Some(known))
    }
}
