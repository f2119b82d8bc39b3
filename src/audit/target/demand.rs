//! How much memory of a process would have to move to its target.

use crate::audit::PlacedProcess;
use crate::audit::place::{Locality, MemoryKind, Verdict};
use crate::units::{Bytes, NodeBytes, NodeSet};

/// The memory of one process that is on the wrong nodes, and all of its memory.
#[derive(Debug, Clone, Default)]
pub(crate) struct Demand {
    /// The nodes that its pages should leave.
    pub(crate) from: NodeSet,
    /// Pages on them that can move into free memory.
    pub(crate) moving: Bytes,
    /// Huge pages on them, which can only move into free huge pages.
    pub(crate) huge: Bytes,
    /// Pinned pages on them, which do not move.
    pub(crate) pinned: Bytes,
    /// Its working memory by node, without huge pages.
    pub(crate) by_node: NodeBytes,
}

impl Demand {
    /// No page leaves the nodes in `target` and `chosen`. If the verdict is ok, nothing has to move.
    pub(crate) fn of(placed: &PlacedProcess, target: &NodeSet, chosen: &NodeSet) -> Self {
        let Some(pages) = &placed.memory.pages else {
            return Self::default();
        };
        let mut demand = Self::default();
        let least = match placed.memory.verdict {
            Some(Verdict::Mismatch) => Some(Locality::Remote),
            Some(Verdict::AtRisk) => Some(Locality::Near),
            _ => None,
        };
        if !target.is_empty() {
            let is_wrong = |node: &&crate::units::NodeId| {
                least.is_some_and(|least| pages.locality.get(node) >= Some(&least))
                    && !target.contains(node)
                    && !chosen.contains(node)
            };
            demand.from = pages.by_node.keys().filter(is_wrong).copied().collect();
        }
        for (kind, by_node) in &pages.by_kind {
            let wrong = by_node
                .iter()
                .filter(|(node, _)| demand.from.contains(node));
            let wrong: Bytes = wrong.map(|(_, bytes)| *bytes).sum();
            let counter = match kind {
                MemoryKind::File => continue,
                MemoryKind::Huge => &mut demand.huge,
                MemoryKind::Pinned => &mut demand.pinned,
                _ => &mut demand.moving,
            };
            *counter = [*counter, wrong].into_iter().sum();
            if *kind != MemoryKind::Huge {
                for (node, bytes) in by_node {
                    let of_node = demand.by_node.entry(*node).or_default();
                    *of_node = [*of_node, *bytes].into_iter().sum();
                }
            }
        }
        demand
    }
}
