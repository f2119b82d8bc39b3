//! NUMA node IDs and sets of them.

use std::collections::BTreeSet;
use std::fmt;

use crate::units::cpus::ranges;

/// A NUMA node's number, as the kernel gives it. Numbers may have holes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NodeId(pub u32);

impl NodeId {
    /// No kernel is built for nodes from here on (NODES_SHIFT is 10 at most).
    pub const END: Self = Self(1 << 10);
}

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
