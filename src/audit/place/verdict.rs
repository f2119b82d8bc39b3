//! Verdicts, and the local nodes that they are made against.

use crate::machine::Topology;
use crate::units::{NodeId, NodeSet};
pub(crate) use crate::words::Verdict;

/// How far a node is from the local nodes. The greater locality is the farther one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Locality {
    /// A local node.
    Local,
    /// Another node of the same socket.
    Near,
    /// A node of another socket, or of a socket that is not known to be the same.
    Remote,
}

/// At least `at_risk` for a verdict that says that all is well. One that is unknown stays so.
pub(crate) fn at_best_at_risk(verdict: Verdict) -> Verdict {
    verdict.max(Verdict::AtRisk)
}

/// The local nodes of a process, and how far other nodes are from them.
#[derive(Debug, Clone, Copy)]
pub(crate) struct LocalNodes<'a> {
    /// Where the process should run. Empty if unknown.
    pub(crate) nodes: &'a NodeSet,
    /// Where its memory should be. Empty if unknown.
    pub(crate) memory_nodes: &'a NodeSet,
    /// Whether the nodes come from a GPU. A process without a GPU is local where it runs.
    pub(crate) has_gpu: bool,
    /// The memory of its GPUs themselves, where that is a node.
    pub(crate) gpu_memory: &'a NodeSet,
    /// The nodes of the machine.
    pub(crate) topology: &'a Topology,
    /// Whether a near node counts as remote (`--strict-node`).
    pub(crate) strict_node: bool,
}

impl LocalNodes<'_> {
    /// Whether only one node has CPUs, so that placement cannot be wrong.
    pub(crate) fn is_single_node(&self) -> bool {
        self.topology.single_node().is_some()
    }

    /// How far the CPUs of `node` are from the local nodes.
    pub(crate) fn locality(&self, node: NodeId) -> Locality {
        self.distance(node, &[self.nodes])
    }

    /// Whether it is known where the memory should be.
    pub(crate) fn is_memory_known(&self) -> bool {
        !self.nodes.is_empty() && !self.memory_nodes.is_empty()
    }

    /// How far the memory of `node` is from the local memory nodes. Memory that a process touches first on its local nodes is
    /// local too.
    pub(crate) fn memory_locality(&self, node: NodeId) -> Locality {
        if self.gpu_memory.contains(&node) {
            return Locality::Local;
        }
        self.distance(node, &[self.nodes, self.memory_nodes])
    }

    fn distance(&self, node: NodeId, local: &[&NodeSet]) -> Locality {
        if local.iter().any(|nodes| nodes.contains(&node)) {
            return Locality::Local;
        }
        let is_near = |local: &NodeId| self.topology.same_package(*local, node);
        if !self.strict_node && local.iter().any(|nodes| nodes.iter().any(is_near)) {
            Locality::Near
        } else {
            Locality::Remote
        }
    }
}
