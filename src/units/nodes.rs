//! NUMA nodes and sets of nodes.

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::units::list::{parse_list, ranges};
use crate::units::text::{Malformed, number};

/// A NUMA node's number, as the kernel gives it. Numbers may have gaps.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub(crate) struct NodeId(pub(crate) u32);

impl NodeId {
    /// The first number that no kernel can have (NODES_SHIFT is 10 at most).
    pub(crate) const END: Self = Self(1 << 10);
}

impl fmt::Display for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl FromStr for NodeId {
    type Err = Malformed;

    fn from_str(text: &str) -> Result<Self, Malformed> {
        number("not a node", text.as_bytes()).map(Self)
    }
}

/// A set of nodes. In JSON it is a list of numbers.
pub(crate) type NodeSet = BTreeSet<NodeId>;

/// Reads a file with a list of nodes. An empty line is the empty set.
pub(crate) fn parse_node_list(bytes: &[u8]) -> Result<NodeSet, Malformed> {
    Ok(parse_list(bytes)?.map(NodeId).collect())
}

/// Nodes as the kernel prints a list (`0-1,3`); the empty string for none.
pub(crate) fn node_list(nodes: &NodeSet) -> String {
    ranges(nodes.iter().map(|node| node.0))
}
