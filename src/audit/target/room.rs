//! Whether the memory nodes of all targets have enough free memory for what should be there.
//!
//! A page that several processes share counts in each of them, so a sum over processes is too large. A trainer and its
//! workers share most, and trainers share little with each other: of each trainer and its workers, the process with most
//! counts. The sum is a lower bound, so what does not fit by it does not fit.

use std::collections::BTreeMap;

use crate::audit::target::Obstacle;
use crate::audit::target::draft::Draft;
use crate::machine::{HugePool, Topology};
use crate::units::{Bytes, NodeSet, Pid};

/// The memory of each set of nodes that is a target.
pub(crate) struct NodeRooms {
    rooms: BTreeMap<NodeSet, NodeRoom>,
}

/// The memory of some nodes, and what the processes that belong there need.
#[derive(Debug, Clone, Default)]
pub(crate) struct NodeRoom {
    /// MemFree; `None` where it is unknown.
    free: Option<Bytes>,
    /// Page cache that can be dropped; `None` where it is unknown.
    reclaimable: Option<Bytes>,
    /// Free huge pages of all sizes; `None` where they are unknown.
    huge_free: Option<Bytes>,
    /// Memory that would have to move there, without huge and pinned pages.
    moving: Bytes,
    /// Huge pages that would have to move there.
    huge: Bytes,
    /// All memory of the processes that belong there, without huge pages.
    total: Bytes,
    /// What the judged processes have there, with those that belong elsewhere: a new start frees it.
    held: Bytes,
}

impl NodeRooms {
    pub(crate) fn of(drafts: &[Option<Draft>], topology: &Topology) -> Self {
        let mut rooms: BTreeMap<NodeSet, NodeRoom> = BTreeMap::new();
        for draft in drafts.iter().flatten() {
            let nodes = &draft.target.memory_nodes;
            if !rooms.contains_key(nodes) {
                rooms.insert(nodes.clone(), NodeRoom::empty(nodes, topology));
            }
        }
        for (nodes, room) in &mut rooms {
            let belongs = |draft: &&Draft| draft.target.memory_nodes == *nodes;
            let here = || drafts.iter().flatten().filter(belongs);
            room.moving = sum_of_most(here().map(|of| (of.trainer, of.demand.moving)));
            room.huge = sum_of_most(here().map(|of| (of.trainer, of.demand.huge)));
            let total = |of: &Draft| of.demand.by_node.values().copied().sum();
            room.total = sum_of_most(here().map(|of| (of.trainer, total(of))));
            let on_nodes = |of: &Draft| {
                let by_node = of.demand.by_node.iter();
                let there = by_node.filter(|(node, _)| nodes.contains(node));
                there.map(|(_, bytes)| *bytes).sum()
            };
            let all = drafts.iter().flatten();
            room.held = sum_of_most(all.map(|of| (of.trainer, on_nodes(of))));
        }
        Self { rooms }
    }

    pub(crate) fn room(&self, nodes: &NodeSet) -> NodeRoom {
        self.rooms.get(nodes).cloned().unwrap_or_default()
    }
}

/// The sum over trainers of the most that the trainer or one of its workers has.
fn sum_of_most(parts: impl Iterator<Item = (Pid, Bytes)>) -> Bytes {
    let mut most: BTreeMap<Pid, Bytes> = BTreeMap::new();
    for (trainer, bytes) in parts {
        let of_trainer = most.entry(trainer).or_default();
        *of_trainer = (*of_trainer).max(bytes);
    }
    most.into_values().sum()
}

impl NodeRoom {
    fn empty(nodes: &NodeSet, topology: &Topology) -> Self {
        let of = |fact: fn(&crate::machine::Node) -> Option<Bytes>| -> Option<Bytes> {
            let each = nodes
                .iter()
                .map(|id| topology.nodes().get(id).and_then(fact));
            each.collect::<Option<Vec<Bytes>>>()
                .map(|of| of.into_iter().sum())
        };
        Self {
            free: of(|node| node.memory_free),
            reclaimable: of(|node| node.memory_reclaimable),
            huge_free: of(|node| {
                let pools = node.huge_pages.as_ref()?.iter();
                let free = |(size, pool): (&Bytes, &HugePool)| size.0.saturating_mul(pool.free);
                Some(pools.map(free).map(Bytes).sum())
            }),
            ..Self::default()
        }
    }

    /// Free memory and page cache; `None` where the free memory is unknown.
    fn available(&self) -> Option<Bytes> {
        let parts = [self.free?, self.reclaimable.unwrap_or_default()];
        Some(parts.into_iter().sum())
    }

    /// Whether all pages that should move there fit, as far as it is known.
    pub(crate) fn can_move(&self) -> bool {
        self.available().is_none_or(|most| self.moving <= most)
    }

    /// Whether all processes that belong there fit after a new start, as far as it is known.
    pub(crate) fn can_bind(&self) -> bool {
        let after = |most| [most, self.held].into_iter().sum::<Bytes>();
        self.available()
            .is_none_or(|most| self.total <= after(most))
    }

    /// Whether there are enough free huge pages. `false` if that is unknown: they do not come from other memory.
    pub(crate) fn has_huge_pages(&self) -> bool {
        self.huge_free.is_some_and(|free| self.huge <= free)
    }

    pub(crate) fn obstacle(&self, nodes: &NodeSet) -> Obstacle {
        Obstacle::FreeMemory {
            nodes: nodes.clone(),
            free: self.free.unwrap_or_default(),
            reclaimable: self.reclaimable,
            moving: self.moving,
        }
    }

    pub(crate) fn huge_obstacle(&self, nodes: &NodeSet) -> Obstacle {
        Obstacle::HugePages {
            nodes: nodes.clone(),
            free: self.huge_free,
            moving: self.huge,
        }
    }
}
