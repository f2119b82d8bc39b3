//! Verdicts, and what everything is judged against.

pub use crate::document::words::Verdict;
use crate::machine::topology::Topology;
use crate::units::{NodeId, NodeSet};

/// A node against the local ones; of two the greater is the farther.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Locality {
    /// One of them.
    Local,
    /// Another node of the same socket.
    Near,
    /// Another socket, or one that is not known to be the same.
    Remote,
}

/// What a process is judged against.
#[derive(Debug, Clone, Copy)]
pub struct Judged<'a> {
    /// Where it should run. Empty where that is not known.
    pub local: &'a NodeSet,
    /// Whether a GPU says so. A process without one belongs where it runs, wherever that is.
    pub has_gpu: bool,
    /// Where its pages are at home besides: on the GPUs' own memory, and on home nodes that have no CPUs.
    pub pages_too: &'a NodeSet,
    /// The machine's nodes.
    pub topology: &'a Topology,
    /// Whether near is as bad as remote.
    pub strict_node: bool,
}

impl Judged<'_> {
    /// Whether one node has all CPUs, so that there is nothing to get wrong.
    pub fn is_single_node(&self) -> bool {
        self.topology.single_node().is_some()
    }

    /// Where a node is.
    pub fn locality(&self, node: NodeId) -> Locality {
        let mut local = self.local.iter();
        if self.local.contains(&node) || self.pages_too.contains(&node) {
            Locality::Local
        } else if !self.strict_node && local.any(|local| self.topology.same_package(*local, node)) {
            Locality::Near
        } else {
            Locality::Remote
        }
    }
}
