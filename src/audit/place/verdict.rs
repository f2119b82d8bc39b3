//! Verdicts, and what everything is judged against.

use std::fmt;

use crate::machine::topology::Topology;
use crate::units::{NodeId, NodeSet};

/// How well something is placed; of two the greater is the worse.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Verdict {
    /// One node has all CPUs: nothing to get wrong.
    SingleNode,
    /// On the local nodes, and held there.
    Ok,
    /// Local right now but nothing holds it there, or near.
    AtRisk,
    /// It could not be read, or the home node is not known.
    Unknown,
    /// Remote.
    Mismatch,
}

impl Verdict {
    /// All of them, the best first.
    const ALL: [Self; 5] = [
        Self::SingleNode,
        Self::Ok,
        Self::AtRisk,
        Self::Unknown,
        Self::Mismatch,
    ];

    /// The verdict of this word; `None` for a word that is none.
    pub fn named(word: &str) -> Option<Self> {
        let mut all = Self::ALL.into_iter();
        all.find(|verdict| verdict.to_string() == word)
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::SingleNode => "single-node",
            Self::Ok => "ok",
            Self::AtRisk => "at-risk",
            Self::Unknown => "unknown",
            Self::Mismatch => "mismatch",
        })
    }
}

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
